//! Builds a hash field by field, as a file gives them: packed as long as the limits allow. Knows no file.

use super::dated::{self, DatedHash};
use super::packed;
use crate::ds::listpack::{self, HEADER_BYTES, Value as Elem};
use crate::ds::table::Table;
use crate::types::value::{Entry, Kind, Limits};

/// A hash that is being built.
pub struct HashBuilder<'l> {
    limits: &'l Limits,
    /// Pairs, or triples once a field had a deadline.
    pack: Vec<u8>,
    is_dated: bool,
    table: Option<DatedHash>,
    len: usize,
}

impl<'l> HashBuilder<'l> {
    /// Without fields. `expected` fields will come, about: too many for a listpack go into a table at once.
    pub fn new(limits: &'l Limits, expected: usize) -> HashBuilder<'l> {
        let table = (expected > limits.hash_entries).then(|| DatedHash::of(Table::new(limits.hasher)));
        HashBuilder { limits, pack: listpack::EMPTY.to_vec(), is_dated: false, table, len: 0 }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no field was added.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a field with its deadline (Unix milliseconds); false, and nothing changed, if it is there already.
    pub fn add(&mut self, field: &[u8], value: &[u8], deadline: Option<i64>) -> bool {
        let fits = self.len < self.limits.hash_entries && field.len().max(value.len()) <= self.limits.hash_value;
        if self.table.is_none() && !fits {
            self.unpack();
        }
        let known = match &self.table {
            Some(hash) => hash.table().get(hash.table().hasher().hash(field), field).is_some(),
            None => listpack::find(&self.pack, field, HEADER_BYTES, if self.is_dated { 3 } else { 2 }).is_some(),
        };
        if known {
            return false;
        }
        self.len += 1;
        if let Some(hash) = &mut self.table {
            hash.insert_new(field, value, deadline);
            return true;
        }
        if deadline.is_some() && !self.is_dated {
            self.pack = packed::from_pairs(&self.pack);
            self.is_dated = true;
        }
        if let Some(deadline) = deadline {
            packed::set_dated(&mut self.pack, field, value, deadline);
        } else if self.is_dated {
            packed::set(&mut self.pack, field, value, false);
        } else {
            listpack::push_back_all(&mut self.pack, &[Elem::Str(field), Elem::Str(value)]);
        }
        true
    }

    fn unpack(&mut self) {
        let mut hash = DatedHash::of(Table::new(self.limits.hasher));
        let (mut field_text, mut value_text) = (itoa::Buffer::new(), itoa::Buffer::new());
        let view = if self.is_dated {
            super::HashRef::PackedDated(&self.pack, super::SHOW_ALL)
        } else {
            super::HashRef::Packed(&self.pack)
        };
        view.for_each_dated(|field, value, deadline| {
            hash.insert_new(field.text(&mut field_text), value.text(&mut value_text), deadline);
        });
        self.pack = Vec::new();
        self.table = Some(hash);
    }

    /// The entry of `key`; nothing if there is no field.
    pub fn finish(self, key: &[u8], lru: u32, deadline: Option<i64>) -> Option<Entry> {
        if self.len == 0 {
            return None;
        }
        Some(match self.table {
            Some(hash) => Entry::new_big(key, Kind::BigHash as u8, Box::new(dated::into_big(hash)), lru, deadline),
            None => {
                let kind = if self.is_dated { Kind::HashPackedTtl } else { Kind::HashPacked };
                Entry::new(key, kind as u8, &self.pack, lru, deadline)
            }
        })
    }
}
