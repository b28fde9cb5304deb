//! Several fields at once, with what else happens to them: HGETDEL, HGETEX, HSETEX.

use super::expiry::{COUNT_NOT_POSITIVE, FIELDS, deadline, deleted_in_past, expect_fields, words};
use super::{CHANGED_TTL, DELETE_PAST, FIELD, HASH, HDEL, HSET, KEY, PERSISTED, UPDATE, VALUE};
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::expiry::Unit;
use crate::command::reply_elem_opt;
use crate::command::table::{Arg, ArgType, Command, KeySpec, flag, key_flag as kf};
use crate::keyspace::Missing;
use crate::types::{Hash, HashMut};

const EX: Arg = Arg::int("seconds").token("EX");
const PX: Arg = Arg::int("milliseconds").token("PX");
const EXAT: Arg = Arg::new("unix-time-seconds", ArgType::UnixTime).token("EXAT");
const PXAT: Arg = Arg::new("unix-time-milliseconds", ArgType::UnixTime).token("PXAT");
const PAIRS: Arg =
    Arg::block("fields", &[Arg::int("numfields"), Arg::block("data", &[FIELD, VALUE]).multiple()]).token("FIELDS");

/// These rows of the family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hgetdel",
        arity: -5,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[KEY, FIELDS],
        since: "8.0.0",
        complexity: "O(N) in the fields named",
        summary: "Replies the values of fields and deletes them.",
        run: Some(hgetdel),
        ..HASH
    },
    Command {
        name: "hgetex",
        arity: -5,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)],
        args: &[
            KEY,
            Arg::one_of("expiration", &[EX, PX, EXAT, PXAT, Arg::word("persist", "PERSIST")]).optional(),
            FIELDS,
        ],
        since: "8.0.0",
        complexity: "O(N) in the fields named",
        summary: "Replies the values of fields and sets when they expire, or takes their expiry away.",
        run: Some(hgetex),
        ..HASH
    },
    Command {
        name: "hsetex",
        arity: -6,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[
            KEY,
            Arg::one_of("condition", &[Arg::word("fnx", "FNX"), Arg::word("fxx", "FXX")]).optional(),
            Arg::one_of("expiration", &[EX, PX, EXAT, PXAT, Arg::word("keepttl", "KEEPTTL")]).optional(),
            PAIRS,
        ],
        since: "8.0.0",
        complexity: "O(N) in the fields named",
        summary: "Sets fields and when they expire, if none of them is there (FNX) or all are (FXX).",
        run: Some(hsetex),
        ..HASH
    },
];

fn hgetdel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let parsed = expect_fields(args, COUNT_NOT_POSITIVE);
    let Some(mut edit) = cx.db.edit::<Hash>(key, Missing::Skip)? else {
        parsed?;
        return all_null(cx, args);
    };
    parsed?;
    edit.expire_fields(cx.now, words(args));
    cx.reply.array(args.left());
    let mut removed = 0;
    let mut hash = edit.value();
    for field in words(args) {
        let view = hash.view();
        let value = view.get(field);
        reply_elem_opt(&mut cx.reply, value);
        if value.is_some() {
            hash.remove(field);
            removed += 1;
        }
    }
    drop(hash);
    if removed > 0 {
        edit.finish_with(removed, HDEL);
        if cx.effects.wanted {
            let words: Vec<&[u8]> = [&b"HDEL"[..], key.bytes].into_iter().chain(words(args)).collect();
            cx.effects.replace(&words);
        }
    }
    Ok(Flow::Done)
}

/// No value for each field that is left.
fn all_null(cx: &mut Ctx<'_>, args: &Args<'_>) -> Outcome {
    cx.reply.array(args.left());
    words(args).for_each(|_| cx.reply.null());
    Ok(Flow::Done)
}

/// What becomes of the deadlines of fields that are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deadline {
    /// Nothing was said about them.
    Unsaid,
    /// Unix milliseconds.
    At(i64),
    /// They stay.
    Keep,
    /// They go.
    Persist,
}

impl Deadline {
    /// EX, PX, EXAT or PXAT with its time, if that comes next.
    fn accept_time(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<Option<Deadline>, CmdError> {
        let Some(unit) = Unit::accept(args) else { return Ok(None) };
        let text = args.bytes().map_err(|_| CmdError::arity(cx.command_name()))?;
        Ok(Some(Deadline::At(deadline(cx, text, unit)?)))
    }
}

/// HGETEX's arguments behind the key.
fn parse_hgetex(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<Deadline, CmdError> {
    let wanted = match Deadline::accept_time(cx, args)? {
        Some(wanted) => wanted,
        None if args.accept("persist") => Deadline::Persist,
        None => Deadline::Unsaid,
    };
    expect_fields(args, COUNT_NOT_POSITIVE)?;
    Ok(wanted)
}

/// Does to a field that is there what HGETEX was told; whether that changed anything.
fn change_deadline(hash: &mut HashMut<'_>, field: &[u8], wanted: Deadline, now_ms: i64) -> bool {
    match wanted {
        Deadline::Unsaid | Deadline::Keep => false,
        Deadline::At(at_ms) if at_ms <= now_ms => hash.remove(field),
        Deadline::At(at_ms) => hash.set_deadline(field, Some(at_ms)),
        Deadline::Persist => {
            let dated = hash.view().get_dated(field).is_some_and(|(_, deadline)| deadline.is_some());
            dated && hash.set_deadline(field, None)
        }
    }
}

fn hgetex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let parsed = parse_hgetex(cx, args);
    let now_ms = cx.now.unix_ms.0;
    let Some(mut edit) = cx.db.edit::<Hash>(key, Missing::Skip)? else {
        parsed?;
        return all_null(cx, args);
    };
    let wanted = parsed?;
    edit.expire_fields(cx.now, words(args));
    cx.reply.array(args.left());
    let mut changed: Vec<&[u8]> = Vec::new();
    let mut hash = edit.value();
    for field in words(args) {
        let view = hash.view();
        let value = view.get(field);
        reply_elem_opt(&mut cx.reply, value);
        if value.is_some() && change_deadline(&mut hash, field, wanted, now_ms) {
            changed.push(field);
        }
    }
    drop(hash);
    if changed.is_empty() {
        return Ok(Flow::Done);
    }
    let count = changed.len() as u64;
    let (mut at_text, mut count_text) = (itoa::Buffer::new(), itoa::Buffer::new());
    let mut effect: Vec<&[u8]> = Vec::new();
    match wanted {
        Deadline::At(at_ms) if at_ms <= now_ms => {
            edit.finish_with(count, DELETE_PAST);
            deleted_in_past(cx, key, changed.into_iter());
            return Ok(Flow::Done);
        }
        Deadline::At(at_ms) => {
            edit.finish_with(count, CHANGED_TTL);
            effect.extend([&b"HPEXPIREAT"[..], key.bytes, at_text.format(at_ms).as_bytes()]);
        }
        _ => {
            edit.finish_with(count, PERSISTED);
            effect.extend([&b"HPERSIST"[..], key.bytes]);
        }
    }
    if cx.effects.wanted {
        effect.extend([&b"FIELDS"[..], count_text.format(args.left()).as_bytes()]);
        effect.extend(words(args));
        cx.effects.replace(&effect);
    }
    Ok(Flow::Done)
}

/// Which fields must be there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum There {
    Any,
    None,
    All,
}

