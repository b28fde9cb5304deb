//! Writes RDB files. Knows databases and the disk.
//!
//! ```text
//! "REDIS" version(4 digits)
//! FA name value                                 aux fields
//! F5 library                                    functions
//! FE db  FB keys expires                        a database and the sizes of its tables
//!   [FC unix-ms u64 LE] [F8 idle | F9 frequency u8]  type  key  value
//! FF crc64 LE                                   0 if nothing was summed up
//! ```
//!
//! The version in the first bytes is known for sure only at the end: it is put right then, and the checksum with it.

use super::encode::{Encoder, Sink, code_of};
use super::{VERSION, opcode, version_of};
use crate::base::clock::{self, Now};
use crate::base::crc::{Crc64, crc64_joined};
use crate::base::version;
use crate::keyspace::Keyspace;
use crate::persist::storage::{Replacement, WriteFile};
use crate::persist::vault::{FileKind, Vault};
use crate::types::EntryRef;
use std::io;
use std::path::Path;

/// Bytes that are collected before they are written.
const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes after which they are brought to the disk, so that no sync has much to do: it holds the processor meanwhile.
const SYNC_BYTES: u64 = 4 << 20;
/// First bytes of a file: the word and the version.
const HEADER_BYTES: usize = 9;

/// What a file's entries say of their use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Unsaid,
    /// Seconds since the last.
    Idle,
    /// How often.
    Frequency,
}

/// How a file is written.
#[derive(Debug, Clone)]
pub struct SaveOptions {
    /// Whether long strings are compressed.
    pub compress: bool,
    /// Whether the file has a checksum.
    pub checksum: bool,
    /// Whether it goes to the disk bit by bit.
    pub incremental_sync: bool,
    /// What is said of entries' use.
    pub access: Access,
    /// The moment.
    pub now: Now,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Whether it is the base of a log.
    pub log_base: bool,
    /// Libraries of functions, as they were loaded.
    pub libraries: Vec<Box<[u8]>>,
}

/// Bytes on their way into a file; the first failure is kept and ends all writing.
pub struct FileSink<'f> {
    file: &'f mut dyn WriteFile,
    buf: Vec<u8>,
    /// Over all but the header.
    crc: Option<Crc64>,
    written: u64,
    synced: u64,
    incremental_sync: bool,
    error: Option<io::Error>,
}

impl<'f> FileSink<'f> {
    fn new(file: &'f mut dyn WriteFile, options: &SaveOptions) -> Self {
        FileSink {
            file,
            buf: Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4),
            crc: options.checksum.then(Crc64::default),
            written: 0,
            synced: 0,
            incremental_sync: options.incremental_sync,
            error: None,
        }
    }

    #[cold]
    fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.try_flush().err();
        }
        self.buf.clear();
    }

    fn try_flush(&mut self) -> io::Result<()> {
        if let Some(crc) = &mut self.crc {
            // The header's version may change yet.
            let skip = (HEADER_BYTES as u64).saturating_sub(self.written) as usize;
            crc.update(self.buf.get(skip..).unwrap_or_default());
        }
        self.file.append(&self.buf)?;
        self.written += self.buf.len() as u64;
        if self.incremental_sync && self.written - self.synced >= SYNC_BYTES {
            self.synced = self.written;
            self.file.sync()?;
        }
        Ok(())
    }
}

impl Sink for FileSink<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        if self.buf.len() >= CHUNK_BYTES {
            self.flush();
        }
    }
}

/// A file being written.
pub struct Writer<'f> {
    encoder: Encoder<FileSink<'f>>,
    access: Access,
    now: Now,
    version: u16,
}

impl<'f> Writer<'f> {
    /// Begins a file: the header and what is said about the whole.
    pub fn begin(file: &'f mut dyn WriteFile, options: &SaveOptions) -> Self {
        let encoder = Encoder::new(FileSink::new(file, options), options.compress);
        let mut writer = Writer { encoder, access: options.access, now: options.now, version: VERSION };
        writer.encoder.sink.put(&header(VERSION));
        let number = |n: i64| n.to_string().into_bytes();
        writer.aux(b"redis-ver", version::REDIS.as_bytes());
        writer.aux(b"redis-bits", &number(i64::from(usize::BITS)));
        writer.aux(b"ctime", &number(options.now.unix_secs()));
        writer.aux(b"used-mem", &number(i64::try_from(options.used_bytes).unwrap_or(i64::MAX)));
        writer.aux(b"aof-base", if options.log_base { b"1" } else { b"0" });
        for library in &options.libraries {
            writer.encoder.byte(opcode::FUNCTION2);
            writer.encoder.string(library);
        }
        writer
    }

