//! The append-only log becomes data: its commands run through the same batches as those of clients, as one client that nobody
//! sees. Nothing expires and nothing is evicted meanwhile: the log says what went.
//!
//! ```text
//! part -> (snapshot) -> pieces of 1 MiB -> Scanner -> runs of whole commands -> run_batches
//! ```
//!
//! Invariant: a transaction takes effect whole or not at all; what is cut off a torn end is kept beside the file.

use super::Server;
use crate::base::clock::Now;
use crate::base::crc::Crc64;
use crate::command::adopt_libraries;
use crate::config::Config;
use crate::net::Input;
use crate::persist::aof::scan::{Crc64Prefix, is_one_batch};
use crate::persist::aof::torn::torn_from;
use crate::persist::aof::{FindFault, Found, Manifest, Part, PartKind, Place, ScanFault, Scanner, Tail};
use crate::persist::rdb::{self, LoadOptions};
use crate::persist::seal::{self, SealFault};
use crate::persist::storage::{ReadFile, WriteFile};
use crate::persist::vault::FileKind;
use crate::session::{ConnId, Session, mode};
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::time::Instant;

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;
/// How a snapshot begins.
const SIGNATURE: &[u8] = b"REDIS";

/// Why the log can't be made data.
#[derive(Debug)]
pub enum ReplayFault {
    /// It is not known what it consists of.
    Find(FindFault),
    /// A part can't be read.
    Open(String, io::Error),
    /// The snapshot that a part begins with is no good.
    Snapshot(String, rdb::Fault),
    /// The end of a part is missing, and that is not to be put up with.
    Truncated(String, u64),
    /// A part is damaged.
    Damaged(String, ScanFault),
    /// A command that this server does not know.
    Unknown(String, String),
    /// A part is shorter than the list says.
    Short(String, u64, u64),
    /// A library of functions can't be loaded.
    Library(String),
    /// A file can't be cut or kept.
    Cut(String, io::Error),
    /// Pages of a part are missing from an offset on, and what follows has been run: it is read once more, up to there.
    Again(Hole),
}

/// Where pages of an increment are missing that were never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The increment's number.
    seq: u64,
    /// The end of what counts of it.
    offset: u64,
}

impl fmt::Display for ReplayFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplayFault::Find(fault) => fault.fmt(f),
            ReplayFault::Open(file, error) => {
                write!(f, "Fatal error: can't open the append log file {file} for reading: {error}")
            }
            ReplayFault::Snapshot(file, fault) => {
                write!(f, "Error reading the RDB preamble of the AOF file {file}, AOF loading aborted: {fault}")
            }
            ReplayFault::Truncated(file, offset) => write!(
                f,
                "Unexpected end of file reading the append only file {file}: its last whole command ends at offset {offset}. \
                 Make a backup of it, then either run redis-check-aof --fix on the manifest, or set aof-load-truncated yes \
                 and start again."
            ),
            ReplayFault::Damaged(file, fault) => write!(
                f,
                "Bad file format reading the append only file {file}: {fault}. Make a backup of it, then look at it with \
                 redis-check-aof; --fix cuts it off there."
            ),
            ReplayFault::Unknown(file, name) => {
                write!(f, "Unknown command '{name}' reading the append only file {file}")
            }
            ReplayFault::Short(file, len, wanted) => {
                write!(f, "The append only file {file} has {len} bytes; the manifest says {wanted}")
            }
            ReplayFault::Library(why) => write!(f, "A library of functions can't be loaded: {why}"),
            ReplayFault::Cut(file, error) => write!(f, "Error truncating the AOF file {file}: {error}"),
            ReplayFault::Again(hole) => write!(f, "The log's increment {} is torn at {}", hole.seq, hole.offset),
        }
    }
}

/// What came of a replay.
#[derive(Default)]
pub(super) struct Replayed {
    /// The last increment's end.
    pub tail: Option<Tail>,
    /// Bytes of all parts.
    pub bytes: u64,
    /// Bytes of the base.
    pub base_bytes: u64,
    /// The log went on behind the time that was wanted.
    pub stopped: bool,
    /// Parts whose end was torn, and how much of them counts.
    pub cut: Vec<(String, u64)>,
}

