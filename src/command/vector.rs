//! Vector sets: the V commands.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
