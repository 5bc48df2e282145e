//! One run: the real ring in a world of simulated tills, phones, platform, line and clock. A run is a list of steps; each
//! takes its chances from its own number, so that steps can be left out and the others stay as they are.

use crate::climate::Climate;
use crate::dice::{Dice, mix};
use crate::ledger::{Broken, Ledger, Scene};
use crate::line::{Mail, no_answer};
use crate::machine::{Disk, Machine, break_commit, mend_commit};
use crate::phones::{Does, Phone};
use crate::platform::Platform;
use crate::story::Story;
use crate::tally::Tally;
use crate::tills::Till;
use tillgate::ring::Ring;
use tillgate::shop::effect::{Effect, PlatformCall, TillAnswer};
use tillgate::shop::event::{CallError, Event, NoSales, PhoneEvent, PlatformEvent, TillEvent, TillNumber};
use tillgate::shop::id::AttemptId;
use tillgate::shop::time::Mono;
use tillgate::store::Store;

/// Deadlines that may come at one and the same instant before that counts as going in circles.
const AT_ONCE_MAX: u32 = 60;
/// Mail that may be under way; beyond, the oldest that nobody waits for is lost.
const MAIL_MAX: usize = 120;

/// How a flush ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Well.
    Well,
    /// The power is cut before it.
    Before,
    /// It fails.
    Fails,
    /// The power is cut after the commit; so many effects got out.
    After(usize),
}

/// A run.
pub struct World {
    /// The weather.
    pub climate: Climate,
    /// The ledger, with the laws that were broken.
    pub ledger: Ledger,
    /// Counts.
    pub tally: Tally,
    /// What happened, if somebody wants to read it.
    pub story: Story,
    pub(crate) t: u64,
    pub(crate) dice: Dice,
    pub(crate) calm: bool,
    pub(crate) ring: Option<Ring>,
    pub(crate) machine: Machine,
    disk: Disk,
    pub(crate) platform: Platform,
    pub(crate) line: Vec<Mail>,
    pub(crate) tills: Vec<Till>,
    numbers: Vec<TillNumber>,
    pub(crate) phones: Vec<Phone>,
    waiting: usize,
    opening: bool,
    wan_down: bool,
    disk_low: bool,
    depth: u32,
}

impl World {
    /// The world of this seed, before its first step.
    pub fn new(seed: u64, disk: &Disk, story: Story) -> World {
        let climate = Climate::new(seed);
        let mut dice = Dice::new(mix(seed, 1));
        let numbers: Vec<TillNumber> = climate.policy.tills.iter().copied().collect();
        let tills: Vec<Till> = numbers.iter().zip(&climate.styles).map(|(n, style)| Till::new(*n, *style)).collect();
        let phones = (0..climate.phones).map(|no| Phone::new(no, numbers[no % numbers.len()], &mut dice)).collect();
        let ledger = Ledger::new(climate.policy.clone());
        let mut world = World {
            ledger,
            tally: Tally { seeds: 1, ..Tally::default() },
            story,
            t: 0,
            dice,
            calm: false,
            ring: None,
            machine: Machine::new(seed),
            disk: disk.clone(),
            platform: Platform::default(),
            line: Vec::new(),
            tills,
            numbers,
            phones,
            waiting: 0,
            opening: false,
            wan_down: false,
            disk_low: false,
            depth: 0,
            climate,
        };
        let store = world.disk.open().expect("a new store can be opened");
        world.start(store);
        world.answer_all();
        world
    }

    /// Whether a law is broken already.
    pub fn is_broken(&self) -> bool {
        !self.ledger.broken.is_empty()
    }

    /// The laws that were broken.
    pub fn broken(&self) -> &[Broken] {
        &self.ledger.broken
    }

    /// Makes the step that takes its chances from this number.
    pub fn step(&mut self, chances: u64) {
        self.dice = Dice::new(chances);
        let crowd = self.tills.len() as u64;
        match self.dice.below(100) {
            0..34 if !self.line.is_empty() => self.deliver_some(),
            0..70 => self.phone_acts(),
            70..84 => self.till_acts(),
            84..97 => {
                // With many at the counter the same happens in less time.
                let ms = match self.dice.below(100) {
                    0..70 => self.dice.below(3_000) / crowd.min(4),
                    70..85 => self.next_due().saturating_sub(self.t).min(60_000),
                    85..96 => self.dice.below(25_000),
                    _ => self.dice.below(150_000),
                };
                self.pass(ms);
            }
            _ => self.weather(),
        }
        if self.dice.chance(self.climate.cut_step) && !self.is_broken() {
            self.cut();
        }
    }

