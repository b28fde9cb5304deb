//! Whole databases: how many keys they have, and what empties or exchanges them.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::super::server::persistence;
use super::{db_arg, db_index};
use crate::base::number;
use crate::keyspace::DbIndex;
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

fn flush(cx: &mut Ctx<'_>, which: Option<DbIndex>, lazy: bool) -> Outcome {
    let removed = cx.flush(which, lazy);
    if cx.acl.audit.is_on() {
        let database = which.map_or(json!("all"), |index| json!(index.0));
        cx.note_audit("flush", vec![("database", database), ("keys", json!(removed))]);
    }
    // Propagated also when there was nothing: a replica may have what we have not.
    cx.effects.force();
    cx.db.space.book.dirty += removed;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// FLUSHDB.
pub(super) fn flushdb(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = is_lazy(cx, args)?;
    let index = cx.db.index;
    flush(cx, Some(index), lazy)
}

/// DROPDB, which readers of the log know as FLUSHDB.
pub(super) fn dropdb(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = is_lazy(cx, args)?;
    cx.effects.replace(&[b"FLUSHDB"]);
    let index = cx.db.index;
    flush(cx, Some(index), lazy)
}

/// FLUSHALL.
pub(super) fn flushall(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let lazy = is_lazy(cx, args)?;
    // What a snapshot would hold is wanted no more; and it should be over before the memory is free.
    if cx.facts.saving.is_some() {
        log::warn!("The snapshot that is being written is given up: all data are being deleted");
        persistence::end_save(cx.db.space, cx.stats, cx.facts);
    }
    let done = flush(cx, None, lazy)?;
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
