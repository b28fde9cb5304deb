//! Loops over long byte strings: bits counted, found and combined, and the 6-bit registers of a HyperLogLog unpacked,
//! packed and counted. Knows no key and no encoding but that of the registers:
//!
//! ```text
//! byte      0         1         2
//! bits   bb aaaaaa  cccc bbbb  dddddd cc     four registers in three bytes, the low bits of each first
//! ```
//!
//! On x86_64 each loop exists twice, plain and for AVX2, which the processor is asked for at run time. `combine_into` is the
//! same source compiled for both; the others are written in intrinsics, because no compiler finds their shuffles.

#[cfg(target_arch = "x86_64")]
mod avx2;

use std::ops::Range;

/// Bytes that are combined at a time: the result's part stays in the first-level cache while all sources pass over it.
const BLOCK_BYTES: usize = 8 * 1024;

/// What BITOP computes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BitOp {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number of them.
    Xor,
    /// Not set in the only one.
    Not,
    /// Set in the first and in no other.
    Diff,
    /// Set in any but the first, and not in the first.
    Diff1,
    /// Set in the first and in any other.
    AndOr,
    /// Set in exactly one.
    One,
}

/// Runs the AVX2 form of a loop if there is one for this processor, else the plain form.
macro_rules! dispatch {
    ($name:ident($($arg:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        if avx2::is_supported() {
            // SAFETY: the processor has AVX2 and POPCNT, as `is_supported` has just said.
            return unsafe { avx2::$name($($arg),*) };
        }
        plain::$name($($arg),*)
    }};
}

/// Set bits.
pub fn count_ones(bytes: &[u8]) -> u64 {
    dispatch!(count_ones(bytes))
}

/// Set bits of a range of bits, which lies within the string. The first bit is the highest of the first byte.
///
/// # Panics
/// If the range goes beyond the end.
pub fn count_ones_in(bytes: &[u8], bits: Range<u64>) -> u64 {
    if bits.is_empty() {
        return 0;
    }
    let (first, last) = ((bits.start / 8) as usize, ((bits.end - 1) / 8) as usize);
    let before = bytes[first] & !(0xff >> (bits.start % 8));
    let behind = bytes[last] & (0x7f >> ((bits.end - 1) % 8)) as u8;
    count_ones(&bytes[first..=last]) - u64::from(before.count_ones()) - u64::from(behind.count_ones())
}

/// The first bit of a range of bits that is set, or that is not. The range lies within the string.
///
/// # Panics
/// If the range goes beyond the end.
pub fn find_bit(bytes: &[u8], bits: Range<u64>, wanted: bool) -> Option<u64> {
    if bits.is_empty() {
        return None;
    }
    let (first, last) = ((bits.start / 8) as usize, ((bits.end - 1) / 8) as usize);
    // A byte in which the wanted bits are the set ones.
    let flip = if wanted { 0x00 } else { 0xff };
    let found = |index: usize, byte: u8| {
        let bit = index as u64 * 8 + u64::from(byte.leading_zeros());
        (byte != 0 && bit < bits.end).then_some(bit)
    };
    let head = (bytes[first] ^ flip) & (0xff >> (bits.start % 8)) as u8;
    if head != 0 || first == last {
        return found(first, head);
    }
    let index = first + 1 + first_other(&bytes[first + 1..=last], flip)?;
    found(index, bytes[index] ^ flip)
}

/// Index of the first byte that is not this one.
fn first_other(bytes: &[u8], same: u8) -> Option<usize> {
    let skip = same_prefix(bytes, same);
    bytes[skip..].iter().position(|byte| *byte != same).map(|index| skip + index)
}

/// A length, not too far from the greatest, up to which all bytes are this one.
fn same_prefix(bytes: &[u8], same: u8) -> usize {
    dispatch!(same_prefix(bytes, same))
}

/// The combination of byte strings, as long as the longest: shorter ones are taken as if zero bytes followed.
pub fn combine(op: BitOp, sources: &[&[u8]]) -> Vec<u8> {
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut out = Vec::with_capacity(len);
    combine_into(op, sources, len, &mut out);
    out
}

fn combine_into(op: BitOp, sources: &[&[u8]], len: usize, out: &mut Vec<u8>) {
    dispatch!(combine_into(op, sources, len, out))
}

/// Raises each register to that of a packed string, where that is greater. Three bytes for four registers.
///
/// # Panics
/// If the lengths do not fit.
pub fn raise_registers(packed: &[u8], registers: &mut [u8]) {
    assert!(packed.len() % 3 == 0 && packed.len() / 3 * 4 == registers.len(), "four registers in three bytes");
    dispatch!(raise_registers(packed, registers))
}

/// Writes the low six bits of each register, packed.
///
/// # Panics
/// If the lengths do not fit.
pub fn pack_registers(registers: &[u8], packed: &mut [u8]) {
    assert!(packed.len() % 3 == 0 && packed.len() / 3 * 4 == registers.len(), "four registers in three bytes");
    dispatch!(pack_registers(registers, packed))
}

/// How many registers have each value; those above 63 are not counted.
pub fn count_registers(registers: &[u8]) -> [u32; 64] {
    dispatch!(count_registers(registers))
}

/// The loops for any processor. Inlined into their AVX2 forms, which are the same source with wider words.
mod plain {
    use super::{BLOCK_BYTES, BitOp};

    #[inline(always)]
    pub fn count_ones(bytes: &[u8]) -> u64 {
        let words = bytes.chunks_exact(8);
        let tail: u32 = words.remainder().iter().map(|byte| byte.count_ones()).sum();
        let word = |chunk: &[u8]| u64::from_ne_bytes(chunk.try_into().expect("chunks of eight"));
        words.map(|chunk| u64::from(word(chunk).count_ones())).sum::<u64>() + u64::from(tail)
    }

    #[inline(always)]
    pub fn same_prefix(bytes: &[u8], same: u8) -> usize {
        let wanted = u64::from_ne_bytes([same; 8]);
        let differs = |word: &[u8]| u64::from_ne_bytes(word.try_into().expect("eight bytes")) ^ wanted;
        let mut len = 0;
        for chunk in bytes.chunks_exact(32) {
            if differs(&chunk[..8]) | differs(&chunk[8..16]) | differs(&chunk[16..24]) | differs(&chunk[24..]) != 0 {
                break;
            }
            len += chunk.len();
        }
        len
    }

    /// `into` and the part of `source` that lies over it; what is behind the source's end is combined with zeros.
    #[inline(always)]
    fn each(into: &mut [u8], source: &[u8], f: impl Fn(u8, u8) -> u8) {
        let common = source.len().min(into.len());
        let (head, tail) = into.split_at_mut(common);
        head.iter_mut().zip(source).for_each(|(byte, other)| *byte = f(*byte, *other));
        tail.iter_mut().for_each(|byte| *byte = f(*byte, 0));
    }

    #[inline(always)]
    pub fn combine_into(op: BitOp, sources: &[&[u8]], len: usize, out: &mut Vec<u8>) {
        let mut twice = [0u8; BLOCK_BYTES];
        for start in (0..len).step_by(BLOCK_BYTES) {
            let end = (start + BLOCK_BYTES).min(len);
            let part = |source: &'_ [u8]| start.min(source.len())..end.min(source.len());
            // DIFF, DIFF1 and ANDOR set the first source against the union of the others.
            let against = matches!(op, BitOp::Diff | BitOp::Diff1 | BitOp::AndOr);
            let operands = &sources[usize::from(against)..];
            let begin = operands.first().copied().unwrap_or_default();
            let others = operands.get(1..).unwrap_or_default();
            out.extend_from_slice(&begin[part(begin)]);
            out.resize(end, 0);
            let block = &mut out[start..];
            twice[..end - start].fill(0);
            for other in others {
                let other = &other[part(other)];
                match op {
                    BitOp::And => each(block, other, |a, b| a & b),
                    BitOp::Xor => each(block, other, |a, b| a ^ b),
                    BitOp::One => {
                        twice.iter_mut().zip(block.iter().zip(other)).for_each(|(two, (a, b))| *two |= a & b);
                        each(block, other, |a, b| a | b);
                    }
                    _ => each(block, other, |a, b| a | b),
                }
            }
            let first = &sources[0][part(sources[0])];
            match op {
                BitOp::Not => block.iter_mut().for_each(|byte| *byte = !*byte),
                BitOp::Diff => each(block, first, |union, x| x & !union),
                BitOp::Diff1 => each(block, first, |union, x| union & !x),
                BitOp::AndOr => each(block, first, |union, x| union & x),
                BitOp::One => each(block, &twice[..end - start], |any, two| any & !two),
                BitOp::And | BitOp::Or | BitOp::Xor => {}
            }
        }
    }

    #[inline(always)]
    pub fn raise_registers(packed: &[u8], registers: &mut [u8]) {
        for (three, four) in packed.chunks_exact(3).zip(registers.chunks_exact_mut(4)) {
            let word = u32::from_le_bytes([three[0], three[1], three[2], 0]);
            for (nth, register) in four.iter_mut().enumerate() {
                *register = (*register).max((word >> (6 * nth)) as u8 & 0x3f);
            }
        }
    }

    #[inline(always)]
    pub fn pack_registers(registers: &[u8], packed: &mut [u8]) {
        for (four, three) in registers.chunks_exact(4).zip(packed.chunks_exact_mut(3)) {
            let word = four.iter().rev().fold(0u32, |word, register| word << 6 | u32::from(register & 0x3f));
            three.copy_from_slice(&word.to_le_bytes()[..3]);
        }
    }

    /// Four tables in turn: neighbours are often equal, and a counter that was just stored must not be waited for.
    #[inline(always)]
    pub fn count_registers(registers: &[u8]) -> [u32; 64] {
        let mut tables = [[0u32; 256]; 4];
        let fours = registers.chunks_exact(4);
        fours.remainder().iter().for_each(|register| tables[0][usize::from(*register)] += 1);
        for four in fours {
            for (table, register) in tables.iter_mut().zip(four) {
                table[usize::from(*register)] += 1;
            }
        }
        std::array::from_fn(|value| tables.iter().map(|table| table[value]).sum())
    }
}

#[cfg(test)]
mod tests;
