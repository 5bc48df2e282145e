//! The cases of returns: a till gives money back. `PAID` and its like are common beginnings.

use super::world::{alarms, left_open, play, played};
use crate::shop::effect::Outcome;

const TAKEN: &str = "a at 7; ask 12.50 #1; a confirm; open; paid; take; a finish";

#[track_caller]
fn check(script: &str, last: &str) {
    assert_eq!(play(script), last, "\nscript: {script}");
}

#[track_caller]
fn after(start: &str, then: &str, last: &str) {
    check(&format!("{start}; {then}"), last);
}

#[test]
fn any_part_is_given_back_by_ticket_or_receipt_and_never_more_than_is_left() {
    after(TAKEN, "refund 5.00 of #1 #2", "accept; refund 1 5.00");
    after(TAKEN, "refund 5.00 of r1 #2", "accept; refund 1 5.00");
    after(TAKEN, "refund 5.00 of r1 #2; refund-taken", "query-refund 1; finish Returned { pending: false }");
    after(TAKEN, "refund 5.00 of r1 #2; refunded", "finish Returned { pending: false }");
    let first = format!("{TAKEN}; refund 5.00 of #1 #2; refunded; take");
    after(&first, "refund 7.50 of #1 #3", "accept; refund 1 7.50");
    after(&first, "refund 7.51 of #1 #3", "refuse MoreThanLeft { left_minor: 750 }");
    after(&first, "refund 7.50 of #1 #3; refunded; take; refund 0.01 of #1 #4", "refuse AllGivenBack");
    after(&first, "last1", "finish Approved -500");
    after(TAKEN, "refund 12.51 of #1 #2", "refuse MoreThanLeft { left_minor: 1250 }");
    after(TAKEN, "refund 0.00 of #1 #2", "refuse TooLittle { min_minor: 1 }");
    assert_eq!(left_open(&first), 0);
}

#[test]
fn a_reversal_gives_back_all_that_is_left() {
    after(TAKEN, "reverse of r1", "accept; refund 1 12.50");
    after(TAKEN, "refund 5.00 of r1; refunded; take; reverse of r1", "accept; refund 1 7.50");
    after(TAKEN, "reverse 12.50 of r1", "accept; refund 1 12.50");
    after(TAKEN, "refund 5.00 of r1; refunded; take; reverse 7.50 of r1", "accept; refund 1 7.50");
    // The till takes it for another sale than the one that has the number now.
    after(TAKEN, "reverse 12.00 of r1", "refuse NoSuchSale");
    after(TAKEN, "reverse of r1; refunded; take; reverse of r1", "refuse AllGivenBack");
    after(TAKEN, "reverse of r1; refunded; take; last1", "finish Approved -1250");
}

#[test]
fn only_a_paid_sale_of_this_till_is_given_back() {
    after(TAKEN, "refund 5.00 of #9 #2", "refuse NoSuchSale");
    after(TAKEN, "refund 5.00 of r2", "refuse NoSuchSale");
    after(TAKEN, "8refund 5.00 of r1", "8:refuse NoSuchSale");
    check("ask 12.50 #1; abort; take; refund 5.00 of #1 #2", "refuse NoSuchSale");
    // Its number is a return's.
    after(TAKEN, "refund 5.00 of r1; refunded; take; refund 1.00 of r2", "refuse NoSuchSale");
    check("ask 12.50 #1; reverse of #1 #2", "refuse NoSuchSale");
    after(TAKEN, "ask 1.00 #2; reverse of #1 #3", "refuse Busy");
    check("line-down; refund 5.00 of r1", "refuse NoSuchSale");
    after(TAKEN, "line-down; refund 5.00 of r1", "refuse NoLine");
    after(TAKEN, "disk-low; refund 5.00 of r1", "refuse NoSales(DiskLow)");
    after(TAKEN, "no-clock; refund 5.00 of r1", "refuse ClockNotSet");
    after(TAKEN, "refund 5.00 of r1 ~5", "refuse TooShort");
    after(TAKEN, "refund 5.00 of r1 ~6", "accept; refund 1 5.00");
    after(TAKEN, "a at 7; refund 5.00 ~35", "refuse TooShort");
    after(TAKEN, "a at 7; refund 5.00 ~36", "accept; offered; a:choose 5.00 of 7:5.00");
}

