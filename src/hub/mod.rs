//! What reaches other sessions: watched keys, awaited keys, MONITOR, pub/sub, keys that clients cache. Knows sessions by id only.

mod channels;
mod monitor;
mod patterns;
mod roster;
mod tracking;
mod waits;
mod watch;

pub use channels::{Channels, Topic};
pub use monitor::Monitors;
pub use tracking::{Broadcast, Tracking};
pub use waits::Waits;
pub use watch::{Presence, Watches};

use crate::base::hash::Hasher;

/// Which events about keys are published, and where: `notify-keyspace-events`.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Notify {
    /// Bits of `keyspace::class`.
    pub classes: u32,
    /// On `__keyspace@db__:key`.
    pub keyspace: bool,
    /// On `__keyevent@db__:event`.
    pub keyevent: bool,
}

/// Who listens to what.
pub struct Hub {
    /// WATCH.
    pub watches: Watches,
    /// MONITOR.
    pub monitors: Monitors,
    /// BLPOP and all that wait for keys.
    pub waits: Waits,
    /// SUBSCRIBE and its kin.
    pub channels: Channels,
    /// CLIENT TRACKING.
    pub tracking: Tracking,
    /// Events that are published.
    pub notify: Notify,
}

impl Hub {
    /// Nobody listens to anything.
    pub fn new(hasher: Hasher) -> Hub {
        Hub {
            watches: Watches::default(),
            monitors: Monitors::default(),
            waits: Waits::default(),
            channels: Channels::new(hasher),
            tracking: Tracking::new(hasher),
            notify: Notify::default(),
        }
    }
}
