//! What tills ask for, and what they are told at once. What follows from a sale's state is said in `settle.rs`.

use super::attempt::AttemptState;
use super::calls::LineState;
use super::effect::{Alarm, Effect, Finish, Record, Refusal, TillAnswer};
use super::event::{Ask, AskKind, Of, ReceiptNumber, ReturnKind, Ticket, TillEvent, TillNumber};
use super::id::SaleId;
use super::planted::{Mistake, planted};
use super::policy::Policy;
use super::sale::{AbortWhy, Code, Sale, SaleState, Telling, TillWord};
use super::time::{Mono, Now, Wall};
use super::{Live, Shop, Turn};

/// How long a request may wait for a word on the line to the platform.
const LINE_TRY_MS: u64 = 2_000;

/// The effect that refuses a till's request.
pub(super) fn refuse(till: TillNumber, ticket: Option<Ticket>, why: Refusal) -> Effect {
    Effect::Till { till, answer: TillAnswer::Refused { ticket, why } }
}

impl Shop {
    pub(super) fn till(&mut self, till: TillNumber, what: TillEvent, turn: &mut Turn) {
        if !self.tills.contains_key(&till) {
            if let TillEvent::Asked(ask) = what {
                turn.effect(refuse(till, ask.ticket, Refusal::UnknownTill));
            }
            return;
        }
        match what {
            TillEvent::Online => self.till_online(till, turn),
            TillEvent::Offline => {} // A sale under way survives the unplug.
            TillEvent::Asked(ask) => self.asked(till, ask, turn),
            TillEvent::Aborted { ticket } => self.aborted(till, ticket, turn),
            TillEvent::AskedAgain { ticket } => self.asked_again(till, ticket, turn),
            TillEvent::Taken { sale } => self.told(till, sale, TillWord::Taken, turn),
            TillEvent::TakeLater { sale, after_ms } => self.told(till, sale, TillWord::Later(after_ms), turn),
            TillEvent::Rejected { sale } => self.told(till, sale, TillWord::Rejected, turn),
            TillEvent::Unheard { sale } => self.told(till, sale, TillWord::Nothing, turn),
            TillEvent::AskedStatus => {
                let ready = self.ready(till, turn);
                turn.effect(Effect::Till { till, answer: TillAnswer::Status { ready } });
            }
            TillEvent::AskedTotals { of } => turn.effect(Effect::Totals { till, of }),
            TillEvent::DayClosed { mark } => self.day_closed(till, mark, turn),
            TillEvent::Knows { receipt } => self.knows(till, receipt, turn),
        }
    }

    /// The next day begins behind these sums. What was closed stays closed, and nothing that is still to come.
    fn day_closed(&mut self, number: TillNumber, mark: u64, turn: &mut Turn) {
        let Some(till) = self.tills.get_mut(&number).filter(|till| till.day < mark && mark <= self.booked) else {
            return;
        };
        till.day = mark;
        turn.step.records.push(Record::DayClosed { till: number, mark });
    }

    /// The till says which receipt it had last. The last one: it has taken it. The one before, and the last one is paid and
    /// not taken: it does not have it, and no goods leave for it. Anything else says nothing (law 10).
    fn knows(&mut self, till: TillNumber, receipt: ReceiptNumber, turn: &mut Turn) {
        let Some(last) = self.tills.get(&till).and_then(|till| till.last) else { return };
        let sale = self.sales.get(&last).map(|live| &live.sale);
        let given = self.returns.get(&last).map(|live| &live.given);
        let number = sale.and_then(|sale| sale.receipt).or(given.map(|given| given.receipt));
        let lost = sale.is_some_and(|s| s.winner().is_some() && s.state.telling().is_some_and(Telling::is_untaken));
        if number == Some(receipt) {
            self.told(till, last, TillWord::Taken, turn);
        } else if number == Some(receipt.next()) && lost {
            self.told(till, last, TillWord::Rejected, turn);
        }
    }

    /// The number of the till's next receipt.
    pub(super) fn next_receipt(&mut self, till: TillNumber) -> Option<ReceiptNumber> {
        let till = self.tills.get_mut(&till)?;
        let next = till.receipt.map_or_else(|| ReceiptNumber::new(1), |last| Some(last.next()));
        till.receipt = next;
        next
    }

