//! When single members of sets and sorted sets, and fields of hashes, expire: commands of another server of this family, and
//! the short forms of TTL and its kin that name a member.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::super::expiry::Unit;
use super::super::hash;
use super::super::table::{Arg, ArgType, Command, flag};
use super::{GENERIC, KEY, UPDATE, unix_time};
use crate::base::number;
use crate::keyspace::{Edit, Event, Key, Missing};
use crate::types::{Hash, Kind, Set, Type, Value, ZSet, member_deadline};

const MEMBER: Arg = Arg::string("member");
const SETTER: Command = Command {
    flags: flag::WRITE | flag::FAST,
    keys: UPDATE,
    since: "8.8.0",
    complexity: "O(1), O(N) the first time in a set of N members",
    ..GENERIC
};
const BAD_UNIT: CmdError = CmdError::text("ERR Invalid unit arg");

/// These rows of the family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "expiremember",
        arity: -4,
        args: &[
            KEY,
            MEMBER,
            Arg::int("delay"),
            Arg::one_of("unit", &[Arg::word("s", "s"), Arg::word("ms", "ms")]).optional(),
        ],
        summary: "Lets a member of a set or sorted set, or a field of a hash, expire after a time: seconds, or what is named.",
        run: Some(expiremember),
        ..SETTER
    },
    Command {
        name: "expirememberat",
        arity: 4,
        args: &[KEY, MEMBER, unix_time("unix-time-seconds")],
        summary: "Lets a member of a set or sorted set, or a field of a hash, expire at a Unix time in seconds.",
        run: Some(expirememberat),
        ..SETTER
    },
    Command {
        name: "pexpirememberat",
        arity: 4,
        args: &[KEY, MEMBER, Arg::new("unix-time-milliseconds", ArgType::UnixTime)],
        summary: "Lets a member of a set or sorted set, or a field of a hash, expire at a Unix time in milliseconds.",
        run: Some(pexpirememberat),
        ..SETTER
    },
];

/// A type whose members can expire.
trait Members: Value {
    /// Removes a member for good, as effect.
    const REMOVE: &'static [u8];
    /// What is announced: a deadline was given, taken away, a member removed at once.
    const EVENTS: [Event; 3];

    /// Gives a member a deadline or takes it away; whether there is such a member.
    fn set_deadline(edit: &mut Edit<'_, Self>, member: &[u8], deadline: Option<i64>) -> bool;
    fn remove(edit: &mut Edit<'_, Self>, member: &[u8]) -> bool;
}

impl Members for Set {
    const REMOVE: &'static [u8] = b"SREM";
    const EVENTS: [Event; 3] = [Event::set("sexpire"), Event::set("spersist"), Event::set("srem")];

    fn set_deadline(edit: &mut Edit<'_, Self>, member: &[u8], deadline: Option<i64>) -> bool {
        edit.value().set_deadline(member, deadline)
    }

    fn remove(edit: &mut Edit<'_, Self>, member: &[u8]) -> bool {
        edit.value().remove(member)
    }
}

impl Members for ZSet {
    const REMOVE: &'static [u8] = b"ZREM";
    const EVENTS: [Event; 3] = [Event::zset("zexpire"), Event::zset("zpersist"), Event::zset("zrem")];

    fn set_deadline(edit: &mut Edit<'_, Self>, member: &[u8], deadline: Option<i64>) -> bool {
        edit.value().set_deadline(member, deadline)
    }

    fn remove(edit: &mut Edit<'_, Self>, member: &[u8]) -> bool {
        edit.value().remove(member)
    }
}

/// Gives a member a deadline, in the past removes it at once; whether there was such a member.
fn give_deadline<T: Members>(cx: &mut Ctx<'_>, key: Key<'_>, member: &[u8], at_ms: i64) -> Result<bool, CmdError> {
    let is_past = at_ms <= cx.now.unix_ms.0;
    let Some(mut edit) = cx.db.edit::<T>(key, Missing::Skip)? else { return Ok(false) };
    let [dated, _, removed] = T::EVENTS;
    if is_past {
        if !T::remove(&mut edit, member) {
            return Ok(false);
        }
        edit.finish(removed);
        cx.db.space.book.counters.expired_subkeys += 1;
        cx.effects.replace(&[T::REMOVE, key.bytes, member]);
        return Ok(true);
    }
    if !T::set_deadline(&mut edit, member, Some(at_ms)) {
        return Ok(false);
    }
    edit.finish(dated);
    let mut at = itoa::Buffer::new();
    cx.effects.replace(&[b"PEXPIREMEMBERAT", key.bytes, member, at.format(at_ms).as_bytes()]);
    Ok(true)
}

fn set_expiry(cx: &mut Ctx<'_>, key: Key<'_>, member: &[u8], delay: &[u8], unit: Unit) -> Outcome {
    let value = number::parse_i64(delay).ok_or(CmdError::NOT_INTEGER)?;
    let at_ms = unit.to_unix_ms(value, cx.now.unix_ms.0).filter(|at_ms| *at_ms < hash::END_MS);
    let at_ms = at_ms.ok_or_else(|| CmdError::invalid_expire(cx.command_name()))?;
    let found = match cx.db.type_of(key) {
        None => false,
        Some(Type::Set) => give_deadline::<Set>(cx, key, member, at_ms)?,
        Some(Type::ZSet) => give_deadline::<ZSet>(cx, key, member, at_ms)?,
        Some(Type::Hash) => hash::expire_field(cx, key, member, at_ms)?,
        Some(_) => return Err(CmdError::WRONG_TYPE),
    };
    cx.reply.int(i64::from(found));
    Ok(Flow::Done)
}

/// `EXPIREMEMBER key member delay [s|ms]`.
fn expiremember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, member, delay) = (args.key()?, args.bytes()?, args.bytes()?);
    let unit = match args.more() {
        true if args.accept("ms") => Unit::Milliseconds,
        true if !args.accept("s") => return Err(BAD_UNIT),
        _ => Unit::Seconds,
    };
    args.end()?;
    set_expiry(cx, key, member, delay, unit)
}

