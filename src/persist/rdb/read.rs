//! Reads RDB files: one thread reads, checks and decodes, the owner of the databases puts the entries in. Knows databases; the
//! file is only bytes to it. What the bytes mean is drawn in `write.rs`; besides those, read are
//!
//! ```text
//! FD unix-seconds u32     an expiry of versions 1 and 2
//! F4 slot keys expires    the size of a cluster slot: skipped
//! F7 module ...           what a module kept beside the keys: skipped
//! ```

use super::decode::{Decode, decode_value};
use super::input::{Fault, Input, Reader};
use super::{NEWEST_VERSION, opcode};
use crate::base::clock::{self, Now};
use crate::base::crc::Crc64;
use crate::base::hash::Hasher;
use crate::keyspace::{DbIndex, Keyspace, Touch};
use crate::persist::storage::ReadFile;
use crate::sys::alloc;
use crate::types::{Entry, Limits};
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Bytes asked of the file at once.
const CHUNK_BYTES: usize = 256 * 1024;
/// Most bytes that room is made for before any of them has come.
const TRUST_BYTES: usize = 1 << 20;
/// Entries handed over at once.
const BATCH: usize = 256;
/// Batches that may wait to be put in.
const BATCHES: usize = 16;
/// From this size on a thread is worth its start, bytes.
const THREAD_FROM_BYTES: u64 = 1 << 20;
/// An entry is not shorter in a file.
const MIN_ENTRY_BYTES: u64 = 4;
/// Entries that are fetched ahead: another processor has just made them.
const FETCHED: usize = 8;
/// Longest key, bytes: what a request may bear.
const MAX_KEY_BYTES: usize = 512 << 20;

/// How a file is read.
#[derive(Debug, Clone, Copy)]
pub struct LoadOptions {
    /// The moment: keys whose time has come by then are left out.
    pub now: Now,
    /// Whether the file's checksum counts.
    pub checksum: bool,
    /// Whether packed values are searched for what is there twice.
    pub deep: bool,
    /// Whether keys that are there already are replaced; else they are an error.
    pub merge: bool,
}

/// What came out of a file.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Keys that are in the databases now.
    pub keys: u64,
    /// Keys that were left out because their time had come.
    pub expired: u64,
    /// Collections of nothing that were left out.
    pub empty: u64,
    /// Libraries of functions, as they stand in the file.
    pub libraries: Vec<Box<[u8]>>,
    /// The file's version.
    pub version: u16,
    /// The fields that say something about the file, as text, with the offsets behind them.
    pub aux: Vec<(u64, String, String)>,
    /// Keys with a deadline, those left out among them.
    pub expires: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// Bytes of a file as they come.
pub struct FileInput {
    bytes: Box<dyn Read + Send>,
    buf: Vec<u8>,
    at: usize,
    /// Offset in the file of the buffer's first byte.
    base: u64,
    crc: Option<Crc64>,
    /// Up to where in the buffer the checksum goes.
    summed: usize,
}

impl FileInput {
    /// From the file's beginning.
    pub fn new(bytes: Box<dyn Read + Send>, checksum: bool) -> Self {
        let crc = checksum.then(Crc64::default);
        FileInput { bytes, buf: Vec::with_capacity(CHUNK_BYTES), at: 0, base: 0, crc, summed: 0 }
    }

    /// The checksum of all bytes that were taken; `None` if nobody wants it.
    fn sum(&mut self) -> Option<u64> {
        let crc = self.crc.as_mut()?;
        crc.update(&self.buf[self.summed..self.at]);
        self.summed = self.at;
        Some(crc.value())
    }

    /// Whether no byte is left.
    fn is_at_end(&mut self) -> Result<bool, Fault> {
        match self.take(1) {
            Ok(_) => Ok(false),
            Err(Fault::Truncated { .. }) => Ok(true),
            Err(fault) => Err(fault),
        }
    }

    #[cold]
    fn fill(&mut self, n: usize) -> Result<(), Fault> {
        self.sum();
        self.buf.drain(..self.at);
        self.base += self.at as u64;
        (self.at, self.summed) = (0, 0);
        while self.buf.len() < n {
            // A length may be a lie: room is made as bytes come.
            let wanted = n.max(CHUNK_BYTES).min(self.buf.len() + TRUST_BYTES.max(self.buf.len()));
            let more = (wanted - self.buf.len()) as u64;
            match self.bytes.by_ref().take(more).read_to_end(&mut self.buf) {
                Ok(0) => return Err(Fault::Truncated { offset: self.base + self.buf.len() as u64 }),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Fault::Io(error)),
            }
        }
        Ok(())
    }
}

