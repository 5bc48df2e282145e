//! The dialogue over TCP and on a serial line; time is a number here.

use super::super::apdu::{Fields, Reader, Stream, control, tag};
use super::super::link::{ACK, Found, Frames, NAK, frame};
use super::super::*;
use super::*;
use crate::shop::effect::{CancelledWhy, DeclinedWhy, Outcome};
use crate::shop::event::{NoSales, Reason, ReceiptNumber};
use crate::shop::id::AttemptId;
use crate::shop::time::Wall;
use jiff::tz::TimeZone;

const REGISTER: &str = "> 06 00 06 00 00 00 00 09 78;+50;ok;";
/// With intermediate status and receipts line by line, without texts.
const CRATE_ZVT: &str = "> 06 00 06 12 34 56 DE 09 78;+50;ok;";
/// With texts and blocks, without intermediate status.
const PORTALUM: &str = "> 06 00 10 00 00 00 B6 09 78 03 01 06 06 26 04 0A 02 06 D3;+50;ok;";
/// With all of it.
const ALL: &str = "> 06 00 10 00 00 00 BE 09 78 03 01 06 06 26 04 0A 02 06 D3;+50;ok;";
const PAY: &str = "> 06 01 07 04 00 00 00 00 12 50;";

#[test]
fn a_payment_is_accepted_paid_taken_and_completed() {
    check(
        &format!("{REGISTER}{PAY}accept 1;step 1;paid 1;+50;ok;ok"),
        "< ok;< done 19 00 29 00 00 00 01 49 09 78;\
         < ok;! pay 12.50 EUR 165s;< result 00;< done;! taken 1",
    );
}

#[test]
fn the_bytes_of_a_paid_sale_are_those_of_the_table_in_its_order() {
    let mut bench = Bench::new(Link::Tcp);
    bench.steps(&format!("{REGISTER}{PAY}accept 1"));
    let mut bytes = bench.step("paid 1").bytes;
    bytes.extend(bench.step("+50").bytes);
    let mut is =
        hex("04 0F 46 27 00 04 00 00 00 00 12 50 0B 00 00 41 0C 15 03 00 0D 11 22 29 00 00 00 01 49 09 78 87 00 41");
    is.extend(hex("8B F1 F4"));
    is.extend(b"Phone payment\0");
    is.extend(hex("3C F0 F0 F4"));
    is.extend(b"paid");
    is[2] = u8::try_from(is.len() - 3).unwrap();
    assert_eq!(bytes, is);
}

#[test]
fn the_currency_is_named_only_to_a_till_that_names_it() {
    let mut bench = Bench::new(Link::Tcp);
    bench.steps("> 06 00 04 00 00 00 00;+50;ok");
    bench.steps(&format!("{PAY}accept 1"));
    bench.step("paid 1");
    assert!(!has(&bench.step("+50").bytes, &hex("49 09 78")));
    bench.steps("ok;ok;> 06 01 0C 04 00 00 00 00 12 50 49 09 78 06 00;accept 1");
    bench.step("paid 1");
    assert!(has(&bench.step("+50").bytes, &hex("49 09 78")));
}

#[test]
fn registration_tells_of_prints_and_progress_and_other_currencies_are_refused() {
    check("> 06 00 06 00 00 00 0E 08 40", "< no 6F");
    check("> 06 00 04 00 00 00 0E;+50;ok", "< ok;< done 19 00 29 00 00 00 01 49 09 78");
    check("> 06 00 03 00 00 00", "< no 9A");
    // A currency that exists is for the shop to refuse, one that does not is refused here.
    check(
        "> 06 01 0A 04 00 00 00 00 12 50 49 08 40;refuse currency;+50;ok;ok",
        "< ok;! pay 12.50 USD 165s;< result 6F currency not taken here;< fail 6F",
    );
    check("> 06 01 0A 04 00 00 00 00 12 50 49 00 01", "< no 6F");
}

#[test]
fn a_password_is_checked_where_one_is_set() {
    let mut bench = Bench::new(Link::Tcp);
    bench.driver.settings.options.password = Some(123_456);
    let script = "> 06 00 06 00 00 00 00 09 78;> 06 50 03 12 34 56;totals;+50;ok;ok;> 06 20 03 12 34 57";
    assert_eq!(bench.steps(script), "< no 83;< ok;! sums day;< result 00;< done;! closed 77;< no 83");
}

#[test]
fn intermediate_status_goes_only_to_a_till_that_wants_it() {
    check(
        &format!("{PORTALUM}{PAY}accept 1;step 1;step 1;+50"),
        "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 165s",
    );
    let registered = "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 300s;";
    check(
        &format!("{CRATE_ZVT}{PAY}accept 1;step 1;+50;ok;checking 1;ok;failed 1;ok"),
        &format!("{registered}< status 0E;< status 17;< status 1D"),
    );
    check(
        &format!("{ALL}{PAY}accept 1;step 1;+50;ok;failed 1;ok"),
        &format!("{registered}< status FF phone shows the amount/Code K7;< status FF not enough money/Code K7"),
    );
}

#[test]
fn a_status_that_waits_gives_way_to_a_newer_one_and_to_the_result() {
    check(
        &format!("{CRATE_ZVT}{PAY}accept 1;+50;step 1;checking 1;failed 1;ok;paid 1;ok;ok"),
        "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 300s;< status 0E;< status 1D;< result 00;\
         < line 00 Cafe Nord",
    );
}

#[test]
fn a_status_that_was_never_sent_is_not_sent_once_the_result_is_there() {
    check(
        &format!("{CRATE_ZVT}{PAY}accept 1;+50;step 1;checking 1;paid 1;ok;ok"),
        "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 300s;< status 0E;< result 00;\
         < line 00 Cafe Nord",
    );
}

