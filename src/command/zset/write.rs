//! Sorted sets: adding, removing, taking.

use super::range::{lex_bounds, score_range};
use crate::base::float;
use crate::command::popping::Take;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, reply_elem};
use crate::keyspace::{Edit, Event, Key, Missing};
use crate::resp::{Proto, Reply};
use crate::types::{AddOptions, Added, End, Span, ZSet};

/// The options before ZADD's pairs.
pub(in crate::command) struct AddWords {
    pub how: AddOptions,
    /// CH: changed members count too.
    pub count_changed: bool,
}

fn add_words(args: &mut Args<'_>) -> Result<AddWords, CmdError> {
    let mut words = AddWords { how: AddOptions::default(), count_changed: false };
    loop {
        if args.accept("nx") {
            words.how.nx = true;
        } else if args.accept("xx") {
            words.how.xx = true;
        } else if args.accept("gt") {
            words.how.gt = true;
        } else if args.accept("lt") {
            words.how.lt = true;
        } else if args.accept("ch") {
            words.count_changed = true;
        } else if args.accept("incr") {
            words.how.incr = true;
        } else {
            break;
        }
    }
    if args.left() == 0 || args.left() % 2 != 0 {
        return Err(CmdError::SYNTAX);
    }
    let how = words.how;
    if how.nx && how.xx {
        return Err(CmdError::text("ERR XX and NX options at the same time are not compatible"));
    }
    if (how.nx && (how.gt || how.lt)) || (how.gt && how.lt) {
        return Err(CmdError::text("ERR GT, LT, and/or NX options at the same time are not compatible"));
    }
    if how.incr && args.left() > 2 {
        return Err(CmdError::text("ERR INCR option supports a single increment-element pair"));
    }
    Ok(words)
}

pub(super) fn zadd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let words = add_words(args)?;
    // All scores are read before anything is changed.
    let first = args.position();
    let (mut longest, pairs) = (0, args.left() / 2);
    let single = if pairs == 1 { Some((args.double()?, args.bytes()?)) } else { None };
    let mut many: Vec<(f64, &[u8])> = Vec::new();
    if single.is_none() {
        args.seek(first);
        many.reserve(pairs);
        while args.more() {
            let pair = (args.double()?, args.bytes()?);
            longest = longest.max(pair.1.len());
            many.push(pair);
        }
    }
    let pairs: &[(f64, &[u8])] = match &single {
        Some(pair) => std::slice::from_ref(pair),
        None => &many,
    };
    add(cx, key, pairs, longest, &words)
}

/// Adds pairs, of which there is at least one, and replies as ZADD. `longest`: bytes of the longest member, the first's apart.
pub(in crate::command) fn add(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    pairs: &[(f64, &[u8])],
    longest: usize,
    words: &AddWords,
) -> Outcome {
    let missing = if words.how.xx { Missing::Skip } else { Missing::Create };
    let Some(mut edit) = cx.db.edit::<ZSet>(key, missing)? else {
        match words.how.incr {
            true => cx.reply.null(),
            false => cx.reply.int(0),
        }
        return Ok(Flow::Done);
    };
    let created = edit.created();
    let mut zset = edit.value();
    if created {
        zset.prepare(pairs.len(), longest.max(pairs[0].1.len()));
    }
    let (mut new, mut changed, mut last) = (0u64, 0u64, Added::Refused);
    for (score, member) in pairs {
        last = zset.add(member, *score, words.how);
        match last {
            Added::New(_) => new += 1,
            Added::Changed(_) => changed += 1,
            Added::NotANumber => return Err(CmdError::text("ERR resulting score is not a number (NaN)")),
            Added::Same(_) | Added::Refused => {}
        }
    }
    drop(zset);
    if new + changed > 0 {
        edit.finish_with(new + changed, Event::zset(if words.how.incr { "zincr" } else { "zadd" }));
    }
    match (words.how.incr, last) {
        (false, _) => cx.reply.int((new + if words.count_changed { changed } else { 0 }) as i64),
        (true, Added::New(score) | Added::Changed(score) | Added::Same(score)) => cx.reply.double(score),
        (true, _) => cx.reply.null(),
    }
    Ok(Flow::Done)
}

pub(super) fn zincrby(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    // An increment that is a word of ZADD is read as one by the reference, and then the increment is missing.
    add_words(&mut args.clone())?;
    let delta = args.double()?;
    let member = args.bytes()?;
    let words = AddWords { how: AddOptions { incr: true, ..AddOptions::default() }, count_changed: false };
    add(cx, key, &[(delta, member)], 0, &words)
}

