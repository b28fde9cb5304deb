//! Snapshots and DUMP payloads against the real binaries: what ours writes the reference reads and the other way round, what
//! commands do while one is written, and the tool that checks files.

mod support;

use redstart::base::crc::crc64;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use support::client::{Client, Value};
use support::random::Random;
use support::transcript::{ask, follow};
use support::{Process, oracle, our_binary, start, wait_until};

/// Keys of all databases: type, content in one order, expiry.
type Content = BTreeMap<(u8, Vec<u8>), (String, Vec<String>, String)>;

fn bulk(client: &mut Client, words: &[&[u8]]) -> Value {
    client.call(words).expect("the server answers")
}

fn content(client: &mut Client) -> Content {
    let mut content = Content::new();
    for db in 0..3_u8 {
        ask(client, &format!("SELECT {db}"));
        for key in ask(client, "KEYS *").children {
            let name = key.text;
            let kind = bulk(client, &[b"TYPE", &name]).string();
            if kind == "stream" {
                continue;
            }
            let (request, sorted): (&[&[u8]], bool) = match kind.as_str() {
                "string" => (&[b"GET", &name], false),
                "list" => (&[b"LRANGE", &name, b"0", b"-1"], false),
                "set" => (&[b"SMEMBERS", &name], true),
                "hash" => (&[b"HGETALL", &name], true),
                _ => (&[b"ZRANGE", &name, b"0", b"-1", b"WITHSCORES"], false),
            };
            let value = bulk(client, request);
            let mut elements: Vec<String> = match (kind.as_str(), value.children.is_empty()) {
                ("hash", _) => {
                    value.children.chunks(2).map(|pair| format!("{}={}", pair[0].render(), pair[1].render())).collect()
                }
                ("zset", _) => {
                    value.children.chunks(2).map(|pair| format!("{}@{}", pair[0].render(), number(&pair[1]))).collect()
                }
                (_, true) => vec![value.render()],
                _ => value.children.iter().map(Value::render).collect(),
            };
            if sorted {
                elements.sort();
            }
            let expiry = bulk(client, &[b"PEXPIRETIME", &name]).render();
            content.insert((db, name), (kind, elements, expiry));
        }
    }
    content
}

/// A score whatever its text: 7.0 and 7.2 print them differently.
fn number(score: &Value) -> f64 {
    score.string().parse().expect("a score is a number")
}

fn element(random: &mut Random, ints: bool) -> Vec<u8> {
    let n = random.below(100_000) as u64;
    match n % 6 {
        _ if ints => n.to_string().into_bytes(),
        0 => (-(n as i64) * 1_000_003).to_string().into_bytes(),
        1 => vec![b'x'; n as usize % 200],
        2 => (0..n % 50).map(|_| random.below(256) as u8).collect(),
        _ => format!("element {n} of {}", n % 3).into_bytes(),
    }
}

fn fill(client: &mut Client, seed: u64) {
    let mut random = Random::seeded(seed);
    for nth in 0..150_u64 {
        ask(client, &format!("SELECT {}", nth % 3));
        let key = format!("key{nth}");
        let (ints, count) = (random.below(2) == 0, [1, 2, 100, 130, 600][random.below(5)]);
        let name: &[u8] = match nth % 5 {
            0 => b"SET",
            1 => b"RPUSH",
            2 => b"SADD",
            3 => b"HSET",
            _ => b"ZADD",
        };
        let mut words: Vec<Vec<u8>> = vec![name.to_vec(), key.clone().into_bytes()];
        for at in 0..if nth % 5 == 0 { 1 } else { count } {
            match nth % 5 {
                3 => words.push(format!("field{at}").into_bytes()),
                4 => words
                    .push([format!("{at}"), format!("{at}.25"), "inf".into()][at as usize % 3].clone().into_bytes()),
                _ => {}
            }
            words.push(element(&mut random, ints));
        }
        assert!(!client.call(&words).expect("the server answers").is_error());
        if nth % 4 == 0 {
            ask(client, &format!("EXPIRE {key} {}", 10_000 + nth));
        }
    }
}

