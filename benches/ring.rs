//! Measures the store against the disk it is on, in one run and interleaved, because a disk's speed drifts.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod ground;

use ground::{Raw, Steps};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tillgate::shop::effect::Record;
use tillgate::shop::event::{Span, TillNumber};
use tillgate::shop::time::Wall;
use tillgate::store::{Books, Store, backup, verify};

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
    ground::fill(&path, MANY_SALES);
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
        let totals = books.totals(till, epoch.map_or(Span::All, Span::Epoch)).unwrap();
        println!("{:32} {:8.2} ms {} sales", "totals of a till", ms(start), totals.approved);
    }
    let start = Instant::now();
    let facts = backup(&path, &folder.join("copy.db")).unwrap();
    println!("{:32} {:8.0} ms {} MiB", "backup", ms(start), facts.bytes >> 20);
    let start = Instant::now();
    let rows = verify(&path, &mut |_, _| {}).unwrap().rows;
    println!("{:32} {:8.0} ms {rows} rows", "verify", ms(start));
}
