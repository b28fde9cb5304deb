//! News on their way to whoever listens: events about keys to watchers, caches and channels, messages to subscribers. A
//! message is encoded once, however many get it; the versions of the protocol differ in its first byte only.
//!
//! ```text
//! a unit's events, in order:   watchers -> readers of the key (invalidate) -> __keyspace@db__ -> __keyevent@db__
//! to the running client:       aside, and behind its reply when the unit has ended
//! changes under a prefix:      gathered until the turn ends
//! ```

use super::args::Args;
use super::ctx::Ctx;
use super::keys;
use super::table::{Find, Row, flag};
use crate::hub::{Channels, Hub, Topic};
use crate::keyspace::{Book, DbIndex, Event, KeyEvent, class};
use crate::resp::{Outbox, Proto, Reply, SHARE_BYTES};
use crate::session::{ConnId, Redirect, Session, Sessions, mode};
use bytes::Bytes;

/// The channel on which clients of RESP2 hear about the keys of another client.
const INVALIDATE_CHANNEL: &[u8] = b"__redis__:invalidate";
/// Most keys that one command forgets because there are too many.
const FORGET_AT_ONCE: usize = 200;

/// The way to clients. `running`: the one whose command runs, which is not among `sessions` meanwhile.
pub struct Mail<'a> {
    /// The others.
    pub sessions: &'a mut Sessions,
    /// The running one.
    pub running: Option<&'a mut Session>,
}

impl Mail<'_> {
    fn is_running(&self, conn: ConnId) -> bool {
        self.running.as_ref().is_some_and(|session| session.conn == conn)
    }

    fn session(&mut self, conn: ConnId) -> Option<&mut Session> {
        match &mut self.running {
            Some(session) if session.conn == conn => Some(session),
            _ => self.sessions.get_mut(conn),
        }
    }

    /// Where a client takes what it did not ask for, and its version of the protocol.
    #[inline]
    fn inbox(&mut self, conn: ConnId) -> Option<(Proto, &mut Outbox)> {
        match &self.running {
            Some(session) if session.conn == conn => Some((session.proto, &mut self.sessions.late)),
            _ => self.sessions.push_to(conn).map(|session| (session.proto, &mut session.outbox)),
        }
    }

    /// A message begun for a client; `None` if it takes none.
    fn push(&mut self, conn: ConnId, words: usize) -> Option<Reply<'_>> {
        let (proto, out) = self.inbox(conn)?;
        let mut reply = Reply::new(out, proto);
        reply.push(words);
        Some(reply)
    }
}

/// A message in the form in which it is sent, made when the first one wants it.
#[derive(Default)]
struct Letter {
    /// All of it, or what comes before a large last word.
    bytes: Vec<u8>,
    /// The last word, if it is shared rather than copied for each.
    shared: Option<Bytes>,
}

impl Letter {
    fn send(&mut self, mail: &mut Mail<'_>, conn: ConnId, words: &[&[u8]], message: Message<'_>) {
        let Some((proto, out)) = mail.inbox(conn) else { return };
        if self.bytes.is_empty() {
            self.write(words, message);
        }
        self.bytes[0] = if proto == Proto::Resp3 { b'>' } else { b'*' };
        out.extend(&self.bytes);
        if let Some(shared) = &self.shared {
            out.share(shared.clone());
            out.extend(b"\r\n");
        }
    }

    #[cold]
    fn write(&mut self, words: &[&[u8]], message: Message<'_>) {
        let mut text = itoa::Buffer::new();
        let room: usize = words.iter().map(|word| word.len() + 16).sum();
        self.bytes.reserve(room + 32 + message.bytes.len().min(SHARE_BYTES));
        let mut header = |bytes: &mut Vec<u8>, kind: u8, n: usize| {
            bytes.push(kind);
            bytes.extend_from_slice(text.format(n).as_bytes());
            bytes.extend_from_slice(b"\r\n");
        };
        header(&mut self.bytes, b'*', words.len() + 1);
        for word in words {
            header(&mut self.bytes, b'$', word.len());
            self.bytes.extend_from_slice(word);
            self.bytes.extend_from_slice(b"\r\n");
        }
        header(&mut self.bytes, b'$', message.bytes.len());
        if message.bytes.len() < SHARE_BYTES {
            self.bytes.extend_from_slice(message.bytes);
            self.bytes.extend_from_slice(b"\r\n");
        } else {
            let shared = message.shared.cloned();
            self.shared = Some(shared.unwrap_or_else(|| Bytes::copy_from_slice(message.bytes)));
        }
    }
}

