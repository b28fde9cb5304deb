//! Lists. The forms that wait have a file of their own.

pub mod blocking;
pub mod moving;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::popping::Take;
use super::reply_elem;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::keyspace::{Edit, Event, Key, Missing};
use crate::resp::Reply;
use crate::types::{End, List, Value};

const LIST: Command = Command { group: "list", acl: acl::LIST, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const INSERT: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::INSERT)];
const DELETE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::DELETE)];
const TAKE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE)];
const MOVE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE), KeySpec::at(2, kf::RW | kf::INSERT)];
const KEY: Arg = Arg::key("key");
const ELEMENT: Arg = Arg::string("element");
const COUNT: Arg = Arg::int("count").token("COUNT").optional();
const ENDS: &[Arg] = &[Arg::word("left", "LEFT"), Arg::word("right", "RIGHT")];
const PUSH: u32 = flag::WRITE | flag::DENYOOM | flag::FAST;

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "lget",
        arity: 2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(N) in the elements",
        summary: "Replies all elements of a list.",
        run: Some(lget),
        ..LIST
    },
    Command {
        name: "lindex",
        arity: 3,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("index")],
        since: "1.0.0",
        complexity: "O(sqrt(N)) at most",
        summary: "Replies the element at an index, negative from the tail.",
        run: Some(lindex),
        ..LIST
    },
    Command {
        name: "linsert",
        arity: 5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: INSERT,
        args: &[
            KEY,
            Arg::one_of("where", &[Arg::word("before", "BEFORE"), Arg::word("after", "AFTER")]),
            Arg::string("pivot"),
            ELEMENT,
        ],
        since: "2.2.0",
        complexity: "O(N) in the elements before the pivot",
        summary: "Inserts an element before or after the first one that equals another.",
        run: Some(linsert),
        ..LIST
    },
    Command {
        name: "llen",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: &[KeySpec::at(1, kf::RO)],
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies the number of elements.",
        run: Some(llen),
        ..LIST
    },
    Command {
        name: "lmove",
        arity: 5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: MOVE,
        args: &[
            Arg::key("source"),
            Arg::key("destination").spec(1),
            Arg::one_of("wherefrom", ENDS),
            Arg::one_of("whereto", ENDS),
        ],
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Takes an element from an end of one list and adds it to an end of another; replies it.",
        run: Some(lmove),
        ..LIST
    },
    Command {
        name: "lmpop",
        arity: -4,
        flags: flag::WRITE,
        keys: &[KeySpec::count(1, 1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[
            Arg::int("numkeys"),
            KEY.multiple(),
            Arg::one_of("where", ENDS),
            Arg::int("count").token("COUNT").optional(),
        ],
        since: "7.0.0",
        complexity: "O(N+M), N the keys, M the elements taken",
        summary: "Takes elements from an end of the first list that is not empty.",
        run: Some(lmpop),
        ..LIST
    },
    Command {
        name: "lpop",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: TAKE,
        args: &[KEY, Arg::int("count").optional().since("6.2.0")],
        since: "1.0.0",
        complexity: "O(N) in the elements taken",
        summary: "Takes elements from the head.",
        run: Some(lpop),
        ..LIST
    },
    Command {
        name: "lpos",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            ELEMENT,
            Arg::int("rank").token("RANK").optional(),
            Arg::int("num-matches").token("COUNT").optional(),
            Arg::int("len").token("MAXLEN").optional(),
        ],
        since: "6.0.6",
        complexity: "O(N) in the elements",
        summary: "Replies the indices of elements that equal another.",
        run: Some(lpos),
        ..LIST
    },
    Command {
        name: "lpush",
        arity: -3,
        flags: PUSH,
        keys: INSERT,
        args: &[KEY, ELEMENT.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the elements named",
        summary: "Adds elements to the head; replies the length.",
        history: &[("2.4.0", "Several elements.")],
        run: Some(lpush),
        ..LIST
    },
    Command {
        name: "lpushx",
        arity: -3,
        flags: PUSH,
        keys: INSERT,
        args: &[KEY, ELEMENT.multiple()],
        since: "2.2.0",
        complexity: "O(N) in the elements named",
        summary: "Adds elements to the head of a list that exists.",
        history: &[("4.0.0", "Several elements.")],
        run: Some(lpushx),
        ..LIST
    },
    Command {
        name: "lrange",
        arity: 4,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("start"), Arg::int("stop")],
        since: "1.0.0",
        complexity: "O(N) in the elements replied",
        summary: "Replies the elements between two indices, both included.",
        run: Some(lrange),
        ..LIST
    },
    Command {
        name: "lrem",
        arity: 4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, Arg::int("count"), ELEMENT],
        since: "1.0.0",
        complexity: "O(N) in the elements",
        summary: "Removes elements that equal another, from the head or (negative count) from the tail.",
        run: Some(lrem),
        ..LIST
    },
    Command {
        name: "lset",
        arity: 4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RW | kf::UPDATE)],
        args: &[KEY, Arg::int("index"), ELEMENT],
        since: "1.0.0",
        complexity: "O(sqrt(N)) at most",
        summary: "Replaces the element at an index.",
        run: Some(lset),
        ..LIST
    },
    Command {
        name: "ltrim",
        arity: 4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, Arg::int("start"), Arg::int("stop")],
        since: "1.0.0",
        complexity: "O(N) in the elements removed",
        summary: "Keeps only the elements between two indices, both included.",
        run: Some(ltrim),
        ..LIST
    },
    Command {
        name: "rpop",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: TAKE,
        args: &[KEY, Arg::int("count").optional().since("6.2.0")],
        since: "1.0.0",
        complexity: "O(N) in the elements taken",
        summary: "Takes elements from the tail.",
        run: Some(rpop),
        ..LIST
    },
    Command {
        name: "rpoplpush",
        arity: 3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: MOVE,
        args: &[Arg::key("source"), Arg::key("destination").spec(1)],
        since: "1.2.0",
        complexity: "O(1)",
        summary: "Takes the tail of one list and adds it to the head of another; replies it.",
        deprecated: Some(("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")),
        run: Some(rpoplpush),
        ..LIST
    },
    Command {
        name: "rpush",
        arity: -3,
        flags: PUSH,
        keys: INSERT,
        args: &[KEY, ELEMENT.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the elements named",
        summary: "Adds elements to the tail; replies the length.",
        history: &[("2.4.0", "Several elements.")],
        run: Some(rpush),
        ..LIST
    },
    Command {
        name: "rpushx",
        arity: -3,
        flags: PUSH,
        keys: INSERT,
        args: &[KEY, ELEMENT.multiple()],
        since: "2.2.0",
        complexity: "O(N) in the elements named",
        summary: "Adds elements to the tail of a list that exists.",
        history: &[("4.0.0", "Several elements.")],
        run: Some(rpushx),
        ..LIST
    },
];

