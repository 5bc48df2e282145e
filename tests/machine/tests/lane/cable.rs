//! A till's cable: a port that till programs open by name, and behind it the machine's serial port, whenever there is a
//! machine. Speaks no protocol.

use serialport::{SerialPort, TTYPort};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a side that takes no bytes is waited for, and how often the end is looked for.
const PATIENCE: Duration = Duration::from_millis(200);

/// Dropped, it hangs up.
pub(crate) struct Cable {
    /// The name of the till's end.
    pub(crate) till_end: PathBuf,
    /// The socket of the machine's end.
    pub(crate) box_end: PathBuf,
    /// Held open: a port that nobody has open would be taken for one that hung up.
    held: File,
    over: Arc<AtomicBool>,
    pumps: Vec<JoinHandle<()>>,
}

impl Cable {
    pub(crate) fn new(box_end: PathBuf) -> Cable {
        let (master, slave) = TTYPort::pair().unwrap();
        let till_end = PathBuf::from(slave.name().unwrap());
        let no_ctty = i32::try_from(rustix::fs::OFlags::NOCTTY.bits()).unwrap();
        let held = OpenOptions::new().read(true).write(true).custom_flags(no_ctty).open(&till_end).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let line: Arc<Mutex<Option<UnixStream>>> = Arc::default();
        let (from_till, to_till) = (master.try_clone_native().unwrap(), master);
        let pumps = vec![
            std::thread::spawn({
                let (line, over, socket) = (Arc::clone(&line), Arc::clone(&over), box_end.clone());
                move || from_box(&socket, to_till, &line, &over)
            }),
            std::thread::spawn({
                let over = Arc::clone(&over);
                move || from_tills(from_till, &line, &over)
            }),
        ];
        Cable { till_end, box_end, held, over, pumps }
    }

    /// A port's lock ends with its last user, which a killed process is not while the cable is held.
    pub(crate) fn unlock(&self) {
        rustix::termios::ioctl_tiocnxcl(&self.held).unwrap();
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

fn is_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// From the machine to the till, over one machine after another.
fn from_box(socket: &PathBuf, mut till: TTYPort, line: &Mutex<Option<UnixStream>>, over: &AtomicBool) {
    till.set_timeout(PATIENCE).unwrap();
    let mut buffer = [0; 512];
    while !over.load(Ordering::SeqCst) {
        let Ok(mut stream) = UnixStream::connect(socket) else {
            std::thread::park_timeout(PATIENCE);
            continue;
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        *line.lock().unwrap() = Some(stream.try_clone().unwrap());
        while !over.load(Ordering::SeqCst) {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => pass_on(&buffer[..count], &mut till),
                Err(error) if is_wait(&error) => {}
                Err(_) => break,
            }
        }
        *line.lock().unwrap() = None;
    }
}

/// From the till to the machine. Without one, what is sent is lost, as on a line.
fn from_tills(mut till: TTYPort, line: &Mutex<Option<UnixStream>>, over: &AtomicBool) {
    till.set_timeout(PATIENCE).unwrap();
    let mut buffer = [0; 512];
    while !over.load(Ordering::SeqCst) {
        match till.read(&mut buffer) {
            Ok(count) => {
                if let Some(stream) = line.lock().unwrap().as_mut() {
                    let _ = stream.write_all(&buffer[..count]);
                }
            }
            Err(error) if is_wait(&error) => {}
            Err(_) => return,
        }
    }
}

/// One by one: only a single byte is sure not to block for ever.
fn pass_on(bytes: &[u8], to: &mut TTYPort) {
    for byte in bytes {
        if to.write_all(std::slice::from_ref(byte)).is_err() {
            break;
        }
    }
}
