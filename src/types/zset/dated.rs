//! A sorted set some of whose members have deadlines: the tree as it is without, and beside it those members that have one.
//! Knows no entry.
//!
//! Invariant: each dated member is one of the tree's.

use crate::base::hash::Hasher;
use crate::ds::record::Field;
use crate::ds::sorted::Sorted;
use crate::ds::table::Table;
use crate::types::hash::DatedHash;

/// A sorted set with deadlines.
pub struct DatedZSet {
    sorted: Sorted,
    /// Members with a deadline, as fields without a value.
    dates: DatedHash,
}

impl DatedZSet {
    /// Of a sorted set none of whose members has a deadline.
    pub(super) fn of(sorted: Sorted, hasher: Hasher) -> DatedZSet {
        DatedZSet { sorted, dates: DatedHash::of(Table::new(hasher)) }
    }

    /// All members.
    #[inline]
    pub fn sorted(&self) -> &Sorted {
        &self.sorted
    }

    /// All members, to add some or to change scores: none may be removed here.
    #[inline]
    pub(super) fn sorted_mut(&mut self) -> &mut Sorted {
        &mut self.sorted
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

    /// Whether every member was due by `now_ms`.
    pub fn is_all_due(&self, now_ms: i64) -> bool {
        self.dates.table().len() == self.sorted.len() && self.dates.is_all_due(now_ms)
    }

    /// Sets or takes away the deadline of one of the members.
    pub(super) fn set_deadline(&mut self, member: &[u8], deadline: Option<i64>) {
        match deadline {
            Some(at) => {
                self.dates.set_dated(member, b"", at);
            }
            None => {
                self.dates.remove(member);
            }
        }
    }

    /// Removes a member; whether it was there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        self.dates.remove(member);
        self.sorted.remove(member)
    }

    /// Removes up to `count` members from rank `first` on; how many went.
    pub(super) fn remove_range(&mut self, first: usize, count: usize) -> usize {
        for (member, _) in self.sorted.range(first, false).take(count) {
            self.dates.remove(member);
        }
        self.sorted.remove_range(first, count)
    }

    /// Removes members that were due by `now_ms`, at most `most`, and names them; how many.
    pub(super) fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        let sorted = &mut self.sorted;
        self.dates.remove_due(now_ms, most, &mut |member| {
            sorted.remove(member);
            gone(member);
        })
    }

    /// Bytes of the deadlines beside the tree; `samples` members are measured (0: all) and the rest estimated.
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

    /// A copy that shares nothing.
    pub(in crate::types) fn deep_clone(&self) -> DatedZSet {
        DatedZSet { sorted: self.sorted.deep_clone(), dates: self.dates.deep_clone() }
    }

    /// Checks the invariant.
    pub fn check(&self) {
        self.sorted.check();
        self.dates.check();
        for member in self.dates.table().iter() {
            assert!(member.deadline().is_some() && self.sorted.score(member.field()).is_some());
        }
    }
}
