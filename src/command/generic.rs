//! Keys of any type: what is there, how long it lives, where it moves, and how it goes.

mod database;
mod expire;
mod keys;
mod member;
mod object;
mod transfer;

pub use member::COMMANDS as MEMBER_COMMANDS;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::table::{Arg, ArgType, Command, KeySpec, Reach, acl, flag, key_flag as kf};
use crate::keyspace::{DbIndex, Event};

/// A row of this family.
const GENERIC: Command = Command { group: "generic", acl: acl::KEYSPACE, ..Command::BLANK };
/// A row about whole databases.
const DATABASE: Command = Command { group: "server", acl: acl::KEYSPACE, ..Command::BLANK };

const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const UPDATE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::UPDATE)];
const REMOVE: &[KeySpec] = &[KeySpec::range(1, -1, 1, kf::RM | kf::DELETE)];
const LOOK_AT_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, kf::RO)];

const KEY: Arg = Arg::key("key");
const KEYS: &[Arg] = &[KEY.multiple()];
const PATTERN: Arg = Arg::new("pattern", ArgType::Pattern);
const CONDITION: &[Arg] = &[Arg::word("nx", "NX"), Arg::word("xx", "XX"), Arg::word("gt", "GT"), Arg::word("lt", "LT")];
const IF: Arg = Arg::one_of("condition", CONDITION).optional().since("7.0.0");
const CONDITION_CAME: &[(&str, &str)] = &[("7.0.0", "Options NX, XX, GT and LT.")];
const FLUSH: &[Arg] = &[Arg::one_of(
    "flush-type",
    &[Arg::word("async", "ASYNC").since("4.0.0"), Arg::word("sync", "SYNC").since("6.2.0")],
)
.optional()];
const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const ON_ALL_SHARDS: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];
const VOLATILE_REPLY: &[&str] = &["nondeterministic_output"];

