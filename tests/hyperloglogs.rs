//! HyperLogLogs against the real binary: replies in both protocols, what breaks a WATCH, how far estimates err. The
//! transcript is the reference server's (8.0.2).

mod support;

use support::transcript::{breaks_watch, follow};
use support::{Process, our_binary};

#[test]
fn hyperloglogs_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, include_str!("transcripts/hyperloglogs.txt"));
    }
}

#[test]
fn pfdebug_with_a_key_alone_describes_it() {
    let server = Process::start(&our_binary(), &[]);
    let transcript = r#"
        PFADD h a => :1
        PFDEBUG h => *["encoding" "sparse" "registers" :16384 "estimate" :1]
        PFDEBUG nokey => -ERR The specified key does not exist
        COMMAND GETKEYS PFDEBUG h => *["h"]
        COMMAND GETKEYS PFDEBUG ENCODING h => *["h"]
    "#;
    follow(&mut server.client(), 2, transcript);
}

#[test]
fn a_watch_breaks_when_a_register_or_the_count_changes() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in ["PFADD k", "PFADD k a b", "PFCOUNT k", "PFMERGE k"] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    follow(&mut client, 2, "PFCOUNT k => :2");
    for request in ["PFADD k a", "PFADD k", "PFCOUNT k", "PFCOUNT k k", "PFDEBUG GETREG k", "PFDEBUG TODENSE k"] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

#[test]
fn estimates_err_by_less_than_two_percent() {
    let server = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    let mut count = 0;
    for _ in 0..40 {
        let elements: Vec<String> = (0..2000).map(|nth| (count + nth).to_string()).collect();
        count += elements.len() as i64;
        client.ask(&format!("PFADD h {}", elements.join(" ")));
        let estimate: i64 = client.ask("PFCOUNT h").render()[1..].parse().expect("a number");
        assert!((estimate - count).abs() * 50 <= count, "{estimate} of {count}");
    }
}
