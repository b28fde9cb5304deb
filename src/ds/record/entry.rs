//! A key with its value: one allocation. Knows no type of value; the kind is a number to it.
//!
//! ```text
//! narrow:  [tag u8][lru u24][key_len u8 ][value_len u8 ][deadline i64, if dated][key][value]        both lengths <= 255
//! wide:    [tag u8][lru u24][key_len u32][value_len u32][deadline i64, if dated][key][value]
//! tag:     bits 4..0 kind, 5 dated, 6 wide, 7 marked                        numbers are little-endian, not aligned
//! value:   bytes; or, if bit 4 of the kind (BOXED) is set, 8 bytes: the address of a Box<B> that the record owns
//! ```
//! A 16-byte key with a 10-byte value takes 32 bytes. Invariant: wide exactly if a length exceeds 255; the allocation is
//! the size class of the whole length.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Blob, block};
use crate::ds::prefetch::prefetch_read;
use crate::ds::table::Item;
use crate::sys::alloc::size_class;

/// The bit of a kind that says: the value is a `Box<B>`.
pub const BOXED: u8 = 0x10;
/// Kinds are below this.
pub const KIND_LIMIT: u8 = 0x20;
/// Access clocks are below this.
pub const LRU_LIMIT: u32 = 1 << 24;

const KIND: u8 = KIND_LIMIT - 1;
const DATED: u8 = 0x20;
const WIDE: u8 = 0x40;
const MARKED: u8 = 0x80;

const NARROW_HEAD: usize = 6;
const WIDE_HEAD: usize = 12;
const DEADLINE: usize = 8;
const POINTER: usize = 8;

/// Where the parts of a record lie.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    wide: bool,
    dated: bool,
    key_len: usize,
    value_len: usize,
}

impl Shape {
    #[inline(always)]
    fn of(key_len: usize, value_len: usize, dated: bool) -> Shape {
        assert!(key_len.max(value_len) <= u32::MAX as usize, "keys and values stay below 4 GiB");
        Shape { wide: key_len.max(value_len) > 255, dated, key_len, value_len }
    }

    /// # Safety
    /// `p` is a live record.
    #[inline(always)]
    unsafe fn read(p: *const u8) -> Shape {
        // SAFETY: a record has a tag, a narrow head, and a wide one if the tag says so.
        unsafe {
            let tag = *p;
            let wide = tag & WIDE != 0;
            let (key_len, value_len) = if wide {
                let len = |at| u32::from_le_bytes(p.add(at).cast::<[u8; 4]>().read()) as usize;
                (len(4), len(8))
            } else {
                (usize::from(*p.add(4)), usize::from(*p.add(5)))
            };
            Shape { wide, dated: tag & DATED != 0, key_len, value_len }
        }
    }

    /// Writes the lengths.
    ///
    /// # Safety
    /// `p` has room for a head of this width.
    #[inline(always)]
    unsafe fn write_lens(self, p: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.wide {
                p.add(4).cast::<[u8; 4]>().write((self.key_len as u32).to_le_bytes());
                p.add(8).cast::<[u8; 4]>().write((self.value_len as u32).to_le_bytes());
            } else {
                p.add(4).write(self.key_len as u8);
                p.add(5).write(self.value_len as u8);
            }
        }
    }

    #[inline(always)]
    fn flags(self) -> u8 {
        (if self.wide { WIDE } else { 0 }) | (if self.dated { DATED } else { 0 })
    }

    #[inline(always)]
    fn deadline_at(self) -> usize {
        if self.wide { WIDE_HEAD } else { NARROW_HEAD }
    }

    #[inline(always)]
    fn key_at(self) -> usize {
        self.deadline_at() + if self.dated { DEADLINE } else { 0 }
    }

    #[inline(always)]
    fn value_at(self) -> usize {
        self.key_at() + self.key_len
    }

    #[inline(always)]
    fn len(self) -> usize {
        self.value_at() + self.value_len
    }

    /// Whether the parts in front of the value stay where they are, and the allocation too.
    #[inline(always)]
    fn fits_in(self, old: Shape) -> bool {
        (self.wide, self.dated, self.key_len) == (old.wide, old.dated, old.key_len)
            && size_class(self.len()) == size_class(old.len())
    }
}

