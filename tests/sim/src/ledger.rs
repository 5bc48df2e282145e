//! The reference ledger: what was truly asked, confirmed, paid, told and shown. Judges by the laws of the design, from
//! outside: what leaves the program is held against the store, the platform's own books and what was said before.

use crate::platform::{Platform, attempt_behind};
use std::collections::{BTreeMap, BTreeSet};
use tillgate::shop::Asked;
use tillgate::shop::attempt::{Attempt, AttemptState, ClosedWhy, Refund, RefundWhy, Refused};
use tillgate::shop::effect::{
    Create, DeclinedWhy, Effect, Finish, Outcome, PlatformCall, Progress, Reach, SaleFacts, Screen, TillAnswer,
};
use tillgate::shop::event::{
    Ask, AskKind, Call, CallError, Event, Payment, PaymentStatus, PhoneEvent, PlatformEvent, RefundStatus, ReturnKind,
    Ticket, TillEvent, TillNumber,
};
use tillgate::shop::giveback::Return;
use tillgate::shop::id::{AttemptId, RefundId, SaleId, SessionId};
use tillgate::shop::money::Amount;
use tillgate::shop::policy::Policy;
use tillgate::shop::sale::{Sale, SaleState};
use tillgate::store::Store;

/// A law that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which of the laws of the design.
    pub law: u8,
    /// How.
    pub what: String,
}

/// What the ledger knows of a sale.
#[derive(Debug)]
struct Account {
    till: TillNumber,
    ask: Option<Ask>,
    boot: u64,
    /// What the till was told first.
    told: Option<Outcome>,
    /// When the till stops listening, while it has not been told and nothing was cut since it asked.
    patience: Option<u64>,
    winner: Option<AttemptId>,
    taken: bool,
    rejected: bool,
    unheard: bool,
    creates: Vec<AttemptId>,
}

/// What is known at the moment of judging.
pub struct Scene<'a> {
    /// The store, after the commit.
    pub store: &'a Store,
    /// The platform's own books.
    pub platform: &'a Platform,
    /// Milliseconds since the run began.
    pub t: u64,
    /// Which boot this is.
    pub boot: u64,
    /// One event alone has led here: state on disk and effects are of one moment.
    pub single: bool,
}

/// The ledger.
#[derive(Debug, Default)]
pub struct Ledger {
    /// The laws that were broken.
    pub broken: Vec<Broken>,
    accounts: BTreeMap<SaleId, Account>,
    asks: BTreeMap<(TillNumber, Option<Ticket>), Vec<Ask>>,
    tickets: BTreeMap<(TillNumber, Ticket), (SaleId, u64)>,
    /// Since when each ticket is in use.
    since: BTreeMap<(TillNumber, Ticket), u64>,
    last: BTreeMap<TillNumber, SaleId>,
    creates: BTreeMap<AttemptId, Create>,
    refunds: BTreeMap<RefundId, (AttemptId, Amount)>,
    confirmed: BTreeSet<(SaleId, SessionId, u64)>,
    shown_ever: BTreeSet<(SaleId, SessionId, u64)>,
    pages: BTreeMap<SessionId, Screen>,
    /// Where each phone has said that it stands.
    stands: BTreeSet<(SessionId, TillNumber)>,
    /// By the platform's word as the program has heard it.
    money: BTreeMap<AttemptId, u64>,
    paid: BTreeMap<AttemptId, Amount>,
    over: BTreeSet<AttemptId>,
    failed: BTreeSet<AttemptId>,
    silent: BTreeMap<AttemptId, CallError>,
    /// Results told that no till has answered.
    unanswered: BTreeSet<(TillNumber, SaleId)>,
    /// What was asked back and chosen: of which sale, by whom, how much.
    chosen: BTreeSet<(SaleId, SaleId, SessionId, u64)>,
    /// Refunds that the platform has said it will do, and those it has said it will not.
    made: BTreeSet<RefundId>,
    unmade: BTreeSet<RefundId>,
    /// Of these, what was heard since the program last died: that it has not forgotten.
    heard: BTreeSet<RefundId>,
    /// What was told of each return last.
    pub given: BTreeMap<SaleId, Option<Outcome>>,
    /// Results that must be told before this step is over, and the law that says so.
    owed: BTreeSet<SaleId>,
    outcomes: BTreeMap<SaleId, Outcome>,
    policy: Option<Policy>,
    /// Dates have jumped: what depends on them is not judged.
    pub dates_jumped: bool,
    cache: Vec<(SaleId, Option<Sale>)>,
}

fn live(sale: &Sale) -> bool {
    sale.state.outcome().is_none()
}

fn sum<'a>(refunds: impl Iterator<Item = &'a Refund>) -> u64 {
    refunds.filter(|r| r.state.counts()).map(|r| r.amount.minor()).sum()
}

impl Ledger {
    /// A ledger for a shop with these rules.
    pub fn new(policy: Policy) -> Ledger {
        Ledger { policy: Some(policy), ..Ledger::default() }
    }

    /// Judges: if it does not hold, the law is broken.
    pub fn law(&mut self, law: u8, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.len() < 8 {
            self.broken.push(Broken { law, what: what() });
        }
    }

