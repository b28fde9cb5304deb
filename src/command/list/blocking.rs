//! Lists: the forms that wait for an element.

use super::{COUNT, ENDS, KEY, MOVE, end_of, move_element, pop_event, take_first};
use crate::command::popping::{ALL_BUT_LAST, TIMEOUT, Take, pop_or_wait, wait};
use crate::command::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::command::{Args, Ctx, Flow, Outcome, reply_elem};
use crate::keyspace::{Key, Missing};
use crate::types::{End, List, Type};

const BLOCKING: Command = Command { group: "list", acl: acl::LIST, ..Command::BLANK };

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "blmove",
        arity: 6,
        flags: flag::WRITE | flag::DENYOOM | flag::BLOCKING,
        keys: MOVE,
        args: &[
            Arg::key("source"),
            Arg::key("destination").spec(1),
            Arg::one_of("wherefrom", ENDS),
            Arg::one_of("whereto", ENDS),
            TIMEOUT,
        ],
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Moves an element from an end of one list to an end of another; waits until there is one.",
        run: Some(blmove),
        ..BLOCKING
    },
    Command {
        name: "blmpop",
        arity: -5,
        flags: flag::WRITE | flag::BLOCKING,
        keys: &[KeySpec::count(2, 1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[TIMEOUT, Arg::int("numkeys"), KEY.multiple(), Arg::one_of("where", ENDS), COUNT],
        since: "7.0.0",
        complexity: "O(N+M), N the keys, M the elements taken",
        summary: "Takes elements from an end of the first list that is not empty; waits until there is one.",
        run: Some(blmpop),
        ..BLOCKING
    },
    Command {
        name: "blpop",
        arity: -3,
        flags: flag::WRITE | flag::BLOCKING,
        keys: ALL_BUT_LAST,
        args: &[KEY.multiple(), TIMEOUT],
        since: "2.0.0",
        complexity: "O(N) in the keys",
        summary: "Takes the first element of the first list that is not empty; waits until there is one.",
        history: &[("6.0.0", "The time to wait may have a fraction.")],
        run: Some(blpop),
        ..BLOCKING
    },
    Command {
        name: "brpop",
        arity: -3,
        flags: flag::WRITE | flag::BLOCKING,
        keys: ALL_BUT_LAST,
        args: &[KEY.multiple(), TIMEOUT],
        since: "2.0.0",
        complexity: "O(N) in the keys",
        summary: "Takes the last element of the first list that is not empty; waits until there is one.",
        history: &[("6.0.0", "The time to wait may have a fraction.")],
        run: Some(brpop),
        ..BLOCKING
    },
    Command {
        name: "brpoplpush",
        arity: 4,
        flags: flag::WRITE | flag::DENYOOM | flag::BLOCKING,
        keys: MOVE,
        args: &[Arg::key("source"), Arg::key("destination").spec(1), TIMEOUT],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Moves the last element of a list to the front of another; waits until there is one.",
        history: &[("6.0.0", "The time to wait may have a fraction.")],
        run: Some(brpoplpush),
        ..BLOCKING
    },
];

fn pop(cx: &mut Ctx<'_>, args: &mut Args<'_>, end: End) -> Outcome {
    pop_or_wait(cx, args, Type::List, |cx, key| {
        let Some(mut edit) = cx.db.edit::<List>(key, Missing::Skip)? else { return Ok(false) };
        cx.reply.array(2);
        cx.reply.bulk(key.bytes);
        let mut list = edit.value();
        list.pop(end, |elem| reply_elem(&mut cx.reply, elem));
        list.shrink();
        drop(list);
        edit.finish(pop_event(end));
        cx.effects.replace(&[if end == End::Left { b"LPOP" } else { b"RPOP" }, key.bytes]);
        Ok(true)
    })
}

fn blpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Left)
}

fn brpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Right)
}

fn blmpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let deadline_ms = args.timeout(cx.now)?;
    let take = Take::read(args, end_of)?;
    if take_first(cx, args, &take)? {
        return Ok(Flow::Done);
    }
    take.wait(cx, args, Type::List, deadline_ms)
}

/// Moves an element, or waits for one. `named_ends`: whether the words name the ends; those that are told do as well.
fn move_or_wait(
    cx: &mut Ctx<'_>,
    [from, to]: [Key<'_>; 2],
    [take, put]: [End; 2],
    deadline_ms: Option<u64>,
    named_ends: bool,
) -> Outcome {
    if cx.db.read_to_change::<List>(from)?.is_none() {
        return Ok(wait(cx, Type::List, std::iter::once(from.bytes), deadline_ms).unwrap_or_else(|| {
            cx.reply.null();
            Flow::Done
        }));
    }
    let name = |end: End| -> &[u8] { if end == End::Left { b"LEFT" } else { b"RIGHT" } };
    if named_ends {
        cx.effects.replace(&[b"LMOVE", from.bytes, to.bytes, name(take), name(put)]);
    } else {
        cx.effects.replace(&[b"RPOPLPUSH", from.bytes, to.bytes]);
    }
    move_element(cx, from, to, take, put)
}

fn blmove(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    let (take, put) = (end_of(args)?, end_of(args)?);
    let deadline_ms = args.timeout(cx.now)?;
    move_or_wait(cx, [from, to], [take, put], deadline_ms, true)
}

fn brpoplpush(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    let deadline_ms = args.timeout(cx.now)?;
    move_or_wait(cx, [from, to], [End::Right, End::Left], deadline_ms, false)
}
