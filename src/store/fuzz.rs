//! A row of the store, and a store whose cells or whose bytes, are arbitrary: it is refused, or what is read of it writes back as it was.
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, clippy::indexing_slicing)]

use super::cells::{Cells, ReadError};
use super::load::{as_sale, asked, asked_under, load, newest_with, paid_by, sale_of_attempt};
use super::row::{ATTEMPTS, DAYS, REFUNDS, Row, SALES, SESSIONS, TICKETS, Table};
use super::schema::{APPLICATION_ID, MIGRATIONS, Synchronous, settle, version_of};
use super::verify::{check_at_start, verify_all};
use super::writer::{Head, Store};
use crate::shop::Asked;
use crate::shop::attempt::{
    Attempt, AttemptState, ClosedWhy, Link, NeedsPerson, NeedsPersonWhy, Refund, RefundState, RefundWhy, TryFailure,
};
use crate::shop::effect::{CancelledWhy, DeclinedWhy, Record};
use crate::shop::event::{Of, Reason, ReceiptNumber, ReturnKind, Ticket, TillNumber};
use crate::shop::giveback::{Back, Return, ReturnState};
use crate::shop::id::{AttemptId, RefundId, SaleId, SessionId};
use crate::shop::money::{Amount, Currency};
use crate::shop::pairing::Pairing;
use crate::shop::sale::{AbortWhy, Code, Sale, SaleState, Telling};
use crate::shop::session::{Place, Session};
use crate::shop::time::{BootId, Mono, Now, Wall};
use arbitrary::{Result, Unstructured};
use rusqlite::config::DbConfig;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, params, params_from_iter};
use std::cell::RefCell;
use std::path::Path;

/// Cells changed in one run at most.
const CHANGES_MAX: usize = 6;
const TABLES: [&Table; 6] = [&SALES, &ATTEMPTS, &REFUNDS, &TICKETS, &SESSIONS, &DAYS];

thread_local! {
    /// Every row of the store, and an empty one to read rows with.
    static ROWS: (Connection, Vec<Row>) = (Connection::open_in_memory().unwrap(), every_row());
    /// Stores in memory: one without the checks that SQLite itself makes, and the bytes of a whole one.
    static LOOSE: RefCell<Store> = RefCell::new(written(&loose(&MIGRATIONS.concat())));
    static BYTES: Vec<u8> = {
        let mut store = written(&MIGRATIONS.concat());
        let conn = &mut store.conn;
        conn.execute_batch("VACUUM").unwrap();
        conn.serialize("main").unwrap().to_vec()
    };
}

/// The schema without types and checks: what a damaged file or another program can hold.
fn loose(schema: &str) -> String {
    let mut text = String::new();
    for line in schema.lines().filter(|line| !line.trim_start().starts_with("CHECK")) {
        let line = line.replace("STRICT, WITHOUT ROWID", "WITHOUT ROWID").replace(" STRICT", "");
        let cut = line.find(" CHECK").filter(|_| line.starts_with("    "));
        text.push_str(&cut.map_or(line.clone(), |at| format!("{},", &line[..at])));
        text.push('\n');
    }
    // A column's type would turn what is put into it.
    for kind in [" INTEGER", " BLOB", " TEXT"] {
        text = text.replace(&format!("{kind},"), " BLOB,").replace(&format!("{kind} NOT NULL"), " BLOB");
    }
    text.replace(",\n)", "\n)")
}

