//! Tills that come over TCP, on real loopback sockets; the test plays the shop and speaks for the tills byte by byte.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};
use tillgate::inbox::{Inbox, Incoming};
use tillgate::shop::effect::TillAnswer;
use tillgate::shop::event::{Event, TillEvent, TillNumber};
use tillgate::shop::money::Currency;
use tillgate::till::frame::{Decoder, encode};
use tillgate::till::{LineSettings, Port, Protocol, ReceiptFacts, StartError, TillSettings, TillStatus, Tills};
use tokio::net::TcpSocket;
use tokio::sync::mpsc::Receiver;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const ANNA: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
const BERT: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 2);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 3);

#[test]
fn a_till_is_online_while_it_is_connected() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    assert_eq!(shop.status(7).port.to_string(), format!("tcp://{} from {ANNA}", shop.at));
    assert!(!shop.status(7).online);
    for opened in 0..3 {
        let mut till = shop.connect(ANNA);
        assert_eq!(shop.event(7), TillEvent::Online);
        assert_eq!((shop.status(7).online, shop.status(7).reopened), (true, opened));
        // Another number each time: the same one would be a repeat, whichever connection it comes on.
        till.says(&format!("STATUS|{opened}"));
        assert_eq!(shop.event(7), TillEvent::AskedStatus);
        assert_eq!(till.hears(), format!("ACK|{opened}"));
        drop(till);
        assert_eq!(shop.event(7), TillEvent::Offline);
        assert!(!shop.status(7).online);
    }
}

#[test]
fn a_stranger_is_sent_away_at_once_and_disturbs_nobody() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    let mut till = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    for _ in 0..50 {
        let mut stranger = shop.connect(STRANGER);
        let _ = stranger.stream.write_all(&encode("STATUS|1")); // It may have been closed already.
        assert!(stranger.is_hung_up_on());
    }
    till.says("STATUS|2");
    assert_eq!(shop.event(7), TillEvent::AskedStatus);
    assert_eq!(till.hears(), "ACK|2");
}

#[test]
fn tills_share_a_port_and_are_told_apart_by_their_addresses() {
    let mut shop = Shop::new(&[(7, ANNA), (8, BERT)]);
    let mut second = shop.connect(BERT);
    assert_eq!(shop.event(8), TillEvent::Online);
    let mut first = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    second.says("STATUS|1");
    assert_eq!(shop.event(8), TillEvent::AskedStatus);
    shop.tills.tell(number(8), TillAnswer::Status { ready: Ok(()) });
    shop.tills.tell(number(7), TillAnswer::NothingToRepeat { ticket: None });
    assert_eq!(second.hears(), "ACK|1");
    assert!(second.hears().starts_with("STATE|"));
    assert!(first.hears().starts_with("NORESULT|"));
}

#[test]
fn two_tills_with_one_port_and_address_are_refused_however_the_address_is_written() {
    let at = SocketAddr::new(own_address().into(), 20_007);
    let mapped = IpAddr::V6(ANNA.to_ipv6_mapped());
    let (inbox, _events) = Inbox::new();
    let two = vec![settings(7, at, ANNA.into()), settings(8, at, mapped)];
    let refused = Tills::start(two, &facts(), &inbox).unwrap_err();
    assert!(matches!(refused, StartError::PortTwice(_)), "{refused}");
}

#[test]
fn a_second_connection_takes_the_place_of_the_first_and_the_request_goes_on() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    let mut old = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    old.says("PAY|1|3|41|1250|EUR|120");
    let TillEvent::Asked(ask) = shop.event(7) else { panic!() };
    assert_eq!(old.hears(), "ACK|1");
    // The old one is cut off in the middle of a message.
    let half = encode("STATUS|2");
    old.stream.write_all(&half[..4]).unwrap();
    let mut new = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Offline);
    assert_eq!(shop.event(7), TillEvent::Online);
    assert!(old.is_hung_up_on());
    // What the old one began means nothing on the new one.
    new.stream.write_all(&half[4..]).unwrap();
    shop.tills.tell(number(7), TillAnswer::NothingToRepeat { ticket: ask.ticket });
    assert!(new.hears().starts_with("NORESULT|"));
    assert_eq!((shop.status(7).online, shop.status(7).reopened), (true, 1));
}

