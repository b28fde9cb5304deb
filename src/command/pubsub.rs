//! Channels: PUBLISH, SUBSCRIBE and their kin, sharded ones, PUBSUB.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
