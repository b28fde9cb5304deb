//! What the types share: the kinds of an entry, the heap payload, the limits of the packed encodings.

use super::hash::DatedHash;
use super::set::DatedSet;
use super::stream::{Memory, StreamData};
use super::vector::Vectors;
use super::zset::DatedZSet;
use crate::base::hash::Hasher;
use crate::ds::array::{Array as Slots, Thresholds};
use crate::ds::quicklist::{Fill, QuickList};
use crate::ds::record::{Field, Member};
use crate::ds::record::{Record, RecordRef};
use crate::ds::sorted::Sorted;
use crate::ds::table::Table;
use crate::ds::table::{Item, ItemMut};
use bytes::Bytes;

/// An element of a packed or big collection: an integer or bytes.
pub use crate::ds::listpack::Value as Elem;

/// One key with its value, deadline and access bits, in one allocation.
pub type Entry = Record<Big>;
/// An entry, to read.
pub type EntryRef<'a> = RecordRef<'a, Big>;
/// An entry in its place in a table, to change.
pub type EntryMut<'a> = ItemMut<'a, Entry>;

/// What TYPE says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Bytes or an integer.
    String,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    ZSet,
    /// A hash.
    Hash,
    /// A stream.
    Stream,
    /// An array.
    Array,
    /// A vector set.
    VectorSet,
}

impl Type {
    /// All types.
    pub const ALL: [Type; 8] =
        [Type::String, Type::List, Type::Set, Type::ZSet, Type::Hash, Type::Stream, Type::Array, Type::VectorSet];

    /// The name that TYPE replies.
    pub fn name(self) -> &'static str {
        match self {
            Type::String => "string",
            Type::List => "list",
            Type::Set => "set",
            Type::ZSet => "zset",
            Type::Hash => "hash",
            Type::Stream => "stream",
            Type::Array => "array",
            Type::VectorSet => "vectorset",
        }
    }
}

/// How an entry's value is stored. Bit 0x10 says that the value area is a pointer to a `Big`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// A string that is an integer: its little-endian bytes, as few as hold it.
    Int = 0,
    /// A string, its bytes inline.
    Str = 1,
    /// A string that was changed in place since it was set: shown as `raw` whatever its length.
    StrRaw = 2,
    /// A list as one listpack.
    ListPacked = 3,
    /// A set of integers.
    SetInts = 4,
    /// A set as one listpack.
    SetPacked = 5,
    /// A hash as one listpack of field, value, ...
    HashPacked = 6,
    /// A sorted set as one listpack of member, score, ... in order.
    ZSetPacked = 7,
    /// A hash as one listpack of field, value, deadline, ...
    HashPackedTtl = 8,
    /// A long string.
    BigStr = 0x10,
    /// A list of nodes.
    BigList = 0x11,
    /// A set as a table.
    BigSet = 0x12,
    /// A hash as a table.
    BigHash = 0x13,
    /// A sorted set as a tree and a table.
    BigZSet = 0x14,
    /// A stream.
    BigStream = 0x15,
    /// An array.
    BigArray = 0x17,
    /// A vector set.
    BigVector = 0x16,
    /// A set as a table, with deadlines beside it.
    BigSetDated = 0x18,
    /// A sorted set as a tree and a table, with deadlines beside it.
    BigZSetDated = 0x19,
}

impl Kind {
    /// The kind whose code is `code`. Codes are written by this room alone, so another one is our own mistake.
    #[inline]
    pub fn of(code: u8) -> Kind {
        match code {
            0 => Kind::Int,
            1 => Kind::Str,
            2 => Kind::StrRaw,
            3 => Kind::ListPacked,
            4 => Kind::SetInts,
            5 => Kind::SetPacked,
            6 => Kind::HashPacked,
            7 => Kind::ZSetPacked,
            8 => Kind::HashPackedTtl,
            0x10 => Kind::BigStr,
            0x11 => Kind::BigList,
            0x12 => Kind::BigSet,
            0x13 => Kind::BigHash,
            0x14 => Kind::BigZSet,
            0x15 => Kind::BigStream,
            0x17 => Kind::BigArray,
            0x16 => Kind::BigVector,
            0x18 => Kind::BigSetDated,
            0x19 => Kind::BigZSetDated,
            other => unreachable!("entry kind {other} was never written"),
        }
    }

