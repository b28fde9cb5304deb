//! One element of the graph in one allocation of 32-bit words. Knows no graph: its links are numbers.
//!
//! ```text
//! word 0  id                          its index in the graph
//!      1  level (8 bits), M (24 bits)
//!      2  norm                        length of the vector before it was brought to 1, f32
//!      3  range                       what 127 stands for in a vector of 8-bit integers, f32
//!      4  words of the vector
//!      5  bytes of the name
//!      6  vector
//!      .  links of level 0            how many, then room for 2M ids
//!      .  links of levels 1 ...       how many, then room for M ids, each
//!      .  name, zeros up to the next word
//! ```
//! Invariant: words 1, 4 and 5 and the name never change, so every offset is as it was when the block was made.

use crate::sys::alloc::size_class;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cmp::Ordering;
use std::ptr::NonNull;
use std::slice;

const ID: usize = 0;
const LEVEL_AND_M: usize = 1;
const NORM: usize = 2;
const RANGE: usize = 3;
const VECTOR_WORDS: usize = 4;
const NAME_BYTES: usize = 5;
const VECTOR: usize = 6;
const WORD_BYTES: usize = 4;

/// An element of the graph.
pub(super) struct Node {
    p: NonNull<u32>,
}

// SAFETY: the node owns its allocation.
unsafe impl Send for Node {}
// SAFETY: nothing is written through a shared borrow.
unsafe impl Sync for Node {}

impl Node {
    /// A node of a level without links, its vector all zeros.
    pub fn new(id: u32, level: usize, m: usize, vector_words: usize, name: &[u8]) -> Node {
        assert!(level < 256 && m < 1 << 24 && name.len() <= u32::MAX as usize, "a node's parts fit its head");
        let links = links_offset(level, m, vector_words) + room(level, m) + 1;
        let words = links + name.len().div_ceil(WORD_BYTES);
        let layout = Layout::array::<u32>(words).expect("a node is far smaller than the address space");
        // SAFETY: the layout has a size: the head alone is six words.
        let raw = unsafe { alloc_zeroed(layout) };
        let Some(p) = NonNull::new(raw.cast::<u32>()) else { handle_alloc_error(layout) };
        let mut node = Node { p };
        for (at, word) in [
            (ID, id),
            (LEVEL_AND_M, level as u32 | (m as u32) << 8),
            (VECTOR_WORDS, vector_words as u32),
            (NAME_BYTES, name.len() as u32),
        ] {
            node.set_word(at, word);
        }
        // SAFETY: the block ends with room for the name.
        unsafe { p.as_ptr().add(links).cast::<u8>().copy_from_nonoverlapping(name.as_ptr(), name.len()) };
        node
    }

    #[inline(always)]
    fn word(&self, at: usize) -> u32 {
        debug_assert!(at < VECTOR);
        // SAFETY: the head belongs to every block.
        unsafe { self.p.as_ptr().add(at).read() }
    }

    #[inline(always)]
    fn set_word(&mut self, at: usize, word: u32) {
        debug_assert!(at < VECTOR);
        // SAFETY: the head belongs to every block, and this borrow is the only one.
        unsafe { self.p.as_ptr().add(at).write(word) }
    }

    /// Its index in the graph.
    #[inline]
    pub fn id(&self) -> u32 {
        self.word(ID)
    }

    /// It moved.
    pub fn set_id(&mut self, id: u32) {
        self.set_word(ID, id);
    }

    /// The highest level on which it has links.
    #[inline(always)]
    pub fn level(&self) -> usize {
        (self.word(LEVEL_AND_M) & 255) as usize
    }

    #[inline(always)]
    fn m(&self) -> usize {
        (self.word(LEVEL_AND_M) >> 8) as usize
    }

    /// Length of the vector before it was brought to 1.
    pub fn norm(&self) -> f32 {
        f32::from_bits(self.word(NORM))
    }

