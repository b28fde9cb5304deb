//! Every option as one row of one table: the file, the command line, CONFIG, `--help WORD` and redis.conf all read it.
//!
//! Knows no server and no handler: a change is made on `Config` alone, and whoever asked for it applies what follows.

mod fault;
mod fields;
mod file;
mod help;
mod invocation;
mod option;
mod rewrite;
mod rows_data;
mod rows_many;
mod rows_network;
mod rows_server;
mod set;
mod special;
mod table;
mod value;

pub use fault::{Fault, Place, render_faults};
pub use fields::Config;
pub use file::{parse_file, parse_text};
pub use help::{about, render_redis_conf, usage};
pub use invocation::{DEFAULT_FILE, Invocation, Start};
pub use option::{BadValue, Kind, OptionRow, Special, flag};
pub use rewrite::{Rewrite, RewriteError};
pub use set::{SetContext, SetError};
pub use table::{OPTIONS, SUBJECTS, Subject, find, nearest};
pub use value::*;
