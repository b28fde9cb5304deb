//! One request from words to reply: look-up, gates, queue or run, statistics, effects, news.
//! The order is: gates, then (in a transaction) the queue, then MONITOR, the handler, the statistics, the journal.

use super::args::Args;
use super::ctx::{Ctx, Flow};
use super::error::CmdError;
use super::gate::{self, Pass};
use super::table::{Row, Table, flag};
use crate::base::text;
use crate::journal::{Effects, Journal};
use crate::keyspace::{Book, DbIndex, Vanished};
use crate::resp::{Argv, ProtocolError};
use crate::session::{ConnId, Queued, ReplyMode, mode};
use crate::stats::Hidden;
use crate::sys::{crash, ticks};
use crate::types::Type;
use std::io::Write as _;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It is answered.
    Done,
    /// It must be offered again when the pause ends.
    Paused,
}

/// The row that a request means: a command, or its subcommand.
///
/// # Errors
/// Unknown command or subcommand, or a container without one.
pub fn resolve(table: &Table, row: Option<Row>, argv: Argv<'_>) -> Result<Row, CmdError> {
    let Some(row) = row else { return Err(CmdError::unknown_command(argv.iter())) };
    if row.command.subcommands.is_empty() {
        return Ok(row);
    }
    let Some(word) = argv.get(1) else {
        return if row.command.run.is_some() { Ok(row) } else { Err(CmdError::arity(row.command.name)) };
    };
    match table.find_sub(row, word) {
        Some(sub) => Ok(sub),
        None => Err(CmdError::unknown_subcommand(word, row.command.name)),
    }
}

