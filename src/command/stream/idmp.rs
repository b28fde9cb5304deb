//! Streams: XCFGSET and XIDMPRECORD, about the messages of producers that a stream knows.

use super::parse_id;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::keyspace::{Event, Missing};
use crate::types::{MAX_DURATION_S, MAX_LEN, Memory, Recorded, Stream};

const NO_PARAMETER: CmdError = CmdError::text("ERR At least one parameter must be specified");
const DURATION_TWICE: CmdError = CmdError::text("ERR IDMP-DURATION specified multiple times");
const MAX_LEN_TWICE: CmdError = CmdError::text("ERR IDMP-MAXSIZE specified multiple times");
const DURATION_BOUNDS: CmdError = CmdError::text("ERR IDMP-DURATION must be between 1 and 86400 seconds");
const MAX_LEN_BOUNDS: CmdError = CmdError::text("ERR IDMP-MAXSIZE must be between 1 and 10000 entries");
const NO_PRODUCER: CmdError = CmdError::text("ERR XIDMPRECORD requires a non-empty producer ID");
const NO_IID: CmdError = CmdError::text("ERR XIDMPRECORD requires a non-empty idempotent ID");
const NO_ENTRY: CmdError = CmdError::text("ERR The specified stream ID was deleted or doesn't exist");
const OTHER_ID: CmdError =
    CmdError::text("ERR The specified IDMP producer-id/idempotent-id pair maps to a different stream ID");

/// The next word as a bound that was not given before.
fn bound(
    args: &mut Args<'_>,
    before: Option<u32>,
    most: u32,
    outside: CmdError,
    twice: CmdError,
) -> Result<Option<u32>, CmdError> {
    if before.is_some() {
        return Err(twice);
    }
    let given = args.int_in(1, most.into(), outside.clone())?;
    u32::try_from(given).map(Some).map_err(|_| outside)
}

pub fn xcfgset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (mut duration_s, mut max_len) = (None, None);
    while args.more() {
        let follows = args.left() > 1;
        if follows && args.accept("idmp-duration") {
            duration_s = bound(args, duration_s, MAX_DURATION_S, DURATION_BOUNDS, DURATION_TWICE)?;
        } else if follows && args.accept("idmp-maxsize") {
            max_len = bound(args, max_len, MAX_LEN, MAX_LEN_BOUNDS, MAX_LEN_TWICE)?;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    if duration_s.is_none() && max_len.is_none() {
        return Err(NO_PARAMETER);
    }
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let old = edit.view().idmp().map_or(Memory::default(), |idmp| idmp.memory());
    let memory = Memory { duration_s: duration_s.unwrap_or(old.duration_s), max_len: max_len.unwrap_or(old.max_len) };
    edit.value().idmp_mut().set_memory(memory);
    edit.finish(Event::SILENT);
    cx.reply.ok();
    Ok(Flow::Done)
}

pub fn xidmprecord(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, producer, iid) = (args.key()?, args.bytes()?, args.bytes()?);
    let id = parse_id(args.bytes()?)?;
    if producer.is_empty() {
        return Err(NO_PRODUCER);
    }
    if iid.is_empty() {
        return Err(NO_IID);
    }
    let now_ms = cx.now.unix_ms.0;
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let stream = edit.view();
    if stream.log().get(id).is_none() {
        return Err(NO_ENTRY);
    }
    // What makes no difference must not make a memory either.
    let known = stream.idmp().and_then(|idmp| idmp.find(producer, iid, now_ms));
    if known.is_some_and(|known| known != id) {
        return Err(OTHER_ID);
    }
    if known.is_none() {
        let recorded = edit.value().idmp_mut().record(producer, iid, id, now_ms);
        debug_assert_eq!(recorded, Recorded::New);
        edit.finish(Event::SILENT);
    }
    cx.reply.ok();
    Ok(Flow::Done)
}
