//! The `cjson` library: Lua values as JSON. Its rules for tables (what is an array, how sparse it may be), numbers and
//! depth are those that scripts were written for: <https://kyne.au/~mark/software/lua-cjson-manual.html>.

mod decode;

use super::native::{Raised, Returned, native, number_text_of, one, string};
use mlua::{LightUserData, Lua, MultiValue, Result, Table, Value};
use std::cell::Cell;
use std::rc::Rc;

/// What the functions of the library set.
struct Settings {
    /// Sparse arrays: whether they become objects, from what ratio on, which are always taken as arrays.
    sparse: Cell<(bool, u32, u32)>,
    encode_depth: Cell<u32>,
    decode_depth: Cell<u32>,
    precision: Cell<u32>,
    keep_buffer: Cell<bool>,
    encode_invalid: Cell<Invalid>,
    decode_invalid: Cell<bool>,
}

/// What becomes of NaN and infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Invalid {
    Refused,
    Written,
    Null,
}

/// Deepest nesting that can be asked for: each level takes room on the stack.
const MAX_DEPTH: u32 = 2000;

impl Default for Settings {
    fn default() -> Self {
        Settings {
            sparse: Cell::new((false, 2, 10)),
            encode_depth: Cell::new(1000),
            decode_depth: Cell::new(1000),
            precision: Cell::new(14),
            keep_buffer: Cell::new(true),
            encode_invalid: Cell::new(Invalid::Refused),
            decode_invalid: Cell::new(true),
        }
    }
}

/// The library's table, with settings of its own.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let settings = Rc::new(Settings::default());
    let table = lua.create_table()?;
    let of = Rc::clone(&settings);
    table.set("encode", native(lua, move |lua, args| encode(lua, &of, args))?)?;
    let of = Rc::clone(&settings);
    table.set("decode", native(lua, move |lua, args| decode::decode(lua, &of, args))?)?;
    set_up(lua, &table, &settings)?;
    table.set("new", native(lua, |lua, _| one(Value::Table(library(lua)?)))?)?;
    table.set("null", Value::LightUserData(LightUserData(std::ptr::null_mut())))?;
    table.set("_NAME", "cjson")?;
    table.set("_VERSION", "2.1.0")?;
    Ok(table)
}

type Setting = fn(&Lua, &Settings, &MultiValue) -> Returned;

fn set_up(lua: &Lua, table: &Table, settings: &Rc<Settings>) -> Result<()> {
    let functions: [(&str, Setting); 7] = [
        ("encode_sparse_array", sparse_array),
        ("encode_max_depth", |_, s, args| depth(&s.encode_depth, args, "encode_max_depth")),
        ("decode_max_depth", |_, s, args| depth(&s.decode_depth, args, "decode_max_depth")),
        ("encode_number_precision", |_, s, args| {
            integer(&s.precision, args, 0, 1..=14, "encode_number_precision")?;
            one(Value::Number(f64::from(s.precision.get())))
        }),
        ("encode_keep_buffer", |_, s, args| {
            switch(&s.keep_buffer, args, "encode_keep_buffer")?;
            one(Value::Boolean(s.keep_buffer.get()))
        }),
        ("encode_invalid_numbers", encode_invalid),
        ("decode_invalid_numbers", |_, s, args| {
            switch(&s.decode_invalid, args, "decode_invalid_numbers")?;
            one(Value::Boolean(s.decode_invalid.get()))
        }),
    ];
    for (name, f) in functions {
        let of = Rc::clone(settings);
        table.set(name, native(lua, move |lua, args| f(lua, &of, args))?)?;
    }
    Ok(())
}

/// Sets an integer if argument `index` is given.
fn integer(
    cell: &Cell<u32>,
    args: &MultiValue,
    index: usize,
    range: std::ops::RangeInclusive<u32>,
    function: &str,
) -> std::result::Result<(), Raised> {
    if args.get(index).is_none_or(Value::is_nil) {
        return Ok(());
    }
    let n = super::native::number_arg(args, index, function)?;
    if n < f64::from(*range.start()) || n > f64::from(*range.end()) {
        let text = format!("expected integer between {} and {}", range.start(), range.end());
        return Err(Raised::argument(index + 1, function, &text));
    }
    cell.set(n as u32);
    Ok(())
}

