//! What happens by time: keys whose deadline has come, silent clients, clients over their limits, pauses that end, and
//! the orderly end of the server.

use super::Server;
use crate::base::clock::Now;
use crate::command::persistence;
use crate::command::{Mail, Shutdown, close_vanished, deliver_events, forget_surplus, make_room};
use crate::keyspace::evict::Room;
use crate::keyspace::expire;
use crate::sys::{alloc, process, ticks};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Distance of the slow checks, milliseconds.
const TICK_MS: u64 = 100;
/// How long an ending server waits for clients to take their last replies, milliseconds.
const FAREWELL_MS: u64 = 2_000;
/// Longest step of active expiry within one turn, microseconds.
const EXPIRE_STEP_US: u64 = 300;

/// Distance of the steps of an eviction that goes on between commands, milliseconds.
const EVICTION_PAUSE_MS: u64 = 1;

/// Subscriptions or watched keys of a client that left, or keys that nobody caches any more, given up in one turn.
const LEAVE_STEP: usize = 1000;

/// When what is due.
pub(super) struct Cron {
    next_tick_ms: u64,
}

impl Cron {
    pub(super) fn new(now: Now) -> Cron {
        Cron { next_tick_ms: now.mono_ms() + TICK_MS }
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
        if self.is_loading() {
            return Some(Duration::ZERO);
        }
        if self.append_log.as_ref().is_some_and(|log| log.is_gathering()) {
            return Some(Duration::ZERO);
        }
        if let Some(wait) = self.snapshot_wait {
            return Some(wait);
        }
        let mut wait_ms = tick;
        if self.expires_now() {
            if let Some(due) = expire::next_due_ms(&self.keyspace) {
                wait_ms = wait_ms.min(due.saturating_sub(now.unix_ms.0).max(0) as u64);
            }
        }
        if let Some(due) = self.hub.waits.next_deadline_ms() {
            wait_ms = wait_ms.min(due.saturating_sub(now.mono_ms()));
        }
        if let Some(due) = self.keyspace.book.awaited.alarms.next_ms() {
            wait_ms = wait_ms.min(due.saturating_sub(now.mono_ms()));
        }
        if self.facts.evicting {
            wait_ms = wait_ms.min(EVICTION_PAUSE_MS);
        }
        if self.hub.channels.has_leaving() || self.hub.watches.has_leaving() || self.hub.tracking.has_stale() {
            return Some(Duration::ZERO);
        }
        if let Some((until, _)) = self.facts.pause {
            wait_ms = wait_ms.min(until.saturating_sub(now.unix_ms.0).max(0) as u64);
        }
        Some(Duration::from_millis(wait_ms))
    }

    /// Whether keys are removed because their time has come. While writes are paused nothing may change.
    fn expires_now(&self) -> bool {
        self.keyspace.book.active_expire
            && !self.facts.debug.cron_paused
            && self.facts.pause.is_none()
            && !self.is_loading()
    }

    /// Does what is due, in bounded steps.
    pub(super) fn run_timers(&mut self, now: Now) {
        if self.facts.pause.is_some_and(|(until, _)| until <= now.unix_ms.0) {
            self.facts.pause = None;
        }
        if self.facts.pause.is_none() && !self.paused.is_empty() {
            self.resume_paused(now);
        }
        self.tidy_hub();
        self.time_out_waits(now);
        if self.expires_now() {
            self.expire_step(now);
        }
        if self.facts.evicting && self.facts.pause.is_none() {
            self.evict_step(now);
        }
        if now.mono_ms() < self.cron.next_tick_ms {
            return;
        }
        self.cron.next_tick_ms = now.mono_ms() + TICK_MS;
        if self.facts.debug.cron_paused {
            return;
        }
        self.heed_signal(now);
        let started = ticks::now();
        let used = alloc::used_bytes() as u64;
        self.stats.totals.peak_used_bytes = self.stats.totals.peak_used_bytes.max(used);
        self.stats.sample(now.mono_ms());
        self.check_clients(now);
        self.snapshot_cron(now);
        self.log_cron(now);
        self.tls_cron(now);
        self.scripts.tidy();
        self.facts.links.expire(now);
        self.stats.totals.migrate_links = self.facts.links.len() as u64;
        let most = self.config.tracking_table_max_keys as usize;
        let mut mail = Mail { sessions: &mut self.sessions, running: None };
        forget_surplus(&mut self.hub, most, &mut || self.rng.next_u64(), &mut mail);
        if self.config.watchdog_period > 0 {
            process::set_alarm(self.config.watchdog_period);
        }
        self.stats.totals.cron_ticks += ticks::now().wrapping_sub(started);
    }

