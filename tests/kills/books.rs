//! The three books side by side: the shop's store, the platform's, and what tills asked and were told. Judges only.

use crate::cashier::{TillBook, Word};
use crate::town::Town;
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeMap;
use std::path::Path;
use tillgate::sandbox::{BookLine, books};
use tillgate::shop::effect::Outcome;
use tillgate::shop::event::{Ticket, TillNumber};
use tillgate::shop::sale::Telling;
use tillgate::store::{Books, Filter, SaleLine, verify};

/// All three, as they are now.
pub(crate) struct Three {
    pub(crate) sales: Vec<SaleLine>,
    pub(crate) payments: Vec<BookLine>,
    pub(crate) tills: BTreeMap<TillNumber, TillBook>,
    /// Which sale each ticket means. Several may mean one: a request that was answered with the result of the one before.
    tickets: BTreeMap<(TillNumber, Ticket), String>,
}

impl Three {
    pub(crate) fn read(town: &Town, tills: BTreeMap<TillNumber, TillBook>) -> Three {
        Three::read_books(&town.stage.shop_books(), &town.platform_books(), tills)
    }

    /// Those in these files.
    pub(crate) fn read_books(shop: &Path, platform: &Path, tills: BTreeMap<TillNumber, TillBook>) -> Three {
        Three { sales: sales(shop), payments: books(platform).unwrap(), tills, tickets: tickets(shop) }
    }

    /// Everything that does not agree, one line each.
    pub(crate) fn differs(&self, shop_books: &Path) -> Vec<String> {
        let mut bad = Vec::new();
        if let Err(error) = verify(shop_books, &mut |_, _| {}) {
            bad.push(format!("verify: {error}"));
        }
        let mut of_sale: BTreeMap<&str, Vec<&BookLine>> = BTreeMap::new();
        for payment in &self.payments {
            of_sale.entry(&payment.sale).or_default().push(payment);
        }
        for sale in &self.sales {
            let id = sale.id.to_string();
            let payments = of_sale.remove(id.as_str()).unwrap_or_default();
            bad.extend(money(sale, &payments).iter().map(|what| format!("{what}: {sale:?} {payments:?}")));
            bad.extend(self.told(sale).iter().map(|what| format!("{what}: {sale:?}")));
        }
        bad.extend(of_sale.values().map(|payments| format!("paid for no sale of the shop: {payments:?}")));
        for (till, book) in &self.tills {
            for (ticket, asked) in book {
                let id = self.tickets.get(&(*till, *ticket));
                let sale = self.sales.iter().find(|sale| Some(sale.id.to_string()) == id.cloned());
                let began = !asked.words.iter().any(|word| !matches!(word, Word::Receipt(..)));
                if sale.is_some() != began || asked.words.is_empty() {
                    bad.push(format!("till {till} was told otherwise of {ticket:?} {asked:?}: {sale:?}"));
                }
            }
        }
        bad
    }

    /// What the sale's till asked and was told, against what the shop has.
    fn told(&self, sale: &SaleLine) -> Vec<String> {
        let id = sale.id.to_string();
        let tickets = self.tickets.iter().filter(|((till, _), of)| *till == sale.till && **of == id);
        let asked: Vec<_> = tickets.filter_map(|((till, ticket), _)| self.tills[till].get(ticket)).collect();
        let mut bad = Vec::new();
        if asked.is_empty() {
            bad.push("no till asked for it".to_owned());
        }
        for asked in asked.iter().filter(|asked| asked.minor != sale.amount.minor()) {
            bad.push(format!("the till asked for {}", asked.minor));
        }
        if sale.telling() != Some(Telling::Taken) {
            bad.push("the till has not taken the result".to_owned());
        }
        for word in asked.iter().flat_map(|asked| &asked.words) {
            let Word::Receipt(headline, amount) = word else { continue };
            let fits = match sale.outcome() {
                Some(Outcome::Approved) => headline == "PAID",
                Some(Outcome::Declined(_)) => headline == "NOT PAID - DECLINED",
                Some(Outcome::Cancelled(_)) => headline == "NOT PAID - CANCELLED",
                Some(Outcome::Lapsed) => headline == "NOT PAID",
                Some(Outcome::Returned { .. }) | None => false,
            };
            if !fits || *amount != sale.amount.decimal() {
                bad.push(format!("the till was told {headline} {amount}"));
            }
        }
        bad
    }
}

