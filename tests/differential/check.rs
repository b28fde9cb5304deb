//! When two replies are the same. Knows no command but by the check its form names.

use super::known;
use super::support::client::Value;

/// How the replies to a form are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Byte for byte.
    Exact,
    /// As `Exact`; the command must not be changed by the generator.
    Fixed,
    /// Elements in any order.
    Unordered,
    /// Pairs in any order, the two of a pair together.
    Pairs,
    /// Numbers that hang on the clock: a few seconds apart.
    Near,
    /// A list of pending entries: the third of the four, the idle time, hangs on the clock.
    Pending,
    /// Facts of groups of a stream, but for those that later versions count otherwise.
    Groups,
    /// As `Near`, in milliseconds.
    NearMs,
    /// Only the kind of reply.
    Kind,
    /// What DUMP says: the bytes, as far as they do not hang on a version or on the order of a table.
    Dump,
    /// An encoding's name; which one, the comparison of the key spaces tells by type.
    Encoding,
    /// A map about the server: names and kinds of its fields.
    Hello,
    /// A cursor and, if the iteration ends with it, elements in any order.
    Scan,
    /// As `Scan`, with pairs.
    ScanPairs,
    /// A random choice of what the command `all` replies just before (`@` is the key).
    Sample { all: &'static str },
    /// As `Sample`, and what was chosen is gone afterwards. The key is deleted then, for the servers chose differently.
    Pops { all: &'static str },
    /// The replies of the queued commands, each by its own check.
    Exec,
    /// This command and the next have no reply.
    Silent,
}

/// Seconds and milliseconds by which clocks may differ.
const NEAR_S: i64 = 10;
const NEAR_MS: i64 = 10_000;

/// A command that was sent and what each server replied.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    pub argv: &'a [Vec<u8>],
    pub check: Check,
    pub ours: &'a Value,
    pub theirs: &'a Value,
}

/// Whether the two replies agree, or differ in a known way.
pub fn agrees(a: Answered<'_>) -> bool {
    let Answered { argv, ours, theirs, check } = a;
    if ours == theirs {
        return true;
    }
    let same = match check {
        _ if ours.is_error() || theirs.is_error() || ours.is_null() || theirs.is_null() => false,
        Check::Exact | Check::Fixed | Check::Exec | Check::Silent => false,
        Check::Unordered => sorted(ours, 1, false) == sorted(theirs, 1, false),
        Check::Pairs => sorted(ours, 2, false) == sorted(theirs, 2, false),
        Check::Near => {
            near(ours, theirs, if argv[0].to_ascii_lowercase().starts_with(b"p") { NEAR_MS } else { NEAR_S })
        }
        Check::Pending => pending(ours, theirs),
        Check::Groups => groups(ours) == groups(theirs),
        Check::NearMs => near(ours, theirs, NEAR_MS),
        Check::Kind | Check::Encoding => ours.kind == theirs.kind,
        Check::Dump => dumps(&ours.text, &theirs.text),
        Check::Hello => fields(ours) == fields(theirs),
        Check::Scan | Check::ScanPairs => scan(argv, ours, theirs, if check == Check::Scan { 1 } else { 2 }),
        Check::Sample { .. } | Check::Pops { .. } => ours.kind == theirs.kind && flat(ours).len() == flat(theirs).len(),
    };
    same || known::explains(argv, ours, theirs)
}

/// Bytes after the value in what DUMP says: the version and the checksum.
const DUMP_FOOTER: usize = 10;
/// Types whose bytes are the same in any version: a string, integers, a listpack of fields and values.
const DUMP_EXACT: [u8; 3] = [0, 11, 16];
/// Types whose elements come in the order of a table, of as many bytes in any order: a set, a hash.
const DUMP_TABLES: [u8; 2] = [2, 4];

/// Whether two values of DUMP are the same. Other types, and different ones, are left to the comparison of encodings and elements.
fn dumps(ours: &[u8], theirs: &[u8]) -> bool {
    let split = |dump: &[u8]| {
        let (kind, rest) = dump.split_first()?;
        Some((*kind, rest.get(..rest.len().checked_sub(DUMP_FOOTER)?)?.to_vec()))
    };
    match (split(ours), split(theirs)) {
        (Some((a, ours)), Some((b, theirs))) if a == b && DUMP_EXACT.contains(&a) => ours == theirs,
        (Some((a, ours)), Some((b, theirs))) if a == b && DUMP_TABLES.contains(&a) => ours.len() == theirs.len(),
        (Some(_), Some(_)) => true,
        _ => false,
    }
}

/// Whether a random choice is one of what was there: `all` is what the same server replied just before.
pub fn is_sample(argv: &[Vec<u8>], all: &Value, chosen: &Value) -> bool {
    if chosen.is_error() || chosen.is_null() || all.is_error() {
        return true;
    }
    let with = argv.last().is_some_and(|w| w.to_ascii_lowercase().starts_with(b"with"));
    let all_width =
        if matches!(argv[0].to_ascii_lowercase().as_slice(), b"hrandfield" | b"zrandmember") { 2 } else { 1 };
    let (all, items) = (flat(all), flat(chosen));
    let mut items: Vec<&[&[u8]]> = items.chunks(if with { 2 } else { 1 }).collect();
    let known = items.iter().all(|item| all.chunks(all_width).any(|one| one.starts_with(item)));
    let count = argv.get(2).and_then(|w| std::str::from_utf8(w).ok()).and_then(|w| w.parse::<i64>().ok()).unwrap_or(1);
    let len = items.len();
    items.sort_unstable();
    items.dedup();
    known && (count < 0 || items.len() == len)
}

