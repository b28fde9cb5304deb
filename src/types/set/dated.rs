//! A set some of whose members have deadlines. Knows no entry.

use crate::base::hash::Hasher;
use crate::ds::record::Member;
use crate::ds::table::Table;
use crate::types::dated::Dated;

/// A set with deadlines.
pub type DatedSet = Dated<Table<Member>>;

impl DatedSet {
    /// The table's hash function.
    fn hasher(&self) -> Hasher {
        self.all.hasher()
    }

    /// All members.
    #[inline]
    pub fn members(&self) -> &Table<Member> {
        &self.all
    }

    /// Whether these bytes are a member.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        self.all.get(self.hasher().hash(member), member).is_some()
    }

    /// Whether every member was due by `now_ms`.
    pub fn is_all_due(&self, now_ms: i64) -> bool {
        self.dated() == self.all.len() && self.dates.is_all_due(now_ms)
    }

    /// Adds a member, without a deadline; true if it is new. What is there keeps its own.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher().hash(member);
        if self.all.get(hash, member).is_some() {
            return false;
        }
        self.all.insert_new(hash, Member::new(member));
        true
    }

    /// Sets or takes away the deadline of a member; whether there is such a member.
    pub(super) fn set_deadline(&mut self, member: &[u8], deadline: Option<i64>) -> bool {
        let is_there = self.contains(member);
        if is_there {
            self.date(member, deadline);
        }
        is_there
    }

    /// Removes a member; whether it was there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        self.dates.remove(member);
        self.all.remove(self.hasher().hash(member), member).is_some()
    }

    /// Removes members that were due by `now_ms`, at most `most`, and names them; how many.
    pub(super) fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        let members = &mut self.all;
        self.dates.remove_due(now_ms, most, &mut |member| {
            members.remove(members.hasher().hash(member), member);
            gone(member);
        })
    }

    /// A copy that shares nothing.
    pub(in crate::types) fn deep_clone(&self) -> DatedSet {
        Dated { all: super::clone_table(&self.all), dates: self.dates.deep_clone() }
    }

    /// Checks the invariant.
    pub fn check(&self) {
        self.all.check();
        self.check_dates(|member| self.contains(member));
    }
}
