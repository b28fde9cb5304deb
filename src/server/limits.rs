//! Limits of clients: silence, replies and requests that pile up, the memory of all clients together, and that of each user's.
//!
//! ```text
//! before requests run   maxmemory-clients and users' memory, with what was just read
//! after each request   hard limit of its replies (a huge pipeline must not fill memory before the turn ends)
//! end of a turn        both limits for all that got something to be sent; then maxmemory-clients, largest first
//! after writing        the memory of users whose replies were not all taken
//! ten times a second   silent clients, soft limits of those that send nothing, buffers that are not needed, users' memory
//! ```
//!
//! A client that is cut off loses its replies at once: they no longer count when others' memory is judged.
//!
//! A user with the rule `memory=N` meets its limit in steps, so that it is told before it is thrown out: from N on its
//! requests are refused (`command::access`); with a quarter more, which only replies that nobody reads and requests that do not
//! end can lead to, its connections are closed, the largest first; and one connection's replies alone never exceed N.

use super::Server;
use crate::acl::Acl;
use crate::base::clock::Now;
use crate::command::Ctx;
use crate::config::{ClientClass, Config, MemoryOrPercent, OutputBufferLimit};
use crate::net::Input;
use crate::session::{ConnId, Session, mode};

/// Replies that a client may let pile up before it has logged in, bytes.
const STRANGER_REPLY_BYTES: usize = 16 * 1024;
/// Requests that a client may let pile up before it has logged in, bytes: one of ten words of 16 KiB, and some that wait
/// while its password is looked at.
pub(super) const STRANGER_REQUEST_BYTES: usize = 512 * 1024;
/// Parts in which the walk over all clients is done: each client is seen once a second.
const PARTS: usize = 10;
/// Fewest clients seen in one part.
const PART_PLACES: usize = 64;
/// Silence after which unused room for requests is given up, milliseconds.
const RELEASE_AFTER_MS: u64 = 2_000;
/// Time after which the peak of replies is forgotten, milliseconds.
const PEAK_RESET_MS: i64 = 5_000;

/// The limit of a client's replies.
fn reply_limit(config: &Config, session: &Session) -> OutputBufferLimit {
    let class = if session.is(mode::SUBSCRIBED) { ClientClass::Pubsub } else { ClientClass::Normal };
    config.client_output_buffer_limit[class as usize]
}

/// Most bytes that may wait to be sent to a client while it sends requests.
pub(super) fn hard_reply_bytes(config: &Config, acl: &Acl, session: &Session) -> usize {
    if session.is(mode::METRICS) {
        // It gets one answer, whose length is ours.
        return usize::MAX;
    }
    if !session.authenticated && !acl.is_open() {
        return STRANGER_REPLY_BYTES;
    }
    let bytes = match reply_limit(config, session).hard_bytes {
        0 => usize::MAX,
        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
    };
    if session.is(mode::RESTRICTED) { bytes.min(user_bytes(session)) } else { bytes }
}

