//! Lives of a whole server on a simulated disk, each ended by a cut of the power: what is found afterwards is a state that
//! existed, and holds all that was reported as durable. Without sockets.
//!
//! ```text
//! REDSTART_POWER_SEEDS   how many histories (300)
//! REDSTART_POWER_FIRST   the seed of the first one (0); a failure prints its seed
//! REDSTART_POWER_TALKS   what the servers log goes to standard error
//! ```
//!
//! A history is some lives, one after the other, on what the cut left of the disk, or a kill of the process. In each the key `n`
//! counts the units that were executed; the digest of all keys after each of them is remembered. Durable is what was
//! acknowledged under `always`, what the log says is on the disk (WAITAOF), and without a log the last snapshot that was reported
//! as saved. The jobs of the log's thread and of a snapshot's are done one by one, at moments that the seed chooses, and no clock
//! is looked at: a seed is always the same history. It ends between any two operations on the disk, those of one job included.

use super::*;
use crate::base::clock::Now;
use crate::config::AppendFsync;
use crate::persist::seal::{Key, Keyring};
use crate::persist::sim::SimDisk;
use crate::persist::vault::Vault;
use crate::types::{Digest, Str, Value, digest};
use std::path::Path;

const WRITER: ConnId = ConnId(1);
const READER: ConnId = ConnId(2);
const START_MS: i64 = 1_700_000_000_000;
const LIVES: u64 = 5;
/// Turns that whatever is under way may take.
const PATIENCE_TURNS: usize = 200_000;

/// How a history's files are made. Keys change places from life to life.
#[derive(Debug, Clone, Copy)]
struct Style {
    log: bool,
    seals: bool,
    keys_swapped: bool,
}

/// How far a life was when its disk was photographed.
#[derive(Clone, Copy)]
struct Reached {
    /// The last unit that a client was told of as one that is on the disk.
    durable: usize,
    /// The last unit in a snapshot that a client was told of by then, with a log or without.
    saved: usize,
    /// The last unit.
    end: usize,
    /// Whether a server that comes after starts with the log.
    log: bool,
}

/// A server that runs.
struct Life {
    server: Server,
    now: Now,
    disk: SimDisk,
    /// The digest after each unit, from none on.
    states: Vec<Digest>,
    /// Journal offsets behind the units.
    offsets: Vec<(u64, usize)>,
    /// The last unit that a client was told of as one that is on the disk, in the log.
    durable: usize,
    /// The last unit in a snapshot that a client was told of. It counts where there is no log.
    saved: usize,
    /// The running snapshot.
    saving: Option<Saving>,
    style: Style,
    /// What was reached at the photograph.
    reached: Option<Reached>,
}

/// A snapshot that is being written.
struct Saving {
    /// Its number.
    begun: u64,
    /// The last unit in it.
    unit: usize,
    /// Snapshots that had succeeded before.
    before: u64,
}

fn vault(disk: &SimDisk, style: Style) -> Vault {
    let keys = [[1; 32], [2; 32]];
    let (current, former) = if style.keys_swapped { (keys[1], keys[0]) } else { (keys[0], keys[1]) };
    let ring = Keyring::new(Key::new(current), Some(Key::new(former)), b"a nonce");
    Vault::with_keys(Arc::new(disk.clone()), ring, style.seals)
}

