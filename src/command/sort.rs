//! SORT and SORT_RO.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
