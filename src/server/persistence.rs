//! Files at the start and at the end of the server.

use super::Server;
use super::start::StartError;
use crate::base::clock::Now;
use crate::command::persistence;
use std::io;

impl Server {
    /// Reads the snapshot, if there is one.
    pub(super) fn load_data(&mut self, now: Now) -> Result<(), StartError> {
        let loaded = persistence::load_now(&self.config, &mut self.keyspace, &mut self.stats, now, false);
        let name = self.config.dbfilename.path();
        let whole = || std::path::absolute(name).unwrap_or_else(|_| name.to_owned());
        loaded.map(drop).map_err(|fault| StartError::Data(whole(), fault))
    }

    /// Writes a snapshot, and waits for it.
    pub(super) fn save_snapshot(&mut self, now: Now) -> io::Result<()> {
        persistence::save_now(&self.config, &mut self.keyspace, &mut self.stats, now)
    }
}
