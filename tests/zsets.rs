//! The commands of sorted sets against the real binary: replies in both protocols, and what breaks a WATCH. The transcript was
//! compared with the reference server's replies.

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/zsets.txt");

#[test]
fn sorted_sets_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn a_watch_breaks_when_sorted_sets_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in [
        "ZADD k 1 a 2 b 3 c 4 d 5 e 6 f 7 g 8 h",
        "ZINCRBY k 1 a",
        "ZREM k a",
        "ZPOPMIN k",
        "ZPOPMAX k 1",
        "ZMPOP 1 k MIN",
        "ZREMRANGEBYRANK k 0 0",
        "ZREMRANGEBYSCORE k 5 5",
        "ZADD k 6 x 6 y",
        "ZREMRANGEBYLEX k [f [f",
        "ZUNIONSTORE k 1 k WEIGHTS 2",
        "ZRANGESTORE k k 0 0",
        "ZADD k 50 g",
        "ZADD k XX CH 100 g",
    ] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "ZADD k 100 g",
        "ZADD k NX 1 g",
        "ZADD k XX 1 nothing",
        "ZADD k LT 1000 g",
        "ZREM k nothing",
        "ZREMRANGEBYRANK k 5 4",
        "ZRANGE k 0 -1",
        "ZPOPMIN k 0",
        "ZRANK k g",
        "ZSCORE k g",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn both_encodings_of_a_sorted_set_give_the_same_replies() {
    let server = Process::start(&our_binary(), &["--zset-max-listpack-entries", "0"]);
    // A packed set does not know the negative zero, and a table is scanned in no order.
    let same = |line: &&str| !line.starts_with("ZRANGE dz") && !line.starts_with("ZSCAN");
    let transcript: String = TRANSCRIPT.lines().filter(same).map(|line| format!("{line}\n")).collect();
    follow(&mut server.client(), 3, &transcript);
}
