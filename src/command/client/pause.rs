//! CLIENT PAUSE, UNPAUSE and UNBLOCK: who has to wait.

use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ask, Ctx, Flow, Outcome, PauseKind};
use crate::command::error::CmdError;

/// CLIENT PAUSE. A pause that goes on already gets no shorter and holds up no less.
pub(super) fn pause(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 2 {
        return Err(too_long(args));
    }
    let timeout = args.bytes()?;
    let kind = if !args.more() || args.accept("all") {
        PauseKind::All
    } else if args.accept("write") {
        PauseKind::Write
    } else {
        return Err(CmdError::PAUSE_MODE);
    };
    let timeout_ms = number::parse_i64(timeout).ok_or(CmdError::TIMEOUT_NOT_INTEGER)?;
    if timeout_ms < 0 {
        return Err(CmdError::TIMEOUT_NEGATIVE);
    }
    let now_ms = cx.now.unix_ms.0;
    let until = timeout_ms.checked_add(now_ms).ok_or(CmdError::TIMEOUT_OUT_OF_RANGE)?;
    cx.facts.pause = Some(extended(cx.facts.pause.filter(|(until, _)| *until > now_ms), (until, kind)));
    cx.reply.ok();
    Ok(Flow::Done)
}

/// The stricter and longer of both.
fn extended(running: Option<(i64, PauseKind)>, new: (i64, PauseKind)) -> (i64, PauseKind) {
    match running {
        None => new,
        Some((until, PauseKind::All)) => (until.max(new.0), PauseKind::All),
        Some((until, PauseKind::Write)) => (until.max(new.0), new.1),
    }
}

/// CLIENT UNPAUSE.
pub(super) fn unpause(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.facts.pause = None;
    cx.asks.push(Ask::Unpaused);
    cx.reply.ok();
    Ok(Flow::Done)
}

/// CLIENT UNBLOCK. A client that a pause holds up is not blocked by a command, so there is nothing to end.
pub(super) fn unblock(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 2 {
        return Err(too_long(args));
    }
    let id = args.bytes()?;
    let with_error = args.accept("error");
    if !with_error && args.more() && !args.accept("timeout") {
        return Err(CmdError::UNBLOCK_REASON);
    }
    let id = number::parse_i64(id).ok_or(CmdError::NOT_INTEGER)?;
    let ended = u64::try_from(id).is_ok_and(|id| cx.unblock(id, with_error));
    cx.reply.int(i64::from(ended));
    Ok(Flow::Done)
}

fn too_long(args: &Args<'_>) -> CmdError {
    CmdError::subcommand_syntax(args.argv().get(1).unwrap_or_default(), "client")
}

#[cfg(test)]
mod tests {
    use super::*;
    use PauseKind::{All, Write};

    #[test]
    fn a_pause_gets_neither_shorter_nor_laxer() {
        assert_eq!(extended(None, (5, Write)), (5, Write));
        assert_eq!(extended(Some((9, All)), (5, Write)), (9, All));
        assert_eq!(extended(Some((9, Write)), (15, All)), (15, All));
        assert_eq!(extended(Some((9, Write)), (5, All)), (9, All));
        assert_eq!(extended(Some((9, Write)), (20, Write)), (20, Write));
    }
}
