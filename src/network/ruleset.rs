//! The firewall as text for `nft -f`: the whole table `inet tillgate`, replaced in one transaction. Runs nothing.
//!
//! Strangers reach the portal, the resolver and DHCP of this box and nothing else. Who reaches more stands in sets whose
//! elements the kernel itself lets go of in time. No rule lets "established" connections of phones through as such: who
//! leaves a set is cut off in the middle of a connection. Other interfaces of this box are none of this table's affair.

use super::phone::{Phone, Way};
use super::settings::{GARDEN, NetworkSettings, Paying, TABLE};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

/// What is nobody's on any network that we would forward to.
const NOBODYS: [&str; 6] = ["0.0.0.0/8", "127.0.0.0/8", "192.0.0.0/24", "224.0.0.0/3", "::/8", "ff00::/8"];
/// Connections at once of one phone that is let through.
const FLOWS_MAX: u32 = 128;
/// DHCP requests each second, of all phones together.
const LEASES_A_SECOND: u32 = 100;
/// DHCP requests of one hardware address: two for each time that a phone joins. In an hour one phone that calls itself
/// many can so take no more than about half of a /24.
const LEASES_A_MINUTE: u32 = 2;
const LEASES_AT_ONCE: u32 = 20;
/// As long as it takes until one may have as many at once again.
const LEASES_COUNTED_MINUTES: u32 = LEASES_AT_ONCE / LEASES_A_MINUTE;
/// Hardware addresses that are counted at a time.
const STATIONS_MAX: u32 = 65_535;
/// What one phone says to the resolver by TCP, and is answered in whatever way: names are small, and whatever is large is
/// carried through them.
const ASKED_BYTES_A_SECOND: u32 = 4_096;
const ASKED_BYTES_AT_ONCE: u32 = 16_384;
const ANSWERED_BYTES_A_SECOND: u32 = 32_768;
/// Addresses of the platform's hosts that are remembered. Each is kept while it is used, and an hour.
const GARDEN_MAX: u32 = 4_096;
/// As large as the kernel puts packets together.
const PACKET_BYTES_MAX: u32 = 65_536;
/// So long the path back by version 6 outlives the phone's last packet.
const BACK6_SECS: u32 = 30;

/// A phone that the table lets through from the beginning, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Let {
    /// Whom.
    pub phone: Phone,
    /// How far.
    pub way: Way,
    /// For how long.
    pub ms: u64,
}

/// The names of the sets that a phone stands in. `both`: keyed by hardware address and address; `moved`: by address, for the
/// way back, and with what may still be moved; `six`: by hardware address, for version 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets {
    /// `ether_addr . ipv4_addr`
    pub both: &'static str,
    /// `ipv4_addr`
    pub moved: &'static str,
    /// `ether_addr`
    pub six: &'static str,
}

impl Sets {
    /// Those of a way.
    pub fn of(way: Way) -> Sets {
        match way {
            Way::Paying => Sets { both: "paying4", moved: "paying4_back", six: "paying6" },
            Way::Online => Sets { both: "online4", moved: "online4_back", six: "online6" },
        }
    }
}

/// The table that lets nobody anywhere: for the time before the network is up. It needs to know no more than the bridge.
pub fn closed(bridge: &str) -> String {
    format!(
        "table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
	chain guests_in {{
		type filter hook input priority filter; policy accept;
		iifname \"{bridge}\" drop
	}}
	chain guests_through {{
		type filter hook forward priority filter; policy accept;
		iifname \"{bridge}\" drop
		oifname \"{bridge}\" drop
	}}
}}
"
    )
}

/// The table, with these phones let through and these hosts in reach where only hosts are: the resolver names a host once
/// and then has it by heart.
pub fn open(settings: &NetworkSettings, phones: &[Let], garden: &BTreeSet<IpAddr>) -> String {
    let rules = Rules::new(settings);
    let mut text = format!("table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n");
    for part in [
        rules.phone_sets(Way::Paying, phones),
        rules.phone_sets(Way::Online, phones),
        rules.other_sets(garden),
        rules.turned(),
        rules.to_the_box(),
        rules.answers(),
        rules.through(),
        rules.up(),
        rules.up_six(),
        rules.back(),
        REFUSE.to_owned(),
        rules.leaving(),
    ] {
        text.push_str(&part);
    }
    text.push_str("}\n");
    text
}

