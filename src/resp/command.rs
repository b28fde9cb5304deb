//! A command as it stands in logs and goes to other servers: an array of bulk strings. Knows no command.
//!
//! ```text
//! *2\r\n $3\r\n GET\r\n $1\r\n k\r\n
//! ```

/// Adds a command of so many words.
pub fn encode_command<'w>(out: &mut Vec<u8>, count: usize, words: impl Iterator<Item = &'w [u8]>) {
    header(out, b'*', count);
    for word in words {
        header(out, b'$', word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

#[inline]
fn header(out: &mut Vec<u8>, kind: u8, number: usize) {
    if number < 10 {
        out.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
        return;
    }
    out.push(kind);
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_announced_with_their_lengths() {
        let mut out = Vec::new();
        encode_command(&mut out, 2, [&b"GET"[..], b"k"].into_iter());
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
    }
}
