//! `port` and `peer` of a till: a serial port, or a TCP port of ours and the till's address. Opens neither.

use super::speech::Speech;
use crate::config::reader::{At, Reader, Section};
use crate::till::{Port, stable_name};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// What a port on TCP begins with.
const TCP: &str = "tcp://";
/// Names that the system gives in the order of plugging.
const UNSTABLE: [&str; 2] = ["/dev/ttyUSB", "/dev/ttyACM"];

/// Where a till is, and where that is written.
pub(super) enum Place {
    /// At a serial port.
    Serial(At<PathBuf>),
    /// On TCP; a part that is wrong is absent, and a fault was found.
    Tcp { listen: Option<SocketAddr>, peer: Option<IpAddr>, span: Range<usize> },
}

impl Place {
    /// What the section says. Where it is wrong, a fault was found.
    pub(super) fn read<'t>(reader: &mut Reader<'t>, till: &mut Section<'t>) -> Option<Place> {
        let port = reader.need_text(till, "port", "/dev/serial/by-id/usb-...-port0");
        let peer = reader.text(till, "peer");
        let port = port?;
        let Some(address) = port.value.strip_prefix(TCP) else {
            if let Some(peer) = peer {
                let what = "a till at a serial port has no address";
                reader.fault(&peer.span, what, "take `peer` away, or write port = \"tcp://0.0.0.0:20007\"");
            }
            let value = crate::config::absolute(reader, &port)?;
            return Some(Place::Serial(At { value, span: port.span }));
        };
        let listen = listen(reader, address, &port.span);
        let peer = match peer {
            Some(peer) => peer_of(reader, &peer),
            None => {
                let what = "a till on TCP is known by its address, which `peer` says";
                reader.fault(&port.span, what, "add a line such as: peer = \"192.168.1.20\"");
                None
            }
        };
        Some(Place::Tcp { listen, peer, span: port.span })
    }

    /// The port, which must be nobody else's and fit the protocol.
    pub(super) fn port(self, reader: &mut Reader<'_>, speech: &Speech, ports: &mut Vec<At<Port>>) -> Option<Port> {
        let (port, real, span) = match self {
            Place::Serial(path) => {
                let real = look_at(reader, &path);
                (Port::Serial(path.value), Port::Serial(real), path.span)
            }
            Place::Tcp { listen, peer, span } => {
                if let Some(name) = speech.only_serial() {
                    let what = format!("{name} is spoken on serial lines only");
                    reader.fault(
                        &span,
                        what,
                        "name the serial port, or write protocol = \"zvt\" if the till speaks that",
                    );
                }
                let port = Port::Tcp { listen: listen?, peer: peer? };
                (port.clone(), port, span)
            }
        };
        if let Some((what, fix)) = ports.iter().find_map(|other| taken(reader, &other.value, &other.span, &real)) {
            reader.fault(&span, what, fix);
        } else {
            ports.push(At { value: real, span });
        }
        Some(port)
    }
}

/// Why this port cannot be beside that other one, and what to do.
fn taken(reader: &Reader<'_>, other: &Port, at: &Range<usize>, port: &Port) -> Option<(String, &'static str)> {
    let line = reader.line(at);
    match (other, port) {
        (Port::Serial(one), Port::Serial(two)) if one == two => {
            let what = format!("the port on line {line} is this one, {}", two.display());
            Some((what, "give each till a port of its own"))
        }
        (Port::Tcp { listen: one, peer: of }, Port::Tcp { listen: two, peer })
            if one == two && of.to_canonical() == peer.to_canonical() =>
        {
            let what = format!("the till on line {line} is at {} and comes to {two} too", peer.to_canonical());
            Some((what, "give each till an address of its own, or a TCP port of its own"))
        }
        (Port::Tcp { listen: one, .. }, Port::Tcp { listen: two, .. })
            if one != two && one.port() == two.port() && (all(one) || all(two)) =>
        {
            let what = format!("{one} on line {line} and {two} cannot be listened at together");
            Some((what, "write the same address for both, or another TCP port"))
        }
        (Port::Serial(_) | Port::Tcp { .. }, Port::Serial(_) | Port::Tcp { .. }) => None,
    }
}

/// Whether it is all addresses of this machine.
fn all(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_unspecified()
}

fn listen(reader: &mut Reader<'_>, address: &str, at: &Range<usize>) -> Option<SocketAddr> {
    let fix = "write address and port, such as \"tcp://0.0.0.0:20007\" or \"tcp://[::]:20007\"";
    match address.trim_end_matches('/').parse::<SocketAddr>() {
        Ok(address) if address.port() == 0 => {
            reader.fault(at, "a till must know to which TCP port it is to go", fix);
            None
        }
        Ok(address) => Some(address),
        Err(_) => {
            reader.fault(at, format!("\"{address}\" is no address to listen at"), fix);
            None
        }
    }
}

fn peer_of(reader: &mut Reader<'_>, peer: &At<&str>) -> Option<IpAddr> {
    let fix = "write the till's own address, such as \"192.168.1.20\", and let the router always give it that one";
    match peer.value.parse::<IpAddr>() {
        Ok(peer_ip) if peer_ip.is_unspecified() || peer_ip.is_multicast() => {
            reader.fault(&peer.span, format!("no till has the address {peer_ip}"), fix);
            None
        }
        Ok(peer) => Some(peer),
        Err(_) => {
            reader.fault(&peer.span, format!("\"{}\" is no address", peer.value), fix);
            None
        }
    }
}

/// The port behind all links; says what is odd about it.
fn look_at(reader: &mut Reader<'_>, path: &At<PathBuf>) -> PathBuf {
    let At { value: port, span } = path;
    let unstable = UNSTABLE.iter().any(|name| port.to_string_lossy().starts_with(name));
    let stable = if unstable { stable_name(port) } else { None };
    if let Some(stable) = &stable {
        let what = format!("{} may be another adapter after the next start", port.display());
        reader.warn(span, what, format!("write port = \"{}\"", stable.display()));
    } else if unstable {
        let what = format!("{} may be another adapter after the next start", port.display());
        reader.warn(span, what, "plug it in, and write its name in /dev/serial/by-id, or in /dev/serial/by-path");
    }
    let Ok(real) = std::fs::canonicalize(port) else {
        let what = format!("there is no {} now", port.display());
        reader.warn(span, what, "plug the till in, or look in /dev/serial/by-id for its name");
        return port.clone();
    };
    if !is_device(&real) {
        let what = format!("{} is no serial port", port.display());
        reader.warn(span, what, "look in /dev/serial/by-id for its name");
    }
    real
}

fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.file_type().is_char_device())
}
