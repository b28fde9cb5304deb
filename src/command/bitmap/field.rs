//! BITFIELD: integers of 1 to 64 bits at any bit of a string, signed (`i1` to `i64`) or not (`u1` to `u63`), the highest
//! bit first.
//!
//! ```text
//! u5 at bit 6    byte 0    byte 1        read as 16 bytes from byte 0 on, big endian:
//!                ......hh  hll.....      shifted left by 6, then right until 5 bits are left
//! ```

use super::{BAD_OFFSET, SETBIT, bit_offset};
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::keyspace::Event;
use crate::types::{Scratch, Str};

/// What becomes of a result that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Overflow {
    /// Its low bits.
    Wrap,
    /// The nearest that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verb {
    Get,
    Set(i64),
    Add(i64),
}

/// A type: how wide, and how its highest bit is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Width {
    bits: u32,
    signed: bool,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
struct Operation {
    verb: Verb,
    width: Width,
    /// First bit.
    offset: u64,
    overflow: Overflow,
}

impl Width {
    fn parse(text: &[u8]) -> Result<Width, CmdError> {
        const BAD: CmdError = CmdError::text(
            "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.",
        );
        let (signed, most) = match text.first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => return Err(BAD),
        };
        match number::parse_i64(&text[1..]) {
            Some(bits) if (1..=most).contains(&bits) => Ok(Width { bits: bits as u32, signed }),
            _ => Err(BAD),
        }
    }

    fn least(self) -> i128 {
        if self.signed { -(1 << (self.bits - 1)) } else { 0 }
    }

    fn most(self) -> i128 {
        if self.signed { (1 << (self.bits - 1)) - 1 } else { (1 << self.bits) - 1 }
    }

    /// What the low bits of a pattern mean.
    fn value(self, pattern: u64) -> i64 {
        let shift = 64 - self.bits;
        if self.signed { (pattern << shift) as i64 >> shift } else { (pattern << shift >> shift) as i64 }
    }

    /// A result as it is stored; `None` if it does not fit and must then not be written.
    fn fit(self, result: i128, overflow: Overflow) -> Option<i64> {
        if (self.least()..=self.most()).contains(&result) {
            return Some(result as i64);
        }
        match overflow {
            Overflow::Wrap => Some(self.value(result as u64)),
            Overflow::Saturate if result < 0 => Some(self.least() as i64),
            Overflow::Saturate => Some(self.most() as i64),
            Overflow::Fail => None,
        }
    }
}

impl Operation {
    /// Bytes of the string that it needs.
    fn end_byte(&self) -> usize {
        ((self.offset + u64::from(self.width.bits) - 1) / 8) as usize + 1
    }

    /// The 16 bytes from its first on, zeros behind the end, and where that is.
    fn window(&self, bytes: &[u8]) -> (u128, usize) {
        let at = ((self.offset / 8) as usize).min(bytes.len());
        let part = &bytes[at..bytes.len().min(at + 16)];
        let mut window = [0; 16];
        window[..part.len()].copy_from_slice(part);
        (u128::from_be_bytes(window), at)
    }

    /// How far its lowest bit is from the window's.
    fn shift(&self) -> u32 {
        128 - (self.offset % 8) as u32 - self.width.bits
    }

    fn read(&self, bytes: &[u8]) -> i64 {
        self.width.value((self.window(bytes).0 >> self.shift()) as u64)
    }

    /// Writes into bytes that reach so far.
    fn write(&self, bytes: &mut [u8], value: i64) {
        let (window, at) = self.window(bytes);
        let mask = (u128::MAX >> (128 - self.width.bits)) << self.shift();
        let window = window & !mask | (value as u64 as u128) << self.shift() & mask;
        let end = bytes.len().min(at + 16);
        bytes[at..end].copy_from_slice(&window.to_be_bytes()[..end - at]);
    }

