//! Taking from the first of several keys that has something, or waiting for one: the words and ways that lists and sorted
//! sets share. Knows no type.

use super::table::{Arg, KeySpec, key_flag as kf};
use super::{Args, CmdError, Ctx, Flow, Outcome, Wait};
use crate::keyspace::Key;
use crate::types::{End, Type};

/// Key specification of words that are keys but for the last, which is the time to wait.
pub(super) const ALL_BUT_LAST: &[KeySpec] = &[KeySpec::range(1, -2, 1, kf::RW | kf::ACCESS | kf::DELETE)];
/// How long to wait, seconds.
pub(super) const TIMEOUT: Arg = Arg::double("timeout");

/// From which keys, from which end and how many: `numkeys key [key ...] end [COUNT count]`.
pub(super) struct Take {
    /// How many keys.
    pub numkeys: usize,
    /// Position of the first.
    pub first: usize,
    /// Which end.
    pub end: End,
    /// At most so many.
    pub count: usize,
}

impl Take {
    /// Reads the words; `end_of` reads the one that names the end.
    pub fn read<'a>(
        args: &mut Args<'a>,
        end_of: impl FnOnce(&mut Args<'a>) -> Result<End, CmdError>,
    ) -> Result<Take, CmdError> {
        let numkeys_error = CmdError::text("ERR numkeys should be greater than 0");
        let numkeys = args.int_in(1, i64::MAX, numkeys_error.clone()).map_err(|_| numkeys_error)?;
        if numkeys >= args.left() as i64 {
            return Err(CmdError::SYNTAX);
        }
        let (numkeys, first) = (numkeys as usize, args.position());
        args.seek(first + numkeys);
        let end = end_of(args)?;
        let mut count = None;
        while args.more() {
            if count.is_some() || args.left() < 2 || !args.accept("count") {
                return Err(CmdError::SYNTAX);
            }
            let count_error = CmdError::text("ERR count should be greater than 0");
            count = Some(args.int_in(1, i64::MAX, count_error.clone()).map_err(|_| count_error)?);
        }
        Ok(Take { numkeys, first, end, count: usize::try_from(count.unwrap_or(1)).unwrap_or(usize::MAX) })
    }

    /// Waits for one of the keys.
    pub fn wait(&self, cx: &mut Ctx<'_>, args: &Args<'_>, want: Type, deadline_ms: Option<u64>) -> Outcome {
        wait_or_none(cx, want, args.argv().iter().skip(self.first).take(self.numkeys), deadline_ms)
    }
}

/// Waits for a value of this type at one of these keys; `None` where the command may not wait and must say that there is none.
pub(super) fn wait<'a>(
    cx: &Ctx<'_>,
    want: Type,
    keys: impl Iterator<Item = &'a [u8]>,
    deadline_ms: Option<u64>,
) -> Option<Flow> {
    let wait =
        || Wait { keys: keys.map(Box::from).collect(), want, also_gone: false, deadline_ms, again: false, argv: None };
    cx.may_block().then(|| Flow::Block(Box::new(wait())))
}

/// As [`wait`]; where the command may not wait it replies that there is no array.
pub(super) fn wait_or_none<'a>(
    cx: &mut Ctx<'_>,
    want: Type,
    keys: impl Iterator<Item = &'a [u8]>,
    deadline_ms: Option<u64>,
) -> Outcome {
    Ok(wait(cx, want, keys, deadline_ms).unwrap_or_else(|| {
        cx.reply.null_array();
        Flow::Done
    }))
}

/// Takes from the first of the keys that has something, and waits if none has: `key [key ...] timeout`. `take` takes, replies
/// and tells its effect, or says that there is nothing.
pub(super) fn pop_or_wait<'a>(
    cx: &mut Ctx<'_>,
    args: &mut Args<'a>,
    want: Type,
    mut take: impl FnMut(&mut Ctx<'_>, Key<'a>) -> Result<bool, CmdError>,
) -> Outcome {
    let first = args.position();
    let last = args.argc() - 1;
    args.seek(last);
    let deadline_ms = args.timeout(cx.now)?;
    args.seek(first);
    while args.position() < last {
        let key = args.key()?;
        if take(cx, key)? {
            return Ok(Flow::Done);
        }
    }
    wait_or_none(cx, want, args.argv().iter().take(last).skip(first), deadline_ms)
}
