//! Measures the daemon as it is shipped, with real ptys, sockets, certificates and books, and the disk beside it.
//!
//! `cargo bench --bench daemon` measures for some minutes; with `-- --quick`, in less than one; with `-- paced`, only lines
//! at the pace of real ones. Fails only where an aim is missed grossly; on a machine that does other things meanwhile
//! compare figures of one run only.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod figures;
#[path = "../ground/mod.rs"]
#[allow(dead_code)] // Of the steps of sales only the ended ones are wanted here.
mod ground;
#[allow(dead_code)] // The load wants more of both.
mod house;
#[path = "../../tests/it/pace.rs"]
mod pace;
mod paced;
mod phone;
#[allow(dead_code)]
mod register;

use figures::{Figures, part_ms};
use ground::Raw;
use house::{Daemon, House, program};
use phone::{Phone, Wire};
use register::Register;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tillgate::sandbox::{ACCOUNTS, PASSWORD};

/// Tills in a large shop.
const TILLS: u16 = 64;
/// Phones in a large shop.
const PHONES: u16 = 1_000;
/// Between two sales of a till.
const EVERY: Duration = Duration::from_secs(1);
/// Between two writes to the raw disk while all tills work.
const RAW_EVERY: Duration = Duration::from_millis(100);
/// What the daemon does once after its start is over by then.
const SETTLED: Duration = Duration::from_secs(3);
/// On a slow machine it takes some times as long.
const SETTLED_ROUNDS_MAX: u32 = 5;
/// Most milliseconds beside two writes to the disk, between a till and a phone or a platform and a till.
const OWN_MS: f64 = 2.0;
const MIB: f64 = 1_048_576.0;

/// How much is measured.
#[derive(Clone, Copy)]
struct Dose {
    starts: u32,
    stored_sales: u64,
    idle: Duration,
    sales_of_one: u32,
    sales_paced: u32,
    sales_of_each: u32,
    rush: Duration,
}

const FULL: Dose = Dose {
    starts: 7,
    stored_sales: 1_000_000,
    idle: Duration::from_secs(60),
    sales_of_one: 60,
    sales_paced: 100,
    sales_of_each: 30,
    rush: Duration::from_secs(15),
};
const QUICK: Dose = Dose {
    starts: 3,
    stored_sales: 20_000,
    idle: Duration::from_secs(6),
    sales_of_one: 8,
    sales_paced: 8,
    sales_of_each: 5,
    rush: Duration::from_secs(3),
};

fn main() -> ExitCode {
    let here = env!("CARGO_TARGET_TMPDIR");
    if std::env::var_os("TMPDIR").is_none_or(|set| set != here) {
        // Again with the books on the disk that the sources are on: a temporary folder may be in memory.
        let args = std::env::args_os().skip(1);
        let again = Command::new(std::env::current_exe().unwrap()).args(args).env("TMPDIR", here).status().unwrap();
        return ExitCode::from(u8::from(!again.success()));
    }
    let dose = if std::env::args().any(|arg| arg == "--quick") { QUICK } else { FULL };
    let mut figures = Figures::default();
    if std::env::args().any(|arg| arg == "paced") {
        paced::all(&mut figures, dose.sales_paced);
        return ExitCode::from(u8::from(!figures.end()));
    }
    size(&mut figures);
    starts(&mut figures, dose);
    one_till(&mut figures, dose);
    paced::all(&mut figures, dose.sales_paced);
    idle(&mut figures, dose);
    all_tills(&mut figures, dose);
    crowd(&mut figures);
    ExitCode::from(u8::from(!figures.end()))
}

fn size(figures: &mut Figures) {
    let bytes = std::fs::metadata(program()).unwrap().len();
    figures.at_most("program, stripped", bytes as f64 / MIB, 10.0, "MiB");
}

fn starts(figures: &mut Figures, dose: Dose) {
    let house = House::new(1);
    let (daemon, took) = house.start();
    figures.at_most("start, no store yet", took.as_secs_f64() * 1e3, 200.0, "ms");
    thread::sleep(SETTLED);
    figures.at_most("memory at rest, 1 till", daemon.resident_kib() as f64 / 1_024.0, 12.0, "MiB");
    drop(daemon);
    let start_ms = |house: &House| {
        let mut times: Vec<Duration> = (0..dose.starts).map(|_| house.start().1).collect();
        part_ms(&mut times, 0.5)
    };
    figures.at_most("start, store without sales, p50", start_ms(&house), 200.0, "ms");
    let house = House::new(1);
    ground::fill(&house.stage.shop_books(), dose.stored_sales);
    let name = format!("start, store of {} sales, p50", dose.stored_sales);
    figures.at_most(&name, start_ms(&house), 200.0, "ms");
}

