//! Serial ports opened, locked, pulled and plugged again, over real ptys; the test plays the shop.

use crate::pace::PacedLine;
use serialport::{SerialPort, TTYPort};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tillgate::inbox::{Inbox, Incoming};
use tillgate::shop::effect::{Finish, Outcome, TillAnswer};
use tillgate::shop::event::{Ask, AskKind, Event, TillEvent, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Code;
use tillgate::till::concert::ConcertOptions;
use tillgate::till::concert_frames::{ACK, Answer, ENQ, EOT, LONG_BYTES, Request, Verdict, framed};
use tillgate::till::player::{self, Ended, Player, PlayerSettings};
use tillgate::till::port::open;
use tillgate::till::zvt::ZvtOptions;
use tillgate::till::zvt::link::{Found, Frames, frame};
use tillgate::till::{LineSettings, Port, PortError, Protocol, ReceiptFacts, TillSettings, Tills, stable_name_in};
use tokio::sync::mpsc::Receiver;

const PATIENCE: Duration = Duration::from_secs(60);
const SALE: SaleId = SaleId(7);

/// A folder for the names of ports, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tillgate-port-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The shop's place for one till.
struct Shop {
    number: TillNumber,
    tills: Tills,
    inbox: Receiver<Incoming>,
}

impl Shop {
    fn new(number: u16, port: &Path) -> Shop {
        Shop::speaking(Protocol::Plain, number, port)
    }

    fn speaking(protocol: Protocol, number: u16, port: &Path) -> Shop {
        let number = TillNumber::new(number).unwrap();
        let (inbox, events) = Inbox::new();
        let settings = TillSettings {
            number,
            label: String::new(),
            port: Port::Serial(port.to_owned()),
            protocol,
            line: protocol.line(),
            currency: Currency::from_code("EUR").unwrap(),
            columns: 24,
            memory: None,
        };
        let facts = ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None };
        Shop { number, tills: Tills::start(vec![settings], &facts, &inbox).unwrap(), inbox: events }
    }

    /// What the till has said, within this time.
    fn event_within(&mut self, time: Duration) -> Option<TillEvent> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let next = runtime.block_on(async { tokio::time::timeout(time, self.inbox.recv()).await });
        match next.ok()?.expect("tills have gone").event {
            Event::Till { till, what } if till == self.number => Some(what),
            other => panic!("{other:?}"),
        }
    }

    fn event(&mut self) -> TillEvent {
        self.event_within(PATIENCE).expect("no event in time")
    }

    /// The request that the till has made, taken on.
    fn asked(&mut self) -> Ask {
        let TillEvent::Asked(ask) = self.event() else { panic!("no request") };
        let code = Code::parse("K7").unwrap();
        self.tills.tell(self.number, TillAnswer::Accepted { sale: SALE, ticket: ask.ticket, code });
        ask
    }

    fn finish(&self, ask: Ask) {
        let finish = Finish {
            sale: SALE,
            ticket: ask.ticket,
            code: Code::parse("K7").unwrap(),
            amount: ask.amount,
            kind: AskKind::Pay,
            receipt: None,
            outcome: Outcome::Approved,
            attempt: Some(AttemptId(0xabc)),
            given_back_minor: 0,
            failed_tries: 0,
            at: None,
        };
        self.tills.tell(self.number, TillAnswer::Finish(Box::new(finish)));
    }
}

#[test]
fn a_result_cut_by_a_pulled_cable_comes_again_whole() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let mut shop = Shop::new(71, &line.at_box);
    assert_eq!(shop.event(), TillEvent::Online);
    let mut till = Player::open(&line.at_till, PlayerSettings::default()).unwrap();
    std::thread::scope(|scope| {
        let amount = Amount::parse("12.50", Currency::from_code("EUR").unwrap()).unwrap();
        let paying = scope.spawn(move || till.pay(amount, None, 60, &mut |_| {}).unwrap());
        let TillEvent::Asked(ask) = shop.event() else { panic!("no request") };
        line.to_till.break_after(b"|APPROVED|");
        shop.finish(ask);
        while !line.to_till.broken() {
            assert!(!paying.is_finished());
            std::thread::yield_now();
        }
        drop(line);
        assert_eq!(shop.event(), TillEvent::Offline);
        let again = PacedLine::new(&folder.0);
        assert_eq!(shop.event(), TillEvent::Online);
        let taken = TillEvent::Taken { sale: SALE };
        while shop.event() != taken {}
        let Ended::Result(result) = paying.join().unwrap() else { panic!("no result") };
        assert_eq!((result.outcome, result.amount), (player::Outcome::Approved, amount));
        assert!(again.to_till.last(b"|APPROVED|").is_some());
    });
}

/// A till made of bytes.
struct Raw(TTYPort);

impl Raw {
    fn at(line: &PacedLine) -> Raw {
        let mut port = open(&line.at_till, &LineSettings::default()).unwrap();
        port.set_timeout(PATIENCE).unwrap();
        Raw(port)
    }

