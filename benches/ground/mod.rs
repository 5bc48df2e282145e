//! What the benches stand on: the raw disk, and steps and books of sales as the shop makes them. Measures nothing itself.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use tillgate::shop::attempt::{Attempt, AttemptState, Link};
use tillgate::shop::effect::Record;
use tillgate::shop::event::{ReceiptNumber, Ticket, TillNumber};
use tillgate::shop::id::{AttemptId, Ids, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::{Code, Sale, SaleState, Telling};
use tillgate::shop::time::{BootId, Mono, Wall};
use tillgate::store::{Store, Synchronous};

/// What one commit writes at most, in bytes; raw overwrites are of this size.
const RAW_BYTES: usize = 16 * 1024;
/// Room that the raw file goes round in.
const RAW_FILE_BYTES: u64 = 4 << 20;

/// Overwrites of a file of fixed size, each followed by fdatasync: the best that this disk can do.
pub(crate) struct Raw {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Raw {
    pub(crate) fn new(folder: &Path) -> Raw {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(folder.join("raw")).unwrap();
        // In small pieces: what is written in one piece is one unit to the page cache, and a touch writes all of it again.
        for at in (0..RAW_FILE_BYTES).step_by(4_096) {
            file.write_all_at(&[1; 4_096], at).unwrap();
        }
        file.sync_all().unwrap();
        Raw { file, at: 0, bytes: vec![2; RAW_BYTES] }
    }

    pub(crate) fn write(&mut self) {
        self.file.write_all_at(&self.bytes, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at = (self.at + RAW_BYTES as u64) % RAW_FILE_BYTES;
    }

    /// How long one takes.
    #[allow(dead_code)] // Only one of the benches times them one by one.
    pub(crate) fn time(&mut self) -> Duration {
        let start = Instant::now();
        self.write();
        start.elapsed()
    }
}

/// The steps of sales as the shop makes them: six commits' worth for each sale.
pub(crate) struct Steps {
    ids: Ids,
    number: u32,
    pub(crate) wall: i64,
    waiting: Vec<Vec<Record>>,
}

impl Steps {
    pub(crate) fn new(seed: u128) -> Steps {
        Steps { ids: Ids::new(seed), number: 0, wall: 1_800_000_000_000, waiting: Vec::new() }
    }

    pub(crate) fn next(&mut self) -> Vec<Record> {
        if self.waiting.is_empty() {
            self.waiting = self.sale();
        }
        self.waiting.pop().unwrap()
    }

    /// The steps of one sale, last first.
    fn sale(&mut self) -> Vec<Vec<Record>> {
        let session = SessionId(self.ids.draw());
        let (mut sale, mut attempt) = self.ended_sale();
        let (paid, approved) = (attempt.state.clone(), sale.state);
        let ended = std::mem::take(&mut sale.ended_at);
        let ticket = sale.ticket.unwrap();
        let row = |sale: &Sale, open| Record::Sale { sale: Box::new(sale.clone()), open };
        let of = sale.id;
        let try_row = |attempt: &Attempt| Record::Attempt { sale: of, attempt: Box::new(attempt.clone()) };
        let mut steps = Vec::new();
        sale.state = SaleState::Waiting;
        steps.push(vec![row(&sale, true), Record::Ticket { till: sale.till, ticket, sale: sale.id }]);
        sale.state = SaleState::Offered { session, until: Mono(60_000) };
        steps.push(vec![row(&sale, true)]);
        sale.state = SaleState::Paying { session, back_by: None };
        attempt.state = AttemptState::Intent { doubt: None };
        steps.push(vec![row(&sale, true), try_row(&attempt)]);
        let link = Link::new("https://checkout.example/checkout/0123456789abcdef0123456789abcdef").unwrap();
        attempt.state = AttemptState::Open { link, until: Mono(90_000), doubt: None };
        steps.push(vec![try_row(&attempt)]);
        attempt.state = paid;
        sale.ended_at = ended;
        sale.state = SaleState::Approved { attempt: attempt.id, telling: Telling::Telling { put_off: 0 } };
        steps.push(vec![try_row(&attempt), row(&sale, true)]);
        sale.state = approved;
        steps.push(vec![row(&sale, false)]);
        steps.reverse();
        steps
    }

    /// A sale that is over, and its attempt.
    fn ended_sale(&mut self) -> (Sale, Attempt) {
        self.number += 1;
        self.wall += 60_000;
        let at = Some(Wall(self.wall));
        let id = AttemptId(self.ids.draw());
        let sale = Sale {
            id: SaleId(self.ids.draw()),
            till: TillNumber::new(1 + u16::try_from(self.number % 64).unwrap()).unwrap(),
            ticket: Some(Ticket { epoch: Some(self.number / 64_000), number: self.number }),
            amount: Amount::from_minor(1_250, Currency::from_code("EUR").unwrap()).unwrap(),
            code: Code::from_bits(id.0),
            asked_at: at,
            ticket_at: at,
            ended_at: at,
            receipt: ReceiptNumber::new(1 + u16::try_from(self.number / 64 % 9_999).unwrap()),
            booked: Some(u64::from(self.number)),
            boot: BootId(7),
            ends: Mono(120_000),
            hears_result: true,
            state: SaleState::Approved { attempt: id, telling: Telling::Taken },
            attempts: Vec::new(),
            refunds: Vec::new(),
        };
        let attempt = Attempt {
            id,
            number: 1,
            session: SessionId(self.ids.draw()),
            expires_in_secs: 90,
            state: AttemptState::Paid { at, right: true },
            version: 3,
            tries: 0,
            last_failure: None,
            paid_minor: 1_250,
            checked: true,
            needs_person: None,
        };
        (sale, attempt)
    }
}

/// Fills the books at `path` with this many ended sales, the last of them one by one as in a shop, so that the log
/// beside the file is as long as a shop's.
pub(crate) fn fill(path: &Path, sales: u64) {
    let mut steps = Steps::new(2);
    let quick = sales.saturating_sub(100);
    let bulk = [(Synchronous::Off, quick, 10_000), (Synchronous::Full, sales - quick, 1)];
    for (synchronous, sales, at_once) in bulk {
        let mut store = Store::open_synchronous(path, synchronous).unwrap();
        let mut batch = Vec::new();
        for number in 1..=sales {
            let (sale, attempt) = steps.ended_sale();
            let (id, till, ticket) = (sale.id, sale.till, sale.ticket.unwrap());
            batch.push(Record::Sale { sale: Box::new(sale), open: false });
            batch.push(Record::Ticket { till, ticket, sale: id });
            batch.push(Record::Attempt { sale: id, attempt: Box::new(attempt) });
            if number % at_once == 0 || number == sales {
                store.commit(Some(Wall(steps.wall)), &batch).unwrap();
                batch.clear();
            }
        }
    }
}
