//! What the shop is: pure decisions. Takes an event to the sale, pairing or session it concerns; has no clock, no disk,
//! no sockets and cannot fail.

pub mod attempt;
pub mod effect;
pub mod event;
pub mod giveback;
pub mod id;
pub mod money;
pub mod pairing;
pub mod policy;
pub mod retry;
pub mod sale;
pub mod session;
pub mod time;

mod answers;
mod calls;
mod code;
mod owed;
mod phones;
#[doc(hidden)]
pub mod planted;
mod returns;
mod screens;
mod settle;
mod telling;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(unused))]
mod tests;
mod tills;

use calls::{Calls, Line};
use effect::{Effect, Progress, Record, Step};
use event::{Ask, Event, NoSales, Of, PlatformEvent, ReceiptNumber, ReturnKind, Ticket, TillEvent, TillNumber};
use giveback::Return;
use id::{AttemptId, Ids, SaleId, SessionId};
use planted::{Mistake, planted};
use policy::Policy;
use returns::LiveReturn;
use sale::{Sale, SaleState, Telling};
use session::{Place, Session};
use std::collections::{BTreeMap, BTreeSet};
use time::{Mono, Now, Stamp};

/// All that the shop decides. `handle` is its only way in, the returned [`Step`] its only way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shop {
    policy: Policy,
    sales: BTreeMap<SaleId, Live>,
    returns: BTreeMap<SaleId, LiveReturn>,
    tills: BTreeMap<TillNumber, Till>,
    visits: BTreeMap<SessionId, Visit>,
    line: Line,
    /// Ended attempts that the platform is asked about once more, and when. Their sales are on disk only.
    late: BTreeMap<AttemptId, Mono>,
    no_sales: Option<NoSales>,
    cursor: String,
    /// How much has been booked: sales and returns that have ended, refunds that have begun.
    booked: u64,
    /// Tickets and receipts looked up on disk for the event at hand.
    recalled: BTreeMap<(TillNumber, Of), SaleId>,
    /// All that was fetched from disk for it.
    fetched: BTreeSet<SaleId>,
}

/// What the store held at the last start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Loaded {
    /// All visits.
    pub sessions: Vec<Session>,
    /// All open sales, and the newest sale of each till; whole.
    pub sales: Vec<Sale>,
    /// All open returns, and the newest of each till where that is no sale.
    pub returns: Vec<Return>,
    /// The newest receipt number of each till.
    pub receipts: BTreeMap<TillNumber, ReceiptNumber>,
    /// Where each till closed its day last.
    pub days: BTreeMap<TillNumber, u64>,
    /// How much has been booked.
    pub booked: u64,
    /// Attempts of sales at rest that the platform has not been asked about once more.
    pub unchecked: Vec<AttemptId>,
    /// Where the reconciliation goes on.
    pub cursor: String,
}

/// What a till has asked for once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A sale.
    Sale(Box<Sale>),
    /// A return.
    Return(Box<Return>),
}

impl Asked {
    /// Its id.
    pub fn id(&self) -> SaleId {
        match self {
            Asked::Sale(sale) => sale.id,
            Asked::Return(given) => given.id,
        }
    }
}

/// What an event may concern and is no longer in memory: the ring fetches it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Missing {
    /// What this till asked for under this ticket, or the newest with this receipt number.
    Of(TillNumber, Of),
    /// The sale with this attempt.
    Attempt(AttemptId),
    /// The newest [`REPAYABLE_MAX`] sales that this phone has paid, and something is left of.
    PaidBy(SessionId),
}

/// A sale in memory: itself, what of it is on disk, and what was said about it last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Live {
    sale: Sale,
    saved: Option<Sale>,
    saved_open: bool,
    calls: Calls,
    progress_told: Option<Progress>,
    result_told: bool,
    /// A person was told that the till did not hear it.
    alarmed: bool,
}

