//! The code that a shopkeeper types once so that box and platform trust each other: what it says, and whether it was typed
//! right. Sends nothing.
//!
//! 32 characters of Crockford's base 32, such as `7K2M-9QXA-...`: 10 of a secret that counts once (50 bits), 20 of the
//! fingerprint of the platform's key (100 bits), 2 to check the typing. `docs/counter-payment-protocol.md`, section 13.

use std::fmt;

/// Crockford's digits: no I, L, O and U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SECRET: usize = 10;
const FINGERPRINT: usize = 20;
const CHECK: usize = 2;
/// Characters of a code, dashes aside.
pub const CHARS: usize = SECRET + FINGERPRINT + CHECK;
/// The largest prime below 32 * 32: every single wrong character and every two swapped ones of the first 30 change the sum.
const PRIME: u32 = 1_021;

/// A code that was typed right.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    secret: String,
    fingerprint: Fingerprint,
}

/// The first 100 bits of the SHA-256 of a public key (SPKI).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT]);

/// What is wrong with a code: a person must look at it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeError {
    /// This many characters and no more or less.
    Length(usize),
    /// No code has this character; its place among the others, from 1.
    Character(char, usize),
    /// A character is wrong, or two are swapped.
    Mistyped,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CodeError::Length(found) => {
                write!(f, "a code has {CHARS} characters, and this has {found}")?;
            }
            CodeError::Character(found, place) => {
                write!(f, "there is no {found:?} in a code (character {place})")?;
            }
            CodeError::Mistyped => f.write_str("the code is mistyped: a character is wrong, or two are swapped")?,
        }
        f.write_str("; compare it with what the platform shows, group by group. Nothing was sent")
    }
}

impl std::error::Error for CodeError {}

impl Code {
    /// Reads what was typed: upper or lower case, `O` for 0, `I` and `L` for 1; dashes and blanks anywhere or nowhere.
    pub fn parse(typed: &str) -> Result<Code, CodeError> {
        let mut digits = Vec::new();
        let meant = typed.chars().filter(|c| !c.is_whitespace() && *c != '-');
        for (at, c) in meant.enumerate().take(CHARS.saturating_mul(4)) {
            digits.push(value(c).ok_or(CodeError::Character(c, at.saturating_add(1)))?);
        }
        let (Some((said, check)), CHARS) = (digits.split_at_checked(CHARS - CHECK), digits.len()) else {
            return Err(CodeError::Length(digits.len()));
        };
        let [high, low] = check else { return Err(CodeError::Length(digits.len())) };
        if sum(said) != u32::from(*high).saturating_mul(32).saturating_add(u32::from(*low)) {
            return Err(CodeError::Mistyped);
        }
        let (secret, fingerprint) = said.split_at_checked(SECRET).ok_or(CodeError::Mistyped)?;
        let fingerprint = fingerprint.try_into().map_err(|_| CodeError::Mistyped)?;
        Ok(Code { secret: text(secret), fingerprint: Fingerprint(fingerprint) })
    }

    /// What the platform is told, once: 10 characters.
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// All of it but the two characters that check it, without dashes.
    pub fn whole(&self) -> String {
        format!("{}{}", self.secret, text(&self.fingerprint.0))
    }

    /// The key that the platform must have.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// Without the secret.
impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").field("fingerprint", &self.fingerprint).finish_non_exhaustive()
    }
}

impl Fingerprint {
    /// Of a key whose SPKI has this SHA-256.
    pub fn of(key: &[u8; 32]) -> Fingerprint {
        let first = key.iter().take(16).fold(0_u128, |bits, byte| bits << 8 | u128::from(*byte));
        let mut digits = [0; FINGERPRINT];
        for (digit, shift) in digits.iter_mut().zip((28_u32..128).rev().step_by(5)) {
            // From the highest bits on, five at a time: 123, 118, ..
            *digit = u8::try_from(first >> shift.saturating_sub(4) & 31).unwrap_or(0);
        }
        Fingerprint(digits)
    }
}

fn value(c: char) -> Option<u8> {
    let meant = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    DIGITS.iter().position(|digit| char::from(*digit) == meant).and_then(|at| u8::try_from(at).ok())
}

fn text(digits: &[u8]) -> String {
    digits.iter().filter_map(|digit| DIGITS.get(usize::from(*digit))).map(|digit| char::from(*digit)).collect()
}

/// Each digit times its place, from 1, added up.
fn sum(digits: &[u8]) -> u32 {
    let each = (1_u32..).zip(digits).map(|(place, digit)| place.saturating_mul(u32::from(*digit)));
    each.fold(0_u32, u32::saturating_add) % PRIME
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the example in the document: the secret `7K2M9QXA4T`, the key whose digest is 00 01 02 .. 1f.
    const EXAMPLE: &str = "7K2M-9QXA-4T00-0G40-R40M-30E2-0918-5GGS";

    fn key() -> [u8; 32] {
        std::array::from_fn(|n| u8::try_from(n).unwrap())
    }

    #[test]
    fn a_code_is_read_however_it_was_typed() {
        let code = Code::parse(EXAMPLE).unwrap();
        assert_eq!((code.secret(), *code.fingerprint()), ("7K2M9QXA4T", Fingerprint::of(&key())));
        for typed in [EXAMPLE.to_lowercase(), EXAMPLE.replace('-', " "), EXAMPLE.replace('0', "o").replace('-', "")] {
            assert_eq!(Code::parse(&typed).as_ref(), Ok(&code), "{typed}");
        }
        assert!(!format!("{code:?}").contains("7K2M"));
    }

    #[test]
    fn every_single_wrong_character_and_every_two_swapped_are_noticed() {
        let right: Vec<char> = EXAMPLE.chars().filter(|c| *c != '-').collect();
        let parse = |chars: &[char]| Code::parse(&chars.iter().collect::<String>());
        for at in 0..right.len() {
            for digit in DIGITS.iter().map(|d| char::from(*d)).filter(|d| *d != right[at]) {
                let mut wrong = right.clone();
                wrong[at] = digit;
                assert_eq!(parse(&wrong), Err(CodeError::Mistyped), "{digit} at {at}");
            }
        }
        for (a, b) in (0..30).flat_map(|a| (0..30).map(move |b| (a, b))).filter(|(a, b)| right[*a] != right[*b]) {
            let mut wrong = right.clone();
            wrong.swap(a, b);
            assert_eq!(parse(&wrong), Err(CodeError::Mistyped), "{a} and {b}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_said() {
        assert_eq!(Code::parse(""), Err(CodeError::Length(0)));
        assert_eq!(Code::parse(&EXAMPLE[..38]), Err(CodeError::Length(31)));
        assert_eq!(Code::parse(&format!("{EXAMPLE}0")), Err(CodeError::Length(33)));
        assert_eq!(Code::parse(&EXAMPLE.replace('9', "U")), Err(CodeError::Character('U', 5)));
        assert_eq!(Code::parse("\u{e9}"), Err(CodeError::Character('\u{e9}', 1)));
        let said = Code::parse(&EXAMPLE.replace('9', "8")).unwrap_err().to_string();
        assert!(said.contains("mistyped") && said.contains("Nothing was sent"), "{said}");
    }

    #[test]
    fn the_fingerprint_is_the_first_hundred_bits() {
        let mut other = key();
        other[12] ^= 0x0f;
        assert_eq!(Fingerprint::of(&other), Fingerprint::of(&key()), "bits 101 to 104");
        other[12] ^= 0x10;
        assert_ne!(Fingerprint::of(&other), Fingerprint::of(&key()), "bit 100");
    }
}
