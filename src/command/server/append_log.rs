//! BGREWRITEAOF, WAIT and WAITAOF. What they ask for is done by the server when the turn ends; it wakes who waits.

use super::SERVER;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome, Wait};
use crate::command::error::CmdError;
use crate::command::table::{Arg, Command, acl, flag};
use crate::session::{ConnId, mode};
use crate::types::Type;

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bgrewriteaof",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING,
        since: "1.0.0",
        complexity: "O(1); the keys are copied in small steps between other commands",
        summary: "Writes the append-only log anew, as short as the data allow, while commands go on.",
        run: Some(bgrewriteaof),
        ..SERVER
    },
    Command {
        name: "wait",
        group: "generic",
        arity: 3,
        flags: flag::BLOCKING,
        acl: acl::CONNECTION,
        args: &[Arg::int("numreplicas"), Arg::int("timeout")],
        since: "3.0.0",
        complexity: "O(1)",
        summary: "Waits until so many replicas have what this client wrote.",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        run: Some(wait),
        ..SERVER
    },
    Command {
        name: "waitaof",
        group: "generic",
        arity: 4,
        flags: flag::BLOCKING,
        acl: acl::CONNECTION,
        args: &[Arg::int("numlocal"), Arg::int("numreplicas"), Arg::int("timeout")],
        since: "7.2.0",
        complexity: "O(1)",
        summary: "Waits until what this client wrote is on the disk, here and on so many replicas.",
        tips: &["request_policy:all_shards", "response_policy:agg_min"],
        run: Some(waitaof),
        ..SERVER
    },
];

/// What commands and the server tell each other about the append-only log.
#[derive(Debug, Default)]
pub struct LogDesk {
    /// Offset in the stream up to which all is on the disk.
    pub durable: u64,
    /// A rewrite is to begin when the turn ends.
    pub rewrite_wanted: bool,
    /// Clients that wait for the disk or for replicas.
    pub waiting: Vec<ConnId>,
    /// Nothing that is already scheduled begins before this, monotonic milliseconds: failures have piled up.
    pub retry_at_ms: u64,
    /// How long the last such pause was, minutes.
    pub retry_minutes: u64,
}

fn bgrewriteaof(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let figures = &mut cx.stats.persistence.log;
    if figures.rewriting_since_secs.is_some() || cx.facts.log.rewrite_wanted {
        return Err(CmdError::text("ERR Background append only file rewriting already in progress"));
    }
    if cx.facts.saving.is_some() || cx.depth > 0 {
        figures.rewrite_scheduled = true;
        // Who asks is not held up by failures.
        cx.facts.log.retry_at_ms = 0;
        cx.reply.simple("Background append only file rewriting scheduled");
        return Ok(Flow::Done);
    }
    cx.facts.log.rewrite_wanted = true;
    cx.reply.simple("Background append only file rewriting started");
    Ok(Flow::Done)
}

/// The running command waits for offsets, not for keys.
fn wait_for_offsets(cx: &mut Ctx<'_>, deadline_ms: Option<u64>) -> Outcome {
    let conn = cx.session.conn;
    if !cx.facts.log.waiting.contains(&conn) {
        cx.facts.log.waiting.push(conn);
    }
    let wait = Wait { keys: Vec::new(), want: Type::String, also_gone: false, deadline_ms, again: false, argv: None };
    Ok(Flow::Block(Box::new(wait)))
}

fn wait(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let wanted = args.int()?;
    let deadline_ms = args.timeout_ms(cx.now)?;
    // There are no replicas.
    if wanted > 0 && cx.may_block() && !cx.session.is(mode::WAIT_OVER) {
        return wait_for_offsets(cx, deadline_ms);
    }
    cx.reply.int(0);
    Ok(Flow::Done)
}

fn waitaof(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    const BOUNDS: CmdError = CmdError::text("ERR value is out of range, must be between 0 and 1");
    let local = args.int_in(0, 1, BOUNDS)?;
    let replicas = args.int_in(0, i64::MAX, CmdError::MUST_BE_POSITIVE)?;
    let deadline_ms = args.timeout_ms(cx.now)?;
    if local > 0 && !cx.config.appendonly {
        return Err(CmdError::text("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."));
    }
    let durable = cx.config.appendonly && cx.facts.log.durable >= cx.session.write_offset;
    let met = i64::from(durable) >= local && replicas == 0;
    if !met && cx.may_block() && !cx.session.is(mode::WAIT_OVER) {
        return wait_for_offsets(cx, deadline_ms);
    }
    cx.reply.array(2);
    cx.reply.int(i64::from(durable));
    cx.reply.int(0);
    Ok(Flow::Done)
}