/// What came of a part.
struct PartRead {
    tail: Tail,
    stopped: bool,
    was_torn: bool,
}

/// How a part ended.
enum End {
    Whole,
    /// In the middle of a command or a transaction.
    Torn,
    /// Before its end: what follows is not wanted.
    Stopped,
}

/// How a log is read.
#[derive(Clone, Copy)]
pub(super) struct ReplayOptions {
    /// Whether a torn end is cut off.
    pub cut_torn: bool,
    /// The last second that is wanted.
    pub until_secs: Option<u64>,
    /// Where a first attempt found that pages are missing.
    pub hole: Option<Hole>,
}

impl ReplayOptions {
    pub(super) fn of(config: &Config) -> ReplayOptions {
        ReplayOptions { cut_torn: config.aof_load_truncated, until_secs: None, hole: None }
    }
}

impl Server {
    /// Runs all parts of the log into the databases, which are empty.
    pub(super) fn replay(
        &mut self,
        place: &Place,
        manifest: &Manifest,
        options: ReplayOptions,
        now: Now,
    ) -> Result<Replayed, ReplayFault> {
        let begun = Instant::now();
        let conn = ConnId(self.sessions.places());
        let mut session = Session::new(0, conn, now);
        session.mode |= mode::REPLAYS | mode::LOOPBACK;
        session.peer = "log".into();
        self.sessions.insert(session);
        let (wanted, propagate) = (self.effects.wanted, self.keyspace.book.propagate);
        let active_expire = self.keyspace.book.active_expire;
        self.effects.wanted = false;
        self.keyspace.book.propagate = false;
        self.keyspace.book.active_expire = false;
        let mut read = self.replay_parts(conn, place, manifest, options, now);
        if let Err(ReplayFault::Again(hole)) = read {
            self.keyspace.flush(None, false);
            self.scripts.flush_libraries();
            self.stats.persistence.libraries.clear();
            if let Some(session) = self.sessions.get_mut(conn) {
                (session.multi, session.db) = (None, crate::keyspace::DbIndex(0));
            }
            read = self.replay_parts(conn, place, manifest, ReplayOptions { hole: Some(hole), ..options }, now);
        }
        self.keyspace.book.active_expire = active_expire;
        self.effects.wanted = wanted;
        self.keyspace.book.propagate = propagate;
        if let Some(session) = self.sessions.remove(conn) {
            self.forget_listener(&session);
        }
        self.outputs.retain(|output| *output != conn);
        self.closes.retain(|closed| *closed != conn);
        self.keyspace.book.dirty = 0;
        let read = read?;
        log::info!("DB loaded from append only file: {:.3} seconds", begun.elapsed().as_secs_f64());
        Ok(read)
    }

    fn replay_parts(
        &mut self,
        conn: ConnId,
        place: &Place,
        manifest: &Manifest,
        options: ReplayOptions,
        now: Now,
    ) -> Result<Replayed, ReplayFault> {
        let mut replayed = Replayed::default();
        let parts: Vec<&Part> = manifest.parts().collect();
        for (nth, part) in parts.iter().enumerate() {
            let begun = Instant::now();
            // A part that was begun and never written may follow one whose end is torn.
            let is_last = parts[nth + 1..].iter().all(|later| is_empty(place, later));
            let read = self.replay_part(
                conn,
                place,
                part,
                ReplayOptions { cut_torn: options.cut_torn && is_last, ..options },
                now,
            )?;
            let form = if part.kind == PartKind::Base { "base" } else { "incr" };
            log::info!("DB loaded from {form} file {}: {:.3} seconds", part.name, begun.elapsed().as_secs_f64());
            replayed.bytes += read.tail.len;
            if read.was_torn {
                replayed.cut.push((part.name.clone(), read.tail.len));
            }
            if part.kind == PartKind::Base {
                replayed.base_bytes = read.tail.len;
            }
            replayed.tail = (part.kind == PartKind::Increment).then_some(read.tail);
            // A transaction does not go over the end of a part.
            if let Some(session) = self.sessions.get_mut(conn) {
                session.multi = None;
                session.db = crate::keyspace::DbIndex(0);
            }
            if read.stopped {
                replayed.stopped = true;
                break;
            }
        }
        Ok(replayed)
    }

