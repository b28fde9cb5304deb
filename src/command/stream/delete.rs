//! Streams: deleting entries by id.

use super::add::accept_references;
use super::parse_id;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::keyspace::{Event, Missing};
use crate::types::{Deleted, References, Stream, StreamId};

const NUMIDS: CmdError = CmdError::text("ERR Number of IDs must be a positive integer");
const NUMIDS_DIFFER: CmdError = CmdError::text("ERR The `numids` parameter must match the number of arguments");

/// What is replied for an id.
fn code(deleted: Deleted) -> i64 {
    match deleted {
        Deleted::Missing => -1,
        Deleted::Done => 1,
        Deleted::Referenced => 2,
    }
}

/// All that is left are ids.
fn ids(args: &mut Args<'_>) -> Result<Vec<StreamId>, CmdError> {
    let mut ids = Vec::with_capacity(args.left());
    while args.more() {
        ids.push(parse_id(args.bytes()?)?);
    }
    Ok(ids)
}

pub fn xdel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(mut edit) = cx.db.edit::<Stream>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let ids = ids(args)?;
    let mut stream = edit.value();
    let deleted = ids.iter().filter(|id| stream.delete(**id, References::Keep) == Deleted::Done).count() as u64;
    drop(stream);
    if deleted > 0 {
        edit.finish_with(deleted, Event::stream("xdel"));
    }
    cx.reply.int(deleted as i64);
    Ok(Flow::Done)
}

/// `[KEEPREF|DELREF|ACKED] IDS numids id ...`, in either order.
fn references_and_ids(args: &mut Args<'_>) -> Result<(References, Vec<StreamId>), CmdError> {
    let (mut references, mut found) = (None, None);
    while args.more() {
        if let Some(given) = accept_references(args) {
            if references.replace(given).is_some() {
                return Err(CmdError::SYNTAX);
            }
        } else if found.is_none() && args.left() > 1 && args.accept("ids") {
            let count = args.int_in(1, i64::MAX, NUMIDS).map_err(|_| NUMIDS)?;
            let count = usize::try_from(count).ok().filter(|count| *count <= args.left()).ok_or(NUMIDS_DIFFER)?;
            let mut ids = Vec::with_capacity(count);
            for _ in 0..count {
                ids.push(parse_id(args.bytes()?)?);
            }
            found = Some(ids);
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok((references.unwrap_or_default(), found.ok_or(CmdError::SYNTAX)?))
}

pub fn xdelex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (references, ids) = references_and_ids(args)?;
    cx.reply.array(ids.len());
    let Some(mut edit) = cx.db.edit::<Stream>(key, Missing::Skip)? else {
        ids.iter().for_each(|_| cx.reply.int(code(Deleted::Missing)));
        return Ok(Flow::Done);
    };
    let mut stream = edit.value();
    let mut deleted = 0;
    for id in ids {
        let what = stream.delete(id, references);
        deleted += u64::from(what == Deleted::Done);
        cx.reply.int(code(what));
    }
    drop(stream);
    if deleted > 0 {
        edit.finish_with(deleted, Event::stream("xdel"));
    }
    Ok(Flow::Done)
}

pub fn xackdel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    let (references, ids) = references_and_ids(args)?;
    cx.reply.array(ids.len());
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?;
    if edit.as_ref().is_some_and(|edit| edit.view().group(name).is_none()) {
        edit = None;
    }
    let Some(mut edit) = edit else {
        ids.iter().for_each(|_| cx.reply.int(code(Deleted::Missing)));
        return Ok(Flow::Done);
    };
    let mut stream = edit.value();
    let (mut acknowledged, mut deleted) = (0, 0);
    for id in ids {
        if !stream.group_mut(name).is_some_and(|group| group.acknowledge(id)) {
            cx.reply.int(code(Deleted::Missing));
            continue;
        }
        acknowledged += 1;
        let what = stream.delete(id, references);
        deleted += u64::from(what == Deleted::Done);
        // What was deleted before is gone as wished.
        cx.reply.int(code(if what == Deleted::Missing { Deleted::Done } else { what }));
    }
    drop(stream);
    if acknowledged > 0 {
        let event = if deleted > 0 { Event::stream("xdel") } else { Event::SILENT };
        edit.finish_with(acknowledged + deleted, event);
    }
    Ok(Flow::Done)
}
