//! The directory: how segments grow, split, shrink and merge, and how the directory follows. Each step works on one segment
//! (or a pair that merges); only doubling and halving copy the directory, 16 bytes for each 600 items or so.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::bucket::{SLOTS, Slot};
use super::segment::{Filler, Segment, size_for};
use super::{Item, Table, near_bits};

/// The directory never has more than 2^32 entries.
const MAX_BITS: u8 = 32;
/// Nor more than this many times as many entries as there are segments; beyond, segments grow instead of splitting. Uniform
/// hashes stay below 8; this bounds the memory if they ever are not.
const MAX_SPARSENESS: usize = 64;
/// Load after a split or growth in percent, at most.
const SPLIT_LOAD: usize = 85;
/// Items that each segment of a table is to have whose items are known to come, at most; at least half as many.
const EXPECTED: usize = 600;
/// Load of segments that have what they are expected to, in percent.
const EXPECTED_LOAD: usize = 90;
/// Load after a segment has shrunk.
const SHRINK_LOAD: usize = 70;
/// Segments merge when both together have at most this many items: three quarters of 64 buckets.
const MERGE_COUNT: usize = 64 * SLOTS * 3 / 4;
/// The directory of every empty table: read, never written.
struct Shared(Segment);
// SAFETY: a constant handle of no buckets.
unsafe impl Sync for Shared {}
static UNALLOCATED: Shared = Shared(Segment::empty(0, 0));

pub(super) fn unallocated() -> NonNull<Segment> {
    NonNull::from(&UNALLOCATED.0)
}

impl<T: Item> Table<T> {
    #[inline(always)]
    pub(super) fn directory_len(&self) -> usize {
        1 << self.bits
    }

    /// The directory index of a hash (or of a position in hash order).
    #[inline(always)]
    pub(super) fn index(&self, hash: u64) -> usize {
        (hash >> 1 >> (63 - self.bits)) as usize
    }

    /// The first index of the segment that owns this hash: where its count and epoch are kept.
    #[inline(always)]
    pub(super) fn owner(&self, hash: u64) -> usize {
        let index = self.index(hash);
        index & !(self.run(self.entry(index)) - 1)
    }

    /// How many entries a segment owns.
    #[inline(always)]
    pub(super) fn run(&self, segment: Segment) -> usize {
        1 << (u32::from(self.bits) - segment.depth())
    }

    #[inline(always)]
    pub(super) fn entry(&self, index: usize) -> Segment {
        debug_assert!(index < self.directory_len());
        // SAFETY: `index` came from `bits` hash bits or from a loop up to the length.
        unsafe { *self.directory.as_ptr().add(index) }
    }

    /// Writes a segment into all entries of its run, which starts at `index`, and counts its buckets.
    pub(super) fn put(&mut self, index: usize, segment: Segment) {
        let run = self.run(segment);
        debug_assert!(self.segments > 0 && index % run == 0 && index + run <= self.directory_len());
        for i in index..index + run {
            // SAFETY: below the length; the directory is ours, not the shared static, once there are segments.
            unsafe { self.directory.as_ptr().add(i).write(segment) };
        }
        self.bucket_bytes += segment.bytes();
        self.widest = self.widest.max(segment.bucket_count() as u16);
    }

    /// Frees a segment's buckets after `put` has replaced it.
    fn discard(&mut self, segment: Segment) {
        self.bucket_bytes -= segment.bytes();
        // SAFETY: no entry holds it any more.
        unsafe { segment.free() };
    }

    /// Grows or splits the full segment of this hash. After it the segment may still be full: ask again.
    #[cold]
    #[inline(never)]
    pub(super) fn make_room(&mut self, hash: u64) {
        if self.segments == 0 {
            self.directory = allocate(0);
            (self.segments, self.deepest) = (1, 1);
            self.put(0, Segment::with_buckets(1, 0, 0));
            return;
        }
        let owner = self.owner(hash);
        let segment = self.entry(owner);
        if segment.bucket_count() >= segment.limit(owner / self.run(segment)) {
            if segment.depth() == u32::from(self.bits) && self.may_double() {
                self.double();
            }
            if segment.depth() < u32::from(self.bits) {
                return self.split(self.owner(hash));
            }
        }
        let is_first = segment.bucket_count() == 0 && self.first_size > 0;
        self.resize(owner, if is_first { self.first_size } else { segment.next_size() });
    }

