//! Frames of the plain protocol: finds them in a stream of bytes and makes them. Knows nothing of what they say.

/// Begins a frame.
pub const STX: u8 = 0x02;
/// Ends a frame's body; four digits of check follow.
pub const ETX: u8 = 0x03;
/// Separates the fields of a body.
pub const SEPARATOR: char = '|';
/// Longest frame, from STX to the last digit of the check.
pub const FRAME_BYTES_MAX: usize = 1_024;
/// Longest body: a frame without STX, ETX and the check.
pub const BODY_BYTES_MAX: usize = FRAME_BYTES_MAX - 6;

/// CRC-16/IBM-3740: polynomial 1021, begins with FFFF, not reflected. Of "123456789" it is 29B1.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        // Eight steps of the division at once.
        let x = (crc >> 8) ^ u16::from(*byte);
        let x = x ^ (x >> 4);
        (crc << 8) ^ (x << 12) ^ (x << 5) ^ x
    })
}

/// The frame around a body. The body is printable ASCII of at most [`BODY_BYTES_MAX`].
pub fn encode(body: &str) -> Vec<u8> {
    let mut frame = vec![STX];
    frame.extend_from_slice(body.as_bytes());
    frame.push(ETX);
    let check = crc16(frame.get(1..).unwrap_or_default());
    frame.extend_from_slice(format!("{check:04X}").as_bytes());
    frame
}

/// Finds frames in a stream of bytes, however it is cut. Holds at most one frame.
#[derive(Debug, Default)]
pub struct Decoder {
    place: Place,
    body: Vec<u8>,
    check: Vec<u8>,
    /// Bytes outside any frame.
    pub junk_bytes: u64,
    /// Frames begun and dropped.
    pub bad_frames: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    Body,
    Check,
}

impl Decoder {
    /// Takes one byte; gives the body of the frame that it ends, if it does and the check is right.
    pub fn push(&mut self, byte: u8) -> Option<String> {
        if byte == STX {
            if self.place != Place::Outside {
                self.bad_frames = self.bad_frames.saturating_add(1);
            }
            self.begin(Place::Body);
            return None;
        }
        match self.place {
            Place::Outside => self.junk_bytes = self.junk_bytes.saturating_add(1),
            Place::Body if byte == ETX => self.place = Place::Check,
            Place::Body if matches!(byte, b' '..=b'~') && self.body.len() < BODY_BYTES_MAX => self.body.push(byte),
            Place::Body => self.drop_frame(),
            Place::Check => {
                self.check.push(byte);
                if self.check.len() == 4 {
                    return self.close();
                }
            }
        }
        None
    }

    /// The line was interrupted: what was begun will not be finished.
    pub fn cut(&mut self) {
        if self.place != Place::Outside {
            self.drop_frame();
        }
    }

    /// How many bytes are held.
    #[cfg(feature = "fuzzing")]
    pub(super) fn held(&self) -> usize {
        self.body.len().saturating_add(self.check.len())
    }

    fn close(&mut self) -> Option<String> {
        let mut checked = std::mem::take(&mut self.body);
        checked.push(ETX);
        if format!("{:04X}", crc16(&checked)).as_bytes() != self.check.as_slice() {
            self.drop_frame();
            return None;
        }
        checked.pop();
        self.begin(Place::Outside);
        String::from_utf8(checked).ok()
    }

    fn drop_frame(&mut self) {
        self.bad_frames = self.bad_frames.saturating_add(1);
        self.begin(Place::Outside);
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.body.clear();
        self.check.clear();
    }
}

/// A number as the protocol writes it: digits without leading zeros, at most `max`.
pub fn number(text: &str, max: u64) -> Option<u64> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|n| plain && *n <= max)
}