/// At once, so that apps give up instead of waiting. Never to a stranger's forged source: those are dropped before.
const REFUSE: &str = "
	chain refuse {
		meta l4proto tcp reject with tcp reset
		reject with icmpx type admin-prohibited
	}
";

struct Rules<'s> {
    settings: &'s NetworkSettings,
    bridge: &'s str,
    uplink: &'s str,
    subnet: Ipv4Net,
    /// How many addresses there are to be counted by.
    hosts: u32,
    six: Option<Ipv6Net>,
}

impl<'s> Rules<'s> {
    fn new(settings: &'s NetworkSettings) -> Rules<'s> {
        let subnet = settings.guests.subnet();
        let hosts = 1_u32.checked_shl(32_u32.saturating_sub(u32::from(subnet.prefix_len()))).unwrap_or(u32::MAX);
        Rules {
            settings,
            bridge: settings.guests.bridge.as_str(),
            uplink: settings.uplink.link.as_str(),
            subnet,
            hosts,
            six: settings.guests.ipv6,
        }
    }

    fn phone_sets(&self, way: Way, phones: &[Let]) -> String {
        let Sets { both, moved, six } = Sets::of(way);
        // Whoever has gone is counted until the kernel has cleared up.
        let size = self.settings.limits.phones_max.saturating_mul(2);
        let quota = match (way, &self.settings.paying) {
            (Way::Paying, Paying::Window(window)) => format!("\n\t\tquota {} bytes", window.bytes_max),
            (Way::Paying, Paying::Hosts(_)) | (Way::Online, _) => String::new(),
        };
        let of_way = || phones.iter().filter(|one| one.way == way);
        let elements = |key: &dyn Fn(&Phone) -> String| {
            let all: Vec<_> = of_way().map(|one| format!("{} timeout {}", key(&one.phone), span(one.ms))).collect();
            if all.is_empty() { String::new() } else { format!("\n\t\telements = {{ {} }}", all.join(", ")) }
        };
        let set = |name: &str, kind: &str, extra: &str, elements: &str| {
            format!("\tset {name} {{\n\t\ttype {kind}\n\t\tsize {size}\n\t\tflags timeout{extra}{elements}\n\t}}\n")
        };
        let by_both = elements(&|phone| format!("{} . {}", mac(phone.mac), phone.ip));
        let mut text = set(both, "ether_addr . ipv4_addr", "", &by_both);
        text.push_str(&set(moved, "ipv4_addr", &quota, &elements(&|phone| phone.ip.to_string())));
        if self.six.is_some() {
            // One phone may have two addresses of version 4; its hardware address stands here once.
            let mut seen = BTreeMap::new();
            for one in of_way() {
                let ms = seen.entry(one.phone.mac).or_insert(0_u64);
                *ms = one.ms.max(*ms);
            }
            let all: Vec<_> = seen.iter().map(|(of, ms)| format!("{} timeout {}", mac(*of), span(*ms))).collect();
            let by_mac =
                if all.is_empty() { String::new() } else { format!("\n\t\telements = {{ {} }}", all.join(", ")) };
            text.push_str(&set(six, "ether_addr", &quota, &by_mac));
        }
        text
    }

    fn other_sets(&self, garden: &BTreeSet<IpAddr>) -> String {
        let Rules { hosts, .. } = self;
        let mut text = String::new();
        let mut set = |name: &str, rest: &str| {
            let _ = writeln!(text, "\tset {name} {{\n{}\t}}", rest.replace("; ", "\n").replace("- ", "\t\t"));
        };
        let away = self.settings.shop.networks.iter().copied();
        let away = || away.clone().chain(NOBODYS.iter().filter_map(|net| net.parse().ok()));
        let v4 = listed(away().filter(|net| matches!(net, IpNet::V4(_))));
        set("away4", &format!("- type ipv4_addr; - flags interval; - auto-merge; - elements = {{ {v4} }}; "));
        if let Paying::Hosts(_) = self.settings.paying {
            set(GARDEN[0], &grown("ipv4_addr", garden.iter().filter(|ip| ip.is_ipv4())));
        }
        // As many as there are addresses: nobody can fill them up for the others.
        let counted = format!("- type ipv4_addr; - size {hosts}; - flags dynamic,timeout; - timeout 1m; ");
        for name in ["knocks4", "lookups4", "asked4", "answered4", "up4", "down4"] {
            set(name, &counted);
        }
        let minutes = LEASES_COUNTED_MINUTES;
        set(
            "leases",
            &format!("- type ether_addr; - size {STATIONS_MAX}; - flags dynamic,timeout; - timeout {minutes}m; "),
        );
        set("flows4", &format!("- type ipv4_addr; - size {hosts}; - flags dynamic; "));
        if self.six.is_some() {
            let v6 = listed(away().filter(|net| matches!(net, IpNet::V6(_))));
            set("away6", &format!("- type ipv6_addr; - flags interval; - auto-merge; - elements = {{ {v6} }}; "));
            if let Paying::Hosts(_) = self.settings.paying {
                set(GARDEN[1], &grown("ipv6_addr", garden.iter().filter(|ip| ip.is_ipv6())));
            }
            let size = self.settings.limits.phones_max.saturating_mul(8);
            set(
                "back6",
                &format!("- type ipv6_addr; - size {size}; - flags dynamic,timeout; - timeout {BACK6_SECS}s; "),
            );
            // A phone makes itself as many addresses as it likes: it is counted by its hardware address.
            let counted = format!("- type ether_addr; - size {STATIONS_MAX}; - flags dynamic,timeout; - timeout 1m; ");
            for name in ["knocks6", "lookups6", "asked6", "up6"] {
                set(name, &counted);
            }
        }
        text
    }

    /// What strangers say to others and is turned to us: names, and pages without TLS. Port 443 never: nobody would believe
    /// our certificate.
    fn turned(&self) -> String {
        let (Rules { bridge, subnet, .. }, http) = (self, self.settings.portal.http);
        let online = Sets::of(Way::Online);
        let mut who = format!("\t\tiifname \"{bridge}\" ip saddr {subnet} goto turned_guests\n");
        let mut free = format!("\t\tether saddr . ip saddr @{} return\n", online.both);
        if let Some(six) = self.six {
            let _ = writeln!(who, "\t\tiifname \"{bridge}\" ip6 saddr {} goto turned_guests", six.trunc());
            let _ = writeln!(free, "\t\tmeta nfproto ipv6 ether saddr @{} return", online.six);
        }
        format!(
            "
	chain turned {{
		type nat hook prerouting priority dstnat; policy accept;
{who}	}}
	chain turned_guests {{
{free}		udp dport 53 redirect to :53
		tcp dport 53 redirect to :53
		tcp dport 80 redirect to :{http}
	}}
"
        )
    }

    fn to_the_box(&self) -> String {
        let Rules { settings, bridge, subnet, .. } = self;
        let own = settings.guests.address.addr();
        let limits = settings.limits;
        let (knocks, lookups) = (limits.connections_per_sec, limits.lookups_per_sec);
        let (knocks_burst, lookups_burst) = (knocks.saturating_mul(4), lookups.saturating_mul(4));
        let ports: Vec<_> =
            [Some(settings.portal.http), settings.portal.https].iter().flatten().map(u16::to_string).collect();
        let ports = ports.join(", ");
        let leases = format!(
            "update @leases {{ ether saddr limit rate {LEASES_A_MINUTE}/minute burst {LEASES_AT_ONCE} packets }} \
             limit rate {LEASES_A_SECOND}/second burst {LEASES_A_SECOND} packets"
        );
        let asked = format!("limit rate {ASKED_BYTES_A_SECOND} bytes/second burst {ASKED_BYTES_AT_ONCE} bytes");
        let six = self.six.map_or_else(|| "drop".to_owned(), |_| "goto box6".to_owned());
        let mut text = format!(
            "
	chain guests_in {{
		type filter hook input priority filter; policy accept;
		iifname \"{bridge}\" goto box
	}}
	chain box {{
		meta nfproto ipv6 {six}
		udp sport 68 udp dport 67 {leases} accept
		udp dport 67 drop
		ip saddr != {subnet} drop
		ip saddr {own} drop
		ct direction reply ct state established,related accept
		fib daddr type broadcast drop
		ip daddr 224.0.0.251 udp dport 5353 add @lookups4 {{ ip saddr limit rate {lookups}/second burst {lookups_burst} packets }} accept
		ip daddr != {own} goto refuse
		udp dport 53 add @lookups4 {{ ip saddr limit rate {lookups}/second burst {lookups_burst} packets }} accept
		udp dport 53 drop
		tcp dport 53 update @asked4 {{ ip saddr {asked} }} accept
		tcp dport 53 drop
		tcp dport {{ {ports} }} ct state established accept
		tcp dport {{ {ports} }} add @knocks4 {{ ip saddr limit rate {knocks}/second burst {knocks_burst} packets }} accept
		tcp dport {{ {ports} }} drop
		icmp type echo-request add @lookups4 {{ ip saddr limit rate {lookups}/second burst {lookups_burst} packets }} accept
		goto refuse
	}}
"
        );
        if let Some(net) = self.six {
            let own = net.addr();
            let _ = write!(
                text,
                "	chain box6 {{
		icmpv6 type {{ nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report, mld2-listener-report }} add @lookups6 {{ ether saddr limit rate {knocks}/second burst {knocks_burst} packets }} accept
		ip6 saddr fe80::/10 udp sport 546 udp dport 547 {leases} accept
		ip6 saddr fe80::/10 ip6 daddr ff02::fb udp dport 5353 add @lookups6 {{ ether saddr limit rate {lookups}/second burst {lookups_burst} packets }} accept
		ip6 saddr != {subnet} drop
		ip6 saddr {own} drop
		ct direction reply ct state established,related accept
		ip6 daddr != {own} goto refuse
		udp dport 53 add @lookups6 {{ ether saddr limit rate {lookups}/second burst {lookups_burst} packets }} accept
		udp dport 53 drop
		tcp dport 53 update @asked6 {{ ether saddr {asked} }} accept
		tcp dport 53 drop
		tcp dport {{ {ports} }} ct state established accept
		tcp dport {{ {ports} }} add @knocks6 {{ ether saddr limit rate {knocks}/second burst {knocks_burst} packets }} accept
		tcp dport {{ {ports} }} drop
		icmpv6 type echo-request add @lookups6 {{ ether saddr limit rate {lookups}/second burst {lookups_burst} packets }} accept
		goto refuse
	}}
",
                subnet = net.trunc(),
            );
        }
        text
    }

    /// What the resolver says to guests. By version 6 a phone has any number of addresses: there only what it asks is counted.
    fn answers(&self) -> String {
        let answered = slow(Some(ANSWERED_BYTES_A_SECOND.into()), "answered4", "ip daddr");
        format!(
            "
	chain guests_answered {{
		type filter hook output priority filter; policy accept;
		oifname \"{}\" meta l4proto {{ tcp, udp }} th sport 53 goto answers
	}}
	chain answers {{
		meta nfproto ipv6 accept
{answered}	}}
",
            self.bridge
        )
    }

    /// Guests reach one another through us as little as anything else.
    fn through(&self) -> String {
        let Rules { bridge, .. } = self;
        format!(
            "
	chain guests_through {{
		type filter hook forward priority filter; policy accept;
		iifname \"{bridge}\" goto up
		oifname \"{bridge}\" goto back
	}}
"
        )
    }

    fn up(&self) -> String {
        let Rules { settings, uplink, subnet, .. } = self;
        let (pay, net) = (Sets::of(Way::Paying), Sets::of(Way::Online));
        let six = if self.six.is_some() { "goto up_six" } else { "drop" };
        let (garden, keep) = self.garden("ip", "garden4");
        let flows = format!("\t\tct state new add @flows4 {{ ip saddr ct count over {FLOWS_MAX} }} goto refuse\n");
        format!(
            "	chain up {{
		meta nfproto ipv6 {six}
		ip saddr != {subnet} drop
		oifname != \"{uplink}\" goto refuse
		ip daddr @away4 goto refuse
		ether saddr . ip saddr @{net_set} goto up_online
		ether saddr . ip saddr @{pay_set} goto up_paying
		goto refuse
	}}
	chain up_online {{
{flows}{net_slow}		ip saddr @{net_moved} accept
		goto refuse
	}}
	chain up_paying {{
		meta l4proto != tcp goto refuse
		tcp dport != 443 goto refuse
{garden}{flows}{pay_slow}{keep}		ip saddr @{pay_moved} accept
		goto refuse
	}}
