//! Many frames both ways over many lines at once, cut and paced at random: none is lost, doubled or changed in its order.

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;
use tillgate::inbox::Inbox;
use tillgate::shop::effect::TillAnswer;
use tillgate::shop::event::{Event, TillEvent, TillNumber};
use tillgate::shop::id::SaleId;
use tillgate::shop::money::Currency;
use tillgate::shop::sale::Code;
use tillgate::till::frame::{Decoder, encode};
use tillgate::till::{LineSettings, Port, Protocol, ReceiptFacts, TillSettings, Tills};

const PATIENCE: Duration = Duration::from_secs(60);
const LINES: u16 = 8;
/// Requests of each till.
const REQUESTS: u32 = 1_000;
/// Requests of a till that may be without their answer: fewer than a line's queues hold.
const OPEN_MAX: u32 = 4;

/// The till's end of a line.
struct Line {
    master: File,
    /// Keeps the line up while nobody else has it open.
    _slave: File,
    path: PathBuf,
}

impl Line {
    fn new() -> Line {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname(&master, Vec::new()).unwrap().into_string().unwrap());
        let slave = rustix::fs::open(&path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        Line { master: File::from(master), _slave: File::from(slave), path }
    }
}

#[test]
fn no_frame_is_lost_either_way_however_lines_are_cut_and_paced() {
    let lines: Vec<Line> = (0..LINES).map(|_| Line::new()).collect();
    let (inbox, mut events) = Inbox::new();
    let facts = ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None };
    let settings = lines.iter().zip(1..).map(|(line, n)| settings(n, &line.path)).collect();
    let tills = Tills::start(settings, &facts, &inbox).unwrap();
    let mut online = 0;
    let mut asked: BTreeMap<TillNumber, u32> = BTreeMap::new();
    let heard: Vec<u64> = std::thread::scope(|scope| {
        let mut players = Vec::new();
        while asked.values().sum::<u32>() < REQUESTS * u32::from(LINES) {
            let Event::Till { till, what } = events.blocking_recv().unwrap().event else { panic!("no till's event") };
            match what {
                TillEvent::Online => {
                    online += 1;
                    if online == LINES {
                        // All at once.
                        players.extend(lines.iter().zip(1..).map(|(line, n)| scope.spawn(move || play(line, n))));
                    }
                }
                TillEvent::Asked(ask) => {
                    let count = asked.entry(till).or_default();
                    *count += 1;
                    assert_eq!(ask.ticket.unwrap().number, *count, "till {till}");
                    let (sale, code) = (SaleId(u128::from(*count)), Code::parse("K7").unwrap());
                    tills.tell(till, TillAnswer::Accepted { sale, ticket: ask.ticket, code });
                }
                other => panic!("{other:?}"),
            }
        }
        players.into_iter().map(|player| player.join().unwrap()).collect()
    });
    for (till, heard) in tills.status_reader().status().into_iter().zip(heard) {
        assert_eq!((till.junk_bytes, till.bad_frames, till.writes_dropped), (0, 0, 0));
        // What was sent again because the till was slow to answer has come, too.
        assert!(heard <= u64::from(REQUESTS) + till.repeats_sent, "till {}", till.number);
    }
}

/// Asks again and again, and never twice for the same: what is lost is missed. How many answers came, repeats included.
fn play(line: &Line, seed: u32) -> u64 {
    let mut master = line.master.try_clone().unwrap();
    let (put, answers) = channel();
    let mut reading = line.master.try_clone().unwrap();
    std::thread::spawn(move || {
        let (mut decoder, mut bytes) = (Decoder::default(), [0; 64]);
        while let Ok(count) = reading.read(&mut bytes) {
            for body in bytes[..count].iter().filter_map(|byte| decoder.push(*byte)) {
                let fields: Vec<&str> = body.split('|').collect();
                let ["ACCEPT", id, _, ticket, ..] = fields[..] else { continue };
                if put.send(ticket.parse().unwrap()).is_err() {
                    return;
                }
                reading.write_all(&encode(&format!("ACK|{id}"))).unwrap();
            }
        }
    });
    let mut random = Random(seed);
    let (mut answered, mut heard) = (0, 0);
    for number in 1..=REQUESTS {
        let frame = encode(&format!("PAY|{}|1|{number}|1250|EUR|120", number % 10_000));
        // An answer of the reader may fall between two requests, but not into one.
        let _ = random.below(3) == 0 && pause(&mut random);
        master.write_all(&frame).unwrap();
        while number - answered >= OPEN_MAX {
            hear(&answers, &mut answered, &mut heard);
        }
    }
    while answered < REQUESTS {
        hear(&answers, &mut answered, &mut heard);
    }
    heard
}

fn pause(random: &mut Random) -> bool {
    (0..random.below(200)).for_each(|_| std::thread::yield_now());
    true
}

fn hear(answers: &Receiver<u32>, answered: &mut u32, heard: &mut u64) {
    match answers.recv_timeout(PATIENCE) {
        Ok(ticket) if ticket == *answered + 1 => *answered = ticket,
        Ok(ticket) => assert_eq!(ticket, *answered, "answers come in order, and again at most"),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("no answer after {answered}"),
    }
    *heard += 1;
}

struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 16) % end
    }
}

fn settings(number: u16, port: &Path) -> TillSettings {
    TillSettings {
        number: TillNumber::new(number).unwrap(),
        label: String::new(),
        port: Port::Serial(port.to_owned()),
        protocol: Protocol::Plain,
        line: LineSettings::default(),
        currency: Currency::from_code("EUR").unwrap(),
        columns: 24,
        memory: None,
    }
}
