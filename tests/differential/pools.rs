//! The values that commands are made of: few keys and members so that things meet, and the borders of every kind of number.
//! Knows no command. Invariant: a time is either in the past or at least an hour away, and two relative times are never
//! close, so that no reply depends on the millisecond at which a server reads it.

use super::support::random::Random;

/// Draws a value.
pub type Pool = fn(&mut Random) -> Vec<u8>;

/// Keys whose values sorted sets with one score for all have: ranges by name are defined there only.
const LEX_KEYS: usize = 3;
/// Databases that commands move among.
pub const DBS: i64 = 3;

/// Names in forms, and what they draw.
const POOLS: &[(&str, Pool)] = &[
    ("any", any_key),
    ("str", |r| key(r, "s", 4)),
    ("num", |r| key(r, "n", 3)),
    ("list", |r| key(r, "l", 3)),
    ("set", |r| key(r, "t", 4)),
    ("hash", |r| key(r, "h", 3)),
    ("zset", |r| key(r, "z", 4)),
    ("lex", |r| lex_key(r)),
    ("zs", |r| if r.chance(80) { key(r, "z", 4) } else { key(r, "t", 4) }),
    ("none", |r| format!("none{}", r.below(3)).into_bytes()),
    ("v", value),
    ("lv", |r| if r.chance(90) { member(r) } else { value(r) }),
    ("m", member),
    ("wide", |r| if r.chance(50) { format!("m{}", r.below(300)) } else { r.below(300).to_string() }.into_bytes()),
    ("i", small_or_border),
    ("int", small_or_border),
    ("wideint", |r| r.between(-40_000, 40_000).to_string().into_bytes()),
    ("float", float),
    ("idx", index),
    ("cnt", |r| text(r, &["0", "1", "2", "3", "5", "10", "100", "-1", "1000000"], 97)),
    ("pcnt", |r| text(r, &["1", "2", "3", "5", "10"], 97)),
    ("ncnt", |r| text(r, &["0", "1", "2", "3", "-1", "-2", "-3", "100", "-100"], 97)),
    ("off", |r| text(r, &["0", "1", "3", "10", "44", "100", "1000", "-1", "536870912", "9223372036854775807"], 98)),
    ("sec", |r| time(r, 1_000_000, 1_000_000_000, 1)),
    ("ms", |r| time(r, 1_000_000_000, 1_000_000_000_000, 1)),
    ("at", |r| time(r, 2_000_000_000, 2_000_000_006, 1)),
    ("atms", |r| time(r, 2_000_000_000_000, 2_000_000_006_000, 1000)),
    ("score", score),
    ("exact", |r| quarter(r)),
    ("smin", score_bound),
    ("smax", score_bound),
    ("lmin", lex_bound),
    ("lmax", lex_bound),
    ("w", |r| text(r, &["1", "2", "0", "-1", "0.5", "3", "inf"], 97)),
    ("db", |r| {
        if r.chance(96) { r.below(DBS as usize).to_string() } else { ["15", "16", "-1", "x"][r.below(4)].into() }.into()
    }),
    ("pat", |r| text(r, &["*", "?", "m*", "m1?", "[a-c]", "[^a]", "*1*", "s*", "[lz]?", "\\*", "", "[", "a\\"], 100)),
    ("scancnt", |r| text(r, &["5000", "100000"], 95)),
    ("type", |r| text(r, &["string", "list", "set", "zset", "hash", "stream", "STRING", "nonsense"], 100)),
    ("sortby", |r| text(r, &["s*", "n*", "h*->f1", "h*->a", "w*"], 100)),
    ("sortget", |r| text(r, &["#", "s*", "n*", "h*->f1", "h*->a", "none"], 100)),
    ("entries", |r| text(r, &["0", "1", "3", "8", "16", "128", "512"], 100)),
    ("bytes", |r| text(r, &["0", "8", "16", "64", "1000"], 100)),
    ("listsize", |r| text(r, &["-1", "-2", "-5", "1", "2", "5", "128"], 100)),
    ("junk", junk),
    ("name", |r| text(r, &["alice", "bob", "", "with space", "line\nbreak", "~tilde~", "\u{e4}"], 100)),
];

