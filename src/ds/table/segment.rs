//! One segment: an array of buckets that holds all items whose hashes begin with the same bits. Knows no key and no other segment.
//!
//! The home bucket follows from the tag alone, `(tag * bucket_count) >> 16`, monotone in the tag; when it is full, the item
//! goes to the next bucket that is not, around the end if need be. So a search stops at the first bucket with room, and
//! growing, shrinking and closing gaps need no key.
//!
//! ```text
//! Segment (16 bytes, lies in the directory)
//! [buckets: pointer][bucket_count u16][item count u16][epoch 26 bits, depth 6 bits]
//! ```
//! Invariant: every bucket from an item's home up to its own is full, its own excepted. A segment of two or more buckets is
//! never full to the last slot.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;

use super::bucket::{Bucket, SLOTS, Slot};
use crate::ds::prefetch::prefetch_read;

/// Bucket counts: each a size class of the allocator (times 64 bytes), each at most a third more than the one before.
const SIZES: [u16; 20] = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, WIDEST];
/// A segment of this many buckets splits instead of growing, at the latest.
pub(super) const WIDEST: u16 = 112;
/// What different segments split at. If all had one limit, all would come to it at about the same time: hashes are uniform, so a
/// table that doubles did half of its splits while it grew by a tenth.
const LIMITS: [u16; 4] = [64, 80, 96, WIDEST];
/// How a segment that cannot split goes on growing.
const OVERSIZE_STEP: u16 = 16;

const DEPTH_BITS: u32 = 6;
/// Epochs are below this.
pub(super) const EPOCH_LIMIT: u32 = 1 << (32 - DEPTH_BITS);

/// What a segment without items points to: it is read, never written.
static NO_BUCKET: Bucket = Bucket::EMPTY;

/// A segment's handle. Plain data: copies share the buckets, and who replaces a segment frees them.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Segment {
    buckets: NonNull<Bucket>,
    bucket_count: u16,
    /// Items; the directory keeps it right in the first entry of a run only.
    pub(super) count: u16,
    mark: u32,
}

impl Segment {
    /// A segment without buckets.
    pub(super) const fn empty(depth: u32, epoch: u32) -> Segment {
        Segment {
            // SAFETY: the address of a static is not null.
            buckets: unsafe { NonNull::new_unchecked((&raw const NO_BUCKET).cast_mut()) },
            bucket_count: 0,
            count: 0,
            mark: epoch << DEPTH_BITS | depth,
        }
    }

    /// A segment with room: `bucket_count` empty buckets, or none for 0.
    pub(super) fn with_buckets(bucket_count: u16, depth: u32, epoch: u32) -> Segment {
        let mut segment = Segment::empty(depth, epoch);
        if bucket_count > 0 {
            let layout = layout(bucket_count);
            // SAFETY: the layout is not of size 0. Zeroed memory is an array of empty buckets.
            let p = unsafe { alloc_zeroed(layout) }.cast::<Bucket>();
            segment.buckets = NonNull::new(p).unwrap_or_else(|| handle_alloc_error(layout));
            segment.bucket_count = bucket_count;
        }
        segment
    }

    /// Frees the buckets, not the items in them.
    ///
    /// # Safety
    /// No other copy of this handle is used afterwards.
    pub(super) unsafe fn free(self) {
        if self.bucket_count > 0 {
            // SAFETY: allocated by `with_buckets` with the same layout; not used again, says the caller.
            unsafe { dealloc(self.buckets.as_ptr().cast(), layout(self.bucket_count)) }
        }
    }

    #[inline(always)]
    pub(super) fn depth(self) -> u32 {
        self.mark & ((1 << DEPTH_BITS) - 1)
    }

    #[inline(always)]
    pub(super) fn epoch(self) -> u32 {
        self.mark >> DEPTH_BITS
    }

    pub(super) fn set_epoch(&mut self, epoch: u32) {
        assert!(epoch < EPOCH_LIMIT, "epochs have 26 bits");
        self.mark = epoch << DEPTH_BITS | self.depth();
    }

    #[inline(always)]
    pub(super) fn bucket_count(self) -> usize {
        usize::from(self.bucket_count)
    }

