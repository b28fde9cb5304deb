//! The slots of the timing wheel: bags of hashes in chunks, and a level's ring of slots. Knows no time.
//!
//! ```text
//! Slot   [chunk of 512][chunk of 512] ... [last chunk, growing by quarters]       8 bytes an item, at most a quarter unused
//! Level  512 slots, used as a ring: slot `unit` is at `unit % 512`; a bit for each that is filled
//! ```

use std::mem::size_of;

/// Slots of a level: two periods, the current one and the next.
pub(super) const RING: usize = 512;
/// Items of a full chunk: one page.
const CHUNK: usize = 512;
/// Room of a chunk that follows a full one.
const NEXT_CHUNK: usize = 128;

/// A bag of hashes.
#[derive(Default)]
pub(super) struct Slot {
    /// All are full but the last; none is empty.
    chunks: Vec<Vec<u64>>,
}

/// The next larger room of a chunk: a quarter of the power of two more, as the allocator's classes go.
fn grown(room: usize) -> usize {
    let step = if room.is_power_of_two() { room / 4 } else { room.next_power_of_two() / 8 };
    (room + step.max(2)).clamp(4, CHUNK)
}

impl Slot {
    pub(super) fn len(&self) -> usize {
        self.chunks.last().map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len())
    }

    pub(super) fn alloc_bytes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.capacity() * size_of::<u64>()).sum()
    }

    /// Adds an item; returns by how many bytes the room grew.
    #[inline]
    pub(super) fn push(&mut self, hash: u64) -> usize {
        if let Some(last) = self.chunks.last_mut() {
            if last.len() < last.capacity() {
                last.push(hash);
                return 0;
            }
        }
        self.push_grow(hash)
    }

    #[cold]
    fn push_grow(&mut self, hash: u64) -> usize {
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            let room = if self.chunks.is_empty() { grown(0) } else { NEXT_CHUNK };
            let mut chunk = Vec::new();
            chunk.reserve_exact(room);
            self.chunks.push(chunk);
            let last = self.chunks.last_mut().expect("it was just pushed");
            last.push(hash);
            return last.capacity() * size_of::<u64>();
        }
        let last = self.chunks.last_mut().expect("there is a last chunk that is not full");
        let before = last.capacity();
        last.reserve_exact(grown(before) - last.len());
        last.push(hash);
        (last.capacity() - before) * size_of::<u64>()
    }

    /// Moves some items into `out`; how many, and how many bytes of room were given back.
    pub(super) fn pop(&mut self, out: &mut [u64]) -> (usize, usize) {
        let Some(last) = self.chunks.last_mut() else { return (0, 0) };
        let n = last.len().min(out.len());
        let rest = last.len() - n;
        out[..n].copy_from_slice(&last[rest..]);
        last.truncate(rest);
        let mut freed = 0;
        if rest == 0 {
            freed = last.capacity() * size_of::<u64>();
            self.chunks.pop();
        }
        (n, freed)
    }

    /// Takes a chunk out.
    pub(super) fn pop_chunk(&mut self) -> Option<Vec<u64>> {
        self.chunks.pop()
    }

    /// The item at a position.
    pub(super) fn get(&self, position: usize) -> Option<u64> {
        self.chunks.get(position / CHUNK)?.get(position % CHUNK).copied()
    }
}

/// A ring of slots.
pub(super) struct Level {
    slots: Box<[Slot; RING]>,
    filled: [u64; RING / 64],
}

impl Default for Level {
    fn default() -> Self {
        Level { slots: Box::new(std::array::from_fn(|_| Slot::default())), filled: [0; RING / 64] }
    }
}

fn place(unit: u64) -> usize {
    unit as usize % RING
}

impl Level {
    /// As `Slot::push`.
    #[inline]
    pub(super) fn push(&mut self, unit: u64, hash: u64) -> usize {
        let at = place(unit);
        self.filled[at / 64] |= 1 << (at % 64);
        self.slots[at].push(hash)
    }

