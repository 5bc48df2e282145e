//! What daemon and helper say to each other: messages of 40 bytes. Opens no socket.
//!
//! | bytes | a request | an answer |
//! |---|---|---|
//! | 0 | version: 1 | the same |
//! | 1 | kind: 1 allow, 2 revoke, 3 sync begins, 4 sync ends, 5 stats | the same and 128; 144: notice |
//! | 2 | way of *allow*: 1 paying, 2 online; else 0 | 0 |
//! | 3 | 0 | 0: done, else why not ([`Refused`]) |
//! | 4..8 | number of the request, big-endian | the same; of a notice 0 |
//! | 8..14 | hardware address of *allow* and *revoke*, else 0 | of stats: [`Stats`], five numbers of 4 bytes; else 0 |
//! | 14..16 | 0 | |
//! | 16..20 | IPv4 address of *allow* and *revoke*, else 0 | |
//! | 20..28 | milliseconds of *allow*, else 0; big-endian | |
//! | 28..40 | 0 | |
//!
//! Between *sync begins* and *sync ends*, *allow* says who is to be let through; whoever is not named is let through no
//! more. Each request is answered once, in order. A notice says: the table was lost and put back, so sync.

use super::phone::{Phone, Way};
use std::net::Ipv4Addr;

/// How long every message is.
pub const WORD_BYTES: usize = 40;
const VERSION: u8 = 1;
const ANSWER: u8 = 0x80;
const NOTICE: u8 = 0x90;

/// A message.
pub type Word = [u8; WORD_BYTES];

/// What the daemon asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// Let a phone through from now on, for so long and no longer.
    Allow {
        /// Whom.
        phone: Phone,
        /// How far.
        way: Way,
        /// For how long.
        ms: u64,
    },
    /// Let it through no more.
    Revoke {
        /// Whom.
        phone: Phone,
    },
    /// What follows is all.
    SyncBegins,
    /// That was all.
    SyncEnds,
    /// How do things stand?
    Stats,
}

/// What the helper says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The request of this number is done.
    Done(u32),
    /// It is not.
    Refused(u32, Refused),
    /// How things stand.
    Stats(u32, Stats),
    /// The table was lost and has been put back; say again who is to be let through.
    Restored,
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It makes no sense.
    Nonsense,
    /// The address is not one of a guest.
    Address,
    /// The hardware address is not one of a guest.
    Mac,
    /// Longer than the configured maximum, or no time at all.
    Time,
    /// So many phones are let through already.
    TooMany,
    /// The kernel refused it; the helper's journal says why.
    Kernel,
}

/// What the helper counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Phones that pay.
    pub paying: u32,
    /// Phones that are online.
    pub online: u32,
    /// Requests refused since it started.
    pub refused: u32,
    /// How often the table was lost and put back since it started.
    pub restored: u32,
    /// Seconds since it started.
    pub uptime_secs: u32,
}

const REFUSALS: [(u8, Refused); 6] = [
    (1, Refused::Nonsense),
    (2, Refused::Address),
    (3, Refused::Mac),
    (4, Refused::Time),
    (5, Refused::TooMany),
    (6, Refused::Kernel),
];

impl Request {
    /// As bytes, under this number.
    pub fn to_word(&self, number: u32) -> Word {
        let mut word = Writer([0; WORD_BYTES]);
        let kind = match self {
            Request::Allow { phone, way, ms } => {
                let way = match way {
                    Way::Paying => 1,
                    Way::Online => 2,
                };
                word.put(2, &[way]);
                word.phone(phone);
                word.put(20, &ms.to_be_bytes());
                1
            }
            Request::Revoke { phone } => {
                word.phone(phone);
                2
            }
            Request::SyncBegins => 3,
            Request::SyncEnds => 4,
            Request::Stats => 5,
        };
        word.head(kind, number)
    }

    /// The request and its number. `None` for anything that [`Request::to_word`] does not make.
    pub fn from_word(word: &Word) -> Option<(Request, u32)> {
        let number = u32::from_be_bytes(take(word, 4));
        let phone = Phone { mac: take(word, 8), ip: Ipv4Addr::from(take::<4>(word, 16)) };
        let ms = u64::from_be_bytes(take(word, 20));
        let [_, kind, way, ..] = *word;
        let request = match (kind, way) {
            (1, 1) => Request::Allow { phone, way: Way::Paying, ms },
            (1, 2) => Request::Allow { phone, way: Way::Online, ms },
            (2, 0) => Request::Revoke { phone },
            (3, 0) => Request::SyncBegins,
            (4, 0) => Request::SyncEnds,
            (5, 0) => Request::Stats,
            _ => return None,
        };
        // Nothing may stand where nothing belongs: that keeps the places free for later versions.
        (request.to_word(number) == *word).then_some((request, number))
    }
}

