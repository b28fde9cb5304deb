//! Sets.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::scan::{self, ScanArgs};
use super::table::{Arg, ArgType, Command, KeySpec, acl, flag, key_flag as kf};
use super::{reply_elem, reply_elem_opt};
use crate::keyspace::{DbView, Event, Key, Missing};
use crate::types::hll::Registers;
use crate::types::{Elem, Entry, Limits, Set, SetMut, SetRef, Value};

const SET: Command = Command { group: "set", acl: acl::SET, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const LOOK: &[KeySpec] = &[KeySpec::at(1, kf::RO)];
const READ_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, kf::RO | kf::ACCESS)];
const STORE: &[KeySpec] = &[KeySpec::at(1, kf::OW | kf::UPDATE), KeySpec::range(2, -1, 1, kf::RO | kf::ACCESS)];
const KEY: Arg = Arg::key("key");
const MEMBER: Arg = Arg::string("member");
const DESTINATION: Arg = Arg::key("destination");
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sadd",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::INSERT)],
        member: 2,
        args: &[KEY, MEMBER.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the members named",
        summary: "Adds members to a set; replies how many are new.",
        history: &[("2.4.0", "Several members.")],
        run: Some(sadd),
        ..SET
    },
    Command {
        name: "scard",
        arity: 2,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies the number of members.",
        run: Some(scard),
        ..SET
    },
    Command {
        name: "sdiff",
        arity: -2,
        flags: flag::READONLY,
        keys: READ_ALL,
        args: &[KEY.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the members of all sets",
        summary: "Replies the members of the first set that are in none of the others.",
        tips: ANY_ORDER,
        run: Some(sdiff),
        ..SET
    },
    Command {
        name: "sdiffcard",
        arity: -3,
        flags: flag::READONLY,
        keys: &[KeySpec::count(1, 1, kf::RO | kf::ACCESS)],
        args: &[Arg::int("numkeys"), KEY.multiple(), Arg::int("limit").token("LIMIT").optional()],
        since: "8.10.0",
        complexity: "O(N) in the members of all sets",
        summary: "Counts the members of the first set that are in none of the others, up to a limit.",
        run: Some(sdiffcard),
        ..SET
    },
    Command {
        name: "sdiffstore",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: STORE,
        args: &[DESTINATION, KEY.spec(1).multiple()],
        since: "1.0.0",
        complexity: "O(N) in the members of all sets",
        summary: "Stores the members of the first set that are in none of the others.",
        run: Some(sdiffstore),
        ..SET
    },
    Command {
        name: "sinter",
        arity: -2,
        flags: flag::READONLY,
        keys: READ_ALL,
        args: &[KEY.multiple()],
        since: "1.0.0",
        complexity: "O(N*M), N the members of the smallest set, M the sets",
        summary: "Replies the members that all sets have.",
        tips: ANY_ORDER,
        run: Some(sinter),
        ..SET
    },
    Command {
        name: "sintercard",
        arity: -3,
        flags: flag::READONLY,
        keys: &[KeySpec::count(1, 1, kf::RO | kf::ACCESS)],
        args: &[Arg::int("numkeys"), KEY.multiple(), Arg::int("limit").token("LIMIT").optional()],
        since: "7.0.0",
        complexity: "O(N*M), N the members of the smallest set, M the sets",
        summary: "Counts the members that all sets have, up to a limit.",
        run: Some(sintercard),
        ..SET
    },
    Command {
        name: "sinterstore",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: STORE,
        args: &[DESTINATION, KEY.spec(1).multiple()],
        since: "1.0.0",
        complexity: "O(N*M), N the members of the smallest set, M the sets",
        summary: "Stores the members that all sets have.",
        run: Some(sinterstore),
        ..SET
    },
    Command {
        name: "sismember",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        keys: LOOK,
        member: 2,
        args: &[KEY, MEMBER],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Tells whether a set has a member.",
        run: Some(sismember),
        ..SET
    },
    Command {
        name: "smembers",
        arity: 2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY],
        since: "1.0.0",
        complexity: "O(N) in the members",
        summary: "Replies all members.",
        tips: ANY_ORDER,
        run: Some(smembers),
        ..SET
    },
    Command {
        name: "smismember",
        arity: -3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER.multiple()],
        since: "6.2.0",
        complexity: "O(N) in the members named",
        summary: "Tells for several members whether a set has them.",
        run: Some(smismember),
        ..SET
    },
    Command {
        name: "smove",
        arity: 4,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE), KeySpec::at(2, kf::RW | kf::INSERT)],
        args: &[Arg::key("source"), Arg::key("destination").spec(1), MEMBER],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Moves a member from one set to another.",
        run: Some(smove),
        ..SET
    },
    Command {
        name: "spop",
        arity: -2,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::DELETE)],
        args: &[KEY, Arg::int("count").optional().since("3.2.0")],
        since: "1.0.0",
        complexity: "O(N) in the members taken",
        summary: "Takes random members out of a set.",
        tips: &["nondeterministic_output"],
        run: Some(spop),
        ..SET
    },
    Command {
        name: "srandmember",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, Arg::int("count").optional().since("2.6.0")],
        since: "1.0.0",
        complexity: "O(N) in the members replied",
        summary: "Replies random members: distinct ones for a positive count, with repeats for a negative one.",
        tips: &["nondeterministic_output"],
        run: Some(srandmember),
        ..SET
    },
    Command {
        name: "srem",
        arity: -3,
        flags: flag::WRITE | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::DELETE)],
        member: 2,
        args: &[KEY, MEMBER.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the members named",
        summary: "Removes members, and the key with the last of them.",
        history: &[("2.4.0", "Several members.")],
        run: Some(srem),
        ..SET
    },
    Command {
        name: "sscan",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::int("cursor"),
            Arg::new("pattern", ArgType::Pattern).token("MATCH").optional(),
            Arg::int("count").token("COUNT").optional(),
        ],
        since: "2.8.0",
        complexity: "O(1) a call, O(N) for a whole iteration",
        summary: "Walks the members of a set step by step.",
        tips: &["nondeterministic_output"],
        run: Some(sscan),
        ..SET
    },
    Command {
        name: "sunion",
        arity: -2,
        flags: flag::READONLY,
        keys: READ_ALL,
        args: &[KEY.multiple()],
        since: "1.0.0",
        complexity: "O(N) in the members of all sets",
        summary: "Replies the members that any set has.",
        tips: ANY_ORDER,
        run: Some(sunion),
        ..SET
    },
    Command {
        name: "sunioncard",
        arity: -3,
        flags: flag::READONLY,
        keys: &[KeySpec::count(1, 1, kf::RO | kf::ACCESS)],
        args: &[
            Arg::int("numkeys"),
            KEY.multiple(),
            Arg::word("approx", "APPROX").optional(),
            Arg::int("limit").token("LIMIT").optional(),
        ],
        since: "8.10.0",
        complexity: "O(N) in the members of all sets",
        summary: "Counts the members that any set has, up to a limit, exactly or about.",
        run: Some(sunioncard),
        ..SET
    },
    Command {
        name: "sunionstore",
        arity: -3,
        flags: flag::WRITE | flag::DENYOOM,
        keys: STORE,
        args: &[DESTINATION, KEY.spec(1).multiple()],
        since: "1.0.0",
        complexity: "O(N) in the members of all sets",
        summary: "Stores the members that any set has.",
        run: Some(sunionstore),
        ..SET
    },
];