pub(super) fn zrem(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(mut edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let mut zset = edit.value();
    let mut removed = 0;
    while args.more() {
        removed += u64::from(zset.remove(args.bytes()?));
    }
    drop(zset);
    if removed > 0 {
        edit.finish_with(removed, Event::zset("zrem"));
    }
    cx.reply.int(removed as i64);
    Ok(Flow::Done)
}

fn remove_span(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    span: impl FnOnce(usize) -> Span<'static>,
    name: &'static str,
) -> Outcome {
    let Some(mut edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let zset = edit.view();
    let (first, count) = zset.resolve(span(zset.len()));
    if count > 0 {
        edit.value().remove_range(first, count);
        edit.finish_with(count as u64, Event::zset(name));
    }
    cx.reply.len(count);
    Ok(Flow::Done)
}

pub(super) fn zremrangebyrank(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, stop) = (args.key()?, args.int()?, args.int()?);
    let span = |len| {
        let (first, count) = crate::command::list::index_range(start, stop, len);
        Span::Ranks { first, count }
    };
    remove_span(cx, key, span, "zremrangebyrank")
}

pub(super) fn zremrangebyscore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let range = score_range(args.bytes()?, args.bytes()?)?;
    remove_span(cx, key, |_| Span::Scores(range), "zremrangebyscore")
}

pub(super) fn zremrangebylex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (min, max) = lex_bounds(args.bytes()?, args.bytes()?)?;
    let Some(mut edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let (first, count) = edit.view().resolve(Span::Lex(min, max));
    if count > 0 {
        edit.value().remove_range(first, count);
        edit.finish_with(count as u64, Event::zset("zremrangebylex"));
    }
    cx.reply.len(count);
    Ok(Flow::Done)
}

/// Takes `count` members from an end (there are as many) and replies them: pairs nested or flat.
pub(super) fn take(reply: &mut Reply<'_>, mut edit: Edit<'_, ZSet>, end: End, count: usize, nested: bool) {
    let zset = edit.view();
    let len = zset.len();
    let mut each = |member: crate::types::Elem<'_>, score: f64| {
        if nested {
            reply.array(2);
        }
        reply_elem(reply, member);
        reply.double(score);
    };
    match end {
        End::Left => zset.range(0, count, &mut each),
        End::Right => zset.range_rev(len - 1, count, &mut each),
    }
    edit.value().remove_range(if end == End::Left { 0 } else { len - count }, count);
    edit.finish_with(count as u64, Event::zset(if end == End::Left { "zpopmin" } else { "zpopmax" }));
}

fn pop(cx: &mut Ctx<'_>, args: &mut Args<'_>, end: End) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CmdError::SYNTAX);
    }
    let counted = args.more();
    let count = if counted {
        let positive = CmdError::MUST_BE_POSITIVE;
        args.int_in(0, i64::MAX, positive.clone()).map_err(|_| positive)?
    } else {
        1
    };
    let Some(edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(edit.view().len());
    let nested = counted && cx.reply.proto() == Proto::Resp3;
    cx.reply.array(if nested { count } else { 2 * count });
    if count > 0 {
        take(&mut cx.reply, edit, end, count, nested);
    }
    Ok(Flow::Done)
}

pub(super) fn zpopmin(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Left)
}

pub(super) fn zpopmax(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Right)
}

/// The word that names an end.
pub(super) fn end_of(args: &mut Args<'_>) -> Result<End, CmdError> {
    if args.accept("min") {
        Ok(End::Left)
    } else if args.accept("max") {
        Ok(End::Right)
    } else {
        Err(CmdError::SYNTAX)
    }
}

/// Takes members out of the first sorted set that there is and replies its name and them; false if there is none.
pub(super) fn take_first(cx: &mut Ctx<'_>, args: &mut Args<'_>, words: &Take) -> Result<bool, CmdError> {
    args.seek(words.first);
    for _ in 0..words.numkeys {
        let key = args.key()?;
        let Some(edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else { continue };
        let count = words.count.min(edit.view().len());
        cx.reply.array(2);
        cx.reply.bulk(key.bytes);
        cx.reply.array(count);
        let name: &[u8] = if words.end == End::Left { b"ZPOPMIN" } else { b"ZPOPMAX" };
        cx.effects.replace(&[name, key.bytes, itoa::Buffer::new().format(count).as_bytes()]);
        take(&mut cx.reply, edit, words.end, count, true);
        return Ok(true);
    }
    Ok(false)
}

pub(super) fn zmpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let words = Take::read(args, end_of)?;
    if !take_first(cx, args, &words)? {
        cx.reply.null_array();
    }
    Ok(Flow::Done)
}

/// A weight of ZUNIONSTORE and its kin.
pub(super) fn weight(text: &[u8]) -> Result<f64, CmdError> {
    float::parse_double(text).ok_or(CmdError::text("ERR weight value is not a float"))
}
