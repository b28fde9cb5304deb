//! Streams: XNACK.

use super::group::existing;
use super::parse_id;
use crate::base::number;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::keyspace::{Event, Missing};
use crate::types::{Stream, StreamId};

const MODE: CmdError = CmdError::text("ERR mode must be SILENT, FAIL, or FATAL");
const NUMIDS: CmdError = CmdError::text("ERR numids must be a positive integer");
const NUMIDS_DIFFER: CmdError = CmdError::text("ERR number of IDs doesn't match numids");
const RETRY_NEGATIVE: CmdError = CmdError::text("ERR Invalid RETRYCOUNT value, must be >= 0");

/// Deliveries of what nobody shall try again.
const HOPELESS: u64 = i64::MAX as u64;

/// What becomes of the number of deliveries.
#[derive(Clone, Copy)]
enum Retry {
    /// The last one does not count.
    Less,
    /// It stays.
    Same,
    /// It becomes this.
    Set(u64),
}

impl Retry {
    fn apply(self, deliveries: u64) -> u64 {
        match self {
            Retry::Less => deliveries.saturating_sub(1),
            Retry::Same => deliveries,
            Retry::Set(deliveries) => deliveries,
        }
    }
}

struct Words {
    retry: Retry,
    ids: Vec<StreamId>,
    /// Also what is not pending, if it is in the stream.
    force: bool,
}

impl Words {
    fn read(args: &mut Args<'_>) -> Result<Words, CmdError> {
        let mut retry = if args.accept("silent") {
            Retry::Less
        } else if args.accept("fail") {
            Retry::Same
        } else if args.accept("fatal") {
            Retry::Set(HOPELESS)
        } else {
            return Err(MODE);
        };
        if !args.accept("ids") {
            return Err(CmdError::SYNTAX);
        }
        let count = number::parse_i64(args.bytes()?).and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| *count > 0).ok_or(NUMIDS)?;
        if count > args.left() {
            return Err(NUMIDS_DIFFER);
        }
        let ids = (0..count).map(|_| parse_id(args.bytes()?)).collect::<Result<Vec<_>, _>>()?;
        let mut force = false;
        while args.more() {
            if args.accept("force") {
                force = true;
            } else if args.left() > 1 && args.accept("retrycount") {
                retry = Retry::Set(u64::try_from(args.int()?).map_err(|_| RETRY_NEGATIVE)?);
            } else {
                return Err(CmdError::quoting("ERR Unrecognized XNACK option '", args.bytes()?, "'"));
            }
        }
        Ok(Words { retry, ids, force })
    }
}

pub fn xnack(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    existing(cx.db.read_to_change::<Stream>(key)?, key, name)?;
    let words = Words::read(args)?;
    let mut given_back = 0;
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let mut stream = edit.value();
    if let Some((group, log)) = stream.group_and_log(name) {
        for id in words.ids {
            if group.pending(id).is_some() || (words.force && log.get(id).is_some()) {
                group.give_back(id, |deliveries| words.retry.apply(deliveries));
                given_back += 1;
            }
        }
    }
    drop(stream);
    if given_back > 0 {
        edit.finish_with(given_back, Event::SILENT);
        // Consumers that wait for something to claim have it now.
        let db = cx.db.index;
        cx.db.space.book.awaited.touch(db, key.bytes);
    }
    cx.reply.int(given_back as i64);
    Ok(Flow::Done)
}
