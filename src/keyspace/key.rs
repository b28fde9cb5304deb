//! A key with its hash, and a database's number.

use crate::base::hash::Hasher;

/// A database's number, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct DbIndex(pub u32);

/// A key's bytes and their hash, computed once for a request.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    /// The name.
    pub bytes: &'a [u8],
    /// Its hash under the process's seed.
    pub hash: u64,
}

impl<'a> Key<'a> {
    /// `bytes` hashed.
    #[inline]
    pub fn new(hasher: Hasher, bytes: &'a [u8]) -> Self {
        Key { bytes, hash: hasher.hash(bytes) }
    }
}