    /// What 127 stands for.
    #[inline(always)]
    pub fn range(&self) -> f32 {
        f32::from_bits(self.word(RANGE))
    }

    /// The vector as it is stored.
    #[inline(always)]
    pub fn vector(&self) -> &[u32] {
        // SAFETY: so many words follow the head, and nothing writes them during this borrow.
        unsafe { slice::from_raw_parts(self.p.as_ptr().add(VECTOR), self.word(VECTOR_WORDS) as usize) }
    }

    /// Another vector, of the same number of words.
    pub fn set_vector(&mut self, vector: &[u32], norm: f32, range: f32) {
        assert_eq!(vector.len(), self.word(VECTOR_WORDS) as usize, "all vectors of a graph are of one form");
        self.set_word(NORM, norm.to_bits());
        self.set_word(RANGE, range.to_bits());
        // SAFETY: so many words follow the head; the source is another allocation.
        unsafe { self.p.as_ptr().add(VECTOR).copy_from_nonoverlapping(vector.as_ptr(), vector.len()) }
    }

    /// Offset of the count before a level's links.
    #[inline(always)]
    fn links_at(&self, level: usize) -> usize {
        assert!(level <= self.level(), "links are asked for on levels that the node has");
        links_offset(level, self.m(), self.word(VECTOR_WORDS) as usize)
    }

    /// The nodes linked on a level that it has.
    #[inline(always)]
    pub fn links(&self, level: usize) -> &[u32] {
        // SAFETY: the level's part begins with its count, which never exceeds the room behind it.
        unsafe {
            let part = self.p.as_ptr().add(self.links_at(level));
            slice::from_raw_parts(part.add(1), part.read() as usize)
        }
    }

    /// How many links a level can have.
    #[inline]
    pub fn room(&self, level: usize) -> usize {
        room(level, self.m())
    }

    /// Whether a level has as many links as it can.
    #[inline]
    pub fn is_full(&self, level: usize) -> bool {
        self.links(level).len() >= self.room(level)
    }

    /// The count and all places for links of a level.
    fn links_mut(&mut self, level: usize) -> (&mut u32, &mut [u32]) {
        let room = self.room(level);
        // SAFETY: the part is a count and so many words; this borrow is the only one, and it does not reach the name.
        unsafe {
            let part = self.p.as_ptr().add(self.links_at(level));
            (&mut *part, slice::from_raw_parts_mut(part.add(1), room))
        }
    }

    /// Adds a link; the level must have room.
    pub fn add_link(&mut self, level: usize, to: u32) {
        let (count, places) = self.links_mut(level);
        places[*count as usize] = to;
        *count += 1;
    }

    /// Removes a link; whether it was there.
    pub fn remove_link(&mut self, level: usize, to: u32) -> bool {
        let (count, places) = self.links_mut(level);
        let links = &mut places[..*count as usize];
        let Some(at) = links.iter().position(|&link| link == to) else { return false };
        links.copy_within(at + 1.., at);
        *count -= 1;
        true
    }

    /// A linked node has another id now.
    pub fn rename_link(&mut self, level: usize, from: u32, to: u32) {
        let (count, places) = self.links_mut(level);
        if let Some(link) = places[..*count as usize].iter_mut().find(|link| **link == from) {
            *link = to;
        }
    }

    fn name_offset(&self) -> usize {
        let level = self.level();
        self.links_at(level) + 1 + self.room(level)
    }

    /// The element's name.
    #[inline]
    pub fn name(&self) -> &[u8] {
        self.name_key().bytes()
    }

    /// The name, as something that can be ordered.
    pub fn name_key(&self) -> NameKey {
        NameKey(self.p)
    }

    fn words(&self) -> usize {
        self.name_offset() + (self.word(NAME_BYTES) as usize).div_ceil(WORD_BYTES)
    }

    /// Bytes of the allocation.
    pub fn alloc_bytes(&self) -> usize {
        size_class(WORD_BYTES * self.words())
    }

