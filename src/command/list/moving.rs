//! Lists: moving several elements at once, LMOVEM and BLMOVEM. One by one they arrive as if each had been moved alone; in
//! bulk they keep their order.

use super::{ENDS, MOVE, end_of, pop_event, push_event};
use crate::command::popping::{TIMEOUT, wait_or_none};
use crate::command::table::{Arg, Command, acl, flag};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::keyspace::{Key, Missing};
use crate::types::{Elem, End, List, Type, Value};

const MOVING: Command = Command { group: "list", acl: acl::LIST, since: "8.10.0", ..Command::BLANK };
const HOW_MANY: Arg = Arg::block(
    "how-many",
    &[
        Arg::one_of("selector", &[Arg::int("count").token("COUNT"), Arg::int("exactly").token("EXACTLY")]),
        Arg::one_of("ordering", &[Arg::word("obo", "OBO"), Arg::word("bulk", "BULK")]),
    ],
)
.optional();

/// The rows.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "blmovem",
        arity: -6,
        flags: flag::WRITE | flag::DENYOOM | flag::BLOCKING,
        keys: MOVE,
        args: &[
            Arg::key("source"),
            Arg::key("destination").spec(1),
            Arg::one_of("wherefrom", ENDS),
            Arg::one_of("whereto", ENDS),
            TIMEOUT,
            HOW_MANY,
        ],
        complexity: "O(N) in the elements moved",
        summary: "Moves elements from an end of one list to an end of another; waits until there are enough.",
        run: Some(blmovem),
        ..MOVING
    },
    Command {
        name: "lmovem",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: MOVE,
        args: &[
            Arg::key("source"),
            Arg::key("destination").spec(1),
            Arg::one_of("wherefrom", ENDS),
            Arg::one_of("whereto", ENDS),
            HOW_MANY,
        ],
        complexity: "O(N) in the elements moved",
        summary: "Moves elements from an end of one list to an end of another; replies them as they lie there.",
        run: Some(lmovem),
        ..MOVING
    },
];

/// What is moved, and how.
struct Moving<'a> {
    from: Key<'a>,
    to: Key<'a>,
    take: End,
    put: End,
    count: usize,
    /// Not fewer.
    exactly: bool,
    /// In bulk, not one by one.
    bulk: bool,
}

/// COUNT or EXACTLY with their number, and OBO or BULK: all or nothing.
fn how_many(args: &mut Args<'_>, moving: &mut Moving<'_>) -> Result<(), CmdError> {
    if !args.more() {
        return Ok(());
    }
    moving.exactly = args.accept("exactly");
    if !moving.exactly && !args.accept("count") {
        return Err(CmdError::SYNTAX);
    }
    let not_positive = CmdError::text("ERR count should be greater than 0");
    let count = args.int_in(1, i64::MAX, not_positive.clone()).map_err(|_| not_positive)?;
    moving.count = usize::try_from(count).unwrap_or(usize::MAX);
    moving.bulk = args.accept("bulk");
    if !moving.bulk && !args.accept("obo") {
        return Err(CmdError::SYNTAX);
    }
    args.end()
}

/// Moves what there is; false if there is nothing, or not enough.
fn run(cx: &mut Ctx<'_>, moving: &Moving<'_>) -> Result<bool, CmdError> {
    let Some(list) = cx.db.read_to_change::<List>(moving.from)? else { return Ok(false) };
    let len = list.len();
    let count = moving.count.min(len);
    if moving.exactly && count < moving.count {
        return Ok(false);
    }
    let mut elements: Vec<Vec<u8>> = Vec::with_capacity(count);
    let keep = |elem: Elem<'_>| {
        let mut bytes = Vec::new();
        elem.write_to(&mut bytes);
        elements.push(bytes);
    };
    let start = if moving.take == End::Left { 0 } else { len - count };
    match moving.take {
        End::Left => list.range(start, count, keep),
        End::Right => list.range_rev(len - 1, count, keep),
    }
    if cx.db.type_of(moving.to).is_some_and(|t| t != List::TYPE) {
        return Err(CmdError::WRONG_TYPE);
    }
    // In bulk what comes to lie at the head is pushed there last.
    if moving.bulk && moving.take == moving.put {
        elements.reverse();
    }
    if moving.from.bytes == moving.to.bytes {
        // One list turned round: one edit, so that it does not vanish in between.
        if let Some(mut edit) = cx.db.edit::<List>(moving.from, Missing::Skip)? {
            let mut list = edit.value();
            list.remove_range(start, count);
            elements.iter().for_each(|element| list.push(moving.put, element));
            drop(list);
            edit.finish_with(count as u64, push_event(moving.put));
        }
        cx.announce(moving.from.bytes, pop_event(moving.take));
    } else {
        let mut edit = cx.db.edit_or_create::<List>(moving.to)?;
        let mut list = edit.value();
        elements.iter().for_each(|element| list.push(moving.put, element));
        drop(list);
        edit.finish_with(count as u64, push_event(moving.put));
        if let Some(mut edit) = cx.db.edit::<List>(moving.from, Missing::Skip)? {
            let mut list = edit.value();
            list.remove_range(start, count);
            list.shrink();
            drop(list);
            // One change for each element: a move.
            edit.finish_with(0, pop_event(moving.take));
        }
    }
    if moving.put == End::Left {
        elements.reverse();
    }
    cx.reply.array(elements.len());
    elements.iter().for_each(|element| cx.reply.bulk(element));
    Ok(true)
}

/// The four words that both commands begin with.
fn ends<'a>(args: &mut Args<'a>) -> Result<Moving<'a>, CmdError> {
    let (from, to) = (args.key()?, args.key()?);
    let (take, put) = (end_of(args)?, end_of(args)?);
    Ok(Moving { from, to, take, put, count: 1, exactly: false, bulk: false })
}

fn lmovem(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut moving = ends(args)?;
    how_many(args, &mut moving)?;
    if !run(cx, &moving)? {
        cx.reply.null_array();
    }
    Ok(Flow::Done)
}

fn blmovem(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut moving = ends(args)?;
    let deadline_ms = args.timeout(cx.now)?;
    how_many(args, &mut moving)?;
    if !run(cx, &moving)? {
        return wait_or_none(cx, Type::List, std::iter::once(moving.from.bytes), deadline_ms);
    }
    let name = |end: End| -> &[u8] { if end == End::Left { b"LEFT" } else { b"RIGHT" } };
    let mut digits = itoa::Buffer::new();
    let words: [&[u8]; 8] = [
        b"LMOVEM",
        moving.from.bytes,
        moving.to.bytes,
        name(moving.take),
        name(moving.put),
        if moving.exactly { b"EXACTLY" } else { b"COUNT" },
        digits.format(moving.count).as_bytes(),
        if moving.bulk { b"BULK" } else { b"OBO" },
    ];
    cx.effects.replace(&words);
    Ok(Flow::Done)
}
