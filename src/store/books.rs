//! The books as people read them, on a connection of their own that cannot write. Never holds the writer up.

use super::cells::{Cells, ReadError};
use super::schema::{OpenError, open_reader};
use crate::shop::effect::{Outcome, Totals};
use crate::shop::event::{Span, Ticket, TillNumber};
use crate::shop::id::SaleId;
use crate::shop::money::Amount;
use crate::shop::sale::{Code, SaleState, Telling};
use crate::shop::time::Wall;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use std::fmt;
use std::path::Path;

/// Why the books cannot be read.
#[derive(Debug)]
pub struct BooksError(ReadError);

impl fmt::Display for BooksError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the books cannot be read: {}; run `tillgate verify`", self.0)
    }
}

impl std::error::Error for BooksError {}

impl From<ReadError> for BooksError {
    fn from(error: ReadError) -> Self {
        BooksError(error)
    }
}

impl From<rusqlite::Error> for BooksError {
    fn from(error: rusqlite::Error) -> Self {
        BooksError(ReadError::Sql(error))
    }
}

/// Which sales a person wants to see. `None` everywhere: all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Asked for at or after this.
    pub since: Option<Wall>,
    /// Asked for before this.
    pub until: Option<Wall>,
    /// Of this till.
    pub till: Option<TillNumber>,
    /// That stand so.
    pub standing: Option<Standing>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// How a sale stands, as a person asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Something is still to be done: not ended, not told, or money on its way.
    Open,
    /// Paid.
    Approved,
    /// Not paid.
    Declined,
    /// Not paid: ended by till, clock or power cut.
    Cancelled,
    /// Nobody confirmed in time.
    Lapsed,
}

impl Standing {
    /// The word for it on the command line.
    pub fn parse(word: &str) -> Option<Standing> {
        match word {
            "open" => Some(Standing::Open),
            "approved" => Some(Standing::Approved),
            "declined" => Some(Standing::Declined),
            "cancelled" => Some(Standing::Cancelled),
            "lapsed" => Some(Standing::Lapsed),
            _ => None,
        }
    }

    fn sql(self) -> &'static str {
        match self {
            Standing::Open => "open = 1",
            Standing::Approved => "state = 'approved'",
            Standing::Declined => "state = 'declined'",
            Standing::Cancelled => "state = 'cancelled'",
            Standing::Lapsed => "state = 'lapsed'",
        }
    }
}

/// One sale as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleLine {
    /// Its id.
    pub id: SaleId,
    /// Its till.
    pub till: TillNumber,
    /// Its ticket.
    pub ticket: Option<Ticket>,
    /// Its amount.
    pub amount: Amount,
    /// Its matching code.
    pub code: Code,
    /// When it was asked for.
    pub asked_at: Option<Wall>,
    /// When it ended.
    pub ended_at: Option<Wall>,
    /// Where it stands; its outcome and how far the till was told follow from this.
    pub state: SaleState,
    /// Whether anything about it is still to be done.
    pub open: bool,
    /// How many attempts it had.
    pub attempts: u32,
    /// How many tries failed, over all attempts.
    pub failed_tries: u32,
    /// Minor units of its amount that are back or on their way back. What was taken too much does not count.
    pub given_back_minor: u64,
    /// Whether a person must look at one of its attempts or refunds.
    pub needs_person: bool,
}

impl SaleLine {
    /// How it ended, once it has.
    pub fn outcome(&self) -> Option<Outcome> {
        self.state.outcome()
    }

    /// How far the till was told, once there is something to tell.
    pub fn telling(&self) -> Option<Telling> {
        self.state.telling()
    }
}

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Visits now.
    pub sessions: u64,
    /// Sales with anything still to be done.
    pub open_sales: u64,
    /// Sales ever: the number of the newest.
    pub sales: u64,
    /// Rows of the journal.
    pub journal_rows: u64,
}

const LINES: &str = "
    SELECT sales.*,
        (SELECT count(*) FROM attempts WHERE sale = sales.id) AS attempt_count,
        (SELECT coalesce(sum(tries), 0) FROM attempts WHERE sale = sales.id) AS failed_tries,
        (SELECT coalesce(sum(minor), 0) FROM refunds
            WHERE sale = sales.id AND attempt = sales.attempt AND state <> 'refused' AND why <> 'overpaid') AS given_back,
        EXISTS (SELECT 1 FROM attempts WHERE sale = sales.id AND person_why IS NOT NULL)
            OR EXISTS (SELECT 1 FROM refunds WHERE sale = sales.id AND person_why IS NOT NULL) AS needs_person
    FROM sales";

/// The books, open for reading.
#[derive(Debug)]
pub struct Books(Connection);