",
            net_set = net.both,
            net_moved = net.moved,
            pay_set = pay.both,
            pay_moved = pay.moved,
            net_slow = slow(settings.limits.bytes_per_sec, "up4", "ip saddr"),
            pay_slow = slow(self.pay_rate(), "up4", "ip saddr"),
        )
    }

    /// The same by version 6, whose addresses a phone chooses itself.
    fn up_six(&self) -> String {
        let (Some(subnet), Rules { settings, uplink, .. }) = (self.six.map(|net| net.trunc()), self) else {
            return String::new();
        };
        let (pay, net) = (Sets::of(Way::Paying), Sets::of(Way::Online));
        let (garden, keep) = self.garden("ip6", "garden6");
        let back = format!("\t\tupdate @back6 {{ ip6 saddr timeout {BACK6_SECS}s }}\n");
        format!(
            "	chain up_six {{
		ip6 saddr != {subnet} drop
		oifname != \"{uplink}\" goto refuse
		ip6 daddr @away6 goto refuse
		ether saddr @{net_set} goto up_six_online
		ether saddr @{pay_set} goto up_six_paying
		goto refuse
	}}
	chain up_six_online {{
{net_slow}{back}		accept
	}}
	chain up_six_paying {{
		meta l4proto != tcp goto refuse
		tcp dport != 443 goto refuse
{garden}{pay_slow}{keep}{back}		accept
	}}
