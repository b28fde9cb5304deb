//! Keys (and elements of values) whose time has come: the index of deadlines of one database, and the step that removes what
//! is due. Knows no client and no command.
//!
//! The index is a hierarchical timing wheel (Varghese and Lauck, 1987) of nothing but hashes: 8 bytes a volatile key. An
//! item says "look at this key about now"; the deadline itself stands in the entry, so that an item is checked when it
//! comes up: the key goes, or the item moves on, or it was stale and is dropped.
//!
//! ```text
//! tick = deadline / 8 ms        level 0: slots of one tick; level l: slots of 256^l ticks; 512 slots a level, a ring
//! level l holds what lies in the current period (256 slots) of that level, or in the next one:
//!
//!   level 0   |......cursor======|================|        everything up to 2 to 4 s ahead
//!   level 1   |--.---------------|----------------|        up to 9 to 17 min ahead
//!   level 2, ...                                           up to 37 to 74 h; 1 to 2 years; ... the end of time
//! ```
//!
//! When the cursor enters a slot's period of an upper level, the slot AFTER it is dealt out to the lower levels: a whole
//! slot's time early, hence in small steps. Invariant: each entry with a deadline has an item in a slot that begins at or
//! before that deadline, so an item in a slot that begins after its entry's deadline is a stale double.

mod slot;
mod sweep;
#[cfg(test)]
mod tests;

use super::db::{Db, DbView, Keyspace};
use super::key::DbIndex;
use crate::base::clock::Now;
use crate::sys::ticks;
use slot::{Level, RING, Slot};
use std::collections::BTreeMap;
use sweep::Sweep;

/// Width of the finest slots, milliseconds: how late a key goes at most when there is time enough.
const TICK_MS: u64 = 8;
/// Each level's slots are 2^8 times as wide as those below.
const LEVEL_BITS: u32 = 8;
/// Levels: the topmost reaches beyond any 64-bit time.
const LEVELS: usize = 8;
/// Items looked up together, so that their cache misses overlap.
const BATCH: usize = 32;
/// Stale items that are not worth a sweep.
const STALE_ALLOWED: usize = 1024;
/// Distance of two estimates of the average time to live, milliseconds.
const ESTIMATE_MS: i64 = 200;
/// Keys looked at for one estimate.
const ESTIMATE_SAMPLES: usize = 32;

/// What a look at an item's entry found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was due and is gone.
    Expired,
    /// It is due then (Unix milliseconds).
    Later(i64),
    /// There is no entry of this hash with a deadline.
    Gone,
}

/// Whether a step did all there was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All that is due is done.
    Done,
    /// The budget was used up first.
    More,
}

/// Access to the entries behind the items.
trait Probe {
    /// Starts loading what `find` will read.
    fn prefetch(&self, hashes: &[u64]);
    /// Removes the entry if it is due.
    fn find(&mut self, hash: u64) -> Found;
}

/// How long a step may take, as readings of the tick clock: `all` for what is due, `early` for what is not yet.
#[derive(Clone, Copy)]
struct Budget {
    all: u64,
    early: u64,
}

fn is_over(end: u64) -> bool {
    ticks::now() >= end
}

/// The index of the deadlines of one database.
pub struct Deadlines {
    levels: Vec<Level>,
    /// Ticks before this one are done with.
    cursor: u64,
    /// Items in all places, a running sweep's too.
    items: usize,
    /// Bytes of all chunks.
    bytes: usize,
    /// When there is something to do; `i64::MAX` for never.
    wake_ms: i64,
    /// Ticks before the cursor: deadlines set after the wall clock had stepped back.
    late: BTreeMap<u64, Slot>,
    sweep: Option<Box<Sweep>>,
    /// Stale items that the last sweep had to leave.
    left_stale: usize,
    /// When the average time to live is estimated next.
    estimate_ms: i64,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines {
            levels: Vec::new(),
            cursor: 0,
            items: 0,
            bytes: 0,
            wake_ms: i64::MAX,
            late: BTreeMap::new(),
            sweep: None,
            left_stale: 0,
            estimate_ms: i64::MIN,
        }
    }
}

