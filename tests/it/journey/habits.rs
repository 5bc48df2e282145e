//! Tills that speak ZVT, with the habits of the programs that are known, byte by byte through the running daemon: over
//! TCP, and one on a serial line.

use super::rig::{Dress, Phone, Rig, eventually};
use super::{confirm, confirm_and_pay};
use serialport::TTYPort;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tillgate::shop::effect::Outcome;
use tillgate::shop::money::{Amount, Currency};
use tillgate::till::zvt::apdu::Apdu;
use tillgate::till::zvt::player::{Answer, CONFIG, Player, PlayerSettings, Shown};
use tillgate::till::zvt::player_told::{Told, code_text};
use tillgate::till::zvt::player_wire::Wire;

/// Longer than anything here takes on a busy machine.
const WAIT: Duration = Duration::from_secs(30);
/// As customers type it.
const TILL: &str = "8";
/// In minor units.
const PRICE: u64 = 1_002;

/// What is known of a program: what it says, and what it must not hear.
struct Habit {
    register: &'static str,
    pay: &'static str,
    /// It wants intermediate status.
    status: bool,
    /// How receipts come: `06 D1`, `06 D3`, or not at all.
    receipt: Option<u16>,
    /// It names the currency itself.
    currency: bool,
}

const HABITS: [Habit; 6] = [
    // Lists the block of text, names no currency in payments, wants no status.
    Habit {
        register: "06 00 10 00 00 00 B6 09 78 03 01 06 06 26 04 0A 02 06 D3",
        pay: "06 01 07 04 00 00 00 00 10 02",
        status: false,
        receipt: Some(0x06d3),
        currency: true,
    },
    // Builds its receipts itself.
    Habit {
        register: "06 00 10 12 34 56 3E 09 78 03 03 06 06 26 04 0A 02 06 D3",
        pay: "06 01 07 04 00 00 00 00 10 02",
        status: true,
        receipt: None,
        currency: true,
    },
    // More in its container than the list.
    Habit {
        register: "06 00 11 12 34 56 BE 09 78 06 09 26 04 0A 02 06 D3 1F 04 00",
        pay: "06 01 07 04 00 00 00 00 10 02",
        status: true,
        receipt: Some(0x06d3),
        currency: true,
    },
    // Neither container nor list.
    Habit {
        register: "06 00 06 12 34 56 DE 09 78",
        pay: "06 01 0A 04 00 00 00 00 10 02 49 09 78",
        status: true,
        receipt: Some(0x06d1),
        currency: true,
    },
    // Registers without a currency, pays with an empty container at the end.
    Habit {
        register: "06 00 04 12 34 56 8E",
        pay: "06 01 0C 04 00 00 00 00 10 02 49 09 78 06 00",
        status: true,
        receipt: Some(0x06d1),
        currency: true,
    },
    // Never says a currency.
    Habit {
        register: "06 00 04 00 00 00 8E",
        pay: "06 01 07 04 00 00 00 00 10 02",
        status: true,
        receipt: Some(0x06d1),
        currency: false,
    },
];

#[test]
fn every_known_program_is_answered_as_it_wants_to_be() {
    let shop = Shop::new();
    for habit in HABITS {
        let mut till = shop.connect();
        let mut phone = shop.paired();
        till.says(habit.register);
        assert_eq!(kinds(&till.hears_to_the_end()), [0x8000, 0x060f], "{}", habit.register);
        till.says(habit.pay);
        confirm_and_pay(&mut phone);
        let heard = till.hears_to_the_end();
        let kinds = kinds(&heard);
        assert_eq!((kinds[0], kinds.last()), (0x8000, Some(&0x060f)), "{}", habit.register);
        assert_eq!(kinds.contains(&0x04ff), habit.status, "{}", habit.register);
        let printed: Vec<u16> = kinds.iter().copied().filter(|kind| matches!(kind, 0x06d1 | 0x06d3)).collect();
        assert_eq!(printed.first().copied(), habit.receipt, "{}", habit.register);
        assert!(printed.iter().all(|kind| Some(*kind) == habit.receipt), "{}", habit.register);
        let result = heard.iter().find(|apdu| apdu.control == 0x040f).unwrap();
        let told = Told::read(&result.data);
        assert_eq!((told.result, told.amount_minor), (Some(0), Some(PRICE)), "{}", habit.register);
        assert_eq!(told.currency, habit.currency.then_some(978), "{}", habit.register);
        // Texts only for those that have shown that they know containers.
        let texts = heard.iter().filter(|apdu| apdu.control == 0x04ff).all(|apdu| apdu.data.len() > 2);
        assert_eq!(texts, !habit.status || habit.register.contains("26 04"), "{}", habit.register);
    }
    let sales = shop.rig.books_agree();
    assert_eq!(sales.len(), HABITS.len());
    assert!(sales.iter().all(|sale| sale.outcome() == Some(Outcome::Approved)), "{sales:?}");
}

