//! The portal in a real browser, with scripts and without. Needs chromium and chromedriver: `tests/run` brings them.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)]

mod browser;
mod demo;
mod returns;
// Shared with the journeys; each uses its part.
#[allow(dead_code)]
#[path = "../it/journey/rig.rs"]
mod rig;

use browser::Browser;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::time::Duration;
use tillgate::clock::Clock;
use tillgate::inbox::{Inbox, Incoming};
use tillgate::portal::{Language, Portal, PortalSettings};
use tillgate::shop::attempt::{Link, TryFailure};
use tillgate::shop::effect::{Outcome, Receipt, SaleFacts, Screen};
use tillgate::shop::event::{Event, PhoneEvent, Reason, TillNumber};
use tillgate::shop::id::{AttemptId, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::Code;
use tillgate::shop::time::{Mono, Wall};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;

/// How long an event may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// A portal whose events the test takes and answers by hand.
struct House {
    runtime: Runtime,
    portal: Portal,
    events: Receiver<Incoming>,
}

impl House {
    fn open() -> House {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (inbox, events) = Inbox::new();
        let tills = BTreeMap::from([(till(), "Bakery".to_owned())]);
        let mut settings = PortalSettings::new(vec!["127.0.0.1:0".parse().unwrap()], "Corner Shop".to_owned(), tills);
        settings.time_zone = Some("UTC".to_owned());
        let portal = Portal::start(runtime.handle(), settings, inbox).unwrap();
        House { runtime, portal, events }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.portal.addresses()[0])
    }

    /// Takes the next event, which must be `wanted` to; shows `screen`, then lets the post go on.
    fn answer(&mut self, wanted: impl Fn(&PhoneEvent) -> bool, screen: Screen) -> SessionId {
        let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.events.recv()).await });
        let incoming = next.expect("an event in time").expect("an open inbox");
        let Event::Phone { session, what } = incoming.event else { panic!("only phones speak here") };
        assert!(wanted(&what), "{what:?}");
        self.show(session, screen);
        let _ = incoming.done.unwrap().send(());
        session
    }

    /// Takes the word that a page was seen.
    fn seen(&mut self) {
        let next = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.events.recv()).await });
        let event = next.expect("an event in time").expect("an open inbox").event;
        let saw = |what: &PhoneEvent| matches!(what, PhoneEvent::Saw { sale } if *sale == facts().sale);
        assert!(matches!(&event, Event::Phone { what, .. } if saw(what)), "{event:?}");
    }

    fn show(&self, session: SessionId, screen: Screen) {
        self.portal.board().show(session, screen);
    }
}

fn till() -> TillNumber {
    TillNumber::new(7).unwrap()
}

fn facts() -> SaleFacts {
    let amount = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
    SaleFacts { sale: SaleId(0x4a7c_19e2 << 96), till: till(), amount, code: Code::parse("7K").unwrap() }
}

fn in_a_minute() -> Mono {
    Clock::mono().plus_ms(60_000)
}

fn pay(checkout: &str, failed: Option<Reason>) -> Screen {
    Screen::Pay {
        facts: facts(),
        attempt_no: 1,
        link: Link::new(checkout).unwrap(),
        failed: failed.map(|reason| TryFailure { reason, at: None }),
        until: in_a_minute(),
        others_wait: true,
        checking: false,
    }
}

fn paid() -> Screen {
    Screen::Result(Box::new(Receipt {
        facts: facts(),
        outcome: Outcome::Approved,
        attempt: Some(AttemptId(0x3c59_dc04_8e88_5024_3be8_079a_5c74_d079)),
        given_back_minor: 0,
        given_back_done_minor: 0,
        surplus_back_minor: 0,
        at: Some(Wall(1_795_356_360_000)),
    }))
}

/// A page elsewhere that the phone is sent to. Answers until the process ends.
fn checkout() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/checkout", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<_> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let referrer = head.iter().any(|line| line.to_lowercase().starts_with("referer:"));
            let body =
                format!("<!doctype html><title>Platform</title><h1>The checkout</h1><p>referrer: {referrer}</p>");
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    url
}