fn tick_of(deadline_ms: i64) -> u64 {
    deadline_ms.max(0) as u64 / TICK_MS
}

/// The moment at which everything in a tick is due.
fn due_ms(tick: u64) -> i64 {
    (tick * TICK_MS + (TICK_MS - 1)) as i64
}

/// The slot of `level` in which a tick lies.
fn unit_of(tick: u64, level: usize) -> u64 {
    tick >> (LEVEL_BITS * level as u32)
}

/// The first tick of a slot.
fn first_tick(unit: u64, level: usize) -> u64 {
    unit << (LEVEL_BITS * level as u32)
}

/// When a slot of an upper level is to be dealt out: when the cursor enters the slot before it.
fn deal_ms(unit: u64, level: usize) -> i64 {
    (first_tick(unit.saturating_sub(1), level) * TICK_MS) as i64
}

impl Deadlines {
    /// An empty index that begins where another one has got to.
    pub(super) fn continuing(old: &Deadlines) -> Deadlines {
        Deadlines { cursor: old.cursor, ..Deadlines::default() }
    }

    /// Number of items, stale ones included.
    pub fn len(&self) -> usize {
        self.items
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Bytes of the index itself.
    pub fn alloc_bytes(&self) -> usize {
        self.bytes + self.levels.len() * size_of::<[Slot; RING]>()
    }

    /// When there is something to do next, Unix milliseconds.
    pub fn next_due_ms(&self) -> Option<i64> {
        (self.wake_ms != i64::MAX).then_some(self.wake_ms)
    }

    /// Adds an item: the key of this hash has this deadline.
    pub fn add(&mut self, hash: u64, deadline_ms: i64) {
        self.items += 1;
        self.place(hash, tick_of(deadline_ms));
    }

    fn place(&mut self, hash: u64, tick: u64) {
        if tick < self.cursor {
            self.bytes += self.late.entry(tick).or_default().push(hash);
            self.wake_ms = self.wake_ms.min(due_ms(tick));
            return;
        }
        let fits = |l: &usize| unit_of(tick, l + 1) - unit_of(self.cursor, l + 1) <= 1;
        let level = (0..LEVELS - 1).find(fits).unwrap_or(LEVELS - 1);
        if self.levels.len() <= level {
            self.levels.resize_with(level + 1, Level::default);
        }
        let unit = unit_of(tick, level);
        self.bytes += self.levels[level].push(unit, hash);
        self.wake_ms = self.wake_ms.min(if level == 0 { due_ms(tick) } else { deal_ms(unit, level) });
    }

    /// Looks at the entries of items taken from a slot that begins at `start`; moves on what is due later.
    fn check(&mut self, hashes: &[u64], start: u64, probe: &mut impl Probe) {
        probe.prefetch(hashes);
        for &hash in hashes {
            match probe.find(hash) {
                Found::Later(deadline_ms) if tick_of(deadline_ms) >= start => self.place(hash, tick_of(deadline_ms)),
                // Due earlier than this slot: another item leads there.
                Found::Later(_) | Found::Expired | Found::Gone => self.items -= 1,
            }
        }
    }

    /// Takes items out of a slot of a level and checks them, until it is empty or the time is over.
    fn deal(&mut self, level: usize, unit: u64, probe: &mut impl Probe, end: u64) -> Progress {
        let mut batch = [0; BATCH];
        loop {
            let (n, freed) = self.levels[level].pop(unit, &mut batch);
            self.bytes -= freed;
            if n == 0 {
                return Progress::Done;
            }
            self.check(&batch[..n], first_tick(unit, level), probe);
            if is_over(end) {
                return Progress::More;
            }
        }
    }

    /// Deadlines that were set when the wall clock had stepped back.
    fn deal_late(&mut self, due_end: u64, probe: &mut impl Probe, end: u64) -> Progress {
        let mut batch = [0; BATCH];
        while let Some(mut first) = self.late.first_entry().filter(|first| *first.key() < due_end) {
            let tick = *first.key();
            let (n, freed) = first.get_mut().pop(&mut batch);
            if first.get().len() == 0 {
                first.remove();
            }
            self.bytes -= freed;
            self.check(&batch[..n], tick, probe);
            if is_over(end) {
                return Progress::More;
            }
        }
        Progress::Done
    }

    /// Removes what is due before tick `due_end`, and brings the cursor there.
    fn deal_due(&mut self, due_end: u64, probe: &mut impl Probe, end: u64) -> Progress {
        if self.deal_late(due_end, probe, end) == Progress::More {
            return Progress::More;
        }
        loop {
            // Overdue slots of upper levels first: what is in them may lie in the very tick that comes next.
            for level in (1..self.levels.len()).rev() {
                if self.deal(level, unit_of(self.cursor, level), probe, end) == Progress::More {
                    return Progress::More;
                }
            }
            if self.cursor >= due_end {
                return Progress::Done;
            }
            if !self.levels.is_empty() && self.deal(0, self.cursor, probe, end) == Progress::More {
                return Progress::More;
            }
            // No slot between here and there holds anything, so none is passed by.
            self.cursor = self.first_filled().map_or(due_end, |tick| tick.clamp(self.cursor, due_end));
        }
    }

    /// The first tick of the first filled slot of any level.
    fn first_filled(&self) -> Option<u64> {
        let first =
            |(l, level): (usize, &Level)| level.next_filled(unit_of(self.cursor, l)).map(|unit| first_tick(unit, l));
        self.levels.iter().enumerate().filter_map(first).min()
    }

    /// Deals out the slots of upper levels whose turn is next.
    fn deal_early(&mut self, probe: &mut impl Probe, end: u64) -> Progress {
        for level in 1..self.levels.len() {
            if self.deal(level, unit_of(self.cursor, level) + 1, probe, end) == Progress::More {
                return Progress::More;
            }
        }
        Progress::Done
    }

    /// Whether there is nothing to do at this moment. The cursor follows the clock over nothing.
    fn rest(&mut self, now_ms: i64, volatile: usize) -> bool {
        self.left_stale = self.left_stale.min(self.items.saturating_sub(volatile));
        if now_ms < self.wake_ms && !self.wants_sweep(volatile) {
            self.cursor = self.cursor.max(tick_of(now_ms.saturating_add(1)));
            return true;
        }
        false
    }

    fn wants_sweep(&self, volatile: usize) -> bool {
        let stale = self.items.saturating_sub(volatile);
        self.sweep.is_some() || (stale > volatile + STALE_ALLOWED && stale > self.left_stale + self.left_stale / 2)
    }

    fn wants_estimate(&self, now_ms: i64) -> bool {
        now_ms >= self.estimate_ms && self.items > 0
    }

    /// One step: what is due, then what had better be done early. `More` if something due is left.
    fn step(&mut self, now_ms: i64, volatile: usize, probe: &mut impl Probe, budget: Budget) -> Progress {
        let progress = self.deal_due(tick_of(now_ms.saturating_add(1)), probe, budget.all);
        let mut busy = progress == Progress::More;
        if !busy {
            busy = self.deal_early(probe, budget.early) == Progress::More;
            if !busy && self.wants_sweep(volatile) {
                self.sweep_step(volatile, probe, budget.early);
            }
        }
        self.wake_ms = if busy || self.sweep.is_some() {
            now_ms + i64::from(progress == Progress::Done)
        } else {
            self.find_wake()
        };
        progress
    }

    fn find_wake(&self) -> i64 {
        let mut wake_ms = self.late.first_key_value().map_or(i64::MAX, |(tick, _)| due_ms(*tick));
        for (l, level) in self.levels.iter().enumerate() {
            if let Some(unit) = level.next_filled(unit_of(self.cursor, l)) {
                wake_ms = wake_ms.min(if l == 0 { due_ms(unit) } else { deal_ms(unit, l) });
            }
        }
        wake_ms
    }

    /// Up to `n` items at even distances over the whole index, from a random start: each with the same probability.
    pub(super) fn sample(&self, random: u64, n: usize, out: &mut Vec<u64>) {
        let swept = || self.sweep.iter().flat_map(|sweep| sweep.slots());
        let slots = || self.late.values().chain(self.levels.iter().flat_map(Level::filled_slots)).chain(swept());
        let total: usize = slots().map(Slot::len).sum();
        if let Some(sweep) = self.sweep.as_ref().filter(|_| total == 0) {
            out.extend(sweep.sorted().iter().take(n));
            return;
        }
        let n = n.min(total);
        if n == 0 {
            return;
        }
        let offset = ((u128::from(random) * total as u128) >> 64) as usize;
        let mut positions: Vec<usize> = (0..n).map(|i| (offset + i * total / n) % total).collect();
        positions.sort_unstable();
        let (mut next, mut before) = (0, 0);
        for slot in slots() {
            while let Some(item) = positions.get(next).and_then(|position| slot.get(position - before)) {
                out.push(item);
                next += 1;
            }
            before += slot.len();
        }
    }

    /// Takes out some `n` items of those that come up first; the caller adds the true ones again.
    pub(super) fn take_earliest(&mut self, n: usize, out: &mut Vec<u64>) {
        let mut batch = [0; BATCH];
        let before = out.len();
        while out.len() - before < n {
            let room = (n - (out.len() - before)).min(BATCH);
            let (popped, freed) = if let Some(mut first) = self.late.first_entry() {
                let popped = first.get_mut().pop(&mut batch[..room]);
                if first.get().len() == 0 {
                    first.remove();
                }
                popped
            } else {
                let next = |(l, level): (usize, &Level)| {
                    level.next_filled(unit_of(self.cursor, l)).map(|unit| (first_tick(unit, l), l, unit))
                };
                let Some((_, l, unit)) = self.levels.iter().enumerate().filter_map(next).min() else { break };
                self.levels[l].pop(unit, &mut batch[..room])
            };
            self.bytes -= freed;
            out.extend_from_slice(&batch[..popped]);
        }
        self.items -= out.len() - before;
    }

    #[cfg(test)]
    fn check_invariants(&self) {
        let filled: usize = self.levels.iter().map(Level::check).sum();
        let late: usize = self.late.values().map(Slot::len).sum();
        let swept = self.sweep.as_ref().map_or(0, |sweep| sweep.len());
        assert_eq!(filled + late + swept, self.items, "items are counted");
        let bytes: usize =
            self.levels.iter().flat_map(Level::filled_slots).chain(self.late.values()).map(Slot::alloc_bytes).sum();
        assert_eq!(bytes + self.sweep.as_ref().map_or(0, |sweep| sweep.alloc_bytes()), self.bytes, "bytes are counted");
        for (l, level) in self.levels.iter().enumerate() {
            let current = unit_of(self.cursor, l);
            let limit = if l + 1 < LEVELS { (unit_of(self.cursor, l + 1) + 2) << LEVEL_BITS } else { u64::MAX };
            if let Some(last) = level.last_filled(current) {
                assert!(last < limit, "level {l} holds slot {last} beyond {limit}");
            }
        }
    }
}

/// What an index of a database leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Index {
    /// Keys with a deadline.
    Keys,
    /// Keys whose elements have deadlines.
    Elements,
}

