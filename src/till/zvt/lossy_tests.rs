//! The box and a till of its own making on a serial line that loses and breaks bytes, under seeds; time is a number here.
//! Whatever the line does, the shop hears *taken* only of what the till has answered, and the till books only what is paid.

use super::apdu::{Apdu, Reader, control};
use super::link::{ACK, Found, Frames, NAK, frame};
use super::*;
use crate::shop::effect::{DeclinedWhy, Finish, Outcome, TillAnswer};
use crate::shop::event::{AskKind, ReceiptNumber, TillEvent};
use crate::shop::id::SaleId;
use crate::shop::money::Amount;
use crate::shop::sale::Code;
use crate::shop::time::Mono;
use crate::till::driver::{Driver, Out};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const SEEDS: u64 = 1_500;
const SALES: u64 = 4;
/// How long a till waits for the next word of a command: T4.
const TILL_WAITS_MS: u64 = 180_000;

#[test]
fn on_a_line_that_loses_bytes_the_till_and_the_shop_never_disagree_about_what_was_taken() {
    let mut taken = 0;
    let mut recovered = 0;
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.play();
        world.agree(seed);
        taken += world.shop.taken.len();
        recovered += world.till.repeats_asked;
    }
    assert!(
        taken > 2_000 && recovered > 100,
        "the line is too bad or too good: {taken} taken, {recovered} asked again"
    );
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }
}

/// One direction: pieces and when they arrive.
#[derive(Default)]
struct Cable(VecDeque<(Mono, Vec<u8>)>);

impl Cable {
    fn put(&mut self, now: Mono, bytes: &[u8], loss: u64, dice: &mut Dice) {
        if bytes.is_empty() {
            return;
        }
        let mut carried = Vec::new();
        for byte in bytes {
            match dice.one_in(loss) {
                true if dice.one_in(2) => {}
                true => carried.push(byte ^ (1 << dice.below(8))),
                false => carried.push(*byte),
            }
        }
        let at = self.0.back().map_or(now, |(at, _)| *at).max(now).plus_ms(1 + dice.below(20));
        self.0.push_back((at, carried));
    }

    fn due(&self) -> Option<Mono> {
        self.0.front().map(|(at, _)| *at)
    }

    fn take(&mut self, now: Mono) -> Option<Vec<u8>> {
        self.due().filter(|at| *at <= now)?;
        self.0.pop_front().map(|(_, bytes)| bytes)
    }
}

/// A till as PA00P016 has it: one frame on its way, T2 and two repeats, T4.
#[derive(Default)]
struct Till {
    frames: Frames,
    waiting: VecDeque<Vec<u8>>,
    air: Option<(u32, Mono)>,
    last_heard: Vec<u8>,
    /// Whether a frame that comes twice is answered once.
    strict: bool,
    rejects: u64,
    puts_off: u64,
    /// Until when the command that runs may take.
    running: Option<Mono>,
    next_at: Option<Mono>,
    /// The last command brought no end.
    lost: bool,
    sales_asked: u64,
    repeats_asked: u32,
    told: Option<u64>,
    /// By receipt number: the results it has answered with done, and those that it has refused.
    accepted: BTreeSet<u64>,
    rejected: BTreeSet<u64>,
    booked: BTreeSet<u64>,
}

impl Till {
    fn due(&self) -> Option<Mono> {
        [self.air.map(|(_, due)| due), self.running, self.next_at].into_iter().flatten().min()
    }

    fn passed(&mut self, now: Mono, out: &mut Vec<Vec<u8>>) {
        if let Some((sends, due)) = self.air
            && due <= now
        {
            self.again(now, sends, out);
        }
        if self.running.is_some_and(|until| until <= now) {
            (self.running, self.lost, self.next_at) = (None, true, Some(now.plus_ms(1_000)));
            self.waiting.clear();
            self.air = None;
        }
        if self.next_at.is_some_and(|at| at <= now) {
            self.next_at = None;
            self.next_command(now, out);
        }
    }

    fn next_command(&mut self, now: Mono, out: &mut Vec<Vec<u8>>) {
        let apdu = if self.lost && self.repeats_asked < 20 {
            self.repeats_asked += 1;
            Apdu::new(control::REPEAT_RECEIPT, vec![0; 3])
        } else if self.sales_asked < SALES {
            self.sales_asked += 1;
            let minor = u8::try_from(self.sales_asked).unwrap();
            Apdu::new(control::AUTHORISATION, vec![4, 0, 0, 0, 0, 0x10, minor])
        } else {
            return;
        };
        (self.lost, self.told, self.running) = (false, None, Some(now.plus_ms(TILL_WAITS_MS)));
        self.say(now, apdu.bytes(), out);
    }

    fn say(&mut self, now: Mono, apdu: Vec<u8>, out: &mut Vec<Vec<u8>>) {
        self.waiting.push_back(apdu);
        if self.air.is_none() {
            self.again(now, 0, out);
        }
    }

