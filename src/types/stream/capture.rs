//! A stream handed over as it was at one moment, while it changes: its nodes, its groups with their pending entries, what it
//! knows of producers. Knows no file; the pieces come in the order in which files have them.
//!
//! ```text
//! begin    the short things are copied: ids, counts, groups and consumers without their entries, producers
//! nodes    in order, some at a time; what is about to change is kept by the log (ds::overlay)
//! groups   one after the other: pending entries in order, kept likewise by the group; then those of each consumer, gathered
//!          from them; a group that is destroyed meanwhile waits here for its turn
//! ```

use super::group::{ConsumerNumber, Group};
use super::id::StreamId;
use super::{Idempotence, StreamData};
use crate::types::{Piece, Pieces};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of nodes that a step hands over, about.
const STEP_BYTES: usize = 64 << 10;
/// Pending entries that it hands over.
const STEP_PENDING: usize = 512;
/// Ids of a consumer that it hands over.
const STEP_IDS: usize = 8 << 10;

/// A piece of a stream. They come in the order in which they stand here, those of a group for each of the groups.
#[derive(Clone, Copy, Debug)]
pub enum StreamPiece<'a> {
    /// A node: master id and listpack. How many there are is known beforehand.
    Node(StreamId, &'a [u8]),
    /// What stands behind the nodes, and the number of groups.
    Facts(&'a Facts, usize),
    /// A group, and how many pending entries follow.
    Group(&'a GroupFacts),
    /// A pending entry: id, time of delivery, deliveries.
    Pending(StreamId, i64, u64),
    /// How many of something follow: consumers, or pending entries of nobody.
    Count(usize),
    /// A consumer, and how many ids of pending entries follow.
    Consumer(&'a ConsumerFacts),
    /// A pending entry of the consumer, or of nobody.
    Id(StreamId),
    /// What is known of producers.
    Producers(&'a Idempotence),
}

/// A stream without nodes and groups.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// Number of entries.
    pub len: u64,
    /// The greatest id ever given out.
    pub last_id: StreamId,
    /// The first entry's id.
    pub first_id: StreamId,
    /// The greatest deleted id.
    pub max_deleted_id: StreamId,
    /// Entries ever added.
    pub entries_added: u64,
}

/// A group without its pending entries.
#[derive(Clone, Debug)]
pub struct GroupFacts {
    /// Its name.
    pub name: Box<[u8]>,
    /// The last entry delivered to any of its consumers.
    pub last_id: StreamId,
    /// Entries read since the stream began, if that can be told.
    pub entries_read: Option<i64>,
    /// Number of its pending entries.
    pub pending: usize,
}

/// A consumer with the ids of its pending entries.
#[derive(Clone, Debug)]
pub struct ConsumerFacts {
    number: ConsumerNumber,
    /// Its name.
    pub name: Arc<[u8]>,
    /// When it was last heard of, Unix milliseconds.
    pub seen_ms: i64,
    /// When an entry was last delivered to it, Unix milliseconds; -1: never.
    pub active_ms: i64,
    /// Its pending entries.
    pub ids: Vec<StreamId>,
}

impl Facts {
    /// Of a stream.
    pub fn of(stream: &StreamData) -> Facts {
        let log = stream.log();
        Facts {
            len: log.len(),
            last_id: log.last_id(),
            first_id: log.first_id(),
            max_deleted_id: log.max_deleted_id(),
            entries_added: log.entries_added(),
        }
    }
}

/// What is left of a group to hand over.
struct GroupTodo {
    facts: GroupFacts,
    /// By name.
    consumers: VecDeque<ConsumerFacts>,
    /// Pending entries of nobody.
    unowned: Vec<StreamId>,
    stage: Stage,
}

/// Where a group's capture stands.
enum Stage {
    Begin,
    Pending,
    Consumers,
    /// So many ids of the first consumer have come.
    Ids(usize),
    Unowned(usize),
}

/// A stream that is being handed over.
pub(super) struct Capture {
    to: Box<dyn Pieces>,
    /// Blocks of nodes that have come; nothing once that was the last.
    blocks: Option<u32>,
    facts: Facts,
    groups: VecDeque<GroupTodo>,
    /// Groups that were destroyed before their turn.
    destroyed: BTreeMap<Box<[u8]>, Box<Group>>,
    /// Whether entries of nobody are told.
    has_nacked: bool,
    producers: Option<Idempotence>,
}

impl GroupTodo {
    fn of(name: &[u8], group: &Group) -> GroupTodo {
        group.begin_capture();
        let facts = GroupFacts {
            name: name.into(),
            last_id: group.last_id,
            entries_read: group.entries_read,
            pending: group.pending_len(),
        };
        let consumers = group.consumers().map(|(number, consumer)| ConsumerFacts {
            number,
            name: consumer.shared_name(),
            seen_ms: consumer.seen_ms,
            active_ms: consumer.active_ms,
            ids: Vec::with_capacity(consumer.pending_len()),
        });
        let consumers = consumers.collect();
        GroupTodo { facts, consumers, unowned: Vec::with_capacity(group.nacked()), stage: Stage::Begin }
    }

    /// Hands the next part over; false once that was the last.
    fn step(&mut self, group: Option<&Group>, has_nacked: bool, to: &mut dyn Pieces) -> bool {
        let mut tell = |piece: StreamPiece<'_>| to.piece(Piece::Stream(piece));
        match self.stage {
            Stage::Begin => {
                tell(StreamPiece::Group(&self.facts));
                // By number, to find the owner of an entry; files have them by name, which comes again later.
                self.consumers.make_contiguous().sort_unstable_by_key(|consumer| consumer.number);
                self.stage = Stage::Pending;
            }
            Stage::Pending => {
                let consumers = self.consumers.make_contiguous();
                let unowned = &mut self.unowned;
                let mut hand_over = |id, pending: super::Pending| {
                    tell(StreamPiece::Pending(id, pending.delivered_ms, pending.deliveries));
                    match consumers.binary_search_by_key(&pending.consumer, |consumer| consumer.number) {
                        Ok(at) => consumers[at].ids.push(id),
                        Err(_) => unowned.push(id),
                    }
                };
                let has_more = group.is_some_and(|group| (0..STEP_PENDING).all(|_| group.capture_step(&mut hand_over)));
                if !has_more {
                    consumers.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                    tell(StreamPiece::Count(self.consumers.len()));
                    self.stage = Stage::Consumers;
                }
            }
            Stage::Consumers => match self.consumers.front() {
                Some(consumer) => {
                    tell(StreamPiece::Consumer(consumer));
                    self.stage = Stage::Ids(0);
                }
                None if has_nacked => {
                    tell(StreamPiece::Count(self.unowned.len()));
                    self.stage = Stage::Unowned(0);
                }
                None => return false,
            },
            Stage::Ids(from) => {
                let ids = self.consumers.front().map_or(&[][..], |consumer| &consumer.ids);
                ids.iter().skip(from).take(STEP_IDS).for_each(|id| tell(StreamPiece::Id(*id)));
                self.stage = Stage::Ids(from + STEP_IDS);
                if from + STEP_IDS >= ids.len() {
                    self.consumers.pop_front();
                    self.stage = Stage::Consumers;
                }
            }
            Stage::Unowned(from) => {
                self.unowned.iter().skip(from).take(STEP_IDS).for_each(|id| tell(StreamPiece::Id(*id)));
                self.stage = Stage::Unowned(from + STEP_IDS);
                return from + STEP_IDS < self.unowned.len();
            }
        }
        true
    }
}

impl Capture {
    fn nodes(&mut self, stream: &StreamData, done: u32) {
        let (to, mut bytes) = (&mut self.to, 0);
        let mut has_more = true;
        while has_more && bytes < STEP_BYTES {
            has_more = stream.log.capture_step(|id, pack| {
                bytes += pack.len();
                to.piece(Piece::Stream(StreamPiece::Node(id, pack)));
            });
        }
        if bytes > 0 {
            to.pause(done + 1);
        }
        self.blocks = Some(done + 1);
        if !has_more {
            self.blocks = None;
            to.piece(Piece::Stream(StreamPiece::Facts(&self.facts, self.groups.len())));
        }
    }

    /// Hands the next part over; false once that was the last.
    fn step(&mut self, stream: &StreamData) -> bool {
        if let Some(done) = self.blocks {
            self.nodes(stream, done);
            return true;
        }
        if let Some(group) = self.groups.front_mut() {
            let name = &group.facts.name;
            let found = self.destroyed.get(name).or_else(|| stream.groups.get(name)).map(|group| &**group);
            if !group.step(found, self.has_nacked, &mut *self.to) {
                self.destroyed.remove(&group.facts.name);
                self.groups.pop_front();
            }
            self.to.pause(0);
            return true;
        }
        if let Some(producers) = &self.producers {
            self.to.piece(Piece::Stream(StreamPiece::Producers(producers)));
        }
        self.to.end();
        false
    }
}

impl StreamData {
    /// Begins to hand the present stream over.
    pub fn begin_capture(&self, to: Box<dyn Pieces>) {
        let has_nacked = self.has_nacked();
        let idmp = self.idmp().filter(|idmp| !idmp.is_plain()).cloned();
        self.log.begin_capture();
        self.capture.begin(Capture {
            to,
            blocks: Some(0),
            facts: Facts::of(self),
            groups: self.groups.iter().map(|(name, group)| GroupTodo::of(name, group)).collect(),
            destroyed: BTreeMap::new(),
            has_nacked,
            producers: idmp.or_else(|| has_nacked.then(Idempotence::default)),
        });
    }

    /// Whether it is being handed over.
    pub fn is_captured(&self) -> bool {
        self.capture.is_some()
    }

    /// Hands the next part over; false once that was the last.
    pub fn capture_step(&self) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        let has_more = capture.step(self);
        if has_more {
            self.capture.put(capture);
        }
        has_more
    }

    /// Nobody wants it any more.
    pub fn abandon_capture(&self) {
        drop(self.capture.take());
        self.log.abandon_capture();
        self.groups.values().for_each(|group| group.abandon_capture());
    }

    /// A group was destroyed: gives it back unless it is still to be handed over.
    pub(super) fn destroyed(&mut self, name: &[u8], group: Box<Group>) -> Option<Box<Group>> {
        let Some(capture) = self.capture.get_mut().filter(|_| group.is_captured()) else { return Some(group) };
        capture.destroyed.insert(name.into(), group);
        None
    }
}

impl Drop for StreamData {
    fn drop(&mut self) {
        while self.capture_step() {}
    }
}
