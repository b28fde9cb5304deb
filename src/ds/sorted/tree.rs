//! An order-statistic B+tree of (score, address of a `Scored`). Entries are compared by score; only where scores are equal
//! are the members looked at. Owns no member.
//!
//! ```text
//! inner  for each child: first entry of its subtree (score, address), number of entries below, child    up to 42 children
//! leaf   scores, addresses, links to the neighbours                                                     up to 31 entries
//! ```
//!
//! Inner nodes are 1,024 bytes, leaves 512: both size classes. Small leaves, because an insert or a removal touches half of
//! one, and those cache lines are what a change of a large set costs. Invariants: all leaves have one depth; a separator is the first entry of its
//! subtree, so that it is always a live member (child 0's is never read); counts are exact; no node but the root is empty.
//! Fills at either end leave full leaves behind. Source: Comer, "The Ubiquitous B-Tree", 1979; counts as in order-statistic
//! trees (Cormen et al., chapter 14).

use crate::ds::prefetch::prefetch_read;
use crate::ds::record::ScoredRef;
use std::ptr::NonNull;

const LEAF: usize = 31;
const FAN: usize = 42;
/// Neighbours with no more entries than this together become one.
const MERGE_LEAF: usize = 24;
const MERGE_FAN: usize = 30;
const MAX_HEIGHT: usize = 12;
/// Scores prefetched together.
const PREFETCH: usize = 32;
/// Among so many equal scores an entry is looked for by its address first, which touches no member.
const SHORT_RUN: usize = 16;
const NONE: u32 = u32::MAX;

type Address = NonNull<u8>;

struct Leaf {
    scores: [f64; LEAF],
    addresses: [Address; LEAF],
    prev: u32,
    next: u32,
    len: u16,
}

struct Inner {
    scores: [f64; FAN],
    addresses: [Address; FAN],
    counts: [u32; FAN],
    children: [u32; FAN],
    len: u16,
}

const _: () = assert!(size_of::<Leaf>() == 512 && size_of::<Inner>() <= 1024);

/// Nodes by number; each an allocation of its own, so that growing never moves one.
struct Pool<T> {
    nodes: Vec<Box<T>>,
    free: Vec<u32>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Pool { nodes: Vec::new(), free: Vec::new() }
    }
}

impl<T> Pool<T> {
    fn add(&mut self, node: T) -> u32 {
        match self.free.pop() {
            Some(id) => {
                *self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(Box::new(node));
                (self.nodes.len() - 1) as u32
            }
        }
    }

    #[inline]
    fn at(&self, id: u32) -> &T {
        &self.nodes[id as usize]
    }

    #[inline]
    fn at_mut(&mut self, id: u32) -> &mut T {
        &mut self.nodes[id as usize]
    }
}

/// Brings the parts that a search reads into the cache, all at once.
#[inline]
fn prefetch_lines<T: ?Sized>(node: &T, bytes: usize) {
    let start = std::ptr::from_ref(node).cast::<u8>();
    for offset in (0..bytes).step_by(64) {
        prefetch_read(start.wrapping_add(offset));
    }
}

impl Leaf {
    #[inline]
    fn prefetch(&self) {
        prefetch_lines(&self.scores, size_of::<[f64; LEAF]>());
        prefetch_read(&raw const self.len);
    }

    /// The addresses from an index on: what an insert or a removal there moves.
    #[inline]
    fn prefetch_addresses(&self, from: usize) {
        prefetch_lines(&self.addresses[from..self.len().max(from)], (self.len() - from) * size_of::<Address>());
    }

    fn empty() -> Leaf {
        Leaf { scores: [0.0; LEAF], addresses: [NonNull::dangling(); LEAF], prev: NONE, next: NONE, len: 0 }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn insert(&mut self, at: usize, score: f64, address: Address) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.addresses.copy_within(at..len, at + 1);
        self.scores[at] = score;
        self.addresses[at] = address;
        self.len += 1;
    }

    fn remove(&mut self, at: usize) {
        let len = self.len();
        self.scores.copy_within(at + 1..len, at);
        self.addresses.copy_within(at + 1..len, at);
        self.len -= 1;
    }
}

