//! MONITOR: sessions that are shown every command.

use crate::session::ConnId;

/// The sessions that monitor.
#[derive(Default)]
pub struct Monitors {
    sessions: Vec<ConnId>,
}

impl Monitors {
    /// Whether nobody monitors.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Adds a session, once.
    pub fn add(&mut self, conn: ConnId) {
        if !self.sessions.contains(&conn) {
            self.sessions.push(conn);
        }
    }

    /// Removes a session.
    pub fn remove(&mut self, conn: ConnId) {
        self.sessions.retain(|c| *c != conn);
    }

    /// All of them, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.sessions.iter().copied()
    }
}
