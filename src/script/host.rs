//! What a script may ask of the server.

use crate::resp::{Argv, Proto};
use crate::sys::loan::Lendable;

/// What becomes of a script that has run for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// It runs on.
    Continue,
    /// It ends with this error.
    Stop(&'static str),
}

/// The server, as a script sees it.
pub trait Host {
    /// Runs a command and writes its reply, in this version of the protocol. A refusal is an error reply.
    fn call(&mut self, argv: Argv<'_>, proto: Proto, out: &mut Vec<u8>);
    /// Writes to the server's log, at a level from 0 (debug) to 3 (warning).
    fn log(&mut self, level: u8, text: &[u8]);
    /// Whether the user may run a command; `None` if there is no such command.
    fn permits(&mut self, argv: Argv<'_>) -> Option<bool>;
    /// Chooses where effects go from here on: bit 0 the log, bit 1 the replicas.
    fn set_effects(&mut self, mask: u8);
    /// Asked now and then while Lua runs.
    fn interrupt(&mut self) -> Interrupt;
}

/// A host that is lent.
pub(super) struct LentHost;

impl Lendable for LentHost {
    type Lent<'a> = &'a mut (dyn Host + 'a);
}