impl Index {
    const ALL: [Index; 2] = [Index::Keys, Index::Elements];

    /// The index, and how many entries it is about.
    fn of(self, db: &mut Db) -> (&mut Deadlines, usize) {
        match self {
            Index::Keys => (&mut db.deadlines, db.volatile),
            Index::Elements => (&mut db.subkeys.deadlines, db.subkeys.count),
        }
    }
}

/// The items' entries in one database.
struct DbProbe<'a> {
    view: DbView<'a>,
    of: Index,
}

impl Probe for DbProbe<'_> {
    fn prefetch(&self, hashes: &[u64]) {
        let table = &self.view.db_ref().table;
        hashes.iter().for_each(|&hash| table.prefetch_segment(hash));
        hashes.iter().for_each(|&hash| table.prefetch_bucket(hash));
        for &hash in hashes {
            table.prefetch_item(hash);
        }
    }

    fn find(&mut self, hash: u64) -> Found {
        match self.of {
            Index::Keys => self.view.expire_by_hash(hash),
            Index::Elements => self.view.expire_elements_by_hash(hash),
        }
    }
}

/// When a step has something to do next, Unix milliseconds.
pub fn next_due_ms(space: &Keyspace) -> Option<i64> {
    let both = |db: &Db| [db.deadlines.next_due_ms(), db.subkeys.deadlines.next_due_ms()];
    space.dbs.iter().flat_map(both).flatten().min()
}

