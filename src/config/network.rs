//! `[network]`: what the box is to the guests' phones beside a portal. Looks at no interface of this machine.

use super::reader::{At, Reader, Section};
use super::{Portal, absolute, pair};
use crate::network::settings::{
    Channel, Guests, HELPER, Link, Name, NetworkSettings, PRIVATE, Passphrase, Paying, PhoneLimits, Port, PortalPlace,
    Radio, Security, ShopSide, Uplink, UplinkAddress, Window,
};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

/// What the box is called on the shop's own network unless the configuration says otherwise.
const NAME: &str = "tillgate";
/// More of them in one list are a mistake.
const LIST_MAX: usize = 32;
/// Addresses below the first one for phones: for the box and for access points.
const KEPT_LOW: u32 = 10;

/// Where a channel may not be, although most countries have it: 12 and 13 in the Americas and on Taiwan.
const ONLY_ELEVEN: [&str; 8] = ["US", "CA", "MX", "TW", "PR", "GU", "VI", "AS"];

/// The section, if it is there and nothing is wrong with it.
pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    root: &mut Section<'t>,
    portal: Option<&Portal>,
) -> Option<NetworkSettings> {
    let mut section = reader.section(root, "network")?;
    let span = section.span();
    let guests = read_guests(reader, &mut section);
    let radio = reader.section(&mut section, "wifi").map(|wifi| read_wifi(reader, wifi));
    let uplink = read_uplink(reader, &mut section);
    let shop = read_shop(reader, &mut section, uplink.as_ref());
    let paying = match reader.section(&mut section, "paying") {
        Some(paying) => read_paying(reader, paying),
        None => Some(Paying::Window(Window::default())),
    };
    let limits = match reader.section(&mut section, "limits") {
        Some(limits) => read_limits(reader, limits),
        None => PhoneLimits::default(),
    };
    let helper = reader.text(&mut section, "helper");
    let helper = helper.map_or(Some(PathBuf::from(HELPER)), |text| absolute(reader, &text));
    reader.end(section);
    let radio = match radio {
        None => None,
        Some(radio) => Some(radio?),
    };
    let (guests, uplink, shop, portal) = (guests?, uplink?, shop?, portal?);
    if guests.ports.is_empty() && radio.is_none() {
        let what = "nothing brings guests to the bridge";
        reader.fault(
            &span,
            what,
            "name the access points' ports = [\"eth1\"], or the box's own radio in [network.wifi]",
        );
        return None;
    }
    let portal = read_place(reader, &span, portal, &guests)?;
    let settings = NetworkSettings { guests, radio, uplink, shop, portal, paying: paying?, limits, helper: helper? };
    agree(reader, &span, &settings).then_some(settings)
}

fn read_guests<'t>(reader: &mut Reader<'t>, section: &mut Section<'t>) -> Option<Guests> {
    let bridge = reader.text(section, "bridge").map_or_else(|| Some(Link::guests()), |text| link(reader, &text));
    let ports = read_list(reader, section, "ports", port);
    let address = reader.need_text(section, "address", "192.168.50.1/24").and_then(|text| {
        let found: Option<Ipv4Net> = net(reader, &text, "192.168.50.1/24");
        let (net, span) = (found?, &text.span);
        let own = net.addr();
        if !(16..=29).contains(&net.prefix_len()) {
            let what = format!("guests' networks have 16 to 29 bits of prefix, not {}", net.prefix_len());
            reader.fault(span, what, "write it as \"192.168.50.1/24\": room for 254 addresses");
            return None;
        }
        if own == net.network() || own == net.broadcast() || !own.is_private() {
            let what = format!("{own} cannot be the box's own address on a guests' network");
            reader.fault(span, what, "take a private one that is not its network's first or last: \"192.168.50.1/24\"");
            return None;
        }
        Some(At { value: net, span: text.span })
    });
    let pool = read_pool(reader, section, address.as_ref());
    let lease = reader.whole(section, "lease_minutes", 2..=1_440).map_or(60, |at| at.value);
    let ipv6 = match reader.text(section, "ipv6") {
        None => None,
        Some(text) => Some(read_six(reader, &text)?),
    };
    let lease = Duration::from_secs(lease.saturating_mul(60));
    Some(Guests { bridge: bridge?, ports: ports?, address: address?.value, pool: pool?, lease, ipv6 })
}

