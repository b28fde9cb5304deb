//! The one table of options: subjects in the order in which redis.conf shows them, each a slice of rows in a `rows_*` file.

use super::fields::Config;
use super::option::{OptionRow, Source, flag};
use super::{rows_data, rows_many, rows_network, rows_server};

/// Rows under one heading.
pub struct Subject {
    /// The heading.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [OptionRow],
}

/// All subjects, in the order of redis.conf.
pub static SUBJECTS: &[Subject] = &[
    Subject { title: "Network", rows: rows_network::NETWORK },
    Subject { title: "TLS", rows: rows_network::TLS },
    Subject { title: "Process", rows: rows_server::GENERAL },
    Subject { title: "Log", rows: rows_server::LOGGING },
    Subject { title: "Security", rows: rows_server::SECURITY },
    Subject { title: "Clients and their limits", rows: rows_network::CLIENTS },
    Subject { title: "Memory", rows: rows_data::MEMORY },
    Subject { title: "Compact encodings", rows: rows_data::ENCODINGS },
    Subject { title: "Snapshots", rows: rows_data::SNAPSHOTS },
    Subject { title: "Append-only file", rows: rows_data::APPEND_ONLY },
    Subject { title: "Replication", rows: rows_many::REPLICATION },
    Subject { title: "Cluster", rows: rows_many::CLUSTER },
    Subject { title: "Slow log, latency, events", rows: rows_server::OBSERVING },
    Subject { title: "Aids for tests", rows: rows_server::TEST_AIDS },
];

const COUNT: usize = rows_network::NETWORK.len()
    + rows_network::TLS.len()
    + rows_network::CLIENTS.len()
    + rows_server::GENERAL.len()
    + rows_server::LOGGING.len()
    + rows_server::SECURITY.len()
    + rows_server::OBSERVING.len()
    + rows_server::TEST_AIDS.len()
    + rows_data::MEMORY.len()
    + rows_data::ENCODINGS.len()
    + rows_data::SNAPSHOTS.len()
    + rows_data::APPEND_ONLY.len()
    + rows_many::REPLICATION.len()
    + rows_many::CLUSTER.len();

const fn all_rows() -> [OptionRow; COUNT] {
    let mut rows = [rows_network::NETWORK[0]; COUNT];
    let (mut subject, mut filled) = (0, 0);
    while subject < SUBJECTS.len() {
        let mut index = 0;
        while index < SUBJECTS[subject].rows.len() {
            rows[filled] = SUBJECTS[subject].rows[index];
            filled += 1;
            index += 1;
        }
        subject += 1;
    }
    assert!(filled == COUNT, "a subject is missing from COUNT");
    rows
}

/// Every directive, one row each.
pub static OPTIONS: &[OptionRow] = {
    static ROWS: [OptionRow; COUNT] = all_rows();
    &ROWS
};

/// The row that `word` names, by name, alias or spelling, in either case.
pub fn find(word: &[u8]) -> Option<&'static OptionRow> {
    OPTIONS.iter().find(|row| row.is_named(word))
}

/// The name nearest to a misspelled one, when it is near enough to be meant.
pub fn nearest(word: &[u8]) -> Option<&'static str> {
    let word = String::from_utf8_lossy(word).to_ascii_lowercase();
    if word.len() > 100 {
        return None;
    }
    let allowed = (word.len() / 3).clamp(1, 4);
    let names = OPTIONS.iter().filter(|row| !row.has(flag::HIDDEN));
    let names = names.flat_map(|row| [row.name, row.alias]).filter(|name| !name.is_empty());
    let ranked = names.map(|name| (strsim::damerau_levenshtein(&word, name), name));
    ranked.filter(|(distance, _)| *distance <= allowed).min().map(|(_, name)| name)
}

impl Default for Config {
    /// The table's defaults; `dir` is the current folder.
    fn default() -> Config {
        let mut config = Config::blank();
        for row in OPTIONS.iter().filter(|row| !row.default.is_empty()) {
            let taken = row.apply(&mut config, &[row.default.as_bytes()], Source::Default);
            // Only `dir` asks the system, which may have no current folder: it is then left empty.
            debug_assert!(taken.is_ok() || row.name == "dir", "{}: {taken:?}", row.name);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::option::Kind;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = OPTIONS
            .iter()
            .flat_map(|row| [row.name, row.alias].into_iter().chain(row.spellings.iter().copied()))
            .collect();
        names.retain(|name| !name.is_empty());
        names.sort_unstable();
        let doubled: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert_eq!(doubled, Vec::<&[&str]>::new());
        for name in names {
            assert!(find(name.to_ascii_uppercase().as_bytes()).is_some(), "{name}");
        }
    }

    #[test]
    fn defaults_show_as_the_table_says() {
        let config = Config::default();
        for row in OPTIONS.iter().filter(|row| row.name != "dir") {
            assert_eq!(String::from_utf8_lossy(&row.show(&config)), row.default, "{}", row.name);
        }
        assert_eq!(config.dir.path(), std::env::current_dir().expect("tests run in a folder"));
    }

    #[test]
    fn fields_hold_the_whole_range() {
        let mut config = Config::default();
        for row in OPTIONS {
            let bounds: Vec<String> = match row.kind {
                Kind::Int { min, max, .. } => vec![min.to_string(), max.to_string()],
                Kind::Memory { min, max, .. } => vec![min.to_string(), max.to_string()],
                _ => continue,
            };
            for bound in bounds {
                row.apply(&mut config, &[bound.as_bytes()], Source::Set).expect("a bound is allowed");
                let shown = String::from_utf8(row.show(&config)).expect("a number");
                let clamped = ["hz", "watchdog-period", "repl-backlog-size"].contains(&row.name);
                assert!(shown == bound || clamped, "{}: {bound} is shown as {shown}", row.name);
            }
        }
    }

    #[test]
    fn every_row_says_what_it_is() {
        for row in OPTIONS {
            assert!(row.meaning.ends_with('.') && row.meaning.len() > 15, "{}", row.name);
            assert!(!row.since.is_empty(), "{}", row.name);
        }
    }

    #[test]
    fn nearest_names() {
        assert_eq!(nearest(b"maxmemroy"), Some("maxmemory"));
        assert_eq!(nearest(b"max-memory-policy"), Some("maxmemory-policy"));
        assert_eq!(nearest(b"appendOnly-"), Some("appendonly"));
        assert_eq!(nearest(b"something-else-entirely"), None);
    }
}
