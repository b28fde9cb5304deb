//! A snapshot that is written while commands go on: the loop hands copies of entries to a thread, which encodes, compresses,
//! sums up and writes them. Knows the cut's sink and the disk; no command.
//!
//! ```text
//! loop    cut -> Feed -> chunk of copies (256 KiB) -> channel -> thread: Writer -> temp file -> sync, rename, sync folder
//!                  ^ full at 8 MiB on the way: the walk waits, entries about to change do not
//! ```
//!
//! A small entry is copied as it lies in memory, a long string is shared, a large collection is encoded without compression.
//! Invariant: under the target's name stands a whole file at every moment; a snapshot that ends early leaves none behind.

use super::rdb::{Encoder, SaveOptions, Writer, code_of, transcode};
use super::storage::Replacement;
use super::vault::{FileKind, Vault};
use crate::ds::record::RecordLog;
use crate::keyspace::cut;
use crate::sys::alloc;
use crate::types::{Big, Entry, EntryRef};
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
/// Bytes of an element of a large collection, about.
const PART_ELEMENT_BYTES: usize = 48;
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

/// A large collection, encoded but not compressed.
struct EncodedEntry {
    key: Box<[u8]>,
    deadline: Option<i64>,
    access: u32,
    code: u8,
    value: Vec<u8>,
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
    to_writer: Sender<Chunk>,
    shared: Arc<Shared>,
    chunk: Chunk,
    db: Option<u32>,
    /// A large collection that comes in parts.
    part: Option<Encoder<Vec<u8>>>,
}

impl Feed {
    #[cold]
    fn hand_over(&mut self) {
        let next = Chunk { log: RecordLog::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8), ..Chunk::default() };
        let chunk = std::mem::replace(&mut self.chunk, next);
        self.shared.queued_bytes.fetch_add(chunk.bytes(), Ordering::Relaxed);
        // A writer that is gone has left its reason behind; it is found when the result is asked for.
        drop(self.to_writer.send(chunk));
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
        self.encoded(entry, encoder.sink);
    }

    fn encoded(&mut self, entry: EntryRef<'_>, value: Vec<u8>) {
        let encoded = EncodedEntry {
            key: entry.key().into(),
            deadline: entry.deadline(),
            access: entry.lru(),
            code: code_of(entry),
            value,
        };
        self.chunk.extra_bytes += encoded.key.len() + encoded.value.len();
        self.chunk.parts.push(Part::Encoded(Box::new(encoded)));
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

    fn entry_part(&mut self, db: u32, entry: EntryRef<'_>, from: u64) -> Option<u64> {
        let mut encoder = self.part.take().unwrap_or_else(|| {
            // Room that is not used costs nothing, moving what is there does.
            let bytes = entry.big().map_or(0, Big::free_effort).saturating_mul(PART_ELEMENT_BYTES);
            Encoder::new(Vec::with_capacity(bytes), false)
        });
        let next = encoder.value_part(entry, from);
        if next.is_some() {
            self.part = Some(encoder);
            return next;
        }
        self.select(db);
        self.encoded(entry, encoder.sink);
        self.hand_over();
        None
    }

    fn forget_parts(&mut self) {
        self.part = None;
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
}

/// A snapshot that is being written.
pub struct Snapshot {
    shared: Arc<Shared>,
}

impl Snapshot {
    /// Starts the writer; what is given to the sink goes into the file.
    ///
    /// # Errors
    /// The system's, if no thread can be had.
    pub fn begin(plan: Plan, vault: Vault) -> io::Result<(Snapshot, Box<dyn cut::Sink>)> {
        let (to_writer, chunks) = channel();
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        std::thread::Builder::new().name("snapshot".into()).spawn(move || {
            let _metered = alloc::register_thread();
            let result = write(&plan, &vault, &chunks, &mine);
            *mine.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        })?;
        let feed = Feed { to_writer, shared: Arc::clone(&shared), chunk: Chunk::default(), db: None, part: None };
        Ok((Snapshot { shared }, Box::new(feed)))
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

fn write(plan: &Plan, vault: &Vault, chunks: &Receiver<Chunk>, shared: &Shared) -> io::Result<u64> {
    let mut replacement = Replacement::begin(vault, FileKind::Snapshot, &plan.path, &plan.temporary_name)?;
    let mut scribe = Scribe {
        writer: Writer::begin(replacement.file(), &plan.options),
        sizes: plan.sizes.clone(),
        key_delay: plan.key_delay,
        shared,
    };
    loop {
        // Without a sender the cut was abandoned.
        let chunk = chunks.recv().map_err(|_| given_up())?;
        let (bytes, last) = (chunk.bytes(), chunk.last);
        let written = scribe.chunk(chunk);
        shared.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        written?;
        if scribe.writer.has_failed() || last {
            break;
        }
    }
    let len = scribe.writer.finish()?;
    if shared.given_up.load(Ordering::Relaxed) {
        return Err(given_up());
    }
    replacement.commit()?;
    Ok(len)
}

/// Writes chunks.
struct Scribe<'f> {
    writer: Writer<'f>,
    /// Those that were not named yet.
    sizes: Vec<DbSizes>,
    key_delay: Duration,
    shared: &'f Shared,
}

impl Scribe<'_> {
    fn chunk(&mut self, chunk: Chunk) -> io::Result<()> {
        let mut records = chunk.log.iter();
        for part in &chunk.parts {
            match part {
                Part::Db(index) => self.database(*index),
                Part::Records(count) => {
                    for record in records.by_ref().take(*count) {
                        self.writer.entry(record);
                        self.key_written()?;
                    }
                }
                Part::Shared(entry) => {
                    self.writer.entry(entry.view());
                    self.key_written()?;
                }
                Part::Encoded(entry) => {
                    let encoder = self.writer.begin_entry(entry.code, &entry.key, entry.deadline, entry.access);
                    transcode(entry.code, &entry.value, encoder).map_err(io::Error::other)?;
                    self.key_written()?;
                }
            }
        }
        Ok(())
    }

    fn database(&mut self, index: u32) {
        match self.sizes.iter().position(|sizes| sizes.index == index) {
            Some(at) => {
                let sizes = self.sizes.swap_remove(at);
                self.writer.database(index, sizes.keys, sizes.expires);
            }
            None => self.writer.select(index),
        }
    }

    fn key_written(&mut self) -> io::Result<()> {
        self.shared.keys.fetch_add(1, Ordering::Relaxed);
        let mut left = self.key_delay;
        loop {
            if self.shared.given_up.load(Ordering::Relaxed) {
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
}

/// The name of the snapshot's file.
pub fn target(name: &Path) -> PathBuf {
    // Whole, for the process may change its folder while the thread writes.
    std::path::absolute(name).unwrap_or_else(|_| name.to_owned())
}
