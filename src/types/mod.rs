//! The values that a key can hold, over the structures of ds.

