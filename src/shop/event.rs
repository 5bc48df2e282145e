//! What can happen. Every adapter turns what it hears into one of these; nothing else reaches the shop.

use super::attempt::{Link, Refused, TryFailure};
use super::id::{AttemptId, RefundId, SaleId, SessionId};
use super::money::Amount;
use super::session::Place;
use std::fmt;

/// A till's number: what customers type and what stands on the card at the till. 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TillNumber(u16);

impl TillNumber {
    /// The largest till number.
    pub const MAX: u16 = 9999;

    /// A till number, if it is within 1 to 9999.
    pub fn new(number: u16) -> Option<TillNumber> {
        (1..=Self::MAX).contains(&number).then_some(TillNumber(number))
    }

    /// The number as such.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for TillNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The till's own number for a sale. With an epoch it is unique while the till stays in that epoch; without, for the
/// ticket's configured life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// Raised by the till whenever its ticket numbers may start again (a new day, lost memory).
    pub epoch: Option<u32>,
    /// The number itself.
    pub number: u32,
}

/// The number on a sale's receipt: 1 to 9999, counted for each till; after 9999 comes 1. The newest sale that has it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptNumber(u16);

impl ReceiptNumber {
    /// The largest receipt number.
    pub const MAX: u16 = 9999;

    /// A receipt number, if it is within 1 to 9999.
    pub fn new(number: u16) -> Option<ReceiptNumber> {
        (1..=Self::MAX).contains(&number).then_some(ReceiptNumber(number))
    }

    /// The number as such.
    pub fn number(self) -> u16 {
        self.0
    }

    /// The one that follows.
    pub fn next(self) -> ReceiptNumber {
        ReceiptNumber(if self.0 >= Self::MAX { 1 } else { self.0.saturating_add(1) })
    }
}

impl fmt::Display for ReceiptNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// Which earlier sale of the same till a refund or reversal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Of {
    /// The one under this ticket.
    Ticket(Ticket),
    /// The newest one with this number on its receipt.
    Receipt(ReceiptNumber),
}

/// What the till wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// Take money.
    Pay,
    /// Give back any part of an earlier sale.
    Refund,
    /// Give back all that remains of an earlier sale.
    Reverse,
}

/// How money is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReturnKind {
    /// Any part of a payment.
    Refund,
    /// All that is left of a payment.
    Reverse,
}

impl ReturnKind {
    /// The kind of return that a till wants, if it wants one.
    pub fn of(kind: AskKind) -> Option<ReturnKind> {
        match kind {
            AskKind::Pay => None,
            AskKind::Refund => Some(ReturnKind::Refund),
            AskKind::Reverse => Some(ReturnKind::Reverse),
        }
    }
}

impl From<ReturnKind> for AskKind {
    fn from(kind: ReturnKind) -> AskKind {
        match kind {
            ReturnKind::Refund => AskKind::Refund,
            ReturnKind::Reverse => AskKind::Reverse,
        }
    }
}

/// A till's request for a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// The till's number for it, where its protocol has one.
    pub ticket: Option<Ticket>,
    /// How much. Of a reversal: what the till takes the sale's amount to be; zero if it does not say.
    pub amount: Amount,
    /// Pay, refund or reverse.
    pub kind: AskKind,
    /// For refund and reverse: the sale it is about, if the till knows it. Without, the phone at the till chooses.
    pub of: Option<Of>,
    /// How long the till will listen for the result, in milliseconds from now.
    pub patience_ms: u64,
    /// Whether the till can be told a result at all (Concert `A011` cannot).
    pub hears_result: bool,
}

