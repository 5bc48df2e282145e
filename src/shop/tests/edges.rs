//! Small decisions at their edges, which the tables and random runs pass by.

use super::super::answers::{is_too_long, pace};
use super::super::attempt::{NeedsPerson, NeedsPersonWhy, Refund, RefundState, RefundWhy};
use super::super::calls::Pace;
use super::super::event::{CallError, Page, PlatformEvent, RefundStatus};
use super::super::id::{AttemptId, Ids, RefundId};
use super::super::sale::{SaleState, Telling};
use super::super::time::{BootId, Mono, Now, Wall};
use super::world::{alarms, eur, play, played, session};

const HOUR_MS: u64 = 3_600_000;
const PAID: &str = "a at 7; ask 12.50 #1; a confirm; open; paid";

fn at(boot: u128, mono_ms: u64, wall: Option<i64>) -> Now {
    Now { boot: BootId(boot), mono: Mono(mono_ms), wall: wall.map(Wall) }
}

#[test]
fn what_a_person_has_to_do_about_a_refund_is_over_once_the_platform_says_how_it_stands() {
    let now = at(1, 5, None);
    let person = |why| Some(NeedsPerson { why, since: None });
    let (doubt, refused) = (person(NeedsPersonWhy::Doubt), person(NeedsPersonWhy::RefundRefused));
    let intent = RefundState::Intent { doubt: Some(now) };
    for (state, before, answer, after) in [
        (intent, doubt, Ok(RefundStatus::Accepted), None),
        (intent, doubt, Ok(RefundStatus::Done), None),
        (intent, doubt, Ok(RefundStatus::Refused), refused),
        (intent, doubt, Err(CallError::Unknown), doubt),
        (intent, None, Err(CallError::NotFound), None),
        // Another reason is not settled by the platform's promise, and is by its deed.
        (intent, refused, Ok(RefundStatus::Accepted), refused),
        (intent, refused, Ok(RefundStatus::Done), None),
        (RefundState::Accepted, None, Err(CallError::Unknown), None),
        (RefundState::Done, refused, Ok(RefundStatus::Accepted), refused),
    ] {
        let (id, attempt, amount) = (RefundId(1), AttemptId(2), eur("1.00"));
        let mut refund =
            Refund { id, attempt, amount, why: RefundWhy::Till, state, needs_person: before, booked: None };
        refund.hear(answer, now);
        assert_eq!(refund.needs_person.map(|n| n.why), after.map(|n| n.why), "{state:?} {before:?} {answer:?}");
    }
}

#[test]
fn a_doubt_is_as_old_as_the_clock_that_only_counts_says_and_over_a_start_as_the_date_says() {
    let since = at(1, 1_000, Some(0));
    let too_long = |now| is_too_long(since, 2, now);
    assert!(!too_long(at(1, 1_000 + 2 * HOUR_MS, None)), "not before it is more");
    assert!(too_long(at(1, 1_001 + 2 * HOUR_MS, None)));
    assert!(!too_long(at(1, 2_000, Some(900 * HOUR_MS as i64))), "a date that jumps is not believed");
    assert!(too_long(at(2, 0, Some(2 * HOUR_MS as i64 + 1))));
    assert!(!too_long(at(2, 900 * HOUR_MS, Some(2 * HOUR_MS as i64))), "another boot counts from somewhere else");
    assert!(!too_long(at(2, 900 * HOUR_MS, None)));
}

#[test]
fn who_waits_decides_how_often_the_platform_is_asked() {
    let sale = |script: &str| played(script).disk.sales[0].0.clone();
    let (live, over) = (sale("a at 7; ask 12.50 #1; a confirm; open"), sale(PAID));
    assert_eq!(pace(&live, live.attempts.last()), Pace::Live);
    assert_eq!(pace(&over, over.attempts.last()), Pace::Rest);
    let mut stuck = live.attempts[0].clone();
    stuck.needs_person = Some(NeedsPerson { why: NeedsPersonWhy::Doubt, since: None });
    assert_eq!(pace(&live, Some(&stuck)), Pace::Person);
}

#[test]
fn of_a_sale_that_was_given_back_already_nothing_goes_back_again() {
    let mut sale = played(PAID).disk.sales[0].0.clone();
    let SaleState::Approved { attempt, .. } = sale.state else { panic!("{:?}", sale.state) };
    let (now, mut ids) = (at(1, 5, None), Ids::new(9));
    assert_eq!(sale.give_back_asked(eur("0.00"), &mut ids), None);
    assert_eq!(sale.give_back_asked(eur("12.51"), &mut ids), None);
    assert!(sale.give_back_asked(eur("12.50"), &mut ids).is_some());
    sale.state = SaleState::Approved { attempt, telling: Telling::Rejected };
    sale.give_back(now, &mut ids);
    assert_eq!(sale.refunds.len(), 1, "{:?}", sale.refunds);
    // What the till refunded before it rejected: the rest, once.
    let mut sale = played(PAID).disk.sales[0].0.clone();
    sale.give_back_asked(eur("2.50"), &mut ids).unwrap();
    sale.state = SaleState::Approved { attempt, telling: Telling::Rejected };
    for _ in 0..2 {
        sale.give_back(now, &mut ids);
        let sums: Vec<_> = sale.refunds.iter().map(|refund| refund.amount.minor()).collect();
        assert_eq!(sums, [250, 1_000]);
    }
}

#[test]
fn a_till_that_asks_for_its_last_result_gets_the_same_before_and_after_a_start() {
    for before in [
        format!("{PAID}; take"),
        "a at 7; ask 12.50 #1; abort; take".to_owned(),
        format!("{PAID}; take; a finish; a at 7; ask 3.00 #2; a confirm; open; paid; take"),
        format!("{PAID}; take; ask 3.00 #2; abort; take"),
    ] {
        let told = play(&format!("{before}; last"));
        assert!(!told.is_empty(), "{before}");
        assert_eq!(play(&format!("{before}; restart; last")), told, "{before}");
        assert_eq!(play(&format!("{before}; reboot; last")), told, "{before}");
    }
}

#[test]
fn a_result_that_a_till_does_not_hear_alarms_once_over_a_start_too() {
    assert_eq!(alarms(&format!("{PAID}; unheard; restart; offline; online; unheard; restart; unheard")), 1);
}

#[test]
fn where_the_platforms_list_was_read_is_written_when_it_has_moved() {
    let mut world = played("line-up");
    let mut listed = |next: &str| {
        let page = Page { payments: Vec::new(), next: next.to_owned(), more: false };
        let before = world.disk.clone();
        world.platform(PlatformEvent::Listed { answer: Ok(page) });
        world.disk != before
    };
    assert_eq!(["c-1", "c-1", "c-2"].map(&mut listed), [true, false, true]);
}

#[test]
fn without_the_shops_gift_nothing_is_noted_about_the_internet() {
    let world = played(&format!("{PAID}; a saw; +10s; +10m"));
    assert_eq!(world.disk.sessions[&session("a")].online_until, None);
}