/// A key with its value: owned bytes, or a box of `B`.
#[repr(transparent)]
pub struct Record<B> {
    p: NonNull<u8>,
    owns: PhantomData<Box<B>>,
}

// SAFETY: the record owns its allocation and its box. Not `Sync`: `touch` writes through a shared look.
unsafe impl<B: Send> Send for Record<B> {}

impl<B> Record<B> {
    /// A record whose value is bytes. `lru` is cut to 24 bits; `deadline` is a point in time, in the caller's unit.
    ///
    /// # Panics
    /// If `kind` has the bit `BOXED` or more than five bits.
    #[inline]
    pub fn new(key: &[u8], kind: u8, value: &[u8], lru: u32, deadline: Option<i64>) -> Self {
        assert!(kind < BOXED, "a kind of bytes has four bits");
        Self::build(word(kind, lru), deadline, key, value)
    }

    /// A record whose value is a box.
    ///
    /// # Panics
    /// If `kind` has not the bit `BOXED`, or more than five bits.
    pub fn new_big(key: &[u8], kind: u8, big: Box<B>, lru: u32, deadline: Option<i64>) -> Self {
        assert!(kind & !KIND == 0 && kind & BOXED != 0, "a kind of boxes has bit 4 set");
        Self::build(word(kind, lru), deadline, key, &address_of(big))
    }

    /// Allocates and writes a record; `word` is its first four bytes without the shape's flags.
    #[inline]
    fn build(word: u32, deadline: Option<i64>, key: &[u8], value: &[u8]) -> Self {
        let shape = Shape::of(key.len(), value.len(), deadline.is_some());
        let p = block::allocate(shape.len());
        // SAFETY: the block has room for all parts at their places.
        unsafe {
            write_front(p.as_ptr(), word, shape, deadline, key);
            block::put(p.as_ptr().add(shape.value_at()), value);
        }
        Record { p, owns: PhantomData }
    }

    /// Brings its beginning into the cache.
    #[inline(always)]
    pub fn prefetch(&self) {
        prefetch_read(self.p.as_ptr());
    }

