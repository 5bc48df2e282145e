//! How far a till has been told a sale's result. Does not decide the result, nor what it says.

use super::policy::Policy;
use super::sale::{Sale, SaleState};
use super::time::{Mono, Now};

/// How far a till has been told a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Telling {
    /// It is being told.
    Telling {
        /// How often it has put this off.
        put_off: u32,
    },
    /// It wants to be told again at this time.
    TakeLater {
        /// When.
        at: Mono,
        /// How often it has put it off, this time included.
        times: u32,
    },
    /// It has taken it.
    Taken,
    /// It refused it.
    Rejected,
    /// It did not answer: not known.
    Unheard {
        /// When the money goes back by policy, if ever.
        refund_at: Option<Mono>,
    },
    /// It cannot be told.
    NoChannel,
}

/// What a till says to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TillWord {
    /// Taken.
    Taken,
    /// Again after this many milliseconds.
    Later(u64),
    /// Refused: the goods do not leave.
    Rejected,
    /// Nothing, after all repeats.
    Nothing,
}

/// How often a till may put a result off before it counts as unheard.
pub const TAKE_LATER_MAX: u32 = 60;

impl Sale {
    /// The till's word on the result.
    pub fn told(&mut self, word: TillWord, now: Now, policy: &Policy) {
        let next = match (self.state.telling(), word) {
            (None | Some(Telling::Rejected), _) => return,
            (
                Some(Telling::Taken | Telling::NoChannel),
                TillWord::Rejected | TillWord::Later(_) | TillWord::Nothing,
            ) => {
                return;
            }
            (Some(_), TillWord::Taken) => Telling::Taken,
            (Some(_), TillWord::Rejected) => Telling::Rejected,
            (Some(Telling::TakeLater { times, .. }), TillWord::Later(ms)) => {
                Telling::TakeLater { at: now.mono.plus_ms(ms), times: times.saturating_add(1) }
            }
            (Some(Telling::Telling { put_off }), TillWord::Later(ms)) => {
                Telling::TakeLater { at: now.mono.plus_ms(ms), times: put_off.saturating_add(1) }
            }
            (Some(Telling::Unheard { .. }), TillWord::Later(ms)) => {
                Telling::TakeLater { at: now.mono.plus_ms(ms), times: 1 }
            }
            (Some(Telling::Telling { .. } | Telling::TakeLater { .. }), TillWord::Nothing) => self.unheard(now, policy),
            (Some(Telling::Unheard { .. }), TillWord::Nothing) => return,
        };
        self.set_telling(next);
    }

    /// The till asks for its result again: it is told anew unless it has taken it.
    pub fn tell_again(&mut self) {
        match self.state.telling() {
            Some(Telling::Unheard { .. } | Telling::TakeLater { .. }) => {
                self.set_telling(Telling::Telling { put_off: 0 });
            }
            Some(Telling::Telling { .. } | Telling::Taken | Telling::Rejected | Telling::NoChannel) | None => {}
        }
    }

    pub(super) fn first_telling(&self, now: Now) -> Telling {
        if !self.hears_result {
            Telling::NoChannel
        } else if self.boot != now.boot {
            Telling::Unheard { refund_at: None } // The till that asked has gone; it may ask again.
        } else {
            Telling::Telling { put_off: 0 }
        }
    }

    pub(super) fn unheard(&self, now: Now, policy: &Policy) -> Telling {
        let refund_after = policy.unheard_refund_after_secs.filter(|_| self.winner().is_some());
        Telling::Unheard { refund_at: refund_after.map(|secs| now.mono.plus_ms(secs.saturating_mul(1_000))) }
    }

    pub(super) fn set_telling(&mut self, next: Telling) {
        match &mut self.state {
            SaleState::Waiting | SaleState::Offered { .. } | SaleState::Paying { .. } | SaleState::Aborting { .. } => {}
            SaleState::Approved { telling, .. }
            | SaleState::Declined { telling, .. }
            | SaleState::Cancelled { telling, .. }
            | SaleState::Lapsed { telling } => *telling = next,
        }
    }
}
