//! One till's line: opens, locks, reads, writes and reopens its serial port or takes its connections, and keeps its
//! driver's deadlines. Knows no protocol.

use super::driver::{Driver, MEMORY_BYTES_MAX, Out};
use super::mailbox::Mailbox;
pub use super::opening::{PortError, open};
use super::tcp::{Connection, Door};
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::shop::event::{Event, TillNumber};
use crate::shop::time::Mono;
use serialport::{ClearBuffer, SerialPort, TTYPort};
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

/// How often a port that is missing or in use is tried again.
pub const REOPEN_EVERY: Duration = Duration::from_secs(1);
/// How long a till may take no byte before what was to be written is dropped (it is repeated by the protocol).
pub const WRITE_WAIT: Duration = Duration::from_secs(2);
/// How long it may take that in all, however many bytes it takes now and then: the longest frame at 1200 baud.
pub const WHOLE_WRITE_WAIT: Duration = Duration::from_secs(10);
/// Longest piece read at once.
pub const READ_BYTES_MAX: usize = 1_024;
/// Pieces and wake-ups that may wait for a port's own thread. Full: the reader waits, and the kernel's buffer after it.
pub const WAKES_MAX: usize = 64;
/// A read waits this long before it is simply begun again: as good as for ever.
const READ_WAIT: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parity {
    /// None.
    #[default]
    None,
    /// Odd.
    Odd,
    /// Even.
    Even,
}

/// Flow control of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flow {
    /// None.
    #[default]
    None,
    /// XON and XOFF.
    Software,
    /// RTS and CTS.
    Hardware,
}

/// Settings of a serial line. The default is 9600 8N1 without flow control, RTS and DTR as the system leaves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineSettings {
    /// Bits a second.
    pub baud: u32,
    /// Seven data bits rather than eight.
    pub seven_bits: bool,
    /// Parity.
    pub parity: Parity,
    /// Two stop bits rather than one.
    pub two_stop_bits: bool,
    /// Flow control.
    pub flow: Flow,
    /// Whether to raise or lower RTS when the port is opened.
    pub rts: Option<bool>,
    /// Whether to raise or lower DTR when the port is opened.
    pub dtr: Option<bool>,
}

impl Default for LineSettings {
    fn default() -> Self {
        LineSettings {
            baud: 9_600,
            seven_bits: false,
            parity: Parity::None,
            two_stop_bits: false,
            flow: Flow::None,
            rts: None,
            dtr: None,
        }
    }
}

impl LineSettings {
    /// How long one byte takes, in microseconds, rounded up.
    pub fn byte_us(&self) -> u64 {
        let bits = 10_u64
            .saturating_sub(u64::from(self.seven_bits))
            .saturating_add(u64::from(self.parity != Parity::None))
            .saturating_add(u64::from(self.two_stop_bits));
        bits.saturating_mul(1_000_000).div_ceil(u64::from(self.baud.max(1)))
    }
}

/// Writes all bytes, or gives up when the other side takes none for [`WRITE_WAIT`] or not all within
/// [`WHOLE_WRITE_WAIT`] (then what waits is thrown away).
///
/// Byte by byte: the library waits until *something* can be written and then blocks until *all* is, so only a single
/// byte is sure not to block for ever.
pub fn write_all(port: &mut TTYPort, bytes: &[u8]) -> io::Result<()> {
    write_within(port, bytes, WHOLE_WRITE_WAIT)
}

fn write_within(port: &mut TTYPort, bytes: &[u8], whole: Duration) -> io::Result<()> {
    let begun = Instant::now();
    let mut left = bytes;
    while let Some((first, rest)) = left.split_first() {
        let written = match port.write(std::slice::from_ref(first)) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(_) if begun.elapsed() > whole => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {
                left = rest;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e),
        };
        if let Err(e) = written {
            let _ = port.clear(ClearBuffer::Output);
            return Err(e);
        }
    }
    Ok(())
}

