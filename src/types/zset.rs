//! Sorted sets: one listpack of member, score, member, score ... in order while small, else a tree with a table of members.
//! Order: score, then member bytes. Deadlines of members lie beside the tree. Knows no key.

mod dated;

pub use dated::DatedZSet;

use super::value::{Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::base::float;
use crate::ds::listpack::{self, HEADER_BYTES};
use crate::ds::prefetch::prefetch_read;
use crate::ds::record::ScoredRef;
use crate::ds::sorted::Sorted;
use std::ops::DerefMut;

/// The marker of sorted sets.
pub struct ZSet;

/// Scores that are integers up to here are packed as integers.
const INTEGER_LIMIT: f64 = 4_503_599_627_370_496.0;

/// A bound of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    /// The score.
    pub score: f64,
    /// Whether it is left out itself.
    pub exclusive: bool,
}

/// A range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The least.
    pub min: ScoreBound,
    /// The greatest.
    pub max: ScoreBound,
}

/// A bound of members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexBound<'a> {
    /// Before all members.
    Least,
    /// After all members.
    Greatest,
    /// This member, itself in the range.
    Inclusive(&'a [u8]),
    /// This member, itself not in the range.
    Exclusive(&'a [u8]),
}

/// What a range is of.
#[derive(Clone, Copy, Debug)]
pub enum Span<'a> {
    /// Ranks from `first` on, `count` of them.
    Ranks {
        /// The first rank.
        first: usize,
        /// How many.
        count: usize,
    },
    /// Scores.
    Scores(ScoreRange),
    /// Members, all of one score.
    Lex(LexBound<'a>, LexBound<'a>),
}

/// The conditions of ZADD.
#[derive(Clone, Copy, Debug, Default)]
pub struct AddOptions {
    /// Only new members.
    pub nx: bool,
    /// Only members that are there.
    pub xx: bool,
    /// Only to a greater score.
    pub gt: bool,
    /// Only to a lesser score.
    pub lt: bool,
    /// Add to the score instead of setting it.
    pub incr: bool,
}

/// What became of an add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Added {
    /// A new member.
    New(f64),
    /// Another score.
    Changed(f64),
    /// The same score.
    Same(f64),
    /// A condition did not hold.
    Refused,
    /// The sum is not a number.
    NotANumber,
}

/// A score as an element of a listpack.
fn score_of(elem: Elem<'_>) -> f64 {
    elem.to_f64().unwrap_or(0.0)
}

/// The reference's listpacks don't know minus zero, its trees and passing results do.
fn is_minus_zero(score: f64) -> bool {
    score == 0.0 && score.is_sign_negative()
}

