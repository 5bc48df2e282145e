//! The daemon killed at every step and started again: phone, till, platform and books find together.

use super::rig::{Phone, Rig, eventually};
use super::{PRICE, confirm, confirm_and_pay};
use std::time::Duration;
use tillgate::sandbox::{FaultKind, FaultyCall};
use tillgate::shop::effect::{CancelledWhy, Outcome};
use tillgate::till::player;

/// Where in a payment the daemon is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    LoggedIn,
    Paired,
    Asked,
    Offered,
    /// The attempt is on disk; nothing has reached the platform.
    Intended,
    /// The platform has created the payment; its answer is on the way.
    Created,
    AtCheckout,
    TryFailed,
    AttemptFailed,
    /// The result is at the till, which has not answered.
    Paid,
    Taken,
}

#[test]
fn killed_after_the_login() {
    play(&[Step::LoggedIn]);
}

#[test]
fn killed_after_the_pairing() {
    play(&[Step::Paired]);
}

#[test]
fn killed_after_the_tills_request() {
    play(&[Step::Asked]);
}

#[test]
fn killed_after_the_offer() {
    play(&[Step::Offered]);
}

#[test]
fn killed_after_the_confirmation_before_the_platform_heard_of_it() {
    play(&[Step::Intended]);
}

#[test]
fn killed_before_the_platforms_answer() {
    play(&[Step::Created]);
}

#[test]
fn killed_with_the_checkout_open() {
    play(&[Step::AtCheckout]);
}

#[test]
fn killed_after_a_failed_try() {
    play(&[Step::TryFailed]);
}

#[test]
fn killed_after_an_attempt_failed_for_good() {
    play(&[Step::AttemptFailed]);
}

#[test]
fn killed_when_paid_before_the_till_took_the_result() {
    play(&[Step::Paid]);
}

#[test]
fn killed_after_the_till_took_the_result() {
    play(&[Step::Taken]);
}

#[test]
fn killed_at_every_step_of_one_payment() {
    use Step::*;
    play(&[LoggedIn, Paired, Offered, Intended, AtCheckout, TryFailed, AttemptFailed, Paid, Taken]);
}

#[test]
fn paid_while_the_daemon_is_dead() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    rig.kill();
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    rig.start();
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    phone.reads("Paid. Thank you!");
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn failed_while_the_daemon_is_dead() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    rig.kill();
    phone.pays(&link, "poor");
    rig.start();
    assert!(rig.till.shows_failure("NO_FUNDS"));
    let next = phone.checkout(Some(&link));
    phone.pays(&next, "anna");
    assert_eq!(asked.result().failed_tries, 1);
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 2));
}

#[test]
fn killed_while_an_aborted_payment_is_being_closed() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    confirm(&mut phone);
    rig.fault(FaultyCall::Cancel, FaultKind::Delay, 1, 10_000);
    rig.till.aborts();
    rig.till.shows_step("CLOSING");
    rig.kill_and_start();
    assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
    phone.reads("The cashier stopped the payment.");
    assert_eq!(rig.agree_on_one(), Outcome::Cancelled(CancelledWhy::Till));
}

#[test]
fn killed_while_money_goes_back() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    rig.fault(FaultyCall::Refund, FaultKind::Delay, 1, 10_000);
    phone.pays(&link, "twice");
    asked.result();
    eventually("the refund has reached the platform", || rig.payments()[0].refunded_minor == PRICE);
    rig.kill_and_start();
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
    assert_eq!(rig.payments()[0].refunded_minor, PRICE, "given back once");
}

