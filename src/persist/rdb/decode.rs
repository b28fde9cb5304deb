//! Reads values, of every type that Redis wrote. Knows no file.
//!
//! ```text
//! what is written (encode.rs), and besides:
//!  1 list        n string*n                 3 sorted set  n (member score-text)*n
//!  9 hash        zipmap                    10 list, 12 sorted set, 13 hash   ziplist
//! 14 list        n ziplist*n
//! 22, 23 hash    as 24 and 25 of encode.rs, without the soonest deadline; each ttl is a deadline
//! ```
//!
//! Input may be hostile. Invariant: an entry that comes out is whole, has no member or field twice, no score that is not a
//! number, and is kept as the limits say; what is reserved for it is in proportion to the bytes that were there.

use super::input::{Fault, Input, Reader};
use super::{code, container, old, stream, vector};
use crate::ds::intset;
use crate::ds::listpack::{self, Value as Elem};
use crate::ds::quicklist::QuickList;
use crate::ds::record::{Field, Member};
use crate::ds::table::Table;
use crate::types::{
    AddOptions, Added, Array, Big, Encoded, Entry, HashBuilder, Kind, Limits, Set, SetMut, Value, ZSet, ZSetMut,
    is_valid_dated_pack,
};
use std::collections::HashSet;

/// How values are read.
#[derive(Clone, Copy)]
pub struct Decode<'a> {
    /// Up to where they stay packed.
    pub limits: &'a Limits,
    /// Whether packed values are searched for members that are there twice: where no checksum vouches for them.
    pub deep: bool,
    /// The access bits of the entry.
    pub access: u32,
}

/// Reads the value of a type into an entry of this key.
///
/// # Errors
/// What is wrong with it; `Empty` for a collection of nothing.
pub fn decode_value<I: Input>(reader: &mut Reader<I>, code: u8, key: &[u8], how: &Decode<'_>) -> Result<Entry, Fault> {
    Decoder { reader, key, how, code }.value(code)
}

struct Decoder<'r, 'a, I> {
    reader: &'r mut Reader<I>,
    key: &'a [u8],
    how: &'a Decode<'a>,
    code: u8,
}

/// Pairs of a hash as they come.
enum Pairs {
    Packed(Vec<u8>),
    Table(Table<Field>),
}

impl<I: Input> Decoder<'_, '_, I> {
    fn value(&mut self, code: u8) -> Result<Entry, Fault> {
        match code {
            code::STRING => self.string(),
            code::LIST | code::LIST_ZIPLIST | code::LIST_QUICKLIST | code::LIST_QUICKLIST_2 => self.list(code),
            code::SET => self.set(),
            code::SET_INTSET => self.set_ints(),
            code::SET_LISTPACK => self.set_packed(),
            code::SET_DATED => self.set_dated(),
            code::SET_DATED_PARTS => self.set_dated_parts(),
            code::ZSET_DATED => self.zset_dated(),
            code::ZSET_DATED_PARTS => self.zset_dated_parts(),
            code::ZSET | code::ZSET_2 => self.zset(code == code::ZSET),
            code::ZSET_ZIPLIST | code::ZSET_LISTPACK => self.zset_packed(code == code::ZSET_ZIPLIST),
            code::HASH => self.hash(),
            code::HASH_ZIPMAP | code::HASH_ZIPLIST | code::HASH_LISTPACK => self.hash_packed(code),
            code::HASH_METADATA | code::HASH_METADATA_PRE_GA => self.hash_dated(code == code::HASH_METADATA),
            code::HASH_LISTPACK_EX | code::HASH_LISTPACK_EX_PRE_GA => {
                self.hash_dated_packed(code == code::HASH_LISTPACK_EX)
            }
            code::STREAM_LISTPACKS
            | code::STREAM_LISTPACKS_2
            | code::STREAM_LISTPACKS_3
            | code::STREAM_LISTPACKS_4
            | code::STREAM_LISTPACKS_5 => {
                Ok(stream::decode(self.reader, code)?.into_entry(self.key, self.how.access, None))
            }
            code::ARRAY => self.array(),
            code::VECTORS => {
                let vectors = vector::decode(self.reader)?;
                self.big_entry(Kind::BigVector, Big::Vector(Box::new(vectors)))
            }
            code::MODULE | code::MODULE_2 => Err(self.unsupported("a value of a module, which this server has not")),
            code::ARRAY_OF_8_8 => {
                Err(self.unsupported("a value of type 28, an array in the form of Redis 8.8 or newer"))
            }
            code => Err(self.unsupported(format!("a value of the unknown type {code}"))),
        }
    }

