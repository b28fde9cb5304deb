//! Keys given up for memory. Candidates come from random samples; a small pool keeps the best ones seen so far, so that a
//! few samples a key come close to the true order. Knows no configuration and no command.
//!
//! Invariant: the pool is sorted, best candidate last, and holds a key's hash at most once. Its scores may be outdated: each
//! candidate is looked at again before it goes.

use super::db::{Book, Db, Keyspace, Vanished};
use super::events::{Event, KeyEvent, class};
use super::key::DbIndex;
use crate::base::clock::{self, Now};
use crate::base::hash::Hasher;
use crate::sys::ticks;
use crate::types::EntryRef;

/// Candidates kept from one key to the next.
const POOL: usize = 16;
/// From one volatile key in so many on, the table itself is sampled for them; below, the index of deadlines.
const COMMON_SHARE: usize = 4;
/// Most keys looked at for one that goes.
const MOST_SAMPLES: usize = 64;
/// Most items of the index looked at for one sample.
const MOST_ITEMS: usize = 4096;

/// By how much a key that was never used since it was made counts as older, half seconds.
const USED_GRACE_HALF_SECS: u64 = 3;

/// By what a key is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    /// The longest unused.
    Idle,
    /// The least often used, given how fast the counters decay.
    Rare {
        /// Minutes that take one off a counter.
        decay_minutes: u32,
    },
    /// Any.
    Random,
    /// The nearest deadline.
    Deadline,
}

/// Which keys may go, and which of them goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Only keys with a deadline may go.
    pub only_volatile: bool,
    /// By what a key is chosen.
    pub rank: Rank,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wish {
    /// Which keys may go; `None` for none.
    pub policy: Option<Policy>,
    /// Keys looked at for each that goes.
    pub samples: usize,
    /// Memory may be as much, bytes.
    pub limit_bytes: u64,
    /// Longest time for it, microseconds.
    pub budget_us: u64,
    /// Whether the thread frees all values that are not tiny, not only the largest.
    pub lazy: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// Memory is within the limit.
    Fits,
    /// Not yet, but keys are going: more calls, or the lazy-free thread, will bring it there.
    Coming,
    /// Over the limit, and nothing may be given up.
    Full,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// The higher, the sooner it goes.
    score: u64,
    db: u32,
    hash: u64,
}

/// The best candidates seen so far.
#[derive(Debug, Default)]
pub struct Pool {
    sorted: Vec<Candidate>,
    policy: Option<Policy>,
}

impl Pool {
    /// Scores of different policies can't be compared.
    fn prepare(&mut self, policy: Policy) {
        if self.policy != Some(policy) {
            self.sorted.clear();
            self.policy = Some(policy);
        }
    }

    fn offer(&mut self, new: Candidate) {
        if self.sorted.iter().any(|known| known.hash == new.hash && known.db == new.db) {
            return;
        }
        let at = self.sorted.partition_point(|known| known.score < new.score);
        if self.sorted.len() == POOL {
            if at == 0 {
                return;
            }
            self.sorted.remove(0);
            self.sorted.insert(at - 1, new);
        } else {
            self.sorted.insert(at, new);
        }
    }
}

/// How much a key is to be given up; `None` if it may not go.
fn score(policy: Policy, entry: EntryRef<'_>, now: Now) -> Option<u64> {
    if policy.only_volatile && entry.deadline().is_none() {
        return None;
    }
    Some(match policy.rank {
        Rank::Idle => {
            // The clock counts seconds: a key in use may look a second older than one that was made after its last use.
            let grace = if clock::lru_is_used(entry.lru()) { 0 } else { USED_GRACE_HALF_SECS };
            2 * u64::from(clock::lru_idle_secs(entry.lru(), now)) + grace
        }
        Rank::Rare { decay_minutes } => {
            let (counter, then) = clock::lfu_unpack(entry.lru());
            u64::from(u8::MAX - clock::lfu_decay(counter, then, clock::lfu_minutes(now), decay_minutes))
        }
        Rank::Random => 0,
        Rank::Deadline => u64::MAX - entry.deadline().unwrap_or(i64::MAX).max(0) as u64,
    })
}

/// Evicts keys until memory is within the limit, as far as the budget goes. `used` tells the bytes in use.
pub fn make_room(space: &mut Keyspace, now: Now, wish: Wish, used: &mut dyn FnMut() -> usize) -> Room {
    if used() as u64 <= wish.limit_bytes {
        return Room::Fits;
    }
    let Some(policy) = wish.policy else { return lazily(space, Room::Full) };
    let end = ticks::now().saturating_add(ticks::from_us(wish.budget_us));
    space.book.pool.prepare(policy);
    let mut untold = Untold::of(&space.book);
    loop {
        if !evict_one(space, now, policy, wish) {
            return lazily(space, Room::Full);
        }
        if used().saturating_sub(untold.name_bytes(&space.book)) as u64 <= wish.limit_bytes {
            return Room::Fits;
        }
        // What the thread is freeing may be enough: nothing more need go before that is known.
        if lazily(space, Room::Full) == Room::Coming || ticks::now() >= end {
            return Room::Coming;
        }
    }
}

