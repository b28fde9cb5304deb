//! Sorted sets: union, intersection and difference of several, with weights. Plain sets take part with score 1.

use super::write::weight;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, reply_elem};
use crate::keyspace::{DbView, Event, Key};
use crate::resp::Proto;
use crate::types::{Elem, Entry, Kind, Limits, Set, SetRef, Type, Value, ZSet, ZSetMut, ZSetRef};

/// How the scores of one member in several sets become one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn join(self, a: f64, b: f64) -> f64 {
        match self {
            // Infinity less infinity counts as nothing.
            Aggregate::Sum => {
                let sum = a + b;
                if sum.is_nan() { 0.0 } else { sum }
            }
            // Of two zeros the first stays.
            Aggregate::Min if b < a => b,
            Aggregate::Max if b > a => b,
            Aggregate::Min | Aggregate::Max => a,
        }
    }
}

/// A source: a sorted set, or a set whose members count 1.
#[derive(Clone, Copy)]
enum Source<'a> {
    Missing,
    Sorted(ZSetRef<'a>),
    Plain(SetRef<'a>),
}

impl<'a> Source<'a> {
    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Sorted(zset) => zset.len(),
            Source::Plain(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Source::Missing => None,
            Source::Sorted(zset) => zset.score(member),
            Source::Plain(set) => set.contains(member).then_some(1.0),
        }
    }

    fn for_each(self, mut each: impl FnMut(Elem<'a>, f64)) {
        match self {
            Source::Missing => {}
            Source::Sorted(zset) => zset.range(0, usize::MAX, each),
            Source::Plain(set) => set.for_each(|member| each(member, 1.0)),
        }
    }
}

/// What is computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

struct Query<'a> {
    keys: Vec<Key<'a>>,
    weights: Vec<f64>,
    aggregate: Aggregate,
    with_scores: bool,
}

/// The count of keys and the keys, each checked to hold a set or a sorted set.
fn parse_keys<'a>(cx: &mut Ctx<'_>, args: &mut Args<'a>) -> Result<Vec<Key<'a>>, CmdError> {
    let numkeys = args.int()?;
    if numkeys < 1 {
        return Err(CmdError::owned(format!("ERR at least 1 input key is needed for '{}' command", cx.command_name())));
    }
    if numkeys > args.left() as i64 {
        return Err(CmdError::SYNTAX);
    }
    let mut keys = Vec::with_capacity(numkeys as usize);
    for _ in 0..numkeys {
        let key = args.key()?;
        if let Some(entry) = cx.db.entry(key) {
            if !matches!(Kind::of(entry.kind()).type_of(), Type::Set | Type::ZSet) {
                return Err(CmdError::WRONG_TYPE);
            }
        }
        keys.push(key);
    }
    Ok(keys)
}

fn parse<'a>(cx: &mut Ctx<'_>, args: &mut Args<'a>, operation: Operation, store: bool) -> Result<Query<'a>, CmdError> {
    let keys = parse_keys(cx, args)?;
    let mut query = Query { weights: vec![1.0; keys.len()], keys, aggregate: Aggregate::Sum, with_scores: false };
    while args.more() {
        if operation != Operation::Diff && args.left() > query.keys.len() && args.accept("weights") {
            for slot in &mut query.weights {
                *slot = weight(args.bytes()?)?;
            }
        } else if operation != Operation::Diff && args.left() >= 2 && args.accept("aggregate") {
            query.aggregate = if args.accept("sum") {
                Aggregate::Sum
            } else if args.accept("min") {
                Aggregate::Min
            } else if args.accept("max") {
                Aggregate::Max
            } else {
                return Err(CmdError::SYNTAX);
            };
        } else if !store && args.accept("withscores") {
            query.with_scores = true;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok(query)
}

fn source<'a>(db: &'a DbView<'_>, key: Key<'_>) -> Source<'a> {
    match (db.look::<ZSet>(key), db.look::<Set>(key)) {
        (Some(zset), _) => Source::Sorted(zset),
        (_, Some(set)) => Source::Plain(set),
        _ => Source::Missing,
    }
}

fn weighted(score: f64, weight: f64) -> f64 {
    let product = score * weight;
    if product.is_nan() { 0.0 } else { product }
}

