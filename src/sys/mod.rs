//! The system's calls, wrapped once: allocator, process, sockets, syslog.

pub mod alloc;
pub mod ticks;
pub mod io;
pub mod logging;
pub mod socket;
