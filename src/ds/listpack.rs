//! A listpack: a sequence of short strings and numbers in one run of bytes, walkable from both ends.
//!
//! Small hashes, sets, sorted sets and lists are one listpack inside their key's allocation. It knows no key, no pairs
//! and no order: a hash is field, value, field, value ... to its owner alone.
//!
//! ```text
//!   [count u16 LE][entry][entry] ...          count 0xFFFF: that many or more, count by walking
//! ```
//!
//! There is no total and no terminator, the blob's length says it. Entries are drawn in `entry.rs` and are byte for byte
//! those of the wire format (`wire.rs`). *Offsets* are of bytes in the blob and stand at the start of an entry (or at the
//! end of the blob); they are void after any change before them. *Indices* count elements.
//!
//! Invariant: the entries fill the blob exactly, each carries its back length, the count is right unless 0xFFFF, and each
//! value has its one shortest encoding, so that equal bytes are equal elements. Blobs that may break this ([`validate`]
//! tells) never make a function here panic or read outside: they end early or answer nothing.

mod entry;
mod pen;
mod value;
mod wire;

pub use entry::{Encoded, Iter, IterRev, MAX_ELEMENT_BYTES, decode, skip, step_back, text_at};
pub use pen::{ELEMENT_OVERHEAD_BYTES, Pen};
pub use value::{Value, canonical_i64};
pub use wire::{WIRE_OVERHEAD_BYTES, entries_to_wire, from_wire, to_wire, validate};

use crate::ds::blob::Blob;
use std::hint::black_box;

/// Offset of the first entry: the size of the count.
pub const HEADER_BYTES: usize = 2;

/// Size above which owners should have converted to another structure (1 GiB); the wire format ends at 4 GiB.
pub const MAX_BLOB_BYTES: usize = 1 << 30;

/// A listpack without entries.
pub const EMPTY: [u8; HEADER_BYTES] = [0; HEADER_BYTES];

const COUNT_UNKNOWN: u16 = u16::MAX;

fn stored_count(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(COUNT_UNKNOWN)
}

// ---- Reading ----

/// Number of elements. O(1) below 65,535, else a walk.
#[inline]
pub fn count(pack: &[u8]) -> usize {
    known_count(pack).unwrap_or_else(|| {
        let offsets = std::iter::successors(Some(HEADER_BYTES), |at| skip(pack, *at));
        offsets.count() - 1
    })
}

#[inline]
fn known_count(pack: &[u8]) -> Option<usize> {
    let stored = pack.first_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes));
    (stored != COUNT_UNKNOWN).then_some(usize::from(stored))
}

/// Bytes that an element takes here and in the wire form, with its lengths.
#[inline]
pub fn encoded_len<'v>(value: impl Into<Value<'v>>) -> usize {
    Encoded::new(value).total_len()
}

/// All elements with their offsets, first to last.
#[inline]
pub fn iter(pack: &[u8]) -> Iter<'_> {
    Iter::new(pack, HEADER_BYTES)
}

/// All elements with their offsets, last to first.
#[inline]
pub fn iter_rev(pack: &[u8]) -> IterRev<'_> {
    IterRev::new(pack, pack.len(), HEADER_BYTES)
}

/// Elements from `offset` on.
#[inline]
pub fn iter_from(pack: &[u8], offset: usize) -> Iter<'_> {
    Iter::new(pack, offset)
}

/// The element at `offset`.
#[inline]
pub fn at(pack: &[u8], offset: usize) -> Option<Value<'_>> {
    decode(pack, offset).map(|(value, _)| value)
}

/// Offset of the element after the one at `offset`; nothing after the last.
#[inline]
pub fn next(pack: &[u8], offset: usize) -> Option<usize> {
    skip(pack, offset).filter(|next| *next < pack.len())
}

/// Offset of the element before `offset` (which may be the blob's end); nothing before the first.
#[inline]
pub fn prev(pack: &[u8], offset: usize) -> Option<usize> {
    step_back(pack, offset, HEADER_BYTES)
}

/// Offset of the first element, or nothing.
#[inline]
pub fn first(pack: &[u8]) -> Option<usize> {
    skip(pack, HEADER_BYTES).map(|_| HEADER_BYTES)
}

/// Offset of the last element, or nothing.
#[inline]
pub fn last(pack: &[u8]) -> Option<usize> {
    prev(pack, pack.len())
}

/// Offset of the element with this index (-1 is the last), walking from the nearer end.
pub fn seek(pack: &[u8], index: i64) -> Option<usize> {
    let mut forward = usize::try_from(index).ok();
    let mut backward = usize::try_from(index.unsigned_abs()).ok()?;
    if let Some(count) = known_count(pack) {
        let index = forward.or_else(|| count.checked_sub(backward)).filter(|index| *index < count)?;
        backward = count - index;
        forward = (index <= count / 2).then_some(index);
    }
    match forward {
        Some(steps) => {
            let at = (0..steps).try_fold(HEADER_BYTES, |at, _| skip(pack, at))?;
            (at < pack.len()).then_some(at)
        }
        None => (0..backward).try_fold(pack.len(), |at, _| prev(pack, at)),
    }
}

