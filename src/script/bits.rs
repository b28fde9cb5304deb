//! The `bit` library: 32-bit operations on Lua's numbers, results signed. Source: the semantics of Lua BitOp,
//! <https://bitop.luajit.org/semantics.html>.

use super::native::{Raised, Returned, native, number_arg, one, string};
use mlua::{Lua, MultiValue, Result, Table, Value};

/// The low 32 bits of a number, rounded to the nearest whole one.
fn low_bits(n: f64) -> i32 {
    if !n.is_finite() {
        return 0;
    }
    n.round_ties_even().rem_euclid(4_294_967_296.0) as u64 as u32 as i32
}

fn arg(args: &MultiValue, index: usize, function: &str) -> std::result::Result<i32, Raised> {
    number_arg(args, index, function).map(low_bits)
}

fn number(n: i32) -> Returned {
    one(Value::Number(f64::from(n)))
}

/// The library's table.
pub(super) fn library(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    type Unary = (&'static str, fn(i32) -> i32);
    let unary: [Unary; 3] = [("tobit", |n| n), ("bnot", |n| !n), ("bswap", i32::swap_bytes)];
    for (name, f) in unary {
        table.set(name, native(lua, move |_, args| number(f(arg(args, 0, name)?)))?)?;
    }
    type Binary = (&'static str, fn(i32, i32) -> i32);
    let folds: [Binary; 3] = [("band", |a, b| a & b), ("bor", |a, b| a | b), ("bxor", |a, b| a ^ b)];
    for (name, f) in folds {
        let fold = move |_: &Lua, args: &MultiValue| {
            let mut result = arg(args, 0, name)?;
            for index in 1..args.len() {
                result = f(result, arg(args, index, name)?);
            }
            number(result)
        };
        table.set(name, native(lua, fold)?)?;
    }
    let shifts: [Binary; 5] = [
        ("lshift", |a, by| ((a as u32) << (by & 31)) as i32),
        ("rshift", |a, by| ((a as u32) >> (by & 31)) as i32),
        ("arshift", |a, by| a >> (by & 31)),
        ("rol", |a, by| a.rotate_left(by as u32 & 31)),
        ("ror", |a, by| a.rotate_right(by as u32 & 31)),
    ];
    for (name, f) in shifts {
        table.set(name, native(lua, move |_, args| number(f(arg(args, 0, name)?, arg(args, 1, name)?)))?)?;
    }
    table.set("tohex", native(lua, to_hex)?)?;
    Ok(table)
}

/// Hexadecimal digits: the lowest 8, or as many as asked for; upper case if that number is negative.
fn to_hex(lua: &Lua, args: &MultiValue) -> Returned {
    let bits = arg(args, 0, "tohex")? as u32;
    let digits = if args.len() > 1 { arg(args, 1, "tohex")? } else { 8 };
    let text = if digits < 0 { format!("{bits:08X}") } else { format!("{bits:08x}") };
    let count = digits.unsigned_abs().min(8) as usize;
    one(string(lua, &text.as_bytes()[8 - count..])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_become_bits_as_documented() {
        let cases = [(0.0, 0), (4_294_967_295.0, -1), (-1.0, -1), (2_147_483_648.0, i32::MIN), (1.5, 2), (0.5, 0)];
        for (n, bits) in cases {
            assert_eq!(low_bits(n), bits, "{n}");
        }
        assert_eq!(low_bits(f64::NAN), 0);
    }
}