/// A file of ours as one of version 10, which the reference takes if no value needs 11.
fn as_version_10(path: &Path) {
    let mut bytes = fs::read(path).expect("a file was written");
    let body = bytes.len() - 8;
    bytes[5..9].copy_from_slice(b"0010");
    let sum = crc64(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    fs::write(path, bytes).expect("it can be written again");
}

fn file_of(server: &Process) -> std::path::PathBuf {
    server.folder.path().join("dump.rdb")
}

/// A new server that finds this file.
fn started_with(binary: &Path, file: &Path, flags: &[&str]) -> Process {
    let folder = file.parent().and_then(Path::to_str).expect("a folder of text");
    Process::start(binary, &[&["--dir", folder], flags].concat())
}

#[test]
fn what_the_reference_saves_we_load_and_the_other_way_round() {
    let Some(reference) = oracle("snapshots of the reference") else { return };
    for seed in 0..3 {
        println!("seed {seed}");
        let theirs = Process::start(&reference, &[]);
        fill(&mut theirs.client(), seed);
        let expected = content(&mut theirs.client());
        ask(&mut theirs.client(), "SAVE");
        let ours = started_with(&our_binary(), &file_of(&theirs), &["--enable-debug-command", "yes"]);
        assert!(content(&mut ours.client()) == expected, "seed {seed}");
        ask(&mut ours.client(), "DEBUG RELOAD");
        assert!(content(&mut ours.client()) == expected, "seed {seed}, by our own file");
        // What needs version 11 is left out: packed sets.
        ask(&mut ours.client(), "CONFIG SET set-max-listpack-entries 0");
        ask(&mut ours.client(), "DEBUG RELOAD");
        for way in ["SAVE", "BGSAVE"] {
            ask(&mut ours.client(), way);
            wait_until("the snapshot is written", || is_saved(&mut ours.client()));
            as_version_10(&file_of(&theirs));
            let again = started_with(&reference, &file_of(&theirs), &["--sanitize-dump-payload", "yes"]);
            assert!(content(&mut again.client()) == expected, "seed {seed}, {way}, read by the reference");
        }
    }
}

/// Values in the forms that servers of all ages wrote, from the corpora of the parser: the reference takes those that it knows.
fn old_payloads() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpora/rdb-value");
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is read").path()).collect();
    files.sort();
    let payload = |path: &std::path::PathBuf| {
        let mut bytes = fs::read(path).expect("it is read");
        bytes.extend_from_slice(&10_u16.to_le_bytes());
        bytes.extend_from_slice(&crc64(&bytes).to_le_bytes());
        (path.file_name().expect("it has a name").to_string_lossy().into_owned(), bytes)
    };
    files.iter().map(payload).collect()
}

/// Everything that a server of version 7.0 can hold: all types, in short and long forms.
fn fill_all(client: &mut Client) -> usize {
    fill(client, 5);
    ask(client, "SELECT 0");
    let mut taken = 0;
    for (name, payload) in old_payloads() {
        taken += usize::from(!bulk(client, &[b"RESTORE", name.as_bytes(), b"0", &payload]).is_error());
    }
    for n in 0..300 {
        client
            .call(&["XADD", "stream", &format!("7-{}", n + 1), "field", &format!("value {n}"), "n", "12"])
            .expect("a reply");
        ask(client, &format!("PFADD sparse e{}", n % 30));
    }
    (0..4_000).for_each(|n| drop(ask(client, &format!("PFADD dense element{n}"))));
    for request in [
        "XADD short 1-1 f v",
        "XADD short 1-2 other w more x",
        "XDEL stream 7-5 7-9 7-300",
        "XGROUP CREATE stream group 7-2",
        "XGROUP CREATE stream idle $",
        "XREADGROUP GROUP group me COUNT 20 STREAMS stream >",
        "XREADGROUP GROUP group you COUNT 3 STREAMS stream >",
        "XACK stream group 7-4 7-6",
        "XGROUP CREATECONSUMER stream group nobody",
        "XADD empty 3-3 f v",
        "XTRIM empty MAXLEN 0",
        "SETBIT bits 100000 1",
        "SET negative -17",
        "SET large 9223372036854775807",
        "PEXPIREAT large 4000000000123",
    ] {
        assert!(!ask(client, request).is_error(), "{request}");
    }
    let library = "#!lua name=lib\nredis.register_function('answer', function() return 42 end)";
    assert!(!client.call(&["FUNCTION", "LOAD", library]).expect("a reply").is_error());
    taken
}

