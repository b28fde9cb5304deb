//! One client.

use super::caching::Caching;
use super::fieldsets::Fieldsets;
use crate::acl::{SlowCheck, User};
use crate::base::clock::Now;
use crate::keyspace::{AwaitedId, DbIndex};
use crate::resp::{Decoder, Outbox, OwnedArgv, Proto};
use crate::types::Type;
use std::collections::VecDeque;
use std::rc::Rc;

/// A connection's place in the reactor. Reused after a close: what outlives a request keeps the client's `id`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct ConnId(pub usize);

/// What a session is in the middle of, as bits of `Session::mode`.
#[allow(missing_docs, reason = "each is explained by its name; CLIENT LIST shows them as letters")]
pub mod mode {
    pub const MONITOR: u32 = 1 << 0;
    pub const BLOCKED: u32 = 1 << 1;
    pub const CLOSE_AFTER_REPLY: u32 = 1 << 2;
    /// Drop the connection at once, replies unsent.
    pub const CLOSE_NOW: u32 = 1 << 3;
    pub const UNIX_SOCKET: u32 = 1 << 4;
    pub const NO_EVICT: u32 = 1 << 5;
    pub const NO_TOUCH: u32 = 1 << 6;
    /// A watched key changed: EXEC must fail.
    pub const WATCH_BROKEN: u32 = 1 << 7;
    /// Waits in CLIENT PAUSE.
    pub const PAUSED: u32 = 1 << 8;
    pub const LOOPBACK: u32 = 1 << 9;
    /// Is in the server's list of clients that a pause holds up.
    pub const PAUSE_LISTED: u32 = 1 << 10;
    /// Listens to channels or patterns.
    pub const SUBSCRIBED: u32 = 1 << 11;
    /// Has CLIENT TRACKING turned on.
    pub const CACHES: u32 = 1 << 12;
    /// Its last unit has effects that the log has not taken yet.
    pub const LOGGED: u32 = 1 << 14;
    /// Its wait is over: the command that waits answers with what there is.
    pub const WAIT_OVER: u32 = 1 << 15;
    /// Is no client: its requests are those of the log.
    pub const REPLAYS: u32 = 1 << 16;
    /// Comes for the metrics, and speaks HTTP.
    pub const METRICS: u32 = 1 << 17;
    /// Its user may not do everything: each request is checked.
    pub const RESTRICTED: u32 = 1 << 13;
}

/// For what a client is in a list of those to be written to: replies are not to wait behind the messages of thousands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Owed {
    /// It is in no list.
    #[default]
    Nothing,
    /// What it did not ask for, when there is time.
    News,
    /// A reply, with this turn's end.
    Reply,
}

/// CLIENT REPLY.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// No reply is sent.
    Off,
    /// The next command's reply is not sent.
    SkipNext,
    /// This command's reply is not sent.
    Skip,
}

/// One queued command.
#[derive(Debug)]
pub struct Queued {
    /// Number of its row.
    pub row: u16,
    /// Its words.
    pub argv: OwnedArgv,
}

/// A transaction being queued.
#[derive(Debug, Default)]
pub struct Multi {
    /// The commands, in order. EXEC takes them out to run them.
    pub queue: Vec<Queued>,
    /// How many were queued: still told while they run.
    pub count: usize,
    /// One of them was refused: EXEC aborts.
    pub broken: bool,
    /// All flags of the queued commands together.
    pub flags: u32,
    /// Bytes of their words.
    pub argv_bytes: usize,
}

/// A command that waits for keys.
#[derive(Debug)]
pub struct Blocked {
    /// Number of its row.
    pub row: u16,
    /// The words that are run again when a key is ready.
    pub argv: OwnedArgv,
    /// The type that a key must have to be ready.
    pub want: Type,
    /// Whether a key that went or changed its type matters too.
    pub also_gone: bool,
    /// The keys, each once.
    pub keys: Vec<AwaitedId>,
    /// Its place in the line.
    pub turn: u64,
    /// Until when, monotonic milliseconds; `None` for ever.
    pub deadline_ms: Option<u64>,
    /// When that time has come the command is run again instead of being given up.
    pub again: bool,
    /// Ticks that its runs have taken so far.
    pub spent_ticks: u64,
}

