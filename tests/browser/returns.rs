//! Money back at a real browser: the pages in every language, and the whole way with the real daemon, platform and till.

use crate::browser::Browser;
use crate::rig::{Rig, TILL, eur};
use crate::{House, check_layout, in_a_minute, till};
use tillgate::portal::Language;
use tillgate::sandbox::PASSWORD;
use tillgate::shop::effect::{Outcome, Repayable, ReturnFacts, ReturnReceipt, Screen};
use tillgate::shop::event::{ReceiptNumber, ReturnKind};
use tillgate::shop::id::{AttemptId, SaleId, SessionId};
use tillgate::shop::sale::Code;
use tillgate::shop::time::Wall;
use tillgate::till::player::Outcome as Told;

fn facts(amount: Option<u64>) -> ReturnFacts {
    let kind = if amount.is_some() { ReturnKind::Refund } else { ReturnKind::Reverse };
    ReturnFacts {
        asked: SaleId(0x91ba_c000 << 96),
        till: till(),
        code: Code::parse("7K").unwrap(),
        kind,
        amount: amount.map(eur),
    }
}

fn payment(n: u16, minor: u64, left: u64, back: u64) -> Repayable {
    Repayable {
        sale: SaleId(u128::from(n) << 100),
        till: till(),
        receipt: ReceiptNumber::new(n),
        amount: eur(minor),
        left: eur(left),
        back: eur(back),
        at: Some(Wall(1_795_356_360_000 + i64::from(n) * 3_540_000)),
    }
}

fn ended(outcome: Outcome) -> Screen {
    let back = matches!(outcome, Outcome::Returned { .. });
    Screen::Returned(Box::new(ReturnReceipt {
        facts: facts(Some(625)),
        outcome,
        of: back.then_some(SaleId(0x4a7c_19e2 << 96)),
        attempt: back.then_some(AttemptId(0x3c59_dc04_8e88_5024_3be8_079a_5c74_d079)),
        at: Some(Wall(1_795_360_000_000)),
    }))
}

fn screens() -> Vec<(&'static str, Screen)> {
    let choose = |amount, payments| Screen::ChooseReturn { facts: facts(amount), payments, until: in_a_minute() };
    vec![
        ("choose", choose(Some(625), vec![payment(1, 1_250, 1_250, 625)])),
        (
            "choose-of-three",
            choose(
                Some(625),
                vec![payment(3, 123_450, 123_450, 625), payment(2, 1_250, 700, 625), payment(1, 990, 990, 625)],
            ),
        ),
        ("choose-all", choose(None, vec![payment(2, 1_250, 1_250, 1_250), payment(1, 123_450, 120_000, 120_000)])),
        ("choose-of-none", choose(Some(625), Vec::new())),
        ("returning", Screen::Returning { facts: facts(Some(625)), checking: true }),
        ("returned", ended(Outcome::Returned { pending: false })),
        ("pending", ended(Outcome::Returned { pending: true })),
        ("kept", ended(Outcome::Lapsed)),
    ]
}

#[test]
fn no_page_of_a_return_is_wider_than_a_small_phone_and_every_target_is_large_enough() {
    let house = House::open();
    let phone = Browser::start(true);
    let session = SessionId(0x1234);
    for language in Language::ALL {
        let tag = language.tag();
        phone.open(&house.url(&format!("/?lang={tag}")));
        for (name, screen) in screens() {
            house.show(session, screen);
            phone.open(&house.url(&format!("/s/{session}/")));
            check_layout(&phone, tag);
            phone.picture(&format!("{tag}-return-{name}"));
        }
        house.portal.board().forget(session);
    }
}

/// One customer pays 12.50, then the till gives 6.25 back without saying of which sale.
fn play(js: bool, tag: &str, texts: [&str; 5]) {
    let rig = Rig::new();
    let phone = Browser::start(js);
    let picture = |name: &str| phone.picture(&format!("back-{}-{tag}-{name}", if js { "js" } else { "plain" }));
    let [ready, paid, asks, back, enter] = texts;
    phone.open(&format!("http://{}/?lang={tag}&till={TILL}", rig.stage.portal));
    phone.tap("button.main");
    phone.see(ready);
    let sale = rig.till.asks(1_250);
    phone.tap("form[action$=confirm] button");
    phone.see("Account"); // The platform's page, which speaks English.
    phone.write("#account", "anna");
    phone.write("#password", PASSWORD);
    phone.tap("button.pay");
    phone.see(paid);
    assert_eq!(sale.result().outcome, Told::Approved);
    phone.tap("form[action$=finish] button");
    phone.write("#till", TILL);
    phone.tap("button.main");
    phone.see(ready);

    let given = rig.till.refunds(625, None, 60);
    phone.see(asks);
    phone.see("6");
    assert_eq!(phone.has("meta[http-equiv=refresh]"), !js, "only a page without scripts refreshes by itself");
    picture("1-choose");
    phone.tap("form[action$=choose] button");
    phone.see(back);
    picture("2-returned");
    phone.back();
    phone.see("Corner Shop");
    if !js && phone.has("form[action$=choose]") {
        // Taken out of the browser's memory the page is old: a tap on it chooses nothing, and leads to the present.
        phone.tap("form[action$=choose] button");
    }
    phone.see(back);
    let told = given.result();
    assert_eq!((told.outcome, told.amount), (Told::Refunded, eur(625)));
    phone.tap("form[action$=finish] button");
    phone.see(enter);
    let sales = rig.agree();
    assert!(sales.iter().any(|sale| sale.amount == eur(1_250) && sale.given_back_minor == 625), "{sales:?}");
}

const ENGLISH: [&str; 5] =
    ["Ready to pay", "Paid. Thank you!", "You get money back", "Money given back", "Which till are you at?"];
const ARABIC: [&str; 5] = ["كل شيء جاهز للدفع", "تم الدفع", "سيُعاد إليك مبلغ", "أُعيد إليك المال", "عند أي صندوق أنت؟"];

#[test]
fn half_of_a_payment_goes_back_with_scripts() {
    play(true, "en", ENGLISH);
}

#[test]
fn half_of_a_payment_goes_back_without_scripts() {
    play(false, "en", ENGLISH);
}

#[test]
fn half_of_a_payment_goes_back_in_arabic() {
    play(true, "ar", ARABIC);
}
