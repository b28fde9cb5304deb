//! A collection some of whose members have deadlines: as it is without, and beside it those members that have one, so that the first
//! deadline costs nothing however large the collection is. Knows no entry.
//!
//! Invariant: each dated member is one of the collection's.

use super::hash::DatedHash;
use crate::base::hash::Hasher;
use crate::ds::record::Field;
use crate::ds::table::Table;

/// A collection of members with deadlines.
pub struct Dated<C> {
    /// All members.
    pub(in crate::types) all: C,
    /// Members with a deadline, as fields without a value.
    pub(in crate::types) dates: DatedHash,
}

impl<C> Dated<C> {
    /// Of a collection none of whose members has a deadline.
    pub(in crate::types) fn of(all: C, hasher: Hasher) -> Dated<C> {
        Dated { all, dates: DatedHash::of(Table::new(hasher)) }
    }

    /// The soonest deadline.
    #[inline]
    pub fn soonest(&self) -> Option<i64> {
        self.dates.soonest()
    }

    /// The deadline of a member.
    pub fn deadline(&self, member: &[u8]) -> Option<i64> {
        self.dates.get(member)?.deadline()
    }

    /// The members that have a deadline.
    #[inline]
    pub(in crate::types) fn dates(&self) -> &Table<Field> {
        self.dates.table()
    }

    /// How many members have a deadline.
    pub fn dated(&self) -> usize {
        self.dates.table().len()
    }

    /// Sets or takes away the deadline of one of the members.
    pub(in crate::types) fn date(&mut self, member: &[u8], deadline: Option<i64>) {
        match deadline {
            Some(at) => _ = self.dates.set_dated(member, b"", at),
            None => _ = self.dates.remove(member),
        }
    }

    /// Bytes of the deadlines; `samples` dated members are measured (0: all) and the rest estimated.
    pub fn dates_bytes(&self, samples: usize) -> usize {
        let table = self.dates.table();
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0usize, 0usize);
        for member in table.iter().take(most) {
            seen += 1;
            bytes += member.alloc_bytes();
        }
        table.table_bytes() + self.dates.index_bytes() + bytes * table.len() / seen.max(1)
    }

    /// Checks the invariant, by what tells whether a member is there.
    pub(in crate::types) fn check_dates(&self, is_there: impl Fn(&[u8]) -> bool) {
        self.dates.check();
        for member in self.dates.table().iter() {
            assert!(member.deadline().is_some() && is_there(member.field()));
        }
    }
}
