//! INFO as a table: sections of fields, each a name and a function from the server's state to a value. What a feature that
//! does not exist yet would tell shows its true neutral value. Knows no client's request.
//!
//! Names are those of Redis 7.2 and stay from release to release: monitoring reads them. Our own come last in a section.

use super::commands::CommandStats;
use super::memory::{MemoryFigures, human};
use super::{Rate, ScriptFigures, Stats};
use crate::base::clock::{Now, lru_clock};
use crate::base::version;
use crate::config::{Config, percentile_text};
use crate::hub::{Hub, Topic};
use crate::keyspace::Keyspace;
use crate::session::{Session, Sessions, mode};
use crate::sys::host::{self, Who};
use crate::sys::{alloc, ticks};
use std::borrow::Cow;
use std::fmt::Write as _;

/// What INFO says about the process.
#[derive(Clone, Copy)]
pub struct Process<'a> {
    /// 40 hexadecimal digits, new at each start.
    pub run_id: &'a str,
    /// 40 hexadecimal digits that name the stream of changes.
    pub replid: &'a str,
    /// When it started.
    pub started: Now,
    /// Path of the program.
    pub executable: &'a str,
}

/// All that INFO looks at.
pub struct Source<'a> {
    /// The moment.
    pub now: Now,
    /// The process.
    pub process: Process<'a>,
    /// The options.
    pub config: &'a Config,
    /// The data.
    pub keyspace: &'a Keyspace,
    /// The client that asks.
    pub session: &'a Session,
    /// All other clients.
    pub sessions: &'a Sessions,
    /// Who watches what.
    pub hub: &'a Hub,
    /// The statistics.
    pub stats: &'a Stats,
    /// Full name and figures of each command.
    pub commands: Vec<(&'a str, &'a CommandStats)>,
    /// Where the memory is, if that is asked for.
    pub memory: Option<MemoryFigures>,
    /// Scripts and functions.
    pub scripts: ScriptFigures,
}

impl Source<'_> {
    fn memory(&self) -> MemoryFigures {
        self.memory.unwrap_or_default()
    }

    fn uptime_secs(&self) -> u64 {
        (self.now.mono_ns - self.process.started.mono_ns) / 1_000_000_000
    }
}

