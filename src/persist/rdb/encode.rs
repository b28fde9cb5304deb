//! Writes values. Knows no file.
//!
//! ```text
//!  0 string             string
//!  2 set                n string*n
//!  4 hash               n (field value)*n
//!  5 sorted set         n (member score-f64)*n            from the greatest to the least
//! 11 intset, 16 hash, 17 sorted set, 20 set               one string: the packed value in its wire form
//! 18 list               n (container string)*n            1 one large element, 2 a listpack
//! 21, 26, 27 stream     drawn in stream.rs
//! 24 hash               soonest-ms-u64 n (ttl field value)*n   ttl: deadline - soonest + 1, or 0 for none
//! 25 hash               soonest-ms-u64 string             listpack of field, value, deadline or 0
//! 200 array             next-of-ring n (index text)*n
//! 201 vector set        drawn in vector.rs
//! 202 set               soonest-ms-u64 n (ttl member)*n
//! 203 sorted set        soonest-ms-u64 n (ttl member score-f64)*n      from the greatest to the least
//! ```

use super::{code, container, string_form as form};
use crate::base::lzf::Compressor;
use crate::base::number;
use crate::ds::array::Array;
use crate::ds::quicklist::NodeView;
use crate::ds::record::FieldRef;
use crate::ds::sorted::Sorted;
use crate::ds::{intset, listpack};
use crate::types::{
    self, Big, DatedHash, DatedSet, DatedZSet, EntryRef, Hash, Kind, Piece, Scratch, Str, StrRef, Stream, Value,
};

/// Strings up to here are not worth compressing, bytes.
const COMPRESS_FROM_BYTES: usize = 20;
/// What compressing must save, bytes.
const SAVED_BYTES: usize = 4;
/// Longest text of a number that is written as one.
const INT_TEXT_MAX: usize = 11;

/// Where bytes go. A sink that can fail remembers it and is asked at the end.
pub trait Sink {
    /// Takes bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes lengths, strings and values into a sink.
pub struct Encoder<S> {
    /// Where they go.
    pub sink: S,
    compressor: Option<Compressor>,
}

impl<S: Sink> Encoder<S> {
    /// Into `sink`; `compress`: long strings by LZF.
    pub fn new(sink: S, compress: bool) -> Self {
        Encoder { sink, compressor: compress.then(Compressor::default) }
    }

    /// A byte.
    #[inline]
    pub fn byte(&mut self, byte: u8) {
        self.sink.put(&[byte]);
    }

    /// A length or another whole number.
    #[inline]
    pub fn length(&mut self, length: u64) {
        put_length(&mut self.sink, length);
    }

    /// A string in its shortest form.
    #[inline]
    pub fn string(&mut self, text: &[u8]) {
        if text.len() <= INT_TEXT_MAX {
            if let Some(number) = number::parse_i64(text).and_then(|n| i32::try_from(n).ok()) {
                return self.small_int(number);
            }
        } else if text.len() > COMPRESS_FROM_BYTES {
            let Encoder { sink, compressor } = self;
            let packed = compressor.as_mut().and_then(|c| c.compress(text, text.len() - SAVED_BYTES));
            if let Some(packed) = packed {
                sink.put(&[form::LZF]);
                put_length(sink, packed.len() as u64);
                put_length(sink, text.len() as u64);
                return sink.put(packed);
            }
        }
        self.length(text.len() as u64);
        self.sink.put(text);
    }

    /// The text of an integer.
    pub fn int(&mut self, number: i64) {
        match i32::try_from(number) {
            Ok(small) => self.small_int(small),
            Err(_) => {
                let mut digits = itoa::Buffer::new();
                let text = digits.format(number).as_bytes();
                self.length(text.len() as u64);
                self.sink.put(text);
            }
        }
    }

    fn small_int(&mut self, number: i32) {
        let [b0, b1, ..] = number.to_le_bytes();
        if i8::try_from(number).is_ok() {
            self.sink.put(&[form::INT_8, b0]);
        } else if i16::try_from(number).is_ok() {
            self.sink.put(&[form::INT_16, b0, b1]);
        } else {
            self.sink.put(&[form::INT_32]);
            self.sink.put(&number.to_le_bytes());
        }
    }

    /// The value of an entry, without its type.
    pub fn value(&mut self, entry: EntryRef<'_>) {
        match Kind::of(entry.kind()) {
            Kind::Int | Kind::Str | Kind::StrRaw | Kind::BigStr => match Str::view(entry) {
                StrRef::Int(number) => self.int(number),
                text => self.string(text.bytes(&mut Scratch::default())),
            },
            Kind::SetInts => self.string(&intset::to_wire(entry.value())),
            Kind::SetPacked | Kind::HashPacked | Kind::ZSetPacked => self.string(&listpack::to_wire(entry.value())),
            Kind::ListPacked => {
                self.length(1);
                self.length(container::PACKED);
                self.string(&listpack::to_wire(entry.value()));
            }
            Kind::HashPackedTtl => self.dated_pack(entry),
            Kind::BigList
            | Kind::BigSet
            | Kind::BigSetDated
            | Kind::BigHash
            | Kind::BigZSet
            | Kind::BigZSetDated
            | Kind::BigStream
            | Kind::BigArray
            | Kind::BigVector => self.big(entry),
        }
    }

