//! The laws, checked at every step against the disk and against what the platform has really said. Knows nothing of how
//! the shop decides.

use super::super::attempt::{Attempt, AttemptState, Refund, RefundState, RefundWhy};
use super::super::effect::*;
use super::super::event::*;
use super::super::giveback::Return;
use super::super::id::{AttemptId, RefundId, SaleId, SessionId};
use super::super::money::Amount;
use super::super::policy::Policy;
use super::super::sale::{Sale, SaleState, Telling};
use super::super::time::Now;
use super::world::Disk;
use std::collections::{BTreeMap, BTreeSet};

/// What the laws remember, and which of them were broken how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Laws {
    pub(super) broken: Vec<(u8, String)>,
    /// The event of the step at hand; none while the shop opens.
    event: Option<Event>,
    /// The law by which this step may change nothing about money.
    mute: Option<u8>,
    /// By the platform's authenticated word: paid as asked, money taken, over.
    confirmed: BTreeMap<AttemptId, Amount>,
    taken_minor: BTreeMap<AttemptId, u64>,
    over: BTreeSet<AttemptId>,
    /// Over without a payment. What comes in later all the same goes back.
    closed: BTreeSet<AttemptId>,
    creates: BTreeMap<AttemptId, Create>,
    refunds: BTreeMap<RefundId, (AttemptId, Amount)>,
    pub(super) told: BTreeMap<SaleId, Outcome>,
    /// Sales written in this step.
    written: BTreeSet<SaleId>,
    /// Attempts begun in this step.
    begun: BTreeSet<(SaleId, AttemptId)>,
    opening: bool,
}

fn kind(state: &AttemptState) -> u8 {
    match state {
        AttemptState::Intent { .. } => 0,
        AttemptState::Open { .. } => 1,
        AttemptState::Paid { right: false, .. } => 2,
        AttemptState::Paid { right: true, .. } => 3,
        AttemptState::Closed(_) => 4,
    }
}

fn attempt_on(disk: &Disk, id: AttemptId) -> Option<(&Sale, &Attempt)> {
    disk.sales.iter().find_map(|(sale, _)| Some((sale, sale.attempts.iter().find(|a| a.id == id)?)))
}

fn sum<'a>(refunds: impl Iterator<Item = &'a Refund>) -> u64 {
    refunds.filter(|r| r.state.counts()).map(|r| r.amount.minor()).sum()
}

