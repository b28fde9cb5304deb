//! From the command line to a running reactor, and from its end to the exit status.
//!
//! ```text
//! words -> Invocation -> Config -> process (folder, background, log, crash report, limits) -> sockets -> Server -> reactor
//! ```
//!
//! Everything that can be refused is tried before the first client is taken. What is only a pity is a warning of one line.

use super::rewrite::StartFault;
use super::{Server, check, keys, log_options, title};
use crate::acl::Acl;
use crate::base::clock::{Clock, parse_moment};
use crate::base::rng::Rng;
use crate::base::version;
use crate::command::derived::{self, RESERVED_FILES};
use crate::command::users::{LoadFault, load_at_start};
use crate::command::{Debug, FAMILIES, Facts, Links, LogDesk, Table, catalog};
use crate::config::{Config, Invocation, Start, Supervised, Text, render_faults};
use crate::net::{Doors, Listener, Reactor};
use crate::persist::rdb::Fault;
use crate::persist::seal::KeyFault;
use crate::sys::listen::{self, ListenError, Sockets};
use crate::sys::logging::Logging;
use crate::sys::{alloc, crash, host, process, thread, ticks, warm};
use crate::tls::{Setup, TlsError};
use sd_notify::NotifyState;
use signal_hook::flag;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Said to a client from elsewhere while the server has neither a password nor a named address to listen on.
pub const PROTECTED_MODE_TEXT: &str = "-DENIED This server runs in protected mode: it has no password and was not told \
which address to listen on, so it takes connections of its own machine only. To open it: (1) CONFIG SET protected-mode no \
from the machine itself, if the network keeps strangers away, and CONFIG REWRITE to keep it so; (2) 'protected-mode no' in \
the configuration file, then a restart; (3) --protected-mode no at the start, for a trial; (4) a password, which is the best \
way: requirepass, or ACL SETUSER for the default user.\r\n";

/// Where the process id goes when the server is in the background and was not told where.
const DEFAULT_PIDFILE: &str = "/var/run/redis.pid";

/// Why the server did not start.
#[derive(Debug)]
pub enum StartError {
    /// The system refuses what the server can't do without.
    System(&'static str, io::Error),
    /// The data folder can't be made or entered.
    Folder(PathBuf, io::Error),
    /// An address can't be listened on.
    Listen(ListenError, &'static str),
    /// The options of TLS can't be honoured.
    Tls(TlsError),
    /// The unix socket can't be listened on.
    Unix(PathBuf, io::Error),
    /// The users are not as they must be.
    Users(LoadFault),
    /// The audit log can't be opened.
    Audit(PathBuf, io::Error),
    /// No address is asked for.
    Nowhere,
    /// The data are there but can't be read.
    Data(PathBuf, Fault),
    /// The append-only log can't be read or written.
    Log(StartFault),
    /// There is no key to seal files with, or to open them.
    Key(KeyFault),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::System(what, error) => write!(f, "{what}: {error}"),
            StartError::Folder(path, error) => {
                write!(f, "Can't use '{}' as the data folder (dir): {error}", path.display())
            }
            StartError::Listen(error, kind) => {
                write!(f, "{error}\nFailed listening on port {} ({kind}), aborting.", error.port)
            }
            StartError::Tls(error) => write!(f, "Failed to configure TLS: {error}"),
            StartError::Unix(path, error) => {
                write!(f, "Failed opening Unix socket {}: {error}", path.display())
            }
            StartError::Data(path, Fault::Io(error)) => {
                write!(f, "Fatal error loading the DB, {}: {error}. Exiting.", path.display())
            }
            StartError::Data(path, fault) => {
                writeln!(f, "{}: {fault}", path.display())?;
                f.write_str("Terminating server after rdb file reading failure.")
            }
            StartError::Log(StartFault::Replay(fault)) => fault.fmt(f),
            StartError::Log(StartFault::Snapshot(error)) => error.fmt(f),
            StartError::Log(StartFault::Write(error)) => {
                write!(f, "Can't open or create the append-only file: {error}")
            }
            StartError::Key(fault) => write!(f, "{fault}"),
            StartError::Users(fault) => write!(f, "Aborting Redis startup because of ACL errors: {fault}"),
            StartError::Audit(path, error) => write!(f, "Can't open the audit log {}: {error}", path.display()),
            StartError::Nowhere => f.write_str("Configured to not listen anywhere, exiting."),
        }
    }
}

