//! Reads a sealed file. Gives no byte that was not found to be what was sealed.

use super::{CHUNK_BYTES, Cipher, HEAD_BYTES, HEADER_BYTES, Keyring, LAST, LENGTH, MAGIC, MORE, RECORD_EXTRA_BYTES};
use super::{SealFault, TAG_BYTES, is_begun, is_sealed};
use crate::persist::storage::ReadFile;
use crate::persist::vault::FileKind;
use std::io::{self, BufReader, Read};
use subtle::ConstantTimeEq;

/// Bytes asked of the file at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// Most bytes that room is made for before any of them has come.
const TRUST_BYTES: u64 = 1 << 20;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// Bytes that a file system writes at once.
const PAGE_BYTES: u64 = 4096;
/// Bytes at a log's end that may not have been synced when the power went.
const WINDOW_BYTES: u64 = 64 << 20;

/// The content of a sealed file.
pub struct SealedReader {
    file: BufReader<Box<dyn Read + Send>>,
    cipher: Cipher,
    kind: FileKind,
    /// Its length.
    file_len: u64,
    /// The next record's.
    number: u64,
    /// Where it begins in the file.
    offset: u64,
    /// Where the batch begins that it goes on with.
    batch: Option<u64>,
    /// Content of the last record, and how much of it was given out.
    content: Vec<u8>,
    at: usize,
    is_ended: bool,
    fault: Option<SealFault>,
}

/// What a file turned out to be.
pub enum Opened {
    /// Not sealed; nothing of it is lost.
    Clear(ReadFile),
    /// Sealed, and whether that was with the current key.
    Sealed(ReadFile, bool),
}

/// Looks at a file's beginning and opens it, if it is sealed.
///
/// # Errors
/// The system's, or what is wrong with the seal.
pub fn open(file: ReadFile, keys: Option<&Keyring>, kind: FileKind) -> io::Result<Opened> {
    let ReadFile { mut bytes, len } = file;
    let mut header = [0; HEADER_BYTES];
    let got = read_up_to(&mut bytes, &mut header)?;
    let is_log = kind == FileKind::Log;
    if is_log && is_begun(&header[..got]) {
        return Err(SealFault::Torn { offset: 0 }.into());
    }
    if !is_sealed(&header[..got]) {
        let first = io::Cursor::new(header).take(got as u64);
        return Ok(Opened::Clear(ReadFile { bytes: Box::new(first.chain(bytes)), len }));
    }
    if got < HEADER_BYTES {
        let is_torn = is_log && header.starts_with(&MAGIC);
        return Err(if is_torn { SealFault::Torn { offset: 0 } } else { SealFault::CutOff { offset: 0 } }.into());
    }
    let keys = keys.ok_or(SealFault::NoKey)?;
    let (cipher, is_current) = keys.cipher_of(&header, kind)?;
    let reader = SealedReader {
        file: BufReader::with_capacity(BUFFER_BYTES, bytes),
        cipher,
        kind,
        file_len: len,
        number: 0,
        offset: HEADER_BYTES as u64,
        batch: None,
        content: Vec::new(),
        at: 0,
        is_ended: false,
        fault: None,
    };
    Ok(Opened::Sealed(ReadFile { bytes: Box::new(reader), len: content_len(len, kind) }, is_current))
}

