//! MEMORY: what keys and the server use, and what to do about it.

use super::SERVER;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::help;
use crate::command::table::{Arg, Command, KeySpec, flag, key_flag as kf};
use crate::stats::MemoryFigures;
use crate::sys::alloc;
use crate::types::{Array, Big, EntryRef, Hash, Kind, List, Set, Stream, Type, Value, VectorSet, ZSet};

/// Elements of a collection that MEMORY USAGE measures when it is not told how many.
const DEFAULT_SAMPLES: usize = 5;
/// A key's place in its database's table: pointer and tag, at the usual load.
const SLOT_BYTES: usize = 11;
/// Below this the doctor has nothing to look at, bytes.
const SMALL_BYTES: u64 = 5 << 20;

/// A row of this container.
const ROW: Command = Command { since: "4.0.0", ..SERVER };
const ALL_SHARDS: &[&str] = &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "memory",
    arity: -2,
    complexity: "Depends on the subcommand.",
    summary: "Tells where the memory is.",
    subcommands: SUBCOMMANDS,
    ..ROW
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "doctor",
        full_name: "memory|doctor",
        arity: 2,
        complexity: "O(1)",
        summary: "Looks for trouble with memory and says what helps.",
        tips: ALL_SHARDS,
        run: Some(doctor),
        ..ROW
    },
    Command { full_name: "memory|help", since: "4.0.0", group: "server", ..help::ROW },
    Command {
        name: "malloc-stats",
        full_name: "memory|malloc-stats",
        arity: 2,
        complexity: "Depends on how much memory is allocated.",
        summary: "The allocator's own account.",
        tips: ALL_SHARDS,
        run: Some(malloc_stats),
        ..ROW
    },
    Command {
        name: "purge",
        full_name: "memory|purge",
        arity: 2,
        complexity: "Depends on how much memory was freed.",
        summary: "Gives freed memory back to the system.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Some(purge),
        ..ROW
    },
    Command {
        name: "stats",
        full_name: "memory|stats",
        arity: 2,
        complexity: "O(1)",
        summary: "Where the memory is, in figures.",
        tips: ALL_SHARDS,
        run: Some(stats),
        ..ROW
    },
    Command {
        name: "usage",
        full_name: "memory|usage",
        arity: -3,
        flags: flag::READONLY,
        keys: &[KeySpec::at(2, kf::RO)],
        args: &[Arg::key("key"), Arg::int("count").token("SAMPLES").optional()],
        complexity: "O(N) with N the number of samples.",
        summary: "Bytes that a key and its value use. Of a large collection SAMPLES elements are measured (default 5, 0 for all).",
        run: Some(usage),
        ..ROW
    },
];

/// Bytes that a key uses, a few elements of a large value measured.
pub(super) fn key_bytes(entry: EntryRef<'_>) -> usize {
    bytes_of(entry, DEFAULT_SAMPLES)
}

fn bytes_of(entry: EntryRef<'_>, samples: usize) -> usize {
    let beyond = match Kind::of(entry.kind()).type_of() {
        Type::String => match entry.big() {
            Some(Big::Str(bytes)) => alloc::size_class(bytes.len()),
            _ => 0,
        },
        Type::List => List::view(entry).alloc_bytes(),
        Type::Set => Set::view(entry).alloc_bytes(samples),
        Type::Hash => Hash::view(entry).alloc_bytes(samples),
        Type::ZSet => ZSet::view(entry).alloc_bytes(samples) + dates_bytes(entry, samples),
        Type::Stream => Stream::view(entry).alloc_bytes(samples),
        Type::Array => Array::view(entry).alloc_bytes(samples),
        Type::VectorSet => VectorSet::view(entry).alloc_bytes(samples),
    };
    let boxed = entry.big().map_or(0, |_| alloc::size_class(size_of::<Big>()));
    SLOT_BYTES + entry.alloc_bytes() + boxed + beyond
}

