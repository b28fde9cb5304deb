//! SAVE, BGSAVE and LASTSAVE, and what else writes and reads snapshots: DEBUG RELOAD, SHUTDOWN, the start.

use super::SERVER;
use crate::base::clock::Now;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Facts, Flow, Outcome, Saving};
use crate::command::error::CmdError;
use crate::command::table::{Arg, Command, acl, flag};
use crate::config::{Config, SanitizeDumpPayload};
use crate::keyspace::Keyspace;
use crate::persist::rdb::{self, Access, Fault, LoadBudget, LoadOptions, Loaded, Loader, SaveOptions};
use crate::persist::snapshot::{self, DbSizes, Plan, Snapshot};
use crate::persist::vault::{FileKind, Vault};
use crate::stats::{Running, Stats};
use crate::sys::alloc;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bgsave",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING,
        args: &[Arg::one_of(
            "how",
            &[
                Arg::word("schedule", "SCHEDULE").since("3.2.2"),
                Arg::word("cancel", "CANCEL"),
                Arg::block("copy", &[Arg::word("to", "TO"), Arg::string("name")]),
            ],
        )
        .optional()],
        since: "1.0.0",
        complexity: "O(1); the keys are copied in small steps between other commands",
        summary: "Writes a snapshot of this moment while commands go on.",
        history: &[("3.2.2", "Option SCHEDULE.")],
        run: Some(bgsave),
        ..SERVER
    },
    Command {
        name: "lastsave",
        arity: 1,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        acl: acl::ADMIN | acl::DANGEROUS,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "When the last snapshot succeeded, in Unix seconds.",
        tips: &["nondeterministic_output"],
        run: Some(lastsave),
        ..SERVER
    },
    Command {
        name: "save",
        arity: 1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING | flag::NO_MULTI,
        since: "1.0.0",
        complexity: "O(N) in the keys of all databases",
        summary: "Writes a snapshot, and nothing else is served meanwhile.",
        run: Some(save),
        ..SERVER
    },
];

/// After a failed snapshot the rules wait so long, seconds.
const RETRY_SECS: i64 = 5;
/// How long the end of the process waits for a snapshot that is given up.
const LAST_WAIT: Duration = Duration::from_secs(1);
/// Longest name of a file.
const MAX_NAME_BYTES: usize = 200;
/// Distance of the log's lines about a load.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

fn lastsave(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.int(cx.stats.persistence.last_save_secs);
    Ok(Flow::Done)
}

/// BGSAVE, BGSAVE SCHEDULE, BGSAVE CANCEL, BGSAVE TO name.
fn bgsave(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let schedule = args.left() == 1 && args.accept("schedule");
    if args.left() == 1 && args.accept("cancel") {
        return cancel(cx);
    }
    let copy = if args.left() == 2 && args.accept("to") { Some(copy_name(args.bytes()?)?) } else { None };
    if args.more() {
        return Err(CmdError::SYNTAX);
    }
    if cx.facts.saving.is_some() {
        return Err(ALREADY);
    }
    if is_rewriting(cx.db.space, cx.facts) || cx.facts.log.rewrite_wanted {
        if !schedule {
            return Err(REWRITING);
        }
        cx.facts.save_scheduled = true;
        cx.reply.simple("Background saving scheduled");
        return Ok(Flow::Done);
    }
    let begun = match copy {
        Some(name) if cx.facts.vault.storage().open(&name).map_or(true, |file| file.is_some()) => {
            return Err(CmdError::text("ERR a file of that name is there already"));
        }
        Some(name) => begin_copy(cx.config, &name, cx.db.space, cx.stats, cx.facts, cx.now),
        None => begin_save(cx.config, cx.db.space, cx.stats, cx.facts, cx.now),
    };
    begun.map_err(|_| CmdError::text("ERR"))?;
    cx.reply.simple("Background saving started");
    Ok(Flow::Done)
}

/// Gives up the snapshot that is being written, and the one that is to follow a rewrite.
fn cancel(cx: &mut Ctx<'_>) -> Outcome {
    let was_scheduled = std::mem::take(&mut cx.facts.save_scheduled);
    if cx.facts.saving.is_some() {
        log::warn!("The snapshot that is being written is given up: BGSAVE CANCEL");
        end_save(cx.db.space, cx.stats, cx.facts);
        cx.reply.simple("Background saving cancelled");
    } else if was_scheduled {
        cx.reply.simple("Scheduled background saving cancelled");
    } else {
        return Err(CmdError::text("ERR Background saving is currently not in progress or scheduled"));
    }
    Ok(Flow::Done)
}

