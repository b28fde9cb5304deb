//! The append-only log against the real binaries: what is damaged is refused or cut off as it should be, the reference's logs are
//! read and ours by the reference, and both write the same commands. What a kill leaves is in `crash.rs`.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};
use support::client::Client;
use support::random::Random;
use support::transcript::ask;
use support::{Folder, Process, oracle, our_binary, start, wait_until};

/// A server with a log in a folder that outlives it.
fn serve(binary: &Path, folder: &Folder, flags: &[&str]) -> Process {
    let dir = folder.path().to_str().expect("the name is text");
    let mut all = vec!["--dir", dir, "--appendonly", "yes"];
    all.extend(flags);
    Process::start(binary, &all)
}

fn ours(folder: &Folder, flags: &[&str]) -> Process {
    let mut all = vec!["--enable-debug-command", "yes"];
    all.extend(flags);
    serve(&our_binary(), folder, &all)
}

fn kill(server: &mut Process) {
    Command::new("kill").args(["-9", &server.pid().to_string()]).status().expect("there is a kill");
    wait_until("the server is dead", || server.ended().is_some());
}

fn part(folder: &Folder, name: &str) -> PathBuf {
    folder.path().join("appendonlydir").join(name)
}

/// What a start prints that fails.
fn refusal(folder: &Folder, flags: &[&str]) -> String {
    let port = support::free_port().to_string();
    let output = Command::new(our_binary())
        .args(["--port", &port, "--save", "", "--appendonly", "yes", "--dir"])
        .arg(folder.path())
        .args(flags)
        .output()
        .expect("it starts");
    assert!(!output.status.success(), "it must not start");
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The commands of a log, one a line, words in quotes.
fn commands(path: &Path) -> Vec<String> {
    let bytes = fs::read(path).expect("the log is there");
    let mut rest = &bytes[..];
    let mut all = Vec::new();
    let line = |rest: &mut &[u8]| -> String {
        let end = rest.windows(2).position(|pair| pair == b"\r\n").expect("lines end");
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        *rest = &rest[end + 2..];
        line
    };
    while !rest.is_empty() {
        let head = line(&mut rest);
        let Some(count) = head.strip_prefix('*') else { continue };
        let words: Vec<String> = (0..count.parse::<usize>().expect("a count"))
            .map(|_| {
                let len: usize = line(&mut rest)[1..].parse().expect("a length");
                let word = String::from_utf8_lossy(&rest[..len]).into_owned();
                rest = &rest[len + 2..];
                word
            })
            .collect();
        all.push(words.join(" "));
    }
    all
}

/// Many clients, each of which waits for every write; until the file is longer than what is written in it. What each has counted.
fn keep_the_disk_busy(server: &Process, file: &Path) -> Option<Vec<i64>> {
    let is_longer = || {
        let written = server.client().ask("INFO persistence").string();
        let end = written.lines().find_map(|line| line.strip_prefix("aof_current_size:")?.trim().parse::<u64>().ok());
        // Only commits that run beside this question can make it look so without being so: by much less.
        fs::metadata(file).is_ok_and(|meta| meta.len() > end.unwrap_or(u64::MAX) + 100_000)
    };
    let begun = Instant::now();
    let mut counted = vec![0; 16];
    while begun.elapsed() < Duration::from_secs(20) {
        std::thread::scope(|scope| {
            for (number, counted) in counted.iter_mut().enumerate() {
                let mut client = server.client();
                scope.spawn(move || {
                    for _ in 0..100 {
                        *counted = ask(&mut client, &format!("INCR n{number}")).int().expect("it counts");
                    }
                });
            }
        });
        if is_longer() {
            return Some(counted);
        }
    }
    None
}

#[test]
fn a_file_made_longer_ahead_loses_nothing_and_is_read_by_the_reference_too() {
    let folder = Folder::new("aof-ahead");
    let flags = ["--appendfsync", "always", "--aof-use-rdb-preamble", "no"];
    let mut server = ours(&folder, &flags);
    let file = part(&folder, "appendonly.aof.1.incr.aof");
    let Some(mut counted) = keep_the_disk_busy(&server, &file) else {
        println!("skipped: this disk is so fast that nothing waits for it");
        return;
    };
    // Something that is known to be the last.
    counted.push(ask(&mut server.client(), "INCR n16").int().expect("it counts"));
    kill(&mut server);
    let readers = oracle("a log made longer ahead").into_iter().chain([our_binary()]);
    for reader in readers {
        let server = serve(&reader, &folder, &flags);
        let mut client = server.client();
        for (number, counted) in counted.iter().enumerate() {
            let found = ask(&mut client, &format!("GET n{number}")).string();
            assert_eq!(found, counted.to_string(), "{} reads n{number}", reader.display());
        }
        drop(client);
        let mut server = server;
        kill(&mut server);
    }
    let checked = check_aof(&[file.to_str().expect("a name")], "");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    // Ended in order, it is as long as what is in it.
    let mut server = ours(&folder, &flags);
    if keep_the_disk_busy(&server, &file).is_some() {
        server.client().send("SHUTDOWN NOSAVE");
        wait_until("it has ended", || server.ended().is_some());
        let bytes = fs::read(&file).expect("it is there");
        assert!(bytes.ends_with(b"\n") && !bytes.ends_with(b"#\n"), "what it was filled with is cut off");
    }
}

#[test]
fn a_pipeline_is_acknowledged_in_order_and_readers_are_served_meanwhile() {
    let folder = Folder::new("aof-always");
    let server = ours(&folder, &["--appendfsync", "always"]);
    let (mut writer, mut reader) = (server.client(), server.client());
    for round in 0..20 {
        let mut bytes = Vec::new();
        for n in 0..100 {
            support::client::encode(&["SET", "k", &format!("{round}-{n}")], &mut bytes);
            support::client::encode(&["GET", "k"], &mut bytes);
        }
        writer.send_raw(&bytes).expect("it takes them");
        assert!(ask(&mut reader, "PING").string().contains("PONG"));
        for n in 0..100 {
            assert_eq!(writer.read().expect("a reply").string(), "OK");
            assert_eq!(writer.read().expect("a reply").string(), format!("{round}-{n}"));
        }
    }
    assert_eq!(writer.say("WAITAOF 1 0 0"), "*[:1 :0]");
}

#[test]
fn a_torn_end_is_cut_off_and_kept_and_a_transaction_counts_whole_or_not_at_all() {
    let folder = Folder::new("aof-torn");
    let mut server = ours(&folder, &[]);
    let mut client = server.client();
    for n in 0..20 {
        ask(&mut client, &format!("SET k{n} v"));
    }
    for line in ["MULTI", "SET a 1", "SET b 1", "EXEC"] {
        ask(&mut client, line);
    }
    kill(&mut server);
    let log = part(&folder, "appendonly.aof.1.incr.aof");
    let whole = fs::read(&log).expect("the log is there");
    for cut in 1..=20 {
        fs::write(&log, &whole[..whole.len() - cut]).expect("it can be cut");
        let mut server = ours(&folder, &[]);
        let mut client = server.client();
        assert_eq!(ask(&mut client, "DBSIZE").int(), Some(20), "{cut} bytes cut off");
        assert!(server.log().contains("Truncating the AOF"), "{}", server.log());
        kill(&mut server);
        assert!(part(&folder, "appendonly.aof.1.incr.aof.cut-off").is_file());
    }
    fs::write(&log, &whole[..whole.len() - 3]).expect("it can be cut");
    assert!(refusal(&folder, &["--aof-load-truncated", "no"]).contains("Unexpected end of file"));
    let zeros = [&whole[..whole.len() - 30], &[0; 4096]].concat();
    fs::write(&log, zeros).expect("it can be written");
    assert_eq!(ask(&mut ours(&folder, &[]).client(), "DBSIZE").int(), Some(20));
}

#[test]
fn damage_in_the_middle_is_refused_with_its_place_and_the_files_stay() {
    let folder = Folder::new("aof-damage");
    let server = ours(&folder, &[]);
    let mut client = server.client();
    for n in 0..1000 {
        ask(&mut client, &format!("SET key{n} some-value"));
    }
    drop(server);
    let log = part(&folder, "appendonly.aof.1.incr.aof");
    let good = fs::read(&log).expect("the log is there");
    let mut random = Random::seeded(5);
    for _ in 0..30 {
        let mut bad = good.clone();
        let at = random.below(bad.len() - 30);
        bad[at] ^= 1 << random.below(8);
        fs::write(&log, &bad).expect("it can be written");
        let text = refusal(&folder, &[]);
        assert!(text.contains("offset") || text.contains("Unknown command"), "a changed byte at {at}: {text}");
        assert_eq!(fs::read(&log).expect("it is there"), bad, "nothing is changed");
    }
    fs::write(&log, &good).expect("it can be written");
    let manifest = part(&folder, "appendonly.aof.manifest");
    let list = fs::read(&manifest).expect("it is there");
    fs::remove_file(&manifest).expect("it can be removed");
    assert!(refusal(&folder, &[]).contains("manifest file appendonly.aof.manifest is missing"));
    fs::write(&manifest, list).expect("it can be written");
    assert_eq!(ask(&mut ours(&folder, &[]).client(), "DBSIZE").int(), Some(1000));
}

#[test]
fn a_single_file_of_an_older_server_is_adopted() {
    for name in ["aoffile", "database.aof"] {
        let folder = Folder::new("aof-old");
        fs::write(folder.path().join(name), "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n").expect("it can be written");
        for _ in 0..2 {
            let mut server = ours(&folder, &["--appendfilename", name]);
            assert_eq!(ask(&mut server.client(), "GET a").string(), "1");
            kill(&mut server);
        }
        assert!(part(&folder, &format!("{name}.manifest")).is_file());
        assert!(!folder.path().join(name).exists());
    }
}

/// Requests whose effects are not their own words, or are several.
const REQUESTS: &str = "SELECT 3|SET a 1 EX 1000|SET b 1|EXPIRE b 500|PEXPIRE b 600000|EXPIREAT b 4000000000|PERSIST b\
|SETEX c 100 v|PSETEX d 100000 v|GETEX c PERSIST|GETEX c EX 100|GETDEL c|INCRBYFLOAT f 1.5|INCRBYFLOAT f 2|INCR n\
|HSET h f 1 g 2|HINCRBYFLOAT h f 0.5|SADD s 1|SPOP s|SADD s 1 2 3 4|SPOP s 9|RPUSH l a b c|LMOVE l m LEFT RIGHT\
|BLPOP l 0|BLMOVE l m RIGHT LEFT 0|BRPOPLPUSH m l 0|LMPOP 1 l LEFT COUNT 5|RPUSH l 1|BLMPOP 0 1 l LEFT|ZADD z 1 a 2 b 3 c\
|ZPOPMIN z|BZPOPMAX z 0|ZMPOP 1 z MIN COUNT 9|XADD st 1-1 f v|XADD st 2-* f v|XADD st MAXLEN = 1 3-0 f v\
|XGROUP CREATE st grp 0|XGROUP CREATECONSUMER st grp you\
|MULTI|SET x 1|INCR x|EXEC|MULTI|SET y 1|EXEC|MULTI|GET x|EXEC|DEL nothing|DEL x y|UNLINK b|COPY a aa\
|RENAME aa ab|MOVE ab 4|SWAPDB 4 5|GEOADD g 1 2 p|GEOSEARCHSTORE g2 g FROMMEMBER p BYRADIUS 1 m|SORT g BY nosort STORE o\
|SETRANGE r 3 xx|APPEND r y|BITOP NOT q r|SETBIT q 3 1|BITFIELD q SET u8 0 5|PFADD hll a b|PFMERGE hll2 hll|GETSET n 5\
|MSET k1 1 k2 2|MSETNX k1 1 k3 3|SETNX n 1|FLUSHDB|FLUSHALL|SELECT 0|SET last 1";

#[test]
fn both_servers_write_the_same_commands() {
    let Some(reference) = oracle("the same log as the reference's") else { return };
    let mut logs = Vec::new();
    for (binary, debug) in [(our_binary(), "--enable-debug-command"), (reference, "--enable-debug-command")] {
        let folder = Folder::new("aof-same");
        let server = serve(&binary, &folder, &[debug, "yes"]);
        let mut client = server.client();
        // When a key that nobody looks at goes is each server's own affair.
        ask(&mut client, "DEBUG SET-ACTIVE-EXPIRE 0");
        for request in REQUESTS.split('|') {
            ask(&mut client, request);
        }
        for script in [
            "redis.call('SET',KEYS[1],1);redis.call('INCR',KEYS[1]);redis.call('EXPIRE',KEYS[1],100)",
            "redis.call('SET',KEYS[1],1)",
            "return redis.call('GET',KEYS[1])",
        ] {
            client.call(&["EVAL", script, "1", "script-key"]).expect("it runs");
        }
        logs.push(commands(&part(&folder, "appendonly.aof.1.incr.aof")));
    }
    let shown: Vec<Vec<String>> = logs.iter().map(|log| log.iter().map(|line| comparable(line)).collect()).collect();
    for (nth, (mine, theirs)) in shown[0].iter().zip(&shown[1]).enumerate() {
        let context = &shown[0][nth.saturating_sub(3)..nth];
        assert_eq!(mine, theirs, "command {nth}, after {context:?}");
    }
    assert_eq!(shown[0].len(), shown[1].len());
}

/// A command without what differs between two runs: points in time, and which member it was.
fn comparable(line: &str) -> String {
    let words = line.split(' ').map(|word| match word.parse::<u64>() {
        Ok(number) if number > 1_600_000_000_000 => "TIME",
        _ => word,
    });
    let line = words.collect::<Vec<_>>().join(" ");
    if line.to_ascii_lowercase().starts_with("srem s ") { "SREM s ...".to_owned() } else { line }
}

#[test]
fn a_log_becomes_the_same_data_again_after_random_commands() {
    let folder = Folder::new("aof-digest");
    let mut digest = String::new();
    let mut random = Random::seeded(17);
    for round in 0..3 {
        let mut server =
            ours(&folder, &["--aof-use-rdb-preamble", ["yes", "no", "yes"][round], "--aof-timestamp-enabled", "yes"]);
        let mut client = server.client();
        if round > 0 {
            assert_eq!(client.say("DEBUG DIGEST"), digest, "round {round}");
        }
        for nth in 0..3000 {
            let (key, n) = (random.below(40), random.below(1000));
            let request = match random.below(24) {
                0..=1 => format!("SET s{key} {n}"),
                2 => format!("SET s{key} {n} EX {}", 100 + n),
                3 => format!("INCRBYFLOAT f{key} {n}.25"),
                4..=5 => format!("RPUSH l{key} {n} b c"),
                6 => format!("LPOP l{key}"),
                7..=8 => format!("SADD set{key} {n} {nth}"),
                9 => format!("SPOP set{key} 2"),
                10..=11 => format!("HSET h{key} f{n} {nth} g x"),
                12 => format!("HPEXPIRE h{key} 1000000 FIELDS 1 g"),
                13..=14 => format!("ZADD z{key} {n}.5 m{n}"),
                15 => format!("ZPOPMIN z{key}"),
                16..=17 => format!("XADD x{key} * f {n}"),
                18 => format!("XTRIM x{key} MAXLEN 5"),
                19 => format!("XGROUP CREATE x{key} g 0"),
                20 => format!("XREADGROUP GROUP g me COUNT 3 STREAMS x{key} >"),
                21 => format!("SELECT {}", n % 4),
                22 => format!("EXPIRE l{key} 5000"),
                _ => format!("SETRANGE s{key} {} abc", n % 50),
            };
            client.say(&request);
            if nth == 1500 {
                ask(&mut client, "BGREWRITEAOF");
            }
        }
        ask(&mut client, "XSETID x1 999999999999999-1");
        digest = client.say("DEBUG DIGEST");
        client.say("DEBUG LOADAOF");
        assert_eq!(client.say("DEBUG DIGEST"), digest, "read anew, round {round}");
        let ended =
            |client: &mut Client| ask(client, "INFO persistence").string().contains("aof_rewrite_in_progress:0");
        wait_until("the rewrite is over", || ended(&mut client));
        kill(&mut server);
    }
}

#[test]
fn the_reference_reads_our_log_and_we_read_its() {
    let Some(reference) = oracle("logs that are exchanged with the reference") else { return };
    let requests = [
        "SET a 1 EX 10000",
        "RPUSH l a b",
        "SADD s 1 2",
        "HSET h f v",
        "ZADD z 1.5 m",
        "XADD x 5-1 f v",
        "XGROUP CREATE x g 0",
        "XREADGROUP GROUP g me STREAMS x >",
        "PFADD p a b",
        "SELECT 2",
        "SET b 2",
    ];
    let show = [
        "GET a",
        "LRANGE l 0 -1",
        "SCARD s",
        "HGETALL h",
        "ZRANGE z 0 -1 WITHSCORES",
        "XRANGE x - +",
        "XPENDING x g",
        "PFCOUNT p",
        "DBSIZE",
    ];
    for (writer, reader) in [(our_binary(), reference.clone()), (reference, our_binary())] {
        for preamble in ["no", "yes"] {
            if preamble == "yes" && writer == our_binary() {
                // Its snapshots are of a version that 7.0 does not know.
                continue;
            }
            let folder = Folder::new("aof-exchange");
            let mut server = serve(&writer, &folder, &["--aof-use-rdb-preamble", preamble]);
            let mut client = server.client();
            requests.iter().for_each(|request| drop(ask(&mut client, request)));
            ask(&mut client, "BGREWRITEAOF");
            let rewritten = |client: &mut Client| {
                let info = ask(client, "INFO persistence").string();
                info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
            };
            wait_until("the rewrite is over", || rewritten(&mut client));
            requests.iter().skip(10).for_each(|request| drop(ask(&mut client, request)));
            ask(&mut client, "SELECT 0");
            let before: Vec<String> = show.iter().map(|request| client.say(request)).collect();
            kill(&mut server);
            let server = serve(&reader, &folder, &["--aof-use-rdb-preamble", preamble]);
            let mut client = server.client();
            let after: Vec<String> = show.iter().map(|request| client.say(request)).collect();
            assert_eq!(before, after, "{} wrote, preamble {preamble}", writer.display());
        }
    }
}

fn check_aof(words: &[&str], answer: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new(our_binary())
        .arg("--check-aof")
        .args(words)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("piped").write_all(answer.as_bytes()).expect("it listens");
    child.wait_with_output().expect("it ends")
}

#[test]
fn the_tool_finds_where_a_log_ends_and_cuts_it_there() {
    let folder = Folder::new("aof-check");
    let file = folder.path().join("x.aof");
    let name = file.to_str().expect("text");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    fs::write(&file, format!("{set}*2\r\n$4\r\nin")).expect("written");
    let found = check_aof(&[name], "");
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(!found.status.success());
    assert!(text.contains("size=37, ok_up_to=27, ok_up_to_line=10, diff=10") && text.contains("not valid"), "{text}");
    let mended = check_aof(&["--fix", name], "y\n");
    assert!(String::from_utf8_lossy(&mended.stdout).contains("Successfully truncated AOF"));
    assert_eq!(fs::read_to_string(&file).expect("there"), set);
    assert!(check_aof(&[name], "").status.success());
    fs::write(&file, format!("#TS:100\r\n{set}#TS:200\r\n{set}")).expect("written");
    assert!(check_aof(&["--truncate-to-timestamp", "150", name], "").status.success());
    assert_eq!(fs::read_to_string(&file).expect("there"), format!("#TS:100\r\n{set}"));
    assert!(!check_aof(&["--truncate-to-timestamp", "50", name], "").status.success());
}

#[test]
fn waits_for_the_disk_end_with_it_or_with_their_time() {
    let folder = Folder::new("aof-wait");
    let server = ours(&folder, &["--appendfsync", "no"]);
    let mut client = server.client();
    assert_eq!(client.say("WAITAOF 1 0 0"), "*[:1 :0]");
    ask(&mut client, "SET a 1");
    assert_eq!(client.say("WAITAOF 1 0 20"), "*[:0 :0]");
    assert_eq!(client.say("WAITAOF 0 1 20"), "*[:0 :0]");
    assert_eq!(client.say("WAIT 1 20"), ":0");
    ask(&mut client, "CONFIG SET appendfsync everysec");
    assert_eq!(client.say("WAITAOF 1 0 0"), "*[:1 :0]");
    ask(&mut client, "CONFIG SET appendonly no");
    assert!(client.say("WAITAOF 1 0 0").contains("cannot be used when numlocal is set"));
    assert!(client.say("WAITAOF 2 0 0").contains("out of range"));
    ask(&mut client, "CONFIG SET appendonly yes appendfsync always");
    ask(&mut client, "SET a 2");
    assert_eq!(client.say("WAITAOF 1 0 0"), "*[:1 :0]");
}

/// A small disk of its own.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Folder) -> Option<SmallDisk> {
        let path = folder.path().join("disk");
        fs::create_dir_all(&path).ok()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&path).status();
        mounted.is_ok_and(|status| status.success()).then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A disk that is busy still goes with the folder's mount.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_serves_reads_and_heals_by_itself() {
    let folder = Folder::new("aof-full");
    let Some(disk) = SmallDisk::mount(&folder) else {
        println!("LEFT OUT: a full disk: this user may not mount one");
        return;
    };
    let dir = disk.0.to_str().expect("text").to_owned();
    let flags = ["--dir", &dir, "--appendonly", "yes", "--auto-aof-rewrite-percentage", "0"];
    let filler = disk.0.join("filler");
    fs::write(&filler, vec![1; 600 << 10]).expect("there is room");
    let mut server = start(&flags);
    let mut client = server.client();
    let value = "v".repeat(10_000);
    let mut stored = 0;
    let refused = (0..200).find_map(|n| {
        let reply = client.call(&["SET", &format!("k{n}"), &value]).expect("a reply").render();
        stored += usize::from(reply.contains("OK"));
        reply.contains("MISCONF").then_some(reply)
    });
    assert!(
        refused.as_ref().is_some_and(|text| text.contains("Errors writing to the AOF file: No space left")),
        "{refused:?}"
    );
    assert_eq!(ask(&mut client, "GET k0").string(), value);
    assert!(ask(&mut client, "INFO persistence").string().contains("aof_last_write_status:err"));
    fs::remove_file(&filler).expect("it can be removed");
    wait_until("writes are taken again", || ask(&mut client, "SET healed 1").render().contains("OK"));
    assert_eq!(client.say("WAITAOF 1 0 0"), "*[:1 :0]");
    kill(&mut server);
    let server = start(&flags);
    assert_eq!(ask(&mut server.client(), "DBSIZE").int(), Some(stored as i64 + 1), "{}", server.log());
}