impl Inner {
    #[inline]
    fn prefetch(&self) {
        prefetch_lines(self, size_of::<Inner>());
    }

    fn empty() -> Inner {
        Inner {
            scores: [0.0; FAN],
            addresses: [NonNull::dangling(); FAN],
            counts: [0; FAN],
            children: [0; FAN],
            len: 0,
        }
    }

    #[inline]
    fn len(&self) -> usize {
        usize::from(self.len)
    }

    fn insert(&mut self, at: usize, child: Child) {
        let len = self.len();
        self.scores.copy_within(at..len, at + 1);
        self.addresses.copy_within(at..len, at + 1);
        self.counts.copy_within(at..len, at + 1);
        self.children.copy_within(at..len, at + 1);
        self.set(at, child);
        self.len += 1;
    }

    fn set(&mut self, at: usize, child: Child) {
        self.scores[at] = child.score;
        self.addresses[at] = child.address;
        self.counts[at] = child.count;
        self.children[at] = child.id;
    }

    fn get(&self, at: usize) -> Child {
        Child { score: self.scores[at], address: self.addresses[at], count: self.counts[at], id: self.children[at] }
    }

    fn remove(&mut self, at: usize) {
        let len = self.len();
        self.scores.copy_within(at + 1..len, at);
        self.addresses.copy_within(at + 1..len, at);
        self.counts.copy_within(at + 1..len, at);
        self.children.copy_within(at + 1..len, at);
        self.len -= 1;
    }

    fn total(&self) -> u32 {
        self.counts[..self.len()].iter().sum()
    }
}

/// A child with its first entry and its number of entries.
#[derive(Clone, Copy)]
struct Child {
    score: f64,
    address: Address,
    count: u32,
    id: u32,
}

/// The way from the root to a leaf: inner nodes and the child taken in each.
struct Path {
    steps: [(u32, usize); MAX_HEIGHT],
    len: usize,
    leaf: u32,
}

/// The tree.
pub(super) struct Tree {
    leaves: Pool<Leaf>,
    inners: Pool<Inner>,
    root: u32,
    /// Inner levels above the leaves.
    height: usize,
    len: usize,
}

impl Default for Tree {
    fn default() -> Self {
        Tree { leaves: Pool::default(), inners: Pool::default(), root: NONE, height: 0, len: 0 }
    }
}

/// Number of entries before (score, address) in a node's sorted arrays. Scores are searched without a branch on data; members
/// are looked at among equal scores only, and not at all where the address itself turns up.
///
/// # Safety
/// `address` and `addresses` are of live items.
#[inline]
unsafe fn position(scores: &[f64], addresses: &[Address], score: f64, address: Address) -> usize {
    let first = below(scores, |s| s < score);
    if first == scores.len() || scores[first] != score {
        return first;
    }
    let equal = below(&scores[first..], |s| s <= score);
    let run = &addresses[first..first + equal];
    if equal <= SHORT_RUN {
        if let Some(at) = run.iter().position(|a| *a == address) {
            return first + at;
        }
    }
    // SAFETY: the caller's promise.
    let member = unsafe { ScoredRef::from_ptr(address) }.member();
    // SAFETY: the caller's promise.
    first + partition(equal, |i| run[i] != address && unsafe { ScoredRef::from_ptr(run[i]) }.member() < member)
}

/// Number of leading scores for which `is_below` holds: all are counted, several at a time, since which way a search would
/// go can't be predicted.
#[inline]
fn below(scores: &[f64], is_below: impl Fn(f64) -> bool) -> usize {
    scores.iter().map(|s| u64::from(is_below(*s))).sum::<u64>() as usize
}

/// Number of leading elements for which `is_before` holds; it holds for a prefix.
#[inline]
fn partition(len: usize, mut is_before: impl FnMut(usize) -> bool) -> usize {
    let (mut low, mut size) = (0, len);
    while size > 0 {
        let half = size / 2;
        if is_before(low + half) {
            low += half + 1;
            size -= half + 1;
        } else {
            size = half;
        }
    }
    low
}

