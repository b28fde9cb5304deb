//! Streams: entries in nodes (`log`, `node`), and groups of consumers that read them (`group`). A stream without entries
//! stays a key. Knows no key, no client.
//!
//! Files are written from `Log::nodes` and the accessors here, and read back by `Log::from_nodes`, `GroupBuilder` and
//! `StreamData::from_parts`.

mod capture;
mod group;
mod id;
mod idmp;
mod log;
mod node;
#[cfg(test)]
mod tests;

pub use capture::{ConsumerFacts, Facts, GroupFacts, StreamPiece};
pub use group::{Consumer, ConsumerNumber, Group, GroupBuilder, Pending};
pub use id::{GivenId, IdText, StreamId};
pub use idmp::{Idempotence, MAX_DURATION_S, MAX_LEN, Memory, Recorded, content_id};
pub use log::{Log, LogFacts, NodeLimits, Range, Threshold, Trim};
pub use node::StreamEntry;

use super::value::{Big, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::ds::blob::Corrupt;
use crate::ds::overlay::Captured;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

/// The marker of streams.
pub struct Stream;

/// A stream.
#[derive(Clone, Debug, Default)]
pub struct StreamData {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Box<Group>>,
    /// What it knows of producers; nothing as long as none said who it is and the bounds are the usual ones.
    idmp: Option<Box<Idempotence>>,
    capture: Captured<capture::Capture>,
}

/// What becomes of the places where groups still refer to an entry that is to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum References {
    /// They stay.
    #[default]
    Keep,
    /// They go, too.
    Delete,
    /// While there are any the entry stays.
    Acked,
}

/// What became of an entry that was to be deleted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deleted {
    /// There was none.
    Missing,
    /// It is deleted.
    Done,
    /// A group refers to it.
    Referenced,
}

impl StreamData {
    /// A stream of parts that were read from a file.
    ///
    /// # Errors
    /// `Corrupt` if a group comes twice.
    pub fn from_parts(
        log: Log,
        groups: impl IntoIterator<Item = (Box<[u8]>, Group)>,
        idmp: Option<Idempotence>,
    ) -> Result<StreamData, Corrupt> {
        let idmp = idmp.filter(|idmp| !idmp.is_plain()).map(Box::new);
        let mut data = StreamData { log, groups: BTreeMap::new(), idmp, capture: Captured::default() };
        for (name, group) in groups {
            if data.groups.insert(name, Box::new(group)).is_some() {
                return Err(Corrupt { offset: 0, what: "stream with a group twice" });
            }
        }
        Ok(data)
    }

    /// A value for `key` that holds this stream.
    pub fn into_entry(self, key: &[u8], lru: u32, deadline: Option<i64>) -> Entry {
        Entry::new_big(key, Kind::BigStream as u8, Box::new(Big::Stream(Box::new(self))), lru, deadline)
    }

    /// The entries.
    #[inline]
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The entries, to change them.
    #[inline]
    pub fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    // ---- Producers ----

    /// What it knows of producers, if it knows of any or has bounds of its own.
    #[inline]
    pub fn idmp(&self) -> Option<&Idempotence> {
        self.idmp.as_deref()
    }

    /// What it knows of producers, to change it.
    pub fn idmp_mut(&mut self) -> &mut Idempotence {
        self.idmp.get_or_insert_default()
    }

    // ---- Groups ----

    /// Number of groups.
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// All groups by name.
    pub fn groups(&self) -> impl Iterator<Item = (&[u8], &Group)> + '_ {
        self.groups.iter().map(|(name, group)| (&name[..], &**group))
    }

    /// A group.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name).map(|group| &**group)
    }

    /// A group, to change it.
    pub fn group_mut(&mut self, name: &[u8]) -> Option<&mut Group> {
        self.groups.get_mut(name).map(|group| &mut **group)
    }

    /// A group to change and the entries that it reads.
    pub fn group_and_log(&mut self, name: &[u8]) -> Option<(&mut Group, &Log)> {
        Some((self.groups.get_mut(name)?, &self.log))
    }

    /// Makes a group; false if there is one of this name.
    pub fn add_group(&mut self, name: &[u8], group: Group) -> bool {
        if self.groups.contains_key(name) {
            return false;
        }
        self.groups.insert(name.into(), Box::new(group));
        true
    }

    /// Removes a group; whether there was one.
    pub fn remove_group(&mut self, name: &[u8]) -> bool {
        let Some(group) = self.groups.remove(name) else { return false };
        drop(self.destroyed(name, group));
        true
    }

    /// The place of an id among all entries that ever were: how many had been added when it was. `None` if deletions make
    /// that unknowable.
    pub fn place_of(&self, id: StreamId) -> Option<i64> {
        self.log.place_of(id)
    }

    /// How many entries a group has not read yet, if that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let log = &self.log;
        let added = log.entries_added() as i64;
        if added == 0 || log.is_empty() {
            return Some(0);
        }
        if group.last_id < log.first_id() && log.max_deleted_id() < log.first_id() {
            // All that is left is ahead of the group.
            return Some(log.len() as i64);
        }
        match group.entries_read {
            Some(read) if !log.has_gap_after(group.last_id) => Some(added.wrapping_sub(read)),
            _ => log.place_of(group.last_id).map(|place| added - place),
        }
    }

    /// Whether a group has pending entries of no consumer.
    pub fn has_nacked(&self) -> bool {
        self.groups.values().any(|group| group.nacked() > 0)
    }

    // ---- Deleting ----

    /// Deletes an entry unless a reference that must stay forbids it.
    pub fn delete(&mut self, id: StreamId, references: References) -> Deleted {
        if references == References::Keep {
            return if self.log.delete(id) { Deleted::Done } else { Deleted::Missing };
        }
        if self.log.get(id).is_none() {
            return Deleted::Missing;
        }
        if !release(&mut self.groups, id, references) {
            return Deleted::Referenced;
        }
        self.log.delete(id);
        Deleted::Done
    }

    /// Removes the oldest entries; how many went.
    pub fn trim(&mut self, trim: Trim, references: References) -> u64 {
        if references == References::Keep || self.groups.is_empty() {
            return self.log.trim(trim);
        }
        let groups = &mut self.groups;
        self.log.trim_each(trim, |id| release(groups, id, references))
    }

    // ---- Measures ----

    /// Allocations that freeing it touches, about.
    pub fn free_effort(&self) -> usize {
        let groups = self.groups.values().map(|group| 2 + group.pending_len() / 16 + group.consumer_count());
        let producers = self.idmp().map_or(0, Idempotence::free_effort);
        self.log.node_count() + groups.sum::<usize>() + producers
    }

    /// Heap bytes; `samples` nodes are measured (0: all).
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let groups = self.groups.iter().map(|(name, group)| {
            name.len() + size_of::<(Box<[u8]>, Box<Group>)>() + size_of::<Group>() + group.alloc_bytes()
        });
        let producers = self.idmp().map_or(0, Idempotence::alloc_bytes);
        size_of::<StreamData>() + self.log.alloc_bytes(samples) + groups.sum::<usize>() + producers
    }
}

