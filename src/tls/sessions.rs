//! Sessions that clients may resume. Invariant: at most so many are kept, and none is given out after its time.

use crate::base::clock::Clock;
use rustls::server::StoresServerSessions;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The store of one configuration: another one resumes nothing of it.
pub(super) struct Sessions {
    /// Most that are kept; 0 for no bound.
    most: usize,
    lifetime_ms: u64,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Until when, and the session.
    by_key: HashMap<Vec<u8>, (u64, Vec<u8>)>,
    /// Keys in the order in which they came; those that were taken out may still be in it.
    order: VecDeque<(u64, Vec<u8>)>,
}

impl Sessions {
    pub(super) fn new(most: u32, lifetime_secs: u32) -> Sessions {
        Sessions {
            most: most as usize,
            lifetime_ms: u64::from(lifetime_secs) * 1000,
            clock: Clock::default(),
            kept: Mutex::default(),
        }
    }

    fn now_ms(&self) -> u64 {
        self.clock.read().mono_ms()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Whatever a panic left is whole: each change is a single call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_at(&self, now_ms: u64, key: Vec<u8>, session: Vec<u8>) {
        let mut kept = self.kept();
        let until_ms = now_ms + self.lifetime_ms;
        while let Some((until, _)) = kept.order.front() {
            if *until > now_ms && (self.most == 0 || kept.order.len() < self.most) {
                break;
            }
            if let Some((until, key)) = kept.order.pop_front() {
                // The same key may have come again since.
                if kept.by_key.get(&key).is_some_and(|(kept_until, _)| *kept_until == until) {
                    kept.by_key.remove(&key);
                }
            }
        }
        kept.order.push_back((until_ms, key.clone()));
        kept.by_key.insert(key, (until_ms, session));
    }

    fn get_at(&self, now_ms: u64, key: &[u8]) -> Option<Vec<u8>> {
        self.kept().by_key.get(key).filter(|(until, _)| *until > now_ms).map(|(_, session)| session.clone())
    }

    fn take_at(&self, now_ms: u64, key: &[u8]) -> Option<Vec<u8>> {
        self.kept().by_key.remove(key).filter(|(until, _)| *until > now_ms).map(|(_, session)| session)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("most", &self.most).finish_non_exhaustive()
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, session: Vec<u8>) -> bool {
        self.put_at(self.now_ms(), key, session);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.get_at(self.now_ms(), key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.take_at(self.now_ms(), key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    #[test]
    fn the_oldest_go_first_and_none_outlives_its_time() {
        let sessions = Sessions::new(3, 10);
        for n in 0..5 {
            sessions.put_at(u64::from(n), key(n), vec![n as u8]);
        }
        assert_eq!(
            (0..5).map(|n| sessions.get_at(5, &key(n)).is_some()).collect::<Vec<_>>(),
            [false, false, true, true, true]
        );
        assert_eq!(sessions.take_at(5, &key(3)), Some(vec![3]));
        assert_eq!(sessions.take_at(5, &key(3)), None, "it is taken once");
        assert_eq!(sessions.get_at(10_003, &key(2)), None);
        sessions.put_at(20_000, key(9), vec![9]);
        let kept = sessions.kept();
        assert_eq!((kept.by_key.len(), kept.order.len()), (1, 1));
    }

    #[test]
    fn a_store_without_bound_still_forgets_by_time() {
        let sessions = Sessions::new(0, 1);
        (0..1000).for_each(|n| sessions.put_at(u64::from(n), key(n), Vec::new()));
        assert_eq!(sessions.kept().by_key.len(), 1000, "each has its own key");
        sessions.put_at(5_000, key(0), Vec::new());
        assert_eq!(sessions.kept().by_key.len(), 1);
    }
}
