//! The cases. `PAID` and its like are common beginnings.

use super::world::{alarms, left_open, play};

const OFFERED: &str = "a at 7; ask 12.50 #1";
const PAYING: &str = "a at 7; ask 12.50 #1; a confirm; open";
const PAID: &str = "a at 7; ask 12.50 #1; a confirm; open; paid";

#[track_caller]
fn check(script: &str, last: &str) {
    assert_eq!(play(script), last, "\nscript: {script}");
}

#[track_caller]
fn after(start: &str, then: &str, last: &str) {
    check(&format!("{start}; {then}"), last);
}

#[test]
fn one_payment_from_the_till_to_the_till() {
    check("a at 7", "a:waiting");
    after("a at 7", "ask 12.50 #1", "accept; offered; a:confirm 12.50");
    after(OFFERED, "a confirm", "create 1; confirmed; a:contacting 1");
    after(OFFERED, "a confirm; open", "query 1; atcheckout; a:pay 1");
    after(PAYING, "paid", "finish Approved; a:result Approved");
    after(PAID, "take", "");
    assert_eq!(left_open(PAID), 1);
    assert_eq!(left_open(&format!("{PAID}; take")), 0);
}

#[test]
fn the_till_may_come_first_and_the_phone_later() {
    check("ask 12.50 #1", "accept; waitingforphone");
    check("ask 12.50 #1; a at 7", "offered; a:confirm 12.50");
    check("ask 12.50 #1; a at 8", "a:waiting");
}

#[test]
fn a_wrong_till_number_is_answered_clearly_and_guesses_are_limited() {
    check("a at 9", "a:enter wrong 4");
    check("a at x", "a:enter wrong 4");
    check("a at 9; a at 7", "a:waiting");
    check("a at 9; a at 9; a at 9; a at 9; a at 9", "a:enter pause");
    check("a at 9; a at 9; a at 9; a at 9; a at 9; a at 7", "");
    check("a at 9; a at 9; a at 9; a at 9; a at 9; +60s", "a:enter");
    check("a at 9; a at 9; a at 9; a at 9; a at 9; +60s; a at 7", "a:waiting");
}

#[test]
fn a_second_phone_is_told_so_and_is_next_in_line() {
    check("a at 7; b at 7", "b:line 1");
    check("a at 7; b at 7; c at 7", "c:line 2");
    check("a at 7; b at 7; a leave", "a:enter; b:waiting");
    after(OFFERED, "b at 7; a notmine", "a:enter NotMine; b:confirm 12.50");
    after(OFFERED, "b at 7; +60s", "a:enter ConfirmOver; b:confirm 12.50");
    after(PAYING, "b at 7", "a:pay 1; b:line 1");
    after(PAID, "b at 7", "b:waiting");
    check("a at 7; b at 7; a at 8", "a:waiting; b:waiting");
    check("a at 7; +120s", "a:enter Idle");
    check("a at 7; b at 7; +120s", "a:enter Idle; b:waiting");
}

#[test]
fn the_first_phone_may_let_the_next_one_pay_once_its_attempt_is_closed() {
    let held = "a at 7; b at 7; ask 12.50 #1; a confirm; open";
    after(held, "a letgo", "cancel 1; closing; a:closing");
    after(held, "a letgo; closed", "offered; a:enter LetGo; b:confirm 12.50");
    after(held, "a letgo; paid", "finish Approved; a:result Approved; b:waiting");
    after(held, "a letgo; closed; b confirm", "create 2; confirmed; b:contacting 2");
    after(PAYING, "a letgo", "");
    after(held, "a letgo; funds", "failed NoFunds 1; offered; a:enter LetGo; b:confirm 12.50");
    // Another amount was taken: that is for a person, not for the next phone.
    after(
        held,
        "a letgo; wrong 1.00",
        "ALARM WrongPayment; refund 1 1.00; finish Declined(WrongPayment); a:result Declined(WrongPayment) -100; \
         b:waiting",
    );
    // Not closed in time: nobody else may pay what may be paid already.
    after(held, "a letgo; +3s", "finish Declined(GivenUp); a:result Declined(GivenUp); b:waiting");
}

