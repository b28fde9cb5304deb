//! The command line: which file, which folder, which options; or a question that is answered without a server.
//!
//! Every option becomes one line of a file that reads as `command line`, so it is checked, and its faults are shown, like any
//! other. Redis's rules: the word after an option is its value whatever it looks like (except after `--save`), further words
//! are more values until one starts with `--`; an option may be one word with its values inside.

use super::fault::{Fault, Place};
use super::fields::Config;
use super::file::{check_whole, parse_file, parse_text};
use super::help;
use super::option::quoted;
use super::table;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Read when no file is named and it exists.
pub const DEFAULT_FILE: &str = "./config/redis.conf";

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// Start, or check the configuration.
    Start(Start),
    /// Print this and end with this status.
    Print(String, i32),
    /// Print the version and end.
    Version,
}

/// A start as the command line describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Start {
    /// The file that was named.
    pub file: Option<PathBuf>,
    /// Standard input is read after the file.
    pub stdin: bool,
    /// The data folder that was named; wins over `dir` in the file.
    pub data_dir: Option<PathBuf>,
    /// Options as lines of a file.
    pub options: Vec<Vec<u8>>,
    /// Log nothing at start but what is wrong (`--quiet`).
    pub quiet: bool,
    /// Check the configuration and end (`--check-config`).
    pub check_only: bool,
}

impl Invocation {
    /// Reads the words after the program's name. What is wrong with an option shows when it is loaded.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Invocation {
        let args: Vec<Vec<u8>> = args.into_iter().map(OsString::into_vec).collect();
        match args.first().map(Vec::as_slice) {
            Some(b"-h" | b"--help") => return answer_help(args.get(1)),
            Some(b"-v" | b"--version") => return Invocation::Version,
            Some(b"--test-memory") => {
                let text = "There is no memory test here: use a tool made for it, such as memtester or memtest86.\n";
                return Invocation::Print(text.to_owned(), 1);
            }
            _ => {}
        }
        let mut words = Words { args: &args, next: 0 };
        let mut start = Start::default();
        start.take_positional(&mut words);
        while let Some(word) = words.take() {
            start.take_option(word, &mut words);
        }
        Invocation::Start(start)
    }
}

fn answer_help(word: Option<&Vec<u8>>) -> Invocation {
    let Some(word) = word else { return Invocation::Print(help::usage(), 0) };
    match help::about(word) {
        Ok(text) => Invocation::Print(text, 0),
        Err(text) => Invocation::Print(text, 1),
    }
}

/// The words that are left.
struct Words<'a> {
    args: &'a [Vec<u8>],
    next: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a [u8]> {
        self.args.get(self.next).map(Vec::as_slice)
    }

    fn take(&mut self) -> Option<&'a [u8]> {
        let word = self.peek();
        self.next += usize::from(word.is_some());
        word
    }

    /// Words that are values of the option before them.
    fn take_values(&mut self, line: &mut Vec<u8>) {
        while let Some(word) = self.peek().filter(|word| !starts_option(word)) {
            // A dash at the very end asks for standard input.
            if word == b"-" && self.next + 1 == self.args.len() {
                return;
            }
            push_value(line, word);
            self.next += 1;
        }
    }
}

fn push_value(line: &mut Vec<u8>, word: &[u8]) {
    line.push(b' ');
    line.extend(quoted(word));
}

/// Two dashes, or one of the flags that are known with one.
fn starts_option(word: &[u8]) -> bool {
    word.starts_with(b"--") || aof_flag(word).is_some()
}

/// `-aof-enabled` or `-aof-path` with one dash or two, and what follows `=`.
fn aof_flag(word: &[u8]) -> Option<(&'static str, Option<&[u8]>)> {
    let name = word.strip_prefix(b"--").or(word.strip_prefix(b"-"))?;
    ["aof-enabled", "aof-path"].into_iter().find_map(|flag| match name.strip_prefix(flag.as_bytes())? {
        [] => Some((flag, None)),
        [b'=', value @ ..] => Some((flag, Some(value))),
        _ => None,
    })
}

