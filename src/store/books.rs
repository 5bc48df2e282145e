//! The books as people read them, on a connection of their own that cannot write. Never holds the writer up.

use super::cells::{Cells, ReadError};
use super::schema::{OpenError, open_reader};
use crate::shop::Asked;
use crate::shop::effect::{Outcome, Totals};
use crate::shop::event::{AskKind, ReceiptNumber, ReturnKind, Span, Ticket, TillNumber};
use crate::shop::giveback::{Back, ReturnState};
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
    /// Given back, as the till asked.
    Returned,
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
            "returned" => Some(Standing::Returned),
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
            Standing::Returned => "state = 'returned'",
        }
    }
}

/// Where a sale or a return stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// A sale.
    Sale(SaleState),
    /// A return.
    Return(ReturnKind, ReturnState),
}

impl Stands {
    /// Its name for people.
    pub fn name(&self) -> &'static str {
        match self {
            Stands::Sale(state) => state.name(),
            Stands::Return(_, ReturnState::Returned { pending: true, .. }) => "pending",
            Stands::Return(_, state) => state.name(),
        }
    }
}

/// One sale or return as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaleLine {
    /// Its id.
    pub id: SaleId,
    /// Its till.
    pub till: TillNumber,
    /// Its ticket.
    pub ticket: Option<Ticket>,
    /// The number on its receipt.
    pub receipt: Option<ReceiptNumber>,
    /// Its amount; of a return: what goes back.
    pub amount: Amount,
    /// Its matching code.
    pub code: Code,
    /// When it was asked for.
    pub asked_at: Option<Wall>,
    /// When it ended.
    pub ended_at: Option<Wall>,
    /// Where it stands; its outcome and how far the till was told follow from this.
    pub state: Stands,
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
        match self.state {
            Stands::Sale(state) => state.outcome(),
            Stands::Return(_, state) => state.outcome(),
        }
    }

    /// What the till asked for.
    pub fn kind(&self) -> AskKind {
        match self.state {
            Stands::Sale(_) => AskKind::Pay,
            Stands::Return(kind, _) => kind.into(),
        }
    }

    /// What a return gives back: of which sale, how much.
    pub fn back(&self) -> Option<Back> {
        match self.state {
            Stands::Sale(_) => None,
            Stands::Return(_, state) => state.back(),
        }
    }

    /// How far the till was told, once there is something to tell.
    pub fn telling(&self) -> Option<Telling> {
        match self.state {
            Stands::Sale(state) => state.telling(),
            Stands::Return(_, state) => state.telling(),
        }
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
        (SELECT person_why IS NOT NULL FROM refunds WHERE id = sales.back_refund) IS 1 OR
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
            lines = lines.saturating_add(1);
            if !each(line(Cells(row), row)?) {
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

    /// The sums of a till's ended sales: of one epoch or of all, less what has been given back of them; or of all that was
    /// booked for the till since it closed its day, with what it gave back in that time of whichever sale.
    pub fn totals(&self, till: TillNumber, of: Span) -> Result<Totals, BooksError> {
        // One state of the books for all sums.
        let _reading = self.0.unchecked_transaction()?;
        match of {
            Span::All => self.totals_of(till, of, None),
            Span::Epoch(epoch) => self.totals_of(till, of, Some(epoch)),
            Span::Day => self.totals_of_day(till),
        }
    }

    fn totals_of_day(&self, till: TillNumber) -> Result<Totals, BooksError> {
        let mut totals = Totals { mark: self.mark(till)?, ..nothing(Span::Day) };
        let day = "SELECT coalesce((SELECT mark FROM days WHERE till = ?1), 0)";
        let from: i64 = self.0.prepare_cached(day)?.query_row([till.number()], |row| row.get(0))?;
        let sums = "SELECT kind IS NOT NULL, state, count(*), coalesce(sum(coalesce(back_minor, minor)), 0)
            FROM sales INDEXED BY sales_booked
            WHERE till = ?1 AND booked > ?2 AND booked IS NOT NULL GROUP BY 1, 2";
        let mut statement = self.0.prepare_cached(sums)?;
        let mut rows = statement.query((till.number(), from))?;
        while let Some(row) = rows.next()? {
            let (is_return, state, count, minor): (bool, String, i64, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            let (count, minor) = (count.unsigned_abs(), minor.unsigned_abs());
            match (is_return, state.as_str()) {
                (false, "approved") => (totals.approved, totals.approved_minor) = (count, minor),
                (false, _) => totals.unpaid = totals.unpaid.saturating_add(count),
                (true, "returned") => (totals.given_back, totals.given_back_minor) = (count, minor),
                (true, _) => {}
            }
        }
        // What went back without a return: results that the till rejected or never heard.
        let others = "SELECT count(*), coalesce(sum(refunds.minor), 0) FROM refunds INDEXED BY refunds_booked
            JOIN sales ON sales.id = refunds.sale
            WHERE refunds.booked > ?2 AND refunds.booked IS NOT NULL AND refunds.state <> 'refused'
                AND refunds.why NOT IN ('loser', 'overpaid', 'till') AND refunds.attempt = sales.attempt
                AND sales.till = ?1";
        let (count, minor): (i64, i64) =
            self.0.prepare_cached(others)?.query_row((till.number(), from), |row| Ok((row.get(0)?, row.get(1)?)))?;
        totals.given_back = totals.given_back.saturating_add(count.unsigned_abs());
        totals.given_back_minor = totals.given_back_minor.saturating_add(minor.unsigned_abs());
        Ok(totals)
    }

    /// Where the books of a till end now.
    fn mark(&self, till: TillNumber) -> Result<u64, BooksError> {
        let sql = "SELECT max(
                coalesce((SELECT max(booked) FROM sales WHERE till = ?1 AND booked IS NOT NULL), 0),
                coalesce((SELECT max(booked) FROM refunds WHERE booked IS NOT NULL), 0),
                coalesce((SELECT mark FROM days WHERE till = ?1), 0))";
        let mark: i64 = self.0.prepare_cached(sql)?.query_row([till.number()], |row| row.get(0))?;
        Ok(mark.cast_unsigned())
    }

    fn totals_of(&self, till: TillNumber, of: Span, epoch: Option<u32>) -> Result<Totals, BooksError> {
        let of_epoch = if epoch.is_some() { "AND ticket_epoch = ?2" } else { "AND ?2 IS NULL" };
        let sums = format!(
            "SELECT state, count(*), sum(minor) FROM sales INDEXED BY sales_summed
             WHERE kind IS NULL AND state IN ('approved', 'declined', 'cancelled', 'lapsed') AND till = ?1 {of_epoch} GROUP BY state"
        );
        let mut totals = Totals { mark: self.mark(till)?, ..nothing(of) };
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
            "SELECT count(*), coalesce(sum(refunds.minor), 0) FROM refunds CROSS JOIN sales ON sales.id = refunds.sale
             WHERE refunds.state <> 'refused' AND refunds.why <> 'overpaid' AND refunds.attempt = sales.attempt
                 AND till = ?1 {of_epoch}"
        );
        let mut statement = self.0.prepare_cached(&given_back)?;
        let (count, minor): (i64, i64) =
            statement.query_row((till.number(), epoch), |row| Ok((row.get(0)?, row.get(1)?)))?;
        (totals.given_back, totals.given_back_minor) = (count.unsigned_abs(), minor.unsigned_abs());
        Ok(totals)
    }

    /// How many sales and returns were asked for at or after this, where the clock was set.
    pub fn asked_since(&self, since: Wall) -> Result<u64, BooksError> {
        let sql = "SELECT count(*) FROM sales WHERE asked_at >= ?1";
        Ok(self.0.query_row(sql, [since.0], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// How many sales and returns there ever were: the number of the newest.
    pub fn sales_ever(&self) -> Result<u64, BooksError> {
        let sql = "SELECT coalesce(max(no), 0) FROM sales";
        Ok(self.0.query_row(sql, [], |row| row.get::<_, i64>(0))?.unsigned_abs())
    }

    /// Whole days since the first sale whose date is known.
    pub fn age_days(&self, now: Wall) -> Result<u64, BooksError> {
        let first: Option<i64> = self.0.query_row("SELECT min(asked_at) FROM sales", [], |row| row.get(0))?;
        Ok(first.map_or(0, |first| u64::try_from(now.0.saturating_sub(first)).unwrap_or(0) / 86_400_000))
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

fn nothing(of: Span) -> Totals {
    Totals { of, mark: 0, approved: 0, approved_minor: 0, given_back: 0, given_back_minor: 0, unpaid: 0 }
}

fn line(cells: Cells<'_>, row: &rusqlite::Row<'_>) -> Result<SaleLine, BooksError> {
    let asked =
        if cells.is_return()? { Asked::Return(Box::new(cells.given()?)) } else { Asked::Sale(Box::new(cells.sale()?)) };
    let (till, ticket, receipt, amount, code) = match &asked {
        Asked::Sale(sale) => (sale.till, sale.ticket, sale.receipt, sale.amount, sale.code),
        Asked::Return(given) => (given.till, given.ticket, Some(given.receipt), given.amount(), given.code),
    };
    let (asked_at, ended_at, state) = match &asked {
        Asked::Sale(sale) => (sale.asked_at, sale.ended_at, Stands::Sale(sale.state)),
        Asked::Return(given) => (given.asked_at, given.ended_at, Stands::Return(given.kind, given.state)),
    };
    Ok(SaleLine {
        id: asked.id(),
        till,
        ticket,
        receipt,
        amount,
        code,
        asked_at,
        ended_at,
        state,
        open: row.get("open")?,
        attempts: row.get("attempt_count")?,
        failed_tries: row.get("failed_tries")?,
        given_back_minor: row.get::<_, i64>("given_back")?.unsigned_abs(),
        needs_person: row.get("needs_person")?,
    })
}
