//! A sorted set some of whose members have deadlines. Knows no entry.

use crate::ds::sorted::Sorted;
use crate::types::dated::Dated;

/// A sorted set with deadlines.
pub type DatedZSet = Dated<Sorted>;

impl DatedZSet {
    /// All members.
    #[inline]
    pub fn sorted(&self) -> &Sorted {
        &self.all
    }

    /// All members, to add some or to change scores: none may be removed here.
    #[inline]
    pub(super) fn sorted_mut(&mut self) -> &mut Sorted {
        &mut self.all
    }

    /// Whether every member was due by `now_ms`.
    pub fn is_all_due(&self, now_ms: i64) -> bool {
        self.dated() == self.all.len() && self.dates.is_all_due(now_ms)
    }

    /// Removes a member; whether it was there.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        self.dates.remove(member);
        self.all.remove(member)
    }

    /// Removes up to `count` members from rank `first` on; how many went.
    pub(super) fn remove_range(&mut self, first: usize, count: usize) -> usize {
        for (member, _) in self.all.range(first, false).take(count) {
            self.dates.remove(member);
        }
        self.all.remove_range(first, count)
    }

    /// Removes members that were due by `now_ms`, at most `most`, and names them; how many.
    pub(super) fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        let sorted = &mut self.all;
        self.dates.remove_due(now_ms, most, &mut |member| {
            sorted.remove(member);
            gone(member);
        })
    }

    /// A copy that shares nothing.
    pub(in crate::types) fn deep_clone(&self) -> DatedZSet {
        Dated { all: self.all.deep_clone(), dates: self.dates.deep_clone() }
    }

    /// Checks the invariant.
    pub fn check(&self) {
        self.all.check();
        self.check_dates(|member| self.all.score(member).is_some());
    }
}
