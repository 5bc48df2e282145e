//! What can be wanted. The only ways out of the shop; doing one twice is harmless.

use super::attempt::{Attempt, Refund};
use super::event::{AskKind, NoSales, Reason, ReceiptNumber, Span, Ticket, TillNumber};
use super::giveback::Return;
use super::id::{AttemptId, RefundId, SaleId, SessionId};
use super::money::Amount;
use super::sale::{Code, Sale};
use super::session::{Place, Session};
use super::time::{Mono, Wall};

pub use super::screens::{EnterNote, Receipt, Repayable, ReturnFacts, ReturnReceipt, SaleFacts, Screen};

/// What becomes of a step: first all records on disk in one transaction, then the effects, in order.
#[derive(Debug, Default)]
pub struct Step {
    /// What the store must hold before any effect goes out.
    pub records: Vec<Record>,
    /// What goes out.
    pub effects: Vec<Effect>,
}

/// A whole row as it is from now on. Written by replacing the row of the same id; a copy goes to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Record {
    /// A phone's visit, with the till it stands at.
    Session(Session),
    /// A visit ended; its row is deleted.
    SessionEnded(SessionId),
    /// A sale without its attempts and refunds (these vectors are empty here). `open`: must be loaded at start.
    Sale {
        /// The sale.
        sale: Box<Sale>,
        /// Whether anything about it is still to be done.
        open: bool,
    },
    /// An attempt of a sale.
    Attempt {
        /// The sale it belongs to.
        sale: SaleId,
        /// The attempt.
        attempt: Box<Attempt>,
    },
    /// A refund of an attempt.
    Refund {
        /// The sale it belongs to.
        sale: SaleId,
        /// The refund.
        refund: Refund,
    },
    /// From now on this ticket means this sale.
    Ticket {
        /// Whose ticket.
        till: TillNumber,
        /// The ticket.
        ticket: Ticket,
        /// The sale or return.
        sale: SaleId,
    },
    /// A return. `open`: must be loaded at start.
    Return {
        /// The return.
        given: Box<Return>,
        /// Whether anything about it is still to be done.
        open: bool,
    },
    /// The till's day ended here: what is booked behind `mark` belongs to the next.
    DayClosed {
        /// Whose day.
        till: TillNumber,
        /// [`Totals::mark`] of its sums.
        mark: u64,
    },
    /// Where the reconciliation goes on.
    Cursor(String),
    /// A person must look. Journal only.
    Alarm(Alarm),
}

/// What the shop wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Tell a till something.
    Till {
        /// Which.
        till: TillNumber,
        /// What.
        answer: TillAnswer,
    },
    /// From now on this is what the phone's page shows.
    Show {
        /// Whose page.
        session: SessionId,
        /// What it shows.
        screen: Screen,
    },
    /// The visit has ended; its page shows the start.
    Forget {
        /// Whose.
        session: SessionId,
    },
    /// Ask the platform.
    Platform(PlatformCall),
    /// How far a phone may reach from now on. Said again when its end or the phone's place changes.
    Reach {
        /// Whose phone.
        session: SessionId,
        /// Where it is.
        place: Place,
        /// How far.
        reach: Reach,
        /// Until when; then it is captive again.
        until: Mono,
    },
    /// Send a till the sums of its sales, read from the store.
    Totals {
        /// Which till.
        till: TillNumber,
        /// Over which time.
        of: Span,
    },
    /// A person must look.
    Alarm(Alarm),
}

/// How far a phone gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// The portal only.
    Captive,
    /// The portal and the platform's checkout.
    Checkout,
    /// The internet: it has paid, has seen its receipt, and the shop gives it that much.
    Online,
}

