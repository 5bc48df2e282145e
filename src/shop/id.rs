//! Names of things: 128-bit ids, derived from the seed of a step. Draws no randomness itself.

use std::fmt;
use std::str::FromStr;

/// Text that is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadId;

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id is 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for BadId {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:08x}..)", stringify!($name), self.0 >> 96)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if text.len() != 32 || !digits {
                    return Err(BadId);
                }
                u128::from_str_radix(text, 16).map($name).map_err(|_| BadId)
            }
        }
    };
}

id!(
    /// One sale. Shown to people by its first eight digits.
    SaleId
);
id!(
    /// One attempt; the idempotency key at the platform, for ever.
    AttemptId
);
id!(
    /// One refund; the idempotency key of the refund at the platform, for ever.
    RefundId
);
id!(
    /// One phone's visit: the 128 random bits in the address of its pages. Whoever has it acts as that phone,
    /// so it is never logged in full.
    SessionId
);

/// The ids of one step, all derived from its seed: the n-th id of a seed is always the same.
#[derive(Clone, Debug)]
pub struct Ids {
    seed: u128,
    drawn: u128,
}

impl Ids {
    /// Starts at the first id of `seed` (128 random bits, fresh for each step).
    pub fn new(seed: u128) -> Self {
        Ids { seed, drawn: 0 }
    }

    /// The next 128 bits. Distinct within a seed; a bijection of (seed + n), so as unlike each other as seeds are.
    pub fn draw(&mut self) -> u128 {
        self.drawn = self.drawn.wrapping_add(1);
        let mut x = self.seed.wrapping_add(self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
        x = (x ^ (x >> 67)).wrapping_mul(0xda94_2042_e4dd_58b5_2545_f491_4f6c_dd1d);
        x ^ (x >> 59)
    }
}
