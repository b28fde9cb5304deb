//! Strings: SET and GET in all forms, counters, ranges.

mod conditional;
mod increx;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::expiry::{self, Unit};
use super::keys;
use super::table::{Arg, ArgType, Command, KeySpec, acl, flag, key_flag as kf};
use crate::base::float::LongDouble;
use crate::keyspace::{Deadline, Event, Key};
use crate::types::{Encoded, Scratch, Str, StrRef};

/// A row of this family.
const STRING: Command = Command { group: "string", acl: acl::STRING, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const UPDATE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)];
const OVERWRITE: &[KeySpec] = &[KeySpec::at(1, kf::OW | kf::UPDATE)];

const KEY: Arg = Arg::key("key");
const VALUE: Arg = Arg::string("value");
const fn unix_time(name: &'static str) -> Arg {
    Arg::new(name, ArgType::UnixTime)
}
const CONDITION: &[Arg] = &[
    Arg::word("nx", "NX"),
    Arg::word("xx", "XX"),
    Arg::string("ifeq-value").token("IFEQ"),
    Arg::string("ifne-value").token("IFNE"),
    Arg::string("ifdeq-digest").token("IFDEQ"),
    Arg::string("ifdne-digest").token("IFDNE"),
];
const SET_EXPIRY: &[Arg] = &[
    Arg::int("seconds").token("EX"),
    Arg::int("milliseconds").token("PX"),
    unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
    unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
    Arg::word("keepttl", "KEEPTTL").since("6.0.0"),
];
const GETEX_EXPIRY: &[Arg] = &[
    Arg::int("seconds").token("EX"),
    Arg::int("milliseconds").token("PX"),
    unix_time("unix-time-seconds").token("EXAT"),
    unix_time("unix-time-milliseconds").token("PXAT"),
    Arg::word("persist", "PERSIST"),
];
const PAIR: &[Arg] = &[KEY, VALUE];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "append",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::INSERT)],
        args: &[KEY, VALUE],
        since: "2.0.0",
        complexity: "O(1) amortised",
        summary: "Adds bytes to the end of a string, which is made if there is none.",
        run: Some(append),
        ..STRING
    },
    Command {
        name: "decr",
        arity: 2,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Takes one off a number; a missing key counts from 0.",
        run: Some(decr),
        ..STRING
    },
    Command {
        name: "decrby",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::int("decrement")],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Takes an integer off a number; a missing key counts from 0.",
        run: Some(decrby),
        ..STRING
    },
    conditional::DELEX,
    conditional::DIGEST,
    Command {
        name: "get",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies the value of a string.",
        run: Some(get),
        ..STRING
    },
    Command {
        name: "getdel",
        arity: 2,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[KEY],
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Replies the value of a string and deletes its key.",
        run: Some(getdel),
        ..STRING
    },
    Command {
        name: "getex",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::one_of("expiration", GETEX_EXPIRY).optional()],
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Replies the value of a string and sets or removes its expiry.",
        run: Some(getex),
        ..STRING
    },
    Command {
        name: "getrange",
        arity: 4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("start"), Arg::int("end")],
        since: "2.4.0",
        complexity: "O(N) in the bytes replied",
        summary: "Replies the part of a string between two offsets, both included.",
        run: Some(getrange),
        ..STRING
    },
    Command {
        name: "getset",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY, VALUE],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Sets a string and replies the value it had.",
        deprecated: Some(("6.2.0", "`SET` with the `GET` argument")),
        run: Some(getset),
        ..STRING
    },
    Command {
        name: "incr",
        arity: 2,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Adds one to a number; a missing key counts from 0.",
        run: Some(incr),
        ..STRING
    },
    Command {
        name: "incrby",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::int("increment")],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Adds an integer to a number; a missing key counts from 0.",
        run: Some(incrby),
        ..STRING
    },
    Command {
        name: "incrbyfloat",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::double("increment")],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Adds a floating-point number to a number; a missing key counts from 0.",
        run: Some(incrbyfloat),
        ..STRING
    },
    increx::INCREX,
    Command {
        name: "lcs",
        arity: -3,
        flags: flag::READONLY,
        keys: &[KeySpec::range(1, 1, 1, kf::RO | kf::ACCESS)],
        args: &[
            Arg::key("key1"),
            Arg::key("key2"),
            Arg::word("len", "LEN").optional(),
            Arg::word("idx", "IDX").optional(),
            Arg::int("min-match-len").token("MINMATCHLEN").optional(),
            Arg::word("withmatchlen", "WITHMATCHLEN").optional(),
        ],
        since: "7.0.0",
        complexity: "O(N*M) in the lengths of the strings",
        summary: "Finds the longest common subsequence of two strings.",
        run: Some(super::lcs::lcs),
        ..STRING
    },
    Command {
        name: "mget",
        arity: -2,
        flags: flag::READONLY | flag::FAST,
        keys: &[KeySpec::range(1, -1, 1, kf::RO | kf::ACCESS)],
        args: &[KEY.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the keys",
        summary: "Replies the values of several strings.",
        tips: &["request_policy:multi_shard"],
        run: Some(mget),
        ..STRING
    },
    Command {
        name: "mset",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::range(1, -1, 2, kf::OW | kf::UPDATE)],
        args: &[Arg::block("data", PAIR).multiple()],
        since: "1.0.1",
        complexity: "O(N) in the keys",
        summary: "Sets several strings at once.",
        tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
        run: Some(mset),
        ..STRING
    },
    conditional::MSETEX,
    Command {
        name: "msetnx",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::range(1, -1, 2, kf::OW | kf::INSERT)],
        args: &[Arg::block("data", PAIR).multiple()],
        since: "1.0.1",
        complexity: "O(N) in the keys",
        summary: "Sets several strings at once, if none of the keys exists.",
        run: Some(msetnx),
        ..STRING
    },
    Command {
        name: "psetex",
        arity: 4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: OVERWRITE,
        args: &[KEY, Arg::int("milliseconds"), VALUE],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Sets a string that expires after milliseconds.",
        deprecated: Some(("2.6.12", "`SET` with the `PX` argument")),
        run: Some(psetex),
        ..STRING
    },
    Command {
        name: "set",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE | kf::VARIABLE_FLAGS)],
        args: &[
            KEY,
            VALUE,
            Arg::one_of("condition", CONDITION).optional().since("2.6.12"),
            Arg::word("get", "GET").optional().since("6.2.0"),
            Arg::one_of("expiration", SET_EXPIRY).optional(),
        ],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Sets a string, whatever the key held before.",
        history: &[
            ("2.6.12", "Options EX, PX, NX and XX."),
            ("6.0.0", "Option KEEPTTL."),
            ("6.2.0", "Options GET, EXAT and PXAT."),
            ("7.0.0", "NX and GET may be used together."),
            ("8.4.0", "Options IFEQ, IFNE, IFDEQ and IFDNE."),
        ],
        find_keys: Some(keys::set),
        run: Some(set),
        ..STRING
    },
    Command {
        name: "setex",
        arity: 4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: OVERWRITE,
        args: &[KEY, Arg::int("seconds"), VALUE],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Sets a string that expires after seconds.",
        deprecated: Some(("2.6.12", "`SET` with the `EX` argument")),
        run: Some(setex),
        ..STRING
    },
    Command {
        name: "setnx",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: &[KeySpec::at(1, kf::OW | kf::INSERT)],
        args: &[KEY, VALUE],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Sets a string if the key does not exist.",
        deprecated: Some(("2.6.12", "`SET` with the `NX` argument")),
        run: Some(setnx),
        ..STRING
    },
    Command {
        name: "setrange",
        arity: 4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RW | kf::UPDATE)],
        args: &[KEY, Arg::int("offset"), VALUE],
        since: "2.2.0",
        complexity: "O(N) in the bytes written",
        summary: "Overwrites a part of a string from an offset on; a gap is filled with zero bytes.",
        run: Some(setrange),
        ..STRING
    },
    Command {
        name: "strlen",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: &[KeySpec::at(1, kf::RO)],
        args: &[KEY],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Replies the length of a string in bytes.",
        run: Some(strlen),
        ..STRING
    },
    Command {
        name: "substr",
        arity: 4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("start"), Arg::int("end")],
        since: "1.0.0",
        complexity: "O(N) in the bytes replied",
        summary: "The older name of GETRANGE.",
        deprecated: Some(("2.0.0", "`GETRANGE`")),
        run: Some(getrange),
        ..STRING
    },
];

