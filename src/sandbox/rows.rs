//! How payments lie in the books: the row as a value, and the statements that read and write it. Decides nothing.

use super::payment::Book;
use super::wire::{CreateBody, Money};
use rusqlite::{OptionalExtension, Row, params};

type Done<T> = Result<T, rusqlite::Error>;

/// Status of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Awaiting,
    Processing,
    Paid,
    Failed,
    Expired,
    Cancelled,
}

impl Status {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Status::Awaiting => "awaiting",
            Status::Processing => "processing",
            Status::Paid => "paid",
            Status::Failed => "failed",
            Status::Expired => "expired",
            Status::Cancelled => "cancelled",
        }
    }

    fn parse(text: &str) -> Option<Status> {
        use Status::{Awaiting, Cancelled, Expired, Failed, Paid, Processing};
        [Awaiting, Processing, Paid, Failed, Expired, Cancelled].into_iter().find(|s| s.as_str() == text)
    }

    pub(super) fn is_final(self) -> bool {
        match self {
            Status::Awaiting | Status::Processing => false,
            Status::Paid | Status::Failed | Status::Expired | Status::Cancelled => true,
        }
    }
}

/// A payment as it is in the books.
#[derive(Clone, Debug)]
pub(super) struct Payment {
    pub(super) id: String,
    pub(super) asked: CreateBody,
    pub(super) token: String,
    pub(super) version: u64,
    pub(super) status: Status,
    pub(super) reason: Option<String>,
    pub(super) tries: u32,
    pub(super) failure: Option<(String, i64)>,
    pub(super) paid: u64,
    pub(super) refunded: u64,
    pub(super) created_at: i64,
    pub(super) expires_at: i64,
    pub(super) paid_at: Option<i64>,
    pub(super) account: Option<String>,
    pub(super) due_at: Option<i64>,
    pub(super) change: i64,
}

/// A refund as it is in the books.
#[derive(Clone, Debug)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) payment: String,
    pub(super) amount: Money,
    pub(super) status: String,
    pub(super) reason: Option<String>,
}

impl Book<'_> {
    pub(super) fn load(&self, which: &str, key: &str) -> Done<Option<Payment>> {
        self.tx.query_row(&format!("{SELECT} WHERE {which}"), [key], from_row).optional()
    }

    pub(super) fn load_all(&self, which: &str, key: i64) -> Done<Vec<Payment>> {
        let mut found = self.tx.prepare(&format!("{SELECT} WHERE {which}"))?;
        found.query_map([key], from_row)?.collect()
    }

    /// Writes a payment as it is from now on: its version and its place in the list of changes rise.
    pub(super) fn save(&self, payment: &mut Payment) -> Done<()> {
        payment.version = payment.version.saturating_add(1);
        let next = "SELECT coalesce(max(change), 0) + 1 FROM payment";
        payment.change = self.tx.query_row(next, [], |row| row.get(0))?;
        let failure = payment.failure.as_ref();
        self.tx
            .execute(
                "INSERT OR REPLACE INTO payment VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
                  ?23, ?24, ?25)",
                params![
                    payment.id,
                    payment.asked.sale,
                    payment.asked.till,
                    payment.asked.shop,
                    payment.asked.amount.value,
                    payment.asked.amount.currency,
                    payment.asked.amount.exponent,
                    payment.asked.code,
                    payment.asked.return_url,
                    payment.asked.expires_in,
                    payment.token,
                    payment.version,
                    payment.status.as_str(),
                    payment.reason,
                    payment.tries,
                    failure.map(|f| &f.0),
                    failure.map(|f| f.1),
                    payment.paid,
                    payment.refunded,
                    payment.created_at,
                    payment.expires_at,
                    payment.paid_at,
                    payment.account,
                    payment.due_at,
                    payment.change,
                ],
            )
            .map(|_| ())
    }
}

const SELECT: &str =
    "SELECT id, sale, till, shop, amount, currency, exponent, code, return_url, expires_in_asked, token,
  version, status, reason, tries, failure_code, failure_at, paid, refunded, created_at, expires_at, paid_at, account,
  due_at, change FROM payment";

fn from_row(row: &Row<'_>) -> Done<Payment> {
    let status: String = row.get(12)?;
    let failure: (Option<String>, Option<i64>) = (row.get(15)?, row.get(16)?);
    Ok(Payment {
        id: row.get(0)?,
        asked: CreateBody {
            sale: row.get(1)?,
            till: row.get(2)?,
            shop: row.get(3)?,
            amount: Money { value: row.get(4)?, currency: row.get(5)?, exponent: row.get(6)? },
            code: row.get(7)?,
            return_url: row.get(8)?,
            expires_in: row.get(9)?,
        },
        token: row.get(10)?,
        version: row.get(11)?,
        status: Status::parse(&status).ok_or(rusqlite::Error::InvalidQuery)?,
        reason: row.get(13)?,
        tries: row.get(14)?,
        failure: failure.0.zip(failure.1),
        paid: row.get(17)?,
        refunded: row.get(18)?,
        created_at: row.get(19)?,
        expires_at: row.get(20)?,
        paid_at: row.get(21)?,
        account: row.get(22)?,
        due_at: row.get(23)?,
        change: row.get(24)?,
    })
}