    /// Old and new value; no new one if it does not fit and must not be written.
    fn result(&self, bytes: &[u8]) -> (i64, Option<i64>) {
        let old = self.read(bytes);
        let result = match self.verb {
            Verb::Get => return (old, None),
            // Without a sign the bits of a negative number are a huge one.
            Verb::Set(value) if !self.width.signed => i128::from(value as u64),
            // The reference takes a number for one that is too large when its distance from the greatest is past 64 bits.
            Verb::Set(value)
                if self.width.bits < 64 && self.width.most() - i128::from(value) > i128::from(i64::MAX) =>
            {
                i128::from(value) + (1 << 64)
            }
            Verb::Set(value) => i128::from(value),
            Verb::Add(increment) => i128::from(old) + i128::from(increment),
        };
        (old, self.width.fit(result, self.overflow))
    }
}

/// The offset of a value: in bits, or behind a `#` in values of this width.
fn offset(text: &[u8], width: Width, cx: &Ctx<'_>) -> Result<u64, CmdError> {
    let Some(text) = text.strip_prefix(b"#") else { return bit_offset(text, cx) };
    let index = number::parse_i64(text).ok_or(BAD_OFFSET)?;
    let offset = index.checked_mul(i64::from(width.bits)).ok_or(BAD_OFFSET)?;
    bit_offset(itoa::Buffer::new().format(offset).as_bytes(), cx)
}

fn operations(cx: &Ctx<'_>, args: &mut Args<'_>) -> Result<Vec<Operation>, CmdError> {
    let mut all = Vec::new();
    let mut overflow = Overflow::Wrap;
    while args.more() {
        if args.left() >= 2 && args.accept("overflow") {
            overflow = if args.accept("wrap") {
                Overflow::Wrap
            } else if args.accept("sat") {
                Overflow::Saturate
            } else if args.accept("fail") {
                Overflow::Fail
            } else {
                return Err(CmdError::text("ERR Invalid OVERFLOW type specified"));
            };
            continue;
        }
        let verb = if args.left() >= 3 && args.accept("get") {
            Verb::Get
        } else if args.left() >= 4 && args.accept("set") {
            Verb::Set(0)
        } else if args.left() >= 4 && args.accept("incrby") {
            Verb::Add(0)
        } else {
            return Err(CmdError::SYNTAX);
        };
        let width = Width::parse(args.bytes()?)?;
        let offset = offset(args.bytes()?, width, cx)?;
        let verb = match verb {
            Verb::Get => Verb::Get,
            Verb::Set(_) => Verb::Set(args.int()?),
            Verb::Add(_) => Verb::Add(args.int()?),
        };
        all.push(Operation { verb, width, offset, overflow });
    }
    Ok(all)
}

pub fn bitfield(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let operations = operations(cx, args)?;
    let writes = operations.iter().filter(|operation| operation.verb != Verb::Get);
    let Some(needed) = writes.map(Operation::end_byte).max() else {
        args.seek(1);
        return get_all(cx, args, &operations);
    };
    let mut edit = cx.db.edit_or_create::<Str>(key)?;
    let grows = edit.created() || needed > edit.view().len();
    let reply = &mut cx.reply;
    reply.array(operations.len());
    let changes = edit.value().change(needed, |bytes| {
        let mut changes = 0;
        for operation in &operations {
            match (operation.result(bytes), operation.verb) {
                ((old, _), Verb::Get) => reply.int(old),
                ((_, None), _) => reply.null(),
                ((old, Some(new)), verb) => {
                    operation.write(bytes, new);
                    reply.int(if matches!(verb, Verb::Add(_)) { new } else { old });
                    changes += u64::from(grows || new != old);
                }
            }
        }
        changes
    });
    if changes > 0 {
        edit.finish_with(changes, SETBIT);
    } else if grows {
        // Nothing was written, which is no news; but whoever follows must make it grow.
        edit.finish(Event::SILENT);
    }
    Ok(Flow::Done)
}