    fn says(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads as many bytes, which must be these.
    fn hears(&mut self, bytes: &[u8]) {
        assert_eq!(self.reads(bytes.len()), bytes);
    }

    fn reads(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// Until the way to the till is broken; then the cable is pulled.
fn pull(line: PacedLine, shop: &mut Shop) {
    let begun = std::time::Instant::now();
    while !line.to_till.broken() {
        assert!(begun.elapsed() < PATIENCE, "the box has not said so much");
        std::thread::yield_now();
    }
    drop(line);
    assert_eq!(shop.event(), TillEvent::Offline);
}

#[test]
fn a_concert_till_whose_cable_is_pulled_in_its_request_and_in_its_answer_loses_nothing() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let mut shop = Shop::speaking(Protocol::Concert(ConcertOptions { number: Some(1) }), 73, &line.at_box);
    assert_eq!(shop.event(), TillEvent::Online);
    let amount = Amount::parse("12.50", Currency::from_code("EUR").unwrap()).unwrap();
    let request = Request::write(1, 1_250, true, AskKind::Pay, amount.currency(), false).unwrap();
    let message = framed(request.body().as_bytes());
    let mut till = Raw::at(&line);
    till.says(&[ENQ]);
    till.hears(&[ACK]);
    till.says(&message[..20]);
    while line.to_box.last(&message[..20]).is_none() {
        std::thread::yield_now();
    }
    drop((line, till));
    assert_eq!(shop.event(), TillEvent::Offline);
    let line = PacedLine::new(&folder.0);
    assert_eq!(shop.event(), TillEvent::Online);
    let mut till = Raw::at(&line);
    // What was begun may be refused; the till begins anew.
    till.says(&[ENQ]);
    while till.reads(1) != [ACK] {}
    till.says(&message);
    till.hears(&[ACK]);
    till.says(&[EOT]);
    let ask = shop.asked();
    assert_eq!((ask.amount, ask.kind), (amount, AskKind::Pay));
    line.to_till.break_after(b"\x02010000");
    shop.finish(ask);
    till.hears(&[ENQ]);
    till.says(&[ACK]);
    pull(line, &mut shop);
    drop(till);
    let line = PacedLine::new(&folder.0);
    assert_eq!(shop.event(), TillEvent::Online);
    let mut till = Raw::at(&line);
    till.hears(&[ENQ]);
    till.says(&[ACK]);
    let answer = Answer::read(&till.reads(LONG_BYTES), &request).unwrap();
    assert_eq!(answer.verdict, Verdict::Done);
    till.says(&[ACK]);
    till.hears(&[EOT]);
    assert_eq!(shop.event(), TillEvent::Taken { sale: SALE });
}

#[test]
fn a_zvt_till_whose_cable_is_pulled_in_its_request_and_in_its_result_loses_nothing() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let mut shop = Shop::speaking(Protocol::Zvt(ZvtOptions::default()), 74, &line.at_box);
    assert_eq!(shop.event(), TillEvent::Online);
    let pay = frame(&[0x06, 0x01, 0x07, 0x04, 0, 0, 0, 0, 0x10, 0]);
    let yes = frame(&[0x80, 0, 0]);
    let mut till = Raw::at(&line);
    till.says(&pay[..9]);
    while line.to_box.last(&pay[..9]).is_none() {
        std::thread::yield_now();
    }
    drop((line, till));
    assert_eq!(shop.event(), TillEvent::Offline);
    let line = PacedLine::new(&folder.0);
    assert_eq!(shop.event(), TillEvent::Online);
    let mut till = Raw::at(&line);
    till.says(&pay);
    while till.reads(1) != [ACK] {}
    till.hears(&yes);
    till.says(&[ACK]);
    let ask = shop.asked();
    assert_eq!((ask.amount.minor(), ask.kind), (1_000, AskKind::Pay));
    line.to_till.break_after(&[0x10, 0x02, 0x04, 0x0f]);
    shop.finish(ask);
    pull(line, &mut shop);
    drop(till);
    let line = PacedLine::new(&folder.0);
    assert_eq!(shop.event(), TillEvent::Online);
    let mut till = Raw::at(&line);
    let mut frames = Frames::default();
    let result = loop {
        if let Some(Found::Frame(apdu)) = frames.push(till.reads(1)[0]) {
            break apdu;
        }
    };
    assert_eq!(result[..2], [0x04, 0x0f]);
    till.says(&[&[ACK], yes.as_slice()].concat());
    assert_eq!(shop.event(), TillEvent::Taken { sale: SALE });
}

#[test]
fn a_line_that_hung_up_makes_no_work_until_it_is_back() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let mut shop = Shop::new(72, &line.at_box);
    assert_eq!(shop.event(), TillEvent::Online);
    assert_eq!(work("till-72").threads, 2);
    drop(line);
    assert_eq!(shop.event(), TillEvent::Offline);
    let before = work("till-72");
    assert_eq!(shop.event_within(Duration::from_secs(2)), None);
    let after = work("till-72");
    assert_eq!(after.threads, 1, "the reader ends with its port");
    let (switches, ticks) = (after.switches - before.switches, after.ticks - before.ticks);
    assert!(switches <= 20 && ticks <= 2, "{switches} wake-ups and {ticks} ticks in two seconds");
    let _again = PacedLine::new(&folder.0);
    assert_eq!(shop.event(), TillEvent::Online);
    let before = work("till-72");
    assert_eq!(shop.event_within(Duration::from_secs(1)), None);
    let after = work("till-72");
    // Each thread may have been on its way to sleep.
    assert!(after.threads == 2 && after.switches - before.switches <= 2, "a silent line wakes nobody");
}

