//! MONITOR, ROLE, SHUTDOWN, TIME and LOLWUT.

use super::SERVER;
use crate::base::number;
use crate::base::rng::Rng;
use crate::base::version;
use crate::command::args::Args;
use crate::command::ctx::{Ask, Ctx, Flow, Outcome, Shutdown};
use crate::command::error::CmdError;
use crate::command::table::{Arg, Command, acl, flag};
use crate::session::mode;

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lolwut",
        arity: -1,
        flags: flag::READONLY | flag::FAST,
        args: &[Arg::int("version").token("VERSION").optional()],
        since: "5.0.0",
        complexity: "O(1)",
        summary: "A small picture, and the version.",
        run: Some(lolwut),
        ..SERVER
    },
    Command {
        name: "monitor",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Shows every command from now on, as it is executed.",
        run: Some(monitor),
        ..SERVER
    },
    Command {
        name: "role",
        arity: 1,
        flags: flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST,
        acl: acl::ADMIN | acl::DANGEROUS,
        since: "2.8.12",
        complexity: "O(1)",
        summary: "Which part the server plays in replication.",
        run: Some(role),
        ..SERVER
    },
    Command {
        name: "shutdown",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::NO_MULTI | flag::ALLOW_BUSY,
        args: &[
            Arg::one_of("save-selector", &[Arg::word("nosave", "NOSAVE"), Arg::word("save", "SAVE")]).optional(),
            Arg::word("now", "NOW").optional().since("7.0.0"),
            Arg::word("force", "FORCE").optional().since("7.0.0"),
            Arg::word("abort", "ABORT").optional().since("7.0.0"),
        ],
        since: "1.0.0",
        complexity: "O(N) with N the number of keys when they are saved, else O(1).",
        summary: "Ends the server in order.",
        history: &[("7.0.0", "Takes NOW, FORCE and ABORT.")],
        run: Some(shutdown),
        ..SERVER
    },
    Command {
        name: "time",
        arity: 1,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        since: "2.6.0",
        complexity: "O(1)",
        summary: "The server's clock: Unix seconds, and microseconds within the second.",
        tips: &["nondeterministic_output"],
        run: Some(time),
        ..SERVER
    },
];

fn time(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let us = cx.now.unix_us;
    cx.reply.array(2);
    cx.reply.bulk_int(us.div_euclid(1_000_000));
    cx.reply.bulk_int(us.rem_euclid(1_000_000));
    Ok(Flow::Done)
}

/// A second MONITOR of a client that is one has no reply.
fn monitor(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    if cx.depth > 0 {
        return Err(CmdError::text("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    if !cx.session.is(mode::MONITOR) {
        cx.session.mode |= mode::MONITOR;
        cx.hub.monitors.add(cx.session.conn);
        cx.reply.ok();
    }
    Ok(Flow::Done)
}

fn role(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.array(3);
    cx.reply.bulk(b"master");
    cx.reply.int(0);
    cx.reply.array(0);
    Ok(Flow::Done)
}

fn shutdown(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut how = Shutdown::default();
    let mut abort = false;
    while args.more() {
        if how.save != Some(true) && args.accept("nosave") {
            how.save = Some(false);
        } else if how.save != Some(false) && args.accept("save") {
            how.save = Some(true);
        } else if args.accept("now") {
            how.now = true;
        } else if args.accept("force") {
            how.force = true;
        } else if args.accept("abort") {
            abort = true;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    if abort {
        if how != Shutdown::default() {
            return Err(CmdError::SYNTAX);
        }
        // Only a signal's wish waits; the end that a command asks for is over before the next command.
        if cx.facts.end_signal.take().is_none() {
            return Err(CmdError::text("ERR No shutdown in progress."));
        }
        log::warn!("Shutdown manually aborted.");
        cx.reply.ok();
        return Ok(Flow::Done);
    }
    if cx.stats.persistence.loading.is_some() {
        // Half of the data must not take the place of the whole.
        how.save = Some(false);
    }
    if cx.stats.persistence.log.must_wait(how.force) {
        return Err(CmdError::text("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    let failed = how.saves(cx.config) && cx.save_snapshot().is_err();
    if failed && !how.force {
        log::warn!("Error trying to save the DB, can't exit.");
        return Err(CmdError::text("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    if how.save != Some(false) {
        crate::command::script::refuse_others(cx)?;
    }
    if cx.acl.audit.is_on() {
        cx.note_audit("shutdown", Vec::new());
    }
    // What the client sent behind this is not executed.
    cx.session.mode |= mode::CLOSE_NOW;
    cx.asks.push(Ask::Shutdown(how));
    Ok(Flow::Done)
}

/// LOLWUT [VERSION n] [columns] [rows]: hills under a sky.
fn lolwut(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 && args.accept("version") {
        args.int()?;
    }
    let mut size = [64, 8];
    for (side, most) in size.iter_mut().zip([1000, 100]) {
        if args.more() {
            *side = number::parse_i64(args.bytes()?).ok_or(CmdError::NOT_INTEGER)?.clamp(1, most);
        }
    }
    let mut picture = hills(cx.rng, size[0] as usize, size[1] as usize);
    picture.push_str(&format!(
        "\nA walk in the hills, by Redstart {}. Redis ver. {}\n",
        version::REDSTART,
        version::REDIS
    ));
    cx.reply.verbatim("txt", picture.as_bytes());
    Ok(Flow::Done)
}

/// Two random walks, the nearer hills before the farther ones, and some stars.
fn hills(rng: &mut Rng, columns: usize, rows: usize) -> String {
    let mut walk = |most: usize| -> Vec<usize> {
        let mut height = most / 2;
        let step = |height: usize, turn: u64| match turn {
            0 => height.saturating_sub(1),
            1 => (height + 1).min(most),
            _ => height,
        };
        (0..columns)
            .map(|_| {
                height = step(height, rng.below(4));
                height
            })
            .collect()
    };
    let (far, near) = (walk(rows), walk(rows / 2));
    let mut picture = String::with_capacity((columns + 1) * rows);
    for row in (0..rows).rev() {
        for column in 0..columns {
            picture.push(match row {
                _ if row < near[column] => '#',
                _ if row < far[column] => ':',
                _ if rng.below(40) == 0 => '*',
                _ => ' ',
            });
        }
        picture.push('\n');
    }
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_the_size_asked_for() {
        let picture = hills(&mut Rng::seeded(1), 20, 5);
        assert!(picture.lines().count() == 5 && picture.lines().all(|line| line.len() == 20), "{picture}");
    }
}
