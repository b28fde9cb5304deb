//! Places on the earth in sorted sets: the GEO commands.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