const SET_EVENT: Event = Event::string("set");

fn reply_string(cx: &mut Ctx<'_>, key: Key<'_>) -> Result<bool, CmdError> {
    match cx.db.read::<Str>(key)? {
        None => return Ok(false),
        Some(StrRef::Int(n)) => cx.reply.bulk_int(n),
        Some(StrRef::Bytes(bytes)) => cx.reply.bulk(bytes),
        Some(StrRef::Shared(bytes)) => cx.reply.bulk_shared(bytes),
    }
    Ok(true)
}

fn get(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if !reply_string(cx, key)? {
        cx.reply.null();
    }
    Ok(Flow::Done)
}

/// Stores a value whole.
#[inline]
fn store(cx: &mut Ctx<'_>, key: Key<'_>, encoded: Encoded<'_>, deadline: Deadline) {
    cx.db.put(key, deadline, SET_EVENT, |old, access| encoded.store(key.bytes, old, access));
}

/// When SET writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Condition<'a> {
    Always,
    IfMissing,
    IfPresent,
    /// The value must (or must not) equal these bytes.
    Equal(&'a [u8], bool),
    /// The value's digest must (or must not) be this one.
    Digest(&'a [u8], bool),
}

/// What stands behind SET's value.
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    expiry: Option<(Unit, &'a [u8])>,
    keep_ttl: bool,
}

fn set_options<'a>(args: &mut Args<'a>) -> Result<SetOptions<'a>, CmdError> {
    let mut options = SetOptions { condition: Condition::Always, get: false, expiry: None, keep_ttl: false };
    while args.more() {
        let condition = if args.accept("nx") {
            Some(Condition::IfMissing)
        } else if args.accept("xx") {
            Some(Condition::IfPresent)
        } else if args.accept("ifeq") {
            Some(Condition::Equal(args.bytes()?, true))
        } else if args.accept("ifne") {
            Some(Condition::Equal(args.bytes()?, false))
        } else if args.accept("ifdeq") {
            Some(Condition::Digest(args.bytes()?, true))
        } else if args.accept("ifdne") {
            Some(Condition::Digest(args.bytes()?, false))
        } else {
            None
        };
        if let Some(condition) = condition {
            if options.condition != Condition::Always && options.condition != condition {
                return Err(CmdError::SYNTAX);
            }
            options.condition = condition;
        } else if args.accept("get") {
            options.get = true;
        } else if args.accept("keepttl") {
            options.keep_ttl = true;
        } else if let Some(unit) = Unit::accept(args) {
            // The same unit twice passes, as in the reference: the last one holds.
            if options.expiry.is_some_and(|(other, _)| other != unit) {
                return Err(CmdError::SYNTAX);
            }
            options.expiry = Some((unit, args.bytes()?));
        } else {
            return Err(CmdError::SYNTAX);
        }
        if options.keep_ttl && options.expiry.is_some() {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok(options)
}

fn set(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (value, shared) = args.value()?;
    if !args.more() {
        store(cx, key, Encoded::of(value, shared), Deadline::At(None));
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    let options = set_options(args)?;
    let deadline = match options.expiry {
        None if options.keep_ttl => Deadline::Keep,
        None => Deadline::At(None),
        Some((unit, text)) => Deadline::At(Some(expiry::parse(text, unit, cx)?)),
    };
    let reply = cx.reply.defer();
    if options.get && !reply_string(cx, key)? {
        cx.reply.null();
    }
    if !holds(cx, key, options.condition)? {
        if !cx.reply.wrote_since(&reply) {
            cx.reply.null();
        }
        return Ok(Flow::Done);
    }
    if let Deadline::At(Some(at)) = deadline {
        // The effect names the point in time, whatever the request said.
        let mut text = itoa::Buffer::new();
        cx.effects.replace(&[b"SET", key.bytes, value, b"PXAT", text.format(at).as_bytes()]);
        store(cx, key, Encoded::of(value, shared), deadline);
        cx.announce(key.bytes, Event::generic("expire"));
    } else {
        if options.get && !matches!(options.condition, Condition::Equal(..) | Condition::Digest(..)) {
            // What GET replies is nobody's business who only follows.
            let wanted = |(index, word): &(usize, &[u8])| *index < 3 || !word.eq_ignore_ascii_case(b"get");
            let words: Vec<&[u8]> = args.argv().iter().enumerate().filter(wanted).map(|(_, word)| word).collect();
            cx.effects.replace(&words);
        }
        store(cx, key, Encoded::of(value, shared), deadline);
    }
    if !cx.reply.wrote_since(&reply) {
        cx.reply.ok();
    }
    Ok(Flow::Done)
}

/// Whether a SET's condition holds.
fn holds(cx: &mut Ctx<'_>, key: Key<'_>, condition: Condition<'_>) -> Result<bool, CmdError> {
    match condition {
        Condition::Always => Ok(true),
        Condition::IfMissing => Ok(!cx.db.exists(key)),
        Condition::IfPresent => Ok(cx.db.exists(key)),
        Condition::Equal(wanted, equal) => {
            let mut scratch = Scratch::default();
            let found = cx.db.read::<Str>(key)?;
            // A missing key equals nothing: IFEQ fails, IFNE holds.
            Ok(found.map_or(!equal, |value| (value.bytes(&mut scratch) == wanted) == equal))
        }
        Condition::Digest(wanted, equal) => {
            if wanted.len() != 16 {
                return Err(CmdError::text("ERR must be exactly 16 hexadecimal characters"));
            }
            let mut scratch = Scratch::default();
            let found = cx.db.read::<Str>(key)?;
            Ok(found.map_or(!equal, |value| {
                let digest = crate::base::digest::xxh3_hex(value.bytes(&mut scratch));
                digest.eq_ignore_ascii_case(wanted) == equal
            }))
        }
    }
}

fn setnx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (value, shared) = args.value()?;
    let free = !cx.db.exists(key);
    if free {
        store(cx, key, Encoded::of(value, shared), Deadline::At(None));
    }
    cx.reply.int(i64::from(free));
    Ok(Flow::Done)
}

fn set_with_expiry(cx: &mut Ctx<'_>, args: &mut Args<'_>, unit: Unit) -> Outcome {
    let key = args.key()?;
    let text = args.bytes()?;
    let (value, shared) = args.value()?;
    let at = expiry::parse(text, unit, cx)?;
    let mut number = itoa::Buffer::new();
    cx.effects.replace(&[b"SET", key.bytes, value, b"PXAT", number.format(at).as_bytes()]);
    store(cx, key, Encoded::of(value, shared), Deadline::At(Some(at)));
    cx.announce(key.bytes, Event::generic("expire"));
    cx.reply.ok();
    Ok(Flow::Done)
}

fn setex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_with_expiry(cx, args, Unit::Seconds)
}

