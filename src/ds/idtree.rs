//! An ordered map from 128-bit ids to small values: a B+tree. Streams keep their nodes and their pending entries in it. Knows
//! no stream.
//!
//! ```text
//! inner  [lower bound of each child: up to 64 ids] [children ...]
//! leaf   [up to 64 ids] [their values]
//! ```
//!
//! Why no radix tree: ids that follow each other share 8 to 14 of their 16 bytes, so a radix tree is a chain of small nodes,
//! about one miss each and 50 bytes an id. Here a thousand ids are two levels, a million four, ids of a node lie side by
//! side, and an id costs 16 bytes, for nearly all ids come at the right end, where a full leaf is left full behind. A walk
//! goes down once a leaf, so nothing links leaves and nothing needs `unsafe`.
//!
//! Invariants: ids ascend strictly; a child's bound is above all ids left of it and not above its own (the first child's
//! bound is never read); no node but the root is empty. Neighbours that became small are joined.
//! Source: Comer, "The Ubiquitous B-Tree", 1979.

use std::mem;

/// Most ids of a leaf, most children of an inner node.
const FULL: usize = 64;
/// Neighbours with no more than this together become one.
const JOINED: usize = 48;
/// A node with fewer than this looks for a neighbour to join.
const SMALL: usize = 16;

#[derive(Clone, Debug)]
struct Leaf<V> {
    ids: Vec<u128>,
    values: Vec<V>,
}

#[derive(Clone, Debug)]
struct Inner<V> {
    bounds: Vec<u128>,
    children: Vec<Node<V>>,
}

#[derive(Clone, Debug)]
enum Node<V> {
    Leaf(Leaf<V>),
    Inner(Inner<V>),
}

/// What an insertion did to a node: the replaced value, and the right half if the node had to be split.
type Inserted<V> = (Option<V>, Option<(u128, Node<V>)>);

/// The map.
#[derive(Clone, Debug)]
pub struct IdTree<V> {
    root: Node<V>,
    len: usize,
}

impl<V> Default for IdTree<V> {
    fn default() -> Self {
        IdTree { root: Node::Leaf(Leaf { ids: Vec::new(), values: Vec::new() }), len: 0 }
    }
}

impl<V> Leaf<V> {
    /// The place of an id, or where it would go. New ids mostly belong behind all others.
    #[inline]
    fn find(&self, id: u128) -> Result<usize, usize> {
        match self.ids.last() {
            Some(last) if *last < id => Err(self.ids.len()),
            Some(last) if *last == id => Ok(self.ids.len() - 1),
            Some(_) => self.ids.binary_search(&id),
            None => Err(0),
        }
    }

    fn insert(&mut self, id: u128, value: V) -> Inserted<V> {
        let at = match self.find(id) {
            Ok(at) => return (Some(mem::replace(&mut self.values[at], value)), None),
            Err(at) => at,
        };
        if self.ids.len() < FULL {
            self.ids.insert(at, id);
            self.values.insert(at, value);
            return (None, None);
        }
        // At the right end the leaf stays full: more will come there.
        let split = if at == FULL { FULL } else { FULL / 2 };
        let mut right = Leaf { ids: Vec::with_capacity(FULL), values: Vec::with_capacity(FULL) };
        right.ids.extend(self.ids.drain(split..));
        right.values.extend(self.values.drain(split..));
        let half = if at >= split { &mut right } else { &mut *self };
        let at = if at >= split { at - split } else { at };
        half.ids.insert(at, id);
        half.values.insert(at, value);
        (None, Some((right.ids[0], Node::Leaf(right))))
    }

    fn append(&mut self, mut right: Leaf<V>) {
        self.ids.append(&mut right.ids);
        self.values.append(&mut right.values);
    }
}

impl<V> Inner<V> {
    /// The child that holds an id if any does.
    #[inline]
    fn child_of(&self, id: u128) -> usize {
        match self.bounds.last() {
            Some(last) if *last <= id => self.bounds.len() - 1,
            _ => self.bounds.partition_point(|bound| *bound <= id).saturating_sub(1),
        }
    }

