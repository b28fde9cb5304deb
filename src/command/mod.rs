//! The command table and the families. A command is one row and one function in one family file; what it may see of the
//! rooms above comes to it through `Ctx`. COMMAND, arity errors, HELP and the README's table are derived from the rows.

mod args;
mod ctx;
mod error;
mod execute;
mod gate;
mod table;

mod generic;
mod string;

pub use args::Args;
pub use ctx::{Ask, Ctx, Debug, Facts, Flow, Outcome, PauseKind, Shutdown};
pub use error::CmdError;
pub use execute::{Handled, end_unit, execute, refuse_protocol, resolve};
pub use table::{Arg, ArgType, Begin, Command, Find, Handler, KeySpec, Row, Table, acl, flag, key_flag};