/// Removes keys and elements whose time has come, for about `budget_us` microseconds; the databases take turns in beginning.
pub fn step(space: &mut Keyspace, now: Now, budget_us: u64) -> Progress {
    let now_ms = now.unix_ms.0;
    let (mut waiting, mut estimate) = (0, false);
    for db in &mut space.dbs {
        for of in Index::ALL {
            let (deadlines, count) = of.of(db);
            waiting += u64::from(!deadlines.rest(now_ms, count));
        }
        estimate |= db.deadlines.wants_estimate(now_ms);
    }
    if estimate {
        estimate_all(space, now);
    }
    if waiting == 0 {
        return Progress::Done;
    }
    let (count, first) = (space.dbs.len(), space.book.expire_turn);
    space.book.expire_turn = (first + 1) % count;
    let (budget, begin) = (ticks::from_us(budget_us), ticks::now());
    let mut progress = Progress::Done;
    let turns = (0..count).flat_map(|i| Index::ALL.map(|of| ((first + i) % count, of)));
    for (index, of) in turns {
        let (deadlines, entries) = of.of(&mut space.dbs[index]);
        if deadlines.rest(now_ms, entries) {
            continue;
        }
        // Those that were quick leave their share to the others.
        let started = ticks::now();
        let share = budget.saturating_sub(started.wrapping_sub(begin)) / waiting.max(1);
        waiting = waiting.saturating_sub(1);
        if step_db(space, index, of, now, Budget { all: started + share, early: started + share / 2 }) == Progress::More
        {
            progress = Progress::More;
        }
    }
    if progress == Progress::More {
        space.book.counters.expired_time_cap_reached += 1;
    }
    progress
}

