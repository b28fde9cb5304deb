//! What big sets, hashes and sorted sets hold in their tables. Knows no table.
//!
//! ```text
//! Member   [len][member]                                                 len: u8, or 255 and u32 when it is 255 or more
//! Scored   [score f64][len][member]
//! Field    narrow:  [0 d field_len: 6 bits][value_len u8]      [deadline i64, if d][field][value]
//!          wide:    [1 d 0         ][field_len u32][value_len u32][deadline i64, if d][field][value]
//! ```
//! Numbers are little-endian. Invariant: wide exactly if the field is longer than 63 bytes or the value than 255.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::block;
use crate::ds::table::Item;
use crate::sys::alloc::size_class;

/// The length byte that says: a u32 follows.
const LONG: u8 = 255;

/// Bytes of a length field.
#[inline(always)]
fn len_width(len: usize) -> usize {
    if len < usize::from(LONG) { 1 } else { 5 }
}

/// Writes a length and then the bytes.
///
/// # Safety
/// There is room for both at `p`.
#[inline(always)]
unsafe fn put_counted(p: *mut u8, bytes: &[u8]) {
    assert!(bytes.len() <= u32::MAX as usize, "members stay below 4 GiB");
    // SAFETY: the caller's promise.
    unsafe {
        if len_width(bytes.len()) == 1 {
            p.write(bytes.len() as u8);
        } else {
            p.write(LONG);
            p.add(1).cast::<[u8; 4]>().write((bytes.len() as u32).to_le_bytes());
        }
        block::put(p.add(len_width(bytes.len())), bytes);
    }
}

/// Reads what `put_counted` wrote.
///
/// # Safety
/// It is live and unchanged during `'a`.
#[inline(always)]
unsafe fn counted<'a>(p: *const u8) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        match *p {
            LONG => {
                let len = u32::from_le_bytes(p.add(1).cast::<[u8; 4]>().read());
                block::slice(p.add(5), len as usize)
            }
            len => block::slice(p.add(1), len.into()),
        }
    }
}

/// The parts of `Item` that are the same for all three, the look, and `Drop`.
macro_rules! item {
    ($item:ident, $look:ident, $key:ident) => {
        // SAFETY: the element owns its allocation.
        unsafe impl Send for $item {}
        // SAFETY: nothing is written through a shared borrow.
        unsafe impl Sync for $item {}

        impl $item {
            /// A shared look.
            #[inline(always)]
            pub fn view(&self) -> $look<'_> {
                $look { p: self.p, borrows: PhantomData }
            }

            /// Bytes of the allocation.
            pub fn alloc_bytes(&self) -> usize {
                self.view().alloc_bytes()
            }
        }

        impl $look<'_> {
            /// Bytes of the allocation.
            pub fn alloc_bytes(self) -> usize {
                size_class(self.len_bytes())
            }
        }

        impl Drop for $item {
            #[inline]
            fn drop(&mut self) {
                // SAFETY: our block, of this length, not used again.
                unsafe { block::free(self.p, self.view().len_bytes()) }
            }
        }

        // SAFETY: one allocation, whose address is a multiple of 8; the key never changes.
        unsafe impl Item for $item {
            type Ref<'a> = $look<'a>;

            #[inline(always)]
            fn into_raw(self) -> NonNull<u8> {
                let p = self.p;
                std::mem::forget(self);
                p
            }

            #[inline(always)]
            unsafe fn from_raw(p: NonNull<u8>) -> Self {
                $item { p }
            }

            #[inline(always)]
            unsafe fn view<'a>(p: NonNull<u8>) -> $look<'a> {
                $look { p, borrows: PhantomData }
            }

            #[inline(always)]
            unsafe fn key<'a>(p: NonNull<u8>) -> &'a [u8] {
                // SAFETY: live and unchanged during 'a, says the caller.
                unsafe { <$item as Item>::view::<'a>(p) }.$key()
            }
        }
    };
}

