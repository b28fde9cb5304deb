//! The `redis` table: what scripts call beside commands.

use super::header::{BAD_NAME, flags, is_name};
use super::interpreter::{Shared, number_word};
use super::native::{Raised, Returned, native, number_text, one, string, tagged};
use crate::base::{float, number, version};
use crate::resp::{OwnedArgv, Proto};
use mlua::{Function, Lua, MultiValue, Result, Table, Value};
use sha1::{Digest, Sha1};
use std::rc::Rc;

/// Where effects go: names and bits.
const EFFECTS: &[(&str, u8)] =
    &[("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];
/// Levels of the log.
const LEVELS: &[(&str, u8)] = &[("LOG_DEBUG", 0), ("LOG_VERBOSE", 1), ("LOG_NOTICE", 2), ("LOG_WARNING", 3)];

/// A function that a library has registered.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    /// Its name.
    pub name: Vec<u8>,
    /// Its number among the compiled ones.
    pub body: i64,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// Bits of `flags`.
    pub flags: u32,
}

/// The table while scripts run.
pub(super) fn at_run(
    lua: &Lua,
    shared: &Rc<Shared>,
    calls: (Function, Function),
    for_functions: bool,
) -> Result<Table> {
    let table = common(lua, shared)?;
    let (call, pcall) = calls;
    table.set("call", call)?;
    table.set("pcall", pcall)?;
    table.set("error_reply", native(lua, error_reply)?)?;
    table.set("status_reply", native(lua, status_reply)?)?;
    table.set("sha1hex", native(lua, sha1hex)?)?;
    for (name, bits) in EFFECTS {
        table.set(*name, *bits)?;
    }
    let of = Rc::clone(shared);
    table.set("setresp", native(lua, move |_, args| set_resp(&of, args))?)?;
    let of = Rc::clone(shared);
    table.set("set_repl", native(lua, move |_, args| set_effects(&of, args))?)?;
    let of = Rc::clone(shared);
    table.set("acl_check_cmd", native(lua, move |_, args| acl_check(&of, args))?)?;
    if !for_functions {
        table.set("replicate_commands", native(lua, |_, _| one(Value::Boolean(true)))?)?;
        // There is no debugger: these find none attached.
        table.set("breakpoint", native(lua, |_, _| one(Value::Boolean(false)))?)?;
        table.set("debug", native(lua, |_, _| Ok(MultiValue::new()))?)?;
    }
    Ok(table)
}

/// The table while a library is loaded.
pub(super) fn at_load(lua: &Lua, shared: &Rc<Shared>) -> Result<Table> {
    let table = common(lua, shared)?;
    let of = Rc::clone(shared);
    table.set("register_function", native(lua, move |_, args| register(&of, args))?)?;
    Ok(table)
}

fn common(lua: &Lua, shared: &Rc<Shared>) -> Result<Table> {
    let table = lua.create_table()?;
    table.set("REDIS_VERSION", version::REDIS)?;
    table.set("REDIS_VERSION_NUM", version_number())?;
    for (name, level) in LEVELS {
        table.set(*name, *level)?;
    }
    let of = Rc::clone(shared);
    table.set("log", native(lua, move |_, args| log(&of, args))?)?;
    Ok(table)
}

/// The version as `0x00MMmmpp`.
fn version_number() -> u32 {
    let part = |n: usize| version::REDIS.split('.').nth(n).and_then(|part| part.parse::<u32>().ok()).unwrap_or(0);
    (part(0) << 16) | (part(1) << 8) | part(2)
}

/// An argument's text, if it has one.
fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(n) => Some(number_text(*n as f64)),
        Value::Number(n) => Some(number_text(*n)),
        _ => None,
    }
}

fn whole(value: Option<&Value>) -> Option<i64> {
    match value {
        Some(Value::Integer(n)) => Some(*n),
        Some(Value::Number(n)) => Some(*n as i64),
        Some(Value::String(text)) => number::parse_i64(&text.as_bytes()),
        _ => None,
    }
}

