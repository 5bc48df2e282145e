//! Small decisions at their edges, which the tables and random runs pass by.

use super::super::answers::{is_too_long, pace};
use super::super::attempt::{NeedsPerson, NeedsPersonWhy, Refund, RefundState, RefundWhy};
use super::super::calls::Pace;
use super::super::effect::{CancelledWhy, Effect, Progress, Screen, TillAnswer};
use super::super::event::{Ask, AskKind, CallError, Page, PlatformEvent, RefundStatus, Ticket, TillEvent};
use super::super::giveback::ReturnState;
use super::super::id::{AttemptId, Ids, RefundId};
use super::super::policy::Policy;
use super::super::sale::{AbortWhy, SaleState, Telling};
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

#[test]
fn what_is_just_enough_is_taken_and_one_less_is_not() {
    let taken = |ask: &str| !played(ask).disk.sales.is_empty();
    for (ask, wanted) in [
        ("ask 0.01", true),
        ("ask 1000.00", true),
        ("ask 1000.01", false),
        ("ask 12.50 ~35", true),
        ("ask 12.50 ~34", false),
    ] {
        assert_eq!(taken(ask), wanted, "{ask}");
    }
    let mut world = played("line-up");
    world.policy.amount_min_minor = 100;
    world.open();
    world.platform(PlatformEvent::Line { up: true });
    for (minor, wanted) in [("0.99", 0), ("1.00", 1)] {
        world.till(7, TillEvent::Asked(ask(minor, None)));
        assert_eq!(world.disk.sales.len(), wanted, "{minor}");
    }
}

fn ask(amount: &str, ticket: Option<Ticket>) -> Ask {
    Ask { ticket, amount: eur(amount), kind: AskKind::Pay, of: None, patience_ms: 120_000, hears_result: true }
}

#[test]
fn a_ticket_without_an_epoch_means_its_sale_for_its_life_and_while_that_is_under_way() {
    let number = |epoch| Some(Ticket { epoch, number: 5 });
    let life_ms = 12 * HOUR_MS as i64;
    let sales = |epoch, ended: bool, later_ms| {
        let mut world = played("line-up");
        world.till(7, TillEvent::Asked(ask("12.50", number(epoch))));
        if ended {
            world.till(7, TillEvent::Aborted { ticket: None });
            let sale = world.disk.sales[0].0.id;
            world.till(7, TillEvent::Taken { sale });
        }
        world.now.wall = world.now.wall.map(|wall| Wall(wall.0 + later_ms));
        world.till(7, TillEvent::Asked(ask("12.50", number(epoch))));
        world.disk.sales.len()
    };
    assert_eq!(sales(None, true, life_ms), 1);
    assert_eq!(sales(None, true, life_ms + 1), 2);
    assert_eq!(sales(None, false, life_ms + 1), 1, "it is under way");
    // To be asked for again does not make it younger.
    let mut world = played("line-up");
    for (later_ms, wanted) in [(0, 1), (life_ms / 2, 1), (life_ms / 2 + 1, 2)] {
        world.now.wall = world.now.wall.map(|wall| Wall(wall.0 + later_ms));
        world.till(7, TillEvent::Asked(ask("12.50", number(None))));
        world.till(7, TillEvent::Aborted { ticket: None });
        let sale = world.disk.sales.last().unwrap().0.id;
        world.till(7, TillEvent::Taken { sale });
        assert_eq!(world.disk.sales.len(), wanted);
    }
    // Unless it has outlived itself while its sale was under way: then it lives from that request on.
    let mut world = played("line-up");
    for (later_ms, ended) in [(0, false), (life_ms + 1, true), (life_ms, true)] {
        world.now.wall = world.now.wall.map(|wall| Wall(wall.0 + later_ms));
        world.till(7, TillEvent::Asked(ask("12.50", number(None))));
        if ended {
            world.till(7, TillEvent::Aborted { ticket: None });
            let sale = world.disk.sales[0].0.id;
            world.till(7, TillEvent::Taken { sale });
        }
        assert_eq!(world.disk.sales.len(), 1, "{later_ms}");
    }
    assert_eq!(sales(Some(3), true, 99 * life_ms), 1);
}

#[test]
fn an_abort_ends_what_it_names_and_nothing_else() {
    let one = |number| Some(Ticket { epoch: Some(1), number });
    let after_abort = |script: &str, ticket| {
        let mut world = played(script);
        world.said.clear();
        world.till(7, TillEvent::Aborted { ticket });
        (world.said.join("; "), world)
    };
    let live = |script, ticket| after_abort(script, ticket).1.disk.sales.last().unwrap().0.is_live();
    assert!(live("ask 12.50 #1", one(2)));
    assert!(!live("ask 12.50 #1", one(1)));
    assert!(!live("ask 12.50 #1", None));
    // What is over already is told again, of the sale that is meant.
    let (said, world) = after_abort("ask 12.50 #1; abort; take; ask 3.00 #2", one(1));
    assert!(world.disk.sales[1].0.is_live() && said.contains("finish"), "{said}");
    let back = format!("{PAID}; take; refund 5.00 of #1 #2");
    for (ticket, told) in [(one(2), false), (None, false), (one(9), false), (one(1), true)] {
        let (said, world) = after_abort(&back, ticket);
        assert!(world.disk.returns[0].0.is_live(), "its refund has been sent");
        assert_eq!(said.contains("finish"), told, "{ticket:?}: {said}");
    }
    let chosen = format!("{PAID}; take; a finish; a at 7; refund 5.00 #2");
    for (ticket, live) in [(one(2), false), (None, false), (one(9), true)] {
        assert_eq!(after_abort(&chosen, ticket).1.disk.returns[0].0.is_live(), live, "{ticket:?}");
    }
}