/// Reads until the line is gone, handing each piece to `piece` until that says stop. Makes no wake-ups of its own.
pub fn read_all(port: &mut TTYPort, mut piece: impl FnMut(&[u8]) -> bool) {
    let _ = port.set_timeout(READ_WAIT);
    let mut buffer = [0; READ_BYTES_MAX];
    loop {
        match port.read(&mut buffer) {
            // The end of a terminal that hung up.
            Ok(0) => return,
            Ok(n) => {
                if !piece(buffer.get(..n).unwrap_or_default()) {
                    return;
                }
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => {}
            Err(_) => return,
        }
    }
}

/// What wakes a port's own thread.
#[derive(Debug)]
pub(super) enum Wake {
    /// The mailbox holds something, or somebody stands before the door.
    Told,
    /// Bytes from the port opened as the n-th.
    Bytes(u64, Vec<u8>),
    /// The port opened as the n-th has hung up.
    Gone(u64),
}

/// What others may read of a port at any time.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) online: AtomicBool,
    pub(super) junk_bytes: AtomicU64,
    pub(super) bad_frames: AtomicU64,
    /// Milliseconds since boot; 0: never.
    pub(super) heard_ms: AtomicU64,
    pub(super) repeats_sent: AtomicU64,
    pub(super) repeats_heard: AtomicU64,
    pub(super) writes_dropped: AtomicU64,
    pub(super) reopened: AtomicU64,
}

/// One till's line and all that belongs to it; lives on its own thread.
pub(super) struct Line {
    pub(super) till: TillNumber,
    pub(super) way: Way,
    pub(super) driver: Box<dyn Driver>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) gauges: Arc<Gauges>,
    /// Where the driver's memory is kept, if anywhere.
    pub(super) memory: Option<PathBuf>,
    pub(super) inbox: Inbox,
    pub(super) wake: SyncSender<Wake>,
    pub(super) wakes: Receiver<Wake>,
    /// Gone when the line has given its port back.
    pub(super) _here: Sender<Infallible>,
}

/// How a line is joined to its till.
pub(super) enum Way {
    /// By a serial port.
    Serial(PathBuf, LineSettings),
    /// By connections that the till makes.
    Tcp(Arc<Door>),
}

/// What joins a line to its till, while something does.
enum Joint {
    Serial(TTYPort),
    Tcp(Connection),
}

impl Joint {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Joint::Serial(port) => write_all(port, bytes),
            Joint::Tcp(connection) => connection.write_all(bytes),
        }
    }
}

/// The gateway has gone: nothing more is to be done.
struct Over;

impl Line {
    /// Runs until the gateway has gone.
    pub(super) fn run(mut self) {
        let mut opened: u64 = 0;
        let mut complained: Option<io::ErrorKind> = None;
        loop {
            let result = match self.join(opened.saturating_add(1)) {
                Ok(Some(joint)) => {
                    opened = opened.saturating_add(1);
                    complained = None;
                    self.gauges.reopened.store(opened.saturating_sub(1), Ordering::Relaxed);
                    self.serve(opened, joint)
                }
                Ok(None) => Ok(()),
                Err(e) => {
                    // Said again when it fails otherwise than before, not each second.
                    if complained != Some(e.kind()) {
                        complained = Some(e.kind());
                        self.complain(&e);
                    }
                    Ok(())
                }
            };
            if result.and_then(|()| self.wait_apart()).is_err() {
                return;
            }
        }
    }

    /// Opens the port, or lets in the till that has come, and starts the reader. `None`: no till has come.
    fn join(&self, nth: u64) -> io::Result<Option<Joint>> {
        match &self.way {
            Way::Serial(path, settings) => {
                let port = self.connect(path, settings, nth)?;
                tracing::info!(till = %self.till, port = %path.display(), "till port open");
                Ok(Some(Joint::Serial(port)))
            }
            Way::Tcp(door) => {
                let Some(connection) = door.enter() else { return Ok(None) };
                connection.read_on(self.till, nth, self.wake.clone())?;
                tracing::info!(till = %self.till, "till connected");
                Ok(Some(Joint::Tcp(connection)))
            }
        }
    }