    /// An event is about to be handled.
    pub fn heard(&mut self, event: &Event, t: u64) {
        match event {
            Event::Till { till, what } => self.heard_till(*till, *what, t),
            Event::Phone { session, what } => match what {
                PhoneEvent::Confirms { sale, amount } => {
                    self.confirmed.insert((*sale, *session, amount.minor()));
                }
                PhoneEvent::Stands { at: Some(at) } => drop(self.stands.insert((*session, *at))),
                PhoneEvent::Chooses { asked, sale, amount } => {
                    self.chosen.insert((*asked, *sale, *session, amount.minor()));
                }
                PhoneEvent::Stands { at: None }
                | PhoneEvent::LoggedIn { .. }
                | PhoneEvent::Leaves
                | PhoneEvent::Declines { .. }
                | PhoneEvent::NotMine { .. }
                | PhoneEvent::GivesUp { .. }
                | PhoneEvent::LetsGo { .. }
                | PhoneEvent::Refuses { .. }
                | PhoneEvent::Saw { .. }
                | PhoneEvent::Finishes
                | PhoneEvent::LogsOut => {}
            },
            Event::Platform(what) => self.heard_platform(what),
            Event::NewSales(_) | Event::DeadlinePassed => {}
        }
    }

    fn heard_till(&mut self, till: TillNumber, what: TillEvent, t: u64) {
        match what {
            TillEvent::Asked(ask) => {
                let asks = self.asks.entry((till, ask.ticket)).or_default();
                asks.retain(|before| *before != ask);
                asks.push(ask);
                if ask.kind == AskKind::Pay
                    && let Some((sale, _)) = ask.ticket.and_then(|ticket| self.tickets.get(&(till, ticket)))
                    && ask.ticket.is_some_and(|ticket| ticket.epoch.is_some())
                    && self.accounts.get(sale).and_then(|a| a.ask).is_some_and(|first| first.amount == ask.amount)
                {
                    self.owe(*sale);
                }
                if let Some(ticket) = ask.ticket {
                    let life_ms = self.policy.as_ref().map_or(0, |p| p.ticket_life_secs * 1_000);
                    let since = self.since.entry((till, ticket)).or_insert(t);
                    if t > *since + life_ms {
                        *since = t;
                    }
                }
            }
            TillEvent::AskedAgain { ticket: Some(ticket) } if ticket.epoch.is_some() => {
                if let Some((sale, _)) = self.tickets.get(&(till, ticket)) {
                    self.owe(*sale);
                }
            }
            TillEvent::Taken { sale } => self.answered(till, sale, |a| a.taken = true),
            TillEvent::Rejected { sale } => self.answered(till, sale, |a| a.rejected = true),
            TillEvent::Unheard { sale } => self.answered(till, sale, |a| a.unheard = true),
            TillEvent::TakeLater { sale, .. } => self.answered(till, sale, |_| {}),
            TillEvent::AskedAgain { .. }
            | TillEvent::Online
            | TillEvent::Offline
            | TillEvent::Aborted { .. }
            | TillEvent::AskedStatus
            | TillEvent::AskedTotals { .. }
            | TillEvent::DayClosed { .. }
            | TillEvent::Knows { .. } => {}
        }
    }

    /// The till has been told this result before, and asks: it must hear it again.
    fn owe(&mut self, sale: SaleId) {
        let returned = self.given.get(&sale).is_some_and(Option::is_some);
        if returned || self.accounts.get(&sale).is_some_and(|account| account.told.is_some()) {
            self.owed.insert(sale);
        }
    }

    fn answered(&mut self, till: TillNumber, sale: SaleId, how: impl FnOnce(&mut Account)) {
        self.unanswered.remove(&(till, sale));
        if let Some(account) = self.accounts.get_mut(&sale).filter(|account| account.till == till) {
            how(account);
        }
    }

    fn heard_platform(&mut self, what: &PlatformEvent) {
        match what {
            PlatformEvent::Answered { attempt, call, answer } => match answer {
                Ok(payment) if payment.id != *attempt => {
                    self.silent.insert(*attempt, CallError::Unknown);
                }
                Ok(payment) => {
                    self.silent.remove(attempt);
                    self.heard_payment(payment);
                }
                Err(CallError::Refused(refused)) => {
                    if *refused == Refused::Tombstone || *call == Call::Create {
                        self.over.insert(*attempt);
                    }
                }
                Err(error @ (CallError::NotSent | CallError::Unknown | CallError::NotFound)) => {
                    self.silent.insert(*attempt, *error);
                }
            },
            PlatformEvent::Listed { answer: Ok(page) } => page.payments.iter().for_each(|p| self.heard_payment(p)),
            PlatformEvent::RefundAnswered { refund, answer, .. } => match answer {
                Ok(RefundStatus::Accepted | RefundStatus::Done) => {
                    self.made.insert(*refund);
                    self.heard.insert(*refund);
                }
                Ok(RefundStatus::Refused) | Err(CallError::Refused(_)) => {
                    self.unmade.insert(*refund);
                    self.heard.insert(*refund);
                }
                Err(CallError::NotSent | CallError::Unknown | CallError::NotFound) => {}
            },
            PlatformEvent::Listed { answer: Err(_) } | PlatformEvent::Line { .. } => {}
        }
    }

