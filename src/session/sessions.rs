//! All clients, by connection.

use super::session::{ConnId, Session};

/// The clients. The one whose command runs is taken out meanwhile, so that a handler can see it and all others at once.
#[derive(Default)]
pub struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    count: usize,
    last_id: u64,
    /// Connections whose outbox got something outside their own command.
    pub touched: Vec<ConnId>,
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
        let session = self.slots.get_mut(conn.0)?.take()?;
        self.count -= 1;
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

    /// A client to whose outbox something is being added from outside: it will be written this turn.
    pub fn send_to(&mut self, conn: ConnId) -> Option<&mut Session> {
        let session = self.slots.get_mut(conn.0)?.as_deref_mut()?;
        if !session.queued_for_write {
            session.queued_for_write = true;
            self.touched.push(conn);
        }
        Some(session)
    }

    /// All clients but the one lent out.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|s| s.as_deref())
    }

    /// All clients but the one lent out.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().filter_map(|s| s.as_deref_mut())
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
