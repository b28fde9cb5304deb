//! INCREX: a counter that knows its bounds and its expiry.

use super::{KEY, STRING, UPDATE, unix_time};
use crate::base::float::LongDouble;
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::expiry::{self, Unit};
use crate::command::table::{Arg, Command, flag};
use crate::keyspace::{Deadline, Event, Key};
use crate::types::{Encoded, Scratch, Str};

pub const INCREX: Command = Command {
    name: "increx",
    arity: -2,
    flags: flag::WRITE | flag::DENYOOM | flag::FAST,
    keys: UPDATE,
    args: &[
        KEY,
        Arg::one_of("increment", &[Arg::double("float").token("BYFLOAT"), Arg::int("integer").token("BYINT")])
            .optional(),
        Arg::word("saturate", "SATURATE").optional(),
        Arg::string("lowerbound").token("LBOUND").optional(),
        Arg::string("upperbound").token("UBOUND").optional(),
        Arg::one_of("expiration", EXPIRY).optional(),
        Arg::word("enx", "ENX").optional(),
    ],
    since: "8.8.0",
    complexity: "O(1)",
    summary: "Adds to a number within bounds and sets when it expires; replies the new value and what was added.",
    run: Some(increx),
    ..STRING
};

const EXPIRY: &[Arg] = &[
    Arg::int("seconds").token("EX"),
    Arg::int("milliseconds").token("PX"),
    unix_time("unix-time-seconds").token("EXAT"),
    unix_time("unix-time-milliseconds").token("PXAT"),
    Arg::word("persist", "PERSIST"),
];

/// The words as they stand.
#[derive(Default)]
struct Words<'a> {
    /// Whether in floating point, and the text.
    by: Option<(bool, &'a [u8])>,
    lower: Option<&'a [u8]>,
    upper: Option<&'a [u8]>,
    saturate: Option<()>,
    /// When it expires; none for PERSIST.
    expiry: Option<Option<(Unit, &'a [u8])>>,
    if_none: Option<()>,
}

/// Each option stands once.
fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), CmdError> {
    if slot.replace(value).is_some() { Err(CmdError::SYNTAX) } else { Ok(()) }
}

fn words<'a>(args: &mut Args<'a>) -> Result<Words<'a>, CmdError> {
    let mut words = Words::default();
    while args.more() {
        if args.accept("byint") {
            once(&mut words.by, (false, args.bytes()?))?;
        } else if args.accept("byfloat") {
            once(&mut words.by, (true, args.bytes()?))?;
        } else if args.accept("lbound") {
            once(&mut words.lower, args.bytes()?)?;
        } else if args.accept("ubound") {
            once(&mut words.upper, args.bytes()?)?;
        } else if args.accept("saturate") {
            once(&mut words.saturate, ())?;
        } else if args.accept("enx") {
            once(&mut words.if_none, ())?;
        } else if args.accept("persist") {
            once(&mut words.expiry, None)?;
        } else {
            let unit = Unit::accept(args).ok_or(CmdError::SYNTAX)?;
            once(&mut words.expiry, Some((unit, args.bytes()?)))?;
        }
        if words.if_none.is_some() && words.expiry == Some(None) {
            return Err(CmdError::SYNTAX);
        }
    }
    if words.if_none.is_some() && words.expiry.is_none() {
        return Err(CmdError::text("ERR ENX flag requires an expiration"));
    }
    Ok(words)
}

/// What is added, and within what.
struct Plan<T> {
    by: T,
    lower: T,
    upper: T,
    saturate: bool,
}

/// A number of either kind, to be stored and replied.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Number {
    Int(i64),
    Float(LongDouble),
}

/// What comes of adding.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Sum {
    /// The new value, and by how much it differs from the old one.
    Within(Number, Number),
    /// It is out of bounds: the old value stays.
    Outside(Number),
}

const REVERSED: CmdError = CmdError::text("ERR LBOUND can't be greater than UBOUND");

fn int_plan(words: &Words<'_>) -> Result<Plan<i64>, CmdError> {
    let int = |text: Option<&[u8]>, default, name| match text.map(number::parse_i64) {
        None => Ok(default),
        Some(number) => number.ok_or_else(|| CmdError::owned(format!("ERR {name} is not an integer or out of range"))),
    };
    let plan = Plan {
        by: int(words.by.map(|(_, text)| text), 1, "Increment")?,
        lower: int(words.lower, i64::MIN, "LBOUND")?,
        upper: int(words.upper, i64::MAX, "UBOUND")?,
        saturate: words.saturate.is_some(),
    };
    if plan.lower > plan.upper { Err(REVERSED) } else { Ok(plan) }
}