    /// A till that comes back hears the result that it did not acknowledge.
    fn till_online(&mut self, till: TillNumber, turn: &mut Turn) {
        if let Some(last) = self.tills.get(&till).and_then(|till| till.last) {
            self.tell_again(last, turn);
        }
    }

    fn tell_again(&mut self, sale: SaleId, turn: &mut Turn) {
        if let Some(live) = self.sales.get_mut(&sale) {
            live.result_told = false;
        }
        if let Some(live) = self.returns.get_mut(&sale) {
            live.result_told = false;
        }
        self.change(turn, sale, |sale, _, _| sale.tell_again());
        self.change_return(turn, sale, |given, _| given.tell_again());
    }

    fn told(&mut self, till: TillNumber, sale: SaleId, word: TillWord, turn: &mut Turn) {
        if self.sales.get(&sale).is_some_and(|live| live.sale.till == till) {
            self.change(turn, sale, |sale, turn, policy| sale.told(word, turn.now, policy));
        }
        if self.returns.get(&sale).is_some_and(|live| live.given.till == till) {
            self.change_return(turn, sale, |given, turn| given.told(word, turn.now));
        }
    }

    /// A request for a sale. The order matters: what repeats an earlier request is answered with its state, whatever the
    /// line or the limits say now.
    fn asked(&mut self, till: TillNumber, ask: Ask, turn: &mut Turn) {
        if self.waits_for_line(till, ask.ticket) {
            return;
        }
        if let Some(earlier) = ask.ticket.and_then(|ticket| self.sale_of_ticket(till, ticket, turn)) {
            self.repeat(till, earlier, &ask, turn);
            return;
        }
        if let Some(untaken) = self.untaken(till, &ask) {
            self.answer_with(till, untaken, &ask, turn);
            return;
        }
        let acceptable = match ReturnKind::of(ask.kind) {
            None => self.acceptable(&ask),
            Some(kind) => self.returnable(till, kind, &ask),
        };
        if let Err(why) = acceptable {
            turn.effect(refuse(till, ask.ticket, why));
            return;
        }
        if let Some(current) = self.tills.get(&till).and_then(|t| t.current) {
            self.change(turn, current, |sale, turn, _| sale.overtaken(turn.now));
        }
        let known = self.line.state(turn.now.mono) != LineState::Unknown;
        match self.ready(till, turn) {
            Err(Refusal::NoLine) if !known => {
                self.line.try_now(turn.now.mono);
                let until = turn.now.mono.plus_ms(LINE_TRY_MS);
                if let Some(till) = self.tills.get_mut(&till) {
                    till.asking = Some((ask, until));
                }
            }
            Err(why) => turn.effect(refuse(till, ask.ticket, why)),
            Ok(()) => self.begin_asked(till, ask, turn),
        }
    }

    fn begin_asked(&mut self, till: TillNumber, ask: Ask, turn: &mut Turn) {
        match ReturnKind::of(ask.kind) {
            None => self.begin(till, ask, turn),
            Some(kind) => self.begin_return(till, kind, ask, turn),
        }
    }

    /// The requests that waited for the line are answered: it is up, or it is not.
    pub(super) fn answer_waiting(&mut self, turn: &mut Turn) {
        let waiting: Vec<_> =
            self.tills.iter_mut().filter_map(|(number, till)| Some((*number, till.asking.take()?.0))).collect();
        for (till, ask) in waiting {
            // While it waited, whoever stood between the till and its payer may have left.
            if let Some(untaken) = self.untaken(till, &ask) {
                self.answer_with(till, untaken, &ask, turn);
                continue;
            }
            match self.ready(till, turn) {
                Ok(()) => self.begin_asked(till, ask, turn),
                Err(why) => turn.effect(refuse(till, ask.ticket, why)),
            }
        }
    }

    /// Whether a sale could begin now, its amount aside.
    fn ready(&self, till: TillNumber, turn: &Turn) -> Result<(), Refusal> {
        let till = self.tills.get(&till);
        if let Some(why) = self.no_sales {
            Err(Refusal::NoSales(why))
        } else if till.is_some_and(|till| till.current.is_some() || till.asking.is_some()) {
            Err(Refusal::Busy)
        } else if turn.now.wall.is_none() {
            Err(Refusal::ClockNotSet)
        } else if self.line.state(turn.now.mono) != LineState::Up {
            Err(Refusal::NoLine)
        } else {
            Ok(())
        }
    }

