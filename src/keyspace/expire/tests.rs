//! The index against a map of deadlines, and its bounds.

use super::*;
use crate::base::rng::Rng;
use std::collections::{BTreeMap, HashMap};

/// Entries by hash, as the table would hold them.
#[derive(Default)]
struct Model {
    deadlines: HashMap<u64, i64>,
    now_ms: i64,
    expired: Vec<(u64, i64)>,
    looked_up: usize,
}

impl Probe for Model {
    fn prefetch(&self, _hashes: &[u64]) {}

    fn find(&mut self, hash: u64) -> Found {
        self.looked_up += 1;
        match self.deadlines.get(&hash) {
            Some(&deadline) if deadline <= self.now_ms => {
                self.deadlines.remove(&hash);
                self.expired.push((hash, deadline));
                Found::Expired
            }
            Some(&deadline) => Found::Later(deadline),
            None => Found::Gone,
        }
    }
}

const ENDLESS: Budget = Budget { all: u64::MAX, early: u64::MAX };
/// Over after one batch.
const TINY: Budget = Budget { all: 0, early: 0 };
const START_MS: i64 = 1_700_000_000_000;

/// Wheel and model side by side.
struct Both {
    wheel: Deadlines,
    model: Model,
}

impl Both {
    fn new() -> Both {
        let mut both = Both { wheel: Deadlines::default(), model: Model { now_ms: START_MS, ..Model::default() } };
        assert!(both.wheel.rest(START_MS, 0));
        both
    }

    /// As `set_index` does it.
    fn set(&mut self, hash: u64, deadline: i64) {
        let old = self.model.deadlines.insert(hash, deadline);
        if old.is_none_or(|old| deadline < old) {
            self.wheel.add(hash, deadline);
        }
    }

    fn step(&mut self, budget: Budget) -> Progress {
        let (now_ms, volatile) = (self.model.now_ms, self.model.deadlines.len());
        if self.wheel.rest(now_ms, volatile) {
            return Progress::Done;
        }
        self.wheel.step(now_ms, volatile, &mut self.model, budget)
    }

    fn settle(&mut self, budget: Budget) {
        while self.step(budget) == Progress::More {}
    }

    /// Nothing that is due may be left after a step that came to its end.
    fn check(&self) {
        self.wheel.check_invariants();
        let due = tick_of(self.model.now_ms + 1);
        let behind = self.model.deadlines.iter().find(|(_, deadline)| tick_of(**deadline) < due);
        assert_eq!(behind, None, "at {}", self.model.now_ms);
        if let Some(earliest) = self.model.deadlines.values().min() {
            let wake = self.wheel.next_due_ms().expect("with deadlines there is something to do");
            assert!(wake <= due_ms(tick_of(*earliest)), "wakes at {wake} for {earliest}");
        }
    }
}

fn span_ms(rng: &mut Rng) -> i64 {
    let bits = rng.below(38) as u32;
    1 + rng.below(1 << bits) as i64
}

fn random_run(seed: u64) {
    let mut rng = Rng::seeded(seed);
    let mut both = Both::new();
    for _ in 0..3000 {
        match rng.below(10) {
            0..=4 => {
                let deadline = both.model.now_ms + span_ms(&mut rng);
                both.set(rng.below(400), deadline);
            }
            5 | 6 => {
                both.model.deadlines.remove(&rng.below(400));
            }
            7 => both.model.now_ms += rng.below(20) as i64,
            8 => both.model.now_ms += span_ms(&mut rng) / (1 + rng.below(4) as i64),
            _ => {
                both.step(if rng.below(2) == 0 { TINY } else { ENDLESS });
                both.wheel.check_invariants();
                continue;
            }
        }
        if rng.below(3) == 0 {
            both.settle(if rng.below(2) == 0 { TINY } else { ENDLESS });
            both.check();
        }
    }
    assert!(both.model.expired.iter().all(|(_, deadline)| *deadline <= both.model.now_ms));
}

#[test]
fn random_deadlines_come_up_in_time() {
    for seed in 1..=8 {
        let run = std::panic::catch_unwind(|| random_run(seed));
        assert!(run.is_ok(), "seed {seed}");
    }
}

#[test]
fn each_key_goes_within_a_tick_of_its_time() {
    let mut both = Both::new();
    let mut rng = Rng::seeded(3);
    let mut by_time: BTreeMap<(i64, u64), ()> = BTreeMap::new();
    for hash in 0..20_000 {
        let deadline = START_MS + 1 + rng.below(10_000) as i64;
        both.set(hash, deadline);
        by_time.insert((deadline, hash), ());
    }
    while let Some(wake) = both.wheel.next_due_ms() {
        both.model.now_ms = wake.max(both.model.now_ms);
        both.settle(ENDLESS);
        let now_ms = both.model.now_ms;
        for (hash, deadline) in both.model.expired.drain(..) {
            assert!(
                deadline <= now_ms && now_ms - deadline < 2 * TICK_MS as i64,
                "{hash} at {deadline} went at {now_ms}"
            );
            assert!(by_time.remove(&(deadline, hash)).is_some());
        }
    }
    assert!(by_time.is_empty() && both.wheel.is_empty());
    assert!(both.model.looked_up < 60_000, "{} look-ups for 20000 keys", both.model.looked_up);
}