    #[cold]
    fn unsupported(&self, what: impl Into<String>) -> Fault {
        Fault::Unsupported { offset: self.reader.input.offset(), what: what.into() }
    }

    #[cold]
    fn packed_fault(&self, what: &'static str) -> Fault {
        let kind = match self.code {
            code::SET_INTSET => "Intset",
            code::HASH_ZIPMAP => "Zipmap",
            code::HASH_ZIPLIST => "Hash ziplist",
            code::ZSET_ZIPLIST => "Zset ziplist",
            code::LIST_ZIPLIST | code::LIST_QUICKLIST => "Ziplist",
            code::LIST_QUICKLIST_2 => "List listpack",
            code::HASH_LISTPACK | code::HASH_LISTPACK_EX | code::HASH_LISTPACK_EX_PRE_GA => "Hash listpack",
            code::ZSET_LISTPACK => "Zset listpack",
            _ => "Listpack",
        };
        Fault::Packed { offset: self.reader.input.offset(), kind, what }
    }

    fn packed_entry(&self, kind: Kind, value: &[u8]) -> Result<Entry, Fault> {
        Ok(Entry::new(self.key, kind as u8, value, self.how.access, None))
    }

    fn big_entry(&self, kind: Kind, big: Big) -> Result<Entry, Fault> {
        Ok(Entry::new_big(self.key, kind as u8, Box::new(big), self.how.access, None))
    }

    /// The next string as a listpack of ours.
    fn listpack(&mut self) -> Result<Vec<u8>, Fault> {
        let read = listpack::from_wire(self.reader.string()?);
        read.map_err(|fault| self.packed_fault(fault.what))
    }

    /// The next string, a ziplist, as a listpack of ours.
    fn ziplist(&mut self) -> Result<Vec<u8>, Fault> {
        let mut pack = listpack::EMPTY.to_vec();
        let read = old::ziplist(self.reader.string()?, |elem| listpack::push_back(&mut pack, elem));
        read.map_err(|fault| self.packed_fault(fault.what))?;
        Ok(pack)
    }

    /// Every `stride`-th element must be another one.
    fn check_distinct(&self, pack: &[u8], stride: usize) -> Result<(), Fault> {
        if self.how.deep && !are_distinct(pack, stride) {
            return Err(self.packed_fault(DUPLICATES));
        }
        Ok(())
    }

    /// Elements come in pairs.
    fn check_pairs(&self, pack: &[u8]) -> Result<usize, Fault> {
        match listpack::count(pack) {
            0 => Err(Fault::Empty),
            odd if odd % 2 == 1 => Err(self.packed_fault("half a pair")),
            even => Ok(even / 2),
        }
    }

    // ---- Strings ----

    fn string(&mut self) -> Result<Entry, Fault> {
        let (key, access) = (self.key, self.how.access);
        let text = self.reader.string()?;
        let entry = Encoded::of(text, None).store(key, None, access);
        Ok(entry.expect("without an old entry a new one is made"))
    }

    // ---- Arrays ----

    fn array(&mut self) -> Result<Entry, Fault> {
        let next = self.reader.length()?;
        let count = self.reader.length()?;
        let mut entry = Array::create(self.key, self.how.limits, self.how.access);
        let Some(Big::Array(slots)) = entry.big_mut() else { unreachable!("an array has one form") };
        for _ in 0..count {
            let index = self.reader.length()?;
            if index == u64::MAX || !slots.set(index, self.reader.string()?) {
                return Err(self.reader.corrupt("an index that is there twice, or beyond all"));
            }
        }
        slots.last_insert = next.checked_sub(1);
        if slots.is_empty() { Err(Fault::Empty) } else { Ok(entry) }
    }

