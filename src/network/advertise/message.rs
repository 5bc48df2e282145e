//! Router advertisements and solicitations as bytes (RFC 4861 4.1, 4.2). Knows no socket and no clock.
//!
//! The checksum is the kernel's: it writes that of what we send, and passes nothing on to us whose checksum is wrong.

use ipnet::Ipv6Net;
use std::net::Ipv6Addr;

/// `ND_ROUTER_SOLICIT`.
pub(super) const SOLICIT: u8 = 133;
/// `ND_ROUTER_ADVERT`.
const ADVERT: u8 = 134;
/// Both begin with eight bytes that have the same place.
const HEAD_BYTES: usize = 8;
/// Longest solicitation: what every link carries whole. Neighbour discovery is never in fragments (RFC 6980).
pub(super) const SOLICIT_BYTES_MAX: usize = 1_280;

/// For how long phones may use the box as their router and resolver without hearing of it again: three times
/// [`super::pace::INTERVAL_MS`] (RFC 4861 6.2.1, RFC 8106 5.1).
const ROUTER_SECS: u16 = 2_700;
/// For how long an address is used for what is new, and may be used at all (RFC 9096 3.4): what the next
/// advertisement takes back is forgotten within the hour, not within the month of RFC 4861.
const PREFERRED_SECS: u32 = 2_700;
const VALID_SECS: u32 = 5_400;
/// What others write into packets that they begin.
const HOPS: u8 = 64;
/// "Other configuration": DHCPv6 has more to say, addresses it has none.
const OTHER: u8 = 0x40;
/// The prefix is on this link, and phones make addresses in it themselves.
const ON_LINK_AND_AUTONOMOUS: u8 = 0xc0;

const SOURCE_MAC: u8 = 1;
const PREFIX: u8 = 3;
const MTU: u8 = 5;
/// RFC 8106 5.1.
const RESOLVER: u8 = 25;
/// RFC 8910 2.3.
const CAPTIVE_PORTAL: u8 = 37;

/// What is said to phones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advert {
    /// The box's own address on the guests' network, a /64: the prefix, and where the resolver is.
    pub(super) own: Ipv6Net,
    /// The address of the portal's API, if it may be offered. Fits whatever [`super::super::settings::Name`] is in it.
    pub(super) api: Option<String>,
    /// The bridge's hardware address.
    pub(super) mac: [u8; 6],
    /// The longest packet on the bridge.
    pub(super) mtu: u32,
}

impl Advert {
    /// That the box is the router, and all that phones need.
    pub(super) fn says(&self) -> Vec<u8> {
        let mut bytes = head(ROUTER_SECS);
        self.source(&mut bytes);
        option(&mut bytes, MTU, |option| {
            option.extend([0; 2]);
            option.extend(self.mtu.to_be_bytes());
        });
        option(&mut bytes, PREFIX, |option| {
            option.extend([self.own.prefix_len(), ON_LINK_AND_AUTONOMOUS]);
            option.extend(VALID_SECS.to_be_bytes());
            option.extend(PREFERRED_SECS.to_be_bytes());
            option.extend([0; 4]);
            option.extend(self.own.network().octets());
        });
        self.resolver(&mut bytes, ROUTER_SECS.into());
        if let Some(api) = &self.api {
            option(&mut bytes, CAPTIVE_PORTAL, |option| option.extend(api.as_bytes()));
        }
        bytes
    }

    /// That it is the router no longer, nor the resolver (RFC 4861 6.2.5). Addresses stay what they are: who starts again
    /// at once takes nothing from anybody.
    pub(super) fn takes_leave(&self) -> Vec<u8> {
        let mut bytes = head(0);
        self.source(&mut bytes);
        self.resolver(&mut bytes, 0);
        bytes
    }

    fn source(&self, bytes: &mut Vec<u8>) {
        option(bytes, SOURCE_MAC, |option| option.extend(self.mac));
    }

    fn resolver(&self, bytes: &mut Vec<u8>, secs: u32) {
        option(bytes, RESOLVER, |option| {
            option.extend([0; 2]);
            option.extend(secs.to_be_bytes());
            option.extend(self.own.addr().octets());
        });
    }
}

fn head(router_secs: u16) -> Vec<u8> {
    let mut bytes = vec![ADVERT, 0, 0, 0, HOPS, OTHER];
    bytes.extend(router_secs.to_be_bytes());
    // How long a neighbour counts as reachable, and how often it is asked: as phones think best.
    bytes.extend([0; 8]);
    bytes
}

/// Adds an option; `fill` writes what follows kind and length. Zeroes fill it up to a multiple of eight bytes, in which
/// its length is counted.
fn option(bytes: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut option = vec![kind, 0];
    fill(&mut option);
    option.resize(option.len().next_multiple_of(8), 0);
    let eights = u8::try_from(option.len() / 8).unwrap_or(u8::MAX);
    if let Some(length) = option.get_mut(1) {
        *length = eights;
    }
    bytes.extend(option);
}

/// Who wants to hear of a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// A phone that has an address of this link already.
    Phone(Ipv6Addr),
    /// One that has none yet: it can be told together with all others only.
    Anybody,
}

