//! The machine's clocks and randomness, read once per step for the shop. Decides only whether the date is believed.

use crate::shop::time::{BootId, Mono, Now, Stamp, Wall};
use ring::rand::{SecureRandom, SystemRandom};
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A date before this one cannot be right: this source did not exist yet (2026-11-22).
const WRITTEN_AFTER_SECS: i64 = 1_795_305_600;
/// The same of this program, where its build says when it was (`SOURCE_DATE_EPOCH`, seconds since 1970).
const BUILT_AFTER_MS: i64 = built_after_secs(option_env!("SOURCE_DATE_EPOCH")).saturating_mul(1_000);
/// There once systemd-timesyncd has set the clock by a time server since the machine started.
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// There if the machine has a clock that runs on without power.
const BATTERY: &str = "/sys/class/rtc/rtc0";

/// Reads time and randomness for the ring.
#[derive(Clone, Debug)]
pub struct Clock {
    boot: BootId,
    floor: Wall,
    random: SystemRandom,
}

/// Why the date is believed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It is earlier than the program or its newest record: it cannot be right.
    Wrong,
    /// A time server has set it since the machine started.
    Synchronised,
    /// It was kept by a battery, or set, as far as one can see; no time server is known of.
    Plausible,
    /// It is not earlier than it may be, but nothing keeps it while the power is off: it may be late.
    MayBeLate,
}

impl Clock {
    /// A clock for this boot. Dates before `last_record` (the newest on disk) are not believed, unless from a time server.
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

    /// The time now; without a date while the machine's date cannot be right.
    pub fn now(&self) -> Now {
        Now { boot: self.boot, mono: Clock::mono(), wall: self.believed(is_synchronised) }
    }

    /// How far the date is believed now.
    pub fn trust(&self) -> Trust {
        match (self.believed(is_synchronised), is_synchronised(), Path::new(BATTERY).exists()) {
            (None, _, _) => Trust::Wrong,
            (Some(_), true, _) => Trust::Synchronised,
            (Some(_), false, true) => Trust::Plausible,
            (Some(_), false, false) => Trust::MayBeLate,
        }
    }

    /// Dates before this one are not believed.
    pub fn floor(&self) -> Wall {
        self.floor
    }

    fn believed(&self, synchronised: impl Fn() -> bool) -> Option<Wall> {
        shown().filter(|wall| may_be(*wall, self.floor, synchronised))
    }

    /// Whether certificates can be judged by the machine's date. That it is a little earlier than the newest record
    /// forbids new sales, but not that open ones are followed up.
    pub fn judges_certificates() -> bool {
        shown().is_some_and(|wall| wall >= Wall(BUILT_AFTER_MS))
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

/// What the machine's clock shows.
fn shown() -> Option<Wall> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    since.and_then(|d| i64::try_from(d.as_millis()).ok()).map(Wall)
}

/// Whether it can be so. A record that was written while the clock was ahead is outvoted by a time server.
fn may_be(wall: Wall, floor: Wall, synchronised: impl Fn() -> bool) -> bool {
    wall >= floor || (wall >= Wall(BUILT_AFTER_MS) && synchronised())
}

fn is_synchronised() -> bool {
    Path::new(SYNCHRONISED).exists()
}

/// The later of what the build says and what the source says. What is no number says nothing.
const fn built_after_secs(said: Option<&str>) -> i64 {
    let Some(text) = said else { return WRITTEN_AFTER_SECS };
    let mut secs: i64 = 0;
    let mut rest = text.as_bytes();
    while let [digit @ b'0'..=b'9', more @ ..] = rest {
        secs = secs.saturating_mul(10).saturating_add(digit.saturating_sub(b'0') as i64);
        rest = more;
    }
    if rest.is_empty() && secs > WRITTEN_AFTER_SECS { secs } else { WRITTEN_AFTER_SECS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_moves_the_floor_up_and_never_down() {
        let later = WRITTEN_AFTER_SECS + 86_400;
        assert_eq!(built_after_secs(Some(&later.to_string())), later);
        for none in [None, Some(""), Some("1000"), Some("soon"), Some("1e99"), Some("-1795392000")] {
            assert_eq!(built_after_secs(none), WRITTEN_AFTER_SECS, "{none:?}");
        }
    }

    #[test]
    fn a_time_server_outvotes_the_newest_record_but_not_the_build() {
        let [build, between, record] = [0, 1, 2].map(|days| Wall(BUILT_AFTER_MS + days * 86_400_000));
        let before = Wall(BUILT_AFTER_MS - 1);
        for (wall, unsynchronised, synchronised) in
            [(before, false, false), (build, false, true), (between, false, true), (record, true, true)]
        {
            let found = [false, true].map(|by_server| may_be(wall, record, || by_server));
            assert_eq!(found, [unsynchronised, synchronised], "{wall:?}");
        }
    }
}
