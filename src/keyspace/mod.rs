//! Databases: key to value, with deadlines, eviction and scan. Knows no client, no reply, no file.
//!
//! `DbView` is what a command sees: the selected database at one moment in time. Reading expires lazily and counts hits;
//! `edit` is the one door through which a value changes, and `Edit::finish` the one place where a change is announced.

mod alarms;
mod awaited;
pub mod cut;
mod db;
mod edit;
mod events;
pub mod evict;
pub mod expire;
mod key;
mod lazyfree;
mod subkeys;

pub use awaited::{Awaited, AwaitedId};
pub use db::{Book, Counters, Db, DbView, Deadline, Keyspace, Touch, Vanished, WrongType};
pub use edit::{Edit, Missing};
pub use events::{Event, KeyEvent, class};
pub use key::{DbIndex, Key};
pub use lazyfree::LazyFree;
pub use subkeys::Subkeys;