fn psetex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_with_expiry(cx, args, Unit::Milliseconds)
}

fn getset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (value, shared) = args.value()?;
    if !reply_string(cx, key)? {
        cx.reply.null();
    }
    cx.effects.replace(&[b"SET", key.bytes, value]);
    store(cx, key, Encoded::of(value, shared), Deadline::At(None));
    Ok(Flow::Done)
}

fn getdel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if reply_string(cx, key)? {
        cx.effects.replace(&[b"DEL", key.bytes]);
        cx.db.delete(key, false, Event::generic("del"));
    } else {
        cx.reply.null();
    }
    Ok(Flow::Done)
}

fn getex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (mut persist, mut unit) = (false, None);
    while args.more() {
        if args.accept("persist") {
            persist = true;
        } else {
            let which = Unit::accept(args).ok_or(CmdError::SYNTAX)?;
            if unit.is_some_and(|(other, _)| other != which) {
                return Err(CmdError::SYNTAX);
            }
            unit = Some((which, args.bytes()?));
        }
        if persist && unit.is_some() {
            return Err(CmdError::SYNTAX);
        }
    }
    let reply = cx.reply.defer();
    if !reply_string(cx, key)? {
        // As the reference: a bad expiry for a missing key is no error.
        cx.reply.null();
        return Ok(Flow::Done);
    }
    if let Some((unit, text)) = unit {
        let at = match expiry::parse(text, unit, cx) {
            Ok(at) => at,
            Err(error) => {
                cx.reply.rewind(&reply);
                return Err(error);
            }
        };
        expiry::apply(cx, key, at);
    } else if persist {
        expiry::persist(cx, key);
    }
    Ok(Flow::Done)
}

