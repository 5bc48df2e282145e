//! The serial frames of ZVT: finds them in a stream of bytes and makes them. Knows nothing of what they carry.
//!
//! Source: PA00P016, chapters 2.1 and 3.

use super::apdu::DATA_BYTES_MAX;

/// Over which kind of line a till speaks ZVT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Frames with check and acknowledgement.
    Serial,
    /// Bare APDUs.
    Tcp,
}

/// Acknowledges a frame.
pub const ACK: u8 = 0x06;
/// Refuses a frame.
pub const NAK: u8 = 0x15;
/// Before STX and ETX, and doubled where it stands in the data.
pub const DLE: u8 = 0x10;
/// After DLE: a frame begins.
pub const STX: u8 = 0x02;
/// After DLE: the data ends; two bytes of check follow.
pub const ETX: u8 = 0x03;
/// Longest APDU in a frame.
pub const APDU_BYTES_MAX: usize = DATA_BYTES_MAX + 5;

/// CRC-16/KERMIT: polynomial 1021 reflected, begins with 0. Of "123456789" it is 2189.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| step(crc, *byte))
}

/// Eight steps of the division at once.
fn step(crc: u16, byte: u8) -> u16 {
    let [_, low] = crc.to_be_bytes();
    let x = low ^ byte;
    let x = u16::from(x ^ (x << 4));
    (crc >> 8) ^ (x << 8) ^ (x << 3) ^ (x >> 4)
}

/// The frame around an APDU: doubled DLEs, and the check of the APDU as it was before, low byte first.
pub fn frame(apdu: &[u8]) -> Vec<u8> {
    let mut frame = vec![DLE, STX];
    for byte in apdu {
        frame.push(*byte);
        if *byte == DLE {
            frame.push(DLE);
        }
    }
    frame.extend_from_slice(&[DLE, ETX]);
    frame.extend_from_slice(&step(crc16(apdu), ETX).to_le_bytes());
    frame
}

/// What was found in a stream of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The other side has a frame of ours.
    Ack,
    /// The other side could not read a frame of ours.
    Nak,
    /// A frame with a right check; its APDU.
    Frame(Vec<u8>),
    /// A frame that is to be refused: wrong check or too long.
    Bad,
}

/// Finds frames in a stream of bytes, however it is cut. Holds at most one.
#[derive(Debug, Default)]
pub struct Frames {
    place: Place,
    apdu: Vec<u8>,
    long: bool,
    /// Bytes outside any frame.
    pub junk_bytes: u64,
    /// Frames begun and dropped.
    pub bad_frames: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    /// DLE outside a frame.
    Begins,
    Inside,
    /// DLE inside a frame.
    Escape,
    /// After DLE and ETX.
    Check,
    /// The first byte of the check was this.
    LastCheck(u8),
}

impl Frames {
    /// Takes one byte; says what it ends.
    pub fn push(&mut self, byte: u8) -> Option<Found> {
        match self.place {
            Place::Outside => return self.outside(byte),
            Place::Begins if byte == STX => self.begin(),
            Place::Begins => {
                self.junk_bytes = self.junk_bytes.saturating_add(1);
                self.place = Place::Outside;
                return self.outside(byte);
            }
            Place::Inside if byte == DLE => self.place = Place::Escape,
            Place::Inside => self.keep(byte),
            Place::Escape => match byte {
                DLE => {
                    self.place = Place::Inside;
                    self.keep(byte);
                }
                ETX => self.place = Place::Check,
                STX => {
                    self.bad_frames = self.bad_frames.saturating_add(1);
                    self.begin();
                }
                _ => return Some(self.refuse()),
            },
            Place::Check => self.place = Place::LastCheck(byte),
            Place::LastCheck(low) => return Some(self.close(u16::from_le_bytes([low, byte]))),
        }
        None
    }

    /// Nothing came for too long, or the line was interrupted: what was begun will not be finished. Says whether
    /// anything was begun.
    pub fn cut(&mut self) -> bool {
        let begun = self.begun();
        if begun {
            self.refuse();
        }
        begun
    }

    /// Whether a frame is begun.
    pub fn begun(&self) -> bool {
        self.place != Place::Outside
    }

    /// Bytes of a frame begun.
    pub fn held(&self) -> usize {
        self.apdu.len()
    }

    fn outside(&mut self, byte: u8) -> Option<Found> {
        match byte {
            ACK => return Some(Found::Ack),
            NAK => return Some(Found::Nak),
            DLE => self.place = Place::Begins,
            _ => self.junk_bytes = self.junk_bytes.saturating_add(1),
        }
        None
    }

    fn begin(&mut self) {
        self.place = Place::Inside;
        self.apdu.clear();
        self.long = false;
    }

    fn keep(&mut self, byte: u8) {
        if self.apdu.len() < APDU_BYTES_MAX {
            self.apdu.push(byte);
        } else {
            self.long = true;
        }
    }

    fn close(&mut self, check: u16) -> Found {
        if self.long || step(crc16(&self.apdu), ETX) != check {
            return self.refuse();
        }
        self.place = Place::Outside;
        Found::Frame(std::mem::take(&mut self.apdu))
    }

    fn refuse(&mut self) -> Found {
        self.bad_frames = self.bad_frames.saturating_add(1);
        self.begin();
        self.place = Place::Outside;
        Found::Bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_that_of_frames_seen_on_real_terminals() {
        assert_eq!(crc16(b"123456789"), 0x2189);
        for hex in [
            "10 02 80 00 00 10 03 F5 1F",
            "10 02 05 01 03 12 34 56 10 03 E0 43",
            "10 02 06 0F 0B F0 F0 F7 32 2E 31 34 2E 31 35 00 10 03 B1 11",
        ] {
            let bytes: Vec<u8> = hex.split(' ').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
            let apdu = bytes[2..bytes.len() - 4].to_vec();
            assert_eq!(frame(&apdu), bytes);
            let mut frames = Frames::default();
            let found: Vec<Found> = bytes.iter().filter_map(|b| frames.push(*b)).collect();
            assert_eq!(found, [Found::Frame(apdu)]);
        }
    }
}
