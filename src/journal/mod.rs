//! The one stream of effects: what happened to the data, as commands that replay exactly. Each unit's effects are encoded
//! once and numbered by their offset in the stream; readers (log, replicas, backlog) hold a cursor. Knows no file and no
//! replica. While nobody reads, nothing is encoded.
//!
//! ```text
//! unit = [MULTI] (SELECT n when the database changed) effect ... [EXEC]     RESP arrays of bulk strings
//! ```

use crate::keyspace::DbIndex;
use crate::resp::{Argv, encode_command as encode};

/// Room for a unit's effects that is kept for the next.
const KEPT_BYTES: usize = 1 << 20;

/// The effects of the unit that runs, encoded as they come.
#[derive(Default)]
pub struct Effects {
    /// Whether anybody reads the journal.
    pub wanted: bool,
    /// Whether a replica is among them.
    pub has_replicas: bool,
    /// What the running command said instead of its own words.
    replaced: Option<Vec<u8>>,
    /// The ends of those effects.
    replaced_ends: Vec<usize>,
    /// Room for the next `replaced`.
    spare: Vec<u8>,
    forced: bool,
    unit: Vec<u8>,
    /// Database and end of each effect in `unit`.
    marks: Vec<(DbIndex, usize)>,
}

impl Effects {
    /// The running command's effect is not its own words but these. May be called several times: all of them, in order.
    pub fn replace(&mut self, words: &[&[u8]]) {
        self.none();
        if let Some(bytes) = self.replaced.as_mut().filter(|_| self.wanted) {
            encode(bytes, words.len(), words.iter().copied());
            self.replaced_ends.push(bytes.len());
        }
    }

    /// The running command has no effect of its own.
    pub fn none(&mut self) {
        if self.replaced.is_none() {
            self.replaced = Some(std::mem::take(&mut self.spare));
        }
    }

    /// The running command comes to nothing: it will be run again.
    pub fn discard_replaced(&mut self) {
        self.take_replaced();
        self.replaced_ends.clear();
        self.forced = false;
    }

    /// The running command matters to replicas even if it changed nothing here: a message that is published.
    #[inline]
    pub fn force_to_replicas(&mut self) {
        self.forced |= self.has_replicas;
    }

    /// The running command has its effect even if it changed nothing here.
    pub fn force(&mut self) {
        self.forced = true;
    }

    /// What was said instead of the command's words goes into the unit, or nowhere.
    #[cold]
    fn end_replaced(&mut self, bytes: Vec<u8>, db: DbIndex, is_kept: bool) {
        if is_kept {
            let start = self.unit.len();
            self.unit.extend_from_slice(&bytes);
            self.marks.extend(self.replaced_ends.iter().map(|end| (db, start + end)));
        }
        self.replaced_ends.clear();
        self.spare = bytes;
        self.spare.clear();
    }

    fn take_replaced(&mut self) {
        if let Some(bytes) = self.replaced.take() {
            self.end_replaced(bytes, DbIndex(0), false);
        }
    }

    /// A command ended; `changed` tells whether it changed data. Its effects join the unit.
    #[inline]
    pub fn command_ended(&mut self, changed: bool, db: DbIndex, argv: Argv<'_>) {
        let replaced = self.replaced.take();
        let is_kept = (std::mem::take(&mut self.forced) || changed) && self.wanted;
        match replaced {
            Some(bytes) => self.end_replaced(bytes, db, is_kept),
            None if is_kept => {
                match argv.as_sent() {
                    Some(bytes) => self.unit.extend_from_slice(bytes),
                    None => encode(&mut self.unit, argv.len(), argv.iter()),
                }
                self.marks.push((db, self.unit.len()));
            }
            None => {}
        }
    }

    /// Whether a command's own words are all that its unit comes to, if nothing happened besides: then they may go into the
    /// stream at once.
    #[inline]
    pub fn would_be_alone(&self) -> bool {
        self.wanted && self.marks.is_empty() && self.replaced.is_none() && !self.forced
    }

    /// An effect outside any command: a key expired or was evicted.
    pub fn push(&mut self, db: DbIndex, words: &[&[u8]]) {
        if self.wanted {
            encode(&mut self.unit, words.len(), words.iter().copied());
            self.marks.push((db, self.unit.len()));
        }
    }

    /// An effect that precedes all others of the unit: a key that went by itself before a command found it gone.
    pub fn push_first(&mut self, db: DbIndex, words: &[&[u8]]) {
        if self.wanted {
            let mut first = Vec::new();
            encode(&mut first, words.len(), words.iter().copied());
            self.marks.iter_mut().for_each(|(_, end)| *end += first.len());
            self.marks.insert(0, (db, first.len()));
            self.unit.splice(0..0, first);
        }
    }

