//! WATCH: which sessions want to know that a key changed. Invariant: a session is listed once under each key it watches.

use crate::keyspace::DbIndex;
use crate::session::ConnId;
use std::collections::HashMap;

/// A watched key: what it is and whether it had expired when it was watched.
#[derive(Clone, Copy)]
struct Watcher {
    conn: ConnId,
    was_expired: bool,
}

/// Watched keys.
#[derive(Default)]
pub struct Watches {
    keys: HashMap<(DbIndex, Box<[u8]>), Vec<Watcher>>,
    by_session: HashMap<ConnId, Vec<(DbIndex, Box<[u8]>)>>,
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
        self.keys.len()
    }

    /// Adds a key to what a session watches; false if it did already. `was_expired`: the key's time had come and it was
    /// still there, so that its going is no change.
    pub fn add(&mut self, conn: ConnId, db: DbIndex, key: &[u8], was_expired: bool) -> bool {
        let watchers = self.keys.entry((db, key.into())).or_default();
        if watchers.iter().any(|w| w.conn == conn) {
            return false;
        }
        watchers.push(Watcher { conn, was_expired });
        self.by_session.entry(conn).or_default().push((db, key.into()));
        true
    }

    /// A session watches nothing any more.
    pub fn remove_session(&mut self, conn: ConnId) {
        for name in self.by_session.remove(&conn).unwrap_or_default() {
            if let Some(watchers) = self.keys.get_mut(&name) {
                watchers.retain(|w| w.conn != conn);
                if watchers.is_empty() {
                    self.keys.remove(&name);
                }
            }
        }
    }

    /// The sessions that watch this key. `expired`: it went because its time had come.
    pub fn watchers(&self, db: DbIndex, key: &[u8], expired: bool) -> impl Iterator<Item = ConnId> + '_ {
        let watchers = self.keys.get(&(db, key.into())).map_or(&[][..], |w| &w[..]);
        watchers.iter().filter(move |w| !(expired && w.was_expired)).map(|w| w.conn)
    }

    /// All keys that a session watches.
    pub fn keys_of(&self, conn: ConnId) -> &[(DbIndex, Box<[u8]>)] {
        self.by_session.get(&conn).map_or(&[], |keys| keys)
    }

    /// All watched keys of a database (or of all) with their watchers.
    pub fn in_db(&self, db: Option<DbIndex>) -> impl Iterator<Item = (&(DbIndex, Box<[u8]>), ConnId)> {
        self.keys
            .iter()
            .filter(move |((d, _), _)| db.is_none_or(|db| db == *d))
            .flat_map(|(name, watchers)| watchers.iter().map(move |w| (name, w.conn)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_leads_to_its_watchers_until_they_leave() {
        let mut watches = Watches::default();
        assert!(watches.add(ConnId(1), DbIndex(0), b"k", false));
        assert!(!watches.add(ConnId(1), DbIndex(0), b"k", false));
        assert!(watches.add(ConnId(2), DbIndex(0), b"k", true));
        let seen = |w: &Watches, expired| w.watchers(DbIndex(0), b"k", expired).collect::<Vec<_>>();
        assert_eq!(seen(&watches, false), [ConnId(1), ConnId(2)]);
        assert_eq!(seen(&watches, true), [ConnId(1)]);
        assert_eq!(watches.watchers(DbIndex(1), b"k", false).count(), 0);
        watches.remove_session(ConnId(1));
        watches.remove_session(ConnId(2));
        assert!(watches.is_empty() && watches.keys() == 0);
    }
}
