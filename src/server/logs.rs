//! From the options of the log to the log: at start, and when CONFIG SET changes one.

use crate::config::{Config, LogFormat, LogLevel, SyslogFacility};
use crate::sys::logging::{self, Facility, LogSettings, Logging, Role, TimeFormat};
use log::LevelFilter;
use std::path::PathBuf;

/// Starts the log, into `file` or to standard output. A process has one; a second start changes nothing.
pub(super) fn start(config: &Config, file: Option<PathBuf>) {
    let settings = LogSettings {
        level: level(config.loglevel),
        file,
        format: format(config.log_format),
        time: TimeFormat::Legacy,
        role: if config.replicaof.is_some() { Role::Replica } else { Role::Primary },
    };
    if let Ok(logging) = Logging::init(settings) {
        if config.syslog_enabled {
            logging.set_syslog(Some((&config.syslog_ident.lossy(), facility(config.syslog_facility))));
        }
    }
}

/// Takes over the options that have new values.
pub(super) fn follow(config: &Config, names: &[&'static str]) {
    let Some(logging) = Logging::current() else { return };
    if names.contains(&"loglevel") {
        logging.set_level(level(config.loglevel));
    }
    if names.contains(&"log-format") {
        logging.set_format(format(config.log_format));
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::Trace,
        LogLevel::Verbose => LevelFilter::Debug,
        LogLevel::Notice => LevelFilter::Info,
        LogLevel::Warning => LevelFilter::Warn,
        LogLevel::Nothing => LevelFilter::Off,
    }
}

fn format(format: LogFormat) -> logging::LogFormat {
    match format {
        LogFormat::Legacy => logging::LogFormat::Legacy,
        LogFormat::Logfmt => logging::LogFormat::Logfmt,
        LogFormat::Json => logging::LogFormat::Json,
    }
}

fn facility(facility: SyslogFacility) -> Facility {
    match facility {
        SyslogFacility::User => Facility::User,
        SyslogFacility::Local0 => Facility::Local(0),
        SyslogFacility::Local1 => Facility::Local(1),
        SyslogFacility::Local2 => Facility::Local(2),
        SyslogFacility::Local3 => Facility::Local(3),
        SyslogFacility::Local4 => Facility::Local(4),
        SyslogFacility::Local5 => Facility::Local(5),
        SyslogFacility::Local6 => Facility::Local(6),
        SyslogFacility::Local7 => Facility::Local(7),
    }
}
