//! What this machine has and where it stands: network interfaces, serial ports, language and country. Changes nothing,
//! opens no port and sends nothing.

use crate::config::LANGUAGES;
use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    /// Whether it is a radio.
    pub(super) radio: bool,
    /// Whether a cable is in, or a network was joined; not known while it is off.
    pub(super) carrier: Option<bool>,
}

/// What can be seen of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// One of ours.
    pub(super) language: String,
    /// Two letters of ISO 3166, if it says where it stands.
    pub(super) country: Option<String>,
    /// Without those that programs have made.
    pub(super) interfaces: Vec<Interface>,
    /// The interface on the way to the internet, if there is one now.
    pub(super) uplink: Option<String>,
    /// The address there.
    pub(super) address: Option<Ipv4Addr>,
}

/// One serial port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SerialPort {
    /// The name that stays, to be written.
    pub(super) name: PathBuf,
    /// The device behind it now.
    pub(super) device: PathBuf,
}

impl Facts {
    /// Looks.
    pub(super) fn of_this_machine() -> Facts {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| std::env::var(name).ok());
        let locale = locale.filter(|locale| locale.contains('_')).or_else(system_locale).unwrap_or_default();
        let country = country_of(&locale).or_else(|| country_of_zone(Path::new("/")));
        let interfaces = interfaces(Path::new("/sys/class/net"));
        let uplink = fs::read_to_string("/proc/net/route").ok().and_then(|routes| uplink(&routes));
        Facts { language: language_of(&locale), country, interfaces, uplink, address: address() }
    }

    /// The radio that it has, if it has one.
    pub(super) fn radio(&self) -> Option<&Interface> {
        self.interfaces.iter().find(|one| one.radio)
    }

    /// What customers' access points can hang on: any cable that is not the way to the internet.
    pub(super) fn for_guests(&self, uplink: &str) -> Vec<&Interface> {
        self.interfaces.iter().filter(|one| !one.radio && one.name != uplink).collect()
    }

    /// The currency of the country.
    pub(super) fn currency(&self) -> &'static str {
        self.country.as_deref().map_or("EUR", currency_of)
    }
}

/// `LANG="de_DE.UTF-8"`, as Debian keeps it for those who log in.
fn system_locale() -> Option<String> {
    let text = fs::read_to_string("/etc/default/locale").ok()?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("LANG="))?;
    Some(line.trim_matches(['"', '\'']).to_owned())
}

/// `de_CH.UTF-8` is German.
fn language_of(locale: &str) -> String {
    let short = locale.split(['_', '.', '@']).next().unwrap_or_default();
    let same = |ours: &&str| ours.split('-').next() == Some(short);
    LANGUAGES.into_iter().find(|ours| same(ours)).unwrap_or("en").to_owned()
}

/// `de_CH.UTF-8` is Switzerland.
fn country_of(locale: &str) -> Option<String> {
    let rest = locale.split_once('_')?.1;
    let code = rest.split(['.', '@']).next().unwrap_or_default();
    (code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase())).then(|| code.to_owned())
}

/// The country of the machine's time zone, by the list that comes with the zones.
fn country_of_zone(root: &Path) -> Option<String> {
    let zone = fs::read_link(root.join("etc/localtime")).ok()?;
    let zone = zone.to_str()?.split_once("zoneinfo/")?.1.to_owned();
    let list = fs::read_to_string(root.join("usr/share/zoneinfo/zone.tab")).ok()?;
    let mut rows = list.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t'));
    rows.find_map(|mut row| {
        let code = row.next()?;
        (row.nth(1)? == zone).then(|| code.to_owned())
    })
}

/// ISO 4217 by ISO 3166. Who is not here gets a wrong default and is asked.
fn currency_of(country: &str) -> &'static str {
    match country {
        "GB" => "GBP",
        "US" => "USD",
        "CH" | "LI" => "CHF",
        "CN" => "CNY",
        "HK" => "HKD",
        "TW" => "TWD",
        "SG" => "SGD",
        "JP" => "JPY",
        "SE" => "SEK",
        "DK" => "DKK",
        "NO" => "NOK",
        "PL" => "PLN",
        "CZ" => "CZK",
        "HU" => "HUF",
        "RO" => "RON",
        "CA" => "CAD",
        "AU" => "AUD",
        "NZ" => "NZD",
        "MX" => "MXN",
        "AE" => "AED",
        "SA" => "SAR",
        "MA" => "MAD",
        "EG" => "EGP",
        "TN" => "TND",
        _ => "EUR",
    }
}

/// Made by programs, none of them a socket that a cable goes into.
const MADE: &[&str] = &["lo", "ifb", "dummy", "veth", "docker", "br-", "virbr", "tun", "tap", "wg", "sit", "guests"];

fn interfaces(class: &Path) -> Vec<Interface> {
    let names = fs::read_dir(class).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| !MADE.iter().any(|made| name.starts_with(made))).collect();
    names.retain(|name| !class.join(name).join("bridge").exists());
    names.sort();
    let of = |name: String| {
        let folder = class.join(&name);
        let carrier = fs::read_to_string(folder.join("carrier")).ok().map(|word| word.trim() == "1");
        Interface { radio: folder.join("phy80211").exists(), carrier, name }
    };
    names.into_iter().map(of).collect()
}