impl Laws {
    pub(super) fn law(&mut self, number: u8, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push((number, what()));
        }
    }

    /// The shop is opened: everything must be picked up from the disk.
    pub(super) fn opened(&mut self) {
        (self.event, self.mute, self.opening) = (None, None, true);
    }

    /// An event is about to be handled.
    pub(super) fn heard(&mut self, event: &Event) {
        self.mute = None;
        match event {
            Event::Platform(PlatformEvent::Answered { attempt, call, answer }) => match answer {
                Ok(payment) if payment.id != *attempt => self.mute = Some(10),
                Ok(payment) => self.heard_payment(payment),
                Err(CallError::NotSent | CallError::Unknown) => self.mute = Some(10),
                Err(CallError::NotFound) => self.mute = Some(11),
                Err(CallError::Refused(refused)) => {
                    if *refused == super::super::attempt::Refused::Tombstone || *call == Call::Create {
                        self.over.insert(*attempt);
                        self.closed.insert(*attempt);
                    }
                }
            },
            Event::Platform(PlatformEvent::Listed { answer: Ok(page) }) => {
                page.payments.iter().for_each(|payment| self.heard_payment(payment));
            }
            _ => {}
        }
        self.event = Some(event.clone());
    }

    fn heard_payment(&mut self, payment: &Payment) {
        let taken = self.taken_minor.entry(payment.id).or_default();
        *taken = payment.paid_minor.max(*taken);
        match payment.status {
            PaymentStatus::Awaiting | PaymentStatus::Processing => return,
            PaymentStatus::Paid => {
                if payment.paid_minor >= payment.amount.minor() {
                    self.confirmed.entry(payment.id).or_insert(payment.amount);
                }
            }
            PaymentStatus::Failed | PaymentStatus::Expired | PaymentStatus::Cancelled => {
                self.closed.insert(payment.id);
            }
        }
        self.over.insert(payment.id);
    }

    /// A record is about to be written.
    pub(super) fn written(&mut self, disk: &Disk, shown: &BTreeMap<SessionId, Screen>, record: &Record, now: Now) {
        match record {
            Record::Sale { sale, .. } => self.sale_written(disk.find(sale.id), sale),
            Record::Attempt { sale, attempt } => {
                let of = disk.find(*sale).expect("an attempt comes after its sale");
                self.written.insert(of.id);
                match of.attempts.iter().find(|a| a.id == attempt.id) {
                    Some(old) => self.attempt_changed(old, attempt),
                    None => self.attempt_begun(of, shown, attempt, now),
                }
            }
            Record::Refund { sale, refund } => {
                let of = disk.find(*sale).expect("a refund comes after its sale");
                self.written.insert(of.id);
                match of.refunds.iter().find(|r| r.id == refund.id) {
                    Some(old) => self.refund_changed(old, refund),
                    None => self.refund_begun(of, refund),
                }
            }
            Record::Ticket { till, ticket, sale } => {
                let earlier = disk.tickets.get(&(*till, *ticket));
                self.law(9, earlier.is_none_or(|s| s == sale), || format!("{ticket:?} means two sales"));
            }
            Record::Return { given, .. } => self.return_written(disk, given),
            Record::DayClosed { .. }
            | Record::Session(_)
            | Record::SessionEnded(_)
            | Record::Cursor(_)
            | Record::Alarm(_) => {}
        }
    }

    fn sale_written(&mut self, old: Option<&Sale>, sale: &Sale) {
        self.written.insert(sale.id);
        let Some(old) = old else { return };
        let (before, after) = (old.state.outcome(), sale.state.outcome());
        self.law(8, before.is_none() || before == after, || format!("{before:?} became {after:?}"));
        self.law(8, old.winner().is_none() || old.winner() == sale.winner(), || "another winner".into());
        self.law(14, old.amount == sale.amount, || format!("{} became {}", old.amount, sale.amount));
        if let Some(law) = self.mute {
            self.law(law, before == after, || format!("no answer, and {after:?}"));
        }
    }

    fn return_written(&mut self, disk: &Disk, given: &Return) {
        let Some(old) = disk.given(given.id) else { return };
        let (before, after) = (old.state.outcome(), given.state.outcome());
        // What was pending becomes what the platform says; nothing else ever changes.
        let pending = before == Some(Outcome::Returned { pending: true });
        let told =
            matches!(after, Some(Outcome::Returned { pending: false } | Outcome::Declined(DeclinedWhy::Refused(_))));
        self.law(8, before.is_none() || before == after || (pending && told), || {
            format!("{before:?} became {after:?}")
        });
        let same = old.state.back().is_none() || old.state.back() == given.state.back();
        self.law(8, same, || "another payment goes back".into());
        if let (None, Some(back)) = (old.state.back(), given.state.back()) {
            let payer = attempt_on(disk, back.attempt).map(|(_, attempt)| attempt.session);
            let chosen = match self.event {
                Some(Event::Phone { session, what: PhoneEvent::Chooses { asked, sale, amount } }) => {
                    (asked, sale, amount, Some(session)) == (given.id, back.sale, back.amount, payer)
                }
                _ => false,
            };
            self.law(13, chosen, || "another payment than the phone's own choice goes back".into());
        }
        if let Some(law) = self.mute {
            self.law(law, before == after, || format!("no answer, and {after:?}"));
        }
    }

    fn attempt_begun(&mut self, sale: &Sale, shown: &BTreeMap<SessionId, Screen>, attempt: &Attempt, now: Now) {
        self.begun.insert((sale.id, attempt.id));
        if let Some(law) = self.mute {
            self.law(law, false, || "no answer, and a new attempt".into());
        }
        self.law(14, now.mono.ms_until(sale.ends) >= Policy::START_LEFT_MS, || "begun too late".into());
        match self.event {
            Some(Event::Phone { session, what: PhoneEvent::Confirms { sale: meant, amount } }) => {
                self.law(13, meant == sale.id && session == attempt.session, || "another phone confirmed".into());
                self.law(14, amount == sale.amount, || format!("{amount} was confirmed for {}", sale.amount));
                let offered = matches!(shown.get(&session), Some(Screen::Confirm { facts, .. }) if facts.sale == meant);
                self.law(13, offered, || "confirmed without being shown".into());
            }
            _ => {
                let same = sale.attempts.last().is_some_and(|a| a.session == attempt.session);
                self.law(13, same, || "begun without a confirmation".into());
            }
        }
    }

    fn attempt_changed(&mut self, old: &Attempt, new: &Attempt) {
        let (before, after) = (kind(&old.state), kind(&new.state));
        if let Some(law) = self.mute {
            self.law(law, before == after, || format!("no answer, and {:?}", new.state));
        }
        let over = self.over.contains(&new.id);
        let asked = matches!(self.event, Some(Event::Platform(_)));
        self.law(if asked { 11 } else { 5 }, after != 4 || over, || "closed without the platform's word".into());
        let taken = self.taken_minor.get(&new.id).copied().unwrap_or(0);
        self.law(1, new.paid_minor <= taken, || format!("{} taken, {taken} confirmed", new.paid_minor));
        self.law(8, !matches!(before, 2 | 3) || before == after, || format!("paid, and then {:?}", new.state));
        self.law(8, before != 4 || after >= 2, || format!("closed, and then {:?}", new.state));
    }

    fn refund_begun(&mut self, sale: &Sale, refund: &Refund) {
        let paid = sale.attempts.iter().find(|a| a.id == refund.attempt).map_or(0, |a| a.paid_minor);
        let of_it = || sale.refunds.iter().filter(|r| r.attempt == refund.attempt);
        let in_doubt = of_it().any(|r| matches!(r.state, RefundState::Intent { .. }));
        let back = sum(of_it()) + refund.amount.minor();
        self.law(if in_doubt { 6 } else { 4 }, back <= paid, || format!("{back} back of {paid}"));
        let won = sale.winner() == Some(refund.attempt);
        if refund.why == RefundWhy::Till {
            let asked = matches!(
                self.event,
                Some(Event::Till { what: TillEvent::Asked(_), .. } | Event::Platform(_))
                    | Some(Event::Phone { what: PhoneEvent::Chooses { .. }, .. })
            );
            self.law(6, asked, || "money goes back that nobody asked for".into());
            let back = sum(of_it().filter(|r| !r.why.is_surplus())) + refund.amount.minor();
            self.law(3, back <= sale.amount.minor(), || "more than is left".into());
        }
        let kept = paid.saturating_sub(sum(of_it().filter(|r| r.why.is_surplus())) + refund.amount.minor());
        match refund.why {
            RefundWhy::Loser => self.law(3, !won, || "the winning payment goes back".into()),
            RefundWhy::Overpaid => {
                self.law(3, won && kept >= sale.amount.minor(), || "too much of the winning payment goes back".into());
            }
            RefundWhy::Rejected | RefundWhy::Unheard | RefundWhy::Till | RefundWhy::Staff => {
                self.law(3, won, || "the sale's money goes back, and it has none".into());
            }
        }
    }

    fn refund_changed(&mut self, old: &Refund, new: &Refund) {
        let same = (old.attempt, old.amount, old.why) == (new.attempt, new.amount, new.why);
        self.law(16, same, || "another refund under the same id".into());
        let over = matches!(old.state, RefundState::Done | RefundState::Refused);
        self.law(8, !over || old.state == new.state, || format!("{:?} became {:?}", old.state, new.state));
    }

    /// The records of the step are on disk, and an effect goes out.
    pub(super) fn leaving(&mut self, disk: &Disk, effect: &Effect, now: Now) {
        match effect {
            Effect::Till { till, answer } => self.till_told(disk, *till, answer),
            Effect::Show { session, screen } => self.shown(disk, *session, screen, now),
            Effect::Platform(call) => self.platform_asked(disk, call),
            Effect::Reach { session, reach: Reach::Checkout, .. } => {
                let sale = disk.sessions.get(session).and_then(|s| s.sale).and_then(|sale| disk.find(sale));
                let may = sale.is_some_and(|sale| match sale.state {
                    SaleState::Paying { session: payer, .. } => payer == *session,
                    _ => sale.state.outcome().is_some(),
                });
                self.law(13, may, || "reach without a payment".into());
            }
            Effect::Reach { session, reach: Reach::Online, until, .. } => {
                let may =
                    disk.sessions.get(session).is_some_and(|s| s.pairing.is_none() && s.online_until == Some(*until));
                self.law(13, may, || "the internet without a receipt".into());
            }
            Effect::Reach { reach: Reach::Captive, .. }
            | Effect::Forget { .. }
            | Effect::Totals { .. }
            | Effect::Alarm(_) => {}
        }
    }

    fn till_told(&mut self, disk: &Disk, till: TillNumber, answer: &TillAnswer) {
        match answer {
            TillAnswer::Accepted { sale, ticket, code } => {
                if let Some(given) = disk.given(*sale) {
                    return self.return_accepted(disk, given, *ticket);
                }
                let Some(sale) = disk.find(*sale) else {
                    return self.law(15, false, || "accepted what is not on disk".into());
                };
                self.law(15, sale.till == till && sale.code == *code, || "accepted another sale".into());
                if let Some(Event::Till { what: TillEvent::Asked(ask), .. }) = self.event {
                    self.law(9, sale.amount == ask.amount, || format!("{} for {}", sale.amount, ask.amount));
                    let means = ticket.is_none_or(|t| disk.tickets.get(&(till, t)) == Some(&sale.id));
                    self.law(9, means, || "accepted under a ticket that means another sale".into());
                }
            }
            TillAnswer::Progress { sale, .. } => {
                let returning = disk.given(*sale).is_some_and(Return::is_live);
                let live = disk.find(*sale).is_some_and(|s| s.state.outcome().is_none()) || returning;
                self.law(15, live, || format!("{answer:?} of a sale that is over or not on disk"));
            }
            TillAnswer::Finish(finish) => self.finished(disk, finish),
            TillAnswer::Refused { .. }
            | TillAnswer::NothingToRepeat { .. }
            | TillAnswer::NothingToAbort { .. }
            | TillAnswer::Aborting { .. }
            | TillAnswer::Status { .. }
            | TillAnswer::Totals(_) => {}
        }
    }

    fn return_accepted(&mut self, disk: &Disk, given: &Return, ticket: Option<Ticket>) {
        if let Some(Event::Till { till, what: TillEvent::Asked(ask) }) = self.event {
            let same = (AskKind::from(given.kind), given.named, given.asked) == (ask.kind, ask.of, ask.amount);
            self.law(9, same, || format!("{given:?} for {ask:?}"));
            let means = ticket.is_none_or(|t| disk.tickets.get(&(till, t)) == Some(&given.id));
            self.law(9, means, || "accepted under a ticket that means another".into());
        }
    }

    /// What a till is told of a return: what is on disk, and *done* or *refused* only by the platform's word.
    fn return_finished(&mut self, disk: &Disk, given: &Return, finish: &Finish) {
        let refund = given.state.back().and_then(|back| {
            let sale = disk.find(back.sale)?;
            sale.refunds.iter().find(|r| (r.id, r.amount) == (back.refund, back.amount)).cloned()
        });
        let state = refund.map(|r| r.state);
        let fits = match finish.outcome {
            Outcome::Returned { pending: false } => match state {
                Some(RefundState::Accepted | RefundState::Done | RefundState::Refused) => true,
                Some(RefundState::Intent { .. }) | None => false,
            },
            Outcome::Returned { pending: true } => matches!(state, Some(RefundState::Intent { .. })),
            Outcome::Declined(_) | Outcome::Cancelled(_) | Outcome::Lapsed => {
                matches!(state, None | Some(RefundState::Refused))
            }
            Outcome::Approved => false,
        };
        let law = if finish.outcome == (Outcome::Returned { pending: false }) { 15 } else { 10 };
        self.law(law, fits, || format!("told {:?}, on disk {state:?}", finish.outcome));
        self.law(15, given.state.outcome() == Some(finish.outcome), || format!("told {:?}", finish.outcome));
        self.law(12, finish.amount == given.amount() && finish.given_back_minor == 0, || "told another sum".into());
    }

    fn finished(&mut self, disk: &Disk, finish: &Finish) {
        if let Some(given) = disk.given(finish.sale) {
            return self.return_finished(disk, given, finish);
        }
        let Some(sale) = disk.find(finish.sale) else {
            return self.law(15, false, || "a result of what is not on disk".into());
        };
        if finish.outcome == Outcome::Approved {
            let paid = finish.attempt.is_some_and(|id| {
                let right = sale.attempts.iter().any(|a| a.id == id && kind(&a.state) == 3);
                right && sale.winner() == Some(id) && self.confirmed.get(&id) == Some(&sale.amount)
            });
            let law = if sale.winner().is_none() { 15 } else { 1 };
            self.law(law, paid, || format!("told paid, on disk {:?}", sale.state));
        } else {
            let not_paid = sale.state.outcome().is_some() && sale.winner().is_none();
            self.law(2, not_paid, || format!("told {:?}, on disk {:?}", finish.outcome, sale.state));
        }
        self.law(15, sale.state.outcome() == Some(finish.outcome), || format!("told {:?}", finish.outcome));
        let back = sum(sale.refunds.iter().filter(|r| !r.why.is_surplus()));
        self.law(12, finish.given_back_minor == back && finish.amount == sale.amount, || "told another sum".into());
        let before = *self.told.entry(finish.sale).or_insert(finish.outcome);
        self.law(8, before == finish.outcome, || format!("told {before:?}, then {:?}", finish.outcome));
    }

    fn shown(&mut self, disk: &Disk, session: SessionId, screen: &Screen, now: Now) {
        if let Some((facts, holds)) = about(disk, session, screen) {
            let sale = disk.find(facts.sale);
            self.law(15, sale.is_some(), || "shown what is not on disk".into());
            let law = if matches!(screen, Screen::Result(_)) { 15 } else { 13 };
            self.law(law, holds, || format!("{session:?} is shown {screen:?}"));
            self.law(14, sale.is_none_or(|s| s.amount == facts.amount), || format!("shown {}", facts.amount));
        }
        if let Screen::ChooseReturn { facts, payments, .. } = screen {
            let chooses = disk.given(facts.asked).and_then(Return::at_phone) == Some(session);
            self.law(13, chooses, || format!("{session:?} may choose for another"));
            for payment in payments {
                let sale = disk.find(payment.sale);
                let own = sale.is_some_and(|sale| {
                    let paid = sale.attempts.iter().find(|a| Some(a.id) == sale.winner());
                    paid.is_some_and(|attempt| attempt.session == session) && payment.back.minor() <= sale.left_minor()
                });
                self.law(13, own, || format!("{session:?} is offered {payment:?}"));
            }
        }
        if let Screen::Pay { facts, link, attempt_no, .. } = screen {
            let Some(sale) = disk.find(facts.sale) else { return };
            let last = sale.attempts.last().filter(|a| a.number == *attempt_no && a.session == session);
            self.law(13, last.and_then(Attempt::link) == Some(link), || "a link of another phone's attempt".into());
            self.law(13, sale.boot == now.boot, || "a link of an earlier boot".into());
        }
    }

    fn platform_asked(&mut self, disk: &Disk, call: &PlatformCall) {
        match call {
            PlatformCall::Create(create) => {
                let Some((sale, attempt)) = attempt_on(disk, create.attempt) else {
                    return self.law(6, false, || "created without an intent on disk".into());
                };
                self.law(7, sale.attempts.last().is_some_and(|a| a.id == attempt.id), || "an old one created".into());
                self.law(14, create.amount == sale.amount, || format!("{} created", create.amount));
                self.law(13, create.session == attempt.session, || "created for another phone".into());
                let first = self.creates.entry(create.attempt).or_insert_with(|| create.as_ref().clone()).clone();
                self.law(16, first == **create, || "created again with another body".into());
            }
            PlatformCall::Refund { attempt, refund, amount } => {
                let on_disk = attempt_on(disk, *attempt)
                    .is_some_and(|(sale, _)| sale.refunds.iter().any(|r| r.id == *refund && r.amount == *amount));
                self.law(6, on_disk, || "a refund without an intent on disk".into());
                let first = *self.refunds.entry(*refund).or_insert((*attempt, *amount));
                self.law(16, first == (*attempt, *amount), || "a refund again with another body".into());
            }
            PlatformCall::Query { attempt, .. } | PlatformCall::Cancel { attempt } => {
                self.law(6, attempt_on(disk, *attempt).is_some(), || "asked about what is not on disk".into());
            }
            PlatformCall::QueryRefund { .. } | PlatformCall::Probe | PlatformCall::List { .. } => {}
        }
    }

    /// The step is over: what was its own is forgotten.
    #[cfg(feature = "model-check")]
    pub(super) fn settle(&mut self) {
        (self.event, self.mute) = (None, None);
    }

    /// Law 7, when all records of the step are written: what an earlier attempt took goes back with this very step.
    fn begun_after_all_was_over(&mut self, disk: &Disk) {
        for (id, begun) in std::mem::take(&mut self.begun) {
            let sale = disk.find(id).expect("it was just written");
            for earlier in sale.attempts.iter().take_while(|a| a.id != begun) {
                let law = if kind(&earlier.state) == 0 { 6 } else { 7 };
                let goes_back = sum(sale.refunds.iter().filter(|r| r.attempt == earlier.id)) == earlier.paid_minor;
                // Money that the platform will not give back is a person's, who was called: it binds no later phone.
                let refused = sale.refunds.iter().any(|r| r.attempt == earlier.id && r.needs_person.is_some());
                let closed = self.closed.contains(&earlier.id) && (goes_back || refused);
                self.law(law, closed, || format!("a fresh id while the attempt before is {:?}", earlier.state));
            }
        }
    }

    /// All effects of the step are out.
    pub(super) fn step_over(&mut self, disk: &Disk, shown: &BTreeMap<SessionId, Screen>, effects: &[Effect]) {
        self.begun_after_all_was_over(disk);
        for id in std::mem::take(&mut self.written) {
            let sale = disk.find(id).expect("it was just written");
            let asked = |refund: &Refund| {
                let mut returns = disk.returns.iter().map(|(given, _)| given.state.back());
                returns.any(|back| back.is_some_and(|back| back.refund == refund.id))
            };
            let mut given = sale.refunds.iter().filter(|r| r.why == RefundWhy::Till);
            self.law(6, given.all(asked), || "a refund that no return is about".into());
            let right = |id: AttemptId| sale.attempts.iter().any(|a| a.id == id && kind(&a.state) == 3);
            let confirmed = |id: AttemptId| self.confirmed.get(&id) == Some(&sale.amount);
            let won = sale.winner().is_none_or(|id| right(id) && confirmed(id));
            self.law(1, won, || "approved without the platform's word".into());
        }
        for (session, screen) in shown.iter().filter(|(id, _)| disk.sessions.contains_key(id)) {
            let holds = about(disk, *session, screen).is_none_or(|(_, holds)| holds);
            self.law(13, holds, || format!("{session:?} still sees {screen:?}"));
        }
        self.results_owed(disk, effects);
    }

    /// Law 12: whoever asks again is told, and so is, after a start, every till that has not taken its result.
    fn results_owed(&mut self, disk: &Disk, effects: &[Effect]) {
        let newest = |till| disk.newest(till, None);
        let asked = match self.event {
            Some(Event::Till { till, what: TillEvent::AskedAgain { ticket: None } }) => newest(till),
            Some(Event::Till { till, what: TillEvent::AskedAgain { ticket: Some(ticket) } }) => {
                disk.tickets.get(&(till, ticket)).copied()
            }
            Some(Event::Till { till, what: TillEvent::Asked(ask) }) => {
                let repeated = ask.ticket.and_then(|ticket| disk.tickets.get(&(till, ticket)).copied());
                let same = |given: &Return| {
                    (AskKind::from(given.kind), given.named, given.asked) == (ask.kind, ask.of, ask.amount)
                };
                repeated.filter(|id| match (disk.find(*id), disk.given(*id)) {
                    (Some(sale), _) => sale.amount == ask.amount && ask.kind == AskKind::Pay,
                    (None, given) => given.is_some_and(same),
                })
            }
            _ => None,
        };
        let telling = |sale: &Sale| matches!(sale.state.telling(), Some(Telling::Telling { .. }));
        let opening = std::mem::take(&mut self.opening);
        let waiting = disk.sales.iter().filter(|(sale, _)| opening && telling(sale)).map(|(sale, _)| sale.id);
        let told = |given: &Return| matches!(given.state.telling(), Some(Telling::Telling { .. }));
        let returns = disk.returns.iter().filter(|(given, _)| opening && told(given)).map(|(given, _)| given.id);
        for id in asked.into_iter().chain(waiting).chain(returns) {
            let over = disk.find(id).is_some_and(|sale| sale.state.outcome().is_some())
                || disk.given(id).is_some_and(|given| !given.is_live());
            let told = effects.iter().any(|effect| match effect {
                Effect::Till { answer: TillAnswer::Finish(finish), .. } => finish.sale == id,
                _ => false,
            });
            self.law(12, !over || told, || "a till waits for its result, and is not told".into());
        }
    }
}

