//! Ways through a table: in steps with a cursor, at random, item by item, segment by segment.
//!
//! # The scan cursor
//! ```text
//! cursor (at most 54 bits):  [1][prefix, `depth` bits][tag 16 bits]            0 = start, and done
//! ```
//! It says: what lies before `prefix` in hash order is done, and of the hashes that begin with `prefix` what has a home before
//! `tag`. Items are given out home bucket by home bucket, never a part of one; as homes are monotone in the tag, the tag stays
//! meaningful when the segment gets other buckets. If the segment has split since, the tag holds for its leftmost part and the
//! others start afresh, so items may come twice. If it has merged, its items are filtered by their hashes, so that the scan
//! still sees the prefix alone; behind it, the prefix gets as short as it can. So (prefix, tag) only ever rises: a scan ends
//! whatever happens in between, and what is there from start to end comes at least once.

use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;

use super::bucket::{Bucket, SLOTS, Slot};
use super::segment::Segment;
use super::{Item, Table};

/// A place in table order, see the module's head.
#[derive(Clone, Copy)]
struct Cursor {
    prefix: u64,
    depth: u32,
    tag: u16,
}

impl Cursor {
    const TAG_BITS: u32 = 16;

    /// Any number is a cursor: it comes from a client.
    fn unpack(cursor: u64) -> Cursor {
        let marked = (cursor >> Cursor::TAG_BITS).max(1);
        let depth = marked.ilog2();
        Cursor { prefix: marked ^ (1 << depth), depth, tag: cursor as u16 }
    }

    fn pack(self) -> u64 {
        (1 << self.depth | self.prefix) << Cursor::TAG_BITS | u64::from(self.tag)
    }

    /// The hashes that begin with the prefix: the first and the last.
    fn bounds(self) -> (u64, u64) {
        // Two steps, as depth 0 shifts by 64.
        let first = self.prefix << (63 - self.depth) << 1;
        (first, first | u64::MAX >> self.depth)
    }

    /// The part of this prefix with which a segment of depth `depth` begins.
    fn leftmost(self, depth: u32) -> Cursor {
        let depth = depth.max(self.depth);
        Cursor { prefix: self.prefix << (depth - self.depth), depth, ..self }
    }

    /// What follows the prefix, in the shortest way to say it: the widest range that begins there.
    fn after(self) -> Cursor {
        let next = self.prefix + 1;
        let wider = next.trailing_zeros();
        Cursor { prefix: next >> wider, depth: self.depth - wider, tag: 0 }
    }
}

impl<T: Item> Table<T> {
    /// Shows some items, at least `budget` of them if so many are left, in whole home buckets; gives the cursor to go on
    /// with, 0 when all were shown. What is in the table from cursor 0 to cursor 0 is shown at least once, whatever is inserted
    /// or removed between the calls. A step shows the items
    /// of at most `budget + 16` buckets.
    pub fn scan<'a>(&'a self, cursor: u64, budget: usize, mut f: impl FnMut(T::Ref<'a>)) -> u64 {
        let mut at = Cursor::unpack(cursor);
        let (mut shown, mut visits_left) = (0, budget.saturating_add(16));
        loop {
            let segment = self.entry(self.owner(at.bounds().0));
            at = at.leftmost(segment.depth());
            let (first, last) = at.bounds();
            let is_whole = at.depth == segment.depth();
            for b in segment.home(at.tag)..segment.bucket_count() {
                if shown >= budget.max(1) || visits_left == 0 {
                    at.tag = segment.first_tag(b).max(at.tag);
                    return at.pack();
                }
                visits_left -= 1;
                let show = |slot: Slot| {
                    let Some(item) = slot.item() else { return };
                    // SAFETY: items live while the table is borrowed.
                    if is_whole || (first..=last).contains(&self.hasher.hash(unsafe { T::key(item) })) {
                        shown += 1;
                        // SAFETY: as above.
                        f(unsafe { T::view(item) });
                    }
                };
                // SAFETY: the table is borrowed, `b` is a bucket number.
                unsafe { segment.each_of_home(b, at.tag, show) };
            }
            if last == u64::MAX {
                return 0;
            }
            at = at.after();
            visits_left = visits_left.saturating_sub(1);
            if visits_left == 0 {
                return at.pack();
            }
        }
    }

