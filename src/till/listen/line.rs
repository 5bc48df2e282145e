//! How a line is set, told from bytes read as 8N1: parity and data bits from their eighth bits and missing stop bits, the
//! speed by trying one after the other. Pure: reads nothing, has no clock.

use crate::till::port::{LineSettings, Parity};

/// One byte as a port set to 8N1 hears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its eight bits.
    pub byte: u8,
    /// Whether the stop bit was missing: another speed, or a ninth bit that is 0.
    pub bad: bool,
}

/// Data bits, parity and stop bits that bytes heard as 8N1 can have been sent with. One stop bit and two cannot be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bits {
    /// 8N1 or 8N2.
    EightNone,
    /// 7E1.
    SevenEven,
    /// 7O1.
    SevenOdd,
    /// 7N2: its first stop bit is heard as an eighth bit.
    SevenNone,
    /// 8E1: its parity bit is heard in place of the stop bit.
    EightEven,
    /// 8O1, likewise.
    EightOdd,
}

impl Bits {
    /// All of them, the commonest first.
    pub const ALL: [Bits; 6] =
        [Bits::EightNone, Bits::SevenEven, Bits::EightEven, Bits::SevenOdd, Bits::EightOdd, Bits::SevenNone];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Bits::EightNone => "8N1",
            Bits::SevenEven => "7E1",
            Bits::SevenOdd => "7O1",
            Bits::SevenNone => "7N2",
            Bits::EightEven => "8E1",
            Bits::EightOdd => "8O1",
        }
    }

    /// Whether these bytes can have been sent so.
    pub fn fit(self, heard: &[Heard]) -> bool {
        let odd = |h: &Heard| h.byte.count_ones() % 2 == 1;
        heard.iter().all(|h| match self {
            Bits::EightNone => !h.bad,
            Bits::SevenEven => !h.bad && !odd(h),
            Bits::SevenOdd => !h.bad && odd(h),
            Bits::SevenNone => !h.bad && h.byte >= 0x80,
            // The parity bit makes the number of ones even, and a 0 in place of the stop bit is an error.
            Bits::EightEven => h.bad != odd(h),
            Bits::EightOdd => h.bad == odd(h),
        })
    }

    /// The bytes that were sent, if these were heard.
    pub fn sent(self, heard: &[Heard]) -> Vec<u8> {
        let mask = match self {
            Bits::EightNone | Bits::EightEven | Bits::EightOdd => 0xff,
            Bits::SevenEven | Bits::SevenOdd | Bits::SevenNone => 0x7f,
        };
        heard.iter().map(|h| h.byte & mask).collect()
    }

    /// The settings of a line at this speed.
    pub fn settings(self, baud: u32) -> LineSettings {
        let (seven_bits, parity, two_stop_bits) = match self {
            Bits::EightNone => (false, Parity::None, false),
            Bits::SevenEven => (true, Parity::Even, false),
            Bits::SevenOdd => (true, Parity::Odd, false),
            Bits::SevenNone => (true, Parity::None, true),
            Bits::EightEven => (false, Parity::Even, false),
            Bits::EightOdd => (false, Parity::Odd, false),
        };
        LineSettings { baud, seven_bits, parity, two_stop_bits, ..LineSettings::default() }
    }
}

/// Takes the marks of a port with `PARMRK` out of what it reads: `FF 00 x` is a byte whose stop bit was missing, `FF FF` is
/// FF.
#[derive(Debug, Default)]
pub struct Marks(Vec<u8>);

impl Marks {
    /// One byte read; the byte heard once its mark is whole.
    pub fn push(&mut self, byte: u8) -> Option<Heard> {
        let heard = match (self.0.as_slice(), byte) {
            ([], 0xff) | ([0xff], 0x00) => None,
            ([0xff, 0x00], byte) => Some(Heard { byte, bad: true }),
            // `FF` and anything else is no mark that there is.
            (_, byte) => Some(Heard { byte, bad: false }),
        };
        match heard {
            Some(_) => self.0.clear(),
            None => self.0.push(byte),
        }
        heard
    }
}

/// The speeds that are tried, the commonest of tills first.
pub(super) const BAUDS: [u32; 8] = [9_600, 115_200, 19_200, 38_400, 57_600, 4_800, 2_400, 1_200];

#[cfg(test)]
pub(super) mod wire {
    //! A serial line as a voltage in time: what is sent one way is heard another way.

    use super::{Bits, Heard};
    use crate::till::port::Parity;

    /// Parts of a second in which the line is drawn: fine enough for the fastest speed.
    const PARTS: u64 = 115_200 * 16;