/// Bytes of the deadlines of a sorted set's members.
fn dates_bytes(entry: EntryRef<'_>, samples: usize) -> usize {
    match entry.big() {
        Some(Big::DatedZSet(dated)) => dated.dates_bytes(samples),
        _ => 0,
    }
}

fn usage(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut samples = DEFAULT_SAMPLES;
    while args.more() {
        if !args.accept("samples") {
            return Err(CmdError::SYNTAX);
        }
        samples = usize::try_from(args.int()?).map_err(|_| CmdError::SYNTAX)?;
    }
    match cx.db.peek(key) {
        Some(entry) => cx.reply.len(bytes_of(entry, samples)),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

/// A figure of MEMORY STATS.
enum Figure {
    Int(u64),
    Signed(i64),
    Double(f64),
}

fn stats(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    use Figure::{Double, Int, Signed};
    let m = cx.memory_figures();
    let keys = cx.db.space.total_keys() as u64;
    let per_key = m.used.saturating_sub(m.startup).checked_div(keys).unwrap_or(0);
    let before = [
        ("peak.allocated", Int(m.peak)),
        ("total.allocated", Int(m.used)),
        ("startup.allocated", Int(m.startup)),
        ("replication.backlog", Int(0)),
        ("clients.slaves", Int(0)),
        ("clients.normal", Int(m.clients)),
        ("cluster.links", Int(0)),
        ("aof.buffer", Int(0)),
        ("lua.caches", Int(0)),
        ("functions.caches", Int(0)),
    ];
    let tables = cx.db.space.table_bytes() as u64;
    let after = [
        // Tables here never rehash: a segment splits alone.
        ("overhead.db.hashtable.lut", Int(tables)),
        ("overhead.db.hashtable.rehashing", Int(0)),
        ("db.dict.rehashing.count", Int(0)),
        ("overhead.total", Int(m.overhead)),
        ("keys.count", Int(keys)),
        ("keys.bytes-per-key", Int(per_key)),
        ("dataset.bytes", Int(m.dataset())),
        ("dataset.percentage", Double(m.dataset_percent())),
        ("peak.percentage", Double(m.peak_percent())),
        ("allocator.allocated", Int(m.allocator.allocated as u64)),
        ("allocator.active", Int(m.allocator.active as u64)),
        ("allocator.resident", Int(m.allocator.resident as u64)),
        ("allocator-fragmentation.ratio", Double(m.allocator_frag().ratio)),
        ("allocator-fragmentation.bytes", Signed(m.allocator_frag().bytes)),
        ("allocator-rss.ratio", Double(m.allocator_rss().ratio)),
        ("allocator-rss.bytes", Signed(m.allocator_rss().bytes)),
        ("rss-overhead.ratio", Double(m.rss_overhead().ratio)),
        ("rss-overhead.bytes", Signed(m.rss_overhead().bytes)),
        ("fragmentation", Double(m.fragmentation().ratio)),
        ("fragmentation.bytes", Signed(m.fragmentation().bytes)),
    ];
    let dbs: Vec<(usize, usize, usize)> = cx
        .db
        .space
        .dbs
        .iter()
        .enumerate()
        .filter(|(_, db)| !db.table.is_empty())
        .map(|(index, db)| (index, db.table.table_bytes(), db.deadlines.alloc_bytes()))
        .collect();
    cx.reply.map(before.len() + dbs.len() + after.len());
    before.into_iter().for_each(|figure| reply_figure(cx, figure));
    for (index, main, expires) in dbs {
        cx.reply.bulk(format!("db.{index}").as_bytes());
        cx.reply.map(3);
        reply_figure(cx, ("overhead.hashtable.main", Int(main as u64)));
        reply_figure(cx, ("overhead.hashtable.expires", Int(expires as u64)));
        reply_figure(cx, ("overhead.hashtable.slot-to-keys", Int(0)));
    }
    after.into_iter().for_each(|figure| reply_figure(cx, figure));
    Ok(Flow::Done)
}

fn reply_figure(cx: &mut Ctx<'_>, (name, figure): (&str, Figure)) {
    cx.reply.bulk(name.as_bytes());
    match figure {
        Figure::Int(n) => cx.reply.int(n as i64),
        Figure::Signed(n) => cx.reply.int(n),
        Figure::Double(x) => cx.reply.double(x),
    }
}

fn doctor(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let clients = cx.sessions.len() as u64;
    let report = diagnosis(&cx.memory_figures(), clients);
    cx.reply.verbatim("txt", report.as_bytes());
    Ok(Flow::Done)
}

/// What is out of the ordinary, each with what helps.
fn diagnosis(m: &MemoryFigures, clients: u64) -> String {
    if m.used < SMALL_BYTES {
        return "This server holds almost no data; there is nothing to diagnose yet.\n".to_owned();
    }
    let fragmented = |ratio: f64, bytes: i64| ratio > 1.4 && bytes > 10 << 20;
    let mut found: Vec<String> = Vec::new();
    if m.peak as f64 / m.used as f64 > 1.5 {
        found.push(format!(
            "Peak memory: at its peak the server used {:.1} times what it uses now. The system may still count those pages as \
             its own; MEMORY PURGE gives them back.",
            m.peak as f64 / m.used as f64
        ));
    }
    let (frag, rss, process) = (m.allocator_frag(), m.allocator_rss(), m.rss_overhead());
    if fragmented(frag.ratio, frag.bytes) {
        found.push(format!(
            "Fragmentation: pages that hold data are {:.2} times as large as the data in them. A restart packs them anew.",
            frag.ratio
        ));
    }
    if fragmented(rss.ratio, rss.bytes) {
        found.push(format!(
            "Freed pages: the allocator holds {:.2} times what its pages with data need. MEMORY PURGE gives the rest back.",
            rss.ratio
        ));
    }
    if fragmented(process.ratio, process.bytes) {
        found.push(format!(
            "Process: its memory is {:.2} times that of its allocator. Transparent huge pages may be the cause: \
             disable-thp yes, and a restart.",
            process.ratio
        ));
    }
    if clients > 0 && m.clients / clients > 200 * 1024 {
        found.push(format!(
            "Clients: each uses {} KB on average. Some do not read their replies or send very long requests; CLIENT LIST \
             tells which (omem, qbuf).",
            m.clients / clients / 1024
        ));
    }
    if found.is_empty() {
        return "No trouble found with memory.\n".to_owned();
    }
    let lines: Vec<String> = found.iter().map(|line| format!(" * {line}\n")).collect();
    format!("Found:\n\n{}", lines.concat())
}

fn malloc_stats(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    match alloc::report() {
        Ok(text) => cx.reply.verbatim("txt", &text),
        Err(error) => cx.reply.bulk(format!("The allocator has no statistics: {error}").as_bytes()),
    }
    Ok(Flow::Done)
}

fn purge(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    alloc::purge().map_err(|error| CmdError::owned(format!("ERR Error purging dirty pages: {error}")))?;
    cx.reply.ok();
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doctor_names_what_is_out_of_the_ordinary() {
        let mb = 1 << 20;
        let mut m = MemoryFigures { used: mb, peak: 100 * mb, ..MemoryFigures::default() };
        assert!(diagnosis(&m, 1).contains("almost no data"));
        m.used = 100 * mb;
        assert_eq!(diagnosis(&m, 0), "No trouble found with memory.\n");
        (m.peak, m.clients) = (200 * mb, 10 * mb);
        m.allocator.active = 300 << 20;
        m.allocator.allocated = 100 << 20;
        let report = diagnosis(&m, 2);
        assert!(["Peak", "Fragmentation", "5120 KB"].iter().all(|word| report.contains(word)), "{report}");
    }
}
