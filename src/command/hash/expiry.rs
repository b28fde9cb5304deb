//! When fields of hashes expire: HEXPIRE and its kin, HTTL and its kin, HPERSIST.

use super::{CHANGED_TTL, DELETE_PAST, FIELD, HASH, KEY, READ, UPDATE};
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::expiry::Unit;
use crate::command::table::{Arg, ArgType, Command, flag};
use crate::keyspace::{Key, Missing};
use crate::types::Hash;

/// Deadlines of fields lie before this, Unix milliseconds: the format of the reference has 46 bits for them.
pub const END_MS: i64 = 1 << 46;

const FAST_WRITE: u32 = flag::WRITE | flag::FAST;
const FAST_READ: u32 = flag::READONLY | flag::FAST;
const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")],
)
.optional();
/// `FIELDS count field ...`
pub(super) const FIELDS: Arg = Arg::block("fields", &[Arg::int("numfields"), FIELD.multiple()]).token("FIELDS");
const LOOK_ARGS: &[Arg] = &[KEY, FIELDS];
const PER_FIELD: &str = "O(N) in the fields named";
const VOLATILE_REPLY: &[&str] = &["nondeterministic_output"];

const SETTER: Command =
    Command { arity: -6, flags: FAST_WRITE, keys: UPDATE, since: "7.4.0", complexity: PER_FIELD, ..HASH };
const GETTER: Command = Command {
    arity: -5,
    flags: FAST_READ,
    keys: READ,
    args: LOOK_ARGS,
    since: "7.4.0",
    complexity: PER_FIELD,
    tips: VOLATILE_REPLY,
    ..HASH
};

/// These rows of the family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "hexpire",
        also_argc: 4,
        args: &[KEY, Arg::int("seconds"), CONDITION, FIELDS],
        summary: "Sets when fields expire, in seconds from now. HEXPIRE key field seconds does it for one field and replies 1 or 0.",
        run: Some(hexpire),
        ..SETTER
    },
    Command {
        name: "hexpireat",
        args: &[KEY, Arg::new("unix-time-seconds", ArgType::UnixTime), CONDITION, FIELDS],
        summary: "Sets when fields expire, as Unix time in seconds.",
        run: Some(hexpireat),
        ..SETTER
    },
    Command {
        name: "hexpiretime",
        summary: "Replies when fields expire, as Unix time in seconds.",
        tips: &[],
        run: Some(hexpiretime),
        ..GETTER
    },
    Command {
        name: "hpersist",
        arity: -5,
        args: LOOK_ARGS,
        summary: "Takes the expiry of fields away.",
        run: Some(hpersist),
        ..SETTER
    },
    Command {
        name: "hpexpire",
        args: &[KEY, Arg::int("milliseconds"), CONDITION, FIELDS],
        summary: "Sets when fields expire, in milliseconds from now.",
        run: Some(hpexpire),
        ..SETTER
    },
    Command {
        name: "hpexpireat",
        args: &[KEY, Arg::new("unix-time-milliseconds", ArgType::UnixTime), CONDITION, FIELDS],
        summary: "Sets when fields expire, as Unix time in milliseconds.",
        run: Some(hpexpireat),
        ..SETTER
    },
    Command {
        name: "hpexpiretime",
        summary: "Replies when fields expire, as Unix time in milliseconds.",
        tips: &[],
        run: Some(hpexpiretime),
        ..GETTER
    },
    Command {
        name: "hpttl",
        summary: "Replies how many milliseconds fields have yet to live.",
        run: Some(hpttl),
        ..GETTER
    },
    Command { name: "httl", summary: "Replies how many seconds fields have yet to live.", run: Some(httl), ..GETTER },
];

/// A deadline as Unix milliseconds.
///
/// # Errors
/// Not an integer, a negative one, or a time beyond what a field can have.
pub(super) fn deadline(cx: &Ctx<'_>, text: &[u8], unit: Unit) -> Result<i64, CmdError> {
    let value = number::parse_i64(text).ok_or(CmdError::NOT_INTEGER)?;
    if value < 0 {
        return Err(CmdError::text("ERR invalid expire time, must be >= 0"));
    }
    let at_ms = unit.to_unix_ms(value, cx.now.wall_ms()).filter(|at| *at < END_MS);
    at_ms.ok_or_else(|| CmdError::invalid_expire(cx.command_name()))
}

/// `FIELDS count field ...`, to the end of the request; the arguments stand at the first field then.
///
/// # Errors
/// The word is not there, the count is none (`bad_count`) or not that of the fields.
pub(super) fn expect_fields(args: &mut Args<'_>, bad_count: &'static str) -> Result<(), CmdError> {
    if !args.accept("fields") {
        return Err(CmdError::text("ERR Mandatory argument FIELDS is missing or not at the right position"));
    }
    let count = args.bytes().ok().and_then(number::parse_i64).filter(|count| *count > 0);
    let count = count.ok_or(CmdError::text(bad_count))?;
    if usize::try_from(count).ok() != Some(args.left()) {
        return Err(CmdError::text("ERR The `numfields` parameter must match the number of arguments"));
    }
    Ok(())
}

