//! The `cmsgpack` library: Lua values as MessagePack. Source: <https://github.com/msgpack/msgpack/blob/master/spec.md>,
//! without extension and binary types.

use super::native::{Raised, Returned, bytes_arg, native, number_arg, one, string};
use mlua::{Lua, MultiValue, Result, Table, Value};

/// Tables deeper than this are packed as nil: one that holds itself would have no end.
const MAX_PACK_DEPTH: u32 = 16;
/// Deepest nesting that is unpacked.
const MAX_UNPACK_DEPTH: u32 = 1000;

/// The library's table.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("pack", native(lua, pack)?)?;
    table.set("unpack", native(lua, unpack)?)?;
    table.set("unpack_one", native(lua, unpack_one)?)?;
    table.set("unpack_limit", native(lua, unpack_limit)?)?;
    table.set("_NAME", "cmsgpack")?;
    table.set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.set("_COPYRIGHT", "Copyright (C) 2012, Salvatore Sanfilippo")?;
    table.set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(lua: &Lua, args: &MultiValue) -> Returned {
    if args.is_empty() {
        return Err(Raised::argument(0, "pack", "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for value in args.iter() {
        push_value(&mut out, value, 0)?;
    }
    one(string(lua, &out)?)
}

fn push_value(out: &mut Vec<u8>, value: &Value, depth: u32) -> mlua::Result<()> {
    match value {
        Value::String(text) => push_text(out, &text.as_bytes()),
        Value::Boolean(yes) => out.push(if *yes { 0xc3 } else { 0xc2 }),
        Value::Integer(n) => push_integer(out, *n),
        Value::Number(n) => push_number(out, *n),
        Value::Table(table) if depth < MAX_PACK_DEPTH => return push_table(out, table, depth),
        _ => out.push(0xc0),
    }
    Ok(())
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    match text.len() {
        len @ 0..32 => out.push(0xa0 | len as u8),
        len @ 32..0x100 => out.extend([0xd9, len as u8]),
        len => push_len(out, 0xda, len),
    }
    out.extend_from_slice(text);
}

/// A length of 16 bits behind `kind`, or of 32 behind the kind after it.
fn push_len(out: &mut Vec<u8>, kind: u8, len: usize) {
    if let Ok(len) = u16::try_from(len) {
        out.push(kind);
        out.extend(len.to_be_bytes());
    } else {
        out.push(kind + 1);
        out.extend((len as u32).to_be_bytes());
    }
}

fn push_number(out: &mut Vec<u8>, n: f64) {
    if n == n.trunc() && (i64::MIN as f64..-(i64::MIN as f64)).contains(&n) {
        return push_integer(out, n as i64);
    }
    if f64::from(n as f32) == n {
        out.push(0xca);
        out.extend((n as f32).to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend(n.to_be_bytes());
    }
}

fn push_integer(out: &mut Vec<u8>, n: i64) {
    match n {
        0..=0x7f => out.push(n as u8),
        0x80..=0xff => out.extend([0xcc, n as u8]),
        0x100..=0xffff => {
            out.push(0xcd);
            out.extend((n as u16).to_be_bytes());
        }
        0x1_0000..=0xffff_ffff => {
            out.push(0xce);
            out.extend((n as u32).to_be_bytes());
        }
        0x1_0000_0000.. => {
            out.push(0xcf);
            out.extend((n as u64).to_be_bytes());
        }
        -32..=-1 => out.push(n as i8 as u8),
        -0x80..=-33 => out.extend([0xd0, n as i8 as u8]),
        -0x8000..=-0x81 => {
            out.push(0xd1);
            out.extend((n as i16).to_be_bytes());
        }
        -0x8000_0000..=-0x8001 => {
            out.push(0xd2);
            out.extend((n as i32).to_be_bytes());
        }
        _ => {
            out.push(0xd3);
            out.extend(n.to_be_bytes());
        }
    }
}

/// A whole number from 1 on.
fn index(key: &Value) -> Option<usize> {
    match key {
        Value::Integer(n) => usize::try_from(*n).ok().filter(|n| *n > 0),
        Value::Number(n) if *n >= 1.0 && *n == n.trunc() && *n < 9e15 => Some(*n as usize),
        _ => None,
    }
}

fn push_table(out: &mut Vec<u8>, table: &Table, depth: u32) -> mlua::Result<()> {
    let (mut count, mut max, mut all_indexes) = (0usize, 0usize, true);
    table.for_each(|key: Value, _: Value| {
        count += 1;
        match index(&key) {
            Some(index) => max = max.max(index),
            None => all_indexes = false,
        }
        Ok(())
    })?;
    if all_indexes && max == count {
        match count {
            0..16 => out.push(0x90 | count as u8),
            _ => push_len(out, 0xdc, count),
        }
        for index in 1..=count {
            push_value(out, &table.raw_get(index)?, depth + 1)?;
        }
        return Ok(());
    }
    match count {
        0..16 => out.push(0x80 | count as u8),
        _ => push_len(out, 0xde, count),
    }
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        push_value(out, &key, depth + 1)?;
        push_value(out, &value, depth + 1)?;
    }
    Ok(())
}

/// Why bytes could not be unpacked.
enum Bad {
    Short,
    Format,
    Deep,
    Lua(mlua::Error),
}

impl From<mlua::Error> for Bad {
    fn from(error: mlua::Error) -> Bad {
        Bad::Lua(error)
    }
}

impl From<Bad> for Raised {
    fn from(bad: Bad) -> Raised {
        match bad {
            Bad::Short => Raised::at("Missing bytes in input."),
            Bad::Format => Raised::at("Bad data format in input."),
            Bad::Deep => Raised::at("Too many nested data structures in input."),
            Bad::Lua(error) => error.into(),
        }
    }
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> std::result::Result<&'a [u8], Bad> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Bad::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, len: usize) -> std::result::Result<u64, Bad> {
        Ok(self.take(len)?.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
    }

    fn signed(&mut self, len: usize) -> std::result::Result<i64, Bad> {
        let unused = 64 - 8 * len as u32;
        Ok(((self.unsigned(len)? << unused) as i64) >> unused)
    }

    fn value(&mut self, depth: u32) -> std::result::Result<Value, Bad> {
        let kind = self.take(1)?[0];
        Ok(match kind {
            0..=0x7f => Value::Number(f64::from(kind)),
            0xe0..=0xff => Value::Number(f64::from(kind as i8)),
            0x80..=0x8f => self.map(usize::from(kind & 15), depth)?,
            0x90..=0x9f => self.array(usize::from(kind & 15), depth)?,
            0xa0..=0xbf => self.text(usize::from(kind & 31))?,
            0xc0 => Value::Nil,
            0xc2 | 0xc3 => Value::Boolean(kind == 0xc3),
            0xca => Value::Number(f64::from(f32::from_bits(self.unsigned(4)? as u32))),
            0xcb => Value::Number(f64::from_bits(self.unsigned(8)?)),
            0xcc..=0xcf => Value::Number(self.unsigned(1 << (kind - 0xcc))? as f64),
            0xd0..=0xd3 => Value::Number(self.signed(1 << (kind - 0xd0))? as f64),
            0xd9..=0xdb => {
                let len = self.unsigned(1 << (kind - 0xd9))? as usize;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.unsigned(2 << (kind - 0xdc))? as usize;
                self.array(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.unsigned(2 << (kind - 0xde))? as usize;
                self.map(len, depth)?
            }
            _ => return Err(Bad::Format),
        })
    }

    fn text(&mut self, len: usize) -> std::result::Result<Value, Bad> {
        Ok(Value::String(self.lua.create_string(self.take(len)?)?))
    }

    fn array(&mut self, len: usize, depth: u32) -> std::result::Result<Value, Bad> {
        let depth = depth.checked_sub(1).ok_or(Bad::Deep)?;
        let table = self.lua.create_table()?;
        for index in 1..=len {
            table.raw_set(index, self.value(depth)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: usize, depth: u32) -> std::result::Result<Value, Bad> {
        let depth = depth.checked_sub(1).ok_or(Bad::Deep)?;
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth)?;
            if matches!(&key, Value::Nil) || matches!(&key, Value::Number(n) if n.is_nan()) {
                return Err(Bad::Format);
            }
            table.raw_set(key, self.value(depth)?)?;
        }
        Ok(Value::Table(table))
    }
}

/// Unpacks values from `offset` on: all of them, or so many, with where the next one begins before them.
fn read(lua: &Lua, data: &[u8], limit: i64, offset: i64) -> Returned {
    let len = data.len();
    let Some(start) = usize::try_from(offset).ok().filter(|_| limit >= 0) else {
        return Err(Raised::at(format!("Invalid request to unpack with offset of {offset} and limit of {len}.")));
    };
    let Some(rest) = data.get(start..) else {
        return Err(Raised::at(format!("Start offset {offset} greater than input length {len}.")));
    };
    let all = limit == 0 && offset == 0;
    let mut reader = Reader { lua, rest };
    let mut values = MultiValue::new();
    while !reader.rest.is_empty() && (all || (values.len() as i64) < limit) {
        if values.len() >= 4000 {
            return Err(Raised::at("too many return values at once; use unpack_one or unpack_limit instead."));
        }
        values.push_back(reader.value(MAX_UNPACK_DEPTH)?);
    }
    if !all {
        let next = if reader.rest.is_empty() { -1.0 } else { (len - reader.rest.len()) as f64 };
        values.push_front(Value::Number(next));
    }
    Ok(values)
}

fn unpack(lua: &Lua, args: &MultiValue) -> Returned {
    read(lua, &bytes_arg(args, 0, "unpack")?, 0, 0)
}

fn optional(args: &MultiValue, index: usize, function: &str) -> std::result::Result<i64, Raised> {
    if args.get(index).is_none_or(Value::is_nil) { Ok(0) } else { Ok(number_arg(args, index, function)? as i64) }
}

fn unpack_one(lua: &Lua, args: &MultiValue) -> Returned {
    let offset = optional(args, 1, "unpack_one")?;
    read(lua, &bytes_arg(args, 0, "unpack_one")?, 1, offset)
}

fn unpack_limit(lua: &Lua, args: &MultiValue) -> Returned {
    let limit = number_arg(args, 1, "unpack_limit")? as i64;
    let offset = optional(args, 2, "unpack_limit")?;
    read(lua, &bytes_arg(args, 0, "unpack_limit")?, limit, offset)
}