fn sadd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut edit = cx.db.edit_or_create::<Set>(key)?;
    let fresh = edit.created();
    let mut set = edit.value();
    if fresh {
        set.prepare(args.peek().unwrap_or_default(), args.left());
    }
    let mut added = 0;
    while args.more() {
        added += u64::from(set.add(args.bytes()?));
    }
    drop(set);
    if added > 0 {
        edit.finish_with(added, Event::set("sadd"));
    }
    cx.reply.int(added as i64);
    Ok(Flow::Done)
}

fn srem(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let Some(mut edit) = cx.db.edit::<Set>(key, Missing::Skip)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let mut set = edit.value();
    let mut removed = 0;
    while args.more() {
        removed += u64::from(set.remove(args.bytes()?));
    }
    drop(set);
    if removed > 0 {
        edit.finish_with(removed, Event::set("srem"));
    }
    cx.reply.int(removed as i64);
    Ok(Flow::Done)
}

fn smove(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (from, to, member) = (args.key()?, args.key()?, args.bytes()?);
    let Some(source) = cx.db.read_to_change::<Set>(from)? else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    let found = source.contains(member);
    if cx.db.type_of(to).is_some_and(|t| t != Set::TYPE) {
        return Err(CmdError::WRONG_TYPE);
    }
    if !found || from.bytes == to.bytes {
        cx.reply.int(i64::from(found));
        return Ok(Flow::Done);
    }
    if let Some(mut edit) = cx.db.edit::<Set>(from, Missing::Skip)? {
        edit.value().remove(member);
        edit.finish(Event::set("srem"));
    }
    let mut edit = cx.db.edit_or_create::<Set>(to)?;
    if edit.created() {
        edit.value().prepare(member, 1);
    }
    if edit.value().add(member) {
        edit.finish(Event::set("sadd"));
    }
    cx.reply.int(1);
    Ok(Flow::Done)
}