impl Books {
    /// Opens the store at `path` for reading, with or without a daemon that writes it.
    pub fn open_read_only(path: &Path) -> Result<Books, OpenError> {
        open_reader(path).map(Books)
    }

    /// Hands the sales that `filter` lets through to `each`, newest first, until it says `false`. Returns how many.
    pub fn sales(&self, filter: &Filter, mut each: impl FnMut(SaleLine) -> bool) -> Result<u64, BooksError> {
        let mut wheres = vec!["true"];
        let mut params: Vec<Value> = Vec::new();
        if let Some(since) = filter.since {
            wheres.push("asked_at >= ?");
            params.push(since.0.into());
        }
        if let Some(until) = filter.until {
            wheres.push("asked_at < ?");
            params.push(until.0.into());
        }
        if let Some(till) = filter.till {
            wheres.push("till = ?");
            params.push(till.number().into());
        }
        wheres.extend(filter.standing.map(Standing::sql));
        params.push(filter.limit.map_or(-1, i64::from).into());
        let sql = format!("{LINES} WHERE {} ORDER BY no DESC LIMIT ?", wheres.join(" AND "));
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        let mut lines: u64 = 0;
        while let Some(row) = rows.next()? {
            let sale = Cells(row).sale()?;
            lines = lines.saturating_add(1);
            let more = each(SaleLine {
                id: sale.id,
                till: sale.till,
                ticket: sale.ticket,
                amount: sale.amount,
                code: sale.code,
                asked_at: sale.asked_at,
                ended_at: sale.ended_at,
                state: sale.state,
                open: row.get("open")?,
                attempts: row.get("attempt_count")?,
                failed_tries: row.get("failed_tries")?,
                given_back_minor: row.get::<_, i64>("given_back")?.unsigned_abs(),
                needs_person: row.get("needs_person")?,
            });
            if !more {
                break;
            }
        }
        Ok(lines)
    }

    /// Every sale with anything still to be done, newest first.
    pub fn open_sales(&self) -> Result<Vec<SaleLine>, BooksError> {
        let mut lines = Vec::new();
        let filter = Filter { standing: Some(Standing::Open), ..Filter::default() };
        self.sales(&filter, |line| {
            lines.push(line);
            true
        })?;
        Ok(lines)
    }

    /// The sums of a till's ended sales, of one epoch or of all.
    pub fn totals(&self, till: TillNumber, of: Span) -> Result<Totals, BooksError> {
        let epoch = match of {
            Span::All | Span::Day => None,
            Span::Epoch(epoch) => Some(epoch),
        };
        let of_epoch = if epoch.is_some() { "AND ticket_epoch = ?2" } else { "AND ?2 IS NULL" };
        let sums = format!(
            "SELECT state, count(*), sum(minor) FROM sales INDEXED BY sales_summed
             WHERE state IN ('approved', 'declined', 'cancelled', 'lapsed') AND till = ?1 {of_epoch} GROUP BY state"
        );
        let mut totals =
            Totals { of, mark: 0, approved: 0, approved_minor: 0, given_back: 0, given_back_minor: 0, unpaid: 0 };
        let mut statement = self.0.prepare_cached(&sums)?;
        let mut rows = statement.query((till.number(), epoch))?;
        while let Some(row) = rows.next()? {
            let (state, count, minor): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if state == "approved" {
                totals.approved = count.unsigned_abs();
                totals.approved_minor = minor.unsigned_abs();
            } else {
                totals.unpaid = totals.unpaid.saturating_add(count.unsigned_abs());
            }
        }
        let given_back = format!(
            "SELECT coalesce(sum(refunds.minor), 0) FROM refunds CROSS JOIN sales ON sales.id = refunds.sale
             WHERE refunds.state <> 'refused' AND refunds.why <> 'overpaid' AND refunds.attempt = sales.attempt
                 AND till = ?1 {of_epoch}"
        );
        let mut statement = self.0.prepare_cached(&given_back)?;
        let minor: i64 = statement.query_row((till.number(), epoch), |row| row.get(0))?;
        totals.given_back_minor = minor.unsigned_abs();
        Ok(totals)
    }

    /// How much there is.
    pub fn counts(&self) -> Result<Counts, BooksError> {
        let count = |sql: &str| self.0.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
        Ok(Counts {
            sessions: count("SELECT count(*) FROM sessions")?,
            open_sales: count("SELECT count(*) FROM sales WHERE open = 1")?,
            sales: count("SELECT coalesce(max(no), 0) FROM sales")?,
            journal_rows: count("SELECT coalesce(max(seq), 0) FROM journal")?,
        })
    }
}
