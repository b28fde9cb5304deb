//! The values that a key can hold, over the structures of `ds`. Knows no key, no client, no reply: a type returns facts
//! and chooses its own encoding, small ones packed inside the entry's one allocation, large ones on the heap.
//!
//! Each type is a marker (`Str`, `List`, ...) that names its two faces: `Ref<'a>` to read, `Mut<'a>` to change.

mod array;
mod capture;
mod dated;
mod digest;
pub mod geo;
mod hash;
pub mod hll;
mod list;
mod set;
mod str;
mod stream;
#[cfg(test)]
mod testing;
mod value;
mod vector;
mod zset;

pub use array::{Array, ArrayMut, ArrayRef};
pub use capture::{Piece, Pieces};
pub use digest::{Digest, digest};
pub use hash::{DatedHash, Hash, HashBuilder, HashMut, HashRef, is_valid_dated_pack};
pub use list::{End, List, ListMut, ListRef};
pub use set::{DatedSet, Set, SetMut, SetRef};
pub use str::{BIG_STRING_BYTES, Encoded, Scratch, Str, StrMut, StrRef, TooLong};
pub use stream::{
    Consumer, ConsumerFacts, ConsumerNumber, Deleted, Facts, GivenId, Group, GroupBuilder, GroupFacts, IdText,
    Idempotence, Log, LogFacts, MAX_DURATION_S, MAX_LEN, Memory, NodeLimits, Pending, Range, Recorded, References,
    Stream, StreamData, StreamEntry, StreamId, StreamMut, StreamPiece, Threshold, Trim, content_id, fuzz_stream,
};
pub use value::{
    Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Stage, Type, Value, copy_of, count, encoding, is_all_due,
    is_emptied, remove_due, soonest, soonest_member, type_of,
};
pub use vector::{BadFilter, DEFAULT_M, Expr, Projection, VectorMut, VectorSet, Vectors, Wanted, fuzz_filter, score};
pub use zset::{
    AddOptions, Added, DatedZSet, LexBound, MemberRef, ScoreBound, ScoreRange, Span, ZSet, ZSetMut, ZSetRef,
    member_deadline,
};
