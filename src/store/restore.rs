//! Puts a backup in the place of the books, and keeps what was there aside. Judges no sale, and opens nothing for work.
//!
//! A power cut at any moment leaves the old books or the new ones: the backup is copied, brought up to date and verified
//! under another name; from the moment on that it is called `PATH.restored`, whoever opens the store first puts it in place.

use super::disk::folder_of;
use super::ending;
use super::journal::hex;
use super::schema::{OpenError, beside, lock, open_reader, upgrade_copy};
use super::verify::{Verified, VerifyError, verify};
use super::wal::check_log;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

/// The copy while it is made.
const DRAFT: &str = ".restoring";
/// The copy once it is to be the books.
const READY: &str = ".restored";
/// What was there, until it has a dated name.
const REPLACED: &str = ".replaced";
/// Another name of what is there, under which it is looked at: SQLite keeps its notes beside that.
const LOOKED_AT: &str = ".looked-at";
/// A store consists of these.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];
/// Rows of the journal that are of no worth once they are over.
pub(super) const PASSING: &str = "'session', 'session-ended', 'cursor'";

/// Books that are in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What they hold.
    pub books: Verified,
    /// What was there before and is not in them.
    pub newer: Newer,
    /// Where what was there is kept, if anything was.
    pub kept: Option<PathBuf>,
}

/// What the books that were there have and the backup has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Newer {
    /// Nothing of worth.
    Nothing,
    /// So much.
    Some {
        /// Sales and returns that the backup does not know at all.
        sales: u64,
        /// Rows of the journal about sales, these and older ones.
        rows: u64,
    },
    /// Everything: the backup is not of these books, or they went another way since.
    All {
        /// Sales and returns.
        sales: u64,
    },
    /// It cannot be read any more.
    Unreadable(String),
}

impl fmt::Display for Newer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Newer::Nothing => f.write_str("nothing is lost"),
            Newer::Some { sales: 0, rows } => {
                write!(f, "no sale is lost, but {rows} later entries about older ones are")
            }
            Newer::Some { sales: 1, .. } => f.write_str("1 sale is lost"),
            Newer::Some { sales, .. } => write!(f, "{sales} sales are lost"),
            Newer::All { sales } => write!(f, "the backup is not of these books, whose {sales} sales are lost"),
            Newer::Unreadable(why) => write!(f, "how many sales are lost cannot be read: {why}"),
        }
    }
}

/// Why no backup was put in place. The books are as they were.
#[derive(Debug)]
pub enum RestoreError {
    /// The store is in use, or its folder cannot be.
    Store(OpenError),
    /// The backup cannot be used as a store.
    Backup(OpenError),
    /// The backup does not prove itself.
    Bad(VerifyError),
    /// The backup is the store.
    Same,
    /// What is there is newer, and it was not said that it may be lost.
    Newer(Newer),
    /// A file cannot be read or written.
    Files(io::Error),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestoreError::Store(OpenError::InUse(_)) => {
                f.write_str("the daemon is running; stop it first: systemctl stop 'tillgate-http*' tillgate")
            }
            RestoreError::Store(_) => f.write_str("the books cannot be replaced"),
            RestoreError::Backup(_) => f.write_str("the backup cannot be used; take another one"),
            RestoreError::Bad(_) => f.write_str("the backup does not prove itself; take another one"),
            RestoreError::Same => f.write_str("these are the books themselves; name a backup"),
            RestoreError::Newer(Newer::Unreadable(why)) => write!(
                f,
                "what is there cannot be read ({why}), so nobody can say how many sales would be lost; nothing was \
                 changed; if they may be, say so with --lose-newer: what is there is kept aside"
            ),
            RestoreError::Newer(newer) => write!(
                f,
                "the books that are there are newer than this backup: {newer}; nothing was changed; if they may be, say \
                 so with --lose-newer: what is there is kept aside"
            ),
            RestoreError::Files(_) => f.write_str(
                "the backup cannot be put in place; check that it can be read, and the disk's room and rights",
            ),
        }
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RestoreError::Store(error) | RestoreError::Backup(error) => Some(error),
            RestoreError::Bad(error) => Some(error),
            RestoreError::Files(error) => Some(error),
            RestoreError::Same | RestoreError::Newer(_) => None,
        }
    }
}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        RestoreError::Files(error)
    }
}

