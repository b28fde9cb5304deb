//! Clients that wait for keys: served when a key is ready, in the order in which they began to wait; told when their time
//! is over; and given what they sent meanwhile.

use super::Server;
use crate::base::clock::Now;
use crate::command::{give_up_waiting, retry, time_out};
use crate::keyspace::{AwaitedId, Key};
use crate::session::ConnId;
use crate::sys::ticks;
use crate::types::type_of;

/// From here on a turn has lasted so long that keys may have expired in it.
const NOTABLE_US: u64 = 1000;

impl Server {
    /// Serves those who wait for keys that became ready, until none is: what is done for one may make another ready.
    pub(super) fn serve_ready(&mut self, now: Now) {
        // While a pause holds clients up, those who wait do so on.
        if self.serving_ready || self.facts.pause.is_some_and(|(until, _)| now.unix_ms.0 < until) {
            return;
        }
        self.serving_ready = true;
        let now = self.later(now);
        while self.keyspace.book.awaited.has_ready() {
            for key in self.keyspace.book.awaited.take_ready() {
                self.serve_line(key, now);
            }
        }
        self.serving_ready = false;
    }

    /// The moment, if what ran since the turn began took so long that it is another one.
    fn later(&self, now: Now) -> Now {
        let (of_turn, began) = self.turn;
        let us = ticks::to_us(ticks::now().wrapping_sub(began));
        if now != of_turn || us < NOTABLE_US { now } else { now.plus_us(us) }
    }

    /// Serves those who wait for a key, one after the other.
    fn serve_line(&mut self, key: AwaitedId, now: Now) {
        let mut turn = 0;
        while let Some((next, conn)) = self.hub.waits.next_at(key, turn) {
            turn = next;
            if self.is_worth_a_try(key, conn, now) {
                self.with_session(conn, now, retry);
            }
        }
    }

    /// Whether the client may find what it waits for.
    fn is_worth_a_try(&mut self, key: AwaitedId, conn: ConnId, now: Now) -> bool {
        let Some((db, name)) = self.keyspace.book.awaited.name(key) else { return false };
        let Some(blocked) = self.sessions.get(conn).and_then(|s| s.blocked.as_deref()) else { return false };
        let (want, also_gone) = (blocked.want, blocked.also_gone);
        let key = Key::new(self.keyspace.hasher(), name);
        let entry = self.keyspace.dbs[db.0 as usize].table.get(key.hash, key.bytes);
        let live = entry.filter(|entry| entry.deadline().is_none_or(|deadline| deadline > now.unix_ms.0));
        live.is_some_and(|entry| type_of(entry) == want) || also_gone
    }

    /// Has those tried again who asked for a time, and tells those whose time is over.
    pub(super) fn time_out_waits(&mut self, now: Now) {
        self.keyspace.book.awaited.ring(now.mono_ms());
        while let Some(conn) = self.hub.waits.due(now.mono_ms()) {
            self.with_session(conn, now, time_out);
        }
    }

    /// Serves what clients sent while they waited.
    pub(super) fn serve_resumed(&mut self, now: Now) {
        while !self.hub.waits.resumed.is_empty() {
            for conn in std::mem::take(&mut self.hub.waits.resumed) {
                self.serve_waiting(conn, now);
            }
        }
    }

    /// A connection that waited is gone.
    pub(super) fn forget_wait(&mut self, conn: ConnId) {
        give_up_waiting(conn, &mut self.sessions, &mut self.hub, &mut self.keyspace.book);
    }
}
