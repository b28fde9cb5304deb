//! A big hash some of whose fields have deadlines: the table of fields, each with its deadline in it, and beside it the
//! deadlines in the order of time. A set with deadlines is the same, its members fields without a value. Knows no entry.
//!
//! Invariant: the timeline has one point (deadline, hash of the field) for each dated field, and no other.

use super::HashRef;
use crate::base::hash::Hasher;
use crate::ds::record::{Field, FieldRef};
use crate::ds::table::Table;
use crate::ds::timeline::Timeline;
use crate::types::value::Big;

/// Points taken out of the timeline at once.
const BATCH: usize = 32;

/// A table of fields with deadlines.
pub struct DatedHash {
    table: Table<Field>,
    due: Timeline,
}

impl DatedHash {
    /// Of a table none of whose fields has a deadline.
    pub(in crate::types) fn of(table: Table<Field>) -> DatedHash {
        DatedHash { table, due: Timeline::default() }
    }

    /// Its fields.
    #[inline]
    pub fn table(&self) -> &Table<Field> {
        &self.table
    }

    /// The soonest deadline.
    #[inline]
    pub fn soonest(&self) -> Option<i64> {
        self.due.soonest()
    }

    /// The fields that were not due by `hidden_until`.
    pub(in crate::types) fn visible(&self, hidden_until: i64) -> impl Iterator<Item = FieldRef<'_>> {
        self.table.iter().filter(move |field| super::is_visible(field.deadline(), hidden_until))
    }

    /// How many fields were due by `now_ms`.
    pub fn count_due(&self, now_ms: i64) -> usize {
        self.due.count_until(now_ms)
    }

    /// Bytes of the deadlines beside the table.
    pub(in crate::types) fn index_bytes(&self) -> usize {
        crate::sys::alloc::size_class(size_of::<DatedHash>()) + self.due.alloc_bytes()
    }

    /// A copy that shares nothing.
    pub(in crate::types) fn deep_clone(&self) -> DatedHash {
        DatedHash { table: super::clone_table(&self.table), due: self.due.clone() }
    }

    /// A field with the deadline that it may have.
    #[inline]
    pub fn get(&self, field: &[u8]) -> Option<FieldRef<'_>> {
        self.table.get(self.table.hasher().hash(field), field)
    }

    /// Whether no field is without a deadline that was due by `now_ms`.
    pub fn is_all_due(&self, now_ms: i64) -> bool {
        self.due.len() == self.table.len() && self.count_due(now_ms) == self.table.len()
    }

    /// Adds a field that is not there.
    pub(in crate::types) fn insert_new(&mut self, field: &[u8], value: &[u8], deadline: Option<i64>) {
        let hash = self.table.hasher().hash(field);
        self.table.insert_new(hash, Field::new(field, value, deadline));
        if let Some(at) = deadline {
            self.due.insert(at, hash);
        }
    }

    /// Sets a field; true if it is new. Its deadline stays or goes.
    pub(in crate::types) fn set(&mut self, field: &[u8], value: &[u8], keep: bool) -> bool {
        let hash = self.table.hasher().hash(field);
        let Some(mut place) = self.table.find(hash, field) else {
            self.table.insert_new(hash, Field::new(field, value, None));
            return true;
        };
        let old = place.get().deadline();
        if let Some(at) = old.filter(|_| !keep) {
            place.get_mut().set_deadline(None);
            self.due.remove(at, hash);
        }
        place.get_mut().set_value(value);
        false
    }

    /// Sets a field with a deadline; true if it is new.
    pub(in crate::types) fn set_dated(&mut self, field: &[u8], value: &[u8], deadline: i64) -> bool {
        let hash = self.table.hasher().hash(field);
        let mut old = Some(deadline);
        let new = match self.table.find(hash, field) {
            Some(mut place) => {
                old = place.get().deadline();
                let mut field = place.get_mut();
                field.set_value(value);
                field.set_deadline(Some(deadline));
                false
            }
            None => {
                self.table.insert_new(hash, Field::new(field, value, Some(deadline)));
                self.due.insert(deadline, hash);
                true
            }
        };
        if old != Some(deadline) {
            if let Some(at) = old {
                self.due.remove(at, hash);
            }
            self.due.insert(deadline, hash);
        }
        new
    }

    /// Sets or takes away the deadline of a field; whether there is such a field.
    pub(in crate::types) fn set_deadline(&mut self, field: &[u8], deadline: Option<i64>) -> bool {
        let hash = self.table.hasher().hash(field);
        let Some(mut place) = self.table.find(hash, field) else { return false };
        let old = place.get().deadline();
        if old != deadline {
            place.get_mut().set_deadline(deadline);
            if let Some(at) = old {
                self.due.remove(at, hash);
            }
            if let Some(at) = deadline {
                self.due.insert(at, hash);
            }
        }
        true
    }

    /// Removes a field; whether it was there.
    pub(in crate::types) fn remove(&mut self, field: &[u8]) -> bool {
        let hash = self.table.hasher().hash(field);
        let Some(field) = self.table.remove(hash, field) else { return false };
        if let Some(at) = field.view().deadline() {
            self.due.remove(at, hash);
        }
        true
    }

    /// Removes fields that were due by `now_ms`, at most `most`, and names them; how many.
    pub(in crate::types) fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        let mut removed = 0;
        while removed < most {
            let mut batch = [(0, 0); BATCH];
            let mut taken = 0;
            self.due.take_until(now_ms, (most - removed).min(BATCH), |point| {
                batch[taken] = point;
                taken += 1;
            });
            if taken == 0 {
                break;
            }
            // A batch's cache misses overlap.
            let batch = &batch[..taken];
            batch.iter().for_each(|(_, hash)| self.table.prefetch_segment(*hash));
            batch.iter().for_each(|(_, hash)| self.table.prefetch_bucket(*hash));
            for (_, hash) in batch.iter() {
                self.table.prefetch_item(*hash);
            }
            let hasher = self.table.hasher();
            for &(at, hash) in batch {
                // The table knows only a part of the hash.
                let is_it = |f: FieldRef<'_>| f.deadline() == Some(at) && hasher.hash(f.field()) == hash;
                if let Some(place) = self.table.find_by_hash(hash, is_it) {
                    gone(place.remove().view().field());
                }
            }
            removed += taken;
        }
        removed
    }

    /// Checks the invariant.
    pub fn check(&self) {
        self.table.check();
        self.due.check();
        let mut left = self.due.clone();
        for field in self.table.iter() {
            if let Some(at) = field.deadline() {
                assert!(left.remove(at, self.table.hasher().hash(field.field())), "a dated field has its point");
            }
        }
        assert!(left.is_empty(), "each point has its field");
    }
}

/// The table of a packed hash with deadlines; without them if no field has one.
pub(in crate::types) fn unpacked(hash: HashRef<'_>, hasher: Hasher) -> Big {
    let mut dated = DatedHash::of(Table::new(hasher));
    let (mut field_text, mut value_text) = (itoa::Buffer::new(), itoa::Buffer::new());
    hash.for_each_dated(|field, value, deadline| {
        dated.insert_new(field.text(&mut field_text), value.text(&mut value_text), deadline);
    });
    into_big(dated)
}

/// A finished table: of the simpler kind if no field has a deadline.
pub(in crate::types) fn into_big(hash: DatedHash) -> Big {
    if hash.due.is_empty() { Big::Hash(hash.table) } else { Big::DatedHash(Box::new(hash)) }
}
