//! Points in time, each with a 64-bit name, in the order of time: which fields of a big hash are due next. Knows no field and
//! no clock.
//!
//! ```text
//! chunks   BTreeMap: lower bound -> [point][point] ...     at most 128 points of 16 bytes, sorted; no chunk is empty
//! point    (time, name)                                    the same point may be there several times
//! ```
//!
//! A tree of single points would take half as much again and several cache misses a step; here the tree is so small that
//! it stays in the cache, and a change moves at most 2 KiB. Points that come in the order of time fill their chunks wholly.
//!
//! Invariant: a chunk's points are not before its own bound and not behind the next chunk's bound.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// Points of a full chunk.
const CHUNK: usize = 128;
/// A chunk with fewer points looks for a neighbour to join.
const SPARSE: usize = CHUNK / 4;
/// What the tree itself takes for a chunk, bytes: bound and vector, at the usual fill of its nodes.
const CHUNK_OVERHEAD_BYTES: usize = 60;

/// A point in time with its name.
pub type Point = (i64, u64);

/// A sorted bag of points.
#[derive(Clone, Default)]
pub struct Timeline {
    chunks: BTreeMap<Point, Vec<Point>>,
    len: usize,
}

/// Adds a point where it belongs, with room for a quarter more at most.
fn put(chunk: &mut Vec<Point>, point: Point) {
    if chunk.len() == chunk.capacity() {
        let most = CHUNK.saturating_sub(chunk.len()).max(4);
        chunk.reserve_exact((chunk.len() / 4).max(4).min(most));
    }
    let index = match chunk.last() {
        Some(last) if *last > point => chunk.partition_point(|p| *p <= point),
        _ => chunk.len(),
    };
    chunk.insert(index, point);
}

impl Timeline {
    /// Number of points.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no point.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first point's time.
    #[inline]
    pub fn soonest(&self) -> Option<i64> {
        self.chunks.first_key_value().and_then(|(_, chunk)| chunk.first()).map(|(time, _)| *time)
    }

    /// Number of points up to `time`.
    pub fn count_until(&self, time: i64) -> usize {
        let chunks = self.chunks.range(..=(time, u64::MAX)).map(|(_, chunk)| chunk);
        chunks.map(|chunk| chunk.partition_point(|(t, _)| *t <= time)).sum()
    }