    fn complain(&self, e: &io::Error) {
        match &self.way {
            Way::Serial(..) => tracing::warn!(till = %self.till, error = %e,
                "till port cannot be opened, trying again every second"),
            Way::Tcp(_) => tracing::warn!(till = %self.till, error = %e, "till cannot be listened to: free memory"),
        }
    }

    fn connect(&self, path: &Path, settings: &LineSettings, nth: u64) -> io::Result<TTYPort> {
        let port = open(path, settings)?;
        // What was said before anybody listened is stale; a till that still wants it says it again.
        port.clear(ClearBuffer::Input)?;
        let mut reading = port.try_clone_native()?;
        let wake = self.wake.clone();
        thread::Builder::new().name(format!("till-{}-read", self.till)).spawn(move || {
            read_all(&mut reading, |piece| wake.send(Wake::Bytes(nth, piece.to_vec())).is_ok());
            // Closed before it is reported, so that it can be opened again.
            drop(reading);
            let _ = wake.send(Wake::Gone(nth));
        })?;
        Ok(port)
    }

    /// While the till is joined.
    fn serve(&mut self, nth: u64, mut joint: Joint) -> Result<(), Over> {
        self.gauges.online.store(true, Ordering::Relaxed);
        self.step(Some(&mut joint), |driver, now, out| driver.line(now, true, out))?;
        loop {
            match self.next_wake(None) {
                Some(Wake::Told) => {}
                Some(Wake::Bytes(n, bytes)) if n == nth => {
                    self.gauges.heard_ms.store(Clock::mono().0, Ordering::Relaxed);
                    self.step(Some(&mut joint), |driver, now, out| driver.received(now, &bytes, out))?;
                }
                Some(Wake::Gone(n)) if n == nth => break,
                Some(Wake::Bytes(..) | Wake::Gone(_)) => {}
                None => self.step(Some(&mut joint), |driver, now, out| driver.passed(now, out))?,
            }
            self.tell_waiting(Some(&mut joint))?;
        }
        self.part(joint);
        self.gauges.online.store(false, Ordering::Relaxed);
        self.step(None, |driver, now, out| driver.line(now, false, out))
    }

    fn part(&self, joint: Joint) {
        if let Joint::Serial(port) = &joint {
            let _ = port.clear(ClearBuffer::Output);
        }
        drop(joint);
        match &self.way {
            Way::Serial(path, _) => {
                tracing::warn!(till = %self.till, port = %path.display(), "till port hung up: check cable and adapter");
            }
            Way::Tcp(door) => {
                door.leave();
                tracing::info!(till = %self.till, "till disconnected");
            }
        }
    }

    /// Until the till may be joined again: a port is tried every second, a till comes when it likes. The driver's clock
    /// goes on.
    fn wait_apart(&mut self) -> Result<(), Over> {
        let again = match &self.way {
            Way::Serial(..) => Some(Clock::mono().plus_ms(u64::try_from(REOPEN_EVERY.as_millis()).unwrap_or(u64::MAX))),
            Way::Tcp(_) => None,
        };
        while again.is_none_or(|again| Clock::mono() < again) && !self.is_knocked_at() {
            match self.next_wake(again) {
                Some(Wake::Told | Wake::Bytes(..) | Wake::Gone(_)) => {}
                None => self.step(None, |driver, now, out| driver.passed(now, out))?,
            }
            self.tell_waiting(None)?;
        }
        Ok(())
    }

    fn is_knocked_at(&self) -> bool {
        match &self.way {
            Way::Serial(..) => false,
            Way::Tcp(door) => door.is_knocked_at(),
        }
    }

    /// Waits for a wake-up, the driver's deadline or `until`; without either, for ever.
    fn next_wake(&self, until: Option<Mono>) -> Option<Wake> {
        let due = [self.driver.deadline(), until].into_iter().flatten().min();
        let Some(due) = due else { return self.wakes.recv().ok() };
        self.wakes.recv_timeout(Duration::from_millis(Clock::mono().ms_until(due))).ok()
    }

