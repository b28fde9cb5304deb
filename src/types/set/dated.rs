//! A set some of whose members have deadlines: the table as it is without, and beside it those members that have one, so that
//! the first deadline costs nothing however large the set is. Knows no entry.
//!
//! Invariant: each dated member is one of the table's.

use crate::base::hash::Hasher;
use crate::ds::record::{Field, Member};
use crate::ds::table::Table;
use crate::types::hash::DatedHash;

/// A set with deadlines.
pub struct DatedSet {
    members: Table<Member>,
    /// Members with a deadline, as fields without a value.
    dates: DatedHash,
}

impl DatedSet {
    /// Of a set none of whose members has a deadline.
    pub(super) fn of(members: Table<Member>) -> DatedSet {
        let dates = DatedHash::of(Table::new(members.hasher()));
        DatedSet { members, dates }
    }

    /// The table's hash function.
    fn hasher(&self) -> Hasher {
        self.members.hasher()
    }

    /// All members.
    #[inline]
    pub fn members(&self) -> &Table<Member> {
        &self.members
    }

    /// The soonest deadline.
    #[inline]
    pub fn soonest(&self) -> Option<i64> {
        self.dates.soonest()
    }

    /// Whether these bytes are a member.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        self.members.get(self.hasher().hash(member), member).is_some()
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
        self.dated() == self.members.len() && self.dates.is_all_due(now_ms)
    }

    /// Adds a member, without a deadline; true if it is new. What is there keeps its own.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher().hash(member);
        if self.members.get(hash, member).is_some() {
            return false;
        }
        self.members.insert_new(hash, Member::new(member));
        true
    }

    /// Sets or takes away the deadline of a member; whether there is such a member.
    pub(super) fn set_deadline(&mut self, member: &[u8], deadline: Option<i64>) -> bool {
        if !self.contains(member) {
            return false;
        }
        match deadline {
            Some(at) => _ = self.dates.set_dated(member, b"", at),
            None => _ = self.dates.remove(member),
        }
        true
    }

    /// Removes a member; whether it was there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        self.dates.remove(member);
        self.members.remove(self.hasher().hash(member), member).is_some()
    }

    /// Removes members that were due by `now_ms`, at most `most`, and names them; how many.
    pub(super) fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        let members = &mut self.members;
        self.dates.remove_due(now_ms, most, &mut |member| {
            members.remove(members.hasher().hash(member), member);
            gone(member);
        })
    }

    /// Bytes of the deadlines beside the table; at most `most` dated members are measured and the rest estimated.
    pub(super) fn dates_bytes(&self, most: usize) -> usize {
        let table = self.dates.table();
        let (mut seen, mut bytes) = (0usize, 0usize);
        for member in table.iter().take(most) {
            seen += 1;
            bytes += member.alloc_bytes();
        }
        table.table_bytes() + self.dates.index_bytes() + bytes * table.len() / seen.max(1)
    }

    /// A copy that shares nothing.
    pub(in crate::types) fn deep_clone(&self) -> DatedSet {
        DatedSet { members: super::clone_table(&self.members), dates: self.dates.deep_clone() }
    }

    /// Checks the invariant.
    pub fn check(&self) {
        self.members.check();
        self.dates.check();
        for member in self.dates.table().iter() {
            assert!(member.deadline().is_some() && self.contains(member.field()));
        }
    }
}
