//! The server: owns one of each room, implements `net::Service`, and spells out the loop turn.
//!
//! ```text
//! handle_turn:  decode a batch over all connections -> look rows up, hash first keys -> prefetch in three stages -> execute
//! before_wait:  timers that are due -> deadlines of keys -> clients over their limits
//! ```
//!
//! Execution order per connection is the order of arrival; a batch only brings cache misses forward.

mod append_log;
mod batch;
mod busy;
mod check;
mod commits;
mod cron;
#[cfg(test)]
mod damage;
mod keys;
mod limits;
mod log_options;
mod persistence;
#[cfg(test)]
mod power;
mod reconfigure;
mod replay;
mod rewrite;
mod start;
#[cfg(test)]
mod tests;
mod title;
mod waits;
mod write_pass;

pub use start::{StartError, run};

use crate::acl::Acl;
use crate::base::clock::Now;
use crate::base::hash::Hasher;
use crate::base::rng::Rng;
use crate::command::persistence::Load;
use crate::command::{
    Ask, Ctx, Facts, Handled, Pump, Row, Table, broadcast, catalog, derived, execute, interest, login_as,
};
use crate::config::{Config, TlsAuthClientsUser};
use crate::hub::Hub;
use crate::journal::{Effects, Journal};
use crate::keyspace::Keyspace;
use crate::net::{Doors, Input, LentReactor, Peer, Service};
use crate::persist::aof::Manifest;
use crate::resp::{Argv, Outbox, Reply};
use crate::script::Scripts;
use crate::session::{ConnId, Owed, Session, Sessions, mode};
use crate::stats::{Hidden, Stats};
use crate::sys::loan::Loan;
use crate::sys::logging::Logging;
use crate::sys::{alloc, ticks};
use crate::tls;
use batch::Batch;
use mio::Waker;
use replay::Replay;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Empty reply buffers kept for the next client that needs one.
const SPARE_BUFFERS: usize = 64;
/// Room of a new reply buffer.
const REPLY_BUFFER_BYTES: usize = 16 * 1024;
/// A reply buffer that grew past this is given back to the allocator instead of kept.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// All state of a running server.
pub struct Server {
    keyspace: Keyspace,
    sessions: Sessions,
    hub: Hub,
    effects: Effects,
    journal: Journal,
    config: Config,
    acl: Acl,
    stats: Stats,
    table: Table,
    facts: Facts,
    scripts: Scripts,
    /// The way to the sockets while a script runs for long.
    pump: Option<busy::SocketPump>,
    /// What is left of the turn's requests, for the same.
    open_turn: Rc<Loan<batch::LentTurn>>,
    rng: Rng,
    asks: Vec<Ask>,
    batch: Batch,
    kinds: batch::Kinds,
    outputs: Vec<ConnId>,
    write_pass: write_pass::WritePass,
    closes: Vec<ConnId>,
    spare_buffers: Vec<Vec<u8>>,
    paused: Vec<ConnId>,
    /// Those who wait for keys are being served.
    serving_ready: bool,
    /// Where the walk over the clients goes on.
    next_client: usize,
    /// Whether the clients' memory is accounted for.
    accounting: bool,
    cron: cron::Cron,
    ending: Option<cron::Ending>,
    /// Data that are being loaded.
    loading: Option<Box<Load>>,
    /// The log that is being made data at the start, and its parts.
    replaying: Option<Box<(Replay, Manifest)>>,
    /// Why the server can't go on.
    failure: Option<StartError>,
    /// What is to be said once clients are served.
    when_ready: Option<Box<dyn FnOnce()>>,
    /// The log; a server in a test has none.
    logging: Option<Logging>,
    /// Commands executed when the turn began.
    commands_before_turn: u64,
    /// Reads and writes of sockets by then.
    calls_before_turn: u64,
    /// How long the loop may sleep for the sake of a snapshot.
    snapshot_wait: Option<Duration>,
    /// The moment of the last turn that had requests, and the tick clock when they began to run.
    turn: (Now, u64),
    /// The append-only log, while it is written.
    append_log: Option<append_log::AppendLog>,
    /// How other threads wake the loop.
    wake: Option<Arc<Waker>>,
    /// Sockets and keys for the reactor to exchange.
    doors: Option<Doors>,
    /// When the files of TLS are looked at next, monotonic milliseconds.
    next_tls_look_ms: u64,
}

