//! Strings as arrays of bits: GETBIT, SETBIT, BITCOUNT, BITPOS, BITOP, BITFIELD. Bit 0 is the highest of the first byte.

mod field;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::keys;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::base::number;
use crate::ds::bits::{self, BitOp};
use crate::keyspace::{Event, Key};
use crate::types::{Scratch, Str};
use std::borrow::Cow;
use std::ops::Range;

/// A row of this family.
const BITMAP: Command = Command { group: "bitmap", acl: acl::BITMAP, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];
const UPDATE: &[KeySpec] = &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE)];

const KEY: Arg = Arg::key("key");
const UNIT: &[Arg] = &[Arg::word("byte", "BYTE"), Arg::word("bit", "BIT")];
const OPERATIONS: &[Arg] = &[
    Arg::word("and", "AND"),
    Arg::word("or", "OR"),
    Arg::word("xor", "XOR"),
    Arg::word("not", "NOT"),
    Arg::word("diff", "DIFF").since("8.2.0"),
    Arg::word("diff1", "DIFF1").since("8.2.0"),
    Arg::word("andor", "ANDOR").since("8.2.0"),
    Arg::word("one", "ONE").since("8.2.0"),
];
const GET: Arg = Arg::block("get-block", &[Arg::string("encoding"), Arg::int("offset")]).token("GET");
const OVERFLOW: &[Arg] = &[Arg::word("wrap", "WRAP"), Arg::word("sat", "SAT"), Arg::word("fail", "FAIL")];
const CHANGES: &[Arg] = &[
    Arg::block("set-block", &[Arg::string("encoding"), Arg::int("offset"), Arg::int("value")]).token("SET"),
    Arg::block("incrby-block", &[Arg::string("encoding"), Arg::int("offset"), Arg::int("increment")]).token("INCRBY"),
];
const OPERATION: &[Arg] = &[
    GET,
    Arg::block(
        "write",
        &[
            Arg::one_of("overflow-block", OVERFLOW).token("OVERFLOW").optional(),
            Arg::one_of("write-operation", CHANGES),
        ],
    ),
];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "bitcount",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::block(
                "range",
                &[Arg::int("start"), Arg::int("end"), Arg::one_of("unit", UNIT).optional().since("7.0.0")],
            )
            .optional(),
        ],
        since: "2.6.0",
        complexity: "O(N) in the bytes of the range",
        summary: "Counts the set bits of a string or of a range of it.",
        history: &[("7.0.0", "BYTE and BIT.")],
        run: Some(bitcount),
        ..BITMAP
    },
    Command {
        name: "bitfield",
        arity: -2,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::UPDATE | kf::VARIABLE_FLAGS)],
        args: &[KEY, Arg::one_of("operation", OPERATION).optional().multiple()],
        since: "3.2.0",
        complexity: "O(1) for each operation",
        summary: "Reads, sets and adds to integers of any width at any bit of a string.",
        run: Some(field::bitfield),
        find_keys: Some(keys::bitfield),
        ..BITMAP
    },
    Command {
        name: "bitfield_ro",
        arity: -2,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY, GET.optional().multiple_token()],
        since: "6.0.0",
        complexity: "O(1) for each operation",
        summary: "Reads integers of any width at any bit of a string.",
        run: Some(field::bitfield_ro),
        ..BITMAP
    },
    Command {
        name: "bitop",
        arity: -4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(2, kf::OW | kf::UPDATE), KeySpec::range(3, -1, 1, kf::RO | kf::ACCESS)],
        args: &[Arg::one_of("operation", OPERATIONS), Arg::key("destkey"), KEY.spec(1).multiple()],
        since: "2.6.0",
        complexity: "O(N) in the bytes of all sources",
        summary: "Stores the bitwise combination of strings.",
        history: &[("8.2.0", "DIFF, DIFF1, ANDOR and ONE.")],
        run: Some(bitop),
        ..BITMAP
    },
    Command {
        name: "bitpos",
        arity: -3,
        flags: flag::READONLY,
        keys: READ,
        args: &[
            KEY,
            Arg::int("bit"),
            Arg::block(
                "range",
                &[
                    Arg::int("start"),
                    Arg::block(
                        "end-unit-block",
                        &[Arg::int("end"), Arg::one_of("unit", UNIT).optional().since("7.0.0")],
                    )
                    .optional(),
                ],
            )
            .optional(),
        ],
        since: "2.8.7",
        complexity: "O(N) in the bytes of the range",
        summary: "Finds the first bit that is set, or that is not.",
        history: &[("7.0.0", "BYTE and BIT.")],
        run: Some(bitpos),
        ..BITMAP
    },
    Command {
        name: "getbit",
        arity: 3,
        flags: flag::READONLY | flag::FAST,
        keys: READ,
        args: &[KEY, Arg::int("offset")],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Replies one bit of a string.",
        run: Some(getbit),
        ..BITMAP
    },
    Command {
        name: "setbit",
        arity: 4,
        flags: flag::WRITE | flag::DENYOOM,
        keys: UPDATE,
        args: &[KEY, Arg::int("offset"), Arg::int("value")],
        since: "2.2.0",
        complexity: "O(1)",
        summary: "Sets or clears one bit of a string, which grows as needed; replies what it was.",
        run: Some(setbit),
        ..BITMAP
    },
];

