//! SQLite's own check of the whole file, for after an unclean end: at once, or beside the work where that takes long.

use super::schema::open_reader;
use rusqlite::{Connection, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A file up to this size is checked whole before the daemon begins to work: in less than half a second.
pub const CHECKED_AT_ONCE_BYTES: u64 = 32 << 20;

/// A check of the whole file that is still to be done. Until it finds nothing, the next start asks for it again.
#[derive(Debug)]
pub struct WholeCheck {
    path: PathBuf,
    sound: Arc<AtomicBool>,
}

impl WholeCheck {
    pub(super) fn of(path: &Path) -> WholeCheck {
        WholeCheck { path: path.to_owned(), sound: Arc::new(AtomicBool::new(false)) }
    }

    pub(super) fn sound(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.sound)
    }

    pub(super) fn is_quick(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|file| file.len() <= CHECKED_AT_ONCE_BYTES)
    }

    /// Reads the whole file on a connection of its own, beside the writer: seconds for a large one. What is wrong, if
    /// something is.
    pub fn run(self) -> Result<(), String> {
        let conn = open_reader(&self.path).map_err(|error| error.to_string())?;
        match defect(&conn, Look::Quick) {
            Ok(None) => {
                self.sound.store(true, Ordering::Relaxed);
                Ok(())
            }
            Ok(Some(what)) => Err(what),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// How closely SQLite looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Look {
    /// At all pages and rows: seconds for a gigabyte.
    Quick,
    /// Also at whether each index has each row, which takes five times as long.
    Close,
}

/// The first defect that SQLite finds, if there is one.
pub(super) fn defect(conn: &Connection, look: Look) -> Result<Option<String>, rusqlite::Error> {
    let sql = match look {
        Look::Quick => "PRAGMA quick_check(1)",
        Look::Close => "PRAGMA integrity_check(1)",
    };
    let found = conn.query_row(sql, [], |row| row.get::<_, String>(0)).optional()?;
    Ok(found.filter(|word| word != "ok").map(|word| word.split_whitespace().collect::<Vec<_>>().join(" ")))
}
