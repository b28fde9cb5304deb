//! The list of the log's parts, and their names. Knows no disk.
//!
//! ```text
//! file appendonly.aof.1.base.rdb seq 1 type b                what all others build on; at most one
//! file appendonly.aof.1.incr.aof seq 1 type i                commands, in the order of their numbers
//! file appendonly.aof.2.incr.aof seq 2 type i length 4711    the same; only its first bytes count
//! file appendonly.aof.0.incr.aof seq 0 type h                no part any more, to be removed
//! ```
//!
//! A line is pairs of a key and a value; keys that are not known are skipped. A name with blanks or the like is quoted.
//! `length` is this server's own: a part whose last bytes could not be written or synced, and stand in the next one; or a sealed one
//! that was closed in order, so that an older copy in its place is noticed. `startoffset` and `endoffset` are those of Redis 8: where
//! an increment begins in the stream of replication, and where it was closed in order. They are kept up where they are found.

use crate::base::text;
use std::fmt;

/// Longest line, bytes.
const MAX_LINE_BYTES: usize = 1024;

/// What a part is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartKind {
    /// What all others build on.
    Base,
    /// Commands that came after.
    Increment,
    /// No part any more.
    History,
}

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the log's folder.
    pub name: String,
    /// Its number among those of its kind.
    pub seq: u64,
    /// What it is for.
    pub kind: PartKind,
    /// How many of its bytes count, if not all.
    pub len: Option<u64>,
    /// Where it begins in the stream of replication, if that is told.
    pub start_offset: Option<u64>,
    /// Where it ends there, if it was closed in order.
    pub end_offset: Option<u64>,
}

impl Part {
    /// A part of which all counts.
    pub fn new(name: String, seq: u64, kind: PartKind) -> Part {
        Part { name, seq, kind, len: None, start_offset: None, end_offset: None }
    }
}

/// The parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// What all others build on.
    pub base: Option<Part>,
    /// Commands, in order.
    pub increments: Vec<Part>,
    /// What is to be removed.
    pub history: Vec<Part>,
    /// Highest number of a base so far.
    pub base_seq: u64,
    /// Highest number of an increment so far.
    pub increment_seq: u64,
}

/// Why a list can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFault {
    /// Line, from 1; 0 for the list as a whole.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

impl fmt::Display for ManifestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 { write!(f, "line {}: {}", self.line, self.what) } else { f.write_str(self.what) }
    }
}

const INVALID: &str = "Invalid AOF manifest file format";

impl Manifest {
    /// Reads a list.
    ///
    /// # Errors
    /// The line at fault.
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestFault> {
        if bytes.is_empty() {
            return Err(ManifestFault { line: 0, what: "Found an empty AOF manifest" });
        }
        let mut manifest = Manifest::default();
        let mut rest = bytes;
        let mut line = 0;
        while !rest.is_empty() {
            line += 1;
            let fault = |what| ManifestFault { line, what };
            let end = rest.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(rest.len()) >= MAX_LINE_BYTES {
                return Err(fault("The AOF manifest file contains too long line"));
            }
            let end = end.ok_or(fault(INVALID))?;
            let text = &rest[..end];
            rest = &rest[end + 1..];
            if text.first() == Some(&b'#') {
                continue;
            }
            let part = parse_line(text).map_err(fault)?;
            manifest.add(part).map_err(fault)?;
        }
        if line == 0 || (manifest.base.is_none() && manifest.increments.is_empty() && manifest.history.is_empty()) {
            return Err(ManifestFault { line: 0, what: "Found an empty AOF manifest" });
        }
        Ok(manifest)
    }