const fn push_event(end: End) -> Event {
    Event::list(match end {
        End::Left => "lpush",
        End::Right => "rpush",
    })
}

const fn pop_event(end: End) -> Event {
    Event::list(match end {
        End::Left => "lpop",
        End::Right => "rpop",
    })
}

fn push(cx: &mut Ctx<'_>, args: &mut Args<'_>, end: End, missing: Missing) -> Outcome {
    let key = args.key()?;
    let Some(mut edit) = cx.db.edit::<List>(key, missing)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let count = args.left();
    let mut list = edit.value();
    if count > 1 {
        // Several at once: whether they fit is asked once, for all.
        let argv = args.argv();
        let bytes = argv.iter().skip(args.position()).map(|element| element.len() + 2).sum();
        list.make_room(count, bytes);
    }
    while args.more() {
        list.push(end, args.bytes()?);
    }
    let len = list.view().len();
    drop(list);
    edit.finish_with(count as u64, push_event(end));
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn lpush(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    push(cx, args, End::Left, Missing::Create)
}

fn rpush(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    push(cx, args, End::Right, Missing::Create)
}

fn lpushx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    push(cx, args, End::Left, Missing::Skip)
}

fn rpushx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    push(cx, args, End::Right, Missing::Skip)
}

fn pop(cx: &mut Ctx<'_>, args: &mut Args<'_>, end: End) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CmdError::arity(cx.command_name()));
    }
    let count = match args.more() {
        true => {
            let positive = CmdError::MUST_BE_POSITIVE;
            Some(args.int_in(0, i64::MAX, positive.clone()).map_err(|_| positive)?)
        }
        false => None,
    };
    let Some(mut edit) = cx.db.edit::<List>(key, Missing::Skip)? else {
        match count {
            Some(_) => cx.reply.null_array(),
            None => cx.reply.null(),
        }
        return Ok(Flow::Done);
    };
    let Some(count) = count else {
        let mut list = edit.value();
        list.pop(end, |elem| reply_elem(&mut cx.reply, elem));
        list.shrink();
        drop(list);
        edit.finish(pop_event(end));
        return Ok(Flow::Done);
    };
    let taken = usize::try_from(count).unwrap_or(usize::MAX).min(edit.view().len());
    if taken == 0 {
        cx.reply.array(0);
        return Ok(Flow::Done);
    }
    pop_many(&mut cx.reply, edit, end, taken);
    Ok(Flow::Done)
}

