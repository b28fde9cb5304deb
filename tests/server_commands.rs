//! The server as a whole, from outside: start, options, figures, crash, end.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::client::{Client, Value};
use support::{Folder, Process, free_port, our_binary, program};

fn server() -> Process {
    Process::start(&our_binary(), &["--enable-debug-command", "yes"])
}

/// Runs the binary until it ends by itself.
fn run(args: &[&str]) -> Output {
    Command::new(our_binary()).args(args).output().expect("the binary can be run")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn error(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let reply = client.call(&words).expect("the server replies");
    assert!(reply.is_error(), "{line}: {}", reply.render());
    reply.string()
}

/// The value of a field of INFO.
fn field(client: &mut Client, section: &str, name: &str) -> String {
    let info = client.ask(&format!("info {section}")).string();
    let prefix = format!("{name}:");
    let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("{name} is missing in:\n{info}")).to_owned()
}

/// The element behind a name in a flat list of pairs.
fn behind<'v>(pairs: &'v Value, name: &str) -> &'v Value {
    let at = pairs.children.iter().position(|child| child.string() == name);
    &pairs.children[at.unwrap_or_else(|| panic!("{name} in {}", pairs.render())) + 1]
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn questions_are_answered_and_faults_refused_without_a_server() {
    let version = run(&["--version"]);
    assert!(version.status.success() && text(&version.stdout).starts_with("Redis server v="));
    let good = run(&["--check-config", "--port", "7000"]);
    assert!(good.status.success(), "{}", text(&good.stderr));
    let bad = run(&["--port", "6380", "--maxmemroy", "1"]);
    let said = text(&bad.stderr);
    assert!(!bad.status.success() && said.contains("FATAL CONFIG FILE ERROR") && said.contains("maxmemory"), "{said}");
    let nowhere = run(&["--port", "0", "--dir", "/tmp"]);
    assert!(!nowhere.status.success() && text(&nowhere.stdout).contains("not listen anywhere"));
}

#[test]
fn the_first_lines_say_who_and_where_and_a_taken_port_is_refused() {
    let server = server();
    let log = server.log();
    let lines: Vec<&str> = log.lines().collect();
    assert!(lines.len() <= 8, "{log}");
    let place =
        |word: &str| lines.iter().position(|line| line.contains(word)).unwrap_or_else(|| panic!("{word}: {log}"));
    let pid = format!(" PID: {}", server.pid());
    assert!(place(&pid) < place("Server initialized") && place("Server initialized") < place("Ready to accept"));
    assert!(lines.last().is_some_and(|line| line.contains(&format!("redis-cli -p {}", server.port))), "{log}");
    let second = run(&["--port", &server.port.to_string(), "--bind", "127.0.0.1", "--dir", "/tmp"]);
    let said = text(&second.stdout);
    assert!(
        !second.status.success() && said.contains(&format!("Failed listening on port {} (tcp)", server.port)),
        "{said}"
    );
    // Whoever reads a process id in the log connects at once.
    assert!(!said.contains(" PID: "), "{said}");
}

#[test]
fn the_data_folder_is_made_and_the_background_has_a_pid_file() {
    let folder = Folder::new("start");
    let dir = folder.path().join("a/b");
    let port = free_port().to_string();
    let dir_name = dir.to_str().expect("the folder's name is text");
    let flags = ["--port", &port, "--bind", "127.0.0.1", "--daemonize", "yes", "--pidfile", "server.pid"];
    let started = run(&[&flags[..], &["--dir", dir_name, "--logfile", "server.log"]].concat());
    assert!(started.status.success());
    let port = port.parse().expect("a number");
    wait_for("the background server", || Client::connect(port).is_ok());
    let mut client = Client::connect(port).expect("it listens");
    // It listens a moment before it writes the file, and replies only afterwards.
    let process_id = field(&mut client, "server", "process_id");
    let pid = fs::read_to_string(dir.join("server.pid")).expect("it is written");
    assert_eq!(process_id, pid.trim());
    assert_eq!(
        client.ask("config get dir").children[1].string(),
        dir.canonicalize().expect("it was made").to_string_lossy()
    );
    client.call(&["shutdown", "nosave"]).expect_err("there is no reply");
    wait_for("the end", || !dir.join("server.pid").exists());
    wait_for("the bye", || fs::read_to_string(dir.join("server.log")).is_ok_and(|log| log.contains("bye bye")));
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("unix");
    let path = folder.path().join("s.sock");
    let name = path.to_str().expect("the folder's name is text");
    let server = Process::start(&our_binary(), &["--unixsocket", name, "--unixsocketperm", "700"]);
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o700);
    assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
    drop(server);
    assert!(!path.exists());
}

