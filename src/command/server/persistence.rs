//! SAVE, BGSAVE and LASTSAVE, and what else writes and reads snapshots: DEBUG RELOAD, SHUTDOWN, the start.

use super::SERVER;
use crate::base::clock::Now;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Facts, Flow, Outcome, Saving};
use crate::command::error::CmdError;
use crate::command::table::{Arg, Command, acl, flag};
use crate::config::{Config, SanitizeDumpPayload};
use crate::keyspace::Keyspace;
use crate::persist::rdb::{self, Access, Fault, LoadOptions, Loaded, SaveOptions};
use crate::persist::snapshot::{self, DbSizes, Plan, Snapshot};
use crate::persist::vault::{FileKind, Vault};
use crate::stats::{Running, Stats};
use crate::sys::alloc;
use std::io;
use std::time::{Duration, Instant};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bgsave",
        arity: -1,
        flags: flag::ADMIN | flag::NOSCRIPT | flag::NO_ASYNC_LOADING,
        args: &[Arg::word("schedule", "SCHEDULE").optional().since("3.2.2")],
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
/// Distance of the log's lines about a load.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

fn lastsave(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.int(cx.stats.persistence.last_save_secs);
    Ok(Flow::Done)
}

fn bgsave(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.more() && !(args.left() == 1 && args.accept("schedule")) {
        return Err(CmdError::SYNTAX);
    }
    if cx.facts.saving.is_some() {
        return Err(ALREADY);
    }
    begin_save(cx.config, cx.db.space, cx.stats, cx.facts, cx.now).map_err(|_| CmdError::text("ERR"))?;
    cx.reply.simple("Background saving started");
    Ok(Flow::Done)
}

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
        save_now(self.config, &self.facts.vault, self.db.space, self.stats, self.now)
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
        libraries: stats.persistence.libraries.clone(),
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
    let sizes = space.dbs.iter().enumerate().filter(|(_, db)| !db.table.is_empty()).map(|(index, db)| DbSizes {
        index: index as u32,
        keys: db.table.len() as u64,
        expires: db.volatile as u64,
    });
    facts.saves_begun += 1;
    let plan = Plan {
        path: snapshot::target(config.dbfilename.path()),
        temporary_name: format!("temp-{}-{}.rdb", std::process::id(), facts.saves_begun),
        options: save_options(config, stats, now),
        sizes: sizes.collect(),
        key_delay: Duration::from_micros(u64::try_from(config.rdb_key_save_delay).unwrap_or(0)),
    };
    stats.persistence.last_try_secs = now.unix_secs();
    let (snapshot, sink) = Snapshot::begin(plan, facts.vault.clone()).inspect_err(|error| {
        stats.persistence.last_save_ok = false;
        log::warn!("Can't save in background: {error}");
    })?;
    let keys_total = space.total_keys() as u64;
    space.begin_cut(sink);
    facts.saving = Some(Saving { snapshot, changes: space.book.dirty, begun: now });
    stats.persistence.running = Some(Running { since_secs: now.unix_secs(), keys_total, ..Running::default() });
    log::info!("Background saving started: {keys_total} keys");
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
    persistence.last_bgsave_secs = Some(now.mono_ms().saturating_sub(saving.begun.mono_ms()) / 1000);
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

/// Writes a snapshot, and waits for it.
///
/// # Errors
/// The system's; it is in the log.
pub fn save_now(config: &Config, vault: &Vault, space: &mut Keyspace, stats: &mut Stats, now: Now) -> io::Result<()> {
    let path = config.dbfilename.path();
    let saved = rdb::save(space, path, vault, &save_options(config, stats, now));
    stats.persistence.last_save_ok = saved.is_ok();
    match saved {
        Ok(bytes) => {
            log::info!("DB saved on disk: {}, {bytes} bytes", path.display());
            stats.persistence.saves += 1;
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

/// Reads the snapshot of the configured name into the databases; `None` if there is none. `merge`: keys that are there
/// already are replaced.
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
    let path = config.dbfilename.path();
    let Some(file) = vault.open(path, FileKind::Snapshot)? else { return Ok(None) };
    let (begun, len) = (Instant::now(), file.len);
    let deep = config.sanitize_dump_payload == SanitizeDumpPayload::Yes || !config.rdbchecksum;
    let options = LoadOptions { now, checksum: config.rdbchecksum, deep, merge };
    let mut told = begun;
    let loaded = rdb::load(space, file, options, &mut |offset| {
        if told.elapsed() >= PROGRESS_EVERY {
            told = Instant::now();
            log::info!("Loading {}: {} of {} MB", path.display(), offset >> 20, len >> 20);
        }
    })?;
    log::info!("Done loading RDB, keys loaded: {}, keys expired: {}.", loaded.keys, loaded.expired);
    if loaded.empty > 0 {
        log::info!("Collections without elements were left out, empty keys skipped: {}.", loaded.empty);
    }
    log::info!("DB loaded from disk: {:.3} seconds", begun.elapsed().as_secs_f64());
    let persistence = &mut stats.persistence;
    (persistence.load_keys, persistence.load_expired) = (loaded.keys, loaded.expired);
    persistence.libraries.clone_from(&loaded.libraries);
    Ok(Some(loaded))
}
