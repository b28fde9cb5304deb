//! SORT and SORT_RO against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was made by the
//! reference server.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/sort.txt");

#[test]
fn sort_replies_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn what_is_sorted_may_have_any_encoding() {
    let options =
        ["--set-max-intset-entries", "0", "--set-max-listpack-entries", "0", "--zset-max-listpack-entries", "0"];
    let more = ["--hash-max-listpack-entries", "0", "--list-max-listpack-size", "1"];
    let server = Process::start(&our_binary(), &[options.as_slice(), &more].concat());
    follow(&mut server.client(), 3, TRANSCRIPT);
}

#[test]
fn a_watch_breaks_when_a_sort_stores_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    other.ask("RPUSH l 3 1 2");
    for request in
        ["SORT l STORE k", "SORT l STORE k", "SORT l LIMIT 5 1 STORE k", "SORT l STORE k", "SORT none STORE k"]
    {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in ["SORT none STORE k", "SORT l", "SORT l BY k* GET k*", "SORT l STORE other", "SORT_RO k"] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}
