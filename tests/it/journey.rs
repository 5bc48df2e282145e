//! Whole payments through the running daemon: every scenario ends with shop, platform and till agreeing.

mod choices;
mod faults;
mod habits;
mod kills;
mod lasting;
mod process;
mod returns;
// Two programs share it; each uses its part.
#[allow(dead_code)]
mod rig;
mod trust;

use rig::{Phone, Rig, TILL, eventually};
use tillgate::shop::effect::{CancelledWhy, DeclinedWhy, Outcome};
use tillgate::shop::event::{Reason, Ticket};
use tillgate::till::player::{self, Ended, Last, Shown};

/// What a sale here is about, in minor units.
const PRICE: u64 = 1_250;

#[test]
fn a_customer_pays() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(&mut phone);
    let result = asked.result();
    assert!(result.lines.contains(&"PAID".to_owned()), "{result:?}");
    phone.reads("Paid. Thank you!");
    phone.sees("/finish");
    phone.send("/finish");
    phone.sees("/till");
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn a_wrong_password_is_told_and_the_same_link_goes_on() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    assert!(phone.types_a_wrong_password(&link).contains("2 tries are left"));
    assert!(!rig.till.shows_failure("WRONG_PASSWORD"));
    phone.reads("role=\"alert\"");
    assert_eq!(phone.link(), Some(link.clone()));
    phone.pays(&link, "anna");
    assert_eq!(asked.result().failed_tries, 1);
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
}

#[test]
fn a_password_wrong_three_times_begins_a_new_attempt() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    for _ in 0..2 {
        phone.types_a_wrong_password(&link);
        assert!(!rig.till.shows_failure("WRONG_PASSWORD"));
    }
    phone.types_a_wrong_password(&link);
    assert!(rig.till.shows_failure("TOO_MANY_TRIES"));
    let next = phone.checkout(Some(&link));
    phone.pays(&next, "anna");
    assert_eq!(asked.result().failed_tries, 3);
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 2));
}

#[test]
fn an_account_without_money_fails_the_attempt_and_a_new_one_begins_by_itself() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    assert!(phone.pays(&link, "poor").contains("not enough money"));
    assert!(rig.till.shows_failure("NO_FUNDS"));
    let next = phone.checkout(Some(&link));
    phone.reads("role=\"alert\"");
    assert!(phone.visits(&link).contains("has failed"), "the first link is dead");
    phone.pays(&next, "anna");
    assert_eq!(asked.result().failed_tries, 1);
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 2));
}

#[test]
fn attempts_that_fail_end() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let mut link = confirm(&mut phone);
    for _ in 0..2 {
        phone.pays(&link, "poor");
        link = phone.checkout(Some(&link));
    }
    phone.pays(&link, "poor");
    assert_eq!(asked.result().reason, "NO_FUNDS");
    phone.reads("Not paid");
    assert_eq!(rig.agree_on_one(), Outcome::Declined(DeclinedWhy::Failed(Reason::NoFunds)));
    assert_eq!(rig.payments().len(), 3);
}

#[test]
fn a_customer_who_does_not_pay_declines_before_at_and_after_the_checkout() {
    for (after, why, expected) in [
        ("offer", "CUSTOMER", DeclinedWhy::Customer),
        ("confirm", "GIVEN_UP", DeclinedWhy::GivenUp),
        ("checkout", "GIVEN_UP", DeclinedWhy::GivenUp),
    ] {
        let rig = Rig::new();
        let mut phone = rig.paired();
        let asked = rig.till.asks(PRICE);
        phone.sees("/confirm");
        match after {
            "offer" => phone.send("/decline"),
            "confirm" => {
                confirm(&mut phone);
                phone.send("/give-up");
            }
            _ => {
                let link = confirm(&mut phone);
                assert!(phone.cancels(&link).contains("Cancelled"));
            }
        }
        assert_eq!(asked.result().reason, why, "{after}");
        phone.reads("Not paid");
        assert_eq!(rig.agree_on_one(), Outcome::Declined(expected), "{after}");
    }
}

#[test]
fn the_till_aborts_before_and_after_the_customer_has_confirmed() {
    for confirmed in [false, true] {
        let rig = Rig::new();
        let mut phone = rig.paired();
        let asked = rig.till.asks(PRICE);
        phone.sees("/confirm");
        let link = confirmed.then(|| confirm(&mut phone));
        rig.till.aborts();
        assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
        phone.reads("The cashier stopped the payment.");
        if let Some(link) = link {
            assert!(phone.visits(&link).contains("Cancelled"));
        }
        assert_eq!(rig.agree_on_one(), Outcome::Cancelled(CancelledWhy::Till));
    }
}

#[test]
fn an_abort_that_comes_after_the_payment_changes_nothing() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    rig.till.holds();
    phone.pays(&link, "anna");
    rig.till.shows_result();
    rig.till.aborts();
    rig.till.releases();
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn a_sale_waits_for_the_phone_that_comes_later() {
    let rig = Rig::new();
    let asked = rig.till.asks(PRICE);
    rig.till.shows_step("WAITING");
    let mut phone = rig.phone();
    phone.open(&format!("/t/{TILL}"));
    rig.till.shows_step("OFFERED");
    confirm_and_pay(&mut phone);
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn of_two_phones_at_a_till_the_first_pays_and_the_second_is_next() {
    let rig = Rig::new();
    let (mut first, mut second) = (rig.paired(), rig.paired());
    second.reads("Almost your turn");
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut first);
    second.reload();
    assert!(!second.has("/confirm") && second.link().is_none());
    first.pays(&link, "anna");
    asked.result();
    second.reads("Ready to pay");
    let asked = rig.till.asks(PRICE + 1);
    confirm_and_pay(&mut second);
    asked.result();
    first.reads("Paid. Thank you!");
    let sales = rig.agree();
    let amounts: Vec<_> = sales.iter().map(|sale| (sale.amount.minor(), sale.outcome())).collect();
    assert_eq!(amounts, [(PRICE, Some(Outcome::Approved)), (PRICE + 1, Some(Outcome::Approved))]);
}

