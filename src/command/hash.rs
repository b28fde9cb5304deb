//! Hashes.
//!
//! Fields whose time has come and that active expiry has not met yet are hidden from all that read values. What names such a
//! field removes it; HLEN counts it and HDEL finds it still, as the reference has it.

mod expiry;
mod import;
mod several;

pub use expiry::{COMMANDS as EXPIRY_COMMANDS, END_MS};
pub(in crate::command) use expiry::{expire_field, persist_field};
pub use import::COMMANDS as IMPORT_COMMANDS;
pub use several::COMMANDS as SEVERAL_COMMANDS;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::scan::{self, ScanArgs};
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use super::{reply_elem, reply_elem_opt};
use crate::base::float::LongDouble;
use crate::keyspace::{DbView, Event, Key, Missing};
use crate::resp::Proto;
use crate::types::{Elem, Hash, HashRef, Type};

const HASH: Command = Command { group: "hash", acl: acl::HASH, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const LOOK: &[KeySpec] = &[KeySpec::at(1, kf::RO)];
const UPDATE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::UPDATE)];
const CHANGE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)];
const INSERT: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::INSERT)];
const DELETE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::DELETE)];
const KEY: Arg = Arg::key("key");
const FIELD: Arg = Arg::string("field");
const VALUE: Arg = Arg::string("value");
const PAIR: &[Arg] = &[FIELD, VALUE];
const FAST_WRITE: u32 = flag::WRITE | flag::DENYOOM | flag::FAST;
const RANDOM_COUNT: &[Arg] = &[Arg::int("count"), Arg::word("withvalues", "WITHVALUES").optional()];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hdel",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: DELETE,
        member: 2,
        args: &[KEY, FIELD.multiple()],
        since: "2.0.0",
        complexity: "O(N) in the fields named",
        summary: "Deletes fields of a hash, and the key with the last of them.",
        history: &[("2.4.0", "Several fields.")],
        run: Some(hdel),
        ..HASH
    },
    Command {
        name: "hdelall",
        arity: 2,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(N) in the fields",
        summary: "Deletes all fields of a hash and its key; replies how many there were.",
        run: Some(hdelall),
        ..HASH
    },
    Command {
        name: "hexists",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK,
        member: 2,
        args: &[KEY, FIELD],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Tells whether a hash has a field.",
        run: Some(hexists),
        ..HASH
    },
    Command {
        name: "hget",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, FIELD],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Replies the value of a field.",
        run: Some(hget),
        ..HASH
    },
    Command {
        name: "hgetall",
        arity: 2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY],
        since: "2.0.0",
        complexity: "O(N) in the fields",
        summary: "Replies all fields with their values.",
        tips: &["nondeterministic_output_order"],
        run: Some(hgetall),
        ..HASH
    },
    Command {
        name: "hincrby",
        arity: 4,
        flags: FAST_WRITE,
        keys: CHANGE,
        member: 2,
        args: &[KEY, FIELD, Arg::int("increment")],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Adds an integer to a field; a missing one counts from 0.",
        run: Some(hincrby),
        ..HASH
    },
    Command {
        name: "hincrbyfloat",
        arity: 4,
        flags: FAST_WRITE,
        keys: CHANGE,
        member: 2,
        args: &[KEY, FIELD, Arg::double("increment")],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Adds a floating-point number to a field; a missing one counts from 0.",
        run: Some(hincrbyfloat),
        ..HASH
    },
    Command {
        name: "hkeys",
        arity: 2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY],
        since: "2.0.0",
        complexity: "O(N) in the fields",
        summary: "Replies all fields.",
        tips: &["nondeterministic_output_order"],
        run: Some(hkeys),
        ..HASH
    },
    Command {
        name: "hlen",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK,
        args: &[KEY],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Replies the number of fields.",
        run: Some(hlen),
        ..HASH
    },
    Command {
        name: "hmget",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, FIELD.multiple()],
        since: "2.0.0",
        complexity: "O(N) in the fields named",
        summary: "Replies the values of several fields.",
        run: Some(hmget),
        ..HASH
    },
    Command {
        name: "hmset",
        arity: -4,
        flags: FAST_WRITE,
        keys: UPDATE,
        member: 2,
        args: &[KEY, Arg::block("data", PAIR).multiple()],
        since: "2.0.0",
        complexity: "O(N) in the pairs",
        summary: "Sets several fields; the older form of HSET.",
        deprecated: Some(("4.0.0", "`HSET` with multiple field-value pairs")),
        run: Some(hmset),
        ..HASH
    },
    Command {
        name: "hrandfield",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::block("options", RANDOM_COUNT).optional()],
        since: "6.2.0",
        complexity: "O(N) in the fields replied",
        summary: "Replies random fields: distinct ones for a positive count, with repeats for a negative one.",
        tips: &["nondeterministic_output"],
        run: Some(hrandfield),
        ..HASH
    },
    Command {
        name: "hscan",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::int("cursor"),
            Arg::new("pattern", super::table::ArgType::Pattern).token("MATCH").optional(),
            Arg::int("count").token("COUNT").optional(),
            Arg::word("novalues", "NOVALUES").optional().since("7.4.0"),
        ],
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for a whole iteration",
        summary: "Walks the fields of a hash step by step.",
        tips: &["nondeterministic_output"],
        run: Some(hscan),
        ..HASH
    },
    Command {
        name: "hset",
        arity: -4,
        flags: FAST_WRITE,
        keys: UPDATE,
        member: 2,
        args: &[KEY, Arg::block("data", PAIR).multiple()],
        since: "2.0.0",
        complexity: "O(N) in the pairs",
        summary: "Sets fields; replies how many are new.",
        history: &[("4.0.0", "Several pairs.")],
        run: Some(hset),
        ..HASH
    },
    Command {
        name: "hsetnx",
        arity: 4,
        flags: FAST_WRITE,
        keys: INSERT,
        member: 2,
        args: &[KEY, FIELD, VALUE],
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Sets a field if the hash does not have it.",
        run: Some(hsetnx),
        ..HASH
    },
    Command {
        name: "hstrlen",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK,
        member: 2,
        args: &[KEY, FIELD],
        since: "3.2.0",
        complexity: "O(1)",
        summary: "Replies the length of a field's value in bytes.",
        run: Some(hstrlen),
        ..HASH
    },
    Command {
        name: "hvals",
        arity: 2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY],
        since: "2.0.0",
        complexity: "O(N) in the fields",
        summary: "Replies all values.",
        tips: &["nondeterministic_output_order"],
        run: Some(hvals),
        ..HASH
    },
];