#[test]
fn a_request_waits_for_a_word_on_the_line_and_is_judged_again_then() {
    let elsewhere = format!("{TAKEN}; ask 1.00 #2; abort; take; restart; line-doubt");
    after(&elsewhere, "refund 5.00 of #1 #3", "");
    after(&elsewhere, "refund 5.00 of #1 #3; line-up", "accept; refund 1 5.00");
    after(&elsewhere, "reverse of r1; line-up", "accept; refund 1 12.50");
    after(&elsewhere, "refund 5.00 of #1 #3; line-down", "refuse NoLine");
    after(&elsewhere, "refund 5.00 of #1 #3; abort; line-up", "");
    after(&elsewhere, "a at 7; refund 5.00; line-up", "accept; offered; a:choose 5.00 of 7:5.00");
    after(&elsewhere, "a at 7; refund 5.00; a leave; line-up", "refuse NoPhone");
}

#[test]
fn done_is_told_by_the_platforms_word_alone_and_pending_when_the_till_stops_listening() {
    let sent = format!("{TAKEN}; refund 5.00 of r1");
    after(&sent, "refund-unknown", "checking");
    after(&sent, "refund-unknown; +1s", "refund 1 5.00");
    after(&sent, "+84s", "");
    after(&sent, "+85s", "finish Returned { pending: true }");
    after(&sent, "refund-unknown; +85s; take; refunded", "");
    after(&sent, "refund-unknown; +85s; take; last", "finish Returned { pending: true }");
    after(&sent, "refund-unknown; +85s; take; refunded; last", "finish Returned { pending: false }");
    after(&sent, "refund-unknown; +85s; take; refund-refused; last", "finish Declined(Refused(NotAllowed))");
    // Not taken yet: it hears what is true now.
    after(&sent, "+85s; refunded", "finish Returned { pending: false }");
    after(&sent, "refund-refused", "ALARM RefundRefused; finish Declined(Refused(NotAllowed))");
    after(&sent, "refund-refused; take; refund 5.00 of r1", "accept; refund 1 5.00");
    assert_eq!(left_open(&format!("{sent}; +85s; take")), 2);
    assert_eq!(left_open(&format!("{sent}; +85s; take; refunded")), 0);
    // Accepted is the platform's promise; should it break it, a person is called, and the till was told the truth.
    after(&sent, "refund-taken; take; refund-refused", "ALARM RefundRefused");
    after(&sent, "refund-taken; take; refund-refused; last", "finish Returned { pending: false }");
}

#[test]
fn the_platform_is_asked_eagerly_while_the_till_waits_and_at_ease_after() {
    let asked = |script: &str| {
        let mut script = format!("{TAKEN}; refund 5.00 of r1{script}");
        let mut times = 0;
        for _ in 0..60 {
            script.push_str("; refund-unknown; +8s");
            times += usize::from(play(&script).contains("refund 1"));
        }
        times
    };
    assert!((9..12).contains(&asked("")), "{}", asked(""));
}

#[test]
fn the_same_request_gets_the_first_ones_state() {
    let sent = format!("{TAKEN}; refund 5.00 of #1 #2");
    after(&sent, "refund 5.00 of #1 #2", "accept");
    after(&sent, "refunded; refund 5.00 of #1 #2", "accept; finish Returned { pending: false }");
    after(&sent, "refunded; take; refund 5.00 of #1 #2", "accept; finish Returned { pending: false }");
    after(
        &sent,
        "refunded; take; ask 1.00 #3; abort; take; refund 5.00 of #1 #2",
        "accept; finish Returned { pending: false }",
    );
    after(&sent, "refund 5.01 of #1 #2", "refuse TicketUsed");
    after(&sent, "reverse 5.00 of #1 #2", "refuse TicketUsed");
    after(&sent, "refund 5.00 of r1 #2", "refuse TicketUsed");
    after(&sent, "ask 5.00 #2", "refuse TicketUsed");
    after(TAKEN, "refund 12.50 of #1 #1", "refuse TicketUsed");
    after(&sent, "refund 5.00 of #1 #3", "refuse Busy");
    // Untaken: the till did not hear of the first.
    after(&sent, "refunded; refund 5.00 of #1 #3", "accept; finish Returned { pending: false }");
    after(&sent, "refunded; unheard; refund 5.00 of #1 #3", "accept; finish Returned { pending: false }");
    after(&sent, "refunded; take; refund 5.00 of #1 #3", "accept; refund 1 5.00");
    after(&sent, "refunded; refund 6.00 of #1 #3", "accept; refund 1 6.00");
}

