//! A script that runs for long: others are told so, and may end it. The script goes on between two looks; nobody else
//! touches the data meanwhile.

use crate::command::ctx::{Ask, Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::table::{Command, flag};
use crate::journal::Effects;
use crate::resp::{Argv, Reply};
use crate::script::{Interrupt, Kind};
use crate::session::{ConnId, mode};
use crate::stats::Hidden;

/// Room of a reply buffer for a client that is answered meanwhile, bytes.
const REPLY_BYTES: usize = 1024;

/// Others are served: what they may do is little.
pub fn serve(cx: &mut Ctx<'_>, ran_ms: u64) {
    let Some(running) = &mut cx.scripts.running else { return };
    if !running.is_slow {
        running.is_slow = true;
        log::warn!(
            "Slow script detected: still in execution after {ran_ms} milliseconds. You can try killing the script using \
             the {} command. Script name is: {}.",
            if running.kind == Kind::Script { "SCRIPT KILL" } else { "FUNCTION KILL" },
            running.name.as_str()
        );
    }
    if let Some(pump) = cx.pump {
        pump.serve_others(cx);
    }
}

/// Whether the script may go on.
pub fn verdict(cx: &mut Ctx<'_>) -> Interrupt {
    if cx.asks.iter().any(|ask| matches!(ask, Ask::Shutdown(_))) {
        // The server ends: what the script did so far must not be kept, since the rest will not be.
        cx.effects.abandon();
        return Interrupt::Stop("Script ended by SHUTDOWN NOSAVE.");
    }
    match &cx.scripts.running {
        Some(running) if running.killed && running.kind == Kind::Script => {
            Interrupt::Stop("Script killed by user with SCRIPT KILL.")
        }
        Some(running) if running.killed => Interrupt::Stop("Script killed by user with FUNCTION KILL."),
        _ => Interrupt::Continue,
    }
}

/// A script that others had to wait for has ended.
pub fn ended(cx: &mut Ctx<'_>) {
    log::debug!("A slow script has ended; the client is {}", cx.session.peer);
}

/// What others are told while a script runs for long.
fn refusal(kind: Kind) -> CmdError {
    if kind == Kind::Script { CmdError::BUSY_SCRIPT } else { CmdError::BUSY_FUNCTION }
}

/// While a script runs for long, only what could end it may be done.
///
/// # Errors
/// The server is busy.
#[inline]
pub fn is_allowed(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if command.is(flag::ALLOW_BUSY) { Ok(()) } else { refuse_others(cx) }
}

/// In the middle of another client's script nothing may be done that changes or shows data.
///
/// # Errors
/// The server is busy.
#[inline]
pub fn refuse_others(cx: &Ctx<'_>) -> Result<(), CmdError> {
    match &cx.scripts.running {
        Some(running) if running.conn != cx.session.conn => Err(refusal(running.kind)),
        _ => Ok(()),
    }
}

/// Ends the script that runs, if it is of this kind and has not written.
///
/// # Errors
/// None runs, or it can't be ended.
pub fn kill(cx: &mut Ctx<'_>, kind: Kind) -> Outcome {
    let Some(running) = &mut cx.scripts.running else { return Err(CmdError::NOT_BUSY) };
    if running.wrote {
        return Err(CmdError::UNKILLABLE);
    }
    if running.kind != kind {
        return Err(refusal(running.kind));
    }
    running.killed = true;
    cx.reply.ok();
    Ok(Flow::Done)
}

impl Ctx<'_> {
    /// Runs `f` for another client in the middle of this one's command: with nothing of the unit that is open.
    pub fn serve_other<R>(&mut self, conn: ConnId, f: impl FnOnce(&mut Ctx<'_>) -> R) -> Option<R> {
        let mut session = self.sessions.lend(conn)?;
        let mut out = std::mem::take(&mut session.outbox);
        if !out.has_buffer() {
            out.give_buffer(Vec::with_capacity(REPLY_BYTES));
        }
        // What the running client is to be told beside its reply stays its own.
        let late = std::mem::take(&mut self.sessions.late);
        let mut effects = Effects::default();
        let result = f(&mut Ctx {
            now: self.now,
            db: self.db.space.view(session.db, self.now),
            reply: Reply::new(&mut out, session.proto),
            session: &mut session,
            sessions: self.sessions,
            hub: self.hub,
            effects: &mut effects,
            journal: self.journal,
            config: self.config,
            acl: self.acl,
            stats: self.stats,
            table: self.table,
            facts: self.facts,
            scripts: self.scripts,
            pump: None,
            asks: self.asks,
            rng: self.rng,
            last_tick: self.last_tick,
            depth: 1,
            spent_ticks: None,
            row: self.row,
            hidden: Hidden::default(),
            reply_limit_bytes: self.reply_limit_bytes,
        });
        self.sessions.late = late;
        session.outbox = out;
        self.sessions.give_back(session);
        Some(result)
    }

    /// Answers one request of another client in the middle of this one's command.
    pub fn answer_other(&mut self, argv: Argv<'_>) {
        let row = argv.get(0).and_then(|name| self.table.find(name));
        if self.session.is_served() && self.session.waiting.is_empty() {
            crate::command::execute(self, row, argv, None);
        } else if !self.session.is(mode::CLOSE_NOW | mode::CLOSE_AFTER_REPLY) {
            self.session.wait(argv.to_owned());
        }
    }
}