/// A field's value.
pub enum Value {
    /// Not shown now.
    Absent,
    /// A whole number.
    Int(i128),
    /// A number with two decimals.
    Hundredths(f64),
    /// Text.
    Text(Cow<'static, str>),
}

macro_rules! values_from {
    ($($int:ty),*) => { $(impl From<$int> for Value { fn from(n: $int) -> Value { Value::Int(n as i128) } })* };
}
values_from!(u16, i32, u32, i64, u64, usize);

impl From<bool> for Value {
    fn from(yes: bool) -> Value {
        Value::Int(i128::from(yes))
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Value {
        Value::Hundredths(x)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text.into())
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Value {
        Value::Text(text.into())
    }
}

/// One field.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its value now.
    pub value: fn(&Source<'_>) -> Value,
}

/// One section.
pub struct Section {
    /// Its name, as its heading shows it.
    pub name: &'static str,
    /// Shown when nothing is asked for.
    pub default: bool,
    /// Shown only when it is named.
    pub hidden: bool,
    /// Its fields.
    pub fields: &'static [Field],
    /// Lines of which there are as many as there are things.
    pub list: Option<fn(&Source<'_>, &mut String)>,
}

macro_rules! fields {
    ($($name:literal => $value:expr;)*) => { &[$(Field { name: $name, value: |s| to_value($value, s) }),*] };
}

fn to_value<V: Into<Value>>(value: fn(&Source<'_>) -> V, source: &Source<'_>) -> Value {
    value(source).into()
}

const fn section(name: &'static str, fields: &'static [Field]) -> Section {
    Section { name, default: true, hidden: false, fields, list: None }
}

const fn listing(name: &'static str, default: bool, list: fn(&Source<'_>, &mut String)) -> Section {
    Section { name, default, hidden: false, fields: &[], list: Some(list) }
}

/// All sections, in the order in which they are shown.
pub static SECTIONS: &[Section] = &[
    Section { list: Some(listeners), ..section("Server", SERVER) },
    section("Clients", CLIENTS),
    section("Memory", MEMORY),
    Section { list: Some(log_sizes), ..section("Persistence", PERSISTENCE) },
    section("Stats", STATS),
    section("Replication", REPLICATION),
    section("CPU", CPU),
    section("Modules", &[]),
    listing("Commandstats", false, commandstats),
    listing("Errorstats", true, errorstats),
    listing("Latencystats", false, latencystats),
    section("Cluster", fields! { "cluster_enabled" => |s| s.config.cluster_enabled; }),
    listing("Keyspace", true, keyspace),
    Section { default: false, hidden: true, ..section("Debug", DEBUG) },
];

const SERVER: &[Field] = fields! {
    "redis_version" => |_| version::REDIS;
    "redis_git_sha1" => |_| version::COMMIT;
    "redis_git_dirty" => |_| version::DIRTY;
    "redis_build_id" => |_| version::build_id();
    "redis_mode" => |s| if s.config.cluster_enabled { "cluster" } else { "standalone" };
    "os" => |_| host::system_name();
    "arch_bits" => |_| usize::BITS;
    "monotonic_clock" => |_| "POSIX clock_gettime";
    "multiplexing_api" => |_| "epoll";
    "atomicvar_api" => |_| "rust-std";
    "gcc_version" => |_| "0.0.0";
    "process_id" => |_| std::process::id();
    "process_supervised" => |s| s.config.supervised.word();
    "run_id" => |s| s.process.run_id.to_owned();
    "tcp_port" => |s| if s.config.port == 0 { s.config.tls_port } else { s.config.port };
    "server_time_usec" => |s| s.now.unix_us;
    "uptime_in_seconds" => |s| s.uptime_secs();
    "uptime_in_days" => |s| s.uptime_secs() / 86_400;
    "hz" => |s| s.config.hz;
    "configured_hz" => |s| s.config.hz;
    "lru_clock" => |s| lru_clock(s.now);
    "executable" => |s| s.process.executable.to_owned();
    "config_file" => |s| s.config.config_file.as_ref().map_or(String::new(), |p| p.to_string_lossy().into_owned());
    "io_threads_active" => |_| 0;
    "server_name" => |_| "redstart";
    "redstart_version" => |_| version::REDSTART;
};

const CLIENTS: &[Field] = fields! {
    "connected_clients" => |s| s.sessions.len();
    "cluster_connections" => |_| 0;
    "maxclients" => |s| s.config.maxclients;
    "client_recent_max_input_buffer" => |s| s.stats.recent_input_bytes.max(s.now.unix_secs());
    "client_recent_max_output_buffer" => |s| s.stats.recent_output_bytes.max(s.now.unix_secs());
    "blocked_clients" => |s| s.sessions.iter().filter(|session| session.is(mode::BLOCKED | mode::PAUSED)).count();
    "tracking_clients" => |s| s.hub.tracking.clients().len();
    "pubsub_clients" => |s| s.hub.channels.subscribers();
    "watching_clients" => |s| s.hub.watches.sessions();
    "clients_in_timeout_table" => |s| s.hub.waits.with_deadline();
    "total_watched_keys" => |s| s.hub.watches.keys();
    "total_blocking_keys" => |s| s.keyspace.book.awaited.len();
    "total_blocking_keys_on_nokey" => |s| s.keyspace.book.awaited.minded();
};

const MEMORY: &[Field] = fields! {
    "used_memory" => |s| s.memory().used;
    "used_memory_human" => |s| human(s.memory().used);
    "used_memory_rss" => |s| s.memory().resident;
    "used_memory_rss_human" => |s| human(s.memory().resident);
    "used_memory_peak" => |s| s.memory().peak;
    "used_memory_peak_human" => |s| human(s.memory().peak);
    "used_memory_peak_perc" => |s| format!("{:.2}%", s.memory().peak_percent());
    "used_memory_overhead" => |s| s.memory().overhead;
    "used_memory_startup" => |s| s.memory().startup;
    "used_memory_dataset" => |s| s.memory().dataset();
    "used_memory_dataset_perc" => |s| format!("{:.2}%", s.memory().dataset_percent());
    "allocator_allocated" => |s| s.memory().allocator.allocated;
    "allocator_active" => |s| s.memory().allocator.active;
    "allocator_resident" => |s| s.memory().allocator.resident;
    "allocator_muzzy" => |_| 0;
    "total_system_memory" => |s| s.memory().system;
    "total_system_memory_human" => |s| human(s.memory().system);
    "used_memory_lua" => |s| s.scripts.vm_eval_bytes;
    "used_memory_vm_eval" => |s| s.scripts.vm_eval_bytes;
    "used_memory_lua_human" => |s| human(s.scripts.vm_eval_bytes);
    "used_memory_scripts_eval" => |s| s.scripts.scripts_bytes;
    "number_of_cached_scripts" => |s| s.scripts.scripts;
    "number_of_functions" => |s| s.scripts.functions;
    "number_of_libraries" => |s| s.scripts.libraries;
    "used_memory_vm_functions" => |s| s.scripts.vm_functions_bytes;
    "used_memory_vm_total" => |s| s.scripts.vm_eval_bytes + s.scripts.vm_functions_bytes;
    "used_memory_vm_total_human" => |s| human(s.scripts.vm_eval_bytes + s.scripts.vm_functions_bytes);
    "used_memory_functions" => |s| s.scripts.functions_bytes;
    "used_memory_scripts" => |s| s.scripts.scripts_bytes + s.scripts.functions_bytes;
    "used_memory_scripts_human" => |s| human(s.scripts.scripts_bytes + s.scripts.functions_bytes);
    "maxmemory" => |s| s.config.maxmemory;
    "maxmemory_human" => |s| human(s.config.maxmemory);
    "maxmemory_policy" => |s| s.config.maxmemory_policy.word();
    "allocator_frag_ratio" => |s| s.memory().allocator_frag().ratio;
    "allocator_frag_bytes" => |s| s.memory().allocator_frag().bytes;
    "allocator_rss_ratio" => |s| s.memory().allocator_rss().ratio;
    "allocator_rss_bytes" => |s| s.memory().allocator_rss().bytes;
    "rss_overhead_ratio" => |s| s.memory().rss_overhead().ratio;
    "rss_overhead_bytes" => |s| s.memory().rss_overhead().bytes;
    "mem_fragmentation_ratio" => |s| s.memory().fragmentation().ratio;
    "mem_fragmentation_bytes" => |s| s.memory().fragmentation().bytes;
    "mem_not_counted_for_evict" => |_| 0;
    "mem_replication_backlog" => |_| 0;
    "mem_total_replication_buffers" => |_| 0;
    "mem_clients_slaves" => |_| 0;
    "mem_clients_normal" => |s| s.memory().clients;
    "mem_cluster_links" => |_| 0;
    "mem_aof_buffer" => |s| s.stats.persistence.log.held_bytes();
    "mem_overhead_db_hashtable_rehashing" => |_| 0;
    "mem_allocator" => |_| alloc::version();
    "active_defrag_running" => |_| 0;
    "lazyfree_pending_objects" => |s| s.keyspace.book.lazyfree.as_ref().map_or(0, |thread| thread.pending());
    "lazyfreed_objects" => |s| {
        let book = &s.keyspace.book;
        book.counters.freed_at_once + book.lazyfree.as_ref().map_or(0, |thread| thread.freed())
    };
};

const PERSISTENCE: &[Field] = fields! {
    "loading" => |s| s.stats.persistence.loading.is_some();
    "async_loading" => |_| 0;
    "current_cow_peak" => |s| s.stats.persistence.running.map_or(0, |run| run.extra_bytes_most);
    "current_cow_size" => |s| s.stats.persistence.running.map_or(0, |run| run.extra_bytes);
    "current_cow_size_age" => |_| 0;
    "current_fork_perc" => |s| {
        s.stats.persistence.running.map_or(0.0, |run| 100.0 * run.keys_done as f64 / run.keys_total.max(1) as f64)
    };
    "current_save_keys_processed" => |s| s.stats.persistence.running.map_or(0, |run| run.keys_done);
    "current_save_keys_total" => |s| s.stats.persistence.running.map_or(0, |run| run.keys_total);
    "rdb_changes_since_last_save" => |s| s.keyspace.book.dirty;
    "rdb_bgsave_in_progress" => |s| u64::from(s.stats.persistence.running.is_some());
    "rdb_last_save_time" => |s| s.stats.persistence.last_save_secs;
    "rdb_last_bgsave_status" => |s| if s.stats.persistence.last_save_ok { "ok" } else { "err" };
    "rdb_last_bgsave_time_sec" => |s| s.stats.persistence.last_bgsave_secs.map_or(-1, |secs| secs as i64);
    "rdb_current_bgsave_time_sec" => |s| s.stats.persistence.running.map_or(-1, |run| s.now.unix_secs() - run.since_secs);
    "rdb_saves" => |s| s.stats.persistence.saves;
    "rdb_last_cow_size" => |s| s.stats.persistence.last_extra_bytes;
    "rdb_last_load_keys_expired" => |s| s.stats.persistence.load_expired;
    "rdb_last_load_keys_loaded" => |s| s.stats.persistence.load_keys;
    "aof_enabled" => |s| usize::from(s.stats.persistence.log.is_on);
    "aof_rewrite_in_progress" => |s| usize::from(s.stats.persistence.log.rewriting_since_secs.is_some());
    "aof_rewrite_scheduled" => |s| usize::from(s.stats.persistence.log.rewrite_scheduled);
    "aof_last_rewrite_time_sec" => |s| s.stats.persistence.log.last_rewrite_secs.map_or(-1, |secs| secs as i64);
    "aof_current_rewrite_time_sec" => |s| s.stats.persistence.log.rewriting_since_secs.map_or(-1, |since| s.now.unix_secs() - since);
    "aof_last_bgrewrite_status" => |s| if s.stats.persistence.log.rewrite_failed { "err" } else { "ok" };
    "aof_rewrites" => |s| s.stats.persistence.log.rewrites;
    "aof_rewrites_consecutive_failures" => |s| s.stats.persistence.log.failures;
    "aof_last_write_status" => |s| if s.stats.persistence.log.fault.is_some() { "err" } else { "ok" };
    "aof_last_cow_size" => |s| s.stats.persistence.log.last_extra_bytes;
    "module_fork_in_progress" => |_| 0;
    "module_fork_last_cow_size" => |_| 0;
    "loading_start_time" => |s| loading(s, |load| load.since_secs.into());
    "loading_total_bytes" => |s| loading(s, |load| load.total_bytes.into());
    "loading_rdb_used_mem" => |s| loading(s, |_| 0.into());
    "loading_loaded_bytes" => |s| loading(s, |load| load.done_bytes.into());
    "loading_loaded_perc" => |s| loading(s, |load| load.percent().into());
    "loading_eta_seconds" => |s| loading(s, |load| load.rest_secs(s.now.unix_secs()).into());
    "snapshot_pre_images" => |s| cut_costs(s).pre_images;
    "snapshot_longest_step_us" => |s| cut_costs(s).longest_step_us;
    "snapshot_extra_bytes_peak" => |s| {
        s.stats.persistence.running.map_or(s.stats.persistence.last_extra_bytes, |run| run.extra_bytes_most)
    };
    "snapshot_bytes_per_second" => |s| s.stats.persistence.last_save_rate;
};

/// Of the load that is going on.
fn loading(s: &Source<'_>, value: impl FnOnce(&super::Loading) -> Value) -> Value {
    s.stats.persistence.loading.as_ref().map_or(Value::Absent, value)
}

/// What the running cut costs, or the last one cost.
fn cut_costs(s: &Source<'_>) -> crate::keyspace::cut::CutCosts {
    let book = &s.keyspace.book;
    book.cut.as_ref().filter(|cut| cut.is_wanted()).map_or(book.last_cut, |cut| cut.costs())
}

const STATS: &[Field] = fields! {
    "total_connections_received" => |s| s.stats.totals.connections_received;
    "total_commands_processed" => |s| s.stats.totals.commands;
    "instantaneous_ops_per_sec" => |s| whole(&s.stats.rates.commands);
    "total_net_input_bytes" => |s| s.stats.totals.input_bytes;
    "total_net_output_bytes" => |s| s.stats.totals.output_bytes;
    "total_net_repl_input_bytes" => |_| 0;
    "total_net_repl_output_bytes" => |_| 0;
    "instantaneous_input_kbps" => |s| s.stats.rates.input_bytes.per_second() / 1024.0;
    "instantaneous_output_kbps" => |s| s.stats.rates.output_bytes.per_second() / 1024.0;
    "instantaneous_input_repl_kbps" => |_| 0.0;
    "instantaneous_output_repl_kbps" => |_| 0.0;
    "rejected_connections" => |s| s.stats.totals.rejected_connections;
    "sync_full" => |_| 0;
    "sync_partial_ok" => |_| 0;
    "sync_partial_err" => |_| 0;
    "expired_subkeys" => |s| s.keyspace.book.counters.expired_subkeys;
    "expired_keys" => |s| s.keyspace.book.counters.expired;
    "expired_stale_perc" => |_| 0.0;
    "expired_time_cap_reached_count" => |s| s.keyspace.book.counters.expired_time_cap_reached;
    "expire_cycle_cpu_milliseconds" => |s| ticks::to_us(s.stats.totals.expire_ticks) / 1000;
    "evicted_keys" => |s| s.keyspace.book.counters.evicted;
    "evicted_clients" => |s| s.stats.totals.evicted_clients;
    "evicted_scripts" => |s| s.scripts.evicted;
    "total_eviction_exceeded_time" => |_| 0;
    "current_eviction_exceeded_time" => |_| 0;
    "keyspace_hits" => |s| s.keyspace.book.counters.hits;
    "keyspace_misses" => |s| s.keyspace.book.counters.misses;
    "pubsub_channels" => |s| s.hub.channels.count(Topic::Channel);
    "pubsub_patterns" => |s| s.hub.channels.count(Topic::Pattern);
    "pubsubshard_channels" => |s| s.hub.channels.count(Topic::Shard);
    "latest_fork_usec" => |_| 0;
    "total_forks" => |_| 0;
    "migrate_cached_sockets" => |s| s.stats.totals.migrate_links;
    "slave_expires_tracked_keys" => |_| 0;
    "active_defrag_hits" => |_| 0;
    "active_defrag_misses" => |_| 0;
    "active_defrag_key_hits" => |_| 0;
    "active_defrag_key_misses" => |_| 0;
    "total_active_defrag_time" => |_| 0;
    "current_active_defrag_time" => |_| 0;
    "tracking_total_keys" => |s| s.hub.tracking.keys();
    "tracking_total_items" => |s| s.hub.tracking.items();
    "tracking_total_prefixes" => |s| s.hub.tracking.prefixes();
    "unexpected_error_replies" => |_| 0;
    "total_error_replies" => |s| s.stats.totals.error_replies;
    "dump_payload_sanitizations" => |_| 0;
    "total_reads_processed" => |s| s.stats.totals.reads;
    "total_writes_processed" => |s| s.stats.totals.writes;
    "io_threaded_reads_processed" => |_| 0;
    "io_threaded_writes_processed" => |_| 0;
    "client_query_buffer_limit_disconnections" => |s| s.stats.totals.query_limit_disconnections;
    "client_output_buffer_limit_disconnections" => |s| s.stats.totals.output_limit_disconnections;
    "reply_buffer_shrinks" => |_| 0;
    "reply_buffer_expands" => |_| 0;
    "eventloop_cycles" => |s| s.stats.totals.turns;
    "eventloop_duration_sum" => |s| ticks::to_us(s.stats.totals.busy_ticks);
    "eventloop_duration_cmd_sum" => |s| ticks::to_us(s.stats.commands.iter().map(|c| c.ticks).sum());
    "instantaneous_eventloop_cycles_per_sec" => |s| whole(&s.stats.rates.turns);
    "instantaneous_eventloop_duration_usec" => |s| s.stats.rates.turn_us.mean().round() as u64;
    "acl_access_denied_auth" => |s| s.stats.totals.auth_failures;
    "acl_access_denied_cmd" => |s| s.stats.totals.denied_commands;
    "acl_access_denied_key" => |s| s.stats.totals.denied_keys;
    "acl_access_denied_channel" => |s| s.stats.totals.denied_channels;
    "acl_access_denied_tls_cert" => |s| s.stats.totals.denied_certificates;
};

fn whole(rate: &Rate) -> u64 {
    rate.per_second().round() as u64
}

const REPLICATION: &[Field] = fields! {
    "role" => |_| "master";
    "connected_slaves" => |_| 0;
    "master_failover_state" => |_| "no-failover";
    "master_replid" => |s| s.process.replid.to_owned();
    "master_replid2" => |_| "0000000000000000000000000000000000000000";
    "master_repl_offset" => |s| s.stats.persistence.log.replication_offset;
    "second_repl_offset" => |_| -1;
    "repl_backlog_active" => |_| 0;
    "repl_backlog_size" => |s| s.config.repl_backlog_size;
    "repl_backlog_first_byte_offset" => |_| 0;
    "repl_backlog_histlen" => |_| 0;
};

const DEBUG: &[Field] = fields! {
    "eventloop_duration_aof_sum" => |_| 0;
    "eventloop_duration_cron_sum" => |s| ticks::to_us(s.stats.totals.cron_ticks);
    "eventloop_duration_max" => |s| ticks::to_us(s.stats.totals.longest_turn_ticks);
    "eventloop_cmd_per_cycle_max" => |s| s.stats.totals.most_turn_commands;
};

const CPU: &[Field] = fields! {
    "used_cpu_sys" => |_| seconds(host::cpu_times(Who::Process).system_us);
    "used_cpu_user" => |_| seconds(host::cpu_times(Who::Process).user_us);
    "used_cpu_sys_children" => |_| seconds(host::cpu_times(Who::Children).system_us);
    "used_cpu_user_children" => |_| seconds(host::cpu_times(Who::Children).user_us);
    "used_cpu_sys_main_thread" => |_| seconds(host::cpu_times(Who::Thread).system_us);
    "used_cpu_user_main_thread" => |_| seconds(host::cpu_times(Who::Thread).user_us);
};

fn seconds(us: u64) -> String {
    format!("{}.{:06}", us / 1_000_000, us % 1_000_000)
}

/// Puts a line into the text; a string takes all text.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {{
        write!($out, $($arg)*).expect("a string takes all text");
        $out.push_str("\r\n");
    }};
}

