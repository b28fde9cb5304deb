//! Patterns of keys, and what may be done with the keys they match. Most patterns are a name or the beginning of one:
//! those are compared without the matcher of globs.

use crate::base::glob::glob_match;

/// Bit: the key may be read.
pub const READ: u8 = 1;
/// Bit: the key may be changed.
pub const WRITE: u8 = 2;
/// Bytes of a name that a head holds.
const HEAD_BYTES: usize = 8;

/// How a pattern is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// No special byte: the name itself.
    Literal,
    /// A star at the end and nowhere else: the beginning of a name, of so many bytes.
    Prefix(usize),
    /// Anything else.
    Glob,
}

/// A pattern of names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: Box<[u8]>,
    shape: Shape,
}

impl Pattern {
    pub(super) fn new(text: &[u8]) -> Pattern {
        let special = |bytes: &[u8]| bytes.iter().any(|byte| b"*?[\\".contains(byte));
        let shape = match text.split_last() {
            _ if !special(text) => Shape::Literal,
            // The matcher of globs does not let a lone star match nothing.
            Some((b'*', before)) if !before.is_empty() && !special(before) => Shape::Prefix(before.len()),
            _ => Shape::Glob,
        };
        Pattern { text: text.into(), shape }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    #[inline]
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match self.shape {
            Shape::Literal => *self.text == *name,
            Shape::Prefix(len) => name.len() >= len && name[..len] == self.text[..len],
            Shape::Glob => glob_match(&self.text, name, false),
        }
    }

    fn head(&self) -> Head {
        let literal = self.text.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(self.text.len());
        let mask = if literal >= HEAD_BYTES { u64::MAX } else { (1 << (8 * literal)) - 1 };
        Head { value: first_bytes(&self.text) & mask, mask, sure: 0 }
    }

    /// Whether a name that begins as the pattern's head says needs no other look.
    fn is_told_by_head(&self) -> bool {
        // No pattern holds a NUL, which is what a missing byte counts as.
        matches!(self.shape, Shape::Prefix(len) if len <= HEAD_BYTES)
    }

    pub(super) fn is_star(&self) -> bool {
        *self.text == *b"*"
    }
}

/// The first eight bytes of a name, as a number; what is missing is 0.
#[inline]
pub(super) fn first_bytes(name: &[u8]) -> u64 {
    match (name.first_chunk::<8>(), name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(bytes), ..) => u64::from_le_bytes(*bytes),
        // Two halves that overlap agree where they do.
        (None, Some(first), Some(last)) => {
            let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
            half(first) | half(last) << (8 * (name.len() - 4))
        }
        _ => name.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// What every name that a pattern matches begins with, at most eight bytes of it: most names are told apart by it, and a
/// list of these lies in a cache line or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    value: u64,
    mask: u64,
    /// Rights that this beginning alone gives, and `SURE`; 0 where the pattern must be asked.
    sure: u8,
}

/// Bit beside the rights of a head: the pattern need not be asked.
const SURE: u8 = 4;

impl Head {
    /// What every name begins with, and may be used then.
    pub(super) const ALL: Head = Head { value: 0, mask: 0, sure: SURE | READ | WRITE };

    #[inline]
    pub(super) fn may_match(self, first_bytes: u64) -> bool {
        first_bytes & self.mask == self.value
    }

    /// Whether a name that begins so may be used so, whatever comes behind. `false` says nothing.
    #[inline]
    pub(super) fn admits(self, first_bytes: u64, rights: u8) -> bool {
        self.may_match(first_bytes) && self.sure & (SURE | rights) == SURE | rights
    }
}

/// A pattern of keys with its rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyPattern {
    pub(super) pattern: Pattern,
    /// `READ`, `WRITE` or both.
    pub(super) rights: u8,
}

impl KeyPattern {
    /// What every key that may be used by this pattern begins with.
    pub(super) fn head(&self) -> Head {
        let sure = if self.pattern.is_told_by_head() { SURE | self.rights } else { 0 };
        Head { sure, ..self.pattern.head() }
    }

    /// The rule that makes it: `~a*`, `%R~a*`.
    pub(super) fn describe(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.rights {
            READ => b"%R~",
            WRITE => b"%W~",
            _ => b"~",
        });
        out.extend_from_slice(self.pattern.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn every_shape_matches_as_the_glob_does() {
        let mut rng = Rng::seeded(7);
        let mut word = |most: u64, letters: &[u8]| -> Vec<u8> {
            let len = rng.below(most);
            (0..len).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect()
        };
        for _ in 0..20_000 {
            let (pattern, name) = (word(11, b"ab*?[\\aaaabbbb"), word(11, b"aaabbb*"));
            let pattern_of = Pattern::new(&pattern);
            let matches = pattern_of.matches(&name);
            assert!(!matches || pattern_of.head().may_match(first_bytes(&name)), "{pattern:?} {name:?}");
            assert_eq!(matches, glob_match(&pattern, &name, false), "{pattern:?} {name:?}");
            let is_told = pattern_of.is_told_by_head();
            let head = KeyPattern { pattern: pattern_of, rights: READ }.head();
            assert_eq!(head.admits(first_bytes(&name), READ), matches && is_told, "{pattern:?} {name:?}");
            assert_eq!(head.admits(first_bytes(&name), 0), matches && is_told, "{pattern:?} {name:?}");
            assert!(!head.admits(first_bytes(&name), WRITE) && !head.admits(first_bytes(&name), READ | WRITE));
            assert!(Head::ALL.admits(first_bytes(&name), READ | WRITE));
        }
    }

    #[test]
    fn first_bytes_are_those_of_names_of_any_length() {
        let name = b"abcdefghij";
        for len in 0..name.len() {
            let mut bytes = [0; 8];
            bytes[..len.min(8)].copy_from_slice(&name[..len.min(8)]);
            assert_eq!(first_bytes(&name[..len]), u64::from_le_bytes(bytes));
        }
    }
}
