//! A client's logical state: selected database, protocol version, transaction, what it will be sent. Knows no socket.

mod client;
mod sessions;

pub use client::{ConnId, Multi, Queued, ReplyMode, Session, mode};
pub use sessions::Sessions;
