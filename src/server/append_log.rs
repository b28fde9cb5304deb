//! The append-only log within the loop: at the end of a turn what happened goes to it, before any reply leaves that depends
//! on it. What waits for the disk does so on the log's thread.
//!
//! ```text
//! everysec, no   journal -> write (on the loop)                 replies leave; each second the thread syncs
//! always         journal -> thread: one write, one sync         replies of those who wrote are held till it is done;
//!                                                               what comes meanwhile gathers for the next one
//! a failure      journal gathers; the thread tries once a second to begin a new increment; writes are refused (MISCONF)
//! ```
//!
//! Invariant: under `always` no byte of a reply leaves before what its client wrote by then is on the disk.

use super::Server;
use super::commits::Commits;
use super::rewrite::Rewrite;
use crate::base::clock::Now;
use crate::config::AppendFsync;
use crate::persist::aof::{Job, Keeper, Log, News, Place};
use crate::session::{ConnId, Owed, mode};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;

/// Most room that is made for the next turn's bytes.
const MAX_ROOM_BYTES: usize = 256 * 1024;
/// Bytes that wait for a sync from which on it is not put off.
const SYNC_AT_BYTES: usize = 32 << 20;
/// Between two syncs, milliseconds.
const SYNC_EVERY_MS: u64 = 1000;
/// A sync that takes longer holds writes back, milliseconds,
const LATE_MS: u64 = 1000;
/// but not longer than this.
const POSTPONE_MS: u64 = 2000;
/// Between two attempts to begin anew after a failure.
const RETRY_MS: u64 = 1000;
/// Clients whose replies are held go, when the disk has failed for so long.
const HELD_MS: u64 = 1000;
/// Bytes that may gather while the disk is waited for; then the loop waits with it.
const GATHER_BYTES: u64 = 256 << 20;
/// Quiet time after which what has no checksum behind it gets one.
const QUIET_MS: u64 = 1000;

/// Replies that wait for the log to come to an offset.
struct Hold {
    offset: u64,
    /// Connection, client, and how many bytes it may be sent in all.
    clients: Vec<(ConnId, u64, u64)>,
}

/// The log of a running server.
pub(super) struct AppendLog {
    pub(super) keeper: Keeper,
    pub(super) place: Place,
    /// Room for the journal's next bytes.
    room: Vec<u8>,
    /// Offset in the journal up to which bytes were handed over.
    handed: u64,
    /// Jobs that hold the log, done one after the other: at most a commit and one behind it.
    jobs: u8,
    syncing_since_ms: Option<u64>,
    last_sync_ms: u64,
    postponed_since_ms: Option<u64>,
    failed_since_ms: Option<u64>,
    retry_at_ms: u64,
    written: u64,
    durable: u64,
    /// Its first base is being written.
    pub(super) unlisted: bool,
    /// It can only go on with a new base.
    needs_base: bool,
    holds: VecDeque<Hold>,
    pub(super) rewrite: Option<Rewrite>,
    /// When bytes came last, if they have no checksum yet.
    unsummed_since_ms: Option<u64>,
    pub(super) commits: Commits,
    /// Options have changed while a job held it.
    must_configure: bool,
}

impl AppendLog {
    /// The thread is started; `offset` is where the journal is.
    pub(super) fn start(log: Log, place: Place, offset: u64, wake: Box<dyn Fn() + Send>) -> io::Result<AppendLog> {
        let is_timeless = !log.has_threads();
        let keeper = Keeper::start(log, wake)?;
        Ok(AppendLog {
            keeper,
            place,
            room: Vec::new(),
            handed: offset,
            jobs: 0,
            syncing_since_ms: None,
            last_sync_ms: 0,
            postponed_since_ms: None,
            failed_since_ms: None,
            retry_at_ms: 0,
            written: offset,
            durable: offset,
            unlisted: false,
            needs_base: false,
            holds: VecDeque::new(),
            rewrite: None,
            unsummed_since_ms: None,
            commits: Commits::new(is_timeless),
            must_configure: false,
        })
    }

