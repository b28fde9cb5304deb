//! CONFIG GET and CONFIG SET over a `Config`.
//!
//! A set is all or nothing: names are checked first, then values on a copy, which takes the place of the old `Config`
//! only when all are good. What follows from a change is the caller's: it gets the names that changed and may put the old
//! `Config` back.

use super::fields::Config;
use super::option::{OptionRow, Source, flag};
use super::table::{self, OPTIONS};
use super::value::Permission;
use crate::base::glob::glob_match;
use std::borrow::Cow;
use std::fmt;

/// The situation of a CONFIG SET.
#[derive(Clone, Copy, Debug, Default)]
pub struct SetContext {
    /// Data are being loaded.
    pub loading: bool,
    /// The client is on this machine (for `enable-protected-configs local`).
    pub local: bool,
}

/// Why a CONFIG SET changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetError {
    /// No such option.
    Unknown(Vec<u8>),
    /// This option cannot be changed now, or not to this value.
    Refused {
        /// As the client spelled it.
        name: Vec<u8>,
        /// Redis's text.
        cause: Cow<'static, str>,
    },
    /// An option that cannot be changed while data are loaded.
    Loading,
}

impl SetError {
    /// For what goes wrong while the caller applies a change: the reply Redis gives then.
    pub fn refused(name: &str, cause: impl Into<Cow<'static, str>>) -> SetError {
        SetError::Refused { name: name.as_bytes().to_vec(), cause: cause.into() }
    }
}

