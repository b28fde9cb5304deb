//! The log of refusals: ACL LOG. What happens again within a minute is counted, not listed again.

use std::collections::VecDeque;

/// Within so many milliseconds the same refusal is the same entry.
const SAME_WITHIN_MS: i64 = 60_000;
/// Entries that a new refusal is compared with, newest first: the log may be long, and guessing must stay cheap.
const COMPARED: usize = 10;

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The command.
    Command,
    /// A key.
    Key,
    /// A channel.
    Channel,
    /// A database.
    Database,
    /// A wrong name or password.
    Auth,
}

impl Reason {
    /// The word that ACL LOG shows.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
            Reason::Database => "database",
            Reason::Auth => "auth",
        }
    }
}

/// Where a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogContext {
    /// By itself.
    Toplevel,
    /// In a transaction.
    Multi,
    /// In a script.
    Lua,
}

impl LogContext {
    /// The word that ACL LOG shows.
    pub fn word(self) -> &'static str {
        match self {
            LogContext::Toplevel => "toplevel",
            LogContext::Multi => "multi",
            LogContext::Lua => "lua",
        }
    }
}

/// A refusal, as it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// Why.
    pub reason: Reason,
    /// Where.
    pub context: LogContext,
    /// The command, key, channel or database.
    pub object: &'a [u8],
    /// Whose request.
    pub user: &'a [u8],
}

/// Refusals that are one.
#[derive(Debug, Clone)]
pub struct LogEntry {
    /// Number, ascending since the start.
    pub id: u64,
    /// How many.
    pub count: u64,
    /// Why.
    pub reason: Reason,
    /// Where.
    pub context: LogContext,
    /// The command, key, channel or database.
    pub object: Box<[u8]>,
    /// Whose requests.
    pub user: Box<[u8]>,
    /// The line of CLIENT LIST of the client that was refused last.
    pub client: Box<[u8]>,
    /// When the first was, Unix milliseconds.
    pub created_ms: i64,
    /// When the last was, Unix milliseconds.
    pub updated_ms: i64,
}

/// The log, newest first.
#[derive(Default)]
pub struct AclLog {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl AclLog {
    /// Adds a refusal; of others only the newest `max_len` stay.
    pub fn add(&mut self, refusal: &Refusal<'_>, client: Vec<u8>, now_ms: i64, max_len: usize) {
        let same = |entry: &LogEntry| {
            entry.reason == refusal.reason
                && entry.context == refusal.context
                && now_ms - entry.updated_ms <= SAME_WITHIN_MS
                && *entry.object == *refusal.object
                && *entry.user == *refusal.user
        };
        let known = self.entries.iter().take(COMPARED).position(same);
        let mut entry = known.and_then(|place| self.entries.remove(place)).unwrap_or_else(|| {
            self.next_id += 1;
            LogEntry {
                id: self.next_id - 1,
                count: 0,
                reason: refusal.reason,
                context: refusal.context,
                object: refusal.object.into(),
                user: refusal.user.into(),
                client: Box::default(),
                created_ms: now_ms,
                updated_ms: now_ms,
            }
        });
        entry.count += 1;
        entry.updated_ms = now_ms;
        entry.client = client.into();
        self.entries.push_front(entry);
        self.entries.truncate(max_len);
    }

    /// Newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_again_within_a_minute_is_one_entry() {
        let mut log = AclLog::default();
        let get = Refusal { reason: Reason::Command, context: LogContext::Toplevel, object: b"get", user: b"amy" };
        let key = Refusal { reason: Reason::Key, object: b"k", ..get.clone() };
        log.add(&get, b"1".to_vec(), 1000, 10);
        log.add(&key, b"2".to_vec(), 2000, 10);
        log.add(&get, b"3".to_vec(), 61_000, 10);
        let shown: Vec<_> =
            log.iter().map(|e| (e.id, e.count, &*e.object, e.created_ms, e.updated_ms, &*e.client)).collect();
        assert_eq!(shown, [(0, 2, &b"get"[..], 1000, 61_000, &b"3"[..]), (1, 1, b"k", 2000, 2000, b"2")]);
        log.add(&get, Vec::new(), 121_001, 2);
        assert_eq!(log.iter().map(|entry| (entry.id, entry.count)).collect::<Vec<_>>(), [(2, 1), (0, 2)]);
        log.add(&get, Vec::new(), 121_001, 0);
        assert_eq!(log.iter().len(), 0);
    }
}
