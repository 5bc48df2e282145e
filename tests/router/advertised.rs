//! What phones hear of their router by version 6, with a phone's own ears and its own kernel; and what is not listened to.

use super::bed::{Bed, OWN_SIX as OWN, PATIENCE, PLAIN, SECURE, SIX, run, said, wait};
use super::machine::Machine;
use super::solicited::{ALL_NODES, ALL_ROUTERS, Ear, Heard, NOBODY, Packet, QUESTION};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};

const CAPTIVE_PORTAL: u8 = 37;
const SOON: Duration = Duration::from_millis(500);
/// Longer than anything waits that is going to be said.
const SILENCE: Duration = Duration::from_secs(4);

/// The machine's own address on its link, once it is nobody else's.
fn link_address(machine: &Machine, link: &str) -> Ipv6Addr {
    let mut found = None;
    let mut look = || {
        let shown = machine.command("/usr/sbin/ip").args(["-6", "-oneline", "address", "show", "dev", link]).output();
        let text = String::from_utf8(shown.unwrap().stdout).unwrap();
        let lines = text.lines().filter(|line| !line.contains("tentative"));
        let mut addresses = lines.filter_map(|line| line.split_once("inet6 ")?.1.split_once('/'));
        found = addresses.find(|(address, _)| address.starts_with("fe80")).map(|(address, _)| address.parse().unwrap());
        found.is_some()
    };
    wait(&mut look, || format!("{link} has no address of its link"));
    found.unwrap()
}

/// An honest question, as a phone's system sends it.
fn asks(phone: &Machine) {
    Packet { from: link_address(phone, "eth0"), to: ALL_ROUTERS, hops: 255, message: &QUESTION }.leaves(phone);
}

/// What the box must say, without the portal.
fn wanted(bed: &Bed, mtu: u32) -> Vec<u8> {
    let mac = bed.machine("gw").mac("guests");
    let mac = mac.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap());
    let own: Ipv6Addr = OWN.parse().unwrap();
    let mut bytes = vec![134, 0, 0, 0, 64, 0x40, 0x0a, 0x8c, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    bytes.extend(mac);
    bytes.extend([5, 1, 0, 0]);
    bytes.extend(mtu.to_be_bytes());
    bytes.extend([3, 4, 64, 0xc0, 0, 0, 0x15, 0x18, 0, 0, 0x0a, 0x8c, 0, 0, 0, 0]);
    bytes.extend(&own.octets()[..8]);
    bytes.extend([0; 8]);
    bytes.extend([25, 3, 0, 0, 0, 0, 0x0a, 0x8c]);
    bytes.extend(own.octets());
    bytes
}

fn next(ear: &Ear, what: &str, bed: &Bed) -> Heard {
    ear.hears(PATIENCE).unwrap_or_else(|| panic!("{what}: nothing was heard; {}", bed.log("advertise.log")))
}

#[test]
fn a_phone_hears_of_the_portal_by_router_advertisement_exactly_when_it_has_a_certificate() {
    for (name, portal, told) in [("raplain", PLAIN, false), ("rasecure", SECURE, true)] {
        let mut bed = Bed::new(name, portal, SIX);
        bed.dnsmasq();
        let (phone, gateway) = (bed.machine("one"), bed.machine("gw"));
        let ear = Ear::of(&phone);
        bed.advertiser();
        let heard = next(&ear, name, &bed);
        assert_eq!(heard.from, link_address(&gateway, "guests"));
        let mut wanted = wanted(&bed, 1_500);
        if told {
            let api = b"https://pay.shop.example/capport";
            wanted.extend([CAPTIVE_PORTAL, 5]);
            wanted.extend(api);
            wanted.resize(wanted.len().next_multiple_of(8), 0);
            assert_eq!(heard.options(CAPTIVE_PORTAL), [&[&api[..], &[0; 6]].concat()[..]]);
        }
        assert_eq!(heard.says(), wanted, "{name}");
        // The phone's own system believes it: an address, and a way out.
        bed.settles("one");
        let router = format!("default via {} dev eth0 proto ra", heard.from);
        assert!(bed.routes_six("one").starts_with(&router), "{}", bed.routes_six("one"));
        // Names are there where it was said.
        let name = bed.inside("one", "dig", &["+short", &format!("@{OWN}"), "pay.shop.example", "AAAA"]);
        assert_eq!(said(&name).trim(), OWN);
    }
}

