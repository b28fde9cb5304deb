//! Sorted sets: the forms that wait for a member.

use super::write::{mpop_words, take, take_first};
use super::{KEY, NUMKEYS, WHERE, ZSET};
use crate::command::table::{Arg, Command, KeySpec, flag, key_flag as kf};
use crate::command::{Args, Ctx, Flow, Outcome, Wait};
use crate::keyspace::Missing;
use crate::types::{End, Type, ZSet};

const ALL_BUT_LAST: &[KeySpec] = &[KeySpec::range(1, -2, 1, kf::RW | kf::ACCESS | kf::DELETE)];
const TIMEOUT: Arg = Arg::double("timeout");

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

/// Waits for a sorted set at one of these keys, or says that there is none where it may not wait.
fn wait<'a>(cx: &mut Ctx<'_>, keys: impl Iterator<Item = &'a [u8]>, deadline_ms: Option<u64>) -> Outcome {
    if !cx.may_block() {
        cx.reply.null_array();
        return Ok(Flow::Done);
    }
    let keys = keys.map(Box::from).collect();
    Ok(Flow::Block(Box::new(Wait { keys, want: Type::ZSet, also_gone: false, deadline_ms, again: false, argv: None })))
}

fn pop(cx: &mut Ctx<'_>, args: &mut Args<'_>, end: End) -> Outcome {
    let first = args.position();
    let last = args.argc() - 1;
    args.seek(last);
    let deadline_ms = args.timeout(cx.now)?;
    args.seek(first);
    while args.position() < last {
        let key = args.key()?;
        let Some(edit) = cx.db.edit::<ZSet>(key, Missing::Skip)? else { continue };
        cx.reply.array(3);
        cx.reply.bulk(key.bytes);
        take(&mut cx.reply, edit, end, 1, false);
        cx.effects.replace(&[if end == End::Left { b"ZPOPMIN" } else { b"ZPOPMAX" }, key.bytes]);
        return Ok(Flow::Done);
    }
    let words = args.argv();
    wait(cx, words.iter().take(last).skip(first), deadline_ms)
}

fn bzpopmin(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Left)
}

fn bzpopmax(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Right)
}

fn bzmpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let deadline_ms = args.timeout(cx.now)?;
    let take = mpop_words(args)?;
    if take_first(cx, args, &take)? {
        return Ok(Flow::Done);
    }
    let words = args.argv();
    wait(cx, words.iter().skip(take.first).take(take.numkeys), deadline_ms)
}
