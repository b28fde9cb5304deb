//! An array as it was at one moment, handed over a slice at a time while it changes. Knows no file.
//!
//! A slice is handed over by the walk, which goes upward, or before it first changes, whichever comes first.

use super::{Array, Slice, Word};
use std::collections::BTreeSet;

/// Slices that a step passes over because they were handed over before.
const PASSED: usize = 64;
/// Texts that a step hands over, at least, if there are so many.
const STEP_TEXTS: usize = if cfg!(test) { 128 } else { 512 };

/// Who receives an array's texts.
pub trait SlotTaker: Send {
    /// A text and its index.
    fn text(&mut self, index: u64, text: &Word);

    /// A while may pass until the next.
    fn pause(&mut self);

    /// All have come.
    fn end(&mut self);
}

/// An array that is being handed over.
pub(super) struct Capture {
    taker: Box<dyn SlotTaker>,
    /// The slice where the walk goes on; nothing once it is through.
    next: Option<u64>,
    /// Slices from there on that were handed over, or were none when it began.
    passed: BTreeSet<u64>,
}

impl Capture {
    fn hand_over(&mut self, id: u64, slice: &Slice, slice_bits: u32) {
        let taker = &mut self.taker;
        slice.walk(0, u16::MAX, false, &mut |offset, word| {
            taker.text((id << slice_bits) + u64::from(offset), word);
            true
        });
    }
}

impl Array {
    /// Begins to hand the present texts over.
    pub fn begin_capture(&self, taker: Box<dyn SlotTaker>) {
        self.capture.begin(Capture { taker, next: Some(0), passed: BTreeSet::new() });
    }

    /// Whether they are being handed over.
    pub fn is_captured(&self) -> bool {
        self.capture.is_some()
    }

    /// Hands the next slices over; false once there is none left.
    pub fn capture_step(&self) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        let (mut texts, mut passed) = (0, 0);
        while texts < STEP_TEXTS && passed < PASSED {
            let found = capture.next.and_then(|next| self.slices.range(next..).next());
            let Some((id, slice)) = found else {
                capture.taker.end();
                return false;
            };
            passed += 1;
            if capture.passed.is_empty() || !capture.passed.contains(id) {
                capture.hand_over(*id, slice, self.slice_bits);
                texts += slice.count();
            }
            capture.next = id.checked_add(1);
            while capture.passed.first().is_some_and(|first| first <= id) {
                capture.passed.pop_first();
            }
        }
        capture.taker.pause();
        self.capture.put(capture);
        true
    }

    /// Nobody wants them any more.
    pub fn abandon_capture(&self) {
        drop(self.capture.take());
    }

    /// A slice is about to change or to come: it is handed over first, if somebody wants it as it is.
    #[inline(always)]
    pub(super) fn preserve(&mut self, id: u64) {
        if self.capture.get_mut().is_some() {
            self.before_change(id);
        }
    }

    #[cold]
    #[inline(never)]
    fn before_change(&mut self, id: u64) {
        let Some(mut capture) = self.capture.take() else { return };
        if capture.next.is_some_and(|next| next <= id) && capture.passed.insert(id) {
            if let Some(slice) = self.slices.get(&id) {
                capture.hand_over(id, slice, self.slice_bits);
                capture.taker.pause();
            }
        }
        self.capture.put(capture);
    }
}

impl Drop for Array {
    fn drop(&mut self) {
        while self.capture_step() {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::Thresholds;
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    #[derive(Default)]
    struct Seen {
        texts: BTreeMap<u64, Vec<u8>>,
        is_ended: bool,
        longest: usize,
        since_pause: usize,
    }

    struct Recorder(Arc<Mutex<Seen>>);

    impl SlotTaker for Recorder {
        fn text(&mut self, index: u64, text: &Word) {
            let mut seen = self.0.lock().expect("no test panics with the lock");
            assert!(seen.texts.insert(index, text.read(|text| text.to_vec())).is_none(), "each comes once");
            seen.since_pause += 1;
        }

        fn pause(&mut self) {
            let mut seen = self.0.lock().expect("no test panics with the lock");
            seen.longest = seen.longest.max(std::mem::take(&mut seen.since_pause));
        }

        fn end(&mut self) {
            let ended = &mut self.0.lock().expect("no test panics with the lock").is_ended;
            assert!(!std::mem::replace(ended, true), "it ends once");
        }
    }

    #[test]
    fn what_was_there_at_the_beginning_comes_once_whatever_changes() {
        for seed in 0..60 {
            let mut rng = Rng::seeded(seed);
            let thresholds = Thresholds { dense_above: 10, sparse_below: 5 };
            let mut array = Array::new(16, thresholds);
            let far = seed % 3 == 0;
            let change = |array: &mut Array, rng: &mut Rng| {
                let index = rng.below(3_000) + if far && rng.below(4) == 0 { u64::MAX - 4_000 } else { 0 };
                match rng.below(8) {
                    0 => drop(array.remove(index)),
                    1 if rng.below(20) == 0 => drop(array.remove_range(index, index + rng.below(200))),
                    2 if rng.below(400) == 0 => array.fit_ring(1 + rng.below(500)),
                    _ => drop(array.set(index, rng.below(1 << 40).to_string().as_bytes())),
                }
            };
            (0..3_000).for_each(|_| change(&mut array, &mut rng));
            let seen = Arc::<Mutex<Seen>>::default();
            let mut expected = BTreeMap::new();
            array.walk(0, u64::MAX, false, |index, word| {
                expected.insert(index, word.read(|text| text.to_vec()));
                true
            });
            array.begin_capture(Box::new(Recorder(Arc::clone(&seen))));
            let given_up_after = rng.below(300);
            for step in 0.. {
                (0..rng.below(20)).for_each(|_| change(&mut array, &mut rng));
                if seed % 4 == 3 && step > given_up_after {
                    drop(array);
                    break;
                }
                if !array.capture_step() {
                    array.check();
                    break;
                }
            }
            let seen = seen.lock().expect("no test panics with the lock");
            assert!(seen.is_ended && seen.texts == expected, "seed {seed}");
            assert!(seen.longest < STEP_TEXTS + 16, "seed {seed}: {} texts in a step", seen.longest);
        }
    }
}
