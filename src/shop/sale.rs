//! ONE sale: its states and every way between them.

use super::attempt::{Attempt, AttemptState, ClosedWhy, Refund, RefundState};
use super::effect::{CancelledWhy, DeclinedWhy, Outcome};
use super::event::{ReceiptNumber, Ticket, TillNumber};
use super::id::{AttemptId, Ids, SaleId, SessionId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::policy::Policy;
use super::time::{BootId, Mono, Now, Wall};

pub use super::code::Code;
pub use super::telling::{TAKE_LATER_MAX, Telling, TillWord};

/// A sale: what the till wants paid.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sale {
    /// Its id.
    pub id: SaleId,
    /// Its till.
    pub till: TillNumber,
    /// The ticket under which the till asked for it last.
    pub ticket: Option<Ticket>,
    /// The number on its receipt; none of before receipts had numbers.
    pub receipt: Option<ReceiptNumber>,
    /// The amount, one and the same for till, phone and platform.
    pub amount: Amount,
    /// The matching code.
    pub code: Code,
    /// When it was asked for, if the clock was trusted.
    pub asked_at: Option<Wall>,
    /// When its ticket was given to it: with the request, or later where another request is answered with this sale.
    pub ticket_at: Option<Wall>,
    /// When it ended, if the clock was trusted.
    pub ended_at: Option<Wall>,
    /// Its place in the order in which the books were written, since it has ended; none of before that order was kept.
    pub booked: Option<u64>,
    /// The boot that the instants here belong to.
    pub boot: BootId,
    /// When it must be over: the till's patience less a margin.
    pub ends: Mono,
    /// Whether the till can be told a result.
    pub hears_result: bool,
    /// Where it stands.
    pub state: SaleState,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
    /// Its refunds, first to last.
    pub refunds: Vec<Refund>,
}

/// Where a sale stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SaleState {
    /// No phone stands at the till.
    Waiting,
    /// A phone shows it.
    Offered {
        /// Whose.
        session: SessionId,
        /// Until when it may confirm.
        until: Mono,
    },
    /// Confirmed; the last attempt is under way.
    Paying {
        /// Whose phone.
        session: SessionId,
        /// After a failed attempt: until when the phone must have come back.
        back_by: Option<Mono>,
    },
    /// The open attempt is being closed; the till has not been told.
    Aborting {
        /// Whose phone.
        session: SessionId,
        /// Why.
        why: AbortWhy,
        /// Until when the platform may take to close it.
        until: Mono,
    },
    /// Paid. Final.
    Approved {
        /// By this attempt.
        attempt: AttemptId,
        /// How far the till has been told.
        telling: Telling,
    },
    /// Not paid. Final.
    Declined {
        /// Why.
        why: DeclinedWhy,
        /// How far the till has been told.
        telling: Telling,
    },
    /// Not paid. Final. An attempt may still be closing behind it: what it takes goes back.
    Cancelled {
        /// Why.
        why: CancelledWhy,
        /// How far the till has been told.
        telling: Telling,
    },
    /// Nobody confirmed in time. Final.
    Lapsed {
        /// How far the till has been told.
        telling: Telling,
    },
}

/// Why a sale is being ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AbortWhy {
    /// The cashier pressed abort.
    Till,
    /// The till's patience ends.
    Clock,
    /// The power was cut.
    PowerCut,
    /// The customer gave up.
    Customer,
    /// The phone did not come back after a failed attempt.
    NotBack,
    /// The phone lets the next one pay: back to waiting, if time is left.
    LetGo,
}

