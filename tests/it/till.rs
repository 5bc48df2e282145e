//! The till's player against port and driver over a real pty pair; the test plays the shop.

use serialport::{SerialPort, TTYPort};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tillgate::inbox::{Inbox, Incoming};
use tillgate::shop::effect::{CancelledWhy, DeclinedWhy, Finish, Outcome, Progress, Refusal, TillAnswer, Totals};
use tillgate::shop::event::{Ask, AskKind, Event, Reason, Ticket, TillEvent, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Code;
use tillgate::till::frame::encode;
use tillgate::till::player::{self, Answer, Ended, PlayError, Player, PlayerSettings, Shown, TillResult};
use tillgate::till::{LineSettings, Protocol, ReceiptFacts, TillSettings, Tills};
use tokio::sync::mpsc::Receiver;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_payment_with_a_failed_try_is_shown_printed_and_taken() {
    let (mut shop, mut line) = open();
    let mut player = line.player();
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
        move || play(|show| player.pay(eur("12.50"), None, 30, show).unwrap()),
    );
    let result = result_of(ended);
    assert_eq!((result.outcome, result.amount, result.failed_tries), (player::Outcome::Approved, eur("12.50"), 1));
    assert_eq!(shown.first(), Some(&Shown::Accepted { code: "K7".to_owned() }));
    assert!(shown.iter().any(|s| matches!(s, Shown::Failed { try_no: 1, new_attempt: false, .. })), "{shown:?}");
    assert!(result.lines.contains(&"PAID".to_owned()) && result.lines.contains(&"Clock not set".to_owned()));
    assert_eq!(shown.last(), Some(&Shown::Result(result)));
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
        Ended::Refused { .. } => panic!("{ended:?}"),
    }
}

/// Runs a call of the player and keeps all that it shows.
fn play<T>(call: impl FnOnce(player::Show) -> T) -> (T, Vec<Shown>) {
    let mut shown = Vec::new();
    let ended = call(&mut |s: &Shown| shown.push(s.clone()));
    (ended, shown)
}

/// The wire: a pty pair under a name that stays when the pair is replaced.
struct Wire {
    name: PathBuf,
    folder: PathBuf,
    master: Option<TTYPort>,
    _slave: Option<TTYPort>,
}

impl Wire {
    fn new() -> Wire {
        let unique = format!("{}-{:?}", std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(format!("tillgate-till-{unique}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut wire = Wire { name: folder.join("port"), folder, master: None, _slave: None };
        wire.plug();
        wire
    }

    fn plug(&mut self) {
        let (master, slave) = TTYPort::pair().unwrap();
        let _ = std::fs::remove_file(&self.name);
        std::os::unix::fs::symlink(slave.name().unwrap(), &self.name).unwrap();
        (self.master, self._slave) = (Some(master), Some(slave));
    }

    fn unplug(&mut self) {
        let _ = std::fs::remove_file(&self.name);
        (self.master, self._slave) = (None, None);
    }

    fn player(&mut self) -> Player {
        Player::over(self.master.take().unwrap(), PlayerSettings { line: fast(), ..PlayerSettings::default() }).unwrap()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
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
        let settings = TillSettings {
            number: till(),
            label: "by the door".to_owned(),
            port: wire.name.clone(),
            protocol: Protocol::Plain,
            line: fast(),
            currency: Currency::from_code("EUR").unwrap(),
            columns: 24,
        };
        let facts = ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None };
        Shop { tills: Tills::start(vec![settings], &facts, &inbox).unwrap(), inbox: events }
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
        outcome,
        attempt: (outcome == Outcome::Approved).then_some(AttemptId(0xabc)),
        given_back_minor: 0,
        failed_tries: 1,
        at: None,
    }
}
