//! The hash table of the keyspace, of big hashes, sets and sorted sets: extendible hashing in which one segment at a time
//! grows, splits, shrinks or merges, so that no operation pays for the whole table. Knows neither what an item is beyond its
//! key, nor time, nor commands.
//!
//! ```text
//! hash (64 bits):  [directory index: the top bits][ ... ][three near bits, see below][ ... ][tag: the low 16 bits]
//!
//! directory         2^bits entries of 16 bytes; a segment of depth d owns the 2^(bits-d) entries that share d top bits
//!   entry           -> buckets, how many, items, depth, epoch        (segment.rs)
//!   bucket          64 bytes: eight slots of tag, item address and near bits (bucket.rs)
//!   item            one allocation, owned by the table; the key lies in it
//! ```
//!
//! A look-up reads one directory entry, one bucket (1.1 on average) and the item: the three stages of the prefetch calls.
//! Growing or shrinking a segment needs only the tags. A split needs one hash bit per item: three of them are kept in the
//! unused low bits of the address, so just every third split of a segment reads its keys again (source of the scheme:
//! Fagin et al., "Extendible hashing", 1979; segments as in Dash, VLDB 2020; tags and near bits are ours).
//!
//! Table order is (hash prefix, tag); it survives growth and shrinking, which is what `scan` rests on.

mod bucket;
mod capture;
mod check;
mod directory;
mod segment;
#[cfg(test)]
mod tests;
mod walk;

use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::{self, ManuallyDrop};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use bucket::{Bucket, Slot, same_bytes};
use segment::Segment;

use super::prefetch::prefetch_read;
use crate::base::hash::Hasher;
pub use capture::Taker;
pub use walk::{IntoIter, Iter, SegmentView};

/// What a table can hold: an owned thin pointer to one allocation in which the key lies.
///
/// # Safety
/// `into_raw` and `from_raw` are inverse; the address is a multiple of 8 below 2^48 and stays valid until `from_raw`; `key`
/// depends on nothing but the allocation and never changes while a table holds the item.
pub unsafe trait Item: Sized {
    /// A shared look at an item, whose getters return data that lives for `'a`.
    type Ref<'a>: Copy
    where
        Self: 'a;

    /// Gives the allocation away.
    fn into_raw(self) -> NonNull<u8>;

    /// Takes the allocation back.
    ///
    /// # Safety
    /// `p` is from `into_raw` and this is the only item made of it.
    unsafe fn from_raw(p: NonNull<u8>) -> Self;

    /// Looks at the item.
    ///
    /// # Safety
    /// `p` is from `into_raw`; the item is neither dropped nor changed during `'a`.
    unsafe fn view<'a>(p: NonNull<u8>) -> Self::Ref<'a>
    where
        Self: 'a;

    /// The item's key.
    ///
    /// # Safety
    /// As `view`.
    unsafe fn key<'a>(p: NonNull<u8>) -> &'a [u8];
}

/// A hash table that owns its items; 56 bytes, and no allocation before the first insert.
///
/// Callers pass the hash beside the key: it must be `hasher().hash(key)`.
pub struct Table<T: Item> {
    /// 2^`bits` entries; a shared static one while `segments` is 0.
    directory: NonNull<Segment>,
    hasher: Hasher,
    len: usize,
    /// Bytes of all buckets.
    bucket_bytes: usize,
    segments: u32,
    /// Segments whose depth is `bits`; without any, the directory can halve.
    deepest: u32,
    /// No segment has more buckets than this.
    widest: u16,
    /// Buckets that a segment without any gets; 0: one, and more as they are needed.
    first_size: u16,
    bits: u8,
    owns: PhantomData<T>,
    /// Who gets the items as they were at a moment past.
    capture: Cell<Option<Box<capture::Capture<T>>>>,
}

// SAFETY: the table owns its memory and its items; nothing in it is bound to a thread if the items are not.
unsafe impl<T: Item + Send> Send for Table<T> {}

/// Sizes of a table, for DEBUG HTSTATS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// Items.
    pub count: usize,
    /// Places for items.
    pub slots: usize,
    /// Segments.
    pub segments: usize,
    /// Entries of the directory.
    pub directory_len: usize,
}

impl<T: Item> Table<T> {
    /// An empty table.
    pub fn new(hasher: Hasher) -> Self {
        Table {
            directory: directory::unallocated(),
            hasher,
            len: 0,
            bucket_bytes: 0,
            segments: 0,
            deepest: 0,
            widest: 0,
            first_size: 0,
            bits: 0,
            owns: PhantomData,
            capture: Cell::new(None),
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash function of the keys.
    pub fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// Bytes of directory and buckets, without items and `Self`; counted, not measured.
    pub fn table_bytes(&self) -> usize {
        let directory = if self.segments > 0 { self.directory_len() * size_of::<Segment>() } else { 0 };
        self.bucket_bytes + directory
    }

    /// Sizes, in O(1).
    pub fn stats(&self) -> TableStats {
        TableStats {
            count: self.len,
            slots: self.bucket_bytes / size_of::<Slot>(),
            segments: self.segments as usize,
            directory_len: if self.segments > 0 { self.directory_len() } else { 0 },
        }
    }

    /// The item with this key.
    #[inline]
    pub fn get(&self, hash: u64, key: &[u8]) -> Option<T::Ref<'_>> {
        let slot = self.locate(hash, |p| Self::has_key(p, key))?;
        // SAFETY: a filled slot's item lives as long as the table is borrowed.
        unsafe { slot.as_ref().item().map(|p| T::view(p)) }
    }

    /// The item with this key, to be changed or removed.
    #[inline]
    pub fn find(&mut self, hash: u64, key: &[u8]) -> Option<Occupied<'_, T>> {
        self.preserve(hash);
        let slot = self.locate(hash, |p| Self::has_key(p, key))?;
        Some(Occupied { table: self, slot, hash })
    }

