//! Who may do what: users, their passwords and rules, the log of what was refused, the brake on guessing. Knows commands
//! only by the numbers and names of a [`Catalog`]; no client, no reply, no key's value.
//!
//! ```text
//! rule words --Selector::apply--> bitmap of commands, patterns of keys and channels, databases   (when users change)
//! request    --User::admits-----> one bit, then each key against the patterns                    (on each request)
//! ```
//!
//! Beside what a user may do stands how much of it: `rate=N`, commands in a second, and `memory=N`, bytes that its connections
//! hold together. A user without either is not counted at all; whoever has one is RESTRICTED, so that others never ask.
//!
//! Invariant: a [`User`] never changes once it is in force. A change makes another one, which takes its place with all who
//! are logged in under its name: whoever checks a request holds what it needs and looks nothing up.

mod audit;
mod brake;
mod catalog;
mod log;
mod password;
mod pattern;
mod rules;
mod selector;
mod slow;
mod store;
mod user;

pub use audit::{Audit, Event};
pub use brake::{Brake, Reserved};
pub use catalog::{Catalog, Entry, Keys};
pub use log::{AclLog, LogContext, LogEntry, Reason, Refusal};
pub use password::{Password, sha_hex};
pub use pattern::{READ, WRITE};
pub use rules::{RuleError, Unmatched, has_blanks, merge_selectors};
pub use selector::Selector;
pub use slow::{SlowCheck, Worker};
pub use store::{Acl, LoadError, fuzz_rules};
pub use user::{Denied, RefusedWords, User, Verdict, What};
