//! Keys that somebody wants to look at again at a certain time, though nothing may happen to them until then: who waits to
//! claim a stream's entries waits for these to be idle for long enough. Knows no client. Invariant: a key has one alarm at
//! most, the soonest that was asked for.

use super::key::DbIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The alarms.
#[derive(Default)]
pub struct Alarms {
    by_time: BTreeSet<(u64, DbIndex, Arc<[u8]>)>,
    by_key: BTreeMap<(DbIndex, Arc<[u8]>), u64>,
}

impl Alarms {
    /// A key is to be looked at again at `at_ms` (monotonic milliseconds), unless it will be sooner.
    pub fn set(&mut self, at_ms: u64, db: DbIndex, key: &[u8]) {
        let key: Arc<[u8]> = key.into();
        if let Some(before) = self.by_key.get(&(db, key.clone())).copied() {
            if before <= at_ms {
                return;
            }
            self.by_time.remove(&(before, db, key.clone()));
        }
        self.by_key.insert((db, key.clone()), at_ms);
        self.by_time.insert((at_ms, db, key));
    }

    /// When the first alarm is.
    pub fn next_ms(&self) -> Option<u64> {
        self.by_time.first().map(|(at, ..)| *at)
    }

    /// A key whose time has come.
    pub fn due(&mut self, now_ms: u64) -> Option<(DbIndex, Arc<[u8]>)> {
        if self.next_ms()? > now_ms {
            return None;
        }
        let (_, db, key) = self.by_time.pop_first()?;
        self.by_key.remove(&(db, key.clone()));
        Some((db, key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_rings_once_and_at_its_soonest_time() {
        let mut alarms = Alarms::default();
        alarms.set(50, DbIndex(0), b"a");
        alarms.set(70, DbIndex(0), b"a");
        alarms.set(30, DbIndex(1), b"a");
        alarms.set(20, DbIndex(0), b"a");
        assert_eq!((alarms.due(19), alarms.next_ms()), (None, Some(20)));
        assert_eq!(alarms.due(60), Some((DbIndex(0), b"a"[..].into())));
        assert_eq!(alarms.due(60), Some((DbIndex(1), b"a"[..].into())));
        assert_eq!((alarms.due(99), alarms.next_ms()), (None, None));
    }
}
