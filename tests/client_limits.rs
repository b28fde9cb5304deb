//! Limits of clients against the real binary: how many, how silent, how greedy.

mod support;

use support::client::Client;
use support::{Process, start, wait_until};

fn named(server: &Process, name: &str) -> Client {
    let mut client = server.client();
    client.ask(&format!("CLIENT SETNAME {name}"));
    client
}

/// A number of the line of the client of this name, if it is there.
fn number_of(asking: &mut Client, name: &str, field: &str) -> Option<u64> {
    let all = asking.ask("CLIENT LIST").string();
    let line = all.lines().find(|line| line.contains(&format!(" name={name} ")))?.to_owned();
    let start = format!("{field}=");
    line.split(' ').find_map(|part| part.strip_prefix(&start)?.parse().ok())
}

fn is_there(asking: &mut Client, name: &str) -> bool {
    number_of(asking, name, "id").is_some()
}

/// Begins a request with an argument of `len` bytes of which all but the line end are sent.
fn send_unfinished(client: &mut Client, len: usize) {
    let mut bytes = format!("*1\r\n${len}\r\n").into_bytes();
    bytes.resize(bytes.len() + len, b'v');
    // A client that is thrown out in the middle can't write the rest.
    drop(client.send_raw(&bytes));
}

fn stat(client: &mut Client, name: &str) -> u64 {
    let text = client.ask("INFO stats").string() + &client.ask("INFO clients").string();
    let start = format!("{name}:");
    let found = text.lines().find_map(|line| line.strip_prefix(&start)?.parse().ok());
    found.unwrap_or_else(|| panic!("no {name} in INFO"))
}

#[test]
fn the_client_beyond_maxclients_is_told_so() {
    let server = start(&["--maxclients", "5"]);
    let mut clients = vec![server.client()];
    // The client that waited for the start may still be there.
    wait_until("nobody else is there", || stat(&mut clients[0], "connected_clients") == 1);
    clients.extend((0..4).map(|_| server.client()));
    assert!(clients.iter_mut().all(|client| client.say("PING") == "+PONG"));
    let mut sixth = server.client();
    assert_eq!(sixth.hear(), "-ERR max number of clients reached");
    assert!(sixth.is_closed());
    assert_eq!(stat(&mut clients[0], "rejected_connections"), 1);
    assert_eq!(stat(&mut clients[0], "connected_clients"), 5);
    clients.pop();
    wait_until("there is room again", || server.client().call(&["PING"]).is_ok_and(|reply| !reply.is_error()));
}

#[test]
fn silent_clients_are_closed_after_the_timeout() {
    let server = start(&[]);
    let (mut control, mut silent) = (server.client(), named(&server, "silent"));
    control.ask("CONFIG SET timeout 1");
    wait_until("the silent one is gone", || !is_there(&mut control, "silent"));
    assert!(silent.is_closed());
    assert_eq!(control.say("PING"), "+PONG", "whoever speaks stays");
}

#[test]
fn replies_over_the_hard_limit_cut_the_client_off_unanswered() {
    let server = start(&["--client-output-buffer-limit", "normal 100000 0 0"]);
    let mut control = named(&server, "control");
    control.ask(&format!("SET big {}", "x".repeat(10_000)));
    (0..150).for_each(|_| drop(control.ask(&format!("RPUSH list {}", "x".repeat(1_000)))));
    let mut one = named(&server, "one");
    one.send("LRANGE list 0 -1");
    assert!(one.is_closed(), "not a byte of the reply comes");
    let mut many = named(&server, "many");
    let pipeline: String = (0..15).map(|i| format!("SET k{i} 1\r\nGET big\r\n")).collect();
    many.send_raw(pipeline.as_bytes()).expect("the server listens");
    assert!(many.is_closed());
    assert_eq!(control.say("EXISTS k14"), ":0", "what follows the limit is not executed");
    let mut transaction = named(&server, "transaction");
    for line in ["MULTI", "SET before 1", "LRANGE list 0 -1", "SET after 1"] {
        transaction.ask(line);
    }
    transaction.send("EXEC");
    assert!(transaction.is_closed());
    assert_eq!(control.say("EXISTS before after"), ":2", "a transaction is finished");
    assert_eq!(stat(&mut control, "client_output_buffer_limit_disconnections"), 3);
}

