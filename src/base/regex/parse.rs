//! Step 1: the text of an expression to a tree.
//!
//! ```text
//! union   = branch ( "|" branch )*
//! branch  = ( atom ( "*" | "+" | "?" | "{m,n}" )* )*        a lazy mark "?" may follow a repetition
//! atom    = "(" union ")" | "[" set "]" | "." | "^" | "$" | "\" escape | byte
//! ```

use super::{Assertion, ByteSet, Fault, Node, is_word_byte};

/// The greatest number of repetitions that can be asked for.
const BOUND_MAX: usize = 255;

#[derive(Clone, Copy)]
struct Flags {
    nocase: bool,
    /// Lines are texts of their own.
    lines: bool,
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    flags: Flags,
    groups: usize,
    /// The greatest group that is referred back to.
    reference: usize,
}

pub(super) fn parse(text: &[u8], nocase: bool) -> Result<Node, Fault> {
    let mut parser = Parser { text, at: 0, flags: Flags { nocase, lines: false }, groups: 0, reference: 0 };
    let tree = parser.union()?;
    if parser.at < text.len() {
        return Err(Fault::Parenthesis);
    }
    match parser.reference {
        0 => Ok(tree),
        number if number > parser.groups => Err(Fault::Reference),
        _ => Err(Fault::BackReference),
    }
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn take(&mut self, wanted: u8) -> bool {
        let is_it = self.peek() == Some(wanted);
        self.at += usize::from(is_it);
        is_it
    }

    fn take_all(&mut self, wanted: &[u8]) -> bool {
        let is_it = self.text[self.at..].starts_with(wanted);
        self.at += if is_it { wanted.len() } else { 0 };
        is_it
    }

    fn union(&mut self) -> Result<Node, Fault> {
        let mut branches = vec![self.branch()?];
        while self.take(b'|') {
            branches.push(self.branch()?);
        }
        Ok(if branches.len() == 1 { branches.remove(0) } else { Node::Any(branches) })
    }

    fn branch(&mut self) -> Result<Node, Fault> {
        let mut atoms = Vec::new();
        while let Some(byte) = self.peek() {
            if matches!(byte, b'|' | b')') {
                break;
            }
            if matches!(byte, b'*' | b'+' | b'?' | b'{') {
                return Err(Fault::Repetition);
            }
            let atom = self.atom(byte)?;
            atoms.push(self.repeated(atom)?);
        }
        Ok(Node::All(atoms))
    }

    fn repeated(&mut self, mut atom: Node) -> Result<Node, Fault> {
        while let Some(byte) = self.peek() {
            let (min, max) = match byte {
                b'*' => (0, None),
                b'+' => (1, None),
                b'?' => (0, Some(1)),
                b'{' => self.bound()?,
                _ => break,
            };
            self.at += usize::from(byte != b'{');
            // Lazy repetitions find the same; the other marks are kept for what may come.
            if !self.take(b'?') && matches!(self.peek(), Some(b'*' | b'+')) {
                return Err(Fault::Repetition);
            }
            atom = Node::Repeat(Box::new(atom), min, max);
        }
        Ok(atom)
    }

    /// `{m}`, `{m,}`, `{,n}` or `{m,n}`.
    fn bound(&mut self) -> Result<(usize, Option<usize>), Fault> {
        let rest = &self.text[self.at + 1..];
        let inside = &rest[..memchr::memchr(b'}', rest).ok_or(Fault::Brace)?];
        self.at += inside.len() + 2;
        let number = |digits: &[u8]| -> Result<Option<usize>, Fault> {
            if digits.is_empty() {
                return Ok(None);
            }
            let number = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
            let number = number.and_then(|digits| digits.parse().ok()).filter(|number| *number <= BOUND_MAX);
            number.map(Some).ok_or(Fault::Bound)
        };
        let (min, max) = match memchr::memchr(b',', inside) {
            Some(comma) => (number(&inside[..comma])?.unwrap_or(0), number(&inside[comma + 1..])?),
            None => {
                let exactly = number(inside)?.ok_or(Fault::Bound)?;
                (exactly, Some(exactly))
            }
        };
        if max.is_some_and(|max| max < min) { Err(Fault::Bound) } else { Ok((min, max)) }
    }

    fn atom(&mut self, byte: u8) -> Result<Node, Fault> {
        self.at += 1;
        Ok(match byte {
            b'(' => return self.group(),
            b'[' => Node::Set(self.bracket()?),
            b'.' => {
                let lines = self.flags.lines;
                Node::Set(ByteSet::of(|byte| !lines || byte != b'\n'))
            }
            b'^' => Node::Assert(if self.flags.lines { Assertion::LineStart } else { Assertion::Start }),
            b'$' => Node::Assert(if self.flags.lines { Assertion::LineEnd } else { Assertion::End }),
            b'\\' => return self.escape(),
            byte => self.literal(byte),
        })
    }

    fn literal(&self, byte: u8) -> Node {
        let mut set = ByteSet::default();
        set.add(byte);
        self.set(set)
    }

    fn set(&self, set: ByteSet) -> Node {
        Node::Set(if self.flags.nocase { set.folded() } else { set })
    }

    fn group(&mut self) -> Result<Node, Fault> {
        let outer = self.flags;
        if self.take(b'?') {
            if !self.group_flags()? {
                // They hold for what follows, to the end of the group around.
                return Ok(Node::All(Vec::new()));
            }
        } else {
            self.groups += 1;
        }
        let inside = self.union()?;
        self.flags = outer;
        if self.take(b')') { Ok(inside) } else { Err(Fault::Parenthesis) }
    }

    /// `(?i-n:` and the like; false for `(?i)`, which is no group.
    fn group_flags(&mut self) -> Result<bool, Fault> {
        let mut on = true;
        loop {
            let byte = self.peek().ok_or(Fault::Parenthesis)?;
            self.at += 1;
            match byte {
                b'i' => self.flags.nocase = on,
                b'n' => self.flags.lines = on,
                // Greed and association decide which occurrence is found, not whether one is.
                b'r' | b'U' => {}
                b'-' => on = false,
                b':' => return Ok(true),
                b')' => return Ok(false),
                _ => return Err(Fault::Pattern),
            }
        }
    }

    fn escape(&mut self) -> Result<Node, Fault> {
        let byte = self.peek().ok_or(Fault::Escape)?;
        self.at += 1;
        let class = |is_in: fn(u8) -> bool| ByteSet::of(is_in);
        Ok(match byte {
            b't' => self.literal(b'\t'),
            b'n' => self.literal(b'\n'),
            b'r' => self.literal(b'\r'),
            b'f' => self.literal(0x0c),
            b'a' => self.literal(0x07),
            b'e' => self.literal(0x1b),
            b'w' => Node::Set(class(is_word_byte)),
            b'W' => Node::Set(class(is_word_byte).not()),
            b's' => Node::Set(class(is_space)),
            b'S' => Node::Set(class(is_space).not()),
            b'd' => Node::Set(class(|byte| byte.is_ascii_digit())),
            b'D' => Node::Set(class(|byte| byte.is_ascii_digit()).not()),
            b'<' => Node::Assert(Assertion::WordStart),
            b'>' => Node::Assert(Assertion::WordEnd),
            b'b' => Node::Assert(Assertion::Boundary),
            b'B' => Node::Assert(Assertion::NoBoundary),
            b'x' => self.hexadecimal()?,
            b'Q' => self.quoted(),
            b'1'..=b'9' => {
                self.reference = self.reference.max(usize::from(byte - b'0'));
                Node::All(Vec::new())
            }
            byte => self.literal(byte),
        })
    }

    /// `\x` with up to two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<Node, Fault> {
        let value = |digits: &[u8]| {
            digits.iter().try_fold(0u32, |sum, byte| {
                let digit = (*byte as char).to_digit(16)?;
                sum.checked_mul(16)?.checked_add(digit)
            })
        };
        if self.take(b'{') {
            let rest = &self.text[self.at..];
            let digits = &rest[..memchr::memchr(b'}', rest).ok_or(Fault::Brace)?];
            self.at += digits.len() + 1;
            let byte = value(digits).and_then(|value| u8::try_from(value).ok()).ok_or(Fault::Brace)?;
            return Ok(self.literal(byte));
        }
        let rest = &self.text[self.at..];
        let count = rest.iter().take(2).take_while(|byte| byte.is_ascii_hexdigit()).count();
        self.at += count;
        Ok(self.literal(value(&rest[..count]).unwrap_or(0) as u8))
    }

    /// Literal bytes up to `\E`, or to the end.
    fn quoted(&mut self) -> Node {
        let rest = &self.text[self.at..];
        let len = memchr::memmem::find(rest, b"\\E");
        self.at += len.map_or(rest.len(), |len| len + 2);
        Node::All(rest[..len.unwrap_or(rest.len())].iter().map(|byte| self.literal(*byte)).collect())
    }

    fn bracket(&mut self) -> Result<ByteSet, Fault> {
        let negated = self.take(b'^');
        let (mut set, start) = (ByteSet::default(), self.at);
        loop {
            let byte = self.peek().ok_or(Fault::Bracket)?;
            // The first one is a member.
            if byte == b']' && self.at > start {
                self.at += 1;
                break;
            }
            if self.take_all(b"[:") {
                self.class(&mut set)?;
                continue;
            }
            if byte == b'[' && matches!(self.text.get(self.at + 1), Some(b'.' | b'=')) {
                return Err(Fault::Collation);
            }
            self.at += 1;
            let mut last = byte;
            if self.peek() == Some(b'-') && self.text.get(self.at + 1).is_some_and(|next| *next != b']') {
                last = self.text[self.at + 1];
                self.at += 2;
            }
            if last < byte {
                return Err(Fault::Range);
            }
            (byte..=last).for_each(|byte| set.add(byte));
        }
        let set = if self.flags.nocase { set.folded() } else { set };
        if !negated {
            return Ok(set);
        }
        let lines = self.flags.lines;
        Ok(ByteSet::of(|byte| !set.has(byte) && (!lines || byte != b'\n')))
    }

    /// The name of a class up to its `:]`.
    fn class(&mut self, set: &mut ByteSet) -> Result<(), Fault> {
        let rest = &self.text[self.at..];
        let name = &rest[..memchr::memmem::find(rest, b":]").ok_or(Fault::Class)?];
        let is_in: fn(u8) -> bool = match name {
            b"alnum" => |byte| byte.is_ascii_alphanumeric(),
            b"alpha" => |byte| byte.is_ascii_alphabetic(),
            b"blank" => |byte| matches!(byte, b' ' | b'\t'),
            b"cntrl" => |byte| byte.is_ascii_control(),
            b"digit" => |byte| byte.is_ascii_digit(),
            b"graph" => |byte| byte.is_ascii_graphic(),
            b"lower" => |byte| byte.is_ascii_lowercase(),
            b"print" => |byte| byte.is_ascii_graphic() || byte == b' ',
            b"punct" => |byte| byte.is_ascii_punctuation(),
            b"space" => is_space,
            b"upper" => |byte| byte.is_ascii_uppercase(),
            b"xdigit" => |byte| byte.is_ascii_hexdigit(),
            _ => return Err(Fault::Class),
        };
        (0..=u8::MAX).filter(|byte| is_in(*byte)).for_each(|byte| set.add(byte));
        self.at += name.len() + 2;
        Ok(())
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
