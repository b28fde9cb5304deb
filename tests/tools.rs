//! Client tools against our binary: what people will type first. Those of the machine (redis-cli and redis-benchmark), and
//! our own small client.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{Process, env_number, our_binary, program};

/// A tool of the machine, or `None` with a line that says what is left out.
fn tool(name: &str) -> Option<PathBuf> {
    let found = program(name).filter(|_| std::env::var_os("REDSTART_NO_ORACLE").is_none());
    if found.is_none() {
        println!("LEFT OUT: {name}: not on this machine, or REDSTART_NO_ORACLE is set");
    }
    found
}

fn server() -> Process {
    Process::start(&our_binary(), &[])
}

/// Keys of all types.
fn fill(server: &Process) {
    let mut client = server.client();
    for i in 0..200 {
        client.ask(&format!("set string:{i} value-{i}"));
        client.ask(&format!("rpush list:{} {i} a b", i % 5));
        client.ask(&format!("sadd set:{} {i} x", i % 5));
        client.ask(&format!("hset hash:{} f{i} {i}", i % 5));
        client.ask(&format!("zadd zset:{} {i} m{i}", i % 5));
    }
}

fn run(tool: &PathBuf, server: &Process, flags: &[&str], input: &[u8]) -> Output {
    let mut child = spawn(tool, server, flags);
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(input).expect("the tool reads its input");
    drop(stdin);
    child.wait_with_output().expect("the tool ends")
}

fn spawn(tool: &PathBuf, server: &Process, flags: &[&str]) -> Child {
    Command::new(tool)
        .args(["-h", "127.0.0.1", "-p", &server.port.to_string()])
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts")
}

/// What it printed; its status and standard error must show no failure.
fn printed(what: &str, output: Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}\n{err}", output.status);
    assert!(!out.contains("ERR") && !out.contains("Error") && !err.contains("rror"), "{what}:\n{out}\n{err}");
    out.into_owned()
}

fn benchmark(flags: &[&str]) {
    let Some(tool) = tool("redis-benchmark") else { return };
    let server = server();
    let requests = env_number("REDSTART_TOOLS_REQUESTS", 2000).to_string();
    let all = [&["-q", "-n", &requests], flags].concat();
    let text = printed("redis-benchmark", run(&tool, &server, &all, b""));
    assert!(!text.contains("WARNING"), "{text}");
    let done = text.split(['\r', '\n']).filter(|line| line.contains("requests per second")).count();
    assert!(done >= 20, "{done} tests were run:\n{text}");
}

#[test]
fn redis_benchmark_runs_all_its_tests() {
    benchmark(&[]);
}

#[test]
fn redis_benchmark_runs_all_its_tests_pipelined() {
    benchmark(&["-P", "16"]);
}

#[test]
fn redis_benchmark_runs_with_resp3_and_random_keys() {
    benchmark(&["-3", "-P", "4", "-r", "1000"]);
}

#[test]
fn redis_cli_runs_commands_and_scripts() {
    let Some(tool) = tool("redis-cli") else { return };
    let server = server();
    let cli = |flags: &[&str], input: &[u8]| printed(&flags.join(" "), run(&tool, &server, flags, input));
    assert_eq!(cli(&["ping"], b""), "PONG\n");
    assert_eq!(cli(&["--no-raw", "incr", "n"], b""), "(integer) 1\n");
    assert_eq!(cli(&[], b"set a 1\nget a\n"), "OK\n1\n");
    assert_eq!(cli(&["-3", "--no-raw", "hset", "h", "f", "v"], b""), "(integer) 1\n");
    assert_eq!(cli(&["-3", "--no-raw", "hgetall", "h"], b""), "1# \"f\" => \"v\"\n");
    assert_eq!(cli(&["-n", "3", "--no-raw", "get", "a"], b""), "(nil)\n");
    assert_eq!(cli(&["-r", "3", "incr", "n"], b""), "2\n3\n4\n");
    assert_eq!(cli(&["-x", "set", "from-input"], b"text"), "OK\n");
    assert_eq!(cli(&["--raw", "get", "from-input"], b""), "text\n");
}

#[test]
fn redis_cli_looks_through_the_keys() {
    let Some(tool) = tool("redis-cli") else { return };
    let server = server();
    fill(&server);
    let cli = |flags: &[&str]| printed(&flags.join(" "), run(&tool, &server, flags, b""));
    assert_eq!(cli(&["--scan"]).lines().count(), 220);
    assert_eq!(cli(&["--scan", "--pattern", "zset:*"]).lines().count(), 5);
    let big = cli(&["--bigkeys"]);
    assert!(big.contains("Sampled 220 keys"), "{big}");
    assert!(big.contains("Biggest   list found") && big.contains("120 items"), "{big}");
    let memory = cli(&["--memkeys"]);
    assert!(memory.contains("Sampled 220 keys") && memory.contains("bytes"), "{memory}");
}

#[test]
fn redis_cli_loads_a_pipe() {
    let Some(tool) = tool("redis-cli") else { return };
    let server = server();
    let mut input = Vec::new();
    for i in 0..5000 {
        support::client::encode(&["SET", &format!("key:{i}"), &i.to_string()], &mut input);
    }
    let text = printed("--pipe", run(&tool, &server, &["--pipe"], &input));
    assert!(text.contains("errors: 0, replies: 5000"), "{text}");
    assert_eq!(server.client().ask("dbsize").int(), Some(5000));
}

