//! What the table says to a person: `--help`, `--help WORD`, and redis.conf with its comments.

use super::fields::Config;
use super::option::{Kind, OptionRow, flag};
use super::table::{self, OPTIONS, SUBJECTS};
use std::fmt::Write as _;

/// Columns of a comment in redis.conf.
const WIDTH: usize = 100;

/// The answer to `--help`.
pub fn usage() -> String {
    format!(
        "Usage: redstart-server [FILE | -] [FOLDER] [--DIRECTIVE VALUE...]...\n\
         \n\
         FILE      configuration; without it {file} is read if it exists; - reads standard input\n\
         FOLDER    data folder, made when it is missing; wins over dir in the file\n\
         \n\
         \x20 --DIRECTIVE VALUE...    any directive of a configuration file; the last one wins\n\
         \x20 --help, -h [DIRECTIVE]  this page, or what a directive means\n\
         \x20 --version, -v           the version\n\
         \x20 --check-config          check file and options, start nothing; status 1 when something is wrong\n\
         \x20 --quiet                 log nothing at start but what is wrong\n\
         \n\
         Often used, with their defaults:\n\
         \x20 --host ADDRESS...       addresses to listen on, same as --bind (* -::*)\n\
         \x20 --port N                TCP port (6379)\n\
         \x20 --dir FOLDER            folder of the data files (./)\n\
         \x20 --dbfilename NAME       name of the snapshot (dump.rdb)\n\
         \x20 --loglevel LEVEL        debug, verbose, notice or info, warning or warn or error, nothing (notice)\n\
         \x20 --logformat FORMAT      console or legacy, logfmt, json (console)\n\
         \x20 --logfile FILE          log file (standard output)\n\
         \x20 --replicaof HOST PORT   start as a replica (none)\n\
         \x20 -aof-enabled[=BOOL]     append-only file, same as --appendonly (false)\n\
         \x20 -aof-path PATH          its folder and first name, same as --dir and --appendfilename (./appendonly.aof)\n\
         \n\
         Examples:\n\
         \x20 redstart-server\n\
         \x20 redstart-server redis.conf --port 7000 --loglevel verbose\n\
         \x20 redstart-server --port 7000 --replicaof 127.0.0.1 6379\n\
         \x20 echo 'maxmemory 128mb' | redstart-server -\n",
        file = super::invocation::DEFAULT_FILE
    )
}

/// The answer to `--help WORD`; an error when no directive has that name.
pub fn about(word: &[u8]) -> Result<String, String> {
    let name = word.strip_prefix(b"--").unwrap_or(word);
    let Some(row) = table::find(name) else {
        let mut text = format!("No directive is named {}.\n", String::from_utf8_lossy(name));
        let part = String::from_utf8_lossy(name).to_ascii_lowercase();
        let near = table::nearest(name);
        let similar = OPTIONS.iter().map(|row| row.name).filter(|name| part.len() > 2 && name.contains(&part));
        for (index, name) in near.into_iter().chain(similar.filter(|name| Some(*name) != near)).enumerate() {
            let _ = writeln!(text, "{}{name}", if index == 0 { "Did you mean: " } else { "              " });
        }
        return Err(text);
    };
    let mut text = format!("{}\n\n", row.name);
    for line in wrap(row.meaning, 78) {
        let _ = writeln!(text, "  {line}");
    }
    let default = if row.default.is_empty() { "(empty)" } else { row.default };
    let facts = [
        ("Default", default.to_owned()),
        ("Allowed", row.allowed()),
        ("Changes", changes(row).to_owned()),
        ("Since", since(row)),
    ];
    let names: Vec<&str> =
        [row.alias].into_iter().chain(row.spellings.iter().copied()).filter(|name| !name.is_empty()).collect();
    let other = (!names.is_empty()).then(|| ("Or named", names.join(", ")));
    text.push('\n');
    for (title, fact) in facts.into_iter().chain(other) {
        let _ = writeln!(text, "  {title:<9} {fact}");
    }
    Ok(text)
}

fn changes(row: &OptionRow) -> &'static str {
    match row.flags {
        bits if bits & (flag::IMMUTABLE | flag::FILE_ONLY) != 0 => "only at start",
        bits if bits & flag::PROTECTED != 0 => "while running, if enable-protected-configs allows it",
        _ => "while running",
    }
}

fn since(row: &OptionRow) -> String {
    if row.since == "redstart" { "Redstart".to_owned() } else { format!("Redis {}", row.since) }
}

