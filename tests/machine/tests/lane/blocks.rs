//! Power cuts as the books' disk sees them: every write of the machine is logged while tills are paid, and the disks that a
//! cut can leave are judged. What a till printed is kept outside, and must be there.

use crate::books;
use crate::dice::Dice;
use crate::log::{Disk, Log, Replay};
use crate::machine::{Disks, Machine, alone};
use crate::shop::{asks, is_told, opens};
use crate::town::Town;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Crash states where nothing else is asked for, and the number that asks.
const STATES: u64 = 1_000;
const ASKED: &str = "TILLGATE_BLOCK_STATES";
/// One sale for so many crash states: about as many writes as are cut.
const STATES_A_SALE: u64 = 50;
/// Sales and crash states of each control.
const CONTROL_SALES: u64 = 12;
const CONTROL_STATES: u64 = 100;
const TILLS: u16 = 3;

/// A sale whose till has printed that it is paid.
struct Printed {
    minor: u64,
    /// How long the log was then.
    log: u64,
}

/// What was done while the daemon waited for the disk in one way.
struct Phase {
    name: &'static str,
    /// Where the log began and ended.
    log: [u64; 2],
    states: u64,
}

#[test]
fn nothing_that_a_till_printed_is_missing_on_any_disk_that_a_power_cut_leaves() {
    let _alone = alone();
    let states = std::env::var(ASKED).map_or(STATES, |text| text.parse().unwrap());
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let seed = std::env::var("TILLGATE_SEED").map_or(u64::try_from(clock).unwrap(), |text| text.parse().unwrap());
    println!("{ASKED}={states} TILLGATE_SEED={seed}");
    let town = Town::new(TILLS);
    let mut disks = Disks::new(&town, "blocks");
    let log = town.stage.file("blocks.log");
    disks.log = Some(log.clone());
    let before = Disk::read(&disks.books);
    let mut machine = Machine::start(&disks);
    println!("up after {:.0} s", machine.is_up().as_secs_f64());
    opens(&mut machine, &town);
    machine.does("systemctl start phone@1 phone@2 phone@3");
    let length = || fs::metadata(&log).unwrap().len();
    let printed = Mutex::new(Vec::new());
    let mut phases = Vec::new();
    let next = AtomicU64::new(1_000);
    for (name, sales, states) in [
        ("full", states.div_ceil(STATES_A_SALE).max(6), states),
        ("normal", CONTROL_SALES, CONTROL_STATES),
        ("off", CONTROL_SALES, CONTROL_STATES),
    ] {
        if name != "full" {
            waits_for_the_disk(&mut machine, name);
        }
        // Of a shop's way also the making of the books is cut.
        let (began, from) = (Instant::now(), if name == "full" { 0 } else { length() });
        sells(&town, &next, sales, &printed, &length);
        phases.push(Phase { name, log: [from, length()], states });
        println!("{name}: {sales} sales in {:.0} s", began.elapsed().as_secs_f64());
    }
    machine.power_off();
    judge(&town, &Log::read(&log), before, &phases, &printed.into_inner().unwrap(), &mut Dice::new(seed));
}

/// From now on the daemon is one that waits for the disk in another way than a shop's.
fn waits_for_the_disk(machine: &mut Machine, how: &str) {
    machine.does(&format!(
        "mkdir -p /run/systemd/system/tillgate.service.d && cat >/run/systemd/system/tillgate.service.d/how.conf <<'END'\n\
         [Service]\nExecStart=\nExecStart=/usr/local/bin/inside run --config /etc/tillgate/tillgate.toml\n\
         Environment=TILLGATE_SYNCHRONOUS={how}\nExecPaths=/usr/local/bin/inside\nEND\n\
         systemctl daemon-reload && systemctl restart tillgate"
    ));
}

