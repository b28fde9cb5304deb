//! What looks at vector sets without searching: sizes, single elements, links, random elements, ranges of names.

use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::shuffle_front;
use crate::ds::hnsw::Quant;
use crate::types::{VectorSet, Vectors, score};
use std::collections::HashSet;
use std::ops::Bound;

const NO_KEY: CmdError = CmdError::text("ERR key does not exist");
const COUNT_NOT_INTEGER: CmdError = CmdError::text("ERR COUNT value is not an integer");
const BAD_COUNT: CmdError = CmdError::text("ERR invalid COUNT value");
const BAD_START: CmdError = CmdError::text("ERR invalid start range format");
const BAD_END: CmdError = CmdError::text("ERR invalid end range format");
const WRONG_END: CmdError = CmdError::text("ERR '-' can only be used as first argument, '+' only as second");

/// How clients are told of the form of vectors.
fn quant_name(quant: Quant) -> &'static str {
    match quant {
        Quant::F32 => "f32",
        Quant::Int8 => "int8",
        Quant::Bin => "bin",
    }
}

/// A word that may follow all others.
fn last_word(cx: &Ctx<'_>, args: &mut Args<'_>, word: &str) -> Result<bool, CmdError> {
    if args.left() > 1 {
        return Err(CmdError::arity(&cx.row.command.error_name()));
    }
    let given = args.accept(word);
    args.end()?;
    Ok(given)
}

pub(super) fn vcard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<VectorSet>(key)?.map_or(0, Vectors::len);
    cx.reply.len(len);
    Ok(Flow::Done)
}

pub(super) fn vdim(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let dim = cx.db.read::<VectorSet>(key)?.ok_or(NO_KEY)?.dim();
    cx.reply.len(dim);
    Ok(Flow::Done)
}

pub(super) fn vemb(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element) = (args.key()?, args.bytes()?);
    let raw = last_word(cx, args, "raw")?;
    let vectors = cx.db.read::<VectorSet>(key)?;
    let Some((vectors, node)) = vectors.and_then(|vectors| Some((vectors, vectors.graph().find(element)?))) else {
        cx.reply.null();
        return Ok(Flow::Done);
    };
    if !raw {
        let components = node.components();
        cx.reply.array(components.len());
        components.iter().for_each(|&x| cx.reply.double(f64::from(x)));
        return Ok(Flow::Done);
    }
    let quant = vectors.graph().form().quant;
    cx.reply.array(if quant == Quant::Int8 { 4 } else { 3 });
    cx.reply.simple(quant_name(quant));
    cx.reply.bulk(&node.bytes());
    cx.reply.double(f64::from(node.norm()));
    if quant == Quant::Int8 {
        cx.reply.double(f64::from(node.range()));
    }
    Ok(Flow::Done)
}

pub(super) fn vgetattr(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element) = (args.key()?, args.bytes()?);
    let vectors = cx.db.read::<VectorSet>(key)?;
    match vectors.and_then(|vectors| vectors.attributes(vectors.graph().id(element)?)) {
        Some(attributes) => cx.reply.bulk(attributes),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

pub(super) fn vinfo(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(vectors) = cx.db.read::<VectorSet>(key)? else {
        cx.reply.null_array();
        return Ok(Flow::Done);
    };
    let graph = vectors.graph();
    let fields = [
        ("hnsw-m", graph.m() as i64),
        ("vector-dim", vectors.dim() as i64),
        ("projection-input-dim", vectors.projection().map_or(0, |projection| projection.input_dim() as i64)),
        ("size", vectors.len() as i64),
        ("max-level", graph.level() as i64),
        ("attributes-count", vectors.attribute_count() as i64),
        ("vset-uid", vectors.uid() as i64),
        ("hnsw-max-node-uid", graph.added() as i64),
    ];
    cx.reply.map(fields.len() + 1);
    cx.reply.simple("quant-type");
    cx.reply.simple(quant_name(graph.form().quant));
    for (name, value) in fields {
        cx.reply.simple(name);
        cx.reply.int(value);
    }
    Ok(Flow::Done)
}

pub(super) fn vismember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element) = (args.key()?, args.bytes()?);
    let found = cx.db.read::<VectorSet>(key)?.is_some_and(|vectors| vectors.graph().id(element).is_some());
    cx.reply.bool(found);
    Ok(Flow::Done)
}

