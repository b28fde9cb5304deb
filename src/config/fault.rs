//! Faults of a configuration: where, what, and what was probably meant. Values of secret options never get into one.

use super::option::{OptionRow, flag};
use super::table;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A file, under the name it was asked for.
    File(PathBuf),
    /// Standard input.
    Stdin,
    /// The options of the command line, one line each.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(path) => write!(f, "{}", path.display()),
            Place::Stdin => f.write_str("standard input"),
            Place::CommandLine => f.write_str("command line"),
        }
    }
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What was read.
    pub place: Place,
    /// Counted from 1; 0 when the fault is in no line.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
    /// The line without blanks around it; secrets are replaced.
    pub text: String,
    /// Characters of `text` before the word at fault.
    caret: usize,
    /// Redis's text.
    pub cause: String,
    /// The directive that was probably meant.
    pub nearest: Option<&'static str>,
}

impl Fault {
    /// A fault in no line.
    pub(super) fn of_place(place: &Place, cause: impl Into<String>) -> Fault {
        let cause = cause.into();
        Fault { place: place.clone(), line: 0, column: 0, text: String::new(), caret: 0, cause, nearest: None }
    }

    /// A fault in word `word` of `line`, whose directive is `row` when that is known.
    pub(super) fn in_line(at: &LineAt<'_>, row: Option<&OptionRow>, word: usize, cause: impl Into<String>) -> Fault {
        let trimmed = at.text.trim_ascii();
        let name = &trimmed[..word_end(trimmed, 0)];
        let nearest = if row.is_none() { table::nearest(trim_quotes(name)) } else { None };
        let meant = row.or_else(|| nearest.and_then(|name| table::find(name.as_bytes())));
        let secret = meant.is_some_and(|row| row.has(flag::SENSITIVE));
        let shown = match meant {
            Some(row) if row.name == "user" => redact(trimmed, |word, text| word == 1 || is_harmless_rule(text)),
            _ if secret => redact(trimmed, |_, _| false),
            _ => trimmed.to_vec(),
        };
        let starts = word_starts(&shown);
        let start = starts.get(word).or(starts.last()).copied().unwrap_or(0);
        let caret = String::from_utf8_lossy(&shown[..start]).chars().count();
        let indent = at.text.len() - at.text.trim_ascii_start().len();
        let text = String::from_utf8_lossy(&shown).into_owned();
        let (place, cause) = (at.place.clone(), cause.into());
        Fault { place, line: at.number, column: indent + caret + 1, text, caret, cause, nearest }
    }
}

/// A line and where it stands.
#[derive(Clone, Copy)]
pub(super) struct LineAt<'a> {
    pub place: &'a Place,
    pub number: usize,
    pub text: &'a [u8],
}

/// The name stays, words after it only if `keep` says so.
fn redact(line: &[u8], keep: impl Fn(usize, &[u8]) -> bool) -> Vec<u8> {
    let mut shown = line[..word_end(line, 0)].to_vec();
    for (index, start) in word_starts(line).into_iter().enumerate().skip(1) {
        let word = &line[start..word_end(line, start)];
        shown.push(b' ');
        shown.extend(if keep(index, word) { word } else { b"(hidden)" });
    }
    shown
}

/// ACL rules that hold no password, nor one that lacks its mark.
fn is_harmless_rule(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 12] = [
        b"on",
        b"off",
        b"nopass",
        b"resetpass",
        b"reset",
        b"allkeys",
        b"resetkeys",
        b"allchannels",
        b"resetchannels",
        b"allcommands",
        b"nocommands",
        b"clearselectors",
    ];
    let word = trim_quotes(word);
    WORDS.contains(&word) || word.first().is_some_and(|mark| b"~&+-@%(".contains(mark))
}

fn trim_quotes(word: &[u8]) -> &[u8] {
    let mark = |byte: &u8| *byte == b'"' || *byte == b'\'';
    let start = word.iter().position(|byte| !mark(byte)).unwrap_or(word.len());
    let end = word.iter().rposition(|byte| !mark(byte)).map_or(start, |last| last + 1);
    &word[start..end]
}

/// Where the words of a line begin.
fn word_starts(line: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut index = 0;
    loop {
        index += line[index..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        if index == line.len() {
            return starts;
        }
        starts.push(index);
        index = word_end(line, index);
    }
}

/// Where the word that begins at `start` ends; an open quote runs to the end of the line.
fn word_end(line: &[u8], start: usize) -> usize {
    let mut mark = None;
    let mut index = start;
    while let Some(&byte) = line.get(index) {
        match (mark, byte) {
            (None, b'"' | b'\'') => mark = Some(byte),
            (None, _) if byte.is_ascii_whitespace() => return index,
            (Some(_), b'\\') => index += 1,
            (Some(open), _) if open == byte => mark = None,
            _ => {}
        }
        index += 1;
    }
    line.len()
}

/// All faults for a person and for what looks for Redis's lines: its block for the first fault, then each with its place.
pub fn render_faults(faults: &[Fault], redis_version: &str) -> String {
    let mut text = String::new();
    let Some(first) = faults.first() else { return text };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "\n*** FATAL CONFIG FILE ERROR (Redis {redis_version}) ***");
    if first.line > 0 {
        // Redis counts the options of the command line from 2.
        let line = first.line + usize::from(first.place == Place::CommandLine);
        let _ = writeln!(text, "Reading the configuration file, at line {line}\n>>> '{}'", first.text);
    }
    let _ = writeln!(text, "{}\n", first.cause);
    for fault in faults {
        render_one(&mut text, fault);
    }
    let (count, are) = (faults.len(), if faults.len() == 1 { "fault" } else { "faults" });
    let _ = writeln!(text, "{count} {are} in the configuration, nothing was started.");
    text
}

fn render_one(text: &mut String, fault: &Fault) {
    let _ = if fault.line > 0 {
        writeln!(text, "{}:{}:{}: {}", fault.place, fault.line, fault.column, fault.cause)
    } else {
        writeln!(text, "{}: {}", fault.place, fault.cause)
    };
    if !fault.text.is_empty() {
        // Tabs stay tabs, so that the caret stands under its word.
        let blank = |c: char| if c == '\t' { '\t' } else { ' ' };
        let gap: String = fault.text.chars().take(fault.caret).map(blank).collect();
        let _ = writeln!(text, "    {}\n    {gap}^", fault.text);
    }
    if let Some(name) = fault.nearest {
        let _ = writeln!(text, "    did you mean {name}?");
    }
}
