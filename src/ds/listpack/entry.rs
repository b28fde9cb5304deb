//! One listpack entry: encoding, decoding, stepping. Knows no count, no header and no blob; a run of entries is any slice
//! and an offset in it, which may be wrong: nothing here panics on or reads beyond a corrupt slice.
//!
//! ```text
//!   0xxxxxxx                      7-bit unsigned number
//!   10llllll data                 string of l < 64 bytes
//!   110xxxxx x8                   13-bit signed number, big-endian
//!   1110llll l8 data              string of l < 4096 bytes, length big-endian
//!   11110000 l32 data             string, length little-endian
//!   11110001 x16 | 11110010 x24 | 11110011 x32 | 11110100 x64     signed numbers, little-endian
//! ```
//!
//! Behind each stands its length (head and data) once more, for walking backwards: 7 bits a byte, the lowest in the
//! *last* byte; every byte but the first has its top bit set.
//!
//! Invariant: every value has one encoding, so equal bytes are equal values.

use super::value::{Value, canonical_i64};

/// Longest string that an entry can hold, in bytes.
pub const MAX_ELEMENT_BYTES: usize = u32::MAX as usize;

/// The greatest number that is its entry's one byte of head and data.
pub(super) const MAX_SMALL: u8 = 0x7F;
const STR6: u8 = 0x80;
const INT13: u8 = 0xC0;
const STR12: u8 = 0xE0;
const STR32: u8 = 0xF0;
const INT16: u8 = 0xF1;
const INT24: u8 = 0xF2;
const INT32: u8 = 0xF3;
const INT64: u8 = 0xF4;

/// Bytes that the back length of an entry with `body_len` bytes of head and data takes.
///
/// The limits are one lower than 7 bits a byte would allow (16383 takes three bytes): so the format has it.
#[inline]
pub const fn back_len_size(body_len: usize) -> usize {
    match body_len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

/// Strings with less than so many bytes have one byte of head and one of back length.
pub(super) const MAX_PLAIN_BYTES: usize = 64;

/// Whether a text is one of most elements: short, and seen at its first byte not to be a number.
#[inline]
pub(super) fn is_plain(text: &[u8]) -> bool {
    text.len() < MAX_PLAIN_BYTES && text.first().is_some_and(|first| !first.is_ascii_digit() && *first != b'-')
}

/// Offset behind the entry at `at` if it is this string, or the number that it is the text of.
#[inline]
pub fn text_at(entries: &[u8], at: usize, text: &[u8]) -> Option<usize> {
    if !is_plain(text) {
        return Encoded::new(text).is_at(entries, at).then(|| skip(entries, at))?;
    }
    let entry = entries.get(at..at + text.len() + 2)?;
    (entry[0] == Encoded::plain_head(text) && entry[1..=text.len()] == *text).then_some(at + text.len() + 2)
}

/// An element in its encoding, without the back length; a string's bytes stay where they are.
#[derive(Clone, Copy, Debug)]
pub struct Encoded<'a> {
    head: [u8; 9],
    head_len: u8,
    data: &'a [u8],
}

impl<'a> Encoded<'a> {
    /// Encodes an element; a string that is the canonical text of a number becomes one.
    ///
    /// Panics on strings above [`MAX_ELEMENT_BYTES`]: requests are bounded far below.
    #[inline]
    pub fn new(value: impl Into<Value<'a>>) -> Self {
        match value.into() {
            Value::Int(number) => Self::number(number),
            Value::Str(text) => match canonical_i64(text) {
                Some(number) => Self::number(number),
                None => Self::string(text),
            },
        }
    }

    /// The head of a string for which `is_plain` holds.
    #[inline]
    pub(super) fn plain_head(text: &[u8]) -> u8 {
        STR6 | text.len() as u8
    }

    #[inline]
    fn number(number: i64) -> Self {
        let wide = number.to_le_bytes();
        let mut head = [0; 9];
        let (tag, width) = match number {
            0..=127 => (wide[0], 0),
            -4096..=4095 => {
                head[1] = wide[0];
                head[0] = INT13 | (wide[1] & 0x1F);
                return Self { head, head_len: 2, data: &[] };
            }
            -0x8000..=0x7FFF => (INT16, 2),
            -0x80_0000..=0x7F_FFFF => (INT24, 3),
            -0x8000_0000..=0x7FFF_FFFF => (INT32, 4),
            _ => (INT64, 8),
        };
        head[0] = tag;
        // All eight are copied, only `width` of them count.
        head[1..].copy_from_slice(&wide);
        Self { head, head_len: 1 + width, data: &[] }
    }