    /// So many items are about to be added, if the table is empty: there will be no segment to split. Takes 16 bytes for some 400
    /// of them; the rest comes with the items. With 0 nothing is expected any more.
    pub fn expect(&mut self, count: usize) {
        self.first_size = 0;
        if self.len == 0 {
            self.clear();
        }
        let segments = count.div_ceil(EXPECTED);
        let bits = segments.checked_next_power_of_two().map_or(u32::MAX, usize::trailing_zeros);
        if self.segments > 0 || count == 0 || bits == 0 || bits >= MAX_BITS.into() {
            return;
        }
        (self.directory, self.bits) = (allocate(bits as u8), bits as u8);
        (self.segments, self.deepest) = (1 << bits, 1 << bits);
        for index in 0..self.directory_len() {
            self.put(index, Segment::empty(bits, 0));
        }
        // One deviation more than on average: few segments must grow.
        let each = count >> bits;
        self.first_size = size_for(each + each.isqrt(), EXPECTED_LOAD);
    }

    fn may_double(&self) -> bool {
        self.bits < MAX_BITS && 2 * self.directory_len() <= MAX_SPARSENESS * self.segments as usize
    }

    /// Moves a segment's slots into another number of buckets.
    fn resize(&mut self, index: usize, bucket_count: u16) {
        let old = self.entry(index);
        let mut new = Filler::new(bucket_count, old.depth(), old.epoch());
        // SAFETY: `old` is live and stays as it is; `new` has room for all.
        unsafe { old.each(|slot| new.push(slot)) };
        self.put(index, new.finish());
        self.discard(old);
    }

    /// Divides a segment, whose depth is below `bits`, by its next hash bit.
    fn split(&mut self, index: usize) {
        let old = self.entry(index);
        let depth = old.depth();
        // 1. The bit is one of the slot's near bits: count first, so that both halves get buckets that fit.
        let is_high = |slot: Slot| slot.near() >> (2 - depth % 3) & 1 == 1;
        let mut high = 0;
        // SAFETY: `old` is live and stays as it is.
        unsafe { old.each(|slot| high += usize::from(is_high(slot))) };
        let half = |count| Filler::new(size_for(count, SPLIT_LOAD), depth + 1, old.epoch());
        let mut halves = [half(usize::from(old.count) - high), half(high)];
        // 2. Hand the slots over; when their near bits are used up, take three new ones from the keys.
        if (depth + 1) % 3 == 0 {
            let renewed = |slot: Slot| {
                let item = slot.item().expect("only filled slots are listed");
                // SAFETY: the item is in the table.
                let hash = self.hasher.hash(unsafe { T::key(item) });
                slot.with_near(near_bits(hash, depth + 1))
            };
            // SAFETY: as above; the half was made large enough for all it gets.
            unsafe {
                old.each_fetched(|slot| halves[usize::from(is_high(slot))].push(renewed(slot)));
            }
        } else {
            // SAFETY: as above.
            unsafe { old.each(|slot| halves[usize::from(is_high(slot))].push(slot)) };
        }
        // 3. Two segments own what one did.
        let [low, high] = halves.map(Filler::finish);
        self.put(index, low);
        self.put(index + self.run(high), high);
        self.discard(old);
        self.segments += 1;
        if depth + 1 == u32::from(self.bits) {
            self.deepest += 2;
        }
    }

    /// Twice the entries, each segment owning two for each one.
    fn double(&mut self) {
        let directory = allocate(self.bits + 1);
        for i in 0..self.directory_len() {
            // SAFETY: `directory` has twice the length.
            unsafe {
                directory.as_ptr().add(2 * i).write(self.entry(i));
                directory.as_ptr().add(2 * i + 1).write(self.entry(i));
            }
        }
        self.replace_directory(directory, self.bits + 1);
        self.deepest = 0;
    }

    /// Half the entries; no segment has depth `bits`.
    fn halve(&mut self) {
        let directory = allocate(self.bits - 1);
        let mut deepest = 0;
        for i in 0..self.directory_len() / 2 {
            let segment = self.entry(2 * i);
            deepest += u32::from(segment.depth() == u32::from(self.bits) - 1);
            // SAFETY: `directory` has half the length.
            unsafe { directory.as_ptr().add(i).write(segment) };
        }
        self.replace_directory(directory, self.bits - 1);
        self.deepest = deepest;
    }

    fn replace_directory(&mut self, directory: NonNull<Segment>, bits: u8) {
        // SAFETY: ours, allocated for `bits`, and replaced here.
        unsafe { free(self.directory, self.bits) };
        (self.directory, self.bits) = (directory, bits);
    }

