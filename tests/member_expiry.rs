//! Members of sets and sorted sets that expire, against the real binary: replies in both protocols, what breaks a WATCH, that
//! members go by themselves and are seen by nobody who looks before, and that snapshots and payloads keep their deadlines.

mod support;

use std::time::{Duration, Instant};
use support::client::Client;
use support::transcript::{ask, breaks_watch, follow};
use support::{Process, our_binary, wait_until};

const TRANSCRIPT: &str = include_str!("transcripts/member_expiry.txt");

fn start() -> Process {
    Process::start(&our_binary(), &["--enable-debug-command", "yes", "--save", ""])
}

fn stat(client: &mut Client, section: &str, name: &str) -> Option<u64> {
    let text = client.ask(&format!("INFO {section}")).string();
    let after = text.split(['\n', ',']).find_map(|part| part.trim().strip_prefix(name))?;
    after.parse().ok()
}

#[test]
fn deadlines_of_members_reply_as_they_should() {
    for proto in [2, 3] {
        let server = start();
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn a_watch_breaks_when_a_deadline_changes_and_only_then() {
    let server = start();
    let (mut client, mut other) = (server.client(), server.client());
    ask(&mut other, "SADD k a b c");
    for request in ["EXPIREMEMBER k a 100", "PERSIST k a", "EXPIREMEMBER k b 0"] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in ["EXPIREMEMBER k zz 100", "PERSIST k a", "TTL k a", "PTTL k zz"] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn members_go_by_themselves_and_take_an_empty_key_along() {
    let server = start();
    let (mut client, mut watcher) = (server.client(), server.client());
    for key in ["s", "z"] {
        for i in 0..300 {
            let add = if key == "s" { format!("SADD s m{i}") } else { format!("ZADD z {i} m{i}") };
            client.ask(&add);
            client.ask(&format!("EXPIREMEMBER {key} m{i} 30 ms"));
        }
    }
    client.ask("SADD rest a b");
    client.ask("EXPIREMEMBER rest a 30 ms");
    client.ask("SADD later a");
    client.ask("EXPIREMEMBER later a 1000");
    watcher.ask("WATCH rest");
    // Looked at without an access: DBSIZE alone makes nothing go.
    wait_until("the keys go", || client.ask("DBSIZE").int() == Some(2));
    wait_until("the member goes", || stat(&mut client, "stats", "expired_subkeys:") == Some(601));
    assert_eq!(client.ask("SMEMBERS rest").render(), "*[\"b\"]");
    assert_eq!(stat(&mut client, "keyspace", "subexpiry="), Some(1));
    watcher.ask("MULTI");
    assert!(watcher.ask("EXEC").is_null(), "expiry of a member changes its key");
    client.ask("DEL later");
    assert_eq!(stat(&mut client, "keyspace", "subexpiry="), Some(0));
}

#[test]
fn without_active_expiry_nobody_sees_a_member_that_is_due() {
    let server = start();
    let mut client = server.client();
    client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    let mut due = |key: &str, add: &str| {
        client.ask("FLUSHALL");
        client.ask(add);
        for member in ["a", "b", "c"] {
            client.ask(&format!("EXPIREMEMBER {key} {member} 1 ms"));
        }
        client.ask("SET clock x PX 2");
        let begin = Instant::now();
        while client.ask("EXISTS clock").int() != Some(0) {
            assert!(begin.elapsed() < Duration::from_secs(10), "time passes");
        }
        client.ask("SADD other a b x");
    };
    let questions = [
        ("SCARD k", ":1"),
        ("SMEMBERS k", "*[\"x\"]"),
        ("SISMEMBER k a", ":0"),
        ("SRANDMEMBER k 9", "*[\"x\"]"),
        ("SPOP k 9", "*[\"x\"]"),
        ("SSCAN k 0", "*[\"0\" *[\"x\"]]"),
        ("SINTER other k", "*[\"x\"]"),
        ("SUNIONSTORE to k", ":1"),
        ("SDIFF k other", "*[]"),
        ("SADD k a", ":1"),
        ("SREM k a", ":0"),
        ("SMOVE k other c", ":0"),
        ("EXPIREMEMBER k a 100", ":0"),
        ("TTL k a", ":-2"),
        ("SORT k ALPHA", "*[\"x\"]"),
        ("ZUNION 1 k", "*[\"x\"]"),
    ];
    for (question, answer) in questions {
        due("k", "SADD k a b c x");
        assert_eq!(server.client().ask(question).render(), answer, "{question}");
    }
    let questions = [
        ("ZCARD k", ":1"),
        ("ZRANGE k 0 -1", "*[\"x\"]"),
        ("ZRANK k x", ":0"),
        ("ZCOUNT k -inf +inf", ":1"),
        ("ZSCORE k a", "($null)"),
        ("ZPOPMIN k 9", "*[\"x\" \"4\"]"),
        ("ZADD k 7 a", ":1"),
        ("ZREM k a", ":0"),
        ("ZINCRBY k 7 b", "\"7\""),
        ("ZREMRANGEBYRANK k 0 -1", ":1"),
        ("ZRANDMEMBER k", "\"x\""),
        ("ZSCAN k 0", "*[\"0\" *[\"x\" \"4\"]]"),
        ("TTL k a", ":-2"),
    ];
    for (question, answer) in questions {
        due("k", "ZADD k 1 a 2 b 3 c 4 x");
        assert_eq!(server.client().ask(question).render(), answer, "{question}");
    }
    for (question, answer) in
        [("EXISTS k", ":0"), ("TYPE k", "+none"), ("SADD k a", ":1"), ("RENAME k l", "-ERR no such key")]
    {
        due("k", "SADD k a b c");
        let words: Vec<&str> = question.split(' ').collect();
        let reply = server.client().call(&words).expect("the server answers");
        assert_eq!(reply.render(), answer, "{question}");
        assert_eq!(server.client().ask("TTL k a").int(), server.client().ask("TTL k").int(), "nothing is left of it");
    }
}

#[test]
fn snapshots_payloads_and_copies_keep_deadlines() {
    let server = start();
    let mut client = server.client();
    for i in 0..2_000 {
        ask(&mut client, &format!("SADD s m{i} a-longer-name-of-a-member-{i}"));
        ask(&mut client, &format!("ZADD z {i} m{i}"));
        if i % 2 == 0 {
            ask(&mut client, &format!("EXPIREMEMBER s m{i} {}", 1_000 + i));
            ask(&mut client, &format!("EXPIREMEMBER z m{i} {}", 1_000 + i));
        }
    }
    ask(&mut client, "SADD small a b");
    ask(&mut client, "EXPIREMEMBER small a 1000");
    ask(&mut client, "COPY s s2");
    ask(&mut client, "COPY z z2");
    let before = ask(&mut client, "DEBUG DIGEST").string();
    assert_eq!(ask(&mut client, "DEBUG RELOAD").render(), "+OK");
    assert_eq!(ask(&mut client, "DEBUG DIGEST").string(), before);
    // Written beside the loop large sets come in parts, members and deadlines as they may.
    ask(&mut client, "BGSAVE");
    wait_until("the snapshot is written", || stat(&mut client, "persistence", "rdb_bgsave_in_progress:") == Some(0));
    ask(&mut client, "FLUSHALL");
    assert_eq!(ask(&mut client, "DEBUG RELOAD NOSAVE").render(), "+OK");
    assert_eq!(ask(&mut client, "DEBUG DIGEST").string(), before);
    assert!((2_990..=3_000).contains(&ask(&mut client, "TTL z2 m1998").int().expect("a time")));
    assert_eq!(stat(&mut client, "keyspace", "subexpiry="), Some(5));
    for key in ["s", "z", "small"] {
        let payload = client.call(&[b"DUMP", key.as_bytes()]).expect("the server answers").text;
        let digest = |client: &mut Client, key: &str| ask(client, &format!("DEBUG DIGEST-VALUE {key}")).render();
        let old = digest(&mut client, key);
        let restored =
            client.call(&[&b"RESTORE"[..], b"back", b"0", &payload, b"REPLACE"]).expect("the server answers");
        assert_eq!(restored.render(), "+OK");
        assert_eq!(digest(&mut client, "back"), old);
    }
}
