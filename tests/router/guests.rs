//! What a phone finds that joins: its address, the portal, names that exist and names that do not.

use super::bed::{Bed, PLAIN, SECURE, SIX, said, wait};
use std::process::Command;

/// Hexadecimal, as udhcpc gives options that it does not know.
fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_phone_gets_its_address_and_hears_of_the_portal_exactly_when_that_has_a_certificate() {
    for (name, portal, told) in [("plain", PLAIN, false), ("secure", SECURE, true)] {
        let mut bed = Bed::new(name, portal, "");
        bed.dnsmasq();
        for asked in [&[][..], &["114"]] {
            let lease = bed.lease("one", asked);
            let of = |key: &str| lease.get(key).map_or("", String::as_str);
            assert!(of("ip").starts_with("192.168.50."), "{lease:?}");
            assert_eq!((of("mask"), of("router"), of("dns")), ("24", "192.168.50.1", "192.168.50.1"));
            assert_eq!(of("lease"), "3600");
            let api = hex("https://pay.shop.example/capport");
            assert_eq!(of("opt114"), if told { api.as_str() } else { "" }, "{name}, asked for {asked:?}: {lease:?}");
        }
        assert!(!bed.log("dnsmasq.log").contains("DHCPACK"), "phones stand in no log");
    }
}