/// What is published.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// The same as an allocation that can be kept, if it arrived as one.
    pub shared: Option<&'a Bytes>,
}

/// Sends a message to all who listen to a channel (or a shard channel), and to patterns that it matches; to how many.
pub fn publish(channels: &Channels, mail: &mut Mail<'_>, kind: Topic, channel: &[u8], message: Message<'_>) -> usize {
    let mut receivers = 0;
    let mut letter = Letter::default();
    let name: &[u8] = if kind == Topic::Shard { b"smessage" } else { b"message" };
    for conn in channels.listeners(kind, channel) {
        letter.send(mail, conn, &[name, channel], message);
        receivers += 1;
    }
    if kind == Topic::Channel && channels.has_patterns() {
        for pattern in channels.matching(channel) {
            let mut letter = Letter::default();
            for conn in channels.listeners(Topic::Pattern, pattern) {
                letter.send(mail, conn, &[b"pmessage", pattern, channel], message);
                receivers += 1;
            }
        }
    }
    receivers
}

/// The news of a unit, or of a step that no client asked for, reach those who listen. `running`: the client whose command
/// made them, which is not among `sessions` meanwhile.
pub fn deliver_events(hub: &mut Hub, sessions: &mut Sessions, running: Option<&mut Session>, book: &mut Book) {
    let mut mail = Mail { sessions, running };
    for event in book.events.drain(..) {
        match event {
            KeyEvent::Key { db, key, event } => {
                if event.changed {
                    key_changed(hub, &mut mail, db, &key, event);
                }
                if event.class & hub.notify.classes != 0 && !hub.channels.is_silent() {
                    notify(hub, &mut mail, db, &key, event.name);
                }
            }
            // Those who watch were told when it happened: now nobody could say any more which keys there were.
            KeyEvent::Flushed(_) => all_keys_changed(hub, &mut mail),
            KeyEvent::Swapped(..) => {}
        }
    }
}

fn key_changed(hub: &mut Hub, mail: &mut Mail<'_>, db: DbIndex, key: &[u8], event: Event) {
    // It went by itself: by nobody's doing, and not news to who watched it when its time had come.
    let vanished = event.class & (class::EXPIRED | class::EVICTED) != 0;
    if !hub.watches.is_empty() {
        for conn in hub.watches.watchers(db, key, vanished) {
            break_watch(conn, mail.sessions, mail.running.as_deref_mut());
        }
    }
    if !hub.tracking.is_idle() {
        let by = mail.running.as_ref().filter(|_| !vanished).map(|session| session.id);
        hub.tracking.note_change(key, by);
        for conn in hub.tracking.take_readers(key) {
            if !mail.is_running(conn) {
                invalidate(mail, conn, key);
            } else if !mail.running.as_ref().is_some_and(|session| is_left_out(session, by)) {
                hub.tracking.own.push(Some(key.into()));
            }
        }
    }
}

/// Whether a client changed a key itself and does not want to hear of that.
fn is_left_out(session: &Session, by: Option<u64>) -> bool {
    by == Some(session.id) && session.caching.as_ref().is_some_and(|caching| caching.no_loop)
}

/// What a session watches has changed.
pub(super) fn break_watch(conn: ConnId, sessions: &mut Sessions, running: Option<&mut Session>) {
    match running {
        Some(session) if session.conn == conn => session.mode |= mode::WATCH_BROKEN,
        _ => {
            if let Some(session) = sessions.get_mut(conn) {
                session.mode |= mode::WATCH_BROKEN;
            }
        }
    }
}

/// Publishes an event about a key on the channels that the options choose.
fn notify(hub: &Hub, mail: &mut Mail<'_>, db: DbIndex, key: &[u8], event: &'static str) {
    let (event, notify) = (event.as_bytes(), hub.notify);
    let mut channel = Vec::with_capacity(32 + key.len().max(event.len()));
    let mut text = itoa::Buffer::new();
    let mut send = |space: &[u8], name: &[u8], message: &[u8]| {
        channel.clear();
        for part in [b"__", space, b"@", text.format(db.0).as_bytes(), b"__:", name] {
            channel.extend_from_slice(part);
        }
        publish(&hub.channels, mail, Topic::Channel, &channel, Message { bytes: message, shared: None });
    };
    if notify.keyspace {
        send(b"keyspace", key, event);
    }
    if notify.keyevent {
        send(b"keyevent", event, key);
    }
}

