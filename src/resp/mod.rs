//! Bytes to requests, replies to bytes: RESP2 and RESP3.

pub mod reply;
pub mod request;
