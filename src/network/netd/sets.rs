//! The elements of the phones' sets in the kernel, changed and read without starting a program. Decides nothing.
//!
//! Layouts: `linux/netfilter/nf_tables.h` and `nfnetlink.h`. A change is one batch: done whole or not at all.

use super::super::netlink::{self, CREATE, DONE, DUMP, Message, Out, REQUEST, Socket};
use super::super::phone::{Phone, Way};
use super::super::ruleset::{Let, Sets};
use super::super::settings::{GARDEN, TABLE};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kernel tells of changes of rules in this group (`NFNLGRP_NFTABLES`, 7: the seventh bit).
pub(super) const CHANGES: u32 = 1 << 6;

const SUBSYSTEM: u16 = 10;
const INET: u8 = 1;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const GET_TABLE: u16 = 1;
const NEW_ELEMENTS: u16 = 12;
const GET_ELEMENTS: u16 = 13;
const DEL_ELEMENTS: u16 = 14;
const NEW_GENERATION: u16 = 15;
/// Of every message about a table or what is in it: the table's name.
const A_TABLE: u16 = 1;
/// Of a message about elements: their set, and they.
const A_SET: u16 = 2;
const A_ELEMENTS: u16 = 3;
const A_HANDLE: u16 = 4;
const A_LISTED: u16 = 1;
const A_KEY: u16 = 1;
const A_TIMEOUT: u16 = 4;
const A_EXPIRATION: u16 = 5;
const A_VALUE: u16 = 1;

const ENOENT: i32 = 2;

/// A change of what stands in the sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// From now on it stands there for so long, whether it stood there before or not, with nothing moved yet.
    Put(Let),
    /// It stands there no more.
    Take(Phone, Way),
}

/// The sets in the kernel.
#[derive(Debug)]
pub(super) struct Kernel {
    socket: Socket,
    /// Whether there are sets for version 6.
    six: bool,
}

impl Kernel {
    pub(super) fn open(six: bool) -> io::Result<Kernel> {
        let socket = Socket::open(Some(rustix::net::netlink::NETFILTER), 0)?;
        Ok(Kernel { socket, six })
    }

    /// What the kernel calls our own changes by.
    pub(super) fn port(&self) -> u32 {
        self.socket.port()
    }

    /// Makes the changes, all or none, in this order. The kernel has made them when sending returns, and then tells of faults
    /// only.
    pub(super) fn change(&mut self, changes: &[Change]) -> io::Result<()> {
        let out = batch(changes, self.six, self.socket.next_seq());
        self.forget_old()?;
        self.socket.send(&out)?;
        let mut failed = None;
        while let Some(bytes) = self.socket.read_now()? {
            failed = failed.or_else(|| netlink::messages(bytes).find_map(|message| message.error()));
        }
        failed.map_or(Ok(()), Err)
    }

    /// Who stands in the sets, and for how long still. Empty if there is no table.
    pub(super) fn phones(&mut self) -> io::Result<Vec<Let>> {
        let mut phones = Vec::new();
        for way in [Way::Paying, Way::Online] {
            let sets = Sets::of(way);
            self.dump(GET_ELEMENTS, sets.both, |message| {
                phones.extend(elements(message).filter_map(|(key, ms)| {
                    let phone = Phone { mac: *key.first_chunk()?, ip: Ipv4Addr::from(*key.last_chunk::<4>()?) };
                    Some(Let { phone, way, ms })
                }));
            })?;
        }
        Ok(phones)
    }

    /// The hosts that the resolver has put in reach; `None` if there is no such set.
    pub(super) fn garden(&mut self) -> io::Result<Option<BTreeSet<IpAddr>>> {
        let mut hosts = BTreeSet::new();
        let count = if self.six { 2 } else { 1 };
        for set in GARDEN.into_iter().take(count) {
            let there = self.dump(GET_ELEMENTS, set, |message| {
                hosts.extend(elements(message).filter_map(|(key, _)| match key.len() {
                    4 => Some(IpAddr::from(Ipv4Addr::from(*key.first_chunk::<4>()?))),
                    16 => Some(IpAddr::from(Ipv6Addr::from(*key.first_chunk::<16>()?))),
                    _ => None,
                }));
            })?;
            if !there {
                return Ok(None);
            }
        }
        Ok(Some(hosts))
    }

    /// What the kernel calls our table since it was made; `None` if there is none.
    pub(super) fn table(&mut self) -> io::Result<Option<Vec<u8>>> {
        self.forget_old()?;
        let mut out = Out::default();
        out.message(kind(GET_TABLE), REQUEST, self.socket.next_seq(), |out| {
            head(out, INET, 0);
            out.text(A_TABLE, TABLE);
        });
        self.socket.send(&out)?;
        let mut handle = None;
        while let Some(bytes) = self.socket.read_now()? {
            for message in netlink::messages(bytes) {
                match message.error() {
                    Some(error) if error.raw_os_error() == Some(ENOENT) => return Ok(None),
                    Some(error) => return Err(error),
                    None => {
                        let attributes = message.body.get(4..).unwrap_or(&[]);
                        handle = handle.or_else(|| netlink::attribute(attributes, A_HANDLE).map(<[u8]>::to_vec));
                    }
                }
            }
        }
        Ok(handle)
    }

