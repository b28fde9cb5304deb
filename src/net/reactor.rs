//! The loop. Owns the sockets; everything they carry is the service's.

use super::conn::{Conn, Stream};
use super::listener::Listener;
use super::service::{Doors, Input, Peer, Service};
use super::tls::Secure;
use crate::base::clock::{Clock, Now};
use crate::session::ConnId;
use crate::sys::loan::{Lendable, Loan};
use crate::sys::ticks;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const SIGNALS: Token = Token(usize::MAX - 1);
const WAKE: Token = Token(usize::MAX - 2);
/// Listeners have the tokens from here on.
const LISTENERS: usize = usize::MAX - 1000;
/// The turn's shared read buffer.
const SHARED_BYTES: usize = 1 << 20;
/// Most that one connection may put into it a turn: what it decrypts of what was read.
pub(super) const ROOM_BYTES: usize = 64 * 1024;
/// Most that is read of one connection a turn, unless a long argument is due: thousands of names, as long as others wait.
const READ_BYTES: usize = 16 * 1024;
/// Most connections accepted of one listener a turn.
const ACCEPTS_PER_TURN: usize = 256;
/// Wait before accepting again when there was no descriptor left.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Most bytes written to one connection in one turn, so that others get theirs.
const WRITE_BYTES_PER_TURN: usize = 1 << 20;

/// A reactor that is lent to the service while the service works.
pub struct LentReactor;

impl Lendable for LentReactor {
    type Lent<'a> = Reactor;
}

/// What a turn within a turn has of its own.
#[derive(Default)]
struct Inner {
    /// Whether there is one.
    on: bool,
    /// Connections to be closed when the outer turn is back: till then nobody else may get their numbers.
    closes: Vec<ConnId>,
    /// Signals are to be read then.
    signalled: bool,
    buffer: Vec<u8>,
}

/// The reactor.
pub struct Reactor {
    pub(super) poll: Poll,
    signals: Option<Signals>,
    waker: Arc<Waker>,
    listeners: Vec<Option<Listener>>,
    pub(super) conns: Slab<Conn>,
    pub(super) shared: Vec<u8>,
    clock: Clock,
    pub(super) ready: VecDeque<ConnId>,
    pub(super) inputs: Vec<Input>,
    accept_again: bool,
    inner: Inner,
    loan: Rc<Loan<LentReactor>>,
    /// What connections with TLS share.
    pub(super) secure: Secure,
}