/// Takes `taken` elements (there are as many) and replies them as an array.
fn pop_many(reply: &mut Reply<'_>, mut edit: Edit<'_, List>, end: End, taken: usize) {
    reply.array(taken);
    let list = edit.view();
    let len = list.len();
    match end {
        End::Left => list.range(0, taken, |elem| reply_elem(reply, elem)),
        End::Right => list.range_rev(len - 1, taken, |elem| reply_elem(reply, elem)),
    }
    let start = if end == End::Left { 0 } else { len - taken };
    let mut list = edit.value();
    list.remove_range(start, taken);
    list.shrink();
    drop(list);
    edit.finish_with(taken as u64, pop_event(end));
}

fn lpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Left)
}

fn rpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    pop(cx, args, End::Right)
}

fn end_of(args: &mut Args<'_>) -> Result<End, CmdError> {
    if args.accept("left") {
        Ok(End::Left)
    } else if args.accept("right") {
        Ok(End::Right)
    } else {
        Err(CmdError::SYNTAX)
    }
}

/// Takes elements out of the first list that there is and replies its name and them; false if there is none.
fn take_first(cx: &mut Ctx<'_>, args: &mut Args<'_>, take: &Take) -> Result<bool, CmdError> {
    args.seek(take.first);
    for _ in 0..take.numkeys {
        let key = args.key()?;
        let Some(edit) = cx.db.edit::<List>(key, Missing::Skip)? else { continue };
        let taken = take.count.min(edit.view().len());
        cx.reply.array(2);
        cx.reply.bulk(key.bytes);
        // Which of the keys it was is known now: the effect names it alone.
        let mut text = itoa::Buffer::new();
        let name: &[u8] = if take.end == End::Left { b"LPOP" } else { b"RPOP" };
        cx.effects.replace(&[name, key.bytes, text.format(taken).as_bytes()]);
        pop_many(&mut cx.reply, edit, take.end, taken);
        return Ok(true);
    }
    Ok(false)
}

fn lmpop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let take = Take::read(args, end_of)?;
    if !take_first(cx, args, &take)? {
        cx.reply.null_array();
    }
    Ok(Flow::Done)
}

