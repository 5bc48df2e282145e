//! Proving that the books were not changed: the journal's chain, and the rows against their copies in it. Mends nothing.

use super::cells::ReadError;
use super::journal::{Hash, chain, hex, row_body, row_id};
use super::load::load;
use super::row::{ATTEMPTS, DAYS, REFUNDS, SALES, TICKETS, Table};
use super::schema::{OpenError, open_reader};
use super::wal::check_log;
use super::whole::{Look, defect};
use super::writer::Head;
use crate::shop::giveback::Return;
use crate::shop::sale::Sale;
use crate::shop::time::Wall;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};
use std::fmt;
use std::path::Path;

/// How many of the journal's newest rows a start checks.
const CHECKED_AT_START: i64 = 1_000;

/// Progress is told after so many rows.
const PROGRESS_ROWS: u64 = 10_000;

/// A store whose books fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many rows the journal has.
    pub rows: u64,
    /// The hash of the newest, as 64 hexadecimal digits. Noted elsewhere, it proves later that no row was cut off since.
    pub head: String,
}

/// The first row of the journal that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its number.
    pub seq: i64,
    /// When it was written, if the clock was trusted.
    pub wall: Option<Wall>,
    /// What it is about.
    pub kind: String,
    /// The id of what it is about.
    pub id: String,
    /// What does not fit.
    pub what: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "journal row {} ({} {}): {}", self.seq, self.kind, self.id, self.what)
    }
}

/// Why the books are not proved.
#[derive(Debug)]
pub enum VerifyError {
    /// The store cannot be opened.
    Open(OpenError),
    /// The file is damaged where this error says.
    Unreadable(rusqlite::Error),
    /// The file is damaged, as SQLite itself finds.
    Damaged(String),
    /// A row was changed, moved, added or taken away.
    Bad(BadRow),
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Open(_) => f.write_str("the store cannot be opened"),
            VerifyError::Unreadable(_) => f.write_str("the store cannot be read to its end; restore a backup"),
            VerifyError::Damaged(what) => write!(f, "the file is damaged: {what}; keep it and restore a backup"),
            VerifyError::Bad(row) => write!(f, "the books were changed: {row}; keep this file and compare a backup"),
        }
    }
}

impl std::error::Error for VerifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            VerifyError::Open(error) => Some(error),
            VerifyError::Unreadable(error) => Some(error),
            VerifyError::Damaged(_) | VerifyError::Bad(_) => None,
        }
    }
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        VerifyError::Unreadable(error)
    }
}

