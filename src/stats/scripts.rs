//! What INFO tells of scripts and functions. Filled by whoever keeps them.

/// Counts and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScriptFigures {
    /// Bytes of the Lua state of EVAL.
    pub vm_eval_bytes: u64,
    /// Bytes of the texts of cached scripts.
    pub scripts_bytes: u64,
    /// Cached scripts.
    pub scripts: u64,
    /// Scripts forgotten for others.
    pub evicted: u64,
    /// Bytes of the Lua state of functions.
    pub vm_functions_bytes: u64,
    /// Bytes of the libraries beside it.
    pub functions_bytes: u64,
    /// Libraries.
    pub libraries: u64,
    /// Functions.
    pub functions: u64,
}
