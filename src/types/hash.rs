//! Hashes: one listpack of field, value, field, value ... while small, else a table of fields. Fields may have a deadline: a
//! hash that has or had such fields is of another kind (`packed.rs`, `dated.rs`), and others know nothing of it. Knows no key.
//!
//! ```text
//! HashPacked      [field][value] ...                        without deadlines
//! HashPackedTtl   [field][value][deadline or 0] ...         the soonest first, those without (0) last
//! BigHash         Big::Hash(table), or Big::DatedHash(table whose fields may be dated, timeline of their deadlines)
//! ```

mod build;
mod dated;
mod packed;
#[cfg(test)]
mod tests;

pub use build::HashBuilder;
pub use dated::DatedHash;
pub use packed::is_valid as is_valid_dated_pack;

use super::value::{Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::ds::listpack::{self, HEADER_BYTES};
use crate::ds::record::{Field, FieldRef};
use crate::ds::table::Table;

/// The marker of hashes.
pub struct Hash;

/// A hash to read.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// Pairs in one listpack.
    Packed(&'a [u8]),
    /// A table.
    Table(&'a Table<Field>),
    /// Triples in one listpack; fields that were due by that time (Unix milliseconds) are hidden.
    PackedDated(&'a [u8], i64),
    /// A table with deadlines; fields that were due by that time are hidden.
    TableDated(&'a DatedHash, i64),
}

/// How often a random field is drawn before the hash is walked.
const DRAWS: usize = 64;
/// What hides nothing.
const SHOW_ALL: i64 = i64::MIN;

impl<'a> HashRef<'a> {
    /// Number of fields, hidden ones included: HLEN.
    pub fn len(&self) -> usize {
        match self {
            HashRef::Packed(pack) => listpack::count(pack) / 2,
            HashRef::Table(table) => table.len(),
            HashRef::PackedDated(pack, _) => packed::len(pack),
            HashRef::TableDated(hash, _) => hash.table().len(),
        }
    }

    /// Number of fields that can be seen.
    pub fn visible_len(&self) -> usize {
        match *self {
            HashRef::Packed(_) | HashRef::Table(_) => self.len(),
            HashRef::PackedDated(pack, hidden_until) => {
                packed::len(pack).saturating_sub(packed::count_due(pack, hidden_until))
            }
            HashRef::TableDated(hash, hidden_until) => hash.table().len() - hash.count_due(hidden_until),
        }
    }

    /// Whether there is no field, not even a hidden one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a field is hidden: its time has come and it has not been removed yet.
    #[inline]
    pub fn is_behind(&self) -> bool {
        match *self {
            HashRef::Packed(_) | HashRef::Table(_) => false,
            HashRef::PackedDated(pack, hidden_until) => packed::soonest(pack).is_some_and(|at| at <= hidden_until),
            HashRef::TableDated(hash, hidden_until) => hash.soonest().is_some_and(|at| at <= hidden_until),
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<Elem<'a>> {
        match *self {
            HashRef::Packed(pack) => {
                let at = listpack::find(pack, field, HEADER_BYTES, 2)?;
                listpack::at(pack, listpack::next(pack, at)?)
            }
            HashRef::Table(table) => table.get(table.hasher().hash(field), field).map(|f| Elem::Str(f.value())),
            HashRef::PackedDated(..) | HashRef::TableDated(..) => self.get_dated(field).map(|(value, _)| value),
        }
    }

    /// The value of a field, and its deadline (Unix milliseconds) if it has one.
    pub fn get_dated(&self, field: &[u8]) -> Option<(Elem<'a>, Option<i64>)> {
        let (value, deadline, hidden_until) = match *self {
            HashRef::Packed(_) | HashRef::Table(_) => return self.get(field).map(|value| (value, None)),
            HashRef::PackedDated(pack, hidden_until) => {
                let triple = packed::find(pack, field)?;
                (triple.value, triple.deadline, hidden_until)
            }
            HashRef::TableDated(hash, hidden_until) => {
                let field = hash.table().get(hash.table().hasher().hash(field), field)?;
                (Elem::Str(field.value()), field.deadline(), hidden_until)
            }
        };
        is_visible(deadline, hidden_until).then_some((value, deadline))
    }

    /// Every pair.
    pub fn for_each(&self, mut each: impl FnMut(Elem<'a>, Elem<'a>)) {
        match *self {
            HashRef::Packed(pack) => {
                let mut walk = listpack::iter(pack);
                while let (Some((_, field)), Some((_, value))) = (walk.next(), walk.next()) {
                    each(field, value);
                }
            }
            HashRef::Table(table) => {
                for field in table.iter() {
                    each(Elem::Str(field.field()), Elem::Str(field.value()));
                }
            }
            HashRef::PackedDated(pack, hidden_until) => {
                packed::visible(pack, hidden_until).for_each(|triple| each(triple.field, triple.value));
            }
            HashRef::TableDated(hash, hidden_until) => {
                hash.visible(hidden_until).for_each(|f| each(Elem::Str(f.field()), Elem::Str(f.value())));
            }
        }
    }

    /// Every pair with its deadline (Unix milliseconds), if it has one.
    pub fn for_each_dated(&self, mut each: impl FnMut(Elem<'a>, Elem<'a>, Option<i64>)) {
        match *self {
            HashRef::Packed(_) | HashRef::Table(_) => self.for_each(|field, value| each(field, value, None)),
            HashRef::PackedDated(pack, hidden_until) => {
                packed::visible(pack, hidden_until).for_each(|t| each(t.field, t.value, t.deadline));
            }
            HashRef::TableDated(hash, hidden_until) => {
                let give = |f: FieldRef<'a>| each(Elem::Str(f.field()), Elem::Str(f.value()), f.deadline());
                hash.visible(hidden_until).for_each(give);
            }
        }
    }

    /// One step of HSCAN: a packed hash comes whole.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'a>, Elem<'a>)) -> u64 {
        match *self {
            HashRef::Packed(_) | HashRef::PackedDated(..) => {
                self.for_each(each);
                0
            }
            HashRef::Table(table) => {
                table.scan(cursor, count, |field| each(Elem::Str(field.field()), Elem::Str(field.value())))
            }
            HashRef::TableDated(hash, hidden_until) => hash.table().scan(cursor, count, |field| {
                if is_visible(field.deadline(), hidden_until) {
                    each(Elem::Str(field.field()), Elem::Str(field.value()));
                }
            }),
        }
    }

    /// A pair, each equally likely. `random` gives random bits.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<(Elem<'a>, Elem<'a>)> {
        match *self {
            HashRef::Packed(pack) => {
                let len = self.len() as u64;
                let index = super::value::below(random, len)? * 2;
                let at = listpack::seek(pack, index as i64)?;
                Some((listpack::at(pack, at)?, listpack::at(pack, listpack::next(pack, at)?)?))
            }
            HashRef::Table(table) => table.random(random).map(|f| (Elem::Str(f.field()), Elem::Str(f.value()))),
            HashRef::TableDated(hash, hidden_until) => {
                // Hidden fields are drawn again. There are few, unless they may not be removed for long.
                let mut draws = (0..DRAWS).map_while(|_| hash.table().random(random));
                let found = draws.find(|field| is_visible(field.deadline(), hidden_until));
                found.map(|f| (Elem::Str(f.field()), Elem::Str(f.value()))).or_else(|| self.random_visible(random))
            }
            HashRef::PackedDated(..) => self.random_visible(random),
        }
    }

    /// As `random`, by walking.
    fn random_visible(&self, random: &mut impl FnMut() -> u64) -> Option<(Elem<'a>, Elem<'a>)> {
        let mut left = super::value::below(random, self.visible_len() as u64)?;
        let mut found = None;
        self.for_each(|field, value| {
            if left == 0 && found.is_none() {
                found = Some((field, value));
            }
            left = left.saturating_sub(1);
        });
        found
    }

    /// The table, of a hash that has one.
    pub fn table(&self) -> Option<&'a Table<Field>> {
        match *self {
            HashRef::Packed(_) | HashRef::PackedDated(..) => None,
            HashRef::Table(table) => Some(table),
            HashRef::TableDated(hash, _) => Some(hash.table()),
        }
    }

    /// Heap bytes beyond the entry; `samples` fields are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let Some(table) = self.table() else { return 0 };
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0usize, 0usize);
        for field in table.iter().take(most) {
            seen += 1;
            bytes += field.alloc_bytes();
        }
        let beside = if let HashRef::TableDated(hash, _) = self { hash.index_bytes() } else { 0 };
        table.table_bytes() + beside + bytes * table.len() / seen.max(1)
    }
}

