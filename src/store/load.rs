//! Reading sales whole, for the ring and for the checks at the start. Writes nothing.

use super::cells::{Cells, ReadError};
use super::row::Row;
use crate::shop::event::{ReceiptNumber, Ticket, TillNumber};
use crate::shop::id::{AttemptId, SaleId, SessionId};
use crate::shop::sale::Sale;
use crate::shop::time::Wall;
use crate::shop::{self, Asked, REPAYABLE_MAX};
use rusqlite::{Connection, OptionalExtension, Params};

/// What the shop begins with after a start.
#[derive(Debug)]
pub struct Loaded {
    /// All visits; every open sale, the newest of each till and those that phones show, oldest first; and the rest.
    pub shop: shop::Loaded,
    /// The newest date in the journal: an earlier one cannot be right.
    pub last_wall: Option<Wall>,
}

const OPEN_AND_NEWEST: &str = "
    WITH RECURSIVE tills (till) AS (
        SELECT min(till) FROM sales
        UNION ALL SELECT (SELECT min(till) FROM sales WHERE till > tills.till) FROM tills WHERE till IS NOT NULL
    )
    SELECT * FROM sales WHERE no IN (
        SELECT no FROM sales WHERE open = 1
        UNION SELECT no FROM sales WHERE id IN (SELECT sale FROM sessions WHERE sale IS NOT NULL)
        UNION SELECT (SELECT max(no) FROM sales WHERE till = tills.till) FROM tills WHERE till IS NOT NULL
    ) ORDER BY no";

/// What was booked last: of each till, and of the refunds.
const BOOKED: &str = "
    WITH RECURSIVE tills (till) AS (
        SELECT min(till) FROM sales
        UNION ALL SELECT (SELECT min(till) FROM sales WHERE till > tills.till) FROM tills WHERE till IS NOT NULL
    )
    SELECT max(coalesce((SELECT max(booked) FROM refunds WHERE booked IS NOT NULL), 0), coalesce(max((
        SELECT max(booked) FROM sales WHERE till = tills.till AND booked IS NOT NULL
    )), 0)) FROM tills";

/// All that a start needs.
pub(super) fn load(conn: &Connection) -> Result<Loaded, ReadError> {
    let mut sessions = Vec::new();
    let mut statement = conn.prepare_cached("SELECT * FROM sessions ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let session = Cells(row).session()?;
        Cells(row).is_exactly(&Row::of_session(&session))?;
        sessions.push(session);
    }
    let mut shop = shop::Loaded { sessions, ..shop::Loaded::default() };
    let mut statement = conn.prepare_cached(OPEN_AND_NEWEST)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (till, receipt) = match whole(conn, Cells(row))? {
            Asked::Sale(sale) => {
                let newest = (sale.till, sale.receipt);
                shop.sales.push(*sale);
                newest
            }
            Asked::Return(given) => {
                let newest = (given.till, Some(given.receipt));
                shop.returns.push(*given);
                newest
            }
        };
        // The newest of each till is among these, and comes last.
        shop.receipts.extend(receipt.map(|receipt| (till, receipt)));
    }
    let cursor = "SELECT cursor FROM reconciliation";
    let cursor = conn.query_row(cursor, [], |row| row.get::<_, String>(0)).optional()?;
    let wall = "SELECT wall FROM journal WHERE wall IS NOT NULL ORDER BY seq DESC LIMIT 1";
    let wall = conn.query_row(wall, [], |row| row.get::<_, i64>(0)).optional()?;
    let unchecked = "SELECT a.id FROM attempts a JOIN sales s ON s.id = a.sale WHERE a.checked = 0 AND s.open = 0";
    let mut statement = conn.prepare_cached(unchecked)?;
    let ids = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
    let unchecked = ids.map(|id| id.map(|id| AttemptId(u128::from_be_bytes(id)))).collect::<Result<_, _>>()?;
    shop.cursor = cursor.unwrap_or_default();
    shop.unchecked = unchecked;
    shop.booked = conn.query_row(BOOKED, [], |row| row.get::<_, i64>(0))?.cast_unsigned();
    let mut statement = conn.prepare_cached("SELECT till, mark FROM days ORDER BY till")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (till, mark) = Cells(row).day()?;
        shop.days.insert(till, mark);
    }
    Ok(Loaded { shop, last_wall: wall.map(Wall) })
}

