//! A snapshot that is written while commands go on: the loop hands copies of entries to a thread, which encodes, compresses,
//! sums up and writes them. Knows the cut's sink and the disk; no command.
//!
//! ```text
//! loop    cut -> Feed -> chunk of copies (256 KiB) -> channel -> thread: Writer -> temp file -> sync, rename, sync folder
//!                  ^ full at 8 MiB on the way: the walk waits, entries about to change do not
//! ```
//!
//! A small entry is copied as it lies in memory, a long string is shared; the elements of a large collection come in pieces, while
//! it changes, and are encoded without compression. In the file they stand together: what comes between the pieces of one
//! collection is put off by the writer, and the walk goes on with a collection that was begun before all else.
//! Invariant: under the target's name stands a whole file at every moment; a snapshot that ends early leaves none behind.

use super::aof::script::{ScriptForm, ScriptWriter};
use super::rdb::{Encoder, SaveOptions, Sink as _, Writer, code_of, code_of_parts, transcode, transcode_part};
use super::storage::{Replacement, WriteFile};
use super::vault::{FileKind, Vault};
use crate::ds::record::RecordLog;
use crate::keyspace::cut;
use crate::types::{self, Big, Entry, EntryRef, Piece, Pieces};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Bytes of copies that are handed over at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Bytes on the way from which on the walk waits.
const FULL_BYTES: usize = 8 << 20;
/// Bytes of a large collection's elements that are handed over at once, at least.
const PIECE_BYTES: usize = 16 * 1024;
/// Bytes after which the writer rests, so that others have its processor: some tenth of a millisecond of work. The system itself
/// would look only at its next tick whether somebody else waits for it, which is up to 4 ms away. (To yield would be to fall behind
/// for good where the processors are busy: the system takes a whole slice from who does.)
const REST_EVERY_BYTES: usize = 128 * 1024;
/// As short as it can be for others to be let in: a sleep that is over when it begins lets in nobody.
const REST: Duration = Duration::from_micros(20);
/// Longest sleep of `rdb-key-save-delay` before looking whether all is given up.
const NAP: Duration = Duration::from_millis(10);

/// What follows in a chunk.
enum Part {
    /// Entries of this database.
    Db(u32),
    /// So many records of the log.
    Records(usize),
    /// A long string.
    Shared(Entry),
    /// A large collection.
    Encoded(Box<EncodedEntry>),
}

/// A large collection, encoded but not compressed; without its elements, if these come later.
struct EncodedEntry {
    db: u32,
    key: Box<[u8]>,
    deadline: Option<i64>,
    access: u32,
    code: u8,
    value: Vec<u8>,
}

/// What the writer is told.
enum News {
    Chunk(Chunk),
    /// A large collection has begun: its value is what stands before the elements.
    Begun(u64, Box<EncodedEntry>),
    /// Elements of it, encoded but not compressed. Parts of a list are numbered from 1 on, and stand in that order.
    Elements(u64, u32, Vec<u8>),
    /// It has all its elements.
    Ended(u64),
}

/// The way of one collection's elements to the writer.
struct Outlet {
    number: u64,
    /// The soonest deadline of a field when it began.
    soonest: Option<i64>,
    encoder: Encoder<Vec<u8>>,
    to_writer: Sender<News>,
    shared: Arc<Shared>,
}

impl Outlet {
    fn hand_over(&mut self, ordinal: u32) {
        let elements = std::mem::take(&mut self.encoder.sink);
        if !elements.is_empty() {
            self.shared.queued_bytes.fetch_add(elements.len(), Ordering::Relaxed);
            drop(self.to_writer.send(News::Elements(self.number, ordinal, elements)));
        }
    }
}

impl Pieces for Outlet {
    #[inline]
    fn piece(&mut self, piece: Piece<'_>) {
        self.encoder.element(piece, self.soonest);
    }

    fn pause(&mut self, ordinal: u32) {
        if ordinal > 0 || self.encoder.sink.len() >= PIECE_BYTES {
            self.hand_over(ordinal);
        }
    }

    fn end(&mut self) {
        self.hand_over(0);
        drop(self.to_writer.send(News::Ended(self.number)));
    }
}

#[derive(Default)]
struct Chunk {
    parts: Vec<Part>,
    log: RecordLog<Big>,
    /// Bytes besides the log.
    extra_bytes: usize,
    /// Whether nothing follows.
    last: bool,
}

