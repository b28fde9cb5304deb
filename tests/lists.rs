//! The commands of lists against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was
//! compared with the reference server's replies.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/lists.txt");

#[test]
fn lists_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn a_watch_breaks_when_lists_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "RPUSH k a b c d a",
        "LPUSH k x",
        "LINSERT k BEFORE x y",
        "LSET k 0 z",
        "LREM k 1 a",
        "LTRIM k 1 -1",
        "LMOVE k k LEFT RIGHT",
        "LMOVE k other LEFT RIGHT",
        "RPOPLPUSH other k",
        "LPUSHX k 1",
        "RPUSHX k 2",
        "LMPOP 1 k LEFT",
        "LPOP k",
        "RPOP k 2",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "LRANGE k 0 -1",
        "LINSERT k BEFORE nothing y",
        "LREM k 1 nothing",
        "LPOP k 0",
        "LLEN k",
        "LPOS k a",
        "LSET k 100 x",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn both_encodings_of_a_list_give_the_same_replies() {
    for size in ["-2", "1", "3"] {
        let server = Process::start(&our_binary(), &["--list-max-listpack-size", size]);
        follow(&mut server.client(), 2, TRANSCRIPT);
    }
}
