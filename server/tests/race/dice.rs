//! Numbers that look like chance and are the same for the same seed: SplitMix64.

/// A row of numbers.
pub struct Dice(u64);

impl Dice {
    /// The row of that seed and round.
    pub fn of(seed: u32, round: u32) -> Self {
        Self(u64::from(seed) << 32 | u64::from(round))
    }

    /// A number between these two, either included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