/// The pool of that name; a name nobody defined is our mistake.
pub fn named(name: &str) -> Pool {
    POOLS
        .iter()
        .chain(super::forms_bits::POOLS)
        .chain(super::forms_geo::POOLS)
        .chain(super::streams::POOLS)
        .chain(super::forms_scripts::POOLS)
        .find(|(n, _)| *n == name)
        .unwrap_or_else(|| panic!("no pool <{name}>"))
        .1
}

/// What stands where something else should. No small positive number: it would be a time close to now.
pub fn junk(random: &mut Random) -> Vec<u8> {
    const JUNK: &[&[u8]] = &[
        b"",
        b"x",
        b"1.5e",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"-9223372036854775808",
        b"+1",
        b" 1",
        b"1 ",
        b"0x10",
        b"nan",
        b"NaN",
        b"-nan",
        b"infinity",
        b"1e400",
        b"-0",
        b"00",
        b"-1",
        b"0",
        b"1\x01",
        b"NX",
        b"LIMIT",
        b"count",
        b"\xff\xfe",
        b"1e5",
        b".5",
        b"99999999999999999999999999",
        b"(1",
        b"[a",
    ];
    random.pick(JUNK).to_vec()
}

fn text(random: &mut Random, from: &[&str], percent: usize) -> Vec<u8> {
    if random.chance(percent) { random.pick(from).as_bytes().to_vec() } else { junk(random) }
}

fn key(random: &mut Random, kind: &str, count: usize) -> Vec<u8> {
    if random.chance(96) { format!("{kind}{}", random.below(count)).into_bytes() } else { any_key(random) }
}

pub fn any_key(random: &mut Random) -> Vec<u8> {
    const ODD: &[&[u8]] = &[b"", b"k\r\n\0\xff", b"{tag}a", b"12345", b"none0", b"none1", b"-7", b"a key with blanks"];
    const KINDS: &[(&str, usize)] = &[("s", 4), ("n", 3), ("l", 3), ("t", 4), ("h", 3), ("z", 4), ("e", 3)];
    match random.below(20) {
        0 => random.pick(ODD).to_vec(),
        1 => vec![b'k'; 100],
        _ => {
            let (kind, count) = *random.pick(KINDS);
            format!("{kind}{}", random.below(count)).into_bytes()
        }
    }
}

fn lex_key(random: &mut Random) -> Vec<u8> {
    if random.chance(97) {
        format!("x{}", random.below(LEX_KEYS)).into_bytes()
    } else {
        format!("none{}", random.below(2)).into_bytes()
    }
}

