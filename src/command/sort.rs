//! SORT and SORT_RO: the elements of a list, set or sorted set in the order of their numbers, texts or of other keys' values.
//!
//! 1. The elements are copied: looking up weights and values may expire keys.
//! 2. Each element gets a key of 64 bits that orders as its weight does: the number, or the first bytes of the text. Only
//!    where two keys are equal are the texts compared.
//! 3. With LIMIT no more is sorted than is replied.

mod elements;
mod pattern;

use super::error::CmdError;
use super::keys;
use super::table::{Arg, ArgType, Begin, Command, Find, KeySpec, acl, flag, key_flag as kf};
use super::{Args, Ctx, Flow, Outcome, reply_elem_opt};
use crate::keyspace::{Event, Key};
use crate::types::{Elem, End, Entry, Hash, List, ListMut, Scratch, Set, Str, StrRef, Type, Value, ZSet, type_of};
use elements::{Elements, Weights};
use pattern::Pattern;

const UNKNOWN: KeySpec = KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: kf::RO | kf::ACCESS };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS), UNKNOWN];
const STORE: &[KeySpec] = &[
    KeySpec::at(1, kf::RO | kf::ACCESS),
    UNKNOWN,
    KeySpec { begin: Begin::Unknown, find: Find::Unknown, flags: kf::OW | kf::UPDATE },
];

const SORT: Command = Command {
    group: "generic",
    acl: acl::SET | acl::SORTEDSET | acl::LIST | acl::DANGEROUS,
    arity: -2,
    complexity: "O(N+M*log(M)), N the elements, M those replied",
    ..Command::BLANK
};
const KEY: Arg = Arg::key("key");
const BY: Arg = Arg::new("by-pattern", ArgType::Pattern).token("BY").spec(1).optional();
const LIMIT: Arg = Arg::block("limit", &[Arg::int("offset"), Arg::int("count")]).token("LIMIT").optional();
const GET: Arg = Arg::new("get-pattern", ArgType::Pattern).token("GET").spec(1).optional().multiple_token();
const ORDER: Arg = Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
const ALPHA: Arg = Arg::word("sorting", "ALPHA").optional();

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "sort",
        flags: flag::WRITE | flag::DENYOOM | flag::MOVABLE_KEYS,
        keys: STORE,
        args: &[KEY, BY, LIMIT, GET, ORDER, ALPHA, Arg::key("destination").token("STORE").spec(2).optional()],
        since: "1.0.0",
        summary: "Replies or stores the elements of a list, set or sorted set in order.",
        run: Some(sort),
        find_keys: Some(keys::sort),
        ..SORT
    },
    Command {
        name: "sort_ro",
        flags: flag::READONLY | flag::MOVABLE_KEYS,
        keys: READ,
        args: &[KEY, BY, LIMIT, GET, ORDER, ALPHA],
        since: "7.0.0",
        summary: "Replies the elements of a list, set or sorted set in order.",
        run: Some(sort_ro),
        find_keys: Some(keys::sort_ro),
        ..SORT
    },
];

const BY_DENIED: CmdError = CmdError::text("ERR BY option of SORT denied due to insufficient ACL permissions.");
const GET_DENIED: CmdError = CmdError::text("ERR GET option of SORT denied due to insufficient ACL permissions.");

/// What is asked.
struct Query<'a> {
    key: Key<'a>,
    /// The elements' own order is kept.
    as_it_is: bool,
    by: Option<Pattern<'a>>,
    descending: bool,
    by_text: bool,
    offset: i64,
    /// Negative: all.
    count: i64,
    gets: Vec<Pattern<'a>>,
    target: Option<Key<'a>>,
}

