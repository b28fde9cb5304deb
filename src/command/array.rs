//! Arrays: the AR commands of Redis 8.8. The rows are here; writes, reads and searches each have a file.

mod grep;
mod read;
mod write;

use super::error::CmdError;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::base::number;
use crate::ds::array::{INDEX_MAX, Word};
use crate::resp::Reply;

const ARRAY: Command = Command { group: "array", acl: acl::ARRAY, since: "8.8.0", ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const CHANGE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::UPDATE)];
const DELETE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::DELETE)];

const KEY: Arg = Arg::key("key");
const INDEX: Arg = Arg::int("index");
const START: Arg = Arg::int("start");
const END: Arg = Arg::int("end");
const VALUE: Arg = Arg::string("value");
const LIMIT: Arg = Arg::int("limit").token("LIMIT");
const FAST_READ: u32 = flag::READONLY | flag::FAST;
const FAST_WRITE: u32 = flag::WRITE | flag::DENYOOM | flag::FAST;
const RANGE_COST: &str = "O(N), N the elements of the range and the gaps of the slices they lie in";

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "arcount",
        arity: 2,
        flags: FAST_READ,
        keys: READ,
        args: &[KEY],
        complexity: "O(1)",
        summary: "Replies how many elements an array has.",
        run: Some(read::arcount),
        ..ARRAY
    },
    Command {
        name: "ardel",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: DELETE,
        args: &[KEY, INDEX.multiple()],
        complexity: "O(N), N the indexes",
        summary: "Removes the elements at some indexes.",
        run: Some(write::ardel),
        ..ARRAY
    },
    Command {
        name: "ardelrange",
        arity: -4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, Arg::block("range", &[START, END]).multiple()],
        complexity: "O(N), N the elements of the ranges",
        summary: "Removes the elements of some ranges of indexes.",
        run: Some(write::ardelrange),
        ..ARRAY
    },
    Command {
        name: "arget",
        arity: 3,
        flags: FAST_READ,
        keys: READ,
        args: &[KEY, INDEX],
        complexity: "O(1)",
        summary: "Replies the element at an index.",
        run: Some(read::arget),
        ..ARRAY
    },
    Command {
        name: "argetrange",
        arity: 4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, START, END],
        complexity: "O(N), N the indexes of the range",
        summary: "Replies the elements of a range of indexes, with the gaps.",
        run: Some(read::argetrange),
        ..ARRAY
    },
    Command {
        name: "argrep",
        arity: -6,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::string("start"),
            Arg::string("end"),
            Arg::one_of(
                "predicate",
                &[
                    Arg::string("string").token("EXACT"),
                    Arg::string("string").token("MATCH"),
                    Arg::string("pattern").token("GLOB"),
                    Arg::string("pattern").token("RE"),
                ],
            )
            .multiple(),
            Arg::one_of(
                "options",
                &[
                    Arg::word("and", "AND"),
                    Arg::word("or", "OR"),
                    LIMIT,
                    Arg::word("withvalues", "WITHVALUES"),
                    Arg::word("nocase", "NOCASE"),
                ],
            )
            .optional()
            .multiple(),
        ],
        complexity: "O(N*C), N as for ARSCAN, C the cost of testing one element",
        summary: "Replies the indexes of a range whose elements pass tests of their text.",
        run: Some(grep::argrep),
        ..ARRAY
    },
    Command {
        name: "arinfo",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::word("full", "FULL").optional()],
        complexity: "O(1), with FULL O(N) in the slices",
        summary: "Replies facts about an array and its slices.",
        run: Some(read::arinfo),
        ..ARRAY
    },
    Command {
        name: "arinsert",
        arity: -3,
        flags: FAST_WRITE,
        keys: CHANGE,
        args: &[KEY, VALUE.multiple()],
        complexity: "O(N), N the values",
        summary: "Sets the elements behind the last one inserted; replies the last index.",
        run: Some(write::arinsert),
        ..ARRAY
    },
    Command {
        name: "arlastitems",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("count"), Arg::word("rev", "REV").optional()],
        complexity: "O(N), N the count",
        summary: "Replies the elements inserted last.",
        run: Some(read::arlastitems),
        ..ARRAY
    },
    Command {
        name: "arlen",
        arity: 2,
        flags: FAST_READ,
        keys: READ,
        args: &[KEY],
        complexity: "O(1)",
        summary: "Replies the length of an array: one more than its greatest index.",
        run: Some(read::arlen),
        ..ARRAY
    },
    Command {
        name: "armget",
        arity: -3,
        flags: FAST_READ,
        keys: READ,
        args: &[KEY, INDEX.multiple()],
        complexity: "O(N), N the indexes",
        summary: "Replies the elements at some indexes.",
        run: Some(read::armget),
        ..ARRAY
    },
    Command {
        name: "armset",
        arity: -4,
        flags: FAST_WRITE,
        keys: CHANGE,
        args: &[KEY, Arg::block("data", &[INDEX, VALUE]).multiple()],
        complexity: "O(N), N the pairs",
        summary: "Sets the elements at some indexes; replies how many were gaps.",
        run: Some(write::armset),
        ..ARRAY
    },
    Command {
        name: "arnext",
        arity: 2,
        flags: FAST_READ,
        keys: READ,
        args: &[KEY],
        complexity: "O(1)",
        summary: "Replies the index at which the next element would be inserted.",
        run: Some(read::arnext),
        ..ARRAY
    },
    Command {
        name: "arop",
        arity: -5,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            START,
            END,
            Arg::one_of(
                "operation",
                &[
                    Arg::word("sum", "SUM"),
                    Arg::word("min", "MIN"),
                    Arg::word("max", "MAX"),
                    Arg::word("and", "AND"),
                    Arg::word("or", "OR"),
                    Arg::word("xor", "XOR"),
                    VALUE.token("MATCH"),
                    Arg::word("used", "USED"),
                ],
            ),
        ],
        complexity: RANGE_COST,
        summary: "Replies the sum, an extreme, a combination or a count of the elements of a range.",
        run: Some(read::arop),
        ..ARRAY
    },
    Command {
        name: "arring",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: CHANGE,
        args: &[KEY, Arg::int("size"), VALUE.multiple()],
        complexity: "O(M), M the values; O(N+M) where the size changes, N the greater of both",
        summary: "Inserts elements into a ring of some size; replies the last index.",
        run: Some(write::arring),
        ..ARRAY
    },
    Command {
        name: "arscan",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, START, END, LIMIT.optional()],
        complexity: RANGE_COST,
        summary: "Replies the elements of a range with their indexes, without the gaps.",
        run: Some(read::arscan),
        ..ARRAY
    },
    Command {
        name: "arseek",
        arity: 3,
        flags: flag::WRITE | flag::FAST,
        keys: CHANGE,
        args: &[KEY, INDEX],
        complexity: "O(1)",
        summary: "Sets the index at which the next element will be inserted.",
        run: Some(write::arseek),
        ..ARRAY
    },
    Command {
        name: "arset",
        arity: -4,
        flags: FAST_WRITE,
        keys: CHANGE,
        args: &[KEY, INDEX, VALUE.multiple()],
        complexity: "O(N), N the values",
        summary: "Sets elements from an index on; replies how many were gaps.",
        run: Some(write::arset),
        ..ARRAY
    },
];

const INVALID_INDEX: CmdError = CmdError::text("ERR invalid array index");

/// An index up to `u64::MAX`, in the forms that the reference reads.
fn any_index(text: &[u8]) -> Result<u64, CmdError> {
    let index = match number::parse_i64(text) {
        Some(n) => u64::try_from(n).ok(),
        None => number::parse_u64_lax(text),
    };
    index.ok_or(INVALID_INDEX)
}

/// An index at which an element can be.
fn index_of(text: &[u8]) -> Result<u64, CmdError> {
    any_index(text).and_then(|index| if index > INDEX_MAX { Err(INVALID_INDEX) } else { Ok(index) })
}

/// A slot's text, or no value.
fn reply_slot(reply: &mut Reply<'_>, slot: Option<&Word>) {
    match slot {
        Some(word) => word.read(|elem| super::reply_elem(reply, elem)),
        None => reply.null(),
    }
}