impl Life {
    /// Starts on what is there.
    fn begin(disk: SimDisk, style: Style, states: Vec<Digest>, ms: i64, rng: &mut Rng) -> Result<Life, String> {
        let now = Now::at_unix_ms(ms);
        let policies = [AppendFsync::Always, AppendFsync::Everysec, AppendFsync::No];
        let config = Config {
            protected_mode: false,
            appendonly: style.log,
            appendfsync: policies[rng.below(3) as usize],
            aof_use_rdb_preamble: rng.below(2) == 0,
            aof_timestamp_enabled: rng.below(3) == 0,
            // A step of a snapshot is one part, or all: how long it takes says nothing.
            snapshot_step_us: [0, u32::MAX][rng.below(2) as usize],
            ..Config::default()
        };
        let facts = Facts { vault: vault(&disk, style), ..super::tests::facts(now) };
        let mut server = Server::new(config, facts, crate::command::FAMILIES, Rng::seeded(rng.next_u64()), now);
        server.remove_leftovers();
        let started =
            if style.log { server.start_log(None, now).map_err(StartError::Log) } else { server.load_data_now(now) };
        // Longer files come in steps.
        while started.is_ok() && server.is_loading() && server.failure.is_none() {
            server.before_wait(now);
        }
        let failed = server.failure.take();
        started.and(failed.map_or(Ok(()), Err)).map_err(|error| format!("refused to start: {error}"))?;
        let is_temporary =
            |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("temp-"));
        // Without a log it is not known whether somebody else writes it.
        if let Some((path, _)) = disk.listing().into_iter().find(|(path, _)| style.log && is_temporary(path)) {
            return Err(format!("{} is left", path.display()));
        }
        let mut life = Life {
            server,
            now,
            disk,
            states,
            offsets: Vec::new(),
            durable: 0,
            saved: 0,
            saving: None,
            style,
            reached: None,
        };
        life.open(WRITER);
        life.open(READER);
        Ok(life)
    }

    fn open(&mut self, conn: ConnId) {
        self.server.handle_open(conn, super::tests::peer(), self.now).expect("the client is let in");
    }

    /// Executes lines of one client, without the turn's end.
    fn execute(&mut self, conn: ConnId, lines: &str) {
        let input = Input { conn, shared: Some(0..lines.len()), len: lines.len() };
        self.server.handle_turn(&[input], lines.as_bytes(), self.now);
        self.look_for_photograph();
    }

    /// What had been reached when the disk was photographed: asked after each step, before anybody is told of its outcome.
    fn look_for_photograph(&mut self) {
        if self.reached.is_none() && self.disk.has_photograph() {
            self.reached = Some(self.reached_now());
        }
    }

    fn reached_now(&self) -> Reached {
        let log = self.style.log;
        let durable = if log { self.durable } else { self.saved };
        Reached { durable, saved: self.saved, end: self.states.len() - 1, log }
    }

    /// Some of what is done beside the loop.
    fn work(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(4) {
            let is_walking = self.server.keyspace.book.cut.is_some();
            if self.disk.works() > usize::from(is_walking) && rng.below(2) == 0 {
                self.disk.work();
            } else if let Some(log) = &self.server.append_log {
                log.keeper.step();
            }
            self.look_for_photograph();
        }
    }

    /// The end of a turn: what leaves for the clients.
    fn turn(&mut self) {
        self.server.before_wait(self.now);
        self.look_for_photograph();
        while let Some(conn) = self.server.poll_output() {
            let Some(outbox) = self.server.outbox(conn) else { continue };
            let mut bytes = outbox.to_vec();
            bytes.truncate(outbox.open_len());
            outbox.advance(bytes.len());
            let drained = outbox.is_empty();
            self.server.handle_sent(conn, bytes.len(), drained, self.now);
            if conn == WRITER {
                self.acknowledged(&bytes);
            }
        }
        while let Some(conn) = self.server.poll_close() {
            self.server.handle_close(conn, self.now);
            self.open(conn);
        }
        self.server.after_writes();
        if self.is_listed() {
            // From now on the server starts with the log.
            self.style.log = true;
            let log_durable = self.server.facts.log.durable;
            if let Some((_, unit)) = self.offsets.iter().rev().find(|(offset, _)| *offset <= log_durable) {
                self.durable = self.durable.max(*unit);
            }
        }
        self.look_at_snapshot();
    }

    /// Under `always` a reply means that the unit is on the disk.
    fn acknowledged(&mut self, bytes: &[u8]) {
        if !self.is_listed() || self.server.config.appendfsync != AppendFsync::Always {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let counts = text.lines().filter_map(|line| line.strip_prefix(':')?.parse::<usize>().ok());
        self.durable = self.durable.max(counts.max().unwrap_or(0));
    }

    /// Whether there is a log, and what is in it counts.
    fn is_listed(&self) -> bool {
        self.server.stats.persistence.log.is_on && self.server.append_log.as_ref().is_some_and(|log| !log.unlisted)
    }

    fn look_at_snapshot(&mut self) {
        let (begun, saves) = (self.server.facts.saves_begun, self.server.stats.persistence.saves);
        if self.server.facts.saving.is_some() {
            if self.saving.as_ref().is_none_or(|saving| saving.begun != begun) {
                self.saving = Some(Saving { begun, unit: self.states.len() - 1, before: saves });
            }
        } else if let Some(saving) = self.saving.take() {
            if saves > saving.before {
                self.saved = self.saved.max(saving.unit);
            }
        }
    }

    fn pass(&mut self, ms: i64) {
        self.now = Now::at_unix_ms(self.now.unix_ms.0 + ms);
    }

    /// The digest of all keys.
    fn state(&self) -> Digest {
        let mut all = Digest::default();
        for (index, db) in self.server.keyspace.dbs.iter().enumerate() {
            for entry in db.table.iter() {
                let value = digest(entry);
                all.mix(Digest::of(&[&[index as u8], entry.key(), &value.0]));
            }
        }
        all
    }

    /// How many units were executed.
    fn count(&self) -> usize {
        let entry = self.server.keyspace.dbs[0].table.iter().find(|entry| entry.key() == b"n");
        entry.and_then(|entry| Str::view(entry).int()).map_or(0, |n| n as usize)
    }

    /// One unit: `n` goes up, and with it other keys.
    fn unit(&mut self, rng: &mut Rng) {
        let next = self.states.len();
        let most = if rng.below(4) == 0 { 5 } else { 3 };
        let len = [3, 20, 300, 3_000, 9_000][rng.below(most) as usize];
        let value: String = (0..len).map(|_| (b'a' + rng.below(26) as u8) as char).collect();
        let lines = match rng.below(4) {
            0 => "INCR n\r\n".to_owned(),
            1 => format!("MULTI\r\nINCR n\r\nSELECT 1\r\nMSET k{} {value}\r\nSELECT 0\r\nEXEC\r\n", next % 5),
            _ => format!(
                "MULTI\r\nINCR n\r\nMSET k{} {value} last {next}\r\nHMSET h f{} {next}\r\nEXEC\r\n",
                next % 7,
                next % 4
            ),
        };
        self.execute(WRITER, &lines);
        if self.count() == next {
            let state = self.state();
            self.states.push(state);
            self.offsets.push((self.server.journal.offset(), next));
        }
    }

    /// Waits for what is under way.
    fn settle(&mut self, rng: &mut Rng) {
        for _ in 0..PATIENCE_TURNS {
            self.pass(20);
            self.turn();
            self.work(rng);
            let log = self.server.append_log.as_ref();
            let busy =
                log.is_some_and(|log| log.is_busy() || log.rewrite.is_some()) || self.server.facts.saving.is_some();
            if !busy {
                return;
            }
        }
        panic!("it does not come to an end");
    }

    fn act(&mut self, rng: &mut Rng) {
        match rng.below(25) {
            0..=12 => self.unit(rng),
            13..=15 => self.pass([1, 60, 1_100][rng.below(3) as usize]),
            16 => self.execute(WRITER, "BGREWRITEAOF\r\n"),
            17 => {
                self.execute(WRITER, "BGSAVE\r\n");
                self.look_at_snapshot();
            }
            18 => self.save(),
            19 => self.settle(rng),
            20 => {
                let policy = ["always", "everysec", "no"][rng.below(3) as usize];
                self.execute(READER, &format!("CONFIG SET appendfsync {policy}\r\n"));
            }
            21 if !self.style.log => {
                self.execute(READER, "CONFIG SET appendonly yes\r\n");
            }
            22 => {
                if let Some(log) = &mut self.server.append_log {
                    log.commits.is_disk_bound = !log.commits.is_disk_bound;
                }
            }
            _ => {
                let first = 1 + rng.below(10);
                self.disk.fail(first, first + 1 + rng.below(6));
            }
        }
        self.work(rng);
        if rng.below(3) > 0 {
            self.turn();
        }
    }

    fn save(&mut self) {
        let saves = self.server.stats.persistence.saves;
        self.execute(WRITER, "SAVE\r\n");
        if self.server.stats.persistence.saves > saves {
            self.saved = self.saved.max(self.states.len() - 1);
        }
    }

    /// The disk works, and the server ends in order: nothing may be missing.
    fn end_in_order(&mut self, rng: &mut Rng) {
        self.disk.fail(0, 0);
        self.settle(rng);
        self.pass(2_000);
        self.settle(rng);
        if self.is_listed() {
            self.server.close_log(self.now);
            self.look_for_photograph();
            self.durable = self.states.len() - 1;
        }
    }
}

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Between two operations on the disk, whatever the server does then.
    AtOnce,
    /// After some time in which nothing reached the disk any more.
    Frozen,
    /// Between two steps.
    Idle,
    /// After all was closed.
    InOrder,
}

