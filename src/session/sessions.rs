//! All clients, by connection.

use super::state::{ConnId, Owed, Session, mode};
use crate::acl::User;
use crate::resp::Outbox;
use std::collections::BTreeSet;

/// The clients. The one whose command runs is taken out meanwhile, so that a handler can see it and all others at once.
#[derive(Default)]
pub struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    count: usize,
    last_id: u64,
    /// Whether clients are ranked by their memory: while there is a limit for all of them together.
    ranked: bool,
    /// Clients by their memory, those that may not be evicted left out; kept while they are ranked.
    by_bytes: BTreeSet<(usize, ConnId)>,
    /// The sum of it.
    counted_bytes: usize,
    /// Connections whose outbox got something outside their own command.
    pub touched: Vec<ConnId>,
    /// What the client whose command runs is to be told beside its reply, after it.
    pub late: Outbox,
    /// Bytes that may wait for a subscriber; one with more goes when the turn ends, and is sent nothing more till then.
    pub push_limit_bytes: Option<usize>,
}

impl Sessions {
    /// A number for a new client.
    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a client at its connection's place.
    pub fn insert(&mut self, session: Session) {
        let index = session.conn.0;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Box::new(session));
        self.count += 1;
    }

    /// Removes a client.
    pub fn remove(&mut self, conn: ConnId) -> Option<Box<Session>> {
        let mut session = self.slots.get_mut(conn.0)?.take()?;
        self.count -= 1;
        self.count_bytes(conn, session.counted_bytes, 0);
        session.charge(0);
        Some(session)
    }

    /// Takes the client whose command is about to run. It still counts.
    #[inline]
    pub fn lend(&mut self, conn: ConnId) -> Option<Box<Session>> {
        self.slots.get_mut(conn.0)?.take()
    }

    /// Puts it back.
    #[inline]
    pub fn give_back(&mut self, session: Box<Session>) {
        let index = session.conn.0;
        self.slots[index] = Some(session);
    }

    /// A client that is not lent out.
    #[inline]
    pub fn get(&self, conn: ConnId) -> Option<&Session> {
        self.slots.get(conn.0)?.as_deref()
    }

    /// A client that is not lent out.
    #[inline]
    pub fn get_mut(&mut self, conn: ConnId) -> Option<&mut Session> {
        self.slots.get_mut(conn.0)?.as_deref_mut()
    }

    /// A client to whose outbox something is being added from outside: it will be written to when there is time.
    pub fn send_to(&mut self, conn: ConnId) -> Option<&mut Session> {
        let session = self.slots.get_mut(conn.0)?.as_deref_mut()?;
        if session.owed == Owed::Nothing {
            session.owed = Owed::News;
            self.touched.push(conn);
        }
        Some(session)
    }

    /// A client to which something is to be told that it did not ask for, unless too much of that waits already.
    #[inline]
    pub fn push_to(&mut self, conn: ConnId) -> Option<&mut Session> {
        let limit_bytes = self.push_limit_bytes;
        let session = self.send_to(conn)?;
        if session.is(mode::CLOSE_NOW) {
            return None;
        }
        let is_over = session.is(mode::SUBSCRIBED) && limit_bytes.is_some_and(|limit| session.outbox.len() > limit);
        (!is_over).then_some(session)
    }

    /// All clients but the one lent out.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|s| s.as_deref())
    }

    /// All clients but the one lent out.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().filter_map(|s| s.as_deref_mut())
    }

    /// The clients of a part of all places (`places` of them from `from` on), and where the next part begins: a walk
    /// over all clients in bounded steps. 0 when it has come around.
    pub fn part(&mut self, from: usize, places: usize) -> (usize, impl Iterator<Item = &mut Session>) {
        let end = from.saturating_add(places).min(self.slots.len());
        let next = if end == self.slots.len() { 0 } else { end };
        let from = from.min(end);
        (next, self.slots[from..end].iter_mut().filter_map(|s| s.as_deref_mut()))
    }

    /// Places for clients, used or not.
    pub fn places(&self) -> usize {
        self.slots.len()
    }

    /// Brings the account of memory up to date for one client that is not lent out.
    pub fn account(&mut self, conn: ConnId) {
        let ranked = self.ranked;
        let Some(session) = self.get_mut(conn) else { return };
        session.recharge();
        let is_out = !ranked || session.is(mode::NO_EVICT | mode::CLOSE_NOW);
        let new = if is_out { 0 } else { session.alloc_bytes() };
        let old = std::mem::replace(&mut session.counted_bytes, new);
        self.count_bytes(conn, old, new);
    }

    fn count_bytes(&mut self, conn: ConnId, old: usize, new: usize) {
        if old == new {
            return;
        }
        if old > 0 {
            self.by_bytes.remove(&(old, conn));
        }
        if new > 0 {
            self.by_bytes.insert((new, conn));
        }
        self.counted_bytes = self.counted_bytes - old + new;
    }

    /// Accounts for the memory of all clients anew; whether they are ranked by it from now on.
    pub fn account_all(&mut self, ranked: bool) {
        self.ranked = ranked;
        self.by_bytes.clear();
        self.counted_bytes = 0;
        for index in 0..self.slots.len() {
            let conn = ConnId(index);
            if let Some(session) = self.get_mut(conn) {
                session.counted_bytes = 0;
                self.account(conn);
            }
        }
    }

    /// Whether clients are ranked by their memory.
    pub fn is_ranked(&self) -> bool {
        self.ranked
    }

    /// The client of a user that holds most.
    pub fn largest_of(&self, user: &User) -> Option<ConnId> {
        let of_user = |session: &&Session| session.user.as_ref().is_some_and(|own| std::ptr::eq(&**own, user));
        let all = self.iter().filter(of_user).filter(|session| !session.is(mode::CLOSE_NOW));
        all.max_by_key(|session| session.held_bytes()).map(|session| session.conn)
    }

    /// Bytes of all clients that may be evicted, while they are accounted for.
    pub fn counted_bytes(&self) -> usize {
        self.counted_bytes
    }

    /// The client with the most memory among those that may be evicted.
    pub fn largest(&self) -> Option<ConnId> {
        self.by_bytes.last().map(|(_, conn)| *conn)
    }

    /// Number of clients, the lent one included.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no client.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Catalog;
    use crate::base::clock::Now;
    use std::rc::Rc;

    fn client(sessions: &mut Sessions, conn: usize, name_len: usize) {
        let mut session = Session::new(sessions.next_id(), ConnId(conn), Now::at_unix_ms(1));
        session.name = Some(vec![b'x'; name_len].into());
        sessions.insert(session);
        sessions.account(ConnId(conn));
    }

    #[test]
    fn the_account_of_memory_follows_the_clients() {
        let mut sessions = Sessions::default();
        sessions.account_all(true);
        for (conn, len) in [(0, 100), (3, 5000), (1, 700)] {
            client(&mut sessions, conn, len);
        }
        assert_eq!(sessions.counted_bytes(), sessions.iter().map(Session::alloc_bytes).sum::<usize>());
        assert_eq!(sessions.largest(), Some(ConnId(3)));
        sessions.get_mut(ConnId(3)).expect("inserted").mode |= mode::NO_EVICT;
        sessions.account(ConnId(3));
        assert_eq!(sessions.largest(), Some(ConnId(1)));
        sessions.remove(ConnId(1));
        assert_eq!(sessions.largest(), Some(ConnId(0)));
        sessions.account_all(false);
        assert_eq!((sessions.counted_bytes(), sessions.largest()), (0, None));
        sessions.account_all(true);
        assert_eq!(sessions.largest(), Some(ConnId(0)));
    }

    #[test]
    fn what_clients_hold_is_counted_to_the_user_they_are() {
        let catalog = Catalog::default();
        let bounded = |name: &[u8]| User::new(name, &catalog, false).with_words(&[b"memory=1mb"], &catalog, false);
        let [amy, bob] = [b"amy", b"bob"].map(|name| Rc::new(bounded(name).expect("a rule")));
        let mut sessions = Sessions::default();
        for (conn, len) in [(0, 100), (1, 5000), (2, 700)] {
            client(&mut sessions, conn, len);
            sessions.get_mut(ConnId(conn)).expect("inserted").become_user(&amy);
        }
        let sum = |sessions: &Sessions| sessions.iter().map(Session::held_bytes).sum::<usize>();
        assert_eq!((amy.held.bytes(), sessions.largest_of(&amy)), (sum(&sessions), Some(ConnId(1))));
        let big = sessions.get_mut(ConnId(1)).expect("inserted");
        big.outbox.extend(&[b'x'; 9_000]);
        sessions.account(ConnId(1));
        assert_eq!(amy.held.bytes(), sum(&sessions));
        let big = sessions.get_mut(ConnId(1)).expect("inserted");
        big.become_user(&bob);
        assert_eq!((bob.held.bytes(), big.held_bytes()), (big.held_bytes(), big.held_with_others(&bob, 0)));
        assert_eq!((amy.held.bytes() + bob.held.bytes(), sessions.largest_of(&amy)), (sum(&sessions), Some(ConnId(2))));
        let free = Rc::new(amy.with_words(&[b"memory=0"], &catalog, false).expect("a rule"));
        sessions.iter_mut().for_each(|session| session.become_user(&free));
        assert_eq!((amy.held.bytes(), bob.held.bytes()), (0, 0));
        sessions.iter_mut().for_each(|session| session.become_user(&amy));
        (0..3).for_each(|conn| drop(sessions.remove(ConnId(conn))));
        assert_eq!(amy.held.bytes(), 0);
    }

    #[test]
    fn a_walk_in_parts_sees_every_client_once_a_round() {
        let mut sessions = Sessions::default();
        for conn in [0, 2, 3, 7] {
            client(&mut sessions, conn, 1);
        }
        let (mut from, mut seen) = (0, Vec::new());
        loop {
            let (next, part) = sessions.part(from, 3);
            seen.extend(part.map(|s| s.conn.0));
            from = next;
            if from == 0 {
                break;
            }
        }
        assert_eq!(seen, [0, 2, 3, 7]);
    }
}
