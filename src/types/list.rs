//! Lists: one listpack while small, else a deque of listpack nodes. Knows no key.

use super::value::{Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::ds::listpack::{self, WIRE_OVERHEAD_BYTES};
use crate::ds::quicklist::{Fill, Inserted, QuickList};
use std::ops::DerefMut;

/// The marker of lists.
pub struct List;

/// An end of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// A list to read.
#[derive(Clone, Copy)]
pub enum ListRef<'a> {
    /// Elements in one listpack.
    Packed(&'a [u8]),
    /// Nodes.
    Nodes(&'a QuickList),
}

impl ListRef<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        match self {
            ListRef::Packed(pack) => listpack::count(pack),
            ListRef::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the element at an index, negative from the end.
    pub fn get<R>(&self, index: i64, read: impl FnOnce(Elem<'_>) -> R) -> Option<R> {
        match self {
            ListRef::Packed(pack) => listpack::get(pack, index).map(read),
            ListRef::Nodes(nodes) => nodes.get(index, read),
        }
    }

    /// Calls `each` with up to `count` elements from `start` on (an index from the head), forward.
    pub fn range(&self, start: usize, count: usize, mut each: impl FnMut(Elem<'_>)) {
        match self {
            ListRef::Packed(pack) => {
                let Some(at) = listpack::seek(pack, start as i64) else { return };
                listpack::iter_from(pack, at).take(count).for_each(|(_, elem)| each(elem));
            }
            ListRef::Nodes(nodes) => {
                let mut walk = nodes.range(start, count);
                while let Some(elem) = walk.next_value() {
                    each(elem);
                }
            }
        }
    }

    /// Calls `each` with up to `count` elements from `start` (an index from the head) backward.
    pub fn range_rev(&self, start: usize, count: usize, mut each: impl FnMut(Elem<'_>)) {
        match self {
            ListRef::Packed(pack) => {
                let mut at = listpack::seek(pack, start as i64);
                for _ in 0..count {
                    let Some(elem) = at.and_then(|at| listpack::at(pack, at)) else { return };
                    each(elem);
                    at = at.and_then(|at| listpack::prev(pack, at));
                }
            }
            ListRef::Nodes(nodes) => {
                let mut walk = nodes.range_rev(start, count);
                while let Some(elem) = walk.next_value() {
                    each(elem);
                }
            }
        }
    }

    /// The indices of elements equal to `needle`, from the head or from the tail, among the first `limit` looked at
    /// (0: all), until `each` says false.
    pub fn positions(&self, needle: &[u8], from: End, limit: usize, mut each: impl FnMut(usize) -> bool) {
        let len = self.len();
        let limit = if limit == 0 { len } else { limit.min(len) };
        match self {
            ListRef::Packed(pack) => {
                let mut at = if from == End::Left { listpack::first(pack) } else { listpack::last(pack) };
                for step in 0..limit {
                    let Some(offset) = at else { return };
                    let index = if from == End::Left { step } else { len - 1 - step };
                    if listpack::at(pack, offset).is_some_and(|elem| elem.eq_bytes(needle)) && !each(index) {
                        return;
                    }
                    at = if from == End::Left { listpack::next(pack, offset) } else { listpack::prev(pack, offset) };
                }
            }
            ListRef::Nodes(nodes) => {
                nodes.positions(needle, from == End::Right, limit).all(each);
            }
        }
    }

    /// Heap bytes beyond the entry.
    pub fn alloc_bytes(&self) -> usize {
        match self {
            ListRef::Packed(_) => 0,
            ListRef::Nodes(nodes) => nodes.alloc_bytes(),
        }
    }
}

/// A list to change, in its place in a table or by itself.
pub struct ListMut<E> {
    entry: E,
    fill: Fill,
}

impl<'a> ListMut<&'a mut Entry> {
    /// A list that is in no database yet.
    pub fn of(entry: &'a mut Entry, limits: &Limits) -> Self {
        ListMut { entry, fill: limits.list_fill() }
    }
}

/// Wire size of a packed list.
fn wire_bytes(pack: &[u8]) -> usize {
    pack.len() - listpack::HEADER_BYTES + WIRE_OVERHEAD_BYTES
}

impl<E: DerefMut<Target = Entry>> ListMut<E> {
    /// As it is.
    pub fn view(&self) -> ListRef<'_> {
        match self.entry.big() {
            Some(Big::List(nodes)) => ListRef::Nodes(nodes),
            _ => ListRef::Packed(self.entry.value()),
        }
    }

    /// The nodes, once the list has any.
    fn nodes(&mut self) -> Option<&mut QuickList> {
        match self.entry.big_mut() {
            Some(Big::List(nodes)) => Some(nodes),
            _ => None,
        }
    }

    /// Makes the list one of nodes if `count` more elements of `bytes` in all would not fit one node.
    pub fn make_room(&mut self, count: usize, bytes: usize) {
        if self.entry.big().is_some() {
            return;
        }
        let pack = self.entry.value();
        let elements = listpack::count(pack) + count;
        // Not asked: which elements get a node of their own. That is a matter of lists with nodes.
        if !self.fill.admits_size(wire_bytes(pack) + bytes, elements) {
            let nodes = QuickList::from_packed(pack, self.fill);
            self.entry.set_big(Kind::BigList as u8, Box::new(Big::List(Box::new(nodes))));
        }
    }

    /// Adds an element at an end.
    #[inline]
    pub fn push(&mut self, end: End, element: &[u8]) {
        self.make_room(1, element.len());
        match (self.nodes(), end) {
            (Some(nodes), End::Left) => nodes.push_front(element),
            (Some(nodes), End::Right) => nodes.push_back(element),
            (None, End::Left) => listpack::push_front(&mut *self.entry, element),
            (None, End::Right) => listpack::push_back(&mut *self.entry, element),
        }
    }

    /// Takes the element at an end, lending it to `read` first.
    #[inline]
    pub fn pop<R>(&mut self, end: End, read: impl FnOnce(Elem<'_>) -> R) -> Option<R> {
        if let Some(nodes) = self.nodes() {
            let read = match end {
                End::Left => nodes.front().map(read),
                End::Right => nodes.back().map(read),
            };
            match end {
                End::Left => nodes.drop_front(),
                End::Right => nodes.drop_back(),
            };
            return read;
        }
        let pack = self.entry.value();
        let at = if end == End::Left { listpack::first(pack) } else { listpack::last(pack) }?;
        let result = listpack::at(pack, at).map(read);
        listpack::remove(&mut *self.entry, at);
        result
    }

    /// Replaces the element at an index; false if there is none.
    pub fn set(&mut self, index: i64, element: &[u8]) -> bool {
        if self.view().get(index, |_| ()).is_none() {
            return false;
        }
        // Counted as one more, as the reference does: it goes in before the old one leaves.
        self.make_room(1, element.len());
        if let Some(nodes) = self.nodes() {
            return nodes.set(index, element);
        }
        match listpack::seek(self.entry.value(), index) {
            Some(at) => listpack::replace(&mut *self.entry, at, element),
            None => false,
        }
    }

    /// Inserts beside the first element equal to `pivot`; the new length, or `None` without such an element.
    pub fn insert(&mut self, before: bool, pivot: &[u8], element: &[u8]) -> Option<usize> {
        self.make_room(1, element.len());
        if let Some(nodes) = self.nodes() {
            let inserted =
                if before { nodes.insert_before(pivot, element) } else { nodes.insert_after(pivot, element) };
            return match inserted {
                Inserted::Length(len) => Some(len),
                Inserted::NoPivot => None,
            };
        }
        let pack = self.entry.value();
        let at = listpack::find(pack, pivot, listpack::HEADER_BYTES, 1)?;
        let at = if before { at } else { listpack::next(pack, at).unwrap_or(pack.len()) };
        listpack::insert(&mut *self.entry, at, element);
        Some(listpack::count(self.entry.value()))
    }

    /// Removes elements equal to `element`: the first `count` from the head, from the tail if negative, all if 0.
    pub fn remove(&mut self, count: i64, element: &[u8]) -> usize {
        if let Some(nodes) = self.nodes() {
            return nodes.remove(count, element);
        }
        let limit = if count == 0 { usize::MAX } else { usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX) };
        let mut removed = 0;
        let mut index =
            if count < 0 { listpack::last(self.entry.value()) } else { listpack::first(self.entry.value()) };
        while let (Some(at), true) = (index, removed < limit) {
            let pack = self.entry.value();
            let equal = listpack::at(pack, at).is_some_and(|elem| elem.eq_bytes(element));
            let before = listpack::prev(pack, at);
            if equal {
                listpack::remove(&mut *self.entry, at);
                removed += 1;
            }
            let pack = self.entry.value();
            index = match (count < 0, equal) {
                (true, _) => before,
                (false, true) => (at < pack.len()).then_some(at),
                (false, false) => listpack::next(pack, at).filter(|next| *next < pack.len()),
            };
        }
        removed
    }

    /// Removes `count` elements from the index `start` on.
    pub fn remove_range(&mut self, start: usize, count: usize) -> usize {
        if let Some(nodes) = self.nodes() {
            return nodes.remove_range(start, count);
        }
        match listpack::seek(self.entry.value(), start as i64) {
            Some(at) => listpack::remove_range(&mut *self.entry, at, count),
            None => 0,
        }
    }

    /// After elements went: nodes that fit one listpack, with room to spare, become one again.
    pub fn shrink(&mut self) {
        let fill = self.fill;
        let Some(nodes) = self.nodes() else { return };
        if nodes.node_count() > 1 || nodes.is_empty() {
            return;
        }
        // Half of the limit: a list that hovers about it must not be rebuilt each time.
        if let Some(pack) = nodes.to_packed(fill.max_bytes() / 2, (fill.max_count() / 2).max(1)) {
            self.entry.set_value(Kind::ListPacked as u8, &pack);
        }
    }
}

impl Value for List {
    const TYPE: Type = Type::List;
    type Ref<'a> = ListRef<'a>;
    type Mut<'a> = ListMut<EntryMut<'a>>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> ListRef<'_> {
        match entry.big() {
            Some(Big::List(nodes)) => ListRef::Nodes(nodes),
            _ => ListRef::Packed(entry.value()),
        }
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> ListMut<EntryMut<'a>> {
        ListMut { entry, fill: limits.list_fill() }
    }

    fn create(key: &[u8], _limits: &Limits, lru: u32) -> Entry {
        Entry::new(key, Kind::ListPacked as u8, &listpack::EMPTY, lru, None)
    }

    fn is_empty(entry: EntryRef<'_>) -> bool {
        Self::view(entry).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::types::testing::{Held, element, limits, steps, text};
    use std::collections::VecDeque;

    type Model = VecDeque<Vec<u8>>;

    fn agree(held: &Held<List>, model: &Model) {
        let list = held.view();
        assert_eq!(list.len(), model.len());
        let mut all = Vec::new();
        list.range(0, usize::MAX, |elem| all.push(text(elem)));
        assert!(all.iter().eq(model.iter()), "{all:?} instead of {model:?}");
        if let Some(last) = model.len().checked_sub(1) {
            let mut back = Vec::new();
            list.range_rev(last, usize::MAX, |elem| back.push(text(elem)));
            assert!(back.iter().eq(model.iter().rev()));
        }
        held.check_copy();
    }

    /// Counts from the end if negative.
    fn index_in(model: &Model, index: i64) -> Option<usize> {
        let index = if index < 0 { index + model.len() as i64 } else { index };
        usize::try_from(index).ok().filter(|index| *index < model.len())
    }

    fn change(held: &mut Held<List>, model: &mut Model, rng: &mut Rng, names: u64) {
        let element = element(rng, names);
        let end = if rng.below(2) == 0 { End::Left } else { End::Right };
        let index = rng.below(2 * model.len() as u64 + 2) as i64 - model.len() as i64;
        match rng.below(16) {
            0..=6 => {
                held.edit(|list| list.push(end, &element));
                if end == End::Left { model.push_front(element) } else { model.push_back(element) }
            }
            7..=9 => {
                let expected = if end == End::Left { model.pop_front() } else { model.pop_back() };
                assert_eq!(held.edit(|list| list.pop(end, text)), expected);
            }
            10 => {
                let place = index_in(model, index);
                assert_eq!(held.edit(|list| list.set(index, &element)), place.is_some());
                place.into_iter().for_each(|place| model[place] = element.clone());
            }
            11 => {
                let (before, pivot) = (rng.below(2) == 0, super::tests::element(rng, names));
                let place = model.iter().position(|e| *e == pivot);
                place.into_iter().for_each(|p| model.insert(p + usize::from(!before), element.clone()));
                let inserted = held.edit(|list| list.insert(before, &pivot, &element));
                assert_eq!(inserted, place.map(|_| model.len()));
            }
            12 => {
                let count = rng.below(5) as i64 - 2;
                let mut places: Vec<usize> = (0..model.len()).filter(|i| model[*i] == element).collect();
                if count < 0 {
                    places.reverse();
                }
                places.truncate(if count == 0 { usize::MAX } else { count.unsigned_abs() as usize });
                places.sort_unstable();
                places.iter().rev().for_each(|place| drop(model.remove(*place)));
                assert_eq!(held.edit(|list| list.remove(count, &element)), places.len());
            }
            13 => {
                let (start, count) = (rng.below(model.len() as u64 + 2) as usize, rng.below(6) as usize);
                let gone = count.min(model.len().saturating_sub(start));
                assert_eq!(held.edit(|list| list.remove_range(start, count)), gone);
                model.drain(start.min(model.len())..start.min(model.len()) + gone);
            }
            14 => {
                let wanted = index_in(model, index).map(|place| model[place].clone());
                assert_eq!(held.view().get(index, text), wanted);
                let mut found = Vec::new();
                held.view().positions(&element, end, 0, |place| {
                    found.push(place);
                    true
                });
                let mut places: Vec<usize> = (0..model.len()).filter(|i| model[*i] == element).collect();
                if end == End::Right {
                    places.reverse();
                }
                assert_eq!(found, places);
            }
            _ => held.edit(|list| list.shrink()),
        }
    }

    #[test]
    fn behaves_as_a_naive_list() {
        for seed in 0..12 {
            println!("seed {seed}");
            let (mut rng, mut model) = (Rng::seeded(seed), Model::new());
            let mut held = Held::<List>::new(limits(seed));
            let names = [8, 60, 1_000][seed as usize % 3];
            for step in 0..steps(84_000) {
                change(&mut held, &mut model, &mut rng, names);
                if step % 1_000 == 0 {
                    agree(&held, &model);
                }
                if model.len() > 400 {
                    held.edit(|list| {
                        list.remove_range(3, usize::MAX);
                        list.shrink();
                    });
                    model.truncate(3);
                }
            }
            agree(&held, &model);
        }
    }

    #[test]
    fn a_replacement_counts_as_one_more_element() {
        for (len, kind) in [(7, Kind::ListPacked), (8, Kind::BigList)] {
            let mut held = Held::<List>::new(Limits { list_max: 8, ..limits(0) });
            (0..len).for_each(|_| held.edit(|list| list.push(End::Right, b"x")));
            assert!(held.edit(|list| list.set(0, b"y")));
            assert_eq!(held.kind(), kind);
        }
    }

    #[test]
    fn grows_into_nodes_at_the_limit_and_shrinks_at_half_of_it() {
        let mut held = Held::<List>::new(Limits { list_max: 8, ..limits(0) });
        for n in 0..8 {
            held.edit(|list| list.push(End::Right, b"x"));
            assert_eq!(held.kind(), Kind::ListPacked, "{n}");
        }
        held.edit(|list| list.push(End::Right, b"x"));
        assert_eq!(held.kind(), Kind::BigList);
        let mut pop = |kind| {
            held.edit(|list| {
                list.pop(End::Right, |_| ());
                list.shrink();
            });
            assert_eq!(held.kind(), kind);
        };
        (0..4).for_each(|_| pop(Kind::BigList));
        pop(Kind::ListPacked);
    }
}
