//! Streams: XPENDING.

use super::group::existing;
use super::{parse_end, parse_start, reply_id};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::types::{Group, Stream, StreamId};

/// Which pending entries are listed.
struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    fn read(args: &mut Args<'a>) -> Result<Option<Filter<'a>>, CmdError> {
        let mut idle_ms = 0;
        if !args.more() {
            return Ok(None);
        }
        if args.left() < 3 || args.left() > 6 {
            return Err(CmdError::SYNTAX);
        }
        if args.accept("idle") {
            idle_ms = args.int()?;
            if args.left() < 3 {
                return Err(CmdError::SYNTAX);
            }
        }
        let (start, end) = (args.bytes()?, args.bytes()?);
        let count = usize::try_from(args.int()?).unwrap_or(0);
        let (start, end) = (parse_start(start)?, parse_end(end)?);
        Ok(Some(Filter { idle_ms, start, end, count, consumer: args.more().then(|| args.bytes()).transpose()? }))
    }
}

pub fn xpending(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    let filter = Filter::read(args)?;
    let now_ms = cx.now.unix_ms.0;
    let stream = cx.db.read::<Stream>(key)?;
    let (_, group) = existing(stream, key, name)?;
    match filter {
        Some(filter) => list(&mut cx.reply, group, &filter, now_ms),
        None => summary(&mut cx.reply, group),
    }
    Ok(Flow::Done)
}

fn summary(reply: &mut crate::resp::Reply<'_>, group: &Group) {
    reply.array(4);
    reply.len(group.pending_len());
    let Some((first, last)) = group.pending_bounds() else {
        reply.null();
        reply.null();
        return reply.null_array();
    };
    reply_id(reply, first);
    reply_id(reply, last);
    let (at, mut written) = (reply.defer(), 0);
    for (_, consumer) in group.consumers().filter(|(_, consumer)| consumer.pending_len() > 0) {
        reply.array(2);
        reply.bulk(consumer.name());
        reply.bulk_int(consumer.pending_len() as i64);
        written += 1;
    }
    reply.fill_array(at, written);
}

fn list(reply: &mut crate::resp::Reply<'_>, group: &Group, filter: &Filter<'_>, now_ms: i64) {
    let consumer = match filter.consumer {
        None => None,
        Some(name) => match group.find_consumer(name).and_then(|number| group.consumer_at(number)) {
            Some(consumer) => Some(consumer),
            None => return reply.array(0),
        },
    };
    let (at, mut written) = (reply.defer(), 0);
    let mut show = |id: StreamId| {
        let Some(pending) = group.pending(id) else { return true };
        let owner = group.consumer_at(pending.consumer);
        let idle_ms = now_ms.saturating_sub(pending.delivered_ms);
        if filter.idle_ms != 0 && idle_ms < filter.idle_ms {
            return true;
        }
        reply.array(4);
        reply_id(reply, id);
        // What nobody has is idle for no time that could be told.
        reply.bulk(owner.map_or(b"", |consumer| consumer.name()));
        reply.int(owner.map_or(-1, |_| idle_ms.max(0)));
        reply.int(pending.deliveries as i64);
        written += 1;
        written < filter.count
    };
    let within = |id: &StreamId| *id <= filter.end && filter.count > 0;
    match consumer {
        Some(consumer) => consumer.pending_from(filter.start).take_while(within).all(&mut show),
        None => group.pending_from(filter.start).map(|(id, _)| id).take_while(within).all(&mut show),
    };
    reply.fill_array(at, written);
}
