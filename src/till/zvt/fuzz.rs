//! ZVT under arbitrary bytes, answers and times, on both kinds of line, and the readers of its commands. Opens no port.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing, clippy::panic)]

use super::apdu::{Apdu, Reader, Stream, Writer, bcd, control, number};
use super::link::{ACK, APDU_BYTES_MAX, Found, Frames, Link, NAK, frame};
use super::request::{Request, WANTS_STATUS};
use super::{Letters, PATIENCE_MS, WAITING_MAX, Zvt, ZvtOptions, ZvtSettings};
use crate::shop::effect::TillAnswer;
use crate::shop::event::{Ask, AskKind, Of, TillEvent, TillNumber};
use crate::shop::money::Currency;
use crate::shop::time::Mono;
use crate::till::driver::{Capabilities, Counts, Driver, Out};
use crate::till::fuzz::{Fuzzed, drive};
use crate::till::receipt::ReceiptFacts;

/// How long a till keeps silent before it tries again.
const PAUSE_MS: u64 = 6_000;
/// Most words of a dialogue: a registration and all that was left over.
const WORDS_MAX: usize = 200;

/// A till on a serial line.
#[derive(Debug)]
pub struct Serial(Zvt);

/// A till on TCP.
#[derive(Debug)]
pub struct Tcp(Zvt);

/// What `data` says, to a till on a serial line.
pub fn serial(data: &[u8]) {
    play::<Serial>(data);
}

/// What `data` says, to a till on TCP.
pub fn tcp(data: &[u8]) {
    play::<Tcp>(data);
}

fn play<D: Fuzzed>(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    match how % 8 {
        0..5 => drive::<D>(rest),
        5 | 6 => recovers::<D>(usize::from(how >> 3) + 1, rest),
        _ => read(rest),
    }
}

/// After any bytes, a till that keeps silent for a while and then registers gets its request through.
fn recovers<D: Fuzzed>(piece: usize, junk: &[u8]) {
    let mut driver = D::fresh(0);
    let mut now = Mono(1_000_000);
    let mut out = Out::default();
    for part in junk.chunks(piece) {
        driver.received(now, part, &mut out);
    }
    wait(&mut driver, &mut now, PAUSE_MS, &mut out);
    converse(&mut driver, &mut now, &[0x06, 0x00, 0x04, 0, 0, 0, 0x02]);
    let events = converse(&mut driver, &mut now, &[0x06, 0x01, 0x07, 0x04, 0, 0, 0, 0, 0x10, 0x00]);
    let asked = |event: &TillEvent| matches!(event, TillEvent::Asked(ask) if ask.amount.minor() == 1_000);
    assert_eq!(events.iter().filter(|event| asked(event)).count(), 1, "a good request is lost");
}

/// The till says this and answers, as a till does, whatever it hears, until nothing more is said.
fn converse<D: Fuzzed>(driver: &mut D, now: &mut Mono, apdu: &[u8]) -> Vec<TillEvent> {
    let mut events = Vec::new();
    let mut out = Out::default();
    driver.received(*now, &D::framed(apdu), &mut out);
    for _ in 0..WORDS_MAX {
        events.append(&mut out.events);
        let said = std::mem::take(&mut out.bytes);
        wait(driver, now, super::GAP_MS, &mut out);
        if said.is_empty() && out.bytes.is_empty() {
            return events;
        }
        driver.received(*now, &D::answered(0, &said), &mut out);
    }
    panic!("the box never ends");
}

fn wait<D: Driver>(driver: &mut D, now: &mut Mono, ms: u64, out: &mut Out) {
    let until = now.plus_ms(ms);
    while let Some(due) = driver.deadline().filter(|due| *due <= until) {
        *now = due.max(*now);
        driver.passed(*now, out);
    }
    *now = until;
    driver.passed(*now, out);
}

