//! The order of a quicklist's nodes, in two levels: blocks of up to 128 nodes, each with the sum of its elements.
//! Knows nodes by their count alone.
//!
//! ```text
//!   chain   [block: 47,616] [block: 47,616] [block: 9,001]
//!                 |
//!           [node: 372] [node: 372] ... up to 128
//! ```
//!
//! An index is found by summing blocks, then nodes, from the nearer end: for 10 M elements of 20 bytes at most 105 + 64
//! additions over bytes that lie side by side. Both levels are deques, so the ends grow and shrink in O(1) and the middle
//! moves at most 64 nodes (of 40 bytes) and half of the blocks.
//! Invariants: no block is empty or above its bound; each sum is right; a position is void after any insert or removal
//! other than through what that call returns.

use super::capture::Capture;
use super::node::Node;
use std::cell::Cell;
use std::collections::VecDeque;

/// Few in tests, so that short lists have many blocks.
const BLOCK_NODES: usize = if cfg!(test) { 8 } else { 128 };
/// Neighbouring blocks become one when together they have no more nodes than this.
const JOIN_NODES: usize = BLOCK_NODES / 2;

#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) nodes: VecDeque<Node>,
    count: usize,
    /// Its place among those that are to be handed over (capture.rs); 0 if it is not.
    pub(super) ordinal: Cell<u32>,
}

impl Block {
    fn of(nodes: VecDeque<Node>) -> Self {
        let count = nodes.iter().map(Node::count).sum();
        Self { nodes, count, ordinal: Cell::new(0) }
    }
}

/// Where a node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pos {
    block: usize,
    node: usize,
}

/// The nodes of a list.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    pub(super) blocks: VecDeque<Block>,
    pub(super) capture: Capture,
    node_count: usize,
    count: usize,
}

impl Chain {
    /// Number of elements.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Number of nodes.
    #[inline]
    pub(super) fn node_count(&self) -> usize {
        self.node_count
    }

    #[inline]
    pub(super) fn front(&self) -> Option<&Node> {
        self.blocks.front()?.nodes.front()
    }

    #[inline]
    pub(super) fn back(&self) -> Option<&Node> {
        self.blocks.back()?.nodes.back()
    }

    pub(super) fn first(&self) -> Option<Pos> {
        (!self.blocks.is_empty()).then_some(Pos { block: 0, node: 0 })
    }

    pub(super) fn last(&self) -> Option<Pos> {
        let block = self.blocks.len().checked_sub(1)?;
        Some(Pos { block, node: self.blocks[block].nodes.len() - 1 })
    }

    pub(super) fn next(&self, pos: Pos) -> Option<Pos> {
        if pos.node + 1 < self.blocks[pos.block].nodes.len() {
            Some(Pos { node: pos.node + 1, ..pos })
        } else {
            (pos.block + 1 < self.blocks.len()).then_some(Pos { block: pos.block + 1, node: 0 })
        }
    }

    pub(super) fn prev(&self, pos: Pos) -> Option<Pos> {
        if let Some(node) = pos.node.checked_sub(1) {
            return Some(Pos { node, ..pos });
        }
        let block = pos.block.checked_sub(1)?;
        Some(Pos { block, node: self.blocks[block].nodes.len() - 1 })
    }

    /// The neighbour in a direction.
    pub(super) fn step(&self, pos: Pos, backward: bool) -> Option<Pos> {
        if backward { self.prev(pos) } else { self.next(pos) }
    }

    #[inline]
    pub(super) fn node(&self, pos: Pos) -> &Node {
        &self.blocks[pos.block].nodes[pos.node]
    }

    /// All nodes, first to last.
    pub(super) fn nodes(&self) -> impl DoubleEndedIterator<Item = &Node> {
        self.blocks.iter().flat_map(|block| &block.nodes)
    }

    /// Bytes that blocks and node heads take.
    pub(super) fn alloc_bytes(&self) -> usize {
        let heads = self.blocks.iter().map(|block| block.nodes.capacity()).sum::<usize>();
        self.blocks.capacity() * size_of::<Block>() + heads * size_of::<Node>()
    }

