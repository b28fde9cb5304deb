//! What happens by time: keys whose deadline has come, silent clients, clients over their limits, pauses that end, and
//! the orderly end of the server.

use super::Server;
use crate::base::clock::Now;
use crate::command::Shutdown;
use crate::keyspace::expire;
use crate::session::{ConnId, mode};
use crate::sys::alloc;
use std::time::Duration;

/// Distance of the slow checks, milliseconds.
const TICK_MS: u64 = 100;
/// How long an ending server waits for clients to take their last replies, milliseconds.
const FAREWELL_MS: u64 = 2_000;
/// Longest step of active expiry within one turn, microseconds.
const EXPIRE_STEP_US: u64 = 300;

/// When what is due.
pub(super) struct Cron {
    next_tick_ms: u64,
    /// Where the walk over the clients goes on.
    next_client: usize,
}

impl Cron {
    pub(super) fn new(now: Now) -> Cron {
        Cron { next_tick_ms: now.mono_ms() + TICK_MS, next_client: 0 }
    }
}

/// The server is ending.
pub(super) struct Ending {
    until_ms: u64,
}

impl Server {
    /// How long the loop may sleep.
    pub(super) fn next_timer(&self, now: Now) -> Option<Duration> {
        let tick = self.cron.next_tick_ms.saturating_sub(now.mono_ms());
        let mut wait_ms = tick;
        if self.keyspace.book.active_expire {
            if let Some(due) = expire::next_due_ms(&self.keyspace) {
                wait_ms = wait_ms.min(due.saturating_sub(now.unix_ms.0).max(0) as u64);
            }
        }
        if let Some((until, _)) = self.facts.pause {
            wait_ms = wait_ms.min(until.saturating_sub(now.unix_ms.0).max(0) as u64);
        }
        Some(Duration::from_millis(wait_ms))
    }

    /// Does what is due, in bounded steps.
    pub(super) fn run_timers(&mut self, now: Now) {
        if self.facts.pause.is_some_and(|(until, _)| until <= now.unix_ms.0) {
            self.facts.pause = None;
        }
        if self.facts.pause.is_none() && !self.paused.is_empty() {
            self.resume_paused(now);
        }
        if self.keyspace.book.active_expire && !self.facts.debug.cron_paused {
            expire::step(&mut self.keyspace, now, EXPIRE_STEP_US);
        }
        if now.mono_ms() < self.cron.next_tick_ms {
            return;
        }
        self.cron.next_tick_ms = now.mono_ms() + TICK_MS;
        if self.facts.debug.cron_paused {
            return;
        }
        let used = alloc::used_bytes() as u64;
        self.stats.totals.peak_used_bytes = self.stats.totals.peak_used_bytes.max(used);
        self.check_clients(now);
    }

    /// Closes clients that were silent too long or let too many replies pile up.
    fn check_clients(&mut self, now: Now) {
        let timeout_ms = u64::from(self.config.timeout) * 1000;
        let mut leaving: Vec<ConnId> = Vec::new();
        let limit = self.config.client_output_buffer_limit[0];
        for session in self.sessions.iter_mut() {
            let idle_ms = now.mono_ms().saturating_sub(session.active.mono_ms());
            if timeout_ms > 0 && idle_ms > timeout_ms && !session.is(mode::MONITOR | mode::BLOCKED) {
                log::debug!("Closing idle client");
                leaving.push(session.conn);
            }
            if session.outbox.is_empty() {
                continue;
            }
            let pending = session.outbox.len() as u64;
            let over_hard = limit.hard_bytes > 0 && pending > limit.hard_bytes;
            let over_soft = limit.soft_bytes > 0 && pending > limit.soft_bytes;
            let since = if over_soft { *session.over_soft_since_ms.get_or_insert(now.mono_ms()) } else { now.mono_ms() };
            if !over_soft {
                session.over_soft_since_ms = None;
            }
            if over_hard || (over_soft && now.mono_ms() - since > u64::from(limit.soft_seconds) * 1000) {
                log::warn!("Client {} scheduled to be closed ASAP for overcoming of output buffer limits.", session.peer);
                self.stats.totals.output_limit_disconnections += 1;
                leaving.push(session.conn);
            }
        }
        for conn in leaving {
            self.close_soon(conn);
        }
        self.cron.next_client = 0;
    }

    /// A signal: SIGTERM and SIGINT end the server in order.
    pub(super) fn signalled(&mut self, signal: i32) {
        let name = if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" };
        log::warn!("Received {name} scheduling shutdown...");
        self.begin_shutdown(Shutdown::default());
    }

    /// Ends the server: no new clients, last replies, then the loop stops.
    pub(super) fn begin_shutdown(&mut self, how: Shutdown) {
        if self.ending.is_none() {
            log::warn!("User requested shutdown...");
            let wait = if how.now { 0 } else { FAREWELL_MS };
            self.ending = Some(Ending { until_ms: self.cron.next_tick_ms + wait });
        }
    }

    /// Whether the end has come: all replies are with the kernel, or waited for long enough.
    pub(super) fn has_ended(&self) -> bool {
        let Some(ending) = &self.ending else { return false };
        self.cron.next_tick_ms > ending.until_ms + TICK_MS || self.sessions.iter().all(|s| s.outbox.is_empty())
    }
}
