//! WATCH: which sessions want to know that a key changed.
//!
//! ```text
//! database -> key -> watchers (connection, number of the watch)        what a change takes
//! connection -> number of its watch, the keys                          what leaving takes
//! ```
//! What a session watches between two EXECs is one watch with a number of its own. Invariant: each key of a watch has that
//! watch among its watchers once; a watcher whose number is not that of its connection's watch is no watcher any more, and is
//! cleared away in steps. Nothing here has to be moved as a whole when it grows.

use crate::keyspace::DbIndex;
use crate::session::ConnId;
use std::collections::{BTreeMap, HashMap};

/// What a key's place in a database holds, as far as a watcher is concerned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// No key.
    Missing,
    /// A key.
    Live,
    /// A key whose time has come, but which nobody has removed yet.
    Expired,
}

/// One session at one key.
#[derive(Clone, Copy)]
struct Watcher {
    conn: ConnId,
    /// The number of the watch.
    number: u64,
    /// The key's time had come when it was watched and nothing has changed since: that it goes is no change.
    was_expired: bool,
}

/// The watched keys of one database.
type Keys = BTreeMap<Box<[u8]>, Vec<Watcher>>;

/// Keys of an ended watch that are given up at once; more are given up in steps.
const LEAVE_AT_ONCE: usize = 256;
/// Keys of a watch that lie together.
const CHUNK: usize = 1024;

/// What one session watches.
#[derive(Default)]
struct Watch {
    number: u64,
    /// All chunks but the last are full.
    names: Vec<Vec<(DbIndex, Box<[u8]>)>>,
}

impl Watch {
    fn push(&mut self, db: DbIndex, key: &[u8]) {
        if self.names.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.names.push(Vec::new());
        }
        if let Some(chunk) = self.names.last_mut() {
            chunk.push((db, key.into()));
        }
    }

    fn pop(&mut self) -> Option<(DbIndex, Box<[u8]>)> {
        let chunk = self.names.last_mut()?;
        let name = chunk.pop();
        if chunk.is_empty() {
            self.names.pop();
        }
        name
    }
}

/// Watched keys.
#[derive(Default)]
pub struct Watches {
    dbs: HashMap<DbIndex, Keys>,
    by_session: HashMap<ConnId, Watch>,
    last_number: u64,
    /// Watches that are over.
    leaving: Vec<Watch>,
}

impl Watches {
    /// Whether nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }

    /// Number of sessions that watch.
    pub fn sessions(&self) -> usize {
        self.by_session.len()
    }

    /// Number of distinct keys that are watched.
    pub fn keys(&self) -> usize {
        self.dbs.values().map(BTreeMap::len).sum()
    }

    /// Adds a key to what a session watches; false if it did already. `was_expired`: the key's time had come and it was
    /// still there, so that its going is no change.
    pub fn add(&mut self, conn: ConnId, db: DbIndex, key: &[u8], was_expired: bool) -> bool {
        let watch = self.by_session.entry(conn).or_insert_with(|| {
            self.last_number += 1;
            Watch { number: self.last_number, names: Vec::new() }
        });
        let keys = self.dbs.entry(db).or_default();
        let watcher = Watcher { conn, number: watch.number, was_expired };
        match keys.get_mut(key) {
            Some(watchers) if watchers.iter().any(|w| w.number == watch.number) => return false,
            Some(watchers) => watchers.push(watcher),
            None => _ = keys.insert(key.into(), vec![watcher]),
        }
        watch.push(db, key);
        true
    }

    /// A session watches nothing any more.
    pub fn remove_session(&mut self, conn: ConnId) {
        let Some(watch) = self.by_session.remove(&conn) else { return };
        self.leaving.push(watch);
        if self.leaving.len() == 1 {
            self.step(LEAVE_AT_ONCE);
        }
    }

    /// Whether `step` has work to do.
    pub fn has_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Gives up so many keys of watches that are over.
    pub fn step(&mut self, budget: usize) {
        for _ in 0..budget {
            let Some(watch) = self.leaving.last_mut() else { return };
            let (number, Some((db, key))) = (watch.number, watch.pop()) else {
                self.leaving.pop();
                continue;
            };
            let Some(keys) = self.dbs.get_mut(&db) else { continue };
            if let Some(watchers) = keys.get_mut(&key) {
                watchers.retain(|w| w.number != number);
                if watchers.is_empty() {
                    keys.remove(&key);
                }
            }
            if keys.is_empty() {
                self.dbs.remove(&db);
            }
        }
    }

