//! The entries of a stream: nodes by master id, and what is remembered of entries that are gone. Knows no group.
//!
//! ```text
//! sealed   tree of full nodes, each exactly as large as its bytes
//! tail     the last node, with room to grow: XADD reads its head and writes its end, and no tree
//! ```
//!
//! Invariants: `len` counts the live entries of all nodes; `first_id` is the first of them, 0-0 if there is none; no entry
//! is after `last_id`; no node but one from a file is without a live entry; an empty tail means that there is no node.

use super::id::StreamId;
use super::node::{self, Head, StreamEntry};
use crate::ds::blob::Corrupt;
use crate::ds::idtree::IdTree;
use crate::ds::listpack::WIRE_OVERHEAD_BYTES;
use crate::ds::overlay::{Captured, Overlay};
use crate::sys::alloc;
use std::cmp::Ordering;

/// Largest node and largest entry, bytes: a listpack ends at 4 GiB.
const MAX_NODE_BYTES: usize = 1 << 30;
/// The wire form of a node is so much longer than ours.
const WIRE_MORE_BYTES: usize = WIRE_OVERHEAD_BYTES - crate::ds::listpack::HEADER_BYTES;
/// A new node gets room for as much as the last one had, and a little more so that it need not move for its last entry; up
/// to here.
const MORE_ROOM_BYTES: usize = 256;
const MAX_FIRST_ROOM_BYTES: usize = 4096 + 2 * MORE_ROOM_BYTES;

/// How nodes are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimits {
    /// `stream-node-max-bytes`; 0: no limit.
    pub bytes: usize,
    /// `stream-node-max-entries`; 0: no limit.
    pub entries: u64,
}

/// What decides which entries are trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threshold {
    /// So many entries are left.
    MaxLen(u64),
    /// Entries before this one go.
    MinId(StreamId),
}

/// A wish to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// Which entries.
    pub threshold: Threshold,
    /// Whether only whole nodes go.
    pub approximate: bool,
    /// Most entries that go; 0: no limit.
    pub limit: u64,
}

/// The entries.
#[derive(Clone, Debug, Default)]
pub struct Log {
    sealed: IdTree<Vec<u8>>,
    tail_id: StreamId,
    tail: Vec<u8>,
    /// The tail's head, if it is known: XADD need not read it.
    head: Option<Head>,
    len: u64,
    entries_added: u64,
    first_id: StreamId,
    last_id: StreamId,
    max_deleted_id: StreamId,
    /// Its nodes as they were when their capture began.
    capture: Captured<Overlay<Vec<u8>>>,
}

// ---- Reading ----

impl Log {
    /// Number of entries.
    #[inline]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no entry.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The greatest id that was ever given out.
    #[inline]
    pub fn last_id(&self) -> StreamId {
        self.last_id
    }

    /// The first entry's id, 0-0 without entries.
    #[inline]
    pub fn first_id(&self) -> StreamId {
        self.first_id
    }

    /// The greatest id that was deleted (not trimmed).
    #[inline]
    pub fn max_deleted_id(&self) -> StreamId {
        self.max_deleted_id
    }

    /// Entries ever added.
    #[inline]
    pub fn entries_added(&self) -> u64 {
        self.entries_added
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.sealed.len() + usize::from(!self.tail.is_empty())
    }