/// What a till is told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TillAnswer {
    /// The request was taken and the sale is on disk.
    Accepted {
        /// The sale.
        sale: SaleId,
        /// Under this ticket.
        ticket: Option<Ticket>,
        /// What the phone shows too, so that both know they mean the same sale.
        code: Code,
    },
    /// The request was refused; nothing was begun.
    Refused {
        /// The ticket it had.
        ticket: Option<Ticket>,
        /// Why.
        why: Refusal,
    },
    /// How the sale goes on.
    Progress {
        /// The sale.
        sale: SaleId,
        /// Its ticket.
        ticket: Option<Ticket>,
        /// What has happened.
        progress: Progress,
    },
    /// The result. Repeated until the till takes it.
    Finish(Box<Finish>),
    /// There is no earlier result, or none under that ticket.
    NothingToRepeat {
        /// The ticket that was asked for.
        ticket: Option<Ticket>,
    },
    /// There is no sale to abort, or it is decided already (then its `Finish` follows).
    NothingToAbort {
        /// The ticket that was to be aborted.
        ticket: Option<Ticket>,
    },
    /// The abort was taken: the sale is being ended, a `Finish` follows, which may still say *approved*.
    Aborting {
        /// The sale's ticket.
        ticket: Option<Ticket>,
    },
    /// Whether a sale would be possible now.
    Status {
        /// Yes, or why not.
        ready: Result<(), Refusal>,
    },
    /// The sums asked for.
    Totals(Totals),
}

/// A result as a till is told it, with all that its receipt needs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finish {
    /// The sale.
    pub sale: SaleId,
    /// Its ticket.
    pub ticket: Option<Ticket>,
    /// Its matching code.
    pub code: Code,
    /// Its amount.
    pub amount: Amount,
    /// What the till had asked for.
    pub kind: AskKind,
    /// The number on its receipt.
    pub receipt: Option<ReceiptNumber>,
    /// How it ended.
    pub outcome: Outcome,
    /// The attempt that paid it, or whose payment is given back.
    pub attempt: Option<AttemptId>,
    /// Minor units of it given back, or on their way back, since.
    pub given_back_minor: u64,
    /// How many attempts and failed tries it took.
    pub failed_tries: u32,
    /// When it ended, if the clock was trusted then.
    pub at: Option<Wall>,
}

/// How a sale ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Paid.
    Approved,
    /// Given back, as the till asked.
    Returned {
        /// Whether the platform has not said so yet: it is on disk and is followed up until it has.
        pending: bool,
    },
    /// Not paid, or not given back, for this reason.
    Declined(DeclinedWhy),
    /// Not paid: ended by till, clock or power cut.
    Cancelled(CancelledWhy),
    /// Not paid: no phone came or confirmed in time.
    Lapsed,
}

/// Why a sale was declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeclinedWhy {
    /// The customer does not want to pay.
    Customer,
    /// The customer cancelled at the platform, or did not come back to try again.
    GivenUp,
    /// The last attempt failed.
    Failed(Reason),
    /// The platform refused the payment when it was submitted.
    Refused(Reason),
    /// The link's time ran out.
    Expired,
    /// The platform took another amount or currency than was asked: a person must look.
    WrongPayment,
}

/// Why a sale was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CancelledWhy {
    /// The cashier pressed abort.
    Till,
    /// The till's patience ended.
    Clock,
    /// The power was cut, or the program was down too long.
    PowerCut,
}

/// A step on the way, for tills that can show one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Waiting for a phone to stand at the till.
    WaitingForPhone,
    /// The phone shows the amount.
    Offered,
    /// The customer confirmed; the payment is being submitted.
    Confirmed,
    /// The customer is at the platform's page.
    AtCheckout,
    /// A try failed; the customer may try again. Never the end.
    Failed {
        /// Why.
        reason: Reason,
        /// Which try it was, counted over the whole sale from 1.
        try_no: u32,
        /// Whether the attempt is closed and a new one is being submitted.
        new_attempt: bool,
    },
    /// The platform does not answer; it is being asked.
    Checking,
    /// The sale is being ended.
    Closing,
}

/// Why a till's request was refused. Nothing was begun and nothing will be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No line to the payment platform.
    NoLine,
    /// The box's clock is not set.
    ClockNotSet,
    /// Another sale of this till is under way.
    Busy,
    /// The currency is not the shop's.
    WrongCurrency,
    /// Less than the shop's least amount, in minor units.
    TooLittle {
        /// The least.
        min_minor: u64,
    },
    /// More than the shop's greatest amount, in minor units.
    TooMuch {
        /// The greatest.
        max_minor: u64,
    },
    /// This ticket was used with another amount.
    TicketUsed,
    /// The till's patience is too short for any payment.
    TooShort,
    /// This program cannot do it (yet).
    NotPossible(AskKind),
    /// There is no paid sale under that ticket or receipt number at this till.
    NoSuchSale,
    /// All of it has been given back.
    AllGivenBack,
    /// More than is left of it.
    MoreThanLeft {
        /// What is left, in minor units.
        left_minor: u64,
    },
    /// No phone that has paid here stands at the till, and without a receipt only it could say which payment is meant.
    NoPhone,
    /// No new sales.
    NoSales(NoSales),
    /// The till is not configured.
    UnknownTill,
}

