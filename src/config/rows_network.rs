//! Rows: listening, TLS, clients and their limits.

use super::option::*;
use super::special::*;

const INT_MAX: i64 = i32::MAX as i64;
const LONG_MAX: u64 = i64::MAX as u64;

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const NETWORK: &[OptionRow] = &[
    row("bind", "* -::*", "before 2.0", Kind::Special(&BIND),
        "Addresses to listen on, for TCP and TLS alike. A leading minus means that an address missing on this machine is skipped instead of stopping the start.").also(&["host"]),
    row("protected-mode", "yes", "3.2.0", yes_no_kind!(protected_mode),
        "Serves only connections of this machine as long as the default user has no password, so that a forgotten server is not open to everybody."),
    row("port", "6379", "before 2.0", int_kind!(port, 0, 65535),
        "TCP port for clients without TLS; 0 closes it."),
    row("tcp-backlog", "511", "2.8.5", int_kind!(tcp_backlog, 0, INT_MAX),
        "Connections the kernel may hold for us before they are accepted. The kernel's own limit (net.core.somaxconn) caps it.").immutable(),
    row("tcp-keepalive", "300", "2.6.10", int_kind!(tcp_keepalive, 0, INT_MAX),
        "Seconds of silence after which the kernel probes a client, so that dead peers are found and middle boxes keep the connection; 0 sends no probes."),
    row("bind-source-addr", "", "7.0.0", text_kind!(bind_source_addr),
        "Local address that connections to other servers start from. Empty leaves the choice to the system."),
    row("unixsocket", "", "2.2.0", text_kind!(unixsocket),
        "Path of a Unix socket to listen on as well. Empty means none.").immutable(),
    row("unixsocketperm", "0", "2.4.0", Kind::Octal { read: |c| c.unixsocketperm, write: |c, mode| c.unixsocketperm = mode },
        "Mode bits given to the Unix socket, in octal; 0 keeps what umask leaves.").immutable(),
    row("socket-mark-id", "0", "7.0.0", int_kind!(socket_mark_id, 0, u32::MAX as i64),
        "Mark put on listening sockets for the rules of a firewall or router; 0 puts none.").immutable(),
    row("io-threads", "1", "6.0.0", int_kind!(io_threads, 1, 128),
        "Threads that read and write sockets; 1 leaves all of it to the main loop.").immutable(),
    row("io-threads-do-reads", "no", "6.0.0", yes_no_kind!(io_threads_do_reads),
        "Lets I/O threads read and parse requests too. Kept for old files."),
];

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const TLS: &[OptionRow] = &[
    row("tls-port", "0", "6.0.0", int_kind!(tls_port, 0, 65535),
        "Port for clients with TLS; 0 closes it. Set port to 0 to allow nothing but TLS."),
    row("tls-cert-file", "", "6.0.0", text_kind!(tls_cert_file),
        "The server's certificate with its chain, in PEM form."),
    row("tls-key-file", "", "6.0.0", text_kind!(tls_key_file),
        "The private key that belongs to tls-cert-file, in PEM form."),
    row("tls-key-file-pass", "", "6.2.2", text_kind!(tls_key_file_pass),
        "Pass phrase of tls-key-file, when it has one.").with(flag::SENSITIVE),
    row("tls-client-cert-file", "", "6.2.0", text_kind!(tls_client_cert_file),
        "Certificate shown when this server is the client, towards a primary or on the cluster bus. Empty uses tls-cert-file."),
    row("tls-client-key-file", "", "6.2.0", text_kind!(tls_client_key_file),
        "Private key that belongs to tls-client-cert-file."),
    row("tls-client-key-file-pass", "", "6.2.2", text_kind!(tls_client_key_file_pass),
        "Pass phrase of tls-client-key-file, when it has one.").with(flag::SENSITIVE),
    row("tls-dh-params-file", "", "6.0.0", text_kind!(tls_dh_params_file),
        "Diffie-Hellman parameters for clients too old for elliptic curves. Read by none: keys are always agreed on over elliptic curves."),
    row("tls-ca-cert-file", "", "6.0.0", text_kind!(tls_ca_cert_file),
        "File with the authorities whose certificates are trusted."),
    row("tls-ca-cert-dir", "", "6.0.0", text_kind!(tls_ca_cert_dir),
        "Folder with the authorities whose certificates are trusted, one file each under its hash."),
    row("tls-auth-clients", "yes", "6.0.0", choice_kind!(tls_auth_clients, TlsAuthClients),
        "Whether a client has to show a certificate that a trusted authority signed; optional checks it only when there is one."),
    row("tls-replication", "no", "6.0.0", yes_no_kind!(tls_replication),
        "Uses TLS on the connection from a replica to its primary."),
    row("tls-cluster", "no", "6.0.0", yes_no_kind!(tls_cluster),
        "Uses TLS on the cluster bus."),
    row("tls-protocols", "", "6.0.0", text_kind!(tls_protocols),
        "TLS versions to speak, such as \"TLSv1.2 TLSv1.3\". Empty takes the library's choice."),
    row("tls-ciphers", "", "6.0.0", text_kind!(tls_ciphers),
        "Ciphers for TLS 1.2 and older, in order of preference. Empty takes the library's choice."),
    row("tls-ciphersuites", "", "6.0.0", text_kind!(tls_ciphersuites),
        "Cipher suites for TLS 1.3, in order of preference. Empty takes the library's choice."),
    row("tls-prefer-server-ciphers", "no", "6.0.0", yes_no_kind!(tls_prefer_server_ciphers),
        "Lets the server's order of ciphers win over the client's."),
    row("tls-session-caching", "yes", "6.0.6", yes_no_kind!(tls_session_caching),
        "Lets clients resume a session, which makes reconnecting cheap."),
    row("tls-session-cache-size", "20480", "6.0.6", int_kind!(tls_session_cache_size, 0, INT_MAX),
        "Sessions kept for resumption; 0 is no bound."),
    row("tls-session-cache-timeout", "300", "6.0.6", int_kind!(tls_session_cache_timeout, 0, INT_MAX),
        "Seconds for which a session can be resumed."),
    row("tls-auto-reload-interval", "1", "redstart", int_kind!(tls_auto_reload_interval, 0, INT_MAX),
        "Seconds between two looks at the files of certificates and keys: renewed ones are used for new connections. 0 never looks; a CONFIG SET of one of the files does in any case."),
];