/// Text as it may stand in a field: printable ASCII without the separator, at most `bytes_max`.
pub fn field(text: &str, bytes_max: usize) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            SEPARATOR => plain.push('/'),
            ' '..='~' => plain.push(c),
            'ä' => plain.push_str("ae"),
            'ö' => plain.push_str("oe"),
            'ü' => plain.push_str("ue"),
            'Ä' => plain.push_str("Ae"),
            'Ö' => plain.push_str("Oe"),
            'Ü' => plain.push_str("Ue"),
            'ß' => plain.push_str("ss"),
            'à'..='å' => plain.push('a'),
            'æ' => plain.push_str("ae"),
            'œ' => plain.push_str("oe"),
            'ç' => plain.push('c'),
            'è'..='ë' => plain.push('e'),
            'ì'..='ï' => plain.push('i'),
            'ñ' => plain.push('n'),
            'ò'..='õ' | 'ø' => plain.push('o'),
            'ù'..='û' => plain.push('u'),
            'À'..='Å' => plain.push('A'),
            'Ç' => plain.push('C'),
            'È'..='Ë' => plain.push('E'),
            'Ñ' => plain.push('N'),
            'Ø' => plain.push('O'),
            '’' => plain.push('\''),
            _ => plain.push('?'),
        }
    }
    plain.truncate(bytes_max);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> (Vec<String>, u64, u64) {
        let mut decoder = Decoder::default();
        let bodies = bytes.iter().filter_map(|b| decoder.push(*b)).collect();
        (bodies, decoder.junk_bytes, decoder.bad_frames)
    }

    #[test]
    fn the_check_has_its_published_value() {
        assert_eq!(crc16(b"123456789"), 0x29B1);
    }

    #[test]
    fn frames_are_found_among_noise_and_dropped_when_they_do_not_check() {
        let good = encode("PING|1");
        let mut wrong = good.clone();
        wrong[2] ^= 1;
        let mut long = vec![STX];
        long.extend(std::iter::repeat_n(b'x', BODY_BYTES_MAX + 1));
        let cases: Vec<(Vec<u8>, usize, u64, u64)> = vec![
            (good.clone(), 1, 0, 0),
            ([good.clone(), good.clone()].concat(), 2, 0, 0),
            ([b"\xff\x00junk".to_vec(), good.clone()].concat(), 1, 6, 0),
            ([good.clone(), vec![0x15, ETX], good.clone()].concat(), 2, 2, 0),
            (wrong.clone(), 0, 0, 1),
            ([wrong, good.clone()].concat(), 1, 0, 1),
            ([good[..5].to_vec(), good.clone()].concat(), 1, 0, 1),
            ([long.clone(), good.clone()].concat(), 1, 0, 1),
            ([vec![STX, b'a', 0x80, b'b'], good.clone()].concat(), 1, 1, 1),
            ([vec![STX, STX, STX], good.clone()].concat(), 1, 0, 3),
            ([vec![STX, ETX, b'F'], good].concat(), 1, 0, 1),
        ];
        for (bytes, frames, junk, bad) in cases {
            let (found, j, b) = decode(&bytes);
            assert_eq!((found.len(), j, b), (frames, junk, bad), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_longest_body_passes_and_one_more_byte_does_not() {
        assert_eq!(encode(&"x".repeat(BODY_BYTES_MAX)).len(), FRAME_BYTES_MAX);
        assert_eq!(decode(&encode(&"x".repeat(BODY_BYTES_MAX))).0.len(), 1);
        assert_eq!(decode(&encode(&"x".repeat(BODY_BYTES_MAX + 1))).0.len(), 0);
    }

    #[test]
    fn a_frame_cut_at_every_byte_is_whole_again_with_the_rest_and_lost_without_it() {
        let frame = encode("ABORT|12|3|41");
        for cut in 0..frame.len() {
            let mut decoder = Decoder::default();
            let first: Vec<_> = frame[..cut].iter().filter_map(|b| decoder.push(*b)).collect();
            assert!(first.is_empty());
            let rest: Vec<_> = frame[cut..].iter().filter_map(|b| decoder.push(*b)).collect();
            assert_eq!(rest, ["ABORT|12|3|41"]);
            let (after_loss, _, _) = decode(&[&frame[..cut], &frame[..]].concat());
            assert_eq!(after_loss, ["ABORT|12|3|41"]);
        }
    }

    #[test]
    fn numbers_have_one_spelling() {
        for (text, max, read) in [
            ("0", 9, Some(0)),
            ("9", 9, Some(9)),
            ("10", 9, None),
            ("", 9, None),
            ("07", 9, None),
            ("00", 9, None),
            ("+1", 9, None),
            ("-1", 9, None),
            ("1 ", 9, None),
            ("18446744073709551616", u64::MAX, None),
        ] {
            assert_eq!(number(text, max), read, "{text:?}");
        }
    }

    #[test]
    fn text_becomes_printable_ascii_without_separators() {
        assert_eq!(field("Café «Müller|Groß» 茶", 40), "Cafe ?Mueller/Gross? ?");
        assert_eq!(field("abcdef", 3), "abc");
    }
}