",
            net_set = net.six,
            pay_set = pay.six,
            net_slow = slow(settings.limits.bytes_per_sec, "up6", "ether saddr"),
            pay_slow = slow(self.pay_rate(), "up6", "ether saddr"),
        )
    }

    /// Where only some hosts are in reach: that the others are refused, and that these are remembered while they are used.
    fn garden(&self, family: &str, set: &str) -> (String, String) {
        match self.settings.paying {
            Paying::Hosts(_) => (
                format!("\t\t{family} daddr != @{set} goto refuse\n"),
                format!("\t\tupdate @{set} {{ {family} daddr timeout 1h }}\n"),
            ),
            Paying::Window(_) => (String::new(), String::new()),
        }
    }

    /// Answers to phones that are let through still. What a phone moved counts both ways, in one and the same element.
    fn back(&self) -> String {
        let Rules { uplink, .. } = self;
        let (pay, net) = (Sets::of(Way::Paying), Sets::of(Way::Online));
        let down = |rate| slow(rate, "down4", "ip daddr");
        let six = if self.six.is_some() { "ip6 daddr @back6 accept" } else { "drop" };
        format!(
            "	chain back {{
		iifname != \"{uplink}\" drop
		ct state != {{ established, related }} drop
		meta nfproto ipv6 {six}
		ip daddr @{} goto back_online
		ip daddr @{} goto back_paying
		drop
	}}
	chain back_online {{
{}		accept
	}}
	chain back_paying {{
{}		accept
	}}