fn depth(cell: &Cell<u32>, args: &MultiValue, function: &str) -> Returned {
    integer(cell, args, 0, 1..=i32::MAX as u32, function)?;
    one(Value::Number(f64::from(cell.get())))
}

/// Sets a switch if it is given: a boolean, `on` or `off`.
fn switch(cell: &Cell<bool>, args: &MultiValue, function: &str) -> std::result::Result<(), Raised> {
    match args.front() {
        None | Some(Value::Nil) => {}
        Some(Value::Boolean(yes)) => cell.set(*yes),
        Some(Value::String(word)) if *word.as_bytes() == *b"on" => cell.set(true),
        Some(Value::String(word)) if *word.as_bytes() == *b"off" => cell.set(false),
        Some(Value::String(word)) => {
            let text = format!("invalid option '{}'", word.to_string_lossy());
            return Err(Raised::argument(1, function, &text));
        }
        Some(Value::Integer(_) | Value::Number(_)) => {
            let word = super::native::bytes_arg(args, 0, function)?;
            let text = format!("invalid option '{}'", String::from_utf8_lossy(&word));
            return Err(Raised::argument(1, function, &text));
        }
        other => {
            let text = format!("string expected, got {}", super::native::kind(other));
            return Err(Raised::argument(1, function, &text));
        }
    }
    Ok(())
}

fn sparse_array(_: &Lua, settings: &Settings, args: &MultiValue) -> Returned {
    let (convert, ratio, safe) = settings.sparse.get();
    let (convert, ratio, safe) = (Cell::new(convert), Cell::new(ratio), Cell::new(safe));
    switch(&convert, args, "encode_sparse_array")?;
    integer(&ratio, args, 1, 0..=i32::MAX as u32, "encode_sparse_array")?;
    integer(&safe, args, 2, 0..=i32::MAX as u32, "encode_sparse_array")?;
    settings.sparse.set((convert.get(), ratio.get(), safe.get()));
    Ok(MultiValue::from_iter([
        Value::Boolean(convert.get()),
        Value::Number(f64::from(ratio.get())),
        Value::Number(f64::from(safe.get())),
    ]))
}

fn encode_invalid(lua: &Lua, settings: &Settings, args: &MultiValue) -> Returned {
    if matches!(args.front(), Some(Value::String(word)) if *word.as_bytes() == *b"null") {
        settings.encode_invalid.set(Invalid::Null);
    } else {
        let written = Cell::new(settings.encode_invalid.get() == Invalid::Written);
        switch(&written, args, "encode_invalid_numbers")?;
        if args.front().is_some_and(|v| !v.is_nil()) {
            settings.encode_invalid.set(if written.get() { Invalid::Written } else { Invalid::Refused });
        }
    }
    one(match settings.encode_invalid.get() {
        Invalid::Refused => Value::Boolean(false),
        Invalid::Written => Value::Boolean(true),
        Invalid::Null => string(lua, b"null")?,
    })
}

fn encode(lua: &Lua, settings: &Settings, args: &MultiValue) -> Returned {
    let (Some(value), 1) = (args.front(), args.len()) else {
        return Err(Raised::argument(1, "encode", "expected 1 argument"));
    };
    let mut out = Vec::new();
    push_value(&mut out, settings, value, 0)?;
    one(string(lua, &out)?)
}

fn refuse(kind: &str, why: &str) -> Raised {
    Raised::at(format!("Cannot serialise {kind}: {why}"))
}

