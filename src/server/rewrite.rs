//! A new base of the append-only log: begun by command, by growth or when the log is turned on, written like any snapshot, and
//! put in the place of the old files when it is whole.
//!
//! ```text
//! all handed over -> next increment -+-> cut -> snapshot thread -> base file -> manifest: base, increments from here on
//!                                    `-> commands go on into the increment
//! ```

use super::Server;
use super::append_log::AppendLog;
use super::replay::{ReplayBudget, ReplayFault, ReplayOptions, Replayed};
use super::start::StartError;
use crate::base::clock::Now;
use crate::command::persistence;
use crate::config::{AppendFsync, Config};
use crate::persist::aof::script::ScriptForm;
use crate::persist::aof::{self, Job, Log, Manifest, Part, Place};
use crate::persist::leftover::remove_log_leftovers;
use crate::persist::rdb::KeyDelay;
use crate::persist::snapshot::{DbSizes, Plan, Snapshot};
use crate::persist::vault::Vault;
use crate::stats::Loading;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Failures in a row after which a pause is made.
const FAILURES: u64 = 3;
/// Longest pause, minutes.
const MAX_PAUSE_MINUTES: u64 = 60;
/// Longest step of a replay within a turn.
const REPLAY_STEP: Duration = Duration::from_millis(5);
/// From so many bytes on others are answered while the log is read.
const SERVED_FROM_BYTES: u64 = 1 << 20;
/// How long a synchronous base sleeps before it looks at its writer again.
const NAP: Duration = Duration::from_millis(1);

/// A base that is being written.
pub(super) struct Rewrite {
    snapshot: Snapshot,
    base: Part,
    /// The first increment that is not in it.
    first_kept: u64,
    begun: Now,
    extra_bytes_most: u64,
    /// Its bytes, when it is written and waits for its place.
    written: Option<u64>,
}

/// Where the log is by these options.
pub(super) fn place(config: &Config, vault: &Vault) -> Place {
    Place {
        vault: vault.clone(),
        folder: aof::log::whole(config.appenddirname.path()),
        name: config.appendfilename.lossy().into_owned(),
    }
}

impl Server {
    fn base_plan(&mut self, place: &Place, base: &Part, now: Now) -> Plan {
        let config = &self.config;
        let sizes = self.keyspace.dbs.iter().enumerate().filter(|(_, db)| !db.table.is_empty());
        let sizes = sizes.map(|(index, db)| DbSizes {
            index: index as u32,
            keys: db.table.len() as u64,
            expires: db.volatile as u64,
        });
        self.facts.saves_begun += 1;
        let mut options = persistence::save_options(config, &self.stats, now);
        options.incremental_sync = config.aof_rewrite_incremental_fsync;
        options.log_base = true;
        Plan {
            path: place.path(&base.name),
            temporary_name: format!("temp-rewriteaof-{}-{}.aof", std::process::id(), self.facts.saves_begun),
            options,
            sizes: sizes.collect(),
            key_delay: Duration::from_micros(u64::try_from(config.rdb_key_save_delay).unwrap_or(0)),
            script: (!config.aof_use_rdb_preamble)
                .then_some(ScriptForm { limits: self.keyspace.book.limits, stamped: config.aof_timestamp_enabled }),
        }
    }

    /// A rewrite is to begin, at the end of this turn or of one of the next.
    pub(super) fn begin_wanted_rewrite(&mut self, now: Now) {
        // Between two commits there is a moment in which the log is free: that is waited for.
        let is_free = self.append_log.as_ref().is_none_or(|log| !log.is_busy());
        if self.facts.log.rewrite_wanted && is_free {
            self.facts.log.rewrite_wanted = false;
            self.try_rewrite(now);
        }
    }

