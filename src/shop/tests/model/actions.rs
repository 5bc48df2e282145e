//! What may happen next in a state of the small world, and what comes of it.

use super::super::super::effect::Screen;
use super::super::super::effect::{PlatformCall, SaleFacts};
use super::super::super::event::*;
use super::super::super::id::{AttemptId, SaleId, SessionId};
use super::super::super::money::Amount;
use super::super::super::sale::Sale;
use super::super::world::{eur, session, till};
use super::clock::NOW;
use super::platform::{Customer, Manner};
use super::state::{CALL_MS, Done, Mail, PHONES, State, does};
use super::worlds::World;
use std::sync::Arc;

/// Something happens. With `cut` the program stops in the middle of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) what: What,
    pub(super) cut: Option<Cut>,
}

/// The records are on disk, and so many effects have gone out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) after: usize,
    pub(super) reboot: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Till(TillEvent),
    Phone(SessionId, PhoneEvent),
    /// The platform does what a call asks.
    Serve(usize, Manner),
    /// An answer arrives.
    Deliver(usize),
    /// It arrives, and will arrive again.
    DeliverTwice(usize),
    /// Another payment's answer arrives in its place.
    DeliverForeign(usize),
    /// The caller waits in vain. A call that is not lost as well is still under way.
    Fail(usize, CallError, Lost),
    /// A call arrives twice.
    Double(usize),
    /// A call that nobody awaits is lost.
    Drop(usize),
    Customer(AttemptId, Customer),
    /// The time of a link is over.
    Expire(AttemptId),
    /// Time passes until the next deadline.
    Wait,
    /// The hour at which the list of changed payments is fetched.
    List,
    /// The date becomes known.
    Date,
    /// The program stops and starts, or the machine.
    Crash(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    Yes,
    No,
}

impl What {
    /// Whether it brings the shop to act, so that the program may stop in the middle of it.
    fn goes_round(&self) -> bool {
        match self {
            What::Till(_)
            | What::Phone(..)
            | What::Deliver(_)
            | What::DeliverTwice(_)
            | What::DeliverForeign(_)
            | What::Fail(..)
            | What::Wait
            | What::List
            | What::Crash(_) => true,
            What::Serve(..) | What::Double(_) | What::Drop(_) | What::Customer(..) | What::Expire(_) | What::Date => {
                false
            }
        }
    }
}

fn plain(what: What) -> Action {
    Action { what, cut: None }
}

