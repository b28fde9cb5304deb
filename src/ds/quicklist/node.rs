//! One node of a quicklist: a run of listpack entries with room at both ends, or one large element, either of them
//! compressed if need be. Knows no neighbour and no limits; those are handed in.
//!
//! ```text
//!   run    [ front room | entry | entry | ... | entry | back room ]
//!          ^ buf[0]     ^ buf[start]                  ^ buf.len()  ^ capacity
//! ```
//!
//! The front room is what makes a push or pop at the head of a list as cheap as at its tail: only `start` moves.
//! Invariants: `count` is the number of entries, at least 1 while the node is in a chain; a run's entries are canonical
//! listpack entries; a plain element's count is 1.

use crate::ds::listpack::{self, Encoded, Value};
use std::borrow::Cow;

/// Least room that a growing end gets, in bytes.
const MIN_ROOM_BYTES: usize = 256;
/// Below this a node is not worth compressing, nor is saving less than [`MIN_SAVED_BYTES`].
const MIN_COMPRESS_BYTES: usize = 48;
const MIN_SAVED_BYTES: usize = 8;

/// Entries in a buffer with room at both ends.
#[derive(Clone, Debug)]
pub(super) struct Run {
    buf: Vec<u8>,
    start: usize,
}

impl Run {
    /// Takes over a buffer whose entries begin at `start`.
    fn adopt(buf: Vec<u8>, start: usize) -> Self {
        Self { buf, start }
    }

    #[inline]
    pub(super) fn entries(&self) -> &[u8] {
        &self.buf[self.start..]
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.buf.len() - self.start
    }

    /// `room_bytes`: what the run may come to hold in all; growth stops there.
    #[inline]
    fn push_back(&mut self, entry: &Encoded<'_>, room_bytes: usize) {
        if self.buf.capacity() - self.buf.len() < entry.total_len() {
            self.grow(0, entry.total_len(), room_bytes);
        }
        entry.append_to(&mut self.buf);
    }

    #[inline]
    fn push_front(&mut self, entry: &Encoded<'_>, room_bytes: usize) {
        let entry_len = entry.total_len();
        if self.start < entry_len {
            self.grow(entry_len, 0, room_bytes);
        }
        let start = self.start - entry_len;
        entry.write_into(&mut self.buf[start..self.start]);
        self.start = start;
    }

    /// Makes room at one end, in proportion to what the run holds, and keeps no more than that at the other: so any mix of
    /// pushes and pops at both ends copies each byte a bounded number of times.
    #[cold]
    fn grow(&mut self, front_need: usize, back_need: usize, room_bytes: usize) {
        let len = self.len();
        let generous = len.max(MIN_ROOM_BYTES);
        let room = |need: usize, have: usize| match need {
            0 => have.min(generous),
            need => generous.min(room_bytes.saturating_sub(len)).max(need),
        };
        let front = room(front_need, self.start);
        let back = room(back_need, self.buf.capacity() - self.buf.len());
        let mut buf = Vec::with_capacity(front + len + back);
        buf.resize(front, 0);
        buf.extend_from_slice(self.entries());
        *self = Self { buf, start: front };
    }

    /// Replaces `remove_len` bytes at `at` by an entry, without room to spare.
    fn splice(&mut self, at: usize, remove_len: usize, entry: Option<&Encoded<'_>>) {
        let at = self.start + at;
        let (old_len, removed_end) = (self.buf.len(), at + remove_len);
        let entry_len = entry.map_or(0, Encoded::total_len);
        let new_len = old_len - remove_len + entry_len;
        if new_len > old_len {
            self.buf.reserve_exact(new_len - old_len);
            self.buf.resize(new_len, 0);
        }
        self.buf.copy_within(removed_end..old_len, at + entry_len);
        self.buf.truncate(new_len);
        if let Some(entry) = entry {
            entry.write_into(&mut self.buf[at..at + entry_len]);
        }
    }

    /// Gives room back to the allocator once it is worth a copy.
    fn seal(&mut self) {
        let wasted = self.start + self.buf.capacity() - self.buf.len();
        if wasted > self.len() / 16 + 16 {
            *self = Self { buf: self.entries().to_vec(), start: 0 };
        }
    }
}

