//! Who speaks to the helper, by Unix socket: one user and nobody else. Understands the words, does nothing of what they say.

use super::super::netlink::Socket;
use super::super::ruleset::Let;
use super::super::words::{Answer, Refused, Request, WORD_BYTES, Word};
use super::Helper;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::socket_peercred;
use std::fs::Permissions;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

/// Connections at once; further ones are closed.
const CALLERS_MAX: usize = 4;
/// Words read of one caller before the others have their turn.
const TURN_WORDS: usize = 64;

/// The number of a user of this machine. Reads the system's own list only: the helper does not ask the network who is who.
pub(super) fn number_of(user: &str) -> io::Result<u32> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    let list = std::fs::read_to_string("/etc/passwd")?;
    let found = list.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok())?
    });
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("this machine has no user {user}")))
}

/// Opens the socket. One that a helper left behind is replaced, one at which a helper answers is not.
pub(super) fn listen(path: &Path) -> io::Result<UnixListener> {
    if path.symlink_metadata().is_ok_and(|there| there.file_type().is_socket()) {
        if UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another helper answers there"));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Who may speak is decided by who they are, not by who may open the file.
    std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
    Ok(listener)
}

#[derive(Debug)]
struct Caller {
    stream: UnixStream,
    /// The beginning of a word.
    begun: Vec<u8>,
    sync: Option<Vec<Let>>,
    /// It hung up, or does not listen.
    gone: bool,
}

#[derive(Debug)]
pub(super) struct Callers {
    listener: UnixListener,
    uid: u32,
    all: Vec<Caller>,
}

impl Callers {
    pub(super) fn new(listener: UnixListener, uid: u32) -> Callers {
        Callers { listener, uid, all: Vec::new() }
    }

    /// Waits until there is something to do.
    pub(super) fn wait(&self, events: &Socket, at_most: Duration) -> io::Result<()> {
        let listener = PollFd::new(&self.listener, PollFlags::IN);
        let mut wanted = vec![listener, PollFd::new(events, PollFlags::IN)];
        wanted.extend(self.all.iter().map(|caller| PollFd::new(&caller.stream, PollFlags::IN)));
        let at_most = Timespec::try_from(at_most).ok();
        match poll(&mut wanted, at_most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes new callers in and answers what they say.
    pub(super) fn serve(&mut self, helper: &mut Helper) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.take_in(stream);
        }
        for caller in &mut self.all {
            caller.serve(helper);
        }
        self.all.retain(|caller| !caller.gone);
    }

    /// Tells all of them.
    pub(super) fn tell_all(&mut self, answer: Answer) {
        for caller in &mut self.all {
            caller.say(&answer.to_word(0));
        }
    }

    fn take_in(&mut self, stream: UnixStream) {
        let who = match socket_peercred(&stream) {
            Ok(who) => who,
            Err(error) => {
                tracing::warn!(%error, "a caller whose name the system does not tell is sent away");
                return;
            }
        };
        let (uid, pid) = (who.uid.as_raw(), who.pid.as_raw_nonzero().get());
        if uid != self.uid {
            tracing::warn!(uid, pid, "a caller who is not the daemon's user is sent away");
            return;
        }
        if self.all.len() >= CALLERS_MAX || stream.set_nonblocking(true).is_err() {
            tracing::warn!(pid, "too many callers at once: one is sent away");
            return;
        }
        tracing::info!(pid, "the daemon is there");
        self.all.push(Caller { stream, begun: Vec::new(), sync: None, gone: false });
    }
}

impl Caller {
    fn serve(&mut self, helper: &mut Helper) {
        let mut bytes = [0; WORD_BYTES * TURN_WORDS];
        match self.stream.read(&mut bytes) {
            Ok(0) => self.gone = true,
            Ok(count) => self.begun.extend(bytes.iter().take(count)),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
            Err(_) => self.gone = true,
        }
        let mut answers = Vec::new();
        let mut rest = self.begun.as_slice();
        while let Some((word, after)) = rest.split_first_chunk::<WORD_BYTES>() {
            rest = after;
            answers.extend(answer(word, helper, &mut self.sync));
        }
        self.begun = rest.to_vec();
        if !answers.is_empty() {
            self.say(&answers);
        }
    }

    /// Who does not read what it asked for is sent away.
    fn say(&mut self, bytes: &[u8]) {
        if !self.gone && self.stream.write_all(bytes).is_err() {
            tracing::warn!("a caller does not listen and is sent away");
            self.gone = true;
        }
    }
}

fn answer(word: &Word, helper: &mut Helper, sync: &mut Option<Vec<Let>>) -> Word {
    let [_, kind, ..] = *word;
    match Request::from_word(word) {
        Some((request, number)) => helper.answer(request, number, sync).to_word(kind),
        None => {
            tracing::warn!("a request makes no sense: are daemon and helper of one version?");
            Answer::Refused(0, Refused::Nonsense).to_word(0)
        }
    }
}
