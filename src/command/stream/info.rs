//! Streams: XINFO.

use super::group::missing_group;
use super::{GROUP, HELP, KEY, READ_SUB, reply_entry, reply_id};
use crate::command::table::{Arg, Command, acl, flag};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::resp::Reply;
use crate::types::{Group, Idempotence, Stream, StreamData, StreamId};

const ROW: Command = Command {
    group: "stream",
    acl: acl::STREAM,
    since: "5.0.0",
    flags: flag::READONLY,
    keys: READ_SUB,
    complexity: "O(1)",
    ..Command::BLANK
};

pub const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "consumers",
        full_name: "xinfo|consumers",
        arity: 4,
        args: &[KEY, GROUP],
        summary: "Tells about the consumers of a group.",
        history: &[("7.2.0", "The field inactive.")],
        tips: &["nondeterministic_output"],
        run: Some(consumers),
        ..ROW
    },
    Command {
        name: "groups",
        full_name: "xinfo|groups",
        arity: 3,
        args: &[KEY],
        summary: "Tells about the groups of a stream.",
        history: &[("7.0.0", "The fields entries-read and lag.")],
        run: Some(groups),
        ..ROW
    },
    Command { full_name: "xinfo|help", ..HELP },
    Command {
        name: "stream",
        full_name: "xinfo|stream",
        arity: -3,
        args: &[
            KEY,
            Arg::block("full-block", &[Arg::word("full", "FULL"), Arg::int("count").token("COUNT").optional()])
                .optional(),
        ],
        summary: "Tells about a stream.",
        history: &[
            ("6.0.0", "FULL."),
            ("7.0.0", "The fields max-deleted-entry-id, entries-added, recorded-first-entry-id, entries-read and lag."),
            ("7.2.0", "The field active-time; seen-time is when a consumer last tried anything."),
            ("8.6.0", "The fields of producers, once a stream knows of any or has bounds of its own."),
            ("8.8.0", "The field nacked-count, if there are any."),
        ],
        run: Some(stream),
        ..ROW
    },
];

/// Entries that FULL shows when it is not told how many.
const DEFAULT_COUNT: usize = 10;

fn int_or_null(reply: &mut Reply<'_>, n: Option<i64>) {
    match n {
        Some(n) => reply.int(n),
        None => reply.null(),
    }
}

fn consumers(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    let now_ms = cx.now.unix_ms.0;
    let stream = cx.db.read::<Stream>(key)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| missing_group(key, name))?;
    let reply = &mut cx.reply;
    reply.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply.bulk(b"pending");
        reply.len(consumer.pending_len());
        reply.bulk(b"idle");
        reply.int(now_ms.saturating_sub(consumer.seen_ms).max(0));
        reply.bulk(b"inactive");
        let never = consumer.active_ms == -1;
        reply.int(if never { -1 } else { now_ms.saturating_sub(consumer.active_ms).max(0) });
    }
    Ok(Flow::Done)
}

fn groups(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let stream = cx.db.read::<Stream>(key)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let reply = &mut cx.reply;
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"consumers");
        reply.len(group.consumer_count());
        reply.bulk(b"pending");
        reply.len(group.pending_len());
        reply.bulk(b"last-delivered-id");
        reply_id(reply, group.last_id);
        reply.bulk(b"entries-read");
        int_or_null(reply, group.entries_read);
        reply.bulk(b"lag");
        int_or_null(reply, stream.lag(group));
    }
    Ok(Flow::Done)
}

/// FULL, or FULL COUNT n: how many entries are shown.
fn full_count(args: &mut Args<'_>) -> Result<Option<usize>, CmdError> {
    let syntax = CmdError::subcommand_syntax(args.argv().get(1).unwrap_or_default(), "xinfo");
    match args.left() {
        0 => return Ok(None),
        1 | 3 if args.accept("full") => {}
        _ => return Err(syntax),
    }
    if !args.more() {
        return Ok(Some(DEFAULT_COUNT));
    }
    if !args.accept("count") {
        return Err(syntax);
    }
    Ok(Some(match args.int()? {
        0 => usize::MAX,
        count => usize::try_from(count).unwrap_or(DEFAULT_COUNT),
    }))
}

fn stream(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let stream = cx.db.read::<Stream>(key)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let full = full_count(args)?;
    let reply = &mut cx.reply;
    let producers = if stream.idmp().is_some() { 6 } else { 0 };
    reply.map(producers + if full.is_some() { 9 } else { 10 });
    facts(reply, stream);
    stream.idmp().into_iter().for_each(|idmp| facts_of_producers(reply, idmp));
    match full {
        Some(count) => rest_full(reply, stream, count),
        None => rest_short(reply, stream),
    }
    Ok(Flow::Done)
}

fn facts(reply: &mut Reply<'_>, stream: &StreamData) {
    let log = stream.log();
    reply.bulk(b"length");
    reply.int(log.len() as i64);
    reply.bulk(b"radix-tree-keys");
    reply.len(log.node_count());
    reply.bulk(b"radix-tree-nodes");
    reply.len(radix_nodes(log.nodes().map(|(id, _)| id)));
    reply.bulk(b"last-generated-id");
    reply_id(reply, log.last_id());
    reply.bulk(b"max-deleted-entry-id");
    reply_id(reply, log.max_deleted_id());
    reply.bulk(b"entries-added");
    reply.int(log.entries_added() as i64);
    reply.bulk(b"recorded-first-entry-id");
    reply_id(reply, log.first_id());
}

