//! TLS: certificates, keys and choices of the options, made into what a connection needs. Knows no socket and no client.
//!
//! ```text
//! files     PEM files -> certificates, keys, authorities; their stamps tell when they were renewed
//! choice    tls-protocols, tls-ciphers, tls-ciphersuites -> versions and suites
//! names     what a certificate says of its holder
//! verify    which certificates of peers are good
//! sessions  what is kept so that a client can resume
//! setup     all of these -> `ServerSide`, `ClientSide`
//! ```
//!
//! Invariant: what is built is whole; a set of options that can't be made into it is refused with the option's name, and
//! whatever was in use before stays in use.

mod choice;
mod files;
mod names;
mod sessions;
mod setup;
mod verify;

pub use files::TlsError;
pub use names::{common_name, uris};
pub use setup::{ClientSide, Credentials, Link, ServerSide, Setup, Trust};

/// The side of a session that the reactor drives.
pub type ServerSession = rustls::server::UnbufferedServerConnection;