/// What `content` leaves out: streams as they remember, and functions.
fn deeper(client: &mut Client) -> Vec<String> {
    ask(client, "SELECT 0");
    let mut all = Vec::new();
    for request in [
        "XRANGE stream - +",
        "XRANGE short - +",
        "XINFO GROUPS stream",
        "XPENDING stream group - + 100 me",
        "XPENDING stream group - + 100 you",
        "XINFO STREAM empty",
        "PFCOUNT sparse",
        "PFCOUNT dense",
        "FCALL answer 0",
        "DBSIZE",
    ] {
        let mut reply = ask(client, request);
        if request.starts_with("XPENDING") {
            // How long it was idle goes on.
            reply.children.iter_mut().for_each(|entry| drop(entry.children.remove(2)));
        }
        if request == "XINFO STREAM empty" {
            // How its nodes are laid out in memory is each server's own.
            let fields = std::mem::take(&mut reply.children);
            let kept = ["length", "last-generated-id", "max-deleted-entry-id", "entries-added", "groups"];
            let pairs = fields.chunks(2).filter(|pair| kept.contains(&pair[0].string().as_str()));
            reply.children = pairs.flat_map(|pair| pair.to_vec()).collect();
        }
        all.push(format!("{request}: {}", reply.render()));
    }
    all
}

/// The keys that `content` can read: all but streams.
fn all_of(client: &mut Client) -> (Content, Vec<String>) {
    let deep = deeper(client);
    (content(client), deep)
}

#[test]
fn every_type_and_encoding_of_the_reference_comes_over_and_goes_back_by_snapshot_and_by_log() {
    let Some(reference) = oracle("every type and encoding of the reference") else { return };
    for preamble in ["yes", "no"] {
        let log = ["--appendonly", "yes", "--aof-use-rdb-preamble", preamble, "--set-max-listpack-entries", "0"];
        let theirs = Process::start(&reference, &log[..4]);
        let mut their = theirs.client();
        let taken = fill_all(&mut their);
        assert!(taken >= 12, "only {taken} old forms were taken");
        let expected = all_of(&mut their);
        ask(&mut their, "SAVE");
        let by_snapshot = started_with(&our_binary(), &file_of(&theirs), &[]);
        assert_equal(&all_of(&mut by_snapshot.client()), &expected, "their snapshot");
        drop(by_snapshot);
        ask(&mut their, "BGREWRITEAOF");
        let rewritten = |client: &mut Client| {
            let info = ask(client, "INFO persistence").string();
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
        };
        wait_until("the rewrite is over", || rewritten(&mut their));
        ask(&mut their, "SELECT 1");
        ask(&mut their, "RPUSH behind the base");
        let expected = all_of(&mut their);
        their.send("SHUTDOWN NOSAVE");
        wait_until("it ends", || Client::connect(theirs.port).is_err());
        let ours = started_with(&our_binary(), &file_of(&theirs), &log);
        let mut our = ours.client();
        assert_equal(&all_of(&mut our), &expected, "their log");
        if preamble == "yes" {
            // Streams in snapshots have a form since 7.2 that 7.0 does not know; as commands they go back below.
            ask(&mut our, "SELECT 0");
            ask(&mut our, "DEL stream short empty");
        }
        ask(&mut our, "BGREWRITEAOF");
        wait_until("the rewrite is over", || rewritten(&mut our));
        ask(&mut our, "RPUSH behind our base");
        let expected = all_of(&mut our);
        our.send("SHUTDOWN NOSAVE");
        wait_until("it ends", || Client::connect(ours.port).is_err());
        let parts = theirs.folder.path().join("appendonlydir");
        for entry in fs::read_dir(parts).expect("the log is there") {
            let path = entry.expect("it is read").path();
            if path.extension().is_some_and(|extension| extension == "rdb") {
                as_version_10(&path);
            }
        }
        let again = started_with(&reference, &file_of(&theirs), &log[..4]);
        assert_equal(&all_of(&mut again.client()), &expected, "our log, read by the reference");
    }
}

