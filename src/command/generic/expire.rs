//! When keys expire.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::super::expiry::{self, Unit};
use super::member;
use crate::base::text;
use crate::keyspace::Key;

/// When a new deadline is taken.
#[derive(Clone, Copy, Default)]
struct Conditions {
    /// There is none yet.
    nx: bool,
    /// There is one.
    xx: bool,
    /// It is later than the old one; none is the latest of all.
    gt: bool,
    /// It is earlier.
    lt: bool,
}

impl Conditions {
    fn parse(args: &mut Args<'_>) -> Result<Conditions, CmdError> {
        let mut conditions = Conditions::default();
        while args.more() {
            let word = args.bytes()?;
            let wanted = [
                (&b"nx"[..], &mut conditions.nx),
                (b"xx", &mut conditions.xx),
                (b"gt", &mut conditions.gt),
                (b"lt", &mut conditions.lt),
            ];
            match wanted.into_iter().find(|(name, _)| text::eq_ignore_case(word, name)) {
                Some((_, set)) => *set = true,
                None => {
                    return Err(CmdError::quoting("ERR Unsupported option ", word, ""));
                }
            }
        }
        if conditions.nx && (conditions.xx || conditions.gt || conditions.lt) {
            return Err(CmdError::text("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.gt && conditions.lt {
            return Err(CmdError::text("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    fn hold(self, old: Option<i64>, new: i64) -> bool {
        match old {
            None => !self.xx && !self.gt,
            Some(old) => !self.nx && (!self.gt || new > old) && (!self.lt || new < old),
        }
    }
}

fn set_expiry(cx: &mut Ctx<'_>, args: &mut Args<'_>, unit: Unit) -> Outcome {
    let key = args.key()?;
    let value = args.bytes()?;
    let conditions = Conditions::parse(args)?;
    let value = crate::base::number::parse_i64(value).ok_or(CmdError::NOT_INTEGER)?;
    let at_ms = unit.to_unix_ms(value, cx.now.wall_ms()).ok_or_else(|| CmdError::invalid_expire(cx.command_name()))?;
    let old = cx.db.peek(key).map(|entry| entry.deadline());
    let taken = old.is_some_and(|old| conditions.hold(old, at_ms));
    if taken {
        expiry::apply(cx, key, at_ms);
    }
    cx.reply.int(i64::from(taken));
    Ok(Flow::Done)
}

/// EXPIRE.
pub(super) fn expire(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::Seconds)
}

/// PEXPIRE.
pub(super) fn pexpire(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::Milliseconds)
}

/// EXPIREAT.
pub(super) fn expireat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::UnixSeconds)
}

/// PEXPIREAT.
pub(super) fn pexpireat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    set_expiry(cx, args, Unit::UnixMilliseconds)
}

/// PERSIST.
pub(super) fn persist(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.more() {
        return member::persist(cx, key, args.bytes()?);
    }
    let had_one = expiry::persist(cx, key);
    cx.reply.int(i64::from(had_one));
    Ok(Flow::Done)
}

/// Replies -2 for no key, -1 for no deadline, else what `show` makes of the deadline.
fn reply_deadline(cx: &mut Ctx<'_>, key: Key<'_>, show: impl FnOnce(i64) -> i64) -> Outcome {
    let shown = match cx.db.entry_unmarked(key).map(|entry| entry.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(deadline)) => show(deadline),
    };
    cx.reply.int(shown);
    Ok(Flow::Done)
}

/// Milliseconds as seconds, to the nearest.
fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + (ms % 1000 + 500) / 1000
}

/// TTL.
pub(super) fn ttl(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, now_ms) = (args.key()?, cx.now.unix_ms.0);
    let show = |deadline: i64| to_seconds(deadline.saturating_sub(now_ms));
    match args.more() {
        true => member::reply_deadline(cx, key, args.bytes()?, show),
        false => reply_deadline(cx, key, show),
    }
}

/// PTTL.
pub(super) fn pttl(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, now_ms) = (args.key()?, cx.now.unix_ms.0);
    let show = |deadline: i64| deadline.saturating_sub(now_ms);
    match args.more() {
        true => member::reply_deadline(cx, key, args.bytes()?, show),
        false => reply_deadline(cx, key, show),
    }
}

/// EXPIRETIME.
pub(super) fn expiretime(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_deadline(cx, key, to_seconds)
}

/// PEXPIRETIME.
pub(super) fn pexpiretime(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_deadline(cx, key, |deadline| deadline)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deadline_is_later_than_any() {
        let gt = Conditions { gt: true, ..Conditions::default() };
        let lt = Conditions { lt: true, ..Conditions::default() };
        assert!(!gt.hold(None, 5) && gt.hold(Some(4), 5) && !gt.hold(Some(5), 5));
        assert!(lt.hold(None, 5) && lt.hold(Some(6), 5) && !lt.hold(Some(5), 5));
        let xx_lt = Conditions { xx: true, ..lt };
        assert!(!xx_lt.hold(None, 5) && xx_lt.hold(Some(6), 5));
        let nx = Conditions { nx: true, ..Conditions::default() };
        assert!(nx.hold(None, 5) && !nx.hold(Some(1), 5));
    }

    #[test]
    fn seconds_are_rounded_to_the_nearest() {
        assert_eq!([499, 500, 1499, 1500].map(to_seconds), [0, 1, 1, 2]);
        assert_eq!(to_seconds(i64::MAX), i64::MAX / 1000 + 1);
    }
}