#[test]
fn what_a_till_says_may_come_byte_by_byte_or_together() {
    let shop = Shop::new();
    let mut phone = shop.paired();
    let mut till = shop.connect();
    for byte in bytes("06 00 06 12 34 56 DE 09 78") {
        till.stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(kinds(&[till.hears(), till.hears()]), [0x8000, 0x060f]);
    // Its acknowledgement and its next command in one piece.
    till.says("80 00 00 05 01 00");
    assert_eq!(kinds(&[till.hears(), till.hears()]), [0x8000, 0x060f]);
    till.says("80 00 00 06 01 0A 04 00 00 00 00 10 02 49 09");
    till.says("78");
    confirm_and_pay(&mut phone);
    assert_eq!(kinds(&till.hears_to_the_end()).last(), Some(&0x060f));
    assert_eq!(shop.rig.books_agree().len(), 1);
}

#[test]
fn after_nonsense_the_next_connection_works() {
    let shop = Shop::new();
    for nonsense in
        ["06 01 FF FF FF 00 00", "00 01 02 FF FE", "84 83 00 80 00 00", "06 01 07 04 00", "06 01 00 06 00 00"]
    {
        let mut till = shop.connect();
        till.says(nonsense);
        let mut till = shop.connect();
        till.says("06 00 06 12 34 56 DE 09 78");
        assert_eq!(kinds(&till.hears_to_the_end()), [0x8000, 0x060f], "{nonsense}");
    }
    assert!(shop.rig.sales().is_empty());
}

#[test]
fn a_sale_outlives_the_connection_that_it_began_on() {
    let shop = Shop::new();
    let mut phone = shop.paired();
    let mut old = shop.connect();
    old.says(HABITS[0].register);
    old.hears_to_the_end();
    old.says(HABITS[0].pay);
    let link = confirm(&mut phone);
    let mut new = shop.connect();
    new.says("06 20 03 00 00 00");
    assert_eq!(new.hears().control, 0x8000);
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    let heard = new.hears_to_the_end();
    let result = heard.iter().find(|apdu| apdu.control == 0x040f).unwrap();
    assert_eq!(Told::read(&result.data).amount_minor, Some(PRICE));
    let sales = shop.rig.books_agree();
    assert_eq!((sales.len(), sales[0].outcome()), (1, Some(Outcome::Approved)));
}

#[test]
fn a_cashier_who_asks_again_after_the_till_lost_its_connection_does_not_have_it_paid_twice() {
    let shop = Shop::new();
    let mut phone = shop.paired();
    let mut old = shop.connect();
    old.says(HABITS[0].register);
    old.hears_to_the_end();
    old.says(HABITS[0].pay);
    let link = confirm(&mut phone);
    drop(old);
    let mut new = shop.connect();
    new.says(HABITS[0].register);
    new.hears_to_the_end();
    new.says(HABITS[0].pay);
    let heard = new.hears_to_the_end();
    assert_eq!(heard.last(), Some(&Apdu::new(0x061e, vec![0x9c])), "{heard:?}");
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    phone.reads("Paid. Thank you!");
    new.says("06 20 03 00 00 00");
    let heard = new.hears_to_the_end();
    let result = heard.iter().find(|apdu| apdu.control == 0x040f).unwrap();
    assert_eq!(Told::read(&result.data).amount_minor, Some(PRICE));
    assert_eq!((shop.rig.books_agree().len(), shop.rig.payments().len()), (1, 1));
}

#[test]
fn an_installer_plays_a_till_over_tcp() {
    let shop = Shop::new();
    let port = format!("tcp://{}", shop.at);
    let play = |what: &[&str]| {
        let args = ["till", "--protocol", "zvt", "--port", &port];
        let mut command = Command::new(env!("CARGO_BIN_EXE_tillgate"));
        command.args(args).args(what).stdout(Stdio::piped()).spawn().unwrap()
    };
    let said = |child: std::process::Child| {
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(said(play(&["register"])).0, Some(0));
    assert_eq!(said(play(&["status"])).0, Some(0));
    let mut phone = shop.paired();
    let paying = play(&["pay", "10.02"]);
    confirm_and_pay(&mut phone);
    let (code, text) = said(paying);
    assert_eq!(code, Some(0), "{text}");
    for part in ["accepted", " / Code ", "amount     10.02 EUR", "PAID", "done"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (code, text) = said(play(&["repeat"]));
    assert!(code == Some(0) && text.contains("amount     10.02 EUR"), "{code:?} {text}");
    let (code, text) = said(play(&["pay", "0.01"]));
    assert!(code == Some(1) && text.contains(&code_text(0xc8)), "{code:?} {text}");
}

#[test]
fn a_till_on_a_serial_line_pays() {
    let (master, slave) = TTYPort::pair().unwrap();
    let port = serialport::SerialPort::name(&slave).unwrap();
    let more = format!("\n[[till]]\nnumber = {TILL}\nport = \"{port}\"\nprotocol = \"zvt\"\n");
    let mut rig = Rig::dressed(Dress { more, ..Dress::default() });
    // The daemon opens it for itself.
    drop(slave);
    rig.start();
    eventually("the till's port is open", || rig.log().matches("till port open").count() == 2);
    let currency = Currency::from_code("EUR").unwrap();
    let settings =
        PlayerSettings { currency, password: 0, config: CONFIG, takes_blocks: false, answer: |_| Answer::Taken };
    let mut till = Player::new(Wire::over(master), settings);
    assert!(till.register(&mut |_| {}).unwrap().how.is_ok());
    let mut phone = rig.phone();
    phone.stands_at(TILL);
    let paying = std::thread::spawn(move || {
        let mut shown = Vec::new();
        let ended = till.pay(Amount::from_minor(PRICE, currency).unwrap(), &mut |s| shown.push(s.clone()));
        (ended.unwrap(), shown)
    });
    confirm_and_pay(&mut phone);
    let (ended, shown) = paying.join().unwrap();
    assert_eq!((ended.how.is_ok(), ended.told.unwrap().amount_minor), (true, Some(PRICE)));
    assert!(ended.lines.contains(&"PAID".to_owned()), "{:?}", ended.lines);
    assert!(shown.iter().any(|s| matches!(s, Shown::Waiting { .. })), "{shown:?}");
    assert_eq!(rig.books_agree()[0].outcome(), Some(Outcome::Approved));
}

/// The daemon with one till on TCP besides the rig's own.
struct Shop {
    rig: Rig,
    at: String,
}

impl Shop {
    fn new() -> Shop {
        let at = format!("{}:20007", own_address());
        let more =
            format!("\n[[till]]\nnumber = {TILL}\nport = \"tcp://{at}\"\npeer = \"127.0.0.1\"\nprotocol = \"zvt\"\n");
        let mut rig = Rig::dressed(Dress { more, ..Dress::default() });
        rig.start();
        eventually("the daemon is ready", || rig.log().contains(" ready portal"));
        Shop { rig, at }
    }

    fn connect(&self) -> Till {
        let stream = TcpStream::connect(&self.at).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        Till { stream }
    }

    fn paired(&self) -> Phone {
        let mut phone = self.rig.phone();
        phone.stands_at(TILL);
        phone
    }
}

struct Till {
    stream: TcpStream,
}

impl Till {
    fn says(&mut self, hex: &str) {
        self.stream.write_all(&bytes(hex)).unwrap();
    }

    fn hears(&mut self) -> Apdu {
        let mut message = vec![0; 3];
        self.stream.read_exact(&mut message).expect("the box says nothing");
        let length = match message[2] {
            0xff => {
                message.resize(5, 0);
                self.stream.read_exact(&mut message[3..]).unwrap();
                usize::from(u16::from_le_bytes([message[3], message[4]]))
            }
            short => usize::from(short),
        };
        let head = message.len();
        message.resize(head + length, 0);
        self.stream.read_exact(&mut message[head..]).unwrap();
        Apdu::parse(&message).unwrap()
    }

    /// What it hears until its command has ended, all of it acknowledged.
    fn hears_to_the_end(&mut self) -> Vec<Apdu> {
        let mut heard = Vec::new();
        loop {
            let apdu = self.hears();
            if apdu.answer().is_none() {
                self.says("80 00 00");
            }
            let over = matches!(apdu.control, 0x060f | 0x061e) || matches!(apdu.answer(), Some(Err(_)));
            heard.push(apdu);
            if over {
                return heard;
            }
        }
    }
}

fn kinds(heard: &[Apdu]) -> Vec<u16> {
    heard.iter().map(|apdu| apdu.control).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

/// A loopback address that no other test has.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(129);
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 64 | (high & 63), low, NEXT.fetch_add(1, Ordering::Relaxed))
}
