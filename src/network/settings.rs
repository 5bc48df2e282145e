//! What the network of a shop looks like, as types in which nothing impossible can stand. Reads no file.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Where the helper that changes the firewall listens unless the configuration says otherwise.
pub const HELPER: &str = "/run/tillgate-netd/netd.sock";
/// Networks that are nobody's on the internet: by default no guest reaches them.
pub const PRIVATE: [&str; 7] =
    ["10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fe80::/10"];

/// The whole of `[network]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// The guests' own network. The box is its router; the firewall is on its bridge.
    pub guests: Guests,
    /// The box's own radio, a port of the guests' bridge. Absent where access points of others hang on `guests.ports`.
    pub radio: Option<Radio>,
    /// The way to the internet.
    pub uplink: Uplink,
    /// The shop's own networks.
    pub shop: ShopSide,
    /// Where on this box the portal is.
    pub portal: PortalPlace,
    /// What a paying phone reaches.
    pub paying: Paying,
    /// How much one phone, and all of them, may take.
    pub limits: PhoneLimits,
    /// The Unix socket of the helper that changes the firewall.
    pub helper: PathBuf,
}

/// The guests' network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guests {
    /// The bridge that all guests are behind.
    pub bridge: Link,
    /// What hangs on the bridge by cable: access points of others. May be empty if there is a radio.
    pub ports: Vec<Port>,
    /// The box's own address in it, and how long its prefix is: 16 to 29 bits.
    pub address: Ipv4Net,
    /// First and last address for phones; within the subnet, without the box's own.
    pub pool: (Ipv4Addr, Ipv4Addr),
    /// How long a phone keeps its address: 2 minutes to a day.
    pub lease: Duration,
    /// The box's own address by version 6, a /64. `None`: guests have no version 6 at all.
    pub ipv6: Option<Ipv6Net>,
}

impl Guests {
    /// The guests' subnet.
    pub fn subnet(&self) -> Ipv4Net {
        self.address.trunc()
    }
}

/// Something that carries frames into the bridge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// A whole network card.
    Whole(Link),
    /// One VLAN of a card, 1 to 4094. Its interface is `CARD.NUMBER`.
    Vlan(Link, u16),
}

impl Port {
    /// The interface that is put into the bridge.
    pub fn name(&self) -> String {
        match self {
            Port::Whole(card) => card.to_string(),
            Port::Vlan(card, number) => format!("{card}.{number}"),
        }
    }

    /// The card that it needs.
    pub fn card(&self) -> &Link {
        match self {
            Port::Whole(card) | Port::Vlan(card, _) => card,
        }
    }
}

/// The box's own radio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radio {
    /// Its interface.
    pub link: Link,
    /// The name that phones see; 1 to 32 bytes.
    pub ssid: String,
    /// Two capital letters of ISO 3166: whose laws of radio hold.
    pub country: String,
    /// Where it sends.
    pub channel: Channel,
    /// How phones join.
    pub security: Security,
}

/// A channel that is allowed somewhere. 0 (chosen by itself) is not offered: few radios can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// 2.4 GHz, 1 to 13.
    Low(u8),
    /// 5 GHz, 36 to 165, in steps of 4.
    High(u8),
}

impl Channel {
    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Channel::Low(number) | Channel::High(number) => number,
        }
    }
}

/// How phones join the Wi-Fi.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Without a passphrase; encrypted all the same for phones that know OWE.
    Open,
    /// With a passphrase, which hangs in the shop.
    Passphrase {
        /// What it is. `None`: this process may not read it, and needs it only to write the radio's file.
        passphrase: Option<Passphrase>,
        /// Whether phones that know no WPA3 may join, too.
        wpa2: bool,
    },
}

/// 8 to 63 printable ASCII characters. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(String);

impl Passphrase {
    /// `None` if it cannot be one.
    pub fn new(text: &str) -> Option<Passphrase> {
        let sound = (8..=63).contains(&text.len()) && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        sound.then(|| Passphrase(text.to_owned()))
    }

    /// For the file that hostapd reads, and for nothing else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

/// The way to the internet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// The interface.
    pub link: Link,
    /// Where its address comes from.
    pub address: UplinkAddress,
    /// Whom our resolver asks. Empty: whom the uplink's DHCP names.
    pub resolvers: Vec<IpAddr>,
}

/// Where the uplink's address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UplinkAddress {
    /// From the network that it hangs on.
    Dhcp,
    /// From the configuration.
    Fixed {
        /// The address, with its prefix.
        address: Ipv4Net,
        /// The next router, on the same network.
        gateway: Ipv4Addr,
    },
}

/// The shop's own side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShopSide {
    /// The interfaces at which tills and staff are: there the box announces itself. By default the uplink.
    pub links: Vec<Link>,
    /// What no guest reaches, whichever way it lies. By default [`PRIVATE`].
    pub networks: Vec<IpNet>,
    /// What the box is called there, as `NAME.local`: one label.
    pub name: String,
}

/// Where on this box the portal is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalPlace {
    /// The name that phones know it by. `None`: it is known by its address only.
    pub name: Option<Name>,
    /// The port of its pages without TLS: what strangers say to port 80 of any host is turned to it.
    pub http: u16,
    /// The port of its pages with TLS. Only where there is a certificate for `name`; phones are told of the portal by
    /// DHCP and router advertisements then, and only then.
    pub https: Option<u16>,
}