fn strlen(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<Str>(key)?.map_or(0, |value| value.len());
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn append(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let tail = args.bytes()?;
    let mut edit = cx.db.edit_or_create::<Str>(key)?;
    let len = if edit.created() {
        if tail.len() as u64 > cx_limit(&edit) {
            return Err(CmdError::STRING_TOO_LONG);
        }
        edit.value().set(tail);
        tail.len()
    } else {
        edit.value().append(tail).map_err(|_| CmdError::STRING_TOO_LONG)?
    };
    edit.finish(Event::string("append"));
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn cx_limit(edit: &crate::keyspace::Edit<'_, Str>) -> u64 {
    edit.limits().bulk_len
}

fn setrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let offset = args.int()?;
    let bytes = args.bytes()?;
    let offset = usize::try_from(offset).map_err(|_| CmdError::text("ERR offset is out of range"))?;
    if bytes.is_empty() {
        let len = cx.db.read_to_change::<Str>(key)?.map_or(0, |value| value.len());
        cx.reply.len(len);
        return Ok(Flow::Done);
    }
    let mut edit = cx.db.edit_or_create::<Str>(key)?;
    let len = edit.value().write(offset, bytes).map_err(|_| CmdError::STRING_TOO_LONG)?;
    edit.finish(Event::string("setrange"));
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn getrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (start, end) = (args.int()?, args.int()?);
    let mut scratch = Scratch::default();
    let Some(value) = cx.db.read::<Str>(key)? else {
        cx.reply.bulk(b"");
        return Ok(Flow::Done);
    };
    let bytes = value.bytes(&mut scratch);
    let range = byte_range(start, end, bytes.len());
    match value {
        StrRef::Shared(shared) => cx.reply.bulk_shared(&shared.slice(range)),
        _ => cx.reply.bulk(&bytes[range]),
    }
    Ok(Flow::Done)
}

/// Offsets, negative from the end and both included, as a range within `len`.
fn byte_range(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let len = len as i64;
    let from_end = |i: i64| if i < 0 { (len + i).max(0) } else { i };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if len == 0 || start > end { 0..0 } else { start as usize..end as usize + 1 }
}

fn mget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.reply.array(args.left());
    while args.more() {
        let key = args.key()?;
        // A key of another type has no string value.
        if !matches!(reply_string(cx, key), Ok(true)) {
            cx.reply.null();
        }
    }
    Ok(Flow::Done)
}

