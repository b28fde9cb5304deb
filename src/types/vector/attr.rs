//! One field out of an element's attributes, which are JSON: read where it stands, without parsing what is beside it. Knows no
//! element. Text that is no JSON object has no fields; what follows the field is not looked at.

use serde_json::Value;
use std::borrow::Cow;

/// What a field can be for an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field<'a> {
    /// A number; true is 1 and false is 0.
    Num(f64),
    /// A string.
    Text(Cow<'a, [u8]>),
    /// An array of numbers and strings.
    Tuple(Vec<Field<'static>>),
}

/// The value of a field of a JSON object; `None` if there is none, or if it is null, an object or an array that holds other
/// things than numbers, strings and truth values.
pub(super) fn field<'a>(json: &'a [u8], name: &[u8]) -> Option<Field<'a>> {
    let value = find(json, name)?;
    match value.first()? {
        b'"' if !value.contains(&b'\\') => Some(Field::Text(Cow::Borrowed(value.get(1..value.len() - 1)?))),
        _ => owned(serde_json::from_slice(value).ok()?, true),
    }
}

fn owned(value: Value, arrays: bool) -> Option<Field<'static>> {
    match value {
        Value::Number(number) => number.as_f64().map(Field::Num),
        Value::Bool(yes) => Some(Field::Num(f64::from(u8::from(yes)))),
        Value::String(text) => Some(Field::Text(Cow::Owned(text.into_bytes()))),
        Value::Array(items) if arrays => {
            items.into_iter().map(|item| owned(item, false)).collect::<Option<_>>().map(Field::Tuple)
        }
        Value::Array(_) | Value::Null | Value::Object(_) => None,
    }
}

/// The text of a field's value.
fn find<'a>(json: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut scan = Scan { json, at: 0 };
    scan.expect(b'{')?;
    loop {
        scan.skip_blanks();
        let key = scan.string()?;
        scan.expect(b':')?;
        scan.skip_blanks();
        let value = scan.value()?;
        let is_named = if key.contains(&b'\\') {
            serde_json::from_slice::<String>(key).is_ok_and(|key| key.as_bytes() == name)
        } else {
            key.get(1..key.len() - 1) == Some(name)
        };
        if is_named {
            return Some(value);
        }
        scan.expect(b',')?;
    }
}

struct Scan<'a> {
    json: &'a [u8],
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    /// A string with its quotes, its escapes as they are.
    fn string(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return None;
        }
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
        self.at += 1;
        self.json.get(start..self.at)
    }

    /// The text of any value: brackets are counted, whatever they are.
    fn value(&mut self) -> Option<&'a [u8]> {
        let start = self.at;
        let mut depth = 0usize;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b'}' | b']') | None if depth == 0 => break,
                None => return None,
                Some(_) => self.at += 1,
            }
        }
        let text = self.json.get(start..self.at)?.trim_ascii_end();
        (!text.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<Field<'_>> {
        Some(Field::Text(Cow::Borrowed(text.as_bytes())))
    }

    #[test]
    fn fields_are_found_among_others() {
        let json = br#" { "a": 1, "deep": {"b": 2, "x": ["]", "}"]}, "b" : "t\"x", "c":[1, "two", true], "d":true,
            "e": null, "f": "plain", "\u0067": -2.5e3, "h": [1, [2]], "i": {}}"#;
        assert_eq!(field(json, b"a"), Some(Field::Num(1.0)));
        assert_eq!(field(json, b"b"), text("t\"x"));
        let tuple = vec![Field::Num(1.0), Field::Text(Cow::Borrowed(&b"two"[..])), Field::Num(1.0)];
        assert_eq!(field(json, b"c"), Some(Field::Tuple(tuple)));
        assert_eq!(field(json, b"d"), Some(Field::Num(1.0)));
        assert_eq!(field(json, b"f"), text("plain"));
        assert_eq!(field(json, b"g"), Some(Field::Num(-2500.0)));
        for missing in ["e", "h", "i", "x", "deep", "z", ""] {
            assert_eq!(field(json, missing.as_bytes()), None, "{missing}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_fields() {
        for json in [
            "",
            "{",
            "{}",
            "{{invalid json}}",
            "invalid",
            "[1]",
            "{\"a",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":[1",
            "{a:1}",
        ] {
            assert_eq!(field(json.as_bytes(), b"a"), None, "{json}");
        }
        assert_eq!(field(b"{\"b\":1,\"a\":\"\\", b"a"), None);
        assert_eq!(field(b"{\"a\":xyz}", b"a"), None);
    }
}