impl Chunk {
    fn bytes(&self) -> usize {
        self.log.bytes() + self.extra_bytes
    }
}

/// What both sides look at.
#[derive(Default)]
struct Shared {
    given_up: AtomicBool,
    queued_bytes: AtomicUsize,
    keys: AtomicU64,
    result: Mutex<Option<io::Result<u64>>>,
}

/// The loop's end of the channel.
struct Feed {
    to_writer: Sender<News>,
    shared: Arc<Shared>,
    chunk: Chunk,
    /// Collections that were begun.
    begun: u64,
    db: Option<u32>,
}

impl Feed {
    #[cold]
    fn hand_over(&mut self) {
        let next = Chunk { log: RecordLog::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8), ..Chunk::default() };
        let chunk = std::mem::replace(&mut self.chunk, next);
        // The next chunk says its database itself: a collection of another one may come between.
        self.db = None;
        self.shared.queued_bytes.fetch_add(chunk.bytes(), Ordering::Relaxed);
        // A writer that is gone has left its reason behind; it is found when the result is asked for.
        drop(self.to_writer.send(News::Chunk(chunk)));
    }

    #[cold]
    fn large(&mut self, entry: EntryRef<'_>) {
        let Some(big) = entry.big() else { return };
        if let Big::Str(text) = big {
            let copy = Box::new(Big::Str(text.clone()));
            let copy = Entry::new_big(entry.key(), entry.kind(), copy, entry.lru(), entry.deadline());
            self.chunk.extra_bytes += entry.key().len();
            return self.chunk.parts.push(Part::Shared(copy));
        }
        let mut encoder = Encoder::new(Vec::new(), false);
        encoder.value(entry);
        let db = self.db.unwrap_or(0);
        self.encoded(EncodedEntry::of(db, entry, encoder.sink));
    }

    fn encoded(&mut self, encoded: EncodedEntry) {
        self.chunk.extra_bytes += encoded.key.len() + encoded.value.len();
        self.chunk.parts.push(Part::Encoded(Box::new(encoded)));
    }
}

impl EncodedEntry {
    fn of(db: u32, entry: EntryRef<'_>, value: Vec<u8>) -> EncodedEntry {
        EncodedEntry {
            db,
            key: entry.key().into(),
            deadline: entry.deadline(),
            access: entry.lru(),
            code: code_of(entry),
            value,
        }
    }
}

impl Feed {
    #[inline]
    fn select(&mut self, db: u32) {
        if self.db != Some(db) {
            self.db = Some(db);
            self.chunk.parts.push(Part::Db(db));
        }
    }
}

impl cut::Sink for Feed {
    #[inline]
    fn entry(&mut self, db: u32, entry: EntryRef<'_>) {
        self.select(db);
        if !self.chunk.log.push(entry) {
            self.large(entry);
        } else if let Some(Part::Records(count)) = self.chunk.parts.last_mut() {
            *count += 1;
        } else {
            self.chunk.parts.push(Part::Records(1));
        }
        if self.chunk.bytes() >= CHUNK_BYTES {
            self.hand_over();
        }
    }

    fn begin_large(&mut self, db: u32, entry: EntryRef<'_>) -> Box<dyn Pieces> {
        let mut head = Encoder::new(Vec::new(), false);
        head.value_head(entry);
        self.begun += 1;
        let (number, encoder) = (self.begun, Encoder::new(Vec::new(), false));
        let mut begun = Box::new(EncodedEntry::of(db, entry, head.sink));
        begun.code = code_of_parts(entry);
        drop(self.to_writer.send(News::Begun(number, begun)));
        let (to_writer, shared) = (self.to_writer.clone(), Arc::clone(&self.shared));
        Box::new(Outlet { number, soonest: types::soonest(entry), encoder, to_writer, shared })
    }

    fn is_full(&self) -> bool {
        self.shared.queued_bytes.load(Ordering::Relaxed) >= FULL_BYTES
    }

    fn end(mut self: Box<Self>) {
        self.chunk.last = true;
        self.hand_over();
    }
}

/// Numbers of a database at the cut, a hint to readers.
#[derive(Debug, Clone, Copy)]
pub struct DbSizes {
    /// Its number.
    pub index: u32,
    /// Its keys.
    pub keys: u64,
    /// Those with a deadline.
    pub expires: u64,
}

