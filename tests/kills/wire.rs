//! A till on TCP whose wire is cut without a word: no end of the connection comes, and it is noticed all the same.

use crate::rig::{Dress, Rig, eventually};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Tries on a connection begin 10 s after its last sign of life; a till's system may leave them unanswered for 20 s.
const NOTICED: Duration = Duration::from_secs(28);

#[test]
fn a_wire_that_is_cut_is_noticed_and_the_till_comes_back_on_another_connection() {
    let wire = Wire::new();
    let more = format!(
        "\n[[till]]\nnumber = 8\nport = \"tcp://{}:20007\"\npeer = \"{}\"\nprotocol = \"zvt\"\n",
        wire.ours, wire.tills
    );
    let mut rig = Rig::dressed(Dress { more, ..Dress::default() });
    rig.start();
    eventually("the daemon is ready", || rig.log().contains(" ready portal"));
    let mut paying = wire.till(&["pay", "1.00"]);
    eventually("the till asks", || rig.log().contains("request taken till=8"));
    wire.is(false);
    let cut = Instant::now();
    eventually("the cut is noticed", || rig.log().contains("till disconnected"));
    assert!(cut.elapsed() < NOTICED, "{:?}", cut.elapsed());
    wire.is(true);
    paying.kill().unwrap();
    paying.wait().unwrap();
    assert!(wire.till(&["register"]).wait().unwrap().success());
}

/// A network of its own with the till in it.
struct Wire {
    name: String,
    ours: String,
    tills: String,
}

impl Wire {
    fn new() -> Wire {
        let [.., high, low] = std::process::id().to_be_bytes();
        let name = format!("tg{high:02x}{low:02x}");
        let (ours, tills) = (format!("10.{}.{low}.1", 128 | (high & 63)), format!("10.{}.{low}.2", 128 | (high & 63)));
        let wire = Wire { name, ours, tills };
        let (name, far) = (&wire.name, format!("{}t", wire.name));
        ip(&["netns", "add", name]);
        ip(&["link", "add", name, "type", "veth", "peer", "name", &far, "netns", name]);
        ip(&["addr", "add", &format!("{}/30", wire.ours), "dev", name]);
        ip(&["link", "set", name, "up"]);
        ip(&["-n", name, "addr", "add", &format!("{}/30", wire.tills), "dev", &far]);
        wire.is(true);
        wire
    }

    /// Whether it is whole.
    fn is(&self, whole: bool) {
        let far = format!("{}t", self.name);
        ip(&["-n", &self.name, "link", "set", &far, if whole { "up" } else { "down" }]);
    }

    /// A till at its other end.
    fn till(&self, what: &[&str]) -> Child {
        let mut till = Command::new("ip");
        till.args(["netns", "exec", &self.name, env!("CARGO_BIN_EXE_tillgate"), "till", "--protocol", "zvt"]);
        till.args(["--port", &format!("tcp://{}:20007", self.ours)]).args(what);
        till.stdout(Stdio::null()).spawn().expect("ip, of the package iproute2")
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Its wire goes with it.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).status().expect("ip, of the package iproute2");
    assert!(done.success(), "ip {args:?}: needs root");
}