/// A client's state.
pub struct Session {
    /// Its number, never reused.
    pub id: u64,
    /// Its connection.
    pub conn: ConnId,
    /// `127.0.0.1:50000`, or the unix socket's path with `:0`.
    pub peer: Box<str>,
    /// Our end, in the same form.
    pub local: Box<str>,
    /// File descriptor, for CLIENT LIST.
    pub fd: i32,
    /// CLIENT SETNAME.
    pub name: Option<Box<[u8]>>,
    /// CLIENT SETINFO lib-name.
    pub lib_name: Option<Box<[u8]>>,
    /// CLIENT SETINFO lib-ver.
    pub lib_ver: Option<Box<[u8]>>,
    /// Selected database.
    pub db: DbIndex,
    /// RESP version.
    pub proto: Proto,
    /// Bits of `mode`.
    pub mode: u32,
    /// Whether it has logged in or need not.
    pub authenticated: bool,
    /// Its user; `None` for the server itself, which may do everything. Set by `become_user`.
    pub user: Option<Rc<User>>,
    /// A login whose password is being hashed elsewhere.
    pub login: Option<SlowCheck>,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Between MULTI and EXEC.
    pub multi: Option<Box<Multi>>,
    /// The command that waits for keys.
    pub blocked: Option<Box<Blocked>>,
    /// Numbers of channels, patterns and shard channels it listens to.
    pub subscribed: [u32; 3],
    /// Heap bytes of their names.
    pub subscribed_bytes: usize,
    /// CLIENT TRACKING, while it is on.
    pub caching: Option<Box<Caching>>,
    /// Its number among those that cache; kept when it turns tracking off.
    pub caching_number: Option<u32>,
    /// It emptied databases and is replied when so many values that were given away are freed.
    pub awaits_freed: Option<u64>,
    /// HIMPORT PREPARE.
    pub fieldsets: Option<Box<Fieldsets>>,
    /// Number of keys it watches.
    pub watching: usize,
    /// Heap bytes of the names of those keys.
    pub watch_bytes: usize,
    /// When it came.
    pub since: Now,
    /// Its last command, or bytes from or to it.
    pub active: Now,
    /// Row number of its last command.
    pub last_row: Option<u16>,
    /// Bytes received.
    pub input_bytes: u64,
    /// Bytes sent.
    pub output_bytes: u64,
    /// Its incomplete input.
    pub decoder: Decoder,
    /// Requests that arrived while it could not be served.
    pub waiting: VecDeque<OwnedArgv>,
    /// Heap bytes of those.
    pub waiting_bytes: usize,
    /// Its replies.
    pub outbox: Outbox,
    /// What it is to be written for.
    pub owed: Owed,
    /// Offset in the journal behind its last effects.
    pub write_offset: u64,
    /// Up to where the log must have come before all of its outbox may leave; 0 if all may.
    pub held_until: u64,
    /// Since when its outbox is over the soft limit, monotonic seconds.
    pub over_soft_since_secs: Option<u64>,
    /// Most bytes that its replies took in one go since the peak was forgotten last.
    pub reply_peak_bytes: usize,
    /// When the peak was forgotten, monotonic milliseconds.
    pub reply_peak_since_ms: u64,
    /// What the account of all clients' memory holds of it; 0 while it is not in it.
    pub(super) counted_bytes: usize,
    /// What its user's account holds of it.
    charged_bytes: usize,
}

/// Least and most room of a reply buffer in bytes.
const REPLY_ROOM_BYTES: std::ops::RangeInclusive<usize> = 1024..=16 * 1024;
/// Bytes that a subscription takes beside the name.
const SUBSCRIPTION_BYTES: usize = 32;
/// Bytes that a watched key takes beside its two copies: the lists and table slots that lead to it.
const WATCH_OVERHEAD_BYTES: usize = 96;

