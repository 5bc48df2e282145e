//! The program `simulate`: plays seeds on all cores, counts, and tells of the first failure. Judges nothing itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use clap::Parser;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tillgate_sim::ledger::Broken;
use tillgate_sim::machine::Disk;
use tillgate_sim::run::play;
use tillgate_sim::shrink::{read, shrink, written};
use tillgate_sim::story::Story;
use tillgate_sim::tally::Tally;

/// Lines of a story.
const STORY_MAX: usize = 40;
/// Failures after which nothing new is begun.
const FAILURES_MAX: usize = 10;

/// Plays the shop in a simulated world under faults, and judges it by its laws.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many seeds to play (1 if a seed is given, else as many as fit into --seconds).
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; without it a fresh one, which is printed.
    #[arg(long)]
    seed: Option<u64>,
    /// Begin nothing new after so many seconds.
    #[arg(long)]
    seconds: Option<u64>,
    /// Play one seed, event by event.
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Of that seed, only these steps, such as 3,7-9 (as printed with a failure).
    #[arg(long, requires = "seed")]
    keep: Option<String>,
    /// Keep the stores in files in this folder; without it they are in memory.
    #[arg(long)]
    file: Option<PathBuf>,
    /// How many threads play.
    #[arg(long)]
    threads: Option<usize>,
}

struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    tally: Mutex<Tally>,
    failures: Mutex<Vec<(u64, Broken)>>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.trace || args.keep.is_some() {
        return one(&args);
    }
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64);
    let first = args.seed.unwrap_or(nanos % 1_000_000_000 * 1_000);
    let count = match (args.seeds, args.seconds, args.seed) {
        (Some(seeds), ..) => seeds,
        (None, Some(_), _) => u64::MAX,
        (None, None, Some(_)) => 1,
        (None, None, None) => 10_000,
    };
    let shared = Shared {
        next: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        tally: Mutex::new(Tally::default()),
        failures: Mutex::new(Vec::new()),
    };
    let threads = args.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get()));
    println!("seeds from {first} on, {threads} threads, {}", disk_words(&args));
    let began = Instant::now();
    std::thread::scope(|scope| {
        // Nothing is sent: that the last worker has dropped its end says that all is played.
        let (working, done) = mpsc::channel();
        for thread in 0..threads {
            let disk = disk(&args, thread);
            let (shared, working) = (&shared, working.clone());
            scope.spawn(move || {
                let _working: mpsc::Sender<()> = working;
                work(shared, first, count, &disk);
            });
        }
        drop(working);
        watch(&shared, began, args.seconds, &done);
    });
    let tally = shared.tally.into_inner().unwrap();
    let mut failures = shared.failures.into_inner().unwrap();
    failures.sort_by_key(|(seed, _)| *seed);
    report(&tally, failures.len(), began.elapsed());
    for (seed, broken) in &failures {
        println!("seed {seed}: law {}: {}", broken.law, broken.what);
    }
    match failures.first() {
        None => ExitCode::SUCCESS,
        Some((seed, broken)) => {
            tell(*seed, broken, &disk(&args, 0));
            ExitCode::FAILURE
        }
    }
}

fn disk(args: &Args, thread: usize) -> Disk {
    match &args.file {
        None => Disk::Memory,
        Some(folder) => {
            std::fs::create_dir_all(folder).expect("the folder for the stores can be made");
            Disk::File(folder.join(format!("simulate-{thread}.db")))
        }
    }
}

fn disk_words(args: &Args) -> String {
    args.file.as_ref().map_or("stores in memory".to_owned(), |folder| format!("stores in {}", folder.display()))
}

