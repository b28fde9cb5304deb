//! Keys of any type against the real binary: expiry, eviction, moves, scans, and the commands that only we have.

mod support;

use std::time::{Duration, Instant};
use support::client::{Client, encode};
use support::{Process, our_binary};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

fn server(flags: &[&str]) -> Process {
    Process::start(&our_binary(), flags)
}

/// Asks line by line; each reply as one line for people.
fn ask(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    client.call(&words).expect("the server answers").render().replace("\\'", "'")
}

fn expect(client: &mut Client, cases: &[(&str, &str)]) {
    for (line, reply) in cases {
        assert_eq!(ask(client, line), *reply, "{line}");
    }
}

/// Sends many requests at once and reads their replies.
fn pipeline(client: &mut Client, lines: &[String]) -> Vec<String> {
    let mut bytes = Vec::new();
    for line in lines {
        encode(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
    }
    client.send_raw(&bytes).expect("the server reads");
    lines.iter().map(|_| client.read().expect("the server answers").render()).collect()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}: not so after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn info(client: &mut Client, field: &str) -> i64 {
    let text = client.ask("info").string();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap_or_default();
    line.trim().parse().unwrap_or_else(|_| panic!("INFO says {field}:{line}"))
}

#[test]
fn conditions_of_expire_are_told_apart() {
    let server = server(&[]);
    let mut client = server.client();
    expect(
        &mut client,
        &[
            ("set k v", "+OK"),
            ("expire k 100 xx", ":0"),
            ("expire k 100 gt", ":0"),
            ("expire k 100 lt", ":1"),
            ("expire k 50 gt", ":0"),
            ("expire k 200 nx", ":0"),
            ("expire k 200 gt", ":1"),
            ("ttl k", ":200"),
            ("persist k", ":1"),
            ("persist k", ":0"),
            ("ttl k", ":-1"),
            ("expire none 5", ":0"),
            ("ttl none", ":-2"),
            ("expire k 1 nx xx", "-ERR NX and XX, GT or LT options at the same time are not compatible"),
            ("expire k 1 gt lt", "-ERR GT and LT options at the same time are not compatible"),
            ("expire k 1 ab", "-ERR Unsupported option ab"),
            ("expire k 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("pexpireat k 4102444800123", ":1"),
            ("pexpiretime k", ":4102444800123"),
            ("expiretime k", ":4102444800"),
            ("expireat k 1", ":1"),
            ("exists k", ":0"),
        ],
    );
}

#[test]
fn keys_go_at_their_time_without_access_and_are_announced_as_expired() {
    let server = server(&[]);
    let mut client = server.client();
    let lines: Vec<String> = (0..10_000).map(|i| format!("set key:{i} v px {}", 100 + i % 400)).collect();
    pipeline(&mut client, &lines);
    pipeline(&mut client, &["set stays v".to_owned(), "set later v ex 1000".to_owned()]);
    wait_until("only two keys are left", || client.ask("dbsize").int() == Some(2));
    assert_eq!(info(&mut client, "expired_keys"), 10_000);
    assert!(client.ask("info keyspace").string().contains("db0:keys=2,expires=1,"));
}

#[test]
fn names_and_databases_change_with_value_and_expiry() {
    let server = server(&[]);
    let mut client = server.client();
    expect(
        &mut client,
        &[
            ("rpush l a b c", ":3"),
            ("expire l 1000", ":1"),
            ("rename l m", "+OK"),
            ("exists l", ":0"),
            ("ttl m", ":1000"),
            ("rename none m", "-ERR no such key"),
            ("set s v", "+OK"),
            ("renamenx m s", ":0"),
            ("rename m s", "+OK"),
            ("lrange s 0 -1", "*[\"a\" \"b\" \"c\"]"),
            ("copy s c", ":1"),
            ("copy s c", ":0"),
            ("copy s c replace", ":1"),
            ("rpush c d", ":4"),
            ("llen s", ":3"),
            ("ttl c", ":1000"),
            ("copy s s", "-ERR source and destination objects are the same"),
            ("copy s s db 1", ":1"),
            ("copy s s db 99", "-ERR DB index is out of range"),
            ("move c 1", ":1"),
            ("move s 1", ":0"),
            ("move s 0", "-ERR source and destination objects are the same"),
            ("dbsize", ":1"),
            ("swapdb 0 1", "+OK"),
            ("dbsize", ":2"),
            ("size 1", ":1"),
            ("size", ":16"),
            ("size 99", "-ERR DB index is out of range"),
            ("swapdb x 1", "-ERR invalid first DB index"),
        ],
    );
}

#[test]
fn a_copy_of_any_type_shares_nothing_with_its_source() {
    let server = server(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let big: Vec<String> = (0..2000).map(|i| format!("sadd set m{i}")).collect();
    pipeline(&mut client, &big);
    pipeline(&mut client, &(0..2000).map(|i| format!("hset hash f{i} {i}")).collect::<Vec<_>>());
    pipeline(&mut client, &(0..2000).map(|i| format!("zadd zset {i} m{i}")).collect::<Vec<_>>());
    pipeline(&mut client, &(0..2000).map(|i| format!("rpush list e{i}")).collect::<Vec<_>>());
    for (name, change) in
        [("set", "srem set m5"), ("hash", "hset hash f5 x"), ("zset", "zadd zset 7 m5"), ("list", "lset list 5 x")]
    {
        let digest = |client: &mut Client, key: &str| ask(client, &format!("debug digest-value {key}"));
        assert_eq!(ask(&mut client, &format!("copy {name} copy-{name}")), ":1");
        let before = digest(&mut client, &format!("copy-{name}"));
        assert_eq!(digest(&mut client, name), before, "{name}");
        client.ask(change);
        assert_ne!(digest(&mut client, name), before, "{name}");
        assert_eq!(digest(&mut client, &format!("copy-{name}")), before, "{name}");
        assert_eq!(
            ask(&mut client, &format!("object encoding {name}")),
            ask(&mut client, &format!("object encoding copy-{name}"))
        );
    }
}

#[test]
fn a_scan_shows_every_key_that_stays_while_others_come_and_go() {
    let server = server(&[]);
    let mut client = server.client();
    pipeline(&mut client, &(0..1000).map(|i| format!("set stays:{i} v")).collect::<Vec<_>>());
    let (mut seen, mut cursor, mut round) = (std::collections::HashSet::new(), "0".to_owned(), 0);
    loop {
        let reply = client.ask(&format!("scan {cursor} match stays:* count 20"));
        cursor = reply.children[0].string();
        seen.extend(reply.children[1].children.iter().map(|key| key.string()));
        if cursor == "0" {
            break;
        }
        round += 1;
        let change = |i: i32| if round % 2 == 0 { format!("set other:{i} v") } else { format!("del other:{i}") };
        pipeline(&mut client, &(0..500).map(change).collect::<Vec<_>>());
    }
    assert_eq!(seen.len(), 1000);
    expect(
        &mut client,
        &[
            ("scan 0 count 0", "-ERR syntax error"),
            ("scan 0 count x", "-ERR value is not an integer or out of range"),
            ("scan x", "-ERR invalid cursor"),
            ("scan 0 type", "-ERR syntax error"),
            ("flushdb", "+OK"),
            ("sadd set a", ":1"),
            ("set string a", "+OK"),
            ("scan 0 type set count 100", "*[\"0\" *[\"set\"]]"),
            ("scan 0 type nonsense count 100", "*[\"0\" *[]]"),
            ("keys s[a-e]?", "*[\"set\"]"),
        ],
    );
}

#[test]
fn the_names_that_only_we_have_do_what_their_models_do() {
    let server = server(&[]);
    let mut client = server.client();
    expect(
        &mut client,
        &[
            ("set a 1", "+OK"),
            ("set b 1", "+OK"),
            ("delete a none", ":1"),
            ("dropdb foo", "-ERR syntax error"),
            ("dropdb", "+OK"),
            ("dbsize", ":0"),
            ("delete", "-ERR wrong number of arguments for 'delete' command"),
        ],
    );
}

#[test]
fn help_and_object_tell_of_values() {
    let server = server(&[]);
    let mut client = server.client();
    expect(
        &mut client,
        &[
            ("set n 12", "+OK"),
            ("object encoding n", "\"int\""),
            ("object refcount n", ":2147483647"),
            ("object idletime n", ":0"),
            ("object encoding none", "($null)"),
            ("object freq none", "($null)"),
            ("object what n", "-ERR unknown subcommand 'what'. Try OBJECT HELP."),
            ("randomkey", "\"n\""),
            ("touch n none n", ":2"),
            ("type n", "+string"),
            ("type none", "+none"),
        ],
    );
    let help = client.ask("object help");
    assert_eq!(help.children[0].string(), "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    assert!(help.children.iter().any(|line| line.string() == "ENCODING <key>"));
    assert_eq!(help.children[help.children.len() - 1].string(), "    Prints this help.");
}

#[test]
fn lcs_finds_text_length_and_ranges() {
    let server = server(&[]);
    let mut client = server.client();
    expect(
        &mut client,
        &[
            ("set a ohmytext", "+OK"),
            ("set b mynewtext", "+OK"),
            ("lcs a b", "\"mytext\""),
            ("lcs a b len", ":6"),
            ("lcs a b idx", "*[\"matches\" *[*[*[:4 :7] *[:5 :8]] *[*[:2 :3] *[:0 :1]]] \"len\" :6]"),
            ("lcs a b idx minmatchlen 4 withmatchlen", "*[\"matches\" *[*[*[:4 :7] *[:5 :8] :4]] \"len\" :6]"),
            ("lcs a none idx", "*[\"matches\" *[] \"len\" :0]"),
            ("lcs a b idx len", "-ERR If you want both the length and indexes, please just use IDX."),
            ("lcs a b what", "-ERR syntax error"),
            ("sadd set x", ":1"),
            ("lcs a set", "-ERR The specified keys must contain string values"),
        ],
    );
}

/// Fills far beyond the limit while hot keys are read; returns how many of those are left.
fn hot_keys_left(policy: &str, read_while_filling: bool) -> usize {
    let server = server(&["--maxmemory", "10mb", "--maxmemory-policy", policy, "--maxmemory-samples", "10"]);
    let mut client = server.client();
    let reads: Vec<String> = (0..100).map(|i| format!("get hot:{i}")).collect();
    pipeline(&mut client, &(0..100).map(|i| format!("set hot:{i} v ex 10000")).collect::<Vec<_>>());
    for _ in 0..100 {
        pipeline(&mut client, &reads);
    }
    let value = "x".repeat(400);
    for batch in 0..600 {
        let lines: Vec<String> = (0..100).map(|i| format!("set fill:{batch}:{i} {value} ex 9000")).collect();
        let replies = pipeline(&mut client, &lines);
        assert!(replies.iter().all(|reply| reply == "+OK"), "{replies:?}");
        if read_while_filling {
            pipeline(&mut client, &reads);
        }
    }
    assert!(info(&mut client, "evicted_keys") > 10_000);
    let used = info(&mut client, "used_memory");
    assert!(used < 11 << 20, "{used} bytes with {policy}");
    (0..100).filter(|i| client.ask(&format!("exists hot:{i}")).int() == Some(1)).count()
}

#[test]
fn keys_in_use_survive_eviction_by_use() {
    for policy in ["allkeys-lru", "volatile-lru"] {
        let left = hot_keys_left(policy, true);
        assert!(left >= 95, "{left} of 100 with {policy}");
    }
}

#[test]
fn keys_often_used_survive_eviction_by_frequency() {
    for policy in ["allkeys-lfu", "volatile-lfu"] {
        let left = hot_keys_left(policy, false);
        assert!(left >= 95, "{left} of 100 with {policy}");
    }
}

#[test]
fn the_other_policies_keep_within_the_limit() {
    for policy in ["allkeys-random", "volatile-random", "volatile-ttl"] {
        hot_keys_left(policy, false);
    }
}

#[test]
fn only_volatile_keys_are_evicted_when_only_they_may_be_and_then_writes_are_refused() {
    for policy in ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"] {
        let server = server(&["--maxmemory-policy", policy]);
        let mut client = server.client();
        let value = "x".repeat(200);
        let lines = |volatile: bool| -> Vec<String> {
            let expiry = if volatile { " ex 1000" } else { "" };
            (0..3000).map(|i| format!("set {volatile}:{i} {value}{expiry}")).collect()
        };
        pipeline(&mut client, &lines(false));
        pipeline(&mut client, &lines(true));
        client.ask("config set maxmemory 1mb");
        wait_until("writes are refused", || {
            ask(&mut client, "append false:1 x") == "-OOM command not allowed when used memory > 'maxmemory'."
        });
        assert_eq!(client.ask("dbsize").int(), Some(3000), "{policy}");
        expect(
            &mut client,
            &[("exists false:7", ":1"), ("del false:7", ":1"), ("get false:8", &format!("\"{value}\""))],
        );
    }
}

#[test]
fn who_empties_large_databases_waits_for_the_end_and_others_do_not() {
    let server = server(&["--enable-debug-command", "yes", "--appendonly", "yes"]);
    let (mut client, mut other) = (server.client(), server.client());
    ask(&mut client, "DEBUG POPULATE 50000 k");
    ask(&mut client, "SET few 1");
    ask(&mut client, "CONFIG RESETSTAT");
    client.send("FLUSHALL");
    client.send("SET after 1");
    wait_until("the keys are gone", || ask(&mut other, "EXISTS k:7") == ":0");
    ask(&mut other, "SET meanwhile 1");
    assert_eq!((client.hear(), client.hear()), ("+OK".to_owned(), "+OK".to_owned()));
    let memory = other.ask("INFO memory").string();
    assert!(memory.contains("\r\nlazyfreed_objects:50001\r\n"), "{memory}");
    // The log has it where it happened.
    ask(&mut client, "DEBUG LOADAOF");
    assert_eq!(ask(&mut client, "EXISTS few after meanwhile"), ":2");
    // In a transaction nobody waits.
    ask(&mut client, "MULTI");
    ask(&mut client, "DEBUG POPULATE 50000 k");
    ask(&mut client, "FLUSHDB");
    assert_eq!(ask(&mut client, "EXEC"), "*[+OK +OK]");
    assert_eq!(ask(&mut client, "DBSIZE"), ":0");
}