    /// Begins a rewrite, or puts it off if something is in its way.
    fn try_rewrite(&mut self, now: Now) {
        let cut = self.keyspace.book.cut.as_ref().is_some_and(|cut| cut.is_wanted());
        let is_free = self.append_log.as_ref().is_none_or(AppendLog::is_free);
        let can_begin = self.facts.saving.is_none() && !cut && is_free;
        self.stats.persistence.log.rewrite_scheduled = !can_begin;
        if !can_begin {
            return;
        }
        if let Err(error) = self.begin_rewrite(now) {
            log::warn!("Can't rewrite append only file in background: {error}");
            self.rewrite_failed();
        }
    }

    fn begin_rewrite(&mut self, now: Now) -> io::Result<()> {
        if self.append_log.is_none() {
            self.attach_log(now)?;
        }
        let is_on = self.stats.persistence.log.is_on;
        let rdb = self.config.aof_use_rdb_preamble;
        let Some(log) = &mut self.append_log else { return Ok(()) };
        let place = log.place.clone();
        // Asked while no job holds the log.
        let (base, next) = {
            let inner = log.keeper.log();
            (inner.next_base(rdb), inner.increment_seq() + 1)
        };
        // What happened before the cut belongs to the increment before it, all of it: the base holds it as well.
        self.hand_over(now);
        let end = self.journal.offset();
        if self.append_log.as_ref().is_some_and(|log| !log.has_all(end) || !log.takes_another()) {
            self.stats.persistence.log.rewrite_scheduled = true;
            return Ok(());
        }
        let plan = self.base_plan(&place, &base, now);
        place.vault.storage().make_folder(&place.folder)?;
        let (snapshot, sink) = Snapshot::begin(plan, self.facts.vault.clone())?;
        let Some(log) = &mut self.append_log else { return Ok(()) };
        if log.unlisted {
            log.keeper.log().open_unlisted()?;
            self.effects.wanted = true;
            self.keyspace.book.propagate = true;
        } else if is_on {
            log::info!("Creating AOF incr file {}.{next}.incr.aof on background rewrite", place.name);
            log.occupy(Job::NextIncrement);
        }
        self.journal.force_select();
        log.rewrite =
            Some(Rewrite { snapshot, base, first_kept: next, begun: now, extra_bytes_most: 0, written: None });
        self.keyspace.begin_cut(sink);
        self.stats.persistence.log.rewriting_since_secs = Some(now.unix_secs());
        log::info!("Background append only file rewriting started");
        Ok(())
    }

    /// The increment that goes with the base was begun, or not.
    pub(super) fn increment_begun(&mut self, result: io::Result<()>, now: Now) {
        if let Err(error) = result {
            log::warn!("Background AOF rewrite terminated with error: no new increment: {error}");
            self.end_rewrite(now);
            self.rewrite_failed();
        }
    }

    fn rewrite_failed(&mut self) {
        let figures = &mut self.stats.persistence.log;
        figures.rewrite_failed = true;
        figures.failures += 1;
        // A log that is being turned on is nothing without its base: it is tried again.
        if self.append_log.as_ref().is_some_and(|log| log.unlisted) {
            self.stats.persistence.log.rewrite_scheduled = true;
        }
    }

    /// There is no rewrite any more; one that has not come to its end is given up.
    pub(super) fn end_rewrite(&mut self, now: Now) {
        let Some(rewrite) = self.append_log.as_mut().and_then(|log| log.rewrite.take()) else { return };
        let figures = &mut self.stats.persistence.log;
        (figures.rewriting_since_secs, figures.installing) = (None, false);
        figures.last_rewrite_secs = Some(now.mono_ms().saturating_sub(rewrite.begun.mono_ms()) / 1000);
        figures.last_extra_bytes = rewrite.extra_bytes_most;
        if rewrite.written.is_none() {
            drop(rewrite);
            self.keyspace.abandon_cut();
        }
    }

