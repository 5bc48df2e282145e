//! The write-ahead log read as bytes: whether it lacks what was committed. Changes nothing.
//!
//! At a start SQLite takes the log up to the first frame whose checksum does not fit, and forgets the rest without a
//! word. After a power cut that is right: the rest is a commit that never came about. A log that ends before the last
//! commit that its index (`-shm`) knows is damaged: the index learns of a commit when that is on disk. What it cannot
//! see: a damaged log whose index is gone, or is older. Formats: <https://www.sqlite.org/walformat.html>.

use super::schema::{OpenError, beside};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The part of the index that is read.
const INDEX_BYTES: u64 = 100;
const PIECE_BYTES: usize = 256 * 1024;
/// The log of a running daemon may begin anew while it is read: so often it is read again.
const LOOKS_MAX: u32 = 5;

/// How a log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tail {
    /// With its last commit, and perhaps parts of one that never came about: a power cut.
    Whole,
    /// Before its last commit.
    Damaged(String),
}

/// Reads the log of the store at `path`; damage is an error, for whoever opens the store.
pub(super) fn check_log(path: &Path) -> Result<(), OpenError> {
    let log = beside(path, "-wal");
    match tail(&log, &beside(path, "-shm")) {
        Ok(Tail::Damaged(what)) => {
            Err(OpenError::Damaged { path: path.to_owned(), what: format!("in its log {}, {what}", log.display()) })
        }
        Ok(Tail::Whole) => Ok(()),
        Err(source) => Err(OpenError::Unusable { path: log, source }),
    }
}

/// Reads the log; one that is not there is whole.
fn tail(log: &Path, index: &Path) -> io::Result<Tail> {
    for _ in 0..LOOKS_MAX {
        // Before the log, which grows.
        let known = Index::read(index)?;
        let file = match File::open(log) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(gone(known)),
            Err(error) => return Err(error),
        };
        let mut log = BufReader::with_capacity(PIECE_BYTES, file);
        let before = header(&mut log)?;
        let found = tail_of(&mut log, &before, known)?;
        log.seek(SeekFrom::Start(0))?;
        if !matches!(found, Tail::Damaged(_)) || header(&mut log)? == before {
            return Ok(found);
        }
    }
    Ok(Tail::Whole)
}

/// A log of which nothing is there.
fn gone(known: Option<Index>) -> Tail {
    match known.filter(|index| index.moved < index.frames) {
        Some(Index { frames, .. }) => Tail::Damaged(format!("all is missing of {frames} frames that were written")),
        None => Tail::Whole,
    }
}

/// What the log's index knows of it.
#[derive(Clone, Copy, Debug)]
struct Index {
    /// Which run of the log.
    salts: [u8; 8],
    /// Its frames up to the last commit.
    frames: u64,
    /// How many of them have moved to the file.
    moved: u64,
}

impl Index {
    /// `None`: there is none, or a process was killed while it wrote there.
    fn read(path: &Path) -> io::Result<Option<Index>> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(file) => file.take(INDEX_BYTES).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // Two copies of the header, then how far the log has moved to the file. All as this machine writes numbers.
        let big_endian = cfg!(target_endian = "big");
        let (Some(first), Some(second)) = (bytes.get(..48), bytes.get(48..96)) else { return Ok(None) };
        let mut sum = Sum::default();
        sum.add(first.get(..40).unwrap_or_default(), big_endian);
        let fits = first == second && (sum.0, sum.1) == (word(first, 40, big_endian), word(first, 44, big_endian));
        let salts = first.get(32..40).and_then(|salts| salts.try_into().ok());
        let frames = u64::from(word(first, 16, big_endian));
        let moved = u64::from(word(&bytes, 96, big_endian));
        Ok(salts.filter(|_| fits).map(|salts| Index { salts, frames, moved }))
    }

    /// Whether a log of so many frames lacks what it had. One that is gone as a whole, having moved, lacks nothing.
    fn misses(self, frames: u64) -> bool {
        frames < self.frames && (frames > 0 || self.moved < self.frames)
    }
}

fn header(log: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    log.take(u64::try_from(HEADER_BYTES).unwrap_or(0)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn tail_of(log: &mut impl Read, header: &[u8], known: Option<Index>) -> io::Result<Tail> {
    let word = |at: usize| word(header, at, true);
    let (first, rest) = header.split_at(header.len().min(HEADER_BYTES - 8));
    let big_endian = word(0) & 1 == 1;
    let mut sum = Sum::default();
    sum.add(first, big_endian);
    let fits = header.len() == HEADER_BYTES
        && word(0) & !1 == 0x377f_0682
        && rest == [sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat();
    if !fits {
        // A log that was just made may be empty or blank.
        let mut more = Vec::new();
        log.read_to_end(&mut more)?;
        let blank = header.iter().chain(&more).all(|byte| *byte == 0);
        // A power cut tears them where the log begins anew; then all of it has moved to the file.
        let found = gone(known);
        let lacks = !blank && found != Tail::Whole;
        return Ok(if lacks { Tail::Damaged("its first 32 bytes are damaged".to_owned()) } else { found });
    }
    let page_bytes = usize::try_from(word(8)).unwrap_or(usize::MAX).min(65_536);
    let mut frame = vec![0; FRAME_HEADER_BYTES.saturating_add(page_bytes)];
    let mut fitting: u64 = 0;
    while read_whole(log, &mut frame)? {
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        sum.add(head.get(..8).unwrap_or_default(), big_endian);
        sum.add(page, big_endian);
        // Behind the last one stand those of earlier runs of the log.
        let ours = head.get(8..16) == header.get(16..24);
        if !ours || head.get(16..) != Some([sum.0.to_be_bytes(), sum.1.to_be_bytes()].concat().as_slice()) {
            break;
        }
        fitting = fitting.saturating_add(1);
    }
    let known = known.filter(|index| header.get(16..24) == Some(&index.salts));
    Ok(match known.filter(|index| index.misses(fitting)) {
        Some(Index { frames, .. }) => {
            let next = fitting.saturating_add(1);
            Tail::Damaged(format!("frame {next} is missing or damaged, of {frames} that were written"))
        }
        None => Tail::Whole,
    })
}

/// SQLite's checksum of the log.
#[derive(Clone, Copy, Debug, Default)]
struct Sum(u32, u32);

impl Sum {
    fn add(&mut self, bytes: &[u8], big_endian: bool) {
        for pair in bytes.chunks_exact(8) {
            self.0 = self.0.wrapping_add(word(pair, 0, big_endian)).wrapping_add(self.1);
            self.1 = self.1.wrapping_add(word(pair, 4, big_endian)).wrapping_add(self.0);
        }
    }
}

fn word(bytes: &[u8], at: usize, big_endian: bool) -> u32 {
    let four = bytes.get(at..at.saturating_add(4)).and_then(|four| <[u8; 4]>::try_from(four).ok()).unwrap_or_default();
    if big_endian { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) }
}

/// False: the log ends before the frame does.
fn read_whole(log: &mut impl Read, frame: &mut [u8]) -> io::Result<bool> {
    match log.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
