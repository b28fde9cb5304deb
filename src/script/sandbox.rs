//! Builds the world that scripts live in, of Lua's libraries and ours: the rules themselves are in `sandbox.lua`.

use super::api;
use super::bits;
use super::cjson;
use super::interpreter::Shared;
use super::layout;
use super::msgpack;
use super::native::{Raised, Returned, bytes_arg, native, number_arg, one, string};
use crate::sys::lua::{self as raw, Entry};
use mlua::{ChunkMode, Function, Lua, MultiValue, Result, Table, Value};
use std::rc::Rc;

const TEXT: &str = include_str!("sandbox.lua");
/// Longest source of `load` and `loadstring`, bytes: far from where the lexer's counters overflow.
const MAX_SOURCE_BYTES: usize = 64 << 20;

/// What the interpreter calls.
pub(super) struct Entries {
    /// Where runs begin.
    pub entry: Entry,
    /// Runs a library's code, which registers functions.
    pub load: Function,
}

/// Turns a state with all its libraries into a sandbox. `call` and `pcall`: how a script reaches commands.
pub(super) fn build(
    lua: &Lua,
    shared: &Rc<Shared>,
    calls: (Function, Function),
    for_functions: bool,
) -> Result<Entries> {
    let (globals, bodies) = (lua.globals(), lua.create_table()?);
    let natives = natives(lua, shared, &globals)?;
    let libraries = lua.create_table()?;
    for name in ["string", "table", "math", "coroutine"] {
        libraries.set(name, globals.get::<Table>(name)?)?;
    }
    bound_strings(lua, &libraries.get("string")?)?;
    let table: Table = libraries.get("table")?;
    for name in ["insert", "remove"] {
        table.set(name, raw::refusing_guarded(lua, table.get(name)?)?)?;
    }
    let os = lua.create_table()?;
    os.set("clock", globals.get::<Table>("os")?.get::<Function>("clock")?)?;
    libraries.set("os", os)?;
    let math: Table = libraries.get("math")?;
    random(lua, shared, &math)?;
    libraries.set("redis", api::at_run(lua, shared, calls, for_functions)?)?;
    libraries.set("cjson", cjson::library(lua)?)?;
    libraries.set("cmsgpack", msgpack::library(lua)?)?;
    libraries.set("struct", layout::library(lua)?)?;
    libraries.set("bit", bits::library(lua)?)?;
    let prelude = lua.load(TEXT).set_name("=sandbox").set_mode(ChunkMode::Text).into_function()?;
    let loading = api::at_load(lua, shared)?;
    let (front, globals, handler, load): (Table, Table, Function, Function) =
        prelude.call((natives, libraries, loading))?;
    lua.set_globals(front)?;
    let bodies = shared.bodies.get_or_init(|| bodies).clone();
    Ok(Entries { entry: Entry { handler, bodies, globals }, load })
}

/// Functions of ours in place of Lua's own, and two that only the sandbox sees.
fn natives(lua: &Lua, shared: &Rc<Shared>, globals: &Table) -> Result<Table> {
    let natives = lua.create_table()?;
    natives.set("load", native(lua, load)?)?;
    natives.set("loadstring", native(lua, load_string)?)?;
    natives.set("unpack", raw::bounded_unpack(lua, globals.get("unpack")?)?)?;
    for name in ["rawset", "setmetatable"] {
        natives.set(name, raw::refusing_guarded(lua, globals.get(name)?)?)?;
    }
    let shared = Rc::clone(shared);
    natives.set("where", lua.create_function(move |lua, ()| Ok(whence(lua, &shared)))?)?;
    let strings = raw::string_metatable(lua)?;
    natives.set(
        "string_metatable",
        lua.create_function(move |_, (shown, library): (Value, Value)| {
            if let Value::Table(metatable) = &strings {
                metatable.raw_set("__metatable", shown)?;
                metatable.raw_set("__index", library)?;
            }
            Ok(())
        })?,
    )?;
    Ok(natives)
}

/// Where an error came from, asked by its handler: the first place in the user's own text.
fn whence(lua: &Lua, shared: &Shared) -> (String, i64) {
    // 0 is this function, 1 the handler, 2 what raised it. C functions and the sandbox's own are passed over.
    for level in 2..12 {
        let found = lua.inspect_stack(level, |debug| {
            let source = debug.source();
            let name = source.source.map(|s| s.into_owned()).unwrap_or_default();
            let passed_over = source.what == "C" || name == "=sandbox";
            (!passed_over).then(|| (name, debug.current_line().map_or(-1, |line| line as i64)))
        });
        match found {
            Some(Some(place)) => return place,
            Some(None) => {}
            None => break,
        }
    }
    (shared.source_name.to_owned(), -1)
}