/// What a node holds.
#[derive(Clone, Debug)]
enum Body {
    Packed(Run),
    Plain(Box<[u8]>),
    Lzf(Lzf),
}

/// A node's bytes, compressed: a run's entries, or a plain element.
#[derive(Clone, Debug)]
struct Lzf {
    bytes: Box<[u8]>,
    raw_len: usize,
    plain: bool,
}

impl Lzf {
    fn decompress(&self) -> Vec<u8> {
        lzf::decompress(&self.bytes, self.raw_len).expect("it was compressed by this process")
    }
}

/// A part of a list: between one and some hundred elements.
#[derive(Clone, Debug)]
pub(super) struct Node {
    body: Body,
    count: u32,
}

/// A node's bytes as they are walked: those of the node itself, or decompressed from it.
pub(super) struct Page<'a> {
    lent: &'a [u8],
    /// Empty unless the node is compressed; nothing so short is.
    own: Vec<u8>,
    /// Whether the bytes are one element instead of entries.
    pub(super) plain: bool,
}

impl<'a> Page<'a> {
    pub(super) fn blank() -> Self {
        Self { lent: &[], own: Vec::new(), plain: false }
    }

    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        if self.own.is_empty() { self.lent } else { &self.own }
    }

    pub(super) fn into_cow(self) -> Cow<'a, [u8]> {
        if self.own.is_empty() { Cow::Borrowed(self.lent) } else { Cow::Owned(self.own) }
    }
}

impl Node {
    /// A node of no element yet; its first push decides on the room.
    pub(super) fn empty() -> Self {
        Self { body: Body::Packed(Run::adopt(Vec::new(), 0)), count: 0 }
    }

    /// A node of one element in its encoding, without room.
    pub(super) fn single(entry: &Encoded<'_>) -> Self {
        let mut buf = Vec::with_capacity(entry.total_len());
        entry.append_to(&mut buf);
        Self { body: Body::Packed(Run::adopt(buf, 0)), count: 1 }
    }

    /// A node of one large element.
    pub(super) fn plain(element: Box<[u8]>) -> Self {
        Self { body: Body::Plain(element), count: 1 }
    }

    /// A node of the entries of a listpack, which keeps its buffer.
    pub(super) fn from_pack(pack: Vec<u8>) -> Self {
        let count = listpack::count(&pack) as u32;
        let start = listpack::HEADER_BYTES.min(pack.len());
        Self { body: Body::Packed(Run::adopt(pack, start)), count }
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// Bytes of the entries, or of the plain element, when not compressed.
    #[inline]
    pub(super) fn raw_len(&self) -> usize {
        match &self.body {
            Body::Packed(run) => run.len(),
            Body::Plain(element) => element.len(),
            Body::Lzf(lzf) => lzf.raw_len,
        }
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self.body, Body::Plain(_) | Body::Lzf(Lzf { plain: true, .. }))
    }

    pub(super) fn is_compressed(&self) -> bool {
        matches!(self.body, Body::Lzf(_))
    }

    /// Bytes asked of the allocator.
    pub(super) fn alloc_bytes(&self) -> usize {
        match &self.body {
            Body::Packed(run) => run.buf.capacity(),
            Body::Plain(element) => element.len(),
            Body::Lzf(lzf) => lzf.bytes.len(),
        }
    }

