//! What a shop writes on a small day, batch by batch, and what the store holds after each. The same each time for a seed.

use crate::dice::Dice;
use rusqlite::{Connection, OpenFlags};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use tillgate::shop::attempt::{Attempt, AttemptState, Link, Refund, RefundState, RefundWhy};
use tillgate::shop::effect::{Alarm, Record};
use tillgate::shop::event::{Ticket, TillNumber};
use tillgate::shop::id::{AttemptId, Ids, RefundId, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::pairing::Pairing;
use tillgate::shop::sale::{Code, Sale, SaleState, Telling};
use tillgate::shop::session::{Place, Session};
use tillgate::shop::time::{BootId, Mono, Wall};
use tillgate::store::{Store, Synchronous, verify};

/// The date of every record.
pub const WALL: Option<Wall> = Some(Wall(1_800_000_000_000));

/// Records of one batch at most.
const BATCH_MAX: usize = 16;

/// What a store holds after so many batches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Holds {
    /// The journal's rows.
    pub rows: u64,
    /// The journal's newest hash: that of all records before.
    pub head: String,
    /// The rows of all tables, those included that the journal does not copy.
    pub tables: u64,
}

/// Batches, and what there is before the first and after each.
#[derive(Debug)]
pub struct History {
    /// The records of each batch.
    pub batches: Vec<Vec<Record>>,
    /// What a store holds after none, one, two, .. batches.
    pub holds: Vec<Holds>,
}

impl History {
    /// The history of a seed, of so many batches, played once on a store at `path` to see what it holds after each.
    pub fn new(seed: u64, batches: usize, path: &Path) -> History {
        let batches = batches_of(seed, batches);
        let mut store = Store::open_synchronous(path, Synchronous::Off).expect("a new store opens");
        let mut holds = vec![holds(path)];
        for batch in &batches {
            store.commit(WALL, batch).expect("the history fits the store");
            holds.push(self::holds(path));
        }
        History { batches, holds }
    }

    /// After how many batches a store holds exactly this.
    pub fn batch_of(&self, holds: &Holds) -> Option<usize> {
        self.holds.iter().position(|known| known == holds)
    }
}

/// What the store at `path` holds, everything in it read and checked.
pub fn look(path: &Path) -> Result<Holds, String> {
    let verified = verify(path, &mut |_, _| {}).map_err(|e| format!("{e}: {:?}", std::error::Error::source(&e)))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| e.to_string())?;
    let sound: String =
        conn.query_row("PRAGMA integrity_check", [], |row| row.get(0)).map_err(|e| format!("integrity: {e}"))?;
    if sound != "ok" {
        return Err(format!("integrity: {sound}"));
    }
    let tables = tables(&conn).map_err(|e| format!("tables: {e}"))?;
    Ok(Holds { rows: verified.rows, head: verified.head, tables })
}

fn holds(path: &Path) -> Holds {
    look(path).expect("a store that never lost power is right")
}

fn tables(conn: &Connection) -> Result<u64, rusqlite::Error> {
    let mut hash = DefaultHasher::new();
    for table in ["sales", "attempts", "refunds", "tickets", "sessions", "reconciliation"] {
        let mut statement = conn.prepare_cached(&format!("SELECT * FROM {table}"))?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..columns {
                use rusqlite::types::ValueRef;
                match row.get_ref(column)? {
                    ValueRef::Null => hash.write_u8(0),
                    ValueRef::Integer(number) => hash.write_i64(number),
                    ValueRef::Real(number) => hash.write_u64(number.to_bits()),
                    ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                        hash.write_usize(bytes.len());
                        hash.write(bytes);
                    }
                }
            }
        }
        hash.write_u8(9);
    }
    Ok(hash.finish())
}

/// Four tills at which sales follow one another; each batch takes the next steps of some.
fn batches_of(seed: u64, count: usize) -> Vec<Vec<Record>> {
    let mut ids = Ids::new(u128::from(seed));
    let mut dice = Dice::new(&[seed]);
    let mut tills: Vec<std::vec::IntoIter<Vec<Record>>> = (0..4).map(|_| Vec::new().into_iter()).collect();
    let mut sales = 0;
    let mut batches = Vec::new();
    while batches.len() < count {
        let wanted = 1 + dice.below(BATCH_MAX);
        let mut batch: Vec<Record> = Vec::new();
        // Most commits of a shop are of one step; a busy moment shares one.
        let steps = if dice.percent(60) { 1 } else { 6 };
        for _ in 0..steps {
            let at = dice.below(tills.len());
            let step = tills[at].next().unwrap_or_else(|| {
                sales += 1;
                tills[at] = steps_of_a_sale(&mut ids, at as u16 + 1, sales).into_iter();
                tills[at].next().unwrap_or_default()
            });
            batch.extend(step);
            if batch.len() >= wanted {
                break;
            }
        }
        batch.truncate(BATCH_MAX);
        batches.push(batch);
    }
    batches
}

