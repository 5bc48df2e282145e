//! One try at the platform, and the refunds of what it took.

use super::event::{Call, CallError, Payment, PaymentStatus, Reason, RefundStatus};
use super::id::{AttemptId, RefundId, SessionId};
use super::money::Amount;
use super::planted::{Mistake, planted};
use super::time::{Mono, Now, Wall};

/// The platform's checkout page for one attempt: an absolute http or https address, at most [`Link::BYTES_MAX`] bytes.
/// Whoever has it can pay, so only the paying phone sees it and it is never logged.
#[derive(Clone, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TryFailure {
    /// Why.
    pub reason: Reason,
    /// When, by the platform's clock.
    pub at: Option<Wall>,
}

/// Why the platform refused a call for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The payment will not be taken.
    Payment(Reason),
    /// Closed before it was created: a tombstone stands in its place.
    Tombstone,
}

/// Since when something is in doubt.
pub type Since = Now;

/// One attempt. Its id is the idempotency key at the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NeedsPerson {
    /// Why.
    pub why: NeedsPersonWhy,
    /// Since when.
    pub since: Option<Wall>,
}

/// What cannot resolve itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NeedsPersonWhy {
    /// In doubt for too long.
    Doubt,
    /// Paid with another amount or currency.
    WrongPayment,
    /// A refund was refused for good.
    RefundRefused,
}

/// Money on its way back. Its id is the idempotency key at the platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    /// Its place in the order in which the books were written; none of before that order was kept.
    pub booked: Option<u64>,
}

/// Why money goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

impl RefundWhy {
    /// Whether it gives back what the sale never had a right to, rather than the sale's own money.
    pub fn is_surplus(self) -> bool {
        match self {
            RefundWhy::Loser | RefundWhy::Overpaid => true,
            RefundWhy::Rejected | RefundWhy::Unheard | RefundWhy::Till | RefundWhy::Staff => false,
        }
    }
}

/// Where a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// How an answer about an attempt was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Heard {
    /// It told us something that can be believed, perhaps nothing new.
    Believed,
    /// The answer decides nothing; ask again.
    Doubted,
    /// The answer contradicts what was asked or said before: it decides nothing, and a person should know.
    Odd,
    /// Money came for an attempt that had been closed.
    Late,
}

impl Attempt {
    /// A new attempt: on disk first, at the platform later.
    pub fn new(id: AttemptId, number: u32, session: SessionId, expires_in_secs: u32) -> Attempt {
        Attempt {
            id,
            number,
            session,
            expires_in_secs,
            state: AttemptState::Intent { doubt: None },
            version: 0,
            tries: 0,
            last_failure: None,
            paid_minor: 0,
            checked: false,
            needs_person: None,
        }
    }

    /// Whether it may still be paid, as far as we know.
    pub fn is_unresolved(&self) -> bool {
        match self.state {
            AttemptState::Intent { .. } | AttemptState::Open { .. } => true,
            AttemptState::Paid { .. } | AttemptState::Closed(_) => false,
        }
    }

    /// Why it failed for good, if it did.
    pub fn failed_for_good(&self) -> Option<Reason> {
        match self.state {
            AttemptState::Closed(ClosedWhy::Failed(reason)) => Some(reason),
            AttemptState::Closed(
                ClosedWhy::Expired | ClosedWhy::Cancelled | ClosedWhy::Refused(_) | ClosedWhy::NeverBorn,
            )
            | AttemptState::Intent { .. }
            | AttemptState::Open { .. }
            | AttemptState::Paid { .. } => None,
        }
    }

    /// The checkout, while it is open.
    pub fn link(&self) -> Option<&Link> {
        match &self.state {
            AttemptState::Open { link, .. } => Some(link),
            AttemptState::Intent { .. } | AttemptState::Paid { .. } | AttemptState::Closed(_) => None,
        }
    }

    /// Failed tries, at least one if it failed for good.
    pub fn failed_tries(&self) -> u32 {
        self.tries.max(u32::from(self.failed_for_good().is_some()))
    }

    /// Since when it is in doubt.
    pub fn doubt(&self) -> Option<Since> {
        match self.state {
            AttemptState::Intent { doubt } | AttemptState::Open { doubt, .. } => doubt,
            AttemptState::Paid { .. } | AttemptState::Closed(_) => None,
        }
    }