    /// Bytes of the buckets.
    pub(super) fn bytes(self) -> usize {
        self.bucket_count() * size_of::<Bucket>()
    }

    /// Whether one more item asks for more room first: 91 % of the slots are taken, or the only bucket is full.
    #[inline(always)]
    pub(super) fn is_full(self) -> bool {
        let n = self.bucket_count();
        usize::from(self.count) >= n * SLOTS - n * 3 / 4
    }

    /// Whether less than half of the slots are taken.
    #[inline(always)]
    pub(super) fn is_sparse(self) -> bool {
        usize::from(self.count) * 2 < self.bucket_count() * SLOTS
    }

    /// How many buckets this segment has at most before it splits: by its place in the order of hashes, `prefix` of `depth` bits.
    pub(super) fn limit(self, prefix: usize) -> usize {
        let place = (prefix as u64) << DEPTH_BITS | u64::from(self.depth());
        // Its top two bits, mixed well enough that neighbours and levels differ (Knuth, "The Art of Computer Programming", 6.4).
        let nth = place.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62;
        usize::from(LIMITS[nth as usize])
    }

    /// The bucket count to grow to.
    ///
    /// # Panics
    /// Beyond 65,000 items whose hashes share so many bits that a segment cannot split: with a seeded hash, never.
    pub(super) fn next_size(self) -> u16 {
        let larger = SIZES.iter().find(|&&size| size > self.bucket_count);
        larger.copied().unwrap_or_else(|| {
            let size = self.bucket_count + OVERSIZE_STEP;
            assert!(size <= u16::MAX / SLOTS as u16, "65,000 items share their hash");
            size
        })
    }

    /// The bucket that a tag points to.
    #[inline(always)]
    pub(super) fn home(self, tag: u16) -> usize {
        (usize::from(tag) * self.bucket_count()) >> 16
    }

    /// The smallest tag whose home is bucket `b`.
    pub(super) fn first_tag(self, b: usize) -> u16 {
        (b << 16).div_ceil(self.bucket_count().max(1)) as u16
    }

    #[inline(always)]
    pub(super) fn after(self, b: usize) -> usize {
        if b + 1 < self.bucket_count() { b + 1 } else { 0 }
    }

    /// Steps from bucket `a` on to bucket `b`, around the end.
    fn steps(self, a: usize, b: usize) -> usize {
        if b >= a { b - a } else { b + self.bucket_count() - a }
    }

    /// Where bucket `b` lies; there is always a bucket 0 to read.
    ///
    /// # Safety
    /// `b` is below the bucket count, or 0.
    #[inline(always)]
    pub(super) unsafe fn bucket_ptr(self, b: usize) -> *mut Bucket {
        debug_assert!(b < self.bucket_count().max(1));
        // SAFETY: in bounds of the allocation, says the caller.
        unsafe { self.buckets.as_ptr().add(b) }
    }

    /// Bucket `b`.
    ///
    /// # Safety
    /// As `bucket_ptr`; the segment is not freed or changed during `'a`.
    #[inline(always)]
    pub(super) unsafe fn bucket<'a>(self, b: usize) -> &'a Bucket {
        // SAFETY: in bounds and not written to, says the caller.
        unsafe { &*self.bucket_ptr(b) }
    }

    /// The first slot with this tag whose item is accepted.
    ///
    /// # Safety
    /// The segment is live, and `accept` leaves it as it is.
    #[inline(always)]
    pub(super) unsafe fn search(self, tag: u16, mut accept: impl FnMut(NonNull<u8>) -> bool) -> Option<NonNull<Slot>> {
        let home = self.home(tag);
        let mut b = home;
        loop {
            // SAFETY: homes and their followers are bucket numbers; the segment is live.
            let bucket = unsafe { self.bucket(b) };
            let mut mask = bucket.tag_mask(tag);
            while mask != 0 {
                let i = mask.trailing_zeros() as usize;
                mask &= mask - 1;
                // Masks have eight bits; saying so spares the bounds check.
                let slot = bucket.slots[i & (SLOTS - 1)];
                if slot.item().is_some_and(&mut accept) {
                    // SAFETY: slot i of bucket b lies in the allocation. Taken from the raw pointer, so that it may be written.
                    let p = unsafe { (&raw mut (*self.bucket_ptr(b)).slots).cast::<Slot>().add(i) };
                    return NonNull::new(p);
                }
            }
            if !bucket.is_full() {
                return None;
            }
            b = self.after(b);
            if b == home {
                return None;
            }
        }
    }