fn assert_equal(found: &(Content, Vec<String>), expected: &(Content, Vec<String>), what: &str) {
    assert_eq!(found.1, expected.1, "{what}");
    for (key, value) in &expected.0 {
        let name = String::from_utf8_lossy(&key.1);
        assert!(found.0.get(key) == Some(value), "{what}: {name} is {:?}, not {value:?}", found.0.get(key));
    }
    assert_eq!(found.0.len(), expected.0.len(), "{what}");
}

fn info(client: &mut Client, field: &str) -> String {
    let text = ask(client, "INFO persistence").string();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")[..]).map(str::to_owned));
    line.unwrap_or_else(|| panic!("no {field} in INFO"))
}

fn is_saved(client: &mut Client) -> bool {
    info(client, "rdb_bgsave_in_progress") == "0"
}

#[test]
fn payloads_equal_those_of_the_reference_and_restore_on_either_side() {
    let Some(reference) = oracle("payloads of the reference") else { return };
    let (theirs, ours) = (Process::start(&reference, &[]), start(&["--set-max-listpack-entries", "0"]));
    let (mut their, mut our) = (theirs.client(), ours.client());
    for client in [&mut their, &mut our] {
        ask(client, "CONFIG SET rdbcompression no");
        fill(client, 7);
    }
    let mut equal = 0;
    for nth in 0..150 {
        for client in [&mut their, &mut our] {
            ask(client, &format!("SELECT {}", nth % 3));
        }
        let key = format!("key{nth}");
        let (one, other) = (ask(&mut their, &format!("DUMP {key}")).text, ask(&mut our, &format!("DUMP {key}")).text);
        // Tables have an order of their own, and scores with decimals another text since 7.2; all else is equal.
        let value = |payload: &[u8]| payload[..payload.len() - 10].to_vec();
        equal += i32::from(value(&one) == value(&other));
        // Lists of several nodes are cut elsewhere: the reference counts a node's limit in another way.
        let plain = nth % 5 == 0 || (nth % 5 == 1 && one[1] == 1 && other[1] == 1) || one[0] == 11;
        assert!(!plain || value(&one) == value(&other), "the payload of {key}");
        let mut older = value(&other);
        older.extend_from_slice(&10_u16.to_le_bytes());
        older.extend_from_slice(&crc64(&older).to_le_bytes());
        assert_eq!(bulk(&mut their, &[b"RESTORE", b"copy", b"0", &older, b"REPLACE"]).render(), "+OK", "{key}");
        assert_eq!(bulk(&mut our, &[b"RESTORE", b"copy", b"0", &one, b"REPLACE"]).render(), "+OK", "{key}");
        ask(&mut their, &format!("COPY copy copy{nth}"));
        ask(&mut our, &format!("COPY copy copy{nth}"));
    }
    assert!(equal > 70, "{equal} of 150 payloads are equal");
    for client in [&mut their, &mut our] {
        (0..3).for_each(|db| drop((ask(client, &format!("SELECT {db}")), ask(client, "DEL copy"))));
    }
    let plain =
        |content: Content| -> Vec<_> { content.into_iter().map(|(key, (kind, v, _))| (key, kind, v)).collect() };
    assert!(plain(content(&mut their)) == plain(content(&mut our)));
}

#[test]
fn dump_and_restore_reply_as_the_reference_does() {
    for proto in [2, 3] {
        let server = start(&[]);
        follow(&mut server.client(), proto, include_str!("transcripts/dump.txt"));
    }
}