impl Reactor {
    /// A reactor that also hears `signals`.
    ///
    /// # Errors
    /// The system's.
    pub fn new(clock: Clock, signals: &[i32]) -> io::Result<Reactor> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let signals = if signals.is_empty() {
            None
        } else {
            let mut signals = Signals::new(signals)?;
            poll.registry().register(&mut signals, SIGNALS, Interest::READABLE)?;
            Some(signals)
        };
        let mut shared = vec![0; SHARED_BYTES];
        // The part that every turn uses is there before the first request, which would else wait for the page faults.
        for page in shared[..ROOM_BYTES].chunks_mut(4096) {
            page[0] = std::hint::black_box(0);
        }
        Ok(Reactor {
            poll,
            signals,
            waker,
            listeners: Vec::new(),
            conns: Slab::new(),
            shared,
            clock,
            ready: VecDeque::new(),
            inputs: Vec::new(),
            accept_again: false,
            inner: Inner::default(),
            loan: Rc::default(),
            secure: Secure::default(),
        })
    }

    /// Where the service finds the reactor while it works: see `turn_within`.
    pub fn loan(&self) -> Rc<Loan<LentReactor>> {
        Rc::clone(&self.loan)
    }

    /// Wakes the loop from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// Takes a listener into the loop; its number serves to remove it.
    ///
    /// # Errors
    /// The system's.
    pub fn add_listener(&mut self, mut listener: Listener) -> io::Result<usize> {
        let free = self.listeners.iter().position(Option::is_none);
        let index = free.unwrap_or(self.listeners.len());
        listener.register(self.poll.registry(), Token(LISTENERS + index))?;
        if index == self.listeners.len() {
            self.listeners.push(None);
        }
        self.listeners[index] = Some(listener);
        Ok(index)
    }

    /// Stops listening.
    pub fn remove_listener(&mut self, index: usize) {
        if let Some(mut listener) = self.listeners.get_mut(index).and_then(Option::take) {
            if let Err(error) = listener.deregister(self.poll.registry()) {
                log::debug!("A listener was not registered any more: {error}");
            }
        }
    }

    /// Listens on these and no other TCP sockets, and meets new clients that speak TLS with this.
    ///
    /// # Errors
    /// The system's.
    pub fn exchange(&mut self, doors: Doors) -> io::Result<()> {
        if let Some(side) = doors.tls {
            self.secure.side = Some(side);
        }
        let Some(sockets) = doors.sockets else { return Ok(()) };
        for index in 0..self.listeners.len() {
            if matches!(self.listeners[index], Some(Listener::Tcp(_) | Listener::Tls(_) | Listener::Metrics(_))) {
                self.remove_listener(index);
            }
        }
        Listener::all(sockets).try_for_each(|listener| self.add_listener(listener).map(|_| ()))
    }

    /// One turn: waits at most as long as the service says, then reads, works and writes.
    ///
    /// # Errors
    /// The system's, of the wait itself.
    pub fn turn(&mut self, service: &mut impl Service, events: &mut Events) -> io::Result<()> {
        let timeout = if !self.ready.is_empty() {
            Some(Duration::ZERO)
        } else {
            let timeout = service.poll_timeout(self.clock.read());
            if self.accept_again { Some(timeout.map_or(ACCEPT_RETRY, |t| t.min(ACCEPT_RETRY))) } else { timeout }
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        let started = ticks::now();
        let now = self.clock.read();
        self.secure.begin_turn();
        self.sort_events(service, events, now);
        if self.accept_again {
            self.accept_again = false;
            for index in 0..self.listeners.len() {
                self.accept(service, index, now);
            }
        }
        self.read_and_work(service, now);
        let loan = self.loan();
        loan.lend(self, || service.before_wait(now));
        self.after_inner(service, now);
        self.write_all(service, now);
        self.end_late_handshakes(service, now);
        self.close_all(service, now);
        if let Some(doors) = service.poll_doors() {
            self.exchange(doors)?;
        }
        service.after_writes();
        service.handle_turn_end(ticks::now().wrapping_sub(started));
        Ok(())
    }

    fn sort_events(&mut self, service: &mut impl Service, events: &Events, now: Now) {
        for event in events {
            match event.token() {
                WAKE => {}
                SIGNALS => self.read_signals(service, now),
                Token(index) if index >= LISTENERS => self.accept(service, index - LISTENERS, now),
                Token(index) => {
                    let Some(conn) = self.conns.get_mut(index) else { continue };
                    conn.read_closed |= event.is_read_closed() || event.is_error();
                    if (event.is_readable() || conn.read_closed) && !conn.in_ready {
                        conn.in_ready = true;
                        self.ready.push_back(ConnId(index));
                    }
                    if event.is_writable() && conn.write_blocked {
                        conn.write_blocked = false;
                        self.write(service, ConnId(index), now);
                    }
                }
            }
        }
    }

    fn read_signals(&mut self, service: &mut impl Service, now: Now) {
        if self.inner.on {
            self.inner.signalled = true;
            return;
        }
        if let Some(signals) = &mut self.signals {
            for signal in signals.pending() {
                service.handle_signal(signal, now);
            }
        }
    }

    fn accept(&mut self, service: &mut impl Service, index: usize, now: Now) {
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(Some(listener)) = self.listeners.get(index) else { return };
            let is_metrics = matches!(listener, Listener::Metrics(_));
            let (accepted, path) = match listener {
                Listener::Tcp(tcp) | Listener::Metrics(tcp) => {
                    (tcp.accept().map(|(s, _)| Stream::Tcp(s)), String::new())
                }
                Listener::Tls(tcp) => match tcp.accept() {
                    Ok((tcp, _)) => match self.secure.accept(tcp, now) {
                        Some(tls) => (Ok(Stream::Tls(tls)), String::new()),
                        None => continue,
                    },
                    Err(error) => (Err(error), String::new()),
                },
                Listener::Unix(unix, path) => {
                    (unix.accept().map(|(s, _)| Stream::Unix(s)), path.to_string_lossy().into_owned())
                }
            };
            match accepted {
                Ok(stream) => self.open(service, Conn::new(stream), (&path, is_metrics), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    // No descriptor left: the backlog keeps the peers; the edge is gone, so try again by time.
                    log::warn!("Accepting client connection: {error}");
                    self.accept_again = true;
                    return;
                }
            }
        }
        self.accept_again = true;
    }

    /// Takes in a connection that came to a unix socket of this path (empty: to an address), perhaps for the metrics.
    fn open(&mut self, service: &mut impl Service, mut conn: Conn, (unix_path, metrics): (&str, bool), now: Now) {
        if let Err(error) = conn.set_options(service.keepalive_secs()) {
            log::debug!("A client left while it was accepted: {error}");
            return;
        }
        let peer = Peer { metrics, ..conn.peer(unix_path) };
        let entry = self.conns.vacant_entry();
        let id = ConnId(entry.key());
        if let Err(refusal) = service.handle_open(id, peer, now) {
            conn.write_farewell(&refusal);
            return;
        }
        if let Err(error) = conn.register(self.poll.registry(), Token(id.0)) {
            log::warn!("A client could not be registered: {error}");
            service.handle_close(id, now);
            return;
        }
        let is_tls = conn.tls().is_some();
        entry.insert(conn);
        if is_tls {
            self.secure.expect(id, now);
        }
    }

    /// Reads from all that are ready; hands over each time the shared buffer is full.
    fn read_and_work(&mut self, service: &mut impl Service, now: Now) {
        let mut left = self.ready.len();
        while left > 0 {
            let mut used = 0;
            while left > 0 && used + ROOM_BYTES <= self.shared.len() {
                let Some(id) = self.ready.pop_front() else { break };
                left -= 1;
                used += self.read(service, id, used, now);
            }
            if !self.inputs.is_empty() {
                self.hand_over(service, used, now);
            }
        }
    }

    /// Hands over what was read. Meanwhile the service may borrow the reactor, for a turn within this one.
    fn hand_over(&mut self, service: &mut impl Service, used: usize, now: Now) {
        let (mut inputs, shared) = (std::mem::take(&mut self.inputs), std::mem::take(&mut self.shared));
        let loan = self.loan();
        loan.lend(self, || service.handle_turn(&inputs, &shared[..used], now));
        inputs.clear();
        (self.inputs, self.shared) = (inputs, shared);
        self.after_inner(service, now);
    }

    /// A turn in the middle of the service's work, which waits for nothing: reads and writes. `service` stands in for the
    /// one that works.
    ///
    /// # Errors
    /// The system's, of the look at the sockets.
    pub fn turn_within(&mut self, service: &mut impl Service) -> io::Result<()> {
        let mut events = Events::with_capacity(128);
        match self.poll.poll(&mut events, Some(Duration::ZERO)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        let now = self.clock.read();
        self.inner.on = true;
        self.secure.begin_turn();
        self.sort_events(service, &events, now);
        let mut buffer = std::mem::take(&mut self.inner.buffer);
        buffer.resize(ROOM_BYTES, 0);
        std::mem::swap(&mut self.shared, &mut buffer);
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            if self.inner.closes.contains(&id) || !service.may_read(id) {
                self.ready.push_back(id);
                continue;
            }
            let used = self.read(service, id, 0, now);
            let inputs = std::mem::take(&mut self.inputs);
            service.handle_turn(&inputs, &self.shared[..used], now);
        }
        std::mem::swap(&mut self.shared, &mut buffer);
        self.inner.buffer = buffer;
        self.write_all(service, now);
        self.close_all(service, now);
        self.inner.on = false;
        Ok(())
    }

    /// What a turn within this one has put off.
    fn after_inner(&mut self, service: &mut impl Service, now: Now) {
        if std::mem::take(&mut self.inner.signalled) {
            self.read_signals(service, now);
        }
        // Who ended the server sees it go, not its connection alone.
        while let Some(id) = self.inner.closes.pop().filter(|_| service.is_accepting()) {
            self.close(service, id, now);
        }
    }

    /// Reads once from one connection; returns how much of the shared buffer it took.
    fn read(&mut self, service: &mut impl Service, id: ConnId, used: usize, now: Now) -> usize {
        let Some(conn) = self.conns.get_mut(id.0) else { return 0 };
        conn.in_ready = false;
        if conn.tls().is_some() {
            return self.read_tls(service, id, used, now);
        }
        let (result, offered, shared) = match service.read_target(id) {
            Some((target, max)) => {
                let offered = max.min(target.capacity() - target.len());
                (conn.read_behind(target, max), offered, false)
            }
            None => {
                let room = &mut self.shared[used..used + READ_BYTES];
                (conn.read(room), READ_BYTES, true)
            }
        };
        match result {
            Ok(0) => {
                self.close(service, id, now);
                0
            }
            Ok(n) => {
                // A short read has drained the socket; the next byte brings a new edge. A closed end brings none.
                if n == offered || conn.read_closed {
                    conn.in_ready = true;
                    self.ready.push_back(id);
                }
                self.inputs.push(Input { conn: id, shared: shared.then_some(used..used + n), len: n });
                if shared { n } else { 0 }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock) => 0,
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted) => {
                conn.in_ready = true;
                self.ready.push_back(id);
                0
            }
            Err(error) => {
                log::trace!("Reading from client: {error}");
                self.close(service, id, now);
                0
            }
        }
    }

    fn write_all(&mut self, service: &mut impl Service, now: Now) {
        while let Some(id) = service.poll_output() {
            if self.conns.get(id.0).is_some_and(|conn| !conn.write_blocked) {
                self.write(service, id, now);
            }
        }
    }

    pub(super) fn write(&mut self, service: &mut impl Service, id: ConnId, now: Now) {
        let mut written = 0;
        loop {
            let Some(conn) = self.conns.get_mut(id.0) else { return };
            if conn.tls().is_some_and(|tls| tls.has_unsent()) {
                if !self.flush_tls(service, id, now) {
                    return;
                }
                continue;
            }
            let Some(outbox) = service.outbox(id) else { return };
            let pending = outbox.open_len();
            if pending == 0 {
                return;
            }
            match conn.write(outbox, &mut self.secure.work) {
                Ok(n) => {
                    outbox.advance(n);
                    written += n;
                    let (all_taken, drained) = (n == pending, outbox.is_empty());
                    service.handle_sent(id, n, drained, now);
                    if all_taken {
                        return;
                    }
                    if written >= WRITE_BYTES_PER_TURN {
                        // More than its share: asking for the edge anew brings it back next turn.
                        conn.write_blocked = true;
                        self.rearm(id);
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    conn.write_blocked = true;
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    log::trace!("Error writing to client: {error}");
                    self.close(service, id, now);
                    return;
                }
            }
        }
    }

    /// Registers again, which makes the kernel report a socket that is writable already.
    fn rearm(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id.0) {
            if let Err(error) = conn.reregister(self.poll.registry(), Token(id.0)) {
                log::warn!("A client could not be registered again: {error}");
            }
        }
    }

    fn close_all(&mut self, service: &mut impl Service, now: Now) {
        while let Some(id) = service.poll_close() {
            self.close(service, id, now);
        }
    }

    pub(super) fn close(&mut self, service: &mut impl Service, id: ConnId, now: Now) {
        if self.inner.on {
            self.ready.retain(|ready| *ready != id);
            if !self.inner.closes.contains(&id) {
                self.inner.closes.push(id);
            }
            return;
        }
        if let Some(mut conn) = self.conns.try_remove(id.0) {
            if let Some(tls) = conn.tls() {
                tls.say_goodbye(&mut self.secure.work);
            }
            conn.deregister(self.poll.registry());
            if conn.in_ready {
                self.ready.retain(|ready| *ready != id);
            }
            self.inputs.retain(|input| input.conn != id);
            service.handle_close(id, now);
        }
    }

    /// Turns until the service has ended.
    ///
    /// # Errors
    /// The system's, of the wait itself.
    pub fn run(&mut self, service: &mut impl Service) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !service.is_done() {
            self.turn(service, &mut events)?;
        }
        Ok(())
    }
}
