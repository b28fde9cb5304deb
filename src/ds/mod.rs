//! Data structures: bytes and pointers, no key, no reply.

pub mod array;
pub mod bits;
pub mod blob;
pub mod hnsw;
pub mod idtree;
pub mod intset;
pub mod listpack;
pub mod overlay;
pub mod prefetch;
pub mod quicklist;
pub mod record;
pub mod sorted;
pub mod table;
pub mod timeline;
