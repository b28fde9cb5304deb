//! Points in time as commands give them, and what setting or removing a key's deadline entails. Shared by the families.

use super::args::Args;
use super::ctx::Ctx;
use super::error::CmdError;
use crate::base::number;
use crate::keyspace::{Event, Key};

/// How a time is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Milliseconds,
    /// Unix time in seconds.
    UnixSeconds,
    /// Unix time in milliseconds.
    UnixMilliseconds,
}

impl Unit {
    /// Takes EX, PX, EXAT or PXAT if that is the next word.
    pub fn accept(args: &mut Args<'_>) -> Option<Unit> {
        let words = [
            ("ex", Unit::Seconds),
            ("px", Unit::Milliseconds),
            ("exat", Unit::UnixSeconds),
            ("pxat", Unit::UnixMilliseconds),
        ];
        words.into_iter().find(|(word, _)| args.accept(word)).map(|(_, unit)| unit)
    }

    /// The point in Unix milliseconds; `None` if it does not fit.
    pub fn to_unix_ms(self, value: i64, now_ms: i64) -> Option<i64> {
        match self {
            Unit::Seconds => value.checked_mul(1000)?.checked_add(now_ms),
            Unit::Milliseconds => value.checked_add(now_ms),
            Unit::UnixSeconds => value.checked_mul(1000),
            Unit::UnixMilliseconds => Some(value),
        }
    }
}

/// A positive time as Unix milliseconds.
///
/// # Errors
/// Not an integer, or one that is not positive or does not fit.
pub fn parse(text: &[u8], unit: Unit, cx: &Ctx<'_>) -> Result<i64, CmdError> {
    let value = number::parse_i64(text).ok_or(CmdError::NOT_INTEGER)?;
    if value <= 0 {
        return Err(CmdError::invalid_expire(cx.command_name()));
    }
    unit.to_unix_ms(value, cx.now.wall_ms()).ok_or_else(|| CmdError::invalid_expire(cx.command_name()))
}

/// Gives an existing key a deadline; one in the past deletes it at once.
pub fn apply(cx: &mut Ctx<'_>, key: Key<'_>, at_ms: i64) {
    if at_ms <= cx.now.unix_ms.0 {
        let lazy = cx.config.lazyfree_lazy_expire;
        cx.effects.replace(&[if lazy { b"UNLINK" } else { b"DEL" }, key.bytes]);
        cx.db.delete(key, lazy, Event::generic("del"));
        return;
    }
    let mut text = itoa::Buffer::new();
    cx.effects.replace(&[b"PEXPIREAT", key.bytes, text.format(at_ms).as_bytes()]);
    cx.db.set_deadline(key, Some(at_ms));
    cx.db.space.book.dirty += 1;
    cx.announce(key.bytes, Event::generic("expire"));
}

/// Takes a key's deadline away; whether it had one.
pub fn persist(cx: &mut Ctx<'_>, key: Key<'_>) -> bool {
    if cx.db.peek(key).is_none_or(|entry| entry.deadline().is_none()) {
        return false;
    }
    cx.db.set_deadline(key, None);
    cx.effects.replace(&[b"PERSIST", key.bytes]);
    cx.db.space.book.dirty += 1;
    cx.announce(key.bytes, Event::generic("persist"));
    true
}