/// A member of a set.
#[repr(transparent)]
pub struct Member {
    p: NonNull<u8>,
}

impl Member {
    /// A member of these bytes.
    pub fn new(bytes: &[u8]) -> Member {
        let p = block::allocate(len_width(bytes.len()) + bytes.len());
        // SAFETY: room was just made.
        unsafe { put_counted(p.as_ptr(), bytes) };
        Member { p }
    }
}

/// A shared look at a set's member.
#[derive(Clone, Copy)]
pub struct MemberRef<'a> {
    p: NonNull<u8>,
    borrows: PhantomData<&'a [u8]>,
}

impl<'a> MemberRef<'a> {
    /// The member.
    #[inline(always)]
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: live and unchanged during 'a.
        unsafe { counted(self.p.as_ptr()) }
    }

    fn len_bytes(self) -> usize {
        let len = self.bytes().len();
        len_width(len) + len
    }
}

item!(Member, MemberRef, bytes);

/// A member of a sorted set, with its score. Its address stays the same for life.
#[repr(transparent)]
pub struct Scored {
    p: NonNull<u8>,
}

const SCORE: usize = 8;

impl Scored {
    /// A member with a score.
    pub fn new(score: f64, member: &[u8]) -> Scored {
        let p = block::allocate(SCORE + len_width(member.len()) + member.len());
        // SAFETY: room was just made.
        unsafe { put_counted(p.as_ptr().add(SCORE), member) };
        let mut scored = Scored { p };
        scored.set_score(score);
        scored
    }

    /// Changes the score in place.
    #[inline]
    pub fn set_score(&mut self, score: f64) {
        // SAFETY: our block begins with the score.
        unsafe { self.p.cast::<[u8; SCORE]>().write(score.to_le_bytes()) }
    }
}

/// A shared look at a sorted set's member.
#[derive(Clone, Copy)]
pub struct ScoredRef<'a> {
    p: NonNull<u8>,
    borrows: PhantomData<&'a [u8]>,
}

impl<'a> ScoredRef<'a> {
    /// Looks at the item behind an address from `as_ptr` (or `Item::into_raw`).
    ///
    /// # Safety
    /// The item is neither dropped nor changed during `'a`.
    #[inline(always)]
    pub unsafe fn from_ptr(p: NonNull<u8>) -> ScoredRef<'a> {
        ScoredRef { p, borrows: PhantomData }
    }

    /// The item's address.
    #[inline(always)]
    pub fn as_ptr(self) -> NonNull<u8> {
        self.p
    }

    /// The score.
    #[inline(always)]
    pub fn score(self) -> f64 {
        // SAFETY: live during 'a; the item begins with the score.
        f64::from_le_bytes(unsafe { self.p.cast::<[u8; SCORE]>().read() })
    }

    /// The member.
    #[inline(always)]
    pub fn member(self) -> &'a [u8] {
        // SAFETY: live and unchanged during 'a.
        unsafe { counted(self.p.as_ptr().add(SCORE)) }
    }

    fn len_bytes(self) -> usize {
        let len = self.member().len();
        SCORE + len_width(len) + len
    }
}

item!(Scored, ScoredRef, member);

const WIDE: u8 = 0x80;
const DATED: u8 = 0x40;
const FIELD_LEN: u8 = DATED - 1;
const NARROW_HEAD: usize = 2;
const WIDE_HEAD: usize = 9;
const DEADLINE: usize = 8;

/// Where the parts of a field lie.
#[derive(Clone, Copy)]
struct Shape {
    wide: bool,
    dated: bool,
    field_len: usize,
    value_len: usize,
}

impl Shape {
    #[inline(always)]
    fn of(field_len: usize, value_len: usize, dated: bool) -> Shape {
        assert!(field_len.max(value_len) <= u32::MAX as usize, "fields and values stay below 4 GiB");
        Shape { wide: field_len > FIELD_LEN.into() || value_len > 255, dated, field_len, value_len }
    }

