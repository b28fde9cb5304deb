//! Reads configuration files: one directive a line, `#` lines, quotes, `include` with patterns.
//!
//! Reading never stops at a fault: all faults of all files come back together. Lines before and after a faulty one have
//! been applied, so a `Config` that came with faults is for nothing but being thrown away.

use super::fault::{Fault, LineAt, Place};
use super::fields::Config;
use super::option::{BAD_DIRECTIVE, Source};
use super::special::system_text;
use super::table;
use crate::base::glob::glob_match;
use crate::base::text;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files that may be open inside one another.
const NESTING_MAX: usize = 16;
/// Files read in all, so that files which include each other in many ways come to an end.
const FILES_MAX: usize = 1_000;

/// Reads `path` into `config`. Empty: no fault.
pub fn parse_file(path: &Path, config: &mut Config) -> Vec<Fault> {
    let mut reader = Reader::new(config);
    let place = Place::File(path.to_owned());
    match fs::read(path) {
        Ok(text) => reader.read_text(&place, &text),
        Err(error) => reader.faults.push(Fault::of_place(&place, cannot_open(path, &error))),
    }
    reader.faults
}

/// Reads a text that came from elsewhere, line by line.
pub fn parse_text(place: &Place, text: &[u8], config: &mut Config) -> Vec<Fault> {
    let mut reader = Reader::new(config);
    reader.read_text(place, text);
    reader.faults
}

/// What no single line can say is wrong.
pub(super) fn check_whole(place: &Place, config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    if config.cluster_enabled && config.replicaof.is_some() {
        faults.push(Fault::of_place(place, "replicaof directive not allowed in cluster mode"));
    }
    if !config.aclfile.is_empty() && !config.user.is_empty() {
        let cause = "users are defined here and aclfile names a file of users: move them all to one place";
        faults.push(Fault::of_place(place, cause));
    }
    faults
}

fn cannot_open(path: &Path, error: &std::io::Error) -> String {
    format!("Fatal error, can't open config file '{}': {}", path.display(), system_text(error))
}

struct Reader<'a> {
    config: &'a mut Config,
    faults: Vec<Fault>,
    nesting: usize,
    files: usize,
}

impl<'a> Reader<'a> {
    fn new(config: &'a mut Config) -> Reader<'a> {
        Reader { config, faults: Vec::new(), nesting: 0, files: 0 }
    }

    fn read_text(&mut self, place: &Place, text: &[u8]) {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            self.read_line(LineAt { place, number: index + 1, text: line });
        }
    }

    fn read_line(&mut self, at: LineAt<'_>) {
        let line = at.text.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return;
        }
        let name = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        let Ok(words) = text::split_args(line) else {
            self.faults.push(Fault::in_line(&at, table::find(name), 1, "Unbalanced quotes in configuration line"));
            return;
        };
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let Some((name, values)) = words.split_first() else { return };
        let Some(row) = table::find(name) else {
            self.faults.push(Fault::in_line(&at, None, 0, BAD_DIRECTIVE));
            return;
        };
        if let Err(bad) = row.apply(self.config, values, Source::File) {
            self.faults.push(Fault::in_line(&at, Some(row), bad.word + 1, bad.cause));
        } else if let ("include", [path]) = (row.name, values) {
            self.include(at, path);
        }
    }

    fn include(&mut self, at: LineAt<'_>, pattern: &[u8]) {
        for path in expand(pattern) {
            let fault = |cause: String| Fault::in_line(&at, table::find(b"include"), 1, cause);
            self.files += 1;
            if self.nesting == NESTING_MAX || self.files > FILES_MAX {
                let cause = format!("include goes deeper than {NESTING_MAX} files or reads more than {FILES_MAX}");
                self.faults.push(fault(cause));
                return;
            }
            match fs::read(&path) {
                Err(error) => self.faults.push(fault(cannot_open(&path, &error))),
                Ok(text) => {
                    self.nesting += 1;
                    self.read_text(&Place::File(path), &text);
                    self.nesting -= 1;
                }
            }
        }
    }
}

