//! The command table and the families.