    fn acceptable(&self, ask: &Ask) -> Result<(), Refusal> {
        let Policy { currency, amount_min_minor, amount_max_minor, margin_ms, .. } = self.policy;
        if ask.amount.currency() != currency {
            Err(Refusal::WrongCurrency)
        } else if ask.amount.minor() < amount_min_minor {
            Err(Refusal::TooLittle { min_minor: amount_min_minor })
        } else if ask.amount.minor() > amount_max_minor {
            Err(Refusal::TooMuch { max_minor: amount_max_minor })
        } else if ask.patience_ms < Policy::START_LEFT_MS.saturating_add(margin_ms) {
            Err(Refusal::TooShort)
        } else {
            Ok(())
        }
    }

    fn begin(&mut self, till: TillNumber, ask: Ask, turn: &mut Turn) {
        let id = SaleId(turn.ids.draw());
        let sale = Sale {
            id,
            till,
            ticket: ask.ticket,
            receipt: self.next_receipt(till),
            amount: ask.amount,
            code: Code::from_bits(turn.ids.draw()),
            asked_at: turn.now.wall,
            ticket_at: turn.now.wall,
            ended_at: None,
            booked: None,
            boot: turn.now.boot,
            ends: turn.now.mono.plus_ms(ask.patience_ms.saturating_sub(self.policy.margin_ms)),
            hears_result: ask.hears_result,
            state: SaleState::Waiting,
            attempts: Vec::new(),
            refunds: Vec::new(),
        };
        let untaken = self.untaken_twin(till, &ask).map(|twin| twin.sale.id);
        if let Some(sale) = untaken {
            turn.alarm(Alarm::Unheard { sale });
        }
        turn.effect(accepted(&sale, ask.ticket));
        self.sales.insert(id, Live::new(sale));
        if let Some(entry) = self.tills.get_mut(&till) {
            entry.current = Some(id);
        }
        turn.sales.insert(id);
        turn.tills.insert(till);
    }

    /// What the till has under way or had last, if it is this: nothing newer can be.
    pub(super) fn newest_in_memory(&self, till: TillNumber, of: Of) -> Option<SaleId> {
        let entry = self.tills.get(&till)?;
        let is = |id: &SaleId| {
            let sale = self.sales.get(id).map(|live| (live.sale.ticket, live.sale.receipt));
            let given = self.returns.get(id).map(|live| (live.given.ticket, Some(live.given.receipt)));
            sale.or(given).is_some_and(|(ticket, receipt)| match of {
                Of::Ticket(wanted) => ticket == Some(wanted),
                Of::Receipt(wanted) => receipt == Some(wanted),
            })
        };
        entry.current.into_iter().chain(entry.last).find(is)
    }

    /// What this ticket or receipt of the till means now, however old it is.
    pub(super) fn newest_of(&self, till: TillNumber, of: Of) -> Option<SaleId> {
        self.newest_in_memory(till, of).or_else(|| self.recalled.get(&(till, of)).copied())
    }

    /// The sale or return under a ticket, if the ticket still means it.
    fn sale_of_ticket(&self, till: TillNumber, ticket: Ticket, turn: &Turn) -> Option<SaleId> {
        let found = self.newest_of(till, Of::Ticket(ticket))?;
        let sale = self.sales.get(&found).map(|live| (live.sale.ticket_at, live.sale.is_live()));
        let given = self.returns.get(&found).map(|live| (live.given.ticket_at, live.given.is_live()));
        let (ticket_at, live) = sale.or(given)?;
        if planted(Mistake::TicketForgotten) && !live {
            return None;
        }
        let lives = ticket.epoch.is_some() || !self.is_outlived(ticket_at, turn.now) || live;
        lives.then_some(found)
    }

    /// Whether the life of a ticket without an epoch is over that was asked for then.
    fn is_outlived(&self, ticket_at: Option<Wall>, now: Now) -> bool {
        let age_ms = match (ticket_at, now.wall) {
            (Some(asked), Some(now)) => now.0.saturating_sub(asked.0),
            (None, _) | (_, None) => 0,
        };
        age_ms > i64::try_from(self.policy.ticket_life_secs.saturating_mul(1_000)).unwrap_or(i64::MAX)
    }

    /// Whether a ticket's life begins with this request: it has another one than before, or one that had outlived itself
    /// while what it means was under way.
    pub(super) fn begins_life(&self, before: (Option<Ticket>, Option<Wall>), asked: Option<Ticket>, now: Now) -> bool {
        asked.is_some_and(|ticket| before.0 != asked || (ticket.epoch.is_none() && self.is_outlived(before.1, now)))
    }

