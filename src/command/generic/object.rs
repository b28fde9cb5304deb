//! OBJECT: how a value is kept, and when it was used.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::super::help;
use super::super::table::{Command, KeySpec, acl, flag, key_flag as kf};
use super::{GENERIC, KEY};
use crate::base::clock;
use crate::keyspace::{Key, Touch};
use crate::types::{self, Str, StrRef, Type};

/// Integers below this are shown as shared, since the reference shares them.
const SHARED_INTEGERS: i64 = 10_000;
/// The count of references that stands for "shared by all".
const SHARED_REFCOUNT: i64 = i32::MAX as i64;

const READS: Command = Command {
    arity: 3,
    flags: flag::READONLY,
    keys: &[KeySpec::at(2, kf::RO)],
    args: &[KEY],
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    ..GENERIC
};

/// The subcommands.
pub(super) const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "encoding",
        full_name: "object|encoding",
        since: "2.2.3",
        summary: "Replies how a value is kept in memory.",
        run: Some(encoding),
        ..READS
    },
    Command {
        name: "freq",
        full_name: "object|freq",
        since: "4.0.0",
        summary: "Replies how often a key is used: about the logarithm of its accesses.",
        run: Some(freq),
        ..READS
    },
    Command { full_name: "object|help", acl: acl::KEYSPACE, since: "6.2.0", group: "generic", ..help::ROW },
    Command {
        name: "idletime",
        full_name: "object|idletime",
        since: "2.2.3",
        summary: "Replies the seconds since a key was used last.",
        run: Some(idletime),
        ..READS
    },
    Command {
        name: "refcount",
        full_name: "object|refcount",
        since: "2.2.3",
        summary: "Replies the number of references to a value.",
        run: Some(refcount),
        ..READS
    },
];

fn encoding(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    match cx.db.peek(key).map(types::encoding) {
        Some(name) => cx.reply.bulk(name.as_bytes()),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

/// The access bits of a key; without the key the reply is given.
fn access(cx: &mut Ctx<'_>, key: Key<'_>) -> Option<u32> {
    let access = cx.db.peek(key).map(|entry| entry.lru());
    if access.is_none() {
        cx.reply.null();
    }
    access
}

fn freq(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(access) = access(cx, key) else { return Ok(Flow::Done) };
    let Touch::Lfu { decay_minutes, .. } = cx.db.space.book.touch else {
        return Err(CmdError::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
             between policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    };
    let (counter, then) = clock::lfu_unpack(access);
    cx.reply.int(i64::from(clock::lfu_decay(counter, then, clock::lfu_minutes(cx.now), decay_minutes)));
    Ok(Flow::Done)
}

fn idletime(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(access) = access(cx, key) else { return Ok(Flow::Done) };
    if cx.db.space.book.touch != Touch::Lru {
        return Err(CmdError::text(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between \
             policies at runtime LRU and LFU data will take some time to adjust.",
        ));
    }
    cx.reply.int(i64::from(clock::lru_idle_secs(access, cx.now)));
    Ok(Flow::Done)
}

fn refcount(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let small = match cx.db.type_of(key) {
        None => {
            cx.reply.null();
            return Ok(Flow::Done);
        }
        Some(Type::String) => {
            matches!(cx.db.look::<Str>(key), Some(StrRef::Int(n)) if (0..SHARED_INTEGERS).contains(&n))
        }
        Some(_) => false,
    };
    // Values that are evicted by use can't be shared: each has a use of its own.
    let policy = cx.config.maxmemory_policy;
    let shares = cx.config.maxmemory == 0 || !(policy.uses_lru() || policy.uses_lfu());
    cx.reply.int(if small && shares { SHARED_REFCOUNT } else { 1 });
    Ok(Flow::Done)
}
