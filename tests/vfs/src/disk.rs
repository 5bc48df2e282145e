//! A disk under a running store: what surely is on it, and what a power cut may or may not leave. Writes no real file.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// The files of a store that outlive a power cut, by what stands behind the store's name. `-shm` is not one of them:
/// it is never synced, and SQLite makes it anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The database.
    Db,
    /// The write-ahead log.
    Wal,
    /// The rollback journal, there only while a store is made.
    Journal,
}

impl Name {
    /// All of them.
    pub const ALL: [Name; 3] = [Name::Db, Name::Wal, Name::Journal];

    /// What stands behind the store's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Name::Db => "",
            Name::Wal => "-wal",
            Name::Journal => "-journal",
        }
    }
}

/// Which file, whatever its name is now.
pub type Inode = u32;

/// Whole files, as a process finds them.
pub type Files = BTreeMap<Name, Vec<u8>>;

/// One thing that the store did, or that was noted about it.
#[derive(Clone, Debug)]
pub enum Op {
    /// A new, empty file of this name.
    Create(Name, Inode),
    /// Bytes written at an offset.
    Write(Inode, usize, Arc<[u8]>),
    /// A file cut or grown to a size.
    Truncate(Inode, usize),
    /// All that was written to a file is on the disk.
    Sync(Inode),
    /// The disk said that it could not: what was written since is seen, but no later sync will bring it to the disk.
    SyncFailed(Inode),
    /// The name is gone.
    Delete(Name),
    /// The names are on the disk.
    SyncNames,
    /// The next batch of records was handed to the store: so many may be there from now on.
    Begun(usize),
    /// So many batches are acknowledged: they must be there from now on.
    Acknowledged(usize),
}

/// Whether a change is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not before the next sync.
    Open,
    /// Nobody knows, and a later sync does not change that.
    Doomed,
    /// Surely; it is kept apart only because one before it is doomed.
    Sure,
}

/// What is done to a file.
#[derive(Clone, Debug)]
pub enum Change {
    /// Bytes written at an offset.
    Write(usize, Arc<[u8]>),
    /// A file cut or grown to a size.
    Truncate(usize),
}

/// One file on the disk.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// What surely is there.
    pub durable: Arc<Vec<u8>>,
    /// What may be there as well, oldest first.
    pub pending: Vec<(Change, Fate)>,
}

/// All files of a store, with what a power cut may leave of them.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// The files that a name led to since the names were last synced.
    pub files: BTreeMap<Inode, File>,
    /// The names that surely are there.
    pub names: BTreeMap<Name, Inode>,
    /// Names that were given or taken since.
    pub renamed: Vec<(Name, Option<Inode>)>,
}

impl Disk {
    /// A disk on which these files surely are.
    pub fn of(files: Files) -> Disk {
        let mut disk = Disk::default();
        for (inode, (name, bytes)) in (1..).zip(files) {
            disk.files.insert(inode, File { durable: Arc::new(bytes), pending: Vec::new() });
            disk.names.insert(name, inode);
        }
        disk
    }

    /// The names as a process sees them.
    pub fn seen_names(&self) -> BTreeMap<Name, Inode> {
        let mut names = self.names.clone();
        for (name, inode) in &self.renamed {
            match inode {
                Some(inode) => names.insert(*name, *inode),
                None => names.remove(name),
            };
        }
        names
    }

    /// The files as a process sees them, synced or not.
    pub fn seen(&self) -> Files {
        self.seen_names().into_iter().map(|(name, inode)| (name, self.files[&inode].seen())).collect()
    }

    /// Whether a power cut can leave more than one disk.
    pub fn unsure(&self) -> bool {
        !self.renamed.is_empty() || self.files.values().any(|file| !file.pending.is_empty())
    }

    /// What an operation does.
    pub fn step(&mut self, op: &Op) {
        match op {
            Op::Create(name, inode) => {
                self.files.insert(*inode, File::default());
                self.renamed.push((*name, Some(*inode)));
            }
            Op::Write(inode, at, bytes) => {
                self.file(*inode).pending.push((Change::Write(*at, bytes.clone()), Fate::Open));
            }
            Op::Truncate(inode, size) => self.file(*inode).pending.push((Change::Truncate(*size), Fate::Open)),
            Op::Sync(inode) => self.file(*inode).sync(),
            Op::SyncFailed(inode) => self.file(*inode).settle(Fate::Doomed),
            Op::Delete(name) => self.renamed.push((*name, None)),
            Op::SyncNames => {
                self.names = self.seen_names();
                self.renamed.clear();
                let names = &self.names;
                self.files.retain(|inode, _| names.values().any(|named| named == inode));
            }
            Op::Begun(_) | Op::Acknowledged(_) => {}
        }
    }

    fn file(&mut self, inode: Inode) -> &mut File {
        self.files.entry(inode).or_default()
    }
}

impl File {
    /// The file as a process sees it.
    pub fn seen(&self) -> Vec<u8> {
        let mut bytes = self.durable.to_vec();
        for (change, _) in &self.pending {
            apply(&mut bytes, change);
        }
        bytes
    }

    fn sync(&mut self) {
        self.settle(Fate::Sure);
        let sure = self.pending.iter().take_while(|(_, fate)| *fate == Fate::Sure).count();
        if sure > 0 {
            let mut bytes = self.durable.to_vec();
            self.pending.drain(..sure).for_each(|(change, _)| apply(&mut bytes, &change));
            self.durable = Arc::new(bytes);
        }
    }

    fn settle(&mut self, fate: Fate) {
        self.pending.iter_mut().filter(|(_, now)| *now == Fate::Open).for_each(|(_, now)| *now = fate);
    }
}

/// Does a change to the bytes of a file.
pub fn apply(file: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, bytes) => {
            let end = at + bytes.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            file[*at..end].copy_from_slice(bytes);
        }
        Change::Truncate(size) => file.resize(*size, 0),
    }
}

/// The sectors that a write touches.
pub fn sectors(at: usize, len: usize) -> std::ops::Range<usize> {
    at / SECTOR..(at + len).div_ceil(SECTOR)
}
