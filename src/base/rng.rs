//! Randomness, seeded once: xoshiro256++ (Blackman and Vigna, 2019). Not for secrets: those come from the system.

/// Fills bytes with the system's randomness, good for keys and salts.
///
/// # Errors
/// The system's, if it has none.
pub fn fill_secret(bytes: &mut [u8]) -> Result<(), getrandom::Error> {
    getrandom::fill(bytes)
}

/// Bytes that nobody can guess: for passwords and salts.
///
/// # Errors
/// The system's, if it has no randomness.
pub fn secret_bytes(len: usize) -> Result<Vec<u8>, getrandom::Error> {
    let mut bytes = vec![0; len];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// A generator.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// From one number (expanded by SplitMix64): the same number gives the same sequence.
    pub fn seeded(seed: u64) -> Rng {
        let mut x = seed;
        let mut next = || {
            x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        Rng { state: [next(), next(), next(), next()] }
    }

    /// From the system's randomness.
    ///
    /// # Errors
    /// The system's, if it has none.
    pub fn from_entropy() -> Result<Rng, getrandom::Error> {
        Ok(Rng::seeded(getrandom::u64()?))
    }

    /// 64 random bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// A number below `n`, each equally likely (Lemire's multiplication with rejection); 0 for `n` = 0.
    #[inline]
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(n);
            let low = wide as u64;
            if low >= n || low >= n.wrapping_neg() % n {
                return (wide >> 64) as u64;
            }
        }
    }

    /// `len` hexadecimal digits: run and replication ids.
    pub fn hex(&mut self, len: usize) -> String {
        (0..len).map(|_| char::from_digit((self.next_u64() >> 60) as u32, 16).unwrap_or('0')).collect()
    }
}

/// Steps of a test against a model: a build that is not optimised takes a twentieth.
#[cfg(test)]
pub fn steps(all: usize) -> usize {
    if cfg!(optimised) { all } else { all / 20 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_and_every_value_comes() {
        let (mut a, mut b) = (Rng::seeded(7), Rng::seeded(7));
        let mut seen = [0u32; 10];
        for _ in 0..10_000 {
            assert_eq!(a.next_u64(), b.next_u64());
            seen[a.below(10) as usize] += 1;
            b.below(10);
        }
        assert!(seen.iter().all(|n| (800..1200).contains(n)), "{seen:?}");
        assert_eq!(a.hex(40).len(), 40);
    }
}