impl Input for FileInput {
    fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    #[inline]
    fn take(&mut self, n: usize) -> Result<&[u8], Fault> {
        if self.buf.len() - self.at < n {
            self.fill(n)?;
        }
        let taken = &self.buf[self.at..self.at + n];
        self.at += n;
        Ok(taken)
    }
}

/// Entries of one database, with the hashes of their keys.
struct Batch {
    db: u32,
    entries: Vec<(u64, Entry)>,
    /// How far the file was read.
    offset: u64,
    /// Before the first of a database: how many keys it will have, as the file says.
    expected: u64,
}

/// What stands before a key.
#[derive(Default)]
struct Prefix {
    deadline: Option<i64>,
    idle_secs: Option<u64>,
    frequency: Option<u8>,
}

/// Reads a file's parts in order.
struct Parser<I> {
    reader: Reader<I>,
    options: LoadOptions,
    limits: Limits,
    hasher: Hasher,
    touch: Touch,
    databases: u32,
    loaded: Loaded,
    read_keys: u64,
    /// Room for the key that is being read.
    key: Vec<u8>,
    batch: Batch,
}

impl<I: Input> Parser<I> {
    fn corrupt(&self, what: &'static str) -> Fault {
        self.reader.corrupt(what)
    }

    #[cold]
    fn unsupported(&self, what: String) -> Fault {
        Fault::Unsupported { offset: self.reader.input.offset(), what }
    }