#[test]
fn info_tells_the_truth_in_the_usual_sections() {
    let server = server();
    let mut client = server.client();
    let info = client.ask("info").string();
    for section in [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
        "Cluster",
        "Keyspace",
    ] {
        assert!(info.contains(&format!("# {section}\r\n")), "{section}");
    }
    assert!(!info.contains("# Commandstats") && client.ask("info everything").string().contains("# Commandstats"));
    let before: u64 = field(&mut client, "memory", "used_memory").parse().expect("a number");
    for i in 0..2000 {
        client.ask(&format!("set key:{i} {}", "x".repeat(100)));
    }
    error(&mut client, "lpush key:1 a");
    client.ask("get nothing");
    let after: u64 = field(&mut client, "memory", "used_memory").parse().expect("a number");
    assert!(after > before + 200_000, "{before} -> {after}");
    assert_eq!(field(&mut client, "keyspace", "db0"), "keys=2000,expires=0,avg_ttl=0,subexpiry=0");
    assert!(field(&mut client, "commandstats", "cmdstat_set").starts_with("calls=2000,"));
    assert!(field(&mut client, "commandstats", "cmdstat_lpush").ends_with("rejected_calls=0,failed_calls=1"));
    assert_eq!(field(&mut client, "errorstats", "errorstat_WRONGTYPE"), "count=1");
    assert!(field(&mut client, "latencystats", "latency_percentiles_usec_set").starts_with("p50="));
    assert_eq!(
        (field(&mut client, "stats", "keyspace_misses"), field(&mut client, "replication", "role")),
        ("1".into(), "master".into())
    );
    assert_eq!(client.ask("info nothing").string(), "");
    assert!(client.ask("info key:1").string().starts_with("# Key\r\ntype:string\r\nencoding:raw\r\n"));
    client.ask("config resetstat");
    assert!(!client.ask("info commandstats").string().contains("cmdstat_set"));
}

#[test]
fn command_tells_of_every_command_and_finds_keys() {
    let server = server();
    let mut client = server.client();
    let count = client.ask("command count").int().expect("a number");
    let all = client.ask("command");
    assert_eq!(all.children.len() as i64, count);
    assert_eq!(client.ask("commands").children.len() as i64, count);
    assert_eq!(client.ask("command docs").children.len() as i64, 2 * count);
    for command in &all.children {
        let name = command.children[0].string();
        let docs = client.ask(&format!("command docs {name}"));
        assert!(!behind(&docs.children[1], "summary").string().is_empty(), "{name}");
    }
    let names = |value: Value| value.children.iter().map(Value::string).collect::<Vec<_>>();
    assert_eq!(names(client.ask("command getkeys mset a 1 b 2")), ["a", "b"]);
    assert_eq!(names(client.ask("commands lp*")), ["lpop", "lpos", "lpush", "lpushx"]);
    assert_eq!(behind(&client.ask("commands get"), "syntax").string(), "GET key");
    let flags = |value: &Value| value.children[0].children[1].children.iter().map(Value::string).collect::<Vec<_>>();
    assert_eq!(flags(&client.ask("command getkeysandflags set k v")), ["OW", "update"]);
    assert_eq!(flags(&client.ask("command getkeysandflags set k v get")), ["RW", "access", "update"]);
    assert_eq!(error(&mut client, "command getkeys ping"), "ERR The command has no key arguments");
    assert_eq!(error(&mut client, "command nothing"), "ERR unknown subcommand 'nothing'. Try COMMAND HELP.");
    assert!(names(client.ask("command list filterby aclcat dangerous")).contains(&"config|set".to_owned()));
}

