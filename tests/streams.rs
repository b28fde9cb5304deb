//! The commands of streams against the real binary: replies in both protocols, who waits for what, and what breaks a WATCH.
//! `streams.txt` was compared with the reference server's replies; `streams_newer.txt` is what later versions added.

mod support;

use support::transcript::{ask, breaks_watch, follow};
use support::{Process, our_binary, wait_until};

const TRANSCRIPT: &str = include_str!("transcripts/streams.txt");
const NEWER: &str = include_str!("transcripts/streams_newer.txt");

fn start() -> Process {
    Process::start(&our_binary(), &[])
}

fn wait_for_blocked(server: &Process, count: usize) {
    let mut client = server.client();
    let line = format!("blocked_clients:{count}\r\n");
    wait_until("as many clients wait as should", || client.ask("INFO clients").string().contains(&line));
}

#[test]
fn streams_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = start();
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn what_later_versions_added_is_there() {
    for proto in [2, 3] {
        let server = start();
        follow(&mut server.client(), proto, NEWER);
    }
}

#[test]
fn nodes_of_any_size_give_the_same_replies() {
    let server = Process::start(&our_binary(), &["--stream-node-max-entries", "1", "--stream-node-max-bytes", "0"]);
    // Nodes are counted, and whole ones trimmed.
    let same = |line: &&str| {
        !line.contains("XINFO STREAM")
            && !line.contains('~')
            && !line.contains("MAXLEN = 0")
            && !line.starts_with("XRANGE t")
    };
    let transcript: String = TRANSCRIPT.lines().filter(same).map(|line| format!("{line}\n")).collect();
    follow(&mut server.client(), 3, &transcript);
}

#[test]
fn a_watch_breaks_when_entries_change_and_only_then() {
    let server = start();
    let (mut client, mut other) = (server.client(), server.client());
    for request in ["XADD s 1-1 a b", "XADD s 2-1 a b", "XADD s 3-1 a b", "XDEL s 1-1", "XTRIM s MAXLEN 1"] {
        assert!(breaks_watch(&mut client, &mut other, "s", request), "{request} changes the entries");
    }
    for request in [
        "XADD s 1-1 a b",
        "XDEL s 9-9",
        "XTRIM s MAXLEN 5",
        "XGROUP CREATE s g 0",
        "XREADGROUP GROUP g alice STREAMS s >",
        "XREADGROUP GROUP g alice STREAMS s 0",
        "XCLAIM s g bob 0 3-1",
        "XAUTOCLAIM s g carol 0 0",
        "XACK s g 3-1",
        "XGROUP SETID s g 0",
        "XGROUP CREATECONSUMER s g dave",
        "XGROUP DELCONSUMER s g dave",
        "XGROUP DESTROY s g",
        "XSETID s 9-9",
        "XREAD STREAMS s 0",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "s", request), "{request} changes no entry");
    }
    assert!(breaks_watch(&mut client, &mut other, "new", "XGROUP CREATE new g 0 MKSTREAM"));
}

#[test]
fn ids_of_the_clock_ascend_and_ids_follow_a_clock_that_is_ahead() {
    let server = start();
    let mut client = server.client();
    let mut last = (0, 0);
    for _ in 0..200 {
        let text = client.ask("XADD s * a b").string();
        let (ms, seq) = text.split_once('-').expect("an id has two parts");
        let id: (u64, u64) = (ms.parse().expect("a number"), seq.parse().expect("a number"));
        assert!(id > last, "{text}");
        last = id;
    }
    client.ask("XADD s 9999999999999-5 a b");
    assert_eq!(client.ask("XADD s * a b").string(), "9999999999999-6");
}

#[test]
fn readers_wait_for_what_comes_after_their_id() {
    let server = start();
    let (mut reader, mut writer) = (server.client(), server.client());
    writer.ask("XADD s 1-1 a old");
    for (request, id) in [
        ("XREAD BLOCK 0 STREAMS s $", "2-1"),
        ("XREAD COUNT 5 BLOCK 20000 STREAMS none s 0 $", "3-1"),
        ("XREAD BLOCK 0 STREAMS s 3-5", "4-1"),
    ] {
        reader.send(request);
        wait_for_blocked(&server, 1);
        // What can't be read wakes nobody.
        ask(&mut writer, "MULTI");
        ask(&mut writer, &format!("XADD s {id} a gone"));
        ask(&mut writer, &format!("XDEL s {id}"));
        ask(&mut writer, "EXEC");
        let next = format!("{}5", id.trim_end_matches('1'));
        ask(&mut writer, &format!("XADD s {next} a new"));
        assert_eq!(reader.hear(), format!("*[*[\"s\" *[*[\"{next}\" *[\"a\" \"new\"]]]]]"), "{request}");
    }
    reader.send("XREAD BLOCK 10 STREAMS s $");
    assert_eq!(reader.hear(), "(*null)");
    ask(&mut reader, "MULTI");
    ask(&mut reader, "XREAD BLOCK 0 STREAMS s $");
    assert_eq!(ask(&mut reader, "EXEC").render(), "*[(*null)]");
}

