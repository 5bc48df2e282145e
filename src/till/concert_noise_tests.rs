//! The Concert driver, a till and a shop in a time of their own, over a line that loses, changes and invents bytes, with
//! cables pulled and drivers started anew. Whatever happens, no till takes one sale's result for another's.

use super::*;
use crate::shop::effect::{CancelledWhy, Refusal};
use crate::shop::id::AttemptId;
use crate::shop::sale::Code;
use crate::till::concert_frames::{Answer, LONG_BYTES, framed};
use std::collections::{BTreeMap, VecDeque};

const BODY: &str = "01000012501109781234567890A010B010";
const STEP_MS: u64 = 20;
const RUNS: u64 = 60;
const RUN_MS: u64 = 1_500_000;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % below
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.roll(many) == 0
    }
}

#[derive(Debug)]
enum Till {
    Idle { until: u64 },
    Calling { tries: u32, until: u64 },
    Asking { tries: u32, until: u64 },
    Waiting { until: u64 },
    Reading { bytes: Vec<u8>, until: u64 },
    Closing { until: u64 },
}

/// What became of a request that the shop has heard.
#[derive(Debug)]
struct Sale {
    asked_at: u64,
    paid: bool,
    ends: u64,
    ended: bool,
    taken: bool,
    unheard: bool,
}

/// How much of what was said a failure shows.
const TRACE_LINES: usize = 60;

struct World {
    seed: u64,
    /// What was said last.
    trace: VecDeque<String>,
    dice: Dice,
    now: u64,
    driver: Concert,
    to_driver: VecDeque<u8>,
    to_till: VecDeque<u8>,
    up_at: Option<u64>,
    till: Till,
    /// When the till began to say the request that it is busy with.
    asks_since: u64,
    /// Results that the till has read and acknowledged, with the time since which it had asked.
    read: Vec<(u64, Verdict)>,
    /// The shop's answers that are due.
    answers: VecDeque<(u64, TillAnswer)>,
    sales: BTreeMap<u128, Sale>,
    noise: u64,
    seen: BTreeMap<&'static str, u32>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut driver = new(&[]);
        driver.line(Mono(0), true, &mut Out::default());
        let mut dice = Dice(seed);
        let noise = [u64::MAX, 3_000, 500, 150][usize::try_from(dice.roll(4)).unwrap()];
        World {
            seed,
            trace: VecDeque::new(),
            dice,
            now: 0,
            driver,
            to_driver: VecDeque::new(),
            to_till: VecDeque::new(),
            up_at: None,
            till: Till::Idle { until: 0 },
            asks_since: 0,
            read: Vec::new(),
            answers: VecDeque::new(),
            sales: BTreeMap::new(),
            noise,
            seen: BTreeMap::new(),
        }
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// What comes out at the other end. Never an acknowledgement that nobody said: nothing protects from that.
    fn line(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for byte in bytes {
            let changed = byte ^ (1 << self.dice.roll(8));
            let invented = u8::try_from(self.dice.roll(256)).unwrap();
            match self.dice.roll(self.noise) {
                0 => {}
                1 if changed != ACK => out.push(changed),
                2 if invented != ACK => out.extend([invented, *byte]),
                _ => out.push(*byte),
            }
        }
        out
    }

    fn trace(&mut self, who: &str, said: &[u8], heard: &[u8], events: &[TillEvent]) {
        let (said, heard) = (said.escape_ascii(), heard.escape_ascii());
        let line = format!("{} {who} says {said}, heard {heard}; {events:?}; {:?}", self.now, self.till);
        self.trace.push_back(line);
        if self.trace.len() > TRACE_LINES {
            self.trace.pop_front();
        }
    }

    fn till_says(&mut self, bytes: &[u8]) {
        let heard = self.line(bytes);
        self.trace("till", bytes, &heard, &[]);
        if self.up_at.is_none() {
            self.to_driver.extend(heard);
        }
    }

    fn step(&mut self) {
        self.now += STEP_MS;
        let now = Mono(self.now);
        self.hardships(now);
        let mut out = Out::default();
        while !self.to_driver.is_empty() {
            let many = usize::try_from(1 + self.dice.roll(40)).unwrap().min(self.to_driver.len());
            let bytes: Vec<u8> = self.to_driver.drain(..many).collect();
            let repeats = self.driver.counts().repeats_heard;
            self.driver.received(now, &bytes, &mut out);
            let same = matches!(self.driver.place, Place::Closing { again: true, .. });
            if same || self.driver.counts().repeats_heard > repeats {
                self.asked_the_same();
            }
        }
        while self.answers.front().is_some_and(|(due, _)| *due <= self.now) {
            let (_, answer) = self.answers.pop_front().unwrap();
            self.driver.tell(now, &answer, &mut out);
        }
        self.finish_sales(now, &mut out);
        let repeats = self.driver.counts().repeats_heard;
        self.driver.passed(now, &mut out);
        if self.driver.counts().repeats_heard > repeats {
            self.asked_the_same();
        }
        self.came(out);
        let bytes = std::mem::take(&mut self.to_till);
        bytes.into_iter().for_each(|byte| self.till_hears(byte));
        self.till_passes();
    }

