//! Regular expressions over bytes, matched in time linear in the text: whether one occurs, not where. Extended POSIX syntax
//! with the additions of TRE, the library that the reference server uses: `\d \w \s` and their opposites, `\b \B \< \>`,
//! `\Q...\E`, `\x41`, `\x{41}`, `(?i)`, `(?:...)`, lazy repetitions (which find no less). Knows no command.
//!
//! Our own is the syntax, which no library reads; the `regex-automata` crate compiles and searches.

mod parse;

use regex_automata::meta;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir};
use std::fmt;

/// Bytes of the longest program: repetitions within repetitions multiply.
const PROGRAM_BYTES_MAX: usize = 4 << 20;
/// Bytes of the states that a search remembers.
const CACHE_BYTES: usize = 1 << 20;

/// What is wrong with an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `[.x.]` and `[=x=]`.
    Collation,
    /// `[:nosuch:]`.
    Class,
    /// A backslash at the end.
    Escape,
    /// `\2` with fewer groups.
    Reference,
    /// No `]`.
    Bracket,
    /// No `)`, or one too many.
    Parenthesis,
    /// No `}`.
    Brace,
    /// Not a number of repetitions.
    Bound,
    /// `[z-a]`.
    Range,
    /// The program would be too long.
    Memory,
    /// Nothing to repeat.
    Repetition,
    /// None of these.
    Pattern,
    /// Sound, but a reference back to a group is not supported.
    BackReference,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Collation => "Unknown collating element",
            Fault::Class => "Unknown character class name",
            Fault::Escape => "Trailing backslash",
            Fault::Reference => "Invalid back reference",
            Fault::Bracket => "Missing ']'",
            Fault::Parenthesis => "Missing ')'",
            Fault::Brace => "Missing '}'",
            Fault::Bound => "Invalid contents of {}",
            Fault::Range => "Invalid character range",
            Fault::Memory => "Out of memory",
            Fault::Repetition => "Invalid use of repetition operators",
            Fault::Pattern | Fault::BackReference => "Invalid regexp",
        })
    }
}

/// A set of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct ByteSet([u64; 4]);

impl ByteSet {
    fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 != 0
    }

    fn of(is_in: impl Fn(u8) -> bool) -> ByteSet {
        let mut set = ByteSet::default();
        (0..=u8::MAX).filter(|byte| is_in(*byte)).for_each(|byte| set.add(byte));
        set
    }

    fn not(self) -> ByteSet {
        ByteSet(self.0.map(|bits| !bits))
    }

    fn hir(self) -> Hir {
        let bytes = (0..=u8::MAX).filter(|byte| self.has(*byte));
        Hir::class(Class::Bytes(ClassBytes::new(bytes.map(|byte| ClassBytesRange::new(byte, byte)))))
    }

    /// With the other case of every letter.
    fn folded(self) -> ByteSet {
        ByteSet::of(|byte| self.has(byte.to_ascii_lowercase()) || self.has(byte.to_ascii_uppercase()) || self.has(byte))
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// A compiled expression.
#[derive(Debug)]
pub struct Regex(meta::Regex);

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &[u8], nocase: bool) -> Result<Regex, Fault> {
        let tree = parse::parse(text, nocase)?;
        let config = meta::Config::new()
            .utf8_empty(false)
            .which_captures(WhichCaptures::None)
            .nfa_size_limit(Some(PROGRAM_BYTES_MAX))
            .hybrid_cache_capacity(CACHE_BYTES);
        // Nothing but its size is left to be refused.
        meta::Builder::new().configure(config).build_from_hir(&tree).map(Regex).map_err(|_| Fault::Memory)
    }

    /// Whether it occurs in a text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// Compiles the first part of any bytes and looks for it in the rest.