    /// As `find`; the table itself where there is no such item, to add it.
    #[inline]
    pub fn look_up(&mut self, hash: u64, key: &[u8]) -> Result<Occupied<'_, T>, &mut Self> {
        self.preserve(hash);
        match self.locate(hash, |p| Self::has_key(p, key)) {
            Some(slot) => Ok(Occupied { table: self, slot, hash }),
            None => Err(self),
        }
    }

    /// The first item that is accepted, among those that may have this hash: where only the hash was kept.
    pub fn find_by_hash(&mut self, hash: u64, mut accept: impl FnMut(T::Ref<'_>) -> bool) -> Option<Occupied<'_, T>> {
        self.preserve(hash);
        // SAFETY: the item lives; the view ends with the call.
        let slot = self.locate(hash, |p| accept(unsafe { T::view(p) }))?;
        Some(Occupied { table: self, slot, hash })
    }

    /// Adds an item; the caller knows that its key is absent. At worst one segment splits: some 800 items are moved.
    #[inline]
    pub fn insert_new(&mut self, hash: u64, item: T) -> Occupied<'_, T> {
        self.preserve(hash);
        let mut index = self.owner(hash);
        while self.entry(index).is_full() {
            self.make_room(hash);
            index = self.owner(hash);
        }
        let p = item.into_raw();
        // SAFETY: just given to us.
        debug_assert_eq!(hash, self.hasher.hash(unsafe { T::key(p) }));
        // SAFETY: `index` is below the directory's length, which is allocated since a segment with room exists.
        let segment = unsafe { &mut *self.directory.as_ptr().add(index) };
        let slot = Slot::new(p, hash as u16, near_bits(hash, segment.depth()));
        segment.count += 1;
        self.len += 1;
        // SAFETY: the segment is live, not full, and borrowed by us alone.
        let slot = unsafe { segment.place(slot) };
        Occupied { table: self, slot, hash }
    }

    /// What is about to change is handed over first, if somebody wants it as it is.
    #[inline(always)]
    fn preserve(&mut self, hash: u64) {
        if self.capture.get_mut().is_some() {
            self.before_change(hash);
        }
    }

    /// Takes the item with this key out.
    #[inline]
    pub fn remove(&mut self, hash: u64, key: &[u8]) -> Option<T> {
        Some(self.find(hash, key)?.remove())
    }

    /// First of three stages in which a batch of look-ups hides its cache misses: the directory entry.
    #[inline(always)]
    pub fn prefetch_segment(&self, hash: u64) {
        // SAFETY: the index is below the directory's length.
        prefetch_read(unsafe { self.directory.as_ptr().add(self.index(hash)) });
    }

    /// Second stage: reads the directory entry, prefetches the home bucket.
    #[inline(always)]
    pub fn prefetch_bucket(&self, hash: u64) {
        let segment = self.entry(self.index(hash));
        // SAFETY: a home is a bucket number.
        prefetch_read(unsafe { segment.bucket_ptr(segment.home(hash as u16)) });
    }

    /// Third stage: reads the home bucket, prefetches the items whose tag matches. False if there are none and the item may
    /// be in the next bucket, which is prefetched then: `prefetch_overflow` goes on from there.
    #[inline(always)]
    pub fn prefetch_item(&self, hash: u64) -> bool {
        let segment = self.entry(self.index(hash));
        let home = segment.home(hash as u16);
        // SAFETY: a home is a bucket number; the table is borrowed, so nothing changes.
        let bucket = unsafe { segment.bucket(home) };
        let found = Self::prefetch_tagged(bucket, hash);
        if !found && bucket.is_full() {
            // SAFETY: a bucket number.
            prefetch_read(unsafe { segment.bucket_ptr(segment.after(home)) });
            return false;
        }
        true
    }

    /// Fourth stage, where the third says so: reads the bucket after the home, prefetches the items whose tag matches.
    #[cold]
    pub fn prefetch_overflow(&self, hash: u64) {
        let segment = self.entry(self.index(hash));
        let next = segment.after(segment.home(hash as u16));
        // SAFETY: a bucket number; the table is borrowed, so nothing changes.
        Self::prefetch_tagged(unsafe { segment.bucket(next) }, hash);
    }

    /// Prefetches the items of a bucket whose tag matches; whether there are any.
    #[inline(always)]
    fn prefetch_tagged(bucket: &bucket::Bucket, hash: u64) -> bool {
        let mut mask = bucket.tag_mask(hash as u16);
        let found = mask != 0;
        while mask != 0 {
            let i = mask.trailing_zeros() as usize;
            prefetch_read(bucket.slots[i & (bucket::SLOTS - 1)].address());
            mask &= mask - 1;
        }
        found
    }

    /// The first item in the home bucket whose tag matches, its key unread: a guess for prefetching what it leads to.
    #[inline]
    pub fn glance(&self, hash: u64) -> Option<T::Ref<'_>> {
        let segment = self.entry(self.index(hash));
        // SAFETY: a home is a bucket number; the table is borrowed, so nothing changes.
        let bucket = unsafe { segment.bucket(segment.home(hash as u16)) };
        let mask = bucket.tag_mask(hash as u16);
        if mask == 0 {
            return None;
        }
        let slot = bucket.slots[mask.trailing_zeros() as usize & (bucket::SLOTS - 1)];
        // SAFETY: a filled slot's item lives while the table is borrowed.
        slot.item().map(|item| unsafe { T::view(item) })
    }

    /// Drops all items and releases all memory.
    pub fn clear(&mut self) {
        *self = Table::new(self.hasher);
    }

    /// Takes everything out; the table is empty at once, whatever becomes of the iterator.
    pub fn drain(&mut self) -> IntoIter<T> {
        let empty = Table::new(self.hasher);
        mem::replace(self, empty).into_iter()
    }

    #[inline(always)]
    fn has_key(p: NonNull<u8>, key: &[u8]) -> bool {
        // SAFETY: called with items of this table, which live while it is borrowed.
        same_bytes(unsafe { T::key(p) }, key)
    }

    #[inline(always)]
    fn locate(&self, hash: u64, accept: impl FnMut(NonNull<u8>) -> bool) -> Option<NonNull<Slot>> {
        // SAFETY: segments in the directory are live, and `accept` has no way to change the table.
        unsafe { self.entry(self.index(hash)).search(hash as u16, accept) }
    }
}