/// What is to be written, and where.
pub struct Plan {
    /// The file's name.
    pub path: PathBuf,
    /// Its name until it is whole, another one for each: an abandoned one may be there a moment longer.
    pub temporary_name: String,
    /// How it is written.
    pub options: SaveOptions,
    /// The databases at the cut.
    pub sizes: Vec<DbSizes>,
    /// Pause after each key, for tests of slow disks.
    pub key_delay: Duration,
    /// Commands instead of a snapshot.
    pub script: Option<ScriptForm>,
}

/// A snapshot that is being written.
pub struct Snapshot {
    shared: Arc<Shared>,
    vault: Vault,
}

impl Snapshot {
    /// Starts the writer; what is given to the sink goes into the file.
    ///
    /// # Errors
    /// The system's, if no thread can be had.
    pub fn begin(plan: Plan, vault: Vault) -> io::Result<(Snapshot, Box<dyn cut::Sink>)> {
        let (to_writer, news) = channel();
        let shared = Arc::new(Shared::default());
        let (mine, door) = (Arc::clone(&shared), vault.clone());
        let work = move || {
            let result = write(&plan, &door, &news, &mine);
            *mine.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        };
        vault.storage().run_beside("snapshot", Box::new(work))?;
        let feed = Feed { to_writer, shared: Arc::clone(&shared), chunk: Chunk::default(), begun: 0, db: None };
        Ok((Snapshot { shared, vault }, Box::new(feed)))
    }

    /// Keys that were written.
    pub fn keys(&self) -> u64 {
        self.shared.keys.load(Ordering::Relaxed)
    }

    /// Bytes on the way to the writer.
    pub fn queued_bytes(&self) -> usize {
        self.shared.queued_bytes.load(Ordering::Relaxed)
    }