    fn again(&mut self, now: Mono, sends: u32, out: &mut Vec<Vec<u8>>) {
        if sends > REPEATS {
            self.waiting.pop_front();
            self.air = None;
        }
        let Some(first) = self.waiting.front() else { return };
        let sends = if sends > REPEATS { 0 } else { sends };
        self.air = Some((sends + 1, now.plus_ms(T2_MS)));
        out.push(frame(first));
    }

    fn heard(&mut self, now: Mono, bytes: &[u8], dice: &mut Dice, out: &mut Vec<Vec<u8>>) {
        for byte in bytes {
            match self.frames.push(*byte) {
                None => {}
                Some(Found::Ack) if self.air.take().is_some() => {
                    self.waiting.pop_front();
                    self.again(now, 0, out);
                }
                Some(Found::Ack) => {}
                Some(Found::Nak) => {
                    if let Some((sends, _)) = self.air {
                        self.again(now, sends, out);
                    }
                }
                Some(Found::Bad) => out.push(vec![NAK]),
                Some(Found::Frame(bytes)) => {
                    out.push(vec![ACK]);
                    self.apdu(now, bytes, dice, out);
                }
            }
        }
    }

    fn apdu(&mut self, now: Mono, bytes: Vec<u8>, dice: &mut Dice, out: &mut Vec<Vec<u8>>) {
        // One broken frame in 65,536 has a right check.
        let Ok(apdu) = Apdu::parse(&bytes) else { return };
        if let Some(answer) = apdu.answer() {
            if answer.is_err() {
                (self.running, self.lost, self.next_at) = (None, true, Some(now.plus_ms(1_000)));
            }
            return;
        }
        if self.strict && self.last_heard == bytes {
            return;
        }
        self.last_heard = bytes;
        let receipt = (apdu.control == control::STATUS_INFORMATION)
            .then(|| Reader(&apdu.data).fields().unwrap().number(0x87).unwrap())
            .flatten();
        if self.running.is_none() {
            self.rejected.extend(receipt);
            return self.say(now, Apdu::negative(0x83).bytes(), out);
        }
        self.running = Some(now.plus_ms(TILL_WAITS_MS));
        let mut answer = Apdu::positive();
        match apdu.control {
            control::STATUS_INFORMATION => {
                if let Some(receipt) = receipt {
                    if dice.one_in(self.puts_off) {
                        answer = Apdu::negative(0x9c);
                        // The same result again is no repeat of the frame.
                        self.last_heard.clear();
                    } else if dice.one_in(self.rejects) {
                        answer = Apdu::negative(0x83);
                        self.rejected.insert(receipt);
                        self.told = None;
                    } else {
                        self.accepted.insert(receipt);
                        self.told = Some(receipt);
                    }
                }
            }
            control::COMPLETION => {
                self.booked.extend(self.told);
                (self.running, self.next_at) = (None, Some(now.plus_ms(1_000)));
            }
            control::ABORTED => (self.running, self.next_at) = (None, Some(now.plus_ms(1_000))),
            _ => {}
        }
        self.say(now, answer.bytes(), out);
    }
}

/// What the shop knows and is about to say. Its laws are tested elsewhere: here it says what it is asked for.
#[derive(Default)]
struct Shop {
    says: BTreeMap<Mono, Vec<TillAnswer>>,
    last: Option<u64>,
    paid: BTreeMap<u64, bool>,
    taken: BTreeSet<u64>,
    rejected: BTreeSet<u64>,
}

impl Shop {
    fn say(&mut self, at: Mono, answer: TillAnswer) {
        self.says.entry(at).or_default().push(answer);
    }

    fn hears(&mut self, now: Mono, event: &TillEvent, dice: &mut Dice) {
        match event {
            TillEvent::Asked(_) => {
                let sale = self.last.unwrap_or(0) + 1;
                self.last = Some(sale);
                self.paid.insert(sale, !dice.one_in(4));
                let code = Code::parse("K7").unwrap();
                let accepted = TillAnswer::Accepted { sale: SaleId(u128::from(sale)), ticket: None, code };
                self.say(now.plus_ms(dice.below(100)), accepted);
                let progress = crate::shop::effect::Progress::Offered;
                let progress = TillAnswer::Progress { sale: SaleId(u128::from(sale)), ticket: None, progress };
                self.say(now.plus_ms(100 + dice.below(5_000)), progress);
                let finish = self.finish(sale);
                self.say(now.plus_ms(5_100 + dice.below(100_000)), finish);
            }
            TillEvent::AskedAgain { .. } => {
                let answer = self.last.map(|sale| self.finish(sale));
                self.say(now.plus_ms(5), answer.unwrap_or(TillAnswer::NothingToRepeat { ticket: None }));
            }
            TillEvent::TakeLater { sale, after_ms } => {
                let again = self.finish(u64::try_from(sale.0).unwrap());
                self.say(now.plus_ms(*after_ms), again);
            }
            TillEvent::Taken { sale } => drop(self.taken.insert(u64::try_from(sale.0).unwrap())),
            TillEvent::Rejected { sale } => {
                // What was taken once stays so.
                let sale = u64::try_from(sale.0).unwrap();
                self.rejected.extend(Some(sale).filter(|sale| !self.taken.contains(sale)));
            }
            TillEvent::Unheard { .. } | TillEvent::Online | TillEvent::Offline => {}
            other => panic!("{other:?}"),
        }
    }