#[test]
fn a_second_tap_does_not_submit_twice() {
    after(OFFERED, "a confirm; a confirm", "");
    after(PAYING, "a confirm", "");
    after(PAID, "a confirm", "");
}

#[test]
fn only_what_was_shown_to_the_phone_that_shows_it_can_be_confirmed() {
    after(OFFERED, "a confirm 9.99", "");
    after(OFFERED, "b confirm", "");
    after(OFFERED, "b at 7; b confirm", "");
    after(OFFERED, "b decline", "");
    after(OFFERED, "b notmine", "");
    after(PAYING, "b giveup", "");
    check("a at 7; ask 12.50 #1 ~60; +26s; a confirm", "a:toolate");
    check("a at 7; ask 12.50 #1 ~60; +24s; a confirm", "create 1; confirmed; a:contacting 1");
}

#[test]
fn the_customer_may_decline() {
    after(OFFERED, "a decline", "finish Declined(Customer); a:result Declined(Customer)");
    after(PAYING, "a giveup", "cancel 1; closing; a:closing");
    after(PAYING, "a giveup; closed", "finish Declined(GivenUp); a:result Declined(GivenUp)");
    after(PAYING, "a giveup; paid", "finish Approved; a:result Approved");
    after(PAYING, "cancelled", "finish Declined(GivenUp); a:result Declined(GivenUp)");
    after(PAYING, "expired", "finish Declined(Expired); a:result Declined(Expired)");
    after(
        OFFERED,
        "a confirm; refused",
        "finish Declined(Refused(NotAllowed)); a:result Declined(Refused(NotAllowed))",
    );
}

#[test]
fn a_failed_try_is_told_to_both_and_the_link_goes_on() {
    after(PAYING, "try", "query 1; failed WrongPassword 1; a:pay 1 WrongPassword");
    after(PAYING, "try; try", "query 1; failed WrongPassword 2");
    after(PAYING, "try; paid", "finish Approved; a:result Approved");
}

#[test]
fn an_attempt_that_fails_for_good_is_told_and_submitted_again_by_itself() {
    after(PAYING, "funds", "create 2; failed NoFunds 1 again; confirmed; a:contacting 2");
    after(PAYING, "funds; open", "query 2; atcheckout; a:pay 2 NoFunds");
    after(PAYING, "funds; open; paid", "finish Approved; a:result Approved");
    after(
        PAYING,
        "funds; open; funds; open; funds",
        "finish Declined(Failed(NoFunds)); a:result Declined(Failed(NoFunds))",
    );
    // Too little of the till's patience is left.
    after(PAYING, "+86s; funds", "finish Declined(Failed(NoFunds)); a:result Declined(Failed(NoFunds))");
    // The phone does not come back.
    after(PAYING, "funds; open; +45s", "cancel 2; closing; a:closing");
    after(PAYING, "funds; open; +45s; closed", "finish Declined(GivenUp); a:result Declined(GivenUp)");
    after(PAYING, "funds; open; a saw; +46s; still", "query 2");
    // Law 7: never while the one before may still be paid.
    after(PAYING, "unknown; funds", "create 2; failed NoFunds 1 again; confirmed; a:contacting 2");
}

#[test]
fn the_till_may_abort_and_is_told_only_what_is_true() {
    check("abort", "nothing-to-abort");
    check("ask 12.50 #1; abort", "aborting; finish Cancelled(Till)");
    after(OFFERED, "abort", "aborting; finish Cancelled(Till); a:result Cancelled(Till)");
    after(PAYING, "abort", "aborting; cancel 1; closing; a:closing");
    after(PAYING, "abort; closed", "finish Cancelled(Till); a:result Cancelled(Till)");
    after(PAYING, "abort; paid", "finish Approved; a:result Approved");
    after(PAYING, "abort; +3s", "finish Cancelled(Till); a:result Cancelled(Till)");
    after(PAID, "abort", "nothing-to-abort; finish Approved");
    after(PAID, "take; abort", "nothing-to-abort; finish Approved");
}