/// redis.conf: every directive with its comment and its default, in the order of the table. Loading it changes nothing.
pub fn render_redis_conf() -> String {
    let mut text = String::from(
        "# Configuration of Redstart. Made from the table of options: change the table, not this file.\n\
         #\n\
         # One directive a line: a name and its values, separated by blanks. Values with blanks stand in quotes. Lines that\n\
         # start with # are comments. Sizes take the units k = 1000, kb = 1024, m, mb, g, gb in either case. Of two lines for\n\
         # the same directive the later wins, unless they say that they add up. Every line that is not a comment shows a\n\
         # default. The server also answers: redstart-server --help NAME\n",
    );
    let defaults = Config::default();
    for subject in SUBJECTS {
        let _ = write!(text, "\n\n# ==== {} ====\n", subject.title);
        for row in subject.rows {
            text.push('\n');
            render_row(&mut text, row, &defaults);
        }
    }
    text
}

fn render_row(text: &mut String, row: &OptionRow, defaults: &Config) {
    let mut facts = format!("Allowed: {}. Changes {}. Since {}.", row.allowed(), changes(row), since(row));
    if !row.alias.is_empty() {
        let _ = write!(facts, " Also named {}.", row.alias);
    }
    for line in wrap(row.meaning, WIDTH).into_iter().chain(wrap(&facts, WIDTH)) {
        let _ = writeln!(text, "# {line}");
    }
    if let Some(example) = example(row) {
        let _ = writeln!(text, "# {} {example}", row.name);
        return;
    }
    let values = if row.name == "dir" { vec![row.default.as_bytes().to_vec()] } else { row.lines(defaults) };
    let hash = if row.has(flag::HIDDEN) { "# " } else { "" };
    for value in values {
        let _ = writeln!(text, "{hash}{} {}", row.name, String::from_utf8_lossy(&value));
    }
}

/// What stands in a comment for a directive whose default is nothing.
fn example(row: &OptionRow) -> Option<&'static str> {
    if !row.default.is_empty() {
        return None;
    }
    Some(match (row.name, row.kind) {
        ("include", _) => "./conf.d/*.conf",
        ("loadmodule", _) => "/usr/lib/redis/example.so argument",
        ("user", _) => "alice on >password ~cache:* +@read",
        ("rename-command", _) => "KEYS \"\"",
        ("replicaof", _) => "192.0.2.1 6379",
        ("notify-keyspace-events", _) => "KEA",
        ("lua-replicate-commands", _) => "yes",
        (_, Kind::Special(_)) => "0",
        _ => "\"\"",
    })
}

/// Lines of at most `width` columns, broken at blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Place, parse_text};
    use std::fs;
    use std::path::Path;

    /// `REDSTART_WRITE_CONF=1 cargo test --lib redis_conf` brings the file up to date.
    #[test]
    fn redis_conf_is_the_table() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("redis.conf");
        let rendered = render_redis_conf();
        if std::env::var_os("REDSTART_WRITE_CONF").is_some() {
            fs::write(&path, &rendered).expect("written");
        }
        assert!(
            fs::read_to_string(&path).expect("redis.conf") == rendered,
            "redis.conf is stale: see this test's comment"
        );
    }

    #[test]
    fn redis_conf_gives_the_defaults() {
        let text = render_redis_conf();
        let mut config = Config::default();
        assert_eq!(parse_text(&Place::Stdin, text.as_bytes(), &mut config), []);
        assert_eq!(config, Config { save_given: true, ..Config::default() });
        for row in OPTIONS {
            let named = |line: &str| line.trim_start_matches("# ").starts_with(&format!("{} ", row.name));
            assert!(text.lines().any(named), "{}", row.name);
        }
        // What stands in comments can be taken out of them, too.
        for row in OPTIONS.iter().filter(|row| row.name != "include") {
            let line = example(row).map(|example| format!("{} {example}", row.name)).unwrap_or_default();
            assert_eq!(parse_text(&Place::Stdin, line.as_bytes(), &mut Config::default()), [], "{line}");
        }
    }

    #[test]
    fn a_word_is_explained() {
        let text = about(b"--MAXMEMORY-samples").expect("known");
        assert!(
            text.contains("maxmemory-samples\n") && text.contains("1 to 64") && text.contains("Default   5\n"),
            "{text}"
        );
        assert!(text.contains("while running") && text.contains("Redis 2.2.0"), "{text}");
        let unknown = about(b"lazyfree").expect_err("a part of names");
        assert!(unknown.contains("lazyfree-lazy-expire\n"), "{unknown}");
    }

    #[test]
    fn usage_names_every_flag() {
        let text = usage();
        for flag in [
            "--host",
            "--port",
            "--dir",
            "--dbfilename",
            "--loglevel",
            "--logformat",
            "--logfile",
            "--replicaof",
            "-aof-enabled",
            "-aof-path",
        ] {
            assert!(text.contains(flag), "{flag}");
        }
    }
}
