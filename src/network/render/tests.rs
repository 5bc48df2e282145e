//! The files, whole, as they were read by a person once. A changed line here is a changed network.

use super::*;
use crate::network::settings::*;
use ipnet::IpNet;
use std::time::Duration;

fn link(name: &str) -> Link {
    Link::new(name).unwrap()
}

pub(crate) fn settings() -> NetworkSettings {
    NetworkSettings {
        guests: Guests {
            bridge: link("guests"),
            ports: vec![Port::Whole(link("eth1")), Port::Vlan(link("eth0"), 20), Port::Vlan(link("eth2"), 21)],
            address: "192.168.50.1/24".parse().unwrap(),
            pool: ("192.168.50.10".parse().unwrap(), "192.168.50.254".parse().unwrap()),
            lease: Duration::from_secs(3_600),
            ipv6: None,
        },
        radio: Some(Radio {
            link: link("wlan0"),
            ssid: "Corner Shop".to_owned(),
            country: "DE".to_owned(),
            channel: Channel::High(36),
            security: Security::Open,
        }),
        uplink: Uplink { link: link("eth0"), address: UplinkAddress::Dhcp, resolvers: Vec::new() },
        shop: ShopSide {
            links: vec![link("eth0")],
            networks: PRIVATE.iter().map(|net| net.parse::<IpNet>().unwrap()).collect(),
            name: "tillgate".to_owned(),
        },
        portal: PortalPlace { name: Name::new("pay.shop.example"), http: 80, https: None },
        paying: Paying::Window(Window::default()),
        limits: PhoneLimits::default(),
        helper: HELPER.into(),
    }
}

/// Everything the other way round: fixed, secret, by hosts, with version 6 and a certificate.
fn other() -> NetworkSettings {
    let mut other = settings();
    other.guests.ports = Vec::new();
    other.guests.ipv6 = Some("fd12:3456:789a:50::1/64".parse().unwrap());
    other.radio = Some(Radio {
        link: link("wlan0"),
        ssid: "Café".to_owned(),
        country: "US".to_owned(),
        channel: Channel::Low(6),
        security: Security::Passphrase { passphrase: Passphrase::new("not so secret"), wpa2: true },
    });
    other.uplink.address =
        UplinkAddress::Fixed { address: "203.0.113.2/24".parse().unwrap(), gateway: "203.0.113.1".parse().unwrap() };
    other.uplink.resolvers = vec!["9.9.9.9".parse().unwrap(), "2620:fe::fe".parse().unwrap()];
    other.portal.https = Some(443);
    other.paying = Paying::Hosts(vec![Name::new("pay.example.net").unwrap(), Name::new("bank.example").unwrap()]);
    other
}

fn listed(settings: &NetworkSettings) -> String {
    files(settings).iter().map(|f| format!("==> /{} {}\n{}\n", f.path.display(), f.secret, f.text)).collect()
}

fn text_of(settings: &NetworkSettings, reader: Reader) -> String {
    let of = files(settings).into_iter().filter(|file| file.reader == reader);
    of.map(|file| file.text).collect()
}

#[track_caller]
fn read_and_found_good(settings: &NetworkSettings, golden: &str) {
    let listed = listed(settings);
    assert!(listed == golden, "the files have changed; if that is meant, this is the new text:\n{listed}");
}

#[test]
fn the_files_for_an_open_wifi_are_those_that_were_read_and_found_good() {
    read_and_found_good(&settings(), include_str!("golden/open.txt"));
}

#[test]
fn the_files_for_a_wifi_with_a_passphrase_are_those_that_were_read_and_found_good() {
    read_and_found_good(&other(), include_str!("golden/secret.txt"));
}

#[test]
fn every_file_is_where_clear_looks_for_it() {
    for file in files(&settings()).iter().chain(&files(&other())) {
        let folder = file.path.parent().unwrap().to_str().unwrap();
        let name = file.path.file_name().unwrap().to_str().unwrap();
        assert!(PLACES.iter().any(|(place, begin)| folder == *place && name.starts_with(begin)), "{file:?}");
    }
}

#[test]
fn phones_are_told_of_the_portal_by_dhcp_exactly_when_it_has_a_certificate() {
    let api = "dhcp-option-force=114,https://pay.shop.example/capport\n";
    for (name, https, told) in [
        (Some("pay.shop.example"), Some(443), true),
        (Some("pay.shop.example"), None, false),
        (None, Some(443), false),
        (None, None, false),
    ] {
        let mut settings = settings();
        settings.portal = PortalPlace { name: name.and_then(Name::new), http: 80, https };
        let text = text_of(&settings, Reader::Dnsmasq);
        assert_eq!(text.contains(api), told, "{name:?} {https:?}");
        assert_eq!(text.contains("114"), told, "{name:?} {https:?}");
    }
}

#[test]
fn a_passphrase_stands_in_one_file_for_root_only_and_nowhere_else() {
    let with: Vec<_> = files(&other()).into_iter().filter(|file| file.text.contains("not so secret")).collect();
    assert_eq!(with.len(), 1);
    assert!(with[0].secret && with[0].reader == Reader::Hostapd);
    assert!(!format!("{:?}", other()).contains("not so secret"));
}

#[test]
fn the_twin_of_an_open_wifi_has_a_name_of_its_own_that_fits() {
    let mut settings = settings();
    let radio = settings.radio.as_mut().unwrap();
    radio.link = link("wlx00c0ca123456");
    radio.ssid = "é".repeat(16);
    let text = text_of(&settings, Reader::Hostapd);
    assert!(text.contains("bss=wlx00c0ca12_owe\n"), "{text}");
    assert!(text.contains(&format!("ssid2=\"{}_owe\"\n", "é".repeat(14))), "{text}");
}
