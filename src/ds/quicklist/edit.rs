//! Changes in the middle of a quicklist: insert, set, remove, trim, and keeping nodes neither too large nor too many.
//!
//! Every change ends with [`QuickList::mend`]: nodes of the changed place that became small join a neighbour, and nodes
//! that must be open or compressed by their distance from the ends become so.

use super::chain::Pos;
use super::node::Node;
use super::{Fill, Inserted, QuickList};
use crate::ds::listpack::Encoded;

impl QuickList {
    /// Puts an element before the one with this index (the length: at the end). False if the index is beyond that.
    pub fn insert(&mut self, index: usize, element: &[u8]) -> bool {
        if index == 0 {
            self.push_front(element);
        } else if index == self.len() {
            self.push_back(element);
        } else {
            let Some((pos, ordinal)) = self.chain.locate(index) else {
                return false;
            };
            self.insert_in(pos, ordinal, element);
        }
        true
    }

    /// Puts an element before the first that equals `pivot`.
    pub fn insert_before(&mut self, pivot: &[u8], element: &[u8]) -> Inserted {
        self.insert_near(pivot, 0, element)
    }

    /// Puts an element behind the first that equals `pivot`.
    pub fn insert_after(&mut self, pivot: &[u8], element: &[u8]) -> Inserted {
        self.insert_near(pivot, 1, element)
    }

    fn insert_near(&mut self, pivot: &[u8], behind: usize, element: &[u8]) -> Inserted {
        let found = self.positions(pivot, false, usize::MAX).next();
        match found {
            Some(index) if self.insert(index + behind, element) => Inserted::Length(self.len()),
            _ => Inserted::NoPivot,
        }
    }

    /// Makes the element with this index (-1 is the last) another one. False if there is none.
    pub fn set(&mut self, index: i64, element: &[u8]) -> bool {
        let Some((pos, ordinal)) = self.resolve(index).and_then(|index| self.chain.locate(index)) else {
            return false;
        };
        let fill = self.fill;
        let large = fill.is_large(element.len());
        let done = self.chain.edit(pos, |node| {
            if node.count() == 1 {
                *node = new_node(element, large);
                return true;
            }
            node.open();
            let entry = Encoded::new(element);
            // The old entry's bytes are not subtracted: near the limit a cut too early does no harm.
            let fits = !large && fill.admits_entries(node.raw_len() + entry.total_len(), node.count());
            if fits {
                node.replace(ordinal, &entry);
            } else {
                node.remove(ordinal, 1);
            }
            fits
        });
        if done {
            self.settle(pos);
        } else {
            self.insert_in(pos, ordinal, element);
        }
        true
    }