impl PortalPlace {
    /// The address of the captive-portal API (RFC 8908), if it may be offered: https, by name.
    pub fn api(&self) -> Option<String> {
        match (&self.name, self.https) {
            (Some(name), Some(443)) => Some(format!("https://{name}{}", Self::API_PATH)),
            (Some(name), Some(port)) => Some(format!("https://{name}:{port}{}", Self::API_PATH)),
            (_, None) | (None, _) => None,
        }
    }

    /// Where the API is on the portal.
    pub const API_PATH: &str = "/capport";
}

/// What a phone reaches between its permit and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paying {
    /// Port 443 of any host that is not the shop's: the pages of banks cannot be listed.
    Window(Window),
    /// Port 443 of these hosts and of what stands below them, as found by the phone's own look-ups. At least one.
    Hosts(Vec<Name>),
}

/// How far a pay window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// For how long at most.
    pub longest: Duration,
    /// For how many bytes, both ways together.
    pub bytes_max: u64,
    /// How many of them each second.
    pub bytes_per_sec: u64,
}

/// How much phones may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhoneLimits {
    /// Phones that can be let through at once, and leases.
    pub phones_max: u32,
    /// For how long a phone can be let through at once at most.
    pub reach_longest: Duration,
    /// For how long a phone reaches the internet once it has paid and seen its receipt; zero: it does not.
    pub online: Duration,
    /// New connections of one phone to the portal each second.
    pub connections_per_sec: u32,
    /// Look-ups of names by one phone each second.
    pub lookups_per_sec: u32,
    /// What one phone that is let through moves each second, each way. `None`: as much as there is.
    pub bytes_per_sec: Option<u64>,
}

impl Default for PhoneLimits {
    fn default() -> PhoneLimits {
        PhoneLimits {
            phones_max: 1_000,
            reach_longest: Duration::from_secs(86_400),
            online: Duration::from_secs(600),
            connections_per_sec: 50,
            lookups_per_sec: 50,
            bytes_per_sec: None,
        }
    }
}

impl Default for Window {
    fn default() -> Window {
        Window { longest: Duration::from_secs(600), bytes_max: 32 << 20, bytes_per_sec: 1 << 20 }
    }
}

/// The name of a network interface: 1 to 15 bytes that are safe in every file and command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link(String);

impl Link {
    /// `None` if no interface can have that name, or none should.
    pub fn new(name: &str) -> Option<Link> {
        let sound = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        (first && name.len() <= 15 && name.bytes().all(sound)).then(|| Link(name.to_owned()))
    }

    /// What the guests' bridge is called unless the configuration says otherwise.
    pub fn guests() -> Link {
        Link("guests".to_owned())
    }

    /// As the system writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name in the DNS: lower case, at least two labels of letters, digits and inner hyphens, without a dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// `None` if it cannot be one. Capitals are made small.
    pub fn new(text: &str) -> Option<Name> {
        let label = |l: &str| {
            (1..=63).contains(&l.len())
                && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !l.starts_with('-')
                && !l.ends_with('-')
        };
        let last_is_a_word = text.rsplit('.').next().is_some_and(|l| !l.bytes().all(|b| b.is_ascii_digit()));
        let sound = text.len() <= 253 && text.contains('.') && last_is_a_word && text.split('.').all(label);
        sound.then(|| Name(text.to_ascii_lowercase()))
    }

    /// As written in files.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The firewall's one table, of family `inet`.
pub const TABLE: &str = "tillgate";
/// The sets of hosts that paying phones may reach, filled by the resolver: by version 4, and by version 6.
pub const GARDEN: [&str; 2] = ["garden4", "garden6"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_and_hosts_are_safe_in_every_file_and_command() {
        for name in ["eth0", "enp0s31f6", "wlx00c0ca123456", "eth0.20", "br-guests", "a_b"] {
            assert!(Link::new(name).is_some(), "{name}");
        }
        for name in ["", ".", "..", "-a", "0a", "a b", "a/b", "a\nb", "a;b", "a#b", "a\"b", "ä", "sixteen-letters-"] {
            assert!(Link::new(name).is_none(), "{name:?}");
        }
        for name in ["pay.example", "a-b.c1.example", "xn--caf-dma.example", "1.2.3.example"] {
            assert_eq!(Name::new(name).unwrap().as_str(), name);
        }
        for name in [
            "", "pay", "pay.", ".pay", "a..b", "-a.b", "a-.b", "a b.c", "a/b.c", "a#b.c", "a,b.c", "a\n.b", "1.2.3.4",
            "é.b",
        ] {
            assert!(Name::new(name).is_none(), "{name:?}");
        }
        assert!(Name::new(&format!("{}.example", "a".repeat(63))).is_some());
        assert!(Name::new(&format!("{}.example", "a".repeat(64))).is_none());
        assert!(Name::new(&"a.".repeat(127)).is_none());
    }

    #[test]
    fn a_passphrase_is_what_every_phone_can_type_and_is_not_shown() {
        for text in ["12345678", &"x".repeat(63), " a b c d ", "#;\"'\\=~{}"] {
            let passphrase = Passphrase::new(text).unwrap();
            assert_eq!((passphrase.reveal(), format!("{passphrase:?}").as_str()), (text, "Passphrase(..)"));
        }
        for text in ["1234567", &"x".repeat(64), "with\nline", "with\ttab", "with\0nul", "smörgåsbord"] {
            assert!(Passphrase::new(text).is_none(), "{text:?}");
        }
    }
}