#[test]
fn without_tickets_a_repeat_is_known_by_what_it_asks() {
    let sent = format!("{TAKEN}; reverse of r1");
    after(&sent, "reverse of r1", "accept");
    after(&sent, "refunded; reverse of r1", "accept; finish Returned { pending: false }");
    after(&sent, "refunded; unheard; reverse of r1", "accept; finish Returned { pending: false }");
    after(&sent, "refunded; take; reverse of r1", "refuse AllGivenBack");
    after(&sent, "refund 12.50 of r1", "refuse AllGivenBack");
    after(&sent, "ask 12.50", "refuse Busy");
    let asked = format!("{TAKEN}; a at 7; refund 5.00");
    after(&asked, "refund 5.00", "accept; offered");
    after(&asked, "refund 6.00", "refuse Busy");
    after(&asked, "a choose; refunded; refund 5.00", "accept; finish Returned { pending: false }");
    let unheard = format!("{asked}; a choose; refunded; unheard");
    after(&unheard, "refund 5.00", "accept; finish Returned { pending: false }");
    after(&unheard, "restart; refund 5.00", "accept; finish Returned { pending: false }");
    after(&unheard, "a finish; refund 5.00", "refuse NoPhone");
    after(&unheard, "a finish; a at 7; refund 5.00", "accept; finish Returned { pending: false }");
    // Another phone stands there: another return.
    after(&asked, "a choose; refunded; b at 7; refund 5.00", "refuse NoPhone");
    after(&asked, "a choose; refunded; take; a at 7; refund 5.00", "accept; offered; a:choose 5.00 of 7:5.00");
}

#[test]
fn without_a_reference_the_phone_at_the_till_chooses_one_of_its_own_payments() {
    let both = format!("{TAKEN}; a at 8; 8ask 3.00 #1; a confirm; open; paid; take; a finish; a at 7");
    after(&both, "refund 2.00", "accept; offered; a:choose 2.00 of 8:2.00,7:2.00");
    after(&both, "refund 5.00", "accept; offered; a:choose 5.00 of 7:5.00");
    after(&both, "refund 12.51", "refuse NoPhone");
    after(&both, "reverse", "accept; offered; a:choose all of 8:3.00,7:12.50");
    after(&both, "reverse 3.00", "accept; offered; a:choose all of 8:3.00");
    after(&both, "refund 2.00; a choose 1", "refund 2 2.00; confirmed; a:returning");
    after(&both, "refund 2.00; a choose 2", "refund 1 2.00; confirmed; a:returning");
    after(&both, "reverse; a choose 2", "refund 1 12.50; confirmed; a:returning");
    after(
        &both,
        "refund 2.00; a choose 2; refunded",
        "finish Returned { pending: false }; a:returned Returned { pending: false }",
    );
    after(&both, "refund 2.00; a choose 2; refunded; a finish", "a:enter");
    after(&both, "refund 2.00; a choose 2; refund-unknown", "checking; a:returning?");
    after(TAKEN, "refund 5.00", "refuse NoPhone");
    after(TAKEN, "b at 7; refund 5.00", "refuse NoPhone");
    after(TAKEN, "b at 7; a at 7; refund 5.00", "refuse NoPhone");
    after(TAKEN, "a at 8; refund 5.00", "refuse NoPhone");
    // A reversal may name what was paid or what is left of it.
    let part = format!("{TAKEN}; refund 2.50 of #1; refunded; take; a at 7");
    for (named, offered) in [("12.50", true), ("10.00", true), ("11.00", false), ("2.50", false)] {
        let answer = if offered { "accept; offered; a:choose all of 7:10.00" } else { "refuse NoPhone" };
        after(&part, &format!("reverse {named}"), answer);
    }
    // What is on disk only counts, too.
    let older = format!("{TAKEN}; ask 1.00 #2; abort; take; restart");
    after(&older, "a at 7; refund 5.00", "accept; offered; a:choose 5.00 of 7:5.00");
}