fn scard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let len = cx.db.read::<Set>(key)?.map_or(0, |set| set.len());
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn sismember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, member) = (args.key()?, args.bytes()?);
    let found = cx.db.read::<Set>(key)?.is_some_and(|set| set.contains(member));
    cx.reply.int(i64::from(found));
    Ok(Flow::Done)
}

fn smismember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let set = cx.db.read::<Set>(key)?;
    cx.reply.array(args.left());
    while args.more() {
        let member = args.bytes()?;
        cx.reply.int(i64::from(set.is_some_and(|set| set.contains(member))));
    }
    Ok(Flow::Done)
}

fn smembers(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let set = cx.db.read::<Set>(key)?;
    cx.reply.set(set.map_or(0, |set| set.len()));
    if let Some(set) = set {
        set.for_each(|member| reply_elem(&mut cx.reply, member));
    }
    Ok(Flow::Done)
}

fn sscan(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let mut scan = ScanArgs::cursor(args)?;
    let marks = scan::begin(cx);
    let (mut cursor, mut elements) = (0, 0);
    let mut text = itoa::Buffer::new();
    if let Some(set) = cx.db.read::<Set>(key)? {
        scan.options(args)?;
        cursor = set.scan(scan.cursor, scan.count, |member| {
            if scan.pattern.is_none() || scan.matches(member.text(&mut text)) {
                reply_elem(&mut cx.reply, member);
                elements += 1;
            }
        });
    }
    scan::end(cx, marks, cursor, elements);
    Ok(Flow::Done)
}

fn spop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if args.left() > 1 {
        return Err(CmdError::SYNTAX);
    }
    if args.more() {
        return spop_count(cx, args, key);
    }
    let Some(mut edit) = cx.db.edit::<Set>(key, Missing::Skip)? else {
        cx.reply.null();
        return Ok(Flow::Done);
    };
    let rng = &mut *cx.rng;
    let member = edit.value().pop(&mut || rng.next_u64()).unwrap_or_default();
    edit.finish(Event::set("spop"));
    cx.effects.replace(&[b"SREM", key.bytes, &member]);
    cx.reply.bulk(&member);
    Ok(Flow::Done)
}

fn spop_count(cx: &mut Ctx<'_>, args: &mut Args<'_>, key: Key<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CmdError::SYNTAX);
    }
    let count = args.int_in(0, i64::MAX, CmdError::MUST_BE_POSITIVE).map_err(|_| CmdError::MUST_BE_POSITIVE)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let Some(mut edit) = cx.db.edit::<Set>(key, Missing::Skip)? else {
        cx.reply.set(0);
        return Ok(Flow::Done);
    };
    if count == 0 {
        cx.reply.set(0);
        return Ok(Flow::Done);
    }
    let set = edit.view();
    if count >= set.len() {
        cx.reply.set(set.len());
        set.for_each(|member| reply_elem(&mut cx.reply, member));
        let len = set.len() as u64;
        drop(edit);
        cx.announce(key.bytes, Event::set("spop"));
        cx.effects.replace(&[b"DEL", key.bytes]);
        cx.db.delete(key, false, Event::generic("del"));
        cx.db.space.book.dirty += len - 1;
        return Ok(Flow::Done);
    }
    let rng = &mut *cx.rng;
    let mut random = || rng.next_u64();
    let members: Vec<Vec<u8>> = pick(set, count as i64, &mut random).into_iter().map(Elem::to_vec).collect();
    let mut value = edit.value();
    cx.reply.set(members.len());
    for member in &members {
        value.remove(member);
        cx.reply.bulk(member);
    }
    drop(value);
    edit.finish_with(members.len() as u64, Event::set("spop"));
    let mut words: Vec<&[u8]> = vec![b"SREM", key.bytes];
    words.extend(members.iter().map(|m| &m[..]));
    cx.effects.replace(&words);
    Ok(Flow::Done)
}