/// Makes the backup `from` the store at `path`, which nobody may have open for writing. Verifies it first, and refuses if
/// what is there knows of sales that it does not, unless they may be lost (`lose_newer`). What is there is kept aside in
/// any case. A backup of an older program is brought up to date. `progress` is that of [`verify`].
pub fn restore(
    path: &Path,
    from: &Path,
    lose_newer: bool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Restored, RestoreError> {
    let owner = owner_of(path)?;
    let lock = lock(path).map_err(RestoreError::Store)?;
    // Whatever comes of this: the daemon must be able to open it.
    owner.gets(&beside(path, "-lock"))?;
    finish(path).map_err(RestoreError::Store)?;
    if fs::canonicalize(from)? == fs::canonicalize(path).unwrap_or_default() {
        return Err(RestoreError::Same);
    }
    let draft = beside(path, DRAFT);
    remove_parts(&draft)?;
    let made = make(&draft, from, progress).and_then(|books| {
        let newer = newer_than(path, &draft, &books);
        if newer == Newer::Nothing || lose_newer { Ok((books, newer)) } else { Err(RestoreError::Newer(newer)) }
    });
    let (books, newer) = match made {
        Ok(made) => made,
        Err(error) => {
            let _ = remove_parts(&draft); // The next try clears it away.
            return Err(error);
        }
    };
    owner.gets(&draft)?;
    File::open(&draft)?.sync_all()?;
    fs::rename(&draft, beside(path, READY))?;
    sync(folder_of(path))?;
    let kept = finish(path).map_err(RestoreError::Store)?;
    if let Some(kept) = &kept {
        owner.gets(kept)?;
    }
    // The next start reads all of it.
    ending::begin(lock.file())?;
    Ok(Restored { books, newer, kept })
}

/// Puts a restored store in place where that was begun. Says where what was there is kept. The caller holds the lock.
pub(super) fn finish(path: &Path) -> Result<Option<PathBuf>, OpenError> {
    put_in_place(path).map_err(|source| OpenError::Unusable { path: path.to_owned(), source })
}

fn put_in_place(path: &Path) -> io::Result<Option<PathBuf>> {
    let (ready, aside, draft) = (beside(path, READY), beside(path, REPLACED), beside(path, DRAFT));
    if draft.try_exists()? {
        remove_parts(&draft)?; // Who holds the lock knows that nobody makes it any more.
    }
    if ready.try_exists()? {
        // Before anything moves: with the new name in place all of this is done again.
        make_folder(&aside)?;
        for end in PARTS {
            let part = beside(path, end);
            let Some(name) = part.file_name() else { continue };
            move_away(&part, &aside.join(name))?;
        }
        sync(&aside)?;
        sync(folder_of(path))?;
        fs::rename(&ready, path)?;
        sync(folder_of(path))?;
    }
    if !aside.try_exists()? {
        return Ok(None);
    }
    if fs::remove_dir(&aside).is_ok() {
        return Ok(None); // Nothing was there.
    }
    let kept = dated(path)?;
    fs::rename(&aside, &kept)?;
    sync(folder_of(path))?;
    Ok(Some(kept))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn move_away(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A name that says when, and that nothing has yet.
fn dated(path: &Path) -> io::Result<PathBuf> {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ");
    let mut kept = beside(path, &format!(".replaced-{now}"));
    let mut number: u32 = 1;
    while kept.try_exists()? {
        number = number.saturating_add(1);
        kept = beside(path, &format!(".replaced-{now}-{number}"));
    }
    Ok(kept)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove_parts(path: &Path) -> io::Result<()> {
    for end in [PARTS.as_slice(), &["-journal"]].concat() {
        match fs::remove_file(beside(path, end)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// A copy of the backup, up to date and proved.
fn make(draft: &Path, from: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, RestoreError> {
    // A store that was kept aside has a log; a backup has none.
    check_log(from).map_err(RestoreError::Backup)?;
    for end in ["", "-wal"] {
        let mut source = match File::open(beside(from, end)) {
            Err(error) if end == "-wal" && error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let target = OpenOptions::new().create_new(true).write(true).mode(0o600).open(beside(draft, end));
        io::copy(&mut source, &mut target?)?;
    }
    upgrade_copy(draft).map_err(RestoreError::Backup)?;
    verify(draft, progress).map_err(RestoreError::Bad)
}

/// What the store at `path` has and the draft has not.
fn newer_than(path: &Path, draft: &Path, books: &Verified) -> Newer {
    let parts: Result<Vec<bool>, io::Error> = ["", "-wal"].iter().map(|end| has_bytes(&beside(path, end))).collect();
    match parts.as_deref() {
        Ok([false, false]) => return Newer::Nothing,
        Ok([true, _]) => {}
        Ok(_) => return Newer::Unreadable("it is gone, and its log is left".to_owned()),
        Err(error) => return Newer::Unreadable(error.to_string()),
    }
    if let Err(error) = check_log(path) {
        return Newer::Unreadable(error.to_string());
    }
    let looked_at = beside(path, LOOKED_AT);
    let found = remove_parts(&looked_at)
        .and_then(|()| same_files(path, &looked_at))
        .map_err(|error| error.to_string())
        .and_then(|()| compare(&looked_at, draft, books).map_err(|error| error.to_string()));
    let _ = remove_parts(&looked_at); // In nobody's way; the next look begins with this.
    found.unwrap_or_else(Newer::Unreadable)
}

fn has_bytes(path: &Path) -> io::Result<bool> {
    match fs::metadata(path) {
        Ok(file) => Ok(file.len() > 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// The same files under another name, or copies where the disk knows no second name.
fn same_files(path: &Path, other: &Path) -> io::Result<()> {
    for end in ["", "-wal"] {
        let (from, to) = (beside(path, end), beside(other, end));
        if from.try_exists()? && fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}

fn compare(there: &Path, draft: &Path, books: &Verified) -> Result<Newer, Box<dyn std::error::Error>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let there = Connection::open_with_flags(there, flags)?;
    let draft = open_reader(draft)?;
    let number = |conn: &Connection, sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0));
    if number(&there, "SELECT count(*) FROM sqlite_schema")? == 0 {
        return Ok(Newer::Nothing);
    }
    let rows_there = number(&there, "SELECT coalesce(max(seq), 0) FROM journal")?;
    let shared = rows_there.min(i64::try_from(books.rows)?);
    let hash = |conn: &Connection| {
        let found = conn.query_row("SELECT hash FROM journal WHERE seq = ?1", [shared], |row| row.get::<_, Vec<u8>>(0));
        found.optional().map(|hash| hash.map(|hash| hex(&hash)))
    };
    if hash(&there)? != hash(&draft)? {
        return Ok(Newer::All { sales: number(&there, "SELECT count(*) FROM sales")?.unsigned_abs() });
    }
    let rows = format!("SELECT count(*) FROM journal WHERE seq > ?1 AND kind NOT IN ({PASSING})");
    let rows: i64 = there.query_row(&rows, [shared], |row| row.get(0))?;
    let known = number(&draft, "SELECT coalesce(max(no), 0) FROM sales")?;
    let sales: i64 = there.query_row("SELECT count(*) FROM sales WHERE no > ?1", [known], |row| row.get(0))?;
    Ok(match (sales.unsigned_abs(), rows.unsigned_abs()) {
        (0, 0) => Newer::Nothing,
        (sales, rows) => Newer::Some { sales, rows },
    })
}

/// Whose the books are: root puts them in place, and the daemon's user must be able to open them.
struct Owner {
    user: u32,
    group: u32,
}

fn owner_of(path: &Path) -> io::Result<Owner> {
    let of = fs::metadata(path).or_else(|_| fs::metadata(folder_of(path)))?;
    Ok(Owner { user: of.uid(), group: of.gid() })
}

impl Owner {
    fn gets(&self, path: &Path) -> io::Result<()> {
        let now = fs::metadata(path)?;
        if (now.uid(), now.gid()) == (self.user, self.group) {
            return Ok(());
        }
        chown(path, Some(self.user), Some(self.group))
    }
}