impl SaleState {
    /// Its name for people and on disk.
    pub fn name(&self) -> &'static str {
        match self {
            SaleState::Waiting => "waiting",
            SaleState::Offered { .. } => "offered",
            SaleState::Paying { .. } => "paying",
            SaleState::Aborting { .. } => "aborting",
            SaleState::Approved { .. } => "approved",
            SaleState::Declined { .. } => "declined",
            SaleState::Cancelled { .. } => "cancelled",
            SaleState::Lapsed { .. } => "lapsed",
        }
    }

    /// The outcome, once it is decided.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            SaleState::Waiting | SaleState::Offered { .. } | SaleState::Paying { .. } | SaleState::Aborting { .. } => {
                None
            }
            SaleState::Approved { .. } => Some(Outcome::Approved),
            SaleState::Declined { why, .. } => Some(Outcome::Declined(*why)),
            SaleState::Cancelled { why, .. } => Some(Outcome::Cancelled(*why)),
            SaleState::Lapsed { .. } => Some(Outcome::Lapsed),
        }
    }

    /// How far the till has been told, once there is something to tell.
    pub fn telling(&self) -> Option<Telling> {
        match self {
            SaleState::Waiting | SaleState::Offered { .. } | SaleState::Paying { .. } | SaleState::Aborting { .. } => {
                None
            }
            SaleState::Approved { telling, .. }
            | SaleState::Declined { telling, .. }
            | SaleState::Cancelled { telling, .. }
            | SaleState::Lapsed { telling } => Some(*telling),
        }
    }
}

impl Sale {
    /// Failed tries over all attempts; an attempt that failed for good counts at least once.
    pub fn failed_tries(&self) -> u32 {
        self.attempts.iter().fold(0, |sum, a| sum.saturating_add(a.failed_tries()))
    }
}

/// Why a confirmation did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unconfirmed {
    /// It is not what is offered to that phone now.
    NotOffered,
    /// Less than [`Policy::START_LEFT_MS`] is left.
    TooLate,
}

impl Sale {
    /// Ways in: the phone first in line is offered the sale.
    pub fn offer(&mut self, session: SessionId, now: Mono, policy: &Policy) {
        match self.state {
            SaleState::Waiting => {
                let until = now.plus_ms(policy.confirm_secs.saturating_mul(1_000)).min(self.ends);
                self.state = SaleState::Offered { session, until };
            }
            SaleState::Offered { .. } | SaleState::Paying { .. } | SaleState::Aborting { .. } => {}
            SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => {}
        }
    }

    /// The phone it was offered to does not take it: back to waiting. True if that changed anything.
    pub fn withdraw(&mut self, from: SessionId) -> bool {
        let offered = self.offered_to() == Some(from);
        if offered {
            self.state = SaleState::Waiting;
        }
        offered
    }

    /// The customer confirms the amount that was shown: an attempt is begun, on disk before anywhere else.
    pub fn confirm(&mut self, session: SessionId, shown: Amount, now: Now, ids: &mut Ids) -> Result<(), Unconfirmed> {
        let offered =
            self.offered_to() == Some(session) || (planted(Mistake::AnyPhoneConfirms) && self.offered_to().is_some());
        let same = self.amount == shown || planted(Mistake::OtherAmountConfirmed);
        if !offered || !same || now.mono >= self.ends {
            return Err(Unconfirmed::NotOffered);
        }
        if now.mono.ms_until(self.ends) < Policy::START_LEFT_MS && !planted(Mistake::BegunTooLate) {
            return Err(Unconfirmed::TooLate);
        }
        self.begin_attempt(session, now.mono, ids);
        self.state = SaleState::Paying { session, back_by: None };
        Ok(())
    }

    /// "I do not pay", before confirming.
    pub fn decline(&mut self, session: SessionId, now: Now) {
        if self.offered_to() == Some(session) {
            self.end(Outcome::Declined(DeclinedWhy::Customer), now);
        }
    }