#[test]
fn receipts_come_as_lines_as_a_block_or_not_at_all_as_the_till_has_registered() {
    let lines = |config: &str, more: &str| {
        let mut bench = Bench::new(Link::Tcp);
        bench.steps(&format!("> 06 00 {config};+50;ok;{PAY}accept 1;paid 1;+50{more}"))
    };
    let head = "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 165s;< result 00";
    let ok = ";ok".repeat(14);
    let all = "< line 00 Cafe Nord;< line 00 Till 7;< line 00 Receipt 0041;< line 00 2026-11-22 15:03;\
               < line 00 Phone payment;< line 00 PAID;< line 00 EUR                12.50;< line 00 Failed tries           1;\
               < line 00 Code                  K7;< line 00 Payment;< line 00 4fd29a1077c34be5;\
               < line 81 8d01c6f23a9b5e70;< done;! taken 1";
    assert_eq!(lines("06 00 00 00 82 09 78", &ok), format!("{head};{all}"));
    assert_eq!(lines("06 00 00 00 02 09 78", ";ok;ok"), format!("{head};< done;! taken 1"));
    assert_eq!(lines("06 00 00 00 80 09 78", ";ok;ok"), format!("{head};< done;! taken 1"));
    let block = lines("10 00 00 00 B6 09 78 03 01 06 06 26 04 0A 02 06 D3", ";ok;ok;ok");
    assert!(block.starts_with(&format!("{head};< block 2 Cafe Nord/Till 7/Receipt 0041/")), "{block}");
    assert!(block.ends_with("/8d01c6f23a9b5e70;< done;! taken 1"), "{block}");
    // Nothing is printed where no money moved.
    let mut bench = Bench::new(Link::Tcp);
    let script = format!("> 06 00 06 00 00 00 82 09 78;+50;ok;{PAY}accept 1;declined 1;+50;ok;ok");
    assert!(bench.steps(&script).ends_with("< result 6C customer does not pay;< fail 6C;! taken 1"));
}

#[test]
fn a_long_block_has_a_length_of_three_bytes_and_is_read_again() {
    let mut bench = Bench::new(Link::Tcp);
    bench.driver.settings.columns = 40;
    bench.driver.settings.facts.shop_name = "A shop with a name of forty characters ok".to_owned();
    bench.steps(&format!("{PORTALUM}{PAY}accept 1;paid 1;+50"));
    let bytes = bench.step("ok").bytes;
    assert_eq!(&bytes[..3], hex("06 D3 FF"));
    assert!(Apdu::parse(&bytes).is_ok());
}

#[test]
fn letters_of_code_page_437_are_printed_where_the_installer_says_so() {
    let mut bench = Bench::new(Link::Tcp);
    bench.driver.settings.facts.shop_name = "Café Süßes €".to_owned();
    bench.driver.settings.options.letters = Letters::Cp437;
    bench.steps(&format!("> 06 00 06 00 00 00 82 09 78;+50;ok;{PAY}accept 1;paid 1;+50"));
    let bytes = bench.step("ok").bytes;
    assert_eq!(&bytes[4..], b"Caf\x82 S\x81\xe1es ?");
}

#[test]
fn only_the_answer_to_the_result_and_to_each_line_takes_it() {
    let paid = format!("{REGISTER}{PAY}accept 1;paid 1;+50;");
    let head = "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 165s;< result 00;";
    // Put off: again when the shop says so, and the command goes on.
    check(&format!("{paid}no 9C;paid 1;ok;ok"), &format!("{head}! later 1 2000;< result 00;< done;! taken 1"));
    // Refused.
    check(&format!("{paid}no 83;ok"), &format!("{head}< fail 6C;! rejected 1"));
    // No answer: said again after T3, twice, then unheard. Nothing more is said, and the end least of all.
    let silent = "< result 00;< result 00;! unheard 1";
    check(&format!("{paid}+5000;+5000;+5000;+200000;ok"), &format!("{head}{silent}"));
    // An answer at the last moment.
    check(&format!("{paid}+4999;ok;ok"), &format!("{head}< done;! taken 1"));
}

#[test]
fn a_line_that_cannot_be_printed_leaves_the_result_with_the_shop_and_ends_as_the_sale_did() {
    let paid = format!("> 06 00 06 00 00 00 82 09 78;+50;ok;{PAY}accept 1;paid 1;+50;ok;");
    let head = "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 165s;< result 00;< line 00 Cafe Nord;";
    check(&format!("{paid}no CC;ok"), &format!("{head}< done;! unheard 1"));
    check(&format!("{paid}+5000;+200000"), &format!("{head}! unheard 1"));
    check(&format!("{paid}no 9C;+1999;+1;ok"), &format!("{head}< line 00 Cafe Nord;< line 00 Till 7"));
    // An enquiry in between makes it no sooner.
    check(&format!("{paid}no 9C;> 05 01 00;+1999"), &format!("{head}< no 9C"));
    // A result put off has no receipt yet.
    check(
        &format!("> 06 00 06 00 00 00 82 09 78;+50;ok;{PAY}accept 1;paid 1;+50;no 9C;+3000;paid 1;ok"),
        "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 165s;< result 00;! later 1 2000;< result 00;\
         < line 00 Cafe Nord",
    );
}

#[test]
fn a_late_answer_to_a_status_is_not_taken_for_one_to_the_result() {
    let head = "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 300s;< status 0E;";
    let unanswered = format!("{}{PAY}accept 1;+50;step 1;+5000;paid 1;", "> 06 00 06 00 00 00 08 09 78;+50;ok;");
    // The first answer is that to the status.
    check(&format!("{unanswered}ok;ok;ok"), &format!("{head}< result 00;< done;! taken 1"));
    // A till that never answers a status takes the result when it is said again.
    check(&format!("{unanswered}ok;+5000;ok"), &format!("{head}< result 00;< result 00;< done;! taken 1"));
}

#[test]
fn a_result_that_comes_while_nothing_runs_is_unheard_and_not_said() {
    check("paid 1", "! unheard 1");
    check(&format!("{PAY}accept 1;paid 2"), "< ok;! pay 12.50 EUR 165s;! unheard 2");
    check(&format!("{PAY}accept 1;down;up;paid 1"), "< ok;! pay 12.50 EUR 165s;! offline;! online;! unheard 1");
    check(
        &format!("{PAY}accept 1;paid 1;+50;down;up"),
        "< ok;! pay 12.50 EUR 165s;< result 00;! offline;! unheard 1;! online",
    );
    // T4 is over: the till has gone away.
    check(&format!("{PAY}accept 1;+180000;paid 1"), "< ok;! pay 12.50 EUR 165s;! unheard 1");
    check(&format!("{PAY}accept 1;+179999;paid 1"), "< ok;! pay 12.50 EUR 165s;< result 00");
    // And begins afresh with the result.
    check(
        &format!("{PAY}accept 1;+179999;paid 1;+5000;ok"),
        "< ok;! pay 12.50 EUR 165s;< result 00;< result 00;< done;! taken 1",
    );
}