impl Session {
    /// A new client.
    pub fn new(id: u64, conn: ConnId, now: Now) -> Session {
        Session {
            id,
            conn,
            peer: "".into(),
            local: "".into(),
            fd: -1,
            name: None,
            lib_name: None,
            lib_ver: None,
            db: DbIndex(0),
            proto: Proto::Resp2,
            mode: 0,
            authenticated: true,
            user: None,
            login: None,
            reply_mode: ReplyMode::On,
            multi: None,
            blocked: None,
            subscribed: [0; 3],
            subscribed_bytes: 0,
            caching: None,
            caching_number: None,
            awaits_freed: None,
            fieldsets: None,
            watching: 0,
            watch_bytes: 0,
            since: now,
            active: now,
            last_row: None,
            input_bytes: 0,
            output_bytes: 0,
            decoder: Decoder::default(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            outbox: Outbox::default(),
            owed: Owed::Nothing,
            write_offset: 0,
            held_until: 0,
            over_soft_since_secs: None,
            reply_peak_bytes: 0,
            reply_peak_since_ms: now.mono_ms(),
            counted_bytes: 0,
            charged_bytes: 0,
        }
    }

    /// It acts as this user from now on.
    pub fn become_user(&mut self, user: &Rc<User>) {
        self.mode &= !mode::RESTRICTED;
        self.mode |= if user.is_unlimited() { 0 } else { mode::RESTRICTED };
        self.charge(0);
        self.user = Some(Rc::clone(user));
        self.recharge();
    }

    /// Counts so many bytes to its user, in place of those counted before.
    pub(super) fn charge(&mut self, bytes: usize) {
        let old = std::mem::replace(&mut self.charged_bytes, bytes);
        if let Some(user) = self.user.as_ref().filter(|_| old != bytes) {
            user.held.replace(old, bytes);
        }
    }

    /// Counts what it holds to its user, if that one's memory is bounded.
    pub(super) fn recharge(&mut self) {
        if self.user.as_ref().is_some_and(|user| user.memory_bytes > 0) {
            self.charge(if self.is(mode::CLOSE_NOW) { 0 } else { self.held_bytes() });
        }
    }

    /// Bytes that all connections of its user hold. While its request runs, its replies are elsewhere: they have so many.
    pub fn held_with_others(&self, user: &User, reply_bytes: usize) -> usize {
        user.held.bytes() - self.charged_bytes + self.held_bytes() + reply_bytes
    }

    /// The name of its user.
    pub fn user_name(&self) -> &[u8] {
        self.user.as_ref().map_or(b"(superuser)", |user| &user.name)
    }

    /// Whether one of these bits of `mode` is set.
    #[inline]
    pub fn is(&self, bits: u32) -> bool {
        self.mode & bits != 0
    }

    /// Whether requests may be executed now.
    #[inline]
    pub fn is_served(&self) -> bool {
        self.mode & (mode::BLOCKED | mode::PAUSED | mode::CLOSE_AFTER_REPLY | mode::CLOSE_NOW) == 0
    }

    /// Whether it is going.
    #[inline]
    pub fn is_closing(&self) -> bool {
        self.mode & (mode::CLOSE_AFTER_REPLY | mode::CLOSE_NOW) != 0
    }

    /// Heap bytes that belong to this client: what `tot-mem` shows.
    pub fn alloc_bytes(&self) -> usize {
        let text = |text: &Option<Box<[u8]>>| text.as_ref().map_or(0, |text| text.len());
        size_of::<Session>()
            + self.decoder.alloc_bytes()
            + self.outbox.alloc_bytes()
            + self.multi_bytes()
            + self.blocked.as_ref().map_or(0, |b| size_of::<Blocked>() + b.argv.alloc_bytes())
            + self.waiting_bytes
            + self.waiting.capacity() * size_of::<OwnedArgv>()
            + self.watch_bytes
            + self.fieldsets.as_ref().map_or(0, |sets| size_of::<Fieldsets>() + sets.alloc_bytes())
            + self.subscribed_bytes
            + self.caching.as_ref().map_or(0, |caching| caching.alloc_bytes())
            + self.peer.len()
            + self.local.len()
            + text(&self.name)
            + text(&self.lib_name)
            + text(&self.lib_ver)
    }

    /// Bytes that the server holds for this client: as `tot-mem` has them, but of its replies only the bytes themselves, since
    /// the room behind them goes to others when these are sent.
    pub fn held_bytes(&self) -> usize {
        self.alloc_bytes() - self.outbox.alloc_bytes() + self.outbox.len()
    }

    /// Heap bytes of the transaction that is queued or runs.
    pub fn multi_bytes(&self) -> usize {
        self.multi.as_ref().map_or(0, |multi| size_of::<Multi>() + multi.argv_bytes + multi.count * size_of::<Queued>())
    }

    /// A request must wait until the client is served again.
    pub fn wait(&mut self, argv: OwnedArgv) {
        self.waiting_bytes += argv.alloc_bytes();
        self.waiting.push_back(argv);
    }

    /// The request that has waited longest.
    pub fn take_waiting(&mut self) -> Option<OwnedArgv> {
        let argv = self.waiting.pop_front()?;
        self.waiting_bytes -= argv.alloc_bytes();
        Some(argv)
    }

    /// A request that must go on waiting, before all others.
    pub fn wait_first(&mut self, argv: OwnedArgv) {
        self.waiting_bytes += argv.alloc_bytes();
        self.waiting.push_front(argv);
    }

    /// It listens to one topic more, of a kind (0 channels, 1 patterns, 2 shard channels).
    pub fn listens(&mut self, kind: usize, name_len: usize) {
        self.subscribed[kind] += 1;
        self.subscribed_bytes += name_len + SUBSCRIPTION_BYTES;
        self.mode |= mode::SUBSCRIBED;
    }

    /// It listens to one topic less.
    pub fn stops_listening(&mut self, kind: usize, name_len: usize) {
        self.subscribed[kind] -= 1;
        self.subscribed_bytes -= name_len + SUBSCRIPTION_BYTES;
        if self.subscribed == [0; 3] {
            self.mode &= !mode::SUBSCRIBED;
        }
    }

    /// It listens to nothing any more.
    pub fn stops_listening_at_all(&mut self) {
        self.subscribed = [0; 3];
        self.subscribed_bytes = 0;
        self.mode &= !mode::SUBSCRIBED;
    }

    /// It watches one key more.
    pub fn watched(&mut self, key_len: usize) {
        self.watching += 1;
        self.watch_bytes += 2 * key_len + WATCH_OVERHEAD_BYTES;
    }

    /// It watches nothing any more, and nothing that it watched has changed.
    pub fn unwatched(&mut self) {
        self.watching = 0;
        self.watch_bytes = 0;
        self.mode &= !mode::WATCH_BROKEN;
    }

    /// Room of the reply buffer that suits this client: its own if it has one, else what its last replies needed.
    pub fn reply_room_bytes(&self) -> usize {
        if self.outbox.has_buffer() {
            return self.outbox.tail_capacity();
        }
        self.reply_peak_bytes.next_power_of_two().clamp(*REPLY_ROOM_BYTES.start(), *REPLY_ROOM_BYTES.end())
    }
}
