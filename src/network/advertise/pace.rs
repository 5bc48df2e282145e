//! When to advertise, and to whom (RFC 4861 6.2.4, 6.2.6). Time and dice come in; knows no socket and no byte.
//!
//! Phones that ask are told one by one, and all together are told rarely: each advertisement to all wakes every phone up
//! that sleeps (RFC 7772).

use super::message::Asker;
use crate::shop::time::Mono;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

/// Longest time between two advertisements to all (`MaxRtrAdvInterval`); the shortest is three quarters of it. So a phone
/// is woken up five times an hour.
pub(super) const INTERVAL_MS: u64 = 900_000;
const INTERVAL_MS_MIN: u64 = 675_000;
/// At the beginning there are so many, so far apart at most: one may be lost (`MAX_INITIAL_RTR_ADVERTISEMENTS`).
const FIRST: u8 = 3;
const FIRST_INTERVAL_MS: u64 = 16_000;
/// Two to all are never closer (`MIN_DELAY_BETWEEN_RAS`).
const BETWEEN_MS: u64 = 3_000;
/// An answer waits so long at most, by the dice. `MAX_RA_DELAY_TIME` would be 500, for links with several routers.
const DELAY_MS: u64 = 100;
/// Phones that wait for an answer. If more ask, all are told at once.
const WAITING_MAX: usize = 64;

/// Whom to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// Every phone.
    All,
    /// This one.
    Phone(Ipv6Addr),
}

/// What is due when.
#[derive(Debug)]
pub(super) struct Pace {
    /// The next to all.
    next: Mono,
    /// The last to all.
    last: Option<Mono>,
    /// How many of the first are still to come.
    first: u8,
    waiting: BTreeMap<Ipv6Addr, Mono>,
}

impl Pace {
    /// All are told at once.
    pub(super) fn begins(now: Mono) -> Pace {
        Pace { next: now, last: None, first: FIRST, waiting: BTreeMap::new() }
    }

    /// What there is to say has changed: it is said as at the beginning.
    pub(super) fn begins_again(&mut self, now: Mono) {
        self.next = self.not_too_close(now);
        self.first = FIRST;
    }

    /// Somebody asks.
    pub(super) fn asked(&mut self, now: Mono, asker: Asker, dice: u64) {
        let soon = now.plus_ms(up_to(DELAY_MS, dice));
        match asker {
            Asker::Phone(phone) if self.waiting.contains_key(&phone) => {}
            Asker::Phone(phone) if self.waiting.len() < WAITING_MAX => drop(self.waiting.insert(phone, soon)),
            Asker::Phone(_) | Asker::Anybody => self.next = self.next.min(self.not_too_close(soon)),
        }
    }

    /// When there is something to say.
    pub(super) fn due(&self) -> Mono {
        self.waiting.values().copied().min().map_or(self.next, |phone| phone.min(self.next))
    }

    /// Whom to tell now; asked again and again until nobody is left. Whoever it says is taken as told.
    pub(super) fn tells(&mut self, now: Mono, dice: u64) -> Option<To> {
        if self.next <= now {
            self.first = self.first.saturating_sub(1);
            let wait = match self.first {
                0 => INTERVAL_MS_MIN.saturating_add(up_to(INTERVAL_MS.abs_diff(INTERVAL_MS_MIN), dice)),
                _ => FIRST_INTERVAL_MS,
            };
            self.next = now.plus_ms(wait);
            self.last = Some(now);
            // Those who wait hear it, too.
            self.waiting.clear();
            return Some(To::All);
        }
        let phone = self.waiting.iter().find(|(_, due)| **due <= now).map(|(phone, _)| *phone)?;
        self.waiting.remove(&phone);
        Some(To::Phone(phone))
    }

    fn not_too_close(&self, at: Mono) -> Mono {
        self.last.map_or(at, |last| at.max(last.plus_ms(BETWEEN_MS)))
    }
}

