//! Sorted sets. The rows are here; ranges, writes and algebra each have a file.

mod algebra;
pub mod blocking;
mod range;
mod write;

pub(super) use write::{AddWords, add};

use super::table::{Arg, ArgType, Command, KeySpec, acl, flag, key_flag as kf};

const ZSET: Command = Command { group: "sorted-set", acl: acl::SORTEDSET, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const CHANGE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)];
const DELETE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::DELETE)];
const TAKE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE)];
const MANY: &[KeySpec] = &[KeySpec::count(1, 1, kf::RO | kf::ACCESS)];
const STORE: &[KeySpec] = &[KeySpec::at(1, kf::OW | kf::UPDATE), KeySpec::count(2, 1, kf::RO | kf::ACCESS)];
const FAST_WRITE: u32 = flag::WRITE | flag::DENYOOM | flag::FAST;

const KEY: Arg = Arg::key("key");
const MEMBER: Arg = Arg::string("member");
const MIN: Arg = Arg::string("min");
const MAX: Arg = Arg::string("max");
const NUMKEYS: Arg = Arg::int("numkeys");
const WITH_SCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();
const LIMIT: Arg = Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional();
const WEIGHTS: Arg = Arg::int("weight").token("WEIGHTS").optional().multiple();
const AGGREGATE: Arg =
    Arg::one_of("aggregate", &[Arg::word("sum", "SUM"), Arg::word("min", "MIN"), Arg::word("max", "MAX")])
        .token("AGGREGATE")
        .optional();