    fn weather(&mut self) {
        let climate = &self.climate;
        let d = &mut self.dice;
        let dateless = self.machine.now(self.t).wall.is_none();
        // What is bad does not stay so for most of a run.
        let mends = |bad: bool, often: u32| if bad { 300 } else { often * 20 };
        if d.chance(mends(dateless, climate.clock)) {
            self.clock();
        } else if d.chance(mends(self.wan_down, climate.wan)) {
            self.flush();
            self.wan_down = !self.wan_down;
            self.tally.fault("line to the world down or up");
            let down = self.wan_down;
            self.story.note(self.t, || format!("the line to the world is {}", if down { "down" } else { "up" }));
        } else if d.chance(mends(self.disk_low, climate.disk_low)) {
            self.disk_low = !self.disk_low;
            self.tally.fault("disk almost full or not");
            let low = self.disk_low;
            self.happen(Event::NewSales(if low { Err(NoSales::DiskLow) } else { Ok(()) }));
        } else if d.chance(climate.long_times * 4) {
            let hours = d.pick(&[1, 1, 1, 2, 13, 80]);
            let ms = d.below(hours * 3_600_000);
            self.tally.fault("hours pass");
            self.pass(ms);
        }
    }

    fn clock(&mut self) {
        self.flush();
        let hour = 3_600_000;
        let dateless = self.machine.now(self.t).wall.is_none();
        let skew = match self.dice.below(8) {
            // Somebody sets the clock; to what is believed, if a later date was believed once.
            _ if dateless => Some(0.max(self.machine.floor - self.machine.date(self.t))),
            0 | 1 => None,
            2 => Some(self.dice.below(hour / 2) as i64),
            3 => Some(self.dice.below(72 * hour) as i64),
            4 | 5 => Some(-(self.dice.below(72 * hour) as i64)),
            6 => Some(-600_000_000_000),
            _ => Some(0),
        };
        self.machine.skew_ms = skew;
        self.ledger.dates_jumped = true;
        self.tally.fault("clock jumps or is unset");
        self.story.note(self.t, || format!("the date jumps: off by {skew:?} ms"));
    }

    fn till_acts(&mut self) {
        let at = self.dice.at(self.tills.len());
        let till = &mut self.tills[at];
        let number = till.number;
        for what in till.act(self.t, &self.climate, &mut self.dice, &mut self.tally) {
            self.happen(Event::Till { till: number, what });
        }
    }

    fn phone_acts(&mut self) {
        let mut at = self.dice.at(self.phones.len());
        if self.phones[at].rests() {
            at = self.dice.at(self.phones.len());
        }
        let other = self.dice.at(self.phones.len());
        let other = self.phones[other].facts.last().copied().filter(|_| other != at);
        let phone = &mut self.phones[at];
        let does = phone.act(&self.climate, other, &self.numbers, &mut self.dice, &mut self.tally);
        let session = phone.session;
        for does in does {
            match does {
                Does::Portal(what) => self.happen(Event::Phone { session, what }),
                Does::Checkout(id, act) => {
                    if self.platform.act(id, act, self.t) {
                        self.story.note(self.t, || format!("at the checkout of {id:?}: the customer {act:?}"));
                    }
                }
                Does::PaysMore(id) => self.pays_more(id),
            }
        }
    }

    fn pays_more(&mut self, id: AttemptId) {
        self.platform.expire(self.t);
        if let Some(at) = self.platform.at(id) {
            self.platform.pay_once_more(at);
            self.story.note(self.t, || format!("{id:?} is paid late, or once more"));
        }
    }

    /// An event reaches the program.
    pub(crate) fn happen(&mut self, event: Event) {
        if self.is_broken() || self.ring.is_none() {
            return;
        }
        if self.next_deadline() <= self.machine.mono(self.t) {
            self.take(Event::DeadlinePassed);
        }
        let boot = (self.machine.boot, self.tally.cuts);
        self.take(event);
        let share = !self.calm && self.waiting < self.climate.batch_max && self.dice.chance(600);
        if boot == (self.machine.boot, self.tally.cuts) && !share {
            self.flush();
        }
    }

