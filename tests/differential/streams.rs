//! The forms of streams. Ids are few and small, so that entries meet; ids of the clock are left out, for no two servers
//! make the same. Knows no server.

use super::check::Check::*;
use super::forms::{Form, form};
use super::pools::Pool;
use super::support::random::Random;

pub const STREAMS: &[Form] = &[
    form(40, Exact, "xadd <stream> [nomkstream] <newid> +(<m> <lv>)"),
    form(20, Exact, "xadd <stream> <newid> f1 <lv> f2 <lv>"),
    form(20, Exact, "xadd <stream> [maxlen [=|~] <cnt> [limit <cnt>]|minid [=|~] <sid> [limit <cnt>]] <newid> a <lv>"),
    form(3, Exact, "xadd <stream> {nomkstream|maxlen <ncnt>|maxlen ~ <cnt>|minid <sid>|limit <cnt>} <newid> +(<m>)"),
    form(8, Exact, "xtrim <stream> (maxlen|minid) [=|~] <cnt> [limit <cnt>]"),
    form(4, Exact, "xtrim <stream> minid [=|~] <sid> [limit <cnt>]"),
    form(6, Exact, "xlen (<stream>|<any>)"),
    form(14, Exact, "xdel <stream> +(<sid>)"),
    form(14, Exact, "xrange <stream> <from> <to> [count <ncnt>]"),
    form(14, Exact, "xrevrange <stream> <to> <from> [count <ncnt>]"),
    form(14, Exact, "xread {count <ncnt>} streams <stream> <sid>"),
    form(6, Exact, "xread {count <cnt>} streams <stream> <stream> (<sid>|$) <sid>"),
    form(2, Exact, "xread {count <cnt>|noack|group <xgroup> <consumer>} streams +(<stream>) +(<sid>)"),
    form(14, Exact, "xgroup create <stream> <xgroup> (<sid>|$|0|0|0) {mkstream|mkstream}"),
    form(6, Exact, "xgroup setid <stream> <xgroup> (<sid>|$|0|-|+)"),
    form(2, Exact, "xgroup destroy <stream> <xgroup>"),
    form(4, Kind, "xgroup createconsumer <stream> <xgroup> <consumer>"),
    form(4, Exact, "xgroup delconsumer <stream> <xgroup> <consumer>"),
    form(2, Exact, "xgroup (create|setid|destroy|nonsense) <stream> [<xgroup> [<sid>]]"),
    form(40, Exact, "xreadgroup group <xgroup> <consumer> {count <ncnt>|noack} streams <stream> >"),
    form(12, Exact, "xreadgroup group <xgroup> <consumer> {count <cnt>} streams <stream> <sid>"),
    form(4, Exact, "xreadgroup group <xgroup> <consumer> {count <cnt>|noack} streams <stream> <stream> > (>|<sid>|$)"),
    form(16, Exact, "xack <stream> <xgroup> +(<sid>)"),
    form(12, Pending, "xpending <stream> <xgroup> [<from> <to> <cnt> [<consumer>]]"),
    form(3, Pending, "xpending <stream> <xgroup> idle 1000000 <from> <to> <cnt> [<consumer>]"),
    form(
        16,
        Exact,
        "xclaim <stream> <xgroup> <consumer> 0 +(<sid>) {justid|force|time 1000|retrycount <cnt>|lastid <sid>}",
    ),
    form(4, Exact, "xclaim <stream> <xgroup> <consumer> 100000000 +(<sid>) {justid|force|idle 0|retrycount <cnt>}"),
    form(12, Exact, "xautoclaim <stream> <xgroup> <consumer> 0 <from> {count <cnt>|justid}"),
    form(8, Exact, "xinfo stream <stream>"),
    form(8, Groups, "xinfo groups <stream>"),
    form(2, Kind, "xinfo consumers <stream> <xgroup>"),
    form(2, Exact, "xsetid <stream> <bigid> [entriesadded 1000 maxdeletedid <sid>]"),
    form(1, Kind, "xinfo (groups|consumers|stream|nonsense) [<any>]"),
    form(2, Exact, "config set stream-node-max-entries (0|1|3|100) stream-node-max-bytes (0|4096|100)"),
    form(3, Exact, "(del|unlink) <stream>"),
    form(4, Exact, "copy <stream> <stream> replace"),
];

/// Names in forms, and what they draw.
pub const POOLS: &[(&str, Pool)] = &[
    ("stream", |r| if r.chance(97) { format!("e{}", r.below(3)).into_bytes() } else { super::pools::any_key(r) }),
    ("sid", id),
    ("newid", new_id),
    ("bigid", |r| format!("{}-{}", 1000 + r.below(1000), r.below(3)).into_bytes()),
    ("from", |r| if r.chance(40) { b"-".to_vec() } else { bound(r) }),
    ("to", |r| if r.chance(40) { b"+".to_vec() } else { bound(r) }),
    ("xgroup", |r| text(r, &["g1", "g2", ""])),
    ("consumer", |r| text(r, &["alice", "bob", "carol", ""])),
];

fn text(random: &mut Random, from: &[&str]) -> Vec<u8> {
    // The empty name is the last, and rare.
    let count = if random.chance(97) { from.len() - 1 } else { from.len() };
    from[random.below(count)].as_bytes().to_vec()
}

fn id(random: &mut Random) -> Vec<u8> {
    const ODD: &[&str] = &[
        "-",
        "+",
        "",
        "x",
        "1-",
        "-1",
        "1-x",
        "1-*",
        "0",
        "18446744073709551615-18446744073709551615",
        "007-01",
        "1-2-3",
    ];
    match random.below(30) {
        0 => random.pick(ODD).as_bytes().to_vec(),
        1..=5 => (1 + random.below(60)).to_string().into_bytes(),
        _ => format!("{}-{}", 1 + random.below(60), random.below(3)).into_bytes(),
    }
}

/// Mostly the next sequence number of a time that the stream has reached, else a later time.
fn new_id(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => id(random),
        1..=9 => format!("{}-*", 1 + random.below(60)).into_bytes(),
        _ => format!("{}-{}", 1 + random.below(60), random.below(30)).into_bytes(),
    }
}

fn bound(random: &mut Random) -> Vec<u8> {
    let mut bound = if random.chance(25) { b"(".to_vec() } else { Vec::new() };
    bound.extend(id(random));
    bound
}
