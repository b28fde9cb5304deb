//! Streams: length and ranges.

use super::{parse_end, parse_start, reply_entry};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::types::{Stream, StreamEntry};

pub fn xlen(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<Stream>(key)?.map_or(0, |stream| stream.log().len());
    cx.reply.int(len as i64);
    Ok(Flow::Done)
}

pub fn xrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, false)
}

pub fn xrevrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, true)
}

fn range(cx: &mut Ctx<'_>, args: &mut Args<'_>, reverse: bool) -> Outcome {
    let key = args.key()?;
    let (one, other) = (args.bytes()?, args.bytes()?);
    let (start, end) = if reverse { (other, one) } else { (one, other) };
    let (start, end) = (parse_start(start)?, parse_end(end)?);
    let mut count = usize::MAX;
    while args.more() {
        if !args.accept("count") || !args.more() {
            return Err(CmdError::SYNTAX);
        }
        count = usize::try_from(args.int()?).unwrap_or(0);
    }
    let Some(stream) = cx.db.read::<Stream>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    if count == 0 {
        cx.reply.null_array();
        return Ok(Flow::Done);
    }
    let (log, limit) = (stream.log(), cx.reply_limit_bytes);
    let at = cx.reply.defer();
    let mut written = 0;
    let mut write = |entry: StreamEntry<'_>| {
        reply_entry(&mut cx.reply, &entry);
        written += 1;
        // Who will be cut off for what it was replied needs no more.
        !cx.reply.is_over(limit)
    };
    if reverse {
        log.range_rev(start, end).take(count).all(&mut write);
    } else {
        log.range(start, end).take(count).all(&mut write);
    }
    cx.reply.fill_array(at, written);
    Ok(Flow::Done)
}
