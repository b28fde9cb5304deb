//! What a script returns, as a reply.

use crate::resp::{Proto, Reply};
use mlua::{Table, Value};

/// Deepest nesting of tables that is replied; a table that holds itself would have no end.
const MAX_DEPTH: u32 = 512;

/// Told of each error that is replied: its text, and whether it was counted already.
type OnError<'a> = &'a mut dyn FnMut(&[u8], bool);

/// Writes a value. `proto`: the version that the script chose, which decides what a boolean is.
pub fn write_value(reply: &mut Reply<'_>, value: &Value, proto: Proto, on_error: OnError<'_>) {
    write(reply, value, proto, MAX_DEPTH, on_error);
}

fn write(reply: &mut Reply<'_>, value: &Value, proto: Proto, depth: u32, on_error: OnError<'_>) {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(n) => reply.int(*n),
        Value::Number(n) => reply.int(*n as i64),
        Value::Boolean(yes) if proto == Proto::Resp3 => reply.bool(*yes),
        Value::Boolean(true) => reply.int(1),
        Value::Table(table) => write_table(reply, table, proto, depth, on_error),
        _ => reply.null(),
    }
}

/// A field that gives a table its meaning.
fn field(table: &Table, name: &str) -> Value {
    table.raw_get(name).unwrap_or(Value::Nil)
}

/// A text in one line of the protocol.
fn push_line(reply: &mut Reply<'_>, kind: u8, text: &[u8]) {
    let tail = reply.outbox().tail();
    tail.push(kind);
    tail.extend(text.iter().map(|&byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    tail.extend_from_slice(b"\r\n");
}

fn write_table(reply: &mut Reply<'_>, table: &Table, proto: Proto, depth: u32, on_error: OnError<'_>) {
    if depth == 0 {
        return reply.error("ERR reached lua stack limit");
    }
    if let Value::String(text) = field(table, "err") {
        let counted = matches!(field(table, "ignore_error_stats_update"), Value::Boolean(true));
        on_error(&text.as_bytes(), counted);
        return reply.error_bytes(&text.as_bytes());
    }
    if let Value::String(text) = field(table, "ok") {
        return push_line(reply, b'+', &text.as_bytes());
    }
    match field(table, "double") {
        Value::Number(x) => return reply.double(x),
        Value::Integer(n) => return reply.double(n as f64),
        _ => {}
    }
    if let Value::Table(map) = field(table, "map") {
        return write_pairs(reply, &map, true, proto, depth, on_error);
    }
    if let Value::Table(set) = field(table, "set") {
        return write_pairs(reply, &set, false, proto, depth, on_error);
    }
    if let Value::String(digits) = field(table, "big_number") {
        let digits: Vec<u8> =
            digits.as_bytes().iter().map(|&b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }).collect();
        return reply.big_number(&digits);
    }
    if let Value::Table(verbatim) = field(table, "verbatim_string") {
        if let (Value::String(text), Value::String(format)) = (field(&verbatim, "string"), field(&verbatim, "format")) {
            let mut name = *b"   ";
            for (to, from) in name.iter_mut().zip(format.as_bytes().iter()) {
                *to = *from;
            }
            return reply.verbatim(std::str::from_utf8(&name).unwrap_or("txt"), &text.as_bytes());
        }
    }
    let at = reply.defer();
    let mut count = 0;
    loop {
        match table.raw_get::<Value>(count + 1) {
            Ok(Value::Nil) | Err(_) => break,
            Ok(value) => write(reply, &value, proto, depth - 1, on_error),
        }
        count += 1;
    }
    reply.fill_array(at, count);
}

/// A map, or (of the keys alone) a set.
fn write_pairs(reply: &mut Reply<'_>, table: &Table, is_map: bool, proto: Proto, depth: u32, on_error: OnError<'_>) {
    let at = reply.defer();
    let mut count = 0;
    let walked = table.for_each(|key: Value, value: Value| {
        write(reply, &key, proto, depth - 1, on_error);
        if is_map {
            write(reply, &value, proto, depth - 1, on_error);
        }
        count += 1;
        Ok(())
    });
    if let Err(error) = walked {
        log::warn!("A script's table could not be read: {error}");
    }
    if is_map { reply.fill_map(at, count) } else { reply.fill_set(at, count) }
}
