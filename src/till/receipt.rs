//! What a till prints about a sale. Says what is known and nothing else.

use super::frame::field;
use super::words;
use crate::shop::effect::{Finish, Outcome};
use crate::shop::event::{AskKind, TillNumber};
use crate::shop::money::Amount;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Least and greatest width of a receipt, in characters.
pub const COLUMNS: std::ops::RangeInclusive<usize> = 20..=40;
/// Most lines of a receipt.
pub const LINES_MAX: usize = 16;

/// What a receipt says about the shop.
#[derive(Clone, Debug)]
pub struct ReceiptFacts {
    /// The shop's name, in any script; letters that a till cannot print become `?`.
    pub shop_name: String,
    /// Where the shop's clock is read; `None`: times are printed in UTC and say so.
    pub time_zone: Option<TimeZone>,
}

/// The lines of a receipt: printable ASCII, none longer than `columns` (brought within [`COLUMNS`]), at most
/// [`LINES_MAX`].
pub fn lines(facts: &ReceiptFacts, till: TillNumber, columns: usize, finish: &Finish) -> Vec<String> {
    let columns = columns.clamp(*COLUMNS.start(), *COLUMNS.end());
    let currency = finish.amount.currency();
    let mut lines = vec![facts.shop_name.clone(), format!("Till {till}")];
    lines.extend(finish.ticket.map(|t| format!("Ticket {}", words::ticket_text(t))));
    lines.extend(finish.receipt.map(|receipt| format!("Receipt {receipt}")));
    lines.push(time(facts, finish));
    lines.push(kind(finish.kind).to_owned());
    lines.push(headline(finish).to_owned());
    lines.push(columns_of(&currency.to_string(), &finish.amount.decimal(), columns));
    if finish.given_back_minor > 0 {
        let back = Amount::from_minor(finish.given_back_minor, currency);
        lines.push(columns_of("Given back", &back.map(|a| a.decimal()).unwrap_or_default(), columns));
    }
    match finish.outcome {
        Outcome::Approved => {}
        Outcome::Returned { pending } => {
            if pending {
                lines.push("PENDING".to_owned());
            }
        }
        Outcome::Declined(_) | Outcome::Cancelled(_) | Outcome::Lapsed => lines.push(words::outcome_text(finish)),
    }
    if finish.failed_tries > 0 {
        lines.push(columns_of("Failed tries", &finish.failed_tries.to_string(), columns));
    }
    lines.push(columns_of("Code", &finish.code.to_string(), columns));
    match finish.attempt {
        Some(attempt) => {
            let id = attempt.to_string();
            let (first, last) = id.split_at(id.len() / 2);
            lines.extend(["Payment".to_owned(), first.to_owned(), last.to_owned()]);
        }
        None => lines.push(columns_of("Sale", finish.sale.to_string().get(..8).unwrap_or_default(), columns)),
    }
    lines.truncate(LINES_MAX);
    lines.iter().map(|line| field(line, columns)).collect()
}

fn kind(kind: AskKind) -> &'static str {
    match kind {
        AskKind::Pay => "Phone payment",
        AskKind::Refund => "Refund to phone",
        AskKind::Reverse => "Reversal to phone",
    }
}

fn headline(finish: &Finish) -> &'static str {
    let paying = match finish.kind {
        AskKind::Pay => true,
        AskKind::Refund | AskKind::Reverse => false,
    };
    match finish.outcome {
        Outcome::Declined(_) | Outcome::Cancelled(_) | Outcome::Lapsed if !paying => "NOTHING GIVEN BACK",
        Outcome::Approved if words::given_back_in_full(finish) => "PAID AND GIVEN BACK",
        Outcome::Approved => "PAID",
        Outcome::Returned { .. } => "GIVEN BACK",
        Outcome::Declined(_) => "NOT PAID - DECLINED",
        Outcome::Cancelled(_) => "NOT PAID - CANCELLED",
        Outcome::Lapsed => "NOT PAID",
    }
}

fn time(facts: &ReceiptFacts, finish: &Finish) -> String {
    let at = finish.at.and_then(|w| Timestamp::from_millisecond(w.0).ok());
    match (at, &facts.time_zone) {
        (None, _) => "Clock not set".to_owned(),
        (Some(at), Some(zone)) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        (Some(at), None) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    }
}