/// Whether a field with this deadline is seen by who hides what was due by `hidden_until`.
#[inline]
fn is_visible(deadline: Option<i64>, hidden_until: i64) -> bool {
    deadline.is_none_or(|at| at > hidden_until)
}

/// A hash to change.
pub struct HashMut<'a> {
    entry: EntryMut<'a>,
    limits: Limits,
}

/// What becomes of the deadline of a field that is set again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keep {
    /// It goes: HSET.
    No,
    /// It stays: HINCRBY.
    Yes,
}

impl HashMut<'_> {
    /// As it is, nothing hidden.
    pub fn view(&self) -> HashRef<'_> {
        Hash::view(self.entry.view())
    }

    /// Before several fields are added: a packed hash that they would make too large becomes a table at once.
    pub fn reserve<'f>(&mut self, fields: usize, mut values: impl Iterator<Item = &'f [u8]>) {
        if self.entry.big().is_some() {
            return;
        }
        let too_many = fields > self.limits.hash_entries;
        if too_many || values.any(|v| v.len() > self.limits.hash_value) {
            self.unpack();
        }
    }

    /// Sets a field; true if it is new. Its deadline goes.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_keeping(field, value, Keep::No)
    }

    /// Sets a field, which keeps its deadline if it has one; true if it is new.
    #[inline]
    pub fn set_value(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.set_keeping(field, value, Keep::Yes)
    }

    #[inline]
    fn set_keeping(&mut self, field: &[u8], value: &[u8], keep: Keep) -> bool {
        if self.entry.big().is_none() {
            if field.len() <= self.limits.hash_value && value.len() <= self.limits.hash_value {
                return self.set_packed(field, value, keep);
            }
            self.unpack();
        }
        match self.entry.big_mut() {
            Some(Big::Hash(table)) => {
                let hash = table.hasher().hash(field);
                match table.find(hash, field) {
                    Some(mut place) => {
                        place.get_mut().set_value(value);
                        false
                    }
                    None => {
                        table.insert_new(hash, Field::new(field, value, None));
                        true
                    }
                }
            }
            Some(Big::DatedHash(hash)) => hash.set(field, value, keep == Keep::Yes),
            _ => unreachable!("a hash is packed or a table"),
        }
    }

    /// Sets a field with a deadline (Unix milliseconds); true if it is new.
    pub fn set_dated(&mut self, field: &[u8], value: &[u8], deadline: i64) -> bool {
        if self.entry.big().is_none() && field.len().max(value.len()) > self.limits.hash_value {
            self.unpack();
        }
        self.allow_dates();
        match self.entry.big_mut() {
            Some(Big::DatedHash(hash)) => hash.set_dated(field, value, deadline),
            _ => {
                let new = packed::set_dated(&mut *self.entry, field, value, deadline);
                self.unpack_if_large();
                new
            }
        }
    }

    fn set_packed(&mut self, field: &[u8], value: &[u8], keep: Keep) -> bool {
        if self.entry.kind() == Kind::HashPackedTtl as u8 {
            let new = packed::set(&mut *self.entry, field, value, keep == Keep::Yes);
            self.unpack_if_large();
            return new;
        }
        let pack = self.entry.value();
        if let Some(at) = listpack::find(pack, field, HEADER_BYTES, 2) {
            if let Some(at) = listpack::next(pack, at) {
                listpack::replace(&mut *self.entry, at, value);
            }
            self.unpack_if_large();
            return false;
        }
        listpack::push_back_all(&mut *self.entry, &[field.into(), value.into()]);
        self.unpack_if_large();
        true
    }

    fn unpack_if_large(&mut self) {
        if self.view().len() > self.limits.hash_entries {
            self.unpack();
        }
    }

    /// Sets or takes away the deadline (Unix milliseconds) of a field; whether there is such a field.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<i64>) -> bool {
        if matches!(self.view(), HashRef::Packed(_) | HashRef::Table(_)) {
            let there = self.view().get(field).is_some();
            if !there || deadline.is_none() {
                return there;
            }
            self.allow_dates();
        }
        match self.entry.big_mut() {
            Some(Big::DatedHash(hash)) => hash.set_deadline(field, deadline),
            _ => packed::set_deadline(&mut *self.entry, field, deadline),
        }
    }

    /// From the kind without deadlines to that with them, unless it is that already.
    fn allow_dates(&mut self) {
        if let Some(big) = self.entry.big_mut() {
            if let Big::Hash(table) = big {
                let table = std::mem::replace(table, Table::new(self.limits.hasher));
                *big = Big::DatedHash(Box::new(DatedHash::of(table)));
            }
        } else if self.entry.kind() == Kind::HashPacked as u8 {
            let triples = packed::from_pairs(self.entry.value());
            self.entry.set_value(Kind::HashPackedTtl as u8, &triples);
        }
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let stride = if self.entry.kind() == Kind::HashPackedTtl as u8 { 3 } else { 2 };
        match self.entry.big_mut() {
            Some(Big::Hash(table)) => {
                let hash = table.hasher().hash(field);
                table.remove(hash, field).is_some()
            }
            Some(Big::DatedHash(hash)) => hash.remove(field),
            _ => match listpack::find(self.entry.value(), field, HEADER_BYTES, stride) {
                Some(at) => listpack::remove_range(&mut *self.entry, at, stride) == stride,
                None => false,
            },
        }
    }

    /// Removes a field if it was due by `now_ms`; whether it was.
    pub fn remove_due(&mut self, field: &[u8], now_ms: i64) -> bool {
        let due = self.view().get_dated(field).and_then(|(_, deadline)| deadline).is_some_and(|at| at <= now_ms);
        due && self.remove(field)
    }

    /// Removes fields that were due by `now_ms`, the soonest first, at most `most`, and names them; how many.
    pub fn remove_all_due(&mut self, now_ms: i64, most: usize, mut gone: impl FnMut(&[u8])) -> usize {
        if self.entry.kind() == Kind::HashPackedTtl as u8 {
            return packed::remove_due(&mut *self.entry, now_ms, most, gone);
        }
        match self.entry.big_mut() {
            Some(Big::DatedHash(hash)) => hash.remove_due(now_ms, most, &mut gone),
            _ => 0,
        }
    }

    /// From a listpack to a table.
    fn unpack(&mut self) {
        let big = match Kind::of(self.entry.kind()) {
            Kind::HashPackedTtl => dated::unpacked(self.view(), self.limits.hasher),
            _ => {
                let mut table = Table::new(self.limits.hasher);
                let (mut field_text, mut value_text) = (itoa::Buffer::new(), itoa::Buffer::new());
                self.view().for_each(|field, value| {
                    let field = field.text(&mut field_text);
                    let hash = table.hasher().hash(field);
                    table.insert_new(hash, Field::new(field, value.text(&mut value_text), None));
                });
                Big::Hash(table)
            }
        };
        self.entry.set_big(Kind::BigHash as u8, Box::new(big));
    }
}