/// A till: its sale, its last sale, and the phones that stand there, first come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Till {
    current: Option<SaleId>,
    last: Option<SaleId>,
    line: Vec<SessionId>,
    /// The number on its newest receipt.
    receipt: Option<ReceiptNumber>,
    /// Where it closed its day last.
    day: u64,
    /// A request that waits for a word on the line to the platform, and until when.
    asking: Option<(Ask, Mono)>,
}

/// A phone's visit in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Visit {
    session: Session,
    saved: Option<Session>,
    note: Option<effect::EnterNote>,
    wrong_guesses: u32,
    pause_until: Option<Mono>,
    /// The sale that was confirmed too late.
    too_late: Option<SaleId>,
    /// The result page has not been loaded yet; until then, at most until this, the checkout stays in reach.
    unseen_until: Option<Mono>,
    /// It has paid and seen its receipt: when it reaches the internet.
    online_from: Option<Mono>,
    shown: Option<effect::Screen>,
    /// How far, until when and where it was said to reach; `None`: it is captive.
    open: Option<(effect::Reach, Mono, Place)>,
}

/// One step being made: the time, its ids, what it touched, and what becomes of it.
#[derive(Debug)]
struct Turn {
    now: Now,
    ids: Ids,
    sales: BTreeSet<SaleId>,
    returns: BTreeSet<SaleId>,
    tills: BTreeSet<TillNumber>,
    visits: BTreeSet<SessionId>,
    /// Sales and returns that something has let go of; they may leave memory.
    let_go: BTreeSet<SaleId>,
    step: Step,
}

impl Turn {
    fn new(stamp: &Stamp) -> Turn {
        let ids = Ids::new(stamp.seed);
        let (sales, returns, tills, visits, let_go) = Default::default();
        Turn { now: stamp.now, ids, sales, returns, tills, visits, let_go, step: Step::default() }
    }

    fn effect(&mut self, effect: Effect) {
        self.step.effects.push(effect);
    }

    fn alarm(&mut self, alarm: effect::Alarm) {
        self.step.records.push(Record::Alarm(alarm.clone()));
        self.step.effects.push(Effect::Alarm(alarm));
    }
}

impl Shop {
    /// The shop as it was, and all that has to be done to pick everything up again. Starting after a crash, after a power
    /// cut and for the first time are the same.
    pub fn open(stamp: &Stamp, policy: Policy, loaded: Loaded) -> (Shop, Step) {
        let mut turn = Turn::new(stamp);
        let now = stamp.now;
        let last = last_ended(&loaded);
        let till = |number: &TillNumber| Till {
            last: last.get(number).copied(),
            receipt: loaded.receipts.get(number).copied(),
            day: loaded.days.get(number).copied().unwrap_or(0),
            ..Till::default()
        };
        let tills = policy.tills.iter().map(|number| (*number, till(number))).collect();
        let mut shop = Shop {
            policy,
            sales: BTreeMap::new(),
            returns: BTreeMap::new(),
            tills,
            visits: BTreeMap::new(),
            line: Line::unknown(now.mono),
            late: loaded.unchecked.into_iter().map(|attempt| (attempt, now.mono)).collect(),
            no_sales: None,
            cursor: loaded.cursor,
            booked: loaded.booked,
            recalled: BTreeMap::new(),
            fetched: BTreeSet::new(),
        };
        let mut sessions = loaded.sessions;
        sessions.sort_by_key(|session| session.pairing.map(|pairing| pairing.since));
        for session in sessions {
            shop.resume_visit(session, &mut turn);
        }
        for given in loaded.returns {
            shop.resume_return(given, &mut turn);
        }
        for sale in loaded.sales {
            shop.resume_sale(sale, &mut turn);
        }
        let tills: Vec<_> = shop.tills.keys().copied().collect();
        turn.tills.extend(tills);
        shop.settle(&mut turn);
        (shop, turn.step)
    }