const HSET: Event = Event::hash("hset");
const HDEL: Event = Event::hash("hdel");
/// Fields were given a deadline.
const CHANGED_TTL: Event = Event::hash("hexpire");
/// Fields were given one in the past.
const DELETE_PAST: Event = HDEL;
/// Fields lost their deadline.
const PERSISTED: Event = Event::hash("hpersist");

/// Fields that a read found hidden go, those of `fields`; unless nothing may change now.
#[cold]
fn drop_hidden<'f>(cx: &mut Ctx<'_>, key: Key<'_>, fields: impl Iterator<Item = &'f [u8]>) {
    if cx.db.keep_expired {
        return;
    }
    if let Ok(Some(mut edit)) = cx.db.edit::<Hash>(key, Missing::Skip) {
        edit.expire_fields(cx.now, fields);
    }
}

/// Refuses a key of another type.
fn check_type(db: &mut DbView<'_>, key: Key<'_>) -> Result<(), CmdError> {
    match db.type_of(key) {
        Some(found) if found != Type::Hash => Err(CmdError::WRONG_TYPE),
        _ => Ok(()),
    }
}

/// Sets the pairs that are left; the number of new fields.
fn set_pairs(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Result<usize, CmdError> {
    let key = args.key()?;
    if args.left() % 2 != 0 {
        return Err(CmdError::arity(cx.command_name()));
    }
    let mut edit = cx.db.edit_or_create::<Hash>(key)?;
    let pairs = args.left() / 2;
    let mut hash = edit.value();
    if pairs > 1 {
        let argv = args.argv();
        hash.reserve(pairs, argv.iter().skip(args.position()));
    }
    let mut added = 0;
    while args.more() {
        added += usize::from(hash.set(args.bytes()?, args.bytes()?));
    }
    drop(hash);
    edit.finish_with(pairs as u64, HSET);
    Ok(added)
}

fn hset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let added = set_pairs(cx, args)?;
    cx.reply.len(added);
    Ok(Flow::Done)
}

