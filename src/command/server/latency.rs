//! LATENCY: what took long, and how long each command takes.

use super::SERVER;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::help;
use crate::command::table::{Arg, Command, Row, flag};
use crate::stats::Histogram;

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;
const EVENT: &[Arg] = &[Arg::string("event")];
const TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// A row that only administrators may use.
const ROW: Command = Command { flags: ADMIN, since: "2.8.13", tips: TIPS, ..SERVER };

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "latency",
    arity: -2,
    since: "2.8.13",
    complexity: "Depends on the subcommand.",
    summary: "Tells what took long.",
    subcommands: SUBCOMMANDS,
    ..SERVER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "doctor",
        full_name: "latency|doctor",
        arity: 2,
        complexity: "O(1)",
        summary: "A report in words.",
        run: Some(doctor),
        ..ROW
    },
    Command {
        name: "graph",
        full_name: "latency|graph",
        arity: 3,
        args: EVENT,
        complexity: "O(1)",
        summary: "A picture of one kind of event.",
        run: Some(graph),
        ..ROW
    },
    Command { full_name: "latency|help", since: "2.8.13", group: "server", ..help::ROW },
    Command {
        name: "histogram",
        full_name: "latency|histogram",
        arity: -2,
        args: &[Arg::string("command").multiple().optional()],
        since: "7.0.0",
        complexity: "O(N) with N the number of commands",
        summary: "How often commands took how long.",
        run: Some(histogram),
        ..ROW
    },
    Command {
        name: "history",
        full_name: "latency|history",
        arity: 3,
        args: EVENT,
        complexity: "O(1)",
        summary: "The samples of one kind of event.",
        run: Some(history),
        ..ROW
    },
    Command {
        name: "latest",
        full_name: "latency|latest",
        arity: 2,
        complexity: "O(1)",
        summary: "The newest sample of each kind of event.",
        run: Some(latest),
        ..ROW
    },
    Command {
        name: "reset",
        full_name: "latency|reset",
        arity: -2,
        args: &[Arg::string("event").multiple().optional()],
        complexity: "O(1)",
        summary: "Forgets the samples of some or all kinds of event.",
        tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
        run: Some(reset),
        ..ROW
    },
];

fn doctor(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let report = cx.stats.latency.report(cx.now.unix_secs(), cx.config.slowlog_log_slower_than < 0);
    cx.reply.verbatim("txt", report.as_bytes());
    Ok(Flow::Done)
}

fn graph(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let event = args.bytes()?;
    let Some(series) = cx.stats.latency.get(event) else {
        let event = String::from_utf8_lossy(event);
        return Err(CmdError::owned(format!("ERR No samples available for event '{event}'")));
    };
    let picture = series.graph(&String::from_utf8_lossy(event), cx.now.unix_secs());
    cx.reply.verbatim("txt", picture.as_bytes());
    Ok(Flow::Done)
}

fn history(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let series = cx.stats.latency.get(args.bytes()?);
    cx.reply.array(series.map_or(0, |series| series.samples().len()));
    for sample in series.iter().flat_map(|series| series.samples()) {
        cx.reply.array(2);
        cx.reply.int(sample.at_secs);
        cx.reply.int(sample.ms as i64);
    }
    Ok(Flow::Done)
}

fn latest(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.array(cx.stats.latency.iter().count());
    for (event, series) in cx.stats.latency.iter() {
        let newest = series.newest();
        cx.reply.array(4);
        cx.reply.bulk(event.as_bytes());
        cx.reply.int(newest.map_or(0, |sample| sample.at_secs));
        cx.reply.int(newest.map_or(0, |sample| sample.ms as i64));
        cx.reply.int(series.max_ms as i64);
    }
    Ok(Flow::Done)
}

fn reset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut count = 0;
    if !args.more() {
        count = cx.stats.latency.reset(None);
    }
    while args.more() {
        count += cx.stats.latency.reset(Some(args.bytes()?));
    }
    cx.reply.len(count);
    Ok(Flow::Done)
}

/// A container's name stands for its subcommands too.
fn histogram(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let table = cx.table;
    let mut rows: Vec<Row> = Vec::new();
    if !args.more() {
        rows.extend(table.rows());
    }
    while args.more() {
        let Some(row) = table.find_full(args.bytes()?) else { continue };
        for row in std::iter::once(row).chain(table.subcommands(row)) {
            if !rows.iter().any(|known| known.id == row.id) {
                rows.push(row);
            }
        }
    }
    let tracked = rows.iter().filter_map(|row| {
        let stats = &cx.stats.commands[usize::from(row.id)];
        stats
            .histogram
            .as_ref()
            .filter(|histogram| histogram.total() > 0)
            .map(|histogram| (row.command.shown_name(), histogram))
    });
    let tracked: Vec<(&str, &Histogram)> = tracked.collect();
    cx.reply.map(tracked.len());
    for (name, histogram) in tracked {
        cx.reply.bulk(name.as_bytes());
        cx.reply.map(2);
        cx.reply.bulk(b"calls");
        cx.reply.int(histogram.total() as i64);
        cx.reply.bulk(b"histogram_usec");
        let steps = histogram.cumulative_us();
        cx.reply.map(steps.len());
        for (us, count) in steps {
            cx.reply.int(us as i64);
            cx.reply.int(count as i64);
        }
    }
    Ok(Flow::Done)
}
