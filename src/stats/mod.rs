//! What is counted and kept for whoever asks: commands, errors, slow commands, latency. Knows no handler.

mod commands;
mod errors;
mod slowlog;

pub use commands::{CommandStats, Histogram};
pub use errors::ErrorStats;
pub use slowlog::{Hidden, SlowEntry, SlowLog};

/// Counters of the whole server since its start or CONFIG RESETSTAT.
#[derive(Default, Debug, Clone)]
pub struct Totals {
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections turned away for `maxclients`.
    pub rejected_connections: u64,
    /// Commands executed.
    pub commands: u64,
    /// Bytes read from clients.
    pub input_bytes: u64,
    /// Bytes written to clients.
    pub output_bytes: u64,
    /// Error replies of all kinds.
    pub error_replies: u64,
    /// Read events handled.
    pub reads: u64,
    /// Write calls made.
    pub writes: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Clients closed because their replies were too many.
    pub output_limit_disconnections: u64,
    /// Clients closed because their request was too long.
    pub query_limit_disconnections: u64,
    /// Clients evicted for `maxmemory-clients`.
    pub evicted_clients: u64,
    /// Most memory that was in use, bytes.
    pub peak_used_bytes: u64,
    /// Commands refused because the client may not run them.
    pub auth_failures: u64,
}

/// All statistics.
pub struct Stats {
    /// Server-wide counters.
    pub totals: Totals,
    /// By row number of the command table.
    pub commands: Vec<CommandStats>,
    /// By error code.
    pub errors: ErrorStats,
    /// SLOWLOG.
    pub slowlog: SlowLog,
    /// Commands that take at least so many ticks are slow; the maximum turns the log off.
    pub slow_ticks: u64,
    /// Whether each command's latencies are kept.
    pub latency_tracking: bool,
}

impl Stats {
    /// Nothing counted yet, for a table of `rows` commands.
    pub fn new(rows: usize) -> Stats {
        Stats {
            totals: Totals::default(),
            commands: vec![CommandStats::default(); rows],
            errors: ErrorStats::default(),
            slowlog: SlowLog::default(),
            slow_ticks: u64::MAX,
            latency_tracking: true,
        }
    }
}
