//! The reactor's part for connections with TLS: accepting, reading, the end of their handshakes. `secure` knows the records.
//!
//! A handshake costs the loop about as much as a hundred thousand cheap commands, so a turn does few of them; the others stay
//! in the queue of connections that are ready. One that does not come to its end is closed.

use super::reactor::{ROOM_BYTES, Reactor};
use super::secure::{Got, Sink, TlsStream, Workspace};
use super::service::{Input, Service};
use crate::base::clock::Now;
use crate::session::ConnId;
use crate::tls::ServerSide;
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};

/// Steps of handshakes done in one turn.
const HANDSHAKES_PER_TURN: u32 = 4;
/// Time that a handshake may take, milliseconds.
const HANDSHAKE_MS: u64 = 30_000;
/// Failed handshakes that are logged in a second; what is beyond is counted.
const LOGGED_PER_SECOND: u32 = 10;

/// What connections with TLS share.
#[derive(Default)]
pub(super) struct Secure {
    /// What new ones are met with.
    pub(super) side: Option<ServerSide>,
    pub(super) work: Workspace,
    /// Steps of handshakes that this turn may still do.
    steps_left: u32,
    /// Handshakes in the order in which they began: when, and whose.
    pending: VecDeque<(u64, ConnId)>,
    /// The second in which failures are counted, and how many there were.
    failures: (i64, u32),
}

impl Secure {
    pub(super) fn begin_turn(&mut self) {
        self.steps_left = HANDSHAKES_PER_TURN;
    }

    /// A connection that comes; nothing if it can't be served.
    pub(super) fn accept(&self, tcp: TcpStream, now: Now) -> Option<Box<TlsStream>> {
        let side = self.side.as_ref()?;
        match TlsStream::new(tcp, side, now.mono_ms()) {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                log::warn!("Error accepting a client connection: {error}");
                None
            }
        }
    }

    /// A handshake begins.
    pub(super) fn expect(&mut self, id: ConnId, now: Now) {
        self.pending.push_back((now.mono_ms(), id));
    }

    /// Tells the log of a client that could not be taken: of the first few of a second, and of the number of the others.
    fn log_failure(&mut self, peer: &str, reason: &str, now: Now) {
        let (second, count) = &mut self.failures;
        if *second != now.unix_secs() {
            if *count > LOGGED_PER_SECOND {
                log::warn!("Error accepting a client connection: {} more", *count - LOGGED_PER_SECOND);
            }
            (*second, *count) = (now.unix_secs(), 0);
        }
        *count += 1;
        if *count <= LOGGED_PER_SECOND {
            log::warn!("Error accepting a client connection: {reason} (addr={peer})");
        }
    }
}

impl Reactor {
    /// Reads once from a connection with TLS; returns how much of the shared buffer it took.
    pub(super) fn read_tls(&mut self, service: &mut impl Service, id: ConnId, used: usize, now: Now) -> usize {
        let Some(conn) = self.conns.get_mut(id.0) else { return 0 };
        let read_closed = conn.read_closed;
        let Some(tls) = conn.tls() else { return 0 };
        let was_handshaking = tls.is_handshaking();
        if was_handshaking {
            if self.secure.steps_left == 0 {
                conn.in_ready = true;
                self.ready.push_back(id);
                return 0;
            }
            self.secure.steps_left -= 1;
        }
        let (result, shared) = match service.read_target(id) {
            Some((target, max)) => {
                let room = max.min(target.capacity() - target.len());
                (tls.read(&mut Sink::Behind(target, room, 0), &mut self.secure.work, read_closed), false)
            }
            None => {
                let room = &mut self.shared[used..used + ROOM_BYTES];
                (tls.read(&mut Sink::Room(room, 0), &mut self.secure.work, read_closed), true)
            }
        };
        let (more, secured) = (tls.has_more(), was_handshaking && !tls.is_handshaking());
        let blocked = tls.has_unsent();
        conn.write_blocked |= blocked;
        let bytes = match result {
            Ok(Got::End) if was_handshaking => {
                self.fail_handshake(service, id, &ErrorKind::UnexpectedEof.into(), now);
                return 0;
            }
            Ok(Got::End) => {
                self.close(service, id, now);
                return 0;
            }
            Err(error) if was_handshaking => {
                self.fail_handshake(service, id, &error, now);
                return 0;
            }
            Err(error) => {
                log::trace!("Reading from client: {error}");
                self.close(service, id, now);
                return 0;
            }
            Ok(Got::Bytes(bytes)) => bytes,
            Ok(Got::Nothing) => 0,
        };
        if more {
            conn.in_ready = true;
            self.ready.push_back(id);
        }
        if bytes > 0 {
            self.inputs.push(Input { conn: id, shared: shared.then_some(used..used + bytes), len: bytes });
        }
        if secured {
            self.secured(service, id, now);
        }
        if shared { bytes } else { 0 }
    }

    /// A handshake is over: what has waited for it can be sent.
    fn secured(&mut self, service: &mut impl Service, id: ConnId, now: Now) {
        let Some(conn) = self.conns.get_mut(id.0) else { return };
        let Some(tls) = conn.tls() else { return };
        service.handle_secured(id, tls.peer_certificate(), now);
        if !tls.has_unsent() {
            conn.write_blocked = false;
            self.write(service, id, now);
        }
    }

    fn fail_handshake(&mut self, service: &mut impl Service, id: ConnId, error: &io::Error, now: Now) {
        let reason = match error.kind() {
            ErrorKind::UnexpectedEof => "the client has gone before the end of the handshake".to_owned(),
            _ => error.to_string(),
        };
        let peer = self.conns.get(id.0).map(|conn| conn.peer("").peer).unwrap_or_default();
        self.secure.log_failure(&peer, &reason, now);
        self.close(service, id, now);
    }

    /// Sends records that have waited; whether all of them are gone.
    pub(super) fn flush_tls(&mut self, service: &mut impl Service, id: ConnId, now: Now) -> bool {
        let Some(conn) = self.conns.get_mut(id.0) else { return false };
        match conn.tls().map(TlsStream::flush) {
            None | Some(Ok(())) => true,
            Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
                conn.write_blocked = true;
                false
            }
            Some(Err(error)) => {
                log::trace!("Error writing to client: {error}");
                self.close(service, id, now);
                false
            }
        }
    }

    /// Closes those whose handshake takes too long. Whoever waits for the loop itself is spared.
    pub(super) fn end_late_handshakes(&mut self, service: &mut impl Service, now: Now) {
        while let Some((since_ms, id)) = self.secure.pending.front().copied() {
            if now.mono_ms().saturating_sub(since_ms) < HANDSHAKE_MS {
                return;
            }
            self.secure.pending.pop_front();
            let Some(conn) = self.conns.get_mut(id.0) else { continue };
            let in_ready = conn.in_ready;
            let Some(tls) = conn.tls() else { continue };
            if !tls.is_handshaking() || tls.since_ms != since_ms {
                continue;
            }
            if in_ready {
                self.secure.pending.push_back((since_ms, id));
                return;
            }
            self.fail_handshake(service, id, &io::Error::other("the handshake took too long"), now);
        }
    }
}