impl<'a> Query<'a> {
    fn parse(cx: &mut Ctx<'_>, args: &mut Args<'a>, may_store: bool) -> Result<Query<'a>, CmdError> {
        let mut query = Query {
            key: args.key()?,
            as_it_is: false,
            by: None,
            descending: false,
            by_text: false,
            offset: 0,
            count: -1,
            gets: Vec::new(),
            target: None,
        };
        while args.more() {
            let left = args.left();
            if args.accept("asc") {
                query.descending = false;
            } else if args.accept("desc") {
                query.descending = true;
            } else if args.accept("alpha") {
                query.by_text = true;
            } else if left > 2 && args.accept("limit") {
                (query.offset, query.count) = (args.int()?, args.int()?);
            } else if may_store && left > 1 && args.accept("store") {
                query.target = Some(args.key()?);
            } else if left > 1 && args.accept("by") {
                let pattern = Pattern::of(args.bytes()?);
                if !pattern.is_constant() && !cx.may_read_any_key(args.argv()) {
                    return Err(BY_DENIED);
                }
                // Without a star there is one weight for all, whatever other patterns are given.
                query.as_it_is |= pattern.is_constant();
                query.by = Some(pattern);
            } else if left > 1 && args.accept("get") {
                if !cx.may_read_any_key(args.argv()) {
                    return Err(GET_DENIED);
                }
                query.gets.push(Pattern::of(args.bytes()?));
            } else {
                return Err(CmdError::SYNTAX);
            }
        }
        Ok(query)
    }

    /// Offset and count within `len` elements.
    fn window(&self, len: usize) -> (usize, usize) {
        let first = usize::try_from(self.offset).unwrap_or(if self.offset < 0 { 0 } else { len }).min(len);
        let count = usize::try_from(self.count).unwrap_or(len);
        (first, count.min(len - first))
    }
}

/// What kind of sorted thing the key holds, and how many elements.
fn measure(cx: &mut Ctx<'_>, key: Key<'_>) -> Result<(Type, usize), CmdError> {
    let Some(entry) = cx.db.entry(key) else { return Ok((Type::List, 0)) };
    let kind = type_of(entry);
    let len = match kind {
        Type::List => List::view(entry).len(),
        Type::Set => Set::view(entry).len(),
        Type::ZSet => ZSet::view(entry).len(),
        _ => return Err(CmdError::WRONG_TYPE),
    };
    Ok((kind, len))
}

/// Step 1: the elements, or of an ordered value whose order is kept only those of the window.
fn gather(cx: &Ctx<'_>, query: &Query<'_>, kind: Type, len: usize, window: Option<(usize, usize)>) -> Elements {
    let (first, count) = window.unwrap_or((0, len));
    let mut elements = Elements::with_capacity(count);
    let db = &cx.db;
    // From the end if the order is reversed, which a kept order is here.
    let backward = window.is_some() && query.descending;
    match kind {
        _ if count == 0 => {}
        Type::Set => {
            if let Some(set) = db.look::<Set>(query.key) {
                set.for_each(|elem| elements.push(elem));
            }
        }
        Type::ZSet => {
            let Some(zset) = db.look::<ZSet>(query.key) else { return elements };
            if backward {
                zset.range_rev(len - 1 - first, count, |elem, _| elements.push(elem));
            } else {
                zset.range(first, count, |elem, _| elements.push(elem));
            }
        }
        _ => {
            let Some(list) = db.look::<List>(query.key) else { return elements };
            if backward {
                list.range_rev(len - 1 - first, count, |elem| elements.push(elem));
            } else {
                list.range(first, count, |elem| elements.push(elem));
            }
        }
    }
    elements
}

/// Step 2.
fn weigh(cx: &mut Ctx<'_>, query: &Query<'_>, elements: &Elements) -> Result<Weights, CmdError> {
    let mut weights = Weights::with_capacity(elements.len());
    for elem in elements.iter() {
        match (&query.by, query.by_text) {
            (None, true) => weights.push_text(elem),
            (None, false) => weights.push_number(Some(elem)),
            (Some(pattern), by_text) => look_up(cx, pattern, elem, |_, found| match by_text {
                true => weights.push_other_text(found),
                false => weights.push_number(found),
            }),
        }
    }
    // All weights are looked at first: it makes no difference which of them is wrong.
    if weights.has_bad_number() {
        return Err(CmdError::text("ERR One or more scores can't be converted into double"));
    }
    Ok(weights)
}

