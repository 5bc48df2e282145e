//! A phone's visit, from accepting the terms to leaving.

use super::id::{SaleId, SessionId};
use super::pairing::Pairing;
use super::time::{BootId, Mono};
use std::fmt;
use std::net::IpAddr;

/// Where a phone is in the guests' network. Says whose reach is opened, never who acts. Its `Debug` hides the half of the
/// hardware address that tells one phone from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// Its address.
    pub ip: IpAddr,
    /// Its hardware address, where the network tells.
    pub mac: Option<[u8; 6]>,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.ip)?;
        match self.mac {
            Some([a, b, c, ..]) => write!(f, "/{a:02x}:{b:02x}:{c:02x}:.."),
            None => Ok(()),
        }
    }
}

/// A visit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Its secret name.
    pub id: SessionId,
    /// Where the phone was last.
    pub place: Place,
    /// The boot that the instants here belong to.
    pub boot: BootId,
    /// When it ends if nothing more is heard and no sale holds it.
    pub until: Mono,
    /// The till it stands at or is in line for.
    pub pairing: Option<Pairing>,
    /// The sale it is shown: the one being paid, or the ended one whose receipt has not been put away.
    pub sale: Option<SaleId>,
    /// Until when its phone reaches the internet, having paid. May be past.
    pub online_until: Option<Mono>,
}