impl World {
    /// All that may happen next.
    pub(super) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        let mut list = Vec::new();
        self.till_may(state, &mut list);
        phones_may(state, &mut list);
        line_may(state, &mut list);
        outside(state, &mut list);
        if state.left.crashes > 0 {
            for what in &list {
                let cuts = self.cuts.iter().flat_map(|after| [false, true].map(|reboot| Cut { after: *after, reboot }));
                let cuts = cuts.filter(|_| what.goes_round());
                actions.extend(cuts.map(|cut| Action { what: what.clone(), cut: Some(cut) }));
            }
        }
        actions.extend(list.into_iter().map(plain));
    }

    fn till_may(&self, state: &State, list: &mut Vec<What>) {
        let left = state.left;
        if left.sales > 0 {
            list.push(What::Till(TillEvent::Asked(self.ask(state.tickets + 1))));
        }
        if left.repeats > 0 && state.tickets > 0 {
            list.extend((1..=state.tickets).map(|number| What::Till(TillEvent::Asked(self.ask(number)))));
            list.push(What::Till(TillEvent::AskedAgain { ticket: None }));
            list.push(What::Till(TillEvent::Online));
        }
        if left.aborts > 0 && state.tickets > 0 {
            list.push(What::Till(TillEvent::Aborted { ticket: None }));
        }
        for sale in state.owes.iter().copied() {
            list.push(What::Till(TillEvent::Taken { sale }));
            if left.refusals > 0 {
                list.push(What::Till(TillEvent::TakeLater { sale, after_ms: 2_000 }));
                list.push(What::Till(TillEvent::Rejected { sale }));
                list.push(What::Till(TillEvent::Unheard { sale }));
            }
        }
    }

    fn ask(&self, number: u32) -> Ask {
        Ask {
            ticket: self.has_tickets.then_some(Ticket { epoch: Some(1), number }),
            amount: eur("12.50"),
            kind: AskKind::Pay,
            of: None,
            patience_ms: self.patience_ms,
            hears_result: self.hears_result,
        }
    }

    /// What comes of it; `None` if it cannot happen here, or changes nothing.
    pub(super) fn after(&self, state: &State, Action { what, cut }: &Action) -> Option<State> {
        let mut next = state.clone();
        let done = self.happen(&mut next, what, cut.map(|cut| cut.after))?;
        match (done, cut) {
            (Done::Whole, None) => {}
            (Done::Cut, Some(cut)) => {
                next.left.crashes = next.left.crashes.checked_sub(1)?;
                next.start(&self.policy, cut.reboot, None);
            }
            // All that matters had gone out: to stop then is to stop after it.
            (Done::Whole, Some(_)) | (Done::Cut, None) => return None,
        }
        (next != *state).then_some(next)
    }

    fn happen(&self, state: &mut State, what: &What, cut: Option<usize>) -> Option<Done> {
        Some(match what {
            What::Till(what) => {
                state.spend_till(what)?;
                state.handle(Event::Till { till: till(7), what: *what }, cut)
            }
            What::Phone(session, what) => {
                state.spend_phone(what)?;
                state.handle(Event::Phone { session: *session, what: *what }, cut)
            }
            What::Deliver(at) => {
                let Mail::Answer { event, .. } = state.mail.remove(*at) else { return None };
                state.handle(Event::Platform(event), cut)
            }
            What::DeliverTwice(at) => {
                state.left.faults -= 1;
                let Mail::Answer { event, .. } = state.mail[*at].clone() else { return None };
                state.handle(Event::Platform(event), cut)
            }
            What::DeliverForeign(at) => {
                state.left.foreign -= 1;
                let Mail::Answer { event, .. } = state.mail.remove(*at) else { return None };
                state.handle(Event::Platform(foreign(event)?), cut)
            }
            What::Fail(at, error, lost) => {
                state.left.faults -= 1;
                let mail = state.mail.remove(*at);
                let (Mail::Call { call, .. } | Mail::Answer { call, .. }) = &mail;
                let event = no_answer(call, *error);
                if *lost == Lost::No {
                    state.mail.insert(*at, Mail::Call { call: call.clone(), awaited: None });
                }
                state.handle(Event::Platform(event), cut)
            }
            What::Wait => {
                let next = state.next_deadline()?;
                state.settle(NOW.ms_until(next), false);
                match state.shop.deadline() <= NOW {
                    true => state.handle(Event::DeadlinePassed, cut),
                    false => Done::Whole,
                }
            }
            What::List => {
                let answer = Ok(state.platform.list());
                state.handle(Event::Platform(PlatformEvent::Listed { answer }), cut)
            }
            What::Crash(reboot) => {
                state.left.crashes -= 1;
                state.start(&self.policy, *reboot, cut)
            }
            What::Serve(..) | What::Double(_) | What::Drop(_) | What::Customer(..) | What::Expire(_) | What::Date => {
                outside_happens(state, what)?;
                state.mail_settles();
                Done::Whole
            }
        })
    }

    /// The next step once nothing breaks any more and nobody does more than answer: what waits is done, one after the
    /// other, and only then does time pass. `None`: all is quiet.
    pub(super) fn fair(&self, state: &State) -> Option<Action> {
        let answer = state.under_way().take(2).find(|at| matches!(state.mail[*at], Mail::Answer { .. }));
        let what = match (answer.or(state.under_way().next()), state.owes.first().copied()) {
            (Some(at), _) if answer.is_some() => What::Deliver(at),
            (Some(at), _) => What::Serve(at, Manner::default()),
            (None, Some(sale)) => What::Till(TillEvent::Taken { sale }),
            (None, None) if !state.dated => What::Date,
            (None, None) => {
                let open = state.platform.papers.iter().find(|(_, paper)| paper.is_open() && paper.ends <= NOW);
                match open.filter(|_| state.next_deadline().is_none()) {
                    Some((id, _)) => What::Expire(*id),
                    None if state.next_deadline().is_some() => What::Wait,
                    None if state.unknown_money() => What::List,
                    None => return None,
                }
            }
        };
        Some(plain(what))
    }
}

