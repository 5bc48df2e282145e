//! The machine the program runs on: its clocks, its disk, and how both fail.

use crate::dice::{Dice, mix};
use std::path::PathBuf;
use tillgate::shop::time::{BootId, Mono, Now, Stamp, Wall};
use tillgate::store::{OpenError, Store};

/// The date when a run begins, in milliseconds.
const BEGIN_MS: i64 = 1_800_000_000_000;
/// A date before this one is not believed.
const FLOOR_MS: i64 = 1_795_305_600_000;

/// Where the store lives.
#[derive(Clone, Debug)]
pub enum Disk {
    /// In memory: a power cut keeps what was committed.
    Memory,
    /// In this file: a power cut closes and opens it.
    File(PathBuf),
}

/// The clocks.
#[derive(Debug)]
pub struct Machine {
    /// Which boot this is.
    pub boot: u64,
    /// When it was booted, in milliseconds of the run.
    pub booted: u64,
    /// How far the date is off; none while it is not set.
    pub skew_ms: Option<i64>,
    /// Dates before this one are not believed.
    pub floor: i64,
    /// Whether a time server has set the date: then an earlier one than the records' is believed too.
    synchronised: bool,
    seed: u64,
    stamps: u64,
}

impl Machine {
    /// A machine just booted.
    pub fn new(seed: u64) -> Machine {
        Machine { boot: 1, booted: 0, skew_ms: Some(0), floor: FLOOR_MS, synchronised: false, seed, stamps: 0 }
    }

    /// Milliseconds since boot at `t`.
    pub fn mono(&self, t: u64) -> Mono {
        Mono(t - self.booted + 5_000)
    }

    /// When the machine's `mono` is, in milliseconds of the run.
    pub fn when(&self, mono: Mono) -> u64 {
        self.booted.saturating_add(mono.0.saturating_sub(5_000))
    }

    /// The true date.
    pub fn date(&self, t: u64) -> i64 {
        BEGIN_MS + t as i64
    }

    /// The time as the program reads it.
    pub fn now(&self, t: u64) -> Now {
        let wall = self.skew_ms.map(|skew| BEGIN_MS + t as i64 + skew).filter(|wall| *wall >= self.believed_from());
        Now { boot: BootId(u128::from(self.boot)), mono: self.mono(t), wall: wall.map(Wall) }
    }

    fn believed_from(&self) -> i64 {
        if self.synchronised { FLOOR_MS } else { self.floor }
    }

    /// From now on the date is kept right: in every second run by a time server, else by hand, which sets it to what is
    /// believed if a date of the future was believed once.
    pub fn keeps_time(&mut self, t: u64) {
        self.synchronised = self.seed.is_multiple_of(2);
        self.skew_ms = Some(0.max(self.believed_from() - self.date(t)));
    }

    /// The time, and randomness.
    pub fn stamp(&mut self, t: u64) -> Stamp {
        self.stamps += 1;
        let (high, low) = (mix(self.seed, self.stamps), mix(self.stamps, !self.seed));
        Stamp { now: self.now(t), seed: u128::from(high) << 64 | u128::from(low) }
    }

    /// The program starts: what the store has seen cannot be undone by a clock.
    pub fn starts(&mut self, last: Option<Wall>) {
        self.floor = last.map_or(FLOOR_MS, |last| last.0.max(FLOOR_MS));
    }
}

impl Disk {
    /// A new store.
    pub fn open(&self) -> Result<Store, OpenError> {
        match self {
            Disk::Memory => Store::in_memory(),
            Disk::File(path) => {
                for end in ["", "-wal", "-shm", "-lock"] {
                    let mut name = path.clone().into_os_string();
                    name.push(end);
                    let _ = std::fs::remove_file(name);
                }
                Store::open(path)
            }
        }
    }

    /// What a power cut leaves of a store.
    pub fn after_power_cut(&self, store: Store, check: bool) -> Result<Store, OpenError> {
        match self {
            Disk::Memory => store.after_power_cut(check),
            Disk::File(path) => {
                drop(store);
                Store::open(path)
            }
        }
    }
}

/// Makes the next commit of this store fail somewhere, as a full or broken disk does.
pub fn break_commit(store: &mut Store, d: &mut Dice) -> &'static str {
    let conn = store.connection_mut();
    match d.below(3) {
        0 => {
            let pages: u64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("a page count");
            conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).expect("a limit");
            "disk full"
        }
        1 => {
            let mut left = d.below(60);
            let over = move || {
                left = left.saturating_sub(1);
                left == 0
            };
            conn.progress_handler(8, Some(over)).expect("a progress handler");
            conn.commit_hook(Some(|| true)).expect("a commit hook");
            "broken in the middle of a commit"
        }
        _ => {
            conn.commit_hook(Some(|| true)).expect("a commit hook");
            "broken at the end of a commit"
        }
    }
}

/// The disk is well again.
pub fn mend_commit(store: &mut Store) {
    let conn = store.connection_mut();
    conn.progress_handler(0, None::<fn() -> bool>).expect("no progress handler");
    conn.commit_hook(None::<fn() -> bool>).expect("no commit hook");
    conn.query_row("PRAGMA max_page_count = 4294967294", [], |_| Ok(())).expect("no limit");
}