fn srandmember(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    if !args.more() {
        let rng = &mut *cx.rng;
        let member = cx.db.read::<Set>(key)?.and_then(|set| set.random(&mut || rng.next_u64()));
        reply_elem_opt(&mut cx.reply, member);
        return Ok(Flow::Done);
    }
    if args.left() > 1 {
        return Err(CmdError::SYNTAX);
    }
    let count = args.int_in(-i64::MAX, i64::MAX, CmdError::COUNT_OUT_OF_RANGE)?;
    let Some(set) = cx.db.read::<Set>(key)? else {
        cx.reply.array(0);
        return Ok(Flow::Done);
    };
    let rng = &mut *cx.rng;
    let mut random = || rng.next_u64();
    if count < 0 {
        // With repeats: written as drawn, so that a large count needs no second copy.
        cx.reply.array(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX));
        for _ in 0..count.unsigned_abs() {
            reply_elem_opt(&mut cx.reply, set.random(&mut random));
            if cx.reply.is_over(cx.reply_limit_bytes) {
                break;
            }
        }
        return Ok(Flow::Done);
    }
    let members = pick(set, count, &mut random);
    cx.reply.array(members.len());
    for member in members {
        reply_elem(&mut cx.reply, member);
    }
    Ok(Flow::Done)
}

/// `count` distinct members, at most all.
fn pick<'a>(set: SetRef<'a>, count: i64, random: &mut impl FnMut() -> u64) -> Vec<Elem<'a>> {
    let wanted = usize::try_from(count).unwrap_or(0).min(set.len());
    if let (SetRef::Table(_) | SetRef::Dated(_), true) = (set, wanted * 3 < set.len()) {
        let mut seen = std::collections::HashSet::with_capacity(wanted);
        let mut picked = Vec::with_capacity(wanted);
        while picked.len() < wanted {
            let Some(member) = set.random(random) else { break };
            if seen.insert(member.to_vec()) {
                picked.push(member);
            }
        }
        return picked;
    }
    let mut all = Vec::with_capacity(set.len());
    set.for_each(|member| all.push(member));
    if wanted < all.len() {
        super::shuffle_front(&mut all, wanted, random);
        all.truncate(wanted);
    }
    all
}

/// What is computed over several sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Algebra {
    Inter,
    Union,
    Diff,
}

/// The keys that are left, each checked to hold a set or nothing.
fn source_keys<'a>(cx: &mut Ctx<'_>, args: &mut Args<'a>, count: usize) -> Result<Vec<Key<'a>>, CmdError> {
    let mut keys = Vec::with_capacity(count);
    for _ in 0..count {
        let key = args.key()?;
        cx.db.read::<Set>(key)?;
        keys.push(key);
    }
    Ok(keys)
}

/// Calls `each` with every member of the result once, until it says false.
fn compute(db: &DbView<'_>, keys: &[Key<'_>], algebra: Algebra, each: &mut dyn FnMut(Elem<'_>) -> bool) {
    let sets: Vec<Option<SetRef<'_>>> = keys.iter().map(|key| db.look::<Set>(*key)).collect();
    match algebra {
        Algebra::Inter => intersect(&sets, each),
        Algebra::Diff => {
            let Some(Some(first)) = sets.first() else { return };
            let others: Vec<SetRef<'_>> = sets[1..].iter().flatten().copied().collect();
            first.all(|member| others.iter().any(|other| other.contains_elem(member)) || each(member));
        }
        Algebra::Union => unite(&db.space.book.limits, &sets, each),
    }
}

fn intersect(sets: &[Option<SetRef<'_>>], each: &mut dyn FnMut(Elem<'_>) -> bool) {
    let Some(mut sets) = sets.iter().copied().collect::<Option<Vec<SetRef<'_>>>>() else { return };
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return };
    smallest.all(|member| !others.iter().all(|other| other.contains_elem(member)) || each(member));
}

fn unite(limits: &Limits, sets: &[Option<SetRef<'_>>], each: &mut dyn FnMut(Elem<'_>) -> bool) {
    let present: Vec<SetRef<'_>> = sets.iter().flatten().copied().collect();
    // A member is given by the first set that has it: no table of the result is needed, while there are few sets.
    if present.len() <= 4 {
        for (nth, set) in present.iter().enumerate() {
            let before = &present[..nth];
            if !set.all(|member| before.iter().any(|other| other.contains_elem(member)) || each(member)) {
                return;
            }
        }
        return;
    }
    let mut union = Set::create(b"", limits, 0);
    let mut all = SetMut::of(&mut union, limits);
    let mut text = itoa::Buffer::new();
    for set in present {
        if !set.all(|member| !all.add(member.text(&mut text)) || each(member)) {
            return;
        }
    }
}