/// Sums of a till's sales.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Totals {
    /// Over which time.
    pub of: Span,
    /// Where they end; to be named when the day is closed with them.
    pub mark: u64,
    /// How many sales were approved.
    pub approved: u64,
    /// Their sum, in minor units of the shop's currency.
    pub approved_minor: u64,
    /// How many times money was given back.
    pub given_back: u64,
    /// How much was given back, in minor units.
    pub given_back_minor: u64,
    /// How many sales ended without payment.
    pub unpaid: u64,
}

/// A call to the platform. Each is answered by exactly one [`super::event::PlatformEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PlatformCall {
    /// Create the payment, or get the one created earlier under the same id. The body depends on these fields only,
    /// so that a repeat is the same to the byte.
    Create(Box<Create>),
    /// Ask for the state; answered when it is newer than `version`, or after `wait_secs`.
    Query {
        /// Of this attempt.
        attempt: AttemptId,
        /// The version already known.
        version: u64,
        /// How long the platform may hold the answer; 0: at once.
        wait_secs: u32,
    },
    /// Close the payment.
    Cancel {
        /// Of this attempt.
        attempt: AttemptId,
    },
    /// Give money back, or get the refund begun earlier under the same id.
    Refund {
        /// Of this attempt.
        attempt: AttemptId,
        /// Under this id.
        refund: RefundId,
        /// So much.
        amount: Amount,
    },
    /// Ask for the state of a refund.
    QueryRefund {
        /// Of this attempt.
        attempt: AttemptId,
        /// Under this id.
        refund: RefundId,
    },
    /// Try the line.
    Probe,
    /// One page of payments that changed since the cursor; empty: from the beginning.
    List {
        /// Where to start.
        since: String,
    },
}

/// What a payment is created with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Create {
    /// Its id.
    pub attempt: AttemptId,
    /// The sale it is for.
    pub sale: SaleId,
    /// The till's number, for the platform's page.
    pub till: TillNumber,
    /// How much.
    pub amount: Amount,
    /// The matching code, for the platform's page.
    pub code: Code,
    /// Whose phone; the platform's page leads back to its page here.
    pub session: SessionId,
    /// How long the link should stay open.
    pub expires_in_secs: u32,
}

/// What a person must look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Alarm {
    /// The till did not acknowledge that a sale is approved, or that money is given back.
    Unheard {
        /// Which.
        sale: SaleId,
    },
    /// The platform took another amount or currency than was asked.
    WrongPayment {
        /// For this attempt.
        attempt: AttemptId,
    },
    /// The platform answered about another id than was asked, or went back in its version or state.
    OddAnswer {
        /// For this attempt.
        attempt: AttemptId,
    },
    /// A payment came after its attempt had been closed.
    LatePayment {
        /// For this attempt.
        attempt: AttemptId,
    },
    /// A refund was refused for good.
    RefundRefused {
        /// Which.
        refund: RefundId,
    },
    /// An attempt or refund has been in doubt for too long.
    DoubtTooLong {
        /// The attempt, or the attempt of the refund.
        attempt: AttemptId,
    },
}

impl Finish {
    /// The result of an ended sale; `None` while it is not ended.
    pub fn of(sale: &Sale) -> Option<Finish> {
        let outcome = sale.state.outcome()?;
        let attempt = sale.winner();
        Some(Finish {
            sale: sale.id,
            ticket: sale.ticket,
            code: sale.code,
            amount: sale.amount,
            kind: AskKind::Pay,
            receipt: sale.receipt,
            outcome,
            attempt,
            given_back_minor: sale.given_back_minor(),
            failed_tries: sale.failed_tries(),
            at: sale.ended_at,
        })
    }

    /// The result of an ended return, as it is true by now; `None` while it is not ended.
    pub fn of_return(given: &Return) -> Option<Finish> {
        Some(Finish {
            sale: given.id,
            ticket: given.ticket,
            code: given.code,
            amount: given.amount(),
            kind: given.kind.into(),
            receipt: Some(given.receipt),
            outcome: given.state.outcome()?,
            attempt: given.state.back().map(|back| back.attempt),
            given_back_minor: 0,
            failed_tries: 0,
            at: given.ended_at,
        })
    }
}