/// Tells a client that read a key that it is not what it was. One in broadcast mode has heard of it otherwise.
fn invalidate(mail: &mut Mail<'_>, conn: ConnId, key: &[u8]) {
    let caching = mail.session(conn).and_then(|session| session.caching.as_ref());
    if caching.is_some_and(|caching| caching.prefixes.is_none()) {
        send_invalid(mail, conn, Some(&[key]));
    }
}

/// All clients that cache are told that everything changed.
fn all_keys_changed(hub: &mut Hub, mail: &mut Mail<'_>) {
    let mut is_told = false;
    for conn in hub.tracking.clients() {
        if mail.is_running(*conn) {
            is_told = true;
        } else {
            send_invalid(mail, *conn, None);
        }
    }
    if is_told {
        hub.tracking.own.push(None);
    }
    hub.tracking.forget_all();
}

/// What has gathered under prefixes during the turn is told.
pub fn broadcast(hub: &mut Hub, sessions: &mut Sessions) {
    let mut mail = Mail { sessions, running: None };
    for news in hub.tracking.take_broadcasts() {
        let all: Vec<&[u8]> = news.keys.iter().map(|(key, _)| &**key).collect();
        for conn in news.conns {
            let Some(session) = mail.session(conn) else { continue };
            let id = session.id;
            if session.caching.as_ref().is_some_and(|caching| caching.no_loop) {
                let others = news.keys.iter().filter(|(_, by)| *by != Some(id));
                let keys: Vec<&[u8]> = others.map(|(key, _)| &**key).collect();
                if !keys.is_empty() {
                    send_invalid(&mut mail, conn, Some(&keys));
                }
            } else {
                send_invalid(&mut mail, conn, Some(&all));
            }
        }
    }
}

/// Tells a client that caches, or the one it redirects to, that some keys changed, or all.
fn send_invalid(mail: &mut Mail<'_>, conn: ConnId, changed: Option<&[&[u8]]>) {
    let Some(session) = mail.session(conn) else { return };
    let proto = session.proto;
    let Some(redirect) = session.caching.as_ref().map(|caching| caching.redirect) else { return };
    let (target, target_proto, subscribed) = match redirect {
        None => (conn, proto, false),
        Some(Redirect { id, conn: other }) => match mail.session(other).filter(|session| session.id == id) {
            Some(session) => (other, session.proto, session.is(mode::SUBSCRIBED)),
            None => return break_redirect(mail, conn, id),
        },
    };
    let reply = match target_proto {
        Proto::Resp3 => mail.push(target, 2).map(|mut reply| {
            reply.bulk(b"invalidate");
            reply
        }),
        // Without push messages only a subscriber can be told anything.
        Proto::Resp2 if subscribed => mail.push(target, 3).map(|mut reply| {
            reply.bulk(b"message");
            reply.bulk(INVALIDATE_CHANNEL);
            reply
        }),
        Proto::Resp2 => None,
    };
    let Some(mut reply) = reply else { return };
    match changed {
        None => reply.null(),
        Some(keys) => {
            reply.array(keys.len());
            keys.iter().for_each(|key| reply.bulk(key));
        }
    }
}

/// The client that was to be told in another's place is gone.
fn break_redirect(mail: &mut Mail<'_>, conn: ConnId, id: u64) {
    let Some(session) = mail.session(conn) else { return };
    if let Some(caching) = &mut session.caching {
        caching.broken_redirect = true;
    }
    if session.proto == Proto::Resp3 {
        if let Some(mut reply) = mail.push(conn, 2) {
            reply.bulk(b"tracking-redir-broken");
            reply.int(id as i64);
        }
    }
}

/// The classes of events that anybody wants to hear.
pub fn interest(hub: &Hub) -> u32 {
    let changed = if hub.watches.is_empty() && hub.tracking.is_idle() { 0 } else { class::CHANGED };
    let awaited = if hub.waits.is_empty() { 0 } else { class::AWAITED };
    let published = if hub.channels.is_silent() { 0 } else { hub.notify.classes };
    changed | awaited | published
}