",
            net.moved,
            pay.moved,
            down(self.settings.limits.bytes_per_sec),
            down(self.pay_rate()),
        )
    }

    /// The world knows the box's address only.
    fn leaving(&self) -> String {
        let Rules { uplink, subnet, .. } = self;
        let six = self
            .six
            .map_or_else(String::new, |net| format!("\t\tip6 saddr {} oifname \"{uplink}\" masquerade\n", net.trunc()));
        format!(
            "
	chain leaving {{
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr {subnet} oifname \"{uplink}\" masquerade
{six}	}}
"
        )
    }

    fn pay_rate(&self) -> Option<u64> {
        match &self.settings.paying {
            Paying::Window(window) => Some(window.bytes_per_sec),
            Paying::Hosts(_) => self.settings.limits.bytes_per_sec,
        }
    }
}

/// What is too much is dropped, and TCP finds its pace. Who was quiet for a second may have that second's share at once,
/// and a packet of the largest size besides.
fn slow(rate: Option<u64>, set: &str, key: &str) -> String {
    rate.map_or_else(String::new, |rate| {
        format!(
            "\t\tupdate @{set} {{ {key} limit rate over {rate} bytes/second burst {PACKET_BYTES_MAX} bytes }} drop\n"
        )
    })
}

/// What follows the name of a set of hosts.
fn grown<'g>(kind: &str, hosts: impl Iterator<Item = &'g IpAddr>) -> String {
    let hosts: Vec<_> = hosts.map(IpAddr::to_string).collect();
    let elements = if hosts.is_empty() { String::new() } else { format!("- elements = {{ {} }}; ", hosts.join(", ")) };
    format!("- type {kind}; - size {GARDEN_MAX}; - flags dynamic,timeout; - timeout 1h; {elements}")
}

fn listed(nets: impl Iterator<Item = IpNet>) -> String {
    let mut nets: Vec<_> = nets.map(|net| net.trunc()).collect();
    nets.sort_by_key(|net| (matches!(net.addr(), IpAddr::V6(_)), net.addr(), net.prefix_len()));
    nets.dedup();
    nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn mac(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Milliseconds as nft reads them. Nothing would mean for ever.
fn span(ms: u64) -> String {
    let ms = ms.max(1);
    format!("{}s{}ms", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
pub(super) mod tests;