    fn aux(&mut self, name: &[u8], value: &[u8]) {
        self.encoder.byte(opcode::AUX);
        self.encoder.string(name);
        self.encoder.string(value);
    }

    /// The entries that follow are of this database.
    pub fn select(&mut self, index: u32) {
        self.encoder.byte(opcode::SELECT_DB);
        self.encoder.length(u64::from(index));
    }

    /// The entries that follow are of this database, which has so many.
    pub fn database(&mut self, index: u32, keys: u64, expires: u64) {
        self.select(index);
        self.encoder.byte(opcode::RESIZE_DB);
        self.encoder.length(keys);
        self.encoder.length(expires);
    }

    /// A key with its value.
    #[inline]
    pub fn entry(&mut self, entry: EntryRef<'_>) {
        self.begin_entry(code_of(entry), entry.key(), entry.deadline(), entry.lru()).value(entry);
    }

    /// All of an entry but its value, which the caller writes next.
    #[inline]
    pub fn begin_entry(
        &mut self,
        code: u8,
        key: &[u8],
        deadline: Option<i64>,
        access: u32,
    ) -> &mut Encoder<FileSink<'f>> {
        if let Some(deadline) = deadline {
            self.encoder.byte(opcode::EXPIRE_MS);
            self.encoder.sink.put(&deadline.to_le_bytes());
        }
        match self.access {
            Access::Unsaid => {}
            Access::Idle => {
                self.encoder.byte(opcode::IDLE);
                self.encoder.length(u64::from(clock::lru_idle_secs(access, self.now)));
            }
            Access::Frequency => {
                let (frequency, _) = clock::lfu_unpack(access);
                self.encoder.sink.put(&[opcode::FREQ, frequency]);
            }
        }
        self.version = self.version.max(version_of(code));
        self.encoder.byte(code);
        self.encoder.string(key);
        &mut self.encoder
    }

    /// What writes the value that was begun.
    pub fn encoder(&mut self) -> &mut Encoder<FileSink<'f>> {
        &mut self.encoder
    }

    /// Whether writing has failed: what is given after that goes nowhere.
    pub fn has_failed(&self) -> bool {
        self.encoder.sink.error.is_some()
    }

    /// Ends the file; how long it is.
    ///
    /// # Errors
    /// The first failure of all that was written.
    pub fn finish(self) -> io::Result<u64> {
        let Writer { mut encoder, version, .. } = self;
        encoder.byte(opcode::EOF);
        let mut sink = encoder.sink;
        sink.flush();
        let header = header(version);
        let rest_len = sink.written.saturating_sub(HEADER_BYTES as u64);
        let sum = sink.crc.take().map_or(0, |crc| crc64_joined(&header, crc.value(), rest_len));
        sink.put(&sum.to_le_bytes());
        sink.flush();
        if let Some(error) = sink.error {
            return Err(error);
        }
        if version != VERSION {
            sink.file.overwrite(0, &header)?;
        }
        Ok(sink.written)
    }
}

fn header(version: u16) -> [u8; HEADER_BYTES] {
    let mut header = *b"REDIS0000";
    let digits = format!("{version:04}");
    header[5..].copy_from_slice(&digits.as_bytes()[..4]);
    header
}

/// Writes all databases into a file, which then takes the place of the one of that name; how long it is.
///
/// # Errors
/// The system's; the file of that name is then as it was.
pub fn save(space: &Keyspace, path: &Path, vault: &Vault, options: &SaveOptions) -> io::Result<u64> {
    save_watched(space, path, vault, options, &mut || Ok(()))
}

/// As `save`; `key_written` is asked after each key whether to go on.
///
/// # Errors
/// The system's, or what `key_written` says; the file of that name is then as it was.
pub fn save_watched(
    space: &Keyspace,
    path: &Path,
    vault: &Vault,
    options: &SaveOptions,
    key_written: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<u64> {
    let mut replacement = Replacement::begin(vault, FileKind::Snapshot, path, &temporary_name())?;
    let mut writer = Writer::begin(replacement.file(), options);
    for (index, db) in space.dbs.iter().enumerate() {
        if db.table.is_empty() {
            continue;
        }
        writer.database(index as u32, db.table.len() as u64, db.volatile as u64);
        for entry in db.table.iter() {
            writer.entry(entry);
            if writer.has_failed() {
                break;
            }
            key_written()?;
        }
    }
    let len = writer.finish()?;
    replacement.commit()?;
    Ok(len)
}

/// The name under which this process writes its next snapshot.
pub fn temporary_name() -> String {
    format!("temp-{}.rdb", std::process::id())
}