fn step_db(space: &mut Keyspace, index: usize, of: Index, now: Now, budget: Budget) -> Progress {
    // The index is taken out meanwhile: its items lead to entries of the same database.
    let (deadlines, entries) = of.of(&mut space.dbs[index]);
    let mut deadlines = std::mem::take(deadlines);
    let mut probe = DbProbe { view: space.view(DbIndex(index as u32), now), of };
    let progress = deadlines.step(now.unix_ms.0, entries, &mut probe, budget);
    *of.of(&mut space.dbs[index]).0 = deadlines;
    progress
}

fn estimate_all(space: &mut Keyspace, now: Now) {
    for index in 0..space.dbs.len() {
        if space.dbs[index].deadlines.wants_estimate(now.unix_ms.0) {
            space.dbs[index].deadlines.estimate_ms = now.unix_ms.0.saturating_add(ESTIMATE_MS);
            estimate_ttl(space, index, now);
        }
    }
}

/// Brings a database's average time to live up to date from a sample of its volatile keys.
fn estimate_ttl(space: &mut Keyspace, index: usize, now: Now) {
    let random = space.book.rng.next_u64();
    let hasher = space.hasher();
    let db = &mut space.dbs[index];
    let mut hashes = Vec::with_capacity(ESTIMATE_SAMPLES);
    db.deadlines.sample(random, ESTIMATE_SAMPLES, &mut hashes);
    let (mut sum, mut count) = (0u128, 0u128);
    for hash in hashes {
        db.table.find_by_hash(hash, |entry| {
            if let Some(deadline) = entry.deadline().filter(|_| hasher.hash(entry.key()) == hash) {
                sum += u128::from(deadline.saturating_sub(now.unix_ms.0).max(0) as u64);
                count += 1;
            }
            false
        });
    }
    if let Some(average) = sum.checked_div(count) {
        let average = u64::try_from(average).unwrap_or(u64::MAX);
        // All keys were seen, or too few to forget what was known.
        let exact = db.volatile <= ESTIMATE_SAMPLES || db.avg_ttl_ms == 0;
        db.avg_ttl_ms = if exact { average } else { db.avg_ttl_ms / 4 * 3 + average / 4 };
    } else if db.volatile == 0 {
        db.avg_ttl_ms = 0;
    }
}
