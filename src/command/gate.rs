//! What a request must pass before it runs: small named checks over flags, in this order. None asks which command it is.

use super::access;
use super::ctx::{Ctx, PauseKind};
use super::derived;
use super::error::CmdError;
use super::script;
use super::table::{Command, Row, flag};
use crate::resp::{Argv, Proto};
use crate::session::mode;

/// What becomes of a request that passed.
#[derive(Debug, PartialEq, Eq)]
pub enum Pass {
    /// It runs now.
    Run,
    /// It waits until the pause ends.
    Pause,
}

/// The client must have logged in.
#[inline]
fn logged_in(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    // Who came while a password was wanted is let in when it was taken away.
    if cx.session.authenticated || command.is(flag::NO_AUTH) || cx.acl.is_open() {
        return Ok(());
    }
    Err(CmdError::NO_AUTH)
}

/// Commands that can do harm must be allowed by the configuration.
fn enabled(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if !command.is(flag::PROTECTED) {
        return Ok(());
    }
    let local = cx.session.is(mode::LOOPBACK | mode::UNIX_SOCKET);
    if derived::permits(cx.config.enable_debug_command, local) {
        return Ok(());
    }
    Err(CmdError::owned(format!(
        "ERR {} command not allowed. If the enable-{}-command option is set to \"local\", you can run it from a local \
         connection, otherwise you need to set this option in the configuration file, and then restart the server.",
        command.name.to_ascii_uppercase(),
        command.name
    )))
}

/// Some commands make no sense inside a transaction.
fn allowed_in_multi(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if cx.session.multi.is_some() && command.is(flag::NO_MULTI) { Err(CmdError::NOT_IN_MULTI) } else { Ok(()) }
}

/// The client's user must be allowed to do it. Nothing is looked at for one who may do everything.
#[inline]
fn permitted(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>) -> Result<(), CmdError> {
    if cx.session.is(mode::RESTRICTED) { access::check_first(cx, row, argv) } else { Ok(()) }
}

/// Memory of what clients cache.
#[inline]
fn caches(cx: &mut Ctx<'_>) {
    if cx.hub.tracking.has_surplus {
        cx.forget_surplus();
    }
}

/// A client of RESP2 that listens to channels could not tell other replies from messages.
#[inline]
fn heard_while_subscribed(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if !cx.session.is(mode::SUBSCRIBED) || command.is(flag::WHILE_SUBSCRIBED) || cx.session.proto == Proto::Resp3 {
        return Ok(());
    }
    Err(CmdError::while_subscribed(command.shown_name()))
}

/// While data are loaded, nothing is done with them, but by what is loaded.
#[inline]
fn loaded(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if cx.stats.persistence.loading.is_none() || command.is(flag::LOADING) || cx.session.is(mode::REPLAYS) {
        return Ok(());
    }
    Err(CmdError::LOADING)
}

/// A client that watches all others (MONITOR) does nothing with keys itself.
#[inline]
fn apart_from_monitors(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if cx.session.is(mode::MONITOR) && command.is(flag::WRITE | flag::READONLY | flag::MAY_REPLICATE) {
        return Err(CmdError::text("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// Memory: evict what can be evicted; commands that may use more are refused when that was not enough.
#[inline]
fn memory(cx: &mut Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    // In the middle of a script nothing is evicted.
    if cx.config.maxmemory == 0 || cx.scripts.running.is_some() {
        return Ok(());
    }
    memory_slow(cx, command)
}

#[cold]
fn memory_slow(cx: &mut Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    // While writes are paused nothing may change, not even by eviction.
    let paused = cx.facts.pause.is_some_and(|(until, _)| cx.now.unix_ms.0 < until);
    let fits = paused || cx.session.is(mode::REPLAYS) || cx.make_room();
    // Who caches a key that went hears of it before the reply.
    cx.deliver();
    cx.tell_own();
    cx.send_late();
    // A queue that needs memory is refused as a whole.
    let denied = command.is(flag::DENYOOM) || queued_flags(cx, command) & flag::DENYOOM != 0;
    if !fits && denied { Err(CmdError::OOM) } else { Ok(()) }
}

/// The flags of all that this command will run besides itself: the transaction's, if it is the one to run it.
#[inline]
fn queued_flags(cx: &Ctx<'_>, command: &Command) -> u32 {
    match &cx.session.multi {
        Some(multi) if command.is(flag::RUNS_QUEUE) => multi.flags,
        _ => 0,
    }
}

/// While snapshots fail, nothing is changed that could not be saved.
#[inline]
fn saveable(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    if cx.stats.persistence.last_save_ok && cx.stats.persistence.log.fault.is_none() {
        return Ok(());
    }
    saveable_slow(cx, command)
}

#[cold]
fn saveable_slow(cx: &Ctx<'_>, command: &Command) -> Result<(), CmdError> {
    let writes = (command.flags | queued_flags(cx, command)) & (flag::WRITE | flag::TELLS_HEALTH) != 0;
    match disk_fault(cx) {
        Some(fault) if writes => Err(fault),
        _ => Ok(()),
    }
}

/// Why nothing may be changed while what changed could not be kept.
#[cold]
pub(super) fn disk_fault(cx: &Ctx<'_>) -> Option<CmdError> {
    let persistence = &cx.stats.persistence;
    if !persistence.last_save_ok && cx.config.stop_writes_on_bgsave_error && !cx.config.save.is_empty() {
        return Some(CmdError::MISCONF);
    }
    let fault = persistence.log.fault.as_ref()?;
    Some(CmdError::owned(format!("MISCONF Errors writing to the AOF file: {fault}")))
}

/// CLIENT PAUSE holds up commands.
#[inline]
fn paused(cx: &Ctx<'_>, command: &Command, argv: Argv<'_>) -> Pass {
    let Some((until_ms, kind)) = cx.facts.pause else { return Pass::Run };
    if cx.now.unix_ms.0 >= until_ms {
        return Pass::Run;
    }
    let writes =
        (command.flags_of(cx.scripts, argv) | queued_flags(cx, command)) & (flag::WRITE | flag::MAY_REPLICATE) != 0;
    match kind {
        PauseKind::All => Pass::Pause,
        PauseKind::Write if writes => Pass::Pause,
        PauseKind::Write => Pass::Run,
    }
}

/// All gates.
#[inline]
pub fn check(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>) -> Result<Pass, CmdError> {
    let command = row.command;
    if !command.fits(argv.len()) {
        return Err(CmdError::arity(&command.error_name()));
    }
    logged_in(cx, command)?;
    enabled(cx, command)?;
    allowed_in_multi(cx, command)?;
    permitted(cx, row, argv)?;
    memory(cx, command)?;
    saveable(cx, command)?;
    caches(cx);
    heard_while_subscribed(cx, command)?;
    loaded(cx, command)?;
    apart_from_monitors(cx, command)?;
    script::is_allowed(cx, command)?;
    Ok(paused(cx, command, argv))
}