/// Lets SQLite check the store at `path`, its log included, walks the whole journal, beside a writer if there is one, and
/// compares every sale, return, attempt, refund, ticket and day with its newest copy there. `progress` hears rows done and rows in all, now and then.
///
/// What it cannot see: a tail cut off the journal together with all that it says about rows; `Verified::head` is for that.
pub fn verify(path: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, VerifyError> {
    check_log(path).map_err(|error| match error {
        OpenError::Damaged { what, .. } => VerifyError::Damaged(what),
        OpenError::InUse(_)
        | OpenError::Newer { .. }
        | OpenError::NotAStore(_)
        | OpenError::NoCopy(_)
        | OpenError::Unusable { .. } => VerifyError::Open(error),
    })?;
    let conn = open_reader(path).map_err(VerifyError::Open)?;
    conn.execute_batch("BEGIN")?;
    if let Some(what) = defect(&conn, Look::Close)? {
        return Err(VerifyError::Damaged(what));
    }
    verify_all(&conn, progress)
}

/// As [`verify`], on an open connection that sees one state of the store.
pub(super) fn verify_all(conn: &Connection, progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, VerifyError> {
    let all: i64 = conn.query_row("SELECT count(*) FROM journal", [], |row| row.get(0))?;
    let all = all.unsigned_abs();
    let mut newest_copies = [0_i64; COPIED.len()];
    let mut done: u64 = 0;
    let head = walk(conn, Head::EMPTY, |entry| {
        if let Some(at) = COPIED.iter().position(|table| table.kind == entry.kind)
            && let (Some(table), Some(count)) = (COPIED.get(at), newest_copies.get_mut(at))
            && is_newest_copy(conn, table, entry)?
        {
            *count = count.saturating_add(1);
        }
        done = done.saturating_add(1);
        if done.is_multiple_of(PROGRESS_ROWS) {
            progress(done, all);
        }
        Ok(())
    })?;
    for (table, copies) in COPIED.iter().zip(newest_copies) {
        let rows: i64 = conn.query_row(&format!("SELECT count(*) FROM {}", table.name), [], |row| row.get(0))?;
        if rows != copies {
            return Err(VerifyError::Bad(unwritten_row(conn, table)?));
        }
    }
    progress(all, all);
    Ok(Verified { rows: all, head: hex(&head.hash) })
}

/// The tables whose every row has a copy in the journal.
const COPIED: [&Table; 5] = [&SALES, &ATTEMPTS, &REFUNDS, &TICKETS, &DAYS];

struct JournalRow {
    seq: i64,
    wall: Option<Wall>,
    kind: String,
    id: String,
    body: String,
    hash: Hash,
}

impl JournalRow {
    fn read(row: &Row<'_>) -> Result<JournalRow, rusqlite::Error> {
        let wall = row.get::<_, Option<i64>>(1)?.map(Wall);
        let (seq, kind, id) = (row.get(0)?, row.get(2)?, row.get(3)?);
        Ok(JournalRow { seq, wall, kind, id, body: row.get(4)?, hash: row.get(5)? })
    }

    fn bad(&self, what: impl Into<String>) -> VerifyError {
        let (kind, id) = (self.kind.clone(), self.id.clone());
        VerifyError::Bad(BadRow { seq: self.seq, wall: self.wall, kind, id, what: what.into() })
    }
}

/// Follows the chain from behind `from` to its end; `each` sees every row that fits.
fn walk(
    conn: &Connection,
    from: Head,
    mut each: impl FnMut(&JournalRow) -> Result<(), VerifyError>,
) -> Result<Head, VerifyError> {
    let mut head = from;
    let sql = "SELECT seq, wall, kind, id, body, hash FROM journal WHERE seq > ?1 ORDER BY seq";
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([from.seq])?;
    while let Some(row) = rows.next()? {
        let entry = JournalRow::read(row)?;
        let seq = head.seq.saturating_add(1);
        if entry.seq != seq {
            return Err(entry.bad(format!("row {seq} before it is missing")));
        }
        if entry.hash != chain(&head.hash, seq, entry.wall, &entry.kind, &entry.id, &entry.body) {
            return Err(entry.bad("its hash is not that of its text and the row before"));
        }
        each(&entry)?;
        head = Head { seq, hash: entry.hash };
    }
    Ok(head)
}

/// Whether this entry is the newest copy of a row; an error if the row is older than it, gone, or different.
fn is_newest_copy(conn: &Connection, table: &Table, entry: &JournalRow) -> Result<bool, VerifyError> {
    let Some(key) = key_of(table, &entry.id) else { return Err(entry.bad("its id is none")) };
    let wheres: Vec<String> = table.key.iter().map(|column| format!("{column} = ?")).collect();
    let sql = format!("{} WHERE {}", select(table), wheres.join(" AND "));
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_row(params_from_iter(key), |row| stored(table, row)).optional()?;
    let Some((seq, values)) = found else {
        return Err(entry.bad(format!("there is no such row in {}", table.name)));
    };
    if seq < entry.seq {
        return Err(entry.bad(format!("the row in {} is older than this", table.name)));
    }
    if seq > entry.seq {
        return Ok(false);
    }
    if row_body(table, &values) != entry.body {
        return Err(entry.bad(format!("the row in {} says something else", table.name)));
    }
    Ok(true)
}

/// The key values in a journal id: 32 hexadecimal digits, `TILL/EPOCH/NUMBER`, or `TILL`.
fn key_of(table: &Table, id: &str) -> Option<Vec<Value>> {
    if id.len() == 32 {
        let bits = u128::from_str_radix(id, 16).ok()?;
        return Some(vec![Value::Blob(bits.to_be_bytes().to_vec())]);
    }
    let number = |word: &str| if word == "-" { Some(-1) } else { word.parse::<i64>().ok() };
    let words: Option<Vec<i64>> = id.split('/').map(number).collect();
    words.filter(|w| w.len() == table.key.len()).map(|w| w.into_iter().map(Value::Integer).collect())
}

fn select(table: &Table) -> String {
    format!("SELECT seq, {} FROM {}", table.columns.join(", "), table.name)
}

fn stored(table: &Table, row: &Row<'_>) -> Result<(i64, Vec<Value>), rusqlite::Error> {
    let values: Result<Vec<Value>, _> = (1..=table.columns.len()).map(|at| row.get(at)).collect();
    Ok((row.get(0)?, values?))
}

/// The first row of a table that the journal does not know, when the numbers have shown that there is one.
fn unwritten_row(conn: &Connection, table: &Table) -> Result<BadRow, VerifyError> {
    let mut statement = conn.prepare(&select(table))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, values) = stored(table, row)?;
        if let Some(what) = differs(conn, table, seq, &values)? {
            let id = row_id(table, &values);
            return Ok(BadRow { seq, wall: None, kind: table.kind.to_owned(), id, what });
        }
    }
    let what = format!("{} has rows that the journal does not have", table.name);
    Ok(BadRow { seq: 0, wall: None, kind: table.kind.to_owned(), id: String::new(), what })
}

