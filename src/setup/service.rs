//! Brings a written configuration into force where systemd is: the guests' network, then the service. Knows nothing of what
//! stands in it.

use crate::network::NetworkSettings;
use crate::network::command;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

const DAEMON: &str = "tillgate.service";
/// Where phones come in: made from the configuration, and started with the daemon.
const SOCKETS: [&str; 2] = ["tillgate-http.socket", "tillgate-https.socket"];
/// What governs the guests' network, in the order of starting.
const GOVERNORS: [&str; 4] =
    ["tillgate-closed.service", "tillgate-netd.socket", "tillgate-netd.service", "tillgate-advertise.service"];

/// How it went.
#[derive(Debug)]
pub(super) enum Started {
    /// It runs.
    Runs,
    /// There is no service manager, or it has no such service: somebody else starts the daemon.
    NotOurs(&'static str),
    /// It was tried, and did not come about.
    Failed(String),
}

/// Puts the router's files in place and tells their readers. `false`: something was in the way, and it was said.
pub(super) fn govern(settings: &NetworkSettings) -> io::Result<bool> {
    let Some(commands) = command::put_in_place(settings)? else { return Ok(false) };
    let mut good = true;
    for line in commands {
        println!("  {line}");
        good &= Command::new("sh").args(["-c", &line]).stdin(Stdio::null()).status()?.success();
    }
    for unit in GOVERNORS.into_iter().filter(|unit| is_known(unit)) {
        println!("  systemctl enable {unit}; systemctl restart {unit}");
        good &= systemctl(&["enable", unit])? && systemctl(&["restart", unit])?;
    }
    Ok(good)
}

/// Whether systemd manages this machine.
pub(super) fn has_manager() -> bool {
    Path::new("/run/systemd/system").exists()
}

/// Starts the daemon, now and at every start of the machine. `changed`: one that runs has to read its configuration.
pub(super) fn start(changed: bool) -> io::Result<Started> {
    if !has_manager() {
        return Ok(Started::NotOurs("there is no systemd here"));
    }
    if !is_known(DAEMON) {
        return Ok(Started::NotOurs("systemd has no tillgate.service"));
    }
    let runs = systemctl(&["is-active", "--quiet", DAEMON])?;
    if changed || !runs {
        // A socket keeps its old address as long as it or its daemon runs.
        for unit in [DAEMON].into_iter().chain(SOCKETS).filter(|unit| is_known(unit)) {
            systemctl(&["stop", unit])?;
        }
        systemctl(&["daemon-reload"])?;
    }
    let good = systemctl(&["enable", "--now", DAEMON])?;
    Ok(match good {
        true => Started::Runs,
        false => Started::Failed(format!("{DAEMON} does not start: journalctl -u {DAEMON} -n 20 says why")),
    })
}

fn is_known(unit: &str) -> bool {
    let said = Command::new("systemctl").args(["cat", unit]).stdin(Stdio::null()).output();
    said.is_ok_and(|said| said.status.success())
}

fn systemctl(args: &[&str]) -> io::Result<bool> {
    Ok(Command::new("systemctl").args(args).stdin(Stdio::null()).status()?.success())
}