#[test]
fn what_is_paid_after_the_till_heard_cancelled_goes_back() {
    after(PAYING, "abort; +3s; paid", "refund 1 12.50; a:result Cancelled(Till) -1250");
    after(PAYING, "abort; +3s; take; paid; refunded", "a:result Cancelled(Till) -1250");
    after(PAYING, "abort; closed; take; late", "ALARM LatePayment; refund 1 12.50; a:result Cancelled(Till) -1250");
    assert_eq!(left_open(&format!("{PAYING}; abort; +3s; take; paid")), 1);
    assert_eq!(left_open(&format!("{PAYING}; abort; +3s; take; paid; refunded")), 0);
    after(PAYING, "abort; +3s; paid; refund-refused", "ALARM RefundRefused; a:result Cancelled(Till)");
    after(PAYING, "abort; +3s; paid; refund-refused; +1m", "");
}

#[test]
fn what_is_paid_twice_or_too_much_goes_back_once() {
    after(PAYING, "paid 25.00", "refund 1 12.50; finish Approved; a:result Approved -1250 extra");
    after(PAID, "paid 25.00", "refund 1 12.50; a:result Approved -1250 extra");
    after(PAID, "paid 25.00; paid 25.00", "");
    after(PAYING, "funds; open; 1:paid", "ALARM LatePayment; cancel 2; finish Approved; a:result Approved");
    after(PAYING, "funds; open; 1:paid; 2:paid", "refund 2 12.50; a:result Approved -1250 extra");
    after(PAYING, "funds; open; 1:paid; 2:closed", "");
}

#[test]
fn a_payment_of_another_amount_never_approves() {
    after(
        PAYING,
        "wrong 1.00",
        "ALARM WrongPayment; refund 1 1.00; finish Declined(WrongPayment); a:result Declined(WrongPayment) -100",
    );
    after(PAYING, "foreign", "ALARM OddAnswer; checking; a:pay 1?");
    after(PAYING, "old; +1s", "query 1");
}

#[test]
fn unknown_is_not_failed() {
    let sent = "a at 7; ask 12.50 #1; a confirm";
    after(sent, "unknown", "checking; a:contacting 1?");
    after(sent, "unknown; +1s", "create 1");
    after(sent, "unknown; +1s; unknown; +2s", "create 1");
    after(sent, "unknown; +1s; open", "query 1; atcheckout; a:pay 1");
    after(sent, "down; +1s; open", "query 1; atcheckout; a:pay 1");
    after(sent, "notfound", "checking; a:contacting 1?");
    after(sent, "unknown; abort", "aborting; cancel 1; closing; a:closing");
    after(sent, "unknown; abort; tombstone", "finish Cancelled(Till); a:result Cancelled(Till)");
    after(PAYING, "notfound", "ALARM OddAnswer; checking; a:pay 1?");
    // At the till's deadline, still in doubt: closed, and whatever came of it goes back.
    after(sent, "unknown; +119s; paid", "refund 1 12.50; a:result Cancelled(Clock) -1250");
}

#[test]
fn a_sale_ends_before_the_till_stops_listening() {
    check("ask 12.50 #1; +115s", "finish Lapsed");
    after(OFFERED, "+60s", "waitingforphone; a:enter ConfirmOver");
    check("a at 7; ask 12.50 #1 ~60; +55s", "finish Lapsed; a:result Lapsed");
    after(PAYING, "still; +115s", "query 1; cancel 1; closing; a:closing");
    after(PAYING, "+115s; closed", "finish Cancelled(Clock); a:result Cancelled(Clock)");
    after(PAYING, "+115s; paid", "finish Approved; a:result Approved");
    check("ask 12.50 #1 ~30", "refuse TooShort");
}

#[test]
fn the_same_ticket_is_the_same_sale() {
    after(OFFERED, "ask 12.50 #1", "accept; offered");
    after(OFFERED, "ask 13.00 #1", "refuse TicketUsed");
    after(OFFERED, "ask 12.50 #2", "refuse Busy");
    after(PAYING, "ask 12.50 #1", "accept; atcheckout");
    after(PAID, "ask 12.50 #1", "accept; finish Approved");
    after(PAID, "take; ask 12.50 #1", "accept; finish Approved");
    after(PAID, "take; ask 1.00 #2; abort; take; ask 12.50 #1", "accept; finish Approved");
    after(PAID, "take; ask 1.00 #2; abort; take; ask 13.00 #1", "refuse TicketUsed");
    after(PAID, "take; ask 12.50 #2", "accept; waitingforphone");
    after(OFFERED, "a decline; take; ask 12.50 #1", "accept; finish Declined(Customer)");
}

