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
    ConsumerNumber, Group, GroupBuilder, Idempotence, Log, LogFacts, MAX_DURATION_S, MAX_LEN, Memory, Pending,
    StreamData, StreamId,
};

/// Nodes that are a part.
const PART_NODES: usize = 32;
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
    /// A part of a stream, as `value_part`: some nodes, or all that stands behind them.
    pub(super) fn stream_part(&mut self, stream: &StreamData, from: u64) -> Option<u64> {
        let log = stream.log();
        if from == 0 {
            self.length(log.node_count() as u64);
        }
        for (id, pack) in log.nodes().skip(from as usize).take(PART_NODES) {
            self.string(&id.to_be_bytes());
            self.string(&listpack::to_wire(pack));
        }
        let next = from + PART_NODES as u64;
        if next < log.node_count() as u64 {
            return Some(next);
        }
        self.length(log.len());
        for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
            self.id(id);
        }
        self.length(log.entries_added());
        self.length(stream.group_count() as u64);
        let code = code_of(stream);
        for (name, group) in stream.groups() {
            self.string(name);
            self.group(group);
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
        None
    }

    /// A stream.
    pub(super) fn stream(&mut self, stream: &StreamData) {
        let mut from = 0;
        while let Some(next) = self.stream_part(stream, from) {
            from = next;
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

    fn group(&mut self, group: &Group) {
        self.id(group.last_id);
        self.length(group.entries_read.unwrap_or(-1) as u64);
        self.length(group.pending_len() as u64);
        for (id, pending) in group.pending_from(StreamId::MIN) {
            self.sink.put(&id.to_be_bytes());
            self.sink.put(&pending.delivered_ms.to_le_bytes());
            self.length(pending.deliveries);
        }
        self.length(group.consumer_count() as u64);
        for (_, consumer) in group.consumers() {
            self.string(consumer.name());
            self.sink.put(&consumer.seen_ms.to_le_bytes());
            self.sink.put(&consumer.active_ms.to_le_bytes());
            self.length(consumer.pending_len() as u64);
            for id in consumer.pending_from(StreamId::MIN) {
                self.sink.put(&id.to_be_bytes());
            }
        }
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