fn push_value(out: &mut Vec<u8>, settings: &Settings, value: &Value, depth: u32) -> std::result::Result<(), Raised> {
    match value {
        Value::String(text) => push_text(out, &text.as_bytes()),
        Value::Integer(n) => push_number(out, settings, *n as f64)?,
        Value::Number(n) => push_number(out, settings, *n)?,
        Value::Boolean(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Nil => out.extend_from_slice(b"null"),
        Value::LightUserData(pointer) if pointer.0.is_null() => out.extend_from_slice(b"null"),
        Value::Table(table) => {
            let depth = depth + 1;
            if depth > settings.encode_depth.get().min(MAX_DEPTH) {
                return Err(Raised::at(format!("Cannot serialise, excessive nesting ({depth})")));
            }
            match array_len(settings, table)? {
                Some(len) if len > 0 => push_array(out, settings, table, len, depth)?,
                _ => push_object(out, settings, table, depth)?,
            }
        }
        other => return Err(refuse(super::native::kind(Some(other)), "type not supported")),
    }
    Ok(())
}

/// The length of a table that is an array: all its keys are whole numbers from 1 on, and not too few of them are there.
fn array_len(settings: &Settings, table: &Table) -> std::result::Result<Option<usize>, Raised> {
    let (mut max, mut items, mut is_array) = (0.0f64, 0.0f64, true);
    table.for_each(|key: Value, _: Value| {
        let index = match key {
            Value::Integer(n) => n as f64,
            Value::Number(n) => n,
            _ => 0.0,
        };
        is_array &= index >= 1.0 && index == index.trunc();
        max = max.max(index);
        items += 1.0;
        Ok(())
    })?;
    if !is_array {
        return Ok(None);
    }
    let (convert, ratio, safe) = settings.sparse.get();
    if ratio > 0 && max > items * f64::from(ratio) && max > f64::from(safe) {
        return if convert { Ok(None) } else { Err(refuse("table", "excessively sparse array")) };
    }
    Ok(Some(max as usize))
}

fn push_array(
    out: &mut Vec<u8>,
    settings: &Settings,
    table: &Table,
    len: usize,
    depth: u32,
) -> std::result::Result<(), Raised> {
    out.push(b'[');
    for index in 1..=len {
        if index > 1 {
            out.push(b',');
        }
        push_value(out, settings, &table.raw_get(index)?, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn push_object(out: &mut Vec<u8>, settings: &Settings, table: &Table, depth: u32) -> std::result::Result<(), Raised> {
    out.push(b'{');
    let mut is_first = true;
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        match &key {
            Value::String(text) => push_text(out, &text.as_bytes()),
            Value::Integer(_) | Value::Number(_) => {
                out.push(b'"');
                push_value(out, settings, &key, depth)?;
                out.push(b'"');
            }
            _ => {
                let kind = super::native::kind(Some(&key));
                return Err(refuse(kind, "table key must be a number or string"));
            }
        }
        out.push(b':');
        push_value(out, settings, &value, depth)?;
    }
    out.push(b'}');
    Ok(())
}

fn push_number(out: &mut Vec<u8>, settings: &Settings, n: f64) -> std::result::Result<(), Raised> {
    if !n.is_finite() {
        let text: Option<&[u8]> = match settings.encode_invalid.get() {
            Invalid::Refused => return Err(refuse("number", "must not be NaN or Inf")),
            Invalid::Null => Some(b"null"),
            // Without a sign, which says nothing.
            Invalid::Written => n.is_nan().then_some(b"nan"),
        };
        if let Some(text) = text {
            out.extend_from_slice(text);
            return Ok(());
        }
    }
    if n == n.trunc() && n.abs() < 1e14 && settings.precision.get() == 14 && (n != 0.0 || n.is_sign_positive()) {
        crate::base::number::push_i64(out, n as i64);
    } else {
        out.extend(number_text_of(n, settings.precision.get() as usize));
    }
    Ok(())
}

fn push_text(out: &mut Vec<u8>, text: &[u8]) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'/' => out.extend_from_slice(b"\\/"),
            8 => out.extend_from_slice(b"\\b"),
            9 => out.extend_from_slice(b"\\t"),
            10 => out.extend_from_slice(b"\\n"),
            12 => out.extend_from_slice(b"\\f"),
            13 => out.extend_from_slice(b"\\r"),
            0..32 | 127 => out.extend(format!("\\u{byte:04x}").bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
