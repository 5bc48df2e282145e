//! Tills that come over TCP: who may come in, one connection for each till, the newest one. Knows no protocol.

use super::port::{READ_BYTES_MAX, REOPEN_EVERY, WRITE_WAIT, Wake};
use crate::shop::event::TillNumber;
use rustix::net::sockopt;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A connection on which nothing was heard for this long is tried.
pub const TRIED_AFTER: Duration = Duration::from_secs(10);
/// How often it is tried, and after how many tries without an answer it is given up: at most 25 s after the last sign of
/// life.
pub const TRIED_EVERY: Duration = Duration::from_secs(5);
/// See [`TRIED_EVERY`].
pub const TRIES: u32 = 3;
/// How long a till's system may leave unacknowledged what it was sent, in milliseconds.
pub const UNHEARD_MS: u32 = 20_000;
/// Bytes that may wait for a till that does not read; the system keeps about twice as much.
pub const SEND_BYTES_MAX: usize = 65_536;
/// How often it is logged that strangers came.
pub const STRANGERS_LOGGED_EVERY: Duration = Duration::from_secs(60);

/// The door of one till: who stands before it and who is inside. The newest one is always let in.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<Stands>);

#[derive(Debug, Default)]
struct Stands {
    before: Option<Connection>,
    inside: Option<Arc<TcpStream>>,
}

impl Door {
    /// A new connection. The one inside is hung up on, one that still waited is closed.
    fn knock(&self, new: Connection) {
        let mut stands = self.lock();
        if let Some(inside) = stands.inside.take() {
            let _ = inside.shutdown(Shutdown::Both); // It has hung up by itself.
        }
        stands.before = Some(new);
    }

    /// Lets in whoever stands before it.
    pub(super) fn enter(&self) -> Option<Connection> {
        let mut stands = self.lock();
        let new = stands.before.take()?;
        stands.inside = Some(Arc::clone(&new.stream));
        Some(new)
    }

    /// Whether anybody stands before it.
    pub(super) fn is_knocked_at(&self) -> bool {
        self.lock().before.is_some()
    }

    /// Whoever was inside has gone.
    pub(super) fn leave(&self) {
        self.lock().inside = None;
    }

    fn lock(&self) -> MutexGuard<'_, Stands> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A till's connection; hung up when dropped, which ends its reader too.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Arc<TcpStream>,
    /// Hung up by us; what else there would be to write is not worth a word.
    cut: bool,
}

impl Connection {
    fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(WRITE_WAIT))?;
        sockopt::set_socket_send_buffer_size(&stream, SEND_BYTES_MAX)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, TRIED_AFTER)?;
        sockopt::set_tcp_keepintvl(&stream, TRIED_EVERY)?;
        sockopt::set_tcp_keepcnt(&stream, TRIES)?;
        sockopt::set_tcp_user_timeout(&stream, UNHEARD_MS)?;
        Ok(Connection { stream: Arc::new(stream), cut: false })
    }

    /// Writes all bytes. A till that has not taken them after [`WRITE_WAIT`] is hung up on: half a message left out of a
    /// stream would make nonsense of all that follows.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.cut {
            return Ok(());
        }
        let written = self.write_before(bytes, Instant::now().checked_add(WRITE_WAIT));
        if written.is_err() {
            self.cut = true;
            let _ = self.stream.shutdown(Shutdown::Both); // It has hung up by itself.
        }
        written
    }

    fn write_before(&self, bytes: &[u8], end: Option<Instant>) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match (&*self.stream).write(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => left = left.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            if !left.is_empty() && end.is_some_and(|end| Instant::now() >= end) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        Ok(())
    }

    /// A thread that reports what comes on it, as the n-th, and at last that it has gone.
    pub(super) fn read_on(&self, till: TillNumber, nth: u64, wake: SyncSender<Wake>) -> io::Result<()> {
        let stream = Arc::clone(&self.stream);
        thread::Builder::new().name(format!("till-{till}-read")).spawn(move || {
            let mut buffer = [0; READ_BYTES_MAX];
            loop {
                match (&*stream).read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        let piece = buffer.get(..n).unwrap_or_default().to_vec();
                        if wake.send(Wake::Bytes(nth, piece)).is_err() {
                            break;
                        }
                    }
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(stream);
            let _ = wake.send(Wake::Gone(nth)); // The gateway has gone.
        })?;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both); // It has hung up by itself.
    }
}

/// A till as its listener knows it.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) till: TillNumber,
    pub(super) door: Arc<Door>,
    pub(super) wake: SyncSender<Wake>,
}

