//! A base of the log in the form of commands that make the data anew (`aof-use-rdb-preamble no`). Knows entries; no client.
//!
//! ```text
//! SELECT n   SET k v   RPUSH k e...   SADD k m...   ZADD k s m...   HMSET k f v...   HPEXPIREAT k t FIELDS 1 f
//! XADD k id f v...   XSETID k id ENTRIESADDED n MAXDELETEDID id   XGROUP CREATE ...   XCLAIM ... JUSTID FORCE LASTID
//! RESTORE k 0 payload         types that no command makes exactly       PEXPIREAT k t       FUNCTION LOAD code
//! ```

use crate::base::crc::Crc64;
use crate::base::float::push_double_17;
use crate::persist::rdb::{self, Decode, Fault, Reader, SaveOptions, Slice};
use crate::persist::storage::WriteFile;
use crate::resp::encode_command;
use crate::types::{
    Elem, Entry, EntryRef, Hash, Kind, Limits, List, Scratch, Set, Str, Stream, StreamData, StreamId, Type, Value, ZSet,
};
use std::io;

/// Bytes handed to the file at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Most elements of one command.
const WORDS_AT_ONCE: usize = 64;
/// Bytes after which the file is synced, if that is asked for.
const SYNC_BYTES: u64 = 4 << 20;

/// A file of commands being written; the first failure is kept and ends all writing.
pub struct ScriptWriter<'f> {
    file: &'f mut dyn WriteFile,
    buf: Vec<u8>,
    crc: Crc64,
    written: u64,
    synced: u64,
    incremental_sync: bool,
    limits: Limits,
    error: Option<io::Error>,
}

/// How a base of commands is written.
#[derive(Clone, Copy)]
pub struct ScriptForm {
    /// The limits of values that come encoded.
    pub limits: Limits,
    /// Whether the time stands before all.
    pub stamped: bool,
}

/// Elements of one key, put into as few commands as may be.
struct Gathered {
    head: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
}

impl Gathered {
    fn new(head: &[&[u8]]) -> Gathered {
        Gathered { head: head.iter().map(|word| word.to_vec()).collect(), words: Vec::new() }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if !self.words.is_empty() {
            let all = self.head.iter().chain(&self.words).map(Vec::as_slice);
            encode_command(out, self.head.len() + self.words.len(), all);
            self.words.clear();
        }
    }

    fn add(&mut self, words: impl IntoIterator<Item = Vec<u8>>, out: &mut Vec<u8>) {
        self.words.extend(words);
        if self.words.len() >= WORDS_AT_ONCE {
            self.flush(out);
        }
    }
}

/// Whether commands make it exactly: what is pending and deleted can't be claimed.
fn can_be_told(data: &StreamData) -> bool {
    data.groups().all(|(_, group)| group.pending_from(StreamId::MIN).all(|(id, _)| data.log().get(id).is_some()))
}

fn text(elem: Elem<'_>) -> Vec<u8> {
    let mut digits = itoa::Buffer::new();
    elem.text(&mut digits).to_vec()
}

fn number(n: impl itoa::Integer) -> Vec<u8> {
    itoa::Buffer::new().format(n).as_bytes().to_vec()
}

impl<'f> ScriptWriter<'f> {
    /// Begins a file.
    pub fn begin(file: &'f mut dyn WriteFile, options: &SaveOptions, form: ScriptForm) -> Self {
        let mut buf = Vec::with_capacity(CHUNK_BYTES);
        if form.stamped {
            buf.extend_from_slice(&super::scan::time_line(options.now.unix_secs()));
        }
        let (limits, incremental_sync) = (form.limits, options.incremental_sync);
        let crc = Crc64::default();
        let mut writer = ScriptWriter { file, buf, crc, written: 0, synced: 0, incremental_sync, limits, error: None };
        options.libraries.iter().for_each(|code| writer.say(&[b"FUNCTION", b"LOAD", code]));
        writer
    }

    fn say(&mut self, words: &[&[u8]]) {
        encode_command(&mut self.buf, words.len(), words.iter().copied());
    }

    /// What follows is of this database.
    pub fn select(&mut self, index: u32) {
        self.say(&[b"SELECT", &number(index)]);
    }

