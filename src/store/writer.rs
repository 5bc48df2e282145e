//! The one writer: commits records with their journal rows, and recalls sales for the ring. Does no effect.

use super::cells::ReadError;
use super::ending;
use super::journal::{Entry, FIRST, Hash, chain};
use super::load::{self, Loaded};
use super::restore;
use super::row::{ATTEMPTS, DAYS, REFUNDS, Row, SALES, SESSIONS, TICKETS, Table};
use super::schema::{Lock, MIGRATIONS, OpenError, Synchronous, lock, make_durable, open_writer, refuse_remains};
use super::verify::check_at_start;
use super::wal::check_log;
use super::whole::{Look, WholeCheck, defect};
use crate::shop::Asked;
use crate::shop::effect::Record;
use crate::shop::event::{ReceiptNumber, Ticket, TillNumber};
use crate::shop::id::{AttemptId, SaleId, SessionId};
use crate::shop::sale::Sale;
use crate::shop::time::Wall;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, ErrorCode, params, params_from_iter};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why a batch is not on disk. Nothing of it is, or, where the disk failed at the very end, all of it may be: the process
/// must end, and the next start reads which (what is on disk is right).
#[derive(Debug)]
pub enum CommitError {
    /// No room on the disk.
    DiskFull(rusqlite::Error),
    /// The disk failed, or the batch contradicts what is stored.
    Failed(rusqlite::Error),
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommitError::DiskFull(_) => f.write_str("the disk is full; make room, then start again"),
            CommitError::Failed(_) => f.write_str("the store could not be written; check the disk, then start again"),
        }
    }
}

impl std::error::Error for CommitError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CommitError::DiskFull(error) | CommitError::Failed(error) => Some(error),
        }
    }
}

impl From<rusqlite::Error> for CommitError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => CommitError::DiskFull(error),
            _ => CommitError::Failed(error),
        }
    }
}

/// What is stored cannot be read: the process must end, and the next start says what is damaged.
#[derive(Debug)]
pub struct LookUpError(ReadError);

impl fmt::Display for LookUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the store could not be read: {}; run `tillgate verify`", self.0)
    }
}

impl std::error::Error for LookUpError {}

/// The shop's rows and journal, open for writing. One in the world for each file.
pub struct Store {
    pub(super) conn: Connection,
    /// The newest journal row.
    pub(super) head: Head,
    /// Whether nothing is known that the next start should look for.
    sound: Arc<AtomicBool>,
    /// What is still to be read after an unclean end.
    unread: Option<WholeCheck>,
    /// Held until the connection above is gone. A store without a file has none.
    lock: Option<Lock>,
}

/// Books that nobody writes while this is held.
pub struct Hold {
    _lock: Lock,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hold")
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) seq: i64,
    pub(super) hash: Hash,
}

impl Head {
    pub(super) const EMPTY: Head = Head { seq: 0, hash: FIRST };
}

/// The tables in the order in which rows may refer to one another.
const ORDER: [&Table; 6] = [&SALES, &ATTEMPTS, &REFUNDS, &TICKETS, &SESSIONS, &DAYS];

/// What a record does to the rows.
enum Change {
    Row(Row, i64),
    Delete(SessionId),
    Cursor(String),
}

impl Store {
    /// Opens the store at `path`, or makes it (0600), and checks the log beside it, the open rows and the journal's last
    /// 1,000; after an unclean end also the whole file, unless it is larger than [`CHECKED_AT_ONCE_BYTES`]: that is left
    /// to [`Store::unread`]. Refuses what is in use, newer, not ours or damaged, without changing it.
    pub fn open(path: &Path) -> Result<Store, OpenError> {
        Store::open_synchronous(path, Synchronous::usual())
    }

    /// As [`Store::open`], for tests and measurements that need no disk.
    #[doc(hidden)]
    pub fn open_synchronous(path: &Path, synchronous: Synchronous) -> Result<Store, OpenError> {
        let lock = lock(path)?;
        restore::finish(path)?;
        let unusable = |source| OpenError::Unusable { path: path.to_owned(), source };
        let in_order = ending::was_in_order(lock.file()).map_err(unusable)?;
        refuse_remains(path, in_order)?;
        check_log(path)?;
        ending::begin(lock.file()).map_err(unusable)?;
        let conn = open_writer(path, MIGRATIONS, synchronous)?;
        let head = check_at_start(&conn, path)?;
        let mut unread = None;
        if !in_order {
            unread = Some(WholeCheck::of(path)).filter(|check| !check.is_quick());
            if unread.is_none()
                && let Some(what) = defect(&conn, Look::Close).map_err(|error| OpenError::of_sqlite(path, error))?
            {
                return Err(OpenError::Damaged { path: path.to_owned(), what });
            }
        }
        make_durable(&conn, path)?;
        Ok(Store::over(conn, head, Some(lock), unread))
    }

    /// Keeps everybody else from opening the store at `path` for writing, and touches nothing of it.
    pub fn hold(path: &Path) -> Result<Hold, OpenError> {
        lock(path).map(|lock| Hold { _lock: lock })
    }

