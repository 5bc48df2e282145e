//! The sandbox's books: one SQLite file and the one thread that writes it. What a payment does is in `payment.rs`.

use super::SandboxError;
use super::enrolment;
use super::fault::Faults;
use super::payment::Book;
use ring::rand::{SecureRandom, SystemRandom};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{oneshot, watch};

/// Jobs that may wait for the books. Beyond, a call is answered 503.
const JOBS_MAX: usize = 256;
/// Longest time the thread sleeps: the wall clock may have been set meanwhile.
const NAP: Duration = Duration::from_secs(60);

/// What every account's password is.
pub const PASSWORD: &str = "tillgate";

/// The accounts there are: name, what it does, what is on it at first in minor units.
pub const ACCOUNTS: [(&str, &str, u64); 5] = [
    ("anna", "pays at once", 100_000_000),
    ("poor", "has no money: the payment fails for good", 0),
    ("slow", "pays after some seconds; so do refunds", 100_000_000),
    ("late", "pays only once the payment was cancelled or has expired", 100_000_000),
    ("twice", "pays twice", 100_000_000),
];

const SCHEMA: &str = "
CREATE TABLE account (
  name TEXT PRIMARY KEY, salt BLOB NOT NULL, password BLOB NOT NULL, opening INTEGER NOT NULL
) STRICT;
CREATE TABLE payment (
  id TEXT PRIMARY KEY, sale TEXT NOT NULL, till INTEGER NOT NULL, shop TEXT NOT NULL, amount INTEGER NOT NULL,
  currency TEXT NOT NULL, exponent INTEGER NOT NULL, code TEXT NOT NULL, return_url TEXT NOT NULL,
  expires_in_asked INTEGER NOT NULL, token TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, status TEXT NOT NULL,
  reason TEXT, tries INTEGER NOT NULL, failure_code TEXT, failure_at INTEGER, paid INTEGER NOT NULL,
  refunded INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, paid_at INTEGER,
  account TEXT REFERENCES account (name), due_at INTEGER, change INTEGER NOT NULL UNIQUE
) STRICT;
CREATE INDEX payment_due ON payment (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payment_open ON payment (expires_at) WHERE status IN ('awaiting', 'processing');
CREATE TABLE refund (
  id TEXT PRIMARY KEY, payment TEXT NOT NULL REFERENCES payment (id), amount INTEGER NOT NULL,
  currency TEXT NOT NULL, exponent INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT, created_at INTEGER NOT NULL,
  due_at INTEGER
) STRICT;
CREATE INDEX refund_payment ON refund (payment);
CREATE INDEX refund_due ON refund (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE tombstone (id TEXT PRIMARY KEY, code TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
CREATE TABLE stored_error (id TEXT PRIMARY KEY) STRICT;
CREATE TABLE ledger (
  n INTEGER PRIMARY KEY, account TEXT NOT NULL REFERENCES account (name), payment TEXT NOT NULL REFERENCES payment (id),
  refund TEXT REFERENCES refund (id), currency TEXT NOT NULL, minor INTEGER NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_account ON ledger (account, currency);
CREATE INDEX ledger_payment ON ledger (payment);
PRAGMA user_version = 1;
";

/// Times that the sandbox keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long the account `slow` takes.
    pub slow_ms: u64,
    /// How long after the end of the payment the account `late` pays.
    pub late_ms: u64,
    /// Shortest time that a link is open.
    pub expires_in_min_secs: u32,
    /// Longest time that a link is open.
    pub expires_in_max_secs: u32,
    /// How long a code for enrolling counts.
    pub code_secs: u32,
    /// How long the certificate of a box that has enrolled counts.
    pub certificate_secs: u32,
}

impl Default for Times {
    fn default() -> Times {
        Times {
            slow_ms: 3_000,
            late_ms: 1_000,
            expires_in_min_secs: 30,
            expires_in_max_secs: 3_600,
            code_secs: 3_600,
            certificate_secs: 90 * 24 * 3_600,
        }
    }
}

/// Why the books gave no answer.
#[derive(Debug)]
pub(super) enum BooksError {
    /// Too many jobs wait: come back.
    Busy,
    /// SQLite failed; nothing was done.
    Failed(rusqlite::Error),
    /// The sandbox is stopping.
    Gone,
}

type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// What the thread owns.
struct Desk {
    db: Connection,
    faults: Faults,
    times: Times,
}

/// The way to the books.
#[derive(Clone, Debug)]
pub(super) struct Books {
    jobs: SyncSender<Job>,
    changes: watch::Receiver<i64>,
}

impl Books {
    /// Opens the file, makes it if it is not there, and starts the thread. It ends once all clones are dropped.
    pub(super) fn open(file: &Path, times: Times) -> Result<(Books, JoinHandle<()>), SandboxError> {
        let mut db = connect(file).map_err(|e| SandboxError::database(file, e))?;
        let at_first = last_change(&db).map_err(|e| SandboxError::database(file, e))?;
        make_accounts(&mut db).map_err(|e| SandboxError::database(file, e))?;
        let (tell, changes) = watch::channel(at_first);
        let (jobs, take) = sync_channel(JOBS_MAX);
        let desk = Desk { db, faults: Faults::default(), times };
        let thread = thread::Builder::new().name("sandbox-books".to_owned()).spawn(move || keep(desk, &take, &tell));
        Ok((Books { jobs, changes }, thread.map_err(SandboxError::Runtime)?))
    }

    /// Does a job in one transaction, after all that was due by time; the answer comes once it is on disk.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Book<'_>) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, BooksError> {
        let (answer, wait) = oneshot::channel();
        let job: Job = Box::new(move |desk| {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(desk.transact(job));
        });
        self.jobs.try_send(job).map_err(|e| match e {
            TrySendError::Full(_) => BooksError::Busy,
            TrySendError::Disconnected(_) => BooksError::Gone,
        })?;
        wait.await.map_err(|_| BooksError::Gone)?.map_err(BooksError::Failed)
    }

    /// Wakes whenever any payment has changed.
    pub(super) fn changes(&self) -> watch::Receiver<i64> {
        self.changes.clone()
    }
}

impl Desk {
    fn transact<T>(
        &mut self,
        job: impl FnOnce(&mut Book<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let tx = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut book = Book { tx: &tx, faults: &mut self.faults, times: self.times, now_ms: now_ms() };
        book.settle_due()?;
        let done = job(&mut book)?;
        tx.commit()?;
        Ok(done)
    }
}

fn keep(mut desk: Desk, take: &Receiver<Job>, tell: &watch::Sender<i64>) {
    loop {
        let nap = match desk.transact(|book| book.next_due_ms()) {
            Ok(None) => NAP,
            Ok(Some(due)) => Duration::from_millis(u64::try_from(due.saturating_sub(now_ms())).unwrap_or(0)).min(NAP),
            Err(error) => {
                tracing::error!(%error, "the sandbox cannot write its books: look at its disk");
                NAP
            }
        };
        if let Ok(change) = last_change(&desk.db) {
            tell.send_if_modified(|known| std::mem::replace(known, change) != change);
        }
        match take.recv_timeout(nap) {
            Ok(job) => job(&mut desk),
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `N` fresh random bytes. The operating system's random numbers failing is not survivable.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        std::process::abort();
    }
    bytes
}

/// Cheap on purpose: the passwords are in the documentation.
pub(super) fn password_hash(password: &str, salt: &[u8]) -> Option<[u8; 32]> {
    let cost = argon2::Params::new(4_096, 1, 1, None).ok()?;
    let mut hash = [0; 32];
    argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cost)
        .hash_password_into(password.as_bytes(), salt, &mut hash)
        .ok()?;
    Some(hash)
}

fn connect(file: &Path) -> Result<Connection, rusqlite::Error> {
    let db = Connection::open(file)?;
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "foreign_keys", true)?;
    db.busy_timeout(Duration::from_secs(5))?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version == 0 {
        db.execute_batch(&format!("BEGIN IMMEDIATE; {SCHEMA} COMMIT;"))?;
    }
    db.execute_batch(enrolment::SCHEMA)?;
    Ok(db)
}

fn make_accounts(db: &mut Connection) -> Result<(), rusqlite::Error> {
    let tx = db.transaction()?;
    for (name, _, opening) in ACCOUNTS {
        let there: bool =
            tx.query_row("SELECT EXISTS (SELECT 1 FROM account WHERE name = ?1)", [name], |row| row.get(0))?;
        let salt: [u8; 16] = random();
        if let (false, Some(hash)) = (there, password_hash(PASSWORD, &salt)) {
            let opening = i64::try_from(opening).unwrap_or(i64::MAX);
            tx.execute("INSERT INTO account VALUES (?1, ?2, ?3, ?4)", params![name, salt, hash, opening])?;
        }
    }
    tx.commit()
}

fn last_change(db: &Connection) -> Result<i64, rusqlite::Error> {
    db.query_row("SELECT coalesce(max(change), 0) FROM payment", [], |row| row.get(0))
}

/// One payment in the books, to compare with others' books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookLine {
    /// Its id: the attempt's.
    pub id: String,
    /// The sale it names.
    pub sale: String,
    /// Its status, as the protocol writes it.
    pub status: String,
    /// What was to be paid, in minor units.
    pub amount_minor: u64,
    /// ISO 4217.
    pub currency: String,
    /// What was taken, in minor units.
    pub paid_minor: u64,
    /// What was given back, in minor units.
    pub refunded_minor: u64,
    /// What the accounts have less by it, by the ledger: always `paid` less `refunded`.
    pub moved_minor: i64,
}

/// All payments in this file, by id. Reads beside a running sandbox.
pub fn books(file: &Path) -> Result<Vec<BookLine>, SandboxError> {
    let read = || {
        let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        db.busy_timeout(Duration::from_secs(5))?;
        let mut lines = db.prepare(
            "SELECT id, sale, status, amount, currency, paid, refunded,
               (SELECT coalesce(-sum(minor), 0) FROM ledger WHERE payment = payment.id)
             FROM payment ORDER BY id",
        )?;
        let lines = lines.query_map([], |row| {
            Ok(BookLine {
                id: row.get(0)?,
                sale: row.get(1)?,
                status: row.get(2)?,
                amount_minor: row.get(3)?,
                currency: row.get(4)?,
                paid_minor: row.get(5)?,
                refunded_minor: row.get(6)?,
                moved_minor: row.get(7)?,
            })
        })?;
        lines.collect::<Result<_, _>>()
    };
    read().map_err(|e| SandboxError::database(file, e))
}