    fn deadline_at(self) -> usize {
        if self.wide { WIDE_HEAD } else { NARROW_HEAD }
    }

    fn field_at(self) -> usize {
        self.deadline_at() + if self.dated { DEADLINE } else { 0 }
    }

    fn value_at(self) -> usize {
        self.field_at() + self.field_len
    }

    fn len(self) -> usize {
        self.value_at() + self.value_len
    }

    /// # Safety
    /// `p` is a live field.
    #[inline(always)]
    unsafe fn read(p: *const u8) -> Shape {
        // SAFETY: a field has a narrow head, and a wide one if its first byte says so.
        unsafe {
            let first = *p;
            let wide = first & WIDE != 0;
            let (field_len, value_len) = if wide {
                let len = |at| u32::from_le_bytes(p.add(at).cast::<[u8; 4]>().read()) as usize;
                (len(1), len(5))
            } else {
                (usize::from(first & FIELD_LEN), usize::from(*p.add(1)))
            };
            Shape { wide, dated: first & DATED != 0, field_len, value_len }
        }
    }

    /// # Safety
    /// `p` has room for the head.
    unsafe fn write(self, p: *mut u8) {
        let dated = if self.dated { DATED } else { 0 };
        // SAFETY: the caller's promise.
        unsafe {
            if self.wide {
                p.write(WIDE | dated);
                p.add(1).cast::<[u8; 4]>().write((self.field_len as u32).to_le_bytes());
                p.add(5).cast::<[u8; 4]>().write((self.value_len as u32).to_le_bytes());
            } else {
                p.write(dated | self.field_len as u8);
                p.add(1).write(self.value_len as u8);
            }
        }
    }
}

/// A field of a hash with its value.
#[repr(transparent)]
pub struct Field {
    p: NonNull<u8>,
}

impl Field {
    /// A field with its value; `deadline` is a point in time, in the caller's unit.
    pub fn new(field: &[u8], value: &[u8], deadline: Option<i64>) -> Field {
        let shape = Shape::of(field.len(), value.len(), deadline.is_some());
        let p = block::allocate(shape.len());
        // SAFETY: room was just made.
        unsafe {
            shape.write(p.as_ptr());
            if let Some(deadline) = deadline {
                let at = p.as_ptr().add(shape.deadline_at());
                at.cast::<[u8; 8]>().write(deadline.to_le_bytes());
            }
            let end = block::put(p.as_ptr().add(shape.field_at()), field);
            block::put(end, value);
        }
        Field { p }
    }

    /// Replaces the value; in place if the allocation stays the same.
    pub fn set_value(&mut self, value: &[u8]) {
        let old = self.view().shape();
        let new = Shape::of(old.field_len, value.len(), old.dated);
        if new.wide != old.wide || size_class(new.len()) != size_class(old.len()) {
            *self = Field::new(self.view().field(), value, self.view().deadline());
            return;
        }
        // SAFETY: the block has the same class with the new value, and the value's place is the same.
        unsafe {
            new.write(self.p.as_ptr());
            block::put(self.p.as_ptr().add(new.value_at()), value);
        }
    }

    /// Sets, changes or removes the deadline.
    pub fn set_deadline(&mut self, deadline: Option<i64>) {
        let shape = self.view().shape();
        match deadline {
            Some(deadline) if shape.dated => {
                // SAFETY: a dated field has eight bytes there.
                unsafe {
                    let at = self.p.as_ptr().add(shape.deadline_at());
                    at.cast::<[u8; 8]>().write(deadline.to_le_bytes());
                }
            }
            None if !shape.dated => {}
            _ => *self = Field::new(self.view().field(), self.view().value(), deadline),
        }
    }

    /// The value, to be changed in place.
    pub fn value_mut(&mut self) -> &mut [u8] {
        let shape = self.view().shape();
        // SAFETY: the value lies in our block, which is borrowed as `self` is.
        unsafe { std::slice::from_raw_parts_mut(self.p.as_ptr().add(shape.value_at()), shape.value_len) }
    }
}

