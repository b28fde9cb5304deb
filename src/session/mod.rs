//! A client's logical state.