fn read_six(reader: &mut Reader<'_>, text: &At<&str>) -> Option<Ipv6Net> {
    let net: Ipv6Net = net(reader, text, "fd12:3456:789a:50::1/64")?;
    if net.prefix_len() != 64 || net.addr() == net.network() {
        let what = "phones make their own addresses in a /64 only, of which the box has one";
        reader.fault(&text.span, what, "write it as \"fd12:3456:789a:50::1/64\"");
        return None;
    }
    Some(net)
}

/// First and last address for phones: what is written, else all but the lowest ten.
fn read_pool<'t>(
    reader: &mut Reader<'t>,
    section: &mut Section<'t>,
    address: Option<&At<Ipv4Net>>,
) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let written = ["first", "last"].map(|key| {
        let text = reader.text(section, key)?;
        Some(At { value: ip::<Ipv4Addr>(reader, &text), span: text.span })
    });
    let net = address?.value;
    let (lowest, highest) = (u32::from(net.network()), u32::from(net.broadcast()));
    let kept = KEPT_LOW.min(highest.saturating_sub(lowest) / 4);
    let usual = (lowest.saturating_add(kept), highest.saturating_sub(1));
    let own = u32::from(net.addr());
    let [first, last] = written;
    let span = last.as_ref().or(first.as_ref()).map_or(address?.span.clone(), |at| at.span.clone());
    let first = first.map_or(Some(Ipv4Addr::from(usual.0)), |at| at.value)?;
    let last = last.map_or(Some(Ipv4Addr::from(usual.1)), |at| at.value)?;
    let (low, high) = (u32::from(first), u32::from(last));
    if low <= lowest || high >= highest || low > high {
        let what = format!("{first} to {last} is no range within {}", net.trunc());
        let fix = format!("take addresses from {} to {}", Ipv4Addr::from(lowest.saturating_add(1)), usual.1);
        reader.fault(&span, what, fix);
        return None;
    }
    // A whole subnet as the default holds the box's own address where that is a high one: then it is left out.
    if (low..=high).contains(&own) {
        let fix = "let the range begin after it or end before it";
        reader.fault(&span, format!("the box's own address {} is among those for phones", net.addr()), fix);
        return None;
    }
    Some((first, last))
}

fn read_wifi<'t>(reader: &mut Reader<'t>, mut wifi: Section<'t>) -> Option<Radio> {
    let radio = reader.need_text(&mut wifi, "radio", "wlan0").and_then(|text| link(reader, &text));
    let ssid = reader.need_text(&mut wifi, "ssid", "Corner Shop").and_then(|text| {
        let sound = text.value.len() <= 32 && !text.value.chars().any(char::is_control);
        if !sound {
            let what = format!("the name of a Wi-Fi has at most 32 bytes; this has {}", text.value.len());
            reader.fault(&text.span, what, "write a shorter one, without control characters");
        }
        sound.then(|| text.value.to_owned())
    });
    let country = reader.need_text(&mut wifi, "country", "DE").and_then(|text| {
        let sound = text.value.len() == 2 && text.value.bytes().all(|b| b.is_ascii_uppercase());
        if !sound {
            let what = format!("\"{}\" is no country", text.value);
            reader.fault(&text.span, what, "write the two capital letters of ISO 3166, such as \"DE\"");
        }
        sound.then(|| text.value.to_owned())
    });
    let channel = reader.need_whole(&mut wifi, "channel", 1..=165);
    let channel = channel.and_then(|at| read_channel(reader, &at, country.as_deref()));
    let security = read_security(reader, &mut wifi);
    reader.end(wifi);
    Some(Radio { link: radio?, ssid: ssid?, country: country?, channel: channel?, security: security? })
}

