//! What outlives the process: RDB files and DUMP payloads, and the disk that they are written to. Knows entries and
//! databases; no client, no command.

pub mod aof;
pub mod leftover;
pub mod rdb;
pub mod seal;
pub mod snapshot;
pub mod storage;
pub mod vault;

#[cfg(test)]
pub(crate) mod sim;
#[cfg(test)]
mod tests;
