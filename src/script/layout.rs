//! The `struct` library: numbers and texts to packed bytes and back, as a format says.
//!
//! ```text
//! > < big or little endian     !n align to at most n (8)        space  nothing
//! b B h H l L i[n] I[n] T      integers, signed and unsigned: 1, 2, 8, n (4), 8 bytes
//! f d float and double         x a zero byte                    s text up to a zero byte, c[n] n bytes (c0: all)
//! ```

use super::native::{Raised, Returned, bytes_arg, native, number_arg, one, string};
use mlua::{Lua, MultiValue, Result, Table, Value};

/// Widest integer, bytes.
const MAX_INTEGER_BYTES: usize = 32;
/// Alignment of `!` without a number.
const MAX_ALIGN: usize = 8;

type Outcome<T> = std::result::Result<T, Raised>;

/// The library's table.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("pack", native(lua, pack)?)?;
    table.set("unpack", native(lua, unpack)?)?;
    table.set("size", native(lua, size)?)?;
    Ok(table)
}

/// A format as it is read.
struct Format<'a> {
    rest: &'a [u8],
    big_endian: bool,
    align: usize,
}

/// One option: its letter and the bytes it takes.
struct Item {
    letter: u8,
    size: usize,
}

impl Format<'_> {
    fn new(text: &[u8]) -> Format<'_> {
        Format { rest: text, big_endian: false, align: 1 }
    }

    fn number(&mut self, default: usize) -> Outcome<usize> {
        if !self.rest.first().is_some_and(u8::is_ascii_digit) {
            return Ok(default);
        }
        let mut n: usize = 0;
        while let Some(digit) = self.rest.first().filter(|byte| byte.is_ascii_digit()) {
            n = n * 10 + usize::from(digit - b'0');
            if n > i32::MAX as usize {
                return Err(Raised::at("integral size overflow"));
            }
            self.rest = &self.rest[1..];
        }
        Ok(n)
    }

    /// The next option that takes part; those that only set something are obeyed.
    fn next(&mut self) -> Outcome<Option<Item>> {
        while let Some((&letter, rest)) = self.rest.split_first() {
            self.rest = rest;
            let size = match letter {
                b'b' | b'B' | b'x' => 1,
                b'h' | b'H' => 2,
                b'l' | b'L' | b'T' | b'd' => 8,
                b'f' => 4,
                b'c' => self.number(1)?,
                b'i' | b'I' => self.integer_size()?,
                b's' => 0,
                b' ' => continue,
                b'<' | b'>' => {
                    self.big_endian = letter == b'>';
                    continue;
                }
                b'!' => {
                    let align = self.number(MAX_ALIGN)?;
                    if !align.is_power_of_two() {
                        return Err(Raised::at(format!("alignment {align} is not a power of 2")));
                    }
                    self.align = align;
                    continue;
                }
                other => return Err(Raised::argument(1, "?", &format!("invalid format option '{}'", other as char))),
            };
            return Ok(Some(Item { letter, size }));
        }
        Ok(None)
    }

    fn integer_size(&mut self) -> Outcome<usize> {
        let size = self.number(4)?;
        if size > MAX_INTEGER_BYTES {
            let text = format!("integral size {size} is larger than limit of {MAX_INTEGER_BYTES}");
            return Err(Raised::at(text));
        }
        Ok(size)
    }

    /// Zero bytes that must come before an option at `at`.
    fn padding(&self, item: &Item, at: usize) -> usize {
        if item.size == 0 || item.letter == b'c' {
            return 0;
        }
        let size = item.size.min(self.align);
        // Of a size that is no power of two, the low bits decide as for the next smaller mask.
        (size - (at & (size - 1))) & (size - 1)
    }
}

/// Names the function in an error of the format's.
fn named<T>(result: Outcome<T>, function: &str) -> Outcome<T> {
    result.map_err(|error| match error {
        Raised::At(text) => Raised::At(String::from_utf8_lossy(&text).replace("'?'", &format!("'{function}'")).into()),
        other => other,
    })
}

fn put_integer(out: &mut Vec<u8>, value: u64, size: usize, big_endian: bool) {
    let start = out.len();
    out.extend((0..size).map(|byte| if byte < 8 { (value >> (8 * byte)) as u8 } else { 0 }));
    if big_endian {
        out[start..].reverse();
    }
}