/// What the dice say, from nothing to `most`.
fn up_to(most: u64, dice: u64) -> u64 {
    dice.checked_rem(most.saturating_add(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "fe80::7";

    fn phone(text: &str) -> Asker {
        Asker::Phone(text.parse().unwrap())
    }

    /// Everything said until this time by a sender that wakes up exactly when it must; the dice always show this.
    fn until(pace: &mut Pace, end: u64, dice: u64) -> Vec<(u64, To)> {
        let mut said = Vec::new();
        while pace.due() <= Mono(end) {
            let now = pace.due();
            while let Some(to) = pace.tells(now, dice) {
                said.push((now.0, to));
            }
        }
        said
    }

    #[test]
    fn all_are_told_at_once_then_twice_within_a_minute_then_five_times_an_hour_at_most() {
        for (dice, interval) in [(0, 675_000), (225_000, 900_000), (225_001, 675_000), (u64::MAX, 675_000 + 113_639)] {
            let mut pace = Pace::begins(Mono(5));
            let times: Vec<u64> = until(&mut pace, 3_600_000, dice).iter().map(|(at, _)| *at).collect();
            let first = [5, 16_005, 32_005];
            let later = (1..).map(|n| 32_005 + n * interval).take_while(|at| *at <= 3_600_000);
            assert_eq!(times, first.into_iter().chain(later).collect::<Vec<_>>(), "{dice}");
        }
        assert_eq!(u64::MAX % 225_001, 113_639);
    }

    #[test]
    fn a_phone_that_asks_is_told_alone_once_and_within_a_tenth_of_a_second() {
        for (dice, delay) in [(0, 0), (100, 100), (101, 0), (u64::MAX, 78)] {
            let mut pace = Pace::begins(Mono(0));
            until(&mut pace, 40_000, 0);
            pace.asked(Mono(40_000), phone(PHONE), dice);
            pace.asked(Mono(40_000), phone(PHONE), dice.wrapping_add(7));
            assert_eq!(until(&mut pace, 50_000, 0), [(40_000 + delay, To::Phone(PHONE.parse().unwrap()))], "{dice}");
        }
        assert_eq!(u64::MAX % 101, 78);
    }

    #[test]
    fn a_phone_without_an_address_is_told_with_all_others_and_these_are_told_at_most_every_three_seconds() {
        let mut pace = Pace::begins(Mono(0));
        assert_eq!(until(&mut pace, 0, 0), [(0, To::All)]);
        let mut said = Vec::new();
        for at in (1..10_000).step_by(10) {
            pace.asked(Mono(at), Asker::Anybody, 0);
            said.extend(until(&mut pace, at, 0));
        }
        // Whoever asked last is told, too, though nobody asks any more.
        said.extend(until(&mut pace, 20_000, 0));
        assert_eq!(said, [3_000, 6_000, 9_000, 12_000].map(|at| (at, To::All)));
        // It is one more than there would have been, and puts off the regular one.
        pace.asked(Mono(20_000), Asker::Anybody, 50);
        assert_eq!(until(&mut pace, 600_000, 0), [(20_050, To::All)]);
    }

    #[test]
    fn too_many_who_ask_at_once_are_told_together() {
        let mut pace = Pace::begins(Mono(0));
        until(&mut pace, 40_000, 0);
        for n in 0..10_000_u32 {
            pace.asked(Mono(40_000), Asker::Phone(Ipv6Addr::from(0xfe80 << 112 | u128::from(n))), 99);
        }
        assert_eq!(pace.waiting.len(), WAITING_MAX);
        // Whoever was to be told alone at this time hears it with the others.
        assert_eq!(until(&mut pace, 50_000, 0), [(40_099, To::All)]);
    }

    #[test]
    fn a_change_is_told_soon_but_never_less_than_three_seconds_after_the_last_time() {
        let mut pace = Pace::begins(Mono(0));
        until(&mut pace, 32_000, 0);
        pace.begins_again(Mono(33_000));
        let all = |times: &[u64]| times.iter().map(|at| (*at, To::All)).collect::<Vec<_>>();
        assert_eq!(until(&mut pace, 100_000, 0), all(&[35_000, 51_000, 67_000]));
        pace.begins_again(Mono(100_000));
        assert_eq!(until(&mut pace, 100_000, 0), all(&[100_000]));
    }
}
