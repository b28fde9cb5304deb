//! When a commit begins under `appendfsync always`. Knows no file and no client.
//!
//! One commit serves all who wrote before it. Clients who wait for its end come back with their next writes a moment later; if the
//! next commit began at once it would carry only those who wrote meanwhile, and from then on each would carry one half of the
//! clients, and each client wait for two. So the next one waits for those who were just answered, but not for longer than a part
//! of what a commit takes; and if they do not come, commits do not wait for a while.
//!
//! ```text
//! commit ends, n clients answered -> n are back, or time is up -> commit begins
//! ```

use crate::base::clock::Now;
use crate::sys::ticks;

/// Longest wait, microseconds.
const MOST_WAIT_US: u64 = 1000;
/// Most commits in a row that do not wait after one that waited in vain.
const MOST_SKIPPED: u32 = 64;
/// Over such a time is looked at how much of it was waited for the disk, milliseconds.
const WINDOW_MS: u64 = 100;
/// Commits in it, at least, for the file to be made longer ahead.
const BUSY_COMMITS: u32 = 12;

/// The commits so far, and the next one.
#[derive(Default)]
pub(super) struct Commits {
    /// When the one that runs began, ticks.
    begun: u64,
    /// When the last one ended.
    ended: u64,
    /// How long one takes, smoothed, microseconds.
    took_us: u64,
    must_count: bool,
    /// Clients that the next one should carry.
    expected: usize,
    /// How many more do not wait.
    skipped: u32,
    /// As many did not wait last time.
    last_skipped: u32,
    /// It is waited for clients now.
    pub(super) gathers: bool,
    /// One is under way.
    pub(super) runs: bool,
    window_ms: u64,
    window_commits: u32,
    window_us: u64,
    /// The disk is what is waited for.
    pub(super) is_disk_bound: bool,
    is_timeless: bool,
}

impl Commits {
    /// None so far. `is_timeless`: for these the time stands still, and somebody else says whether the disk is waited for.
    pub(super) fn new(is_timeless: bool) -> Commits {
        Commits { is_timeless, ..Commits::default() }
    }

    fn ticks(&self) -> u64 {
        if self.is_timeless { 0 } else { ticks::now() }
    }

    /// One begins.
    pub(super) fn begin(&mut self, now: Now) {
        self.begun = self.ticks();
        (self.gathers, self.runs) = (false, true);
        if now.mono_ms().saturating_sub(self.window_ms) >= WINDOW_MS {
            let wall_us = now.mono_ms().saturating_sub(self.window_ms) * 1000;
            self.is_disk_bound |= self.window_commits >= BUSY_COMMITS && self.window_us * 2 >= wall_us;
            (self.window_ms, self.window_commits, self.window_us) = (now.mono_ms(), 0, 0);
        }
    }

    /// It has ended.
    pub(super) fn end(&mut self) {
        self.ended = self.ticks();
        self.runs = false;
        let us = ticks::to_us(self.ended.wrapping_sub(self.begun));
        self.took_us = (self.took_us * 7 + us) / 8;
        self.window_commits += 1;
        self.window_us += us;
        self.must_count = true;
    }

    /// Whether it has ended since, and it is time to say how many it answers.
    pub(super) fn take_count(&mut self) -> bool {
        std::mem::take(&mut self.must_count)
    }

    /// So many clients are answered or wait for the next one.
    pub(super) fn expect(&mut self, clients: usize) {
        self.expected = clients;
    }

    /// Whether the next one waits, while so many clients have written.
    pub(super) fn must_gather(&mut self, clients: usize) -> bool {
        self.gathers = false;
        if clients >= self.expected {
            self.last_skipped = 0;
            return false;
        }
        if self.skipped > 0 {
            self.skipped -= 1;
            self.expected = 0;
            return false;
        }
        let most_us = (self.took_us / 2).min(MOST_WAIT_US);
        if ticks::to_us(self.ticks().wrapping_sub(self.ended)) >= most_us {
            // Most of them came: that was worth it.
            let in_vain = clients * 4 < self.expected * 3;
            self.last_skipped = if in_vain { (self.last_skipped * 2).clamp(1, MOST_SKIPPED) } else { 0 };
            self.skipped = self.last_skipped;
            self.expected = 0;
            return false;
        }
        self.gathers = true;
        true
    }

    /// Nothing came for a while.
    pub(super) fn rest(&mut self) {
        (self.is_disk_bound, self.gathers) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_waits_for_who_was_just_answered_but_not_in_vain_for_ever() {
        let mut commits = Commits { took_us: 1 << 40, ..Commits::default() };
        assert!(!commits.must_gather(1), "nobody was answered");
        commits.begun = ticks::now();
        commits.end();
        commits.expect(50);
        commits.took_us = 1 << 40;
        assert!(commits.must_gather(25) && commits.gathers);
        assert!(!commits.must_gather(50) && !commits.gathers, "all are back");
        let mut waits = 0;
        for _ in 0..1000 {
            commits.begun = ticks::now();
            commits.end();
            commits.expect(50);
            commits.took_us = 0;
            commits.gathers = false;
            // With no time to wait each try is in vain.
            waits += u32::from(commits.skipped == 0);
            assert!(!commits.must_gather(25));
        }
        assert!((10..40).contains(&waits), "{waits} of 1000 commits would have waited");
    }
}