    /// The sessions to which a change of this key matters. `vanished`: it went by itself, expired or evicted.
    pub fn watchers(&self, db: DbIndex, key: &[u8], vanished: bool) -> impl Iterator<Item = ConnId> + '_ {
        let watchers = self.dbs.get(&db).and_then(|keys| keys.get(key)).map_or(&[][..], |w| &w[..]);
        let matters = move |w: &&Watcher| !(vanished && w.was_expired) && w.is_live(&self.by_session);
        watchers.iter().filter(matters).map(|w| w.conn)
    }

    /// Whether a session watches a key whose time has come since it was watched.
    pub fn any_expired(&self, conn: ConnId, is_expired: impl Fn(DbIndex, &[u8]) -> bool) -> bool {
        let names = self.by_session.get(&conn).into_iter().flat_map(|watch| watch.names.iter().flatten());
        names.into_iter().any(|(db, key)| is_expired(*db, key) && self.watchers(*db, key, true).any(|w| w == conn))
    }

    /// A database (or all) is about to be emptied or exchanged. `look` tells what is at a key now and what will be
    /// there; the answer is the sessions to which that is a change.
    pub fn replaced(
        &mut self,
        which: Option<DbIndex>,
        look: impl Fn(DbIndex, &[u8]) -> (Presence, Presence),
    ) -> Vec<ConnId> {
        let mut broken = Vec::new();
        for (db, keys) in self.dbs.iter_mut().filter(|(db, _)| which.is_none_or(|w| w == **db)) {
            for (key, watchers) in keys {
                let (before, after) = look(*db, key);
                if before == Presence::Missing && after == Presence::Missing {
                    continue;
                }
                for watcher in watchers.iter_mut().filter(|w| w.is_live(&self.by_session)) {
                    if watcher.sees_change(before, after) {
                        broken.push(watcher.conn);
                    }
                }
            }
        }
        broken
    }
}

impl Watcher {
    /// Whether its watch is not over.
    fn is_live(&self, by_session: &HashMap<ConnId, Watch>) -> bool {
        by_session.get(&self.conn).is_some_and(|watch| watch.number == self.number)
    }

    /// Whether such a replacement is a change; a key that is dead before and after is none.
    fn sees_change(&mut self, before: Presence, after: Presence) -> bool {
        match (self.was_expired, before, after) {
            (true, _, Presence::Live) => true,
            (true, _, after) => {
                self.was_expired = after == Presence::Expired;
                false
            }
            (false, Presence::Missing, Presence::Expired) => {
                self.was_expired = true;
                false
            }
            (false, _, _) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Presence::{Expired, Live, Missing};

    const DB: DbIndex = DbIndex(0);

    #[test]
    fn a_key_leads_to_its_watchers_until_they_leave() {
        let mut watches = Watches::default();
        assert!(watches.add(ConnId(1), DB, b"k", false));
        assert!(!watches.add(ConnId(1), DB, b"k", false));
        assert!(watches.add(ConnId(2), DB, b"k", true));
        let seen = |w: &Watches, vanished| w.watchers(DB, b"k", vanished).collect::<Vec<_>>();
        assert_eq!(seen(&watches, false), [ConnId(1), ConnId(2)]);
        assert_eq!(seen(&watches, true), [ConnId(1)]);
        assert_eq!(watches.watchers(DbIndex(1), b"k", false).count(), 0);
        assert!(watches.any_expired(ConnId(1), |_, _| true));
        assert!(!watches.any_expired(ConnId(2), |_, _| true));
        watches.remove_session(ConnId(1));
        watches.remove_session(ConnId(2));
        assert!(watches.is_empty() && watches.keys() == 0);
    }

    /// What a flush or swap means to a watcher of each kind.
    fn is_broken(was_expired: bool, before: Presence, after: Presence) -> bool {
        let mut watches = Watches::default();
        watches.add(ConnId(1), DB, b"k", was_expired);
        watches.add(ConnId(2), DbIndex(1), b"k", false);
        !watches.replaced(Some(DB), |_, _| (before, after)).is_empty()
    }

    #[test]
    fn only_what_was_alive_or_becomes_alive_is_a_change() {
        assert!(is_broken(false, Live, Missing) && is_broken(false, Live, Live) && is_broken(false, Missing, Live));
        assert!(is_broken(false, Expired, Missing) && is_broken(false, Live, Expired));
        assert!(!is_broken(false, Missing, Missing) && !is_broken(false, Missing, Expired));
        assert!(!is_broken(true, Expired, Missing) && !is_broken(true, Expired, Expired));
        assert!(is_broken(true, Expired, Live));
    }

    #[test]
    fn a_stale_key_that_went_is_an_ordinary_missing_key() {
        let mut watches = Watches::default();
        watches.add(ConnId(1), DB, b"k", true);
        assert!(watches.replaced(None, |_, _| (Expired, Missing)).is_empty());
        assert_eq!(watches.watchers(DB, b"k", true).count(), 1);
    }

    #[test]
    fn a_watch_of_very_many_keys_is_over_at_once_and_cleared_away_in_steps() {
        let mut watches = Watches::default();
        let name = |n: usize| format!("key:{n}").into_bytes();
        let all = LEAVE_AT_ONCE + 3 * CHUNK;
        (0..all).for_each(|n| assert!(watches.add(ConnId(1), DB, &name(n), false)));
        watches.add(ConnId(2), DB, &name(7), false);
        watches.remove_session(ConnId(1));
        assert!(watches.has_leaving());
        assert!((0..all).all(|n| watches.watchers(DB, &name(n), false).all(|conn| conn == ConnId(2))));
        // The same client begins anew with a key that its last watch had.
        assert!(watches.add(ConnId(1), DB, &name(7), false));
        assert!(!watches.add(ConnId(1), DB, &name(7), false));
        assert_eq!(watches.replaced(None, |_, _| (Live, Missing)), [ConnId(2), ConnId(1)]);
        let mut steps = 0;
        while watches.has_leaving() {
            watches.step(100);
            steps += 1;
        }
        assert!(steps >= 30, "{steps} steps");
        assert_eq!((watches.keys(), watches.watchers(DB, &name(7), false).count()), (1, 2));
    }
}
