//! The loop's work in the middle of a script that runs for long: connections are accepted, requests read and answered (with
//! BUSY, but for what may end the script), answers sent. Everything else waits for the script's end.

use super::open;
use crate::base::clock::Now;
use crate::command::{Ctx, Pump, refuse_protocol};
use crate::net::{Input, LentReactor, Peer, Service};
use crate::resp::{Argv, Decoded, Outbox, RequestLimits};
use crate::session::{ConnId, mode};
use crate::sys::loan::Loan;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::Duration;

/// The way to the sockets.
pub(super) struct SocketPump(pub Rc<Loan<LentReactor>>);

impl Pump for SocketPump {
    fn serve_others(&self, cx: &mut Ctx<'_>) {
        let mut service = Busy { cx, outputs: Vec::new(), closes: Vec::new() };
        match self.0.borrow(|reactor| reactor.turn_within(&mut service)) {
            Some(Err(error)) => log::warn!("Serving clients while a script runs: {error}"),
            Some(Ok(())) | None => {}
        }
    }
}

/// The service of such a turn: all that it can reach is what the script's command can.
struct Busy<'c, 'a> {
    cx: &'c mut Ctx<'a>,
    outputs: Vec<ConnId>,
    closes: Vec<ConnId>,
}

impl Busy<'_, '_> {
    /// Answers what one connection sent.
    fn answer(&mut self, input: &Input, shared: &[u8], now: Now) {
        self.cx.stats.totals.input_bytes += input.len as u64;
        let authless = self.cx.config.requirepass.is_empty();
        let bulk_len = self.cx.config.proto_max_bulk_len as u64;
        let Some(session) = self.cx.sessions.get_mut(input.conn) else { return };
        session.active = now;
        session.input_bytes += input.len as u64;
        let authenticated = session.authenticated || authless;
        let limits = RequestLimits { bulk_len, authenticated };
        let bytes = match &input.shared {
            Some(range) => shared[range.clone()].to_vec(),
            None => session.decoder.take_tail(),
        };
        let (mut at, mut error) = (0, None);
        loop {
            let Some(session) = self.cx.sessions.get_mut(input.conn).filter(|s| !s.is_closing()) else { return };
            let (mut spans, mut bigs) = (Vec::new(), Vec::new());
            match session.decoder.decode(&bytes, at, limits, &mut spans, &mut bigs) {
                Decoded::Request { next, .. } => {
                    at = next;
                    let argv = Argv::new(&bytes, &spans, &bigs);
                    self.cx.serve_other(input.conn, |cx| cx.answer_other(argv));
                }
                Decoded::Skip(next) => at = next,
                Decoded::Incomplete => break,
                Decoded::Error(fault) => {
                    error = Some(fault);
                    break;
                }
            }
        }
        if let Some(error) = error {
            self.cx.serve_other(input.conn, |cx| {
                refuse_protocol(cx, &error);
                cx.session.mode |= mode::CLOSE_AFTER_REPLY;
            });
        } else if let Some(session) = self.cx.sessions.get_mut(input.conn) {
            session.decoder.keep(bytes, at);
        }
    }
}

impl Service for Busy<'_, '_> {
    fn handle_open(&mut self, conn: ConnId, peer: Peer, now: Now) -> Result<(), Vec<u8>> {
        open(conn, peer, now, self.cx.stats, self.cx.config, self.cx.sessions)
    }

    fn may_read(&mut self, conn: ConnId) -> bool {
        self.cx.sessions.get(conn).is_some()
    }

    fn read_target(&mut self, conn: ConnId) -> Option<(&mut Vec<u8>, usize)> {
        self.cx.sessions.get_mut(conn)?.decoder.read_target()
    }

    fn handle_turn(&mut self, inputs: &[Input], shared: &[u8], now: Now) {
        for input in inputs {
            self.answer(input, shared, now);
            let Some(session) = self.cx.sessions.get(input.conn) else { continue };
            // Replies from before the script may have to wait for the log: then those behind them do too.
            if !session.queued_for_write || !self.cx.effects.wanted {
                self.outputs.push(input.conn);
            }
            if session.is(mode::CLOSE_NOW) || (session.outbox.is_empty() && session.is(mode::CLOSE_AFTER_REPLY)) {
                self.closes.push(input.conn);
            }
        }
    }

    fn handle_close(&mut self, _conn: ConnId, _now: Now) {
        // Put off by the reactor till the outer turn is back.
    }

    fn handle_signal(&mut self, _signal: i32, _now: Now) {
        // So are signals.
    }

    fn poll_listeners(&mut self) -> Option<Vec<TcpListener>> {
        None
    }

    fn keepalive_secs(&self) -> u32 {
        self.cx.config.tcp_keepalive
    }

    fn handle_turn_end(&mut self, _busy_ticks: u64) {}

    fn before_wait(&mut self, _now: Now) {}

    fn poll_output(&mut self) -> Option<ConnId> {
        self.outputs.pop()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.cx.sessions.get_mut(conn).map(|session| &mut session.outbox)
    }

    fn handle_sent(&mut self, conn: ConnId, bytes: usize, drained: bool, now: Now) {
        self.cx.stats.totals.writes += 1;
        self.cx.stats.totals.output_bytes += bytes as u64;
        let Some(session) = self.cx.sessions.get_mut(conn) else { return };
        session.output_bytes += bytes as u64;
        session.active = now;
        if drained {
            session.outbox.take_buffer();
            if session.is(mode::CLOSE_AFTER_REPLY) {
                self.closes.push(conn);
            }
        }
    }

    fn poll_close(&mut self) -> Option<ConnId> {
        self.closes.pop()
    }

    fn poll_timeout(&self, _now: Now) -> Option<Duration> {
        Some(Duration::ZERO)
    }

    fn is_done(&self) -> bool {
        false
    }

    fn is_accepting(&self) -> bool {
        true
    }
}
