//! Sales, returns, attempts, refunds, tickets, days and sessions as rows of the store: which state fills which columns. Runs no statement;
//! `cells.rs` is the way back.

use super::words::{Word, closed_words, declined_words};
use crate::shop::attempt::{Attempt, AttemptState, NeedsPerson, Refund, RefundState, Since};
use crate::shop::event::{Of, Ticket, TillNumber};
use crate::shop::giveback::{Return, ReturnState};
use crate::shop::id::SaleId;
use crate::shop::sale::{Sale, SaleState, Telling};
use crate::shop::session::Session;
use crate::shop::time::Wall;
use rusqlite::types::Value;

/// A table that holds the newest state of something, written whole each time.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// What its rows are called in the journal.
    pub(super) kind: &'static str,
    /// The columns that say which row it is.
    pub(super) key: &'static [&'static str],
    /// Columns that a row keeps for ever.
    pub(super) fixed: &'static [&'static str],
    /// All columns that are written, `seq` excepted.
    pub(super) columns: &'static [&'static str],
}

/// The sales, and the returns among them.
pub(super) const SALES: Table = Table {
    name: "sales",
    kind: "sale",
    key: &["id"],
    fixed: &["till", "minor", "currency", "asked_at", "receipt", "kind"],
    columns: &[
        "id",
        "open",
        "till",
        "ticket_epoch",
        "ticket",
        "minor",
        "currency",
        "code",
        "asked_at",
        "ticket_at",
        "ended_at",
        "boot",
        "ends",
        "hears_result",
        "state",
        "session",
        "until",
        "why",
        "reason",
        "attempt",
        "telling",
        "tell_at",
        "tell_times",
        "receipt",
        "booked",
        "kind",
        "named_epoch",
        "named_ticket",
        "named_receipt",
        "back_of",
        "back_refund",
        "back_minor",
        "pending",
    ],
};

/// The attempts.
pub(super) const ATTEMPTS: Table = Table {
    name: "attempts",
    kind: "attempt",
    key: &["id"],
    fixed: &["sale", "number", "session"],
    columns: &[
        "id",
        "sale",
        "number",
        "session",
        "expires_secs",
        "state",
        "link",
        "until",
        "doubt_boot",
        "doubt_since",
        "doubt_at",
        "paid_at",
        "paid_right",
        "why",
        "reason",
        "version",
        "tries",
        "failure",
        "failure_at",
        "paid_minor",
        "checked",
        "person_why",
        "person_at",
    ],
};

/// The refunds.
pub(super) const REFUNDS: Table = Table {
    name: "refunds",
    kind: "refund",
    key: &["id"],
    fixed: &["sale", "attempt", "minor", "currency", "booked"],
    columns: &[
        "id",
        "sale",
        "attempt",
        "minor",
        "currency",
        "why",
        "state",
        "doubt_boot",
        "doubt_since",
        "doubt_at",
        "person_why",
        "person_at",
        "booked",
    ],
};

/// Where the tills closed their days.
pub(super) const DAYS: Table =
    Table { name: "days", kind: "day", key: &["till"], fixed: &[], columns: &["till", "mark"] };

/// The tickets.
pub(super) const TICKETS: Table = Table {
    name: "tickets",
    kind: "ticket",
    key: &["till", "epoch", "ticket"],
    fixed: &[],
    columns: &["till", "epoch", "ticket", "sale"],
};

/// The sessions.
pub(super) const SESSIONS: Table = Table {
    name: "sessions",
    kind: "session",
    key: &["id"],
    fixed: &[],
    columns: &["id", "ip", "mac", "boot", "until", "pair_till", "pair_since", "pair_until", "sale", "online_until"],
};

/// A row on its way to its table: one value for each of `Table::columns`.
#[derive(Debug)]
pub(super) struct Row {
    /// Where it goes.
    pub(super) table: &'static Table,
    /// Its values, in the order of the table's columns.
    pub(super) values: Vec<Value>,
}

impl Row {
    fn new(table: &'static Table) -> Row {
        Row { table, values: vec![Value::Null; table.columns.len()] }
    }

    fn put(&mut self, column: &str, value: impl Into<Value>) {
        let at = self.table.columns.iter().position(|c| *c == column);
        debug_assert!(at.is_some(), "{} has no column {column}", self.table.name);
        if let Some(cell) = at.and_then(|at| self.values.get_mut(at)) {
            *cell = value.into();
        }
    }

    fn put_id(&mut self, column: &str, id: u128) {
        self.put(column, id.to_be_bytes().to_vec());
    }

    fn put_word(&mut self, column: &str, word: &str) {
        self.put(column, word.to_owned());
    }

    fn put_wall(&mut self, column: &str, wall: Option<Wall>) {
        self.put(column, wall.map(|w| w.0));
    }

    /// All 64 bits, so that any value comes back as it was.
    fn put_bits(&mut self, column: &str, bits: u64) {
        self.put(column, bits.cast_signed());
    }