#[test]
fn a_snapshot_beside_the_loop_holds_the_moment_it_was_asked_for() {
    let server = start(&["--enable-debug-command", "yes", "--rdb-key-save-delay", "20"]);
    let mut client = server.client();
    ask(&mut client, "DEBUG POPULATE 20000 key 100");
    fill(&mut client, 3);
    ask(&mut client, "SELECT 0");
    let digest = ask(&mut client, "DEBUG DIGEST").string();
    assert_eq!(ask(&mut client, "BGSAVE").render(), "+Background saving started");
    assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "1");
    assert!(ask(&mut client, "BGSAVE").is_error() && ask(&mut client, "SAVE").is_error());
    for nth in 0..20_000 {
        ask(&mut client, &format!("APPEND key:{nth} changed"));
    }
    ask(&mut client, "SELECT 1");
    ask(&mut client, "FLUSHDB");
    ask(&mut client, "SWAPDB 0 2");
    wait_until("the snapshot is written", || is_saved(&mut client));
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    assert!(info(&mut client, "rdb_changes_since_last_save").parse::<u64>().is_ok_and(|n| n >= 20_000));
    let again = started_with(&our_binary(), &file_of(&server), &["--enable-debug-command", "yes"]);
    assert_eq!(ask(&mut again.client(), "DEBUG DIGEST").string(), digest);
}

#[test]
fn flushall_ends_a_snapshot_and_rules_begin_one() {
    let server = start(&["--enable-debug-command", "yes", "--rdb-key-save-delay", "10000"]);
    let mut client = server.client();
    ask(&mut client, "DEBUG POPULATE 5000");
    ask(&mut client, "BGSAVE");
    ask(&mut client, "FLUSHALL");
    assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "0");
    assert!(!file_of(&server).exists());
    ask(&mut client, "CONFIG SET rdb-key-save-delay 0");
    ask(&mut client, "SET k v");
    ask(&mut client, "CONFIG SET save '1 1'");
    wait_until("a rule begins a snapshot", || file_of(&server).exists());
    wait_until("it is counted", || info(&mut client, "rdb_saves") == "1");
}