#[test]
fn a_phone_that_asks_is_answered_alone_and_at_once_and_who_has_no_address_together_with_all() {
    let mut bed = Bed::new("raasked", SECURE, SIX);
    bed.dnsmasq();
    let (one, two) = (bed.machine("one"), bed.machine("two"));
    let own = link_address(&one, "eth0");
    bed.advertiser();
    bed.settles("one");
    bed.settles("two");
    // What is sent to all comes at 0, 16 and 32 s, and when phones came up; between these times one can listen.
    let (ear, other) = (Ear::of(&one), Ear::of(&two));
    let all = ear.hears_all(Duration::from_secs(34));
    assert!(!all.is_empty() && all.len() < 6, "{all:?}");
    other.hears_all(Duration::from_millis(1));
    for round in 0..10 {
        let question = Packet { from: own, to: ALL_ROUTERS, hops: 255, message: &QUESTION };
        let since = Instant::now();
        question.leaves(&one);
        let heard = ear.hears(SOON).unwrap_or_else(|| panic!("round {round}: no answer"));
        println!("answered after {:?}", since.elapsed());
        assert_eq!(heard.options(CAPTIVE_PORTAL).len(), 1);
    }
    assert_eq!(other.hears_all(Duration::from_millis(300)), [], "the other phone sleeps on");
    // Who has no address cannot be answered alone; however many of them ask, all others are woken up once in 3 s.
    let (since, mut times) = (Instant::now(), Vec::new());
    while since.elapsed() < Duration::from_secs(8) {
        Packet { from: NOBODY, to: ALL_ROUTERS, hops: 255, message: &QUESTION }.leaves(&one);
        times.extend(other.hears(Duration::from_millis(50)).map(|heard| heard.after));
    }
    times.extend(other.hears_all(SILENCE).iter().map(|heard| heard.after));
    assert!((3..=4).contains(&times.len()), "{times:?}");
    // As heard, on a busy machine.
    assert!(times.windows(2).all(|two| two[1] - two[0] > Duration::from_millis(2_500)), "{times:?}");
    assert_eq!(ear.hears_all(Duration::from_millis(300)).len(), times.len());
}

#[test]
fn a_solicitation_that_cannot_be_honest_is_not_answered() {
    let mut bed = Bed::new("raforged", PLAIN, SIX);
    bed.dnsmasq();
    let phone = bed.machine("one");
    let own = link_address(&phone, "eth0");
    let id = bed.advertiser();
    bed.settles("one");
    let ear = Ear::of(&phone);
    // Until all has been said that is said by itself for the next ten minutes.
    ear.hears_all(Duration::from_secs(34));
    let mac: Vec<u8> = phone.mac("eth0").split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let named = [&QUESTION[..], &[1, 1], &mac].concat();
    let good = Packet { from: own, to: ALL_ROUTERS, hops: 255, message: &named };
    good.leaves(&phone);
    assert!(ear.hears(SOON).is_some(), "{}", bed.log("advertise.log"));
    let long = [&QUESTION[..], &[1, 1, 2, 0, 0, 0, 0, 7].repeat(160)].concat();
    for (what, packet) in [
        ("came over a router", Packet { hops: 254, ..good }),
        ("came from afar", Packet { hops: 64, ..good }),
        ("nobody, who says who it is", Packet { from: NOBODY, ..good }),
        ("an address of another network", Packet { from: "2001:db8::7".parse().unwrap(), ..good }),
        ("an address of no link", Packet { from: "fd12:3456:789a:50::77".parse().unwrap(), ..good }),
        ("a code", Packet { message: &[133, 1, 0, 0, 0, 0, 0, 0], ..good }),
        ("half", Packet { message: &QUESTION[..4], ..good }),
        ("an option of no length", Packet { message: &[133, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0, 7], ..good }),
        ("an option cut off", Packet { message: &[133, 0, 0, 0, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 7], ..good }),
        ("too long", Packet { message: &long, ..good }),
    ] {
        packet.leaves(&phone);
        assert_eq!(ear.hears(SOON), None, "{what}");
    }
    good.leaves(&phone);
    assert!(ear.hears(SOON).is_some(), "{}", bed.log("advertise.log"));
    // A flood of them: the sender lives, and sends little.
    let sent = Instant::now();
    for n in 0..2_000_u128 {
        Packet { from: Ipv6Addr::from((0xfe80 << 112) | n), ..good }.leaves(&phone);
    }
    let took = sent.elapsed();
    let answers = ear.hears_all(Duration::from_secs(4)).len();
    println!("2,000 questions within {took:?}, {answers} answers that this phone heard");
    asks(&phone);
    assert!(ear.hears(SOON).is_some(), "{}", bed.log("advertise.log"));
    assert!(std::fs::exists(format!("/proc/{id}")).unwrap());
}

