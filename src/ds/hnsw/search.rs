//! Walking the graph to what is near: Algorithms 2 and 5. Reads only.

use super::quant::Probe;
use super::{Encoded, Hnsw};
use crate::ds::prefetch::prefetch_read;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A node and its distance in one number that sorts by distance: bits of the float, which is not negative, then the id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Near(u64);

impl Near {
    #[inline]
    pub fn new(distance: f32, id: u32) -> Near {
        debug_assert!(distance >= 0.0);
        Near(u64::from(distance.to_bits()) << 32 | u64::from(id))
    }

    #[inline]
    pub fn id(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub fn distance(self) -> f32 {
        f32::from_bits((self.0 >> 32) as u32)
    }
}

/// An element that a search found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Found {
    /// Its node.
    pub id: u32,
    /// How far it is, 0 to 2.
    pub distance: f32,
}

/// What results must satisfy.
pub struct Filter<'a> {
    /// Whether the node with this id does.
    pub accepts: &'a mut dyn FnMut(u32) -> bool,
    /// After so many nodes on the lowest level the search ends with what it has.
    pub effort: usize,
}

/// Nodes that a search has seen, one bit each.
struct Visited(Vec<u64>);

impl Visited {
    fn new(nodes: usize) -> Visited {
        // Zeroed memory comes from the system as it is touched: a search pays for the pages it uses.
        Visited(vec![0; nodes.div_ceil(64)])
    }

    /// Marks a node; whether it was not marked yet.
    #[inline]
    fn mark(&mut self, id: u32) -> bool {
        let (word, bit) = (&mut self.0[id as usize / 64], 1 << (id % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}

/// Bytes of a node that are brought forward before its distance is measured: head and vector, as far as one asks at once.
const PREFETCH_BYTES: usize = 512;
const LINE_BYTES: usize = 64;

impl Hnsw {
    pub(super) fn probe(&self, id: u32) -> Probe<'_> {
        let node = &self.nodes[id as usize];
        Probe { words: node.vector(), range: node.range() }
    }

    #[inline]
    pub(super) fn near(&self, probe: Probe<'_>, id: u32) -> Near {
        Near::new(self.form.distance(probe, self.probe(id)), id)
    }

    /// From the entry down to `level`, on each level above it to the nearest node (steps 1 to 4 of Algorithm 5).
    pub(super) fn descend(&self, probe: Probe<'_>, level: usize) -> Near {
        let mut best = self.near(probe, self.entry);
        for level in (level + 1..=self.level()).rev() {
            loop {
                let links = self.nodes[best.id() as usize].links(level);
                let Some(better) = links.iter().map(|&id| self.near(probe, id)).min().filter(|near| *near < best)
                else {
                    break;
                };
                best = better;
            }
        }
        best
    }

    /// The `ef` nearest nodes that are found on a level from a starting node, nearest first (Algorithm 2).
    pub(super) fn search_level(
        &self,
        probe: Probe<'_>,
        start: Near,
        ef: usize,
        level: usize,
        mut filter: Option<Filter<'_>>,
    ) -> Vec<Near> {
        let mut visited = Visited::new(self.nodes.len());
        let mut ahead = BinaryHeap::from([Reverse(start)]);
        let mut found: BinaryHeap<Near> = BinaryHeap::new();
        let mut fresh: Vec<u32> = Vec::with_capacity(2 * self.m);
        let mut seen = 1;
        visited.mark(start.id());
        if filter.as_mut().is_none_or(|filter| (filter.accepts)(start.id())) {
            found.push(start);
        }
        while let Some(Reverse(nearest)) = ahead.pop() {
            let is_full = found.len() >= ef;
            if is_full && found.peek().is_some_and(|worst| nearest > *worst) {
                break;
            }
            if filter.as_ref().is_some_and(|filter| seen >= filter.effort) {
                break;
            }
            fresh.clear();
            for &id in self.nodes[nearest.id() as usize].links(level) {
                if visited.mark(id) {
                    fresh.push(id);
                    self.prefetch(id);
                }
            }
            seen += fresh.len();
            for &id in &fresh {
                let near = self.near(probe, id);
                let is_full = found.len() >= ef;
                if is_full && found.peek().is_some_and(|worst| near > *worst) {
                    continue;
                }
                ahead.push(Reverse(near));
                if filter.as_mut().is_none_or(|filter| (filter.accepts)(id)) {
                    found.push(near);
                    if found.len() > ef {
                        found.pop();
                    }
                }
            }
        }
        found.into_sorted_vec()
    }

    /// Misses of all the nodes that are looked at next, together.
    #[inline]
    fn prefetch(&self, id: u32) {
        let head = self.nodes[id as usize].as_ptr();
        let bytes = (4 * self.form.words() + LINE_BYTES).min(PREFETCH_BYTES);
        for line in 0..bytes.div_ceil(LINE_BYTES) {
            prefetch_read(head.wrapping_byte_add(line * LINE_BYTES));
        }
    }

    /// The elements nearest to a vector, nearest first, at most `ef` of them; `ef` is also how wide the search is.
    pub fn search(&self, query: &Encoded, ef: usize, filter: Option<Filter<'_>>) -> Vec<Found> {
        if self.is_empty() {
            return Vec::new();
        }
        let start = self.descend(query.probe(), 0);
        found(self.search_level(query.probe(), start, ef, 0, filter))
    }

    /// The `count` elements nearest to a vector, nearest first: all are looked at.
    pub fn search_all(&self, query: &Encoded, count: usize, mut filter: Option<Filter<'_>>) -> Vec<Found> {
        let mut nearest: BinaryHeap<Near> = BinaryHeap::new();
        for id in 0..self.nodes.len() as u32 {
            let near = self.near(query.probe(), id);
            let is_full = nearest.len() >= count;
            if is_full && nearest.peek().is_none_or(|worst| near > *worst) {
                continue;
            }
            if filter.as_mut().is_none_or(|filter| (filter.accepts)(id)) {
                nearest.push(near);
                if nearest.len() > count {
                    nearest.pop();
                }
            }
        }
        found(nearest.into_sorted_vec())
    }
}

fn found(nearest: Vec<Near>) -> Vec<Found> {
    nearest.into_iter().map(|near| Found { id: near.id(), distance: near.distance() }).collect()
}
