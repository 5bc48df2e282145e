//! A phone as the firewall knows it, and how far it is let. Decides nothing.

use std::fmt;
use std::net::Ipv4Addr;

/// A phone: both must fit, so that neither alone can be borrowed. Its `Debug` hides the half of the hardware address that
/// tells one phone from another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phone {
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Its address.
    pub ip: Ipv4Addr,
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, ..] = self.mac;
        write!(f, "{}/{a:02x}:{b:02x}:{c:02x}:..", self.ip)
    }
}

/// How far a phone is let.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// As far as paying needs.
    Paying,
    /// To the internet.
    Online,
}

/// The hardware address that is written so, as the system writes those of its interfaces.
pub(super) fn mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_interfaces_are_read_as_the_system_writes_them() {
        assert_eq!(mac("02:00:0a:ff:00:01"), Some([2, 0, 10, 255, 0, 1]));
        for text in ["", "02:00:0a:ff:00", "02:00:0a:ff:00:01:02", "02:00:0a:ff:00:zz"] {
            assert_eq!(mac(text), None, "{text}");
        }
    }
}