/// Calls `f` with the element that holds a score.
fn with_score<R>(score: f64, f: impl FnOnce(Elem<'_>) -> R) -> R {
    if score.abs() <= INTEGER_LIMIT && score.trunc() == score {
        // As the reference, a packed set does not know a negative zero.
        return f(Elem::Int(score as i64));
    }
    f(Elem::Str(float::Buffer::new().format(score)))
}

/// Order of a packed element and a member.
fn compare(elem: Elem<'_>, member: &[u8]) -> std::cmp::Ordering {
    elem.text(&mut itoa::Buffer::new()).cmp(member)
}

/// Where a member lies. The memory of one in a table is not read before it is asked for.
#[derive(Clone, Copy)]
pub enum MemberRef<'a> {
    /// In a listpack.
    Packed(Elem<'a>),
    /// In a table.
    Item(ScoredRef<'a>),
}

impl<'a> MemberRef<'a> {
    /// The member.
    #[inline]
    pub fn elem(self) -> Elem<'a> {
        match self {
            MemberRef::Packed(elem) => elem,
            MemberRef::Item(item) => Elem::Str(item.member()),
        }
    }

    /// Brings the member into the cache.
    #[inline]
    pub fn prefetch(self) {
        if let MemberRef::Item(item) = self {
            prefetch_read(item.as_ptr().as_ptr());
        }
    }
}

/// A sorted set to read.
#[derive(Clone, Copy)]
pub enum ZSetRef<'a> {
    /// Pairs in one listpack, in order.
    Packed(&'a [u8]),
    /// Tree and table.
    Tree(&'a Sorted),
}

/// A pair of a packed set: offset, member, score.
fn pairs(pack: &[u8]) -> impl Iterator<Item = (usize, Elem<'_>, f64)> {
    let mut walk = listpack::iter(pack);
    std::iter::from_fn(move || {
        let ((at, member), (_, score)) = (walk.next()?, walk.next()?);
        Some((at, member, score_of(score)))
    })
}

impl<'a> ZSetRef<'a> {
    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            ZSetRef::Packed(pack) => listpack::count(pack) / 2,
            ZSetRef::Tree(tree) => tree.len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            ZSetRef::Packed(pack) => {
                let at = listpack::find(pack, member, HEADER_BYTES, 2)?;
                listpack::at(pack, listpack::next(pack, at)?).map(score_of)
            }
            ZSetRef::Tree(tree) => tree.score(member),
        }
    }

    /// The number of members before this one, and its score.
    pub fn rank(&self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            ZSetRef::Packed(pack) => {
                let found = pairs(pack).enumerate().find(|(_, (_, elem, _))| elem.eq_bytes(member));
                found.map(|(rank, (_, _, score))| (rank, score))
            }
            ZSetRef::Tree(tree) => tree.rank(member),
        }
    }

    /// Number of members whose score is below the bound (`after`: not above it).
    fn before_score(&self, score: f64, after: bool) -> usize {
        match self {
            ZSetRef::Packed(pack) => pairs(pack).take_while(|(_, _, s)| *s < score || (after && *s == score)).count(),
            ZSetRef::Tree(tree) => tree.before_score(score, after),
        }
    }

    /// Number of members before this one (`after`: not behind it), all having one score.
    fn before_member(&self, member: &[u8], after: bool) -> usize {
        match self {
            ZSetRef::Packed(pack) => pairs(pack)
                .take_while(|(_, elem, _)| {
                    let order = compare(*elem, member);
                    order.is_lt() || (after && order.is_eq())
                })
                .count(),
            ZSetRef::Tree(tree) => tree.before_member(member, after),
        }
    }

    fn before_lex(&self, bound: LexBound<'_>, is_max: bool) -> usize {
        match bound {
            LexBound::Least => 0,
            LexBound::Greatest => self.len(),
            LexBound::Inclusive(member) => self.before_member(member, is_max),
            LexBound::Exclusive(member) => self.before_member(member, !is_max),
        }
    }

    /// A range as (first rank, count).
    pub fn resolve(&self, span: Span<'_>) -> (usize, usize) {
        let (first, end) = match span {
            Span::Ranks { first, count } => (first, first + count),
            Span::Scores(range) => (
                self.before_score(range.min.score, range.min.exclusive),
                self.before_score(range.max.score, !range.max.exclusive),
            ),
            Span::Lex(min, max) => (self.before_lex(min, false), self.before_lex(max, true)),
        };
        (first, end.saturating_sub(first))
    }

    /// Calls `each` with `count` members from rank `first` on, in ascending order.
    pub fn range(&self, first: usize, count: usize, mut each: impl FnMut(Elem<'a>, f64)) {
        match *self {
            ZSetRef::Packed(pack) => pairs(pack).skip(first).take(count).for_each(|(_, m, s)| each(m, s)),
            ZSetRef::Tree(tree) => tree.range(first, false).take(count).for_each(|(m, s)| each(Elem::Str(m), s)),
        }
    }

    /// Calls `each` with `count` members from rank `last` on, in descending order.
    pub fn range_rev(&self, last: usize, count: usize, mut each: impl FnMut(Elem<'a>, f64)) {
        match *self {
            ZSetRef::Packed(pack) => {
                let mut at = listpack::seek(pack, 2 * last as i64);
                for _ in 0..count {
                    let Some(offset) = at else { return };
                    let Some(member) = listpack::at(pack, offset) else { return };
                    let score = listpack::next(pack, offset).and_then(|at| listpack::at(pack, at));
                    each(member, score.map_or(0.0, score_of));
                    at = listpack::prev(pack, offset).and_then(|at| listpack::prev(pack, at));
                }
            }
            ZSetRef::Tree(tree) => tree.range(last, true).take(count).for_each(|(m, s)| each(Elem::Str(m), s)),
        }
    }

    /// Scores from `min` on, below `end`, in ascending order, each with its member, until `each` says false.
    #[inline]
    pub fn scores(&self, min: f64, end: f64, mut each: impl FnMut(f64, MemberRef<'a>) -> bool) {
        match *self {
            ZSetRef::Packed(pack) => {
                let mut wanted = pairs(pack).skip_while(|(_, _, score)| *score < min);
                wanted.all(|(_, member, score)| score < end && each(score, MemberRef::Packed(member)));
            }
            ZSetRef::Tree(tree) => {
                let mut wanted = tree.scores_from(min);
                wanted.all(|(score, item)| score < end && each(score, MemberRef::Item(item)));
            }
        }
    }

    /// One step of ZSCAN: a packed set comes whole.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'a>, f64)) -> u64 {
        match *self {
            ZSetRef::Packed(_) => {
                self.range(0, usize::MAX, each);
                0
            }
            ZSetRef::Tree(tree) => tree.scan(cursor, count, |member, score| each(Elem::Str(member), score)),
        }
    }

    /// The member of a rank.
    pub fn nth(&self, rank: usize) -> Option<(Elem<'a>, f64)> {
        let mut found = None;
        self.range(rank, 1, |member, score| found = Some((member, score)));
        found
    }

    /// A member, each equally likely. `random` gives random bits.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<(Elem<'a>, f64)> {
        self.nth(super::value::below(random, self.len() as u64)? as usize)
    }

    /// Heap bytes beyond the entry; `samples` members are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        match self {
            ZSetRef::Packed(_) => 0,
            ZSetRef::Tree(tree) => tree.alloc_bytes(samples),
        }
    }
}

