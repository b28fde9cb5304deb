//! Sorted sets: the forms that wait for a member.

use super::write::{end_of, take, take_first};
use super::{KEY, NUMKEYS, WHERE, ZSET};
use crate::command::popping::{ALL_BUT_LAST, TIMEOUT, Take, pop_or_wait};
use crate::command::table::{Arg, Command, KeySpec, flag, key_flag as kf};
use crate::command::{Args, Ctx, Flow, Outcome};
use crate::keyspace::Missing;
use crate::types::{End, Type, ZSet};

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bzmpop",
        arity: -5,
        flags: flag::WRITE | flag::BLOCKING,
        keys: &[KeySpec::count(2, 1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[TIMEOUT, NUMKEYS, KEY.multiple(), WHERE, Arg::int("count").token("COUNT").optional()],
        since: "7.0.0",
        complexity: "O(K) + O(M*log(N)), K the keys, M the members taken",
        summary: "Takes the members with the lowest or highest scores out of the first sorted set; waits until there is one.",
        run: Some(bzmpop),
        ..ZSET
    },
    Command {
        name: "bzpopmax",
        arity: -3,
        flags: flag::WRITE | flag::BLOCKING | flag::FAST,
        keys: ALL_BUT_LAST,
        args: &[KEY.multiple(), TIMEOUT],
        since: "5.0.0",
        complexity: "O(log(N)), N the members",
        summary: "Takes the member with the highest score out of the first sorted set; waits until there is one.",
        history: &[("6.0.0", "The time to wait may have a fraction.")],
        run: Some(bzpopmax),
        ..ZSET
    },
    Command {
        name: "bzpopmin",
        arity: -3,
        flags: flag::WRITE | flag::BLOCKING | flag::FAST,
        keys: ALL_BUT_LAST,
        args: &[KEY.multiple(), TIMEOUT],
        since: "5.0.0",
        complexity: "O(log(N)), N the members",
        summary: "Takes the member with the lowest score out of the first sorted set; waits until there is one.",
        history: &[("6.0.0", "The time to wait may have a fraction.")],
        run: Some(bzpopmin),
        ..ZSET
    },
];

fn pop(cx: &mut Ctx<'_>, args: &mut Args<'_>, end: End) -> Outcome {
    pop_or_wait(cx, args, Type::ZSet, |cx, key| {
        let Some(edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else { return Ok(false) };
        cx.reply.array(3);
        cx.reply.bulk(key.bytes);
        take(&mut cx.reply, edit, end, 1, false);
        cx.effects.replace(&[if end == End::Left { b"ZPOPMIN" } else { b"ZPOPMAX" }, key.bytes]);
        Ok(true)
    })
}

fn bzpopmin(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Left)
}

fn bzpopmax(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Right)
}

fn bzmpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let deadline_ms = args.timeout(cx.now)?;
    let take = Take::read(args, end_of)?;
    if take_first(cx, args, &take)? {
        return Ok(Flow::Done);
    }
    take.wait(cx, args, Type::ZSet, deadline_ms)
}