    /// A shared look.
    #[inline(always)]
    pub fn view(&self) -> RecordRef<'_, B> {
        RecordRef { p: self.p, borrows: PhantomData }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.view().key()
    }

    /// The kind.
    pub fn kind(&self) -> u8 {
        self.view().kind()
    }

    /// The value's bytes; empty if it is a box.
    pub fn value(&self) -> &[u8] {
        self.view().value()
    }

    /// The value's box.
    #[inline]
    pub fn big(&self) -> Option<&B> {
        self.view().big()
    }

    /// The deadline.
    pub fn deadline(&self) -> Option<i64> {
        self.view().deadline()
    }

    /// The access clock.
    pub fn lru(&self) -> u32 {
        self.view().lru()
    }

    /// Whether `set_mark(true)` was the last said.
    pub fn is_marked(&self) -> bool {
        self.view().is_marked()
    }

    /// Bytes of the allocation, without what a box owns.
    pub fn alloc_bytes(&self) -> usize {
        self.view().alloc_bytes()
    }

    #[inline(always)]
    fn shape(&self) -> Shape {
        // SAFETY: live as long as `self`.
        unsafe { Shape::read(self.p.as_ptr()) }
    }

    fn tag(&self) -> u8 {
        // SAFETY: the first byte of a live record.
        unsafe { *self.p.as_ptr() }
    }

    fn set_tag(&mut self, tag: u8) {
        // SAFETY: as `tag`; ours to write.
        unsafe { *self.p.as_ptr() = tag }
    }

    /// Sets the access clock, 24 bits of it: one store.
    #[inline(always)]
    pub fn set_lru(&mut self, lru: u32) {
        self.view().touch(lru);
    }

    /// Marks the record; what the mark says is the owner's matter.
    pub fn set_mark(&mut self, marked: bool) {
        self.view().set_mark(marked);
    }

    /// Changes the kind.
    ///
    /// # Panics
    /// If it would turn bytes into a box or a box into bytes, or has more than five bits.
    pub fn set_kind(&mut self, kind: u8) {
        let tag = self.tag();
        assert!(kind & !KIND == 0 && (kind ^ tag) & BOXED == 0, "bytes stay bytes, a box stays a box");
        self.set_tag(tag & !KIND | kind);
    }

    /// Sets, changes or removes the deadline.
    pub fn set_deadline(&mut self, deadline: Option<i64>) {
        let old = self.shape();
        let new = Shape { dated: deadline.is_some(), ..old };
        let p = self.p.as_ptr();
        if size_class(old.len()) != size_class(new.len()) {
            // SAFETY: live until `replace` has copied them.
            let (key, value) = unsafe { (self.raw_key(old), self.raw_value(old)) };
            return self.replace(deadline, key, value);
        }
        // SAFETY: key and value lie in the block before and after; the tag and the deadline's place are ours.
        unsafe {
            p.add(old.key_at()).copy_to(p.add(new.key_at()), old.key_len + old.value_len);
            *p = *p & !DATED | new.flags();
            if let Some(deadline) = deadline {
                p.add(new.deadline_at()).cast::<[u8; 8]>().write(deadline.to_le_bytes());
            }
        }
    }

    /// Replaces kind and value; in place if the allocation stays the same. A box is dropped.
    ///
    /// # Panics
    /// If `kind` has the bit `BOXED` or more than five bits.
    #[inline]
    pub fn set_value(&mut self, kind: u8, value: &[u8]) {
        assert!(kind < BOXED, "a kind of bytes has four bits");
        let big = self.detach_big();
        self.write_value(kind, value);
        drop(big);
    }

    /// Replaces kind and value by a box; another box is dropped.
    ///
    /// # Panics
    /// If `kind` has not the bit `BOXED`, or more than five bits.
    pub fn set_big(&mut self, kind: u8, big: Box<B>) {
        assert!(kind & !KIND == 0 && kind & BOXED != 0, "a kind of boxes has bit 4 set");
        let old = self.detach_big();
        self.write_value(kind, &address_of(big));
        drop(old);
    }

    /// The box, to be changed.
    #[inline]
    pub fn big_mut(&mut self) -> Option<&mut B> {
        let p = self.view().big_ptr()?;
        // SAFETY: a boxed record owns what it points to.
        Some(unsafe { &mut *p.as_ptr() })
    }

    /// Takes the box; the value is empty then, its kind what it was without `BOXED`.
    pub fn take_big(&mut self) -> Option<Box<B>> {
        let big = self.detach_big()?;
        self.write_value(self.kind(), &[]);
        Some(big)
    }

    /// Takes the box and leaves eight bytes without meaning as the value.
    fn detach_big(&mut self) -> Option<Box<B>> {
        let p = self.view().big_ptr()?;
        self.set_tag(self.tag() & !BOXED);
        // SAFETY: the address came from `Box::into_raw`, and the record is no longer boxed.
        Some(unsafe { Box::from_raw(p.as_ptr()) })
    }

    /// Writes kind and value area of a record that has no box (any more).
    #[inline]
    fn write_value(&mut self, kind: u8, value: &[u8]) {
        let old = self.shape();
        let new = Shape::of(old.key_len, value.len(), old.dated);
        if new.fits_in(old) {
            let p = self.p.as_ptr();
            // SAFETY: the block has the same class with the new value, and the value's place is the same.
            unsafe {
                new.write_lens(p);
                block::put(p.add(new.value_at()), value);
            }
        } else {
            // SAFETY: live until `replace` has copied it.
            let key = unsafe { self.raw_key(old) };
            self.replace(self.deadline(), key, value);
        }
        self.set_tag(self.tag() & !KIND | kind);
    }

    /// Moves into a new block with this deadline, key and value (kind, clock and mark stay). A box's address goes over if
    /// it is in `value`.
    fn replace(&mut self, deadline: Option<i64>, key: &[u8], value: &[u8]) {
        let old = self.shape();
        let new = Self::build(self.view().word() & !u32::from(WIDE | DATED), deadline, key, value);
        // SAFETY: our block, of this length, not used again.
        unsafe { block::free(self.p, old.len()) };
        self.p = new.p;
        std::mem::forget(new);
    }

    /// The key, not bound to `self`.
    ///
    /// # Safety
    /// The block is not changed or freed during `'a`.
    unsafe fn raw_key<'a>(&self, shape: Shape) -> &'a [u8] {
        // SAFETY: `shape` is ours; the caller promises the rest.
        unsafe { block::slice(self.p.as_ptr().add(shape.key_at()), shape.key_len) }
    }

    /// The value area, address of a box included, not bound to `self`.
    ///
    /// # Safety
    /// As `raw_key`.
    unsafe fn raw_value<'a>(&self, shape: Shape) -> &'a [u8] {
        // SAFETY: as `raw_key`.
        unsafe { block::slice(self.p.as_ptr().add(shape.value_at()), shape.value_len) }
    }

    /// The value's bytes, to be changed in place; empty if it is a box.
    #[inline]
    pub fn value_mut(&mut self) -> &mut [u8] {
        let shape = self.shape();
        let len = if self.tag() & BOXED == 0 { shape.value_len } else { 0 };
        // SAFETY: the value lies in our block, which is borrowed as `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.p.as_ptr().add(shape.value_at()), len) }
    }

    /// Replaces the `remove_len` bytes of the value from `at` on by `insert`.
    ///
    /// # Panics
    /// If the value is a box or the range goes beyond its end.
    pub fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]) {
        let gap = self.open_gap(at, remove_len, insert.len());
        // SAFETY: the gap has exactly this length.
        unsafe { block::put(gap, insert) };
    }

    /// Appends `n` zero bytes to the value.
    ///
    /// # Panics
    /// If the value is a box.
    pub fn grow_value(&mut self, n: usize) {
        let gap = self.open_gap(self.value().len(), 0, n);
        // SAFETY: the gap has exactly this length.
        unsafe { gap.write_bytes(0, n) };
    }

    /// Makes the `remove_len` bytes at `at` of the value `insert_len` long; gives their address. The caller fills them.
    fn open_gap(&mut self, at: usize, remove_len: usize, insert_len: usize) -> *mut u8 {
        assert!(self.tag() & BOXED == 0, "a box has no bytes");
        let old = self.shape();
        assert!(at <= old.value_len && remove_len <= old.value_len - at, "a splice lies within the value");
        let new = Shape::of(old.key_len, old.value_len - remove_len + insert_len, old.dated);
        let (tail_at, tail_len) = (at + remove_len, old.value_len - at - remove_len);
        if new.wide != old.wide {
            return self.move_with_gap(at, tail_at, new);
        }
        if new.len() > old.len() {
            // SAFETY: our block and its length.
            self.p = unsafe { block::resize(self.p, old.len(), new.len()) };
        }
        // SAFETY: the block has room for the longer of both shapes, and they agree up to the value.
        unsafe {
            let value = self.p.as_ptr().add(new.value_at());
            value.add(tail_at).copy_to(value.add(at + insert_len), tail_len);
            new.write_lens(self.p.as_ptr());
        }
        if new.len() < old.len() {
            // SAFETY: our block; what the new length needs is in front.
            self.p = unsafe { block::resize(self.p, old.len(), new.len()) };
        }
        // SAFETY: within the value's place.
        unsafe { self.p.as_ptr().add(new.value_at() + at) }
    }

    /// Moves into a new block of another width, the value's first `at` bytes and those from `tail_at` on with it.
    fn move_with_gap(&mut self, at: usize, tail_at: usize, new: Shape) -> *mut u8 {
        let old = self.shape();
        let p = block::allocate(new.len());
        let word = self.view().word() & !u32::from(WIDE | DATED);
        // SAFETY: both blocks are ours and have their parts where their shapes say.
        unsafe {
            write_front(p.as_ptr(), word, new, self.deadline(), self.raw_key(old));
            let (head, tail) = (&self.raw_value(old)[..at], &self.raw_value(old)[tail_at..]);
            let gap = block::put(p.as_ptr().add(new.value_at()), head);
            block::put(p.as_ptr().add(new.len() - tail.len()), tail);
            block::free(self.p, old.len());
            self.p = p;
            gap
        }
    }

    /// Gives the record another key. Never while a table holds it.
    pub fn rename(&mut self, key: &[u8]) {
        // SAFETY: live until `replace` has copied it.
        let value = unsafe { self.raw_value(self.shape()) };
        self.replace(self.deadline(), key, value);
    }

    /// A copy under another key, not marked.
    pub fn clone_with_key(&self, key: &[u8]) -> Self
    where
        B: Clone,
    {
        match self.big() {
            Some(big) => Self::new_big(key, self.kind(), Box::new(big.clone()), self.lru(), self.deadline()),
            None => Self::new(key, self.kind(), self.value(), self.lru(), self.deadline()),
        }
    }
}

