//! Random numbers for sampling, eviction, levels and ids: xoshiro256++ (Blackman and Vigna, 2019).
//!
//! Fast and repeatable from a seed, so a run can be replayed; not for secrets. The one call for entropy
//! of the base rooms is [`Rng::from_entropy`]; everything else draws from a generator it is given.

/// A generator with 256 bits of state; not all of them are ever zero.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose whole sequence follows from `seed`.
    pub fn from_seed(seed: u64) -> Self {
        // splitmix64 spreads the seed, as the authors of xoshiro advise; its four values are never all zero.
        let mut counter = seed;
        let state = std::array::from_fn(|_| {
            counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = counter;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        });
        Self { state }
    }

    /// A generator seeded by the system, with all 256 bits.
    ///
    /// # Panics
    /// If the system has no source of randomness, which is so at start or never.
    pub fn from_entropy() -> Self {
        let mut state = [0u64; 4];
        for word in &mut state {
            *word = getrandom::u64().expect("the system gives random bytes");
        }
        if state == [0; 4] {
            return Self::from_seed(0);
        }
        Self { state }
    }

    /// The next 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// The next 32 random bits.
    #[inline]
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `bound`, each equally likely; 0 for a bound of 0.
    ///
    /// Lemire, "Fast random integer generation in an interval" (2019): one multiplication, and a
    /// division only in the rare case that the low half is small.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut wide = u128::from(self.next_u64()) * u128::from(bound);
        if (wide as u64) < bound {
            let reject_below = bound.wrapping_neg() % bound;
            while (wide as u64) < reject_below {
                wide = u128::from(self.next_u64()) * u128::from(bound);
            }
        }
        (wide >> 64) as u64
    }

    /// [`Rng::below`] for indices.
    #[inline]
    pub fn index_below(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize // below len, so it fits
    }

    /// A number in `0.0..1.0` with 53 random bits.
    #[inline]
    pub fn unit_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Fills `text` with lower-case hexadecimal digits (run ids and replication ids are 40 of them).
    pub fn fill_hex(&mut self, text: &mut [u8]) {
        for chunk in text.chunks_mut(16) {
            let mut bits = self.next_u64();
            for digit in chunk {
                *digit = b"0123456789abcdef"[(bits & 15) as usize];
                bits >>= 4;
            }
        }
    }

    /// Fills `bytes` with random bytes.
    pub fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Puts `items` into random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.index_below(end + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_published_algorithm() {
        let mut rng = Rng {
            state: [1, 2, 3, 4],
        };
        let first: Vec<u64> = (0..4).map(|_| rng.next_u64()).collect();
        assert_eq!(
            first,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386
            ]
        );
    }

    #[test]
    fn a_seed_repeats_and_another_differs() {
        let draw = |seed| {
            let mut rng = Rng::from_seed(seed);
            [rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert_ne!(
            Rng::from_entropy().next_u64(),
            Rng::from_entropy().next_u64()
        );
    }

    #[test]
    fn below_reaches_every_number_about_equally() {
        let mut rng = Rng::from_seed(5);
        let mut seen = [0u32; 7];
        for _ in 0..70_000 {
            seen[rng.index_below(7)] += 1;
        }
        assert!(
            seen.iter().all(|&n| (9_500..10_500).contains(&n)),
            "{seen:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        for _ in 0..1_000 {
            assert!(rng.below(u64::MAX - 3) < u64::MAX - 3);
            assert!((0.0..1.0).contains(&rng.unit_f64()));
        }
    }

    #[test]
    fn hex_and_bytes_fill_every_length() {
        let mut rng = Rng::from_seed(9);
        let mut id = [0u8; 40];
        rng.fill_hex(&mut id);
        assert!(
            id.iter()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
        );
        for len in 0..20 {
            let mut bytes = vec![0u8; len];
            rng.fill_bytes(&mut bytes);
            rng.fill_hex(&mut bytes);
            assert!(bytes.iter().all(u8::is_ascii_hexdigit));
        }
    }

    #[test]
    fn shuffle_keeps_the_items() {
        let mut rng = Rng::from_seed(3);
        let mut items: Vec<u32> = (0..100).collect();
        rng.shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