#[test]
fn a_till_that_missed_the_result_is_told_it_again_and_nobody_pays_twice() {
    after(PAID, "last", "finish Approved");
    after(PAID, "take; last", "finish Approved");
    after(PAID, "unheard", "ALARM Unheard");
    after(PAID, "unheard; last", "finish Approved");
    after(PAID, "unheard; online", "finish Approved");
    after(PAID, "unheard; online; unheard", "");
    after(PAID, "later; +2s", "finish Approved");
    after(PAID, "later; +1s", "");
    check("last", "nothing-to-repeat");
    check("ask 12.50 #1; last", "accept; waitingforphone");
    // The phone that paid still stands there: the first result, and nothing to pay.
    after(PAID, "unheard; ask 12.50 #2", "accept; finish Approved");
    after(PAID, "unheard; a at 7; ask 12.50 #2", "accept; finish Approved");
    after(PAID, "unheard; ask 13.00 #2", "accept; waitingforphone");
    // Another phone: another sale, and somebody should look at the first.
    after(PAID, "unheard; b at 7; ask 12.50 #2", "ALARM Unheard; accept; offered; b:confirm 12.50");
}

#[test]
fn a_result_that_the_till_rejects_is_given_back() {
    after(PAID, "reject", "refund 1 12.50; a:result Approved -1250");
    after(PAID, "reject; reject", "");
    after(PAID, "reject; take", "");
    after(PAID, "reject; last", "finish Approved -1250");
    after(PAID, "take; reject", "");
    after(
        "refund-by-policy; restart",
        "a at 7; ask 12.50 #1; a confirm; open; paid; unheard; +60s",
        "refund 1 12.50; a:result Approved -1250",
    );
    after("refund-by-policy; restart", "a at 7; ask 12.50 #1; a confirm; open; paid; unheard; last; take; +60s", "");
}

#[test]
fn new_sales_are_refused_at_once_when_they_could_not_be_paid() {
    check("line-down; ask 12.50 #1", "refuse NoLine");
    check("line-down; line-up; ask 12.50 #1", "accept; waitingforphone");
    // The line is in doubt: one try, and until it is known nothing is said that might turn out untrue.
    check("line-doubt; ask 12.50 #1", "");
    check("line-doubt; ask 12.50 #1; line-up", "accept; waitingforphone");
    check("line-doubt; ask 12.50 #1; line-down", "refuse NoLine");
    check("line-doubt; ask 12.50 #1; ask 12.50 #1", "");
    check("line-doubt; ask 12.50 #1; last1", "");
    check("line-doubt; ask 12.50 #1; abort", "nothing-to-abort");
    check("line-doubt; ask 12.50 #1; abort; line-up", "");
    check("no-clock; ask 12.50 #1", "refuse ClockNotSet");
    check("disk-low; ask 12.50 #1", "refuse NoSales(DiskLow)");
    check("disk-low; disk-well; ask 12.50 #1", "accept; waitingforphone");
    check("store-damaged; disk-low; disk-well; ask 12.50 #1", "refuse NoSales(StoreDamaged)");
    check("ask 0.00 #1", "refuse TooLittle { min_minor: 1 }");
    check("ask 1000.01 #1", "refuse TooMuch { max_minor: 100000 }");
    check("status", "status Ok(())");
    check("line-down; status", "status Err(NoLine)");
}

#[test]
fn a_till_without_a_result_channel_is_never_told() {
    check("a at 7; ask 12.50 deaf; a confirm; open; paid", "a:result Approved");
}

#[test]
fn a_restart_in_the_same_boot_goes_on_where_it_was() {
    after(OFFERED, "restart", "offered; a:confirm 12.50; b:enter; c:enter; d:enter");
    after(OFFERED, "a confirm; restart", "create 1; confirmed; a:contacting 1; b:enter; c:enter; d:enter");
    after(PAYING, "restart", "query 1; atcheckout; a:pay 1; b:enter; c:enter; d:enter");
    after(PAID, "restart", "finish Approved; a:result Approved; b:enter; c:enter; d:enter");
    after(PAID, "take; restart", "query 1; a:result Approved; b:enter; c:enter; d:enter");
    after(PAYING, "abort; restart", "cancel 1; closing; a:closing; b:enter; c:enter; d:enter");
    after(
        PAYING,
        "abort; +3s; paid; restart",
        "refund 1 12.50; finish Cancelled(Till); a:result Cancelled(Till) -1250; b:enter; c:enter; d:enter",
    );
}

