//! A growable run of bytes that somebody else owns: what packed structures are written over.
//!
//! A small collection lives inside its key's one allocation, a list node in its own vector; listpack and intset know
//! neither. They see bytes and ask for one kind of change, the splice:
//!
//! ```text
//!   before  [ head ........ | removed | tail ...... ]
//!                           ^ at
//!   after   [ head ........ | inserted ..... | tail ...... ]
//! ```
//!
//! Knows nothing of what the bytes mean. Invariant: a splice changes no byte outside of its range.

use std::fmt;

/// Bytes that can be read, overwritten in place, and spliced.
///
/// An implementation owns the growth policy (exact fit, size classes). Every method is infallible except for ranges that
/// lie outside of the blob, which are the caller's mistake and panic.
pub trait Blob {
    /// All bytes.
    fn bytes(&self) -> &[u8];

    /// All bytes, to be changed in place; the length stays.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Replaces `remove_len` bytes at offset `at` by `insert`, moving what follows.
    ///
    /// Panics if `at + remove_len` is beyond the end.
    fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]);
}

impl Blob for Vec<u8> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]) {
        let old_len = self.len();
        let removed_end = at + remove_len;
        assert!(removed_end <= old_len, "splice beyond the end of a blob");
        if removed_end == old_len {
            self.truncate(at);
            self.extend_from_slice(insert);
            return;
        }
        let inserted_end = at + insert.len();
        if insert.len() > remove_len {
            self.resize(old_len + insert.len() - remove_len, 0);
        }
        self.copy_within(removed_end..old_len, inserted_end);
        self.truncate(old_len - remove_len + insert.len());
        self[at..inserted_end].copy_from_slice(insert);
    }
}

/// Bytes from outside that are not what they claim to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt {
    /// Byte offset at which the contradiction was seen.
    pub offset: usize,
    /// The fact that does not hold.
    pub what: &'static str,
}

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

impl std::error::Error for Corrupt {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_splice_grows_shrinks_and_keeps_the_rest() {
        let mut blob = b"abcdef".to_vec();
        Blob::splice(&mut blob, 2, 1, b"XYZ");
        assert_eq!(blob, b"abXYZdef");
        Blob::splice(&mut blob, 2, 3, b"c");
        assert_eq!(blob, b"abcdef");
        Blob::splice(&mut blob, 1, 2, b"..");
        assert_eq!(blob, b"a..def");
        Blob::splice(&mut blob, 4, 2, b"");
        assert_eq!(blob, b"a..d");
        Blob::splice(&mut blob, 4, 0, b"!");
        Blob::splice(&mut blob, 0, 0, b"<");
        assert_eq!(blob, b"<a..d!");
    }

    #[test]
    #[should_panic(expected = "beyond the end")]
    fn a_splice_beyond_the_end_is_a_mistake_of_ours() {
        Blob::splice(&mut b"ab".to_vec(), 1, 2, b"");
    }
}
