//! Keys that change their name or their database.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::db_arg;
use crate::keyspace::{DbIndex, DbView, Event, Key};
use crate::types::{self, Entry, Kind, Type};

/// Puts an entry under the name that it bears, in place of what may be there; the types of both, if there was something.
fn settle(view: &mut DbView<'_>, key: Key<'_>, entry: Entry, lazy: bool) -> Option<[Type; 2]> {
    let type_of = |entry: &Entry| Kind::of(entry.view().kind()).type_of();
    let old = view.take(key);
    let types = old.as_ref().map(|old| [type_of(old), type_of(&entry)]);
    if let Some(old) = old {
        view.space.book.free(old, lazy);
    }
    view.insert(entry);
    view.space.book.announce(view.index, key.bytes, Event::NEW_KEY);
    view.space.book.dirty += 1;
    types
}

/// Renames; false if the new name is taken and must not be.
fn rename_key(cx: &mut Ctx<'_>, args: &mut Args<'_>, only_new: bool) -> Result<bool, CmdError> {
    let (from, to) = (args.key()?, args.key()?);
    if !cx.db.exists(from) {
        return Err(CmdError::NO_SUCH_KEY);
    }
    if from.bytes == to.bytes {
        return Ok(!only_new);
    }
    if only_new && cx.db.exists(to) {
        return Ok(false);
    }
    let Some(mut entry) = cx.db.take(from) else { return Err(CmdError::NO_SUCH_KEY) };
    entry.rename(to.bytes);
    let lazy = cx.config.lazyfree_lazy_server_del;
    let overwritten = settle(&mut cx.db, to, entry, lazy);
    cx.announce(from.bytes, Event::generic("rename_from"));
    cx.announce(to.bytes, Event::generic("rename_to"));
    if let Some([before, after]) = overwritten {
        cx.db.space.book.announce_overwrite(cx.db.index, to.bytes, before, after);
    }
    Ok(true)
}

/// RENAME.
pub(super) fn rename(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    rename_key(cx, args, false)?;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// RENAMENX.
pub(super) fn renamenx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let renamed = rename_key(cx, args, true)?;
    cx.reply.int(i64::from(renamed));
    Ok(Flow::Done)
}

/// MOVE.
pub(super) fn move_key(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (from, to) = (cx.db.index, db_arg(cx, args)?);
    if from == to {
        return Err(CmdError::SAME_OBJECT);
    }
    let free = cx.db.exists(key) && !cx.db.other(to).exists(key);
    if let Some(entry) = free.then(|| cx.db.take(key)).flatten() {
        settle(&mut cx.db.other(to), key, entry, false);
        cx.announce(key.bytes, Event::generic("move_from"));
        cx.db.space.book.announce(to, key.bytes, Event::generic("move_to"));
    }
    cx.reply.int(i64::from(free));
    Ok(Flow::Done)
}

/// What stands behind COPY's keys.
struct CopyOptions {
    db: DbIndex,
    replace: bool,
}

fn copy_options(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<CopyOptions, CmdError> {
    let mut options = CopyOptions { db: cx.db.index, replace: false };
    while args.more() {
        if args.accept("replace") {
            options.replace = true;
        } else if args.left() >= 2 && args.accept("db") {
            options.db = db_arg(cx, args)?;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok(options)
}

/// COPY.
pub(super) fn copy(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    let options = copy_options(cx, args)?;
    if options.db == cx.db.index && from.bytes == to.bytes {
        return Err(CmdError::SAME_OBJECT);
    }
    let found = cx.db.entry(from).is_some();
    let copied = found && (options.replace || !cx.db.other(options.db).exists(to));
    if copied {
        if let Some(entry) = cx.db.peek(from) {
            let copy = types::copy_of(entry, to.bytes);
            let lazy = cx.config.lazyfree_lazy_server_del;
            let overwritten = settle(&mut cx.db.other(options.db), to, copy, lazy);
            let book = &mut cx.db.space.book;
            book.announce(options.db, to.bytes, Event::generic("copy_to"));
            if let Some([before, after]) = overwritten {
                book.announce_overwrite(options.db, to.bytes, before, after);
            }
        }
    }
    cx.reply.int(i64::from(copied));
    Ok(Flow::Done)
}
