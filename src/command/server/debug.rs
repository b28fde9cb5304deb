//! DEBUG: looks inside and knocks at the server, for tests. One row per subcommand; what needs rooms that do not exist yet
//! (persistence, replication, scripts, cluster) has none.

use super::SERVER;
use super::persistence;
use crate::base::clock::lru_idle_secs;
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ask, Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::table::{Arg, Command, flag};
use crate::config::Rewrite;
use crate::ds::listpack;
use crate::ds::table::TableStats;
use crate::persist::rdb::{Encoder, Sink};
use crate::resp::Proto;
use crate::sys::crash;
use crate::types::{self, Big, Digest, Encoded, EntryRef, Kind, Str, Value};
use std::time::Duration;

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "debug",
    arity: -2,
    flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::PROTECTED,
    args: &[Arg::string("subcommand"), Arg::string("argument").optional().multiple()],
    since: "1.0.0",
    complexity: "Depends on the subcommand.",
    summary: "Looks inside the server and knocks at it, for tests.",
    run: Some(debug),
    ..SERVER
}];

/// A subcommand.
struct Sub {
    name: &'static str,
    /// Fewest and most words behind the name.
    words: (usize, usize),
    usage: &'static str,
    about: &'static str,
    run: fn(&mut Ctx<'_>, &mut Args<'_>) -> Outcome,
}

const fn sub(
    name: &'static str,
    words: (usize, usize),
    usage: &'static str,
    about: &'static str,
    run: fn(&mut Ctx<'_>, &mut Args<'_>) -> Outcome,
) -> Sub {
    Sub { name, words, usage, about, run }
}