fn hmset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_pairs(cx, args)?;
    cx.reply.ok();
    Ok(Flow::Done)
}

fn hsetnx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field, value) = (args.key()?, args.bytes()?, args.bytes()?);
    let mut edit = cx.db.edit_or_create::<Hash>(key)?;
    edit.expire_fields(cx.now, std::iter::once(field));
    if edit.view().get(field).is_some() {
        cx.reply.int(0);
        return Ok(Flow::Done);
    }
    edit.value().set(field, value);
    edit.finish(HSET);
    cx.reply.int(1);
    Ok(Flow::Done)
}

fn hget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.key()?, args.bytes()?);
    let hash = cx.db.read::<Hash>(key)?;
    reply_elem_opt(&mut cx.reply, hash.and_then(|hash| hash.get(field)));
    if hash.is_some_and(|hash| hash.is_behind()) {
        drop_hidden(cx, key, std::iter::once(field));
    }
    Ok(Flow::Done)
}

fn hmget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let fields = args.clone();
    let hash = cx.db.read::<Hash>(key)?;
    cx.reply.array(args.left());
    while args.more() {
        let field = args.bytes()?;
        reply_elem_opt(&mut cx.reply, hash.and_then(|hash| hash.get(field)));
    }
    if hash.is_some_and(|hash| hash.is_behind()) {
        drop_hidden(cx, key, expiry::words(&fields));
    }
    Ok(Flow::Done)
}

fn hstrlen(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.key()?, args.bytes()?);
    let hash = cx.db.read::<Hash>(key)?;
    cx.reply.len(hash.and_then(|hash| hash.get(field)).map_or(0, Elem::text_len));
    if hash.is_some_and(|hash| hash.is_behind()) {
        drop_hidden(cx, key, std::iter::once(field));
    }
    Ok(Flow::Done)
}

fn hexists(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field) = (args.key()?, args.bytes()?);
    let hash = cx.db.read::<Hash>(key)?;
    cx.reply.int(i64::from(hash.is_some_and(|hash| hash.get(field).is_some())));
    if hash.is_some_and(|hash| hash.is_behind()) {
        drop_hidden(cx, key, std::iter::once(field));
    }
    Ok(Flow::Done)
}

fn hlen(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<Hash>(key)?.map_or(0, |hash| hash.len());
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn hgetall(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let hash = cx.db.read::<Hash>(key)?;
    cx.reply.map(hash.map_or(0, |hash| hash.visible_len()));
    if let Some(hash) = hash {
        hash.for_each(|field, value| {
            reply_elem(&mut cx.reply, field);
            reply_elem(&mut cx.reply, value);
        });
    }
    Ok(Flow::Done)
}

fn one_side(cx: &mut Ctx<'_>, args: &mut Args<'_>, values: bool) -> Outcome {
    let key = args.key()?;
    let hash = cx.db.read::<Hash>(key)?;
    cx.reply.array(hash.map_or(0, |hash| hash.visible_len()));
    if let Some(hash) = hash {
        hash.for_each(|field, value| reply_elem(&mut cx.reply, if values { value } else { field }));
    }
    Ok(Flow::Done)
}

fn hkeys(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    one_side(cx, args, false)
}

fn hvals(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    one_side(cx, args, true)
}

fn hdel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(mut edit) = cx.db.edit::<Hash>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let mut hash = edit.value();
    let mut removed = 0;
    while args.more() {
        removed += u64::from(hash.remove(args.bytes()?));
    }
    drop(hash);
    if removed > 0 {
        edit.finish_with(removed, HDEL);
    }
    cx.reply.int(removed as i64);
    Ok(Flow::Done)
}