#[test]
fn a_phone_that_is_offered_anothers_sale_passes_it_on() {
    let rig = Rig::new();
    let (mut first, mut second) = (rig.paired(), rig.paired());
    let asked = rig.till.asks(PRICE);
    first.sees("/confirm");
    first.send("/not-mine");
    first.sees("/till");
    let link = confirm(&mut second);
    // The one that pays lets the one in line pay instead.
    first.stands();
    second.sees("/let-go");
    second.send("/let-go");
    confirm_and_pay(&mut first);
    assert!(second.visits(&link).contains("Cancelled"));
    asked.result();
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 2));
}

#[test]
fn the_same_ticket_twice_is_one_sale() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let first = rig.till.asks_as(PRICE, TICKET);
    confirm_and_pay(&mut phone);
    let first = first.result();
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
    let again = rig.till.asks_as(PRICE, TICKET).result();
    assert_eq!((again.outcome, &again.payment, &again.code), (first.outcome, &first.payment, &first.code));
    assert_eq!(rig.till.last(TICKET), Last::Result(again));
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
}

#[test]
fn the_same_ticket_with_another_amount_is_refused() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks_as(PRICE, TICKET);
    confirm_and_pay(&mut phone);
    asked.result();
    let other = rig.till.asks_as(PRICE + 1, TICKET).end();
    assert!(matches!(other, Ended::Refused { reason, .. } if reason == "TICKET_USED"));
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
}

#[test]
fn a_phone_that_reloads_at_every_step_pays_once() {
    let rig = Rig::new();
    let mut phone = rig.phone();
    reload(&mut phone);
    phone.stands();
    reload(&mut phone);
    let asked = rig.till.asks(PRICE);
    phone.sees("/confirm");
    reload(&mut phone);
    // Its mini-browser closes; the address is opened again in another, which has no cookie.
    let new = phone.moved();
    let mut old = std::mem::replace(&mut phone, new);
    let link = confirm(&mut phone);
    reload(&mut phone);
    assert_eq!(phone.link(), Some(link.clone()));
    old.send("/confirm"); // The page that still stands in the old one: a second tap.
    assert_eq!(old.checkout(None), link);
    phone.types_a_wrong_password(&link);
    rig.till.shows_failure("WRONG_PASSWORD");
    reload(&mut phone);
    phone.pays(&link, "anna");
    asked.result();
    phone.reads("Paid. Thank you!");
    reload(&mut phone);
    phone.sees("/finish");
    phone.send("/finish");
    reload(&mut phone);
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
}

#[test]
fn a_payment_that_comes_after_the_sale_was_cancelled_goes_back() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    assert!(phone.pays(&link, "late").contains("under way"));
    rig.till.aborts();
    assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
    eventually("the late account pays", || rig.payments()[0].paid_minor == PRICE);
    // The books of the platform are compared at every start.
    assert!(rig.stop().success());
    rig.start();
    eventually("the money goes back", || rig.payments()[0].refunded_minor == PRICE);
    phone.reads("The amount given back has been sent to you.");
    assert_eq!(rig.agree_on_one(), Outcome::Cancelled(CancelledWhy::Till));
}

#[test]
fn what_a_customer_pays_twice_goes_back_once() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    phone.pays(&link, "twice");
    let result = asked.result();
    assert_eq!((result.outcome, result.given_back_minor), (player::Outcome::Approved, 0));
    eventually("the surplus goes back", || rig.payments()[0].refunded_minor == PRICE);
    phone.reads("Paid. Thank you!");
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
    assert_eq!(rig.payments()[0].paid_minor, 2 * PRICE);
    assert_eq!(rig.sales()[0].given_back_minor, 0, "what the shop had no right to is not given back of the sale");
}

#[test]
fn a_slow_payment_is_waited_for() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    phone.pays(&link, "slow");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn a_till_whose_request_gets_lost_repeats_it_and_there_is_one_sale() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    rig.kill();
    let asked = rig.till.asks(PRICE);
    rig.start();
    rig.till.shows("that it is accepted", |shown| matches!(shown, Shown::Accepted { .. }));
    confirm_and_pay(&mut phone);
    asked.result();
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

const TICKET: Option<Ticket> = Some(Ticket { epoch: Some(3), number: 17 });

fn confirm(phone: &mut Phone) -> String {
    phone.sees("/confirm");
    phone.send("/confirm");
    phone.checkout(None)
}

fn confirm_and_pay(phone: &mut Phone) {
    let link = confirm(phone);
    assert!(phone.pays(&link, "anna").contains("Thank you"));
}

/// Again and again: the page must be the same.
fn reload(phone: &mut Phone) {
    let before = phone.forms();
    for _ in 0..3 {
        phone.reload();
        assert_eq!(phone.forms(), before);
    }
}
