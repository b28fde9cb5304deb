//! The expressions of VSIM's FILTER: read once into a program for a stack machine, then run against each element's attributes.
//! Knows no element.
//!
//! ```text
//! tightest   ! not          of one operand
//!            **             to the power
//!            * / %
//!            + -
//!            == != > >= < <= in
//!            && and
//! loosest    || or          operators of one rank are applied from left to right
//!
//! operands   12 -1.5 2e3    'text' "text"    [1, "two"]    .field    ( ... )
//! ```
//! A field that an element does not have makes the whole expression false, wherever it stands: all operands are evaluated.

use super::attr::{Field, field};
use crate::base::float;
use std::borrow::Cow;

/// An expression, ready to be run.
#[derive(Debug, Clone)]
pub struct Expr {
    program: Vec<Step>,
}

/// Where an expression can't be read: offset of the word that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadFilter(pub usize);

#[derive(Debug, Clone)]
enum Step {
    Push(Field<'static>),
    Load(Vec<u8>),
    Apply(Op),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Not,
    Pow,
    Mul,
    Div,
    Rem,
    Add,
    Sub,
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    In,
    And,
    Or,
}

/// The spellings, longer ones before those that they begin with, and how tightly each binds.
const OPS: &[(&str, Op, u8)] = &[
    ("not", Op::Not, 6),
    ("**", Op::Pow, 5),
    ("*", Op::Mul, 4),
    ("/", Op::Div, 4),
    ("%", Op::Rem, 4),
    ("+", Op::Add, 3),
    ("-", Op::Sub, 3),
    ("==", Op::Eq, 2),
    ("!=", Op::Ne, 2),
    (">=", Op::Ge, 2),
    ("<=", Op::Le, 2),
    (">", Op::Gt, 2),
    ("<", Op::Lt, 2),
    ("in", Op::In, 2),
    ("&&", Op::And, 1),
    ("and", Op::And, 1),
    ("||", Op::Or, 0),
    ("or", Op::Or, 0),
    ("!", Op::Not, 6),
];

/// What waits for its right operand.
enum Waiting {
    Op(Op, u8),
    Paren,
}

impl Expr {
    /// Reads an expression (Dijkstra's shunting yard: no recursion, so no depth that a client could choose).
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn parse(text: &[u8]) -> Result<Expr, BadFilter> {
        let mut reader = Reader { text, at: 0 };
        let (mut program, mut waiting): (Vec<Step>, Vec<Waiting>) = (Vec::new(), Vec::new());
        let mut wants_operand = true;
        loop {
            reader.skip_blanks();
            let bad = BadFilter(reader.at);
            let Some(next) = reader.peek() else { break };
            if wants_operand {
                if next == b'(' {
                    reader.at += 1;
                    waiting.push(Waiting::Paren);
                } else if let Some((Op::Not, rank)) = reader.operator() {
                    waiting.push(Waiting::Op(Op::Not, rank));
                } else {
                    reader.at = bad.0;
                    program.push(reader.operand().ok_or(bad)?);
                    wants_operand = false;
                }
            } else if next == b')' {
                reader.at += 1;
                apply(&mut waiting, &mut program, 0);
                if !matches!(waiting.pop(), Some(Waiting::Paren)) {
                    return Err(bad);
                }
            } else {
                let (op, rank) = reader.operator().filter(|(op, _)| *op != Op::Not).ok_or(bad)?;
                apply(&mut waiting, &mut program, rank);
                waiting.push(Waiting::Op(op, rank));
                wants_operand = true;
            }
        }
        apply(&mut waiting, &mut program, 0);
        if wants_operand || !waiting.is_empty() {
            return Err(BadFilter(text.len()));
        }
        Ok(Expr { program })
    }

    /// Whether an element with these attributes satisfies the expression.
    pub fn accepts(&self, attributes: &[u8]) -> bool {
        self.value(attributes).is_some_and(|value| is_true(&value))
    }

    fn value<'a>(&'a self, attributes: &'a [u8]) -> Option<Field<'a>> {
        let mut stack: Vec<Cow<'a, Field<'a>>> = Vec::with_capacity(8);
        for step in &self.program {
            let value = match step {
                Step::Push(value) => Cow::Borrowed(value),
                Step::Load(name) => Cow::Owned(field(attributes, name)?),
                Step::Apply(Op::Not) => {
                    let operand = stack.pop()?;
                    number(!is_true(&operand))
                }
                Step::Apply(op) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    Cow::Owned(Field::Num(op.apply(&left, &right)))
                }
            };
            stack.push(value);
        }
        stack.pop().map(Cow::into_owned)
    }
}

fn number<'a>(yes: bool) -> Cow<'a, Field<'a>> {
    Cow::Owned(Field::Num(f64::from(u8::from(yes))))
}

