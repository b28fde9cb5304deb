//! The log's options in the log's own words.

use crate::config::{Config, LogFormat, LogLevel, SyslogFacility};
use crate::sys::logging::{self, Facility, LogSettings, Role};
use log::LevelFilter;
use std::path::PathBuf;

/// The lowest severity that is logged.
pub(super) fn level(config: &Config) -> LevelFilter {
    match config.loglevel {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    }
}

/// The look of a line.
pub(super) fn format(config: &Config) -> logging::LogFormat {
    match config.log_format {
        LogFormat::Legacy => logging::LogFormat::Legacy,
        LogFormat::Logfmt => logging::LogFormat::Logfmt,
        LogFormat::Json => logging::LogFormat::Json,
    }
}

/// The facility of syslog lines.
pub(super) fn facility(config: &Config) -> Facility {
    use SyslogFacility as F;
    match config.syslog_facility {
        F::User => Facility::User,
        F::Local0 => Facility::Local(0),
        F::Local1 => Facility::Local(1),
        F::Local2 => Facility::Local(2),
        F::Local3 => Facility::Local(3),
        F::Local4 => Facility::Local(4),
        F::Local5 => Facility::Local(5),
        F::Local6 => Facility::Local(6),
        F::Local7 => Facility::Local(7),
    }
}

/// All of it, for the start.
pub(super) fn settings(config: &Config, file: Option<PathBuf>) -> LogSettings {
    LogSettings { level: level(config), file, format: format(config), role: Role::Primary, ..LogSettings::default() }
}
