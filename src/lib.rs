//! Redstart: a Redis-compatible in-memory server. The rooms, in reading order: each may use the ones above it, never one below.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod acl;
pub mod base;
pub mod command;
pub mod config;
#[allow(unsafe_code)]
pub mod ds;
pub mod hub;
pub mod journal;
pub mod keyspace;
pub mod net;
pub mod persist;
pub mod resp;
pub mod script;
pub mod server;
pub mod session;
pub mod stats;
#[allow(unsafe_code)]
pub mod sys;
pub mod tls;
pub mod types;
