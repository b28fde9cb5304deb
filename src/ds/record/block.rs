//! The memory of an item: one allocation of exactly the size class of its length, so that the length alone, which the item
//! knows, says what may be written and how to free it.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error, realloc};
use std::ptr::NonNull;

use crate::sys::alloc::size_class;

/// Tables keep hash bits in the low three bits of an item's address.
const ALIGN: usize = 8;

fn layout(len: usize) -> Layout {
    Layout::from_size_align(size_class(len), ALIGN).expect("an item is shorter than half the address space")
}

/// Allocates room for `len` bytes, a multiple of 8 away from 0.
#[inline]
pub(super) fn allocate(len: usize) -> NonNull<u8> {
    let layout = layout(len);
    // SAFETY: a size class is not 0.
    NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

/// Frees a block.
///
/// # Safety
/// `p` is a live block of `len` bytes, or of another length of the same class.
#[inline]
pub(super) unsafe fn free(p: NonNull<u8>, len: usize) {
    // SAFETY: allocated with this layout.
    unsafe { dealloc(p.as_ptr(), layout(len)) }
}

/// Makes a block longer or shorter; what both lengths have is kept. Does nothing within a size class.
///
/// # Safety
/// As `free`; the old address is not used again.
#[inline]
pub(super) unsafe fn resize(p: NonNull<u8>, len: usize, new_len: usize) -> NonNull<u8> {
    let (old, new) = (layout(len), layout(new_len));
    if old.size() == new.size() {
        return p;
    }
    // SAFETY: allocated with `old`; the new size is not 0 and valid.
    NonNull::new(unsafe { realloc(p.as_ptr(), old, new.size()) }).unwrap_or_else(|| handle_alloc_error(new))
}

/// Writes `bytes` at `p` and gives the address behind them.
///
/// # Safety
/// There is room for them at `p`, which does not overlap `bytes`.
#[inline(always)]
pub(super) unsafe fn put(p: *mut u8, bytes: &[u8]) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        p.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        p.add(bytes.len())
    }
}

/// The `len` bytes at `p`.
///
/// # Safety
/// They are initialised, live, and not written to during `'a`.
#[inline(always)]
pub(super) unsafe fn slice<'a>(p: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(p, len) }
}