    fn replay_part(
        &mut self,
        conn: ConnId,
        place: &Place,
        part: &Part,
        options: ReplayOptions,
        now: Now,
    ) -> Result<PartRead, ReplayFault> {
        let opened = match open(place, part) {
            Err(ReplayFault::Open(_, error)) if is_torn(&error) && options.cut_torn => {
                log::warn!("AOF {} has not even a beginning: it counts as empty", part.name);
                return Ok(PartRead { tail: Tail::default(), stopped: false, was_torn: true });
            }
            opened => opened,
        };
        let read_fault = |error| ReplayFault::Open(part.name.clone(), error);
        let mut file = opened?;
        let mut first = Vec::new();
        match file.bytes.by_ref().take(SIGNATURE.len() as u64).read_to_end(&mut first) {
            // The first batch of a sealed part: the replay finds the same again.
            Err(error) if !is_torn(&error) => return Err(read_fault(error)),
            _ => {}
        }
        let is_snapshot = first == SIGNATURE;
        let mut rest = ReadFile { bytes: Box::new(io::Cursor::new(first).chain(file.bytes)), len: file.len };
        let mut prefix = Crc64Prefix::default();
        if is_snapshot {
            let loaded = self.load_preamble(rest, part, now)?;
            rest = open(place, part)?;
            prefix = skip(&mut rest, loaded).map_err(read_fault)?;
        }
        let hole = options.hole.filter(|hole| part.kind == PartKind::Increment && hole.seq == part.seq);
        if let Some(len) = part.len.or(hole.map(|hole| hole.offset)) {
            rest.bytes = Box::new(rest.bytes.take(len.saturating_sub(prefix.1)));
        }
        let mut scanner = Scanner::new(&prefix, options.until_secs);
        let mut end = self.replay_commands(conn, part, &mut rest, &mut scanner, is_snapshot, now);
        if hole.is_some() {
            end = end.map(|_| End::Torn);
        } else if options.cut_torn
            && !scanner.sums_each()
            && matches!(end, Ok(End::Torn) | Err(ReplayFault::Damaged(..)))
        {
            end = look_for_hole(place, part, &prefix, &scanner, end);
        }
        let end = end?;
        let valid = scanner.valid_up_to();
        if let Some(len) = part.len.filter(|len| valid < *len) {
            return Err(ReplayFault::Short(part.name.clone(), valid, len));
        }
        match end {
            End::Whole => {
                let ((len, crc), says_each) = (scanner.end(), scanner.sums_each());
                Ok(PartRead { tail: Tail { len, crc, says_each }, stopped: false, was_torn: false })
            }
            End::Torn => self.cut_torn(place, part, &scanner, options),
            End::Stopped => {
                Ok(PartRead { tail: Tail { len: valid, ..Tail::default() }, stopped: true, was_torn: false })
            }
        }
    }

    /// The snapshot that a part is or begins with: its length.
    fn load_preamble(&mut self, file: ReadFile, part: &Part, now: Now) -> Result<u64, ReplayFault> {
        if part.name.ends_with(".rdb") {
            log::info!("Reading RDB base file on AOF loading...");
        } else {
            log::info!("Reading RDB preamble from AOF file...");
        }
        // What has expired stays till the log says that it goes.
        let checksum = self.config.rdbchecksum;
        let options = LoadOptions { now: now.of_replay(), checksum, deep: !checksum, merge: false };
        let loaded = rdb::load(&mut self.keyspace, file, options)
            .map_err(|fault| ReplayFault::Snapshot(part.name.clone(), fault))?;
        self.stats.persistence.load_keys = loaded.keys;
        adopt_libraries(&mut self.scripts, &mut self.stats, &loaded.libraries, true)
            .map_err(|error| ReplayFault::Library(error.to_string()))?;
        Ok(loaded.bytes)
    }