/// How long the content is, as far as the file's length tells.
fn content_len(len: u64, kind: FileKind) -> u64 {
    let body = len.saturating_sub(HEADER_BYTES as u64);
    if kind == FileKind::Log {
        return body;
    }
    let records = body.div_ceil((CHUNK_BYTES + RECORD_EXTRA_BYTES) as u64);
    body.saturating_sub(records * RECORD_EXTRA_BYTES as u64)
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// How many zeros these bytes end in.
fn zeros_behind(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

/// Whether some page, as far as it holds these bytes, is nothing but zeros. Sealed bytes never are.
fn has_zero_page(offset: u64, bytes: &[u8]) -> bool {
    let (first, rest) = bytes.split_at(bytes.len().min((PAGE_BYTES - offset % PAGE_BYTES) as usize));
    let is_zero = |page: &[u8]| !page.is_empty() && page.iter().all(|byte| *byte == 0);
    is_zero(first) || rest.chunks(PAGE_BYTES as usize).any(is_zero)
}

impl SealedReader {
    fn damaged(&self) -> SealFault {
        SealFault::Damaged { offset: self.offset }
    }

    /// The file ends where it should not.
    fn cut_off(&self) -> SealFault {
        match self.kind {
            FileKind::Log => SealFault::Torn { offset: self.batch.unwrap_or(self.offset) },
            _ => SealFault::CutOff { offset: self.offset },
        }
    }

    /// A record that is not what was sealed; it was read up to `read_to`, and the last `zeros` bytes of that are zeros. In a log,
    /// one that is nothing but zeros from the start of some sector up to the file's end never reached the disk whole. Nor did one
    /// with a page of zeros (`has_hole`), near the file's end: pages are written in any order, and what follows was not synced.
    fn misfit(&mut self, read_to: u64, zeros: usize, has_hole: bool) -> io::Result<SealFault> {
        if self.kind == FileKind::Log && has_hole && self.file_len.saturating_sub(self.offset) <= WINDOW_BYTES {
            return Ok(self.cut_off());
        }
        let mut end = read_to;
        let mut rest = [0; 4096];
        while self.kind == FileKind::Log && zeros > 0 {
            match read_up_to(&mut self.file, &mut rest)? {
                0 if read_to - zeros as u64 <= (end - 1) / SECTOR_BYTES * SECTOR_BYTES => return Ok(self.cut_off()),
                n if n > 0 && rest[..n].iter().all(|byte| *byte == 0) => end += n as u64,
                _ => break,
            }
        }
        Ok(self.damaged())
    }

    /// A record whose head is not what was written: how long it is nobody knows.
    fn head_misfit(&mut self, head: &[u8]) -> io::Result<SealFault> {
        let mut bytes = head.to_vec();
        let head_end = self.offset + head.len() as u64;
        self.file.by_ref().take(head_end.next_multiple_of(PAGE_BYTES) - head_end).read_to_end(&mut bytes)?;
        let has_hole = has_zero_page(self.offset, &bytes);
        self.misfit(self.offset + bytes.len() as u64, zeros_behind(&bytes), has_hole)
    }

    /// Reads the next record; false at the end.
    fn next_record(&mut self) -> io::Result<bool> {
        let mut head = [0; HEAD_BYTES];
        let got = read_up_to(&mut self.file, &mut head)?;
        match got {
            0 if self.is_ended || (self.kind == FileKind::Log && self.batch.is_none()) => return Ok(false),
            _ if self.is_ended => return Err(self.damaged().into()),
            HEAD_BYTES => {}
            _ => return Err(self.cut_off().into()),
        }
        let (word, sum) = head.split_first_chunk().expect("a head begins with a word");
        let word = u32::from_le_bytes(*word);
        if !bool::from(self.cipher.head_sum(self.number, word).ct_eq(sum)) {
            return Err(self.head_misfit(&head)?.into());
        }
        let len = u64::from(word & LENGTH) + TAG_BYTES as u64;
        let mut record = std::mem::take(&mut self.content);
        record.clear();
        record.reserve(len.min(TRUST_BYTES) as usize);
        self.file.by_ref().take(len).read_to_end(&mut record)?;
        if record.len() as u64 != len {
            return Err(self.cut_off().into());
        }
        let zeros = zeros_behind(&record);
        let has_hole = self.kind == FileKind::Log && has_zero_page(self.offset + HEAD_BYTES as u64, &record);
        if !self.cipher.open(self.number, word, &mut record) {
            return Err(self.misfit(self.offset + HEAD_BYTES as u64 + len, zeros, has_hole)?.into());
        }
        let begun = self.batch.unwrap_or(self.offset);
        self.batch = (word & MORE != 0).then_some(begun);
        self.is_ended = word & LAST != 0;
        self.content = record;
        self.at = 0;
        self.number += 1;
        self.offset += HEAD_BYTES as u64 + len;
        Ok(true)
    }
}

impl Read for SealedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.at == self.content.len() {
            if let Some(fault) = self.fault {
                return Err(fault.into());
            }
            match self.next_record() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) => {
                    self.fault = super::fault_of(&error);
                    self.content.clear();
                    self.at = 0;
                    return Err(error);
                }
            }
        }
        let rest = &self.content[self.at..];
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }
}

/// Reads arbitrary bytes as a sealed file of each kind, without and with the right header before them: no input may panic, and
/// nothing that was not sealed comes out.
pub fn fuzz_sealed(data: &[u8]) {
    use super::Key;
    let keys = Keyring::new(Key::new([7; 32]), None, b"");
    for kind in [FileKind::Snapshot, FileKind::Log, FileKind::Manifest, FileKind::Users] {
        let Ok((header, _)) = keys.begin(kind) else { return };
        for file in [data.to_vec(), [header.as_slice(), data].concat()] {
            let len = file.len() as u64;
            let opened = open(ReadFile { bytes: Box::new(io::Cursor::new(file)), len }, Some(&keys), kind);
            let Ok(Opened::Sealed(mut content, _)) = opened else { continue };
            let mut out = Vec::new();
            drop(content.bytes.read_to_end(&mut out));
            assert!(out.is_empty(), "bytes that nobody sealed");
        }
    }
}
