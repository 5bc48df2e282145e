//! The codes and texts of ZVT for what the shop decides. Decides nothing.

use super::apdu::code;
use crate::shop::effect::{DeclinedWhy, Finish, Outcome, Progress, Refusal};
use crate::shop::event::AskKind;
use crate::till::words;

/// Intermediate status: please wait.
const WAIT: u8 = 0x0e;
/// Intermediate status: please wait, the other side is asked.
const WAIT_FOR_ANSWER: u8 = 0x17;
/// Intermediate status: declined.
pub(super) const FAILED: u8 = 0x1d;
/// Intermediate status: what the text says.
pub(super) const AS_THE_TEXT_SAYS: u8 = 0xff;

/// A step for tills without texts, and its text for those with.
pub(super) fn step(progress: Progress) -> (u8, &'static str) {
    let text = words::step(progress).map_or("", |(_, text)| text);
    match progress {
        Progress::WaitingForPhone | Progress::Offered => (WAIT, text),
        Progress::Confirmed | Progress::AtCheckout | Progress::Checking | Progress::Closing => (WAIT_FOR_ANSWER, text),
        Progress::Failed { reason, .. } => (FAILED, words::reason(reason).1),
    }
}

/// The result code of a result. Paid and given back in full is not *done*: it is not to be booked as paid.
pub(super) fn result(finish: &Finish) -> u8 {
    match finish.outcome {
        Outcome::Approved if words::given_back_in_full(finish) => code::REVERSED,
        Outcome::Approved | Outcome::Returned { .. } => code::DONE,
        Outcome::Declined(DeclinedWhy::WrongPayment) => code::SYSTEM,
        Outcome::Declined(DeclinedWhy::Failed(_) | DeclinedWhy::Refused(_)) => match finish.kind {
            AskKind::Pay => code::ABORTED,
            AskKind::Refund => code::NOT_POSSIBLE,
            AskKind::Reverse => code::IRREVERSIBLE,
        },
        Outcome::Declined(DeclinedWhy::Customer | DeclinedWhy::GivenUp | DeclinedWhy::Expired)
        | Outcome::Cancelled(_)
        | Outcome::Lapsed => code::ABORTED,
    }
}

/// Whether money moved, so that a receipt is due.
pub(super) fn moved_money(finish: &Finish) -> bool {
    match finish.outcome {
        Outcome::Approved | Outcome::Returned { .. } | Outcome::Declined(DeclinedWhy::WrongPayment) => true,
        Outcome::Declined(
            DeclinedWhy::Customer
            | DeclinedWhy::GivenUp
            | DeclinedWhy::Failed(_)
            | DeclinedWhy::Refused(_)
            | DeclinedWhy::Expired,
        )
        | Outcome::Cancelled(_)
        | Outcome::Lapsed => false,
    }
}

/// The result code of a refusal.
pub(super) fn refusal(why: Refusal) -> u8 {
    match why {
        Refusal::NoLine => code::NO_CONNECTION,
        Refusal::Busy => code::WAIT,
        Refusal::WrongCurrency => code::CURRENCY,
        Refusal::TooLittle { .. } => code::TOO_LITTLE,
        Refusal::TooMuch { .. } | Refusal::MoreThanLeft { .. } => code::TOO_MUCH,
        Refusal::TicketUsed | Refusal::TooShort | Refusal::NotPossible(_) | Refusal::NoPhone => code::NOT_POSSIBLE,
        Refusal::NoSuchSale => code::IRREVERSIBLE,
        Refusal::AllGivenBack => code::REVERSED,
        Refusal::ClockNotSet | Refusal::NoSales(_) | Refusal::UnknownTill => code::SYSTEM,
    }
}
