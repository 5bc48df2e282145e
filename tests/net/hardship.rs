//! The table taken away, helper and daemon killed, everything at once: nobody gets in, and whoever pays goes on paying.

use super::bed::{Bed, PLATFORM, eventually};
use super::helper::{Caller, Helper, phone, stats};
use super::packets::{End, Servers, connected, echoes, tcp};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tillgate::network::{Answer, Phone, Request, Way};

fn world(bed: &Bed) -> Servers {
    Servers::open(&bed.world(), "world", &[443], &[])
}

/// A phone in the middle of a payment.
fn payer(bed: &Bed, helper: &Helper) -> (Caller, TcpStream) {
    let mut caller = helper.caller();
    caller.allow(phone(7), 60_000);
    let open = connected(&bed.phone(7), PLATFORM, 443);
    (caller, open)
}

/// What stands in a set now, as `nft` writes it.
fn listed(bed: &Bed, set: &str) -> String {
    String::from_utf8(bed.the_box().nft(&format!("list set inet tillgate {set}")).stdout).unwrap()
}

#[test]
fn a_ruleset_flushed_in_the_middle_of_a_payment_is_back_within_a_second_and_the_payment_goes_on() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    let (mut caller, mut open) = payer(&bed, &helper);
    let mut worst = Duration::ZERO;
    for _ in 0..3 {
        // Once it has stood for a while.
        eventually("some time", || stats(&mut caller).uptime_secs > 0);
        assert!(echoes(&mut open));
        bed.the_box().nft("flush ruleset");
        let since = Instant::now();
        assert_eq!(caller.hear(), Answer::Restored);
        worst = worst.max(since.elapsed());
        assert!(echoes(&mut open), "the payment was cut off");
        assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Refused);
        assert!(listed(&bed, "paying4").contains("192.168.50.7"));
    }
    println!("put back within {worst:?}");
    assert!(worst < Duration::from_secs(1), "{worst:?}");
    assert_eq!(stats(&mut caller).restored, 3);
    assert!(helper.log().contains("it was put back"), "{}", helper.log());
}

#[test]
fn any_hand_in_the_table_is_noticed_and_undone() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    let (mut caller, mut open) = payer(&bed, &helper);
    for meddling in [
        "delete table inet tillgate",
        "flush chain inet tillgate up",
        "flush set inet tillgate paying4",
        "delete element inet tillgate paying4_back { 192.168.50.7 }",
        "add element inet tillgate online4 { 02:00:00:00:00:08 . 192.168.50.8 timeout 1h }",
        "insert rule inet tillgate up accept",
        "add chain inet tillgate more",
    ] {
        bed.the_box().nft(meddling);
        assert_eq!(caller.hear(), Answer::Restored, "{meddling}");
        assert!(echoes(&mut open), "{meddling}");
        assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Refused, "{meddling}");
    }
    // What others have of their own is their own.
    bed.the_box().nft("add table inet somebodys");
    bed.the_box().nft("add set inet somebodys paying4 { type ipv4_addr; }");
    assert_eq!(stats(&mut caller).restored, 7);
}

#[test]
fn somebody_who_takes_it_away_again_and_again_does_not_keep_the_helper_from_its_work() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    let (mut caller, _open) = payer(&bed, &helper);
    (0..100).for_each(|_| drop(bed.the_box().nft("flush ruleset")));
    assert_eq!(caller.hear(), Answer::Restored);
    eventually("the phone is let through", || tcp(&bed.phone(7), PLATFORM, 443) != End::Refused);
    eventually("the table is back", || helper.log().matches("put back").count() >= 2);
    assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Refused);
}

#[test]
fn a_helper_that_is_killed_leaves_the_firewall_as_it_is_and_the_next_one_cuts_nobody_off() {
    let bed = Bed::new();
    let _world = world(&bed);
    let mut helper = Helper::start(&bed, "");
    let (caller, mut open) = payer(&bed, &helper);
    helper.kill();
    drop(caller);
    assert!(echoes(&mut open));
    assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Refused);
    helper.again();
    assert!(echoes(&mut open));
    let mut caller = helper.caller();
    assert_eq!(stats(&mut caller).paying, 1);
    // It does not pay any more, and the daemon's word about that was lost with the helper.
    caller.must(Request::SyncBegins);
    caller.must(Request::SyncEnds);
    assert!(!echoes(&mut open));
    assert_eq!(tcp(&bed.phone(7), PLATFORM, 443), End::Refused);
}

#[test]
fn after_a_sync_those_are_let_through_who_were_named_and_whoever_stays_is_not_touched() {
    let bed = Bed::new();
    let _world = world(&bed);
    let helper = Helper::start(&bed, "");
    let (mut caller, mut open) = payer(&bed, &helper);
    caller.allow(phone(9), 60_000);
    let moved = || {
        let text = listed(&bed, "paying4_back");
        text.lines().find(|line| line.contains("192.168.50.7")).unwrap().contains("used")
    };
    assert!(moved(), "{}", listed(&bed, "paying4_back"));
    // A sync that breaks off changes nothing.
    let mut other = helper.caller();
    other.must(Request::SyncBegins);
    drop(other);
    caller.must(Request::SyncBegins);
    caller.allow(phone(7), 59_500);
    caller.allow(phone(8), 60_000);
    caller.must(Request::SyncEnds);
    assert!(echoes(&mut open));
    assert!(moved(), "what it has moved is forgotten: {}", listed(&bed, "paying4_back"));
    assert_eq!(tcp(&bed.phone(8), PLATFORM, 443), End::Reached("world".to_owned()));
    let text = listed(&bed, "paying4");
    assert!(!text.contains("192.168.50.9"), "{text}");
}

#[test]
fn a_thousand_phones_are_put_back_together_and_named_again_within_a_second() {
    let bed = Bed::new();
    let helper = Helper::start(&bed, "");
    let mut caller = helper.caller();
    let one = |n: u16| {
        let [high, low] = n.to_be_bytes();
        Phone { mac: [2, 0, 0, 2, high, low], ip: [192, 168, 50, u8::try_from(10 + n % 240).unwrap()].into() }
    };
    let since = Instant::now();
    caller.must(Request::SyncBegins);
    (0..1_000).for_each(|n| caller.must(Request::Allow { phone: one(n), way: Way::Paying, ms: 60_000 }));
    caller.must(Request::SyncEnds);
    let named = since.elapsed();
    assert_eq!(stats(&mut caller).paying, 1_000);
    assert_eq!(listed(&bed, "paying4").matches("02:00:00:02:").count(), 1_000);
    bed.the_box().nft("flush ruleset");
    let since = Instant::now();
    assert_eq!(caller.hear(), Answer::Restored);
    let back = since.elapsed();
    assert_eq!(listed(&bed, "paying4").matches("02:00:00:02:").count(), 1_000);
    println!("a thousand phones: named within {named:?}, put back within {back:?}");
    assert!(back < Duration::from_secs(1), "{back:?}");
}