#[test]
fn of_many_connections_the_last_one_stays_and_each_has_its_own_reader_no_longer_than_it_lasts() {
    let mut shop = Shop::new(&[(177, ANNA)]);
    let mut old = Vec::new();
    for _ in 0..200 {
        old.push(shop.connect(ANNA));
    }
    let mut last = shop.connect(ANNA);
    last.says("STATUS|1");
    while shop.event(177) != TillEvent::AskedStatus {}
    assert_eq!(last.hears(), "ACK|1");
    for mut one in old {
        assert!(one.is_hung_up_on());
    }
    eventually(|| threads("till-177-read") == 1);
    drop(last);
    eventually(|| threads("till-177-read") == 0);
    eventually(|| !shop.status(177).online);
}

#[test]
fn requests_are_understood_however_they_are_cut_and_whatever_stands_between_them() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    let mut till = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    let mut dice = Dice(20_007);
    let mut bytes = Vec::new();
    let requests: Vec<String> = (0..300).map(|n| format!("ACK|{n}")).collect();
    for n in 0..300 {
        for _ in 0..dice.below(20) {
            // Anything but what begins a message.
            bytes.push([0x00, 0x03, 0x06, 0x10, 0x15, 0x80, 0xff, b'S'][dice.below(8)]);
        }
        bytes.extend(encode(&format!("STATUS|{n}")));
    }
    let mut left = &bytes[..];
    let mut asked = 0;
    while !left.is_empty() {
        let (piece, rest) = left.split_at((1 + dice.below(40)).min(left.len()));
        till.stream.write_all(piece).unwrap();
        left = rest;
    }
    for request in requests {
        assert_eq!(till.hears(), request);
        assert_eq!(shop.event(7), TillEvent::AskedStatus);
        asked += 1;
    }
    assert_eq!(asked, 300);
}

#[test]
fn a_million_bytes_of_nonsense_are_counted_and_a_good_request_still_works() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    let mut till = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    let mut dice = Dice(1);
    // Nothing that begins a message, so that each byte counts.
    let nonsense: Vec<u8> = (0..1_000_000).map(|_| u8::try_from(dice.below(253) + 3).unwrap()).collect();
    till.stream.write_all(&nonsense).unwrap();
    till.says("STATUS|1");
    assert_eq!(shop.event(7), TillEvent::AskedStatus);
    assert_eq!(shop.status(7).junk_bytes, 1_000_000);
    assert_eq!(till.hears(), "ACK|1");
}

#[test]
fn a_till_that_never_reads_is_hung_up_on_and_the_others_do_not_wait_for_it() {
    let mut shop = Shop::new(&[(7, ANNA), (8, BERT)]);
    let deaf = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    let mut other = shop.connect(BERT);
    assert_eq!(shop.event(8), TillEvent::Online);
    let asks = std::thread::spawn(move || {
        // The same request again and again: each is answered, and reported once.
        let asking = encode("STATUS|1").repeat(1_000);
        let mut deaf = deaf.stream;
        while deaf.write_all(&asking).is_ok() {}
    });
    assert_eq!(shop.event(7), TillEvent::AskedStatus);
    other.says("STATUS|2");
    assert_eq!(shop.event(8), TillEvent::AskedStatus);
    assert_eq!(other.hears(), "ACK|2");
    asks.join().unwrap();
    loop {
        match shop.event(7) {
            TillEvent::Offline => break,
            // Repeated after the time in which a repeat is known as one.
            TillEvent::AskedStatus => {}
            unexpected => panic!("{unexpected:?}"),
        }
    }
    assert_eq!(shop.status(7).writes_dropped, 1);
}

#[test]
fn a_till_that_never_reads_is_replaced_at_once_by_its_next_connection() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    let deaf = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    let asking = encode("STATUS|1").repeat(1_000);
    let mut hand = deaf.stream.try_clone().unwrap();
    hand.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    // Until nothing moves any more: we are waiting for it to read.
    while hand.write_all(&asking).is_ok() {}
    let mut new = shop.connect(ANNA);
    new.says("STATUS|2");
    let mut seen = Vec::new();
    while seen.last() != Some(&TillEvent::Online) {
        seen.push(shop.event(7));
    }
    assert_eq!(new.hears(), "ACK|2");
}