    /// The node that holds the element with this index, and the element's ordinal in it.
    pub(super) fn locate(&self, index: usize) -> Option<(Pos, usize)> {
        if index >= self.count {
            return None;
        }
        let (block, index) = nearest(index, self.count, self.blocks.len(), |block| self.blocks[block].count);
        let found = &self.blocks[block];
        let (node, ordinal) = nearest(index, found.count, found.nodes.len(), |node| found.nodes[node].count());
        Some((Pos { block, node }, ordinal))
    }

    /// A block that is about to change is handed over first, if somebody wants it as it is.
    #[inline(always)]
    fn preserve(&mut self, block: usize) {
        if self.capture.0.get_mut().is_some() {
            self.before_change(block);
        }
    }

    /// Changes a node, and the sums by what that does to its count.
    #[inline]
    pub(super) fn edit<R>(&mut self, pos: Pos, change: impl FnOnce(&mut Node) -> R) -> R {
        self.preserve(pos.block);
        let block = &mut self.blocks[pos.block];
        let node = &mut block.nodes[pos.node];
        let before = node.count();
        let result = change(node);
        let after = node.count();
        block.count = block.count - before + after;
        self.count = self.count - before + after;
        result
    }

    /// [`Chain::edit`] for the first node.
    #[inline]
    pub(super) fn edit_front<R>(&mut self, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        self.preserve(0);
        let block = self.blocks.front_mut()?;
        let node = block.nodes.front_mut()?;
        let before = node.count();
        let result = change(node);
        let after = node.count();
        block.count = block.count - before + after;
        self.count = self.count - before + after;
        Some(result)
    }

    /// [`Chain::edit`] for the last node.
    #[inline]
    pub(super) fn edit_back<R>(&mut self, change: impl FnOnce(&mut Node) -> R) -> Option<R> {
        self.preserve(self.blocks.len().wrapping_sub(1));
        let block = self.blocks.back_mut()?;
        let node = block.nodes.back_mut()?;
        let before = node.count();
        let result = change(node);
        let after = node.count();
        block.count = block.count - before + after;
        self.count = self.count - before + after;
        Some(result)
    }

    // ---- Nodes come ----

    pub(super) fn push_front(&mut self, node: Node) {
        self.preserve(0);
        if self.blocks.front().is_none_or(|block| block.nodes.len() == BLOCK_NODES) {
            self.blocks.push_front(Block::default());
        }
        let block = self.blocks.front_mut().expect("just made sure of");
        self.count += node.count();
        self.node_count += 1;
        block.count += node.count();
        block.nodes.push_front(node);
    }

    pub(super) fn push_back(&mut self, node: Node) {
        self.preserve(self.blocks.len().wrapping_sub(1));
        if self.blocks.back().is_none_or(|block| block.nodes.len() == BLOCK_NODES) {
            self.blocks.push_back(Block::default());
        }
        let block = self.blocks.back_mut().expect("just made sure of");
        self.count += node.count();
        self.node_count += 1;
        block.count += node.count();
        block.nodes.push_back(node);
    }

    /// Puts a node behind the one at `pos` and returns where it stands; `pos` is void, its node is [`Chain::prev`].
    pub(super) fn insert_after(&mut self, pos: Pos, node: Node) -> Pos {
        self.insert(Pos { node: pos.node + 1, ..pos }, node)
    }

    /// Puts a node before the one at `pos` and returns where it stands; `pos` is void, its node is [`Chain::next`].
    pub(super) fn insert_before(&mut self, pos: Pos, node: Node) -> Pos {
        self.insert(pos, node)
    }

    fn insert(&mut self, mut pos: Pos, node: Node) -> Pos {
        self.preserve(pos.block);
        let block = &mut self.blocks[pos.block];
        if block.nodes.len() == BLOCK_NODES {
            let right = Block::of(block.nodes.split_off(BLOCK_NODES / 2));
            block.count -= right.count;
            self.blocks.insert(pos.block + 1, right);
            if pos.node > BLOCK_NODES / 2 {
                pos = Pos { block: pos.block + 1, node: pos.node - BLOCK_NODES / 2 };
            }
        }
        let block = &mut self.blocks[pos.block];
        self.count += node.count();
        self.node_count += 1;
        block.count += node.count();
        block.nodes.insert(pos.node, node);
        pos
    }

