//! Clock, randomness, number and float text, glob patterns, regular expressions, quoting: what knows nothing else.

pub mod clock;
pub mod crc;
pub mod digest;
pub mod float;
pub mod glob;
pub mod hash;
pub mod lzf;
pub mod number;
pub mod regex;
pub mod rng;
pub mod text;
pub mod version;
