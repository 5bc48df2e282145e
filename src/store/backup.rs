//! A copy of the store, taken beside the running writer. Deletes no older copies.

use super::disk::folder_of;
use super::schema::{OpenError, beside, open_reader};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Pages copied in one go.
const STEP_PAGES: i32 = 256;

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupFacts {
    /// Its size.
    pub bytes: u64,
    /// How many rows its journal has.
    pub rows: u64,
}

/// Why there is no backup. The target is as it was.
#[derive(Debug)]
pub enum BackupError {
    /// The store cannot be read.
    Store(Box<OpenError>),
    /// SQLite could not copy it.
    Copy(rusqlite::Error),
    /// The target cannot be written.
    Target(io::Error),
}

impl fmt::Display for BackupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BackupError::Store(_) => f.write_str("the store cannot be read for the backup"),
            BackupError::Copy(_) => {
                f.write_str("the backup was broken off; check both disks and the room on the target's")
            }
            BackupError::Target(_) => {
                f.write_str("the backup cannot be written; check that the folder is there and has room")
            }
        }
    }
}

impl std::error::Error for BackupError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BackupError::Store(error) => Some(error),
            BackupError::Copy(error) => Some(error),
            BackupError::Target(error) => Some(error),
        }
    }
}

impl From<rusqlite::Error> for BackupError {
    fn from(error: rusqlite::Error) -> Self {
        BackupError::Copy(error)
    }
}

impl From<io::Error> for BackupError {
    fn from(error: io::Error) -> Self {
        BackupError::Target(error)
    }
}

/// Copies the store at `path`, as it is at one moment, to the file `target` (0600), which then is one whole file on
/// disk that opens as a store. An earlier `target` is replaced only at the very end.
pub fn backup(path: &Path, target: &Path) -> Result<BackupFacts, BackupError> {
    let from = open_reader(path).map_err(|error| BackupError::Store(Box::new(error)))?;
    backup_of(&from, target)
}

/// As [`backup`], from an open connection that is in no transaction.
pub(super) fn backup_of(from: &Connection, target: &Path) -> Result<BackupFacts, BackupError> {
    let draft = beside(target, ".part");
    let copied = copy(from, &draft).and_then(|facts| {
        File::open(&draft)?.sync_all()?;
        fs::rename(&draft, target)?;
        File::open(folder_of(target))?.sync_all()?;
        Ok(facts)
    });
    if copied.is_err() {
        let _ = fs::remove_file(&draft);
    }
    copied
}

fn copy(from: &Connection, draft: &Path) -> Result<BackupFacts, BackupError> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(draft)?;
    let mut to = Connection::open_with_flags(draft, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    to.pragma_update(None, "synchronous", "off")?;
    // One snapshot for all steps: else each commit of the writer would make the copy start again.
    from.execute_batch("BEGIN")?;
    let rows: i64 = from.query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| row.get(0))?;
    {
        let copying = Backup::new(from, &mut to)?;
        while copying.step(STEP_PAGES)? != StepResult::Done {
            std::thread::yield_now();
        }
    }
    from.execute_batch("COMMIT")?;
    // Without a log beside it: a backup is one file.
    to.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(()))?;
    to.close().map_err(|(_, error)| error)?;
    let bytes = fs::metadata(draft)?.len();
    Ok(BackupFacts { bytes, rows: rows.unsigned_abs() })
}
