//! The sweep that rids the index of stale and double items, slot by slot of the upper levels in the order of time. (Items of
//! level 0 come up within seconds anyway.) Knows nothing of entries but through the probe.
//!
//! ```text
//! seek -> spread a slot's items over parts by their top bits -> sort one part, drop doubles, check each -> next part -> seek
//! ```
//!
//! No part is large, so no step sorts for long; and in the order of hashes neighbours share the table's cache lines. An item
//! that belongs to a later slot is moved there, and meets its doubles when that slot is swept.

use super::slot::Slot;
use super::{BATCH, Deadlines, Probe, first_tick, is_over, unit_of};
use std::mem::size_of;

/// Items of a part, about.
const PART: usize = 2048;
/// Most parts of a slot.
const MOST_PARTS: usize = 4096;

/// Where a sweep stands.
#[derive(Default)]
pub(super) struct Sweep {
    level: usize,
    /// The next slot of the level.
    unit: u64,
    /// First tick of the slot that is being swept.
    start: u64,
    /// Its items that are not spread yet.
    source: Slot,
    parts: Vec<Slot>,
    /// The part that is being checked: sorted, without doubles, taken from the end.
    sorted: Vec<u64>,
}

impl Sweep {
    /// Items taken out of the slots.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.source.len() + self.parts.iter().map(Slot::len).sum::<usize>() + self.sorted.len()
    }

    #[cfg(test)]
    pub(super) fn alloc_bytes(&self) -> usize {
        self.source.alloc_bytes() + self.parts.iter().map(Slot::alloc_bytes).sum::<usize>()
    }

    /// Spreads one chunk over the parts; returns (bytes of new room, bytes given back), or nothing when all is spread.
    fn spread(&mut self) -> Option<(usize, usize)> {
        let chunk = self.source.pop_chunk()?;
        let bits = self.parts.len().trailing_zeros();
        let grown = chunk.iter().map(|&hash| self.parts[(hash >> 1 >> (63 - bits)) as usize].push(hash)).sum();
        Some((grown, chunk.capacity() * size_of::<u64>()))
    }

    /// Sorts the next part; returns (doubles dropped, bytes given back), or nothing when no part is left.
    fn sort(&mut self) -> Option<(usize, usize)> {
        let mut part = self.parts.pop()?;
        let freed = part.alloc_bytes();
        while let Some(chunk) = part.pop_chunk() {
            self.sorted.extend_from_slice(&chunk);
        }
        let before = self.sorted.len();
        self.sorted.sort_unstable();
        self.sorted.dedup();
        Some((before - self.sorted.len(), freed))
    }
}

impl Deadlines {
    /// Goes on with the sweep, or begins one, until the time is over.
    pub(super) fn sweep_step(&mut self, volatile: usize, probe: &mut impl Probe, end: u64) {
        let mut sweep = self.sweep.take().unwrap_or_else(|| Box::new(Sweep { level: 1, ..Sweep::default() }));
        while self.sweep_on(&mut sweep, probe) {
            if is_over(end) {
                self.sweep = Some(sweep);
                return;
            }
        }
        self.left_stale = self.items.saturating_sub(volatile);
    }

    /// One small piece of work; false when the sweep is through.
    fn sweep_on(&mut self, sweep: &mut Sweep, probe: &mut impl Probe) -> bool {
        if !sweep.sorted.is_empty() {
            let rest = sweep.sorted.len().saturating_sub(BATCH);
            self.check(&sweep.sorted[rest..], sweep.start, probe);
            sweep.sorted.truncate(rest);
        } else if let Some((grown, freed)) = sweep.spread() {
            self.bytes = self.bytes + grown - freed;
        } else if let Some((doubles, freed)) = sweep.sort() {
            self.items -= doubles;
            self.bytes -= freed;
        } else {
            return self.seek(sweep);
        }
        true
    }

    /// Takes the next slot that is not about to be dealt out anyway.
    fn seek(&mut self, sweep: &mut Sweep) -> bool {
        while sweep.level < self.levels.len() {
            let current = unit_of(self.cursor, sweep.level);
            let from = sweep.unit.max(current + 2);
            if let Some(unit) = self.levels[sweep.level].next_filled_within(current, from) {
                sweep.source = self.levels[sweep.level].take(unit);
                let parts = (sweep.source.len() / PART).next_power_of_two().min(MOST_PARTS);
                sweep.parts.resize_with(parts, Slot::default);
                sweep.start = first_tick(unit, sweep.level);
                sweep.unit = unit + 1;
                return true;
            }
            sweep.level += 1;
            sweep.unit = 0;
        }
        false
    }
}