fn expirememberat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, member, at) = (args.key()?, args.bytes()?, args.bytes()?);
    set_expiry(cx, key, member, at, Unit::UnixSeconds)
}

fn pexpirememberat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, member, at) = (args.key()?, args.bytes()?, args.bytes()?);
    set_expiry(cx, key, member, at, Unit::UnixMilliseconds)
}

/// Replies -2 for no such key or member, -1 for no deadline, else what `show` makes of the deadline. Only these types have members
/// that expire; those of others never do.
pub(super) fn reply_deadline(cx: &mut Ctx<'_>, key: Key<'_>, member: &[u8], show: impl FnOnce(i64) -> i64) -> Outcome {
    let now_ms = cx.now.unix_ms.0;
    let deadline = match cx.db.entry_unmarked(key) {
        None => None,
        Some(entry) => match Kind::of(entry.kind()).type_of() {
            Type::Set => Set::view(entry).deadline(member),
            Type::ZSet => member_deadline(entry, member),
            Type::Hash => Hash::view_at(entry, now_ms).get_dated(member).map(|(_, deadline)| deadline),
            _ => return Err(CmdError::WRONG_TYPE),
        },
    };
    cx.reply.int(match deadline {
        None => -2,
        Some(None) => -1,
        Some(Some(at_ms)) => show(at_ms),
    });
    Ok(Flow::Done)
}

fn take_deadline<T: Members>(cx: &mut Ctx<'_>, key: Key<'_>, member: &[u8]) -> Result<bool, CmdError> {
    let Some(mut edit) = cx.db.edit::<T>(key, Missing::Skip)? else { return Ok(false) };
    let had_one = match Kind::of(edit.entry().kind()).type_of() {
        Type::Set => Set::view(edit.entry()).deadline(member),
        _ => member_deadline(edit.entry(), member),
    };
    if had_one.flatten().is_none() {
        return Ok(false);
    }
    T::set_deadline(&mut edit, member, None);
    let [_, persisted, _] = T::EVENTS;
    edit.finish(persisted);
    Ok(true)
}

/// `PERSIST key member`: takes a member's deadline away.
pub(super) fn persist(cx: &mut Ctx<'_>, key: Key<'_>, member: &[u8]) -> Outcome {
    let had_one = match cx.db.type_of(key) {
        None => false,
        Some(Type::Set) => take_deadline::<Set>(cx, key, member)?,
        Some(Type::ZSet) => take_deadline::<ZSet>(cx, key, member)?,
        Some(Type::Hash) => hash::persist_field(cx, key, member)?,
        Some(_) => return Err(CmdError::WRONG_TYPE),
    };
    cx.reply.int(i64::from(had_one));
    Ok(Flow::Done)
}
