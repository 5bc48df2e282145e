//! One state of the small world, and the ring in it: event, shop, records on disk, effects out, in this order. Decides
//! nothing about what may happen next.

use super::super::super::effect::*;
use super::super::super::event::*;
use super::super::super::id::{AttemptId, Ids, SaleId, SessionId};
use super::super::super::money::Currency;
use super::super::super::policy::Policy;
use super::super::super::session::Place;
use super::super::super::time::{Mono, Now, Stamp};
use super::super::super::{Loaded, Shop};
use super::super::laws::Laws;
use super::super::world::{Disk, session, till};
use super::clock::{self, NOW, sooner};
use super::platform::Platform;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

pub(super) const PHONES: [&str; 2] = ["a", "b"];
/// How long the platform holds a question that has no news, and how long any call may take beside that.
const HOLD_MS: u64 = 25_000;
pub(super) const CALL_MS: u64 = 15_000;
/// How long the machine is off when it starts anew.
const OFF_MS: u64 = 20_000;

/// How often what may happen in a world; what is not here may happen at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Left {
    /// The cashier's aborts.
    pub(super) aborts: u8,
    /// The till asks again: the same ticket, or its last result.
    pub(super) repeats: u8,
    /// The till puts a result off, refuses it, or does not answer.
    pub(super) refusals: u8,
    /// The program stops, or the machine starts anew.
    pub(super) crashes: u8,
    /// A message is lost or doubled.
    pub(super) faults: u8,
    /// A customer fails, or cancels at the platform.
    pub(super) failures: u8,
    /// A customer pays once more, or too late.
    pub(super) extras: u8,
    /// The platform books another amount.
    pub(super) others: u8,
    /// An answer about a foreign payment arrives instead of the right one.
    pub(super) foreign: u8,
    /// Phones that change their mind: leave, *not mine*, decline, give up, let go.
    pub(super) moods: u8,
    /// The platform refuses a payment, keeps no tombstone, is slow with a refund or refuses it.
    pub(super) manners: u8,
    /// Phones post what their page does not offer.
    pub(super) forged: u8,
    /// Sales that the till may begin.
    pub(super) sales: u8,
    /// How often the machine starts without knowing the date.
    pub(super) dateless: u8,
    /// Whether the line to the platform is tried over the line, too. Else it is known to be well.
    pub(super) probes: bool,
}

impl Left {
    /// One sale, and nothing goes wrong.
    pub(super) const NONE: Left = Left {
        aborts: 0,
        repeats: 0,
        refusals: 0,
        crashes: 0,
        faults: 0,
        failures: 0,
        extras: 0,
        others: 0,
        foreign: 0,
        moods: 0,
        manners: 0,
        forged: 0,
        sales: 1,
        dateless: 0,
        probes: false,
    };
}

/// What is under way between gateway and platform. A call that nobody awaits any more may still arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mail {
    Call { call: PlatformCall, awaited: Option<Awaited> },
    Answer { call: PlatformCall, event: PlatformEvent, by: Mono },
}

/// Until when a call with no news is held, and when its caller stops waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Awaited {
    pub(super) hold: Mono,
    pub(super) by: Mono,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(super) boot: u128,
    /// Whether the date is known.
    pub(super) dated: bool,
    pub(super) shop: Arc<Shop>,
    pub(super) disk: Arc<Disk>,
    pub(super) laws: Arc<Laws>,
    pub(super) shown: Arc<BTreeMap<SessionId, Screen>>,
    pub(super) platform: Arc<Platform>,
    pub(super) mail: Vec<Mail>,
    /// Which phone has seen the link of which attempt.
    pub(super) seen: BTreeSet<(SessionId, AttemptId)>,
    /// The results the till was told and has not answered.
    pub(super) owes: BTreeSet<SaleId>,
    pub(super) left: Left,
    /// Sales the till has asked for.
    pub(super) tickets: u32,
    /// Steps that drew ids, so that no id comes twice and equal histories have equal ids.
    pub(super) drawn: u128,
}

/// What a step comes to: whether it was cut short of its effects.
pub(super) enum Done {
    Whole,
    Cut,
}

impl State {
    pub(super) fn new(policy: &Policy, left: Left, standing: &[&str]) -> State {
        let stamp = Stamp { now: clock::now(1, true), seed: 0 };
        let (shop, step) = Shop::open(&stamp, policy.clone(), Loaded::default());
        let mut state = State {
            boot: 1,
            dated: true,
            shop: Arc::new(shop),
            disk: Arc::default(),
            laws: Arc::default(),
            shown: Arc::default(),
            platform: Arc::default(),
            mail: Vec::new(),
            seen: BTreeSet::new(),
            owes: BTreeSet::new(),
            left,
            tickets: 0,
            drawn: 0,
        };
        state.take(step, &stamp, None);
        for phone in PHONES {
            let place = Place { ip: [10, 77, 0, 9].into(), mac: None };
            let what = PhoneEvent::LoggedIn { place };
            state.handle(Event::Phone { session: session(phone), what }, None);
        }
        for phone in standing {
            let what = PhoneEvent::Stands { at: Some(till(7)) };
            state.handle(Event::Phone { session: session(phone), what }, None);
        }
        state
    }