/// A server that takes its time to load, and a client of it.
fn slow_start(folder: &Folder, flags: &[&str]) -> (Child, Client) {
    let port = support::free_port();
    let child = Command::new(our_binary())
        .args(["--port", &port.to_string(), "--save", "", "--dir"])
        .arg(folder.path())
        .args(flags)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let mut client = None;
    wait_until("it listens", || {
        client = Client::connect(port).ok();
        client.is_some()
    });
    (child, client.expect("it listens"))
}

#[test]
fn while_the_log_is_read_others_are_told_so_and_may_end_the_server() {
    let folder = Folder::new("aof-load");
    fs::create_dir(folder.path().join("appendonlydir")).expect("made");
    let mut log = Vec::new();
    // A transaction goes over the borders of what is read at once.
    support::client::encode(&["MULTI"], &mut log);
    for n in 0..20_000 {
        support::client::encode(&["SET", &format!("key:{n}"), &"v".repeat(60)], &mut log);
    }
    support::client::encode(&["EXEC"], &mut log);
    let name = "appendonly.aof.1.incr.aof";
    fs::write(part(&folder, name), &log).expect("written");
    fs::write(part(&folder, "appendonly.aof.manifest"), format!("file {name} seq 1 type i\n")).expect("written");
    let (mut child, mut client) = slow_start(&folder, &["--appendonly", "yes", "--key-load-delay", "1000"]);
    for refused in ["PING", "GET key:1", "SET a b", "DBSIZE"] {
        assert_eq!(client.say(refused), "-LOADING Redis is loading the dataset in memory", "{refused}");
    }
    let field = |client: &mut Client, name: &str| -> u64 {
        let info = ask(client, "INFO persistence").string();
        let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::to_owned));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or_else(|| panic!("{name} in {info}"))
    };
    assert_eq!(field(&mut client, "loading"), 1);
    assert_eq!(field(&mut client, "loading_total_bytes"), log.len() as u64);
    let first = field(&mut client, "loading_loaded_bytes");
    wait_until("more is read", || field(&mut client, "loading_loaded_bytes") > first);
    // New clients come and go beside the log.
    let port = client.stream().peer_addr().expect("it is connected").port();
    for _ in 0..5 {
        assert!(Client::connect(port).expect("it listens").say("PING").starts_with("-LOADING"));
    }
    client.send("SHUTDOWN NOSAVE");
    wait_until("it has ended", || child.try_wait().expect("it is ours").is_some());
    assert_eq!(fs::read(part(&folder, name)).expect("it is there"), log, "nothing was done to the log");
    // All of it is there when it had the time.
    let mut server = ours(&folder, &[]);
    let mut client = server.client();
    assert_eq!(client.say("DBSIZE"), ":20000");
    assert_eq!(field(&mut client, "loading"), 0);
    assert_eq!(client.say("SET more 1"), "+OK");
    kill(&mut server);
    assert_eq!(ours(&folder, &[]).client().say("DBSIZE"), ":20001");
}

