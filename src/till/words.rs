//! The words of the plain protocol for what the shop decides, and their English text. Decides nothing.

use crate::shop::effect::{CancelledWhy, DeclinedWhy, Finish, Outcome, Progress, Refusal};
use crate::shop::event::{AskKind, NoSales, Reason, Ticket};
use crate::shop::money::{Amount, Currency};

/// A ticket for people: epoch and number.
pub fn ticket_text(ticket: Ticket) -> String {
    match ticket.epoch {
        Some(epoch) => format!("{epoch}/{}", ticket.number),
        None => ticket.number.to_string(),
    }
}

/// Why a try or a payment failed: the word and the text.
pub fn reason(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::WrongPassword => ("WRONG_PASSWORD", "wrong account/password"),
        Reason::TooManyTries => ("TOO_MANY_TRIES", "wrong password too often"),
        Reason::NoFunds => ("NO_FUNDS", "not enough money"),
        Reason::Declined => ("DECLINED", "declined by platform"),
        Reason::NotAllowed => ("NOT_ALLOWED", "not allowed by platform"),
        Reason::Other => ("OTHER", "failed at the platform"),
    }
}

/// How a sale goes on: the word and the text. A failed try is a frame of its own and not among these.
pub fn step(progress: Progress) -> Option<(&'static str, &'static str)> {
    Some(match progress {
        Progress::WaitingForPhone => ("WAITING", "waiting for a phone"),
        Progress::Offered => ("OFFERED", "phone shows the amount"),
        Progress::Confirmed => ("CONFIRMED", "customer confirmed"),
        Progress::AtCheckout => ("CHECKOUT", "customer is paying"),
        Progress::Checking => ("CHECKING", "still checking"),
        Progress::Closing => ("CLOSING", "ending the sale"),
        Progress::Failed { .. } => return None,
    })
}

/// Why a request was refused: the word and the text.
pub fn refusal(refusal: Refusal, currency: Currency) -> (&'static str, String) {
    let money = |minor| Amount::from_minor(minor, currency).map(|a| a.to_string()).unwrap_or_default();
    let (word, text) = match refusal {
        Refusal::NoLine => ("NO_LINE", "no line to the platform"),
        Refusal::ClockNotSet => ("NO_CLOCK", "clock of the box not set"),
        Refusal::Busy => ("BUSY", "another sale is under way"),
        Refusal::WrongCurrency => ("CURRENCY", "currency not taken here"),
        Refusal::TooLittle { min_minor } => return ("TOO_LITTLE", format!("at least {}", money(min_minor))),
        Refusal::TooMuch { max_minor } => return ("TOO_MUCH", format!("at most {}", money(max_minor))),
        Refusal::TicketUsed => ("TICKET_USED", "ticket has another amount"),
        Refusal::TooShort => ("TOO_SHORT", "too little time to pay"),
        Refusal::NotPossible(AskKind::Pay) => ("NOT_POSSIBLE", "payment not possible"),
        Refusal::NotPossible(AskKind::Refund) => ("NOT_POSSIBLE", "refund not possible"),
        Refusal::NotPossible(AskKind::Reverse) => ("NOT_POSSIBLE", "reversal not possible"),
        Refusal::NoSuchSale => ("NO_SUCH_SALE", "no such payment at this till"),
        Refusal::AllGivenBack => ("ALL_GIVEN_BACK", "all of it is given back already"),
        Refusal::MoreThanLeft { left_minor } => {
            return ("MORE_THAN_LEFT", format!("only {} is left", money(left_minor)));
        }
        Refusal::NoPhone => ("NO_PHONE", "customer's phone is not at the till"),
        Refusal::NoSales(NoSales::DiskLow) => ("NO_SALES", "disk of the box is full"),
        Refusal::NoSales(NoSales::StoreDamaged) => ("NO_SALES", "books of the box damaged"),
        Refusal::NoSales(NoSales::Stopping) => ("NO_SALES", "box is being stopped"),
        Refusal::UnknownTill => ("UNKNOWN_TILL", "till is not configured"),
    };
    (word, text.to_owned())
}

/// Whether nothing is left of what was paid.
pub fn given_back_in_full(finish: &Finish) -> bool {
    finish.given_back_minor > 0 && finish.given_back_minor >= finish.amount.minor()
}

/// How a sale ended: the word. Paid and given back in full is not `APPROVED`.
pub fn outcome(finish: &Finish) -> &'static str {
    match finish.outcome {
        Outcome::Approved if given_back_in_full(finish) => "RETURNED",
        Outcome::Approved => "APPROVED",
        Outcome::Returned { .. } => "REFUNDED",
        Outcome::Declined(_) => "DECLINED",
        Outcome::Cancelled(_) => "CANCELLED",
        Outcome::Lapsed => "LAPSED",
    }
}

/// Why a sale ended so: the word.
pub fn outcome_reason(finish: &Finish) -> &'static str {
    match finish.outcome {
        Outcome::Approved | Outcome::Returned { pending: false } => "NONE",
        Outcome::Returned { pending: true } => "PENDING",
        Outcome::Declined(DeclinedWhy::Customer) => "CUSTOMER",
        Outcome::Declined(DeclinedWhy::GivenUp) => "GIVEN_UP",
        Outcome::Declined(DeclinedWhy::Failed(why) | DeclinedWhy::Refused(why)) => reason(why).0,
        Outcome::Declined(DeclinedWhy::Expired) => "EXPIRED",
        Outcome::Declined(DeclinedWhy::WrongPayment) => "WRONG_PAYMENT",
        Outcome::Cancelled(CancelledWhy::Till) => "TILL",
        Outcome::Cancelled(CancelledWhy::Clock) => "CLOCK",
        Outcome::Cancelled(CancelledWhy::PowerCut) => "POWER_CUT",
        Outcome::Lapsed => "NO_PHONE",
    }
}

/// How a sale ended, for the cashier.
pub fn outcome_text(finish: &Finish) -> String {
    let paying = match finish.kind {
        AskKind::Pay => true,
        AskKind::Refund | AskKind::Reverse => false,
    };
    match finish.outcome {
        Outcome::Declined(DeclinedWhy::Customer) if !paying => "customer chose nothing",
        Outcome::Declined(_) if !paying => "refused by the platform",
        Outcome::Cancelled(CancelledWhy::PowerCut) if !paying => "box started again, ask anew",
        Outcome::Lapsed if !paying => "customer did not choose in time",
        Outcome::Approved if given_back_in_full(finish) => "paid and given back",
        Outcome::Approved => "paid",
        Outcome::Returned { pending: false } => "given back",
        Outcome::Returned { pending: true } => "given back, pending",
        Outcome::Declined(DeclinedWhy::Customer) => "customer does not pay",
        Outcome::Declined(DeclinedWhy::GivenUp) => "customer gave up",
        Outcome::Declined(DeclinedWhy::Failed(why) | DeclinedWhy::Refused(why)) => reason(why).1,
        Outcome::Declined(DeclinedWhy::Expired) => "time at platform is over",
        Outcome::Declined(DeclinedWhy::WrongPayment) => "wrong sum, ask staff",
        Outcome::Cancelled(CancelledWhy::Till) => "aborted at the till",
        Outcome::Cancelled(CancelledWhy::Clock) => "time is over",
        Outcome::Cancelled(CancelledWhy::PowerCut) => "power of the box was cut",
        Outcome::Lapsed => "no phone confirmed",
    }
    .to_owned()
}