#[test]
fn a_file_that_is_damaged_is_refused_and_told_of() {
    let server = start(&[]);
    ask(&mut server.client(), "SET k v");
    ask(&mut server.client(), "SAVE");
    let (file, tool) = (file_of(&server), our_binary());
    let check = |file: &Path| {
        let output = Command::new(&tool).arg("--check-rdb").arg(file).output().expect("the tool runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (good, text) = check(&file);
    assert!(good && text.contains("RDB looks OK!") && text.contains("[info] 1 keys read"), "{text}");
    let mut bytes = fs::read(&file).expect("a file was written");
    let at = bytes.len() - 12;
    bytes[at] ^= 1;
    let folder = support::Folder::new("damaged");
    let damaged = folder.path().join("dump.rdb");
    fs::write(&damaged, &bytes).expect("it can be written");
    let (good, text) = check(&damaged);
    assert!(!good && text.contains("RDB ERROR DETECTED") && text.contains("CRC error"), "{text}");
    let started = Command::new(&tool).args(["--port", "0", "--unixsocket", "s", "--dir"]).arg(folder.path()).output();
    let started = started.expect("the server runs");
    let log = String::from_utf8_lossy(&started.stdout).into_owned();
    assert!(!started.status.success() && log.contains("dump.rdb") && log.contains("CRC error"), "{log}");
    assert_eq!(fs::read(&damaged).expect("it is still there"), bytes, "a refused file is left as it is");
    assert!(!check(Path::new("/nowhere/dump.rdb")).0);
}

#[test]
fn a_shutdown_saves_if_there_are_rules() {
    let mut server = start(&["--save", "100", "100"]);
    let mut client = server.client();
    ask(&mut client, "SET k v");
    client.send("SHUTDOWN");
    assert!(server.ends_within(std::time::Duration::from_secs(10)) && file_of(&server).exists());
    let again = started_with(&our_binary(), &file_of(&server), &[]);
    assert_eq!(ask(&mut again.client(), "GET k").render(), "\"v\"");
    assert_eq!(info(&mut again.client(), "rdb_last_load_keys_loaded"), "1");
}

#[test]
fn writes_are_refused_while_snapshots_fail() {
    let server = start(&["--save", "1000", "1000"]);
    let mut client = server.client();
    ask(&mut client, "SET k v");
    // A folder stands where the snapshot should: the last step of writing it fails.
    fs::create_dir_all(file_of(&server).join("in the way")).expect("the folder can be written");
    assert_eq!(ask(&mut client, "SAVE").render(), "-ERR");
    assert_eq!(ask(&mut client, "PING").render(), "+PONG", "who asked for it was told");
    ask(&mut client, "BGSAVE");
    wait_until("it fails", || info(&mut client, "rdb_last_bgsave_status") == "err");
    for refused in ["SET k w", "PING", "DEL k"] {
        assert!(ask(&mut client, refused).render().starts_with("-MISCONF "), "{refused}");
    }
    assert_eq!(ask(&mut client, "GET k").render(), "\"v\"");
    fs::remove_dir_all(file_of(&server)).expect("it can be removed");
    assert_eq!(ask(&mut client, "SAVE").render(), "+OK");
    assert_eq!(ask(&mut client, "SET k w").render(), "+OK");
}

#[test]
fn large_collections_that_change_while_they_are_written_are_saved_as_they_were() {
    let server = start(&["--enable-debug-command", "yes", "--hash-max-listpack-entries", "8"]);
    let mut client = server.client();
    for nth in 0..12_000 {
        client.send(&format!("ZADD z {nth} member:{nth}"));
        client.send(&format!("SADD s member:{nth}"));
        client.send(&format!("HSET h field:{nth} value:{nth}"));
        client.send(&format!("HSET d field:{nth} value:{nth}"));
        client.send(&format!("RPUSH l element:{nth}"));
    }
    (0..60_000).for_each(|_| assert!(!client.read().expect("the server answers").is_error()));
    ask(&mut client, "HPEXPIRE d 100000000 FIELDS 2 field:1 field:7");
    ask(&mut client, "RENAME d dated");
    ask(&mut client, "DEBUG POPULATE 20000");
    let digest = ask(&mut client, "DEBUG DIGEST").string();
    ask(&mut client, "CONFIG SET snapshot-step-us 20");
    ask(&mut client, "BGSAVE");
    for nth in 0..3_000 {
        client.send(&format!("ZADD z {} member:{}", nth % 97, nth * 3));
        client.send(&format!("ZREM z member:{}", nth * 7));
        client.send(&format!("SREM s member:{}", nth * 4));
        client.send(&format!("SADD s other:{nth}"));
        client.send(&format!("HSET h field:{nth} changed other:{nth} v"));
        client.send(&format!("HDEL dated field:{}", nth * 2));
        client.send(&format!("LPUSH l front:{nth}"));
    }
    client.send("RENAME z elsewhere");
    client.send("UNLINK s");
    client.send("MOVE h 3");
    (0..21_003).for_each(|_| assert!(!client.read().expect("the server answers").is_error()));
    ask(&mut client, "SELECT 3");
    ask(&mut client, "HSET h field:11999 last");
    wait_until("the snapshot is written", || is_saved(&mut client));
    assert_eq!(info(&mut client, "rdb_last_bgsave_status"), "ok");
    let again = started_with(&our_binary(), &file_of(&server), &["--enable-debug-command", "yes"]);
    assert_eq!(ask(&mut again.client(), "DEBUG DIGEST").string(), digest);
}

#[test]
fn while_data_are_loaded_commands_that_need_them_are_refused() {
    let server = start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    ask(&mut client, "DEBUG POPULATE 3000 key 1000");
    ask(&mut client, "CONFIG SET rdbcompression no");
    ask(&mut client, "SAVE");
    // A server that takes 100 ms for a key. It answers PING with LOADING, so it is started by hand.
    let file = file_of(&server);
    let port = support::free_port();
    let mut child = Command::new(our_binary())
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "1 1", "--key-load-delay", "100000"])
        .arg("--dir")
        .arg(file.parent().expect("a file is in a folder"))
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the binary starts");
    wait_until("it listens", || Client::connect(port).is_ok());
    let mut client = Client::connect(port).expect("it listens");
    for refused in ["PING", "GET key:1", "SAVE", "BGSAVE", "FLUSHALL"] {
        let reply = ask(&mut client, refused).render();
        assert_eq!(reply, "-LOADING Redis is loading the dataset in memory", "{refused}");
    }
    assert_eq!(info(&mut client, "loading"), "1");
    assert!(info(&mut client, "loading_total_bytes").parse::<u64>().is_ok_and(|bytes| bytes > 3_000_000));
    for field in ["loading_start_time", "loading_loaded_bytes", "loading_loaded_perc", "loading_eta_seconds"] {
        info(&mut client, field);
    }
    assert_eq!(ask(&mut client, "CONFIG SET key-load-delay 0").render(), "+OK");
    wait_until("all is loaded", || ask(&mut client, "DBSIZE").render() == ":3000");
    assert_eq!(info(&mut client, "loading"), "0");
    client.send("SHUTDOWN NOSAVE");
    wait_until("it ends", || child.try_wait().expect("the child is ours").is_some());
}

