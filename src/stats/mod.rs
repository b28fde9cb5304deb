//! What is counted: commands, errors, slow log, latency.

