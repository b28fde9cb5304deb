//! Inner loops over two vectors of one length: products of floats and of small integers, differing bits. Each has a plain form
//! and one for AVX2; which one runs is asked of the processor once per graph. Knows no graph.
//!
//! The forms add floats in another order, so their sums may differ in the last bits; sums of integers are the same.

/// Which instructions the loops may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Isa {
    /// What every processor has.
    Plain,
    /// AVX2, FMA and POPCNT.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Isa {
    /// The best that this processor has.
    pub fn detect() -> Isa {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("popcnt") {
            return Isa::Avx2;
        }
        Isa::Plain
    }

    /// The sum of the products of two runs of floats.
    #[inline]
    pub fn dot_f32(self, a: &[f32], b: &[f32]) -> f32 {
        debug_assert_eq!(a.len(), b.len());
        match self {
            Isa::Plain => plain::dot_f32(a, b),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found these features.
            Isa::Avx2 => unsafe { avx2::dot_f32(a, b) },
        }
    }

    /// The sum of the products of two runs of integers between -127 and 127, at most 2^17 of them.
    #[inline]
    pub fn dot_i8(self, a: &[i8], b: &[i8]) -> i32 {
        debug_assert_eq!(a.len(), b.len());
        match self {
            Isa::Plain => plain::dot_i8(a, b),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found these features.
            Isa::Avx2 => unsafe { avx2::dot_i8(a, b) },
        }
    }

    /// How many bits differ.
    #[inline]
    pub fn differing_bits(self, a: &[u32], b: &[u32]) -> u32 {
        debug_assert_eq!(a.len(), b.len());
        match self {
            Isa::Plain => plain::differing_bits(a, b),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `detect` found these features.
            Isa::Avx2 => unsafe { avx2::differing_bits(a, b) },
        }
    }
}

/// Without special instructions. Eight sums side by side let the compiler use whatever registers there are.
mod plain {
    pub fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0f32; 8];
        let (a_parts, b_parts) = (a.chunks_exact(8), b.chunks_exact(8));
        let rest: f32 = a_parts.remainder().iter().zip(b_parts.remainder()).map(|(x, y)| x * y).sum();
        for (x, y) in a_parts.zip(b_parts) {
            for lane in 0..8 {
                sums[lane] += x[lane] * y[lane];
            }
        }
        sums.iter().sum::<f32>() + rest
    }

    pub fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
        a.iter().zip(b).map(|(&x, &y)| i32::from(x) * i32::from(y)).sum()
    }

    pub fn differing_bits(a: &[u32], b: &[u32]) -> u32 {
        a.iter().zip(b).map(|(x, y)| (x ^ y).count_ones()).sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    /// # Safety
    /// The processor has AVX2 and FMA.
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
        let len = a.len().min(b.len());
        let (a, b) = (&a[..len], &b[..len]);
        let mut at = 0;
        // SAFETY: each load reads eight floats that end at or before `len`; the features are the caller's promise.
        let mut sum = unsafe {
            let mut sums = [_mm256_setzero_ps(); 4];
            while at + 32 <= len {
                for (lane, sum) in sums.iter_mut().enumerate() {
                    let x = _mm256_loadu_ps(a.as_ptr().add(at + 8 * lane));
                    let y = _mm256_loadu_ps(b.as_ptr().add(at + 8 * lane));
                    *sum = _mm256_fmadd_ps(x, y, *sum);
                }
                at += 32;
            }
            while at + 8 <= len {
                let (x, y) = (_mm256_loadu_ps(a.as_ptr().add(at)), _mm256_loadu_ps(b.as_ptr().add(at)));
                sums[0] = _mm256_fmadd_ps(x, y, sums[0]);
                at += 8;
            }
            let halves = _mm256_add_ps(_mm256_add_ps(sums[0], sums[1]), _mm256_add_ps(sums[2], sums[3]));
            let quads = _mm_add_ps(_mm256_castps256_ps128(halves), _mm256_extractf128_ps::<1>(halves));
            let pairs = _mm_add_ps(quads, _mm_movehl_ps(quads, quads));
            _mm_cvtss_f32(_mm_add_ss(pairs, _mm_shuffle_ps::<1>(pairs, pairs)))
        };
        for (x, y) in a[at..].iter().zip(&b[at..]) {
            sum += x * y;
        }
        sum
    }

    /// # Safety
    /// The processor has AVX2.
    #[target_feature(enable = "avx2")]
    pub unsafe fn dot_i8(a: &[i8], b: &[i8]) -> i32 {
        let len = a.len().min(b.len());
        let (a, b) = (&a[..len], &b[..len]);
        let mut at = 0;
        // SAFETY: each load reads 32 bytes that end at or before `len`; the features are the caller's promise. No sum of two
        // products reaches 2^15, since no factor is -128.
        let mut sum = unsafe {
            let (mut sums, ones) = (_mm256_setzero_si256(), _mm256_set1_epi16(1));
            while at + 32 <= len {
                let x = _mm256_loadu_si256(a.as_ptr().add(at).cast());
                let y = _mm256_loadu_si256(b.as_ptr().add(at).cast());
                // The instruction wants one factor without sign: it goes to the other.
                let products = _mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));
                sums = _mm256_add_epi32(sums, _mm256_madd_epi16(products, ones));
                at += 32;
            }
            let quads = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256::<1>(sums));
            let pairs = _mm_add_epi32(quads, _mm_shuffle_epi32::<0b01_00_11_10>(quads));
            _mm_cvtsi128_si32(_mm_add_epi32(pairs, _mm_shuffle_epi32::<0b10_11_00_01>(pairs)))
        };
        for (&x, &y) in a[at..].iter().zip(&b[at..]) {
            sum += i32::from(x) * i32::from(y);
        }
        sum
    }

    /// # Safety
    /// The processor has POPCNT.
    #[target_feature(enable = "avx2,popcnt")]
    pub unsafe fn differing_bits(a: &[u32], b: &[u32]) -> u32 {
        super::plain::differing_bits(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn the_fast_forms_agree_with_the_plain_ones() {
        let (fast, mut rng) = (Isa::detect(), Rng::seeded(3));
        for len in (0..140).chain([1000, 4096]) {
            let small: Vec<i8> = (0..2 * len).map(|_| rng.below(255) as i8).map(|x| x.max(-127)).collect();
            let floats: Vec<f32> = small.iter().map(|&x| f32::from(x) / 127.0).collect();
            let words: Vec<u32> = small.iter().map(|_| rng.next_u64() as u32).collect();
            let exact: f64 = (0..len).map(|i| f64::from(floats[i]) * f64::from(floats[len + i])).sum();
            for isa in [fast, Isa::Plain] {
                let sum = isa.dot_f32(&floats[..len], &floats[len..]);
                assert!((f64::from(sum) - exact).abs() < 1e-3, "{len}: {sum} {exact}");
                assert_eq!(isa.dot_i8(&small[..len], &small[len..]), plain::dot_i8(&small[..len], &small[len..]));
                let bits = isa.differing_bits(&words[..len], &words[len..]);
                assert_eq!(bits, plain::differing_bits(&words[..len], &words[len..]));
            }
        }
    }
}
