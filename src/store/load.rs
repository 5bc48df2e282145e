//! Reading sales whole, for the ring and for the checks at the start. Writes nothing.

use super::cells::{Cells, ReadError};
use super::row::Row;
use crate::shop;
use crate::shop::event::{Ticket, TillNumber};
use crate::shop::id::{AttemptId, SaleId};
use crate::shop::sale::Sale;
use crate::shop::time::Wall;
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
    let mut sales = Vec::new();
    let mut statement = conn.prepare_cached(OPEN_AND_NEWEST)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        sales.push(whole(conn, Cells(row))?);
    }
    let cursor = "SELECT cursor FROM reconciliation";
    let cursor = conn.query_row(cursor, [], |row| row.get::<_, String>(0)).optional()?;
    let wall = "SELECT wall FROM journal WHERE wall IS NOT NULL ORDER BY seq DESC LIMIT 1";
    let wall = conn.query_row(wall, [], |row| row.get::<_, i64>(0)).optional()?;
    let unchecked = "SELECT a.id FROM attempts a JOIN sales s ON s.id = a.sale WHERE a.checked = 0 AND s.open = 0";
    let mut statement = conn.prepare_cached(unchecked)?;
    let ids = statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?;
    let unchecked = ids.map(|id| id.map(|id| AttemptId(u128::from_be_bytes(id)))).collect::<Result<_, _>>()?;
    let shop = shop::Loaded { sessions, sales, unchecked, cursor: cursor.unwrap_or_default() };
    Ok(Loaded { shop, last_wall: wall.map(Wall) })
}

/// The sale that a ticket of a till means now.
pub(super) fn sale_of_ticket(conn: &Connection, till: TillNumber, ticket: &Ticket) -> Result<Option<Sale>, ReadError> {
    let sql =
        "SELECT * FROM sales WHERE id = (SELECT sale FROM tickets WHERE till = ?1 AND epoch = ?2 AND ticket = ?3)";
    one(conn, sql, (till.number(), super::row::epoch_cell(ticket), ticket.number))
}

/// The newest sale of a till.
pub(super) fn last_sale_of(conn: &Connection, till: TillNumber) -> Result<Option<Sale>, ReadError> {
    one(conn, "SELECT * FROM sales WHERE till = ?1 ORDER BY no DESC LIMIT 1", [till.number()])
}

/// The sale that an attempt belongs to.
pub(super) fn sale_of_attempt(conn: &Connection, attempt: AttemptId) -> Result<Option<Sale>, ReadError> {
    let sql = "SELECT * FROM sales WHERE id = (SELECT sale FROM attempts WHERE id = ?1)";
    one(conn, sql, [attempt.0.to_be_bytes()])
}

/// The sale with this id.
pub(super) fn sale(conn: &Connection, id: SaleId) -> Result<Option<Sale>, ReadError> {
    one(conn, "SELECT * FROM sales WHERE id = ?1", [id.0.to_be_bytes()])
}

fn one(conn: &Connection, sql: &str, params: impl Params) -> Result<Option<Sale>, ReadError> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    match rows.next()? {
        None => Ok(None),
        Some(row) => whole(conn, Cells(row)).map(Some),
    }
}

fn whole(conn: &Connection, row: Cells<'_>) -> Result<Sale, ReadError> {
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
