//! What reaches other sessions: watched keys, awaited keys, MONITOR. Knows sessions by id only.

mod monitor;
mod waits;
mod watch;

pub use monitor::Monitors;
pub use waits::Waits;
pub use watch::{Presence, Watches};

/// Who listens to what.
#[derive(Default)]
pub struct Hub {
    /// WATCH.
    pub watches: Watches,
    /// MONITOR.
    pub monitors: Monitors,
    /// BLPOP and all that wait for keys.
    pub waits: Waits,
}