impl<B> Drop for Record<B> {
    #[inline]
    fn drop(&mut self) {
        let big = self.detach_big();
        // SAFETY: our block, of this length, not used again.
        unsafe { block::free(self.p, self.shape().len()) };
        drop(big);
    }
}

impl<B> Blob for Record<B> {
    #[inline]
    fn bytes(&self) -> &[u8] {
        self.value()
    }

    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        self.value_mut()
    }

    fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]) {
        Record::splice(self, at, remove_len, insert);
    }
}

// SAFETY: one allocation, whose address is a multiple of 8; the key changes only by `rename`.
unsafe impl<B> Item for Record<B> {
    type Ref<'a>
        = RecordRef<'a, B>
    where
        B: 'a;

    #[inline(always)]
    fn into_raw(self) -> NonNull<u8> {
        let p = self.p;
        std::mem::forget(self);
        p
    }

    #[inline(always)]
    unsafe fn from_raw(p: NonNull<u8>) -> Self {
        Record { p, owns: PhantomData }
    }

    #[inline(always)]
    unsafe fn view<'a>(p: NonNull<u8>) -> RecordRef<'a, B>
    where
        B: 'a,
    {
        RecordRef { p, borrows: PhantomData }
    }

    #[inline(always)]
    unsafe fn key<'a>(p: NonNull<u8>) -> &'a [u8] {
        // SAFETY: a live record, unchanged during 'a, says the caller.
        unsafe {
            let shape = Shape::read(p.as_ptr());
            block::slice(p.as_ptr().add(shape.key_at()), shape.key_len)
        }
    }
}