/// Told of a stream that knows of producers, or has bounds of its own.
fn facts_of_producers(reply: &mut Reply<'_>, idmp: &Idempotence) {
    let fields = [
        ("idmp-duration", idmp.memory().duration_s.into()),
        ("idmp-maxsize", idmp.memory().max_len.into()),
        ("pids-tracked", idmp.producer_count() as u64),
        ("iids-tracked", idmp.tracked() as u64),
        ("iids-added", idmp.added),
        ("iids-duplicates", idmp.duplicates),
    ];
    for (name, value) in fields {
        reply.bulk(name.as_bytes());
        reply.int(value as i64);
    }
}

fn rest_short(reply: &mut Reply<'_>, stream: &StreamData) {
    let log = stream.log();
    reply.bulk(b"groups");
    reply.len(stream.group_count());
    let ends = [
        ("first-entry", log.range(StreamId::MIN, StreamId::MAX).next()),
        ("last-entry", log.range_rev(StreamId::MIN, StreamId::MAX).next()),
    ];
    for (name, entry) in ends {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => reply_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

fn rest_full(reply: &mut Reply<'_>, stream: &StreamData, count: usize) {
    reply.bulk(b"entries");
    let (at, mut written) = (reply.defer(), 0);
    for entry in stream.log().range(StreamId::MIN, StreamId::MAX).take(count) {
        reply_entry(reply, &entry);
        written += 1;
    }
    reply.fill_array(at, written);
    reply.bulk(b"groups");
    reply.array(stream.group_count());
    for (name, group) in stream.groups() {
        let nacked = group.nacked();
        reply.map(if nacked > 0 { 8 } else { 7 });
        reply.bulk(b"name");
        reply.bulk(name);
        reply.bulk(b"last-delivered-id");
        reply_id(reply, group.last_id);
        reply.bulk(b"entries-read");
        int_or_null(reply, group.entries_read);
        reply.bulk(b"lag");
        int_or_null(reply, stream.lag(group));
        reply.bulk(b"pel-count");
        reply.len(group.pending_len());
        if nacked > 0 {
            reply.bulk(b"nacked-count");
            reply.len(nacked);
        }
        reply.bulk(b"pending");
        reply.array(group.pending_len().min(count));
        for (id, pending) in group.pending_from(StreamId::MIN).take(count) {
            reply.array(4);
            reply_id(reply, id);
            reply.bulk(group.consumer_at(pending.consumer).map_or(b"", |consumer| consumer.name()));
            reply.int(pending.delivered_ms);
            reply.int(pending.deliveries as i64);
        }
        consumers_full(reply, group, count);
    }
}

fn consumers_full(reply: &mut Reply<'_>, group: &Group, count: usize) {
    reply.bulk(b"consumers");
    reply.array(group.consumer_count());
    for (_, consumer) in group.consumers() {
        reply.map(5);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        reply.bulk(b"seen-time");
        reply.int(consumer.seen_ms);
        reply.bulk(b"active-time");
        reply.int(consumer.active_ms);
        reply.bulk(b"pel-count");
        reply.len(consumer.pending_len());
        reply.bulk(b"pending");
        reply.array(consumer.pending_len().min(count));
        for id in consumer.pending_from(StreamId::MIN).take(count) {
            let pending = group.pending(id);
            reply.array(3);
            reply_id(reply, id);
            reply.int(pending.map_or(0, |pending| pending.delivered_ms));
            reply.int(pending.map_or(0, |pending| pending.deliveries as i64));
        }
    }
}

/// Nodes that a path-compressed radix tree over the bytes of these ascending ids has: what the field shows, though there is
/// none here. Each id is a leaf; where ids part there is a node; each run of bytes between two of these is one more.
fn radix_nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    // Depths of the open partings, and how many nodes are known.
    let (mut open, mut nodes): (Vec<i64>, usize) = (Vec::new(), 0);
    let close = |open: &mut Vec<i64>, down_to: i64| {
        let mut nodes = 0;
        while let Some(depth) = open.last().copied().filter(|depth| *depth > down_to) {
            open.pop();
            let parent = open.last().copied().unwrap_or(-1).max(down_to);
            nodes += 1 + usize::from(depth > parent + 1);
        }
        nodes
    };
    let (mut before, mut shared_before): (Option<StreamId>, i64) = (None, -1);
    let leaf = |parent: i64| 1 + usize::from(16 > parent + 1);
    for id in ids {
        if let Some(before) = before {
            let shared = i64::from((before.0 ^ id.0).leading_zeros() / 8);
            nodes += leaf(shared.max(shared_before)) + close(&mut open, shared);
            if open.last() != Some(&shared) {
                open.push(shared);
            }
            shared_before = shared;
        }
        before = Some(id);
    }
    match before {
        Some(_) => nodes + leaf(shared_before) + close(&mut open, -1),
        // The root.
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nodes_of_a_radix_tree_are_counted_without_one() {
        let count = |ids: &[u128]| radix_nodes(ids.iter().map(|id| StreamId(*id)));
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[7]), 2);
        // Fifteen bytes, the parting, two leaves.
        assert_eq!(count(&[1, 2]), 4);
        // The partings at the last byte and at the one before, each leaf at the last but one has one byte more.
        assert_eq!(count(&[1, 2, 0x100]), 7);
        assert_eq!(count(&[1, 1 << 120]), 1 + 2 * 2);
    }
}