fn written(schema: &str) -> Store {
    let conn = Connection::open_in_memory().unwrap();
    conn.set_prepared_statement_cache_capacity(512);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).unwrap();
    conn.execute_batch(schema).unwrap();
    conn.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    conn.pragma_update(None, "user_version", MIGRATIONS.len()).unwrap();
    let mut store = Store::over(conn, Head::EMPTY, None, None);
    for sale in sales() {
        let open = !matches!(sale.state, SaleState::Declined { .. } | SaleState::Lapsed { .. });
        store.commit(Some(Wall(1_800_000_000_000)), &records(&sale, open)).unwrap();
    }
    for given in returns() {
        let (till, ticket, sale, open) = (given.till, given.ticket, given.id, !given.is_at_rest());
        let mut all = vec![Record::Return { given: Box::new(given), open }];
        all.extend(ticket.map(|ticket| Record::Ticket { till, ticket, sale }));
        store.commit(None, &all).unwrap();
    }
    let day = Record::DayClosed { till: TillNumber::new(8).unwrap(), mark: 5 };
    store.commit(None, &[Record::Session(visit()), Record::Cursor("c-1".to_owned()), day]).unwrap();
    let whole = "the store is whole before a change";
    for wanted in sales() {
        assert_eq!(asked(&store.conn, wanted.id).unwrap().and_then(as_sale), Some(wanted), "{whole}");
    }
    for wanted in returns() {
        let id = wanted.id;
        assert_eq!(asked(&store.conn, id).unwrap(), Some(Asked::Return(Box::new(wanted))), "{whole}");
    }
    store
}

/// Changes cells of one row, which is then what it says, or refused.
pub fn row(data: &[u8]) {
    ROWS.with(|(conn, rows)| {
        let Some((which, changes)) = data.split_first() else { return };
        let row = &rows[usize::from(*which) % rows.len()];
        let (columns, mut values) = (row.table.columns, row.values.clone());
        let mut changes = Unstructured::new(changes);
        for _ in 0..CHANGES_MAX {
            let (Ok(at), false) = (changes.arbitrary::<u8>(), changes.is_empty()) else { break };
            let Ok(new) = value(&mut changes) else { break };
            values[usize::from(at) % columns.len()] = new;
        }
        let named = columns.iter().enumerate().map(|(at, column)| format!("?{} AS {column}", at + 1));
        let sql = format!("SELECT {}", named.collect::<Vec<_>>().join(", "));
        let mut statement = conn.prepare_cached(&sql).unwrap();
        let mut found = statement.query(params_from_iter(&values)).unwrap();
        let cells = Cells(found.next().unwrap().unwrap());
        let written = match row.table.name {
            "sales" => one_of_sales(cells),
            "attempts" => cells.attempt().map(|attempt| Row::of_attempt(owner(row), &attempt)),
            "refunds" => cells.refund().map(|refund| Row::of_refund(owner(row), &refund)),
            "sessions" => cells.session().map(|session| Row::of_session(&session)),
            "days" => cells.day().map(|(till, mark)| Row::of_day(till, mark)),
            other => unreachable!("{other} has no rows of its own"),
        };
        let same = written.and_then(|written| cells.is_exactly(&written).map(|()| written));
        assert!(values != row.values || same.is_ok_and(|same| same.values == values), "a whole row is read");
    });
}

fn one_of_sales(cells: Cells<'_>) -> std::result::Result<Row, ReadError> {
    let open = cells.open()?;
    match cells.is_return()? {
        true => cells.given().map(|given| Row::of_return(&given, open)),
        false => cells.sale().map(|sale| Row::of_sale(&sale, open)),
    }
}

/// The sale that an attempt or a refund belongs to.
fn owner(row: &Row) -> SaleId {
    let at = row.table.columns.iter().position(|column| *column == "sale").unwrap();
    let Value::Blob(id) = &row.values[at] else { unreachable!("a sale's id is bytes") };
    SaleId(u128::from_be_bytes(id.as_slice().try_into().unwrap()))
}

fn every_row() -> Vec<Row> {
    let mut rows = vec![Row::of_session(&visit()), Row::of_day(TillNumber::new(8).unwrap(), 5)];
    for sale in sales() {
        rows.push(Row::of_sale(&sale, true));
        rows.extend(sale.attempts.iter().map(|attempt| Row::of_attempt(sale.id, attempt)));
        rows.extend(sale.refunds.iter().map(|refund| Row::of_refund(sale.id, refund)));
    }
    rows.extend(returns().iter().map(|given| Row::of_return(given, true)));
    rows
}