    fn big(&mut self, entry: EntryRef<'_>) {
        match entry.big() {
            Some(Big::List(nodes)) => {
                self.length(nodes.node_count() as u64);
                nodes.nodes().for_each(|node| self.node(node));
            }
            Some(Big::Set(table)) => {
                self.length(table.len() as u64);
                table.iter().for_each(|member| self.string(member.bytes()));
            }
            Some(Big::Hash(table)) => {
                self.length(table.len() as u64);
                for field in table.iter() {
                    self.string(field.field());
                    self.string(field.value());
                }
            }
            Some(Big::DatedHash(hash)) => {
                self.dated_head(hash);
                hash.table().iter().for_each(|field| self.dated_field(field, hash.soonest()));
            }
            Some(Big::DatedSet(set)) => {
                self.dated_set_head(set);
                for member in set.members().iter() {
                    self.distance(set.soonest(), set.deadline(member.bytes()));
                    self.string(member.bytes());
                }
            }
            Some(Big::ZSet(tree)) => {
                self.length(tree.len() as u64);
                self.members(tree);
            }
            Some(Big::DatedZSet(dated)) => {
                self.dated_zset_head(dated);
                self.dated_members(dated);
            }
            Some(Big::Stream(stream)) => self.stream(stream),
            Some(Big::Array(slots)) => self.array(slots),
            Some(Big::Vector(vectors)) => self.vectors(vectors),
            Some(Big::Str(text)) => self.string(text),
            None => unreachable!("the kind says that there is a box"),
        }
    }

    /// What stands before the elements of a large collection that comes in pieces.
    pub fn value_head(&mut self, entry: EntryRef<'_>) {
        match entry.big() {
            Some(Big::DatedHash(hash)) => self.dated_head(hash),
            Some(Big::DatedSet(set)) => {
                self.dated_set_head(set);
                if set.soonest().is_some() {
                    self.length(set.dated() as u64);
                }
            }
            Some(Big::Set(table)) => self.length(table.len() as u64),
            Some(Big::Hash(table)) => self.length(table.len() as u64),
            Some(Big::ZSet(sorted)) => self.length(sorted.len() as u64),
            Some(Big::List(nodes)) => self.length(nodes.node_count() as u64),
            Some(Big::DatedZSet(dated)) => {
                self.dated_zset_head(dated);
                if dated.soonest().is_some() {
                    self.length(dated.dated() as u64);
                }
            }
            Some(Big::Stream(stream)) => self.length(stream.log().node_count() as u64),
            Some(Big::Array(slots)) => self.array_head(slots),
            Some(Big::Vector(vectors)) => self.vectors_head(vectors),
            Some(Big::Str(_)) | None => {}
        }
    }

    /// One element of such a collection. `soonest`: what `value_head` wrote of one with deadlines.
    #[inline]
    pub fn element(&mut self, piece: Piece<'_>, soonest: Option<i64>) {
        match piece {
            Piece::Member(member) => self.string(member),
            Piece::Node(node) => self.node(node),
            Piece::Scored(member, score) => {
                self.string(member);
                self.sink.put(&score.to_le_bytes());
            }
            Piece::MemberOfDatedSet(member) => {
                self.length(0);
                self.string(member);
            }
            Piece::MemberOfDated(member, score) => {
                self.length(0);
                self.string(member);
                self.sink.put(&score.to_le_bytes());
            }
            Piece::Text(index, word) => {
                self.length(index);
                word.read(|text| self.string(text.text(&mut itoa::Buffer::new())));
            }
            Piece::Stream(piece) => self.stream_piece(piece),
            Piece::Vector(node, attributes) => self.node_of(node, attributes),
            Piece::Field(field, value, deadline) => {
                self.distance(soonest, deadline);
                self.string(field);
                self.string(value);
            }
            Piece::DatedMember(member, deadline) => {
                self.distance(soonest, deadline);
                self.string(member);
            }
        }
    }

    fn array(&mut self, slots: &Array) {
        self.array_head(slots);
        slots.walk(0, u64::MAX, false, |index, word| {
            self.element(Piece::Text(index, word), None);
            true
        });
    }

    fn array_head(&mut self, slots: &Array) {
        self.length(slots.last_insert.map_or(0, |last| last.saturating_add(1)));
        self.length(slots.count());
    }

    fn node(&mut self, node: NodeView<'_>) {
        self.length(if node.is_plain() { container::PLAIN } else { container::PACKED });
        self.string(&node.wire());
    }