/// The sale or return that a ticket of a till means now.
pub(super) fn asked_under(conn: &Connection, till: TillNumber, ticket: &Ticket) -> Result<Option<Asked>, ReadError> {
    let sql =
        "SELECT * FROM sales WHERE id = (SELECT sale FROM tickets WHERE till = ?1 AND epoch = ?2 AND ticket = ?3)";
    one(conn, sql, (till.number(), super::row::epoch_cell(ticket), ticket.number))
}

/// The newest sale or return of a till with this number on its receipt.
pub(super) fn newest_with(conn: &Connection, till: TillNumber, of: ReceiptNumber) -> Result<Option<Asked>, ReadError> {
    let sql = "SELECT * FROM sales WHERE till = ?1 AND receipt = ?2 ORDER BY no DESC LIMIT 1";
    one(conn, sql, (till.number(), of.number()))
}

/// The newest sales that a phone has paid and of which something is left; at most [`REPAYABLE_MAX`].
pub(super) fn paid_by(conn: &Connection, session: SessionId) -> Result<Vec<Sale>, ReadError> {
    let sql = "SELECT sales.* FROM attempts JOIN sales ON sales.id = attempts.sale
        WHERE attempts.session = ?1 AND attempts.state = 'paid' AND sales.state = 'approved'
            AND sales.attempt = attempts.id AND sales.minor > (
                SELECT coalesce(sum(minor), 0) FROM refunds
                WHERE sale = sales.id AND attempt = attempts.id AND state <> 'refused' AND why <> 'overpaid')
        ORDER BY sales.no DESC LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((session.0.to_be_bytes(), REPAYABLE_MAX))?;
    let mut sales = Vec::new();
    while let Some(row) = rows.next()? {
        sales.extend(as_sale(whole(conn, Cells(row))?));
    }
    Ok(sales)
}

/// The newest sale of a till.
pub(super) fn last_sale_of(conn: &Connection, till: TillNumber) -> Result<Option<Sale>, ReadError> {
    let sql = "SELECT * FROM sales WHERE till = ?1 AND kind IS NULL ORDER BY no DESC LIMIT 1";
    Ok(one(conn, sql, [till.number()])?.and_then(as_sale))
}

/// The sale that an attempt belongs to.
pub(super) fn sale_of_attempt(conn: &Connection, attempt: AttemptId) -> Result<Option<Sale>, ReadError> {
    let sql = "SELECT * FROM sales WHERE id = (SELECT sale FROM attempts WHERE id = ?1)";
    Ok(one(conn, sql, [attempt.0.to_be_bytes()])?.and_then(as_sale))
}

/// The sale or return with this id.
pub(super) fn asked(conn: &Connection, id: SaleId) -> Result<Option<Asked>, ReadError> {
    one(conn, "SELECT * FROM sales WHERE id = ?1", [id.0.to_be_bytes()])
}

pub(super) fn as_sale(asked: Asked) -> Option<Sale> {
    match asked {
        Asked::Sale(sale) => Some(*sale),
        Asked::Return(_) => None,
    }
}

fn one(conn: &Connection, sql: &str, params: impl Params) -> Result<Option<Asked>, ReadError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    match rows.next()? {
        None => Ok(None),
        Some(row) => whole(conn, Cells(row)).map(Some),
    }
}

fn whole(conn: &Connection, row: Cells<'_>) -> Result<Asked, ReadError> {
    if row.is_return()? {
        let given = row.given()?;
        row.is_exactly(&Row::of_return(&given, row.open()?))?;
        return Ok(Asked::Return(Box::new(given)));
    }
    whole_sale(conn, row).map(|sale| Asked::Sale(Box::new(sale)))
}

fn whole_sale(conn: &Connection, row: Cells<'_>) -> Result<Sale, ReadError> {
    let mut sale = row.sale()?;
    row.is_exactly(&Row::of_sale(&sale, row.open()?))?;
    let id = sale.id.0.to_be_bytes();
    let mut statement = conn.prepare_cached("SELECT * FROM attempts WHERE sale = ?1 ORDER BY number, no")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let attempt = Cells(row).attempt()?;
        Cells(row).is_exactly(&Row::of_attempt(sale.id, &attempt))?;
        sale.attempts.push(attempt);
    }
    let mut statement = conn.prepare_cached("SELECT * FROM refunds WHERE sale = ?1 ORDER BY no")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let refund = Cells(row).refund()?;
        Cells(row).is_exactly(&Row::of_refund(sale.id, &refund))?;
        sale.refunds.push(refund);
    }
    Ok(sale)
}
