//! Files at the start and at the end of the server.

use super::Server;
use super::start::StartError;
use crate::acl::Audit;
use crate::base::clock::Now;
use crate::command::adopt_libraries;
use crate::command::persistence;
use crate::command::users::load_at_start;
use crate::keyspace::cut::Progress;
use std::io;
use std::time::Duration;

/// Longest step of a snapshot within a turn.
const STEP: Duration = Duration::from_micros(200);
/// How long the walk waits for the writer before it looks again.
const WRITER_PAUSE: Duration = Duration::from_millis(1);

impl Server {
    /// Takes over the users, and opens the audit log.
    pub(super) fn load_users(&mut self) -> Result<(), StartError> {
        load_at_start(&self.config, &mut self.acl, Some(&self.facts.vault)).map_err(StartError::Users)?;
        let path = self.config.audit_log_file.path();
        let opened = Audit::open(path);
        self.acl.audit = opened.map_err(|error| StartError::Audit(path.to_owned(), error))?;
        Ok(())
    }

    /// Reads the snapshot, if there is one.
    pub(super) fn load_data(&mut self, now: Now) -> Result<(), StartError> {
        let loaded =
            persistence::load_now(&self.config, &self.facts.vault, &mut self.keyspace, &mut self.stats, now, false);
        let name = self.config.dbfilename.path();
        let whole = || std::path::absolute(name).unwrap_or_else(|_| name.to_owned());
        let loaded = loaded.map_err(|fault| StartError::Data(whole(), fault))?;
        let libraries = loaded.map_or_else(Vec::new, |loaded| loaded.libraries);
        adopt_libraries(&mut self.scripts, &libraries, true).map_err(|error| {
            StartError::System("A library of functions can't be loaded", io::Error::other(error.to_string()))
        })
    }

    /// Goes on with the snapshot that is being written: a bounded step. How long the loop may sleep for its sake.
    pub(super) fn snapshot_step(&mut self) -> Option<Duration> {
        self.keyspace.book.cut.as_ref()?;
        match self.keyspace.cut_step(STEP) {
            Progress::More => Some(Duration::ZERO),
            Progress::Waiting => Some(WRITER_PAUSE),
            Progress::Done => None,
        }
    }

    /// What is due about snapshots, ten times a second.
    pub(super) fn snapshot_cron(&mut self, now: Now) {
        persistence::poll_save(&mut self.keyspace, &mut self.stats, &mut self.facts, now);
        let free = self.facts.saving.is_none() && self.ending.is_none();
        if free && persistence::is_save_due(&self.config, &self.keyspace, &self.stats, now) {
            // A failure is in the log and in INFO; the next try comes by itself.
            let begun =
                persistence::begin_save(&self.config, &mut self.keyspace, &mut self.stats, &mut self.facts, now);
            drop(begun);
        }
    }

    /// Writes a snapshot, and waits for it.
    pub(super) fn save_snapshot(&mut self, now: Now) -> io::Result<()> {
        persistence::end_save(&mut self.keyspace, &mut self.stats, &mut self.facts);
        persistence::save_now(&self.config, &self.facts.vault, &mut self.keyspace, &mut self.stats, now)
    }
}