    fn finish(&self, sale: u64) -> TillAnswer {
        let paid = self.paid[&sale];
        let outcome = if paid { Outcome::Approved } else { Outcome::Declined(DeclinedWhy::Customer) };
        // Three digits of BCD: 10.01, 10.02 and so on, as the till asks.
        let amount = Amount::from_minor(1_000 + sale, Currency::from_code("EUR").unwrap()).unwrap();
        TillAnswer::Finish(Box::new(Finish {
            sale: SaleId(u128::from(sale)),
            ticket: None,
            code: Code::parse("K7").unwrap(),
            amount,
            kind: AskKind::Pay,
            receipt: ReceiptNumber::new(u16::try_from(sale).unwrap()),
            outcome,
            attempt: None,
            given_back_minor: if self.rejected.contains(&sale) { amount.minor() } else { 0 },
            failed_tries: 0,
            at: None,
        }))
    }
}

struct World {
    now: Mono,
    dice: Dice,
    /// One byte in so many is lost or broken; none if zero.
    loss: u64,
    driver: Zvt,
    till: Till,
    shop: Shop,
    to_box: Cable,
    to_till: Cable,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let config_byte = [0x00, 0x08, 0x82, 0x8a][usize::try_from(dice.below(4)).unwrap()];
        let settings = ZvtSettings {
            till: TillNumber::new(7).unwrap(),
            currency: Currency::from_code("EUR").unwrap(),
            facts: ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: None },
            columns: 24,
            byte_us: 1_146,
            options: ZvtOptions { config_byte, ..ZvtOptions::default() },
        };
        let loss = [0, 2_000, 300, 60][usize::try_from(dice.below(4)).unwrap()];
        // An answer to a status that the till repeats after it has acknowledged the result cannot be told from one to the
        // result: no protocol's fault but its own. A till that says *done* to both is understood all the same.
        let says_no = config_byte & 0x08 == 0 || loss == 0;
        let rejects = if says_no && dice.one_in(2) { 5 } else { 0 };
        let puts_off = if says_no && dice.one_in(2) { 3 } else { 0 };
        let strict = dice.one_in(2);
        let till = Till { strict, rejects, puts_off, next_at: Some(Mono(1_000)), ..Till::default() };
        let mut driver = Zvt::new(settings, Link::Serial);
        driver.line(Mono(0), true, &mut Out::default());
        let (shop, to_box, to_till) = (Shop::default(), Cable::default(), Cable::default());
        World { now: Mono(0), dice, loss, driver, till, shop, to_box, to_till }
    }

    fn play(&mut self) {
        for _ in 0..200_000 {
            let shop = self.shop.says.keys().next().copied();
            let dues = [self.driver.deadline(), self.till.due(), self.to_box.due(), self.to_till.due(), shop];
            let Some(next) = dues.into_iter().flatten().min() else { return };
            self.now = self.now.max(next);
            self.step();
        }
        panic!("it never ends");
    }

    fn step(&mut self) {
        let mut out = Out::default();
        let mut said = Vec::new();
        while let Some(bytes) = self.to_box.take(self.now) {
            self.driver.received(self.now, &bytes, &mut out);
        }
        while let Some(entry) = self.shop.says.first_entry().filter(|entry| *entry.key() <= self.now) {
            for answer in entry.remove() {
                self.driver.tell(self.now, &answer, &mut out);
            }
        }
        self.driver.passed(self.now, &mut out);
        while let Some(bytes) = self.to_till.take(self.now) {
            self.till.heard(self.now, &bytes, &mut self.dice, &mut said);
        }
        self.till.passed(self.now, &mut said);
        for bytes in said {
            self.to_box.put(self.now, &bytes, self.loss, &mut self.dice);
        }
        self.to_till.put(self.now, &out.bytes, self.loss, &mut self.dice);
        for event in &out.events {
            self.shop.hears(self.now, event, &mut self.dice);
        }
    }

    fn agree(&self, seed: u64) {
        let (shop, till) = (&self.shop, &self.till);
        let paid: BTreeSet<u64> = shop.paid.iter().filter(|(_, paid)| **paid).map(|(sale, _)| *sale).collect();
        // What was given back is told as such, and that is taken as well.
        for sale in shop.taken.intersection(&paid).filter(|sale| !shop.rejected.contains(sale)) {
            assert!(till.accepted.contains(sale), "seed {seed}: {sale} is taken, but the till never said so");
        }
        for sale in shop.rejected.intersection(&paid) {
            assert!(till.rejected.contains(sale), "seed {seed}: {sale} is rejected, but the till never said so");
        }
        assert!(till.booked.is_disjoint(&shop.rejected), "seed {seed}: given back, but booked");
        assert!(till.booked.is_subset(&paid), "seed {seed}: {:?} are booked of {paid:?}", till.booked);
        assert_eq!(self.driver.deadline(), None, "seed {seed}");
    }
}