#[test]
fn a_renamed_command_is_known_by_its_new_name_only() {
    let flags = ["--rename-command", "get", "fetch", "--rename-command", "flushall", ""];
    let server = Process::start(&our_binary(), &flags);
    let mut client = server.client();
    client.ask("set k v");
    assert_eq!(client.ask("fetch k").string(), "v");
    assert!(error(&mut client, "get k").starts_with("ERR unknown command 'get'"));
    assert!(error(&mut client, "flushall").starts_with("ERR unknown command"));
    assert_eq!(client.ask("command info fetch").children[0].children[0].string(), "fetch");
    assert!(client.ask("command info flushall").children[0].is_null());
}

#[test]
fn config_set_takes_hold_at_once() {
    let server = server();
    let mut client = server.client();
    client.ask("sadd s 1 2 3");
    client.ask("config set set-max-intset-entries 2");
    client.ask("sadd t 1 2 3");
    assert_eq!(client.ask("object encoding s").string(), "intset");
    assert_ne!(client.ask("object encoding t").string(), "intset");
    client.ask("config set slowlog-log-slower-than 0 slowlog-max-len 5");
    for _ in 0..10 {
        client.ask("ping");
    }
    assert_eq!(client.ask("slowlog len").int(), Some(5));
    client.ask("config set maxmemory-policy allkeys-lfu");
    client.ask("set k v");
    assert!(client.ask("object freq k").int().is_some());
    let refused = error(&mut client, "config set maxmemory 5mb port nothing");
    assert!(refused.contains("(possibly related to argument 'port')"), "{refused}");
    assert_eq!(client.ask("config get maxmemory").children[1].string(), "0");
    let unknown = client.call(&[&b"CONFIG"[..], b"SET", b"\xff\xfe\0x", b"1"]).expect("an answer");
    assert_eq!(unknown.text, b"ERR Unknown option or number of arguments for CONFIG SET - '\xff\xfe'");
}

#[test]
fn the_port_moves_and_stays_where_it_can_not() {
    let server = server();
    let other = Process::start(&our_binary(), &[]);
    let mut client = server.client();
    let refused = error(&mut client, &format!("config set port {}", other.port));
    assert!(refused.ends_with("Unable to listen on this port. Check server logs."), "{refused}");
    server.client().ask("ping");
    let port = free_port();
    client.ask(&format!("config set port {port}"));
    wait_for("the new port", || Client::connect(port).is_ok());
    wait_for("the old port's end", || Client::connect(server.port).is_err());
    Client::connect(port).expect("it listens").ask(&format!("config set port {}", server.port));
    wait_for("the old port", || Client::connect(server.port).is_ok());
}

#[test]
fn what_takes_long_is_remembered() {
    let server = server();
    let mut client = server.client();
    client.ask("config set latency-monitor-threshold 5");
    client.ask("debug sleep 0.02");
    let latest = client.ask("latency latest");
    assert_eq!(latest.children[0].children[0].string(), "command");
    assert!(latest.children[0].children[3].int().is_some_and(|ms| ms >= 20));
    assert!(client.ask("latency doctor").string().contains("1. command: 1 latency spikes"));
    assert_eq!(client.ask("slowlog get 1").children[0].children[3].children.len(), 3);
    let histogram = client.ask("latency histogram debug");
    assert_eq!(behind(&histogram.children[1], "calls").int(), Some(1));
    assert_eq!(client.ask("latency reset command").int(), Some(1));
    assert!(client.ask("latency latest").children.is_empty());
}