    /// Somebody wants it ended. Before an attempt it ends at once; with one, that is closed first.
    pub fn abort(&mut self, why: AbortWhy, now: Now) {
        match self.state {
            SaleState::Waiting | SaleState::Offered { .. } => self.end_aborted(why, now),
            SaleState::Paying { session, .. } => {
                let until = now.mono.plus_ms(Policy::ABORT_MS);
                self.state = SaleState::Aborting { session, why, until };
                if planted(Mistake::AbortAssumedDone) {
                    let unresolved = self.attempts.iter_mut().filter(|a| a.is_unresolved());
                    unresolved.for_each(|a| a.state = AttemptState::Closed(ClosedWhy::Cancelled));
                }
            }
            // The cashier's abort outranks the customer's letting go: the sale must not come back to life.
            SaleState::Aborting { session, why: AbortWhy::LetGo, until } if why != AbortWhy::LetGo => {
                self.state = SaleState::Aborting { session, why, until };
            }
            SaleState::Aborting { .. }
            | SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => {}
        }
    }

    /// The phone has come back after a failed attempt.
    pub fn came_back(&mut self, from: SessionId) {
        if let SaleState::Paying { session, back_by } = &mut self.state
            && *session == from
        {
            *back_by = None;
        }
    }

    /// Draws the conclusion from the attempts, after one of them has changed.
    pub fn follow(&mut self, now: Now, policy: &Policy, ids: &mut Ids) {
        let session = match self.state {
            SaleState::Paying { session, .. } | SaleState::Aborting { session, .. } => session,
            SaleState::Cancelled { .. } | SaleState::Declined { .. }
                if planted(Mistake::LatePaymentApproves) && !self.attempts.is_empty() =>
            {
                SessionId(0)
            }
            SaleState::Waiting
            | SaleState::Offered { .. }
            | SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => return,
        };
        let right =
            |a: &&Attempt| matches!(a.state, AttemptState::Paid { right: true, .. }) && self.surplus_back(a.id) == 0;
        let winner = self.attempts.iter().find(right).map(|a| a.id);
        if self.retries_wrongly() && now.mono.ms_until(self.ends) >= Policy::START_LEFT_MS {
            self.begin_attempt(session, now.mono, ids);
        }
        if let Some(winner) = winner {
            self.ended_at = now.wall;
            self.state = SaleState::Approved { attempt: winner, telling: self.first_telling(now) };
            return;
        }
        if self.attempts.iter().any(Attempt::is_unresolved) {
            return;
        }
        match self.state {
            SaleState::Aborting { why, .. } => self.end_aborted(why, now),
            SaleState::Paying { .. } => self.follow_closed(session, now, policy, ids),
            SaleState::Waiting
            | SaleState::Offered { .. }
            | SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => {}
        }
    }

    /// Every attempt of a paying sale is over and none paid rightly: try again, or decline.
    fn follow_closed(&mut self, session: SessionId, now: Now, policy: &Policy, ids: &mut Ids) {
        let why = match self.attempts.last().map(|a| &a.state) {
            Some(AttemptState::Closed(ClosedWhy::Failed(reason))) => {
                let failed = self.attempts.iter().filter(|a| a.failed_for_good().is_some()).count();
                let left = now.mono.ms_until(self.ends) >= Policy::START_LEFT_MS;
                if left && u32::try_from(failed).unwrap_or(u32::MAX) < policy.attempts_max {
                    self.begin_attempt(session, now.mono, ids);
                    self.state = SaleState::Paying { session, back_by: Some(now.mono.plus_ms(Policy::BACK_MS)) };
                    return;
                }
                DeclinedWhy::Failed(*reason)
            }
            Some(AttemptState::Closed(ClosedWhy::Refused(reason))) => DeclinedWhy::Refused(*reason),
            Some(AttemptState::Closed(ClosedWhy::Expired)) => DeclinedWhy::Expired,
            Some(AttemptState::Closed(ClosedWhy::Cancelled | ClosedWhy::NeverBorn)) => DeclinedWhy::GivenUp,
            Some(AttemptState::Paid { .. }) => DeclinedWhy::WrongPayment,
            Some(AttemptState::Intent { .. } | AttemptState::Open { .. }) | None => return,
        };
        self.end(Outcome::Declined(why), now);
    }