#[test]
fn only_what_was_shown_to_the_phone_that_shows_it_is_given_back() {
    let asked = format!("{TAKEN}; b at 8; 8ask 3.00 #1; b confirm; open; paid; take; a at 7; refund 5.00");
    after(&asked, "a choose 1 4.99", "");
    after(&asked, "a choose 1 12.50", "");
    after(&asked, "b choose", "");
    after(&asked, "b refuse", "");
    after(&asked, "a choose; a choose", "");
    after(&asked, "a choose; refunded; a choose", "");
    after(&asked, "a confirm", "");
    // Meanwhile less is left than the page says.
    let paid = "a at 7; ask 12.50 #1; a confirm; open; paid; a at 8; 8reverse";
    after(paid, "reject", "");
    check(paid, "8:accept; 8:offered; a:choose all of 7:12.50");
}

#[test]
fn the_customer_the_cashier_and_the_clock_end_what_is_not_chosen() {
    let asked = format!("{TAKEN}; a at 7; b at 7; refund 5.00 #2");
    after(&asked, "a refuse", "finish Declined(Customer); a:returned Declined(Customer); b:waiting");
    after(&asked, "a leave", "finish Declined(Customer); a:enter; b:waiting");
    after(&asked, "a logout", "a:gone; finish Declined(Customer); b:waiting");
    after(&asked, "a at 8", "finish Declined(Customer); a:waiting; b:waiting");
    after(&asked, "abort", "aborting; finish Cancelled(Till); a:returned Cancelled(Till); b:waiting");
    after(&asked, "+59s", "");
    after(&asked, "+60s", "finish Lapsed; a:returned Lapsed; b:waiting");
    after(&asked, "a finish", "");
    after(&asked, "a choose; abort", "nothing-to-abort");
    after(&asked, "a choose; a refuse", "");
    after(&asked, "a choose; a leave", "");
    after(&asked, "a choose; a at 8", "");
    after(&asked, "a choose; a logout", "");
    after(
        &asked,
        "a choose; a leave; refunded",
        "finish Returned { pending: false }; a:returned Returned { pending: false }; b:waiting",
    );
    after(&asked, "a choose; refunded; abort", "nothing-to-abort; finish Returned { pending: false }");
    after(&asked, "b leave", "b:enter");
    after(&asked, "ask 1.00 #3", "refuse Busy");
    after(&asked, "last", "accept; offered");
    after(&asked, "a refuse; take; last", "finish Declined(Customer)");
}

#[test]
fn a_restart_ends_what_nobody_has_chosen_and_goes_on_with_what_was_sent() {
    let rest = "b:enter; c:enter; d:enter";
    let asked = format!("{TAKEN}; a at 7; refund 5.00 #2");
    after(&asked, "restart", &format!("query 1; finish Cancelled(PowerCut); a:returned Cancelled(PowerCut); {rest}"));
    after(&asked, "reboot", &format!("query 1; a:returned Cancelled(PowerCut); {rest}"));
    after(&asked, "reboot; last", "finish Cancelled(PowerCut)");
    after(&asked, "a choose; restart", &format!("refund 1 5.00; confirmed; a:returning; {rest}"));
    after(
        &asked,
        "a choose; restart; refunded",
        "finish Returned { pending: false }; a:returned Returned { pending: false }",
    );
    after(
        &asked,
        "a choose; reboot",
        &format!("refund 1 5.00; ALARM Unheard; a:returned Returned {{ pending: true }}; {rest}"),
    );
    after(&asked, "a choose; reboot; last", "finish Returned { pending: true }");
    after(&asked, "a choose; reboot; refunded; last", "finish Returned { pending: false }");
    after(
        &asked,
        "a choose; refunded; restart",
        &format!("query 1; finish Returned {{ pending: false }}; a:returned Returned {{ pending: false }}; {rest}"),
    );
    assert_eq!(left_open(&format!("{asked}; a choose; reboot; refunded")), 0);
}

