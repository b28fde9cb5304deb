//! What INFO tells about files. Knows no file.

use crate::base::clock::Now;

/// Snapshots and loads since the start.
#[derive(Debug, Clone)]
pub struct Persistence {
    /// When the last snapshot succeeded, Unix seconds; the start counts as one.
    pub last_save_secs: i64,
    /// Snapshots that succeeded.
    pub saves: u64,
    /// Whether the last snapshot succeeded.
    pub last_save_ok: bool,
    /// Keys that the last load left out because their time had come.
    pub load_expired: u64,
    /// Keys that the last load put in.
    pub load_keys: u64,
    /// Libraries of functions that a file held; they are written back as they are.
    pub libraries: Vec<Box<[u8]>>,
}

impl Persistence {
    /// Nothing was saved yet.
    pub fn new(now: Now) -> Persistence {
        Persistence {
            last_save_secs: now.unix_secs(),
            saves: 0,
            last_save_ok: true,
            load_expired: 0,
            load_keys: 0,
            libraries: Vec::new(),
        }
    }
}