    /// Cables are pulled, and the program is started anew.
    fn hardships(&mut self, now: Mono) {
        let mut out = Out::default();
        if self.up_at.is_some_and(|at| at <= self.now) {
            self.up_at = None;
            self.driver.line(now, true, &mut out);
        } else if self.up_at.is_none() && self.dice.one_in(4_000) {
            self.up_at = Some(self.now + 20 + self.dice.roll(20_000));
            self.driver.line(now, false, &mut out);
            self.to_driver.clear();
            self.saw("cable pulled");
        } else if self.up_at.is_none() && self.answers.is_empty() && self.dice.one_in(6_000) {
            self.driver = new(self.driver.memory());
            self.driver.line(now, true, &mut out);
            self.saw("started anew");
            // What is still being told is told to the new one.
            for (id, sale) in self.sales.iter().filter(|(_, s)| s.ended && !s.taken && !s.unheard) {
                self.driver.tell(now, &finish(*id, sale.paid), &mut out);
            }
        }
        self.came(out);
    }

    /// What came out of the driver: its bytes to the till, its events to the shop.
    fn came(&mut self, out: Out) {
        let heard = self.line(&out.bytes);
        if !out.bytes.is_empty() || !out.events.is_empty() {
            self.trace("box", &out.bytes, &heard, &out.events);
        }
        self.to_till.extend(heard);
        for event in out.events {
            match event {
                TillEvent::Asked(_) => self.asked(),
                TillEvent::Taken { sale } => self.taken(sale),
                TillEvent::Unheard { sale } => {
                    let sale = self.sales.get_mut(&sale.0).unwrap();
                    sale.unheard = !sale.taken;
                    self.saw("unheard");
                }
                // The till's last sale is told again if it was not heard.
                TillEvent::Online => {
                    let last = self.sales.iter().next_back().filter(|(_, s)| s.unheard && s.ended && !s.taken);
                    if let Some((id, sale)) = last {
                        self.answers.push_back((self.now, finish(*id, sale.paid)));
                    }
                }
                TillEvent::Offline => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn asked(&mut self) {
        let due = self.now + self.dice.roll(3_000);
        let busy = self.sales.values().any(|sale| !sale.ended);
        if busy || self.dice.one_in(8) {
            self.answers.push_back((due, TillAnswer::Refused { ticket: None, why: Refusal::Busy }));
            return self.saw("refused");
        }
        let id = u128::try_from(self.sales.len() + 1).unwrap();
        let ends = due + 20 + self.dice.roll(PATIENCE_MS - 3_000);
        let paid = self.dice.one_in(2);
        let asked_at = self.now;
        self.sales.insert(id, Sale { asked_at, paid, ends, ended: false, taken: false, unheard: false });
        let code = Code::parse("K7").unwrap();
        self.answers.push_back((due, TillAnswer::Accepted { sale: SaleId(id), ticket: None, code }));
    }

    /// The till had not heard that its request was taken, and has asked the same again: the sale is for this request too.
    fn asked_the_same(&mut self) {
        self.saw("asked the same");
        let last = self.sales.values_mut().next_back().filter(|sale| !sale.taken);
        last.into_iter().for_each(|sale| sale.asked_at = self.now);
    }

    fn finish_sales(&mut self, now: Mono, out: &mut Out) {
        for (id, sale) in self.sales.iter_mut().filter(|(_, sale)| !sale.ended && sale.ends <= now.0) {
            sale.ended = true;
            self.driver.tell(now, &finish(*id, sale.paid), out);
        }
    }

    /// The till must have read this very sale's result, for the request that it became.
    fn taken(&mut self, id: SaleId) {
        let sale = self.sales.get_mut(&id.0).unwrap();
        let verdict = if sale.paid { Verdict::Done } else { Verdict::Refused };
        let (since, read) = *self.read.last().expect("taken, but nothing was read");
        assert!(sale.ended && read == verdict, "{id}: {sale:?}, read {read:?}");
        assert!(since <= sale.asked_at, "{id} was asked before the request it answers: {since}, {sale:?}");
        (sale.taken, sale.unheard) = (true, false);
        self.saw(if verdict == Verdict::Done { "paid" } else { "not paid" });
    }

    fn till_hears(&mut self, byte: u8) {
        let later = |ms: u64| self.now + ms;
        match (&mut self.till, byte) {
            (Till::Calling { .. }, ACK) => {
                self.till = Till::Asking { tries: 1, until: later(3_000) };
                self.till_says(&framed(BODY.as_bytes()));
            }
            (Till::Asking { .. }, ACK) => {
                self.till = Till::Waiting { until: later(120_000) };
                // Some tills never close.
                if !self.dice.one_in(10) {
                    self.till_says(&[EOT]);
                }
            }
            (Till::Asking { tries, until }, NAK) if *tries < 3 => {
                (*tries, *until) = (*tries + 1, self.now + 3_000);
                self.till_says(&framed(BODY.as_bytes()));
            }
            (Till::Waiting { .. }, ENQ) => {
                self.till = Till::Reading { bytes: Vec::new(), until: later(2_000) };
                self.till_says(&[ACK]);
            }
            (Till::Reading { bytes, .. }, _) => {
                bytes.push(byte);
                if bytes.len() == LONG_BYTES {
                    let bytes = std::mem::take(bytes);
                    self.till_reads(&bytes);
                }
            }
            (Till::Closing { .. }, EOT) => self.till = Till::Idle { until: later(1_000) },
            _ => {}
        }
    }

    fn till_reads(&mut self, bytes: &[u8]) {
        let until = self.now + 2_000;
        match Answer::read(bytes, &Request::read(BODY).unwrap()) {
            Ok(answer) => {
                self.till_has(answer.verdict);
                self.till = Till::Closing { until };
                self.till_says(&[ACK]);
            }
            Err(_) => {
                self.till = Till::Reading { bytes: Vec::new(), until };
                self.till_says(&[NAK]);
            }
        }
    }

    /// What a till believes must be so: *paid* only if a sale asked since it began to ask is paid.
    fn till_has(&mut self, verdict: Verdict) {
        self.read.push((self.asks_since, verdict));
        if verdict == Verdict::Done {
            let paid = |sale: &Sale| sale.paid && sale.ended && sale.asked_at >= self.asks_since;
            assert!(self.sales.values().any(paid), "the till believes what is not so: since {}", self.asks_since);
        }
    }

    fn till_passes(&mut self) {
        let (now, again) = (self.now, self.now + 500 + self.dice.roll(20_000));
        match &mut self.till {
            Till::Idle { until } if *until <= now => {
                self.asks_since = now;
                self.till = Till::Calling { tries: 1, until: now + 1_000 };
                self.till_says(&[ENQ]);
            }
            Till::Calling { tries, until } if *until <= now && *tries < 3 => {
                (*tries, *until) = (*tries + 1, now + 1_000);
                self.till_says(&[ENQ]);
            }
            Till::Asking { tries, until } if *until <= now && *tries < 3 => {
                (*tries, *until) = (*tries + 1, now + 3_000);
                self.till_says(&framed(BODY.as_bytes()));
            }
            Till::Calling { until, .. }
            | Till::Asking { until, .. }
            | Till::Waiting { until }
            | Till::Reading { until, .. }
            | Till::Closing { until }
                if *until <= now =>
            {
                self.till = Till::Idle { until: again };
                self.saw("till gave up");
            }
            // The cashier switches the till off and on.
            _ if self.dice.one_in(20_000) => self.till = Till::Idle { until: again },
            _ => {}
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("seed {}", self.seed);
            self.trace.iter().for_each(|line| println!("{line}"));
        }
    }
}

fn new(memory: &[u8]) -> Concert {
    Concert::new(TillNumber::new(1).unwrap(), ConcertOptions::default(), 1_042, memory)
}

fn finish(sale: u128, paid: bool) -> TillAnswer {
    let amount = Request::read(BODY).unwrap().amount().unwrap();
    TillAnswer::Finish(Box::new(Finish {
        sale: SaleId(sale),
        ticket: None,
        code: Code::parse("K7").unwrap(),
        amount,
        kind: crate::shop::event::AskKind::Pay,
        receipt: None,
        outcome: if paid { Outcome::Approved } else { Outcome::Cancelled(CancelledWhy::Clock) },
        attempt: paid.then_some(AttemptId(sale)),
        given_back_minor: 0,
        failed_tries: 0,
        at: None,
    }))
}

#[test]
fn no_till_takes_one_sales_result_for_anothers_however_bad_the_line() {
    let mut seen = BTreeMap::new();
    for seed in 0..RUNS {
        let mut world = World::new(seed);
        while world.now < RUN_MS {
            world.step();
        }
        let quiet = world.noise == u64::MAX;
        let lost = world.sales.values().filter(|sale| sale.ended && !sale.taken && !sale.unheard).count();
        assert!(lost <= 1, "seed {seed}: results of which nobody knows whether they were heard: {:?}", world.sales);
        for (what, times) in std::mem::take(&mut world.seen) {
            *seen.entry((quiet, what)).or_insert(0) += times;
        }
    }
    // Each kind of thing has happened, and sales come through.
    println!("{seen:?}");
    for what in ["paid", "not paid", "refused", "unheard", "cable pulled", "started anew", "till gave up"] {
        assert!(seen.get(&(false, what)).is_some_and(|times| *times > 20), "{what}: {seen:?}");
    }
}
