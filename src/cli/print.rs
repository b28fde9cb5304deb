//! Replies as text: with types and quotes for people, as they are for programs. Knows no connection.

use super::wire::Reply;
use redstart::base::text::quote_repr;

/// How replies are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// With types, quotes and numbered elements.
    People,
    /// Values alone, one a line.
    Raw,
}

/// The text of a reply, with the end of its last line.
pub fn render(reply: &Reply, style: Style) -> Vec<u8> {
    let mut out = Vec::new();
    match style {
        Style::People => people(reply, 0, &mut out),
        Style::Raw => raw(reply, &mut out),
    }
    if out.last() != Some(&b'\n') || style == Style::Raw {
        out.push(b'\n');
    }
    out
}

fn raw(reply: &Reply, out: &mut Vec<u8>) {
    match reply {
        Reply::Nil => {}
        Reply::Bool(yes) => out.extend_from_slice(if *yes { b"(true)" } else { b"(false)" }),
        // A line of its own, so that a program can tell it from what follows.
        Reply::Error(text) => out.extend_from_slice(&[text, &b"\n"[..]].concat()),
        Reply::Status(text)
        | Reply::Integer(text)
        | Reply::Double(text)
        | Reply::BigNumber(text)
        | Reply::Bulk(text)
        | Reply::Verbatim(text) => out.extend_from_slice(text),
        Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => {
            separated(elements, out, raw);
        }
        Reply::Map(pairs) => separated(pairs, out, |(key, value), out| {
            raw(key, out);
            out.push(b' ');
            raw(value, out);
        }),
    }
}

fn separated<T>(items: &[T], out: &mut Vec<u8>, mut each: impl FnMut(&T, &mut Vec<u8>)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b'\n');
        }
        each(item, out);
    }
}

/// `indent`: the column at which this reply begins; lines after the first are moved there.
fn people(reply: &Reply, indent: usize, out: &mut Vec<u8>) {
    let typed = |name: &str, text: &[u8], out: &mut Vec<u8>| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(text);
    };
    match reply {
        Reply::Nil => out.extend_from_slice(b"(nil)"),
        Reply::Bool(_) => raw(reply, out),
        Reply::Status(text) | Reply::Verbatim(text) => out.extend_from_slice(text),
        Reply::Error(text) => typed("(error) ", text, out),
        Reply::Integer(text) => typed("(integer) ", text, out),
        Reply::Double(text) => typed("(double) ", text, out),
        Reply::BigNumber(text) => typed("(big number) ", text, out),
        Reply::Bulk(text) => quote_repr(text, out),
        Reply::Array(elements) => listed(elements, "(empty array)", ')', indent, out),
        Reply::Set(elements) => listed(elements, "(empty set)", '~', indent, out),
        Reply::Push(elements) => listed(elements, "(empty push)", '>', indent, out),
        Reply::Map(pairs) if pairs.is_empty() => out.extend_from_slice(b"(empty hash)"),
        Reply::Map(pairs) => numbered(pairs, '#', indent, out, |(key, value), column, out| {
            people(key, column, out);
            out.extend_from_slice(b" => ");
            if elements(value) > 1 {
                new_line(column, out);
            }
            people(value, column, out);
        }),
    }
}

fn elements(reply: &Reply) -> usize {
    match reply {
        Reply::Array(elements) | Reply::Set(elements) | Reply::Push(elements) => elements.len(),
        Reply::Map(pairs) => pairs.len(),
        _ => 0,
    }
}

fn new_line(column: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', column));
}

fn listed(elements: &[Reply], empty: &str, mark: char, indent: usize, out: &mut Vec<u8>) {
    if elements.is_empty() {
        return out.extend_from_slice(empty.as_bytes());
    }
    numbered(elements, mark, indent, out, people);
}

/// Each item behind its number; numbers are as wide as the last.
fn numbered<T>(items: &[T], mark: char, indent: usize, out: &mut Vec<u8>, each: impl Fn(&T, usize, &mut Vec<u8>)) {
    let width = items.len().to_string().len();
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            new_line(indent, out);
        }
        out.extend_from_slice(format!("{:>width$}{mark} ", index + 1).as_bytes());
        each(item, indent + width + 2, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    fn shown(reply: &Reply, style: Style) -> String {
        String::from_utf8(render(reply, style)).expect("the samples are text")
    }

    #[test]
    fn people_see_types_quotes_and_numbers() {
        let nested = Reply::Array(vec![bulk("a"), Reply::Array(vec![Reply::Integer(b"1".to_vec()), Reply::Nil])]);
        for (reply, text) in [
            (Reply::Status(b"OK".to_vec()), "OK\n"),
            (bulk("a\"\n"), "\"a\\\"\\n\"\n"),
            (Reply::Error(b"ERR x".to_vec()), "(error) ERR x\n"),
            (Reply::Nil, "(nil)\n"),
            (Reply::Double(b"1.5".to_vec()), "(double) 1.5\n"),
            (nested.clone(), "1) \"a\"\n2) 1) (integer) 1\n   2) (nil)\n"),
            (Reply::Map(vec![(bulk("k"), bulk("v"))]), "1# \"k\" => \"v\"\n"),
            (
                Reply::Map(vec![(bulk("k"), nested.clone())]),
                "1# \"k\" => \n   1) \"a\"\n   2) 1) (integer) 1\n      2) (nil)\n",
            ),
            (Reply::Set(vec![]), "(empty set)\n"),
        ] {
            assert_eq!(shown(&reply, Style::People), text);
        }
        let ten = Reply::Array((0..10).map(|_| Reply::Array(vec![bulk("x"), bulk("y")])).collect());
        let lines: Vec<String> = shown(&ten, Style::People).lines().map(str::to_owned).collect();
        assert_eq!(
            (lines[0].as_str(), lines[1].as_str(), lines[18].as_str()),
            (" 1) 1) \"x\"", "    2) \"y\"", "10) 1) \"x\"")
        );
    }

    #[test]
    fn programs_see_values() {
        let reply = Reply::Array(vec![bulk("a b"), Reply::Nil, Reply::Map(vec![(bulk("k"), bulk("v"))])]);
        assert_eq!(shown(&reply, Style::Raw), "a b\n\nk v\n");
        assert_eq!(shown(&bulk("line\n"), Style::Raw), "line\n\n");
    }
}
