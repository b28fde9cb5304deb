//! A table as it was at one moment, handed over while it changes. Knows no file.
//!
//! ```text
//! begin     every segment's epoch differs from the capture's
//! step      the next segment in hash order that was not handed over: handed over, and given the capture's epoch
//! a change  of a segment that was not handed over: it is handed over first
//! end       after the last segment; or when the table goes, which hands over what is left
//! ```
//!
//! Invariant: each item that was there at the beginning is handed over exactly once, as it was then. It rests on the epochs: the
//! halves of a split inherit them, and only segments of one epoch merge.

use super::{Item, SegmentView, Table};

/// Most segments that a step passes over because they were handed over before.
const PASSED: usize = 64;

/// Who receives a table.
pub trait Taker<T: Item>: Send {
    /// Items of a segment.
    fn segment(&mut self, items: SegmentView<'_, T>);

    /// All have come.
    fn end(&mut self);
}

/// A table that is being handed over.
pub(super) struct Capture<T: Item> {
    epoch: u32,
    /// Where the walk goes on in hash order.
    next: u64,
    taker: Box<dyn Taker<T>>,
}

impl<T: Item> Table<T> {
    /// Begins to hand the present items over. The epoch differs from that of every earlier capture of this table.
    pub fn begin_capture(&self, epoch: u32, taker: Box<dyn Taker<T>>) {
        debug_assert!(!self.is_captured(), "one capture at a time");
        self.capture.set(Some(Box::new(Capture { epoch, next: 0, taker })));
    }

    /// Whether it is being handed over.
    pub fn is_captured(&self) -> bool {
        let capture = self.capture.take();
        let is_captured = capture.is_some();
        self.capture.set(capture);
        is_captured
    }

    /// Hands the next segment over; false once that was the last.
    pub fn capture_step(&self) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        for _ in 0..PASSED {
            let segment = self.segment_at(capture.next);
            let (is_new, last) = (segment.epoch() != capture.epoch, segment.last());
            if is_new {
                capture.taker.segment(segment);
                self.set_epoch(capture.next, capture.epoch);
            }
            match last.checked_add(1) {
                Some(next) => capture.next = next,
                None => {
                    capture.taker.end();
                    return false;
                }
            }
            if is_new {
                break;
            }
        }
        self.capture.set(Some(capture));
        true
    }

    /// Nobody wants it any more.
    pub fn abandon_capture(&self) {
        self.capture.set(None);
    }

    /// Hands over all that is left.
    pub fn finish_capture(&self) {
        while self.capture_step() {}
    }

    /// The segment of this hash is about to change.
    #[cold]
    #[inline(never)]
    pub(super) fn before_change(&mut self, hash: u64) {
        let Some(mut capture) = self.capture.take() else { return };
        let segment = self.segment_at(hash);
        if segment.epoch() != capture.epoch {
            capture.taker.segment(segment);
            self.set_epoch(hash, capture.epoch);
        }
        self.capture.set(Some(capture));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::Hasher;
    use crate::base::rng::Rng;
    use crate::ds::record::Member;
    use std::collections::BTreeSet;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Seen {
        members: BTreeSet<Vec<u8>>,
        is_ended: bool,
    }

    struct Recorder(Arc<Mutex<Seen>>);

    impl Taker<Member> for Recorder {
        fn segment(&mut self, items: SegmentView<'_, Member>) {
            let mut seen = self.0.lock().expect("no test panics with the lock");
            items.iter().for_each(|item| assert!(seen.members.insert(item.bytes().to_vec()), "each comes once"));
        }

        fn end(&mut self) {
            let ended = &mut self.0.lock().expect("no test panics with the lock").is_ended;
            assert!(!std::mem::replace(ended, true), "it ends once");
        }
    }

    #[test]
    fn what_was_there_at_the_beginning_comes_once_whatever_changes() {
        for seed in 0..40 {
            let mut rng = Rng::seeded(seed);
            let mut table = Table::<Member>::new(Hasher::seeded([1, 2, 3, seed]));
            let mut model = BTreeSet::new();
            let range = [3_000, 40_000][seed as usize % 2];
            for epoch in 1..4 {
                let adds = rng.below(3) > 0;
                let change = |table: &mut Table<Member>, model: &mut BTreeSet<Vec<u8>>, rng: &mut Rng| {
                    let name = rng.below(range).to_string().into_bytes();
                    let hash = table.hasher().hash(&name);
                    if rng.below(5) == 0 || !adds {
                        assert_eq!(table.remove(hash, &name).is_some(), model.remove(&name));
                    } else if model.insert(name.clone()) {
                        table.insert_new(hash, Member::new(&name));
                    }
                };
                (0..range).for_each(|_| change(&mut table, &mut model, &mut rng));
                let seen = Arc::<Mutex<Seen>>::default();
                let expected: BTreeSet<Vec<u8>> = table.iter().map(|item| item.bytes().to_vec()).collect();
                table.begin_capture(epoch, Box::new(Recorder(Arc::clone(&seen))));
                let until = rng.below(8);
                loop {
                    (0..rng.below(60)).for_each(|_| change(&mut table, &mut model, &mut rng));
                    table.check();
                    if until == 7 && rng.below(9) == 0 {
                        table.clear();
                        model.clear();
                        break;
                    }
                    if !table.capture_step() {
                        break;
                    }
                }
                let seen = seen.lock().expect("no test panics with the lock");
                assert!(seen.is_ended && seen.members == expected, "seed {seed}, epoch {epoch}");
                model = table.iter().map(|item| item.bytes().to_vec()).collect();
            }
        }
    }
}