impl Ctx<'_> {
    /// Says anew which events are of interest: after a watch or a listener came or went.
    pub fn refresh_interest(&mut self) {
        self.db.space.book.interest = interest(self.hub);
    }

    /// Announces an event about a key of the selected database that no edit announced.
    pub fn announce(&mut self, key: &[u8], event: Event) {
        let index = self.db.index;
        self.db.space.book.announce(index, key, event);
    }

    /// What happened so far in the unit is told before what comes now.
    #[inline]
    pub(super) fn deliver(&mut self) {
        if !self.db.space.book.events.is_empty() {
            deliver_events(self.hub, self.sessions, Some(self.session), &mut self.db.space.book);
        }
    }

    /// The outermost command ended: what changed of what the client itself has read is told after all else.
    #[inline]
    pub(super) fn tell_own(&mut self) {
        if !self.hub.tracking.own.is_empty() {
            self.tell_own_slow();
        }
    }

    #[cold]
    fn tell_own_slow(&mut self) {
        let conn = self.session.conn;
        let mut mail = Mail { sessions: self.sessions, running: Some(self.session) };
        for changed in self.hub.tracking.own.drain(..) {
            match changed {
                Some(key) => invalidate(&mut mail, conn, &key),
                None => send_invalid(&mut mail, conn, None),
            }
        }
    }

    /// Sends a message to all who listen; to how many.
    pub(super) fn publish(&mut self, kind: Topic, channel: &[u8], message: Message<'_>) -> usize {
        self.deliver();
        let mut mail = Mail { sessions: self.sessions, running: Some(self.session) };
        publish(&self.hub.channels, &mut mail, kind, channel, message)
    }

    /// What the running client was told beside its reply follows it.
    #[inline]
    pub(super) fn send_late(&mut self) {
        if !self.sessions.late.is_empty() {
            self.reply.outbox().append(&mut self.sessions.late);
        }
    }

    /// The client, which caches, has run a command that reads: its keys are remembered.
    #[cold]
    pub(super) fn remember_keys(&mut self, row: Row, args: &Args<'_>) {
        // A key that changed before it was read is to be forgotten before it is remembered.
        self.deliver();
        let Some(number) = self.session.caching_number else { return };
        // Of a script what it reads counts, not what it may read.
        let is_script = row.command.is(flag::NOSCRIPT);
        if is_script || !self.session.caching.as_ref().is_some_and(|caching| caching.remembers()) {
            return;
        }
        let argv = args.argv();
        match row.command.keys {
            [spec] if row.command.find_keys.is_none() && spec.find == (Find::Range { last: 0, step: 1, limit: 0 }) => {
                if let Some(key) = row.command.first_key().and_then(|index| argv.get(index)) {
                    self.hub.tracking.remember(number, key);
                }
            }
            _ => {
                for (index, _) in keys::keys_of(row.command, argv).unwrap_or_default() {
                    if let Some(key) = argv.get(index) {
                        self.hub.tracking.remember(number, key);
                    }
                }
            }
        }
        self.check_surplus();
    }

    /// Sees whether more keys are remembered for caches than there may be: the next command of anybody begins with that.
    pub(super) fn check_surplus(&mut self) {
        let most = self.config.tracking_table_max_keys as usize;
        self.hub.tracking.has_surplus = most > 0 && self.hub.tracking.keys() > most;
    }

    /// Forgets some keys that are remembered for caches beyond the limit; the client hears of that before its reply.
    #[cold]
    pub(super) fn forget_surplus(&mut self) {
        let most = self.config.tracking_table_max_keys as usize;
        let mut mail = Mail { sessions: self.sessions, running: Some(self.session) };
        forget_surplus(self.hub, most, &mut || self.rng.next_u64(), &mut mail);
        self.check_surplus();
        self.send_late();
    }

    /// CLIENT CACHING counts for one command, or one transaction.
    #[cold]
    pub(super) fn forget_caching_said(&mut self) {
        if self.session.multi.is_none() {
            if let Some(caching) = &mut self.session.caching {
                caching.said = false;
            }
        }
    }
}

/// Forgets keys at random, not too many at once, while more than `most` (0: no limit) are remembered; who has read them is told that they changed.
pub fn forget_surplus(hub: &mut Hub, most: usize, rng: &mut impl FnMut() -> u64, mail: &mut Mail<'_>) {
    if most == 0 {
        return;
    }
    for _ in 0..FORGET_AT_ONCE {
        if hub.tracking.keys() <= most {
            return;
        }
        let Some(key) = hub.tracking.any_key(rng) else { return };
        for conn in hub.tracking.take_readers(&key) {
            invalidate(mail, conn, &key);
        }
    }
}