    /// All nodes: master id and listpack (`ds::listpack` form), ascending. `from_nodes` takes them back.
    pub fn nodes(&self) -> impl Iterator<Item = (StreamId, &[u8])> + '_ {
        let tail = (!self.tail.is_empty()).then_some((self.tail_id, &self.tail[..]));
        self.sealed.iter().map(|(id, pack)| (StreamId(id), &pack[..])).chain(tail)
    }

    /// The node with the greatest master id that is not above `id`.
    #[inline]
    fn floor(&self, id: StreamId) -> Option<(StreamId, &[u8])> {
        if !self.tail.is_empty() && self.tail_id <= id {
            return Some((self.tail_id, &self.tail));
        }
        self.sealed.floor(id.0).map(|(id, pack)| (StreamId(id), &pack[..]))
    }

    /// The node with the least master id that is not below `id`.
    fn ceiling(&self, id: StreamId) -> Option<(StreamId, &[u8])> {
        match self.sealed.ceiling(id.0) {
            Some((id, pack)) => Some((StreamId(id), pack)),
            None => (!self.tail.is_empty() && self.tail_id >= id).then_some((self.tail_id, &self.tail)),
        }
    }

    fn pack_mut(&mut self, master: StreamId) -> Option<&mut Vec<u8>> {
        self.preserve(master);
        if master == self.tail_id && !self.tail.is_empty() {
            self.head = None;
            return Some(&mut self.tail);
        }
        self.sealed.get_mut(master.0)
    }

    /// The entries from `start` to `end`, ascending.
    pub fn range(&self, start: StreamId, end: StreamId) -> Range<'_> {
        let node = if self.len == 0 || start > end || end < self.first_id {
            None
        } else {
            self.floor(start).or_else(|| self.ceiling(start))
        };
        Range { log: self, start, end, walk: node.and_then(|(master, pack)| NodeWalk::front(master, pack)) }
    }

    /// The entries from `end` down to `start`.
    pub fn range_rev(&self, start: StreamId, end: StreamId) -> RangeRev<'_> {
        let node = if self.len == 0 || start > end { None } else { self.floor(end) };
        RangeRev { log: self, start, end, walk: node.and_then(|(master, pack)| NodeWalk::back(master, pack)) }
    }

    /// The entry of an id.
    #[inline]
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.range(id, id).next()
    }

    /// The id of the last entry that is there, 0-0 without entries.
    pub fn last_entry_id(&self) -> StreamId {
        self.range_rev(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id)
    }

    /// Whether an entry after `id` was deleted, as far as that matters: the last deleted one is not before all that are left.
    pub fn has_gap_after(&self, id: StreamId) -> bool {
        let gap = self.max_deleted_id;
        self.len > 0 && !gap.is_zero() && gap >= self.first_id && gap >= id
    }

    /// How many entries had been added when this id was the last, if deletions leave that knowable.
    pub fn place_of(&self, id: StreamId) -> Option<i64> {
        let added = self.entries_added as i64;
        if added == 0 {
            return Some(0);
        }
        if self.len == 0 && id <= self.last_id {
            return Some(added);
        }
        if !id.is_zero() && id < self.max_deleted_id {
            return None;
        }
        match id.cmp(&self.last_id) {
            Ordering::Equal => return Some(added),
            Ordering::Greater => return None,
            Ordering::Less => {}
        }
        // Between the first entry and the last one there is no gap that we know of only if the deleted ones were before it.
        if !self.max_deleted_id.is_zero() && self.max_deleted_id >= self.first_id {
            return None;
        }
        match id.cmp(&self.first_id) {
            Ordering::Less => Some(added - self.len as i64),
            Ordering::Equal => Some(added - self.len as i64 + 1),
            Ordering::Greater => None,
        }
    }

    /// Heap bytes; of `samples` sealed nodes the size is taken, of the others estimated (0: of all).
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let sampled = if samples == 0 { usize::MAX } else { samples };
        let (mut bytes, mut count) = (0, 0);
        for (_, pack) in self.sealed.iter().take(sampled) {
            bytes += alloc::size_class(pack.capacity());
            count += 1;
        }
        let sealed = if count == 0 { 0 } else { (bytes as f64 / count as f64 * self.sealed.len() as f64) as usize };
        sealed + alloc::size_class(self.tail.capacity()) + self.sealed.alloc_bytes()
    }
}

// ---- Changing ----

impl Log {
    /// Whether an entry of so many bytes fits into a stream.
    pub fn takes(bytes: usize) -> bool {
        bytes <= MAX_NODE_BYTES
    }

