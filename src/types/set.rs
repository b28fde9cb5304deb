//! Sets: sorted integers in one run of bytes, one listpack of members, or a table; once a member has a deadline, a table and
//! beside it the deadlines. Knows no key.

mod dated;

pub use dated::DatedSet;

use super::value::{Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::base::number;
use crate::ds::listpack::{self, HEADER_BYTES};
use crate::ds::record::Member;
use crate::ds::{intset, table::Table};
use std::ops::DerefMut;

/// The marker of sets.
pub struct Set;

/// A set to read.
#[derive(Clone, Copy)]
pub enum SetRef<'a> {
    /// Sorted integers.
    Ints(&'a [u8]),
    /// Members in one listpack.
    Packed(&'a [u8]),
    /// A table.
    Table(&'a Table<Member>),
    /// A table, and the deadlines of some of its members.
    Dated(&'a DatedSet),
}

impl<'a> SetRef<'a> {
    /// Number of members.
    pub fn len(&self) -> usize {
        match self {
            SetRef::Ints(ints) => intset::len(ints),
            SetRef::Packed(pack) => listpack::count(pack),
            SetRef::Table(table) => table.len(),
            SetRef::Dated(set) => set.members().len(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether these bytes are a member.
    #[inline]
    pub fn contains(&self, member: &[u8]) -> bool {
        match self {
            SetRef::Ints(ints) => number::parse_i64(member).is_some_and(|n| intset::contains(ints, n)),
            SetRef::Packed(pack) => listpack::find(pack, member, HEADER_BYTES, 1).is_some(),
            SetRef::Table(table) => table.get(table.hasher().hash(member), member).is_some(),
            SetRef::Dated(set) => set.contains(member),
        }
    }

    /// Whether this element of another set is a member.
    #[inline]
    pub fn contains_elem(&self, elem: Elem<'_>) -> bool {
        match (self, elem) {
            (SetRef::Ints(ints), Elem::Int(n)) => intset::contains(ints, n),
            _ => self.contains(elem.text(&mut itoa::Buffer::new())),
        }
    }

    /// Every member until `each` says false.
    pub fn all(&self, mut each: impl FnMut(Elem<'a>) -> bool) -> bool {
        match *self {
            SetRef::Ints(ints) => intset::iter(ints).all(|n| each(Elem::Int(n))),
            SetRef::Packed(pack) => listpack::iter(pack).all(|(_, elem)| each(elem)),
            SetRef::Table(table) => table.iter().all(|member| each(Elem::Str(member.bytes()))),
            SetRef::Dated(set) => set.members().iter().all(|member| each(Elem::Str(member.bytes()))),
        }
    }

    /// Every member.
    pub fn for_each(&self, mut each: impl FnMut(Elem<'a>)) {
        self.all(|elem| {
            each(elem);
            true
        });
    }

    /// Every member with its deadline (Unix milliseconds), if it has one.
    pub fn for_each_dated(&self, mut each: impl FnMut(Elem<'a>, Option<i64>)) {
        match *self {
            SetRef::Dated(set) => {
                let deadline = |member: &[u8]| set.soonest().and_then(|_| set.deadline(member));
                set.members().iter().for_each(|m| each(Elem::Str(m.bytes()), deadline(m.bytes())));
            }
            _ => self.for_each(|member| each(member, None)),
        }
    }

    /// The deadline of a member; nothing if there is no such member.
    pub fn deadline(&self, member: &[u8]) -> Option<Option<i64>> {
        match self {
            SetRef::Dated(set) => set.contains(member).then(|| set.deadline(member)),
            _ => self.contains(member).then_some(None),
        }
    }

    /// One step of SSCAN: a packed set comes whole.
    pub fn scan(&self, cursor: u64, count: usize, mut each: impl FnMut(Elem<'a>)) -> u64 {
        match *self {
            SetRef::Table(table) => table.scan(cursor, count, |member| each(Elem::Str(member.bytes()))),
            SetRef::Dated(set) => set.members().scan(cursor, count, |member| each(Elem::Str(member.bytes()))),
            _ => {
                self.for_each(each);
                0
            }
        }
    }

    /// A member, each equally likely. `random` gives random bits.
    pub fn random(&self, random: &mut impl FnMut() -> u64) -> Option<Elem<'a>> {
        match *self {
            SetRef::Table(table) => table.random(random).map(|member| Elem::Str(member.bytes())),
            SetRef::Dated(set) => set.members().random(random).map(|member| Elem::Str(member.bytes())),
            _ => self.nth(super::value::below(random, self.len() as u64)? as usize),
        }
    }

    /// The member at an index of a set that is not a table; `None` past the end, or for a table.
    pub fn nth(&self, index: usize) -> Option<Elem<'a>> {
        match *self {
            SetRef::Ints(ints) => intset::get(ints, index).map(Elem::Int),
            SetRef::Packed(pack) => listpack::get(pack, index as i64),
            SetRef::Table(_) | SetRef::Dated(_) => None,
        }
    }

    /// Heap bytes beyond the entry; `samples` members are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0usize, 0usize);
        let mut add = |member_bytes: usize| {
            seen += 1;
            bytes += member_bytes;
        };
        let beside = match *self {
            SetRef::Table(table) => {
                table.iter().take(most).for_each(|member| add(member.alloc_bytes()));
                table.table_bytes()
            }
            SetRef::Dated(set) => {
                set.members().iter().take(most).for_each(|member| add(member.alloc_bytes()));
                set.members().table_bytes() + set.dates_bytes(samples)
            }
            _ => return 0,
        };
        beside + bytes * self.len() / seen.max(1)
    }
}

/// A set to change, in its place in a table or by itself.
pub struct SetMut<E> {
    entry: E,
    limits: Limits,
}

impl<'a> SetMut<&'a mut Entry> {
    /// A set that is in no database yet.
    pub fn of(entry: &'a mut Entry, limits: &Limits) -> Self {
        SetMut { entry, limits: *limits }
    }
}

impl<E: DerefMut<Target = Entry>> SetMut<E> {
    /// As it is.
    pub fn view(&self) -> SetRef<'_> {
        match (Kind::of(self.entry.kind()), self.entry.big()) {
            (_, Some(Big::Set(table))) => SetRef::Table(table),
            (_, Some(Big::DatedSet(set))) => SetRef::Dated(set),
            (Kind::SetInts, _) => SetRef::Ints(self.entry.value()),
            _ => SetRef::Packed(self.entry.value()),
        }
    }

    /// Before `hint` members, the first of them `first`, are added to an empty set: the encoding that suits them.
    pub fn prepare(&mut self, first: &[u8], hint: usize) {
        if number::parse_i64(first).is_some() && hint <= self.limits.set_ints {
            return;
        }
        if hint > self.limits.set_entries {
            return self.unpack();
        }
        self.entry.set_value(Kind::SetPacked as u8, &listpack::EMPTY);
    }

    /// Adds a member; true if it is new.
    #[inline]
    pub fn add(&mut self, member: &[u8]) -> bool {
        match Kind::of(self.entry.kind()) {
            Kind::SetInts => self.add_to_ints(member),
            Kind::SetPacked => self.add_to_pack(member),
            _ => self.add_to_table(member),
        }
    }

    fn add_to_ints(&mut self, member: &[u8]) -> bool {
        let Some(n) = number::parse_i64(member) else { return self.add_text_to_ints(member) };
        if !intset::add(&mut *self.entry, n) {
            return false;
        }
        if intset::len(self.entry.value()) > self.limits.set_ints {
            self.unpack();
        }
        true
    }

    /// A member that is no integer ends the integer encoding.
    fn add_text_to_ints(&mut self, member: &[u8]) -> bool {
        let fits = member.len() <= self.limits.set_value && intset::len(self.entry.value()) < self.limits.set_entries;
        if fits && self.longest_int() <= self.limits.set_value {
            self.pack()
        } else {
            self.unpack()
        }
        self.add(member)
    }

    fn longest_int(&self) -> usize {
        let ints = self.entry.value();
        let text_len = |n: Option<i64>| n.map_or(0, |n| itoa::Buffer::new().format(n).len());
        text_len(intset::min(ints)).max(text_len(intset::max(ints)))
    }

    fn add_to_pack(&mut self, member: &[u8]) -> bool {
        let pack = self.entry.value();
        if listpack::find(pack, member, HEADER_BYTES, 1).is_some() {
            return false;
        }
        if member.len() > self.limits.set_value || listpack::count(pack) >= self.limits.set_entries {
            self.unpack();
            return self.add_to_table(member);
        }
        listpack::push_back(&mut *self.entry, member);
        true
    }

    fn add_to_table(&mut self, member: &[u8]) -> bool {
        let table = match self.entry.big_mut() {
            Some(Big::Set(table)) => table,
            // What is there keeps its deadline.
            Some(Big::DatedSet(set)) => return set.add(member),
            _ => unreachable!("a set is packed or a table"),
        };
        let hash = table.hasher().hash(member);
        if table.get(hash, member).is_some() {
            return false;
        }
        table.insert_new(hash, Member::new(member));
        true
    }

    /// Removes a member; whether it was there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match Kind::of(self.entry.kind()) {
            Kind::SetInts => number::parse_i64(member).is_some_and(|n| intset::remove(&mut *self.entry, n)),
            Kind::SetPacked => match listpack::find(self.entry.value(), member, HEADER_BYTES, 1) {
                Some(at) => listpack::remove(&mut *self.entry, at),
                None => false,
            },
            _ => {
                let table = match self.entry.big_mut() {
                    Some(Big::Set(table)) => table,
                    Some(Big::DatedSet(set)) => return set.remove(member),
                    _ => return false,
                };
                let hash = table.hasher().hash(member);
                table.remove(hash, member).is_some()
            }
        }
    }

    /// Sets or takes away the deadline (Unix milliseconds) of a member; whether there is such a member.
    pub fn set_deadline(&mut self, member: &[u8], deadline: Option<i64>) -> bool {
        if self.entry.kind() != Kind::BigSetDated as u8 {
            let there = self.view().contains(member);
            if !there || deadline.is_none() {
                return there;
            }
            self.allow_dates();
        }
        match self.entry.big_mut() {
            Some(Big::DatedSet(set)) => set.set_deadline(member, deadline),
            _ => false,
        }
    }

    /// From any form to the one with deadlines.
    fn allow_dates(&mut self) {
        if !matches!(self.entry.big(), Some(Big::Set(_))) {
            self.unpack();
        }
        let Some(Big::Set(table)) = self.entry.big_mut() else { return };
        let table = std::mem::replace(table, Table::new(self.limits.hasher));
        let hasher = table.hasher();
        let set = DatedSet::of(table, hasher);
        self.entry.set_big(Kind::BigSetDated as u8, Box::new(Big::DatedSet(Box::new(set))));
    }

    /// Removes members that were due by `now_ms`, the soonest first, at most `most`, and names them; how many.
    pub fn remove_due(&mut self, now_ms: i64, most: usize, gone: &mut impl FnMut(&[u8])) -> usize {
        match self.entry.big_mut() {
            Some(Big::DatedSet(set)) => set.remove_due(now_ms, most, gone),
            _ => 0,
        }
    }

    /// Takes out a random member; its bytes.
    pub fn pop(&mut self, random: &mut impl FnMut() -> u64) -> Option<Vec<u8>> {
        let member = self.view().random(random)?.to_vec();
        self.remove(&member);
        Some(member)
    }

    fn pack(&mut self) {
        let ints: Vec<Elem<'_>> = intset::iter(self.entry.value()).map(Elem::Int).collect();
        let pack = listpack::from_values(ints);
        self.entry.set_value(Kind::SetPacked as u8, &pack);
    }

    fn unpack(&mut self) {
        let mut table = Table::new(self.limits.hasher);
        let mut text = itoa::Buffer::new();
        self.view().for_each(|elem| {
            let member = elem.text(&mut text);
            table.insert_new(table.hasher().hash(member), Member::new(member));
        });
        self.entry.set_big(Kind::BigSet as u8, Box::new(Big::Set(table)));
    }
}

/// A copy of a table's members.
pub(super) fn clone_table(table: &Table<Member>) -> Table<Member> {
    let mut copy = Table::new(table.hasher());
    for member in table.iter() {
        copy.insert_new(table.hasher().hash(member.bytes()), Member::new(member.bytes()));
    }
    copy
}

impl Value for Set {
    const TYPE: Type = Type::Set;
    type Ref<'a> = SetRef<'a>;
    type Mut<'a> = SetMut<EntryMut<'a>>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> SetRef<'_> {
        match (Kind::of(entry.kind()), entry.big()) {
            (_, Some(Big::Set(table))) => SetRef::Table(table),
            (_, Some(Big::DatedSet(set))) => SetRef::Dated(set),
            (Kind::SetInts, _) => SetRef::Ints(entry.value()),
            _ => SetRef::Packed(entry.value()),
        }
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> SetMut<EntryMut<'a>> {
        SetMut { entry, limits: *limits }
    }

    fn create(key: &[u8], _limits: &Limits, lru: u32) -> Entry {
        Entry::new(key, Kind::SetInts as u8, &intset::EMPTY, lru, None)
    }

    fn is_empty(entry: EntryRef<'_>) -> bool {
        Self::view(entry).is_empty()
    }

    #[inline]
    fn soonest(entry: EntryRef<'_>) -> Option<i64> {
        super::value::soonest_member(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::types::testing::{Held, element, limits, steps, text};
    use std::collections::BTreeSet;

    type Model = BTreeSet<Vec<u8>>;

    fn agree(held: &Held<Set>, model: &Model) {
        let set = held.view();
        assert_eq!(set.len(), model.len());
        let mut all = Vec::new();
        set.for_each(|elem| all.push(text(elem)));
        let (count, all) = (all.len(), all.into_iter().collect::<Model>());
        assert_eq!((count, &all), (model.len(), model));
        let (mut scanned, mut cursor) = (Model::new(), 0);
        loop {
            cursor = set.scan(cursor, 3, |elem| scanned.extend([text(elem)]));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&scanned, model);
        held.check_copy();
        let (limits, longest) = (&held.limits, model.iter().map(Vec::len).max().unwrap_or(0));
        match set {
            SetRef::Ints(_) => assert!(set.len() <= limits.set_ints),
            SetRef::Packed(_) => assert!(set.len() <= limits.set_entries && longest <= limits.set_value),
            SetRef::Table(table) => table.check(),
            SetRef::Dated(set) => set.check(),
        }
    }

    fn change(held: &mut Held<Set>, model: &mut Model, rng: &mut Rng, names: u64) {
        let mut member = element(rng, names);
        if names < 100 && rng.below(8) != 0 {
            // Mostly integers, so that this encoding lasts.
            member = (rng.below(names) as i64 - 9).to_string().into_bytes();
        }
        match rng.below(12) {
            0..=5 => assert_eq!(held.edit(|set| set.add(&member)), model.insert(member)),
            6..=8 => assert_eq!(held.edit(|set| set.remove(&member)), model.remove(&member)),
            9 => {
                let taken = held.edit(|set| set.pop(&mut || rng.next_u64()));
                assert_eq!(taken.is_some(), !model.is_empty());
                taken.into_iter().for_each(|member| assert!(model.remove(&member)));
            }
            10 => {
                let found = held.view().random(&mut || rng.next_u64()).map(text);
                assert!(found.map_or(model.is_empty(), |member| model.contains(&member)));
            }
            _ => {
                assert_eq!(held.view().contains(&member), model.contains(&member));
                if let Some(n) = number::parse_i64(&member) {
                    assert_eq!(held.view().contains_elem(Elem::Int(n)), model.contains(&member));
                }
            }
        }
    }

    #[test]
    fn behaves_as_a_naive_set() {
        for seed in 0..12 {
            println!("seed {seed}");
            let (mut rng, mut model) = (Rng::seeded(seed), Model::new());
            let mut held = Held::<Set>::new(limits(seed));
            let names = [20, 90, 3_000][seed as usize % 3];
            for step in 0..steps(84_000) {
                change(&mut held, &mut model, &mut rng, names);
                if step % 1_000 == 0 {
                    agree(&held, &model);
                }
                // As a database does: an emptied set goes, and the next one begins anew.
                if model.is_empty() || rng.below(500) == 0 {
                    model.clear();
                    held.reset();
                    let (first, hint) = (element(&mut rng, names), rng.below(50) as usize);
                    held.edit(|set| set.prepare(&first, hint));
                }
            }
            agree(&held, &model);
        }
    }

    /// Members with deadlines, against a map of them.
    fn dated_run(seed: u64) {
        let (mut rng, mut model) = (Rng::seeded(seed), std::collections::BTreeMap::<Vec<u8>, Option<i64>>::new());
        let mut held = Held::<Set>::new(limits(seed));
        let mut now_ms = 1_000;
        for step in 0..steps(6_000) {
            let member = element(&mut rng, [20, 300][seed as usize % 2]);
            match rng.below(8) {
                0..=2 => {
                    let is_new = !model.contains_key(&member);
                    assert_eq!(held.edit(|set| set.add(&member)), is_new);
                    model.entry(member).or_default();
                }
                3..=5 => {
                    let deadline = (rng.below(5) > 0).then(|| now_ms + 1 + rng.below(900) as i64);
                    let there = model.get_mut(&member).map(|old| *old = deadline).is_some();
                    assert_eq!(held.edit(|set| set.set_deadline(&member, deadline)), there);
                }
                6 => assert_eq!(held.edit(|set| set.remove(&member)), model.remove(&member).is_some()),
                _ => {
                    now_ms += rng.below(200) as i64;
                    let due = |deadline: &Option<i64>| deadline.is_some_and(|at| at <= now_ms);
                    let mut gone = Vec::new();
                    held.edit(|set| set.remove_due(now_ms, usize::MAX, &mut |member| gone.push(member.to_vec())));
                    gone.sort();
                    let expected: Vec<Vec<u8>> = model.iter().filter(|(_, d)| due(d)).map(|(m, _)| m.clone()).collect();
                    assert_eq!(gone, expected);
                    model.retain(|_, deadline| !due(deadline));
                }
            }
            assert_eq!(Set::soonest(held.entry()), model.values().flatten().min().copied());
            if step % 100 == 0 {
                let mut all = std::collections::BTreeMap::new();
                held.view().for_each_dated(|member, deadline| {
                    all.insert(text(member), deadline);
                });
                assert_eq!((&all, held.view().len()), (&model, model.len()));
                if let SetRef::Dated(set) = held.view() {
                    set.check();
                }
                held.check_copy();
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
    fn the_encoding_changes_where_the_limits_say() {
        let limits = Limits { set_ints: 4, set_entries: 3, set_value: 5, ..limits(0) };
        let kind_after = |members: &[&str]| {
            let mut held = Held::<Set>::new(limits);
            members.iter().for_each(|member| assert!(held.edit(|set| set.add(member.as_bytes()))));
            held.kind()
        };
        assert_eq!(kind_after(&["1", "2", "3", "4"]), Kind::SetInts);
        assert_eq!(kind_after(&["1", "2", "3", "4", "5"]), Kind::BigSet);
        assert_eq!(kind_after(&["1", "2", "a"]), Kind::SetPacked);
        assert_eq!(kind_after(&["1", "2", "3", "a"]), Kind::BigSet);
        assert_eq!(kind_after(&["1", "abcde"]), Kind::SetPacked);
        assert_eq!(kind_after(&["1", "abcdef"]), Kind::BigSet);
        assert_eq!(kind_after(&["123456", "a"]), Kind::BigSet);
        assert_eq!(kind_after(&["01"]), Kind::SetPacked);
    }
}