#[test]
fn replies_of_unknown_length_stop_at_the_limit() {
    let server = start(&["--client-output-buffer-limit", "normal 1000000 0 0"]);
    let mut control = server.client();
    for line in ["HSET h a b", "SADD s a", "ZADD z 1 a"] {
        control.ask(line);
    }
    for line in [
        "HRANDFIELD h -999999999",
        "HRANDFIELD h -999999999 WITHVALUES",
        "SRANDMEMBER s -999999999",
        "ZRANDMEMBER z -999999999 WITHSCORES",
    ] {
        let mut client = server.client();
        client.send(line);
        assert!(client.is_closed(), "{line}");
    }
    assert_eq!(control.say("PING"), "+PONG");
}

#[test]
fn what_monitors_do_not_read_counts_too() {
    let server = start(&["--client-output-buffer-limit", "normal 1000000 0 0"]);
    let (mut control, mut monitor) = (server.client(), named(&server, "monitor"));
    monitor.ask("MONITOR");
    let line = format!("PING {}", "x".repeat(100_000));
    wait_until("the monitor is cut off", || {
        control.ask(&line);
        !is_there(&mut control, "monitor")
    });
}

#[test]
fn the_soft_limit_gives_its_time() {
    let server = start(&["--client-output-buffer-limit", "normal 0 100000 1"]);
    let mut control = server.client();
    control.ask(&format!("SET big {}", "x".repeat(1_000_000)));
    let mut slow = named(&server, "slow");
    (0..20).for_each(|_| slow.send("GET big"));
    wait_until("its replies pile up", || number_of(&mut control, "slow", "omem").is_none_or(|omem| omem > 100_000));
    assert!(is_there(&mut control, "slow"), "not at once");
    wait_until("its time is over", || !is_there(&mut control, "slow"));
}

#[test]
fn a_request_over_the_query_buffer_limit_closes_its_client() {
    let server = start(&["--client-query-buffer-limit", "1mb"]);
    let (mut control, mut greedy) = (server.client(), named(&server, "greedy"));
    send_unfinished(&mut greedy, 2_000_000);
    wait_until("it is gone", || !is_there(&mut control, "greedy"));
    assert_eq!(stat(&mut control, "client_query_buffer_limit_disconnections"), 1);
}

#[test]
fn requests_behind_a_pause_are_bounded_too() {
    let server = start(&["--client-query-buffer-limit", "1mb"]);
    let (mut control, mut greedy) = (server.client(), named(&server, "greedy"));
    control.ask("CLIENT PAUSE 600000 WRITE");
    let flood = format!("SET k {}\r\n", "x".repeat(1_000)).repeat(3_000);
    drop(greedy.send_raw(flood.as_bytes()));
    wait_until("it is gone", || !is_there(&mut control, "greedy"));
}

/// A server whose clients may use 3,000,000 bytes together, and a client that is safe from it.
fn start_with_client_memory() -> (Process, Client) {
    let server = start(&["--maxmemory-clients", "3000000"]);
    let mut control = server.client();
    control.ask("CLIENT NO-EVICT ON");
    (server, control)
}

#[test]
fn large_requests_evict_their_client() {
    let (server, mut control) = start_with_client_memory();
    let mut client = named(&server, "query");
    send_unfinished(&mut client, 3_000_000);
    wait_until("evicted for its request", || !is_there(&mut control, "query"));
    let mut client = named(&server, "argv");
    assert_eq!(client.say(&format!("MSET k v k2 {}", "v".repeat(1_000_000))), "+OK");
    drop(client.call(&["MSET", "k", "v", "k2", &"v".repeat(3_000_000)]));
    wait_until("evicted for its arguments", || !is_there(&mut control, "argv"));
    assert_eq!(control.say("STRLEN k2"), ":1000000");
    let mut client = named(&server, "multi");
    client.ask("MULTI");
    let quarter = format!("SET k {}", "v".repeat(750_000));
    (0..3).for_each(|_| drop(client.ask(&quarter)));
    assert!(is_there(&mut control, "multi"));
    (0..2).for_each(|_| drop(client.call(&["SET", "k", &"v".repeat(750_000)])));
    wait_until("evicted for its transaction", || !is_there(&mut control, "multi"));
    assert_eq!(stat(&mut control, "evicted_clients"), 3);
}

#[test]
fn unread_replies_and_watched_keys_evict_their_client() {
    let (server, mut control) = start_with_client_memory();
    control.ask("SETRANGE k 200000 v");
    let mut client = named(&server, "output");
    assert_eq!(client.ask("GET k").text.len(), 200_001);
    assert!(number_of(&mut control, "output", "tot-mem").is_some_and(|bytes| bytes < 3_000_000));
    wait_until("evicted for its replies", || {
        drop(client.send_raw(b"GET k\r\n"));
        !is_there(&mut control, "output")
    });
    control.ask("CONFIG SET maxmemory-clients 200000");
    let mut client = named(&server, "watch");
    let keys: String = (0..10_000).map(|i| format!(" {i}")).collect();
    drop(client.call(&format!("WATCH{keys}").split(' ').collect::<Vec<_>>()));
    wait_until("evicted for its watches", || !is_there(&mut control, "watch"));
}