    /// Puts a slot into the first bucket with room, from its home on; `count` is left to the caller.
    ///
    /// # Safety
    /// The segment is live, has a free slot and no other borrow.
    #[inline]
    pub(super) unsafe fn place(self, slot: Slot) -> NonNull<Slot> {
        let mut b = self.home(slot.tag());
        loop {
            // SAFETY: a bucket number; nobody else borrows the segment.
            let bucket = unsafe { &mut *self.bucket_ptr(b) };
            if !bucket.is_full() {
                let free = &mut bucket.slots[bucket.len() & (SLOTS - 1)];
                *free = slot;
                return NonNull::from(free);
            }
            b = self.after(b);
        }
    }

    /// Takes a slot out and moves displaced ones back so that every item is still found; `count` is left to the caller.
    ///
    /// # Safety
    /// `slot` is a filled slot of this live segment, which has no other borrow.
    pub(super) unsafe fn take(self, slot: NonNull<Slot>) -> Slot {
        // SAFETY: both point into the segment's array.
        let at = unsafe { slot.as_ptr().offset_from(self.buckets.as_ptr().cast::<Slot>()) } as usize;
        let mut hole = at / SLOTS;
        // SAFETY: `hole` is a bucket number; nobody else borrows the segment.
        let bucket = unsafe { &mut *self.bucket_ptr(hole) };
        let was_full = bucket.is_full();
        let out = bucket.swap_remove(at % SLOTS);
        if !was_full {
            return out;
        }
        // Items that once found `hole` full lie in the buckets after it, up to the first that had room.
        let mut b = self.after(hole);
        while b != hole {
            // SAFETY: as above.
            let bucket = unsafe { &mut *self.bucket_ptr(b) };
            let was_full = bucket.is_full();
            let gap = self.steps(hole, b);
            let passed = |s: &Slot| self.steps(self.home(s.tag()), b) >= gap;
            if let Some(i) = bucket.filled().iter().position(passed) {
                let moved = bucket.swap_remove(i);
                // SAFETY: as above; bucket `hole` has exactly its last slot free.
                unsafe { (*self.bucket_ptr(hole)).slots[SLOTS - 1] = moved };
                hole = b;
            }
            if !was_full {
                break;
            }
            b = self.after(b);
        }
        out
    }

    /// Calls `f` with every filled slot, bucket by bucket.
    ///
    /// # Safety
    /// The segment is live, and `f` leaves it as it is.
    #[inline(always)]
    pub(super) unsafe fn each(self, mut f: impl FnMut(Slot)) {
        for b in 0..self.bucket_count() {
            // SAFETY: a bucket number; the segment stays as it is, says the caller.
            let bucket = unsafe { self.bucket(b) };
            for &slot in bucket.slots.iter().take_while(|slot| !slot.is_empty()) {
                f(slot);
            }
        }
    }

    /// As `each`, for an `f` that reads the items: those of the buckets to come are prefetched.
    ///
    /// # Safety
    /// As `each`.
    #[inline(always)]
    pub(super) unsafe fn each_fetched(self, mut f: impl FnMut(Slot)) {
        /// Buckets ahead: a dozen items or so, about as many as a core can wait for.
        const AHEAD: usize = 2;
        for b in 0..self.bucket_count() + AHEAD {
            if b < self.bucket_count() {
                // SAFETY: a bucket number; the segment stays as it is, says the caller.
                let bucket = unsafe { self.bucket(b) };
                bucket.slots.iter().for_each(|slot| prefetch_read(slot.address()));
            }
            if let Some(b) = b.checked_sub(AHEAD) {
                // SAFETY: as above.
                let bucket = unsafe { self.bucket(b) };
                bucket.slots.iter().take_while(|slot| !slot.is_empty()).for_each(|&slot| f(slot));
            }
        }
    }

