//! The asking end of the control socket, for the command line. Needs no runtime.

use super::{Head, Status};
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon's own wait for a backup is shorter, so its answer comes first.
const BACKUP_WAIT: Duration = Duration::from_secs(660);
const STATUS_WAIT: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: u64 = 4 << 20;

/// Why there is no answer.
#[derive(Debug)]
pub enum AskError {
    /// Nobody answers at the socket: start the daemon, or name the right socket.
    NotReachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The daemon said no.
    Refused(String),
    /// The answer ended early or cannot be read: ask again.
    Broken(io::Error),
    /// The copy cannot be written here: name another file.
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NotReachable { path, cause } => {
                let do_this = if cause.kind() == io::ErrorKind::PermissionDenied {
                    "run this as root or as a member of the group tillgate"
                } else {
                    "start it with `tillgate run`, or name its socket with --socket"
                };
                write!(f, "no daemon answers at {}: {cause}; {do_this}", path.display())
            }
            AskError::Refused(why) => write!(f, "the daemon refused: {why}"),
            AskError::Broken(cause) => {
                write!(
                    f,
                    "the daemon's answer cannot be used: {cause}; ask again, and see that both are of one version"
                )
            }
            AskError::File { path, cause } => {
                write!(f, "cannot write {}: {cause}; name another file", path.display())
            }
        }
    }
}

impl std::error::Error for AskError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AskError::NotReachable { cause, .. } | AskError::Broken(cause) | AskError::File { cause, .. } => {
                Some(cause)
            }
            AskError::Refused(_) => None,
        }
    }
}

/// Asks the daemon at `socket` how things stand.
pub fn status(socket: &Path) -> Result<Status, AskError> {
    match ask(socket, "status", STATUS_WAIT)? {
        (Head::Status(status), _) => Ok(*status),
        (Head::Refused(why), _) => Err(AskError::Refused(why)),
        (Head::Backup { .. }, _) => Err(AskError::Broken(io::Error::other("it sent a backup"))),
    }
}

/// Asks the daemon at `socket` for a copy of its books and writes it to `to`, which must not exist. The file is ours,
/// readable by nobody else, and appears whole and synced or not at all. Says how many bytes it has.
pub fn backup(socket: &Path, to: &Path) -> Result<u64, AskError> {
    let cannot = |cause| AskError::File { path: to.to_owned(), cause };
    if to.symlink_metadata().is_ok() {
        return Err(cannot(io::Error::other("it exists already")));
    }
    let name = to.file_name().ok_or_else(|| cannot(io::Error::other("it names no file")))?;
    let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder_file = File::open(folder).map_err(cannot)?;
    let part = folder.join(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let (bytes, stream) = match ask(socket, "backup", BACKUP_WAIT)? {
        (Head::Backup { bytes }, stream) => (bytes, stream),
        (Head::Refused(why), _) => return Err(AskError::Refused(why)),
        (Head::Status(_), _) => return Err(AskError::Broken(io::Error::other("it sent a status"))),
    };
    let written = take(stream, bytes, &part, &cannot);
    let done = written.and_then(|()| std::fs::rename(&part, to).map_err(cannot));
    if done.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    done?;
    folder_file.sync_all().map_err(cannot)?;
    Ok(bytes)
}

fn take(
    mut stream: impl Read,
    bytes: u64,
    part: &Path,
    cannot: &impl Fn(io::Error) -> AskError,
) -> Result<(), AskError> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(part).map_err(cannot)?;
    let mut piece = vec![0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let count = stream.read(&mut piece).map_err(AskError::Broken)?;
        let some = piece.get(..count).unwrap_or(&[]);
        let size = u64::try_from(count).unwrap_or(u64::MAX);
        if count == 0 || size > left {
            let what = format!("{left} of {bytes} bytes are missing, or too many came");
            return Err(AskError::Broken(io::Error::new(io::ErrorKind::UnexpectedEof, what)));
        }
        file.write_all(some).map_err(cannot)?;
        left = left.saturating_sub(size);
    }
    file.sync_all().map_err(cannot)
}

fn ask(socket: &Path, word: &str, wait: Duration) -> Result<(Head, impl Read), AskError> {
    let far = |cause| AskError::NotReachable { path: socket.to_owned(), cause };
    let mut stream = UnixStream::connect(socket).map_err(far)?;
    stream.set_read_timeout(Some(wait)).map_err(far)?;
    stream.set_write_timeout(Some(wait)).map_err(far)?;
    stream.write_all(format!("{word}\n").as_bytes()).map_err(far)?;
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    reader.by_ref().take(HEAD_BYTES_MAX).read_until(b'\n', &mut line).map_err(AskError::Broken)?;
    let head = serde_json::from_slice(&line).map_err(|e| AskError::Broken(e.into()))?;
    Ok((head, reader))
}
