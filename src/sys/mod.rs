//! The system's calls, wrapped once: allocator, process, sockets, clocks, log, crash reports.

pub mod alloc;
pub mod crash;
pub mod host;
pub mod io;
pub mod listen;
pub mod loan;
pub mod logging;
pub mod lua;
pub mod process;
pub mod socket;
pub mod thread;
pub mod ticks;
pub mod title;
pub mod warm;