    // ---- Lists ----

    fn list(&mut self, code: u8) -> Result<Entry, Fault> {
        let fill = self.how.limits.list_fill();
        let mut nodes = QuickList::new(fill);
        let count = if code == code::LIST_ZIPLIST { 1 } else { self.reader.length()? };
        for _ in 0..count {
            match code {
                code::LIST => nodes.push_back(self.reader.string()?),
                code::LIST_QUICKLIST_2 => match self.reader.length()? {
                    container::PLAIN => match self.reader.owned_string()? {
                        empty if empty.is_empty() => return Err(self.reader.corrupt("a list node of nothing")),
                        element => nodes.push_back_plain(element),
                    },
                    container::PACKED => nodes.push_back_node(self.listpack()?),
                    _ => return Err(self.reader.corrupt("a list node of no known form")),
                },
                _ => nodes.push_back_node(self.ziplist()?),
            }
        }
        if nodes.is_empty() {
            return Err(Fault::Empty);
        }
        let single = (nodes.node_count() == 1).then(|| nodes.to_packed(fill.max_bytes(), fill.max_count()));
        match single.flatten() {
            Some(pack) => self.packed_entry(Kind::ListPacked, &pack),
            None => self.big_entry(Kind::BigList, Big::List(Box::new(nodes))),
        }
    }

    // ---- Sets ----

    fn set(&mut self) -> Result<Entry, Fault> {
        let count = self.reader.length()?;
        if count == 0 {
            return Err(Fault::Empty);
        }
        let mut entry = Set::create(self.key, self.how.limits, self.how.access);
        let mut set = SetMut::of(&mut entry, self.how.limits);
        for nth in 0..count {
            let member = self.reader.string()?;
            if nth == 0 {
                set.prepare(member, usize::try_from(count).unwrap_or(usize::MAX));
            }
            if !set.add(member) {
                return Err(self.reader.corrupt("a member that is there twice"));
            }
        }
        Ok(entry)
    }

    fn set_ints(&mut self) -> Result<Entry, Fault> {
        let read = intset::from_wire(self.reader.string()?);
        let ints = read.map_err(|fault| self.packed_fault(fault.what))?;
        if intset::is_empty(&ints) {
            return Err(Fault::Empty);
        }
        if intset::len(&ints) <= self.how.limits.set_ints {
            return self.packed_entry(Kind::SetInts, &ints);
        }
        self.set_table(intset::iter(&ints).map(Elem::Int))
    }

    fn set_packed(&mut self) -> Result<Entry, Fault> {
        let pack = self.listpack()?;
        let count = listpack::count(&pack);
        if count == 0 {
            return Err(Fault::Empty);
        }
        if count > self.how.limits.set_entries {
            return self.set_table(listpack::iter(&pack).map(|(_, elem)| elem));
        }
        self.check_distinct(&pack, 1)?;
        self.packed_entry(Kind::SetPacked, &pack)
    }