const SETBIT: Event = Event::string("setbit");
const BAD_OFFSET: CmdError = CmdError::text("ERR bit offset is not an integer or out of range");

/// An offset of a bit within the longest string that may be.
fn bit_offset(text: &[u8], cx: &Ctx<'_>) -> Result<u64, CmdError> {
    let offset = number::parse_i64(text).and_then(|n| u64::try_from(n).ok()).ok_or(BAD_OFFSET)?;
    if offset / 8 < cx.db.space.book.limits.bulk_len { Ok(offset) } else { Err(BAD_OFFSET) }
}

fn getbit(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let offset = bit_offset(args.bytes()?, cx)?;
    let mut scratch = Scratch::default();
    let value = cx.db.read::<Str>(key)?;
    let byte =
        value.and_then(|value| value.bytes(&mut scratch).get((offset / 8) as usize).copied()).unwrap_or_default();
    cx.reply.int(i64::from(byte >> (7 - offset % 8) & 1));
    Ok(Flow::Done)
}

fn setbit(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let offset = bit_offset(args.bytes()?, cx)?;
    let set = match number::parse_i64(args.bytes()?) {
        Some(bit @ (0 | 1)) => bit == 1,
        _ => return Err(CmdError::text("ERR bit is not an integer or out of range")),
    };
    let (at, mask) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    let mut edit = cx.db.edit_or_create::<Str>(key)?;
    let grows = edit.created() || at >= edit.view().len();
    let was = edit.value().change(at + 1, |bytes| {
        let was = bytes[at] & mask != 0;
        bytes[at] = if set { bytes[at] | mask } else { bytes[at] & !mask };
        was
    });
    if grows || was != set {
        edit.finish(SETBIT);
    }
    cx.reply.int(i64::from(was));
    Ok(Flow::Done)
}

/// What a range of BITCOUNT and BITPOS counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Byte,
    Bit,
}

fn unit(args: &mut Args<'_>) -> Result<Unit, CmdError> {
    if args.accept("bit") {
        Ok(Unit::Bit)
    } else if args.accept("byte") {
        Ok(Unit::Byte)
    } else {
        Err(CmdError::SYNTAX)
    }
}

/// The bits that a range means in a string of this many bytes. Negative offsets count from the end; both are included.
fn bit_range(start: i64, end: i64, unit: Unit, bytes: usize) -> Range<u64> {
    let total = bytes as i64 * if unit == Unit::Bit { 8 } else { 1 };
    let from_end = |offset: i64| if offset < 0 { (total + offset).max(0) } else { offset };
    let (start, end) = (from_end(start), from_end(end).min(total - 1));
    if start > end {
        return 0..0;
    }
    let scale = if unit == Unit::Bit { 1 } else { 8 };
    start as u64 * scale..(end as u64 + 1) * scale
}

fn bitcount(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let range = match args.left() {
        0 => None,
        2 | 3 => {
            let (start, end) = (args.int()?, args.int()?);
            let unit = if args.more() { unit(args)? } else { Unit::Byte };
            Some((start, end, unit))
        }
        _ => return Err(CmdError::SYNTAX),
    };
    let mut scratch = Scratch::default();
    let count = cx.db.read::<Str>(key)?.map_or(0, |value| {
        let bytes = value.bytes(&mut scratch);
        match range {
            None => bits::count_ones(bytes),
            // Before clamping: from behind the end to before it is nothing, even if both come to lie on the first byte.
            Some((start, end, _)) if start < 0 && end < 0 && start > end => 0,
            Some((start, end, unit)) => bits::count_ones_in(bytes, bit_range(start, end, unit, bytes.len())),
        }
    });
    cx.reply.int(count as i64);
    Ok(Flow::Done)
}

