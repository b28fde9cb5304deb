//! Functions of ours that Lua calls: how they are made, and how they fail. An error is raised as the value that Lua code
//! expects to catch (a text with its place, or a table), never as an object of the binding.

use crate::sys::lua::raising;
use mlua::{Lua, MultiValue, Value};

/// Why a function failed.
pub(super) enum Raised {
    /// A text; the place of the call is put before it.
    At(Vec<u8>),
    /// A text as it is.
    Plain(Vec<u8>),
    /// An error reply: a table, as from `redis.error_reply`.
    Reply(String),
}

impl Raised {
    /// A text with its place.
    pub(super) fn at(text: impl Into<String>) -> Raised {
        Raised::At(text.into().into_bytes())
    }

    /// What Lua says of an argument it can't use. `index` counts from 1.
    pub(super) fn argument(index: usize, function: &str, text: &str) -> Raised {
        Raised::at(format!("bad argument #{index} to '{function}' ({text})"))
    }
}

impl From<mlua::Error> for Raised {
    fn from(error: mlua::Error) -> Raised {
        match error {
            mlua::Error::MemoryError(_) => Raised::Plain(b"not enough memory".to_vec()),
            other => Raised::at(other.to_string()),
        }
    }
}

/// What a function returns.
pub(super) type Returned = Result<MultiValue, Raised>;

/// One value.
pub(super) fn one(value: Value) -> Returned {
    Ok(MultiValue::from_iter([value]))
}

/// A string.
pub(super) fn string(lua: &Lua, bytes: &[u8]) -> Result<Value, Raised> {
    Ok(Value::String(lua.create_string(bytes)?))
}

/// `{name = text}`.
pub(super) fn tagged(lua: &Lua, name: &str, text: &[u8]) -> mlua::Result<Value> {
    let table = lua.create_table_with_capacity(0, 1)?;
    table.raw_set(name, lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// Where the function was called: `user_script:1: `, or nothing. `level`: 0 is the function that asks.
pub(super) fn place(lua: &Lua, level: usize) -> String {
    lua.inspect_stack(level, |debug| match (debug.source().short_src, debug.current_line()) {
        (Some(source), Some(line)) => format!("{source}:{line}: "),
        _ => String::new(),
    })
    .unwrap_or_default()
}

fn raised(lua: &Lua, error: Raised) -> mlua::Result<Value> {
    match error {
        // Below us are the function that raises, and the one that called it.
        Raised::At(text) => {
            let text = [place(lua, 2).as_bytes(), &text].concat();
            Ok(Value::String(lua.create_string(text)?))
        }
        Raised::Plain(text) => Ok(Value::String(lua.create_string(text)?)),
        Raised::Reply(text) => tagged(lua, "err", text.as_bytes()),
    }
}

/// A function for Lua.
pub(super) fn native(lua: &Lua, f: impl Fn(&Lua, &MultiValue) -> Returned + 'static) -> mlua::Result<Value> {
    let inner = lua.create_function(move |lua, args: MultiValue| {
        Ok(match f(lua, &args) {
            Ok(mut values) => {
                values.push_front(Value::Boolean(false));
                values
            }
            Err(error) => MultiValue::from_iter([Value::Boolean(true), raised(lua, error)?]),
        })
    })?;
    Ok(Value::Function(raising(lua, inner)?))
}

/// How Lua calls the kind of a value, `no value` for none.
pub(super) fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "no value",
        Some(Value::Nil) => "nil",
        Some(Value::Boolean(_)) => "boolean",
        Some(Value::Integer(_) | Value::Number(_)) => "number",
        Some(Value::String(_)) => "string",
        Some(Value::Table(_)) => "table",
        Some(Value::Function(_)) => "function",
        Some(Value::Thread(_)) => "thread",
        Some(_) => "userdata",
    }
}

/// Argument `index` (from 0) as a number; texts of numbers are numbers too.
pub(super) fn number_arg(args: &MultiValue, index: usize, function: &str) -> Result<f64, Raised> {
    match args.get(index) {
        Some(Value::Integer(n)) => Ok(*n as f64),
        Some(Value::Number(n)) => Ok(*n),
        Some(Value::String(text)) => number_of_text(&text.as_bytes())
            .ok_or_else(|| Raised::argument(index + 1, function, "number expected, got string")),
        other => Err(Raised::argument(index + 1, function, &format!("number expected, got {}", kind(other)))),
    }
}

/// A number as Lua reads it from a text: blanks around it are allowed.
pub(super) fn number_of_text(text: &[u8]) -> Option<f64> {
    crate::base::float::parse_double(text.trim_ascii())
}

/// Argument `index` (from 0) as bytes; numbers are texts too.
pub(super) fn bytes_arg(args: &MultiValue, index: usize, function: &str) -> Result<Vec<u8>, Raised> {
    match args.get(index) {
        Some(Value::String(text)) => Ok(text.as_bytes().to_vec()),
        Some(Value::Integer(n)) => Ok(number_text(*n as f64)),
        Some(Value::Number(n)) => Ok(number_text(*n)),
        other => Err(Raised::argument(index + 1, function, &format!("string expected, got {}", kind(other)))),
    }
}

/// A number as Lua shows it: C's `%.14g`.
pub(super) fn number_text(n: f64) -> Vec<u8> {
    number_text_of(n, 14)
}

/// A number in C's `%.<digits>g`.
pub(super) fn number_text_of(n: f64, digits: usize) -> Vec<u8> {
    if n.is_nan() {
        return if n.is_sign_negative() { b"-nan".to_vec() } else { b"nan".to_vec() };
    }
    if n.is_infinite() {
        return if n < 0.0 { b"-inf".to_vec() } else { b"inf".to_vec() };
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, n);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trim(mantissa), exponent.abs()).into_bytes();
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trim(&format!("{n:.decimals$}")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_by_c() {
        let cases = [(0.1, "0.1"), (1e15, "1e+15"), (123456.0, "123456"), (1e-5, "1e-05"), (3.0, "3"), (-0.0, "-0")];
        for (n, text) in cases {
            assert_eq!(String::from_utf8_lossy(&number_text(n)), text);
        }
        assert_eq!(number_text_of(0.1, 17), b"0.10000000000000001");
        assert_eq!(number_text_of(2f64.powi(53), 3), b"9.01e+15");
    }
}