/// No NUL: SORT ALPHA of the reference compares C strings, so two that differ after one tie, and ties have no order.
fn member(random: &mut Random) -> Vec<u8> {
    const FEW: &[&[u8]] = &[
        b"a",
        b"b",
        b"c",
        b"d",
        b"e",
        b"f",
        b"f1",
        b"0",
        b"1",
        b"2",
        b"3",
        b"-1",
        b"10",
        b"127",
        b"128",
        b"40000",
        b"5000000000",
    ];
    const ODD: &[&[u8]] =
        &[b"", b"a\x01", b"A", b"01", b"-0", b"\r\n", b"\xff", b"9223372036854775807", b"-9223372036854775808", b"1.5"];
    match random.below(40) {
        0..=2 => random.pick(ODD).to_vec(),
        3 => vec![b'y'; 64],
        4 => vec![b'y'; 65],
        5 => vec![b'm'; 300],
        _ => random.pick(FEW).to_vec(),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(24) {
        0..=5 => member(random),
        6..=8 => small_or_border(random),
        9 => float(random),
        10 => Vec::new(),
        11 => vec![b'e'; 44],
        12 => vec![b'r'; 45],
        13 => b"binary\0\r\n\xff\x80".to_vec(),
        14 => vec![b'v'; random.below(300)],
        15 if random.chance(20) => vec![b'B'; 20_000 + random.below(100)],
        16 => random.between(-100_000, 100_000).to_string().into_bytes(),
        _ => format!("value-{}", random.below(20)).into_bytes(),
    }
}

fn small_or_border(random: &mut Random) -> Vec<u8> {
    const BORDER: &[&str] = &[
        "9223372036854775807",
        "9223372036854775806",
        "-9223372036854775808",
        "-9223372036854775807",
        "2147483647",
        "-2147483648",
        "32767",
        "32768",
        "-32768",
        "-32769",
        "9999",
        "10000",
        "127",
        "-128",
        "4294967296",
    ];
    match random.below(12) {
        0 => random.pick(BORDER).as_bytes().to_vec(),
        1 if random.chance(30) => junk(random),
        _ => random.between(-3, 20).to_string().into_bytes(),
    }
}

fn float(random: &mut Random) -> Vec<u8> {
    const FLOATS: &[&str] = &[
        "0.1",
        "-0.1",
        "1.5",
        "3",
        "-2.25",
        "1e3",
        "1.0e-5",
        "5.0e3",
        "100000000000000000000",
        "0.00000000000000001",
        "-0",
        "3.14159",
        "1e17",
        "1e-10",
        "12345.6789",
        "0.3",
        "+1.5",
        "1.7976931348623157e308",
        "inf",
        "-inf",
    ];
    text(random, FLOATS, 96)
}

fn index(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => random
            .pick(&["9223372036854775807", "-9223372036854775808", "4294967296", "-4294967296"])
            .as_bytes()
            .to_vec(),
        1 if random.chance(30) => junk(random),
        _ => random.between(-12, 12).to_string().into_bytes(),
    }
}

/// A time: far away in most cases, seldom past, refused or no number.
fn time(random: &mut Random, low: i64, high: i64, step: i64) -> Vec<u8> {
    match random.below(20) {
        0 => random
            .pick(&["-1", "0", "-1000", "9223372036854775807", "-9223372036854775808", "9223372036854775"])
            .as_bytes()
            .to_vec(),
        1 if random.chance(30) => junk(random),
        _ => (low + step * random.between(0, (high - low) / step)).to_string().into_bytes(),
    }
}

/// A number whose sums are exact in any order.
fn quarter(random: &mut Random) -> Vec<u8> {
    let quarters = random.between(-12, 40);
    (quarters as f64 / 4.0).to_string().into_bytes()
}

fn score(random: &mut Random) -> Vec<u8> {
    const ODD: &[&str] = &[
        "inf",
        "-inf",
        "+inf",
        "0.1",
        "1e10",
        "-0",
        "1e300",
        "9007199254740993",
        "3.0",
        "1e-7",
        "123456789.123",
        "1e21",
        "1e17",
        "0.30000000000000004",
        "5e-324",
        "1.7976931348623157e308",
        "-1e22",
    ];
    match random.below(10) {
        0 => random.pick(ODD).as_bytes().to_vec(),
        1 if random.chance(20) => junk(random),
        _ => quarter(random),
    }
}

fn score_bound(random: &mut Random) -> Vec<u8> {
    let mut bound = if random.chance(25) { b"(".to_vec() } else { Vec::new() };
    let tail: Vec<u8> = match random.below(8) {
        0 => b"-inf".to_vec(),
        1 => b"+inf".to_vec(),
        2 if random.chance(30) => junk(random),
        _ => quarter(random),
    };
    bound.extend(tail);
    bound
}

fn lex_bound(random: &mut Random) -> Vec<u8> {
    match random.below(10) {
        0 => b"-".to_vec(),
        1 => b"+".to_vec(),
        2 if random.chance(50) => junk(random),
        n => {
            let mut bound = if n < 6 { b"(".to_vec() } else { b"[".to_vec() };
            bound.extend(member(random));
            bound
        }
    }
}