/// The whole way of one payment on the phone.
fn play(js: bool) {
    let mut house = House::open();
    let phone = Browser::start(js);
    let checkout = checkout();
    let picture = |name: &str| phone.picture(&format!("{}-{name}", if js { "js" } else { "plain" }));

    phone.open(&house.url("/"));
    phone.see("Accept and continue");
    picture("01-start");
    phone.tap("button.main");
    let session = house.answer(|e| matches!(e, PhoneEvent::LoggedIn { .. }), Screen::EnterTill { note: None });
    phone.see("Which till are you at?");
    picture("02-enter");
    phone.write("#till", "7");
    phone.tap("button.main");
    house.answer(|e| *e == PhoneEvent::Stands { at: Some(till()) }, Screen::Waiting { till: till() });
    phone.see("Ready to pay");
    assert_eq!(phone.has("meta[http-equiv=refresh]"), !js, "only a page without scripts refreshes by itself");
    picture("03-waiting");

    house.show(session, Screen::Confirm { facts: facts(), until: in_a_minute() });
    phone.see("Is this your purchase?");
    phone.see("€12.50");
    phone.see("7K");
    picture("04-confirm");
    phone.tap("form[action$=confirm] button");
    let SaleFacts { sale, amount, .. } = facts();
    let contacting = Screen::Contacting { facts: facts(), attempt_no: 1, failed: None, checking: false };
    house.answer(|e| *e == PhoneEvent::Confirms { sale, amount }, contacting);
    phone.see("We are preparing your payment.");
    house.seen();
    picture("05-contacting");

    house.show(session, pay(&checkout, None));
    phone.see("The checkout");
    phone.see("referrer: false");
    house.seen();
    house.show(session, pay(&checkout, Some(Reason::WrongPassword)));
    phone.open(&house.url(&format!("/s/{session}/")));
    phone.see("The account or password was wrong.");
    house.seen();
    picture("06-pay-again");
    phone.tap("a.main");
    phone.see("The checkout");
    house.show(session, paid());
    phone.back();
    phone.see("Corner Shop");
    if !js && phone.has("a.main") {
        // Taken out of the browser's memory the page is old, and nothing renews it: a tap leads to the present.
        phone.tap("a.main");
    }
    phone.see("Paid. Thank you!");
    house.seen();
    picture("07-paid");
    phone.open(&house.url("/"));
    phone.see("Paid. Thank you!");
    phone.tap("form[action$=finish] button");
    house.answer(|e| *e == PhoneEvent::Finishes, Screen::EnterTill { note: None });
    phone.see("Which till are you at?");

    house.portal.board().forget(session);
    phone.open(&house.url(&format!("/s/{session}/")));
    phone.see("Your visit has ended.");
    picture("08-ended");
}

#[test]
fn a_payment_is_played_with_scripts() {
    play(true);
}

#[test]
fn a_payment_is_played_without_scripts() {
    play(false);
}

#[test]
fn no_page_is_wider_than_a_small_phone_and_every_target_is_large_enough() {
    let house = House::open();
    let phone = Browser::start(true);
    let session = SessionId(0x1234);
    let screens = [
        Screen::EnterTill { note: None },
        Screen::InLine { till: till(), ahead: 2 },
        Screen::Confirm { facts: facts(), until: in_a_minute() },
        pay("https://pay.example/checkout", Some(Reason::NoFunds)),
        paid(),
    ];
    for language in Language::ALL {
        let tag = language.tag();
        phone.open(&house.url(&format!("/?lang={tag}&till=7")));
        check_layout(&phone, tag);
        phone.picture(&format!("{tag}-0-start"));
        for (number, screen) in screens.iter().enumerate() {
            house.show(session, screen.clone());
            phone.open(&house.url(&format!("/s/{session}/")));
            check_layout(&phone, tag);
            phone.picture(&format!("{tag}-{}", number + 1));
        }
        house.portal.board().forget(session);
    }
}

/// Nothing sticks out at 390 or, in a frame of the page's own, at 320 wide; what is tapped is 48 high at least.
fn check_layout(phone: &Browser, tag: &str) {
    assert_eq!(phone.run("return document.documentElement.lang"), tag);
    let small = "return [...document.querySelectorAll('button, a, input:not([type=hidden])')]\
        .filter(e => e.getBoundingClientRect().height < 48).map(e => e.outerHTML)";
    assert_eq!(phone.run(small), serde_json::json!([]), "{tag} {}", phone.url());
    let wide = "const root = document.documentElement, out = [];\
        for (const width of [390, 320]) {\
            document.body.style.width = width + 'px';\
            if (document.body.scrollWidth > width) out.push(width);\
        }\
        document.body.style.width = '';\
        return out";
    assert_eq!(phone.run(wide), serde_json::json!([]), "{tag} {}", phone.url());
}