/// What most of the commands say of a count that is none.
pub(super) const COUNT_NOT_POSITIVE: &str = "ERR Number of fields must be a positive integer";

/// The words from where the arguments stand.
pub(super) fn words<'a>(args: &Args<'a>) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
    let argv = args.argv();
    (args.position()..argv.len()).filter_map(move |index| argv.get(index))
}

/// When a new deadline is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Always,
    /// There is none yet.
    Nx,
    /// There is one.
    Xx,
    /// It is later than the old one; none is the latest of all.
    Gt,
    /// It is earlier.
    Lt,
}

impl Condition {
    const WORDS: [(&str, Condition); 4] =
        [("nx", Condition::Nx), ("xx", Condition::Xx), ("gt", Condition::Gt), ("lt", Condition::Lt)];

    fn parse(args: &mut Args<'_>) -> Condition {
        Self::WORDS.into_iter().find(|(word, _)| args.accept(word)).map_or(Condition::Always, |(_, found)| found)
    }

    fn holds(self, old: Option<i64>, new: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Nx => old.is_none(),
            Condition::Xx => old.is_some(),
            Condition::Gt => old.is_some_and(|old| new > old),
            Condition::Lt => old.is_none_or(|old| new < old),
        }
    }

    fn word(self) -> Option<&'static [u8]> {
        match self {
            Condition::Always => None,
            Condition::Nx => Some(b"NX"),
            Condition::Xx => Some(b"XX"),
            Condition::Gt => Some(b"GT"),
            Condition::Lt => Some(b"LT"),
        }
    }
}

/// What HEXPIRE and its kin reply about a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Code {
    NoSuchField = -2,
    ConditionFailed = 0,
    Set = 1,
    /// The time had come already.
    Deleted = 2,
}

/// Gives fields of a key a deadline; `reply` hears about each.
fn give_deadline<'a>(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    at_ms: i64,
    condition: Condition,
    fields: impl Iterator<Item = &'a [u8]> + Clone,
    codes: &mut Vec<Code>,
) -> Result<(), CmdError> {
    let now_ms = cx.now.unix_ms.0;
    let Some(mut edit) = cx.db.edit::<Hash>(key, Missing::Skip)? else {
        codes.extend(fields.map(|_| Code::NoSuchField));
        return Ok(());
    };
    edit.expire_fields(cx.now, fields.clone());
    let mut hash = edit.value();
    let mut changed: Vec<&[u8]> = Vec::new();
    for field in fields {
        let code = match hash.view().get_dated(field) {
            None => Code::NoSuchField,
            Some((_, old)) if !condition.holds(old, at_ms) => Code::ConditionFailed,
            Some(_) if at_ms <= now_ms => {
                hash.remove(field);
                Code::Deleted
            }
            Some(_) => {
                hash.set_deadline(field, Some(at_ms));
                Code::Set
            }
        };
        codes.push(code);
        if matches!(code, Code::Set | Code::Deleted) {
            changed.push(field);
        }
    }
    drop(hash);
    if changed.is_empty() {
        return Ok(());
    }
    if at_ms <= now_ms {
        edit.finish_with(changed.len() as u64, DELETE_PAST);
        deleted_in_past(cx, key, changed.into_iter());
        return Ok(());
    }
    edit.finish_with(changed.len() as u64, CHANGED_TTL);
    if cx.effects.wanted {
        let (mut at_text, mut count_text) = (itoa::Buffer::new(), itoa::Buffer::new());
        let mut words: Vec<&[u8]> = vec![b"HPEXPIREAT", key.bytes, at_text.format(at_ms).as_bytes()];
        words.extend(condition.word());
        words.extend([&b"FIELDS"[..], count_text.format(changed.len()).as_bytes()]);
        words.extend(changed);
        cx.effects.replace(&words);
    }
    Ok(())
}

/// Fields went because they were given a deadline in the past: they count as expired, and others are told to delete them.
pub(super) fn deleted_in_past<'a>(cx: &mut Ctx<'_>, key: Key<'_>, fields: impl Iterator<Item = &'a [u8]>) {
    for field in fields {
        cx.db.space.book.counters.expired_subkeys += 1;
        cx.effects.replace(&[b"HDEL", key.bytes, field]);
    }
}

fn set_expiry(cx: &mut Ctx<'_>, args: &mut Args<'_>, unit: Unit) -> Outcome {
    let key = args.key()?;
    let mut parse = || -> Result<(i64, Condition), CmdError> {
        let at_ms = deadline(cx, args.bytes()?, unit)?;
        let condition = Condition::parse(args);
        expect_fields(args, "ERR Parameter `numFields` should be greater than 0")?;
        Ok((at_ms, condition))
    };
    let parsed = parse();
    if parsed.is_err() {
        // A key of another type is told of before all other mistakes.
        super::check_type(&mut cx.db, key)?;
    }
    let (at_ms, condition) = parsed?;
    let mut codes = Vec::with_capacity(args.left());
    give_deadline(cx, key, at_ms, condition, words(args), &mut codes)?;
    cx.reply.array(codes.len());
    codes.into_iter().for_each(|code| cx.reply.int(code as i64));
    Ok(Flow::Done)
}