struct Work {
    threads: u64,
    switches: u64,
    /// Hundredths of a second on a processor.
    ticks: u64,
}

/// What the kernel has counted for the threads of this name and those whose names begin with it and a `-`.
fn work(name: &str) -> Work {
    let mut work = Work { threads: 0, switches: 0, ticks: 0 };
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let comm = read("comm");
        if comm.trim_end() != name && !comm.starts_with(&format!("{name}-")) {
            continue;
        }
        let status = read("status");
        let count = |field| {
            let line: Option<&str> = status.lines().find_map(|line| line.strip_prefix(field));
            line.map_or(0, |count| count.trim().parse::<u64>().unwrap())
        };
        work.threads += 1;
        work.switches += count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:");
        let stat = read("stat");
        let times = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        work.ticks += times.map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>();
    }
    work
}

#[test]
fn a_port_that_cannot_be_opened_says_what_to_do() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let plain = LineSettings::default();
    let why = |path: &Path, line: &LineSettings| open(path, line).unwrap_err();
    let said = |error: &PortError| error.to_string();
    let missing = why(Path::new("/dev/no-such-port"), &plain);
    assert!(matches!(missing, PortError::Missing(_)) && said(&missing).contains("look in /dev/serial/by-id"));
    for path in ["/dev/null", "/dev", "/dev/zero"] {
        let error = why(Path::new(path), &plain);
        assert!(matches!(error, PortError::NoSerialPort(_)), "{error}");
    }
    // A pty has no modem lines.
    for (key, line_settings) in
        [("RTS", LineSettings { rts: Some(true), ..plain }), ("DTR", LineSettings { dtr: Some(false), ..plain })]
    {
        let error = why(&line.at_box, &line_settings);
        assert!(matches!(error, PortError::NoModemLine { .. }), "{error}");
        assert!(said(&error).contains(&format!("has no {key} line: take `{}` out", key.to_lowercase())), "{error}");
    }
    let _held = open(&line.at_box, &plain).unwrap();
    let used = why(&line.at_box, &plain);
    assert!(matches!(used, PortError::InUse(_)) && said(&used).contains("two tills"), "{used}");
}

/// The library would lift it: a program that tried and failed would open the port to all others.
#[test]
fn a_second_program_that_fails_leaves_the_port_to_the_first_one_alone() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let _held = open(&line.at_box, &LineSettings::default()).unwrap();
    assert!(open(&line.at_box, &LineSettings::default()).is_err());
    let real = std::fs::canonicalize(&line.at_box).unwrap();
    let try_it = format!("exec 3<>{}", real.display());
    let mut shell = Command::new("sh");
    // Root may open what is exclusive.
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o666)).unwrap();
        shell = Command::new("setpriv");
        shell.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
    }
    let output = shell.args(["-c", &try_it]).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("busy"), "{said}");
}

#[test]
fn another_program_is_named_when_it_has_the_port() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let mut other = Command::new(env!("CARGO_BIN_EXE_tillgate"));
    other.args(["listen", line.at_box.to_str().unwrap(), "--seconds", "60"]);
    let mut other = other.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    // Read until it has the port; not closed, for a listener that nobody reads ends.
    let mut said = std::io::BufReader::new(other.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut said, &mut first).unwrap();
    let error = open(&line.at_box, &LineSettings::default()).unwrap_err().to_string();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(error.contains(&format!("in use by tillgate (process {})", other.id())), "{error}");
}

#[test]
fn a_port_has_the_stable_name_that_leads_to_it() {
    let folder = Folder::new();
    let line = PacedLine::new(&folder.0);
    let by_id = folder.0.join("by-id");
    std::fs::create_dir(&by_id).unwrap();
    let stable = by_id.join("usb-FTDI_FT232R-if00-port0");
    std::os::unix::fs::symlink(&line.at_box, &stable).unwrap();
    std::os::unix::fs::symlink("/dev/null", by_id.join("usb-A_stranger")).unwrap();
    let real = std::fs::canonicalize(&line.at_box).unwrap();
    assert_eq!(stable_name_in(&by_id, &real), Some(stable.clone()));
    assert_eq!(stable_name_in(&by_id, &line.at_box), Some(stable.clone()));
    assert_eq!(stable_name_in(&by_id, &line.at_till), None);
    assert_eq!(stable_name_in(&by_id, &stable), None, "it has its stable name already");
    assert_eq!(stable_name_in(&folder.0.join("nothing"), &real), None);
}