fn error_reply(lua: &Lua, args: &MultiValue) -> Returned {
    let (Some(Value::String(text)), 1) = (args.front(), args.len()) else {
        return one(tagged(lua, "err", b"ERR wrong number or type of arguments")?);
    };
    let text = text.as_bytes();
    let trimmed = |text: &[u8]| -> Vec<u8> {
        let end = text.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let start = text.iter().position(|b| !matches!(b, b'\r' | b'\n')).unwrap_or(end).min(end);
        text[start..end].to_vec()
    };
    // A text of one word has no code before it.
    let text = text.strip_prefix(b"-").unwrap_or(&text);
    let text = if text.contains(&b' ') { trimmed(text) } else { [&b"ERR "[..], &trimmed(text)].concat() };
    one(tagged(lua, "err", &text)?)
}

fn status_reply(lua: &Lua, args: &MultiValue) -> Returned {
    match (args.front(), args.len()) {
        (Some(Value::String(text)), 1) => one(tagged(lua, "ok", &text.as_bytes())?),
        _ => one(tagged(lua, "err", b"ERR wrong number or type of arguments")?),
    }
}

/// SHA-1 in hexadecimal digits.
pub(super) fn sha1_hex(bytes: &[u8]) -> [u8; 40] {
    let digest = Sha1::digest(bytes);
    let mut hex = [0; 40];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest.iter()) {
        pair[0] = b"0123456789abcdef"[usize::from(byte >> 4)];
        pair[1] = b"0123456789abcdef"[usize::from(byte & 15)];
    }
    hex
}

fn sha1hex(lua: &Lua, args: &MultiValue) -> Returned {
    if args.len() != 1 {
        return Err(Raised::Reply("ERR wrong number of arguments".to_owned()));
    }
    let bytes = args.front().and_then(text).unwrap_or_default();
    one(string(lua, &sha1_hex(&bytes))?)
}

fn log(shared: &Shared, args: &MultiValue) -> Returned {
    if args.len() < 2 {
        return Err(Raised::Reply("ERR redis.log() requires two arguments or more.".to_owned()));
    }
    let Some(Value::Integer(_) | Value::Number(_)) = args.front() else {
        return Err(Raised::Reply("ERR First argument must be a number (log level).".to_owned()));
    };
    let level = whole(args.front()).and_then(|level| u8::try_from(level).ok()).filter(|level| *level <= 3);
    let Some(level) = level else { return Err(Raised::Reply("ERR Invalid debug level.".to_owned())) };
    let words: Vec<Vec<u8>> = args.iter().skip(1).filter_map(text).collect();
    shared.host.borrow(|host| host.log(level, &words.join(&b' ')));
    Ok(MultiValue::new())
}

fn set_resp(shared: &Shared, args: &MultiValue) -> Returned {
    if args.len() != 1 {
        return Err(Raised::Reply("ERR redis.setresp() requires one argument.".to_owned()));
    }
    let proto = match whole(args.front()) {
        Some(2) => Proto::Resp2,
        Some(3) => Proto::Resp3,
        _ => return Err(Raised::Reply("ERR RESP version must be 2 or 3.".to_owned())),
    };
    shared.proto.set(proto);
    Ok(MultiValue::new())
}

fn set_effects(shared: &Shared, args: &MultiValue) -> Returned {
    if args.len() != 1 {
        return Err(Raised::Reply("ERR redis.set_repl() requires two arguments.".to_owned()));
    }
    let mask = whole(args.front()).and_then(|mask| u8::try_from(mask).ok()).filter(|mask| *mask <= 3);
    let Some(mask) = mask else {
        let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.";
        return Err(Raised::Reply(text.to_owned()));
    };
    shared.host.borrow(|host| host.set_effects(mask));
    Ok(MultiValue::new())
}

