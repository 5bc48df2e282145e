//! ONE return: a till gives money back, all or part of an earlier payment. Says how far that is; the money itself is a refund
//! of the sale that was paid (`owed.rs`).

use super::attempt::RefundState;
use super::effect::{CancelledWhy, DeclinedWhy, Outcome};
use super::event::{Of, Reason, ReceiptNumber, ReturnKind, Ticket, TillNumber};
use super::id::{AttemptId, RefundId, SaleId, SessionId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::sale::{Code, TAKE_LATER_MAX, Telling, TillWord};
use super::time::{BootId, Mono, Now, Wall};

/// A return: who asked for it, for what, and where it stands. Its id is of the same kind as a sale's and never one of a sale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Return {
    /// Its id.
    pub id: SaleId,
    /// The till that asked for it.
    pub till: TillNumber,
    /// The ticket under which the till asked for it last.
    pub ticket: Option<Ticket>,
    /// The number on its receipt.
    pub receipt: ReceiptNumber,
    /// Any part, or all that is left.
    pub kind: ReturnKind,
    /// The sale it is about, as the till named it; `None`: the phone at the till chooses.
    pub named: Option<Of>,
    /// The amount the till asked for; zero where a reversal says none.
    pub asked: Amount,
    /// The matching code.
    pub code: Code,
    /// When it was asked for, if the clock was trusted.
    pub asked_at: Option<Wall>,
    /// When its ticket was given to it.
    pub ticket_at: Option<Wall>,
    /// When it ended, if the clock was trusted.
    pub ended_at: Option<Wall>,
    /// Its place in the order in which the books were written, since it has ended.
    pub booked: Option<u64>,
    /// The boot that the instants here belong to.
    pub boot: BootId,
    /// When the till must be told: its patience less a margin.
    pub ends: Mono,
    /// Whether the till can be told a result.
    pub hears_result: bool,
    /// Where it stands.
    pub state: ReturnState,
}

/// What goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Back {
    /// Of this sale.
    pub sale: SaleId,
    /// The attempt that paid it.
    pub attempt: AttemptId,
    /// By this refund.
    pub refund: RefundId,
    /// So much.
    pub amount: Amount,
}

/// Where a return stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReturnState {
    /// The phone at the till chooses one of its own payments.
    Choosing {
        /// Whose.
        session: SessionId,
        /// Until when.
        until: Mono,
    },
    /// The refund is on disk; the platform is being asked.
    Sending {
        /// What goes back.
        back: Back,
    },
    /// Given back.
    Returned {
        /// What.
        back: Back,
        /// The platform has not said so yet. The only thing about an ended return that may still change, once.
        pending: bool,
        /// How far the till has been told.
        telling: Telling,
    },
    /// Not given back. Final.
    Declined {
        /// Why.
        why: DeclinedWhy,
        /// What the platform refused to give back, if it came to that.
        back: Option<Back>,
        /// How far the till has been told.
        telling: Telling,
    },
    /// Not given back: ended by the till, or by a start of the program before anything was chosen. Final.
    Cancelled {
        /// Why.
        why: CancelledWhy,
        /// How far the till has been told.
        telling: Telling,
    },
    /// Nobody chose in time. Final.
    Lapsed {
        /// How far the till has been told.
        telling: Telling,
    },
}

impl ReturnState {
    /// Its name for people and on disk.
    pub fn name(&self) -> &'static str {
        match self {
            ReturnState::Choosing { .. } => "choosing",
            ReturnState::Sending { .. } => "sending",
            ReturnState::Returned { .. } => "returned",
            ReturnState::Declined { .. } => "declined",
            ReturnState::Cancelled { .. } => "cancelled",
            ReturnState::Lapsed { .. } => "lapsed",
        }
    }

    /// The outcome, once there is one.
    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            ReturnState::Choosing { .. } | ReturnState::Sending { .. } => None,
            ReturnState::Returned { pending, .. } => Some(Outcome::Returned { pending: *pending }),
            ReturnState::Declined { why, .. } => Some(Outcome::Declined(*why)),
            ReturnState::Cancelled { why, .. } => Some(Outcome::Cancelled(*why)),
            ReturnState::Lapsed { .. } => Some(Outcome::Lapsed),
        }
    }

    /// How far the till has been told, once there is something to tell.
    pub fn telling(&self) -> Option<Telling> {
        match self {
            ReturnState::Choosing { .. } | ReturnState::Sending { .. } => None,
            ReturnState::Returned { telling, .. }
            | ReturnState::Declined { telling, .. }
            | ReturnState::Cancelled { telling, .. }
            | ReturnState::Lapsed { telling } => Some(*telling),
        }
    }

    /// What goes back or was to go back, once that is settled.
    pub fn back(&self) -> Option<Back> {
        match self {
            ReturnState::Sending { back } | ReturnState::Returned { back, .. } => Some(*back),
            ReturnState::Declined { back, .. } => *back,
            ReturnState::Choosing { .. } | ReturnState::Cancelled { .. } | ReturnState::Lapsed { .. } => None,
        }
    }
}