    fn heard_payment(&mut self, payment: &Payment) {
        let money = self.money.entry(payment.id).or_default();
        *money = payment.paid_minor.max(*money);
        match payment.status {
            PaymentStatus::Awaiting | PaymentStatus::Processing => return,
            PaymentStatus::Paid => {
                if payment.paid_minor >= payment.amount.minor() {
                    self.paid.entry(payment.id).or_insert(payment.amount);
                }
            }
            PaymentStatus::Failed => drop(self.failed.insert(payment.id)),
            PaymentStatus::Expired | PaymentStatus::Cancelled => {}
        }
        self.over.insert(payment.id);
    }

    /// The program has died. What it told, and what tills had not answered, must be told again.
    pub fn cut(&mut self) {
        self.owed.clear();
        self.pages.clear();
        self.heard.clear();
        for account in self.accounts.values_mut() {
            account.patience = None;
        }
    }

    /// The program has picked itself up: results that no till answered are owed.
    pub fn picks_up(&mut self) {
        self.owed = self.unanswered.iter().map(|(_, sale)| *sale).collect();
    }

    /// A sale as it is on disk now, judged once each time.
    fn disk(&mut self, scene: &Scene<'_>, id: SaleId) -> Option<Sale> {
        if let Some((_, sale)) = self.cache.iter().find(|(cached, _)| *cached == id) {
            return sale.clone();
        }
        let sale = scene.store.sale(id).expect("the store can be read");
        if let Some(sale) = &sale {
            self.judge_row(sale);
        }
        self.cache.push((id, sale.clone()));
        sale
    }

    /// What a sale's rows may say, whatever has happened.
    pub fn judge_row(&mut self, sale: &Sale) {
        for attempt in &sale.attempts {
            self.judge_attempt(attempt);
        }
        if let Some(outcome) = sale.state.outcome() {
            let first = *self.outcomes.entry(sale.id).or_insert(outcome);
            self.law(8, first == outcome, || format!("sale {:.8} was {first:?} and is {outcome:?}", hex(sale.id.0)));
        }
        if let Some(winner) = sale.winner() {
            let right = self.paid.get(&winner) == Some(&sale.amount);
            self.law(1, right, || format!("sale {:.8} approved without such a payment", hex(sale.id.0)));
        }
        if let SaleState::Declined { why: DeclinedWhy::Failed(_) | DeclinedWhy::Expired, .. } = sale.state {
            let over = sale.attempts.last().is_some_and(|a| self.over.contains(&a.id));
            self.law(10, over, || format!("sale {:.8} declined without the platform's word", hex(sale.id.0)));
        }
        if let Some(first) = self.accounts.get(&sale.id).and_then(|a| a.ask) {
            self.law(14, first.amount == sale.amount, || format!("{} was asked, {} stands", first.amount, sale.amount));
        }
    }

    fn judge_attempt(&mut self, attempt: &Attempt) {
        let (id, over) = (attempt.id, self.over.contains(&attempt.id));
        let silent = self.silent.get(&id).copied();
        let name = hex(id.0);
        match attempt.state {
            AttemptState::Closed(why) => {
                let law = match (silent, why) {
                    (Some(CallError::NotFound), _) => 11,
                    (Some(_), ClosedWhy::Failed(_)) => 10,
                    _ => 5,
                };
                self.law(law, over, || format!("attempt {name:.8} closed ({why:?}) without the platform's word"));
            }
            AttemptState::Paid { .. } => {
                let money = self.money.contains_key(&id);
                self.law(10, money, || format!("attempt {name:.8} paid without the platform's word"));
            }
            AttemptState::Intent { .. } | AttemptState::Open { .. } => {}
        }
        let heard = self.money.get(&id).copied().unwrap_or(0);
        self.law(1, attempt.paid_minor <= heard, || {
            format!("attempt {name:.8}: {} on disk, {heard} said", attempt.paid_minor)
        });
    }

    /// An effect goes out. Everything that it says must be on disk, and true.
    pub fn goes_out(&mut self, scene: &Scene<'_>, effect: &Effect) {
        match effect {
            Effect::Till { till, answer } => self.till_told(scene, *till, answer),
            Effect::Show { session, screen } => self.shown(scene, *session, screen),
            Effect::Forget { session } => drop(self.pages.remove(session)),
            Effect::Platform(call) => self.asked_platform(scene, call),
            Effect::Reach { session, reach: Reach::Checkout, .. } => {
                let paying = self.creates.values().any(|create| create.session == *session)
                    || self.confirmed.iter().any(|(_, who, _)| who == session);
                self.law(13, paying, || "a phone reaches the checkout that has confirmed nothing".to_owned());
            }
            Effect::Reach { session, reach: Reach::Online, .. } => {
                let paid =
                    self.creates.iter().any(|(id, create)| create.session == *session && self.money.contains_key(id));
                self.law(13, paid, || "a phone reaches the internet that has paid nothing".to_owned());
            }
            Effect::Reach { reach: Reach::Captive, .. } | Effect::Totals { .. } | Effect::Alarm(_) => {}
        }
    }

    /// The disk has changed.
    pub fn commit(&mut self) {
        self.cache.clear();
    }

    /// All effects of a commit are out.
    pub fn all_out(&mut self, scene: &Scene<'_>) {
        for sale in std::mem::take(&mut self.owed) {
            self.law(12, !scene.single, || format!("the result of sale {:.8} is waited for and not told", hex(sale.0)));
        }
        self.cache.clear();
        let mut holders: BTreeMap<SaleId, SessionId> = BTreeMap::new();
        let mut double = None;
        for (session, page) in &self.pages {
            if let Some(sale) = holding(page)
                && holders.insert(sale, *session).is_some()
            {
                double = Some(sale);
            }
        }
        self.law(13, double.is_none(), || {
            format!("sale {:.8} is on two phones", double.map_or_else(String::new, |s| hex(s.0)))
        });
    }