    /// The block's address: for prefetching.
    #[inline(always)]
    pub fn as_ptr(&self) -> *const u32 {
        self.p.as_ptr()
    }
}

/// How many links fit a level.
#[inline(always)]
fn room(level: usize, m: usize) -> usize {
    if level == 0 { 2 * m } else { m }
}

#[inline(always)]
fn links_offset(level: usize, m: usize, vector_words: usize) -> usize {
    let above_base = if level == 0 { 0 } else { 1 + 2 * m + (level - 1) * (1 + m) };
    VECTOR + vector_words + above_base
}

impl Clone for Node {
    fn clone(&self) -> Node {
        let mut copy = Node::new(self.id(), self.level(), self.m(), self.vector().len(), self.name());
        copy.set_vector(self.vector(), self.norm(), self.range());
        for level in 0..=self.level() {
            self.links(level).iter().for_each(|&link| copy.add_link(level, link));
        }
        copy
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let layout = Layout::array::<u32>(self.words()).expect("it was allocated with this layout");
        // SAFETY: our block, of this layout, not used again.
        unsafe { dealloc(self.p.as_ptr().cast(), layout) }
    }
}

/// A node's name within its block. Whoever keeps one must drop it before the node.
#[derive(Clone, Copy)]
pub(super) struct NameKey(NonNull<u32>);

// SAFETY: it is read only while its node, which can move between threads, lives.
unsafe impl Send for NameKey {}
// SAFETY: names are never written after the block was made.
unsafe impl Sync for NameKey {}

impl NameKey {
    /// The name. Its node lives: the graph, which alone keeps keys, removes a key before its node.
    #[inline]
    pub fn bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the block lives, and the name in it is never written.
        unsafe {
            let head = self.0.as_ptr();
            let (level_and_m, vector_words) = (head.add(LEVEL_AND_M).read(), head.add(VECTOR_WORDS).read());
            let (level, m) = ((level_and_m & 255) as usize, (level_and_m >> 8) as usize);
            let name_at = links_offset(level, m, vector_words as usize) + 1 + room(level, m);
            slice::from_raw_parts(head.add(name_at).cast::<u8>(), head.add(NAME_BYTES).read() as usize)
        }
    }

    /// The node's id.
    #[inline]
    pub fn id(self) -> u32 {
        // SAFETY: as `bytes`; nobody writes an id while the graph is borrowed to be read.
        unsafe { self.0.as_ptr().add(ID).read() }
    }
}

impl std::borrow::Borrow<[u8]> for NameKey {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}

impl PartialEq for NameKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for NameKey {}

impl PartialOrd for NameKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NameKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.bytes().cmp(other.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_parts_apart() {
        for (level, name) in [(0, &b""[..]), (1, b"abc"), (3, b"a name of some length")] {
            let mut node = Node::new(7, level, 4, 5, name);
            node.set_vector(&[1, 2, 3, 4, 5], 2.5, 0.5);
            for on in 0..=level {
                for link in 0..node.room(on) {
                    assert!(!node.is_full(on));
                    node.add_link(on, link as u32 + 10 * on as u32);
                }
                assert!(node.is_full(on) && node.remove_link(on, 10 * on as u32 + 1) && !node.remove_link(on, 99));
                node.rename_link(on, 10 * on as u32 + 2, 77);
            }
            for node in [&node, &node.clone()] {
                assert_eq!((node.id(), node.level(), node.name()), (7, level, name));
                assert_eq!((node.vector(), node.norm(), node.range()), (&[1, 2, 3, 4, 5][..], 2.5, 0.5));
                for on in 0..=level {
                    let expected: Vec<u32> = (0..node.room(on) as u32).map(|link| link + 10 * on as u32).collect();
                    assert_eq!(node.links(on).len(), expected.len() - 1);
                    assert_eq!((node.links(on)[0], node.links(on)[1]), (expected[0], 77));
                    assert_eq!(node.links(on)[2..], expected[3..]);
                }
            }
        }
    }
}
