//! The keyed hash of keys, members and fields: 64 bits from bytes, seeded once per process so that nobody outside can make
//! collisions. Knows no table.
//!
//! All 64 bits are good: tables take the directory index from the top and the bucket with its tag from the low 16 bits.

use std::hash::{BuildHasher, Hasher as _};

use ahash::RandomState;

/// A seeded hash function; eight bytes, so every table can carry one.
///
/// The seeds themselves are made once and never freed: a process has one `Hasher` and passes copies around.
#[derive(Clone, Copy, Debug)]
pub struct Hasher(&'static RandomState);

impl Hasher {
    /// Makes the hash function of these four seeds. Keeps 32 bytes for ever; call it once per process.
    pub fn seeded(seed: [u64; 4]) -> Hasher {
        let [a, b, c, d] = seed;
        Hasher(Box::leak(Box::new(RandomState::with_seeds(a, b, c, d))))
    }

    /// The hash of `bytes`: the same for equal bytes and seeds during the life of the process, and not to be stored beyond it.
    #[inline]
    pub fn hash(&self, bytes: &[u8]) -> u64 {
        let mut state = self.0.build_hasher();
        state.write(bytes);
        state.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chi-square of `counts` against the uniform distribution, over its degrees of freedom: about 1 when uniform.
    fn unevenness(counts: &[u32]) -> f64 {
        let total: u32 = counts.iter().sum();
        let expected = f64::from(total) / counts.len() as f64;
        let square: f64 = counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        square / (counts.len() - 1) as f64
    }

    #[test]
    fn every_bit_is_set_half_the_time_and_ends_are_uniform() {
        let hasher = Hasher::seeded([1, 2, 3, 4]);
        let n = 200_000u32;
        let (mut bits, mut top, mut low) = ([0u32; 64], vec![0u32; 1024], vec![0u32; 1024]);
        for i in 0..n {
            let h = hasher.hash(format!("key:{i:012}").as_bytes());
            for (bit, count) in bits.iter_mut().enumerate() {
                *count += (h >> bit) as u32 & 1;
            }
            top[(h >> 54) as usize] += 1;
            low[(h as u16 >> 6) as usize] += 1;
        }
        for (bit, &count) in bits.iter().enumerate() {
            let share = f64::from(count) / f64::from(n);
            assert!((0.49..0.51).contains(&share), "bit {bit} is set {share}");
        }
        assert!((0.8..1.2).contains(&unevenness(&top)));
        assert!((0.8..1.2).contains(&unevenness(&low)));
    }

    #[test]
    fn seeds_and_lengths_matter() {
        let (a, b) = (Hasher::seeded([1, 2, 3, 4]), Hasher::seeded([1, 2, 3, 5]));
        assert_eq!(a.hash(b"x"), Hasher::seeded([1, 2, 3, 4]).hash(b"x"));
        assert_ne!(a.hash(b"x"), b.hash(b"x"));
        let zeros = [0u8; 64];
        let mut seen: Vec<u64> = (0..=64).map(|n| a.hash(&zeros[..n])).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 65, "a run of zeros hashes by its length");
    }
}