/// A shared look at a record.
pub struct RecordRef<'a, B> {
    p: NonNull<u8>,
    borrows: PhantomData<&'a B>,
}

impl<B> Clone for RecordRef<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B> Copy for RecordRef<'_, B> {}

impl<'a, B> RecordRef<'a, B> {
    #[inline(always)]
    fn shape(self) -> Shape {
        // SAFETY: live during 'a.
        unsafe { Shape::read(self.p.as_ptr()) }
    }

    /// Tag and clock: the first four bytes, read at once.
    #[inline(always)]
    fn word(self) -> u32 {
        // SAFETY: a record begins with four bytes at a multiple of 8.
        u32::from_le(unsafe { self.p.cast::<u32>().read() })
    }

    /// The key.
    #[inline(always)]
    pub fn key(self) -> &'a [u8] {
        // SAFETY: live and unchanged during 'a.
        unsafe { <Record<B> as Item>::key(self.p) }
    }

    /// The kind.
    #[inline(always)]
    pub fn kind(self) -> u8 {
        self.word() as u8 & KIND
    }

    /// The value's bytes; empty if it is a box.
    #[inline(always)]
    pub fn value(self) -> &'a [u8] {
        let shape = self.shape();
        let len = if self.kind() & BOXED == 0 { shape.value_len } else { 0 };
        // SAFETY: live and unchanged during 'a.
        unsafe { block::slice(self.p.as_ptr().add(shape.value_at()), len) }
    }

    /// The value's box.
    #[inline]
    pub fn big(self) -> Option<&'a B> {
        // SAFETY: the record owns what it points to, and is unchanged during 'a.
        self.big_ptr().map(|p| unsafe { &*p.as_ptr() })
    }

    #[inline]
    fn big_ptr(self) -> Option<NonNull<B>> {
        if self.kind() & BOXED == 0 {
            return None;
        }
        // SAFETY: a boxed record's value is the eight bytes of an address.
        let bytes = unsafe { self.p.as_ptr().add(self.shape().value_at()).cast::<[u8; POINTER]>().read() };
        NonNull::new(ptr::with_exposed_provenance_mut(u64::from_le_bytes(bytes) as usize))
    }

    /// The deadline.
    #[inline(always)]
    pub fn deadline(self) -> Option<i64> {
        let tag = self.word() as u8;
        if tag & DATED == 0 {
            return None;
        }
        let at = if tag & WIDE != 0 { WIDE_HEAD } else { NARROW_HEAD };
        // SAFETY: a dated record has eight bytes there.
        Some(i64::from_le_bytes(unsafe { self.p.as_ptr().add(at).cast::<[u8; 8]>().read() }))
    }

    /// The access clock.
    #[inline(always)]
    pub fn lru(self) -> u32 {
        self.word() >> 8
    }

    /// Sets the access clock, 24 bits of it: one store, for reads that need nothing else changed.
    #[inline(always)]
    pub fn touch(self, lru: u32) {
        let word = u32::from(self.word() as u8) | lru << 8;
        // SAFETY: aligned and live. A record is not `Sync`, so only this thread looks at it, and no getter lends these bytes.
        unsafe { AtomicU32::from_ptr(self.p.as_ptr().cast()).store(word.to_le(), Ordering::Relaxed) }
    }

    /// Marks the record, or takes the mark away: one store, for those who only look at it.
    #[inline(always)]
    pub fn set_mark(self, marked: bool) {
        let tag = self.word() as u8 & !MARKED | if marked { MARKED } else { 0 };
        // SAFETY: as `touch`; nobody else writes between the read and the store, for a record is not `Sync`.
        unsafe {
            AtomicU32::from_ptr(self.p.as_ptr().cast())
                .store((self.lru() << 8 | u32::from(tag)).to_le(), Ordering::Relaxed)
        }
    }

    /// The record's bytes, if its value is no box: what a copy of it needs.
    pub(super) fn raw(self) -> Option<&'a [u8]> {
        let len = self.shape().len();
        // SAFETY: the block has its parts' length, live and unchanged during 'a.
        (self.kind() & BOXED == 0).then(|| unsafe { block::slice(self.p.as_ptr(), len) })
    }

    /// A look at a copy of a record's bytes.
    ///
    /// # Safety
    /// `p` is a multiple of 8, and behind it lie the bytes that `raw` gave, unchanged during 'a.
    pub(super) unsafe fn of_copy(p: NonNull<u8>) -> Self {
        RecordRef { p, borrows: PhantomData }
    }

    /// Whether the record is marked.
    pub fn is_marked(self) -> bool {
        self.word() as u8 & MARKED != 0
    }

    /// Bytes of the allocation, without what a box owns.
    pub fn alloc_bytes(self) -> usize {
        size_class(self.shape().len())
    }
}