const BY: Arg = Arg::one_of("sortby", &[Arg::word("byscore", "BYSCORE"), Arg::word("bylex", "BYLEX")]).optional();
const REV: Arg = Arg::word("rev", "REV").optional();
const WHERE: Arg = Arg::one_of("where", &[Arg::word("min", "MIN"), Arg::word("max", "MAX")]);
const RANGE_ARGS: &[Arg] = &[KEY, Arg::string("start"), Arg::string("stop"), BY, REV, LIMIT, WITH_SCORES];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "zadd",
        arity: -4,
        flags: FAST_WRITE,
        keys: &[KeySpec::at(1, kf::RW | kf::UPDATE)],
        member: 3,
        args: &[
            KEY,
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional().since("3.0.2"),
            Arg::one_of("comparison", &[Arg::word("gt", "GT"), Arg::word("lt", "LT")]).optional().since("6.2.0"),
            Arg::word("change", "CH").optional().since("3.0.2"),
            Arg::word("increment", "INCR").optional().since("3.0.2"),
            Arg::block("data", &[Arg::double("score"), MEMBER]).multiple(),
        ],
        since: "1.2.0",
        complexity: "O(log(N)) for each member",
        summary: "Adds members with their scores, or changes the scores; replies how many are new.",
        history: &[("2.4.0", "Several members."), ("3.0.2", "XX, NX, CH and INCR."), ("6.2.0", "GT and LT.")],
        run: Some(write::zadd),
        ..ZSET
    },
    Command {
        name: "zcard",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: &[KeySpec::at(1, kf::RO)],
        args: &[KEY],
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Replies the number of members.",
        run: Some(range::zcard),
        ..ZSET
    },
    Command {
        name: "zcount",
        arity: 4,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY, MIN, MAX],
        since: "2.0.0",
        complexity: "O(log(N))",
        summary: "Counts the members with scores in a range.",
        run: Some(range::zcount),
        ..ZSET
    },
    Command {
        name: "zdiff",
        arity: -3,
        flags: flag::READONLY,
        keys: MANY,
        args: &[NUMKEYS, KEY.multiple(), WITH_SCORES],
        since: "6.2.0",
        complexity: "O(N) in the members of all sets",
        summary: "Replies the members of the first sorted set that are in none of the others.",
        run: Some(algebra::zdiff),
        ..ZSET
    },
    Command {
        name: "zdiffstore",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: STORE,
        args: &[Arg::key("destination"), NUMKEYS, KEY.spec(1).multiple()],
        since: "6.2.0",
        complexity: "O(N) in the members of all sets",
        summary: "Stores the members of the first sorted set that are in none of the others.",
        run: Some(algebra::zdiffstore),
        ..ZSET
    },
    Command {
        name: "zget",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, MEMBER.optional()],
        since: "1.0.0",
        complexity: "O(1) with a member, O(N) without",
        summary: "Replies the score of a member, or all members with their scores.",
        run: Some(range::zget),
        ..ZSET
    },
    Command {
        name: "zincrby",
        arity: 4,
        flags: FAST_WRITE,
        keys: CHANGE,
        member: 3,
        args: &[KEY, Arg::int("increment"), MEMBER],
        since: "1.2.0",
        complexity: "O(log(N))",
        summary: "Adds to the score of a member; a missing one counts from 0.",
        run: Some(write::zincrby),
        ..ZSET
    },
    Command {
        name: "zinter",
        arity: -3,
        flags: flag::READONLY,
        keys: MANY,
        args: &[NUMKEYS, KEY.multiple(), WEIGHTS, AGGREGATE, WITH_SCORES],
        since: "6.2.0",
        complexity: "O(N*K) + O(M*log(M)), N the smallest set, K the sets, M the result",
        summary: "Replies the members that all sorted sets have.",
        run: Some(algebra::zinter),
        ..ZSET
    },
    Command {
        name: "zintercard",
        arity: -3,
        flags: flag::READONLY,
        keys: MANY,
        args: &[NUMKEYS, KEY.multiple(), Arg::int("limit").token("LIMIT").optional()],
        since: "7.0.0",
        complexity: "O(N*K), N the smallest set, K the sets",
        summary: "Counts the members that all sorted sets have, up to a limit.",
        run: Some(algebra::zintercard),
        ..ZSET
    },
    Command {
        name: "zinterstore",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: STORE,
        args: &[Arg::key("destination"), NUMKEYS, KEY.spec(1).multiple(), WEIGHTS, AGGREGATE],
        since: "2.0.0",
        complexity: "O(N*K) + O(M*log(M)), N the smallest set, K the sets, M the result",
        summary: "Stores the members that all sorted sets have.",
        run: Some(algebra::zinterstore),
        ..ZSET
    },
    Command {
        name: "zlexcount",
        arity: 4,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY, MIN, MAX],
        since: "2.8.9",
        complexity: "O(log(N))",
        summary: "Counts the members in a range of names, all having one score.",
        run: Some(range::zlexcount),
        ..ZSET
    },
    Command {
        name: "zmpop",
        arity: -4,
        flags: flag::WRITE,
        keys: &[KeySpec::count(1, 1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[NUMKEYS, KEY.multiple(), WHERE, Arg::int("count").token("COUNT").optional()],
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)), K the keys, M the members taken",
        summary: "Takes the members with the lowest or highest scores out of the first sorted set that is not empty.",
        run: Some(write::zmpop),
        ..ZSET
    },
    Command {
        name: "zmscore",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER.multiple()],
        since: "6.2.0",
        complexity: "O(N) in the members named",
        summary: "Replies the scores of several members.",
        run: Some(range::zmscore),
        ..ZSET
    },
    Command {
        name: "zpopmax",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: TAKE,
        args: &[KEY, Arg::int("count").optional()],
        since: "5.0.0",
        complexity: "O(log(N)*M), M the members taken",
        summary: "Takes the members with the highest scores.",
        run: Some(write::zpopmax),
        ..ZSET
    },
    Command {
        name: "zpopmin",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: TAKE,
        args: &[KEY, Arg::int("count").optional()],
        since: "5.0.0",
        complexity: "O(log(N)*M), M the members taken",
        summary: "Takes the members with the lowest scores.",
        run: Some(write::zpopmin),
        ..ZSET
    },
    Command {
        name: "zrandmember",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::block("options", &[Arg::int("count"), Arg::word("withscores", "WITHSCORES").optional()]).optional(),
        ],
        since: "6.2.0",
        complexity: "O(N) in the members replied",
        summary: "Replies random members: distinct ones for a positive count, with repeats for a negative one.",
        tips: &["nondeterministic_output"],
        run: Some(range::zrandmember),
        ..ZSET
    },
    Command {
        name: "zrange",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: RANGE_ARGS,
        since: "1.2.0",
        complexity: "O(log(N)+M), M the members replied",
        summary: "Replies the members in a range of ranks, scores or names.",
        history: &[("6.2.0", "REV, BYSCORE, BYLEX and LIMIT.")],
        run: Some(range::zrange),
        ..ZSET
    },
    Command {
        name: "zrangebylex",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, MIN, MAX, LIMIT],
        since: "2.8.9",
        complexity: "O(log(N)+M), M the members replied",
        summary: "Replies the members in a range of names, all having one score.",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYLEX` argument")),
        run: Some(range::zrangebylex),
        ..ZSET
    },
    Command {
        name: "zrangebyscore",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, MIN, MAX, WITH_SCORES, LIMIT],
        since: "1.0.5",
        complexity: "O(log(N)+M), M the members replied",
        summary: "Replies the members with scores in a range.",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `BYSCORE` argument")),
        run: Some(range::zrangebyscore),
        ..ZSET
    },
    Command {
        name: "zrangestore",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::OW | kf::UPDATE), KeySpec::at(2, kf::RO | kf::ACCESS)],
        args: &[Arg::key("dst"), Arg::key("src").spec(1), MIN, MAX, BY, REV, LIMIT],
        since: "6.2.0",
        complexity: "O(log(N)+M), M the members stored",
        summary: "Stores the members in a range of ranks, scores or names.",
        run: Some(range::zrangestore),
        ..ZSET
    },
    Command {
        name: "zrank",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER, Arg::word("withscore", "WITHSCORE").optional().since("7.2.0")],
        since: "2.0.0",
        complexity: "O(log(N))",
        summary: "Replies how many members come before one, in ascending order.",
        run: Some(range::zrank),
        ..ZSET
    },
    Command {
        name: "zrem",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: DELETE,
        member: 2,
        args: &[KEY, MEMBER.multiple()],
        since: "1.2.0",
        complexity: "O(M*log(N)), M the members named",
        summary: "Removes members, and the key with the last of them.",
        history: &[("2.4.0", "Several members.")],
        run: Some(write::zrem),
        ..ZSET
    },
    Command {
        name: "zremrangebylex",
        arity: 4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, MIN, MAX],
        since: "2.8.9",
        complexity: "O(log(N)+M), M the members removed",
        summary: "Removes the members in a range of names, all having one score.",
        run: Some(write::zremrangebylex),
        ..ZSET
    },
    Command {
        name: "zremrangebyrank",
        arity: 4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, Arg::int("start"), Arg::int("stop")],
        since: "2.0.0",
        complexity: "O(log(N)+M), M the members removed",
        summary: "Removes the members in a range of ranks.",
        run: Some(write::zremrangebyrank),
        ..ZSET
    },
    Command {
        name: "zremrangebyscore",
        arity: 4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, MIN, MAX],
        since: "1.2.0",
        complexity: "O(log(N)+M), M the members removed",
        summary: "Removes the members with scores in a range.",
        run: Some(write::zremrangebyscore),
        ..ZSET
    },
    Command {
        name: "zrevrange",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("start"), Arg::int("stop"), WITH_SCORES],
        since: "1.2.0",
        complexity: "O(log(N)+M), M the members replied",
        summary: "Replies the members in a range of ranks, in descending order.",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` argument")),
        run: Some(range::zrevrange),
        ..ZSET
    },
    Command {
        name: "zrevrangebylex",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, MAX, MIN, LIMIT],
        since: "2.8.9",
        complexity: "O(log(N)+M), M the members replied",
        summary: "Replies the members in a range of names, in descending order.",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")),
        run: Some(range::zrevrangebylex),
        ..ZSET
    },
    Command {
        name: "zrevrangebyscore",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, MAX, MIN, WITH_SCORES, LIMIT],
        since: "2.2.0",
        complexity: "O(log(N)+M), M the members replied",
        summary: "Replies the members with scores in a range, in descending order.",
        deprecated: Some(("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")),
        run: Some(range::zrevrangebyscore),
        ..ZSET
    },
    Command {
        name: "zrevrank",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER, Arg::word("withscore", "WITHSCORE").optional().since("7.2.0")],
        since: "2.0.0",
        complexity: "O(log(N))",
        summary: "Replies how many members come before one, in descending order.",
        run: Some(range::zrevrank),
        ..ZSET
    },
    Command {
        name: "zscan",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::int("cursor"),
            Arg::new("pattern", ArgType::Pattern).token("MATCH").optional(),
            Arg::int("count").token("COUNT").optional(),
        ],
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for a whole iteration",
        summary: "Walks the members of a sorted set step by step.",
        tips: &["nondeterministic_output"],
        run: Some(range::zscan),
        ..ZSET
    },
    Command {
        name: "zscore",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER],
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Replies the score of a member.",
        run: Some(range::zscore),
        ..ZSET
    },
    Command {
        name: "zunion",
        arity: -3,
        flags: flag::READONLY,
        keys: MANY,
        args: &[NUMKEYS, KEY.multiple(), WEIGHTS, AGGREGATE, WITH_SCORES],
        since: "6.2.0",
        complexity: "O(N) + O(M*log(M)), N the members of all sets, M the result",
        summary: "Replies the members that any sorted set has.",
        run: Some(algebra::zunion),
        ..ZSET
    },
    Command {
        name: "zunionstore",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: STORE,
        args: &[Arg::key("destination"), NUMKEYS, KEY.spec(1).multiple(), WEIGHTS, AGGREGATE],
        since: "2.0.0",
        complexity: "O(N) + O(M*log(M)), N the members of all sets, M the result",
        summary: "Stores the members that any sorted set has.",
        run: Some(algebra::zunionstore),
        ..ZSET
    },
];
