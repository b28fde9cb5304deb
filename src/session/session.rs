//! One client.

use crate::base::clock::Now;
use crate::keyspace::DbIndex;
use crate::resp::{Decoder, Outbox, OwnedArgv, Proto};
use std::collections::VecDeque;

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
    /// The commands, in order.
    pub queue: Vec<Queued>,
    /// One of them was refused: EXEC aborts.
    pub broken: bool,
    /// All flags of the queued commands together.
    pub flags: u32,
    /// Bytes of their words.
    pub argv_bytes: usize,
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
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Between MULTI and EXEC.
    pub multi: Option<Box<Multi>>,
    /// Number of keys it watches.
    pub watching: usize,
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
    /// Its replies.
    pub outbox: Outbox,
    /// Whether it is in the list of outboxes to be written this turn.
    pub queued_for_write: bool,
    /// Since when its outbox is over the soft limit, monotonic milliseconds.
    pub over_soft_since_ms: Option<u64>,
}

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
            reply_mode: ReplyMode::On,
            multi: None,
            watching: 0,
            since: now,
            active: now,
            last_row: None,
            input_bytes: 0,
            output_bytes: 0,
            decoder: Decoder::default(),
            waiting: VecDeque::new(),
            outbox: Outbox::default(),
            queued_for_write: false,
            over_soft_since_ms: None,
        }
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
        let multi = self.multi.as_ref().map_or(0, |m| m.argv_bytes + m.queue.capacity() * size_of::<Queued>());
        size_of::<Session>() + self.decoder.alloc_bytes() + self.outbox.alloc_bytes() + multi
            + self.waiting.iter().map(OwnedArgv::alloc_bytes).sum::<usize>()
            + self.peer.len() + self.local.len() + self.name.as_ref().map_or(0, |n| n.len())
    }
}
