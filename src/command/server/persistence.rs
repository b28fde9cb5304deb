//! SAVE and LASTSAVE, and what else writes and reads snapshots: DEBUG RELOAD, SHUTDOWN, the start.

use super::SERVER;
use crate::base::clock::Now;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::table::{Command, acl, flag};
use crate::config::{Config, SanitizeDumpPayload};
use crate::keyspace::Keyspace;
use crate::persist::rdb::{self, Access, Fault, LoadOptions, Loaded, SaveOptions};
use crate::persist::storage::{Disk, Storage};
use crate::stats::Stats;
use crate::sys::alloc;
use std::io;
use std::time::{Duration, Instant};

/// The family.
pub const COMMANDS: &[Command] = &[
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

/// Distance of the log's lines about a load.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

fn lastsave(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.int(cx.stats.persistence.last_save_secs);
    Ok(Flow::Done)
}

fn save(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
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
        save_now(self.config, self.db.space, self.stats, self.now)
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

/// Writes a snapshot, and waits for it.
///
/// # Errors
/// The system's; it is in the log.
pub fn save_now(config: &Config, space: &mut Keyspace, stats: &mut Stats, now: Now) -> io::Result<()> {
    let path = config.dbfilename.path();
    let saved = rdb::save(space, path, &Disk, &save_options(config, stats, now));
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
    space: &mut Keyspace,
    stats: &mut Stats,
    now: Now,
    merge: bool,
) -> Result<Option<Loaded>, Fault> {
    let path = config.dbfilename.path();
    let Some(file) = Disk.open(path)? else { return Ok(None) };
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