#[test]
fn redis_cli_measures_latency() {
    let Some(tool) = tool("redis-cli") else { return };
    let server = server();
    let text = printed("--latency", run(&tool, &server, &["--latency", "-i", "1"], b""));
    let fields: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(fields.len(), 4, "least, most, mean and count: {text}");
}

#[test]
fn redis_cli_shows_statistics_as_they_change() {
    let Some(tool) = tool("redis-cli") else { return };
    let server = server();
    fill(&server);
    let mut child = spawn(&tool, &server, &["--stat", "-i", "0.1"]);
    let begin = Instant::now();
    let mut lines = BufReader::new(child.stdout.take().expect("it is a pipe")).lines();
    let rows: Vec<String> = lines.by_ref().map_while(Result::ok).take(4).collect();
    child.kill().expect("the child is ours");
    child.wait().expect("it ends");
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(rows[0].contains("data") && rows[1].contains("keys"), "{rows:?}");
    assert!(rows[2..].iter().all(|row| row.starts_with("220 ")), "{rows:?}");
}

/// What a client shows on a terminal, told line by line.
fn on_terminal(script: &Path, client: &Path, server: &Process, lines: &str) -> String {
    let command = format!("exec timeout --foreground 20 {} -h 127.0.0.1 -p {}", client.display(), server.port);
    let mut child = Command::new(script)
        .args(["-qec", &command, "/dev/null"])
        // On a better terminal redis-cli drops what was typed before its prompt.
        .env("TERM", "dumb")
        .env("HOME", server.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script starts");
    let mut stdin = child.stdin.take().expect("it is a pipe");
    stdin.write_all(lines.as_bytes()).expect("the terminal reads");
    let mut text = Vec::new();
    child.stdout.take().expect("it is a pipe").read_to_end(&mut text).expect("the terminal's text ends");
    assert!(child.wait().expect("it ends").success());
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn redis_cli_talks_on_a_terminal() {
    let (Some(tool), Some(script)) = (tool("redis-cli"), program("script")) else { return };
    let text = on_terminal(&script, &tool, &server(), "set greeting hello\nget greeting\nhelp incr\nexit\n");
    assert!(text.contains("OK") && text.contains("\"hello\"") && text.contains("summary:"), "{text}");
}

/// Our own client, as cargo built it.
fn our_client() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_redstart-cli"))
}

#[test]
fn our_client_runs_commands_and_scripts() {
    let server = server();
    let cli = |flags: &[&str], input: &[u8]| {
        let output = run(&our_client(), &server, flags, input);
        assert!(output.status.success(), "{flags:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(cli(&["set", "mykey", "hello"], b""), "OK\n");
    assert_eq!(cli(&["--no-raw", "get", "mykey"], b""), "\"hello\"\n");
    assert_eq!(cli(&["--no-raw", "expire", "mykey", "30"], b""), "(integer) 1\n");
    assert_eq!(cli(&["--no-raw", "-3", "hset", "h", "f", "v"], b""), "(integer) 1\n");
    assert_eq!(cli(&["--no-raw", "-3", "hgetall", "h"], b""), "1# \"f\" => \"v\"\n");
    assert_eq!(cli(&["-n", "2", "--no-raw", "get", "mykey"], b""), "(nil)\n");
    assert_eq!(cli(&[], b"SET a 1\nGET a\nexit\nGET a\n"), "OK\n1\n");
    assert!(!run(&our_client(), &server, &["-e", "nonsense"], b"").status.success());
    assert!(!run(&our_client(), &server, &["-n", "99", "ping"], b"").status.success());
}

#[test]
fn our_client_talks_on_a_terminal() {
    let Some(script) = program("script") else { return println!("LEFT OUT: our client on a terminal: no script(1)") };
    let server = server();
    let text = on_terminal(&script, &our_client(), &server, "set greeting hello\nget greeting\nselect 3\nexit\n");
    let prompt = format!("127.0.0.1:{}", server.port);
    assert!(text.contains(&format!("{prompt}> ")) && text.contains(&format!("{prompt}[3]> ")), "{text}");
    assert!(text.contains("OK") && text.contains("\"hello\""), "{text}");
}

#[test]
fn our_client_measures() {
    let server = server();
    let mut client = server.client();
    let count = |client: &mut support::client::Client| -> u64 {
        let stats = client.ask("info stats").string();
        let field = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        field.and_then(|text| text.trim().parse().ok()).expect("INFO counts commands")
    };
    let before = count(&mut client);
    let flags = ["bench", "-n", "1000", "-c", "10", "-d", "100", "-t", "set"];
    let text = printed("bench", run(&our_client(), &server, &flags, b""));
    assert!(text.contains("SET ") && text.contains("ops/s, mean latency") && text.contains("total time"), "{text}");
    let seen = count(&mut client) - before;
    assert!((1000..1010).contains(&seen), "{seen} commands for 1000");
    assert_eq!(client.ask("strlen key:000000000000").int(), Some(100));
    let text = printed("bench", run(&our_client(), &server, &["bench", "-n", "500", "-c", "5", "-P", "4"], b""));
    assert_eq!(text.lines().filter(|line| line.contains("ops/s")).count(), 6, "{text}");
}