    fn take(&mut self, event: Event) {
        if self.is_broken() {
            return;
        }
        self.story.event(self.t, &event);
        self.tally.events += 1;
        self.ledger.heard(&event, self.t);
        let stamp = self.machine.stamp(self.t);
        let mut early = Vec::new();
        let Some(ring) = &mut self.ring else { return };
        let taken = ring.take(&stamp, event, &mut |effect| early.push(effect));
        self.waiting += 1;
        if let Err(stopped) = taken {
            self.story.note(self.t, || format!("the program stops: {stopped}"));
            return self.cut();
        }
        if !early.is_empty() {
            // What waited was written before something was read from disk.
            self.tally.commits += 1;
            self.waiting = 2;
            self.dispatch(early, usize::MAX);
            self.waiting = 1;
        }
    }

    fn fate(&mut self) -> Fate {
        let d = &mut self.dice;
        if self.calm {
            return Fate::Well;
        }
        if d.chance(self.climate.cut_commit) {
            return match d.below(4) {
                0 => Fate::Before,
                1 => Fate::Fails,
                2 => Fate::After(0),
                _ => Fate::After(1 + d.at(4)),
            };
        }
        if d.chance(self.climate.disk_error) { Fate::Fails } else { Fate::Well }
    }

    /// What waits is committed and goes out, or the power is cut around it.
    pub(crate) fn flush(&mut self) {
        if self.is_broken() || (self.waiting == 0 && !self.opening) {
            return;
        }
        let fate = self.fate();
        if fate == Fate::Before {
            self.story.note(self.t, || "the power is cut before the commit".to_owned());
            return self.cut();
        }
        let Some(ring) = &mut self.ring else { return };
        if fate == Fate::Fails {
            let how = break_commit(ring.store_mut(), &mut self.dice);
            self.tally.fault(how);
            self.story.note(self.t, || format!("the commit fails: {how}"));
        }
        let mut effects = Vec::new();
        let wall = self.machine.now(self.t).wall;
        let flushed = ring.flush(wall, &mut |effect| effects.push(effect));
        self.tally.commits += 1;
        if fate == Fate::Fails {
            mend_commit(ring.store_mut());
        }
        if flushed.is_err() {
            self.ledger.law(15, effects.is_empty(), || "effects went out although their commit failed".to_owned());
            return self.cut();
        }
        match fate {
            Fate::After(effects_out) => {
                self.story.note(self.t, || format!("the power is cut after the commit, {effects_out} effects are out"));
                self.dispatch(effects, effects_out);
                self.cut();
            }
            Fate::Well | Fate::Fails | Fate::Before => self.dispatch(effects, usize::MAX),
        }
    }

    /// At most so many of the effects go out.
    fn dispatch(&mut self, effects: Vec<Effect>, max: usize) {
        let all = effects.len() <= max;
        let single = self.waiting <= 1;
        (self.waiting, self.opening) = (0, false);
        let Some(ring) = &self.ring else { return };
        let (t, boot) = (self.t, self.machine.boot);
        let scene = Scene { store: ring.store(), platform: &self.platform, t, boot, single };
        self.ledger.commit();
        for effect in effects.iter().take(max) {
            self.story.effect(t, effect);
            self.ledger.goes_out(&scene, effect);
        }
        if all {
            self.ledger.all_out(&scene);
        }
        for effect in effects.into_iter().take(max) {
            let twice = !self.calm && self.dice.chance(self.climate.twice);
            if twice && !matches!(effect, Effect::Alarm(_)) {
                self.tally.fault("an effect is done twice");
                self.reaches(effect.clone());
            }
            self.reaches(effect);
        }
    }

    /// An effect reaches whom it is for.
    fn reaches(&mut self, effect: Effect) {
        match effect {
            Effect::Till { till, answer } => {
                if let Some(till) = self.tills.iter_mut().find(|t| t.number == till) {
                    till.hear(&answer);
                }
            }
            Effect::Show { session, screen } => {
                if let Some(phone) = self.phones.iter_mut().find(|p| p.session == session) {
                    phone.shows(&screen);
                }
            }
            Effect::Forget { session } => {
                if let Some(phone) = self.phones.iter_mut().find(|p| p.session == session) {
                    phone.screen = None;
                }
            }
            Effect::Platform(call) => self.send(call),
            Effect::Totals { .. } | Effect::Reach { .. } | Effect::Alarm(_) => {}
        }
    }

