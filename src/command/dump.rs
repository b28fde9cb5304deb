//! Values as bytes: DUMP and RESTORE.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
