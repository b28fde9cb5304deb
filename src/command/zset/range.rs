//! Sorted sets: reading members, scores, ranks and ranges.

use crate::base::float;
use crate::command::list::index_range;
use crate::command::scan::{self, ScanArgs};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, reply_elem, reply_elem_opt, shuffle_front};
use crate::keyspace::{Event, Key};
use crate::resp::{Proto, Reply};
use crate::types::{AddOptions, Elem, LexBound, ScoreBound, ScoreRange, Span, Value, ZSet, ZSetMut, ZSetRef};

fn score_bound(text: &[u8]) -> Option<ScoreBound> {
    let (exclusive, number) = match text.strip_prefix(b"(") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    float::parse_double_bound(number).map(|score| ScoreBound { score, exclusive })
}

/// A range of scores from its two words.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, CmdError> {
    match (score_bound(min), score_bound(max)) {
        (Some(min), Some(max)) => Ok(ScoreRange { min, max }),
        _ => Err(CmdError::MIN_MAX_NOT_FLOAT),
    }
}

fn lex_bound(text: &[u8]) -> Option<LexBound<'_>> {
    match text {
        b"-" => Some(LexBound::Least),
        b"+" => Some(LexBound::Greatest),
        _ => match text.split_first()? {
            (b'[', rest) => Some(LexBound::Inclusive(rest)),
            (b'(', rest) => Some(LexBound::Exclusive(rest)),
            _ => None,
        },
    }
}

/// A range of members from its two words.
pub(super) fn lex_bounds<'a>(min: &'a [u8], max: &'a [u8]) -> Result<(LexBound<'a>, LexBound<'a>), CmdError> {
    match (lex_bound(min), lex_bound(max)) {
        (Some(min), Some(max)) => Ok((min, max)),
        _ => Err(CmdError::MIN_MAX_NOT_STRING),
    }
}

/// What a range command asks for.
struct RangeQuery<'a> {
    by: By<'a>,
    reverse: bool,
    with_scores: bool,
    /// LIMIT's offset and count; a negative count means all.
    limit: Option<(i64, i64)>,
}

enum By<'a> {
    Ranks(i64, i64),
    Span(Span<'a>),
}

/// What a command's name already says of its range.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// ZRANGE and ZRANGESTORE: the options say it.
    Free,
    Rank,
    Score,
    Lex,
}

/// Start, stop and options, as `kind` allows them.
fn parse_range<'a>(args: &mut Args<'a>, kind: Kind, reverse: bool, store: bool) -> Result<RangeQuery<'a>, CmdError> {
    let (start, stop) = (args.bytes()?, args.bytes()?);
    let (mut kind_now, mut reverse, mut with_scores, mut limit) = (kind, reverse, false, None);
    while args.more() {
        if !store && args.accept("withscores") {
            with_scores = true;
        } else if args.left() >= 3 && args.accept("limit") {
            limit = Some((args.int()?, args.int()?));
        } else if kind == Kind::Free && !reverse && args.accept("rev") {
            reverse = true;
        } else if kind_now == Kind::Free && args.accept("bylex") {
            kind_now = Kind::Lex;
        } else if kind_now == Kind::Free && args.accept("byscore") {
            kind_now = Kind::Score;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    let by_rank = matches!(kind_now, Kind::Free | Kind::Rank);
    if limit.is_some_and(|(_, count)| count != -1) && by_rank {
        return Err(CmdError::text(
            "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX",
        ));
    }
    if by_rank {
        // All that is left is an offset without a count, which says nothing.
        limit = None;
    }
    if with_scores && kind_now == Kind::Lex {
        return Err(CmdError::text("ERR syntax error, WITHSCORES not supported in combination with BYLEX"));
    }
    // In reverse the greatest comes first, but ranks always count from the end that is replied first.
    let (low, high) = if reverse { (stop, start) } else { (start, stop) };
    let number = |text| crate::base::number::parse_i64(text).ok_or(CmdError::NOT_INTEGER);
    let by = match kind_now {
        Kind::Free | Kind::Rank => By::Ranks(number(start)?, number(stop)?),
        Kind::Score => By::Span(Span::Scores(score_range(low, high)?)),
        Kind::Lex => {
            let (min, max) = lex_bounds(low, high)?;
            By::Span(Span::Lex(min, max))
        }
    };
    Ok(RangeQuery { by, reverse, with_scores, limit })
}

impl RangeQuery<'_> {
    /// (rank of the first member replied, how many) in ascending ranks, or descending ones when reversed.
    fn resolve(&self, zset: ZSetRef<'_>) -> (usize, usize) {
        let len = zset.len();
        let (mut first, mut count) = match self.by {
            By::Ranks(start, stop) => index_range(start, stop, len),
            By::Span(span) => {
                let (low, count) = zset.resolve(span);
                (if self.reverse { len - low - count } else { low }, count)
            }
        };
        if let Some((offset, most)) = self.limit {
            // A negative offset selects nothing.
            let skip = usize::try_from(offset).unwrap_or(usize::MAX).min(count);
            first += skip;
            count -= skip;
            count = usize::try_from(most).map_or(count, |most| count.min(most));
        }
        (if self.reverse { len.saturating_sub(first + 1) } else { first }, count)
    }

    fn each<'a>(&self, zset: ZSetRef<'a>, first: usize, count: usize, each: impl FnMut(Elem<'a>, f64)) {
        match (count, self.reverse) {
            (0, _) => {}
            (_, true) => zset.range_rev(first, count, each),
            (_, false) => zset.range(first, count, each),
        }
    }
}