    fn add(&mut self, part: Part) -> Result<(), &'static str> {
        match part.kind {
            PartKind::Base if self.base.is_some() => return Err("Found duplicate base file information"),
            PartKind::Base => {
                self.base_seq = self.base_seq.max(part.seq);
                self.base = Some(part);
            }
            PartKind::History => self.history.push(part),
            PartKind::Increment => {
                if part.seq <= self.increment_seq && !self.increments.is_empty() {
                    return Err("Found a non-monotonic sequence number");
                }
                self.increment_seq = part.seq;
                self.increments.push(part);
            }
        }
        Ok(())
    }

    /// The list as it is written.
    pub fn to_text(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let kinds = [(PartKind::Base, b'b'), (PartKind::History, b'h'), (PartKind::Increment, b'i')];
        for part in self.base.iter().chain(&self.history).chain(&self.increments) {
            out.extend_from_slice(b"file ");
            let name = part.name.as_bytes();
            if needs_quotes(name) {
                text::quote_repr(name, &mut out);
            } else {
                out.extend_from_slice(name);
            }
            out.extend_from_slice(format!(" seq {} type ", part.seq).as_bytes());
            out.extend(kinds.iter().find(|(kind, _)| *kind == part.kind).map(|(_, letter)| *letter));
            if let Some(len) = part.len {
                out.extend_from_slice(format!(" length {len}").as_bytes());
            }
            for (key, offset) in [("startoffset", part.start_offset), ("endoffset", part.end_offset)] {
                if let Some(offset) = offset {
                    out.extend_from_slice(format!(" {key} {offset}").as_bytes());
                }
            }
            out.push(b'\n');
        }
        out
    }

    /// The next increment, which is then the last one. `start_offset`: where it begins in the stream of replication, if that is told.
    pub fn begin_increment(&mut self, name: &str, start_offset: Option<u64>) -> Part {
        let part = Part { start_offset, ..self.next_increment(name) };
        self.increment_seq = part.seq;
        self.increments.push(part.clone());
        part
    }

    /// What the next increment will be.
    pub fn next_increment(&self, name: &str) -> Part {
        let seq = self.increment_seq + 1;
        Part::new(format!("{name}.{seq}.incr.aof"), seq, PartKind::Increment)
    }

    /// What the next base will be.
    pub fn next_base(&self, name: &str, rdb: bool) -> Part {
        let seq = self.base_seq + 1;
        let form = if rdb { "rdb" } else { "aof" };
        Part::new(format!("{name}.{seq}.base.{form}"), seq, PartKind::Base)
    }

    /// A new base takes the place of the old one and of all increments but those from `first_kept` on.
    pub fn replace_base(&mut self, base: Part, first_kept: u64) {
        let (kept, gone) = std::mem::take(&mut self.increments).into_iter().partition(|part| part.seq >= first_kept);
        self.increments = kept;
        self.base_seq = base.seq;
        // What went last stands first.
        for part in self.base.replace(base).into_iter().chain::<Vec<Part>>(gone) {
            self.history.insert(0, Part { kind: PartKind::History, ..part });
        }
    }

    /// Whether it tells where increments are in the stream of replication.
    pub fn tells_offsets(&self) -> bool {
        self.increments.last().is_some_and(|part| part.start_offset.is_some())
    }

    /// All parts that make up the data, in order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.base.iter().chain(&self.increments)
    }
}

fn parse_line(line: &[u8]) -> Result<Part, &'static str> {
    let words = text::split_args(line).map_err(|_| INVALID)?;
    if words.len() < 6 || words.len() % 2 != 0 {
        return Err(INVALID);
    }
    let (mut name, mut seq, mut kind) = (None, None, None);
    let (mut len, mut start_offset, mut end_offset) = (None, None, None);
    let number = |value: &str| value.parse::<u64>().map(Some).map_err(|_| INVALID);
    for pair in words.chunks_exact(2) {
        let value = std::str::from_utf8(&pair[1]).map_err(|_| INVALID)?;
        match pair[0].to_ascii_lowercase().as_slice() {
            b"file" if value.contains('/') => return Err("File can't be a path, just a filename"),
            b"file" => name = Some(value.to_owned()),
            b"seq" => seq = value.parse::<u64>().ok(),
            b"type" => {
                kind = Some(match value {
                    "b" => PartKind::Base,
                    "i" => PartKind::Increment,
                    "h" => PartKind::History,
                    _ => return Err("Unknown AOF file type"),
                });
            }
            b"length" => len = number(value)?,
            b"startoffset" => start_offset = number(value)?,
            // -1 stands for none there.
            b"endoffset" if value == "-1" => end_offset = None,
            b"endoffset" => end_offset = number(value)?,
            _ => {}
        }
    }
    match (name, seq.filter(|seq| *seq > 0), kind) {
        (Some(name), Some(seq), Some(kind)) if !name.is_empty() && name != "." && name != ".." => {
            Ok(Part { len, start_offset, end_offset, ..Part::new(name, seq, kind) })
        }
        _ => Err(INVALID),
    }
}

fn needs_quotes(name: &[u8]) -> bool {
    name.iter().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'"' | b'\'' | b'\\'))
}

