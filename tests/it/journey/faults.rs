//! A platform that answers badly in the middle of a payment: what it says wrongly changes nothing, and the sale comes to
//! its right end.

use super::rig::{Rig, eventually};
use super::{PRICE, confirm};
use tillgate::sandbox::FaultKind::{self, *};
use tillgate::sandbox::FaultyCall;
use tillgate::shop::effect::{CancelledWhy, Outcome};
use tillgate::till::player;

#[test]
fn bad_answers_to_the_creation_delay_the_checkout() {
    each(&[DropAnswer, Error500, Error500After, WrongAmount, OtherId, Garbage], |rig, fault| {
        rig.fault(FaultyCall::Create, fault, 1, 0);
        let mut phone = rig.paired();
        let asked = rig.till.asks(PRICE);
        let link = confirm(&mut phone);
        phone.pays(&link, "anna");
        assert_eq!(asked.result().outcome, player::Outcome::Approved);
        assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
    });
}

#[test]
fn bad_answers_about_the_payment_delay_its_result() {
    each(&[DropAnswer, Error500, WrongAmount, OtherId, Garbage, StatusBack, VersionBack], |rig, fault| {
        let mut phone = rig.paired();
        let asked = rig.till.asks(PRICE);
        let link = confirm(&mut phone);
        rig.fault(FaultyCall::Query, fault, 2, 0);
        phone.pays(&link, "anna");
        assert_eq!(asked.result().outcome, player::Outcome::Approved);
        assert_eq!((rig.agree_on_one(), rig.payments().len()), (Outcome::Approved, 1));
    });
}

#[test]
fn bad_answers_to_the_cancellation_do_not_end_a_sale_twice() {
    each(&[DropAnswer, Error500, Error500After, OtherId, Garbage], |rig, fault| {
        let mut phone = rig.paired();
        let asked = rig.till.asks(PRICE);
        confirm(&mut phone);
        rig.fault(FaultyCall::Cancel, fault, 1, 0);
        rig.till.aborts();
        assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
        assert_eq!(rig.agree_on_one(), Outcome::Cancelled(CancelledWhy::Till));
    });
}

#[test]
fn bad_answers_to_a_refund_give_nothing_back_twice() {
    each(&[DropAnswer, Error500, Error500After, OtherId, Garbage], |rig, fault| {
        let mut phone = rig.paired();
        let asked = rig.till.asks(PRICE);
        let link = confirm(&mut phone);
        rig.fault(FaultyCall::Refund, fault, 1, 0);
        phone.pays(&link, "twice");
        asked.result();
        eventually("the surplus goes back", || rig.payments()[0].refunded_minor == PRICE);
        assert_eq!(rig.agree_on_one(), Outcome::Approved);
    });
}

#[test]
fn a_platform_that_goes_away_and_comes_back_finds_the_payment_going_on() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    let away = rig.stops_the_platform();
    rig.till.shows_step("CHECKING");
    rig.starts_the_platform(away);
    phone.pays(&link, "anna");
    assert_eq!(asked.result().outcome, player::Outcome::Approved);
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

#[test]
fn a_sale_that_is_aborted_while_the_platform_is_away_ends_and_is_closed_there_later() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    let away = rig.stops_the_platform();
    rig.till.aborts();
    assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
    phone.reads("If any money is still taken, you get it back automatically.");
    rig.starts_the_platform(away);
    assert_eq!(rig.agree_on_one(), Outcome::Cancelled(CancelledWhy::Till));
    assert!(phone.visits(&link).contains("Cancelled"));
}

#[test]
fn what_was_paid_unseen_before_the_till_aborted_goes_back() {
    let mut rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    let link = confirm(&mut phone);
    // A question that the platform holds already is out of the faults' reach: it would bring the news.
    let away = rig.stops_the_platform();
    rig.starts_the_platform(away);
    rig.fault(FaultyCall::Query, Error500, 1_000, 0);
    rig.fault(FaultyCall::Cancel, Error500, 1_000, 0);
    phone.pays(&link, "anna");
    rig.till.aborts();
    assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
    rig.fault(FaultyCall::Query, Error500, 0, 0);
    rig.fault(FaultyCall::Cancel, Error500, 0, 0);
    eventually("the money goes back", || rig.payments()[0].refunded_minor == PRICE);
    phone.reads("The amount given back has been sent to you.");
    assert_eq!(rig.agree_on_one(), Outcome::Cancelled(CancelledWhy::Till));
}

/// A shop of its own for each fault, all at once.
fn each(faults: &[FaultKind], play: impl Fn(&Rig, FaultKind) + Sync) {
    std::thread::scope(|scope| {
        for fault in faults {
            let play = &play;
            scope.spawn(move || {
                println!("{fault:?}");
                play(&Rig::new(), *fault);
            });
        }
    });
}
