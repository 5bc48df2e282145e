//! From when until when a certificate counts, and what follows of it: when to renew it, when to be loud. Reads no clock.

use crate::shop::time::Wall;
use std::time::Duration;

/// The largest jitter: `u16::MAX`.
const JITTER_MAX: i128 = 65_535;
/// How often the next try of a renewal may come at most, and must at least.
const RETRY_MIN_MS: i64 = 1_000;
const RETRY_MAX_MS: i64 = 6 * 60 * 60 * 1_000;
/// How often one that has ended is tried: platforms refuse it, but it may be the clock that is wrong.
const RETRY_OVER: Duration = Duration::from_secs(60 * 60);
/// How often a certificate that nobody renews by itself is spoken of at its end.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// How long before its end one that people renew is spoken of, at most.
const WARN_MS: i64 = 30 * DAY_MS;

/// The time of a certificate (RFC 5280, section 4.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its first moment.
    pub from: Wall,
    /// Its last.
    pub until: Wall,
}

/// How near its end a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// There is time.
    Far,
    /// Less than half of the last third is left, and never more than 30 days: somebody must look.
    Near,
    /// It does not count any more.
    Over,
}

impl Life {
    /// The time of a certificate in DER, if it is one.
    pub fn of(certificate: &[u8]) -> Option<Life> {
        // Certificate { tbs { [0] version, serial, algorithm, issuer, validity { from, until } .. } .. }
        let tbs = der(der(certificate)?.content)?.content;
        let first = der(tbs)?;
        let serial = if first.tag == 0xa0 { der(first.rest)? } else { first };
        let issuer = der(der(serial.rest)?.rest)?;
        let validity = der(issuer.rest)?;
        let from = der(validity.content)?;
        Some(Life { from: time(&from)?, until: time(&der(from.rest)?)? })
    }

    /// How long it is.
    fn length_ms(self) -> i64 {
        self.until.0.saturating_sub(self.from.0).max(0)
    }

    /// When to renew it: at two thirds, and up to a 24th of it later, as `jitter` says, so that the boxes of a platform do not
    /// all come at once.
    pub fn renew_at(self, jitter: u16) -> Wall {
        let length = self.length_ms();
        let more = i128::from(length / 24).saturating_mul(i128::from(jitter)) / JITTER_MAX;
        let thirds = i128::from(length).saturating_mul(2) / 3;
        Wall(self.from.0.saturating_add(i64::try_from(thirds.saturating_add(more)).unwrap_or(length)))
    }

    /// From when on it is near its end.
    pub fn near_at(self) -> Wall {
        Wall(self.until.0.saturating_sub((self.length_ms() / 6).min(WARN_MS)))
    }

    /// How near its end it is.
    pub fn nearness(self, now: Wall) -> Nearness {
        match now {
            now if now > self.until => Nearness::Over,
            now if now >= self.near_at() => Nearness::Near,
            _ => Nearness::Far,
        }
    }

    /// When to try again after a renewal that failed: sooner the nearer the end is.
    pub fn retry_in(self, now: Wall) -> Duration {
        if self.nearness(now) == Nearness::Over {
            return RETRY_OVER;
        }
        let least = (self.length_ms() / 100_000).clamp(RETRY_MIN_MS, 60_000);
        let ms = (self.until.0.saturating_sub(now.0) / 8).clamp(least, RETRY_MAX_MS);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// When to speak next of a certificate that people renew: when it gets near, then once a day.
    pub fn speak_at(self, now: Wall) -> Wall {
        match self.nearness(now) {
            Nearness::Far => self.near_at(),
            Nearness::Near | Nearness::Over => Wall(now.0.saturating_add(DAY_MS)),
        }
    }
}

/// UTCTime or GeneralizedTime.
fn time(element: &Der<'_>) -> Option<Wall> {
    let digits = std::str::from_utf8(element.content).ok()?.strip_suffix('Z')?;
    let digits = match (element.tag, digits.get(..2)?.parse::<u8>().ok()?) {
        (0x17, 50..) => format!("19{digits}"),
        (0x17, _) => format!("20{digits}"),
        (0x18, _) => digits.to_owned(),
        _ => return None,
    };
    let (date, time) = digits.split_at_checked(8)?;
    let at: jiff::Timestamp = format!("{date}T{time}Z").parse().ok()?;
    Some(Wall(at.as_millisecond()))
}

struct Der<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

/// The first element (X.690, lengths of at most four bytes).
fn der(bytes: &[u8]) -> Option<Der<'_>> {
    let (&tag, after) = bytes.split_first()?;
    let (&short, after) = after.split_first()?;
    let (length, after) = match short {
        0..=0x7f => (usize::from(short), after),
        0x81..=0x84 => {
            let (long, after) = after.split_at_checked(usize::from(short & 0x7f))?;
            (long.iter().try_fold(0_usize, |n, byte| n.checked_mul(256)?.checked_add(usize::from(*byte)))?, after)
        }
        _ => return None,
    };
    let (content, rest) = after.split_at_checked(length)?;
    Some(Der { tag, content, rest })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// 90 days from 0.
    fn quarter() -> Life {
        Life { from: Wall(0), until: Wall(90 * DAY_MS) }
    }

    #[test]
    fn a_certificate_is_renewed_at_two_thirds_and_boxes_do_not_come_all_at_once() {
        assert_eq!(quarter().renew_at(0), Wall(60 * DAY_MS));
        assert_eq!(quarter().renew_at(u16::MAX), Wall(60 * DAY_MS + 90 * HOUR_MS));
        assert!(quarter().renew_at(u16::MAX) < quarter().near_at());
    }

    #[test]
    fn it_is_near_its_end_in_the_last_sixth_and_never_for_more_than_thirty_days() {
        assert_eq!(quarter().near_at(), Wall(75 * DAY_MS));
        let long = Life { from: Wall(0), until: Wall(825 * DAY_MS) };
        assert_eq!(long.near_at(), Wall(795 * DAY_MS));
        let at = |ms| quarter().nearness(Wall(ms));
        assert_eq!(
            [at(0), at(75 * DAY_MS), at(90 * DAY_MS), at(90 * DAY_MS + 1)],
            [Nearness::Far, Nearness::Near, Nearness::Near, Nearness::Over]
        );
    }

    #[test]
    fn tries_come_at_ease_and_sooner_towards_the_end() {
        let after = |ms| quarter().retry_in(Wall(ms)).as_secs();
        assert_eq!(after(60 * DAY_MS), 6 * 3_600);
        assert_eq!(after(89 * DAY_MS), 3 * 3_600);
        assert_eq!(after(90 * DAY_MS), 60);
        assert_eq!(after(91 * DAY_MS), 3_600);
        let short = Life { from: Wall(0), until: Wall(10_000) };
        assert_eq!(short.retry_in(Wall(9_999)).as_secs(), 1);
    }

    #[test]
    fn the_oddest_times_do_no_harm() {
        for (from, until) in [(0, 0), (5, 1), (i64::MIN, i64::MAX), (i64::MAX, i64::MIN), (i64::MAX, i64::MAX)] {
            let life = Life { from: Wall(from), until: Wall(until) };
            for now in [i64::MIN, 0, i64::MAX] {
                assert!(life.retry_in(Wall(now)) >= Duration::from_secs(1));
                let _ = (life.renew_at(7), life.nearness(Wall(now)), life.speak_at(Wall(now)));
            }
        }
    }
}
