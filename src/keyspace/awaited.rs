//! Keys that somebody waits for, by database and name, and which of them were touched. Knows no client: whoever waits holds
//! the key's number. Invariant: a key is listed exactly once, as long as it has waiters.

use super::alarms::Alarms;
use super::key::DbIndex;
use crate::base::hash::Hasher;
use crate::ds::record::Field;
use crate::ds::table::Table;
use slab::Slab;
use std::collections::BTreeMap;

/// A key that is waited for, by number; numbers are used anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AwaitedId(u32);

struct AwaitedKey {
    db: DbIndex,
    key: Box<[u8]>,
    waiters: u32,
    /// Those of them to whom it matters that the key goes, too.
    minding: u32,
    ready: bool,
}

/// The keys.
pub struct Awaited {
    hasher: Hasher,
    /// Of each database the names, each with its number in four bytes; they grow without a stop, however many there are.
    numbers: BTreeMap<DbIndex, Table<Field>>,
    keys: Slab<AwaitedKey>,
    ready: Vec<AwaitedId>,
    minded: usize,
    /// When keys are to be tried again without any news of them.
    pub alarms: Alarms,
}

impl Awaited {
    /// No keys yet.
    pub fn new(hasher: Hasher) -> Awaited {
        Awaited {
            hasher,
            numbers: BTreeMap::new(),
            keys: Slab::new(),
            ready: Vec::new(),
            minded: 0,
            alarms: Alarms::default(),
        }
    }

    /// Number of keys that somebody waits for.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody waits for any key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn find(&self, db: DbIndex, key: &[u8]) -> Option<u32> {
        let item = self.numbers.get(&db)?.get(self.hasher.hash(key), key)?;
        Some(u32::from_le_bytes(*item.value().first_chunk()?))
    }

    /// Number of keys with waiters to whom it matters that the key goes, too.
    pub fn minded(&self) -> usize {
        self.minded
    }

    /// One waiter more for a key; `minds`: it matters to it that the key goes, too.
    pub fn acquire(&mut self, db: DbIndex, key: &[u8], minds: bool) -> AwaitedId {
        let id = self.find(db, key).unwrap_or_else(|| {
            let new = AwaitedKey { db, key: key.into(), waiters: 0, minding: 0, ready: false };
            let id = self.keys.insert(new) as u32;
            let numbers = self.numbers.entry(db).or_insert_with(|| Table::new(self.hasher));
            numbers.insert_new(self.hasher.hash(key), Field::new(key, &id.to_le_bytes(), None));
            id
        });
        let key = &mut self.keys[id as usize];
        key.waiters += 1;
        key.minding += u32::from(minds);
        self.minded += usize::from(minds && key.minding == 1);
        AwaitedId(id)
    }

    /// One waiter less, which minded or did not.
    pub fn release(&mut self, id: AwaitedId, minded: bool) {
        let Some(key) = self.keys.get_mut(id.0 as usize) else { return };
        key.waiters -= 1;
        key.minding -= u32::from(minded);
        self.minded -= usize::from(minded && key.minding == 0);
        if key.waiters > 0 {
            return;
        }
        let key = self.keys.remove(id.0 as usize);
        if let Some(numbers) = self.numbers.get_mut(&key.db) {
            numbers.remove(self.hasher.hash(&key.key), &key.key);
        }
    }

    /// Something happened to a key: if it is waited for it becomes ready.
    pub fn touch(&mut self, db: DbIndex, key: &[u8]) {
        if let Some(id) = self.find(db, key) {
            self.mark(id);
        }
    }

    /// Keys whose alarm is due become ready.
    pub fn ring(&mut self, now_ms: u64) {
        while let Some((db, key)) = self.alarms.due(now_ms) {
            self.touch(db, &key);
        }
    }

    /// Something happened to all keys of a database, or of all.
    pub fn touch_all(&mut self, which: Option<DbIndex>) {
        let ids: Vec<u32> =
            self.keys.iter().filter(|(_, key)| which.is_none_or(|db| key.db == db)).map(|(id, _)| id as u32).collect();
        for id in ids {
            self.mark(id);
        }
    }

    fn mark(&mut self, id: u32) {
        if !std::mem::replace(&mut self.keys[id as usize].ready, true) {
            self.ready.push(AwaitedId(id));
        }
    }

    /// Whether a key became ready since they were taken.
    #[inline]
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The keys that became ready, in that order.
    pub fn take_ready(&mut self) -> Vec<AwaitedId> {
        let mut ready = std::mem::take(&mut self.ready);
        // A number may have been given up, and even used anew, since it was marked.
        ready.retain(|id| self.keys.get_mut(id.0 as usize).is_some_and(|key| std::mem::take(&mut key.ready)));
        ready
    }

    /// A key's database and name, while somebody waits for it.
    pub fn name(&self, id: AwaitedId) -> Option<(DbIndex, &[u8])> {
        self.keys.get(id.0 as usize).map(|key| (key.db, &*key.key))
    }

    /// The names of all keys.
    pub fn names(&self) -> impl Iterator<Item = (DbIndex, &[u8])> {
        self.keys.iter().map(|(_, key)| (key.db, &*key.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_ready_once_and_only_while_it_is_awaited() {
        let mut awaited = Awaited::new(Hasher::seeded([1, 2, 3, 4]));
        let (zero, one) = (DbIndex(0), DbIndex(1));
        let a = awaited.acquire(zero, b"a", false);
        assert_eq!(awaited.acquire(zero, b"a", false), a);
        let b = awaited.acquire(one, b"a", false);
        assert_ne!(a, b);
        awaited.touch(zero, b"x");
        assert!(!awaited.has_ready());
        awaited.touch(one, b"a");
        awaited.touch(zero, b"a");
        awaited.touch(one, b"a");
        assert_eq!(awaited.take_ready(), [b, a]);
        awaited.touch_all(Some(zero));
        awaited.release(a, false);
        assert_eq!(awaited.name(a), Some((zero, &b"a"[..])));
        awaited.release(a, false);
        assert_eq!(awaited.take_ready(), []);
        awaited.release(b, false);
        assert!(awaited.is_empty());
        let minding = [awaited.acquire(one, b"a", true), awaited.acquire(one, b"a", true)];
        assert_eq!((awaited.len(), awaited.minded()), (1, 1));
        minding.into_iter().for_each(|id| awaited.release(id, true));
        assert_eq!((awaited.len(), awaited.minded()), (0, 0));
        awaited.touch(one, b"a");
        assert!(!awaited.has_ready());
    }

    #[test]
    fn a_number_used_anew_does_not_inherit_readiness() {
        let mut awaited = Awaited::new(Hasher::seeded([1, 2, 3, 4]));
        let a = awaited.acquire(DbIndex(0), b"a", false);
        awaited.touch(DbIndex(0), b"a");
        awaited.release(a, false);
        let b = awaited.acquire(DbIndex(0), b"b", false);
        assert_eq!(a, b, "the case that is meant");
        assert_eq!(awaited.take_ready(), []);
    }
}
