//! Returns in the shop: what tills ask back, whose payment it is, what the phone at the till may choose. The states of one
//! return are in `giveback.rs`.

use super::attempt::RefundState;
use super::effect::{
    Alarm, Effect, Finish, Progress, Record, Refusal, Repayable, ReturnFacts, ReturnReceipt, Screen, TillAnswer,
};
use super::event::{Ask, Of, ReturnKind, Ticket, TillNumber};
use super::giveback::{Back, Return, ReturnState};
use super::id::{RefundId, SaleId, SessionId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::policy::Policy;
use super::sale::{Code, Sale, Telling};
use super::time::Wall;
use super::{Shop, Turn};
use std::cmp::Reverse;

/// Payments that a phone may choose from.
pub const REPAYABLE_MAX: usize = 20;

/// A return in memory: itself, what of it is on disk, what may be chosen, and what was said about it last.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LiveReturn {
    pub(super) given: Return,
    pub(super) saved: Option<Return>,
    pub(super) saved_open: bool,
    /// The sales that the phone may choose from, newest first; they stay in memory until it has.
    pub(super) choices: Vec<SaleId>,
    pub(super) progress_told: Option<Progress>,
    /// The outcome that the till is being told.
    pub(super) result_told: bool,
    /// A person was told that the till did not hear it.
    pub(super) alarmed: bool,
}

/// What a return would be about.
enum Target {
    /// This sale, of which so much goes back.
    Sale(SaleId, Amount),
    /// One that this phone chooses of these.
    Choice(SessionId, Vec<SaleId>),
}

impl Shop {
    /// Whether a return could begin, the line and the till aside.
    pub(super) fn returnable(&self, till: TillNumber, kind: ReturnKind, ask: &Ask) -> Result<(), Refusal> {
        let margin_ms = self.policy.margin_ms;
        // Only where a customer has to act is time for that needed.
        let needs_ms = if ask.of.is_some() { 0 } else { Policy::START_LEFT_MS };
        if ask.amount.currency() != self.policy.currency {
            Err(Refusal::WrongCurrency)
        } else if kind == ReturnKind::Refund && ask.amount.minor() == 0 {
            Err(Refusal::TooLittle { min_minor: 1 })
        } else if ask.patience_ms <= needs_ms.saturating_add(margin_ms) {
            Err(Refusal::TooShort)
        } else {
            self.target(till, kind, ask).map(drop)
        }
    }

    fn target(&self, till: TillNumber, kind: ReturnKind, ask: &Ask) -> Result<Target, Refusal> {
        if let Some(of) = ask.of {
            return self.target_named(till, kind, ask.amount, of);
        }
        let first = self.tills.get(&till).and_then(|till| till.line.first().copied()).ok_or(Refusal::NoPhone)?;
        let choices = self.choices(first, kind, ask.amount);
        if choices.is_empty() { Err(Refusal::NoPhone) } else { Ok(Target::Choice(first, choices)) }
    }

    fn target_named(&self, till: TillNumber, kind: ReturnKind, asked: Amount, of: Of) -> Result<Target, Refusal> {
        let sale = self.newest_of(till, of).and_then(|id| self.sales.get(&id)).map(|live| &live.sale);
        let sale = sale.filter(|sale| sale.winner().is_some()).ok_or(Refusal::NoSuchSale)?;
        let left_minor = sale.left_minor();
        let left = Amount::from_minor(left_minor, sale.amount.currency()).map_err(|_| Refusal::NoSuchSale)?;
        let other = asked != sale.amount && asked != left;
        match kind {
            // The till takes it for another sale: its number has come round since.
            ReturnKind::Reverse if asked.minor() > 0 && other => Err(Refusal::NoSuchSale),
            ReturnKind::Reverse | ReturnKind::Refund if left_minor == 0 => Err(Refusal::AllGivenBack),
            ReturnKind::Reverse => Ok(Target::Sale(sale.id, left)),
            ReturnKind::Refund if asked > left && !planted(Mistake::MoreThanLeft) => {
                Err(Refusal::MoreThanLeft { left_minor })
            }
            ReturnKind::Refund => Ok(Target::Sale(sale.id, asked)),
        }
    }