fn float_plan(words: &Words<'_>) -> Result<Plan<LongDouble>, CmdError> {
    let float = |text: Option<&[u8]>, default, name| match text.map(LongDouble::parse) {
        None => Ok(default),
        Some(number) => number.ok_or_else(|| CmdError::owned(format!("ERR {name} is not a valid float"))),
    };
    let plan = Plan {
        by: float(words.by.map(|(_, text)| text), LongDouble::from_i64(1), "Increment")?,
        lower: float(words.lower, LongDouble::largest().negated(), "LBOUND")?,
        upper: float(words.upper, LongDouble::largest(), "UBOUND")?,
        saturate: words.saturate.is_some(),
    };
    if !plan.by.is_finite() {
        return Err(CmdError::text("ERR BYFLOAT increment cannot be Infinity"));
    }
    if plan.lower > plan.upper { Err(REVERSED) } else { Ok(plan) }
}

fn add_int(old: i64, plan: &Plan<i64>) -> Result<Sum, CmdError> {
    let sum = i128::from(old) + i128::from(plan.by);
    let clamped = sum.clamp(i128::from(plan.lower), i128::from(plan.upper));
    if clamped != sum && !plan.saturate {
        return Ok(Sum::Outside(Number::Int(old)));
    }
    // Between two numbers of 64 bits, so it is one.
    let new = clamped as i64;
    let applied = new.checked_sub(old).ok_or(CmdError::text("ERR applied increment would overflow"))?;
    Ok(Sum::Within(Number::Int(new), Number::Int(applied)))
}

fn add_float(old: LongDouble, plan: &Plan<LongDouble>) -> Result<Sum, CmdError> {
    if !old.is_finite() {
        return Err(CmdError::text("ERR value cannot be Infinity"));
    }
    let within = match old.add(plan.by) {
        Some(sum) if sum > plan.upper => Err(plan.upper),
        Some(sum) if sum < plan.lower => Err(plan.lower),
        Some(sum) => Ok(sum),
        // Too large for the type: only an increment of the same sign leads there.
        None => Err(if plan.by > LongDouble::from_i64(0) { plan.upper } else { plan.lower }),
    };
    let new = match within {
        Ok(sum) => sum,
        Err(bound) if plan.saturate => bound,
        Err(_) => return Ok(Sum::Outside(Number::Float(old))),
    };
    let infinite = CmdError::text("ERR applied increment would be Infinity");
    let applied = new.add(old.negated()).ok_or(infinite)?;
    Ok(Sum::Within(Number::Float(new), Number::Float(applied)))
}

fn sum(cx: &mut Ctx<'_>, key: Key<'_>, words: &Words<'_>) -> Result<Sum, CmdError> {
    if words.by.is_some_and(|(is_float, _)| is_float) {
        let plan = float_plan(words)?;
        let old = match cx.db.read::<Str>(key)? {
            None => LongDouble::from_i64(0),
            Some(value) => LongDouble::parse(value.bytes(&mut Scratch::default())).ok_or(CmdError::NOT_FLOAT)?,
        };
        return add_float(old, &plan);
    }
    let plan = int_plan(words)?;
    let old = match cx.db.read::<Str>(key)? {
        None => 0,
        Some(value) => value.int().ok_or(CmdError::NOT_INTEGER)?,
    };
    add_int(old, &plan)
}

fn reply(cx: &mut Ctx<'_>, number: Number) {
    match number {
        Number::Int(n) => cx.reply.int(n),
        Number::Float(x) => cx.reply.double_text(&x.format()),
    }
}

fn increx(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let words = words(args)?;
    let wanted = match words.expiry {
        Some(Some((unit, text))) => Some(expiry::parse(text, unit, cx)?),
        _ => None,
    };
    let (new, applied) = match sum(cx, key, &words)? {
        Sum::Within(new, applied) => (new, applied),
        Sum::Outside(old) => {
            cx.reply.array(2);
            reply(cx, old);
            let nothing = match old {
                Number::Int(_) => Number::Int(0),
                Number::Float(_) => Number::Float(LongDouble::from_i64(0)),
            };
            reply(cx, nothing);
            return Ok(Flow::Done);
        }
    };
    cx.reply.array(2);
    reply(cx, new);
    reply(cx, applied);
    let expires = cx.db.peek(key).is_some_and(|entry| entry.deadline().is_some());
    let deadline = match words.expiry {
        Some(None) => Deadline::At(None),
        Some(Some(_)) if !(expires && words.if_none.is_some()) => Deadline::At(wanted),
        _ => Deadline::Keep,
    };
    store(cx, key, new, deadline, expires);
    Ok(Flow::Done)
}

