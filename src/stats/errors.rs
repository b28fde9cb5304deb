//! How often each error code was replied. Bounded: a client whose scripts make up codes cannot make it grow without end; then
//! nothing is counted any more until the statistics are begun anew.

use std::collections::BTreeMap;

/// Codes kept at most.
const MAX_CODES: usize = 128;
/// What stands in the place of all codes when there were more.
const DISABLED: &str = "ERRORSTATS_DISABLED";

/// Counts by code.
#[derive(Default, Debug, Clone)]
pub struct ErrorStats {
    counts: BTreeMap<Box<str>, u64>,
    /// There were too many codes.
    overflowed: bool,
}

impl ErrorStats {
    /// Counts one error reply with this code.
    pub fn record(&mut self, code: &str) {
        if self.overflowed {
            return;
        }
        if let Some(count) = self.counts.get_mut(code) {
            *count += 1;
        } else if self.counts.len() < MAX_CODES {
            self.counts.insert(code.into(), 1);
        } else {
            self.give_up();
        }
    }

    #[cold]
    fn give_up(&mut self) {
        let codes: Vec<&str> = self.counts.keys().map(|code| &**code).collect();
        log::warn!(
            "Errorstats stopped adding new errors: there are {MAX_CODES} codes, perhaps made up by scripts. CONFIG \
             RESETSTAT begins anew."
        );
        log::warn!("Current errors code list: {}", codes.join(", "));
        self.counts = BTreeMap::from([(DISABLED.into(), 1)]);
        self.overflowed = true;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_codes_end_the_count_until_it_is_begun_anew() {
        let mut errors = ErrorStats::default();
        (0..MAX_CODES).for_each(|n| errors.record(&format!("E{n:03}")));
        errors.record("E000");
        assert_eq!(errors.iter().count(), MAX_CODES);
        assert_eq!(errors.iter().next(), Some(("E000", 2)));
        for code in ["ONE_MORE", "E000", "ANOTHER"] {
            errors.record(code);
            assert_eq!(errors.iter().collect::<Vec<_>>(), [(DISABLED, 1)]);
        }
        errors.clear();
        errors.record("ERR");
        assert_eq!(errors.iter().collect::<Vec<_>>(), [("ERR", 1)]);
    }
}