impl Life {
    /// Lives on, to its end.
    fn live(&mut self, rng: &mut Rng) {
        let ending =
            [Ending::AtOnce, Ending::AtOnce, Ending::Frozen, Ending::Idle, Ending::InOrder][rng.below(5) as usize];
        if ending == Ending::AtOnce {
            self.disk.photograph_after(Some(rng.below(150)));
        }
        for _ in 0..rng.below(50) {
            self.act(rng);
            if self.reached.is_some() {
                return;
            }
            if ending == Ending::Frozen && rng.below(20) == 0 {
                // After so many operations on the disk nothing reaches it any more.
                self.disk.fail(1 + rng.below(60), u64::MAX);
                (0..rng.below(12)).for_each(|_| self.act_frozen(rng));
                return;
            }
        }
        if matches!(ending, Ending::AtOnce | Ending::InOrder) {
            self.end_in_order(rng);
        }
    }

    /// Goes on while nothing reaches the disk.
    fn act_frozen(&mut self, rng: &mut Rng) {
        match rng.below(8) {
            0..=4 => self.unit(rng),
            5 => self.pass(1_100),
            6 => {
                self.execute(WRITER, ["BGREWRITEAOF\r\n", "BGSAVE\r\n"][rng.below(2) as usize]);
                self.look_at_snapshot();
            }
            _ => self.save(),
        }
        self.work(rng);
        self.turn();
    }
}