    fn now(&self) -> Now {
        clock::now(self.boot, self.dated)
    }

    /// One event goes round. With `cut`, the program stops after so many effects have gone out.
    pub(super) fn handle(&mut self, event: Event, cut: Option<usize>) -> Done {
        if self.shop.deadline() <= NOW && event != Event::DeadlinePassed {
            self.handle(Event::DeadlinePassed, None);
        }
        let stamp = Stamp { now: self.now(), seed: (self.drawn + 1) << 64 };
        let shop = Arc::make_mut(&mut self.shop);
        for missing in shop.missing(&event) {
            for found in self.disk.fetch(missing) {
                shop.recall(missing, found);
            }
        }
        Arc::make_mut(&mut self.laws).heard(&event);
        let step = shop.handle(&stamp, event);
        self.take(step, &stamp, cut)
    }

    /// The program is started, and the machine before it if `reboot`.
    pub(super) fn start(&mut self, policy: &Policy, reboot: bool, cut: Option<usize>) -> Done {
        self.mail.retain(|mail| matches!(mail, Mail::Call { call, .. } if does(call)));
        for mail in &mut self.mail {
            if let Mail::Call { awaited, .. } = mail {
                *awaited = None;
            }
        }
        self.owes.clear();
        if reboot {
            self.boot += 1;
            self.dated = self.left.dateless == 0;
            self.left.dateless = self.left.dateless.saturating_sub(1);
            let now = self.now();
            clock::forget(Arc::make_mut(&mut self.disk), now);
            Arc::make_mut(&mut self.platform).sooner(OFF_MS);
        }
        let stamp = Stamp { now: self.now(), seed: (self.drawn + 1) << 64 };
        let (shop, step) = Shop::open(&stamp, policy.clone(), self.disk.load());
        self.shop = Arc::new(shop);
        Arc::make_mut(&mut self.laws).opened();
        self.take(step, &stamp, cut)
    }

    fn take(&mut self, step: Step, stamp: &Stamp, cut: Option<usize>) -> Done {
        if cut.is_some() && step.records.is_empty() {
            return Done::Whole;
        }
        let laws = Arc::make_mut(&mut self.laws);
        let written = !step.records.is_empty();
        for record in step.records {
            laws.written(&self.disk, &self.shown, &record, stamp.now);
            Arc::make_mut(&mut self.disk).write(record);
        }
        let mut ids = Ids::new(stamp.seed);
        let fresh: Vec<u128> = std::iter::repeat_with(|| ids.draw()).take(4).collect();
        self.drawn += u128::from(self.shop.sales.values().any(|live| {
            let of = live.sale.attempts.iter().map(|a| a.id.0).chain(live.sale.refunds.iter().map(|r| r.id.0));
            of.chain([live.sale.id.0]).any(|id| fresh.contains(&id))
        }));
        let mut probed = false;
        let mut out = 0;
        for effect in &step.effects {
            if cut.is_some_and(|cut| cut == out) && is_seen(effect) {
                clock::rebase_disk(Arc::make_mut(&mut self.shop), Arc::make_mut(&mut self.disk), 0, stamp.now);
                return Done::Cut;
            }
            out += usize::from(is_seen(effect));
            Arc::make_mut(&mut self.laws).leaving(&self.disk, effect, stamp.now);
            probed |= *effect == Effect::Platform(PlatformCall::Probe) && !self.left.probes;
            self.hear(effect);
        }
        let laws = Arc::make_mut(&mut self.laws);
        laws.step_over(&self.disk, &self.shown, &step.effects);
        laws.settle();
        self.settle(0, written);
        if probed {
            self.handle(Event::Platform(PlatformEvent::Line { up: true }), None);
        }
        Done::Whole
    }

    fn hear(&mut self, effect: &Effect) {
        match effect {
            // The list comes when its hour strikes.
            Effect::Platform(PlatformCall::List { .. }) => {}
            Effect::Platform(PlatformCall::Probe) if !self.left.probes => {}
            Effect::Platform(call) => {
                let waits = matches!(call, PlatformCall::Query { wait_secs: 1.., .. });
                let hold = if waits { NOW.plus_ms(HOLD_MS) } else { NOW };
                // A question that is held is answered at once when there is news, or when its time is over.
                let by = if waits { hold } else { NOW.plus_ms(CALL_MS) };
                self.mail.push(Mail::Call { call: call.clone(), awaited: Some(Awaited { hold, by }) });
            }
            Effect::Till { answer: TillAnswer::Finish(finish), .. } => drop(self.owes.insert(finish.sale)),
            Effect::Show { session, screen } => {
                Arc::make_mut(&mut self.shown).insert(*session, screen.clone());
                if let Screen::Pay { link, .. } = screen {
                    let whose = |id: &&AttemptId| link.as_str().ends_with(&id.to_string());
                    let attempt = self.platform.papers.keys().find(whose).copied();
                    self.seen.extend(attempt.map(|id| (*session, id)));
                }
            }
            Effect::Forget { session } => drop(Arc::make_mut(&mut self.shown).remove(session)),
            Effect::Till { .. } | Effect::Reach { .. } | Effect::Totals { .. } | Effect::Alarm(_) => {}
        }
    }