    /// As `Slot::pop`.
    pub(super) fn pop(&mut self, unit: u64, out: &mut [u64]) -> (usize, usize) {
        let at = place(unit);
        let popped = self.slots[at].pop(out);
        if self.slots[at].chunks.is_empty() {
            self.filled[at / 64] &= !(1 << (at % 64));
            self.slots[at].chunks = Vec::new();
        }
        popped
    }

    /// Takes a whole slot's items.
    pub(super) fn take(&mut self, unit: u64) -> Slot {
        let at = place(unit);
        self.filled[at / 64] &= !(1 << (at % 64));
        std::mem::take(&mut self.slots[at])
    }

    /// The first filled slot from `current` on, once around.
    pub(super) fn next_filled(&self, current: u64) -> Option<u64> {
        self.next_filled_within(current, current)
    }

    /// The first filled slot from `from` on, on a ring that begins at `current`.
    pub(super) fn next_filled_within(&self, current: u64, from: u64) -> Option<u64> {
        let mut unit = from;
        while unit < current + RING as u64 {
            let at = place(unit);
            let word = self.filled[at / 64] >> (at % 64);
            if word != 0 {
                let found = unit + u64::from(word.trailing_zeros());
                return (found < current + RING as u64).then_some(found);
            }
            unit += 64 - (at % 64) as u64;
        }
        None
    }

    pub(super) fn filled_slots(&self) -> impl Iterator<Item = &Slot> {
        let words = self.filled.iter().enumerate();
        words
            .flat_map(|(w, &word)| (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| w * 64 + bit))
            .map(|at| &self.slots[at])
    }

    #[cfg(test)]
    pub(super) fn last_filled(&self, current: u64) -> Option<u64> {
        (current..current + RING as u64).rev().find(|unit| self.slots[place(*unit)].len() > 0)
    }

    /// Checks the marks and the chunks; returns the number of items.
    #[cfg(test)]
    pub(super) fn check(&self) -> usize {
        for (at, slot) in self.slots.iter().enumerate() {
            assert_eq!(self.filled[at / 64] >> (at % 64) & 1 == 1, slot.len() > 0, "slot {at} is marked as it is");
            for (i, chunk) in slot.chunks.iter().enumerate() {
                assert!(
                    !chunk.is_empty() && (chunk.len() == CHUNK || i + 1 == slot.chunks.len()),
                    "only the last chunk has room"
                );
            }
        }
        self.slots.iter().map(Slot::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_wastes_at_most_a_quarter() {
        let mut slot = Slot::default();
        let mut bytes = 0;
        for i in 0..20_000u64 {
            bytes += slot.push(i);
            assert_eq!(bytes, slot.alloc_bytes());
            let wanted = slot.len() * 8;
            assert!(bytes <= wanted + wanted / 4 + 32, "{bytes} bytes for {} items", slot.len());
        }
        let mut out = [0; 32];
        let mut seen = Vec::new();
        loop {
            let (n, freed) = slot.pop(&mut out);
            bytes -= freed;
            if n == 0 {
                break;
            }
            seen.extend_from_slice(&out[..n]);
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20_000).collect::<Vec<u64>>());
        assert_eq!(bytes, 0);
    }

    #[test]
    fn the_next_filled_slot_is_found_around_the_ring() {
        let mut level = Level::default();
        assert_eq!(level.next_filled(1000), None);
        for unit in [1000, 1063, 1064, 1300, 1511] {
            level.push(unit, 1);
        }
        let mut at = 1000;
        let mut found = Vec::new();
        while let Some(unit) = level.next_filled_within(1000, at) {
            found.push(unit);
            at = unit + 1;
        }
        assert_eq!(found, [1000, 1063, 1064, 1300, 1511]);
        assert_eq!(level.check(), 5);
    }
}