/// A shared look at a hash's field.
#[derive(Clone, Copy)]
pub struct FieldRef<'a> {
    p: NonNull<u8>,
    borrows: PhantomData<&'a [u8]>,
}

impl<'a> FieldRef<'a> {
    #[inline(always)]
    fn shape(self) -> Shape {
        // SAFETY: live during 'a.
        unsafe { Shape::read(self.p.as_ptr()) }
    }

    /// The field's name.
    #[inline(always)]
    pub fn field(self) -> &'a [u8] {
        let shape = self.shape();
        // SAFETY: live and unchanged during 'a.
        unsafe { block::slice(self.p.as_ptr().add(shape.field_at()), shape.field_len) }
    }

    /// The value.
    #[inline(always)]
    pub fn value(self) -> &'a [u8] {
        let shape = self.shape();
        // SAFETY: live and unchanged during 'a.
        unsafe { block::slice(self.p.as_ptr().add(shape.value_at()), shape.value_len) }
    }

    /// The deadline.
    pub fn deadline(self) -> Option<i64> {
        let shape = self.shape();
        // SAFETY: a dated field has eight bytes there.
        let read = || unsafe { self.p.as_ptr().add(shape.deadline_at()).cast::<[u8; 8]>().read() };
        shape.dated.then(|| i64::from_le_bytes(read()))
    }

    fn len_bytes(self) -> usize {
        self.shape().len()
    }
}

item!(Field, FieldRef, field);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::alloc::usable_size;

    /// Lengths around every border.
    const LENS: [usize; 14] = [0, 1, 7, 8, 62, 63, 64, 127, 128, 254, 255, 256, 257, 70_000];

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * 7 + len) as u8).collect()
    }

    #[test]
    fn members_and_scored_members_keep_their_bytes() {
        for len in LENS {
            let member = Member::new(&bytes(len));
            assert_eq!(member.view().bytes(), bytes(len));
            // SAFETY: live.
            assert_eq!(member.alloc_bytes(), unsafe { usable_size(member.p.as_ptr()) });
            let mut scored = Scored::new(1.5, &bytes(len));
            let address = scored.view().as_ptr();
            scored.set_score(f64::NEG_INFINITY);
            assert_eq!(scored.view().score(), f64::NEG_INFINITY);
            // SAFETY: live.
            assert_eq!(unsafe { ScoredRef::from_ptr(address) }.member(), bytes(len));
            // SAFETY: live.
            assert_eq!(scored.alloc_bytes(), unsafe { usable_size(address.as_ptr()) });
        }
    }

    #[test]
    fn fields_change_value_and_deadline() {
        for field_len in LENS {
            let mut field = Field::new(&bytes(field_len), b"", None);
            for (n, value_len) in LENS.into_iter().chain(LENS.into_iter().rev()).enumerate() {
                let deadline = [None, Some(i64::MIN), Some(n as i64)][n % 3];
                field.set_value(&bytes(value_len));
                field.set_deadline(deadline);
                field.value_mut().first_mut().into_iter().for_each(|b| *b ^= 1);
                let mut value = bytes(value_len);
                value.first_mut().into_iter().for_each(|b| *b ^= 1);
                let view = field.view();
                assert_eq!(view.field(), bytes(field_len), "{field_len} {value_len}");
                assert_eq!((view.value(), view.deadline()), (&value[..], deadline));
                // SAFETY: live.
                assert_eq!(field.alloc_bytes(), unsafe { usable_size(field.p.as_ptr()) });
            }
        }
    }

    #[test]
    fn sizes_are_as_promised() {
        assert_eq!(Member::new(&[0; 16]).alloc_bytes(), 32);
        assert_eq!(Member::new(&[0; 7]).alloc_bytes(), 8);
        assert_eq!(Field::new(&[0; 15], &[0; 10], None).alloc_bytes(), 32);
        assert_eq!(Scored::new(0.0, &[0; 16]).alloc_bytes(), 32);
    }
}
