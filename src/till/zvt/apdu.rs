//! What ZVT commands and answers are made of: lengths, BCD, bitmaps, TLVs. Reads and writes them; knows no dialogue.
//!
//! Sources: PA00P015 (commands, bitmaps, TLV), PA00P016 (APDUs on the line).

pub use super::numbers::{bitmap, code, control, tag};
use crate::shop::money::Amount;

/// Most bytes of data that we keep of one APDU. Longer ones are skipped and refused; no command of a till is as long.
pub const DATA_BYTES_MAX: usize = 2_048;
/// Longest tag of a TLV object, in bytes.
const TAG_BYTES_MAX: usize = 3;

/// What cannot be read: cut off, a length beyond the end, a digit that is none, a bitmap twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One command or answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apdu {
    /// Class and instruction; see [`control`].
    pub control: u16,
    /// What follows the length.
    pub data: Vec<u8>,
}

impl Apdu {
    /// A command or answer with this data, of which at most 65,535 bytes are written.
    pub fn new(control: u16, data: Vec<u8>) -> Apdu {
        Apdu { control, data }
    }

    /// *Done*, or *accepted*.
    pub fn positive() -> Apdu {
        Apdu::new(control::POSITIVE, Vec::new())
    }

    /// *Refused*, for this reason.
    pub fn negative(code: u8) -> Apdu {
        Apdu::new(control::NEGATIVE | u16::from(code), Vec::new())
    }

    /// If it is an answer: `Ok` for *done*, else the reason of the refusal.
    pub fn answer(&self) -> Option<Result<(), u8>> {
        let [class, instruction] = self.control.to_be_bytes();
        match class {
            0x80 => Some(Ok(())),
            0x84 => Some(Err(instruction)),
            _ => None,
        }
    }

    /// As it goes over the line: class, instruction, length (one byte, or `FF` low high), data.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.control.to_be_bytes().to_vec();
        let length = u16::try_from(self.data.len()).unwrap_or(u16::MAX);
        match u8::try_from(length) {
            Ok(short) if short < 0xff => bytes.push(short),
            Ok(_) | Err(_) => {
                bytes.push(0xff);
                bytes.extend_from_slice(&length.to_le_bytes());
            }
        }
        bytes.extend_from_slice(self.data.get(..usize::from(length)).unwrap_or_default());
        bytes
    }

    /// The one APDU that these bytes are, no byte more or less.
    pub fn parse(bytes: &[u8]) -> Result<Apdu, Malformed> {
        let mut reader = Reader(bytes);
        let control = u16::from_be_bytes([reader.byte()?, reader.byte()?]);
        let length = match reader.byte()? {
            0xff => usize::from(u16::from_le_bytes([reader.byte()?, reader.byte()?])),
            short => usize::from(short),
        };
        let data = reader.take(length)?.to_vec();
        if reader.0.is_empty() { Ok(Apdu { control, data }) } else { Err(Malformed) }
    }
}

/// Bytes yet to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// The bitmaps that follow, up to the end or to the first one that is in no table (its length is not known).
    pub fn fields(mut self) -> Result<Fields<'a>, Malformed> {
        let mut fields: Vec<(u8, &[u8])> = Vec::new();
        let mut whole = true;
        while let Ok(bitmap) = self.byte() {
            let length = match length_of(bitmap) {
                Some(Length::Fixed(bytes)) => bytes,
                Some(Length::Digits(digits)) => self.digits_length(digits)?,
                Some(Length::Ber) => self.ber_length()?,
                None => {
                    whole = false;
                    break;
                }
            };
            if fields.iter().any(|(seen, _)| *seen == bitmap) {
                return Err(Malformed);
            }
            fields.push((bitmap, self.take(length)?));
        }
        Ok(Fields { fields, whole })
    }

    /// The TLV objects that follow, up to the end. Objects within objects are read by reading an object's value.
    pub fn objects(mut self) -> Result<Vec<(u32, &'a [u8])>, Malformed> {
        let mut objects = Vec::new();
        while !self.0.is_empty() {
            let tag = self.tag()?;
            let length = self.ber_length()?;
            objects.push((tag, self.take(length)?));
        }
        Ok(objects)
    }

    /// LLVAR, LLLVAR: decimal digits in the low halves of bytes `Fx`.
    fn digits_length(&mut self, digits: usize) -> Result<usize, Malformed> {
        self.take(digits)?.iter().try_fold(0_usize, |length, byte| match byte & 0x0f {
            digit @ 0..=9 => Ok(length.saturating_mul(10).saturating_add(usize::from(digit))),
            _ => Err(Malformed),
        })
    }

    fn ber_length(&mut self) -> Result<usize, Malformed> {
        match self.byte()? {
            short @ 0..=0x7f => Ok(usize::from(short)),
            0x81 => self.byte().map(usize::from),
            0x82 => Ok(usize::from(u16::from_be_bytes([self.byte()?, self.byte()?]))),
            _ => Err(Malformed),
        }
    }

    fn tag(&mut self) -> Result<u32, Malformed> {
        let first = self.byte()?;
        let mut tag = u32::from(first);
        if first & 0x1f == 0x1f {
            for more in 2.. {
                let next = self.byte()?;
                tag = (tag << 8) | u32::from(next);
                if next & 0x80 == 0 {
                    break;
                }
                if more >= TAG_BYTES_MAX {
                    return Err(Malformed);
                }
            }
        }
        Ok(tag)
    }
}