    fn set_table<'e>(&self, elems: impl Iterator<Item = Elem<'e>>) -> Result<Entry, Fault> {
        let mut table = Table::new(self.how.limits.hasher);
        let mut digits = itoa::Buffer::new();
        for elem in elems {
            let member = elem.text(&mut digits);
            let hash = table.hasher().hash(member);
            if table.get(hash, member).is_some() {
                return Err(self.reader.corrupt("a member that is there twice"));
            }
            table.insert_new(hash, Member::new(member));
        }
        self.big_entry(Kind::BigSet, Big::Set(table))
    }

    fn set_dated(&mut self) -> Result<Entry, Fault> {
        let soonest = self.soonest()?;
        let count = self.reader.length()?;
        let mut entry = Set::create(self.key, self.how.limits, self.how.access);
        let mut set = SetMut::of(&mut entry, self.how.limits);
        let mut member = Vec::new();
        for _ in 0..count {
            let deadline = self.deadline(Some(soonest))?;
            self.reader.string_into(&mut member)?;
            if !set.add(&member) {
                return Err(self.reader.corrupt("a member that is there twice"));
            }
            set.set_deadline(&member, deadline);
        }
        if count == 0 { Err(Fault::Empty) } else { Ok(entry) }
    }

    /// The name of the next member, or of one with its deadline; one less of these is left.
    fn dated_part(
        &mut self,
        member: &mut Vec<u8>,
        soonest: u64,
        [members, dates]: [&mut u64; 2],
    ) -> Result<Option<i64>, Fault> {
        let deadline = self.deadline(Some(soonest))?;
        self.reader.string_into(member)?;
        let left = if deadline.is_some() { dates } else { members };
        *left = left.checked_sub(1).ok_or_else(|| self.reader.corrupt("more members or deadlines than were told"))?;
        Ok(deadline)
    }

    /// Members and deadlines as they come: a deadline may come before its member.
    fn set_dated_parts(&mut self) -> Result<Entry, Fault> {
        let soonest = self.soonest()?;
        let (mut members, mut dates) = (self.reader.length()?, self.reader.length()?);
        if members == 0 {
            return Err(Fault::Empty);
        }
        let mut entry = Set::create(self.key, self.how.limits, self.how.access);
        let mut set = SetMut::of(&mut entry, self.how.limits);
        let (mut member, mut deadlines) = (Vec::new(), Vec::new());
        while members > 0 || dates > 0 {
            match self.dated_part(&mut member, soonest, [&mut members, &mut dates])? {
                Some(at) => deadlines.push((member.clone().into_boxed_slice(), at)),
                None if set.add(&member) => {}
                None => return Err(self.reader.corrupt("a member that is there twice")),
            }
        }
        for (member, at) in deadlines {
            if !set.set_deadline(&member, Some(at)) {
                return Err(self.reader.corrupt("a deadline of a member that is not there"));
            }
        }
        Ok(entry)
    }

    // ---- Sorted sets ----

    fn zset_dated(&mut self) -> Result<Entry, Fault> {
        let soonest = self.soonest()?;
        let count = self.reader.length()?;
        let mut entry = ZSet::create(self.key, self.how.limits, self.how.access);
        let mut zset = ZSetMut::of(&mut entry, self.how.limits);
        let mut member = Vec::new();
        for _ in 0..count {
            let deadline = self.deadline(Some(soonest))?;
            self.reader.string_into(&mut member)?;
            if !matches!(zset.add(&member, self.reader.double()?, AddOptions::default()), Added::New(_)) {
                return Err(self.reader.corrupt("a member that is there twice"));
            }
            zset.set_deadline(&member, deadline);
        }
        if count == 0 { Err(Fault::Empty) } else { Ok(entry) }
    }

    /// Members and deadlines as they come: a deadline may come before its member.
    fn zset_dated_parts(&mut self) -> Result<Entry, Fault> {
        let soonest = self.soonest()?;
        let (mut members, mut dates) = (self.reader.length()?, self.reader.length()?);
        if members == 0 {
            return Err(Fault::Empty);
        }
        let mut entry = ZSet::create(self.key, self.how.limits, self.how.access);
        let mut zset = ZSetMut::of(&mut entry, self.how.limits);
        zset.prepare(usize::try_from(members).unwrap_or(usize::MAX), 0);
        let (mut member, mut deadlines) = (Vec::new(), Vec::new());
        while members > 0 || dates > 0 {
            match self.dated_part(&mut member, soonest, [&mut members, &mut dates])? {
                Some(at) => deadlines.push((member.clone().into_boxed_slice(), at)),
                None => {
                    if !matches!(zset.add(&member, self.reader.double()?, AddOptions::default()), Added::New(_)) {
                        return Err(self.reader.corrupt("a member that is there twice"));
                    }
                }
            }
        }
        for (member, at) in deadlines {
            if !zset.set_deadline(&member, Some(at)) {
                return Err(self.reader.corrupt("a deadline of a member that is not there"));
            }
        }
        Ok(entry)
    }

    fn zset(&mut self, scores_as_text: bool) -> Result<Entry, Fault> {
        let count = self.reader.length()?;
        if count == 0 {
            return Err(Fault::Empty);
        }
        let mut entry = ZSet::create(self.key, self.how.limits, self.how.access);
        let mut zset = ZSetMut::of(&mut entry, self.how.limits);
        zset.prepare(usize::try_from(count).unwrap_or(usize::MAX), 0);
        let mut member = Vec::new();
        for _ in 0..count {
            self.reader.string_into(&mut member)?;
            let score = if scores_as_text { self.reader.double_text()? } else { self.reader.double()? };
            if !matches!(zset.add(&member, score, AddOptions::default()), Added::New(_)) {
                return Err(self.reader.corrupt("a member that is there twice"));
            }
        }
        Ok(entry)
    }

    fn zset_packed(&mut self, is_ziplist: bool) -> Result<Entry, Fault> {
        let pack = if is_ziplist { self.ziplist()? } else { self.listpack()? };
        let count = self.check_pairs(&pack)?;
        let mut digits = itoa::Buffer::new();
        let (mut ordered, mut longest) = (true, 0);
        let mut before: Option<(f64, Vec<u8>)> = None;
        for (member, score) in pairs(&pack) {
            let score = score.to_f64().filter(|score| !score.is_nan());
            let score = score.ok_or_else(|| self.packed_fault("a score that is not a number"))?;
            let member = member.text(&mut digits);
            longest = longest.max(member.len());
            let (old_score, old_member) = before.get_or_insert_with(|| (f64::NEG_INFINITY, Vec::new()));
            ordered &= score > *old_score || (score == *old_score && member >= old_member.as_slice());
            *old_score = score;
            old_member.clear();
            old_member.extend_from_slice(member);
        }
        let limits = self.how.limits;
        let fits = count <= limits.zset_entries && !(is_ziplist && longest > limits.zset_value);
        if fits && ordered {
            self.check_distinct(&pack, 2)?;
            return self.packed_entry(Kind::ZSetPacked, &pack);
        }
        let mut entry = ZSet::create(self.key, limits, self.how.access);
        let mut zset = ZSetMut::of(&mut entry, limits);
        zset.prepare(count, longest);
        for (member, score) in pairs(&pack) {
            let added = zset.add(member.text(&mut digits), score.to_f64().unwrap_or(0.0), AddOptions::default());
            if !matches!(added, Added::New(_)) {
                return Err(self.reader.corrupt("a member that is there twice"));
            }
        }
        Ok(entry)
    }

    // ---- Hashes ----

    fn hash(&mut self) -> Result<Entry, Fault> {
        let count = self.reader.length()?;
        if count == 0 {
            return Err(Fault::Empty);
        }
        let limits = self.how.limits;
        let mut pairs = match usize::try_from(count) {
            Ok(count) if count <= limits.hash_entries => Pairs::Packed(listpack::EMPTY.to_vec()),
            _ => Pairs::Table(Table::new(limits.hasher)),
        };
        let mut field = Vec::new();
        for _ in 0..count {
            self.reader.string_into(&mut field)?;
            let value = self.reader.string()?;
            if let Pairs::Packed(pack) = &mut pairs {
                if field.len() <= limits.hash_value && value.len() <= limits.hash_value {
                    listpack::push_back_all(pack, &[field.as_slice().into(), value.into()]);
                    continue;
                }
                let table = unpack(pack, limits);
                pairs = Pairs::Table(table.ok_or(Fault::Corrupt { offset: 0, what: TWICE })?);
            }
            let Pairs::Table(table) = &mut pairs else { continue };
            if !put(table, &field, value, None) {
                return Err(self.reader.corrupt(TWICE));
            }
        }
        match pairs {
            // Of few pairs, each of which may have come from anywhere.
            Pairs::Packed(pack) if are_distinct(&pack, 2) => self.packed_entry(Kind::HashPacked, &pack),
            Pairs::Packed(_) => Err(self.reader.corrupt(TWICE)),
            Pairs::Table(table) => self.big_entry(Kind::BigHash, Big::Hash(table)),
        }
    }

    fn hash_packed(&mut self, code: u8) -> Result<Entry, Fault> {
        let pack = match code {
            code::HASH_LISTPACK => self.listpack()?,
            code::HASH_ZIPLIST => self.ziplist()?,
            _ => self.zipmap()?,
        };
        let count = self.check_pairs(&pack)?;
        let limits = self.how.limits;
        let too_long = |(_, elem): (usize, Elem<'_>)| elem.text_len() > limits.hash_value;
        if count > limits.hash_entries || (code != code::HASH_LISTPACK && listpack::iter(&pack).any(too_long)) {
            let table = unpack(&pack, limits).ok_or_else(|| self.packed_fault(DUPLICATES))?;
            return self.big_entry(Kind::BigHash, Big::Hash(table));
        }
        self.check_distinct(&pack, 2)?;
        self.packed_entry(Kind::HashPacked, &pack)
    }

    /// What stands before dated fields: the soonest deadline, for those after it are told by their distance.
    fn soonest(&mut self) -> Result<u64, Fault> {
        Ok(u64::from_le_bytes(self.reader.array()?))
    }

    /// The deadline of the next element, by its distance from the soonest, or as it is.
    fn deadline(&mut self, soonest: Option<u64>) -> Result<Option<i64>, Fault> {
        let ttl = self.reader.length()?;
        let at = soonest.map_or(Some(ttl), |soonest| soonest.checked_add(ttl)?.checked_sub(1));
        match (ttl, at.and_then(|at| i64::try_from(at).ok())) {
            (0, _) => Ok(None),
            (_, Some(at @ 0..=MAX_DEADLINE_MS)) => Ok(Some(at)),
            _ => Err(self.reader.corrupt("a field's deadline beyond all times")),
        }
    }

    fn hash_dated(&mut self, is_relative: bool) -> Result<Entry, Fault> {
        let soonest = if is_relative { Some(self.soonest()?) } else { None };
        let count = self.reader.length()?;
        let mut hash = HashBuilder::new(self.how.limits, usize::try_from(count).unwrap_or(usize::MAX));
        let mut field = Vec::new();
        for _ in 0..count {
            let deadline = self.deadline(soonest)?;
            self.reader.string_into(&mut field)?;
            if !hash.add(&field, self.reader.string()?, deadline) {
                return Err(self.reader.corrupt(TWICE));
            }
        }
        hash.finish(self.key, self.how.access, None).ok_or(Fault::Empty)
    }

    fn hash_dated_packed(&mut self, has_soonest: bool) -> Result<Entry, Fault> {
        if has_soonest {
            // The first triple says the same.
            self.soonest()?;
        }
        let pack = self.listpack()?;
        if listpack::count(&pack) == 0 {
            return Err(Fault::Empty);
        }
        if !is_valid_dated_pack(&pack) || triples(&pack).any(|(_, _, at)| at > MAX_DEADLINE_MS) {
            return Err(self.packed_fault("triples that are no hash"));
        }
        let count = listpack::count(&pack) / 3;
        if count <= self.how.limits.hash_entries {
            return self.packed_entry(Kind::HashPackedTtl, &pack);
        }
        let mut hash = HashBuilder::new(self.how.limits, count);
        let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        for (field, value, at) in triples(&pack) {
            hash.add(field.text(&mut field_digits), value.text(&mut value_digits), (at != 0).then_some(at));
        }
        hash.finish(self.key, self.how.access, None).ok_or(Fault::Empty)
    }

    fn zipmap(&mut self) -> Result<Vec<u8>, Fault> {
        let mut pack = listpack::EMPTY.to_vec();
        let read = old::zipmap(self.reader.string()?, |field, value| {
            listpack::push_back_all(&mut pack, &[field.into(), value.into()]);
        });
        match read {
            Ok(0) => Err(self.packed_fault("no pairs")),
            Ok(_) => Ok(pack),
            Err(fault) => Err(self.packed_fault(fault.what)),
        }
    }
}

