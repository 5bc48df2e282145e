//! The Concert player against port and driver over a real pty pair, the test playing the shop; and against boxes that err.

use serialport::{SerialPort, TTYPort};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use tillgate::inbox::{Inbox, Incoming};
use tillgate::shop::effect::{Finish, Outcome, Refusal, TillAnswer};
use tillgate::shop::event::{AskKind, Event, TillEvent, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Code;
use tillgate::till::concert::ConcertOptions;
use tillgate::till::concert_frames::{ACK, Answer, ENQ, EOT, NAK, Request, Verdict, framed};
use tillgate::till::concert_player::{PlayError, play};
use tillgate::till::{LineSettings, Port, Protocol, ReceiptFacts, TillSettings, Tills};
use tokio::sync::mpsc::Receiver;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const SALE: SaleId = SaleId(7);

/// The shop's end.
struct Shop {
    tills: Tills,
    inbox: Receiver<Incoming>,
}

impl Shop {
    /// A shop with one till, and that till's end of the line.
    fn opens() -> (Shop, TTYPort) {
        let (till, ours) = TTYPort::pair().unwrap();
        let settings = TillSettings {
            number: number(),
            label: String::new(),
            port: Port::Serial(PathBuf::from(ours.name().unwrap())),
            protocol: Protocol::Concert(ConcertOptions::default()),
            line: LineSettings::default(),
            currency: eur(),
            columns: 24,
            memory: None,
        };
        let (inbox, events) = Inbox::new();
        let facts = ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None };
        let tills = Tills::start(vec![settings], &facts, &inbox).unwrap();
        let mut shop = Shop { tills, inbox: events };
        assert_eq!(shop.event(), TillEvent::Online);
        drop(ours);
        (shop, till)
    }

    fn event(&mut self) -> TillEvent {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.inbox.recv()).await });
        match next.expect("no event in time").expect("tills have gone").event {
            Event::Till { what, .. } => what,
            other => panic!("{other:?}"),
        }
    }

    fn accepts(&mut self) -> AskKind {
        let TillEvent::Asked(ask) = self.event() else { panic!("no request") };
        self.tell(TillAnswer::Accepted { sale: SALE, ticket: None, code: Code::parse("K7").unwrap() });
        ask.kind
    }

    fn tell(&self, answer: TillAnswer) {
        self.tills.tell(number(), answer);
    }

    fn finish(&self, kind: AskKind, outcome: Outcome) {
        self.tell(TillAnswer::Finish(Box::new(Finish {
            sale: SALE,
            ticket: None,
            code: Code::parse("K7").unwrap(),
            amount: Amount::from_minor(1_250, eur()).unwrap(),
            kind,
            receipt: None,
            outcome,
            attempt: (outcome == Outcome::Approved).then_some(AttemptId(1)),
            given_back_minor: 0,
            failed_tries: 0,
            at: None,
        })));
    }
}

fn number() -> TillNumber {
    TillNumber::new(7).unwrap()
}

fn eur() -> Currency {
    Currency::from_code("EUR").unwrap()
}

fn request(kind: AskKind, long: bool, at_once: bool) -> Request {
    Request::write(7, 1_250, long, kind, eur(), at_once).unwrap()
}

/// Plays a till on a thread of its own while the test plays the other side; what came of it, and what was shown.
fn plays(
    mut port: TTYPort,
    request: Request,
    other: impl FnOnce(),
) -> (Result<Answer, PlayError>, Vec<String>, TTYPort) {
    let till = std::thread::spawn(move || {
        let mut shown = Vec::new();
        let ended = play(&mut port, &request, PATIENCE, &mut |line| shown.push(line.to_owned()));
        (ended, shown, port)
    });
    other();
    till.join().unwrap()
}

#[test]
fn a_payment_a_refund_and_a_cancellation_are_played_to_their_ends() {
    let (mut shop, mut port) = Shop::opens();
    for (kind, long, outcome, verdict) in [
        (AskKind::Pay, true, Outcome::Approved, Verdict::Done),
        (AskKind::Pay, false, Outcome::Lapsed, Verdict::Refused),
        (AskKind::Refund, false, Outcome::Returned { pending: true }, Verdict::Done),
        (AskKind::Reverse, true, Outcome::Returned { pending: false }, Verdict::Done),
    ] {
        let (ended, shown, back) = plays(port, request(kind, long, false), || {
            assert_eq!(shop.accepts(), kind);
            shop.finish(kind, outcome);
            assert_eq!(shop.event(), TillEvent::Taken { sale: SALE });
        });
        let report = long.then(String::new);
        assert_eq!(ended.unwrap(), Answer { verdict, minor: 1_250, report }, "{shown:?}");
        assert!(!shown.iter().any(|line| line.contains("belongs to nothing")), "{shown:?}");
        assert!(shown.last().unwrap().contains("check correct"), "{shown:?}");
        port = back;
    }
}

#[test]
fn a_till_that_wants_its_answer_at_once_has_it_in_time_although_the_shop_is_slow() {
    let (mut shop, port) = Shop::opens();
    let (ended, _, port) = plays(port, request(AskKind::Pay, false, true), || {
        assert!(matches!(shop.event(), TillEvent::Asked(ask) if !ask.hears_result));
    });
    assert_eq!(ended.unwrap().verdict, Verdict::NotYet);
    shop.tell(TillAnswer::Refused { ticket: None, why: Refusal::NoLine });
    let (ended, ..) = plays(port, request(AskKind::Pay, false, true), || {
        assert!(matches!(shop.event(), TillEvent::Asked(_)));
        shop.tell(TillAnswer::Refused { ticket: None, why: Refusal::NoLine });
    });
    assert_eq!(ended.unwrap().verdict, Verdict::Refused);
}