fn read_channel(reader: &mut Reader<'_>, at: &At<u64>, country: Option<&str>) -> Option<Channel> {
    let number = u8::try_from(at.value).ok()?;
    let short = country.is_some_and(|c| ONLY_ELEVEN.contains(&c));
    match number {
        12 | 13 if short => {
            let what = format!("channel {number} is not allowed in {}", country.unwrap_or_default());
            reader.fault(&at.span, what, "take 1, 6 or 11");
            None
        }
        1..=13 => Some(Channel::Low(number)),
        36..=64 | 100..=144 if number.is_multiple_of(4) => {
            if number > 48 {
                let what = format!(
                    "on channel {number} the radio first listens for radar, and falls silent when it hears one"
                );
                reader.warn(&at.span, what, "take 36, 40, 44 or 48, so that the Wi-Fi is always there");
            }
            Some(Channel::High(number))
        }
        149 | 153 | 157 | 161 | 165 => Some(Channel::High(number)),
        _ => {
            let what = format!("there is no channel {number}");
            reader.fault(&at.span, what, "take 1, 6 or 11 (2.4 GHz), or 36, 40, 44 or 48 (5 GHz)");
            None
        }
    }
}

fn read_security<'t>(reader: &mut Reader<'t>, wifi: &mut Section<'t>) -> Option<Security> {
    let words = [("open", None), ("wpa3", Some(false)), ("wpa2", Some(true))];
    let security = reader.need_word(wifi, "security", &words);
    let file = reader.text(wifi, "passphrase_file");
    let At { value, span } = security?;
    match (value, file) {
        (None, None) => Some(Security::Open),
        (None, Some(file)) => {
            let what = "an open Wi-Fi has no passphrase";
            reader.fault(&file.span, what, "take this line away, or write security = \"wpa2\"");
            None
        }
        (Some(_), None) => {
            let what = "phones are to join with a passphrase, but where is it?";
            reader.fault(&span, what, "add a line such as: passphrase_file = \"/etc/tillgate/wifi.passphrase\"");
            None
        }
        (Some(wpa2), Some(file)) => {
            let passphrase = read_passphrase(reader, &file)?;
            Some(Security::Passphrase { passphrase, wpa2 })
        }
    }
}

/// `Some(None)`: it is there, but not for us. Only who writes the radio's file needs it, and that is root.
fn read_passphrase(reader: &mut Reader<'_>, text: &At<&str>) -> Option<Option<Passphrase>> {
    let file = absolute(reader, text)?;
    let bytes = match pair::read(&file) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == std::io::ErrorKind::PermissionDenied => return Some(None),
        Err(cause) => {
            let what = format!("cannot read {}: {cause}", file.display());
            reader.fault(&text.span, what, "put the passphrase there, on one line");
            return None;
        }
    };
    let found = String::from_utf8(bytes).ok().and_then(|line| Passphrase::new(line.trim_end_matches(['\r', '\n'])));
    if found.is_none() {
        let what = format!("{} holds no passphrase", file.display());
        reader.fault(&text.span, what, "write 8 to 63 characters on one line: letters, digits and signs of ASCII");
    }
    if std::fs::metadata(&file).is_ok_and(|m| m.permissions().mode() & 0o007 != 0) {
        let what = format!("everybody on this machine may read {}", file.display());
        reader.warn(&text.span, what, format!("chmod 600 {}", file.display()));
    }
    found.map(Some)
}