impl SetError {
    /// The error reply without the dash: names are bytes, as the client sent them, up to a NUL.
    pub fn text(&self) -> Vec<u8> {
        let shown = |name: &[u8]| name.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match self {
            SetError::Unknown(name) => {
                [&b"ERR Unknown option or number of arguments for CONFIG SET - '"[..], &shown(name), b"'"].concat()
            }
            SetError::Refused { name, cause } => {
                let before = b"ERR CONFIG SET failed (possibly related to argument '";
                [&before[..], &shown(name), b"') - ", cause.as_bytes()].concat()
            }
            SetError::Loading => b"LOADING Redis is loading the dataset in memory".to_vec(),
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

impl Config {
    /// Name and value of every option that a pattern matches, each once. A name in full is answered as it was spelled and
    /// finds hidden options too.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut add = |name: &[u8], row: &OptionRow| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
                found.push((name.to_vec(), row.show(self)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"*?[".contains(byte)) {
                if let Some(row) = table::find(pattern).filter(|row| !row.has(flag::FILE_ONLY)) {
                    add(pattern, row);
                }
                continue;
            }
            for row in OPTIONS.iter().filter(|row| !row.has(flag::HIDDEN | flag::FILE_ONLY)) {
                for name in [row.name, row.alias].into_iter().filter(|name| !name.is_empty()) {
                    if glob_match(pattern, name.as_bytes(), true) {
                        add(name.as_bytes(), row);
                    }
                }
            }
        }
        found
    }

    /// The value of one option by any of its names.
    pub fn value_of(&self, name: &str) -> Option<Vec<u8>> {
        table::find(name.as_bytes()).map(|row| row.show(self))
    }

    /// Sets several options or none. Returns the names of those whose value is now another one.
    pub fn set_many(&mut self, pairs: &[(&[u8], &[u8])], context: SetContext) -> Result<Vec<&'static str>, SetError> {
        let rows = self.settable_rows(pairs, context)?;
        let mut next = self.clone();
        for (row, (name, value)) in rows.iter().zip(pairs) {
            // The name as the table spells it, whichever case it was given in.
            let shown = if name.eq_ignore_ascii_case(row.alias.as_bytes()) { row.alias } else { row.name };
            let refused = |cause| SetError::Refused { name: shown.as_bytes().to_vec(), cause };
            row.apply(&mut next, &[value], Source::Set).map_err(|bad| refused(bad.cause))?;
        }
        let mut changed: Vec<&'static str> = Vec::new();
        for row in rows {
            if !changed.contains(&row.name) && row.show(&next) != row.show(self) {
                changed.push(row.name);
            }
        }
        *self = next;
        Ok(changed)
    }

    fn settable_rows(
        &self,
        pairs: &[(&[u8], &[u8])],
        context: SetContext,
    ) -> Result<Vec<&'static OptionRow>, SetError> {
        let mut rows = Vec::with_capacity(pairs.len());
        for (index, (name, value)) in pairs.iter().enumerate() {
            let row = table::find(name).filter(|row| !row.has(flag::FILE_ONLY));
            let row = row.ok_or_else(|| SetError::Unknown(name.to_vec()))?;
            let twice = pairs[..index].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name));
            // What sets every option to its own value (the reference's tests do) must not trip over those that are ours.
            let same = row.since == "redstart" && row.show(self) == *value;
            let cause = if row.has(flag::IMMUTABLE) && !same {
                "can't set immutable config"
            } else if row.has(flag::PROTECTED) && !self.allows_protected(context) {
                "can't set protected config"
            } else if row.has(flag::NOT_WHILE_LOADING) && context.loading {
                return Err(SetError::Loading);
            } else if twice {
                "duplicate parameter"
            } else {
                rows.push(row);
                continue;
            };
            return Err(SetError::Refused { name: name.to_vec(), cause: Cow::Borrowed(cause) });
        }
        Ok(rows)
    }

    fn allows_protected(&self, context: SetContext) -> bool {
        match self.enable_protected_configs {
            Permission::No => false,
            Permission::Yes => true,
            Permission::Local => context.local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::*;

    fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<&'static str>, String> {
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        config.set_many(&pairs, SetContext::default()).map_err(|error| error.to_string())
    }

    fn names(config: &Config, patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<&[u8]> = patterns.iter().map(|p| p.as_bytes()).collect();
        config.get(&patterns).into_iter().map(|(name, _)| String::from_utf8(name).expect("names are ASCII")).collect()
    }

    fn shown(config: &Config, name: &str) -> String {
        String::from_utf8(config.value_of(name).expect("known")).expect("text")
    }

    #[test]
    fn get_shows_what_the_reference_shows() {
        let config = Config::default();
        assert_eq!(names(&config, &["MAXMEMORY", "maxmemory", "maxm?mory"]), ["MAXMEMORY"]);
        assert_eq!(names(&config, &["*pri*ty"]), ["replica-priority", "slave-priority"]);
        assert_eq!(names(&config, &["slave-pri*"]), ["slave-priority"]);
        assert_eq!(names(&config, &["MAXMEMORY-P*"]), ["maxmemory-policy"]);
        assert_eq!(names(&config, &["watchdog*", "nothing", "include", "user"]), Vec::<String>::new());
        assert_eq!(names(&config, &["watchdog-period"]), ["watchdog-period"]);
        assert_eq!(names(&config, &[]), Vec::<String>::new());
    }

    /// The names Redis 7.2 shows (those of 7.0.15 without aof-disable-auto-gc, with what 7.2 added), and ours.
    #[test]
    fn get_star_shows_the_names_of_redis_7_2_and_ours() {
        let reference = include_str!("names-7.2.txt").lines().map(str::to_owned);
        let ours = [
            "array-slice-size",
            "array-sparse-kmax",
            "array-sparse-kmin",
            "audit-log-file",
            "auth-failure-limit",
            "encrypt",
            "encryption-key-file",
            "encryption-key-file-previous",
            "restore-until",
            "hide-user-data-from-log",
            "log-format",
            "metrics-port",
            "nonce",
            "password-hash",
            "requirepass-file",
            "tls-auth-clients-user",
            "snapshot-step-us",
            "tls-auto-reload-interval",
            "stream-idmp-duration",
            "stream-idmp-maxsize",
        ];
        let mut expected: Vec<String> = reference.chain(ours.map(str::to_owned)).collect();
        expected.sort();
        let mut shown = names(&Config::default(), &["*"]);
        shown.sort();
        assert_eq!(shown, expected);
    }

    #[test]
    fn set_is_all_or_nothing() {
        let mut config = Config::default();
        assert_eq!(
            set(&mut config, &[("MaxMemory", "1mb"), ("slave-priority", "5"), ("hz", "10")]),
            Ok(vec!["maxmemory", "replica-priority"])
        );
        let before = config.clone();
        let failed = |name: &str, cause: &str| {
            Err(format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {cause}"))
        };
        for (pairs, error) in [
            (
                vec![("maxmemory", "2"), ("maxclients", "a")],
                failed("maxclients", "argument couldn't be parsed into an integer"),
            ),
            (vec![("maxmemory", "a"), ("databases", "3")], failed("databases", "can't set immutable config")),
            (vec![("dir", "/tmp")], failed("dir", "can't set protected config")),
            (vec![("maxmemory", "1"), ("MAXMEMORY", "2")], failed("MAXMEMORY", "duplicate parameter")),
            (
                vec![("maxmemory", "1"), ("foo", "2")],
                Err("ERR Unknown option or number of arguments for CONFIG SET - 'foo'".to_owned()),
            ),
            (vec![("user", "a")], Err("ERR Unknown option or number of arguments for CONFIG SET - 'user'".to_owned())),
        ] {
            assert_eq!(set(&mut config, &pairs), error);
            assert_eq!(config, before);
        }
    }

    #[test]
    fn protected_and_loading() {
        let mut config = Config::default();
        let mut try_set = |permission, context: SetContext, name: &str, value: &str| {
            config.enable_protected_configs = permission;
            config.set_many(&[(name.as_bytes(), value.as_bytes())], context)
        };
        let local = SetContext { local: true, loading: false };
        assert!(try_set(Permission::Yes, SetContext::default(), "dbfilename", "a.rdb").is_ok());
        assert!(try_set(Permission::Local, SetContext::default(), "dbfilename", "b.rdb").is_err());
        assert!(try_set(Permission::Local, local, "dbfilename", "c.rdb").is_ok());
        let loading = SetContext { loading: true, local: true };
        assert_eq!(try_set(Permission::Yes, loading, "dir", "/"), Err(SetError::Loading));
        assert_eq!(try_set(Permission::Yes, loading, "maxmemory", "1"), Ok(vec!["maxmemory"]));
        let missing = try_set(Permission::Yes, local, "dir", "/no/such/folder").map_err(|error| error.to_string());
        assert_eq!(
            missing,
            Err("ERR CONFIG SET failed (possibly related to argument 'dir') - No such file or directory".to_owned())
        );
    }

    #[test]
    fn values_are_shown_as_the_reference_shows_them() {
        let mut config = Config::default();
        for (name, value, expected) in [
            ("maxmemory", "256kb", "262144"),
            ("maxmemory", "256k", "256000"),
            ("maxmemory", "1B", "1"),
            ("maxmemory", "", "0"),
            ("maxmemory", "18446744073709551615", "18446744073709551615"),
            ("maxmemory-clients", "5%", "5%"),
            ("maxmemory-clients", "0%", "0"),
            ("maxmemory-policy", "no-eviction", "noeviction"),
            ("appendfsync", "NEVER", "no"),
            ("loglevel", "info", "notice"),
            ("loglevel", "error", "warning"),
            ("appendonly", "YES", "yes"),
            ("hz", "0", "1"),
            ("hz", "1000", "500"),
            ("repl-backlog-size", "1", "16384"),
            ("watchdog-period", "1", "4"),
            ("hz", "50", "50"),
            ("watchdog-period", "39", "40"),
            ("shutdown-on-sigint", "nosave force now", "nosave now force"),
            ("shutdown-on-sigint", "default", "default"),
            ("save", "3600 1 60 100", "3600 1 60 100"),
            ("save", "", ""),
            ("client-output-buffer-limit", "replica 1kb 2 3 pubsub 1 1 1", "normal 0 0 0 slave 1024 2 3 pubsub 1 1 1"),
            ("client-output-buffer-limit", "", "normal 0 0 0 slave 1024 2 3 pubsub 1 1 1"),
            ("oom-score-adj", "relative", "yes"),
            ("oom-score-adj-values", "-2000 0 2000", "-2000 0 2000"),
            ("latency-tracking-info-percentiles", "1e1 99.12345678901234 50", "10 99.123457 50"),
            ("latency-tracking-info-percentiles", "", ""),
            ("bind", "127.0.0.1 ::1", "127.0.0.1 ::1"),
            ("bind", "", ""),
            ("requirepass", "a b", "a b"),
            ("list-max-ziplist-size", "-5", "-5"),
        ] {
            set(&mut config, &[(name, value)]).expect(name);
            assert_eq!(shown(&config, name), expected, "{name} {value}");
        }
    }

    #[test]
    fn event_letters() {
        for (given, expected) in [
            ("KEA", "AKE"),
            ("AKEm", "AKEm"),
            ("AKEn", "AKE"),
            ("Kg$lshzxetd", "AK"),
            ("Kmn", "nKm"),
            ("Elg", "glE"),
            ("AA", "A"),
            ("", ""),
        ] {
            let flags = NotifyFlags::parse(given.as_bytes()).expect("known letters");
            assert_eq!(flags.letters(false), expected);
            assert_eq!(NotifyFlags::parse(flags.letters(true).as_bytes()), Some(flags));
        }
        assert_eq!(NotifyFlags::parse(b"KQ"), None);
    }

    #[test]
    fn values_are_refused_as_the_reference_refuses_them() {
        let mut config = Config::default();
        for (name, value, cause) in [
            ("maxmemory", "1tb", "argument must be a memory value"),
            ("maxmemory", "+5", "argument must be a memory value"),
            ("maxmemory", "18446744073709551615k", "argument must be a memory value"),
            ("maxmemory-samples", "65", "argument must be between 1 and 64 inclusive"),
            ("maxmemory-clients", "101%", "percentage argument must be less or equal to 100"),
            ("maxmemory-clients", "-1", "argument must be a memory or percent value"),
            ("maxclients", "01", "argument couldn't be parsed into an integer"),
            ("maxclients", " 100", "argument couldn't be parsed into an integer"),
            ("appendfsync", "x", "argument(s) must be one of the following: everysec, always, no"),
            ("oom-score-adj", "x", "argument(s) must be one of the following: no, yes, relative, absolute"),
            ("oom-score-adj-values", " 1  2  3 ", "wrong number of arguments"),
            ("shutdown-on-sigint", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
            ("shutdown-on-sigint", "", "argument(s) must be one of the following: default, save, nosave, now, force"),
            ("save", " 60  1 ", "Invalid save parameters"),
            ("save", "0 1", "Invalid save parameters"),
            (
                "client-output-buffer-limit",
                "normal a 1 1",
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            ),
            (
                "latency-tracking-info-percentiles",
                "100.1",
                "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
            ),
            ("latency-tracking-info-percentiles", "nan", "Invalid latency-tracking-info-percentiles parameters"),
            ("cluster-announce-hostname", "a b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
            ("proc-title-template", "{bad}", "template format is invalid or contains unknown variables"),
            ("proc-title-template", "", "template format is invalid or contains unknown variables"),
        ] {
            let error = set(&mut config, &[(name, value)]).expect_err(name);
            assert_eq!(error, format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {cause}"));
        }
        assert!(set(&mut config, &[("activedefrag", "yes")]).is_err());
    }

    /// What one test of the suites does: every shown value is taken back.
    #[test]
    fn every_option_takes_its_own_value() {
        let mut config = Config::default();
        for (name, value) in config.get(&[b"*"]) {
            let row = table::find(&name).expect("shown names are known");
            if !row.has(flag::IMMUTABLE | flag::PROTECTED) {
                assert_eq!(config.set_many(&[(&name, &value)], SetContext::default()), Ok(vec![]), "{}", row.name);
            }
        }
    }
}
