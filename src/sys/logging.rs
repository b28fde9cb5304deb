//! The log, in its simplest form: lines as Redis writes them, on standard output or behind a file.

use crate::config::LogLevel;
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;
use std::path::PathBuf;
use std::sync::OnceLock;

struct Logger {
    file: Option<PathBuf>,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

impl Log for Logger {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mark = match record.level() {
            Level::Error | Level::Warn => '#',
            Level::Info => '*',
            Level::Debug => '-',
            Level::Trace => '.',
        };
        let line = format!("{}:M {mark} {}\n", std::process::id(), record.args());
        let file = self.file.as_ref().map(|path| std::fs::OpenOptions::new().append(true).create(true).open(path));
        // Nobody is left to be told when the log itself fails.
        let _ = match file {
            Some(Ok(mut file)) => file.write_all(line.as_bytes()),
            _ => std::io::stdout().write_all(line.as_bytes()),
        };
    }

    fn flush(&self) {}
}

/// Starts the log.
pub fn init(file: Option<PathBuf>, level: LogLevel) {
    if log::set_logger(LOGGER.get_or_init(|| Logger { file })).is_ok() {
        set_level(level);
    }
}

/// The lowest severity that is logged from now on.
pub fn set_level(level: LogLevel) {
    log::set_max_level(match level.word() {
        "debug" => LevelFilter::Trace,
        "verbose" => LevelFilter::Debug,
        "notice" => LevelFilter::Info,
        "warning" => LevelFilter::Warn,
        _ => LevelFilter::Off,
    });
}