    /// Every filled slot, bucket by bucket.
    ///
    /// # Safety
    /// The segment is live and unchanged during `'a`.
    pub(super) unsafe fn slots<'a>(self) -> impl Iterator<Item = Slot> + 'a {
        // SAFETY: bucket numbers; the segment is unchanged during 'a, says the caller.
        (0..self.bucket_count()).flat_map(move |b| unsafe { self.bucket(b) }.filled().iter().copied())
    }

    /// The slots whose home is bucket `b` and whose tag is at least `from`.
    ///
    /// # Safety
    /// The segment is live, `b` is below its bucket count, and `f` leaves it as it is.
    pub(super) unsafe fn each_of_home(self, b: usize, from: u16, mut f: impl FnMut(Slot)) {
        let mut at = b;
        loop {
            // SAFETY: bucket numbers; the segment is unchanged, says the caller.
            let bucket = unsafe { self.bucket(at) };
            for &slot in bucket.filled() {
                if slot.tag() >= from && self.home(slot.tag()) == b {
                    f(slot);
                }
            }
            at = self.after(at);
            if !bucket.is_full() || at == b {
                return;
            }
        }
    }

    /// What all entries of a run agree on.
    pub(super) fn handle(self) -> (NonNull<Bucket>, u16, u32) {
        (self.buckets, self.bucket_count, self.depth())
    }

    /// Panics if a bucket has a gap or the count is wrong.
    ///
    /// # Safety
    /// The segment is live.
    pub(super) unsafe fn check(self) {
        let mut count = 0;
        for b in 0..self.bucket_count() {
            // SAFETY: a bucket number.
            let bucket = unsafe { self.bucket(b) };
            let filled = bucket.slots.iter().filter(|slot| !slot.is_empty()).count();
            assert_eq!(filled, bucket.len(), "filled slots come first");
            count += filled;
        }
        assert_eq!(count, usize::from(self.count));
        assert!(self.bucket_count < 2 || count < self.bucket_count() * SLOTS, "a free slot ends every search");
    }
}

/// A segment that is being filled from scratch: how full each bucket is lies in one short array, so that the buckets are
/// only written. Like `place`, slot by slot.
pub(super) struct Filler {
    segment: Segment,
    filled: [u8; Filler::LIMIT],
}

impl Filler {
    /// Segments of more buckets are filled by `place`.
    const LIMIT: usize = 128;

    /// An empty segment to be filled.
    pub(super) fn new(bucket_count: u16, depth: u32, epoch: u32) -> Filler {
        Filler { segment: Segment::with_buckets(bucket_count, depth, epoch), filled: [0; Filler::LIMIT] }
    }

    /// Adds a slot.
    ///
    /// # Safety
    /// The segment has a free slot.
    #[inline(always)]
    pub(super) unsafe fn push(&mut self, slot: Slot) {
        self.segment.count += 1;
        if self.segment.bucket_count() > Filler::LIMIT {
            // SAFETY: nobody else knows the segment; it has a free slot, says the caller.
            unsafe { self.segment.place(slot) };
            return;
        }
        let mut b = self.segment.home(slot.tag());
        loop {
            let filled = &mut self.filled[b & (Filler::LIMIT - 1)];
            if usize::from(*filled) < SLOTS {
                // SAFETY: a bucket number, and a slot below eight.
                unsafe { (*self.segment.bucket_ptr(b)).slots[usize::from(*filled)] = slot };
                *filled += 1;
                return;
            }
            b = self.segment.after(b);
        }
    }

    /// The filled segment, its items counted.
    pub(super) fn finish(self) -> Segment {
        self.segment
    }
}

/// The smallest bucket count in which `count` items take at most `percent` of the slots; 0 for none.
pub(super) fn size_for(count: usize, percent: usize) -> u16 {
    if count == 0 {
        return 0;
    }
    let needed = (count * 100).div_ceil(percent * SLOTS);
    let size = SIZES.iter().find(|&&size| usize::from(size) >= needed);
    // Beyond the widest: a segment whose items share many hash bits.
    size.copied().unwrap_or_else(|| needed.next_multiple_of(OVERSIZE_STEP.into()) as u16)
}

fn layout(bucket_count: u16) -> Layout {
    Layout::array::<Bucket>(bucket_count.into()).expect("65,535 buckets fit an address space")
}