pub(super) fn vlinks(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element) = (args.key()?, args.bytes()?);
    let with_scores = last_word(cx, args, "withscores")?;
    let vectors = cx.db.read::<VectorSet>(key)?;
    let Some((graph, node)) = vectors.and_then(|vectors| Some((vectors.graph(), vectors.graph().find(element)?)))
    else {
        cx.reply.null();
        return Ok(Flow::Done);
    };
    cx.reply.array(node.level() + 1);
    for level in (0..=node.level()).rev() {
        let links = node.links(level);
        if with_scores {
            cx.reply.map(links.len())
        } else {
            cx.reply.array(links.len())
        }
        for &link in links {
            cx.reply.bulk(graph.node(link).map(|linked| linked.name()).unwrap_or_default());
            if with_scores {
                cx.reply.double(score(graph.distance(node.id(), link)));
            }
        }
    }
    Ok(Flow::Done)
}

pub(super) fn vrandmember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CmdError::arity(&cx.row.command.error_name()));
    }
    let count = match args.more() {
        true => Some(number::parse_i64(args.bytes()?).ok_or(COUNT_NOT_INTEGER)?),
        false => None,
    };
    if count == Some(i64::MIN) {
        return Err(CmdError::RANDOM_COUNT);
    }
    let rng = &mut *cx.rng;
    let mut random = |below: usize| rng.below(below as u64) as u32;
    let vectors = cx.db.read::<VectorSet>(key)?;
    let name = |id: u32| vectors.and_then(|vectors| vectors.graph().node(id)).map_or(&b""[..], |node| node.name());
    match (vectors, count) {
        (None, None) => cx.reply.null(),
        (None, Some(_)) => cx.reply.array(0),
        (Some(vectors), None) => cx.reply.bulk(name(random(vectors.len()))),
        (Some(vectors), Some(count)) if count < 0 => {
            // With repeats: written as drawn, so that a large count needs no second copy.
            cx.reply.array(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
            for _ in 0..count.unsigned_abs() {
                cx.reply.bulk(name(random(vectors.len())));
                if cx.reply.is_over(cx.reply_limit_bytes) {
                    break;
                }
            }
        }
        (Some(vectors), Some(count)) => {
            let ids = distinct(vectors.len(), usize::try_from(count).unwrap_or(usize::MAX), &mut || rng.next_u64());
            cx.reply.array(ids.len());
            ids.into_iter().for_each(|id| cx.reply.bulk(name(id)));
        }
    }
    Ok(Flow::Done)
}

/// Distinct random numbers below `len`, at most all.
fn distinct(len: usize, count: usize, random: &mut impl FnMut() -> u64) -> Vec<u32> {
    let count = count.min(len);
    if count < len / 3 {
        let mut seen = HashSet::with_capacity(count);
        let mut drawn = Vec::with_capacity(count);
        while drawn.len() < count {
            let id = ((u128::from(random()) * len as u128) >> 64) as u32;
            if seen.insert(id) {
                drawn.push(id);
            }
        }
        return drawn;
    }
    let mut all: Vec<u32> = (0..len as u32).collect();
    shuffle_front(&mut all, count, random);
    all.truncate(count);
    all
}

/// One end of a range of names. `infinite`: the word that leaves this end open, and the one that belongs to the other.
fn bound(text: &[u8], infinite: (u8, u8), otherwise: CmdError) -> Result<Bound<&[u8]>, CmdError> {
    match text {
        [b'[', name @ ..] => Ok(Bound::Included(name)),
        [b'(', name @ ..] => Ok(Bound::Excluded(name)),
        [word] if *word == infinite.0 => Ok(Bound::Unbounded),
        [word] if *word == infinite.1 => Err(WRONG_END),
        _ => Err(otherwise),
    }
}

pub(super) fn vrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, end) = (args.key()?, args.bytes()?, args.bytes()?);
    if args.left() > 1 {
        return Err(CmdError::arity(&cx.row.command.error_name()));
    }
    let count = match args.more() {
        true => number::parse_i64(args.bytes()?).ok_or(BAD_COUNT)?,
        false => -1,
    };
    // A negative count takes all.
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let (low, high) = (bound(start, (b'-', b'+'), BAD_START)?, bound(end, (b'+', b'-'), BAD_END)?);
    let Some(vectors) = cx.db.read::<VectorSet>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let (at, mut replied) = (cx.reply.defer(), 0);
    for name in vectors.graph().names(low, high).take(count) {
        cx.reply.bulk(name);
        replied += 1;
        if cx.reply.is_over(cx.reply_limit_bytes) {
            break;
        }
    }
    cx.reply.fill_array(at, replied);
    Ok(Flow::Done)
}
