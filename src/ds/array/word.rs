//! One slot of an array: nothing, a short text, an integer, or the address of a longer text. Knows no array.
//!
//! ```text
//! 0                                             nothing
//! [len << 1 | 1][text, up to 7 bytes]           a short text, whatever it says
//! n << 2 | 2                                    the canonical text of an integer of 62 bits
//! address, a multiple of 8                      a `Member`, which owns the text
//! ```

use crate::ds::listpack::{Value, canonical_i64};
use crate::ds::record::{Member, MemberRef};
use crate::ds::table::Item;
use std::ptr::NonNull;

const SHORT: usize = 1;
const INTEGER: usize = 2;
const SHORT_MAX: usize = 7;
/// Integers from `-INTEGER_LIMIT` up to below it fit.
const INTEGER_LIMIT: i64 = 1 << 61;

const _: () = assert!(size_of::<usize>() == 8, "a word holds a short text or an address");

/// A slot.
pub struct Word(*mut u8);

// SAFETY: a word owns what it points to.
unsafe impl Send for Word {}
// SAFETY: nothing is written through a shared borrow.
unsafe impl Sync for Word {}

impl Word {
    /// Nothing.
    pub const EMPTY: Word = Word(std::ptr::null_mut());

    /// A slot with this text.
    pub fn new(text: &[u8]) -> Word {
        if text.len() <= SHORT_MAX {
            let mut bytes = [0; 8];
            bytes[0] = (text.len() << 1 | SHORT) as u8;
            bytes[1..=text.len()].copy_from_slice(text);
            return Word(std::ptr::without_provenance_mut(usize::from_le_bytes(bytes)));
        }
        match canonical_i64(text) {
            Some(n) if (-INTEGER_LIMIT..INTEGER_LIMIT).contains(&n) => {
                Word(std::ptr::without_provenance_mut((n << 2) as usize | INTEGER))
            }
            _ => Word(Member::new(text).into_raw().as_ptr()),
        }
    }

    /// Whether nothing is in it.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    fn address(&self) -> Option<NonNull<u8>> {
        if self.0.addr() & (SHORT | INTEGER) == 0 { NonNull::new(self.0) } else { None }
    }

    fn text(&self) -> Option<MemberRef<'_>> {
        // SAFETY: a word without a tag is the address of a member that it owns.
        self.address().map(|p| unsafe { <Member as Item>::view(p) })
    }

    /// Lends what is in it; an empty slot has no text at all.
    #[inline]
    pub fn read<R>(&self, read: impl FnOnce(Value<'_>) -> R) -> R {
        if let Some(text) = self.text() {
            return read(Value::Str(text.bytes()));
        }
        let bits = self.0.addr();
        if bits & SHORT != 0 {
            let bytes = bits.to_le_bytes();
            return read(Value::Str(&bytes[1..=usize::from(bytes[0] >> 1)]));
        }
        if bits == 0 { read(Value::Str(b"")) } else { read(Value::Int(bits as i64 >> 2)) }
    }

    /// Bytes of its allocation.
    pub fn alloc_bytes(&self) -> usize {
        self.text().map_or(0, MemberRef::alloc_bytes)
    }
}

impl Clone for Word {
    fn clone(&self) -> Word {
        match self.text() {
            Some(text) => Word(Member::new(text.bytes()).into_raw().as_ptr()),
            None => Word(self.0),
        }
    }
}

impl Drop for Word {
    #[inline]
    fn drop(&mut self) {
        if let Some(p) = self.address() {
            // SAFETY: the word owns the member and is gone.
            drop(unsafe { Member::from_raw(p) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_kind_come_back() {
        let long = vec![b'x'; 70_000];
        let mut texts: Vec<Vec<u8>> = vec![vec![], long];
        for text in
            ["a", "0", "-1", "1234567", "abcdefg", "abcdefgh", "12345678", "-12345678", "0012345678", "+12345678"]
        {
            texts.push(text.into());
        }
        for n in [INTEGER_LIMIT, INTEGER_LIMIT - 1, -INTEGER_LIMIT, -INTEGER_LIMIT - 1, i64::MAX, i64::MIN] {
            texts.push(n.to_string().into());
        }
        texts.push(vec![0; 7]);
        texts.push(vec![0; 8]);
        for text in texts {
            let word = Word::new(&text);
            let copy = word.clone();
            drop(word);
            assert!(!copy.is_empty());
            assert_eq!(copy.read(|value| value.to_vec()), text);
        }
        assert!(Word::EMPTY.is_empty() && Word::EMPTY.clone().is_empty());
        assert_eq!(Word::new(b"123456789").alloc_bytes(), 0);
    }
}
