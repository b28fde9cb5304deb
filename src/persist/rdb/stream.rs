//! Streams, there and back. Knows no other type.
//!
//! ```text
//! stream              n (master-id node)*n          two strings each; the id 16 bytes, big-endian
//!                     len last-id                   an id: two lengths, ms and seq
//!   from 19 on        first-id max-deleted-id entries-added
//!                     n group*n
//!   from 26 on        duration-s max-len n producer*n added duplicates
//! group               name last-id
//!   from 19 on        entries-read                  all bits set: not known
//!                     n (id16 ms-u64 deliveries)*n  pending entries
//!                     n consumer*n
//!   27                n id16*n                      pending entries of no consumer
//! consumer            name seen-ms-u64
//!   from 21 on        active-ms-u64
//!                     n id16*n                      its pending entries
//! producer            name n (idempotent-id id)*n
//! ```
//! The types are 15, 19, 21, 26 and 27. Written is 21 unless there is more to tell.

use super::code;
use super::encode::{Encoder, Sink};
use super::input::{Fault, Input, Reader};
use crate::ds::blob::Corrupt;
use crate::ds::listpack;
use crate::types::{
    ConsumerNumber, Facts, Group, GroupBuilder, GroupFacts, Idempotence, Log, LogFacts, MAX_DURATION_S, MAX_LEN,
    Memory, Pending, StreamData, StreamId, StreamPiece,
};

/// Most nodes that room is made for before any has come.
const TRUSTED_NODES: usize = 1024;

/// The type that a stream is written as.
pub(super) fn code_of(stream: &StreamData) -> u8 {
    if stream.has_nacked() {
        code::STREAM_LISTPACKS_5
    } else if stream.idmp().is_some_and(|idmp| !idmp.is_plain()) {
        code::STREAM_LISTPACKS_4
    } else {
        code::STREAM_LISTPACKS_3
    }
}

impl<S: Sink> Encoder<S> {
    /// A stream.
    pub(super) fn stream(&mut self, stream: &StreamData) {
        let log = stream.log();
        self.length(log.node_count() as u64);
        log.nodes().for_each(|(id, pack)| self.stream_piece(StreamPiece::Node(id, pack)));
        self.stream_piece(StreamPiece::Facts(&Facts::of(stream), stream.group_count()));
        let code = code_of(stream);
        for (name, group) in stream.groups() {
            let (last_id, entries_read) = (group.last_id, group.entries_read);
            let facts = GroupFacts { name: name.into(), last_id, entries_read, pending: group.pending_len() };
            self.stream_piece(StreamPiece::Group(&facts));
            for (id, pending) in group.pending_from(StreamId::MIN) {
                self.stream_piece(StreamPiece::Pending(id, pending.delivered_ms, pending.deliveries));
            }
            self.consumers(group);
            if code == code::STREAM_LISTPACKS_5 {
                self.length(group.nacked() as u64);
                let nacked = |pending: &Pending| pending.consumer == ConsumerNumber::NOBODY;
                let ids = group.pending_from(StreamId::MIN).filter(|(_, pending)| nacked(pending));
                ids.for_each(|(id, _)| self.sink.put(&id.to_be_bytes()));
            }
        }
        if code != code::STREAM_LISTPACKS_3 {
            self.idmp(stream.idmp().unwrap_or(&Idempotence::default()));
        }
    }

    /// A piece of a stream. All in their order, behind the number of nodes, are the stream.
    pub(super) fn stream_piece(&mut self, piece: StreamPiece<'_>) {
        match piece {
            StreamPiece::Node(id, pack) => {
                self.string(&id.to_be_bytes());
                self.string(&listpack::to_wire(pack));
            }
            StreamPiece::Facts(facts, groups) => {
                self.length(facts.len);
                for id in [facts.last_id, facts.first_id, facts.max_deleted_id] {
                    self.id(id);
                }
                self.length(facts.entries_added);
                self.length(groups as u64);
            }
            StreamPiece::Group(facts) => {
                self.string(&facts.name);
                self.id(facts.last_id);
                self.length(facts.entries_read.unwrap_or(-1) as u64);
                self.length(facts.pending as u64);
            }
            StreamPiece::Pending(id, delivered_ms, deliveries) => {
                self.sink.put(&id.to_be_bytes());
                self.sink.put(&delivered_ms.to_le_bytes());
                self.length(deliveries);
            }
            StreamPiece::Count(count) => self.length(count as u64),
            StreamPiece::Consumer(facts) => self.consumer(&facts.name, facts.seen_ms, facts.active_ms, facts.ids.len()),
            StreamPiece::Id(id) => self.sink.put(&id.to_be_bytes()),
            StreamPiece::Producers(idmp) => self.idmp(idmp),
        }
    }

    fn idmp(&mut self, idmp: &Idempotence) {
        self.length(idmp.memory().duration_s.into());
        self.length(idmp.memory().max_len.into());
        self.length(idmp.producer_count() as u64);
        for (name, known) in idmp.producers() {
            self.string(name);
            self.length(known.len() as u64);
            for (iid, id) in known {
                self.string(iid);
                self.id(id);
            }
        }
        self.length(idmp.added);
        self.length(idmp.duplicates);
    }

    fn id(&mut self, id: StreamId) {
        self.length(id.ms());
        self.length(id.seq());
    }

    fn consumers(&mut self, group: &Group) {
        self.length(group.consumer_count() as u64);
        for (_, consumer) in group.consumers() {
            self.consumer(consumer.name(), consumer.seen_ms, consumer.active_ms, consumer.pending_len());
            consumer.pending_from(StreamId::MIN).for_each(|id| self.sink.put(&id.to_be_bytes()));
        }
    }

