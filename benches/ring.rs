//! Measures the store against the disk it is on, in one run and interleaved, because a disk's speed drifts.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tillgate::shop::attempt::{Attempt, AttemptState, Link};
use tillgate::shop::effect::Record;
use tillgate::shop::event::{Ticket, TillNumber};
use tillgate::shop::id::{AttemptId, Ids, SaleId, SessionId};
use tillgate::shop::money::{Amount, Currency};
use tillgate::shop::sale::{Code, Sale, SaleState, Telling};
use tillgate::shop::time::{BootId, Mono, Wall};
use tillgate::store::{Books, Store, Synchronous, backup, verify};

/// What one commit writes at most, in bytes; raw overwrites are of this size.
const RAW_BYTES: usize = 16 * 1024;
/// Room that the raw file goes round in.
const RAW_FILE_BYTES: u64 = 4 << 20;
/// How long each of the interleaved slices takes.
const SLICE: Duration = Duration::from_millis(100);
/// Slices of each kind.
const ROUNDS: u32 = 30;
/// Steps in one commit of the grouped kind.
const GROUP: usize = 16;
/// Ended sales in the large store.
const MANY_SALES: u64 = 1_000_000;

fn main() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ring-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    commits_against_raw(&folder);
    many_sales(&folder);
    fs::remove_dir_all(&folder).unwrap();
}

/// Overwrites of a file of fixed size, each followed by fdatasync: the best that this disk can do.
struct Raw {
    file: File,
    at: u64,
    bytes: Vec<u8>,
}

impl Raw {
    fn new(folder: &Path) -> Raw {
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(folder.join("raw")).unwrap();
        // In small pieces: what is written in one piece is one unit to the page cache, and a touch writes all of it again.
        for at in (0..RAW_FILE_BYTES).step_by(4_096) {
            file.write_all_at(&[1; 4_096], at).unwrap();
        }
        file.sync_all().unwrap();
        Raw { file, at: 0, bytes: vec![2; RAW_BYTES] }
    }

    fn write(&mut self) {
        self.file.write_all_at(&self.bytes, self.at).unwrap();
        self.file.sync_data().unwrap();
        self.at = (self.at + RAW_BYTES as u64) % RAW_FILE_BYTES;
    }
}

/// The steps of sales as the shop makes them: six commits' worth for each sale.
struct Steps {
    ids: Ids,
    number: u32,
    wall: i64,
    waiting: Vec<Vec<Record>>,
}

impl Steps {
    fn new(seed: u128) -> Steps {
        Steps { ids: Ids::new(seed), number: 0, wall: 1_800_000_000_000, waiting: Vec::new() }
    }

    fn next(&mut self) -> Vec<Record> {
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
        sale.state = SaleState::Approved { attempt: attempt.id, telling: Telling::Telling };
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
            ended_at: at,
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

/// Bytes that this process has had written to disks so far.
fn written_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

/// How often `work` can be done in a slice.
fn slice(mut work: impl FnMut()) -> (u32, Duration) {
    let start = Instant::now();
    let mut times = 0;
    while start.elapsed() < SLICE {
        work();
        times += 1;
    }
    (times, start.elapsed())
}

fn commits_against_raw(folder: &Path) {
    let mut raw = Raw::new(folder);
    let mut store = Store::open(&folder.join("small.db")).unwrap();
    let mut steps = Steps::new(1);
    let mut sum = [(0_u32, Duration::ZERO); 3];
    let mut bytes = [0_u64; 3];
    let mut ratios = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let mut rates = [0.0; 3];
        for kind in 0..3 {
            let before = written_bytes();
            let (times, took) = match kind {
                0 => slice(|| raw.write()),
                1 => slice(|| store.commit(Some(Wall(steps.wall)), &steps.next()).unwrap()),
                _ => slice(|| {
                    let group: Vec<Vec<Record>> = (0..GROUP).map(|_| steps.next()).collect();
                    store.commit(Some(Wall(steps.wall)), group.iter().flatten()).unwrap();
                }),
            };
            bytes[kind] += written_bytes() - before;
            sum[kind] = (sum[kind].0 + times, sum[kind].1 + took);
            rates[kind] = f64::from(times) / took.as_secs_f64();
        }
        ratios[0].push(rates[1] / rates[0]);
        ratios[1].push(rates[2] * GROUP as f64 / rates[0]);
    }
    for (kind, name) in ["raw fdatasync of 16 KiB", "commit of one step", "commit of 16 steps"].iter().enumerate() {
        let (times, took) = sum[kind];
        let each = took.as_secs_f64() * 1e3 / f64::from(times);
        println!("{name:32} {each:8.3} ms {:8} bytes written each", bytes[kind] / u64::from(times));
    }
    for (name, ratio) in
        ["steps per fdatasync, one by one", "steps per fdatasync, 16 at a time"].iter().zip(&mut ratios)
    {
        ratio.sort_by(f64::total_cmp);
        let (low, mid, high) = (ratio[0], ratio[ratio.len() / 2], ratio[ratio.len() - 1]);
        println!("{name:32} {mid:8.2}    (rounds from {low:.2} to {high:.2})");
    }
}

fn many_sales(folder: &Path) {
    let path = folder.join("large.db");
    let start = Instant::now();
    let mut store = Store::open_synchronous(&path, Synchronous::Off).unwrap();
    let mut steps = Steps::new(2);
    let mut batch = Vec::new();
    for number in 1..=MANY_SALES {
        let (sale, attempt) = steps.ended_sale();
        let (id, till, ticket) = (sale.id, sale.till, sale.ticket.unwrap());
        batch.push(Record::Sale { sale: Box::new(sale), open: false });
        batch.push(Record::Ticket { till, ticket, sale: id });
        batch.push(Record::Attempt { sale: id, attempt: Box::new(attempt) });
        if number % 10_000 == 0 {
            store.commit(Some(Wall(steps.wall)), &batch).unwrap();
            batch.clear();
        }
    }
    drop(store);
    let ms = |start: Instant| start.elapsed().as_secs_f64() * 1e3;
    let size = fs::metadata(&path).unwrap().len() >> 20;
    println!("{:32} {:8.0} ms {size} MiB", "write 1,000,000 sales", ms(start));
    let start = Instant::now();
    let store = Store::open(&path).unwrap();
    println!("{:32} {:8.2} ms", "open with 1,000,000 sales", ms(start));
    let start = Instant::now();
    let loaded = store.load().unwrap();
    println!("{:32} {:8.2} ms {} sales", "load with 1,000,000 sales", ms(start), loaded.shop.sales.len());
    let books = Books::open_read_only(&path).unwrap();
    let till = TillNumber::new(7).unwrap();
    for epoch in [None, Some(3)] {
        let start = Instant::now();
        let totals = books.totals(till, epoch).unwrap();
        println!("{:32} {:8.2} ms {} sales", "totals of a till", ms(start), totals.approved);
    }
    let start = Instant::now();
    let facts = backup(&path, &folder.join("copy.db")).unwrap();
    println!("{:32} {:8.0} ms {} MiB", "backup", ms(start), facts.bytes >> 20);
    let start = Instant::now();
    let rows = verify(&path, &mut |_, _| {}).unwrap().rows;
    println!("{:32} {:8.0} ms {rows} rows", "verify", ms(start));
}
