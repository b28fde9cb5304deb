//! Lua 5.1: scripts and libraries of functions. A script is lent a way to call the server (`Host`); it knows no command,
//! no key and no client.
//!
//! ```text
//! Scripts      the cache of EVAL's scripts, and the libraries; each kind has an interpreter of its own, made when needed
//! Interpreter  a Lua state in its sandbox: compiles, runs, says where an error came from, bounds memory and time
//! natives      redis.*, cjson, cmsgpack, struct, bit: functions of ours that Lua calls
//! Host         what a script may ask of the server, lent for one run
//! ```
//!
//! Invariant: nothing of a run outlives it in the interpreter but the strings and tables that Lua's collector will find:
//! the globals are read-only, and what is lent is taken back.

mod api;
mod bits;
mod cjson;
mod header;
mod host;
mod interpreter;
mod layout;
mod library;
mod msgpack;
mod native;
mod random;
mod reply;
mod sandbox;
mod store;

pub use header::flags;
pub use host::{Host, Interrupt};
pub use interpreter::Failed;
pub use library::{FunctionRow, LibraryRow};
pub use reply::write_value;
pub use store::{Found, Kind, Restore, RunName, Running, Scripts, Sha, sha_of};