/// What happens outside of the shop.
fn outside_happens(state: &mut State, what: &What) -> Option<()> {
    match what {
        What::Serve(at, manner) => {
            state.left.manners = state.left.manners.checked_sub(u8::from(*manner != Manner::default()))?;
            let Mail::Call { call, awaited } = state.mail.remove(*at) else { return None };
            let event = Arc::make_mut(&mut state.platform).serve(&call, *manner);
            if let Some(awaited) = awaited {
                let by = if does(&call) { awaited.by } else { NOW.plus_ms(CALL_MS) };
                state.mail.insert(*at, Mail::Answer { call, event, by });
            }
        }
        What::Double(at) => {
            state.left.faults -= 1;
            let Mail::Call { call, .. } = &state.mail[*at] else { return None };
            state.mail.push(Mail::Call { call: call.clone(), awaited: None });
        }
        What::Drop(at) => drop(state.mail.remove(*at)),
        What::Customer(id, act) => {
            let left = &mut state.left;
            let spent = match act {
                Customer::Pays => None,
                Customer::FailsATry | Customer::Fails | Customer::Cancels => Some(&mut left.failures),
                Customer::PaysOther => Some(&mut left.others),
                Customer::PaysAnyway => Some(&mut left.extras),
            };
            if let Some(spent) = spent {
                *spent = spent.checked_sub(1)?;
            }
            Arc::make_mut(&mut state.platform).customer(*id, *act)?;
        }
        What::Expire(id) => Arc::make_mut(&mut state.platform).expire(*id)?,
        What::Date => state.dated = true,
        What::Till(_)
        | What::Phone(..)
        | What::Deliver(_)
        | What::DeliverTwice(_)
        | What::DeliverForeign(_)
        | What::Fail(..)
        | What::Wait
        | What::List
        | What::Crash(_) => return None,
    }
    Some(())
}

impl State {
    fn spend_till(&mut self, what: &TillEvent) -> Option<()> {
        match what {
            TillEvent::Asked(ask) => {
                // Without tickets nobody can tell a request from its repeat.
                let is_new = ask.ticket.is_none_or(|ticket| ticket.number > self.tickets);
                let left = if is_new { &mut self.left.sales } else { &mut self.left.repeats };
                *left = left.checked_sub(1)?;
                self.tickets += u32::from(is_new);
            }
            TillEvent::AskedAgain { .. } | TillEvent::Online => self.left.repeats = self.left.repeats.checked_sub(1)?,
            TillEvent::Aborted { .. } => self.left.aborts = self.left.aborts.checked_sub(1)?,
            TillEvent::Taken { sale } => drop(self.owes.remove(sale)),
            TillEvent::TakeLater { sale, .. } | TillEvent::Rejected { sale } | TillEvent::Unheard { sale } => {
                self.left.refusals = self.left.refusals.checked_sub(1)?;
                self.owes.remove(sale);
            }
            TillEvent::Offline
            | TillEvent::AskedStatus
            | TillEvent::AskedTotals { .. }
            | TillEvent::DayClosed { .. }
            | TillEvent::Knows { .. } => {}
        }
        Some(())
    }