#[test]
fn an_advertisement_of_a_phone_reaches_no_other_phone_and_is_not_believed_by_the_box() {
    let mut bed = Bed::new("rarogue", PLAIN, SIX);
    bed.dnsmasq();
    let (gateway, one, two) = (bed.machine("gw"), bed.machine("one"), bed.machine("two"));
    let own = link_address(&two, "eth0");
    bed.advertiser();
    bed.settles("one");
    let (ear, before) = (Ear::of(&one), bed.routes_six("gw"));
    // That it is the router, for an hour, and that all the world is on this link.
    let mut rogue = vec![134, 0, 0, 0, 64, 0, 0x0e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0];
    rogue.extend([3, 4, 64, 0xc0, 0, 0, 0x15, 0x18, 0, 0, 0x0a, 0x8c, 0, 0, 0, 0]);
    rogue.extend("2001:db8:bad::".parse::<Ipv6Addr>().unwrap().octets());
    let (first, box_itself) = (link_address(&one, "eth0"), link_address(&gateway, "guests"));
    for to in [ALL_NODES, ALL_ROUTERS, first, box_itself, OWN.parse().unwrap()] {
        Packet { from: own, to, hops: 255, message: &rogue }.leaves(&two);
    }
    // Nor one in the box's own name, which would take it away from all.
    Packet {
        from: box_itself,
        to: ALL_NODES,
        hops: 255,
        message: &[134, 0, 0, 0, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    }
    .leaves(&two);
    let heard = ear.hears_all(SILENCE);
    assert!(heard.iter().all(|one| one.from == box_itself && one.router_secs() > 0), "{heard:?}");
    assert!(bed.routes_six("one").contains(&format!("via {box_itself}")), "{}", bed.routes_six("one"));
    assert!(!bed.routes_six("one").contains(&format!("via {own}")), "{}", bed.routes_six("one"));
    assert_eq!(bed.routes_six("gw"), before);
    for place in ["gw", "one"] {
        let all =
            said(&bed.inside(place, "ip", &["-6", "address"])) + &said(&bed.inside(place, "ip", &["-6", "route"]));
        assert!(!all.contains("2001:db8:bad:"), "{place}: {all}");
    }
    // It is the ports that are kept apart, with or without a firewall; else it would have been believed.
    gateway.nft("delete table inet tillgate");
    Packet { from: own, to: ALL_NODES, hops: 255, message: &rogue }.leaves(&two);
    assert!(ear.hears_all(SOON).iter().all(|heard| heard.from == box_itself));
    for port in ["eth1", "eth2"] {
        gateway.ip(&format!("link set {port} type bridge_slave isolated off"));
    }
    Packet { from: own, to: ALL_NODES, hops: 255, message: &rogue }.leaves(&two);
    assert!(ear.hears_all(SOON).iter().any(|heard| heard.from == own));
    wait(|| bed.routes_six("one").contains(&format!("via {own}")), || bed.routes_six("one"));
    assert_eq!(bed.routes_six("gw"), before, "the box believes nobody all the same");
}

#[test]
fn a_phone_that_asks_whether_its_router_is_still_there_keeps_it() {
    let mut bed = Bed::new("rastays", PLAIN, SIX);
    bed.dnsmasq();
    bed.advertiser();
    bed.settles("one");
    let router = link_address(&bed.machine("gw"), "guests").to_string();
    // As its kernel does by itself, five seconds after it has sent something to a router that was silent for a while. A
    // machine that answers without saying that it forwards is no router to it any longer.
    let neighbour = |words: &[&str]| said(&bed.inside("one", "ip", &[&["-6", "neighbour"], words].concat()));
    neighbour(&["change", &router, "dev", "eth0", "router", "nud", "probe"]);
    let answered = || neighbour(&["show", &router, "dev", "eth0"]).contains("REACHABLE");
    wait(answered, || neighbour(&["show"]));
    assert!(bed.routes_six("one").contains(&format!("via {router}")), "{}", neighbour(&["show"]));
}

#[test]
fn who_is_killed_is_missed_by_nobody_and_who_stops_takes_its_leave() {
    let mut bed = Bed::new("raends", SECURE, SIX);
    bed.dnsmasq();
    let ear = Ear::of(&bed.machine("one"));
    let first = bed.advertiser();
    bed.settles("one");
    assert_eq!(next(&ear, "at the beginning", &bed).router_secs(), 2_700);
    bed.kill(first);
    // What was heard before the end.
    ear.hears_all(Duration::from_millis(200));
    asks(&bed.machine("one"));
    assert_eq!(ear.hears(SOON), None, "nobody is there to answer");
    assert!(!bed.routes_six("one").is_empty(), "the phone goes on");
    let second = bed.advertiser();
    assert_eq!(next(&ear, "started anew", &bed).router_secs(), 2_700);
    ear.hears_all(SOON);
    let since = Instant::now();
    bed.stops(second);
    println!("stopped after {:?}", since.elapsed());
    let leave = next(&ear, "at the end", &bed);
    assert_eq!((leave.router_secs(), leave.options(CAPTIVE_PORTAL).len()), (0, 0));
    assert_eq!(leave.options(25), [&[&[0; 6][..], &OWN.parse::<Ipv6Addr>().unwrap().octets()].concat()[..]]);
    wait(|| bed.routes_six("one").is_empty(), || bed.routes_six("one"));
    // Started again, as by an upgrade: the phone has its router back, and had its address all the time.
    let gone = Instant::now();
    bed.advertiser();
    wait(|| !bed.routes_six("one").is_empty(), || bed.log("advertise.log"));
    println!("there again after {:?}", gone.elapsed());
}

#[test]
fn a_bridge_that_changes_goes_or_comes_is_followed() {
    let mut bed = Bed::new("rafollows", PLAIN, SIX);
    bed.dnsmasq();
    let ear = Ear::of(&bed.machine("one"));
    bed.advertiser();
    assert_eq!(next(&ear, "at the beginning", &bed).says(), wanted(&bed, 1_500));
    let ip = |words: &str| bed.machine("gw").ip(words);
    let until = |mtu: u32, since: Instant| {
        let wanted = wanted(&bed, mtu);
        while next(&ear, "after a change", &bed).says() != wanted {
            assert!(since.elapsed() < PATIENCE, "{}", bed.log("advertise.log"));
        }
    };
    ip("link set guests mtu 1400");
    until(1_400, Instant::now());
    ip("link set guests down");
    wait(|| bed.log("advertise.log").contains("waiting"), || bed.log("advertise.log"));
    ip("link set guests up");
    until(1_400, Instant::now());
    ip("link set guests address 02:00:00:00:99:01");
    until(1_400, Instant::now());
    assert!(!bed.log("advertise.log").contains("ERROR"), "{}", bed.log("advertise.log"));
}

#[test]
fn without_version_6_nobody_advertises_and_with_it_nobody_but_the_box_does() {
    // dnsmasq alone says nothing of a router.
    let mut bed = Bed::new("raalone", SECURE, SIX);
    let ear = Ear::of(&bed.machine("one"));
    bed.dnsmasq();
    asks(&bed.machine("one"));
    assert_eq!(ear.hears(SILENCE), None);
    drop(bed);
    let mut bed = Bed::new("raoff", SECURE, "");
    let ear = Ear::of(&bed.machine("one"));
    bed.dnsmasq();
    let config = bed.folder.join("t.toml").display().to_string();
    let ended = bed.inside("gw", env!("CARGO_BIN_EXE_tillgate"), &["advertise", "--config", &config]);
    assert!(ended.status.success() && said(&ended).contains("nothing to advertise"), "{}", said(&ended));
    asks(&bed.machine("one"));
    assert_eq!(ear.hears(SILENCE), None);
    assert_eq!(bed.routes_six("one"), "");
    // Nor does it begin with a file that cannot be used, or without the right.
    std::fs::write(bed.folder.join("bad.toml"), "[network]\nipv6 = 7\n").unwrap();
    let bad = bed.folder.join("bad.toml").display().to_string();
    let ended = bed.inside("gw", env!("CARGO_BIN_EXE_tillgate"), &["advertise", "--config", &bad]);
    assert_eq!(ended.status.code(), Some(2), "{}", said(&ended));
    std::fs::write(bed.folder.join("six.toml"), super::bed::config(&bed.folder, SECURE, SIX)).unwrap();
    let six = bed.folder.join("six.toml").display().to_string();
    let program = env!("CARGO_BIN_EXE_tillgate");
    let powerless = ["--bounding-set", "-net_raw", program, "advertise", "--config", &six];
    let ended = bed.inside("gw", "setpriv", &powerless);
    assert!(!ended.status.success() && said(&ended).contains("CAP_NET_RAW is missing"), "{}", said(&ended));
    run("rm", &[&six]);
}
