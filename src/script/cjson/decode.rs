//! JSON to Lua values. Errors name the token that was found and where.

use super::{MAX_DEPTH, Settings};
use crate::base::float;
use crate::script::native::{Raised, Returned, bytes_arg, one};
use mlua::{LightUserData, Lua, MultiValue, Value};

/// A token; its value is kept aside.
#[derive(Clone, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    Text(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    /// No token; what is wrong.
    Error(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Token::ObjectBegin => "T_OBJ_BEGIN",
            Token::ObjectEnd => "T_OBJ_END",
            Token::ArrayBegin => "T_ARR_BEGIN",
            Token::ArrayEnd => "T_ARR_END",
            Token::Text(_) => "T_STRING",
            Token::Number(_) => "T_NUMBER",
            Token::Boolean(_) => "T_BOOLEAN",
            Token::Null => "T_NULL",
            Token::Colon => "T_COLON",
            Token::Comma => "T_COMMA",
            Token::End => "T_END",
            Token::Error(what) => what,
        }
    }
}

struct Parser<'a> {
    lua: &'a Lua,
    data: &'a [u8],
    at: usize,
    /// Where the last token began.
    index: usize,
    invalid_numbers: bool,
    max_depth: u32,
}

type Outcome<T> = Result<T, Raised>;

