//! The machine's clocks and randomness, read once per step for the shop. Decides only whether the date is believed.

use crate::shop::time::{BootId, Mono, Now, Stamp, Wall};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// A date before this one cannot be right: this source did not exist yet (2026-11-22).
const BUILT_AFTER_MS: i64 = 1_795_305_600_000;

/// Reads time and randomness for the ring.
#[derive(Debug)]
pub struct Clock {
    boot: BootId,
    floor: Wall,
    random: SystemRandom,
}

impl Clock {
    /// A clock for this boot. Dates before `last_record` (the newest on disk) are not believed.
    pub fn new(last_record: Option<Wall>) -> io::Result<Clock> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        let boot = u128::from_str_radix(&hex, 16).map_err(io::Error::other)?;
        let floor = last_record.unwrap_or(Wall(BUILT_AFTER_MS)).max(Wall(BUILT_AFTER_MS));
        Ok(Clock { boot: BootId(boot), floor, random: SystemRandom::new() })
    }

    /// Milliseconds since boot, sleep included.
    pub fn mono() -> Mono {
        let t = clock_gettime(ClockId::Boottime);
        let ms = u64::try_from(t.tv_sec).unwrap_or(0).saturating_mul(1_000);
        Mono(ms.saturating_add(u64::try_from(t.tv_nsec).unwrap_or(0) / 1_000_000))
    }

    /// The time now; without a date while the machine's date is before the floor.
    pub fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
        let wall = since.and_then(|d| i64::try_from(d.as_millis()).ok()).map(Wall);
        Now { boot: self.boot, mono: Clock::mono(), wall: wall.filter(|w| *w >= self.floor) }
    }

    /// The time now and a fresh seed. The operating system's random numbers failing is not survivable.
    pub fn stamp(&self) -> Stamp {
        Stamp { now: self.now(), seed: self.bits() }
    }

    /// 128 fresh random bits.
    pub fn bits(&self) -> u128 {
        let mut bytes = [0; 16];
        if self.random.fill(&mut bytes).is_err() {
            std::process::abort();
        }
        u128::from_le_bytes(bytes)
    }
}