/// `routes`: what `/proc/net/route` says. The way with the lowest metric to everywhere.
fn uplink(routes: &str) -> Option<String> {
    let rows = routes.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let everywhere = rows.filter(|row| row.get(1) == Some(&"00000000") && row.get(7) == Some(&"00000000"));
    let metric = |row: &Vec<&str>| row.get(6).and_then(|n| n.parse::<u32>().ok()).unwrap_or(u32::MAX);
    everywhere.min_by_key(metric).and_then(|row| row.first().map(|name| (*name).to_owned()))
}

/// Our address on the way to the internet. Connecting a datagram socket sends nothing.
fn address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // An address of documentation (RFC 5737): nobody has it, and the way there is the way to everywhere.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    match socket.local_addr().ok()?.ip() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

/// The serial ports, each under the best name that it has: by its adapter, else by its socket, else its device.
pub(super) fn serial_ports() -> Vec<SerialPort> {
    serial_ports_below(Path::new("/"))
}

fn serial_ports_below(root: &Path) -> Vec<SerialPort> {
    let mut ports: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for folder in ["dev/serial/by-id", "dev/serial/by-path"] {
        let mut names: Vec<PathBuf> =
            fs::read_dir(root.join(folder)).into_iter().flatten().flatten().map(|e| e.path()).collect();
        names.sort();
        for name in names {
            if let Ok(device) = fs::canonicalize(&name) {
                ports.entry(device).or_insert(name);
            }
        }
    }
    let console = fs::read_to_string(root.join("sys/class/tty/console/active")).unwrap_or_default();
    let class = root.join("sys/class/tty");
    for name in fs::read_dir(&class).into_iter().flatten().flatten().filter_map(|e| e.file_name().into_string().ok()) {
        if is_built_in(&class, &name) && !console.split_whitespace().any(|word| word == name) {
            let device = root.join("dev").join(&name);
            if device.exists() {
                ports.entry(device.clone()).or_insert(device);
            }
        }
    }
    let mut ports: Vec<SerialPort> = ports.into_iter().map(|(device, name)| SerialPort { name, device }).collect();
    ports.sort_by(|a, b| a.name.cmp(&b.name));
    ports
}

/// A port of the board: `ttyS0` with something behind it (the kernel has names in store), `ttyAMA0` of a Raspberry Pi.
fn is_built_in(class: &Path, name: &str) -> bool {
    let kind = || fs::read_to_string(class.join(name).join("type")).unwrap_or_default();
    match name.strip_prefix("ttyS") {
        Some(number) => number.bytes().all(|b| b.is_ascii_digit()) && !matches!(kind().trim(), "" | "0"),
        None => name.starts_with("ttyAMA"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_locale_names_language_country_and_currency() {
        for (locale, language, country, currency) in [
            ("de_CH.UTF-8", "de", Some("CH"), "CHF"),
            ("fr_FR@euro", "fr", Some("FR"), "EUR"),
            ("zh_CN", "zh-Hans", Some("CN"), "CNY"),
            ("nl_NL.UTF-8", "en", Some("NL"), "EUR"),
            ("C.UTF-8", "en", None, "EUR"),
            ("", "en", None, "EUR"),
        ] {
            let facts = Facts { country: country_of(locale), ..Facts::default() };
            assert_eq!(language_of(locale), language, "{locale}");
            assert_eq!((facts.country.as_deref(), facts.currency()), (country, currency), "{locale}");
        }
    }

    #[test]
    fn the_uplink_is_the_best_way_to_everywhere() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
                      wlan0\t00000000\t0100A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
                      eth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
                      eth1\t0032A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(uplink(routes), Some("eth0".to_owned()));
        assert_eq!(uplink(""), None);
    }

    #[test]
    fn a_port_has_the_name_of_its_adapter_else_of_its_socket_else_of_its_device() {
        let root = std::env::temp_dir().join(format!("tillgate-machine-{}", std::process::id()));
        let make = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for device in ["ttyUSB0", "ttyUSB1", "ttyS0", "ttyS1", "ttyAMA0"] {
            make(&format!("dev/{device}"), "");
        }
        make("sys/class/tty/ttyS0/type", "4\n");
        make("sys/class/tty/ttyS1/type", "0\n");
        make("sys/class/tty/ttyAMA0/type", "32\n");
        make("sys/class/tty/console/active", "tty0 ttyAMA0\n");
        let link = |name: &str, to: &str| {
            let path = root.join("dev/serial").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(root.join("dev").join(to), path).unwrap();
        };
        link("by-id/usb-FTDI_A1-if00-port0", "ttyUSB0");
        link("by-path/usb-0:1.1", "ttyUSB0");
        link("by-path/usb-0:1.2", "ttyUSB1");
        let names: Vec<String> = serial_ports_below(&root)
            .iter()
            .map(|port| port.name.strip_prefix(&root).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["dev/serial/by-id/usb-FTDI_A1-if00-port0", "dev/serial/by-path/usb-0:1.2", "dev/ttyS0"]);
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn what_programs_have_made_is_no_socket() {
        let root = std::env::temp_dir().join(format!("tillgate-net-{}", std::process::id()));
        for name in ["eth0", "lo", "wlan0/phy80211", "veth12", "lan/bridge", "enp3s0"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::write(root.join("eth0/carrier"), "1\n").unwrap();
        let found = interfaces(&root);
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.radio, one.carrier)).collect();
        assert_eq!(names, [("enp3s0", false, None), ("eth0", false, Some(true)), ("wlan0", true, None)]);
        fs::remove_dir_all(root).unwrap();
    }
}
