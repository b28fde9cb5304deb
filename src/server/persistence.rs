//! Files at the start and at the end of the server.

use super::Server;
use super::start::StartError;
use crate::acl::Audit;
use crate::base::clock::Now;
use crate::command::adopt_libraries;
use crate::command::persistence::{self, Load};
use crate::command::users::load_at_start;
use crate::keyspace::cut::Progress;
use crate::persist::leftover::remove_leftovers;
use crate::persist::rdb::{Fault, KeyDelay, LoadBudget};
use crate::persist::seal::KEY_FILE;
use crate::stats::Loading;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long the walk waits for the writer before it looks again.
const WRITER_PAUSE: Duration = Duration::from_millis(1);

/// Rest between two steps of the walk, if there is nothing else to do; the system makes about 0.1 ms of it.
const STEP_REST: Duration = Duration::from_micros(50);

/// Longest step of a load within a turn.
const LOAD_STEP: Duration = Duration::from_millis(5);
/// How long a step waits for the reader.
const READER_PAUSE: Duration = Duration::from_millis(1);
/// From so many bytes on others are answered while a file is loaded.
const SERVED_FROM_BYTES: u64 = 1 << 20;

impl Server {
    /// Removes unfinished files of servers that are gone. Called before this one writes any.
    pub(super) fn remove_leftovers(&self) {
        let (config, storage) = (&self.config, self.facts.vault.storage());
        let users = config.aclfile.path();
        let users_name = users.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let users_folder = users.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        remove_leftovers(storage, Path::new("."), &[KEY_FILE]);
        remove_leftovers(storage, config.appenddirname.path(), &[]);
        if !users_name.is_empty() {
            remove_leftovers(storage, users_folder, &[&users_name]);
        }
    }

    /// Takes over the users, and opens the audit log.
    pub(super) fn load_users(&mut self) -> Result<(), StartError> {
        load_at_start(&self.config, &mut self.acl, Some(&self.facts.vault)).map_err(StartError::Users)?;
        let path = self.config.audit_log_file.path();
        let opened = Audit::open(path);
        self.acl.audit = opened.map_err(|error| StartError::Audit(path.to_owned(), error))?;
        Ok(())
    }

    /// Begins to read the snapshot, if there is one. A small one is in the databases when this returns; a longer one comes in
    /// steps between the loop's turns, which answer LOADING meanwhile.
    pub(super) fn load_data(&mut self, now: Now) -> Result<(), StartError> {
        let begun = Load::begin(&self.config, &self.facts.vault, &self.keyspace, now, false);
        let Some(load) = begun.map_err(|fault| self.unreadable(fault))? else { return Ok(()) };
        let (total_bytes, at_once) =
            (load.total_bytes(), load.total_bytes() < SERVED_FROM_BYTES && self.config.key_load_delay == 0);
        self.stats.persistence.loading = Some(Loading { since_secs: now.unix_secs(), total_bytes, done_bytes: 0 });
        self.loading = Some(Box::new(load));
        while at_once && self.loading.is_some() {
            self.load(LoadBudget::ALL)?;
        }
        Ok(())
    }

    /// Goes on with the load: a bounded step. A failure ends the server.
    pub(super) fn load_step(&mut self, now: Now) {
        let budget = LoadBudget {
            time: LOAD_STEP,
            bytes: self.config.loading_process_events_interval_bytes,
            wait: READER_PAUSE,
            key_delay: KeyDelay(self.config.key_load_delay),
        };
        if let Err(error) = self.load(budget) {
            self.failure = Some(error);
        } else if self.loading.is_none() {
            self.follow_appendonly(now);
            self.be_ready();
        }
    }

