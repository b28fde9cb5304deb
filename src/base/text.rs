//! Small questions about text: quoted arguments, quoted output, comparison without regard to case.
//!
//! Knows no command and no option. Works on bytes, ASCII only, as the C locale does; nothing here can
//! fail on any input except an unbalanced quote, which is an answer.

use std::fmt;

/// C's `isspace` in the C locale: space, `\t`, `\n`, `\v`, `\f`, `\r`.
#[inline]
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d)
}

/// Whether `text` equals `lower` (which is written in lower case) without regard to ASCII case.
#[inline]
pub fn eq_ignore_case(text: &[u8], lower: &[u8]) -> bool {
    debug_assert!(!lower.iter().any(u8::is_ascii_uppercase));
    text.len() == lower.len() && std::iter::zip(text, lower).all(|(a, b)| a.to_ascii_lowercase() == *b)
}

/// Whether `text` begins with `lower` (which is written in lower case) without regard to ASCII case.
#[inline]
pub fn starts_with_ignore_case(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len()).is_some_and(|head| eq_ignore_case(head, lower))
}

/// `text` without blanks on both sides.
pub fn trim_blanks(text: &[u8]) -> &[u8] {
    let Some(first) = text.iter().position(|&b| !is_blank(b)) else {
        return &[];
    };
    let last = text.iter().rposition(|&b| !is_blank(b)).unwrap_or(first);
    &text[first..=last]
}

/// Makes CR and LF blanks, in place: what goes into a simple string or error must stay one line.
pub fn blank_line_ends(text: &mut [u8]) {
    for byte in text {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

/// A line whose quotes are not closed, or are closed in the middle of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

impl fmt::Display for Unbalanced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unbalanced quotes")
    }
}

impl std::error::Error for Unbalanced {}

/// Splits a line of redis.conf, or an inline command, into its arguments.
///
/// Words are separated by blanks. `"..."` knows `\n \r \t \b \a \xHH` and takes any other escaped byte
/// as it is; `'...'` knows only `\'`. A quote may open inside a word, but a blank or the end must follow
/// where it closes. A NUL ends the line.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let line = &line[..memchr::memchr(0, line).unwrap_or(line.len())];
    let mut args = Vec::new();
    let mut rest = skip_blanks(line);
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = skip_blanks(take_word(rest, &mut word)?);
        args.push(word);
    }
    Ok(args)
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&b| is_blank(b)).count();
    &text[blanks..]
}

/// Moves the word that `text` begins with to `word` and returns what follows it.
fn take_word<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        match text {
            // \v and \f separate words but do not end one: the reference's rule.
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Ok(text),
            [b'"', rest @ ..] => return closed(take_double_quoted(rest, word)?),
            [b'\'', rest @ ..] => return closed(take_single_quoted(rest, word)?),
            [byte, rest @ ..] => {
                word.push(*byte);
                text = rest;
            }
        }
    }
}

/// What follows a closing quote: a blank or nothing.
fn closed(text: &[u8]) -> Result<&[u8], Unbalanced> {
    match text.first() {
        Some(&byte) if !is_blank(byte) => Err(Unbalanced),
        _ => Ok(text),
    }
}

fn take_double_quoted<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, rest) = match text {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex_value(*high) << 4 | hex_value(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (unescape(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return Err(Unbalanced),
        };
        word.push(byte);
        text = rest;
    }
}

fn take_single_quoted<'a>(mut text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    loop {
        let (byte, rest) = match text {
            [b'\'', rest @ ..] => return Ok(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
            [] => return Err(Unbalanced),
        };
        word.push(byte);
        text = rest;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// Value of a hexadecimal digit; 0 for any other byte.
#[inline]
pub fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        b'A'..=b'F' => digit - b'A' + 10,
        _ => 0,
    }
}

/// Appends `bytes` to `out` in double quotes, on one line of printable ASCII: `\\ \" \n \r \t \a \b`, and
/// `\xhh` for every other byte that does not print. [`split_args`] gives the bytes back.
pub fn quote_repr(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                out.extend_from_slice(&[b'\\', b'x', hex(byte >> 4), hex(byte)]);
            }
        }
    }
    out.push(b'"');
}

