//! The generator behind `math.random`: the 48-bit linear congruence of POSIX (`drand48(3)`), so that a seed gives the same
//! numbers as on the reference server.

use std::cell::Cell;

const FACTOR: u64 = 0x5_DEEC_E66D;
const ADD: u64 = 0xB;
const MASK: u64 = (1 << 48) - 1;
/// The low bits of a state that was seeded.
const SEED_LOW: u64 = 0x330E;
/// The state before any seed.
const START: u64 = 0x1234_ABCD_330E;

/// The state.
pub struct Random(Cell<u64>);

impl Default for Random {
    fn default() -> Self {
        Random(Cell::new(START))
    }
}

impl Random {
    /// Begins the sequence of a seed.
    pub fn seed(&self, seed: i32) {
        self.0.set((u64::from(seed as u32) << 16) | SEED_LOW);
    }

    /// The next number of 31 bits.
    pub fn next(&self) -> i32 {
        let state = self.0.get().wrapping_mul(FACTOR).wrapping_add(ADD) & MASK;
        self.0.set(state);
        (state >> 17) as i32
    }

    /// The next number from 0 to below 1.
    pub fn unit(&self) -> f64 {
        f64::from(self.next() % i32::MAX) / f64::from(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_posix() {
        let random = Random::default();
        random.seed(0);
        // lrand48() after srand48(0), as glibc gives it.
        assert_eq!([random.next(), random.next(), random.next()], [366_850_414, 1_610_402_240, 206_956_554]);
    }
}
