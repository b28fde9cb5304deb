//! Whole databases: how many keys they have, and what empties or exchanges them.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome, Wait};
use super::super::error::CmdError;
use super::super::server::persistence;
use super::{db_arg, db_index};
use crate::base::number;
use crate::keyspace::DbIndex;
use crate::resp::Argv;
use crate::session::mode;
use serde_json::json;

/// DBSIZE.
pub(super) fn dbsize(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let keys = cx.db.db_ref().table.len();
    cx.reply.len(keys);
    Ok(Flow::Done)
}

/// SIZE: of databases, or of keys in one.
pub(super) fn size(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let n = if args.more() {
        let index = db_arg(cx, args)?;
        args.end()?;
        cx.db.other(index).db_ref().table.len()
    } else {
        cx.db.space.dbs.len()
    };
    cx.reply.len(n);
    Ok(Flow::Done)
}

/// Whether the thread is to free what goes.
fn is_lazy(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<bool, CmdError> {
    let lazy = if args.accept("async") { true } else { !args.accept("sync") && cx.config.lazyfree_lazy_user_flush };
    args.end()?;
    Ok(lazy)
}

/// Values that were given to the thread so far.
fn given(cx: &Ctx<'_>) -> u64 {
    cx.db.space.book.lazyfree.as_ref().map_or(0, |thread| thread.given())
}

/// Empties databases. What takes long to free the thread frees, and the client, unless it is in no mood to wait, is replied
/// when that is done; all others are served meanwhile.
fn flush(cx: &mut Ctx<'_>, argv: Argv<'_>, which: Option<DbIndex>, lazy: bool) -> Outcome {
    let given_before = given(cx);
    let removed = cx.flush(which, lazy);
    let given_away = given(cx) - given_before;
    if cx.acl.audit.is_on() {
        let database = which.map_or(json!("all"), |index| json!(index.0));
        cx.note_audit("flush", vec![("database", database), ("keys", json!(removed))]);
    }
    // Propagated also when there was nothing: a replica may have what we have not.
    cx.effects.force();
    cx.db.space.book.dirty += removed;
    if !lazy && cx.may_block() && !cx.session.is(mode::REPLAYS) {
        cx.db.space.book.counters.freed_at_once += removed.saturating_sub(given_away);
        if given_away > 0 {
            cx.session.awaits_freed = Some(given(cx));
            // What others do meanwhile comes after it.
            let db = cx.db.index;
            cx.effects.command_ended(true, db, argv);
            return Ok(look_later(cx));
        }
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

/// Looks whether what a flush gave away is freed by now; nothing if no flush is under way.
fn look_again(cx: &mut Ctx<'_>) -> Option<Flow> {
    // Only the run of a client that has waited is the same command's.
    let until = cx.session.awaits_freed.take().filter(|_| cx.spent_ticks.is_some())?;
    if cx.db.space.book.lazyfree.as_ref().is_some_and(|thread| !thread.has_freed(until)) {
        cx.session.awaits_freed = Some(until);
        return Some(look_later(cx));
    }
    cx.reply.ok();
    Some(Flow::Done)
}

fn look_later(cx: &Ctx<'_>) -> Flow {
    Flow::Block(Box::new(Wait::to_go_on(cx.now.mono_ms() + 1)))
}

/// FLUSHDB.
pub(super) fn flushdb(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = is_lazy(cx, args)?;
    if let Some(flow) = look_again(cx) {
        return Ok(flow);
    }
    let index = cx.db.index;
    flush(cx, args.argv(), Some(index), lazy)
}

/// DROPDB, which readers of the log know as FLUSHDB.
pub(super) fn dropdb(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = is_lazy(cx, args)?;
    if let Some(flow) = look_again(cx) {
        return Ok(flow);
    }
    cx.effects.replace(&[b"FLUSHDB"]);
    let index = cx.db.index;
    flush(cx, args.argv(), Some(index), lazy)
}

/// FLUSHALL.
pub(super) fn flushall(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = is_lazy(cx, args)?;
    if let Some(flow) = look_again(cx) {
        return Ok(flow);
    }
    // What a snapshot would hold is wanted no more; and it should be over before the memory is free.
    if cx.facts.saving.is_some() {
        log::warn!("The snapshot that is being written is given up: all data are being deleted");
        persistence::end_save(cx.db.space, cx.stats, cx.facts);
    }
    let done = flush(cx, args.argv(), None, lazy)?;
    if !cx.config.save.is_empty() {
        // The file must not bring back what was deleted. A failure is in the log and in INFO.
        drop(cx.save_snapshot());
    }
    Ok(done)
}

/// SWAPDB.
pub(super) fn swapdb(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let number =
        |bytes: &[u8], text| number::parse_i64(bytes).filter(|n| i32::try_from(*n).is_ok()).ok_or(CmdError::text(text));
    let first = number(args.bytes()?, "ERR invalid first DB index")?;
    let second = number(args.bytes()?, "ERR invalid second DB index")?;
    let (first, second) = (db_index(cx, first)?, db_index(cx, second)?);
    cx.swap(first, second);
    cx.db.space.book.dirty += 1;
    cx.reply.ok();
    Ok(Flow::Done)
}
