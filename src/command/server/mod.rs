//! Commands about the server itself: what it is, how it does, how it is set.

// mod admin
pub(super) mod command;
// mod config
// mod debug
mod describe;
// mod info
// mod latency
// mod memory
// mod slowlog

use super::ctx::{Ctx, Flow, Outcome};
use super::table::Command;

/// A row of this family.
const SERVER: Command = Command { group: "server", ..Command::BLANK };

/// The reply of a container's HELP: a first line, the lines given, and those about HELP itself.
fn reply_help(cx: &mut Ctx<'_>, name: &str, lines: &[&str]) -> Outcome {
    cx.reply.array(lines.len() + 3);
    cx.reply.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for line in lines {
        cx.reply.simple(line);
    }
    cx.reply.simple("HELP");
    cx.reply.simple("    Prints this help.");
    Ok(Flow::Done)
}
