//! The matching code that phone and till both show. Names nothing and proves nothing: it is for people's eyes.

use std::fmt;

/// Two characters that phone and till both show. Without the look-alikes 0 O 1 I and so on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code([u8; 2]);

impl Code {
    const LETTERS: &'static [u8; 24] = b"34679ACDEFGHJKLMNPRTUVWX";

    /// A code out of 128 random bits.
    pub fn from_bits(bits: u128) -> Code {
        let letter = |n: u128| {
            let at = usize::try_from(n % 24).unwrap_or(0);
            Self::LETTERS.get(at).copied().unwrap_or(b'A')
        };
        Code([letter(bits), letter(bits / 24)])
    }

    /// A code as written, if it is two of the letters.
    pub fn parse(text: &str) -> Option<Code> {
        match text.as_bytes() {
            [a, b] if Self::LETTERS.contains(a) && Self::LETTERS.contains(b) => Some(Code([*a, *b])),
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Code([a, b]) = *self;
        write!(f, "{}{}", char::from(a), char::from(b))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
