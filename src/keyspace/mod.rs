//! Databases: key to value, expiry, eviction, scan.

