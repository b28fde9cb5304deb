//! Streams: the X commands. Here are their rows, and how ids are read and entries replied.

mod add;
mod claim;
mod delete;
mod group;
mod idmp;
mod info;
mod nack;
mod pending;
mod range;
mod read;

use super::error::CmdError;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use super::{help, keys, reply_elem};
use crate::resp::Reply;
use crate::types::{StreamEntry, StreamId};

const STREAM: Command = Command { group: "stream", acl: acl::STREAM, since: "5.0.0", ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const UPDATE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::UPDATE)];
const DELETE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::DELETE)];
const READ_SUB: &[KeySpec] = &[KeySpec::at(2, kf::RO | kf::ACCESS)];
const KEY: Arg = Arg::key("key");
const GROUP: Arg = Arg::string("group");
const CONSUMER: Arg = Arg::string("consumer");
const ID: Arg = Arg::string("id");
const COUNT: Arg = Arg::int("count").token("COUNT").optional();
const JUSTID: Arg = Arg::word("justid", "JUSTID").optional();
const NOT_DETERMINED: &[&str] = &["nondeterministic_output"];

/// Where the references of groups to deleted entries go.
const REFERENCES: Arg = Arg::one_of(
    "condition",
    &[Arg::word("keepref", "KEEPREF"), Arg::word("delref", "DELREF"), Arg::word("acked", "ACKED")],
)
.optional()
.since("8.2.0");
const IDS: Arg = Arg::block("ids", &[Arg::int("numids"), ID.multiple()]).token("IDS");
/// Who sends a message, and which of its messages it is.
const SENDER: Arg = Arg::one_of(
    "idmp",
    &[
        Arg::string("producer-id").token("IDMPAUTO"),
        Arg::block("idmp-block", &[Arg::string("producer-id"), Arg::string("idempotent-id")]).token("IDMP"),
    ],
)
.optional()
.since("8.6.0");
/// What to trim.
const TRIM: &[Arg] = &[
    Arg::one_of("strategy", &[Arg::word("maxlen", "MAXLEN"), Arg::word("minid", "MINID").since("6.2.0")]),
    Arg::one_of("operator", &[Arg::word("equal", "="), Arg::word("approximately", "~")]).optional(),
    Arg::string("threshold"),
    Arg::int("count").token("LIMIT").optional().since("6.2.0"),
];
const STREAMS: Arg = Arg::block("streams", &[KEY.multiple(), ID.multiple()]).token("STREAMS");

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "xack",
        arity: -4,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[KEY, GROUP, ID.multiple()],
        complexity: "O(log(N)) for each id, N the pending entries",
        summary: "Tells that a group has done with entries: they are pending no more.",
        run: Some(group::xack),
        ..STREAM
    },
    Command {
        name: "xackdel",
        arity: -6,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::UPDATE | kf::DELETE)],
        args: &[KEY, GROUP, REFERENCES, IDS],
        since: "8.2.0",
        complexity: "O(log(N)) for each id, N the pending entries",
        summary: "Acknowledges entries in a group and deletes them.",
        run: Some(delete::xackdel),
        ..STREAM
    },
    Command {
        name: "xadd",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[
            KEY,
            Arg::word("nomkstream", "NOMKSTREAM").optional().since("6.2.0"),
            REFERENCES,
            SENDER,
            Arg::block("trim", TRIM).optional(),
            Arg::one_of("id-selector", &[Arg::word("auto-id", "*"), ID]),
            Arg::block("data", &[Arg::string("field"), Arg::string("value")]).multiple(),
        ],
        complexity: "O(1) for the entry, O(N) for N entries that are trimmed",
        summary: "Adds an entry to the end of a stream, and may trim its beginning.",
        history: &[
            ("6.2.0", "NOMKSTREAM, MINID and LIMIT."),
            ("7.0.0", "Ids of the form <ms>-*."),
            ("8.2.0", "KEEPREF, DELREF and ACKED."),
            ("8.6.0", "IDMP and IDMPAUTO."),
        ],
        tips: NOT_DETERMINED,
        run: Some(add::xadd),
        ..STREAM
    },
    Command {
        name: "xautoclaim",
        arity: -6,
        flags: flag::WRITE | flag::FAST,
        keys: DELETE,
        args: &[KEY, GROUP, CONSUMER, Arg::string("min-idle-time"), Arg::string("start"), COUNT, JUSTID],
        since: "6.2.0",
        complexity: "O(1) for a small count",
        summary: "Makes entries that have been pending for long a consumer's own, step by step.",
        history: &[("7.0.0", "Ids that are deleted are replied, and pending no more.")],
        tips: NOT_DETERMINED,
        run: Some(claim::xautoclaim),
        ..STREAM
    },
    Command {
        name: "xcfgset",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[
            KEY,
            Arg::int("idmp-duration").token("IDMP-DURATION").optional(),
            Arg::int("idmp-maxsize").token("IDMP-MAXSIZE").optional(),
        ],
        since: "8.6.0",
        complexity: "O(1), O(N) to forget N messages if a bound changes",
        summary: "Sets how long and how many of each producer's messages a stream knows; other bounds forget those it knew.",
        run: Some(idmp::xcfgset),
        ..STREAM
    },
    Command {
        name: "xclaim",
        arity: -6,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[
            KEY,
            GROUP,
            CONSUMER,
            Arg::string("min-idle-time"),
            ID.multiple(),
            Arg::int("ms").token("IDLE").optional(),
            Arg::new("unix-time-milliseconds", super::table::ArgType::UnixTime).token("TIME").optional(),
            Arg::int("count").token("RETRYCOUNT").optional(),
            Arg::word("force", "FORCE").optional(),
            JUSTID,
            Arg::string("lastid").token("LASTID").optional(),
        ],
        complexity: "O(log(N)) for each id, N the pending entries",
        summary: "Makes pending entries a consumer's own.",
        tips: NOT_DETERMINED,
        run: Some(claim::xclaim),
        ..STREAM
    },
    Command {
        name: "xdel",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: DELETE,
        args: &[KEY, ID.multiple()],
        complexity: "O(log(N)) for each id, N the nodes",
        summary: "Deletes entries by id; replies how many there were.",
        run: Some(delete::xdel),
        ..STREAM
    },
    Command {
        name: "xdelex",
        arity: -5,
        flags: flag::WRITE | flag::FAST,
        keys: DELETE,
        args: &[KEY, REFERENCES, IDS],
        since: "8.2.0",
        complexity: "O(log(N)) for each id, N the nodes",
        summary: "Deletes entries by id, with a choice of what becomes of groups' references to them.",
        run: Some(delete::xdelex),
        ..STREAM
    },
    Command {
        name: "xgroup",
        arity: -2,
        since: "5.0.0",
        group: "stream",
        complexity: "Depends on the subcommand.",
        summary: "Manages the groups of a stream.",
        subcommands: group::SUBCOMMANDS,
        ..Command::BLANK
    },
    Command {
        name: "xidmprecord",
        arity: 5,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[KEY, Arg::string("pid"), Arg::string("iid"), Arg::string("stream-id")],
        since: "8.6.2",
        complexity: "O(log(N)), N the messages of the producer",
        summary: "Tells a stream which message of a producer an entry is: for replicas and logs.",
        run: Some(idmp::xidmprecord),
        ..STREAM
    },
    Command {
        name: "xinfo",
        arity: -2,
        since: "5.0.0",
        group: "stream",
        complexity: "Depends on the subcommand.",
        summary: "Tells about a stream, its groups and their consumers.",
        subcommands: info::SUBCOMMANDS,
        ..Command::BLANK
    },
    Command {
        name: "xlen",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: &[KeySpec::at(1, kf::RO)],
        args: &[KEY],
        complexity: "O(1)",
        summary: "Replies the number of entries.",
        run: Some(range::xlen),
        ..STREAM
    },
    Command {
        name: "xnack",
        arity: -7,
        flags: flag::WRITE | flag::FAST,
        keys: UPDATE,
        args: &[
            KEY,
            GROUP,
            Arg::one_of(
                "mode",
                &[Arg::word("silent", "SILENT"), Arg::word("fail", "FAIL"), Arg::word("fatal", "FATAL")],
            ),
            IDS,
            Arg::int("count").token("RETRYCOUNT").optional(),
            Arg::word("force", "FORCE").optional(),
        ],
        since: "8.8.0",
        complexity: "O(log(N)) for each id, N the pending entries",
        summary: "Gives pending entries back to their group: whoever claims next gets them at once.",
        run: Some(nack::xnack),
        ..STREAM
    },
    Command {
        name: "xpending",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            GROUP,
            Arg::block(
                "filters",
                &[
                    Arg::int("min-idle-time").token("IDLE").optional().since("6.2.0"),
                    Arg::string("start"),
                    Arg::string("end"),
                    Arg::int("count"),
                    CONSUMER.optional(),
                ],
            )
            .optional(),
        ],
        complexity: "O(N) in the entries replied, O(1) for the summary",
        summary: "Tells which entries of a group are pending.",
        history: &[("6.2.0", "IDLE, and ranges that leave out their ends.")],
        tips: NOT_DETERMINED,
        run: Some(pending::xpending),
        ..STREAM
    },
    Command {
        name: "xrange",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::string("start"), Arg::string("end"), COUNT],
        complexity: "O(log(N)+M), N the nodes, M the entries replied",
        summary: "Replies the entries of a range of ids.",
        history: &[("6.2.0", "Ranges that leave out their ends.")],
        run: Some(range::xrange),
        ..STREAM
    },
    Command {
        name: "xread",
        arity: -4,
        flags: flag::READONLY | flag::BLOCKING | flag::MOVABLE_KEYS,
        keys: &[read::keys_from(1)],
        args: &[COUNT, Arg::int("milliseconds").token("BLOCK").optional(), STREAMS],
        complexity: "O(log(N)+M) for each stream, N its nodes, M the entries replied",
        summary: "Replies the entries of streams that come after given ids; may wait until there is one.",
        history: &[("7.4.0", "The id +.")],
        run: Some(read::xread),
        find_keys: Some(keys::xread),
        ..STREAM
    },
    Command {
        name: "xreadgroup",
        arity: -7,
        flags: flag::WRITE | flag::BLOCKING | flag::MOVABLE_KEYS,
        keys: &[read::keys_from(4)],
        args: &[
            Arg::block("group-block", &[GROUP, CONSUMER]).token("GROUP"),
            COUNT,
            Arg::int("milliseconds").token("BLOCK").optional(),
            Arg::int("min-idle-time").token("CLAIM").optional().since("8.4.0"),
            Arg::word("noack", "NOACK").optional(),
            STREAMS,
        ],
        complexity: "O(log(N)+M) for each stream, N its nodes, M the entries replied",
        summary: "Replies entries that no consumer of the group has got yet, or what is pending; may wait until there is one.",
        history: &[("8.4.0", "CLAIM.")],
        run: Some(read::xreadgroup),
        find_keys: Some(keys::xread),
        ..STREAM
    },
    Command {
        name: "xrevrange",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::string("end"), Arg::string("start"), COUNT],
        complexity: "O(log(N)+M), N the nodes, M the entries replied",
        summary: "Replies the entries of a range of ids, the last one first.",
        history: &[("6.2.0", "Ranges that leave out their ends.")],
        run: Some(range::xrevrange),
        ..STREAM
    },
    Command {
        name: "xsetid",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: UPDATE,
        args: &[
            KEY,
            Arg::string("last-id"),
            Arg::int("entries-added").token("ENTRIESADDED").optional().since("7.0.0"),
            Arg::string("max-deleted-id").token("MAXDELETEDID").optional().since("7.0.0"),
        ],
        complexity: "O(1)",
        summary: "Sets what a stream remembers of its ids: for replicas and logs.",
        history: &[("7.0.0", "ENTRIESADDED and MAXDELETEDID.")],
        run: Some(group::xsetid),
        ..STREAM
    },
    Command {
        name: "xtrim",
        arity: -4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, Arg::block("trim", TRIM), REFERENCES],
        complexity: "O(N) in the entries trimmed, few for whole nodes",
        summary: "Removes the oldest entries of a stream.",
        history: &[("6.2.0", "MINID and LIMIT."), ("8.2.0", "KEEPREF, DELREF and ACKED.")],
        tips: NOT_DETERMINED,
        run: Some(add::xtrim),
        ..STREAM
    },
];