impl Server {
    /// A server with nothing in it, of these options.
    pub fn new(
        config: Config,
        facts: Facts,
        families: &[&'static [crate::command::Command]],
        mut rng: Rng,
        now: Now,
    ) -> Server {
        let seed = [rng.next_u64(), rng.next_u64(), rng.next_u64(), rng.next_u64()];
        let renamed: Vec<(String, String)> = config
            .rename_command
            .iter()
            .map(|(old, new)| (old.lossy().into_owned(), new.lossy().into_owned()))
            .collect();
        let table = Table::new(families, &renamed);
        let mut acl = Acl::new(catalog(&table));
        acl.put(acl.with_default_password(&config.requirepass));
        let hasher = Hasher::seeded(seed);
        let keyspace = Keyspace::new(config.databases as usize, hasher, Rng::seeded(rng.next_u64()));
        let mut server = Server {
            keyspace,
            sessions: Sessions::default(),
            hub: Hub::new(hasher),
            effects: Effects::default(),
            journal: Journal::default(),
            stats: Stats::new(table.len(), now),
            table,
            config,
            acl,
            facts,
            scripts: Scripts::default(),
            pump: None,
            open_turn: Rc::default(),
            rng,
            asks: Vec::new(),
            batch: Batch::default(),
            kinds: batch::Kinds::default(),
            outputs: Vec::new(),
            write_pass: write_pass::WritePass::default(),
            closes: Vec::new(),
            spare_buffers: Vec::new(),
            paused: Vec::new(),
            serving_ready: false,
            next_client: 0,
            accounting: false,
            cron: cron::Cron::new(now),
            ending: None,
            loading: None,
            replaying: None,
            failure: None,
            when_ready: None,
            logging: None,
            commands_before_turn: 0,
            calls_before_turn: 0,
            snapshot_wait: None,
            turn: (now, ticks::now()),
            append_log: None,
            wake: None,
            doors: None,
            next_tls_look_ms: 0,
        };
        derived::apply(&server.config, &mut server.keyspace, &mut server.hub, &mut server.acl, &mut server.stats);
        server.sessions.push_limit_bytes = derived::push_limit_bytes(&server.config);
        server
    }

    /// The start is over: what is in use now is what the server itself needs, and this is its log.
    fn started(&mut self, logging: Logging) {
        self.facts.startup_used_bytes = alloc::used_bytes();
        self.logging = Some(logging);
    }

    /// Runs `f` with one client's context. The client is taken out of the others meanwhile.
    fn with_session<R>(&mut self, conn: ConnId, now: Now, f: impl FnOnce(&mut Ctx<'_>) -> R) -> Option<R> {
        let mut session = self.sessions.lend(conn)?;
        let mut out = std::mem::take(&mut session.outbox);
        if !out.has_buffer() {
            let buffer = self.spare_buffers.pop();
            out.give_buffer(buffer.unwrap_or_else(|| Vec::with_capacity(REPLY_BUFFER_BYTES)));
        }
        let mut db = self.keyspace.view(session.db, now);
        db.touch_reads = !session.is(mode::NO_TOUCH);
        let reply_limit_bytes = limits::hard_reply_bytes(&self.config, &self.acl, &session);
        let result = f(&mut Ctx {
            now,
            db,
            reply: Reply::new(&mut out, session.proto),
            session: &mut session,
            sessions: &mut self.sessions,
            hub: &mut self.hub,
            effects: &mut self.effects,
            journal: &mut self.journal,
            config: &mut self.config,
            acl: &mut self.acl,
            stats: &mut self.stats,
            table: &self.table,
            facts: &mut self.facts,
            scripts: &mut self.scripts,
            pump: self.pump.as_ref().map(|pump| pump as &dyn Pump),
            asks: &mut self.asks,
            rng: &mut self.rng,
            last_tick: ticks::now(),
            depth: 0,
            spent_ticks: None,
            row: self.table.row(0),
            hidden: Hidden::default(),
            reply_limit_bytes,
        });
        // What it was told beside a reply that came otherwise than by its own request.
        if !self.sessions.late.is_empty() {
            out.append(&mut self.sessions.late);
        }
        session.outbox = out;
        self.after_session(session);
        if self.keyspace.book.awaited.has_ready() {
            self.serve_ready(now);
        }
        Some(result)
    }

    /// A client goes back among the others; what it is owed is queued for the write pass.
    fn after_session(&mut self, mut session: Box<Session>) {
        let conn = session.conn;
        session.reply_peak_bytes = session.reply_peak_bytes.max(session.outbox.len());
        let empty = session.outbox.is_empty();
        if empty {
            let buffer = session.outbox.take_buffer();
            self.keep_buffer(buffer);
        } else if session.owed != Owed::Reply {
            session.owed = Owed::Reply;
            self.outputs.push(conn);
        }
        if session.is(mode::CLOSE_NOW) || (empty && session.is(mode::CLOSE_AFTER_REPLY)) {
            self.closes.push(conn);
        }
        if session.is(mode::PAUSED) && !session.is(mode::PAUSE_LISTED) {
            session.mode |= mode::PAUSE_LISTED;
            self.paused.push(conn);
        }
        self.sessions.give_back(session);
        if self.accounting {
            self.sessions.account(conn);
        }
        if !self.asks.is_empty() {
            self.after_unit();
        }
    }

    fn keep_buffer(&mut self, buffer: Vec<u8>) {
        // Small ones, made for a message, would only have to grow again.
        let is_kept =
            (REPLY_BUFFER_BYTES..=KEPT_BUFFER_BYTES).contains(&buffer.capacity()) && !self.is_short_of_memory();
        if is_kept && self.spare_buffers.len() < SPARE_BUFFERS {
            self.spare_buffers.push(buffer);
        }
    }

    /// Whether what the server itself keeps in reserve would cost keys.
    #[inline]
    fn is_short_of_memory(&self) -> bool {
        self.config.maxmemory != 0 && alloc::used_bytes() as u64 > self.config.maxmemory
    }

    /// What a unit set in motion beyond its own client.
    fn after_unit(&mut self) {
        for ask in std::mem::take(&mut self.asks) {
            match ask {
                Ask::Reconfigured(names) => self.reconfigure(&names),
                Ask::Shutdown(how) => self.begin_shutdown(how),
                Ask::Close(conn) => self.close_soon(conn),
                Ask::ReloadLog(conn) => self.reload_for(conn),
                Ask::Unpaused => self.facts.pause = None,
            }
        }
    }

    /// DEBUG LOADAOF.
    fn reload_for(&mut self, conn: ConnId) {
        let now = self.turn.0;
        let reloaded = self.reload_log(now);
        if let Err(fault) = &reloaded {
            fault.to_string().lines().for_each(|line| log::warn!("{line}"));
        }
        self.with_session(conn, now, |cx| match reloaded {
            Ok(()) => cx.reply.ok(),
            Err(_) => cx.reply.error_bytes(b"ERR Error trying to load the AOF files, check server logs."),
        });
    }

    /// From now on others are served while a script runs for long.
    fn connect_pump(&mut self, reactor: Rc<Loan<LentReactor>>) {
        self.pump = Some(busy::SocketPump::new(reactor, Rc::clone(&self.open_turn)));
    }

    /// A connection is gone: nobody may be told anything in its name.
    fn forget_listener(&mut self, session: &Session) {
        if session.watching > 0 {
            self.hub.watches.remove_session(session.conn);
        }
        if session.is(mode::SUBSCRIBED) {
            self.hub.channels.leave(session.conn);
        }
        if let Some(caching) = &session.caching {
            self.hub.tracking.turn_off(session.conn, caching.prefixes.as_deref().unwrap_or_default());
        }
        if let Some(number) = session.caching_number {
            self.hub.tracking.leave(number);
        }
        self.keyspace.book.interest = interest(&self.hub);
    }

    /// Offers one request; what can't be served now waits in the session.
    fn serve(cx: &mut Ctx<'_>, row: Option<Row>, argv: Argv<'_>, hashed: Option<(usize, u64)>) {
        if !cx.session.is_served() || !cx.session.waiting.is_empty() {
            if !cx.session.is_closing() {
                cx.session.wait(argv.to_owned());
            }
        } else if Self::run(cx, row, argv, hashed) == Handled::Paused {
            cx.session.wait(argv.to_owned());
        }
    }

    /// Executes one request; whoever is replied too much is cut off.
    fn run(cx: &mut Ctx<'_>, row: Option<Row>, argv: Argv<'_>, hashed: Option<(usize, u64)>) -> Handled {
        let handled = execute(cx, row, argv, hashed);
        if handled == Handled::Paused {
            cx.session.mode |= mode::PAUSED;
        }
        if cx.is_cut_off() {
            limits::cut_off(cx);
        }
        handled
    }

    /// Serves requests that had to wait, in order, until one must wait again.
    fn serve_waiting(&mut self, conn: ConnId, now: Now) {
        while self.with_session(conn, now, Self::serve_some_waiting) == Some(true) {}
    }

    /// Serves waiting requests until one must wait or wants something of the server; whether there are more.
    fn serve_some_waiting(cx: &mut Ctx<'_>) -> bool {
        while cx.session.is_served() && !cx.must_pause() {
            let Some(owned) = cx.session.take_waiting() else { return false };
            let argv = owned.argv();
            let row = argv.get(0).and_then(|name| cx.table.find(name));
            if Self::run(cx, row, argv, None) == Handled::Paused {
                cx.session.wait_first(owned);
            }
        }
        cx.session.is_served() && !cx.session.waiting.is_empty()
    }

    /// The clients that a pause held up are served again, in the order in which they were stopped.
    fn resume_paused(&mut self, now: Now) {
        for conn in std::mem::take(&mut self.paused) {
            let Some(session) = self.sessions.get_mut(conn) else { continue };
            session.mode &= !(mode::PAUSED | mode::PAUSE_LISTED);
            self.serve_waiting(conn, now);
        }
    }
}

/// Takes a new connection among the clients, or says why not.
fn open(
    conn: ConnId,
    peer: Peer,
    now: Now,
    stats: &mut Stats,
    config: &Config,
    sessions: &mut Sessions,
    acl: &Acl,
) -> Result<(), Vec<u8>> {
    stats.totals.connections_received += 1;
    if sessions.len() >= config.maxclients as usize {
        stats.totals.rejected_connections += 1;
        return Err(b"-ERR max number of clients reached\r\n".to_vec());
    }
    let is_kept_out = config.protected_mode && acl.default_user().no_password && !(peer.loopback || peer.unix);
    if is_kept_out {
        stats.totals.rejected_connections += 1;
        if !peer.tls {
            return Err(start::PROTECTED_MODE_TEXT.as_bytes().to_vec());
        }
    }
    let mut session = Session::new(sessions.next_id(), conn, now);
    session.authenticated = acl.is_open();
    session.become_user(acl.default_user());
    session.fd = peer.fd;
    session.mode |= if peer.unix { mode::UNIX_SOCKET } else { 0 } | if peer.loopback { mode::LOOPBACK } else { 0 };
    session.mode |= if peer.metrics { mode::METRICS } else { 0 };
    session.peer = peer.peer.into();
    session.local = peer.local.into();
    if is_kept_out {
        // With TLS it can be told why only after the handshake.
        session.outbox.extend(start::PROTECTED_MODE_TEXT.as_bytes());
        session.mode |= mode::CLOSE_AFTER_REPLY;
    }
    log::trace!("Accepted {}", session.peer);
    sessions.insert(session);
    Ok(())
}

/// Logs a client in as the user whom its certificate names, if the options say so.
fn admit(
    conn: ConnId,
    certificate: Option<&[u8]>,
    stats: &mut Stats,
    config: &Config,
    sessions: &mut Sessions,
    acl: &Acl,
) {
    let (Some(certificate), Some(session)) = (certificate, sessions.get_mut(conn)) else { return };
    let names = match config.tls_auth_clients_user {
        TlsAuthClientsUser::Off => return,
        TlsAuthClientsUser::CommonName => tls::common_name(certificate).into_iter().collect(),
        TlsAuthClientsUser::Uri => tls::uris(certificate),
    };
    if !names.iter().any(|name| login_as(session, acl, name.as_bytes())) {
        stats.totals.denied_certificates += 1;
        log::debug!("The certificate of {} names no user: {names:?}", session.peer);
    }
}

impl Service for Server {
    fn handle_open(&mut self, conn: ConnId, peer: Peer, now: Now) -> Result<(), Vec<u8>> {
        open(conn, peer, now, &mut self.stats, &self.config, &mut self.sessions, &self.acl)
    }

    fn handle_secured(&mut self, conn: ConnId, certificate: Option<&[u8]>, _now: Now) {
        admit(conn, certificate, &mut self.stats, &self.config, &mut self.sessions, &self.acl);
    }

    fn read_target(&mut self, conn: ConnId) -> Option<(&mut Vec<u8>, usize)> {
        self.sessions.get_mut(conn)?.decoder.read_target()
    }

    fn handle_turn(&mut self, inputs: &[Input], shared: &[u8], now: Now) {
        self.turn = (now, ticks::now());
        self.stats.totals.reads += inputs.len() as u64;
        self.run_batches(inputs, shared, now);
    }

    fn handle_close(&mut self, conn: ConnId, _now: Now) {
        self.hub.monitors.remove(conn);
        self.forget_wait(conn);
        if let Some(session) = self.sessions.remove(conn) {
            self.forget_listener(&session);
        }
    }

    fn handle_signal(&mut self, signal: i32, now: Now) {
        self.signalled(signal, now);
    }

    fn poll_doors(&mut self) -> Option<Doors> {
        self.doors.take()
    }

    fn keepalive_secs(&self) -> u32 {
        self.config.tcp_keepalive
    }

    fn handle_turn_end(&mut self, busy_ticks: u64) {
        self.stats.turn_ended(busy_ticks, self.commands_before_turn);
        self.commands_before_turn = self.stats.totals.commands;
        let calls = self.stats.totals.reads + self.stats.totals.writes;
        if std::mem::replace(&mut self.calls_before_turn, calls) == calls {
            self.rest_in_snapshot();
        }
    }

    fn after_writes(&mut self) {
        self.snapshot_wait = self.snapshot_step();
    }

    fn before_wait(&mut self, now: Now) {
        self.stats.totals.turns += 1;
        if self.loading.is_some() {
            self.load_step(now);
        } else if self.replaying.is_some() {
            self.replay_step(now);
        }
        self.run_timers(now);
        self.serve_ready(now);
        self.serve_resumed(now);
        if self.hub.tracking.has_changed() {
            broadcast(&mut self.hub, &mut self.sessions);
        }
        self.enforce_limits(now);
        self.log_turn(now);
        self.gather_news(now);
    }

    fn poll_output(&mut self) -> Option<ConnId> {
        self.next_output()
    }

    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        self.sessions.get_mut(conn).map(|session| &mut session.outbox)
    }

    fn handle_sent(&mut self, conn: ConnId, bytes: usize, drained: bool, now: Now) {
        self.stats.totals.writes += 1;
        self.stats.totals.output_bytes += bytes as u64;
        let Some(session) = self.sessions.get_mut(conn) else { return };
        session.output_bytes += bytes as u64;
        session.active = now;
        if drained {
            let buffer = session.outbox.take_buffer();
            session.over_soft_since_secs = None;
            if session.is(mode::CLOSE_AFTER_REPLY) {
                self.closes.push(conn);
            }
            self.keep_buffer(buffer);
        }
        if self.accounting {
            self.sessions.account(conn);
            if !drained {
                self.limit_user_of(conn);
            }
        }
    }

    fn poll_close(&mut self) -> Option<ConnId> {
        self.closes.pop()
    }

    fn poll_timeout(&self, now: Now) -> Option<Duration> {
        if self.write_pass.has_news() { Some(Duration::ZERO) } else { self.next_timer(now) }
    }

    fn is_done(&self) -> bool {
        self.failure.is_some() || self.has_ended()
    }

    fn is_accepting(&self) -> bool {
        self.ending.is_none()
    }
}