    /// Time has come to `t`.
    pub fn time(&mut self, t: u64) {
        let over = |a: &Account| a.patience.is_some_and(|until| t > until + 1);
        let late: Vec<SaleId> = self.accounts.iter().filter(|(_, a)| over(a)).map(|(id, _)| *id).collect();
        for sale in late {
            if let Some(account) = self.accounts.get_mut(&sale) {
                account.patience = None;
            }
            self.law(17, false, || {
                format!("sale {:.8}: the till's patience is over and it was told nothing", hex(sale.0))
            });
        }
    }

    fn till_told(&mut self, scene: &Scene<'_>, till: TillNumber, answer: &TillAnswer) {
        match answer {
            TillAnswer::Accepted { sale, ticket, .. } if self.given_on_disk(scene, *sale).is_some() => {
                self.return_accepted(scene, till, *ticket, *sale);
            }
            // The power may have gone between writing it and accepting it: then this is the first word about it.
            TillAnswer::Progress { sale, progress, .. }
                if self.given.contains_key(sale) || self.given_on_disk(scene, *sale).is_some() =>
            {
                let live = self.given_on_disk(scene, *sale).is_some_and(|given| given.is_live());
                self.law(15, live || !scene.single, || format!("{progress:?} of a return that is over"));
            }
            TillAnswer::Finish(finish) if finish.kind != AskKind::Pay => self.returned(scene, till, finish),
            TillAnswer::Accepted { sale, ticket, code } => {
                let Some(disk) = self.disk(scene, *sale) else {
                    return self.law(15, false, || "a sale was accepted that is not on disk".to_owned());
                };
                self.law(9, disk.till == till && disk.code == *code, || "another till's sale was accepted".to_owned());
                self.accepted(scene, till, *ticket, &disk);
            }
            TillAnswer::Progress { sale, progress, .. } => {
                let Some(disk) = self.disk(scene, *sale) else {
                    return self.law(15, false, || "progress of a sale that is not on disk".to_owned());
                };
                if scene.single {
                    let failed = matches!(progress, Progress::Failed { .. });
                    self.law(15, live(&disk) || failed, || format!("{progress:?} of a sale that is over"));
                }
            }
            TillAnswer::Finish(finish) => self.finished(scene, till, finish),
            TillAnswer::Refused { .. }
            | TillAnswer::NothingToRepeat { .. }
            | TillAnswer::NothingToAbort { .. }
            | TillAnswer::Aborting { .. }
            | TillAnswer::Status { .. }
            | TillAnswer::Totals(_) => {}
        }
    }

    fn given_on_disk(&self, scene: &Scene<'_>, id: SaleId) -> Option<Return> {
        match scene.store.asked(id).expect("the store can be read") {
            Some(Asked::Return(given)) => Some(*given),
            Some(Asked::Sale(_)) | None => None,
        }
    }

    fn return_accepted(&mut self, scene: &Scene<'_>, till: TillNumber, ticket: Option<Ticket>, id: SaleId) {
        let Some(disk) = self.given_on_disk(scene, id) else { return };
        let asks = self.asks.get(&(till, ticket)).cloned().unwrap_or_default();
        let same = |ask: &Ask| (ask.kind, ask.of, ask.amount) == (disk.kind.into(), disk.named, disk.asked);
        let asked = disk.till == till && asks.iter().any(same);
        self.law(9, asked, || format!("a return was accepted that was never asked for so: {disk:?}"));
        if let Some(ticket) = ticket {
            let since = self.since.get(&(till, ticket)).copied().unwrap_or(scene.t);
            let (first, at) = *self.tickets.entry((till, ticket)).or_insert((id, since));
            let life_ms = self.policy.as_ref().map_or(0, |p| p.ticket_life_secs * 1_000);
            let alive = ticket.epoch.is_some() || (!self.dates_jumped && scene.t < at + life_ms);
            self.law(9, !alive || first == id, || format!("ticket {} means two things", ticket.number));
            self.tickets.insert((till, ticket), (id, since));
        }
        self.given.entry(id).or_insert(None);
        self.last.insert(till, id);
    }

