//! One bucket: eight slots in one cache line, and the search of its tags. Knows no hash function and no neighbour.
//!
//! ```text
//! bucket  64 bytes, aligned to 64:   [slot 0][slot 1] ... [slot 7]        filled from the front, then empty slots
//! slot    u64:   63..48 tag: low 16 bits of the item's hash
//!                47..3  the item's address, a multiple of 8
//!                 2..0  near: three hash bits further up, with which a segment can split without reading keys
//!         0 = empty
//! ```

use std::ptr::{self, NonNull};

/// Slots in a bucket.
pub(super) const SLOTS: usize = 8;

const ADDRESS: u64 = 0x0000_ffff_ffff_fff8;
const NEAR: u64 = 7;
const TAG_SHIFT: u32 = 48;

/// An item's address with 19 bits of its hash, or nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Slot(u64);

impl Slot {
    pub(super) const EMPTY: Slot = Slot(0);

    /// # Panics
    /// If the address is not a multiple of 8 below 2^48, which no allocator of today's systems returns.
    #[inline]
    pub(super) fn new(item: NonNull<u8>, tag: u16, near: u64) -> Slot {
        let address = item.as_ptr().expose_provenance() as u64;
        assert!(address & !ADDRESS == 0, "an item lies at a multiple of 8 below 2^48");
        debug_assert!(near <= NEAR);
        Slot(address | near | u64::from(tag) << TAG_SHIFT)
    }

    #[inline(always)]
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    #[inline(always)]
    pub(super) fn tag(self) -> u16 {
        (self.0 >> TAG_SHIFT) as u16
    }

    #[inline(always)]
    pub(super) fn near(self) -> u64 {
        self.0 & NEAR
    }

    pub(super) fn with_near(self, near: u64) -> Slot {
        Slot(self.0 & !NEAR | near)
    }

    /// The same hash bits with another address.
    pub(super) fn with_item(self, item: NonNull<u8>) -> Slot {
        Slot::new(item, self.tag(), self.near())
    }

    /// The item's address; null when empty.
    #[inline(always)]
    pub(super) fn address(self) -> *mut u8 {
        ptr::with_exposed_provenance_mut((self.0 & ADDRESS) as usize)
    }

    #[inline(always)]
    pub(super) fn item(self) -> Option<NonNull<u8>> {
        NonNull::new(self.address())
    }
}

/// Eight slots, the filled ones first.
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) slots: [Slot; SLOTS],
}