/// What there is to tell while the log is on.
fn log_sizes(s: &Source<'_>, out: &mut String) {
    let log = &s.stats.persistence.log;
    if log.is_on {
        line!(out, "aof_current_size:{}", log.bytes);
        line!(out, "aof_base_size:{}", log.base_bytes);
        line!(out, "aof_pending_rewrite:0");
        line!(out, "aof_buffer_length:{}", log.buffer_bytes);
        line!(out, "aof_pending_bio_fsync:{}", u8::from(log.syncing));
        line!(out, "aof_delayed_fsync:{}", log.delayed_syncs);
    }
}

fn listeners(s: &Source<'_>, out: &mut String) {
    let mut count = 0;
    let bind: Vec<String> = s.config.bind.iter().map(|addr| format!(",bind={}", addr.lossy())).collect();
    if s.config.port != 0 {
        line!(out, "listener0:name=tcp{},port={}", bind.concat(), s.config.port);
        count += 1;
    }
    if !s.config.unixsocket.is_empty() {
        line!(out, "listener{count}:name=unix,bind={}", s.config.unixsocket.lossy());
        count += 1;
    }
    if s.config.tls_port != 0 {
        line!(out, "listener{count}:name=tls{},port={}", bind.concat(), s.config.tls_port);
        count += 1;
    }
    if s.config.metrics_port != 0 {
        line!(out, "listener{count}:name=metrics{},port={}", bind.concat(), s.config.metrics_port);
    }
}

