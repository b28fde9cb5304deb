//! The append-only log becomes data: its commands run through the same batches as those of clients, as one client that nobody
//! sees. Nothing expires and nothing is evicted meanwhile: the log says what went.
//!
//! ```text
//! part -> (snapshot) -> pieces of 1 MiB -> Scanner -> runs of whole commands -> run_batches
//! ```
//!
//! At the start that is done in steps between the loop's turns, which answer LOADING meanwhile.
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
use crate::persist::rdb::{self, KeyDelay, LoadBudget, LoadOptions, Loaded, Loader};
use crate::persist::seal::{self, SealFault};
use crate::persist::storage::{ReadFile, WriteFile};
use crate::persist::vault::FileKind;
use crate::session::{ConnId, Owed, Session, mode};
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Bytes read at once,
const PIECE_BYTES: usize = 1 << 20;
/// while others are served,
const SERVED_PIECE_BYTES: usize = 64 << 10;
/// and while there is a pause after each command.
const SLOW_PIECE_BYTES: usize = 1 << 10;
/// Longest pause between two pieces.
const MOST_DELAY: Duration = Duration::from_millis(100);
/// How long a step waits for the reader of a snapshot.
const READER_PAUSE: Duration = Duration::from_millis(1);
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

impl PartRead {
    /// Not even a file's header is whole.
    fn torn_at_once() -> PartRead {
        PartRead { tail: Tail::default(), stopped: false, was_torn: true }
    }
}

impl Commands {
    /// The part's file is at the end of the snapshot that it begins with, if it does.
    fn begin(
        mut file: ReadFile,
        part: &Part,
        prefix: &Crc64Prefix,
        options: ReplayOptions,
        has_preamble: bool,
    ) -> Box<Commands> {
        let hole = options.hole.filter(|hole| part.kind == PartKind::Increment && hole.seq == part.seq);
        if let Some(len) = part.len.or(hole.map(|hole| hole.offset)) {
            file.bytes = Box::new(file.bytes.take(len.saturating_sub(prefix.1)));
        }
        let scanner = Scanner::new(prefix, options.until_secs);
        let (prefix, ends_torn) = (prefix.clone(), hole.is_some());
        Box::new(Commands { file, scanner, bytes: Vec::new(), has_preamble, prefix, ends_torn })
    }
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

/// A log that is being made data.
pub(super) struct Replay {
    place: Place,
    parts: Vec<Part>,
    options: ReplayOptions,
    begun: Instant,
    conn: ConnId,
    /// The client in whose name the commands run; it is among the others only while they do.
    session: Option<Box<Session>>,
    /// What is set otherwise meanwhile: effects wanted, propagation, active expiry.
    before: (bool, bool, bool),
    /// Index of the next part.
    next: usize,
    reading: Option<Reading>,
    replayed: Replayed,
    /// Bytes of the parts that were read.
    done_bytes: u64,
    total_bytes: u64,
}

/// A part that is being read.
struct Reading {
    part: Part,
    begun: Instant,
    cut_torn: bool,
    stage: Stage,
}

impl Reading {
    /// The end of a part is torn or damaged: perhaps because pages were never written.
    fn look_for_hole(&self, place: &Place, end: Result<End, ReplayFault>) -> Result<End, ReplayFault> {
        let Stage::Commands(commands) = &self.stage else { return end };
        let (scanner, prefix) = (&commands.scanner, &commands.prefix);
        let may_be = matches!(end, Ok(End::Torn) | Err(ReplayFault::Damaged(..)));
        if !may_be || !self.cut_torn || scanner.sums_each() {
            return end;
        }
        let part = &self.part;
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
}

/// How far it is.
enum Stage {
    /// It is a snapshot, or begins with one.
    Snapshot(Box<Loader>),
    Commands(Box<Commands>),
}

/// Commands that are being read.
struct Commands {
    file: ReadFile,
    scanner: Scanner,
    bytes: Vec<u8>,
    has_preamble: bool,
    /// What stands before them.
    prefix: Crc64Prefix,
    /// They are read up to where pages are missing.
    ends_torn: bool,
}

/// How far a step goes.
#[derive(Clone, Copy)]
pub(super) struct ReplayBudget {
    /// Time after which it ends; `None`: not before all is done.
    pub time: Option<Duration>,
    /// Pause after each command, for tests of slow loads.
    pub delay: KeyDelay,
}

impl ReplayBudget {
    /// A step is the whole replay.
    pub(super) const ALL: ReplayBudget = ReplayBudget { time: None, delay: KeyDelay::NONE };
}

impl Replay {
    /// Bytes of all parts.
    pub(super) fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Bytes that were read.
    pub(super) fn read_bytes(&self) -> u64 {
        let reading = self.reading.as_ref().map_or(0, |reading| match &reading.stage {
            Stage::Snapshot(loader) => loader.offset(),
            Stage::Commands(commands) => commands.scanner.offset(),
        });
        (self.done_bytes + reading).min(self.total_bytes)
    }

