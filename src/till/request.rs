//! What a till says in the plain protocol, decoded. Remembers nothing.

use super::frame::number;
use super::plain::{LATER_SECS_MAX, PATIENCE_SECS_MAX};
use crate::shop::event::{Ask, AskKind, Of, Span, Ticket, TillEvent};
use crate::shop::money::{Amount, Currency};

/// What a till asks for.
pub(super) enum Request {
    Ask(Ask),
    Abort(Option<Ticket>),
    Last(Option<Ticket>),
    Status,
    Totals(Option<u32>),
    Day,
    Close(u64),
    Ping,
}

impl Request {
    /// The request in these fields, or what is wrong with them.
    pub(super) fn parse(word: &str, rest: &[&str]) -> Result<Request, &'static str> {
        match (word, rest) {
            ("PAY", [epoch, ticket, amount, currency, patience]) => {
                ask(AskKind::Pay, [epoch, ticket, amount, currency, patience], None)
            }
            ("REFUND" | "REVERSE", [epoch, ticket, amount, currency, patience, of_epoch, of_ticket]) => {
                let of = ticket_or_none(of_epoch, of_ticket).ok_or("TICKET")?;
                let kind = if word == "REFUND" { AskKind::Refund } else { AskKind::Reverse };
                ask(kind, [epoch, ticket, amount, currency, patience], of)
            }
            ("ABORT", [epoch, ticket]) => ticket_or_none(epoch, ticket).map(Request::Abort).ok_or("TICKET"),
            ("LAST", [epoch, ticket]) => ticket_or_none(epoch, ticket).map(Request::Last).ok_or("TICKET"),
            ("STATUS", []) => Ok(Request::Status),
            ("TOTALS", [""]) => Ok(Request::Totals(None)),
            ("TOTALS", [epoch]) => small(epoch).map(|e| Request::Totals(Some(e))).ok_or("EPOCH"),
            ("DAY", []) => Ok(Request::Day),
            ("CLOSE", [mark]) => number(mark, u64::MAX).map(Request::Close).ok_or("MARK"),
            ("PING", []) => Ok(Request::Ping),
            ("PAY" | "REFUND" | "REVERSE" | "ABORT" | "LAST" | "STATUS" | "TOTALS" | "DAY" | "CLOSE" | "PING", _) => {
                Err("FIELDS")
            }
            _ => Err("WORD"),
        }
    }

    /// What the shop hears of it.
    pub(super) fn event(self) -> Option<TillEvent> {
        match self {
            Request::Ask(ask) => Some(TillEvent::Asked(ask)),
            Request::Abort(ticket) => Some(TillEvent::Aborted { ticket }),
            Request::Last(ticket) => Some(TillEvent::AskedAgain { ticket }),
            Request::Status => Some(TillEvent::AskedStatus),
            Request::Totals(epoch) => Some(TillEvent::AskedTotals { of: epoch.map_or(Span::All, Span::Epoch) }),
            Request::Day => Some(TillEvent::AskedTotals { of: Span::Day }),
            Request::Close(mark) => Some(TillEvent::DayClosed { mark }),
            Request::Ping => None,
        }
    }
}

fn ask(kind: AskKind, fields: [&str; 5], of: Option<Ticket>) -> Result<Request, &'static str> {
    let [epoch, ticket, amount, currency, patience] = fields;
    let ticket = ticket_or_none(epoch, ticket).flatten().filter(|t| t.epoch != Some(0)).ok_or("TICKET")?;
    let currency = Currency::from_code(currency).ok_or("CURRENCY")?;
    let amount = number(amount, Amount::MINOR_MAX).and_then(|minor| Amount::from_minor(minor, currency).ok());
    let patience = number(patience, PATIENCE_SECS_MAX).ok_or("PATIENCE")?;
    Ok(Request::Ask(Ask {
        ticket: Some(ticket),
        amount: amount.ok_or("AMOUNT")?,
        kind,
        of: of.map(Of::Ticket),
        patience_ms: patience.saturating_mul(1_000),
        hears_result: true,
    }))
}

/// What a till answers to a frame of ours.
pub(super) enum Reply {
    Ack,
    Taken(Option<Ticket>),
    Later(Option<Ticket>, u64),
    Reject(Option<Ticket>),
}

impl Reply {
    /// The answer in these fields; `None` if they make no sense.
    pub(super) fn parse(word: &str, rest: &[&str]) -> Option<Reply> {
        match (word, rest) {
            ("ACK", []) => Some(Reply::Ack),
            ("TAKEN", [epoch, ticket]) => ticket_or_none(epoch, ticket).map(Reply::Taken),
            ("REJECT", [epoch, ticket]) => ticket_or_none(epoch, ticket).map(Reply::Reject),
            ("LATER", [epoch, ticket, secs]) => {
                let secs = number(secs, LATER_SECS_MAX).filter(|s| *s > 0)?;
                ticket_or_none(epoch, ticket).map(|t| Reply::Later(t, secs))
            }
            _ => None,
        }
    }
}

fn small(text: &str) -> Option<u32> {
    number(text, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok())
}

/// Two fields: a ticket, or both empty. A ticket from another protocol has no epoch.
fn ticket_or_none(epoch: &str, ticket: &str) -> Option<Option<Ticket>> {
    match (epoch, ticket) {
        ("", "") => Some(None),
        (epoch, ticket) => Some(Some(Ticket { epoch: Some(small(epoch)?), number: small(ticket)? })),
    }
}
