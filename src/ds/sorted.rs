//! The big sorted set: members in a hash table, each with its score, and a tree of them in order. Knows no key, no reply.
//!
//! ```text
//! table (ds::table)   member -> Scored [score f64][len][member]       owns the members
//! tree  (tree.rs)     (score, address of Scored) in order, with counts in its inner nodes
//! ```
//!
//! Invariant: the tree holds exactly the table's items, each under the score that the item bears.

mod tree;

use super::record::{Scored, ScoredRef};
use super::table::Table;
use crate::base::hash::Hasher;
use tree::Tree;

/// A sorted set of members.
pub struct Sorted {
    table: Table<Scored>,
    tree: Tree,
}

// SAFETY: the addresses in the tree are those of items that the table beside it owns; both move together.
unsafe impl Send for Sorted {}

impl Sorted {
    /// Nothing in it.
    pub fn new(hasher: Hasher) -> Sorted {
        Sorted { table: Table::new(hasher), tree: Tree::default() }
    }

    /// Number of members.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The members' table: for prefetching.
    pub fn table(&self) -> &Table<Scored> {
        &self.table
    }

    /// The score of the member that seems to have this hash; its item is read, its name is not compared.
    #[inline]
    pub fn glance_score(&self, hash: u64) -> Option<f64> {
        self.table.glance(hash).map(ScoredRef::score)
    }

    /// Brings what searches for these scores read into the cache, all at once.
    pub fn prefetch_scores(&self, scores: &[f64]) {
        self.tree.prefetch(scores);
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        self.table.get(self.table.hasher().hash(member), member).map(ScoredRef::score)
    }

    /// Adds a member or changes its score: `decide` is told the old score, if there is one, and gives the new one, or none
    /// to leave everything as it is; what else it gives is passed on.
    #[inline]
    pub fn upsert<R>(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> (Option<f64>, R)) -> R {
        let hash = self.table.hasher().hash(member);
        match self.table.find(hash, member) {
            Some(mut place) => {
                let old = place.get().score();
                let (new, result) = decide(Some(old));
                if let Some(new) = new {
                    let address = place.get().as_ptr();
                    place.get_mut().set_score(new);
                    // SAFETY: every address in the tree is that of an item which the table owns, this one's included.
                    unsafe { self.tree.update(old, new, address) };
                }
                result
            }
            None => {
                let (new, result) = decide(None);
                if let Some(new) = new {
                    let place = self.table.insert_new(hash, Scored::new(new, member));
                    let address = place.get().as_ptr();
                    // SAFETY: as above.
                    unsafe { self.tree.insert(new, address) };
                }
                result
            }
        }
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.table.hasher().hash(member);
        let Some(place) = self.table.find(hash, member) else { return false };
        let item = place.get();
        // SAFETY: the item lives until it leaves the table below, after it left the tree.
        let removed = unsafe { self.tree.remove(item.score(), item.as_ptr()) };
        debug_assert!(removed, "the tree holds every item of the table");
        place.remove();
        true
    }

    /// Removes up to `count` members from rank `first` on; how many went.
    pub fn remove_range(&mut self, first: usize, count: usize) -> usize {
        let count = count.min(self.len().saturating_sub(first));
        for _ in 0..count {
            let Some((_, address)) = self.tree.iter(first, false).next() else { break };
            // SAFETY: an address in the tree is that of a live item.
            let member = unsafe { ScoredRef::from_ptr(address) }.member().to_vec();
            self.remove(&member);
        }
        count
    }

