//! What is wrong with the files of a log: for the tool, which knows no configuration. Knows no server.

use super::manifest::{Manifest, ManifestFault};
use super::scan::{Crc64Prefix, Found, ScanFault, Scanner};
use crate::base::clock::Now;
use crate::base::crc::Crc64;
use crate::persist::rdb;
use crate::persist::storage::{ReadFile, Storage};
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;

/// What a file is.
pub enum Form {
    /// A list of parts.
    Manifest(Result<Manifest, ManifestFault>),
    /// Commands, perhaps behind a snapshot.
    Log,
}

/// What was found in a file of commands.
#[derive(Debug, Default)]
pub struct Checked {
    /// Its length.
    pub bytes: u64,
    /// Up to where it is good.
    pub ok_up_to: u64,
    /// Lines up to what is wrong, or the end.
    pub lines: u64,
    /// What is wrong.
    pub fault: Option<String>,
    /// Length of the snapshot that it begins with.
    pub snapshot: Option<u64>,
    /// Where what is later than wanted begins.
    pub later_from: Option<u64>,
}

/// What kind of file this is.
///
/// # Errors
/// The system's; there is none of this name.
pub fn form_of(storage: &dyn Storage, path: &Path) -> io::Result<Form> {
    let file = storage.open(path)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
    let mut first = Vec::new();
    let mut bytes = file.bytes;
    bytes.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut first)?;
    if first.starts_with(b"file ") || path.extension().is_some_and(|extension| extension == "manifest") {
        bytes.read_to_end(&mut first)?;
        return Ok(Form::Manifest(Manifest::parse(&first)));
    }
    Ok(Form::Log)
}

/// Looks through a file of commands. `lines`: those of the files before it; `until_secs`: what is later is not wanted.
///
/// # Errors
/// The system's; there is none of this name.
pub fn check(storage: &dyn Storage, path: &Path, lines: u64, until_secs: Option<u64>, now: Now) -> io::Result<Checked> {
    let open = || storage.open(path)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT));
    let mut file = open()?;
    let mut found = Checked { bytes: file.len, lines: lines.max(1), ..Checked::default() };
    let mut first = Vec::new();
    file.bytes.by_ref().take(5).read_to_end(&mut first)?;
    let mut prefix = Crc64Prefix::default();
    if first == b"REDIS" {
        match rdb::check(open()?, now) {
            Ok(loaded) => found.snapshot = Some(loaded.bytes),
            Err(fault) => {
                found.fault = Some(fault.to_string());
                return Ok(found);
            }
        }
    }
    let mut file = open()?;
    if let Some(len) = found.snapshot {
        prefix = read_prefix(&mut file, len)?;
    }
    scan(&mut file, &mut Scanner::new(&prefix, until_secs), &mut found)?;
    Ok(found)
}

fn read_prefix(file: &mut ReadFile, len: u64) -> io::Result<Crc64Prefix> {
    let mut crc = Crc64::default();
    let mut left = file.bytes.by_ref().take(len);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match left.read(&mut piece)? {
            0 => return Ok(Crc64Prefix(crc, len)),
            n => crc.update(&piece[..n]),
        }
    }
}

fn scan(file: &mut ReadFile, scanner: &mut Scanner, found: &mut Checked) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let piece = bytes.len().max(PIECE_BYTES) as u64;
        let read = file.bytes.by_ref().take(piece).read_to_end(&mut bytes)?;
        let begin = scanner.offset();
        let looked = scanner.look(&bytes);
        found.ok_up_to = scanner.valid_up_to();
        let mut count = |end: usize| {
            found.lines += memchr::memchr_iter(b'\n', bytes.get(..end).unwrap_or_default()).count() as u64;
        };
        match looked {
            Ok((taken, Found::TooLate)) => {
                count(taken);
                found.later_from = Some(begin + taken as u64);
                return Ok(());
            }
            Ok((taken, Found::More)) => {
                let is_end = read == 0;
                count(if is_end { bytes.len() } else { taken });
                bytes.drain(..taken);
                if is_end {
                    found.fault = tail_fault(scanner, &bytes);
                    return Ok(());
                }
            }
            Err(fault) => {
                let is_checksum = fault.is_checksum();
                let ScanFault { offset, what } = fault;
                count(offset.saturating_sub(begin) as usize);
                if is_checksum {
                    // What is damaged stands somewhere before the sum.
                    found.ok_up_to = scanner.verified_up_to();
                }
                found.fault = Some(format!("0x{offset:16x}: {what}"));
                return Ok(());
            }
        }
    }
}

fn tail_fault(scanner: &Scanner, rest: &[u8]) -> Option<String> {
    let offset = scanner.offset();
    if !rest.is_empty() {
        return Some(format!("0x{offset:16x}: the last command is not whole, {} bytes of it are there", rest.len()));
    }
    scanner.in_multi().then(|| format!("0x{offset:16x}: Reached EOF before reading EXEC for MULTI"))
}
