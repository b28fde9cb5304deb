//! The loops of `bits` for processors with AVX2: 32 bytes at a time.

use super::{BitOp, plain};
use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_and_si256, _mm256_castsi256_si128, _mm256_extracti128_si256,
    _mm256_loadu_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epu8, _mm256_or_si256, _mm256_set_m128i,
    _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_slli_epi32,
    _mm256_storeu_si256,
};

/// Whether this processor can run them.
#[inline]
pub fn is_supported() -> bool {
    // Miri interprets no intrinsics beyond SSE.
    !cfg!(miri) && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

/// As `bits::count_ones`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn count_ones(bytes: &[u8]) -> u64 {
    plain::count_ones(bytes)
}

/// As `bits::combine_into`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn combine_into(op: BitOp, sources: &[&[u8]], len: usize, out: &mut Vec<u8>) {
    plain::combine_into(op, sources, len, out);
}

/// As `bits::count_registers`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn count_registers(registers: &[u8]) -> [u32; 64] {
    plain::count_registers(registers)
}

/// Bytes that hold as many registers as a vector has lanes.
const PACKED_BYTES: usize = 24;
/// Registers of a vector.
const REGISTERS: usize = 32;
/// A half vector is read or written 16 bytes wide though 12 belong to it: so far goes the second half of a step.
const REACH_BYTES: usize = 12 + 16;

/// As `bits::raise_registers`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn raise_registers(packed: &[u8], registers: &mut [u8]) {
    let mut at = 0;
    let mut register = 0;
    while at + REACH_BYTES <= packed.len() && register + REGISTERS <= registers.len() {
        // SAFETY: the loop's condition: the two reads end at `at + REACH_BYTES`, the read and write of registers at
        // `register + REGISTERS`, each within its slice. Unaligned forms.
        unsafe {
            let low = _mm_loadu_si128(packed.as_ptr().add(at).cast());
            let high = _mm_loadu_si128(packed.as_ptr().add(at + 12).cast());
            let four = unpack(_mm256_set_m128i(high, low));
            let place: *mut __m256i = registers.as_mut_ptr().add(register).cast();
            _mm256_storeu_si256(place, _mm256_max_epu8(_mm256_loadu_si256(place), four));
        }
        at += PACKED_BYTES;
        register += REGISTERS;
    }
    plain::raise_registers(&packed[at..], &mut registers[register..]);
}

/// 16 registers out of the first 12 bytes of each half.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn unpack(packed: __m256i) -> __m256i {
    // Three bytes to each word of 32 bits: dddddd cccccc bbbbbb aaaaaa.
    #[rustfmt::skip]
    let spread = _mm256_setr_epi8(
        0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
        0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11, -1,
    );
    let word = _mm256_shuffle_epi8(packed, spread);
    let a = _mm256_and_si256(word, _mm256_set1_epi32(0x0000_003f));
    let b = _mm256_and_si256(_mm256_slli_epi32::<2>(word), _mm256_set1_epi32(0x0000_3f00));
    let c = _mm256_and_si256(_mm256_slli_epi32::<4>(word), _mm256_set1_epi32(0x003f_0000));
    let d = _mm256_and_si256(_mm256_slli_epi32::<6>(word), _mm256_set1_epi32(0x3f00_0000));
    _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d))
}

/// As `bits::pack_registers`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn pack_registers(registers: &[u8], packed: &mut [u8]) {
    let mut at = 0;
    let mut register = 0;
    while at + REACH_BYTES <= packed.len() && register + REGISTERS <= registers.len() {
        // SAFETY: as in `raise_registers`. The four bytes behind each half's twelve are written over by what follows: the
        // other half, the next step, or the plain loop, for at least four bytes are left to that.
        unsafe {
            let four = pack(_mm256_loadu_si256(registers.as_ptr().add(register).cast()));
            _mm_storeu_si128(packed.as_mut_ptr().add(at).cast(), _mm256_castsi256_si128(four));
            _mm_storeu_si128(packed.as_mut_ptr().add(at + 12).cast(), _mm256_extracti128_si256::<1>(four));
        }
        at += PACKED_BYTES;
        register += REGISTERS;
    }
    plain::pack_registers(&registers[register..], &mut packed[at..]);
}

/// 12 bytes at the beginning of each half out of its 16 registers.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pack(registers: __m256i) -> __m256i {
    let six = _mm256_and_si256(registers, _mm256_set1_epi16(0x3f3f));
    // a + 64 b, c + 64 d: twelve bits in 16; then the first + 4096 times the second: 24 bits in 32.
    let twelve = _mm256_maddubs_epi16(six, _mm256_set1_epi16(0x4001));
    let word = _mm256_madd_epi16(twelve, _mm256_set1_epi32(0x1000_0001));
    #[rustfmt::skip]
    let gather = _mm256_setr_epi8(
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
        0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1,
    );
    _mm256_shuffle_epi8(word, gather)
}
