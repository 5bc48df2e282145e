//! Concert E+ between the daemon and real clients of it: pyTeliumManager and pypostelium.

use crate::cable::Cable;
use crate::python::Program;
use crate::rig::{Dress, Phone, Rig, eventually};
use serde_json::{Value, json};
use tillgate::sandbox::{FaultKind, FaultyCall};
use tillgate::shop::effect::{CancelledWhy, DeclinedWhy, Outcome};
use tillgate::shop::event::AskKind;
use tillgate::shop::id::SaleId;
use tillgate::shop::sale::Telling;
use tillgate::store::{SaleLine, verify};

/// The till's number, as customers type it and as both clients write it.
const TILL: u16 = 1;

/// The daemon with a Concert till.
struct Shop {
    rig: Rig,
    cable: Cable,
}

impl Shop {
    fn opens() -> Shop {
        Shop::with("protocol = \"concert\"\n")
    }

    /// With this in the configuration of the till, or behind it.
    fn with(more: &'static str) -> Shop {
        let cable = Cable::new();
        let tills = vec![(TILL, cable.ours.clone())];
        let mut rig = Rig::dressed(Dress { tills, more: more.to_owned(), ..Dress::default() });
        rig.start();
        Shop { rig, cable }
    }

    /// pyTeliumManager.
    fn till(&self, args: &[&str]) -> Program {
        self.client("telium_till.py", args)
    }

    fn client(&self, file: &str, args: &[&str]) -> Program {
        let port = self.cable.till.display().to_string();
        let args: Vec<&str> = [port.as_str()].into_iter().chain(args.iter().copied()).collect();
        Program::run(file, &args, self.rig.stage.file("client.log"))
    }

    /// A phone that stands at the till.
    fn phone(&self) -> Phone {
        let mut phone = self.rig.phone();
        phone.open(&format!("/t/{TILL}"));
        phone
    }

    /// A phone that has paid 12.50 at the till and stands there again.
    fn paid(&self) -> Phone {
        let mut phone = self.phone();
        let till = self.till(&["debit", "12.50"]);
        assert_eq!(till.says(), json!({"asked": true}));
        pay(&mut phone);
        assert_eq!(till.says(), answer(0, 12.5, true));
        phone.reads("Paid. Thank you!");
        self.stands_again(&mut phone);
        phone
    }

    /// The phone puts away what it shows and stands at the till.
    fn stands_again(&self, phone: &mut Phone) {
        phone.reload();
        if phone.has("/finish") {
            phone.send("/finish");
        }
        phone.open(&format!("/t/{TILL}"));
    }

    /// The return that waits for the phone's choice.
    fn choosing(&self) -> SaleId {
        let mut id = None;
        eventually("the phone is asked", || {
            id = self.rig.sales().iter().find(|line| line.open && line.kind() != AskKind::Pay).map(|line| line.id);
            id.is_some()
        });
        id.unwrap()
    }

    /// The phone chooses the first sale, of which so much goes back.
    fn chooses(&self, phone: &Phone, minor: &str) {
        let (asked, sale) = (self.choosing().to_string(), self.rig.sales()[0].id.to_string());
        let form = phone.form();
        let fields =
            [("form", form.as_str()), ("asked", &asked), ("sale", &sale), ("minor", minor), ("currency", "EUR")];
        assert_eq!(phone.posts("choose", &fields), 303);
    }

    /// Kills the daemon without a word and starts it again.
    fn dies_and_starts(&mut self) {
        self.rig.kill();
        self.cable.unlocks();
        self.rig.start();
    }

    /// Waits until nothing more will happen, then asks whether shop and platform say the same; the sales.
    fn agrees(&self) -> Vec<SaleLine> {
        eventually("all sales are at rest", || self.rig.sales().iter().all(|sale| !sale.open));
        let (sales, payments) = (self.rig.sales(), self.rig.payments());
        for sale in &sales {
            let of_sale = payments.iter().filter(|p| p.sale == sale.id.to_string());
            let moved: i64 = of_sale.map(|p| p.moved_minor).sum();
            let paid = if sale.outcome() == Some(Outcome::Approved) { sale.amount.minor() } else { 0 };
            assert_eq!(moved.unsigned_abs(), paid.saturating_sub(sale.given_back_minor), "{sale:?}");
            assert!(!sale.needs_person, "{sale:?}");
        }
        assert!(payments.iter().all(|p| sales.iter().any(|s| s.id.to_string() == p.sale)), "{payments:?}");
        verify(&self.rig.stage.shop_books(), &mut |_, _| {}).unwrap();
        sales
    }

