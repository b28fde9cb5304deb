//! Arrays: reading elements, ranges and facts.

use super::{index_of, reply_slot};
use crate::base::float::LongDouble;
use crate::base::number;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, reply_elem};
use crate::ds::array::INDEX_MAX;
use crate::types::{Array, Elem};

/// Most elements that a reply has where it may be made of gaps.
const REPLY_MAX: u64 = 1_000_000;

pub(super) fn arget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let array = cx.db.read::<Array>(args.key()?)?;
    let index = index_of(args.bytes()?)?;
    reply_slot(&mut cx.reply, array.and_then(|array| array.get(index)));
    Ok(Flow::Done)
}

pub(super) fn armget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let array = cx.db.read::<Array>(args.key()?)?;
    let mut ahead = args.clone();
    while ahead.more() {
        index_of(ahead.bytes()?)?;
    }
    cx.reply.array(args.left());
    while args.more() {
        let index = index_of(args.bytes()?)?;
        reply_slot(&mut cx.reply, array.and_then(|array| array.get(index)));
    }
    Ok(Flow::Done)
}

pub(super) fn arlen(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let len = cx.db.read::<Array>(args.key()?)?.map_or(0, |array| array.len());
    cx.reply.uint(len);
    Ok(Flow::Done)
}

pub(super) fn arcount(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let count = cx.db.read::<Array>(args.key()?)?.map_or(0, |array| array.count());
    cx.reply.uint(count);
    Ok(Flow::Done)
}

pub(super) fn arnext(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let array = cx.db.read::<Array>(args.key()?)?;
    match array.and_then(|array| array.slots()?.last_insert) {
        None => cx.reply.int(0),
        Some(INDEX_MAX) => cx.reply.null(),
        Some(last) => cx.reply.uint(last + 1),
    }
    Ok(Flow::Done)
}

pub(super) fn argetrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, end) = (args.key()?, index_of(args.bytes()?)?, index_of(args.bytes()?)?);
    let array = cx.db.read::<Array>(key)?;
    let (low, high, reverse) = (start.min(end), start.max(end), start > end);
    let len = high - low + 1;
    if len > REPLY_MAX {
        return Err(CmdError::owned(format!("ERR range exceeds maximum of {REPLY_MAX} items")));
    }
    cx.reply.array(len as usize);
    let reply = &mut cx.reply;
    let mut replied = 0;
    if let Some(array) = array {
        array.walk(low, high, reverse, |index, elem| {
            let position = if reverse { high - index } else { index - low };
            (replied..position).for_each(|_| reply.null());
            reply_elem(reply, elem);
            replied = position + 1;
            true
        });
    }
    (replied..len).for_each(|_| reply.null());
    Ok(Flow::Done)
}

/// The number behind LIMIT.
pub(super) fn limit(args: &mut Args<'_>) -> Result<u64, CmdError> {
    let positive = CmdError::text("ERR LIMIT must be positive");
    args.int_in(1, i64::MAX, positive).map(i64::unsigned_abs)
}

pub(super) fn arscan(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, end) = (args.key()?, index_of(args.bytes()?)?, index_of(args.bytes()?)?);
    let most = match args.left() {
        0 => u64::MAX,
        2 if args.accept("limit") => limit(args)?,
        2 => return Err(CmdError::SYNTAX),
        _ => return Err(CmdError::arity(cx.command_name())),
    };
    let array = cx.db.read::<Array>(key)?;
    let mark = cx.reply.defer();
    let mut count = 0;
    if let Some(array) = array {
        array.walk(start.min(end), start.max(end), start > end, |index, elem| {
            cx.reply.array(2);
            cx.reply.uint(index);
            reply_elem(&mut cx.reply, elem);
            count += 1;
            count < most
        });
    }
    cx.reply.fill_array(mark, count as usize);
    Ok(Flow::Done)
}

pub(super) fn arlastitems(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let count = args.int().map_err(|_| CmdError::text("ERR invalid COUNT"))?;
    let Some(count) = u64::try_from(count).ok().filter(|count| *count > 0) else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let newest_first = match args.left() {
        0 => false,
        1 if args.accept("rev") => true,
        1 => return Err(CmdError::SYNTAX),
        _ => return Err(CmdError::arity(cx.command_name())),
    };
    let Some(array) = cx.db.read::<Array>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let len = array.len();
    let count = count.min(len);
    if count > array.count() && count > REPLY_MAX {
        return Err(CmdError::owned(format!("ERR count exceeds maximum of {REPLY_MAX} items")));
    }
    // From the one inserted last backward, around the beginning; what lies behind the end was removed.
    let last = array.slots().and_then(|slots| slots.last_insert).filter(|last| *last < len).unwrap_or(len - 1);
    cx.reply.array(count as usize);
    for nth in 0..count {
        let back = if newest_first { nth } else { count - 1 - nth };
        let index = if back <= last { last - back } else { last + (len - back) };
        reply_slot(&mut cx.reply, array.get(index));
    }
    Ok(Flow::Done)
}

