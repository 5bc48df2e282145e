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

impl Telling {
    /// How a result begins to be told.
    pub(super) fn first(hears_result: bool, same_boot: bool) -> Telling {
        if !hears_result {
            Telling::NoChannel
        } else if same_boot {
            Telling::Telling { put_off: 0 }
        } else {
            Telling::Unheard { refund_at: None } // The till that asked has gone; it may ask again.
        }
    }

    /// After the till's word, if that changes anything. `unheard`: what becomes of a result that nothing is said to.
    pub(super) fn after(self, word: TillWord, now: Now, unheard: Telling) -> Option<Telling> {
        Some(match (self, word) {
            (Telling::Rejected, _) => return None,
            (Telling::Taken | Telling::NoChannel, TillWord::Rejected | TillWord::Later(_) | TillWord::Nothing) => {
                return None;
            }
            (
                Telling::Taken
                | Telling::NoChannel
                | Telling::Telling { .. }
                | Telling::TakeLater { .. }
                | Telling::Unheard { .. },
                TillWord::Taken,
            ) => Telling::Taken,
            (Telling::Telling { .. } | Telling::TakeLater { .. } | Telling::Unheard { .. }, TillWord::Rejected) => {
                Telling::Rejected
            }
            (Telling::TakeLater { times, .. }, TillWord::Later(ms)) => {
                Telling::TakeLater { at: now.mono.plus_ms(ms), times: times.saturating_add(1) }
            }
            (Telling::Telling { put_off }, TillWord::Later(ms)) => {
                Telling::TakeLater { at: now.mono.plus_ms(ms), times: put_off.saturating_add(1) }
            }
            (Telling::Unheard { .. }, TillWord::Later(ms)) => Telling::TakeLater { at: now.mono.plus_ms(ms), times: 1 },
            (Telling::Telling { .. } | Telling::TakeLater { .. }, TillWord::Nothing) => unheard,
            (Telling::Unheard { .. }, TillWord::Nothing) => return None,
        })
    }

    /// After the till has asked again, if that changes anything: it is told anew unless it has taken it.
    pub(super) fn again(self) -> Option<Telling> {
        match self {
            Telling::Unheard { .. } | Telling::TakeLater { .. } => Some(Telling::Telling { put_off: 0 }),
            Telling::Telling { .. } | Telling::Taken | Telling::Rejected | Telling::NoChannel => None,
        }
    }

    /// Whether the till may not have it: not taken, not refused, and there is a way to tell.
    pub(super) fn is_untaken(self) -> bool {
        match self {
            Telling::Telling { .. } | Telling::TakeLater { .. } | Telling::Unheard { .. } => true,
            Telling::Taken | Telling::Rejected | Telling::NoChannel => false,
        }
    }
}

impl Sale {
    /// The till's word on the result.
    pub fn told(&mut self, word: TillWord, now: Now, policy: &Policy) {
        let unheard = self.unheard(now, policy);
        if let Some(next) = self.state.telling().and_then(|telling| telling.after(word, now, unheard)) {
            self.set_telling(next);
        }
    }

    /// The till asks for its result again: it is told anew unless it has taken it.
    pub fn tell_again(&mut self) {
        if let Some(next) = self.state.telling().and_then(Telling::again) {
            self.set_telling(next);
        }
    }

    pub(super) fn first_telling(&self, now: Now) -> Telling {
        Telling::first(self.hears_result, self.boot == now.boot)
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
