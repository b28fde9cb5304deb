//! Quoting: one line of text into words, as configuration files and inline requests are written.
//!
//! Words are separated by blanks. `"..."` takes `\n \r \t \b \a \xHH \\ \"`, `'...'` only `\'`; a closing quote must be
//! followed by a blank or the end of the line.

/// The line ends inside a quote, or something follows a closing quote at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unbalanced;

/// Splits `line` into its words, with quotes and escapes resolved.
pub fn split_args(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.trim_ascii_start();
        let Some(&first) = rest.first() else { return Ok(words) };
        let mut word = Vec::new();
        rest = if first == b'"' || first == b'\'' {
            quoted_word(&rest[1..], first, &mut word)?
        } else {
            plain_word(rest, &mut word)?
        };
        words.push(word);
    }
}

/// A word that starts without a quote; a quote inside it opens a quoted part.
fn plain_word<'a>(text: &'a [u8], word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    let mut index = 0;
    while let Some(&byte) = text.get(index) {
        if byte.is_ascii_whitespace() || byte == 0 {
            break;
        }
        if byte == b'"' || byte == b'\'' {
            return quoted_word(&text[index + 1..], byte, word);
        }
        word.push(byte);
        index += 1;
    }
    Ok(&text[(index + usize::from(text.get(index) == Some(&0))).min(text.len())..])
}

/// The inside of a quote up to and with its closing `mark`.
fn quoted_word<'a>(text: &'a [u8], mark: u8, word: &mut Vec<u8>) -> Result<&'a [u8], Unbalanced> {
    let mut index = 0;
    while let Some(&byte) = text.get(index) {
        index += 1;
        if byte == mark {
            let rest = &text[index..];
            return match rest.first() {
                Some(next) if !next.is_ascii_whitespace() => Err(Unbalanced),
                _ => Ok(rest),
            };
        }
        if byte != b'\\' {
            word.push(byte);
        } else if mark == b'\'' {
            if text.get(index) == Some(&b'\'') {
                word.push(b'\'');
                index += 1;
            } else {
                word.push(byte);
            }
        } else {
            index += escape(&text[index..], word)?;
        }
    }
    Err(Unbalanced)
}

/// What follows a backslash inside double quotes: pushes its meaning, returns the bytes used.
fn escape(text: &[u8], word: &mut Vec<u8>) -> Result<usize, Unbalanced> {
    if let [b'x', high, low, ..] = text {
        if let (Some(high), Some(low)) = (hex(*high), hex(*low)) {
            word.push(high * 16 + low);
            return Ok(3);
        }
    }
    let byte = *text.first().ok_or(Unbalanced)?;
    word.push(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'a' => 7,
        other => other,
    });
    Ok(1)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes() {
        let split = |line: &str| split_args(line.as_bytes());
        assert_eq!(split("a  \"b c\" 'd\\'e'").expect("balanced"), [b"a".to_vec(), b"b c".to_vec(), b"d'e".to_vec()]);
        assert_eq!(split("\"\\x41\\n\" ''").expect("balanced"), [b"A\n".to_vec(), b"".to_vec()]);
        assert_eq!(split("a \"b"), Err(Unbalanced));
        assert_eq!(split("\"a\"b"), Err(Unbalanced));
        assert_eq!(split("  ").expect("balanced"), Vec::<Vec<u8>>::new());
    }
}