/// Stores the new value; its effect is a plain SET, for another machine's addition might round otherwise.
fn store(cx: &mut Ctx<'_>, key: Key<'_>, new: Number, deadline: Deadline, expired_before: bool) {
    if let Deadline::At(Some(at_ms)) = deadline {
        if at_ms <= cx.now.unix_ms.0 {
            // Its time is over already.
            if cx.db.exists(key) {
                expiry::apply(cx, key, at_ms);
            }
            return;
        }
    }
    let (text, event) = match new {
        Number::Int(n) => (itoa::Buffer::new().format(n).as_bytes().to_vec(), Event::string("incrby")),
        Number::Float(x) => (x.format(), Event::string("incrbyfloat")),
    };
    let encoded = match new {
        Number::Int(n) => Encoded::Int(n),
        Number::Float(_) => Encoded::Inline(&text),
    };
    cx.db.put(key, deadline, event, |old, access| encoded.store(key.bytes, old, access));
    let mut number = itoa::Buffer::new();
    match deadline {
        Deadline::Keep => cx.effects.replace(&[b"SET", key.bytes, &text, b"KEEPTTL"]),
        Deadline::At(None) => {
            cx.effects.replace(&[b"SET", key.bytes, &text]);
            if expired_before {
                cx.announce(key.bytes, Event::generic("persist"));
            }
        }
        Deadline::At(Some(at_ms)) => {
            cx.effects.replace(&[b"SET", key.bytes, &text, b"PXAT", number.format(at_ms).as_bytes()]);
            cx.announce(key.bytes, Event::generic("expire"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_out_of_bounds_are_refused_or_cut() {
        let add = |old, by, lower, upper, saturate| match add_int(old, &Plan { by, lower, upper, saturate }) {
            Ok(Sum::Within(Number::Int(new), Number::Int(applied))) => Some((new, applied)),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        };
        let (min, max) = (i64::MIN, i64::MAX);
        assert_eq!(add(10, 5, 0, 20, false), Some((15, 5)));
        assert_eq!(add(10, 5, 0, 12, false), None);
        assert_eq!(add(10, 5, 0, 12, true), Some((12, 2)));
        assert_eq!(add(10, -5, 20, max, true), Some((20, 10)));
        assert_eq!(add(50, -25, min, 30, false), Some((25, -25)));
        assert_eq!(add(max - 7, 10, min, max, false), None);
        assert_eq!(add(max - 7, 10, min, max, true), Some((max, 7)));
        assert!(add_int(max, &Plan { by: -5, lower: min, upper: min, saturate: true }).is_err());
    }

    #[test]
    fn floats_are_cut_at_their_bounds_and_never_infinite() {
        let number = |text: &str| LongDouble::parse(text.as_bytes()).expect("a number");
        let largest = LongDouble::largest();
        let plan = |by, lower, upper, saturate| Plan { by, lower, upper, saturate };
        let add = |old, plan: &Plan<LongDouble>| match add_float(old, plan) {
            Ok(Sum::Within(Number::Float(new), Number::Float(applied))) => Some((new.format(), applied.format())),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        };
        let text = |a: &str, b: &str| Some((a.as_bytes().to_vec(), b.as_bytes().to_vec()));
        let all = plan(number("0.25"), largest.negated(), largest, false);
        assert_eq!(add(number("1.5"), &all), text("1.75", "0.25"));
        let upto = |saturate| plan(number("100"), largest.negated(), number("42.5"), saturate);
        assert_eq!(add(number("10"), &upto(false)), None);
        assert_eq!(add(number("10"), &upto(true)), text("42.5", "32.5"));
        let over = |saturate| plan(largest, largest.negated(), largest, saturate);
        assert_eq!(add(largest, &over(false)), None);
        assert_eq!(add(largest, &over(true)).map(|(_, applied)| applied), Some(b"0".to_vec()));
        let infinite = plan(number("1"), number("inf"), number("inf"), true);
        assert!(add_float(number("10"), &infinite).is_err());
        assert!(add_float(number("inf"), &all).is_err());
    }
}
