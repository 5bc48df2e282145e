//! Lives of a store, each recorded from the first byte, and the moments at which power can be cut. Judges nothing.

use crate::disk::{Disk, Op};
use crate::history::{History, WALL};
use crate::judge::Folder;
use crate::recorder::Recorder;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use tillgate::store::{Books, Filter, Store, Synchronous, backup};

/// What was done to the files of one store.
#[derive(Debug)]
pub struct Life {
    /// Its name.
    pub name: String,
    /// What was there before.
    pub start: Moment,
    /// What was done.
    pub ops: Vec<Op>,
    /// The first boundary that is looked at.
    pub from: usize,
}

/// What a power cut finds at one moment.
#[derive(Clone, Debug, Default)]
pub struct Moment {
    /// The disk.
    pub disk: Disk,
    /// How many batches must be there.
    pub acknowledged: usize,
    /// How many batches may be there.
    pub begun: usize,
}

impl Moment {
    fn step(&mut self, op: &Op) {
        match op {
            Op::Begun(batches) => self.begun = self.begun.max(*batches),
            Op::Acknowledged(batches) => self.acknowledged = self.acknowledged.max(*batches),
            Op::Create(..) | Op::Write(..) | Op::Truncate(..) | Op::Delete(_) => {}
            Op::Sync(_) | Op::SyncFailed(_) | Op::SyncNames => {}
        }
        self.disk.step(op);
    }
}

impl Life {
    /// Every boundary between two operations, and what a power cut finds there.
    pub fn each_moment(&self, mut see: impl FnMut(usize, &Moment)) {
        let mut moment = self.start.clone();
        if self.from == 0 {
            see(0, &moment);
        }
        for (at, op) in self.ops.iter().enumerate() {
            moment.step(op);
            if at + 1 >= self.from && !matches!(op, Op::Begun(_) | Op::Acknowledged(_)) {
                see(at + 1, &moment);
            }
        }
    }

    /// What a power cut finds after so many operations.
    pub fn moment(&self, cut: usize) -> Moment {
        let mut moment = self.start.clone();
        self.ops[..cut].iter().for_each(|op| moment.step(op));
        moment
    }
}

/// How the disk and the store behave in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As in a shop.
    Right,
    /// Commits wait for nothing, checkpoints do.
    Normal,
    /// Nothing waits for the disk.
    Off,
    /// The disk says *synced* and is not.
    Lying,
}

/// A store that lives and is recorded.
pub struct Scene<'a> {
    history: &'a History,
    folder: Folder,
    recorder: Arc<Recorder>,
    manner: Manner,
    store: Option<Store>,
    done: usize,
    /// How long its log gets: in pages, and in bytes at most.
    pub log: (u32, u32),
}

impl<'a> Scene<'a> {
    /// A store that finds this; not yet opened.
    pub fn set(history: &'a History, start: &Moment, manner: Manner) -> Scene<'a> {
        crate::install();
        let folder = Folder::new();
        folder.put(&start.disk.seen(), None);
        let recorder = Recorder::begin(&folder.db(), &start.disk);
        if manner == Manner::Lying {
            recorder.lie();
        }
        Scene { history, folder, recorder, manner, store: None, done: 0, log: (40, 64 << 10) }
    }

    /// Where the store is.
    pub fn db(&self) -> PathBuf {
        self.folder.db()
    }

    /// What records it.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Starts the store. What it shows from then on is acknowledged: the shop acts on it.
    pub fn open(&mut self) -> Result<(), String> {
        let synchronous = match self.manner {
            Manner::Right | Manner::Lying => Synchronous::Full,
            Manner::Normal => Synchronous::Normal,
            Manner::Off => Synchronous::Off,
        };
        let store = Store::open_synchronous(&self.db(), synchronous).map_err(|e| format!("{e}: {e:?}"))?;
        let rows = store.journal_rows();
        self.done =
            self.history.holds.iter().position(|h| h.rows == rows).ok_or(format!("{rows} rows are no batches"))?;
        self.recorder.note(Op::Acknowledged(self.done));
        store.keep_the_log_short(self.log.0, self.log.1).map_err(|e| e.to_string())?;
        self.store = Some(store);
        Ok(())
    }

    /// Writes the next so many batches of the history.
    pub fn commit(&mut self, batches: usize) -> Result<(), String> {
        for _ in 0..batches {
            let store = self.store.as_mut().ok_or("not open")?;
            let Some(batch) = self.history.batches.get(self.done) else { return Ok(()) };
            self.recorder.note(Op::Begun(self.done + 1));
            store.commit(WALL, batch).map_err(|e| format!("{e}: {e:?}"))?;
            self.done += 1;
            self.recorder.note(Op::Acknowledged(self.done));
        }
        Ok(())
    }

    /// Stops the store as the daemon does.
    pub fn stop(&mut self) {
        self.store = None;
    }

    /// The life until now.
    pub fn end(mut self, name: impl Into<String>, start: &Moment) -> Life {
        self.stop();
        Life { name: name.into(), start: start.clone(), ops: self.recorder.clone().end(), from: 0 }
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.stop();
        self.recorder.clone().end();
    }
}

/// From nothing: the file is made, the first sales are written, the store stops.
pub fn made_and_used(history: &History, manner: Manner) -> Life {
    let start = Moment::default();
    let mut scene = Scene::set(history, &start, manner);
    scene.open().expect("a new store opens");
    scene.commit(history.batches.len()).expect("commits");
    scene.end(format!("day, {manner:?}"), &start)
}

/// Stops and starts, each with what a start and a stop write themselves.
pub fn stopped_and_started(history: &History) -> Life {
    let start = Moment::default();
    let mut scene = Scene::set(history, &start, Manner::Right);
    for batches in [0, 1, 3, 6, 2, 9, 4, 1] {
        scene.open().expect("opens");
        scene.commit(batches).expect("commits");
        scene.stop();
    }
    scene.end("stops and starts", &start)
}

/// People read and copy the books beside the writer: one holds an old snapshot, so that the log grows, is then reset
/// and cut.
pub fn read_and_copied(history: &History) -> Life {
    let start = Moment::default();
    let mut scene = Scene::set(history, &start, Manner::Right);
    scene.open().expect("opens");
    scene.commit(4).expect("commits");
    let copy = scene.db().with_extension("copy");
    for _ in 0..3 {
        let reader = Connection::open(scene.db()).expect("a reader opens");
        reader.execute_batch("BEGIN; SELECT count(*) FROM journal").expect("a reader reads");
        scene.commit(3).expect("commits beside a reader");
        let books = Books::open_read_only(&scene.db()).expect("books open");
        books.sales(&Filter::default(), &mut |_| true).expect("books are read");
        backup(&scene.db(), &copy).expect("a backup is made");
        scene.commit(3).expect("commits beside a reader");
        reader.execute_batch("COMMIT").expect("a reader ends");
        drop((reader, books));
        scene.commit(4).expect("commits");
    }
    scene.end("readers and backups", &start)
}

/// What follows a cut: the store starts on what was left, goes on for a few batches, and stops.
pub fn after(history: &History, name: String, found: &Moment) -> Result<Life, String> {
    let mut scene = Scene::set(history, found, Manner::Right);
    scene.open().and_then(|()| scene.commit(1)).map_err(|what| format!("{name}: {what}"))?;
    Ok(scene.end(name, found))
}