    /// The phone's own payments that will do, newest first.
    fn choices(&self, session: SessionId, kind: ReturnKind, asked: Amount) -> Vec<SaleId> {
        let mut fit: Vec<&Sale> = self.sales.values().map(|live| &live.sale).collect();
        fit.retain(|sale| repayable(sale, session, kind, asked).is_some());
        fit.sort_by_key(|sale| Reverse((sale.booked, sale.ended_at, sale.id)));
        fit.iter().take(REPAYABLE_MAX).map(|sale| sale.id).collect()
    }

    /// What the phone may choose from now.
    fn repayable(&self, live: &LiveReturn, session: SessionId) -> Vec<Repayable> {
        let sales = live.choices.iter().filter_map(|id| self.sales.get(id));
        sales.filter_map(|sale| repayable(&sale.sale, session, live.given.kind, live.given.asked)).collect()
    }

    pub(super) fn begin_return(&mut self, till: TillNumber, kind: ReturnKind, ask: Ask, turn: &mut Turn) {
        let target = match self.target(till, kind, &ask) {
            Ok(target) => target,
            Err(why) => return turn.effect(super::tills::refuse(till, ask.ticket, why)),
        };
        let Some(receipt) = self.next_receipt(till) else { return };
        let (now, id) = (turn.now, SaleId(turn.ids.draw()));
        let code = Code::from_bits(turn.ids.draw());
        let ends = now.mono.plus_ms(ask.patience_ms.saturating_sub(self.policy.margin_ms));
        let (state, choices) = match target {
            Target::Sale(sale, amount) => match self.begin_refund(sale, amount, turn) {
                Some(back) => (ReturnState::Sending { back }, Vec::new()),
                None => return turn.effect(super::tills::refuse(till, ask.ticket, Refusal::AllGivenBack)),
            },
            Target::Choice(session, choices) => {
                let until = now.mono.plus_ms(self.policy.confirm_secs.saturating_mul(1_000)).min(ends);
                if let Some(visit) = self.visits.get_mut(&session) {
                    (visit.session.sale, visit.note) = (Some(id), None);
                }
                turn.visits.insert(session);
                (ReturnState::Choosing { session, until }, choices)
            }
        };
        let given = Return {
            id,
            till,
            ticket: ask.ticket,
            receipt,
            kind,
            named: ask.of,
            asked: ask.amount,
            code,
            asked_at: now.wall,
            ticket_at: now.wall,
            ended_at: None,
            booked: None,
            boot: now.boot,
            ends,
            hears_result: ask.hears_result,
            state,
        };
        turn.effect(accepted(&given, ask.ticket));
        self.returns.insert(id, LiveReturn::new(given, choices));
        if let Some(entry) = self.tills.get_mut(&till) {
            entry.current = Some(id);
        }
        turn.returns.insert(id);
        turn.tills.insert(till);
    }

    /// Begins the refund; it is on disk with this step and goes out after it.
    fn begin_refund(&mut self, sale: SaleId, amount: Amount, turn: &mut Turn) -> Option<Back> {
        let mut begun = None;
        self.change(turn, sale, |sale, turn, _| begun = sale.give_back_asked(amount, &mut turn.ids));
        begun.map(|(attempt, refund)| Back { sale, attempt, refund, amount })
    }

    /// The customer chooses. What was shown must be what would go back now (law 14).
    pub(super) fn chooses(&mut self, session: SessionId, id: SaleId, of: SaleId, shown: Amount, turn: &mut Turn) {
        let Some(live) = self.returns.get(&id) else { return };
        let fits = live.given.at_phone() == Some(session) && turn.now.mono < live.given.ends;
        let offered = self.repayable(live, session).iter().any(|r| r.sale == of && r.back == shown);
        if !fits || !offered {
            return;
        }
        if let Some(back) = self.begin_refund(of, shown, turn) {
            self.change_return(turn, id, |given, _| given.send(back));
        }
    }

    pub(super) fn refuses(&mut self, session: SessionId, id: SaleId, turn: &mut Turn) {
        self.change_return(turn, id, |given, turn| given.refuse(session, turn.now));
    }