/// The row of HELP in the two containers.
const HELP: Command = Command { since: "5.0.0", group: "stream", acl: acl::STREAM, ..help::ROW };

const INVALID_ID: CmdError = CmdError::text("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: CmdError = CmdError::text("ERR invalid start ID for the interval");
const INVALID_END: CmdError = CmdError::text("ERR invalid end ID for the interval");

/// A whole id; without a sequence number it is 0.
fn parse_id(text: &[u8]) -> Result<StreamId, CmdError> {
    StreamId::parse(text, 0).ok_or(INVALID_ID)
}

/// The start of a range of ids.
fn parse_start(text: &[u8]) -> Result<StreamId, CmdError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => StreamId::parse(id, 0).ok_or(INVALID_ID)?.next().ok_or(INVALID_START),
        id => StreamId::parse_bound(id, 0).ok_or(INVALID_ID),
    }
}

/// The end of a range of ids.
fn parse_end(text: &[u8]) -> Result<StreamId, CmdError> {
    match text {
        [b'(', id @ ..] if !id.is_empty() => StreamId::parse(id, u64::MAX).ok_or(INVALID_ID)?.prev().ok_or(INVALID_END),
        id => StreamId::parse_bound(id, u64::MAX).ok_or(INVALID_ID),
    }
}

/// The key or the group is missing; `command`: where that is told.
#[cold]
fn no_group(key: &[u8], group: &[u8], after: &str) -> CmdError {
    CmdError::quoting_two("NOGROUP No such key '", key, "' or consumer group '", group, &format!("'{after}"))
}

#[inline]
fn reply_id(reply: &mut Reply<'_>, id: StreamId) {
    reply.bulk_parts(itoa::Buffer::new().format(id.ms()), itoa::Buffer::new().format(id.seq()));
}

/// An id, and fields and values in one array.
#[inline]
fn reply_entry(reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
    reply.array(2);
    reply_body(reply, entry);
}

/// The two elements of an entry.
#[inline]
fn reply_body(reply: &mut Reply<'_>, entry: &StreamEntry<'_>) {
    reply_id(reply, entry.id);
    reply.array(2 * entry.fields);
    entry.words().for_each(|word| reply_elem(reply, word));
}
