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

    /// The same for a name that begins as the pattern's head says: of a short beginning that is all there is to know.
    #[inline]
    pub(super) fn matches_behind_head(&self, name: &[u8]) -> bool {
        match self.shape {
            // No pattern holds a NUL, which is what a missing byte counts as.
            Shape::Prefix(len) if len <= HEAD_BYTES => true,
            _ => self.matches(name),
        }
    }

    pub(super) fn head(&self) -> Head {
        let literal = self.text.iter().position(|byte| b"*?[\\".contains(byte)).unwrap_or(self.text.len());
        let mask = if literal >= HEAD_BYTES { u64::MAX } else { (1 << (8 * literal)) - 1 };
        Head { value: first_bytes(&self.text) & mask, mask }
    }

    pub(super) fn is_star(&self) -> bool {
        *self.text == *b"*"
    }
}

/// The first eight bytes of a name, as a number; what is missing is 0.
#[inline]
pub(super) fn first_bytes(name: &[u8]) -> u64 {
    match name.first_chunk::<8>() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => name.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)),
    }
}

/// What every name that a pattern matches begins with, at most eight bytes of it: most names are told apart by it, and a
/// list of these lies in a cache line or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    value: u64,
    mask: u64,
}

impl Head {
    #[inline]
    pub(super) fn may_match(self, first_bytes: u64) -> bool {
        first_bytes & self.mask == self.value
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
            let by_head = pattern_of.head().may_match(first_bytes(&name)) && pattern_of.matches_behind_head(&name);
            assert_eq!(by_head, matches, "{pattern:?} {name:?}");
        }
    }
}