/// Runs the server until it ends. `args` are the words of the command line, the program's name first.
pub fn run(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let program = args.next().unwrap_or_default();
    let name = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut args = args.peekable();
    if name.ends_with("check-aof") || args.next_if(|word| word == "--check-aof").is_some() {
        return check::aof_file(&args.collect::<Vec<_>>());
    }
    if name.ends_with("check-rdb") || args.next_if(|word| word == "--check-rdb").is_some() {
        return check::rdb_file(&args.collect::<Vec<_>>());
    }
    match Invocation::parse(args) {
        Invocation::Print(text, status) => {
            print!("{text}");
            ExitCode::from(u8::try_from(status).unwrap_or(1))
        }
        Invocation::Version => {
            println!("{}", version_line());
            ExitCode::SUCCESS
        }
        Invocation::Start(start) => match start.load() {
            Ok(config) if start.check_only => {
                if let Err(fault) = check_users(&config) {
                    eprintln!("{fault}");
                    return ExitCode::FAILURE;
                }
                println!("The configuration is good.");
                ExitCode::SUCCESS
            }
            Ok(config) => launch(config, &start, &program),
            Err(faults) => {
                eprint!("{}", render_faults(&faults, version::REDIS));
                ExitCode::FAILURE
            }
        },
    }
}

/// Whether the users that the configuration itself defines could be taken over.
fn check_users(config: &Config) -> Result<(), LoadFault> {
    load_at_start(config, &mut Acl::new(catalog(&Table::new(FAMILIES, &[]))), None)
}

fn version_line() -> String {
    format!(
        "Redis server v={} sha={}:{} malloc={} bits={} build={} (Redstart {})",
        version::REDIS,
        version::COMMIT,
        version::DIRTY,
        alloc::version(),
        usize::BITS,
        version::build_id(),
        version::REDSTART
    )
}

fn launch(mut config: Config, start: &Start, program: &OsString) -> ExitCode {
    let executable = absolute(Path::new(program));
    let ended = prepare(&mut config)
        .and_then(|(logging, made_folder)| serve(&mut config, start, executable, logging, made_folder));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            // Before the log is there nobody but standard error hears it.
            if log::max_level() == log::LevelFilter::Off {
                eprintln!("{text}");
            }
            text.lines().for_each(|line| log::warn!("{line}"));
            ExitCode::FAILURE
        }
    }
}

/// A path that stays right when the folder changes. A bare word was found by the shell; the system knows where.
fn absolute(program: &Path) -> String {
    let found = if program.as_os_str().as_bytes().contains(&b'/') {
        std::path::absolute(program)
    } else {
        std::env::current_exe()
    };
    found.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

/// All that concerns the process: folder, background, log, crash report, signals. The log, and whether the folder was made.
fn prepare(config: &mut Config) -> Result<(Logging, bool), StartError> {
    let dir = config.dir.path().to_owned();
    let made_folder = enter_folder(&dir).map_err(|error| StartError::Folder(dir, error))?;
    if config.daemonize {
        process::daemonize().map_err(|error| StartError::System("Can't go to the background", error))?;
    }
    let logfile = (!config.logfile.is_empty()).then(|| config.logfile.path().to_owned());
    let logfile = logfile.map(|path| std::path::absolute(&path).unwrap_or(path));
    if let Some(path) = &logfile {
        let opened = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path);
        opened.map_err(|error| StartError::System("Can't open the log file", error))?;
    }
    let logging = Logging::init(log_options::settings(config, logfile.clone()))
        .map_err(|error| StartError::System("Can't start the log", io::Error::other(error)))?;
    if config.syslog_enabled {
        logging.set_syslog(Some((&config.syslog_ident.lossy(), log_options::facility(config))));
    }
    title::show(config);
    if config.crash_log_enabled {
        let installed = crash::install(logfile.as_deref(), config.use_exit_on_panic);
        installed.map_err(|error| StartError::System("Can't set signal handlers", error))?;
    }
    process::ignore_signal(libc::SIGHUP);
    process::ignore_signal(libc::SIGPIPE);
    if config.disable_thp {
        if let Err(error) = process::disable_huge_pages() {
            log::debug!("Transparent huge pages stay as they are: {error}");
        }
    }
    // Once all is open the folder may be another: paths are kept whole.
    if !config.unixsocket.is_empty() {
        if let Ok(path) = std::path::absolute(config.unixsocket.path()) {
            config.unixsocket = Text::from(path.as_os_str().as_bytes());
        }
    }
    Ok((logging, made_folder))
}

fn enter_folder(dir: &Path) -> io::Result<bool> {
    if dir.as_os_str().is_empty() {
        return Ok(false);
    }
    let missing = !dir.exists();
    std::fs::create_dir_all(dir)?;
    std::env::set_current_dir(dir)?;
    Ok(missing)
}

