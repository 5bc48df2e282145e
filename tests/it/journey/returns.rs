//! Money that the till gives back: by ticket, by the phone's choice, with a platform that is away, refuses or is slow, and
//! with a daemon that dies in between.

use super::rig::{Phone, Rig, eur, eventually};
use super::{PRICE, confirm_and_pay};
use rusqlite::Connection;
use tillgate::sandbox::{FaultKind, FaultyCall};
use tillgate::shop::effect::Outcome;
use tillgate::shop::event::{AskKind, Ticket};
use tillgate::shop::id::SaleId;
use tillgate::till::player::{self, Ended, Last, TillResult};

/// A till without other sales, and a phone that has paid there.
fn paid() -> (Rig, Phone, Ticket) {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(&mut phone);
    let ticket = asked.result().ticket.unwrap();
    phone.sees("/finish");
    phone.send("/finish");
    (rig, phone, ticket)
}

fn refused(ended: Ended) -> String {
    match ended {
        Ended::Refused { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

fn is_done(result: &TillResult, minor: u64) -> bool {
    (result.outcome, result.reason.as_str(), result.amount) == (player::Outcome::Refunded, "NONE", eur(minor))
}

/// What is under way, and the phone that chooses.
fn choosing(rig: &Rig) -> SaleId {
    let mut id = None;
    eventually("the phone is asked", || {
        id = rig.sales().iter().find(|line| line.open && line.kind() != AskKind::Pay).map(|line| line.id);
        id.is_some()
    });
    id.unwrap()
}

#[test]
fn any_part_goes_back_and_then_all_that_is_left_and_never_more() {
    let (rig, _phone, ticket) = paid();
    let of = Some(ticket);
    let first = rig.till.refunds(500, of, 60).result();
    assert!(is_done(&first, 500), "{first:?}");
    for line in ["Refund to phone", "GIVEN BACK", "Receipt 0002"] {
        assert!(first.lines.contains(&line.to_owned()), "{line}: {first:?}");
    }
    assert_eq!(refused(rig.till.refunds(751, of, 60).end()), "MORE_THAN_LEFT");
    assert!(is_done(&rig.till.reverses(of).result(), 750));
    assert_eq!(refused(rig.till.reverses(of).end()), "ALL_GIVEN_BACK");
    assert_eq!(refused(rig.till.refunds(1, of, 60).end()), "ALL_GIVEN_BACK");
    assert_eq!(refused(rig.till.refunds(1, Some(Ticket { number: 999, ..ticket }), 60).end()), "NO_SUCH_SALE");
    assert_eq!(rig.payments()[0].refunded_minor, PRICE);
    let Last::Result(sale) = rig.till.last(of) else { panic!("the sale is over") };
    assert_eq!((sale.outcome, sale.given_back_minor), (player::Outcome::Returned, PRICE));

    let day = rig.till.day();
    assert_eq!((day.approved, day.approved_minor), (1, PRICE));
    assert_eq!((day.given_back, day.given_back_minor, day.unpaid), (2, PRICE, 0));
    rig.till.closes(day.clone());
    let next = rig.till.day();
    assert_eq!((next.approved, next.given_back, next.mark), (0, 0, day.mark));
    let lines = rig.sales();
    assert_eq!(
        lines.iter().map(|line| line.kind()).collect::<Vec<_>>(),
        [AskKind::Pay, AskKind::Refund, AskKind::Reverse]
    );
    assert_eq!(lines[2].back().map(|back| (back.sale, back.amount)), Some((lines[0].id, eur(750))));
}

#[test]
fn without_a_ticket_the_phone_at_the_till_chooses_its_own_payment() {
    let (rig, mut phone, _) = paid();
    let mut other = rig.phone();
    assert_eq!(refused(rig.till.refunds(500, None, 60).end()), "NO_PHONE");
    phone.stands();
    let (form, others_form) = (phone.form(), other.form());
    let asked = rig.till.refunds(500, None, 60);
    let (id, sale) = (choosing(&rig).to_string(), rig.sales()[0].id.to_string());
    let choose = |form: &str, minor: &str| {
        [("form", form), ("asked", &id), ("sale", &sale), ("minor", minor), ("currency", "EUR")]
            .map(|(n, v)| (n, v.to_owned()))
    };
    let posts = |phone: &Phone, fields: [(&'static str, String); 5]| {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        phone.posts("choose", &fields)
    };
    other.reload();
    assert_eq!(posts(&other, choose(&others_form, "500")), 303);
    assert_eq!(posts(&phone, choose(&form, "1250")), 303);
    assert!(rig.payments()[0].refunded_minor == 0, "nobody but the phone at the till, and what it was shown");
    assert_eq!(posts(&phone, choose(&form, "500")), 303);
    assert!(is_done(&asked.result(), 500));
    assert_eq!(rig.payments()[0].refunded_minor, 500);
    rig.agree();
}

#[test]
fn a_customer_who_wants_nothing_back_and_a_cashier_who_aborts_end_it() {
    let (rig, mut phone, _) = paid();
    phone.stands();
    let form = phone.form();
    let asked = rig.till.reverses(None);
    let id = choosing(&rig).to_string();
    assert_eq!(phone.posts("refuse", &[("form", &form), ("asked", &id)]), 303);
    let result = asked.result();
    assert_eq!((result.outcome, result.reason.as_str()), (player::Outcome::Declined, "CUSTOMER"));
    assert!(result.lines.contains(&"NOTHING GIVEN BACK".to_owned()), "{result:?}");
    assert_eq!(phone.posts("finish", &[("form", &form)]), 303);
    phone.sees("/till");
    phone.stands();
    let asked = rig.till.refunds(1, None, 60);
    choosing(&rig);
    rig.till.aborts();
    assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
    assert_eq!(rig.payments()[0].refunded_minor, 0);
    rig.agree();
}

#[test]
fn while_the_platform_is_away_it_is_pending_and_then_followed_up() {
    let (mut rig, _phone, ticket) = paid();
    let settings = rig.stops_the_platform();
    let pending = rig.till.refunds(500, Some(ticket), 10).result();
    assert_eq!((pending.outcome, pending.reason.as_str()), (player::Outcome::Refunded, "PENDING"));
    assert!(pending.lines.contains(&"PENDING".to_owned()), "{pending:?}");
    assert_eq!(rig.sales()[1].state.name(), "pending");
    rig.starts_the_platform(settings);
    eventually("the money goes back", || rig.payments()[0].refunded_minor == 500);
    eventually("the shop hears of it", || rig.sales()[1].outcome() == Some(Outcome::Returned { pending: false }));
    let Last::Result(later) = rig.till.last(pending.ticket) else { panic!("it is over") };
    assert!(is_done(&later, 500), "{later:?}");
    rig.agree();
}

#[test]
fn what_the_platform_refuses_is_told_as_refused_and_a_person_is_called() {
    let (rig, _phone, ticket) = paid();
    // Somebody gave it back at the platform itself.
    let platform = Connection::open(rig.stage.platform_books()).unwrap();
    let by_hand =
        "INSERT INTO refund SELECT 'by-hand', id, amount, currency, exponent, 'accepted', NULL, 0, NULL FROM payment";
    platform.execute(by_hand, []).unwrap();
    let result = rig.till.refunds(500, Some(ticket), 60).result();
    assert_eq!((result.outcome, result.reason.as_str()), (player::Outcome::Declined, "NOT_ALLOWED"));
    let lines = rig.sales();
    assert_eq!((lines[0].given_back_minor, lines[0].needs_person, lines[1].needs_person), (0, true, true));
    assert!(rig.log().contains("RefundRefused"));
}

#[test]
fn killed_between_request_and_result_nothing_goes_back_twice() {
    let (mut rig, _phone, ticket) = paid();
    rig.fault(FaultyCall::Refund, FaultKind::Delay, 1, 10_000);
    let asked = rig.till.refunds(500, Some(ticket), 60);
    eventually("the refund has reached the platform", || rig.payments()[0].refunded_minor == 500);
    rig.kill_and_start();
    assert!(is_done(&asked.result(), 500));
    assert_eq!((rig.agree().len(), rig.payments()[0].refunded_minor), (2, 500));
}

#[test]
fn killed_while_the_phone_chooses_nothing_goes_back_and_the_till_hears_so() {
    let (mut rig, mut phone, _) = paid();
    phone.stands();
    let form = phone.form();
    let asked = rig.till.refunds(500, None, 60);
    let (id, sale) = (choosing(&rig).to_string(), rig.sales()[0].id.to_string());
    rig.kill_and_start();
    let late = [("form", form.as_str()), ("asked", &id), ("sale", &sale), ("minor", "500"), ("currency", "EUR")];
    phone.posts("choose", &late);
    let result = asked.result();
    assert_eq!((result.outcome, result.reason.as_str()), (player::Outcome::Cancelled, "POWER_CUT"));
    assert_eq!(rig.payments()[0].refunded_minor, 0);
    rig.agree();
}