/// [`quote_repr`] into a `String`: what it writes is ASCII.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    quote_repr(bytes, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// What the system says of an error, without its number.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

/// Splits any line and quotes what came out; quoting and splitting again must give the same words.
pub fn fuzz_text(data: &[u8]) {
    let Ok(args) = split_args(data) else { return };
    let mut line = Vec::new();
    for arg in &args {
        quote_repr(arg, &mut line);
        line.push(b' ');
    }
    assert_eq!(split_args(&line), Ok(args), "quoted words split to themselves");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn split(line: &str) -> Result<Vec<String>, Unbalanced> {
        let args = split_args(line.as_bytes())?;
        Ok(args.into_iter().map(|arg| String::from_utf8_lossy(&arg).into_owned()).collect())
    }

    #[test]
    fn words_and_quotes_split_as_in_redis_conf() {
        let good: [(&str, &[&str]); 14] = [
            ("", &[]),
            ("  \t ", &[]),
            ("save 900 1", &["save", "900", "1"]),
            (" a\tb\r\n", &["a", "b"]),
            (r#"set "a b" ''"#, &["set", "a b", ""]),
            (r#""\x41\n\t\r\\\"\q""#, &["A\n\t\r\\\"q"]),
            (r#""\xzz\x4""#, &["xzzx4"]),
            (r"'a\'b\n'", &[r"a'b\n"]),
            (r#"foo"bar" x"#, &["foobar", "x"]),
            (r#"foo'b"ar'"#, &["foob\"ar"]),
            ("a\u{b}b \u{b}c", &["a\u{b}b", "c"]),
            ("\"a\"\u{c}b", &["a", "b"]),
            ("a\0\"", &["a"]),
            (r"a\ b\n", &["a\\", "b\\n"]),
        ];
        for (line, args) in good {
            assert_eq!(split(line).unwrap(), args, "{line}");
        }
        for line in ["\"", "'", "\"a", "a \"b\\\"", "\"a\"b", "'a'b", "\"a\"\"b\"", "'a\\'", "\"a\0\"", "\"\\"] {
            assert_eq!(split(line), Err(Unbalanced), "{line}");
        }
    }

    #[test]
    fn repr_prints_ascii_and_escapes_the_rest() {
        assert_eq!(quoted(b""), "\"\"");
        assert_eq!(quoted(b"a b~\"\\\n\r\t\x07\x08\0\x7f\xff"), "\"a b~\\\"\\\\\\n\\r\\t\\a\\b\\x00\\x7f\\xff\"");
    }

    #[test]
    fn repr_and_split_are_inverse_for_random_bytes() {
        let mut rng = Rng::seeded(21);
        for _ in 0..2_000 {
            let mut line = Vec::new();
            let words: Vec<Vec<u8>> = (0..rng.below(5))
                .map(|_| {
                    let len = rng.below(12);
                    (0..len).map(|_| rng.next_u64() as u8).collect()
                })
                .collect();
            for word in &words {
                quote_repr(word, &mut line);
                line.push(b' ');
            }
            assert_eq!(split_args(&line), Ok(words));
        }
    }

    #[test]
    fn any_bytes_may_be_split() {
        let mut rng = Rng::seeded(22);
        let letters = b"ab \"'\\xn4f\t\r\n\0\x0b";
        for _ in 0..5_000 {
            let line: Vec<u8> = (0..rng.below(16)).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect();
            fuzz_text(&line);
        }
    }

    #[test]
    fn comparisons_ignore_ascii_case_only() {
        assert!(eq_ignore_case(b"WITHscores", b"withscores"));
        assert!(!eq_ignore_case(b"withscore", b"withscores"));
        assert!(!eq_ignore_case(b"\xc9", b"\xe9"));
        assert!(starts_with_ignore_case(b"NOVALUES", b"no"));
        assert!(!starts_with_ignore_case(b"n", b"no"));
        assert_eq!(trim_blanks(b" \ta b\r\n"), b"a b");
        assert_eq!(trim_blanks(b"  "), b"");
        let mut text = *b"ERR a\r\nb";
        blank_line_ends(&mut text);
        assert_eq!(&text, b"ERR a  b");
    }
}