    fn replay_commands(
        &mut self,
        conn: ConnId,
        part: &Part,
        file: &mut ReadFile,
        scanner: &mut Scanner,
        mut has_preamble: bool,
        now: Now,
    ) -> Result<End, ReplayFault> {
        let mut bytes: Vec<u8> = Vec::with_capacity(2 * PIECE_BYTES);
        let mut piece = PIECE_BYTES as u64;
        loop {
            let read = file.bytes.by_ref().take(piece).read_to_end(&mut bytes);
            let (read, is_torn) = match read {
                Ok(read) => (read, false),
                Err(error) if is_torn(&error) => (0, true),
                Err(error) => return Err(ReplayFault::Open(part.name.clone(), error)),
            };
            if read > 0 && std::mem::take(&mut has_preamble) {
                log::info!("Reading the remaining AOF tail...");
            }
            let begin = scanner.offset();
            let looked = scanner.look(&bytes);
            self.run_piece(conn, part, &bytes, &scanner.runs, now)?;
            let taken = match looked {
                Ok((_, Found::TooLate)) => return Ok(End::Stopped),
                Ok((taken, Found::More)) => taken,
                Err(fault) => {
                    let behind = |offset: u64| bytes.get(offset.saturating_sub(begin) as usize..).unwrap_or_default();
                    let is_torn = if scanner.sums_each() {
                        is_one_batch(behind(scanner.offset()).chain(&mut file.bytes), scanner.offset())
                            .map_err(|error| ReplayFault::Open(part.name.clone(), error))?
                    } else {
                        is_zero_to_end(behind(fault.offset), &mut file.bytes)
                    };
                    if is_torn {
                        return Ok(End::Torn);
                    }
                    return Err(ReplayFault::Damaged(part.name.clone(), fault));
                }
            };
            bytes.drain(..taken);
            if read == 0 {
                let is_whole = bytes.is_empty() && !scanner.in_multi() && !is_torn;
                return Ok(if is_whole { End::Whole } else { End::Torn });
            }
            // A long word is not looked at again for each of its pieces.
            piece = (bytes.len() as u64).max(PIECE_BYTES as u64);
        }
    }

    fn run_piece(
        &mut self,
        conn: ConnId,
        part: &Part,
        bytes: &[u8],
        runs: &[Range<usize>],
        now: Now,
    ) -> Result<(), ReplayFault> {
        let faults = self.stats.totals.error_replies;
        for run in runs {
            let input = Input { conn, shared: Some(run.clone()), len: run.len() };
            self.run_batches(&[input], &bytes[..run.end], now.of_replay());
        }
        self.after_piece(conn, part, self.stats.totals.error_replies > faults)
    }

    /// Replies are for nobody; but one of them may say that the log needs another server.
    fn after_piece(&mut self, conn: ConnId, part: &Part, has_faults: bool) -> Result<(), ReplayFault> {
        let Some(session) = self.sessions.get_mut(conn) else { return Ok(()) };
        session.queued_for_write = false;
        let replies = if has_faults { session.outbox.to_vec() } else { Vec::new() };
        session.outbox.clear();
        self.outputs.clear();
        const UNKNOWN: &[u8] = b"-ERR unknown command '";
        let Some(at) = memchr::memmem::find(&replies, UNKNOWN) else {
            if has_faults {
                let at = replies.iter().position(|byte| *byte == b'-').unwrap_or(0);
                let line = replies[at..].split(|byte| *byte == b'\r').next().unwrap_or_default();
                log::warn!("A command of {} failed: {}", part.name, String::from_utf8_lossy(line));
            }
            return Ok(());
        };
        let name = replies[at + UNKNOWN.len()..].split(|byte| *byte == b'\'').next().unwrap_or_default();
        Err(ReplayFault::Unknown(part.name.clone(), String::from_utf8_lossy(name).into_owned()))
    }