    #[inline]
    fn string(text: &'a [u8]) -> Self {
        let len = u32::try_from(text.len()).expect("a request's element is below 4 GiB");
        let wide = len.to_le_bytes();
        let mut head = [0; 9];
        let head_len = match len {
            0..=63 => {
                head[0] = STR6 | wide[0];
                1
            }
            64..=4095 => {
                head[0] = STR12 | wide[1];
                head[1] = wide[0];
                2
            }
            _ => {
                head[0] = STR32;
                head[1..5].copy_from_slice(&wide);
                5
            }
        };
        Self { head, head_len, data: text }
    }

    #[inline]
    fn head(&self) -> &[u8] {
        &self.head[..usize::from(self.head_len)]
    }

    #[inline]
    fn body_len(&self) -> usize {
        usize::from(self.head_len) + self.data.len()
    }

    /// The byte that tells the entry's type.
    #[inline]
    pub fn first_byte(&self) -> u8 {
        self.head[0]
    }

    /// Bytes of the whole entry: head, data and back length.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.body_len() + back_len_size(self.body_len())
    }

    /// Adds the whole entry to `out`.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        let body_len = self.body_len();
        if body_len <= 127 && out.capacity() - out.len() >= 128 + 9 {
            // The common case in three stores instead of three calls of memcpy with unknown lengths.
            out.extend_from_slice(&self.head);
            out.truncate(out.len() - 9 + usize::from(self.head_len));
            out.extend_from_slice(self.data);
            out.push(body_len as u8);
            return;
        }
        out.extend_from_slice(self.head());
        out.extend_from_slice(self.data);
        let (back, size) = back_len(body_len);
        out.extend_from_slice(&back[..size]);
    }

    /// Writes the whole entry into `out`, which is exactly [`Encoded::total_len`] bytes.
    #[inline]
    pub fn write_into(&self, out: &mut [u8]) {
        let (head, rest) = out.split_at_mut(usize::from(self.head_len));
        let (data, tail) = rest.split_at_mut(self.data.len());
        head.copy_from_slice(self.head());
        data.copy_from_slice(self.data);
        let (back, size) = back_len(self.body_len());
        tail.copy_from_slice(&back[..size]);
    }

    /// Whether the entry at `at` is this element. False if `at` is outside.
    #[inline]
    pub fn is_at(&self, entries: &[u8], at: usize) -> bool {
        // The first byte carries type and (mostly) length: it turns nearly all others away.
        entries.get(at) == Some(&self.first_byte())
            && entries.get(at..at + self.body_len()).is_some_and(|entry| {
                let (head, data) = entry.split_at(usize::from(self.head_len));
                head == self.head() && data == self.data
            })
    }
}

/// The back length of `body_len` and how many bytes of the array it takes.
#[inline]
fn back_len(body_len: usize) -> ([u8; 5], usize) {
    let size = back_len_size(body_len);
    let mut out = [0; 5];
    let mut rest = body_len;
    for (index, byte) in out[..size].iter_mut().enumerate().rev() {
        *byte = (rest & 0x7F) as u8 | if index > 0 { 0x80 } else { 0 };
        rest >>= 7;
    }
    (out, size)
}

/// Whole length of an entry by its first byte; 0 where that byte does not tell.
const TOTAL_LEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut first = 0;
    while first < 256 {
        table[first] = match first as u8 {
            0x00..=0x7F => 2,
            len @ STR6..=0xBF => (len & 0x3F) + 2,
            INT13..=0xDF => 3,
            INT16 => 4,
            INT24 => 5,
            INT32 => 6,
            INT64 => 10,
            _ => 0,
        };
        first += 1;
    }
    table
};

/// Offset behind the entry at `at`, or nothing if there is none or it does not lie wholly within `entries`.
#[inline]
pub fn skip(entries: &[u8], at: usize) -> Option<usize> {
    let total = match TOTAL_LEN[usize::from(*entries.get(at)?)] {
        0 => long_total_len(entries, at)?,
        total => usize::from(total),
    };
    let next = at + total;
    (next <= entries.len()).then_some(next)
}