    /// Others are answered between the steps: clients that come meanwhile get lower numbers than this.
    pub(super) fn give_way(&mut self, maxclients: u32) {
        self.conn = ConnId(maxclients as usize + 1);
        if let Some(session) = &mut self.session {
            session.conn = self.conn;
        }
    }

    /// Where the log is, when all is read.
    pub(super) fn into_place(self) -> Place {
        self.place
    }
}

impl Server {
    /// Runs all parts of the log into the databases, which are empty, and waits for it.
    pub(super) fn replay(
        &mut self,
        place: &Place,
        manifest: &Manifest,
        options: ReplayOptions,
        now: Now,
    ) -> Result<Replayed, ReplayFault> {
        let mut replay = self.begin_replay(place.clone(), manifest, options, now);
        loop {
            if let Some(replayed) = self.step_replay(&mut replay, ReplayBudget::ALL, now)? {
                return Ok(replayed);
            }
        }
    }

    /// Begins to make a log data.
    pub(super) fn begin_replay(
        &mut self,
        place: Place,
        manifest: &Manifest,
        options: ReplayOptions,
        now: Now,
    ) -> Replay {
        let conn = ConnId(self.sessions.places());
        let mut session = Session::new(0, conn, now);
        session.mode |= mode::REPLAYS | mode::LOOPBACK;
        session.peer = "log".into();
        let before = (self.effects.wanted, self.keyspace.book.propagate, self.keyspace.book.active_expire);
        self.effects.wanted = false;
        self.keyspace.book.propagate = false;
        self.keyspace.book.active_expire = false;
        let parts: Vec<Part> = manifest.parts().cloned().collect();
        let len = |part: &Part| part.len.unwrap_or_else(|| open(&place, part).map_or(0, |file| file.len));
        let total_bytes = parts.iter().map(len).sum();
        Replay {
            place,
            parts,
            options,
            begun: Instant::now(),
            conn,
            session: Some(Box::new(session)),
            before,
            next: 0,
            reading: None,
            replayed: Replayed::default(),
            done_bytes: 0,
            total_bytes,
        }
    }

    /// Goes on with a replay: what came of it once that was all. After an error it is over.
    pub(super) fn step_replay(
        &mut self,
        replay: &mut Replay,
        budget: ReplayBudget,
        now: Now,
    ) -> Result<Option<Replayed>, ReplayFault> {
        let Some(mut session) = replay.session.take() else { return Ok(None) };
        if self.sessions.get_mut(replay.conn).is_some() {
            // `maxclients` has grown.
            replay.conn = ConnId(self.sessions.places());
            session.conn = replay.conn;
        }
        self.sessions.insert(*session);
        let mut stepped = self.replay_parts(replay, budget, now);
        if let Err(ReplayFault::Again(hole)) = stepped {
            if replay.options.hole.is_none() {
                self.begin_again(replay, hole);
                stepped = Ok(false);
            }
        }
        replay.session = self.sessions.remove(replay.conn);
        self.outputs.retain(|output| *output != replay.conn);
        self.closes.retain(|closed| *closed != replay.conn);
        match stepped {
            Ok(false) => Ok(None),
            done => {
                self.end_replay(replay);
                done?;
                log::info!("DB loaded from append only file: {:.3} seconds", replay.begun.elapsed().as_secs_f64());
                Ok(Some(std::mem::take(&mut replay.replayed)))
            }
        }
    }