fn reply_algebra(cx: &mut Ctx<'_>, args: &mut Args<'_>, algebra: Algebra) -> Outcome {
    let keys = source_keys(cx, args, args.left())?;
    let mark = cx.reply.defer();
    let mut count = 0;
    compute(&cx.db, &keys, algebra, &mut |member| {
        reply_elem(&mut cx.reply, member);
        count += 1;
        true
    });
    cx.reply.fill_set(mark, count);
    Ok(Flow::Done)
}

fn store_algebra(cx: &mut Ctx<'_>, args: &mut Args<'_>, algebra: Algebra, name: &'static str) -> Outcome {
    let target = args.key()?;
    let keys = source_keys(cx, args, args.left())?;
    let limits = cx.db.space.book.limits;
    let mut result: Entry = Set::create(target.bytes, &limits, 0);
    let mut set = SetMut::of(&mut result, &limits);
    let mut text = itoa::Buffer::new();
    compute(&cx.db, &keys, algebra, &mut |member| {
        set.add(member.text(&mut text));
        true
    });
    let len = set.view().len();
    if len == 0 {
        cx.db.delete(target, false, Event::generic("del"));
    } else {
        cx.db.replace(result, Event::set(name));
    }
    cx.reply.len(len);
    Ok(Flow::Done)
}

fn sinter(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply_algebra(cx, args, Algebra::Inter)
}

fn sunion(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply_algebra(cx, args, Algebra::Union)
}

fn sdiff(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    reply_algebra(cx, args, Algebra::Diff)
}

fn sinterstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    store_algebra(cx, args, Algebra::Inter, "sinterstore")
}

fn sunionstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    store_algebra(cx, args, Algebra::Union, "sunionstore")
}

fn sdiffstore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    store_algebra(cx, args, Algebra::Diff, "sdiffstore")
}

/// `numkeys key ... [LIMIT n]`, and APPROX where it is known.
struct CardArgs<'a> {
    keys: Vec<Key<'a>>,
    /// Count no further; 0 for no limit.
    limit: i64,
    approximate: bool,
}

fn card_args<'a>(cx: &mut Ctx<'_>, args: &mut Args<'a>, knows_approx: bool) -> Result<CardArgs<'a>, CmdError> {
    let numkeys = args.int_in(1, i64::MAX, CmdError::text("ERR numkeys should be greater than 0"));
    let numkeys = numkeys.map_err(|_| CmdError::text("ERR numkeys should be greater than 0"))?;
    if numkeys > args.left() as i64 {
        return Err(CmdError::text("ERR Number of keys can't be greater than number of args"));
    }
    let first = args.position();
    args.seek(first + numkeys as usize);
    let (mut limit, mut approximate) = (0, false);
    while args.more() {
        if knows_approx && args.accept("approx") {
            approximate = true;
            continue;
        }
        if args.left() < 2 || !args.accept("limit") {
            return Err(CmdError::SYNTAX);
        }
        let negative = CmdError::text("ERR LIMIT can't be negative");
        limit = args.int_in(0, i64::MAX, negative.clone()).map_err(|_| negative)?;
    }
    args.seek(first);
    Ok(CardArgs { keys: source_keys(cx, args, numkeys as usize)?, limit, approximate })
}

fn reply_card(cx: &mut Ctx<'_>, card: &CardArgs<'_>, algebra: Algebra) -> Outcome {
    let mut count = 0;
    compute(&cx.db, &card.keys, algebra, &mut |_| {
        count += 1;
        card.limit == 0 || count < card.limit
    });
    cx.reply.int(count);
    Ok(Flow::Done)
}

fn sintercard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let card = card_args(cx, args, false)?;
    reply_card(cx, &card, Algebra::Inter)
}

fn sdiffcard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let card = card_args(cx, args, false)?;
    reply_card(cx, &card, Algebra::Diff)
}

fn sunioncard(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let card = card_args(cx, args, true)?;
    if !card.approximate {
        return reply_card(cx, &card, Algebra::Union);
    }
    // Members met again change nothing: no set needs to be asked about another's.
    let mut registers = Registers::default();
    let mut text = itoa::Buffer::new();
    for key in &card.keys {
        if let Some(set) = cx.db.look::<Set>(*key) {
            set.for_each(|member| registers.add(member.text(&mut text)));
        }
    }
    let count = registers.estimate() as i64;
    cx.reply.int(if card.limit == 0 { count } else { count.min(card.limit) });
    Ok(Flow::Done)
}