/// Names of keys that were given up and of whom somebody is still to be told: they go when that is done, and would else cost
/// other keys.
struct Untold {
    events: usize,
    vanished: usize,
    bytes: usize,
}

impl Untold {
    /// What is untold before.
    fn of(book: &Book) -> Untold {
        Untold { events: book.events.len(), vanished: book.vanished.len(), bytes: 0 }
    }

    /// Bytes of the names that came since.
    fn name_bytes(&mut self, book: &Book) -> usize {
        for event in book.events.get(self.events..).unwrap_or_default() {
            self.bytes += if let KeyEvent::Key { key, .. } = event { key.len() } else { 0 };
        }
        let vanished = book.vanished.get(self.vanished..).unwrap_or_default();
        self.bytes += vanished.iter().map(|gone| gone.key.len()).sum::<usize>();
        (self.events, self.vanished) = (book.events.len(), book.vanished.len());
        self.bytes
    }
}

/// Values on their way to be freed are room that is coming.
fn lazily(space: &Keyspace, otherwise: Room) -> Room {
    if space.book.lazyfree.as_ref().is_some_and(|thread| thread.pending() > 0) { Room::Coming } else { otherwise }
}

/// Gives up one key; false if none may go.
fn evict_one(space: &mut Keyspace, now: Now, policy: Policy, wish: Wish) -> bool {
    if policy.rank == Rank::Random {
        return evict_random(space, now, policy, wish.lazy);
    }
    // The last try looks so wide that stale items can't hide what is left.
    for wider in [1, 1, 16, MOST_ITEMS] {
        refill(space, now, policy, wish.samples.clamp(1, MOST_SAMPLES).saturating_mul(wider).min(MOST_ITEMS));
        while let Some(candidate) = space.book.pool.sorted.pop() {
            if remove(space, now, policy, candidate, wish.lazy) {
                return true;
            }
        }
    }
    false
}

/// Whether a database has keys that may go.
fn has_any(db: &Db, policy: Policy) -> bool {
    if policy.only_volatile { db.volatile > 0 } else { !db.table.is_empty() }
}

fn evict_random(space: &mut Keyspace, now: Now, policy: Policy, lazy: bool) -> bool {
    let keys = |db: &Db| if policy.only_volatile { db.volatile } else { db.table.len() } as u64;
    let total: u64 = space.dbs.iter().map(keys).sum();
    let mut at = space.book.rng.below(total);
    let Some(index) = space.dbs.iter().position(|db| {
        let mine = at < keys(db);
        at = at.saturating_sub(keys(db));
        mine
    }) else {
        return false;
    };
    for wider in [1, 16, MOST_ITEMS] {
        sample_db(space, index, now, policy, wider);
        while let Some(candidate) = space.book.pool.sorted.pop() {
            if remove(space, now, policy, candidate, lazy) {
                // One sample, one key: what is left over would be used up in its order.
                space.book.pool.sorted.clear();
                return true;
            }
        }
    }
    false
}

/// Samples every database that has something to give.
fn refill(space: &mut Keyspace, now: Now, policy: Policy, samples: usize) {
    for index in 0..space.dbs.len() {
        if has_any(&space.dbs[index], policy) {
            sample_db(space, index, now, policy, samples);
        }
    }
}

fn sample_db(space: &mut Keyspace, index: usize, now: Now, policy: Policy, samples: usize) {
    let hasher = space.hasher();
    let db = &mut space.dbs[index];
    let common = db.volatile >= db.table.len() / COMMON_SHARE && policy.rank != Rank::Deadline;
    if !policy.only_volatile || common && samples < MOST_ITEMS {
        let share = if policy.only_volatile { COMMON_SHARE } else { 1 };
        sample_table(db, &mut space.book, index, now, policy, samples * share);
    } else {
        sample_index(db, &mut space.book, hasher, index, now, policy, samples);
    }
}

fn sample_table(db: &Db, book: &mut Book, index: usize, now: Now, policy: Policy, samples: usize) {
    let Book { rng, pool, .. } = book;
    let hasher = db.table.hasher();
    let mut entries = Vec::with_capacity(samples);
    db.table.sample(&mut || rng.next_u64(), samples, &mut entries);
    for entry in entries {
        if let Some(score) = score(policy, entry, now) {
            if pool.sorted.len() < POOL || pool.sorted[0].score < score {
                pool.offer(Candidate { score, db: index as u32, hash: hasher.hash(entry.key()) });
            }
        }
    }
}