    /// False if there is no such set.
    fn dump(&mut self, what: u16, set: &str, mut each: impl FnMut(&Message<'_>)) -> io::Result<bool> {
        self.forget_old()?;
        let mut out = Out::default();
        out.message(kind(what), REQUEST | DUMP, self.socket.next_seq(), |out| {
            head(out, INET, 0);
            out.text(A_TABLE, TABLE);
            out.text(A_SET, set);
        });
        self.socket.send(&out)?;
        while let Some(bytes) = self.socket.read_now()? {
            for message in netlink::messages(bytes) {
                match message.error() {
                    Some(error) if error.raw_os_error() == Some(ENOENT) => return Ok(false),
                    Some(error) => return Err(error),
                    None if message.kind == DONE => return Ok(true),
                    None => each(&message),
                }
            }
        }
        Ok(true)
    }

    /// Nothing that was not waited for may be taken for the answer to the next request.
    fn forget_old(&mut self) -> io::Result<()> {
        while self.socket.read_now()?.is_some() {}
        Ok(())
    }
}

/// Whether a message about changes means that somebody else had a hand in our table. `own`: the port of our own changes.
pub(super) fn is_meddling(message: &Message<'_>, own: u32) -> bool {
    if message.kind >> 8 != SUBSYSTEM || message.kind == kind(NEW_GENERATION) || message.port == own {
        return false;
    }
    let attributes = message.body.get(4..).unwrap_or(&[]);
    if netlink::attribute(attributes, A_TABLE).map(netlink::text) != Some(TABLE.as_bytes()) {
        return false;
    }
    if message.kind != kind(NEW_ELEMENTS) && message.kind != kind(DEL_ELEMENTS) {
        return true;
    }
    // The resolver adds to the garden, packets to what is counted; the phones' own sets are ours alone.
    let set = netlink::attribute(attributes, A_SET).map(netlink::text);
    [Way::Paying, Way::Online]
        .map(Sets::of)
        .iter()
        .flat_map(|s| [s.both, s.moved, s.six])
        .any(|one| set == Some(one.as_bytes()))
}

/// A put is add, delete, add: so the delete never fails, and the last add begins a new time. To take away alone would fail
/// for what the kernel has let go of by itself just now.
fn batch(changes: &[Change], six: bool, seq: u32) -> Out {
    let mut out = Out::default();
    out.message(BATCH_BEGIN, REQUEST, seq, |out| head(out, 0, SUBSYSTEM));
    for change in changes {
        let (phone, way, ms) = match change {
            Change::Put(one) => (one.phone, one.way, one.ms),
            Change::Take(phone, way) => (*phone, *way, 1_000),
        };
        let sets = Sets::of(way);
        let mut both = [0; 12];
        for (to, from) in both.iter_mut().zip(phone.mac.iter().chain(&[0; 2]).chain(&phone.ip.octets())) {
            *to = *from;
        }
        let keys: [(&str, &[u8]); 3] =
            [(sets.both, &both), (sets.moved, &phone.ip.octets()), (sets.six, phone.mac.as_slice())];
        let count = if six { 3 } else { 2 };
        for (set, key) in keys.into_iter().take(count) {
            element(&mut out, NEW_ELEMENTS, seq, set, key, Some(ms));
            element(&mut out, DEL_ELEMENTS, seq, set, key, None);
            if matches!(change, Change::Put(_)) {
                element(&mut out, NEW_ELEMENTS, seq, set, key, Some(ms));
            }
        }
    }
    out.message(BATCH_END, REQUEST, seq, |out| head(out, 0, SUBSYSTEM));
    out
}

fn element(out: &mut Out, what: u16, seq: u32, set: &str, key: &[u8], ms: Option<u64>) {
    let flags = if what == NEW_ELEMENTS { REQUEST | CREATE } else { REQUEST };
    out.message(kind(what), flags, seq, |out| {
        head(out, INET, 0);
        out.text(A_TABLE, TABLE);
        out.text(A_SET, set);
        out.nested(A_ELEMENTS, |out| {
            out.nested(A_LISTED, |out| {
                out.nested(A_KEY, |out| out.attribute(A_VALUE, key));
                if let Some(ms) = ms {
                    out.attribute(A_TIMEOUT, &ms.to_be_bytes());
                }
            });
        });
    });
}

/// The elements in a message: key, and milliseconds that are left.
fn elements<'b>(message: &Message<'b>) -> impl Iterator<Item = (&'b [u8], u64)> {
    let listed = message.body.get(4..).and_then(|body| netlink::attribute(body, A_ELEMENTS)).unwrap_or(&[]);
    netlink::attributes(listed).filter_map(|(_, element)| {
        let key = netlink::attribute(netlink::attribute(element, A_KEY)?, A_VALUE)?;
        let ms = netlink::attribute(element, A_EXPIRATION).or_else(|| netlink::attribute(element, A_TIMEOUT))?;
        Some((key, u64::from_be_bytes(*ms.first_chunk()?)))
    })
}

fn kind(what: u16) -> u16 {
    (SUBSYSTEM << 8) | what
}

/// `struct nfgenmsg`.
fn head(out: &mut Out, family: u8, resource: u16) {
    out.raw(&[family, 0]);
    out.raw(&resource.to_be_bytes());
}