    /// Removes elements equal to `element`: the first `count`, for a negative count the last, for 0 all. Returns how many.
    pub fn remove(&mut self, count: i64, element: &[u8]) -> usize {
        let entry = Encoded::new(element);
        let limit = if count == 0 { u64::MAX } else { count.unsigned_abs() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let backward = count < 0;
        let mut removed = 0;
        let mut cursor = if backward { self.chain.last() } else { self.chain.first() };
        while let Some(pos) = cursor.filter(|_| removed < limit) {
            let hits = self.chain.edit(pos, |node| node.remove_equal(element, &entry, limit - removed, backward));
            removed += hits;
            cursor = if self.chain.node(pos).count() == 0 {
                let next = self.chain.remove(pos).1;
                match (backward, next) {
                    (false, next) => next,
                    (true, Some(next)) => self.chain.prev(next),
                    (true, None) => self.chain.last(),
                }
            } else {
                let pos = if hits > 0 { self.join_behind(pos, backward) } else { pos };
                self.chain.step(pos, backward)
            };
        }
        if removed > 0 {
            self.mend_ends();
        }
        removed
    }

    /// Removes `count` elements from index `start` on, or as many as there are. Returns how many.
    pub fn remove_range(&mut self, start: usize, count: usize) -> usize {
        let count = count.min(self.len().saturating_sub(start));
        let mut left = count;
        let mut cursor = self.chain.locate(start).filter(|_| count > 0);
        while let Some((pos, ordinal)) = cursor.filter(|_| left > 0) {
            let node_left = self.chain.node(pos).count() - ordinal;
            let whole_block = if ordinal == 0 { self.chain.remove_block(pos, left) } else { None };
            let next = if let Some((gone, next)) = whole_block {
                left -= gone;
                next
            } else if ordinal == 0 && node_left <= left {
                left -= node_left;
                self.chain.remove(pos).1
            } else {
                let gone = node_left.min(left);
                left -= gone;
                self.chain.edit(pos, |node| node.remove(ordinal, gone));
                self.chain.next(pos)
            };
            cursor = next.map(|pos| (pos, 0));
        }
        if count > 0 {
            self.mend(start);
        }
        count
    }

    /// Keeps the elements from `start` to `stop`, both included, negative ones counted from the end; an empty range removes
    /// all. Returns how many went.
    pub fn trim(&mut self, start: i64, stop: i64) -> usize {
        let len = self.len();
        let from_end = |index: i64| match usize::try_from(index) {
            Ok(index) => Some(index),
            Err(_) => len.checked_sub(usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX)),
        };
        let keep_from = from_end(start).unwrap_or(0);
        let keep_to = from_end(stop).map_or(0, |stop| stop.saturating_add(1)).min(len);
        if keep_from >= keep_to {
            return self.remove_range(0, len);
        }
        self.remove_range(keep_to, len - keep_to) + self.remove_range(0, keep_from)
    }

    // ---- Places ----

    /// Puts an element before the one with this ordinal in the node at `pos` (its count: behind all).
    fn insert_in(&mut self, pos: Pos, ordinal: usize, element: &[u8]) {
        let fill = self.fill;
        let count = self.chain.node(pos).count();
        if fill.is_large(element.len()) {
            let new = self.insert_node(pos, ordinal, new_node(element, true));
            return self.settle(new);
        }
        let entry = Encoded::new(element);
        if fill.admits(self.chain.node(pos), &entry) {
            self.chain.edit(pos, |node| node.insert(ordinal, &entry));
            return self.settle(pos);
        }
        let neighbour = match ordinal {
            0 => self.chain.prev(pos),
            _ if ordinal == count => self.chain.next(pos),
            _ => None,
        };
        let roomy = neighbour.filter(|near| fill.admits(self.chain.node(*near), &entry));
        if let Some(near) = roomy {
            let at = if ordinal == 0 { self.chain.node(near).count() } else { 0 };
            self.chain.edit(near, |node| node.insert(at, &entry));
            return self.settle(near);
        }
        if ordinal == 0 || ordinal == count {
            let new = self.insert_node(pos, ordinal, Node::single(&entry));
            return self.settle(new);
        }
        let right = self.split(pos, ordinal);
        let left = self.chain.prev(right).expect("the left half stands before the right");
        // Into the shorter half: elements that come in one after the other then fill one of them.
        if self.chain.node(left).raw_len() <= self.chain.node(right).raw_len() {
            self.chain.edit(left, |node| node.insert(ordinal, &entry));
        } else {
            self.chain.edit(right, |node| node.insert(0, &entry));
        }
        let right = self.join_behind(right, true);
        let left = self.chain.prev(right).expect("the left half stands before the right");
        let left = self.join_behind(left, false);
        self.settle(left);
    }

    /// Puts a node where an element with this ordinal would go, cutting the one at `pos` if that is its middle.
    fn insert_node(&mut self, pos: Pos, ordinal: usize, new: Node) -> Pos {
        if ordinal == 0 {
            self.chain.insert_before(pos, new)
        } else if ordinal >= self.chain.node(pos).count() {
            self.chain.insert_after(pos, new)
        } else {
            let right = self.split(pos, ordinal);
            self.chain.insert_before(right, new)
        }
    }

