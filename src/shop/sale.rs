//! ONE sale: its states and every way between them.

use super::attempt::{Attempt, Refund};
use super::effect::{CancelledWhy, DeclinedWhy, Outcome};
use super::event::{Ticket, TillNumber};
use super::id::{AttemptId, SaleId, SessionId};
use super::money::Amount;
use super::time::{BootId, Mono, Wall};
use std::fmt;

/// Two characters that phone and till both show. Without the look-alikes 0 O 1 I and so on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code([u8; 2]);

impl Code {
    const LETTERS: &'static [u8; 24] = b"34679ACDEFGHJKLMNPRTUVWX";

    /// A code out of 128 random bits.
    pub fn from_bits(bits: u128) -> Code {
        let letter = |n: u128| {
            let at = usize::try_from(n % 24).unwrap_or(0);
            Self::LETTERS.get(at).copied().unwrap_or(b'A')
        };
        Code([letter(bits), letter(bits / 24)])
    }

    /// A code as written, if it is two of the letters.
    pub fn parse(text: &str) -> Option<Code> {
        match text.as_bytes() {
            [a, b] if Self::LETTERS.contains(a) && Self::LETTERS.contains(b) => Some(Code([*a, *b])),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Code([a, b]) = *self;
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A sale: what the till wants paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Its id.
    pub id: SaleId,
    /// Its till.
    pub till: TillNumber,
    /// The ticket under which the till asked for it last.
    pub ticket: Option<Ticket>,
    /// The amount, one and the same for till, phone and platform.
    pub amount: Amount,
    /// The matching code.
    pub code: Code,
    /// When it was asked for, if the clock was trusted.
    pub asked_at: Option<Wall>,
    /// When it ended, if the clock was trusted.
    pub ended_at: Option<Wall>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

/// How far a till has been told a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// It is being told.
    Telling,
    /// It wants to be told again at this time.
    TakeLater {
        /// When.
        at: Mono,
        /// How often it has put it off.
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

impl SaleState {
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
    /// Minor units of one attempt's payment that are back or on their way back.
    pub fn given_back_minor(&self, attempt: AttemptId) -> u64 {
        let of_it = self.refunds.iter().filter(|r| r.attempt == attempt && r.state.counts());
        of_it.fold(0, |sum, r| sum.saturating_add(r.amount.minor()))
    }

    /// Failed tries over all attempts.
    pub fn failed_tries(&self) -> u32 {
        self.attempts.iter().fold(0, |sum, a| sum.saturating_add(a.tries))
    }
}