/// Times of some sales: from the till's request to the phone, and from the platform's answer to the till.
#[derive(Default)]
struct Times {
    to_phone: Vec<Duration>,
    to_till: Vec<Duration>,
    late: u32,
}

/// A till and a customer who buys there again and again.
struct Lane<'a> {
    register: &'a mut Register,
    till: u16,
    phone: Phone,
    checkout: Wire,
}

impl Lane<'_> {
    fn open(register: &mut Register, till: u16, portal: SocketAddr, checkout: SocketAddr) -> Lane<'_> {
        let from = address(till);
        Lane { register, till, phone: Phone::log_in(portal, from, Some(till)), checkout: Wire::new(from, checkout) }
    }

    /// One sale from the waiting phone to the waiting phone.
    fn sell(&mut self, times: &mut Times) {
        self.phone.load();
        self.phone.listen();
        let asked = self.register.pay();
        times.to_phone.push(self.phone.changed() - asked);
        self.phone.until("/confirm\"");
        self.phone.send("confirm", "");
        self.phone.until("/checkout\"");
        let token = self.phone.checkout();
        let form = format!("action=pay&account={}&password={PASSWORD}", ACCOUNTS[0].0);
        let answer = self.checkout.ask("POST", &format!("/checkout/{token}"), &form);
        let answered = Instant::now();
        assert_eq!(answer.status, 303, "the checkout refuses: {}", answer.text);
        // The answer to the phone may come after that to the daemon.
        times.to_till.push(self.register.paid().saturating_duration_since(answered));
        self.phone.until("/finish\"");
        self.phone.send("finish", "");
        self.phone.load();
        if self.phone.page.contains("name=\"till\"") {
            let till = self.till;
            self.phone.send("till", &format!("till={till}"));
        }
    }

    /// A sale every second, whether the one before took longer or not.
    fn open_loop(&mut self, from: Instant, sales: u32) -> Times {
        let mut times = Times::default();
        for n in 0..sales {
            let due = from + EVERY * n;
            match due.checked_duration_since(Instant::now()) {
                Some(wait) => thread::sleep(wait),
                None => times.late += 1,
            }
            self.sell(&mut times);
        }
        times
    }
}