#[test]
fn a_busy_box_a_silent_one_and_one_that_understands_nothing_are_told_apart() {
    let (till, mut ours) = TTYPort::pair().unwrap();
    ours.set_timeout(PATIENCE).unwrap();
    let (ended, shown, till) = plays(till, request(AskKind::Pay, true, false), || {});
    assert!(matches!(ended, Err(PlayError::Silent)), "{shown:?}");
    hears(&mut ours, &[ENQ; 3]);
    let (ended, shown, till) = plays(till, request(AskKind::Pay, true, false), || {
        for _ in 0..3 {
            hears(&mut ours, &[ENQ]);
            ours.write_all(&[NAK]).unwrap();
        }
    });
    assert!(matches!(ended, Err(PlayError::Busy)), "{shown:?}");
    let (ended, shown, _till) = plays(till, request(AskKind::Pay, true, false), || {
        hears(&mut ours, &[ENQ]);
        ours.write_all(&[ACK]).unwrap();
        for _ in 0..3 {
            hears(&mut ours, &framed(request(AskKind::Pay, true, false).body().as_bytes()));
            ours.write_all(&[NAK]).unwrap();
        }
        hears(&mut ours, &[EOT]);
    });
    assert!(matches!(ended, Err(PlayError::NotUnderstood)), "{shown:?}");
}

#[test]
fn stray_bytes_wrong_sizes_and_wrong_checks_are_shown_and_the_answer_is_asked_for_again() {
    let (till, mut ours) = TTYPort::pair().unwrap();
    ours.set_timeout(PATIENCE).unwrap();
    let request = request(AskKind::Pay, false, false);
    let good = request.answer(Verdict::Done, 1_250);
    let (ended, shown, _till) = plays(till, request, || {
        hears(&mut ours, &[ENQ]);
        ours.write_all(&[0x41, ACK]).unwrap();
        hears(&mut ours, &framed(request.body().as_bytes()));
        ours.write_all(&[ACK]).unwrap();
        hears(&mut ours, &[EOT]);
        ours.write_all(&[0, ENQ]).unwrap();
        hears(&mut ours, &[ACK]);
        let mut wrong = good.clone();
        wrong[27] ^= 1;
        ours.write_all(&wrong).unwrap();
        hears(&mut ours, &[NAK]);
        ours.write_all(&good[..20]).unwrap();
        hears(&mut ours, &[NAK]);
        ours.write_all(&good).unwrap();
        hears(&mut ours, &[ACK]);
        ours.write_all(&[EOT]).unwrap();
    });
    assert_eq!(ended.unwrap().verdict, Verdict::Done);
    for wanted in ["nothing: 41", "nothing: 00", "LRC", "20 bytes instead of 28", "answer of 28 bytes, check correct"] {
        assert!(shown.iter().any(|line| line.contains(wanted)), "{wanted}: {shown:?}");
    }
}

#[test]
fn the_command_for_installers_says_what_happens_and_ends_with_its_code() {
    for (verdict, code, says) in [
        (Verdict::Done, 0, "result 0, done"),
        (Verdict::Refused, 1, "result 7, refused"),
        (Verdict::NotYet, 3, "result 9, not known yet"),
    ] {
        let (mut ours, till) = TTYPort::pair().unwrap();
        ours.set_timeout(PATIENCE).unwrap();
        let child =
            command(&["--port", &till.name().unwrap(), "--number", "7", "--short", "pay", "12.50"]).spawn().unwrap();
        let request = request(AskKind::Pay, false, false);
        hears(&mut ours, &[ENQ]);
        ours.write_all(&[ACK]).unwrap();
        hears(&mut ours, &framed(request.body().as_bytes()));
        ours.write_all(&[ACK]).unwrap();
        hears(&mut ours, &[EOT]);
        ours.write_all(&[ENQ]).unwrap();
        hears(&mut ours, &[ACK]);
        ours.write_all(&request.answer(verdict, 1_250)).unwrap();
        hears(&mut ours, &[ACK]);
        ours.write_all(&[EOT]).unwrap();
        let ended = child.wait_with_output().unwrap();
        let shown = String::from_utf8(ended.stdout).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{shown}");
        assert!(shown.contains("the box has taken the request") && shown.contains(says), "{shown}");
    }
}

#[test]
fn what_a_concert_till_cannot_do_is_said_before_the_port_is_touched() {
    for (args, says) in [
        (&["status"][..], "can pay, refund and cancel"),
        (&["pay", "1000000.00"], "eight digits"),
        (&["pay", "12.505"], "2 digits after the point"),
        (&["--number", "100", "pay", "12.50"], "100"),
    ] {
        let ended = command(&["--port", "/dev/does-not-exist"]).args(args).output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    command.args(["till", "--protocol", "concert"]).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads exactly these bytes.
fn hears(port: &mut TTYPort, wanted: &[u8]) {
    let mut bytes = vec![0; wanted.len()];
    port.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, wanted);
}