    /// The till's request that this one repeats: the same once more while it is under way, or because its result was not
    /// taken (law 9). Where the phone was to choose, it must be the same phone.
    pub(super) fn same_return(&self, till: TillNumber, kind: ReturnKind, ask: &Ask) -> Option<SaleId> {
        let entry = self.tills.get(&till)?;
        let same = |id: &SaleId| {
            let given = &self.returns.get(id)?.given;
            ((given.kind, given.named, given.asked) == (kind, ask.of, ask.amount)).then_some(given)
        };
        if let Some(current) = entry.current {
            return same(&current).filter(|r| r.ticket.is_none() && ask.ticket.is_none()).map(|r| r.id);
        }
        let last = same(&entry.last?)?;
        let untaken = last.state.telling().is_some_and(Telling::is_untaken);
        let made = matches!(last.state, ReturnState::Returned { .. });
        let payer = last.state.back().and_then(|back| {
            let sale = &self.sales.get(&back.sale)?.sale;
            sale.attempts.iter().find(|a| a.id == back.attempt).map(|a| a.session)
        });
        // Whoever stands first has its payments fetched; who is still shown this return is the one that is repaid.
        let there = match entry.line.first() {
            Some(first) => payer == Some(*first),
            None => self.visits.values().any(|visit| visit.session.sale == Some(last.id)),
        };
        (untaken && made && (ask.of.is_some() || there)).then_some(last.id)
    }

    /// Whether a request under the ticket of this return is the same request.
    pub(super) fn repeats_return(&self, id: SaleId, ask: &Ask) -> bool {
        let kind = ReturnKind::of(ask.kind);
        self.returns.get(&id).is_some_and(|live| {
            let given = &live.given;
            (Some(given.kind), given.named, given.asked) == (kind, ask.of, ask.amount)
        })
    }

    /// A return answers a request as a sale does: accepted, under the ticket asked for last.
    pub(super) fn answer_with_return(&mut self, id: SaleId, ticket: Option<Ticket>, turn: &mut Turn) {
        let now = turn.now;
        let before = self.returns.get(&id).map(|live| (live.given.ticket, live.given.ticket_at));
        let begins = before.is_some_and(|before| self.begins_life(before, ticket, now));
        self.change_return(turn, id, |given, _| {
            if begins {
                (given.ticket, given.ticket_at) = (ticket, now.wall);
            }
        });
        if let Some(live) = self.returns.get_mut(&id) {
            live.progress_told = None;
            turn.effect(accepted(&live.given, ticket));
        }
    }

    /// Changes one return, and draws what follows for its till, its phone and the books.
    pub(super) fn change_return(&mut self, turn: &mut Turn, id: SaleId, how: impl FnOnce(&mut Return, &mut Turn)) {
        let Some(live) = self.returns.get_mut(&id) else { return };
        let (before, shown) = (live.given.state, live.given.at_phone());
        how(&mut live.given, turn);
        turn.returns.insert(id);
        turn.tills.insert(live.given.till);
        if shown.is_some() && live.given.at_phone().is_none() {
            turn.let_go.extend(std::mem::take(&mut live.choices));
        }
        let (number, after) = (live.given.till, live.given.state);
        if before.outcome().is_none() && after.outcome().is_some() {
            self.booked = self.booked.saturating_add(1);
            live.given.booked = Some(self.booked);
            live.result_told = false;
            if let Some(till) = self.tills.get_mut(&number) {
                till.current = None;
                turn.let_go.extend(till.last.replace(id));
            }
            self.end_pairing_with_return(id, turn);
        } else if before.outcome() != after.outcome() {
            live.result_told = false; // The platform's word on what was pending.
        }
    }

    /// The phone that was shown it stays with the result until that is put away; the till is free for the next.
    fn end_pairing_with_return(&mut self, id: SaleId, turn: &mut Turn) {
        let shown = |visit: &&super::Visit| visit.session.sale == Some(id);
        let visits: Vec<SessionId> = self.visits.values().filter(shown).map(|visit| visit.session.id).collect();
        for session in visits {
            turn.visits.insert(session);
            let pairing = self.visits.get_mut(&session).and_then(|visit| visit.session.pairing.take());
            if let Some(pairing) = pairing {
                self.leave_line(session, pairing.till, turn);
            }
        }
    }