/// Bytes that the connections of a session's user may hold.
fn user_bytes(session: &Session) -> usize {
    match session.user.as_ref().map_or(0, |user| user.memory_bytes) {
        0 => usize::MAX,
        bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}

/// Whether a user's connections hold so much that refusing its requests has not been enough.
fn is_far_over(session: &Session) -> bool {
    let bytes = user_bytes(session);
    session.user.as_ref().is_some_and(|user| user.held.bytes() > bytes.saturating_add(bytes / 4))
}

/// Whether a client's replies are over a limit. Remembers since when they are over the soft one.
fn is_over(session: &mut Session, config: &Config, acl: &Acl, now: Now) -> bool {
    let (pending, limit) = (session.outbox.len(), reply_limit(config, session));
    if pending > hard_reply_bytes(config, acl, session) {
        return true;
    }
    if limit.soft_bytes == 0 || pending as u64 <= limit.soft_bytes {
        session.over_soft_since_secs = None;
        return false;
    }
    // Whole seconds, as the limit is given in: by no clock it is kept too short.
    let secs = now.mono_ms() / 1000;
    secs - *session.over_soft_since_secs.get_or_insert(secs) > limit.soft_seconds
}

/// Bytes that all clients together may use; 0 for no limit.
fn memory_limit(config: &Config) -> u64 {
    match config.maxmemory_clients {
        MemoryOrPercent::Bytes(bytes) => bytes,
        MemoryOrPercent::Percent(percent) => (u128::from(config.maxmemory) * u128::from(percent) / 100) as u64,
    }
}

/// The running client has too many replies: it is cut off.
#[cold]
pub(super) fn cut_off(cx: &mut Ctx<'_>) {
    log_cut_off(cx.session);
    cx.stats.totals.output_limit_disconnections += 1;
    cx.session.mode |= mode::CLOSE_NOW;
    cx.reply.outbox().clear();
}

fn log_cut_off(session: &Session) {
    log::warn!(
        "Client id={} addr={} scheduled to be closed ASAP for overcoming of output buffer limits.",
        session.id,
        session.peer
    );
}

impl Server {
    /// The end of a turn: whoever has too much to be sent, or uses too much memory, goes.
    pub(super) fn enforce_limits(&mut self, now: Now) {
        for index in 0..self.outputs.len() {
            self.enforce_limits_of(self.outputs[index], now);
        }
        for index in 0..self.sessions.touched.len() {
            self.enforce_limits_of(self.sessions.touched[index], now);
        }
        if self.accounting {
            let awaiting: Vec<ConnId> = self.awaiting_news().collect();
            awaiting.into_iter().for_each(|conn| self.sessions.account(conn));
        }
        self.limit_memory();
    }

    #[inline]
    fn enforce_limits_of(&mut self, conn: ConnId, now: Now) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        if !session.is(mode::CLOSE_NOW) && is_over(session, &self.config, &self.acl, now) {
            self.cut_off_other(conn);
        } else if self.accounting {
            self.sessions.account(conn);
        }
    }

    /// A client that is about to be written to goes instead, if more waits for it than may.
    pub(super) fn cut_off_if_over(&mut self, conn: ConnId) -> bool {
        let Some(session) = self.sessions.get(conn) else { return false };
        let is_over = session.outbox.len() > hard_reply_bytes(&self.config, &self.acl, session);
        if is_over {
            self.cut_off_other(conn);
        }
        is_over
    }

    /// What has just been read counts before it is executed: a request may itself be too much.
    pub(super) fn account_inputs(&mut self, inputs: &[Input]) {
        if self.accounting {
            for input in inputs {
                self.sessions.account(input.conn);
                self.limit_user_of(input.conn);
            }
            self.limit_memory();
        }
    }

    /// Closes the largest connections of a client's user until the others hold what they may, if they hold far more.
    pub(super) fn limit_user_of(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get(conn).filter(|session| is_far_over(session)) else { return };
        let Some(user) = session.user.clone() else { return };
        while user.held.bytes() as u64 > user.memory_bytes {
            let Some(largest) = self.sessions.largest_of(&user) else { break };
            self.evict(largest);
        }
    }

    fn evict(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get(conn) {
            log::info!("Evicting client: id={} addr={} tot-mem={}", session.id, session.peer, session.alloc_bytes());
        }
        self.stats.totals.evicted_clients += 1;
        self.close_soon(conn);
    }

    fn cut_off_other(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.get_mut(conn) {
            log_cut_off(session);
            session.outbox.clear();
        }
        self.stats.totals.output_limit_disconnections += 1;
        self.close_soon(conn);
    }

    /// Closes the largest clients until the others fit. The account begins when a limit is set, for all or for a user, and
    /// ends with it.
    fn limit_memory(&mut self) {
        let limit = memory_limit(&self.config);
        let accounting = limit > 0 || self.acl.bounds_memory();
        if accounting != self.accounting || (limit > 0) != self.sessions.is_ranked() {
            self.accounting = accounting;
            self.sessions.account_all(limit > 0);
        }
        while limit > 0 && self.sessions.counted_bytes() as u64 > limit {
            let Some(conn) = self.sessions.largest() else { break };
            self.evict(conn);
        }
    }

    /// A client is not served any more and goes when the turn ends.
    pub(super) fn close_soon(&mut self, conn: ConnId) {
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.mode |= mode::CLOSE_NOW;
        self.closes.push(conn);
        if self.accounting {
            self.sessions.account(conn);
        }
    }

    /// The next part of the walk over all clients: closes those that are silent or over the soft limit, and takes back
    /// room that is not used.
    pub(super) fn check_clients(&mut self, now: Now) {
        let places = (self.sessions.places() / PARTS).max(PART_PLACES);
        let (config, acl, debug) = (&self.config, &self.acl, &self.facts.debug);
        let timeout_ms = u64::from(config.timeout) * 1000;
        let peak_reset_ms =
            u64::try_from(debug.reply_buffer_peak_reset_ms.unwrap_or(PEAK_RESET_MS)).unwrap_or(u64::MAX);
        let (mut silent, mut over): (Vec<ConnId>, Vec<ConnId>) = (Vec::new(), Vec::new());
        let (accounting, mut accountable) = (self.accounting, Vec::new());
        let (mut largest_input, mut largest_output) = (0, 0);
        let (next, part) = self.sessions.part(self.next_client, places);
        for session in part {
            largest_input = largest_input.max(session.decoder.alloc_bytes());
            largest_output = largest_output.max(session.outbox.alloc_bytes());
            let idle_ms = now.mono_ms().saturating_sub(session.active.mono_ms());
            if timeout_ms > 0 && idle_ms > timeout_ms && !session.is(mode::MONITOR | mode::BLOCKED | mode::SUBSCRIBED) {
                silent.push(session.conn);
            } else if !session.outbox.is_empty() && is_over(session, config, acl, now) {
                over.push(session.conn);
            }
            if idle_ms > RELEASE_AFTER_MS {
                session.decoder.release_unused();
            }
            if accounting {
                accountable.push(session.conn);
            }
            if now.mono_ms().saturating_sub(session.reply_peak_since_ms) >= peak_reset_ms {
                session.reply_peak_bytes = session.outbox.len();
                session.reply_peak_since_ms = now.mono_ms();
            }
        }
        self.next_client = next;
        self.stats.recent_input_bytes.record(now.unix_secs(), largest_input as u64);
        self.stats.recent_output_bytes.record(now.unix_secs(), largest_output as u64);
        for conn in silent {
            log::debug!("Closing idle client");
            self.close_soon(conn);
        }
        over.into_iter().for_each(|conn| self.cut_off_other(conn));
        for conn in accountable {
            self.sessions.account(conn);
            self.limit_user_of(conn);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::Catalog;

    fn session() -> Session {
        Session::new(1, ConnId(0), Now::at_unix_ms(0))
    }

    #[test]
    fn the_hard_limit_counts_at_once_and_the_soft_one_after_its_time() {
        let (mut config, acl) = (Config::default(), Acl::new(Catalog::default()));
        config.client_output_buffer_limit[0] = OutputBufferLimit { hard_bytes: 100, soft_bytes: 10, soft_seconds: 3 };
        let mut session = session();
        session.outbox.extend(&[b'x'; 11]);
        assert!(!is_over(&mut session, &config, &acl, Now::at_unix_ms(1_100)));
        assert!(!is_over(&mut session, &config, &acl, Now::at_unix_ms(4_999)));
        assert!(is_over(&mut session, &config, &acl, Now::at_unix_ms(5_000)));
        session.outbox.clear();
        assert!(!is_over(&mut session, &config, &acl, Now::at_unix_ms(9_000)));
        assert_eq!(session.over_soft_since_secs, None);
        session.outbox.extend(&[b'x'; 101]);
        assert!(is_over(&mut session, &config, &acl, Now::at_unix_ms(9_001)));
    }

    #[test]
    fn strangers_may_let_little_pile_up() {
        let (config, mut acl, mut session) = (Config::default(), Acl::new(Catalog::default()), session());
        assert_eq!(hard_reply_bytes(&config, &acl, &session), usize::MAX);
        session.authenticated = false;
        assert_eq!(hard_reply_bytes(&config, &acl, &session), usize::MAX);
        acl.put(acl.with_default_password(b"secret"));
        assert_eq!(hard_reply_bytes(&config, &acl, &session), STRANGER_REPLY_BYTES);
    }

    #[test]
    fn a_share_of_no_memory_is_no_limit() {
        let mut config = Config { maxmemory_clients: MemoryOrPercent::Percent(7), ..Config::default() };
        assert_eq!(memory_limit(&config), 0);
        config.maxmemory = 1_000_000;
        assert_eq!(memory_limit(&config), 70_000);
    }
}
