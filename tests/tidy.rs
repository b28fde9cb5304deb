//! What the tree must look like: the order of the rooms, the heads of files, the length of functions, words that must not
//! stand in the server. Each rule is data; a test fails with the places that break it.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms of `src/`, in reading order: each may use the ones before it.
const ROOMS: &[&str] = &[
    "base", "sys", "ds", "resp", "types", "keyspace", "persist", "journal", "acl", "session", "hub", "config", "tls",
    "stats", "script", "command", "net", "server",
];
/// Pairs that look forward by design: types only, no behaviour.
const ALLOWED: &[(&str, &str)] = &[];
/// Longest function, lines.
const MAX_FN_LINES: usize = 70;
/// Rooms where `unsafe` is at home.
const UNSAFE_ROOMS: &[&str] = &["ds", "sys"];

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).expect("the folder is there").map(|e| e.expect("readable").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(&root.join("src"), &mut paths);
    // Files of tests alone, beside the code they test.
    paths.retain(|path| path.file_name().is_none_or(|name| name != "tests.rs"));
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("source files are text");
        (path.strip_prefix(root).expect("below the root").to_path_buf(), text)
    };
    paths.into_iter().map(read).collect()
}

/// The room a file belongs to: `src/ds/table.rs` is in `ds`, `src/server/cron.rs` in `server`.
fn room(path: &Path) -> Option<&'static str> {
    let part = path.components().nth(1)?.as_os_str().to_str()?.trim_end_matches(".rs");
    ROOMS.iter().copied().find(|room| *room == part)
}

/// The part of a file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

fn report(rule: &str, places: &[String]) {
    assert!(places.is_empty(), "{rule}:\n  {}", places.join("\n  "));
}

#[test]
fn a_room_uses_only_the_rooms_before_it() {
    let mut places = Vec::new();
    for (path, text) in sources() {
        let Some(own) = room(&path) else { continue };
        let own_rank = ROOMS.iter().position(|r| *r == own).expect("rooms are listed");
        for (number, line) in without_tests(&text).lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for (rank, other) in ROOMS.iter().enumerate() {
                let used = line.contains(&format!("crate::{other}::")) || line.contains(&format!("crate::{other};"));
                if used && rank > own_rank && !ALLOWED.contains(&(own, other)) {
                    places.push(format!("{}:{}: {own} uses {other}", path.display(), number + 1));
                }
            }
        }
    }
    report("rooms may only use those before them", &places);
}

#[test]
fn every_room_is_listed_in_lib_rs_in_this_order() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs is there");
    let mut named: Vec<&str> =
        lib.lines().filter_map(|l| l.strip_prefix("pub mod ")).map(|l| l.trim_end_matches(';')).collect();
    named.sort_unstable();
    let mut listed = ROOMS.to_vec();
    listed.sort_unstable();
    assert_eq!(named, listed);
}

#[test]
fn every_file_says_what_it_is() {
    let missing = |(path, text): &(PathBuf, String)| (!text.starts_with("//!")).then(|| path.display().to_string());
    report("a file opens with //!", &sources().iter().filter_map(missing).collect::<Vec<_>>());
}

#[test]
fn functions_are_short() {
    let mut places = Vec::new();
    for (path, text) in sources() {
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in without_tests(&text).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let body = line.trim_start();
            if let Some((start, depth, name)) = &open {
                if indent == *depth && body.starts_with('}') {
                    if number - start + 1 > MAX_FN_LINES {
                        places.push(format!(
                            "{}:{}: {name} has {} lines",
                            path.display(),
                            start + 1,
                            number - start + 1
                        ));
                    }
                    open = None;
                }
            } else if let Some(at) = body.find("fn ").filter(|at| *at == 0 || body[..*at].ends_with(' ')) {
                if !body.starts_with("//") && !body.ends_with(';') && !body.ends_with('}') {
                    let name = body[at + 3..].split(['(', '<']).next().unwrap_or_default().to_owned();
                    open = Some((number, indent, name));
                }
            }
        }
    }
    report("functions have at most 70 lines", &places);
}

#[test]
fn the_server_does_not_unwrap_and_leaves_nothing_for_later() {
    const WORDS: &[&str] = &[".unwrap()", "todo!(", "unimplemented!(", "TODO", "FIXME", "XXX", "dbg!("];
    let mut places = Vec::new();
    for (path, text) in sources() {
        for (number, line) in without_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in WORDS {
                let place = if word.chars().all(|c| c.is_ascii_uppercase()) { line } else { code };
                if place.contains(word)
                    && !place.contains(&format!("\"{word}"))
                    && !place.contains(&format!("{word}\""))
                {
                    places.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    report("words that must not stand here", &places);
}

#[test]
fn unsafe_stays_at_home_and_says_why() {
    let mut places = Vec::new();
    for (path, text) in sources() {
        let at_home = room(&path).is_some_and(|room| UNSAFE_ROOMS.contains(&room));
        let lines: Vec<&str> = without_tests(&text).lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            if !block {
                continue;
            }
            let explained = lines[number.saturating_sub(6)..=number].iter().any(|l| l.contains("SAFETY:"));
            if !at_home || !explained {
                places.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    report("unsafe blocks stand in ds and sys, each with its SAFETY comment", &places);
}

#[test]
fn every_script_is_used_and_explains_itself() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("README.md is there");
    for entry in fs::read_dir(root.join("scripts")).expect("scripts are there") {
        let path = entry.expect("readable").path();
        let name = path.file_name().and_then(|n| n.to_str()).expect("script names are text").to_owned();
        let text = fs::read_to_string(&path).expect("scripts are text");
        assert!(readme.contains(&format!("scripts/{name}")), "README.md does not name scripts/{name}");
        assert!(text.contains("--help"), "scripts/{name} has no --help");
    }
}

/// The last name of a path as Rust mangles it: `..4zset5write4zadd17h*` gives `zadd`.
fn last_name(mangled: &str) -> Option<&str> {
    let body = mangled.split("17h*").next()?;
    let at = body.rfind(|c: char| c.is_ascii_digit())?;
    let name = &body[at + 1..];
    (!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')).then_some(name)
}

#[test]
fn most_of_the_everyday_functions_still_exist() {
    let script = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hot.ld")).expect("hot.ld is there");
    let all: String = sources().into_iter().map(|(_, text)| text).collect();
    let named: Vec<&str> = script
        .lines()
        .filter_map(|line| line.trim().strip_prefix("*(.text._ZN8redstart"))
        .filter_map(|rest| last_name(rest.split_whitespace().next()?))
        .collect();
    let gone: Vec<&&str> = named.iter().filter(|name| !all.contains(&format!("fn {name}"))).collect();
    assert!(named.len() > 100, "hot.ld names {} functions of ours: run scripts/layout", named.len());
    assert!(
        gone.len() * 10 < named.len(),
        "of {} functions of hot.ld these are gone, run scripts/layout: {gone:?}",
        named.len()
    );
}
