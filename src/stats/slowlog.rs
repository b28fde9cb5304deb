//! SLOWLOG: the last commands that took long, with shortened arguments.

use crate::resp::Argv;
use std::collections::VecDeque;

/// Most arguments kept of one command.
const MAX_ARGS: usize = 32;
/// Most bytes kept of one argument.
const MAX_ARG_BYTES: usize = 128;

/// The words of a request that must not be shown, such as passwords.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hidden(u64);

impl Hidden {
    /// The word at `index` and all behind it.
    pub fn from(index: usize) -> Hidden {
        Hidden(u64::MAX << index.min(63))
    }

    /// Hides one word more.
    pub fn add(&mut self, index: usize) {
        self.0 |= 1 << index.min(63);
    }

    /// Whether the word at `index` is hidden. Words from the 63rd on are hidden together.
    pub fn has(self, index: usize) -> bool {
        self.0 >> index.min(63) & 1 == 1
    }
}

/// One slow command.
#[derive(Debug, Clone)]
pub struct SlowEntry {
    /// Number, ascending since the start.
    pub id: u64,
    /// When, Unix seconds.
    pub at_secs: i64,
    /// How long, microseconds.
    pub duration_us: u64,
    /// Its words, shortened.
    pub words: Vec<Vec<u8>>,
    /// Who sent it.
    pub peer: Box<str>,
    /// That client's name.
    pub client_name: Box<[u8]>,
}

/// The log, newest first.
#[derive(Default, Debug)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
}

impl SlowLog {
    /// Adds a command; the oldest go so that at most `max_len` stay. `hidden`: words not to be kept.
    pub fn add(
        &mut self,
        argv: Argv<'_>,
        hidden: Hidden,
        at_secs: i64,
        duration_us: u64,
        client: (&str, &[u8]),
        max_len: usize,
    ) {
        let words = shorten(argv, hidden);
        let (peer, name) = client;
        let entry =
            SlowEntry { id: self.next_id, at_secs, duration_us, words, peer: peer.into(), client_name: name.into() };
        self.next_id += 1;
        self.entries.push_front(entry);
        self.entries.truncate(max_len);
    }

    /// Only the newest `max_len` stay.
    pub fn truncate(&mut self, max_len: usize) {
        self.entries.truncate(max_len);
    }

    /// Newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// SLOWLOG RESET.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

fn shorten(argv: Argv<'_>, hidden: Hidden) -> Vec<Vec<u8>> {
    let kept = argv.len().min(MAX_ARGS);
    let mut words = Vec::with_capacity(kept);
    for (index, word) in argv.iter().take(kept).enumerate() {
        if kept < argv.len() && index == kept - 1 {
            words.push(format!("... ({} more arguments)", argv.len() - kept + 1).into_bytes());
        } else if hidden.has(index) {
            words.push(b"(redacted)".to_vec());
        } else if word.len() > MAX_ARG_BYTES {
            let mut short = word[..MAX_ARG_BYTES].to_vec();
            short.extend_from_slice(format!("... ({} more bytes)", word.len() - MAX_ARG_BYTES).as_bytes());
            words.push(short);
        } else {
            words.push(word.to_vec());
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn long_commands_are_shortened_and_old_ones_go() {
        let mut log = SlowLog::default();
        let long = [b'x'; 200];
        let words: Vec<&[u8]> = std::iter::once(&b"rpush"[..]).chain(std::iter::repeat_n(&long[..], 40)).collect();
        let argv = OwnedArgv::of(&words);
        for _ in 0..3 {
            log.add(argv.argv(), Hidden::default(), 1, 5, ("127.0.0.1:1", b""), 2);
        }
        assert_eq!(log.len(), 2);
        let newest = log.iter().next().expect("two are kept");
        assert_eq!((newest.id, newest.words.len()), (2, 32));
        assert_eq!(newest.words[31], b"... (10 more arguments)");
        assert!(newest.words[1].ends_with(b"... (72 more bytes)"));
        log.add(OwnedArgv::of(&[b"auth", b"pw"]).argv(), Hidden::from(1), 1, 5, ("", b""), 2);
        assert_eq!(log.iter().next().expect("just added").words[1], b"(redacted)");
    }
}