/// The first lines of the log: version and process id, where the options come from, what is amiss.
fn greet(config: &Config, start: &Start, made_folder: bool) {
    if !start.quiet {
        log::info!(
            "Redstart {} (Redis {}), {} bit, PID: {}",
            version::REDSTART,
            version::REDIS,
            usize::BITS,
            std::process::id()
        );
        match &config.config_file {
            Some(path) => log::info!("Configuration: {}", path.display()),
            None if start.stdin => log::info!("Configuration: standard input"),
            None => log::info!("Configuration: built-in values and the command line; a file can be named first"),
        }
    }
    if made_folder {
        log::info!("Made the data folder {}", config.dir.lossy());
    }
    if config.replicaof.is_some() || config.cluster_enabled {
        log::warn!("replicaof and cluster-enabled have no effect in this version. Take them out of the configuration.");
    }
}

fn serve(
    config: &mut Config,
    start: &Start,
    executable: String,
    logging: Logging,
    made_folder: bool,
) -> Result<(), StartError> {
    let _metered =
        alloc::register_thread().map_err(|error| StartError::System("The allocator has no statistics", error))?;
    let clock = Clock::default();
    let mut rng = Rng::from_entropy()
        .map_err(|error| StartError::System("The system has no randomness", io::Error::other(error)))?;
    let system = |error| StartError::System("The event loop can't be made", error);
    let mut reactor = Reactor::new(clock, &[libc::SIGTERM, libc::SIGINT]).map_err(system)?;
    let tls = Setup::load(config).map_err(StartError::Tls)?;
    let (listening, ways) = open_doors(config, tls.as_ref(), &mut reactor)?;
    // Who finds the process id in the log can connect.
    greet(config, start, made_folder);
    settle(config);
    let vault = keys::vault(config).map_err(StartError::Key)?;
    let pidfile = write_pidfile(config);
    let mut facts = Facts {
        run_id: rng.hex(40),
        replid: rng.hex(40),
        started: clock.read(),
        executable,
        listening,
        opened: None,
        tls,
        initial_oom_score: None,
        pause: None,
        debug: Debug::default(),
        evicting: false,
        vault,
        saves_begun: 0,
        end_signal: None,
        insisted: Arc::default(),
        save_scheduled: false,
        saving: None,
        log: LogDesk::default(),
        links: Links::default(),
        startup_used_bytes: 0,
    };
    fit(config, &mut facts);
    let mut server = Server::new(config.clone(), facts, FAMILIES, rng, clock.read());
    server.load_users()?;
    if !start.quiet {
        log::info!("Server initialized: {} databases", config.databases);
    }
    server.started(logging);
    server.connect_pump(reactor.loan());
    server.wake = Some(reactor.waker());
    server.remove_leftovers();
    begin_load(&mut server, config, announcement(config, start, ways), clock)?;
    if let Err(error) = warm::settle() {
        log::debug!("The code of the start stays resident: {error}");
    }
    let ended = reactor.run(&mut server);
    tell_manager(&[NotifyState::Stopping]);
    if let Some(path) = pidfile {
        remove(&path);
    }
    server.close_log(clock.read());
    ended.map_err(|error| StartError::System("The event loop failed", error))?;
    server.failure.take().map_or(Ok(()), Err)?;
    log::warn!("Redis is now ready to exit, bye bye...");
    Ok(())
}

/// What the process is to be to the system besides.
fn fit(config: &Config, facts: &mut Facts) {
    if let Err(error) = flag::register(libc::SIGINT, Arc::clone(&facts.insisted)) {
        log::debug!("A second SIGINT waits for the save of the first: {error}");
    }
    if let Err(error) = derived::apply_oom_score(config, &mut facts.initial_oom_score) {
        log::warn!("Unable to write oom_score_adj: {error}");
    }
}

/// What only makes the process fit: failures are a pity.
fn settle(config: &mut Config) {
    if let Err(error) = thread::take_short_slices() {
        log::debug!("The loop has the processor for as long at a time as other threads: {error}");
    }
    if let Err(error) = alloc::set_background_purge(true) {
        log::warn!("The allocator's own thread can't be started, freed memory goes back to the system later: {error}");
    }
    if let Err(error) = warm::code() {
        log::debug!("The program's pages come as they are needed: {error}");
    }
    limit_clients(config);
    ticks::calibrate();
}

/// Data come into the server, at once or while it answers LOADING; `tell` says when they are there.
fn begin_load(server: &mut Server, config: &Config, tell: Box<dyn FnOnce()>, clock: Clock) -> Result<(), StartError> {
    server.when_ready = Some(tell);
    if config.appendonly {
        let until_secs = parse_moment(&config.restore_until);
        server.start_log(until_secs, clock.read()).map_err(StartError::Log)?;
    } else {
        server.load_data(clock.read())?;
    }
    if server.is_loading() {
        report_status(config.supervised, &[NotifyState::Status("Loading the data")]);
    } else {
        server.be_ready();
    }
    Ok(())
}