    /// Adds an entry with an id above `last_id`; `word(0)`, `word(1)`, ... are `pairs` fields and values of `bytes` in all.
    pub fn append<'w>(
        &mut self,
        id: StreamId,
        pairs: usize,
        bytes: usize,
        word: &impl Fn(usize) -> &'w [u8],
        limits: NodeLimits,
    ) {
        debug_assert!(id > self.last_id, "ids ascend");
        let known = self.head.take().or_else(|| Head::read(&self.tail));
        debug_assert_eq!(known, Head::read(&self.tail), "what is known of the tail is what it says");
        let mut head = match known {
            Some(head) if !self.is_tail_full(&head, bytes, limits) => head,
            _ => {
                self.seal();
                self.tail_id = id;
                node::begin(&mut self.tail, pairs, word)
            }
        };
        node::push(&mut self.tail, &mut head, (self.tail_id, id), pairs, bytes, word);
        self.head = Some(head);
        self.len += 1;
        self.entries_added += 1;
        self.last_id = id;
        if self.len == 1 {
            self.first_id = id;
        }
    }

    #[inline]
    fn is_tail_full(&self, head: &Head, bytes: usize, limits: NodeLimits) -> bool {
        let most = if limits.bytes == 0 { MAX_NODE_BYTES } else { limits.bytes.min(MAX_NODE_BYTES) };
        self.tail.len() + WIRE_MORE_BYTES + bytes >= most
            || (limits.entries > 0 && head.live + head.deleted >= limits.entries)
    }

    /// The tail joins the full nodes; the next one will need about as much room.
    #[cold]
    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let room = (self.tail.len() + MORE_ROOM_BYTES).min(MAX_FIRST_ROOM_BYTES);
        let mut full = std::mem::replace(&mut self.tail, Vec::with_capacity(room));
        full.shrink_to_fit();
        self.sealed.insert(self.tail_id.0, full);
    }

    fn remove_node(&mut self, master: StreamId) {
        if master != self.tail_id || self.tail.is_empty() {
            let pack = self.sealed.remove(master.0);
            if let Some(capture) = self.capture.get_mut().filter(|capture| capture.wants(master.0)) {
                capture.keep(master.0, pack);
            }
            return;
        }
        self.preserve(master);
        self.tail = Vec::new();
        self.head = None;
        if let Some((last, _)) = self.sealed.last() {
            self.preserve(StreamId(last));
            self.tail = self.sealed.remove(last).unwrap_or_default();
            self.tail_id = StreamId(last);
        }
    }

    /// Deletes an entry; false if there is none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        if !self.erase(id) {
            return false;
        }
        self.max_deleted_id = self.max_deleted_id.max(id);
        self.find_first(id);
        true
    }

    /// Removes an entry without remembering that it was deleted; `first_id` is left to the caller.
    fn erase(&mut self, id: StreamId) -> bool {
        let Some((master, pack)) = self.floor(id) else { return false };
        let Some(mut walk) = NodeWalk::front(master, pack) else { return false };
        let Some(at) = walk.find(|entry| entry.id >= id).filter(|entry| entry.id == id).map(|entry| entry.at) else {
            return false;
        };
        self.erase_at(master, at)
    }

    fn erase_at(&mut self, master: StreamId, at: usize) -> bool {
        let Some(pack) = self.pack_mut(master) else { return false };
        let Some(head) = Head::read(pack) else { return false };
        if head.live <= 1 {
            self.remove_node(master);
        } else {
            node::mark_deleted(pack, at);
            node::set_counts(pack, head.live - 1, head.deleted + 1);
        }
        self.len -= 1;
        true
    }

    /// `first_id` anew, if `gone` was the first.
    fn find_first(&mut self, gone: StreamId) {
        if self.len == 0 {
            self.first_id = StreamId::MIN;
        } else if gone == self.first_id {
            self.first_id = self.range(gone, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id);
        }
    }

    /// Removes the oldest entries as `trim` says; how many went.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        if matches!(trim.threshold, Threshold::MaxLen(most) if self.len <= most) {
            return 0;
        }
        let mut removed = 0;
        while let Some((master, pack)) = self.ceiling(StreamId::MIN) {
            let Some(head) = Head::read(pack) else { break };
            if trim.limit > 0 && removed + head.live > trim.limit {
                break;
            }
            let goes = match trim.threshold {
                Threshold::MaxLen(most) => self.len.saturating_sub(head.live) >= most && self.len > most,
                Threshold::MinId(min) => node::last_id(pack, master).is_some_and(|last| last < min),
            };
            if goes {
                self.len -= head.live;
                removed += head.live;
                self.remove_node(master);
                continue;
            }
            if !trim.approximate {
                removed += self.trim_node(master, trim.threshold);
            }
            break;
        }
        if removed > 0 {
            self.find_first(self.first_id);
        }
        removed
    }

    /// Deletes the first entries of a node that keeps some.
    fn trim_node(&mut self, master: StreamId, threshold: Threshold) -> u64 {
        let len = self.len;
        let Some(pack) = self.pack_mut(master) else { return 0 };
        let Some(head) = Head::read(pack) else { return 0 };
        let Some(mut at) = head.entries_at(pack) else { return 0 };
        let mut removed = 0;
        while let Some((entry, next)) = StreamEntry::read(pack, master, &head, at) {
            let (id, deleted) = (entry.id, entry.deleted);
            let stays = match threshold {
                Threshold::MaxLen(most) => len - removed <= most,
                Threshold::MinId(min) => id >= min,
            };
            if stays {
                break;
            }
            if !deleted {
                node::mark_deleted(pack, at);
                removed += 1;
            }
            at = next;
        }
        if removed > 0 {
            node::set_counts(pack, head.live.saturating_sub(removed), head.deleted + removed);
        }
        self.len -= removed;
        removed
    }

    /// As `trim`, entry by entry: `goes` is asked for each and does what else belongs to its end.
    pub fn trim_each(&mut self, trim: Trim, mut goes: impl FnMut(StreamId) -> bool) -> u64 {
        let (mut removed, mut from) = (0, StreamId::MIN);
        while let Some((master, pack)) = self.ceiling(from) {
            let Some(head) = Head::read(pack) else { break };
            let whole = match trim.threshold {
                Threshold::MaxLen(most) => self.len.saturating_sub(head.live) >= most && self.len > most,
                Threshold::MinId(min) => node::last_id(pack, master).is_some_and(|last| last < min),
            };
            if (trim.approximate && !whole) || (trim.limit > 0 && removed + head.live > trim.limit) {
                break;
            }
            let ids: Vec<StreamId> =
                NodeWalk::front(master, pack).into_iter().flatten().map(|entry| entry.id).collect();
            let mut over = false;
            for id in ids {
                over = match trim.threshold {
                    Threshold::MaxLen(most) => self.len <= most,
                    Threshold::MinId(min) => id >= min,
                };
                if over {
                    break;
                }
                if goes(id) && self.erase(id) {
                    removed += 1;
                }
            }
            let Some(next) = master.next().filter(|_| !over) else { break };
            from = next;
        }
        if removed > 0 {
            self.find_first(self.first_id);
        }
        removed
    }

    /// Sets what XSETID sets.
    pub fn set_ids(&mut self, last_id: StreamId, entries_added: Option<u64>, max_deleted_id: Option<StreamId>) {
        self.last_id = last_id;
        self.entries_added = entries_added.unwrap_or(self.entries_added);
        self.max_deleted_id = max_deleted_id.unwrap_or(self.max_deleted_id);
    }
}