/// The result, as a sorted set under `name`.
fn compute(db: &DbView<'_>, query: &Query<'_>, operation: Operation, name: &[u8], limits: &Limits) -> Entry {
    let mut result = ZSet::create(name, limits, 0);
    let mut out = ZSetMut::of(&mut result, limits);
    let sources: Vec<Source<'_>> = query.keys.iter().map(|key| source(db, *key)).collect();
    let mut text = itoa::Buffer::new();
    match operation {
        Operation::Union => {
            // The smallest first, as the reference adds them: the order of additions shows in a sum's last digits.
            let mut order: Vec<(&Source<'_>, &f64)> = sources.iter().zip(&query.weights).collect();
            order.sort_by_key(|(source, _)| source.len());
            for (source, weight) in order {
                source.for_each(|member, score| {
                    let score = weighted(score, *weight);
                    let join = |old: Option<f64>| old.map_or(score, |old| query.aggregate.join(old, score));
                    out.join(member.text(&mut text), join);
                });
            }
        }
        Operation::Inter => {
            each_common(&sources, query, |member, score| {
                out.join(member, |_| score);
                true
            });
        }
        Operation::Diff => {
            if let Some((first, others)) = sources.split_first() {
                first.for_each(|member, score| {
                    let member = member.text(&mut text);
                    if !others.iter().any(|other| other.score(member).is_some()) {
                        out.join(member, |_| score);
                    }
                });
            }
        }
    }
    result
}

/// Calls `each` with every member that all sources have, and its joined score, until it says false.
fn each_common(sources: &[Source<'_>], query: &Query<'_>, mut each: impl FnMut(&[u8], f64) -> bool) {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&i| sources[i].len());
    let Some((&smallest, _)) = order.split_first() else { return };
    let mut text = itoa::Buffer::new();
    let mut go_on = true;
    sources[smallest].for_each(|member, score| {
        if !go_on {
            return;
        }
        let member = member.text(&mut text);
        let mut joined = weighted(score, query.weights[smallest]);
        for &index in &order[1..] {
            // A source named twice joins with itself.
            let Some(score) = sources[index].score(member) else { return };
            // Only the first product is kept from being no number; the sum is by `join`.
            joined = query.aggregate.join(joined, score * query.weights[index]);
        }
        go_on = each(member, joined);
    });
}

fn reply(cx: &mut Ctx<'_>, args: &mut Args<'_>, operation: Operation) -> Outcome {
    let query = parse(cx, args, operation, false)?;
    let limits = cx.db.space.book.limits;
    let mut result = compute(&cx.db, &query, operation, b"", &limits);
    let out = ZSetMut::of(&mut result, &limits);
    let zset = out.view();
    let nested = query.with_scores && cx.reply.proto() == Proto::Resp3;
    cx.reply.array(if query.with_scores && !nested { 2 * zset.len() } else { zset.len() });
    zset.range(0, usize::MAX, |member, score| {
        if nested {
            cx.reply.array(2);
        }
        reply_elem(&mut cx.reply, member);
        if query.with_scores {
            cx.reply.double(score);
        }
    });
    Ok(Flow::Done)
}

fn store(cx: &mut Ctx<'_>, args: &mut Args<'_>, operation: Operation, name: &'static str) -> Outcome {
    let target = args.key()?;
    let query = parse(cx, args, operation, true)?;
    let limits = cx.db.space.book.limits;
    let mut result = compute(&cx.db, &query, operation, target.bytes, &limits);
    let mut out = ZSetMut::of(&mut result, &limits);
    out.pack_if_small();
    let len = out.view().len();
    if len > 0 {
        cx.db.replace(result, Event::zset(name));
    } else {
        cx.db.delete(target, false, Event::generic("del"));
    }
    cx.reply.len(len);
    Ok(Flow::Done)
}

pub(super) fn zunion(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply(cx, args, Operation::Union)
}

pub(super) fn zinter(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply(cx, args, Operation::Inter)
}

pub(super) fn zdiff(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply(cx, args, Operation::Diff)
}

pub(super) fn zunionstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    store(cx, args, Operation::Union, "zunionstore")
}

pub(super) fn zinterstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    store(cx, args, Operation::Inter, "zinterstore")
}

pub(super) fn zdiffstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    store(cx, args, Operation::Diff, "zdiffstore")
}

pub(super) fn zintercard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let keys = parse_keys(cx, args)?;
    let mut limit = 0;
    while args.more() {
        if args.left() < 2 || !args.accept("limit") {
            return Err(CmdError::SYNTAX);
        }
        let negative = CmdError::text("ERR LIMIT can't be negative");
        limit = args.int_in(0, i64::MAX, negative.clone()).map_err(|_| negative)?;
    }
    let query = Query { weights: vec![1.0; keys.len()], keys, aggregate: Aggregate::Sum, with_scores: false };
    let sources: Vec<Source<'_>> = query.keys.iter().map(|key| source(&cx.db, *key)).collect();
    let mut count = 0;
    each_common(&sources, &query, |_, _| {
        count += 1;
        limit == 0 || count < limit
    });
    cx.reply.int(count);
    Ok(Flow::Done)
}
