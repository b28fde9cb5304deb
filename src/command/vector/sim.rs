//! VSIM: the elements most similar to a vector.

use super::{check_dim, int_in, vector};
use crate::base::float;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::ds::hnsw::{Encoded, Found};
use crate::resp::{Proto, Reply};
use crate::types::{BadFilter, Expr, VectorSet, Vectors, Wanted, score};

const NO_ELEMENT: CmdError = CmdError::text("ERR element not found in set");
const SYNTAX: CmdError = CmdError::text("ERR syntax error in VSIM command");
const BAD_COUNT: CmdError = CmdError::text("ERR invalid COUNT");
const BAD_EPSILON: CmdError = CmdError::text("ERR invalid EPSILON");
const BAD_EF: CmdError = CmdError::text("ERR invalid EF");
const BAD_EFFORT: CmdError = CmdError::text("ERR invalid FILTER-EF");
const EF_MAX: i64 = 1_000_000;
const DEFAULT_COUNT: usize = 10;
const DEFAULT_EF: usize = 100;
/// Elements that a filter is asked about for each one wanted, where nothing else is asked for.
const EFFORT_PER_ELEMENT: usize = 100;

/// What is shown of each element besides its name.
#[derive(Clone, Copy, Default)]
struct Shown {
    scores: bool,
    attributes: bool,
}

pub(super) fn vsim(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    // A missing key has no elements, whatever else is asked.
    let Some(vectors) = cx.db.read::<VectorSet>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let query = query(vectors, args)?;
    let (wanted, shown) = options(args)?;
    let found = vectors.search(&query, &wanted);
    show(&mut cx.reply, vectors, &found, shown);
    Ok(Flow::Done)
}

fn query(vectors: &Vectors, args: &mut Args<'_>) -> Result<Encoded, CmdError> {
    if args.accept("ele") {
        let node = vectors.graph().find(args.bytes()?).ok_or(NO_ELEMENT)?;
        return Ok(node.encoded());
    }
    let given = vector(args)?;
    check_dim(vectors, given.len())?;
    Ok(vectors.encode(&given))
}

fn options(args: &mut Args<'_>) -> Result<(Wanted, Shown), CmdError> {
    let (mut shown, mut effort) = (Shown::default(), None);
    let mut wanted =
        Wanted { count: DEFAULT_COUNT, ef: DEFAULT_EF, distance_max: 2.0, filter: None, effort: 0, truth: false };
    while args.more() {
        // An option without its value is none.
        let has_value = args.left() > 1;
        if args.accept("withscores") {
            shown.scores = true;
        } else if args.accept("withattribs") {
            shown.attributes = true;
        } else if args.accept("truth") {
            wanted.truth = true;
        } else if args.accept("nothread") {
            // So it is anyway.
        } else if has_value && args.accept("count") {
            wanted.count = int_in(args, 1, i64::MAX, BAD_COUNT)?;
        } else if has_value && args.accept("epsilon") {
            let epsilon = float::parse_double(args.bytes()?).filter(|epsilon| *epsilon > 0.0).ok_or(BAD_EPSILON)?;
            // A score is half a distance away from 1.
            wanted.distance_max = (2.0 * epsilon) as f32;
        } else if has_value && args.accept("ef") {
            wanted.ef = int_in(args, 1, EF_MAX, BAD_EF)?;
        } else if has_value && args.accept("filter-ef") {
            effort = Some(int_in(args, 0, i64::MAX, BAD_EFFORT)?);
        } else if has_value && args.accept("filter") {
            wanted.filter = Some(filter(args.bytes()?)?);
        } else {
            return Err(SYNTAX);
        }
    }
    wanted.effort = match effort {
        Some(0) => usize::MAX,
        Some(effort) => effort,
        None => wanted.count.saturating_mul(EFFORT_PER_ELEMENT),
    };
    Ok((wanted, shown))
}

fn filter(text: &[u8]) -> Result<Expr, CmdError> {
    Expr::parse(text).map_err(|BadFilter(at)| {
        // An end that is missing is pointed at by the whole.
        let near = text.get(at..).filter(|near| !near.is_empty()).unwrap_or(text);
        CmdError::quoting("ERR syntax error in FILTER expression near: ", near, "")
    })
}

/// RESP2 has a flat array. RESP3 has a map of what goes with each name, an array if that is two things.
fn show(reply: &mut Reply<'_>, vectors: &Vectors, found: &[Found], shown: Shown) {
    let extras = usize::from(shown.scores) + usize::from(shown.attributes);
    match extras {
        0 => reply.array(found.len()),
        1 => reply.map(found.len()),
        _ if reply.proto() == Proto::Resp3 => reply.map(found.len()),
        _ => reply.array(3 * found.len()),
    }
    for one in found {
        reply.bulk(vectors.graph().node(one.id).map(|node| node.name()).unwrap_or_default());
        if extras == 2 && reply.proto() == Proto::Resp3 {
            reply.array(2);
        }
        if shown.scores {
            reply.double(score(one.distance));
        }
        if shown.attributes {
            match vectors.attributes(one.id) {
                Some(attributes) => reply.bulk(attributes),
                None => reply.null(),
            }
        }
    }
}
