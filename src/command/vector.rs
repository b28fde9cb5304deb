//! Vector sets: the V commands. Searches and additions run here, in the loop: how long one takes is bounded by its EF.

mod add;
mod read;
mod sim;

use super::args::Args;
use super::error::CmdError;
use super::table::{Arg, Command, KeySpec, flag, key_flag as kf};
use crate::base::{float, number};

/// A row of this family: a module in the reference server, hence the one key spec and the capitals in errors.
const VECTOR: Command =
    Command { group: "vector_set", since: "8.0.0", keys: KEYS, flags: READ, complexity: "O(1)", ..Command::BLANK };
const READ: u32 = flag::READONLY | flag::CAPITALS;
const WRITE: u32 = flag::WRITE | flag::CAPITALS;
const KEYS: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)];
const KEY: Arg = Arg::key("key");
const ELEMENT: Arg = Arg::string("element");
const FP32: Arg = Arg::word("fp32", "FP32");
const VALUES: Arg = Arg::word("values", "VALUES");
const WITHSCORES: Arg = Arg::word("withscores", "WITHSCORES").optional();

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "vadd",
        arity: -5,
        flags: WRITE | flag::DENYOOM,
        args: &[
            KEY,
            Arg::word("reduce", "REDUCE").optional(),
            Arg::int("dim").optional(),
            Arg::one_of("format", &[FP32, VALUES]),
            Arg::string("vector"),
            ELEMENT,
            Arg::word("cas", "CAS").optional(),
            Arg::one_of(
                "quant_type",
                &[Arg::word("noquant", "NOQUANT"), Arg::word("bin", "BIN"), Arg::word("q8", "Q8")],
            )
            .optional(),
            Arg::int("build-exploration-factor").token("EF").optional(),
            Arg::string("attributes").token("SETATTR").optional(),
            Arg::int("numlinks").token("M").optional(),
        ],
        complexity: "O(log(N)) with N the number of elements.",
        summary: "Adds an element with its vector, or gives an element another vector.",
        run: Some(add::vadd),
        ..VECTOR
    },
    Command {
        name: "vcard",
        arity: 2,
        flags: READ | flag::FAST,
        args: &[KEY],
        summary: "Replies the number of elements.",
        run: Some(read::vcard),
        ..VECTOR
    },
    Command {
        name: "vdim",
        arity: 2,
        flags: READ | flag::FAST,
        args: &[KEY],
        summary: "Replies how many components the stored vectors have.",
        run: Some(read::vdim),
        ..VECTOR
    },
    Command {
        name: "vemb",
        arity: -3,
        flags: READ | flag::FAST,
        args: &[KEY, ELEMENT, Arg::word("raw", "RAW").optional()],
        summary: "Replies an element's vector, about as it was given, or as it is stored.",
        run: Some(read::vemb),
        ..VECTOR
    },
    Command {
        name: "vgetattr",
        arity: 3,
        flags: READ | flag::FAST,
        args: &[KEY, ELEMENT],
        summary: "Replies an element's attributes.",
        run: Some(read::vgetattr),
        ..VECTOR
    },
    Command {
        name: "vinfo",
        arity: 2,
        flags: READ | flag::FAST,
        args: &[KEY],
        summary: "Replies facts about a vector set and its graph.",
        run: Some(read::vinfo),
        ..VECTOR
    },
    Command {
        name: "vismember",
        arity: 3,
        since: "8.2.0",
        args: &[KEY, ELEMENT],
        summary: "Tells whether a vector set has an element.",
        run: Some(read::vismember),
        ..VECTOR
    },
    Command {
        name: "vlinks",
        arity: -3,
        flags: READ | flag::FAST,
        args: &[KEY, ELEMENT, WITHSCORES],
        summary: "Replies the elements that one is linked to in the graph, level by level.",
        run: Some(read::vlinks),
        ..VECTOR
    },
    Command {
        name: "vrandmember",
        arity: -2,
        args: &[KEY, Arg::int("count").optional()],
        complexity: "O(N) in the elements replied",
        summary: "Replies random elements: distinct ones for a positive count, with repeats for a negative one.",
        tips: &["nondeterministic_output"],
        run: Some(read::vrandmember),
        ..VECTOR
    },
    Command {
        name: "vrange",
        arity: -4,
        since: "8.4.0",
        args: &[KEY, Arg::string("start"), Arg::string("end"), Arg::int("count").optional()],
        complexity: "O(log(N)+M) with N the number of elements and M those replied.",
        summary: "Replies elements whose names lie in a range, in the order of their bytes.",
        run: Some(read::vrange),
        ..VECTOR
    },
    Command {
        name: "vrem",
        arity: 3,
        flags: WRITE,
        args: &[KEY, ELEMENT],
        complexity: "O(log(N)) with N the number of elements.",
        summary: "Removes an element, and the key with the last one.",
        run: Some(add::vrem),
        ..VECTOR
    },
    Command {
        name: "vsetattr",
        arity: 4,
        flags: WRITE | flag::FAST,
        args: &[KEY, ELEMENT, Arg::string("json")],
        summary: "Sets an element's attributes; empty ones take them away.",
        run: Some(add::vsetattr),
        ..VECTOR
    },
    Command {
        name: "vsim",
        arity: -4,
        args: &[
            KEY,
            Arg::one_of("format", &[Arg::word("ele", "ELE"), FP32, VALUES]),
            Arg::string("vector_or_element"),
            WITHSCORES,
            Arg::word("withattribs", "WITHATTRIBS").optional().since("8.2.0"),
            Arg::int("count").token("COUNT").optional(),
            Arg::double("max_distance").token("EPSILON").optional(),
            Arg::int("search-exploration-factor").token("EF").optional(),
            Arg::string("expression").token("FILTER").optional(),
            Arg::int("max-filtering-effort").token("FILTER-EF").optional(),
            Arg::word("truth", "TRUTH").optional(),
            Arg::word("nothread", "NOTHREAD").optional(),
        ],
        complexity: "O(log(N)) with N the number of elements.",
        summary: "Replies the elements whose vectors are most similar to a vector or to an element's.",
        history: &[("8.2.0", "The WITHATTRIBS option.")],
        run: Some(sim::vsim),
        ..VECTOR
    },
];