const fn unix_time(name: &'static str) -> Arg {
    Arg::new(name, ArgType::UnixTime)
}

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "copy",
        reach: Reach::SelectedAndOption("db"),
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RO | kf::ACCESS), KeySpec::at(2, kf::OW | kf::UPDATE)],
        args: &[
            Arg::key("source"),
            Arg::key("destination").spec(1),
            Arg::int("destination-db").token("DB").optional(),
            Arg::word("replace", "REPLACE").optional(),
        ],
        since: "6.2.0",
        complexity: "O(N) in the elements of a collection, else O(1)",
        summary: "Copies what a key holds, with its expiry, to another key.",
        run: Some(transfer::copy),
        ..GENERIC
    },
    Command {
        name: "del",
        arity: -2,
        flags: flag::WRITE,
        keys: REMOVE,
        args: KEYS,
        since: "1.0.0",
        complexity: "O(N) in the keys, and in the elements of collections",
        summary: "Deletes keys.",
        tips: SUM_OF_SHARDS,
        run: Some(del),
        ..GENERIC
    },
    Command {
        name: "delete",
        same_as: "del",
        arity: -2,
        flags: flag::WRITE,
        keys: REMOVE,
        args: KEYS,
        since: "1.0.0",
        complexity: "O(N) in the keys, and in the elements of collections",
        summary: "Deletes keys: another name of DEL.",
        tips: SUM_OF_SHARDS,
        run: Some(delete),
        ..GENERIC
    },
    Command {
        name: "exists",
        arity: -2,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK_AT_ALL,
        args: KEYS,
        since: "1.0.0",
        complexity: "O(N) in the keys",
        summary: "Counts how many of the keys exist; a key that is named twice counts twice.",
        history: &[("3.0.3", "Several keys.")],
        tips: SUM_OF_SHARDS,
        run: Some(exists),
        ..GENERIC
    },
    Command {
        name: "expire",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::int("seconds"), IF],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Lets a key expire after seconds.",
        history: CONDITION_CAME,
        run: Some(expire::expire),
        ..GENERIC
    },
    Command {
        name: "expireat",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY, unix_time("unix-time-seconds"), IF],
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Lets a key expire at a Unix time in seconds.",
        history: CONDITION_CAME,
        run: Some(expire::expireat),
        ..GENERIC
    },
    Command {
        name: "expiretime",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY],
        since: "7.0.0",
        complexity: "O(1)",
        summary: "Replies the Unix time in seconds at which a key expires.",
        run: Some(expire::expiretime),
        ..GENERIC
    },
    Command {
        name: "keys",
        arity: 2,
        flags: flag::READONLY,
        acl: acl::KEYSPACE | acl::DANGEROUS,
        args: &[PATTERN],
        since: "1.0.0",
        complexity: "O(N) in the keys of the database",
        summary: "Replies all keys that match a pattern.",
        tips: &["request_policy:all_shards", "nondeterministic_output_order"],
        run: Some(keys::keys),
        ..GENERIC
    },
    Command {
        name: "move",
        reach: Reach::SelectedAndWord(2),
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)],
        args: &[KEY, Arg::int("db")],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Moves a key to another database, unless it exists there.",
        run: Some(transfer::move_key),
        ..GENERIC
    },
    Command {
        name: "object",
        arity: -2,
        acl: 0,
        since: "2.2.3",
        complexity: "Depends on the subcommand.",
        summary: "Looks at how a key's value is kept.",
        subcommands: object::SUBCOMMANDS,
        ..GENERIC
    },
    Command {
        name: "persist",
        arity: 2,
        also_argc: 3,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Takes a key's expiry away.",
        run: Some(expire::persist),
        ..GENERIC
    },
    Command {
        name: "pexpire",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::int("milliseconds"), IF],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Lets a key expire after milliseconds.",
        history: CONDITION_CAME,
        run: Some(expire::pexpire),
        ..GENERIC
    },
    Command {
        name: "pexpireat",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY, unix_time("unix-time-milliseconds"), IF],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Lets a key expire at a Unix time in milliseconds.",
        history: CONDITION_CAME,
        run: Some(expire::pexpireat),
        ..GENERIC
    },
    Command {
        name: "pexpiretime",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY],
        since: "7.0.0",
        complexity: "O(1)",
        summary: "Replies the Unix time in milliseconds at which a key expires.",
        run: Some(expire::pexpiretime),
        ..GENERIC
    },
    Command {
        name: "pttl",
        arity: 2,
        also_argc: 3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY],
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Replies how many milliseconds a key has yet to live. PTTL key member does it for one member or field.",
        history: &[("2.8.0", "The reply -2 for a key that does not exist.")],
        tips: VOLATILE_REPLY,
        run: Some(expire::pttl),
        ..GENERIC
    },
    Command {
        name: "randomkey",
        arity: 1,
        flags: flag::READONLY,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies one key of the database, each as likely as any other.",
        tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
        run: Some(keys::randomkey),
        ..GENERIC
    },
    Command {
        name: "rename",
        arity: 3,
        flags: flag::WRITE,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE), KeySpec::at(2, kf::OW | kf::UPDATE)],
        args: &[KEY, Arg::key("newkey").spec(1)],
        since: "1.0.0",
        complexity: "O(1), and O(N) in the elements of what is overwritten",
        summary: "Gives a key another name; a key that had it is overwritten.",
        history: &[("3.2.0", "No error when both names are the same.")],
        run: Some(transfer::rename),
        ..GENERIC
    },
    Command {
        name: "renamenx",
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE), KeySpec::at(2, kf::OW | kf::INSERT)],
        args: &[KEY, Arg::key("newkey").spec(1)],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Gives a key another name, if no key has that name.",
        history: &[("3.2.0", "No error when both names are the same.")],
        run: Some(transfer::renamenx),
        ..GENERIC
    },
    Command {
        name: "scan",
        arity: -2,
        flags: flag::READONLY,
        args: &[
            Arg::int("cursor"),
            PATTERN.token("MATCH").optional(),
            Arg::int("count").token("COUNT").optional(),
            Arg::string("type").token("TYPE").optional().since("6.0.0"),
        ],
        since: "2.8.0",
        complexity: "O(1) a call, O(N) in the keys of the database for a whole walk",
        summary: "Walks over the keys of the database in steps.",
        history: &[("6.0.0", "Option TYPE.")],
        tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
        run: Some(keys::scan),
        ..GENERIC
    },
    Command {
        name: "touch",
        arity: -2,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK_AT_ALL,
        args: KEYS,
        since: "3.2.1",
        complexity: "O(N) in the keys",
        summary: "Counts how many of the keys exist, and marks them as used just now.",
        tips: SUM_OF_SHARDS,
        run: Some(touch),
        ..GENERIC
    },
    Command {
        name: "ttl",
        arity: 2,
        also_argc: 3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies how many seconds a key has yet to live. TTL key member does it for one member or field.",
        history: &[("2.8.0", "The reply -2 for a key that does not exist.")],
        tips: VOLATILE_REPLY,
        run: Some(expire::ttl),
        ..GENERIC
    },
    Command {
        name: "type",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: &[KeySpec::at(1, kf::RO)],
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies which type of value a key holds.",
        run: Some(type_of),
        ..GENERIC
    },
    Command {
        name: "unlink",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: REMOVE,
        args: KEYS,
        since: "4.0.0",
        complexity: "O(N) in the keys; large values are freed by a thread",
        summary: "Deletes keys and frees large values beside the loop.",
        tips: SUM_OF_SHARDS,
        run: Some(unlink),
        ..GENERIC
    },
    Command {
        name: "dbsize",
        arity: 1,
        flags: flag::READONLY | flag::FAST,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies the number of keys of the database.",
        tips: &["request_policy:all_shards", "response_policy:agg_sum"],
        run: Some(database::dbsize),
        ..DATABASE
    },
    Command {
        name: "dropdb",
        same_as: "flushdb",
        arity: -1,
        flags: flag::WRITE,
        acl: acl::KEYSPACE | acl::DANGEROUS,
        args: FLUSH,
        since: "1.0.0",
        complexity: "O(N) in the keys of the database",
        summary: "Deletes all keys of the database: another name of FLUSHDB.",
        tips: ON_ALL_SHARDS,
        run: Some(database::dropdb),
        ..DATABASE
    },
    Command {
        name: "flushall",
        reach: Reach::All,
        arity: -1,
        flags: flag::WRITE,
        acl: acl::KEYSPACE | acl::DANGEROUS,
        args: FLUSH,
        since: "1.0.0",
        complexity: "O(N) in the keys of all databases",
        summary: "Deletes all keys of all databases.",
        history: &[("4.0.0", "Option ASYNC."), ("6.2.0", "Option SYNC.")],
        tips: ON_ALL_SHARDS,
        run: Some(database::flushall),
        ..DATABASE
    },
    Command {
        name: "flushdb",
        arity: -1,
        flags: flag::WRITE,
        acl: acl::KEYSPACE | acl::DANGEROUS,
        args: FLUSH,
        since: "1.0.0",
        complexity: "O(N) in the keys of the database",
        summary: "Deletes all keys of the database.",
        history: &[("4.0.0", "Option ASYNC."), ("6.2.0", "Option SYNC.")],
        tips: ON_ALL_SHARDS,
        run: Some(database::flushdb),
        ..DATABASE
    },
    Command {
        name: "size",
        reach: Reach::SelectedAndWord(1),
        arity: -1,
        flags: flag::READONLY | flag::FAST,
        args: &[Arg::int("index").optional()],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies the number of databases, or of keys in one of them.",
        run: Some(database::size),
        ..DATABASE
    },
    Command {
        name: "swapdb",
        reach: Reach::All,
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        acl: acl::KEYSPACE | acl::DANGEROUS,
        args: &[Arg::int("index1"), Arg::int("index2")],
        since: "4.0.0",
        complexity: "O(N) in the clients that watch keys of either",
        summary: "Exchanges the contents of two databases.",
        run: Some(database::swapdb),
        ..DATABASE
    },
];