impl Start {
    /// `[file | -] [datadir]`: words before the first option. A second word that is an option's name starts an option.
    fn take_positional(&mut self, words: &mut Words<'_>) {
        match words.peek() {
            Some(b"-") => self.stdin = true,
            Some(word) if !word.starts_with(b"-") => self.file = Some(path_of(word)),
            _ => return,
        }
        words.take();
        let first_part = |word: &[u8]| word.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_vec();
        let is_folder = |word: &&[u8]| !word.starts_with(b"-") && table::find(&first_part(word)).is_none();
        if let Some(folder) = words.peek().filter(is_folder) {
            self.data_dir = Some(path_of(folder));
            words.take();
        }
    }

    fn take_option(&mut self, word: &[u8], words: &mut Words<'_>) {
        match (word, aof_flag(word)) {
            (b"--quiet", _) => self.quiet = true,
            (b"--check-config", _) => self.check_only = true,
            (b"-", _) if words.peek().is_none() => self.stdin = true,
            (_, Some(("aof-enabled", value))) => self.options.push(appendonly_line(value)),
            (_, Some((_, value))) => {
                let value = value.or_else(|| words.take());
                self.options.extend(aof_path_lines(value));
            }
            _ => self.take_directive(word, words),
        }
    }

    fn take_directive(&mut self, word: &[u8], words: &mut Words<'_>) {
        let mut line = match word.strip_prefix(b"--") {
            Some(name) => name.trim_ascii().to_vec(),
            // Without dashes it is still an option when it is the name of one.
            None if table::find(word.split(u8::is_ascii_whitespace).next().unwrap_or_default()).is_some() => {
                word.to_vec()
            }
            None => quoted(word),
        };
        let whole = line.iter().any(u8::is_ascii_whitespace);
        let save_is_empty =
            line.eq_ignore_ascii_case(b"save") && words.peek().is_none_or(|next| next.starts_with(b"--"));
        if save_is_empty {
            push_value(&mut line, b"");
        } else if !whole && word.starts_with(b"--") {
            if let Some(value) = words.take() {
                push_value(&mut line, value);
            }
        }
        words.take_values(&mut line);
        self.options.push(line);
    }

    /// The file that a load will read, if any.
    pub fn file_to_read(&self) -> Option<&Path> {
        let fallback = || Some(Path::new(DEFAULT_FILE)).filter(|path| !self.stdin && path.is_file());
        self.file.as_deref().or_else(fallback)
    }

    /// Reads file, standard input, folder and options, in this order; all faults of all of them, or the configuration.
    /// Makes no folder and opens no log.
    pub fn load(&self) -> Result<Config, Vec<Fault>> {
        let mut stdin = Vec::new();
        let mut faults = Vec::new();
        if self.stdin {
            if let Err(error) = std::io::stdin().lock().read_to_end(&mut stdin) {
                faults.push(Fault::of_place(&Place::Stdin, error.to_string()));
            }
        }
        let mut config = Config::default();
        let mut place = Place::CommandLine;
        if let Some(path) = self.file_to_read() {
            faults.extend(parse_file(path, &mut config));
            // A file that could not be opened is a fault already.
            config.config_file = std::fs::canonicalize(path).ok();
            place = Place::File(path.to_owned());
        }
        faults.extend(parse_text(&Place::Stdin, &stdin, &mut config));
        faults.extend(parse_text(&Place::CommandLine, &self.command_line(), &mut config));
        if faults.is_empty() {
            faults = check_whole(&place, &config);
        }
        if faults.is_empty() { Ok(config) } else { Err(faults) }
    }

    /// The data folder first, so that `--dir` still wins over it.
    fn command_line(&self) -> Vec<u8> {
        let folder =
            self.data_dir.as_ref().map(|folder| [b"dir ".to_vec(), quoted(folder.as_os_str().as_bytes())].concat());
        // A line end inside a word would make two lines of it.
        let options =
            self.options.iter().map(|line| line.iter().map(|b| if *b == b'\n' { b' ' } else { *b }).collect());
        folder.into_iter().chain(options).collect::<Vec<Vec<u8>>>().join(&b'\n')
    }
}