/// [`skip`] for the strings whose length stands in bytes of its own.
fn long_total_len(entries: &[u8], at: usize) -> Option<usize> {
    let body_len = match entries.get(at..)? {
        [first @ STR12..=0xEF, low, ..] => 2 + (usize::from(first & 0x0F) << 8 | usize::from(*low)),
        [STR32, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize).checked_add(5)?,
        _ => return None,
    };
    body_len.checked_add(back_len_size(body_len))
}

/// The entry at `at` and the offset behind it, or nothing if there is none or it is not whole.
#[inline]
pub fn decode(entries: &[u8], at: usize) -> Option<(Value<'_>, usize)> {
    let first = *entries.get(at)?;
    if first & 0xC0 != STR6 {
        return decode_other(entries, at);
    }
    // Most elements are short strings: no table, no second look at the first byte.
    let end = at + 1 + usize::from(first & 0x3F);
    let data = entries.get(at + 1..end)?;
    (end < entries.len()).then_some((Value::Str(data), end + 1))
}

/// [`decode`] for all but short strings.
fn decode_other(entries: &[u8], at: usize) -> Option<(Value<'_>, usize)> {
    let next = skip(entries, at)?;
    let entry = &entries[at..next];
    let value = match *entry {
        [first @ 0..=0x7F, ..] => Value::Int(i64::from(first)),
        [first @ INT13..=0xDF, low, ..] => {
            // Shifted to the top and back: the 13th bit is the sign.
            Value::Int(i64::from(i16::from_be_bytes([first << 3 | low >> 5, low << 3]) >> 3))
        }
        [first @ STR12..=0xEF, low, ref rest @ ..] => {
            Value::Str(rest.get(..usize::from(first & 0x0F) << 8 | usize::from(low))?)
        }
        [STR32, a, b, c, d, ref rest @ ..] => Value::Str(rest.get(..u32::from_le_bytes([a, b, c, d]) as usize)?),
        [INT16, a, b, ..] => Value::Int(i64::from(i16::from_le_bytes([a, b]))),
        [INT24, a, b, c, ..] => Value::Int(i64::from(i32::from_le_bytes([0, a, b, c]) >> 8)),
        [INT32, a, b, c, d, ..] => Value::Int(i64::from(i32::from_le_bytes([a, b, c, d]))),
        [INT64, a, b, c, d, e, f, g, h, ..] => Value::Int(i64::from_le_bytes([a, b, c, d, e, f, g, h])),
        _ => return None,
    };
    Some((value, next))
}

/// Offset of the entry that ends at `end`, by its back length; nothing if that would lie before `floor`.
#[inline]
pub fn step_back(entries: &[u8], end: usize, floor: usize) -> Option<usize> {
    let before = entries.get(floor..end)?;
    let mut body_len = 0_usize;
    for (size, byte) in (1..=5).zip(before.iter().rev()) {
        body_len |= usize::from(byte & 0x7F) << (7 * (size - 1));
        if byte & 0x80 == 0 {
            // An entry of no bytes would make a walk stand still.
            let total = size + body_len;
            return (body_len > 0 && total <= before.len()).then(|| end - total);
        }
    }
    None
}

/// Whether the entry from `at` to `next`, as [`skip`] found it, carries the back length that belongs to it.
pub fn back_len_is_right(entries: &[u8], at: usize, next: usize) -> bool {
    let Some(entry) = entries.get(at..next) else {
        return false;
    };
    let size = match entry.len() {
        0..=128 => 1,
        129..=16_384 => 2,
        16_385..=2_097_153 => 3,
        2_097_154..=268_435_458 => 4,
        _ => 5,
    };
    let (back, expected_size) = back_len(entry.len().saturating_sub(size));
    size == expected_size && entry.ends_with(&back[..size])
}

/// Forward walk over entries: offsets and values. Ends early at a corrupt entry.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    entries: &'a [u8],
    at: usize,
}

impl<'a> Iter<'a> {
    /// Starts at offset `at` of `entries`.
    pub fn new(entries: &'a [u8], at: usize) -> Self {
        Self { entries, at }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = (usize, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (value, next) = decode(self.entries, self.at)?;
        Some((std::mem::replace(&mut self.at, next), value))
    }
}

/// Backward walk over entries: offsets and values. Ends early at a corrupt entry.
#[derive(Clone, Debug)]
pub struct IterRev<'a> {
    entries: &'a [u8],
    end: usize,
    floor: usize,
}

