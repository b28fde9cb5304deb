//! HyperLogLog: strings of a form of their own that count distinct elements to about 0.81 %, byte for byte those of Redis.
//! Knows no key and no reply.
//!
//! ```text
//! 0      4    5      8         16
//! "HYLL" enc  unused count     registers     enc 0: 16,384 of six bits, as `ds::bits` packs them: 12,288 bytes
//!                                            enc 1: runs of them, see `sparse`
//! ```
//! `count` is the cardinality found last, little endian; its highest bit says that it is stale.
//!
//! An element's hash of 64 bits names a register by its low 14 bits and a rank by the others: one more than the zeros below
//! their lowest set bit. A register holds the highest rank seen. The estimate is that of Otmar Ertl, "New cardinality
//! estimation algorithms for HyperLogLog sketches" (2017), section 4: from how many registers have each rank.

mod sparse;

use super::str::{Scratch, StrMut};
use crate::ds::bits;
use sparse::Change;

/// Registers of every HyperLogLog.
pub const REGISTERS: usize = 1 << INDEX_BITS;
const INDEX_BITS: u32 = 14;
/// Bits of the hash that make the rank.
const RANK_BITS: usize = 64 - INDEX_BITS as usize;
const HEADER_BYTES: usize = 16;
const DENSE_BYTES: usize = HEADER_BYTES + REGISTERS / 4 * 3;
const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
const COUNT_AT: usize = 8;
/// The byte and the bit of the header that say that the count is stale.
const STALE: (usize, u8) = (15, 0x80);

/// One without elements.
pub const EMPTY: [u8; 18] = *b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff";

/// The runs of a sparse one do not make up its registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Corrupt;

/// Why an element could not be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The string is no HyperLogLog.
    NoHll,
    /// It is a broken one.
    Corrupt,
}

impl From<Corrupt> for Refused {
    fn from(_: Corrupt) -> Refused {
        Refused::Corrupt
    }
}

/// How registers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Six bits each.
    Dense,
    /// Runs.
    Sparse,
}

/// All registers, one byte each.
pub struct Registers([u8; REGISTERS]);

impl Default for Registers {
    fn default() -> Self {
        Registers([0; REGISTERS])
    }
}

impl Registers {
    /// The registers' ranks.
    pub fn ranks(&self) -> &[u8; REGISTERS] {
        &self.0
    }

    /// Counts an element.
    pub fn add(&mut self, element: &[u8]) {
        let (index, rank) = place(element);
        self.0[index] = self.0[index].max(rank);
    }

    /// About how many distinct elements they have seen.
    pub fn estimate(&self) -> u64 {
        estimate(&bits::count_registers(&self.0))
    }
}

/// A string that is a HyperLogLog as far as its header tells.
#[derive(Clone, Copy)]
pub struct Hll<'a>(&'a [u8]);

impl<'a> Hll<'a> {
    /// Looks at a string's header and, if it is dense, its length.
    pub fn of(bytes: &'a [u8]) -> Option<Hll<'a>> {
        let header = bytes.get(..HEADER_BYTES)?;
        let fits = match header[MAGIC.len()] {
            DENSE => bytes.len() == DENSE_BYTES,
            encoding => encoding == SPARSE,
        };
        (header.starts_with(MAGIC) && fits).then_some(Hll(bytes))
    }

    /// How its registers are kept.
    pub fn encoding(self) -> Encoding {
        if self.0[MAGIC.len()] == DENSE { Encoding::Dense } else { Encoding::Sparse }
    }

    fn body(self) -> &'a [u8] {
        &self.0[HEADER_BYTES..]
    }

    /// The cardinality found last, if nothing was added since.
    pub fn known_count(self) -> Option<u64> {
        let count = u64::from_le_bytes(self.0[COUNT_AT..HEADER_BYTES].try_into().expect("eight bytes of the header"));
        (self.0[STALE.0] & STALE.1 == 0).then_some(count)
    }