/// The three hash bits that slots of a segment of this depth keep: those of the group of three in which bit `depth` lies
/// (bit 0 being the highest), so that two of three splits find their bit in the slot.
#[inline(always)]
fn near_bits(hash: u64, depth: u32) -> u64 {
    hash << (depth / 3 * 3) >> 61
}

/// An item in a table, found or just added.
pub struct Occupied<'a, T: Item> {
    table: &'a mut Table<T>,
    slot: NonNull<Slot>,
    hash: u64,
}

impl<'a, T: Item> Occupied<'a, T> {
    #[inline(always)]
    fn item(&self) -> NonNull<u8> {
        // SAFETY: the slot lies in the table, which is borrowed and unchanged since it was found.
        unsafe { self.slot.as_ref() }.item().expect("an occupied slot is filled")
    }

    /// Looks at the item.
    #[inline]
    pub fn get(&self) -> T::Ref<'_> {
        // SAFETY: the table, and with it the item, is borrowed by `self`.
        unsafe { T::view(self.item()) }
    }

    /// The item, to be changed in place; its key must stay as it is.
    #[inline]
    pub fn get_mut(&mut self) -> ItemMut<'_, T> {
        let p = self.item();
        ItemMut {
            // SAFETY: the slot owns the item; `ItemMut` holds the table until it puts the address back.
            item: ManuallyDrop::new(unsafe { T::from_raw(p) }),
            // SAFETY: as in `item`; mutably borrowed by `self`.
            slot: unsafe { self.slot.as_mut() },
        }
    }

    /// The look that lives as long as the table's borrow.
    #[inline]
    pub fn into_ref(self) -> T::Ref<'a> {
        // SAFETY: the table stays borrowed for 'a.
        unsafe { T::view(self.item()) }
    }

    /// Takes the item out; the table may shrink by one segment's work.
    #[inline]
    pub fn remove(self) -> T {
        self.table.take(self.hash, self.slot)
    }

    /// As `remove`; the table, too, to go on with.
    pub fn remove_from(self) -> (T, &'a mut Table<T>) {
        (self.table.take(self.hash, self.slot), self.table)
    }

    /// The hash it was found by.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

/// An item on loan from its slot; if it moves, its new address is put back at the end.
pub struct ItemMut<'a, T: Item> {
    slot: &'a mut Slot,
    item: ManuallyDrop<T>,
}

impl<T: Item> Deref for ItemMut<'_, T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.item
    }
}

impl<T: Item> DerefMut for ItemMut<'_, T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.item
    }
}

impl<T: Item> Drop for ItemMut<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the item is not used after this.
        let p = unsafe { ManuallyDrop::take(&mut self.item) }.into_raw();
        // A change in place must not dirty the bucket's line.
        if self.slot.address() != p.as_ptr() {
            *self.slot = self.slot.with_item(p);
        }
    }
}

const _: () =
    assert!(size_of::<Bucket>() == 64 && size_of::<Segment>() == 16 && size_of::<Table<super::record::Member>>() == 56);