    fn tell_waiting(&mut self, mut joint: Option<&mut Joint>) -> Result<(), Over> {
        while let Some(answer) = self.mailbox.take() {
            self.step(joint.as_deref_mut(), |driver, now, out| driver.tell(now, &answer, out))?;
        }
        if self.mailbox.closed() { Err(Over) } else { Ok(()) }
    }

    /// One call of the driver, and what comes of it.
    fn step(
        &mut self,
        joint: Option<&mut Joint>,
        call: impl FnOnce(&mut dyn Driver, Mono, &mut Out),
    ) -> Result<(), Over> {
        let mut out = Out::default();
        let before = self.memory.as_ref().map(|_| self.driver.memory().to_vec());
        call(self.driver.as_mut(), Clock::mono(), &mut out);
        if before.is_some_and(|before| before != self.driver.memory()) {
            self.keep_memory();
        }
        if let Some(joint) = joint
            && !out.bytes.is_empty()
            && let Err(e) = joint.write_all(&out.bytes)
        {
            self.gauges.writes_dropped.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(till = %self.till, error = %e, "till does not read");
        }
        for text in &out.warnings {
            tracing::warn!(till = %self.till, "{text}");
        }
        let counts = self.driver.counts();
        self.gauges.junk_bytes.store(counts.junk_bytes, Ordering::Relaxed);
        self.gauges.bad_frames.store(counts.bad_frames, Ordering::Relaxed);
        self.gauges.repeats_sent.store(counts.repeats_sent, Ordering::Relaxed);
        self.gauges.repeats_heard.store(counts.repeats_heard, Ordering::Relaxed);
        for what in out.events {
            if !self.inbox.put_blocking(Event::Till { till: self.till, what }) {
                return Err(Over);
            }
        }
        Ok(())
    }
}

impl Line {
    /// Not synced: it has to outlive the program, and a till does not wait for an answer over a power cut.
    fn keep_memory(&self) {
        let Some(file) = &self.memory else { return };
        let made = file.with_extension("new");
        let kept = std::fs::write(&made, self.driver.memory()).and_then(|()| std::fs::rename(&made, file));
        if let Err(error) = kept {
            tracing::warn!(till = %self.till, file = %file.display(), %error,
                "cannot keep what a till waits for: after a restart it would not be answered; look at the disk");
        }
    }
}

/// A driver's memory, if there is any that makes sense.
pub(super) fn recall(file: Option<&Path>) -> Vec<u8> {
    let kept = file.and_then(|file| std::fs::read(file).ok()).unwrap_or_default();
    if kept.len() > MEMORY_BYTES_MAX { Vec::new() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_till_that_takes_a_byte_now_and_then_does_not_hold_its_line_for_ever() {
        let (mut master, mut slave) = TTYPort::pair().unwrap();
        slave.set_timeout(WRITE_WAIT).unwrap();
        let (over, ends) = std::sync::mpsc::channel::<()>();
        let reading = thread::spawn(move || {
            // Never so long that a single byte would time out.
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = ends.recv_timeout(Duration::from_millis(20)) {
                let _ = master.read(&mut [0; 64]);
            }
        });
        let begun = Instant::now();
        // More than a terminal's buffers hold.
        let written = write_within(&mut slave, &[0x55; 1 << 20], Duration::from_millis(300));
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begun.elapsed() < Duration::from_secs(60));
        drop(over);
        reading.join().unwrap();
    }

    #[test]
    fn a_byte_takes_as_long_as_its_bits() {
        let line = LineSettings::default();
        assert_eq!(line.byte_us(), 1_042);
        let seven_even_two = LineSettings { seven_bits: true, parity: Parity::Even, two_stop_bits: true, ..line };
        assert_eq!(seven_even_two.byte_us(), 1_146);
        assert_eq!(LineSettings { baud: 115_200, ..line }.byte_us(), 87);
    }
}