/// The sale a screen is about, and whether the disk says the same.
fn about(disk: &Disk, session: SessionId, screen: &Screen) -> Option<(SaleFacts, bool)> {
    let state = |facts: &SaleFacts| disk.find(facts.sale).map(|sale| sale.state);
    let at = |facts: &SaleFacts| disk.find(facts.sale).and_then(Sale::at_phone) == Some(session);
    Some(match screen {
        Screen::Confirm { facts, .. } | Screen::TooLate { facts } => {
            (*facts, at(facts) && matches!(state(facts), Some(SaleState::Offered { .. })))
        }
        Screen::Contacting { facts, .. } | Screen::Pay { facts, .. } => {
            (*facts, at(facts) && matches!(state(facts), Some(SaleState::Paying { .. })))
        }
        Screen::Closing { facts } => (*facts, at(facts) && matches!(state(facts), Some(SaleState::Aborting { .. }))),
        Screen::Result(receipt) => {
            let outcome = state(&receipt.facts).and_then(|state| state.outcome());
            (receipt.facts, outcome == Some(receipt.outcome))
        }
        Screen::EnterTill { .. } | Screen::InLine { .. } | Screen::Waiting { .. } => return None,
        Screen::ChooseReturn { .. } | Screen::Returning { .. } | Screen::Returned(_) => return None,
    })
}