fn work(shared: &Shared, first: u64, count: u64, disk: &Disk) {
    while !shared.stop.load(Ordering::Relaxed) {
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        if n >= count {
            return;
        }
        let seed = first.wrapping_add(n);
        let ended = std::panic::catch_unwind(|| play(seed, None, disk, Story::Untold));
        let Ok(ended) = ended else {
            shared.failures.lock().unwrap().push((seed, Broken { law: 0, what: "panic".to_owned() }));
            shared.stop.store(true, Ordering::Relaxed);
            return;
        };
        shared.tally.lock().unwrap().add(&ended.tally);
        if let Some(broken) = ended.broken.into_iter().next() {
            let mut failures = shared.failures.lock().unwrap();
            failures.push((seed, broken));
            if failures.len() >= FAILURES_MAX {
                shared.stop.store(true, Ordering::Relaxed);
            }
        }
    }
}

/// Says a few times a minute how far it is, and ends it in time.
fn watch(shared: &Shared, began: Instant, seconds: Option<u64>, done: &mpsc::Receiver<()>) {
    let every = if std::io::stderr().is_terminal() { 5 } else { 15 };
    let mut said = 0;
    while done.recv_timeout(Duration::from_millis(50)) == Err(mpsc::RecvTimeoutError::Timeout) {
        let elapsed = began.elapsed().as_secs();
        if seconds.is_some_and(|seconds| elapsed >= seconds) {
            shared.stop.store(true, Ordering::Relaxed);
        }
        if elapsed >= said + every {
            said = elapsed;
            let tally = shared.tally.lock().unwrap();
            let failures = shared.failures.lock().unwrap().len();
            eprintln!(
                "{elapsed:>4} s: {} seeds, {} sales, {} power cuts, {failures} violations",
                tally.seeds,
                tally.sales_in_all(),
                tally.cuts
            );
        }
    }
}

fn report(tally: &Tally, failures: usize, took: Duration) {
    let secs = took.as_secs_f64().max(0.001);
    println!("seeds               {:>12}", tally.seeds);
    println!("simulated hours     {:>12}", tally.ms / 3_600_000);
    println!("sales               {:>12}", tally.sales_in_all());
    for (kind, n) in &tally.sales {
        println!("  {kind:<17} {n:>12}");
    }
    println!("power cuts          {:>12}", tally.cuts);
    println!("events              {:>12}", tally.events);
    println!("commits             {:>12}", tally.commits);
    println!("journals proved     {:>12}  of {} rows", tally.proved.0, tally.proved.1);
    println!("faults by kind");
    for (kind, n) in &tally.faults {
        println!("  {kind:<42} {n:>10}");
    }
    let sales = tally.sales_in_all() as f64 / secs;
    println!("violations          {failures:>12}");
    println!("{secs:.1} s, {sales:.0} sales a second, {:.0} seeds a second", tally.seeds as f64 / secs);
}

/// One failure, as short as it can be made.
fn tell(seed: u64, broken: &Broken, disk: &Disk) {
    println!("\nshrinking seed {seed} ..");
    let kept = shrink(seed, broken.law, disk);
    let ended = play(seed, Some(&kept), disk, Story::Kept(Vec::new()));
    let lines = ended.story.lines();
    println!("seed {seed} with {} steps of {}:", kept.len(), ended.steps);
    let skip = lines.len().saturating_sub(STORY_MAX - 2);
    for (at, line) in lines.iter().enumerate() {
        if skip == 0 || at < 8 || at >= 8 + skip {
            println!("{line}");
        } else if at == 8 {
            println!("           .. {skip} lines ..");
        }
    }
    for broken in &ended.broken {
        println!("LAW {}: {}", broken.law, broken.what);
    }
    println!("again: cargo run --release --bin simulate -- --seed {seed} --trace --keep {}", written(&kept));
}

/// One seed, event by event.
fn one(args: &Args) -> ExitCode {
    let seed = args.seed.unwrap_or(0);
    let keep = args.keep.as_deref().map(|text| read(text).expect("steps such as 3,7-9"));
    let story = if args.trace { Story::Printed } else { Story::Untold };
    let ended = play(seed, keep.as_deref(), &disk(args, 0), story);
    let began = Instant::now();
    report(&ended.tally, ended.broken.len(), began.elapsed());
    for broken in &ended.broken {
        println!("LAW {}: {}", broken.law, broken.what);
    }
    if ended.broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