fn acl_check(shared: &Shared, args: &MultiValue) -> Returned {
    if args.is_empty() {
        return Err(Raised::Reply("ERR Please specify at least one argument for this redis lib call".to_owned()));
    }
    let mut words = OwnedArgv::default();
    let mut texts = (number::IntBuffer::new(), float::Buffer::new());
    for value in args.iter() {
        match value {
            Value::String(text) => words.push(&text.as_bytes()),
            Value::Integer(n) => words.push(number_word(*n as f64, &mut texts)),
            Value::Number(n) => words.push(number_word(*n, &mut texts)),
            _ => {
                let text = "ERR Lua redis lib command arguments must be strings or integers";
                return Err(Raised::Reply(text.to_owned()));
            }
        }
    }
    match shared.host.borrow(|host| host.permits(words.argv())).flatten() {
        Some(permitted) => one(Value::Boolean(permitted)),
        None => Err(Raised::Reply("ERR Invalid command passed to redis.acl_check_cmd()".to_owned())),
    }
}

fn register(shared: &Shared, args: &MultiValue) -> Returned {
    let refuse = |text: &str| Err(Raised::Reply(format!("ERR {text}")));
    let mut function = Registered { name: Vec::new(), body: 0, description: None, flags: 0 };
    let body = match (args.front(), args.get(1), args.len()) {
        (Some(Value::Table(table)), None, 1) => named_arguments(table, &mut function)?,
        (_, _, 1) => {
            return refuse(
                "calling redis.register_function with a single argument is only applicable to Lua table \
                 (representing named arguments).",
            );
        }
        (Some(name), Some(body), 2) => {
            let Some(name) = text(name) else {
                return refuse("first argument to redis.register_function must be a string");
            };
            function.name = name;
            let Value::Function(body) = body else {
                return refuse("second argument to redis.register_function must be a function");
            };
            body.clone()
        }
        _ => return refuse("wrong number of arguments to redis.register_function"),
    };
    let mut registering = shared.registering.borrow_mut();
    let Some(list) = registering.as_mut() else {
        return refuse("redis.register_function can only be called on FUNCTION LOAD command");
    };
    if !is_name(&function.name) {
        return refuse(BAD_NAME);
    }
    if list.iter().any(|other| other.name == function.name) {
        return refuse("Function already exists in the library");
    }
    function.body = shared.keep(&body)?;
    list.push(function);
    Ok(MultiValue::new())
}

fn named_arguments(table: &Table, function: &mut Registered) -> std::result::Result<Function, Raised> {
    let refuse = |text: &str| Raised::Reply(format!("ERR {text}"));
    let (mut body, mut name) = (None, None);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = key else {
            return Err(refuse("named argument key given to redis.register_function is not a string"));
        };
        match &*key.as_bytes() {
            b"function_name" => {
                let given = text(&value);
                name = Some(given.ok_or_else(|| {
                    refuse("function_name argument given to redis.register_function must be a string")
                })?);
            }
            b"description" => {
                let given = text(&value);
                function.description =
                    Some(given.ok_or_else(|| {
                        refuse("description argument given to redis.register_function must be a string")
                    })?);
            }
            b"callback" => match value {
                Value::Function(f) => body = Some(f),
                _ => return Err(refuse("callback argument given to redis.register_function must be a function")),
            },
            b"flags" => match value {
                Value::Table(list) => function.flags = declared(&list)?,
                _ => {
                    return Err(refuse(
                        "flags argument to redis.register_function must be a table representing function flags",
                    ));
                }
            },
            _ => return Err(refuse("unknown argument given to redis.register_function")),
        }
    }
    function.name = name.ok_or_else(|| refuse("redis.register_function must get a function name argument"))?;
    body.ok_or_else(|| refuse("redis.register_function must get a callback argument"))
}

fn declared(list: &Table) -> std::result::Result<u32, Raised> {
    let mut bits = 0;
    for value in list.clone().sequence_values::<Value>() {
        let Value::String(word) = value? else { return Err(Raised::Reply("ERR unknown flag given".to_owned())) };
        bits |= flags::of(&word.as_bytes()).ok_or_else(|| Raised::Reply("ERR unknown flag given".to_owned()))?;
    }
    Ok(bits)
}