impl Answer {
    /// As bytes. `request`: the kind byte of what is answered.
    pub fn to_word(&self, request: u8) -> Word {
        let mut word = Writer([0; WORD_BYTES]);
        match self {
            Answer::Done(number) => word.head(request | ANSWER, *number),
            Answer::Refused(number, why) => {
                let code = REFUSALS.iter().find(|(_, one)| one == why).map_or(1, |(code, _)| *code);
                word.put(3, &[code]);
                word.head(request | ANSWER, *number)
            }
            Answer::Stats(number, stats) => {
                let Stats { paying, online, refused, restored, uptime_secs } = *stats;
                for (at, count) in (8..).step_by(4).zip([paying, online, refused, restored, uptime_secs]) {
                    word.put(at, &count.to_be_bytes());
                }
                word.head(request | ANSWER, *number)
            }
            Answer::Restored => word.head(NOTICE, 0),
        }
    }

    /// What the helper says; `None` if it is of another version or makes no sense.
    pub fn from_word(word: &Word) -> Option<Answer> {
        let [VERSION, kind, _, code, ..] = *word else { return None };
        let number = u32::from_be_bytes(take(word, 4));
        let count = |at| u32::from_be_bytes(take(word, at));
        match (kind, code) {
            (NOTICE, 0) => Some(Answer::Restored),
            (0x85, 0) => {
                let (paying, online, refused) = (count(8), count(12), count(16));
                let stats = Stats { paying, online, refused, restored: count(20), uptime_secs: count(24) };
                Some(Answer::Stats(number, stats))
            }
            (0x80..=0x84, 0) => Some(Answer::Done(number)),
            (0x80..=0xff, code) => {
                REFUSALS.iter().find(|(one, _)| *one == code).map(|(_, why)| Answer::Refused(number, *why))
            }
            _ => None,
        }
    }
}

struct Writer(Word);

impl Writer {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    fn phone(&mut self, phone: &Phone) {
        self.put(8, &phone.mac);
        self.put(16, &phone.ip.octets());
    }

    fn head(mut self, kind: u8, number: u32) -> Word {
        self.put(0, &[VERSION, kind]);
        self.put(4, &number.to_be_bytes());
        self.0
    }
}

fn take<const N: usize>(word: &Word, at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    for (to, from) in bytes.iter_mut().zip(word.iter().skip(at)) {
        *to = *from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: Phone = Phone { mac: [2, 0, 0, 0, 0, 7], ip: Ipv4Addr::new(192, 168, 50, 7) };

    fn requests() -> [Request; 6] {
        [
            Request::Allow { phone: PHONE, way: Way::Paying, ms: 90_000 },
            Request::Allow { phone: PHONE, way: Way::Online, ms: 1 },
            Request::Revoke { phone: PHONE },
            Request::SyncBegins,
            Request::SyncEnds,
            Request::Stats,
        ]
    }

    #[test]
    fn a_request_has_the_bytes_that_the_table_says() {
        let word = Request::Allow { phone: PHONE, way: Way::Online, ms: 0x0102 }.to_word(5);
        let expected = "0101020000000005020000000007000\
                        0c0a8320700000000000001020000000000000000000000\
                        00";
        let hex: String = word.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
    }

    #[test]
    fn every_word_comes_back_as_it_went() {
        for request in requests() {
            assert_eq!(Request::from_word(&request.to_word(77)), Some((request, 77)));
        }
        let stats = Stats { paying: 1, online: 2, refused: 3, restored: 4, uptime_secs: 5 };
        for (answer, kind) in [
            (Answer::Done(9), 1),
            (Answer::Refused(9, Refused::Kernel), 1),
            (Answer::Refused(9, Refused::Nonsense), 0),
            (Answer::Stats(9, stats), 5),
            (Answer::Restored, 0),
        ] {
            assert_eq!(Answer::from_word(&answer.to_word(kind)), Some(answer));
        }
    }

    #[test]
    fn one_wrong_byte_in_an_empty_place_makes_a_request_nonsense() {
        for request in requests() {
            let good = request.to_word(1);
            let mut accepted = 0;
            for at in 0..WORD_BYTES {
                let mut bad = good;
                bad[at] ^= 0x40;
                accepted += usize::from(Request::from_word(&bad).is_some());
            }
            // The number is free; so are the addresses and the time of those that have them.
            let free = match request {
                Request::Allow { .. } => 4 + 6 + 4 + 8,
                Request::Revoke { .. } => 4 + 6 + 4,
                Request::SyncBegins | Request::SyncEnds | Request::Stats => 4,
            };
            assert_eq!(accepted, free, "{request:?}");
        }
    }
}
