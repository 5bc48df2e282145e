//! A customer with a real browser in the guests' network: from the first page that does not load to the receipt.

use super::bed::{BETWEEN, wait};
use super::browser::Browser;
use super::house::{House, TILL};
use super::phone::Phone;
use super::world::{BANK, PLATFORM};
use std::time::{Duration, Instant};
use tillgate::sandbox::PASSWORD;
use tillgate::till::player::Outcome;

/// As Chromium wants keys to be named whose certificates it is to take, though nobody it knows has signed them.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let all = three.iter().fold(0_u32, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = char::from(DIGITS[(all >> (18 - 6 * place)) as usize & 63]);
            text.push(if place <= three.len() { digit } else { '=' });
        }
    }
    text
}

/// Chromium on a phone that has joined. Its thread must be on that phone, too.
fn browser(house: &House, language: &str) -> Browser {
    let pins: Vec<String> = house.world.pins.iter().map(|pin| base64(pin)).collect();
    let more =
        [format!("--ignore-certificate-errors-spki-list={}", pins.join(",")), format!("--accept-lang={language}")];
    Browser::start_by(house.bed.with_names("one", "exec chromedriver \"$@\""), true, &more)
}

fn plays(language: &str, ready: &str, paid: &str, then: impl FnOnce(&House, &Phone<'_>, &Browser) + Send) {
    let house = House::open(language);
    let machine = house.bed.machine("one");
    machine.run(move || {
        let house = &house;
        let system = Phone::joins(&house.bed, "one");
        let phone = browser(house, language);
        let picture = |name: &str| phone.picture(&format!("network-{language}-{name}"));
        phone.open("http://never-any-tls.example/");
        assert_eq!(phone.url(), "https://pay.shop.example/");
        assert_eq!(phone.run("return document.documentElement.lang"), language);
        picture("1-portal");
        phone.tap("button.main");
        phone.write("#till", TILL);
        phone.tap("button.main");
        phone.see(ready);
        picture("2-ready");
        let sale = house.till.asks(1_250);
        phone.see("12.50");
        picture("3-confirm");
        phone.tap("form[action$=confirm] button");
        phone.see("Sign in to pay");
        let checkout = phone.url();
        assert!(checkout.starts_with(&format!("https://{PLATFORM}/checkout/")), "{checkout}");
        picture("4-checkout");
        // Banks ask for a second proof on pages of their own.
        phone.open(&format!("https://{BANK}/3-d-secure"));
        phone.see(&format!("This is {BANK} itself."));
        picture("5-bank");
        phone.open(&checkout);
        phone.write("#account", "anna");
        phone.write("#password", PASSWORD);
        phone.tap("button.pay");
        phone.see("Thank you. You are taken back to the shop.");
        phone.see("Back to the shop");
        assert!(phone.url().starts_with(&format!("https://{PLATFORM}/")), "{}", phone.url());
        picture("6-thanks");
        assert_eq!(sale.result().outcome, Outcome::Approved);
        phone.see(paid);
        assert!(phone.url().starts_with("https://pay.shop.example/s/"), "{}", phone.url());
        picture("7-paid");
        then(house, &system, &phone);
    });
}

/// Ten seconds after its receipt it is let into the internet, and for a minute.
fn goes_online(house: &House, system: &Phone<'_>, phone: &Browser) {
    let seen = Instant::now();
    assert!(system.is_captive());
    wait(|| system.is_online(), || house.logs());
    println!("online {:?} after the receipt", seen.elapsed());
    assert!(seen.elapsed() > Duration::from_secs(9), "{:?}", seen.elapsed());
    let began = Instant::now();
    phone.open("http://never-any-tls.example/");
    phone.see("This is never-any-tls.example itself.");
    phone.picture("network-en-8-internet");
    while system.is_online() {
        assert!(began.elapsed() < Duration::from_secs(75), "it stays online");
        std::thread::park_timeout(BETWEEN);
    }
    println!("captive again {:?} after that", began.elapsed());
    assert!(began.elapsed() > Duration::from_secs(55), "{:?}", began.elapsed());
    assert!(system.is_captive());
    house.agrees_on(0);
    phone.open("http://never-any-tls.example/");
    assert!(phone.url().starts_with("https://pay.shop.example/"), "{}", phone.url());
}

#[test]
fn a_browser_goes_the_whole_way_and_is_let_into_the_internet_for_a_minute() {
    plays("en", "Ready to pay", "Paid. Thank you!", goes_online);
}

#[test]
fn a_browser_goes_the_whole_way_from_right_to_left() {
    plays("ar", "كل شيء جاهز للدفع", "تم الدفع", |_, system, _| assert!(system.is_captive()));
}