    /// Cuts the node at `pos` before this ordinal and returns where the second part stands.
    fn split(&mut self, pos: Pos, ordinal: usize) -> Pos {
        let mut right = Node::empty();
        self.chain.edit(pos, |node| right = node.split(ordinal));
        self.chain.insert_after(pos, right)
    }

    // ---- Neither too large nor too many, open at the ends ----

    /// Repairs the neighbourhood of an index after elements went.
    fn mend(&mut self, index: usize) {
        let index = index.min(self.len().saturating_sub(1));
        if let Some((pos, _)) = self.chain.locate(index) {
            let pos = self.join_behind(pos, false);
            let pos = self.join_behind(pos, true);
            self.settle(pos);
        }
        self.mend_ends();
    }

    /// Joins a node that is under half full with its predecessor (walking backward: its successor) if both fit into one,
    /// and compresses what is due. Returns where its elements are now.
    fn join_behind(&mut self, pos: Pos, backward: bool) -> Pos {
        let node = self.chain.node(pos);
        let near = if self.fill.is_sparse(node) { self.chain.step(pos, !backward) } else { None };
        let Some(near) = near.filter(|near| self.fill.admits_both(node, self.chain.node(*near))) else {
            self.squeeze_inner(pos);
            return pos;
        };
        let right = if backward { near } else { pos };
        let (right, next) = self.chain.remove(right);
        let left = match next {
            Some(next) => self.chain.prev(next),
            None => self.chain.last(),
        };
        let left = left.expect("the left one is still there");
        self.chain.edit(left, |node| node.append(right));
        self.squeeze_inner(left);
        left
    }

    /// After a change at `pos`: compresses the nodes around it that are inner ones, opens the ends.
    fn settle(&mut self, pos: Pos) {
        if self.fill.compress_depth > 0 {
            let before = self.chain.prev(pos);
            let behind = self.chain.next(pos);
            let beyond = behind.and_then(|pos| self.chain.next(pos));
            for pos in [before, Some(pos), behind, beyond].into_iter().flatten() {
                self.squeeze_inner(pos);
            }
        }
        self.mend_ends();
    }

    /// Compresses the node at `pos` if it is as far from both ends as compression starts.
    fn squeeze_inner(&mut self, pos: Pos) {
        let depth = self.fill.compress_depth;
        let inner = |backward: bool| (0..depth).try_fold(pos, |pos, _| self.chain.step(pos, backward)).is_some();
        if depth > 0 && inner(false) && inner(true) {
            self.chain.edit(pos, Node::squeeze);
        }
    }

    /// After nodes came or went: opens those near the ends (always the two outermost, which are read in place) and
    /// compresses those that just ceased to be.
    pub(super) fn mend_ends(&mut self) {
        for backward in [false, true] {
            let mut cursor = if backward { self.chain.last() } else { self.chain.first() };
            for _ in 0..self.fill.compress_depth.max(1) {
                let Some(pos) = cursor else {
                    return;
                };
                self.chain.edit(pos, Node::open);
                cursor = self.chain.step(pos, backward);
            }
            if let Some(pos) = cursor.filter(|_| self.fill.compress_depth > 0) {
                self.squeeze_inner(pos);
            }
        }
    }
}

/// A node of one element, in the form in which nodes rest.
fn new_node(element: &[u8], large: bool) -> Node {
    if large { Node::plain(element.into()) } else { Node::single(&Encoded::new(element)) }
}

impl Fill {
    /// Whether an element may join the node. Plain nodes admit none.
    pub(super) fn admits(self, node: &Node, entry: &Encoded<'_>) -> bool {
        !node.is_plain() && self.admits_entries(node.raw_len() + entry.total_len(), node.count() + 1)
    }

    fn admits_both(self, one: &Node, other: &Node) -> bool {
        let (bytes, count) = (one.raw_len() + other.raw_len(), one.count() + other.count());
        !one.is_plain() && !other.is_plain() && self.admits_entries(bytes, count)
    }

    fn is_sparse(self, node: &Node) -> bool {
        self.admits_entries(node.raw_len() * 2, node.count() * 2)
    }
}
