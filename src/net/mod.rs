//! The mio reactor: sockets and bytes, no command.

