//! A shop in the machine: what an installer does to open it, and a till's program outside. Judges nothing.

use crate::machine::Machine;
use crate::town::{OUTSIDE, Town, tillgate};
use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Stdio};

/// Where phones find the portal.
pub(crate) const PORTAL: &str = "10.77.0.1:80";

/// Puts configuration and keys in their places and starts the daemon.
pub(crate) fn opens(machine: &mut Machine, town: &Town) {
    let file = |name: &str| fs::read_to_string(town.stage.file(name)).unwrap();
    machine.does("install -d -m 700 /etc/credstore");
    for (to, mode, content) in [
        ("/etc/tillgate/platform-ca.pem", "644", file("ca.pem")),
        ("/etc/tillgate/gateway.pem", "644", file("box.pem")),
        ("/etc/credstore/tillgate.platform.key", "600", file("box.key")),
        ("/etc/tillgate/tillgate.toml", "644", config(town)),
    ] {
        machine.does(&format!("cat >{to} <<'END'\n{content}END\nchmod {mode} {to}"));
    }
    machine.does("systemctl daemon-reload && systemctl start tillgate && sync");
}

/// The tills hang on the second serial port and those after it.
fn config(town: &Town) -> String {
    let mut text = format!(
        "[shop]\nname = \"Corner Shop\"\ncurrency = \"EUR\"\nlanguage = \"en\"\ntime_zone = \"Europe/Berlin\"\n\
         [limits]\namount_min = \"0.10\"\namount_max = \"1000.00\"\n\
         [portal]\nlisten = \"10.77.0.1:80\"\nurl = \"http://10.77.0.1\"\n\
         [platform]\nurl = \"https://{OUTSIDE}:{}\"\nca = \"/etc/tillgate/platform-ca.pem\"\n\
         certificate = \"/etc/tillgate/gateway.pem\"\nkey = \"credential:platform.key\"\npins = [\"{}\"]\n",
        town.api.port(),
        town.pin
    );
    for (at, (number, _)) in town.cables.iter().enumerate() {
        let _ = write!(text, "[[till]]\nnumber = {number}\nlabel = \"Front\"\nport = \"/dev/ttyS{}\"\n", at + 1);
    }
    text
}

/// A till's program that asks for so much. Its name is its state's.
pub(crate) fn asks(town: &Town, at: usize, args: &[&str]) -> Child {
    let (number, cable) = &town.cables[at];
    cable.unlock();
    let state = town.stage.file(&format!("till-{number}"));
    let mut till = tillgate();
    till.args(["till", "--port"]).arg(&cable.till_end).arg("--state").arg(state).args(args);
    till.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What it printed, and whether it ended well.
pub(crate) fn is_told(till: Child) -> (Option<i32>, String) {
    let done = till.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    (done.status.code(), text)
}