fn path_of(word: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(word))
}

fn appendonly_line(value: Option<&[u8]>) -> Vec<u8> {
    let value = match value {
        None | Some(b"true" | b"1") => b"yes",
        Some(b"false" | b"0") => &b"no"[..],
        Some(other) => other,
    };
    [b"appendonly ".to_vec(), quoted(value)].concat()
}

/// The folder part sets `dir`, the last part `appendfilename`.
fn aof_path_lines(value: Option<&[u8]>) -> Vec<Vec<u8>> {
    let Some(value) = value else { return vec![b"appendfilename".to_vec()] };
    let slash = value.iter().rposition(|byte| *byte == b'/');
    let (folder, name) = slash.map_or((&b""[..], value), |slash| (&value[..=slash], &value[slash + 1..]));
    let mut lines = vec![[b"appendfilename ".to_vec(), quoted(name)].concat()];
    if !folder.is_empty() {
        lines.insert(0, [b"dir ".to_vec(), quoted(folder)].concat());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::render_faults;
    use std::fs;

    fn start(args: &[&str]) -> Start {
        match Invocation::parse(args.iter().map(OsString::from)) {
            Invocation::Start(start) => start,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn lines(args: &[&str]) -> Vec<String> {
        start(args).options.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn options_become_lines() {
        for (args, expected) in [
            (&["f", "--save", "100", "100"][..], &["save \"100\" \"100\""][..]),
            (&["f", "--save", ""], &["save \"\""]),
            (&["--save", "--port", "1"], &["save \"\"", "port \"1\""]),
            (&["--save"], &["save \"\""]),
            (&["f", "--maxmemory 700mb"], &["maxmemory 700mb"]),
            (
                &["f", "--maxmemory-policy 'volatile-lru'", "--hz", "5"],
                &["maxmemory-policy 'volatile-lru'", "hz \"5\""],
            ),
            (&["f", "loglevel", "verbose"], &["loglevel \"verbose\""]),
            (&["f", "loglevel verbose"], &["loglevel verbose"]),
            (&["f", "--proc-title-template", "--my--title"], &["proc-title-template \"--my--title\""]),
            (&["--shutdown-on-sigint", "nosave", "force", "now"], &["shutdown-on-sigint \"nosave\" \"force\" \"now\""]),
            (&["--port", "--bla", "--loglevel", "verbose"], &["port \"--bla\"", "loglevel \"verbose\""]),
            (&["--port", "--loglevel", "verbose"], &["port \"--loglevel\" \"verbose\""]),
            (&["--port"], &["port"]),
            (&["--bind", "*", "-::*"], &["bind \"*\" \"-::*\""]),
            (&["-x"], &["\"-x\""]),
            (&["-p", "5"], &["\"-p\" \"5\""]),
            (&["--port", "5", "-aof-enabled=true"], &["port \"5\"", "appendonly \"yes\""]),
            (&["--aof-enabled"], &["appendonly \"yes\""]),
            (
                &["-aof-enabled=false", "-aof-path", "data/x.aof"],
                &["appendonly \"no\"", "dir \"data/\"", "appendfilename \"x.aof\""],
            ),
            (&["--aof-path=x.aof"], &["appendfilename \"x.aof\""]),
            (&["--quiet", "--port", "5", "--check-config"], &["port \"5\""]),
        ] {
            assert_eq!(lines(args), expected, "{args:?}");
        }
    }

    #[test]
    fn positional_words() {
        let with_folder = start(&["a.conf", "./my-data", "--port", "7002"]);
        assert_eq!((with_folder.file, with_folder.data_dir), (Some("a.conf".into()), Some("./my-data".into())));
        assert!(start(&["-"]).stdin);
        let both = start(&["a.conf", "--loglevel", "verbose", "-"]);
        assert!(both.stdin && both.options.len() == 1 && both.file.is_some());
        assert!(start(&["--check-config"]).check_only && start(&["a", "--quiet"]).quiet);
    }

    #[test]
    fn questions() {
        let answer = |args: &[&str]| Invocation::parse(args.iter().map(OsString::from));
        assert_eq!(answer(&["-v"]), Invocation::Version);
        assert_eq!(answer(&["--version"]), Invocation::Version);
        assert!(matches!(answer(&["--help"]), Invocation::Print(text, 0) if text.contains("-aof-path")));
        assert!(
            matches!(answer(&["--help", "slave-priority"]), Invocation::Print(text, 0) if text.contains("replica-priority"))
        );
        assert!(matches!(answer(&["--help", "maxmemroy"]), Invocation::Print(text, 1) if text.contains("maxmemory")));
        assert!(matches!(answer(&["--test-memory", "5"]), Invocation::Print(_, 1)));
    }

    /// The starts of the suites that must end at once, and what they look for.
    #[test]
    fn bad_options_quote_the_directive() {
        for (args, quote, cause) in [
            (&["--port"][..], "'port'", "wrong number of arguments"),
            (&["--port", "6379", "6380"], "'port \"6379\" \"6380\"'", "wrong number of arguments"),
            (&["--port", "6380", "--loglevel"], "'loglevel'", "wrong number of arguments"),
            (&["--port", "--loglevel", "verbose"], "'port \"--loglevel\" \"verbose\"'", "wrong number of arguments"),
            (
                &["--port", "--bla", "--loglevel", "verbose"],
                "'port \"--bla\"'",
                "argument couldn't be parsed into an integer",
            ),
            (
                &["--logfile", "--my--log--file", "--loglevel", "--bla"],
                "'loglevel \"--bla\"'",
                "argument(s) must be one of the following",
            ),
            (
                &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
                "'shutdown-on-sigterm'",
                "argument(s) must be one of the following",
            ),
            (&["--replicaof", "127.0.0.1", "abc"], "'replicaof \"127.0.0.1\" \"abc\"'", "Invalid master port"),
            (&["--replicaof", "--127.0.0.1", "abc"], "'replicaof \"--127.0.0.1\" \"abc\"'", "Invalid master port"),
            (&["--replicaof", "--127.0.0.1", "--abc"], "'replicaof \"--127.0.0.1\"'", "wrong number of arguments"),
            (&["--foo"], "'foo'", "Bad directive or wrong number of arguments"),
        ] {
            let faults = start(args).load().expect_err("a fault");
            let text = render_faults(&faults, "7.2.5");
            assert!(text.contains(&format!(">>> {quote}\n{cause}")), "{text}");
        }
        let faults = start(&["--user", "foo", "--user", "foo"]).load().expect_err("a fault");
        assert!(
            render_faults(&faults, "7.2.5")
                .contains("at line 3\n>>> 'user \"foo\"'\nError in user declaration 'foo': Duplicate user")
        );
    }

    #[test]
    fn file_folder_and_options_are_applied_in_this_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.conf");
        fs::write(&file, "port 7001\ndir /tmp\nsave 900 1\n").expect("written");
        let (file_name, data) = (file.to_str().expect("text"), folder.path().join("new"));
        let data_name = data.to_str().expect("text");
        let config =
            start(&[file_name, data_name, "--save", "100 100", "--logformat", "json", "--loglevel", "info"]).load();
        let config = config.expect("no fault");
        assert_eq!((config.port, config.dir.path(), config.save.len()), (7001, data.as_path(), 2));
        assert_eq!((config.log_format.word(), config.loglevel.word()), ("json", "notice"));
        assert_eq!(config.config_file, fs::canonicalize(&file).ok());
        let line = start(&[
            "--host",
            "localhost",
            "--replicaof",
            "localhost 6379",
            "--logformat",
            "console",
            "--loglevel",
            "warn",
        ]);
        let config = line.load().expect("no fault");
        assert_eq!((&config.bind[0][..], config.replicaof.expect("set").port), (&b"localhost"[..], 6379));
        let missing = start(&["/nope.conf", "--port", "x"]).load().expect_err("faults");
        assert_eq!(missing.len(), 2, "{missing:?}");
    }
}