/// Whether `before` without `popped` is `after`.
pub fn is_rest(before: &Value, popped: &Value, after: &Value) -> bool {
    if popped.is_error() || before.is_error() {
        return true;
    }
    let (mut rest, mut after) = (flat(before), flat(after));
    let popped = if popped.is_null() { Vec::new() } else { flat(popped) };
    rest.retain(|one| !popped.contains(one));
    rest.sort_unstable();
    after.sort_unstable();
    rest == after
}

/// All strings of a reply, nested ones in their place.
pub fn flat(value: &Value) -> Vec<&[u8]> {
    match value.kind {
        b'*' | b'~' | b'%' | b'>' => value.children.iter().flat_map(flat).collect(),
        _ => vec![&value.text],
    }
}

/// Elements in groups of `width`, sorted; `scores`: doubles in one spelling. Pairs that are arrays of two are flattened first.
/// The groups of an aggregate's elements, each element as its type byte and text.
type Groups = Vec<Vec<(u8, Vec<u8>)>>;

fn sorted(value: &Value, width: usize, scores: bool) -> (u8, Groups) {
    let nested = width == 2 && value.children.iter().all(|c| c.kind == b'*');
    let leaves: Vec<&Value> = if nested {
        value.children.iter().flat_map(|c| &c.children).collect()
    } else {
        value.children.iter().collect()
    };
    let mut groups: Vec<Vec<(u8, Vec<u8>)>> = leaves
        .chunks(width)
        .map(|group| {
            group.iter().map(|v| (v.kind, if scores { number_text(&v.text) } else { v.text.clone() })).collect()
        })
        .collect();
    groups.sort_unstable();
    (value.kind, groups)
}

/// Numbers in one spelling: see `known` on the text of doubles.
fn number_text(text: &[u8]) -> Vec<u8> {
    known::double(text).map_or_else(|| text.to_vec(), |d| (d + 0.0).to_string().into_bytes())
}

/// For people, numbers in one spelling.
pub fn double_text(text: &[u8]) -> String {
    number_text(text).escape_ascii().to_string()
}

/// Both a time, and not far from each other; the negative answers must be equal.
fn near(ours: &Value, theirs: &Value, limit: i64) -> bool {
    if !ours.children.is_empty() {
        let mut each = ours.children.iter().zip(&theirs.children);
        return ours.children.len() == theirs.children.len() && each.all(|(a, b)| a == b || near(a, b, limit));
    }
    match (ours.int(), theirs.int()) {
        (Some(a), Some(b)) => a > 0 && b > 0 && (a - b).abs() <= limit,
        _ => false,
    }
}

fn pending(ours: &Value, theirs: &Value) -> bool {
    ours.children.len() == theirs.children.len()
        && ours.children.iter().zip(&theirs.children).all(|(a, b)| match (&a.children[..], &b.children[..]) {
            ([id, name, idle, count], [id_b, name_b, idle_b, count_b]) => {
                let idle = idle.int().zip(idle_b.int()).is_some_and(|(a, b)| (a - b).abs() <= NEAR_MS);
                id == id_b && name == name_b && idle && count == count_b
            }
            _ => a == b,
        })
}

/// Field and value of each group. How far it has read is told better since 7.2, and who only tried to read is a consumer.
fn groups(value: &Value) -> Vec<Vec<&Value>> {
    const OTHERWISE: [&[u8]; 3] = [b"consumers", b"entries-read", b"lag"];
    let kept = |group: &Value, field: usize| !OTHERWISE.contains(&group.children[field / 2 * 2].text.as_slice());
    let fields = |group: &'_ Value| (0..group.children.len()).filter(|at| kept(group, *at)).collect::<Vec<_>>();
    value.children.iter().map(|group| fields(group).into_iter().map(|at| &group.children[at]).collect()).collect()
}

fn fields(value: &Value) -> (u8, Vec<(&[u8], u8)>) {
    (value.kind, value.children.chunks(2).map(|f| (f[0].text.as_slice(), f.last().map_or(0, |v| v.kind))).collect())
}

/// What one step of an iteration yields is defined only if it was all of it.
fn scan(argv: &[Vec<u8>], ours: &Value, theirs: &Value, width: usize) -> bool {
    let is = |name: &[u8]| argv[0].eq_ignore_ascii_case(name);
    let from_start = argv.get(if is(b"scan") { 1 } else { 2 }).is_some_and(|cursor| cursor == b"0");
    let ([cursor, elements], [their_cursor, their_elements]) = (ours.children.as_slice(), theirs.children.as_slice())
    else {
        return false;
    };
    let partial = !from_start || cursor.text != b"0" || their_cursor.text != b"0";
    let scores = is(b"zscan");
    cursor.kind == their_cursor.kind
        && elements.kind == their_elements.kind
        && (partial || sorted(elements, width, scores) == sorted(their_elements, width, scores))
}