/// What a till driver reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TillEvent {
    /// The line works: the port is open, or the till was heard again.
    Online,
    /// The line is gone: unplugged, hung up.
    Offline,
    /// A request for a sale.
    Asked(Ask),
    /// The cashier wants the sale under way ended. With a ticket: that one only.
    Aborted {
        /// Which sale, where the protocol says so.
        ticket: Option<Ticket>,
    },
    /// The till asks for its last result again. With a ticket: for the result of that one.
    AskedAgain {
        /// Which sale, where the protocol says so.
        ticket: Option<Ticket>,
    },
    /// The till acknowledged the result: the commit point at the counter.
    Taken {
        /// Of this sale.
        sale: SaleId,
    },
    /// The till wants the result again later (ZVT `84 9C`).
    TakeLater {
        /// Of this sale.
        sale: SaleId,
        /// After this many milliseconds.
        after_ms: u64,
    },
    /// The till refuses the result: the goods do not leave.
    Rejected {
        /// Of this sale.
        sale: SaleId,
    },
    /// No acknowledgement after all repeats: not known whether the till has it.
    Unheard {
        /// Of this sale.
        sale: SaleId,
    },
    /// The till asks whether a sale would be possible now.
    AskedStatus,
    /// The till asks for its sums.
    AskedTotals {
        /// Over which time.
        of: Span,
    },
    /// The till has taken the sums of its day: what comes after them belongs to the next.
    DayClosed {
        /// [`super::effect::Totals::mark`] of the sums it has taken.
        mark: u64,
    },
    /// The till says which receipt it had last (ZVT `1F1F`). If that is the last one, it has taken it; if it is the one
    /// before, it does not have the last one and gives back no goods for it.
    Knows {
        /// The last receipt it had.
        receipt: ReceiptNumber,
    },
}

/// Which of a till's sales sums are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// All on the books.
    All,
    /// Those of an epoch of the till's tickets.
    Epoch(u32),
    /// Those since the till last closed its day.
    Day,
}

/// What a phone does. Who it is, is said by the session beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PhoneEvent {
    /// The terms were accepted. A session known already stays as it is.
    LoggedIn {
        /// Where the phone is in the network.
        place: Place,
    },
    /// The phone says at which till it stands; `None` if what was typed is no number a till can have.
    Stands {
        /// The typed or scanned number.
        at: Option<TillNumber>,
    },
    /// The phone leaves the till (possible until it has confirmed).
    Leaves,
    /// The customer confirms what was shown.
    Confirms {
        /// The sale that was shown.
        sale: SaleId,
        /// The amount that was shown.
        amount: Amount,
    },
    /// "I do not pay."
    Declines {
        /// The sale that was shown.
        sale: SaleId,
    },
    /// "This is not my purchase": the sale goes back to waiting, the phone is unpaired.
    NotMine {
        /// The sale that was shown.
        sale: SaleId,
    },
    /// The customer gives up after having confirmed.
    GivesUp {
        /// The sale that was shown.
        sale: SaleId,
    },
    /// The customer lets the next phone in line pay instead, after having confirmed.
    LetsGo {
        /// The sale that was shown.
        sale: SaleId,
    },
    /// The phone has loaded a page about this sale. Sent once per screen that wants it (`Screen::wants_seen`).
    Saw {
        /// The sale on the page.
        sale: SaleId,
    },
    /// The customer chooses which payment is given back, as it was shown.
    Chooses {
        /// The return that was shown.
        asked: SaleId,
        /// The sale whose payment is meant.
        sale: SaleId,
        /// What was shown to go back.
        amount: Amount,
    },
    /// "Give nothing back": the return is declined.
    Refuses {
        /// The return that was shown.
        asked: SaleId,
    },
    /// The result was read and put away: back to the till number.
    Finishes,
    /// The phone ends its visit.
    LogsOut,
}

/// Why a try at the platform's page, or a whole payment, came to nothing, as far as people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Account or password wrong.
    WrongPassword,
    /// Wrong password too often.
    TooManyTries,
    /// Not enough money.
    NoFunds,
    /// The card or account was declined for a reason that the platform keeps to itself.
    Declined,
    /// The platform will not take this payment (limits, currency, merchant).
    NotAllowed,
    /// Any other.
    Other,
}

