//! Opening the file: the lock, the settings, the schema and its migrations. Touches no file that is not ours.

use super::backup::{BackupError, backup_of};
use super::disk::folder_of;
use super::whole::{Look, defect};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// "Till" in ASCII: SQLite's application id of our files.
pub(super) const APPLICATION_ID: i64 = 0x5469_6c6c;

/// Every schema there ever was, as the way from the one before. `user_version` counts them.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    #[cfg(feature = "next-schema")]
    include_str!("next-schema.sql"),
];

/// Of a new store; older ones have 1024. A commit changes a few short rows: a sale writes a quarter less than with 1024, a
/// third of what it would with 4096, and takes a seventh more room.
const PAGE_BYTES: u32 = 512;

/// How long the write-ahead log gets before it moves to the file. It is then overwritten from its start.
const WAL_BYTES: i64 = 4 << 20;

/// The log is cut to this after something held it open for long (a backup); above its working size, so that it is
/// never cut in daily work: overwriting is twice as fast as growing.
const WAL_BYTES_MAX: u32 = 6 << 20;

/// KiB held in memory where a million sales are written at once.
const BULK_CACHE_KIB: i64 = 128 * 1024;

/// How far a commit waits for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Synchronous {
    /// Until it is on the disk. The only mode for money.
    Full,
    /// As `Off`, but in an order that keeps the file whole. For tests that must notice the lost commits.
    Normal,
    /// Until it is with the operating system: loses commits at a power cut. For measurements only.
    Off,
}

impl Synchronous {
    /// As in a shop: there is no other answer in a release.
    #[cfg(not(feature = "planted-mistakes"))]
    pub(super) fn usual() -> Synchronous {
        Synchronous::Full
    }

    /// As the environment says, for tests that must notice a daemon which does not wait for the disk.
    #[cfg(feature = "planted-mistakes")]
    pub(super) fn usual() -> Synchronous {
        match std::env::var("TILLGATE_SYNCHRONOUS").as_deref() {
            Ok("normal") => Synchronous::Normal,
            Ok("off") => Synchronous::Off,
            Ok(_) | Err(_) => Synchronous::Full,
        }
    }
}

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has it open for writing.
    InUse(PathBuf),
    /// A newer program wrote it.
    Newer {
        /// Which file.
        path: PathBuf,
        /// The schema version it has.
        found: i64,
        /// The newest version this program knows.
        known: i64,
    },
    /// Not a store of this program at all.
    NotAStore(PathBuf),
    /// It is a store, but damaged or changed from outside.
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// The copy before a migration could not be made.
    NoCopy(BackupError),
    /// The file cannot be opened, read or written.
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::InUse(path) => {
                write!(f, "{} is in use by another tillgate; stop that one first", path.display())
            }
            OpenError::Newer { path, found, known } => write!(
                f,
                "{} has schema version {found}, this program knows up to {known}; install the newer program, or \
                 restore a backup from before the upgrade",
                path.display()
            ),
            OpenError::NotAStore(path) => {
                let path = path.display();
                write!(
                    f,
                    "{path} is not a tillgate store; name another file; or, if it was one, it is damaged: stop the daemon and \
                     run `tillgate restore` with the newest backup, which keeps this file aside"
                )
            }
            OpenError::Damaged { path, what } => write!(
                f,
                "{path} is damaged: {what}; nothing was changed; stop the daemon and run `tillgate restore` with the newest \
                 backup, which keeps these files aside",
                path = path.display()
            ),
            OpenError::NoCopy(_) => f.write_str("the copy before the upgrade could not be made; make room for it"),
            OpenError::Unusable { path, .. } => {
                write!(f, "{} cannot be used; check the disk, its room and the file's owner", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OpenError::NoCopy(error) => Some(error),
            OpenError::Unusable { source, .. } => Some(source),
            OpenError::InUse(_) | OpenError::Newer { .. } | OpenError::NotAStore(_) | OpenError::Damaged { .. } => None,
        }
    }
}

