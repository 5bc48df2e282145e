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
