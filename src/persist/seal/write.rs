//! Writes a sealed file. Knows no format of what is inside.
//!
//! A snapshot's first record is held back until the file is whole, for what stands there is only known then (an RDB file's
//! version); its place is filled with zeros meanwhile. So each record is sealed once.

use super::{CHUNK_BYTES, Cipher, HEADER_BYTES, Keyring, LAST, MORE, PART_BYTES, RECORD_EXTRA_BYTES};
use crate::persist::storage::{SyncFile, WriteFile};
use crate::persist::vault::FileKind;
use std::io;

/// Sealed bytes that are collected before they are written.
const FLUSH_BYTES: usize = 1 << 20;

/// A sealed file being written.
pub struct SealedWriter {
    file: Box<dyn WriteFile>,
    cipher: Cipher,
    kind: FileKind,
    /// The next record's.
    number: u64,
    /// What was given and belongs to the next record.
    held: Vec<u8>,
    /// The first record's content, while its place is only reserved.
    first: Option<Vec<u8>>,
    /// Sealed, not written.
    out: Vec<u8>,
    /// Nothing may follow.
    is_finished: bool,
    /// A write failed: how far it got is not known.
    has_failed: bool,
}

impl SealedWriter {
    /// Begins a file that has nothing in it yet.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(mut file: Box<dyn WriteFile>, keys: &Keyring, kind: FileKind) -> io::Result<SealedWriter> {
        let (header, cipher) = keys.begin(kind)?;
        file.append(&header)?;
        Ok(SealedWriter {
            file,
            cipher,
            kind,
            number: 0,
            held: Vec::new(),
            first: None,
            out: Vec::new(),
            is_finished: false,
            has_failed: false,
        })
    }

    fn batch(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut parts = bytes.chunks(PART_BYTES).peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_some() { MORE } else { 0 };
            self.record(flags, part)?;
        }
        self.flush()
    }

    fn chunks(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.held.len() == CHUNK_BYTES {
                self.full_chunk()?;
            }
            // What certainly has others behind it need not be held.
            if self.held.is_empty() && self.number > 0 && bytes.len() > CHUNK_BYTES {
                let (now, later) = bytes.split_at(CHUNK_BYTES);
                self.record(0, now)?;
                bytes = later;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - self.held.len()));
            self.held.extend_from_slice(now);
            bytes = later;
        }
        if self.out.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// A chunk that is full, and has others behind it.
    fn full_chunk(&mut self) -> io::Result<()> {
        if self.number == 0 {
            self.first = Some(std::mem::replace(&mut self.held, Vec::with_capacity(CHUNK_BYTES)));
            self.out.resize(self.out.len() + CHUNK_BYTES + RECORD_EXTRA_BYTES, 0);
            self.number = 1;
            return Ok(());
        }
        let mut held = std::mem::take(&mut self.held);
        let sealed = self.record(0, &held);
        held.clear();
        self.held = held;
        sealed
    }

    fn record(&mut self, flags: u32, content: &[u8]) -> io::Result<()> {
        let number = self.number;
        // Even if it fails: a number is never used again.
        self.number = number.checked_add(1).ok_or_else(|| io::Error::other("a sealed file is full"))?;
        self.cipher.seal(number, flags, content, &mut self.out)?;
        if self.out.len() >= FLUSH_BYTES + PART_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = if self.out.is_empty() { Ok(()) } else { self.file.append(&self.out) };
        self.out.clear();
        written
    }

    fn end(&mut self) -> io::Result<()> {
        let held = std::mem::take(&mut self.held);
        self.record(LAST, &held)?;
        self.flush()?;
        let Some(first) = self.first.take() else { return Ok(()) };
        self.cipher.seal(0, 0, &first, &mut self.out)?;
        let written = self.file.overwrite(HEADER_BYTES as u64, &self.out);
        self.out.clear();
        written
    }

    /// Does `act`, unless something failed before: nobody knows then where the file ends.
    fn guard(&mut self, act: impl FnOnce(&mut Self) -> io::Result<()>) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("an earlier write to this sealed file failed"));
        }
        let done = act(self);
        self.has_failed = done.is_err();
        done
    }
}

impl WriteFile for SealedWriter {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_finished {
            return Err(io::Error::other("this sealed file is finished"));
        }
        self.guard(|file| match file.kind {
            FileKind::Log => file.batch(bytes),
            FileKind::Snapshot | FileKind::Manifest | FileKind::Users => file.chunks(bytes),
        })
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let held = if self.number == 0 { Some(&mut self.held) } else { self.first.as_mut() };
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let place = held.and_then(|held| held.get_mut(from..from.checked_add(bytes.len())?));
        place.ok_or_else(|| io::Error::other("this part of the file is sealed already"))?.copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.is_finished, true) {
            return Ok(());
        }
        self.guard(Self::end)
    }

    fn sync(&mut self) -> io::Result<()> {
        match self.kind {
            // They are small, written at once, and synced when they are whole.
            FileKind::Manifest | FileKind::Users => self.finish()?,
            FileKind::Snapshot | FileKind::Log => self.guard(Self::flush)?,
        }
        self.file.sync()
    }

    fn syncer(&self) -> io::Result<Box<dyn SyncFile>> {
        // What is held back is no part of what was written; a log holds nothing back.
        self.file.syncer()
    }
}