impl Return {
    /// The refund is on disk in this very step, and goes out after it.
    pub fn send(&mut self, back: Back) {
        if let ReturnState::Choosing { .. } = self.state {
            self.state = ReturnState::Sending { back };
        }
    }

    /// The phone wants nothing back, or leaves.
    pub fn refuse(&mut self, session: SessionId, now: Now) {
        if self.at_phone() == Some(session) {
            let telling = self.first_telling(now);
            self.end(ReturnState::Declined { why: DeclinedWhy::Customer, back: None, telling }, now);
        }
    }

    /// The cashier wants it ended, which is possible until the refund is sent. Whether it is now.
    pub fn abort(&mut self, now: Now) -> bool {
        let choosing = matches!(self.state, ReturnState::Choosing { .. });
        if choosing {
            self.cancel(CancelledWhy::Till, now);
        }
        choosing
    }

    /// Draws the conclusion from the refund. Only the platform's word makes it *done* or *refused*.
    pub fn follow(&mut self, refund: RefundState, now: Now) {
        let (back, ended) = match self.state {
            ReturnState::Sending { back } => (back, None),
            ReturnState::Returned { back, pending: true, telling } => (back, Some(telling)),
            ReturnState::Choosing { .. }
            | ReturnState::Returned { pending: false, .. }
            | ReturnState::Declined { .. }
            | ReturnState::Cancelled { .. }
            | ReturnState::Lapsed { .. } => return,
        };
        let telling = ended.unwrap_or_else(|| self.first_telling(now));
        let next = match refund {
            RefundState::Intent { doubt: Some(_) } if planted(Mistake::UnknownReturnRefused) && ended.is_none() => {
                ReturnState::Declined { why: DeclinedWhy::Refused(Reason::Other), back: Some(back), telling }
            }
            RefundState::Intent { .. } if planted(Mistake::ReturnToldTooSoon) => {
                ReturnState::Returned { back, pending: false, telling }
            }
            RefundState::Intent { .. } => return,
            RefundState::Accepted | RefundState::Done => ReturnState::Returned { back, pending: false, telling },
            RefundState::Refused => {
                ReturnState::Declined { why: DeclinedWhy::Refused(Reason::NotAllowed), back: Some(back), telling }
            }
        };
        match ended {
            Some(_) => self.state = next,
            None => self.end(next, now),
        }
    }

    /// Lets time pass: whatever was due happens.
    pub fn pass(&mut self, now: Now) {
        match self.state {
            ReturnState::Choosing { until, .. } if now.mono >= until => {
                let telling = self.first_telling(now);
                self.end(ReturnState::Lapsed { telling }, now);
            }
            // Not known yet, and the till stops listening: it is told so. The platform is asked on.
            ReturnState::Sending { .. } if now.mono >= self.ends => self.end_pending(now),
            ReturnState::Choosing { .. } | ReturnState::Sending { .. } => {}
            ReturnState::Returned { .. }
            | ReturnState::Declined { .. }
            | ReturnState::Cancelled { .. }
            | ReturnState::Lapsed { .. } => {}
        }
        if let Some(Telling::TakeLater { at, times }) = self.state.telling()
            && now.mono >= at
        {
            let again = Telling::Telling { put_off: times };
            self.set_telling(if times < TAKE_LATER_MAX { again } else { UNHEARD });
        }
    }