    /// All that was run is forgotten, and the log is read from its beginning.
    fn begin_again(&mut self, replay: &mut Replay, hole: Hole) {
        self.keyspace.flush(None, false);
        self.scripts.flush_libraries();
        self.stats.persistence.libraries.clear();
        if let Some(session) = self.sessions.get_mut(replay.conn) {
            (session.multi, session.db) = (None, crate::keyspace::DbIndex(0));
        }
        replay.options.hole = Some(hole);
        (replay.next, replay.reading, replay.done_bytes) = (0, None, 0);
        replay.replayed = Replayed::default();
    }

    /// The replay is over, or given up.
    pub(super) fn end_replay(&mut self, replay: &mut Replay) {
        (self.effects.wanted, self.keyspace.book.propagate, self.keyspace.book.active_expire) = replay.before;
        if let Some(session) = replay.session.take() {
            self.forget_listener(&session);
        }
        self.keyspace.book.dirty = 0;
    }

    /// Reads on; whether that was all.
    fn replay_parts(&mut self, replay: &mut Replay, budget: ReplayBudget, now: Now) -> Result<bool, ReplayFault> {
        let begun = Instant::now();
        loop {
            if replay.reading.is_none() {
                let Some(part) = replay.parts.get(replay.next).cloned() else { return Ok(true) };
                replay.next += 1;
                // A part that was begun and never written may follow one whose end is torn.
                let is_last = replay.parts[replay.next..].iter().all(|later| is_empty(&replay.place, later));
                match self.open_part(&replay.place, part, replay.options, is_last, now)? {
                    Ok(reading) => replay.reading = Some(reading),
                    Err(part) => self.part_read(replay, &part, Instant::now(), PartRead::torn_at_once()),
                }
            } else if let Some(read) = self.step_part(replay, budget, now)? {
                if let Some(Reading { part, begun, .. }) = replay.reading.take() {
                    self.part_read(replay, &part, begun, read);
                }
            }
            if replay.replayed.stopped {
                return Ok(true);
            }
            if budget.time.is_some_and(|time| begun.elapsed() >= time) {
                return Ok(false);
            }
        }
    }

    /// A part was read to its end.
    fn part_read(&mut self, replay: &mut Replay, part: &Part, begun: Instant, read: PartRead) {
        let form = if part.kind == PartKind::Base { "base" } else { "incr" };
        log::info!("DB loaded from {form} file {}: {:.3} seconds", part.name, begun.elapsed().as_secs_f64());
        let replayed = &mut replay.replayed;
        replayed.bytes += read.tail.len;
        replay.done_bytes += read.tail.len;
        if read.was_torn {
            replayed.cut.push((part.name.clone(), read.tail.len));
        }
        if part.kind == PartKind::Base {
            replayed.base_bytes = read.tail.len;
        }
        replayed.tail = (part.kind == PartKind::Increment).then_some(read.tail);
        replayed.stopped = read.stopped;
        // A transaction does not go over the end of a part.
        if let Some(session) = self.sessions.get_mut(replay.conn) {
            session.multi = None;
            session.db = crate::keyspace::DbIndex(0);
        }
    }