/// The element with this index (-1 is the last), walking from the nearer end.
#[inline]
pub fn get(pack: &[u8], index: i64) -> Option<Value<'_>> {
    at(pack, seek(pack, index)?)
}

/// Offset of the first element equal to `needle` among those at `offset` and each `stride`-th after it: a hash's fields
/// are found from [`HEADER_BYTES`] with stride 2. Compares encodings; the needle is encoded once.
#[inline]
pub fn find<'v>(pack: &[u8], needle: impl Into<Value<'v>>, offset: usize, stride: usize) -> Option<usize> {
    let needle = Encoded::new(needle);
    let mut at = offset;
    loop {
        if needle.is_at(pack, at) {
            return Some(at);
        }
        for _ in 0..stride.max(1) {
            at = skip(pack, at)?;
        }
    }
}

// ---- Writing ----

/// Bytes of elements in their encoding, on the stack while they are few.
struct Stage {
    len: usize,
    stack: [u8; Self::STACK_BYTES],
    heap: Vec<u8>,
}

impl Stage {
    /// Field and value, or member and score, of the default limits (64 bytes each) fit.
    const STACK_BYTES: usize = 160;

    #[inline]
    fn of(values: &[Value<'_>]) -> Self {
        let mut stage = Self { len: 0, stack: [0; Self::STACK_BYTES], heap: Vec::new() };
        values.iter().for_each(|value| stage.push(&Encoded::new(*value)));
        stage
    }

    #[inline]
    fn push(&mut self, entry: &Encoded<'_>) {
        let new_len = self.len + entry.total_len();
        if new_len <= Self::STACK_BYTES {
            entry.write_into(&mut self.stack[self.len..new_len]);
        } else {
            if self.heap.is_empty() {
                self.heap.reserve(new_len);
                self.heap.extend_from_slice(&self.stack[..self.len]);
            }
            entry.append_to(&mut self.heap);
        }
        self.len = new_len;
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        if self.heap.is_empty() { &self.stack[..self.len] } else { &self.heap }
    }
}

/// The count learns of `added` entries that the owner wrote at the end by itself ([`Encoded::append_to`]).
#[inline]
pub fn count_appended(blob: &mut (impl Blob + ?Sized), added: usize) {
    add_to_count(blob, added, 0);
}

fn add_to_count(blob: &mut (impl Blob + ?Sized), added: usize, removed: usize) {
    if let Some(count) = known_count(blob.bytes()) {
        let count = stored_count((count + added).saturating_sub(removed)).to_le_bytes();
        if let Some(header) = blob.bytes_mut().first_chunk_mut() {
            *header = count;
        }
    }
}

/// A blob of no bytes at all is taken for an empty listpack: it gets its header.
#[inline]
fn with_header(blob: &mut (impl Blob + ?Sized)) {
    let len = blob.bytes().len();
    if len < HEADER_BYTES {
        blob.splice(0, len, &EMPTY);
    }
}

/// Adds an element at the end.
#[inline]
pub fn push_back<'v>(blob: &mut (impl Blob + ?Sized), value: impl Into<Value<'v>>) {
    push_back_all(blob, &[value.into()]);
}

/// Adds an element before all others.
#[inline]
pub fn push_front<'v>(blob: &mut (impl Blob + ?Sized), value: impl Into<Value<'v>>) {
    insert_all(blob, HEADER_BYTES, &[value.into()]);
}

/// Adds a number at the end, without a way through its text.
#[inline]
pub fn push_back_int(blob: &mut (impl Blob + ?Sized), number: i64) {
    push_back_all(blob, &[Value::Int(number)]);
}

/// Adds elements at the end, in their order, with one splice.
#[inline]
pub fn push_back_all(blob: &mut (impl Blob + ?Sized), values: &[Value<'_>]) {
    with_header(blob);
    let end = blob.bytes().len();
    insert_all(blob, end, values);
}

/// Puts an element before the one at `offset` (the blob's end: after all).
#[inline]
pub fn insert<'v>(blob: &mut (impl Blob + ?Sized), offset: usize, value: impl Into<Value<'v>>) {
    insert_all(blob, offset, &[value.into()]);
}

/// Puts elements, in their order, before the one at `offset` (the blob's end: after all), with one splice.
///
/// Panics if `offset` is outside of the blob.
#[inline]
pub fn insert_all(blob: &mut (impl Blob + ?Sized), offset: usize, values: &[Value<'_>]) {
    with_header(blob);
    let stage = Stage::of(values);
    blob.splice(offset, 0, stage.bytes());
    add_to_count(blob, values.len(), 0);
}

/// Adds `count` entries in their encoding at the end, such as a slice of another listpack.
pub fn push_back_entries(blob: &mut (impl Blob + ?Sized), entries: &[u8], count: usize) {
    with_header(blob);
    let end = blob.bytes().len();
    blob.splice(end, 0, entries);
    add_to_count(blob, count, 0);
}

/// Makes the element at `offset` another one, in place if both are of one size. False if there is none.
#[inline]
pub fn replace<'v>(blob: &mut (impl Blob + ?Sized), offset: usize, value: impl Into<Value<'v>>) -> bool {
    let Some(next) = skip(blob.bytes(), offset) else {
        return false;
    };
    let entry = Encoded::new(value);
    let old_len = next - offset;
    if entry.total_len() == old_len {
        entry.write_into(&mut blob.bytes_mut()[offset..next]);
    } else {
        let mut stage = Stage::of(&[]);
        stage.push(&entry);
        blob.splice(offset, old_len, stage.bytes());
    }
    true
}