/// Those that wait and bind at least so tightly get their right operand.
fn apply(waiting: &mut Vec<Waiting>, program: &mut Vec<Step>, rank: u8) {
    while let Some(&Waiting::Op(op, tightness)) = waiting.last() {
        if tightness < rank {
            break;
        }
        program.push(Step::Apply(op));
        waiting.pop();
    }
}

impl Op {
    fn apply(self, left: &Field<'_>, right: &Field<'_>) -> f64 {
        let (x, y) = (as_number(left), as_number(right));
        let truth = match self {
            Op::Pow => return x.powf(y),
            Op::Mul => return x * y,
            Op::Div => return x / y,
            Op::Rem => return x % y,
            Op::Add => return x + y,
            Op::Sub => return x - y,
            Op::Eq => equal(left, right),
            Op::Ne => !equal(left, right),
            Op::Gt => x > y,
            Op::Ge => x >= y,
            Op::Lt => x < y,
            Op::Le => x <= y,
            Op::In => contains(right, left),
            Op::And => is_true(left) && is_true(right),
            Op::Or => is_true(left) || is_true(right),
            Op::Not => !is_true(right),
        };
        f64::from(u8::from(truth))
    }
}

fn is_true(value: &Field<'_>) -> bool {
    match value {
        Field::Num(x) => *x != 0.0,
        Field::Text(text) => !text.is_empty(),
        Field::Tuple(_) => true,
    }
}

/// Text counts as the number that it spells, other text as 0.
fn as_number(value: &Field<'_>) -> f64 {
    match value {
        Field::Num(x) => *x,
        Field::Text(text) => float::parse_double(text).unwrap_or(0.0),
        Field::Tuple(_) => 0.0,
    }
}

fn equal(left: &Field<'_>, right: &Field<'_>) -> bool {
    match (left, right) {
        (Field::Num(x), Field::Num(y)) => x == y,
        (Field::Text(x), Field::Text(y)) => x == y,
        (Field::Num(x), Field::Text(text)) | (Field::Text(text), Field::Num(x)) => {
            float::parse_double(text).is_some_and(|y| *x == y)
        }
        (Field::Tuple(_), _) | (_, Field::Tuple(_)) => false,
    }
}

fn contains(whole: &Field<'_>, part: &Field<'_>) -> bool {
    match (whole, part) {
        (Field::Tuple(items), _) => items.iter().any(|item| equal(item, part)),
        (Field::Text(whole), Field::Text(part)) => memchr::memmem::find(whole, part).is_some(),
        _ => false,
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// Whether a byte belongs to the name of a field, or to a word.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn operator(&mut self) -> Option<(Op, u8)> {
        let rest = self.rest();
        let (spelled, op, rank) = OPS.iter().find(|(spelled, _, _)| {
            let Some((head, tail)) = rest.split_at_checked(spelled.len()) else { return false };
            let ends = !is_word(spelled.as_bytes()[0]) || !tail.first().is_some_and(|&byte| is_word(byte));
            head.eq_ignore_ascii_case(spelled.as_bytes()) && ends
        })?;
        self.at += spelled.len();
        Some((*op, *rank))
    }

    fn operand(&mut self) -> Option<Step> {
        match self.peek()? {
            b'.' => {
                self.at += 1;
                let len = self.rest().iter().take_while(|&&byte| is_word(byte)).count();
                let name = self.rest()[..len].to_vec();
                self.at += len;
                (len > 0).then_some(Step::Load(name))
            }
            b'[' => self.tuple().map(Step::Push),
            _ => self.literal().map(Step::Push),
        }
    }

    fn literal(&mut self) -> Option<Field<'static>> {
        match self.peek()? {
            quote @ (b'"' | b'\'') => self.string(quote),
            _ => self.number(),
        }
    }

    fn number(&mut self) -> Option<Field<'static>> {
        let rest = self.rest();
        let digits = |from: usize| rest.get(from..).map_or(0, |r| r.iter().take_while(|b| b.is_ascii_digit()).count());
        let sign = usize::from(rest.first() == Some(&b'-'));
        let mut len = sign + digits(sign);
        if len == sign {
            return None;
        }
        if rest.get(len) == Some(&b'.') {
            len += 1 + digits(len + 1);
        }
        if matches!(rest.get(len), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
            let exponent = digits(len + 1 + signed);
            len += if exponent > 0 { 1 + signed + exponent } else { 0 };
        }
        if rest.get(len).is_some_and(|&byte| is_word(byte)) {
            return None;
        }
        let number = std::str::from_utf8(&rest[..len]).ok()?.parse().ok()?;
        self.at += len;
        Some(Field::Num(number))
    }

    fn string(&mut self, quote: u8) -> Option<Field<'static>> {
        let mut text = Vec::new();
        self.at += 1;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'\\' => {
                    text.push(match self.peek()? {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        other => other,
                    });
                    self.at += 1;
                }
                _ if byte == quote => return Some(Field::Text(Cow::Owned(text))),
                _ => text.push(byte),
            }
        }
    }

    fn tuple(&mut self) -> Option<Field<'static>> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(Field::Tuple(items));
        }
        loop {
            self.skip_blanks();
            items.push(self.literal()?);
            self.skip_blanks();
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b',' => {}
                b']' => return Some(Field::Tuple(items)),
                _ => return None,
            }
        }
    }
}

