//! Values as bytes: DUMP and RESTORE, and MIGRATE, which sends them.

mod migrate;

pub use migrate::Links;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::base::clock;
use crate::base::number;
use crate::keyspace::{Event, Touch};
use crate::persist::rdb::{self, Decode, PayloadError};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "dump",
        arity: 2,
        flags: flag::READONLY,
        acl: acl::KEYSPACE,
        keys: &[KeySpec::at(1, kf::RO | kf::ACCESS)],
        args: &[Arg::key("key")],
        since: "2.6.0",
        group: "generic",
        complexity: "O(1) to find the key, O(N) in the elements and their bytes to write it",
        summary: "Replies what a key holds as bytes that RESTORE takes.",
        tips: &["nondeterministic_output"],
        run: Some(dump),
        ..Command::BLANK
    },
    migrate::MIGRATE,
    Command {
        name: "restore",
        args: RESTORE_ARGS,
        since: "2.6.0",
        group: "generic",
        history: &[("3.0.0", "Option REPLACE."), ("5.0.0", "Option ABSTTL."), ("5.0.0", "Options IDLETIME and FREQ.")],
        ..RESTORE
    },
    Command {
        name: "restore-asking",
        flags: flag::WRITE | flag::DENYOOM | flag::ASKING,
        args: RESTORE_ARGS,
        since: "3.0.0",
        group: "server",
        history: &[("3.0.0", "Option REPLACE."), ("5.0.0", "Option ABSTTL."), ("5.0.0", "Options IDLETIME and FREQ.")],
        ..RESTORE
    },
];

const RESTORE: Command = Command {
    arity: -4,
    flags: flag::WRITE | flag::DENYOOM,
    acl: acl::KEYSPACE | acl::DANGEROUS,
    keys: &[KeySpec::at(1, kf::OW | kf::UPDATE)],
    complexity: "O(1) to make the key, O(N) in the elements and their bytes; O(N log N) for sorted sets",
    summary: "Makes a key of the bytes that DUMP replied.",
    run: Some(restore),
    ..Command::BLANK
};

const RESTORE_ARGS: &[Arg] = &[
    Arg::key("key"),
    Arg::int("ttl"),
    Arg::string("serialized-value"),
    Arg::word("replace", "REPLACE").optional().since("3.0.0"),
    Arg::word("absttl", "ABSTTL").optional().since("5.0.0"),
    Arg::int("seconds").token("IDLETIME").optional().since("5.0.0"),
    Arg::int("frequency").token("FREQ").optional().since("5.0.0"),
];

fn dump(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    // A payload travels: the receiver may have compression or not.
    let compress = cx.config.rdbcompression;
    match cx.db.entry(key).map(|entry| rdb::dump(entry, compress)) {
        Some(payload) => cx.reply.bulk(&payload),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

/// What stands behind RESTORE's payload.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_secs: Option<i64>,
    frequency: Option<u8>,
}

fn options(args: &mut Args<'_>) -> Result<Options, CmdError> {
    let mut options = Options::default();
    while args.more() {
        if args.accept("replace") {
            options.replace = true;
        } else if args.accept("absttl") {
            options.absolute = true;
        } else if args.left() >= 2 && options.frequency.is_none() && args.accept("idletime") {
            let secs = args.int_in(0, i64::MAX, CmdError::text("ERR Invalid IDLETIME value, must be >= 0"))?;
            options.idle_secs = Some(secs);
        } else if args.left() >= 2 && options.idle_secs.is_none() && args.accept("freq") {
            let outside = CmdError::text("ERR Invalid FREQ value, must be >= 0 and <= 255");
            options.frequency = u8::try_from(args.int_in(0, 255, outside)?).ok();
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok(options)
}

/// The access bits that the options ask for, where they go with how accesses are marked here.
fn access(cx: &Ctx<'_>, options: &Options) -> u32 {
    let book = &cx.db.space.book;
    match (book.touch, options.idle_secs, options.frequency) {
        (Touch::Lfu { .. }, _, Some(frequency)) => clock::lfu_pack(clock::lfu_minutes(cx.now), frequency),
        (Touch::Lru, Some(secs), _) => clock::lru_pack_idle(secs, cx.now),
        _ => book.fresh_access(cx.now),
    }
}

fn restore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, ttl, payload) = (args.key()?, args.bytes()?, args.bytes()?);
    let options = options(args)?;
    if !options.replace && cx.db.exists(key) {
        return Err(CmdError::text("BUSYKEY Target key name already exists."));
    }
    let ttl = number::parse_i64(ttl).ok_or(CmdError::NOT_INTEGER)?;
    if ttl < 0 {
        return Err(CmdError::text("ERR Invalid TTL value, must be >= 0"));
    }
    let limits = cx.db.space.book.limits;
    let how = Decode { limits: &limits, deep: true, access: access(cx, &options) };
    let mut entry =
        rdb::restore(payload, key.bytes, &how, !cx.facts.debug.skip_checksum).map_err(|error| match error {
            PayloadError::Footer => CmdError::text("ERR DUMP payload version or checksum are wrong"),
            PayloadError::Value(fault) => {
                log::debug!("RESTORE is refused: {fault}");
                CmdError::text("ERR Bad data format")
            }
        })?;
    let old = cx.db.take(key);
    let replaced = old.is_some();
    if let Some(old) = old {
        let lazy = cx.config.lazyfree_lazy_server_del;
        cx.db.space.book.free(old, lazy);
    }
    let deadline = match (ttl, options.absolute) {
        (0, _) => None,
        (at, true) => Some(at),
        (ms, false) => Some(ms.saturating_add(cx.now.wall_ms())),
    };
    if deadline.is_some_and(|at| at <= cx.now.unix_ms.0) {
        if replaced {
            cx.effects.replace(&[b"DEL", key.bytes]);
            cx.announce(key.bytes, Event::generic("del"));
            cx.db.space.book.dirty += 1;
        }
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    entry.set_deadline(deadline);
    cx.db.insert(entry);
    cx.announce(key.bytes, Event::NEW_KEY);
    cx.announce(key.bytes, Event::generic("restore"));
    cx.db.space.book.dirty += 1;
    if let (Some(at), false) = (deadline, options.absolute) {
        effect_at(cx, args, at);
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

/// What is propagated says when the key expires, not after how long.
fn effect_at(cx: &mut Ctx<'_>, args: &Args<'_>, at: i64) {
    let mut digits = itoa::Buffer::new();
    let at = digits.format(at).as_bytes();
    let mut words: Vec<&[u8]> = args.argv().iter().collect();
    words[2] = at;
    words.push(b"ABSTTL");
    cx.effects.replace(&words);
}