/// So many sales that a till has printed as paid, at all tills; no two of one amount.
fn sells(town: &Town, next: &AtomicU64, sales: u64, printed: &Mutex<Vec<Printed>>, length: &(impl Fn() -> u64 + Sync)) {
    let enough = printed.lock().unwrap().len() + usize::try_from(sales).unwrap();
    std::thread::scope(|scope| {
        for at in 0..usize::from(TILLS) {
            scope.spawn(move || {
                while printed.lock().unwrap().len() < enough {
                    let minor = next.fetch_add(1, Ordering::Relaxed);
                    let amount = format!("{}.{:02}", minor / 100, minor % 100);
                    let (_, text) = is_told(asks(town, at, &["pay", &amount]));
                    if text.contains("\nPAID") {
                        printed.lock().unwrap().push(Printed { minor, log: length() });
                    }
                }
            });
        }
    });
}

/// What was found in some crash states.
#[derive(Debug, Default)]
struct Tally {
    states: u64,
    /// States in which something printed is missing, and how many sales in all.
    lossy: u64,
    lost: u64,
    broken: Vec<String>,
}

fn judge(town: &Town, log: &Log, before: Disk, phases: &[Phase], printed: &[Printed], dice: &mut Dice) {
    println!("{} writes and flushes, {} sales printed as paid", log.entries.len(), printed.len());
    let mut replay = Replay::new(log, before);
    for phase in phases {
        let began = Instant::now();
        // Before each write of this time, and after the last: what was printed since then waits for the next one's.
        let place = |end: u64| log.entries.iter().position(|entry| entry.at >= end).unwrap_or(log.entries.len());
        let (first, last) = (place(phase.log[0]), place(phase.log[1]));
        let mut cuts: Vec<usize> =
            (0..phase.states).map(|_| usize::try_from(dice.within(first as u64, last as u64 + 1)).unwrap()).collect();
        cuts.sort_unstable();
        let tally = Mutex::new(Tally::default());
        // Two at a time: each is made by one and judged by another.
        for pair in cuts.chunks(2) {
            let disks: Vec<_> = pair.iter().map(|cut| (*cut, replay.cut(*cut, dice))).collect();
            std::thread::scope(|scope| {
                for (at, (cut, disk)) in disks.iter().enumerate() {
                    let tally = &tally;
                    scope.spawn(move || look(town, log, printed, *cut, disk, at, tally));
                }
            });
        }
        let tally = tally.into_inner().unwrap();
        println!(
            "{}: {} crash states in {:.0} s at {} places: {} with printed sales missing ({} in all), {} broken",
            phase.name,
            tally.states,
            began.elapsed().as_secs_f64(),
            last + 1 - first,
            tally.lossy,
            tally.lost,
            tally.broken.len()
        );
        if phase.name == "full" {
            assert!(tally.lossy == 0 && tally.broken.is_empty(), "{tally:?}");
        } else {
            assert!(tally.lossy > 0 || !tally.broken.is_empty(), "{}: it loses sales, and nobody noticed", phase.name);
        }
    }
}

fn look(town: &Town, log: &Log, printed: &[Printed], cut: usize, disk: &Disk, at: usize, tally: &Mutex<Tally>) {
    let image = town.stage.file(&format!("state-{cut}-{at}.img"));
    let folder = town.stage.file(&format!("state-{at}"));
    let _ = fs::remove_file(&image);
    disk.put(&image);
    let found = books::taken_out(&image, &folder).and_then(|db| books::read(&db));
    let reached = log.entries.get(cut).map_or(u64::MAX, |entry| entry.at);
    let mut tally = tally.lock().unwrap();
    tally.states += 1;
    match found {
        Err(what) => {
            keep(&image, cut);
            tally.broken.push(format!("after {cut} entries: {what}"));
        }
        Ok(sales) => {
            let approved = books::approved(&sales);
            let missing = printed.iter().filter(|sale| sale.log <= reached && !approved.contains(&sale.minor)).count();
            tally.lost += missing as u64;
            tally.lossy += u64::from(missing > 0);
        }
    }
    fs::remove_file(&image).unwrap();
}

/// The first broken disks are worth a look.
fn keep(image: &Path, cut: usize) {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broken-disk-{cut}.img"));
    let _ = std::process::Command::new("cp").arg("--sparse=always").arg(image).arg(kept).status();
}
