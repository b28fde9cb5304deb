//! The commands of vector sets against the real binary. No reference server with them is at hand: the transcript holds what the
//! manual, the error reference and the tests of client libraries say.

mod support;

use std::collections::HashMap;
use support::client::{Client, Value};
use support::transcript::{ask, breaks_watch, follow};
use support::{Process, our_binary};

const TRANSCRIPT: &str = include_str!("transcripts/vectors.txt");

#[test]
fn vector_sets_reply_as_the_manual_says() {
    for proto in [2, 3] {
        let server = Process::start(&our_binary(), &[]);
        follow(&mut server.client(), proto, TRANSCRIPT);
    }
}

#[test]
fn a_watch_breaks_when_vector_sets_change_and_only_then() {
    let server = Process::start(&our_binary(), &[]);
    let (mut client, mut other) = (server.client(), server.client());
    for request in ["VADD k VALUES 1 1 a", "VADD k VALUES 1 1 a", "VSETATTR k a x", "VREM k a", "VADD k VALUES 1 1 a"] {
        assert!(breaks_watch(&mut client, &mut other, "k", request), "{request} changes the key");
    }
    for request in [
        "VADD k VALUES 2 1 1 b",
        "VSETATTR k b x",
        "VREM k b",
        "VSIM k ELE a",
        "VEMB k a",
        "VLINKS k a",
        "VINFO k",
        "VRANGE k - +",
        "VRANDMEMBER k 3",
    ] {
        assert!(!breaks_watch(&mut client, &mut other, "k", request), "{request} changes nothing");
    }
}

/// VADD of floats in their four bytes.
fn add(client: &mut Client, key: &str, element: &str, vector: &[f32], options: &[&str]) -> Value {
    let blob: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut words: Vec<&[u8]> = vec![b"VADD", key.as_bytes(), b"FP32", &blob, element.as_bytes()];
    words.extend(options.iter().map(|option| option.as_bytes()));
    client.call(&words).expect("the server replies")
}

#[test]
fn floats_may_come_as_their_bytes() {
    let server = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    assert_eq!(add(&mut client, "k", "a", &[2.0, -2.0, 1.0], &["NOQUANT"]).int(), Some(1));
    assert_eq!(ask(&mut client, "VEMB k a").render(), "*[\"2\" \"-2\" \"1\"]");
    let raw = ask(&mut client, "VEMB k a RAW");
    assert_eq!((raw.children.len(), raw.children[0].string()), (3, "f32".to_owned()));
    assert_eq!(raw.children[1].text.len(), 12);
}

/// Twenty clouds of vectors, whose attributes name them.
fn fill(client: &mut Client, key: &str, options: &[&str]) {
    for n in 0..400u32 {
        let cloud = n % 20;
        // Noise of a fixed sequence: the golden ratio's multiples are spread evenly.
        let noise = |i: u32| ((n * 16 + i) as f32 * 0.618_034).fract() * 0.4;
        let vector: Vec<f32> = (0..16).map(|i| f32::from(u8::from(i == cloud % 16)) * 3.0 + noise(i)).collect();
        let attributes = format!("{{\"cloud\": {cloud}, \"name\": \"cloud {cloud}\", \"n\": {n}}}");
        let mut words = vec!["SETATTR", &attributes];
        words.extend(options);
        assert_eq!(add(client, key, &format!("e{n}"), &vector, &words).int(), Some(1));
    }
}

#[test]
fn filtered_searches_find_what_they_should() {
    let server = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    for (key, options) in [("q8", &["Q8"][..]), ("f32", &["NOQUANT", "M", "8"]), ("bin", &["BIN"])] {
        fill(&mut client, key, options);
        for (filter, most) in [
            (".cloud == 3", 20),
            (".cloud in [3, 4] and .n > 100", 30),
            ("\"cloud 1\" in .name and not (.cloud == 1)", 200),
            (".n % 2 == 0 && .n / 2 < 50", 50),
            (".missing", 0),
        ] {
            let found = ask(&mut client, &format!("VSIM {key} ELE e3 COUNT 200 FILTER '{filter}' FILTER-EF 0"));
            let exact = ask(&mut client, &format!("VSIM {key} ELE e3 COUNT 200 TRUTH FILTER '{filter}'"));
            let share = found.children.len() * 10 >= exact.children.len() * 9;
            assert!(
                exact.children.len() <= most && share,
                "{key} {filter}: {} of {}",
                found.children.len(),
                exact.children.len()
            );
        }
        let none = ask(&mut client, &format!("VSIM {key} ELE e3 FILTER '.n == 399' FILTER-EF 20"));
        assert!(none.children.len() <= 1);
    }
}

#[test]
fn facts_of_a_set_and_links_of_its_elements_agree() {
    let server = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    fill(&mut client, "k", &["M", "5"]);
    ask(&mut client, "VREM k e0");
    ask(&mut client, "HELLO 3");
    let info = ask(&mut client, "VINFO k");
    let fields: HashMap<String, Option<i64>> =
        info.children.chunks(2).map(|pair| (pair[0].string(), pair[1].int())).collect();
    let expected = [
        ("hnsw-m", 5),
        ("vector-dim", 16),
        ("projection-input-dim", 0),
        ("size", 399),
        ("attributes-count", 399),
        ("hnsw-max-node-uid", 400),
    ];
    for (name, value) in expected {
        assert_eq!(fields[name], Some(value), "{name}");
    }
    assert_eq!((info.kind, info.children[1].string(), fields.len()), (b'%', "int8".to_owned(), 9));
    let mut levels = 0;
    for n in 1..400 {
        let links = ask(&mut client, &format!("VLINKS k e{n}"));
        levels = levels.max(links.children.len());
        let lowest = links.children.last().expect("there is one level at least");
        assert!((1..=10).contains(&lowest.children.len()));
        let scores = ask(&mut client, &format!("VLINKS k e{n} WITHSCORES"));
        assert_eq!(scores.children.last().expect("the same levels").children.len(), 2 * lowest.children.len());
    }
    assert_eq!(fields["max-level"], Some(levels as i64 - 1));
}

#[test]
fn digests_tell_sets_apart_and_see_through_their_order() {
    let server = Process::start(&our_binary(), &["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let mut digest = |requests: &[&str]| {
        requests.iter().for_each(|request| drop(ask(&mut client, request)));
        ask(&mut client, "DEBUG DIGEST-VALUE k").render()
    };
    let one = digest(&["VADD k VALUES 2 1 2 a SETATTR x", "VADD k VALUES 2 2 1 b"]);
    let other = digest(&["DEL k", "VADD k VALUES 2 2 1 b", "VADD k VALUES 2 1 2 a", "VSETATTR k a x"]);
    assert_eq!(one, other);
    let attributes = digest(&["VSETATTR k a y"]);
    let moved = digest(&["VSETATTR k a x", "VADD k VALUES 2 9 1 b"]);
    let without = digest(&["VADD k VALUES 2 2 1 b", "VSETATTR k a ''"]);
    assert!(one != attributes && one != moved && one != without && moved != without);
    assert!(ask(&mut client, "MEMORY USAGE k").int().is_some_and(|bytes| bytes > 500));
    assert!(!ask(&mut client, "DEBUG OBJECT k").is_error());
    assert_eq!(ask(&mut client, "UNLINK k").int(), Some(1));
}