impl OpenError {
    /// Whether books are there that cannot be used, and only a backup helps.
    pub fn is_damage(&self) -> bool {
        match self {
            OpenError::Damaged { .. } | OpenError::NotAStore(_) => true,
            OpenError::InUse(_) | OpenError::Newer { .. } | OpenError::NoCopy(_) | OpenError::Unusable { .. } => false,
        }
    }

    /// What an error of SQLite means for who opens a file.
    pub(super) fn of_sqlite(path: &Path, error: rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => OpenError::NotAStore(path.to_owned()),
            Some(ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path: path.to_owned(), what: error.to_string() },
            _ => OpenError::Unusable { path: path.to_owned(), source: io::Error::other(error) },
        }
    }
}

/// `path` with something behind its last name: `tillgate.db` and `-lock` give `tillgate.db-lock`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The only writer's lock. The lock file stays: deleting one is a race.
pub(super) struct Lock(File);

impl Lock {
    /// The lock file.
    pub(super) fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A child of this process that has not begun its own program yet still has the file open, and with it the lock.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// Makes this process the only writer until the lock is dropped.
pub(super) fn lock(path: &Path) -> Result<Lock, OpenError> {
    let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).read(true).write(true).mode(0o600).open(beside(path, "-lock"));
    let file = file.map_err(unusable)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(path.to_owned())),
        Err(error) => Err(unusable(error.into())),
    }
}

/// A store that is about to be made must be one that never was: nothing is begun anew over what is left of an old one.
pub(super) fn refuse_remains(path: &Path, ended_in_order: bool) -> Result<(), OpenError> {
    let length = |path: &Path| match std::fs::metadata(path) {
        Ok(file) => Ok(Some(file.len())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(OpenError::Unusable { path: path.to_owned(), source }),
    };
    let log = beside(path, "-wal");
    let logged = length(&log)?.is_some_and(|bytes| bytes > 0);
    let what = match length(path)? {
        None if logged => format!("it is gone, and its log {} is left", log.display()),
        Some(0) if logged => format!("it is empty, and its log {} is left", log.display()),
        Some(0) if ended_in_order => "it is empty, and was not when it was closed".to_owned(),
        Some(_) | None => return Ok(()),
    };
    Err(OpenError::Damaged { path: path.to_owned(), what })
}

/// Opens the file for writing, makes it if there is none, and brings its schema up to date. The caller holds the lock.
pub(super) fn open_writer(path: &Path, migrations: &[&str], synchronous: Synchronous) -> Result<Connection, OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    // The file is made here because SQLite would make it readable for everybody; its side files follow its mode.
    if let Err(source) = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path) {
        return Err(OpenError::Unusable { path: path.to_owned(), source });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    // The log stays when we close: a start after a stop and after a crash are one path, and the log's room stays ours.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(fail)?;
    let version = version_of(&conn, path, migrations.len())?;
    if (1..known(migrations.len())).contains(&version) {
        keep_copy(&conn, path, migrations.len())?;
    }
    settle(&conn, version, synchronous).map_err(fail)?;
    migrate(&mut conn, path, version, migrations)?;
    Ok(conn)
}