/// Whether the line is one of HTTP: somebody makes a browser talk to the server.
#[cold]
fn is_another_protocol(argv: Argv<'_>) -> bool {
    argv.get(0).is_some_and(|name| name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:"))
}

/// One request of a client. `row` is what its first word names; `hashed` the hash of the word at an index.
#[inline]
pub fn execute(cx: &mut Ctx<'_>, row: Option<Row>, argv: Argv<'_>, hashed: Option<(usize, u64)>) -> Handled {
    let start = cx.reply.outbox().mark();
    let row = match row {
        Some(row) if row.command.subcommands.is_empty() => row,
        row => match resolve(cx.table, row, argv) {
            Ok(row) => row,
            Err(_) if row.is_none() && is_another_protocol(argv) => {
                log::warn!(
                    "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to \
                     Redis. This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise \
                     your Redis instance. Connection from {} aborted.",
                    cx.session.peer
                );
                cx.session.mode |= mode::CLOSE_NOW;
                return Handled::Done;
            }
            Err(error) => {
                cx.session.last_row = None;
                refuse(cx, None, &error);
                reply_mode(cx, start);
                return Handled::Done;
            }
        },
    };
    cx.row = row;
    cx.session.last_row = Some(row.id);
    match gate::check(cx, row, argv) {
        Ok(Pass::Run) => {}
        Ok(Pass::Pause) => return Handled::Paused,
        Err(error) => {
            refuse(cx, Some(row), &error);
            end_outermost(cx);
            reply_mode(cx, start);
            cx.send_late();
            return Handled::Done;
        }
    }
    if cx.session.multi.is_some() && !row.command.is(flag::NOT_QUEUED) {
        queue(cx, row, argv);
    } else {
        let skip = 1 + usize::from(!row.command.full_name.is_empty());
        let mut args = Args::new(argv, skip, cx.db.space.hasher(), hashed);
        call(cx, row, &mut args);
    }
    // Also after queueing: a gate may have evicted keys.
    end_outermost(cx);
    // A client that waits is replied later.
    if cx.session.is(mode::CACHES) && !row.command.is(flag::KEEPS_CACHING) {
        cx.forget_caching_said();
    }
    if cx.session.reply_mode != ReplyMode::On && cx.session.blocked.is_none() {
        reply_mode(cx, start);
    }
    cx.send_late();
    Handled::Done
}

fn queue(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>) {
    if let Some(multi) = &mut cx.session.multi {
        // What will not run need not be kept.
        if !multi.broken {
            let argv = argv.to_owned();
            multi.flags |= row.command.flags_of(cx.scripts, argv.argv());
            multi.argv_bytes += argv.alloc_bytes();
            multi.queue.push(Queued { row: row.id, argv });
        }
        multi.count += 1;
    }
    cx.reply.simple("QUEUED");
}

/// A request that never ran: counted, answered, and it breaks the transaction it was meant for. EXEC ends it.
#[cold]
pub fn refuse(cx: &mut Ctx<'_>, row: Option<Row>, error: &CmdError) {
    if let Some(row) = row {
        cx.stats.commands[row.id as usize].rejected += 1;
        if row.command.is(flag::RUNS_QUEUE) {
            cx.drop_transaction();
            return fail(cx, &CmdError::exec_refused(error));
        }
    }
    if let Some(multi) = &mut cx.session.multi {
        multi.broken = true;
    }
    fail(cx, error);
}

#[cold]
pub(super) fn fail(cx: &mut Ctx<'_>, error: &CmdError) {
    cx.stats.totals.error_replies += 1;
    cx.stats.errors.record(error.code());
    cx.reply.error_bytes(error.as_bytes());
}

/// CLIENT REPLY OFF and SKIP take back what was written since `start`.
#[cold]
pub(super) fn reply_mode(cx: &mut Ctx<'_>, start: usize) {
    match cx.session.reply_mode {
        ReplyMode::On => {}
        ReplyMode::Off => cx.reply.outbox().truncate(start),
        ReplyMode::SkipNext => cx.session.reply_mode = ReplyMode::Skip,
        ReplyMode::Skip => {
            cx.reply.outbox().truncate(start);
            cx.session.reply_mode = ReplyMode::On;
        }
    }
}

/// Runs a row's handler with all the accounts that belong to a run.
#[inline]
pub(super) fn call(cx: &mut Ctx<'_>, row: Row, args: &mut Args<'_>) {
    cx.row = row;
    cx.hidden = if row.command.is(flag::SECRET) { Hidden::from(1) } else { Hidden::default() };
    // While writes are paused nothing may change: what has expired is hidden, not removed.
    cx.db.keep_expired = cx.facts.pause.is_some() && !row.command.is(flag::WRITE);
    crash::note_command(&row.command.name);
    let Some(run) = row.command.run else { return fail(cx, &CmdError::arity(row.command.name)) };
    let (dirty, db) = (cx.db.space.book.dirty, cx.db.index);
    let start = if cx.depth == 0 { cx.last_tick } else { ticks::now() };
    let reply = cx.reply.defer();
    match run(cx, args) {
        Ok(Flow::Done) => {}
        Ok(Flow::Block(wait)) => {
            cx.last_tick = ticks::now();
            let took = cx.last_tick.wrapping_sub(start);
            return cx.block(*wait, args.argv(), took);
        }
        Err(error) => {
            cx.reply.rewind(&reply);
            cx.stats.commands[row.id as usize].failed += 1;
            fail(cx, &error);
        }
    }
    if cx.session.is(mode::CACHES) && row.command.is(flag::READONLY) {
        cx.remember_keys(row, args);
    }
    let end = ticks::now();
    cx.last_tick = end;
    let took = end.wrapping_sub(start) + cx.spent_ticks.unwrap_or(0);
    cx.stats.totals.commands += 1;
    let tracked = cx.stats.latency_tracking;
    cx.stats.commands[row.id as usize].record(took, tracked);
    if took >= cx.stats.notable_ticks {
        notable(cx, row, args.argv(), took);
    }
    if !cx.hub.monitors.is_empty() {
        feed_monitors(cx, args.argv());
    }
    let changed = cx.db.space.book.dirty != dirty;
    if !(changed && log_at_once(cx, db, args.argv())) {
        cx.effects.command_ended(changed, db, args.argv());
    }
}

/// The words of the outermost command go into the journal as they were sent, if they are the whole unit; else false.
#[inline]
fn log_at_once(cx: &mut Ctx<'_>, db: DbIndex, argv: Argv<'_>) -> bool {
    if cx.depth > 0 || !cx.effects.would_be_alone() || !cx.db.space.book.vanished.is_empty() {
        return false;
    }
    let Some(sent) = argv.as_sent() else { return false };
    cx.journal.push(db, sent);
    note_logged(cx);
    true
}

/// Replies to this client wait for the log to come to where it is now.
#[inline]
fn note_logged(cx: &mut Ctx<'_>) {
    cx.session.write_offset = cx.journal.offset();
    cx.session.mode |= mode::LOGGED;
}

/// It took long enough for the slow log or the latency monitor.
#[cold]
fn notable(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>, took: u64) {
    let us = ticks::to_us(took);
    let event = if row.command.is(flag::FAST) { "fast-command" } else { "command" };
    cx.stats.latency.record(event, cx.now.unix_secs(), us / 1000);
    if took < cx.stats.slow_ticks || row.command.is(flag::SKIP_SLOWLOG) {
        return;
    }
    let client = (&*cx.session.peer, cx.session.name.as_deref().unwrap_or_default());
    let max_len = cx.config.slowlog_max_len as usize;
    cx.stats.slowlog.add(argv, cx.hidden, cx.now.unix_ms.0 / 1000, us, client, max_len);
}

/// The line that MONITOR shows: `+1700000000.123456 [0 127.0.0.1:50000] "SET" "k" "v"`.
#[cold]
pub(super) fn feed_monitors(cx: &mut Ctx<'_>, argv: Argv<'_>) {
    // A command that waited was shown when it came.
    if cx.row.command.is(flag::SKIP_MONITOR | flag::ADMIN) || cx.spent_ticks.is_some() {
        return;
    }
    show_monitors(cx, argv);
}

/// Shows a request to all who monitor.
#[cold]
pub(super) fn show_monitors(cx: &mut Ctx<'_>, argv: Argv<'_>) {
    let mut line = Vec::with_capacity(64);
    let us = cx.now.unix_us;
    let is_scripts = cx.scripts.running.as_ref().is_some_and(|running| running.conn == cx.session.conn);
    let peer = if is_scripts { "lua" } else { &cx.session.peer };
    write!(line, "+{}.{:06} [{} {}]", us / 1_000_000, us % 1_000_000, cx.session.db.0, peer)
        .expect("a vector takes all bytes");
    for (index, word) in argv.iter().enumerate() {
        line.push(b' ');
        let shown = if cx.hidden.has(index) { b"(redacted)" } else { word };
        text::quote_repr(shown, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    let monitors: Vec<ConnId> = cx.hub.monitors.iter().collect();
    for conn in monitors {
        if conn == cx.session.conn {
            cx.reply.outbox().extend(&line);
        } else if let Some(session) = cx.sessions.send_to(conn) {
            session.outbox.extend(&line);
        }
    }
}

/// The outermost command ended: its news reach those who listen, and what went by itself precedes its effects.
#[inline]
pub fn end_unit(cx: &mut Ctx<'_>) {
    cx.deliver();
    cx.tell_own();
    if !cx.effects.is_empty() || !cx.db.space.book.vanished.is_empty() {
        close(cx);
    }
}

/// Ends the unit, unless this request is served in the middle of another's.
#[inline]
fn end_outermost(cx: &mut Ctx<'_>) {
    if cx.depth == 0 {
        end_unit(cx);
    }
}

/// What the unit found gone precedes what it did.
#[cold]
fn vanished_first(cx: &mut Ctx<'_>) {
    for gone in std::mem::take(&mut cx.db.space.book.vanished).iter().rev() {
        vanished_words(gone, |words| cx.effects.push_first(gone.db, words));
    }
}

#[inline(never)]
fn close(cx: &mut Ctx<'_>) {
    if !cx.db.space.book.vanished.is_empty() {
        vanished_first(cx);
    }
    cx.effects.close(cx.journal);
    note_logged(cx);
}

/// Tells a client what is wrong with its bytes.
#[cold]
pub fn refuse_protocol(cx: &mut Ctx<'_>, error: &ProtocolError) {
    fail(cx, &CmdError::owned(format!("ERR {error}")));
}

/// What went by itself outside any command, each as a unit of its own.
pub fn close_vanished(effects: &mut Effects, journal: &mut Journal, book: &mut Book) {
    for gone in book.vanished.drain(..) {
        vanished_words(&gone, |words| effects.push(gone.db, words));
        effects.close(journal);
    }
}

/// The command that does what happened by itself.
fn vanished_words(gone: &Vanished, say: impl FnOnce(&[&[u8]])) {
    match &gone.element {
        None => say(&[b"DEL", &gone.key]),
        Some((Type::Set, member)) => say(&[b"SREM", &gone.key, member]),
        Some((Type::ZSet, member)) => say(&[b"ZREM", &gone.key, member]),
        Some((_, field)) => say(&[b"HDEL", &gone.key, field]),
    }
}