    fn put_booked(&mut self, booked: Option<u64>) {
        self.put("booked", booked.map(u64::cast_signed));
    }

    fn put_doubt(&mut self, doubt: Option<Since>) {
        if let Some(since) = doubt {
            self.put_id("doubt_boot", since.boot.0);
            self.put_bits("doubt_since", since.mono.0);
            self.put_wall("doubt_at", since.wall);
        }
    }

    fn put_person(&mut self, needs_person: Option<NeedsPerson>) {
        if let Some(person) = needs_person {
            self.put_word("person_why", person.why.word());
            self.put_wall("person_at", person.since);
        }
    }

    fn put_telling(&mut self, telling: Telling) {
        let word = match telling {
            Telling::Telling { put_off: 0 } => "telling",
            Telling::Telling { put_off } => {
                self.put("tell_times", put_off);
                "telling"
            }
            Telling::TakeLater { at, times } => {
                self.put_bits("tell_at", at.0);
                self.put("tell_times", times);
                "take-later"
            }
            Telling::Taken => "taken",
            Telling::Rejected => "rejected",
            Telling::Unheard { refund_at } => {
                self.put("tell_at", refund_at.map(|at| at.0.cast_signed()));
                "unheard"
            }
            Telling::NoChannel => "no-channel",
        };
        self.put_word("telling", word);
    }

    /// A sale, without its attempts and refunds.
    pub(super) fn of_sale(sale: &Sale, open: bool) -> Row {
        let mut row = Row::new(&SALES);
        row.put_id("id", sale.id.0);
        row.put("open", open);
        row.put("till", sale.till.number());
        row.put("ticket_epoch", sale.ticket.and_then(|t| t.epoch));
        row.put("ticket", sale.ticket.map(|t| t.number));
        row.put_bits("minor", sale.amount.minor());
        row.put_word("currency", sale.amount.currency().code());
        row.put("code", sale.code.to_string());
        row.put_wall("asked_at", sale.asked_at);
        row.put_wall("ticket_at", sale.ticket_at);
        row.put_wall("ended_at", sale.ended_at);
        row.put_id("boot", sale.boot.0);
        row.put_bits("ends", sale.ends.0);
        row.put("hears_result", sale.hears_result);
        row.put("receipt", sale.receipt.map(|r| r.number()));
        row.put_booked(sale.booked);
        row.put_sale_state(&sale.state);
        row
    }

    /// A return.
    pub(super) fn of_return(given: &Return, open: bool) -> Row {
        let mut row = Row::new(&SALES);
        row.put_id("id", given.id.0);
        row.put("open", open);
        row.put("till", given.till.number());
        row.put("ticket_epoch", given.ticket.and_then(|t| t.epoch));
        row.put("ticket", given.ticket.map(|t| t.number));
        row.put_bits("minor", given.asked.minor());
        row.put_word("currency", given.asked.currency().code());
        row.put("code", given.code.to_string());
        row.put_wall("asked_at", given.asked_at);
        row.put_wall("ticket_at", given.ticket_at);
        row.put_wall("ended_at", given.ended_at);
        row.put_id("boot", given.boot.0);
        row.put_bits("ends", given.ends.0);
        row.put("hears_result", given.hears_result);
        row.put("receipt", given.receipt.number());
        row.put_booked(given.booked);
        row.put_word("kind", given.kind.word());
        match given.named {
            None => {}
            Some(Of::Ticket(ticket)) => {
                row.put("named_epoch", ticket.epoch);
                row.put("named_ticket", ticket.number);
            }
            Some(Of::Receipt(receipt)) => row.put("named_receipt", receipt.number()),
        }
        if let Some(back) = given.state.back() {
            row.put_id("back_of", back.sale.0);
            row.put_id("attempt", back.attempt.0);
            row.put_id("back_refund", back.refund.0);
            row.put_bits("back_minor", back.amount.minor());
        }
        row.put_return_state(&given.state);
        row
    }

    fn put_return_state(&mut self, state: &ReturnState) {
        match *state {
            ReturnState::Choosing { session, until } => {
                self.put_id("session", session.0);
                self.put_bits("until", until.0);
            }
            ReturnState::Sending { .. } => {}
            ReturnState::Returned { pending, telling, .. } => {
                self.put("pending", pending);
                self.put_telling(telling);
            }
            ReturnState::Declined { why, telling, .. } => {
                let (why, reason) = declined_words(why);
                self.put_word("why", why);
                self.put("reason", reason.map(|r| r.word().to_owned()));
                self.put_telling(telling);
            }
            ReturnState::Cancelled { why, telling } => {
                self.put_word("why", why.word());
                self.put_telling(telling);
            }
            ReturnState::Lapsed { telling } => self.put_telling(telling),
        }
        self.put_word("state", state.name());
    }

