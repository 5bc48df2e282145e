//! The words by which the states of the shop stand in the store. Decides nothing; a word once written never changes.

use crate::shop::attempt::{ClosedWhy, NeedsPersonWhy, RefundWhy};
use crate::shop::effect::{CancelledWhy, DeclinedWhy};
use crate::shop::event::{Reason, ReturnKind};
use crate::shop::sale::AbortWhy;

/// A state without data, as one word.
pub(super) trait Word: Copy {
    /// The word.
    fn word(self) -> &'static str;
    /// The state of a word, if it is one of ours.
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! words {
    ($name:ty { $($variant:path = $word:literal),+ $(,)? }) => {
        impl Word for $name {
            fn word(self) -> &'static str {
                match self { $($variant => $word),+ }
            }

            fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some($variant),)+ _ => None }
            }
        }
    };
}

words!(Reason {
    Reason::WrongPassword = "wrong-password",
    Reason::TooManyTries = "too-many-tries",
    Reason::NoFunds = "no-funds",
    Reason::Declined = "declined",
    Reason::NotAllowed = "not-allowed",
    Reason::Other = "other",
});

words!(CancelledWhy {
    CancelledWhy::Till = "till",
    CancelledWhy::Clock = "clock",
    CancelledWhy::PowerCut = "power-cut",
});

words!(AbortWhy {
    AbortWhy::Till = "till",
    AbortWhy::Clock = "clock",
    AbortWhy::PowerCut = "power-cut",
    AbortWhy::Customer = "customer",
    AbortWhy::NotBack = "not-back",
    AbortWhy::LetGo = "let-go",
});

words!(ReturnKind {
    ReturnKind::Refund = "refund",
    ReturnKind::Reverse = "reverse",
});

words!(NeedsPersonWhy {
    NeedsPersonWhy::Doubt = "doubt",
    NeedsPersonWhy::WrongPayment = "wrong-payment",
    NeedsPersonWhy::RefundRefused = "refund-refused",
});

words!(RefundWhy {
    RefundWhy::Loser = "loser",
    RefundWhy::Rejected = "rejected",
    RefundWhy::Unheard = "unheard",
    RefundWhy::Till = "till",
    RefundWhy::Staff = "staff",
    RefundWhy::Overpaid = "overpaid",
});

/// The word of a decline, and the reason where it has one.
pub(super) fn declined_words(why: DeclinedWhy) -> (&'static str, Option<Reason>) {
    match why {
        DeclinedWhy::Customer => ("customer", None),
        DeclinedWhy::GivenUp => ("given-up", None),
        DeclinedWhy::Failed(reason) => ("failed", Some(reason)),
        DeclinedWhy::Refused(reason) => ("refused", Some(reason)),
        DeclinedWhy::Expired => ("expired", None),
        DeclinedWhy::WrongPayment => ("wrong-payment", None),
    }
}

/// The decline of a word and its reason.
pub(super) fn declined_from(word: &str, reason: Option<Reason>) -> Option<DeclinedWhy> {
    match (word, reason) {
        ("customer", None) => Some(DeclinedWhy::Customer),
        ("given-up", None) => Some(DeclinedWhy::GivenUp),
        ("failed", Some(reason)) => Some(DeclinedWhy::Failed(reason)),
        ("refused", Some(reason)) => Some(DeclinedWhy::Refused(reason)),
        ("expired", None) => Some(DeclinedWhy::Expired),
        ("wrong-payment", None) => Some(DeclinedWhy::WrongPayment),
        _ => None,
    }
}

/// The word of a closed attempt, and the reason where it has one.
pub(super) fn closed_words(why: ClosedWhy) -> (&'static str, Option<Reason>) {
    match why {
        ClosedWhy::Failed(reason) => ("failed", Some(reason)),
        ClosedWhy::Expired => ("expired", None),
        ClosedWhy::Cancelled => ("cancelled", None),
        ClosedWhy::Refused(reason) => ("refused", Some(reason)),
        ClosedWhy::NeverBorn => ("never-born", None),
    }
}

/// The closed attempt of a word and its reason.
pub(super) fn closed_from(word: &str, reason: Option<Reason>) -> Option<ClosedWhy> {
    match (word, reason) {
        ("failed", Some(reason)) => Some(ClosedWhy::Failed(reason)),
        ("expired", None) => Some(ClosedWhy::Expired),
        ("cancelled", None) => Some(ClosedWhy::Cancelled),
        ("refused", Some(reason)) => Some(ClosedWhy::Refused(reason)),
        ("never-born", None) => Some(ClosedWhy::NeverBorn),
        _ => None,
    }
}
