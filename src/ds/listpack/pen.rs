//! Entries written one after the other into room that was made before: what appends several short elements at once does so in
//! plain stores, without a look at the vector's capacity for each. Knows no count and no blob.
//!
//! Invariant: what lies before `at` is whole entries, as `entry.rs` draws them.

use super::entry::{Encoded, MAX_PLAIN_BYTES, is_plain};

/// More than an element takes besides its bytes: nine of head, or five and five of back length.
pub const ELEMENT_OVERHEAD_BYTES: usize = 10;

/// Writes entries into a slice.
pub struct Pen<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Pen<'a> {
    /// At the begin of a slice that has room for the bytes of all elements and `ELEMENT_OVERHEAD_BYTES` for each.
    #[inline]
    pub fn new(out: &'a mut [u8]) -> Pen<'a> {
        Pen { out, at: 0 }
    }

    /// Bytes written.
    #[inline]
    pub fn len(&self) -> usize {
        self.at
    }

    /// Whether nothing is written yet.
    pub fn is_empty(&self) -> bool {
        self.at == 0
    }

    /// Adds a number.
    #[inline]
    pub fn int(&mut self, number: i64) {
        match u8::try_from(number) {
            Ok(small @ 0..=super::entry::MAX_SMALL) => {
                self.out[self.at..self.at + 2].copy_from_slice(&[small, 1]);
                self.at += 2;
            }
            _ => self.entry(&Encoded::new(number)),
        }
    }

    /// Adds a string, or the number that it is the text of.
    #[inline]
    pub fn text(&mut self, text: &[u8]) {
        if !is_plain(text) {
            return self.entry(&Encoded::new(text));
        }
        debug_assert!(text.len() < MAX_PLAIN_BYTES);
        let entry = &mut self.out[self.at..self.at + text.len() + 2];
        entry[0] = Encoded::plain_head(text);
        entry[1..=text.len()].copy_from_slice(text);
        entry[text.len() + 1] = text.len() as u8 + 1;
        self.at += text.len() + 2;
    }

    fn entry(&mut self, entry: &Encoded<'_>) {
        let len = entry.total_len();
        entry.write_into(&mut self.out[self.at..self.at + len]);
        self.at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ds::listpack;

    #[test]
    fn entries_are_those_that_appending_one_by_one_makes() {
        let long = "x".repeat(5000);
        let texts =
            ["", "a", "-", "7", "127", "128", "-1", "-4096", "4096", "-32769", "99999999999", "007", &long[..62]];
        for text in texts.into_iter().chain([&long[..63], &long[..64], &long[..126], &long[..4095], &long[..]]) {
            let mut one_by_one = Vec::new();
            listpack::append_int(&mut one_by_one, text.len() as i64 - 100);
            Encoded::new(text.as_bytes()).append_to(&mut one_by_one);
            let mut out = vec![0; text.len() + 2 * ELEMENT_OVERHEAD_BYTES];
            let mut pen = Pen::new(&mut out);
            assert!(pen.is_empty());
            pen.int(text.len() as i64 - 100);
            let at = pen.len();
            pen.text(text.as_bytes());
            let len = pen.len();
            assert_eq!(&out[..len], one_by_one, "{text}");
            assert_eq!(listpack::text_at(&out[..len], at, text.as_bytes()), Some(len), "{text}");
            for other in ["b", "8", "", "xx"].into_iter().filter(|other| *other != text) {
                assert_eq!(listpack::text_at(&out[..len], at, other.as_bytes()), None, "{text} {other}");
            }
            assert_eq!(listpack::text_at(&out[..len - 1], at, text.as_bytes()), None, "cut off: {text}");
        }
    }
}