    /// Bytes on the heap, about.
    pub fn alloc_bytes(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.capacity() * size_of::<Point>() + CHUNK_OVERHEAD_BYTES).sum()
    }

    /// Adds a point.
    pub fn insert(&mut self, time: i64, name: u64) {
        let point = (time, name);
        self.len += 1;
        if let Some((_, chunk)) = self.chunks.range_mut(..=point).next_back() {
            if chunk.len() < CHUNK {
                return put(chunk, point);
            }
            return self.insert_full(point);
        }
        // Before all others: the first chunk gets a lower bound.
        match self.chunks.pop_first() {
            None => {
                self.chunks.insert(point, vec![point]);
            }
            Some((_, chunk)) => {
                let full = chunk.len() >= CHUNK;
                self.chunks.insert(point, chunk);
                if full {
                    self.insert_full(point);
                } else if let Some((_, chunk)) = self.chunks.iter_mut().next() {
                    put(chunk, point);
                }
            }
        }
    }

    /// Adds a point to a chunk that has no room: it is split, or the point begins a new one behind all others.
    fn insert_full(&mut self, point: Point) {
        let is_last = self.chunks.range((Excluded(point), Unbounded)).next().is_none();
        let Some((&bound, chunk)) = self.chunks.range_mut(..=point).next_back() else { return };
        let mut tail = if is_last && chunk.last().is_some_and(|last| *last <= point) {
            Vec::new()
        } else {
            chunk.split_off(CHUNK / 2)
        };
        if tail.first().is_some_and(|first| point < *first) {
            chunk.shrink_to(CHUNK / 2 + SPARSE);
            put(chunk, point);
        } else {
            put(&mut tail, point);
        }
        let first = tail[0];
        if first == bound {
            // One point over and over: no bound lies between them.
            chunk.append(&mut tail);
        } else {
            self.chunks.insert(first, tail);
        }
    }

    /// Takes one such point out; whether there was one.
    pub fn remove(&mut self, time: i64, name: u64) -> bool {
        let point = (time, name);
        // Equal points may lie on both sides of a bound.
        let mut around = self.chunks.range_mut(..=point).rev().take(2);
        let found = around.find_map(|(bound, chunk)| Some((*bound, chunk.binary_search(&point).ok()?)));
        let Some((bound, index)) = found else { return false };
        self.len -= 1;
        let Some(chunk) = self.chunks.get_mut(&bound) else { return false };
        chunk.remove(index);
        if chunk.is_empty() {
            self.chunks.remove(&bound);
        } else if chunk.len() < SPARSE {
            self.join(bound);
        }
        true
    }

    /// A sparse chunk takes in the one behind it if both leave room.
    fn join(&mut self, bound: Point) {
        let len = self.chunks.get(&bound).map_or(0, Vec::len);
        let next = self.chunks.range((Excluded(bound), Unbounded)).next();
        let Some(next) = next.filter(|(_, next)| next.len() + len <= CHUNK / 2).map(|(bound, _)| *bound) else {
            return;
        };
        let Some(mut tail) = self.chunks.remove(&next) else { return };
        if let Some(chunk) = self.chunks.get_mut(&bound) {
            chunk.reserve_exact(tail.len());
            chunk.append(&mut tail);
        }
    }

    /// Takes out the first points up to `time`, at most `most`, in order.
    pub fn take_until(&mut self, time: i64, most: usize, mut each: impl FnMut(Point)) {
        let mut left = most;
        while left > 0 {
            let Some(mut first) = self.chunks.first_entry() else { return };
            let chunk = first.get_mut();
            let due = chunk.partition_point(|(t, _)| *t <= time).min(left);
            if due == 0 {
                return;
            }
            chunk.drain(..due).for_each(&mut each);
            if chunk.is_empty() {
                first.remove();
            }
            self.len -= due;
            left -= due;
        }
    }

    /// Checks the invariant.
    pub fn check(&self) {
        assert_eq!(self.chunks.values().map(Vec::len).sum::<usize>(), self.len, "points are counted");
        let mut bounds = self.chunks.keys().skip(1);
        for (bound, chunk) in &self.chunks {
            assert!(chunk.is_sorted() && !chunk.is_empty(), "chunks are sorted and filled");
            assert!(chunk[0] >= *bound, "points are not before their bound");
            let last = chunk[chunk.len() - 1];
            assert!(bounds.next().is_none_or(|next| last <= *next), "points are not behind the next bound");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::{Rng, steps};

    fn all(timeline: &Timeline) -> Vec<Point> {
        timeline.chunks.values().flatten().copied().collect()
    }

    #[test]
    fn behaves_as_a_sorted_vector() {
        for seed in 0..12 {
            println!("seed {seed}");
            let (mut rng, mut model, mut line) = (Rng::seeded(seed), Vec::<Point>::new(), Timeline::default());
            let (times, names) = [(5_000, 50), (40, 3), (1, 1), (1_000_000, 1 << 40)][seed as usize % 4];
            let mut now = 0;
            for step in 0..steps(84_000) {
                let point = (now + rng.below(times) as i64, rng.below(names));
                match rng.below(if step % 2_000 < 1_000 { 12 } else { 6 }) {
                    0 | 1 => {
                        let victim = model.get(rng.below(model.len() as u64 + 1) as usize).copied().unwrap_or(point);
                        let at = model.binary_search(&victim).ok();
                        assert_eq!(line.remove(victim.0, victim.1), at.map(|at| model.remove(at)).is_some());
                    }
                    2 => {
                        now += rng.below(times / 20 + 1) as i64;
                        let most = rng.below(200) as usize;
                        let due = model.partition_point(|p| p.0 <= now);
                        assert_eq!(line.count_until(now), due);
                        let mut taken = Vec::new();
                        line.take_until(now, most, |point| taken.push(point));
                        assert_eq!(taken, model.drain(..due.min(most)).collect::<Vec<_>>());
                    }
                    _ => {
                        line.insert(point.0, point.1);
                        model.insert(model.partition_point(|p| *p <= point), point);
                    }
                }
                assert_eq!((line.len(), line.soonest()), (model.len(), model.first().map(|p| p.0)));
                if step % 1_000 == 0 {
                    line.check();
                    assert_eq!(all(&line), model);
                }
            }
            line.check();
        }
    }

    #[test]
    fn points_in_order_are_dense_and_points_in_no_order_fairly() {
        let (mut ordered, mut random, mut rng) = (Timeline::default(), Timeline::default(), Rng::seeded(1));
        for i in 0..100_000u64 {
            ordered.insert(i as i64, i);
            random.insert(rng.below(1 << 40) as i64, i);
        }
        assert!(ordered.alloc_bytes() < 100_000 * 17, "{}", ordered.alloc_bytes());
        assert!(random.alloc_bytes() < 100_000 * 24, "{}", random.alloc_bytes());
    }
}