fn read_uplink<'t>(reader: &mut Reader<'t>, section: &mut Section<'t>) -> Option<Uplink> {
    let uplink = reader.need_text(section, "uplink", "eth0").and_then(|text| link(reader, &text));
    let resolvers = read_list(reader, section, "resolvers", ip);
    let address = reader.text(section, "uplink_address").filter(|text| text.value != "dhcp");
    let gateway = reader.text(section, "uplink_gateway");
    let address = match (address, gateway) {
        (None, None) => UplinkAddress::Dhcp,
        (None, Some(gateway)) => {
            let what = "DHCP names the uplink's router itself";
            reader.fault(&gateway.span, what, "take this line away, or write uplink_address = \"203.0.113.2/24\"");
            return None;
        }
        (Some(text), None) => {
            let what = "a fixed address needs the uplink's router";
            reader.fault(&text.span, what, "add a line such as: uplink_gateway = \"203.0.113.1\"");
            return None;
        }
        (Some(text), Some(next)) => {
            let address: Option<Ipv4Net> = net(reader, &text, "203.0.113.2/24");
            let gateway = ip(reader, &next);
            let (address, gateway) = (address?, gateway?);
            if !address.contains(&gateway) || gateway == address.addr() {
                let what = format!("the router {gateway} is not a neighbour on {}", address.trunc());
                reader.fault(&next.span, what, "write the address of the next router on the uplink's own network");
                return None;
            }
            if resolvers.as_ref().is_some_and(Vec::is_empty) {
                let what = "without DHCP nobody says whom to ask for names";
                reader.fault(&text.span, what, "add a line such as: resolvers = [\"9.9.9.9\"]");
                return None;
            }
            UplinkAddress::Fixed { address, gateway }
        }
    };
    Some(Uplink { link: uplink?, address, resolvers: resolvers? })
}

fn read_shop<'t>(reader: &mut Reader<'t>, section: &mut Section<'t>, uplink: Option<&Uplink>) -> Option<ShopSide> {
    let links = read_list(reader, section, "shop_links", link);
    let written = section.has("shop_networks");
    let networks = read_list(reader, section, "shop_networks", |reader, text| {
        net::<IpNet>(reader, text, "192.168.1.0/24").map(|net| net.trunc())
    });
    let name = reader.text(section, "name").map_or_else(
        || Some(NAME.to_owned()),
        |text| {
            let sound = Name::new(&format!("{}.local", text.value)).is_some() && !text.value.contains('.');
            if !sound {
                let what = format!("\"{}\" cannot stand before .local", text.value);
                reader.fault(&text.span, what, "write letters, digits and hyphens, such as \"tillgate\"");
            }
            sound.then(|| text.value.to_ascii_lowercase())
        },
    );
    let mut links = links?;
    if links.is_empty() {
        links.push(uplink?.link.clone());
    }
    let networks = if written { networks? } else { PRIVATE.iter().filter_map(|net| net.parse().ok()).collect() };
    Some(ShopSide { links, networks, name: name? })
}

fn read_paying<'t>(reader: &mut Reader<'t>, mut section: Section<'t>) -> Option<Paying> {
    let span = section.span();
    let by_hosts = reader.need_word(&mut section, "reach", &[("window", false), ("hosts", true)]);
    let named = section.has("hosts");
    let hosts = read_list(reader, &mut section, "hosts", name);
    let keys = ["longest_secs", "megabytes_max", "kilobytes_per_sec"];
    let windowed = keys.iter().any(|key| section.has(key));
    let usual = Window::default();
    let longest = reader.whole(&mut section, "longest_secs", 60..=3_600);
    let megabytes = reader.whole(&mut section, "megabytes_max", 1..=4_096);
    let kilobytes = reader.whole(&mut section, "kilobytes_per_sec", 16..=1_000_000);
    reader.end(section);
    let by_hosts = by_hosts?;
    match by_hosts.value {
        true if windowed => {
            let what = format!("{} say something about a window only", keys.join(", "));
            reader.fault(&span, what, "take them away, or write reach = \"window\"");
            None
        }
        true => {
            let hosts = hosts?;
            if hosts.is_empty() {
                let what = "which hosts does a paying phone reach?";
                reader.fault(&by_hosts.span, what, "add a line such as: hosts = [\"pay.example.com\"]");
                return None;
            }
            Some(Paying::Hosts(hosts))
        }
        false if named => {
            let what = "in a window all hosts are reached: `hosts` says nothing";
            reader.fault(&by_hosts.span, what, "take `hosts` away, or write reach = \"hosts\"");
            None
        }
        false => Some(Paying::Window(Window {
            longest: longest.map_or(usual.longest, |at| Duration::from_secs(at.value)),
            bytes_max: megabytes.map_or(usual.bytes_max, |at| at.value.saturating_mul(1 << 20)),
            bytes_per_sec: kilobytes.map_or(usual.bytes_per_sec, |at| at.value.saturating_mul(1 << 10)),
        })),
    }
}