    /// Begins to read a part; the part itself if it is torn so early that there is nothing to read.
    fn open_part(
        &mut self,
        place: &Place,
        part: Part,
        options: ReplayOptions,
        is_last: bool,
        now: Now,
    ) -> Result<Result<Reading, Part>, ReplayFault> {
        let cut_torn = options.cut_torn && is_last;
        let opened = match open(place, &part) {
            Err(ReplayFault::Open(_, error)) if is_torn(&error) && cut_torn => {
                log::warn!("AOF {} has not even a beginning: it counts as empty", part.name);
                return Ok(Err(part));
            }
            opened => opened,
        };
        let mut file = opened?;
        let read_fault = |error| ReplayFault::Open(part.name.clone(), error);
        let mut first = Vec::new();
        match file.bytes.by_ref().take(SIGNATURE.len() as u64).read_to_end(&mut first) {
            // The first batch of a sealed part: the replay finds the same again.
            Err(error) if !is_torn(&error) => return Err(read_fault(error)),
            _ => {}
        }
        let is_snapshot = first == SIGNATURE;
        let rest = ReadFile { bytes: Box::new(io::Cursor::new(first).chain(file.bytes)), len: file.len };
        let stage = if is_snapshot {
            let form =
                if part.name.ends_with(".rdb") { "RDB base file on AOF loading" } else { "RDB preamble from AOF file" };
            log::info!("Reading {form}...");
            // What has expired stays till the log says that it goes.
            let checksum = self.config.rdbchecksum;
            let load = LoadOptions { now: now.of_replay(), checksum, deep: !checksum, merge: false };
            Stage::Snapshot(Box::new(Loader::begin(&self.keyspace, rest, load).map_err(read_fault)?))
        } else {
            Stage::Commands(Commands::begin(rest, &part, &Crc64Prefix::default(), options, false))
        };
        Ok(Ok(Reading { part, begun: Instant::now(), cut_torn, stage }))
    }

    /// Reads a part on; what came of it, if that was its end.
    fn step_part(
        &mut self,
        replay: &mut Replay,
        budget: ReplayBudget,
        now: Now,
    ) -> Result<Option<PartRead>, ReplayFault> {
        let Some(reading) = &mut replay.reading else { return Ok(None) };
        let part = &reading.part;
        let commands = match &mut reading.stage {
            Stage::Snapshot(loader) => {
                let load = LoadBudget {
                    time: budget.time.unwrap_or(Duration::MAX),
                    key_delay: budget.delay,
                    wait: if budget.time.is_some() { READER_PAUSE } else { LoadBudget::ALL.wait },
                    ..LoadBudget::ALL
                };
                let stepped = loader.step(&mut self.keyspace, load);
                let stepped = stepped.map_err(|fault| ReplayFault::Snapshot(part.name.clone(), fault))?;
                let Some(loaded) = stepped else { return Ok(None) };
                let options = replay.options;
                reading.stage = Stage::Commands(self.snapshot_read(&replay.place, part, &loaded, options)?);
                return Ok(None);
            }
            Stage::Commands(commands) => commands,
        };
        let end = match self.step_commands(replay.conn, part, commands, budget, now) {
            Ok(None) => return Ok(None),
            Ok(Some(_)) if commands.ends_torn => End::Torn,
            Ok(Some(End::Torn)) => reading.look_for_hole(&replay.place, Ok(End::Torn))?,
            Ok(Some(end)) => end,
            Err(fault) => reading.look_for_hole(&replay.place, Err(fault))?,
        };
        let Stage::Commands(commands) = &reading.stage else { return Ok(None) };
        let scanner = &commands.scanner;
        let valid = scanner.valid_up_to();
        if let Some(len) = part.len.filter(|len| valid < *len) {
            return Err(ReplayFault::Short(part.name.clone(), valid, len));
        }
        match end {
            End::Whole => {
                let ((len, crc), says_each) = (scanner.end(), scanner.sums_each());
                Ok(Some(PartRead { tail: Tail { len, crc, says_each }, stopped: false, was_torn: false }))
            }
            End::Torn => self.cut_torn(&replay.place, part, scanner, reading.cut_torn).map(Some),
            End::Stopped => {
                Ok(Some(PartRead { tail: Tail { len: valid, ..Tail::default() }, stopped: true, was_torn: false }))
            }
        }
    }

