//! Looks at what the box listens at and speaks over: serial ports and TCP and UDP ports, and who has them. Opens none.

use super::holders::{self, Kind, Listener, Program};
use super::{Finding, odd, well, wrong};
use crate::config::Config;
use crate::till::Port;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

/// Ours, and the one that hands over sockets.
const OURS: [&str; 2] = ["tillgate", "systemd"];
/// Who gives phones addresses and names.
const ROUTER: &str = "dnsmasq";

/// Serial ports that are not there or that others have, and TCP and UDP ports that others have.
pub(super) fn look(config: &Config, daemon_answers: bool) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for till in &config.tills {
        let part = format!("till {}", till.number);
        match &till.port {
            Port::Serial(path) => found.extend(serial(&part, path, daemon_answers)),
            Port::Tcp { listen, .. } => found.extend(taken(&part, Kind::Tcp, *listen, &OURS)),
        }
    }
    let doors = std::iter::once(config.portal.listen).chain(config.portal.secure.as_ref().map(|secure| secure.listen));
    for door in doors {
        let listener = holders::of_port(Kind::Tcp, door);
        found.extend(match listener {
            Listener::Nobody if daemon_answers => Some(wrong(
                "portal",
                format!("nobody listens at {door}: no phone finds its pages"),
                "journalctl -u tillgate says why",
            )),
            Listener::Nobody | Listener::Unseen | Listener::Programs(_) => taken("portal", Kind::Tcp, door, &OURS),
        });
    }
    if let Some(network) = &config.network {
        let own = IpAddr::V4(network.guests.address.addr());
        for (port, what) in [(53, "names"), (67, "addresses")] {
            // A program that gives addresses listens everywhere, whichever side it is for.
            let ip = if port == 67 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { own };
            found.extend(router(SocketAddr::new(ip, port), what));
        }
    }
    if found.iter().all(|finding| finding.grade == super::Grade::Well) {
        found.insert(0, well("programs", "no other program has a port of ours"));
    }
    found
}

fn router(at: SocketAddr, what: &str) -> Option<Finding> {
    match holders::of_port(Kind::Udp, at) {
        Listener::Nobody => Some(wrong(
            "router",
            format!("nobody gives phones {what} (UDP port {})", at.port()),
            "systemctl restart dnsmasq; journalctl -u dnsmasq says why it ended",
        )),
        Listener::Unseen | Listener::Programs(_) => taken("router", Kind::Udp, at, &[ROUTER]),
    }
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

fn serial(part: &str, path: &Path, daemon_answers: bool) -> Option<Finding> {
    if !path.exists() {
        // A running daemon says so itself.
        let what = format!("there is no {}", path.display());
        let fix = "plug the adapter in, or look in /dev/serial/by-id for its name; `tillgate setup` finds it, too";
        return (!daemon_answers).then(|| wrong(part, what, fix));
    }
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