    fn insert(&mut self, id: u128, value: V) -> Inserted<V> {
        let child = self.child_of(id);
        let (old, split) = self.children[child].insert(id, value);
        let Some((bound, node)) = split else { return (old, None) };
        if self.children.len() < FULL {
            self.bounds.insert(child + 1, bound);
            self.children.insert(child + 1, node);
            return (old, None);
        }
        // Split first, so that no node is ever allocated larger than a full one.
        let at = child + 1;
        let split = if at == FULL { FULL } else { FULL / 2 };
        let mut right = Inner { bounds: Vec::with_capacity(FULL), children: Vec::with_capacity(FULL) };
        right.bounds.extend(self.bounds.drain(split..));
        right.children.extend(self.children.drain(split..));
        let half = if at >= split { &mut right } else { &mut *self };
        let at = if at >= split { at - split } else { at };
        half.bounds.insert(at, bound);
        half.children.insert(at, node);
        (old, Some((right.bounds[0], Node::Inner(right))))
    }

    fn remove(&mut self, id: u128) -> Option<V> {
        let child = self.child_of(id);
        let value = self.children.get_mut(child)?.remove(id)?;
        let size = self.children[child].size();
        if size == 0 {
            self.bounds.remove(child);
            self.children.remove(child);
        } else if size < SMALL {
            self.join_around(child);
        }
        Some(value)
    }

    /// Joins a small child with a neighbour if both fit well into one node.
    fn join_around(&mut self, child: usize) {
        let size = self.children[child].size();
        let fits = |other: usize| self.children.get(other).is_some_and(|node| node.size() + size <= JOINED);
        let left = if fits(child + 1) {
            child
        } else if child > 0 && fits(child - 1) {
            child - 1
        } else {
            return;
        };
        let bound = self.bounds.remove(left + 1);
        let right = self.children.remove(left + 1);
        match (&mut self.children[left], right) {
            (Node::Leaf(left), Node::Leaf(right)) => left.append(right),
            (Node::Inner(left), Node::Inner(mut right)) => {
                // The bound of its first child was never read and may be stale; its parent's is true.
                right.bounds[0] = bound;
                left.bounds.append(&mut right.bounds);
                left.children.append(&mut right.children);
            }
            _ => unreachable!("all children of a node have one height"),
        }
    }
}

impl<V> Node<V> {
    /// Ids of a leaf, children of an inner node.
    fn size(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.ids.len(),
            Node::Inner(inner) => inner.children.len(),
        }
    }

    fn insert(&mut self, id: u128, value: V) -> Inserted<V> {
        match self {
            Node::Leaf(leaf) => leaf.insert(id, value),
            Node::Inner(inner) => inner.insert(id, value),
        }
    }

    fn remove(&mut self, id: u128) -> Option<V> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.find(id).ok()?;
                leaf.ids.remove(at);
                Some(leaf.values.remove(at))
            }
            Node::Inner(inner) => inner.remove(id),
        }
    }

    /// The leaf that holds an id if any does.
    #[inline]
    fn leaf_of(&self, id: u128) -> &Leaf<V> {
        let mut node = self;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf,
                Node::Inner(inner) => node = &inner.children[inner.child_of(id)],
            }
        }
    }

    /// The leaf with the least id not below `id`, and its place there.
    fn ceiling(&self, id: u128) -> Option<(&Leaf<V>, usize)> {
        match self {
            Node::Leaf(leaf) => {
                let at = leaf.find(id).unwrap_or_else(|at| at);
                (at < leaf.ids.len()).then_some((leaf, at))
            }
            Node::Inner(inner) => {
                let child = inner.child_of(id);
                let found = inner.children.get(child)?.ceiling(id);
                // No node is empty, so the next child has one.
                found.or_else(|| inner.children.get(child + 1)?.ceiling(id))
            }
        }
    }

    /// The greatest id not above `id`.
    fn floor(&self, id: u128) -> Option<(u128, &V)> {
        match self {
            Node::Leaf(leaf) => {
                let at = match leaf.find(id) {
                    Ok(at) => at,
                    Err(at) => at.checked_sub(1)?,
                };
                Some((leaf.ids[at], &leaf.values[at]))
            }
            Node::Inner(inner) => {
                let child = inner.child_of(id);
                let found = inner.children.get(child)?.floor(id);
                found.or_else(|| inner.children.get(child.checked_sub(1)?)?.floor(id))
            }
        }
    }

    fn alloc_bytes(&self) -> usize {
        match self {
            Node::Leaf(leaf) => leaf.ids.capacity() * size_of::<u128>() + leaf.values.capacity() * size_of::<V>(),
            Node::Inner(inner) => {
                inner.bounds.capacity() * size_of::<u128>()
                    + inner.children.capacity() * size_of::<Node<V>>()
                    + inner.children.iter().map(Node::alloc_bytes).sum::<usize>()
            }
        }
    }
}