    /// What a till hears of a return: *done* and *refused* only as the platform truly says, *pending* while it has not.
    fn returned(&mut self, scene: &Scene<'_>, till: TillNumber, finish: &Finish) {
        let Some(disk) = self.given_on_disk(scene, finish.sale) else {
            return self.law(15, false, || "a result of a return that is not on disk".to_owned());
        };
        self.owed.remove(&finish.sale);
        let told = finish.outcome;
        self.law(9, disk.till == till, || "another till's result".to_owned());
        let later = !scene.single && told == Outcome::Returned { pending: true };
        self.law(15, disk.state.outcome() == Some(told) || later, || format!("told {told:?}, on disk {disk:?}"));
        self.law(14, finish.amount == disk.amount(), || format!("told {}, on disk {disk:?}", finish.amount));
        let back = disk.state.back();
        let paper = back.and_then(|back| scene.platform.paper(back.attempt));
        let truly = paper.and_then(|paper| paper.refunds.iter().find(|(id, ..)| Some(*id) == back.map(|b| b.refund)));
        let heard = back.map(|back| (self.made.contains(&back.refund), self.unmade.contains(&back.refund)));
        let fits = match (told, heard) {
            (Outcome::Returned { pending: false }, Some((made, _))) => {
                made && truly.map(|(_, minor, _)| *minor) == back.map(|back| back.amount.minor())
            }
            (Outcome::Returned { pending: true }, Some(_)) => {
                later || back.is_some_and(|back| !self.heard.contains(&back.refund))
            }
            (Outcome::Declined(_), Some((_, unmade))) => unmade,
            (Outcome::Declined(_) | Outcome::Cancelled(_) | Outcome::Lapsed, None) => true,
            (Outcome::Returned { .. }, None) | (Outcome::Cancelled(_) | Outcome::Lapsed, Some(_)) => false,
            (Outcome::Approved, _) => false,
        };
        let law = if matches!(told, Outcome::Returned { .. }) { 15 } else { 10 };
        self.law(law, fits, || format!("told {told:?}, and at the platform {truly:?}"));
        let before = self.given.insert(finish.sale, Some(told)).flatten();
        let settled = before.is_none_or(|before| before == told || before == Outcome::Returned { pending: true });
        self.law(8, settled || later, || format!("told {before:?}, then {told:?}"));
        if matches!(disk.state.telling(), Some(tillgate::shop::sale::Telling::Telling { .. })) {
            self.unanswered.insert((till, finish.sale));
        }
        self.last.insert(till, finish.sale);
    }

    fn accepted(&mut self, scene: &Scene<'_>, till: TillNumber, ticket: Option<Ticket>, disk: &Sale) {
        let asks = self.asks.get(&(till, ticket)).cloned().unwrap_or_default();
        let ask = asks.iter().rev().find(|ask| ask.amount == disk.amount && ask.kind == AskKind::Pay).copied();
        self.law(9, ask.is_some(), || format!("{} was accepted and never asked under that ticket", disk.amount));
        if let Some(ticket) = ticket {
            let since = self.since.get(&(till, ticket)).copied().unwrap_or(scene.t);
            let (first, at) = *self.tickets.entry((till, ticket)).or_insert((disk.id, since));
            let life_ms = self.policy.as_ref().map_or(0, |p| p.ticket_life_secs * 1_000);
            let alive = ticket.epoch.is_some() || (!self.dates_jumped && scene.t < at + life_ms);
            self.law(9, !alive || first == disk.id, || format!("ticket {} means two sales", ticket.number));
            if first != disk.id {
                self.tickets.insert((till, ticket), (disk.id, since));
            }
        }
        if !self.accounts.contains_key(&disk.id) {
            self.begun_beside_untaken(scene, till, disk);
            // Without tickets it cannot be said which of several like requests was taken.
            let alike = asks.iter().filter(|ask| ask.amount == disk.amount);
            let patience_ms = alike.map(|ask| ask.patience_ms).max().unwrap_or(0);
            let account = self.account(scene, disk);
            if let (Some(ask), true) = (ask, live(disk)) {
                account.ask = Some(ask);
                account.patience = ask.hears_result.then_some(scene.t + patience_ms);
            }
        }
        self.last.insert(till, disk.id);
    }

    /// Law 9: what the phone at the till has just paid is not asked for twice, because its result got lost.
    fn begun_beside_untaken(&mut self, scene: &Scene<'_>, till: TillNumber, new: &Sale) {
        let Some(before) = self.last.get(&till).and_then(|last| self.accounts.get(last).map(|a| (*last, a))) else {
            return;
        };
        let (last, account) = before;
        let same = account.ask.is_some_and(|ask| ask.amount == new.amount);
        let untaken = account.told == Some(Outcome::Approved) && !account.taken && !account.rejected;
        let winner = account.winner.and_then(|winner| self.creates.get(&winner)).map(|create| create.session);
        let shows = winner.is_some_and(|session| match self.pages.get(&session) {
            Some(Screen::Result(receipt)) => receipt.facts.sale == last && receipt.given_back_minor == 0,
            _ => false,
        });
        let others = self.pages.values().any(|page| match page {
            Screen::Waiting { till: at } | Screen::InLine { till: at, .. } => *at == till,
            Screen::Confirm { facts, .. } => facts.till == till,
            _ => false,
        });
        let hears = account.ask.is_some_and(|ask| ask.hears_result);
        // A sale in between, of which the till never heard, is its last one all the same.
        let newest = || {
            let sql = "SELECT id FROM sales WHERE till = ?1 ORDER BY no DESC LIMIT 1 OFFSET 1";
            let mut before = scene.store.connection().prepare_cached(sql).expect("a statement");
            let id = before.query_row([till.number()], |row| row.get::<_, [u8; 16]>(0)).ok();
            id.map(u128::from_be_bytes) == Some(last.0)
        };
        let hears = hears && same && untaken && shows && !others && newest();
        self.law(9, !hears, || {
            "the till asks again for what the phone there has just paid, and it is another sale".to_owned()
        });
    }

    fn account(&mut self, scene: &Scene<'_>, disk: &Sale) -> &mut Account {
        self.accounts.entry(disk.id).or_insert_with(|| Account {
            till: disk.till,
            ask: None,
            boot: scene.boot,
            told: None,
            patience: None,
            winner: None,
            taken: false,
            rejected: false,
            unheard: false,
            creates: Vec::new(),
        })
    }

