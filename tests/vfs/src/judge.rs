//! Whether a store that is found on a disk is right: opened and checked by the program's own code. Mends nothing.

use crate::dice::Dice;
use crate::disk::{Files, Name};
use crate::history::{History, WALL, look};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use tillgate::store::{Books, Store};

/// A folder of its own, gone when dropped: in memory where there is such a place, for speed.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new, empty one.
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = root.join(format!("tillgate-vfs-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder can be made");
        Folder(path.canonicalize().expect("it is there"))
    }

    /// Where a store in it is.
    pub fn db(&self) -> PathBuf {
        self.0.join("tillgate.db")
    }

    /// Puts these files there, and no others of a store.
    pub fn put(&self, files: &Files, shm: Option<&[u8]>) {
        let db = self.db();
        let path = |suffix: &str| {
            let mut name = db.clone().into_os_string();
            name.push(suffix);
            PathBuf::from(name)
        };
        for name in Name::ALL {
            let path = path(name.suffix());
            match files.get(&name) {
                Some(bytes) => fs::write(path, bytes).expect("the folder has room"),
                None => drop(fs::remove_file(path)),
            }
        }
        match shm {
            Some(bytes) => fs::write(path("-shm"), bytes).expect("the folder has room"),
            None => drop(fs::remove_file(path("-shm"))),
        }
    }
}

impl Default for Folder {
    fn default() -> Folder {
        Folder::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What a judged store goes through besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Nothing.
    None,
    /// It writes the next batch, and is checked again.
    GoesOn,
    /// Somebody looks into the books before the store is started.
    ReaderFirst,
}

/// Opens the store as the daemon does, checks all of it, and says how many batches of the history it holds.
pub fn judge(history: &History, db: &Path, extra: Extra) -> Result<usize, String> {
    if extra == Extra::ReaderFirst && db.exists() {
        // Whoever cannot write may be told to start the store first; what is read must not change what is there.
        if let Ok(books) = Books::open_read_only(db) {
            books.counts().map_err(|e| format!("opens for a reader, but cannot be read: {e}"))?;
        }
    }
    let mut store = Store::open(db).map_err(|e| format!("does not open: {e}: {:?}", std::error::Error::source(&e)))?;
    let batch = held(history, db)?;
    if store.journal_rows() != history.holds[batch].rows {
        return Err(format!("opened with {} rows, has {}", store.journal_rows(), history.holds[batch].rows));
    }
    if let Some(next) = history.batches.get(batch).filter(|_| extra == Extra::GoesOn) {
        store.commit(WALL, next).map_err(|e| format!("does not go on: {e}: {:?}", std::error::Error::source(&e)))?;
        if held(history, db)? != batch + 1 {
            return Err("went on, but does not hold it".to_owned());
        }
    }
    Ok(batch)
}

fn held(history: &History, db: &Path) -> Result<usize, String> {
    let holds = look(db)?;
    history
        .batch_of(&holds)
        .ok_or_else(|| format!("holds {} rows that are no whole batches of the history", holds.rows))
}

/// What may lie where SQLite keeps its shared memory, after a power cut: anything.
pub fn junk(dice: &mut Dice) -> Option<Vec<u8>> {
    let size = [None, None, Some(3), Some(32_768)][dice.below(4)]?;
    Some((0..size).map(|_| dice.draw().to_le_bytes()[0]).collect())
}
