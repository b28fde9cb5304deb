//! The append-only log: its files, what is in them, and the thread that puts them on the disk. Knows neither commands nor
//! clients; the bytes come from the journal.
//!
//! ```text
//! manifest   the list of the parts                    scan     where commands begin and end in them
//! find       which files there are at the start       log      what happens to them while the server runs
//! keeper     the thread beside the loop               check    the tool that looks for damage
//! script     a base of commands instead of a snapshot  open     the increment that is written
//! torn       where pages are missing that a cut of the power kept from the disk
//! ```

pub mod check;
pub mod find;
pub mod keeper;
pub mod log;
pub mod manifest;
mod open;
pub mod scan;
pub mod script;
pub mod torn;

#[cfg(test)]
mod tests;

pub use find::{FindFault, find};
pub use keeper::{Job, Keeper, News};
pub use log::{Log, Place, Sync, Tail};
pub use manifest::{Manifest, Part, PartKind, fuzz_manifest};
pub use scan::{Found, ScanFault, Scanner, fuzz_log};
