//! Backups kept in a folder, named by date, the oldest taken away: for the daemon, which knows when. Never fills the disk.

use super::backup::{BackupError, backup};
use super::disk::{DISK_LOW_BYTES, RESERVE_BYTES, disk_free_bytes};
use super::restore::PASSING;
use super::schema::{OpenError, beside, open_reader};
use super::verify::{VerifyError, verify};
use jiff::civil::Date;
use std::fmt;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

const BEGINS: &str = "tillgate-";
const ENDS: &str = ".db";
/// A copy on its way. One name: a process that is killed leaves one file behind, which the next look takes away.
const MAKING: &str = ".making.db";

/// Where backups are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// The folder.
    pub folder: PathBuf,
    /// At most so many; 0: none are made.
    pub keep: u32,
}

/// A backup that is there: `tillgate-2027-01-15-r4711.db`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CopyFacts {
    /// The day on which it was made.
    pub day: Date,
    /// How many rows its journal has.
    pub rows: u64,
    /// The file.
    pub path: PathBuf,
}

/// Why there is no new backup. The older ones are as they were, but for the oldest where room was wanted.
#[derive(Debug)]
pub enum CopyError {
    /// The folder cannot be used.
    Folder(io::Error),
    /// The disk would be too full with it.
    NoRoom {
        /// Bytes that must be free.
        wanted: u64,
        /// Bytes that are.
        free: u64,
    },
    /// The books could not be read or copied.
    Backup(BackupError),
    /// The copy does not prove itself, although the books do.
    Spoilt(VerifyError),
    /// The books do not prove themselves: they are damaged.
    Bad(VerifyError),
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CopyError::Folder(cause) => {
                write!(f, "the folder for backups cannot be used: {cause}; see store.backups in the configuration")
            }
            CopyError::NoRoom { wanted, free } => {
                let [wanted, free] = [wanted, free].map(|bytes| bytes >> 20);
                write!(f, "a backup needs {wanted} MiB of room, and {free} MiB are free; make room")
            }
            CopyError::Backup(error) => error.fmt(f),
            CopyError::Spoilt(error) => {
                write!(f, "the copy is not what was written, check the disk it is on: {error}")
            }
            CopyError::Bad(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CopyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CopyError::Folder(cause) => Some(cause),
            CopyError::Backup(error) => Some(error),
            CopyError::Spoilt(error) | CopyError::Bad(error) => Some(error),
            CopyError::NoRoom { .. } => None,
        }
    }
}

impl From<io::Error> for CopyError {
    fn from(error: io::Error) -> Self {
        CopyError::Folder(error)
    }
}

impl Copies {
    /// The backups that are there, the oldest first. No folder: none.
    pub fn all(&self) -> io::Result<Vec<CopyFacts>> {
        let files = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            files => files?,
        };
        let mut found = Vec::new();
        for file in files {
            let file = file?;
            found.extend(file.file_name().to_str().and_then(|name| facts(name, file.path())));
        }
        found.sort();
        Ok(found)
    }

    /// Copies the store at `path` unless that was done on this day, or nothing about a sale has changed since. The copy is
    /// proved before it counts, and may then push out the oldest. Returns the new one.
    pub fn keep_one(&self, path: &Path, day: Date) -> Result<Option<CopyFacts>, CopyError> {
        let draft = self.folder.join(MAKING);
        clear(&draft);
        let newest = self.all()?.into_iter().rfind(|copy| copy.day <= day);
        if self.keep == 0 || newest.as_ref().is_some_and(|newest| newest.day == day) {
            return Ok(None);
        }
        let rows = newest.map_or(0, |newest| newest.rows);
        let changed = has_changed(path, rows);
        if !changed.map_err(|error| CopyError::Backup(BackupError::Store(Box::new(error))))? {
            return Ok(None);
        }
        self.make_folder(path)?;
        self.make_room(path, day)?;
        let made = backup(path, &draft).map_err(CopyError::Backup).and_then(|facts| {
            verify(&draft, &mut |_, _| {}).map_err(|error| whose(error, path))?;
            let name = format!("{BEGINS}{day}-r{}{ENDS}", facts.rows);
            let made = CopyFacts { day, rows: facts.rows, path: self.folder.join(name) };
            fs::rename(&draft, &made.path)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(made)
        });
        if made.is_err() {
            clear(&draft);
        }
        let made = made?;
        while self.all()?.len() > usize::try_from(self.keep).unwrap_or(usize::MAX) {
            self.remove_oldest(day)?;
        }
        Ok(Some(made))
    }

    /// A folder within that of the store is ours to make; one elsewhere may be a disk that is not plugged in.
    fn make_folder(&self, path: &Path) -> io::Result<()> {
        if self.folder.parent() != path.parent() || self.folder.try_exists()? {
            return fs::metadata(&self.folder).map(drop);
        }
        DirBuilder::new().mode(0o700).create(&self.folder)
    }

    /// Takes the oldest away while there is no room for another, but never the last.
    fn make_room(&self, path: &Path, day: Date) -> Result<(), CopyError> {
        let wanted = fs::metadata(path)?.len().saturating_add(DISK_LOW_BYTES).saturating_add(RESERVE_BYTES);
        loop {
            let free = disk_free_bytes(&self.folder)?;
            if free >= wanted {
                return Ok(());
            }
            if self.all()?.len() <= 1 {
                return Err(CopyError::NoRoom { wanted, free });
            }
            self.remove_oldest(day)?;
        }
    }

    /// Those that a clock which was ahead has dated come first: else they would push out every new one.
    fn remove_oldest(&self, day: Date) -> io::Result<()> {
        let oldest = self.all()?.into_iter().min_by_key(|copy| (copy.day <= day, copy.day, copy.rows));
        oldest.map_or(Ok(()), |oldest| fs::remove_file(oldest.path))
    }
}

/// What a process that was killed left behind, or a copy that did not come about.
fn clear(draft: &Path) {
    for path in [draft.to_owned(), beside(draft, ".part")] {
        let _ = fs::remove_file(path); // There is none, or the next one takes its place.
    }
}

/// A copy that does not prove itself was spoilt on its way, or the books are.
fn whose(error: VerifyError, path: &Path) -> CopyError {
    match verify(path, &mut |_, _| {}) {
        Ok(_) => CopyError::Spoilt(error),
        Err(error) => CopyError::Bad(error),
    }
}

fn facts(name: &str, path: PathBuf) -> Option<CopyFacts> {
    let (day, rows) = name.strip_prefix(BEGINS)?.strip_suffix(ENDS)?.split_once("-r")?;
    Some(CopyFacts { day: day.parse().ok()?, rows: rows.parse().ok()?, path })
}

/// Whether anything about a sale was written behind so many rows of the journal, or they are not those of these books.
fn has_changed(path: &Path, rows: u64) -> Result<bool, OpenError> {
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let sql = format!(
        "SELECT (SELECT coalesce(max(seq), 0) FROM journal) < ?1
            OR EXISTS (SELECT 1 FROM journal WHERE seq > ?1 AND kind NOT IN ({PASSING}))"
    );
    let found = open_reader(path)?.query_row(&sql, [rows], |row| row.get(0));
    found.map_err(|error| OpenError::of_sqlite(path, error))
}
