//! What a till learns from the box and shows to the cashier. Plain values; nothing here talks to a line.

use crate::shop::event::Ticket;
use crate::shop::money::{Amount, Currency};
use std::{fmt, io};

/// How a till shows and prints. Called in the order in which things happen, a result before the till answers it.
pub type Show<'a> = &'a mut dyn FnMut(&Shown);

/// What the till shows to the cashier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The request was taken; the customer's phone shows this code too.
    Accepted {
        /// The matching code.
        code: String,
    },
    /// How the sale goes on.
    Progress {
        /// The protocol's word.
        step: String,
        /// The same for people.
        text: String,
    },
    /// A try failed; the sale goes on.
    Failed {
        /// Which try, from 1.
        try_no: u32,
        /// The protocol's word.
        reason: String,
        /// Whether a new attempt has begun.
        new_attempt: bool,
        /// The same for people.
        text: String,
    },
    /// The abort was taken, a result follows.
    Aborting,
    /// There is nothing to abort, or it is decided already.
    NothingToAbort,
    /// The box does not answer. The sale goes on; the line is tried again.
    LineSilent,
    /// A result, of the sale under way or of another: print its lines.
    Result(TillResult),
}

/// How a sale ended, as the box says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Paid.
    Approved,
    /// Paid and given back in full: the goods do not leave.
    Returned,
    /// Money was given back, as the till asked; the reason says whether that is still pending.
    Refunded,
    /// Not paid.
    Declined,
    /// Not paid: ended by till, clock or power cut.
    Cancelled,
    /// Not paid: nobody confirmed.
    Lapsed,
}

/// A result frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TillResult {
    /// Of this sale; `None` if it had no ticket.
    pub ticket: Option<Ticket>,
    /// How it ended.
    pub outcome: Outcome,
    /// The protocol's word for why.
    pub reason: String,
    /// Its amount.
    pub amount: Amount,
    /// Minor units given back since.
    pub given_back_minor: u64,
    /// The payment's name at the platform.
    pub payment: Option<String>,
    /// The matching code.
    pub code: String,
    /// Failed tries over the whole sale.
    pub failed_tries: u32,
    /// How it ended, for the cashier.
    pub text: String,
    /// The receipt.
    pub lines: Vec<String>,
}

/// What the till answers to a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Put away: the commit point.
    Taken,
    /// Tell me again after so many seconds (1 to 60).
    Later(u64),
    /// The goods do not leave: give the money back.
    Rejected,
}

/// How a request for a sale ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With a result.
    Result(TillResult),
    /// It never began: the box knows nothing of it.
    NeverBegan,
    /// It was refused, nothing was begun.
    Refused {
        /// The protocol's word.
        reason: String,
        /// The same for people.
        text: String,
    },
}

/// Sums as the box says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sums {
    /// Of which epoch; `None`: of all.
    pub epoch: Option<u32>,
    /// Sales approved.
    pub approved: u64,
    /// Their sum, in minor units. More than one amount can be.
    pub approved_minor: u64,
    /// Minor units given back of it.
    pub given_back_minor: u64,
    /// Sales that ended without payment.
    pub unpaid: u64,
    /// Of the sums.
    pub currency: Currency,
}

/// The sums of a day as the box says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaySums {
    /// Where they end: closing the day names it.
    pub mark: u64,
    /// Sales approved.
    pub approved: u64,
    /// Their sum, in minor units.
    pub approved_minor: u64,
    /// How many times money was given back.
    pub given_back: u64,
    /// How much, in minor units.
    pub given_back_minor: u64,
    /// Sales that ended without payment.
    pub unpaid: u64,
    /// Of the sums.
    pub currency: Currency,
}

/// Why a till learns nothing.
#[derive(Debug)]
pub enum PlayError {
    /// Nothing answers: check cable, port, protocol and line settings.
    Silent,
    /// The box heard the sale but its result did not come: ask for the last result; until then it is *unknown*.
    Unknown(Ticket),
    /// The box does not understand a request: correct it.
    NotUnderstood(String),
    /// The port cannot be used: check its name and rights, and that no other program has it.
    Port(io::Error),
    /// The state file cannot be read or written: correct its place or rights.
    Memory(io::Error),
}

impl fmt::Display for PlayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlayError::Silent => f.write_str(
                "no answer from the box: check the cable (crossed?), the port, that the box runs and has this till on \
                 that port with protocol plain, and that baud rate, data bits and parity are the same on both sides",
            ),
            PlayError::Unknown(_) => {
                f.write_str("the result did not come: it is not known whether this sale is paid; ask with `last`")
            }
            PlayError::NotUnderstood(why) => write!(f, "the box does not understand the request: wrong {why}"),
            // A port that cannot be opened says itself what to do.
            PlayError::Port(e) if e.get_ref().is_some() => e.fmt(f),
            PlayError::Port(e) => write!(f, "the port cannot be used: {e}; check cable and adapter"),
            PlayError::Memory(e) => write!(f, "state file cannot be used: {e}; check its place and rights"),
        }
    }
}

impl std::error::Error for PlayError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PlayError::Port(e) | PlayError::Memory(e) => Some(e),
            PlayError::Silent | PlayError::Unknown(_) | PlayError::NotUnderstood(_) => None,
        }
    }
}

/// What became of the sale that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Last {
    /// It has ended.
    Result(TillResult),
    /// It is under way: its result comes in its time.
    UnderWay,
    /// There is none.
    Nothing,
}
