//! Strings compared before they are touched (DELEX, DIGEST), and several set at once under a condition (MSETEX).

use super::{CONDITION, Condition, KEY, PAIR, READ, SET_EVENT, SET_EXPIRY, STRING, holds};
use crate::base::digest::xxh3_hex;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::expiry::{self, Unit};
use crate::command::keys::Found;
use crate::command::table::{Arg, Command, KeySpec, flag, key_flag as kf};
use crate::keyspace::{Deadline, Event};
use crate::resp::Argv;
use crate::types::{Encoded, Scratch, Str, Type};

pub const DELEX: Command = Command {
    name: "delex",
    arity: -2,
    flags: flag::WRITE | flag::FAST,
    keys: &[KeySpec::at(1, kf::RW | kf::DELETE | kf::VARIABLE_FLAGS)],
    args: &[KEY, Arg::one_of("condition", CONDITION_OF_VALUE).optional()],
    since: "8.4.0",
    complexity: "O(1) for IFEQ and IFNE, O(N) in the value's bytes for IFDEQ and IFDNE",
    summary: "Deletes a key if its value, or the value's digest, is or is not the one given.",
    find_keys: Some(delex_keys),
    run: Some(delex),
    ..STRING
};

pub const DIGEST: Command = Command {
    name: "digest",
    arity: 2,
    flags: flag::READONLY | flag::FAST,
    keys: READ,
    args: &[KEY],
    since: "8.4.0",
    complexity: "O(N) in the value's bytes",
    summary: "Replies the XXH3 digest of a string in 16 hexadecimal digits.",
    run: Some(digest),
    ..STRING
};

pub const MSETEX: Command = Command {
    name: "msetex",
    arity: -4,
    flags: flag::WRITE | flag::DENYOOM,
    keys: &[KeySpec::count(1, 2, kf::OW | kf::UPDATE)],
    args: &[
        Arg::int("numkeys"),
        Arg::block("data", PAIR).multiple(),
        Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional(),
        Arg::one_of("expiration", SET_EXPIRY).optional(),
    ],
    since: "8.4.0",
    complexity: "O(N) in the keys",
    summary: "Sets several strings, all or none of them, with one expiry for all.",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    run: Some(msetex),
    ..STRING
};

/// The conditions that are about a value: SET's without NX and XX.
const CONDITION_OF_VALUE: &[Arg] = CONDITION.split_at(2).1;

/// Without a condition it removes whatever is there, else it reads it first.
fn delex_keys(argv: Argv<'_>, found: &mut Found) -> bool {
    found.push((1, kf::DELETE | if argv.len() > 2 { kf::RW } else { kf::RM }));
    argv.len() > 1
}

fn delex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut doomed = cx.db.exists(key);
    if args.more() {
        if args.left() != 2 {
            return Err(CmdError::arity("delex"));
        }
        if doomed && cx.db.type_of(key) != Some(Type::String) {
            return Err(CmdError::text("ERR Key should be of string type if conditions are specified"));
        }
        // With a missing key nothing that follows it is looked at.
        doomed = doomed && holds(cx, key, condition(args)?)?;
    }
    if doomed {
        cx.effects.replace(&[b"DEL", key.bytes]);
        cx.db.delete(key, false, Event::generic("del"));
    }
    cx.reply.int(i64::from(doomed));
    Ok(Flow::Done)
}

fn condition<'a>(args: &mut Args<'a>) -> Result<Condition<'a>, CmdError> {
    Ok(if args.accept("ifeq") {
        Condition::Equal(args.bytes()?, true)
    } else if args.accept("ifne") {
        Condition::Equal(args.bytes()?, false)
    } else if args.accept("ifdeq") {
        Condition::Digest(args.bytes()?, true)
    } else if args.accept("ifdne") {
        Condition::Digest(args.bytes()?, false)
    } else {
        return Err(CmdError::text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE"));
    })
}

fn digest(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    match cx.db.read::<Str>(key)? {
        Some(value) => cx.reply.bulk(&xxh3_hex(value.bytes(&mut Scratch::default()))),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

/// What stands behind MSETEX's pairs.
struct SetOptions<'a> {
    condition: Condition<'a>,
    keep_ttl: bool,
    /// Unit, text, and where the unit stands in the request.
    expiry: Option<(Unit, &'a [u8], usize)>,
}

fn options<'a>(args: &mut Args<'a>) -> Result<SetOptions<'a>, CmdError> {
    let mut options = SetOptions { condition: Condition::Always, keep_ttl: false, expiry: None };
    while args.more() {
        let at = args.position();
        let condition = if args.accept("nx") {
            Some(Condition::IfMissing)
        } else if args.accept("xx") {
            Some(Condition::IfPresent)
        } else {
            None
        };
        if let Some(condition) = condition {
            if options.condition != Condition::Always && options.condition != condition {
                return Err(CmdError::SYNTAX);
            }
            options.condition = condition;
        } else if args.accept("keepttl") {
            options.keep_ttl = true;
        } else {
            let unit = Unit::accept(args).ok_or(CmdError::SYNTAX)?;
            // As with SET the same unit twice passes.
            if options.expiry.is_some_and(|(other, ..)| other != unit) {
                return Err(CmdError::SYNTAX);
            }
            options.expiry = Some((unit, args.bytes()?, at));
        }
        if options.keep_ttl && options.expiry.is_some() {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok(options)
}

fn msetex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let bad_count = CmdError::text("ERR invalid numkeys value");
    let count = args.int_in(1, i64::from(i32::MAX), bad_count.clone()).map_err(|_| bad_count)? as usize;
    if count > args.left() / 2 {
        return Err(CmdError::text("ERR wrong number of key-value pairs"));
    }
    let first = args.position();
    args.seek(first + 2 * count);
    let options = options(args)?;
    let deadline = match options.expiry {
        None if options.keep_ttl => Deadline::Keep,
        None => Deadline::At(None),
        Some((unit, text, _)) => Deadline::At(Some(expiry::parse(text, unit, cx)?)),
    };
    args.seek(first);
    for _ in 0..count {
        let key = args.key()?;
        args.bytes()?;
        if !holds(cx, key, options.condition)? {
            cx.reply.int(0);
            return Ok(Flow::Done);
        }
    }
    args.seek(first);
    for _ in 0..count {
        let key = args.key()?;
        let (value, shared) = args.value()?;
        let encoded = Encoded::of(value, shared);
        cx.db.put(key, deadline, SET_EVENT, |old, access| encoded.store(key.bytes, old, access));
        if matches!(deadline, Deadline::At(Some(_))) {
            cx.announce(key.bytes, Event::generic("expire"));
        }
    }
    if let (Deadline::At(Some(at_ms)), Some((.., at))) = (deadline, options.expiry) {
        // The effect names the point in time, whatever the request said.
        let mut text = itoa::Buffer::new();
        let mut words: Vec<&[u8]> = args.argv().iter().collect();
        words[at] = b"PXAT";
        words[at + 1] = text.format(at_ms).as_bytes();
        cx.effects.replace(&words);
    }
    cx.reply.int(1);
    Ok(Flow::Done)
}