fn commandstats(s: &Source<'_>, out: &mut String) {
    for (name, c) in &s.commands {
        if c.calls == 0 && c.rejected == 0 && c.failed == 0 {
            continue;
        }
        let us = ticks::to_us(c.ticks);
        let per_call = if c.calls == 0 { 0.0 } else { us as f64 / c.calls as f64 };
        line!(
            out,
            "cmdstat_{name}:calls={},usec={us},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
            c.calls,
            c.rejected,
            c.failed
        );
    }
}

fn errorstats(s: &Source<'_>, out: &mut String) {
    for (code, count) in s.stats.errors.iter() {
        line!(out, "errorstat_{code}:count={count}");
    }
}

fn latencystats(s: &Source<'_>, out: &mut String) {
    for (name, c) in &s.commands {
        let Some(histogram) = c.histogram.as_ref().filter(|h| h.total() > 0) else { continue };
        let percentiles = s.config.latency_tracking_info_percentiles.iter().map(|percent| {
            let ns = histogram.percentile_ns(*percent);
            format!("p{}={}.{:03}", percentile_text(*percent), ns / 1000, ns % 1000)
        });
        line!(out, "latency_percentiles_usec_{name}:{}", percentiles.collect::<Vec<_>>().join(","));
    }
}

fn keyspace(s: &Source<'_>, out: &mut String) {
    for (index, db) in s.keyspace.dbs.iter().enumerate() {
        if !db.table.is_empty() {
            let (keys, expires, avg_ttl) = (db.table.len(), db.volatile, db.avg_ttl_ms);
            let subexpiry = db.subkeys.count;
            line!(out, "db{index}:keys={keys},expires={expires},avg_ttl={avg_ttl},subexpiry={subexpiry}");
        }
    }
}