    /// Lets time pass: whatever was due happens.
    pub fn pass(&mut self, now: Now, policy: &Policy) {
        let over = now.mono >= self.ends;
        match self.state {
            SaleState::Waiting | SaleState::Offered { .. } if over => self.end(Outcome::Lapsed, now),
            SaleState::Offered { until, .. } if now.mono >= until => self.state = SaleState::Waiting,
            SaleState::Paying { session, .. } if over => {
                let until = self.ends.plus_ms(policy.margin_ms.saturating_mul(3) / 4);
                self.state = SaleState::Aborting { session, why: AbortWhy::Clock, until };
            }
            SaleState::Paying { back_by: Some(by), .. } if now.mono >= by => self.abort(AbortWhy::NotBack, now),
            // Not closed in time. From here on a payment is given back: the till is about to be told.
            SaleState::Aborting { why, until, .. } if now.mono >= until => self.end_aborted(why, now),
            SaleState::Waiting | SaleState::Offered { .. } | SaleState::Paying { .. } | SaleState::Aborting { .. } => {}
            SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => {}
        }
        if let Some(Telling::TakeLater { at, times }) = self.state.telling()
            && now.mono >= at
        {
            let again = Telling::Telling { put_off: times };
            self.set_telling(if times < TAKE_LATER_MAX { again } else { self.unheard(now, policy) });
        }
    }

    /// The machine was off in between: the till has gone, and so has the customer.
    pub fn survive_boot(&mut self, now: Now) {
        match self.state {
            SaleState::Waiting | SaleState::Offered { .. } => self.end(Outcome::Lapsed, now),
            SaleState::Paying { .. } if planted(Mistake::LinkAfterBoot) => {}
            SaleState::Paying { session, .. } | SaleState::Aborting { session, .. } => {
                let until = now.mono.plus_ms(Self::AFTER_BOOT_MS);
                self.state = SaleState::Aborting { session, why: AbortWhy::PowerCut, until };
            }
            SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => {}
        }
        match self.state.telling() {
            Some(Telling::TakeLater { times, .. }) => self.set_telling(Telling::Telling { put_off: times }),
            Some(Telling::Unheard { refund_at: Some(_) }) => {
                self.set_telling(Telling::Unheard { refund_at: Some(now.mono) });
            }
            Some(
                Telling::Telling { .. }
                | Telling::Taken
                | Telling::Rejected
                | Telling::Unheard { refund_at: None }
                | Telling::NoChannel,
            )
            | None => {}
        }
    }

    /// The till begins anew although a power cut left this sale undecided: it is given up now.
    pub fn overtaken(&mut self, now: Now) {
        if let SaleState::Aborting { why: AbortWhy::PowerCut, .. } = self.state {
            self.end_aborted(AbortWhy::PowerCut, now);
        }
    }

    /// How long the platform is asked what became of a payment that a power cut interrupted, before the sale is given up.
    pub const AFTER_BOOT_MS: u64 = 120_000;

