//! The system's calls, wrapped once: allocator, process, sockets, syslog.

pub mod alloc;
