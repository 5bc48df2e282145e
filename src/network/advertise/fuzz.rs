//! Router solicitations from arbitrary bytes, and when they are answered. Opens no socket.

use super::message::{Asker, SOLICIT_BYTES_MAX, solicitation};
use super::pace::{Pace, To};
use crate::shop::time::Mono;
use std::net::Ipv6Addr;

/// One of all is never sooner after another.
const BETWEEN_MS: u64 = 3_000;
/// Who asks waits no longer.
const DELAY_MS: u64 = 100;

/// Hears `data` as solicitations: who asks, milliseconds since the one before, the length of what is said, and that.
pub fn solicits(mut data: &[u8]) {
    let (mut now, mut pace) = (Mono(0), Pace::begins(Mono(0)));
    let mut last = None;
    let mut waiting: Vec<(Ipv6Addr, Mono)> = Vec::new();
    let mut tell = |pace: &mut Pace, now: Mono, waiting: &mut Vec<(Ipv6Addr, Mono)>| {
        let mut told = 0;
        while let Some(to) = pace.tells(now, now.0) {
            told += 1;
            match to {
                To::All => {
                    assert!(last.is_none_or(|last: Mono| last.plus_ms(BETWEEN_MS) <= now), "too soon for all");
                    last = Some(now);
                    waiting.clear();
                }
                To::Phone(phone) => {
                    assert!(phone.is_unicast_link_local());
                    let at = waiting.iter().position(|(one, _)| *one == phone).expect("only who asks is told");
                    waiting.remove(at);
                }
            }
            assert!(told <= 65, "it never ends");
        }
        assert!(pace.due() > now, "nothing is left that is due");
        let late = waiting.iter().find(|(_, since)| since.plus_ms(DELAY_MS.max(BETWEEN_MS)) < now);
        assert_eq!(late, None, "not told for so long");
    };
    tell(&mut pace, now, &mut waiting);
    while let [who, gap, length, rest @ ..] = data {
        let (said, after) = rest.split_at_checked(usize::from(*length)).unwrap_or((rest, &[]));
        data = after;
        // Each is said when it is due, and not when the next one asks.
        let next = now.plus_ms(u64::from(*gap) * u64::from(*gap));
        while pace.due() <= next {
            let due = pace.due();
            tell(&mut pace, due, &mut waiting);
        }
        now = next;
        let from = match who % 4 {
            0 => Ipv6Addr::UNSPECIFIED,
            1 => Ipv6Addr::from((0xfe80 << 112) | u128::from(*who)),
            2 => said.first_chunk().map_or(Ipv6Addr::LOCALHOST, |bytes| Ipv6Addr::from(*bytes)),
            _ => Ipv6Addr::from((0x2001_0db8 << 96) | u128::from(*who)),
        };
        // A short one may stand for one that is far too long.
        let long = if *length == u8::MAX { said.repeat(6) } else { said.to_vec() };
        let Some(asker) = solicitation(from, &long) else { continue };
        assert!(long.len() <= SOLICIT_BYTES_MAX && long.len() % 8 == 0 && long.starts_with(&[133, 0]));
        match asker {
            Asker::Anybody => assert!(from.is_unspecified()),
            Asker::Phone(phone) => {
                assert!(phone == from && phone.is_unicast_link_local());
                if !waiting.iter().any(|(one, _)| *one == phone) {
                    waiting.push((phone, now));
                }
            }
        }
        pace.asked(now, asker, u64::from(*who) * 31);
        tell(&mut pace, now, &mut waiting);
    }
}