/// Changes single cells, then reads all.
pub fn cells(data: &[u8]) {
    LOOSE.with(|store| {
        let store = store.borrow_mut();
        let conn: &Connection = &store.conn;
        let run = |sql: &str| conn.prepare_cached(sql).and_then(|mut s| s.execute([])).map(drop).unwrap();
        let Some((how, changes)) = data.split_first() else { return };
        run("SAVEPOINT fuzz");
        let _ = change_cells(conn, &mut Unstructured::new(changes));
        read(conn, *how, true);
        run("ROLLBACK TO fuzz");
        run("RELEASE fuzz");
    });
}

fn change_cells(conn: &Connection, u: &mut Unstructured<'_>) -> Result<()> {
    for _ in 0..CHANGES_MAX {
        if u.is_empty() {
            break;
        }
        let which: [u8; 3] = u.arbitrary()?;
        let table = TABLES[usize::from(which[0] % 6)];
        let column = table.columns[usize::from(which[1]) % table.columns.len()];
        let value = value(u)?;
        // Keys that collide or refer to nothing are refused, rightly.
        let (name, key) = (table.name, table.key[0]);
        let sql = format!(
            "UPDATE OR IGNORE {name} SET {column} = ?1 WHERE {key} = (SELECT {key} FROM {name} ORDER BY {key} LIMIT 1 OFFSET ?2)"
        );
        let _ = conn.prepare_cached(&sql).and_then(|mut s| s.execute(params![value, which[2] % 16]));
    }
    Ok(())
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    const WORDS: &[&str] = &[
        "waiting",
        "offered",
        "paying",
        "aborting",
        "approved",
        "declined",
        "cancelled",
        "lapsed",
        "telling",
        "take-later",
        "choosing",
        "sending",
        "returned",
        "refund",
        "reverse",
        "taken",
        "rejected",
        "unheard",
        "no-channel",
        "intent",
        "open",
        "paid",
        "closed",
        "accepted",
        "done",
        "refused",
        "failed",
        "expired",
        "customer",
        "given-up",
        "wrong-payment",
        "till",
        "clock",
        "power-cut",
        "let-go",
        "doubt",
        "loser",
        "overpaid",
        "no-funds",
        "never-born",
        "EUR",
        "JPY",
        "K7",
        "10.0.0.1",
        "::1",
    ];
    Ok(match u.arbitrary::<u8>()? {
        0..24 => Value::Null,
        24..80 => Value::Integer(i64::from(u.arbitrary::<u8>()?)),
        80..112 => Value::Integer(u.arbitrary()?),
        112..120 => Value::Integer(*u.choose(&[-1, 0x1_0000_0000, 999_999_999_999, 1_000_000_000_000, i64::MIN])?),
        120..128 => Value::Real(u.arbitrary()?),
        128..192 => Value::Text((*u.choose(WORDS)?).to_owned()),
        192..208 => Value::Text(u.arbitrary::<&str>()?.to_owned()),
        208..232 => {
            let id: [u8; 16] = if u.arbitrary()? { id(u.arbitrary()?).to_be_bytes() } else { u.arbitrary()? };
            Value::Blob(id.to_vec())
        }
        _ => Value::Blob(u.arbitrary::<&[u8]>()?.to_vec()),
    })
}

/// Changes bytes of the file, then opens, checks and reads it.
pub fn file(data: &[u8]) {
    let Some((how, changes)) = data.split_first() else { return };
    let mut bytes = BYTES.with(Clone::clone);
    let _ = change_bytes(&mut bytes, &mut Unstructured::new(changes));
    let mut conn = Connection::open_in_memory().unwrap();
    if conn.deserialize_read_exact("main", bytes.as_slice(), bytes.len(), false).is_err() {
        return;
    }
    let path = Path::new("fuzz.db");
    let Ok(version) = version_of(&conn, path, MIGRATIONS.len()) else { return };
    if usize::try_from(version) == Ok(MIGRATIONS.len()) && settle(&conn, version, Synchronous::Off).is_ok() {
        // Its indices may lead elsewhere than to the row that was read: nothing to compare it with.
        read(&conn, *how, false);
    }
}