#[test]
fn a_return_is_followed_while_it_is_open_and_leaves_memory_when_nobody_asks_for_it_any_more() {
    let back = format!("{PAID}; take; a finish; refund 5.00 of #1 #2");
    for (script, open, held) in [
        (back.clone(), 1, 1),
        (format!("{back}; refunded"), 1, 1),
        (format!("{back}; refunded; take"), 0, 1),
        (format!("{back}; refunded; take; ask 3.00 #3; abort; take"), 0, 0),
        (format!("{back}; restart"), 1, 1),
        (format!("{back}; refunded; take; restart"), 0, 1),
    ] {
        let world = played(&script);
        assert_eq!((world.shop.open_returns().count(), world.shop.returns.len()), (open, held), "{script}");
    }
    let world = played(&format!("{back}; refunded; take; ask 3.00 #3; abort; take"));
    assert_eq!(world.shop.sales.len(), 1, "the till's last");
    // A start has nothing to write about it.
    let before = played(&back).disk;
    assert_eq!(played(&format!("{back}; restart")).disk, before);
    assert_eq!(alarms(&format!("{back}; refunded; unheard; restart; offline; online; unheard")), 1);
}

#[test]
fn a_visit_does_not_end_while_its_sale_is_under_way() {
    let world = played("short-visits; reboot; line-up; a at 7; ask 12.50 #1; a confirm; open; +20s; paid");
    assert!(matches!(world.shown.get(&session("a")), Some(Screen::Result(_))));
    let world = played(&format!("short-visits; reboot; line-up; {PAID}; +20s"));
    assert!(!world.disk.sessions.contains_key(&session("a")), "the sale is over");
}

#[test]
fn a_request_that_waits_for_the_line_is_ended_by_its_own_abort_and_others_are_answered() {
    let one = |number| Some(Ticket { epoch: Some(1), number });
    let waits = format!("{PAID}; take; a finish; restart; line-doubt; ask 3.00 #2");
    let world = || {
        let mut world = played(&waits);
        assert_eq!(world.disk.sales.len(), 1, "it waits");
        world.said.clear();
        world
    };
    for (ticket, begins, told) in
        [(one(2), false, false), (None, false, false), (one(9), true, false), (one(1), true, true)]
    {
        let mut world = world();
        world.till(7, TillEvent::Aborted { ticket });
        assert_eq!(world.said.join("; ").contains("finish"), told, "{ticket:?}: {:?}", world.said);
        world.platform(PlatformEvent::Line { up: true });
        assert_eq!(world.disk.sales.len(), if begins { 2 } else { 1 }, "{ticket:?}");
    }
    for (ticket, told) in [(one(1), true), (one(2), false)] {
        let mut world = world();
        world.till(7, TillEvent::AskedAgain { ticket });
        assert_eq!(world.said.join("; ").contains("finish"), told, "{ticket:?}: {:?}", world.said);
    }
}

#[test]
fn a_request_that_waits_for_the_line_is_the_sale_just_paid_if_whoever_stood_between_has_left_meanwhile() {
    let waits = format!("{PAID}; b at 7; line-doubt; ask 12.50 #2");
    for (meanwhile, up, sales) in [("b leave", true, 1), ("b leave", false, 1), ("+1s", true, 2), ("+1s", false, 1)] {
        let mut world = played(&format!("{waits}; {meanwhile}"));
        assert_eq!(world.disk.sales.len(), 1, "it waits");
        world.said.clear();
        world.platform(PlatformEvent::Line { up });
        assert_eq!(world.disk.sales.len(), sales, "{meanwhile}, {up}");
        let told = world.said.join("; ");
        assert_eq!(told.contains("finish"), meanwhile == "b leave", "{meanwhile}, {up}: {told}");
    }
}

#[test]
fn a_till_that_knows_some_other_receipt_says_nothing_about_the_last_one() {
    let refunds = |script: &str| played(script).disk.sales[0].0.refunds.len();
    assert_eq!(refunds(&format!("{PAID}; unheard; knows 9")), 0);
    assert_eq!(refunds(&format!("{PAID}; unheard; knows 1")), 0, "it has it");
    let second =
        "a at 7; ask 3.00 #1; a confirm; open; paid; take; a finish; a at 7; ask 12.50 #2; a confirm; open; paid";
    let refunds = |script: &str| played(script).disk.sales[1].0.refunds.len();
    assert_eq!(refunds(&format!("{second}; unheard; knows 1")), 1, "it has the one before");
    assert_eq!(refunds(&format!("{second}; take; knows 1")), 0, "it has said that it has the last one");
}

