//! How often each error code was replied. Bounded: a client cannot make it grow without end.

use std::collections::BTreeMap;

/// Codes kept at most; past it the count of new ones stops.
const MAX_CODES: usize = 128;

/// Counts by code.
#[derive(Default, Debug, Clone)]
pub struct ErrorStats {
    counts: BTreeMap<Box<str>, u64>,
    /// A code was dropped because there were too many.
    pub overflowed: bool,
}

impl ErrorStats {
    /// Counts one error reply with this code.
    pub fn record(&mut self, code: &str) {
        if let Some(count) = self.counts.get_mut(code) {
            *count += 1;
        } else if self.counts.len() < MAX_CODES {
            self.counts.insert(code.into(), 1);
        } else {
            self.overflowed = true;
        }
    }

    /// (code, count), by code.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(code, count)| (&**code, *count))
    }

    /// CONFIG RESETSTAT.
    pub fn clear(&mut self) {
        *self = ErrorStats::default();
    }
}
