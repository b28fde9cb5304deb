//! The commands of strings against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was
//! compared with the reference server's replies.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/strings.txt");

#[test]
fn strings_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn newer_forms_reply_as_they_are_documented() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, include_str!("transcripts/strings_newer.txt"));
    }
}

#[test]
fn a_watch_breaks_when_strings_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "SET k v",
        "APPEND k x",
        "SETRANGE k 0 y",
        "SET k w KEEPTTL",
        "GETEX k EX 100",
        "GETEX k PERSIST",
        "GETSET k z",
        "GETDEL k",
        "SETNX k v",
        "MSET k 1",
        "INCR k",
        "DECRBY k 3",
        "INCREX k",
        "MSETEX 1 k 3 EX 100",
        "DELEX k IFEQ 3",
        "SET k v",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "GET k",
        "GETEX k",
        "SETNX k v",
        "SET k v NX",
        "MSETNX k 1 j 2",
        "GETRANGE k 0 1",
        "INCRBY k abc",
        "INCREX j UBOUND 0",
        "DELEX k IFEQ other",
        "MSETEX 1 k w NX",
        "DIGEST k",
        "STRLEN k",
        "SETRANGE k 0 ''",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn no_string_grows_past_the_limit_and_a_refused_write_leaves_no_key() {
    let server = Process::start(&our_binary(), &["--proto-max-bulk-len", "1mb"]);
    let transcript = r#"
        SETRANGE k 1048575 x => :1048576
        APPEND k x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 1048576 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 9223372036854775807 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        STRLEN k => :1048576
        SETRANGE new 1048576 x => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        EXISTS new => :0
    "#;
    follow(&mut server.client(), 2, transcript);
}
