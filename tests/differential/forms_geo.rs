//! Forms and values of the GEO commands. Knows no server.

use super::check::Check::*;
use super::forms::{Form, form};
use super::pools::{Pool, junk};
use super::support::random::Random;

/// Values that only these forms draw.
pub const POOLS: &[(&str, Pool)] = &[
    ("geo", |r| if r.chance(95) { format!("g{}", r.below(3)) } else { format!("z{}", r.below(4)) }.into_bytes()),
    // Members of a set of small scores lie at one place: which of them a search finds first is left open.
    ("places", |r| format!("g{}", r.below(3)).into_bytes()),
    ("lon", |r| coordinate(r, 180.0)),
    ("lat", |r| coordinate(r, 85.05112878)),
    ("metres", metres),
    ("unit", |r| if r.chance(97) { pick(r, &["m", "km", "ft", "mi", "KM"]) } else { junk(r) }),
    ("gcnt", |r| if r.chance(95) { pick(r, &["1", "2", "3", "5", "10", "1000"]) } else { junk(r) }),
];

pub const GEO: &[Form] = &[
    form(30, Exact, "geoadd <geo> {nx|xx|ch} +(<lon> <lat> <m>)"),
    form(6, Exact, "geoadd <geo> *(<lon> <lat> <wide>)"),
    form(3, Exact, "zrem <geo> +(<m>)"),
    form(8, Exact, "geodist <geo> <m> <m> [<unit>]"),
    form(5, Exact, "geohash <geo> +(<m>)"),
    form(5, Exact, "geopos <geo> +(<m>)"),
    form(
        10,
        Exact,
        "(georadius|georadius_ro) <geo> <lon> <lat> <metres> <unit> {withcoord|withdist|withhash|count <gcnt>|count <gcnt> any|asc|desc}",
    ),
    form(
        10,
        Exact,
        "(georadiusbymember|georadiusbymember_ro) <geo> <m> <metres> <unit> {withcoord|withdist|withhash|count <gcnt>|count <gcnt> any|asc|desc}",
    ),
    form(
        4,
        Exact,
        "georadius <places> <lon> <lat> <metres> <unit> {withdist|count <gcnt>|asc} (store <geo>|storedist <zset>)",
    ),
    form(
        4,
        Exact,
        "georadiusbymember <places> <m> <metres> <unit> {asc|count <gcnt>|desc} (store <geo>|storedist <zset>)",
    ),
    form(
        14,
        Exact,
        "geosearch <geo> (fromlonlat <lon> <lat>|frommember <m>) (byradius <metres> <unit>|bybox <metres> <metres> <unit>) {withcoord|withdist|withhash|count <gcnt>|count <gcnt> any|asc|desc}",
    ),
    form(
        4,
        Exact,
        "geosearchstore <geo> <places> (fromlonlat <lon> <lat>|frommember <m>) (byradius <metres> <unit>|bybox <metres> <metres> <unit>) {withcoord|count <gcnt>|count <gcnt> any|asc|desc}",
    ),
    form(
        2,
        Exact,
        "geosearchstore <zset> <places> (fromlonlat <lon> <lat>|frommember <m>) (byradius <metres> <unit>|bybox <metres> <metres> <unit>) storedist {withcoord|count <gcnt>|asc|desc}",
    ),
    form(
        2,
        Exact,
        "geosearch <geo> {fromlonlat <lon> <lat>|frommember <m>|byradius <metres> <unit>|bybox <metres> <metres> <unit>|any|count <gcnt>|asc|<junk>}",
    ),
];

fn pick(random: &mut Random, from: &[&str]) -> Vec<u8> {
    random.pick(from).as_bytes().to_vec()
}

/// Mostly about one place, so that searches find something; else anywhere, near the limits, now and then at them or beyond. Hardly
/// ever at both at once: of members at one place a search with COUNT takes any.
fn coordinate(random: &mut Random, limit: f64) -> Vec<u8> {
    match random.below(40) {
        0 | 1 => {
            let inward = if random.chance(10) { 0.0 } else { random.below(100_000) as f64 / 1e6 };
            format!("{}{:.8}", random.pick(&["", "-"]), limit - inward).into_bytes()
        }
        2 if random.chance(30) => junk(random),
        3 if random.chance(20) => format!("{}", limit + 0.00001).into_bytes(),
        4..=12 => format!("{:.6}", random.between(-1_000_000, 1_000_000) as f64 / 1_000_000.0 * limit).into_bytes(),
        _ => format!("{:.5}", 20.0 + random.between(-200_000, 200_000) as f64 / 100_000.0).into_bytes(),
    }
}

fn metres(random: &mut Random) -> Vec<u8> {
    match random.below(20) {
        0 => pick(random, &["0", "-1", "1e9", "inf", "0.5"]),
        1 if random.chance(30) => junk(random),
        _ => (10f64.powi(random.below(8) as i32) * random.between(1, 99) as f64 / 10.0).to_string().into_bytes(),
    }
}