    /// The type that a value of this kind has.
    #[inline]
    pub fn type_of(self) -> Type {
        match self {
            Kind::Int | Kind::Str | Kind::StrRaw | Kind::BigStr => Type::String,
            Kind::ListPacked | Kind::BigList => Type::List,
            Kind::SetInts | Kind::SetPacked | Kind::BigSet | Kind::BigSetDated => Type::Set,
            Kind::HashPacked | Kind::HashPackedTtl | Kind::BigHash => Type::Hash,
            Kind::ZSetPacked | Kind::BigZSet | Kind::BigZSetDated => Type::ZSet,
            Kind::BigStream => Type::Stream,
            Kind::BigArray => Type::Array,
            Kind::BigVector => Type::VectorSet,
        }
    }
}

/// A value too large for its entry.
pub enum Big {
    /// A long string, shared with replies that are being sent.
    Str(Bytes),
    /// A hash.
    Hash(Table<Field>),
    /// A hash whose fields may have deadlines.
    DatedHash(Box<DatedHash>),
    /// A list.
    List(Box<QuickList>),
    /// A set.
    Set(Table<Member>),
    /// A set whose members may have deadlines.
    DatedSet(Box<DatedSet>),
    /// A sorted set.
    ZSet(Box<Sorted>),
    /// A sorted set whose members may have deadlines.
    DatedZSet(Box<DatedZSet>),
    /// A stream.
    Stream(Box<StreamData>),
    /// An array.
    Array(Box<Slots>),
    /// A vector set.
    Vector(Box<Vectors>),
}

/// Which of a table's three look-up steps is brought forward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// The directory entry.
    Segment,
    /// The bucket.
    Bucket,
    /// The item.
    Item,
    /// The item, if it was pushed out of its bucket.
    Overflow,
}

impl Stage {
    #[inline]
    fn of<T: Item>(self, table: &Table<T>, hash: u64) -> bool {
        match self {
            Stage::Segment => table.prefetch_segment(hash),
            Stage::Bucket => table.prefetch_bucket(hash),
            Stage::Item => return table.prefetch_item(hash),
            Stage::Overflow => table.prefetch_overflow(hash),
        }
        true
    }
}

/// A number below `n`, each equally likely; `None` for `n` = 0.
pub(super) fn below(random: &mut impl FnMut() -> u64, n: u64) -> Option<u64> {
    if n == 0 {
        return None;
    }
    // Multiplication maps 64 random bits to the range; the bias is below n / 2^64.
    Some(((u128::from(random()) * u128::from(n)) >> 64) as u64)
}

impl Big {
    /// Brings what a look-up of a member reads into the cache: one step of it; false if the item takes one step more. The hash is that of
    /// the process's one hasher.
    #[inline]
    pub fn prefetch_member(&self, hash: u64, stage: Stage) -> bool {
        match self {
            Big::Hash(table) => stage.of(table, hash),
            Big::DatedHash(dated) => stage.of(dated.table(), hash),
            Big::DatedSet(set) => stage.of(set.members(), hash),
            Big::Set(table) => stage.of(table, hash),
            Big::ZSet(tree) => stage.of(tree.table(), hash),
            Big::DatedZSet(dated) => stage.of(dated.sorted().table(), hash),
            Big::Str(_) | Big::List(_) | Big::Stream(_) | Big::Array(_) | Big::Vector(_) => true,
        }
    }

    /// Allocations that freeing it touches, about: whether that is worth a thread.
    pub fn free_effort(&self) -> usize {
        match self {
            Big::Str(_) => 1,
            Big::Hash(table) => table.len(),
            Big::DatedHash(hash) => hash.table().len(),
            Big::DatedSet(set) => set.members().len() + 2 * set.dated(),
            Big::List(nodes) => nodes.node_count(),
            Big::Set(table) => table.len(),
            Big::ZSet(tree) => 2 * tree.len(),
            Big::DatedZSet(dated) => 3 * dated.sorted().len(),
            Big::Stream(stream) => stream.free_effort(),
            Big::Array(slots) => usize::try_from(slots.count()).unwrap_or(usize::MAX),
            Big::Vector(vectors) => vectors.len() + vectors.attribute_count(),
        }
    }