    /// The snapshot that a part is or begins with was read: what follows it.
    fn snapshot_read(
        &mut self,
        place: &Place,
        part: &Part,
        loaded: &Loaded,
        options: ReplayOptions,
    ) -> Result<Box<Commands>, ReplayFault> {
        self.stats.persistence.load_keys = loaded.keys;
        adopt_libraries(&mut self.scripts, &mut self.stats, &loaded.libraries, true)
            .map_err(|error| ReplayFault::Library(error.to_string()))?;
        let mut rest = open(place, part)?;
        let prefix = skip(&mut rest, loaded.bytes).map_err(|error| ReplayFault::Open(part.name.clone(), error))?;
        Ok(Commands::begin(rest, part, &prefix, options, true))
    }

    /// Runs some commands; how the part ended, if it did.
    fn step_commands(
        &mut self,
        conn: ConnId,
        part: &Part,
        commands: &mut Commands,
        budget: ReplayBudget,
        now: Now,
    ) -> Result<Option<End>, ReplayFault> {
        let least = match budget {
            ReplayBudget { time: None, .. } => PIECE_BYTES,
            ReplayBudget { delay, .. } if delay.0 > 0 => SLOW_PIECE_BYTES,
            _ => SERVED_PIECE_BYTES,
        };
        let Commands { file, scanner, bytes, has_preamble, .. } = commands;
        // A long word is not looked at again for each of its pieces.
        let piece = bytes.len().max(least) as u64;
        let (read, is_torn) = match file.bytes.by_ref().take(piece).read_to_end(bytes) {
            Ok(read) => (read, false),
            Err(error) if is_torn(&error) => (0, true),
            Err(error) => return Err(ReplayFault::Open(part.name.clone(), error)),
        };
        if read > 0 && std::mem::take(has_preamble) {
            log::info!("Reading the remaining AOF tail...");
        }
        let (begin, before) = (scanner.offset(), scanner.commands());
        let looked = scanner.look(bytes);
        self.run_piece(conn, part, bytes, &scanner.runs, now)?;
        let taken = match looked {
            Ok((_, Found::TooLate)) => return Ok(Some(End::Stopped)),
            Ok((taken, Found::More)) => taken,
            Err(fault) => {
                let behind = |offset: u64| bytes.get(offset.saturating_sub(begin) as usize..).unwrap_or_default();
                let is_torn = if scanner.sums_each() {
                    is_one_batch(behind(scanner.offset()).chain(&mut file.bytes), scanner.offset())
                        .map_err(|error| ReplayFault::Open(part.name.clone(), error))?
                } else {
                    is_zero_to_end(behind(fault.offset), &mut file.bytes)
                };
                return if is_torn { Ok(Some(End::Torn)) } else { Err(ReplayFault::Damaged(part.name.clone(), fault)) };
            }
        };
        bytes.drain(..taken);
        if read == 0 {
            let is_whole = bytes.is_empty() && !scanner.in_multi() && !is_torn;
            return Ok(Some(if is_whole { End::Whole } else { End::Torn }));
        }
        let count = u32::try_from(scanner.commands() - before).unwrap_or(u32::MAX);
        let pause = budget.delay.after(scanner.commands()).saturating_mul(count);
        if !pause.is_zero() {
            std::thread::sleep(pause.min(MOST_DELAY));
        }
        Ok(None)
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
        session.owed = Owed::Nothing;
        let replies = if has_faults { session.outbox.to_vec() } else { Vec::new() };
        session.outbox.clear();
        self.outputs.retain(|output| *output != conn);
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
        may_cut: bool,
    ) -> Result<PartRead, ReplayFault> {
        let valid = scanner.valid_up_to();
        if scanner.in_multi() {
            log::info!("Revert incomplete MULTI/EXEC transaction in AOF file {}", part.name);
        }
        if !may_cut {
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
