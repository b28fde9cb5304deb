//! Approximate counts of distinct elements: PFADD, PFCOUNT, PFMERGE and their kin, over `types::hll`.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::keys::Found;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::keyspace::{Event, Key, Missing};
use crate::resp::Argv;
use crate::types::hll::{self, Corrupt, Encoding, Hll, Refused, Registers};
use crate::types::{Scratch, Str};

/// A row of this family.
const HLL: Command = Command { group: "hyperloglog", acl: acl::HYPERLOGLOG, ..Command::BLANK };
const KEY: Arg = Arg::key("key");

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "pfadd",
        arity: -2,
        flags: flag::WRITE | flag::DENYOOM | flag::FAST,
        keys: &[KeySpec::at(1, kf::RW | kf::INSERT)],
        args: &[KEY, Arg::string("element").optional().multiple()],
        since: "2.8.9",
        complexity: "O(1) for each element",
        summary: "Counts elements in a HyperLogLog, which is made if there is none; replies whether its estimate may have \
                  changed.",
        run: Some(pfadd),
        ..HLL
    },
    Command {
        name: "pfcount",
        arity: -2,
        // It notes what it found in the value: with one key it is a write as soon as that was changed.
        flags: flag::READONLY | flag::MAY_REPLICATE,
        keys: &[KeySpec::range(1, -1, 1, kf::RW | kf::ACCESS)],
        args: &[KEY.multiple()],
        since: "2.8.9",
        complexity: "O(1) with a small constant for one key, O(N) in the keys for several",
        summary: "Estimates how many distinct elements one or several HyperLogLogs have seen.",
        run: Some(pfcount),
        ..HLL
    },
    Command {
        name: "pfdebug",
        arity: 3,
        also_argc: 2,
        flags: flag::WRITE | flag::DENYOOM | flag::ADMIN,
        keys: &[KeySpec::at(2, kf::RW | kf::ACCESS)],
        args: &[Arg::string("subcommand"), KEY],
        since: "2.8.9",
        complexity: "N/A",
        summary: "Shows how a HyperLogLog is kept; for tests.",
        find_keys: Some(pfdebug_keys),
        run: Some(pfdebug),
        ..HLL
    },
    Command {
        name: "pfmerge",
        arity: -2,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RW | kf::ACCESS | kf::INSERT), KeySpec::range(2, -1, 1, kf::RO | kf::ACCESS)],
        args: &[Arg::key("destkey"), Arg::key("sourcekey").spec(1).optional().multiple()],
        since: "2.8.9",
        complexity: "O(N) in the keys, with a high constant",
        summary: "Adds what HyperLogLogs have seen to another.",
        run: Some(pfmerge),
        ..HLL
    },
    Command {
        name: "pfselftest",
        arity: 1,
        flags: flag::ADMIN,
        since: "2.8.9",
        complexity: "N/A",
        summary: "Checks that HyperLogLogs count as exactly as they should; for tests.",
        run: Some(pfselftest),
        ..HLL
    },
];

const PFADD: Event = Event::string("pfadd");
/// The count was noted in the value: of interest to those who watch, announced to nobody.
const NOTED: Event = Event { class: 0, name: "pfcount", changed: true };
const NO_KEY: CmdError = CmdError::text("ERR The specified key does not exist");
const NO_HLL: CmdError = CmdError::text("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for CmdError {
    fn from(_: Corrupt) -> CmdError {
        CmdError::text("INVALIDOBJ Corrupted HLL object detected")
    }
}

impl From<Refused> for CmdError {
    fn from(refused: Refused) -> CmdError {
        match refused {
            Refused::NoHll => NO_HLL,
            Refused::Corrupt => Corrupt.into(),
        }
    }
}