    /// What is left of listeners that went is cleared away, a part in each turn; and what is remembered for caches is cut.
    fn tidy_hub(&mut self) {
        self.hub.channels.step(LEAVE_STEP);
        self.hub.watches.step(LEAVE_STEP);
        self.hub.tracking.step(LEAVE_STEP);
    }

    /// Goes on with an eviction that a command began.
    #[cold]
    fn evict_step(&mut self, now: Now) {
        let over = self.config.maxmemory > 0;
        self.facts.evicting = over && make_room(&self.config, &mut self.keyspace, &mut self.stats, now) == Room::Coming;
        self.tell_of_removals();
    }

    /// Keys that went by themselves are told of, and become effects.
    fn tell_of_removals(&mut self) {
        let book = &mut self.keyspace.book;
        deliver_events(&mut self.hub, &mut self.sessions, None, book);
        close_vanished(&mut self.effects, &mut self.journal, book);
    }

    fn expire_step(&mut self, now: Now) {
        let started = ticks::now();
        expire::step(&mut self.keyspace, now, EXPIRE_STEP_US);
        self.tell_of_removals();
        let took = ticks::now().wrapping_sub(started);
        self.stats.totals.expire_ticks += took;
        if took >= self.stats.notable_ticks {
            self.stats.latency.record("expire-cycle", now.unix_secs(), ticks::to_us(took) / 1000);
        }
    }

    /// A signal: SIGTERM and SIGINT end the server as `shutdown-on-sigterm` and `shutdown-on-sigint` say, with the next tick; a
    /// second SIGINT waits for nothing any more.
    pub(super) fn signalled(&mut self, signal: i32, now: Now) {
        let name = if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" };
        if self.is_loading() {
            log::warn!("Received {name} during loading, exiting now.");
            self.end_load();
            self.ending = Some(Ending { until_ms: 0 });
            return;
        }
        if (self.ending.is_some() || self.facts.end_signal.is_some()) && signal == libc::SIGINT {
            self.insist();
            return;
        }
        log::warn!("Received {name} scheduling shutdown...");
        // Until the next tick SHUTDOWN ABORT can take it back.
        self.facts.end_signal = Some(name);
        self.cron.next_tick_ms = self.cron.next_tick_ms.min(now.mono_ms());
    }

    fn insist(&mut self) {
        log::warn!("You insist... exiting now.");
        self.facts.end_signal = None;
        self.ending = Some(Ending { until_ms: 0 });
    }

    /// What a signal asked for is done, unless somebody has taken it back.
    fn heed_signal(&mut self, now: Now) {
        let Some(name) = self.facts.end_signal.take() else { return };
        let is_int = name == "SIGINT";
        let flags = if is_int { self.config.shutdown_on_sigint } else { self.config.shutdown_on_sigterm };
        let save = if flags.save { Some(true) } else { flags.nosave.then_some(false) };
        let how = Shutdown { save, now: flags.now, force: flags.force };
        if self.stats.persistence.log.must_wait(how.force) {
            log::warn!(
                "{name} received but errors trying to shut down the server, check the logs for more information"
            );
            return;
        }
        self.facts.insisted.store(false, Ordering::Relaxed);
        let saved = self.ending.is_some() || !how.saves(&self.config) || self.save_snapshot(now).is_ok();
        if !saved && self.facts.insisted.load(Ordering::Relaxed) {
            self.insist();
            return;
        }
        if !saved && !how.force {
            log::warn!("Error trying to save the DB, can't exit.");
            log::warn!(
                "{name} received but errors trying to shut down the server, check the logs for more information"
            );
            return;
        }
        self.begin_shutdown(how);
    }

    /// Ends the server: no new clients, last replies, then the loop stops.
    pub(super) fn begin_shutdown(&mut self, how: Shutdown) {
        self.end_load();
        persistence::end_save_for_good(&mut self.keyspace, &mut self.stats, &mut self.facts);
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
