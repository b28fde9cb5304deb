//! Commands about the server itself: what it is, how it does, how it is set.

pub(super) mod admin;
pub mod append_log;
pub(super) mod command;
pub(super) mod config;
pub(super) mod debug;
mod describe;
pub(super) mod info;
pub(super) mod latency;
pub(super) mod memory;
pub mod persistence;
pub mod scrape;
pub(super) mod slowlog;

use super::table::Command;

/// A row of this family.
const SERVER: Command = Command { group: "server", ..Command::BLANK };