    fn dated_head(&mut self, hash: &DatedHash) {
        if let Some(soonest) = hash.soonest() {
            self.sink.put(&soonest.to_le_bytes());
        }
        self.length(hash.table().len() as u64);
    }

    fn dated_field(&mut self, field: FieldRef<'_>, soonest: Option<i64>) {
        self.element(Piece::Field(field.field(), field.value(), field.deadline()), soonest);
    }

    /// How long after the soonest deadline another one is; nothing where none has one.
    fn distance(&mut self, soonest: Option<i64>, deadline: Option<i64>) {
        if let Some(soonest) = soonest {
            let ttl = deadline.map_or(0, |at| at.saturating_sub(soonest).saturating_add(1));
            self.length(u64::try_from(ttl).unwrap_or(0));
        }
    }

    fn dated_set_head(&mut self, set: &DatedSet) {
        if let Some(soonest) = set.soonest() {
            self.sink.put(&soonest.to_le_bytes());
        }
        self.length(set.members().len() as u64);
    }

    fn dated_zset_head(&mut self, dated: &DatedZSet) {
        if let Some(soonest) = dated.soonest() {
            self.sink.put(&soonest.to_le_bytes());
        }
        self.length(dated.sorted().len() as u64);
    }

    /// Members of a sorted set from the greatest down.
    fn members(&mut self, tree: &Sorted) {
        for (member, score) in tree.range(tree.len().saturating_sub(1), true) {
            self.string(member);
            self.sink.put(&score.to_le_bytes());
        }
    }

    fn dated_members(&mut self, dated: &DatedZSet) {
        let (tree, soonest) = (dated.sorted(), dated.soonest());
        for (member, score) in tree.range(tree.len().saturating_sub(1), true) {
            self.distance(soonest, dated.deadline(member));
            self.string(member);
            self.sink.put(&score.to_le_bytes());
        }
    }

    fn dated_pack(&mut self, entry: EntryRef<'_>) {
        match types::soonest(entry) {
            Some(soonest) => {
                self.sink.put(&soonest.to_le_bytes());
                self.string(&listpack::to_wire(entry.value()));
            }
            // Its fields had deadlines once: now it is a hash like others, which more readers know.
            None => {
                let mut pairs = listpack::EMPTY.to_vec();
                Hash::view(entry).for_each(|field, value| listpack::push_back_all(&mut pairs, &[field, value]));
                self.string(&listpack::to_wire(&pairs));
            }
        }
    }
}

fn put_length(sink: &mut impl Sink, length: u64) {
    let [.., b3, b2, b1, b0] = length.to_be_bytes();
    if length < 1 << 6 {
        sink.put(&[b0]);
    } else if length < 1 << 14 {
        sink.put(&[form::BITS_14 | b1, b0]);
    } else if length <= u64::from(u32::MAX) {
        sink.put(&[form::BITS_32, b3, b2, b1, b0]);
    } else {
        sink.put(&[form::BITS_64]);
        sink.put(&length.to_be_bytes());
    }
}

/// The code of the type that a large collection is written as that comes in pieces.
pub fn code_of_parts(entry: EntryRef<'_>) -> u8 {
    match code_of(entry) {
        code::SET_DATED => code::SET_DATED_PARTS,
        code::ZSET_DATED => code::ZSET_DATED_PARTS,
        code => code,
    }
}

/// The code of the type that an entry's value is written as.
pub fn code_of(entry: EntryRef<'_>) -> u8 {
    match Kind::of(entry.kind()) {
        Kind::Int | Kind::Str | Kind::StrRaw | Kind::BigStr => code::STRING,
        Kind::ListPacked | Kind::BigList => code::LIST_QUICKLIST_2,
        Kind::SetInts => code::SET_INTSET,
        Kind::SetPacked => code::SET_LISTPACK,
        Kind::BigSetDated if types::soonest(entry).is_some() => code::SET_DATED,
        Kind::BigSet | Kind::BigSetDated => code::SET,
        Kind::HashPacked => code::HASH_LISTPACK,
        Kind::HashPackedTtl if types::soonest(entry).is_some() => code::HASH_LISTPACK_EX,
        Kind::HashPackedTtl => code::HASH_LISTPACK,
        Kind::BigHash if types::soonest(entry).is_some() => code::HASH_METADATA,
        Kind::BigHash => code::HASH,
        Kind::ZSetPacked => code::ZSET_LISTPACK,
        Kind::BigStream => super::stream::code_of(Stream::view(entry)),
        Kind::BigArray => code::ARRAY,
        Kind::BigVector => code::VECTORS,
        Kind::BigZSetDated if types::soonest(entry).is_some() => code::ZSET_DATED,
        Kind::BigZSet | Kind::BigZSetDated => code::ZSET_2,
    }
}