#[test]
fn an_address_that_cannot_be_listened_at_is_tried_again() {
    let at = SocketAddr::new(own_address().into(), 20_007);
    let taken = TcpListener::bind(at).unwrap();
    let mut shop = Shop::at(at, &[(7, ANNA)]);
    drop(taken);
    eventually(|| try_connect(at, ANNA).is_ok());
    while shop.event(7) != TillEvent::Online {}
}

#[test]
fn when_the_tills_are_dropped_port_and_connections_are_closed() {
    let mut shop = Shop::new(&[(7, ANNA)]);
    let mut till = shop.connect(ANNA);
    assert_eq!(shop.event(7), TillEvent::Online);
    let Shop { tills, at, .. } = shop;
    drop(tills);
    assert!(till.is_hung_up_on());
    eventually(|| try_connect(at, ANNA).is_err());
    eventually(|| TcpListener::bind(at).is_ok());
}

/// The gateway's place, played by the test.
struct Shop {
    tills: Tills,
    inbox: Receiver<Incoming>,
    at: SocketAddr,
    waiting: BTreeMap<TillNumber, Vec<TillEvent>>,
}

impl Shop {
    fn new(tills: &[(u16, Ipv4Addr)]) -> Shop {
        Shop::at(SocketAddr::new(own_address().into(), 20_007), tills)
    }

    fn at(at: SocketAddr, tills: &[(u16, Ipv4Addr)]) -> Shop {
        let (inbox, events) = Inbox::new();
        let tills = tills.iter().map(|(till, peer)| settings(*till, at, (*peer).into())).collect();
        let tills = Tills::start(tills, &facts(), &inbox).unwrap();
        Shop { tills, inbox: events, at, waiting: BTreeMap::new() }
    }

    fn connect(&self, from: Ipv4Addr) -> Till {
        let end = Instant::now() + PATIENCE;
        let stream = loop {
            match try_connect(self.at, from) {
                Ok(stream) => break stream,
                Err(e) if Instant::now() > end => panic!("{e}"),
                Err(_) => std::thread::yield_now(),
            }
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Till { stream, decoder: Decoder::default() }
    }

    /// The next event of this till; those of others wait.
    fn event(&mut self, till: u16) -> TillEvent {
        let till = number(till);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        loop {
            let waiting = self.waiting.entry(till).or_default();
            if !waiting.is_empty() {
                return waiting.remove(0);
            }
            let next = runtime.block_on(async { tokio::time::timeout(PATIENCE, self.inbox.recv()).await });
            match next.expect("no event in time").expect("tills have gone").event {
                Event::Till { till, what } => self.waiting.entry(till).or_default().push(what),
                other => panic!("{other:?}"),
            }
        }
    }

    fn status(&self, till: u16) -> TillStatus {
        let all = self.tills.status_reader().status();
        all.into_iter().find(|status| status.number == number(till)).unwrap()
    }
}

struct Till {
    stream: TcpStream,
    decoder: Decoder,
}

impl Till {
    fn says(&mut self, body: &str) {
        self.stream.write_all(&encode(body)).unwrap();
    }

    fn hears(&mut self) -> String {
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte).expect("the box says nothing");
            if let Some(body) = self.decoder.push(byte[0]) {
                return body;
            }
        }
    }

    /// Whether the box hangs up, whatever it says before.
    fn is_hung_up_on(&mut self) -> bool {
        let mut buffer = [0; 1_024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(e) => return e.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }
}

fn try_connect(to: SocketAddr, from: Ipv4Addr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.into(), 0))?;
        let stream = socket.connect(to).await?.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}

/// A loopback address that no other test has.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// How many threads of this name there are.
fn threads(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|found| found.trim_end() == name).count()
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "it never happens");
        std::thread::yield_now();
    }
}

struct Dice(u32);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) as usize % end
    }
}

fn number(till: u16) -> TillNumber {
    TillNumber::new(till).unwrap()
}

fn settings(till: u16, listen: SocketAddr, peer: IpAddr) -> TillSettings {
    TillSettings {
        number: number(till),
        label: String::new(),
        port: Port::Tcp { listen, peer },
        protocol: Protocol::Plain,
        line: LineSettings::default(),
        currency: Currency::from_code("EUR").unwrap(),
        columns: 24,
        memory: None,
    }
}

fn facts() -> ReceiptFacts {
    ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None }
}