pub(super) fn arinfo(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let full = args.left() == 1 && args.accept("full");
    args.end()?;
    let array = cx.db.read::<Array>(key)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let slots = array.slots().ok_or(CmdError::NO_SUCH_KEY)?;
    let reply = &mut cx.reply;
    reply.map(if full { 12 } else { 7 });
    let next = slots.last_insert.filter(|last| *last < INDEX_MAX).map_or(0, |last| last + 1);
    let slices = slots.slice_count() as u64;
    // The directory is a tree: it has as many entries as there are slices, and none above it.
    for (name, value) in [
        ("count", slots.count()),
        ("len", slots.len()),
        ("next-insert-index", next),
        ("slices", slices),
        ("directory-size", slices),
        ("super-dir-entries", 0),
        ("slice-size", slots.slice_len() as u64),
    ] {
        reply.bulk(name.as_bytes());
        reply.uint(value);
    }
    if full {
        let shape = slots.shape();
        let sparse = shape.slices - shape.dense;
        for (name, count) in [("dense-slices", shape.dense), ("sparse-slices", sparse)] {
            reply.bulk(name.as_bytes());
            reply.len(count);
        }
        let share = |part: usize, whole: usize| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        for (name, value) in [
            ("avg-dense-size", share(shape.dense_slots, shape.dense)),
            ("avg-dense-fill", share(shape.dense_texts, shape.dense_slots)),
            ("avg-sparse-size", share(shape.sparse_slots, sparse)),
        ] {
            reply.bulk(name.as_bytes());
            reply.double(value);
        }
    }
    Ok(Flow::Done)
}

/// What AROP computes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation<'a> {
    Sum,
    Min,
    Max,
    And,
    Or,
    Xor,
    Match(&'a [u8]),
    Used,
}

/// An element as a number: a whole one, or any.
enum Number {
    Whole(i64),
    Any(LongDouble),
}

impl Number {
    fn of(elem: Elem<'_>) -> Option<Number> {
        match elem {
            Elem::Int(n) => Some(Number::Whole(n)),
            Elem::Str(text) => match number::parse_i64(text) {
                Some(n) => Some(Number::Whole(n)),
                None => LongDouble::parse(text).map(Number::Any),
            },
        }
    }

    fn long_double(self) -> LongDouble {
        match self {
            Number::Whole(n) => LongDouble::from_i64(n),
            Number::Any(x) => x,
        }
    }

    /// Without what is behind the point, if that fits.
    fn whole(self) -> Option<i64> {
        match self {
            Number::Whole(n) => Some(n),
            Number::Any(x) => x.to_i64(),
        }
    }
}

fn operation<'a>(cx: &Ctx<'_>, args: &mut Args<'a>) -> Result<Operation<'a>, CmdError> {
    const WORDS: [(&str, Operation<'static>); 7] = [
        ("sum", Operation::Sum),
        ("min", Operation::Min),
        ("max", Operation::Max),
        ("and", Operation::And),
        ("or", Operation::Or),
        ("xor", Operation::Xor),
        ("used", Operation::Used),
    ];
    if args.accept("match") {
        if args.left() != 1 {
            return Err(CmdError::text("ERR MATCH requires a value argument"));
        }
        return Ok(Operation::Match(args.bytes()?));
    }
    let known = WORDS.iter().find(|(word, _)| args.accept(word));
    let (_, operation) = known.ok_or(CmdError::text("ERR unknown operation"))?;
    if args.more() { Err(CmdError::arity(cx.command_name())) } else { Ok(*operation) }
}

pub(super) fn arop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, end) = (args.key()?, index_of(args.bytes()?)?, index_of(args.bytes()?)?);
    let operation = operation(cx, args)?;
    let array = cx.db.read::<Array>(key)?;
    let each = |f: &mut dyn FnMut(Elem<'_>)| {
        if let Some(array) = array {
            // In the order asked for: sums of long doubles hang on it.
            array.walk(start.min(end), start.max(end), start > end, |_, elem| {
                f(elem);
                true
            });
        }
    };
    match operation {
        Operation::Used | Operation::Match(_) => {
            let mut count = 0;
            each(&mut |elem| {
                count += i64::from(!matches!(operation, Operation::Match(wanted) if !elem.eq_bytes(wanted)));
            });
            cx.reply.int(count);
        }
        Operation::And | Operation::Or | Operation::Xor => {
            let mut result: Option<i64> = None;
            each(&mut |elem| {
                let Some(n) = Number::of(elem).and_then(Number::whole) else { return };
                result = Some(result.map_or(n, |bits| match operation {
                    Operation::And => bits & n,
                    Operation::Or => bits | n,
                    _ => bits ^ n,
                }));
            });
            match result {
                Some(bits) => cx.reply.int(bits),
                None => cx.reply.null(),
            }
        }
        Operation::Sum | Operation::Min | Operation::Max => {
            let mut result: Option<LongDouble> = None;
            each(&mut |elem| {
                let Some(x) = Number::of(elem).map(Number::long_double) else { return };
                result = Some(result.map_or(x, |old| match operation {
                    Operation::Sum => old.sum(x),
                    Operation::Min if x < old => x,
                    Operation::Max if x > old => x,
                    _ => old,
                }));
            });
            match result {
                Some(x) => cx.reply.bulk(&x.format_general()),
                None => cx.reply.null(),
            }
        }
    }
    Ok(Flow::Done)
}
