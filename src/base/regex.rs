//! Regular expressions over bytes, matched in time linear in the text: whether one occurs, not where. Extended POSIX syntax
//! with the additions of TRE, the library that the reference server uses: `\d \w \s` and their opposites, `\b \B \< \>`,
//! `\Q...\E`, `\x41`, `\x{41}`, `(?i)`, `(?:...)`, lazy repetitions (which find no less). Knows no command.
//!
//! 1. `parse` reads the text into a tree.
//! 2. Its program is one list of steps, repetitions written out (Thompson, "Regular Expression Search Algorithm", 1968).
//! 3. A search keeps the set of steps that are reached, byte by byte; no step is tried twice at one place.

mod parse;

use std::fmt;

/// Steps of the longest program: repetitions within repetitions multiply.
const STEPS_MAX: usize = 50_000;

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

    /// With the other case of every letter.
    fn folded(self) -> ByteSet {
        ByteSet::of(|byte| self.has(byte.to_ascii_lowercase()) || self.has(byte.to_ascii_uppercase()) || self.has(byte))
    }
}

/// What must hold between two bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Assertion {
    Start,
    End,
    LineStart,
    LineEnd,
    WordStart,
    WordEnd,
    Boundary,
    NoBoundary,
}

impl Assertion {
    fn holds(self, text: &[u8], at: usize) -> bool {
        let is_word = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|b| is_word_byte(*b));
        let (before, after) = (is_word(at.checked_sub(1)), is_word(Some(at)));
        match self {
            Assertion::Start => at == 0,
            Assertion::End => at == text.len(),
            Assertion::LineStart => at == 0 || text[at - 1] == b'\n',
            Assertion::LineEnd => at == text.len() || text[at] == b'\n',
            Assertion::WordStart => !before && after,
            Assertion::WordEnd => before && !after,
            Assertion::Boundary => before != after,
            Assertion::NoBoundary => before == after,
        }
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The tree.
#[derive(Clone, Debug)]
enum Node {
    Set(ByteSet),
    Assert(Assertion),
    All(Vec<Node>),
    Any(Vec<Node>),
    Repeat(Box<Node>, usize, Option<usize>),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Take(ByteSet),
    Assert(Assertion),
    /// Goes on at both.
    Fork(usize, usize),
    Jump(usize),
    Found,
}

/// A compiled expression.
#[derive(Debug)]
pub struct Regex {
    steps: Vec<Step>,
}

/// Steps that are reached at a place, each once.
#[derive(Debug, Default)]
struct Reached {
    list: Vec<usize>,
    /// The place at which a step was last reached.
    seen: Vec<usize>,
}

/// What searches need, to be used again by the next one.
#[derive(Debug, Default)]
pub struct Search {
    now: Reached,
    next: Reached,
    open: Vec<usize>,
    /// Number of the first place: each search counts on from the one before, so that nothing need be forgotten.
    base: usize,
}

impl Regex {
    /// Compiles an expression.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &[u8], nocase: bool) -> Result<Regex, Fault> {
        let tree = parse::parse(text, nocase)?;
        let mut regex = Regex { steps: Vec::new() };
        regex.emit(&tree)?;
        regex.push(Step::Found)?;
        Ok(regex)
    }