/// The steps above are moments of rest. Here the daemon dies in the middle of its work: a little later each time.
#[test]
fn killed_in_the_middle_of_its_work() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let moments = [0, 1, 2, 3, 5, 8, 13, 21].map(Duration::from_millis);
    for after in moments {
        let asked = rig.till.asks(PRICE);
        rig.kill_after(after);
        rig.start();
        phone.sees("/confirm");
        phone.tries("/confirm", || rig.kill_after(after));
        rig.start();
        phone.reads("class=\"card\"");
        if phone.has("/confirm") {
            phone.send("/confirm");
        }
        let link = phone.checkout(None);
        assert!(phone.pays(&link, "anna").contains("Thank you"));
        rig.kill_after(after);
        rig.start();
        let result = asked.result();
        rig.kill_after(after);
        rig.start();
        assert_eq!(result.outcome, player::Outcome::Approved);
        phone.sees("/finish");
        phone.tries("/finish", || rig.kill_after(after));
        rig.start();
        phone.reload();
        if phone.has("/finish") {
            phone.send("/finish");
        }
        phone.stands();
    }
    let sales = rig.agree();
    assert_eq!((sales.len(), rig.payments().len()), (moments.len(), moments.len()));
}

/// One payment with a failed try, to its right end; the daemon is killed at these steps.
fn play(kills: &[Step]) {
    let mut rig = Rig::new();
    let killed = |step| kills.contains(&step);
    let mut phone = rig.phone();
    at(&mut rig, killed(Step::LoggedIn), &mut phone, "/till");
    let asked = if killed(Step::Asked) {
        let asked = rig.till.asks(PRICE);
        rig.till.shows_step("WAITING");
        at(&mut rig, true, &mut phone, "/till");
        phone.stands();
        asked
    } else {
        phone.stands();
        at(&mut rig, killed(Step::Paired), &mut phone, "/leave");
        rig.till.asks(PRICE)
    };
    rig.till.shows_step("OFFERED");
    at(&mut rig, killed(Step::Offered), &mut phone, "/confirm");
    let mut link = confirm_amid(&mut rig, killed(Step::Intended), killed(Step::Created), &mut phone);
    at(&mut rig, killed(Step::AtCheckout), &mut phone, "/give-up");
    phone.types_a_wrong_password(&link);
    rig.till.shows_failure("WRONG_PASSWORD");
    at(&mut rig, killed(Step::TryFailed), &mut phone, "/give-up");
    phone.reads("role=\"alert\"");
    assert_eq!(phone.checkout(None), link);
    let fails = killed(Step::AttemptFailed);
    if fails {
        phone.pays(&link, "poor");
        rig.till.shows_failure("NO_FUNDS");
        rig.kill_and_start();
        link = phone.checkout(Some(&link));
    }
    if killed(Step::Paid) {
        rig.till.holds();
    }
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    rig.till.shows_result();
    if killed(Step::Paid) {
        rig.kill_and_start();
        rig.till.releases();
    }
    let result = asked.result();
    assert_eq!((result.outcome, result.failed_tries), (player::Outcome::Approved, if fails { 2 } else { 1 }));
    at(&mut rig, killed(Step::Taken), &mut phone, "/finish");
    phone.reads("Paid. Thank you!");
    assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, if fails { 2 } else { 1 }));
    // And the next sale is a sale like any other.
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(&mut phone);
    asked.result();
    assert_eq!(rig.agree().len(), 2);
}

/// The phone confirms; the link to the checkout. The daemon may be killed before the platform heard of it, or before it
/// answered.
fn confirm_amid(rig: &mut Rig, unheard: bool, unanswered: bool, phone: &mut Phone) -> String {
    phone.sees("/confirm");
    if unheard {
        rig.fault(FaultyCall::Create, FaultKind::Error500, 1_000, 0);
    } else if unanswered {
        rig.fault(FaultyCall::Create, FaultKind::Delay, 1, 10_000);
    }
    phone.send("/confirm");
    if unheard {
        rig.till.shows_step("CONFIRMED");
        assert!(phone.link().is_none() && rig.payments().is_empty());
        rig.kill();
        rig.fault(FaultyCall::Create, FaultKind::Error500, 0, 0);
        rig.start();
    } else if unanswered {
        eventually("the platform has created the payment", || rig.payments().len() == 1);
        rig.kill_and_start();
    }
    phone.checkout(None)
}

/// Kills the daemon here, or not; the page of the phone has this form before and after.
fn at(rig: &mut Rig, kill: bool, phone: &mut Phone, form: &str) {
    phone.sees(form);
    if kill {
        let before = phone.forms();
        rig.kill_and_start();
        phone.reload();
        assert_eq!(phone.forms(), before);
    }
}
