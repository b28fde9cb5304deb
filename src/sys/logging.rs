//! The server's log: the `log` macros on one side, lines in a file, on standard output or in syslog on the other.
//!
//! Knows no option and no client: the server tells it what to write where, at start and whenever it changes. Severities
//! are those of the reference server, told by these macros:
//!
//! | macro           | severity | sign | syslog  |
//! |-----------------|----------|------|---------|
//! | `trace!`        | debug    | `.`  | DEBUG   |
//! | `debug!`        | verbose  | `-`  | INFO    |
//! | `info!`         | notice   | `*`  | NOTICE  |
//! | `warn! error!`  | warning  | `#`  | WARNING |
//!
//! ```text
//! legacy   4711:M 21 Nov 2026 08:41:46.084 * Ready to accept connections
//! logfmt   pid=4711 role=primary timestamp="21 Nov 2026 08:41:46.084" level=notice message="Ready to accept connections"
//! json     {"time":"2026-11-21T08:41:46.084+01:00","level":"notice","pid":4711,"role":"primary","message":"Ready ..."}
//! ```
//!
//! One record is one line and one `write`: line ends and other control bytes of a message are escaped, so nothing that a
//! client sends can pretend to be a line of its own. With the target [`RAW`] a message is written as it is (the logo);
//! such lines are left out of logfmt and JSON. A line that can't be written is lost in silence: there is nowhere to tell.

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record, SetLoggerError};

/// Target of records that are written without time and severity: `log::info!(target: RAW, "...")`.
pub const RAW: &str = "raw";

/// The modules whose records are shown at every severity: those of this crate.
const OWN: &str = env!("CARGO_PKG_NAME");

/// Longest message, in bytes; what follows is left out.
const MESSAGE_MAX: usize = 4096;

/// The look of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// The one of the reference server.
    #[default]
    Legacy,
    /// `key=value` pairs.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// The look of the time in a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// `21 Nov 2026 08:41:46.084`, local time. JSON lines have ISO 8601 instead.
    #[default]
    Legacy,
    /// `2026-11-21T08:41:46.084+01:00`.
    Iso8601,
    /// Milliseconds since 1970.
    Milliseconds,
}

/// What the process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Still starting, or a helper of the server.
    #[default]
    Child,
    /// A server that takes writes.
    Primary,
    /// A server that follows another.
    Replica,
    /// A sentinel.
    Sentinel,
}

impl Role {
    fn sign(self) -> char {
        match self {
            Role::Child => 'C',
            Role::Primary => 'M',
            Role::Replica => 'S',
            Role::Sentinel => 'X',
        }
    }

    fn name(self) -> &'static str {
        match self {
            Role::Child => "child",
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Sentinel => "sentinel",
        }
    }
}

/// Facility of syslog records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Facility {
    /// `LOG_USER`
    User,
    /// `LOG_LOCAL0` to `LOG_LOCAL7`; higher numbers are taken for 7.
    Local(u8),
}

impl Facility {
    fn code(self) -> libc::c_int {
        match self {
            Facility::User => libc::LOG_USER,
            Facility::Local(number) => libc::LOG_LOCAL0 + (libc::c_int::from(number.min(7)) << 3),
        }
    }
}

/// What is logged, how and where.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// The lowest severity logged; see the table above (`Info` is notice). `Off` logs nothing.
    pub level: LevelFilter,
    /// The file; `None` is standard output.
    pub file: Option<PathBuf>,
    /// The look of a line.
    pub format: LogFormat,
    /// The look of its time.
    pub time: TimeFormat,
    /// The process's role.
    pub role: Role,
}

impl Default for LogSettings {
    fn default() -> Self {
        let format = LogFormat::default();
        Self { level: LevelFilter::Info, file: None, format, time: TimeFormat::default(), role: Role::default() }
    }
}

/// The handle to the process's one log; copies are the same log.
#[derive(Clone, Debug)]
pub struct Logging {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    settings: LogSettings,
    syslog: bool,
}

impl Logging {
    /// Takes the records of the `log` macros from now on. Once per process.
    ///
    /// # Errors
    /// If a logger is already there.
    pub fn init(settings: LogSettings) -> Result<Self, SetLoggerError> {
        let level = settings.level;
        let logging = Self { shared: Arc::new(Mutex::new(Shared { settings, syslog: false })) };
        log::set_boxed_logger(Box::new(Tee { lines: logging.lines(), logging: logging.clone() }))?;
        log::set_max_level(level);
        Ok(logging)
    }

    /// The lowest severity logged from now on.
    pub fn set_level(&self, level: LevelFilter) {
        self.lock().settings.level = level;
        log::set_max_level(level);
    }

