//! A client's logical state: selected database, protocol version, transaction, what it will be sent. Knows no socket.

mod session;
mod sessions;

pub use session::{ConnId, Multi, Queued, ReplyMode, Session, mode};
pub use sessions::Sessions;