fn sample_index(db: &mut Db, book: &mut Book, hasher: Hasher, index: usize, now: Now, policy: Policy, samples: usize) {
    let mut hashes = Vec::with_capacity(samples.min(MOST_ITEMS));
    if policy.rank == Rank::Deadline {
        // Taken out, so that stale items in front do not hide the others for ever.
        db.deadlines.take_earliest(samples.max(POOL), &mut hashes);
    }
    let taken = !hashes.is_empty();
    if !taken {
        db.deadlines.sample(book.rng.next_u64(), samples, &mut hashes);
    }
    for hash in hashes {
        let mut deadline = None;
        db.table.find_by_hash(hash, |entry| {
            if deadline.is_none() && hasher.hash(entry.key()) == hash {
                if let Some(score) = score(policy, entry, now) {
                    book.pool.offer(Candidate { score, db: index as u32, hash });
                    deadline = entry.deadline();
                }
            }
            false
        });
        if let Some(at) = deadline.filter(|_| taken) {
            db.deadlines.add(hash, at);
        }
    }
}

/// Takes a candidate out, unless it has gone or was used since it was seen.
fn remove(space: &mut Keyspace, now: Now, policy: Policy, candidate: Candidate, lazy: bool) -> bool {
    let hasher = space.hasher();
    let Some(db) = space.dbs.get_mut(candidate.db as usize) else { return false };
    let found = db.table.find_by_hash(candidate.hash, |entry| {
        hasher.hash(entry.key()) == candidate.hash
            && score(policy, entry, now).is_some_and(|score| score >= candidate.score)
    });
    let Some(occupied) = found else { return false };
    let (book, index) = (&mut space.book, DbIndex(candidate.db));
    book.before_change(index, occupied.get());
    let entry = occupied.remove();
    db.forget(entry.view());
    book.counters.evicted += 1;
    book.announce(index, entry.key(), Event { class: class::EVICTED, name: "evicted", changed: true });
    if book.propagate {
        book.vanished.push(Vanished { db: index, key: entry.key().into(), element: None });
    }
    book.free(entry, lazy);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::keyspace::{Deadline, Touch};
    use crate::types::Encoded;

    fn space() -> Keyspace {
        Keyspace::new(2, Hasher::seeded([1, 2, 3, 4]), Rng::seeded(5))
    }

    fn at(secs: i64) -> Now {
        Now::at_unix_ms(1_700_000_000_000 + secs * 1000)
    }

    fn set(space: &mut Keyspace, db: u32, name: &str, now: Now, deadline: Option<i64>) {
        let mut view = space.view(DbIndex(db), now);
        let key = view.key(name.as_bytes());
        let event = Event::string("set");
        view.put(key, Deadline::At(deadline), event, |old, access| {
            Encoded::of(b"value", None).store(key.bytes, old, access)
        });
    }

    fn has(space: &mut Keyspace, db: u32, name: &str, now: Now) -> bool {
        let mut view = space.view(DbIndex(db), now);
        let key = view.key(name.as_bytes());
        view.exists(key)
    }

    /// Evicts until `left` keys remain, as if a key was a byte.
    fn shrink(space: &mut Keyspace, policy: Policy, samples: usize, left: usize, now: Now) -> Room {
        loop {
            let mut over = space.total_keys() as i64 + 1;
            let wish =
                Wish { policy: Some(policy), samples, limit_bytes: left as u64, budget_us: 1 << 40, lazy: false };
            let room = make_room(space, now, wish, &mut || {
                over -= 1;
                over.max(0) as usize
            });
            if room != Room::Coming {
                return room;
            }
        }
    }

    const ALLKEYS_LRU: Policy = Policy { only_volatile: false, rank: Rank::Idle };

    #[test]
    fn the_longest_unused_go_first() {
        let mut space = space();
        for i in 0..4000 {
            set(&mut space, 0, &format!("k{i}"), at(i / 400), None);
        }
        for i in 0..100 {
            let mut view = space.view(DbIndex(0), at(10));
            let name = format!("k{i}");
            let key = view.key(name.as_bytes());
            view.entry(key);
        }
        assert_eq!(shrink(&mut space, ALLKEYS_LRU, 10, 2000, at(10)), Room::Fits);
        let hot = (0..100).filter(|i| has(&mut space, 0, &format!("k{i}"), at(10))).count();
        assert!(hot >= 95, "{hot} of 100 hot keys are left");
        let young = (2000..4000).filter(|i| has(&mut space, 0, &format!("k{i}"), at(10))).count();
        assert!(young > 1600, "{young} of 2000 young keys are left");
        assert_eq!(space.book.counters.evicted, 2000);
    }

    #[test]
    fn names_of_whom_somebody_is_still_to_be_told_do_not_count() {
        let mut space = space();
        (space.book.interest, space.book.propagate) = (class::CHANGED, true);
        (0..20).for_each(|i| set(&mut space, 0, &format!("{i:02}{}", "x".repeat(998)), at(0), None));
        let mut untold = Untold::of(&space.book);
        assert_eq!(untold.name_bytes(&space.book), 0);
        let wish = Wish { policy: Some(ALLKEYS_LRU), samples: 5, limit_bytes: 0, budget_us: 1 << 40, lazy: false };
        for evicted in 1..=5 {
            assert!(evict_one(&mut space, at(1), ALLKEYS_LRU, wish));
            // One to be told, one to be propagated.
            assert_eq!(untold.name_bytes(&space.book), 2 * 1000 * evicted);
        }
    }

    #[test]
    fn the_least_often_used_go_first() {
        let mut space = space();
        space.book.touch = Touch::Lfu { log_factor: 10, decay_minutes: 1 };
        for i in 0..4000 {
            set(&mut space, i % 2, &format!("k{i}"), at(0), None);
        }
        for i in 0..100 {
            for _ in 0..100 {
                let mut view = space.view(DbIndex(i % 2), at(0));
                let name = format!("k{i}");
                let key = view.key(name.as_bytes());
                view.entry(key);
            }
        }
        let policy = Policy { only_volatile: false, rank: Rank::Rare { decay_minutes: 1 } };
        assert_eq!(shrink(&mut space, policy, 10, 1000, at(0)), Room::Fits);
        let hot = (0..100).filter(|i| has(&mut space, i % 2, &format!("k{i}"), at(0))).count();
        assert!(hot >= 95, "{hot} of 100 hot keys are left");
    }

    #[test]
    fn only_keys_with_a_deadline_go_when_only_they_may() {
        for rank in [Rank::Idle, Rank::Rare { decay_minutes: 1 }, Rank::Random, Rank::Deadline] {
            for volatile in [7, 200, 900] {
                let mut space = space();
                for i in 0..1000 {
                    let deadline = (i < volatile).then_some(at(100 + i).unix_ms.0);
                    set(&mut space, 0, &format!("k{i}"), at(0), deadline);
                }
                let policy = Policy { only_volatile: true, rank };
                assert_eq!(shrink(&mut space, policy, 5, 0, at(1)), Room::Full, "{rank:?}");
                assert_eq!(space.total_keys(), 1000 - volatile as usize, "{rank:?} of {volatile}");
                assert_eq!(space.dbs[0].volatile, 0);
            }
        }
    }

    #[test]
    fn the_nearest_deadlines_go_first() {
        let mut space = space();
        crate::keyspace::expire::step(&mut space, at(0), 100);
        for i in 0..1000 {
            set(&mut space, 0, &format!("k{i}"), at(0), Some(at(100 + i).unix_ms.0));
        }
        let policy = Policy { only_volatile: true, rank: Rank::Deadline };
        assert_eq!(shrink(&mut space, policy, 5, 500, at(0)), Room::Fits);
        let late = (500..1000).filter(|i| has(&mut space, 0, &format!("k{i}"), at(0))).count();
        assert!(late > 490, "{late} of 500");
    }

    #[test]
    fn random_eviction_takes_from_all_databases() {
        let mut space = space();
        for i in 0..1000 {
            set(&mut space, i % 2, &format!("k{i}"), at(0), None);
        }
        let policy = Policy { only_volatile: false, rank: Rank::Random };
        assert_eq!(shrink(&mut space, policy, 5, 500, at(0)), Room::Fits);
        let left = [space.dbs[0].table.len(), space.dbs[1].table.len()];
        assert!(left.iter().all(|n| (200..300).contains(n)), "{left:?}");
    }

    #[test]
    fn a_candidate_that_was_used_meanwhile_stays() {
        let mut space = space();
        for i in 0..20 {
            set(&mut space, 0, &format!("k{i}"), at(0), None);
        }
        refill(&mut space, at(50), ALLKEYS_LRU, 20);
        space.book.pool.policy = Some(ALLKEYS_LRU);
        for i in 0..19 {
            let mut view = space.view(DbIndex(0), at(50));
            let name = format!("k{i}");
            let key = view.key(name.as_bytes());
            view.entry(key);
        }
        set(&mut space, 0, "other", at(40), None);
        shrink(&mut space, ALLKEYS_LRU, 64, 19, at(50));
        assert!((0..19).all(|i| has(&mut space, 0, &format!("k{i}"), at(50))));
    }
}