    /// The end, if it has come: how long the file is, or why there is none.
    pub fn poll(&self) -> Option<io::Result<u64>> {
        self.shared.result.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Nobody wants it any more, and the process is about to end: waits for at most so long until its file is gone.
    pub fn end(&self, limit: Duration) {
        self.give_up();
        let mut left = limit;
        while self.poll().is_none() && !left.is_zero() {
            self.nap(NAP.min(left));
            left = left.saturating_sub(NAP);
        }
    }

    /// Waits a moment for the writer.
    pub fn nap(&self, time: Duration) {
        self.vault.storage().nap(time);
    }

    /// Nobody wants it any more: it ends soon, and leaves no file.
    pub fn give_up(&self) {
        self.shared.given_up.store(true, Ordering::Relaxed);
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.give_up();
    }
}

fn given_up() -> io::Error {
    io::Error::other("the snapshot was given up")
}

fn write(plan: &Plan, vault: &Vault, news: &Receiver<News>, shared: &Shared) -> io::Result<u64> {
    let kind = if plan.script.is_some() { FileKind::Log } else { FileKind::Snapshot };
    let mut replacement = Replacement::begin(vault, kind, &plan.path, &plan.temporary_name)?;
    let mut scribe = Scribe {
        target: Target::begin(replacement.file(), plan),
        gathered: None,
        sizes: plan.sizes.clone(),
        key_delay: plan.key_delay,
        shared,
        db: None,
        current: None,
        next_part: 1,
        early_parts: BTreeMap::new(),
        waiting: BTreeMap::new(),
        put_off: VecDeque::new(),
        is_last: false,
        unrested_bytes: 0,
    };
    while !scribe.is_done() {
        // Without a sender the cut was abandoned.
        scribe.hear(news.recv().map_err(|_| given_up())?)?;
        if scribe.target.has_failed() || shared.given_up.load(Ordering::Relaxed) {
            break;
        }
    }
    let len = scribe.target.finish()?;
    if shared.given_up.load(Ordering::Relaxed) {
        return Err(given_up());
    }
    replacement.commit()?;
    Ok(len)
}

/// The form of the file.
enum Target<'f> {
    Snapshot(Writer<'f>),
    Script(ScriptWriter<'f>),
}

impl<'f> Target<'f> {
    fn begin(file: &'f mut dyn WriteFile, plan: &Plan) -> Target<'f> {
        let options = &plan.options;
        match plan.script {
            None => Target::Snapshot(Writer::begin(file, options)),
            Some(form) => Target::Script(ScriptWriter::begin(file, options, form)),
        }
    }

    #[inline]
    fn entry(&mut self, entry: EntryRef<'_>) {
        match self {
            Target::Snapshot(writer) => writer.entry(entry),
            Target::Script(writer) => writer.entry(entry),
        }
    }

    fn encoded(&mut self, entry: &EncodedEntry) -> io::Result<()> {
        let written = match self {
            Target::Snapshot(writer) => {
                let encoder = writer.begin_entry(entry.code, &entry.key, entry.deadline, entry.access);
                transcode(entry.code, &entry.value, encoder)
            }
            Target::Script(writer) => writer.encoded(entry.code, &entry.key, &entry.value, entry.deadline),
        };
        written.map_err(io::Error::other)
    }

    fn has_failed(&self) -> bool {
        match self {
            Target::Snapshot(writer) => writer.has_failed(),
            Target::Script(writer) => writer.has_failed(),
        }
    }

    fn finish(self) -> io::Result<u64> {
        match self {
            Target::Snapshot(writer) => writer.finish(),
            Target::Script(writer) => writer.finish(),
        }
    }
}

/// A collection that must wait until another is written.
struct Waiting {
    entry: Box<EncodedEntry>,
    elements: Vec<(u32, Vec<u8>)>,
    has_ended: bool,
}

/// Writes what it is told.
struct Scribe<'f> {
    target: Target<'f>,
    /// The current collection as far as it has come, where it can only be written as a whole.
    gathered: Option<Box<EncodedEntry>>,
    /// Those that were not named yet.
    sizes: Vec<DbSizes>,
    key_delay: Duration,
    shared: &'f Shared,
    /// The database that the file is at.
    db: Option<u32>,
    /// The collection whose elements are being written, and its type.
    current: Option<(u64, u8)>,
    /// The part of it that is due, and those that came too early.
    next_part: u32,
    early_parts: BTreeMap<u32, Vec<u8>>,
    /// Others that have begun, in their order.
    waiting: BTreeMap<u64, Waiting>,
    /// Chunks that came meanwhile.
    put_off: VecDeque<Chunk>,
    /// Nothing but the rest of collections comes.
    is_last: bool,
    /// Bytes since the last rest.
    unrested_bytes: usize,
}

impl Scribe<'_> {
    fn is_done(&self) -> bool {
        self.is_last && self.current.is_none() && self.waiting.is_empty()
    }

    fn hear(&mut self, news: News) -> io::Result<()> {
        match news {
            News::Chunk(chunk) => {
                self.shared.queued_bytes.fetch_sub(chunk.bytes(), Ordering::Relaxed);
                self.is_last |= chunk.last;
                match self.current {
                    Some(_) => self.put_off.push_back(chunk),
                    None => self.chunk(chunk)?,
                }
            }
            News::Begun(number, entry) => {
                self.waiting.insert(number, Waiting { entry, elements: Vec::new(), has_ended: false });
                if self.current.is_none() {
                    self.next_collection()?;
                }
            }
            News::Elements(number, ordinal, elements) => {
                self.shared.queued_bytes.fetch_sub(elements.len(), Ordering::Relaxed);
                match (self.current, self.waiting.get_mut(&number)) {
                    (Some((current, code)), _) if current == number => self.part(code, ordinal, elements)?,
                    (_, Some(waiting)) => waiting.elements.push((ordinal, elements)),
                    (_, None) => {}
                }
            }
            News::Ended(number) => {
                if let Some(waiting) = self.waiting.get_mut(&number) {
                    waiting.has_ended = true;
                } else if self.current.is_some_and(|(current, _)| current == number) {
                    self.collection_written()?;
                    self.next_collection()?;
                }
            }
        }
        Ok(())
    }

    /// The collection is whole: what had to wait for it is written.
    fn collection_written(&mut self) -> io::Result<()> {
        self.current = None;
        if let Some(entry) = self.gathered.take() {
            self.target.encoded(&entry)?;
        }
        self.key_written(0)?;
        while let Some(chunk) = self.put_off.pop_front() {
            self.chunk(chunk)?;
        }
        Ok(())
    }

    /// The collections that have begun, until one is not whole yet.
    fn next_collection(&mut self) -> io::Result<()> {
        while self.current.is_none() {
            let Some((number, Waiting { entry, elements, has_ended })) = self.waiting.pop_first() else { break };
            self.database(entry.db);
            let code = entry.code;
            self.current = Some((number, code));
            match &mut self.target {
                Target::Snapshot(writer) => {
                    let encoder = writer.begin_entry(code, &entry.key, entry.deadline, entry.access);
                    encoder.sink.put(&entry.value);
                }
                Target::Script(_) => self.gathered = Some(entry),
            }
            (self.next_part, self.early_parts) = (1, BTreeMap::new());
            elements.into_iter().try_for_each(|(ordinal, elements)| self.part(code, ordinal, elements))?;
            if has_ended {
                self.collection_written()?;
            }
        }
        Ok(())
    }

    /// A part of the current collection, once it is due.
    fn part(&mut self, code: u8, ordinal: u32, raw: Vec<u8>) -> io::Result<()> {
        if ordinal == 0 {
            return self.elements(code, 0, &raw);
        }
        self.early_parts.insert(ordinal, raw);
        while let Some(raw) = self.early_parts.remove(&self.next_part) {
            self.elements(code, self.next_part, &raw)?;
            self.next_part += 1;
        }
        Ok(())
    }

    fn elements(&mut self, code: u8, ordinal: u32, raw: &[u8]) -> io::Result<()> {
        match &mut self.target {
            Target::Snapshot(writer) => {
                transcode_part(code, ordinal, raw, writer.encoder()).map_err(io::Error::other)?;
            }
            Target::Script(_) => self.gathered.iter_mut().for_each(|entry| entry.value.extend_from_slice(raw)),
        }
        self.rest_after(raw.len());
        Ok(())
    }

    fn chunk(&mut self, chunk: Chunk) -> io::Result<()> {
        let mut records = chunk.log.iter();
        let record_bytes = chunk.log.bytes() / chunk.log.len().max(1);
        for part in &chunk.parts {
            match part {
                Part::Db(index) => self.database(*index),
                Part::Records(count) => {
                    for record in records.by_ref().take(*count) {
                        self.target.entry(record);
                        self.key_written(record_bytes)?;
                    }
                }
                Part::Shared(entry) => {
                    self.target.entry(entry.view());
                    self.key_written(REST_EVERY_BYTES)?;
                }
                Part::Encoded(entry) => {
                    self.target.encoded(entry)?;
                    self.key_written(entry.value.len())?;
                }
            }
        }
        Ok(())
    }

    /// So many bytes were written.
    fn rest_after(&mut self, bytes: usize) {
        self.unrested_bytes += bytes;
        if self.unrested_bytes >= REST_EVERY_BYTES {
            self.unrested_bytes = 0;
            std::thread::sleep(REST);
        }
    }

    /// What follows is of this database.
    fn database(&mut self, index: u32) {
        if self.db.replace(index) == Some(index) {
            return;
        }
        let writer = match &mut self.target {
            Target::Snapshot(writer) => writer,
            Target::Script(writer) => return writer.select(index),
        };
        match self.sizes.iter().position(|sizes| sizes.index == index) {
            Some(at) => {
                let sizes = self.sizes.swap_remove(at);
                writer.database(index, sizes.keys, sizes.expires);
            }
            None => writer.select(index),
        }
    }

    /// A key was written, after so many bytes that were not counted yet.
    fn key_written(&mut self, bytes: usize) -> io::Result<()> {
        self.rest_after(bytes);
        self.shared.keys.fetch_add(1, Ordering::Relaxed);
        pause(self.key_delay, &|| self.shared.given_up.load(Ordering::Relaxed))
    }
}

/// Waits for as long as `rdb-key-save-delay` says, unless the save is given up meanwhile.
///
/// # Errors
/// That it is given up.
pub fn pause(delay: Duration, is_given_up: &dyn Fn() -> bool) -> io::Result<()> {
    let mut left = delay;
    loop {
        if is_given_up() {
            return Err(given_up());
        }
        if left.is_zero() {
            return Ok(());
        }
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        left -= nap;
    }
}

/// The name of the snapshot's file.
pub fn target(name: &Path) -> PathBuf {
    // Whole, for the process may change its folder while the thread writes.
    std::path::absolute(name).unwrap_or_else(|_| name.to_owned())
}
