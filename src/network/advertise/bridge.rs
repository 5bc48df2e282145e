//! What the guests' bridge is at present, as the kernel tells it in text. Changes nothing.

use std::fs;
use std::io;
use std::net::Ipv6Addr;
use std::path::Path;

/// Where the system lists its interfaces.
const INTERFACES: &str = "/sys/class/net";
/// Every address by version 6 of this network namespace.
const ADDRESSES: &str = "/proc/self/net/if_inet6";
/// `IFA_LINK` as that list has it, and `IFA_F_DADFAILED`, `IFA_F_TENTATIVE`: nothing may be sent from such an address.
const ON_LINK: &str = "20";
const NOT_OURS_YET: u8 = 0x08 | 0x40;
/// What a link must carry for version 6 (RFC 8200 5).
const MTU_MIN: u32 = 1_280;

/// A bridge from which advertisements can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bridge {
    pub(super) index: u32,
    /// Its own address on the link: as what phones know their router.
    pub(super) own: Ipv6Addr,
    pub(super) mac: [u8; 6],
    pub(super) mtu: u32,
}

impl Bridge {
    /// `None`: it is not there, or has no address of the link yet, as before the first port has a carrier.
    pub(super) fn look(name: &str) -> io::Result<Option<Bridge>> {
        let addresses = match fs::read_to_string(ADDRESSES) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(io::Error::new(error.kind(), format!("{ADDRESSES}: this kernel has no version 6")));
            }
            Err(error) => return Err(error),
        };
        let Some((index, own)) = link_address(&addresses, name) else { return Ok(None) };
        let of = |what: &str| fs::read_to_string(Path::new(INTERFACES).join(name).join(what));
        let (Ok(mac), Ok(mtu)) = (of("address"), of("mtu")) else { return Ok(None) };
        let (mac, mtu) = (super::super::phone::mac(mac.trim()), mtu.trim().parse().ok());
        Ok(mac.zip(mtu.filter(|mtu| *mtu >= MTU_MIN)).map(|(mac, mtu)| Bridge { index, own, mac, mtu }))
    }
}

/// The number of this interface and its address of the link, if it has one that can be used.
fn link_address(addresses: &str, name: &str) -> Option<(u32, Ipv6Addr)> {
    addresses.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, index, _, scope, flags, of] = words.as_slice() else { return None };
        let flags = u8::from_str_radix(flags, 16).ok()?;
        if *of != name || *scope != ON_LINK || flags & NOT_OURS_YET != 0 || address.len() != 32 {
            return None;
        }
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        Some((u32::from_str_radix(index, 16).ok()?, address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTED: &str = "\
00000000000000000000000000000001 01 80 10 80       lo
fd123456789a00500000000000000001 0b 40 00 82   guests
fe800000000000000000000000000009 0c 40 20 80  guests2
fe800000000000000000000000000007 0b 40 20 c0   guests
fe800000000000000000000000000008 0b 40 20 88   guests
fe80000000000000000000fffe000001 0b 40 20 80   guests
";

    #[test]
    fn a_bridge_is_known_by_the_first_address_of_its_link_that_nobody_disputes() {
        let own = "fe80::ff:fe00:1".parse().unwrap();
        assert_eq!(link_address(LISTED, "guests"), Some((11, own)));
        assert_eq!(link_address(LISTED, "lo"), None);
        assert_eq!(link_address(LISTED, "guest"), None);
        assert_eq!(link_address("", "guests"), None);
        let text = "fe80 0b 40 20 80 guests\nzz80000000000000000000fffe000001 0b 40 20 80 guests\nfe80\n";
        assert_eq!(link_address(text, "guests"), None);
    }
}