fn bound_strings(lua: &Lua, strings: &Table) -> Result<()> {
    for name in ["find", "match", "gmatch", "gfind", "gsub"] {
        if let Some(f) = strings.get::<Option<Function>>(name)? {
            strings.set(name, raw::bounded_pattern(lua, f)?)?;
        }
    }
    Ok(())
}

/// Compiles a text, never bytecode. As Lua does, a text that is none gives nil and why.
fn compile(lua: &Lua, source: &[u8], name: &[u8]) -> Returned {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(Raised::Plain(b"chunk is too large".to_vec()));
    }
    let name = &name[..memchr::memchr(0, name).unwrap_or(name.len())];
    let name = String::from_utf8_lossy(name).into_owned();
    // The parser holds texts that nobody else does yet: nothing is collected meanwhile.
    lua.gc_stop();
    let result = lua.load(source).set_name(name).set_mode(ChunkMode::Text).into_function();
    lua.gc_restart();
    match result {
        Ok(f) => one(Value::Function(f)),
        Err(error) => Ok(MultiValue::from_iter([Value::Nil, string(lua, syntax_error(&error).as_bytes())?])),
    }
}

/// What the compiler says, without what the binding adds.
pub(super) fn syntax_error(error: &mlua::Error) -> String {
    match error {
        mlua::Error::SyntaxError { message, .. } => message.clone(),
        mlua::Error::MemoryError(_) => "not enough memory".to_owned(),
        other => other.to_string(),
    }
}

fn load_string(lua: &Lua, args: &MultiValue) -> Returned {
    let source = bytes_arg(args, 0, "loadstring")?;
    let name =
        if args.get(1).is_some_and(|v| !v.is_nil()) { bytes_arg(args, 1, "loadstring")? } else { source.clone() };
    compile(lua, &source, &name)
}

fn load(lua: &Lua, args: &MultiValue) -> Returned {
    let Some(Value::Function(reader)) = args.front() else {
        let got = super::native::kind(args.front());
        return Err(Raised::argument(1, "load", &format!("function expected, got {got}")));
    };
    let name = if args.get(1).is_some_and(|v| !v.is_nil()) { bytes_arg(args, 1, "load")? } else { b"=(load)".to_vec() };
    let mut source = Vec::new();
    while source.len() <= MAX_SOURCE_BYTES {
        match reader.call::<Value>(()) {
            Ok(Value::Nil) => break,
            Ok(Value::String(piece)) if piece.as_bytes().is_empty() => break,
            Ok(Value::String(piece)) => source.extend_from_slice(&piece.as_bytes()),
            Ok(_) => return Err(Raised::Plain(b"reader function must return a string".to_vec())),
            Err(error) => {
                return Ok(MultiValue::from_iter([Value::Nil, string(lua, error.to_string().as_bytes())?]));
            }
        }
    }
    compile(lua, &source, &name)
}

/// `math.random` and `math.randomseed` on the generator of the reference server.
fn random(lua: &Lua, shared: &Rc<Shared>, math: &Table) -> Result<()> {
    let of = Rc::clone(shared);
    math.set("random", native(lua, move |_, args| next_random(&of, args))?)?;
    let of = Rc::clone(shared);
    let seed = move |_: &Lua, args: &MultiValue| {
        of.random.seed(number_arg(args, 0, "randomseed")? as i64 as i32);
        Ok(MultiValue::new())
    };
    math.set("randomseed", native(lua, seed)?)
}

fn next_random(shared: &Shared, args: &MultiValue) -> Returned {
    let unit = shared.random.unit();
    let whole = |index| number_arg(args, index, "random").map(|n| n as i64 as i32);
    let (low, high) = match args.len() {
        0 => return one(Value::Number(unit)),
        1 => (1, whole(0)?),
        2 => (whole(0)?, whole(1)?),
        _ => return Err(Raised::at("wrong number of arguments")),
    };
    if low > high {
        return Err(Raised::argument(args.len(), "random", "interval is empty"));
    }
    let span = f64::from(high) - f64::from(low) + 1.0;
    one(Value::Number((unit * span).floor() + f64::from(low)))
}
