//! A serial line at its real pace, between two ptys: every byte takes its time, and it is noted when. Understands nothing.
#![allow(dead_code)] // The bench wants the times, the tests the ends.

use serialport::{SerialPort, TTYPort};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What a byte takes at 9600 baud with ten bits.
pub(crate) const BYTE: Duration = Duration::from_micros(1_042);
/// How soon a relay sees that it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One byte that has passed.
#[derive(Clone, Copy)]
pub(crate) struct Passed {
    pub(crate) byte: u8,
    /// When it was written at one end.
    pub(crate) came: Instant,
    /// When it could be read at the other.
    pub(crate) went: Instant,
}

/// One way of a line.
#[derive(Clone, Default)]
pub(crate) struct Way(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    passed: Vec<Passed>,
    broken_after: Option<Vec<u8>>,
}

impl Way {
    /// How many bytes have passed.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().passed.len()
    }

    /// What has passed after so many bytes.
    pub(crate) fn since(&self, count: usize) -> Vec<Passed> {
        self.0.lock().unwrap().passed[count..].to_vec()
    }

    /// The first byte and the last of these, the last time they passed.
    pub(crate) fn last(&self, bytes: &[u8]) -> Option<(Passed, Passed)> {
        let state = self.0.lock().unwrap();
        let found = state.passed.windows(bytes.len()).rev().find(|w| w.iter().map(|p| &p.byte).eq(bytes))?;
        Some((*found.first()?, *found.last()?))
    }

    /// Once these bytes have passed nothing passes any more.
    pub(crate) fn break_after(&self, bytes: &[u8]) {
        self.0.lock().unwrap().broken_after = Some(bytes.to_vec());
    }

    /// Whether it has come to that.
    pub(crate) fn broken(&self) -> bool {
        self.0.lock().unwrap().is_broken()
    }

    /// Notes a byte; `false` if the way is broken before it.
    fn pass(&self, passed: Passed) -> bool {
        let mut state = self.0.lock().unwrap();
        if state.is_broken() {
            return false;
        }
        state.passed.push(passed);
        true
    }
}

impl State {
    fn is_broken(&self) -> bool {
        let Some(bytes) = &self.broken_after else { return false };
        let passed: Vec<u8> = self.passed.iter().rev().take(bytes.len()).rev().map(|p| p.byte).collect();
        passed == *bytes
    }
}

/// A line that is plugged in until it is dropped, its ends under names that another line may have after it.
pub(crate) struct PacedLine {
    /// The box's end.
    pub(crate) at_box: PathBuf,
    /// The till's end.
    pub(crate) at_till: PathBuf,
    pub(crate) to_box: Way,
    pub(crate) to_till: Way,
    over: Arc<AtomicBool>,
    relays: Vec<JoinHandle<()>>,
    /// Held so that an end that nobody has opened is not taken for one that hung up.
    _ends: [TTYPort; 2],
}

impl PacedLine {
    /// A line whose ends are `box` and `till` in this folder.
    pub(crate) fn new(folder: &Path) -> PacedLine {
        let (box_master, box_end) = pair();
        let (till_master, till_end) = pair();
        let (at_box, at_till) = (folder.join("box"), folder.join("till"));
        symlink(box_end.name().unwrap(), &at_box).unwrap();
        symlink(till_end.name().unwrap(), &at_till).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let (to_box, to_till) = (Way::default(), Way::default());
        let mut relays = Vec::new();
        let ways = [
            (till_master.try_clone_native().unwrap(), box_master.try_clone_native().unwrap(), to_box.clone()),
            (box_master, till_master, to_till.clone()),
        ];
        for (mut from, mut to, way) in ways {
            from.set_timeout(LOOK_EVERY).unwrap();
            let (put, bytes) = channel();
            let reading = Arc::clone(&over);
            relays.push(thread::spawn(move || read(&mut from, &put, &reading)));
            relays.push(thread::spawn(move || pace(&bytes, &mut to, &way)));
        }
        PacedLine { at_box, at_till, to_box, to_till, over, relays, _ends: [box_end, till_end] }
    }
}

/// Both ends of a pty, closed in programs that a test starts: one that held an end would keep the line up.
fn pair() -> (TTYPort, TTYPort) {
    let (master, slave) = TTYPort::pair().unwrap();
    (master.try_clone_native().unwrap(), slave.try_clone_native().unwrap())
}

impl Drop for PacedLine {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.at_box);
        let _ = std::fs::remove_file(&self.at_till);
        self.over.store(true, Ordering::SeqCst);
        for relay in self.relays.drain(..) {
            let _ = relay.join();
        }
    }
}

fn read(from: &mut TTYPort, put: &Sender<(u8, Instant)>, over: &AtomicBool) {
    let mut bytes = [0; 256];
    while !over.load(Ordering::SeqCst) {
        let Ok(count) = from.read(&mut bytes) else { continue };
        let now = Instant::now();
        for byte in &bytes[..count] {
            let _ = put.send((*byte, now));
        }
    }
}

/// Until the reader has gone: one byte after the other, none sooner than a line at 9600 baud has it.
fn pace(bytes: &Receiver<(u8, Instant)>, to: &mut TTYPort, way: &Way) {
    let mut waiting: VecDeque<(u8, Instant)> = VecDeque::new();
    let mut free_at = Instant::now();
    loop {
        let next = match waiting.front() {
            None => bytes.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some((_, came)) => {
                let due = free_at.max(*came) + BYTE;
                bytes.recv_timeout(due.saturating_duration_since(Instant::now()))
            }
        };
        match next {
            Ok(more) => waiting.push_back(more),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let Some((byte, came)) = waiting.pop_front() else { continue };
                let went = Instant::now();
                // What is late is not made up for: a line is never faster than its speed.
                free_at = went;
                if way.pass(Passed { byte, came, went }) {
                    let _ = to.write_all(&[byte]);
                }
            }
        }
    }
}