/// Bitmaps that were read, each at most once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    fields: Vec<(u8, &'a [u8])>,
    /// Whether nothing was left over.
    pub whole: bool,
}

impl<'a> Fields<'a> {
    /// The value of a bitmap, if it is there.
    pub fn get(&self, bitmap: u8) -> Option<&'a [u8]> {
        self.fields.iter().find(|(seen, _)| *seen == bitmap).map(|(_, value)| *value)
    }

    /// A bitmap of one byte.
    pub fn byte(&self, bitmap: u8) -> Option<u8> {
        self.get(bitmap).and_then(|value| value.first().copied())
    }

    /// A number in BCD.
    pub fn number(&self, bitmap: u8) -> Result<Option<u64>, Malformed> {
        self.get(bitmap).map(number).transpose()
    }

    /// The objects in the TLV container; none if there is no container.
    pub fn objects(&self) -> Result<Vec<(u32, &'a [u8])>, Malformed> {
        self.get(bitmap::TLV).map_or_else(|| Ok(Vec::new()), |value| Reader(value).objects())
    }

    /// All that was read, in its order.
    pub fn all(&self) -> &[(u8, &'a [u8])] {
        &self.fields
    }
}

enum Length {
    Fixed(usize),
    /// So many bytes `Fx` say it.
    Digits(usize),
    Ber,
}

/// PA00P015, list of the bitmaps.
fn length_of(bitmap: u8) -> Option<Length> {
    Some(match bitmap {
        0x01..=0x03 | 0x05 | 0x19 | 0x27 | 0x72..=0x75 | 0x8a | 0x8c | 0xa0 => Length::Fixed(1),
        0xd0 | 0xd2 | 0xd3 | 0xe0 | 0xe9 | 0xea | 0xf0 | 0xf9..=0xfd => Length::Fixed(1),
        0x0d | 0x0e | 0x17 | 0x3a | 0x49 | 0x87 => Length::Fixed(2),
        0x0b | 0x0c | 0x37 | 0x3d | 0x88 | 0xaa => Length::Fixed(3),
        0x29 | 0x70 | 0x71 => Length::Fixed(4),
        0xba => Length::Fixed(5),
        0x04 => Length::Fixed(6),
        0x3b | 0xeb => Length::Fixed(8),
        0x2a => Length::Fixed(15),
        0x22 | 0x23 | 0x2d | 0x8b | 0xa7 | 0xd1 | 0xe1..=0xe8 | 0xf1..=0xf8 => Length::Digits(2),
        0x24 | 0x2e | 0x3c | 0x60 | 0x92 | 0x9a | 0xaf => Length::Digits(3),
        0x06 => Length::Ber,
        _ => return None,
    })
}

/// The number that these BCD bytes are; at most nine bytes.
pub fn number(bcd: &[u8]) -> Result<u64, Malformed> {
    bcd.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).try_fold(0_u64, |number, digit| {
        let digit = Some(u64::from(digit)).filter(|d| *d <= 9).ok_or(Malformed)?;
        number.checked_mul(10).and_then(|n| n.checked_add(digit)).ok_or(Malformed)
    })
}

/// A number as so many bytes of BCD, its lowest digits if it has more.
pub fn bcd(number: u64, bytes: usize) -> Vec<u8> {
    let mut left = number;
    let mut out = vec![0; bytes];
    for byte in out.iter_mut().rev() {
        let two = left % 100;
        left /= 100;
        *byte = u8::try_from(((two / 10) << 4) | (two % 10)).unwrap_or(0);
    }
    out
}

