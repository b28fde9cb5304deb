//! The mio reactor: listeners, connections, the turn of reads, work and writes. Knows bytes and connections, no command.
//!
//! ```text
//! one turn:   wait -> accept -> read all that is ready -> Service::handle_turn -> before_wait -> one write per connection
//!             -> after_writes
//! ```
//!
//! Edge-triggered: both interests are registered once, at accept. A read that returns less than was offered has drained the
//! socket and is not repeated; a write is tried at once and the writable edge only waited for if the kernel took less.
//! A connection with TLS takes a way of its own (`tls`, `secure`) at one branch each for reading and writing.

mod conn;
mod listener;
mod reactor;
mod secure;
mod service;
mod tls;

pub use listener::Listener;
pub use reactor::{LentReactor, Reactor};
pub use service::{Doors, Input, Peer, Service};