impl<V> IdTree<V> {
    /// Number of ids.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no id.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets the value of an id; the one it had.
    pub fn insert(&mut self, id: u128, value: V) -> Option<V> {
        let (old, split) = self.root.insert(id, value);
        if let Some((bound, right)) = split {
            let empty = Node::Inner(Inner { bounds: Vec::new(), children: Vec::new() });
            let left = mem::replace(&mut self.root, empty);
            self.root = Node::Inner(Inner { bounds: vec![0, bound], children: vec![left, right] });
        }
        self.len += usize::from(old.is_none());
        old
    }

    /// Removes an id; the value it had.
    pub fn remove(&mut self, id: u128) -> Option<V> {
        let value = self.root.remove(id)?;
        self.len -= 1;
        if self.len == 0 {
            *self = IdTree::default();
        }
        while let Node::Inner(inner) = &mut self.root {
            if inner.children.len() != 1 {
                break;
            }
            if let Some(only) = inner.children.pop() {
                self.root = only;
            }
        }
        Some(value)
    }

    /// The value of an id.
    #[inline]
    pub fn get(&self, id: u128) -> Option<&V> {
        let leaf = self.root.leaf_of(id);
        leaf.find(id).ok().map(|at| &leaf.values[at])
    }

    /// The value of an id, to change it.
    #[inline]
    pub fn get_mut(&mut self, id: u128) -> Option<&mut V> {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Leaf(leaf) => return leaf.find(id).ok().map(|at| &mut leaf.values[at]),
                Node::Inner(inner) => {
                    let child = inner.child_of(id);
                    node = inner.children.get_mut(child)?;
                }
            }
        }
    }

    /// Whether an id is there.
    #[inline]
    pub fn contains(&self, id: u128) -> bool {
        self.get(id).is_some()
    }

    /// The least id.
    pub fn first(&self) -> Option<(u128, &V)> {
        self.ceiling(0)
    }

    /// The greatest id.
    pub fn last(&self) -> Option<(u128, &V)> {
        self.floor(u128::MAX)
    }

    /// The least id that is not below `id`.
    pub fn ceiling(&self, id: u128) -> Option<(u128, &V)> {
        self.root.ceiling(id).map(|(leaf, at)| (leaf.ids[at], &leaf.values[at]))
    }

    /// The greatest id that is not above `id`.
    pub fn floor(&self, id: u128) -> Option<(u128, &V)> {
        self.root.floor(id)
    }

    /// The ids from `id` on, ascending.
    pub fn iter_from(&self, id: u128) -> Iter<'_, V> {
        let place = self.root.ceiling(id);
        Iter { tree: self, leaf: place.map(|(leaf, _)| leaf), at: place.map_or(0, |(_, at)| at) }
    }

    /// All ids, ascending.
    pub fn iter(&self) -> Iter<'_, V> {
        self.iter_from(0)
    }

    /// Heap bytes, without what values own.
    pub fn alloc_bytes(&self) -> usize {
        self.root.alloc_bytes()
    }

    /// All ids in order with the invariants checked. For tests.
    #[cfg(test)]
    fn check(&self) {
        if self.len == 0 {
            return assert_eq!(self.root.size(), 0);
        }
        if let Node::Inner(inner) = &self.root {
            assert!(inner.children.len() > 1, "a root with one child is that child");
        }
        let (_, len, _) = Self::check_child(&self.root, None);
        assert_eq!(len, self.len);
    }

    #[cfg(test)]
    fn check_child(child: &Node<V>, above: Option<u128>) -> (usize, usize, Option<u128>) {
        match child {
            Node::Leaf(leaf) => {
                assert!(!leaf.ids.is_empty() && leaf.ids.len() <= FULL && leaf.ids.len() == leaf.values.len());
                let mut last = above;
                for id in &leaf.ids {
                    assert!(last.is_none_or(|last| last < *id), "ids ascend");
                    last = Some(*id);
                }
                (1, leaf.ids.len(), last)
            }
            Node::Inner(inner) => {
                assert!(!inner.children.is_empty() && inner.children.len() <= FULL);
                let (mut height, mut len, mut last) = (0, 0, above);
                for (index, child) in inner.children.iter().enumerate() {
                    assert!(index == 0 || last.is_none_or(|last| last < inner.bounds[index]), "bounds are above");
                    let (h, n, l) = Self::check_child(child, last);
                    let first = child.ceiling(0).map(|(leaf, at)| leaf.ids[at]);
                    assert!(index == 0 || first.is_some_and(|id| id >= inner.bounds[index]), "bounds are below");
                    assert!(index == 0 || height == h, "one height");
                    (height, len, last) = (h, len + n, l);
                }
                (height + 1, len, last)
            }
        }
    }
}

