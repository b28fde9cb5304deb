//! Channels, events about keys and client-side caching: scenes with several clients against our binary and, where it can be
//! had, a real redis-server; then what takes many clients or much memory.
//!
//! ```text
//! # title                     a scene begins with empty databases and new clients
//! a: SUBSCRIBE x => *[...]    the client of this letter asks, and what it is replied; capital letters speak RESP3
//! a hears => *[...]           what it is told without asking
//! a waits BLPOP k 0           it asks, and is replied later
//! a closes                    {a} stands for its number
//! ```

mod support;

use support::client::{Client, Value};
use support::{Process, oracle, start, wait_until};

const SCENES: &str = include_str!("transcripts/pubsub.txt");
/// What the reference of today, 7.0, does otherwise or not at all.
const NEWER_SCENES: &str = include_str!("transcripts/pubsub_newer.txt");

struct Stage<'a> {
    server: &'a Process,
    clients: Vec<(char, Client)>,
    ids: Vec<(char, String)>,
}

impl Stage<'_> {
    fn client(&mut self, name: char) -> &mut Client {
        if !self.clients.iter().any(|(other, _)| *other == name) {
            let mut client = self.server.client();
            if name.is_uppercase() {
                client.ask("HELLO 3");
            }
            let id = client.ask("CLIENT ID").render();
            self.ids.push((name, id[1..].to_owned()));
            self.clients.push((name, client));
        }
        let found = self.clients.iter_mut().find(|(other, _)| *other == name);
        &mut found.expect("it was just made").1
    }

    fn with_ids(&self, text: &str) -> String {
        self.ids.iter().fold(text.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    fn play(&mut self, line: &str) {
        let name = line.chars().next().expect("a line names a client");
        if line.ends_with(" closes") {
            let before = self.connections();
            self.clients.retain(|(other, _)| *other != name);
            return wait_until("the server sees that it is gone", || self.connections() < before);
        }
        if let Some((_, request)) = line.split_once(" waits ") {
            let before = info(&mut self.server.client(), "clients", "blocked_clients");
            self.client(name).send(request);
            let server = self.server;
            let waiting = || info(&mut server.client(), "clients", "blocked_clients");
            return wait_until("the server lets it wait", || waiting() > before);
        }
        let (what, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no reply in: {line}"));
        for (at, _) in what.match_indices('{') {
            self.client(what[at + 1..].chars().next().expect("a letter"));
        }
        let client_is_told = what.ends_with(" hears");
        self.client(name);
        let (what, expected) = (self.with_ids(what), self.with_ids(expected));
        let client = self.client(name);
        let reply = if client_is_told {
            client.read()
        } else {
            let words: Vec<&str> = what[3..].split(' ').map(|word| if word == "\"\"" { "" } else { word }).collect();
            client.call(&words)
        };
        let shown = reply.unwrap_or_else(|e| panic!("{line}: {e}")).render().replace("\\'", "'");
        assert_eq!(shown, expected, "{line}");
    }

    fn connections(&self) -> i64 {
        info(&mut self.server.client(), "clients", "connected_clients")
    }

    /// Nobody was told more than the scene says.
    fn end(mut self) {
        for (name, client) in &mut self.clients {
            let reply = client.call(&["PING", "end"]).expect("the server answers").render();
            assert!(reply == "\"end\"" || reply == "*[\"pong\" \"end\"]", "{name} was told: {reply}");
        }
    }
}

fn info(client: &mut Client, section: &str, field: &str) -> i64 {
    let text = client.ask(&format!("INFO {section}")).string();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.and_then(|n| n.trim().parse().ok()).unwrap_or_else(|| panic!("INFO tells {field}"))
}

fn play(server: &Process, scenes: &str) {
    for scene in scenes.split("\n\n") {
        server.client().ask("FLUSHALL");
        let mut stage = Stage { server, clients: Vec::new(), ids: Vec::new() };
        scene.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).for_each(|line| stage.play(line));
        stage.end();
    }
}

#[test]
fn all_are_told_what_the_scenes_say() {
    let server = start(&[]);
    play(&server, SCENES);
    play(&server, NEWER_SCENES);
}

#[test]
fn the_scenes_are_those_of_the_reference() {
    let Some(oracle) = oracle("scenes of pub/sub") else { return };
    play(&Process::start(&oracle, &[]), SCENES);
}

#[test]
fn what_is_told_comes_even_if_replies_are_turned_off() {
    let server = start(&[]);
    let (mut a, mut b) = (server.client(), server.client());
    a.ask("HELLO 3");
    a.send("CLIENT REPLY OFF");
    a.send("SUBSCRIBE x");
    assert_eq!(a.read().expect("a confirmation").render(), ">[\"subscribe\" \"x\" :1]");
    a.send("SET k v");
    assert_eq!(b.ask("PUBLISH x 1").int(), Some(1));
    assert_eq!(a.read().expect("a message").render(), ">[\"message\" \"x\" \"1\"]");
    a.send("CLIENT REPLY ON");
    assert_eq!(a.read().expect("a reply").render(), "+OK");
}

#[test]
fn large_messages_come_whole_in_both_protocols() {
    let server = start(&[]);
    let (mut old, mut new, mut publisher) = (server.client(), server.client(), server.client());
    new.ask("HELLO 3");
    new.ask("SUBSCRIBE x");
    old.ask("PSUBSCRIBE x*");
    for len in [0, 1, 16_383, 16_384, 70_000, 3_000_000] {
        let message = "m".repeat(len);
        assert_eq!(publisher.call(&["PUBLISH", "x", &message]).expect("a count").int(), Some(2));
        let told = |client: &mut Client| client.read().expect("a message").children.pop().expect("words").text;
        assert!(told(&mut old) == message.as_bytes() && told(&mut new) == message.as_bytes(), "{len}");
    }
}

#[test]
fn a_subscriber_that_reads_nothing_is_cut_off() {
    let server = start(&["--client-output-buffer-limit", "pubsub 4mb 0 0"]);
    let (mut lazy, mut publisher) = (server.client(), server.client());
    lazy.ask("SUBSCRIBE x");
    let message = "m".repeat(1_000_000);
    wait_until("it is cut off", || publisher.call(&["PUBLISH", "x", &message]).expect("a count").int() == Some(0));
    assert_eq!(info(&mut publisher, "stats", "client_output_buffer_limit_disconnections"), 1);
    assert_eq!(info(&mut publisher, "stats", "pubsub_channels"), 0);
}

#[test]
fn a_client_that_listened_to_much_leaves_nothing_behind() {
    const CHANNELS: usize = 20_000;
    let server = start(&[]);
    let (mut many, mut other) = (server.client(), server.client());
    for part in 0..CHANNELS / 1000 {
        let names: Vec<String> = (0..1000).map(|n| format!("channel:{}", part * 1000 + n)).collect();
        many.send(&format!("SUBSCRIBE {}", names.join(" ")));
        names.iter().for_each(|_| _ = many.read().expect("a confirmation"));
    }
    many.ask("PSUBSCRIBE p*");
    many.ask("SSUBSCRIBE s");
    assert_eq!(info(&mut other, "stats", "pubsub_channels"), CHANNELS as i64);
    let fields = other.ask("CLIENT LIST TYPE PUBSUB").string();
    assert!(fields.contains("flags=P ") && fields.contains("sub=20000 psub=1 ssub=1 "), "{fields}");
    drop(many);
    wait_until("all is given up", || info(&mut other, "stats", "pubsub_channels") == 0);
    for field in ["pubsub_patterns", "pubsubshard_channels"] {
        assert_eq!(info(&mut other, "stats", field), 0, "{field}");
    }
    assert_eq!(info(&mut other, "clients", "pubsub_clients"), 0);
}

#[test]
fn who_leaves_very_many_channels_is_told_of_each_and_others_are_served_meanwhile() {
    const CHANNELS: usize = 20_000;
    let server = start(&[]);
    let (mut listener, mut other) = (server.client(), server.client());
    let names: Vec<String> = (0..CHANNELS).map(|n| format!("channel:{n}")).collect();
    let words: Vec<&str> = ["SUBSCRIBE"].into_iter().chain(names.iter().map(String::as_str)).collect();
    listener.call(&words).expect("the first is confirmed");
    (1..CHANNELS).for_each(|_| _ = listener.read().expect("each is confirmed"));
    // What comes behind it waits until all are left; nobody can break it off.
    let id = listener_id(&mut other);
    listener.send("UNSUBSCRIBE");
    listener.send("PING");
    assert_eq!(other.say(&format!("CLIENT UNBLOCK {id}")), ":0");
    let mut left = std::collections::BTreeSet::new();
    for count in (0..CHANNELS).rev() {
        let told = listener.read().expect("each is told");
        assert_eq!((told.children[0].string(), told.children[2].int()), ("unsubscribe".into(), Some(count as i64)));
        assert!(left.insert(told.children[1].string()), "told twice");
    }
    assert_eq!(listener.hear(), "+PONG");
    assert_eq!(other.say("PUBSUB CHANNELS"), "*[]");
}

/// The number of the one client that listens.
fn listener_id(client: &mut Client) -> String {
    let list = client.ask("CLIENT LIST TYPE pubsub").string();
    list.trim_start_matches("id=").split(' ').next().expect("a number").to_owned()
}

#[test]
fn info_counts_what_is_cached() {
    let server = start(&[]);
    let (mut a, mut b) = (server.client(), server.client());
    a.ask("CLIENT TRACKING on");
    b.ask("CLIENT TRACKING on BCAST PREFIX x PREFIX y");
    a.ask("MGET k l m");
    let line = a.ask("CLIENT INFO").string();
    assert!(line.contains(" flags=t ") && line.contains(" redir=0 "), "{line}");
    assert!(b.ask("CLIENT INFO").string().contains(" flags=tB "));
    for (section, field, count) in [
        ("clients", "tracking_clients", 2),
        ("stats", "tracking_total_keys", 3),
        ("stats", "tracking_total_items", 3),
        ("stats", "tracking_total_prefixes", 2),
    ] {
        assert_eq!(info(&mut a, section, field), count, "{field}");
    }
    drop(b);
    wait_until("the prefixes are gone", || info(&mut a, "stats", "tracking_total_prefixes") == 0);
}

#[test]
fn what_changed_before_a_transaction_turned_caching_off_is_told() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("HELLO 3");
    client.ask("CLIENT TRACKING on");
    client.ask("GET before");
    client.ask("GET after");
    client.ask("MULTI");
    for line in ["SET before 1", "CLIENT TRACKING off", "SET after 1"] {
        assert_eq!(client.say(line), "+QUEUED");
    }
    client.send("EXEC");
    assert_eq!(client.read().expect("the replies").children.len(), 3);
    assert_eq!(client.hear(), ">[\"invalidate\" *[\"before\"]]");
    assert_eq!(client.say("PING"), "+PONG");
}