#[test]
fn the_last_result_is_told_again_when_the_till_asks() {
    check("> 06 20 03 00 00 00;paid 1;+50;ok;ok", "< ok;! again;< result 00;< done;! taken 1");
    check(
        "> 06 20 03 00 00 00;declined 1;+50;ok;ok",
        "< ok;! again;< result 6C customer does not pay;< fail 6C;! taken 1",
    );
    check("> 06 20 03 00 00 00;returned 1;+50", "< ok;! again;< result B4 paid and given back");
    check("> 06 20 03 00 00 00;norepeat;+50;ok;ok", "< ok;! again;< result 83 no earlier payment;< fail 83");
    // One that still goes on is waited for.
    check("> 06 20 03 00 00 00;accept 1;step 1;paid 2;paid 1;+50", "< ok;! again;! unheard 2;< result 00");
}

#[test]
fn a_box_whose_books_are_damaged_says_neither_a_result_nor_sums() {
    check("> 06 20 03 00 00 00;damaged;+50;ok;ok", "< ok;! again;< result FF books of the box damaged;< fail FF");
    check("> 06 50 03 00 00 00;damaged;+50;ok", "< ok;! sums day;< fail FF");
    // It says how a sale stands by nothing but its result.
    check("> 06 20 03 00 00 00;ready;accept 1;damaged;paid 1;+50;ok;ok", "< ok;! again;< result 00;< done;! taken 1");
}

#[test]
fn what_the_till_knows_is_said_before_what_it_asks() {
    check("> 06 01 0E 04 00 00 00 00 12 50 06 05 1F 1F 02 00 41", "< ok;! knows 0041;! pay 12.50 EUR 165s");
}

#[test]
fn an_abort_is_answered_by_the_shop_and_never_once_the_result_is_out() {
    let abort = "> 06 B0 00;";
    let begun = "< ok;! pay 12.50 EUR 165s;";
    check(
        &format!("{PAY}accept 1;{abort}aborting;aborted 1;+50;ok;ok"),
        &format!("{begun}! abort;< ok;< result 6C aborted at the till;< fail 6C;! taken 1"),
    );
    check(
        &format!("{PAY}accept 1;{abort}noabort;paid 1;+50;ok;ok"),
        &format!("{begun}! abort;< no 83;< result 00;< done;! taken 1"),
    );
    // Too late: the payment is decided before the abort is.
    check(&format!("{PAY}accept 1;{abort}paid 1;+50"), &format!("{begun}! abort;< no 83;< result 00"));
    check(&format!("{PAY}accept 1;paid 1;+50;{abort}"), &format!("{begun}< result 00;< no 83"));
    // Before the sale was begun: it never is.
    check(
        &format!("{PAY}{abort}noabort;+50;ok;ok"),
        &format!("{begun}! abort;< ok;< result 6C aborted at the till;< fail 6C"),
    );
    // Pressed twice, and once more when no answer came.
    check(&format!("{PAY}accept 1;{abort}{abort}+5000;{abort}"), &format!("{begun}! abort;< no 9C;! abort"));
    // An answer that comes too late would be one to the next command.
    check(&format!("{PAY}accept 1;{abort}+4999;aborting"), &format!("{begun}! abort;< ok"));
    check(&format!("{PAY}accept 1;{abort}+5000;aborting"), &format!("{begun}! abort"));
    check(&format!("{abort}> 06 02 00;aborting"), "! abort;< ok");
    // A sale that the till has lost may still be stopped.
    check(&format!("{abort}aborting"), "! abort;< ok");
    check(&format!("> 06 50 03 00 00 00;{abort}"), "< ok;! sums day;< no 83");
}

#[test]
fn an_enquiry_waits_and_any_other_command_shows_that_the_till_has_forgotten_what_ran() {
    let begun = "< ok;! pay 12.50 EUR 165s;";
    check(&format!("{PAY}accept 1;> 05 01 00;> 06 70 00;paid 1;+50"), &format!("{begun}< no 9C;< no 9C;< result 00"));
    check(
        &format!("{PAY}accept 1;> 06 00 06 00 00 00 00 09 78;paid 1;+50;ok;{PAY}"),
        format!("{begun}< ok;! unheard 1;< done 19 00 29 00 00 00 01 49 09 78;{begun}").trim_end_matches(';'),
    );
    check(&format!("{PAY}accept 1;> 06 22 00;> 06 02 00;paid 1"), &format!("{begun}< no 83;< ok;! unheard 1"));
    check(&format!("{PAY}accept 1;> 06 18 00;paid 1;+50"), &format!("{begun}< ok;! unheard 1;< done"));
    // It asks what became of it: the sale goes on, and its result is the answer.
    check(
        &format!("{PAY}accept 1;> 06 20 03 00 00 00;accept 1;paid 1;+50;ok;ok"),
        &format!("{begun}< ok;! again;< result 00;< done;! taken 1"),
    );
    // It asks for something else: what there is to say to that, the shop says.
    check(
        &format!("{PAY}accept 1;> 06 01 07 04 00 00 00 00 20 00;refuse busy;paid 1;+50;ok;ok"),
        &format!("{begun}< ok;! pay 20.00 EUR 165s;! unheard 1;< result 9C another sale is under way;< fail 9C"),
    );
    // A result on its way that the till has not taken is unheard.
    check(
        &format!("{PAY}accept 1;paid 1;+50;> 06 01 07 04 00 00 00 00 20 00"),
        &format!("{begun}< result 00;< ok;! unheard 1;! pay 20.00 EUR 165s"),
    );
    // A till that answers the end by its next command.
    check(
        &format!("{PAY}accept 1;paid 1;+50;ok;{PAY}"),
        format!("{begun}< result 00;< done;! taken 1;{begun}").trim_end_matches(';'),
    );
}

#[test]
fn the_same_request_while_it_runs_is_the_same_sale() {
    let begun = "< ok;! pay 12.50 EUR 165s;";
    check(&format!("{PAY}accept 1;{PAY}paid 1;+50;ok;ok"), &format!("{begun}< ok;< result 00;< done;! taken 1"));
    // The till waits from then on.
    check(&format!("{PAY}accept 1;+100000;{PAY}+100000;paid 1"), &format!("{begun}< ok;< result 00"));
    // Its result is out: whether this is the same sale, the shop says.
    check(
        &format!("{PAY}accept 1;paid 1;+50;{PAY}accept 1;paid 1;+50;ok"),
        &format!("{begun}< result 00;< ok;! unheard 1;! pay 12.50 EUR 165s;< result 00;< done;! taken 1"),
    );
}

#[test]
fn an_answer_to_an_earlier_request_is_not_told_as_one_to_this() {
    // The line was lost, the till asks for another amount, and the shop has only just taken the first request.
    let script = format!("{PAY}down;up;> 06 01 07 04 00 00 00 00 20 00;accept 1;refuse busy;paid 1;+50;ok;ok");
    check(
        &script,
        "< ok;! pay 12.50 EUR 165s;! offline;! online;< ok;! pay 20.00 EUR 165s;! unheard 1;\
         < result FF press repeat receipt;< fail FF",
    );
}