    /// The same ticket again: the same sale or return, in the state it is in.
    fn repeat(&mut self, till: TillNumber, earlier: SaleId, ask: &Ask, turn: &mut Turn) {
        let sale = self.sales.get(&earlier).map(|live| live.sale.amount == ask.amount && ask.kind == AskKind::Pay);
        if sale.unwrap_or_else(|| self.repeats_return(earlier, ask)) {
            self.answer_with(till, earlier, ask, turn);
        } else {
            turn.effect(refuse(till, ask.ticket, Refusal::TicketUsed));
        }
    }

    /// Answers a request with a sale that exists already: where it stands, or how it ended.
    fn answer_with(&mut self, till: TillNumber, sale: SaleId, ask: &Ask, turn: &mut Turn) {
        let before = self.sales.get(&sale).map(|live| (live.sale.ticket, live.sale.ticket_at));
        let begins = before.is_some_and(|before| self.begins_life(before, ask.ticket, turn.now));
        if let Some(live) = self.sales.get_mut(&sale) {
            if begins {
                // The result is told under the ticket that was asked for last, whose life begins now.
                (live.sale.ticket, live.sale.ticket_at) = (ask.ticket, turn.now.wall);
            }
            live.progress_told = None;
            turn.effect(accepted(&live.sale, ask.ticket));
        }
        self.answer_with_return(sale, ask.ticket, turn);
        self.say_result(till, sale, turn);
    }

    /// Has the result said again, whether the till has taken it before or not.
    fn say_result(&mut self, till: TillNumber, sale: SaleId, turn: &mut Turn) {
        self.tell_again(sale, turn);
        let of_sale = self.sales.get(&sale).map(|live| (live.sale.state.telling(), Finish::of(&live.sale)));
        let given = || self.returns.get(&sale).map(|live| &live.given);
        let of_return = || given().map(|given| (given.state.telling(), Finish::of_return(given)));
        let (telling, finish) = of_sale.or_else(of_return).unwrap_or((None, None));
        // One that is being told is said at the end of the step.
        let said = matches!(telling, Some(Telling::Telling { .. })) || planted(Mistake::TakenNotRepeated);
        if let Some(finish) = finish.filter(|_| !said) {
            turn.effect(Effect::Till { till, answer: TillAnswer::Finish(Box::new(finish)) });
        }
    }

    /// The till's last sale, if it is paid, the till has not taken that, and this request has its amount.
    fn untaken_twin(&self, till: TillNumber, ask: &Ask) -> Option<&Live> {
        let last = self.sales.get(&self.tills.get(&till)?.last?)?;
        let untaken = last.sale.state.telling()?.is_untaken();
        last.sale.winner()?;
        let kept = last.sale.given_back_minor() < last.sale.amount.minor();
        (untaken && kept && last.sale.amount == ask.amount).then_some(last)
    }

    /// What the till asks for anew, because its result got lost on the way to it.
    fn untaken(&self, till: TillNumber, ask: &Ask) -> Option<SaleId> {
        match ReturnKind::of(ask.kind) {
            None => self.paid_but_untaken(till, ask),
            Some(kind) => self.same_return(till, kind, ask),
        }
    }

    /// The till asks anew for what the phone standing there has just paid: its result got lost on the way to the till.
    fn paid_but_untaken(&self, till: TillNumber, ask: &Ask) -> Option<SaleId> {
        let last = self.untaken_twin(till, ask)?;
        let winner = last.sale.winner()?;
        let payer =
            last.sale.attempts.iter().find(|a| a.id == winner && matches!(a.state, AttemptState::Paid { .. }))?;
        let first = self.tills.get(&till)?.line.first().copied();
        let shows_it = self.visits.get(&payer.session).is_some_and(|visit| visit.session.sale == Some(last.sale.id));
        let still_there = first == Some(payer.session) || (first.is_none() && shows_it);
        still_there.then_some(last.sale.id)
    }