pub fn fuzz_regex(data: &[u8]) {
    let (pattern, text) = data.split_at(data.len().min(1 + data.len() / 2));
    if let Ok(regex) = Regex::new(pattern, data.len() % 2 == 0) {
        regex.is_match(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn finds(pattern: &str, text: &str) -> bool {
        let regex = Regex::new(pattern.as_bytes(), false).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
        regex.is_match(text.as_bytes())
    }

    #[test]
    fn expressions_occur_or_do_not() {
        let rows: [(&str, &str, bool); 60] = [
            ("abc", "xabcx", true),
            ("abc", "abx", false),
            ("^abc$", "abc", true),
            ("^abc$", "abcd", false),
            ("a|b", "xb", true),
            ("^(foo|bar)$", "bar", true),
            ("^(foo|bar)$", "foobar", false),
            ("^.*[0-9]{3}$", "foo123", true),
            ("^.*[0-9]{3}$", "foo12", false),
            ("a*b", "b", true),
            ("^a+b$", "b", false),
            ("^a?b$", "ab", true),
            ("^a{2,3}$", "aaaa", false),
            ("^a{2,3}$", "aaa", true),
            ("^a{,2}$", "aaa", false),
            ("^a{2,}$", "aaaaa", true),
            ("^a{0}b$", "b", true),
            ("^(ab){2}$", "abab", true),
            ("^a*?$", "aaa", true),
            ("[^a]", "a", false),
            ("[]a]", "]", true),
            ("[^]a]", "]a", false),
            ("[a-c-]", "-", true),
            ("[[:digit:]x]", "7", true),
            ("[[:alpha:]]", "7", false),
            ("\\d\\w\\s", "1a ", true),
            ("\\D\\W\\S", "1a ", false),
            ("\\bfoo\\b", "a foo b", true),
            ("\\bfoo\\b", "afoo", false),
            ("\\Boo", "foo", true),
            ("\\<foo\\>", "foo", true),
            ("\\<oo", "foo", false),
            ("\\Q.*\\E", "a.*b", true),
            ("\\Q.*\\E", "ab", false),
            ("\\Q.*", ".*", true),
            ("\\x41\\x{42}", "AB", true),
            ("\\.", "a", false),
            ("\\.", ".", true),
            ("(?i)abc", "ABC", true),
            ("(?i:a)b", "Ab", true),
            ("(?i:a)b", "AB", false),
            ("(?:ab)+", "abab", true),
            ("a|", "x", true),
            ("()", "", true),
            ("(|a)b", "b", true),
            ("x^a", "xa", false),
            ("a$b", "ab", false),
            ("\\t", "\t", true),
            ("a.c", "a\nc", true),
            ("(?n)a.c", "a\nc", false),
            ("(?n)^c", "a\nc", true),
            ("(a|ab)(c|bcd)$", "abcd", true),
            ("(a*)*b", "aaab", true),
            ("(a*)+$", "aaa", true),
            ("((a?){3}){3}$", "aaaa", true),
            ("[\\d]", "d", true),
            ("[\\d]", "1", false),
            ("[.]", "a", false),
            ("a]", "a]", true),
            ("a}", "a}", true),
        ];
        for (pattern, text, expected) in rows {
            assert_eq!(finds(pattern, text), expected, "{pattern} in {text}");
        }
        assert!(Regex::new(b"^foo[x-z]$", true).unwrap().is_match(b"FOOY"));
        assert!(!Regex::new(b"^[^x]$", true).unwrap().is_match(b"X"));
    }

    #[test]
    fn faults_are_told_apart() {
        for (pattern, fault) in [
            ("(", Fault::Parenthesis),
            ("(a", Fault::Parenthesis),
            ("a)", Fault::Parenthesis),
            ("[a", Fault::Bracket),
            ("[", Fault::Bracket),
            ("[[:nosuch:]]", Fault::Class),
            ("[[.a.]]", Fault::Collation),
            ("[z-a]", Fault::Range),
            ("a\\", Fault::Escape),
            ("*a", Fault::Repetition),
            ("a|*", Fault::Repetition),
            ("a**", Fault::Repetition),
            ("a{2", Fault::Brace),
            ("a{x}", Fault::Bound),
            ("a{3,2}", Fault::Bound),
            ("a{256}", Fault::Bound),
            ("\\x{1", Fault::Brace),
            ("\\x{g}", Fault::Brace),
            ("\\1", Fault::Reference),
            ("(a)\\1", Fault::BackReference),
            ("(?q)", Fault::Pattern),
            ("(((a{255}){255}){255})", Fault::Memory),
        ] {
            assert_eq!(Regex::new(pattern.as_bytes(), false).err(), Some(fault), "{pattern}");
        }
    }

    #[test]
    fn hostile_expressions_take_no_long_time_and_any_bytes_may_be_given() {
        let text = "a".repeat(2_000);
        assert!(!finds("(a*)*(a*)*(a*)*(a|a)*b$", &text));
        let deep = |depth| format!("{}{}", "(".repeat(depth), ")".repeat(depth));
        assert!(finds(&deep(1_000), ""));
        assert_eq!(Regex::new(deep(1_000_000).as_bytes(), false).err(), Some(Fault::Memory));
        assert_eq!(Regex::new(format!("a{}", "?".repeat(1_000_000)).as_bytes(), false).err(), Some(Fault::Memory));
        assert_eq!(Regex::new(format!("a{}", "{1,2}".repeat(900)).as_bytes(), false).err(), Some(Fault::Memory));
        let mut rng = Rng::seeded(4);
        let letters = b"ab()[]{}|*+?^$.\\dwxQE123,-:=ai\n\0\xff";
        for _ in 0..20_000 {
            let len = rng.below(24);
            let data: Vec<u8> = (0..len).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect();
            fuzz_regex(&data);
        }
    }
}