fn change_bytes(bytes: &mut Vec<u8>, u: &mut Unstructured<'_>) -> Result<()> {
    while !u.is_empty() {
        let at = usize::from(u.arbitrary::<u16>()?);
        let how: u8 = u.arbitrary()?;
        match how {
            0..8 => bytes.truncate((at + 1).min(bytes.len())),
            _ => {
                let new = u.bytes(usize::from(how >> 5).min(u.len()))?;
                for (to, from) in bytes.iter_mut().skip(at).zip(new) {
                    *to = *from;
                }
            }
        }
        // The header says how many pages there are; a size that is no multiple of a page is no file.
        if bytes.is_empty() {
            bytes.push(0);
        }
    }
    Ok(())
}

/// What a start, `verify` or a look-up does; what was read of sound tables is compared with what is written of it.
fn read(conn: &Connection, how: u8, compared: bool) {
    match how % 4 {
        0 => drop(check_at_start(conn, Path::new("fuzz.db"))),
        1 => drop(verify_all(conn, &mut |_, _| {})),
        2 => {
            let Some(loaded) = load(conn).ok().filter(|_| compared) else { return };
            loaded.shop.sales.iter().for_each(|sale| writes_back(conn, sale));
            loaded.shop.returns.iter().for_each(|given| return_writes_back(conn, given));
            for session in &loaded.shop.sessions {
                let key = Value::Blob(session.id.0.to_be_bytes().to_vec());
                same_in_table(conn, &Row::of_session(session), &key, &[]);
            }
        }
        _ => {
            let n = how >> 4;
            let ticket = Ticket { epoch: Some(3), number: u32::from(n) };
            let till = TillNumber::new(7 + u16::from(n % 3)).unwrap();
            let receipt = ReceiptNumber::new(1 + u16::from(n)).unwrap();
            let found =
                [asked(conn, SaleId(id(n))), asked_under(conn, till, &ticket), newest_with(conn, till, receipt)];
            for found in found.into_iter().flatten().flatten().filter(|_| compared) {
                match found {
                    Asked::Sale(sale) => writes_back(conn, &sale),
                    Asked::Return(given) => return_writes_back(conn, &given),
                }
            }
            let of_attempt = sale_of_attempt(conn, AttemptId(id(n) + 1)).ok().flatten();
            let paid = paid_by(conn, SessionId(id(200))).unwrap_or_default();
            of_attempt.iter().chain(&paid).filter(|_| compared).for_each(|sale| writes_back(conn, sale));
        }
    }
}

/// A sale that was read is written as the rows that it was read from.
fn writes_back(conn: &Connection, sale: &Sale) {
    let id = |id: u128| Value::Blob(id.to_be_bytes().to_vec());
    same_in_table(conn, &Row::of_sale(sale, true), &id(sale.id.0), &["open"]);
    for attempt in &sale.attempts {
        same_in_table(conn, &Row::of_attempt(sale.id, attempt), &id(attempt.id.0), &[]);
    }
    for refund in &sale.refunds {
        same_in_table(conn, &Row::of_refund(sale.id, refund), &id(refund.id.0), &[]);
    }
}

fn return_writes_back(conn: &Connection, given: &Return) {
    let key = Value::Blob(given.id.0.to_be_bytes().to_vec());
    same_in_table(conn, &Row::of_return(given, true), &key, &["open"]);
}

fn same_in_table(conn: &Connection, row: &Row, key: &Value, left_out: &[&str]) {
    let sql = format!("SELECT {} FROM {} WHERE id = ?1", row.table.columns.join(", "), row.table.name);
    let mut statement = conn.prepare_cached(&sql).unwrap();
    let mut rows = statement.query([key]).unwrap();
    // A damaged index finds other rows than the table has.
    let Ok(Some(stored)) = rows.next() else { return };
    for (at, (column, written)) in row.table.columns.iter().zip(&row.values).enumerate() {
        let there: Value = stored.get_ref(at).unwrap_or(ValueRef::Null).try_into().unwrap_or(Value::Null);
        assert!(
            left_out.contains(column) || there == *written,
            "{column} of {}: {there:?}, not {written:?}",
            row.table.name
        );
    }
}