#[test]
fn whoever_may_not_be_evicted_stays() {
    let (server, mut control) = start_with_client_memory();
    let mut client = named(&server, "safe");
    client.ask("CLIENT NO-EVICT ON");
    send_unfinished(&mut client, 3_000_001);
    wait_until("it holds more than the limit", || number_of(&mut control, "safe", "qbuf") == Some(3_000_001));
    assert!(number_of(&mut control, "safe", "tot-mem").is_some_and(|bytes| bytes > 3_000_000));
}

#[test]
fn the_largest_clients_go_until_the_rest_fits() {
    let server = start(&[]);
    let mut control = named(&server, "control");
    control.ask("CLIENT NO-EVICT ON");
    let mut clients = Vec::new();
    for (size, name) in [(128 << 10, "small"), (1 << 20, "middle"), (3 << 20, "large")] {
        for i in 0..3 {
            let name = format!("{name}{i}");
            let mut client = named(&server, &name);
            send_unfinished(&mut client, size);
            wait_until("it holds its part", || number_of(&mut control, &name, "qbuf") == Some(size as u64));
            clients.push(client);
        }
    }
    let left = |control: &mut Client, kind: &str| (0..3).filter(|i| is_there(control, &format!("{kind}{i}"))).count();
    let mut limit_to = |bytes: usize| control.ask(&format!("CONFIG SET maxmemory-clients {bytes}"));
    limit_to(4 << 20);
    wait_until("the large ones are gone", || left(&mut control, "large") == 0);
    assert_eq!((left(&mut control, "middle"), left(&mut control, "small")), (3, 3));
    control.ask(&format!("CONFIG SET maxmemory-clients {}", 512 << 10));
    wait_until("the middle ones are gone", || left(&mut control, "middle") == 0);
    assert_eq!(left(&mut control, "small"), 3);
}

#[test]
fn a_share_of_maxmemory_is_a_limit_too() {
    let server = start(&["--maxmemory", "6mb", "--maxmemory-clients", "7%"]);
    let mut control = server.client();
    let limit = 6 * 1024 * 1024 * 7 / 100;
    let mut client = named(&server, "half");
    send_unfinished(&mut client, limit / 2);
    wait_until("it holds half of it", || number_of(&mut control, "half", "qbuf") == Some((limit / 2) as u64));
    assert!(number_of(&mut control, "half", "tot-mem").is_some_and(|bytes| bytes < limit as u64));
    let mut client = named(&server, "all");
    send_unfinished(&mut client, limit);
    wait_until("it is gone", || !is_there(&mut control, "all"));
}

#[test]
fn room_for_requests_is_given_up_when_it_is_idle() {
    let server = start(&[]);
    let (mut control, mut client) = (server.client(), named(&server, "idle"));
    client.send_raw(b"*2\r\n$4\r\nECHO\r\n$2\r\na").expect("the server listens");
    let held = |control: &mut Client| {
        number_of(control, "idle", "qbuf").unwrap_or(0) + number_of(control, "idle", "qbuf-free").unwrap_or(0)
    };
    wait_until("the part is held", || held(&mut control) > 0);
    client.send_raw(b"b\r\n").expect("the server listens");
    assert_eq!(client.hear(), "\"ab\"");
    wait_until("nothing is held", || held(&mut control) == 0);
}

/// A server with a user `amy` whose connections may hold so much, and who may do anything else.
fn start_with_bounded_user(memory: &str) -> (Process, Client) {
    let server = start(&[]);
    let mut control = server.client();
    control.ask(&format!("ACL SETUSER amy on >p ~* &* +@all memory={memory}"));
    (server, control)
}

fn amys(server: &Process, name: &str) -> Client {
    let mut client = named(server, name);
    client.ask("AUTH amy p");
    client
}

/// What the connections of `amy` hold, as ACL GETUSER has it.
fn used_by_amy(asking: &mut Client) -> i64 {
    let shown = asking.ask("ACL GETUSER amy");
    let place = shown.children.iter().position(|item| item.text == b"memory-used").expect("her memory is bounded");
    shown.children[place + 1].int().expect("a number")
}