    fn spend_phone(&mut self, what: &PhoneEvent) -> Option<()> {
        match what {
            PhoneEvent::Leaves
            | PhoneEvent::Declines { .. }
            | PhoneEvent::NotMine { .. }
            | PhoneEvent::GivesUp { .. }
            | PhoneEvent::LetsGo { .. }
            | PhoneEvent::Refuses { .. }
            | PhoneEvent::Finishes => self.left.moods = self.left.moods.checked_sub(1)?,
            PhoneEvent::LoggedIn { .. }
            | PhoneEvent::Stands { .. }
            | PhoneEvent::Confirms { .. }
            | PhoneEvent::Chooses { .. }
            | PhoneEvent::Saw { .. }
            | PhoneEvent::LogsOut => {}
        }
        Some(())
    }

    /// Money that came in and that the gateway has not heard of.
    pub(super) fn unknown_money(&self) -> bool {
        let attempts = || self.disk.sales.iter().flat_map(|(sale, _)| &sale.attempts);
        let known = |id: AttemptId| attempts().find(|a| a.id == id).map_or(0, |a| a.paid_minor);
        self.platform.papers.iter().any(|(id, paper)| paper.paid_minor > known(*id))
    }
}

fn phones_may(state: &State, list: &mut Vec<What>) {
    let more = state.left.sales > 0 || state.sales().any(Sale::is_live);
    for name in PHONES {
        let phone = session(name);
        let mut may = |what| list.push(What::Phone(phone, what));
        let moody = state.left.moods > 0;
        match state.shown.get(&phone) {
            Some(Screen::EnterTill { .. }) if more => may(PhoneEvent::Stands { at: Some(till(7)) }),
            Some(Screen::EnterTill { .. }) => {}
            Some(Screen::InLine { .. } | Screen::Waiting { .. }) if moody => may(PhoneEvent::Leaves),
            Some(Screen::InLine { .. } | Screen::Waiting { .. }) => {}
            Some(Screen::Confirm { facts, .. }) => {
                let SaleFacts { sale, amount, .. } = *facts;
                may(PhoneEvent::Confirms { sale, amount });
                if moody {
                    may(PhoneEvent::Declines { sale });
                    may(PhoneEvent::NotMine { sale });
                }
            }
            Some(Screen::TooLate { facts }) => may(PhoneEvent::NotMine { sale: facts.sale }),
            Some(Screen::Contacting { facts, .. } | Screen::Pay { facts, .. }) => {
                let sale = facts.sale;
                may(PhoneEvent::Saw { sale });
                if moody {
                    may(PhoneEvent::GivesUp { sale });
                    may(PhoneEvent::LetsGo { sale });
                }
            }
            Some(Screen::Result(_)) if moody => may(PhoneEvent::Finishes),
            Some(Screen::Result(_) | Screen::Closing { .. }) | None => {}
            // The till of this world gives nothing back.
            Some(Screen::ChooseReturn { .. } | Screen::Returning { .. } | Screen::Returned(_)) => {}
        }
        if state.left.forged > 0 {
            let sale = state.disk.sales.last().map_or(SaleId(0), |(sale, _)| sale.id);
            may(PhoneEvent::Confirms { sale, amount: eur("12.50") });
            may(PhoneEvent::Confirms { sale, amount: eur("9.99") });
            may(PhoneEvent::Saw { sale });
            may(PhoneEvent::LogsOut);
        }
    }
}

