//! What reaches other sessions: watched keys, MONITOR. Knows sessions by id only.

mod monitor;
mod watch;

pub use monitor::Monitors;
pub use watch::{Presence, Watches};

/// Who listens to what.
#[derive(Default)]
pub struct Hub {
    /// WATCH.
    pub watches: Watches,
    /// MONITOR.
    pub monitors: Monitors,
}