    fn consumer(&mut self, name: &[u8], seen_ms: i64, active_ms: i64, pending: usize) {
        self.string(name);
        self.sink.put(&seen_ms.to_le_bytes());
        self.sink.put(&active_ms.to_le_bytes());
        self.length(pending as u64);
    }
}

/// Reads a stream of this type.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode<I: Input>(reader: &mut Reader<I>, code: u8) -> Result<StreamData, Fault> {
    let log = log(reader, code)?;
    let count = reader.length()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        let name = reader.owned_string()?.into_boxed_slice();
        groups.push((name, group(reader, code, &log)?));
    }
    let idmp = if code >= code::STREAM_LISTPACKS_4 { Some(idmp(reader)?) } else { None };
    StreamData::from_parts(log, groups, idmp).map_err(|fault| reader.corrupt(fault.what))
}

fn idmp<I: Input>(reader: &mut Reader<I>) -> Result<Idempotence, Fault> {
    let mut bound = |most: u32| -> Result<u32, Fault> {
        let bound = reader.length()?;
        let fits = u32::try_from(bound).ok().filter(|bound| (1..=most).contains(bound));
        fits.ok_or_else(|| reader.corrupt("a stream with impossible bounds for producers"))
    };
    let memory = Memory { duration_s: bound(MAX_DURATION_S)?, max_len: bound(MAX_LEN)? };
    let mut idmp = Idempotence::new(memory);
    for _ in 0..reader.length()? {
        let producer = reader.owned_string()?;
        for _ in 0..reader.length()? {
            let iid = reader.owned_string()?;
            let id = id(reader)?;
            idmp.load(&producer, &iid, id).map_err(|fault| reader.corrupt(fault.what))?;
        }
    }
    idmp.added = reader.length()?;
    idmp.duplicates = reader.length()?;
    Ok(idmp)
}

fn nodes<I: Input>(reader: &mut Reader<I>) -> Result<Vec<(StreamId, Vec<u8>)>, Fault> {
    let count = reader.length()?;
    let mut nodes = Vec::with_capacity(usize::try_from(count).unwrap_or(usize::MAX).min(TRUSTED_NODES));
    for _ in 0..count {
        let id = <[u8; 16]>::try_from(reader.string()?).ok();
        let id = id.ok_or_else(|| reader.corrupt("a stream node whose id has not 16 bytes"))?;
        let pack = listpack::from_wire(reader.string()?).map_err(|fault| packed_fault(reader, fault))?;
        nodes.push((StreamId::from_be_bytes(id), pack));
    }
    Ok(nodes)
}

#[cold]
fn packed_fault<I: Input>(reader: &Reader<I>, fault: Corrupt) -> Fault {
    Fault::Packed { offset: reader.input.offset(), kind: "Stream listpack", what: fault.what }
}

fn id<I: Input>(reader: &mut Reader<I>) -> Result<StreamId, Fault> {
    Ok(StreamId::new(reader.length()?, reader.length()?))
}

fn raw_id<I: Input>(reader: &mut Reader<I>) -> Result<StreamId, Fault> {
    Ok(StreamId::from_be_bytes(reader.array()?))
}

fn log<I: Input>(reader: &mut Reader<I>, code: u8) -> Result<Log, Fault> {
    let nodes = nodes(reader)?;
    let mut facts = LogFacts { len: reader.length()?, last_id: id(reader)?, ..LogFacts::default() };
    if code != code::STREAM_LISTPACKS {
        facts.first_id = Some(id(reader)?);
        facts.max_deleted_id = Some(id(reader)?);
        facts.entries_added = Some(reader.length()?);
    }
    Log::from_nodes(nodes, facts).map_err(|fault| packed_fault(reader, fault))
}

fn group<I: Input>(reader: &mut Reader<I>, code: u8, log: &Log) -> Result<Group, Fault> {
    let last_id = id(reader)?;
    let entries_read = match code {
        code::STREAM_LISTPACKS => log.place_of(last_id),
        _ => Some(reader.length()? as i64).filter(|read| *read >= 0),
    };
    let mut group = GroupBuilder::new(last_id, entries_read);
    for _ in 0..reader.length()? {
        let id = raw_id(reader)?;
        let delivered_ms = i64::from_le_bytes(reader.array()?);
        let deliveries = reader.length()?;
        group.pending(id, delivered_ms, deliveries).map_err(|fault| reader.corrupt(fault.what))?;
    }
    for _ in 0..reader.length()? {
        let name = reader.owned_string()?;
        let seen_ms = i64::from_le_bytes(reader.array()?);
        let active_ms = match code {
            code::STREAM_LISTPACKS | code::STREAM_LISTPACKS_2 => seen_ms,
            _ => i64::from_le_bytes(reader.array()?),
        };
        let consumer = group.consumer(&name, seen_ms, active_ms);
        let consumer = consumer.map_err(|_| reader.corrupt("Duplicate stream consumer detected"))?;
        for _ in 0..reader.length()? {
            let id = raw_id(reader)?;
            group.owned(consumer, id).map_err(|fault| reader.corrupt(fault.what))?;
        }
    }
    if code == code::STREAM_LISTPACKS_5 {
        for _ in 0..reader.length()? {
            let id = raw_id(reader)?;
            group.unowned(id).map_err(|fault| reader.corrupt(fault.what))?;
        }
    }
    group.finish().map_err(|fault| reader.corrupt(fault.what))
}
