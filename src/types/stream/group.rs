//! A consumer group: how far it has read, who reads in it, and which entries were delivered but not acknowledged yet. Knows
//! no entry, only ids.
//!
//! ```text
//! group     pending: id -> delivery time, deliveries, consumer      consumers: name -> number -> consumer
//! consumer  pending: ids
//! ```
//!
//! Invariant: an id is pending of exactly the consumer that the group's pending entry names, or of none; `nacked` counts the
//! latter.

use super::id::StreamId;
use super::log::Log;
use crate::ds::blob::Corrupt;
use crate::ds::idtree::IdTree;
use crate::ds::overlay::{Captured, Overlay};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A delivered entry that was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// When it was delivered last, Unix milliseconds.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
    /// To whom: a number that `Group::consumer_at` knows, or `NOBODY`.
    pub consumer: ConsumerNumber,
}

/// A consumer within its group; numbers are used anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConsumerNumber(u32);

impl ConsumerNumber {
    /// No consumer: the entry was given back and waits to be claimed.
    pub const NOBODY: ConsumerNumber = ConsumerNumber(u32::MAX);
}

/// The time of delivery of what nobody has: idle for longer than anybody asks for.
const NEVER_MS: i64 = 0;

/// One who reads in a group.
#[derive(Clone, Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it was last heard of, Unix milliseconds.
    pub seen_ms: i64,
    /// When an entry was last delivered to it, Unix milliseconds; -1: never.
    pub active_ms: i64,
    pending: IdTree<()>,
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its name, to keep.
    pub fn shared_name(&self) -> Arc<[u8]> {
        Arc::clone(&self.name)
    }

    /// Number of its pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids of its pending entries from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = StreamId> + '_ {
        self.pending.iter_from(start.0).map(|(id, ())| StreamId(id))
    }
}

/// A group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry delivered to any of its consumers.
    pub last_id: StreamId,
    /// Entries read since the stream began, if that can be told.
    pub entries_read: Option<i64>,
    pending: IdTree<Pending>,
    /// Pending entries of nobody.
    nacked: usize,
    /// The pending entries by their time of delivery, once somebody has asked for the idle ones.
    by_time: Option<BTreeSet<(i64, StreamId)>>,
    consumers: Slab<Consumer>,
    names: BTreeMap<Arc<[u8]>, u32>,
    /// Its pending entries as they were when their capture began.
    capture: Captured<Overlay<Pending>>,
}