    /// A copy that shares nothing that either of the two can change.
    pub fn deep_clone(&self) -> Big {
        match self {
            Big::Str(bytes) => Big::Str(bytes.clone()),
            Big::Hash(table) => Big::Hash(super::hash::clone_table(table)),
            Big::DatedHash(hash) => Big::DatedHash(Box::new(hash.deep_clone())),
            Big::DatedSet(set) => Big::DatedSet(Box::new(set.deep_clone())),
            Big::List(nodes) => Big::List(nodes.clone()),
            Big::Set(table) => Big::Set(super::set::clone_table(table)),
            Big::ZSet(tree) => Big::ZSet(Box::new(tree.deep_clone())),
            Big::DatedZSet(dated) => Big::DatedZSet(Box::new(dated.deep_clone())),
            Big::Stream(stream) => Big::Stream(stream.clone()),
            Big::Array(slots) => Big::Array(slots.clone()),
            Big::Vector(vectors) => Big::Vector(vectors.clone()),
        }
    }
}

/// The type of what an entry holds.
#[inline]
pub fn type_of(entry: EntryRef<'_>) -> Type {
    Kind::of(entry.kind()).type_of()
}

/// The name that OBJECT ENCODING shows.
pub fn encoding(entry: EntryRef<'_>) -> &'static str {
    match Kind::of(entry.kind()) {
        Kind::Int | Kind::Str | Kind::StrRaw | Kind::BigStr => super::str::encoding(entry),
        Kind::ListPacked | Kind::SetPacked | Kind::HashPacked | Kind::ZSetPacked => "listpack",
        Kind::HashPackedTtl => "listpackex",
        Kind::SetInts => "intset",
        Kind::BigList => "quicklist",
        Kind::BigSet | Kind::BigSetDated | Kind::BigHash => "hashtable",
        Kind::BigZSet | Kind::BigZSetDated => "skiplist",
        Kind::BigStream => "stream",
        Kind::BigArray => "sliced-array",
        // What the reference shows for the values of all modules.
        Kind::BigVector => "raw",
    }
}

/// The soonest deadline of an element of a value (a hash's field, a set's member, a message that a stream knows); nothing if
/// none has one. O(1).
#[inline]
pub fn soonest(entry: EntryRef<'_>) -> Option<i64> {
    match Kind::of(entry.kind()) {
        Kind::HashPackedTtl | Kind::BigHash => super::Hash::soonest(entry),
        Kind::BigSetDated | Kind::BigZSetDated => soonest_member(entry),
        Kind::BigStream => super::Stream::soonest(entry),
        _ => None,
    }
}

/// The soonest deadline of a member of a set or sorted set. Nothing else has one, and most are told by their kind alone.
#[inline]
pub fn soonest_member(entry: EntryRef<'_>) -> Option<i64> {
    if entry.kind() < Kind::BigSetDated as u8 {
        return None;
    }
    match entry.big() {
        Some(Big::DatedSet(set)) => set.soonest(),
        Some(Big::DatedZSet(zset)) => zset.soonest(),
        _ => None,
    }
}

/// Number of members of a set or sorted set with deadlines.
pub fn count(entry: EntryRef<'_>) -> usize {
    match entry.big() {
        Some(Big::DatedSet(set)) => set.members().len(),
        Some(Big::DatedZSet(zset)) => zset.sorted().len(),
        _ => 0,
    }
}

/// Whether every member of a set or sorted set was due by `now_ms`.
pub fn is_all_due(entry: EntryRef<'_>, now_ms: i64) -> bool {
    match entry.big() {
        Some(Big::DatedSet(set)) => set.is_all_due(now_ms),
        Some(Big::DatedZSet(zset)) => zset.is_all_due(now_ms),
        _ => false,
    }
}

/// Removes elements that were due by `now_ms`, the soonest first, at most `most`, and names those that a key loses (what a
/// stream forgets has no name); how many.
pub fn remove_due(
    entry: EntryMut<'_>,
    limits: &Limits,
    now_ms: i64,
    most: usize,
    mut gone: impl FnMut(&[u8]),
) -> usize {
    match Kind::of(entry.kind()).type_of() {
        Type::Hash => super::Hash::edit(entry, limits).remove_all_due(now_ms, most, gone),
        Type::Set => super::Set::edit(entry, limits).remove_due(now_ms, most, &mut gone),
        Type::ZSet => super::ZSet::edit(entry, limits).remove_due(now_ms, most, &mut gone),
        Type::Stream => super::Stream::edit(entry, limits).idmp_mut().remove_due(now_ms, most),
        _ => 0,
    }
}

/// Whether a value of elements with deadlines has none left. A stream stays without.
pub fn is_emptied(entry: EntryRef<'_>) -> bool {
    match Kind::of(entry.kind()).type_of() {
        Type::Hash => super::Hash::is_empty(entry),
        Type::Set => super::Set::is_empty(entry),
        Type::ZSet => super::ZSet::is_empty(entry),
        _ => false,
    }
}

/// A copy of an entry under another name, with its deadline and access bits.
pub fn copy_of(entry: EntryRef<'_>, key: &[u8]) -> Entry {
    match entry.big() {
        Some(big) => Entry::new_big(key, entry.kind(), Box::new(big.deep_clone()), entry.lru(), entry.deadline()),
        None => Entry::new(key, entry.kind(), entry.value(), entry.lru(), entry.deadline()),
    }
}

/// Up to where values stay packed; copies of the configuration's thresholds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest string in bytes (`proto-max-bulk-len`).
    pub bulk_len: u64,
    /// Most pairs of a packed hash.
    pub hash_entries: usize,
    /// Longest field or value of a packed hash, bytes.
    pub hash_value: usize,
    /// Most members of a set of integers.
    pub set_ints: usize,
    /// Most members of a packed set.
    pub set_entries: usize,
    /// Longest member of a packed set, bytes.
    pub set_value: usize,
    /// Most members of a packed sorted set.
    pub zset_entries: usize,
    /// Longest member of a packed sorted set, bytes.
    pub zset_value: usize,
    /// Indexes of a slice of new arrays: a power of two.
    pub array_slice: usize,
    /// When slices of arrays count as dense.
    pub array: Thresholds,
    /// Node size of lists: bytes class if negative, elements if positive.
    pub list_max: i32,
    /// Nodes left uncompressed at each end; 0 compresses none.
    pub list_compress_depth: u32,
    /// Elements from this many bytes on get a node of their own; 0 for the default.
    pub list_packed_threshold: usize,
    /// Most bytes of a stream's node; 0: no limit.
    pub stream_bytes: usize,
    /// Most entries of a stream's node; 0: no limit.
    pub stream_entries: u64,
    /// What new streams remember of producers.
    pub stream_memory: Memory,
    /// The hash of members and fields of new tables.
    pub hasher: Hasher,
}

