//! Opens and locks a serial port, or says what to do so that it can be opened. Reads and writes nothing.

use super::port::{Flow, LineSettings, Parity, WRITE_WAIT};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::isatty;
use serialport::{SerialPort, TTYPort};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{fmt, fs, io};

/// Where the system keeps names of serial adapters that do not depend on the order of plugging.
const BY_ID: &str = "/dev/serial/by-id";

/// Why a port cannot be opened; each is for somebody else to mend, and the text says how.
#[derive(Debug)]
pub enum PortError {
    /// There is no such file: plug it in, or correct the name.
    Missing(PathBuf),
    /// The file is there and nothing behind it: plug it in again.
    Dead(PathBuf),
    /// Another program has it: end that.
    InUse(PathBuf),
    /// We may not: give the right.
    NotAllowed(PathBuf),
    /// It is no serial port: correct the name.
    NoSerialPort(PathBuf),
    /// It cannot be set as it should be: correct the settings.
    Settings {
        /// The port.
        path: PathBuf,
        /// Why.
        cause: serialport::Error,
    },
    /// RTS or DTR are to be set, and it has none: take the setting away.
    NoModemLine {
        /// The port.
        path: PathBuf,
        /// The setting.
        key: &'static str,
    },
    /// The system says something else.
    Other {
        /// The port.
        path: PathBuf,
        /// What it says.
        cause: io::Error,
    },
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PortError::Missing(path) => {
                write!(f, "there is no {}: plug the adapter in, or look in /dev/serial/by-id for its name", show(path))
            }
            PortError::Dead(path) => {
                write!(f, "nothing is behind {}: unplug the adapter and plug it in again", show(path))
            }
            // Looked up when it is said, not at each of many tries.
            PortError::InUse(path) => match holder(path) {
                Some(Holder::Ourselves) => {
                    write!(f, "{} is open in this program already: do two tills have it by two names?", show(path))
                }
                Some(Holder::Other(program)) => write!(f, "{} is in use by {program}: end that first", show(path)),
                None => write!(
                    f,
                    "{} is in use by another program: end that first (fuser -v {}, as root, says which)",
                    show(path),
                    show(path)
                ),
            },
            PortError::NotAllowed(path) => write!(
                f,
                "no permission to open {}: use sudo, or put the user into the group of the port (ls -lL {})",
                show(path),
                show(path)
            ),
            PortError::NoSerialPort(path) => {
                write!(f, "{} is no serial port: look in /dev/serial/by-id for its name", show(path))
            }
            PortError::Settings { path, cause } => write!(
                f,
                "{} cannot be set so ({cause}): choose a baud rate, data bits and parity that the adapter has",
                show(path)
            ),
            PortError::NoModemLine { path, key } => {
                write!(f, "{} has no {} line: take `{key}` out of [till.line]", show(path), key.to_uppercase())
            }
            PortError::Other { path, cause } => write!(f, "{} cannot be opened: {cause}", show(path)),
        }
    }
}

impl std::error::Error for PortError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            PortError::Settings { cause, .. } => Some(cause),
            PortError::Other { cause, .. } => Some(cause),
            PortError::Missing(_)
            | PortError::Dead(_)
            | PortError::InUse(_)
            | PortError::NotAllowed(_)
            | PortError::NoSerialPort(_)
            | PortError::NoModemLine { .. } => None,
        }
    }
}

impl From<PortError> for io::Error {
    fn from(error: PortError) -> io::Error {
        let kind = match &error {
            PortError::Missing(_) => io::ErrorKind::NotFound,
            PortError::Dead(_) => io::ErrorKind::NotConnected,
            PortError::InUse(_) => io::ErrorKind::ResourceBusy,
            PortError::NotAllowed(_) => io::ErrorKind::PermissionDenied,
            PortError::NoSerialPort(_) | PortError::Settings { .. } | PortError::NoModemLine { .. } => {
                io::ErrorKind::InvalidInput
            }
            PortError::Other { cause, .. } => cause.kind(),
        };
        io::Error::new(kind, error)
    }
}