#[test]
fn consumers_wait_their_turn_and_hear_when_their_group_goes() {
    let server = start();
    let (mut first, mut second, mut writer) = (server.client(), server.client(), server.client());
    writer.ask("XGROUP CREATE s g $ MKSTREAM");
    first.send("XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
    wait_for_blocked(&server, 1);
    second.send("XREADGROUP GROUP g bob BLOCK 0 STREAMS s >");
    wait_for_blocked(&server, 2);
    // Who waits is a consumer already.
    assert_eq!(writer.ask("XGROUP CREATECONSUMER s g bob").int(), Some(0));
    writer.ask("XADD s 1-1 a b");
    assert_eq!(first.hear(), "*[*[\"s\" *[*[\"1-1\" *[\"a\" \"b\"]]]]]");
    wait_for_blocked(&server, 1);
    assert_eq!(writer.ask("XPENDING s g").render(), "*[:1 \"1-1\" \"1-1\" *[*[\"alice\" \"1\"]]]");
    writer.ask("XGROUP DESTROY s g");
    let gone = "-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option";
    assert_eq!(second.hear(), gone);
    for (end, error) in [
        ("DEL s", gone),
        ("SET s x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
        ("FLUSHALL", gone),
    ] {
        writer.ask("DEL s");
        writer.ask("XGROUP CREATE s g $ MKSTREAM");
        first.send("XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
        wait_for_blocked(&server, 1);
        writer.ask(end);
        assert_eq!(first.hear(), error, "{end}");
    }
}

#[test]
fn who_claims_gets_what_was_idle_first_and_is_told_for_how_long() {
    let server = start();
    let mut client = server.client();
    for request in ["XADD s 1-0 f v", "XADD s 2-0 f v", "XADD s 3-0 f v", "XGROUP CREATE s g 0"] {
        client.ask(request);
    }
    client.ask("XREADGROUP GROUP g alice COUNT 2 STREAMS s >");
    client.ask("XCLAIM s g alice 0 1-0 TIME 1000 RETRYCOUNT 6 JUSTID");
    let reply = client.ask("XREADGROUP GROUP g bob CLAIM 100000 STREAMS s >");
    let entries = &reply.children[0].children[1].children;
    let ids: Vec<String> = entries.iter().map(|entry| entry.children[0].string()).collect();
    assert_eq!(ids, ["1-0", "3-0"]);
    assert!(entries[0].children[2].int().is_some_and(|idle_ms| idle_ms > 100_000));
    assert_eq!(entries[0].children[3].int(), Some(6));
    assert_eq!((entries[1].children[2].int(), entries[1].children[3].int()), (Some(0), Some(0)));
    let pending = client.ask("XPENDING s g - + 10 bob");
    assert_eq!(pending.children.iter().map(|p| p.children[3].int()).collect::<Vec<_>>(), [Some(7), Some(1)]);
}

#[test]
fn who_waits_to_claim_gets_what_becomes_idle_meanwhile() {
    let server = start();
    let (mut first, mut second, mut writer) = (server.client(), server.client(), server.client());
    writer.ask("XGROUP CREATE s g $ MKSTREAM");
    first.send("XREADGROUP GROUP g alice BLOCK 0 STREAMS s >");
    wait_for_blocked(&server, 1);
    second.send("XREADGROUP GROUP g bob BLOCK 0 CLAIM 30 STREAMS s >");
    wait_for_blocked(&server, 2);
    writer.ask("XADD s 1-1 a b");
    first.hear();
    let reply = second.read().expect("the entry comes when it was idle for long enough");
    assert_eq!(reply.children[0].children[1].children[0].children[0].string(), "1-1");
    assert_eq!(writer.ask("XPENDING s g").children[3].render(), "*[*[\"bob\" \"1\"]]");
}

#[test]
fn a_stream_of_many_nodes_can_be_walked_trimmed_and_copied() {
    let server = start();
    let mut client = server.client();
    let mut text = Vec::new();
    for id in 1..=20_000 {
        text.extend_from_slice(format!("XADD s {id}-0 field {id} other value\r\n").as_bytes());
    }
    client.send_raw(&text).expect("the server reads");
    (1..=20_000).for_each(|_| drop(client.hear()));
    assert_eq!(client.ask("XLEN s").int(), Some(20_000));
    let middle = client.ask("XRANGE s 9999 + COUNT 2");
    assert_eq!(
        middle.render(),
        "*[*[\"9999-0\" *[\"field\" \"9999\" \"other\" \"value\"]] *[\"10000-0\" *[\"field\" \"10000\" \"other\" \"value\"]]]"
    );
    assert_eq!(client.ask("XREVRANGE s 9999 - COUNT 1").children[0].children[0].string(), "9999-0");
    assert_eq!(client.ask("COPY s t").int(), Some(1));
    assert_eq!(client.ask("XTRIM s MINID 15000").int(), Some(14_999));
    assert_eq!(client.ask("XTRIM s MAXLEN ~ 4000").int(), Some(1_001));
    assert_eq!((client.ask("XLEN s").int(), client.ask("XLEN t").int()), (Some(4_000), Some(20_000)));
    assert!(client.ask("MEMORY USAGE t").int().is_some_and(|bytes| bytes > 400_000));
    assert_eq!(client.ask("UNLINK t").int(), Some(1));
}