    fn aborted(&mut self, till: TillNumber, ticket: Option<Ticket>, turn: &mut Turn) {
        let Some(entry) = self.tills.get_mut(&till) else { return };
        let waiting = entry.asking.take_if(|(ask, _)| ticket.is_none() || ask.ticket == ticket);
        let current = entry.current;
        let meant = |sale: &&SaleId| {
            let of_sale = self.sales.get(*sale).and_then(|live| live.sale.ticket);
            ticket.is_none() || of_sale == ticket
        };
        if let Some(given) = current.filter(|id| self.returns.contains_key(id)) {
            return self.aborted_return(till, given, ticket, turn);
        }
        if let Some(sale) = current.as_ref().filter(meant).copied() {
            let of = self.sales.get(&sale).and_then(|live| live.sale.ticket);
            turn.effect(Effect::Till { till, answer: TillAnswer::Aborting { ticket: of } });
            self.change(turn, sale, |sale, turn, _| sale.abort(AbortWhy::Till, turn.now));
            return;
        }
        turn.effect(Effect::Till { till, answer: TillAnswer::NothingToAbort { ticket } });
        let ended = match ticket {
            Some(ticket) => self.sale_of_ticket(till, ticket, turn),
            None if waiting.is_some() => None,
            None => self.tills.get(&till).and_then(|till| till.last),
        };
        // Too late: it is decided, and the till should know how.
        if let Some(sale) = ended {
            self.say_result(till, sale, turn);
        }
    }

    /// A return can be ended until its refund is sent; after that its result follows.
    fn aborted_return(&mut self, till: TillNumber, id: SaleId, ticket: Option<Ticket>, turn: &mut Turn) {
        let of = self.returns.get(&id).and_then(|live| live.given.ticket);
        let mut ended = false;
        if ticket.is_none() || ticket == of {
            self.change_return(turn, id, |given, turn| ended = given.abort(turn.now));
        }
        let answer = match ended {
            true => TillAnswer::Aborting { ticket: of },
            false => TillAnswer::NothingToAbort { ticket },
        };
        turn.effect(Effect::Till { till, answer });
        // Another one is meant, which is over.
        if let Some(ended) = ticket.filter(|_| ticket != of).and_then(|ticket| self.sale_of_ticket(till, ticket, turn))
        {
            self.say_result(till, ended, turn);
        }
    }

    /// Whether this very request waits for a word on the line: its answer comes within [`LINE_TRY_MS`], and any other
    /// word to the till until then could turn out untrue.
    fn waits_for_line(&self, till: TillNumber, ticket: Option<Ticket>) -> bool {
        let waiting = self.tills.get(&till).and_then(|till| till.asking.as_ref());
        waiting.is_some_and(|(ask, _)| ticket.is_some() && ask.ticket == ticket)
    }

    fn asked_again(&mut self, till: TillNumber, ticket: Option<Ticket>, turn: &mut Turn) {
        if self.waits_for_line(till, ticket) {
            return;
        }
        let entry = self.tills.get(&till);
        let sale = match ticket {
            Some(ticket) => self.sale_of_ticket(till, ticket, turn),
            None => entry.and_then(|till| till.current.or(till.last)),
        };
        if let Some(live) = sale.and_then(|id| self.returns.get_mut(&id)) {
            let id = live.given.id;
            if live.given.is_live() {
                live.progress_told = None;
                turn.effect(super::returns::accepted(&live.given, live.given.ticket));
                turn.returns.insert(id);
                return;
            }
            return self.say_result(till, id, turn);
        }
        let Some(live) = sale.and_then(|sale| self.sales.get_mut(&sale)) else {
            turn.effect(Effect::Till { till, answer: TillAnswer::NothingToRepeat { ticket } });
            return;
        };
        if live.sale.is_live() {
            live.progress_told = None;
            let (answer, id) = (accepted(&live.sale, live.sale.ticket), live.sale.id);
            turn.effect(answer);
            turn.sales.insert(id);
        } else {
            let id = live.sale.id;
            self.say_result(till, id, turn);
        }
    }

    /// How long the phone at a till may stay without a sale.
    pub(super) fn idle_until(&self, now: Mono) -> Mono {
        now.plus_ms(self.policy.pair_idle_secs.saturating_mul(1_000))
    }
}

fn accepted(sale: &Sale, ticket: Option<Ticket>) -> Effect {
    Effect::Till { till: sale.till, answer: TillAnswer::Accepted { sale: sale.id, ticket, code: sale.code } }
}

/// The record that makes a ticket mean a sale.
pub(super) fn ticket_record(sale: &Sale) -> Option<Record> {
    sale.ticket.map(|ticket| Record::Ticket { till: sale.till, ticket, sale: sale.id })
}