/// The next argument as the number of a database.
fn db_arg(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<DbIndex, CmdError> {
    db_index(cx, args.int_in(i64::from(i32::MIN), i64::from(i32::MAX), CmdError::NOT_32_BITS)?)
}

/// A database's number.
fn db_index(cx: &Ctx<'_>, number: i64) -> Result<DbIndex, CmdError> {
    let count = cx.db.space.dbs.len();
    let index = u32::try_from(number).map_err(|_| CmdError::DB_INDEX)?;
    if (index as usize) < count { Ok(DbIndex(index)) } else { Err(CmdError::DB_INDEX) }
}

fn delete_all(cx: &mut Ctx<'_>, args: &mut Args<'_>, lazy: bool) -> Outcome {
    let mut deleted = 0;
    while args.more() {
        let key = args.key()?;
        deleted += i64::from(cx.db.delete(key, lazy, Event::generic("del")));
    }
    cx.reply.int(deleted);
    Ok(Flow::Done)
}

fn del(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = cx.config.lazyfree_lazy_user_del;
    delete_all(cx, args, lazy)
}

fn delete(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if cx.effects.wanted {
        // Readers of the log know only the usual name.
        let words: Vec<&[u8]> = std::iter::once(&b"DEL"[..]).chain(args.argv().iter().skip(1)).collect();
        cx.effects.replace(&words);
    }
    del(cx, args)
}

fn unlink(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    delete_all(cx, args, true)
}

fn exists(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut found = 0;
    while args.more() {
        let key = args.key()?;
        found += i64::from(cx.db.entry_unmarked(key).is_some());
    }
    cx.reply.int(found);
    Ok(Flow::Done)
}

fn touch(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut found = 0;
    while args.more() {
        let key = args.key()?;
        // Marked even for a client that asked not to mark what it reads.
        found += i64::from(cx.db.entry_marked(key).is_some());
    }
    cx.reply.int(found);
    Ok(Flow::Done)
}

fn type_of(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let name = cx.db.entry_unmarked(key).map_or("none", |entry| crate::types::type_of(entry).name());
    cx.reply.simple(name);
    Ok(Flow::Done)
}