    fn resume_sale(&mut self, sale: Sale, turn: &mut Turn) {
        let (id, till, live) = (sale.id, sale.till, sale.is_live());
        let other_boot = sale.boot != turn.now.boot;
        if let Some(till) = self.tills.get_mut(&till).filter(|_| live) {
            till.current = Some(id);
        }
        self.sales.insert(id, Live::from_disk(sale));
        self.change(turn, id, |sale, turn, _| {
            if other_boot {
                sale.survive_boot(turn.now);
            }
        });
    }

    fn resume_return(&mut self, given: Return, turn: &mut Turn) {
        let (id, till, live) = (given.id, given.till, given.is_live());
        if let Some(till) = self.tills.get_mut(&till).filter(|_| live) {
            till.current = Some(id);
        }
        self.returns.insert(id, LiveReturn::from_disk(given));
        self.change_return(turn, id, |given, turn| given.survive_start(turn.now));
    }

    /// Takes one event in. All of the returned records must be on disk, in one transaction, before any effect goes out.
    pub fn handle(&mut self, stamp: &Stamp, event: Event) -> Step {
        let mut turn = Turn::new(stamp);
        match event {
            Event::Till { till, what } => self.till(till, what, &mut turn),
            Event::Phone { session, what } => self.phone(session, what, &mut turn),
            Event::Platform(what) => self.platform(what, &mut turn),
            // Room on the disk does not mend a damaged store.
            Event::NewSales(Ok(()) | Err(NoSales::DiskLow)) if self.no_sales == Some(NoSales::StoreDamaged) => {}
            Event::NewSales(allowed) => self.no_sales = allowed.err(),
            Event::DeadlinePassed => self.pass(&mut turn),
        }
        self.settle(&mut turn);
        self.recalled.clear();
        self.fetched.clear();
        turn.step
    }

    /// What must be fetched from disk, and given to [`Shop::recall`], before this event is handled.
    pub fn missing(&self, event: &Event) -> Vec<Missing> {
        let ticket = |till: &TillNumber, ticket: &Option<Ticket>| self.unknown(*till, ticket.map(Of::Ticket));
        let attempts = |ids: &mut dyn Iterator<Item = AttemptId>| {
            ids.filter(|id| self.sale_of_attempt(*id).is_none()).map(Missing::Attempt).collect::<Vec<_>>()
        };
        match event {
            Event::Till { till, what } => match what {
                TillEvent::Asked(ask) => {
                    ticket(till, &ask.ticket).into_iter().chain(self.unknown_target(*till, ask)).collect()
                }
                TillEvent::Aborted { ticket: of } | TillEvent::AskedAgain { ticket: of } => {
                    ticket(till, of).into_iter().collect()
                }
                TillEvent::Online
                | TillEvent::Offline
                | TillEvent::Taken { .. }
                | TillEvent::TakeLater { .. }
                | TillEvent::Rejected { .. }
                | TillEvent::Unheard { .. }
                | TillEvent::AskedStatus
                | TillEvent::AskedTotals { .. }
                | TillEvent::DayClosed { .. }
                | TillEvent::Knows { .. } => Vec::new(),
            },
            Event::Platform(what) => {
                let mut missing = match what {
                    PlatformEvent::Answered { attempt, .. } | PlatformEvent::RefundAnswered { attempt, .. } => {
                        attempts(&mut std::iter::once(*attempt))
                    }
                    PlatformEvent::Listed { answer: Ok(page) } => attempts(&mut page.payments.iter().map(|p| p.id)),
                    PlatformEvent::Listed { answer: Err(_) } | PlatformEvent::Line { .. } => Vec::new(),
                };
                // Any word of the platform may begin what waited for it.
                let waiting = self.tills.iter().filter_map(|(till, entry)| Some((*till, entry.asking.as_ref()?.0)));
                missing.extend(waiting.filter_map(|(till, ask)| self.unknown_target(till, &ask)));
                missing
            }
            Event::Phone { .. } | Event::NewSales(_) | Event::DeadlinePassed => Vec::new(),
        }
    }