/// A sorted set to change, in its place in a table or by itself.
pub struct ZSetMut<E> {
    entry: E,
    limits: Limits,
}

impl<'a> ZSetMut<&'a mut Entry> {
    /// A sorted set that is in no database yet.
    pub fn of(entry: &'a mut Entry, limits: &Limits) -> Self {
        ZSetMut { entry, limits: *limits }
    }
}

impl<E: DerefMut<Target = Entry>> ZSetMut<E> {
    /// As it is.
    pub fn view(&self) -> ZSetRef<'_> {
        match self.entry.big() {
            Some(Big::ZSet(tree)) => ZSetRef::Tree(tree),
            Some(Big::DatedZSet(dated)) => ZSetRef::Tree(dated.sorted()),
            _ => ZSetRef::Packed(self.entry.value()),
        }
    }

    fn dated(&mut self) -> Option<&mut DatedZSet> {
        match self.entry.big_mut() {
            Some(Big::DatedZSet(dated)) => Some(dated),
            _ => None,
        }
    }

    /// The tree, to add members or change scores.
    fn tree(&mut self) -> Option<&mut Sorted> {
        match self.entry.big_mut() {
            Some(Big::ZSet(tree)) => Some(tree),
            Some(Big::DatedZSet(dated)) => Some(dated.sorted_mut()),
            _ => None,
        }
    }

    /// Before `hint` members of at most `longest` bytes are added to an empty set: the encoding that suits them.
    pub fn prepare(&mut self, hint: usize, longest: usize) {
        if hint > self.limits.zset_entries || longest > self.limits.zset_value {
            self.unpack();
        }
    }

    /// Adds a member, or changes its score, under conditions.
    #[inline]
    pub fn add(&mut self, member: &[u8], score: f64, options: AddOptions) -> Added {
        if self.entry.big().is_some() {
            return self.add_to_tree(member, score, options);
        }
        let old = self.find_packed(member);
        let added = decide(old.map(|(_, score)| score), score, options);
        match (added, old) {
            (Added::Changed(new), Some((at, _))) => {
                listpack::remove_range(&mut *self.entry, at, 2);
                self.insert_packed(member, new + 0.0);
            }
            (Added::New(new), _) => {
                if !self.has_room(member) {
                    self.unpack();
                    return self.add_to_tree(member, score, options);
                }
                self.insert_packed(member, new + 0.0);
            }
            _ => {}
        }
        added
    }

    /// Sets the score of a member of a passing result, given the one it has there.
    pub fn join(&mut self, member: &[u8], score: impl FnOnce(Option<f64>) -> f64) {
        if self.entry.big().is_none() {
            match self.find_packed(member) {
                Some((at, old)) => {
                    listpack::remove_range(&mut *self.entry, at, 2);
                    return self.insert_packed(member, score(Some(old)));
                }
                None if self.has_room(member) => return self.insert_packed(member, score(None)),
                None => self.unpack(),
            }
        }
        if let Some(tree) = self.tree() {
            tree.upsert(member, |old| (Some(score(old)), ()));
        }
    }

    /// Where a member is in the listpack, and its score.
    fn find_packed(&self, member: &[u8]) -> Option<(usize, f64)> {
        let pack = self.entry.value();
        let at = listpack::find(pack, member, HEADER_BYTES, 2)?;
        listpack::at(pack, listpack::next(pack, at)?).map(|score| (at, score_of(score)))
    }

    fn has_room(&self, member: &[u8]) -> bool {
        listpack::count(self.entry.value()) / 2 < self.limits.zset_entries && member.len() <= self.limits.zset_value
    }

    fn add_to_tree(&mut self, member: &[u8], score: f64, options: AddOptions) -> Added {
        let Some(tree) = self.tree() else { return Added::Refused };
        tree.upsert(member, |old| {
            let added = decide(old, score, options);
            let new = match added {
                Added::New(new) | Added::Changed(new) => Some(new),
                _ => None,
            };
            (new, added)
        })
    }

    fn insert_packed(&mut self, member: &[u8], score: f64) {
        let pack = self.entry.value();
        let behind =
            |(_, elem, s): &(usize, Elem<'_>, f64)| *s > score || (*s == score && compare(*elem, member).is_gt());
        let at = pairs(pack).find(behind).map_or(pack.len(), |(at, _, _)| at);
        with_score(score, |elem| listpack::insert_all(&mut *self.entry, at, &[member.into(), elem]));
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        if let Some(dated) = self.dated() {
            return dated.remove(member);
        }
        if let Some(tree) = self.tree() {
            return tree.remove(member);
        }
        match listpack::find(self.entry.value(), member, HEADER_BYTES, 2) {
            Some(at) => listpack::remove_range(&mut *self.entry, at, 2) == 2,
            None => false,
        }
    }

    /// Removes `count` members from rank `first` on.
    pub fn remove_range(&mut self, first: usize, count: usize) -> usize {
        if let Some(dated) = self.dated() {
            return dated.remove_range(first, count);
        }
        if let Some(tree) = self.tree() {
            return tree.remove_range(first, count);
        }
        match listpack::seek(self.entry.value(), 2 * first as i64) {
            Some(at) => listpack::remove_range(&mut *self.entry, at, count.saturating_mul(2)) / 2,
            None => 0,
        }
    }

    /// Sets or takes away the deadline (Unix milliseconds) of a member; whether there is such a member.
    pub fn set_deadline(&mut self, member: &[u8], deadline: Option<i64>) -> bool {
        if self.view().score(member).is_none() {
            return false;
        }
        if deadline.is_some() {
            self.allow_dates();
        }
        if let Some(dated) = self.dated() {
            dated.date(member, deadline);
        }
        true
    }

    /// From any form to the one with deadlines.
    fn allow_dates(&mut self) {
        if self.entry.big().is_none() {
            self.unpack();
        }
        let hasher = self.limits.hasher;
        let tree = match self.entry.big_mut() {
            Some(Big::ZSet(tree)) => std::mem::replace(&mut **tree, Sorted::new(hasher)),
            _ => return,
        };
        let dated = DatedZSet::of(tree, hasher);
        self.entry.set_big(Kind::BigZSetDated as u8, Box::new(Big::DatedZSet(Box::new(dated))));
    }

    /// Removes members that were due by `now_ms`, the soonest first, at most `most`, and names them; how many.
    pub fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        self.dated().map_or(0, |dated| dated.remove_due(now_ms, most, gone))
    }

    fn unpack(&mut self) {
        let mut tree = Sorted::new(self.limits.hasher);
        let mut text = itoa::Buffer::new();
        for (_, member, score) in pairs(self.entry.value()) {
            tree.upsert(member.text(&mut text), |_| (Some(score), ()));
        }
        self.entry.set_big(Kind::BigZSet as u8, Box::new(Big::ZSet(Box::new(tree))));
    }

    /// A finished result that fits is packed, as the reference does after a store.
    pub fn pack_if_small(&mut self) {
        let Some(tree) = self.tree() else { return self.drop_minus_zeros() };
        let longest = tree.range(0, false).map(|(member, _)| member.len()).max().unwrap_or(0);
        let len = tree.len();
        if len > self.limits.zset_entries || longest > self.limits.zset_value {
            return;
        }
        let mut pack = listpack::EMPTY.to_vec();
        if let ZSetRef::Tree(tree) = self.view() {
            for (member, score) in tree.range(0, false) {
                with_score(score + 0.0, |elem| listpack::push_back_all(&mut pack, &[member.into(), elem]));
            }
        }
        self.entry.set_value(Kind::ZSetPacked as u8, &pack);
    }

    fn drop_minus_zeros(&mut self) {
        let is_clean = |pack| !pairs(pack).any(|(_, _, score)| is_minus_zero(score));
        if is_clean(self.entry.value()) {
            return;
        }
        let mut pack = listpack::EMPTY.to_vec();
        for (_, member, score) in pairs(self.entry.value()) {
            with_score(score + 0.0, |elem| listpack::push_back_all(&mut pack, &[member, elem]));
        }
        self.entry.set_value(Kind::ZSetPacked as u8, &pack);
    }
}