/// What is read and written again reads the same, and no reader goes beyond the end.
fn read(data: &[u8]) {
    if let Ok(apdu) = Apdu::parse(data) {
        assert_eq!(Apdu::parse(&apdu.bytes()), Ok(apdu.clone()));
        let _ = Request::parse(&apdu, None);
        let _ = Request::parse(&apdu, Some(123_456));
    }
    if let Ok(fields) = Reader(data).fields() {
        let held: usize = fields.all().iter().map(|(_, value)| value.len() + 1).sum();
        assert!(held <= data.len());
        let _ = fields.objects();
    }
    if let Ok(objects) = Reader(data).objects() {
        let mut again = Writer::default();
        for (tag, value) in &objects {
            again.object(*tag, value);
        }
        assert_eq!(Reader(&again.0).objects().as_ref(), Ok(&objects));
    }
    if let Ok(value) = number(data) {
        assert_eq!(bcd(value, data.len()), data);
    }
    let mut frames = Frames::default();
    let found: Vec<Found> = frame(data).iter().filter_map(|byte| frames.push(*byte)).collect();
    let kept = if data.len() <= APDU_BYTES_MAX { Found::Frame(data.to_vec()) } else { Found::Bad };
    assert_eq!(found, [kept]);
}

fn fresh(link: Link, seed: u16) -> Zvt {
    let [high, low] = seed.to_be_bytes();
    // Every config byte, and every width of paper.
    driver(link, low, usize::from(high))
}

fn driver(link: Link, config_byte: u8, width: usize) -> Zvt {
    let letters = if width & 1 == 0 { Letters::Ascii } else { Letters::Cp437 };
    let settings = ZvtSettings {
        till: TillNumber::new(9_999).unwrap(),
        currency: Currency::from_code("EUR").unwrap(),
        facts: ReceiptFacts { shop_name: "Café | «Nord» \u{2}\u{10}".to_owned(), time_zone: None },
        columns: width,
        byte_us: 1_146,
        options: ZvtOptions { config_byte, letters, terminal_id: 10_101_010, ..ZvtOptions::default() },
    };
    let mut zvt = Zvt::new(settings, link);
    zvt.line(Mono(0), true, &mut Out::default());
    zvt
}

fn within_limits(zvt: &Zvt) -> bool {
    let (waiting, held) = zvt.held();
    waiting <= WAITING_MAX && held <= APDU_BYTES_MAX
}

/// The answer of a till to the last command in `apdus`; nothing to an answer.
fn answer(how: u8, apdus: &[Apdu]) -> Option<Vec<u8>> {
    apdus.last().filter(|last| last.answer().is_none())?;
    Some(match how % 8 {
        0..5 => Apdu::positive().bytes(),
        5 => Apdu::negative(0x9c).bytes(),
        _ => Apdu::negative(how).bytes(),
    })
}

fn understood(apdu: &Apdu) {
    assert_eq!(Apdu::parse(&apdu.bytes()).as_ref(), Ok(apdu));
    match apdu.control {
        control::STATUS_INFORMATION | control::PRINT_BLOCK => {
            let fields = Reader(&apdu.data).fields().unwrap();
            assert!(fields.whole && !fields.all().is_empty());
            fields.objects().unwrap();
        }
        control::INTERMEDIATE_STATUS | control::PRINT_LINE | control::ABORTED => assert!(!apdu.data.is_empty()),
        control::COMPLETION => {}
        other => assert!(apdu.answer().is_some() && apdu.data.is_empty(), "{other:04X} is no word of ours"),
    }
}

fn says_again(link: Link, framed: impl Fn(&[u8]) -> Vec<u8>, ask: &Ask) {
    let mut data = Writer::default();
    let control = match ask.kind {
        AskKind::Pay => control::AUTHORISATION,
        AskKind::Refund => control::REFUND,
        AskKind::Reverse => control::REVERSAL,
    };
    if ask.kind != AskKind::Pay {
        data.bytes(None, &[0; 3]);
    }
    data.amount(ask.amount).number(0x49, u64::from(ask.amount.currency().number()), 2);
    match ask.of {
        Some(Of::Receipt(receipt)) => {
            data.number(0x87, u64::from(receipt.number()), 2);
        }
        Some(Of::Ticket(_)) => panic!("ZVT knows no tickets"),
        None => {}
    }
    let config = if ask.patience_ms == PATIENCE_MS { 0 } else { WANTS_STATUS };
    let mut again = driver(link, config, 24);
    let mut out = Out::default();
    again.received(Mono(1), &framed(&Apdu::new(control, data.0).bytes()), &mut out);
    assert_eq!(out.events, [TillEvent::Asked(*ask)]);
}

