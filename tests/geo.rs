//! The GEO commands against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was made by the
//! reference server.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/geo.txt");

#[test]
fn places_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn both_encodings_of_a_sorted_set_give_the_same_places() {
    let server = Process::start(&our_binary(), &["--zset-max-listpack-entries", "0"]);
    follow(&mut server.client(), 3, TRANSCRIPT);
}

#[test]
fn a_watch_breaks_when_places_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "GEOADD k 10 20 a 11 21 b",
        "GEOADD k CH 10 22 a",
        "GEORADIUS k 10 20 500 km STORE k",
        "GEOSEARCHSTORE k k FROMMEMBER b BYRADIUS 1 km",
        "GEOSEARCHSTORE k k FROMLONLAT 100 20 BYRADIUS 1 km",
        "GEOADD k 10 20 a",
        "GEORADIUSBYMEMBER nothing x 1 km STOREDIST k",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "GEOADD k XX 10 20 a",
        "GEOSEARCHSTORE k nothing FROMLONLAT 10 20 BYRADIUS 1 km",
        "GEOADD other 10 20 a",
        "GEOSEARCH other FROMMEMBER a BYRADIUS 1 km",
        "GEORADIUS other 10 20 1 km STORE third",
        "GEOPOS k a",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}