#[test]
fn memory_usage_follows_the_value() {
    let server = server();
    let mut client = server.client();
    for i in 0..1000 {
        client.ask(&format!("hset h field:{i} {}", "x".repeat(100)));
        client.ask(&format!("zadd z {i} member:{i}"));
    }
    for key in ["h", "z"] {
        let (some, all) =
            (client.ask(&format!("memory usage {key}")), client.ask(&format!("memory usage {key} samples 0")));
        let (some, all) = (some.int().expect("a number"), all.int().expect("a number"));
        assert!(all > 20_000 && (some - all).abs() < all / 4, "{key}: {some} {all}");
    }
    assert!(client.call(&["memory", "usage", "nothing"]).expect("a reply").is_null());
    assert!(behind(&client.ask("memory stats"), "keys.count").int() == Some(2));
}

#[test]
fn equal_data_have_equal_digests() {
    let (one, two) = (server(), server());
    let (mut a, mut b) = (one.client(), two.client());
    assert_eq!(a.ask("debug digest").string(), "0".repeat(40));
    b.ask("config set set-max-intset-entries 0 set-max-listpack-entries 0 hash-max-listpack-entries 0");
    b.ask("config set zset-max-listpack-entries 0 list-max-listpack-size 1");
    for line in ["sadd s 1 2 3", "hset h a 1 b 2", "zadd z 1 a 2 b", "set k 5", "rpush l a b c", "set e v ex 100"] {
        a.ask(line);
    }
    for line in
        ["set e v ex 500", "set k 5", "rpush l a", "rpush l b c", "zadd z 2 b 1 a", "hset h b 2 a 1", "sadd s 3 2 1"]
    {
        b.ask(line);
    }
    assert_eq!(a.ask("debug digest").string(), b.ask("debug digest").string());
    assert_eq!(
        a.ask("debug digest-value s k").children[0].string(),
        b.ask("debug digest-value s").children[0].string()
    );
    b.ask("persist e");
    assert_ne!(a.ask("debug digest").string(), b.ask("debug digest").string());
}

#[test]
fn monitor_shows_commands_and_no_secrets() {
    let server = server();
    let (mut watcher, mut client) = (server.client(), server.client());
    watcher.ask("monitor");
    client.ask("set k \"v");
    client.call(&["auth", "default", "secret"]).expect("a reply");
    client.ask("select 3");
    let mut lines: Vec<String> = Vec::new();
    while lines.last().is_none_or(|line| !line.contains("\"select\"")) {
        lines.push(watcher.read().expect("a line").string());
    }
    assert!(lines[0].contains(" [0 127.0.0.1:") && lines[0].ends_with("] \"set\" \"k\" \"\\\"v\""), "{lines:?}");
    assert!(!lines.concat().contains("secret"), "{lines:?}");
    assert_eq!(error(&mut watcher, "get k"), "ERR Replica can't interact with the keyspace");
}

#[test]
fn a_crash_leaves_a_report() {
    for (words, expected) in [
        ("debug segfault", "crashed by signal: 11"),
        ("debug panic", "Guru Meditation"),
        ("debug assert", "ASSERTION FAILED"),
    ] {
        let mut server = server();
        let words: Vec<&str> = words.split(' ').collect();
        server.client().call(&words).expect_err("there is no reply");
        wait_for("the end", || server.ended().is_some());
        let log = server.log();
        let once = |word: &str| assert_eq!(log.matches(word).count(), 1, "{word} in {log}");
        once("REDIS BUG REPORT START");
        once(expected);
        once("------ STACK TRACE ------");
        once("STACK TRACE DONE");
        assert!(log.contains("Last command: debug"), "{log}");
    }
}

#[test]
fn signals_end_the_server_in_order() {
    let Some(kill) = program("kill") else { return };
    for signal in ["-TERM", "-INT"] {
        let mut server = server();
        let status = Command::new(&kill).args([signal, &server.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()));
        wait_for("the end", || server.ended().is_some());
        assert!(
            server.ended().is_some_and(|status| status.success()) && server.log().contains("ready to exit, bye bye")
        );
    }
    let server = server();
    let status = Command::new(&kill).args(["-ALRM", &server.pid().to_string()]).status();
    assert!(status.is_ok_and(|status| status.success()));
    wait_for("the trace", || server.log().contains("Received SIGALRM") && server.log().contains("STACK TRACE DONE"));
    server.client().ask("ping");
}