    /// Takes an answer in. `asked` is the sale's amount. Only an authenticated answer about this id moves the state.
    pub fn hear(&mut self, answer: &Result<Payment, CallError>, call: Call, asked: Amount, now: Now) -> Heard {
        match answer {
            Ok(payment) if payment.id != self.id && !planted(Mistake::ForeignIdApproves) => {
                self.doubt_since(now, Heard::Odd)
            }
            Ok(payment) => self.hear_payment(payment, asked, now),
            Err(CallError::Unknown) if planted(Mistake::UnknownMeansFailed) && self.is_unresolved() => {
                self.state = AttemptState::Closed(ClosedWhy::Failed(Reason::Other));
                Heard::Believed
            }
            Err(CallError::NotSent | CallError::Unknown) => self.doubt_since(now, Heard::Doubted),
            Err(CallError::NotFound) => self.hear_not_found(call, now),
            Err(CallError::Refused(why)) => self.hear_refused(*why, call, now),
        }
    }

    fn hear_payment(&mut self, payment: &Payment, asked: Amount, now: Now) -> Heard {
        if payment.version < self.version {
            return Heard::Believed; // An older answer overtaken by a newer one.
        }
        let closed = matches!(self.state, AttemptState::Closed(_));
        if payment.paid_minor > self.paid_minor && !(closed && planted(Mistake::LateMoneyIgnored)) {
            return self.hear_money(payment, asked, now);
        }
        match payment.status {
            PaymentStatus::Paid if payment.paid_minor == 0 => self.doubt_since(now, Heard::Odd),
            PaymentStatus::Paid => Heard::Believed,
            PaymentStatus::Awaiting | PaymentStatus::Processing => self.hear_open(payment, asked, now),
            PaymentStatus::Failed => {
                self.hear_closed(payment, ClosedWhy::Failed(payment.reason.unwrap_or(Reason::Other)))
            }
            PaymentStatus::Expired => self.hear_closed(payment, ClosedWhy::Expired),
            PaymentStatus::Cancelled => self.hear_closed(payment, ClosedWhy::Cancelled),
        }
    }

    /// More money than was known.
    fn hear_money(&mut self, payment: &Payment, asked: Amount, now: Now) -> Heard {
        let (was_closed, was_paid) = match self.state {
            AttemptState::Closed(_) => (true, false),
            AttemptState::Paid { .. } => (false, true),
            AttemptState::Intent { .. } | AttemptState::Open { .. } => (false, false),
        };
        self.version = payment.version;
        self.note_tries(payment);
        // Money in another currency is not counted as ours to give back: a person must look.
        if payment.amount.currency() == asked.currency() {
            self.paid_minor = self.paid_minor.max(payment.paid_minor);
        }
        if was_paid {
            return Heard::Believed; // The first word on the right amount stands; a surplus goes back.
        }
        let settled = payment.status == PaymentStatus::Paid;
        let amount_right = payment.amount == asked || planted(Mistake::WrongAmountApproves);
        let right = settled && amount_right && payment.paid_minor >= payment.amount.minor();
        if settled && !right {
            self.needs_person = Some(NeedsPerson { why: NeedsPersonWhy::WrongPayment, since: now.wall });
        }
        self.checked = false;
        self.state = AttemptState::Paid { at: now.wall, right };
        if was_closed || !settled { Heard::Late } else { Heard::Believed }
    }

    fn hear_open(&mut self, payment: &Payment, asked: Amount, now: Now) -> Heard {
        match &self.state {
            AttemptState::Paid { .. } | AttemptState::Closed(_) => return Heard::Odd,
            AttemptState::Intent { .. } | AttemptState::Open { .. } => {}
        }
        if payment.amount != asked {
            return self.doubt_since(now, Heard::Odd);
        }
        let known = match &self.state {
            AttemptState::Open { link, .. } => Some(link.clone()),
            AttemptState::Intent { .. } | AttemptState::Paid { .. } | AttemptState::Closed(_) => None,
        };
        let Some(link) = known.or_else(|| payment.link.clone()) else {
            return self.doubt_since(now, Heard::Doubted);
        };
        let until = match (&self.state, payment.expires_in_ms) {
            (AttemptState::Open { until, .. }, _) => *until,
            (_, Some(ms)) => now.mono.plus_ms(ms),
            (_, None) => now.mono.plus_ms(u64::from(self.expires_in_secs).saturating_mul(1_000)),
        };
        self.version = payment.version;
        self.note_tries(payment);
        self.state = AttemptState::Open { link, until, doubt: None };
        Heard::Believed
    }