/// The files a pattern stands for, sorted; a plain name stands for itself, whether it exists or not.
fn expand(pattern: &[u8]) -> Vec<PathBuf> {
    let wild = |part: &[u8]| part.iter().any(|byte| b"*?[".contains(byte));
    let mut found = vec![PathBuf::from(if pattern.starts_with(b"/") { "/" } else { "" })];
    for part in pattern.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        if !wild(part) {
            found.iter_mut().for_each(|path| path.push(OsStr::from_bytes(part)));
            continue;
        }
        found = found.iter().flat_map(|folder| matching(folder, part)).collect();
    }
    if wild(pattern) {
        found.retain(|path| path.exists());
    }
    found
}

/// Entries of a folder whose names match, sorted. Hidden ones need a pattern that starts with a dot.
fn matching(folder: &Path, pattern: &[u8]) -> Vec<PathBuf> {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = fs::read_dir(here).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.file_name())
        .filter(|name| glob_match(pattern, name.as_bytes(), false))
        .filter(|name| pattern.starts_with(b".") || !name.as_bytes().starts_with(b"."))
        .map(|name| folder.join(name))
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::render_faults;

    fn faults_of(text: &str) -> Vec<Fault> {
        parse_text(&Place::Stdin, text.as_bytes(), &mut Config::default())
    }

    /// Cause of the only fault of a line.
    fn cause_of(line: &str) -> String {
        let faults = faults_of(line);
        assert_eq!(faults.len(), 1, "{line}: {faults:?}");
        faults[0].cause.clone()
    }

    #[test]
    fn reads_comments_quotes_and_both_line_ends() {
        let text = "# c\n\n\tport 7000\r\nMaxMemory   256mb  \nlogfile ''\nrequirepass \"a \\x41\\n\"\n##\n";
        let mut config = Config::default();
        assert_eq!(parse_text(&Place::Stdin, text.as_bytes(), &mut config), []);
        assert_eq!((config.port, config.maxmemory), (7000, 256 << 20));
        assert_eq!(&config.requirepass[..], b"a A\n");
    }

    #[test]
    fn causes_are_those_of_the_reference() {
        for (line, cause) in [
            ("port", "wrong number of arguments"),
            ("port 1 2", "wrong number of arguments"),
            ("port abc", "argument couldn't be parsed into an integer"),
            ("port 65536", "argument must be between 0 and 65535 inclusive"),
            ("maxmemory 1xx", "argument must be a memory value"),
            ("client-query-buffer-limit 1", "argument must be between 1048576 and 9223372036854775807 inclusive"),
            ("appendonly maybe", "argument must be 'yes' or 'no'"),
            ("supervised x", "argument(s) must be one of the following: upstart, systemd, auto, no"),
            ("loglevel x", "argument(s) must be one of the following: debug, verbose, notice, warning, nothing"),
            ("foo bar", "Bad directive or wrong number of arguments"),
            ("rename-command get", "Bad directive or wrong number of arguments"),
            ("save \"abc", "Unbalanced quotes in configuration line"),
            ("save 1", "Invalid save parameters"),
            ("save 1 a", "Invalid save parameters"),
            ("unixsocketperm 888", "argument couldn't be parsed as an octal number"),
            ("unixsocketperm 1777", "argument must be between 0 and 777 inclusive"),
            ("appendfilename a/b", "appendfilename can't be a path, just a filename"),
            ("appendfilename \"\"", "appendfilename can't be empty"),
            ("replicaof a b", "Invalid master port"),
            ("replicaof a 70000", "Invalid master port"),
            ("replicaof a", "wrong number of arguments"),
            ("client-output-buffer-limit normal 1", "Wrong number of arguments in buffer limit configuration."),
            ("client-output-buffer-limit bad 1 1 1", "Invalid client class specified in buffer limit configuration."),
            ("oom-score-adj-values 1 2", "wrong number of arguments"),
            ("notify-keyspace-events Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
            ("shutdown-on-sigint", "argument(s) must be one of the following: default, save, nosave, now, force"),
            ("bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17", "Too many bind addresses specified."),
            ("latency-tracking-info-percentiles 50 abc", "Invalid latency-tracking-info-percentiles parameters"),
            (
                "user foo on\nuser foo off",
                "Error in user declaration 'foo': Duplicate user found. A user can only be defined once in config files",
            ),
        ] {
            assert_eq!(cause_of(line), cause, "{line}");
        }
    }

    #[test]
    fn takes_what_the_reference_takes() {
        for line in [
            "save",
            "save \"\"",
            "save \"1 1\"",
            "bind \"\"",
            "bind \"127.0.0.1 ::1\"",
            "unixsocketperm 0700",
            "shutdown-on-sigint \"now force\"",
            "replicaof \"a 17999\"",
            "replicaof no one",
            "oom-score-adj-values \"1 2 3\"",
            "client-output-buffer-limit \"normal 1 1 1\"",
            "latency-tracking-info-percentiles",
            "notify-keyspace-events \"\"",
            "list-max-ziplist-entries 3",
            "lua-replicate-commands yes",
            "slave-priority 5",
            "lua-time-limit 5",
            "appendfsync never",
            "maxmemory-policy no-eviction",
            "loglevel warn",
            "activedefrag yes",
            "primaryauth x",
        ] {
            assert_eq!(faults_of(line), [], "{line}");
        }
    }

    #[test]
    fn save_lines_add_up_after_the_defaults_are_gone() {
        let mut config = Config::default();
        parse_text(&Place::Stdin, b"save 900 1\n", &mut config);
        parse_text(&Place::CommandLine, b"save 100 100\n", &mut config);
        assert_eq!(table::find(b"save").expect("known").show(&config), b"900 1 100 100");
        parse_text(&Place::CommandLine, b"save \"\"\n", &mut config);
        assert_eq!(config.save, []);
    }

    #[test]
    fn all_faults_come_with_their_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let include = format!("include {}/b*.conf\n  port 1\t2\nmaxmemroy 5\n", folder.path().display());
        fs::write(path("a.conf"), include).expect("written");
        fs::write(path("b1.conf"), "\nhz \"x").expect("written");
        fs::write(path("b2.conf"), "save 1 1 x 2").expect("written");
        let faults = parse_file(&path("a.conf"), &mut Config::default());
        let places: Vec<_> = faults.iter().map(|f| (f.place.clone(), f.line, f.column)).collect();
        let file = |name: &str| Place::File(path(name));
        assert_eq!(
            places,
            [(file("b1.conf"), 2, 4), (file("b2.conf"), 1, 10), (file("a.conf"), 2, 10), (file("a.conf"), 3, 1)]
        );
        assert_eq!(faults[3].nearest, Some("maxmemory"));
        let text = render_faults(&faults[2..], "7.2.5");
        assert!(text.starts_with(
            "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.5) ***\nReading the configuration file, at line 2\n\
             >>> 'port 1\t2'\nwrong number of arguments\n"
        ));
        assert!(text.contains("a.conf:2:10: wrong number of arguments\n    port 1\t2\n          \t^\n"), "{text}");
        assert!(text.contains("    maxmemroy 5\n    ^\n    did you mean maxmemory?\n2 faults"), "{text}");
    }

    #[test]
    fn missing_and_circular_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("self.conf");
        fs::write(&path, format!("include {}\n", path.display())).expect("written");
        let faults = parse_file(&path, &mut Config::default());
        assert_eq!(faults.len(), 1);
        assert!(faults[0].cause.starts_with("include goes deeper"));
        assert_eq!(faults_of("include /nope/x*.conf"), []);
        assert_eq!(
            cause_of("include /nope.conf"),
            "Fatal error, can't open config file '/nope.conf': No such file or directory"
        );
        assert_eq!(parse_file(Path::new("/nope.conf"), &mut Config::default())[0].line, 0);
    }

    #[test]
    fn secrets_are_not_told() {
        for line in [
            "requirepass se cret",
            "requirepas \"secret\"",
            "masterauth \"secret",
            "user a >secret\nuser a >secret",
            "  'masterauth' secret x",
        ] {
            let text = render_faults(&faults_of(line), "7.2.5");
            assert!(text.contains("(hidden)") && !text.contains("cret"), "{text}");
        }
    }

    #[test]
    fn contradictions() {
        let config = Config { cluster_enabled: true, ..Config::default() };
        assert_eq!(check_whole(&Place::Stdin, &config), []);
        let mut config = config;
        assert_eq!(parse_text(&Place::Stdin, b"replicaof a 1\nuser a on\naclfile x", &mut config), []);
        assert_eq!(check_whole(&Place::Stdin, &config).len(), 2);
    }
}
