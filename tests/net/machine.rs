//! A network namespace as a machine of its own: what is done there. Makes and removes none.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Longer than anything here takes on a busy machine.
const WAIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(10);

/// One machine.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) namespace: String,
}

impl Machine {
    /// Does this in the machine's namespace: on a thread that is there and ends there.
    pub(super) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                self.enter();
                what()
            });
            there.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Moves this thread there, for good; and so all threads and processes that it starts from now on.
    pub(super) fn enter(&self) {
        use rustix::fd::AsFd;
        use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.namespace)).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// `ip` there. Words are parted by blanks.
    pub(super) fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.namespace));
    }

    /// A phone gets another address in the place of its own.
    pub(super) fn moves_to(&self, address: &str) {
        self.ip("addr flush dev wlan0");
        self.ip(&format!("addr add {address}/24 dev wlan0"));
        self.ip("route replace default via 192.168.50.1");
    }

    /// The hardware address of one of its interfaces.
    pub(super) fn mac(&self, link: &str) -> String {
        let words = ["-n", &self.namespace, "-oneline", "link", "show", "dev", link];
        let text = String::from_utf8(Command::new("/usr/sbin/ip").args(words).output().unwrap().stdout).unwrap();
        text.split_once("link/ether ").unwrap().1.split(' ').next().unwrap().to_owned()
    }

    /// From now on each packet from this interface comes from one of 65,536 hardware addresses, taken at random.
    pub(super) fn has_many_faces(&self, link: &str) {
        self.nft("add table netdev faces");
        self.nft(&format!("add chain netdev faces out {{ type filter hook egress device \"{link}\" priority 0; }}"));
        // The upper half of the number is what becomes the bytes before the last two: nobody else has such a one.
        self.nft("add rule netdev faces out @ll,64,16 set numgen random mod 4294967295");
    }

    /// `nft` there, with this as its whole command.
    pub(super) fn nft(&self, command: &str) -> Output {
        let words = ["netns", "exec", &self.namespace, "/usr/sbin/nft", command];
        let output = Command::new("/usr/sbin/ip").args(words).output().unwrap();
        assert!(output.status.success(), "nft {command}: {output:?}");
        output
    }

    /// A command that is to run there, with what follows as its arguments.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("/usr/sbin/ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }
}

/// `ip` on this machine. Words are parted by blanks.
pub(super) fn ip(words: &str) {
    let output = Command::new("/usr/sbin/ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {output:?}");
}

/// Looks again and again, until it is so.
pub(super) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < WAIT, "{what}: not within {WAIT:?}");
        std::thread::park_timeout(LOOK);
    }
}