impl Tree {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn alloc_bytes(&self) -> usize {
        let leaves = self.leaves.nodes.len() * size_of::<Leaf>();
        leaves + self.inners.nodes.len() * 1024 + (self.leaves.nodes.capacity() + self.inners.nodes.capacity()) * 8
    }

    /// The way to the leaf where `is_before` (true for a prefix of the entries) turns false.
    #[inline]
    fn descend(&self, mut is_before: impl FnMut(f64, Address) -> bool) -> Path {
        let mut path = Path { steps: [(0, 0); MAX_HEIGHT], len: self.height, leaf: self.root };
        for level in 0..self.height {
            let inner = self.inners.at(path.leaf);
            // The last child whose first entry is before; child 0 takes what is before all.
            let behind = partition(inner.len() - 1, |i| is_before(inner.scores[i + 1], inner.addresses[i + 1]));
            path.steps[level] = (path.leaf, behind);
            path.leaf = inner.children[behind];
        }
        path
    }

    /// The way to the leaf where an entry is, or belongs.
    ///
    /// # Safety
    /// `address` and all addresses in the tree are of live items.
    #[inline]
    unsafe fn find(&self, score: f64, address: Address) -> Path {
        let mut path = Path { steps: [(0, 0); MAX_HEIGHT], len: self.height, leaf: self.root };
        for level in 0..self.height {
            let inner = self.inners.at(path.leaf);
            let len = inner.len();
            // SAFETY: the caller's promise. A separator that is the entry itself leads to its right.
            let mut behind = unsafe { position(&inner.scores[1..len], &inner.addresses[1..len], score, address) };
            behind += usize::from(behind + 1 < len && inner.addresses[behind + 1] == address);
            path.steps[level] = (path.leaf, behind);
            path.leaf = inner.children[behind];
            if level + 1 == self.height {
                self.leaves.at(path.leaf).prefetch();
            } else {
                self.inners.at(path.leaf).prefetch();
            }
        }
        path
    }

    /// Brings the leaves that belong to these scores into the cache, level by level for all of them, so that their misses
    /// overlap; then the members that a search would compare.
    pub(super) fn prefetch(&self, scores: &[f64]) {
        if self.root == NONE {
            return;
        }
        let mut nodes = [self.root; PREFETCH];
        for scores in scores.chunks(PREFETCH) {
            nodes.fill(self.root);
            for level in 0..self.height {
                for (node, score) in nodes.iter_mut().zip(scores) {
                    let inner = self.inners.at(*node);
                    *node = inner.children[below(&inner.scores[1..inner.len()], |s| s < *score)];
                    if level + 1 == self.height {
                        self.leaves.at(*node).prefetch();
                    } else {
                        self.inners.at(*node).prefetch();
                    }
                }
            }
            for (node, score) in nodes.iter().zip(scores) {
                let leaf = self.leaves.at(*node);
                let at = below(&leaf.scores[..leaf.len()], |s| s < *score);
                leaf.prefetch_addresses(at);
                let equal = leaf.scores[at..leaf.len()].iter().take(4).take_while(|s| **s == *score).count();
                leaf.addresses[at..at + equal].iter().for_each(|a| prefetch_read(a.as_ptr()));
            }
        }
    }

    /// Adds an entry that is not there.
    ///
    /// # Safety
    /// `address` and all addresses in the tree are of live items.
    pub(super) unsafe fn insert(&mut self, score: f64, address: Address) {
        self.len += 1;
        if self.root == NONE {
            let mut leaf = Leaf::empty();
            leaf.insert(0, score, address);
            self.root = self.leaves.add(leaf);
            return;
        }
        // SAFETY: the caller's promise.
        let path = unsafe { self.find(score, address) };
        for &(id, child) in &path.steps[..path.len] {
            self.inners.at_mut(id).counts[child] += 1;
        }
        let leaf = self.leaves.at_mut(path.leaf);
        let len = leaf.len();
        // SAFETY: the caller's promise.
        let at = unsafe { position(&leaf.scores[..len], &leaf.addresses[..len], score, address) };
        if len < LEAF {
            leaf.insert(at, score, address);
        } else {
            self.split_leaf(&path, at, score, address);
        }
    }

