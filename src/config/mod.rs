//! Every option as one row of one table; the file, the flags, CONFIG.