    fn put_sale_state(&mut self, state: &SaleState) {
        let word = match *state {
            SaleState::Waiting => "waiting",
            SaleState::Offered { session, until } => {
                self.put_id("session", session.0);
                self.put_bits("until", until.0);
                "offered"
            }
            SaleState::Paying { session, back_by } => {
                self.put_id("session", session.0);
                self.put("until", back_by.map(|at| at.0.cast_signed()));
                "paying"
            }
            SaleState::Aborting { session, why, until } => {
                self.put_id("session", session.0);
                self.put_word("why", why.word());
                self.put_bits("until", until.0);
                "aborting"
            }
            SaleState::Approved { attempt, telling } => {
                self.put_id("attempt", attempt.0);
                self.put_telling(telling);
                "approved"
            }
            SaleState::Declined { why, telling } => {
                let (why, reason) = declined_words(why);
                self.put_word("why", why);
                self.put("reason", reason.map(|r| r.word().to_owned()));
                self.put_telling(telling);
                "declined"
            }
            SaleState::Cancelled { why, telling } => {
                self.put_word("why", why.word());
                self.put_telling(telling);
                "cancelled"
            }
            SaleState::Lapsed { telling } => {
                self.put_telling(telling);
                "lapsed"
            }
        };
        self.put_word("state", word);
    }

    /// An attempt.
    pub(super) fn of_attempt(sale: SaleId, attempt: &Attempt) -> Row {
        let mut row = Row::new(&ATTEMPTS);
        row.put_id("id", attempt.id.0);
        row.put_id("sale", sale.0);
        row.put("number", attempt.number);
        row.put_id("session", attempt.session.0);
        row.put("expires_secs", attempt.expires_in_secs);
        let state = match &attempt.state {
            AttemptState::Intent { doubt } => {
                row.put_doubt(*doubt);
                "intent"
            }
            AttemptState::Open { link, until, doubt } => {
                row.put_word("link", link.as_str());
                row.put_bits("until", until.0);
                row.put_doubt(*doubt);
                "open"
            }
            AttemptState::Paid { at, right } => {
                row.put_wall("paid_at", *at);
                row.put("paid_right", *right);
                "paid"
            }
            AttemptState::Closed(why) => {
                let (why, reason) = closed_words(*why);
                row.put_word("why", why);
                row.put("reason", reason.map(|r| r.word().to_owned()));
                "closed"
            }
        };
        row.put_word("state", state);
        row.put_bits("version", attempt.version);
        row.put("tries", attempt.tries);
        if let Some(failure) = attempt.last_failure {
            row.put_word("failure", failure.reason.word());
            row.put_wall("failure_at", failure.at);
        }
        row.put_bits("paid_minor", attempt.paid_minor);
        row.put("checked", attempt.checked);
        row.put_person(attempt.needs_person);
        row
    }

    /// A refund.
    pub(super) fn of_refund(sale: SaleId, refund: &Refund) -> Row {
        let mut row = Row::new(&REFUNDS);
        row.put_id("id", refund.id.0);
        row.put_id("sale", sale.0);
        row.put_id("attempt", refund.attempt.0);
        row.put_bits("minor", refund.amount.minor());
        row.put_word("currency", refund.amount.currency().code());
        row.put_word("why", refund.why.word());
        let state = match refund.state {
            RefundState::Intent { doubt } => {
                row.put_doubt(doubt);
                "intent"
            }
            RefundState::Accepted => "accepted",
            RefundState::Done => "done",
            RefundState::Refused => "refused",
        };
        row.put_word("state", state);
        row.put_person(refund.needs_person);
        row.put_booked(refund.booked);
        row
    }

    /// Where a till closed its day.
    pub(super) fn of_day(till: TillNumber, mark: u64) -> Row {
        let mut row = Row::new(&DAYS);
        row.put("till", till.number());
        row.put_bits("mark", mark);
        row
    }

    /// What a ticket means from now on.
    pub(super) fn of_ticket(till: TillNumber, ticket: &Ticket, sale: SaleId) -> Row {
        let mut row = Row::new(&TICKETS);
        row.put("till", till.number());
        row.put("epoch", epoch_cell(ticket));
        row.put("ticket", ticket.number);
        row.put_id("sale", sale.0);
        row
    }

    /// A visit.
    pub(super) fn of_session(session: &Session) -> Row {
        let mut row = Row::new(&SESSIONS);
        row.put_id("id", session.id.0);
        row.put("ip", session.place.ip.to_string());
        row.put("mac", session.place.mac.map(|mac| mac.to_vec()));
        row.put_id("boot", session.boot.0);
        row.put_bits("until", session.until.0);
        if let Some(pairing) = session.pairing {
            row.put("pair_till", pairing.till.number());
            row.put_bits("pair_since", pairing.since.0);
            row.put_bits("pair_until", pairing.until.0);
        }
        row.put("sale", session.sale.map(|s| s.0.to_be_bytes().to_vec()));
        if let Some(until) = session.online_until {
            row.put_bits("online_until", until.0);
        }
        row
    }
}

/// The column `epoch` of a ticket: -1 without one.
pub(super) fn epoch_cell(ticket: &Ticket) -> i64 {
    ticket.epoch.map_or(-1, i64::from)
}
