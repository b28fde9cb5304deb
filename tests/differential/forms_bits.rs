//! Forms and values of bitmaps and HyperLogLogs. Knows no server.

use super::check::Check::*;
use super::forms::{Form, form};
use super::pools::{Pool, junk};
use super::support::random::Random;

/// Values that only these forms draw.
pub const POOLS: &[(&str, Pool)] = &[
    ("bits", |r| format!("b{}", r.below(4)).into_bytes()),
    ("bit", |r| pick(r, &["0", "1", "1", "2", "-1"], 95)),
    (
        "bitoff",
        |r| if r.chance(97) { r.below(3000).to_string().into_bytes() } else { pick(r, &["-1", "4294967296"], 80) },
    ),
    ("bitidx", |r| if r.chance(50) { r.between(-400, 400) } else { r.between(-40, 40) }.to_string().into_bytes()),
    ("width", width),
    ("field", |r| format!("{}{}", if r.chance(30) { "#" } else { "" }, r.below(150)).into_bytes()),
    ("bitval", |r| match r.below(4) {
        0 => (r.next() as i64).to_string().into_bytes(),
        1 => pick(r, &["9223372036854775807", "-9223372036854775808", "0", "1", "-1"], 97),
        _ => r.between(-300, 300).to_string().into_bytes(),
    }),
    ("hll", |r| if r.chance(98) { format!("p{}", r.below(4)) } else { format!("s{}", r.below(4)) }.into_bytes()),
    ("el", |r| {
        let names = *r.pick(&[30, 1000, 1 << 40]);
        r.below(names).to_string().into_bytes()
    }),
];

pub const BITS: &[Form] = &[
    form(20, Exact, "setbit <bits> <bitoff> <bit>"),
    form(8, Exact, "getbit <bits> <bitoff>"),
    form(12, Exact, "bitcount <bits> [<bitidx> <bitidx> [byte|bit]]"),
    form(14, Exact, "bitpos <bits> <bit> [<bitidx> [<bitidx> [byte|bit]]]"),
    form(10, Exact, "bitop (and|or|xor|nonsense) <bits> +(<bits>)"),
    form(4, Exact, "bitop not <bits> <bits>"),
    form(8, Exact, "bitfield <bits> +(get <width> <field>)"),
    form(14, Exact, "bitfield <bits> [overflow (wrap|sat|fail)] +(set <width> <field> <bitval>)"),
    form(14, Exact, "bitfield <bits> [overflow (wrap|sat|fail)] +(incrby <width> <field> <bitval>)"),
    form(
        6,
        Exact,
        "bitfield <bits> set <width> <field> <bitval> overflow (sat|fail|nonsense) incrby <width> <field> <bitval>",
    ),
    form(4, Exact, "bitfield_ro <bits> +(get <width> <field>)"),
    form(1, Exact, "bitfield_ro <bits> (set|incrby|get) <width> <field> [<bitval>]"),
    form(6, Exact, "get <bits>"),
    form(2, Exact, "setrange <bits> <off> <v>"),
    form(1, Exact, "set <bits> (<v>|<int>)"),
    form(1, Exact, "del <bits>"),
];

pub const HLLS: &[Form] = &[
    form(30, Exact, "pfadd <hll> +(<el>)"),
    form(6, Exact, "pfadd <hll> *(<el>)"),
    form(10, Exact, "pfcount +(<hll>)"),
    form(8, Exact, "pfmerge <hll> +(<hll>)"),
    form(20, Exact, "get <hll>"),
    form(4, Exact, "pfdebug (decode|encoding|nonsense) <hll>"),
    form(1, Exact, "pfdebug (todense|getreg) <hll>"),
    form(1, Exact, "setrange <hll> (0|4|8|15) x"),
    form(2, Exact, "del <hll>"),
];

fn pick(random: &mut Random, from: &[&str], percent: usize) -> Vec<u8> {
    if random.chance(percent) { random.pick(from).as_bytes().to_vec() } else { junk(random) }
}

fn width(random: &mut Random) -> Vec<u8> {
    let sign = if random.chance(50) { 'i' } else { 'u' };
    if random.chance(97) {
        format!("{sign}{}", 1 + random.below(64)).into_bytes()
    } else {
        pick(random, &["u0", "i65", "x8", "I8"], 90)
    }
}
