//! A list's nodes as they were at one moment, handed over a block at a time while the list changes. Knows no file.
//!
//! At the beginning each block gets its ordinal. A block is handed over by the walk, or before it first changes, whichever comes
//! first, and loses its ordinal; blocks that come later have none. The ordinals put what was handed over into order again.

use super::NodeView;
use super::chain::Chain;
use std::cell::Cell;
use std::fmt;

/// Who receives a list's nodes.
pub trait NodeTaker: Send {
    /// The nodes of the block of this ordinal: 1, 2, ... each once, in any order.
    fn nodes(&mut self, ordinal: u32, nodes: &mut dyn Iterator<Item = NodeView<'_>>);

    /// All have come.
    fn end(&mut self);
}

/// A chain's capture, if one is going on. A copy of the chain has none.
#[derive(Default)]
pub(super) struct Capture(pub(super) Cell<Option<Box<dyn NodeTaker>>>);

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
        for (ordinal, block) in (1..).zip(&self.blocks) {
            block.ordinal.set(ordinal);
        }
        self.capture.0.set(Some(taker));
    }

    /// Whether they are being handed over.
    pub(super) fn is_captured(&self) -> bool {
        let taker = self.capture.0.take();
        let is_captured = taker.is_some();
        self.capture.0.set(taker);
        is_captured
    }

    /// Hands a block over; false once there is none left.
    pub(super) fn capture_step(&self) -> bool {
        let Some(mut taker) = self.capture.0.take() else { return false };
        let Some(block) = self.blocks.iter().find(|block| block.ordinal.get() != 0) else {
            taker.end();
            return false;
        };
        taker.nodes(block.ordinal.take(), &mut block.nodes.iter().map(NodeView));
        self.capture.0.set(Some(taker));
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
        let Some(mut taker) = self.capture.0.take() else { return };
        if let Some(block) = self.blocks.get(block).filter(|block| block.ordinal.get() != 0) {
            taker.nodes(block.ordinal.take(), &mut block.nodes.iter().map(NodeView));
        }
        self.capture.0.set(Some(taker));
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        while self.capture_step() {}
    }
}
