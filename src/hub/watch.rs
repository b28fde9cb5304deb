//! WATCH: which sessions want to know that a key changed. Invariant: a session is listed once under each key it watches,
//! and each key under each session that watches it.

use crate::keyspace::DbIndex;
use crate::session::ConnId;
use std::collections::HashMap;

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
    /// The key's time had come when it was watched and nothing has changed since: that it goes is no change.
    was_expired: bool,
}

/// A watched key and its database.
type Name = (DbIndex, Box<[u8]>);
/// The watched keys of one database.
type Keys = HashMap<Box<[u8]>, Vec<Watcher>>;

/// Watched keys.
#[derive(Default)]
pub struct Watches {
    dbs: HashMap<DbIndex, Keys>,
    by_session: HashMap<ConnId, Vec<Name>>,
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
        self.dbs.values().map(HashMap::len).sum()
    }

    /// Adds a key to what a session watches; false if it did already. `was_expired`: the key's time had come and it was
    /// still there, so that its going is no change.
    pub fn add(&mut self, conn: ConnId, db: DbIndex, key: &[u8], was_expired: bool) -> bool {
        let watchers = self.dbs.entry(db).or_default().entry(key.into()).or_default();
        if watchers.iter().any(|w| w.conn == conn) {
            return false;
        }
        watchers.push(Watcher { conn, was_expired });
        self.by_session.entry(conn).or_default().push((db, key.into()));
        true
    }

    /// A session watches nothing any more.
    pub fn remove_session(&mut self, conn: ConnId) {
        for (db, key) in self.by_session.remove(&conn).unwrap_or_default() {
            let Some(keys) = self.dbs.get_mut(&db) else { continue };
            if let Some(watchers) = keys.get_mut(&key) {
                watchers.retain(|w| w.conn != conn);
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
        watchers.iter().filter(move |w| !(vanished && w.was_expired)).map(|w| w.conn)
    }

    /// Whether a session watches a key whose time has come since it was watched.
    pub fn any_expired(&self, conn: ConnId, is_expired: impl Fn(DbIndex, &[u8]) -> bool) -> bool {
        let names = self.by_session.get(&conn).map_or(&[][..], |names| &names[..]);
        names.iter().any(|(db, key)| self.watchers(*db, key, true).any(|w| w == conn) && is_expired(*db, key))
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
                for watcher in watchers {
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
}