#[test]
fn refund_and_reversal_name_their_sale_and_end_like_a_sale() {
    check(
        "> 06 31 0A 00 00 00 04 00 00 00 00 12 50;accept 1;refunded 1;+50;ok;ok",
        "< ok;! refund 12.50 EUR 165s;< result 00;< done;! taken 1",
    );
    check(
        "> 06 30 06 00 00 00 87 00 41;accept 1;reversed 1;+50;ok;ok",
        "< ok;! reverse 0.00 EUR of 0041 165s;< result 00 given back, pending;< done;! taken 1",
    );
    for (why, code) in [("gone", "B4"), ("unknown", "B5"), ("left", "C3"), ("nophone", "83")] {
        let out = Bench::new(Link::Tcp).steps(&format!("> 06 30 06 00 00 00 87 00 41;refuse {why};+50;ok;ok"));
        assert!(out.starts_with(&format!("< ok;! reverse 0.00 EUR of 0041 165s;< result {code} ")), "{out}");
        assert!(out.ends_with(&format!(";< fail {code}")), "{out}");
    }
}

#[test]
fn a_day_is_closed_once_the_till_has_taken_its_sums() {
    check("> 06 50 03 00 00 00;totals;+50;ok;ok", "< ok;! sums day;< result 00;< done;! closed 77");
    check("> 06 50 03 00 00 00;totals;+50;no 83;ok", "< ok;! sums day;< result 00;< fail 6C");
    check(
        "> 06 50 03 00 00 00;totals;+50;no 9C;+2000;ok",
        "< ok;! sums day;< result 00;< result 00;< done;! closed 77",
    );
    check(
        "> 06 50 03 00 00 00;totals;+50;+15000;> 05 01 00",
        "< ok;! sums day;< result 00;< result 00;< result 00;< ok;! status",
    );
    // Asked for in between, nothing is closed.
    check("> 06 10 03 00 00 00;totals;+50;ok;ok", "< ok;! sums day;< result 00;< done");
    check("> 06 50 03 00 00 00;+30000;ok", "< ok;! sums day;< fail FF");
    check("> 06 50 03 00 00 00;+29999;totals", "< ok;! sums day;< result 00");
    check("totals", "");
    let mut bench = Bench::new(Link::Tcp);
    let out =
        bench.steps(&format!("> 06 00 06 00 00 00 84 09 78;+50;ok;> 06 50 03 00 00 00;totals;+50{}", ";ok".repeat(10)));
    let lines = "< line 00 Cafe Nord;! closed 77;< line 00 Till 7;< line 00 END OF DAY;< line 00 Payments              12;\
                 < line 00 EUR               150.00;< line 00 Given back             2;< line 00 EUR                25.00;\
                 < line 81 Not paid               3;< done";
    assert!(out.ends_with(lines), "{out}");
}

#[test]
fn the_sum_of_a_day_is_what_is_left_of_it() {
    let mut bench = Bench::new(Link::Tcp);
    bench.steps("> 06 50 03 00 00 00;totals");
    assert_eq!(bench.step("+50").bytes, hex("04 0F 09 27 00 04 00 00 00 01 25 00"));
}

#[test]
fn enquiries_and_formalities_are_answered() {
    let version = env!("CARGO_PKG_VERSION");
    let state = |code: &str| {
        let digits = version.bytes().map(|b| format!(" {b:02X}")).collect::<String>();
        format!("< ok;! status;< done F0 F0 F{}{digits} {code}", version.len())
    };
    check("> 05 01 03 12 34 56;ready;+50;ok", &state("00"));
    check("> 05 01 00;notready;+50;ok", &state("A3"));
    check("> 05 01 00;+30000;ok", "< ok;! status;< fail FF");
    for formality in ["06 70 00", "06 93 03 00 00 00", "06 18 00", "06 12 03 00 00 00"] {
        check(&format!("> {formality};+50;ok"), "< ok;< done");
    }
    check("> 06 02 00;+500", "< ok");
    for unknown in ["06 22 07 04 00 00 00 00 12 50", "06 C0 00", "08 30 01 00", "06 E0 00"] {
        check(&format!("> {unknown};+500"), "< no 83");
    }
}

#[test]
fn a_till_that_wants_status_is_kept_listening_and_no_other() {
    let begun = "< ok;< done 19 00 29 00 00 00 01 49 09 78;< ok;! pay 12.50 EUR 300s;< status 0E;";
    let registered = "> 06 00 06 00 00 00 08 09 78;+50;ok;";
    check(&format!("{registered}{PAY}accept 1;+50;step 1;ok;+59999"), begun.trim_end_matches(';'));
    check(
        &format!("{registered}{PAY}accept 1;+50;step 1;ok;+60000;ok;+60000;ok"),
        &format!("{begun}< status 0E;< status 0E"),
    );
    // For ever is not needed: at the end of its patience the shop has spoken.
    let mut bench = Bench::new(Link::Tcp);
    bench.steps(&format!("{registered}{PAY}accept 1;+50;step 1;ok"));
    let said: usize = (0..20).map(|_| bench.steps("+60000;ok").matches("status").count()).sum();
    assert_eq!(said, 5);
    assert!(bench.driver.run.is_none());
    assert_eq!(bench.driver.deadline(), None);
    assert_eq!(Bench::new(Link::Tcp).steps(&format!("{PAY}accept 1;+179000")), "< ok;! pay 12.50 EUR 165s");
}

#[test]
fn the_longest_wait_is_what_the_installer_says_within_its_bounds() {
    for (secs, is) in [(0, 60), (120, 120), (9_999, 900)] {
        let mut bench = Bench::new(Link::Tcp);
        bench.driver.settings.options.longest_wait_secs = secs;
        bench.driver.settings.options.config_byte = 0x08;
        bench.driver.till.config = 0x08;
        assert_eq!(bench.steps(PAY), format!("< ok;! pay 12.50 EUR {is}s"));
        assert_eq!(bench.driver.capabilities().longest_wait_ms, (is * 1_000).max(PATIENCE_MS));
    }
}

#[test]
fn nothing_follows_our_answer_in_one_piece() {
    let mut bench = Bench::new(Link::Tcp);
    assert_eq!(bench.step("> 06 70 00").bytes, hex("80 00 00"));
    assert_eq!(bench.driver.deadline(), Some(bench.now.plus_ms(GAP_MS)));
    assert_eq!(bench.step("+49").bytes, hex(""));
    assert_eq!(bench.step("+1").bytes, hex("06 0F 00"));
}

