//! Arrays: setting, inserting, removing.

use super::{any_index, index_of};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::ds::array::INDEX_MAX;
use crate::keyspace::{Event, Missing};
use crate::types::Array;

/// The last of `count` indexes from `first` on, at least one; `None` past the greatest.
fn last_of(first: u64, count: usize) -> Option<u64> {
    first.checked_add(count as u64 - 1).filter(|last| *last <= INDEX_MAX)
}

pub(super) fn arset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, first) = (args.key()?, index_of(args.bytes()?)?);
    let count = args.left();
    let last = last_of(first, count).ok_or(CmdError::text("ERR array index overflow"))?;
    let mut edit = cx.db.edit_or_create::<Array>(key)?;
    let mut new = 0;
    let mut array = edit.value();
    for index in first..=last {
        new += usize::from(array.slots().set(index, args.bytes()?));
    }
    drop(array);
    edit.finish_with(count as u64, Event::array("arset"));
    cx.reply.len(new);
    Ok(Flow::Done)
}

pub(super) fn armset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.left() % 2 != 0 {
        return Err(CmdError::arity(cx.command_name()));
    }
    let pairs = args.left() / 2;
    let mut ahead = args.clone();
    while ahead.more() {
        index_of(ahead.bytes()?)?;
        ahead.bytes()?;
    }
    let mut edit = cx.db.edit_or_create::<Array>(key)?;
    let mut new = 0;
    let mut array = edit.value();
    while args.more() {
        new += usize::from(array.slots().set(index_of(args.bytes()?)?, args.bytes()?));
    }
    drop(array);
    edit.finish_with(pairs as u64, Event::array("armset"));
    cx.reply.len(new);
    Ok(Flow::Done)
}

pub(super) fn ardel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut ahead = args.clone();
    while ahead.more() {
        index_of(ahead.bytes()?)?;
    }
    let Some(mut edit) = cx.db.edit::<Array>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let mut gone = 0;
    let mut array = edit.value();
    while args.more() {
        gone += u64::from(array.slots().remove(index_of(args.bytes()?)?));
    }
    drop(array);
    if gone > 0 {
        edit.finish_with(gone, Event::array("ardel"));
    }
    cx.reply.uint(gone);
    Ok(Flow::Done)
}

pub(super) fn ardelrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.left() % 2 != 0 {
        return Err(CmdError::arity(cx.command_name()));
    }
    let mut ranges = Vec::with_capacity(args.left() / 2);
    while args.more() {
        let (start, end) = (index_of(args.bytes()?)?, index_of(args.bytes()?)?);
        ranges.push((start.min(end), start.max(end)));
    }
    let Some(mut edit) = cx.db.edit::<Array>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let mut array = edit.value();
    let gone: u64 = ranges.into_iter().map(|(low, high)| array.slots().remove_range(low, high)).sum();
    drop(array);
    if gone > 0 {
        edit.finish_with(gone, Event::array("ardelrange"));
    }
    cx.reply.uint(gone);
    Ok(Flow::Done)
}

pub(super) fn arinsert(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let count = args.left();
    let mut edit = cx.db.edit_or_create::<Array>(key)?;
    let mut array = edit.value();
    let slots = array.slots();
    let first = slots.last_insert.map_or(0, |last| last + 1);
    let last = last_of(first, count).ok_or(CmdError::text("ERR insert index overflow"))?;
    for index in first..=last {
        slots.set(index, args.bytes()?);
    }
    slots.last_insert = Some(last);
    drop(array);
    edit.finish_with(count as u64, Event::array("arinsert"));
    cx.reply.uint(last);
    Ok(Flow::Done)
}

pub(super) fn arring(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let size = args.int().map_err(|_| CmdError::text("ERR invalid size"))?;
    let size = u64::try_from(size).ok().filter(|size| *size > 0).ok_or(CmdError::text("ERR size must be positive"))?;
    let count = args.left();
    let mut edit = cx.db.edit_or_create::<Array>(key)?;
    let mut array = edit.value();
    let slots = array.slots();
    slots.fit_ring(size);
    let mut last = 0;
    while args.more() {
        last = slots.insert_into_ring(size, args.bytes()?);
    }
    drop(array);
    edit.finish_with(count as u64, Event::array("arring"));
    cx.reply.uint(last);
    Ok(Flow::Done)
}

pub(super) fn arseek(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    // The one beyond the greatest index says that nothing more can be inserted.
    let (key, next) = (args.key()?, any_index(args.bytes()?)?);
    let Some(mut edit) = cx.db.edit::<Array>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    edit.value().slots().last_insert = next.checked_sub(1);
    edit.finish(Event::array("arseek"));
    cx.reply.int(1);
    Ok(Flow::Done)
}