pub(super) fn decode(lua: &Lua, settings: &Settings, args: &MultiValue) -> Returned {
    if args.len() != 1 {
        return Err(Raised::argument(1, "decode", "expected 1 argument"));
    }
    let data = bytes_arg(args, 0, "decode")?;
    if data.len() >= 2 && (data[0] == 0 || data[1] == 0) {
        return Err(Raised::at("JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut parser = Parser {
        lua,
        data: &data,
        at: 0,
        index: 0,
        invalid_numbers: settings.decode_invalid.get(),
        max_depth: settings.decode_depth.get(),
    };
    let first = parser.next();
    let value = parser.value(first, 0)?;
    match parser.next() {
        Token::End => one(value),
        other => Err(parser.unexpected("the end", &other)),
    }
}

impl Parser<'_> {
    fn unexpected(&self, expected: &str, found: &Token) -> Raised {
        Raised::at(format!("Expected {expected} but found {} at character {}", found.name(), self.index + 1))
    }

    fn next(&mut self) -> Token {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        self.at += self.data[self.at..].iter().take_while(|byte| blank(byte)).count();
        self.index = self.at;
        let Some(&byte) = self.data.get(self.at) else { return Token::End };
        let simple = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.text(),
            b'-' | b'0'..=b'9' => {
                if !self.invalid_numbers && self.is_invalid_number() {
                    return Token::Error("invalid number");
                }
                return self.number();
            }
            _ => return self.word(),
        };
        self.at += 1;
        simple
    }

    fn word(&mut self) -> Token {
        let words: [(&[u8], Token); 3] =
            [(b"true", Token::Boolean(true)), (b"false", Token::Boolean(false)), (b"null", Token::Null)];
        for (word, token) in words {
            if self.data[self.at..].starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.invalid_numbers && self.is_invalid_number() { self.number() } else { Token::Error("invalid token") }
    }

    /// Whether here is a number that JSON does not know: signed plus, hexadecimal, with a leading zero, infinite, none.
    fn is_invalid_number(&self) -> bool {
        let rest = &self.data[self.at..];
        if rest.first() == Some(&b'+') {
            return true;
        }
        let rest = rest.strip_prefix(b"-").unwrap_or(rest);
        match rest {
            [b'0', next, ..] => matches!(next, b'x' | b'X' | b'0'..=b'9'),
            [b'0'..=b'9', ..] | [] => false,
            _ => {
                let word = rest.get(..3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    /// The longest text from here that is a number.
    fn number(&mut self) -> Token {
        let rest = &self.data[self.at..];
        let end = number_len(rest);
        let text = &rest[..end];
        let unsigned = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        let value = if unsigned.eq_ignore_ascii_case(b"nan") {
            Some(f64::NAN)
        } else {
            // As lenient as strtod where a number is too large or too small for a double.
            float::parse_double_bound(text).filter(|_| !text.is_empty())
        };
        match value {
            Some(value) => {
                self.at += end;
                Token::Number(value)
            }
            None => Token::Error("invalid number"),
        }
    }

    fn text(&mut self) -> Token {
        let mut out = Vec::new();
        let mut at = self.at + 1;
        loop {
            let rest = &self.data[at..];
            let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
            out.extend_from_slice(&rest[..plain]);
            at += plain;
            match self.data.get(at) {
                None => {
                    self.index = at;
                    return Token::Error("unexpected end of string");
                }
                Some(b'"') => {
                    self.at = at + 1;
                    return Token::Text(out);
                }
                Some(_) => match escape(&self.data[at..], &mut out) {
                    Ok(len) => at += len,
                    Err(what) => {
                        self.index = at;
                        return Token::Error(what);
                    }
                },
            }
        }
    }

    fn value(&mut self, token: Token, depth: u32) -> Outcome<Value> {
        Ok(match token {
            Token::Text(text) => Value::String(self.lua.create_string(text)?),
            Token::Number(n) => Value::Number(n),
            Token::Boolean(yes) => Value::Boolean(yes),
            Token::Null => Value::LightUserData(LightUserData(std::ptr::null_mut())),
            Token::ObjectBegin => self.object(depth + 1)?,
            Token::ArrayBegin => self.array(depth + 1)?,
            other => return Err(self.unexpected("value", &other)),
        })
    }

    fn descend(&self, depth: u32) -> Outcome<()> {
        if depth > self.max_depth.min(MAX_DEPTH) {
            let text = format!("Found too many nested data structures ({depth}) at character {}", self.index + 1);
            return Err(Raised::at(text));
        }
        Ok(())
    }

    fn object(&mut self, depth: u32) -> Outcome<Value> {
        self.descend(depth)?;
        let table = self.lua.create_table()?;
        let mut token = self.next();
        if token == Token::ObjectEnd {
            return Ok(Value::Table(table));
        }
        loop {
            let Token::Text(key) = token else { return Err(self.unexpected("object key string", &token)) };
            token = self.next();
            if token != Token::Colon {
                return Err(self.unexpected("colon", &token));
            }
            token = self.next();
            let value = self.value(token, depth)?;
            table.raw_set(self.lua.create_string(key)?, value)?;
            token = self.next();
            match token {
                Token::ObjectEnd => return Ok(Value::Table(table)),
                Token::Comma => token = self.next(),
                other => return Err(self.unexpected("comma or object end", &other)),
            }
        }
    }

    fn array(&mut self, depth: u32) -> Outcome<Value> {
        self.descend(depth)?;
        let table = self.lua.create_table()?;
        let mut token = self.next();
        if token == Token::ArrayEnd {
            return Ok(Value::Table(table));
        }
        for index in 1usize.. {
            let value = self.value(token, depth)?;
            table.raw_set(index, value)?;
            match self.next() {
                Token::ArrayEnd => break,
                Token::Comma => token = self.next(),
                other => return Err(self.unexpected("comma or array end", &other)),
            }
        }
        Ok(Value::Table(table))
    }
}

/// Bytes of the longest number at the beginning of a text, as strtod reads it.
fn number_len(text: &[u8]) -> usize {
    let count = |from: usize, is: fn(&u8) -> bool| text[from..].iter().take_while(|byte| is(byte)).count();
    let sign = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let rest = &text[sign..];
    for word in [&b"infinity"[..], b"inf", b"nan"] {
        if rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)) {
            return sign + word.len();
        }
    }
    if matches!(rest, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit()) {
        return sign + 2 + count(sign + 2, u8::is_ascii_hexdigit);
    }
    let mut end = sign + count(sign, u8::is_ascii_digit);
    let mut digits = end - sign;
    if text.get(end) == Some(&b'.') {
        let decimals = count(end + 1, u8::is_ascii_digit);
        digits += decimals;
        end += 1 + decimals;
    }
    if digits == 0 {
        return 0;
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(text.get(end + 1), Some(b'-' | b'+')));
        let exponent = if end + 1 + signed <= text.len() { count(end + 1 + signed, u8::is_ascii_digit) } else { 0 };
        if exponent > 0 {
            end += 1 + signed + exponent;
        }
    }
    end
}

/// Four hexadecimal digits.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.get(..4).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Reads the escape that `text` begins with; its length.
fn escape(text: &[u8], out: &mut Vec<u8>) -> Result<usize, &'static str> {
    let plain = match text.get(1) {
        Some(b'"') => b'"',
        Some(b'\\') => b'\\',
        Some(b'/') => b'/',
        Some(b'b') => 8,
        Some(b't') => 9,
        Some(b'n') => 10,
        Some(b'f') => 12,
        Some(b'r') => 13,
        Some(b'u') => return unicode(text, out).ok_or("invalid unicode escape code"),
        _ => return Err("invalid escape code"),
    };
    out.push(plain);
    Ok(2)
}

/// Reads the four digits of one code unit, or the two units of a surrogate pair.
fn unicode(text: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let unit = code_unit(text.get(2..)?)?;
    let (code, len) = match unit {
        0xD800..=0xDBFF => {
            let low = text.get(6..)?.strip_prefix(b"\\u").and_then(code_unit)?;
            if !(0xDC00..=0xDFFF).contains(&low) {
                return None;
            }
            (0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00), 12)
        }
        _ => (unit, 6),
    };
    let mut buffer = [0; 4];
    match char::from_u32(code) {
        Some(character) => out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes()),
        // A lone low surrogate.
        None => return None,
    }
    Some(len)
}
