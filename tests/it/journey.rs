//! Whole payments through the running daemon: every scenario ends with shop, platform and till agreeing.

mod rig;

use rig::{Phone, Rig};
use tillgate::shop::effect::Outcome;

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
    phone.send("/finish");
    phone.sees("/till");
    assert_eq!(rig.agree_on_one(), Outcome::Approved);
}

fn confirm_and_pay(phone: &mut Phone) {
    phone.sees("/confirm");
    phone.send("/confirm");
    let link = phone.checkout(None);
    assert!(phone.pays(&link, "anna").contains("Thank you"));
}