/// What an add does to a member with this old score.
fn decide(old: Option<f64>, score: f64, options: AddOptions) -> Added {
    let Some(old) = old else {
        return if options.xx { Added::Refused } else { Added::New(score) };
    };
    if options.nx {
        return Added::Refused;
    }
    let new = if options.incr { old + score } else { score };
    if new.is_nan() {
        return Added::NotANumber;
    }
    if (options.gt && new <= old) || (options.lt && new >= old) {
        return Added::Refused;
    }
    if new == old { Added::Same(new) } else { Added::Changed(new) }
}

impl Value for ZSet {
    const TYPE: Type = Type::ZSet;
    type Ref<'a> = ZSetRef<'a>;
    type Mut<'a> = ZSetMut<EntryMut<'a>>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> ZSetRef<'_> {
        match entry.big() {
            Some(Big::ZSet(tree)) => ZSetRef::Tree(tree),
            Some(Big::DatedZSet(dated)) => ZSetRef::Tree(dated.sorted()),
            _ => ZSetRef::Packed(entry.value()),
        }
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> ZSetMut<EntryMut<'a>> {
        ZSetMut { entry, limits: *limits }
    }

    fn create(key: &[u8], _limits: &Limits, lru: u32) -> Entry {
        Entry::new(key, Kind::ZSetPacked as u8, &listpack::EMPTY, lru, None)
    }

    fn is_empty(entry: EntryRef<'_>) -> bool {
        Self::view(entry).is_empty()
    }

    #[inline]
    fn soonest(entry: EntryRef<'_>) -> Option<i64> {
        super::value::soonest_member(entry)
    }
}

