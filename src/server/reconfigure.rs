//! What a CONFIG SET entails outside the command that it was: done after its unit.

use super::{Server, log_options, title};
use crate::base::clock::Now;
use crate::sys::process;
use crate::tls::Setup;

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
            self.facts.listening = opened.descriptors();
            self.doors.get_or_insert_default().sockets = Some(opened);
        }
        if names.iter().any(|name| name.starts_with("tls-")) {
            self.offer_tls();
        }
    }

    /// New clients that speak TLS are met with what is set up now.
    fn offer_tls(&mut self) {
        if let Some(setup) = &self.facts.tls {
            self.doors.get_or_insert_default().tls = Some(setup.server.clone());
        }
    }

    /// Looks whether the files of TLS were renewed. What can't be used is told of once, and what was in use stays.
    pub(super) fn tls_cron(&mut self, now: Now) {
        let interval_ms = u64::from(self.config.tls_auto_reload_interval) * 1000;
        if interval_ms == 0 || now.mono_ms() < self.next_tls_look_ms {
            return;
        }
        let Some(setup) = &mut self.facts.tls else { return };
        self.next_tls_look_ms = now.mono_ms() + interval_ms;
        if !setup.is_renewed() {
            return;
        }
        match Setup::load(&self.config) {
            Ok(renewed) => {
                self.facts.tls = renewed;
                self.offer_tls();
                log::info!("The certificates of TLS were renewed");
            }
            Err(error) => log::warn!("The renewed certificates of TLS can't be used, the former ones stay: {error}"),
        }
    }
}