fn pack(lua: &Lua, args: &MultiValue) -> Returned {
    let text = bytes_arg(args, 0, "pack")?;
    let mut format = Format::new(&text);
    let (mut out, mut next) = (Vec::new(), 1);
    while let Some(item) = named(format.next(), "pack")? {
        let padding = format.padding(&item, out.len());
        out.resize(out.len() + padding, 0);
        match item.letter {
            b'x' => out.push(0),
            b'f' | b'd' => {
                let n = packed_number(args, next)?;
                let mut bytes =
                    if item.letter == b'f' { (n as f32).to_le_bytes().to_vec() } else { n.to_le_bytes().to_vec() };
                if format.big_endian {
                    bytes.reverse();
                }
                out.extend(bytes);
                next += 1;
            }
            b'c' | b's' => {
                let value = bytes_arg(args, next, "pack")?;
                let size = if item.size == 0 { value.len() } else { item.size };
                let Some(part) = value.get(..size) else {
                    return Err(Raised::argument(next + 2, "pack", "string too short"));
                };
                out.extend_from_slice(part);
                if item.letter == b's' {
                    out.push(0);
                }
                next += 1;
            }
            _ => {
                let n = packed_number(args, next)?;
                let value = if n < 0.0 { n as i64 as u64 } else { n as u64 };
                put_integer(&mut out, value, item.size, format.big_endian);
                next += 1;
            }
        }
    }
    one(string(lua, &out)?)
}

/// A number to pack; one that is missing is nil.
fn packed_number(args: &MultiValue, index: usize) -> Outcome<f64> {
    if index >= args.len() {
        return Err(Raised::argument(index + 1, "pack", "number expected, got nil"));
    }
    number_arg(args, index, "pack")
}

/// An integer of any size; only the low 64 bits count.
fn integer(bytes: &[u8], big_endian: bool, signed: bool) -> f64 {
    let mut value = 0u64;
    let low_first = |index: usize| if big_endian { bytes[bytes.len() - 1 - index] } else { bytes[index] };
    for index in 0..bytes.len().min(8) {
        value |= u64::from(low_first(index)) << (8 * index);
    }
    if !signed {
        return value as f64;
    }
    let unused = 64 - 8 * bytes.len().clamp(1, 8) as u32;
    ((value << unused) as i64 >> unused) as f64
}

fn unpack(lua: &Lua, args: &MultiValue) -> Returned {
    let text = bytes_arg(args, 0, "unpack")?;
    let data = bytes_arg(args, 1, "unpack")?;
    let at = if args.get(2).is_some_and(|v| !v.is_nil()) { number_arg(args, 2, "unpack")? } else { 1.0 };
    if at == 0.0 {
        return Err(Raised::argument(3, "unpack", "offset must be 1 or greater"));
    }
    // From before the beginning nothing is there.
    let mut at = if at < 0.0 { usize::MAX / 2 } else { at as usize - 1 };
    let short = || Raised::argument(2, "unpack", "data string too short");
    let mut format = Format::new(&text);
    let mut values = MultiValue::new();
    while let Some(mut item) = named(format.next(), "unpack")? {
        at = at.saturating_add(format.padding(&item, at));
        if item.letter == b'c' && item.size == 0 {
            item.size = match values.pop_back() {
                Some(Value::Number(n)) if n >= 0.0 => n as usize,
                Some(Value::Number(_)) => return Err(short()),
                _ => return Err(Raised::at("format 'c0' needs a previous size")),
            };
        }
        if item.letter == b's' {
            let rest = data.get(at..).ok_or_else(short)?;
            let len = memchr::memchr(0, rest).ok_or_else(|| Raised::at("unfinished string in data"))?;
            values.push_back(string(lua, &rest[..len])?);
            at += len + 1;
            continue;
        }
        let bytes = at.checked_add(item.size).and_then(|end| data.get(at..end)).ok_or_else(short)?;
        at += item.size;
        match item.letter {
            b'x' => {}
            b'c' => values.push_back(string(lua, bytes)?),
            b'f' | b'd' => values.push_back(Value::Number(real(bytes, format.big_endian))),
            letter => {
                values.push_back(Value::Number(integer(bytes, format.big_endian, letter.is_ascii_lowercase())));
            }
        }
    }
    values.push_back(Value::Number((at + 1) as f64));
    Ok(values)
}

fn real(bytes: &[u8], big_endian: bool) -> f64 {
    let mut ordered = [0; 8];
    ordered[..bytes.len()].copy_from_slice(bytes);
    if big_endian {
        ordered[..bytes.len()].reverse();
    }
    if bytes.len() == 4 {
        return f64::from(f32::from_le_bytes([ordered[0], ordered[1], ordered[2], ordered[3]]));
    }
    f64::from_le_bytes(ordered)
}

fn size(_: &Lua, args: &MultiValue) -> Returned {
    let text = bytes_arg(args, 0, "size")?;
    let mut format = Format::new(&text);
    let mut total: usize = 0;
    while let Some(item) = named(format.next(), "size")? {
        if item.letter == b's' {
            return Err(Raised::argument(1, "size", "option 's' has no fixed size"));
        }
        if item.letter == b'c' && item.size == 0 {
            return Err(Raised::argument(1, "size", "option 'c0' has no fixed size"));
        }
        total = total.saturating_add(format.padding(&item, total) + item.size);
    }
    one(Value::Number(total as f64))
}