/// Status of a payment at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    /// The customer has not paid; the link is open.
    Awaiting,
    /// Under way at the platform.
    Processing,
    /// Paid. Final.
    Paid,
    /// Failed, and no further try is possible on the link. Final.
    Failed,
    /// The link's time is over. Final.
    Expired,
    /// Closed by us or by the customer. Final.
    Cancelled,
}

/// The platform's word about one payment, from an authenticated answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payment {
    /// The attempt it belongs to, as the platform says.
    pub id: AttemptId,
    /// Grows with every change.
    pub version: u64,
    /// Where it stands.
    pub status: PaymentStatus,
    /// Why it failed or was cancelled.
    pub reason: Option<Reason>,
    /// Failed tries on this link so far.
    pub tries: u32,
    /// Why the last of them failed.
    pub last_failure: Option<TryFailure>,
    /// What was to be paid.
    pub amount: Amount,
    /// Minor units taken in all; above `amount` if the customer paid twice.
    pub paid_minor: u64,
    /// Minor units given back in all.
    pub refunded_minor: u64,
    /// The checkout, while the link is open.
    pub link: Option<Link>,
    /// How long the link stays open, in milliseconds from the answer.
    pub expires_in_ms: Option<u64>,
}

/// Status of a refund at the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefundStatus {
    /// The platform has it and will do it.
    Accepted,
    /// The money is back.
    Done,
    /// The platform will not do it.
    Refused,
}

/// What a caller may conclude from a call to the platform that brought no payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallError {
    /// Certainly not sent: no connection came about.
    NotSent,
    /// Perhaps done, perhaps not: time-out, broken connection, 5xx, an answer that makes no sense.
    Unknown,
    /// The platform does not know the id. Closes nothing by itself: it may still be in flight.
    NotFound,
    /// The platform refused for good, and nothing will come into being under this id.
    Refused(Refused),
}

/// Which call an answer belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// `create`
    Create,
    /// `query`
    Query,
    /// `cancel`
    Cancel,
}

/// What the platform's side reports. Every [`super::effect::PlatformCall`] is answered by exactly one of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlatformEvent {
    /// About an attempt.
    Answered {
        /// The attempt that was asked about.
        attempt: AttemptId,
        /// With this call.
        call: Call,
        /// The payment, or what may be concluded.
        answer: Result<Payment, CallError>,
    },
    /// About a refund.
    RefundAnswered {
        /// The attempt whose payment is given back.
        attempt: AttemptId,
        /// The refund that was asked about.
        refund: RefundId,
        /// Its status, or what may be concluded.
        answer: Result<RefundStatus, CallError>,
    },
    /// The line was tried.
    Line {
        /// Whether any authenticated answer came.
        up: bool,
    },
    /// One page of the reconciliation.
    Listed {
        /// The payments on it, or nothing if the page could not be had.
        answer: Result<Page, CallError>,
    },
}

/// One page of the platform's list of changed payments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The payments, oldest change first.
    pub payments: Vec<Payment>,
    /// Where the next page starts. Opaque; at most 128 bytes.
    pub next: String,
    /// Whether more pages wait.
    pub more: bool,
}

/// Why no new sale can be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoSales {
    /// The disk is almost full.
    DiskLow,
    /// The store is damaged.
    StoreDamaged,
    /// The program is being stopped.
    Stopping,
}

/// Everything that can happen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A till did something.
    Till {
        /// Which till.
        till: TillNumber,
        /// What.
        what: TillEvent,
    },
    /// A phone did something.
    Phone {
        /// Whose visit.
        session: SessionId,
        /// What.
        what: PhoneEvent,
    },
    /// The platform answered, or did not.
    Platform(PlatformEvent),
    /// Whether new sales may be taken has changed.
    NewSales(Result<(), NoSales>),
    /// `Shop::deadline` has come.
    DeadlinePassed,
}
