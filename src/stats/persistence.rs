//! What INFO tells about files. Knows no file.

use crate::base::clock::Now;
use std::collections::BTreeMap;

/// Snapshots and loads since the start.
#[derive(Debug, Clone)]
pub struct Persistence {
    /// When the last snapshot succeeded, Unix seconds; the start counts as one.
    pub last_save_secs: i64,
    /// Snapshots that succeeded.
    pub saves: u64,
    /// Whether the last snapshot succeeded.
    pub last_save_ok: bool,
    /// How long the last snapshot beside the loop took, seconds.
    pub last_bgsave_secs: Option<u64>,
    /// When the last one was begun, Unix seconds.
    pub last_try_secs: i64,
    /// Bytes of memory that the last one needed.
    pub last_extra_bytes: u64,
    /// Bytes a second that the last one wrote.
    pub last_save_rate: u64,
    /// The one that is being written.
    pub running: Option<Running>,
    /// The load that keeps all else waiting.
    pub loading: Option<Loading>,
    /// Keys that the last load left out because their time had come.
    pub load_expired: u64,
    /// Keys that the last load put in.
    pub load_keys: u64,
    /// Libraries of functions that a file held; they are written back as they are.
    pub libraries: BTreeMap<Vec<u8>, Box<[u8]>>,
    /// The append-only log.
    pub log: LogFigures,
}

/// The append-only log.
#[derive(Debug, Clone, Default)]
pub struct LogFigures {
    /// Whether it is written.
    pub is_on: bool,
    /// Whether its first base is being written: nothing of it counts yet.
    pub unlisted: bool,
    /// Why nothing can be written to it, while that is so.
    pub fault: Option<String>,
    /// When the running rewrite began, Unix seconds.
    pub rewriting_since_secs: Option<i64>,
    /// The running rewrite's base is written and takes its place, for which the end of the server waits.
    pub installing: bool,
    /// A rewrite is to begin when nothing else is in its way.
    pub rewrite_scheduled: bool,
    /// How long the last rewrite took, seconds.
    pub last_rewrite_secs: Option<u64>,
    /// The last rewrite failed.
    pub rewrite_failed: bool,
    /// Rewrites that succeeded.
    pub rewrites: u64,
    /// Rewrites that failed since the last that did not.
    pub failures: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// Bytes after the last rewrite, or at the start.
    pub base_bytes: u64,
    /// Bytes that are not written yet.
    pub buffer_bytes: usize,
    /// Bytes in memory that are not on the disk for certain.
    pub kept_bytes: usize,
    /// Bytes of memory that such bytes had and others will have.
    pub room_bytes: usize,
    /// A sync is under way.
    pub syncing: bool,
    /// Syncs that took so long that they were not waited for.
    pub delayed_syncs: u64,
    /// Where the stream of replication is, as the list of the log's parts told; 0 if it did not.
    pub replication_offset: u64,
    /// Bytes of memory that the last rewrite needed.
    pub last_extra_bytes: u64,
}

/// Data that are being loaded at the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Loading {
    /// When that began, Unix seconds.
    pub since_secs: i64,
    /// Bytes to read.
    pub total_bytes: u64,
    /// Bytes that were read.
    pub done_bytes: u64,
}

impl Loading {
    /// How much of it is done, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.done_bytes as f64 / self.total_bytes.max(1) as f64
    }

    /// How long the rest takes if it goes on so, seconds; 1 while nobody knows.
    pub fn rest_secs(&self, now_secs: i64) -> i64 {
        let elapsed = now_secs.saturating_sub(self.since_secs).max(0);
        if self.done_bytes == 0 || elapsed == 0 {
            return 1;
        }
        let rest = self.total_bytes.saturating_sub(self.done_bytes) as f64;
        (elapsed as f64 * rest / self.done_bytes as f64) as i64
    }
}

impl LogFigures {
    /// Bytes of memory that go, or could go, once what is written is on the disk.
    pub fn held_bytes(&self) -> usize {
        self.buffer_bytes + self.kept_bytes + self.room_bytes
    }

    /// Whether the server may not end yet, which is logged: its first base is being written, and without it the log is none.
    pub fn must_wait(&self, force: bool) -> bool {
        if !self.unlisted || self.rewriting_since_secs.is_none() || self.installing {
            return false;
        }
        log::warn!("Writing initial AOF{}", if force { ". Exit anyway." } else { ", can't exit" });
        !force
    }
}

/// A snapshot that is being written beside the loop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Running {
    /// When it began, Unix seconds.
    pub since_secs: i64,
    /// Keys at the beginning.
    pub keys_total: u64,
    /// Keys that are written.
    pub keys_done: u64,
    /// Memory of copies on their way, bytes.
    pub extra_bytes: u64,
    /// The most of it so far.
    pub extra_bytes_most: u64,
}

impl Persistence {
    /// Nothing was saved yet.
    pub fn new(now: Now) -> Persistence {
        Persistence {
            last_save_secs: now.unix_secs(),
            saves: 0,
            last_save_ok: true,
            last_bgsave_secs: None,
            last_try_secs: 0,
            last_extra_bytes: 0,
            last_save_rate: 0,
            running: None,
            loading: None,
            load_expired: 0,
            load_keys: 0,
            libraries: BTreeMap::new(),
            log: LogFigures::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_waits_while_the_first_base_is_written_but_not_for_its_name() {
        let mut log = LogFigures { unlisted: true, rewriting_since_secs: Some(1), ..LogFigures::default() };
        assert_eq!((log.must_wait(false), log.must_wait(true)), (true, false));
        log.installing = true;
        assert!(!log.must_wait(false));
        (log.installing, log.unlisted) = (false, false);
        assert!(!log.must_wait(false));
    }
}
