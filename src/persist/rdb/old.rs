//! The packed forms that Redis wrote before listpacks: ziplist (up to 6.2) and zipmap (up to 2.4). Read only, and every byte
//! checked. Knows no type of value.
//!
//! ```text
//! ziplist  [bytes u32][offset of the last entry u32][count u16]  entry ...  [FF]
//!   entry  [length of the one before: u8, or FE u32]  head  data
//!   head   00llllll | 01llllll l8 | 10------ l32 (big-endian)                   string
//!          C0 i16 | D0 i32 | E0 i64 | F0 i24 | FE i8 | 1111vvvv (v - 1: 0 to 12)  integer, little-endian
//! zipmap   [count u8, 254 if more]  ( length key  length free value free-bytes ) ...  [FF]
//!   length u8, or FE u32
//! ```

use crate::ds::blob::Corrupt;
use crate::ds::listpack::Value;

const HEADER_BYTES: usize = 10;
const END: u8 = 0xFF;
const WIDE: u8 = 0xFE;
const COUNT_UNKNOWN: u16 = u16::MAX;

/// Calls `each` with the elements of a ziplist.
///
/// # Errors
/// What does not hold, and elements may have been seen by then.
pub fn ziplist<'a>(bytes: &'a [u8], mut each: impl FnMut(Value<'a>)) -> Result<usize, Corrupt> {
    let fail = |offset, what| Err(Corrupt { offset, what });
    let Some((&[b0, b1, b2, b3, t0, t1, t2, t3, c0, c1], _)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return fail(bytes.len(), "a ziplist shorter than its header");
    };
    if u32::from_le_bytes([b0, b1, b2, b3]) as usize != bytes.len() {
        return fail(0, "a ziplist whose length differs from its bytes");
    }
    if bytes.len() <= HEADER_BYTES || bytes.last() != Some(&END) {
        return fail(bytes.len(), "a ziplist without end");
    }
    let end = bytes.len() - 1;
    let (mut at, mut last, mut before_len, mut count) = (HEADER_BYTES, HEADER_BYTES, 0, 0usize);
    while at < end {
        let entry = Entry::read(&bytes[..end], at).ok_or(Corrupt { offset: at, what: "a ziplist entry cut off" })?;
        if entry.before_len != before_len {
            return fail(at, "a ziplist entry with a wrong length of the one before");
        }
        each(entry.value);
        (last, before_len) = (at, entry.next - at);
        at = entry.next;
        count += 1;
    }
    if u32::from_le_bytes([t0, t1, t2, t3]) as usize != last {
        return fail(4, "a ziplist whose last entry is elsewhere");
    }
    let claimed = u16::from_le_bytes([c0, c1]);
    if claimed != COUNT_UNKNOWN && usize::from(claimed) != count {
        return fail(8, "a ziplist whose count differs from its entries");
    }
    Ok(count)
}

struct Entry<'a> {
    before_len: usize,
    value: Value<'a>,
    next: usize,
}

/// Bytes that are taken from the front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.array::<1>()?[0])
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let taken = self.0.get(..len)?;
        self.0 = &self.0[len..];
        Some(taken)
    }

    /// One byte, or four behind a mark.
    fn length(&mut self) -> Option<usize> {
        match self.byte()? {
            WIDE => Some(u32::from_le_bytes(self.array()?) as usize),
            END => None,
            short => Some(usize::from(short)),
        }
    }
}

impl<'a> Entry<'a> {
    fn read(bytes: &'a [u8], at: usize) -> Option<Entry<'a>> {
        let mut rest = Rest(bytes.get(at..)?);
        let before_len = rest.length()?;
        let head = rest.byte()?;
        let value = match head >> 6 {
            0 => Value::Str(rest.bytes(usize::from(head))?),
            1 => {
                let len = usize::from(head & 0x3F) << 8 | usize::from(rest.byte()?);
                Value::Str(rest.bytes(len)?)
            }
            2 => {
                let len = u32::from_be_bytes(rest.array()?) as usize;
                Value::Str(rest.bytes(len)?)
            }
            _ => Value::Int(match head {
                0xC0 => i64::from(i16::from_le_bytes(rest.array()?)),
                0xD0 => i64::from(i32::from_le_bytes(rest.array()?)),
                0xE0 => i64::from_le_bytes(rest.array()?),
                0xF0 => {
                    let [b0, b1, b2] = rest.array()?;
                    i64::from(i32::from_le_bytes([0, b0, b1, b2]) >> 8)
                }
                0xFE => i64::from(i8::from_le_bytes(rest.array()?)),
                0xF1..=0xFD => i64::from(head & 0x0F) - 1,
                _ => return None,
            }),
        };
        Some(Entry { before_len, value, next: bytes.len() - rest.0.len() })
    }
}

/// Calls `each` with the pairs of a zipmap.
///
/// # Errors
/// What does not hold, and pairs may have been seen by then.
pub fn zipmap<'a>(bytes: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8])) -> Result<usize, Corrupt> {
    let cut = |rest: &Rest<'_>| Corrupt { offset: bytes.len() - rest.0.len(), what: "a zipmap entry cut off" };
    let (Some((claimed, _)), Some(&END)) = (bytes.split_first(), bytes.get(1..).and_then(<[u8]>::last)) else {
        return Err(Corrupt { offset: bytes.len(), what: "a zipmap without end" });
    };
    let mut rest = Rest(&bytes[1..bytes.len() - 1]);
    let mut count = 0usize;
    while !rest.0.is_empty() {
        let mut pair = || {
            let key_len = rest.length()?;
            let key = rest.bytes(key_len)?;
            let value_len = rest.length()?;
            let free = rest.byte()?;
            let value = rest.bytes(value_len)?;
            rest.bytes(usize::from(free))?;
            Some((key, value))
        };
        let (key, value) = pair().ok_or_else(|| cut(&rest))?;
        each(key, value);
        count += 1;
    }
    if *claimed < WIDE && usize::from(*claimed) != count {
        return Err(Corrupt { offset: 0, what: "a zipmap whose count differs from its entries" });
    }
    Ok(count)
}
