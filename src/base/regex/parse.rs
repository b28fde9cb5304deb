//! The text of an expression to the tree that the library compiles.
//!
//! ```text
//! union   = branch ( "|" branch )*
//! branch  = ( atom ( "*" | "+" | "?" | "{m,n}" )* )*        a lazy mark "?" may follow a repetition
//! atom    = "(" union ")" | "[" set "]" | "." | "^" | "$" | "\" escape | byte
//! ```

use super::{ByteSet, Fault, is_word_byte};
use regex_syntax::hir::{Hir, Look, Repetition};

/// The greatest number of repetitions that can be asked for.
const BOUND_MAX: u32 = 255;
/// The deepest nesting of groups and of repetitions on repetitions: the tree is walked by functions that call themselves.
const DEPTH_MAX: usize = 1_000;

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
    /// Groups that are open.
    depth: usize,
    /// The greatest group that is referred back to.
    reference: usize,
}

pub(super) fn parse(text: &[u8], nocase: bool) -> Result<Hir, Fault> {
    let mut parser = Parser { text, at: 0, flags: Flags { nocase, lines: false }, groups: 0, depth: 0, reference: 0 };
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

    fn union(&mut self) -> Result<Hir, Fault> {
        let mut branches = vec![self.branch()?];
        while self.take(b'|') {
            branches.push(self.branch()?);
        }
        Ok(Hir::alternation(branches))
    }

    fn branch(&mut self) -> Result<Hir, Fault> {
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
        Ok(Hir::concat(atoms))
    }

    fn repeated(&mut self, mut atom: Hir) -> Result<Hir, Fault> {
        for depth in self.depth.. {
            let Some(byte) = self.peek() else { break };
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
            if depth >= DEPTH_MAX {
                return Err(Fault::Memory);
            }
            atom = Hir::repetition(Repetition { min, max, greedy: true, sub: Box::new(atom) });
        }
        Ok(atom)
    }

    /// `{m}`, `{m,}`, `{,n}` or `{m,n}`.
    fn bound(&mut self) -> Result<(u32, Option<u32>), Fault> {
        let rest = &self.text[self.at + 1..];
        let inside = &rest[..memchr::memchr(b'}', rest).ok_or(Fault::Brace)?];
        self.at += inside.len() + 2;
        let number = |digits: &[u8]| -> Result<Option<u32>, Fault> {
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

    fn atom(&mut self, byte: u8) -> Result<Hir, Fault> {
        self.at += 1;
        Ok(match byte {
            b'(' => return self.group(),
            b'[' => self.bracket()?.hir(),
            b'.' => {
                let lines = self.flags.lines;
                ByteSet::of(|byte| !lines || byte != b'\n').hir()
            }
            b'^' => Hir::look(if self.flags.lines { Look::StartLF } else { Look::Start }),
            b'$' => Hir::look(if self.flags.lines { Look::EndLF } else { Look::End }),
            b'\\' => return self.escape(),
            byte => self.literal(byte),
        })
    }

    fn literal(&self, byte: u8) -> Hir {
        let mut set = ByteSet::default();
        set.add(byte);
        self.set(set)
    }

    fn set(&self, set: ByteSet) -> Hir {
        (if self.flags.nocase { set.folded() } else { set }).hir()
    }

    fn group(&mut self) -> Result<Hir, Fault> {
        let outer = self.flags;
        if self.take(b'?') {
            if !self.group_flags()? {
                // They hold for what follows, to the end of the group around.
                return Ok(Hir::empty());
            }
        } else {
            self.groups += 1;
        }
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Fault::Memory);
        }
        let inside = self.union()?;
        self.depth -= 1;
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

    fn escape(&mut self) -> Result<Hir, Fault> {
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
            b'w' => class(is_word_byte).hir(),
            b'W' => class(is_word_byte).not().hir(),
            b's' => class(is_space).hir(),
            b'S' => class(is_space).not().hir(),
            b'd' => class(|byte| byte.is_ascii_digit()).hir(),
            b'D' => class(|byte| byte.is_ascii_digit()).not().hir(),
            b'<' => Hir::look(Look::WordStartAscii),
            b'>' => Hir::look(Look::WordEndAscii),
            b'b' => Hir::look(Look::WordAscii),
            b'B' => Hir::look(Look::WordAsciiNegate),
            b'x' => self.hexadecimal()?,
            b'Q' => self.quoted(),
            b'1'..=b'9' => {
                self.reference = self.reference.max(usize::from(byte - b'0'));
                Hir::empty()
            }
            byte => self.literal(byte),
        })
    }

    /// `\x` with up to two digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Result<Hir, Fault> {
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
    fn quoted(&mut self) -> Hir {
        let rest = &self.text[self.at..];
        let len = memchr::memmem::find(rest, b"\\E");
        self.at += len.map_or(rest.len(), |len| len + 2);
        Hir::concat(rest[..len.unwrap_or(rest.len())].iter().map(|byte| self.literal(*byte)).collect())
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
