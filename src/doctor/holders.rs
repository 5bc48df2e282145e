//! Which programs have a device open or listen at a port, as `/proc` shows it. Sees programs of others only as root; asks and
//! ends none.

use crate::till::is_open_as;
use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Program {
    /// As the system calls it: the first 15 letters.
    pub(super) name: String,
    pub(super) process: u32,
}

/// Who listens at a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    Nobody,
    /// Somebody whom we may not see.
    Unseen,
    Programs(Vec<Program>),
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Udp,
}

/// Who has this file open.
pub(super) fn of_file(path: &Path) -> Vec<Program> {
    let Ok(file) = fs::metadata(path) else { return Vec::new() };
    programs(|entry| is_open_as(entry, &file))
}

/// Who listens where nobody else could listen at `at` any more.
pub(super) fn of_port(kind: Kind, at: SocketAddr) -> Listener {
    let names = match kind {
        Kind::Tcp => ["tcp", "tcp6"],
        Kind::Udp => ["udp", "udp6"],
    };
    let mut inodes = BTreeSet::new();
    for name in names {
        let table = fs::read_to_string(format!("/proc/net/{name}")).unwrap_or_default();
        inodes.extend(
            table.lines().filter_map(|line| socket(line, kind)).filter(|(there, _)| meet(*there, at)).map(|(_, n)| n),
        );
    }
    if inodes.is_empty() {
        return Listener::Nobody;
    }
    let found = programs(|entry| {
        let open = fs::read_link(entry).unwrap_or_default();
        let number =
            open.to_str().and_then(|name| name.strip_prefix("socket:[")).and_then(|name| name.strip_suffix(']'));
        number.is_some_and(|number| inodes.contains(number))
    });
    if found.is_empty() { Listener::Unseen } else { Listener::Programs(found) }
}

/// Whether two cannot be listened at together.
fn meet(there: SocketAddr, at: SocketAddr) -> bool {
    let (one, two) = (there.ip().to_canonical(), at.ip().to_canonical());
    there.port() == at.port() && (one == two || one.is_unspecified() || two.is_unspecified())
}

/// One row of `/proc/net/tcp` or its like: where it listens, and the number of its socket. Connections listen nowhere.
fn socket(row: &str, kind: Kind) -> Option<(SocketAddr, String)> {
    let mut words = row.split_whitespace().skip(1);
    let (ip, port) = words.next()?.split_once(':')?;
    let state = words.nth(1)?;
    // 0A: listens. 07: a datagram socket that is connected to nobody.
    if state != (if kind == Kind::Tcp { "0A" } else { "07" }) {
        return None;
    }
    let inode = words.nth(5)?.to_owned();
    let word = |at: usize| u32::from_str_radix(ip.get(at..at.checked_add(8)?)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (to, from) in bytes.iter_mut().zip([word(0)?, word(8)?, word(16)?, word(24)?].concat()) {
                *to = from;
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), inode))
}

/// Who has something open, beside ourselves. `is_it`: whether that is this entry of a process's `/proc/PID/fd`.
fn programs(is_it: impl Fn(&Path) -> bool) -> Vec<Program> {
    let own = std::process::id();
    let mut found = Vec::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(number) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let open = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let has_it = number != own && open.map(|entry| entry.path()).any(|entry| is_it(&entry));
        if has_it {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(Program { name: name.trim_end().to_owned(), process: number });
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_the_kernel_says_where_somebody_listens() {
        let four =
            "   0: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17325 1 0";
        assert_eq!(socket(four, Kind::Tcp), Some(("127.0.0.1:80".parse().unwrap(), "17325".to_owned())));
        assert_eq!(socket(&four.replace(" 0A ", " 01 "), Kind::Tcp), None);
        let six = "   0: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 99 1 0";
        assert_eq!(socket(six, Kind::Tcp), Some(("[::1]:443".parse().unwrap(), "99".to_owned())));
        let udp =
            " 1234: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5678 2 0";
        assert_eq!(socket(udp, Kind::Udp), Some(("0.0.0.0:67".parse().unwrap(), "5678".to_owned())));
        assert_eq!(socket("  sl  local_address rem_address   st", Kind::Tcp), None);
    }

    #[test]
    fn only_who_is_in_the_way_counts() {
        for (there, at, way) in [
            ("0.0.0.0:80", "192.168.50.1:80", true),
            ("[::]:80", "192.168.50.1:80", true),
            ("127.0.0.53:53", "192.168.50.1:53", false),
            ("192.168.50.1:81", "192.168.50.1:80", false),
            ("127.0.0.1:80", "0.0.0.0:80", true),
        ] {
            assert_eq!(meet(there.parse().unwrap(), at.parse().unwrap()), way, "{there} {at}");
        }
    }
}