    /// A call goes on the line, where anything may become of it.
    fn send(&mut self, call: PlatformCall) {
        let mut mail = Mail::new(call, self.t);
        if !self.calm {
            let (climate, d) = (&self.climate, &mut self.dice);
            if self.wan_down || d.chance(climate.not_sent) {
                self.tally.fault("call not sent");
                mail.answer = Some(no_answer(&mail.call, CallError::NotSent));
            } else if d.chance(climate.call_lost) {
                self.tally.fault("call lost");
                mail.arrives = false;
            } else if d.chance(climate.answer_lost) {
                self.tally.fault("done, and the answer lost");
                mail.returns = false;
            }
            if mail.answer.is_none() && d.chance(climate.call_twice) {
                self.tally.fault("call doubled");
                self.line.push(Mail { until: None, arrives: true, ..mail.clone() });
            }
        }
        self.line.push(mail);
        if self.line.len() > MAIL_MAX
            && let Some(at) = self.line.iter().position(|mail| mail.until.is_none())
        {
            self.line.remove(at);
        }
    }

    fn deliver_some(&mut self) {
        if self.line.is_empty() {
            return;
        }
        let reorder = self.dice.chance(self.climate.reorder);
        let at = if reorder { self.dice.at(self.line.len()) } else { 0 };
        if reorder && at > 0 {
            self.tally.fault("answers out of turn");
        }
        let first = (at..self.line.len()).find(|at| !self.rests(*at)).unwrap_or(at);
        self.deliver(first);
    }

    /// Whether nothing is to be done with this mail for now: lost, or a question that the platform holds.
    fn rests(&self, at: usize) -> bool {
        let mail = &self.line[at];
        if mail.answer.is_some() {
            return !mail.returns && mail.until.is_some();
        }
        let held = match &mail.call {
            PlatformCall::Query { attempt, version, wait_secs: 1.. } => {
                self.platform.paper(*attempt).is_some_and(|paper| paper.version <= *version && paper.ends > self.t)
            }
            _ => false,
        };
        !mail.arrives || held
    }

    fn deliver(&mut self, at: usize) {
        if self.line[at].answer.is_none() {
            if !self.line[at].arrives {
                if self.line[at].until.is_none() {
                    self.line.remove(at);
                }
                return;
            }
            let call = self.line[at].call.clone();
            let mut answer =
                self.platform.serve(&call, self.t, self.calm, &self.climate, &mut self.dice, &mut self.tally);
            self.story.serve(self.t, &call, &answer);
            if !self.calm && self.dice.chance(self.climate.garble) {
                self.garble(&mut answer);
            }
            let mail = &mut self.line[at];
            mail.answer = Some(answer);
            if !mail.returns || (!self.calm && self.dice.chance(300)) {
                return; // Lost, or still on its way back.
            }
        }
        let mail = self.line.remove(at);
        let Some(answer) = mail.answer.clone().filter(|_| mail.returns) else { return };
        if mail.until.is_some() {
            if !self.calm && self.dice.chance(self.climate.answer_twice) {
                self.tally.fault("answer doubled");
                self.line.push(Mail { until: None, ..mail });
            }
            self.happen(Event::Platform(answer));
        } else if !self.calm && self.dice.chance(self.climate.ghosts) {
            self.tally.fault("answer after its time or its program");
            self.happen(Event::Platform(answer));
        }
    }

    /// An answer about something else than was asked.
    fn garble(&mut self, answer: &mut PlatformEvent) {
        use tillgate::shop::event::{PaymentStatus, RefundStatus};
        use tillgate::shop::money::{Amount, Currency};
        let papers = &self.platform.papers;
        match answer {
            PlatformEvent::Answered { attempt, answer: Ok(payment), .. } => match self.dice.below(3) {
                0 => {
                    let other = papers.iter().map(|p| p.create.attempt).rfind(|id| id != attempt);
                    (payment.id, payment.status) = (other.unwrap_or(AttemptId(99)), PaymentStatus::Paid);
                    (payment.paid_minor, payment.version) = (payment.amount.minor(), payment.version + 1);
                    self.tally.fault("answer about a foreign id");
                }
                1 if payment.link.is_some() => {
                    payment.amount =
                        Amount::from_minor(payment.amount.minor() + 7, payment.amount.currency()).expect("an amount");
                    self.tally.fault("answer about another amount");
                }
                _ if payment.link.is_some() => {
                    let usd = Currency::from_code("USD").expect("USD");
                    payment.amount = Amount::from_minor(payment.amount.minor(), usd).expect("an amount");
                    self.tally.fault("answer about another currency");
                }
                _ => {}
            },
            PlatformEvent::RefundAnswered {
                answer: answer @ Ok(RefundStatus::Done | RefundStatus::Accepted), ..
            } => {
                *answer = Err(CallError::Unknown);
                self.tally.fault("answer that makes no sense");
            }
            PlatformEvent::Answered { .. }
            | PlatformEvent::RefundAnswered { .. }
            | PlatformEvent::Line { .. }
            | PlatformEvent::Listed { .. } => {}
        }
    }