// ---- As it was ----

impl Log {
    /// Begins to hand the present nodes over.
    pub(super) fn begin_capture(&self) {
        let last = if self.tail.is_empty() { self.sealed.last().map(|(id, _)| id) } else { Some(self.tail_id.0) };
        let mut capture = Overlay::new(last);
        if !self.tail.is_empty() {
            // It may grow at any moment, and is no longer than a request.
            capture.keep(self.tail_id.0, Some(self.tail.clone()));
        }
        self.capture.begin(capture);
    }

    /// Hands the next node over as it was; false once there is none left.
    pub(super) fn capture_step(&self, each: impl FnOnce(StreamId, &[u8])) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        let has_come = capture.step(&self.sealed, |id, pack| each(StreamId(id), pack));
        if has_come {
            self.capture.put(capture);
        }
        has_come
    }

    /// Nobody wants them any more.
    pub(super) fn abandon_capture(&self) {
        drop(self.capture.take());
    }

    /// A node is about to change: it is kept if it is still wanted as it is.
    #[inline(always)]
    fn preserve(&mut self, master: StreamId) {
        if self.capture.get_mut().is_some() {
            self.preserve_node(master);
        }
    }

    #[cold]
    fn preserve_node(&mut self, master: StreamId) {
        let Some(capture) = self.capture.get_mut().filter(|capture| capture.wants(master.0)) else { return };
        let is_tail = master == self.tail_id && !self.tail.is_empty();
        let pack = if is_tail { Some(&self.tail) } else { self.sealed.get(master.0) };
        capture.keep(master.0, pack.cloned());
    }
}

// ---- From files ----

/// What a file says of a stream besides its nodes and groups. `None`: written before Redis 7, to be found out.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFacts {
    /// Number of entries, checked against the nodes.
    pub len: u64,
    /// The greatest id ever given out.
    pub last_id: StreamId,
    /// The first entry's id.
    pub first_id: Option<StreamId>,
    /// The greatest deleted id.
    pub max_deleted_id: Option<StreamId>,
    /// Entries ever added.
    pub entries_added: Option<u64>,
}

