//! Tills whose lines have the pace of real ones, in each protocol: how long the box takes to acknowledge a request, and from
//! its last byte to the customer's phone. Each sale stands beside a commit alone.

use crate::figures::{Figures, part_ms};
use crate::ground::Steps;
use crate::house::House;
use crate::pace::{PacedLine, Passed};
use crate::phone::{Phone, Wire};
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tillgate::sandbox::{ACCOUNTS, PASSWORD};
use tillgate::shop::event::AskKind;
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::time::Wall;
use tillgate::store::Store;
use tillgate::till::concert_frames::{Request, Verdict};
use tillgate::till::player::{Ended, Outcome, Player, PlayerSettings};
use tillgate::till::port::open;
use tillgate::till::zvt::player_wire::{Place, Wire as ZvtWire};
use tillgate::till::zvt::{self, player as zvt_player};
use tillgate::till::{LineSettings, concert_player};

/// From the last byte of a request to the first of its acknowledgement.
const ACKNOWLEDGED_MS: f64 = 50.0;
/// From the last byte of a request to the question on the phone, beside a commit alone.
const SHOWN_MS: f64 = 50.0;
const PHONE: Ipv4Addr = Ipv4Addr::new(127, 2, 0, 1);

/// A protocol at its pace.
struct Speech {
    name: &'static str,
    /// What the configuration says of the till besides its port.
    config: &'static str,
    /// A till on this port; each call asks for 12.50 EUR and returns once it is paid.
    open: fn(&Path) -> Pay,
    /// How many bytes there are up to the end of the request, if it is whole.
    request: fn(&[u8]) -> Option<usize>,
}

type Pay = Box<dyn FnMut() + Send>;

const SPEECHES: [Speech; 3] = [
    Speech { name: "plain", config: "", open: plain, request: plain_request },
    Speech { name: "concert", config: "protocol = \"concert\"\n", open: concert, request: concert_request },
    Speech { name: "zvt", config: "protocol = \"zvt\"\n", open: zvt, request: zvt_request },
];

pub(crate) fn all(figures: &mut Figures, sales: u32) {
    for speech in SPEECHES {
        measure(figures, sales, &speech);
    }
}

