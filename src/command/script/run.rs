//! One run of a script or function: what must hold before it, what it is lent, and what becomes of its result.

use super::busy;
use crate::acl::LogContext;
use crate::base::number;
use crate::base::text::blank_line_ends;
use crate::command::access;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::table::{Row, flag};
use crate::command::{execute, gate};
use crate::resp::{Argv, Proto};
use crate::script::{Found, Host, Interrupt, Kind, RunName, Running, flags, write_value};
use crate::stats::Hidden;
use crate::sys::ticks;
use std::borrow::Cow;

/// How many of a request's words are keys: they stand behind the count, which is the third word.
#[derive(Clone, Copy)]
pub struct KeyCount(usize);

impl KeyCount {
    /// Reads the count.
    ///
    /// # Errors
    /// It is no number, or not so many words are there.
    pub fn of(args: &mut Args<'_>) -> Result<KeyCount, CmdError> {
        let count = number::parse_i64(args.bytes()?).ok_or(CmdError::NOT_INTEGER)?;
        KeyCount::checked(count, args.left())
    }

    /// A count that was read already.
    ///
    /// # Errors
    /// Not so many words are there.
    pub fn checked(count: i64, left: usize) -> Result<KeyCount, CmdError> {
        match usize::try_from(count) {
            Ok(count) if count <= left => Ok(KeyCount(count)),
            Ok(_) => Err(CmdError::TOO_MANY_KEYS),
            Err(_) => Err(CmdError::NEGATIVE_KEYS),
        }
    }
}

/// What is to be run.
pub struct Call<'a> {
    /// It.
    pub found: &'a Found,
    /// A script or a function.
    pub kind: Kind,
    /// Its SHA-1 or name.
    pub name: RunName,
    /// The request.
    pub argv: Argv<'a>,
    /// Its keys.
    pub keys: KeyCount,
    /// Whether the command is one of those that may not write.
    pub read_only: bool,
}

/// Memory that Lua may use in all, bytes: a script that wants more gets an error, not the machine.
const LIMIT_BYTES: usize = 1 << 30;
/// Index of a request's first key.
const FIRST_KEY: usize = 3;

/// Shows the request to who monitors, before the commands that it runs.
pub fn announce(cx: &mut Ctx<'_>, args: &Args<'_>) {
    if !cx.hub.monitors.is_empty() {
        execute::show_monitors(cx, args.argv());
    }
}

/// What the script declared must fit the command and the server's state; whether it may write, and use more memory.
fn check(cx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Rights, CmdError> {
    let declared = call.found.flags;
    let fits = cx.config.maxmemory == 0 || cx.make_room();
    let mut rights = Rights { writes: !call.read_only, grows: fits };
    if declared & flags::UNDECLARED != 0 {
        return Ok(rights);
    }
    if declared & flags::NO_WRITES == 0 && call.read_only {
        return Err(CmdError::SCRIPT_WRITES_RO);
    }
    if declared & (flags::ALLOW_OOM | flags::NO_WRITES) != 0 {
        rights.grows = true;
    } else if !fits {
        return Err(CmdError::SCRIPT_OOM);
    }
    rights.writes &= declared & flags::NO_WRITES == 0;
    Ok(rights)
}

/// What a script may do.
struct Rights {
    writes: bool,
    grows: bool,
}

/// Runs a script or function and replies what it returns.
///
/// # Errors
/// It may not run, or failed.
pub fn run(cx: &mut Ctx<'_>, call: &Call<'_>) -> Outcome {
    let rights = check(cx, call)?;
    let db = cx.session.db;
    cx.scripts.running = Some(Running {
        conn: cx.session.conn,
        kind: call.kind,
        name: call.name.clone(),
        argv: None,
        started_ticks: cx.last_tick,
        is_slow: false,
        wrote: false,
        killed: false,
    });
    let keys = FIRST_KEY..FIRST_KEY + call.keys.0;
    let mut host = ScriptHost { cx, argv: call.argv, rights, effects_mask: ALL_EFFECTS };
    let result = call.found.run(call.name.as_str(), call.argv, keys, LIMIT_BYTES, &mut host);
    let slow = cx.scripts.running.take().is_some_and(|running| running.is_slow);
    if slow {
        busy::ended(cx);
    }
    cx.select(db);
    cx.hidden = Hidden::default();
    // What its commands did is told already.
    cx.effects.none();
    match result {
        Ok((value, proto)) => {
            let (stats, mut failed) = (&mut *cx.stats, false);
            write_value(&mut cx.reply, &value, proto, &mut |text, counted| {
                failed = true;
                if !counted {
                    stats.totals.error_replies += 1;
                    stats.errors.record(CmdError::bytes(text.to_vec()).code());
                }
            });
            cx.stats.commands[cx.row.id as usize].failed += u64::from(failed);
            Ok(Flow::Done)
        }
        Err(failed) => super::fail(cx, failed),
    }
}

/// Both the log and the replicas.
const ALL_EFFECTS: u8 = 3;

/// The server, as a running script sees it.
struct ScriptHost<'c, 'a, 'r> {
    cx: &'c mut Ctx<'a>,
    argv: Argv<'r>,
    rights: Rights,
    effects_mask: u8,
}

