//! The daemon's line to the helper: what the shop says becomes the firewall, whoever of the two is killed in between.

use super::bed::{BOX, Bed, Machine, PLATFORM, PORTAL, eventually};
use super::helper::{Helper, phone};
use super::packets::{End, Servers, connected, echoes, tcp};
use super::who::settings;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use tillgate::clock::Clock;
use tillgate::network::{Conversation, Neighbours, Reaches};
use tillgate::shop::effect::Reach;
use tillgate::shop::id::SessionId;
use tillgate::shop::session::Place;
use tokio::runtime::Runtime;

/// The part of a daemon that speaks to the helper.
struct Daemon {
    reaches: Reaches,
    conversation: Option<Conversation>,
    runtime: Runtime,
}

impl Daemon {
    fn new(bed: &Bed, more: &str) -> Daemon {
        let settings = settings(bed, more);
        let neighbours = bed.the_box().run(|| Neighbours::follow(&settings).unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        Daemon { reaches: Reaches::new(&settings, neighbours), conversation: None, runtime }
    }

    fn open(&mut self) {
        self.conversation = Some(self.reaches.open(self.runtime.handle()));
        eventually("both speak", || self.reaches.seen().connected);
    }

    fn pays(&self, visit: u128, place: Place, ms: u64) {
        self.reaches.say(SessionId(visit), place, Reach::Checkout, Clock::mono().plus_ms(ms));
    }

    fn is_captive(&self, visit: u128, place: Place) {
        self.reaches.say(SessionId(visit), place, Reach::Captive, Clock::mono());
    }
}

fn place(number: u8) -> Place {
    Place { ip: phone(number).ip.into(), mac: Some(phone(number).mac) }
}

fn world(bed: &Bed) -> [Servers; 2] {
    [Servers::open(&bed.world(), "world", &[443], &[]), Servers::open(&bed.the_box(), "box", &[PORTAL], &[])]
}

fn gets_through(who: &Machine) -> bool {
    tcp(who, PLATFORM, 443) == End::Reached("world".to_owned())
}

#[test]
fn a_paying_phone_is_let_through_and_only_as_long_as_it_pays() {
    let bed = Bed::new();
    let _world = world(&bed);
    let _helper = Helper::start(&bed, "");
    let mut daemon = Daemon::new(&bed, "");
    daemon.open();
    let (payer, other) = (bed.phone(7), bed.phone(8));
    assert!(!gets_through(&payer));
    let mut worst = 0;
    for _ in 0..50 {
        daemon.pays(1, place(7), 60_000);
        eventually("it is let through", || daemon.reaches.seen().let_through == 1);
        worst = daemon.reaches.seen().newest_micros.unwrap().max(worst);
        daemon.is_captive(1, place(7));
        eventually("it is let through no more", || daemon.reaches.seen().let_through == 0);
    }
    println!("from the shop's word to the open firewall: {worst} us at worst of 50");
    daemon.pays(1, place(7), 60_000);
    eventually("it is let through", || gets_through(&payer));
    assert!(!gets_through(&other));
    // A second visit of the same phone ends; the first one pays still.
    daemon.pays(2, place(7), 60_000);
    daemon.reaches.forget(SessionId(2));
    let mut open = connected(&payer, PLATFORM, 443);
    assert!(echoes(&mut open));
    daemon.reaches.forget(SessionId(1));
    eventually("it is cut off", || !echoes(&mut open));
    assert!(!gets_through(&payer));
}

#[test]
fn a_phone_with_a_new_address_pays_on_and_its_old_one_opens_nothing() {
    let bed = Bed::new();
    let _world = world(&bed);
    let _helper = Helper::start(&bed, "");
    let mut daemon = Daemon::new(&bed, "");
    daemon.open();
    daemon.pays(1, place(7), 60_000);
    let payer = bed.phone(7);
    eventually("it is let through", || gets_through(&payer));
    payer.moves_to("192.168.50.77");
    assert!(!gets_through(&payer), "a new address alone opens nothing: its page says whose it is");
    // Its page was loaded from there, and nobody has heard of its hardware address yet.
    daemon.pays(1, Place { ip: IpAddr::from([192, 168, 50, 77]), mac: None }, 60_000);
    assert_eq!(tcp(&payer, BOX.into(), PORTAL), End::Reached("box".to_owned()));
    eventually("it is let through where it is now", || gets_through(&payer));
    let text = bed.the_box().nft("list set inet tillgate paying4").stdout;
    assert!(!String::from_utf8(text).unwrap().contains("192.168.50.7 "), "the old address is open still");
}

#[test]
fn whoever_is_killed_payers_go_on_and_both_agree_afterwards() {
    let bed = Bed::new();
    let _world = world(&bed);
    let mut helper = Helper::start(&bed, "");
    let mut daemon = Daemon::new(&bed, "");
    daemon.pays(1, place(7), 60_000);
    daemon.open();
    let payer = bed.phone(7);
    let mut open = connected(&payer, PLATFORM, 443);
    // The helper: meanwhile one more pays.
    helper.kill();
    eventually("it is noticed", || !daemon.reaches.seen().connected);
    assert!(echoes(&mut open));
    daemon.pays(2, place(8), 60_000);
    assert!(!gets_through(&bed.phone(8)), "nobody could let it through");
    helper.again();
    let since = Instant::now();
    eventually("the other is let through", || gets_through(&bed.phone(8)));
    println!("let through {:?} after the helper was back", since.elapsed());
    assert!(echoes(&mut open));
    // The daemon: the next one knows from its books that only the first pays still.
    drop(daemon);
    assert!(echoes(&mut open));
    assert!(gets_through(&bed.phone(8)));
    let mut daemon = Daemon::new(&bed, "");
    daemon.pays(1, place(7), 60_000);
    daemon.open();
    assert!(echoes(&mut open), "the payer was cut off");
    assert!(!gets_through(&bed.phone(8)));
    // The table.
    bed.the_box().nft("flush ruleset");
    eventually("it is told", || daemon.reaches.seen().restored == 1);
    assert!(echoes(&mut open));
    assert!(!gets_through(&bed.phone(8)));
}

#[test]
fn a_window_lasts_no_longer_than_configured_however_often_it_is_said_again() {
    let bed = Bed::new();
    let _world = world(&bed);
    let window = "[network.paying]\nreach = \"window\"\nlongest_secs = 60\n";
    let helper = Helper::start(&bed, window);
    let mut daemon = Daemon::new(&bed, window);
    daemon.open();
    for ms in [3_600_000, u64::MAX, 7_200_000] {
        daemon.pays(1, place(7), ms);
    }
    eventually("it is let through", || gets_through(&bed.phone(7)));
    assert!(!helper.log().contains("refused"), "{}", helper.log());
    let text = String::from_utf8(bed.the_box().nft("list set inet tillgate paying4").stdout).unwrap();
    assert!(text.contains("timeout 59s") || text.contains("timeout 1m"), "{text}");
}

#[test]
fn without_a_helper_the_loop_is_not_held_up_and_nobody_gets_through() {
    let bed = Bed::new();
    let _world = world(&bed);
    let daemon = Daemon::new(&bed, "");
    let _conversation = daemon.reaches.open(daemon.runtime.handle());
    let since = Instant::now();
    (0..10_000).for_each(|visit| daemon.pays(visit, place(7), 60_000));
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert!(!daemon.reaches.seen().connected);
}