/// Whether a file's name is that of a part of the log of this name.
pub fn is_part_name(file: &str, name: &str) -> bool {
    let Some(rest) = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { return false };
    let mut words = rest.split('.');
    let number = words.next().is_some_and(|seq| !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit()));
    let forms = [("base", "rdb"), ("base", "aof"), ("incr", "aof")];
    number
        && forms.contains(&(words.next().unwrap_or_default(), words.next().unwrap_or_default()))
        && words.next().is_none()
}

/// Reads arbitrary bytes as a list: what is accepted must be written so that it is read again as the same.
pub fn fuzz_manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::parse(data) else { return };
    let again = Manifest::parse(&manifest.to_text());
    let parts = |manifest: &Manifest| {
        let kinds = (manifest.base.clone(), manifest.history.clone(), manifest.increments.clone());
        (kinds, manifest.increment_seq)
    };
    // A name may become too long for a line with its quotes.
    if let Ok(again) = again {
        assert_eq!(parts(&again), parts(&manifest), "a list is another when it is read again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_it_is_read() {
        let list = b"file \"a b.aof.1.base.rdb\" seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i length 7\nfile a.aof.3.incr.aof seq 3 type i\n";
        let manifest = Manifest::parse(list).expect("it is good");
        assert_eq!(manifest.to_text(), list);
        assert_eq!((manifest.base_seq, manifest.increment_seq, manifest.increments[0].len), (1, 3, Some(7)));
    }

    #[test]
    fn offsets_in_the_stream_are_read_and_kept() {
        let list = b"file a.1.base.rdb seq 1 type b\nfile a.2.incr.aof seq 2 type i startoffset 224 endoffset 532\n";
        let mut manifest = Manifest::parse(list).expect("it is good");
        assert_eq!(manifest.to_text(), list);
        assert!(manifest.tells_offsets());
        manifest.increments[0].end_offset = None;
        assert!(manifest.to_text().ends_with(b"type i startoffset 224\n"));
        assert!(Manifest::parse(b"file a seq 1 type i startoffset x\n").is_err());
        assert!(!Manifest::parse(b"file a seq 1 type i\n").expect("it is good").tells_offsets());
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said() {
        let fault = |text: &str| Manifest::parse(text.as_bytes()).expect_err(text).what;
        assert_eq!(fault(""), "Found an empty AOF manifest");
        assert_eq!(fault("file a seq 2 type i\nfile b seq 1 type i\n"), "Found a non-monotonic sequence number");
        assert_eq!(fault("file a seq 1 type i\n\nfile b seq 2 type i\n"), INVALID);
        assert_eq!(fault("file a seq 1 type b\nfile b seq 2 type b\n"), "Found duplicate base file information");
        assert_eq!(fault("file a seq 1 type x\n"), "Unknown AOF file type");
        assert_eq!(fault("filx a seq 1 type b\n"), INVALID);
        assert_eq!(fault("file a type i\n"), INVALID);
        assert_eq!(fault("file a seq 1 type i odd\n"), INVALID);
        assert_eq!(fault("file a seq 0 type i\n"), INVALID);
        assert_eq!(fault("file ../a seq 1 type i\n"), "File can't be a path, just a filename");
        assert_eq!(fault(&"x".repeat(2000)), "The AOF manifest file contains too long line");
        assert_eq!(fault("file a seq 1 type i"), INVALID);
    }

    #[test]
    fn a_new_base_makes_what_it_holds_history() {
        let mut manifest =
            Manifest::parse(b"file l.1.base.rdb seq 1 type b\nfile l.1.incr.aof seq 1 type i\n").expect("good");
        assert_eq!(manifest.begin_increment("l", None).name, "l.2.incr.aof");
        let base = manifest.next_base("l", true);
        manifest.replace_base(base, 2);
        let text = String::from_utf8(manifest.to_text()).expect("text");
        assert_eq!(
            text,
            "file l.2.base.rdb seq 2 type b\nfile l.1.incr.aof seq 1 type h\nfile l.1.base.rdb seq 1 type h\nfile l.2.incr.aof seq 2 type i\n"
        );
        assert_eq!(manifest.increments.len(), 1);
    }

    #[test]
    fn names_of_parts_are_known() {
        assert!(is_part_name("x.aof.12.incr.aof", "x.aof") && is_part_name("x.aof.1.base.rdb", "x.aof"));
        for other in ["x.aof", "x.aof.manifest", "x.aof.1.incr.rdb", "x.aof..incr.aof", "y.aof.1.incr.aof"] {
            assert!(!is_part_name(other, "x.aof"), "{other}");
        }
    }
}
