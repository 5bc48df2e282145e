//! The journal: what a record looks like there, and the chain of hashes. Runs no statement.

use super::row::{Row, Table};
use crate::shop::effect::Alarm;
use crate::shop::time::Wall;
use ring::digest::{Context, SHA256};
use rusqlite::types::Value;
use std::fmt::Write;

/// SHA-256 over the row before and this one.
pub(super) type Hash = [u8; 32];

/// What stands before the first row.
pub(super) const FIRST: Hash = [0; 32];

/// Columns that identify a phone or let somebody pay: they never enter the journal, which is kept for ever.
const LEFT_OUT: &[&str] = &["id", "link", "ip", "mac"];

/// Columns of which the journal has the first eight hexadecimal digits only.
const SHORTENED: &[&str] = &["session", "boot", "doubt_boot"];

/// A row of the journal, not yet chained.
#[derive(Debug)]
pub(super) struct Entry {
    /// What it is about: a table's `kind`, or `session-ended`, `cursor`, `alarm`.
    pub(super) kind: &'static str,
    /// The id of what it is about; a session's first eight digits; `TILL/EPOCH/NUMBER` for a ticket.
    pub(super) id: String,
    /// The whole row, as `column=value` words. Deterministic.
    pub(super) body: String,
}

impl Entry {
    /// The copy of a row.
    pub(super) fn of_row(row: &Row) -> Entry {
        Entry { kind: row.table.kind, id: row_id(row.table, &row.values), body: row_body(row.table, &row.values) }
    }

    /// An alarm: which, about what.
    pub(super) fn of_alarm(alarm: &Alarm) -> Entry {
        let (body, id) = match alarm {
            Alarm::Unheard { sale } => ("unheard", sale.to_string()),
            Alarm::WrongPayment { attempt } => ("wrong-payment", attempt.to_string()),
            Alarm::OddAnswer { attempt } => ("odd-answer", attempt.to_string()),
            Alarm::LatePayment { attempt } => ("late-payment", attempt.to_string()),
            Alarm::RefundRefused { refund } => ("refund-refused", refund.to_string()),
            Alarm::DoubtTooLong { attempt } => ("doubt-too-long", attempt.to_string()),
        };
        Entry { kind: "alarm", id, body: body.to_owned() }
    }
}

/// The hash of row `seq` after a row with the hash `before`.
pub(super) fn chain(before: &Hash, seq: i64, wall: Option<Wall>, kind: &str, id: &str, body: &str) -> Hash {
    let wall = wall.map_or_else(|| "-".to_owned(), |w| w.0.to_string());
    let mut digest = Context::new(&SHA256);
    digest.update(before);
    // The body stands last: no other field can hold a line end, so two different rows never have the same bytes.
    digest.update(format!("{seq}\n{wall}\n{kind}\n{id}\n{body}").as_bytes());
    let mut hash = FIRST;
    for (to, from) in hash.iter_mut().zip(digest.finish().as_ref()) {
        *to = *from;
    }
    hash
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len().saturating_mul(2)), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The journal's name for a row.
pub(super) fn row_id(table: &Table, values: &[Value]) -> String {
    let mut words = Vec::new();
    for (column, value) in table.columns.iter().zip(values) {
        if table.key.contains(column) {
            words.push(match value {
                Value::Blob(bytes) if table.kind == "session" => short(bytes),
                Value::Integer(-1) => "-".to_owned(),
                Value::Blob(_) | Value::Null | Value::Integer(_) | Value::Real(_) | Value::Text(_) => text_of(value),
            });
        }
    }
    words.join("/")
}

/// The journal's copy of a row, from its values in the order of the table's columns.
pub(super) fn row_body(table: &Table, values: &[Value]) -> String {
    let mut body = String::with_capacity(192);
    for (column, value) in table.columns.iter().zip(values) {
        if *value == Value::Null || LEFT_OUT.contains(column) {
            continue;
        }
        let text = match value {
            Value::Blob(bytes) if SHORTENED.contains(column) => short(bytes),
            Value::Blob(_) | Value::Null | Value::Integer(_) | Value::Real(_) | Value::Text(_) => text_of(value),
        };
        let gap = if body.is_empty() { "" } else { " " };
        let _ = write!(body, "{gap}{column}={text}");
    }
    body
}

fn short(bytes: &[u8]) -> String {
    hex(bytes.get(..4).unwrap_or(bytes))
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hex(bytes),
    }
}