    /// The file written to from now on; `None` is standard output. It is opened for every line, so it may be moved away.
    ///
    /// # Errors
    /// The system's, if the file can't be appended to; then nothing changes.
    pub fn set_file(&self, file: Option<PathBuf>) -> io::Result<()> {
        if let Some(path) = &file {
            open(path)?;
        }
        self.lock().settings.file = file;
        Ok(())
    }

    /// The look of the lines from now on.
    pub fn set_format(&self, format: LogFormat) {
        self.lock().settings.format = format;
    }

    /// The look of times from now on.
    pub fn set_time(&self, time: TimeFormat) {
        self.lock().settings.time = time;
    }

    /// The role shown from now on.
    pub fn set_role(&self, role: Role) {
        self.lock().settings.role = role;
    }

    /// Sends records to syslog too, under this name, or no longer.
    pub fn set_syslog(&self, syslog: Option<(&str, Facility)>) {
        let mut shared = self.lock();
        if let Some((ident, facility)) = syslog {
            open_syslog(ident, facility);
        } else if shared.syslog {
            // SAFETY: a call without arguments; `openlog` has been called.
            unsafe { libc::closelog() };
        }
        shared.syslog = syslog.is_some();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // A panic elsewhere leaves whole settings behind: they are only ever replaced.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The part that turns records into lines and hands each to [`Sink`] in one piece.
    fn lines(&self) -> env_logger::Logger {
        let logging = self.clone();
        env_logger::Builder::new()
            // Of our own records `log::max_level` decides, since it can change; libraries only warn.
            .filter_level(LevelFilter::Warn)
            .filter_module(OWN, LevelFilter::Trace)
            .filter_module(RAW, LevelFilter::Trace)
            .format(move |out, record| {
                let mut line = String::new();
                let (level, message) = (record.level(), record.args().to_string());
                render(&mut line, &logging.lock().settings, level, record.target() == RAW, &message, unix_ms());
                out.write_all(line.as_bytes())
            })
            .target(env_logger::Target::Pipe(Box::new(Sink { logging: self.clone() })))
            .build()
    }
}

/// Hands every record to the lines and, if wanted, to syslog.
struct Tee {
    lines: env_logger::Logger,
    logging: Logging,
}

impl Log for Tee {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) || !self.lines.matches(record) {
            return;
        }
        self.lines.log(record);
        if self.logging.lock().syslog {
            to_syslog(record.level(), &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Where lines go. The file is opened for each, as log rotation expects.
struct Sink {
    logging: Logging,
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.is_empty() {
            return Ok(0);
        }
        let file = self.logging.lock().settings.file.clone();
        match file {
            Some(path) => open(&path)?.write(line),
            None => {
                let mut out = io::stdout().lock();
                out.write_all(line)?;
                out.flush()?;
                Ok(line.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Appends the line of one record, with its end; nothing for a raw record in a format that has no place for it.
fn render(line: &mut String, settings: &LogSettings, level: Level, raw: bool, message: &str, unix_ms: i64) {
    if raw {
        if settings.format == LogFormat::Legacy {
            line.push_str(message);
            line.push('\n');
        }
        return;
    }
    let message = cut(message);
    match settings.format {
        LogFormat::Legacy => {
            put(line, format_args!("{}:{} ", std::process::id(), settings.role.sign()));
            push_time(line, settings.time, unix_ms);
            put(line, format_args!(" {} ", sign(level)));
            push_escaped(line, message, false);
        }
        LogFormat::Logfmt => {
            put(line, format_args!("pid={} role={} timestamp=\"", std::process::id(), settings.role.name()));
            push_time(line, settings.time, unix_ms);
            put(line, format_args!("\" level={} message=\"", level_name(level)));
            push_escaped(line, message, true);
            line.push('"');
        }
        LogFormat::Json => push_json(line, settings, level, message, unix_ms),
    }
    line.push('\n');
}

/// `String` takes everything that is written to it.
fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a String grows");
}

fn push_json(line: &mut String, settings: &LogSettings, level: Level, message: &str, unix_ms: i64) {
    line.push_str("{\"time\":");
    if settings.time == TimeFormat::Milliseconds {
        put(line, format_args!("{unix_ms}"));
    } else {
        line.push('"');
        push_time(line, TimeFormat::Iso8601, unix_ms);
        line.push('"');
    }
    let (level, pid, role) = (level_name(level), std::process::id(), settings.role.name());
    // The order of the fields is part of the format, so the object is written by hand but for the text.
    let message = serde_json::Value::from(message);
    put(line, format_args!(",\"level\":\"{level}\",\"pid\":{pid},\"role\":\"{role}\",\"message\":{message}}}"));
}

/// Control characters are escaped, so that a message stays one line; within quotes, `"` and `\` too.
fn push_escaped(line: &mut String, message: &str, quoted: bool) {
    for ch in message.chars() {
        match ch {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push('\t'),
            '"' | '\\' if quoted => line.extend(['\\', ch]),
            _ if ch.is_control() => put(line, format_args!("\\x{:02x}", u32::from(ch))),
            _ => line.push(ch),
        }
    }
}

fn sign(level: Level) -> char {
    match level {
        Level::Trace => '.',
        Level::Debug => '-',
        Level::Info => '*',
        Level::Warn | Level::Error => '#',
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::Trace => "debug",
        Level::Debug => "verbose",
        Level::Info => "notice",
        Level::Warn | Level::Error => "warning",
    }
}

fn push_time(line: &mut String, format: TimeFormat, unix_ms: i64) {
    if format == TimeFormat::Milliseconds {
        return put(line, format_args!("{unix_ms}"));
    }
    let (tm, ms) = (local_time(unix_ms.div_euclid(1000)), unix_ms.rem_euclid(1000));
    let (year, day, hour, minute, second) = (tm.tm_year + 1900, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    if format == TimeFormat::Legacy {
        let month = usize::try_from(tm.tm_mon).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"???");
        return put(line, format_args!("{day:02} {month} {year} {hour:02}:{minute:02}:{second:02}.{ms:03}"));
    }
    let (month, offset_minutes) = (tm.tm_mon + 1, tm.tm_gmtoff / 60);
    let (east, offset) = (if offset_minutes < 0 { '-' } else { '+' }, offset_minutes.abs());
    put(line, format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}"));
    put(line, format_args!("{east}{:02}:{:02}", offset / 60, offset % 60));
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The calendar at this second in the time zone of the process.
fn local_time(unix_secs: i64) -> libc::tm {
    let mut tm = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are to values of ours. A second outside of all calendars leaves the zeros.
    unsafe { libc::localtime_r(&unix_secs, tm.as_mut_ptr()) };
    // SAFETY: zeroed bytes are a valid `tm` (its one pointer may be null), and the call fills it with one.
    unsafe { tm.assume_init() }
}

fn open_syslog(ident: &str, facility: Facility) {
    let ident = CString::new(ident.replace('\0', "")).unwrap_or_default();
    // syslog keeps the pointer: the name is never freed. This happens at start and when an option changes.
    let ident = ident.into_raw();
    // SAFETY: the pointer is to a text that ends with NUL and lives as long as the process.
    unsafe { libc::openlog(ident, libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, facility.code()) };
}

fn to_syslog(level: Level, message: &str) {
    let priority = match level {
        Level::Trace => libc::LOG_DEBUG,
        Level::Debug => libc::LOG_INFO,
        Level::Info => libc::LOG_NOTICE,
        Level::Warn | Level::Error => libc::LOG_WARNING,
    };
    let message = cut(message);
    let Ok(message) = CString::new(message.replace('\0', " ")) else { return };
    // SAFETY: the format takes one text, and both end with NUL.
    unsafe { libc::syslog(priority, c"%s".as_ptr(), message.as_ptr()) };
}

/// The message, or its first [`MESSAGE_MAX`] bytes without a torn character.
fn cut(message: &str) -> &str {
    let end = (0..=message.len().min(MESSAGE_MAX)).rev().find(|&at| message.is_char_boundary(at));
    &message[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(settings: &LogSettings, level: Level, message: &str) -> String {
        let mut line = String::new();
        render(&mut line, settings, level, false, message, 1_795_250_506_084);
        line
    }

    fn with(format: LogFormat, time: TimeFormat, role: Role) -> LogSettings {
        LogSettings { format, time, role, ..LogSettings::default() }
    }

    #[test]
    fn legacy_lines_have_the_reference_servers_shape() {
        let settings = with(LogFormat::Legacy, TimeFormat::Legacy, Role::Primary);
        let text = line(&settings, Level::Info, "Ready to accept connections");
        let words: Vec<&str> = text.split(' ').collect();
        assert_eq!(words[0], format!("{}:M", std::process::id()));
        assert_eq!(words[1].len(), 2);
        assert!(MONTHS.contains(&words[2]));
        assert_eq!(words[3], "2026");
        assert!(words[4].len() == 12 && words[4].ends_with(".084"), "{text}");
        assert_eq!(words[5..].join(" "), "* Ready to accept connections\n");
        for (level, sign) in [(Level::Trace, '.'), (Level::Debug, '-'), (Level::Warn, '#'), (Level::Error, '#')] {
            assert!(line(&settings, level, "x").ends_with(&format!(" {sign} x\n")));
        }
        for (role, sign) in [(Role::Child, 'C'), (Role::Replica, 'S'), (Role::Sentinel, 'X')] {
            let settings = with(LogFormat::Legacy, TimeFormat::Milliseconds, role);
            let expected = format!("{}:{sign} 1795250506084 * x\n", std::process::id());
            assert_eq!(line(&settings, Level::Info, "x"), expected);
        }
    }

    #[test]
    fn a_message_is_one_line_whatever_is_in_it() {
        let hostile = "a\n1:M 01 Jan 2026 00:00:00.000 # forged\r\u{1b}[2J\u{85}\"\\";
        for format in [LogFormat::Legacy, LogFormat::Logfmt, LogFormat::Json] {
            let text = line(&with(format, TimeFormat::Iso8601, Role::Primary), Level::Warn, hostile);
            assert_eq!(text.matches(['\n', '\r', '\u{1b}']).count(), 1, "{text:?}");
            assert!(text.ends_with('\n'));
        }
        let text = line(&LogSettings::default(), Level::Info, &"é".repeat(MESSAGE_MAX));
        assert!(text.len() < MESSAGE_MAX + 60);
    }

    #[test]
    fn json_lines_parse_and_have_their_fields() {
        let text = line(&with(LogFormat::Json, TimeFormat::Legacy, Role::Replica), Level::Debug, "a \"b\"\n\u{1}é");
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["message"], "a \"b\"\n\u{1}é");
        assert_eq!((&value["level"], &value["role"]), (&"verbose".into(), &"replica".into()));
        assert_eq!(value["pid"], std::process::id());
        let time = value["time"].as_str().expect("text");
        assert!(time.starts_with("2026-11-2") && time.contains(".084") && time.len() == 29, "{time}");
        let text = line(&with(LogFormat::Json, TimeFormat::Milliseconds, Role::Primary), Level::Info, "");
        assert!(text.starts_with("{\"time\":1795250506084,\"level\":\"notice\","), "{text}");
    }

    #[test]
    fn logfmt_lines_quote_time_and_message() {
        let text = line(&with(LogFormat::Logfmt, TimeFormat::Milliseconds, Role::Primary), Level::Warn, "a \"b\" \\");
        let pid = std::process::id();
        let expected =
            format!("pid={pid} role=primary timestamp=\"1795250506084\" level=warning message=\"a \\\"b\\\" \\\\\"\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn raw_records_are_written_as_they_are_or_not_at_all() {
        for (format, expected) in [(LogFormat::Legacy, "logo\n  of lines\n"), (LogFormat::Json, "")] {
            let mut text = String::new();
            let settings = LogSettings { format, ..LogSettings::default() };
            render(&mut text, &settings, Level::Info, true, "logo\n  of lines", 0);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_process_log_follows_its_settings() {
        let dir = tempfile::tempdir().expect("a directory");
        let (first, second) = (dir.path().join("first.log"), dir.path().join("second.log"));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
        let settings = LogSettings { file: Some(first.clone()), ..LogSettings::default() };
        let logging = Logging { shared: Arc::new(Mutex::new(Shared { settings, syslog: false })) };
        // Not the process's logger: other tests may log.
        let lines = logging.lines();
        let log = |level, text: &str| {
            lines.log(&Record::builder().level(level).target(OWN).args(format_args!("{text}")).build());
        };
        log(Level::Info, "one");
        std::fs::rename(&first, &second).expect("rotated");
        log(Level::Warn, "two");
        lines.log(&Record::builder().level(Level::Info).target("mio::poll").args(format_args!("not ours")).build());
        assert!(read(&second).ends_with("* one\n") && read(&first).ends_with("# two\n"));
        logging.set_file(Some(second.clone())).expect("it can be written");
        logging.set_format(LogFormat::Json);
        logging.set_time(TimeFormat::Milliseconds);
        logging.set_role(Role::Primary);
        log(Level::Info, "three");
        assert!(read(&second).ends_with("\"role\":\"primary\",\"message\":\"three\"}\n"));
        assert_eq!((read(&first).lines().count(), read(&second).lines().count()), (1, 2));
        assert!(logging.set_file(Some(dir.path().join("none/x.log"))).is_err());
        log(Level::Info, "four");
        assert!(read(&second).contains("four"), "a refused file changes nothing");
        drop(dir);
        log(Level::Info, "lost in silence");
    }

    #[test]
    fn facilities_are_those_of_syslog() {
        assert_eq!(Facility::Local(0).code(), libc::LOG_LOCAL0);
        assert_eq!(Facility::Local(7).code(), libc::LOG_LOCAL7);
        assert_eq!(Facility::Local(9).code(), libc::LOG_LOCAL7);
        assert_eq!(Facility::User.code(), libc::LOG_USER);
    }
}