/// What is found of a disk: after the power was cut, or, sometimes, when only the process was killed. Then all that the kernel has is
/// there, synced or not. What a failed sync has lost can still be read then, and no later process can know that it is not on the
/// disk.
fn found_of(disk: &SimDisk, rng: &mut Rng) -> (SimDisk, &'static str) {
    let disk = disk.copy();
    if rng.below(4) == 0 && !disk.has_lost() { (disk, "kill") } else { (disk.after_power_cut(rng), "cut") }
}

/// A life on what is found; sometimes its start is the end of one before it.
fn start(mut disk: SimDisk, style: Style, ms: i64, rng: &mut Rng) -> Result<Life, String> {
    loop {
        let ends_soon = rng.below(4) == 0;
        disk.photograph_after(ends_soon.then(|| rng.below(16)));
        let life = Life::begin(disk.clone(), style, Vec::new(), ms, rng)?;
        if !disk.has_photograph() {
            disk.photograph_after(None);
            return Ok(life);
        }
        drop(life);
        disk = found_of(&disk, rng).0;
    }
}

/// One history.
fn live(seed: u64) -> Result<(), String> {
    let mut rng = Rng::seeded(seed);
    let mut style = Style { log: rng.below(3) > 0, seals: rng.below(2) == 0, keys_swapped: false };
    let mut life = Life::begin(SimDisk::by_hand(), style, vec![Digest::default()], START_MS, &mut rng)?;
    for nth in 0..LIVES {
        life.live(&mut rng);
        let Reached { durable, saved, end, log } = life.reached.unwrap_or_else(|| life.reached_now());
        let (disk, how) = found_of(&life.disk, &mut rng);
        let listing = disk.listing();
        log::info!("--- life {nth} ended: {durable} durable, {end} executed, {how}");
        let ms = life.now.unix_ms.0 + 1_000;
        style = Style { log, ..life.style };
        let mut states = std::mem::take(&mut life.states);
        drop(life);
        match rng.below(4) {
            0 => style.seals = !style.seals,
            1 => style.keys_swapped = !style.keys_swapped,
            _ => {}
        }
        let context = |what: String| {
            format!("life {nth} {style:?}: {what}; {durable} durable, {end} executed; the {how} left {listing:?}")
        };
        life = start(disk, style, ms, &mut rng).map_err(&context)?;
        let found = life.count();
        if found < durable || found > end {
            return Err(context(format!("{found} found")));
        }
        if life.state() != states[found] {
            return Err(context(format!("what was found at {found} never was")));
        }
        states.truncate(found + 1);
        life.states = states;
        // What was found was put on the disk at the start, or is a snapshot that is there.
        life.durable = if life.style.log { found } else { 0 };
        life.saved = saved.min(found);
        life.offsets.push((life.server.journal.offset(), found));
    }
    Ok(())
}

/// Says what the servers log.
struct Talk;

impl log::Log for Talk {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        eprintln!("    {}", record.args());
    }

    fn flush(&self) {}
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn after_any_cut_of_the_power_the_state_is_one_that_existed_and_holds_what_was_durable() {
    if std::env::var_os("REDSTART_POWER_TALKS").is_some() && log::set_logger(&Talk).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    let first = number("REDSTART_POWER_FIRST", 0);
    let mut failures = Vec::new();
    for seed in first..first + number("REDSTART_POWER_SEEDS", 300) {
        if let Err(what) = live(seed) {
            failures.push(format!("seed {seed}: {what}"));
            if failures.len() >= 5 {
                break;
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