fn hdelall(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<Hash>(key)?.map_or(0, |hash| hash.len());
    if len > 0 {
        cx.announce(key.bytes, HDEL);
        cx.effects.replace(&[b"DEL", key.bytes]);
        cx.db.delete(key, false, Event::generic("del"));
    }
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn hincrby(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field, delta) = (args.key()?, args.bytes()?, args.int()?);
    let mut edit = cx.db.edit_or_create::<Hash>(key)?;
    edit.expire_fields(cx.now, std::iter::once(field));
    let old = match edit.view().get(field) {
        None => 0,
        Some(value) => value.to_i64().ok_or(CmdError::HASH_NOT_INTEGER)?,
    };
    let new = old.checked_add(delta).ok_or(CmdError::OVERFLOW)?;
    edit.value().set_value(field, itoa::Buffer::new().format(new).as_bytes());
    edit.finish(Event::hash("hincrby"));
    cx.reply.int(new);
    Ok(Flow::Done)
}

fn hincrbyfloat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, field, delta) = (args.key()?, args.bytes()?, args.bytes()?);
    let delta = LongDouble::parse(delta).ok_or(CmdError::NOT_FLOAT)?;
    if !delta.is_finite() {
        return Err(CmdError::text("ERR value is NaN or Infinity"));
    }
    let mut edit = cx.db.edit_or_create::<Hash>(key)?;
    edit.expire_fields(cx.now, std::iter::once(field));
    let old = match edit.view().get(field) {
        None => LongDouble::parse(b"0"),
        Some(value) => LongDouble::parse(value.text(&mut itoa::Buffer::new())),
    };
    let old = old.ok_or(CmdError::HASH_NOT_FLOAT)?;
    let sum = old.add(delta).ok_or(CmdError::NAN_OR_INFINITY)?.format();
    let dated = edit.view().get_dated(field).is_some_and(|(_, deadline)| deadline.is_some());
    edit.value().set_value(field, &sum);
    edit.finish(Event::hash("hincrbyfloat"));
    // Replayed as what came out: another machine's addition might round otherwise. A plain HSET would end the deadline.
    if dated {
        cx.effects.replace(&[b"HSETEX", key.bytes, b"KEEPTTL", b"FIELDS", b"1", field, &sum]);
    } else {
        cx.effects.replace(&[b"HSET", key.bytes, field, &sum]);
    }
    cx.reply.bulk(&sum);
    Ok(Flow::Done)
}

fn hscan(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut scan = ScanArgs::cursor(args)?;
    let marks = scan::begin(cx);
    let (mut cursor, mut elements) = (0, 0);
    let mut text = itoa::Buffer::new();
    if let Some(hash) = cx.db.read::<Hash>(key)? {
        let mut no_values = false;
        while args.more() {
            if args.accept("novalues") {
                no_values = true;
            } else if !scan.accept(args)? {
                return Err(CmdError::SYNTAX);
            }
        }
        cursor = hash.scan(scan.cursor, scan.count, |field, value| {
            if scan.pattern.is_none() || scan.matches(field.text(&mut text)) {
                reply_elem(&mut cx.reply, field);
                elements += 1;
                if !no_values {
                    reply_elem(&mut cx.reply, value);
                    elements += 1;
                }
            }
        });
    }
    scan::end(cx, marks, cursor, elements);
    Ok(Flow::Done)
}

