//! A list's nodes as they were at one moment, handed over a block at a time while the list changes. Knows no file.
//!
//! At the beginning each block gets its ordinal. A block is handed over by the walk, or before it first changes, whichever comes
//! first, and loses its ordinal; blocks that come later have none. The ordinals put what was handed over into order again.

use super::NodeView;
use super::chain::{Block, Chain};
use std::cell::Cell;
use std::fmt;

/// Most blocks that a step passes over because they were handed over before.
const PASSED: usize = if cfg!(test) { 4 } else { 256 };

/// Who receives a list's nodes.
pub trait NodeTaker: Send {
    /// The nodes of the block of this ordinal: 1, 2, ... each once, in any order.
    fn nodes(&mut self, ordinal: u32, nodes: &mut dyn Iterator<Item = NodeView<'_>>);

    /// All have come.
    fn end(&mut self);
}

/// What a capture still has to do.
pub(super) struct Todo {
    taker: Box<dyn NodeTaker>,
    /// The block where the walk goes on looking.
    next: usize,
    /// Blocks that have an ordinal.
    left: u32,
}

impl Todo {
    fn hand_over(&mut self, block: &Block) {
        self.left -= 1;
        self.taker.nodes(block.ordinal.take(), &mut block.nodes.iter().map(NodeView));
    }
}

/// A chain's capture, if one is going on. A copy of the chain has none.
#[derive(Default)]
pub(super) struct Capture(pub(super) Cell<Option<Box<Todo>>>);

impl Clone for Capture {
    fn clone(&self) -> Self {
        Capture::default()
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capture")
    }
}

impl Chain {
    /// Begins to hand the present nodes over.
    pub(super) fn begin_capture(&self, taker: Box<dyn NodeTaker>) {
        let mut left = 0;
        for block in &self.blocks {
            left += 1;
            block.ordinal.set(left);
        }
        self.capture.0.set(Some(Box::new(Todo { taker, next: 0, left })));
    }

    /// Whether they are being handed over.
    pub(super) fn is_captured(&self) -> bool {
        let todo = self.capture.0.take();
        let is_captured = todo.is_some();
        self.capture.0.set(todo);
        is_captured
    }

    /// Hands a block over; false once there is none left.
    pub(super) fn capture_step(&self) -> bool {
        let Some(mut todo) = self.capture.0.take() else { return false };
        if todo.left == 0 {
            todo.taker.end();
            return false;
        }
        // Blocks come and go before that place, too: what was passed over so is found in another round.
        let waits = |block: &&Block| block.ordinal.get() != 0;
        let found = self.blocks.iter().enumerate().skip(todo.next).take(PASSED).find(|(_, block)| waits(block));
        match found {
            Some((at, block)) => {
                todo.next = at + 1;
                todo.hand_over(block);
            }
            None => todo.next = if todo.next < self.blocks.len() { todo.next + PASSED } else { 0 },
        }
        self.capture.0.set(Some(todo));
        true
    }

    /// Nobody wants them any more.
    pub(super) fn abandon_capture(&self) {
        self.capture.0.set(None);
        self.blocks.iter().for_each(|block| block.ordinal.set(0));
    }

    /// A block is about to change.
    #[cold]
    #[inline(never)]
    pub(super) fn before_change(&mut self, block: usize) {
        let Some(mut todo) = self.capture.0.take() else { return };
        if let Some(block) = self.blocks.get(block).filter(|block| block.ordinal.get() != 0) {
            todo.hand_over(block);
        }
        self.capture.0.set(Some(todo));
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        while self.capture_step() {}
    }
}
