//! Looks for what is wrong before it is in force: asks the programs that will read the files, and the machine. Changes
//! nothing.

use super::render::{Reader, Wanted};
use super::settings::{Channel, NetworkSettings, Radio, Security, UplinkAddress};
use ipnet::IpNet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Something wrong, or odd, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// True: it cannot work. False: it may be right.
    pub wrong: bool,
    /// What was found.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

fn fault(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { wrong: true, what: what.into(), fix: fix.into() }
}

fn odd(what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { wrong: false, what: what.into(), fix: fix.into() }
}

/// Everything: the files, and whether this machine can be what they say.
pub fn check(settings: &NetworkSettings, wanted: &[Wanted]) -> Vec<Finding> {
    let mut found = before_writing(settings, wanted);
    found.extend(links(settings));
    found.extend(overlaps(settings, &addresses()));
    found.extend(settings.radio.iter().flat_map(radio));
    found.extend(others(settings));
    found
}

/// What would make the files useless: a passphrase that we may not read, and what the programs say that will read them.
pub fn before_writing(settings: &NetworkSettings, wanted: &[Wanted]) -> Vec<Finding> {
    let radio = settings.radio.as_ref();
    let unread = radio.is_some_and(|radio| matches!(radio.security, Security::Passphrase { passphrase: None, .. }));
    match unread {
        true => vec![fault("the Wi-Fi's passphrase may not be read", "do this as root: sudo tillgate network ..")],
        false => files(wanted),
    }
}

/// What the programs say that will read the files. A program that is not there is odd, but not wrong: an image may be
/// made elsewhere.
pub fn files(wanted: &[Wanted]) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in wanted {
        found.extend(match file.reader {
            Reader::Dnsmasq => by_dnsmasq(file),
            Reader::Hostapd => by_hostapd(file),
            Reader::Sysctl | Reader::Networkd | Reader::Chrony => Vec::new(),
        });
    }
    found
}

fn by_dnsmasq(file: &Wanted) -> Vec<Finding> {
    let copy = match Copy::of(&file.text) {
        Ok(copy) => copy,
        Err(cause) => return vec![fault(format!("no temporary file: {cause}"), "make room in the temporary folder")],
    };
    let conf = format!("--conf-file={}", copy.0.display());
    match output("dnsmasq", &["--test", &conf]) {
        Ok(said) if said.status.success() => Vec::new(),
        Ok(said) => {
            let words = String::from_utf8_lossy(&said.stderr).replace(&copy.0.display().to_string(), "it");
            vec![fault(format!("dnsmasq does not take /{}: {}", file.path.display(), words.trim()), TOO_OLD)]
        }
        Err(cause) => vec![absent("dnsmasq", &cause, "dnsmasq")],
    }
}

const TOO_OLD: &str = "dnsmasq 2.90 and hostapd 2.10 or newer are needed: use Debian 12 or newer";

/// hostapd has no test of its own. With the driver `none` it touches no radio, and a second file that is not there ends
/// it when it has read the first.
fn by_hostapd(file: &Wanted) -> Vec<Finding> {
    let tried: String = file.text.replace("driver=nl80211", "driver=none");
    let copy = match Copy::of(&tried) {
        Ok(copy) => copy,
        Err(cause) => return vec![fault(format!("no temporary file: {cause}"), "make room in the temporary folder")],
    };
    let missing = copy.0.with_extension("missing");
    let args = [copy.0.display().to_string(), missing.display().to_string()];
    match output("hostapd", &args.each_ref().map(String::as_str)) {
        Ok(said) => {
            let words = String::from_utf8_lossy(&said.stdout).into_owned();
            let complaint = |line: &&str| {
                line.starts_with("Line ")
                    || line.contains("errors found")
                    || line.contains("Invalid")
                    || line.contains("not configured")
            };
            let all: Vec<&str> = words.lines().filter(complaint).filter(|l| !l.contains(".missing")).collect();
            if all.is_empty() {
                return Vec::new();
            }
            let what = all.join("; ").replace(&copy.0.display().to_string(), "it");
            vec![fault(format!("hostapd does not take /{}: {what}", file.path.display()), TOO_OLD)]
        }
        Err(cause) => vec![absent("hostapd", &cause, "hostapd")],
    }
}

fn absent(program: &str, cause: &io::Error, package: &str) -> Finding {
    odd(format!("{program} cannot be run here: {cause}"), format!("apt install {package}"))
}

fn output(program: &str, args: &[&str]) -> io::Result<Output> {
    let run = |path: &str| Command::new(path).args(args).stdin(Stdio::null()).output();
    match run(program) {
        // People without root's path have these programs all the same.
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => run(&format!("/usr/sbin/{program}")),
        said => said,
    }
}

/// A file that only we can read and that goes when dropped.
struct Copy(PathBuf);