#[test]
fn a_copy_goes_beside_the_snapshot_and_a_snapshot_can_be_given_up() {
    let server = start(&["--enable-debug-command", "yes"]);
    let mut client = server.client();
    let refused = "-ERR Background saving is currently not in progress or scheduled";
    assert_eq!(ask(&mut client, "BGSAVE CANCEL").render(), refused);
    ask(&mut client, "DEBUG POPULATE 999");
    ask(&mut client, "SET k v");
    for bad in ["BGSAVE TO", "BGSAVE TO a b", "BGSAVE x", "BGSAVE TO ../a", "BGSAVE TO .a", "BGSAVE TO log"] {
        assert!(ask(&mut client, bad).is_error(), "{bad}");
    }
    assert_eq!(ask(&mut client, "BGSAVE TO copy.rdb").render(), "+Background saving started");
    wait_until("the copy is written", || is_saved(&mut client));
    let copy = server.folder.path().join("copy.rdb");
    assert!(copy.exists() && !file_of(&server).exists());
    assert_eq!(info(&mut client, "rdb_changes_since_last_save"), "1");
    fs::rename(&copy, file_of(&server)).expect("it can be renamed");
    let again = started_with(&our_binary(), &file_of(&server), &[]);
    assert_eq!(ask(&mut again.client(), "DBSIZE").render(), ":1000");
    ask(&mut client, "CONFIG SET rdb-key-save-delay 100000");
    ask(&mut client, "BGSAVE");
    assert_eq!(ask(&mut client, "BGSAVE CANCEL").render(), "+Background saving cancelled");
    assert_eq!(info(&mut client, "rdb_bgsave_in_progress"), "0");
    let unfinished = || {
        let mut entries = fs::read_dir(server.folder.path()).expect("the folder is there");
        entries.any(|entry| entry.expect("it can be read").file_name().to_string_lossy().starts_with("temp-"))
    };
    wait_until("the unfinished file is gone", || !unfinished());
    ask(&mut client, "BGSAVE");
    assert_eq!(ask(&mut client, "SHUTDOWN NOSAVE ABORT").render(), "-ERR syntax error");
    client.send("SHUTDOWN NOSAVE");
    let mut server = server;
    assert!(server.ends_within(std::time::Duration::from_secs(10)));
    let mut entries = fs::read_dir(server.folder.path()).expect("the folder is there");
    assert!(!entries.any(|entry| entry.expect("it can be read").file_name().to_string_lossy().starts_with("temp-")));
}

#[test]
fn a_second_interrupt_ends_the_save_of_the_first() {
    let flags = ["--rdb-key-save-delay", "100000", "--save", "3600 1"];
    let mut server = Process::start(&our_binary(), &flags);
    let mut client = server.client();
    // Half a minute to save.
    for n in 0..300 {
        assert_eq!(ask(&mut client, &format!("SET {n} {n}")).render(), "+OK");
    }
    let pid = server.pid().to_string();
    let interrupt = || {
        let sent = Command::new("sh").args(["-c", &format!("kill -s INT {pid}")]).status();
        assert!(sent.is_ok_and(|status| status.success()));
    };
    let temporary = server.folder.path().join(format!("temp-{pid}.rdb"));
    interrupt();
    wait_until("the save has begun", || temporary.exists());
    interrupt();
    assert!(server.ends_within(std::time::Duration::from_secs(15)));
    assert!(server.log().contains("You insist... exiting now."));
    assert!(!temporary.exists() && !server.folder.path().join("dump.rdb").exists());
}