/// Who asks with these bytes. `None`: it is no solicitation that may be answered (RFC 4861 6.1.1). Hop limit and checksum
/// were looked at by the kernel.
pub(super) fn solicitation(from: Ipv6Addr, bytes: &[u8]) -> Option<Asker> {
    if bytes.len() > SOLICIT_BYTES_MAX || !matches!(bytes, [SOLICIT, 0, ..]) {
        return None;
    }
    let mut options = bytes.get(HEAD_BYTES..)?;
    let mut names_itself = false;
    while let [kind, eights, ..] = options {
        let length = usize::from(*eights).checked_mul(8).filter(|length| *length > 0)?;
        options = options.get(length..)?;
        names_itself |= *kind == SOURCE_MAC;
    }
    if !options.is_empty() {
        return None;
    }
    match (from.is_unspecified(), from.is_unicast_link_local()) {
        (true, _) => (!names_itself).then_some(Asker::Anybody),
        (false, true) => Some(Asker::Phone(from)),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advert(api: Option<&str>) -> Advert {
        Advert {
            own: "fd12:3456:789a:50::1/64".parse().unwrap(),
            api: api.map(str::to_owned),
            mac: [2, 0, 0, 0, 0, 1],
            mtu: 1_500,
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.chunks(8).map(|eight| eight.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n").collect()
    }

    const PLAIN: &str = "\
8600000040400a8c
0000000000000000
0101020000000001
05010000000005dc
030440c000001518
00000a8c00000000
fd123456789a0050
0000000000000000
1903000000000a8c
fd123456789a0050
0000000000000001
";

    #[test]
    fn an_advertisement_has_these_bytes_and_no_others() {
        assert_eq!(hex(&advert(None).says()), PLAIN);
        // 2505: kind 37, 40 bytes; the address, and zeroes to its end.
        let portal = "2505".to_owned()
            + &"https://pay.shop.example/capport".bytes().map(|b| format!("{b:02x}")).collect::<String>()
            + "000000000000";
        let lines = portal.as_bytes().chunks(16).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
        let told = PLAIN.to_owned() + &lines.collect::<String>();
        assert_eq!(hex(&advert(Some("https://pay.shop.example/capport")).says()), told);
    }

    #[test]
    fn a_leave_has_these_bytes_and_no_others() {
        let leave = "\
8600000040400000
0000000000000000
0101020000000001
1903000000000000
fd123456789a0050
0000000000000001
";
        assert_eq!(hex(&advert(Some("https://pay.shop.example/capport")).takes_leave()), leave);
    }

    #[test]
    fn whatever_the_portals_name_is_its_address_stands_there_whole_in_a_packet_that_every_link_carries() {
        for length in 4..=253 {
            let api = format!("https://{}:65535/capport", "a".repeat(length));
            let bytes = advert(Some(&api)).says();
            assert!(bytes.len().is_multiple_of(8) && bytes.len() + 40 <= 1_280, "{length}");
            let option = &bytes[88..];
            assert_eq!((option[0], usize::from(option[1]) * 8), (CAPTIVE_PORTAL, option.len()));
            assert_eq!(&option[2..2 + api.len()], api.as_bytes());
            assert!(option.len() - 2 - api.len() < 8 && option[2 + api.len()..].iter().all(|b| *b == 0), "{length}");
        }
    }

    #[test]
    fn only_solicitations_as_they_must_be_are_heard() {
        let (phone, nobody): (Ipv6Addr, _) = ("fe80::7".parse().unwrap(), Ipv6Addr::UNSPECIFIED);
        let asks = |options: &[u8]| [&[133, 0, 0, 0, 0, 0, 0, 0], options].concat();
        let mac = [1, 1, 2, 0, 0, 0, 0, 7];
        let good = Some(Asker::Phone(phone));
        for (from, bytes, heard) in [
            (phone, asks(&[]), good),
            (phone, asks(&mac), good),
            // What stands in the four bytes that mean nothing, and options that nobody knows, do not matter.
            (phone, [&[133, 0, 9, 9, 1, 2, 3, 4][..], &mac].concat(), good),
            (phone, asks(&[[14, 2].as_slice(), &[0xff; 14], &mac].concat()), good),
            (nobody, asks(&[]), Some(Asker::Anybody)),
            (nobody, asks(&[14, 1, 0, 0, 0, 0, 0, 0]), Some(Asker::Anybody)),
            // Who has no address has no business to say who it is.
            (nobody, asks(&mac), None),
            (nobody, asks(&[[14, 1, 0, 0, 0, 0, 0, 0], mac].concat()), None),
            (phone, Vec::new(), None),
            (phone, asks(&[])[..7].to_vec(), None),
            (phone, vec![134, 0, 0, 0, 0, 0, 0, 0], None),
            (phone, vec![133, 1, 0, 0, 0, 0, 0, 0], None),
            (phone, asks(&[1]), None),
            (phone, asks(&mac[..7]), None),
            (phone, asks(&[1, 2, 2, 0, 0, 0, 0, 7]), None),
            (phone, asks(&[1, 0, 2, 0, 0, 0, 0, 7]), None),
            (phone, asks(&mac.repeat(159)), good),
            (phone, asks(&mac.repeat(160)), None),
            ("fd12:3456:789a:50::7".parse().unwrap(), asks(&mac), None),
            ("2001:db8::7".parse().unwrap(), asks(&mac), None),
            ("ff02::1".parse().unwrap(), asks(&mac), None),
            (Ipv6Addr::LOCALHOST, asks(&mac), None),
        ] {
            assert_eq!(solicitation(from, &bytes), heard, "{from} {bytes:?}");
        }
    }
}
