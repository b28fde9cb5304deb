//! What a handler sees of the server, and what it may answer.

use super::args::Args;
use super::dump::Links;
use super::error::CmdError;
use super::execute;
use super::server::append_log::LogDesk;
use super::table::{Row, Table};
use crate::acl::Acl;
use crate::base::clock::Now;
use crate::base::rng::Rng;
use crate::config::Config;
use crate::hub::Hub;
use crate::journal::{Effects, Journal};
use crate::keyspace::DbView;
use crate::persist::snapshot::Snapshot;
use crate::persist::vault::Vault;
use crate::resp::{OwnedArgv, Reply};
use crate::script::Scripts;
use crate::session::{ConnId, Session, Sessions};
use crate::stats::{Hidden, Stats};
use crate::sys::listen::Sockets;
use crate::tls::Setup;
use crate::types::Type;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How a handler ended.
#[derive(Debug, Clone)]
pub enum Flow {
    /// It has replied.
    Done,
    /// It has not: the client waits for a key, and the words are run again when one is ready. Only where
    /// `Ctx::may_block` allows it.
    Block(Box<Wait>),
}

/// What a command waits for.
#[derive(Debug, Clone)]
pub struct Wait {
    /// Keys of the selected database.
    pub keys: Vec<Box<[u8]>>,
    /// The type that a key must have to be worth another try.
    pub want: Type,
    /// Whether a key that went or changed its type is worth one too: a consumer of a group waits for what may be destroyed.
    pub also_gone: bool,
    /// Until when, monotonic milliseconds; `None` for ever. Then the client is told that there is no array.
    pub deadline_ms: Option<u64>,
    /// When that time has come the command is run again: it only had to wait its turn.
    pub again: bool,
    /// Words to run instead of the client's own, where those mean something else later (`$`).
    pub argv: Option<OwnedArgv>,
}

impl Wait {
    /// For a moment (monotonic milliseconds) in which the same words are run again: a command that goes on in parts.
    pub fn to_go_on(at_ms: u64) -> Wait {
        let deadline_ms = Some(at_ms);
        Wait { keys: Vec::new(), want: Type::String, also_gone: false, deadline_ms, again: true, argv: None }
    }
}

/// A handler's result: an error becomes the reply, and the data are as they were.
pub type Outcome = Result<Flow, CmdError>;

/// What a command wants of the server beyond its own reply; done after the unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// These options were changed by CONFIG SET: apply what hangs on them.
    Reconfigured(Vec<&'static str>),
    /// End the server; the reply is nothing unless it fails.
    Shutdown(Shutdown),
    /// Close a client (after its replies, if it asked for it itself).
    Close(ConnId),
    /// Read the append-only log anew, and tell this client.
    ReloadLog(ConnId),
    /// Clients may have become served again: CLIENT UNPAUSE.
    Unpaused,
}

/// How SHUTDOWN was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shutdown {
    /// SAVE, NOSAVE or neither.
    pub save: Option<bool>,
    /// Do not wait for replicas.
    pub now: bool,
    /// Go even if saving fails.
    pub force: bool,
}

impl Shutdown {
    /// Whether a snapshot is written first: if it was asked for, or there are rules and nobody was against it.
    pub fn saves(self, config: &Config) -> bool {
        self.save.unwrap_or(!config.save.is_empty())
    }
}

/// Which clients a CLIENT PAUSE holds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseKind {
    /// Only commands that may change data.
    Write,
    /// All commands.
    All,
}

/// Facts about this process, and switches that only commands use.
pub struct Facts {
    /// 40 hexadecimal digits, new at each start.
    pub run_id: String,
    /// 40 hexadecimal digits that name the stream of changes.
    pub replid: String,
    /// Monotonic nanoseconds at the start.
    pub started: Now,
    /// Path of the running program.
    pub executable: String,
    /// TCP sockets that are listened on.
    pub listening: Vec<RawFd>,
    /// TCP sockets that a CONFIG SET has opened to take their place.
    pub opened: Option<Sockets>,
    /// What connections with TLS are met with, in both directions.
    pub tls: Option<Setup>,
    /// The kernel's out-of-memory score of the process before it was set.
    pub initial_oom_score: Option<i32>,
    /// Until when (Unix milliseconds) and what CLIENT PAUSE holds up.
    pub pause: Option<(i64, PauseKind)>,
    /// Memory is over its limit, and keys are on their way out.
    pub evicting: bool,
    /// DEBUG SLEEP and its kin may be used (enable-debug-command).
    pub debug: Debug,
    /// The files of the data folder.
    pub vault: Vault,
    /// Snapshots that were begun beside the loop.
    pub saves_begun: u64,
    /// The signal that asks for the server's end, until it is heeded.
    pub end_signal: Option<&'static str>,
    /// A SIGINT has come: looked at where the loop is busy for long with ending.
    pub insisted: Arc<AtomicBool>,
    /// A snapshot is to be begun once the log is rewritten.
    pub save_scheduled: bool,
    /// The snapshot that is being written.
    pub saving: Option<Saving>,
    /// What is asked of the append-only log.
    pub log: LogDesk,
    /// Connections of MIGRATE to other servers.
    pub links: Links,
    /// Memory that was in use when the server had started, bytes.
    pub startup_used_bytes: usize,
}

