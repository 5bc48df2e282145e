//! Money back by the phone's own pages: which payment is chosen, what an old page can do, what the customer reads meanwhile.

use super::rig::{Phone, Rig};
use super::{PRICE, confirm_and_pay};
use rusqlite::Connection;
use tillgate::shop::event::Ticket;
use tillgate::store::SaleLine;
use tillgate::till::player;

/// A phone that stands at the till again after it has paid there.
fn paid() -> (Rig, Phone, Ticket) {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let ticket = pays(&rig, &mut phone);
    (rig, phone, ticket)
}

fn pays(rig: &Rig, phone: &mut Phone) -> Ticket {
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(phone);
    let ticket = asked.result().ticket.unwrap();
    phone.sees("/finish");
    // The paid page need not be put away first.
    phone.open("/t/7");
    phone.reads("Ready to pay");
    ticket
}

/// How much of each payment has gone back, the oldest first.
fn refunded(rig: &Rig) -> Vec<u64> {
    let payments = rig.payments();
    let of = |line: &SaleLine| payments.iter().find(|payment| payment.sale == line.id.to_string());
    rig.sales().iter().filter_map(of).map(|payment| payment.refunded_minor).collect()
}

fn choices(phone: &Phone) -> usize {
    phone.forms().iter().filter(|form| form.ends_with("/choose")).count()
}

#[test]
fn of_several_payments_the_newest_stands_first_and_what_is_left_of_each_is_shown() {
    let (rig, mut phone, _) = paid();
    pays(&rig, &mut phone);
    let asked = rig.till.refunds(500, None, 60);
    phone.sees("/choose");
    assert_eq!(choices(&phone), 2);
    phone.reads("Which of your payments is it about?");
    phone.send("/choose");
    assert_eq!(asked.result().outcome, player::Outcome::Refunded);
    phone.reads("Money given back");
    phone.reads("€5.00");
    assert_eq!(refunded(&rig), [0, 500], "the newest");
    phone.send("/finish");
    phone.stands();
    // More than is left of the newest: only the other one will do.
    let asked = rig.till.refunds(800, None, 60);
    phone.sees("/choose");
    assert_eq!(choices(&phone), 1);
    phone.reads("Is it about this payment?");
    phone.send("/choose");
    asked.result();
    phone.sees("/finish");
    phone.send("/finish");
    phone.stands();
    let asked = rig.till.reverses(None);
    phone.sees("/choose");
    phone.reads("All that is left of the payment");
    phone.reads("get \u{2068}€7.50\u{2069} back");
    phone.reads("get \u{2068}€4.50\u{2069} back");
    phone.send("/choose");
    asked.result();
    assert_eq!(refunded(&rig), [800, PRICE]);
    rig.agree();
}

#[test]
fn a_page_from_an_earlier_return_gives_nothing_back() {
    let (rig, mut phone, _) = paid();
    let asked = rig.till.refunds(500, None, 60);
    phone.sees("/choose");
    let mut old = phone.moved();
    rig.till.aborts();
    assert_eq!(asked.result().outcome, player::Outcome::Cancelled);
    phone.reads("The cashier stopped it.");
    phone.send("/finish");
    phone.stands();
    let asked = rig.till.refunds(300, None, 60);
    phone.sees("/choose");
    old.send("/choose");
    old.reads("get \u{2068}€3.00\u{2069} back");
    assert_eq!(refunded(&rig), [0]);
    old.send("/refuse");
    assert_eq!(asked.result().outcome, player::Outcome::Declined);
    phone.reads("You chose that nothing be given back.");
    assert_eq!(refunded(&rig), [0]);
    rig.agree();
}

#[test]
fn two_taps_give_back_once() {
    let (rig, mut phone, _) = paid();
    let asked = rig.till.refunds(500, None, 60);
    phone.sees("/choose");
    let mut again = phone.moved();
    let mut late = phone.moved();
    phone.send("/choose");
    again.send("/choose");
    assert_eq!(asked.result().outcome, player::Outcome::Refunded);
    late.send("/refuse");
    for tab in [&mut phone, &mut again, &mut late] {
        tab.reads("Money given back");
    }
    assert_eq!((refunded(&rig), rig.agree().len()), (vec![500], 2));
}

#[test]
fn while_the_platform_is_away_the_customer_reads_so_and_then_how_it_ended() {
    let (mut rig, mut phone, _) = paid();
    // The least with which a customer may still choose.
    let asked = rig.till.refunds(500, None, 36);
    phone.sees("/choose");
    let settings = rig.stops_the_platform();
    phone.send("/choose");
    phone.reads("Your money is being given back.");
    phone.reads("The payment service has not answered yet.");
    assert!(phone.forms().is_empty(), "it cannot be taken back: {:?}", phone.forms());
    let told = asked.result();
    assert_eq!((told.outcome, told.reason.as_str()), (player::Outcome::Refunded, "PENDING"));
    phone.reads("Money back: not confirmed yet");
    phone.reads("keeps asking until it is settled");
    rig.starts_the_platform(settings);
    phone.reads("Money given back");
    rig.agree();
}

#[test]
fn what_the_platform_refuses_is_said_and_that_nothing_went_back() {
    let (rig, mut phone, _) = paid();
    let platform = Connection::open(rig.stage.platform_books()).unwrap();
    let by_hand =
        "INSERT INTO refund SELECT 'by-hand', id, amount, currency, exponent, 'accepted', NULL, 0, NULL FROM payment";
    platform.execute(by_hand, []).unwrap();
    let asked = rig.till.refunds(500, None, 60);
    phone.sees("/choose");
    phone.send("/choose");
    assert_eq!(asked.result().outcome, player::Outcome::Declined);
    phone.reads("Nothing given back");
    phone.reads("The payment service does not give this payment back.");
}

#[test]
fn the_page_of_the_sale_shows_what_has_gone_back_since() {
    let rig = Rig::new();
    let mut phone = rig.paired();
    let asked = rig.till.asks(PRICE);
    confirm_and_pay(&mut phone);
    let ticket = asked.result().ticket;
    phone.reads("Paid. Thank you!");
    rig.till.refunds(500, ticket, 60).result();
    phone.reads("Given back");
    phone.reads("€5.00");
    rig.till.reverses(ticket).result();
    phone.reads("Your money goes back to you");
    rig.agree();
}