    fn next_deadline(&self) -> Mono {
        self.ring.as_ref().map_or(Mono(u64::MAX), |ring| ring.shop().deadline())
    }

    fn next_due(&self) -> u64 {
        self.machine.when(self.next_deadline()).max(self.t)
    }

    /// Time passes, every deadline on the way at its own time.
    pub(crate) fn pass(&mut self, ms: u64) {
        self.flush();
        let end = self.t + ms;
        let long = ms > 30_000;
        let cuts = self.tally.cuts;
        let mut at_once = 0;
        while !self.is_broken() && self.tally.cuts == cuts {
            // The loop waits only when nothing waits for it.
            self.flush();
            if self.tally.cuts != cuts || (long && self.answers_meanwhile()) {
                continue;
            }
            let timeout = self.line.iter().filter_map(|mail| mail.until).min().unwrap_or(u64::MAX);
            let at = self.next_due().min(timeout.max(self.t));
            if at > end {
                break;
            }
            at_once = if at == self.t { at_once + 1 } else { 0 };
            self.ledger.law(17, at_once < AT_ONCE_MAX, || "the same deadline comes again and again".to_owned());
            self.to(at);
            self.time_out();
            if self.tally.cuts == cuts && self.next_deadline() <= self.machine.mono(self.t) {
                self.take(Event::DeadlinePassed);
                self.flush();
            }
        }
        if self.tally.cuts == cuts {
            self.to(end.max(self.t));
        }
    }

    fn to(&mut self, t: u64) {
        self.t = t;
        self.ledger.time(t);
    }

    /// While a long time passes the line does not stand still, and nobody lets a till wait. True if something was done.
    fn answers_meanwhile(&mut self) -> bool {
        if self.dice.chance(700)
            && let Some(at) = (0..self.line.len()).find(|at| !self.rests(*at))
        {
            self.deliver(at);
            return true;
        }
        let told = self.tills.iter_mut().find(|till| !till.results.is_empty());
        let Some(till) = told.filter(|_| self.dice.chance(700)) else { return false };
        let (number, sale) = (till.number, till.results.remove(0));
        let deaf = !self.calm && self.dice.chance(self.climate.till_deaf);
        let what = if deaf { TillEvent::Unheard { sale } } else { TillEvent::Taken { sale } };
        self.happen(Event::Till { till: number, what });
        true
    }

    /// Calls whose time is over: the program stops waiting; the call itself may still arrive.
    fn time_out(&mut self) {
        let t = self.t;
        while let Some(at) = self.line.iter().position(|mail| mail.until.is_some_and(|until| until <= t)) {
            let mail = &mut self.line[at];
            mail.until = None;
            let served_hold = mail.is_held() && mail.answer.is_none() && mail.arrives && mail.returns;
            let call = mail.call.clone();
            let lives_on = mail.arrives && self.dice.chance(500);
            if !lives_on || served_hold {
                self.line.remove(at);
            }
            if served_hold && !self.wan_down {
                // The platform has held the question to the end: it answers what is true.
                let answer = self.platform.serve(&call, t, self.calm, &self.climate, &mut self.dice, &mut self.tally);
                self.happen(Event::Platform(answer));
            } else {
                self.tally.fault("no answer in time");
                self.happen(Event::Platform(no_answer(&call, CallError::Unknown)));
            }
        }
    }

