//! Streams, there and back. Knows no other type.
//!
//! ```text
//! 15, 19, 21 stream   n (master-id node)*n          two strings each; the id 16 bytes, big-endian
//!                     len last-id                   an id: two lengths, ms and seq
//!   19 and 21         first-id max-deleted-id entries-added
//!                     n group*n
//! group               name last-id
//!   19 and 21         entries-read                  all bits set: not known
//!                     n (id16 ms-u64 deliveries)*n  pending entries
//!                     n consumer*n
//! consumer            name seen-ms-u64
//!   21                active-ms-u64
//!                     n id16*n                      its pending entries
//! ```
//! Written is 21.

use super::code;
use super::encode::{Encoder, Sink};
use super::input::{Fault, Input, Reader};
use crate::ds::blob::Corrupt;
use crate::ds::listpack;
use crate::types::{Group, GroupBuilder, Log, LogFacts, StreamData, StreamId};

/// Nodes that are a part.
const PART_NODES: usize = 32;
/// Most nodes that room is made for before any has come.
const TRUSTED_NODES: usize = 1024;

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
        for (name, group) in stream.groups() {
            self.string(name);
            self.group(group);
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
    StreamData::from_parts(log, groups).map_err(|fault| reader.corrupt(fault.what))
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
            code::STREAM_LISTPACKS_3 => i64::from_le_bytes(reader.array()?),
            _ => seen_ms,
        };
        let consumer = group.consumer(&name, seen_ms, active_ms);
        let consumer = consumer.map_err(|_| reader.corrupt("Duplicate stream consumer detected"))?;
        for _ in 0..reader.length()? {
            let id = raw_id(reader)?;
            group.owned(consumer, id).map_err(|fault| reader.corrupt(fault.what))?;
        }
    }
    group.finish().map_err(|fault| reader.corrupt(fault.what))
}
