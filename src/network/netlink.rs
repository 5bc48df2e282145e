//! Netlink messages as bytes, and a socket for them. Knows no rule, phone or neighbour.
//!
//! Layouts: `linux/netlink.h`. One small codec serves both families we speak; crates for routes come with a runtime of
//! their own, and none knows the elements of nftables' sets.

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Kinds of message that all families have.
pub(super) const ERROR: u16 = 2;
/// See [`ERROR`].
pub(super) const DONE: u16 = 3;

/// `NLM_F_REQUEST`.
pub(super) const REQUEST: u16 = 1;
/// `NLM_F_DUMP`.
pub(super) const DUMP: u16 = 0x300;
/// `NLM_F_CREATE`.
pub(super) const CREATE: u16 = 0x400;

const HEAD_BYTES: usize = 16;
const NESTED: u16 = 0x8000;
/// The two top bits of an attribute's kind are flags.
const KIND: u16 = 0x3fff;
/// What one reading takes at most: more than the kernel puts together.
const READ_BYTES: usize = 64 << 10;

/// Messages being written.
#[derive(Debug, Default)]
pub(super) struct Out(Vec<u8>);

impl Out {
    /// Adds a message; `fill` writes what follows its head.
    pub(super) fn message(&mut self, kind: u16, flags: u16, seq: u32, fill: impl FnOnce(&mut Out)) {
        let at = self.0.len();
        self.0.extend(0_u32.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(flags.to_ne_bytes());
        self.0.extend(seq.to_ne_bytes());
        self.0.extend(0_u32.to_ne_bytes());
        fill(self);
        let length = u32::try_from(self.0.len().saturating_sub(at)).unwrap_or(u32::MAX);
        self.patch(at, &length.to_ne_bytes());
    }

    /// Adds bytes as they are.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
    }

    /// Adds an attribute.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.wrap(kind, |out| out.raw(value));
    }

    /// Adds an attribute of text.
    pub(super) fn text(&mut self, kind: u16, value: &str) {
        self.wrap(kind, |out| {
            out.raw(value.as_bytes());
            out.raw(&[0]);
        });
    }

    /// Adds an attribute that consists of attributes.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Out)) {
        self.wrap(kind | NESTED, fill);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn wrap(&mut self, kind: u16, fill: impl FnOnce(&mut Out)) {
        let at = self.0.len();
        self.0.extend(0_u16.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        fill(self);
        let length = u16::try_from(self.0.len().saturating_sub(at)).unwrap_or(u16::MAX);
        self.patch(at, &length.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn patch(&mut self, at: usize, with: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(with) {
            *to = *from;
        }
    }
}

/// A message that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'b> {
    pub(super) kind: u16,
    pub(super) seq: u32,
    /// The port of whoever asked for what it says; 0: nobody.
    pub(super) port: u32,
    pub(super) body: &'b [u8],
}

impl Message<'_> {
    /// The error that it is, if it is one. An acknowledgement is none.
    pub(super) fn error(&self) -> Option<io::Error> {
        let code = (self.kind == ERROR).then(|| number(self.body))??;
        (code != 0).then(|| io::Error::from_raw_os_error(i32::from_ne_bytes(code.to_ne_bytes()).saturating_neg()))
    }
}

/// The messages in what was read; ends at what is none.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(number(bytes)?).ok()?;
        let kind = short(bytes.get(4..)?)?;
        let (seq, port) = (number(bytes.get(8..)?)?, number(bytes.get(12..)?)?);
        let body = bytes.get(HEAD_BYTES..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(Message { kind, seq, port, body })
    })
}

/// The attributes in these bytes, by kind; ends at what is none.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(short(bytes)?);
        let kind = short(bytes.get(2..)?)? & KIND;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    })
}

/// The first attribute of this kind.
pub(super) fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

/// An attribute's text, without the zero at its end.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(&[0]).unwrap_or(bytes)
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.first_chunk()?))
}

