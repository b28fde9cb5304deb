//! Rows: the process, its log, security, what it observes, aids for tests.

use super::option::*;
use super::special::*;

const INT_MAX: i64 = i32::MAX as i64;
const INT_MIN: i64 = i32::MIN as i64;

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const GENERAL: &[OptionRow] = &[
    row("include", "", "2.0.0", Kind::Special(&INCLUDE),
        "Reads another file at this place, relative to the folder the server was started in. A pattern reads every match in order of names and may match nothing. What stands later wins.").with(flag::FILE_ONLY),
    row("loadmodule", "", "4.0.0", Kind::Special(&LOADMODULE),
        "Loads an extension library at start.").with(flag::FILE_ONLY),
    row("daemonize", "no", "before 2.0", yes_no_kind!(daemonize),
        "Goes to the background after the start. Leave it off under systemd or in a container.").immutable(),
    row("supervised", "no", "3.2.0", choice_kind!(supervised, Supervised),
        "Tells a service manager when the server is ready: upstart, systemd, or whichever the environment shows.").immutable(),
    row("pidfile", "", "before 2.0", text_kind!(pidfile),
        "File the process id is written to, removed at the end. A file that cannot be written is only a warning.").immutable(),
    row("databases", "16", "before 2.0", int_kind!(databases, 1, INT_MAX),
        "Number of databases that SELECT can choose from, counted from 0.").immutable(),
    row("hz", "10", "2.6.11", int_kind!(hz, 0, INT_MAX, |hz| hz.clamp(1, 500)),
        "Turns of background work (expiry, timeouts, statistics) per second. Values outside 1 to 500 are moved to the nearest of them."),
    row("dynamic-hz", "yes", "5.0.0", yes_no_kind!(dynamic_hz),
        "Raises hz by itself while many clients are connected."),
    row("always-show-logo", "no", "4.0.0", yes_no_kind!(always_show_logo),
        "Prints the start banner also when the log does not go to a terminal.").immutable(),
    row("set-proc-title", "yes", "6.2.0", yes_no_kind!(set_proc_title),
        "Shows what the server does in the process list.").immutable(),
    row("proc-title-template", "{title} {listen-addr} {server-mode}", "6.2.0", text_kind!(proc_title_template, check::proc_title),
        "Text of the process title. Known variables: {title}, {listen-addr}, {server-mode}, {port}, {tls-port}, {unixsocket}, {config-file}."),
    row("locale-collate", "", "7.2.0", text_kind!(locale_collate),
        "Locale by which SORT and scripts compare text. Empty takes the one of the environment."),
    row("shutdown-timeout", "10", "7.0.0", int_kind!(shutdown_timeout, 0, INT_MAX),
        "Seconds an orderly end waits for replicas to catch up."),
    row("shutdown-on-sigint", "default", "7.0.0", Kind::Special(&SHUTDOWN_ON_SIGINT),
        "How to end on SIGINT. The default saves when there are save rules and waits for replicas; save and nosave decide it, now does not wait, force ends even if saving fails."),
    row("shutdown-on-sigterm", "default", "7.0.0", Kind::Special(&SHUTDOWN_ON_SIGTERM),
        "How to end on SIGTERM, with the words of shutdown-on-sigint."),
    row("busy-reply-threshold", "5000", "7.0.0", int_kind!(busy_reply_threshold, 0, i64::MAX),
        "Milliseconds a script may run before other clients are answered with BUSY and may stop it; 0 lets it run.").alias("lua-time-limit"),
    row("oom-score-adj", "no", "6.0.7", choice_kind!(oom_score_adj, OomScoreAdj),
        "Whether the kernel's out-of-memory score of this process is set: yes or relative adds the values below to it, absolute writes them."),
    row("oom-score-adj-values", "0 200 800", "6.0.7", Kind::Special(&OOM_VALUES),
        "Scores for a primary, a replica and a process that saves. A higher one is killed earlier."),
    row("disable-thp", "yes", "6.2.0", yes_no_kind!(disable_thp),
        "Asks the kernel not to use transparent huge pages for this process.").immutable(),
    row("server_cpulist", "", "6.0.2", text_kind!(server_cpulist),
        "Processors for the main and I/O threads, such as 0-7:2. Empty is all.").also(&["server-cpulist"]).immutable(),
    row("bio_cpulist", "", "6.0.2", text_kind!(bio_cpulist),
        "Processors for background threads. Empty is all.").also(&["bio-cpulist"]).immutable(),
    row("aof_rewrite_cpulist", "", "6.0.2", text_kind!(aof_rewrite_cpulist),
        "Processors for rewriting the append-only file. Empty is all.").also(&["aof-rewrite-cpulist"]).immutable(),
    row("bgsave_cpulist", "", "6.0.2", text_kind!(bgsave_cpulist),
        "Processors for writing snapshots. Empty is all.").also(&["bgsave-cpulist"]).immutable(),
    row("ignore-warnings", "", "5.0.11", text_kind!(ignore_warnings),
        "Names of start warnings that are known and accepted, separated by blanks."),
    row("lua-replicate-commands", "", "5.0.0", Kind::Special(&IGNORED),
        "Without effect; accepted from old files.").with(flag::FILE_ONLY),
];

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const LOGGING: &[OptionRow] = &[
    row("loglevel", "notice", "before 2.0", choice_kind!(loglevel, LogLevel),
        "Lowest severity that is logged. The words info, warn and error are taken too."),
    row("logfile", "", "before 2.0", text_kind!(logfile),
        "File the log goes to. Empty is standard output.").immutable(),
    row("log-format", "legacy", "redstart", choice_kind!(log_format, LogFormat),
        "Look of a log line: the one of Redis, key=value pairs, or one JSON object a line. The word console is taken for legacy.").also(&["logformat"]),
    row("hide-user-data-from-log", "no", "7.4.0", yes_no_kind!(hide_user_data_from_log),
        "Keeps keys, values and arguments out of the log and of crash reports."),
    row("syslog-enabled", "no", "2.2.0", yes_no_kind!(syslog_enabled),
        "Sends the log to syslog as well.").immutable(),
    row("syslog-ident", "redis", "2.2.0", text_kind!(syslog_ident),
        "Name under which syslog lines appear.").immutable(),
    row("syslog-facility", "local0", "2.2.0", choice_kind!(syslog_facility, SyslogFacility),
        "Facility of syslog lines.").immutable(),
    row("crash-log-enabled", "yes", "6.2.0", yes_no_kind!(crash_log_enabled),
        "Logs a report when the process crashes."),
    row("crash-memcheck-enabled", "yes", "6.2.0", yes_no_kind!(crash_memcheck_enabled),
        "Tests the memory quickly as part of a crash report."),
];

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const SECURITY: &[OptionRow] = &[
    row("requirepass", "", "before 2.0", text_kind!(requirepass),
        "Password of the default user, asked for by AUTH. Empty asks for none. Take a long one: a fast server lets fast guesses through.").with(flag::SENSITIVE),
    row("requirepass-file", "", "redstart", text_kind!(requirepass_file),
        "File whose first line is the password of the default user, instead of requirepass: so it stands neither here nor among the arguments that ps shows.").immutable(),
    row("password-hash", "sha256", "redstart", choice_kind!(password_hash, PasswordHash),
        "How passwords set from now on are kept: sha256, or argon2id, which is salted and slow and so protects a stolen file of users. argon2id passwords are not shown as the 64 digits that clients know, and a login with one takes some 20 ms of another thread."),
    row("auth-failure-limit", "20", "redstart", int_kind!(auth_failure_limit, 0, u32::MAX as i64),
        "Wrong passwords of one address after which its further tries are put off, by 1 second at first and more later; other addresses are not affected. 0 never does."),
    row("audit-log-file", "", "redstart", text_kind!(audit_log_file),
        "File to which logins, refused requests, CONFIG SET, FLUSHALL and FLUSHDB, SHUTDOWN and changes of users are added, one JSON object on each line. Empty writes none.").with(flag::PROTECTED),
    row("user", "", "6.0.0", Kind::Special(&USER),
        "Defines one ACL user: name, then rules as ACL SETUSER takes them. Cannot be used together with aclfile. Beside the rules of Redis there are db=0,1 (the databases that the user may use; alldbs, resetdbs), rate=1000 (the commands that it may run in a second) and memory=10mb (what all its connections together may hold in requests, transactions and replies: from there on its requests are refused with OOM, and with a quarter more its largest connections are closed). rate=0 and memory=0 take the limit away.").with(flag::FILE_ONLY | flag::SENSITIVE),
    row("aclfile", "", "6.0.0", text_kind!(aclfile),
        "File with the ACL users, read at start and by ACL LOAD, written by ACL SAVE.").immutable(),
    row("acllog-max-len", "128", "6.0.0", int_kind!(acllog_max_len, 0, i64::MAX),
        "Refused commands and logins that ACL LOG remembers."),
    row("acl-pubsub-default", "resetchannels", "6.2.0", choice_kind!(acl_pubsub_default, AclPubsubDefault),
        "Channels that a new ACL user may use before any rule says so: none or all."),
    row("rename-command", "", "2.2.0", Kind::Special(&RENAME_COMMAND),
        "Gives a command another name, or hides it with an empty one. ACL rules do this better.").with(flag::FILE_ONLY),
    row("enable-protected-configs", "no", "7.0.0", choice_kind!(enable_protected_configs, Permission),
        "Who may change dir and dbfilename with CONFIG SET: nobody, everybody, or connections of this machine.").immutable(),
    row("enable-debug-command", "no", "7.0.0", choice_kind!(enable_debug_command, Permission),
        "Who may use DEBUG: nobody, everybody, or connections of this machine.").immutable(),
    row("enable-module-command", "no", "7.0.0", choice_kind!(enable_module_command, Permission),
        "Who may use MODULE: nobody, everybody, or connections of this machine.").immutable(),
    row("encrypt", "no", "redstart", yes_no_kind!(encrypt),
        "Seals snapshots, the append-only file and stored credentials with AES-GCM. Files in clear are still read and are sealed when they are written next.").immutable(),
    row("encryption-key-file", "", "redstart", text_kind!(encryption_key_file),
        "File with the key for encrypt: 32 bytes, raw or as 64 hexadecimal digits. Empty makes one in the data folder at the first start.").immutable(),
    row("encryption-key-file-previous", "", "redstart", text_kind!(encryption_key_file_previous),
        "Former key, with which files are still read while everything new is sealed with encryption-key-file.").immutable(),
    row("nonce", "", "redstart", text_kind!(nonce),
        "Text mixed into the derivation of each file's key. It is never the nonce of the cipher: every record has its own.").immutable(),
    row("snapshot-step-us", "100", "redstart", int_kind!(snapshot_step_us, 20, 100_000),
        "Microseconds that a snapshot may take of each turn of the loop. More makes it quicker and is felt by clients."),
];

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const OBSERVING: &[OptionRow] = &[
    row("slowlog-log-slower-than", "10000", "2.2.12", int_kind!(slowlog_log_slower_than, -1, i64::MAX),
        "Microseconds of running time from which a command enters the slow log; 0 logs every command, -1 none."),
    row("slowlog-max-len", "128", "2.2.12", int_kind!(slowlog_max_len, 0, i64::MAX),
        "Entries the slow log keeps; the oldest go first."),
    row("latency-monitor-threshold", "0", "2.8.13", int_kind!(latency_monitor_threshold, 0, i64::MAX),
        "Milliseconds from which an event is recorded by the latency monitor; 0 turns it off."),
    row("latency-tracking", "yes", "7.0.0", yes_no_kind!(latency_tracking),
        "Keeps a histogram of running times for each command."),
    row("latency-tracking-info-percentiles", "50 99 99.9", "7.0.0", Kind::Special(&PERCENTILES),
        "Percentiles of running times that INFO latencystats shows."),
    row("notify-keyspace-events", "", "2.8.0", Kind::Special(&NOTIFY),
        "Which changes of keys are published, and on which channels. Needs K or E and at least one class; empty publishes nothing."),
];