/// For the fuzzer: any text is read or refused, and any attributes are.
pub fn fuzz_filter(data: &[u8]) {
    let (text, attributes) = data.split_at(data.len() / 2);
    for text in [text, data] {
        match Expr::parse(text) {
            Ok(expr) => drop(expr.accepts(attributes)),
            Err(BadFilter(at)) => assert!(at <= text.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn holds(text: &str, attributes: &str) -> bool {
        Expr::parse(text.as_bytes()).unwrap_or_else(|at| panic!("{text} at {at:?}")).accepts(attributes.as_bytes())
    }

    const ALICE: &str =
        r#"{"age": 25, "name": "Alice", "active": true, "scores": [85, 90, 95], "city": "New York", "n": 0}"#;

    #[test]
    fn expressions_that_hold() {
        for text in [
            ".age == 25",
            ".age >= 25 and .age < 26",
            ".active",
            "!.n",
            "not not .active",
            "!!.age == 1",
            "!(.age == 26)",
            ".age in [25, 35]",
            "90 in .scores",
            ".name in [\"Alice\", \"David\"]",
            "\"lic\" in .name",
            "\"\" in .name",
            "\"\" in \"\"",
            ".scores",
            ".age + 10 == 35",
            ".age / 5 == 5",
            ".age % 2 == 1",
            ".age ** 2 == 625",
            "2 * 3 + 4 == 10",
            "2 + 3 * 4 == 14",
            "(2 + 3) * 4 == 20",
            "2 ** 3 ** 2 == 64",
            "10 - 4 - 3 == 3",
            "1 or 1 and 0",
            "(1 or 1) and 1",
            ".name != 'Bob'",
            ".name=='Alice'&&.age>-1",
            "0||.active",
            "-1.5e1 == -15",
            ".city == \"New York\"",
            "'25' == .age",
            "5-3 == 2",
            "not .n and .active",
            "'a\\'b' == \"a'b\"",
            "'a\\\\' == 'a\\\\'",
            "[]",
        ] {
            assert!(holds(text, ALICE), "{text}");
        }
    }

    #[test]
    fn expressions_that_do_not() {
        for text in [
            ".age == 26",
            ".n",
            ".missing",
            "!.missing",
            ".missing != 1",
            ".missing or .active",
            "\"xyz\" in .name",
            ".name in \"\"",
            "25 in \"25\"",
            ".name > 5",
            ".scores == 85",
            "''",
            "1 and 0 or 0",
            ".age in []",
            ".age in .name",
        ] {
            assert!(!holds(text, ALICE), "{text}");
        }
        assert!(!holds(".age == 25", "invalid") && !holds("!.age", ""));
    }

    #[test]
    fn what_can_not_be_read_is_pointed_at() {
        for (text, at) in [
            ("", 0),
            (".age =", 5),
            (".age == ", 8),
            ("(.age", 5),
            (".age)", 4),
            (".age .name", 5),
            ("== 5", 0),
            (".age > > 5", 7),
            ("'open", 0),
            ("[1, .age]", 0),
            ("[1", 0),
            (".", 0),
            ("5x", 0),
            ("android", 0),
            ("1 not 2", 2),
            ("1 inside 2", 2),
            ("-.age", 0),
            (".age && # 5", 8),
            ("()", 1),
        ] {
            assert_eq!(Expr::parse(text.as_bytes()).map(|_| ()), Err(BadFilter(at)), "{text}");
        }
    }

    #[test]
    fn any_text_is_read_or_refused() {
        let parts = [
            "(", ")", "!", "not ", "and ", " or ", " in ", ".a", ".b", "1", "-2", "'x'", "[1,'x']", "==", "**", "%",
            " ", "\\", "\"",
        ];
        let (mut rng, mut read) = (Rng::seeded(8), 0);
        for _ in 0..20_000 {
            let text: String = (0..rng.below(9)).map(|_| parts[rng.below(parts.len() as u64) as usize]).collect();
            fuzz_filter(text.as_bytes());
            read += usize::from(Expr::parse(text.as_bytes()).is_ok());
        }
        assert!(read > 100, "{read} were read");
    }
}