/// Begins an array of `count` members, perhaps with scores; whether pairs are nested.
fn begin_members(reply: &mut Reply<'_>, count: usize, with_scores: bool) -> bool {
    let nested = with_scores && reply.proto() == Proto::Resp3;
    reply.array(if with_scores && !nested { 2 * count } else { count });
    nested
}

fn reply_member(reply: &mut Reply<'_>, member: Elem<'_>, score: f64, with_scores: bool, nested: bool) {
    if nested {
        reply.array(2);
    }
    reply_elem(reply, member);
    if with_scores {
        reply.double(score);
    }
}

fn reply_range(cx: &mut Ctx<'_>, key: Key<'_>, query: &RangeQuery<'_>) -> Outcome {
    let Some(zset) = cx.db.read::<ZSet>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let (first, count) = query.resolve(zset);
    let nested = begin_members(&mut cx.reply, count, query.with_scores);
    query.each(zset, first, count, |m, s| reply_member(&mut cx.reply, m, s, query.with_scores, nested));
    Ok(Flow::Done)
}

fn range(cx: &mut Ctx<'_>, args: &mut Args<'_>, kind: Kind, reverse: bool) -> Outcome {
    let key = args.key()?;
    let query = parse_range(args, kind, reverse, false)?;
    reply_range(cx, key, &query)
}

pub(super) fn zrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, Kind::Free, false)
}

pub(super) fn zrevrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, Kind::Rank, true)
}

pub(super) fn zrangebyscore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, Kind::Score, false)
}

pub(super) fn zrevrangebyscore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, Kind::Score, true)
}

pub(super) fn zrangebylex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, Kind::Lex, false)
}

pub(super) fn zrevrangebylex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    range(cx, args, Kind::Lex, true)
}

pub(super) fn zrangestore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (target, source) = (args.key()?, args.key()?);
    let query = parse_range(args, Kind::Free, false, true)?;
    let limits = cx.db.space.book.limits;
    let mut result = ZSet::create(target.bytes, &limits, 0);
    let mut stored = 0;
    if let Some(zset) = cx.db.read::<ZSet>(source)? {
        let (first, count) = query.resolve(zset);
        let mut out = ZSetMut::of(&mut result, &limits);
        out.prepare(count, 0);
        let mut text = itoa::Buffer::new();
        query.each(zset, first, count, |member, score| {
            out.add(member.text(&mut text), score, AddOptions::default());
        });
        stored = count;
    }
    if stored > 0 {
        cx.db.replace(result, Event::zset("zrangestore"));
    } else {
        cx.db.delete(target, false, Event::generic("del"));
    }
    cx.reply.len(stored);
    Ok(Flow::Done)
}

pub(super) fn zcard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<ZSet>(key)?.map_or(0, |zset| zset.len());
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn count_span(cx: &mut Ctx<'_>, key: Key<'_>, span: Span<'_>) -> Outcome {
    let count = cx.db.read::<ZSet>(key)?.map_or(0, |zset| zset.resolve(span).1);
    cx.reply.len(count);
    Ok(Flow::Done)
}

pub(super) fn zcount(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let range = score_range(args.bytes()?, args.bytes()?)?;
    count_span(cx, key, Span::Scores(range))
}

pub(super) fn zlexcount(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (min, max) = lex_bounds(args.bytes()?, args.bytes()?)?;
    count_span(cx, key, Span::Lex(min, max))
}

fn reply_score(reply: &mut Reply<'_>, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

pub(super) fn zscore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, member) = (args.key()?, args.bytes()?);
    let score = cx.db.read::<ZSet>(key)?.and_then(|zset| zset.score(member));
    reply_score(&mut cx.reply, score);
    Ok(Flow::Done)
}

pub(super) fn zmscore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let zset = cx.db.read::<ZSet>(key)?;
    cx.reply.array(args.left());
    while args.more() {
        let member = args.bytes()?;
        reply_score(&mut cx.reply, zset.and_then(|zset| zset.score(member)));
    }
    Ok(Flow::Done)
}