    /// A refund of this sale may have changed: so may the return that began it.
    pub(super) fn follow_returns(&mut self, sale: SaleId, turn: &mut Turn) {
        let Some(live) = self.sales.get(&sale) else { return };
        let mut heard: Vec<(SaleId, RefundState)> = Vec::new();
        for given in self.returns.values().map(|live| &live.given) {
            let refund = given.state.back().filter(|back| back.sale == sale).map(|back| back.refund);
            let state = live.sale.refunds.iter().find(|r| Some(r.id) == refund).map(|r| r.state);
            heard.extend(state.map(|state| (given.id, state)));
        }
        for (id, state) in heard {
            self.change_return(turn, id, |given, turn| given.follow(state, turn.now));
        }
    }

    /// Whether a till waits for the platform's word on this refund.
    pub(super) fn till_waits_for(&self, refund: RefundId) -> bool {
        let waits =
            |live: &LiveReturn| matches!(live.given.state, ReturnState::Sending { back } if back.refund == refund);
        self.returns.values().any(waits)
    }

    /// Whether a return needs this sale in memory, to choose it or to follow its refund.
    pub(super) fn return_needs(&self, sale: SaleId) -> bool {
        self.returns.values().any(|live| {
            let follows = live.given.state.back().is_some_and(|back| back.sale == sale) && !live.given.is_at_rest();
            follows || live.choices.contains(&sale)
        })
    }

    pub(super) fn settle_return(&mut self, id: SaleId, turn: &mut Turn) {
        let Some(live) = self.returns.get_mut(&id) else { return };
        let open = !live.given.is_at_rest();
        if live.saved.as_ref() != Some(&live.given) || live.saved_open != open {
            turn.step.records.push(Record::Return { given: Box::new(live.given.clone()), open });
        }
        if live.saved.as_ref().is_none_or(|saved| saved.ticket != live.given.ticket) {
            let Return { till, ticket, id: sale, .. } = live.given;
            turn.step.records.extend(ticket.map(|ticket| Record::Ticket { till, ticket, sale }));
        }
        if lost(&live.given) && !live.saved.as_ref().is_some_and(lost) && !std::mem::replace(&mut live.alarmed, true) {
            turn.alarm(Alarm::Unheard { sale: id });
        }
        let checking = live.given.state.back().is_some_and(|back| {
            let sale = self.sales.get(&back.sale);
            sale.is_some_and(|live| live.sale.refunds.iter().any(|r| r.id == back.refund && in_doubt(r.state)))
        });
        live.tell(checking, &mut turn.step.effects);
        live.saved = Some(live.given.clone());
        live.saved_open = open;
        turn.visits.extend(self.visits.values().filter(|v| v.session.sale == Some(id)).map(|v| v.session.id));
    }

    /// A return of which nothing more will come by itself leaves memory; disk has it.
    pub(super) fn let_return_rest(&mut self, id: SaleId) {
        let Some(live) = self.returns.get(&id).filter(|live| live.given.is_at_rest()) else { return };
        let shown = self.visits.values().any(|visit| visit.session.sale == Some(id));
        let last = self.tills.get(&live.given.till).is_some_and(|till| till.last == Some(id));
        if !shown && !last {
            self.returns.remove(&id);
        }
    }

    /// The page of a phone that is shown a return.
    pub(super) fn return_screen(&self, session: SessionId, id: SaleId) -> Option<Screen> {
        let live = self.returns.get(&id)?;
        let given = &live.given;
        let amount = Some(given.amount()).filter(|amount| amount.minor() > 0);
        let facts = ReturnFacts { asked: id, till: given.till, code: given.code, kind: given.kind, amount };
        match given.state {
            ReturnState::Choosing { session: chooses, .. } if chooses != session => None,
            ReturnState::Choosing { until, .. } => {
                // A reversal that says no amount is of all that is left of what is chosen.
                let amount = amount.filter(|_| given.kind == ReturnKind::Refund);
                let facts = ReturnFacts { amount, ..facts };
                Some(Screen::ChooseReturn { facts, payments: self.repayable(live, session), until })
            }
            ReturnState::Sending { back } => {
                let sale = self.sales.get(&back.sale).map(|live| &live.sale.refunds);
                let refund = sale.and_then(|refunds| refunds.iter().find(|r| r.id == back.refund));
                Some(Screen::Returning { facts, checking: refund.is_some_and(|r| in_doubt(r.state)) })
            }
            ReturnState::Returned { .. }
            | ReturnState::Declined { .. }
            | ReturnState::Cancelled { .. }
            | ReturnState::Lapsed { .. } => {
                let (outcome, back) = (given.state.outcome()?, given.state.back());
                let (of, attempt) = (back.map(|b| b.sale), back.map(|b| b.attempt));
                Some(Screen::Returned(Box::new(ReturnReceipt { facts, outcome, of, attempt, at: given.ended_at })))
            }
        }
    }