/// Reads arbitrary bytes as a node of a file, 16 bytes of id and a listpack: no input may panic, and what is accepted can be
/// walked both ways, trimmed and emptied.
pub fn fuzz_stream(data: &[u8]) {
    let Some((id, wire)) = data.split_first_chunk() else { return };
    let Ok(pack) = crate::ds::listpack::from_wire(wire) else { return };
    let master = StreamId::from_be_bytes(*id);
    let Ok(survey) = node::survey(&pack, master) else { return };
    let facts = LogFacts { len: survey.live, last_id: survey.last_id, ..LogFacts::default() };
    let Ok(log) = Log::from_nodes([(master, pack)], facts) else { return };
    let forward: Vec<StreamId> = log.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).collect();
    assert_eq!(forward.len() as u64, survey.live, "all live entries are walked");
    let backward = log.range_rev(StreamId::MIN, StreamId::MAX).map(|entry| entry.id);
    assert!(backward.eq(forward.iter().rev().copied()), "both directions see the same");
    let mut trimmed = log.clone();
    let half = Trim { threshold: Threshold::MaxLen(survey.live / 2), approximate: false, limit: 0 };
    assert_eq!(trimmed.trim(half), survey.live - survey.live / 2);
    let mut emptied = log;
    forward.into_iter().for_each(|id| assert!(emptied.delete(id), "what was walked can be deleted"));
    assert_eq!((emptied.len(), emptied.node_count()), (0, 0));
}

/// Takes an entry away from the groups as far as `references` wants it; whether it may be deleted.
fn release(groups: &mut BTreeMap<Box<[u8]>, Box<Group>>, id: StreamId, references: References) -> bool {
    match references {
        References::Keep => true,
        References::Acked => !groups.values().any(|group| group.refers_to(id)),
        References::Delete => {
            groups.values_mut().for_each(|group| {
                group.acknowledge(id);
            });
            true
        }
    }
}

/// A stream to change, in its place in a table.
pub struct StreamMut<'a> {
    entry: EntryMut<'a>,
    limits: NodeLimits,
}

impl StreamMut<'_> {
    /// Adds an entry; see `Log::append`.
    #[inline]
    pub fn append<'w>(&mut self, id: StreamId, pairs: usize, bytes: usize, word: &impl Fn(usize) -> &'w [u8]) {
        let limits = self.limits;
        self.log_mut().append(id, pairs, bytes, word, limits);
    }
}

impl Deref for StreamMut<'_> {
    type Target = StreamData;

    #[inline]
    fn deref(&self) -> &StreamData {
        match self.entry.big() {
            Some(Big::Stream(data)) => data,
            _ => unreachable!("an entry of this kind holds a stream"),
        }
    }
}

impl DerefMut for StreamMut<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut StreamData {
        match self.entry.big_mut() {
            Some(Big::Stream(data)) => data,
            _ => unreachable!("an entry of this kind holds a stream"),
        }
    }
}

impl Value for Stream {
    const TYPE: Type = Type::Stream;
    type Ref<'a> = &'a StreamData;
    type Mut<'a> = StreamMut<'a>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> &StreamData {
        match entry.big() {
            Some(Big::Stream(data)) => data,
            _ => unreachable!("an entry of this kind holds a stream"),
        }
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> StreamMut<'a> {
        StreamMut { entry, limits: NodeLimits { bytes: limits.stream_bytes, entries: limits.stream_entries } }
    }

    fn create(key: &[u8], limits: &Limits, lru: u32) -> Entry {
        // A stream keeps the bounds that are configured when it is made.
        let is_usual = limits.stream_memory == Memory::default();
        let idmp = (!is_usual).then(|| Box::new(Idempotence::new(limits.stream_memory)));
        let mut stream = StreamData::default();
        stream.idmp = idmp;
        stream.into_entry(key, lru, None)
    }

    #[inline]
    fn soonest(entry: EntryRef<'_>) -> Option<i64> {
        Self::view(entry).idmp().and_then(Idempotence::soonest)
    }

    /// Never: a stream keeps its ids and groups when all entries are gone.
    fn is_empty(_entry: EntryRef<'_>) -> bool {
        false
    }
}
