//! Patterns by what they begin with, so that a message meets only those that it may match: `news.*` is looked up under
//! `news.`, once for each length of beginning that any pattern has. Knows no subscriber.
//! Invariant: `lens` counts the patterns of each length of beginning.
//!
//! The order is kept by a tree: a table of a million patterns would stop everything when it grows.

use crate::base::glob::glob_match;
use std::collections::{BTreeMap, BTreeSet};

/// What a pattern begins with, and the pattern.
type Pattern = (Box<[u8]>, Box<[u8]>);

/// Distinct patterns.
#[derive(Default)]
pub struct PatternIndex {
    patterns: BTreeSet<Pattern>,
    lens: BTreeMap<usize, usize>,
}

/// The bytes before the first that means something else than itself.
fn beginning(pattern: &[u8]) -> &[u8] {
    let end = pattern.iter().position(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'));
    &pattern[..end.unwrap_or(pattern.len())]
}

impl PatternIndex {
    /// Adds a pattern; nothing happens if it is there.
    pub fn add(&mut self, pattern: &[u8]) {
        let beginning = beginning(pattern);
        if self.patterns.insert((beginning.into(), pattern.into())) {
            *self.lens.entry(beginning.len()).or_default() += 1;
        }
    }

    /// Removes a pattern.
    pub fn remove(&mut self, pattern: &[u8]) {
        let beginning = beginning(pattern);
        if !self.patterns.remove(&(beginning.into(), pattern.into())) {
            return;
        }
        if let Some(count) = self.lens.get_mut(&beginning.len()) {
            *count -= 1;
            if *count == 0 {
                self.lens.remove(&beginning.len());
            }
        }
    }

    /// The patterns that match a text.
    pub fn matching<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        let beginnings = self.lens.keys().map_while(|len| text.get(..*len));
        let candidates = beginnings.flat_map(|beginning| {
            // No pattern comes before the empty one.
            let from = (Box::from(beginning), Box::default());
            self.patterns.range(from..).take_while(move |(its_beginning, _)| **its_beginning == *beginning)
        });
        candidates.map(|(_, pattern)| &**pattern).filter(|pattern| glob_match(pattern, text, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const PATTERNS: &[&[u8]] =
        &[b"", b"*", b"a*", b"ab*", b"ab", b"a?c", b"[ab]*", b"\\a*", b"abc*", b"abcd*", b"b*", b"ab[c]", b"**"];

    #[test]
    fn the_index_finds_what_a_walk_over_all_patterns_finds() {
        let mut index = PatternIndex::default();
        PATTERNS.iter().chain(PATTERNS).for_each(|pattern| index.add(pattern));
        for left in (0..=PATTERNS.len()).rev() {
            for text in [&b""[..], b"a", b"ab", b"abc", b"abcd", b"abcde", b"b", b"c", b"\\a"] {
                let found: BTreeSet<&[u8]> = index.matching(text).collect();
                let all = PATTERNS[..left].iter().copied();
                assert_eq!(found, all.filter(|pattern| glob_match(pattern, text, false)).collect());
            }
            if left > 0 {
                index.remove(PATTERNS[left - 1]);
            }
        }
        assert!(index.patterns.is_empty() && index.lens.is_empty());
    }
}