impl Log {
    /// The entries of nodes from a file, in ascending order, each a whole listpack in our form (`listpack::from_wire`).
    ///
    /// # Errors
    /// The first thing that contradicts itself.
    pub fn from_nodes(nodes: impl IntoIterator<Item = (StreamId, Vec<u8>)>, facts: LogFacts) -> Result<Log, Corrupt> {
        let corrupt = |what| Corrupt { offset: 0, what };
        let mut log = Log::default();
        let mut above: Option<StreamId> = None;
        for (master, pack) in nodes {
            if above.is_some_and(|above| master <= above) {
                return Err(corrupt("stream nodes out of order"));
            }
            let survey = node::survey(&pack, master)?;
            log.len += survey.live;
            above = Some(survey.last_id);
            let before = std::mem::replace(&mut log.tail, pack);
            if !before.is_empty() {
                log.sealed.insert(log.tail_id.0, before);
            }
            log.tail_id = master;
        }
        if log.len != facts.len {
            return Err(corrupt("stream length differs from its entries"));
        }
        if above.is_some_and(|above| above > facts.last_id) {
            return Err(corrupt("stream entry after the last id"));
        }
        log.last_id = facts.last_id;
        log.max_deleted_id = facts.max_deleted_id.unwrap_or_default();
        log.entries_added = facts.entries_added.unwrap_or(log.len);
        // Told in newer files, but the entries know it too.
        log.first_id = log.range(StreamId::MIN, StreamId::MAX).next().map_or(StreamId::MIN, |entry| entry.id);
        Ok(log)
    }
}

// ---- Walking ----

/// A walk over a node's live entries.
#[derive(Clone, Copy, Debug)]
struct NodeWalk<'a> {
    master: StreamId,
    pack: &'a [u8],
    head: Head,
    entries_at: usize,
    at: usize,
}

impl<'a> NodeWalk<'a> {
    #[inline]
    fn front(master: StreamId, pack: &'a [u8]) -> Option<NodeWalk<'a>> {
        let head = Head::read(pack)?;
        let entries_at = head.entries_at(pack)?;
        Some(NodeWalk { master, pack, head, entries_at, at: entries_at })
    }

    #[inline]
    fn back(master: StreamId, pack: &'a [u8]) -> Option<NodeWalk<'a>> {
        Some(NodeWalk { at: pack.len(), ..NodeWalk::front(master, pack)? })
    }

    #[inline]
    fn next_back(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            self.at = node::step_back(self.pack, self.at, self.entries_at)?;
            let (entry, _) = StreamEntry::read(self.pack, self.master, &self.head, self.at)?;
            if !entry.deleted {
                return Some(entry);
            }
        }
    }
}

impl<'a> Iterator for NodeWalk<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let (entry, next) = StreamEntry::read(self.pack, self.master, &self.head, self.at)?;
            self.at = next;
            if !entry.deleted {
                return Some(entry);
            }
        }
    }
}

/// Entries of a range, ascending.
#[derive(Clone, Debug)]
pub struct Range<'a> {
    log: &'a Log,
    start: StreamId,
    end: StreamId,
    walk: Option<NodeWalk<'a>>,
}

impl<'a> Iterator for Range<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let walk = self.walk.as_mut()?;
            for entry in walk.by_ref() {
                if entry.id > self.end {
                    self.walk = None;
                    return None;
                }
                if entry.id >= self.start {
                    return Some(entry);
                }
            }
            let next = walk.master.next().filter(|next| *next <= self.end).and_then(|id| self.log.ceiling(id));
            self.walk = next.and_then(|(master, pack)| NodeWalk::front(master, pack));
        }
    }
}

/// Entries of a range, descending.
#[derive(Clone, Debug)]
pub struct RangeRev<'a> {
    log: &'a Log,
    start: StreamId,
    end: StreamId,
    walk: Option<NodeWalk<'a>>,
}

impl<'a> Iterator for RangeRev<'a> {
    type Item = StreamEntry<'a>;

    #[inline]
    fn next(&mut self) -> Option<StreamEntry<'a>> {
        loop {
            let walk = self.walk.as_mut()?;
            while let Some(entry) = walk.next_back() {
                if entry.id < self.start {
                    self.walk = None;
                    return None;
                }
                if entry.id <= self.end {
                    return Some(entry);
                }
            }
            let before = walk.master.prev().and_then(|id| self.log.floor(id));
            self.walk = before.and_then(|(master, pack)| NodeWalk::back(master, pack));
        }
    }
}