/// Each phone has an address of its own.
fn address(phone: u16) -> Ipv4Addr {
    let [high, low] = phone.to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

fn say_times(figures: &mut Figures, tills: u16, mut times: Times, raw: &mut [Duration]) {
    let disk = part_ms(raw, 0.5);
    let shop = if tills == 1 { "1 till".to_owned() } else { format!("{tills} tills") };
    figures.plain(&format!("raw fdatasync beside {shop}, p50"), disk, "ms");
    figures.plain(&format!("raw fdatasync beside {shop}, p99"), part_ms(raw, 0.99), "ms");
    for (name, times) in [("request to phone", &mut times.to_phone), ("answer to till", &mut times.to_till)] {
        let p50 = part_ms(times, 0.5);
        figures.at_most(&format!("{name}, {shop}, p50"), p50, 2.0 * disk + OWN_MS, "ms");
        figures.plain(&format!("{name}, {shop}, p50 in fdatasyncs"), p50 / disk, "x");
        figures.plain(&format!("{name}, {shop}, p99"), part_ms(times, 0.99), "ms");
    }
    if times.late > 0 {
        figures.plain(&format!("sales begun late, {shop}"), f64::from(times.late), "");
    }
}

fn one_till(figures: &mut Figures, dose: Dose) {
    let mut house = House::new(1);
    let (_daemon, _) = house.start();
    let mut raw = Raw::new(house.stage.shop_books().parent().unwrap());
    let mut lane = Lane::open(&mut house.registers[0], 1, house.stage.portal, house.checkout);
    let mut beside = Vec::new();
    let mut times = Times::default();
    for n in 0..dose.sales_of_one {
        beside.push(raw.time());
        // Not in step with anything that wakes up every second.
        thread::sleep(EVERY / 2 + Duration::from_millis(u64::from(n % 7)));
        beside.push(raw.time());
        lane.sell(&mut times);
    }
    say_times(figures, 1, times, &mut beside);
}

fn idle(figures: &mut Figures, dose: Dose) {
    let house = House::new(TILLS);
    let (daemon, _) = house.start();
    let mut before = daemon.counted();
    for _ in 0..SETTLED_ROUNDS_MAX {
        thread::sleep(SETTLED);
        let written = before.disk_bytes;
        before = daemon.counted();
        if before.disk_bytes == written {
            break;
        }
    }
    figures.plain("memory at rest, 64 tills", daemon.resident_kib() as f64 / 1_024.0, "MiB");
    thread::sleep(dose.idle);
    let after = daemon.counted();
    let secs = dose.idle.as_secs();
    let name = |what: &str| format!("idle for {secs} s with 64 tills: {what}");
    figures.at_most(&name("to disk"), (after.disk_bytes - before.disk_bytes) as f64, 0.0, "bytes");
    figures.plain(&name("written at all"), (after.handed_bytes - before.handed_bytes) as f64, "bytes");
    let switches = after.switches.saturating_sub(before.switches) as f64;
    // The platform is looked for once a minute, which may fall into a shorter time.
    figures.at_most(&name("switches"), switches, 59.0, "");
}

fn all_tills(figures: &mut Figures, dose: Dose) {
    let mut house = House::new(TILLS);
    let (daemon, _) = house.start();
    let mut raw = Raw::new(house.stage.shop_books().parent().unwrap());
    let (portal, checkout) = (house.stage.portal, house.checkout);
    let mut lanes: Vec<Lane> =
        house.registers.iter_mut().zip(1..).map(|(r, till)| Lane::open(r, till, portal, checkout)).collect();
    let over = AtomicBool::new(false);
    let from = Instant::now() + EVERY / 2;
    let (times, mut beside) = thread::scope(|scope| {
        let running: Vec<_> = lanes
            .iter_mut()
            .zip(0..)
            .map(|(lane, n)| {
                scope.spawn(move || lane.open_loop(from + EVERY * n / u32::from(TILLS), dose.sales_of_each))
            })
            .collect();
        let disk = scope.spawn(|| {
            let mut beside = Vec::new();
            while !over.load(Ordering::Relaxed) {
                thread::sleep(RAW_EVERY);
                beside.push(raw.time());
            }
            beside
        });
        let mut all = Times::default();
        for lane in running {
            let times = lane.join().unwrap();
            all.to_phone.extend(times.to_phone);
            all.to_till.extend(times.to_till);
            all.late += times.late;
        }
        over.store(true, Ordering::Relaxed);
        (all, disk.join().unwrap())
    });
    say_times(figures, TILLS, times, &mut beside);
    rush(figures, dose, &mut lanes, &daemon);
    figures.plain("memory after the rush", daemon.resident_kib() as f64 / 1_024.0, "MiB");
}

/// As many sales as will go, at all tills.
fn rush(figures: &mut Figures, dose: Dose, lanes: &mut [Lane], daemon: &Daemon) {
    let (from, before) = (Instant::now(), daemon.counted());
    let sold: usize = thread::scope(|scope| {
        let running: Vec<_> = lanes
            .iter_mut()
            .map(|lane| {
                scope.spawn(move || {
                    let mut times = Times::default();
                    while from.elapsed() < dose.rush {
                        lane.sell(&mut times);
                    }
                    times.to_till.len()
                })
            })
            .collect();
        running.into_iter().map(|lane| lane.join().unwrap()).sum()
    });
    let (took, after, sold) = (from.elapsed(), daemon.counted(), sold as f64);
    // The sandbox hashes each customer's password, which takes longer than all that the daemon does for the sale.
    figures.plain("sales through the whole ring", sold / took.as_secs_f64(), "a second");
    figures.plain("processor time a sale", (after.busy - before.busy).as_secs_f64() * 1e3 / sold, "ms");
    figures.plain("to disk a sale", (after.disk_bytes - before.disk_bytes) as f64 / 1_024.0 / sold, "KiB");
    figures.plain("switches a sale", (after.switches - before.switches) as f64 / sold, "");
}

fn crowd(figures: &mut Figures) {
    let house = House::new(TILLS);
    let (daemon, _) = house.start();
    let resident = || daemon.resident_kib() as f64 / 1_024.0;
    let mut phones: Vec<Phone> = (0..PHONES)
        .map(|n| {
            let mut phone = Phone::log_in(house.stage.portal, address(n + 1), Some(n % TILLS + 1));
            phone.load();
            phone.listen();
            phone
        })
        .collect();
    figures.at_most(&format!("memory with {TILLS} tills and {PHONES} phones"), resident(), 32.0, "MiB");
    phones.iter_mut().for_each(Phone::load);
    figures.plain("memory while each phone also loads its page", resident(), "MiB");
}
