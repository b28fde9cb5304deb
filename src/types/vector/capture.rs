//! A vector set handed over as it was at one moment, while it changes: by id, node after node, each with its attributes. Knows no
//! file.
//!
//! Nodes (`ds::hnsw`) and attributes are kept apart before they change, and come together again, for both walks go by id.

use super::Vectors;
use crate::ds::overlay::Overlay;
use crate::types::{Piece, Pieces};

/// Bytes of vectors that a step hands over, about.
const STEP_BYTES: usize = 64 << 10;
/// What a node takes besides its vector, about.
const NODE_BYTES: usize = 256;

/// A vector set that is being handed over.
pub(super) struct Capture {
    to: Box<dyn Pieces>,
    attributes: Overlay<Option<Box<[u8]>>>,
}

impl Vectors {
    /// Begins to hand the present elements over.
    pub fn begin_capture(&self, to: Box<dyn Pieces>) {
        self.graph.begin_capture();
        let attributes = Overlay::new((self.len() as u128).checked_sub(1));
        self.capture.begin(Capture { to, attributes });
    }

    /// Whether they are being handed over.
    pub fn is_captured(&self) -> bool {
        self.capture.is_some()
    }

    /// Hands the next elements over; false once there is none left.
    pub fn capture_step(&self) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        let Capture { to, attributes } = &mut *capture;
        let node_bytes = NODE_BYTES + self.graph.form().words() * size_of::<u32>();
        for _ in 0..(STEP_BYTES / node_bytes).max(1) {
            let has_come = self.graph.capture_step(|node| {
                let kept = attributes.next_dense().and_then(|(_, kept)| kept);
                let text = kept.as_ref().map_or_else(|| self.attributes(node.id()), Option::as_deref);
                to.piece(Piece::Vector(node, text.unwrap_or_default()));
            });
            if !has_come {
                to.end();
                return false;
            }
        }
        to.pause(0);
        self.capture.put(capture);
        true
    }

    /// Nobody wants them any more.
    pub fn abandon_capture(&self) {
        drop(self.capture.take());
        self.graph.abandon_capture();
    }

    /// The attributes of an element are about to change or to go: how they are now is kept if they are still wanted.
    #[inline]
    pub(super) fn preserve(&mut self, id: u32) {
        if let Some(capture) = self.capture.get_mut().filter(|capture| capture.attributes.wants(id.into())) {
            let kept = self.attributes.get(id as usize).cloned().flatten();
            capture.attributes.keep(id.into(), Some(kept));
        }
    }
}

impl Drop for Vectors {
    fn drop(&mut self) {
        while self.capture_step() {}
    }
}
