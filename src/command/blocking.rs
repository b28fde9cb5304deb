//! Waiting: a command that finds nothing to do yet leaves its client blocked on keys, and is run again with the same words
//! when one of them is ready. Whoever waited longest at a key comes first. A wait ends by success, error, timeout, CLIENT
//! UNBLOCK or the end of the connection.
//!
//! A client that waits is among the others with `mode::BLOCKED`: what it sends meanwhile is kept and served afterwards.

use super::access;
use super::args::Args;
use super::ctx::{Ctx, Wait};
use super::error::CmdError;
use super::execute::{self, end_unit};
use super::news::interest;
use crate::acl::LogContext;
use crate::hub::Hub;
use crate::keyspace::{AwaitedId, Book};
use crate::resp::{Argv, Reply};
use crate::session::{Blocked, ConnId, ReplyMode, Session, Sessions, mode};

impl Ctx<'_> {
    /// The running command waits. `took`: ticks of the run that found nothing.
    #[cold]
    pub(super) fn block(&mut self, wait: Wait, argv: Argv<'_>, took: u64) {
        if !self.hub.monitors.is_empty() {
            execute::feed_monitors(self, argv);
        }
        self.effects.discard_replaced();
        self.session.mode |= mode::BLOCKED;
        if let Some(spent) = &mut self.spent_ticks {
            *spent += took;
            if !wait.again {
                // It waits on, in its old place.
                return;
            }
        }
        let awaited = &mut self.db.space.book.awaited;
        let mut keys: Vec<AwaitedId> =
            wait.keys.iter().map(|key| awaited.acquire(self.db.index, key, wait.also_gone)).collect();
        // A key that was named twice is waited for once; there may be very many keys.
        keys.sort_unstable();
        keys.dedup_by(|key, before| {
            let again = key == before;
            if again {
                awaited.release(*key, wait.also_gone);
            }
            again
        });
        let turn = self.hub.waits.add(self.session.conn, &keys, wait.deadline_ms);
        self.session.blocked = Some(Box::new(Blocked {
            row: self.row.id,
            argv: wait.argv.unwrap_or_else(|| argv.to_owned()),
            want: wait.want,
            also_gone: wait.also_gone,
            keys,
            turn,
            deadline_ms: wait.deadline_ms,
            again: wait.again,
            spent_ticks: self.spent_ticks.unwrap_or(took),
        }));
        self.refresh_interest();
    }

    /// Ends another client's wait as if its time were over, or with an error; false if it does not wait, or only till the
    /// loop comes back to it.
    pub(super) fn unblock(&mut self, id: u64, with_error: bool) -> bool {
        let Some(conn) =
            self.sessions.iter().find(|s| s.id == id && s.blocked.as_ref().is_some_and(|b| !b.again)).map(|s| s.conn)
        else {
            return false;
        };
        let Some(blocked) = give_up_waiting(conn, self.sessions, self.hub, &mut self.db.space.book) else {
            return false;
        };
        let stats = &mut self.stats.commands[blocked.row as usize];
        stats.record(blocked.spent_ticks, self.stats.latency_tracking);
        stats.failed += u64::from(with_error);
        let Some(session) = self.sessions.send_to(conn) else { return false };
        let mut out = std::mem::take(&mut session.outbox);
        let start = out.mark();
        let mut reply = Reply::new(&mut out, session.proto);
        if with_error {
            self.stats.totals.error_replies += 1;
            self.stats.errors.record(CmdError::UNBLOCKED.code());
            reply.error_bytes(CmdError::UNBLOCKED.as_bytes());
        } else {
            reply.null_array();
        }
        match session.reply_mode {
            ReplyMode::On => {}
            ReplyMode::SkipNext => session.reply_mode = ReplyMode::Skip,
            ReplyMode::Skip => {
                out.truncate(start);
                session.reply_mode = ReplyMode::On;
            }
            ReplyMode::Off => out.truncate(start),
        }
        session.outbox = out;
        true
    }
}

/// The account of a wait that is over.
fn leave(session: &mut Session, blocked: &Blocked, hub: &mut Hub, book: &mut Book) {
    session.mode &= !mode::BLOCKED;
    hub.waits.remove(session.conn, blocked.turn, &blocked.keys, blocked.deadline_ms);
    for key in &blocked.keys {
        book.awaited.release(*key, blocked.also_gone);
    }
    if !session.waiting.is_empty() {
        hub.waits.resumed.push(session.conn);
    }
    book.interest = interest(hub);
}

/// A client waits no more and is told nothing here: what it waited for, if it did.
pub fn give_up_waiting(conn: ConnId, sessions: &mut Sessions, hub: &mut Hub, book: &mut Book) -> Option<Box<Blocked>> {
    let session = sessions.get_mut(conn)?;
    let blocked = session.blocked.take()?;
    leave(session, &blocked, hub, book);
    Some(blocked)
}

/// Runs the command again that the client waits in: one of its keys is ready. It may have to wait on.
pub fn retry(cx: &mut Ctx<'_>) {
    let Some(mut blocked) = cx.session.blocked.take() else { return };
    let start = cx.reply.outbox().mark();
    cx.session.mode &= !mode::BLOCKED;
    cx.spent_ticks = Some(blocked.spent_ticks);
    let row = cx.table.row(blocked.row);
    if blocked.again {
        // Its time was no more than a turn in a line: should it have to wait again, that is another one.
        leave(cx.session, &blocked, cx.hub, &mut cx.db.space.book);
    }
    let skip = 1 + usize::from(!row.command.full_name.is_empty());
    let mut args = Args::new(blocked.argv.argv(), skip, cx.db.space.hasher(), None);
    match access::check(cx, row, blocked.argv.argv(), LogContext::Toplevel) {
        Ok(()) => execute::call(cx, row, &mut args),
        // What it may do has changed meanwhile.
        Err(error) => execute::refuse(cx, Some(row), &error),
    }
    let spent = cx.spent_ticks.take();
    if cx.session.is(mode::BLOCKED) {
        if cx.session.blocked.is_none() {
            blocked.spent_ticks = spent.unwrap_or(blocked.spent_ticks);
            cx.session.blocked = Some(blocked);
        }
        return;
    }
    if !blocked.again {
        leave(cx.session, &blocked, cx.hub, &mut cx.db.space.book);
    }
    end_unit(cx);
    if cx.session.reply_mode != ReplyMode::On {
        execute::reply_mode(cx, start);
    }
}

/// The client has waited long enough.
pub fn time_out(cx: &mut Ctx<'_>) {
    match cx.session.blocked.as_ref() {
        Some(blocked) if blocked.again => return retry(cx),
        // Who waits for offsets is told how far they are.
        Some(blocked) if blocked.keys.is_empty() => {
            cx.session.mode |= mode::WAIT_OVER;
            retry(cx);
            cx.session.mode &= !mode::WAIT_OVER;
            return;
        }
        _ => {}
    }
    let Some(blocked) = cx.session.blocked.take() else { return };
    let start = cx.reply.outbox().mark();
    cx.reply.null_array();
    cx.stats.totals.commands += 1;
    cx.stats.commands[blocked.row as usize].record(blocked.spent_ticks, cx.stats.latency_tracking);
    leave(cx.session, &blocked, cx.hub, &mut cx.db.space.book);
    if cx.session.reply_mode != ReplyMode::On {
        execute::reply_mode(cx, start);
    }
}