fn read_limits<'t>(reader: &mut Reader<'t>, mut section: Section<'t>) -> PhoneLimits {
    let usual = PhoneLimits::default();
    let mut count = |reader: &mut Reader<'t>, key, bounds, default: u32| {
        let found = reader.whole(&mut section, key, bounds);
        found.and_then(|at| u32::try_from(at.value).ok()).unwrap_or(default)
    };
    let phones_max = count(reader, "phones_max", 1..=10_000, usual.phones_max);
    let connections_per_sec = count(reader, "connections_per_sec", 5..=100_000, usual.connections_per_sec);
    let lookups_per_sec = count(reader, "lookups_per_sec", 5..=1_000, usual.lookups_per_sec);
    let longest = reader.whole(&mut section, "reach_longest_secs", 60..=86_400);
    let online = reader.whole(&mut section, "online_minutes", 0..=1_440);
    let kilobytes = reader.whole(&mut section, "kilobytes_per_sec", 16..=1_000_000);
    reader.end(section);
    PhoneLimits {
        phones_max,
        online: online.map_or(usual.online, |at| Duration::from_secs(at.value.saturating_mul(60))),
        reach_longest: longest.map_or(usual.reach_longest, |at| Duration::from_secs(at.value)),
        connections_per_sec,
        lookups_per_sec,
        bytes_per_sec: kilobytes.map(|at| at.value.saturating_mul(1 << 10)),
    }
}

/// Where the portal is, which must be where guests find it.
fn read_place(
    reader: &mut Reader<'_>,
    at: &std::ops::Range<usize>,
    portal: &Portal,
    guests: &Guests,
) -> Option<PortalPlace> {
    let own = guests.address.addr();
    let listens = std::iter::once(portal.listen).chain(portal.secure.as_ref().map(|secure| secure.listen));
    for place in listens {
        if !place.ip().is_unspecified() && place.ip() != IpAddr::V4(own) {
            let what = format!("the portal listens on {}, but guests find the box at {own}", place.ip());
            let fix = format!("write listen = \"{own}:{}\" in [portal], or another address here", place.port());
            reader.fault(at, what, fix);
            return None;
        }
    }
    let host = portal.url.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    Some(PortalPlace {
        name: Name::new(host),
        http: portal.listen.port(),
        https: portal.secure.as_ref().map(|secure| secure.listen.port()),
    })
}

/// Whether the parts fit one another.
fn agree(reader: &mut Reader<'_>, at: &std::ops::Range<usize>, all: &NetworkSettings) -> bool {
    let guests = IpNet::V4(all.guests.subnet());
    let meets = |other: IpNet| guests.contains(&other) || other.contains(&guests);
    let mut wrong: Vec<(String, &str)> = Vec::new();
    let mut names: Vec<(String, &str)> = vec![(all.guests.bridge.to_string(), "the guests' bridge")];
    names.push((all.uplink.link.to_string(), "the uplink"));
    names.extend(all.guests.ports.iter().map(|port| (port.name(), "a port of the guests' bridge")));
    names.extend(all.radio.iter().map(|radio| (radio.link.to_string(), "the radio")));
    for (n, (name, is)) in names.iter().enumerate() {
        if let Some((_, also)) = names.iter().take(n).find(|(other, _)| other == name) {
            wrong.push((format!("{name} cannot be {also} and {is}"), "give each of them an interface of its own"));
        }
    }
    if all.shop.links.contains(&all.guests.bridge) {
        wrong.push(("the guests' bridge is no part of the shop's own network".to_owned(), "take it out of shop_links"));
    }
    if let UplinkAddress::Fixed { address, .. } = &all.uplink.address
        && meets(IpNet::V4(address.trunc()))
    {
        let what = format!("the uplink's network {} overlaps the guests' {guests}", address.trunc());
        wrong.push((what, "give the guests another network, such as \"192.168.50.1/24\""));
    }
    let usual = |net: &IpNet| PRIVATE.iter().any(|usual| usual.parse() == Ok(*net));
    for net in all.shop.networks.iter().filter(|net| !usual(net) && meets(**net)) {
        let what = format!("the shop's network {net} overlaps the guests' {guests}");
        wrong.push((what, "give the guests another network, such as \"192.168.50.1/24\""));
    }
    for (what, fix) in &wrong {
        reader.fault(at, what.clone(), *fix);
    }
    wrong.is_empty()
}

