//! Places on the earth in sorted sets: the GEO commands. The rows and the small commands are here; the searches have a file.

mod search;

use super::error::CmdError;
use super::table::{Arg, Command, Find, KeySpec, acl, flag, key_flag as kf};
use super::zset::{AddWords, add};
use super::{Args, Ctx, Flow, Outcome};
use crate::base::{float, number};
use crate::resp::Reply;
use crate::types::geo::Point;
use crate::types::{AddOptions, ZSet};

const GEO: Command = Command { group: "geo", acl: acl::GEO, ..Command::BLANK };
const READ: &[KeySpec] = &[KeySpec::at(1, kf::RO | kf::ACCESS)];

/// A source at word 1, and a target behind each of two words from `from` on.
const fn stores(from: i32) -> [KeySpec; 3] {
    const ONE: Find = Find::Range { last: 0, step: 1, limit: 0 };
    const TARGET: u16 = kf::OW | kf::UPDATE | kf::INCOMPLETE;
    [
        KeySpec::at(1, kf::RO | kf::ACCESS),
        KeySpec::keyword("STORE", from, ONE, TARGET),
        KeySpec::keyword("STOREDIST", from, ONE, TARGET),
    ]
}

const STORE_BY_PLACE: &[KeySpec] = &stores(6);
const STORE_BY_MEMBER: &[KeySpec] = &stores(5);
const SEARCH_STORE: &[KeySpec] = &[KeySpec::at(1, kf::OW | kf::UPDATE), KeySpec::at(2, kf::RO | kf::ACCESS)];

const KEY: Arg = Arg::key("key");
const MEMBER: Arg = Arg::string("member");
const LON: Arg = Arg::double("longitude");
const LAT: Arg = Arg::double("latitude");
const RADIUS: Arg = Arg::double("radius");
const UNIT: Arg =
    Arg::one_of("unit", &[Arg::word("m", "M"), Arg::word("km", "KM"), Arg::word("ft", "FT"), Arg::word("mi", "MI")]);
const WITH_COORD: Arg = Arg::word("withcoord", "WITHCOORD").optional();
const WITH_DIST: Arg = Arg::word("withdist", "WITHDIST").optional();
const WITH_HASH: Arg = Arg::word("withhash", "WITHHASH").optional();
const COUNT: Arg =
    Arg::block("count-block", &[Arg::int("count").token("COUNT"), Arg::word("any", "ANY").optional().since("6.2.0")])
        .optional();
const COUNT_OF_SEARCH: Arg =
    Arg::block("count-block", &[Arg::int("count").token("COUNT"), Arg::word("any", "ANY").optional()]).optional();
const ORDER: Arg = Arg::one_of("order", &[Arg::word("asc", "ASC"), Arg::word("desc", "DESC")]).optional();
const STORE: Arg = Arg::one_of(
    "store",
    &[Arg::key("storekey").token("STORE").spec(1), Arg::key("storedistkey").token("STOREDIST").spec(2)],
)
.optional();
const FROM: Arg =
    Arg::one_of("from", &[MEMBER.token("FROMMEMBER"), Arg::block("fromlonlat", &[LON, LAT]).token("FROMLONLAT")]);