impl Copy {
    fn of(text: &str) -> io::Result<Copy> {
        use std::os::unix::fs::OpenOptionsExt;
        use std::sync::atomic::{AtomicU32, Ordering};
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let number = COPIES.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tillgate-check-{}-{number}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let copy = Copy(path);
        file.write_all(text.as_bytes())?;
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn is_there(link: &str) -> bool {
    Path::new("/sys/class/net").join(link).exists()
}

fn links(settings: &NetworkSettings) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut needed: Vec<(&str, String)> = vec![("the uplink", settings.uplink.link.to_string())];
    needed.extend(settings.guests.ports.iter().map(|port| ("a port for guests", port.card().to_string())));
    needed.extend(settings.radio.iter().map(|radio| ("the radio", radio.link.to_string())));
    for (is, link) in needed {
        if !is_there(&link) {
            found
                .push(fault(format!("{is}, {link}, is not on this machine"), "look for its name with: ip -brief link"));
        }
    }
    found
}

/// The machine's addresses with their interfaces, as `ip` lists them.
fn addresses() -> Vec<(String, IpNet)> {
    let Ok(said) = output("ip", &["-oneline", "address", "show"]) else { return Vec::new() };
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.lines().filter_map(address).collect()
}

/// `2: eth0    inet 192.0.2.7/24 brd ...`
fn address(line: &str) -> Option<(String, IpNet)> {
    let mut words = line.split_whitespace().skip(1);
    let link = words.next()?.to_owned();
    let net = words.nth(1)?;
    let net = if net.contains('/') { net.to_owned() } else { format!("{net}/32") };
    Some((link, net.parse().ok()?))
}

fn overlaps(settings: &NetworkSettings, here: &[(String, IpNet)]) -> Vec<Finding> {
    let guests = IpNet::V4(settings.guests.subnet());
    let mut found = Vec::new();
    for (link, net) in here.iter().filter(|(link, _)| *link != settings.guests.bridge.as_str()) {
        let meets = guests.contains(&net.addr()) || net.contains(&guests.addr());
        if meets {
            let what = format!("the guests' network {guests} overlaps {}, which {link} has now", net.trunc());
            found.push(fault(what, "give the guests another network, such as \"192.168.51.1/24\""));
        }
    }
    let uplink = settings.uplink.link.as_str();
    let has = here.iter().any(|(link, net)| link == uplink && matches!(net, IpNet::V4(_)));
    if !has && settings.uplink.address == UplinkAddress::Dhcp && is_there(uplink) {
        let what = format!("{uplink} has no address: there is no way to the internet now");
        found.push(odd(what, "plug the cable in; a DHCP server must answer there, or write uplink_address"));
    }
    found
}

/// What the radio itself says it can, if `iw` is there to ask.
fn radio(radio: &Radio) -> Vec<Finding> {
    let link = radio.link.as_str();
    let Ok(number) = fs::read_to_string(format!("/sys/class/net/{link}/phy80211/index")) else {
        return if is_there(link) {
            vec![fault(format!("{link} is no radio"), "look for its name with: iw dev")]
        } else {
            Vec::new()
        };
    };
    match output("iw", &["phy", &format!("phy{}", number.trim()), "info"]) {
        Ok(said) => radio_can(radio, &String::from_utf8_lossy(&said.stdout)),
        Err(cause) => vec![absent("iw", &cause, "iw")],
    }
}

/// `said`: what `iw phy PHY info` prints.
fn radio_can(radio: &Radio, said: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    if !said.lines().any(|line| line.trim() == "* AP") {
        let what = format!("{} cannot be an access point", radio.link);
        found.push(fault(what, "use another radio, or an access point on a port"));
    }
    let number = radio.channel.number();
    let here = format!("[{number}]");
    let band = match radio.channel {
        Channel::Low(_) => " 24",
        Channel::High(_) => " 5",
    };
    let line = said.lines().find(|line| line.contains(&here) && line.contains(band));
    match line {
        None => found.push(fault(format!("{} has no channel {number}", radio.link), "iw phy says which it has")),
        Some(line) if line.contains("disabled") => {
            let what = format!("channel {number} is not allowed in the country that {} is set to now", radio.link);
            found.push(odd(what, format!("iw reg set {}, then look again; or take another channel", radio.country)));
        }
        Some(line) if line.contains("no IR") => {
            let what = format!("on channel {number} {} may not send first", radio.link);
            found.push(fault(what, "take another channel: 1, 6, 11, 36, 40, 44 or 48"));
        }
        Some(_) => {}
    }
    found
}

/// Other programs that would take the same things in hand.
fn others(settings: &NetworkSettings) -> Vec<Finding> {
    let mut found = Vec::new();
    let taken = fs::read_to_string("/etc/network/interfaces").unwrap_or_default();
    let ours = |name: &str| {
        name == settings.uplink.link.as_str() || settings.guests.ports.iter().any(|port| port.card().as_str() == name)
    };
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for line in taken.lines().map(words).filter(|words| words.first().is_some_and(|word| word == "iface")) {
        if let Some(name) = line.get(1).filter(|name| ours(name)) {
            let what = format!("{name} is configured in /etc/network/interfaces as well");
            found.push(odd(what, "take it out there: two programs would each set it up"));
        }
    }
    if Path::new("/run/NetworkManager").exists() {
        let what = "NetworkManager runs here as well";
        found.push(odd(what, "let it leave our interfaces alone: unmanaged-devices in its configuration"));
    }
    if settings.uplink.resolvers.is_empty() && !Path::new("/lib/systemd/systemd-resolved").exists() {
        let what = "whom to ask for names comes from the uplink, but systemd-resolved, which notes it, is not here";
        found.push(odd(what, "apt install systemd-resolved, or write resolvers = [\"9.9.9.9\"]"));
    }
    found.extend(two_senders(&fs::read_to_string("/etc/dnsmasq.d/tillgate.conf").unwrap_or_default()));
    found
}

/// dnsmasq as we configured it before `tillgate advertise` was there.
fn two_senders(conf: &str) -> Option<Finding> {
    let what = "dnsmasq advertises a router by version 6 as well, and does not name the portal: its file is of an older version";
    let fix = "sudo tillgate network apply --config ..; sudo systemctl restart dnsmasq";
    conf.lines().any(|line| line == "enable-ra").then(|| odd(what, fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::settings::Link;

    const PHY: &str = "\tSupported interface modes:\n\t\t * managed\n\t\t * AP\n\t\tFrequencies:\n\
                       \t\t\t* 2412 MHz [1] (20.0 dBm)\n\t\t\t* 2467 MHz [12] (disabled)\n\
                       \t\t\t* 5180 MHz [36] (20.0 dBm) (no IR)\n\t\t\t* 5200 MHz [40] (20.0 dBm)\n";

    fn found(channel: Channel, said: &str) -> Vec<String> {
        let radio = Radio {
            link: Link::new("wlan0").unwrap(),
            ssid: "x".into(),
            country: "DE".into(),
            channel,
            security: Security::Open,
        };
        radio_can(&radio, said).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn a_file_of_dnsmasq_that_advertises_as_well_is_told() {
        for (conf, told) in [("", false), ("# enable-ra\n", false), ("interface=guests\nenable-ra\n", true)] {
            assert_eq!(two_senders(conf).is_some(), told, "{conf:?}");
        }
        for file in crate::network::render::files(&crate::network::render::example()) {
            assert_eq!(two_senders(&file.text), None);
        }
    }

    #[test]
    fn a_radio_is_asked_for_its_channels() {
        assert!(found(Channel::Low(1), PHY).is_empty());
        assert!(found(Channel::High(40), PHY).is_empty());
        assert!(found(Channel::Low(12), PHY)[0].contains("not allowed"));
        assert!(found(Channel::High(36), PHY)[0].contains("may not send first"));
        assert!(found(Channel::High(44), PHY)[0].contains("no channel 44"));
        assert!(found(Channel::Low(1), &PHY.replace("* AP", "* monitor"))[0].contains("cannot be an access point"));
    }

    #[test]
    fn without_the_passphrase_no_file_is_good_enough() {
        let mut settings = crate::network::render::example();
        let radio = settings.radio.as_mut().unwrap();
        radio.security = Security::Passphrase { passphrase: None, wpa2: true };
        let found = before_writing(&settings, &crate::network::render::files(&settings));
        assert!(found.len() == 1 && found[0].wrong && found[0].what.contains("passphrase"), "{found:?}");
    }

    #[test]
    fn a_network_that_the_machine_has_already_on_another_side_is_found() {
        let text = "192.168.50.1/24";
        let here = |link: &str, net: &str| vec![(link.to_owned(), net.parse::<IpNet>().unwrap())];
        let settings = crate::network::render::example();
        assert_eq!(settings.guests.address.to_string(), text);
        for (link, net, wrong) in [
            ("eth0", "192.168.50.7/24", 1),
            ("eth0", "192.168.0.7/16", 1),
            ("eth0", "192.168.50.200/32", 1),
            ("guests", "192.168.50.1/24", 0),
            ("eth0", "192.168.51.7/24", 0),
            ("eth0", "fd00::1/64", 0),
        ] {
            let found = overlaps(&settings, &here(link, net));
            let faults: Vec<_> = found.iter().filter(|finding| finding.wrong).collect();
            assert_eq!(faults.len(), wrong, "{link} {net}: {found:?}");
        }
    }

    #[test]
    fn addresses_are_read_as_ip_lists_them() {
        let line = "2: eth0    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0";
        assert_eq!(address(line), Some(("eth0".to_owned(), "192.0.2.7/24".parse().unwrap())));
        let peer = "3: tun0    inet 10.0.0.1 peer 10.0.0.2/32 scope global tun0";
        assert_eq!(address(peer), Some(("tun0".to_owned(), "10.0.0.1/32".parse().unwrap())));
        assert_eq!(address("garbage"), None);
    }
}