#[test]
fn after_a_power_cut_nothing_is_offered_and_the_platform_is_asked() {
    after(OFFERED, "reboot", "a:result Lapsed; b:enter; c:enter; d:enter");
    after(PAYING, "reboot", "cancel 1; closing; a:closing; b:enter; c:enter; d:enter");
    after(PAYING, "reboot; paid", "ALARM Unheard; a:result Approved");
    after(PAYING, "reboot; closed", "a:result Cancelled(PowerCut)");
    after(PAYING, "reboot; paid; last", "finish Approved");
    after(PAYING, "reboot; ask 1.00 #2", "accept; waitingforphone; a:result Cancelled(PowerCut)");
    after(PAYING, "reboot; +2m; paid", "refund 1 12.50; a:result Cancelled(PowerCut) -1250");
    after(PAID, "reboot", "finish Approved; a:result Approved; b:enter; c:enter; d:enter");
}

#[test]
fn an_ended_attempt_is_asked_about_once_more() {
    after(PAID, "take; a finish; +4m", "query 1");
    after(PAID, "take; a finish; +4m; paid; +10m", "");
    after(PAYING, "abort; closed; take; a finish; +4m; late", "ALARM LatePayment; refund 1 12.50");
    after(PAID, "take; a finish; ask 1.00 #2; abort; take; restart; paid 25.00", "refund 1 12.50");
    // A sale that was at rest is open again, and a restart does not forget it.
    let forgotten = format!("{PAID}; take; a finish; ask 1.00 #2; abort; take; paid 25.00");
    assert_eq!(left_open(&forgotten), 1);
    after(&forgotten, "restart", "refund 1 12.50; a:enter; b:enter; c:enter; d:enter");
}

#[test]
fn a_phone_that_reloads_or_comes_back_sees_the_present() {
    after(PAYING, "a relogin", "");
    after(PAID, "a finish", "a:enter");
    after(PAYING, "a finish", "");
    after(PAYING, "a leave", "");
    after(PAYING, "a logout", "");
    check("a logout", "a:gone");
    check("+30m", "a:gone; b:gone; c:gone; d:gone");
}

#[test]
fn odd_payments_raise_an_alarm() {
    assert_eq!(alarms(PAID), 0);
    assert_eq!(alarms(&format!("{PAYING}; foreign; foreign")), 2);
}

#[test]
fn two_tills_do_not_meet() {
    check("a at 7; b at 8; ask 12.50 #1; 8ask 3.00 #1", "8:accept; 8:offered; b:confirm 3.00");
}

#[test]
fn money_for_a_let_go_attempt_that_was_closed_goes_back_and_the_next_phone_goes_on() {
    let next = "a at 7; b at 7; ask 12.50 #1; a confirm; open; a letgo; closed";
    after(next, "1:paid", "ALARM LatePayment; refund 1 12.50");
    after(next, "1:paid; b confirm", "create 2; confirmed; b:contacting 2");
    after(next, "1:paid; b confirm; open; paid", "finish Approved; b:result Approved");
    // The next phone has confirmed: what is paid first wins.
    after(next, "b confirm; open; 1:paid", "ALARM LatePayment; cancel 2; finish Approved; b:result Approved");
}

#[test]
fn limits_hold_to_the_millisecond() {
    check("a at 7; ask 12.50 #1 ~60; +25s; a confirm", "create 1; confirmed; a:contacting 1");
    let held = "a at 7; b at 7; ask 12.50 #1; a confirm; open";
    after(held, "+85s; a letgo; closed", "offered; a:enter LetGo; b:confirm 12.50");
    after(held, "+86s; a letgo; closed", "finish Lapsed; a:result Lapsed; b:waiting");
    after(PAYING, "+85s; funds", "create 2; failed NoFunds 1 again; confirmed; a:contacting 2");
}