    /// As [`Shop::agrees`], where there was one sale: how it ended and how far the till was told.
    fn agrees_on_one(&self) -> (Outcome, Telling) {
        let sales = self.agrees();
        assert_eq!(sales.len(), 1, "{sales:?}");
        (sales[0].outcome().unwrap(), sales[0].telling().unwrap())
    }
}

fn confirm(phone: &mut Phone) -> String {
    phone.sees("/confirm");
    phone.send("/confirm");
    phone.checkout(None)
}

fn pay(phone: &mut Phone) {
    let link = confirm(phone);
    assert!(phone.pays(&link, "anna").contains("Thank you"));
}

/// An answer as pyTeliumManager reads it.
fn answer(result: u64, amount: f64, long: bool) -> Value {
    json!({
        "result": result, "succeeded": result == 0, "amount": amount, "currency": "978", "private": " ".repeat(10),
        "report": if long { 55 } else { 0 },
    })
}

#[test]
fn a_sale_is_paid_and_the_next_one_too() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    for (args, long) in [(&["debit", "12.50"][..], true), (&["debit", "12.50", "--short"], false)] {
        let till = shop.till(args);
        assert_eq!(till.says(), json!({"asked": true}));
        pay(&mut phone);
        assert_eq!(till.says(), answer(0, 12.5, long));
        assert_eq!(till.ends(), "");
        phone.reads("Paid. Thank you!");
        phone.sees("/finish");
        phone.send("/finish");
        phone.open(&format!("/t/{TILL}"));
    }
    let sales = shop.agrees();
    let ended: Vec<_> = sales.iter().map(|sale| (sale.outcome(), sale.telling())).collect();
    assert_eq!(ended, [(Some(Outcome::Approved), Some(Telling::Taken)); 2]);
}

#[test]
fn a_customer_who_does_not_want_to_pay_is_refused() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50"]);
    assert_eq!(till.says(), json!({"asked": true}));
    phone.sees("/decline");
    phone.send("/decline");
    assert_eq!(till.says(), answer(7, 12.5, true));
    assert_eq!(till.ends(), "");
    assert_eq!(shop.agrees_on_one(), (Outcome::Declined(DeclinedWhy::Customer), Telling::Taken));
}

#[test]
fn what_the_shop_does_not_take_is_refused_at_once() {
    let shop = Shop::opens();
    for (args, amount, currency) in [
        (&["debit", "1000.01"][..], 1_000.01, "978"),
        (&["debit", "12.50", "--currency", "USD"], 12.5, "840"),
        (&["debit", "12.50", "--number", "2"], 12.5, "978"),
    ] {
        let till = shop.till(args);
        assert_eq!(till.says(), json!({"asked": true}));
        let said = till.says();
        assert_eq!(
            (&said["result"], &said["amount"], &said["currency"]),
            (&json!(7), &json!(amount), &json!(currency))
        );
        assert_eq!(till.ends(), "");
    }
    assert!(shop.rig.log().contains("the till calls itself \"02\" instead of \"01\""));
    assert!(shop.rig.sales().is_empty());
}

/// The longest test here: the protocol gives the till no way to say how long it waits, and its time is real.
#[test]
fn a_customer_who_is_too_slow_is_refused_before_the_till_stops_waiting() {
    let shop = Shop::with("protocol = \"concert\"\n\n[rules]\nmargin_secs = 30\n");
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50"]);
    assert_eq!(till.says(), json!({"asked": true}));
    let link = confirm(&mut phone);
    assert_eq!(till.says(), answer(7, 12.5, true));
    let page = phone.visits(&link);
    assert!(page.contains("Cancelled") || page.contains("Too late"), "{page}");
    let (outcome, telling) = shop.agrees_on_one();
    let by_the_clock = [Outcome::Cancelled(CancelledWhy::Clock), Outcome::Declined(DeclinedWhy::Expired)];
    assert!(by_the_clock.contains(&outcome) && telling == Telling::Taken, "{outcome:?} {telling:?}");
}

#[test]
fn a_busy_box_says_so_to_a_till_that_calls() {
    let shop = Shop::opens();
    assert_eq!(shop.till(&["ready"]).says(), json!({"ready": true}));
    let mut phone = shop.phone();
    let mut first = shop.till(&["debit", "12.50"]);
    assert_eq!(first.says(), json!({"asked": true}));
    let link = confirm(&mut phone);
    first.kill();
    assert_eq!(shop.till(&["ready"]).says(), json!({"ready": false}));
    assert_eq!(shop.till(&["debit", "3.00"]).says(), json!({"asked": "busy"}));
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    eventually("the result is unheard", || matches!(shop.rig.sales()[0].telling(), Some(Telling::Unheard { .. })));
    assert_eq!(shop.agrees_on_one().0, Outcome::Approved);
}