/// The items of a list of texts, which may be left out: then there are none. `None` if any is wrong.
fn read_list<'t, T: PartialEq>(
    reader: &mut Reader<'t>,
    section: &mut Section<'t>,
    key: &'static str,
    read: impl Fn(&mut Reader<'t>, &At<&'t str>) -> Option<T>,
) -> Option<Vec<T>> {
    let Some(list) = reader.texts(section, key) else { return (!section.has(key)).then(Vec::new) };
    if list.value.len() > LIST_MAX {
        reader.fault(&list.span, format!("`{key}` has more than {LIST_MAX} items"), "is that meant?");
        return None;
    }
    let mut found = Vec::new();
    let mut all_good = true;
    for text in &list.value {
        match read(reader, text) {
            Some(item) if found.contains(&item) => {
                reader.fault(&text.span, format!("\"{}\" stands here twice", text.value), "take one away");
                all_good = false;
            }
            Some(item) => found.push(item),
            None => all_good = false,
        }
    }
    all_good.then_some(found)
}

fn link(reader: &mut Reader<'_>, text: &At<&str>) -> Option<Link> {
    let found = Link::new(text.value);
    if found.is_none() {
        let what = format!("\"{}\" is no name of an interface", text.value);
        reader.fault(&text.span, what, "write it as `ip link` does, such as \"eth0\": at most 15 letters and digits");
    }
    found
}

/// `eth1`, or `eth1.20` for VLAN 20 of it.
fn port(reader: &mut Reader<'_>, text: &At<&str>) -> Option<Port> {
    let Some((card, number)) = text.value.rsplit_once('.') else { return link(reader, text).map(Port::Whole) };
    let whole = link(reader, text)?;
    match (Link::new(card), number.parse::<u16>()) {
        (Some(card), Ok(number @ 1..=4_094)) => Some(Port::Vlan(card, number)),
        (Some(_), Ok(_)) => {
            let what = format!("there is no VLAN {number}");
            reader.fault(&text.span, what, "VLANs go from 1 to 4094: write the card, a dot and the number");
            None
        }
        (_, Err(_)) | (None, _) => Some(Port::Whole(whole)),
    }
}

fn name(reader: &mut Reader<'_>, text: &At<&str>) -> Option<Name> {
    let found = Name::new(text.value);
    if found.is_none() {
        let what = format!("\"{}\" is no name of a host", text.value);
        reader.fault(
            &text.span,
            what,
            "write the name alone, such as \"pay.example.com\"; what is below it counts, too",
        );
    }
    found
}

fn ip<T: std::str::FromStr>(reader: &mut Reader<'_>, text: &At<&str>) -> Option<T> {
    let found = text.value.parse().ok();
    if found.is_none() {
        reader.fault(&text.span, format!("\"{}\" is no address", text.value), "write it as \"192.168.50.1\"");
    }
    found
}

fn net<T: std::str::FromStr>(reader: &mut Reader<'_>, text: &At<&str>, example: &str) -> Option<T> {
    let found = text.value.parse().ok();
    if found.is_none() {
        let what = format!("\"{}\" is no address with its prefix", text.value);
        reader.fault(&text.span, what, format!("write it as \"{example}\""));
    }
    found
}