impl Bucket {
    pub(super) const EMPTY: Bucket = Bucket { slots: [Slot::EMPTY; SLOTS] };

    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        !self.slots[SLOTS - 1].is_empty()
    }

    /// Number of filled slots.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.empty_mask().trailing_zeros() as usize
    }

    /// The filled slots.
    #[inline]
    pub(super) fn filled(&self) -> &[Slot] {
        &self.slots[..self.len()]
    }

    /// Takes slot `i` out and closes the gap with the last one.
    pub(super) fn swap_remove(&mut self, i: usize) -> Slot {
        let last = self.len() - 1;
        let out = self.slots[i];
        self.slots[i] = self.slots[last];
        self.slots[last] = Slot::EMPTY;
        out
    }

    /// Bit i is set if slot i has this tag; empty slots look like tag 0.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub(super) fn tag_mask(&self, tag: u16) -> u32 {
        use std::arch::x86_64::*;
        // SAFETY: SSE2 is part of x86_64; the four loads cover exactly the 64 aligned bytes of this bucket.
        unsafe {
            let line = (&raw const self.slots).cast::<__m128i>();
            // The high halves of two slots each: tag in the top 16 bits, shifted down with sign so that packing is exact.
            let high = |at: usize| {
                let a = _mm_castsi128_ps(_mm_load_si128(line.add(at)));
                let b = _mm_castsi128_ps(_mm_load_si128(line.add(at + 1)));
                _mm_srai_epi32::<16>(_mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(a, b)))
            };
            let tags = _mm_packs_epi32(high(0), high(2));
            let same = _mm_cmpeq_epi16(tags, _mm_set1_epi16(tag as i16));
            _mm_movemask_epi8(_mm_packs_epi16(same, _mm_setzero_si128())) as u32
        }
    }

    /// Bit i is set if slot i has this tag; empty slots look like tag 0.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    pub(super) fn tag_mask(&self, tag: u16) -> u32 {
        let bits = self.slots.iter().enumerate();
        bits.fold(0, |mask, (i, slot)| mask | u32::from(slot.tag() == tag) << i)
    }

    /// Bit i is set if slot i is empty; bit 8 always is.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    fn empty_mask(&self) -> u32 {
        use std::arch::x86_64::*;
        // SAFETY: as in `tag_mask`.
        unsafe {
            let line = (&raw const self.slots).cast::<__m128i>();
            // A filled slot has an address, so the bits 47..3 decide; low and high halves are ORed.
            let halves = |at: usize| {
                let a = _mm_castsi128_ps(_mm_load_si128(line.add(at)));
                let b = _mm_castsi128_ps(_mm_load_si128(line.add(at + 1)));
                let high = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(a, b));
                let low = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b));
                _mm_cmpeq_epi32(_mm_or_si128(high, low), _mm_setzero_si128())
            };
            let zero = _mm_packs_epi32(halves(0), halves(2));
            _mm_movemask_epi8(_mm_packs_epi16(zero, _mm_setzero_si128())) as u32 | 1 << SLOTS
        }
    }

    /// Bit i is set if slot i is empty; bit 8 always is.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline(always)]
    fn empty_mask(&self) -> u32 {
        let bits = self.slots.iter().enumerate();
        bits.fold(1 << SLOTS, |mask, (i, slot)| mask | u32::from(slot.is_empty()) << i)
    }
}

/// `a == b`, without a call for the lengths that keys mostly have.
#[inline(always)]
pub(super) fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    /// Compares the first and last `N` bytes, which overlap or meet.
    #[inline(always)]
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk::<N>() && a.last_chunk::<N>() == b.last_chunk::<N>()
    }
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        4..8 => ends::<4>(a, b),
        8..=16 => ends::<8>(a, b),
        17..=32 => ends::<16>(a, b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_agree_with_a_plain_loop() {
        let item = |n: usize| NonNull::new(ptr::with_exposed_provenance_mut(n * 8)).expect("not null");
        for filled in 0..=SLOTS {
            for tag in [0, 1, 0x7fff, 0x8000, 0xffff] {
                let mut bucket = Bucket::EMPTY;
                for i in 0..filled {
                    let other = if i % 3 == 0 { tag } else { tag ^ (1 << i) };
                    bucket.slots[i] = Slot::new(item(1 << (i * 5)), other, i as u64 & 7);
                }
                assert_eq!(bucket.len(), filled);
                assert_eq!(bucket.is_full(), filled == SLOTS);
                let plain = (0..SLOTS).fold(0, |m, i| m | u32::from(bucket.slots[i].tag() == tag) << i);
                assert_eq!(bucket.tag_mask(tag), plain);
            }
        }
    }

    #[test]
    fn a_slot_gives_back_its_parts() {
        let p = NonNull::new(ptr::with_exposed_provenance_mut(0x7fff_ffff_fff8)).expect("not null");
        let slot = Slot::new(p, 0xabcd, 5);
        assert_eq!((slot.item(), slot.tag(), slot.near()), (Some(p), 0xabcd, 5));
        assert_eq!(slot.with_near(2).near(), 2);
        assert_eq!(slot.with_near(2).item(), Some(p));
    }

    #[test]
    fn same_bytes_is_equality() {
        let base: Vec<u8> = (0..70).collect();
        for len in 0..=base.len() {
            let copy = base[..len].to_vec();
            assert!(same_bytes(&base[..len], &copy));
            for wrong in 0..len {
                let mut other = base[..len].to_vec();
                other[wrong] ^= 0x80;
                assert!(!same_bytes(&base[..len], &other), "{len} {wrong}");
            }
        }
        assert!(!same_bytes(b"ab", b"abc"));
    }
}