    /// The bytes to walk, decompressed on the way if they have to be.
    pub(super) fn page(&self) -> Page<'_> {
        let (lent, own) = match &self.body {
            Body::Packed(run) => (run.entries(), Vec::new()),
            Body::Plain(element) => (&element[..], Vec::new()),
            Body::Lzf(lzf) => (&[][..], lzf.decompress()),
        };
        Page { lent, own, plain: self.is_plain() }
    }

    // ---- Compression ----

    /// Decompresses the node in place. Before any change.
    #[inline]
    pub(super) fn open(&mut self) {
        if let Body::Lzf(lzf) = &self.body {
            let raw = lzf.decompress();
            self.open_with(raw);
        }
    }

    fn open_with(&mut self, raw: Vec<u8>) {
        self.body =
            if self.is_plain() { Body::Plain(raw.into_boxed_slice()) } else { Body::Packed(Run::adopt(raw, 0)) };
    }

    /// Compresses the node if that is worth it.
    pub(super) fn squeeze(&mut self) {
        let (raw, plain) = match &self.body {
            Body::Packed(run) => (run.entries(), false),
            Body::Plain(element) => (&element[..], true),
            Body::Lzf(_) => return,
        };
        if raw.len() < MIN_COMPRESS_BYTES {
            return;
        }
        match lzf::compress(raw) {
            Ok(bytes) if bytes.len() + MIN_SAVED_BYTES <= raw.len() => {
                let raw_len = raw.len();
                self.body = Body::Lzf(Lzf { bytes: bytes.into_boxed_slice(), raw_len, plain });
            }
            _ => {}
        }
    }

    // ---- The ends, for open nodes ----

    /// Adds an element at the end if this is a run that is not compressed.
    #[inline]
    pub(super) fn push_back(&mut self, entry: &Encoded<'_>, room_bytes: usize) {
        if let Body::Packed(run) = &mut self.body {
            run.push_back(entry, room_bytes);
            self.count += 1;
        }
    }

    /// Adds an element at the front if this is a run that is not compressed.
    #[inline]
    pub(super) fn push_front(&mut self, entry: &Encoded<'_>, room_bytes: usize) {
        if let Body::Packed(run) = &mut self.body {
            run.push_front(entry, room_bytes);
            self.count += 1;
        }
    }

    /// The first element of an open node.
    #[inline]
    pub(super) fn front(&self) -> Option<Value<'_>> {
        match &self.body {
            Body::Packed(run) => listpack::at(run.entries(), 0),
            Body::Plain(element) => Some(Value::Str(element)),
            Body::Lzf(_) => None,
        }
    }

    /// The last element of an open node.
    #[inline]
    pub(super) fn back(&self) -> Option<Value<'_>> {
        match &self.body {
            Body::Packed(run) => {
                let entries = run.entries();
                listpack::at(entries, listpack::step_back(entries, entries.len(), 0)?)
            }
            Body::Plain(element) => Some(Value::Str(element)),
            Body::Lzf(_) => None,
        }
    }

    /// Removes the first element of an open node. A plain element stays: the node goes as a whole once its count is 0.
    #[inline]
    pub(super) fn drop_front(&mut self) {
        if let Body::Packed(run) = &mut self.body {
            let entry_len = listpack::skip(run.entries(), 0).unwrap_or_else(|| run.len());
            run.start += entry_len;
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Removes the last element of an open node; see [`Node::drop_front`].
    #[inline]
    pub(super) fn drop_back(&mut self) {
        if let Body::Packed(run) = &mut self.body {
            let at = listpack::step_back(run.entries(), run.len(), 0).unwrap_or(0);
            run.buf.truncate(run.start + at);
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Gives spare room back, when the node is no longer at an end.
    pub(super) fn seal(&mut self) {
        if let Body::Packed(run) = &mut self.body {
            run.seal();
        }
    }

    // ---- The middle ----

    /// Puts an element before the one with this ordinal (the count: after all).
    pub(super) fn insert(&mut self, ordinal: usize, entry: &Encoded<'_>) {
        self.open();
        let count = self.count();
        if let Body::Packed(run) = &mut self.body {
            let at = offset_of(run.entries(), count, ordinal);
            run.splice(at, 0, Some(entry));
            self.count += 1;
        }
    }

    /// Makes the element with this ordinal another one.
    pub(super) fn replace(&mut self, ordinal: usize, entry: &Encoded<'_>) {
        self.open();
        let count = self.count();
        if let Body::Packed(run) = &mut self.body {
            let at = offset_of(run.entries(), count, ordinal);
            let end = listpack::skip(run.entries(), at).unwrap_or(at);
            run.splice(at, end - at, Some(entry));
        }
    }

    /// Removes `wanted` elements from this ordinal on, fewer than the node has.
    pub(super) fn remove(&mut self, ordinal: usize, wanted: usize) {
        self.open();
        let count = self.count();
        if let Body::Packed(run) = &mut self.body {
            let at = offset_of(run.entries(), count, ordinal);
            let end = offset_of(run.entries(), count, ordinal + wanted);
            run.splice(at, end - at, None);
            run.seal();
            self.count -= wanted as u32;
        }
    }

    /// Removes up to `limit` elements equal to `element` (`entry` is its encoding), counted from one end, in one pass.
    /// Returns how many; a compressed node without any stays compressed.
    pub(super) fn remove_equal(&mut self, element: &[u8], entry: &Encoded<'_>, limit: usize, from_back: bool) -> usize {
        let page = self.page();
        if page.plain {
            let equal = page.bytes() == element;
            self.count -= u32::from(equal);
            return usize::from(equal);
        }
        let hits = hits_of(page.bytes(), entry);
        if hits.is_empty() {
            return 0;
        }
        if let Cow::Owned(raw) = page.into_cow() {
            self.open_with(raw);
        }
        let removed = hits.len().min(limit);
        let chosen = if from_back { &hits[hits.len() - removed..] } else { &hits[..removed] };
        if let Body::Packed(run) = &mut self.body {
            let entry_len = entry.total_len();
            let (start, end) = (run.start, run.buf.len());
            let mut write = start + chosen[0];
            for (index, at) in chosen.iter().enumerate() {
                let keep_from = start + at + entry_len;
                let keep_to = chosen.get(index + 1).map_or(end, |next| start + next);
                run.buf.copy_within(keep_from..keep_to, write);
                write += keep_to - keep_from;
            }
            run.buf.truncate(write);
            run.seal();
            self.count -= removed as u32;
        }
        removed
    }

    /// Cuts a run in two before this ordinal and returns the second part. Both are without room.
    pub(super) fn split(&mut self, ordinal: usize) -> Node {
        self.open();
        let count = self.count();
        let mut right = Node::empty();
        if let Body::Packed(run) = &mut self.body {
            let at = offset_of(run.entries(), count, ordinal);
            let tail = run.entries()[at..].to_vec();
            run.buf.truncate(run.start + at);
            run.seal();
            self.count = ordinal as u32;
            right = Node { body: Body::Packed(Run::adopt(tail, 0)), count: (count - ordinal) as u32 };
        }
        right
    }

    /// Adds all elements of `right`, which is a run as this is.
    pub(super) fn append(&mut self, mut right: Node) {
        self.open();
        right.open();
        if let (Body::Packed(run), Body::Packed(tail)) = (&mut self.body, &right.body) {
            run.buf.reserve_exact(tail.len());
            run.buf.extend_from_slice(tail.entries());
            run.seal();
            self.count += right.count;
        }
    }

    /// Asserts the node's own invariants.
    pub(super) fn check(&self) {
        let page = self.page();
        assert!(self.count > 0, "a node without elements");
        assert_eq!(self.raw_len(), page.bytes().len());
        if page.plain {
            assert_eq!(self.count, 1);
        } else {
            let wire = listpack::entries_to_wire(page.bytes(), self.count());
            let pack = listpack::from_wire(&wire).expect("whole entries, and as many as counted");
            assert_eq!(pack[listpack::HEADER_BYTES..], *page.bytes(), "canonical entries");
        }
    }
}

/// Offset of the element with this ordinal among `count`, from the nearer end; the length for `count` itself.
fn offset_of(entries: &[u8], count: usize, ordinal: usize) -> usize {
    let offset = if ordinal <= count / 2 {
        (0..ordinal).try_fold(0, |at, _| listpack::skip(entries, at))
    } else {
        (ordinal..count).try_fold(entries.len(), |end, _| listpack::step_back(entries, end, 0))
    };
    offset.unwrap_or(entries.len())
}

/// Offset at which a walk from the element with this ordinal starts: its begin, or for a backward walk its end.
pub(super) fn walk_offset(page: &Page<'_>, count: usize, ordinal: usize, backward: bool) -> usize {
    if page.plain { 0 } else { offset_of(page.bytes(), count, ordinal + usize::from(backward)) }
}

/// Offsets of the entries that are `entry`.
fn hits_of(entries: &[u8], entry: &Encoded<'_>) -> Vec<usize> {
    let offsets = std::iter::successors(Some(0), |at| listpack::skip(entries, *at));
    offsets.filter(|at| entry.is_at(entries, *at)).collect()
}
