//! What changes vector sets: VADD, VREM, VSETATTR.

use super::{BAD_VECTOR, DIM_MAX, check_dim, dimension_mismatch, int_in, vector};
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::ds::hnsw::Quant;
use crate::keyspace::{Event, Key, Missing};
use crate::types::{DEFAULT_M, Projection, VectorSet, Vectors};

const BAD_OPTION: CmdError = CmdError::text("ERR invalid option after element");
const BAD_EF: CmdError = CmdError::text("ERR invalid EF");
const BAD_M: CmdError = CmdError::text("ERR invalid M");
const OTHER_QUANT: CmdError = CmdError::text("ERR asked quantization mismatch with existing vector set");
const OTHER_M: CmdError = CmdError::text("ERR asked M value mismatch with existing vector set");
const NO_PROJECTION: CmdError = CmdError::text("ERR cannot add projection to existing set without projection");
const OTHER_PROJECTION: CmdError = CmdError::text("ERR projection dimension mismatch with existing set");
/// Candidates for a node's links that are looked at, where nothing else is asked for.
const DEFAULT_EF: usize = 200;
const EF_MAX: i64 = 1_000_000;
const M_MIN: i64 = 4;
const M_MAX: i64 = 4_096;

/// What VADD is asked for.
struct Addition<'a> {
    key: Key<'a>,
    reduce: Option<usize>,
    given: Vec<f32>,
    element: &'a [u8],
    quant: Quant,
    ef: usize,
    attributes: Option<&'a [u8]>,
    m: usize,
}

impl<'a> Addition<'a> {
    fn parse(cx: &Ctx<'_>, args: &mut Args<'a>) -> Result<Addition<'a>, CmdError> {
        let key = args.key()?;
        let reduce = match args.accept("reduce") {
            true => Some(int_in(args, 1, DIM_MAX as i64, BAD_VECTOR)?),
            false => None,
        };
        let given = vector(args)?;
        if reduce.is_some_and(|dim| dim > given.len()) {
            return Err(BAD_VECTOR);
        }
        let element = args.bytes().map_err(|_| CmdError::arity(&cx.row.command.error_name()))?;
        let mut asked = Addition {
            key,
            reduce,
            given,
            element,
            quant: Quant::Int8,
            ef: DEFAULT_EF,
            attributes: None,
            m: DEFAULT_M,
        };
        while args.more() {
            asked.option(args)?;
        }
        Ok(asked)
    }

    fn option(&mut self, args: &mut Args<'a>) -> Result<(), CmdError> {
        // An option without its value is none.
        let has_value = args.left() > 1;
        if args.accept("cas") {
            // There are no threads to search candidates in: a set is changed by one command after the other.
        } else if args.accept("noquant") {
            self.quant = Quant::F32;
        } else if args.accept("bin") {
            self.quant = Quant::Bin;
        } else if args.accept("q8") {
            self.quant = Quant::Int8;
        } else if has_value && args.accept("ef") {
            self.ef = int_in(args, 1, EF_MAX, BAD_EF)?;
        } else if has_value && args.accept("m") {
            self.m = int_in(args, M_MIN, M_MAX, BAD_M)?;
        } else if has_value && args.accept("setattr") {
            self.attributes = Some(args.bytes()?);
        } else {
            return Err(BAD_OPTION);
        }
        Ok(())
    }

    /// The set that the first such element makes.
    fn first(&self, uid: u64) -> Vectors {
        let vectors = Vectors::new(self.quant, self.reduce.unwrap_or(self.given.len()), self.m, uid);
        match self.reduce {
            Some(dim) => vectors.with_projection(Projection::new(self.given.len(), dim)),
            None => vectors,
        }
    }

    /// Whether the element can join a set.
    fn fits(&self, vectors: &Vectors) -> Result<(), CmdError> {
        if vectors.projection().is_none() && self.reduce.is_none() && self.given.len() != vectors.dim() {
            return Err(dimension_mismatch(self.given.len(), vectors.dim(), false));
        }
        if self.quant != vectors.graph().form().quant {
            return Err(OTHER_QUANT);
        }
        if self.m != vectors.graph().m() {
            return Err(OTHER_M);
        }
        match (self.reduce, vectors.projection()) {
            (Some(_), None) => Err(NO_PROJECTION),
            (Some(dim), Some(_)) if dim != vectors.dim() => Err(OTHER_PROJECTION),
            _ => check_dim(vectors, self.given.len()),
        }
    }
}

pub(super) fn vadd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let asked = Addition::parse(cx, args)?;
    let rng = &mut *cx.rng;
    let mut edit = cx.db.edit_or_create::<VectorSet>(asked.key)?;
    if edit.created() {
        edit.value().replace(asked.first(rng.next_u64() >> 33));
    } else {
        asked.fits(edit.view())?;
    }
    let mut vectors = edit.value();
    let (id, new) = vectors.insert(asked.element, &asked.given, asked.ef, &mut || rng.next_u64());
    if let Some(attributes) = asked.attributes {
        vectors.set_attributes(id, attributes);
    }
    drop(vectors);
    edit.finish(Event::vector("vadd"));
    cx.reply.bool(new);
    Ok(Flow::Done)
}

pub(super) fn vrem(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element) = (args.key()?, args.bytes()?);
    let Some(mut edit) = cx.db.edit::<VectorSet>(key, Missing::Skip)? else {
        cx.reply.bool(false);
        return Ok(Flow::Done);
    };
    let removed = edit.value().remove(element);
    if removed {
        edit.finish(Event::vector("vrem"));
    }
    cx.reply.bool(removed);
    Ok(Flow::Done)
}

pub(super) fn vsetattr(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element, attributes) = (args.key()?, args.bytes()?, args.bytes()?);
    let mut found = false;
    if let Some(mut edit) = cx.db.edit::<VectorSet>(key, Missing::Skip)? {
        if let Some(id) = edit.view().graph().id(element) {
            edit.value().set_attributes(id, attributes);
            edit.finish(Event::vector("vsetattr"));
            found = true;
        }
    }
    cx.reply.bool(found);
    Ok(Flow::Done)
}