#[rustfmt::skip] // a row is read as two lines: facts, meaning
pub(super) const CLIENTS: &[OptionRow] = &[
    row("timeout", "0", "before 2.0", int_kind!(timeout, 0, INT_MAX),
        "Seconds without a command after which a client is disconnected; 0 never does. Replicas, subscribers and blocked clients are spared."),
    row("maxclients", "10000", "before 2.0", int_kind!(maxclients, 1, u32::MAX as i64),
        "Connections open at the same time, replicas included. Lowered at start when the limit on open files is too small for it."),
    row("client-query-buffer-limit", "1073741824", "4.0.7", memory_kind!(client_query_buffer_limit, 1 << 20, LONG_MAX),
        "Unparsed input one client may pile up; beyond it the client is disconnected."),
    row("client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", "2.6.0", Kind::Special(&OUTPUT_LIMIT),
        "How many bytes of unread replies a client may pile up before it is disconnected: at once above the hard limit, after the given seconds above the soft one; 0 is no limit."),
    row("proto-max-bulk-len", "536870912", "4.0.7", memory_kind!(proto_max_bulk_len, 1 << 20, LONG_MAX),
        "Longest single argument of a request, and so longest string value."),
    row("maxmemory-clients", "0", "7.0.0", Kind::MemoryOrPercent { read: |c| c.maxmemory_clients, write: |c, limit| c.maxmemory_clients = limit },
        "Memory all client connections together may use; beyond it those that use most are disconnected. 0 is no limit."),
    row("tracking-table-max-keys", "1000000", "6.0.0", int_kind!(tracking_table_max_keys, 0, i64::MAX),
        "Keys remembered for client-side caching; when there are more, some are forgotten and their readers told. 0 is no limit."),
    row("client-default-resp", "2", "7.2.0", int_kind!(client_default_resp, 2, 3),
        "Protocol version that a connection starts with. An aid for tests.").with(flag::IMMUTABLE | flag::HIDDEN),
];