    fn load(&mut self, budget: LoadBudget) -> Result<(), StartError> {
        let Some(load) = &mut self.loading else { return Ok(()) };
        let stepped = load.step(&mut self.keyspace, &mut self.stats, budget);
        if let Some(status) = &mut self.stats.persistence.loading {
            status.done_bytes = load.read_bytes();
        }
        let Some(loaded) = stepped.map_err(|fault| self.unreadable(fault))? else { return Ok(()) };
        self.loading = None;
        self.stats.persistence.loading = None;
        adopt_libraries(&mut self.scripts, &mut self.stats, &loaded.libraries, true).map_err(|error| {
            StartError::System("A library of functions can't be loaded", io::Error::other(error.to_string()))
        })
    }

    /// Reads the snapshot to its end.
    pub(super) fn load_data_now(&mut self, now: Now) -> Result<(), StartError> {
        self.load_data(now)?;
        while self.loading.is_some() {
            self.load(LoadBudget::ALL)?;
        }
        Ok(())
    }

    /// The load was given up.
    pub(super) fn end_load(&mut self) {
        self.loading = None;
        if let Some(mut running) = self.replaying.take() {
            self.end_replay(&mut running.0);
        }
        self.stats.persistence.loading = None;
    }

    /// Whether data are still coming in.
    pub(super) fn is_loading(&self) -> bool {
        self.loading.is_some() || self.replaying.is_some()
    }

    fn unreadable(&self, fault: Fault) -> StartError {
        let name = self.config.dbfilename.path();
        StartError::Data(std::path::absolute(name).unwrap_or_else(|_| name.to_owned()), fault)
    }

    /// From now on clients are served: whoever waited for that is told.
    pub(super) fn be_ready(&mut self) {
        if let Some(tell) = self.when_ready.take() {
            tell();
        }
    }

    /// Goes on with the snapshot that is being written: a bounded step. How long the loop may sleep for its sake.
    pub(super) fn snapshot_step(&mut self) -> Option<Duration> {
        self.keyspace.book.cut.as_ref()?;
        match self.keyspace.cut_step(Duration::from_micros(self.config.snapshot_step_us.into())) {
            Progress::More => Some(Duration::ZERO),
            Progress::Waiting => Some(WRITER_PAUSE),
            Progress::Done => None,
        }
    }

    /// A turn in which nobody wanted anything: before the next step whoever else wants the processor has it for a moment. To a
    /// loop that never rests the system gives it at its ticks only, which are up to 4 ms apart.
    pub(super) fn rest_in_snapshot(&self) {
        let is_gathering = self.append_log.as_ref().is_some_and(|log| log.is_gathering());
        if self.snapshot_wait == Some(Duration::ZERO) && !is_gathering && self.facts.vault.storage().has_threads() {
            std::thread::sleep(STEP_REST);
        }
    }

    /// What is due about snapshots, ten times a second.
    pub(super) fn snapshot_cron(&mut self, now: Now) {
        persistence::poll_save(&mut self.keyspace, &mut self.stats, &mut self.facts, now);
        if self.is_loading() {
            return;
        }
        let rewriting = persistence::is_rewriting(&self.keyspace, &self.facts);
        let free = self.facts.saving.is_none() && self.ending.is_none() && !rewriting;
        let wanted = |server: &Self| {
            server.facts.save_scheduled
                || persistence::is_save_due(&server.config, &server.keyspace, &server.stats, now)
        };
        if free && wanted(self) {
            // A failure is in the log and in INFO; the next try comes by itself.
            let begun =
                persistence::begin_save(&self.config, &mut self.keyspace, &mut self.stats, &mut self.facts, now);
            drop(begun);
        }
    }

    /// Writes a snapshot, and waits for it.
    pub(super) fn save_snapshot(&mut self, now: Now) -> io::Result<()> {
        persistence::end_save(&mut self.keyspace, &mut self.stats, &mut self.facts);
        let (config, vault, insisted) = (&self.config, &self.facts.vault, &*self.facts.insisted);
        persistence::save_now(config, vault, &mut self.keyspace, &mut self.stats, now, Some(insisted))
    }
}