    /// The power is cut, or the process dies: shop and all that waits are gone. Then it starts again.
    pub(crate) fn cut(&mut self) {
        if self.is_broken() {
            return;
        }
        let Some(ring) = self.ring.take() else { return };
        self.tally.cuts += 1;
        let store = ring.into_store();
        self.waiting = 0;
        self.ledger.cut();
        self.line.iter_mut().for_each(|mail| mail.until = None);
        self.tills.iter_mut().for_each(Till::cut_off);
        self.phones.iter_mut().for_each(|phone| phone.screen = None);
        let reboot = !self.calm && self.dice.chance(self.climate.reboot);
        if reboot {
            let hour = 3_600_000;
            self.t += match self.dice.below(20) {
                0 => self.dice.below(60 * hour),
                1 => self.dice.below(hour),
                _ => 10_000 + self.dice.below(60_000),
            };
            self.machine.boot += 1;
            self.machine.booted = self.t;
            if self.dice.chance(self.climate.clock * 20) {
                self.machine.skew_ms = None;
                self.ledger.dates_jumped = true;
                self.tally.fault("clock unset after a boot");
            }
        } else {
            self.t += self.dice.below(5_000);
        }
        self.story.note(self.t, || (if reboot { "the machine starts" } else { "the program starts" }).to_owned());
        let check = self.tally.cuts.is_multiple_of(16);
        let store = match self.disk.after_power_cut(store, check) {
            Ok(store) => store,
            Err(error) => return self.ledger.law(17, false, || format!("the store does not open: {error}")),
        };
        self.start(store);
    }

    fn start(&mut self, store: Store) {
        let loaded = match store.load() {
            Ok(loaded) => loaded,
            Err(error) => return self.ledger.law(17, false, || format!("the store cannot be loaded: {error}")),
        };
        self.machine.starts(loaded.last_wall);
        if self.calm {
            self.machine.keeps_time(self.t);
        }
        let stamp = self.machine.stamp(self.t);
        self.ring = Some(Ring::unflushed(&stamp, self.climate.policy.clone(), loaded.shop, store));
        self.ledger.picks_up();
        self.opening = true;
        if self.disk_low && self.calm {
            self.disk_low = false;
        }
        self.depth += 1;
        if !self.calm && self.depth < 6 && self.dice.chance(self.climate.cut_again) {
            self.tally.fault("cut while picking itself up");
            self.story.note(self.t, || "the power is cut again before anything is written".to_owned());
            self.cut();
        } else {
            self.flush();
            if self.disk_low {
                self.happen(Event::NewSales(Err(NoSales::DiskLow)));
            }
        }
        self.depth -= 1;
        if self.depth == 0 && (self.calm || self.dice.chance(700)) {
            for at in 0..self.tills.len() {
                let till = self.tills[at].number;
                self.happen(Event::Till { till, what: TillEvent::Online });
            }
        }
    }

    /// Everything on the line is answered.
    pub(crate) fn answer_all(&mut self) {
        let mut left = 2_000;
        while let Some(at) = (0..self.line.len()).find(|at| !self.rests(*at)) {
            left -= 1;
            if self.is_broken() || left == 0 {
                break;
            }
            self.deliver(at);
        }
    }

    /// The faults end.
    pub(crate) fn calm_down(&mut self) {
        self.flush();
        self.calm = true;
        self.wan_down = false;
        self.machine.keeps_time(self.t);
        self.line.retain(|mail| mail.until.is_some());
        self.disk_low = false;
        self.happen(Event::NewSales(Ok(())));
        for at in 0..self.tills.len() {
            let till = self.tills[at].number;
            self.happen(Event::Till { till, what: TillEvent::Online });
        }
    }

    /// What a till is told when it asks now.
    pub(crate) fn ask_till(&mut self, till: TillNumber, what: TillEvent) -> Vec<TillAnswer> {
        let Some(ring) = &mut self.ring else { return Vec::new() };
        let stamp = self.machine.stamp(self.t);
        let mut effects = Vec::new();
        let mut out = |effect| effects.push(effect);
        let taken = ring.take(&stamp, Event::Till { till, what }, &mut out);
        let flushed = ring.flush(stamp.now.wall, &mut out);
        self.ledger.law(17, taken.is_ok() && flushed.is_ok(), || "the store fails without a fault".to_owned());
        let to_till = effects.into_iter().filter_map(|effect| match effect {
            Effect::Till { answer, .. } => Some(answer),
            _ => None,
        });
        to_till.collect()
    }

    /// A phone does something at the portal.
    pub(crate) fn portal(&mut self, at: usize, what: PhoneEvent) {
        let session = self.phones[at].session;
        self.happen(Event::Phone { session, what });
    }
}