    fn push(&mut self, step: Step) -> Result<usize, Fault> {
        if self.steps.len() >= STEPS_MAX {
            return Err(Fault::Memory);
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn emit(&mut self, node: &Node) -> Result<(), Fault> {
        match node {
            Node::Set(set) => {
                self.push(Step::Take(*set))?;
            }
            Node::Assert(assertion) => {
                self.push(Step::Assert(*assertion))?;
            }
            Node::All(nodes) => nodes.iter().try_for_each(|node| self.emit(node))?,
            Node::Any(nodes) => self.emit_any(nodes)?,
            Node::Repeat(node, min, max) => self.emit_repeat(node, *min, *max)?,
        }
        Ok(())
    }

    fn emit_any(&mut self, nodes: &[Node]) -> Result<(), Fault> {
        let mut ends = Vec::new();
        for (nth, node) in nodes.iter().enumerate() {
            if nth + 1 == nodes.len() {
                self.emit(node)?;
                break;
            }
            let fork = self.push(Step::Fork(0, 0))?;
            self.emit(node)?;
            ends.push(self.push(Step::Jump(0))?);
            self.steps[fork] = Step::Fork(fork + 1, self.steps.len());
        }
        let end = self.steps.len();
        ends.into_iter().for_each(|jump| self.steps[jump] = Step::Jump(end));
        Ok(())
    }

    fn emit_repeat(&mut self, node: &Node, min: usize, max: Option<usize>) -> Result<(), Fault> {
        for _ in 0..min {
            self.emit(node)?;
        }
        let Some(max) = max else {
            let fork = self.push(Step::Fork(0, 0))?;
            self.emit(node)?;
            self.push(Step::Jump(fork))?;
            self.steps[fork] = Step::Fork(fork + 1, self.steps.len());
            return Ok(());
        };
        let mut forks = Vec::new();
        for _ in min..max {
            forks.push(self.push(Step::Fork(0, 0))?);
            self.emit(node)?;
        }
        let end = self.steps.len();
        forks.into_iter().for_each(|fork| self.steps[fork] = Step::Fork(fork + 1, end));
        Ok(())
    }

    /// Whether it occurs in a text. `search` is of no other expression.
    pub fn is_match(&self, text: &[u8], search: &mut Search) -> bool {
        let Search { now, next, open, base } = search;
        for reached in [&mut *now, &mut *next] {
            reached.list.clear();
            reached.seen.resize(self.steps.len(), 0);
        }
        let first = *base + 1;
        *base += text.len() + 1;
        for at in 0..=text.len() {
            // It may begin at every place.
            if self.reach(now, open, 0, (text, at), first) {
                return true;
            }
            let Some(byte) = text.get(at) else { break };
            for index in now.list.drain(..) {
                if matches!(&self.steps[index], Step::Take(set) if set.has(*byte))
                    && self.reach(next, open, index + 1, (text, at + 1), first)
                {
                    return true;
                }
            }
            std::mem::swap(now, next);
        }
        false
    }

    /// Adds a step and all that follow without taking a byte; true if the end is among them.
    fn reach(
        &self,
        reached: &mut Reached,
        open: &mut Vec<usize>,
        from: usize,
        (text, at): (&[u8], usize),
        first: usize,
    ) -> bool {
        open.clear();
        open.push(from);
        while let Some(index) = open.pop() {
            if std::mem::replace(&mut reached.seen[index], first + at) == first + at {
                continue;
            }
            match self.steps[index] {
                Step::Take(_) => reached.list.push(index),
                Step::Assert(assertion) if assertion.holds(text, at) => open.push(index + 1),
                Step::Assert(_) => {}
                Step::Fork(one, other) => open.extend([other, one]),
                Step::Jump(to) => open.push(to),
                Step::Found => return true,
            }
        }
        false
    }
}

/// Compiles the first part of any bytes and looks for it in the rest.
pub fn fuzz_regex(data: &[u8]) {
    let (pattern, text) = data.split_at(data.len().min(1 + data.len() / 2));
    if let Ok(regex) = Regex::new(pattern, data.len() % 2 == 0) {
        regex.is_match(text, &mut Search::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn finds(pattern: &str, text: &str) -> bool {
        let regex = Regex::new(pattern.as_bytes(), false).unwrap_or_else(|fault| panic!("{pattern}: {fault}"));
        let mut search = Search::default();
        // Twice: the second search finds what the first has left behind.
        let found = regex.is_match(text.as_bytes(), &mut search);
        assert_eq!(regex.is_match(text.as_bytes(), &mut search), found, "{pattern} in {text}");
        found
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
        assert!(Regex::new(b"^foo[x-z]$", true).unwrap().is_match(b"FOOY", &mut Search::default()));
        assert!(!Regex::new(b"^[^x]$", true).unwrap().is_match(b"X", &mut Search::default()));
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
        let deep = format!("{}{}", "(".repeat(1_000), ")".repeat(1_000));
        assert!(finds(&deep, ""));
        let mut rng = Rng::seeded(4);
        let letters = b"ab()[]{}|*+?^$.\\dwxQE123,-:=ai\n\0\xff";
        for _ in 0..20_000 {
            let len = rng.below(24);
            let data: Vec<u8> = (0..len).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect();
            fuzz_regex(&data);
        }
    }
}