/// The name of a copy: of a file in the data folder, and not of one of the server's own.
fn copy_name(name: &[u8]) -> Result<PathBuf, CmdError> {
    let is_plain = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(&b'/') && !name.contains(&0);
    if !is_plain || name.starts_with(b".") || name.starts_with(b"temp-") {
        return Err(CmdError::text("ERR the name must be that of a file in dir, without a path"));
    }
    Ok(PathBuf::from(OsStr::from_bytes(name)))
}

/// Whether the log is being rewritten: that is the other use of the one cut that there can be.
pub fn is_rewriting(space: &Keyspace, facts: &Facts) -> bool {
    facts.saving.is_none() && space.book.cut.as_ref().is_some_and(|cut| cut.is_wanted())
}

const REWRITING: CmdError = CmdError::text(
    "ERR Another child process is active (AOF?): can't BGSAVE right now. Use BGSAVE SCHEDULE in order to schedule a BGSAVE \
     whenever possible.",
);

const ALREADY: CmdError = CmdError::text("ERR Background save already in progress");

fn save(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    if cx.facts.saving.is_some() {
        return Err(ALREADY);
    }
    // The reference has no more to say either: the log tells the cause.
    cx.save_snapshot().map_err(|_| CmdError::text("ERR"))?;
    cx.reply.ok();
    Ok(Flow::Done)
}

impl Ctx<'_> {
    /// Writes a snapshot under its configured name.
    ///
    /// # Errors
    /// The system's; it is in the log.
    pub fn save_snapshot(&mut self) -> io::Result<()> {
        // One that is older than this one must not take its place later.
        end_save(self.db.space, self.stats, self.facts);
        save_now(self.config, &self.facts.vault, self.db.space, self.stats, self.now, None)
    }
}

/// How snapshots are written by these options.
pub fn save_options(config: &Config, stats: &Stats, now: Now) -> SaveOptions {
    let policy = config.maxmemory_policy;
    SaveOptions {
        compress: config.rdbcompression,
        checksum: config.rdbchecksum,
        incremental_sync: config.rdb_save_incremental_fsync,
        access: match () {
            () if policy.uses_lfu() => Access::Frequency,
            () if policy.uses_lru() => Access::Idle,
            () => Access::Unsaid,
        },
        now,
        used_bytes: alloc::used_bytes() as u64,
        log_base: false,
        libraries: stats.persistence.libraries.values().cloned().collect(),
    }
}

/// Begins a snapshot of this moment, which is written beside the loop.
///
/// # Errors
/// The system's; it is in the log.
pub fn begin_save(
    config: &Config,
    space: &mut Keyspace,
    stats: &mut Stats,
    facts: &mut Facts,
    now: Now,
) -> io::Result<()> {
    facts.save_scheduled = false;
    stats.persistence.last_try_secs = now.unix_secs();
    begin(config, config.dbfilename.path(), false, space, stats, facts, now).inspect_err(|_| {
        stats.persistence.last_save_ok = false;
    })
}

/// As `begin_save`, into another file: a copy, which changes nothing of what is known to be saved.
///
/// # Errors
/// The system's; it is in the log.
pub fn begin_copy(
    config: &Config,
    name: &Path,
    space: &mut Keyspace,
    stats: &mut Stats,
    facts: &mut Facts,
    now: Now,
) -> io::Result<()> {
    begin(config, name, true, space, stats, facts, now)
}

fn begin(
    config: &Config,
    name: &Path,
    is_copy: bool,
    space: &mut Keyspace,
    stats: &mut Stats,
    facts: &mut Facts,
    now: Now,
) -> io::Result<()> {
    let sizes = space.dbs.iter().enumerate().filter(|(_, db)| !db.table.is_empty()).map(|(index, db)| DbSizes {
        index: index as u32,
        keys: db.table.len() as u64,
        expires: db.volatile as u64,
    });
    facts.saves_begun += 1;
    let plan = Plan {
        path: snapshot::target(name),
        temporary_name: format!("temp-{}-{}.rdb", std::process::id(), facts.saves_begun),
        options: save_options(config, stats, now),
        sizes: sizes.collect(),
        key_delay: Duration::from_micros(u64::try_from(config.rdb_key_save_delay).unwrap_or(0)),
        script: None,
    };
    let (snapshot, sink) = Snapshot::begin(plan, facts.vault.clone())
        .inspect_err(|error| log::warn!("Can't save in background: {error}"))?;
    let keys_total = space.total_keys() as u64;
    space.begin_cut(sink);
    facts.saving = Some(Saving { snapshot, changes: space.book.dirty, begun: now, is_copy });
    stats.persistence.running = Some(Running { since_secs: now.unix_secs(), keys_total, ..Running::default() });
    log::info!("Background saving started: {keys_total} keys into {}", name.display());
    Ok(())
}