    /// A full leaf becomes two, with the new entry in one of them.
    fn split_leaf(&mut self, path: &Path, at: usize, score: f64, address: Address) {
        let leaf = self.leaves.at(path.leaf);
        // At the ends of the whole tree a fill in order goes on: the full leaf stays full.
        let keep = match (at, leaf.prev, leaf.next) {
            (LEAF, _, NONE) => LEAF,
            (0, NONE, _) => 0,
            _ => LEAF / 2,
        };
        let mut right = Leaf::empty();
        let moved = LEAF - keep;
        right.scores[..moved].copy_from_slice(&leaf.scores[keep..]);
        right.addresses[..moved].copy_from_slice(&leaf.addresses[keep..]);
        right.len = moved as u16;
        (right.prev, right.next) = (path.leaf, leaf.next);
        let (left_id, next) = (path.leaf, leaf.next);
        if at > keep || keep == LEAF {
            right.insert(at - keep, score, address);
        }
        let first = (right.scores[0], right.addresses[0]);
        let right_len = u32::from(right.len);
        let right_id = self.leaves.add(right);
        let left = self.leaves.at_mut(left_id);
        left.next = right_id;
        left.len = keep as u16;
        if !(at > keep || keep == LEAF) {
            left.insert(at, score, address);
        }
        let left_child =
            Child { score: left.scores[0], address: left.addresses[0], count: u32::from(left.len), id: left_id };
        if next != NONE {
            self.leaves.at_mut(next).prev = right_id;
        }
        let right_child = Child { score: first.0, address: first.1, count: right_len, id: right_id };
        self.add_child(path, path.len, left_child, right_child);
    }

    /// Below level `level` of the path a node became two: `left` has taken its place, `right` comes behind it.
    fn add_child(&mut self, path: &Path, level: usize, left: Child, right: Child) {
        if level == 0 {
            let mut root = Inner::empty();
            root.insert(0, left);
            root.insert(1, right);
            self.root = self.inners.add(root);
            self.height += 1;
            return;
        }
        let (id, at) = path.steps[level - 1];
        let inner = self.inners.at_mut(id);
        inner.counts[at] = left.count;
        if inner.len() < FAN {
            inner.insert(at + 1, right);
            return;
        }
        // Full as well: at the right end it stays full, else it is halved.
        let keep = if at + 1 == FAN { FAN - 1 } else { FAN / 2 };
        let mut sibling = Inner::empty();
        for i in keep..FAN {
            sibling.insert(i - keep, inner.get(i));
        }
        inner.len = keep as u16;
        if at + 1 > keep || at + 1 == FAN {
            sibling.insert(at + 1 - keep, right);
        } else {
            inner.insert(at + 1, right);
        }
        let this = Child { count: inner.total(), id, ..inner.get(0) };
        let other = Child { count: sibling.total(), ..sibling.get(0) };
        let other = Child { id: self.inners.add(sibling), ..other };
        self.add_child(path, level - 1, this, other);
    }

    /// Removes an entry; whether it was there.
    ///
    /// # Safety
    /// `address` and all addresses in the tree are of live items.
    pub(super) unsafe fn remove(&mut self, score: f64, address: Address) -> bool {
        if self.root == NONE {
            return false;
        }
        // SAFETY: the caller's promise.
        let path = unsafe { self.find(score, address) };
        let leaf = self.leaves.at(path.leaf);
        let len = leaf.len();
        // SAFETY: the caller's promise.
        let at = unsafe { position(&leaf.scores[..len], &leaf.addresses[..len], score, address) };
        if at >= len || leaf.addresses[at] != address {
            return false;
        }
        self.remove_at(&path, at);
        true
    }

