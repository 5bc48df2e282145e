//! The helper as a process on the box, and the daemon's end of its socket.

use super::bed::{Bed, Machine, PORTAL, eventually};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tillgate::network::{Answer, Phone, Request, Stats, WORD_BYTES, Way, Word};

/// A helper that runs on the box of a bed.
pub(super) struct Helper {
    child: Option<Child>,
    the_box: Machine,
    config: PathBuf,
    pub(super) socket: PathBuf,
    log: PathBuf,
    user: u32,
}

/// Who speaks to it.
pub(super) struct Caller {
    stream: UnixStream,
    number: u32,
}

/// The phone of that number, as the firewall knows it.
pub(super) fn phone(number: u8) -> Phone {
    Phone { mac: [2, 0, 0, 0, 0, number], ip: [192, 168, 50, number].into() }
}

/// `[network]` and the portal's address, for this bed; `more` stands at the end of it.
pub(super) fn config(bed: &Bed, more: &str) -> PathBuf {
    let text = format!(
        "[portal]\nlisten = \"192.168.50.1:{PORTAL}\"\nurl = \"http://192.168.50.1:{PORTAL}\"\n\n{}",
        network(bed, more)
    );
    let file = bed.dir.join("tillgate.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// `[network]` for this bed.
pub(super) fn network(bed: &Bed, more: &str) -> String {
    let socket = bed.dir.join("netd.sock");
    format!(
        "[network]\nports = [\"p7\", \"p8\"]\naddress = \"192.168.50.1/24\"\nuplink = \"wan\"\nhelper = {socket:?}\n{more}\n"
    )
}

/// A caller at this socket.
pub(super) fn caller_at(socket: &Path) -> Caller {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    Caller { stream, number: 0 }
}

/// What the helper counts.
pub(super) fn stats(caller: &mut Caller) -> Stats {
    match caller.ask(Request::Stats) {
        Answer::Stats(_, stats) => stats,
        answer => panic!("{answer:?}"),
    }
}

impl Helper {
    /// Runs with `more` in its configuration, and has put its table in place.
    pub(super) fn start(bed: &Bed, more: &str) -> Helper {
        let config = config(bed, more);
        Helper::start_with(bed, config, 0)
    }

    /// Runs with this configuration, for that user.
    pub(super) fn start_with(bed: &Bed, config: PathBuf, user: u32) -> Helper {
        let (socket, log) = (bed.dir.join("netd.sock"), bed.dir.join("netd.log"));
        let mut helper = Helper { child: None, the_box: bed.the_box(), config, socket, log, user };
        helper.again();
        helper
    }

    /// Starts it once more.
    pub(super) fn again(&mut self) {
        let log = File::create(&self.log).unwrap();
        let mut command = self.command();
        command
            .args(["--user", &self.user.to_string()])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let child = self.child.insert(command.spawn().unwrap());
        eventually("the helper is ready", || {
            let said = std::fs::read_to_string(&self.log).unwrap();
            assert_eq!(child.try_wait().unwrap(), None, "the helper has ended: {said}");
            said.contains("ready")
        });
    }

    /// `tillgate netd` on the box.
    pub(super) fn command(&self) -> Command {
        let mut command = self.the_box.command(env!("CARGO_BIN_EXE_tillgate"));
        command.arg("netd").arg("--config").arg(&self.config);
        command
    }

    pub(super) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(super) fn caller(&self) -> Caller {
        caller_at(&self.socket)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

impl Caller {
    /// Asks, and returns the answer.
    pub(super) fn ask(&mut self, request: Request) -> Answer {
        self.number += 1;
        self.say(&request.to_word(self.number));
        self.hear()
    }

    /// Asks for what must be done.
    pub(super) fn must(&mut self, request: Request) {
        let answer = self.ask(request);
        assert_eq!(answer, Answer::Done(self.number), "{request:?}");
    }

    pub(super) fn allow(&mut self, phone: Phone, ms: u64) {
        self.must(Request::Allow { phone, way: Way::Paying, ms });
    }

    pub(super) fn revoke(&mut self, phone: Phone) {
        self.must(Request::Revoke { phone });
    }

    pub(super) fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// False once the helper has hung up.
    pub(super) fn try_say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    pub(super) fn hear(&mut self) -> Answer {
        let mut word: Word = [0; WORD_BYTES];
        self.stream.read_exact(&mut word).unwrap();
        Answer::from_word(&word).unwrap()
    }

    /// Whether the helper has hung up.
    pub(super) fn is_sent_away(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0) | Err(_))
    }
}