    // ---- Nodes go ----

    /// Takes a node out and returns it with the position of its successor; all other positions are void.
    pub(super) fn remove(&mut self, pos: Pos) -> (Node, Option<Pos>) {
        self.preserve(pos.block);
        let block = &mut self.blocks[pos.block];
        let node = block.nodes.remove(pos.node).expect("positions are of nodes");
        block.count -= node.count();
        self.count -= node.count();
        self.node_count -= 1;
        if block.nodes.is_empty() {
            self.blocks.remove(pos.block);
            return (node, self.at_or_after(Pos { node: 0, ..pos }));
        }
        let pos = self.join_blocks(pos);
        (node, self.at_or_after(pos))
    }

    /// Takes out the whole block at `pos` if that is its first node and it has no more than `limit` elements. Returns how
    /// many went and the position of what followed; `None` if it did not apply.
    pub(super) fn remove_block(&mut self, pos: Pos, limit: usize) -> Option<(usize, Option<Pos>)> {
        let block = &self.blocks[pos.block];
        if pos.node > 0 || block.count > limit {
            return None;
        }
        let (count, nodes) = (block.count, block.nodes.len());
        self.preserve(pos.block);
        self.blocks.remove(pos.block);
        self.count -= count;
        self.node_count -= nodes;
        Some((count, self.at_or_after(pos)))
    }

    /// `pos`, or the next block's first node if it is just behind its block.
    fn at_or_after(&self, pos: Pos) -> Option<Pos> {
        let block = self.blocks.get(pos.block)?;
        if pos.node < block.nodes.len() {
            return Some(pos);
        }
        (pos.block + 1 < self.blocks.len()).then_some(Pos { block: pos.block + 1, node: 0 })
    }

    /// Joins the block of `pos` with a neighbour if both are small; returns where `pos` went.
    fn join_blocks(&mut self, pos: Pos) -> Pos {
        let len = self.blocks[pos.block].nodes.len();
        let fits = |chain: &Self, block: usize| {
            chain.blocks.get(block).is_some_and(|other| other.nodes.len() + len <= JOIN_NODES)
        };
        if fits(self, pos.block + 1) {
            self.join_with_next(pos.block);
            pos
        } else if pos.block > 0 && fits(self, pos.block - 1) {
            let shift = self.blocks[pos.block - 1].nodes.len();
            self.join_with_next(pos.block - 1);
            Pos { block: pos.block - 1, node: pos.node + shift }
        } else {
            pos
        }
    }

    fn join_with_next(&mut self, block: usize) {
        self.preserve(block);
        self.preserve(block + 1);
        if let Some(mut right) = self.blocks.remove(block + 1) {
            let left = &mut self.blocks[block];
            left.count += right.count;
            left.nodes.append(&mut right.nodes);
        }
    }

    /// Asserts the invariants of both levels and of every node.
    pub(super) fn check(&self) {
        for block in &self.blocks {
            assert!((1..=BLOCK_NODES).contains(&block.nodes.len()), "block size");
            assert_eq!(block.count, block.nodes.iter().map(Node::count).sum::<usize>());
        }
        self.nodes().for_each(Node::check);
        assert_eq!(self.count, self.nodes().map(Node::count).sum::<usize>());
        assert_eq!(self.node_count, self.nodes().count());
    }
}

/// The part that holds `index` out of `total`, and the index within it, summing from the nearer end.
#[inline]
fn nearest(index: usize, total: usize, parts: usize, count: impl Fn(usize) -> usize) -> (usize, usize) {
    if index < total / 2 {
        let mut rest = index;
        for part in 0..parts {
            match rest.checked_sub(count(part)) {
                Some(behind) => rest = behind,
                None => return (part, rest),
            }
        }
    } else {
        let mut begin = total;
        for part in (0..parts).rev() {
            begin -= count(part);
            if begin <= index {
                return (part, index - begin);
            }
        }
    }
    unreachable!("the index is below the total, and the parts sum up to it")
}