    /// Returns that wait for something, for `tillgate status`.
    pub fn open_returns(&self) -> impl Iterator<Item = &Return> {
        self.returns.values().map(|live| &live.given).filter(|given| !given.is_at_rest())
    }
}

impl LiveReturn {
    pub(super) fn new(given: Return, choices: Vec<SaleId>) -> LiveReturn {
        let (progress_told, result_told, alarmed) = (None, false, false);
        LiveReturn { given, saved: None, saved_open: true, choices, progress_told, result_told, alarmed }
    }

    pub(super) fn from_disk(given: Return) -> LiveReturn {
        let saved_open = !given.is_at_rest();
        let alarmed = lost(&given);
        LiveReturn { saved: Some(given.clone()), saved_open, alarmed, ..LiveReturn::new(given, Vec::new()) }
    }

    /// What the till has to hear: the step reached, the result.
    fn tell(&mut self, checking: bool, effects: &mut Vec<Effect>) {
        let Return { till, id: sale, ticket, .. } = self.given;
        let mut say = |answer| effects.push(Effect::Till { till, answer });
        let progress = match self.given.state {
            ReturnState::Choosing { .. } => Some(Progress::Offered),
            ReturnState::Sending { .. } if checking => Some(Progress::Checking),
            // Nobody had to confirm what the till itself has named.
            ReturnState::Sending { .. } => self.given.named.is_none().then_some(Progress::Confirmed),
            ReturnState::Returned { .. }
            | ReturnState::Declined { .. }
            | ReturnState::Cancelled { .. }
            | ReturnState::Lapsed { .. } => None,
        };
        if progress != self.progress_told
            && let Some(progress) = progress
        {
            say(TillAnswer::Progress { sale, ticket, progress });
        }
        self.progress_told = progress;
        let telling = matches!(self.given.state.telling(), Some(Telling::Telling { .. }));
        if telling
            && !self.result_told
            && let Some(finish) = Finish::of_return(&self.given)
        {
            say(TillAnswer::Finish(Box::new(finish)));
        }
        self.result_told = telling;
    }
}

/// What a phone may be repaid of a sale: it paid it itself, and enough is left.
fn repayable(sale: &Sale, session: SessionId, kind: ReturnKind, asked: Amount) -> Option<Repayable> {
    let winner = sale.winner()?;
    let payer = sale.attempts.iter().find(|a| a.id == winner)?.session;
    if payer != session && !planted(Mistake::ForeignPaymentOffered) {
        return None;
    }
    let left = Amount::from_minor(sale.left_minor(), sale.amount.currency()).ok()?;
    let fits = match kind {
        ReturnKind::Refund => asked <= left && asked.currency() == left.currency(),
        ReturnKind::Reverse => asked.minor() == 0 || asked == sale.amount || asked == left,
    };
    if left.minor() == 0 || !fits {
        return None;
    }
    let back = match kind {
        ReturnKind::Refund => asked,
        ReturnKind::Reverse => left,
    };
    let at: Option<Wall> = sale.ended_at;
    Some(Repayable { sale: sale.id, till: sale.till, receipt: sale.receipt, amount: sale.amount, left, back, at })
}

/// Whether money went back and the till has not acknowledged it, or has refused to hear of it.
fn lost(given: &Return) -> bool {
    let unheard = matches!(given.state.telling(), Some(Telling::Unheard { .. } | Telling::Rejected));
    unheard && matches!(given.state, ReturnState::Returned { .. })
}

fn in_doubt(state: RefundState) -> bool {
    matches!(state, RefundState::Intent { doubt: Some(_) })
}

pub(super) fn accepted(given: &Return, ticket: Option<Ticket>) -> Effect {
    Effect::Till { till: given.till, answer: TillAnswer::Accepted { sale: given.id, ticket, code: given.code } }
}