fn tickets(shop_books: &Path) -> BTreeMap<(TillNumber, Ticket), String> {
    let conn = Connection::open_with_flags(shop_books, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut all = conn.prepare("SELECT till, epoch, ticket, lower(hex(sale)) FROM tickets").unwrap();
    let one = |row: &rusqlite::Row<'_>| {
        let ticket = Ticket { epoch: u32::try_from(row.get::<_, i64>(1)?).ok(), number: row.get(2)? };
        Ok(((TillNumber::new(row.get(0)?).unwrap(), ticket), row.get(3)?))
    };
    all.query_map([], one).unwrap().map(Result::unwrap).collect()
}

/// A sale's money by both books.
fn money(sale: &SaleLine, payments: &[&BookLine]) -> Vec<&'static str> {
    let mut bad = Vec::new();
    let kept: Vec<_> = payments.iter().filter(|p| p.moved_minor != 0).collect();
    let approved = sale.outcome() == Some(Outcome::Approved);
    if sale.open || sale.outcome().is_none() {
        bad.push("not at rest");
    }
    if sale.needs_person {
        bad.push("needs a person");
    }
    if approved && sale.given_back_minor > 0 {
        bad.push("an approved sale was given back, which nobody asked for");
    }
    if kept.len() != usize::from(approved) {
        bad.push(if approved { "approved, but not by one payment" } else { "money is kept without an approved sale" });
    }
    if kept.iter().any(|p| p.moved_minor != sale.amount.minor().cast_signed() || p.status != "paid") {
        bad.push("another amount is kept than was asked for");
    }
    for payment in payments {
        if payment.amount_minor != sale.amount.minor() || payment.currency != sale.amount.currency().to_string() {
            bad.push("a payment is about another amount");
        }
        if matches!(payment.status.as_str(), "awaiting" | "processing") {
            bad.push("a link is left that can be paid");
        }
        if i64::try_from(payment.paid_minor).unwrap() - i64::try_from(payment.refunded_minor).unwrap()
            != payment.moved_minor
        {
            bad.push("the platform's ledger says otherwise than its rows");
        }
    }
    bad
}

/// The shop's sales, oldest first.
pub(crate) fn sales(shop_books: &Path) -> Vec<SaleLine> {
    let mut sales = Vec::new();
    let each = |sale| {
        sales.push(sale);
        true
    };
    Books::open_read_only(shop_books).unwrap().sales(&Filter::default(), each).unwrap();
    sales.reverse();
    sales
}

/// How many of the shop's sales have something still to be done.
pub(crate) fn open_sales(shop_books: &Path) -> i64 {
    ask(shop_books, "SELECT count(*) FROM sales WHERE open = 1").parse().unwrap()
}

/// How many payments may still change at the platform by themselves.
pub(crate) fn unsettled(platform_books: &Path) -> i64 {
    let payments = "SELECT count(*) FROM payment WHERE status IN ('awaiting', 'processing') OR due_at IS NOT NULL";
    let refunds = "SELECT count(*) FROM refund WHERE due_at IS NOT NULL";
    [payments, refunds].map(|sql| ask(platform_books, sql).parse::<i64>().unwrap()).iter().sum()
}

/// How far the shop has read the platform's list of changes.
pub(crate) fn reconciled(shop_books: &Path) -> i64 {
    ask(shop_books, "SELECT coalesce(max(CAST(cursor AS INTEGER)), 0) FROM reconciliation").parse().unwrap()
}

/// How far that list goes.
pub(crate) fn changes(platform_books: &Path) -> i64 {
    ask(platform_books, "SELECT coalesce(max(change), 0) FROM payment").parse().unwrap()
}

fn ask(file: &Path, sql: &str) -> String {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let books = Connection::open_with_flags(file, flags).unwrap();
    books.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    books.query_row(&format!("SELECT CAST(({sql}) AS TEXT)"), [], |row| row.get(0)).unwrap()
}