#[test]
fn config_rewrite_survives_a_restart() {
    let folder = Folder::new("rewrite");
    let file = folder.path().join("redis.conf");
    fs::write(&file, "# mine\nmaxmemory 1mb\nsave \"\"\n").expect("it can be written");
    let name = file.to_str().expect("the folder's name is text").to_owned();
    let start = || {
        // The helper's own options stand behind the file's name.
        let port = free_port();
        let child = Command::new(our_binary())
            .args([
                &name,
                "--port",
                &port.to_string(),
                "--bind",
                "127.0.0.1",
                "--dir",
                "/tmp",
                "--logfile",
                "/dev/null",
            ])
            .spawn()
            .expect("the binary can be run");
        wait_for("the server", || Client::connect(port).is_ok());
        (child, Client::connect(port).expect("it listens"))
    };
    let (mut child, mut client) = start();
    client.ask("config set maxmemory 2mb hz 50");
    client.ask("config rewrite");
    client.call(&["shutdown", "nosave"]).expect_err("there is no reply");
    child.wait().expect("the child is ours");
    let written = fs::read_to_string(&file).expect("it is there");
    assert!(written.starts_with("# mine\nmaxmemory 2mb\n") && written.contains("\nhz 50\n"), "{written}");
    let (mut child, mut client) = start();
    assert_eq!(client.ask("config get maxmemory").children[1].string(), "2097152");
    client.call(&["shutdown", "nosave"]).expect_err("there is no reply");
    child.wait().expect("the child is ours");
}

/// What an HTTP server on this port says to a request, sent in pieces.
fn http(port: u16, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is open");
    for piece in pieces {
        stream.write_all(piece.as_bytes()).expect("it reads");
        stream.flush().expect("it reads");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers and closes");
    text(&answer)
}

#[test]
fn a_scraper_finds_the_metrics() {
    let (port, other) = (support::free_port(), support::free_port());
    let server = support::start(&["--metrics-port", &port.to_string(), "--requirepass", "secret"]);
    let mut client = server.client();
    client.ask("auth secret");
    client.ask("set key value");
    client.ask("get key");
    let answer = http(port, &["GET /met", "rics?x=1 HTTP/1.1\r\nHost: localhost\r", "\n\r\n"]);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    for line in ["# TYPE redstart_keyspace_hits counter", "redstart_keyspace_hits 1", "redstart_db_keys{db=\"0\"} 1"] {
        assert!(body.lines().any(|l| l == line), "{line} is not in:\n{body}");
    }
    assert!(body.contains("redstart_command_calls{command=\"set\"} 1\n"), "{body}");
    for line in body.lines().filter(|line| !line.starts_with("# TYPE ")) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(name.starts_with("redstart_") && value.parse::<f64>().is_ok(), "{line}");
    }
    assert!(http(port, &["GET / HTTP/1.0\r\n\r\n"]).starts_with("HTTP/1.1 404 "));
    assert!(http(port, &["POST /metrics HTTP/1.1\r\n\r\n"]).starts_with("HTTP/1.1 405 "));
    assert!(http(port, &["SET key other\r\n\r\n"]).starts_with("HTTP/1.1 400 "));
    let head = http(port, &["HEAD /metrics HTTP/1.1\r\n\r\n"]);
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(client.ask("get key").string(), "value");
    assert_eq!(client.ask(&format!("config set metrics-port {other}")).string(), "OK");
    let answer = http(other, &["GET /metrics HTTP/1.1\r\n\r\n"]);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    wait_for("the old port to be closed", || TcpStream::connect(("127.0.0.1", port)).is_err());
}
