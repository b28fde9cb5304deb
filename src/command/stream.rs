//! Streams: the X commands.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