fn measure(figures: &mut Figures, sales: u32, speech: &Speech) {
    let folder = std::env::temp_dir().join(format!("paced-{}-{}", speech.name, std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let line = PacedLine::new(&folder);
    let house = House::at(std::slice::from_ref(&line.at_box), speech.config);
    let (_daemon, _) = house.start();
    let mut disk = Alone::new(&house);
    let mut customer = Customer::new(&house);
    let mut pay = (speech.open)(&line.at_till);
    let (mut acknowledged, mut shown, mut beside, mut added) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..sales {
        // Not in step with anything that wakes up every second.
        thread::sleep(Duration::from_millis(200 + u64::from(n % 7)));
        customer.phone.load();
        customer.phone.listen();
        let (said, heard) = (line.to_box.count(), line.to_till.count());
        thread::scope(|scope| {
            let paying = scope.spawn(&mut pay);
            let at = customer.phone.changed();
            let asked = end_of(&line.to_box.since(said), speech.request);
            let (took, alone) = (at - asked, disk.time());
            shown.push(took);
            beside.push(alone);
            added.push(took.saturating_sub(alone));
            customer.pay();
            paying.join().unwrap();
            let answered = line.to_till.since(heard).into_iter().find(|passed| passed.came >= asked);
            acknowledged.push(answered.expect("the box acknowledges").came - asked);
        });
        customer.finish();
    }
    drop(line);
    std::fs::remove_dir(&folder).unwrap();
    let name = speech.name;
    figures.at_most(&format!("{name}: acknowledged, p99"), part_ms(&mut acknowledged, 0.99), ACKNOWLEDGED_MS, "ms");
    figures.plain(&format!("{name}: request to phone, p50"), part_ms(&mut shown, 0.5), "ms");
    figures.plain(&format!("{name}: request to phone, p99"), part_ms(&mut shown, 0.99), "ms");
    figures.plain(&format!("{name}: a commit alone beside it, p50"), part_ms(&mut beside, 0.5), "ms");
    figures.at_most(&format!("{name}: request to phone less a commit, p99"), part_ms(&mut added, 0.99), SHOWN_MS, "ms");
}

/// When the box had the last byte of the request.
fn end_of(passed: &[Passed], request: fn(&[u8]) -> Option<usize>) -> Instant {
    let bytes: Vec<u8> = passed.iter().map(|p| p.byte).collect();
    let end = request(&bytes).unwrap_or_else(|| panic!("no request in {bytes:x?}"));
    passed[end - 1].went
}

/// A commit as large as that of a new sale, in books of its own on the same disk.
struct Alone {
    store: Store,
    steps: Steps,
}

impl Alone {
    fn new(house: &House) -> Alone {
        Alone { store: Store::open(&house.stage.file("alone.db")).unwrap(), steps: Steps::new(3) }
    }

    fn time(&mut self) -> Duration {
        let records = self.steps.next();
        let start = Instant::now();
        self.store.commit(Some(Wall(self.steps.wall)), &records).unwrap();
        start.elapsed()
    }
}

struct Customer {
    phone: Phone,
    checkout: Wire,
}

impl Customer {
    fn new(house: &House) -> Customer {
        let phone = Phone::log_in(house.stage.portal, PHONE, Some(1));
        Customer { phone, checkout: Wire::new(PHONE, house.checkout) }
    }

    fn pay(&mut self) {
        self.phone.until("/confirm\"");
        self.phone.send("confirm", "");
        self.phone.until("/checkout\"");
        let token = self.phone.checkout();
        let form = format!("action=pay&account={}&password={PASSWORD}", ACCOUNTS[0].0);
        let answer = self.checkout.ask("POST", &format!("/checkout/{token}"), &form);
        assert_eq!(answer.status, 303, "the checkout refuses: {}", answer.text);
    }

    fn finish(&mut self) {
        self.phone.until("/finish\"");
        self.phone.send("finish", "");
        self.phone.load();
        if self.phone.page.contains("name=\"till\"") {
            self.phone.send("till", "till=1");
        }
    }
}

fn sum() -> Amount {
    Amount::parse("12.50", Currency::from_code("EUR").unwrap()).unwrap()
}

fn plain(port: &Path) -> Pay {
    let mut till = Player::open(port, PlayerSettings::default()).unwrap();
    Box::new(move || match till.pay(sum(), None, 120, &mut |_| {}).unwrap() {
        Ended::Result(result) => assert_eq!(result.outcome, Outcome::Approved),
        other @ (Ended::NeverBegan | Ended::Refused { .. }) => panic!("{other:?}"),
    })
}

/// Four digits of check follow the end of the body.
fn plain_request(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.windows(4).position(|w| w == b"PAY|")?;
    let end = begin + bytes[begin..].iter().position(|b| *b == 0x03)? + 5;
    (end <= bytes.len()).then_some(end)
}

fn concert(port: &Path) -> Pay {
    let mut port = open(port, &LineSettings::default()).unwrap();
    let request = Request::write(1, sum().minor(), true, AskKind::Pay, sum().currency(), false).unwrap();
    Box::new(move || {
        let answer = concert_player::play(&mut port, &request, Duration::from_secs(120), &mut |_| {}).unwrap();
        assert_eq!(answer.verdict, Verdict::Done);
    })
}

/// STX, 34 characters, ETX and the check.
fn concert_request(bytes: &[u8]) -> Option<usize> {
    let end = bytes.iter().position(|b| *b == 0x02)? + 37;
    (end <= bytes.len()).then_some(end)
}

fn zvt(port: &Path) -> Pay {
    let settings = zvt_player::PlayerSettings {
        currency: sum().currency(),
        password: 0,
        config: zvt_player::CONFIG,
        takes_blocks: false,
        answer: |_| zvt_player::Answer::Taken,
    };
    let wire = ZvtWire::open(&Place::of(port), &zvt::LINE).unwrap();
    let mut till = zvt_player::Player::new(wire, settings);
    till.register(&mut |_| {}).unwrap().how.unwrap();
    Box::new(move || {
        till.pay(sum(), &mut |_| {}).unwrap().how.unwrap();
    })
}

/// From DLE STX and the command to two bytes of check behind DLE ETX.
fn zvt_request(bytes: &[u8]) -> Option<usize> {
    let begin = bytes.windows(4).position(|w| w == [0x10, 0x02, 0x06, 0x01])?;
    let end = begin + 2 + bytes[begin + 2..].windows(2).position(|w| w == [0x10, 0x03])? + 4;
    (end <= bytes.len()).then_some(end)
}