#[test]
fn over_tcp_the_rest_of_a_command_may_take_its_time_but_not_for_ever() {
    let mut bench = Bench::new(Link::Tcp);
    let pay = hex("06 01 07 04 00 00 00 00 12 50");
    bench.hear(&pay[..4]);
    bench.step("+4999");
    assert_eq!(bench.hear(&pay[4..]).events.len(), 1);
    bench.step("down");
    bench.step("up");
    bench.hear(&pay[..4]);
    bench.step("+3000");
    bench.hear(&pay[4..5]);
    bench.step("+2000");
    assert_eq!(bench.hear(&pay).events.len(), 1);
    assert_eq!(bench.driver.counts().bad_frames, 1);
}

#[test]
fn on_a_serial_line_every_frame_is_acknowledged_first_and_answered_then() {
    serial("> 06 01 07 04 00 00 00 00 10 00;accept 1;ack;+50;paid 10", "< ack;< ok;! pay 10.00 EUR 165s;! unheard 10");
    serial(
        &format!("{PAY}accept 1;ack;paid 1;+50;ack;ok;ack;ok"),
        "< ack;< ok;! pay 12.50 EUR 165s;< result 00;< ack;< done;! taken 1;< ack",
    );
    // Acknowledgement and answer in one read.
    serial(
        &format!("{PAY}accept 1;ack;paid 1;+50;ack+ok;ack+ok"),
        "< ack;< ok;! pay 12.50 EUR 165s;< result 00;< ack;< done;! taken 1;< ack",
    );
}