/// Moves one element; replies it, or no value if the source is missing.
fn move_element(cx: &mut Ctx<'_>, from: Key<'_>, to: Key<'_>, take: End, put: End) -> Outcome {
    if cx.db.read_to_change::<List>(from)?.is_none() {
        cx.reply.null();
        return Ok(Flow::Done);
    }
    if cx.db.type_of(to).is_some_and(|t| t != List::TYPE) {
        return Err(CmdError::WRONG_TYPE);
    }
    let mut element = Vec::new();
    if from.bytes == to.bytes {
        // One list turned round: one edit, so that a list of one element does not vanish in between.
        if let Some(mut edit) = cx.db.edit::<List>(from, Missing::Skip)? {
            let mut list = edit.value();
            list.pop(take, |elem| elem.write_to(&mut element));
            list.push(put, &element);
            drop(list);
            edit.finish(push_event(put));
        }
        cx.announce(from.bytes, pop_event(take));
        cx.reply.bulk(&element);
        return Ok(Flow::Done);
    }
    if let Some(edit) = cx.db.edit::<List>(from, Missing::Skip)? {
        edit.view().get(if take == End::Left { 0 } else { -1 }, |elem| elem.write_to(&mut element));
    }
    let mut edit = cx.db.edit_or_create::<List>(to)?;
    edit.value().push(put, &element);
    edit.finish(push_event(put));
    if let Some(mut edit) = cx.db.edit::<List>(from, Missing::Skip)? {
        let mut list = edit.value();
        list.pop(take, |_| ());
        list.shrink();
        drop(list);
        // One change in all: a move.
        edit.finish_with(0, pop_event(take));
    }
    cx.reply.bulk(&element);
    Ok(Flow::Done)
}

fn lmove(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    let (take, put) = (end_of(args)?, end_of(args)?);
    move_element(cx, from, to, take, put)
}

fn rpoplpush(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to) = (args.key()?, args.key()?);
    move_element(cx, from, to, End::Right, End::Left)
}

fn llen(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<List>(key)?.map_or(0, |list| list.len());
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn lindex(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let found = match cx.db.read::<List>(key)? {
        Some(list) => list.get(args.int()?, |elem| reply_elem(&mut cx.reply, elem)),
        None => None,
    };
    if found.is_none() {
        cx.reply.null();
    }
    Ok(Flow::Done)
}

/// Indices, negative from the end and both included, as (first, count) within `len`.
pub(super) fn index_range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from_end = |i: i64| if i < 0 { len.saturating_add(i) } else { i };
    let (start, stop) = (from_end(start).max(0), from_end(stop).min(len - 1));
    if start > stop { (0, 0) } else { (start as usize, (stop - start + 1) as usize) }
}

fn reply_range(cx: &mut Ctx<'_>, key: Key<'_>, start: i64, stop: i64) -> Outcome {
    let Some(list) = cx.db.read::<List>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let (first, count) = index_range(start, stop, list.len());
    cx.reply.array(count);
    if count > 0 {
        list.range(first, count, |elem| reply_elem(&mut cx.reply, elem));
    }
    Ok(Flow::Done)
}

fn lrange(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, stop) = (args.key()?, args.int()?, args.int()?);
    reply_range(cx, key, start, stop)
}

fn lget(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    reply_range(cx, key, 0, -1)
}

fn lset(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, index, element) = (args.key()?, args.bytes()?, args.bytes()?);
    let Some(mut edit) = cx.db.edit::<List>(key, Missing::Skip)? else { return Err(CmdError::NO_SUCH_KEY) };
    let index = crate::base::number::parse_i64(index).ok_or(CmdError::NOT_INTEGER)?;
    let mut list = edit.value();
    if !list.set(index, element) {
        return Err(CmdError::OUT_OF_RANGE);
    }
    list.shrink();
    drop(list);
    edit.finish(Event::list("lset"));
    cx.reply.ok();
    Ok(Flow::Done)
}