/// A hash to read, without the fields whose time has come.
fn read_fresh<'v>(db: &'v mut DbView<'_>, key: Key<'_>) -> Result<Option<HashRef<'v>>, CmdError> {
    let behind = db.read::<Hash>(key)?.is_some_and(|hash| hash.is_behind());
    if behind && !db.keep_expired {
        let now = db.now;
        if let Some(mut edit) = db.edit::<Hash>(key, Missing::Skip)? {
            edit.expire_all_fields(now);
        }
    }
    Ok(db.look::<Hash>(key))
}

fn hrandfield(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if !args.more() {
        let rng = &mut *cx.rng;
        let found = read_fresh(&mut cx.db, key)?.and_then(|hash| hash.random(&mut || rng.next_u64()));
        reply_elem_opt(&mut cx.reply, found.map(|(field, _)| field));
        return Ok(Flow::Done);
    }
    let count = args.int_in(-i64::MAX, i64::MAX, CmdError::COUNT_OUT_OF_RANGE)?;
    let with_values = args.accept("withvalues");
    args.end()?;
    if with_values && !(-(i64::MAX / 2)..=i64::MAX / 2).contains(&count) {
        return Err(CmdError::text("ERR value is out of range"));
    }
    match read_fresh(&mut cx.db, key)? {
        Some(hash) if count < 0 => {
            // With repeats: written as drawn, and no further once the client has had too much.
            let (wanted, rng) = (usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX), &mut *cx.rng);
            let nested = begin_pairs(&mut cx.reply, wanted, with_values);
            for _ in 0..wanted {
                let Some(pair) = hash.random(&mut || rng.next_u64()) else { break };
                reply_pair(&mut cx.reply, pair, with_values, nested);
                if cx.reply.is_over(cx.reply_limit_bytes) {
                    break;
                }
            }
        }
        Some(hash) if count > 0 => {
            let (wanted, rng) = (usize::try_from(count).unwrap_or(usize::MAX), &mut *cx.rng);
            let picked = pick(hash, wanted, &mut || rng.next_u64());
            let nested = begin_pairs(&mut cx.reply, picked.len(), with_values);
            for pair in picked {
                reply_pair(&mut cx.reply, pair, with_values, nested);
            }
        }
        _ => cx.reply.array(0),
    }
    Ok(Flow::Done)
}

/// Begins an array of `count` fields or pairs; whether each pair is an array of its own.
fn begin_pairs(reply: &mut crate::resp::Reply<'_>, count: usize, with_values: bool) -> bool {
    let nested = with_values && reply.proto() == Proto::Resp3;
    reply.array(if with_values && !nested { count.saturating_mul(2) } else { count });
    nested
}

fn reply_pair(
    reply: &mut crate::resp::Reply<'_>,
    (field, value): (Elem<'_>, Elem<'_>),
    with_values: bool,
    nested: bool,
) {
    if nested {
        reply.array(2);
    }
    reply_elem(reply, field);
    if with_values {
        reply_elem(reply, value);
    }
}

/// `wanted` distinct pairs, at most all.
fn pick<'a>(hash: HashRef<'a>, wanted: usize, random: &mut impl FnMut() -> u64) -> Vec<(Elem<'a>, Elem<'a>)> {
    let len = hash.visible_len();
    let all = |hash: HashRef<'a>| {
        let mut pairs = Vec::with_capacity(len);
        hash.for_each(|field, value| pairs.push((field, value)));
        pairs
    };
    if wanted >= len {
        return all(hash);
    }
    if hash.table().is_some() && wanted * 3 < len {
        let mut seen = std::collections::HashSet::with_capacity(wanted);
        let mut picked = Vec::with_capacity(wanted);
        while picked.len() < wanted {
            let Some((field, value)) = hash.random(random) else { break };
            if seen.insert(field.to_vec()) {
                picked.push((field, value));
            }
        }
        return picked;
    }
    let mut pairs = all(hash);
    super::shuffle_front(&mut pairs, wanted, random);
    pairs.truncate(wanted);
    pairs
}