/// The row of a command that a script calls, and how many words name it.
fn find(cx: &Ctx<'_>, argv: Argv<'_>) -> Option<(Row, usize)> {
    let row = cx.table.find(argv.get(0)?)?;
    if row.command.subcommands.is_empty() {
        return Some((row, 1));
    }
    match argv.get(1) {
        Some(word) => cx.table.find_sub(row, word).map(|sub| (sub, 2)),
        None => Some((row, 1)),
    }
}

impl ScriptHost<'_, '_, '_> {
    /// Why a command may not be run by this script.
    fn refusal(&mut self, row: Row, argv: Argv<'_>) -> Option<Cow<'static, [u8]>> {
        if let Some(text) = self.unfit(row, argv.len()) {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        if let Err(denied) = access::permits(self.cx, row, argv) {
            access::note_denied(self.cx, row, argv, denied, LogContext::Lua);
            let denial = access::denial(self.cx.session.user_name(), row, argv, denied, false);
            return Some(Cow::Owned([b"NOPERM ACL failure in script: ", &*denial].concat()));
        }
        let fault = if row.command.is(flag::WRITE) && !self.has_written() { gate::disk_fault(self.cx) } else { None };
        match (self.out_of_place(row), fault) {
            (None, Some(fault)) => Some(Cow::Owned(fault.as_bytes().to_vec())),
            (text, _) => text.map(|text| Cow::Borrowed(text.as_bytes())),
        }
    }

    fn has_written(&self) -> bool {
        self.cx.scripts.running.as_ref().is_some_and(|running| running.wrote)
    }

    /// Why no script may run such a command.
    fn unfit(&self, row: Row, argc: usize) -> Option<&'static str> {
        let command = row.command;
        if !command.fits(argc) {
            return Some("ERR Wrong number of args calling Redis command from script");
        }
        if command.is(flag::NOSCRIPT) && !self.cx.facts.debug.scripts_call_all {
            return Some("ERR This Redis command is not allowed from script");
        }
        None
    }

    /// Why this one may not now.
    fn out_of_place(&self, row: Row) -> Option<&'static str> {
        let command = row.command;
        if command.is(flag::WRITE | flag::MAY_REPLICATE) && !self.rights.writes {
            return Some("ERR Write commands are not allowed from read-only scripts.");
        }
        // A script that has written may go on: half of it would be worse.
        if command.is(flag::DENYOOM) && !self.rights.grows && !self.has_written() {
            return Some("OOM command not allowed when used memory > 'maxmemory'.");
        }
        None
    }

    /// Counts and writes a refusal.
    #[cold]
    fn refuse(&mut self, row: Option<Row>, text: &[u8], out: &mut Vec<u8>) {
        let stats = &mut self.cx.stats;
        if let Some(row) = row {
            stats.commands[row.id as usize].rejected += 1;
        }
        stats.totals.error_replies += 1;
        stats.errors.record(CmdError::bytes(text.to_vec()).code());
        let line = out.len() + 1;
        out.extend_from_slice(b"-");
        out.extend_from_slice(text);
        // A name in it may hold anything.
        blank_line_ends(&mut out[line..]);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes what a script says to the log, at a level from 0 to 3.
pub fn log(level: u8, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    match level {
        0 => log::trace!("{text}"),
        1 => log::debug!("{text}"),
        2 => log::info!("{text}"),
        _ => log::warn!("{text}"),
    }
}

impl Host for ScriptHost<'_, '_, '_> {
    fn call(&mut self, argv: Argv<'_>, proto: Proto, out: &mut Vec<u8>) {
        let Some((row, skip)) = find(self.cx, argv) else {
            return self.refuse(None, b"ERR Unknown Redis command called from script", out);
        };
        if let Some(text) = self.refusal(row, argv) {
            return self.refuse(Some(row), &text, out);
        }
        let cx = &mut *self.cx;
        if row.command.is(flag::WRITE) {
            if let Some(running) = &mut cx.scripts.running {
                running.wrote = true;
            }
        }
        let wanted = cx.effects.wanted;
        cx.effects.wanted &= self.effects_mask != 0;
        let (mark, own) = (cx.reply.outbox().mark(), cx.reply.proto());
        cx.reply.set_proto(proto);
        let mut args = Args::new(argv, skip, cx.db.space.hasher(), None);
        cx.call(row, &mut args);
        cx.reply.set_proto(own);
        cx.effects.wanted = wanted;
        let written = cx.reply.outbox();
        written.copy_since(mark, out);
        written.truncate(mark);
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        log(level, text);
    }

    fn permits(&mut self, argv: Argv<'_>) -> Option<bool> {
        let (row, _) = find(self.cx, argv)?;
        Some(access::permits(self.cx, row, argv).is_ok())
    }

    fn set_effects(&mut self, mask: u8) {
        self.effects_mask = mask;
    }

    fn interrupt(&mut self) -> Interrupt {
        let threshold_ms = self.cx.config.busy_reply_threshold;
        let Some(running) = &mut self.cx.scripts.running else { return Interrupt::Continue };
        let ran_ms = ticks::to_us(ticks::now().wrapping_sub(running.started_ticks)) / 1000;
        if !running.killed {
            if threshold_ms == 0 || ran_ms < threshold_ms {
                return Interrupt::Continue;
            }
            running.argv.get_or_insert_with(|| self.argv.to_owned());
            busy::serve(self.cx, ran_ms);
        }
        busy::verdict(self.cx)
    }
}
