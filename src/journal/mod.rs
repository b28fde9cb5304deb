//! The one stream of effects: what happened to the data, as commands that replay exactly. Each unit's effects are encoded
//! once and numbered by their offset in the stream; readers (log, replicas, backlog) hold a cursor. Knows no file and no
//! replica. While nobody reads, nothing is encoded.
//!
//! ```text
//! unit = SELECT n (when the database changed)  [MULTI] effect effect ... [EXEC]     RESP arrays of bulk strings
//! ```

use crate::keyspace::DbIndex;
use crate::resp::{Argv, OwnedArgv};

/// The effects of the unit that runs.
#[derive(Default)]
pub struct Effects {
    /// Whether anybody reads the journal.
    pub wanted: bool,
    /// Whether a replica is among them.
    pub has_replicas: bool,
    replaced: Option<Vec<OwnedArgv>>,
    forced: bool,
    unit: Vec<(DbIndex, OwnedArgv)>,
}

impl Effects {
    /// The running command's effect is not its own words but these. May be called several times: all of them, in order.
    pub fn replace(&mut self, words: &[&[u8]]) {
        let list = self.replaced.get_or_insert_with(Vec::new);
        if self.wanted {
            list.push(OwnedArgv::of(words));
        }
    }

    /// The running command has no effect of its own.
    pub fn none(&mut self) {
        self.replaced.get_or_insert_with(Vec::new);
    }

    /// The running command comes to nothing: it will be run again.
    pub fn discard_replaced(&mut self) {
        self.replaced = None;
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

    /// A command ended; `changed` tells whether it changed data. Its effects join the unit.
    #[inline]
    pub fn command_ended(&mut self, changed: bool, db: DbIndex, argv: Argv<'_>) {
        let replaced = self.replaced.take();
        let changed = std::mem::take(&mut self.forced) || changed;
        if !changed || !self.wanted {
            return;
        }
        match replaced {
            Some(list) => self.unit.extend(list.into_iter().map(|effect| (db, effect))),
            None => self.unit.push((db, argv.to_owned())),
        }
    }

    /// An effect outside any command: a key expired or was evicted.
    pub fn push(&mut self, db: DbIndex, words: &[&[u8]]) {
        if self.wanted {
            self.unit.push((db, OwnedArgv::of(words)));
        }
    }

    /// An effect that precedes all others of the unit: a key that went by itself before a command found it gone.
    pub fn push_first(&mut self, db: DbIndex, words: &[&[u8]]) {
        if self.wanted {
            self.unit.insert(0, (db, OwnedArgv::of(words)));
        }
    }

    /// Forgets what the unit did so far: the server ends before it is whole.
    pub fn abandon(&mut self) {
        self.discard_replaced();
        self.unit.clear();
    }

    /// Whether the unit has effects to be closed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.unit.is_empty()
    }

    /// Ends the unit: its effects go into the stream, wrapped in MULTI and EXEC when there are several.
    pub fn close(&mut self, journal: &mut Journal) {
        let wrapped = self.unit.len() > 1;
        for (nth, (db, effect)) in self.unit.drain(..).enumerate() {
            journal.select(db);
            if wrapped && nth == 0 {
                journal.encode(OwnedArgv::of(&[b"MULTI"]).argv());
            }
            journal.encode(effect.argv());
        }
        if wrapped {
            journal.encode(OwnedArgv::of(&[b"EXEC"]).argv());
        }
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

    /// A new reader begins here: the next effect is preceded by a SELECT.
    pub fn force_select(&mut self) {
        self.selected = None;
    }

    fn select(&mut self, db: DbIndex) {
        if self.selected != Some(db) {
            let mut text = itoa::Buffer::new();
            let number = text.format(db.0).as_bytes();
            self.encode(OwnedArgv::of(&[b"SELECT", number]).argv());
            self.selected = Some(db);
        }
    }

    fn encode(&mut self, argv: Argv<'_>) {
        let mut text = itoa::Buffer::new();
        self.bytes.push(b'*');
        self.bytes.extend_from_slice(text.format(argv.len()).as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
        for word in argv.iter() {
            self.bytes.push(b'$');
            self.bytes.extend_from_slice(text.format(word.len()).as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
