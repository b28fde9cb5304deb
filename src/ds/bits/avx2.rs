//! The loops of `bits` for processors with AVX2: 32 bytes at a time.

use super::{BitOp, plain};
use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm_storeu_si128, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256,
    _mm256_castsi256_si128, _mm256_cmpeq_epi8, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_max_epu8, _mm256_min_epu8, _mm256_or_si256, _mm256_sad_epu8, _mm256_set_m128i,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_sub_epi8,
    _mm256_testz_si256, _mm256_xor_si256,
};

/// Whether this processor can run them.
#[inline]
pub fn is_supported() -> bool {
    // Miri interprets no intrinsics beyond SSE.
    !cfg!(miri) && is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}

/// Bytes of a vector.
const VECTOR_BYTES: usize = 32;

/// As `bits::count_ones`, after W. Mula: the bits of each half byte are looked up by a shuffle.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn count_ones(bytes: &[u8]) -> u64 {
    /// Each vector adds at most eight to a lane of eight bits.
    const RUN: usize = 31;
    #[rustfmt::skip]
    let ones = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let half = _mm256_set1_epi8(0x0f);
    let mut total = _mm256_setzero_si256();
    let vectors = bytes.chunks_exact(VECTOR_BYTES);
    let tail = vectors.remainder();
    for run in bytes[..bytes.len() - tail.len()].chunks(RUN * VECTOR_BYTES) {
        let mut lanes = _mm256_setzero_si256();
        for vector in run.chunks_exact(VECTOR_BYTES) {
            // SAFETY: the chunk has as many bytes as are read. Unaligned form.
            let vector = unsafe { _mm256_loadu_si256(vector.as_ptr().cast()) };
            let low = _mm256_shuffle_epi8(ones, _mm256_and_si256(vector, half));
            let high = _mm256_shuffle_epi8(ones, _mm256_and_si256(_mm256_srli_epi16::<4>(vector), half));
            lanes = _mm256_add_epi8(lanes, _mm256_add_epi8(low, high));
        }
        total = _mm256_add_epi64(total, _mm256_sad_epu8(lanes, _mm256_setzero_si256()));
    }
    // SAFETY: whoever called this has the processor for it.
    unsafe { sum_of_words(total) + plain::count_ones(tail) }
}

/// The sum of a vector's four words.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sum_of_words(vector: __m256i) -> u64 {
    let mut words = [0u64; 4];
    // SAFETY: the array has as many bytes as are written. Unaligned form.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
    words.iter().sum()
}

/// As `bits::same_prefix`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn same_prefix(bytes: &[u8], same: u8) -> usize {
    let wanted = _mm256_set1_epi8(same as i8);
    let mut len = 0;
    for pair in bytes.chunks_exact(2 * VECTOR_BYTES) {
        // SAFETY: the chunk has as many bytes as the two reads together. Unaligned forms.
        let (one, two) = unsafe {
            let place: *const __m256i = pair.as_ptr().cast();
            (_mm256_loadu_si256(place), _mm256_loadu_si256(place.add(1)))
        };
        let differ = _mm256_or_si256(_mm256_xor_si256(one, wanted), _mm256_xor_si256(two, wanted));
        if _mm256_testz_si256(differ, differ) == 0 {
            break;
        }
        len += pair.len();
    }
    len
}

/// As `bits::combine_into`.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn combine_into(op: BitOp, sources: &[&[u8]], len: usize, out: &mut Vec<u8>) {
    plain::combine_into(op, sources, len, out);
}

/// As `bits::count_registers`. A pass for every four values between the least and the greatest: most registers lie within
/// some fifteen values, and a pass compares 32 at once.
///
/// # Safety
/// The processor has AVX2 and POPCNT.
#[target_feature(enable = "avx2,popcnt")]
pub unsafe fn count_registers(registers: &[u8]) -> [u32; 64] {
    let tail_at = registers.len() / VECTOR_BYTES * VECTOR_BYTES;
    let mut counts = plain::count_registers(&registers[tail_at..]);
    let registers = &registers[..tail_at];
    if registers.is_empty() {
        return counts;
    }
    // SAFETY: whoever called this has the processor for it.
    let (least, most) = unsafe { extremes(registers) };
    for first in (least..=most.min(63)).step_by(4) {
        // SAFETY: as above.
        let four = unsafe { count_four(registers, first) };
        for (count, more) in counts.iter_mut().skip(usize::from(first)).zip(four) {
            *count += more;
        }
    }
    counts
}

/// The least and the greatest byte of whole vectors.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn extremes(bytes: &[u8]) -> (u8, u8) {
    let (mut least, mut most) = (_mm256_set1_epi8(-1), _mm256_setzero_si256());
    for vector in bytes.chunks_exact(VECTOR_BYTES) {
        // SAFETY: the chunk has as many bytes as are read. Unaligned form.
        let vector = unsafe { _mm256_loadu_si256(vector.as_ptr().cast()) };
        least = _mm256_min_epu8(least, vector);
        most = _mm256_max_epu8(most, vector);
    }
    let mut lanes = [[0u8; VECTOR_BYTES]; 2];
    // SAFETY: each array has as many bytes as are written. Unaligned forms.
    unsafe {
        _mm256_storeu_si256(lanes[0].as_mut_ptr().cast(), least);
        _mm256_storeu_si256(lanes[1].as_mut_ptr().cast(), most);
    }
    (lanes[0].iter().copied().fold(u8::MAX, u8::min), lanes[1].iter().copied().fold(0, u8::max))
}

/// How many bytes of whole vectors are this one, the next, and so on.
///
/// # Safety
/// The processor has AVX2.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn count_four(bytes: &[u8], first: u8) -> [u32; 4] {
    /// A lane of eight bits counts so far.
    const RUN: usize = 255;
    let zero = _mm256_setzero_si256();
    let wanted: [__m256i; 4] = [0, 1, 2, 3].map(|nth| _mm256_set1_epi8((first + nth) as i8));
    let mut totals = [zero; 4];
    for run in bytes.chunks(RUN * VECTOR_BYTES) {
        let mut lanes = [zero; 4];
        for vector in run.chunks_exact(VECTOR_BYTES) {
            // SAFETY: the chunk has as many bytes as are read. Unaligned form.
            let vector = unsafe { _mm256_loadu_si256(vector.as_ptr().cast()) };
            for nth in 0..4 {
                // Equal lanes are -1.
                lanes[nth] = _mm256_sub_epi8(lanes[nth], _mm256_cmpeq_epi8(vector, wanted[nth]));
            }
        }
        for nth in 0..4 {
            totals[nth] = _mm256_add_epi64(totals[nth], _mm256_sad_epu8(lanes[nth], zero));
        }
    }
    // SAFETY: whoever called this has the processor for it.
    totals.map(|total| unsafe { sum_of_words(total) } as u32)
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