    /// What a request to give back is about, unless memory knows it.
    fn unknown_target(&self, till: TillNumber, ask: &Ask) -> Option<Missing> {
        ReturnKind::of(ask.kind)?;
        match ask.of {
            Some(of) => self.unknown(till, Some(of)),
            None => Some(Missing::PaidBy(*self.tills.get(&till)?.line.first()?)),
        }
    }

    /// An older sale of the same ticket or receipt may be in memory, too: only the store knows what they mean now.
    fn unknown(&self, till: TillNumber, of: Option<Of>) -> Option<Missing> {
        of.filter(|of| self.newest_in_memory(till, *of).is_none()).map(|of| Missing::Of(till, of))
    }

    /// Puts what was missing back into memory for the next event. What is in memory already stays as it is there.
    pub fn recall(&mut self, missing: Missing, found: Asked) {
        let id = found.id();
        if let Missing::Of(till, of) = missing {
            self.recalled.insert((till, of), id);
        }
        self.fetched.insert(id);
        match found {
            Asked::Sale(sale) => drop(self.sales.entry(id).or_insert_with(|| Live::from_disk(*sale))),
            Asked::Return(given) => drop(self.returns.entry(id).or_insert_with(|| LiveReturn::from_disk(*given))),
        }
    }

    /// When [`Event::DeadlinePassed`] is due.
    pub fn deadline(&self) -> Mono {
        let sales =
            self.sales.values().filter_map(|live| live.sale.deadline().into_iter().chain(live.calls.deadline()).min());
        let visits = self.visits.values().filter_map(|visit| self.visit_deadline(visit));
        let asking = self.tills.values().filter_map(|till| till.asking.map(|(_, until)| until));
        let late = self.late.values().copied();
        let returns = self.returns.values().filter_map(|live| live.given.deadline());
        sales
            .chain(returns)
            .chain(visits)
            .chain(asking)
            .chain(late)
            .chain(self.line.deadline())
            .min()
            .unwrap_or(Mono(u64::MAX))
    }

    /// Lets time pass for everything that is due.
    fn pass(&mut self, turn: &mut Turn) {
        let now = turn.now.mono;
        let due = |at: Option<Mono>| at.is_some_and(|at| at <= now);
        let over = self.sales.values().filter(|live| due(live.sale.deadline()));
        for id in over.map(|live| live.sale.id).collect::<Vec<_>>() {
            self.change(turn, id, |sale, turn, policy| sale.pass(turn.now, policy));
        }
        let over = self.returns.values().filter(|live| due(live.given.deadline()));
        for id in over.map(|live| live.given.id).collect::<Vec<_>>() {
            self.change_return(turn, id, |given, turn| given.pass(turn.now));
        }
        let over: Vec<_> = self.visits.values().filter(|v| due(self.visit_deadline(v))).map(|v| v.session.id).collect();
        for session in over {
            self.pass_visit(session, turn);
        }
        for (number, till) in &mut self.tills {
            if let Some((ask, _)) = till.asking.take_if(|(_, until)| *until <= now) {
                turn.effect(tills::refuse(*number, ask.ticket, effect::Refusal::NoLine));
            }
        }
    }

