//! A whole payment by version 6, from the probe to the internet after it: whatever the phone says, it says by that.

use super::bed::wait;
use super::house::House;
use super::packets::{End, connected, echoes, tcp};
use super::phone::{Nothing, Phone, REFUSED};
use super::world::{ECHO_SIX, OTHERS_SIX};
use tillgate::till::player::Outcome;

#[test]
fn a_phone_pays_by_version_6_alone_and_gets_no_further_by_it_than_by_version_4() {
    let house = House::open_by_six("wholesix");
    let mut phone = Phone::joins_by_six(&house.bed, "one");
    let other = Phone::joins_by_six(&house.bed, "two");
    let (mine, stranger) = (house.bed.machine("one"), house.bed.machine("two"));
    let refused = |machine: &_| assert_eq!(tcp(machine, ECHO_SIX, 443), End::Refused);
    assert!(phone.is_captive() && !phone.is_online());
    refused(&mine);
    phone.stands();
    let sale = house.till.asks(1_250);
    phone.confirms();
    house.agrees_on(1);
    assert_eq!(house.elements("paying6"), [mine.mac("eth0")]);
    assert!(phone.is_captive() && !phone.is_online(), "while it pays its system must not close the page");
    // Banks are anywhere on port 443; nothing else is open, and nothing to anybody else.
    let mut open = connected(&mine, ECHO_SIX, 443);
    assert!(echoes(&mut open));
    assert_eq!(tcp(&mine, OTHERS_SIX, 22), End::Refused);
    refused(&stranger);
    let own = phone.pays();
    assert!(phone.page.page.contains("Thank you"), "{}", phone.page.page);
    assert_eq!(sale.result().outcome, Outcome::Approved);
    phone.opens(&own);
    phone.until("it sees its receipt", |page| page.has("/finish"));
    house.agrees_on(0);
    assert!(!echoes(&mut open), "what was open is cut off");
    wait(|| !phone.is_captive() && phone.is_online(), || house.logs());
    assert_eq!(house.elements("online6"), [mine.mac("eth0")]);
    assert!(other.is_captive() && !other.is_online());
    refused(&stranger);
    let secure = other.asks("https://secure.example/", &["--resolve", "secure.example:443:[2001:db8:77::80]"]);
    assert!(matches!(secure, Err(Nothing { why: REFUSED, .. })), "{secure:?}");
}