/// Two messages are under way at a time; each may be next, be lost or come twice.
fn line_may(state: &State, list: &mut Vec<What>) {
    let left = state.left;
    let room = state.under_way().count() < 2;
    for at in state.under_way().take(2) {
        match &state.mail[at] {
            Mail::Answer { .. } => {
                list.push(What::Deliver(at));
                if left.faults > 0 {
                    list.push(What::DeliverTwice(at));
                    list.push(What::Fail(at, CallError::Unknown, Lost::Yes));
                }
                if left.foreign > 0 {
                    list.push(What::DeliverForeign(at));
                }
            }
            Mail::Call { call, awaited } => {
                list.push(What::Serve(at, Manner::default()));
                if left.manners > 0 {
                    list.extend(manners(call).into_iter().map(|manner| What::Serve(at, manner)));
                }
                match awaited {
                    None => list.push(What::Drop(at)),
                    Some(_) if left.faults == 0 => {}
                    Some(_) => {
                        list.push(What::Fail(at, CallError::NotSent, Lost::Yes));
                        list.push(What::Fail(at, CallError::Unknown, Lost::Yes));
                        if does(call) {
                            list.push(What::Fail(at, CallError::Unknown, Lost::No));
                            if room {
                                list.push(What::Double(at));
                            }
                        }
                    }
                }
            }
        }
    }
}

fn manners(call: &PlatformCall) -> Vec<Manner> {
    let usual = Manner::default();
    match call {
        PlatformCall::Create(_) => vec![Manner { refuses: true, ..usual }],
        PlatformCall::Cancel { .. } => vec![Manner { forgetful: true, ..usual }],
        PlatformCall::Refund { .. } => {
            vec![Manner { slow_refunds: true, ..usual }, Manner { no_refunds: true, ..usual }]
        }
        PlatformCall::Query { .. }
        | PlatformCall::QueryRefund { .. }
        | PlatformCall::Probe
        | PlatformCall::List { .. } => Vec::new(),
    }
}

fn outside(state: &State, list: &mut Vec<What>) {
    let left = state.left;
    for (id, paper) in &state.platform.papers {
        let seen = state.seen.iter().any(|(_, attempt)| attempt == id);
        let mut may = |act| list.push(What::Customer(*id, act));
        if paper.is_open() && seen {
            may(Customer::Pays);
            if left.failures > 0 {
                may(Customer::FailsATry);
                may(Customer::Fails);
                may(Customer::Cancels);
            }
            if left.others > 0 {
                may(Customer::PaysOther);
            }
        }
        if !paper.is_open() && seen && left.extras > 0 {
            may(Customer::PaysAnyway);
        }
        if paper.is_open() && paper.ends <= NOW {
            list.push(What::Expire(*id));
        }
    }
    if state.next_deadline().is_some() {
        list.push(What::Wait);
    } else if state.mail.is_empty() && state.owes.is_empty() && state.unknown_money() {
        list.push(What::List);
    }
    if !state.dated {
        list.push(What::Date);
    }
    if left.crashes > 0 {
        list.extend([What::Crash(false), What::Crash(true)]);
    }
}

fn no_answer(call: &PlatformCall, error: CallError) -> PlatformEvent {
    let answered = |attempt, call| PlatformEvent::Answered { attempt, call, answer: Err(error) };
    match call {
        PlatformCall::Create(create) => answered(create.attempt, Call::Create),
        PlatformCall::Query { attempt, .. } => answered(*attempt, Call::Query),
        PlatformCall::Cancel { attempt } => answered(*attempt, Call::Cancel),
        PlatformCall::Refund { attempt, refund, .. } | PlatformCall::QueryRefund { attempt, refund } => {
            PlatformEvent::RefundAnswered { attempt: *attempt, refund: *refund, answer: Err(error) }
        }
        PlatformCall::Probe => PlatformEvent::Line { up: false },
        PlatformCall::List { .. } => PlatformEvent::Listed { answer: Err(error) },
    }
}

/// An answer mixed up with that of a payment that is none of ours, and is paid.
fn foreign(event: PlatformEvent) -> Option<PlatformEvent> {
    let PlatformEvent::Answered { attempt, call, answer: Ok(mut payment) } = event else { return None };
    let other = Amount::from_minor(payment.amount.minor(), payment.amount.currency()).ok()?;
    (payment.id, payment.status, payment.amount) = (AttemptId(99), PaymentStatus::Paid, other);
    (payment.paid_minor, payment.version) = (other.minor(), payment.version + 1);
    Some(PlatformEvent::Answered { attempt, call, answer: Ok(payment) })
}