    fn header(&mut self) -> Result<(), Fault> {
        let header: [u8; 9] = self.reader.array()?;
        let digits = header.strip_prefix(b"REDIS").ok_or(Fault::Corrupt { offset: 0, what: WRONG_SIGNATURE })?;
        let version = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse::<u16>().ok());
        match version {
            Some(version @ 1..=NEWEST_VERSION) => self.loaded.version = version,
            _ => {
                let shown = String::from_utf8_lossy(digits).into_owned();
                return Err(self.unsupported(format!("Can't handle RDB format version {shown}")));
            }
        }
        Ok(())
    }

    /// Everything up to the end mark. `full`: takes a batch; what it says ends the reading.
    fn parts(&mut self, full: &mut dyn FnMut(Batch) -> Result<(), Fault>) -> Result<(), Fault> {
        self.header()?;
        let mut prefix = Prefix::default();
        loop {
            match self.reader.byte()? {
                opcode::EOF => break,
                opcode::EXPIRE_MS => prefix.deadline = Some(i64::from_le_bytes(self.reader.array()?)),
                opcode::EXPIRE_SECS => {
                    prefix.deadline = Some(i64::from(i32::from_le_bytes(self.reader.array()?)) * 1000);
                }
                opcode::IDLE => prefix.idle_secs = Some(self.reader.length()?),
                opcode::FREQ => prefix.frequency = Some(self.reader.byte()?),
                opcode::SELECT_DB => {
                    self.hand_over(full)?;
                    let index = self.reader.length()?;
                    let found = u32::try_from(index).ok().filter(|index| *index < self.databases);
                    self.batch.db = found.ok_or_else(|| {
                        self.unsupported(format!("a key of database {index}, more databases than are configured"))
                    })?;
                }
                opcode::RESIZE_DB => {
                    self.batch.expected = self.reader.length()?;
                    self.reader.length()?;
                }
                opcode::SLOT_INFO => {
                    for _ in 0..3 {
                        self.reader.length()?;
                    }
                }
                opcode::AUX => self.aux()?,
                opcode::FUNCTION2 => {
                    let library = self.reader.owned_string()?;
                    self.loaded.libraries.push(library.into_boxed_slice());
                }
                opcode::FUNCTION_PRE_GA => {
                    return Err(self.unsupported("a function in the form of a preview of Redis 7.0".to_owned()));
                }
                opcode::MODULE_AUX => self.module_aux()?,
                code => {
                    self.entry(code, std::mem::take(&mut prefix))?;
                    if self.batch.entries.len() >= BATCH {
                        self.hand_over(full)?;
                    }
                }
            }
        }
        self.hand_over(full)
    }

    fn hand_over(&mut self, full: &mut dyn FnMut(Batch) -> Result<(), Fault>) -> Result<(), Fault> {
        let next = Batch { db: self.batch.db, entries: Vec::with_capacity(BATCH), offset: 0, expected: 0 };
        let mut batch = std::mem::replace(&mut self.batch, next);
        batch.offset = self.reader.input.offset();
        if batch.entries.is_empty() {
            self.batch.expected = batch.expected;
            return Ok(());
        }
        full(batch)
    }

    fn aux(&mut self) -> Result<(), Fault> {
        let name = String::from_utf8_lossy(self.reader.string()?).into_owned();
        let value = String::from_utf8_lossy(self.reader.string()?).into_owned();
        self.loaded.aux.push((self.reader.input.offset(), name, value));
        Ok(())
    }

    /// Values of known forms up to an end mark.
    fn module_aux(&mut self) -> Result<(), Fault> {
        let module = self.reader.length()?;
        log::warn!("The data of a module in the RDB file are left out: this server has no modules (id {module:#x})");
        for _ in 0..2 {
            self.reader.length()?;
        }
        loop {
            match self.reader.length()? {
                0 => return Ok(()),
                1 | 2 => drop(self.reader.length()?),
                3 => drop(self.reader.array::<4>()?),
                4 => drop(self.reader.array::<8>()?),
                5 => drop(self.reader.string()?.len()),
                _ => return Err(self.corrupt("module data of no known form")),
            }
        }
    }

    fn access(&self, prefix: &Prefix) -> u32 {
        let now = self.options.now;
        match (self.touch, prefix.idle_secs, prefix.frequency) {
            (Touch::Lfu { .. }, _, frequency) => {
                clock::lfu_pack(clock::lfu_minutes(now), frequency.unwrap_or(clock::LFU_INIT))
            }
            (Touch::Lru, Some(secs), _) => clock::lru_pack_idle(i64::try_from(secs).unwrap_or(i64::MAX), now),
            (Touch::Lru, None, _) => clock::lru_pack(now, false),
        }
    }

    fn entry(&mut self, code: u8, prefix: Prefix) -> Result<(), Fault> {
        self.read_keys += 1;
        let mut key = std::mem::take(&mut self.key);
        self.reader.string_into(&mut key)?;
        let read = self.entry_of(&key, code, prefix);
        self.key = key;
        read
    }

    fn entry_of(&mut self, key: &[u8], code: u8, prefix: Prefix) -> Result<(), Fault> {
        if key.len() > MAX_KEY_BYTES {
            return Err(self.corrupt("a key too long"));
        }
        let how = Decode { limits: &self.limits, deep: self.options.deep, access: self.access(&prefix) };
        let mut entry = match decode_value(&mut self.reader, code, key, &how) {
            Ok(entry) => entry,
            Err(Fault::Empty) => {
                self.loaded.empty += 1;
                if self.loaded.empty <= 10 {
                    log::info!("RDB file: skipping empty key: {}", String::from_utf8_lossy(key));
                }
                return Ok(());
            }
            Err(fault) => {
                // Here and not only at the end: this is the place that knows which of the keys it is.
                log::warn!("Key number {} of the RDB file, type {code}: {fault}", self.read_keys);
                return Err(fault);
            }
        };
        if let Some(deadline) = prefix.deadline {
            self.loaded.expires += 1;
            if deadline <= self.options.now.unix_ms.0 {
                self.loaded.expired += 1;
                return Ok(());
            }
            entry.set_deadline(Some(deadline));
        }
        self.batch.entries.push((self.hasher.hash(key), entry));
        Ok(())
    }
}

const WRONG_SIGNATURE: &str = "Wrong signature trying to load DB from file: it does not begin with REDIS";
const WRONG_SUM: &str = "Wrong RDB checksum (RDB CRC error): the file was changed or damaged";
const TWICE: &str = "a key that is there twice (RDB has duplicated key)";

impl Parser<FileInput> {
    /// A whole file with its checksum.
    fn file(mut self, full: &mut dyn FnMut(Batch) -> Result<(), Fault>) -> Result<Loaded, Fault> {
        self.parts(full)?;
        if self.loaded.version >= 5 {
            let expected = self.reader.input.sum();
            let stored = u64::from_le_bytes(self.reader.array()?);
            if stored == 0 && expected.is_some() {
                log::info!("The RDB file was saved with checksum disabled: no check performed.");
            } else if expected.is_some_and(|expected| expected != stored) {
                return Err(self.corrupt(WRONG_SUM));
            }
        }
        if self.loaded.version < 5 && !self.reader.input.is_at_end()? {
            return Err(self.corrupt("bytes behind the end of a file of an old version"));
        }
        self.loaded.bytes = self.reader.input.offset();
        Ok(self.loaded)
    }
}

