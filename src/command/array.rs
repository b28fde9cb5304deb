//! Arrays: the AR commands.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
