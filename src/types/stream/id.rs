//! The id of a stream's entry: milliseconds and a sequence number, as one number that orders as ids do.

use crate::base::number;

/// Longest text that is looked at, bytes.
const MAX_TEXT_BYTES: usize = 127;

/// An entry's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StreamId(pub u128);

/// An id as a command gives it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GivenId {
    /// The id; its sequence number is 0 if that was left open.
    pub id: StreamId,
    /// Whether the sequence number was `*`.
    pub any_seq: bool,
}

impl StreamId {
    /// `0-0`: before all entries.
    pub const MIN: StreamId = StreamId(0);
    /// After all entries.
    pub const MAX: StreamId = StreamId(u128::MAX);

    /// The id of two parts.
    #[inline]
    pub const fn new(ms: u64, seq: u64) -> StreamId {
        StreamId((ms as u128) << 64 | seq as u128)
    }

    /// The milliseconds.
    #[inline]
    pub const fn ms(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The sequence number.
    #[inline]
    pub const fn seq(self) -> u64 {
        self.0 as u64
    }

    /// Whether it is `0-0`.
    #[inline]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The id after this one, unless it is the last.
    #[inline]
    pub fn next(self) -> Option<StreamId> {
        self.0.checked_add(1).map(StreamId)
    }

    /// The id before this one, unless it is the first.
    #[inline]
    pub fn prev(self) -> Option<StreamId> {
        self.0.checked_sub(1).map(StreamId)
    }

    /// Big-endian bytes: as files have it.
    pub fn to_be_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id of big-endian bytes.
    pub fn from_be_bytes(bytes: [u8; 16]) -> StreamId {
        StreamId(u128::from_be_bytes(bytes))
    }

    /// The id that `ms` and `seq` of this text are; where there is no `-`, the sequence number is `missing_seq`.
    pub fn parse(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        let (ms, seq) = split(text)?;
        Some(StreamId::new(part(ms)?, seq.map_or(Some(missing_seq), part)?))
    }

    /// As `parse`, with `-` and `+` for the least and the greatest id.
    pub fn parse_bound(text: &[u8], missing_seq: u64) -> Option<StreamId> {
        match text {
            b"-" => Some(StreamId::MIN),
            b"+" => Some(StreamId::MAX),
            text => StreamId::parse(text, missing_seq),
        }
    }

    /// As `parse`, with `<ms>-*` for any sequence number.
    pub fn parse_given(text: &[u8]) -> Option<GivenId> {
        match split(text)? {
            (ms, Some(b"*")) => Some(GivenId { id: StreamId::new(part(ms)?, 0), any_seq: true }),
            _ => StreamId::parse(text, 0).map(|id| GivenId { id, any_seq: false }),
        }
    }

    /// The text `<ms>-<seq>`.
    #[inline]
    pub fn text(self) -> IdText {
        let mut out = IdText { bytes: [0; IdText::MAX_BYTES], len: 0 };
        out.push(itoa::Buffer::new().format(self.ms()).as_bytes());
        out.push(b"-");
        out.push(itoa::Buffer::new().format(self.seq()).as_bytes());
        out
    }
}

fn split(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    if text.len() > MAX_TEXT_BYTES {
        return None;
    }
    Some(match memchr::memchr(b'-', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    })
}

#[inline]
fn part(text: &[u8]) -> Option<u64> {
    match number::parse_u64(text) {
        Some(n) => Some(n),
        // A negative number is none; what only C's strtoull takes for a number, such as leading zeros, is one.
        None if number::parse_i64(text).is_some() => None,
        None => number::parse_u64_lax(text),
    }
}

/// An id's text, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct IdText {
    bytes: [u8; Self::MAX_BYTES],
    len: u8,
}

impl IdText {
    const MAX_BYTES: usize = 41;

    #[inline]
    fn push(&mut self, part: &[u8]) {
        let at = usize::from(self.len);
        self.bytes[at..at + part.len()].copy_from_slice(part);
        self.len += part.len() as u8;
    }

    /// The text.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_and_written() {
        let id = StreamId::new(u64::MAX, u64::MAX);
        assert_eq!(id.text().as_bytes(), b"18446744073709551615-18446744073709551615");
        assert_eq!(StreamId::parse(id.text().as_bytes(), 0), Some(StreamId::MAX));
        assert_eq!(StreamId::parse(b"5", 7), Some(StreamId::new(5, 7)));
        assert_eq!(StreamId::parse(b"5-0", 7), Some(StreamId::new(5, 0)));
        for bad in ["", "-", "+", "a", "1-", "-1", "1-2-3", "1-*", "18446744073709551616-0", "1 -2", "1--2"] {
            assert_eq!(StreamId::parse(bad.as_bytes(), 0), None, "{bad}");
        }
        assert_eq!(StreamId::parse_bound(b"+", 0), Some(StreamId::MAX));
        assert_eq!(StreamId::parse(b"007-01", 0), Some(StreamId::new(7, 1)));
        let open = GivenId { id: StreamId::new(5, 0), any_seq: true };
        assert_eq!(StreamId::parse_given(b"5-*"), Some(open));
        assert_eq!(StreamId::parse_given(b"5"), Some(GivenId { any_seq: false, ..open }));
        assert_eq!(StreamId::parse_given(b"5-**"), None);
    }

    #[test]
    fn ids_order_by_milliseconds_then_sequence() {
        assert!(StreamId::new(1, u64::MAX) < StreamId::new(2, 0));
        assert_eq!(StreamId::new(1, u64::MAX).next(), Some(StreamId::new(2, 0)));
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.prev()), (None, None));
        assert_eq!(StreamId::from_be_bytes(StreamId::new(3, 4).to_be_bytes()), StreamId::new(3, 4));
    }
}