    /// About how many distinct elements were added.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn estimate(self) -> Result<u64, Corrupt> {
        match self.encoding() {
            Encoding::Sparse => Ok(estimate(&sparse::count_registers(self.body())?)),
            Encoding::Dense => {
                let mut registers = Registers::default();
                bits::raise_registers(self.body(), &mut registers.0);
                Ok(registers.estimate())
            }
        }
    }

    /// Raises registers to these.
    ///
    /// # Errors
    /// `Corrupt`; some registers may have been raised.
    pub fn merge_into(self, registers: &mut Registers) -> Result<(), Corrupt> {
        match self.encoding() {
            Encoding::Dense => bits::raise_registers(self.body(), &mut registers.0),
            Encoding::Sparse => sparse::raise_registers(self.body(), &mut registers.0)?,
        }
        Ok(())
    }

    /// The runs in words, as PFDEBUG DECODE shows them; `None` if it is dense.
    pub fn decode(self) -> Option<String> {
        (self.encoding() == Encoding::Sparse).then(|| sparse::decode(self.body()))
    }
}

/// Counts an element in a string that should be a HyperLogLog: whether a register rose. With more than `sparse_max_bytes` it
/// becomes dense. The count that the header knows becomes stale only by `forget_count`.
///
/// # Errors
/// `Refused`; nothing is changed.
#[inline]
pub fn add(string: &mut StrMut<'_>, element: &[u8], sparse_max_bytes: usize) -> Result<bool, Refused> {
    let (index, rank) = place(element);
    let mut scratch = Scratch::default();
    let view = string.view();
    let Some(hll) = Hll::of(view.bytes(&mut scratch)) else { return Err(Refused::NoHll) };
    if hll.encoding() == Encoding::Dense {
        if dense_rank(hll.body(), index) >= rank {
            return Ok(false);
        }
        string.change(0, |bytes| set_dense(&mut bytes[HEADER_BYTES..], index, rank));
        return Ok(true);
    }
    match sparse::raise(hll.body(), index, rank, sparse_max_bytes.saturating_sub(HEADER_BYTES))? {
        Change::None => return Ok(false),
        Change::Splice { at, remove_len, insert } => string.splice(HEADER_BYTES + at, remove_len, insert.bytes()),
        Change::TooLong => {
            let mut dense = dense_of(hll)?;
            set_dense(&mut dense[HEADER_BYTES..], index, rank);
            string.set_raw(&dense);
        }
    }
    Ok(true)
}

/// Says that the header's count is stale.
pub fn forget_count(string: &mut StrMut<'_>) {
    string.change(HEADER_BYTES, |bytes| bytes[STALE.0] |= STALE.1);
}

/// Notes the count in the header.
pub fn note_count(string: &mut StrMut<'_>, count: u64) {
    string.change(HEADER_BYTES, |bytes| bytes[COUNT_AT..HEADER_BYTES].copy_from_slice(&count.to_le_bytes()));
}

/// Makes a string that is a sparse HyperLogLog a dense one; whether it was sparse.
///
/// # Errors
/// `Corrupt`; nothing is changed.
pub fn make_dense(string: &mut StrMut<'_>) -> Result<bool, Corrupt> {
    let mut scratch = Scratch::default();
    let view = string.view();
    let Some(hll) = Hll::of(view.bytes(&mut scratch)) else { return Err(Corrupt) };
    if hll.encoding() == Encoding::Dense {
        return Ok(false);
    }
    let dense = dense_of(hll)?;
    string.set_raw(&dense);
    Ok(true)
}

/// Stores the union of a string that is a HyperLogLog and of others, which `registers` are already; `dense`: it becomes
/// dense whatever fits.
///
/// # Errors
/// `Corrupt`; nothing is changed.
pub fn store_union(
    string: &mut StrMut<'_>,
    registers: &Registers,
    dense: bool,
    sparse_max_bytes: usize,
) -> Result<(), Corrupt> {
    let mut bytes = {
        let mut scratch = Scratch::default();
        let view = string.view();
        let hll = Hll::of(view.bytes(&mut scratch)).ok_or(Corrupt)?;
        if hll.encoding() == Encoding::Dense { None } else { Some(hll.0.to_vec()) }
    };
    if let Some(bytes) = &mut bytes {
        if !dense && raise_all(bytes, registers, sparse_max_bytes)? {
            bytes[STALE.0] |= STALE.1;
            string.set_raw(bytes);
            return Ok(());
        }
        bytes.truncate(HEADER_BYTES);
        bytes[MAGIC.len()] = DENSE;
        bytes.resize(DENSE_BYTES, 0);
        string.set_raw(bytes);
    }
    string.change(DENSE_BYTES, |bytes| {
        bits::pack_registers(&registers.0, &mut bytes[HEADER_BYTES..]);
        bytes[STALE.0] |= STALE.1;
    });
    Ok(())
}

