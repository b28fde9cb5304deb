//! Approximate counts of distinct elements: PFADD, PFCOUNT, PFMERGE and their kin.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