fn word(kind: u8, lru: u32) -> u32 {
    u32::from(kind) | lru << 8
}

/// Writes all that comes in front of the value.
///
/// # Safety
/// `p` has room for `shape`, whose lengths and flags are those of `deadline` and `key`, which lies elsewhere.
#[inline(always)]
unsafe fn write_front(p: *mut u8, word: u32, shape: Shape, deadline: Option<i64>, key: &[u8]) {
    // SAFETY: the caller's promise; blocks begin at a multiple of 8.
    unsafe {
        p.cast::<u32>().write((word | u32::from(shape.flags())).to_le());
        shape.write_lens(p);
        if let Some(deadline) = deadline {
            p.add(shape.deadline_at()).cast::<[u8; 8]>().write(deadline.to_le_bytes());
        }
        block::put(p.add(shape.key_at()), key);
    }
}

fn address_of<B>(big: Box<B>) -> [u8; POINTER] {
    (Box::into_raw(big).expose_provenance() as u64).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// What a record should be.
    #[derive(Clone, Debug)]
    struct Model {
        key: Vec<u8>,
        kind: u8,
        value: Vec<u8>,
        big: Option<Rc<u64>>,
        lru: u32,
        deadline: Option<i64>,
        indexed: bool,
    }

    fn same(real: &Record<Rc<u64>>, model: &Model) {
        assert_eq!(real.key(), model.key);
        assert_eq!(real.kind(), model.kind);
        assert_eq!(real.value(), model.value);
        assert_eq!(real.big(), model.big.as_ref());
        assert_eq!((real.lru(), real.deadline(), real.is_marked()), (model.lru, model.deadline, model.indexed));
        let shape = real.shape();
        assert_eq!(shape.wide, shape.key_len.max(shape.value_len) > 255);
        // SAFETY: live.
        assert_eq!(real.alloc_bytes(), unsafe { crate::sys::alloc::usable_size(real.p.as_ptr()) });
    }

    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, below: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) as usize % below
        }

        fn bytes(&mut self) -> Vec<u8> {
            let scale = [12, 40, 300, 700][self.roll(4)];
            (0..self.roll(scale)).map(|_| self.roll(256) as u8).collect()
        }
    }

    fn step(dice: &mut Dice, real: &mut Record<Rc<u64>>, model: &mut Model, big: &Rc<u64>) {
        match dice.roll(12) {
            0 => (model.lru, _) = (dice.roll(1 << 24) as u32, real.set_lru(0)),
            1 => model.deadline = (dice.roll(3) > 0).then(|| dice.roll(1000) as i64 - 500),
            2 => model.indexed = !model.indexed,
            3 => model.key = dice.bytes(),
            4 | 5 => (model.kind, model.value, model.big) = (dice.roll(16) as u8, dice.bytes(), None),
            6 => (model.kind, model.value, model.big) = (BOXED | dice.roll(16) as u8, Vec::new(), Some(big.clone())),
            7 => {
                assert_eq!(real.take_big().map(|b| *b), model.big.take());
                model.kind &= !BOXED;
            }
            8 if model.big.is_none() => {
                let n = dice.roll(300);
                real.grow_value(n);
                model.value.resize(model.value.len() + n, 0);
            }
            9 => {
                let copy = real.clone_with_key(b"copy");
                let key = std::mem::replace(&mut model.key, b"copy".to_vec());
                same(&copy, &Model { indexed: false, ..model.clone() });
                model.key = key;
            }
            _ if model.big.is_none() => {
                let at = dice.roll(model.value.len() + 1);
                let remove_len = dice.roll(model.value.len() - at + 1);
                let insert = dice.bytes();
                Blob::splice(real, at, remove_len, &insert);
                model.value.splice(at..at + remove_len, insert);
            }
            _ => {}
        }
        // The setters, each only if there is something to set.
        if real.kind() != model.kind || real.value() != model.value || real.big() != model.big.as_ref() {
            match &model.big {
                Some(big) => real.set_big(model.kind, Box::new(big.clone())),
                None => real.set_value(model.kind, &model.value),
            }
        }
        real.set_lru(model.lru);
        real.set_deadline(model.deadline);
        real.set_mark(model.indexed);
        if real.key() != model.key {
            real.rename(&model.key);
        }
    }

    #[test]
    fn random_changes_agree_with_a_model_and_drop_each_box_once() {
        let big = Rc::new(7);
        for seed in 0..8 {
            let mut dice = Dice(seed);
            let mut real = Record::new(b"key", 3, b"value", 9, None);
            let mut model = Model {
                key: b"key".to_vec(),
                kind: 3,
                value: b"value".to_vec(),
                big: None,
                lru: 9,
                deadline: None,
                indexed: false,
            };
            for n in 0..1500 {
                let before = model.clone();
                step(&mut dice, &mut real, &mut model, &big);
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| same(&real, &model))).is_err() {
                    panic!("seed {seed}, step {n}: {before:?} -> {model:?}");
                }
            }
        }
        assert_eq!(Rc::strong_count(&big), 1);
    }

    #[test]
    fn sizes_are_as_drawn() {
        let record = Record::<()>::new(&[1; 16], 0, &[2; 10], 0, None);
        assert_eq!(record.alloc_bytes(), 32);
        assert_eq!(size_of::<Option<Record<()>>>(), 8);
        let address = record.value().as_ptr();
        let mut record = record;
        record.set_value(1, &[3; 10]);
        assert_eq!(record.value().as_ptr(), address, "the same size is written in place");
    }

    #[test]
    fn a_look_can_touch() {
        let record = Record::<()>::new(b"k", 5, b"v", 1, Some(-1));
        let look = record.view();
        look.touch(LRU_LIMIT - 1);
        assert_eq!((look.lru(), look.kind(), look.key(), look.value()), (LRU_LIMIT - 1, 5, &b"k"[..], &b"v"[..]));
    }
}
