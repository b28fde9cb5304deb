//! `Config`: one plain field per directive, cheap to read on every request. What the fields mean stands in the table
//! (`OPTIONS`); a field bears its directive's name with underscores. Its values before the table speaks are never seen.

use super::value::*;
use std::path::PathBuf;

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// All options, as they hold now. `Config::default()` is the table's defaults; change values by directive
        /// (`set_many`, the file parser) so that their checks run.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config { $($(#[$doc])* #[doc = concat!(" Field of `", stringify!($name), "`.")] pub $name: $type,)* }

        impl Config {
            /// Zeros and empties, for the table's defaults to be written over.
            pub(super) fn blank() -> Config {
                Config { $($name: <$type as Blank>::blank(),)* }
            }
        }
    };
}

fields! {
    /// Bytes; 0 is no limit.
    maxmemory: u64,
    maxmemory_policy: MaxmemoryPolicy,
    maxmemory_samples: u32,
    /// 0 to 100.
    maxmemory_eviction_tenacity: u32,
    maxmemory_clients: MemoryOrPercent,
    lfu_log_factor: u32,
    /// Minutes.
    lfu_decay_time: u32,
    lazyfree_lazy_eviction: bool,
    lazyfree_lazy_expire: bool,
    lazyfree_lazy_server_del: bool,
    lazyfree_lazy_user_del: bool,
    lazyfree_lazy_user_flush: bool,
    active_expire_effort: u32,
    activerehashing: bool,
    activedefrag: bool,
    active_defrag_ignore_bytes: u64,
    active_defrag_threshold_lower: u32,
    active_defrag_threshold_upper: u32,
    active_defrag_cycle_min: u32,
    active_defrag_cycle_max: u32,
    active_defrag_max_scan_fields: u64,
    jemalloc_bg_thread: bool,

    hash_max_listpack_entries: usize,
    hash_max_listpack_value: usize,
    set_max_intset_entries: usize,
    set_max_listpack_entries: usize,
    set_max_listpack_value: usize,
    zset_max_listpack_entries: usize,
    zset_max_listpack_value: usize,
    array_slice_size: usize,
    array_sparse_kmax: usize,
    array_sparse_kmin: usize,
    /// Positive: entries of a node; -1 to -5: 4, 8, 16, 32, 64 KiB.
    list_max_listpack_size: i32,
    list_compress_depth: u32,
    stream_node_max_bytes: usize,
    stream_node_max_entries: u64,
    stream_idmp_duration: u32,
    stream_idmp_maxsize: u32,
    hll_sparse_max_bytes: usize,

    /// Seconds; 0 is never.
    timeout: u32,
    maxclients: u32,
    client_query_buffer_limit: usize,
    /// Indexed by `ClientClass`.
    client_output_buffer_limit: [OutputBufferLimit; 3],
    proto_max_bulk_len: usize,
    tracking_table_max_keys: u64,
    /// 2 or 3.
    client_default_resp: u32,

    bind: Vec<Text>,
    bind_source_addr: Text,
    port: u16,
    tcp_backlog: u32,
    /// Seconds; 0 is off.
    tcp_keepalive: u32,
    protected_mode: bool,
    unixsocket: Text,
    /// Mode bits; 0 leaves what umask gives.
    unixsocketperm: u32,
    socket_mark_id: u32,
    io_threads: u32,
    io_threads_do_reads: bool,

    daemonize: bool,
    supervised: Supervised,
    pidfile: Text,
    loglevel: LogLevel,
    logfile: Text,
    log_format: LogFormat,
    hide_user_data_from_log: bool,
    syslog_enabled: bool,
    syslog_ident: Text,
    syslog_facility: SyslogFacility,
    crash_log_enabled: bool,
    crash_memcheck_enabled: bool,
    databases: u32,
    always_show_logo: bool,
    set_proc_title: bool,
    proc_title_template: Text,
    locale_collate: Text,
    hz: u32,
    dynamic_hz: bool,
    oom_score_adj: OomScoreAdj,
    /// Primary, replica, background process.
    oom_score_adj_values: [i32; 3],
    disable_thp: bool,
    ignore_warnings: Text,
    /// Seconds.
    shutdown_timeout: u32,
    shutdown_on_sigint: ShutdownFlags,
    shutdown_on_sigterm: ShutdownFlags,
    /// Milliseconds.
    busy_reply_threshold: u64,
    server_cpulist: Text,
    bio_cpulist: Text,
    aof_rewrite_cpulist: Text,
    bgsave_cpulist: Text,
    /// The `loadmodule` lines' words.
    loadmodule: Vec<Vec<Text>>,

    requirepass: Text,
    aclfile: Text,
    audit_log_file: Text,
    /// Wrong passwords of an address that cost nothing; 0 for all.
    auth_failure_limit: u32,
    password_hash: PasswordHash,
    requirepass_file: Text,
    acllog_max_len: u64,
    acl_pubsub_default: AclPubsubDefault,
    enable_protected_configs: Permission,
    enable_debug_command: Permission,
    enable_module_command: Permission,
    /// Old and new name of each `rename-command` line; an empty new name hides the command.
    rename_command: Vec<(Text, Text)>,
    /// Name and rules of each `user` line.
    user: Vec<Vec<Text>>,
    encrypt: bool,
    nonce: Text,
    encryption_key_file: Text,
    encryption_key_file_previous: Text,
    snapshot_step_us: u32,

    save: Vec<SaveRule>,
    /// A `save` line was read, so the defaults are gone.
    save_given: bool,
    stop_writes_on_bgsave_error: bool,
    rdbcompression: bool,
    rdbchecksum: bool,
    sanitize_dump_payload: SanitizeDumpPayload,
    dbfilename: Text,
    rdb_del_sync_files: bool,
    rdb_save_incremental_fsync: bool,
    /// Absolute.
    dir: Text,
    appendonly: bool,
    appendfilename: Text,
    appenddirname: Text,
    appendfsync: AppendFsync,
    no_appendfsync_on_rewrite: bool,
    /// Percent; 0 is off.
    auto_aof_rewrite_percentage: u32,
    auto_aof_rewrite_min_size: u64,
    aof_load_truncated: bool,
    aof_use_rdb_preamble: bool,
    aof_timestamp_enabled: bool,
    aof_rewrite_incremental_fsync: bool,
    restore_until: Text,

    replicaof: Option<ReplicaOf>,
    masteruser: Text,
    masterauth: Text,
    replica_serve_stale_data: bool,
    replica_read_only: bool,
    replica_ignore_maxmemory: bool,
    replica_lazy_flush: bool,
    replica_priority: u32,
    replica_announce_ip: Text,
    replica_announce_port: u16,
    replica_announced: bool,
    replica_ignore_disk_write_errors: bool,
    repl_diskless_sync: bool,
    /// Seconds.
    repl_diskless_sync_delay: u32,
    repl_diskless_sync_max_replicas: u32,
    repl_diskless_load: ReplDisklessLoad,
    /// Seconds.
    repl_ping_replica_period: u32,
    /// Seconds.
    repl_timeout: u32,
    repl_disable_tcp_nodelay: bool,
    repl_backlog_size: u64,
    /// Seconds; 0 is never.
    repl_backlog_ttl: u64,
    min_replicas_to_write: u32,
    /// Seconds.
    min_replicas_max_lag: u32,
    propagation_error_behavior: PropagationErrorBehavior,

    tls_port: u16,
    metrics_port: u16,
    tls_cert_file: Text,
    tls_key_file: Text,
    tls_key_file_pass: Text,
    tls_client_cert_file: Text,
    tls_client_key_file: Text,
    tls_client_key_file_pass: Text,
    tls_dh_params_file: Text,
    tls_ca_cert_file: Text,
    tls_ca_cert_dir: Text,
    tls_auth_clients: TlsAuthClients,
    tls_auth_clients_user: TlsAuthClientsUser,
    tls_replication: bool,
    tls_cluster: bool,
    tls_protocols: Text,
    tls_ciphers: Text,
    tls_ciphersuites: Text,
    tls_prefer_server_ciphers: bool,
    tls_session_caching: bool,
    tls_session_cache_size: u32,
    /// Seconds.
    tls_session_cache_timeout: u32,
    /// Seconds; 0 is never.
    tls_auto_reload_interval: u32,

    cluster_enabled: bool,
    cluster_config_file: Text,
    /// Milliseconds.
    cluster_node_timeout: u64,
    cluster_port: u16,
    cluster_replica_validity_factor: u32,
    cluster_migration_barrier: u32,
    cluster_allow_replica_migration: bool,
    cluster_require_full_coverage: bool,
    cluster_replica_no_failover: bool,
    cluster_allow_reads_when_down: bool,
    cluster_allow_pubsubshard_when_down: bool,
    cluster_link_sendbuf_limit: u64,
    cluster_announce_hostname: Text,
    cluster_announce_human_nodename: Text,
    cluster_preferred_endpoint_type: EndpointType,
    cluster_announce_ip: Text,
    cluster_announce_port: u16,
    cluster_announce_tls_port: u16,
    cluster_announce_bus_port: u16,
    /// Milliseconds; 0 lets the node choose.
    cluster_ping_interval: u64,

    /// Microseconds; -1 is off, 0 logs everything.
    slowlog_log_slower_than: i64,
    slowlog_max_len: u64,
    /// Milliseconds; 0 is off.
    latency_monitor_threshold: u64,
    latency_tracking: bool,
    latency_tracking_info_percentiles: Vec<f64>,
    notify_keyspace_events: NotifyFlags,

    /// Microseconds; negative: that many keys a microsecond.
    rdb_key_save_delay: i32,
    /// Microseconds; negative: that many keys a microsecond.
    key_load_delay: i32,
    loading_process_events_interval_bytes: u64,
    /// Milliseconds; 0 is off.
    watchdog_period: u32,
    use_exit_on_panic: bool,
    aof_disable_auto_gc: bool,
    enable_debug_assert: bool,
    lua_enable_deprecated_api: bool,
    req_res_logfile: Text,

    /// The file that was read, absolute; what CONFIG REWRITE writes. `None` with built-in values or standard input.
    config_file: Option<PathBuf>,
}