/// One address that we listen at, for all tills that come there. Dropping it ends its thread and closes the port.
#[derive(Debug)]
pub(super) struct Listening(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    over: bool,
    listener: Option<Arc<TcpListener>>,
}

impl Listening {
    /// Listens, and starts one thread. An address that cannot be listened at is tried again every second.
    pub(super) fn start(at: SocketAddr, guests: BTreeMap<IpAddr, Guest>) -> io::Result<Listening> {
        let shared = Arc::new(Shared::default());
        let listener = Listener { at, guests, shared: Arc::clone(&shared), strangers: Strangers::default() };
        // Before the thread: who is told that we are ready finds us listening.
        let first = TcpListener::bind(at);
        thread::Builder::new().name(format!("tills-{}", at.port())).spawn(move || listener.run(first))?;
        Ok(Listening(shared))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.over = true;
        if let Some(listener) = &state.listener {
            // Wakes the thread that waits in `accept`.
            let _ = rustix::net::shutdown(listener, rustix::net::Shutdown::Both);
        }
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for [`REOPEN_EVERY`]; false if all is over.
    fn pause(&self) -> bool {
        let waited = self.changed.wait_timeout_while(self.lock(), REOPEN_EVERY, |state| !state.over);
        !waited.unwrap_or_else(PoisonError::into_inner).0.over
    }
}

struct Listener {
    at: SocketAddr,
    guests: BTreeMap<IpAddr, Guest>,
    shared: Arc<Shared>,
    strangers: Strangers,
}

impl Listener {
    fn run(mut self, first: io::Result<TcpListener>) {
        let mut complained = false;
        let mut bound = first;
        loop {
            let Err(e) = bound.and_then(|new| self.listen(Arc::new(new), &mut complained)) else { return };
            if !complained && !self.shared.lock().over {
                complained = true;
                tracing::warn!(address = %self.at, error = %e,
                    "cannot listen for tills, trying again every second: is this the box's own address?");
            }
            if !self.shared.pause() {
                return;
            }
            bound = TcpListener::bind(self.at);
        }
    }

    /// Until all is over. An error may come back at once, again and again: without free files, for one.
    fn listen(&mut self, listener: Arc<TcpListener>, complained: &mut bool) -> io::Result<()> {
        {
            let mut state = self.shared.lock();
            if state.over {
                return Ok(());
            }
            state.listener = Some(Arc::clone(&listener));
        }
        tracing::info!(address = %self.at, "listening for tills");
        loop {
            match listener.accept() {
                Ok((stream, from)) => {
                    *complained = false;
                    self.came(stream, from);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.shared.lock().listener = None;
                    return Err(e);
                }
            }
        }
    }

    fn came(&mut self, stream: TcpStream, from: SocketAddr) {
        let peer = from.ip().to_canonical();
        let Some(guest) = self.guests.get(&peer) else {
            drop(stream);
            if let Some(unlogged) = self.strangers.count(Instant::now()) {
                tracing::warn!(address = %self.at, %peer, unlogged,
                    "a stranger came and was sent away: is a till's address missing in the configuration?");
            }
            return;
        };
        match Connection::new(stream) {
            Ok(new) => {
                guest.door.knock(new);
                // A full queue of wake-ups wakes it as well.
                let _ = guest.wake.try_send(Wake::Told);
            }
            Err(e) => tracing::debug!(till = %guest.till, error = %e, "gone before it was let in"),
        }
    }
}

/// Counts strangers, so that they do not fill the log.
#[derive(Debug, Default)]
struct Strangers {
    logged: Option<Instant>,
    since: u64,
}

impl Strangers {
    /// One more. `Some` when it is time to log, with the number of those that were not logged.
    fn count(&mut self, now: Instant) -> Option<u64> {
        let quiet = self.logged.is_some_and(|last| now.saturating_duration_since(last) < STRANGERS_LOGGED_EVERY);
        if quiet {
            self.since = self.since.saturating_add(1);
            return None;
        }
        self.logged = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_logged_once_a_minute_with_the_number_of_the_others() {
        let mut strangers = Strangers::default();
        let begun = Instant::now();
        assert_eq!(strangers.count(begun), Some(0));
        assert_eq!(strangers.count(begun), None);
        assert_eq!(strangers.count(begun + STRANGERS_LOGGED_EVERY - Duration::from_millis(1)), None);
        assert_eq!(strangers.count(begun + STRANGERS_LOGGED_EVERY), Some(2));
        assert_eq!(strangers.count(begun + STRANGERS_LOGGED_EVERY), None);
    }
}