    /// Removes the entry at an index of the leaf that a path leads to.
    fn remove_at(&mut self, path: &Path, at: usize) {
        let leaf = self.leaves.at_mut(path.leaf);
        leaf.remove(at);
        self.len -= 1;
        for &(id, child) in &path.steps[..path.len] {
            self.inners.at_mut(id).counts[child] -= 1;
        }
        let leaf = self.leaves.at(path.leaf);
        if at == 0 && leaf.len > 0 {
            let first = (leaf.scores[0], leaf.addresses[0]);
            self.set_first(path, path.len, first);
        }
        if leaf_is_small(self.leaves.at(path.leaf)) {
            self.mend_leaf(path);
        }
    }

    /// The subtree below level `level` of the path has another first entry: the separator that names it follows.
    fn set_first(&mut self, path: &Path, level: usize, (score, address): (f64, Address)) {
        for &(id, child) in path.steps[..level].iter().rev() {
            let inner = self.inners.at_mut(id);
            inner.scores[child] = score;
            inner.addresses[child] = address;
            if child > 0 {
                return;
            }
        }
    }

    /// A leaf with few entries joins a neighbour below the same parent, or goes if it is empty.
    fn mend_leaf(&mut self, path: &Path) {
        let Some(&(parent, at)) = path.steps[..path.len].last() else {
            if self.len == 0 {
                self.drop_all();
            }
            return;
        };
        if self.leaves.at(path.leaf).len == 0 {
            self.unlink_leaf(path.leaf);
            self.remove_child(path, path.len, at);
            return;
        }
        let inner = self.inners.at(parent);
        let joined = |a: usize, b: usize| {
            let len = |i: usize| self.leaves.at(inner.children[i]).len();
            len(a) + len(b) <= MERGE_LEAF
        };
        let left = if at > 0 && joined(at - 1, at) {
            at - 1
        } else if at + 1 < inner.len() && joined(at, at + 1) {
            at
        } else {
            return;
        };
        let (left_id, right_id) = (inner.children[left], inner.children[left + 1]);
        self.join_leaves(left_id, right_id);
        let inner = self.inners.at_mut(parent);
        inner.counts[left] += inner.counts[left + 1];
        inner.counts[left + 1] = 0;
        self.remove_child(path, path.len, left + 1);
    }

    fn join_leaves(&mut self, left_id: u32, right_id: u32) {
        let right = self.leaves.at(right_id);
        let (scores, addresses, moved) = (right.scores, right.addresses, right.len());
        self.unlink_leaf(right_id);
        let left = self.leaves.at_mut(left_id);
        let len = left.len();
        left.scores[len..len + moved].copy_from_slice(&scores[..moved]);
        left.addresses[len..len + moved].copy_from_slice(&addresses[..moved]);
        left.len += moved as u16;
    }

    fn unlink_leaf(&mut self, id: u32) {
        let (prev, next) = (self.leaves.at(id).prev, self.leaves.at(id).next);
        if prev != NONE {
            self.leaves.at_mut(prev).next = next;
        }
        if next != NONE {
            self.leaves.at_mut(next).prev = prev;
        }
        self.leaves.free.push(id);
    }

    /// Takes child `at` (whose entries are gone or elsewhere) out of the inner node at level `level - 1` of the path.
    fn remove_child(&mut self, path: &Path, level: usize, at: usize) {
        let (id, _) = path.steps[level - 1];
        let inner = self.inners.at_mut(id);
        inner.remove(at);
        let len = inner.len();
        if len == 0 {
            self.inners.free.push(id);
            if level == 1 {
                self.drop_all();
            } else {
                let (_, at) = path.steps[level - 2];
                self.remove_child(path, level - 1, at);
            }
            return;
        }
        if at == 0 {
            let first = (inner.scores[0], inner.addresses[0]);
            self.set_first(path, level - 1, first);
        }
        if level == 1 {
            if len == 1 {
                // A root with one child gives its place to it.
                let only = self.inners.at(id).children[0];
                self.inners.free.push(id);
                self.root = only;
                self.height -= 1;
            }
        } else if len < FAN / 4 {
            self.mend_inner(path, level - 1);
        }
    }