#[test]
fn a_till_that_wants_its_answer_at_once_gets_it_and_the_sale_goes_on() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50", "--at-once", "--short"]);
    assert_eq!(till.says(), json!({"asked": true}));
    assert_eq!(till.says(), answer(9, 12.5, false));
    assert_eq!(till.ends(), "");
    pay(&mut phone);
    phone.reads("Paid. Thank you!");
    assert_eq!(shop.agrees_on_one(), (Outcome::Approved, Telling::NoChannel));
}

#[test]
fn a_daemon_killed_between_request_and_result_answers_after_its_start() {
    for args in [&["debit", "12.50"][..], &["debit", "12.50", "--short"]] {
        let mut shop = Shop::opens();
        let mut phone = shop.phone();
        let till = shop.till(args);
        assert_eq!(till.says(), json!({"asked": true}));
        let link = confirm(&mut phone);
        shop.dies_and_starts();
        assert!(phone.pays(&link, "anna").contains("Thank you"));
        assert_eq!(till.says(), answer(0, 12.5, args.len() == 2));
        assert_eq!(till.ends(), "");
        assert_eq!(shop.agrees_on_one(), (Outcome::Approved, Telling::Taken));
    }
}

#[test]
fn a_sale_that_ends_while_the_daemon_is_away_is_told_when_it_is_back() {
    let mut shop = Shop::opens();
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50"]);
    assert_eq!(till.says(), json!({"asked": true}));
    let link = confirm(&mut phone);
    shop.rig.kill();
    assert!(phone.pays(&link, "anna").contains("Thank you"));
    shop.cable.unlocks();
    shop.rig.start();
    assert_eq!(till.says(), answer(0, 12.5, true));
    assert_eq!(shop.agrees_on_one(), (Outcome::Approved, Telling::Taken));
}

#[test]
fn a_client_killed_between_result_and_acknowledgement_asks_again_and_the_phone_pays_once() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50", "--dies-before-ack"]);
    assert_eq!(till.says(), json!({"asked": true}));
    pay(&mut phone);
    assert_eq!(till.says(), json!({"read": 0}));
    eventually("the result is unheard", || matches!(shop.rig.sales()[0].telling(), Some(Telling::Unheard { .. })));
    phone.reads("Paid. Thank you!");
    let till = shop.till(&["debit", "12.50"]);
    assert_eq!(till.says(), json!({"asked": true}));
    assert_eq!(till.says(), answer(0, 12.5, true));
    assert_eq!((shop.agrees_on_one(), shop.rig.payments().len()), ((Outcome::Approved, Telling::Taken), 1));
}

#[test]
fn a_result_that_was_not_heard_never_answers_another_request() {
    let mut shop = Shop::opens();
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50", "--dies-before-ack"]);
    assert_eq!(till.says(), json!({"asked": true}));
    pay(&mut phone);
    eventually("the result is unheard", || matches!(shop.rig.sales()[0].telling(), Some(Telling::Unheard { .. })));
    // The next customer, the same amount: the box starts anew meanwhile and says to the till what it has not heard.
    phone.sees("/finish");
    phone.send("/finish");
    let mut other = shop.phone();
    let till = shop.till(&["debit", "12.50"]);
    assert_eq!(till.says(), json!({"asked": true}));
    other.sees("/decline");
    shop.dies_and_starts();
    other.sees("/decline");
    other.send("/decline");
    assert_eq!(till.says(), answer(7, 12.5, true));
    let sales = shop.agrees();
    assert_eq!(sales.len(), 2);
    assert!(matches!(sales[0].telling(), Some(Telling::Unheard { .. })), "{sales:?}");
    assert_eq!(sales[1].telling(), Some(Telling::Taken));
}

#[test]
fn a_till_that_closes_its_port_after_the_request_never_reads_a_result() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    let till = shop.till(&["debit", "12.50", "--closes-after-request"]);
    assert_eq!((till.says(), till.says()), (json!({"asked": true}), json!({"closed": true})));
    pay(&mut phone);
    eventually("the result is unheard", || matches!(shop.rig.sales()[0].telling(), Some(Telling::Unheard { .. })));
    assert_eq!(shop.agrees_on_one().0, Outcome::Approved);
}

#[test]
fn without_a_phone_that_has_paid_nothing_is_given_back() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    for what in ["credit", "refund"] {
        let till = shop.till(&[what, "12.50"]);
        assert_eq!(till.says(), json!({"asked": true}));
        assert_eq!(till.says(), answer(7, 12.5, true));
        assert_eq!(till.ends(), "");
    }
    phone.reload();
    assert!(shop.rig.sales().is_empty() && shop.rig.payments().is_empty());
}