    /// One item, each with the same probability; none if the table is empty. `rng` gives uniform 64-bit numbers.
    ///
    /// A directory entry is drawn and accepted if it is a segment's first, with the probability `count / most`: so each segment
    /// comes up in proportion to its items. Then slots of it are drawn until one is filled. A handful of draws.
    pub fn random(&self, rng: &mut impl FnMut() -> u64) -> Option<T::Ref<'_>> {
        if self.is_empty() {
            return None;
        }
        let most = usize::from(self.widest) * SLOTS;
        loop {
            let hash = rng();
            let segment = self.entry(self.owner(hash));
            let is_first = self.index(hash) == self.owner(hash);
            if !is_first || below(rng, most) >= usize::from(segment.count) {
                continue;
            }
            loop {
                let at = below(rng, segment.bucket_count() * SLOTS);
                // SAFETY: the table is borrowed; `at / SLOTS` is a bucket number, as a segment with items has buckets.
                let slot = unsafe { segment.bucket(at / SLOTS) }.slots[at % SLOTS];
                if let Some(item) = slot.item() {
                    // SAFETY: the item lives while the table is borrowed.
                    return Some(unsafe { T::view(item) });
                }
            }
        }
    }

    /// Appends up to `n` items to `out`: whole random buckets, neighbours in the table but strangers by key. Nearly uniform and
    /// cheap; may give the same item twice, and fewer than `n` from a sparse table.
    pub fn sample<'a>(&'a self, rng: &mut impl FnMut() -> u64, n: usize, out: &mut Vec<T::Ref<'a>>) {
        let end = out.len() + n;
        for _ in 0..n.saturating_add(16) {
            if out.len() >= end || self.is_empty() {
                return;
            }
            let segment = self.entry(self.index(rng()));
            if segment.bucket_count() == 0 {
                continue;
            }
            let b = below(rng, segment.bucket_count());
            // SAFETY: the table is borrowed for 'a, `b` is a bucket number.
            let bucket: &'a Bucket = unsafe { segment.bucket(b) };
            let filled = bucket.filled();
            if filled.is_empty() {
                continue;
            }
            // From a random slot on, or the last ones would hardly ever come.
            let (tail, head) = filled.split_at(below(rng, filled.len()));
            let items = head.iter().chain(tail).filter_map(|slot| slot.item());
            // SAFETY: the items live while the table is borrowed.
            out.extend(items.take(end - out.len()).map(|item| unsafe { T::view(item) }));
        }
    }

    /// All items, in no order that means anything.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { at: Position::start(self), table: self }
    }

    /// Number of segments.
    pub fn segment_count(&self) -> usize {
        self.segments as usize
    }

    /// The segment that holds this place in hash order. A walk starts at 0 and goes on at `last() + 1` until `last()` is
    /// `u64::MAX`; segments may split and merge meanwhile. An empty table has one empty segment.
    pub fn segment_at(&self, hash: u64) -> SegmentView<'_, T> {
        let index = self.owner(hash);
        SegmentView { segment: self.entry(index), hash, table: PhantomData }
    }

    /// Marks the segment that holds this hash. The halves of a split inherit the mark, and only segments with the same mark
    /// merge. Nothing happens to an empty table.
    ///
    /// # Panics
    /// If the epoch is 2^26 or more.
    pub fn set_epoch(&self, hash: u64, epoch: u32) {
        if self.segments > 0 {
            let index = self.owner(hash);
            // SAFETY: a valid index into a directory of our own.
            unsafe { (*self.directory.as_ptr().add(index)).set_epoch(epoch) };
        }
    }
}

/// The first and the last hash of the segment that holds `hash`.
fn bounds(hash: u64, segment: Segment) -> (u64, u64) {
    let within = u64::MAX >> segment.depth();
    (hash & !within, hash | within)
}

/// A uniform number below `n`, which is not 0 (the bias is `n / 2^64`).
fn below(rng: &mut impl FnMut() -> u64, n: usize) -> usize {
    ((u128::from(rng()) * n as u128) >> 64) as usize
}

/// One segment of a table.
#[derive(Clone, Copy)]
pub struct SegmentView<'a, T: Item> {
    segment: Segment,
    hash: u64,
    table: PhantomData<&'a Table<T>>,
}