/// The watchdog looks once a turn, so it cannot tell less than two of them apart.
fn write_watchdog_period(config: &mut super::fields::Config, period_ms: i64) {
    let two_turns_ms = 2_000 / config.hz.max(1);
    let period_ms = u32::try_from(period_ms).unwrap_or(u32::MAX);
    config.watchdog_period = if period_ms == 0 { 0 } else { period_ms.max(two_turns_ms) };
}

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const TEST_AIDS: &[OptionRow] = &[
    row("rdb-key-save-delay", "0", "6.0.0", int_kind!(rdb_key_save_delay, INT_MIN, INT_MAX),
        "Microseconds to wait after each key while a snapshot is written; a negative number waits 1 microsecond after that many keys.").with(flag::HIDDEN),
    row("key-load-delay", "0", "6.0.0", int_kind!(key_load_delay, INT_MIN, INT_MAX),
        "Microseconds to wait after each key while data are loaded; a negative number waits 1 microsecond after that many keys.").with(flag::HIDDEN),
    row("loading-process-events-interval-bytes", "2097152", "7.0.0", int_kind!(loading_process_events_interval_bytes, 1024, INT_MAX),
        "Bytes loaded between two looks at the sockets.").with(flag::HIDDEN),
    row("watchdog-period", "0", "2.6.0", Kind::Int { min: 0, max: INT_MAX, read: |c| c.watchdog_period.into(), write: write_watchdog_period },
        "Milliseconds after which a stalled loop logs where it is; 0 turns it off, and less than two turns of hz counts as those.").with(flag::HIDDEN),
    row("cluster-ping-interval", "0", "7.2.0", int_kind!(cluster_ping_interval, 0, i64::MAX),
        "Milliseconds between two pings to another node; 0 takes the usual rate.").with(flag::HIDDEN),
    row("use-exit-on-panic", "no", "6.2.0", yes_no_kind!(use_exit_on_panic),
        "Ends a crash with exit instead of abort, so that no core is written.").with(flag::HIDDEN),
    row("aof-disable-auto-gc", "no", "7.0.0", yes_no_kind!(aof_disable_auto_gc),
        "Keeps replaced parts of the append-only file instead of deleting them.").with(flag::HIDDEN),
    row("enable-debug-assert", "no", "redstart", yes_no_kind!(enable_debug_assert),
        "Checks more invariants while running.").with(flag::IMMUTABLE | flag::HIDDEN),
    row("lua-enable-deprecated-api", "no", "8.0.0", yes_no_kind!(lua_enable_deprecated_api),
        "Gives scripts Lua functions that were removed for safety.").with(flag::IMMUTABLE | flag::HIDDEN),
    row("req-res-logfile", "", "7.2.0", text_kind!(req_res_logfile),
        "File to which requests and replies are written.").with(flag::IMMUTABLE | flag::HIDDEN),
];