impl Limits {
    /// How nodes of lists are filled.
    pub fn list_fill(&self) -> Fill {
        Fill {
            list_max: self.list_max,
            compress_depth: self.list_compress_depth,
            packed_threshold: self.list_packed_threshold,
        }
    }

    /// The defaults, with tables that hash by `hasher`.
    pub fn new(hasher: Hasher) -> Self {
        Limits {
            bulk_len: 512 << 20,
            hash_entries: 128,
            hash_value: 64,
            set_ints: 512,
            set_entries: 128,
            set_value: 64,
            zset_entries: 128,
            zset_value: 64,
            array_slice: 4096,
            array: Thresholds { dense_above: 10, sparse_below: 5 },
            list_max: -2,
            list_compress_depth: 0,
            list_packed_threshold: 0,
            stream_bytes: 4096,
            stream_entries: 100,
            stream_memory: Memory::default(),
            hasher,
        }
    }
}

/// A type's marker: how its values are made, read and changed.
pub trait Value: Sized {
    /// Its type.
    const TYPE: Type;
    /// To read.
    type Ref<'a>;
    /// To change.
    type Mut<'a>;
    /// Reads an entry of this type.
    fn view(entry: EntryRef<'_>) -> Self::Ref<'_>;
    /// Reads an entry of this type; elements that were due by `now_ms` (Unix milliseconds) are hidden.
    #[inline]
    fn view_at(entry: EntryRef<'_>, _now_ms: i64) -> Self::Ref<'_> {
        Self::view(entry)
    }
    /// The soonest deadline of an element; nothing for types whose elements have none.
    #[inline]
    fn soonest(_entry: EntryRef<'_>) -> Option<i64> {
        None
    }
    /// Changes an entry of this type.
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> Self::Mut<'a>;
    /// A new, empty value for `key`.
    fn create(key: &[u8], limits: &Limits, lru: u32) -> Entry;
    /// Whether nothing is left, so that the key must go. Never for strings.
    fn is_empty(entry: EntryRef<'_>) -> bool;
}