    pub(super) fn over(conn: Connection, head: Head, lock: Option<Lock>, unread: Option<WholeCheck>) -> Store {
        let sound = unread.as_ref().map_or_else(|| Arc::new(AtomicBool::new(true)), WholeCheck::sound);
        Store { conn, head, sound, unread, lock }
    }

    /// Writes the records of any number of steps in one transaction: each row, and its copy in the journal, dated
    /// `wall`. On return all of it is on disk; on error see [`CommitError`]. No records: nothing
    /// happens.
    ///
    /// The till, amount, receipt, kind and `asked_at` of a sale or return never change, nor an attempt's sale, number and
    /// phone, nor a refund's payment and amount: a record that says otherwise is an error.
    pub fn commit<'a>(
        &mut self,
        wall: Option<Wall>,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<(), CommitError> {
        let mut records = records.into_iter().peekable();
        if records.peek().is_none() {
            return Ok(());
        }
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let written = self.write(wall, records).and_then(|head| {
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(head)
        });
        match written {
            Ok(head) => {
                self.head = head;
                Ok(())
            }
            Err(error) => {
                // Some errors roll back by themselves; then there is nothing to undo and this fails, rightly.
                let _ = self.conn.execute_batch("ROLLBACK");
                self.sound.store(false, Ordering::Relaxed);
                Err(error.into())
            }
        }
    }

    fn write<'a>(
        &self,
        wall: Option<Wall>,
        records: impl Iterator<Item = &'a Record>,
    ) -> Result<Head, rusqlite::Error> {
        let mut head = self.head;
        let mut changes = Vec::new();
        let mut journal = self
            .conn
            .prepare_cached("INSERT INTO journal (seq, wall, kind, id, body, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
        for record in records {
            let seq = head.seq.saturating_add(1);
            let (entry, change) = decode(record, seq);
            let hash = chain(&head.hash, seq, wall, entry.kind, &entry.id, &entry.body);
            journal.execute(params![seq, wall.map(|w| w.0), entry.kind, entry.id, entry.body, hash])?;
            head = Head { seq, hash };
            changes.extend(change);
        }
        // Rows are written after those they refer to, whatever the order of the records.
        for table in ORDER {
            for change in &changes {
                match change {
                    Change::Row(row, seq) if row.table.name == table.name => put(&self.conn, row, *seq)?,
                    Change::Delete(session) if table.name == SESSIONS.name => {
                        let mut delete = self.conn.prepare_cached("DELETE FROM sessions WHERE id = ?1")?;
                        delete.execute([session.0.to_be_bytes()])?;
                    }
                    Change::Row(..) | Change::Delete(_) | Change::Cursor(_) => {}
                }
            }
        }
        for change in &changes {
            if let Change::Cursor(cursor) = change {
                let mut put = self.conn.prepare_cached(
                    "INSERT INTO reconciliation (one, cursor) VALUES (1, ?1)
                     ON CONFLICT (one) DO UPDATE SET cursor = excluded.cursor",
                )?;
                put.execute([cursor])?;
            }
        }
        Ok(head)
    }

    /// What the shop begins with: all visits, all that is open, the newest of each till.
    pub fn load(&self) -> Result<Loaded, LookUpError> {
        self.read(load::load(&self.conn))
    }

    /// The sale or return that this ticket of this till means now.
    pub fn asked_under(&self, till: TillNumber, ticket: &Ticket) -> Result<Option<Asked>, LookUpError> {
        self.read(load::asked_under(&self.conn, till, ticket))
    }

    /// The sale that this ticket of this till means now; none if it means a return.
    pub fn sale_of_ticket(&self, till: TillNumber, ticket: &Ticket) -> Result<Option<Sale>, LookUpError> {
        Ok(self.asked_under(till, ticket)?.and_then(load::as_sale))
    }

    /// The newest sale or return of this till with this number on its receipt.
    pub fn newest_with(&self, till: TillNumber, receipt: ReceiptNumber) -> Result<Option<Asked>, LookUpError> {
        self.read(load::newest_with(&self.conn, till, receipt))
    }

    /// The newest sales that this phone has paid and of which something is left; at most [`REPAYABLE_MAX`].
    ///
    /// [`REPAYABLE_MAX`]: crate::shop::REPAYABLE_MAX
    pub fn paid_by(&self, session: SessionId) -> Result<Vec<Sale>, LookUpError> {
        self.read(load::paid_by(&self.conn, session))
    }

    /// The newest sale of a till.
    pub fn last_sale_of(&self, till: TillNumber) -> Result<Option<Sale>, LookUpError> {
        self.read(load::last_sale_of(&self.conn, till))
    }

    /// The sale that an attempt belongs to.
    pub fn sale_of_attempt(&self, attempt: AttemptId) -> Result<Option<Sale>, LookUpError> {
        self.read(load::sale_of_attempt(&self.conn, attempt))
    }

    /// The sale with this id.
    pub fn sale(&self, id: SaleId) -> Result<Option<Sale>, LookUpError> {
        Ok(self.asked(id)?.and_then(load::as_sale))
    }

    /// The sale or return with this id.
    pub fn asked(&self, id: SaleId) -> Result<Option<Asked>, LookUpError> {
        self.read(load::asked(&self.conn, id))
    }

    /// What cannot be read may be damaged: the next start looks at the whole file.
    fn read<T>(&self, found: Result<T, ReadError>) -> Result<T, LookUpError> {
        found.map_err(|error| {
            self.sound.store(false, Ordering::Relaxed);
            LookUpError(error)
        })
    }

    /// Moves the log to the file after so many pages and cuts it to so many bytes, so that tests need few commits for it.
    #[doc(hidden)]
    pub fn keep_the_log_short(&self, pages: u32, bytes_max: u32) -> Result<(), rusqlite::Error> {
        self.conn.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
        self.conn.pragma_update_and_check(None, "journal_size_limit", bytes_max, |_| Ok(()))
    }

    /// What a start leaves to be read beside the work: the whole file, after an unclean end of a large store. Once.
    pub fn unread(&mut self) -> Option<WholeCheck> {
        self.unread.take()
    }

    /// How many rows the journal has.
    pub fn journal_rows(&self) -> u64 {
        self.head.seq.unsigned_abs()
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("journal_rows", &self.head.seq).finish_non_exhaustive()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // So that the file alone is nearly the whole store. The log stays, and a start would do without this.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        // Whoever ends here ends in order. A process that is killed never comes here, nor one that panics.
        if let Some(lock) = self.lock.as_ref().filter(|_| self.sound.load(Ordering::Relaxed)) {
            let _ = ending::in_order(lock.file()); // Else the next start looks closer.
        }
    }
}