impl<'a, T: Item> SegmentView<'a, T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.segment.count.into()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The smallest hash that belongs here.
    pub fn first(&self) -> u64 {
        bounds(self.hash, self.segment).0
    }

    /// The largest hash that belongs here.
    pub fn last(&self) -> u64 {
        bounds(self.hash, self.segment).1
    }

    /// The mark, 0 at first.
    pub fn epoch(&self) -> u32 {
        self.segment.epoch()
    }

    /// Calls `f` with every item; those to come are prefetched.
    pub fn for_each_fetched(&self, mut f: impl FnMut(T::Ref<'a>)) {
        // SAFETY: the table is borrowed for 'a, so segment and items stay.
        unsafe { self.segment.each_fetched(|slot| slot.item().into_iter().for_each(|item| f(T::view(item)))) }
    }

    /// The items.
    pub fn iter(&self) -> impl Iterator<Item = T::Ref<'a>> + use<'a, T> {
        // SAFETY: the table is borrowed for 'a, so segment and items stay.
        unsafe { self.segment.slots().filter_map(|slot| slot.item().map(|item| T::view(item))) }
    }
}

/// A place among a table's items that moves on; shared by the borrowing and the owning iterator.
struct Position {
    index: usize,
    segment: Segment,
    bucket: usize,
    slot: usize,
    /// Items still to come.
    left: usize,
}

impl Position {
    fn start<T: Item>(table: &Table<T>) -> Position {
        Position { index: 0, segment: table.entry(0), bucket: 0, slot: 0, left: table.len }
    }

    /// The next filled slot of the table this was made of, which has not changed since.
    fn next<T: Item>(&mut self, table: &Table<T>) -> Option<Slot> {
        self.left = self.left.checked_sub(1)?;
        loop {
            while self.bucket < self.segment.bucket_count() {
                // SAFETY: a bucket number of a live segment; nothing is written while the table is borrowed.
                let bucket = unsafe { self.segment.bucket(self.bucket) };
                if let Some(&slot) = bucket.filled().get(self.slot) {
                    self.slot += 1;
                    return Some(slot);
                }
                (self.bucket, self.slot) = (self.bucket + 1, 0);
            }
            self.index += table.run(self.segment);
            self.segment = table.entry(self.index);
            self.bucket = 0;
        }
    }
}

/// Looks at every item of a table.
pub struct Iter<'a, T: Item> {
    at: Position,
    table: &'a Table<T>,
}

impl<'a, T: Item> Iterator for Iter<'a, T> {
    type Item = T::Ref<'a>;

    fn next(&mut self) -> Option<T::Ref<'a>> {
        let item = self.at.next(self.table)?.item()?;
        // SAFETY: the item lives while the table is borrowed.
        Some(unsafe { T::view(item) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.at.left, Some(self.at.left))
    }
}

impl<T: Item> ExactSizeIterator for Iter<'_, T> {}
impl<T: Item> FusedIterator for Iter<'_, T> {}

impl<'a, T: Item> IntoIterator for &'a Table<T> {
    type Item = T::Ref<'a>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// Gives away every item of a table; what is left is dropped with the iterator.
pub struct IntoIter<T: Item> {
    at: Position,
    /// Its memory is freed by our `drop`; items before `at` are no longer its.
    table: ManuallyDrop<Table<T>>,
}

// SAFETY: as the table; `at` points only into it.
unsafe impl<T: Item + Send> Send for IntoIter<T> {}

impl<T: Item> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let item = self.at.next(&self.table)?.item()?;
        // SAFETY: the table owned it, and no slot is visited twice.
        Some(unsafe { T::from_raw(item) })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.at.left, Some(self.at.left))
    }
}

impl<T: Item> ExactSizeIterator for IntoIter<T> {}
impl<T: Item> FusedIterator for IntoIter<T> {}

impl<T: Item> Drop for IntoIter<T> {
    fn drop(&mut self) {
        self.by_ref().for_each(drop);
        self.table.free_memory();
    }
}

impl<T: Item> IntoIterator for Table<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        self.finish_capture();
        IntoIter { at: Position::start(&self), table: ManuallyDrop::new(self) }
    }
}
