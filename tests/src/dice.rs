//! Chance that can be repeated.

use std::env;
use std::time::SystemTime;

/// What an environment variable says, by which a person has a test run longer or again.
///
/// # Panics
/// When that is no number.
pub fn asked_for(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|error| panic!("{variable}: {error}")))
}

/// Another seed each time, or the one of `LOCKGATE_SEED`.
///
/// # Panics
/// As [`asked_for`] does.
pub fn seed() -> u64 {
    asked_for("LOCKGATE_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is later than 1970");
        now.as_millis() as u64
    })
}

/// Draws by a seed, the same ones each time (xorshift64*).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Another `seed` draws otherwise.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 20) % bound
    }

    /// So many bytes at most.
    pub fn bytes(&mut self, longest: u64) -> Vec<u8> {
        let length = self.below(longest + 1);
        (0..length).map(|_| self.below(256) as u8).collect()
    }

    /// One of them.
    ///
    /// # Panics
    /// Where there is none.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}