#[test]
fn what_the_till_will_not_hear_of_has_gone_back_all_the_same() {
    let made = format!("{TAKEN}; refund 5.00 of r1; refunded");
    after(&made, "reject", "ALARM Unheard");
    after(&made, "reject; last", "finish Returned { pending: false }");
    after(&made, "unheard", "ALARM Unheard");
    after(&made, "unheard; online", "finish Returned { pending: false }");
    after(&made, "unheard; take; last", "finish Returned { pending: false }");
    after(&made, "later; +2s", "finish Returned { pending: false }");
    after(&made, "later; restart; +1s", "");
    after(&made, "later; restart; +2s", "finish Returned { pending: false }");
    after(&made, "later; reboot; take", "");
    after(&made, "later; reboot; +2s", "");
    assert_eq!(left_open(&format!("{made}; later; reboot; take")), 0);
    assert_eq!(alarms(&format!("{made}; unheard; take")), 1);
    assert_eq!(alarms(&format!("{made}; take")), 0);
    check(&format!("{TAKEN}; refund 5.00 of r1 deaf; refunded"), "");
}

#[test]
fn receipts_are_counted_for_each_till_and_the_newest_bearer_counts() {
    let world =
        played(&format!("{TAKEN}; refund 5.00 of r1; refunded; take; ask 1.00 #2; abort; take; restart; 8ask 1.00"));
    let numbers: Vec<_> =
        world.disk.sales.iter().map(|(s, _)| (s.till.number(), s.receipt.unwrap().number())).collect();
    assert_eq!(numbers, [(7, 1), (7, 3), (8, 1)]);
    assert_eq!(world.disk.returns[0].0.receipt.number(), 2);
    let after_restart = format!("{TAKEN}; refund 5.00 of r1; refunded; take; restart; ask 1.00 #2");
    assert_eq!(played(&after_restart).disk.sales[1].0.receipt.unwrap().number(), 3);
}

#[test]
fn a_till_that_says_its_last_receipt_has_taken_it_or_does_not_have_it() {
    let paid = "ask 1.00 #1; abort; take; a at 7; ask 12.50 #2; a confirm; open; paid";
    after(paid, "knows 2; last; reject", "");
    assert_eq!(left_open(&format!("{paid}; knows 2")), 0);
    after(paid, "knows 1", "refund 1 12.50; a:result Approved -1250");
    after(paid, "unheard; knows 1", "refund 1 12.50; a:result Approved -1250");
    after(paid, "unheard; knows 2", "");
    for nothing in ["take; knows 1", "knows 3", "knows 9999", "knows 7"] {
        after(paid, nothing, "");
    }
    // Under way: what it had last is the one before.
    after(paid, "ask 1.00 #3; knows 2; abort; take; last", "finish Cancelled(Till)");
    let given = format!("{TAKEN}; refund 5.00 of r1; refunded");
    after(&given, "knows 1", "");
    assert_eq!(left_open(&format!("{given}; knows 1")), 1);
    assert_eq!(left_open(&format!("{given}; knows 2")), 0);
    check("ask 1.00 #1; abort; knows 1; last", "finish Cancelled(Till)");
    check("knows 1", "");
}

#[test]
fn a_day_is_closed_once_and_not_beyond_what_is_booked() {
    let day = |script: &str| played(script).disk.days.values().next().copied();
    assert_eq!(day(&format!("{TAKEN}; close 1")), Some(1));
    assert_eq!(day(&format!("{TAKEN}; close 2")), None);
    assert_eq!(day(&format!("{TAKEN}; refund 5.00 of r1; refunded; close 3; close 2; restart; close 2")), Some(3));
    assert_eq!(day(&format!("{TAKEN}; close 0")), None);
}

#[test]
fn a_sale_whose_till_refuses_the_result_gives_back_what_a_return_has_left() {
    let paid = "a at 7; ask 12.50 #1; a confirm; open; paid";
    after(paid, "refund 5.00 of #1 #2; refunded; take; reject", "");
    after(paid, "unheard; refund 5.00 of #1 #2; refunded; take; ask 12.50 #3", "accept; waitingforphone");
    // Paid twice, and part of it given back on request.
    after(
        paid,
        "paid 25.00; refunded; take; refund 12.50 of #1 #2",
        "accept; refund 1 12.50; a:result Approved -2500 extra",
    );
    after(
        paid,
        "take; refund 5.00 of #1 #2; refund-refused; take; paid 25.00",
        "refund 1 12.50; a:result Approved -1250 extra",
    );
    let world = played(&format!("{paid}; take; reverse of #1 #2; refunded; take"));
    assert_eq!(world.laws.told.values().next(), Some(&Outcome::Approved));
}