    /// Changes one sale, and draws all conclusions that do not wait for another event: from its attempts, about the money
    /// it took, about its till and its phone.
    fn change(&mut self, turn: &mut Turn, id: SaleId, how: impl FnOnce(&mut Sale, &mut Turn, &Policy)) {
        let Some(live) = self.sales.get_mut(&id) else { return };
        let before = live.sale.state;
        let shown_before = live.sale.at_phone();
        let refunds_before = live.sale.refunds.len();
        how(&mut live.sale, turn, &self.policy);
        live.sale.follow(turn.now, &self.policy, &mut turn.ids);
        live.sale.give_back(turn.now, &mut turn.ids);
        live.sale.returns_twice(&mut turn.ids);
        turn.sales.insert(id);
        let (number, after) = (live.sale.till, live.sale.state);
        turn.tills.insert(number);
        let ended = before.outcome().is_none() && after.outcome().is_some();
        let begun = live.sale.refunds.iter_mut().skip(refunds_before).map(|refund| &mut refund.booked);
        for booked in begun.chain(ended.then_some(&mut live.sale.booked)) {
            self.booked = self.booked.saturating_add(1);
            *booked = Some(self.booked);
        }
        self.follow_returns(id, turn);
        if ended && let Some(till) = self.tills.get_mut(&number) {
            till.current = None;
            turn.let_go.extend(till.last.replace(id));
        }
        let Some(session) = shown_before else { return };
        turn.visits.insert(session);
        if ended {
            self.end_pairing_with_sale(session, &before, turn);
        } else if self.sales.get(&id).is_some_and(|live| live.sale.at_phone() != Some(session)) {
            let note = match before {
                SaleState::Aborting { .. } => effect::EnterNote::LetGo,
                SaleState::Waiting | SaleState::Offered { .. } | SaleState::Paying { .. } => {
                    effect::EnterNote::ConfirmOver
                }
                SaleState::Approved { .. }
                | SaleState::Declined { .. }
                | SaleState::Cancelled { .. }
                | SaleState::Lapsed { .. } => return,
            };
            self.unpair(session, Some(note), turn);
        }
    }

    fn sale_of_attempt(&self, attempt: AttemptId) -> Option<SaleId> {
        let has = |live: &&Live| live.sale.attempts.iter().any(|a| a.id == attempt);
        self.sales.values().find(has).map(|live| live.sale.id)
    }

    /// Sales that wait for something, for `tillgate status`; oldest first is not promised.
    pub fn open_sales(&self) -> impl Iterator<Item = &Sale> {
        self.sales.values().map(|live| &live.sale).filter(|sale| !sale.is_at_rest())
    }

    /// How many phones are visiting.
    pub fn visits(&self) -> usize {
        self.visits.len()
    }

    /// Whether the platform answered lately, and when it last did.
    pub fn platform_line(&self, now: Mono) -> (calls::LineState, Option<Mono>) {
        (self.line.state(now), self.line.heard())
    }
}

pub use calls::LineState;
pub use returns::REPAYABLE_MAX;

/// Events as no adapter would send them: see `tests/fuzz.rs`.
#[cfg(feature = "fuzzing")]
pub fn fuzz_events(data: &[u8]) {
    tests::fuzz::events(data);
}

/// A whole run with an honest platform, its dice taken from the bytes.
#[cfg(feature = "fuzzing")]
pub fn fuzz_run(data: &[u8]) {
    tests::fuzz::run(data);
}

/// What each till was told about last: of all that has ended, what was booked last. Of what is older than that order the
/// newest counts.
fn last_ended(loaded: &Loaded) -> BTreeMap<TillNumber, SaleId> {
    let sales = loaded.sales.iter().filter(|sale| !sale.is_live()).map(|sale| (sale.till, sale.booked, sale.id));
    let returns = loaded.returns.iter().filter(|given| !given.is_live());
    let mut ended: Vec<_> = sales.chain(returns.map(|given| (given.till, given.booked, given.id))).collect();
    ended.sort_by_key(|(_, booked, _)| *booked);
    ended.into_iter().map(|(till, _, id)| (till, id)).collect()
}

impl Live {
    fn new(sale: Sale) -> Live {
        let (progress_told, result_told, alarmed) = (None, false, false);
        Live { sale, saved: None, saved_open: true, calls: Calls::default(), progress_told, result_told, alarmed }
    }

    fn from_disk(sale: Sale) -> Live {
        let saved_open = !sale.is_at_rest() || planted(Mistake::NotReopened);
        let result_told = planted(Mistake::ResultLostAtStart);
        let alarmed = matches!(sale.state.telling(), Some(Telling::Unheard { .. }));
        Live { saved: Some(sale.clone()), saved_open, result_told, alarmed, ..Live::new(sale) }
    }
}