    /// The inner node at level `level` of the path has few children: it joins a neighbour below the same parent.
    fn mend_inner(&mut self, path: &Path, level: usize) {
        let (parent, at) = path.steps[level - 1];
        let inner = self.inners.at(parent);
        let joined = |a: usize, b: usize| {
            let len = |i: usize| self.inners.at(inner.children[i]).len();
            len(a) + len(b) <= MERGE_FAN
        };
        let left = if at > 0 && joined(at - 1, at) {
            at - 1
        } else if at + 1 < inner.len() && joined(at, at + 1) {
            at
        } else {
            return;
        };
        let (left_id, right_id) = (inner.children[left], inner.children[left + 1]);
        let moved: Vec<Child> = {
            let right = self.inners.at(right_id);
            (0..right.len()).map(|i| right.get(i)).collect()
        };
        self.inners.free.push(right_id);
        let target = self.inners.at_mut(left_id);
        for child in moved {
            let len = target.len();
            target.insert(len, child);
        }
        let inner = self.inners.at_mut(parent);
        inner.counts[left] += inner.counts[left + 1];
        inner.counts[left + 1] = 0;
        self.remove_child(path, level, left + 1);
    }

    fn drop_all(&mut self) {
        *self = Tree::default();
    }

    /// Moves an entry to another score; in place where its neighbours allow it.
    ///
    /// # Safety
    /// `address` and all addresses in the tree are of live items, and this one is in the tree under `old`.
    pub(super) unsafe fn update(&mut self, old: f64, new: f64, address: Address) {
        // SAFETY: the caller's promise.
        let path = unsafe { self.find(old, address) };
        let leaf = self.leaves.at_mut(path.leaf);
        let len = leaf.len();
        // SAFETY: the caller's promise.
        let at = unsafe { position(&leaf.scores[..len], &leaf.addresses[..len], old, address) };
        debug_assert_eq!(leaf.addresses[at], address);
        let fits_left = at > 0 && leaf.scores[at - 1] < new;
        let fits_right = at + 1 < leaf.len() && leaf.scores[at + 1] > new;
        if fits_left && fits_right {
            leaf.scores[at] = new;
            return;
        }
        self.remove_at(&path, at);
        // SAFETY: the caller's promise.
        unsafe { self.insert(new, address) };
    }

    /// Number of entries before one that is in the tree.
    ///
    /// # Safety
    /// `address` and all addresses in the tree are of live items.
    pub(super) unsafe fn rank(&self, score: f64, address: Address) -> usize {
        // SAFETY: the caller's promise.
        let path = unsafe { self.find(score, address) };
        let leaf = self.leaves.at(path.leaf);
        let len = leaf.len();
        // SAFETY: the caller's promise.
        self.skipped(&path) + unsafe { position(&leaf.scores[..len], &leaf.addresses[..len], score, address) }
    }

    /// Number of entries in the leaves before the one that a path leads to.
    fn skipped(&self, path: &Path) -> usize {
        let left =
            |&(id, child): &(u32, usize)| self.inners.at(id).counts[..child].iter().map(|c| *c as usize).sum::<usize>();
        path.steps[..path.len].iter().map(left).sum()
    }

    /// Number of entries for which `is_before` holds; it holds for a prefix.
    pub(super) fn before(&self, mut is_before: impl FnMut(f64, Address) -> bool) -> usize {
        if self.root == NONE {
            return 0;
        }
        let path = self.descend(&mut is_before);
        let leaf = self.leaves.at(path.leaf);
        self.skipped(&path) + partition(leaf.len(), |i| is_before(leaf.scores[i], leaf.addresses[i]))
    }