fn mset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() % 2 != 0 {
        return Err(CmdError::arity("mset"));
    }
    while args.more() {
        let key = args.key()?;
        let (value, shared) = args.value()?;
        store(cx, key, Encoded::of(value, shared), Deadline::At(None));
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

fn msetnx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() % 2 != 0 {
        return Err(CmdError::arity("msetnx"));
    }
    let first = args.position();
    while args.more() {
        let key = args.key()?;
        args.bytes()?;
        if cx.db.exists(key) {
            cx.reply.int(0);
            return Ok(Flow::Done);
        }
    }
    args.seek(first);
    while args.more() {
        let key = args.key()?;
        let (value, shared) = args.value()?;
        store(cx, key, Encoded::of(value, shared), Deadline::At(None));
    }
    cx.reply.int(1);
    Ok(Flow::Done)
}

fn add(cx: &mut Ctx<'_>, key: Key<'_>, delta: i64) -> Outcome {
    let mut edit = cx.db.edit_or_create::<Str>(key)?;
    let old = if edit.created() { 0 } else { edit.view().int().ok_or(CmdError::NOT_INTEGER)? };
    let new = old.checked_add(delta).ok_or(CmdError::OVERFLOW)?;
    edit.value().set_int(new);
    // One event for all four, which is how the reference announces them.
    edit.finish(Event::string("incrby"));
    cx.reply.int(new);
    Ok(Flow::Done)
}

fn incr(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    add(cx, key, 1)
}

fn decr(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    add(cx, key, -1)
}

fn incrby(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let delta = args.int()?;
    add(cx, key, delta)
}

fn decrby(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let delta = args.int()?.checked_neg().ok_or(CmdError::text("ERR decrement would overflow"))?;
    add(cx, key, delta)
}

fn incrbyfloat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let delta = args.bytes()?;
    let mut scratch = Scratch::default();
    let old = match cx.db.read_to_change::<Str>(key)? {
        None => LongDouble::parse(b"0"),
        Some(value) => LongDouble::parse(value.bytes(&mut scratch)),
    };
    let old = old.ok_or(CmdError::NOT_FLOAT)?;
    let delta = LongDouble::parse(delta).ok_or(CmdError::NOT_FLOAT)?;
    let sum = old.add(delta).ok_or(CmdError::NAN_OR_INFINITY)?.format();
    // Text even where it is an integer: OBJECT ENCODING says so, as the reference does.
    let encoded = Encoded::Inline(&sum);
    let event = Event::string("incrbyfloat");
    cx.db.put_changed(key, event, |old, access| encoded.store(key.bytes, old, access));
    // Replayed as a plain SET: another machine's addition might round otherwise.
    cx.effects.replace(&[b"SET", key.bytes, &sum, b"KEEPTTL"]);
    cx.reply.bulk(&sum);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_ranges_are_clamped_as_the_reference_clamps_them() {
        for (start, end, len, expected) in [
            (0, 3, 5, 0..4),
            (0, -1, 5, 0..5),
            (-3, -1, 5, 2..5),
            (-1, -5, 5, 0..0),
            (5, 9, 5, 0..0),
            (-9, 9, 5, 0..5),
            (0, -9, 5, 0..1),
            (0, 0, 0, 0..0),
        ] {
            assert_eq!(byte_range(start, end, len), expected, "{start} {end} of {len}");
        }
    }
}