    fn finished(&mut self, scene: &Scene<'_>, till: TillNumber, finish: &Finish) {
        let Some(disk) = self.disk(scene, finish.sale) else {
            return self.law(15, false, || "a result of a sale that is not on disk".to_owned());
        };
        self.owed.remove(&finish.sale);
        let told = finish.outcome;
        self.law(9, disk.till == till, || "another till's result".to_owned());
        self.law(14, finish.amount == disk.amount, || format!("told {}, asked {}", finish.amount, disk.amount));
        if told == Outcome::Approved {
            self.law(15, disk.winner().is_some(), || format!("told paid, on disk {}", disk.state.name()));
            let truly = finish
                .attempt
                .and_then(|id| scene.platform.paper(id))
                .is_some_and(|paper| paper.amount == disk.amount && paper.paid_minor >= disk.amount.minor());
            let heard = finish.attempt.is_some_and(|id| self.paid.get(&id) == Some(&disk.amount));
            self.law(1, truly && heard, || format!("told paid: truly paid {truly}, said by the platform {heard}"));
            self.law(1, disk.winner() == finish.attempt, || "told paid by another attempt than on disk".to_owned());
        } else {
            let not_paid = !live(&disk) && disk.winner().is_none();
            self.law(2, not_paid, || format!("told {told:?}, on disk {}", disk.state.name()));
        }
        self.law(15, disk.state.outcome() == Some(told), || format!("told {told:?}, on disk {}", disk.state.name()));
        if scene.single {
            let back = sum(disk.refunds.iter().filter(|r| !r.why.is_surplus()));
            self.law(12, finish.given_back_minor == back, || {
                format!("told {} back, it is {back}", finish.given_back_minor)
            });
        }
        let account = self.account(scene, &disk);
        let first = *account.told.get_or_insert(told);
        account.patience = None;
        account.winner = finish.attempt;
        let boot = account.boot;
        let _ = boot;
        self.law(8, first == told, || format!("told {first:?} first and {told:?} later"));
        let waits = matches!(disk.state.telling(), Some(tillgate::shop::sale::Telling::Telling { .. }));
        if waits {
            self.unanswered.insert((till, finish.sale));
        }
        self.last.insert(till, finish.sale);
    }

    fn shown(&mut self, scene: &Scene<'_>, session: SessionId, screen: &Screen) {
        self.pages.insert(session, screen.clone());
        if let Screen::ChooseReturn { facts, payments, .. } = screen {
            let asked = self.given_on_disk(scene, facts.asked).and_then(|given| given.at_phone()) == Some(session);
            self.law(13, asked || !scene.single, || "a phone may choose that is not asked".to_owned());
            for payment in payments {
                let winner = self.disk(scene, payment.sale).and_then(|sale| sale.winner());
                let payer = winner.and_then(|id| self.creates.get(&id)).map(|create| create.session);
                self.law(13, payer == Some(session), || format!("a phone is shown another's payment: {payment:?}"));
            }
        }
        let Some(facts) = facts_of(screen) else { return };
        let Some(disk) = self.disk(scene, facts.sale) else {
            return self.law(15, false, || "a phone shows a sale that is not on disk".to_owned());
        };
        let same = (facts.amount, facts.till, facts.code) == (disk.amount, disk.till, disk.code);
        self.law(14, same, || format!("shown {} for {}", facts.amount, disk.amount));
        match screen {
            Screen::Confirm { .. } | Screen::TooLate { .. } => {
                let stands = self.stands.contains(&(session, facts.till));
                self.law(13, stands, || "a phone is asked to confirm for a till where it does not stand".to_owned());
                self.shown_ever.insert((facts.sale, session, facts.amount.minor()));
            }
            Screen::Pay { link, .. } => {
                let attempt = attempt_behind(link.as_str());
                let create = attempt.and_then(|id| self.creates.get(&id));
                let whose = create.is_some_and(|create| create.session == session && create.sale == facts.sale);
                self.law(13, whose, || "a phone sees the link of another".to_owned());
                let boot = self.accounts.get(&facts.sale).map_or(scene.boot, |account| account.boot);
                self.law(13, boot == scene.boot, || "a link of before the power cut is shown".to_owned());
            }
            Screen::Result(receipt) => {
                let outcome = disk.state.outcome();
                self.law(15, outcome == Some(receipt.outcome), || {
                    format!("a phone shows {:?}, on disk {}", receipt.outcome, disk.state.name())
                });
                let first = self.accounts.get(&facts.sale).and_then(|a| a.told);
                self.law(8, first.is_none_or(|told| told == receipt.outcome), || {
                    format!("the till was told {first:?}, the phone shows {:?}", receipt.outcome)
                });
            }
            Screen::Contacting { .. }
            | Screen::Closing { .. }
            | Screen::EnterTill { .. }
            | Screen::InLine { .. }
            | Screen::Waiting { .. }
            | Screen::ChooseReturn { .. }
            | Screen::Returning { .. }
            | Screen::Returned(_) => {}
        }
    }