#[test]
fn what_is_written_while_a_rewrite_begins_by_itself_counts_once() {
    let folder = Folder::new("aof-once");
    let flags = ["--auto-aof-rewrite-percentage", "1", "--auto-aof-rewrite-min-size", "100kb"];
    let rewrites = |server: &Process| server.log().matches("Starting automatic rewriting").count();
    for round in 0..3 {
        let mut server = ours(&folder, &flags);
        let mut client = server.client();
        let mut written = ask(&mut client, "INCRBY n 0").int().expect("a number");
        let request = [b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n".as_slice(); 200].concat();
        // The kill comes while the last one has begun, or just before or after.
        while rewrites(&server) < 2 {
            client.send_raw(&request).expect("it is served");
            for _ in 0..200 {
                written = client.read().expect("it is served").int().expect("it counts");
            }
        }
        kill(&mut server);
        let server = ours(&folder, &["--auto-aof-rewrite-percentage", "0"]);
        assert_eq!(ask(&mut server.client(), "INCRBY n 0").int(), Some(written), "round {round}");
    }
}

#[test]
fn the_log_is_turned_on_and_off_while_data_are_loaded() {
    for (before, after) in [("yes", "no"), ("no", "yes")] {
        let folder = Folder::new("aof-switch");
        let server = ours(&folder, &["--appendonly", before]);
        let mut client = server.client();
        (0..3_000).for_each(|n| assert_eq!(client.say(&format!("SET k{n} v")), "+OK"));
        assert_eq!(client.say("SAVE"), "+OK");
        drop(server);
        let (mut child, mut client) = slow_start(&folder, &["--appendonly", before, "--key-load-delay", "500"]);
        assert_eq!(client.say("DBSIZE"), "-LOADING Redis is loading the dataset in memory");
        assert_eq!(client.say(&format!("CONFIG SET appendonly {after} key-load-delay 0")), "+OK");
        wait_until("all is loaded", || client.say("DBSIZE") == ":3000");
        let is_on = |client: &mut Client| ask(client, "INFO persistence").string().contains("aof_enabled:1");
        assert_eq!((is_on(&mut client), client.say("SET another v")), (after == "yes", "+OK".to_owned()));
        child.kill().expect("it is ours");
        wait_until("it has ended", || child.try_wait().expect("it is ours").is_some());
    }
}

#[test]
fn offsets_of_the_newer_list_are_kept_up_where_they_are_found() {
    let folder = Folder::new("aof-offsets");
    fs::create_dir(folder.path().join("appendonlydir")).expect("made");
    let set = "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
    let (name, list) = ("appendonly.aof.1.incr.aof", part(&folder, "appendonly.aof.manifest"));
    fs::write(part(&folder, name), set).expect("written");
    let end = |mut server: Process| {
        server.client().send("SHUTDOWN NOSAVE");
        wait_until("it has ended", || server.ended().is_some());
    };
    let offset = |server: &Process| {
        let info = ask(&mut server.client(), "INFO replication").string();
        info.lines().find_map(|line| line.strip_prefix("master_repl_offset:")?.trim().parse::<u64>().ok())
    };
    for (told, wanted) in [("startoffset 100", 127), ("startoffset 100 endoffset 200", 200)] {
        fs::write(part(&folder, name), set).expect("written");
        fs::write(&list, format!("file {name} seq 1 type i {told}\n")).expect("written");
        let server = ours(&folder, &[]);
        assert_eq!(offset(&server), Some(wanted), "{told}");
        let open = fs::read_to_string(&list).expect("there");
        assert!(open.contains("startoffset 100") && !open.contains("endoffset"), "{open}");
        ask(&mut server.client(), "SET b 1");
        end(server);
        let closed = fs::read_to_string(&list).expect("there");
        let written = (fs::metadata(part(&folder, name)).expect("there").len() - set.len() as u64 - 23) + wanted;
        assert!(closed.contains(&format!("endoffset {written}\n")), "{closed}, {written}");
        assert_eq!(ours(&folder, &[]).client().say("DBSIZE"), ":2");
    }
    // Where there are none, none are written: older servers' lists stay as they were.
    fs::write(&list, format!("file {name} seq 1 type i\n")).expect("written");
    end(ours(&folder, &[]));
    assert_eq!(fs::read_to_string(&list).expect("there"), format!("file {name} seq 1 type i\n"));
}