#[test]
fn a_message_to_hundreds_reaches_each_of_them() {
    let server = start(&[]);
    let mut listeners: Vec<Client> = (0..300).map(|_| server.client()).collect();
    listeners.iter_mut().for_each(|listener| drop(listener.ask("SUBSCRIBE news")));
    let mut client = server.client();
    for n in 0..20 {
        assert_eq!(client.ask(&format!("PUBLISH news {n}")).int(), Some(300));
    }
    for listener in &mut listeners {
        for n in 0..20 {
            assert_eq!(listener.hear(), format!("*[\"message\" \"news\" \"{n}\"]"));
        }
    }
}

#[test]
fn keys_beyond_the_limit_are_told_as_changed() {
    let server = start(&["--tracking-table-max-keys", "10"]);
    let mut client = server.client();
    client.ask("HELLO 3");
    client.ask("CLIENT TRACKING on");
    for n in 0..50 {
        client.send(&format!("GET key:{n}"));
    }
    let (mut replies, mut told) = (0, 0);
    while replies < 50 || told < 40 {
        match client.read().expect("a reply or a message") {
            Value { kind: b'>', children, .. } => told += children[1].children.len(),
            _ => replies += 1,
        }
    }
    assert_eq!((replies, told), (50, 40));
    assert!(info(&mut server.client(), "stats", "tracking_total_keys") <= 10);
}

#[test]
fn expired_and_evicted_keys_are_news() {
    let server = start(&["--notify-keyspace-events", "Exe"]);
    let told = |client: &mut Client| client.read().expect("news").render();
    let (mut cache, mut listener, mut other) = (server.client(), server.client(), server.client());
    cache.ask("HELLO 3");
    cache.ask("CLIENT TRACKING on");
    listener.ask("PSUBSCRIBE *");
    other.ask("SET k v PX 30");
    cache.ask("GET k");
    assert_eq!(told(&mut cache), ">[\"invalidate\" *[\"k\"]]");
    assert_eq!(told(&mut listener), "*[\"pmessage\" \"*\" \"__keyevent@0__:expired\" \"k\"]");
    other.ask("SET k v");
    cache.ask("GET k");
    other.ask("CONFIG SET maxmemory-policy allkeys-lru maxmemory 1");
    assert_eq!(told(&mut cache), ">[\"invalidate\" *[\"k\"]]");
    assert_eq!(told(&mut listener), "*[\"pmessage\" \"*\" \"__keyevent@0__:evicted\" \"k\"]");
}
