//! What one store does to its files, in order, and the faults it is to meet. Does not touch the files itself.

use crate::disk::{Disk, Inode, Name, Op};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Writing bytes.
    Write,
    /// Cutting or growing a file.
    Truncate,
    /// Waiting until it is on the disk.
    Sync,
}

/// An answer of a failing disk.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// What fails.
    pub deed: Deed,
    /// How many such deeds go well before.
    pub after: usize,
    /// SQLite's code for it.
    pub code: c_int,
    /// Whether all later ones fail as well.
    pub stays: bool,
}

#[derive(Debug, Default)]
struct Inner {
    log: Vec<Op>,
    names: BTreeMap<Name, Inode>,
    inodes: Inode,
    lies: bool,
    fault: Option<Fault>,
    hit: usize,
}

/// The record of one store.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    inner: Mutex<Inner>,
}

static ALL: Mutex<Vec<Arc<Recorder>>> = Mutex::new(Vec::new());

/// The record that is kept of this file, and what the file is.
pub(crate) fn of_path(path: &Path) -> Option<(Arc<Recorder>, Name)> {
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().find_map(|recorder| {
        let suffix = path.as_os_str().to_str()?.strip_prefix(recorder.path.to_str()?)?;
        let name = Name::ALL.into_iter().find(|name| name.suffix() == suffix)?;
        Some((recorder.clone(), name))
    })
}

impl Recorder {
    /// Keeps the record of the store at `path`, which now has these files, until [`Recorder::end`].
    pub fn begin(path: &Path, disk: &Disk) -> Arc<Recorder> {
        let inodes = disk.files.keys().next_back().copied().unwrap_or(0);
        let inner = Inner { names: disk.seen_names(), inodes, ..Inner::default() };
        let recorder = Arc::new(Recorder { path: path.to_owned(), inner: Mutex::new(inner) });
        ALL.lock().unwrap_or_else(PoisonError::into_inner).push(recorder.clone());
        recorder
    }

    /// No more is recorded; what was.
    pub fn end(self: Arc<Recorder>) -> Vec<Op> {
        ALL.lock().unwrap_or_else(PoisonError::into_inner).retain(|other| !Arc::ptr_eq(other, &self));
        std::mem::take(&mut self.lock().log)
    }

    /// From now on the disk says *synced* and does nothing.
    pub fn lie(&self) {
        self.lock().lies = true;
    }

    /// From now on the disk fails like this; or does not any more.
    pub fn fail(&self, fault: Option<Fault>) {
        let mut inner = self.lock();
        (inner.fault, inner.hit) = (fault, 0);
    }

    /// How often the disk failed since it was told to.
    pub fn failed(&self) -> usize {
        self.lock().hit
    }

    /// Notes something.
    pub fn note(&self, op: Op) {
        self.lock().log.push(op);
    }

    /// The file behind a name that was just opened: a new one if there was none.
    pub(crate) fn opened(&self, name: Name) -> Inode {
        let mut inner = self.lock();
        if let Some(inode) = inner.names.get(&name) {
            return *inode;
        }
        inner.inodes += 1;
        let inode = inner.inodes;
        inner.names.insert(name, inode);
        inner.log.push(Op::Create(name, inode));
        inode
    }

    pub(crate) fn deleted(&self, name: Name, names_synced: bool) {
        let mut inner = self.lock();
        inner.names.remove(&name);
        inner.log.push(Op::Delete(name));
        if names_synced && !inner.lies {
            inner.log.push(Op::SyncNames);
        }
    }

    pub(crate) fn lies(&self) -> bool {
        self.lock().lies
    }

    /// The code with which this deed is to fail, if it is.
    pub(crate) fn fault(&self, deed: Deed) -> Option<c_int> {
        let mut inner = self.lock();
        let fault = inner.fault.as_mut().filter(|fault| fault.deed == deed)?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        let (code, stays) = (fault.code, fault.stays);
        if !stays {
            inner.fault = None;
        }
        inner.hit += 1;
        Some(code)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