/// Reads a whole file and keeps nothing of it: whether it is good.
///
/// # Errors
/// What is wrong with the file.
pub fn check(file: ReadFile, now: Now) -> Result<Loaded, Fault> {
    let hasher = Hasher::seeded([0; 4]);
    let parser = Parser {
        reader: Reader::new(FileInput::new(file.bytes, true)),
        options: LoadOptions { now, checksum: true, deep: true, merge: true },
        limits: Limits::new(hasher),
        hasher,
        touch: Touch::Lru,
        databases: u32::MAX,
        loaded: Loaded::default(),
        read_keys: 0,
        key: Vec::new(),
        batch: Batch { db: 0, entries: Vec::new(), offset: 0, expected: 0 },
    };
    let mut keys = 0;
    let loaded = parser.file(&mut |batch| {
        keys += batch.entries.len() as u64;
        Ok(())
    })?;
    Ok(Loaded { keys, ..loaded })
}

/// How far a step of a load may go.
#[derive(Debug, Clone, Copy)]
pub struct LoadBudget {
    /// Time after which it ends.
    pub time: Duration,
    /// Bytes of the file after which it ends.
    pub bytes: u64,
    /// How long it waits for bytes to come.
    pub wait: Duration,
    /// Pause after each key, for tests of slow loads.
    pub key_delay: KeyDelay,
}

impl LoadBudget {
    /// No bound: a step is the whole load.
    pub const ALL: LoadBudget =
        LoadBudget { time: Duration::MAX, bytes: u64::MAX, wait: Duration::from_secs(1), key_delay: KeyDelay::NONE };
}

/// A pause after keys: microseconds after each, or, if negative, one microsecond after so many.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyDelay(pub i32);

impl KeyDelay {
    /// No pause.
    pub const NONE: KeyDelay = KeyDelay(0);

    /// The pause after this many keys.
    pub fn after(self, keys: u64) -> Duration {
        let due = self.0 > 0 || (self.0 < 0 && keys % u64::from(self.0.unsigned_abs()) == 0);
        Duration::from_micros(if due { u64::try_from(self.0).unwrap_or(1) } else { 0 })
    }
}

/// A file on its way into the databases: a thread reads, checks and decodes, some batches ahead of the owner, who puts the
/// entries in, step by step. Dropped, it ends.
pub struct Loader {
    options: LoadOptions,
    batches: Receiver<Batch>,
    thread: Option<JoinHandle<Result<Loaded, Fault>>>,
    /// The batch that is being put in.
    db: DbIndex,
    entries: std::vec::IntoIter<(u64, Entry)>,
    offset: u64,
    keys: u64,
    /// Keys that can be in the file, at most.
    keys_max: u64,
}

impl Loader {
    /// Begins to read.
    ///
    /// # Errors
    /// The system's, if no thread can be had.
    pub fn begin(space: &Keyspace, file: ReadFile, options: LoadOptions) -> io::Result<Loader> {
        let keys_max = file.len / MIN_ENTRY_BYTES;
        let parser = parser(space, file, options);
        let (to_owner, batches): (SyncSender<Batch>, Receiver<Batch>) = sync_channel(BATCHES);
        let thread = std::thread::Builder::new().name("rdb-reader".into()).spawn(move || {
            let _metered = alloc::register_thread();
            // Who receives no more has given the load up.
            parser.file(&mut |batch| to_owner.send(batch).map_err(|_| Fault::Empty))
        })?;
        let entries = Vec::new().into_iter();
        let db = DbIndex(0);
        Ok(Loader { options, batches, thread: Some(thread), db, entries, offset: 0, keys: 0, keys_max })
    }