#[test]
fn the_phone_at_the_till_chooses_what_goes_back_and_the_till_hears_how_much() {
    let shop = Shop::opens();
    let mut phone = shop.paid();
    for (args, chosen, verdict) in [
        (&["credit", "5.00"][..], Some("500"), answer(0, 5.0, true)),
        (&["credit", "12.50"], None, answer(7, 12.5, true)),
        (&["refund", "12.50", "--short"], Some("750"), answer(0, 7.5, false)),
        (&["refund", "12.50"], None, answer(7, 12.5, true)),
    ] {
        let till = shop.till(args);
        assert_eq!(till.says(), json!({"asked": true}));
        if let Some(minor) = chosen {
            shop.chooses(&phone, minor);
        }
        assert_eq!(till.says(), verdict);
        assert_eq!(till.ends(), "");
        shop.stands_again(&mut phone);
    }
    assert_eq!(shop.rig.payments()[0].refunded_minor, 1_250);
    let lines = shop.agrees();
    let ended: Vec<_> = lines.iter().map(|line| (line.kind(), line.telling())).collect();
    let taken = Some(Telling::Taken);
    assert_eq!(ended, [(AskKind::Pay, taken), (AskKind::Refund, taken), (AskKind::Reverse, taken)]);
}

#[test]
fn a_customer_who_wants_nothing_back_gets_nothing() {
    let shop = Shop::opens();
    let phone = shop.paid();
    let form = phone.form();
    let till = shop.till(&["credit", "5.00"]);
    assert_eq!(till.says(), json!({"asked": true}));
    let asked = shop.choosing().to_string();
    assert_eq!(phone.posts("refuse", &[("form", &form), ("asked", &asked)]), 303);
    assert_eq!(till.says(), answer(7, 5.0, true));
    assert_eq!(shop.rig.payments()[0].refunded_minor, 0);
}

#[test]
fn a_client_killed_between_refund_and_acknowledgement_asks_again_and_it_goes_back_once() {
    let shop = Shop::opens();
    let phone = shop.paid();
    let till = shop.till(&["credit", "5.00", "--dies-before-ack"]);
    assert_eq!(till.says(), json!({"asked": true}));
    shop.chooses(&phone, "500");
    assert_eq!(till.says(), json!({"read": 0}));
    let untaken = || matches!(shop.rig.sales()[1].telling(), Some(Telling::Unheard { .. }));
    eventually("the refund is unheard", untaken);
    let till = shop.till(&["credit", "5.00"]);
    assert_eq!(till.says(), json!({"asked": true}));
    assert_eq!(till.says(), answer(0, 5.0, true));
    let lines = shop.agrees();
    assert_eq!((shop.rig.payments()[0].refunded_minor, lines.len()), (500, 2));
    assert_eq!(lines[1].telling(), Some(Telling::Taken));
}

#[test]
fn a_daemon_killed_between_refund_and_answer_gives_it_back_once_and_answers_after_its_start() {
    let mut shop = Shop::opens();
    let phone = shop.paid();
    let till = shop.till(&["credit", "5.00", "--short"]);
    assert_eq!(till.says(), json!({"asked": true}));
    // The platform has it, and its answer does not come.
    shop.rig.fault(FaultyCall::Refund, FaultKind::DropAnswer, 1, 0);
    shop.chooses(&phone, "500");
    shop.dies_and_starts();
    assert_eq!(till.says(), answer(0, 5.0, false));
    eventually("the refund is done", || shop.rig.payments()[0].refunded_minor == 500);
    let lines = shop.agrees();
    assert_eq!((lines.len(), lines[1].telling()), (2, Some(Telling::Taken)));
}

#[test]
fn pypostelium_gets_its_answer_at_once_and_a_cheque_is_refused() {
    let shop = Shop::opens();
    let mut phone = shop.phone();
    for (kind, result) in [("check", 7), ("card", 9)] {
        let till = shop.client("postelium_till.py", &["12.50", kind]);
        assert_eq!(till.says(), json!({"result": result, "amount": 1250}));
        assert_eq!(till.says(), json!({"taken": true}));
        let log = till.ends();
        assert!(log.contains("Answer received from Terminal") && !log.contains("ERROR"), "{log}");
        assert!(!log.contains("WARNING"), "{log}");
    }
    pay(&mut phone);
    assert_eq!(shop.agrees_on_one(), (Outcome::Approved, Telling::NoChannel));
}