#[test]
fn names_that_lead_around_the_portal_do_not_exist_and_the_others_do() {
    let mut bed = Bed::new("names", PLAIN, "");
    bed.dnsmasq();
    bed.lease("one", &[]);
    let none: Vec<String> = Vec::new();
    for name in ["mask.icloud.com", "mask-h2.icloud.com", "use-application-dns.net", "x.mask.icloud.com"] {
        for kind in ["A", "AAAA", "HTTPS"] {
            assert_eq!(bed.dig("one", name, kind), ("NXDOMAIN".to_owned(), none.clone()), "{name} {kind}");
        }
    }
    let good = |values: &[&str]| ("NOERROR".to_owned(), values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
    assert_eq!(bed.dig("one", "pay.shop.example", "A"), good(&["192.168.50.1"]), "ours, whatever the world says");
    // Of a name that exists, other kinds are empty: a phone that heard "no such name" would keep that.
    for kind in ["AAAA", "HTTPS", "TXT"] {
        assert_eq!(bed.dig("one", "pay.shop.example", kind), good(&[]), "{kind}");
    }
    assert_eq!(bed.dig("one", "www.example.org", "A"), good(&["198.51.100.81"]));
    assert_eq!(bed.dig("one", "www.example.org", "AAAA"), good(&[]), "guests have no version 6");
    let outside = ["+time=1", "+tries=1", "@198.51.100.2", "www.example.org"];
    assert!(!bed.inside("net", "dig", &outside).status.success(), "nobody is answered but guests");
    for name in ["evil", "evil.lan", "1.50.168.192.in-addr.arpa"] {
        assert_ne!(bed.dig("one", name, "A").0, "NOERROR", "{name}: what a phone calls itself is no name");
    }
}

#[test]
fn hosts_for_paying_phones_reach_the_firewalls_set_as_they_are_looked_up() {
    let paying = "[network.paying]\nreach = \"hosts\"\nhosts = [\"pay.example.net\"]";
    let mut bed = Bed::new("hosts", PLAIN, paying);
    bed.dnsmasq();
    bed.lease("one", &[]);
    let garden = || said(&bed.inside("gw", "nft", &["list", "set", "inet", "tillgate", "garden4"]));
    assert!(!garden().contains("198.51.100."));
    assert_eq!(bed.dig("one", "www.example.org", "A").1, ["198.51.100.81"]);
    assert_eq!(bed.dig("one", "pay.example.net", "A").1, ["198.51.100.80"]);
    assert_eq!(bed.dig("one", "static.pay.example.net", "A").1, ["198.51.100.79"]);
    wait(|| garden().contains("198.51.100.80") && garden().contains("198.51.100.79"), garden);
    assert!(!garden().contains("198.51.100.81"), "{}", garden());
    let none: Vec<String> = Vec::new();
    assert_eq!(bed.dig("one", "pay.example.net", "HTTPS"), ("NOERROR".to_owned(), none));
}

#[test]
fn phones_on_different_ports_of_the_bridge_do_not_hear_one_another() {
    let mut bed = Bed::new("apart", PLAIN, "");
    bed.dnsmasq();
    bed.lease("one", &[]);
    let two = bed.lease("two", &[])["ip"].clone();
    let reach = |to: &str| {
        let script = format!("exec 3<>/dev/tcp/{to}/9");
        said(&bed.inside("one", "timeout", &["10", "bash", "-c", &script]))
    };
    assert!(reach("192.168.50.1").contains("refused"), "the box is there, and its port 9 is not");
    let other = reach(&two);
    assert!(other.contains("No route to host"), "the other phone does not answer for its address: {other}");
}

#[test]
fn a_phone_asks_the_portals_api_over_real_names_and_real_tls() {
    let mut bed = Bed::new("api", SECURE, "");
    bed.dnsmasq();
    let config = bed.folder.join("t.toml").display().to_string();
    let daemon = bed.start("gw", env!("CARGO_BIN_EXE_tillgate"), &["run", "--config", &config], &[], "tillgate.log");
    let lease = bed.lease("one", &["114"]);
    let api: String = lease["opt114"]
        .as_bytes()
        .chunks(2)
        .map(|two| char::from(u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()))
        .collect();
    let folder = bed.folder.display().to_string();
    std::fs::write(bed.folder.join("resolv.conf"), "nameserver 192.168.50.1\n").unwrap();
    let curl = |more: &str| {
        let script = format!(
            "mount --make-rprivate / && mount --bind {folder}/resolv.conf /etc/resolv.conf && \
             exec curl -sS --retry 20 --retry-all-errors --retry-delay 1 --max-time 10 --cacert {folder}/cert.pem {more}"
        );
        said(&bed.inside("one", "unshare", &["-m", "sh", "-c", &script]))
    };
    let answer = curl(&format!("-i -H 'Accept: application/captive+json' {api}"));
    assert!(
        answer.contains("200 OK") && answer.contains("content-type: application/captive+json"),
        "{answer}\n{}",
        bed.log("tillgate.log")
    );
    assert!(answer.ends_with(r#"{"captive":true,"user-portal-url":"https://pay.shop.example/"}"#), "{answer}");
    let shown = curl("-L http://pay.shop.example/t/1");
    assert!(shown.contains("Corner Shop"), "{shown}");
    // The certificate is renewed, and the daemon told.
    super::bed::certificate(&bed.folder);
    assert!(curl(&format!("--retry 0 {api}")).contains("curl: ("), "the old one is still in use");
    super::bed::run("kill", &["-HUP", &daemon.to_string()]);
    wait(|| curl(&format!("--retry 0 {api}")).contains("captive"), || bed.log("tillgate.log"));
}

#[test]
fn with_version_6_phones_make_their_addresses_and_hear_of_the_portal_in_that_way_too() {
    let mut bed = Bed::new("six", SECURE, SIX);
    bed.dnsmasq();
    bed.advertiser();
    let config = bed.folder.join("t.toml").display().to_string();
    bed.start("gw", env!("CARGO_BIN_EXE_tillgate"), &["run", "--config", &config], &[], "tillgate.log");
    let addresses = || said(&bed.inside("one", "ip", &["-6", "-oneline", "address", "show", "dev", "eth0"]));
    let made = || addresses().lines().any(|l| l.contains("fd12:3456:789a:50:") && !l.contains("tentative"));
    wait(made, addresses);
    bed.lease("one", &[]);
    assert_eq!(bed.dig("one", "pay.shop.example", "AAAA").1, ["fd12:3456:789a:50::1"]);
    assert_eq!(bed.dig("one", "www.example.org", "AAAA").1, ["2001:db8::81"]);
    let folder = bed.folder.display().to_string();
    let conf = "option dhcp6.capport code 103 = text;\nalso request dhcp6.capport;\n";
    std::fs::write(bed.folder.join("dhclient.conf"), conf).unwrap();
    let script = format!("#!/bin/sh\nenv > {folder}/six\n");
    std::fs::write(bed.folder.join("six.sh"), script).unwrap();
    super::bed::run("chmod", &["755", &format!("{folder}/six.sh")]);
    let (conf, script) = (format!("{folder}/dhclient.conf"), format!("{folder}/six.sh"));
    let (leases, pid) = (format!("{folder}/dhclient.leases"), format!("{folder}/dhclient.pid"));
    let args = ["-6", "-S", "-1", "-v", "-cf", &conf, "-sf", &script, "-lf", &leases, "-pf", &pid, "eth0"];
    let client = bed.inside("one", "timeout", &[&["20", "dhclient"][..], &args].concat());
    let seen = bed.log("six");
    assert!(seen.contains("new_dhcp6_capport=https://pay.shop.example/capport"), "{seen}\n{}", said(&client));
    let curl = |more: &[&str]| {
        let usual = ["-6", "-sS", "--retry", "20", "--retry-all-errors", "--retry-delay", "1", "--cacert"];
        let certificate = format!("{folder}/cert.pem");
        said(&bed.inside("one", "curl", &[&usual[..], &[&certificate], more].concat()))
    };
    let to = "pay.shop.example:443:[fd12:3456:789a:50::1]";
    let answer = curl(&["--resolve", to, "https://pay.shop.example/capport"]);
    assert!(answer.contains(r#""captive":true"#), "{answer}\n{}", bed.log("tillgate.log"));
    let probe = curl(&["-i", "-H", "Host: captive.apple.com", "http://[fd12:3456:789a:50::1]/hotspot-detect.html"]);
    assert!(probe.contains("302 Found") && probe.contains("location: https://pay.shop.example/"), "{probe}");
}

#[test]
fn hostapd_takes_what_is_written_for_it_and_a_mistake_is_told() {
    let folder = std::env::temp_dir().join(format!("tillgate-router-hostapd-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("wifi"), "open sesame").unwrap();
    let secret = format!("\"wpa2\"\npassphrase_file = \"{}/wifi\"", folder.display());
    let only = format!("\"wpa3\"\npassphrase_file = \"{}/wifi\"", folder.display());
    for (security, channel) in [("\"open\"", 36), ("\"open\"", 6), (&secret, 100), (&only, 149)] {
        let settings = tillgate_network(&folder, security, channel);
        let found = tillgate::network::verify::files(&tillgate::network::render::files(&settings));
        assert_eq!(found, [], "{security} {channel}");
        let mut files = tillgate::network::render::files(&settings);
        files.iter_mut().for_each(|file| file.text.push_str("nonsense=1\n"));
        let found = tillgate::network::verify::files(&files);
        let wrong: Vec<_> = found.iter().map(|f| (f.wrong, f.what.as_str())).collect();
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        assert!(
            wrong[0].0 && wrong[0].1.starts_with("dnsmasq does not take /etc/dnsmasq.d/tillgate.conf: "),
            "{wrong:?}"
        );
        assert!(wrong[1].0 && wrong[1].1.contains("unknown configuration item 'nonsense'"), "{wrong:?}");
        assert!(!format!("{wrong:?}").contains("sesame"));
    }
    std::fs::remove_dir_all(folder).unwrap();
    assert!(Command::new("hostapd").arg("-v").output().is_ok(), "sudo apt-get install hostapd");
}

#[test]
fn only_who_writes_the_radios_file_must_be_able_to_read_the_passphrase() {
    let folder = std::env::temp_dir().join(format!("tillgate-router-nobody-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    super::bed::certificate(&folder);
    let wifi = format!(
        "[network.wifi]\nradio = \"wlan0\"\nssid = \"x\"\ncountry = \"DE\"\nchannel = 6\nsecurity = \"wpa2\"\n\
         passphrase_file = \"{}/wifi\"\n",
        folder.display()
    );
    std::fs::write(folder.join("t.toml"), super::bed::config(&folder, PLAIN, &wifi)).unwrap();
    std::fs::write(folder.join("wifi"), "open sesame").unwrap();
    let (program, secret) = (folder.join("tillgate"), folder.join("wifi").display().to_string());
    super::bed::run("chmod", &["600", &secret]);
    std::fs::copy(env!("CARGO_BIN_EXE_tillgate"), &program).unwrap();
    let as_nobody = |args: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&program).args(args);
        command.arg("--config").arg(folder.join("t.toml")).output().unwrap()
    };
    let checked = as_nobody(&["check"]);
    assert!(checked.status.success(), "{}", said(&checked));
    let shown = as_nobody(&["network", "show"]);
    assert!(shown.status.success() && !said(&shown).contains("sesame"), "{}", said(&shown));
    let applied = as_nobody(&["network", "apply", "--yes", "--root", folder.to_str().unwrap()]);
    assert!(!applied.status.success() && said(&applied).contains("passphrase may not be read"), "{}", said(&applied));
    assert!(!folder.join("etc").exists());
    std::fs::remove_dir_all(folder).unwrap();
}

fn tillgate_network(folder: &std::path::Path, security: &str, channel: u8) -> tillgate::network::NetworkSettings {
    super::bed::certificate(folder);
    let wifi = format!(
        "[network.wifi]\nradio = \"wlan0\"\nssid = 'Joe \"the\" #1 Café'\ncountry = \"DE\"\nchannel = {channel}\nsecurity = {security}\n"
    );
    let text = super::bed::config(folder, PLAIN, &wifi);
    tillgate::config::Config::parse(std::path::Path::new("t"), &text).unwrap().network.unwrap()
}
