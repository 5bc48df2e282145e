//! The tables as text, word for word: whoever changes a rule sees here what it becomes. That they do what they say is seen
//! with real packets in `tests/net`.

use super::super::settings::{
    Guests, Link, Name, Paying, PhoneLimits, Port, PortalPlace, ShopSide, Uplink, UplinkAddress, Window,
};
use super::*;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

/// A shop with a pay window, without version 6.
pub(in super::super) fn settings() -> NetworkSettings {
    NetworkSettings {
        guests: Guests {
            bridge: Link::new("guests").unwrap(),
            ports: vec![Port::Whole(Link::new("eth1").unwrap())],
            address: "192.168.50.1/24".parse().unwrap(),
            pool: (Ipv4Addr::new(192, 168, 50, 10), Ipv4Addr::new(192, 168, 50, 254)),
            lease: Duration::from_secs(3_600),
            ipv6: None,
        },
        radio: None,
        uplink: Uplink { link: Link::new("eth0").unwrap(), address: UplinkAddress::Dhcp, resolvers: vec![] },
        shop: ShopSide {
            links: vec![Link::new("eth0").unwrap()],
            networks: ["10.0.0.0/8", "192.168.0.0/16", "fc00::/7"].map(|net| net.parse().unwrap()).to_vec(),
            name: "tillgate".to_owned(),
        },
        portal: PortalPlace { name: None, http: 8_080, https: Some(443) },
        paying: Paying::Window(Window::default()),
        limits: PhoneLimits::default(),
        helper: PathBuf::from("/run/tillgate-netd/netd.sock"),
    }
}

/// The same with named hosts and version 6.
fn other() -> NetworkSettings {
    let mut other = settings();
    other.guests.ipv6 = Some("fd12:3456:789a:50::1/64".parse().unwrap());
    other.paying = Paying::Hosts(vec![Name::new("pay.example.com").unwrap()]);
    other.limits.bytes_per_sec = Some(500_000);
    other.portal.https = None;
    other
}

fn phones() -> [Let; 2] {
    let phone = |n| Phone { mac: [2, 0, 0, 0, 0, n], ip: Ipv4Addr::new(192, 168, 50, n) };
    [Let { phone: phone(7), way: Way::Paying, ms: 90_500 }, Let { phone: phone(8), way: Way::Online, ms: 1 }]
}

/// To take a changed table over: `TILLGATE_GOLDEN=write cargo test --lib ruleset`, then read what changed.
fn golden(name: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/network/ruleset").join(name);
    if std::env::var_os("TILLGATE_GOLDEN").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap();
    for (line, (is, was)) in text.lines().zip(expected.lines()).enumerate() {
        assert_eq!(is, was, "{name}, line {}", line + 1);
    }
    assert_eq!(text.len(), expected.len(), "{name}");
}

#[test]
fn the_tables_are_these() {
    golden("closed.nft", &closed("guests"));
    golden("window.nft", &open(&settings(), &phones(), &BTreeSet::new()));
    let garden = ["198.51.100.10", "198.51.100.11", "2001:db8::10"].map(|ip| ip.parse().unwrap());
    golden("hosts-and-six.nft", &open(&other(), &phones(), &garden.into()));
}

#[test]
fn the_garden_has_the_name_that_the_resolver_fills() {
    let text = open(&other(), &[], &BTreeSet::new());
    for set in GARDEN {
        assert!(text.contains(&format!("\tset {set} {{")), "{set}");
    }
}

#[test]
fn nobody_is_let_through_by_version_six_unless_it_is_switched_on() {
    let text = open(&settings(), &phones(), &BTreeSet::new());
    assert_eq!(text.matches("meta nfproto ipv6 drop").count(), 3, "to the box, up and back");
    assert!(!text.contains("ip6 "), "{text}");
}