    fn begin_attempt(&mut self, session: SessionId, now: Mono, ids: &mut Ids) {
        let number = u32::try_from(self.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let left_secs = now.ms_until(self.ends) / 1_000;
        let expires = u32::try_from(left_secs).unwrap_or(u32::MAX).max(1);
        self.attempts.push(Attempt::new(AttemptId(ids.draw()), number, session, expires));
    }

    /// When something is due by the clock alone.
    pub fn deadline(&self) -> Option<Mono> {
        let telling = match self.state.telling() {
            Some(Telling::TakeLater { .. }) if planted(Mistake::LaterForgotten) => None,
            Some(Telling::TakeLater { at, .. }) => Some(at),
            Some(Telling::Unheard { refund_at }) => refund_at,
            Some(Telling::Telling { .. } | Telling::Taken | Telling::Rejected | Telling::NoChannel) | None => None,
        };
        let state = match self.state {
            SaleState::Waiting => Some(self.ends),
            SaleState::Offered { until, .. } | SaleState::Aborting { until, .. } => Some(until),
            SaleState::Paying { back_by, .. } => Some(back_by.map_or(self.ends, |by| by.min(self.ends))),
            SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => None,
        };
        state.into_iter().chain(telling).min()
    }

    /// Whether nothing more will happen by itself: final, told as far as it can be, no money on its way.
    pub fn is_at_rest(&self) -> bool {
        let told = match self.state.telling() {
            Some(Telling::Taken | Telling::Rejected | Telling::NoChannel) => true,
            Some(Telling::Unheard { refund_at }) => refund_at.is_none(),
            Some(Telling::Telling { .. } | Telling::TakeLater { .. }) | None => false,
        };
        let refunds_over = self.refunds.iter().all(|r| match r.state {
            RefundState::Done | RefundState::Refused => true,
            RefundState::Intent { .. } | RefundState::Accepted => false,
        });
        told && refunds_over && !self.attempts.iter().any(Attempt::is_unresolved)
    }

    /// Whether it holds up its till: begun, and the till not told of an end.
    pub fn is_live(&self) -> bool {
        self.state.outcome().is_none()
    }

    /// The phone that shows it now, if one does.
    pub fn at_phone(&self) -> Option<SessionId> {
        match self.state {
            SaleState::Offered { session, .. }
            | SaleState::Paying { session, .. }
            | SaleState::Aborting { session, .. } => Some(session),
            SaleState::Waiting
            | SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => None,
        }
    }

    /// The attempt that paid it.
    pub fn winner(&self) -> Option<AttemptId> {
        match self.state {
            SaleState::Approved { attempt, .. } => Some(attempt),
            SaleState::Waiting
            | SaleState::Offered { .. }
            | SaleState::Paying { .. }
            | SaleState::Aborting { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => None,
        }
    }

    fn offered_to(&self) -> Option<SessionId> {
        match self.state {
            SaleState::Offered { session, .. } => Some(session),
            SaleState::Waiting
            | SaleState::Paying { .. }
            | SaleState::Aborting { .. }
            | SaleState::Approved { .. }
            | SaleState::Declined { .. }
            | SaleState::Cancelled { .. }
            | SaleState::Lapsed { .. } => None,
        }
    }

    fn end_aborted(&mut self, why: AbortWhy, now: Now) {
        let outcome = match why {
            AbortWhy::Till => Outcome::Cancelled(CancelledWhy::Till),
            AbortWhy::Clock => Outcome::Cancelled(CancelledWhy::Clock),
            AbortWhy::PowerCut => Outcome::Cancelled(CancelledWhy::PowerCut),
            AbortWhy::Customer | AbortWhy::NotBack => Outcome::Declined(DeclinedWhy::GivenUp),
            // Only a payment known to be closed lets the next phone pay; else two could.
            AbortWhy::LetGo if self.attempts.iter().any(Attempt::is_unresolved) => {
                Outcome::Declined(DeclinedWhy::GivenUp)
            }
            AbortWhy::LetGo if self.attempts.last().is_some_and(|a| matches!(a.state, AttemptState::Paid { .. })) => {
                Outcome::Declined(DeclinedWhy::WrongPayment)
            }
            AbortWhy::LetGo if now.mono.ms_until(self.ends) < Policy::START_LEFT_MS => Outcome::Lapsed,
            AbortWhy::LetGo => {
                self.state = SaleState::Waiting;
                return;
            }
        };
        self.end(outcome, now);
    }

    fn end(&mut self, outcome: Outcome, now: Now) {
        self.ended_at = now.wall;
        let telling = self.first_telling(now);
        self.state = match outcome {
            Outcome::Declined(why) => SaleState::Declined { why, telling },
            Outcome::Cancelled(why) => SaleState::Cancelled { why, telling },
            Outcome::Lapsed => SaleState::Lapsed { telling },
            // Only `follow` approves: it names the attempt. A sale is never a return.
            Outcome::Approved | Outcome::Returned { .. } => return,
        };
    }
}