const BY: Arg = Arg::one_of(
    "by",
    &[
        Arg::block("circle", &[RADIUS.token("BYRADIUS"), UNIT]),
        Arg::block("box", &[Arg::double("width").token("BYBOX"), Arg::double("height"), UNIT]),
    ],
);
const RADIUS_COST: &str = "O(N+log(M)), N the members in the squares about the circle, M the members";
const SEARCH_COST: &str = "O(N+log(M)), N the members in the squares about the shape, M the members";

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "geoadd",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: &[KeySpec::at(1, kf::RW | kf::UPDATE)],
        member: 4,
        args: &[
            KEY,
            Arg::one_of("condition", &[Arg::word("nx", "NX"), Arg::word("xx", "XX")]).optional().since("6.2.0"),
            Arg::word("change", "CH").optional().since("6.2.0"),
            Arg::block("data", &[LON, LAT, MEMBER]).multiple(),
        ],
        since: "3.2.0",
        complexity: "O(log(N)) for each member",
        summary: "Adds members with their places, or moves them; replies how many are new.",
        history: &[("6.2.0", "CH, NX and XX.")],
        run: Some(geoadd),
        ..GEO
    },
    Command {
        name: "geodist",
        arity: -4,
        flags: flag::READONLY,
        keys: READ,
        member: 2,
        args: &[KEY, Arg::string("member1"), Arg::string("member2"), UNIT.optional()],
        since: "3.2.0",
        complexity: "O(1)",
        summary: "Replies the distance between two members.",
        run: Some(geodist),
        ..GEO
    },
    Command {
        name: "geohash",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER.optional().multiple()],
        since: "3.2.0",
        complexity: "O(1) for each member",
        summary: "Replies the places of members as geohash texts.",
        run: Some(geohash),
        ..GEO
    },
    Command {
        name: "geopos",
        arity: -2,
        flags: flag::READONLY,
        keys: READ,
        member: 2,
        args: &[KEY, MEMBER.optional().multiple()],
        since: "3.2.0",
        complexity: "O(1) for each member",
        summary: "Replies the longitudes and latitudes of members.",
        run: Some(geopos),
        ..GEO
    },
    Command {
        name: "georadius",
        arity: -6,
        flags: flag::WRITE | flag::DENYOOM | flag::MOVABLE_KEYS,
        keys: STORE_BY_PLACE,
        args: &[KEY, LON, LAT, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT, ORDER, STORE],
        since: "3.2.0",
        complexity: RADIUS_COST,
        summary: "Replies or stores the members within a circle about a place.",
        history: &[("6.2.0", "ANY for COUNT."), ("7.0.0", "Units in any case.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
        run: Some(search::georadius),
        ..GEO
    },
    Command {
        name: "georadius_ro",
        arity: -6,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, LON, LAT, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT, ORDER],
        since: "3.2.10",
        complexity: RADIUS_COST,
        summary: "Replies the members within a circle about a place.",
        history: &[("6.2.0", "ANY for COUNT.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
        run: Some(search::georadius_ro),
        ..GEO
    },
    Command {
        name: "georadiusbymember",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM | flag::MOVABLE_KEYS,
        keys: STORE_BY_MEMBER,
        args: &[KEY, MEMBER, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT, ORDER, STORE],
        since: "3.2.0",
        complexity: RADIUS_COST,
        summary: "Replies or stores the members within a circle about a member.",
        history: &[("6.2.0", "ANY for COUNT."), ("7.0.0", "Units in any case.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        run: Some(search::georadiusbymember),
        ..GEO
    },
    Command {
        name: "georadiusbymember_ro",
        arity: -5,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, MEMBER, RADIUS, UNIT, WITH_COORD, WITH_DIST, WITH_HASH, COUNT, ORDER],
        since: "3.2.10",
        complexity: RADIUS_COST,
        summary: "Replies the members within a circle about a member.",
        history: &[("6.2.0", "ANY for COUNT.")],
        deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
        run: Some(search::georadiusbymember_ro),
        ..GEO
    },
    Command {
        name: "geosearch",
        arity: -7,
        flags: flag::READONLY,
        keys: READ,
        args: &[KEY, FROM, BY, ORDER, COUNT_OF_SEARCH, WITH_COORD, WITH_DIST, WITH_HASH],
        since: "6.2.0",
        complexity: SEARCH_COST,
        summary: "Replies the members within a circle or a box.",
        history: &[("7.0.0", "Units in any case.")],
        run: Some(search::geosearch),
        ..GEO
    },
    Command {
        name: "geosearchstore",
        arity: -8,
        flags: flag::WRITE | flag::DENYOOM,
        keys: SEARCH_STORE,
        args: &[
            Arg::key("destination"),
            Arg::key("source").spec(1),
            FROM,
            BY,
            ORDER,
            COUNT_OF_SEARCH,
            Arg::word("storedist", "STOREDIST").optional(),
        ],
        since: "6.2.0",
        complexity: SEARCH_COST,
        summary: "Stores the members within a circle or a box.",
        history: &[("7.0.0", "Units in any case.")],
        run: Some(search::geosearchstore),
        ..GEO
    },
];

/// A longitude and a latitude, in this order.
fn place(args: &mut Args<'_>) -> Result<Point, CmdError> {
    let (lon, lat) = (args.double()?, args.double()?);
    Point::new(lon, lat).ok_or_else(|| {
        let mut text = b"ERR invalid longitude,latitude pair ".to_vec();
        float::push_fixed(&mut text, lon, 6);
        text.push(b',');
        float::push_fixed(&mut text, lat, 6);
        CmdError::owned(String::from_utf8_lossy(&text))
    })
}

/// Metres of a unit.
fn unit_m(args: &mut Args<'_>) -> Result<f64, CmdError> {
    const UNITS: [(&str, f64); 4] = [("m", 1.0), ("km", 1000.0), ("ft", 0.3048), ("mi", 1609.34)];
    let known = UNITS.iter().find(|(name, _)| args.accept(name));
    known.map(|(_, metres)| *metres).ok_or(CmdError::text("ERR unsupported unit provided. please use M, KM, FT, MI"))
}

/// A distance as it is replied: always text, four digits behind the point.
fn reply_distance(reply: &mut Reply<'_>, distance: f64) {
    let mut text = Vec::with_capacity(24);
    push_four_digits(&mut text, distance);
    reply.bulk(&text);
}

/// As C's `%.4f`. What is far enough from a tie is rounded as an integer.
fn push_four_digits(out: &mut Vec<u8>, value: f64) {
    const DIGITS: f64 = 10_000.0;
    let scaled = value * DIGITS;
    let whole = scaled.floor();
    if !(0.0..1e14).contains(&scaled) || (scaled - whole - 0.5).abs() < 0.02 {
        return float::push_fixed(out, value, 4);
    }
    let units = (scaled + 0.5) as u64;
    number::push_i64(out, (units / DIGITS as u64) as i64);
    let rest = (units % DIGITS as u64) as u16;
    out.push(b'.');
    out.extend([rest / 1000, rest / 100 % 10, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
}

/// A place as it is replied.
fn reply_place(reply: &mut Reply<'_>, place: Point) {
    reply.array(2);
    for degrees in [place.lon, place.lat] {
        reply.human_double(degrees);
    }
}

fn geoadd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let first_option = args.position();
    let mut words = AddWords { how: AddOptions::default(), count_changed: false };
    loop {
        if args.accept("nx") {
            words.how.nx = true;
        } else if args.accept("xx") {
            words.how.xx = true;
        } else if args.accept("ch") {
            words.count_changed = true;
        } else {
            break;
        }
    }
    let first = args.position();
    if !args.more() || args.left() % 3 != 0 || (words.how.nx && words.how.xx) {
        return Err(CmdError::SYNTAX);
    }
    let single = if args.left() == 3 { Some((place(args)?.score() as f64, args.bytes()?)) } else { None };
    let (mut many, mut longest): (Vec<(f64, &[u8])>, usize) = (Vec::with_capacity(args.left() / 3), 0);
    while args.more() {
        let pair = (place(args)?.score() as f64, args.bytes()?);
        longest = longest.max(pair.1.len());
        many.push(pair);
    }
    let pairs = single.as_ref().map_or(&many[..], std::slice::from_ref);
    add(cx, key, pairs, longest, &words)?;
    propagate_as_zadd(cx, args, first_option, first, pairs);
    Ok(Flow::Done)
}

/// A place is propagated as the score that it became.
fn propagate_as_zadd(cx: &mut Ctx<'_>, args: &mut Args<'_>, options: usize, data: usize, pairs: &[(f64, &[u8])]) {
    if !cx.effects.wanted {
        return;
    }
    let argv = args.argv();
    let scores: Vec<Vec<u8>> = pairs.iter().map(|(score, _)| float::Buffer::new().format(*score).to_vec()).collect();
    let mut words: Vec<&[u8]> = vec![b"zadd"];
    words.extend((options - 1..data).filter_map(|index| argv.get(index)));
    for (score, (_, member)) in scores.iter().zip(pairs) {
        words.extend([score.as_slice(), member]);
    }
    cx.effects.replace(&words);
}

/// The places of members; of a missing one none.
fn places(cx: &mut Ctx<'_>, args: &mut Args<'_>, mut each: impl FnMut(&mut Reply<'_>, Option<Point>)) -> Outcome {
    let key = args.key()?;
    let zset = cx.db.read::<ZSet>(key)?;
    cx.reply.array(args.left());
    while args.more() {
        let member = args.bytes()?;
        let score = zset.and_then(|zset| zset.score(member));
        each(&mut cx.reply, score.map(Point::of_score));
    }
    Ok(Flow::Done)
}

fn geohash(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    places(cx, args, |reply, place| match place {
        Some(place) => reply.bulk(&place.text()),
        None => reply.null(),
    })
}

fn geopos(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    places(cx, args, |reply, place| match place {
        Some(place) => reply_place(reply, place),
        None => reply.null_array(),
    })
}

fn geodist(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, one, other) = (args.key()?, args.bytes()?, args.bytes()?);
    let metres = match args.left() {
        0 => 1.0,
        1 => unit_m(args)?,
        _ => return Err(CmdError::SYNTAX),
    };
    let zset = cx.db.read::<ZSet>(key)?;
    let place = |member| zset.and_then(|zset| zset.score(member)).map(Point::of_score);
    match (place(one), place(other)) {
        (Some(one), Some(other)) => reply_distance(&mut cx.reply, one.distance_m(other) / metres),
        _ => cx.reply.null(),
    }
    Ok(Flow::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn distances_are_printed_as_printf_prints_them() {
        let mut rng = Rng::seeded(8);
        let check = |value: f64| {
            let (mut quick, mut exact) = (Vec::new(), Vec::new());
            push_four_digits(&mut quick, value);
            float::push_fixed(&mut exact, value, 4);
            assert_eq!(quick, exact, "{value}");
        };
        for value in [0.0, 0.00005, 0.00015, 0.12345, 1.5, 99.99995, 2.5e7, 1e300, f64::INFINITY, 166_274.151_6] {
            check(value);
        }
        for _ in 0..50_000 {
            check(rng.next_u64() as f64 / u64::MAX as f64 * 10f64.powi(rng.below(9) as i32));
            check(rng.below(1 << 30) as f64 / 20_000.0);
        }
    }
}