const SUBS: &[Sub] = &[
    sub("aof-flush-sleep", (1, 1), "AOF-FLUSH-SLEEP <us>", "Sleeps before the log is written.", |cx, args| {
        cx.facts.debug.log_sleep_us = u64::try_from(args.int()?).unwrap_or(0);
        done(cx)
    }),
    sub("assert", (0, 0), "ASSERT", "Ends with a failed assertion.", |_, _| {
        panic!("ASSERTION FAILED: DEBUG ASSERT asked for it")
    }),
    sub(
        "config-rewrite-force-all",
        (0, 0),
        "CONFIG-REWRITE-FORCE-ALL",
        "CONFIG REWRITE with every option.",
        rewrite_all,
    ),
    sub(
        "dict-resizing",
        (1, 1),
        "DICT-RESIZING <0|1>",
        "Accepted; tables here grow and shrink by segments, always.",
        dict_resizing,
    ),
    sub("digest", (0, 0), "DIGEST", "40 digits that are equal for equal data.", digest),
    sub(
        "digest-value",
        (0, usize::MAX),
        "DIGEST-VALUE <key> [<key> ...]",
        "The same of the values of keys.",
        digest_value,
    ),
    sub("error", (1, 1), "ERROR <text>", "Replies this error.", |_, args| Err(CmdError::owned(lossy(args.bytes()?)))),
    sub("htstats", (1, 2), "HTSTATS <db> [FULL]", "Sizes of a database's tables.", htstats),
    sub("htstats-key", (1, 2), "HTSTATS-KEY <key> [FULL]", "Sizes of a value's table.", htstats_key),
    sub("listpack", (1, 1), "LISTPACK <key>", "Writes a packed value's elements into the log.", listpack_elements),
    sub("loadaof", (0, 0), "LOADAOF", "Writes what the log has still to take, and reads it anew.", load_log),
    sub("log", (1, 1), "LOG <text>", "Writes a text into the log.", log_text),
    sub("object", (1, 2), "OBJECT <key> [FAST]", "How a value is kept.", object),
    sub("oom", (0, 0), "OOM", "Ends as if memory could not be had.", |_, _| crash::out_of_memory()),
    sub("panic", (0, 0), "PANIC", "Ends with a panic.", |_, _| panic!("DEBUG PANIC asked for it")),
    sub("pause-cron", (1, 1), "PAUSE-CRON <0|1>", "Stops or starts what is done by time.", pause_cron),
    sub(
        "populate",
        (1, 3),
        "POPULATE <count> [<prefix>] [<size>]",
        "Makes keys prefix:0, prefix:1 ... that hold strings.",
        populate,
    ),
    sub("protocol", (1, 1), "PROTOCOL <type>", "A reply of this type.", protocol),
    sub("quicklist", (1, 2), "QUICKLIST <key> [<0|1>]", "Writes a list's nodes into the log.", quicklist_nodes),
    sub(
        "quicklist-packed-threshold",
        (1, 1),
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "Elements of lists from this size on get a node of their own; 0 for the default.",
        packed_threshold,
    ),
    sub(
        "reload",
        (0, 3),
        "RELOAD [NOSAVE] [NOFLUSH] [MERGE]",
        "Writes a snapshot, empties all databases and reads it again. NOSAVE takes the snapshot that is there, NOFLUSH \
         empties nothing, MERGE replaces keys that are there.",
        reload,
    ),
    sub(
        "replybuffer",
        (2, 2),
        "REPLYBUFFER <PEAK-RESET-TIME NEVER|RESET|<ms> | RESIZING 0|1>",
        "When a client's reply buffer is fitted to what it needs.",
        reply_buffer,
    ),
    sub("sdslen", (1, 1), "SDSLEN <key>", "Lengths and allocations of a key and its string.", sds_len),
    sub("segfault", (0, 0), "SEGFAULT", "Ends with a bad memory access.", |_, _| crash::segfault()),
    sub(
        "set-active-expire",
        (1, 1),
        "SET-ACTIVE-EXPIRE <0|1>",
        "Whether keys go by themselves when their time has come.",
        active_expire,
    ),
    sub(
        "set-disable-deny-scripts",
        (1, 1),
        "SET-DISABLE-DENY-SCRIPTS <0|1>",
        "Whether scripts may call what they otherwise may not.",
        |cx, args| {
            cx.facts.debug.scripts_call_all = switch(args)?;
            done(cx)
        },
    ),
    sub(
        "set-skip-checksum-validation",
        (1, 1),
        "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
        "Whether the checksums of RESTORE's payloads are left unchecked.",
        skip_checksum,
    ),
    sub("sleep", (1, 1), "SLEEP <seconds>", "Holds the whole server up; decimals allowed.", sleep),
    sub("stringmatch-len", (2, 2), "STRINGMATCH-LEN <pattern> <text>", "Whether a glob matches a text.", string_match),
];

fn debug(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let word = args.bytes()?;
    cx.effects.none();
    if word.eq_ignore_ascii_case(b"help") && !args.more() {
        return help(cx);
    }
    let sub = SUBS.iter().find(|sub| word.eq_ignore_ascii_case(sub.name.as_bytes()));
    match sub.filter(|sub| (sub.words.0..=sub.words.1).contains(&args.left())) {
        Some(sub) => (sub.run)(cx, args),
        None => Err(CmdError::unknown_or_arity(word, "debug")),
    }
}

fn help(cx: &mut Ctx<'_>) -> Outcome {
    cx.reply.array(2 * SUBS.len() + 3);
    cx.reply.simple("DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    for sub in SUBS {
        cx.reply.simple(sub.usage);
        cx.reply.simple(&format!("    {}", sub.about));
    }
    cx.reply.simple("HELP");
    cx.reply.simple("    Prints this help.");
    Ok(Flow::Done)
}