/// Looks how the running snapshot stands, and draws the conclusions of its end.
pub fn poll_save(space: &mut Keyspace, stats: &mut Stats, facts: &mut Facts, now: Now) {
    let Some(saving) = &facts.saving else { return };
    let persistence = &mut stats.persistence;
    if let Some(running) = &mut persistence.running {
        running.keys_done = saving.snapshot.keys();
        running.extra_bytes = saving.snapshot.queued_bytes() as u64;
        running.extra_bytes_most = running.extra_bytes_most.max(running.extra_bytes);
    }
    let Some(result) = saving.snapshot.poll() else { return };
    let took_ms = now.mono_ms().saturating_sub(saving.begun.mono_ms());
    if let Ok(bytes) = result {
        persistence.last_save_rate = bytes * 1000 / took_ms.max(1);
    }
    if saving.is_copy {
        match result {
            Ok(bytes) => log::info!("Background saving of a copy terminated with success: {bytes} bytes"),
            Err(error) => log::warn!("Background saving of a copy: {error}"),
        }
        return end_save(space, stats, facts);
    }
    persistence.last_bgsave_secs = Some(took_ms / 1000);
    persistence.last_save_ok = result.is_ok();
    match result {
        Ok(bytes) => {
            log::info!("Background saving terminated with success: {bytes} bytes");
            persistence.saves += 1;
            persistence.last_save_secs = now.unix_secs();
            space.book.dirty = space.book.dirty.saturating_sub(saving.changes);
        }
        Err(error) => log::warn!("Background saving error: {error}"),
    }
    end_save(space, stats, facts);
}

/// There is no running snapshot any more; one that has not come to its end is given up.
pub fn end_save(space: &mut Keyspace, stats: &mut Stats, facts: &mut Facts) {
    // The snapshot goes first: a writer that finds no more entries coming then knows why.
    if facts.saving.take().is_some() {
        space.abandon_cut();
    }
    if let Some(running) = stats.persistence.running.take() {
        stats.persistence.last_extra_bytes = running.extra_bytes_most;
    }
}

/// The process ends: a running snapshot must not leave its unfinished file behind.
pub fn end_save_for_good(space: &mut Keyspace, stats: &mut Stats, facts: &mut Facts) {
    if let Some(saving) = &facts.saving {
        log::warn!("There is a snapshot being written: it is given up");
        // The thread may wait for entries: it is told that none come.
        space.abandon_cut();
        saving.snapshot.end(LAST_WAIT);
    }
    end_save(space, stats, facts);
}

/// Whether a rule of `save` demands a snapshot now; the log says which.
pub fn is_save_due(config: &Config, space: &Keyspace, stats: &Stats, now: Now) -> bool {
    let persistence = &stats.persistence;
    let (secs, changes) = (now.unix_secs(), space.book.dirty);
    let since = secs.saturating_sub(persistence.last_save_secs);
    let rested = persistence.last_save_ok || secs.saturating_sub(persistence.last_try_secs) > RETRY_SECS;
    let due = config
        .save
        .iter()
        .find(|rule| changes >= rule.changes && u64::try_from(since).is_ok_and(|since| since > rule.seconds));
    match due.filter(|_| rested) {
        Some(rule) => {
            log::info!("{} changes in {} seconds. Saving...", rule.changes, rule.seconds);
            true
        }
        None => false,
    }
}