    /// Takes an item out of its slot, found by this hash.
    #[inline]
    pub(super) fn take(&mut self, hash: u64, slot: NonNull<Slot>) -> T {
        let index = self.owner(hash);
        // SAFETY: a valid index, and not the shared static, since it has an item.
        let segment = unsafe { &mut *self.directory.as_ptr().add(index) };
        // SAFETY: the slot was found in this segment and the table not changed since.
        let taken = unsafe { segment.take(slot) };
        segment.count -= 1;
        self.len -= 1;
        if segment.is_sparse() {
            self.shrink(hash);
        }
        let item = taken.item().expect("an occupied slot is filled");
        // SAFETY: the slot owned it and is gone.
        unsafe { T::from_raw(item) }
    }

    /// Shrinks or merges the sparse segment of this hash; merges on while it can.
    #[cold]
    #[inline(never)]
    fn shrink(&mut self, hash: u64) {
        if self.len == 0 {
            return self.clear();
        }
        while self.merge(hash) {}
        let index = self.owner(hash);
        let segment = self.entry(index);
        let size = size_for(segment.count.into(), SHRINK_LOAD);
        if segment.is_sparse() && usize::from(size) < segment.bucket_count() {
            self.resize(index, size);
        }
        while self.deepest == 0 && self.bits > 0 {
            self.halve();
        }
    }

    /// Merges the segment of this hash with its buddy, the other half of what their parent owned, if few items are left.
    /// Segments in different epochs stay apart: a walk has seen one and not the other.
    fn merge(&mut self, hash: u64) -> bool {
        let index = self.owner(hash);
        let segment = self.entry(index);
        if segment.depth() == 0 {
            return false;
        }
        let run = self.run(segment);
        let buddy = self.entry(index ^ run);
        let count = usize::from(segment.count) + usize::from(buddy.count);
        if buddy.depth() != segment.depth() || count > MERGE_COUNT || buddy.epoch() != segment.epoch() {
            return false;
        }
        let depth = segment.depth() - 1;
        let mut parent = Filler::new(size_for(count, SPLIT_LOAD), depth, segment.epoch());
        for (half, at) in [(segment, index), (buddy, index ^ run)] {
            // Three bits up the hash: they are the end of the half's prefix, the same for all its items.
            let prefix = (at / run) as u64 & 7;
            let renewed = |slot: Slot| {
                if depth % 3 == 2 { slot.with_near(prefix) } else { slot }
            };
            // SAFETY: both are live and stay as they are; the parent has room for all.
            unsafe { half.each(|slot| parent.push(renewed(slot))) };
        }
        if segment.depth() == u32::from(self.bits) {
            self.deepest -= 2;
        }
        self.segments -= 1;
        self.put(index & !run, parent.finish());
        self.discard(segment);
        self.discard(buddy);
        true
    }

    /// The segments, each once, with the first index of each.
    pub(super) fn owners(&self) -> impl Iterator<Item = (usize, Segment)> {
        let mut index = 0;
        std::iter::from_fn(move || {
            (index < self.directory_len()).then(|| {
                let segment = self.entry(index);
                let at = index;
                index += self.run(segment);
                (at, segment)
            })
        })
    }
}

impl<T: Item> Table<T> {
    /// Frees directory and buckets, and leaves the items to whoever took them. The table is empty then.
    pub(super) fn free_memory(&mut self) {
        if self.segments > 0 {
            // SAFETY: each owner comes once, and the handles are gone with the directory.
            self.owners().for_each(|(_, segment)| unsafe { segment.free() });
            // SAFETY: allocated for `bits`, replaced below.
            unsafe { free(self.directory, self.bits) };
        }
        (self.directory, self.bits, self.segments, self.len) = (unallocated(), 0, 0, 0);
    }
}

impl<T: Item> Drop for Table<T> {
    fn drop(&mut self) {
        self.finish_capture();
        for (_, segment) in self.owners() {
            // SAFETY: live until the memory is freed below; each slot owns its item and is not read again.
            unsafe {
                segment.each_fetched(|slot| slot.item().into_iter().for_each(|p| drop(T::from_raw(p))));
            }
        }
        self.free_memory();
    }
}

fn layout(bits: u8) -> Layout {
    Layout::array::<Segment>(1 << bits).expect("2^32 entries fit an address space")
}

fn allocate(bits: u8) -> NonNull<Segment> {
    let layout = layout(bits);
    // SAFETY: not of size 0.
    let p = unsafe { alloc(layout) }.cast::<Segment>();
    NonNull::new(p).unwrap_or_else(|| handle_alloc_error(layout))
}

/// # Safety
/// `directory` is from `allocate(bits)` and not used again.
unsafe fn free(directory: NonNull<Segment>, bits: u8) {
    // SAFETY: the same layout as allocated with, says the caller.
    unsafe { dealloc(directory.as_ptr().cast(), layout(bits)) }
}
