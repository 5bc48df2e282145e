//! What a payment does at the sandbox: created, signed in for, paid, closed, given back. Each function is one step in
//! one transaction.

use super::books::{Times, password_hash, random};
use super::fault::Faults;
use super::rows::{Payment, Refund, Status};
use super::wire::{CreateBody, Money};
use rusqlite::{OptionalExtension, Row, Transaction, params};

/// Wrong passwords that end a payment.
pub(super) const TRIES_MAX: u32 = 3;
/// Payments on one page of the list.
pub(super) const PAGE_MAX: usize = 200;
/// Greatest amount taken, in minor units of any currency.
pub(super) const AMOUNT_MAX: u64 = 10_000_000;

/// What is found under an id.
pub(super) enum Found {
    Payment(Box<Payment>),
    /// It was closed before it was created, or refused with this code.
    Tombstone(String),
    Nothing,
}

/// What became of a create.
pub(super) enum Created {
    New(Box<Payment>),
    Same(Box<Payment>),
    Conflict,
    /// Never will be: `tombstone`, or the code of the refusal.
    Never(String),
    /// The fault switch said so once.
    StoredError,
}

/// What became of a refund.
pub(super) enum Given {
    New(Refund),
    Same(Refund),
    Conflict,
    NoPayment(Found),
}

/// The books within one transaction.
pub(super) struct Book<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) faults: &'a mut Faults,
    pub(super) times: Times,
    pub(super) now_ms: i64,
}

type Done<T> = Result<T, rusqlite::Error>;

