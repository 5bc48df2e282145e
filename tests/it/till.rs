//! The till's player against port and driver over a real pty pair; the test plays the shop.

use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use serialport::{SerialPort, TTYPort};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tillgate::inbox::{Inbox, Incoming};
use tillgate::shop::effect::{CancelledWhy, DeclinedWhy, Finish, Outcome, Progress, Refusal, TillAnswer, Totals};
use tillgate::shop::event::{Ask, AskKind, Event, Reason, Span, Ticket, TillEvent, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Code;
use tillgate::till::frame::encode;
use tillgate::till::player::{self, Answer, Ended, Last, PlayError, Player, PlayerSettings, Shown, TillResult};
use tillgate::till::{LineSettings, Port, Protocol, ReceiptFacts, TillSettings, Tills};
use tokio::sync::mpsc::Receiver;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_payment_with_a_failed_try_is_shown_printed_and_taken() {
    let (mut shop, line) = open();
    let mut player = line.player(settings());
    let (ended, shown) = shop.with(
        |shop| {
            let ask = shop.asked();
            assert_eq!((ask.amount, ask.kind, ask.patience_ms), (eur("12.50"), AskKind::Pay, 30_000));
            shop.accept(ask);
            shop.progress(ask, Progress::Offered);
            shop.progress(ask, Progress::Failed { reason: Reason::WrongPassword, try_no: 1, new_attempt: false });
            shop.finish(ask, Outcome::Approved);
            assert_eq!(shop.event(), TillEvent::Taken { sale: SALE });
        },
        || play(|show| player.pay(eur("12.50"), None, 30, show).unwrap()),
    );
    let result = result_of(ended);
    assert_eq!((result.outcome, result.amount, result.failed_tries), (player::Outcome::Approved, eur("12.50"), 1));
    assert_eq!(shown.first(), Some(&Shown::Accepted { code: "K7".to_owned() }));
    assert!(shown.iter().any(|s| matches!(s, Shown::Failed { try_no: 1, new_attempt: false, .. })), "{shown:?}");
    assert!(result.lines.contains(&"PAID".to_owned()) && result.lines.contains(&"Clock not set".to_owned()));
    assert_eq!(shown.last(), Some(&Shown::Result(result)));
}

#[test]
fn an_abort_before_and_after_the_offer_ends_with_the_result_that_the_shop_gives() {
    for (decided, expected) in [
        (Outcome::Cancelled(CancelledWhy::Till), player::Outcome::Cancelled),
        (Outcome::Approved, player::Outcome::Approved),
    ] {
        let (mut shop, line) = open();
        let mut player = line.player(settings());
        let key = player.abort_key();
        let (ended, shown) = shop.with(
            |shop| {
                let ask = shop.asked();
                shop.accept(ask);
                key.press();
                assert_eq!(shop.event(), TillEvent::Aborted { ticket: ask.ticket });
                shop.tills.tell(till(), TillAnswer::Aborting { ticket: ask.ticket });
                shop.finish(ask, decided);
                assert_eq!(shop.event(), TillEvent::Taken { sale: SALE });
            },
            || play(|show| player.pay(eur("12.50"), None, 30, show).unwrap()),
        );
        assert_eq!(result_of(ended).outcome, expected);
        assert!(shown.contains(&Shown::Aborting));
    }
}

#[test]
fn a_refused_payment_a_refund_and_questions_between_sales_get_their_answers() {
    let (mut shop, line) = open();
    let mut player = line.player(settings());
    shop.with(
        |shop| {
            for (kind, why) in
                [(AskKind::Pay, Refusal::NoLine), (AskKind::Refund, Refusal::NotPossible(AskKind::Refund))]
            {
                let ask = shop.asked();
                assert_eq!(ask.kind, kind);
                shop.tills.tell(till(), TillAnswer::Refused { ticket: ask.ticket, why });
            }
            assert_eq!(shop.event(), TillEvent::AskedStatus);
            shop.tills.tell(till(), TillAnswer::Status { ready: Err(Refusal::TooLittle { min_minor: 100 }) });
            assert_eq!(shop.event(), TillEvent::AskedAgain { ticket: None });
            shop.tills.tell(till(), TillAnswer::NothingToRepeat { ticket: None });
            assert_eq!(shop.event(), TillEvent::AskedTotals { of: Span::Epoch(3) });
            let sums = Totals {
                of: Span::Epoch(3),
                mark: 0,
                approved: 2,
                approved_minor: 2500,
                given_back: 1,
                given_back_minor: 500,
                unpaid: 1,
            };
            shop.tills.tell(till(), TillAnswer::Totals(sums));
            assert_eq!(shop.event(), TillEvent::Aborted { ticket: None });
            shop.tills.tell(till(), TillAnswer::NothingToAbort { ticket: None });
        },
        || {
            let mut quiet = |_: &Shown| {};
            let refused = player.pay(eur("12.50"), None, 30, &mut quiet).unwrap();
            assert!(matches!(refused, Ended::Refused { reason, .. } if reason == "NO_LINE"));
            let refused = player.refund(eur("1"), None, 60, &mut quiet).unwrap();
            assert!(matches!(refused, Ended::Refused { reason, .. } if reason == "NOT_POSSIBLE"));
            let why = player.status(&mut quiet).unwrap().unwrap_err();
            assert_eq!(why, ("TOO_LITTLE".to_owned(), "at least 1.00 EUR".to_owned()));
            assert_eq!(player.last(None, &mut quiet).unwrap(), Last::Nothing);
            let sums = player.totals(Some(3), &mut quiet).unwrap();
            assert_eq!((sums.approved, sums.approved_minor, sums.given_back_minor), (2, 2_500, 500));
            assert_eq!(player.abort(None, &mut quiet).unwrap(), None);
        },
    );
}

#[test]
fn a_till_may_put_a_result_off_or_reject_it() {
    for (answer, expected) in [
        (Answer::Later(2), TillEvent::TakeLater { sale: SALE, after_ms: 2_000 }),
        (Answer::Rejected, TillEvent::Rejected { sale: SALE }),
    ] {
        let (mut shop, line) = open();
        let answers: fn(&TillResult) -> Answer =
            if answer == Answer::Rejected { |_| Answer::Rejected } else { |_| Answer::Later(2) };
        let mut player = line.player(PlayerSettings { answer: answers, ..settings() });
        shop.with(
            |shop| {
                let ask = shop.asked();
                shop.finish(ask, Outcome::Approved);
                assert_eq!(shop.event(), expected);
            },
            || player.pay(eur("12.50"), None, 30, &mut |_| {}).unwrap(),
        );
    }
}

#[test]
fn a_cable_pulled_in_the_middle_of_a_sale_loses_nothing() {
    let (mut shop, mut line) = open();
    let mut player = line.player(settings());
    let (ended, shown) = shop.with(
        |shop| {
            let ask = shop.asked();
            shop.accept(ask);
            line.unplug();
            assert_eq!(shop.event(), TillEvent::Offline);
            assert!(!shop.tills.status_reader().status()[0].online);
            // Decided while nobody can be told.
            shop.finish(ask, Outcome::Approved);
            line.plug();
            assert_eq!(shop.event(), TillEvent::Online);
            let mut taken = false;
            // The till repeats its request when its port is back; the shop tells it the same again.
            while !taken {
                match shop.event() {
                    TillEvent::Asked(again) => assert_eq!((again.ticket, again.amount), (ask.ticket, ask.amount)),
                    TillEvent::Taken { sale } => taken = sale == SALE,
                    other => panic!("{other:?}"),
                }
            }
            let status = &shop.tills.status_reader().status()[0];
            assert_eq!((status.online, status.reopened), (true, 1));
        },
        || play(|show| player.pay(eur("12.50"), None, 60, show).unwrap()),
    );
    assert_eq!(result_of(ended).outcome, player::Outcome::Approved);
    assert!(shown.iter().any(|s| matches!(s, Shown::Result(_))));
}

#[test]
fn a_till_that_lost_power_asks_for_the_result_of_its_unfinished_sale() {
    let (mut shop, mut line) = open();
    let with_memory = PlayerSettings { memory: Some(line.folder.join("memory")), ..settings() };
    // Over a port opened by somebody else there is no way back: the till ends in the middle of its sale.
    let port = tillgate::till::port::open(&line.till, &fast()).unwrap();
    let mut player = Player::over(port, with_memory.clone()).unwrap();
    let mut kept = None;
    shop.with(
        |shop| {
            kept = Some(shop.asked());
            line.unplug();
            assert_eq!(shop.event(), TillEvent::Offline);
        },
        || assert!(matches!(player.pay(eur("12.50"), None, 60, &mut |_| {}), Err(PlayError::Port(_)))),
    );
    let ask = kept.unwrap();
    drop(player);
    line.plug();
    assert_eq!(shop.event(), TillEvent::Online);
    let mut player = line.player(with_memory);
    assert_eq!(player.unfinished(), ask.ticket);
    let asked = player.unfinished();
    let result = shop.with(
        |shop| {
            assert_eq!(shop.event(), TillEvent::AskedAgain { ticket: ask.ticket });
            shop.finish(ask, Outcome::Declined(DeclinedWhy::Failed(Reason::NoFunds)));
            assert_eq!(shop.event(), TillEvent::Taken { sale: SALE });
        },
        || player.last(asked, &mut |_| {}).unwrap(),
    );
    let Last::Result(result) = result else { panic!("{result:?}") };
    assert_eq!((result.outcome, result.reason.as_str()), (player::Outcome::Declined, "NO_FUNDS"));
    assert_eq!(player.unfinished(), None);
}

#[test]
fn a_frame_cut_by_a_pulled_cable_is_dropped_and_junk_is_counted() {
    let (mut shop, mut line) = open();
    let mut raw = tillgate::till::port::open(&line.till, &fast()).unwrap();
    let frame = encode("STATUS|1");
    raw.write_all(b"\x00junk").unwrap();
    raw.write_all(&frame[..5]).unwrap();
    eventually(|| shop.tills.status_reader().status()[0].junk_bytes == 5);
    line.unplug();
    assert_eq!(shop.event(), TillEvent::Offline);
    line.plug();
    assert_eq!(shop.event(), TillEvent::Online);
    let mut raw = tillgate::till::port::open(&line.till, &fast()).unwrap();
    raw.write_all(&frame[5..]).unwrap();
    raw.write_all(&[&encode("STATUS|2")[..], &encode("LAST|3||")].concat()).unwrap();
    assert_eq!(shop.event(), TillEvent::AskedStatus);
    assert_eq!(shop.event(), TillEvent::AskedAgain { ticket: None });
    assert_eq!(read_until(&mut raw, "ACK|3"), "ACK|2 ACK|3");
    let status = &shop.tills.status_reader().status()[0];
    assert!(status.junk_bytes > 5 && status.bad_frames == 1, "{status:?}");
}

#[test]
fn a_port_that_is_missing_at_the_start_is_opened_when_it_comes() {
    let mut line = Wire::new();
    line.unplug();
    let mut shop = Shop::on(&line);
    assert!(!shop.tills.status_reader().status()[0].online);
    line.plug();
    assert_eq!(shop.event(), TillEvent::Online);
    assert!(shop.tills.status_reader().status()[0].online);
}

#[test]
fn a_port_in_use_is_not_opened_a_second_time() {
    let (_shop, line) = open();
    assert!(tillgate::till::port::open(&line.name, &fast()).is_err());
}

#[test]
fn a_port_is_given_back_at_the_end_though_another_program_has_it_open_too() {
    for _ in 0..10 {
        let (inbox, events) = Inbox::new();
        let (_master, slave) = TTYPort::pair().unwrap();
        let name = PathBuf::from(slave.name().unwrap());
        let settings = settings_of(name.clone());
        let mut shop = Shop { tills: Tills::start(vec![settings], &facts(), &inbox).unwrap(), inbox: events };
        assert_eq!(shop.event(), TillEvent::Online);
        assert_eq!(as_anybody(name.clone()).unwrap_err().kind(), std::io::ErrorKind::ResourceBusy);
        drop(shop.tills);
        as_anybody(name).unwrap();
    }
}

/// Opens a port as one who has no rights: root is let in everywhere.
fn as_anybody(port: PathBuf) -> std::io::Result<()> {
    let open = move || {
        let mut rights = capabilities(None)?;
        rights.effective.remove(CapabilitySet::SYS_ADMIN);
        set_capabilities(None, rights)?;
        let file = rustix::fs::open(&port, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
        drop(file);
        Ok(())
    };
    std::thread::spawn(open).join().unwrap()
}

#[test]
fn a_till_that_does_not_read_holds_up_neither_the_shop_nor_its_own_requests() {
    let (inbox, events) = Inbox::new();
    let (mut master, slave) = TTYPort::pair().unwrap();
    let name = PathBuf::from(slave.name().unwrap());
    let mut shop = Shop { tills: Tills::start(vec![settings_of(name)], &facts(), &inbox).unwrap(), inbox: events };
    assert_eq!(shop.event(), TillEvent::Online);
    // Far more than a terminal's buffers hold: each sale's result waits, nothing is read.
    let begun = Instant::now();
    for n in 0..20_000 {
        let mut result = finish(None, eur("1"), Outcome::Lapsed);
        result.sale = SaleId(n);
        shop.tills.tell(till(), TillAnswer::Finish(Box::new(result)));
    }
    assert!(begun.elapsed() < PATIENCE, "telling never waits for the till");
    master.write_all(&encode("STATUS|1")).unwrap();
    loop {
        match shop.event() {
            TillEvent::AskedStatus => break,
            TillEvent::Unheard { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Seen with 1,000 kills of the daemon: the first one's `ACK` was spoilt on the line and its `REFUSE` was not; then it was
/// killed, and the second one took the repeated `PAY` on.
#[test]
fn a_refusal_that_another_request_has_overtaken_is_not_believed() {
    let (mut line, port) = TTYPort::pair().unwrap();
    let mut player = Player::over(port, settings()).unwrap();
    let heard = |line: &mut TTYPort, word: &str| {
        let mut fields = Vec::new();
        while fields.first().map(String::as_str) != Some(word) {
            let text = read_frame(line);
            fields = text.split('|').map(str::to_owned).collect();
        }
        fields
    };
    let ended = std::thread::scope(|scope| {
        let till = scope.spawn(|| play(|show| player.pay(eur("12.50"), None, 30, show).unwrap()).0);
        let says = |line: &mut TTYPort, text: String| line.write_all(&encode(&text)).unwrap();
        let pay = heard(&mut line, "PAY");
        let ticket = format!("{}|{}", pay[2], pay[3]);
        says(&mut line, format!("REFUSE|1|{ticket}|NO_LINE|no line to the platform"));
        let again = heard(&mut line, "PAY");
        assert_eq!(again, pay);
        says(&mut line, format!("ACK|{}", again[1]));
        says(&mut line, format!("ACCEPT|1|{ticket}|K7"));
        let asks = heard(&mut line, "LAST");
        says(&mut line, format!("ACK|{}", asks[1]));
        says(&mut line, format!("ACCEPT|2|{ticket}|K7"));
        says(&mut line, format!("RESULT|3|{ticket}|APPROVED|NONE|1250|EUR|0||K7|0|paid|0"));
        heard(&mut line, "TAKEN");
        till.join().unwrap()
    });
    assert_eq!(result_of(ended).outcome, player::Outcome::Approved);
}

fn read_frame(line: &mut TTYPort) -> String {
    let mut decoder = tillgate::till::frame::Decoder::default();
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < until, "the till says nothing");
        let mut byte = [0];
        if line.read(&mut byte).unwrap_or(0) == 1
            && let Some(body) = decoder.push(byte[0])
        {
            return body;
        }
    }
}

#[test]
fn a_till_without_a_box_says_that_nothing_answers() {
    let line = Wire::new();
    let mut player = line.player(settings());
    assert!(matches!(player.status(&mut |_| {}), Err(PlayError::Silent)));
}

const SALE: SaleId = SaleId(0x51 << 120);

fn eur(text: &str) -> Amount {
    Amount::parse(text, Currency::from_code("EUR").unwrap()).unwrap()
}

fn till() -> TillNumber {
    TillNumber::new(7).unwrap()
}

fn result_of(ended: Ended) -> TillResult {
    match ended {
        Ended::Result(result) => result,
        Ended::Refused { .. } | Ended::NeverBegan => panic!("{ended:?}"),
    }
}

/// Runs a call of the player and keeps all that it shows.
fn play<T>(call: impl FnOnce(player::Show) -> T) -> (T, Vec<Shown>) {
    let mut shown = Vec::new();
    let ended = call(&mut |s: &Shown| shown.push(s.clone()));
    (ended, shown)
}

/// The wire: a pty pair at each end and a relay between them, under names that stay when it is pulled and plugged.
struct Wire {
    folder: PathBuf,
    /// The box's end.
    name: PathBuf,
    /// The till's end.
    till: PathBuf,
    plugged: Option<Plugged>,
}

struct Plugged {
    over: Arc<AtomicBool>,
    relays: Vec<JoinHandle<()>>,
    /// Held so that an end that nobody has opened is not taken for one that hung up.
    _ends: [TTYPort; 2],
}

impl Wire {
    fn new() -> Wire {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("tillgate-till-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let folder = std::env::temp_dir().join(unique);
        std::fs::create_dir_all(&folder).unwrap();
        let mut wire = Wire { name: folder.join("box"), till: folder.join("till"), folder, plugged: None };
        wire.plug();
        wire
    }

    fn plug(&mut self) {
        let (box_master, box_end) = TTYPort::pair().unwrap();
        let (till_master, till_end) = TTYPort::pair().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let relays = vec![
            relay(box_master.try_clone_native().unwrap(), till_master.try_clone_native().unwrap(), &over),
            relay(till_master, box_master, &over),
        ];
        std::os::unix::fs::symlink(box_end.name().unwrap(), &self.name).unwrap();
        std::os::unix::fs::symlink(till_end.name().unwrap(), &self.till).unwrap();
        self.plugged = Some(Plugged { over, relays, _ends: [box_end, till_end] });
    }

    fn unplug(&mut self) {
        let _ = std::fs::remove_file(&self.name);
        let _ = std::fs::remove_file(&self.till);
        if let Some(plugged) = self.plugged.take() {
            plugged.over.store(true, Ordering::SeqCst);
            plugged.relays.into_iter().for_each(|r| r.join().unwrap());
        }
    }

    fn player(&self, settings: PlayerSettings) -> Player {
        Player::open(&self.till, settings).unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.unplug();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn relay(mut from: TTYPort, mut to: TTYPort, over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let over = Arc::clone(over);
    from.set_timeout(Duration::from_millis(10)).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while !over.load(Ordering::SeqCst) {
            if let Ok(n) = from.read(&mut buffer) {
                let _ = to.write_all(&buffer[..n]);
            }
        }
    })
}

fn eventually(mut so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "it never came to that");
        std::thread::yield_now();
    }
}

/// The bodies that the box says, up to this one.
fn read_until(port: &mut TTYPort, last: &str) -> String {
    let mut decoder = tillgate::till::frame::Decoder::default();
    let mut said: Vec<String> = Vec::new();
    let mut byte = [0];
    while said.last().is_none_or(|s| s != last) {
        port.read_exact(&mut byte).expect("the box has said nothing more");
        said.extend(decoder.push(byte[0]));
    }
    said.join(" ")
}

fn settings() -> PlayerSettings {
    PlayerSettings { line: fast(), ..PlayerSettings::default() }
}

fn fast() -> LineSettings {
    LineSettings { baud: 115_200, ..LineSettings::default() }
}

/// The gateway's place, played by the test.
struct Shop {
    tills: Tills,
    inbox: Receiver<Incoming>,
}

fn open() -> (Shop, Wire) {
    let wire = Wire::new();
    let mut shop = Shop::on(&wire);
    assert_eq!(shop.event(), TillEvent::Online);
    (shop, wire)
}

impl Shop {
    fn on(wire: &Wire) -> Shop {
        let (inbox, events) = Inbox::new();
        let settings = settings_of(wire.name.clone());
        Shop { tills: Tills::start(vec![settings], &facts(), &inbox).unwrap(), inbox: events }
    }

    /// Plays the shop here and the till on another thread, until both are done.
    fn with<T: Send>(&mut self, shop: impl FnOnce(&mut Shop), till: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let till = scope.spawn(till);
            shop(self);
            till.join().unwrap()
        })
    }

    fn event(&mut self) -> TillEvent {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.inbox.recv()).await });
        match next.expect("no event in time").expect("tills have gone").event {
            Event::Till { till: from, what } if from == till() => what,
            other => panic!("{other:?}"),
        }
    }

    fn asked(&mut self) -> Ask {
        match self.event() {
            TillEvent::Asked(ask) => ask,
            other => panic!("{other:?}"),
        }
    }

    fn accept(&self, ask: Ask) {
        let code = Code::parse("K7").unwrap();
        self.tills.tell(till(), TillAnswer::Accepted { sale: SALE, ticket: ask.ticket, code });
    }

    fn progress(&self, ask: Ask, progress: Progress) {
        self.tills.tell(till(), TillAnswer::Progress { sale: SALE, ticket: ask.ticket, progress });
    }

    fn finish(&self, ask: Ask, outcome: Outcome) {
        self.tills.tell(till(), TillAnswer::Finish(Box::new(finish(ask.ticket, ask.amount, outcome))));
    }
}

fn finish(ticket: Option<Ticket>, amount: Amount, outcome: Outcome) -> Finish {
    Finish {
        sale: SALE,
        ticket,
        code: Code::parse("K7").unwrap(),
        amount,
        kind: AskKind::Pay,
        receipt: None,
        outcome,
        attempt: (outcome == Outcome::Approved).then_some(AttemptId(0xabc)),
        given_back_minor: 0,
        failed_tries: 1,
        at: None,
    }
}

fn settings_of(port: PathBuf) -> TillSettings {
    TillSettings {
        number: till(),
        label: "by the door".to_owned(),
        port: Port::Serial(port),
        protocol: Protocol::Plain,
        line: fast(),
        currency: Currency::from_code("EUR").unwrap(),
        columns: 24,
        memory: None,
    }
}

fn facts() -> ReceiptFacts {
    ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None }
}