    /// The number of members before this one, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        let item = self.table.get(self.table.hasher().hash(member), member)?;
        // SAFETY: the item lives while the table is borrowed.
        Some((unsafe { self.tree.rank(item.score(), item.as_ptr()) }, item.score()))
    }

    /// Number of members with a score below this one (`after`: not above it).
    pub fn before_score(&self, score: f64, after: bool) -> usize {
        self.tree.before(|s, _| s < score || (after && s == score))
    }

    /// Number of members before this one in byte order (`after`: not behind it); all must have one score.
    pub fn before_member(&self, member: &[u8], after: bool) -> usize {
        self.tree.before(|_, address| {
            // SAFETY: an address in the tree is that of a live item.
            let order = unsafe { ScoredRef::from_ptr(address) }.member().cmp(member);
            order.is_lt() || (after && order.is_eq())
        })
    }

    /// Members with their scores from a rank on, upward or (`reverse`) downward.
    pub fn range(&self, rank: usize, reverse: bool) -> impl Iterator<Item = (&[u8], f64)> {
        self.tree.iter(rank, reverse).map(|(score, address)| {
            // SAFETY: an address in the tree is that of a live item, and `self` is borrowed.
            (unsafe { ScoredRef::from_ptr(address) }.member(), score)
        })
    }

    /// Scores from this one on, upward, each with its item: the item's memory is not read before it is asked for.
    pub fn scores_from(&self, score: f64) -> impl Iterator<Item = (f64, ScoredRef<'_>)> {
        let from = self.tree.iter_from(move |s, _| s < score);
        // SAFETY: an address in the tree is that of a live item, and `self` is borrowed.
        from.map(|(score, address)| (score, unsafe { ScoredRef::from_ptr(address) }))
    }

    /// A step of a scan, as `Table::scan`.
    pub fn scan<'a>(&'a self, cursor: u64, budget: usize, mut each: impl FnMut(&'a [u8], f64)) -> u64 {
        self.table.scan(cursor, budget, |item: ScoredRef<'a>| each(item.member(), item.score()))
    }

    /// Heap bytes; `samples` members are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0usize, 0usize);
        for item in self.table.iter().take(most) {
            seen += 1;
            bytes += item.alloc_bytes();
        }
        self.table.table_bytes() + self.tree.alloc_bytes() + bytes * self.len() / seen.max(1)
    }

    /// A copy of everything.
    pub fn deep_clone(&self) -> Sorted {
        let mut copy = Sorted::new(self.table.hasher());
        for (member, score) in self.range(0, false) {
            copy.upsert(member, |_| (Some(score), ()));
        }
        copy
    }

    /// Checks the invariants of both halves and of the whole.
    pub fn check(&self) {
        self.tree.check();
        assert_eq!(self.table.len(), self.tree.len());
        for (rank, (member, score)) in self.range(0, false).enumerate() {
            assert_eq!(self.rank(member), Some((rank, score)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::{Rng, steps};
    use std::collections::BTreeMap;

    /// The naive set: members with scores, sorted when asked.
    #[derive(Default)]
    struct Model(BTreeMap<Vec<u8>, f64>);

    impl Model {
        fn sorted(&self) -> Vec<(f64, Vec<u8>)> {
            let mut all: Vec<_> = self.0.iter().map(|(m, s)| (*s, m.clone())).collect();
            all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
            all
        }
    }

    fn agree(sorted: &Sorted, model: &Model) {
        sorted.check();
        let all = model.sorted();
        let got: Vec<(f64, Vec<u8>)> = sorted.range(0, false).map(|(m, s)| (s, m.to_vec())).collect();
        assert_eq!(got, all);
        if let Some(last) = all.len().checked_sub(1) {
            let mut back: Vec<(f64, Vec<u8>)> = sorted.range(last, true).map(|(m, s)| (s, m.to_vec())).collect();
            back.reverse();
            assert_eq!(back, all);
        }
        for score in [-1.0, 0.0, 3.0, 7.0, f64::INFINITY, f64::NEG_INFINITY] {
            let before = all.iter().filter(|(s, _)| *s < score).count();
            assert_eq!(sorted.before_score(score, false), before);
            assert!(sorted.scores_from(score).map(|(s, item)| (s, item.member().to_vec())).eq(all[before..].to_vec()));
            assert_eq!(sorted.before_score(score, true), all.iter().filter(|(s, _)| *s <= score).count());
        }
    }

    #[test]
    fn behaves_as_a_naive_sorted_set() {
        for seed in 0..6 {
            let mut rng = Rng::seeded(seed);
            let (mut sorted, mut model) = (Sorted::new(Hasher::seeded([1, 2, 3, seed])), Model::default());
            let (names, scores) = ([50, 2_000][seed as usize % 2], [4, 1_000_000][seed as usize / 3]);
            for step in 0..steps(167_000) {
                let member = format!("m{}", rng.below(names)).into_bytes();
                let score = rng.below(scores) as f64 - 1.0;
                match rng.below(200) {
                    0..=119 => {
                        sorted.upsert(&member, |old| {
                            assert_eq!(old, model.0.get(&member).copied());
                            (Some(score), ())
                        });
                        model.0.insert(member, score);
                    }
                    120..=198 => assert_eq!(sorted.remove(&member), model.0.remove(&member).is_some()),
                    _ => {
                        let first = rng.below(sorted.len() as u64 + 2) as usize;
                        let count = rng.below(5) as usize;
                        let gone: Vec<_> = model.sorted().into_iter().skip(first).take(count).collect();
                        assert_eq!(sorted.remove_range(first, count), gone.len());
                        for (_, member) in &gone {
                            model.0.remove(member);
                        }
                    }
                }
                if step % 4_000 == 0 {
                    agree(&sorted, &model);
                }
            }
            agree(&sorted, &model);
        }
    }

    #[test]
    fn ascending_and_descending_fills_leave_full_leaves() {
        for up in [true, false] {
            let mut sorted = Sorted::new(Hasher::seeded([1, 2, 3, 4]));
            for i in 0..20_000 {
                let score = f64::from(if up { i } else { -i });
                sorted.upsert(format!("{i}").as_bytes(), |_| (Some(score), ()));
            }
            sorted.tree.check();
            let per_member = sorted.tree.alloc_bytes() as f64 / 20_000.0;
            assert!(per_member < 19.0, "{per_member} bytes a member");
        }
    }

    #[test]
    fn members_of_one_score_are_found_by_name() {
        let mut sorted = Sorted::new(Hasher::seeded([1, 2, 3, 4]));
        for i in 0..1_000 {
            sorted.upsert(format!("{i:04}").as_bytes(), |_| (Some(0.0), ()));
        }
        assert_eq!(sorted.before_member(b"0500", false), 500);
        assert_eq!(sorted.before_member(b"0500", true), 501);
        assert_eq!(sorted.before_member(b"zzz", true), 1_000);
        assert_eq!(sorted.before_member(b"", false), 0);
    }
}