fn id(n: u8) -> u128 {
    (u128::from(n) + 1) << 100
}

/// Sales in every state, with attempts and refunds in every state.
fn sales() -> Vec<Sale> {
    let session = SessionId(id(200));
    let (until, wall) = (Mono(90_000), Some(Wall(1_800_000_000_000)));
    let since = Now { boot: BootId(id(90)), mono: Mono(5), wall };
    let winner = AttemptId(id(4) + 1);
    let states = [
        SaleState::Waiting,
        SaleState::Offered { session, until },
        SaleState::Paying { session, back_by: None },
        SaleState::Aborting { session, why: AbortWhy::Till, until },
        SaleState::Approved { attempt: winner, telling: Telling::TakeLater { at: Mono(7), times: 2 } },
        SaleState::Declined { why: DeclinedWhy::Failed(Reason::NoFunds), telling: Telling::Taken },
        SaleState::Declined { why: DeclinedWhy::Customer, telling: Telling::NoChannel },
        SaleState::Cancelled { why: CancelledWhy::PowerCut, telling: Telling::Unheard { refund_at: Some(Mono(9)) } },
        SaleState::Lapsed { telling: Telling::Rejected },
        SaleState::Paying { session, back_by: Some(Mono(8)) },
    ];
    let refunds = [
        RefundState::Intent { doubt: Some(since) },
        RefundState::Accepted,
        RefundState::Done,
        RefundState::Refused,
        RefundState::Intent { doubt: None },
    ];
    let person = NeedsPerson { why: NeedsPersonWhy::RefundRefused, since: wall };
    let amount = Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap();
    let mut all = Vec::new();
    for (n, (state, attempt)) in (0_u8..).zip(states.into_iter().zip(attempts(since))) {
        let attempt = Attempt {
            number: 1,
            version: 4,
            tries: u32::from(n),
            last_failure: (n % 2 == 0).then_some(TryFailure { reason: Reason::NoFunds, at: wall }),
            paid_minor: if n == 4 || n == 7 { 1_250 } else { 0 },
            checked: n % 3 == 0,
            needs_person: (n == 7).then_some(person),
            state: attempt,
            ..Attempt::new(AttemptId(id(n) + 1), 1, session, 90)
        };
        let refund = Refund {
            id: RefundId(id(n) + 2),
            attempt: attempt.id,
            amount,
            why: RefundWhy::Loser,
            state: refunds[usize::from(n) % 5],
            needs_person: (n % 5 == 3).then_some(person),
            booked: (n != 7).then_some(100 + u64::from(n)),
        };
        all.push(Sale {
            id: SaleId(id(n)),
            till: TillNumber::new(7 + u16::from(n % 3)).unwrap(),
            ticket: (n != 3).then_some(Ticket { epoch: (n != 2).then_some(3), number: u32::from(n) }),
            amount,
            code: Code::from_bits(u128::from(n)),
            asked_at: wall,
            ticket_at: wall,
            ended_at: state.outcome().and(wall),
            receipt: ReceiptNumber::new(u16::from(n) + 1),
            booked: state.outcome().map(|_| u64::from(n) + 1),
            boot: BootId(id(90)),
            ends: Mono(120_000),
            hears_result: true,
            state,
            attempts: vec![attempt],
            refunds: if n == 4 || n == 7 || n == 8 { vec![refund] } else { Vec::new() },
        });
    }
    all
}