fn short(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.first_chunk()?))
}

/// A conversation with the kernel.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    port: u32,
    seq: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens one that hears of these `groups` (a bit for each, the first is bit 0). `protocol`: `None` is routes.
    pub(super) fn open(protocol: Option<Protocol>, groups: u32) -> io::Result<Socket> {
        let family = AddressFamily::NETLINK;
        let fd = rustix::net::socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, groups))?;
        let port = SocketAddrNetlink::try_from(rustix::net::getsockname(&fd)?)?.pid();
        Ok(Socket { fd, port, seq: 0, buffer: vec![0; READ_BYTES] })
    }

    /// Our port: what the kernel says at our request carries it.
    pub(super) fn port(&self) -> u32 {
        self.port
    }

    /// A number for the next request.
    pub(super) fn next_seq(&mut self) -> u32 {
        self.seq = self.seq.wrapping_add(1).max(1);
        self.seq
    }

    /// Reading ends with [`io::ErrorKind::WouldBlock`] after so long.
    pub(super) fn read_timeout(&self, wait: Duration) -> io::Result<()> {
        let id = rustix::net::sockopt::Timeout::Recv;
        Ok(rustix::net::sockopt::set_socket_timeout(&self.fd, id, Some(wait))?)
    }

    /// Sends what was written, all of it or nothing. When this returns, the kernel has done it.
    pub(super) fn send(&self, out: &Out) -> io::Result<()> {
        rustix::net::sendto(&self.fd, out.bytes(), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        Ok(())
    }

    /// What there is, waiting for it as long as the socket waits.
    pub(super) fn read(&mut self) -> io::Result<&[u8]> {
        self.receive(RecvFlags::TRUNC)
    }

    /// What there is now; `None` if nothing.
    pub(super) fn read_now(&mut self) -> io::Result<Option<&[u8]>> {
        match self.receive(RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self, flags: RecvFlags) -> io::Result<&[u8]> {
        loop {
            let (_, count, from) = rustix::net::recvfrom(&self.fd, self.buffer.as_mut_slice(), flags)?;
            let from = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
            // Others may send, too; only the kernel is believed.
            if from.is_none_or(|from| from.pid() != 0) {
                continue;
            }
            return self.buffer.get(..count).ok_or_else(|| io::Error::other("a netlink message of more than 64 KiB"));
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_it_was_written() {
        let mut out = Out::default();
        out.message(7, REQUEST, 9, |out| {
            out.raw(&[1, 0, 0, 10]);
            out.text(1, "abc");
            out.nested(3, |out| out.attribute(5, &[1, 2, 3, 4, 5]));
        });
        out.message(DONE, 0, 10, |_| ());
        assert_eq!(out.bytes().len() % 4, 0);
        let read: Vec<_> = messages(out.bytes()).collect();
        assert_eq!((read.len(), read[0].kind, read[0].seq, read[1].kind), (2, 7, 9, DONE));
        let body = &read[0].body[4..];
        assert_eq!(text(attribute(body, 1).unwrap()), b"abc");
        assert_eq!(attribute(attribute(body, 3).unwrap(), 5), Some(&[1, 2, 3, 4, 5][..]));
        assert_eq!(attribute(body, 4), None);
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_ends_the_reading() {
        let mut out = Out::default();
        out.message(7, 0, 1, |out| out.attribute(1, &[1; 9]));
        let whole = out.bytes().to_vec();
        for end in 0..whole.len() {
            assert!(messages(&whole[..end]).count() <= 1, "{end}");
            assert!(attributes(&whole[16.min(end)..end]).count() <= 1, "{end}");
        }
        for length in [0_u32, 3, 15, 1 << 30, u32::MAX] {
            let mut lies = whole.clone();
            lies[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(messages(&lies).count(), 0, "{length}");
        }
        assert_eq!(attributes(&[0, 0, 1, 0, 0, 0, 0, 0]).count(), 0);
    }
}