/// Raises a sparse one's registers one after the other, as the runs' form depends on the order; false if it grew too long.
fn raise_all(bytes: &mut Vec<u8>, registers: &Registers, sparse_max_bytes: usize) -> Result<bool, Corrupt> {
    let max_len = sparse_max_bytes.saturating_sub(HEADER_BYTES);
    let mut mark = sparse::Mark::default();
    for (index, rank) in registers.0.iter().enumerate().filter(|(_, rank)| **rank > 0) {
        match sparse::raise_behind(&bytes[HEADER_BYTES..], &mut mark, index, *rank, max_len)? {
            Change::None => {}
            Change::TooLong => return Ok(false),
            Change::Splice { at, remove_len, insert } => {
                let at = HEADER_BYTES + at;
                bytes.splice(at..at + remove_len, insert.bytes().iter().copied());
            }
        }
    }
    Ok(true)
}

/// The dense form of a sparse one; the header stays but for the encoding.
fn dense_of(hll: Hll<'_>) -> Result<Vec<u8>, Corrupt> {
    let mut registers = Registers::default();
    hll.merge_into(&mut registers)?;
    let mut dense = hll.0[..HEADER_BYTES].to_vec();
    dense[MAGIC.len()] = DENSE;
    dense.resize(DENSE_BYTES, 0);
    bits::pack_registers(&registers.0, &mut dense[HEADER_BYTES..]);
    Ok(dense)
}

/// The two bytes that hold a register of the body of a dense one, the second zero behind the end, and its lowest bit there.
#[inline]
fn dense_word(body: &[u8], index: usize) -> (usize, u16, u32) {
    let bit = index * 6;
    let at = bit / 8;
    let word = u16::from_le_bytes([body[at], body.get(at + 1).copied().unwrap_or_default()]);
    (at, word, (bit % 8) as u32)
}

#[inline]
fn dense_rank(body: &[u8], index: usize) -> u8 {
    let (_, word, shift) = dense_word(body, index);
    (word >> shift) as u8 & 0x3f
}

#[inline]
fn set_dense(body: &mut [u8], index: usize, rank: u8) {
    let (at, word, shift) = dense_word(body, index);
    let word = word & !(0x3f << shift) | u16::from(rank) << shift;
    let [low, high] = word.to_le_bytes();
    body[at] = low;
    if let Some(byte) = body.get_mut(at + 1) {
        *byte = high;
    }
}

/// The register that an element belongs to, and its rank: 1 to 51.
#[inline]
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur2(element);
    let index = hash as usize & (REGISTERS - 1);
    // The bit above all ends the count when the others are zero.
    let rank = (hash >> INDEX_BITS | 1 << RANK_BITS).trailing_zeros() + 1;
    (index, rank as u8)
}

/// MurmurHash2 in its 64-bit variant A (Austin Appleby, public domain), with the seed that Redis gives it.
#[inline]
fn murmur2(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xadc8_3b19;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(FACTOR);
    let words = bytes.chunks_exact(8);
    let tail = words.remainder();
    for word in words {
        let mut word = u64::from_le_bytes(word.try_into().expect("chunks of eight")).wrapping_mul(FACTOR);
        word = (word ^ word >> 47).wrapping_mul(FACTOR);
        hash = (hash ^ word).wrapping_mul(FACTOR);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(FACTOR);
    }
    hash = (hash ^ hash >> 47).wrapping_mul(FACTOR);
    hash ^ hash >> 47
}

/// The estimate out of how many registers have each rank.
fn estimate(counts: &[u32; 64]) -> u64 {
    /// 1 / (2 ln 2).
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let m = REGISTERS as f64;
    let mut z = m * tau((m - f64::from(counts[RANK_BITS + 1])) / m);
    for rank in (1..=RANK_BITS).rev() {
        z = 0.5 * (z + f64::from(counts[rank]));
    }
    z += m * sigma(f64::from(counts[0]) / m);
    // Halves are rounded away from zero; no registers at all make it infinite below, which is 0.
    (ALPHA * m * m / z).round() as u64
}

/// The correction for registers that are full: `1 - x` of them.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        y *= 0.5;
        let last = z;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == last {
            return z / 3.0;
        }
    }
}

/// The correction for registers that are empty: `x` of them.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let last = z;
        z += x * y;
        y += y;
        if z == last {
            return z;
        }
    }
}

#[cfg(test)]
mod tests;