/// The records of one sale's life, each step as the shop writes it in one go.
fn steps_of_a_sale(ids: &mut Ids, till: u16, nth: u32) -> Vec<Vec<Record>> {
    let till = TillNumber::new(till).expect("a till's number");
    let boot = BootId(77);
    let session = SessionId(ids.draw());
    let pairing = Some(Pairing { till, since: Mono(5), until: Mono(900_000) });
    let place = Place { ip: [10, 0, 0, nth as u8].into(), mac: Some([2, 0, 0, 0, 0, nth as u8]) };
    let mut visit = Session { id: session, place, boot, until: Mono(900_000), pairing, sale: None, online_until: None };
    let ticket = Ticket { epoch: Some(3), number: nth };
    let currency = Currency::from_code("EUR").expect("a currency");
    let amount = Amount::from_minor(1_000 + u64::from(nth), currency).expect("an amount");
    let mut sale = waiting(SaleId(ids.draw()), till, ticket, amount);
    let id = sale.id;
    let mut attempt = intent(AttemptId(ids.draw()), session);
    let of_sale = |sale: &Sale, open| Record::Sale { sale: Box::new(sale.clone()), open };
    let of_attempt = |attempt: &Attempt| Record::Attempt { sale: id, attempt: Box::new(attempt.clone()) };
    let mut steps = vec![vec![Record::Session(visit.clone())]];
    steps.push(vec![Record::Ticket { till, ticket, sale: id }, of_sale(&sale, true)]);
    sale.state = SaleState::Offered { session, until: Mono(100) };
    visit.sale = Some(id);
    steps.push(vec![Record::Session(visit.clone()), of_sale(&sale, true)]);
    sale.state = SaleState::Paying { session, back_by: None };
    steps.push(vec![of_sale(&sale, true), of_attempt(&attempt)]);
    let link = Link::new(&format!("https://pay.example/{}/{}", nth, "x".repeat(20 * nth as usize % 900)));
    attempt.state = AttemptState::Open { link: link.expect("a link"), until: Mono(50_000), doubt: None };
    attempt.version = 1;
    steps.push(vec![of_attempt(&attempt)]);
    attempt.state = AttemptState::Paid { at: WALL, right: true };
    (attempt.version, attempt.paid_minor) = (2, amount.minor());
    sale.state = SaleState::Approved { attempt: attempt.id, telling: Telling::Telling { put_off: 0 } };
    sale.ended_at = WALL;
    steps.push(vec![of_attempt(&attempt), of_sale(&sale, true)]);
    sale.state = SaleState::Approved { attempt: attempt.id, telling: Telling::Taken };
    steps.push(vec![of_sale(&sale, nth.is_multiple_of(3)), Record::Cursor(format!("page {nth}"))]);
    if nth.is_multiple_of(3) {
        let mut refund = staff_refund(RefundId(ids.draw()), attempt.id, amount);
        steps.push(vec![
            Record::Refund { sale: id, refund: refund.clone() },
            Record::Alarm(Alarm::Unheard { sale: id }),
        ]);
        refund.state = RefundState::Done;
        steps.push(vec![Record::Refund { sale: id, refund }, of_sale(&sale, false)]);
    }
    attempt.checked = true;
    steps.push(vec![of_attempt(&attempt), Record::SessionEnded(session)]);
    steps
}

fn waiting(id: SaleId, till: TillNumber, ticket: Ticket, amount: Amount) -> Sale {
    Sale {
        id,
        till,
        ticket: Some(ticket),
        amount,
        code: Code::from_bits(id.0),
        asked_at: WALL,
        ticket_at: WALL,
        ended_at: None,
        receipt: None,
        booked: None,
        boot: BootId(77),
        ends: Mono(120_000),
        hears_result: true,
        state: SaleState::Waiting,
        attempts: Vec::new(),
        refunds: Vec::new(),
    }
}

fn intent(id: AttemptId, session: SessionId) -> Attempt {
    Attempt {
        id,
        number: 1,
        session,
        expires_in_secs: 90,
        state: AttemptState::Intent { doubt: None },
        version: 0,
        tries: 0,
        last_failure: None,
        paid_minor: 0,
        checked: false,
        needs_person: None,
    }
}

fn staff_refund(id: RefundId, attempt: AttemptId, amount: Amount) -> Refund {
    let state = RefundState::Intent { doubt: None };
    Refund { id, attempt, amount, why: RefundWhy::Staff, state, needs_person: None, booked: None }
}
