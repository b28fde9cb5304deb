//! What reaches other sessions: WATCH, MONITOR.

