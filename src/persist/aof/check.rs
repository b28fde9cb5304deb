//! What is wrong with the files of a log: for the tool, which knows no configuration. Knows no server.

use super::manifest::{Manifest, ManifestFault};
use super::scan::{Crc64Prefix, Found, ScanFault, Scanner};
use crate::base::clock::Now;
use crate::base::crc::Crc64;
use crate::persist::rdb;
use crate::persist::seal::{self, SealFault};
use crate::persist::storage::ReadFile;
use crate::persist::vault::{FileKind, Vault};
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
    /// It is sealed.
    pub is_sealed: bool,
    /// Of a sealed file: where it must be cut off to be good.
    pub cut_at: Option<u64>,
}

/// Opens a file, of whatever kind it is if it is sealed.
fn open_any(vault: &Vault, path: &Path) -> io::Result<ReadFile> {
    let mut refused = None;
    for kind in [FileKind::Log, FileKind::Manifest, FileKind::Snapshot] {
        match vault.open(path, kind) {
            Err(error) if seal::fault_of(&error) == Some(SealFault::OtherKind) => refused = Some(error),
            opened => return opened?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT)),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::from_raw_os_error(libc::ENOENT)))
}

/// What kind of file this is.
///
/// # Errors
/// The system's; there is none of this name.
pub fn form_of(vault: &Vault, path: &Path) -> io::Result<Form> {
    let file = open_any(vault, path)?;
    let mut first = Vec::new();
    let mut bytes = file.bytes;
    if let Err(error) = bytes.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut first) {
        // What is wrong with a sealed log is told by who looks through it.
        return if seal::fault_of(&error).is_some() { Ok(Form::Log) } else { Err(error) };
    }
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
pub fn check(vault: &Vault, path: &Path, lines: u64, until_secs: Option<u64>, now: Now) -> io::Result<Checked> {
    let open = || open_any(vault, path);
    let mut file = open()?;
    let mut found = Checked { bytes: file.len, lines: lines.max(1), ..Checked::default() };
    found.is_sealed = vault.is_sealed(path)?;
    let mut first = Vec::new();
    if let Err(error) = file.bytes.by_ref().take(5).read_to_end(&mut first) {
        return found.with_seal_fault(error);
    }
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
    let scanned = scan(&mut file, &mut Scanner::new(&prefix, until_secs), &mut found);
    match scanned {
        Ok(()) => Ok(found),
        Err(error) => found.with_seal_fault(error),
    }
}

impl Checked {
    /// The same, if an error is about the seal: that is what is wrong with the file.
    fn with_seal_fault(mut self, error: io::Error) -> io::Result<Checked> {
        let Some(fault) = seal::fault_of(&error) else { return Err(error) };
        if let SealFault::Torn { offset } = fault {
            self.cut_at = Some(offset);
        }
        self.fault = Some(fault.to_string());
        Ok(self)
    }
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
        let before = bytes.len();
        let read = file.bytes.by_ref().take(piece).read_to_end(&mut bytes);
        if found.is_sealed {
            // The file's own length is another.
            found.bytes = scanner.offset() + bytes.len() as u64;
        }
        let (read, torn) = match read {
            Ok(read) => (read, None),
            Err(error) => (bytes.len() - before, Some(error)),
        };
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
                if let Some(error) = torn {
                    return Err(error);
                }
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