    /// Forgets what the unit did so far: the server ends before it is whole.
    pub fn abandon(&mut self) {
        self.discard_replaced();
        self.unit.clear();
        self.marks.clear();
    }

    /// Whether the unit has effects to be closed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Ends the unit: its effects go into the stream, wrapped in MULTI and EXEC when there are several.
    #[inline]
    pub fn close(&mut self, journal: &mut Journal) {
        if let &[(db, _)] = &*self.marks {
            journal.push(db, &self.unit);
        } else {
            self.close_wrapped(journal);
        }
        self.marks.clear();
        self.unit.clear();
        if self.unit.capacity() > KEPT_BYTES {
            self.unit = Vec::new();
        }
    }

    #[cold]
    fn close_wrapped(&self, journal: &mut Journal) {
        if self.marks.is_empty() {
            return;
        }
        journal.bytes.extend_from_slice(b"*1\r\n$5\r\nMULTI\r\n");
        let mut start = 0;
        for &(db, end) in &self.marks {
            journal.select(db);
            journal.bytes.extend_from_slice(&self.unit[start..end]);
            start = end;
        }
        journal.bytes.extend_from_slice(b"*1\r\n$4\r\nEXEC\r\n");
    }
}

/// The stream.
#[derive(Default)]
pub struct Journal {
    bytes: Vec<u8>,
    /// Offset of the first byte in `bytes`.
    start: u64,
    selected: Option<DbIndex>,
}

impl Journal {
    /// Offset of the next byte.
    pub fn offset(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Offset of the oldest byte that is held.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// A new reader begins here: the next effect is preceded by a SELECT.
    pub fn force_select(&mut self) {
        self.selected = None;
    }

    /// A unit of one effect, which is encoded already.
    #[inline]
    pub fn push(&mut self, db: DbIndex, effect: &[u8]) {
        self.select(db);
        self.bytes.extend_from_slice(effect);
    }

    #[inline]
    fn select(&mut self, db: DbIndex) {
        if self.selected != Some(db) {
            self.select_anew(db);
        }
    }

    #[cold]
    fn select_anew(&mut self, db: DbIndex) {
        let mut text = itoa::Buffer::new();
        let number = text.format(db.0).as_bytes();
        encode(&mut self.bytes, 2, [&b"SELECT"[..], number].into_iter());
        self.selected = Some(db);
    }

    /// The bytes from `offset` on that are still held.
    pub fn read_from(&self, offset: u64) -> Option<&[u8]> {
        self.bytes.get(usize::try_from(offset.checked_sub(self.start)?).ok()?..)
    }

    /// Forgets the bytes before `offset`: every reader is past it.
    pub fn trim(&mut self, offset: u64) {
        let n = (offset.saturating_sub(self.start) as usize).min(self.bytes.len());
        self.bytes.drain(..n);
        self.start += n as u64;
    }

    /// Gives all bytes that are held to their only reader; `room` takes the next ones.
    pub fn take(&mut self, room: Vec<u8>) -> Vec<u8> {
        self.start = self.offset();
        std::mem::replace(&mut self.bytes, room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;

    #[test]
    fn a_unit_of_several_effects_is_wrapped_and_a_database_is_selected_once() {
        let (mut effects, mut journal) = (Effects { wanted: true, ..Effects::default() }, Journal::default());
        let set = OwnedArgv::of(&[b"SET", b"k", b"v"]);
        effects.command_ended(true, DbIndex(3), set.argv());
        effects.close(&mut journal);
        assert_eq!(
            journal.read_from(0),
            Some(&b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"[..])
        );
        let mark = journal.offset();
        effects.replace(&[b"SREM", b"s", b"a"]);
        effects.replace(&[b"SREM", b"s", b"b"]);
        effects.command_ended(true, DbIndex(3), set.argv());
        effects.command_ended(false, DbIndex(3), set.argv());
        effects.close(&mut journal);
        let text = String::from_utf8_lossy(journal.read_from(mark).unwrap_or_default()).into_owned();
        assert_eq!(text.matches("SREM").count(), 2);
        assert!(text.starts_with("*1\r\n$5\r\nMULTI") && text.ends_with("$4\r\nEXEC\r\n"), "{text}");
        journal.trim(mark);
        assert_eq!(journal.read_from(0), None);
        assert!(journal.read_from(mark).is_some());
    }
}