#[test]
fn a_step_back_of_the_clock_expires_nothing_and_loses_nothing() {
    let mut both = Both::new();
    both.set(1, START_MS + 500);
    both.set(2, START_MS + 50_000);
    both.model.now_ms = START_MS + 1000;
    both.settle(ENDLESS);
    assert_eq!(both.model.expired, [(1, START_MS + 500)]);
    both.model.now_ms = START_MS - 100_000;
    both.settle(ENDLESS);
    both.set(3, both.model.now_ms + 40);
    both.settle(ENDLESS);
    assert_eq!(both.model.expired.len(), 1);
    both.model.now_ms += 60;
    both.settle(ENDLESS);
    assert_eq!(both.model.expired.last(), Some(&(3, START_MS - 100_000 + 40)));
    assert_eq!(both.model.expired.len(), 2);
    both.model.now_ms = START_MS + 50_010;
    both.settle(ENDLESS);
    assert_eq!(both.model.expired.len(), 3);
    assert!(both.wheel.is_empty());
}

#[test]
fn stale_items_are_swept_and_true_ones_are_not() {
    let mut both = Both::new();
    let keys = 12_000u64;
    let hash = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    // Each round takes the deadline away and sets one anew: an item a round.
    for round in 0..3i64 {
        for i in 0..keys {
            both.model.deadlines.remove(&hash(i));
            both.set(hash(i), START_MS + 3_600_000 + round * 700 + (i as i64 % 3) * 20_000_000);
        }
    }
    assert_eq!(both.wheel.len(), 3 * keys as usize);
    let mut steps = 0;
    while both.step(TINY) == Progress::More || both.wheel.sweep.is_some() {
        steps += 1;
        both.model.now_ms += i64::from(steps % 50 == 0);
        if steps % 500 == 0 {
            both.wheel.check_invariants();
        }
    }
    assert!(steps > 100, "the sweep is done in small steps");
    assert_eq!(both.wheel.len(), keys as usize);
    assert!(both.wheel.alloc_bytes() < keys as usize * 12 + 50_000, "{} bytes", both.wheel.alloc_bytes());
    both.model.now_ms += 100_000_000;
    both.settle(ENDLESS);
    both.check();
    assert!(both.model.deadlines.is_empty() && both.wheel.is_empty());
}

#[test]
fn a_sweep_that_could_drop_nothing_is_not_repeated_at_once() {
    let mut both = Both::new();
    for i in 0..5000 {
        both.set(i, START_MS + 900);
        both.model.deadlines.remove(&i);
    }
    both.settle(ENDLESS);
    assert!(both.wheel.sweep.is_none() && !both.wheel.wants_sweep(0));
    both.model.now_ms += 2000;
    both.settle(ENDLESS);
    assert!(both.wheel.is_empty());
}

#[test]
fn samples_are_spread_evenly_and_the_earliest_come_first() {
    let mut both = Both::new();
    for i in 0..1000u64 {
        both.set(i, START_MS + 1 + i as i64 * 10_000);
    }
    let mut rng = Rng::seeded(9);
    let mut seen = vec![0u32; 1000];
    for _ in 0..4000 {
        let mut out = Vec::new();
        both.wheel.sample(rng.next_u64(), 10, &mut out);
        assert_eq!(out.len(), 10);
        out.iter().for_each(|hash| seen[*hash as usize] += 1);
    }
    assert!(seen.iter().all(|n| (10..90).contains(n)), "{seen:?}");
    let mut first = Vec::new();
    both.wheel.take_earliest(5, &mut first);
    assert_eq!(first, [0, 1, 2, 3, 4]);
    both.wheel.check_invariants();
    first.iter().for_each(|hash| both.wheel.add(*hash, START_MS + 1 + *hash as i64 * 10_000));
    let mut all = Vec::new();
    both.wheel.sample(1, 5000, &mut all);
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<u64>>());
}

#[test]
fn deadlines_at_the_ends_of_time_are_kept() {
    let mut both = Both::new();
    both.set(1, i64::MAX);
    both.set(2, START_MS + 1);
    both.set(3, -5);
    both.model.now_ms += 100;
    both.settle(ENDLESS);
    assert_eq!(both.model.deadlines.len(), 1);
    assert_eq!(both.wheel.len(), 1);
    both.wheel.check_invariants();
}
