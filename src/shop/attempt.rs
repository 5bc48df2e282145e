//! One try at the platform, and the refunds of what it took.

use super::event::Reason;
use super::id::{AttemptId, RefundId, SessionId};
use super::money::Amount;
use super::time::{Mono, Now, Wall};

/// The platform's checkout page for one attempt: an absolute http or https address, at most [`Link::BYTES_MAX`] bytes.
/// Whoever has it can pay, so only the paying phone sees it and it is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    /// Longest address taken from a platform.
    pub const BYTES_MAX: usize = 1024;

    /// A link, if the text is an absolute http(s) address of printable ASCII within the limit.
    pub fn new(text: &str) -> Option<Link> {
        let absolute = text.starts_with("https://") || text.starts_with("http://");
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\' | b'\''));
        (absolute && plain && text.len() <= Self::BYTES_MAX).then(|| Link(text.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Link(..)")
    }
}

/// A failed try on a link that stays open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TryFailure {
    /// Why.
    pub reason: Reason,
    /// When, by the platform's clock.
    pub at: Option<Wall>,
}

/// Why the platform refused a call for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The payment will not be taken.
    Payment(Reason),
    /// Closed before it was created: a tombstone stands in its place.
    Tombstone,
}

/// Since when something is in doubt.
pub type Since = Now;

/// One attempt. Its id is the idempotency key at the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The id.
    pub id: AttemptId,
    /// Which attempt of its sale, from 1.
    pub number: u32,
    /// Whose phone confirmed it.
    pub session: SessionId,
    /// The time asked for the link; part of the body that must never change.
    pub expires_in_secs: u32,
    /// Where it stands.
    pub state: AttemptState,
    /// The platform's version known last; 0: none.
    pub version: u64,
    /// Failed tries on its link.
    pub tries: u32,
    /// The last of them.
    pub last_failure: Option<TryFailure>,
    /// Minor units taken by the platform in all, by its authenticated word.
    pub paid_minor: u64,
    /// Whether the platform's last word after all was over has been heard: nothing more is asked of it.
    pub checked: bool,
    /// A person must look.
    pub needs_person: Option<NeedsPerson>,
}

/// Where an attempt stands. `Closed` is the platform's word; should it say *paid* later, that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptState {
    /// On disk, perhaps at the platform.
    Intent {
        /// Asked, and no answer that says anything.
        doubt: Option<Since>,
    },
    /// At the platform, with a link.
    Open {
        /// The checkout.
        link: Link,
        /// When the link's time ends.
        until: Mono,
        /// Asked, and no answer that says anything.
        doubt: Option<Since>,
    },
    /// Paid: `paid_minor` says how much.
    Paid {
        /// When we learnt it.
        at: Option<Wall>,
        /// Whether amount and currency were those of the sale (else `needs_person` is set and it never approves).
        right: bool,
    },
    /// Closed without payment.
    Closed(ClosedWhy),
}

/// Why an attempt was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedWhy {
    /// It failed for good.
    Failed(Reason),
    /// The link's time ran out.
    Expired,
    /// Cancelled: by us, or by the customer at the platform.
    Cancelled,
    /// Refused when it was submitted.
    Refused(Reason),
    /// Closed before the platform ever saw it.
    NeverBorn,
}

/// Why a person must look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeedsPerson {
    /// Why.
    pub why: NeedsPersonWhy,
    /// Since when.
    pub since: Option<Wall>,
}

/// What cannot resolve itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedsPersonWhy {
    /// In doubt for too long.
    Doubt,
    /// Paid with another amount or currency.
    WrongPayment,
    /// A refund was refused for good.
    RefundRefused,
}

/// Money on its way back. Its id is the idempotency key at the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    /// The id.
    pub id: RefundId,
    /// What it gives back.
    pub attempt: AttemptId,
    /// How much.
    pub amount: Amount,
    /// Why.
    pub why: RefundWhy,
    /// Where it stands.
    pub state: RefundState,
    /// A person must look.
    pub needs_person: Option<NeedsPerson>,
}

/// Why money goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundWhy {
    /// It was not the payment that won, or the sale had ended.
    Loser,
    /// The till rejected the result.
    Rejected,
    /// The till never acknowledged the result, and the shop's policy is to refund.
    Unheard,
    /// The till asked for it.
    Till,
    /// Staff asked for it.
    Staff,
    /// The platform took more than was asked.
    Overpaid,
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundState {
    /// On disk, perhaps at the platform.
    Intent {
        /// Asked, and no answer that says anything.
        doubt: Option<Since>,
    },
    /// The platform will do it.
    Accepted,
    /// Done.
    Done,
    /// Refused for good.
    Refused,
}

impl RefundState {
    /// Whether the money is back or will come back.
    pub fn counts(self) -> bool {
        match self {
            RefundState::Intent { .. } | RefundState::Accepted | RefundState::Done => true,
            RefundState::Refused => false,
        }
    }
}