/// HSETEX's options.
struct SetOptions {
    there: There,
    deadline: Deadline,
    /// Where the word stands that says how the deadline is given.
    time_at: Option<usize>,
}

/// HSETEX's arguments behind the key; they stand at the first field then.
fn parse_hsetex(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<SetOptions, CmdError> {
    let mut options = SetOptions { there: There::Any, deadline: Deadline::Unsaid, time_at: None };
    loop {
        let at = args.position();
        if args.accept("fields") {
            break;
        }
        let there = if args.accept("fnx") {
            There::None
        } else if args.accept("fxx") {
            There::All
        } else {
            There::Any
        };
        if there != There::Any {
            if options.there != There::Any {
                return Err(CmdError::text("ERR Only one of FXX or FNX arguments can be specified"));
            }
            options.there = there;
            continue;
        }
        let is_time = ["ex", "px", "exat", "pxat", "keepttl"].iter().any(|word| args.clone().accept(word));
        if !is_time {
            let given = args.bytes().map_err(|_| CmdError::arity(cx.command_name()))?;
            return Err(CmdError::quoting("ERR unknown argument: ", given, ""));
        }
        if options.deadline != Deadline::Unsaid {
            return Err(CmdError::text("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"));
        }
        if let Some(deadline) = Deadline::accept_time(cx, args)? {
            (options.deadline, options.time_at) = (deadline, Some(at));
        } else if args.accept("keepttl") {
            options.deadline = Deadline::Keep;
        }
    }
    if args.left() < 3 {
        return Err(CmdError::arity(cx.command_name()));
    }
    let count = number::parse_i64(args.bytes()?).filter(|count| (1..=i64::from(i32::MAX)).contains(count));
    let count = count.ok_or(CmdError::text("ERR invalid number of fields"))?;
    if args.left() as i64 != 2 * count {
        return Err(CmdError::arity(cx.command_name()));
    }
    Ok(options)
}

fn hsetex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let options = parse_hsetex(cx, args)?;
    let now_ms = cx.now.unix_ms.0;
    let pairs = args.left() / 2;
    let fields = || words(args).step_by(2);
    let mut edit = cx.db.edit_or_create::<Hash>(key)?;
    edit.expire_fields(cx.now, fields());
    let is_there = |field: &[u8]| edit.view().get(field).is_some();
    let holds = match options.there {
        There::Any => true,
        There::None => !fields().any(is_there),
        There::All => fields().all(is_there),
    };
    if !holds {
        cx.reply.int(0);
        return Ok(Flow::Done);
    }
    let mut hash = edit.value();
    hash.reserve(pairs, words(args));
    let past = matches!(options.deadline, Deadline::At(at_ms) if at_ms <= now_ms);
    for (field, value) in fields().zip(words(args).skip(1).step_by(2)) {
        match options.deadline {
            // As if it had been set and deleted.
            Deadline::At(_) if past => hash.remove(field),
            Deadline::At(at_ms) => hash.set_dated(field, value, at_ms),
            Deadline::Keep => hash.set_value(field, value),
            Deadline::Unsaid | Deadline::Persist => hash.set(field, value),
        };
    }
    drop(hash);
    cx.reply.int(1);
    match options.deadline {
        Deadline::At(_) => {
            edit.announce(HSET);
            edit.finish_with(pairs as u64, if past { DELETE_PAST } else { CHANGED_TTL });
        }
        _ => edit.finish_with(pairs as u64, HSET),
    }
    match (options.deadline, options.time_at) {
        (Deadline::At(_), _) if past => deleted_in_past(cx, key, fields()),
        (Deadline::At(at_ms), Some(time_at)) if cx.effects.wanted => {
            let mut at_text = itoa::Buffer::new();
            let mut words: Vec<&[u8]> = args.argv().iter().collect();
            words[time_at] = b"PXAT";
            words[time_at + 1] = at_text.format(at_ms).as_bytes();
            cx.effects.replace(&words);
        }
        _ => {}
    }
    Ok(Flow::Done)
}
