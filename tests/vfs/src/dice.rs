//! Numbers drawn from a seed, the same each time. Not for secrets.

/// A seeded source of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that always fall the same way for these numbers.
    pub fn new(parts: &[u64]) -> Dice {
        let mut dice = Dice(0x7469_6c6c_6761_7465);
        for part in parts {
            dice.0 = dice.draw() ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        dice
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % (end.max(1) as u64)) as usize
    }

    /// True so many times in a hundred.
    pub fn percent(&mut self, of_a_hundred: u8) -> bool {
        self.below(100) < usize::from(of_a_hundred)
    }
}