fn decode(record: &Record, seq: i64) -> (Entry, Option<Change>) {
    let row = match record {
        Record::Session(session) => Row::of_session(session),
        Record::Sale { sale, open } => Row::of_sale(sale, *open),
        Record::Attempt { sale, attempt } => Row::of_attempt(*sale, attempt),
        Record::Refund { sale, refund } => Row::of_refund(*sale, refund),
        Record::Ticket { till, ticket, sale } => Row::of_ticket(*till, ticket, *sale),
        Record::Return { given, open } => Row::of_return(given, *open),
        Record::DayClosed { till, mark } => Row::of_day(*till, *mark),
        Record::SessionEnded(session) => {
            let id = format!("{:08x}", session.0 >> 96);
            let entry = Entry { kind: "session-ended", id, body: String::new() };
            return (entry, Some(Change::Delete(*session)));
        }
        Record::Cursor(cursor) => {
            let entry = Entry { kind: "cursor", id: String::new(), body: cursor.clone() };
            return (entry, Some(Change::Cursor(cursor.clone())));
        }
        Record::Alarm(alarm) => return (Entry::of_alarm(alarm), None),
    };
    (Entry::of_row(&row), Some(Change::Row(row, seq)))
}

/// Writes a row. Of one that is there only what has changed is set: SQLite writes every index that has a column which is
/// set, changed or not. What never changes must be as it was.
fn put(conn: &Connection, row: &Row, seq: i64) -> Result<(), rusqlite::Error> {
    let Table { name, key, fixed, columns, .. } = row.table;
    let cells = || columns.iter().zip(&row.values);
    let ours = columns.iter().filter(|column| key.contains(column)).map(|column| format!("{column} = ?"));
    let ours = ours.collect::<Vec<_>>().join(" AND ");
    let key_values = || cells().filter(|(column, _)| key.contains(column)).map(|(_, value)| value);
    let seq = Value::Integer(seq);
    let columns_text = columns.join(", ");
    let mut find = conn.prepare_cached(&format!("SELECT {columns_text} FROM {name} WHERE {ours}"))?;
    let mut found = find.query(params_from_iter(key_values()))?;
    let Some(there) = found.next()? else {
        let places = vec!["?"; columns.len().saturating_add(1)].join(", ");
        let mut insert = conn.prepare_cached(&format!("INSERT INTO {name} ({columns_text}, seq) VALUES ({places})"))?;
        return insert.execute(params_from_iter(row.values.iter().chain([&seq]))).map(drop);
    };
    let mut changed = Vec::new();
    let mut values = Vec::new();
    for (at, (column, value)) in cells().enumerate() {
        if there.get_ref(at)? != ValueRef::from(value) {
            changed.push(format!("{column} = ?, "));
            values.push(value);
            if fixed.contains(column) {
                return Err(rusqlite::Error::StatementChangedRows(0));
            }
        }
    }
    drop(found);
    let mut update = conn.prepare_cached(&format!("UPDATE {name} SET {}seq = ? WHERE {ours}", changed.concat()))?;
    match update.execute(params_from_iter(values.into_iter().chain([&seq]).chain(key_values())))? {
        1 => Ok(()),
        written => Err(rusqlite::Error::StatementChangedRows(written)),
    }
}