/// Bytes being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// One byte.
    pub fn byte(&mut self, byte: u8) -> &mut Writer {
        self.0.push(byte);
        self
    }

    /// A bitmap with these bytes, or bytes without a bitmap.
    pub fn bytes(&mut self, bitmap: Option<u8>, value: &[u8]) -> &mut Writer {
        self.0.extend(bitmap);
        self.0.extend_from_slice(value);
        self
    }

    /// A bitmap with a number of so many BCD bytes.
    pub fn number(&mut self, bitmap: u8, number: u64, bytes: usize) -> &mut Writer {
        self.bytes(Some(bitmap), &bcd(number, bytes))
    }

    /// The amount's bitmap.
    pub fn amount(&mut self, amount: Amount) -> &mut Writer {
        self.number(bitmap::AMOUNT, amount.minor(), 6)
    }

    /// A bitmap of LLVAR: at most 99 bytes, the rest is left out.
    pub fn ll(&mut self, bitmap: u8, value: &[u8]) -> &mut Writer {
        self.digits(bitmap, value, 2, 99)
    }

    /// A bitmap of LLLVAR: at most 999 bytes, the rest is left out.
    pub fn lll(&mut self, bitmap: u8, value: &[u8]) -> &mut Writer {
        self.digits(bitmap, value, 3, 999)
    }

    fn digits(&mut self, bitmap: u8, value: &[u8], digits: usize, bytes_max: usize) -> &mut Writer {
        let value = value.get(..value.len().min(bytes_max)).unwrap_or_default();
        self.0.push(bitmap);
        let length = bcd(u64::try_from(value.len()).unwrap_or(0), 2);
        let halves: Vec<u8> = length.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).collect();
        let last = halves.get(halves.len().saturating_sub(digits)..).unwrap_or_default();
        self.0.extend(last.iter().map(|digit| 0xf0 | digit));
        self.0.extend_from_slice(value);
        self
    }

    /// A TLV object of at most 65,535 bytes, the rest is left out.
    pub fn object(&mut self, tag: u32, value: &[u8]) -> &mut Writer {
        let tag = tag.to_be_bytes();
        let first = tag.iter().position(|byte| *byte != 0).unwrap_or(3);
        self.0.extend_from_slice(tag.get(first..).unwrap_or_default());
        self.ber(value)
    }

    /// The bitmap of the TLV container around these objects.
    pub fn container(&mut self, objects: &Writer) -> &mut Writer {
        self.0.push(bitmap::TLV);
        self.ber(&objects.0)
    }

    fn ber(&mut self, value: &[u8]) -> &mut Writer {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        let [high, low] = length.to_be_bytes();
        match (high, low) {
            (0, 0..=0x7f) => self.0.push(low),
            (0, _) => self.0.extend_from_slice(&[0x81, low]),
            (_, _) => self.0.extend_from_slice(&[0x82, high, low]),
        }
        self.0.extend_from_slice(value.get(..usize::from(length)).unwrap_or_default());
        self
    }
}

/// Finds APDUs in a stream of bytes without frames (TCP), however it is cut. Holds at most one.
#[derive(Debug, Default)]
pub struct Stream {
    held: Vec<u8>,
    /// Bytes of data still to come, once the length is known.
    left: Option<usize>,
    /// The data is longer than we keep.
    long: bool,
    /// Bytes that can begin no APDU.
    pub junk_bytes: u64,
    /// APDUs begun and dropped.
    pub bad_frames: u64,
}

impl Stream {
    /// Takes one byte; gives the APDU that it ends. One with more than [`DATA_BYTES_MAX`] bytes is `Malformed`.
    pub fn push(&mut self, byte: u8) -> Option<Result<Apdu, Malformed>> {
        if self.held.is_empty() && !matches!(byte, 0x04..=0x06 | 0x08 | 0x0f | 0x80 | 0x84) {
            self.junk_bytes = self.junk_bytes.saturating_add(1);
            return None;
        }
        let left = match self.left {
            Some(left) => {
                if !self.long {
                    self.held.push(byte);
                }
                left.saturating_sub(1)
            }
            None => {
                self.held.push(byte);
                let length = match self.held.as_slice() {
                    [_, _, 0xff, low, high] => usize::from(u16::from_le_bytes([*low, *high])),
                    [_, _, short] if *short != 0xff => usize::from(*short),
                    _ => return None,
                };
                self.long = length > DATA_BYTES_MAX;
                length
            }
        };
        self.left = Some(left);
        (left == 0).then(|| self.close())
    }

    /// The connection is another one, or the rest does not come: what was begun will not be finished.
    pub fn cut(&mut self) {
        if !self.held.is_empty() {
            self.bad_frames = self.bad_frames.saturating_add(1);
            self.clear();
        }
    }

    /// Bytes of an APDU begun.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    fn close(&mut self) -> Result<Apdu, Malformed> {
        let apdu = if self.long { Err(Malformed) } else { Apdu::parse(&self.held) };
        if apdu.is_err() {
            self.bad_frames = self.bad_frames.saturating_add(1);
        }
        self.clear();
        apdu
    }

    fn clear(&mut self) {
        self.held.clear();
        self.left = None;
        self.long = false;
    }
}

#[cfg(test)]
#[path = "apdu_tests.rs"]
mod tests;
