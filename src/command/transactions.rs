//! Transactions: MULTI queues, EXEC runs what was queued unless a watched key has changed. A key whose time has come since
//! it was watched has changed; one whose time had come before has not.
//!
//! Here also is what touches many keys at once (FLUSHALL, SWAPDB): who watches must be told before it happens, while it can
//! still be seen which of the keys there are.

use super::access;
use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::execute;
use super::news;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::acl::LogContext;
use crate::base::clock::Now;
use crate::hub::Presence;
use crate::keyspace::{DbIndex, Keyspace};
use crate::session::{ConnId, mode};

/// A row of this family.
const TRANSACTION: Command = Command { group: "transactions", acl: acl::TRANSACTION, ..Command::BLANK };
const ALWAYS: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "discard",
        arity: 1,
        flags: ALWAYS | flag::FAST | flag::ALLOW_BUSY | flag::NOT_QUEUED,
        since: "2.0.0",
        complexity: "O(N) in the queued commands",
        summary: "Forgets what was queued since MULTI, and all watched keys.",
        run: Some(discard),
        ..TRANSACTION
    },
    Command {
        name: "exec",
        arity: 1,
        flags: ALWAYS | flag::SKIP_SLOWLOG | flag::NOT_QUEUED | flag::RUNS_QUEUE,
        since: "1.2.0",
        complexity: "That of the queued commands",
        summary: "Runs what was queued since MULTI, unless a watched key has changed.",
        run: Some(exec),
        ..TRANSACTION
    },
    Command {
        name: "multi",
        arity: 1,
        flags: ALWAYS | flag::FAST | flag::ALLOW_BUSY | flag::NOT_QUEUED,
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Begins a transaction: commands are queued until EXEC.",
        run: Some(multi),
        ..TRANSACTION
    },
    Command {
        name: "unwatch",
        arity: 1,
        flags: ALWAYS | flag::FAST | flag::ALLOW_BUSY,
        since: "2.2.0",
        complexity: "O(N) in the watched keys",
        summary: "Forgets all watched keys.",
        run: Some(unwatch),
        ..TRANSACTION
    },
    Command {
        name: "watch",
        arity: -2,
        flags: ALWAYS | flag::FAST | flag::ALLOW_BUSY | flag::NOT_QUEUED,
        keys: &[KeySpec::range(1, -1, 1, kf::RO)],
        args: &[Arg::key("key").multiple()],
        since: "2.2.0",
        complexity: "O(N) in the keys",
        summary: "Lets the next EXEC fail if one of these keys has changed by then.",
        run: Some(watch),
        ..TRANSACTION
    },
];

fn multi(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    if cx.session.multi.is_some() {
        return Err(CmdError::NESTED_MULTI);
    }
    cx.session.multi = Some(Box::default());
    cx.reply.ok();
    Ok(Flow::Done)
}

fn discard(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    if cx.session.multi.is_none() {
        return Err(CmdError::DISCARD_WITHOUT_MULTI);
    }
    cx.drop_transaction();
    cx.reply.ok();
    Ok(Flow::Done)
}

fn exec(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let Some(multi) = &mut cx.session.multi else { return Err(CmdError::EXEC_WITHOUT_MULTI) };
    let (queue, aborted) = (std::mem::take(&mut multi.queue), multi.broken);
    let changed = cx.session.is(mode::WATCH_BROKEN) || has_expired(cx);
    if aborted || changed {
        cx.drop_transaction();
        if aborted {
            return Err(CmdError::EXEC_ABORT);
        }
        cx.reply.null_array();
        return Ok(Flow::Done);
    }
    // What the queued commands change themselves matters to nobody here.
    cx.unwatch();
    cx.reply.array(queue.len());
    for queued in queue {
        let row = cx.table.row(queued.row);
        let skip = 1 + usize::from(!row.command.full_name.is_empty());
        let argv = queued.argv.argv();
        if let Err(denied) = access::permits(cx, row, argv) {
            access::note_denied(cx, row, argv, denied, LogContext::Multi);
            execute::fail(cx, &CmdError::no_longer_permitted(denied.what));
            continue;
        }
        let mut args = Args::new(argv, skip, cx.db.space.hasher(), None);
        cx.call(row, &mut args);
    }
    cx.session.multi = None;
    // What its commands did is told already.
    cx.effects.none();
    Ok(Flow::Done)
}

/// Whether the time of a watched key has come since it was watched.
fn has_expired(cx: &Ctx<'_>) -> bool {
    let (space, now) = (&*cx.db.space, cx.now);
    cx.hub.watches.any_expired(cx.session.conn, |db, key| presence(space, db, key, now) == Presence::Expired)
}

fn watch(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if cx.session.multi.is_some() {
        return Err(CmdError::WATCH_IN_MULTI);
    }
    while args.more() {
        let key = args.bytes()?;
        // Once broken, EXEC will fail whatever else is watched.
        if cx.session.is(mode::WATCH_BROKEN) {
            continue;
        }
        let was_expired = presence(cx.db.space, cx.db.index, key, cx.now) == Presence::Expired;
        if cx.hub.watches.add(cx.session.conn, cx.db.index, key, was_expired) {
            cx.session.watched(key.len());
        }
    }
    cx.refresh_interest();
    cx.reply.ok();
    Ok(Flow::Done)
}

fn unwatch(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.unwatch();
    cx.reply.ok();
    Ok(Flow::Done)
}

/// What a database holds under a name, without removing anything.
fn presence(space: &Keyspace, db: DbIndex, key: &[u8], now: Now) -> Presence {
    match space.dbs[db.0 as usize].table.get(space.hasher().hash(key), key) {
        None => Presence::Missing,
        Some(entry) if entry.deadline().is_some_and(|deadline| deadline <= now.unix_ms.0) => Presence::Expired,
        Some(_) => Presence::Live,
    }
}

impl Ctx<'_> {
    /// The client watches nothing any more.
    pub fn unwatch(&mut self) {
        if self.session.watching > 0 {
            self.hub.watches.remove_session(self.session.conn);
            self.refresh_interest();
        }
        self.session.unwatched();
    }

    /// The client's transaction, if there is one, is forgotten with all it watches.
    pub fn drop_transaction(&mut self) {
        self.session.multi = None;
        self.unwatch();
    }

    /// Empties one database, or all; how many keys went. Whoever watches one of them is told.
    pub fn flush(&mut self, which: Option<DbIndex>, lazy: bool) -> u64 {
        if !self.hub.watches.is_empty() {
            let (space, now) = (&*self.db.space, self.now);
            let broken = self.hub.watches.replaced(which, |db, key| (presence(space, db, key, now), Presence::Missing));
            self.break_watches(broken);
        }
        self.db.space.flush(which, lazy)
    }

    /// Exchanges two databases' contents. Whoever watches a key that differs afterwards is told.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        if !self.hub.watches.is_empty() && a != b {
            let (space, now) = (&*self.db.space, self.now);
            let mut broken = Vec::new();
            for (here, there) in [(a, b), (b, a)] {
                broken.extend(self.hub.watches.replaced(Some(here), |_, key| {
                    (presence(space, here, key, now), presence(space, there, key, now))
                }));
            }
            self.break_watches(broken);
        }
        self.db.space.swap(a, b);
    }

    fn break_watches(&mut self, broken: Vec<ConnId>) {
        for conn in broken {
            news::break_watch(conn, self.sessions, Some(self.session));
        }
    }
}