/// Opens and locks a port (`TIOCEXCL` and `flock`): no other program gets it until it is closed, root's only if they
/// do not ask for the lock.
pub fn open(path: &Path, line: &LineSettings) -> Result<TTYPort, PortError> {
    // The library lifts the exclusive mode of whoever has the port when it fails to lock it, and says little of why.
    // Held until the library has the port, so that its modem lines do not fall in between.
    let first = try_lock(path, OFlags::RDWR)?;
    rustix::fs::flock(&first, FlockOperation::Unlock).map_err(|e| other(path, e))?;
    let mut builder = serialport::new(path.to_string_lossy(), line.baud)
        .data_bits(if line.seven_bits { serialport::DataBits::Seven } else { serialport::DataBits::Eight })
        .parity(match line.parity {
            Parity::None => serialport::Parity::None,
            Parity::Odd => serialport::Parity::Odd,
            Parity::Even => serialport::Parity::Even,
        })
        .stop_bits(if line.two_stop_bits { serialport::StopBits::Two } else { serialport::StopBits::One })
        .flow_control(match line.flow {
            Flow::None => serialport::FlowControl::None,
            Flow::Software => serialport::FlowControl::Software,
            Flow::Hardware => serialport::FlowControl::Hardware,
        })
        .exclusive(true)
        .timeout(WRITE_WAIT);
    builder = builder.preserve_dtr_on_open();
    let mut port = TTYPort::open(&builder).map_err(|cause| match cause.kind() {
        serialport::ErrorKind::NoDevice => PortError::InUse(path.to_owned()),
        serialport::ErrorKind::InvalidInput | serialport::ErrorKind::Unknown | serialport::ErrorKind::Io(_) => {
            PortError::Settings { path: path.to_owned(), cause }
        }
    })?;
    let no_line = |key| move |_| PortError::NoModemLine { path: path.to_owned(), key };
    if let Some(rts) = line.rts {
        port.write_request_to_send(rts).map_err(no_line("rts"))?;
    }
    if let Some(dtr) = line.dtr {
        port.write_data_terminal_ready(dtr).map_err(no_line("dtr"))?;
    }
    Ok(port)
}

/// A port with the lock, and with nothing set. It does not become anybody's controlling terminal.
pub(super) fn try_lock(path: &Path, mode: OFlags) -> Result<fs::File, PortError> {
    let flags = mode | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| other(path, e))?;
    if !isatty(&file) {
        return Err(PortError::NoSerialPort(path.to_owned()));
    }
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|e| other(path, e))?;
    Ok(fs::File::from(file))
}

/// The name in `/dev/serial/by-id` that stays when adapters are plugged otherwise, if this port has one and it is not
/// that.
pub fn stable_name(port: &Path) -> Option<PathBuf> {
    stable_name_in(Path::new(BY_ID), port)
}

/// The same with another folder of stable names.
pub fn stable_name_in(folder: &Path, port: &Path) -> Option<PathBuf> {
    if port.starts_with(folder) {
        return None;
    }
    let real = fs::canonicalize(port).ok()?;
    let mut names: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    names.sort();
    names.into_iter().find(|name| fs::canonicalize(name).is_ok_and(|to| to == real))
}

fn other(path: &Path, errno: Errno) -> PortError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT | Errno::NOTDIR => PortError::Missing(path),
        Errno::NXIO | Errno::NODEV | Errno::IO => PortError::Dead(path),
        // The second is what the lock says.
        Errno::BUSY | Errno::WOULDBLOCK => PortError::InUse(path),
        Errno::ACCESS | Errno::PERM => PortError::NotAllowed(path),
        Errno::ISDIR => PortError::NoSerialPort(path),
        errno => PortError::Other { path, cause: errno.into() },
    }
}

fn show(path: &Path) -> std::path::Display<'_> {
    path.display()
}

/// Who has a port open.
enum Holder {
    Ourselves,
    /// `name (process 12)`.
    Other(String),
}

/// Whether this entry of a process's `/proc/PID/fd` is that file. Its name would not tell: a container has ports of its own
/// under the same names.
pub(crate) fn is_open_as(entry: &Path, file: &fs::Metadata) -> bool {
    fs::metadata(entry).is_ok_and(|open| (open.dev(), open.ino()) == (file.dev(), file.ino()))
}

/// Who has the port open, if we may see it.
fn holder(port: &Path) -> Option<Holder> {
    let real = fs::metadata(port).ok()?;
    let own = std::process::id().to_string();
    let mut ourselves = None;
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let number = process.file_name().into_string().unwrap_or_default();
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|file| is_open_as(&file.path(), &real)) {
            if number == own {
                ourselves = Some(Holder::Ourselves);
                continue;
            }
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder::Other(format!("{} (process {number})", name.trim_end())));
        }
    }
    ourselves
}