/// As many clients as the system has descriptors for.
fn limit_clients(config: &mut Config) {
    let wanted = u64::from(config.maxclients) + RESERVED_FILES;
    match host::raise_open_files(wanted) {
        Ok(limit) if limit < wanted => {
            let most = limit.saturating_sub(RESERVED_FILES).max(1);
            log::warn!(
                "maxclients is {most} instead of {}: the system allows {limit} open files. Raise it with ulimit -n {wanted} or \
                 LimitNOFILE={wanted}.",
                config.maxclients
            );
            config.maxclients = u32::try_from(most).unwrap_or(config.maxclients);
        }
        Ok(_) => {}
        Err(error) => log::debug!("The limit of open files is not known: {error}"),
    }
}

/// Listens on all that the options name; the descriptors of the TCP sockets, and which kinds there are.
fn open_doors(config: &Config, tls: Option<&Setup>, reactor: &mut Reactor) -> Result<(Vec<RawFd>, Ways), StartError> {
    let system = |error| StartError::System("The sockets can't be watched", error);
    let sockets = open_sockets(config)?;
    let listening = sockets.descriptors();
    let unix = open_unix(config)?;
    if sockets.is_empty() && unix.is_none() {
        return Err(StartError::Nowhere);
    }
    let ways = Ways { tcp: !sockets.clear.is_empty(), unix: unix.is_some(), tls: !sockets.tls.is_empty() };
    let side = tls.map(|setup| setup.server.clone());
    reactor.exchange(Doors { sockets: Some(sockets), tls: side }).map_err(system)?;
    if let Some(unix) = unix {
        reactor.add_listener(unix).map_err(system)?;
    }
    Ok((listening, ways))
}

fn open_sockets(config: &Config) -> Result<Sockets, StartError> {
    let open = |port, kind| {
        let opened = listen::open_all(&config.bind, port, config.tcp_backlog);
        opened.map_err(|error| StartError::Listen(error, kind))
    };
    Ok(Sockets {
        clear: open(config.port, "tcp")?,
        tls: open(config.tls_port, "tls")?,
        metrics: open(config.metrics_port, "metrics")?,
    })
}

fn open_unix(config: &Config) -> Result<Option<Listener>, StartError> {
    if config.unixsocket.is_empty() {
        return Ok(None);
    }
    let path = config.unixsocket.path();
    let opened = Listener::unix(path, config.unixsocketperm, config.tcp_backlog);
    opened.map(Some).map_err(|error| StartError::Unix(path.to_owned(), error))
}

/// Writes the process id where it is asked for; a file that can't be written is only a pity.
fn write_pidfile(config: &Config) -> Option<PathBuf> {
    let path = match config.pidfile.is_empty() {
        false => config.pidfile.path(),
        true if config.daemonize => Path::new(DEFAULT_PIDFILE),
        true => return None,
    };
    match std::fs::write(path, format!("{}\n", std::process::id())) {
        Ok(()) => std::path::absolute(path).ok(),
        Err(error) => {
            log::debug!("Failed to write PID file {}: {error}", path.display());
            None
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        log::debug!("The PID file {} could not be removed: {error}", path.display());
    }
}

/// What is listened on.
#[derive(Clone, Copy)]
struct Ways {
    tcp: bool,
    unix: bool,
    tls: bool,
}

/// The last lines of the start, once the data are there: what is on, and where to connect.
fn announcement(config: &Config, start: &Start, ways: Ways) -> Box<dyn FnOnce()> {
    let (quiet, supervised) = (start.quiet, config.supervised);
    let way = match ways {
        Ways { tcp: true, .. } => format!("-p {}", config.port),
        Ways { unix: true, .. } => format!("-s {}", config.unixsocket.lossy()),
        _ => format!("-p {} --tls", config.tls_port),
    };
    Box::new(move || {
        if !quiet {
            for (open, name) in [(ways.tcp, "tcp"), (ways.unix, "unix"), (ways.tls, "tls")] {
                if open {
                    log::info!("Ready to accept connections {name}");
                }
            }
            log::info!("Connect with: redis-cli {way}");
        }
        report_status(supervised, &[NotifyState::Status("Ready to accept connections"), NotifyState::Ready]);
        let is_upstart = std::env::var_os("UPSTART_JOB").is_some() && std::env::var_os("NOTIFY_SOCKET").is_none();
        if supervised == Supervised::Upstart || (supervised == Supervised::Auto && is_upstart) {
            process::stop_self();
        }
    })
}

/// Tells the service manager how things stand, if this server is supervised by systemd.
fn report_status(supervised: Supervised, news: &[NotifyState<'_>]) {
    let is_notified = std::env::var_os("NOTIFY_SOCKET").is_some();
    if supervised == Supervised::Systemd || (supervised == Supervised::Auto && is_notified) {
        tell_manager(news);
    }
}

/// Tells systemd, if it listens.
fn tell_manager(news: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(news) {
        log::debug!("The service manager was not told: {error}");
    }
}