/// Which sections some words ask for; no word asks for the usual ones. Unknown words ask for nothing.
pub fn wanted(words: &[&[u8]]) -> Vec<&'static Section> {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    let usual = words.is_empty() || words.iter().any(|word| is(word, "default"));
    let all = words.iter().any(|word| is(word, "all") || is(word, "everything"));
    let named = |section: &Section| words.iter().any(|word| is(word, section.name));
    SECTIONS.iter().filter(|section| (all && !section.hidden) || (usual && section.default) || named(section)).collect()
}

/// The text of some sections.
pub fn render(sections: &[&Section], source: &Source<'_>) -> String {
    let mut out = String::with_capacity(4096);
    for section in sections {
        if !out.is_empty() {
            out.push_str("\r\n");
        }
        line!(out, "# {}", section.name);
        for field in section.fields {
            let name = field.name;
            match (field.value)(source) {
                Value::Absent => {}
                Value::Int(n) => line!(out, "{name}:{n}"),
                Value::Hundredths(x) => line!(out, "{name}:{x:.2}"),
                Value::Text(text) => line!(out, "{name}:{text}"),
            }
        }
        if let Some(list) = section.list {
            list(source, &mut out);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        wanted(&words).iter().map(|section| section.name).collect()
    }

    #[test]
    fn words_choose_sections() {
        assert_eq!(names(&["KEYSPACE", "nothing", "server"]), ["Server", "Keyspace"]);
        assert_eq!(names(&["nothing"]), Vec::<&str>::new());
        assert_eq!(names(&["all"]).len(), SECTIONS.len() - 1);
        assert_eq!(names(&["debug"]), ["Debug"]);
        assert_eq!(names(&[]), names(&["default", "nothing"]));
        assert!(!names(&[]).contains(&"Commandstats") && names(&["default", "commandstats"]).contains(&"Commandstats"));
    }

    #[test]
    fn a_name_stands_once() {
        let mut all: Vec<&str> = SECTIONS.iter().flat_map(|section| section.fields).map(|field| field.name).collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