fn done(cx: &mut Ctx<'_>) -> Outcome {
    cx.reply.ok();
    Ok(Flow::Done)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A switch as C's atoi reads it: what is no number is 0.
fn switch(args: &mut Args<'_>) -> Result<bool, CmdError> {
    Ok(number::parse_i64(args.bytes()?).is_some_and(|n| n != 0))
}

fn dict_resizing(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    done(cx)
}

fn rewrite_all(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    match cx.config.rewrite(Rewrite { users: None, force_all: true }) {
        Ok(()) => done(cx),
        Err(error) => {
            let cause = error.to_string();
            let cause = cause.strip_prefix("ERR ").unwrap_or(&cause);
            Err(CmdError::owned(format!("ERR CONFIG-REWRITE-FORCE-ALL failed: {cause}")))
        }
    }
}

/// Keys whose time has come but that are still there do not count.
fn digest(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let now_ms = cx.now.unix_ms.0;
    let mut whole = Digest::default();
    for (index, db) in cx.db.space.dbs.iter().enumerate() {
        for entry in db.table.iter() {
            if entry.deadline().is_none_or(|at| at > now_ms) {
                let number = (index as u64).to_le_bytes();
                whole.mix(Digest::of(&[&number, entry.key(), &types::digest(entry).0]));
            }
        }
    }
    cx.reply.simple(&whole.hex());
    Ok(Flow::Done)
}

fn digest_value(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.reply.array(args.left());
    while args.more() {
        let key = args.key()?;
        let digest = cx.db.peek(key).map(types::digest).unwrap_or_default();
        cx.reply.simple(&digest.hex());
    }
    Ok(Flow::Done)
}

fn skip_checksum(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.facts.debug.skip_checksum = switch(args)?;
    done(cx)
}

fn reload(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (mut save, mut flush, mut merge) = (true, true, false);
    while args.more() {
        if args.accept("nosave") {
            save = false;
        } else if args.accept("noflush") {
            flush = false;
        } else if args.accept("merge") {
            merge = true;
        } else {
            return Err(CmdError::text("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options."));
        }
    }
    if cx.stats.persistence.loading.is_some() {
        return Err(CmdError::LOADING);
    }
    if save && cx.save_snapshot().is_err() {
        return Err(CmdError::text("ERR"));
    }
    if flush {
        cx.db.space.flush(None, false);
        cx.scripts.flush_libraries();
    }
    match persistence::load_now(cx.config, &cx.facts.vault, cx.db.space, cx.stats, cx.now, merge) {
        Ok(Some(loaded)) => {
            if crate::command::adopt_libraries(cx.scripts, cx.stats, &loaded.libraries, merge).is_err() {
                return Err(CmdError::text("ERR Error trying to load the RDB dump"));
            }
            log::warn!("DB reloaded by DEBUG RELOAD");
            done(cx)
        }
        Ok(None) => Err(CmdError::text("ERR Error trying to load the RDB dump")),
        Err(fault) => {
            log::warn!("{}: {fault}", cx.config.dbfilename.lossy());
            Err(CmdError::text("ERR Error trying to load the RDB dump"))
        }
    }
}

fn htstats(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let index = args.int()?;
    let db = usize::try_from(index).ok().and_then(|index| cx.db.space.dbs.get(index));
    let db = db.ok_or(CmdError::text("ERR Out of range database"))?;
    let text = format!(
        "[Dictionary HT]\n{}[Expires HT]\nKeys with a deadline: {}\n bytes of the index: {}\n",
        table_text(db.table.stats()),
        db.volatile,
        db.deadlines.alloc_bytes()
    );
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// There are no chains: each item has a place of its own.
fn table_text(stats: TableStats) -> String {
    if stats.count == 0 {
        return "Hash table 0 stats (main hash table):\nNo stats available for empty dictionaries\n".to_owned();
    }
    format!(
        "Hash table 0 stats (main hash table):\n table size: {}\n number of elements: {}\n different slots: {}\n max chain \
         length: 1\n segments: {}\n directory entries: {}\n",
        stats.slots, stats.count, stats.count, stats.segments, stats.directory_len
    )
}

fn htstats_key(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let entry = cx.db.peek(key).ok_or(CmdError::NO_SUCH_KEY)?;
    let stats = match entry.big() {
        Some(Big::Set(table)) => table.stats(),
        Some(Big::Hash(table)) => table.stats(),
        Some(Big::DatedHash(hash)) => hash.table().stats(),
        Some(Big::DatedSet(set)) => set.members().stats(),
        Some(Big::ZSet(tree)) => tree.table().stats(),
        Some(Big::DatedZSet(dated)) => dated.sorted().table().stats(),
        _ => {
            return Err(CmdError::text(
                "ERR The value stored at the specified key is not represented using an hash table",
            ));
        }
    };
    cx.reply.verbatim("txt", table_text(stats).as_bytes());
    Ok(Flow::Done)
}

fn listpack_elements(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let entry = cx.db.peek(key).ok_or(CmdError::NO_SUCH_KEY)?;
    let packed = [Kind::ListPacked, Kind::SetPacked, Kind::HashPacked, Kind::HashPackedTtl, Kind::ZSetPacked];
    if !packed.contains(&Kind::of(entry.kind())) {
        return Err(CmdError::text("ERR Not a listpack encoded object."));
    }
    log::info!("Listpack of {} bytes, {} elements", entry.value().len(), listpack::count(entry.value()));
    cx.reply.simple("Listpack structure printed on stdout");
    Ok(Flow::Done)
}

fn quicklist_nodes(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let entry = cx.db.peek(key).ok_or(CmdError::NO_SUCH_KEY)?;
    let Some(Big::List(list)) = entry.big() else {
        return Err(CmdError::text("ERR Not a quicklist encoded object."));
    };
    for (index, node) in list.nodes().enumerate() {
        log::info!(
            "Node {index}: {} elements, plain {}, compressed {}",
            node.count(),
            node.is_plain(),
            node.is_compressed()
        );
    }
    cx.reply.simple("Quicklist structure printed on stdout");
    Ok(Flow::Done)
}

fn log_text(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    log::warn!("DEBUG LOG: {}", lossy(args.bytes()?));
    done(cx)
}

fn object(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.more() && !args.accept("fast") {
        return Err(CmdError::unknown_or_arity(b"object", "debug"));
    }
    let (now, compress) = (cx.now, cx.config.rdbcompression);
    let entry = cx.db.as_it_stands(key).ok_or(CmdError::NO_SUCH_KEY)?;
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{} serializedlength:{} lru:{} lru_seconds_idle:{}",
        entry.key().as_ptr(),
        types::encoding(entry),
        serialized_bytes(entry, compress),
        entry.lru(),
        lru_idle_secs(entry.lru(), now)
    );
    if let Some(Big::List(list)) = entry.big() {
        let facts = list.facts();
        text.push_str(&format!(
            " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{}",
            facts.nodes,
            facts.average_count,
            list.fill().list_max,
            u8::from(list.fill().compress_depth > 0),
            facts.uncompressed_bytes
        ));
    }
    cx.reply.simple(&text);
    Ok(Flow::Done)
}

/// Counts bytes.
struct Count(usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Bytes of a value in a snapshot.
fn serialized_bytes(entry: EntryRef<'_>, compress: bool) -> usize {
    let mut encoder = Encoder::new(Count(0), compress);
    encoder.value(entry);
    encoder.sink.0
}

fn pause_cron(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.facts.debug.cron_paused = switch(args)?;
    done(cx)
}

fn active_expire(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.db.space.book.active_expire = switch(args)?;
    done(cx)
}

fn populate(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let natural = |args: &mut Args<'_>| {
        let n = args.bytes().ok().and_then(number::parse_i64).and_then(|n| usize::try_from(n).ok());
        n.ok_or(CmdError::MUST_BE_POSITIVE)
    };
    let count = natural(args)?;
    let prefix = if args.more() { args.bytes()? } else { b"key" };
    let size = if args.more() { Some(natural(args)?) } else { None };
    if size.is_some_and(|size| size as u64 > cx.config.proto_max_bulk_len as u64) {
        return Err(CmdError::STRING_TOO_LONG);
    }
    for number in 0..count {
        let name = [prefix, b":", itoa::Buffer::new().format(number).as_bytes()].concat();
        let key = cx.db.key(&name);
        if cx.db.exists(key) {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        let access = cx.db.space.book.fresh_access(cx.now);
        if let Some(entry) = Encoded::of(&value, None).store(&name, None, access) {
            cx.db.insert(entry);
        }
    }
    done(cx)
}

fn protocol(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let kind = args.bytes()?.to_ascii_lowercase();
    let reply = &mut cx.reply;
    match kind.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.int(12345),
        // The value that the protocol tests of clients expect, which is no attempt at pi.
        b"double" => reply.double(f64::from(3141_u16) / 1000.0),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.int(n);
                reply.bool(n == 1);
            }
        }
        b"attrib" => {
            if reply.proto() == Proto::Resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.int(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if reply.proto() == Proto::Resp2 {
                return Err(CmdError::text("ERR RESP2 is not supported by this command"));
            }
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.int(42);
            reply.bulk(b"Some real reply following the push reply");
        }
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => {
            return Err(CmdError::text(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Flow::Done)
}

fn packed_threshold(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let size = std::str::from_utf8(args.bytes()?).ok().and_then(number::parse_memory);
    let size = size.filter(|size| *size < 1 << 32).and_then(|size| usize::try_from(size).ok());
    let cause = "ERR argument must be a memory value bigger than 1 and smaller than 4gb";
    cx.db.space.book.limits.list_packed_threshold = size.ok_or(CmdError::text(cause))?;
    done(cx)
}

fn reply_buffer(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.accept("peak-reset-time") {
        cx.facts.debug.reply_buffer_peak_reset_ms = if args.accept("never") {
            Some(-1)
        } else if args.accept("reset") {
            None
        } else {
            Some(args.int()?)
        };
    } else if args.accept("resizing") {
        cx.facts.debug.reply_buffer_resizing_off = !switch(args)?;
    } else {
        return Err(CmdError::unknown_or_arity(b"replybuffer", "debug"));
    }
    done(cx)
}

fn sds_len(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let entry = cx.db.peek(key).ok_or(CmdError::NO_SUCH_KEY)?;
    let value_len = match Kind::of(entry.kind()) {
        Kind::Str | Kind::StrRaw => entry.value().len(),
        Kind::BigStr => Str::view(entry).len(),
        _ => return Err(CmdError::text("ERR Not an sds encoded string.")),
    };
    // One allocation holds the key and, unless it is long, the value.
    let text = format!(
        "key_sds_len:{}, key_sds_avail:0, key_zmalloc: {}, val_sds_len:{value_len}, val_sds_avail:0, val_zmalloc: {}",
        entry.key().len(),
        entry.alloc_bytes(),
        if entry.big().is_some() { value_len } else { 0 }
    );
    cx.reply.simple(&text);
    Ok(Flow::Done)
}

/// The server does it when the command has ended, and replies.
fn load_log(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.asks.push(Ask::ReloadLog(cx.session.conn));
    Ok(Flow::Done)
}

/// As C's strtod: what is no number is no time.
fn sleep(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let secs = crate::base::float::parse_double(args.bytes()?).unwrap_or(0.0);
    std::thread::sleep(Duration::try_from_secs_f64(secs).unwrap_or_default());
    done(cx)
}

fn string_match(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let matches = crate::base::glob::glob_match(args.bytes()?, args.bytes()?, false);
    cx.reply.int(i64::from(matches));
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_say_what_they_do() {
        assert!(SUBS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(
            SUBS.iter().all(|sub| sub.usage.to_ascii_lowercase().starts_with(sub.name) && sub.about.ends_with('.'))
        );
    }
}