    /// Puts entries in for a while; what came out of the file once that was all.
    ///
    /// # Errors
    /// What is wrong with the file; the databases hold what was read before that.
    pub fn step(&mut self, space: &mut Keyspace, budget: LoadBudget) -> Result<Option<Loaded>, Fault> {
        let (begun, from) = (Instant::now(), self.offset);
        loop {
            if self.entries.as_slice().is_empty() {
                match self.batches.recv_timeout(budget.wait) {
                    Ok(batch) => {
                        self.offset = batch.offset;
                        self.db = DbIndex(batch.db);
                        let hashes = batch.entries.iter().map(|(hash, _)| *hash);
                        let mut view = space.view(self.db, self.options.now);
                        if batch.expected > 0 {
                            view.expect(usize::try_from(batch.expected.min(self.keys_max)).unwrap_or(0));
                        }
                        view.prefetch(hashes);
                        self.entries = batch.entries.into_iter();
                    }
                    Err(RecvTimeoutError::Timeout) => return Ok(None),
                    Err(RecvTimeoutError::Disconnected) => return self.end(space).map(Some),
                }
            }
            self.settle(space, budget, begun)?;
            if begun.elapsed() >= budget.time || self.offset - from >= budget.bytes {
                return Ok(None);
            }
        }
    }

    /// How far the file was read, bytes of its content.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Keys that are in the databases.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    fn end(&mut self, space: &mut Keyspace) -> Result<Loaded, Fault> {
        for index in 0..space.dbs.len() {
            space.view(DbIndex(index as u32), self.options.now).expect(0);
        }
        let thread = self.thread.take().expect("a load ends once");
        let loaded = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Loaded { keys: self.keys, ..loaded })
    }

    /// Puts the batch in, or a part of it.
    fn settle(&mut self, space: &mut Keyspace, budget: LoadBudget, begun: Instant) -> Result<(), Fault> {
        let mut view = space.view(self.db, self.options.now);
        self.entries.as_slice().iter().take(FETCHED).for_each(|(_, entry)| entry.prefetch());
        while let Some((hash, entry)) = self.entries.next() {
            if let Some((_, ahead)) = self.entries.as_slice().get(FETCHED - 1) {
                ahead.prefetch();
            }
            if !view.settle(hash, entry, self.options.merge) {
                return Err(Fault::Corrupt { offset: self.offset, what: TWICE });
            }
            self.keys += 1;
            let pause = budget.key_delay.after(self.keys);
            if !pause.is_zero() {
                std::thread::sleep(pause);
                if begun.elapsed() >= budget.time {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn parser(space: &Keyspace, file: ReadFile, options: LoadOptions) -> Parser<FileInput> {
    Parser {
        reader: Reader::new(FileInput::new(file.bytes, options.checksum)),
        options,
        limits: space.book.limits,
        hasher: space.hasher(),
        touch: space.book.touch,
        databases: u32::try_from(space.dbs.len()).unwrap_or(u32::MAX),
        loaded: Loaded::default(),
        read_keys: 0,
        key: Vec::new(),
        batch: Batch { db: 0, entries: Vec::new(), offset: 0, expected: 0 },
    }
}

/// Reads a whole file into databases.
///
/// # Errors
/// What is wrong with the file; the databases hold what was read before that.
pub fn load(space: &mut Keyspace, file: ReadFile, options: LoadOptions) -> Result<Loaded, Fault> {
    if file.len < THREAD_FROM_BYTES {
        let mut keys = 0;
        let loaded = parser(space, file, options).file(&mut |batch| {
            let mut view = space.view(DbIndex(batch.db), options.now);
            keys += batch.entries.len() as u64;
            let is_new = batch.entries.into_iter().all(|(hash, entry)| view.settle(hash, entry, options.merge));
            if is_new { Ok(()) } else { Err(Fault::Corrupt { offset: batch.offset, what: TWICE }) }
        })?;
        return Ok(Loaded { keys, ..loaded });
    }
    let mut loader = Loader::begin(space, file, options)?;
    loop {
        if let Some(loaded) = loader.step(space, LoadBudget::ALL)? {
            return Ok(loaded);
        }
    }
}

/// Reads arbitrary bytes as a file, with no checksum to protect from them, and once more behind a header that is right.
pub fn fuzz_file(data: &[u8]) {
    use crate::base::rng::Rng;
    let headed = [b"REDIS0011", data].concat();
    for bytes in [data.to_vec(), headed] {
        let mut space = Keyspace::new(4, Hasher::seeded([1, 2, 3, 4]), Rng::seeded(1));
        let file = ReadFile { len: bytes.len() as u64, bytes: Box::new(io::Cursor::new(bytes)) };
        let options = LoadOptions { now: Now::at_unix_ms(1_000_000), checksum: false, deep: true, merge: true };
        if let Ok(loaded) = load(&mut space, file, options) {
            assert!(loaded.bytes <= data.len() as u64 + 9, "more was read than there is");
        }
    }
}