fn linsert(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let before = args.accept("before");
    if !before && !args.accept("after") {
        return Err(CmdError::SYNTAX);
    }
    let (pivot, element) = (args.bytes()?, args.bytes()?);
    let Some(mut edit) = cx.db.edit::<List>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let inserted = edit.value().insert(before, pivot, element);
    match inserted {
        Some(len) => {
            edit.finish(Event::list("linsert"));
            cx.reply.len(len);
        }
        None => cx.reply.int(-1),
    }
    Ok(Flow::Done)
}

fn lrem(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, count, element) = (args.key()?, args.int()?, args.bytes()?);
    let Some(mut edit) = cx.db.edit::<List>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let mut list = edit.value();
    let removed = list.remove(count, element);
    list.shrink();
    drop(list);
    if removed > 0 {
        edit.finish_with(removed as u64, Event::list("lrem"));
    }
    cx.reply.len(removed);
    Ok(Flow::Done)
}

fn ltrim(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, start, stop) = (args.key()?, args.int()?, args.int()?);
    let Some(mut edit) = cx.db.edit::<List>(key, Missing::Skip)? else {
        cx.reply.ok();
        return Ok(Flow::Done);
    };
    let len = edit.view().len();
    let (first, count) = index_range(start, stop, len);
    let mut list = edit.value();
    list.remove_range(first + count, len - first - count);
    list.remove_range(0, if count == 0 { len } else { first });
    list.shrink();
    drop(list);
    edit.finish_with((len - count) as u64, Event::list("ltrim"));
    cx.reply.ok();
    Ok(Flow::Done)
}

fn lpos(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, element) = (args.key()?, args.bytes()?);
    let (mut rank, mut count, mut max_len) = (1i64, None, 0);
    while args.more() {
        if args.left() < 2 {
            return Err(CmdError::SYNTAX);
        }
        if args.accept("rank") {
            rank = args.int()?;
            if rank == 0 {
                return Err(CmdError::text(
                    "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative \
                     to start from the end of the list",
                ));
            }
            if rank == i64::MIN {
                return Err(CmdError::COUNT_OUT_OF_RANGE);
            }
        } else if args.accept("count") {
            let error = CmdError::text("ERR COUNT can't be negative");
            count = Some(args.int_in(0, i64::MAX, error.clone()).map_err(|_| error)?);
        } else if args.accept("maxlen") {
            let error = CmdError::text("ERR MAXLEN can't be negative");
            max_len = args.int_in(0, i64::MAX, error.clone()).map_err(|_| error)? as usize;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    let from = if rank > 0 { End::Left } else { End::Right };
    let mut skip = rank.unsigned_abs() - 1;
    let wanted = count.map_or(1, |count| if count == 0 { u64::MAX } else { count as u64 });
    let mut found: Vec<usize> = Vec::new();
    if let Some(list) = cx.db.read::<List>(key)? {
        list.positions(element, from, max_len, |index| {
            if skip > 0 {
                skip -= 1;
                return true;
            }
            found.push(index);
            (found.len() as u64) < wanted
        });
    }
    match (count, found.first()) {
        (Some(_), _) => {
            cx.reply.array(found.len());
            found.iter().for_each(|index| cx.reply.len(*index));
        }
        (None, Some(index)) => cx.reply.len(*index),
        (None, None) => cx.reply.null(),
    }
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::index_range;

    #[test]
    fn index_ranges_are_clamped_to_the_list() {
        assert_eq!(index_range(0, -1, 4), (0, 4));
        assert_eq!(index_range(-3, -2, 4), (1, 2));
        assert_eq!(index_range(2, 1, 4), (0, 0));
        assert_eq!(index_range(-100, 100, 4), (0, 4));
        assert_eq!(index_range(4, 9, 4), (0, 0));
        assert_eq!(index_range(i64::MIN, i64::MAX, 4), (0, 4));
        assert_eq!(index_range(0, 0, 0), (0, 0));
    }
}
