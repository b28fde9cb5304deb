//! The loop's work in the middle of a script that runs for long: connections are accepted, requests read and answered (with
//! BUSY, but for what may end the script), answers sent. Everything else waits for the script's end.

use super::batch::{LentTurn, Turn};
use super::{admit, open};
use crate::base::clock::Now;
use crate::command::{Ctx, Pump, refuse_protocol};
use crate::net::{Doors, Input, LentReactor, Peer, Service};
use crate::resp::{Argv, Decoded, Outbox, ProtocolError, RequestLimits};
use crate::session::{ConnId, Owed, mode};
use crate::sys::loan::Loan;
use std::rc::Rc;
use std::time::Duration;

/// The way to the sockets, and to the requests that were read together with the script's.
pub(super) struct SocketPump {
    reactor: Rc<Loan<LentReactor>>,
    turn: Rc<Loan<LentTurn>>,
}

impl SocketPump {
    pub(super) fn new(reactor: Rc<Loan<LentReactor>>, turn: Rc<Loan<LentTurn>>) -> SocketPump {
        SocketPump { reactor, turn }
    }
}

impl Pump for SocketPump {
    fn serve_others(&self, cx: &mut Ctx<'_>) {
        let now = cx.now;
        let mut service = Busy { cx, outputs: Vec::new(), closes: Vec::new() };
        self.turn.borrow(|turn| service.drain(turn, now));
        if let Some(Err(error)) = self.reactor.borrow(|reactor| reactor.turn_within(&mut service)) {
            log::warn!("Serving clients while a script runs: {error}");
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
    /// Answers the requests that came in the same turn as the script's, but for those of its own client. Once.
    fn drain(&mut self, turn: &Turn<'_>, now: Now) {
        if turn.cursors.iter().all(|cursor| cursor.closed.get() || self.cx.sessions.get(cursor.conn).is_none()) {
            return;
        }
        for (cursor, argv) in turn.rest().filter(|(cursor, _)| !cursor.closed.get()) {
            self.cx.serve_other(cursor.conn, |cx| cx.answer_other(argv));
        }
        for cursor in turn.cursors.iter().filter(|cursor| !cursor.closed.get()) {
            if self.cx.sessions.get(cursor.conn).is_none() {
                continue;
            }
            cursor.closed.set(true);
            if cursor.too_long {
                self.closes.push(cursor.conn);
            } else if let Some(fault) = &cursor.error {
                self.break_off(cursor.conn, fault);
            } else {
                self.answer(cursor.conn, cursor.bytes(), cursor.at);
            }
            self.send(cursor.conn, now);
        }
    }

    /// Answers the requests that `bytes` hold from `at` on, and keeps what is behind them.
    fn answer(&mut self, conn: ConnId, bytes: &[u8], mut at: usize) {
        let authless = self.cx.acl.is_open();
        let bulk_len = self.cx.config.proto_max_bulk_len as u64;
        loop {
            let Some(session) = self.cx.sessions.get_mut(conn).filter(|session| !session.is_closing()) else { return };
            let limits = RequestLimits { bulk_len, authenticated: session.authenticated || authless };
            let (mut spans, mut bigs) = (Vec::new(), Vec::new());
            match session.decoder.decode(bytes, at, limits, &mut spans, &mut bigs) {
                Decoded::Request { next, .. } => {
                    at = next;
                    let argv = Argv::new(bytes, &spans, &bigs);
                    self.cx.serve_other(conn, |cx| cx.answer_other(argv));
                }
                Decoded::Skip(next) => at = next,
                Decoded::Incomplete => {
                    if at < bytes.len() {
                        session.decoder.keep_copy(bytes, at);
                    }
                    return;
                }
                Decoded::Error(fault) => return self.break_off(conn, &fault),
            }
        }
    }

    /// Tells a client that broke the protocol, and closes it.
    fn break_off(&mut self, conn: ConnId, fault: &ProtocolError) {
        self.cx.serve_other(conn, |cx| {
            refuse_protocol(cx, fault);
            cx.session.mode |= mode::CLOSE_AFTER_REPLY;
        });
    }

    /// What a connection is owed is sent, if it may be.
    fn send(&mut self, conn: ConnId, now: Now) {
        let Some(session) = self.cx.sessions.get_mut(conn) else { return };
        session.active = now;
        // Replies from before the script may have to wait for the log: then those behind them do too.
        if session.owed != Owed::Reply || !self.cx.effects.wanted {
            self.outputs.push(conn);
        }
        if session.is(mode::CLOSE_NOW) || (session.outbox.is_empty() && session.is(mode::CLOSE_AFTER_REPLY)) {
            self.closes.push(conn);
        }
    }
}

impl Service for Busy<'_, '_> {
    fn handle_open(&mut self, conn: ConnId, peer: Peer, now: Now) -> Result<(), Vec<u8>> {
        open(conn, peer, now, self.cx.stats, self.cx.config, self.cx.sessions, self.cx.acl)
    }

    fn handle_secured(&mut self, conn: ConnId, certificate: Option<&[u8]>, _now: Now) {
        admit(conn, certificate, self.cx.stats, self.cx.config, self.cx.sessions, self.cx.acl);
    }

    fn may_read(&mut self, conn: ConnId) -> bool {
        self.cx.sessions.get(conn).is_some()
    }

    fn read_target(&mut self, conn: ConnId) -> Option<(&mut Vec<u8>, usize)> {
        self.cx.sessions.get_mut(conn)?.decoder.read_target()
    }

    fn handle_turn(&mut self, inputs: &[Input], shared: &[u8], now: Now) {
        for input in inputs {
            self.cx.stats.totals.input_bytes += input.len as u64;
            let Some(session) = self.cx.sessions.get_mut(input.conn) else { continue };
            session.input_bytes += input.len as u64;
            match &input.shared {
                Some(range) => self.answer(input.conn, &shared[range.clone()], 0),
                None => {
                    let own = session.decoder.take_tail();
                    self.answer(input.conn, &own, 0);
                }
            }
            self.send(input.conn, now);
        }
    }

    fn handle_close(&mut self, _conn: ConnId, _now: Now) {
        // Put off by the reactor till the outer turn is back.
    }

    fn handle_signal(&mut self, _signal: i32, _now: Now) {
        // So are signals.
    }

    fn poll_doors(&mut self) -> Option<Doors> {
        None
    }

    fn keepalive_secs(&self) -> u32 {
        self.cx.config.tcp_keepalive
    }

    fn after_writes(&mut self) {}

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
