//! Neighbour discovery as a phone speaks and hears it: packets of any kind, true or forged, from its network card.

use super::machine::Machine;
use rustix::net::{RecvFlags, recvfrom};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

pub(super) const NOBODY: Ipv6Addr = Ipv6Addr::UNSPECIFIED;
pub(super) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
pub(super) const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// An honest question of whoever has no address, and who does not say its hardware address.
pub(super) const QUESTION: [u8; 8] = [133, 0, 0, 0, 0, 0, 0, 0];
const ICMP: u8 = 58;
const ADVERT: u8 = 134;
const LINK: &str = "eth0";

/// A packet of neighbour discovery; the checksum is put right.
pub(super) struct Packet<'b> {
    pub(super) from: Ipv6Addr,
    pub(super) to: Ipv6Addr,
    pub(super) hops: u8,
    pub(super) message: &'b [u8],
}

impl Packet<'_> {
    /// Out of this machine's card, whoever it says that it is from.
    pub(super) fn leaves(&self, machine: &Machine) {
        let length = u16::try_from(self.message.len()).unwrap();
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(length.to_be_bytes());
        bytes.extend([ICMP, self.hops]);
        bytes.extend(self.from.octets());
        bytes.extend(self.to.octets());
        let mut message = self.message.to_vec();
        message[2..4].copy_from_slice(&self.checksum().to_be_bytes());
        bytes.extend(message);
        machine.run(|| {
            // `IPPROTO_RAW`: the head is ours.
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(255))).unwrap();
            socket.bind_device(Some(LINK.as_bytes())).unwrap();
            let index = rustix::net::netdevice::name_to_index(&socket, LINK).unwrap();
            socket.send_to(&bytes, &SockAddr::from(SocketAddrV6::new(self.to, 0, 0, index))).unwrap();
        });
    }

    /// RFC 4443 2.3.
    fn checksum(&self) -> u16 {
        let mut summed = [self.from.octets(), self.to.octets()].concat();
        summed.extend(u32::try_from(self.message.len()).unwrap().to_be_bytes());
        summed.extend([0, 0, 0, ICMP]);
        summed.extend(self.message);
        summed.resize(summed.len().next_multiple_of(2), 0);
        let mut sum: u32 = summed.chunks(2).map(|two| u32::from(u16::from_be_bytes([two[0], two[1]]))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !u16::try_from(sum).unwrap()
    }
}

/// An advertisement that a phone heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) from: Ipv6Addr,
    pub(super) after: Duration,
    /// From the first byte of the message on.
    pub(super) bytes: Vec<u8>,
}

impl Heard {
    /// For how many seconds its sender is a router.
    pub(super) fn router_secs(&self) -> u16 {
        u16::from_be_bytes([self.bytes[6], self.bytes[7]])
    }

    /// Without the checksum.
    pub(super) fn says(&self) -> Vec<u8> {
        [&self.bytes[..2], &[0, 0], &self.bytes[4..]].concat()
    }

    /// What the options of this kind hold, without kind and length.
    pub(super) fn options(&self, kind: u8) -> Vec<&[u8]> {
        let (mut rest, mut found) = (&self.bytes[16..], Vec::new());
        while let [of, eights, ..] = rest {
            let (option, after) = rest.split_at(usize::from(*eights) * 8);
            if *of == kind {
                found.push(&option[2..]);
            }
            rest = after;
        }
        found
    }
}

/// Hears every advertisement that reaches a machine from now on.
pub(super) struct Ear {
    socket: Socket,
    since: Instant,
}

impl Ear {
    pub(super) fn of(machine: &Machine) -> Ear {
        let socket = machine.run(|| {
            let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6)).unwrap();
            socket.bind_device(Some(LINK.as_bytes())).unwrap();
            socket
        });
        Ear { socket, since: Instant::now() }
    }

    /// The next within this time, if there is one.
    pub(super) fn hears(&self, within: Duration) -> Option<Heard> {
        let (began, mut bytes) = (Instant::now(), [0; 2_048]);
        loop {
            let left = within.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
            self.socket.set_read_timeout(Some(left)).unwrap();
            let Ok((_, count, from)) = recvfrom(&self.socket, &mut bytes, RecvFlags::empty()) else { continue };
            if count >= 16 && bytes[0] == ADVERT {
                let from = *SocketAddrV6::try_from(from.unwrap()).unwrap().ip();
                return Some(Heard { from, after: self.since.elapsed(), bytes: bytes[..count].to_vec() });
            }
        }
    }

    /// Everything within this time.
    pub(super) fn hears_all(&self, within: Duration) -> Vec<Heard> {
        let end = Instant::now() + within;
        std::iter::from_fn(|| self.hears(end.saturating_duration_since(Instant::now()))).collect()
    }
}