#[test]
fn a_phone_chooses_among_its_payments_of_which_so_much_is_left() {
    let two = format!("{PAID}; take; a finish; a at 7; ask 3.00 #2; a confirm; open; paid; take; a finish; a at 7");
    for (asked, offered) in [("2.00", 2), ("3.00", 2), ("3.01", 1), ("12.50", 1)] {
        let world = played(&format!("{two}; refund {asked} #3"));
        let Some(Screen::ChooseReturn { payments, .. }) = world.shown.get(&session("a")) else { panic!("{asked}") };
        assert_eq!(payments.len(), offered, "{asked}");
    }
    // Who says no sum is shown none, and not one of nothing.
    for (asked, shown) in [("reverse #3", None), ("refund 3.00 #3", Some(eur("3.00")))] {
        let world = played(&format!("{two}; {asked}"));
        let Some(Screen::ChooseReturn { facts, .. }) = world.shown.get(&session("a")) else { panic!("{asked}") };
        assert_eq!(facts.amount, shown, "{asked}");
    }
}

#[test]
fn nothing_is_due_before_its_time() {
    let policy = Policy::with_defaults(eur("1.00").currency(), [super::world::till(7)].into());
    let offered = played("a at 7; ask 12.50 #1").disk.sales[0].0.clone();
    let paying = played("a at 7; ask 12.50 #1; a confirm; open").disk.sales[0].0.clone();
    let (session, until) = (session("a"), Mono(2_000_000));
    for state in [
        SaleState::Offered { session, until },
        SaleState::Paying { session, back_by: Some(until) },
        SaleState::Aborting { session, why: AbortWhy::Till, until },
        SaleState::Cancelled { why: CancelledWhy::Till, telling: Telling::TakeLater { at: until, times: 1 } },
    ] {
        let mut sale = if matches!(state, SaleState::Offered { .. }) { offered.clone() } else { paying.clone() };
        (sale.state, sale.ends) = (state, Mono(3_000_000));
        sale.pass(at(1, until.0 - 1, None), &policy);
        assert_eq!(sale.state, state, "a millisecond early");
        sale.pass(at(1, until.0, None), &policy);
        assert_ne!(sale.state, state);
    }
    let choosing = played(&format!("{PAID}; take; a finish; a at 7; refund 5.00 #2")).disk.returns[0].0.clone();
    let sending = played(&format!("{PAID}; take; refund 5.00 of #1 #2")).disk.returns[0].0.clone();
    for (mut given, due) in [(choosing.clone(), choosing.state.deadline_of_choice()), (sending.clone(), sending.ends)] {
        let before = given.state;
        given.pass(at(1, due.0 - 1, None));
        assert_eq!(given.state, before, "a millisecond early");
        given.pass(at(1, due.0, None));
        assert_ne!(given.state, before);
    }
}

impl ReturnState {
    fn deadline_of_choice(&self) -> Mono {
        let ReturnState::Choosing { until, .. } = self else { panic!("{self:?}") };
        *until
    }
}

#[test]
fn states_have_the_names_that_the_books_know() {
    let of = |script: &str| played(script).disk.sales[0].0.state.name();
    let scripts =
        ["ask 12.50 #1", "a at 7; ask 12.50 #1", "a at 7; ask 12.50 #1; a confirm", PAID, "ask 12.50 #1; abort"];
    assert_eq!(scripts.map(of), ["waiting", "offered", "paying", "approved", "cancelled"]);
    let of = |script: &str| played(&format!("{PAID}; take; a finish; {script}")).disk.returns[0].0.state.name();
    let scripts = ["a at 7; refund 5.00 #2", "refund 5.00 of #1 #2", "refund 5.00 of #1 #2; refunded"];
    assert_eq!(scripts.map(of), ["choosing", "sending", "returned"]);
}

#[test]
fn a_till_is_told_when_its_refund_is_in_doubt_and_not_when_another_is() {
    let told = |script: &str| {
        played(&format!("{PAID}; take; {script}")).left.iter().any(|effect| {
            let Effect::Till { answer: TillAnswer::Progress { progress, .. }, .. } = effect else { return false };
            *progress == Progress::Checking
        })
    };
    assert!(!told("refund 5.00 of #1 #2"));
    assert!(told("refund 5.00 of #1 #2; refund-unknown"));
    assert!(!told("refund 1.00 of #1 #2; refunded; take; refund 5.00 of #1 #3"));
}

#[test]
fn a_result_that_is_put_off_for_ever_counts_as_not_heard_after_sixty_times() {
    let put_off = |script: &str, times: u64| {
        let mut world = played(script);
        for _ in 0..times {
            let sale = world.disk.newest(super::world::till(7), None).unwrap();
            world.till(7, TillEvent::TakeLater { sale, after_ms: 2_000 });
            world.wait(2_000);
        }
        world.disk.alarms
    };
    for script in [PAID.to_owned(), format!("{PAID}; take; refund 5.00 of #1 #2; refunded")] {
        assert_eq!((put_off(&script, 59), put_off(&script, 61)), (0, 1), "{script}");
    }
}