fn hexpire(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.argc() != 4 {
        return set_expiry(cx, args, Unit::Seconds);
    }
    // The short form, ours: one field, and whether it has this deadline now.
    let (key, field, seconds) = (args.key()?, args.bytes()?, args.bytes()?);
    let at_ms = deadline(cx, seconds, Unit::Seconds)?;
    let found = expire_field(cx, key, field, at_ms)?;
    cx.reply.int(i64::from(found));
    Ok(Flow::Done)
}

/// Gives one field a deadline, in the past deletes it; whether there was such a field.
pub(in crate::command) fn expire_field(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    field: &[u8],
    at_ms: i64,
) -> Result<bool, CmdError> {
    let mut codes = Vec::with_capacity(1);
    give_deadline(cx, key, at_ms, Condition::Always, std::iter::once(field), &mut codes)?;
    Ok(codes.iter().any(|code| matches!(code, Code::Set | Code::Deleted)))
}

/// Takes one field's deadline away; whether it had one.
pub(in crate::command) fn persist_field(cx: &mut Ctx<'_>, key: Key<'_>, field: &[u8]) -> Result<bool, CmdError> {
    let now_ms = cx.now.unix_ms.0;
    let Some(mut edit) = cx.db.edit::<Hash>(key, Missing::Skip)? else { return Ok(false) };
    let deadline = edit.view().get_dated(field).and_then(|(_, deadline)| deadline);
    if deadline.is_none_or(|at_ms| at_ms <= now_ms) {
        return Ok(false);
    }
    edit.value().set_deadline(field, None);
    edit.finish(super::PERSISTED);
    Ok(true)
}

fn hpexpire(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::Milliseconds)
}

fn hexpireat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::UnixSeconds)
}

fn hpexpireat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::UnixMilliseconds)
}

/// Replies for each field -2 if there is none, -1 if it has no deadline, else what `show` makes of the deadline.
fn reply_deadlines(cx: &mut Ctx<'_>, args: &mut Args<'_>, show: impl Fn(i64) -> i64) -> Outcome {
    let key = args.key()?;
    let parsed = expect_fields(args, COUNT_NOT_POSITIVE);
    let hash = cx.db.read::<Hash>(key)?;
    parsed?;
    cx.reply.array(args.left());
    for field in words(args) {
        cx.reply.int(match hash.and_then(|hash| hash.get_dated(field)) {
            None => -2,
            Some((_, None)) => -1,
            Some((_, Some(at_ms))) => show(at_ms),
        });
    }
    Ok(Flow::Done)
}

/// Milliseconds as seconds, rounded up: a field with time left never shows 0.
fn to_seconds(ms: i64) -> i64 {
    ms.saturating_add(999) / 1000
}

fn httl(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let now_ms = cx.now.unix_ms.0;
    reply_deadlines(cx, args, |at_ms| to_seconds(at_ms - now_ms))
}

fn hpttl(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let now_ms = cx.now.unix_ms.0;
    reply_deadlines(cx, args, |at_ms| at_ms - now_ms)
}

fn hexpiretime(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply_deadlines(cx, args, to_seconds)
}

fn hpexpiretime(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply_deadlines(cx, args, |at_ms| at_ms)
}

fn hpersist(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let parsed = expect_fields(args, COUNT_NOT_POSITIVE);
    let now_ms = cx.now.unix_ms.0;
    let Some(mut edit) = cx.db.edit::<Hash>(key, Missing::Skip)? else {
        parsed?;
        cx.reply.array(args.left());
        words(args).for_each(|_| cx.reply.int(-2));
        return Ok(Flow::Done);
    };
    parsed?;
    cx.reply.array(args.left());
    let mut persisted = 0;
    let mut hash = edit.value();
    for field in words(args) {
        cx.reply.int(match hash.view().get_dated(field) {
            Some((_, None)) => -1,
            Some((_, Some(at_ms))) if at_ms > now_ms => {
                hash.set_deadline(field, None);
                persisted += 1;
                1
            }
            _ => -2,
        });
    }
    drop(hash);
    if persisted > 0 {
        edit.finish_with(persisted, super::PERSISTED);
    }
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deadline_is_later_than_any() {
        use Condition::*;
        assert!(!Gt.holds(None, 5) && Gt.holds(Some(4), 5) && !Gt.holds(Some(5), 5));
        assert!(Lt.holds(None, 5) && Lt.holds(Some(6), 5) && !Lt.holds(Some(5), 5));
        assert!(Nx.holds(None, 5) && !Nx.holds(Some(1), 5));
        assert!(!Xx.holds(None, 5) && Xx.holds(Some(1), 5));
        assert_eq!((Gt.word(), Always.word()), (Some(&b"GT"[..]), None));
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!([0, 1, 999, 1000, 1001].map(to_seconds), [0, 1, 1, 1, 2]);
    }
}