pub fn bitfield_ro(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    args.key()?;
    let operations = operations(cx, args)?;
    if operations.iter().any(|operation| operation.verb != Verb::Get) {
        return Err(CmdError::text("ERR BITFIELD_RO only supports the GET subcommand"));
    }
    args.seek(1);
    get_all(cx, args, &operations)
}

fn get_all(cx: &mut Ctx<'_>, args: &mut Args<'_>, operations: &[Operation]) -> Outcome {
    let key = args.key()?;
    let mut scratch = Scratch::default();
    let bytes = cx.db.read::<Str>(key)?.map_or(&[][..], |value| value.bytes(&mut scratch));
    cx.reply.array(operations.len());
    operations.iter().for_each(|operation| cx.reply.int(operation.read(bytes)));
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn at(verb: Verb, kind: &str, offset: u64, overflow: Overflow) -> Operation {
        Operation { verb, width: Width::parse(kind.as_bytes()).expect("a type"), offset, overflow }
    }

    #[test]
    fn fields_are_read_and_written_as_bit_by_bit() {
        for seed in 0..2000 {
            let mut rng = Rng::seeded(seed);
            let bits = 1 + rng.below(64) as u32;
            let width = Width { bits, signed: bits == 64 || rng.below(2) == 0 };
            let operation = Operation { verb: Verb::Get, width, offset: rng.below(40), overflow: Overflow::Wrap };
            let mut bytes: Vec<u8> = (0..16).map(|_| rng.next_u64() as u8).collect();
            let bit = |bytes: &[u8], index: u64| u64::from(bytes[(index / 8) as usize] >> (7 - index % 8) & 1);
            let range = operation.offset..operation.offset + u64::from(bits);
            let pattern = range.clone().fold(0, |pattern, index| pattern << 1 | bit(&bytes, index));
            assert_eq!(operation.read(&bytes), width.value(pattern), "seed {seed}");
            // Behind the end there are zeros.
            let short = &bytes[..rng.below(8) as usize];
            let padded: Vec<u8> = short.iter().copied().chain([0; 16]).collect();
            assert_eq!(operation.read(short), operation.read(&padded), "seed {seed}");
            let (before, new) = (bytes.clone(), rng.next_u64());
            bytes.truncate(operation.end_byte() + rng.below(2) as usize);
            operation.write(&mut bytes, new as i64);
            assert_eq!(operation.read(&bytes), width.value(new), "seed {seed}");
            for index in (0..bytes.len() as u64 * 8).filter(|index| !range.contains(index)) {
                assert_eq!(bit(&bytes, index), bit(&before, index), "seed {seed}, bit {index} is another's");
            }
        }
    }

    #[test]
    fn results_that_do_not_fit_wrap_saturate_or_fail() {
        use Overflow::*;
        for (verb, kind, old, wrap, saturate) in [
            (Verb::Add(1), "u8", 255, 0, 255),
            (Verb::Add(-1), "u8", 0, 255, 0),
            (Verb::Add(300), "i8", 100, -112, 127),
            (Verb::Add(i64::MAX), "i64", 1, i64::MIN, i64::MAX),
            (Verb::Add(i64::MIN), "i64", -1, i64::MAX, i64::MIN),
            (Verb::Add(1), "u63", i64::MAX, 0, i64::MAX),
            (Verb::Set(-1), "u8", 7, 255, 255),
            (Verb::Set(200), "i8", 7, -56, 127),
            (Verb::Set(-129), "i8", 7, 127, -128),
            (Verb::Set(3), "u1", 0, 1, 1),
            (Verb::Set(i64::MIN), "i5", 3, 0, 15),
            (Verb::Set(i64::MIN + 16), "i5", 3, -16, -16),
        ] {
            for (overflow, expected) in [(Wrap, Some(wrap)), (Saturate, Some(saturate)), (Fail, None)] {
                let mut bytes = [0; 16];
                let operation = at(verb, kind, 3, overflow);
                operation.write(&mut bytes, old);
                assert_eq!(operation.result(&bytes), (old, expected), "{kind} {verb:?} {overflow:?}");
            }
        }
    }
}
