//! A listpack as files and DUMP have it, to and from ours. Knows no file: it is handed one listpack's bytes.
//!
//! ```text
//!   wire  [total bytes u32 LE][count u16 LE][entries ...][0xFF]
//!   ours                      [count u16 LE][entries ...]
//! ```
//!
//! Invariant: what comes out of [`from_wire`] is whole (each length, each back length, the count) and canonical (a number's
//! text is stored as a number in its shortest form), whoever wrote it.

use super::entry::{Encoded, back_len_is_right, decode};
use super::{COUNT_UNKNOWN, HEADER_BYTES, stored_count};
use crate::ds::blob::Corrupt;

/// Bytes that the wire form has besides its entries: total, count, terminator.
pub const WIRE_OVERHEAD_BYTES: usize = 7;

const WIRE_HEADER_BYTES: usize = 6;
const WIRE_END: u8 = 0xFF;

/// The wire form of a listpack.
///
/// Panics above 4 GiB, which the format cannot say: owners split or convert at [`super::MAX_BLOB_BYTES`].
pub fn to_wire(pack: &[u8]) -> Vec<u8> {
    let count = pack.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    wire_of(pack.get(HEADER_BYTES..).unwrap_or_default(), count)
}

/// The wire form of `count` entries without a header (a list node).
pub fn entries_to_wire(entries: &[u8], count: usize) -> Vec<u8> {
    wire_of(entries, stored_count(count))
}

fn wire_of(entries: &[u8], count: u16) -> Vec<u8> {
    let total = u32::try_from(entries.len() + WIRE_OVERHEAD_BYTES).expect("a listpack stays below 4 GiB");
    let mut wire = Vec::with_capacity(total as usize);
    wire.extend_from_slice(&total.to_le_bytes());
    wire.extend_from_slice(&count.to_le_bytes());
    wire.extend_from_slice(entries);
    wire.push(WIRE_END);
    wire
}

/// Our form of a wire listpack, with every byte checked.
pub fn from_wire(wire: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let corrupt = |offset, what| Err(Corrupt { offset, what });
    let &[t0, t1, t2, t3, c0, c1, ref entries @ .., end] = wire else {
        return corrupt(wire.len(), "listpack shorter than its header");
    };
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != wire.len() {
        return corrupt(0, "listpack length differs from its bytes");
    }
    if end != WIRE_END {
        return corrupt(wire.len() - 1, "listpack without terminator");
    }
    let survey = survey(entries).map_err(|e| Corrupt { offset: e.offset + WIRE_HEADER_BYTES, ..e })?;
    let claimed = u16::from_le_bytes([c0, c1]);
    if claimed != COUNT_UNKNOWN && usize::from(claimed) != survey.count {
        return corrupt(4, "listpack count differs from its entries");
    }
    let mut pack = Vec::with_capacity(HEADER_BYTES + entries.len());
    pack.extend_from_slice(&stored_count(survey.count).to_le_bytes());
    if survey.canonical {
        pack.extend_from_slice(entries);
    } else {
        super::iter(&wire[WIRE_HEADER_BYTES - HEADER_BYTES..wire.len() - 1])
            .for_each(|(_, value)| Encoded::new(value).append_to(&mut pack));
        pack.shrink_to_fit();
    }
    Ok(pack)
}

/// Checks a listpack of ours that came from outside: every entry, every back length, the count, the one encoding.
pub fn validate(pack: &[u8]) -> Result<(), Corrupt> {
    let corrupt = |offset, what| Err(Corrupt { offset, what });
    let Some((header, entries)) = pack.split_first_chunk() else {
        return corrupt(pack.len(), "listpack shorter than its header");
    };
    let survey = survey(entries).map_err(|e| Corrupt { offset: e.offset + HEADER_BYTES, ..e })?;
    let claimed = u16::from_le_bytes(*header);
    if claimed != COUNT_UNKNOWN && usize::from(claimed) != survey.count {
        return corrupt(0, "listpack count differs from its entries");
    }
    if !survey.canonical {
        return corrupt(HEADER_BYTES, "listpack entry not in its shortest form");
    }
    Ok(())
}

struct Survey {
    count: usize,
    canonical: bool,
}

fn survey(entries: &[u8]) -> Result<Survey, Corrupt> {
    let (mut at, mut count, mut canonical) = (0, 0, true);
    while at < entries.len() {
        let corrupt = |what| Corrupt { offset: at, what };
        let (value, next) = decode(entries, at).ok_or_else(|| corrupt("listpack entry unknown or cut off"))?;
        if !back_len_is_right(entries, at, next) {
            return Err(corrupt("listpack entry with a wrong back length"));
        }
        let encoded = Encoded::new(value);
        canonical &= encoded.total_len() == next - at && entries.get(at) == Some(&encoded.first_byte());
        at = next;
        count += 1;
    }
    Ok(Survey { count, canonical })
}