    /// Gives the thread a job that holds the log.
    pub(super) fn occupy(&mut self, job: Job) {
        debug_assert!(self.jobs < 2, "one behind a commit");
        self.jobs += 1;
        self.keeper.give(job);
    }

    /// Whether a job holds the log.
    pub(super) fn is_busy(&self) -> bool {
        self.jobs > 0
    }

    /// Whether the log may be written now.
    pub(super) fn is_free(&self) -> bool {
        self.jobs == 0 && self.failed_since_ms.is_none()
    }

    /// Whether another job may stand behind what is done now: under `always` a log is hardly ever free.
    pub(super) fn takes_another(&self) -> bool {
        self.failed_since_ms.is_none() && (self.jobs == 0 || (self.jobs == 1 && self.commits.runs))
    }

    /// Whether all that happened up to this offset of the journal has been handed over.
    pub(super) fn has_all(&self, offset: u64) -> bool {
        self.handed == offset
    }

    /// Clients whose writes wait for a commit that has not begun; or, with `from` 0, for any.
    fn waiting_clients(&self, from: u64) -> usize {
        self.holds.iter().filter(|hold| hold.offset > from).map(|hold| hold.clients.len()).sum()
    }

    /// Whether the loop must not sleep, for a commit is waited with.
    pub(super) fn is_gathering(&self) -> bool {
        self.commits.gathers
    }

    /// Up to where replies may leave.
    fn acknowledged(&self, policy: AppendFsync) -> u64 {
        if self.unlisted {
            return u64::MAX;
        }
        match policy {
            AppendFsync::Always => self.durable,
            // As the reference: what was done when the disk failed is acknowledged, all that comes after is refused.
            _ if self.failed_since_ms.is_some() || self.postponed_since_ms.is_some() => u64::MAX,
            _ => self.written,
        }
    }
}

impl Server {
    /// The end of a turn, for the log.
    #[inline]
    pub(super) fn log_turn(&mut self, now: Now) {
        if self.append_log.is_some() {
            self.log_turn_on(now);
        } else if self.facts.log.rewrite_wanted {
            self.begin_wanted_rewrite(now);
        }
    }

    fn log_turn_on(&mut self, now: Now) {
        self.take_log_news(now);
        if self.config.appendfsync == AppendFsync::Always {
            // Who waits is known before a commit begins.
            self.hold_and_release();
            self.begin_wanted_rewrite(now);
            if !self.gathers() {
                self.hand_over(now);
            }
            self.tend_failure(now);
        } else {
            self.begin_wanted_rewrite(now);
            self.hand_over(now);
            self.tend_failure(now);
            self.hold_and_release();
        }
        self.sync_if_due(now);
        self.wake_log_waiters(now);
    }

    fn hold_and_release(&mut self) {
        let Some(log) = &self.append_log else { return };
        let acknowledged = log.acknowledged(self.config.appendfsync);
        if acknowledged < self.journal.offset() {
            self.hold_writers(acknowledged);
        }
        if let Some(log) = &mut self.append_log {
            if log.commits.take_count() {
                log.commits.expect(log.waiting_clients(0));
            }
        }
        self.release_writers(acknowledged);
    }

    /// Whether the next commit waits for more clients.
    fn gathers(&mut self) -> bool {
        let end = self.journal.offset();
        let Some(log) = self.append_log.as_mut().filter(|log| log.is_free() && log.handed < end) else { return false };
        let clients = log.waiting_clients(log.handed);
        log.commits.must_gather(clients)
    }

    /// What the thread has done.
    fn take_log_news(&mut self, now: Now) {
        while let Some(news) = self.append_log.as_ref().and_then(|log| log.keeper.poll()) {
            self.log_news(news, now);
        }
        if self.append_log.as_ref().is_some_and(|log| log.must_configure) {
            self.configure_log();
        }
    }