/// A snapshot that is being written beside the loop.
pub struct Saving {
    /// The writer.
    pub snapshot: Snapshot,
    /// Changes since the save before it, which are no longer unsaved once it succeeds.
    pub changes: u64,
    /// When it began.
    pub begun: Now,
    /// Whether it is a copy beside the server's own file.
    pub is_copy: bool,
}

/// What DEBUG switches.
#[derive(Debug, Clone, Default)]
pub struct Debug {
    /// Periodic work stops (DEBUG PAUSE-CRON).
    pub cron_paused: bool,
    /// Scripts may call what they otherwise may not.
    pub scripts_call_all: bool,
    /// Reply buffers do not shrink or grow by themselves.
    pub reply_buffer_resizing_off: bool,
    /// Microseconds that the loop sleeps before it hands anything to the append-only log (DEBUG AOF-FLUSH-SLEEP).
    pub log_sleep_us: u64,
    /// Checksums of RESTORE's payloads do not count.
    pub skip_checksum: bool,
    /// Milliseconds after which a reply buffer's peak is forgotten.
    pub reply_buffer_peak_reset_ms: Option<i64>,
}

/// Serves other clients in the middle of a command that runs for long.
pub trait Pump {
    /// Reads what they sent, lets `Ctx::serve_other` answer, and sends the answers.
    fn serve_others(&self, cx: &mut Ctx<'_>);
}

/// One request's view of the server.
pub struct Ctx<'a> {
    /// The moment, frozen for the unit.
    pub now: Now,
    /// The selected database.
    pub db: DbView<'a>,
    /// The client's replies.
    pub reply: Reply<'a>,
    /// The client.
    pub session: &'a mut Session,
    /// All other clients.
    pub sessions: &'a mut Sessions,
    /// Who listens to what.
    pub hub: &'a mut Hub,
    /// What this unit did, as commands.
    pub effects: &'a mut Effects,
    /// The stream that they join when the unit ends.
    pub journal: &'a mut Journal,
    /// The options.
    pub config: &'a mut Config,
    /// Users and their rights.
    pub acl: &'a mut Acl,
    /// The statistics.
    pub stats: &'a mut Stats,
    /// The command table.
    pub table: &'a Table,
    /// The process.
    pub facts: &'a mut Facts,
    /// Scripts and functions.
    pub scripts: &'a mut Scripts,
    /// How others are served while a script runs for long; `None` where nobody else can be.
    pub pump: Option<&'a dyn Pump>,
    /// Wishes to the server, done after the unit.
    pub asks: &'a mut Vec<Ask>,
    /// Randomness for replies.
    pub rng: &'a mut Rng,
    /// Reading of the tick clock at the end of the last command.
    pub last_tick: u64,
    /// Units within units: EXEC and its queued commands.
    pub depth: u32,
    /// Ticks that earlier runs of a command that waited have taken; `None` if this is its first.
    pub spent_ticks: Option<u64>,
    /// The row that runs.
    pub row: Row,
    /// Words of the running request that MONITOR and SLOWLOG must not show.
    pub hidden: Hidden,
    /// Replies that may wait for this client, bytes; with more it is cut off.
    pub reply_limit_bytes: usize,
}

impl Ctx<'_> {
    /// Runs a command within this one (EXEC): gates that look at the client's state are the caller's matter.
    pub fn call(&mut self, row: Row, args: &mut Args<'_>) {
        let outer = self.row;
        self.depth += 1;
        execute::call(self, row, args);
        self.depth -= 1;
        self.row = outer;
    }

    /// Whether the server must do something before this client's next request.
    #[inline]
    pub fn must_pause(&self) -> bool {
        !self.asks.is_empty() || self.db.space.book.awaited.has_ready()
    }

    /// Whether the running command may wait: not in a transaction.
    pub fn may_block(&self) -> bool {
        self.depth == 0
    }

    /// Name under which errors speak of the running command: `config|get`.
    pub fn command_name(&self) -> &'static str {
        self.row.command.shown_name()
    }

    /// Whether the client will be cut off for what it was replied already.
    #[inline]
    pub fn is_cut_off(&self) -> bool {
        self.reply.is_over(self.reply_limit_bytes)
    }

    /// Selects a database for this client.
    pub fn select(&mut self, index: crate::keyspace::DbIndex) {
        self.session.db = index;
        self.db.index = index;
    }
}