const BAD_VECTOR: CmdError = CmdError::text("ERR invalid vector specification");
/// Most components of a vector.
const DIM_MAX: usize = 65_536;

/// A vector: FP32 and its bytes, or VALUES, how many, and that many numbers.
fn vector(args: &mut Args<'_>) -> Result<Vec<f32>, CmdError> {
    if args.accept("fp32") {
        let bytes = args.bytes().map_err(|_| BAD_VECTOR)?;
        if bytes.is_empty() || bytes.len() % 4 != 0 || bytes.len() / 4 > DIM_MAX {
            return Err(BAD_VECTOR);
        }
        let component = |part: &[u8]| f32::from_le_bytes(part.try_into().expect("parts of four bytes"));
        return Ok(bytes.chunks_exact(4).map(component).collect());
    }
    if !args.accept("values") {
        return Err(BAD_VECTOR);
    }
    let dim = args.bytes().ok().and_then(number::parse_i64).and_then(|n| usize::try_from(n).ok());
    let dim = dim.filter(|dim| (1..=DIM_MAX.min(args.left())).contains(dim)).ok_or(BAD_VECTOR)?;
    (0..dim).map(|_| Ok(float::parse_double(args.bytes()?).ok_or(BAD_VECTOR)? as f32)).collect()
}

/// An integer between two, else this error.
fn int_in(args: &mut Args<'_>, min: i64, max: i64, otherwise: CmdError) -> Result<usize, CmdError> {
    let n = args.bytes().ok().and_then(number::parse_i64).filter(|n| (min..=max).contains(n));
    n.and_then(|n| usize::try_from(n).ok()).ok_or(otherwise)
}

/// A vector that has not as many components as the set wants. `projected`: those before the projection.
fn dimension_mismatch(got: usize, wanted: usize, projected: bool) -> CmdError {
    CmdError::owned(if projected {
        format!("ERR Input dimension mismatch for projection - got {got} but projection expects {wanted}")
    } else {
        format!("ERR Vector dimension mismatch - got {got} but set has {wanted}")
    })
}

/// The components that a set wants of a vector.
fn check_dim(vectors: &crate::types::Vectors, got: usize) -> Result<(), CmdError> {
    let wanted = vectors.projection().map_or(vectors.dim(), |projection| projection.input_dim());
    if got == wanted { Ok(()) } else { Err(dimension_mismatch(got, wanted, vectors.projection().is_some())) }
}
