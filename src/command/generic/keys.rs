//! Finding keys: by pattern, step by step, at random.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::super::scan::{self, ScanArgs};
use crate::base::glob::{glob_match, is_literal};
use crate::types::{EntryRef, Type, type_of};

/// Draws at random before RANDOMKEY looks for a live key one by one.
const MOST_DRAWS: usize = 100;

fn is_expired(entry: EntryRef<'_>, now_ms: i64) -> bool {
    entry.deadline().is_some_and(|deadline| deadline <= now_ms)
}

/// KEYS.
pub(super) fn keys(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let pattern = args.bytes()?;
    let (all, now_ms) = (pattern == b"*", cx.now.unix_ms.0);
    if is_literal(pattern) {
        // No walk for one name.
        let key = cx.db.key(pattern);
        let found = cx.db.exists(key);
        cx.reply.array(usize::from(found));
        if found {
            cx.reply.bulk(pattern);
        }
        return Ok(Flow::Done);
    }
    let start = cx.reply.defer();
    let mut count = 0;
    for entry in cx.db.db_ref().table.iter() {
        if (all || glob_match(pattern, entry.key(), false)) && !is_expired(entry, now_ms) {
            cx.reply.bulk(entry.key());
            count += 1;
            if cx.reply.is_over(cx.reply_limit_bytes) {
                break;
            }
        }
    }
    cx.reply.fill_array(start, count);
    Ok(Flow::Done)
}

/// What TYPE lets through.
enum Wanted {
    Any,
    Only(Type),
    /// No type has that name.
    Nothing,
}

impl Wanted {
    fn of(name: &[u8]) -> Wanted {
        let named = Type::ALL.into_iter().find(|kind| name.eq_ignore_ascii_case(kind.name().as_bytes()));
        named.map_or(Wanted::Nothing, Wanted::Only)
    }

    fn takes(&self, entry: EntryRef<'_>) -> bool {
        match self {
            Wanted::Any => true,
            Wanted::Only(kind) => type_of(entry) == *kind,
            Wanted::Nothing => false,
        }
    }
}

/// SCAN.
pub(super) fn scan(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut options = ScanArgs::cursor(args)?;
    let mut wanted = Wanted::Any;
    while args.more() {
        if args.left() >= 2 && args.accept("type") {
            wanted = Wanted::of(args.bytes()?);
        } else if !options.accept(args)? {
            return Err(CmdError::SYNTAX);
        }
    }
    let marks = scan::begin(cx);
    let now_ms = cx.now.unix_ms.0;
    let mut shown = 0;
    let mut expired: Vec<Box<[u8]>> = Vec::new();
    let reply = &mut cx.reply;
    let cursor = cx.db.db_ref().table.scan(options.cursor, options.count, |entry| {
        if is_expired(entry, now_ms) {
            expired.push(entry.key().into());
        } else if wanted.takes(entry) && options.matches(entry.key()) {
            reply.bulk(entry.key());
            shown += 1;
        }
    });
    // What has been walked over and is due goes now.
    for name in expired {
        let key = cx.db.key(&name);
        cx.db.exists(key);
    }
    scan::end(cx, marks, cursor, shown);
    Ok(Flow::Done)
}

/// RANDOMKEY.
pub(super) fn randomkey(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let now_ms = cx.now.unix_ms.0;
    for _ in 0..MOST_DRAWS {
        let rng = &mut *cx.rng;
        let Some(entry) = cx.db.db_ref().table.random(&mut || rng.next_u64()) else {
            cx.reply.null();
            return Ok(Flow::Done);
        };
        if !is_expired(entry, now_ms) {
            cx.reply.bulk(entry.key());
            return Ok(Flow::Done);
        }
        let name: Box<[u8]> = entry.key().into();
        let key = cx.db.key(&name);
        cx.db.exists(key);
    }
    match cx.db.db_ref().table.iter().find(|entry| !is_expired(*entry, now_ms)) {
        Some(entry) => cx.reply.bulk(entry.key()),
        None => match cx.db.db_ref().table.iter().next() {
            // While writes are paused a dead key is still there.
            Some(entry) if cx.db.keep_expired => cx.reply.bulk(entry.key()),
            _ => cx.reply.null(),
        },
    }
    Ok(Flow::Done)
}