    fn hear_closed(&mut self, payment: &Payment, why: ClosedWhy) -> Heard {
        match self.state {
            AttemptState::Paid { .. } if payment.paid_minor < self.paid_minor => return Heard::Odd,
            AttemptState::Paid { .. } | AttemptState::Closed(_) => return Heard::Believed,
            AttemptState::Intent { .. } | AttemptState::Open { .. } => {}
        }
        self.version = payment.version;
        self.note_tries(payment);
        self.state = AttemptState::Closed(why);
        Heard::Believed
    }

    /// *Not found* says nothing about a payment that may be in flight: an intent is created or closed by its id, and an
    /// open one that vanished is odd. Only the last look after all was over is content with it.
    fn hear_not_found(&mut self, call: Call, now: Now) -> Heard {
        match (&self.state, call) {
            (AttemptState::Intent { .. }, _) if planted(Mistake::NotFoundCloses) => {
                self.state = AttemptState::Closed(ClosedWhy::NeverBorn);
                Heard::Believed
            }
            (AttemptState::Closed(_), _) => Heard::Believed,
            (AttemptState::Intent { .. }, Call::Create | Call::Query | Call::Cancel) => {
                self.doubt_since(now, Heard::Doubted)
            }
            (AttemptState::Open { .. } | AttemptState::Paid { .. }, _) => self.doubt_since(now, Heard::Odd),
        }
    }

    fn hear_refused(&mut self, why: Refused, call: Call, now: Now) -> Heard {
        let closed = match (call, why) {
            (Call::Create, Refused::Payment(reason)) => ClosedWhy::Refused(reason),
            (Call::Create | Call::Query | Call::Cancel, Refused::Tombstone) => ClosedWhy::NeverBorn,
            (Call::Query | Call::Cancel, Refused::Payment(_)) => return self.doubt_since(now, Heard::Doubted),
        };
        match self.state {
            AttemptState::Intent { .. } => {
                self.state = AttemptState::Closed(closed);
                self.checked = true; // Nothing ever came into being under this id, nor can it.
                Heard::Believed
            }
            AttemptState::Open { .. } | AttemptState::Paid { .. } => self.doubt_since(now, Heard::Odd),
            AttemptState::Closed(_) => Heard::Believed,
        }
    }

    fn note_tries(&mut self, payment: &Payment) {
        if payment.tries > self.tries {
            self.tries = payment.tries;
            self.last_failure = payment.last_failure.or(self.last_failure);
        }
    }

    fn doubt_since(&mut self, now: Now, heard: Heard) -> Heard {
        match &mut self.state {
            AttemptState::Intent { doubt } | AttemptState::Open { doubt, .. } => {
                doubt.get_or_insert(now);
            }
            AttemptState::Paid { .. } | AttemptState::Closed(_) => {}
        }
        heard
    }
}

impl Refund {
    /// Takes an answer in. *Not found* and silence decide nothing: the refund is asked for again under its id.
    pub fn hear(&mut self, answer: Result<RefundStatus, CallError>, now: Now) {
        let doubted = match self.state {
            RefundState::Intent { doubt } => RefundState::Intent { doubt: Some(doubt.unwrap_or(now)) },
            RefundState::Accepted => RefundState::Accepted,
            RefundState::Done | RefundState::Refused => return,
        };
        self.state = match answer {
            Ok(RefundStatus::Accepted) => RefundState::Accepted,
            Ok(RefundStatus::Done) => RefundState::Done,
            Ok(RefundStatus::Refused) | Err(CallError::Refused(_)) => {
                self.needs_person = Some(NeedsPerson { why: NeedsPersonWhy::RefundRefused, since: now.wall });
                RefundState::Refused
            }
            Err(CallError::NotSent | CallError::Unknown | CallError::NotFound) => doubted,
        };
        if self.state == RefundState::Done {
            self.needs_person = None;
        }
    }
}