    fn log_news(&mut self, news: News, now: Now) {
        let Some(log) = &mut self.append_log else { return };
        match news {
            News::Synced => log.syncing_since_ms = None,
            News::Committed(result) => {
                log.jobs -= 1;
                log.commits.end();
                drop(result);
            }
            News::Recovered(result) => {
                log.jobs -= 1;
                log.retry_at_ms = now.mono_ms() + RETRY_MS;
                if let Err(error) = result {
                    log::debug!("The append-only log can't go on yet: {error}");
                }
            }
            News::Increment(result) => {
                log.jobs -= 1;
                self.look_at_log(now);
                return self.increment_begun(result, now);
            }
            News::Installed(result) => {
                log.jobs -= 1;
                self.look_at_log(now);
                return self.base_installed(result, now);
            }
        }
        self.look_at_log(now);
    }

    /// Waits for the job that holds the log.
    pub(super) fn wait_for_log(&mut self, now: Now) {
        while let Some(log) = self.append_log.as_ref().filter(|log| log.is_busy()) {
            match log.keeper.wait() {
                Some(news) => self.log_news(news, now),
                None => return,
            }
        }
    }

    /// How far the log is, and whether it has failed.
    pub(super) fn look_at_log(&mut self, now: Now) {
        let Some(log) = self.append_log.as_mut().filter(|log| !log.is_busy()) else { return };
        let figures = &mut self.stats.persistence.log;
        let fault = {
            let inner = log.keeper.log();
            log.written = inner.written();
            log.durable = inner.durable();
            log.needs_base = inner.needs_base();
            (figures.bytes, figures.base_bytes) = (inner.bytes(), inner.base_bytes());
            (figures.kept_bytes, figures.room_bytes) = (inner.kept_bytes(), inner.room_bytes());
            figures.replication_offset = inner.replication_offset();
            inner.fault().map(crate::base::text::os_error)
        };
        figures.syncing = log.syncing_since_ms.is_some();
        figures.unlisted = log.unlisted;
        match (&fault, log.failed_since_ms) {
            (Some(_), None) => {
                log.failed_since_ms = Some(now.mono_ms());
                log.retry_at_ms = now.mono_ms();
            }
            (None, Some(_)) => log.failed_since_ms = None,
            _ => {}
        }
        figures.fault = fault;
        self.facts.log.durable = if log.unlisted { 0 } else { log.durable };
    }

    /// What has happened since goes to the log, if that can take it now.
    pub(super) fn hand_over(&mut self, now: Now) {
        let end = self.journal.offset();
        let Some(log) = &mut self.append_log else { return };
        let waiting = end - log.handed;
        self.stats.persistence.log.buffer_bytes = waiting as usize;
        if waiting == 0 || !self.effects.wanted {
            return;
        }
        if !log.is_free() {
            if log.is_busy() && waiting >= GATHER_BYTES {
                if let Some(news) = log.keeper.wait() {
                    self.log_news(news, now);
                }
            }
            return;
        }
        let policy = self.config.appendfsync;
        if policy == AppendFsync::Everysec && is_postponed(log, now, &mut self.stats.persistence.log.delayed_syncs) {
            return;
        }
        if self.facts.debug.log_sleep_us > 0 {
            std::thread::sleep(Duration::from_micros(self.facts.debug.log_sleep_us));
        }
        let mut room = std::mem::take(&mut log.room);
        if room.capacity() == 0 {
            // The next turn's bytes are likely to be about as many.
            room.reserve((waiting as usize).min(MAX_ROOM_BYTES));
        }
        let bytes = self.journal.take(room);
        log.handed = end;
        log.unsummed_since_ms = Some(now.mono_ms());
        self.stats.persistence.log.buffer_bytes = 0;
        if policy == AppendFsync::Always && !log.unlisted {
            log.commits.begin(now);
            let fills = log.commits.is_disk_bound;
            return log.occupy(Job::Commit(bytes, end, now.unix_secs(), fills));
        }
        let figures = &mut self.stats.persistence.log;
        let appended = {
            let mut inner = log.keeper.log();
            let appended = inner.append(bytes, end, now.unix_secs());
            (figures.bytes, figures.kept_bytes) = (inner.bytes(), inner.kept_bytes());
            figures.room_bytes = inner.room_bytes();
            appended
        };
        match appended {
            Ok(room) => {
                log.written = end;
                if room.capacity() <= MAX_ROOM_BYTES {
                    log.room = room;
                }
            }
            Err(_) => self.look_at_log(now),
        }
    }