/// One word left, one right, spaces between.
fn columns_of(left: &str, right: &str, columns: usize) -> String {
    let room = columns.saturating_sub(left.len()).max(right.len().saturating_add(1));
    format!("{left}{right:>room$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::effect::{CancelledWhy, DeclinedWhy};
    use crate::shop::event::{Reason, ReceiptNumber, Ticket};
    use crate::shop::id::{AttemptId, SaleId};
    use crate::shop::money::Currency;
    use crate::shop::sale::Code;
    use crate::shop::time::Wall;

    fn finish(outcome: Outcome) -> Finish {
        Finish {
            sale: SaleId(0x1234_5678 << 96),
            ticket: Some(Ticket { epoch: Some(3), number: 41 }),
            code: Code::parse("K7").unwrap(),
            amount: Amount::parse("12.50", Currency::from_code("EUR").unwrap()).unwrap(),
            kind: AskKind::Pay,
            receipt: ReceiptNumber::new(42),
            outcome,
            attempt: (outcome == Outcome::Approved).then_some(AttemptId(0xabc)),
            given_back_minor: 0,
            failed_tries: 0,
            at: Some(Wall(1_795_356_180_000)),
        }
    }

    fn print(finish: &Finish) -> String {
        let facts = ReceiptFacts { shop_name: "Café Nord".to_owned(), time_zone: TimeZone::get("Europe/Berlin").ok() };
        lines(&facts, TillNumber::new(7).unwrap(), 24, finish).join("\n")
    }

    #[test]
    fn an_approved_sale_is_printed_with_all_that_a_question_later_needs() {
        let mut sale = finish(Outcome::Approved);
        sale.failed_tries = 2;
        assert_eq!(
            print(&sale),
            "Cafe Nord\nTill 7\nTicket 3/41\nReceipt 0042\n2026-11-22 15:03\nPhone payment\nPAID\nEUR                12.50\n\
             Failed tries           2\nCode                  K7\nPayment\n0000000000000000\n0000000000000abc"
        );
    }

    #[test]
    fn a_sale_given_back_in_full_never_prints_as_paid_alone() {
        let mut sale = finish(Outcome::Approved);
        sale.given_back_minor = 250;
        assert!(print(&sale).contains("\nPAID\n"));
        assert!(print(&sale).contains("\nGiven back          2.50\n"));
        sale.given_back_minor = 1250;
        assert!(print(&sale).contains("\nPAID AND GIVEN BACK\n"));
    }

    #[test]
    fn what_is_given_back_says_so_and_whether_it_is_known() {
        let mut given = finish(Outcome::Returned { pending: false });
        (given.kind, given.attempt) = (AskKind::Refund, Some(AttemptId(0xabc)));
        assert_eq!(
            print(&given),
            "Cafe Nord\nTill 7\nTicket 3/41\nReceipt 0042\n2026-11-22 15:03\nRefund to phone\nGIVEN BACK\n\
             EUR                12.50\nCode                  K7\nPayment\n0000000000000000\n0000000000000abc"
        );
        given.outcome = Outcome::Returned { pending: true };
        assert!(print(&given).contains("\nGIVEN BACK\nEUR                12.50\nPENDING\n"), "{}", print(&given));
        let refused = Outcome::Declined(DeclinedWhy::Refused(Reason::NotAllowed));
        (given.outcome, given.kind) = (refused, AskKind::Reverse);
        let text = print(&given);
        assert!(
            text.contains("Reversal to phone\nNOTHING GIVEN BACK\n") && text.contains("\nrefused by the"),
            "{text}"
        );
    }

    #[test]
    fn what_was_not_paid_says_so_and_why() {
        for (outcome, words) in [
            (Outcome::Declined(DeclinedWhy::Failed(Reason::NoFunds)), "NOT PAID - DECLINED\n"),
            (Outcome::Declined(DeclinedWhy::Failed(Reason::NoFunds)), "\nnot enough money\n"),
            (Outcome::Cancelled(CancelledWhy::Till), "NOT PAID - CANCELLED\n"),
            (Outcome::Lapsed, "NOT PAID\n"),
        ] {
            let text = print(&finish(outcome));
            assert!(text.contains(words) && text.contains("Sale            12345678"), "{text}");
        }
    }

    #[test]
    fn without_a_clock_no_time_is_made_up() {
        let mut sale = finish(Outcome::Lapsed);
        sale.at = None;
        assert!(print(&sale).contains("\nClock not set\n"));
    }

    #[test]
    fn every_line_keeps_within_its_columns() {
        let mut sale = finish(Outcome::Approved);
        sale.amount = Amount::from_minor(Amount::MINOR_MAX, sale.amount.currency()).unwrap();
        sale.given_back_minor = Amount::MINOR_MAX;
        sale.failed_tries = u32::MAX;
        let facts = ReceiptFacts { shop_name: "A very long name of a very small shop".to_owned(), time_zone: None };
        for columns in 0..50 {
            let all = lines(&facts, TillNumber::new(9999).unwrap(), columns, &sale);
            assert!(all.len() <= LINES_MAX);
            assert!(all.iter().all(|l| l.len() <= columns.clamp(20, 40)), "{all:?}");
        }
    }
}