    /// The base is in its place, or not.
    pub(super) fn base_installed(&mut self, result: io::Result<()>, now: Now) {
        self.end_rewrite(now);
        match result {
            Ok(()) => {
                let figures = &mut self.stats.persistence.log;
                (figures.rewrite_failed, figures.failures) = (false, 0);
                figures.rewrites += 1;
                if let Some(log) = &mut self.append_log {
                    log.unlisted = false;
                }
                log::info!("Background AOF rewrite finished successfully");
                self.look_at_log(now);
                self.detach_if_off();
            }
            Err(error) => {
                log::warn!("Background AOF rewrite terminated with error: {error}");
                self.rewrite_failed();
            }
        }
    }

    /// How the running rewrite stands; and whether one is due.
    pub(super) fn rewrite_cron(&mut self, now: Now) {
        self.poll_rewrite(now);
        let figures = &self.stats.persistence.log;
        let idle = figures.rewriting_since_secs.is_none() && self.facts.saving.is_none() && self.ending.is_none();
        if !idle {
            return;
        }
        if figures.rewrite_scheduled {
            if !self.is_limited(now) {
                self.facts.log.rewrite_wanted = true;
            }
            return;
        }
        let (size, base) = (figures.bytes, figures.base_bytes.max(1));
        let percentage = u64::from(self.config.auto_aof_rewrite_percentage);
        if !figures.is_on || percentage == 0 || size <= self.config.auto_aof_rewrite_min_size {
            return;
        }
        let growth = (u128::from(size) * 100 / u128::from(base)).saturating_sub(100);
        if growth >= u128::from(percentage) && !self.is_limited(now) {
            log::info!("Starting automatic rewriting of AOF on {growth}% growth");
            self.facts.log.rewrite_wanted = true;
        }
    }

    fn poll_rewrite(&mut self, now: Now) {
        let Some(log) = &mut self.append_log else { return };
        let takes_another = log.takes_another();
        let Some(rewrite) = &mut log.rewrite else { return };
        rewrite.extra_bytes_most = rewrite.extra_bytes_most.max(rewrite.snapshot.queued_bytes() as u64);
        if rewrite.written.is_none() {
            match rewrite.snapshot.poll() {
                None => return,
                Some(Ok(bytes)) => {
                    log::info!("Background AOF rewrite terminated with success");
                    rewrite.written = Some(bytes);
                }
                Some(Err(error)) => {
                    log::warn!("Background AOF rewrite terminated with error: {error}");
                    self.end_rewrite(now);
                    return self.rewrite_failed();
                }
            }
        }
        if let Some(bytes) = rewrite.written.filter(|_| takes_another) {
            let job = Job::Install(rewrite.base.clone(), bytes, rewrite.first_kept, self.config.aof_disable_auto_gc);
            log.occupy(job);
            self.stats.persistence.log.installing = true;
        }
    }

    /// Whether a rewrite that nobody asked for must wait, because the last ones failed.
    fn is_limited(&mut self, now: Now) -> bool {
        let desk = &mut self.facts.log;
        if self.stats.persistence.log.failures < FAILURES {
            (desk.retry_at_ms, desk.retry_minutes) = (0, 0);
            return false;
        }
        if now.mono_ms() < desk.retry_at_ms {
            return true;
        }
        if desk.retry_at_ms != 0 {
            desk.retry_at_ms = 0;
            return false;
        }
        desk.retry_minutes = (desk.retry_minutes * 2).clamp(1, MAX_PAUSE_MINUTES);
        desk.retry_at_ms = now.mono_ms() + desk.retry_minutes * 60_000;
        log::warn!(
            "Background AOF rewrite has repeatedly failed and triggered the limit, will retry in {} minutes",
            desk.retry_minutes
        );
        true
    }

    fn waker(&self) -> Box<dyn Fn() + Send> {
        match self.wake.clone() {
            Some(waker) => Box::new(move || {
                if let Err(error) = waker.wake() {
                    log::warn!("The loop can't be woken: {error}");
                }
            }),
            None => Box::new(|| {}),
        }
    }

