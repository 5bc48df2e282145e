//! Looks at what the box listens at and speaks over: serial ports and TCP and UDP ports, and who has them. Opens none of
//! them.

use super::holders::{self, Kind, Listener, Program};
use super::{Finding, odd, well, wrong};
use crate::config::Config;
use crate::till::Port;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;

/// Ours, and the one that hands over sockets.
const OURS: [&str; 2] = ["tillgate", "systemd"];
/// Who gives phones addresses and names.
const ROUTER: &str = "dnsmasq";

/// Serial ports that are not there, doors at which nobody listens, and all of them that other programs have.
pub(super) fn look(config: &Config, daemon_answers: bool) -> Vec<Finding> {
    let mut lacking: Vec<Finding> = Vec::new();
    let mut others: Vec<Finding> = Vec::new();
    for till in &config.tills {
        let part = format!("till {}", till.number);
        match &till.port {
            Port::Serial(path) => {
                // A running daemon says so itself.
                lacking.extend((!daemon_answers && !path.exists()).then(|| unplugged(&part, path)));
                others.extend(held(&part, path, daemon_answers));
            }
            Port::Tcp { listen, .. } => others.extend(taken(&part, Kind::Tcp, *listen, &OURS)),
        }
    }
    let doors = std::iter::once(config.portal.listen).chain(config.portal.secure.as_ref().map(|secure| secure.listen));
    // Port 0 is any: only the daemon knows which.
    for door in doors.filter(|door| door.port() != 0) {
        let deserted = daemon_answers && holders::of_port(Kind::Tcp, door) == Listener::Nobody;
        lacking.extend(deserted.then(|| {
            let what = format!("nobody listens at {door}: no phone finds its pages");
            wrong("portal", what, "journalctl -u tillgate says why")
        }));
        others.extend(taken("portal", Kind::Tcp, door, &OURS));
    }
    lacking.extend(elsewhere(&config.portal.url));
    if let Some(network) = &config.network {
        let own = IpAddr::V4(network.guests.address.addr());
        for (port, what) in [(53, "names"), (67, "addresses")] {
            // A program that gives addresses listens everywhere, whichever side it is for.
            let ip = if port == 67 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { own };
            let at = SocketAddr::new(ip, port);
            lacking.extend((holders::of_port(Kind::Udp, at) == Listener::Nobody).then(|| deserted_router(at, what)));
            others.extend(taken("router", Kind::Udp, at, &[ROUTER]));
        }
    }
    if others.is_empty() {
        others.push(well("programs", "no other program has a port of ours"));
    }
    lacking.extend(others);
    lacking
}

/// Phones are sent to an address that this machine does not have. By a name, whoever asks for it may get it right.
fn elsewhere(url: &str) -> Option<Finding> {
    let host = url.split_once("://")?.1.split('/').next()?;
    let at = host.parse::<SocketAddr>().map(|at| at.ip());
    let ip = at.or_else(|_| host.trim_matches(['[', ']']).parse::<IpAddr>()).ok()?;
    // Any port, for a moment, and nothing is sent.
    let absent = UdpSocket::bind((ip, 0)).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable);
    let what = format!("phones are sent to {url}, and this box does not have that address now");
    let fix = "see `ip address`: put the right one in portal.url, or the cable in; behind another server it is right as it is";
    absent.then(|| odd("portal", what, fix))
}

fn deserted_router(at: SocketAddr, what: &str) -> Finding {
    let what = format!("nobody gives phones {what} (UDP port {})", at.port());
    wrong("router", what, "systemctl restart dnsmasq; journalctl -u dnsmasq says why it ended")
}

fn unplugged(part: &str, path: &Path) -> Finding {
    let fix = "plug the adapter in, or look in /dev/serial/by-id for its name; `tillgate setup` finds it, too";
    wrong(part, format!("there is no {}", path.display()), fix)
}

/// Somebody else has it.
fn taken(part: &str, kind: Kind, at: SocketAddr, ours: &[&str]) -> Option<Finding> {
    let Listener::Programs(all) = holders::of_port(kind, at) else { return None };
    let other = all.iter().find(|program| !ours.contains(&program.name.as_str()))?;
    let name = if kind == Kind::Tcp { "TCP" } else { "UDP" };
    let what = format!("{} (process {}) has {name} port {} (we need {at})", other.name, other.process, at.port());
    Some(wrong(part, what, stop(other)))
}

fn stop(program: &Program) -> String {
    format!(
        "stop it for good: systemctl status {} says which service that is, systemctl disable --now ends it",
        program.process
    )
}

fn held(part: &str, path: &Path, daemon_answers: bool) -> Option<Finding> {
    let all = holders::of_file(path);
    let other = all.iter().find(|program| !OURS.contains(&program.name.as_str()))?;
    let what = format!("{} (process {}) has its port {} open", other.name, other.process, path.display());
    Some(match other.name.as_str() {
        "agetty" | "getty" => {
            let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
            let tty = real.file_name().unwrap_or_default().to_string_lossy().into_owned();
            wrong(part, what, format!("a log-in waits there: systemctl disable --now serial-getty@{tty}"))
        }
        "ModemManager" => wrong(part, what, "it takes the till for a modem: systemctl disable --now ModemManager"),
        _ if daemon_answers => odd(part, what, stop(other)),
        _ => wrong(part, what, stop(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_that_are_sent_elsewhere_are_found() {
        for here in ["http://127.0.0.1", "http://127.0.0.1:8080", "http://pay.shop.example"] {
            assert_eq!(elsewhere(here), None, "{here}");
        }
        // Of documentation (RFC 5737, RFC 3849): nobody has them.
        for other in ["http://192.0.2.7", "http://192.0.2.7:8080", "http://[2001:db8::7]", "http://[2001:db8::7]:81"] {
            assert!(elsewhere(other).is_some_and(|found| found.what.contains(other)), "{other}");
        }
    }
}
