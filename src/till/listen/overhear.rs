//! Listens at one port until it is known what the till there speaks, for others to show. Never writes.

use super::line::{Heard, Marks};
use super::search::{Finding, Next, Search};
use crate::till::opening::{PortError, try_lock};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How soon the listener sees that it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What happens while somebody listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Something came that makes no sense: now at this speed. The till has to speak once more.
    Trying(u32),
    /// It makes sense, with or without certainty.
    Found(Finding),
    /// The line hung up: nothing more comes.
    Gone,
}

/// Somebody who listens at one port.
#[derive(Debug)]
pub struct Bystander {
    line: Open,
    search: Search,
}

impl Bystander {
    /// Opens the port for reading, ours alone. From now on nothing that comes is missed.
    pub fn at(port: &Path) -> Result<Bystander, PortError> {
        let other = |cause| PortError::Other { path: port.to_owned(), cause };
        let line = Open(try_lock(port, OFlags::RDONLY)?);
        // Whoever does not ask for the lock is kept out by this.
        rustix::termios::ioctl_tiocexcl(&line.0).map_err(|errno| other(errno.into()))?;
        let search = Search::new(None);
        super::set(&line.0, search.baud()).map_err(other)?;
        Ok(Bystander { line, search })
    }

    /// Listens, set to each common speed in turn, until a whole frame is understood, `until` has come or `ended` is set.
    /// Returns the best that was found, if anything was.
    pub fn listen(mut self, until: Instant, ended: &AtomicBool, tell: &mut dyn FnMut(News)) -> Option<Finding> {
        let mut marks = Marks::default();
        let mut piece: Vec<Heard> = Vec::new();
        let mut best = None;
        while Instant::now() < until && !ended.load(Ordering::Relaxed) {
            let quiet = if piece.is_empty() { LOOK_EVERY } else { super::QUIET };
            let Ok(came) = self.line.wait(quiet) else {
                tell(News::Gone);
                break;
            };
            piece.extend(came.iter().filter_map(|byte| marks.push(*byte)));
            let whole = came.is_empty() || piece.len() >= super::PIECE_BYTES_MAX;
            if !whole || piece.is_empty() {
                continue;
            }
            match self.search.heard(&std::mem::take(&mut piece)) {
                Next::Found(finding) => {
                    let sure = finding.sure;
                    best = Some(finding.clone());
                    tell(News::Found(finding));
                    if sure {
                        break;
                    }
                }
                Next::Try(baud) => {
                    marks = Marks::default();
                    tell(News::Trying(self.line.tune(&mut self.search, baud)));
                }
            }
        }
        best
    }
}

/// A port, ours alone.
#[derive(Debug)]
struct Open(File);

impl Drop for Open {
    fn drop(&mut self) {
        // Should anybody have it open besides, it is no longer ours.
        let _ = rustix::termios::ioctl_tiocnxcl(&self.0);
    }
}

impl Open {
    /// What comes within this time; nothing if nothing comes. An error: the line hung up.
    fn wait(&mut self, longest: Duration) -> io::Result<Vec<u8>> {
        let wait = Timespec::try_from(longest).map_err(io::Error::other)?;
        let mut line = [PollFd::new(&self.0, PollFlags::IN)];
        match poll(&mut line, Some(&wait)) {
            Ok(0) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno.into()),
        }
        let mut bytes = [0; 256];
        match self.0.read(&mut bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(bytes.get(..count).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Goes on to this speed, or to the next one that the port has; says which.
    fn tune(&self, search: &mut Search, mut baud: u32) -> u32 {
        let first = baud;
        while super::set(&self.0, baud).is_err() {
            baud = search.skip();
            if baud == first {
                break;
            }
        }
        baud
    }
}