/// Returns in every state, of the one sale that is paid.
fn returns() -> Vec<Return> {
    let (session, wall) = (SessionId(id(200)), Some(Wall(1_800_000_000_000)));
    let asked = Amount::from_minor(500, Currency::from_code("EUR").unwrap()).unwrap();
    let back = Back { sale: SaleId(id(4)), attempt: AttemptId(id(4) + 1), refund: RefundId(id(4) + 2), amount: asked };
    let ticket = |number| Ticket { epoch: Some(3), number };
    let refused = DeclinedWhy::Refused(Reason::NotAllowed);
    let states = [
        ReturnState::Choosing { session, until: Mono(90_000) },
        ReturnState::Sending { back },
        ReturnState::Returned { back, pending: true, telling: Telling::Telling { put_off: 1 } },
        ReturnState::Returned { back, pending: false, telling: Telling::Taken },
        ReturnState::Declined { why: refused, back: Some(back), telling: Telling::Taken },
        ReturnState::Declined { why: DeclinedWhy::Customer, back: None, telling: Telling::Taken },
        ReturnState::Cancelled { why: CancelledWhy::Till, telling: Telling::Taken },
        ReturnState::Lapsed { telling: Telling::Unheard { refund_at: None } },
    ];
    let named = [None, Some(Of::Ticket(ticket(4))), ReceiptNumber::new(5).map(Of::Receipt)];
    let all = (40_u8..).zip(states).map(|(n, state)| Return {
        id: SaleId(id(n)),
        till: TillNumber::new(7 + u16::from(n % 3)).unwrap(),
        ticket: (n % 2 == 0).then_some(ticket(u32::from(n))),
        receipt: ReceiptNumber::new(u16::from(n)).unwrap(),
        kind: if n % 2 == 0 { ReturnKind::Refund } else { ReturnKind::Reverse },
        named: named[usize::from(n) % 3],
        asked,
        code: Code::from_bits(u128::from(n)),
        asked_at: wall,
        ticket_at: wall,
        ended_at: state.outcome().and(wall),
        booked: state.outcome().map(|_| u64::from(n)),
        boot: BootId(id(90)),
        ends: Mono(120_000),
        hears_result: true,
        state,
    });
    all.collect()
}

/// An attempt in every state, one for each sale.
fn attempts(since: Now) -> [AttemptState; 10] {
    let (until, wall) = (Mono(90_000), since.wall);
    let link = Link::new("https://pay.example/c/1").unwrap();
    [
        AttemptState::Intent { doubt: None },
        AttemptState::Intent { doubt: Some(since) },
        AttemptState::Open { link: link.clone(), until, doubt: None },
        AttemptState::Open { link, until, doubt: Some(since) },
        AttemptState::Paid { at: wall, right: true },
        AttemptState::Closed(ClosedWhy::Failed(Reason::Other)),
        AttemptState::Closed(ClosedWhy::NeverBorn),
        AttemptState::Paid { at: None, right: false },
        AttemptState::Closed(ClosedWhy::Cancelled),
        AttemptState::Closed(ClosedWhy::Expired),
    ]
}

fn visit() -> Session {
    let till = TillNumber::new(7).unwrap();
    Session {
        id: SessionId(id(200)),
        place: Place { ip: [10, 0, 0, 1].into(), mac: Some([1, 2, 3, 4, 5, 6]) },
        boot: BootId(id(90)),
        until: Mono(9),
        pairing: Some(Pairing { till, since: Mono(3), until: Mono(8) }),
        sale: Some(SaleId(id(2))),
        online_until: Some(Mono(7)),
    }
}

fn records(sale: &Sale, open: bool) -> Vec<Record> {
    let bare = Sale { attempts: Vec::new(), refunds: Vec::new(), ..sale.clone() };
    let mut all = vec![Record::Sale { sale: Box::new(bare), open }];
    all.extend(sale.attempts.iter().map(|a| Record::Attempt { sale: sale.id, attempt: Box::new(a.clone()) }));
    all.extend(sale.refunds.iter().map(|r| Record::Refund { sale: sale.id, refund: r.clone() }));
    all.extend(sale.ticket.map(|ticket| Record::Ticket { till: sale.till, ticket, sale: sale.id }));
    all
}