impl Group {
    /// A group that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> Group {
        Group { last_id, entries_read, ..Group::default() }
    }

    // ---- Consumers ----

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.consumers.len()
    }

    /// All consumers by name.
    pub fn consumers(&self) -> impl Iterator<Item = (ConsumerNumber, &Consumer)> + '_ {
        self.names.values().filter_map(|number| Some((ConsumerNumber(*number), self.consumers.get(*number as usize)?)))
    }

    /// The number of a consumer.
    pub fn find_consumer(&self, name: &[u8]) -> Option<ConsumerNumber> {
        self.names.get(name).map(|number| ConsumerNumber(*number))
    }

    /// The consumer of a number.
    pub fn consumer_at(&self, number: ConsumerNumber) -> Option<&Consumer> {
        self.consumers.get(number.0 as usize)
    }

    /// The consumer of a number, to note when it was seen.
    pub fn consumer_at_mut(&mut self, number: ConsumerNumber) -> Option<&mut Consumer> {
        self.consumers.get_mut(number.0 as usize)
    }

    /// Makes a consumer; nothing if there is one of this name.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: i64) -> Option<ConsumerNumber> {
        if self.names.contains_key(name) {
            return None;
        }
        let name: Arc<[u8]> = name.into();
        let consumer = Consumer { name: name.clone(), seen_ms, active_ms: -1, pending: IdTree::default() };
        let number = self.consumers.insert(consumer) as u32;
        self.names.insert(name, number);
        Some(ConsumerNumber(number))
    }

    /// Removes a consumer with its pending entries; how many these were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers.try_remove(number as usize)?;
        for (id, ()) in consumer.pending.iter() {
            self.preserve(StreamId(id));
            let pending = self.pending.remove(id);
            forget_time(&mut self.by_time, StreamId(id), pending);
        }
        Some(consumer.pending.len())
    }

    /// The group has read an entry: how many it has read is counted on, or found out anew.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        let counts = self.last_id >= log.first_id() && !log.has_gap_after(self.last_id);
        self.entries_read = match self.entries_read {
            Some(read) if counts => Some(read.saturating_add(1)),
            _ => log.place_of(id),
        };
        self.last_id = id;
    }

    // ---- Pending entries ----

    /// Number of pending entries.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The pending entry of an id.
    pub fn pending(&self, id: StreamId) -> Option<Pending> {
        self.pending.get(id.0).copied()
    }

    /// The pending entries from `start` on.
    pub fn pending_from(&self, start: StreamId) -> impl Iterator<Item = (StreamId, Pending)> + '_ {
        self.pending.iter_from(start.0).map(|(id, pending)| (StreamId(id), *pending))
    }

    /// The first and the last pending id.
    pub fn pending_bounds(&self) -> Option<(StreamId, StreamId)> {
        Some((StreamId(self.pending.first()?.0), StreamId(self.pending.last()?.0)))
    }

    /// An entry is pending of a consumer now, whoever had it before.
    pub fn deliver(&mut self, id: StreamId, pending: Pending) {
        self.preserve(id);
        let old = self.pending.insert(id.0, pending);
        forget_time(&mut self.by_time, id, old);
        if let Some(times) = &mut self.by_time {
            times.insert((pending.delivered_ms, id));
        }
        let before = old.map(|old| old.consumer);
        if before == Some(pending.consumer) {
            return;
        }
        self.nacked += usize::from(pending.consumer == ConsumerNumber::NOBODY);
        self.nacked -= usize::from(before == Some(ConsumerNumber::NOBODY));
        if let Some(old) = before.and_then(|old| self.consumer_at_mut(old)) {
            old.pending.remove(id.0);
        }
        if let Some(consumer) = self.consumer_at_mut(pending.consumer) {
            consumer.pending.insert(id.0, ());
        }
    }

    /// A pending entry was delivered once more to the consumer that has it.
    pub fn deliver_again(&mut self, id: StreamId, now_ms: i64) {
        self.preserve(id);
        if let Some(pending) = self.pending.get_mut(id.0) {
            forget_time(&mut self.by_time, id, Some(*pending));
            if let Some(times) = &mut self.by_time {
                times.insert((now_ms, id));
            }
            pending.delivered_ms = now_ms;
            pending.deliveries = pending.deliveries.wrapping_add(1);
        }
    }

    /// An entry is pending no more; whether it was.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        self.preserve(id);
        let Some(pending) = self.pending.remove(id.0) else { return false };
        forget_time(&mut self.by_time, id, Some(pending));
        self.nacked -= usize::from(pending.consumer == ConsumerNumber::NOBODY);
        if let Some(consumer) = self.consumer_at_mut(pending.consumer) {
            consumer.pending.remove(id.0);
        }
        true
    }

    /// Nobody has a pending entry any more: whoever claims gets it. How often it counts as delivered follows from how often it
    /// was, which is 0 for what was not pending.
    pub fn give_back(&mut self, id: StreamId, deliveries: impl FnOnce(u64) -> u64) {
        let deliveries = deliveries(self.pending(id).map_or(0, |pending| pending.deliveries));
        self.deliver(id, Pending { delivered_ms: NEVER_MS, deliveries, consumer: ConsumerNumber::NOBODY });
    }

    /// Number of pending entries that nobody has.
    #[inline]
    pub fn nacked(&self) -> usize {
        self.nacked
    }

    /// The pending entries by their time of delivery, the oldest first. The first call sorts them all.
    pub fn pending_by_time(&mut self) -> impl Iterator<Item = (i64, StreamId)> + '_ {
        let pending = &self.pending;
        let times = self
            .by_time
            .get_or_insert_with(|| pending.iter().map(|(id, pending)| (pending.delivered_ms, StreamId(id))).collect());
        times.iter().copied()
    }

    /// Whether this group may still deliver an entry, or waits for it to be acknowledged.
    pub fn refers_to(&self, id: StreamId) -> bool {
        id > self.last_id || self.pending.contains(id.0)
    }

    // ---- As it was ----

    /// Begins to hand the present pending entries over.
    pub(super) fn begin_capture(&self) {
        self.capture.begin(Overlay::new(self.pending.last().map(|(id, _)| id)));
    }

    /// Whether they are being handed over.
    pub(super) fn is_captured(&self) -> bool {
        self.capture.is_some()
    }

    /// Hands the next one over as it was; false once there is none left.
    pub(super) fn capture_step(&self, each: impl FnOnce(StreamId, Pending)) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        let has_come = capture.step(&self.pending, |id, pending| each(StreamId(id), *pending));
        if has_come {
            self.capture.put(capture);
        }
        has_come
    }

    /// Nobody wants them any more.
    pub(super) fn abandon_capture(&self) {
        drop(self.capture.take());
    }

    /// A pending entry is about to change, to come or to go: how it is now is kept if it is still wanted.
    #[inline(always)]
    fn preserve(&mut self, id: StreamId) {
        if let Some(capture) = self.capture.get_mut().filter(|capture| capture.wants(id.0)) {
            capture.keep(id.0, self.pending.get(id.0).copied());
        }
    }

    /// Heap bytes.
    pub fn alloc_bytes(&self) -> usize {
        let consumers = self.consumers.iter().map(|(_, consumer)| {
            // A name's allocation has two counts before it; it stands in the tree of names besides.
            let name = consumer.name.len() + 2 * size_of::<usize>();
            name + size_of::<(Arc<[u8]>, u32)>() + consumer.pending.alloc_bytes()
        });
        let times = self.by_time.as_ref().map_or(0, |times| times.len() * size_of::<(i64, StreamId)>());
        self.pending.alloc_bytes()
            + times
            + self.consumers.capacity() * size_of::<Consumer>()
            + consumers.sum::<usize>()
    }
}

