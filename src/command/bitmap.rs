//! Strings as arrays of bits: GETBIT, SETBIT, BITCOUNT, BITPOS, BITOP, BITFIELD.

use super::table::Command;

/// The family.
pub const COMMANDS: &[Command] = &[];
