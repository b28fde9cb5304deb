//! The commands of sets against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was
//! compared with the reference server's replies.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/sets.txt");

#[test]
fn sets_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn members_of_unions_and_differences_are_counted() {
    let server = Process::start(&our_binary(), &[]);
    let transcript = r#"
        SADD a 1 2 3 x y => :5
        SADD b 3 4 y => :3
        RPUSH l a => :1
        SUNIONCARD 2 a b => :6
        SUNIONCARD 2 a b LIMIT 4 => :4
        SUNIONCARD 2 a b LIMIT 0 => :6
        SUNIONCARD 2 a b APPROX => :6
        SUNIONCARD 2 a b LIMIT 4 approx => :4
        SUNIONCARD 1 nokey => :0
        SUNIONCARD 1 nokey APPROX => :0
        SUNIONCARD 2 a l => -WRONGTYPE Operation against a key holding the wrong kind of value
        SUNIONCARD 0 a => -ERR numkeys should be greater than 0
        SUNIONCARD 3 a b => -ERR Number of keys can\'t be greater than number of args
        SUNIONCARD 1 a LIMIT -1 => -ERR LIMIT can\'t be negative
        SUNIONCARD 1 a LIMIT => -ERR syntax error
        SUNIONCARD 1 a b => -ERR syntax error
        SDIFFCARD 2 a b => :3
        SDIFFCARD 2 a b LIMIT 2 => :2
        SDIFFCARD 2 b nokey => :3
        SDIFFCARD 2 nokey a => :0
        SDIFFCARD 2 a b APPROX => -ERR syntax error
        SDIFFCARD 2 a l => -WRONGTYPE Operation against a key holding the wrong kind of value
        COMMAND GETKEYS SDIFFCARD 2 a b LIMIT 1 => *["a" "b"]
    "#;
    follow(&mut server.client(), 2, transcript);
}

#[test]
fn a_watch_breaks_when_sets_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "SADD k a b c d 1 2",
        "SREM k a",
        "SMOVE k other b",
        "SMOVE other k b",
        "SPOP k",
        "SPOP k 2",
        "SUNIONSTORE k other k",
        "SDIFFSTORE k other k",
        "SADD k x",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "SADD k x",
        "SREM k nothing",
        "SMOVE k k x",
        "SMOVE nothing k x",
        "SMEMBERS k",
        "SPOP k 0",
        "SRANDMEMBER k 3",
        "SCARD k",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn all_encodings_of_a_set_give_the_same_replies() {
    let server = Process::start(&our_binary(), &["--set-max-listpack-entries", "0", "--set-max-intset-entries", "0"]);
    let transcript: String = TRANSCRIPT
        .lines()
        .filter(|line| !line.contains("ENCODING") && !line.starts_with("SSCAN s"))
        .map(|l| format!("{l}\n"))
        .collect();
    follow(&mut server.client(), 3, &transcript);
}

#[test]
fn a_huge_negative_count_is_answered_in_bounded_memory() {
    let server = Process::start(&our_binary(), &["--client-output-buffer-limit", "normal 8mb 0 0"]);
    let mut client = server.client();
    for (fill, request) in [
        ("SADD s 1 2 3", "SRANDMEMBER s -9223372036854775807"),
        ("HSET h a 1 b 2", "HRANDFIELD h -9223372036854775807"),
        ("ZADD z 1 a 2 b", "ZRANDMEMBER z -9223372036854775807"),
    ] {
        client.ask(fill);
        let mut greedy = server.client();
        greedy.send_raw(format!("{request}\r\n").as_bytes()).expect("the server reads");
        // Other clients are served: the greedy one was cut off, or holds no more than its limit.
        assert_eq!(client.ask("PING").text, b"PONG");
        assert!(server.resident_kib() < 300 * 1024, "{request}: {} KiB", server.resident_kib());
    }
}

#[test]
fn random_members_are_distinct_for_a_positive_count_and_all_come_up() {
    let server = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    for key in ["SADD s 1 2 3 4 5", "SADD p a b c d e"] {
        client.ask(key);
        let name = key.split(' ').nth(1).expect("the key");
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let reply = client.ask(&format!("SRANDMEMBER {name} 3"));
            let members: std::collections::BTreeSet<_> = reply.children.iter().map(|m| m.text.clone()).collect();
            assert_eq!(members.len(), 3);
            seen.extend(members);
        }
        assert_eq!(seen.len(), 5);
        assert_eq!(client.ask(&format!("SPOP {name} 2")).children.len(), 2);
        assert_eq!(client.ask(&format!("SCARD {name}")).int(), Some(3));
    }
}
