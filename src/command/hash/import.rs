//! HIMPORT: many hashes with the same fields. The names of the fields are said once and kept by the connection; after that
//! only values are sent.

use super::{HASH, HSET, KEY, VALUE};
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::hash::expiry::words;
use crate::command::table::{Arg, Command, KeySpec, flag, key_flag as kf};
use crate::types::HashBuilder;

const NAME: Arg = Arg::string("fieldset-name");
const ROW: Command = Command { since: "8.10.0", ..HASH };
const ALL_SHARDS: &[&str] = &["request_policy:all_shards"];

/// This row of the family.
pub const COMMANDS: &[Command] = &[Command {
    name: "himport",
    arity: -2,
    complexity: "Depends on the subcommand.",
    summary: "Makes many hashes that have the same fields.",
    subcommands: SUBCOMMANDS,
    ..ROW
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "discard",
        full_name: "himport|discard",
        arity: 3,
        args: &[NAME],
        complexity: "O(N) in the lists of this connection",
        summary: "Forgets a list of fields; replies 1, or 0 if there is none of that name.",
        tips: ALL_SHARDS,
        run: Some(discard),
        ..ROW
    },
    Command {
        name: "discardall",
        full_name: "himport|discardall",
        arity: 2,
        complexity: "O(N) in the lists of this connection",
        summary: "Forgets all lists of fields; replies how many there were.",
        tips: ALL_SHARDS,
        run: Some(discardall),
        ..ROW
    },
    Command {
        name: "prepare",
        full_name: "himport|prepare",
        arity: -4,
        flags: flag::DENYOOM,
        args: &[NAME, Arg::string("field").multiple()],
        complexity: "O(N*log(N)) in the fields",
        summary: "Names a list of fields, for this connection.",
        tips: ALL_SHARDS,
        run: Some(prepare),
        ..ROW
    },
    Command {
        name: "set",
        full_name: "himport|set",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(2, kf::OW | kf::UPDATE)],
        args: &[KEY, NAME, VALUE.multiple()],
        complexity: "O(N) in the fields",
        summary: "Makes a hash of a prepared list of fields and their values in the same order, in place of one that is there.",
        run: Some(set),
        ..ROW
    },
];

fn prepare(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.bytes()?;
    let sets = cx.session.fieldsets.get_or_insert_default();
    sets.prepare(name, words(args)).map_err(|_| CmdError::text("ERR duplicate field name in fieldset"))?;
    cx.reply.ok();
    Ok(Flow::Done)
}

fn discard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.bytes()?;
    let known = cx.session.fieldsets.as_mut().is_some_and(|sets| sets.discard(name));
    cx.reply.int(i64::from(known));
    Ok(Flow::Done)
}

fn discardall(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let count = cx.session.fieldsets.take().map_or(0, |mut sets| sets.discard_all());
    cx.reply.len(count);
    Ok(Flow::Done)
}

fn set(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    let sets = cx.session.fieldsets.as_ref();
    let fields = sets.and_then(|sets| sets.get(name)).ok_or(CmdError::text("ERR no such fieldset"))?;
    if fields.len() != args.left() {
        return Err(CmdError::text("ERR value count does not match fieldset field count"));
    }
    super::check_type(&mut cx.db, key)?;
    let mut builder = HashBuilder::new(&cx.db.space.book.limits, fields.len());
    for (field, value) in fields.iter().zip(words(args)) {
        builder.add(field, value, None);
    }
    let access = cx.db.space.book.fresh_access(cx.now);
    let entry = builder.finish(key.bytes, access, None).ok_or(CmdError::SYNTAX)?;
    // Others have no list of that name; and for HSET the fields and the deadline of the old hash must have gone.
    if cx.db.exists(key) {
        cx.effects.replace(&[b"DEL", key.bytes]);
    }
    if cx.effects.wanted {
        let pairs = fields.iter().map(|field| &**field).zip(words(args));
        let words: Vec<&[u8]> =
            [&b"HSET"[..], key.bytes].into_iter().chain(pairs.flat_map(|(field, value)| [field, value])).collect();
        cx.effects.replace(&words);
    }
    cx.db.replace(entry, HSET);
    cx.reply.ok();
    Ok(Flow::Done)
}
