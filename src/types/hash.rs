//! Hashes: one listpack of field, value, field, value ... while small, else a table of fields. Knows no key.

use super::value::{Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::ds::listpack::{self, HEADER_BYTES};
use crate::ds::record::Field;
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
}

impl<'a> HashRef<'a> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        match self {
            HashRef::Packed(pack) => listpack::count(pack) / 2,
            HashRef::Table(table) => table.len(),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        }
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
        }
    }

    /// One step of HSCAN: a packed hash comes whole.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'a>, Elem<'a>)) -> u64 {
        match *self {
            HashRef::Packed(_) => {
                self.for_each(each);
                0
            }
            HashRef::Table(table) => {
                table.scan(cursor, count, |field| each(Elem::Str(field.field()), Elem::Str(field.value())))
            }
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
        }
    }

    /// Heap bytes beyond the entry; `samples` fields are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        match *self {
            HashRef::Packed(_) => 0,
            HashRef::Table(table) => {
                let most = if samples == 0 { usize::MAX } else { samples };
                let (mut seen, mut bytes) = (0usize, 0usize);
                for field in table.iter().take(most) {
                    seen += 1;
                    bytes += field.alloc_bytes();
                }
                table.table_bytes() + bytes * table.len() / seen.max(1)
            }
        }
    }
}

/// A hash to change.
pub struct HashMut<'a> {
    entry: EntryMut<'a>,
    limits: Limits,
}

impl HashMut<'_> {
    /// As it is.
    pub fn view(&self) -> HashRef<'_> {
        match self.entry.big() {
            Some(Big::Hash(table)) => HashRef::Table(table),
            _ => HashRef::Packed(self.entry.value()),
        }
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

    /// Sets a field; true if it is new.
    #[inline]
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        if self.entry.big().is_none() {
            if field.len() <= self.limits.hash_value && value.len() <= self.limits.hash_value {
                return self.set_packed(field, value);
            }
            self.unpack();
        }
        let Some(Big::Hash(table)) = self.entry.big_mut() else { unreachable!("a hash is packed or a table") };
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

    fn set_packed(&mut self, field: &[u8], value: &[u8]) -> bool {
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
        if listpack::count(self.entry.value()) / 2 > self.limits.hash_entries {
            self.unpack();
        }
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self.entry.big_mut() {
            Some(Big::Hash(table)) => {
                let hash = table.hasher().hash(field);
                table.remove(hash, field).is_some()
            }
            _ => match listpack::find(self.entry.value(), field, HEADER_BYTES, 2) {
                Some(at) => listpack::remove_range(&mut *self.entry, at, 2) == 2,
                None => false,
            },
        }
    }

    /// From a listpack to a table.
    fn unpack(&mut self) {
        let mut table = Table::new(self.limits.hasher);
        let (mut field_text, mut value_text) = (itoa::Buffer::new(), itoa::Buffer::new());
        HashRef::Packed(self.entry.value()).for_each(|field, value| {
            let field = field.text(&mut field_text);
            let hash = table.hasher().hash(field);
            table.insert_new(hash, Field::new(field, value.text(&mut value_text), None));
        });
        self.entry.set_big(Kind::BigHash as u8, Box::new(Big::Hash(table)));
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

impl Value for Hash {
    const TYPE: Type = Type::Hash;
    type Ref<'a> = HashRef<'a>;
    type Mut<'a> = HashMut<'a>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> HashRef<'_> {
        match entry.big() {
            Some(Big::Hash(table)) => HashRef::Table(table),
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::types::testing::{Held, element, limits, steps, text};
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    fn agree(held: &Held<Hash>, model: &Model) {
        let hash = held.view();
        assert_eq!(hash.len(), model.len());
        let mut all = Vec::new();
        hash.for_each(|field, value| all.push((text(field), text(value))));
        let (count, all) = (all.len(), all.into_iter().collect::<Model>());
        assert_eq!((count, &all), (model.len(), model));
        let (mut scanned, mut cursor) = (Model::new(), 0);
        loop {
            cursor = hash.scan(cursor, 3, |field, value| scanned.extend([(text(field), text(value))]));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&scanned, model);
        held.check_copy();
        let longest = model.iter().map(|(field, value)| field.len().max(value.len())).max().unwrap_or(0);
        match hash {
            HashRef::Packed(_) => {
                assert!(hash.len() <= held.limits.hash_entries && longest <= held.limits.hash_value);
            }
            HashRef::Table(table) => table.check(),
        }
    }

    fn change(held: &mut Held<Hash>, model: &mut Model, rng: &mut Rng, names: u64) {
        let (field, value) = (element(rng, names), element(rng, 1_000_000));
        match rng.below(12) {
            0..=6 => {
                let new = held.edit(|hash| hash.set(&field, &value));
                assert_eq!(new, model.insert(field, value).is_none());
            }
            7..=9 => assert_eq!(held.edit(|hash| hash.remove(&field)), model.remove(&field).is_some()),
            10 => {
                let found = held.view().random(&mut || rng.next_u64()).map(|(f, v)| (text(f), text(v)));
                assert!(found.map_or(model.is_empty(), |(f, v)| model.get(&f) == Some(&v)));
            }
            _ => assert_eq!(held.view().get(&field).map(text), model.get(&field).cloned()),
        }
    }

    #[test]
    fn behaves_as_a_naive_hash() {
        for seed in 0..12 {
            println!("seed {seed}");
            let (mut rng, mut model) = (Rng::seeded(seed), Model::new());
            let mut held = Held::<Hash>::new(limits(seed));
            let names = [6, 60, 3_000][seed as usize % 3];
            for step in 0..steps(8_000) {
                change(&mut held, &mut model, &mut rng, names);
                if step % 200 == 0 {
                    agree(&held, &model);
                }
                if rng.below(500) == 0 {
                    model.clear();
                    held.reset();
                }
            }
            agree(&held, &model);
        }
    }

    #[test]
    fn the_encoding_changes_where_the_limits_say() {
        let limits = Limits { hash_entries: 2, hash_value: 4, ..limits(0) };
        let kind_after = |pairs: &[(&str, &str)]| {
            let mut held = Held::<Hash>::new(limits);
            for (field, value) in pairs {
                held.edit(|hash| hash.set(field.as_bytes(), value.as_bytes()));
            }
            held.kind()
        };
        assert_eq!(kind_after(&[("a", "1"), ("b", "2"), ("a", "3")]), Kind::HashPacked);
        assert_eq!(kind_after(&[("a", "1"), ("b", "2"), ("c", "3")]), Kind::BigHash);
        assert_eq!(kind_after(&[("abcd", "1234")]), Kind::HashPacked);
        assert_eq!(kind_after(&[("abcde", "1")]), Kind::BigHash);
        assert_eq!(kind_after(&[("a", "1"), ("a", "12345")]), Kind::BigHash);
        let mut held = Held::<Hash>::new(limits);
        held.edit(|hash| hash.reserve(2, [&b"a"[..], b"1234"].into_iter()));
        assert_eq!(held.kind(), Kind::HashPacked);
        held.edit(|hash| hash.reserve(3, [].into_iter()));
        assert_eq!(held.kind(), Kind::BigHash);
    }
}