/// How a row differs from the journal row it names, if it does.
fn differs(conn: &Connection, table: &Table, seq: i64, values: &[Value]) -> Result<Option<String>, rusqlite::Error> {
    let mut statement = conn.prepare_cached("SELECT kind, id, body FROM journal WHERE seq = ?1")?;
    let copy = statement
        .query_row([seq], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)));
    let id = row_id(table, values);
    Ok(match copy.optional()? {
        None => Some(format!("{} {id} has no journal row {seq}", table.kind)),
        Some((kind, of, _)) if kind != table.kind || of != id => {
            Some(format!("{} {id} names journal row {seq}, which is about another", table.kind))
        }
        Some((_, _, body)) if body != row_body(table, values) => {
            Some(format!("{} {id} is not as journal row {seq} has it", table.kind))
        }
        Some(_) => None,
    })
}

/// What a start checks: the chain of the newest rows, every open row against its copy, what open rows refer to.
pub(super) fn check_at_start(conn: &Connection, path: &Path) -> Result<Head, OpenError> {
    let damaged = |what: String| OpenError::Damaged { path: path.to_owned(), what };
    let fail = |error| OpenError::of_sqlite(path, error);
    let head = match newest_rows(conn) {
        Ok(head) => head,
        Err(VerifyError::Bad(row)) => return Err(damaged(row.to_string())),
        Err(VerifyError::Unreadable(error)) => return Err(fail(error)),
        Err(VerifyError::Open(error)) => return Err(error),
        Err(VerifyError::Damaged(what)) => return Err(damaged(what)),
    };
    for (table, open) in [
        (&SALES, "open = 1"),
        (&ATTEMPTS, "sale IN (SELECT id FROM sales WHERE open = 1)"),
        (&REFUNDS, "sale IN (SELECT id FROM sales WHERE open = 1)"),
        (&DAYS, "true"),
    ] {
        if let Some(what) = open_row_that_differs(conn, table, open).map_err(fail)? {
            return Err(damaged(what));
        }
    }
    let loaded = load(conn).map_err(|error| match error {
        ReadError::Sql(error) => fail(error),
        ReadError::Column(_) => damaged(format!("an open row cannot be read: {error}")),
    })?;
    let of_none = |given: &&Return| !refers_to_a_refund(given, &loaded.shop.sales);
    if let Some(given) = loaded.shop.returns.iter().find(of_none) {
        return Err(damaged(format!("return {} refers to a refund that there is not", given.id)));
    }
    match loaded.shop.sales.iter().find(|sale| !refers_to_its_own(sale)) {
        Some(sale) => Err(damaged(format!("sale {} refers to an attempt that it does not have", sale.id))),
        None => Ok(head),
    }
}

fn newest_rows(conn: &Connection) -> Result<Head, VerifyError> {
    let last: i64 = conn.query_row("SELECT coalesce(max(seq), 0) FROM journal", [], |row| row.get(0))?;
    let before = last.saturating_sub(CHECKED_AT_START);
    let mut from = Head::EMPTY;
    if before > 0 {
        let sql = "SELECT hash FROM journal WHERE seq = ?1";
        match conn.query_row(sql, [before], |row| row.get(0)).optional()? {
            Some(hash) => from = Head { seq: before, hash },
            None => {
                let what = "it is missing".to_owned();
                return Err(VerifyError::Bad(BadRow {
                    seq: before,
                    wall: None,
                    kind: "row".to_owned(),
                    id: "-".to_owned(),
                    what,
                }));
            }
        }
    }
    walk(conn, from, |_| Ok(()))
}

fn open_row_that_differs(conn: &Connection, table: &Table, open: &str) -> Result<Option<String>, rusqlite::Error> {
    let mut statement = conn.prepare(&format!("{} WHERE {open}", select(table)))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, values) = stored(table, row)?;
        if let Some(what) = differs(conn, table, seq, &values)? {
            return Ok(Some(what));
        }
    }
    Ok(None)
}

fn refers_to_its_own(sale: &Sale) -> bool {
    let has = |id| sale.attempts.iter().any(|attempt| attempt.id == id);
    sale.winner().is_none_or(has) && sale.refunds.iter().all(|refund| has(refund.attempt))
}

/// Whether the refund of a return under way is there: its sale is open as long as the refund is.
fn refers_to_a_refund(given: &Return, sales: &[Sale]) -> bool {
    given.state.back().filter(|_| !given.is_at_rest()).is_none_or(|back| {
        let sale = sales.iter().find(|sale| sale.id == back.sale);
        sale.is_none_or(|sale| sale.refunds.iter().any(|r| (r.id, r.attempt) == (back.refund, back.attempt)))
    })
}