/// Reads a key that holds a HyperLogLog or nothing.
fn read<R>(cx: &mut Ctx<'_>, key: Key<'_>, look: impl FnOnce(Hll<'_>) -> R) -> Result<Option<R>, CmdError> {
    let Some(value) = cx.db.read::<Str>(key)? else { return Ok(None) };
    let mut scratch = Scratch::default();
    let hll = Hll::of(value.bytes(&mut scratch)).ok_or(NO_HLL)?;
    Ok(Some(look(hll)))
}

/// As `read`, but neither a hit nor a miss: PFDEBUG may change what it looks at.
fn inspect<R>(cx: &mut Ctx<'_>, key: Key<'_>, look: impl FnOnce(Hll<'_>) -> R) -> Result<Option<R>, CmdError> {
    let Some(value) = cx.db.read_to_change::<Str>(key)? else { return Ok(None) };
    let mut scratch = Scratch::default();
    let hll = Hll::of(value.bytes(&mut scratch)).ok_or(NO_HLL)?;
    Ok(Some(look(hll)))
}

fn pfadd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let sparse_max_bytes = cx.config.hll_sparse_max_bytes;
    let mut edit = cx.db.edit_or_create::<Str>(key)?;
    let mut changes = u64::from(edit.created());
    let mut string = edit.value();
    if changes > 0 {
        string.set_raw(&hll::EMPTY);
    } else if !args.more() && Hll::of(string.view().bytes(&mut Scratch::default())).is_none() {
        return Err(NO_HLL);
    }
    while args.more() {
        changes += u64::from(hll::add(&mut string, args.bytes()?, sparse_max_bytes)?);
    }
    if changes > 0 {
        hll::forget_count(&mut string);
        drop(string);
        edit.finish_with(changes, PFADD);
    }
    cx.reply.int(i64::from(changes > 0));
    Ok(Flow::Done)
}

fn pfcount(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 {
        let mut registers = Registers::default();
        while args.more() {
            read(cx, args.key()?, |hll| hll.merge_into(&mut registers))?.transpose()?;
        }
        cx.reply.int(registers.estimate() as i64);
        return Ok(Flow::Done);
    }
    let key = args.key()?;
    let Some((count, is_known)) = read(cx, key, |hll| match hll.known_count() {
        Some(count) => Ok((count, true)),
        None => hll.estimate().map(|count| (count, false)),
    })?
    .transpose()?
    else {
        cx.reply.int(0);
        return Ok(Flow::Done);
    };
    if !is_known {
        if let Some(mut edit) = cx.db.edit::<Str>(key, Missing::Skip)? {
            hll::note_count(&mut edit.value(), count);
            edit.finish(NOTED);
        }
    }
    cx.reply.int(count as i64);
    Ok(Flow::Done)
}

fn pfmerge(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let target = args.key()?;
    args.seek(1);
    let mut registers = Registers::default();
    let mut dense = false;
    while args.more() {
        let found = read(cx, args.key()?, |hll| {
            dense |= hll.encoding() == Encoding::Dense;
            hll.merge_into(&mut registers)
        })?;
        found.transpose()?;
    }
    let sparse_max_bytes = cx.config.hll_sparse_max_bytes;
    let mut edit = cx.db.edit_or_create::<Str>(target)?;
    let created = edit.created();
    let mut string = edit.value();
    if created {
        string.set_raw(&hll::EMPTY);
    }
    hll::store_union(&mut string, &registers, dense, sparse_max_bytes)?;
    drop(string);
    edit.finish(PFADD);
    cx.reply.ok();
    Ok(Flow::Done)
}

fn pfdebug(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() == 1 {
        return describe(cx, args);
    }
    if args.accept("simd") {
        return simd(cx, args);
    }
    let word = args.bytes()?;
    let key = args.key()?;
    let Some((encoding, runs)) = inspect(cx, key, |hll| (hll.encoding(), hll.decode()))? else {
        return Err(NO_KEY);
    };
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("encoding") {
        cx.reply.simple(name(encoding));
    } else if is("decode") {
        let runs = runs.ok_or(CmdError::text("ERR HLL encoding is not sparse"))?;
        cx.reply.bulk(runs.as_bytes());
    } else if is("getreg") {
        make_dense(cx, key)?;
        let mut registers = Registers::default();
        read(cx, key, |hll| hll.merge_into(&mut registers))?.transpose()?;
        cx.reply.array(hll::REGISTERS);
        registers.ranks().iter().for_each(|rank| cx.reply.int(i64::from(*rank)));
    } else if is("todense") {
        let was_sparse = make_dense(cx, key)?;
        cx.reply.int(i64::from(was_sparse));
    } else {
        return Err(CmdError::quoting("ERR Unknown PFDEBUG subcommand '", word, "'"));
    }
    Ok(Flow::Done)
}

/// `PFDEBUG key`, a short form of ours: how it is kept and what it counts.
fn describe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (encoding, estimate) = read(cx, key, |hll| (hll.encoding(), hll.estimate()))?.ok_or(NO_KEY)?;
    let estimate = estimate?;
    cx.reply.map(3);
    cx.reply.bulk(b"encoding");
    cx.reply.bulk(name(encoding).as_bytes());
    cx.reply.bulk(b"registers");
    cx.reply.int(hll::REGISTERS as i64);
    cx.reply.bulk(b"estimate");
    cx.reply.int(estimate as i64);
    Ok(Flow::Done)
}

/// PFDEBUG SIMD: answered as the reference does. Here the processor alone decides, for both ways give the same bytes.
fn simd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.accept("on") {
        cx.reply.simple("enabled");
    } else if args.accept("off") {
        cx.reply.simple("disabled");
    } else {
        return Err(CmdError::text("ERR Argument must be ON or OFF"));
    }
    Ok(Flow::Done)
}

fn name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Dense => "dense",
        Encoding::Sparse => "sparse",
    }
}

/// The key of PFDEBUG is its last word, whether a subcommand stands before it or not.
fn pfdebug_keys(argv: Argv<'_>, found: &mut Found) -> bool {
    let index = if argv.len() == 2 { 1 } else { 2 };
    found.push((index, kf::RW | kf::ACCESS));
    argv.len() > index
}

/// Makes a key's HyperLogLog dense; whether it was sparse.
fn make_dense(cx: &mut Ctx<'_>, key: Key<'_>) -> Result<bool, CmdError> {
    let Some(mut edit) = cx.db.edit::<Str>(key, Missing::Skip)? else { return Ok(false) };
    let was_sparse = hll::make_dense(&mut edit.value())?;
    if was_sparse {
        edit.finish(Event::SILENT);
    }
    Ok(was_sparse)
}

fn pfselftest(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let mut registers = Registers::default();
    let mut next_check = 1;
    for count in 1..=100_000u64 {
        registers.add(&(cx.rng.next_u64() ^ count).to_le_bytes());
        if count != next_check {
            continue;
        }
        next_check *= 10;
        // Six standard errors; few elements are nearly always counted one by one.
        let error = registers.estimate().abs_diff(count);
        if error > (count as f64 * 6.0 * 0.0081).ceil() as u64 + u64::from(count < 100) {
            return Err(CmdError::owned(format!("ERR TESTFAILED Too big error. card:{count} abserr:{error}")));
        }
    }
    cx.reply.ok();
    Ok(Flow::Done)
}