    fn asked_platform(&mut self, scene: &Scene<'_>, call: &PlatformCall) {
        match call {
            PlatformCall::Create(create) => self.creates_attempt(scene, create),
            PlatformCall::Refund { attempt, refund, amount } => self.gives_back(scene, *attempt, *refund, *amount),
            PlatformCall::Query { attempt, .. } | PlatformCall::Cancel { attempt } => {
                if scene.platform.paper(*attempt).is_none() && !self.creates.contains_key(attempt) {
                    let known = scene.store.sale_of_attempt(*attempt).expect("the store can be read").is_some();
                    self.law(6, known, || "the platform is asked about an id that is not on disk".to_owned());
                }
            }
            PlatformCall::QueryRefund { .. } | PlatformCall::Probe | PlatformCall::List { .. } => {}
        }
    }

    fn creates_attempt(&mut self, scene: &Scene<'_>, create: &Create) {
        let Some(disk) = self.disk(scene, create.sale) else {
            return self.law(6, false, || "created for a sale that is not on disk".to_owned());
        };
        let name = hex(create.attempt.0);
        let row = disk.attempts.iter().find(|a| a.id == create.attempt);
        self.law(6, row.is_some(), || format!("attempt {name:.8} is created and its intent is not on disk"));
        self.law(14, create.amount == disk.amount, || format!("{} is created for {}", create.amount, disk.amount));
        if let Some(first) = self.creates.get(&create.attempt) {
            let same = first == create;
            return self.law(16, same, || format!("attempt {name:.8} is created again with another body"));
        }
        self.law(14, create.expires_in_secs >= 30, || format!("begun with {} s left", create.expires_in_secs));
        let earlier: Vec<AttemptId> =
            disk.attempts.iter().map(|a| a.id).take_while(|id| *id != create.attempt).collect();
        for id in &earlier {
            let law = if self.silent.contains_key(id) && !self.over.contains(id) { 6 } else { 7 };
            let open = scene.platform.paper(*id).is_some_and(|paper| paper.is_open());
            let closed = self.over.contains(id) && !open;
            self.law(law, closed, || format!("attempt {name:.8} begins before {:.8} is closed", hex(id.0)));
        }
        let wanted = (create.sale, create.session, create.amount.minor());
        let retry = earlier.last().is_some_and(|id| {
            self.failed.contains(id) && self.creates.get(id).is_some_and(|before| before.session == create.session)
        });
        let (shown, confirmed) = (self.shown_ever.contains(&wanted), self.confirmed.contains(&wanted));
        self.law(if shown { 14 } else { 13 }, retry || (shown && confirmed), || {
            format!("attempt {name:.8} begins and nobody confirmed that on that phone")
        });
        self.creates.insert(create.attempt, create.clone());
        self.account(scene, &disk).creates.push(create.attempt);
    }

    fn gives_back(&mut self, scene: &Scene<'_>, attempt: AttemptId, refund: RefundId, amount: Amount) {
        let name = hex(refund.0);
        if let Some(first) = self.refunds.get(&refund) {
            let same = *first == (attempt, amount);
            return self.law(16, same, || format!("refund {name:.8} again with another body"));
        }
        let disk = match self.creates.get(&attempt).map(|create| create.sale) {
            Some(sale) => self.disk(scene, sale),
            None => scene.store.sale_of_attempt(attempt).expect("the store can be read"),
        };
        let row = disk.as_ref().and_then(|sale| sale.refunds.iter().find(|r| r.id == refund).cloned());
        let on_disk = row.as_ref().is_some_and(|r| r.attempt == attempt && r.amount == amount);
        self.law(6, on_disk, || format!("refund {name:.8} leaves and is not on disk"));
        self.refunds.insert(refund, (attempt, amount));
        let (Some(disk), Some(row)) = (disk, row) else { return };
        let paper = scene.platform.paper(attempt);
        let refused = |id: &RefundId| {
            paper.is_some_and(|p| {
                p.refunds.iter().any(|(r, _, s)| r == id && *s == tillgate::shop::event::RefundStatus::Refused)
            })
        };
        let others = self.refunds.iter().filter(|(id, (of, _))| *of == attempt && !refused(id));
        let (n, asked) = others.fold((0, 0), |(n, sum), (_, (_, amount))| (n + 1, sum + amount.minor()));
        let paid = paper.map_or(0, |paper| paper.paid_minor);
        let law = if n > 1 { 6 } else { 4 };
        self.law(law, asked <= paid, || format!("{asked} of {paid} is to be given back"));
        self.reason_to_give_back(scene, &disk, &row, paid);
    }

    /// Law 3: only a reason takes from the winning payment.
    fn reason_to_give_back(&mut self, scene: &Scene<'_>, disk: &Sale, row: &Refund, paid: u64) {
        let account = self.accounts.get(&disk.id);
        let won = disk.winner() == Some(row.attempt);
        let of_it = disk.refunds.iter().filter(|r| r.attempt == row.attempt && r.why.is_surplus());
        let left = paid.saturating_sub(sum(of_it));
        let policy = self.policy.as_ref().is_some_and(|p| p.unheard_refund_after_secs.is_some());
        let holds = match row.why {
            RefundWhy::Loser => !won,
            RefundWhy::Overpaid => won && left >= disk.amount.minor(),
            RefundWhy::Rejected => won && account.is_some_and(|a| a.rejected),
            RefundWhy::Unheard => won && policy && account.is_some_and(|a| a.told.is_some()),
            RefundWhy::Till => return self.asked_back(scene, disk, row),
            RefundWhy::Staff => false,
        };
        self.law(3, holds, || format!("{} goes back as {:?}", row.amount, row.why));
    }

