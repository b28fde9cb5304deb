//! A client's logical state: selected database, protocol version, transaction, what it will be sent. Knows no socket.

mod caching;
mod fieldsets;
mod sessions;
mod state;

pub use caching::{Caching, OnlyIf, Redirect};
pub use fieldsets::{DuplicateField, Fieldsets};
pub use sessions::Sessions;
pub use state::{Blocked, ConnId, Multi, Owed, Queued, ReplyMode, Session, mode};
