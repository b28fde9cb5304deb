//! A command as it stands in logs and goes to other servers: an array of bulk strings. Knows no command.
//!
//! ```text
//! *2\r\n $3\r\n GET\r\n $1\r\n k\r\n
//! ```

/// Adds a command of so many words.
pub fn encode_command<'w>(out: &mut Vec<u8>, count: usize, words: impl Iterator<Item = &'w [u8]>) {
    let mut text = itoa::Buffer::new();
    out.push(b'*');
    out.extend_from_slice(text.format(count).as_bytes());
    out.extend_from_slice(b"\r\n");
    for word in words {
        out.push(b'$');
        out.extend_from_slice(text.format(word.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
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
