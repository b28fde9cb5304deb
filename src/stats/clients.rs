//! The largest client buffers of the last seconds: what INFO calls `client_recent_max_*`.

/// Seconds that are remembered.
const SECONDS: usize = 8;

/// The largest value of each of the last seconds.
#[derive(Debug, Clone, Default)]
pub struct RecentMax {
    slots: [(i64, u64); SECONDS],
}

impl RecentMax {
    /// Takes a value seen at this second.
    pub fn record(&mut self, at_secs: i64, value: u64) {
        let slot = &mut self.slots[at_secs.rem_euclid(SECONDS as i64) as usize];
        *slot = if slot.0 == at_secs { (at_secs, slot.1.max(value)) } else { (at_secs, value) };
    }

    /// The largest value of the last seconds.
    pub fn max(&self, now_secs: i64) -> u64 {
        let recent = self.slots.iter().filter(|(at, _)| now_secs - at < SECONDS as i64);
        recent.map(|(_, value)| *value).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_seconds_are_forgotten() {
        let mut max = RecentMax::default();
        max.record(100, 9);
        max.record(100, 5);
        max.record(103, 7);
        assert_eq!((max.max(103), max.max(107), max.max(108), max.max(200)), (9, 9, 7, 0));
    }
}
