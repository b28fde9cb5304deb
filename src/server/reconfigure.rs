//! What a CONFIG SET entails outside the command that it was: done after its unit.

use super::{Server, log_options, title};
use crate::sys::process;
use std::os::fd::AsRawFd;

impl Server {
    /// These options have new values. What is kept of them in another form is up to date already (`Ctx::apply_config`).
    pub(super) fn reconfigure(&mut self, names: &[&'static str]) {
        if let Some(logging) = &self.logging {
            logging.set_level(log_options::level(&self.config));
            logging.set_format(log_options::format(&self.config));
        }
        title::follow(&self.config, names);
        if names.contains(&"watchdog-period") && self.config.watchdog_period == 0 {
            process::set_alarm(0);
        }
        if names.contains(&"slowlog-max-len") {
            self.stats.slowlog.truncate(self.config.slowlog_max_len as usize);
        }
        self.reconfigure_log(names, self.turn.0);
        // Opened while the command ran, so that it could tell of a failure.
        if let Some(opened) = self.facts.opened.take() {
            self.facts.listening = opened.iter().map(AsRawFd::as_raw_fd).collect();
            self.listeners = Some(opened);
        }
    }
}