    /// The log's files as they are, without anything being written: it is off, or about to be turned on.
    fn attach_log(&mut self, now: Now) -> io::Result<()> {
        let place = place(&self.config, &self.facts.vault);
        let found = aof::find::read_manifest(&place).map_err(|fault| io::Error::other(fault.to_string()))?;
        let mut log = Log::new(place.clone(), found.unwrap_or_default(), self.journal.offset());
        log.find_offset(0);
        self.append_log = Some(AppendLog::start(log, place, self.journal.offset(), self.waker())?);
        self.configure_log();
        self.look_at_log(now);
        Ok(())
    }

    /// Without a log that is written its files were only needed for a rewrite.
    fn detach_if_off(&mut self) {
        if !self.stats.persistence.log.is_on {
            self.append_log = None;
        }
    }

    /// `appendonly` became yes: a base is written, and what happens meanwhile; then there is a log.
    pub(super) fn turn_log_on(&mut self, now: Now) -> io::Result<()> {
        if self.stats.persistence.log.is_on {
            return Ok(());
        }
        self.end_rewrite(now);
        self.append_log = None;
        self.attach_log(now)?;
        if let Some(log) = &mut self.append_log {
            log.place.vault.storage().make_folder(&log.place.folder)?;
            log.unlisted = true;
        }
        self.stats.persistence.log.is_on = true;
        self.stats.persistence.log.unlisted = true;
        if self.facts.saving.is_some() {
            log::info!(
                "AOF was enabled but there is already another background operation. A rewrite was scheduled to start when possible."
            );
        }
        self.try_rewrite(now);
        Ok(())
    }

    /// `appendonly` became no.
    pub(super) fn turn_log_off(&mut self, now: Now) {
        if self.append_log.as_ref().is_some_and(|log| log.rewrite.is_some()) {
            log::info!("Killing AOF child: the rewrite that runs is given up, for the log is turned off");
        }
        self.close_log(now);
        self.effects.wanted = false;
        self.keyspace.book.propagate = false;
        let figures = &mut self.stats.persistence.log;
        (figures.is_on, figures.unlisted) = (false, false);
        (figures.rewrite_scheduled, figures.fault) = (false, None);
        (figures.buffer_bytes, figures.kept_bytes, figures.room_bytes, figures.syncing) = (0, 0, 0, false);
    }

    /// The file of a log that is being turned on has failed: it begins anew.
    pub(super) fn restart_first_base(&mut self, now: Now) {
        self.end_rewrite(now);
        self.effects.wanted = false;
        // What has happened so far will be in the base: it must not happen twice.
        drop(self.journal.take(Vec::new()));
        self.append_log = None;
        let attached = self.attach_log(now);
        if let Some(log) = &mut self.append_log {
            log.unlisted = true;
        }
        self.stats.persistence.log.rewrite_scheduled = true;
        if let Err(error) = attached {
            log::warn!("The append-only log can't be turned on: {error}");
        }
    }

    /// The log at the start: all of it becomes data, and writing goes on at its end.
    pub(super) fn start_log(&mut self, until_secs: Option<u64>, now: Now) -> Result<(), StartFault> {
        let place = place(&self.config, &self.facts.vault);
        let old =
            std::path::absolute(self.config.appendfilename.path()).unwrap_or_else(|_| Path::new(&place.name).into());
        let mut manifest = aof::find(&place, &old).map_err(|fault| StartFault::Replay(ReplayFault::Find(fault)))?;
        if manifest.parts().next().is_none() {
            self.load_data_now(now).map_err(|error| StartFault::Snapshot(Box::new(error)))?;
            return self.open_log(place, &mut manifest, Replayed::default(), now).map_err(StartFault::Write);
        }
        let options = ReplayOptions { until_secs, ..ReplayOptions::of(&self.config) };
        let mut replay = self.begin_replay(place, &manifest, options, now);
        let total_bytes = replay.total_bytes();
        let at_once = total_bytes < SERVED_FROM_BYTES && self.config.key_load_delay == 0;
        if !at_once {
            replay.give_way(self.config.maxclients);
        }
        self.stats.persistence.loading = Some(Loading { since_secs: now.unix_secs(), total_bytes, done_bytes: 0 });
        self.replaying = Some(Box::new((replay, manifest)));
        while at_once && self.replaying.is_some() {
            self.step_start(ReplayBudget::ALL, now)?;
        }
        Ok(())
    }

