//! Writes a sealed file. Knows no format of what is inside.
//!
//! A snapshot's first record is held back until the file is whole, for what stands there is only known then (an RDB file's
//! version); its place is filled with zeros meanwhile. So each record is sealed once. What is given is copied once, behind the
//! room for its record's head, and sealed where it stands:
//!
//! ```text
//! out   record record [head, content so far          ]     whole records are written when there are enough
//! ```

use super::{CHUNK_BYTES, Cipher, HEAD_BYTES, HEADER_BYTES, Keyring, LAST, MORE, PART_BYTES, RECORD_EXTRA_BYTES};
use crate::persist::storage::{SyncFile, WriteFile};
use crate::persist::vault::FileKind;
use std::io;

/// Sealed bytes that are collected before they are written: no more than the processor keeps close by.
const FLUSH_BYTES: usize = 256 * 1024;

/// A sealed file being written.
pub struct SealedWriter {
    file: Box<dyn WriteFile>,
    cipher: Cipher,
    kind: FileKind,
    /// The next record's.
    number: u64,
    /// Sealed and not written, and behind it the record that is open.
    out: Vec<u8>,
    /// Where that begins in `out`.
    open: Option<usize>,
    /// The first record's content, while its place is only reserved.
    first: Option<Vec<u8>>,
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
            out: Vec::new(),
            open: None,
            first: None,
            is_finished: false,
            has_failed: false,
        })
    }

    fn batch(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut parts = bytes.chunks(PART_BYTES).peekable();
        while let Some(part) = parts.next() {
            let at = self.begin_record();
            self.out.extend_from_slice(part);
            self.seal(at, if parts.peek().is_some() { MORE } else { 0 })?;
            if self.out.len() >= FLUSH_BYTES {
                self.flush()?;
            }
        }
        self.flush()
    }

    fn chunks(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let at = self.begin_record();
            let room = CHUNK_BYTES - (self.out.len() - at - HEAD_BYTES);
            if room == 0 {
                self.full_chunk(at)?;
                continue;
            }
            let (now, later) = bytes.split_at(bytes.len().min(room));
            self.out.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// The open record, or a new one: where it begins in `out`.
    fn begin_record(&mut self) -> usize {
        *self.open.get_or_insert_with(|| {
            let at = self.out.len();
            self.out.resize(at + HEAD_BYTES, 0);
            at
        })
    }

    /// The open record is full, and has others behind it.
    fn full_chunk(&mut self, at: usize) -> io::Result<()> {
        if self.number == 0 {
            self.first = Some(self.out.split_off(at + HEAD_BYTES));
            self.out.resize(at + CHUNK_BYTES + RECORD_EXTRA_BYTES, 0);
            (self.number, self.open) = (1, None);
        } else {
            self.seal(at, 0)?;
        }
        if self.out.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    /// Seals the open record, which begins at `at`.
    fn seal(&mut self, at: usize, flags: u32) -> io::Result<()> {
        let number = self.number;
        // Even if it fails: a number is never used again.
        self.number = number.checked_add(1).ok_or_else(|| io::Error::other("a sealed file is full"))?;
        self.open = None;
        self.cipher.seal(number, flags, &mut self.out, at)
    }

    /// Writes the records that are sealed.
    fn flush(&mut self) -> io::Result<()> {
        let end = self.open.unwrap_or(self.out.len());
        let written = if end == 0 { Ok(()) } else { self.file.append(&self.out[..end]) };
        self.out.drain(..end);
        self.open = self.open.map(|_| 0);
        written
    }

    fn end(&mut self) -> io::Result<()> {
        let at = self.begin_record();
        self.seal(at, LAST)?;
        self.flush()?;
        let Some(first) = self.first.take() else { return Ok(()) };
        self.out.resize(HEAD_BYTES, 0);
        self.out.extend_from_slice(&first);
        self.cipher.seal(0, 0, &mut self.out, 0)?;
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
        let held = match self.open {
            Some(at) if self.number == 0 => self.out.get_mut(at + HEAD_BYTES..),
            _ => self.first.as_deref_mut(),
        };
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
