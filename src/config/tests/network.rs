//! `[network]`: what a good one becomes, and each mistake named.

use super::*;
use crate::network::settings::{Port, *};
use std::time::Duration;

/// The example with this instead of its `[network]`.
fn with_network(folder: &Path, network: &str) -> Result<Config, Faults> {
    let text = example(folder);
    let (head, tail) = text.split_once("[network]").unwrap();
    let (_, tail) = tail.split_once("[platform]").unwrap();
    Config::parse(Path::new("t"), &format!("{head}[network]\n{network}\n[platform]{tail}"))
}

const SHORT: &str = "ports = ['eth1']\naddress = '192.168.50.1/24'\nuplink = 'eth0'\n";

fn link(name: &str) -> Link {
    Link::new(name).unwrap()
}

#[test]
fn a_short_network_has_a_default_for_everything_else() {
    let folder = folder("network");
    let network = with_network(&folder, SHORT).unwrap().network.unwrap();
    let guests = &network.guests;
    assert_eq!(guests.bridge, link("guests"));
    assert_eq!(guests.pool, ("192.168.50.10".parse().unwrap(), "192.168.50.254".parse().unwrap()));
    assert_eq!((guests.lease.as_secs(), guests.ipv6, network.radio.is_none()), (3_600, None, true));
    assert_eq!(network.uplink.address, UplinkAddress::Dhcp);
    assert_eq!(network.shop.links, [link("eth0")]);
    assert_eq!(network.shop.networks.len(), PRIVATE.len());
    assert_eq!(network.paying, Paying::Window(Window::default()));
    assert_eq!(network.limits, PhoneLimits::default());
    let place = PortalPlace { name: Name::new("pay.shop.example"), http: 80, https: None };
    assert_eq!((network.portal.api(), network.portal), (None, place));
    let text = example(&folder);
    let (head, tail) = text.split_once("[network]").unwrap();
    let (_, tail) = tail.split_once("[platform]").unwrap();
    let without = Config::parse(Path::new("t"), &format!("{head}[platform]{tail}")).unwrap();
    assert_eq!(without.network, None);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_key_of_a_network_reaches_its_place() {
    let folder = folder("network-all");
    let secret = folder.join("wifi");
    std::fs::write(&secret, "open sesame\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "bridge = 'br0'\nports = ['eth1', 'eth0.20']\naddress = '192.168.50.1/24'\nfirst = '192.168.50.100'\n\
         last = '192.168.50.200'\nlease_minutes = 5\nipv6 = 'fd00:1::1/64'\nuplink = 'eth0'\n\
         uplink_address = '203.0.113.2/24'\nuplink_gateway = '203.0.113.1'\nresolvers = ['9.9.9.9']\n\
         shop_links = ['eth2']\nshop_networks = ['10.1.0.0/16']\nname = 'Front'\nhelper = '/run/h'\n\
         [network.wifi]\nradio = 'wlan0'\nssid = 'Corner'\ncountry = 'US'\nchannel = 11\nsecurity = 'wpa3'\n\
         passphrase_file = '{}'\n[network.paying]\nreach = 'hosts'\nhosts = ['Pay.Example.com']\n\
         [network.limits]\nphones_max = 7\nreach_longest_secs = 60\nconnections_per_sec = 8\nlookups_per_sec = 9\n\
         kilobytes_per_sec = 16\nonline_minutes = 3\n",
        secret.display()
    );
    let found = with_network(&folder, &text).unwrap().network.unwrap();
    let passphrase = Passphrase::new("open sesame");
    let expected = NetworkSettings {
        guests: Guests {
            bridge: link("br0"),
            ports: vec![Port::Whole(link("eth1")), Port::Vlan(link("eth0"), 20)],
            address: "192.168.50.1/24".parse().unwrap(),
            pool: ("192.168.50.100".parse().unwrap(), "192.168.50.200".parse().unwrap()),
            lease: Duration::from_secs(300),
            ipv6: Some("fd00:1::1/64".parse().unwrap()),
        },
        radio: Some(Radio {
            link: link("wlan0"),
            ssid: "Corner".to_owned(),
            country: "US".to_owned(),
            channel: Channel::Low(11),
            security: Security::Passphrase { passphrase, wpa2: false },
        }),
        uplink: Uplink {
            link: link("eth0"),
            address: UplinkAddress::Fixed {
                address: "203.0.113.2/24".parse().unwrap(),
                gateway: "203.0.113.1".parse().unwrap(),
            },
            resolvers: vec!["9.9.9.9".parse().unwrap()],
        },
        shop: ShopSide {
            links: vec![link("eth2")],
            networks: vec!["10.1.0.0/16".parse().unwrap()],
            name: "front".to_owned(),
        },
        portal: PortalPlace { name: Name::new("pay.shop.example"), http: 80, https: None },
        paying: Paying::Hosts(vec![Name::new("pay.example.com").unwrap()]),
        limits: PhoneLimits {
            phones_max: 7,
            reach_longest: Duration::from_secs(60),
            online: Duration::from_secs(180),
            connections_per_sec: 8,
            lookups_per_sec: 9,
            bytes_per_sec: Some(16 << 10),
        },
        helper: "/run/h".into(),
    };
    assert_eq!(found, expected);
    let windowed = "[network.paying]\nreach = 'window'\nlongest_secs = 61\nmegabytes_max = 2\nkilobytes_per_sec = 16\n";
    let found = with_network(&folder, &format!("{SHORT}{windowed}")).unwrap().network.unwrap();
    let window = Window { longest: Duration::from_secs(61), bytes_max: 2 << 20, bytes_per_sec: 16 << 10 };
    assert_eq!(found.paying, Paying::Window(window));
    std::fs::remove_dir_all(folder).unwrap();
}

/// A line of `[network.wifi]` is written WIFI(what is written instead of what).
const WIFI: &str = "[network.wifi]\nradio='wlan0'\nssid='x'\ncountry='US'\nchannel=1\nsecurity='open'\n";

/// What is written instead of what in [`SHORT`], or after it -> words of the fault.
#[rustfmt::skip]
const FAULTS: &[(&str, &str, &str)] = &[
    ("ports = ['eth1']\n", "", "nothing brings guests to the bridge"),
    ("'eth1'", "'eth1', 'eth1'", "stands here twice"),
    ("'eth1'", "'eth0'", "eth0 cannot be the uplink and a port of the guests' bridge"),
    ("'eth1'", "'guests'", "guests cannot be the guests' bridge and a port"),
    ("'eth1'", "'eth1.4095'", "there is no VLAN 4095"),
    ("'eth1'", "'-x'", "no name of an interface"),
    ("'eth1'", "'a;reboot'", "no name of an interface"),
    ("'eth0'", "'enp0s31f6verylong'", "no name of an interface"),
    ("uplink = 'eth0'", "", "needs `uplink`"),
    ("address = '192.168.50.1/24'", "", "needs `address`"),
    ("50.1/24", "50.0/24", "cannot be the box's own address"),
    ("50.1/24", "50.255/24", "cannot be the box's own address"),
    ("192.168.50.1/24", "8.8.8.8/24", "cannot be the box's own address"),
    ("50.1/24", "50.1", "no address with its prefix"),
    ("50.1/24", "50.1/30", "16 to 29 bits"),
    ("50.1/24", "50.1/8", "16 to 29 bits"),
    ("50.1/24", "51.1/24", "the portal listens on 192.168.50.1, but guests find the box at 192.168.51.1"),
    ("", "first = '192.168.51.1'", "is no range within 192.168.50.0/24"),
    ("", "first = '192.168.50.99'\nlast = '192.168.50.98'", "is no range within"),
    ("", "first = '192.168.50.1'", "the box's own address 192.168.50.1 is among"),
    ("", "last = 'x'", "\"x\" is no address"),
    ("", "lease_minutes = 1", "from 2 to 1440"),
    ("", "ipv6 = 'fd00::1/48'", "a /64 only"),
    ("", "uplink_address = '203.0.113.2/24'", "needs the uplink's router"),
    ("", "uplink_gateway = '203.0.113.1'", "DHCP names the uplink's router"),
    ("", "uplink_address = '203.0.113.2/24'\nuplink_gateway = '203.0.114.1'", "is not a neighbour"),
    ("", "uplink_address = '203.0.113.2/24'\nuplink_gateway = '203.0.113.1'", "nobody says whom to ask for names"),
    ("", "uplink_address = '192.168.0.2/16'\nuplink_gateway = '192.168.0.1'\nresolvers = ['9.9.9.9']", "the uplink's network 192.168.0.0/16 overlaps"),
    ("", "shop_networks = ['192.168.50.128/25']", "the shop's network 192.168.50.128/25 overlaps"),
    ("", "shop_links = ['guests']", "no part of the shop's own network"),
    ("", "name = 'a.b'", "cannot stand before .local"),
    ("", "ulpink = 1", "has no key `ulpink`"),
    ("", "WIFI(channel=1|channel=12)", "channel 12 is not allowed in US"),
    ("", "WIFI(channel=1|channel=14)", "there is no channel 14"),
    ("", "WIFI(channel=1|channel=37)", "there is no channel 37"),
    ("", "WIFI(channel=1|channel=166)", "from 1 to 165"),
    ("", "WIFI(US|us)", "\"us\" is no country"),
    ("", "WIFI('x'|'0123456789012345678901234567890123')", "at most 32 bytes"),
    ("", "WIFI(open|wpa2)", "with a passphrase, but where is it?"),
    ("", "WIFI('open'|'open'\npassphrase_file='/x')", "an open Wi-Fi has no passphrase"),
    ("", "WIFI('open'|'wpa2'\npassphrase_file='/nowhere')", "cannot read /nowhere"),
    ("", "WIFI(wlan0|eth1)", "eth1 cannot be a port of the guests' bridge and the radio"),
    ("", "[network.paying]\nreach='hosts'", "which hosts does a paying phone reach?"),
    ("", "[network.paying]\nreach='window'\nhosts=['a.b']", "`hosts` says nothing"),
    ("", "[network.paying]\nreach='hosts'\nhosts=['a.b']\nlongest_secs=60", "about a window only"),
    ("", "[network.paying]\nreach='hosts'\nhosts=['https://a.b/']", "no name of a host"),
    ("", "[network.paying]\nreach='hosts'\nhosts=['a.b#evil']", "no name of a host"),
    ("", "[network.limits]\nphones_max = 0", "from 1 to 10000"),
];

#[test]
fn each_mistake_in_a_network_is_named() {
    let folder = folder("network-faults");
    for (old, new, words) in FAULTS {
        let wifi = new.strip_prefix("WIFI(").and_then(|rest| rest.strip_suffix(')')?.split_once('|'));
        let text = match wifi {
            Some((from, to)) => format!("{SHORT}{}", WIFI.replacen(from, to, 1)),
            None if old.is_empty() => format!("{SHORT}{new}\n"),
            None => SHORT.replacen(old, new, 1),
        };
        let Err(Faults::Wrong(faults)) = with_network(&folder, &text) else { panic!("{new:?}: no fault") };
        assert!(faults.len() == 1 && faults[0].what.contains(words), "{new:?}: {faults:#?}");
    }
    assert!(with_network(&folder, &format!("{SHORT}{WIFI}")).is_ok());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_channel_with_radar_is_allowed_and_said() {
    let folder = folder("radar");
    let found = with_network(&folder, &format!("{SHORT}{}", WIFI.replace("channel=1", "channel=100"))).unwrap();
    assert!(found.warnings.iter().any(|w| w.what.contains("listens for radar")), "{:?}", found.warnings);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_portals_certificate_must_be_for_its_name_and_phones_come_by_that() {
    let folder = folder("secure");
    let dir = folder.to_str().unwrap();
    let secure = |url: &str, more: &str| {
        let line = "url = \"http://pay.shop.example\"";
        Config::parse(Path::new("t"), &example(&folder).replacen(line, &format!("url = '{url}'\n{more}"), 1))
    };
    let keys =
        format!("secure_listen = '192.168.50.1:443'\ncertificate = '{dir}/gateway.pem'\nkey = '{dir}/gateway.key'");
    let config = secure("https://gateway.example", &keys).unwrap();
    assert_eq!(config.portal.secure.unwrap().listen.port(), 443);
    assert_eq!(config.network.unwrap().portal.api().as_deref(), Some("https://gateway.example/capport"));
    let without_listen = keys.replace("secure_listen", "#");
    let elsewhere = keys.replace("192.168.50.1:443", "192.168.50.2:443");
    for (url, more, words) in [
        ("https://other.example", &keys, "is not a certificate for other.example"),
        ("http://gateway.example", &keys, "phones come by https and by name"),
        ("https://192.168.50.1", &keys, "phones come by https and by name"),
        ("https://gateway.example", &without_listen, "all three"),
        ("https://gateway.example", &elsewhere, "the portal listens on 192.168.50.2"),
    ] {
        let Err(Faults::Wrong(faults)) = secure(url, more) else { panic!("{url}: no fault") };
        assert!(faults.len() == 1 && faults[0].what.contains(words), "{url}: {faults:#?}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_passphrase_that_is_none_is_found_and_never_said() {
    let folder = folder("passphrase");
    let secret = folder.join("wifi");
    let wifi = WIFI.replace("'open'", &format!("'wpa2'\npassphrase_file='{}'", secret.display()));
    let text = format!("{SHORT}{wifi}");
    for bad in ["", "sesame", "open sesame\nwpa=0", "\u{e9}open sesame", &"x".repeat(64)] {
        std::fs::write(&secret, bad).unwrap();
        let Err(Faults::Wrong(faults)) = with_network(&folder, &text) else { panic!("{bad:?}: no fault") };
        assert!(faults[0].what.contains("holds no passphrase"), "{faults:#?}");
        assert!(!format!("{faults:?}").contains("sesame"), "{faults:#?}");
    }
    std::fs::write(&secret, "open sesame").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let config = with_network(&folder, &text).unwrap();
    assert!(config.warnings.iter().any(|w| w.what.starts_with("everybody on this machine")), "{:?}", config.warnings);
    assert!(!format!("{config:?}").contains("sesame"));
    std::fs::remove_dir_all(folder).unwrap();
}
