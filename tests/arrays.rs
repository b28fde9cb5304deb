//! The AR commands against the real binary: replies in both protocols, and what breaks a WATCH. The transcript follows the
//! documentation and the published tests of Redis 8.8; no reference server of that version was at hand.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/arrays.txt");

#[test]
fn arrays_reply_as_documented() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn a_watch_breaks_when_arrays_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "ARSET k 0 a b c",
        "ARSET k 0 a",
        "ARMSET k 5 x 7 y",
        "ARINSERT k z",
        "ARSEEK k 20",
        "ARRING k 4 r",
        "ARDEL k 0",
        "ARSET k 0 a b c",
        "ARDELRANGE k 0 1",
        "ARDEL k 0 1 2 3 4",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    other.ask("ARSET k 3 a");
    for request in [
        "ARDEL k 0",
        "ARDELRANGE k 0 2",
        "ARSET k x a",
        "ARGET k 3",
        "ARSCAN k 0 9",
        "ARGREP k - + MATCH a",
        "AROP k 0 9 USED",
        "ARLASTITEMS k 5",
        "ARINFO k FULL",
        "ARSEEK none 5",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn slices_fill_and_thin_out_as_documented() {
    let server = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    let fact = |client: &mut support::client::Client, name: &str| {
        let info = client.ask("ARINFO k FULL");
        let at = info.children.iter().position(|field| field.string() == name).expect("a field of ARINFO");
        info.children[at + 1].string().parse::<f64>().expect("a number")
    };
    for nth in 0..10 {
        client.ask(&format!("ARSET k {} v", nth * 100));
    }
    assert_eq!((fact(&mut client, "dense-slices"), fact(&mut client, "sparse-slices")), (0.0, 1.0));
    client.ask("ARSET k 1000 v");
    assert_eq!((fact(&mut client, "dense-slices"), fact(&mut client, "sparse-slices")), (1.0, 0.0));
    client.ask("ARDELRANGE k 500 5000");
    assert_eq!(fact(&mut client, "dense-slices"), 1.0);
    client.ask("ARDEL k 0");
    assert_eq!(fact(&mut client, "dense-slices"), 0.0);
    let values = "v ".repeat(100);
    client.ask(&format!("ARSET k 5000 {values}"));
    assert!((128.0..=4096.0).contains(&fact(&mut client, "avg-dense-size")));
}

#[test]
fn the_events_of_arrays_are_published() {
    let server = Process::start(&our_binary(), &["--notify-keyspace-events", "Ea"]);
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("PSUBSCRIBE __keyevent@0__:*");
    for request in
        ["ARSET k 0 a", "ARMSET k 1 a", "ARINSERT k a", "ARRING k 9 a", "ARSEEK k 3", "ARDELRANGE k 1 9", "ARDEL k 0"]
    {
        other.ask(request);
        let event = client.read().expect("an event");
        let name = request.split(' ').next().expect("a word").to_ascii_lowercase();
        assert_eq!(event.children[2].string(), format!("__keyevent@0__:{name}"));
        assert_eq!(event.children[3].string(), "k");
    }
}
