//! The commands of hashes against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was
//! compared with the reference server's replies.

mod support;

use support::transcript::{ask, breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/hashes.txt");

#[test]
fn hashes_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn a_watch_breaks_when_hashes_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "HSET k a 1 b 2",
        "HSETNX k c 3",
        "HINCRBY k a 1",
        "HINCRBYFLOAT k a 0.5",
        "HMSET k d 4",
        "HSET k a same",
        "HSET k a same",
        "HDEL k a",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in ["HSETNX k b 3", "HDEL k nothing", "HINCRBY k x a", "HGETALL k", "HRANDFIELD k 2", "HLEN k"] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn both_encodings_of_a_hash_give_the_same_replies() {
    let server = Process::start(&our_binary(), &["--hash-max-listpack-entries", "0"]);
    let ordered = |line: &&str| !line.starts_with("HSCAN") && !line.starts_with("HRANDFIELD h ");
    let transcript: String = TRANSCRIPT.lines().filter(ordered).map(|line| format!("{line}\n")).collect();
    follow(&mut server.client(), 3, &transcript);
}

#[test]
fn lists_of_fields_belong_to_their_connection() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for proto in [2, 3] {
        client.ask("FLUSHALL");
        client.ask("HIMPORT DISCARDALL");
        follow(&mut client, proto, include_str!("transcripts/hash_import.txt"));
    }
    client.ask("HIMPORT PREPARE u a");
    assert_eq!(ask(&mut other, "HIMPORT SET k u 1").string(), "ERR no such fieldset");
    assert_eq!(client.ask("HIMPORT SET k u 1").string(), "OK");
    let bytes = |client: &mut support::client::Client| {
        let info = client.ask("CLIENT INFO").string();
        info.split(' ').find_map(|part| part.strip_prefix("tot-mem=")?.parse::<u64>().ok()).expect("a number")
    };
    let before = bytes(&mut client);
    client.ask(&format!("HIMPORT PREPARE long {}", "f".repeat(9_000)));
    assert!(bytes(&mut client) > before + 9_000, "what is kept for a client is counted");
    client.ask("RESET");
    assert_eq!(ask(&mut client, "HIMPORT SET k u 1").string(), "ERR no such fieldset");
    assert!(breaks_watch(&mut other, &mut client, "k", "DEL k"));
    client.ask("HIMPORT PREPARE u a");
    assert!(breaks_watch(&mut other, &mut client, "k", "HIMPORT SET k u 1"));
    assert!(breaks_watch(&mut other, &mut client, "k", "HIMPORT SET k u 1"));
    assert!(!breaks_watch(&mut other, &mut client, "k", "HIMPORT SET k u 1 2"));
}