/// Makes a number from 0 to 127 another one, in place. False if there is none at `offset`, or `number` is greater.
#[inline]
pub fn replace_small(pack: &mut [u8], offset: usize, number: u8) -> bool {
    match pack.get_mut(offset) {
        Some(entry) if *entry <= entry::MAX_SMALL && number <= entry::MAX_SMALL => {
            *entry = number;
            true
        }
        _ => false,
    }
}

/// Adds an element's entry at the end of a vector without telling the count: see [`count_appended`].
#[inline]
pub fn append_int(pack: &mut Vec<u8>, number: i64) {
    match u8::try_from(number) {
        Ok(small @ 0..=entry::MAX_SMALL) => pack.extend_from_slice(&[small, 1]),
        _ => Encoded::new(number).append_to(pack),
    }
}

/// Removes the element at `offset`, where its successor stands then. False if there is none.
#[inline]
pub fn remove(blob: &mut (impl Blob + ?Sized), offset: usize) -> bool {
    remove_range(blob, offset, 1) == 1
}

/// Removes the element at `offset` and those after it, `wanted` in all, with one splice. Returns how many there were.
pub fn remove_range(blob: &mut (impl Blob + ?Sized), offset: usize, wanted: usize) -> usize {
    let mut end = offset;
    let mut removed = 0;
    while removed < wanted {
        let Some(next) = skip(blob.bytes(), end) else {
            break;
        };
        end = next;
        removed += 1;
    }
    if removed > 0 {
        blob.splice(offset, end - offset, &[]);
        add_to_count(blob, 0, removed);
    }
    removed
}

/// Removes the first element and returns its bytes.
pub fn pop_front(blob: &mut (impl Blob + ?Sized)) -> Option<Vec<u8>> {
    pop_at(blob, HEADER_BYTES)
}

/// Removes the last element and returns its bytes.
pub fn pop_back(blob: &mut (impl Blob + ?Sized)) -> Option<Vec<u8>> {
    let offset = last(blob.bytes())?;
    pop_at(blob, offset)
}

fn pop_at(blob: &mut (impl Blob + ?Sized), offset: usize) -> Option<Vec<u8>> {
    let text = at(blob.bytes(), offset)?.to_vec();
    remove(blob, offset);
    Some(text)
}

/// A listpack of these elements, of exactly their size.
pub fn from_values<'v>(values: impl IntoIterator<Item = Value<'v>, IntoIter: Clone>) -> Vec<u8> {
    let values = values.into_iter();
    let size = values.clone().map(encoded_len).sum::<usize>();
    let mut pack = Vec::with_capacity(HEADER_BYTES + size);
    pack.extend_from_slice(&EMPTY);
    let mut count = 0;
    for value in values {
        Encoded::new(value).append_to(&mut pack);
        count += 1;
    }
    pack[..HEADER_BYTES].copy_from_slice(&stored_count(count).to_le_bytes());
    pack
}

/// Reads arbitrary bytes as a wire listpack and as one of ours: no input may panic, what is accepted must be whole.
pub fn fuzz_listpack(data: &[u8]) {
    if let Ok(pack) = from_wire(data) {
        assert_eq!(validate(&pack), Ok(()), "from_wire let a broken listpack through");
        assert_eq!(iter(&pack).count(), count(&pack));
        let mut backward: Vec<_> = iter_rev(&pack).collect();
        backward.reverse();
        assert!(iter(&pack).eq(backward), "both directions see the same");
        assert_eq!(from_wire(&to_wire(&pack)).as_ref(), Ok(&pack));
        assert_eq!(from_values(iter(&pack).map(|(_, value)| value)), pack);
    }
    let valid = validate(data).is_ok();
    let mut blob = data.to_vec();
    for index in [0, 1, -1, -2, 7, i64::MAX, i64::MIN] {
        if let Some(offset) = seek(&blob, index) {
            black_box((at(&blob, offset), next(&blob, offset), prev(&blob, offset)));
            replace(&mut blob, offset, index);
        }
    }
    black_box((count(&blob), iter_rev(&blob).count()));
    for (_, value) in iter(data).take(8) {
        find(&blob, value, HEADER_BYTES, 2);
        remove_range(&mut blob, HEADER_BYTES, 1);
        push_front(&mut blob, value);
    }
    pop_back(&mut blob);
    pop_front(&mut blob);
    assert!(!valid || validate(&blob).is_ok(), "changes broke a valid listpack");
}

#[cfg(test)]
#[path = "listpack/tests.rs"]
mod tests;
