//! Every system's question on the wire, by name and from a phone: while it is captive, and once it is let through; and one
//! whole payment in between.

use super::bed::wait;
use super::house::{House, TILL};
use super::packets::{connected, echoes};
use super::phone::{Answer, Nothing, Phone, REFUSED};
use super::table::{PROBES, Real};
use super::world::ECHO;
use std::time::{Duration, Instant};
use tillgate::till::player::Outcome;

const PORTAL: &str = "https://pay.shop.example/";
/// What systems ask with TLS, besides.
const SECURE: [(&str, &str); 5] = [
    ("Android", "https://www.google.com/generate_204"),
    ("Xiaomi", "https://connect.rom.miui.com/generate_204"),
    ("OPPO, OnePlus, realme", "https://m.baidu.com/"),
    ("OPPO, OnePlus, realme", "https://sina.cn/"),
    ("OPPO, OnePlus, realme", "https://m.sohu.com/"),
];

/// No phone asks for all systems: for both kinds of address together that is more names than one may look up in a moment.
const ONE_LOOKUP: &str = "-4";

/// What a system makes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Concludes {
    /// It shows the portal.
    Portal,
    /// It is on the internet.
    Online,
    /// It leaves the network alone, without a word to its owner.
    NoInternet,
}

/// Android's rule for 204, everybody else's for a text of their own.
fn concludes(real: Real, answer: &Answer) -> Concludes {
    let online = match real {
        Real::NoContent => answer.status == 204,
        Real::Text(text) => answer.status == 200 && answer.body == text,
        Real::Holds(mark) => answer.status == 200 && answer.body.contains(mark),
        Real::Page => answer.status == 200 && answer.body.contains("itself."),
    };
    match answer.status {
        _ if online => Concludes::Online,
        200..=399 if answer.status != 204 => Concludes::Portal,
        _ => Concludes::NoInternet,
    }
}

fn asks(phone: &Phone<'_>, host: &str, path: &str) -> Answer {
    let name = host.split(':').next().unwrap();
    phone.asks(&format!("http://{name}{path}"), &[ONE_LOOKUP, "-H", &format!("Host: {host}")]).unwrap()
}

/// All of the table; what is concluded, row by row.
fn every_probe(phone: &Phone<'_>, expected: Concludes) {
    let since = Instant::now();
    for (system, host, path, real) in PROBES {
        let answer = asks(phone, host, path);
        let concluded = concludes(*real, &answer);
        println!("{system:<26} {host}{path} -> {} -> {concluded:?}", answer.status);
        assert_eq!(concluded, expected, "{system}: {answer:?}");
        if expected == Concludes::Portal {
            let told = |name: &str| answer.headers.get(name).map_or("", String::as_str);
            assert_eq!((answer.status, told("location"), told("cache-control")), (302, PORTAL, "no-store"), "{system}");
        }
    }
    for (system, url) in SECURE {
        match (phone.asks(url, &[ONE_LOOKUP]), expected) {
            (Ok(answer), Concludes::Online) => {
                println!("{system:<26} {url} -> {} -> {expected:?}", answer.status);
                assert!(answer.status == 204 || answer.body.contains("itself."), "{system}: {answer:?}");
            }
            (Err(Nothing { why: REFUSED, after }), Concludes::Portal) => {
                println!("{system:<26} {url} -> refused after {} ms", after.as_millis());
                assert!(after < Duration::from_secs(1), "{system}: {after:?}");
            }
            (other, _) => panic!("{system} {url}: {other:?}"),
        }
    }
    println!("{expected:?}: {} questions in {:?}", PROBES.len() + SECURE.len(), since.elapsed());
    // Windows asks for a name besides, which must be what it is everywhere.
    assert_eq!(phone.bed.dig(phone.place, "dns.msftncsi.com", "A").1, ["131.107.255.255"]);
}

#[test]
fn a_phone_pays_with_everything_real_and_every_system_sees_what_is_true_before_and_after() {
    let house = House::open("whole");
    let mut phone = Phone::joins(&house.bed, "one");
    let other = Phone::joins(&house.bed, "two");
    every_probe(&phone, Concludes::Portal);
    assert!(phone.is_captive());
    phone.stands();
    assert!(phone.is_captive());
    let sale = house.till.asks(1_250);
    phone.confirms();
    assert!(phone.is_captive() && !phone.is_online(), "while it pays its system must not close the page");
    house.agrees_on(1);
    let own = phone.pays();
    assert!(phone.page.page.contains("Thank you"), "{}", phone.page.page);
    assert_eq!(sale.result().outcome, Outcome::Approved);
    // The platform's own page may be loaded until ours was.
    let platform = phone.page.at.to_string();
    phone.opens(&platform);
    assert!(phone.page.page.contains("Thank you") && phone.is_captive());
    phone.opens(&own);
    phone.until("it sees its receipt", |page| page.has("/finish"));
    let seen = Instant::now();
    house.agrees_on(0);
    assert!(phone.is_captive() && !phone.is_online());
    wait(|| !phone.is_captive(), || house.logs());
    let told = seen.elapsed();
    wait(|| phone.is_online(), || house.logs());
    println!("told {told:?} after the receipt that it is free, and online after {:?}", seen.elapsed());
    assert!(told > Duration::from_millis(9_500), "{told:?}");
    assert!(told < Duration::from_secs(14), "{told:?}");
    every_probe(&phone, Concludes::Online);
    assert!(!phone.is_captive() && other.is_captive() && !other.is_online());
    house.agrees_on(1);
    // Standing at a till again it is captive again, and what it had open is cut off.
    let mut open = connected(&house.bed.machine("one"), ECHO, 443);
    assert!(echoes(&mut open));
    phone.opens(&own);
    phone.sends("/finish", &[]);
    phone.sends("/till", &[("till", TILL)]);
    assert!(phone.is_captive());
    house.agrees_on(0);
    assert!(!phone.is_online() && !echoes(&mut open));
    assert_eq!(house.elements("online4"), Vec::<String>::new());
}