    /// Time passes by so much, and what cannot be told apart becomes equal.
    pub(super) fn settle(&mut self, ms: u64, written: bool) {
        let now = self.now();
        let shop = Arc::make_mut(&mut self.shop);
        clock::rebase(shop, ms, now);
        if written || ms > 0 {
            clock::rebase_disk(shop, Arc::make_mut(&mut self.disk), ms, now);
        }
        if ms > 0 {
            Arc::make_mut(&mut self.shown).values_mut().for_each(|screen| clock::of_screen(screen, ms));
            Arc::make_mut(&mut self.platform).sooner(ms);
            for mail in &mut self.mail {
                match mail {
                    Mail::Call { awaited: Some(Awaited { hold, by }), .. } => {
                        sooner(hold, ms);
                        sooner(by, ms);
                    }
                    Mail::Answer { by, .. } => sooner(by, ms),
                    Mail::Call { awaited: None, .. } => {}
                }
            }
        }
        self.mail_settles();
    }

    pub(super) fn mail_settles(&mut self) {
        // Strays of one kind do together what one of them does; and two messages have no order.
        let stray = |mail: &Mail| matches!(mail, Mail::Call { awaited: None, .. });
        if self.mail.len() > 1 {
            let mut kept: Vec<Mail> = Vec::new();
            for mail in self.mail.drain(..) {
                if !(stray(&mail) && kept.contains(&mail)) {
                    kept.push(mail);
                }
            }
            self.mail = kept;
        }
        if self.mail.len() == 2 {
            self.mail.sort_by_key(fingerprint);
        }
    }

    /// The messages of which any may be next: two at a time, questions that are being held aside.
    pub(super) fn under_way(&self) -> impl Iterator<Item = usize> {
        let moves = |mail: &Mail| match mail {
            Mail::Call { call: PlatformCall::Query { attempt, version, .. }, awaited: Some(awaited) } => {
                awaited.hold <= NOW || self.platform.has_news(*attempt, *version)
            }
            Mail::Call { .. } | Mail::Answer { .. } => true,
        };
        self.mail.iter().enumerate().filter(move |(_, mail)| moves(mail)).map(|(at, _)| at)
    }

    /// Which deadline is next: the shop's, or one of the world around it.
    pub(super) fn next_deadline(&self) -> Option<Mono> {
        let links = self.platform.papers.values().filter(|paper| paper.is_open()).map(|paper| paper.ends);
        let holds = self.mail.iter().filter_map(|mail| match mail {
            Mail::Call { awaited, .. } => awaited.map(|awaited| awaited.hold),
            Mail::Answer { .. } => None,
        });
        let ahead = |at: &Mono| *at > NOW && *at < clock::NEVER;
        let next = links.chain(holds).chain([self.shop.deadline()]).filter(ahead).min()?;
        let by = self.mail.iter().filter_map(|mail| match mail {
            Mail::Call { awaited, .. } => awaited.map(|awaited| awaited.by),
            Mail::Answer { by, .. } => Some(*by),
        });
        let news = |at: usize| matches!(&self.mail[at], Mail::Call { call: PlatformCall::Query { .. }, .. });
        let mut under_way = self.under_way();
        // A till answers before the next deadline, or it is one that puts its answer off.
        let all_may_wait = by.min().is_none_or(|by| next <= by)
            && self.under_way().count() <= 2
            && !under_way.any(news)
            && self.owes.is_empty();
        all_may_wait.then_some(next)
    }
}

/// Whether a call does anything at the platform, so that it matters if it arrives when nobody awaits it.
pub(super) fn does(call: &PlatformCall) -> bool {
    match call {
        PlatformCall::Create(_) | PlatformCall::Cancel { .. } | PlatformCall::Refund { .. } => true,
        PlatformCall::Query { .. }
        | PlatformCall::QueryRefund { .. }
        | PlatformCall::Probe
        | PlatformCall::List { .. } => false,
    }
}

/// Whether it matters if the program stops before or after this effect.
fn is_seen(effect: &Effect) -> bool {
    match effect {
        Effect::Platform(PlatformCall::Probe | PlatformCall::List { .. }) => false,
        Effect::Platform(_) | Effect::Till { answer: TillAnswer::Finish(_), .. } | Effect::Show { .. } => true,
        Effect::Till { .. }
        | Effect::Forget { .. }
        | Effect::Reach { .. }
        | Effect::Totals { .. }
        | Effect::Alarm(_) => false,
    }
}

pub(super) fn fingerprint(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// The rules of this shop. Phones stay as long as they like; how long is theirs to say.
pub(super) fn policy() -> Policy {
    let mut policy = Policy::with_defaults(Currency::from_code("EUR").expect("a currency"), [till(7)].into());
    (policy.session_secs, policy.pair_idle_secs) = (u64::MAX, u64::MAX);
    (policy.attempts_max, policy.confirm_secs) = (2, 10);
    policy
}