fn serial_frames(said: &[u8]) -> Vec<Apdu> {
    let mut frames = Frames::default();
    let apdus = said.iter().filter_map(|byte| frames.push(*byte)).filter_map(|found| match found {
        Found::Frame(bytes) => Some(Apdu::parse(&bytes).unwrap()),
        Found::Ack | Found::Nak => None,
        Found::Bad => panic!("no frame of ours"),
    });
    let apdus = apdus.collect();
    assert!(!frames.begun() && frames.junk_bytes == 0, "no frame of ours");
    apdus
}

fn stream_apdus(said: &[u8]) -> Vec<Apdu> {
    let mut stream = Stream::default();
    let apdus = said.iter().filter_map(|byte| stream.push(*byte)).map(Result::unwrap).collect();
    assert_eq!((stream.held(), stream.junk_bytes), (0, 0), "no command of ours");
    apdus
}

impl Fuzzed for Serial {
    fn fresh(seed: u16) -> Serial {
        Serial(fresh(Link::Serial, seed))
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        frame(body)
    }

    fn answered(how: u8, said: &[u8]) -> Vec<u8> {
        if said.is_empty() {
            return Vec::new();
        }
        let answer = answer(how >> 2, &serial_frames(said)).map(|bytes| frame(&bytes)).unwrap_or_default();
        match how % 4 {
            0 | 1 => [&[ACK], &answer[..]].concat(),
            2 => vec![if how & 4 == 0 { ACK } else { NAK }],
            _ => answer,
        }
    }

    fn frames_said(said: &[u8], thorough: bool) -> usize {
        let apdus = serial_frames(said);
        apdus.iter().filter(|_| thorough).for_each(understood);
        apdus.len()
    }

    fn frames_heard(bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| matches!(**byte, 0x03 | ACK | NAK)).count() + 1
    }

    fn within_limits(&self) -> bool {
        within_limits(&self.0)
    }

    fn says_again(ask: &Ask) {
        says_again(Link::Serial, Serial::framed, ask);
    }
}

impl Fuzzed for Tcp {
    fn fresh(seed: u16) -> Tcp {
        Tcp(fresh(Link::Tcp, seed))
    }

    fn framed(body: &[u8]) -> Vec<u8> {
        body.to_vec()
    }

    fn answered(how: u8, said: &[u8]) -> Vec<u8> {
        answer(how, &stream_apdus(said)).unwrap_or_default()
    }

    fn frames_said(said: &[u8], thorough: bool) -> usize {
        let apdus = stream_apdus(said);
        apdus.iter().filter(|_| thorough).for_each(understood);
        apdus.len()
    }

    fn frames_heard(bytes: &[u8]) -> usize {
        bytes.len() / 3 + 1
    }

    fn within_limits(&self) -> bool {
        within_limits(&self.0)
    }

    fn says_again(ask: &Ask) {
        says_again(Link::Tcp, Tcp::framed, ask);
    }
}

macro_rules! driver_inside {
    ($outside:ty) => {
        impl Driver for $outside {
            fn capabilities(&self) -> Capabilities {
                self.0.capabilities()
            }

            fn received(&mut self, now: Mono, bytes: &[u8], out: &mut Out) {
                self.0.received(now, bytes, out);
            }

            fn tell(&mut self, now: Mono, answer: &TillAnswer, out: &mut Out) {
                self.0.tell(now, answer, out);
            }

            fn deadline(&self) -> Option<Mono> {
                self.0.deadline()
            }

            fn passed(&mut self, now: Mono, out: &mut Out) {
                self.0.passed(now, out);
            }

            fn line(&mut self, now: Mono, up: bool, out: &mut Out) {
                self.0.line(now, up, out);
            }

            fn counts(&self) -> Counts {
                self.0.counts()
            }
        }
    };
}

driver_inside!(Serial);
driver_inside!(Tcp);
