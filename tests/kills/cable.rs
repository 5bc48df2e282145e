//! A cable between two ports that processes open by name: passes bytes on, now and then a wrong one. Speaks no protocol.

use crate::dice::Dice;
use serialport::{SerialPort, TTYPort};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a side that takes no bytes is waited for, and how often the end is looked for.
const PATIENCE: Duration = Duration::from_millis(200);

/// Both ends of a cable. Dropped, it hangs up.
pub(crate) struct Cable {
    pub(crate) box_end: PathBuf,
    pub(crate) till_end: PathBuf,
    /// Held open: a port that nobody has open would be taken for one that hung up.
    held: [File; 2],
    noisy: Arc<AtomicBool>,
    over: Arc<AtomicBool>,
    pumps: Vec<JoinHandle<()>>,
}

impl Cable {
    pub(crate) fn new(mut dice: Dice) -> Cable {
        let ((box_side, box_end, box_held), (till_side, till_end, till_held)) = (pty(), pty());
        let (noisy, over) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (from_box, to_box) = (box_side.try_clone_native().unwrap(), box_side);
        let (from_till, to_till) = (till_side.try_clone_native().unwrap(), till_side);
        let pumps = [(from_box, to_till), (from_till, to_box)].map(|(from, to)| {
            let (noisy, over, dice) = (Arc::clone(&noisy), Arc::clone(&over), dice.split());
            std::thread::spawn(move || pump(from, to, dice, &noisy, &over))
        });
        Cable { box_end, till_end, held: [box_held, till_held], noisy, over, pumps: pumps.into() }
    }

    pub(crate) fn noisy(&self, noisy: bool) {
        self.noisy.store(noisy, Ordering::SeqCst);
    }

    /// A port's lock ends with its last user, which a killed process is not while the cable is held.
    pub(crate) fn unlock(&self) {
        for end in &self.held {
            rustix::termios::ioctl_tiocnxcl(end).unwrap();
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for pump in self.pumps.drain(..) {
            let _ = pump.join();
        }
    }
}

fn pty() -> (TTYPort, PathBuf, File) {
    let (master, slave) = TTYPort::pair().unwrap();
    let path = PathBuf::from(slave.name().unwrap());
    let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
    let held = OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(&path).unwrap();
    (master, path, held)
}

fn pump(mut from: TTYPort, mut to: TTYPort, mut dice: Dice, noisy: &AtomicBool, over: &AtomicBool) {
    from.set_timeout(PATIENCE).unwrap();
    to.set_timeout(PATIENCE).unwrap();
    let mut buffer = [0; 512];
    while !over.load(Ordering::SeqCst) {
        let count = match from.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) => continue,
            Err(_) => return,
        };
        if noisy.load(Ordering::SeqCst) && dice.percent(1) {
            let at = usize::try_from(dice.next()).unwrap() % count.max(1);
            buffer[at] ^= 0x04;
        }
        // One by one: only a single byte is sure not to block for ever. What a side does not take is lost, as on a line.
        for byte in &buffer[..count] {
            if to.write_all(std::slice::from_ref(byte)).is_err() {
                break;
            }
        }
    }
}