/// Brings a copy that nobody else has open up to date, and makes it one file without a log.
pub(super) fn upgrade_copy(path: &Path) -> Result<(), OpenError> {
    let fail = |error| OpenError::of_sqlite(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    let version = version_of(&conn, path, MIGRATIONS.len())?;
    if version == 0 {
        return Err(OpenError::NotAStore(path.to_owned()));
    }
    if version < known(MIGRATIONS.len()) {
        migrate(&mut conn, path, version, MIGRATIONS)?;
    }
    conn.pragma_update_and_check(None, "journal_mode", "delete", |_| Ok(())).map_err(fail)?;
    conn.close().map_err(|(_, error)| fail(error))
}

/// A store in memory with the whole schema and the settings of a real one, a journal file's aside.
pub(super) fn open_memory() -> Result<Connection, OpenError> {
    let path = Path::new(":memory:");
    let fail = |error| OpenError::of_sqlite(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_MEMORY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    settle(&conn, 0, Synchronous::Full).map_err(fail)?;
    migrate(&mut conn, path, 0, MIGRATIONS)?;
    Ok(conn)
}

/// Opens the file for reading only, beside a writer or alone.
pub(super) fn open_reader(path: &Path) -> Result<Connection, OpenError> {
    // SQLite deletes a log beside an empty file, for readers too.
    refuse_remains(path, false)?;
    let fail = |error| OpenError::of_sqlite(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(fail)?;
    let version = version_of(&conn, path, MIGRATIONS.len())?;
    if version == 0 {
        return Err(OpenError::NotAStore(path.to_owned()));
    }
    if version < known(MIGRATIONS.len()) {
        let what = format!("its schema is version {version}; start the daemon once, which upgrades it");
        return Err(OpenError::Unusable { path: path.to_owned(), source: io::Error::other(what) });
    }
    conn.set_prepared_statement_cache_capacity(32);
    Ok(conn)
}

/// Puts on the disk what a start has read and will act on. After a kill that may be in the machine's memory alone; after
/// a failed sync it stays there, whatever is synced later. So it moves from the log to the file, and the log begins anew.
pub(super) fn make_durable(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    // A commit syncs the whole log, its name too; this one says what is so already.
    let commit = format!("BEGIN IMMEDIATE; PRAGMA user_version = {}; COMMIT", MIGRATIONS.len());
    let moved = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    match moved.and_then(|()| conn.execute_batch(&commit)) {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            // Open sales finish on the reserve, which is not given up yet: a sync needs no room.
            let _ = conn.execute_batch("ROLLBACK");
            let log = beside(path, "-wal");
            [path, &log, folder_of(path)].into_iter().try_for_each(|path| File::open(path)?.sync_all())
        }
        done => done.map_err(io::Error::other),
    }
    .map_err(|source| OpenError::Unusable { path: path.to_owned(), source })
}

fn known(migrations: usize) -> i64 {
    i64::try_from(migrations).unwrap_or(i64::MAX)
}

/// The schema version of the file; 0 for an empty one. Refuses files of others and newer ones.
pub(super) fn version_of(conn: &Connection, path: &Path, migrations: usize) -> Result<i64, OpenError> {
    let read = |sql: &str| {
        conn.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(|error| OpenError::of_sqlite(path, error))
    };
    let application = read("PRAGMA application_id")?;
    let version = read("PRAGMA user_version")?;
    let empty = read("SELECT count(*) FROM sqlite_schema")? == 0;
    match (application, version) {
        (0, 0) if empty => Ok(0),
        (APPLICATION_ID, found) if found > known(migrations) => {
            Err(OpenError::Newer { path: path.to_owned(), found, known: known(migrations) })
        }
        (APPLICATION_ID, found) if found >= 1 => Ok(found),
        _ => Err(OpenError::NotAStore(path.to_owned())),
    }
}

pub(super) fn settle(conn: &Connection, version: i64, synchronous: Synchronous) -> Result<(), rusqlite::Error> {
    if version == 0 {
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    }
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    match synchronous {
        Synchronous::Full => conn.pragma_update(None, "synchronous", "full")?,
        Synchronous::Normal => conn.pragma_update(None, "synchronous", "normal")?,
        Synchronous::Off => {
            conn.pragma_update(None, "synchronous", "off")?;
            conn.pragma_update(None, "cache_size", BULK_CACHE_KIB.saturating_neg())?;
        }
    }
    let page_bytes: i64 = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let pages = WAL_BYTES.checked_div(page_bytes).unwrap_or_default();
    conn.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
    conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES_MAX, |_| Ok(()))?;
    // A plan does not depend on the values bound: else SQLite prepares a kept statement again for each sale it reads.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "temp_store", "memory")?;
    // Beside a few dozen: an update for each set of columns that change together.
    conn.set_prepared_statement_cache_capacity(96);
    Ok(())
}

/// Before an older file is changed it is read whole, and copied to `PATH.before-vN`.
fn keep_copy(conn: &Connection, path: &Path, to: usize) -> Result<(), OpenError> {
    if let Some(what) = defect(conn, Look::Close).map_err(|error| OpenError::of_sqlite(path, error))? {
        return Err(OpenError::Damaged { path: path.to_owned(), what });
    }
    let copy = beside(path, &format!(".before-v{to}"));
    backup_of(conn, &copy).map_err(OpenError::NoCopy)?;
    tracing::info!(copy = %copy.display(), "the books are being upgraded; as they were, they are kept there");
    Ok(())
}

/// Each step in a transaction of its own, with its version.
fn migrate(conn: &mut Connection, path: &Path, version: i64, migrations: &[&str]) -> Result<(), OpenError> {
    let done = usize::try_from(version).unwrap_or(0);
    let todo = migrations.get(done..).unwrap_or_default();
    let fail = |error| OpenError::of_sqlite(path, error);
    // A table that others refer to is made anew in between; what refers to nothing in the end is found below.
    conn.pragma_update(None, "foreign_keys", false).map_err(fail)?;
    for (at, sql) in todo.iter().enumerate() {
        let to = known(done.saturating_add(at).saturating_add(1));
        let mut step = || -> Result<Option<String>, rusqlite::Error> {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            tx.execute_batch(sql)?;
            let orphan = tx.query_row("PRAGMA foreign_key_check", [], |row| row.get::<_, String>(0)).optional()?;
            if orphan.is_some() {
                return Ok(orphan);
            }
            tx.pragma_update(None, "application_id", APPLICATION_ID)?;
            tx.pragma_update(None, "user_version", to)?;
            tx.commit().map(|()| None)
        };
        if let Some(table) = step().map_err(fail)? {
            let what = format!("a row of {table} refers to one that is not there");
            return Err(OpenError::Damaged { path: path.to_owned(), what });
        }
    }
    conn.pragma_update(None, "foreign_keys", true).map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Books, Store};

    #[test]
    fn an_older_store_is_copied_and_then_brought_up_to_date_in_one_go() {
        let folder = std::env::temp_dir().join(format!("tillgate-migrate-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tillgate.db");
        drop(Store::open(&path).unwrap());
        let [first, second] = MIGRATIONS else { panic!("{} schemas", MIGRATIONS.len()) };
        let next = [*first, second, "ALTER TABLE sales ADD COLUMN tip INTEGER"];
        let broken = [*first, second, "ALTER TABLE sales ADD COLUMN tip INTEGER; ALTER TABLE nothing ADD COLUMN tip"];
        let orphaned = [*first, second, "INSERT INTO tickets VALUES (1, -1, 1, zeroblob(16), 1)"];
        let version = |path: &Path| {
            let conn = Connection::open(path).unwrap();
            conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).unwrap()
        };
        assert!(open_writer(&path, &broken, Synchronous::Full).is_err());
        assert!(matches!(open_writer(&path, &orphaned, Synchronous::Full), Err(OpenError::Damaged { .. })));
        assert_eq!(version(&path), 2);
        assert!(Books::open_read_only(&path).is_ok());
        let conn = open_writer(&path, &next, Synchronous::Full).unwrap();
        conn.execute("UPDATE sales SET tip = 1", []).unwrap();
        let keys: i64 = conn.query_row("PRAGMA foreign_keys", [], |row| row.get(0)).unwrap();
        drop(conn);
        assert_eq!((version(&path), version(&folder.join("tillgate.db.before-v3")), keys), (3, 2, 1));
        assert!(matches!(Store::open(&path), Err(OpenError::Newer { found: 3, known: 2, .. })));
        assert!(Books::open_read_only(&folder.join("tillgate.db.before-v3")).is_ok());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