/// The value that a pattern leads to from an element.
fn look_up<R>(
    cx: &mut Ctx<'_>,
    pattern: &Pattern<'_>,
    elem: Elem<'_>,
    use_it: impl FnOnce(&mut crate::resp::Reply<'_>, Option<Elem<'_>>) -> R,
) -> R {
    let now_ms = cx.now.unix_ms.0;
    let Ctx { db, reply, .. } = cx;
    let (name, field) = match pattern {
        Pattern::Itself => return use_it(reply, Some(elem)),
        Pattern::Constant => return use_it(reply, None),
        Pattern::Name { before, after, field } => (pattern::name(before, elem, after), *field),
    };
    let key = db.key(&name);
    let Some(entry) = db.entry(key) else { return use_it(reply, None) };
    match (type_of(entry), field) {
        (Type::Hash, Some(field)) => use_it(reply, Hash::view_at(entry, now_ms).get(field)),
        (Type::String, None) => match Str::view(entry) {
            StrRef::Int(n) => use_it(reply, Some(Elem::Int(n))),
            text => use_it(reply, Some(Elem::Str(text.bytes(&mut Scratch::default())))),
        },
        _ => use_it(reply, None),
    }
}

fn run(cx: &mut Ctx<'_>, args: &mut Args<'_>, may_store: bool) -> Outcome {
    let mut query = Query::parse(cx, args, may_store)?;
    let (kind, len) = measure(cx, query.key)?;
    let must_repeat = query.target.is_some() || cx.scripts.running.is_some();
    if query.as_it_is && kind == Type::Set && must_repeat {
        // A set has no order that could be kept, and what is stored must not differ from server to server.
        (query.as_it_is, query.by_text, query.by) = (false, true, None);
    }
    let (first, count) = query.window(len);
    let mut order: Vec<usize> = Vec::new();
    let elements;
    if query.as_it_is && kind != Type::Set {
        elements = gather(cx, &query, kind, len, Some((first, count)));
        order.extend(0..elements.len());
    } else {
        elements = gather(cx, &query, kind, len, None);
        if query.as_it_is {
            order.extend(first..first + count);
        } else {
            let weights = weigh(cx, &query, &elements)?;
            order = weights.order(&elements, query.descending, first, count);
        }
    }
    match query.target {
        Some(target) => store(cx, &query, &elements, &order, target),
        None => reply(cx, &query, &elements, &order),
    }
    Ok(Flow::Done)
}

fn reply(cx: &mut Ctx<'_>, query: &Query<'_>, elements: &Elements, order: &[usize]) {
    cx.reply.array(order.len() * query.gets.len().max(1));
    for nth in order {
        let elem = elements.get(*nth);
        if query.gets.is_empty() {
            reply_elem_opt(&mut cx.reply, Some(elem));
        }
        for pattern in &query.gets {
            look_up(cx, pattern, elem, reply_elem_opt);
        }
    }
}

fn store(cx: &mut Ctx<'_>, query: &Query<'_>, elements: &Elements, order: &[usize], target: Key<'_>) {
    let limits = cx.db.space.book.limits;
    let mut result: Entry = List::create(target.bytes, &limits, 0);
    let mut list = ListMut::of(&mut result, &limits);
    let mut text = itoa::Buffer::new();
    for nth in order {
        let elem = elements.get(*nth);
        if query.gets.is_empty() {
            list.push(End::Right, elem.text(&mut text));
        }
        for pattern in &query.gets {
            // What is not there is stored as nothing.
            look_up(cx, pattern, elem, |_, found| {
                list.push(End::Right, found.map_or(b"".as_slice(), |found| found.text(&mut text)));
            });
        }
    }
    let count = order.len() * query.gets.len().max(1);
    if count == 0 {
        cx.db.delete(target, false, Event::generic("del"));
    } else {
        cx.db.replace(result, Event::list("sortstore"));
        // Every element counts as a change.
        cx.db.space.book.dirty += count as u64 - 1;
    }
    cx.reply.len(count);
}

fn sort(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, true)
}

fn sort_ro(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    run(cx, args, false)
}