/// The last moment that a field's deadline may be, Unix milliseconds: 48 bits.
const MAX_DEADLINE_MS: i64 = (1 << 48) - 2;
const DUPLICATES: &str = "a listpack with dup elements";
const TWICE: &str = "a field that is there twice";

fn pairs(pack: &[u8]) -> impl Iterator<Item = (Elem<'_>, Elem<'_>)> {
    let mut walk = listpack::iter(pack).map(|(_, elem)| elem);
    std::iter::from_fn(move || Some((walk.next()?, walk.next()?)))
}

/// Fields, values and deadlines (0 for none) of a dated listpack that is valid.
fn triples(pack: &[u8]) -> impl Iterator<Item = (Elem<'_>, Elem<'_>, i64)> {
    let mut walk = listpack::iter(pack).map(|(_, elem)| elem);
    std::iter::from_fn(move || Some((walk.next()?, walk.next()?, walk.next()?.to_i64()?)))
}

/// Whether no two of every `stride`-th elements are equal. Entries are canonical: equal bytes are equal elements.
fn are_distinct(pack: &[u8], stride: usize) -> bool {
    /// Up to so many, comparing each with all is quicker than a table.
    const FEW: usize = 8;
    let elems = listpack::iter(pack).step_by(stride);
    if listpack::count(pack) <= FEW * stride {
        return elems.clone().enumerate().all(|(nth, (_, elem))| elems.clone().skip(nth + 1).all(|(_, e)| e != elem));
    }
    let mut seen = HashSet::with_capacity(listpack::count(pack) / stride);
    elems.map(|(_, elem)| elem).all(|elem| {
        seen.insert(match elem {
            Elem::Int(number) => (Some(number), &[][..]),
            Elem::Str(text) => (None, text),
        })
    })
}