#[test]
fn a_user_that_holds_its_memory_is_refused_more_and_others_are_not() {
    let (server, mut control) = start_with_bounded_user("1mb");
    let (mut amy, mut second) = (amys(&server, "amy"), amys(&server, "second"));
    assert_eq!(control.ask("ACL LIST").render().matches("memory=1048576").count(), 1);
    amy.ask("MULTI");
    let part = format!("SET k {}", "v".repeat(300_000));
    (0..4).for_each(|_| assert_eq!(amy.say(&part), "+QUEUED"));
    const FULL: &str = "-OOM The connections of user amy hold more than the 1048576 bytes that it may use";
    assert_eq!((amy.say("SET k v"), second.say("GET k")), (FULL.into(), FULL.into()));
    assert!(used_by_amy(&mut control) > 1_200_000);
    assert_eq!((control.say(&part), control.say("STRLEN k")), ("+OK".into(), ":300000".into()));
    // What makes room is not refused.
    assert_eq!(
        (second.say("RESET"), second.say("AUTH amy p"), amy.say("DISCARD")),
        ("+RESET".into(), "+OK".into(), "+OK".into())
    );
    assert_eq!((amy.say("SET k v"), second.say("GET k")), ("+OK".into(), "\"v\"".into()));
    amy.ask("MULTI");
    (0..4).for_each(|_| assert_eq!(amy.say(&part), "+QUEUED"));
    assert!(amy.say("EXEC").starts_with("-EXECABORT Transaction discarded because of: OOM The connections"));
    assert!(used_by_amy(&mut control) < 100_000);
    assert_eq!(control.say("ACL SETUSER amy memory=0"), "+OK");
    assert!(!control.ask("ACL GETUSER amy").render().contains("memory"));
}

#[test]
fn the_largest_connections_go_when_a_user_holds_far_more() {
    let (server, mut control) = start_with_bounded_user("1mb");
    let (mut small, mut large, mut other) = (amys(&server, "small"), amys(&server, "large"), named(&server, "other"));
    send_unfinished(&mut small, 400_000);
    send_unfinished(&mut other, 3_000_000);
    wait_until("the others hold theirs", || {
        number_of(&mut control, "other", "qbuf") == Some(3_000_000) && used_by_amy(&mut control) > 400_000
    });
    send_unfinished(&mut large, 2_000_000);
    wait_until("she lost her largest", || !is_there(&mut control, "large"));
    assert!(is_there(&mut control, "small") && is_there(&mut control, "other"));
    assert_eq!(stat(&mut control, "evicted_clients"), 1);
    // One connection's replies alone never exceed it.
    control.ask(&format!("SET big {}", "v".repeat(1_100_000)));
    let mut reader = amys(&server, "reader");
    reader.send("GET big");
    assert!(reader.is_closed());
    drop((small, large));
    wait_until("nothing is counted that is gone", || used_by_amy(&mut control) == 0);
}

#[test]
fn messages_that_a_user_does_not_read_are_its_memory() {
    let (server, mut control) = start_with_bounded_user("2mb");
    let mut listeners: Vec<Client> = (0..4).map(|i| amys(&server, &format!("listener{i}"))).collect();
    listeners.iter_mut().for_each(|client| drop(client.ask("SUBSCRIBE news")));
    let message = format!("PUBLISH news {}", "x".repeat(100_000));
    wait_until("some of them are gone", || {
        control.ask(&message);
        stat(&mut control, "evicted_clients") + stat(&mut control, "client_output_buffer_limit_disconnections") > 0
    });
    wait_until("the rest is within the limit", || used_by_amy(&mut control) <= 2 << 20);
    assert_eq!(control.say("PING"), "+PONG");
}

#[test]
fn a_bound_holds_for_those_who_were_there_before_and_with_the_limit_of_all() {
    let (server, mut control) = start_with_bounded_user("0");
    control.ask("CLIENT NO-EVICT ON");
    let mut first = amys(&server, "first");
    send_unfinished(&mut first, 400_000);
    wait_until("it is held", || number_of(&mut control, "first", "qbuf") == Some(400_000));
    for limit in ["0", "100mb", "0"] {
        control.ask(&format!("CONFIG SET maxmemory-clients {limit}"));
        control.ask("ACL SETUSER amy memory=1mb");
        wait_until("what she had counts", || used_by_amy(&mut control) > 400_000);
        control.ask("ACL SETUSER amy memory=0");
    }
    control.ask("ACL SETUSER amy memory=300k");
    wait_until("too large from now on", || !is_there(&mut control, "first"));
    assert_eq!(used_by_amy(&mut control), 0);
}