    /// Goes on with the log at the start; at its end it is opened. A failure ends the server.
    pub(super) fn replay_step(&mut self, now: Now) {
        let budget = ReplayBudget { time: Some(REPLAY_STEP), delay: KeyDelay(self.config.key_load_delay) };
        if let Err(fault) = self.step_start(budget, now) {
            self.failure = Some(StartError::Log(fault));
        } else if self.replaying.is_none() {
            self.follow_appendonly(now);
            self.be_ready();
        }
    }

    fn step_start(&mut self, budget: ReplayBudget, now: Now) -> Result<(), StartFault> {
        let Some(mut running) = self.replaying.take() else { return Ok(()) };
        let stepped = self.step_replay(&mut running.0, budget, now);
        if !matches!(stepped, Ok(None)) {
            self.stats.persistence.loading = None;
        }
        let Some(replayed) = stepped.map_err(StartFault::Replay)? else {
            if let Some(status) = &mut self.stats.persistence.loading {
                status.done_bytes = running.0.read_bytes();
            }
            self.replaying = Some(running);
            return Ok(());
        };
        let (replay, mut manifest) = *running;
        self.open_log(replay.into_place(), &mut manifest, replayed, now).map_err(StartFault::Write)
    }

    fn open_log(&mut self, place: Place, manifest: &mut Manifest, mut replayed: Replayed, now: Now) -> io::Result<()> {
        place.vault.storage().make_folder(&place.folder)?;
        if replayed.stopped {
            // What was wanted is a base of its own; the rest stays where it is, out of the list.
            let name = place.manifest_name();
            place.vault.storage().rename(&place.path(&name), &place.path(&format!("{name}.before-restore")))?;
            log::warn!("The log goes on behind restore-until. Its parts stay, and {name}.before-restore lists them.");
            (manifest.base, manifest.increments, manifest.history) = (None, Vec::new(), Vec::new());
            replayed = Replayed::default();
        }
        if manifest.parts().next().is_none() {
            let base = manifest.next_base(&place.name, self.config.aof_use_rdb_preamble);
            log::info!("Creating AOF base file {} on server start", base.name);
            let bytes = self.write_base(&place, &base, now)?;
            manifest.base_seq = base.seq;
            manifest.base = Some(base);
            (replayed.bytes, replayed.base_bytes) = (bytes, bytes);
        }
        for (name, len) in &replayed.cut {
            // A file that can't be cut is listed with what counts of it.
            let torn = manifest.increments.iter_mut().find(|part| part.name == *name);
            place.sync_part(name)?;
            torn.into_iter().filter(|part| !place.may_reopen(&part.name)).for_each(|part| part.len = Some(*len));
        }
        if let (Some(last), Some(tail)) = (manifest.increments.last_mut(), &replayed.tail) {
            if !place.may_reopen(&last.name) {
                place.sync_part(&last.name)?;
                last.len = Some(tail.len);
            }
        }
        if replayed.cut.is_empty() {
            // A process that was killed may have left names that are not on the disk.
            place.vault.storage().sync_folder(&place.folder)?;
        } else {
            place.write_manifest(manifest)?;
        }
        let mut log = Log::new(place.clone(), manifest.clone(), self.journal.offset());
        log.set_sizes(replayed.bytes, replayed.bytes);
        log.find_offset(replayed.tail.as_ref().map_or(0, |tail| tail.len));
        log.open_last(replayed.tail)?;
        if !self.config.aof_disable_auto_gc {
            log.remove_history();
        }
        remove_log_leftovers(place.vault.storage(), &place.folder, &place.name);
        self.journal.force_select();
        self.append_log = Some(AppendLog::start(log, place, self.journal.offset(), self.waker())?);
        self.stats.persistence.log.is_on = true;
        self.effects.wanted = true;
        self.keyspace.book.propagate = true;
        self.configure_log();
        self.look_at_log(now);
        Ok(())
    }