/// Adds a field; false if it is there.
fn put(table: &mut Table<Field>, field: &[u8], value: &[u8], deadline: Option<i64>) -> bool {
    let hash = table.hasher().hash(field);
    if table.get(hash, field).is_some() {
        return false;
    }
    table.insert_new(hash, Field::new(field, value, deadline));
    true
}

/// A listpack's pairs as a table; `None` if a field is there twice.
fn unpack(pack: &[u8], limits: &Limits) -> Option<Table<Field>> {
    let mut table = Table::new(limits.hasher);
    let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let put = |(field, value): (Elem<'_>, Elem<'_>)| {
        put(&mut table, field.text(&mut field_digits), value.text(&mut value_digits), None)
    };
    pairs(pack).all(put).then_some(table)
}

/// Reads arbitrary bytes as a value of the type that the first of them says: no input may panic, and what is accepted is
/// written and read again to the same.
pub fn fuzz_value(data: &[u8]) {
    use super::{Encoder, Slice, code_of};
    use crate::base::hash::Hasher;
    let Some((&code, value)) = data.split_first() else { return };
    let limits = Limits::new(Hasher::seeded([1, 2, 3, 4]));
    let how = Decode { limits: &limits, deep: true, access: 0 };
    let Ok(entry) = decode_value(&mut Reader::new(Slice::of(value)), code, b"key", &how) else { return };
    let mut encoder = Encoder::new(Vec::new(), code & 1 == 0);
    encoder.value(entry.view());
    let mut reader = Reader::new(Slice::of(&encoder.sink));
    let again = decode_value(&mut reader, code_of(entry.view()), b"key", &how).expect("what was written is read");
    assert_eq!(reader.input.left(), 0, "all that was written is read");
    assert_eq!(crate::types::digest(again.view()), crate::types::digest(entry.view()));
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