#[test]
fn the_tills_abort_outranks_letting_go() {
    let held = "a at 7; b at 7; ask 12.50 #1; a confirm; open";
    after(held, "a letgo; abort; closed", "finish Cancelled(Till); a:result Cancelled(Till); b:waiting");
}

#[test]
fn a_wrong_payment_is_said_once() {
    after(PAYING, "wrong 1.00; wrong 1.00", "");
    assert_eq!(alarms(&format!("{PAYING}; wrong 1.00; wrong 1.00; refund-refused")), 2);
}

#[test]
fn what_is_in_doubt_for_days_needs_a_person_and_a_late_answer_still_settles_it() {
    let doubted = "a at 7; ask 12.50 #1; a confirm; unknown; abort; +3s; take";
    after(doubted, "+4319m; unknown", "");
    after(doubted, "+4320m; unknown", "ALARM DoubtTooLong");
    after(doubted, "+4320m; unknown; unknown", "");
    after(doubted, "+4320m; unclosed; +60m", "");
    after(doubted, "+4320m; unclosed; +1440m", "cancel 1");
    after(doubted, "+4320m; unknown; tombstone", "");
    after(doubted, "+60m; reboot; +4320m; unknown", "ALARM DoubtTooLong");
    after(doubted, "no-clock; +4320m; unknown", "ALARM DoubtTooLong");
    assert_eq!(left_open(&format!("{doubted}; +4320m; unknown; tombstone")), 0);
}

#[test]
fn when_the_line_comes_back_everything_is_asked_at_once() {
    let doubted = "a at 7; ask 12.50 #1; a confirm; unknown; abort; +3s; take; +60m; unknown; unknown; line-down";
    after(doubted, "line-up", "cancel 1");
    after(doubted, "+1s", "");
}

#[test]
fn a_refund_without_an_answer_is_asked_for_again_under_its_id_and_one_accepted_is_looked_at() {
    let begun = format!("{PAYING}; abort; +3s; take; paid");
    after(&begun, "refund-unknown; +1s", "refund 1 12.50");
    after(&begun, "refund-unknown; +1s; refund-unknown; +1s", "");
    after(&begun, "refund-unknown; +1s; refund-unknown; +2s", "refund 1 12.50");
    after(&begun, "refund-taken", "query-refund 1");
    after(&begun, "refund-taken; refund-taken; +1s", "query-refund 1");
    after(&begun, "refund-taken; refunded; +1s", "");
}

#[test]
fn a_refund_in_doubt_for_days_needs_a_person_and_a_late_answer_still_settles_it() {
    let doubted = format!("{PAYING}; abort; +3s; take; paid; refund-unknown");
    after(&doubted, "+4319m; refund-unknown", "");
    after(&doubted, "+4321m; refund-unknown", "ALARM DoubtTooLong");
    after(&doubted, "+4321m; refund-unknown; refund-unknown", "");
    after(&doubted, "+4321m; refund-unknown; +60m", "");
    after(&doubted, "+4321m; refund-unknown; +1440m", "refund 1 12.50");
    after(&doubted, "+4321m; refund-unknown; refund-refused", "ALARM RefundRefused");
    assert_eq!(left_open(&format!("{doubted}; +4321m; refund-unknown; refunded")), 0);
}

#[test]
fn a_visit_lasts_while_something_is_done_and_is_not_written_at_every_touch() {
    check("+14m; a leave; +17m", "a:gone; b:gone; c:gone; d:gone");
    check("+15m; a leave; +15m", "a:gone; b:gone; c:gone; d:gone");
    check("+16m; a leave; +15m", "b:gone; c:gone; d:gone");
    // The time of a visit begins afresh after another boot, and only then.
    check("+29m; restart; +2m", "a:gone; b:gone; c:gone; d:gone");
    check("+29m; reboot; +29m", "");
}

#[test]
fn a_till_that_wants_its_result_later_for_ever_is_unheard_in_the_end() {
    let later = "; later; +2s".repeat(59);
    after(PAID, &later[2..], "finish Approved");
    after(PAID, &format!("{}; later; +2s", &later[2..]), "ALARM Unheard");
}