/// Ids with their values, ascending.
#[derive(Debug)]
pub struct Iter<'a, V> {
    tree: &'a IdTree<V>,
    leaf: Option<&'a Leaf<V>>,
    at: usize,
}

impl<'a, V> Iterator for Iter<'a, V> {
    type Item = (u128, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let leaf = self.leaf?;
        let item = (leaf.ids[self.at], &leaf.values[self.at]);
        self.at += 1;
        if self.at == leaf.ids.len() {
            let next = item.0.checked_add(1).and_then(|id| self.tree.root.ceiling(id));
            self.leaf = next.map(|(leaf, _)| leaf);
            self.at = next.map_or(0, |(_, at)| at);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::{Rng, steps};
    use std::collections::BTreeMap;

    fn agree(tree: &IdTree<u32>, model: &BTreeMap<u128, u32>, probe: u128) {
        tree.check();
        assert!(tree.iter().map(|(id, v)| (id, *v)).eq(model.iter().map(|(id, v)| (*id, *v))));
        let pair = |(id, v): (u128, &u32)| (id, *v);
        let model_pair = |(id, v): (&u128, &u32)| (*id, *v);
        assert_eq!(tree.first().map(pair), model.first_key_value().map(model_pair));
        assert_eq!(tree.last().map(pair), model.last_key_value().map(model_pair));
        assert_eq!(tree.ceiling(probe).map(pair), model.range(probe..).next().map(model_pair));
        assert_eq!(tree.floor(probe).map(pair), model.range(..=probe).next_back().map(model_pair));
        assert!(tree.iter_from(probe).map(pair).eq(model.range(probe..).map(model_pair)));
    }

    #[test]
    fn behaves_as_a_naive_map() {
        for seed in 0..8 {
            println!("seed {seed}");
            let mut rng = Rng::seeded(seed);
            let (mut tree, mut model) = (IdTree::default(), BTreeMap::new());
            let names = [200, 20_000, 100_000][seed as usize % 3];
            let mut next = 0u128;
            for step in 0..steps(125_000) as u32 {
                // Times of growth and times of shrinking; new ids at the end, old ones anywhere.
                let grows = step / 3_000 % 2 == 0;
                let any = u128::from(rng.below(names)) << 60;
                match rng.below(10) {
                    0..=3 if grows => {
                        next += 1 + u128::from(rng.below(1 << 40));
                        assert_eq!(tree.insert(next, step), model.insert(next, step));
                    }
                    0..=5 if grows => assert_eq!(tree.insert(any, step), model.insert(any, step)),
                    0..=3 => {
                        let first = model.first_key_value().map_or(0, |(id, _)| *id);
                        assert_eq!(tree.remove(first), model.remove(&first));
                    }
                    4..=7 => {
                        let id = model.range(any..).next().map_or(any, |(id, _)| *id);
                        assert_eq!(tree.remove(id), model.remove(&id));
                    }
                    8 => {
                        if let Some(value) = tree.get_mut(any) {
                            *value = step;
                            model.insert(any, step);
                        }
                    }
                    _ => assert_eq!(tree.get(any), model.get(&any)),
                }
                if step % 2_500 == 0 {
                    agree(&tree, &model, any);
                }
            }
            agree(&tree, &model, 1 << 70);
            while let Some((id, _)) = tree.last().map(|(id, v)| (id, *v)) {
                assert_eq!(tree.remove(id), model.remove(&id));
            }
            agree(&tree, &model, 0);
        }
    }

    #[test]
    fn ids_that_come_in_order_fill_their_leaves() {
        let mut tree = IdTree::default();
        for id in 0..100_000u128 {
            tree.insert(id << 64, ());
        }
        tree.check();
        assert!(tree.alloc_bytes() < 100_000 * 18, "{}", tree.alloc_bytes());
        assert_eq!(tree.ceiling(u128::MAX), None);
        assert_eq!(tree.floor(5).map(|(id, ())| id), Some(0));
    }
}