    /// Writes a base and waits for it: its bytes.
    fn write_base(&mut self, place: &Place, base: &Part, now: Now) -> io::Result<u64> {
        let plan = self.base_plan(place, base, now);
        let (snapshot, sink) = Snapshot::begin(plan, self.facts.vault.clone())?;
        self.keyspace.begin_cut(sink);
        loop {
            self.keyspace.cut_step(Duration::MAX);
            match snapshot.poll() {
                Some(result) => {
                    self.keyspace.abandon_cut();
                    return result;
                }
                None => snapshot.nap(NAP),
            }
        }
    }

    /// DEBUG LOADAOF: what is in memory goes, and the log is read.
    pub(super) fn reload_log(&mut self, now: Now) -> Result<(), ReplayFault> {
        self.wait_for_log(now);
        self.hand_over(now);
        self.wait_for_log(now);
        let (place, manifest) = match &self.append_log {
            Some(log) => (log.place.clone(), log.keeper.log().manifest().clone()),
            None => {
                let place = place(&self.config, &self.facts.vault);
                let found = aof::find::read_manifest(&place).map_err(ReplayFault::Find)?;
                (place, found.unwrap_or_default())
            }
        };
        self.keyspace.flush(None, false);
        self.keyspace.book.events.clear();
        self.keyspace.book.vanished.clear();
        self.scripts.flush_libraries();
        self.stats.persistence.libraries.clear();
        // Whoever asks in the middle of a slow script is told that data are loaded.
        self.stats.persistence.loading = Some(Loading { since_secs: now.unix_secs(), total_bytes: 0, done_bytes: 0 });
        let replayed =
            self.replay(&place, &manifest, ReplayOptions { cut_torn: false, until_secs: None, hole: None }, now);
        self.stats.persistence.loading = None;
        replayed?;
        log::info!("Append Only File loaded by DEBUG LOADAOF");
        Ok(())
    }

    /// Turns the log on or off, as `appendonly` says now. What is being loaded comes first: then this is done at its end.
    pub(super) fn follow_appendonly(&mut self, now: Now) {
        let is_wanted = self.config.appendonly;
        if self.is_loading() || is_wanted == self.stats.persistence.log.is_on {
            return;
        }
        if !is_wanted {
            self.turn_log_off(now);
        } else if let Err(error) = self.turn_log_on(now) {
            log::warn!("The append-only log can't be turned on: {error}");
            self.config.appendonly = false;
            self.append_log = None;
            self.stats.persistence.log.is_on = false;
        }
    }

    /// Options that the log follows have new values.
    pub(super) fn reconfigure_log(&mut self, names: &[&'static str], now: Now) {
        if names.contains(&"appendonly") {
            self.follow_appendonly(now);
        }
        if names.contains(&"aof-disable-auto-gc") && !self.config.aof_disable_auto_gc {
            self.wait_for_log(now);
            if let Some(log) = self.append_log.as_ref().filter(|log| log.is_free() && log.rewrite.is_none()) {
                log.keeper.log().remove_history();
            }
        }
        if names.contains(&"appendfsync") && self.config.appendfsync != AppendFsync::No {
            self.hand_over(now);
        }
        self.configure_log();
    }
}

/// Why the log can't be begun with.
#[derive(Debug)]
pub enum StartFault {
    /// It can't be read.
    Replay(ReplayFault),
    /// There is none, and the snapshot can't be read.
    Snapshot(Box<StartError>),
    /// It can't be written.
    Write(io::Error),
}
