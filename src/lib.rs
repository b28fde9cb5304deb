//! Redstart: a Redis-compatible in-memory server. The rooms, in reading order: each may use the ones above it, never one below.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod base;
#[allow(unsafe_code)]
pub mod sys;
#[allow(unsafe_code)]
pub mod ds;
pub mod resp;
pub mod types;
pub mod keyspace;
pub mod journal;
pub mod session;
pub mod hub;
pub mod config;
pub mod stats;
pub mod command;
pub mod server;
pub mod net;
