//! Clients that wait for keys, in the order in which they began, and until when. Invariant: a client is listed once under
//! each key that its session's `Blocked` names, and at most once under a deadline.

use crate::keyspace::AwaitedId;
use crate::session::ConnId;
use std::collections::BTreeSet;

/// The clients that wait.
#[derive(Default)]
pub struct Waits {
    by_key: BTreeSet<(AwaitedId, u64, ConnId)>,
    deadlines: BTreeSet<(u64, ConnId)>,
    last_turn: u64,
    clients: usize,
    /// Clients whose wait is over and who may have sent more meanwhile.
    pub resumed: Vec<ConnId>,
}

impl Waits {
    /// Whether nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients == 0
    }

    /// Number of clients that wait.
    pub fn len(&self) -> usize {
        self.clients
    }

    /// Number of clients that wait no longer than until some time.
    pub fn with_deadline(&self) -> usize {
        self.deadlines.len()
    }

    /// A client begins to wait for these keys; its place in the line. `deadline_ms`: monotonic milliseconds.
    pub fn add(&mut self, conn: ConnId, keys: &[AwaitedId], deadline_ms: Option<u64>) -> u64 {
        self.last_turn += 1;
        self.by_key.extend(keys.iter().map(|key| (*key, self.last_turn, conn)));
        self.deadlines.extend(deadline_ms.map(|at| (at, conn)));
        self.clients += 1;
        self.last_turn
    }

    /// A client's wait is over.
    pub fn remove(&mut self, conn: ConnId, turn: u64, keys: &[AwaitedId], deadline_ms: Option<u64>) {
        for key in keys {
            self.by_key.remove(&(*key, turn, conn));
        }
        if let Some(at) = deadline_ms {
            self.deadlines.remove(&(at, conn));
        }
        self.clients -= 1;
    }

    /// The next client in the line at a key, after the one whose place is `after`.
    pub fn next_at(&self, key: AwaitedId, after: u64) -> Option<(u64, ConnId)> {
        let from = (key, after + 1, ConnId(0));
        self.by_key.range(from..).next().filter(|(at, ..)| *at == key).map(|(_, turn, conn)| (*turn, *conn))
    }

    /// When the first deadline is, monotonic milliseconds.
    pub fn next_deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A client whose deadline has come.
    pub fn due(&self, now_ms: u64) -> Option<ConnId> {
        self.deadlines.first().filter(|(at, _)| *at <= now_ms).map(|(_, conn)| *conn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::Hasher;
    use crate::keyspace::{Awaited, DbIndex};

    #[test]
    fn the_line_at_a_key_is_in_the_order_of_waiting() {
        let mut awaited = Awaited::new(Hasher::seeded([1, 2, 3, 4]));
        let (a, b) = (awaited.acquire(DbIndex(0), b"a", false), awaited.acquire(DbIndex(0), b"b", false));
        let mut waits = Waits::default();
        let late = waits.add(ConnId(9), &[a, b], Some(50));
        let later = waits.add(ConnId(3), &[b], Some(20));
        assert_eq!((waits.next_at(a, 0), waits.next_at(a, late)), (Some((late, ConnId(9))), None));
        assert_eq!((waits.next_at(b, 0), waits.next_at(b, late)), (Some((late, ConnId(9))), Some((later, ConnId(3)))));
        assert_eq!((waits.due(19), waits.due(20), waits.next_deadline_ms()), (None, Some(ConnId(3)), Some(20)));
        waits.remove(ConnId(3), later, &[b], Some(20));
        waits.remove(ConnId(9), late, &[a, b], Some(50));
        assert!(waits.is_empty() && waits.next_deadline_ms().is_none() && waits.next_at(a, 0).is_none());
    }
}
