//! What a till understands of the box's frames. The other side of `plain.rs`, written from the document alone.

use super::frame::number;
use super::shown::{DaySums, Last, Outcome, Shown, Sums, TillResult};
use crate::shop::event::Ticket;
use crate::shop::money::{Amount, Currency};

/// What a box says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BoxFrame {
    Ack(u16),
    Bad(u16, String),
    Accept(Option<Ticket>, String),
    Refuse(Option<Ticket>, String, String),
    Progress(Option<Ticket>, Shown),
    Result(TillResult),
    NoResult(Option<Ticket>),
    Aborting(Option<Ticket>),
    NoAbort(Option<Ticket>),
    State(String, String),
    Sums(Sums),
    DaySums(DaySums),
}

impl BoxFrame {
    /// A word that is not known here, or fields that make no sense: `None`, to be acknowledged and ignored.
    pub(super) fn parse(word: &str, id: u16, rest: &[&str]) -> Option<BoxFrame> {
        Some(match (word, rest) {
            ("ACK", []) => BoxFrame::Ack(id),
            ("BAD", [why]) => BoxFrame::Bad(id, (*why).to_owned()),
            ("ACCEPT", [epoch, ticket, code]) => BoxFrame::Accept(ticket_of(epoch, ticket)?, (*code).to_owned()),
            ("REFUSE", [epoch, ticket, reason, text]) => {
                BoxFrame::Refuse(ticket_of(epoch, ticket)?, (*reason).to_owned(), (*text).to_owned())
            }
            ("PROGRESS", [epoch, ticket, step, text]) => {
                let shown = Shown::Progress { step: (*step).to_owned(), text: (*text).to_owned() };
                BoxFrame::Progress(ticket_of(epoch, ticket)?, shown)
            }
            ("FAILED", [epoch, ticket, try_no, reason, next, text]) => {
                let shown = Shown::Failed {
                    try_no: small(try_no)?,
                    reason: (*reason).to_owned(),
                    new_attempt: *next == "NEW",
                    text: (*text).to_owned(),
                };
                BoxFrame::Progress(ticket_of(epoch, ticket)?, shown)
            }
            ("RESULT", rest) => BoxFrame::Result(result_of(rest)?),
            ("NORESULT", [epoch, ticket]) => BoxFrame::NoResult(ticket_of(epoch, ticket)?),
            ("ABORTING", [epoch, ticket]) => BoxFrame::Aborting(ticket_of(epoch, ticket)?),
            ("NOABORT", [epoch, ticket]) => BoxFrame::NoAbort(ticket_of(epoch, ticket)?),
            ("STATE", [word, text]) => BoxFrame::State((*word).to_owned(), (*text).to_owned()),
            ("SUMS", [epoch, approved, sum, back, unpaid, currency]) => {
                let currency = Currency::from_code(currency)?;
                BoxFrame::Sums(Sums {
                    epoch: if epoch.is_empty() { None } else { Some(small(epoch)?) },
                    approved: number(approved, u64::MAX)?,
                    approved_minor: number(sum, u64::MAX)?,
                    given_back_minor: number(back, u64::MAX)?,
                    unpaid: number(unpaid, u64::MAX)?,
                    currency,
                })
            }
            ("DAYSUMS", [mark, approved, sum, times, back, unpaid, currency]) => BoxFrame::DaySums(DaySums {
                mark: number(mark, u64::MAX)?,
                approved: number(approved, u64::MAX)?,
                approved_minor: number(sum, u64::MAX)?,
                given_back: number(times, u64::MAX)?,
                given_back_minor: number(back, u64::MAX)?,
                unpaid: number(unpaid, u64::MAX)?,
                currency: Currency::from_code(currency)?,
            }),
            _ => return None,
        })
    }

    /// Whether there was something to abort, if this answers that.
    pub(super) fn abort_answer(self) -> Option<bool> {
        if let BoxFrame::Aborting(_) = self {
            Some(true)
        } else {
            matches!(self, BoxFrame::NoAbort(_)).then_some(false)
        }
    }

    /// What became of the sale asked about, if this answers that.
    pub(super) fn last_answer(self, ticket: Option<Ticket>) -> Option<Last> {
        let mine = |t: Option<Ticket>| ticket.is_none() || t == ticket;
        match self {
            BoxFrame::Result(result) => mine(result.ticket).then_some(Last::Result(result)),
            BoxFrame::NoResult(t) => (t == ticket).then_some(Last::Nothing),
            BoxFrame::Accept(t, _) | BoxFrame::Progress(t, _) => mine(t).then_some(Last::UnderWay),
            BoxFrame::Ack(_)
            | BoxFrame::Bad(..)
            | BoxFrame::Refuse(..)
            | BoxFrame::Aborting(_)
            | BoxFrame::NoAbort(_)
            | BoxFrame::State(..)
            | BoxFrame::Sums(_)
            | BoxFrame::DaySums(_) => None,
        }
    }

    /// Whether a sale is possible, if this answers that.
    pub(super) fn state_answer(self) -> Option<Result<(), (String, String)>> {
        let BoxFrame::State(word, text) = self else { return None };
        Some(if word == "READY" { Ok(()) } else { Err((word, text)) })
    }

    /// The sums, if this answers with them.
    pub(super) fn sums_answer(self) -> Option<Sums> {
        if let BoxFrame::Sums(sums) = self { Some(sums) } else { None }
    }

    /// The sums of the day, if this answers with them.
    pub(super) fn day_answer(self) -> Option<DaySums> {
        if let BoxFrame::DaySums(sums) = self { Some(sums) } else { None }
    }
}

fn result_of(fields: &[&str]) -> Option<TillResult> {
    let [epoch, ticket, outcome, reason, amount, currency, back, payment, code, tries, text, count, lines @ ..] =
        fields
    else {
        return None;
    };
    let currency = Currency::from_code(currency)?;
    let outcome = match *outcome {
        "APPROVED" => Outcome::Approved,
        "RETURNED" => Outcome::Returned,
        "REFUNDED" => Outcome::Refunded,
        "DECLINED" => Outcome::Declined,
        "CANCELLED" => Outcome::Cancelled,
        "LAPSED" => Outcome::Lapsed,
        _ => return None,
    };
    if number(count, 100) != u64::try_from(lines.len()).ok() {
        return None;
    }
    Some(TillResult {
        ticket: ticket_of(epoch, ticket)?,
        outcome,
        reason: (*reason).to_owned(),
        amount: money(amount, currency)?,
        given_back_minor: number(back, Amount::MINOR_MAX)?,
        payment: (!payment.is_empty()).then(|| (*payment).to_owned()),
        code: (*code).to_owned(),
        failed_tries: small(tries)?,
        text: (*text).to_owned(),
        lines: lines.iter().map(|l| (*l).to_owned()).collect(),
    })
}

fn money(text: &str, currency: Currency) -> Option<Amount> {
    number(text, Amount::MINOR_MAX).and_then(|minor| Amount::from_minor(minor, currency).ok())
}

fn small(text: &str) -> Option<u32> {
    number(text, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok())
}

fn ticket_of(epoch: &str, ticket: &str) -> Option<Option<Ticket>> {
    match (epoch, ticket) {
        ("", "") => Some(None),
        (epoch, ticket) => Some(Some(Ticket { epoch: Some(small(epoch)?), number: small(ticket)? })),
    }
}

/// A ticket as two fields.
pub(super) fn fields_of(ticket: Option<Ticket>) -> String {
    ticket.map_or_else(|| "|".to_owned(), |t| format!("{}|{}", t.epoch.unwrap_or(0), t.number))
}