#[test]
fn the_bytes_on_a_serial_line_are_those_of_real_terminals() {
    let mut bench = Bench::new(Link::Serial);
    let out = bench.hear(&hex("10 02 05 01 03 12 34 56 10 03 E0 43"));
    assert_eq!(out.bytes, hex("06 10 02 80 00 00 10 03 F5 1F"));
    // Ten euros are a DLE in the amount, which is doubled on the line.
    bench.steps("ack;ready;+50;ack;ok");
    let out = bench.hear(&frame(&hex("06 01 07 04 00 00 00 00 10 00")));
    assert!(has(&frame(&hex("06 01 07 04 00 00 00 00 10 00")), &hex("00 10 10 00 10 03")));
    assert_eq!(out.events.iter().map(event_text).collect::<Vec<_>>(), ["pay 10.00 EUR 165s"]);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_after_t2_and_after_a_refusal() {
    let head = "< ack;< ok;! pay 12.50 EUR 165s;";
    let wait = Bench::serial_wait(&Apdu::positive());
    serial(&format!("{PAY}+{};ack", wait - 1), head.trim_end_matches(';'));
    serial(&format!("{PAY}+{wait};+{wait};+{wait};+100"), &format!("{head}< ok;< ok"));
    serial(&format!("{PAY}nak;nak;nak"), &format!("{head}< ok;< ok"));
    // The result too; then it is unheard.
    serial(
        &format!("{PAY}accept 1;ack;paid 1;+50;nak;nak;nak;+500000"),
        &format!("{head}< result 00;< result 00;< result 00;! unheard 1"),
    );
    // Acknowledged, but no answer: said again as a new frame, when the till has had time to repeat its own.
    serial(&format!("{PAY}accept 1;ack;paid 1;+50;ack;+15999"), &format!("{head}< result 00"));
    serial(
        &format!("{PAY}accept 1;ack;paid 1;+50;ack;+16000;ack;+16000;ack;ok"),
        &format!("{head}< result 00;< result 00;< result 00;< ack;< done;! taken 1"),
    );
}

#[test]
fn a_repeated_command_is_acknowledged_and_not_done_twice() {
    let head = "< ack;< ok;! pay 12.50 EUR 165s;";
    serial(&format!("{PAY}{PAY}accept 1;ack;paid 1;+50"), &format!("{head}< ack;< ok;< result 00"));
    // Our answer was given up: the till waits for nothing any more.
    let wait = Bench::serial_wait(&Apdu::positive());
    let given_up = format!("{PAY}accept 1;+{wait};+{wait};+{wait};");
    serial(&format!("{given_up}paid 1"), &format!("{head}< ok;< ok;! unheard 1"));
    serial(&format!("{given_up}{PAY}"), format!("{head}< ok;< ok;{head}").trim_end_matches(';'));
    // It may have our answer without our acknowledgement.
    serial(&format!("{PAY}ack;accept 1;{PAY}ack;paid 1;+50"), &format!("{head}< ack;< ok;< result 00"));
    serial(&format!("{PAY}ack;accept 1;paid 1;+50;{PAY}"), &format!("{head}< result 00;< ack;< ok"));
    // It has gone on: this is another request.
    serial(
        &format!("{PAY}ack;accept 1;paid 1;+50;ack;ok;{PAY}"),
        format!("{head}< result 00;< ack;< done;! taken 1;{head}").trim_end_matches(';'),
    );
    serial("> 06 02 00;> 06 02 00;ack;> 06 02 00", "< ack;< ok;< ack;< ok;< ack;< ok");
    // What ran is over: this is another sale.
    serial(
        &format!("{PAY}refuse busy;ack;+50;ack;ok;ack;ok;{PAY}"),
        format!("{head}< result 9C another sale is under way;< ack;< fail 9C;< ack;{head}").trim_end_matches(';'),
    );
    // An abort that waits for the shop is asked for once.
    serial(
        &format!("{PAY}accept 1;ack;> 06 B0 00;> 06 B0 00;aborting;> 06 B0 00;ack"),
        &format!("{head}< ack;! abort;< ack;< ok;< ack;< ok"),
    );
}

#[test]
fn an_answer_repeated_because_our_acknowledgement_was_lost_takes_no_result() {
    let mut bench = Bench::new(Link::Serial);
    bench.steps(&format!("> 06 00 06 00 00 00 08 09 78;ack;+50;ack;ok;{PAY}ack;accept 1;+50;step 1;ack;ok"));
    // The till has not heard our acknowledgement of its answer to the status and says it again.
    assert_eq!(bench.steps("paid 1;ok"), "< result 00;< ack");
    assert_eq!(bench.steps("ack;ok"), "< ack;< done;! taken 1");
    // The end of a command decides nothing: its answer alone will do.
    assert_eq!(bench.steps("ok;+500000"), "< ack");
}

#[test]
fn an_abort_crosses_a_status_on_a_serial_line() {
    let mut bench = Bench::new(Link::Serial);
    bench.steps(&format!("> 06 00 06 00 00 00 08 09 78;ack;+50;ack;ok;{PAY}ack;accept 1;+50;step 1"));
    // The status is on its way; our answer goes first, and the status again after it.
    assert_eq!(bench.steps("> 06 B0 00;aborting;ack;+50"), "< ack;! abort;< ok;< status 0E");
    assert_eq!(bench.steps("ack;ok;aborted 1;ack;ok"), "< ack;< status 1D;< ack;< result 6C aborted at the till");
}

#[test]
fn a_frame_whose_rest_does_not_come_is_refused_after_t1() {
    let mut bench = Bench::new(Link::Serial);
    let pay = frame(&hex("06 01 07 04 00 00 00 00 10 00"));
    for cut in 2..pay.len() {
        bench.hear(&pay[..cut]);
        assert_eq!(bench.step("+199").bytes, hex(""), "cut at {cut}");
        assert_eq!(bench.step("+1").bytes, [NAK], "cut at {cut}");
        assert_eq!(bench.step("+500").bytes, hex(""), "cut at {cut}");
    }
    assert_eq!(bench.hear(&pay).events.len(), 1);
}

#[test]
fn a_request_is_heard_however_it_is_cut_broken_or_surrounded() {
    for link in [Link::Serial, Link::Tcp] {
        let pay = hex("06 01 07 04 00 00 00 00 10 00");
        let bytes = if link == Link::Serial { frame(&pay) } else { pay.clone() };
        for cut in 0..=bytes.len() {
            let mut bench = Bench::new(link);
            let mut out = bench.hear(&bytes[..cut]);
            bench.step("+150");
            let rest = bench.hear(&bytes[cut..]);
            out.events.extend(rest.events);
            assert_eq!(out.events.len(), 1, "{link:?} cut at {cut}");
        }
    }
    let pay = frame(&hex("06 01 07 04 00 00 00 00 10 00"));
    for at in 0..pay.len() {
        for flip in [0x01, 0x04, 0x10, 0x80] {
            let mut bench = Bench::new(Link::Serial);
            let mut broken = pay.clone();
            broken[at] ^= flip;
            assert_eq!(bench.hear(&broken).events, [], "wrong at {at}");
            bench.step("+1000");
            assert_eq!(bench.hear(&pay).events.len(), 1, "after one wrong at {at}");
        }
    }
    for cut in 2..pay.len() - 4 {
        let out = Bench::new(Link::Serial).hear(&[&pay[..cut], &pay[..]].concat());
        let heard = out.events.len() + usize::from(out.bytes.ends_with(&[NAK]));
        assert_eq!(heard, 1, "a frame begun anew after {cut} bytes is heard, or refused and said again");
    }
    assert_eq!(Bench::new(Link::Serial).hear(&[&pay[..7], &pay[..]].concat()).events.len(), 1);
    let mut bench = Bench::new(Link::Serial);
    let noise = [0x00, 0xff, 0x10, 0x20, ACK, NAK, 0x02, 0x03];
    let out = bench.hear(&[&noise, &pay[..], &noise, &frame(&hex("05 01 00"))].concat());
    assert_eq!(said(Link::Serial, &out.bytes), ["ack", "ok", "ack", "no 9C"]);
    assert_eq!(out.events.len(), 1);
}

#[test]
fn lengths_and_objects_that_lie_are_refused_and_cost_no_memory() {
    let long = [&hex("06 01 FF FF FF")[..], &[0x04; 65_535]].concat();
    let mut bench = Bench::new(Link::Tcp);
    assert_eq!(said(Link::Tcp, &bench.hear(&long).bytes), ["no 9A"]);
    assert_eq!(bench.steps(PAY), "< ok;! pay 12.50 EUR 165s");
    let mut bench = Bench::new(Link::Serial);
    assert_eq!(bench.hear(&frame(&long)).bytes, [NAK]);
    for bad in ["06 05 1F 1F 20 00 41", "06 83 FF FF FF 00", "06 04 26 82 FF FF", "06 02 1F FF", "3C F9 F9 F9 41"] {
        let data = hex(&format!("04 00 00 00 00 12 50 {bad}"));
        let apdu = Apdu::new(control::AUTHORISATION, data).bytes();
        assert_eq!(said(Link::Tcp, &Bench::new(Link::Tcp).hear(&apdu).bytes), ["no 9A"], "{bad}");
    }
    // Objects in objects in objects are bytes like others.
    let deep = (0..500).fold(Vec::new(), |inner: Vec<u8>, _| {
        let mut outer = super::super::apdu::Writer::default();
        outer.object(tag::COMMANDS, &inner);
        outer.0
    });
    let mut data = super::super::apdu::Writer(hex("04 00 00 00 00 12 50"));
    data.container(&super::super::apdu::Writer(deep));
    let out = Bench::new(Link::Tcp).hear(&Apdu::new(control::AUTHORISATION, data.0).bytes());
    assert_eq!(out.events.len(), 1);
}

#[test]
fn a_serial_sale_survives_the_unplug_and_its_result_waits_for_the_replug() {
    serial(
        &format!("{PAY}ack;accept 1;+50;down;paid 1;+4000;up;ack;ok;ack;ok"),
        "< ack;< ok;! pay 12.50 EUR 165s;! offline;< result 00;! online;< ack;< done;! taken 1;< ack",
    );
    // Too long away: the till asks for it.
    serial(
        &format!("{PAY}ack;accept 1;+50;down;paid 1;+20000;up;> 06 20 03 00 00 00;paid 1;ack;+50"),
        "< ack;< ok;! pay 12.50 EUR 165s;! offline;! unheard 1;! online;< ack;< ok;! again;< result 00",
    );
}

#[test]
fn a_million_random_bytes_do_no_harm_and_a_good_request_still_works() {
    for link in [Link::Serial, Link::Tcp] {
        let mut bench = Bench::new(link);
        let mut x: u64 = 0x5eed;
        let alphabet = hex("10 02 10 03 06 15 80 00 84 06 01 04 0F 07 00 12 50 FF 1F 20");
        for piece in 0..10_000_u64 {
            let bytes: Vec<u8> = (0..100)
                .map(|_| {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let byte = (x >> 33) as u8;
                    if piece % 2 == 0 { byte } else { alphabet[usize::from(byte) % alphabet.len()] }
                })
                .collect();
            bench.hear(&bytes);
            bench.step("+10");
        }
        bench.step("+1000000");
        let counts = bench.driver.counts();
        assert!(counts.bad_frames > 100 && counts.junk_bytes > 10_000, "{counts:?}");
        bench.step("down");
        bench.step("up");
        assert!(bench.steps("> 06 01 07 04 00 00 00 00 12 50").contains("! pay 12.50"), "{link:?}");
    }
}

#[test]
fn every_result_and_every_refusal_has_a_code_and_fits_into_its_command() {
    let most = Amount::from_minor(Amount::MINOR_MAX, eur()).unwrap();
    for outcome in [
        Outcome::Approved,
        Outcome::Returned { pending: true },
        Outcome::Declined(DeclinedWhy::WrongPayment),
        Outcome::Declined(DeclinedWhy::Failed(Reason::NoFunds)),
        Outcome::Cancelled(CancelledWhy::PowerCut),
        Outcome::Lapsed,
    ] {
        for kind in [AskKind::Pay, AskKind::Refund, AskKind::Reverse] {
            let finish = Finish { amount: most, failed_tries: u32::MAX, outcome, kind, given_back_minor: 7, ..paid(1) };
            let bytes = said::result(&Bench::new(Link::Tcp).driver.settings, true, &finish).bytes();
            let apdu = Apdu::parse(&bytes).unwrap();
            let fields = Reader(&apdu.data).fields().unwrap();
            assert!(fields.whole);
            let done = matches!(outcome, Outcome::Approved | Outcome::Returned { .. });
            assert_eq!(fields.byte(0x27) == Some(0), done, "{outcome:?}");
            assert_eq!(fields.get(0x04).is_some(), done, "only what succeeded has an amount");
            assert_eq!(fields.number(0x87), Ok(Some(41)), "the till mirrors the number of every result");
        }
    }
}

fn eur() -> Currency {
    Currency::from_code("EUR").unwrap()
}

fn paid(sale: u128) -> Finish {
    Finish {
        sale: SaleId(sale),
        ticket: None,
        code: Code::parse("K7").unwrap(),
        amount: Amount::from_minor(1_250, eur()).unwrap(),
        kind: AskKind::Pay,
        receipt: ReceiptNumber::new(41),
        outcome: Outcome::Approved,
        attempt: Some(AttemptId(0x4fd2_9a10_77c3_4be5_8d01_c6f2_3a9b_5e70)),
        given_back_minor: 0,
        failed_tries: 1,
        at: Some(Wall(1_795_356_180_000)),
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Plays a script over TCP.
#[track_caller]
fn check(script: &str, expected: &str) {
    assert_eq!(Bench::new(Link::Tcp).steps(script), expected, "{script}");
}

/// Plays a script on a serial line.
#[track_caller]
fn serial(script: &str, expected: &str) {
    assert_eq!(Bench::new(Link::Serial).steps(script), expected, "{script}");
}

/// A driver on an open line, and a clock that stands still unless told.
struct Bench {
    driver: Zvt,
    link: Link,
    now: Mono,
}

impl Bench {
    fn new(link: Link) -> Bench {
        let settings = ZvtSettings {
            till: TillNumber::new(7).unwrap(),
            currency: eur(),
            facts: ReceiptFacts { shop_name: "Cafe Nord".to_owned(), time_zone: TimeZone::get("Europe/Berlin").ok() },
            columns: 24,
            byte_us: 1_146,
            options: ZvtOptions::default(),
        };
        let mut bench = Bench { driver: Zvt::new(settings, link), link, now: Mono(1_000_000) };
        bench.step("up");
        bench
    }

    /// How long the acknowledgement of a frame is waited for.
    fn serial_wait(apdu: &Apdu) -> u64 {
        T2_MS + (frame(&apdu.bytes()).len() as u64 * 1_146).div_ceil(1_000)
    }

    fn hear(&mut self, bytes: &[u8]) -> Out {
        let mut out = Out::default();
        self.driver.received(self.now, bytes, &mut out);
        out
    }

    fn steps(&mut self, script: &str) -> String {
        let mut done = Vec::new();
        for step in script.split(';').filter(|step| !step.is_empty()) {
            let out = self.step(step);
            done.extend(said(self.link, &out.bytes).into_iter().map(|said| format!("< {said}")));
            done.extend(out.events.iter().map(|event| format!("! {}", event_text(event))));
        }
        done.join(";")
    }

    fn step(&mut self, step: &str) -> Out {
        let mut out = Out::default();
        let framed = |bytes: Vec<u8>| if self.link == Link::Serial { frame(&bytes) } else { bytes };
        let words: Vec<&str> = step.split(' ').collect();
        match words.as_slice() {
            [">", ..] => return self.hear(&framed(hex(&step[1..]))),
            ["ack"] => return self.hear(&[ACK]),
            ["nak"] => return self.hear(&[NAK]),
            ["ok"] => return self.hear(&framed(Apdu::positive().bytes())),
            ["ack+ok"] => return self.hear(&[&[ACK], &framed(Apdu::positive().bytes())[..]].concat()),
            ["no", code] => return self.hear(&framed(Apdu::negative(hex(code)[0]).bytes())),
            ["up"] => self.driver.line(self.now, true, &mut out),
            ["down"] => self.driver.line(self.now, false, &mut out),
            [wait] if wait.starts_with('+') => {
                let until = self.now.plus_ms(wait[1..].parse().unwrap());
                while let Some(due) = self.driver.deadline().filter(|due| *due <= until) {
                    self.now = due.max(self.now);
                    self.driver.passed(self.now, &mut out);
                }
                self.now = until;
                self.driver.passed(self.now, &mut out);
            }
            words => {
                let answer = answer(words);
                self.driver.tell(self.now, &answer, &mut out);
            }
        }
        out
    }
}

/// What the shop says.
fn answer(words: &[&str]) -> TillAnswer {
    let sale = |number: &str| SaleId(number.parse().unwrap());
    let progress = |number: &str, progress| TillAnswer::Progress { sale: sale(number), ticket: None, progress };
    let finish = |number: &str, outcome, kind| {
        let moved = matches!(outcome, Outcome::Approved | Outcome::Returned { .. });
        let paid = paid(number.parse().unwrap());
        TillAnswer::Finish(Box::new(Finish { outcome, kind, attempt: paid.attempt.filter(|_| moved), ..paid }))
    };
    let pay = |number, outcome| finish(number, outcome, AskKind::Pay);
    match words {
        ["accept", n] => TillAnswer::Accepted { sale: sale(n), ticket: None, code: Code::parse("K7").unwrap() },
        ["refuse", why] => TillAnswer::Refused {
            ticket: None,
            why: match *why {
                "busy" => Refusal::Busy,
                "currency" => Refusal::WrongCurrency,
                "gone" => Refusal::AllGivenBack,
                "unknown" => Refusal::NoSuchSale,
                "left" => Refusal::MoreThanLeft { left_minor: 100 },
                "nophone" => Refusal::NoPhone,
                other => panic!("{other}"),
            },
        },
        ["step", n] => progress(n, Progress::Offered),
        ["checking", n] => progress(n, Progress::Checking),
        ["failed", n] => progress(n, Progress::Failed { reason: Reason::NoFunds, try_no: 1, new_attempt: false }),
        ["paid", n] => pay(n, Outcome::Approved),
        ["returned", n] => {
            let paid = paid(n.parse().unwrap());
            TillAnswer::Finish(Box::new(Finish { given_back_minor: paid.amount.minor(), ..paid }))
        }
        ["declined", n] => pay(n, Outcome::Declined(DeclinedWhy::Customer)),
        ["aborted", n] => pay(n, Outcome::Cancelled(CancelledWhy::Till)),
        ["refunded", n] => finish(n, Outcome::Returned { pending: false }, AskKind::Refund),
        ["reversed", n] => finish(n, Outcome::Returned { pending: true }, AskKind::Reverse),
        ["aborting"] => TillAnswer::Aborting { ticket: None },
        ["noabort"] => TillAnswer::NothingToAbort { ticket: None },
        ["norepeat"] => TillAnswer::NothingToRepeat { ticket: None },
        ["ready"] => TillAnswer::Status { ready: Ok(()) },
        ["notready"] => TillAnswer::Status { ready: Err(Refusal::NoLine) },
        ["damaged"] => TillAnswer::Status { ready: Err(Refusal::NoSales(NoSales::StoreDamaged)) },
        ["totals"] => TillAnswer::Totals(Totals {
            of: Span::Day,
            mark: 77,
            approved: 12,
            approved_minor: 15_000,
            given_back: 2,
            given_back_minor: 2_500,
            unpaid: 3,
        }),
        other => panic!("{other:?}"),
    }
}

/// What the box has said, as a till understands it.
fn said(link: Link, bytes: &[u8]) -> Vec<String> {
    let mut frames = Frames::default();
    let mut stream = Stream::default();
    let mut one = |byte: &u8| match link {
        Link::Serial => frames.push(*byte).map(|found| match found {
            Found::Ack => "ack".to_owned(),
            Found::Nak => "nak".to_owned(),
            Found::Frame(bytes) => apdu_text(&Apdu::parse(&bytes).unwrap()),
            Found::Bad => panic!("no frame of ours"),
        }),
        Link::Tcp => stream.push(*byte).map(|apdu| apdu_text(&apdu.unwrap())),
    };
    let said = bytes.iter().filter_map(&mut one).collect();
    assert!(!frames.begun() && frames.junk_bytes == 0 && stream.held() == 0 && stream.junk_bytes == 0);
    said
}

fn apdu_text(apdu: &Apdu) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let lines = |objects: &[u8], within: u32| {
        let objects = Reader(objects).objects().unwrap();
        let block = objects.iter().find(|(tag, _)| *tag == within).unwrap().1;
        let lines = Reader(block).objects().unwrap();
        let lines: Vec<String> =
            lines.iter().filter(|(tag, _)| *tag == tag::LINE).map(|(_, line)| text(line)).collect();
        lines.join("/")
    };
    let data = apdu.data.as_slice();
    match (apdu.control, data) {
        (control::POSITIVE, []) => "ok".to_owned(),
        (control, []) if control >> 8 == 0x84 => format!("no {:02X}", control & 0xff),
        (control::COMPLETION, _) => {
            let data: String = data.iter().map(|b| format!(" {b:02X}")).collect();
            format!("done{data}")
        }
        (control::ABORTED, [code]) => format!("fail {code:02X}"),
        (control::STATUS_INFORMATION, _) => {
            let fields: Fields<'_> = Reader(data).fields().unwrap();
            let result = fields.byte(0x27).unwrap();
            let words = fields.get(0x3c).map(text).filter(|text| text != "paid" && text != "given back");
            format!("result {result:02X}{}", words.map(|words| format!(" {words}")).unwrap_or_default())
        }
        (control::INTERMEDIATE_STATUS, [byte]) => format!("status {byte:02X}"),
        (control::INTERMEDIATE_STATUS, [byte, 0x03, rest @ ..]) => {
            let objects = Reader(rest).fields().unwrap().get(0x06).unwrap();
            format!("status {byte:02X} {}", lines(objects, tag::DISPLAY))
        }
        (control::PRINT_LINE, [attribute, line @ ..]) => format!("line {attribute:02X} {}", text(line)),
        (control::PRINT_BLOCK, _) => {
            let objects = Reader(data).fields().unwrap().get(0x06).unwrap();
            let all = Reader(objects).objects().unwrap();
            let kind = all.iter().find(|(tag, _)| *tag == tag::RECEIPT_KIND).unwrap().1[0];
            format!("block {kind} {}", lines(objects, tag::PRINT))
        }
        other => panic!("{other:02X?}"),
    }
}

fn event_text(event: &TillEvent) -> String {
    match event {
        TillEvent::Online => "online".to_owned(),
        TillEvent::Offline => "offline".to_owned(),
        TillEvent::Asked(ask) => {
            assert!(ask.ticket.is_none() && ask.hears_result);
            let kind = match ask.kind {
                AskKind::Pay => "pay",
                AskKind::Refund => "refund",
                AskKind::Reverse => "reverse",
            };
            let of = match ask.of {
                Some(Of::Receipt(receipt)) => format!(" of {receipt}"),
                Some(Of::Ticket(_)) => panic!("ZVT has no tickets"),
                None => String::new(),
            };
            format!("{kind} {}{of} {}s", ask.amount, ask.patience_ms / 1_000)
        }
        TillEvent::Aborted { ticket: None } => "abort".to_owned(),
        TillEvent::AskedAgain { ticket: None } => "again".to_owned(),
        TillEvent::Taken { sale } => format!("taken {}", sale.0),
        TillEvent::TakeLater { sale, after_ms } => format!("later {} {after_ms}", sale.0),
        TillEvent::Rejected { sale } => format!("rejected {}", sale.0),
        TillEvent::Unheard { sale } => format!("unheard {}", sale.0),
        TillEvent::AskedStatus => "status".to_owned(),
        TillEvent::AskedTotals { of: Span::Day } => "sums day".to_owned(),
        TillEvent::DayClosed { mark } => format!("closed {mark}"),
        TillEvent::Knows { receipt } => format!("knows {receipt}"),
        other => panic!("{other:?}"),
    }
}