/// The deadline of a member of a sorted set; nothing if there is no such member.
pub fn member_deadline(entry: EntryRef<'_>, member: &[u8]) -> Option<Option<i64>> {
    ZSet::view(entry).score(member)?;
    match entry.big() {
        Some(Big::DatedZSet(dated)) => Some(dated.deadline(member)),
        _ => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::types::testing::{Held, element, limits, steps, text};
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, f64>;
    type Pairs = Vec<(Vec<u8>, f64)>;

    const SCORES: [f64; 8] = [0.0, 1.0, -1.0, 2.5, 1e300, f64::INFINITY, f64::NEG_INFINITY, 4_503_599_627_370_497.0];

    fn sorted(model: &Model) -> Pairs {
        let mut all: Pairs = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|a, b| a.1.total_cmp(&b.1).then_with(|| a.0.cmp(&b.0)));
        all
    }

    fn agree(held: &Held<ZSet>, model: &Model) {
        let (zset, all) = (held.view(), sorted(model));
        assert_eq!(zset.len(), all.len());
        let mut forward = Pairs::new();
        zset.range(0, usize::MAX, |member, score| forward.push((text(member), score)));
        assert_eq!(forward, all);
        if let Some(last) = all.len().checked_sub(1) {
            let mut back = Pairs::new();
            zset.range_rev(last, usize::MAX, |member, score| back.push((text(member), score)));
            assert!(back.iter().eq(all.iter().rev()));
        }
        let (mut scanned, mut cursor) = (Model::new(), 0);
        loop {
            cursor = zset.scan(cursor, 3, |member, score| scanned.extend([(text(member), score)]));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&scanned, model);
        held.check_copy();
        if let ZSetRef::Packed(_) = zset {
            let longest = model.keys().map(Vec::len).max().unwrap_or(0);
            assert!(all.len() <= held.limits.zset_entries && longest <= held.limits.zset_value);
        }
    }

    /// What an add must do, spelled out for a naive map.
    fn add(model: &mut Model, member: &[u8], score: f64, how: AddOptions) -> Added {
        let Some(old) = model.get(member).copied() else {
            if how.xx {
                return Added::Refused;
            }
            model.insert(member.to_vec(), score);
            return Added::New(score);
        };
        let new = if how.incr { old + score } else { score };
        if how.nx {
            return Added::Refused;
        }
        if new.is_nan() {
            return Added::NotANumber;
        }
        if how.gt && new <= old || how.lt && new >= old {
            return Added::Refused;
        }
        if new == old {
            return Added::Same(new);
        }
        model.insert(member.to_vec(), new);
        Added::Changed(new)
    }

    fn score(rng: &mut Rng) -> f64 {
        match rng.below(3) {
            0 => SCORES[rng.below(8) as usize],
            1 => rng.below(30) as f64 - 10.0,
            _ => rng.below(1_000_000) as f64 / 7.0,
        }
    }

    fn change(held: &mut Held<ZSet>, model: &mut Model, rng: &mut Rng, names: u64) {
        let (member, score) = (element(rng, names), score(rng));
        match rng.below(14) {
            0..=6 => {
                let flag = |rng: &mut Rng| rng.below(6) == 0;
                let how = AddOptions { nx: flag(rng), xx: flag(rng), gt: flag(rng), lt: flag(rng), incr: flag(rng) };
                assert_eq!(held.edit(|zset| zset.add(&member, score, how)), add(model, &member, score, how));
            }
            7..=9 => assert_eq!(held.edit(|zset| zset.remove(&member)), model.remove(&member).is_some()),
            10 => {
                let (first, count) = (rng.below(model.len() as u64 + 2) as usize, rng.below(5) as usize);
                let gone: Pairs = sorted(model).into_iter().skip(first).take(count).collect();
                assert_eq!(held.edit(|zset| zset.remove_range(first, count)), gone.len());
                model.retain(|member, _| gone.iter().all(|(gone, _)| gone != member));
            }
            11 => {
                let rank = sorted(model).iter().position(|(m, _)| *m == member);
                let found = held.view().rank(&member);
                assert_eq!(found, rank.map(|rank| (rank, model[&member])));
                assert_eq!(held.view().score(&member), model.get(&member).copied());
            }
            12 => {
                let bound = |rng: &mut Rng| ScoreBound { score: self::score(rng), exclusive: rng.below(2) == 0 };
                let range = ScoreRange { min: bound(rng), max: bound(rng) };
                let above = |s: f64| if range.min.exclusive { s > range.min.score } else { s >= range.min.score };
                let below = |s: f64| if range.max.exclusive { s < range.max.score } else { s <= range.max.score };
                let all = sorted(model);
                let inside = all.iter().filter(|(_, s)| above(*s) && below(*s)).count();
                let (first, count) = held.view().resolve(Span::Scores(range));
                assert_eq!(count, inside, "{range:?}");
                assert!(count == 0 || first == all.iter().filter(|(_, s)| !above(*s)).count());
            }
            _ => held.edit(|zset| zset.pack_if_small()),
        }
    }

    #[test]
    fn behaves_as_a_naive_sorted_set() {
        for seed in 0..12 {
            println!("seed {seed}");
            let (mut rng, mut model) = (Rng::seeded(seed), Model::new());
            let mut held = Held::<ZSet>::new(limits(seed));
            let names = [6, 60, 1_000][seed as usize % 3];
            for step in 0..steps(84_000) {
                change(&mut held, &mut model, &mut rng, names);
                if step % 1_000 == 0 {
                    agree(&held, &model);
                }
                if model.is_empty() || rng.below(400) == 0 {
                    model.clear();
                    held.reset();
                }
            }
            agree(&held, &model);
        }
    }

    /// Members with deadlines, against a map of scores and deadlines.
    fn dated_run(seed: u64) {
        let (mut rng, mut model) = (Rng::seeded(seed), BTreeMap::<Vec<u8>, (f64, Option<i64>)>::new());
        let mut held = Held::<ZSet>::new(limits(seed));
        let mut now_ms = 1_000;
        for step in 0..steps(6_000) {
            let (member, score) = (element(&mut rng, [20, 300][seed as usize % 2]), rng.below(40) as f64);
            match rng.below(9) {
                0..=2 => {
                    held.edit(|zset| zset.add(&member, score, AddOptions::default()));
                    model.entry(member).or_default().0 = score;
                }
                3..=5 => {
                    let deadline = (rng.below(5) > 0).then(|| now_ms + 1 + rng.below(900) as i64);
                    let there = model.get_mut(&member).map(|old| old.1 = deadline).is_some();
                    assert_eq!(held.edit(|zset| zset.set_deadline(&member, deadline)), there);
                }
                6 => assert_eq!(held.edit(|zset| zset.remove(&member)), model.remove(&member).is_some()),
                7 => {
                    let (first, count) = (rng.below(30) as usize, rng.below(4) as usize);
                    let scores = model.iter().map(|(member, (score, _))| (member.clone(), *score)).collect();
                    let gone: Pairs = sorted(&scores).into_iter().skip(first).take(count).collect();
                    assert_eq!(held.edit(|zset| zset.remove_range(first, count)), gone.len());
                    gone.iter().for_each(|(member, _)| {
                        model.remove(member);
                    });
                }
                _ => {
                    now_ms += rng.below(200) as i64;
                    let due = |deadline: &Option<i64>| deadline.is_some_and(|at| at <= now_ms);
                    let count = model.values().filter(|(_, deadline)| due(deadline)).count();
                    assert_eq!(held.edit(|zset| zset.remove_due(now_ms, usize::MAX, &mut |_| ())), count);
                    model.retain(|_, (_, deadline)| !due(deadline));
                }
            }
            assert_eq!(ZSet::soonest(held.entry()), model.values().filter_map(|(_, deadline)| *deadline).min());
            if step % 100 == 0 {
                agree(&held, &model.iter().map(|(member, (score, _))| (member.clone(), *score)).collect());
                let dated = |member: &[u8]| member_deadline(held.entry(), member);
                assert!(model.iter().all(|(member, (_, deadline))| dated(member) == Some(*deadline)));
                if let Some(Big::DatedZSet(dated)) = held.entry().big() {
                    dated.check();
                }
            }
        }
    }

    #[test]
    fn members_with_deadlines_behave_as_a_naive_map() {
        for seed in 0..4 {
            let run = std::panic::catch_unwind(|| dated_run(seed));
            assert!(run.is_ok(), "seed {seed}");
        }
    }

    #[test]
    fn ranges_of_names_hold_in_both_encodings_and_mixed_scores_do_no_harm() {
        for entries in [0, 128] {
            let mut held = Held::<ZSet>::new(Limits { zset_entries: entries, ..limits(0) });
            for member in ["", "a", "aa", "b", "c"] {
                held.edit(|zset| zset.add(member.as_bytes(), 0.0, AddOptions::default()));
            }
            let count = |min, max| held.view().resolve(Span::Lex(min, max));
            use LexBound::{Exclusive, Greatest, Inclusive, Least};
            assert_eq!(count(Least, Greatest), (0, 5));
            assert_eq!(count(Inclusive(b"a"), Exclusive(b"b")), (1, 2));
            assert_eq!(count(Exclusive(b""), Inclusive(b"b")), (1, 3));
            assert_eq!(count(Greatest, Least).1, 0);
            assert_eq!(count(Inclusive(b"c"), Inclusive(b"a")).1, 0);
            for (n, member) in ["z", "0", "b", "a"].into_iter().enumerate() {
                held.edit(|zset| zset.add(member.as_bytes(), n as f64, AddOptions::default()));
            }
            for min in [Least, Greatest, Inclusive(b"b"), Exclusive(b"a")] {
                for max in [Least, Greatest, Inclusive(b"a"), Exclusive(b"z")] {
                    let (first, count) = held.view().resolve(Span::Lex(min, max));
                    assert!(first + count <= held.view().len());
                    held.view().range(first, count, |_, _| ());
                }
            }
        }
    }
}