    /// After a failure: tries to begin anew, once a second. Who waits for what can't be written is let go.
    fn tend_failure(&mut self, now: Now) {
        let Some(log) = &mut self.append_log else { return };
        let Some(since_ms) = log.failed_since_ms else { return };
        if !log.is_busy() && now.mono_ms() >= log.retry_at_ms {
            if log.unlisted || log.needs_base {
                log.failed_since_ms = None;
                return self.restart_first_base(now);
            }
            log.retry_at_ms = now.mono_ms() + RETRY_MS;
            log.occupy(Job::Recover);
        }
        if now.mono_ms() - since_ms < HELD_MS {
            return;
        }
        for hold in std::mem::take(
            &mut self.append_log.as_mut().map_or_else(VecDeque::new, |log| std::mem::take(&mut log.holds)),
        ) {
            for (conn, id, _) in hold.clients {
                if self.sessions.get(conn).is_some_and(|session| session.id == id) {
                    // Whether its command counts is not known: no answer is better than a wrong one.
                    self.close_soon(conn);
                }
            }
        }
    }

    /// The replies of those who wrote what is not acknowledged yet stay.
    #[cold]
    fn hold_writers(&mut self, acknowledged: u64) {
        let offset = self.journal.offset();
        let mut clients = Vec::new();
        for conn in &self.outputs {
            let Some(session) = self.sessions.get_mut(*conn) else { continue };
            if !session.is(mode::LOGGED) {
                continue;
            }
            session.mode &= !mode::LOGGED;
            if session.write_offset > acknowledged {
                session.outbox.hold();
                session.held_until = offset;
                clients.push((*conn, session.id, session.output_bytes + session.outbox.len() as u64));
            }
        }
        if let Some(log) = self.append_log.as_mut().filter(|_| !clients.is_empty()) {
            log.holds.push_back(Hold { offset, clients });
        }
    }

    /// Replies leave for which the log has come far enough.
    fn release_writers(&mut self, acknowledged: u64) {
        let Some(log) = &mut self.append_log else { return };
        while log.holds.front().is_some_and(|hold| hold.offset <= acknowledged) {
            let clients = log.holds.pop_front().map_or_else(Vec::new, |hold| hold.clients);
            for (conn, id, position) in clients {
                let Some(session) = self.sessions.get_mut(conn).filter(|session| session.id == id) else { continue };
                let open = session.output_bytes + session.outbox.open_len() as u64;
                let all = session.held_until <= acknowledged;
                session.outbox.release((!all).then(|| position.saturating_sub(open) as usize));
                if session.owed != Owed::Reply {
                    session.owed = Owed::Reply;
                    self.outputs.push(conn);
                }
            }
        }
    }

    fn sync_if_due(&mut self, now: Now) {
        let policy = self.config.appendfsync;
        let writing = self.facts.saving.is_some() || self.stats.persistence.log.rewriting_since_secs.is_some();
        let spared = self.config.no_appendfsync_on_rewrite && writing;
        let Some(log) = &mut self.append_log else { return };
        let many = self.stats.persistence.log.kept_bytes >= SYNC_AT_BYTES;
        let due = many || now.mono_ms().saturating_sub(log.last_sync_ms) >= SYNC_EVERY_MS;
        // Without syncs nothing is kept; what was before is synced once.
        let syncs =
            policy == AppendFsync::Everysec || (policy == AppendFsync::No && self.stats.persistence.log.kept_bytes > 0);
        if !syncs || spared || !due || !log.is_free() || log.syncing_since_ms.is_some() {
            return;
        }
        if log.durable < log.written {
            log.last_sync_ms = now.mono_ms();
            log.syncing_since_ms = Some(now.mono_ms());
            log.keeper.give(Job::Sync);
        }
    }