impl Book<'_> {
    pub(super) fn create(&mut self, id: &str, asked: CreateBody) -> Done<Created> {
        match self.find(id)? {
            Found::Payment(there) if there.asked == asked => return Ok(Created::Same(there)),
            Found::Payment(_) => return Ok(Created::Conflict),
            Found::Tombstone(code) => return Ok(Created::Never(code)),
            Found::Nothing => (),
        }
        if self.exists("SELECT EXISTS (SELECT 1 FROM stored_error WHERE id = ?1)", id)? {
            return Ok(Created::StoredError);
        }
        if !(1..=AMOUNT_MAX).contains(&asked.amount.value) {
            return self.bury(id, "amount_not_allowed").map(Created::Never);
        }
        if !super::wire::CURRENCIES.contains(&(asked.amount.currency.as_str(), asked.amount.exponent)) {
            return self.bury(id, "currency_not_allowed").map(Created::Never);
        }
        let secs = asked.expires_in.clamp(self.times.expires_in_min_secs, self.times.expires_in_max_secs);
        let token: [u8; 16] = random();
        let mut payment = Payment {
            id: id.to_owned(),
            asked,
            token: token.iter().map(|b| format!("{b:02x}")).collect(),
            version: 0,
            status: Status::Awaiting,
            reason: None,
            tries: 0,
            failure: None,
            paid: 0,
            refunded: 0,
            created_at: self.now_ms,
            expires_at: self.now_ms.saturating_add(i64::from(secs).saturating_mul(1_000)),
            paid_at: None,
            account: None,
            due_at: None,
            change: 0,
        };
        self.save(&mut payment)?;
        Ok(Created::New(Box::new(payment)))
    }

    /// From now on every create under this id is answered 500.
    pub(super) fn store_error(&mut self, id: &str) -> Done<()> {
        self.tx.execute("INSERT OR IGNORE INTO stored_error VALUES (?1)", [id]).map(|_| ())
    }

    pub(super) fn find(&self, id: &str) -> Done<Found> {
        if let Some(payment) = self.load("id = ?1", id)? {
            return Ok(Found::Payment(Box::new(payment)));
        }
        let code = self.tx.query_row("SELECT code FROM tombstone WHERE id = ?1", [id], |row| row.get(0)).optional()?;
        Ok(code.map_or(Found::Nothing, Found::Tombstone))
    }

    pub(super) fn by_token(&self, token: &str) -> Done<Option<Payment>> {
        self.load("token = ?1", token)
    }

    /// Closes a payment that is open, and leaves a tombstone where there is none. With a refund id: if it is paid, all
    /// that is left of it goes back under that id.
    pub(super) fn cancel(&mut self, id: &str, refund: Option<&str>) -> Done<Found> {
        let mut payment = match self.find(id)? {
            Found::Payment(payment) => payment,
            Found::Nothing => return self.bury(id, "tombstone").map(Found::Tombstone),
            Found::Tombstone(code) => return Ok(Found::Tombstone(code)),
        };
        if !payment.status.is_final() {
            self.close(&mut payment, Status::Cancelled, "shop")?;
        } else if let (Status::Paid, Some(refund)) = (payment.status, refund) {
            let amount = Money { value: self.left_of(&payment)?, ..payment.asked.amount.clone() };
            if amount.value > 0 {
                self.refund(id, refund, amount)?;
            }
        }
        self.find(id)
    }

    pub(super) fn refund(&mut self, id: &str, refund: &str, amount: Money) -> Done<Given> {
        if let Some(there) = self.find_refund(refund)? {
            let same = there.payment == id && there.amount == amount;
            return Ok(if same { Given::Same(there) } else { Given::Conflict });
        }
        let mut payment = match self.find(id)? {
            Found::Payment(payment) => payment,
            found @ (Found::Tombstone(_) | Found::Nothing) => return Ok(Given::NoPayment(found)),
        };
        let same_currency =
            (&amount.currency, amount.exponent) == (&payment.asked.amount.currency, payment.asked.amount.exponent);
        let fits = same_currency && (1..=self.left_of(&payment)?).contains(&amount.value);
        let slow = payment.account.as_deref() == Some("slow");
        let (status, reason) = match (fits, slow) {
            (false, _) => ("refused", Some("too_much")),
            (true, true) => ("accepted", None),
            (true, false) => ("done", None),
        };
        let due = (status == "accepted").then(|| plus(self.now_ms, self.times.slow_ms));
        self.tx.execute(
            "INSERT INTO refund VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![refund, id, amount.value, amount.currency, amount.exponent, status, reason, self.now_ms, due],
        )?;
        if status == "done" {
            self.give_back(&mut payment, refund, amount.value)?;
        }
        Ok(Given::New(Refund {
            id: refund.to_owned(),
            payment: id.to_owned(),
            amount,
            status: status.to_owned(),
            reason: reason.map(str::to_owned),
        }))
    }

    pub(super) fn find_refund(&self, id: &str) -> Done<Option<Refund>> {
        let sql = "SELECT id, payment, amount, currency, exponent, status, reason FROM refund WHERE id = ?1";
        let read = |row: &Row<'_>| {
            Ok(Refund {
                id: row.get(0)?,
                payment: row.get(1)?,
                amount: Money { value: row.get(2)?, currency: row.get(3)?, exponent: row.get(4)? },
                status: row.get(5)?,
                reason: row.get(6)?,
            })
        };
        self.tx.query_row(sql, [id], read).optional()
    }

    /// One page of what changed after `since`, and whether there is more.
    pub(super) fn page(&self, since: i64) -> Done<(Vec<Payment>, bool)> {
        let mut found = self.load_all("change > ?1 ORDER BY change LIMIT 201", since)?;
        let more = found.len() > PAGE_MAX;
        found.truncate(PAGE_MAX);
        Ok((found, more))
    }

    /// The newest payments, for the admin page.
    pub(super) fn newest(&self) -> Done<Vec<Payment>> {
        self.load_all("change > ?1 ORDER BY created_at DESC, change DESC LIMIT 200", 0)
    }

    /// Each account's name, and what is on it in this currency.
    pub(super) fn balances(&self, currency: &str) -> Done<Vec<(String, i64)>> {
        let mut names = self.tx.prepare("SELECT name FROM account ORDER BY name")?;
        let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Done<_>>()?;
        names.into_iter().map(|name| Ok((name.clone(), self.balance(&name, currency)?))).collect()
    }

    /// The customer signs in and pays. A payment that is not awaiting stays as it is.
    pub(super) fn sign_in(&mut self, token: &str, account: &str, password: &str) -> Done<()> {
        let Some(mut payment) = self.by_token(token)?.filter(|p| p.status == Status::Awaiting) else {
            return Ok(());
        };
        if !self.knows(account, password)? {
            payment.tries = payment.tries.saturating_add(1);
            payment.failure = Some(("wrong_password".to_owned(), self.now_ms));
            return match payment.tries >= TRIES_MAX {
                true => self.close(&mut payment, Status::Failed, "too_many_tries"),
                false => self.save(&mut payment),
            };
        }
        payment.account = Some(account.to_owned());
        let amount = payment.asked.amount.value;
        let takes = if account == "twice" { amount.saturating_mul(2) } else { amount };
        let has = u64::try_from(self.balance(account, &payment.asked.amount.currency)?).unwrap_or(0);
        if has < takes {
            payment.tries = payment.tries.saturating_add(1);
            payment.failure = Some(("no_funds".to_owned(), self.now_ms));
            return self.close(&mut payment, Status::Failed, "no_funds");
        }
        match account {
            "slow" => {
                payment.status = Status::Processing;
                payment.due_at = Some(plus(self.now_ms, self.times.slow_ms));
                self.save(&mut payment)
            }
            "late" => {
                payment.status = Status::Processing;
                self.save(&mut payment)
            }
            _ => self.take(&mut payment, takes, Status::Paid),
        }
    }

    /// The customer wants to pay nothing.
    pub(super) fn customer_cancels(&mut self, token: &str) -> Done<()> {
        match self.by_token(token)? {
            Some(mut payment) if !payment.status.is_final() => self.close(&mut payment, Status::Cancelled, "customer"),
            Some(_) | None => Ok(()),
        }
    }

    /// Does what time has brought: links that expired, slow and late payments, slow refunds.
    pub(super) fn settle_due(&mut self) -> Done<()> {
        for mut payment in self.load_all("due_at <= ?1", self.now_ms)? {
            let amount = payment.asked.amount.value;
            let status = if payment.status == Status::Processing { Status::Paid } else { payment.status };
            self.take(&mut payment, amount, status)?;
        }
        let over = "expires_at <= ?1 AND due_at IS NULL AND status IN ('awaiting', 'processing')";
        for mut payment in self.load_all(over, self.now_ms)? {
            self.close(&mut payment, Status::Expired, "time")?;
        }
        let sql = "SELECT id, payment, amount FROM refund WHERE due_at <= ?1";
        let mut due = self.tx.prepare(sql)?;
        let due = due.query_map([self.now_ms], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for (refund, id, minor) in due.collect::<Done<Vec<(String, String, u64)>>>()? {
            self.tx.execute("UPDATE refund SET status = 'done', due_at = NULL WHERE id = ?1", [&refund])?;
            if let Found::Payment(mut payment) = self.find(&id)? {
                self.give_back(&mut payment, &refund, minor)?;
            }
        }
        Ok(())
    }

    /// When something is due next.
    pub(super) fn next_due_ms(&self) -> Done<Option<i64>> {
        self.tx.query_row(
            "SELECT min(at) FROM (
               SELECT min(due_at) AS at FROM payment WHERE due_at IS NOT NULL
               UNION ALL SELECT min(expires_at) FROM payment
                 WHERE status IN ('awaiting', 'processing') AND due_at IS NULL
               UNION ALL SELECT min(due_at) FROM refund WHERE due_at IS NOT NULL)",
            [],
            |row| row.get(0),
        )
    }

    /// Ends a payment unpaid; the account `late` pays afterwards all the same.
    fn close(&mut self, payment: &mut Payment, status: Status, reason: &str) -> Done<()> {
        let late = payment.status == Status::Processing && payment.account.as_deref() == Some("late");
        payment.due_at = late.then(|| plus(self.now_ms, self.times.late_ms));
        payment.status = status;
        payment.reason = Some(reason.to_owned());
        self.save(payment)
    }

    fn take(&mut self, payment: &mut Payment, minor: u64, status: Status) -> Done<()> {
        payment.paid = payment.paid.saturating_add(minor);
        payment.paid_at = Some(self.now_ms);
        payment.status = status;
        payment.due_at = None;
        self.save(payment)?;
        self.post(payment, None, 0_i64.saturating_sub_unsigned(minor))
    }

    fn give_back(&mut self, payment: &mut Payment, refund: &str, minor: u64) -> Done<()> {
        payment.refunded = payment.refunded.saturating_add(minor);
        self.save(payment)?;
        self.post(payment, Some(refund), 0_i64.saturating_add_unsigned(minor))
    }

    fn post(&self, payment: &Payment, refund: Option<&str>, minor: i64) -> Done<()> {
        self.tx
            .execute(
                "INSERT INTO ledger (account, payment, refund, currency, minor, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![payment.account, payment.id, refund, payment.asked.amount.currency, minor, self.now_ms],
            )
            .map(|_| ())
    }

    fn balance(&self, account: &str, currency: &str) -> Done<i64> {
        self.tx.query_row(
            "SELECT opening + (SELECT coalesce(sum(minor), 0) FROM ledger WHERE account = name AND currency = ?2)
             FROM account WHERE name = ?1",
            [account, currency],
            |row| row.get(0),
        )
    }

    /// What may still be given back: refunds that are on their way count.
    fn left_of(&self, payment: &Payment) -> Done<u64> {
        let sql = "SELECT coalesce(sum(amount), 0) FROM refund WHERE payment = ?1 AND status <> 'refused'";
        let back: u64 = self.tx.query_row(sql, [&payment.id], |row| row.get(0))?;
        Ok(payment.paid.saturating_sub(back))
    }

    fn knows(&self, account: &str, password: &str) -> Done<bool> {
        let sql = "SELECT salt, password FROM account WHERE name = ?1";
        let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let found: Option<(Vec<u8>, Vec<u8>)> = self.tx.query_row(sql, [account], read).optional()?;
        Ok(found.is_some_and(|(salt, hash)| password_hash(password, &salt).is_some_and(|h| h.as_slice() == hash)))
    }

    fn bury(&self, id: &str, code: &str) -> Done<String> {
        self.tx.execute("INSERT INTO tombstone VALUES (?1, ?2, ?3)", params![id, code, self.now_ms])?;
        Ok(code.to_owned())
    }

    fn exists(&self, sql: &str, id: &str) -> Done<bool> {
        self.tx.query_row(sql, [id], |row| row.get(0))
    }
}

fn plus(at: i64, ms: u64) -> i64 {
    at.saturating_add_unsigned(ms)
}