/// A copy of a table's fields.
pub(super) fn clone_table(table: &Table<Field>) -> Table<Field> {
    let mut copy = Table::new(table.hasher());
    for field in table.iter() {
        copy.insert_new(table.hasher().hash(field.field()), Field::new(field.field(), field.value(), field.deadline()));
    }
    copy
}

/// The soonest deadline of a field; nothing if none has one. O(1).
#[inline]
pub(super) fn soonest(entry: EntryRef<'_>) -> Option<i64> {
    match Kind::of(entry.kind()) {
        Kind::HashPackedTtl => packed::soonest(entry.value()),
        Kind::BigHash => match entry.big() {
            Some(Big::DatedHash(hash)) => hash.soonest(),
            _ => None,
        },
        _ => None,
    }
}

impl Value for Hash {
    const TYPE: Type = Type::Hash;
    type Ref<'a> = HashRef<'a>;
    type Mut<'a> = HashMut<'a>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> HashRef<'_> {
        Self::view_at(entry, SHOW_ALL)
    }

    #[inline]
    fn view_at(entry: EntryRef<'_>, now_ms: i64) -> HashRef<'_> {
        match entry.big() {
            Some(Big::Hash(table)) => HashRef::Table(table),
            Some(Big::DatedHash(hash)) => HashRef::TableDated(hash, now_ms),
            _ if entry.kind() == Kind::HashPackedTtl as u8 => HashRef::PackedDated(entry.value(), now_ms),
            _ => HashRef::Packed(entry.value()),
        }
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> HashMut<'a> {
        HashMut { entry, limits: *limits }
    }

    fn create(key: &[u8], _limits: &Limits, lru: u32) -> Entry {
        Entry::new(key, Kind::HashPacked as u8, &listpack::EMPTY, lru, None)
    }

    fn is_empty(entry: EntryRef<'_>) -> bool {
        Self::view(entry).is_empty()
    }

    #[inline]
    fn soonest(entry: EntryRef<'_>) -> Option<i64> {
        soonest(entry)
    }
}