    /// The program was down in between. What nobody had chosen is over: the page that asked is gone. What was sent goes on;
    /// after another boot the till that asked has stopped listening.
    pub fn survive_start(&mut self, now: Now) {
        match self.state {
            ReturnState::Choosing { .. } => self.cancel(CancelledWhy::PowerCut, now),
            ReturnState::Sending { .. } if self.boot != now.boot => self.end_pending(now),
            ReturnState::Sending { .. }
            | ReturnState::Returned { .. }
            | ReturnState::Declined { .. }
            | ReturnState::Cancelled { .. }
            | ReturnState::Lapsed { .. } => {}
        }
        if self.boot != now.boot
            && let Some(Telling::TakeLater { times, .. }) = self.state.telling()
        {
            self.set_telling(Telling::Telling { put_off: times });
        }
    }

    /// The till's word on the result. The money has gone whatever it says.
    pub fn told(&mut self, word: TillWord, now: Now) {
        if let Some(next) = self.state.telling().and_then(|telling| telling.after(word, now, UNHEARD)) {
            self.set_telling(next);
        }
    }

    /// The till asks for its result again: it is told anew unless it has taken it.
    pub fn tell_again(&mut self) {
        if let Some(next) = self.state.telling().and_then(Telling::again) {
            self.set_telling(next);
        }
    }

    /// When something is due by the clock alone.
    pub fn deadline(&self) -> Option<Mono> {
        match self.state {
            ReturnState::Choosing { until, .. } => Some(until),
            ReturnState::Sending { .. } => Some(self.ends),
            ReturnState::Returned { telling, .. }
            | ReturnState::Declined { telling, .. }
            | ReturnState::Cancelled { telling, .. }
            | ReturnState::Lapsed { telling } => match telling {
                Telling::TakeLater { at, .. } => Some(at),
                Telling::Telling { .. }
                | Telling::Taken
                | Telling::Rejected
                | Telling::Unheard { .. }
                | Telling::NoChannel => None,
            },
        }
    }

    /// Whether it holds up its till.
    pub fn is_live(&self) -> bool {
        self.state.outcome().is_none()
    }

    /// Whether nothing more will happen by itself: ended, told as far as it can be, the platform's word known.
    pub fn is_at_rest(&self) -> bool {
        let told = match self.state.telling() {
            Some(Telling::Taken | Telling::Rejected | Telling::NoChannel | Telling::Unheard { .. }) => true,
            Some(Telling::Telling { .. } | Telling::TakeLater { .. }) | None => false,
        };
        told && !matches!(self.state, ReturnState::Returned { pending: true, .. })
    }

    /// The phone that chooses now, if one does.
    pub fn at_phone(&self) -> Option<SessionId> {
        match self.state {
            ReturnState::Choosing { session, .. } => Some(session),
            ReturnState::Sending { .. }
            | ReturnState::Returned { .. }
            | ReturnState::Declined { .. }
            | ReturnState::Cancelled { .. }
            | ReturnState::Lapsed { .. } => None,
        }
    }

    /// How much goes back, or was to go back; what the till asked for while nothing is chosen.
    pub fn amount(&self) -> Amount {
        self.state.back().map_or(self.asked, |back| back.amount)
    }

    fn cancel(&mut self, why: CancelledWhy, now: Now) {
        let telling = self.first_telling(now);
        self.end(ReturnState::Cancelled { why, telling }, now);
    }

    fn end_pending(&mut self, now: Now) {
        if let ReturnState::Sending { back } = self.state {
            let telling = self.first_telling(now);
            self.end(ReturnState::Returned { back, pending: true, telling }, now);
        }
    }

    fn end(&mut self, state: ReturnState, now: Now) {
        (self.state, self.ended_at) = (state, now.wall);
    }

    fn first_telling(&self, now: Now) -> Telling {
        Telling::first(self.hears_result, self.boot == now.boot)
    }

    fn set_telling(&mut self, next: Telling) {
        match &mut self.state {
            ReturnState::Choosing { .. } | ReturnState::Sending { .. } => {}
            ReturnState::Returned { telling, .. }
            | ReturnState::Declined { telling, .. }
            | ReturnState::Cancelled { telling, .. }
            | ReturnState::Lapsed { telling } => *telling = next,
        }
    }
}

/// What a return is that the till did not acknowledge: no policy takes it back.
const UNHEARD: Telling = Telling::Unheard { refund_at: None };
