//! Clock, randomness, number and float text, glob patterns, quoting: what knows nothing else.

pub mod clock;
pub mod crc;
pub mod digest;
pub mod float;
pub mod glob;
pub mod hash;
pub mod lzf;
pub mod number;
pub mod rng;
pub mod text;
pub mod version;