/// Writes a snapshot, and waits for it. `given_up` may become true meanwhile.
///
/// # Errors
/// The system's, or that it was given up; it is in the log.
pub fn save_now(
    config: &Config,
    vault: &Vault,
    space: &mut Keyspace,
    stats: &mut Stats,
    now: Now,
    given_up: Option<&AtomicBool>,
) -> io::Result<()> {
    let path = config.dbfilename.path();
    let key_delay = Duration::from_micros(u64::try_from(config.rdb_key_save_delay).unwrap_or(0));
    let is_given_up = || given_up.is_some_and(|given_up| given_up.load(Ordering::Relaxed));
    let saved = rdb::save_watched(space, path, vault, &save_options(config, stats, now), &mut || {
        snapshot::pause(key_delay, &is_given_up)
    });
    match saved {
        Ok(bytes) => {
            log::info!("DB saved on disk: {}, {bytes} bytes", path.display());
            stats.persistence.saves += 1;
            stats.persistence.last_save_ok = true;
            stats.persistence.last_save_secs = now.unix_secs();
            space.book.dirty = 0;
            Ok(())
        }
        Err(error) => {
            log::warn!("Write error saving DB on disk: {}: {error}", path.display());
            Err(error)
        }
    }
}

/// A snapshot that is being read.
pub struct Load {
    loader: Loader,
    path: PathBuf,
    /// Bytes of its content.
    len: u64,
    begun: Instant,
    told: Instant,
}

impl Load {
    /// Begins to read the snapshot of the configured name; `None` if there is none. `merge`: keys that are there already are
    /// replaced.
    ///
    /// # Errors
    /// The system's, or what is wrong with the seal.
    pub fn begin(
        config: &Config,
        vault: &Vault,
        space: &Keyspace,
        now: Now,
        merge: bool,
    ) -> Result<Option<Load>, Fault> {
        let path = config.dbfilename.path();
        let Some(file) = vault.open(path, FileKind::Snapshot)? else { return Ok(None) };
        let (begun, len) = (Instant::now(), file.len);
        let deep = config.sanitize_dump_payload == SanitizeDumpPayload::Yes || !config.rdbchecksum;
        let options = LoadOptions { now, checksum: config.rdbchecksum, deep, merge };
        let loader = Loader::begin(space, file, options)?;
        Ok(Some(Load { loader, path: path.to_owned(), len, begun, told: begun }))
    }

    /// Bytes of its content.
    pub fn total_bytes(&self) -> u64 {
        self.len
    }

    /// Bytes of it that were read.
    pub fn read_bytes(&self) -> u64 {
        self.loader.offset()
    }

    /// Goes on for a while; what came out of the file once that was all.
    ///
    /// # Errors
    /// What is wrong with the file; the databases hold what was read before that.
    pub fn step(
        &mut self,
        space: &mut Keyspace,
        stats: &mut Stats,
        budget: LoadBudget,
    ) -> Result<Option<Loaded>, Fault> {
        let loaded = self.loader.step(space, budget)?;
        let Some(loaded) = loaded else {
            if self.told.elapsed() >= PROGRESS_EVERY {
                self.told = Instant::now();
                let (done, len) = (self.loader.offset() >> 20, self.len >> 20);
                log::info!("Loading {}: {done} of {len} MB, {} keys", self.path.display(), self.loader.keys());
            }
            return Ok(None);
        };
        log::info!("Done loading RDB, keys loaded: {}, keys expired: {}.", loaded.keys, loaded.expired);
        if loaded.empty > 0 {
            log::info!("Collections without elements were left out, empty keys skipped: {}.", loaded.empty);
        }
        log::info!("DB loaded from disk: {:.3} seconds", self.begun.elapsed().as_secs_f64());
        let persistence = &mut stats.persistence;
        (persistence.load_keys, persistence.load_expired) = (loaded.keys, loaded.expired);
        Ok(Some(loaded))
    }
}

/// Reads the snapshot of the configured name into the databases, and waits for it; `None` if there is none. `merge`: keys that
/// are there already are replaced.
///
/// # Errors
/// What is wrong with the file; the databases hold what was read before that.
pub fn load_now(
    config: &Config,
    vault: &Vault,
    space: &mut Keyspace,
    stats: &mut Stats,
    now: Now,
    merge: bool,
) -> Result<Option<Loaded>, Fault> {
    let Some(mut load) = Load::begin(config, vault, space, now, merge)? else { return Ok(None) };
    loop {
        if let Some(loaded) = load.step(space, stats, LoadBudget { time: PROGRESS_EVERY, ..LoadBudget::ALL })? {
            return Ok(Some(loaded));
        }
    }
}