    /// Clients of WAITAOF look again.
    fn wake_log_waiters(&mut self, now: Now) {
        if self.facts.log.waiting.is_empty() {
            return;
        }
        for conn in std::mem::take(&mut self.facts.log.waiting) {
            let waits = |session: &crate::session::Session| {
                session.blocked.as_ref().is_some_and(|b| b.keys.is_empty() && !b.again)
            };
            if self.sessions.get(conn).is_some_and(waits) {
                self.with_session(conn, now, crate::command::retry);
            }
        }
    }

    /// Ten times a second.
    pub(super) fn log_cron(&mut self, now: Now) {
        self.rewrite_cron(now);
        let Some(log) = &mut self.append_log else { return };
        let quiet = log.unsummed_since_ms.is_some_and(|since| now.mono_ms().saturating_sub(since) >= QUIET_MS);
        if quiet && log.is_free() {
            log.unsummed_since_ms = None;
            log.commits.rest();
            // A failure shows at the next look.
            drop(log.keeper.log().sum_up());
        }
        self.look_at_log(now);
    }

    /// Options have new values.
    pub(super) fn configure_log(&mut self) {
        let Some(log) = &mut self.append_log else { return };
        log.must_configure = log.is_busy();
        if log.must_configure {
            return;
        }
        let mut inner = log.keeper.log();
        inner.set_vault(self.facts.vault.clone());
        inner.keeps = self.config.appendfsync != AppendFsync::No;
        inner.timestamps = self.config.aof_timestamp_enabled;
    }

    /// All that has happened is on the disk, whatever the policy; then nothing more is written.
    pub(super) fn close_log(&mut self, now: Now) {
        self.wait_for_log(now);
        self.end_rewrite(now);
        let Some(mut log) = self.append_log.take() else { return };
        let end = self.journal.offset();
        let bytes = self.journal.take(Vec::new());
        let mut inner = log.keeper.log();
        // A failure of the append is one of the close as well.
        if !bytes.is_empty() && self.effects.wanted {
            drop(inner.append(bytes, end, now.unix_secs()));
        }
        log::info!("Calling fsync() on the AOF file.");
        if let Err(error) = inner.close() {
            log::warn!("Fail to fsync the AOF file: {error}. What was written last may be lost.");
        }
        drop(inner);
        for hold in std::mem::take(&mut log.holds) {
            for (conn, ..) in hold.clients {
                if let Some(session) = self.sessions.get_mut(conn) {
                    session.outbox.release(None);
                    if session.owed != Owed::Reply {
                        session.owed = Owed::Reply;
                        self.outputs.push(conn);
                    }
                }
            }
        }
    }
}

/// Whether a sync is so late that writing waits for it. Not for ever: then it is counted.
fn is_postponed(log: &mut AppendLog, now: Now, delayed_syncs: &mut u64) -> bool {
    let late = log.syncing_since_ms.is_some_and(|since| now.mono_ms().saturating_sub(since) > LATE_MS);
    if !late {
        log.postponed_since_ms = None;
        return false;
    }
    let since = *log.postponed_since_ms.get_or_insert(now.mono_ms());
    if now.mono_ms() - since < POSTPONE_MS {
        return true;
    }
    *delayed_syncs += 1;
    log.postponed_since_ms = None;
    log::info!("A sync of the AOF takes too long (is the disk busy?): writing goes on without waiting for it.");
    false
}