/// An entry is not pending since this time any more.
fn forget_time(times: &mut Option<BTreeSet<(i64, StreamId)>>, id: StreamId, old: Option<Pending>) {
    if let (Some(times), Some(old)) = (times, old) {
        times.remove(&(old.delivered_ms, id));
    }
}

/// Builds a group as files have it: all pending entries of the group first, then the consumers, each with its share of ids.
#[derive(Debug, Default)]
pub struct GroupBuilder {
    group: Group,
    unowned: IdTree<(i64, u64)>,
}

impl GroupBuilder {
    /// A group that has read up to `last_id`.
    pub fn new(last_id: StreamId, entries_read: Option<i64>) -> GroupBuilder {
        GroupBuilder { group: Group::new(last_id, entries_read), unowned: IdTree::default() }
    }

    /// A pending entry of the group.
    ///
    /// # Errors
    /// `Corrupt` if it was given before.
    pub fn pending(&mut self, id: StreamId, delivered_ms: i64, deliveries: u64) -> Result<(), Corrupt> {
        match self.unowned.insert(id.0, (delivered_ms, deliveries)) {
            None => Ok(()),
            Some(_) => Err(Corrupt { offset: 0, what: "stream group with a pending entry twice" }),
        }
    }

    /// A consumer. `active_ms` is -1 if nothing was ever delivered to it.
    ///
    /// # Errors
    /// `Corrupt` if there is one of this name.
    pub fn consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: i64) -> Result<ConsumerNumber, Corrupt> {
        let twice = Corrupt { offset: 0, what: "stream group with a consumer twice" };
        let number = self.group.add_consumer(name, seen_ms).ok_or(twice)?;
        if let Some(consumer) = self.group.consumer_at_mut(number) {
            consumer.active_ms = active_ms;
        }
        Ok(number)
    }

    /// One of the pending entries is this consumer's.
    ///
    /// # Errors
    /// `Corrupt` if the group has no such entry, or another consumer has it.
    pub fn owned(&mut self, consumer: ConsumerNumber, id: StreamId) -> Result<(), Corrupt> {
        let foreign = Corrupt { offset: 0, what: "stream consumer with a pending entry that its group has not" };
        let (delivered_ms, deliveries) = self.unowned.remove(id.0).ok_or(foreign)?;
        self.group.deliver(id, Pending { delivered_ms, deliveries, consumer });
        Ok(())
    }

    /// One of the pending entries is nobody's.
    ///
    /// # Errors
    /// `Corrupt` if the group has no such entry, or a consumer has it.
    pub fn unowned(&mut self, id: StreamId) -> Result<(), Corrupt> {
        let foreign = Corrupt { offset: 0, what: "stream group that gave back what it has not" };
        let (delivered_ms, deliveries) = self.unowned.remove(id.0).ok_or(foreign)?;
        self.group.deliver(id, Pending { delivered_ms, deliveries, consumer: ConsumerNumber::NOBODY });
        Ok(())
    }

    /// The group.
    ///
    /// # Errors
    /// `Corrupt` if a pending entry is no consumer's and was not given back.
    pub fn finish(self) -> Result<Group, Corrupt> {
        if self.unowned.is_empty() {
            return Ok(self.group);
        }
        Err(Corrupt { offset: 0, what: "stream group with a pending entry of no consumer" })
    }
}