    /// A key with its value.
    pub fn entry(&mut self, entry: EntryRef<'_>) {
        let key = entry.key();
        match Kind::of(entry.kind()).type_of() {
            // Deadlines of members come with the value.
            _ if matches!(Kind::of(entry.kind()), Kind::BigSetDated | Kind::BigZSetDated) => {
                self.say(&[b"RESTORE", key, b"0", &rdb::dump(entry, true)]);
            }
            Type::String => self.say(&[b"SET", key, Str::view(entry).bytes(&mut Scratch::default())]),
            Type::List => {
                let mut all = Gathered::new(&[b"RPUSH", key]);
                List::view(entry).range(0, usize::MAX, |elem| all.add([text(elem)], &mut self.buf));
                all.flush(&mut self.buf);
            }
            Type::Set => {
                let mut all = Gathered::new(&[b"SADD", key]);
                Set::view(entry).for_each(|elem| all.add([text(elem)], &mut self.buf));
                all.flush(&mut self.buf);
            }
            Type::ZSet => {
                let mut all = Gathered::new(&[b"ZADD", key]);
                ZSet::view(entry).range(0, usize::MAX, |member, score| {
                    let mut shown = Vec::new();
                    push_double_17(&mut shown, score);
                    all.add([shown, text(member)], &mut self.buf);
                });
                all.flush(&mut self.buf);
            }
            Type::Hash => self.hash(entry),
            Type::Stream if can_be_told(Stream::view(entry)) => self.stream(key, Stream::view(entry)),
            Type::Stream | Type::Array | Type::VectorSet => self.say(&[b"RESTORE", key, b"0", &rdb::dump(entry, true)]),
        }
        if let Some(deadline) = entry.deadline() {
            self.say(&[b"PEXPIREAT", key, &number(deadline)]);
        }
        if self.buf.len() >= CHUNK_BYTES {
            self.flush();
        }
    }

    fn hash(&mut self, entry: EntryRef<'_>) {
        let mut all = Gathered::new(&[b"HMSET", entry.key()]);
        let mut dated = Vec::new();
        Hash::view(entry).for_each_dated(|field, value, deadline| {
            all.add([text(field), text(value)], &mut self.buf);
            dated.extend(deadline.map(|at| (text(field), number(at))));
        });
        all.flush(&mut self.buf);
        for (field, at) in dated {
            self.say(&[b"HPEXPIREAT", entry.key(), &at, b"FIELDS", b"1", &field]);
        }
    }

    fn stream(&mut self, key: &[u8], data: &StreamData) {
        let log = data.log();
        for entry in log.range(StreamId::MIN, StreamId::MAX) {
            let id = entry.id.text();
            let words: Vec<Vec<u8>> = entry.words().map(text).collect();
            let head = [&b"XADD"[..], key, id.as_bytes()];
            encode_command(&mut self.buf, 3 + words.len(), head.into_iter().chain(words.iter().map(Vec::as_slice)));
            if self.buf.len() >= CHUNK_BYTES {
                self.flush();
            }
        }
        if log.is_empty() {
            // A stream of nothing: an entry that comes and goes at once.
            self.say(&[b"XADD", key, b"MAXLEN", b"0", b"0-1", b"x", b"y"]);
        }
        let added = number(log.entries_added());
        let (last, deleted) = (log.last_id().text(), log.max_deleted_id().text());
        self.say(&[b"XSETID", key, last.as_bytes(), b"ENTRIESADDED", &added, b"MAXDELETEDID", deleted.as_bytes()]);
        for (name, group) in data.groups() {
            let read = number(group.entries_read.unwrap_or(-1));
            let last = group.last_id.text();
            self.say(&[b"XGROUP", b"CREATE", key, name, last.as_bytes(), b"ENTRIESREAD", &read]);
            for (_, consumer) in group.consumers() {
                self.say(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
                for id in consumer.pending_from(StreamId::MIN) {
                    let Some(pending) = group.pending(id) else { continue };
                    let (time, count) = (number(pending.delivered_ms), number(pending.deliveries));
                    let id = id.text();
                    self.say(&[
                        b"XCLAIM",
                        key,
                        name,
                        consumer.name(),
                        b"0",
                        id.as_bytes(),
                        b"TIME",
                        &time,
                        b"RETRYCOUNT",
                        &count,
                        b"JUSTID",
                        b"FORCE",
                    ]);
                }
            }
        }
    }

    /// A key whose value comes in the form of a snapshot.
    ///
    /// # Errors
    /// It is none.
    pub fn encoded(&mut self, code: u8, key: &[u8], value: &[u8], deadline: Option<i64>) -> Result<(), Fault> {
        let how = Decode { limits: &self.limits, deep: false, access: 0 };
        let mut entry: Entry = rdb::decode_value(&mut Reader::new(Slice::of(value)), code, key, &how)?;
        entry.set_deadline(deadline);
        self.entry(entry.view());
        Ok(())
    }

    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.try_flush().err();
        }
        self.buf.clear();
    }

    fn try_flush(&mut self) -> io::Result<()> {
        self.crc.update(&self.buf);
        self.file.append(&self.buf)?;
        self.written += self.buf.len() as u64;
        if self.incremental_sync && self.written - self.synced >= SYNC_BYTES {
            self.synced = self.written;
            self.file.sync()?;
        }
        Ok(())
    }

    /// Whether it makes no sense to go on.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Ends the file: its length.
    ///
    /// # Errors
    /// The system's, of this or any earlier write.
    pub fn finish(mut self) -> io::Result<u64> {
        if !self.buf.is_empty() {
            self.flush();
        }
        if self.error.is_none() && self.written > 0 {
            super::scan::checksum_line(&self.crc, None, &mut self.buf);
            self.flush();
        }
        self.error.map_or(Ok(self.written), Err)
    }
}