pub(super) fn zget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    match args.left() {
        0 => {
            let query = RangeQuery { by: By::Ranks(0, -1), reverse: false, with_scores: true, limit: None };
            reply_range(cx, key, &query)
        }
        1 => {
            args.seek(1);
            zscore(cx, args)
        }
        _ => Err(CmdError::arity("zget")),
    }
}

fn rank(cx: &mut Ctx<'_>, args: &mut Args<'_>, reverse: bool) -> Outcome {
    let (key, member) = (args.key()?, args.bytes()?);
    if args.left() > 1 {
        return Err(CmdError::arity(cx.command_name()));
    }
    let with_score = args.accept("withscore");
    args.end()?;
    let zset = cx.db.read::<ZSet>(key)?;
    let found = zset.and_then(|zset| zset.rank(member).map(|(rank, score)| (rank, score, zset.len())));
    match found {
        Some((rank, score, len)) => {
            if with_score {
                cx.reply.array(2);
            }
            cx.reply.len(if reverse { len - 1 - rank } else { rank });
            if with_score {
                cx.reply.double(score);
            }
        }
        None if with_score => cx.reply.null_array(),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

pub(super) fn zrank(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    rank(cx, args, false)
}

pub(super) fn zrevrank(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    rank(cx, args, true)
}

pub(super) fn zscan(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut scan = ScanArgs::cursor(args)?;
    let marks = scan::begin(cx);
    let (mut cursor, mut elements) = (0, 0);
    let mut text = itoa::Buffer::new();
    if let Some(zset) = cx.db.read::<ZSet>(key)? {
        scan.options(args)?;
        cursor = zset.scan(scan.cursor, scan.count, |member, score| {
            if scan.pattern.is_none() || scan.matches(member.text(&mut text)) {
                reply_elem(&mut cx.reply, member);
                // As text in both versions: the reference replies bulk strings here.
                cx.reply.bulk(float::Buffer::new().format(score));
                elements += 2;
            }
        });
    }
    scan::end(cx, marks, cursor, elements);
    Ok(Flow::Done)
}

pub(super) fn zrandmember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if !args.more() {
        let rng = &mut *cx.rng;
        let found = cx.db.read::<ZSet>(key)?.and_then(|zset| zset.random(&mut || rng.next_u64()));
        reply_elem_opt(&mut cx.reply, found.map(|(member, _)| member));
        return Ok(Flow::Done);
    }
    let count = args.int_in(-i64::MAX, i64::MAX, CmdError::COUNT_OUT_OF_RANGE)?;
    let with_scores = args.accept("withscores");
    args.end()?;
    if with_scores && !(-(i64::MAX / 2)..=i64::MAX / 2).contains(&count) {
        return Err(CmdError::text("ERR value is out of range"));
    }
    let rng = &mut *cx.rng;
    let mut random = || rng.next_u64();
    let zset = match cx.db.read::<ZSet>(key)? {
        Some(zset) if count != 0 => zset,
        _ => {
            cx.reply.array(0);
            return Ok(Flow::Done);
        }
    };
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    if count < 0 {
        let nested = begin_members(&mut cx.reply, wanted, with_scores);
        for _ in 0..wanted {
            let Some((member, score)) = zset.random(&mut random) else { break };
            reply_member(&mut cx.reply, member, score, with_scores, nested);
            if cx.reply.is_over(cx.reply_limit_bytes) {
                break;
            }
        }
        return Ok(Flow::Done);
    }
    let picked = pick(zset, wanted, &mut random);
    let nested = begin_members(&mut cx.reply, picked.len(), with_scores);
    for (member, score) in picked {
        reply_member(&mut cx.reply, member, score, with_scores, nested);
    }
    Ok(Flow::Done)
}

/// `wanted` distinct members, at most all.
fn pick<'a>(zset: ZSetRef<'a>, wanted: usize, random: &mut impl FnMut() -> u64) -> Vec<(Elem<'a>, f64)> {
    let len = zset.len();
    if wanted < len / 3 {
        let mut ranks = std::collections::HashSet::with_capacity(wanted);
        let mut picked = Vec::with_capacity(wanted);
        while picked.len() < wanted {
            let rank = ((u128::from(random()) * len as u128) >> 64) as usize;
            if ranks.insert(rank) {
                picked.extend(zset.nth(rank));
            }
        }
        return picked;
    }
    let mut all = Vec::with_capacity(len);
    zset.range(0, len, |member, score| all.push((member, score)));
    if wanted < len {
        shuffle_front(&mut all, wanted, random);
        all.truncate(wanted);
    }
    all
}