    /// Entries upward from the first for which `is_before` does not hold; it holds for a prefix.
    pub(super) fn iter_from(&self, mut is_before: impl FnMut(f64, Address) -> bool) -> Iter<'_> {
        let mut from = Iter { tree: self, leaf: NONE, at: 0, reverse: false };
        if self.root == NONE {
            return from;
        }
        from.leaf = self.descend(&mut is_before).leaf;
        let leaf = self.leaves.at(from.leaf);
        from.at = partition(leaf.len(), |i| is_before(leaf.scores[i], leaf.addresses[i]));
        if from.at == leaf.len() {
            (from.leaf, from.at) = (leaf.next, 0);
        }
        from
    }

    /// Entries from an index on, upward or downward.
    pub(super) fn iter(&self, index: usize, reverse: bool) -> Iter<'_> {
        if index >= self.len {
            return Iter { tree: self, leaf: NONE, at: 0, reverse };
        }
        let (mut node, mut left) = (self.root, index);
        for _ in 0..self.height {
            let inner = self.inners.at(node);
            let mut child = 0;
            while left >= inner.counts[child] as usize {
                left -= inner.counts[child] as usize;
                child += 1;
            }
            node = inner.children[child];
        }
        Iter { tree: self, leaf: node, at: left, reverse }
    }

    /// Checks all invariants.
    pub(super) fn check(&self) {
        if self.root == NONE {
            assert_eq!((self.len, self.height), (0, 0));
            return;
        }
        let mut last: Option<(f64, Address)> = None;
        let count = self.check_node(self.root, self.height, &mut last);
        assert_eq!(count, self.len);
        assert_eq!(self.iter(0, false).count(), self.len, "leaves are linked upward");
        assert_eq!(self.iter(self.len - 1, true).count(), self.len, "leaves are linked downward");
    }

    fn check_node(&self, id: u32, height: usize, last: &mut Option<(f64, Address)>) -> usize {
        if height == 0 {
            let leaf = self.leaves.at(id);
            assert!(leaf.len > 0, "no leaf is empty");
            for i in 0..leaf.len() {
                let entry = (leaf.scores[i], leaf.addresses[i]);
                if let Some((score, address)) = *last {
                    // SAFETY: the caller of `check` holds the members.
                    assert!(unsafe { before(score, address, entry.0, entry.1) }, "entries ascend");
                }
                *last = Some(entry);
            }
            return leaf.len();
        }
        let inner = self.inners.at(id);
        assert!(inner.len() > 0);
        let mut total = 0;
        for i in 0..inner.len() {
            if i > 0 {
                let mut node = inner.children[i];
                for _ in 1..height {
                    node = self.inners.at(node).children[0];
                }
                let first = self.leaves.at(node);
                assert_eq!((inner.scores[i], inner.addresses[i]), (first.scores[0], first.addresses[0]), "separators");
            }
            let count = self.check_node(inner.children[i], height - 1, last);
            assert_eq!(count, inner.counts[i] as usize, "counts");
            total += count;
        }
        total
    }
}

/// Whether the entry (a) comes before (b).
///
/// # Safety
/// Both addresses are of live items.
unsafe fn before(a_score: f64, a: Address, b_score: f64, b: Address) -> bool {
    // SAFETY: the caller's promise.
    let members = || unsafe { (ScoredRef::from_ptr(a).member(), ScoredRef::from_ptr(b).member()) };
    a_score < b_score || (a_score == b_score && members().0 < members().1)
}

fn leaf_is_small(leaf: &Leaf) -> bool {
    leaf.len() < LEAF / 4
}

/// A walk over entries.
pub(super) struct Iter<'a> {
    tree: &'a Tree,
    leaf: u32,
    at: usize,
    reverse: bool,
}

impl Iterator for Iter<'_> {
    type Item = (f64, Address);

    #[inline]
    fn next(&mut self) -> Option<(f64, Address)> {
        if self.leaf == NONE {
            return None;
        }
        let leaf = self.tree.leaves.at(self.leaf);
        let entry = (leaf.scores[self.at], leaf.addresses[self.at]);
        if self.reverse {
            if self.at > 0 {
                self.at -= 1;
            } else {
                self.leaf = leaf.prev;
                if self.leaf != NONE {
                    self.at = self.tree.leaves.at(self.leaf).len() - 1;
                }
            }
        } else {
            self.at += 1;
            if self.at == leaf.len() {
                self.leaf = leaf.next;
                self.at = 0;
            }
        }
        Some(entry)
    }
}
