//! The items that tables hold, each one allocation behind one thin pointer: `Record`, a key with its value; `Member` of a set;
//! `Field` of a hash; `Scored` member of a sorted set. And `Blob`, bytes that can be spliced. Knows no table, no type of value.
//!
//! An item's allocation is always the size class of its length (`block`), so growing within the class costs nothing, and
//! freeing needs no look into the allocator. All have the address's low three bits free.

mod block;
mod element;
mod entry;
mod log;

pub use super::blob::Blob;
pub use element::{Field, FieldRef, Member, MemberRef, Scored, ScoredRef};
pub use entry::{BOXED, KIND_LIMIT, LRU_LIMIT, Record, RecordRef};
pub use log::RecordLog;