    /// What a port at `hears` baud, 8N1, makes of these bytes, sent back to back at `says` baud with these bits.
    pub(in super::super) fn carry(bytes: &[u8], says: u32, bits: Bits, hears: u32) -> Vec<Heard> {
        hear(&draw(bytes, says, bits), hears)
    }

    /// The line, high at rest, in parts.
    fn draw(bytes: &[u8], baud: u32, bits: Bits) -> Vec<bool> {
        let settings = bits.settings(baud);
        let data_bits = if settings.seven_bits { 7 } else { 8 };
        let mut levels = vec![true; 12];
        for byte in bytes {
            levels.push(false);
            let data = (0..data_bits).map(|bit| byte >> bit & 1 == 1);
            let odd = data.clone().filter(|bit| *bit).count() % 2 == 1;
            levels.extend(data);
            match settings.parity {
                Parity::None => {}
                Parity::Even => levels.push(odd),
                Parity::Odd => levels.push(!odd),
            }
            levels.extend(vec![true; if settings.two_stop_bits { 2 } else { 1 }]);
        }
        levels.extend([true; 12]);
        let part_of = |at: usize| at as u64 * PARTS / u64::from(baud);
        let mut line = Vec::new();
        for (at, level) in levels.iter().enumerate() {
            line.resize(part_of(at + 1) as usize, *level);
        }
        line
    }

    /// As receivers do: from a falling edge on, each bit in its middle; after a missing stop bit the next falling edge
    /// begins the next byte.
    fn hear(line: &[bool], baud: u32) -> Vec<Heard> {
        let bit = PARTS / u64::from(baud);
        let level = |part: u64| line.get(part as usize).copied().unwrap_or(true);
        let mut heard = Vec::new();
        let mut at = 1;
        while at < line.len() as u64 {
            if !level(at - 1) || level(at) || level(at + bit / 2) {
                at += 1;
                continue;
            }
            let middle = |n: u64| at + bit * n + bit / 2;
            let byte = (0..8).fold(0, |byte, n| byte | u8::from(level(middle(n + 1))) << n);
            heard.push(Heard { byte, bad: !level(middle(9)) });
            at = middle(9);
        }
        heard
    }
}

#[cfg(test)]
mod tests {
    use super::wire::carry;
    use super::*;

    /// Odd and even numbers of ones, and among ASCII no byte twice in a row.
    const SAID: &[u8] = b"PAY|7|1|41|1250|EUR|120";

    #[test]
    fn what_was_sent_is_heard_whatever_its_parity() {
        for bits in Bits::ALL {
            for baud in BAUDS {
                let heard = carry(SAID, baud, bits, baud);
                assert!(bits.fit(&heard), "{} at {baud}: {heard:x?}", bits.name());
                assert_eq!(bits.sent(&heard), SAID, "{} at {baud}", bits.name());
                let others: Vec<_> = Bits::ALL.into_iter().filter(|b| *b != bits && b.fit(&heard)).collect();
                // A parity bit that is heard as the eighth may as well be one; that it is then always right tells.
                let expected: &[Bits] = match bits {
                    Bits::SevenEven => &[Bits::EightNone, Bits::EightOdd],
                    Bits::SevenOdd => &[Bits::EightNone, Bits::EightEven],
                    Bits::SevenNone => &[Bits::EightNone],
                    Bits::EightNone | Bits::EightEven | Bits::EightOdd => &[],
                };
                assert_eq!(others, expected, "{} at {baud}", bits.name());
            }
        }
    }

    #[test]
    fn another_speed_misses_stop_bits_or_spoils_the_text() {
        for says in BAUDS {
            for hears in BAUDS.into_iter().filter(|b| *b != says) {
                for bits in Bits::ALL {
                    let heard = carry(SAID, says, bits, hears);
                    let read = Bits::ALL.into_iter().any(|b| b.fit(&heard) && b.sent(&heard) == SAID);
                    assert!(!read, "{} said at {says}, heard at {hears}", bits.name());
                }
            }
        }
    }

    #[test]
    fn marks_are_taken_out_however_they_are_cut() {
        let mut marks = Marks::default();
        let read = [0x05, 0xff, 0xff, 0xff, 0x00, 0x41, 0xff, 0x00, 0x00, 0xff, 0x00, 0xff, 0x10];
        let heard: Vec<_> = read.into_iter().filter_map(|b| marks.push(b)).collect();
        let good = |byte| Heard { byte, bad: false };
        let bad = |byte| Heard { byte, bad: true };
        assert_eq!(heard, [good(0x05), good(0xff), bad(0x41), bad(0x00), bad(0xff), good(0x10)]);
    }
}
