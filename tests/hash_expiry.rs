//! Fields of hashes that expire, against the real binary: replies in both protocols, what breaks a WATCH, and that fields go by
//! themselves. The transcript was compared with the replies of Redis 8.0; its last lines are our short form of HEXPIRE.

mod support;

use std::time::{Duration, Instant};
use support::client::Client;
use support::transcript::{ask, breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/hash_expiry.txt");
/// A time far off, Unix milliseconds.
const FAR_MS: i64 = 4_102_444_800_000;
/// After this a condition that has not come to hold never will.
const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn deadlines_of_fields_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn both_encodings_of_a_hash_with_deadlines_give_the_same_replies() {
    let server = Process::start(&our_binary(), &["--hash-max-listpack-entries", "0"]);
    // What gives several fields in the order in which they are kept.
    let ordered = ["OBJECT", "HGETALL", "HKEYS", "HVALS", "HSCAN", "HRANDFIELD"];
    let same = |line: &&str| !ordered.iter().any(|word| line.starts_with(word));
    let transcript: String = TRANSCRIPT.lines().filter(same).map(|line| format!("{line}\n")).collect();
    follow(&mut server.client(), 3, &transcript);
}

#[test]
fn a_watch_breaks_when_deadlines_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    ask(&mut other, "HSET k a 1 b 2 c 3 d 4");
    for request in [
        "HEXPIRE k 100 FIELDS 1 a",
        "HEXPIRE k a 100",
        "HPEXPIREAT k 1 FIELDS 1 b",
        "HPERSIST k FIELDS 1 a",
        "HGETEX k EX 100 FIELDS 1 a",
        "HGETEX k PERSIST FIELDS 1 a",
        "HSETEX k FXX KEEPTTL FIELDS 1 a 7",
        "HSETEX k PX 0 FIELDS 1 new 7",
        "HGETDEL k FIELDS 1 c",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "HEXPIRE k 100 FIELDS 1 nothing",
        "HEXPIRE k 100 XX FIELDS 1 a",
        "HEXPIRE k nothing 100",
        "HPERSIST k FIELDS 1 a",
        "HTTL k FIELDS 1 a",
        "HGETEX k FIELDS 1 a",
        "HGETEX k PERSIST FIELDS 1 a",
        "HSETEX k FNX FIELDS 1 a 7",
        "HGETDEL k FIELDS 1 nothing",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

fn stat(client: &mut Client, section: &str, name: &str) -> Option<u64> {
    let text = client.ask(&format!("INFO {section}")).string();
    let after = text.split(['\n', ',']).find_map(|part| part.trim().strip_prefix(name))?;
    after.parse().ok()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
    }
}

#[test]
fn fields_go_by_themselves_and_take_an_empty_hash_along() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut watcher) = (server.client(), server.client());
    for (key, count) in [("small", 3), ("big", 1000)] {
        let many: String = (0..count).map(|i| format!(" f{i} v")).collect();
        client.ask(&format!("HSETEX {key} PX 30 FIELDS {count}{many}"));
        client.ask(&format!("HSETEX {key}-rest PX 30 FIELDS {count}{many}"));
        client.ask(&format!("HSET {key}-rest stays v"));
    }
    client.ask("HSETEX few PX 30 FIELDS 2 a 1 b 2");
    watcher.ask("WATCH few");
    client.ask(&format!("HSETEX later PXAT {FAR_MS} FIELDS 1 a 1"));
    wait_for("the hashes go", || client.ask("EXISTS small big few").int() == Some(0));
    wait_for("the fields go", || client.ask("HLEN big-rest").int() == Some(1));
    wait_for("the fields go", || client.ask("HLEN small-rest").int() == Some(1));
    assert_eq!(client.ask("HGETALL big-rest").children.len(), 2);
    assert_eq!(stat(&mut client, "stats", "expired_subkeys:"), Some(2008));
    assert_eq!(stat(&mut client, "keyspace", "subexpiry="), Some(1));
    assert_eq!(client.ask("DBSIZE").int(), Some(3));
    watcher.ask("MULTI");
    assert!(watcher.ask("EXEC").is_null(), "expiry of a field changes its key");
    client.ask("DEL later");
    assert_eq!(stat(&mut client, "keyspace", "subexpiry="), Some(0));
}

#[test]
fn without_active_expiry_a_field_goes_when_it_is_asked_for() {
    let server = Process::start(&our_binary(), &["--enable-debug-command", "yes"]);
    for limit in ["128", "0"] {
        let mut client = server.client();
        client.ask("FLUSHALL");
        client.ask(&format!("CONFIG SET hash-max-listpack-entries {limit}"));
        client.ask("DEBUG SET-ACTIVE-EXPIRE 0");
        client.ask("HSET h stays 1");
        client.ask("HSETEX h PX 1 FIELDS 8 a 1 b 2 c 3 d 4 e 5 f 6 g 7 i 8");
        wait_for("the time comes", || client.ask("HTTL h FIELDS 1 a").children[0].int() == Some(-2));
        let mut expect = |request: &str, reply: &str, len: i64| {
            assert_eq!(client.ask(request).render(), reply, "{request} with {limit}");
            assert_eq!(client.ask("HLEN h").int(), Some(len), "after {request} with {limit}");
        };
        expect("HGETALL h", "*[\"stays\" \"1\"]", 9);
        expect("HKEYS h", "*[\"stays\"]", 9);
        expect("HSCAN h 0", "*[\"0\" *[\"stays\" \"1\"]]", 9);
        expect("HPERSIST h FIELDS 1 a", "*[:-2]", 9);
        expect("HGET h a", "($null)", 8);
        expect("HMGET h b stays", "*[($null) \"1\"]", 7);
        expect("HEXISTS h c", ":0", 6);
        expect("HSTRLEN h d", ":0", 5);
        expect("HINCRBY h e 1", ":1", 5);
        expect("HTTL h FIELDS 1 e", "*[:-1]", 5);
        expect("HEXPIRE h 100 FIELDS 1 f", "*[:-2]", 4);
        expect("HSETNX h g 9", ":1", 4);
        expect("HDEL h i", ":1", 3);
        client.ask("DEL h");
        client.ask("HSETEX h PX 1 FIELDS 2 a 1 b 2");
        client.ask("EXPIRE h 1000");
        wait_for("the time comes", || client.ask("HTTL h FIELDS 2 a b").children[1].int() == Some(-2));
        assert_eq!(client.ask("HRANDFIELD h 5").render(), "*[]");
        assert_eq!(client.ask("EXISTS h").int(), Some(0));
        client.ask("HSETEX h PX 1 FIELDS 1 a 1");
        client.ask("EXPIRE h 1000");
        wait_for("the time comes", || client.ask("HTTL h FIELDS 1 a").children[0].int() == Some(-2));
        assert_eq!(client.ask("HINCRBY h a 5").int(), Some(5), "another hash begins");
        assert_eq!(client.ask("TTL h").int(), Some(-1), "it has no deadline");
        assert_eq!(stat(&mut client, "keyspace", "subexpiry="), Some(0));
    }
}
