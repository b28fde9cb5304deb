//! What is counted and kept for whoever asks: commands, errors, slow commands, latency. Knows no handler.

mod clients;
mod commands;
mod errors;
pub mod info;
mod latency;
mod memory;
pub mod metrics;
mod persistence;
mod rates;
mod scripts;
mod slowlog;

pub use clients::RecentMax;
pub use commands::{CommandStats, Histogram};
pub use errors::ErrorStats;
pub use latency::{LatencyMonitor, Sample, Series, Summary};
pub use memory::{MemoryFigures, Ratio, human};
pub use persistence::{Loading, LogFigures, Persistence, Running};
pub use rates::{Rate, Rates};
pub use scripts::ScriptFigures;
pub use slowlog::{Hidden, SlowEntry, SlowLog};

use crate::base::clock::Now;
use crate::sys::ticks;

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
    /// Ticks of work in them, waiting left out.
    pub busy_ticks: u64,
    /// Ticks of the longest turn.
    pub longest_turn_ticks: u64,
    /// Most commands executed in one turn.
    pub most_turn_commands: u64,
    /// Ticks spent on what is done ten times a second.
    pub cron_ticks: u64,
    /// Ticks spent on keys whose time had come.
    pub expire_ticks: u64,
    /// Clients closed because their replies were too many.
    pub output_limit_disconnections: u64,
    /// Clients closed because their request was too long.
    pub query_limit_disconnections: u64,
    /// Clients evicted for `maxmemory-clients`.
    pub evicted_clients: u64,
    /// Most memory that was in use, bytes.
    pub peak_used_bytes: u64,
    /// Connections that MIGRATE keeps to other servers.
    pub migrate_links: u64,
    /// Wrong names and passwords.
    pub auth_failures: u64,
    /// Requests refused for their command.
    pub denied_commands: u64,
    /// Requests refused for a key.
    pub denied_keys: u64,
    /// Requests refused for a channel.
    pub denied_channels: u64,
    /// Certificates of clients that named no user (`tls-auth-clients-user`).
    pub denied_certificates: u64,
    /// Requests refused for a database.
    pub denied_databases: u64,
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
    /// The latency monitor.
    pub latency: LatencyMonitor,
    /// Counters per second.
    pub rates: Rates,
    /// Largest input buffers of the last seconds, bytes.
    pub recent_input_bytes: RecentMax,
    /// Largest replies waiting in the last seconds, bytes.
    pub recent_output_bytes: RecentMax,
    /// Commands that take at least so many ticks are slow; the maximum turns the log off.
    pub slow_ticks: u64,
    /// Commands that take at least so many ticks are worth a second look: they are slow, or for the latency monitor.
    pub notable_ticks: u64,
    /// Whether each command's latencies are kept.
    pub latency_tracking: bool,
    /// Snapshots and loads.
    pub persistence: Persistence,
}

impl Stats {
    /// Nothing counted yet, for a table of `rows` commands.
    pub fn new(rows: usize, now: Now) -> Stats {
        Stats {
            totals: Totals::default(),
            commands: vec![CommandStats::default(); rows],
            errors: ErrorStats::default(),
            slowlog: SlowLog::default(),
            latency: LatencyMonitor::default(),
            rates: Rates::default(),
            recent_input_bytes: RecentMax::default(),
            recent_output_bytes: RecentMax::default(),
            slow_ticks: u64::MAX,
            notable_ticks: u64::MAX,
            latency_tracking: true,
            persistence: Persistence::new(now),
        }
    }

    /// Takes over the options. `None` and 0 turn the slow log and the latency monitor off.
    pub fn set_thresholds(&mut self, slow_us: Option<u64>, latency_ms: u64, tracking: bool) {
        let latency_ticks = if latency_ms == 0 { u64::MAX } else { ticks::from_us(latency_ms.saturating_mul(1000)) };
        self.slow_ticks = slow_us.map_or(u64::MAX, ticks::from_us);
        self.notable_ticks = self.slow_ticks.min(latency_ticks);
        self.latency.threshold_ms = latency_ms;
        self.latency_tracking = tracking;
    }

    /// CONFIG RESETSTAT: counts anew. The slow log, the latency monitor and the peak of memory stay.
    pub fn reset(&mut self) {
        let peak_used_bytes = self.totals.peak_used_bytes;
        let migrate_links = self.totals.migrate_links;
        self.totals = Totals { peak_used_bytes, migrate_links, ..Totals::default() };
        self.rates = Rates::default();
        self.errors.clear();
        self.commands.iter_mut().for_each(|command| *command = CommandStats::default());
    }

    /// A turn is over: it worked for so many ticks, and before it so many commands had been executed.
    #[inline]
    pub fn turn_ended(&mut self, busy_ticks: u64, commands_before: u64) {
        let totals = &mut self.totals;
        totals.busy_ticks += busy_ticks;
        totals.longest_turn_ticks = totals.longest_turn_ticks.max(busy_ticks);
        let commands = totals.commands.saturating_sub(commands_before);
        totals.most_turn_commands = totals.most_turn_commands.max(commands);
    }

    /// A sample of all rates; called each tenth of a second.
    pub fn sample(&mut self, mono_ms: u64) {
        let (totals, rates) = (&self.totals, &mut self.rates);
        rates.commands.sample(totals.commands, mono_ms);
        rates.input_bytes.sample(totals.input_bytes, mono_ms);
        rates.output_bytes.sample(totals.output_bytes, mono_ms);
        rates.turns.sample(totals.turns, mono_ms);
        rates.turn_us.sample(ticks::to_us(totals.busy_ticks), totals.turns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_keeps_what_is_no_count() {
        let mut stats = Stats::new(3, Now::at_unix_ms(0));
        stats.totals.commands = 5;
        stats.totals.peak_used_bytes = 7;
        stats.commands[1].record(100, true);
        stats.errors.record("ERR");
        stats.latency.threshold_ms = 1;
        stats.latency.record("command", 1, 5);
        stats.reset();
        assert_eq!((stats.totals.commands, stats.totals.peak_used_bytes, stats.commands[1].calls), (0, 7, 0));
        assert_eq!((stats.errors.iter().count(), stats.latency.iter().count()), (0, 1));
    }

    #[test]
    fn the_lower_threshold_decides_what_is_looked_at() {
        let mut stats = Stats::new(0, Now::at_unix_ms(0));
        stats.set_thresholds(None, 0, true);
        assert_eq!((stats.slow_ticks, stats.notable_ticks), (u64::MAX, u64::MAX));
        stats.set_thresholds(Some(10_000), 1, false);
        assert!(stats.notable_ticks < stats.slow_ticks && !stats.latency_tracking);
        stats.set_thresholds(Some(0), 1, false);
        assert_eq!(stats.notable_ticks, 0);
    }
}