    /// The end of a part is torn: it is cut off, if that may be, and kept.
    fn cut_torn(
        &mut self,
        place: &Place,
        part: &Part,
        scanner: &Scanner,
        options: ReplayOptions,
    ) -> Result<PartRead, ReplayFault> {
        let valid = scanner.valid_up_to();
        if scanner.in_multi() {
            log::info!("Revert incomplete MULTI/EXEC transaction in AOF file {}", part.name);
        }
        if !options.cut_torn {
            return Err(ReplayFault::Truncated(part.name.clone(), valid));
        }
        log::warn!("!!! Warning: short read while loading the AOF file {}!!!", part.name);
        log::warn!("!!! Truncating the AOF {} at offset {valid} !!!", part.name);
        let crc = keep_cut(place, part, valid).map_err(|error| ReplayFault::Cut(part.name.clone(), error))?;
        log::warn!(
            "AOF {} loaded anyway because aof-load-truncated is enabled; what was cut off is kept beside it",
            part.name
        );
        Ok(PartRead { tail: Tail { len: valid, crc, says_each: scanner.sums_each() }, stopped: false, was_torn: true })
    }
}

/// The end of a part is torn or damaged: perhaps because pages were never written.
fn look_for_hole(
    place: &Place,
    part: &Part,
    prefix: &Crc64Prefix,
    scanner: &Scanner,
    end: Result<End, ReplayFault>,
) -> Result<End, ReplayFault> {
    let found = torn_from(place, part, prefix).map_err(|error| ReplayFault::Open(part.name.clone(), error))?;
    match found {
        None => end,
        Some(offset) if offset == scanner.valid_up_to() => Ok(End::Torn),
        Some(offset) => {
            log::warn!(
                "Pages of the AOF {} behind offset {offset} were never written: it is read once more",
                part.name
            );
            Err(ReplayFault::Again(Hole { seq: part.seq, offset }))
        }
    }
}

fn is_empty(place: &Place, part: &Part) -> bool {
    part.len == Some(0) || open(place, part).is_ok_and(|file| file.len == 0)
}

fn open(place: &Place, part: &Part) -> Result<ReadFile, ReplayFault> {
    let kind = if part.name.ends_with(".rdb") { FileKind::Snapshot } else { FileKind::Log };
    let opened = place.vault.open(&place.path(&part.name), kind);
    let file = opened.and_then(|file| file.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT)));
    file.map_err(|error| ReplayFault::Open(part.name.clone(), error))
}

/// Whether all that is left is zeros: blocks that were given to a file and never written before the power went.
fn is_zero_to_end(bytes: &[u8], rest: &mut dyn Read) -> bool {
    let mut more = vec![0; PIECE_BYTES];
    let mut is_zero = !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0);
    while is_zero {
        match rest.read(&mut more) {
            Ok(0) => break,
            Ok(n) => is_zero = more[..n].iter().all(|byte| *byte == 0),
            Err(_) => is_zero = false,
        }
    }
    is_zero
}

/// Reads so many bytes: their checksum.
fn skip(file: &mut ReadFile, len: u64) -> io::Result<Crc64Prefix> {
    let mut crc = Crc64::default();
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = len;
    while left > 0 {
        let most = left.min(PIECE_BYTES as u64) as usize;
        file.bytes.read_exact(&mut piece[..most])?;
        crc.update(&piece[..most]);
        left -= most as u64;
    }
    Ok(Crc64Prefix(crc, len))
}

/// Copies what stands behind `valid` to a file beside it, and cuts it off; the checksum of what stays.
fn keep_cut(place: &Place, part: &Part, valid: u64) -> io::Result<Crc64> {
    let kind = FileKind::Log;
    let path = place.path(&part.name);
    let mut file = place.vault.open(&path, kind)?.ok_or(io::ErrorKind::NotFound)?;
    let Crc64Prefix(crc, _) = skip(&mut file, valid)?;
    if !place.may_reopen(&part.name) {
        // The list of parts will say how much of it counts.
        return Ok(crc);
    }
    let mut kept = place.vault.create(&place.path(&format!("{}.cut-off", part.name)), kind)?;
    let mut piece = Vec::new();
    while file.bytes.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)? > 0 {
        kept.append(&piece)?;
        piece.clear();
    }
    WriteFile::sync(kept.as_mut())?;
    drop(place.vault.storage().reopen(&path, valid)?);
    Ok(crc)
}

/// Whether a sealed file ends in the middle of a batch.
fn is_torn(error: &io::Error) -> bool {
    matches!(seal::fault_of(error), Some(SealFault::Torn { .. }))
}
