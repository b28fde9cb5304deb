//! SLOWLOG: the commands that took long.

use super::SERVER;
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::help;
use crate::command::table::{Arg, Command, flag};

const ADMIN: u32 = flag::ADMIN | flag::LOADING | flag::STALE;
/// Entries that GET replies when it is not told how many.
const DEFAULT_COUNT: usize = 10;

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "slowlog",
    arity: -2,
    since: "2.2.12",
    complexity: "Depends on the subcommand.",
    summary: "Tells which commands took long.",
    subcommands: SUBCOMMANDS,
    ..SERVER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "get",
        full_name: "slowlog|get",
        arity: -2,
        flags: ADMIN,
        args: &[Arg::int("count").optional()],
        since: "2.2.12",
        complexity: "O(N) with N the number of entries",
        summary: "The newest entries.",
        history: &[("4.0.0", "Tells the client's address and name.")],
        tips: &["request_policy:all_nodes", "nondeterministic_output"],
        run: Some(get),
        ..SERVER
    },
    Command { full_name: "slowlog|help", since: "6.2.0", group: "server", ..help::ROW },
    Command {
        name: "len",
        full_name: "slowlog|len",
        arity: 2,
        flags: ADMIN,
        since: "2.2.12",
        complexity: "O(1)",
        summary: "Number of entries.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
        run: Some(len),
        ..SERVER
    },
    Command {
        name: "reset",
        full_name: "slowlog|reset",
        arity: 2,
        flags: ADMIN,
        since: "2.2.12",
        complexity: "O(N) with N the number of entries",
        summary: "Removes all entries.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(reset),
        ..SERVER
    },
];

fn get(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CmdError::unknown_or_arity(args.argv().get(1).unwrap_or_default(), "slowlog"));
    }
    let count = match args.more() {
        false => DEFAULT_COUNT,
        true => match number::parse_i64(args.bytes()?) {
            Some(-1) => usize::MAX,
            Some(count @ 0..) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => return Err(CmdError::text("ERR count should be greater than or equal to -1")),
        },
    };
    let shown = cx.stats.slowlog.len().min(count);
    cx.reply.array(shown);
    for entry in cx.stats.slowlog.iter().take(shown) {
        cx.reply.array(6);
        cx.reply.int(entry.id as i64);
        cx.reply.int(entry.at_secs);
        cx.reply.int(entry.duration_us as i64);
        cx.reply.array(entry.words.len());
        entry.words.iter().for_each(|word| cx.reply.bulk(word));
        cx.reply.bulk(entry.peer.as_bytes());
        cx.reply.bulk(&entry.client_name);
    }
    Ok(Flow::Done)
}

fn len(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.len(cx.stats.slowlog.len());
    Ok(Flow::Done)
}

fn reset(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.stats.slowlog.clear();
    cx.reply.ok();
    Ok(Flow::Done)
}
