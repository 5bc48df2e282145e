//! Which hardware address is behind an address of the guests' network, as the kernel's own neighbour table has it, followed
//! live. Needs no right; believes what phones say of themselves as far as the kernel does, and decides nothing by it.

use super::netlink::{self, DONE, DUMP, Message, Out, REQUEST, Socket};
use super::settings::NetworkSettings;
use ipnet::IpNet;
use rustix::net::{AddressFamily, SocketType};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

/// Neighbours that are remembered; the kernel is asked about others each time.
const KNOWN_MAX: usize = 16_384;
/// How soon the follower notices that nobody wants to know any more.
const READ_WAIT: Duration = Duration::from_millis(500);

/// `RTNLGRP_NEIGH`, 3: the third bit.
const CHANGES: u32 = 1 << 2;
const NEW: u16 = 28;
const GONE: u16 = 29;
const GET: u16 = 30;
/// `NDA_DST`.
const A_ADDRESS: u16 = 1;
/// `NDA_LLADDR`.
const A_MAC: u16 = 2;
/// `struct ndmsg`.
const HEAD_BYTES: usize = 12;
/// `NUD_INCOMPLETE` and `NUD_FAILED`: nobody has answered.
const UNANSWERED: u16 = 0x01 | 0x20;

type Known = RwLock<BTreeMap<IpAddr, [u8; 6]>>;

/// The neighbours on the guests' bridge. Clones know the same.
#[derive(Clone, Debug)]
pub struct Neighbours {
    known: Arc<Known>,
    guests: Guests,
}

/// Whose neighbours count.
#[derive(Clone, Debug)]
struct Guests {
    bridge: String,
    networks: Vec<IpNet>,
}

impl Neighbours {
    /// Reads the table and follows it from now on, in a thread that ends when nobody wants to know any more.
    pub fn follow(settings: &NetworkSettings) -> io::Result<Neighbours> {
        let six = settings.guests.ipv6.map(|net| IpNet::V6(net.trunc()));
        let networks = std::iter::once(IpNet::V4(settings.guests.subnet())).chain(six).collect();
        let guests = Guests { bridge: settings.guests.bridge.to_string(), networks };
        let mut socket = Socket::open(None, CHANGES)?;
        socket.read_timeout(READ_WAIT)?;
        ask_for_all(&mut socket)?;
        let neighbours = Neighbours { known: Arc::default(), guests: guests.clone() };
        let known = Arc::downgrade(&neighbours.known);
        let follow = move || follow(&mut socket, &known, &guests);
        std::thread::Builder::new().name("tillgate-neigh".into()).spawn(follow)?;
        Ok(neighbours)
    }

    /// The hardware address behind an address, if it is one of a guest's and the kernel knows it.
    pub fn mac_of(&self, ip: IpAddr) -> Option<[u8; 6]> {
        if !self.guests.has(ip) {
            return None;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&ip).copied();
        // What the kernel learnt just now may not have been heard yet.
        known.or_else(|| self.guests.ask(ip).ok().flatten())
    }

    /// The address by version 4 of a guest with this hardware address; any of them, if it has several.
    pub(super) fn four_of(&self, mac: [u8; 6]) -> Option<Ipv4Addr> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find_map(|(ip, of)| match ip {
            IpAddr::V4(ip) if *of == mac => Some(*ip),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
    }
}

impl Guests {
    fn has(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&ip))
    }

    fn ask(&self, ip: IpAddr) -> io::Result<Option<[u8; 6]>> {
        let any = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let link = rustix::net::netdevice::name_to_index(&any, &self.bridge)?;
        let mut socket = Socket::open(None, 0)?;
        let mut out = Out::default();
        out.message(GET, REQUEST, 1, |out| {
            head(out, ip, link);
            match ip {
                IpAddr::V4(ip) => out.attribute(A_ADDRESS, &ip.octets()),
                IpAddr::V6(ip) => out.attribute(A_ADDRESS, &ip.octets()),
            }
        });
        socket.send(&out)?;
        let bytes = socket.read_now()?.unwrap_or(&[]);
        Ok(netlink::messages(bytes).find_map(|message| neighbour(&message)).and_then(|(_, mac)| mac))
    }
}

