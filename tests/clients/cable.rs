//! A serial cable between a till program and the daemon: a pty at each end and a relay between them.

use serialport::{SerialPort, TTYPort};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a relay looks whether the cable is still wanted.
const LOOK: Duration = Duration::from_millis(10);

/// A cable; it is pulled when dropped.
pub(crate) struct Cable {
    /// The port of the till's program.
    pub(crate) till: PathBuf,
    /// The port of the daemon.
    pub(crate) ours: PathBuf,
    /// Held open: an end that nobody has open would be taken for one that hung up.
    ends: [File; 2],
    over: Arc<AtomicBool>,
    relays: Vec<JoinHandle<()>>,
}

impl Cable {
    pub(crate) fn new() -> Cable {
        let (our_master, our_end) = TTYPort::pair().unwrap();
        let (till_master, till_end) = TTYPort::pair().unwrap();
        let [ours, till] = [our_end, till_end].map(|end| PathBuf::from(end.name().unwrap()));
        let ends = [&ours, &till].map(|path| {
            let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
            OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(path).unwrap()
        });
        let over = Arc::new(AtomicBool::new(false));
        let relays = vec![
            relay(our_master.try_clone_native().unwrap(), till_master.try_clone_native().unwrap(), &over),
            relay(till_master, our_master, &over),
        ];
        Cable { till, ours, ends, over, relays }
    }

    /// The lock of a daemon that was killed ends with a real cable; this one was held open meanwhile.
    pub(crate) fn unlocks(&self) {
        self.ends.iter().for_each(|end| rustix::termios::ioctl_tiocnxcl(end).unwrap());
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        self.relays.drain(..).for_each(|relay| drop(relay.join()));
    }
}

fn relay(mut from: TTYPort, mut to: TTYPort, over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let over = Arc::clone(over);
    from.set_timeout(LOOK).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while !over.load(Ordering::SeqCst) {
            if let Ok(n) = from.read(&mut buffer) {
                let _ = to.write_all(&buffer[..n]);
            }
        }
    })
}