    /// What a till gives back is what it asked for, of the sale it named or of the phone's own choice, and never more than
    /// was paid.
    fn asked_back(&mut self, scene: &Scene<'_>, disk: &Sale, row: &Refund) {
        let sql = "SELECT id FROM sales WHERE back_refund = ?1";
        let mut of = scene.store.connection().prepare_cached(sql).expect("a statement");
        let id = of.query_row([row.id.0.to_be_bytes()], |row| row.get::<_, [u8; 16]>(0)).ok();
        let given = id.and_then(|id| self.given_on_disk(scene, SaleId(u128::from_be_bytes(id))));
        let Some(given) = given else {
            return self.law(6, false, || format!("refund {:.8} is of no return", hex(row.id.0)));
        };
        let right = given.state.back().is_some_and(|back| (back.sale, back.amount) == (disk.id, row.amount));
        self.law(14, right, || format!("{given:?} gives back {row:?}"));
        let payer = self.creates.get(&row.attempt).map(|create| create.session);
        let chosen = payer.is_some_and(|who| self.chosen.contains(&(given.id, disk.id, who, row.amount.minor())));
        let own = given.named.is_none() || given.till == disk.till;
        self.law(13, own && (given.named.is_some() || chosen), || format!("nobody chose {row:?} for {given:?}"));
        let enough = given.kind == ReturnKind::Reverse || row.amount == given.asked;
        self.law(14, enough, || format!("{} goes back, {} was asked", row.amount, given.asked));
        let back = sum(disk.refunds.iter().filter(|r| !r.why.is_surplus()));
        let won = disk.winner() == Some(row.attempt);
        self.law(3, won && back <= disk.amount.minor(), || format!("{back} of {} goes back", disk.amount));
    }

    /// The books at the end, when all is at rest: what was truly paid against what the shop is entitled to.
    pub fn close(&mut self, store: &Store, platform: &Platform, sales: &[Sale], t: u64) {
        let mut known: BTreeMap<AttemptId, usize> = BTreeMap::new();
        for (at, sale) in sales.iter().enumerate() {
            self.judge_row(sale);
            known.extend(sale.attempts.iter().map(|a| (a.id, at)));
        }
        for paper in &platform.papers {
            let id = paper.create.attempt;
            let name = hex(id.0);
            let Some(sale) = known.get(&id).map(|at| &sales[*at]) else {
                self.law(6, false, || format!("payment {name:.8} is not on our disk"));
                continue;
            };
            self.law(5, !paper.is_open() || paper.ends <= t, || format!("payment {name:.8} can still be paid"));
            let won = sale.winner() == Some(id);
            let wanted = sum(sale.refunds.iter().filter(|r| r.attempt == id && !r.why.is_surplus()));
            let due = if won { sale.amount.minor().saturating_sub(wanted) } else { 0 };
            let kept = paper.paid_minor.saturating_sub(paper.done_minor());
            // A person has it: the platform refuses to give back, or took another currency.
            let person = sale.refunds.iter().any(|r| r.attempt == id && r.needs_person.is_some())
                || paper.amount.currency() != sale.amount.currency();
            let law = if kept < due { 3 } else { 4 };
            self.law(law, kept == due || person, || {
                format!(
                    "payment {name:.8}: {kept} kept, {due} due ({} paid, sale {})",
                    paper.paid_minor,
                    sale.state.name()
                )
            });
        }
        let _ = store;
    }

    /// What the till was told under a ticket, if that is known.
    pub fn told_under(&self, till: TillNumber, ticket: Ticket) -> Option<(SaleId, Outcome)> {
        let (sale, _) = *self.tickets.get(&(till, ticket))?;
        Some((sale, self.accounts.get(&sale)?.told?))
    }

    /// The page of a phone.
    pub fn page(&self, session: SessionId) -> Option<&Screen> {
        self.pages.get(&session)
    }
}

/// The sale that a page holds for its phone alone.
fn holding(page: &Screen) -> Option<SaleId> {
    match page {
        Screen::Confirm { facts, .. } | Screen::Contacting { facts, .. } | Screen::Pay { facts, .. } => {
            Some(facts.sale)
        }
        Screen::TooLate { .. }
        | Screen::Closing { .. }
        | Screen::Result(_)
        | Screen::EnterTill { .. }
        | Screen::InLine { .. }
        | Screen::Waiting { .. }
        | Screen::ChooseReturn { .. }
        | Screen::Returning { .. }
        | Screen::Returned(_) => None,
    }
}

fn facts_of(screen: &Screen) -> Option<SaleFacts> {
    match screen {
        Screen::Confirm { facts, .. }
        | Screen::TooLate { facts }
        | Screen::Contacting { facts, .. }
        | Screen::Pay { facts, .. }
        | Screen::Closing { facts } => Some(*facts),
        Screen::Result(receipt) => Some(receipt.facts),
        Screen::EnterTill { .. } | Screen::InLine { .. } | Screen::Waiting { .. } => None,
        Screen::ChooseReturn { .. } | Screen::Returning { .. } | Screen::Returned(_) => None,
    }
}

/// An id as 32 digits; the first eight name it well enough.
pub fn hex(id: u128) -> String {
    format!("{id:032x}")
}