fn follow(socket: &mut Socket, known: &Weak<Known>, guests: &Guests) {
    while let Some(known) = known.upgrade() {
        match socket.read() {
            Ok(bytes) => {
                let mut known = known.write().unwrap_or_else(PoisonError::into_inner);
                for (ip, mac) in netlink::messages(bytes).filter_map(|message| neighbour(&message)) {
                    match mac.filter(|_| guests.has(ip)) {
                        Some(mac) if known.len() < KNOWN_MAX || known.contains_key(&ip) => drop(known.insert(ip, mac)),
                        Some(_) | None => drop(known.remove(&ip)),
                    }
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => {
                // More changed than there was room for: what we know may be wrong, so all of it is read anew.
                tracing::debug!(%error, "neighbours are read anew");
                known.write().unwrap_or_else(PoisonError::into_inner).clear();
                if let Err(error) = ask_for_all(socket) {
                    tracing::warn!(%error, "the kernel's neighbours cannot be read");
                }
            }
        }
    }
}

fn ask_for_all(socket: &mut Socket) -> io::Result<()> {
    let mut out = Out::default();
    let seq = socket.next_seq();
    out.message(GET, REQUEST | DUMP, seq, |out| head(out, IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
    socket.send(&out)
}

/// What a message says of a neighbour: who is behind the address now, `None` if nobody. `None` if it says nothing of one.
fn neighbour(message: &Message<'_>) -> Option<(IpAddr, Option<[u8; 6]>)> {
    if message.kind == DONE || (message.kind != NEW && message.kind != GONE) {
        return None;
    }
    let (head, attributes) = message.body.split_at_checked(HEAD_BYTES)?;
    let state = u16::from_ne_bytes(*head.get(8..)?.first_chunk()?);
    let address = netlink::attribute(attributes, A_ADDRESS)?;
    let ip = match address.len() {
        4 => IpAddr::from(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        16 => IpAddr::from(Ipv6Addr::from(*address.first_chunk::<16>()?)),
        _ => return None,
    };
    let mac = netlink::attribute(attributes, A_MAC).filter(|mac| mac.len() == 6).and_then(|mac| mac.first_chunk());
    let answered = message.kind == NEW && state & UNANSWERED == 0;
    Some((ip, mac.copied().filter(|_| answered)))
}

/// `struct ndmsg` in a request.
fn head(out: &mut Out, ip: IpAddr, link: u32) {
    let family = match ip {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    // A dump asks of no family: version 4 and 6 come together.
    let family = if link == 0 { 0 } else { family.as_raw() };
    let [low, _] = family.to_le_bytes();
    out.raw(&[low, 0, 0, 0]);
    out.raw(&link.to_ne_bytes());
    out.raw(&[0; 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `RTM_NEWNEIGH` or `RTM_DELNEIGH` as the kernel writes it.
    fn told(kind: u16, state: u16, ip: [u8; 4], mac: Option<[u8; 6]>) -> Vec<u8> {
        let mut out = Out::default();
        out.message(kind, 0, 0, |out| {
            out.raw(&[2, 0, 0, 0, 7, 0, 0, 0]);
            out.raw(&state.to_ne_bytes());
            out.raw(&[0, 1]);
            out.attribute(A_ADDRESS, &ip);
            if let Some(mac) = mac {
                out.attribute(A_MAC, &mac);
            }
            out.attribute(3, &[0; 16]);
        });
        out.bytes().to_vec()
    }

    #[test]
    fn only_neighbours_that_have_answered_have_a_hardware_address() {
        let (ip, mac) = ([192, 168, 50, 7], [2, 0, 0, 0, 0, 7]);
        for (kind, state, with, answer) in [
            (NEW, 0x02, Some(mac), Some(mac)),
            (NEW, 0x04, Some(mac), Some(mac)),
            (NEW, 0x10, Some(mac), Some(mac)),
            (NEW, 0x80, Some(mac), Some(mac)),
            (NEW, 0x01, None, None),
            (NEW, 0x01, Some(mac), None),
            (NEW, 0x20, Some(mac), None),
            (GONE, 0x02, Some(mac), None),
        ] {
            let bytes = told(kind, state, ip, with);
            let read: Vec<_> = netlink::messages(&bytes).filter_map(|m| neighbour(&m)).collect();
            assert_eq!(read, [(IpAddr::from(ip), answer)], "{kind} {state}");
        }
        let bytes = told(16, 2, ip, Some(mac));
        assert_eq!(netlink::messages(&bytes).find_map(|m| neighbour(&m)), None);
    }
}