impl<'a> IterRev<'a> {
    /// Starts with the entry that ends at `end` and goes no lower than `floor`.
    pub fn new(entries: &'a [u8], end: usize, floor: usize) -> Self {
        Self { entries, end, floor }
    }
}

impl<'a> Iterator for IterRev<'a> {
    type Item = (usize, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let at = step_back(self.entries, self.end, self.floor)?;
        let (value, _) = decode(self.entries, at)?;
        self.end = at;
        Some((at, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(value: Value<'_>) -> Vec<u8> {
        let encoded = Encoded::new(value);
        let mut out = vec![0xAA; encoded.total_len()];
        encoded.write_into(&mut out);
        for room in [0, 1000] {
            let mut appended = Vec::with_capacity(room);
            encoded.append_to(&mut appended);
            assert_eq!(out, appended);
        }
        out
    }

    #[test]
    fn numbers_take_the_bytes_of_the_format() {
        let cases: [(i64, &[u8]); 14] = [
            (0, &[0, 1]),
            (127, &[127, 1]),
            (128, &[0xC0, 0x80, 2]),
            (-1, &[0xDF, 0xFF, 2]),
            (4095, &[0xCF, 0xFF, 2]),
            (-4096, &[0xD0, 0, 2]),
            (4096, &[0xF1, 0, 0x10, 3]),
            (-32768, &[0xF1, 0, 0x80, 3]),
            (32768, &[0xF2, 0, 0x80, 0, 4]),
            (-8_388_608, &[0xF2, 0, 0, 0x80, 4]),
            (8_388_608, &[0xF3, 0, 0, 0x80, 0, 5]),
            (-2_147_483_648, &[0xF3, 0, 0, 0, 0x80, 5]),
            (2_147_483_648, &[0xF4, 0, 0, 0, 0x80, 0, 0, 0, 0, 9]),
            (i64::MIN, &[0xF4, 0, 0, 0, 0, 0, 0, 0, 0x80, 9]),
        ];
        for (number, bytes) in cases {
            assert_eq!(encode(Value::Int(number)), bytes, "{number}");
            assert_eq!(encode(Value::Str(number.to_string().as_bytes())), bytes, "{number} as text");
            assert_eq!(decode(bytes, 0), Some((Value::Int(number), bytes.len())));
        }
    }

    #[test]
    fn strings_and_back_lengths_change_width_where_the_format_says() {
        let cases = [
            (0, 1, 1),
            (63, 1, 1),
            (64, 2, 1),
            (125, 2, 1),
            (126, 2, 2),
            (4095, 2, 2),
            (4096, 5, 2),
            (16_377, 5, 2),
            (16_378, 5, 3),
            (2_097_145, 5, 3),
            (2_097_146, 5, 4),
        ];
        for (len, head_len, back_size) in cases {
            let text = vec![b'x'; len];
            let bytes = encode(Value::Str(&text));
            assert_eq!(bytes.len(), head_len + len + back_size, "{len}");
            assert_eq!(decode(&bytes, 0), Some((Value::Str(&text[..]), bytes.len())));
            assert_eq!(step_back(&bytes, bytes.len(), 0), Some(0));
            assert!(back_len_is_right(&bytes, 0, bytes.len()));
            assert!(Encoded::new(&text).is_at(&bytes, 0));
            assert_eq!(skip(&bytes[..bytes.len() - 1], 0), None, "cut entry of {len}");
        }
        assert_eq!((back_len_size(268_435_454), back_len_size(268_435_455)), (4, 5));
        assert_eq!(back_len(268_435_455), ([0x00, 0xFF, 0xFF, 0xFF, 0xFF], 5));
    }

    #[test]
    fn every_first_byte_with_rubbish_behind_it_is_survived() {
        for first in 0..=255_u8 {
            for fill in [0, 0x7F, 0x80, 0xFF] {
                for len in 0..12 {
                    let mut bytes = vec![fill; len];
                    bytes.insert(0, first);
                    for at in 0..len + 2 {
                        assert_eq!(decode(&bytes, at).map(|(_, next)| next), skip(&bytes, at));
                        step_back(&bytes, at, 0);
                        back_len_is_right(&bytes, at.min(len), len);
                    }
                }
            }
        }
    }
}