fn bitpos(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let wanted = match args.int()? {
        bit @ (0 | 1) => bit == 1,
        _ => return Err(CmdError::text("ERR The bit argument must be 1 or 0.")),
    };
    if args.left() > 3 {
        return Err(CmdError::SYNTAX);
    }
    let start = if args.more() { args.int()? } else { 0 };
    // The unit is looked at before the end.
    let (at, mut of) = (args.position(), Unit::Byte);
    if args.left() == 2 {
        args.seek(at + 1);
        of = unit(args)?;
        args.seek(at);
    }
    let end = if args.more() { Some(args.int()?) } else { None };
    let mut scratch = Scratch::default();
    let Some(value) = cx.db.read::<Str>(key)? else {
        cx.reply.int(if wanted { -1 } else { 0 });
        return Ok(Flow::Done);
    };
    let bytes = value.bytes(&mut scratch);
    let range = bit_range(start, end.unwrap_or(-1), of, bytes.len());
    let found = match bits::find_bit(bytes, range.clone(), wanted) {
        Some(bit) => bit as i64,
        // Behind a string without an end that was asked for, all bits are clear.
        None if !wanted && end.is_none() && !range.is_empty() => range.end as i64,
        None => -1,
    };
    cx.reply.int(found);
    Ok(Flow::Done)
}

/// The operation that a word names.
fn operation(word: &[u8]) -> Result<(&'static str, BitOp), CmdError> {
    const ALL: [(&str, BitOp); 8] = [
        ("AND", BitOp::And),
        ("OR", BitOp::Or),
        ("XOR", BitOp::Xor),
        ("NOT", BitOp::Not),
        ("DIFF", BitOp::Diff),
        ("DIFF1", BitOp::Diff1),
        ("ANDOR", BitOp::AndOr),
        ("ONE", BitOp::One),
    ];
    ALL.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).ok_or(CmdError::SYNTAX)
}

fn bitop(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (name, op) = operation(args.bytes()?)?;
    let target = args.key()?;
    match op {
        BitOp::Not if args.left() != 1 => {
            return Err(CmdError::text("ERR BITOP NOT must be called with a single source key."));
        }
        BitOp::Diff | BitOp::Diff1 | BitOp::AndOr if args.left() < 2 => {
            return Err(CmdError::owned(format!("ERR BITOP {name} must be called with at least two source keys.")));
        }
        _ => {}
    }
    let mut keys: Vec<Key<'_>> = Vec::with_capacity(args.left());
    while args.more() {
        let key = args.key()?;
        cx.db.read::<Str>(key)?;
        keys.push(key);
    }
    let texts: Vec<Cow<'_, [u8]>> = keys
        .iter()
        .map(|key| match cx.db.look::<Str>(*key) {
            None => Cow::Borrowed(&[][..]),
            Some(crate::types::StrRef::Int(n)) => Cow::Owned(n.to_string().into_bytes()),
            Some(crate::types::StrRef::Bytes(bytes)) => Cow::Borrowed(bytes),
            Some(crate::types::StrRef::Shared(bytes)) => Cow::Borrowed(&bytes[..]),
        })
        .collect();
    let sources: Vec<&[u8]> = texts.iter().map(|text| &text[..]).collect();
    let result = bits::combine(op, &sources);
    let len = result.len();
    if len == 0 {
        cx.db.delete(target, false, Event::generic("del"));
    } else {
        cx.db.replace(Str::raw(target.bytes, result), Event::string("set"));
    }
    cx.reply.len(len);
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_clamped_as_the_reference_clamps_them() {
        for (start, end, unit, bytes, expected) in [
            (0, -1, Unit::Byte, 3, 0..24),
            (1, 1, Unit::Byte, 3, 8..16),
            (-2, -2, Unit::Byte, 3, 8..16),
            (-9, 9, Unit::Byte, 3, 0..24),
            (2, 1, Unit::Byte, 3, 0..0),
            (0, -1, Unit::Bit, 3, 0..24),
            (-4, -2, Unit::Bit, 3, 20..23),
            (5, 200, Unit::Bit, 1, 5..8),
            (0, -1, Unit::Byte, 0, 0..0),
            (i64::MIN, i64::MAX, Unit::Bit, 1, 0..8),
            (i64::MAX, i64::MAX, Unit::Byte, 1, 0..0),
        ] {
            assert_eq!(bit_range(start, end, unit, bytes), expected, "{start} {end} of {bytes} bytes");
        }
    }
}
