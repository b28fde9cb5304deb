//! The server is killed at random moments while clients write transactions and the log is rewritten, snapshots are written, or
//! neither; then it starts on what it left. What was acknowledged is there, no transaction is there by half, no start is refused.
//!
//! ```text
//! REDSTART_CRASH_CYCLES  how often it is killed under each policy, in clear and sealed (3); `scripts/crash` asks for 200
//! REDSTART_CRASH_SEED    the seed (1)
//! ```
//!
//! A kill leaves what the kernel has: so under every policy nothing that was acknowledged may be missing, not even a second's
//! worth. What a cut of the power leaves is simulated elsewhere, beside the server's code.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use support::client::Client;
use support::random::Random;
use support::transcript::ask;
use support::{Folder, Process, env_number, start, wait_until};

/// Clients that write at a time.
const WRITERS: usize = 4;
/// Transactions that a client sends before it reads their replies, at most.
const PIPELINE: usize = 5;

/// How far one writer is.
#[derive(Default)]
struct Count {
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

/// One transaction: a counter goes up, and two keys follow it.
fn transaction(writer: usize, number: u64, random: &mut Random) -> Vec<u8> {
    let value = "v".repeat([1, 50, 6000][random.below(3)]);
    let mut bytes = Vec::new();
    let n = number.to_string();
    for words in [
        vec!["MULTI"],
        vec!["INCR", &format!("n:{writer}")],
        vec!["HSET", &format!("h:{writer}"), "n", &n, &format!("f{}", number % 20), &value],
        vec!["SET", &format!("copy:{writer}"), &n],
        vec!["EXEC"],
    ] {
        support::client::encode(&words, &mut bytes);
    }
    bytes
}

/// Writes until the server is gone.
fn write(writer: usize, mut client: Client, count: Arc<Count>, mut random: Random) -> JoinHandle<()> {
    std::thread::spawn(move || {
        loop {
            let many = 1 + random.below(PIPELINE) as u64;
            for _ in 0..many {
                let next = count.sent.fetch_add(1, Ordering::SeqCst) + 1;
                if client.send_raw(&transaction(writer, next, &mut random)).is_err() {
                    return;
                }
            }
            for _ in 0..many {
                // +OK, three times +QUEUED, and the replies of the transaction.
                let replies: Vec<_> = (0..5).map_while(|_| client.read().ok()).collect();
                let Some(exec) = replies.get(4) else { return };
                let reached = exec.children.first().and_then(|reply| reply.int());
                count.acknowledged.store(reached.expect("it counts") as u64, Ordering::SeqCst);
            }
        }
    })
}

/// What must hold after a start.
fn check(client: &mut Client, counts: &[Arc<Count>], context: &str) {
    for (writer, count) in counts.iter().enumerate() {
        let number = |client: &mut Client, request: String| {
            let text = ask(client, &request).string();
            text.parse::<u64>().unwrap_or(0)
        };
        let found = number(client, format!("GET n:{writer}"));
        let (acknowledged, sent) = (count.acknowledged.load(Ordering::SeqCst), count.sent.load(Ordering::SeqCst));
        assert!(found >= acknowledged, "{context}: {found} of {acknowledged} that were acknowledged");
        assert!(found <= sent, "{context}: {found}, but only {sent} were sent");
        let others = (number(client, format!("GET copy:{writer}")), number(client, format!("HGET h:{writer} n")));
        assert_eq!(others, (found, found), "{context}: a transaction by half");
        count.sent.store(found, Ordering::SeqCst);
        count.acknowledged.store(found, Ordering::SeqCst);
    }
}

fn kill(server: &mut Process) {
    Command::new("kill").args(["-9", &server.pid().to_string()]).status().expect("there is a kill");
    wait_until("the server is dead", || server.ended().is_some());
}

/// Kills the server again and again under one policy.
fn cycles(policy: &str, sealed: bool) {
    let folder = Folder::new("crash");
    let dir = folder.path().join("data");
    let key = folder.path().join("key");
    fs::create_dir_all(&dir).expect("the folder can be written");
    fs::write(&key, [3; 32]).expect("the folder can be written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    let (dir, key) = (dir.to_str().expect("text").to_owned(), key.to_str().expect("text").to_owned());
    let mut flags = vec!["--dir", &dir, "--appendonly", "yes", "--appendfsync", policy];
    flags.extend(["--auto-aof-rewrite-min-size", "2mb", "--snapshot-step-us", "200"]);
    if sealed {
        flags.extend(["--encrypt", "yes", "--encryption-key-file", &key]);
    }
    let seed = env_number("REDSTART_CRASH_SEED", 1);
    let mut random = Random::seeded(seed);
    let counts: Vec<Arc<Count>> = (0..WRITERS).map(|_| Arc::default()).collect();
    let (mut units, all) = (0, env_number("REDSTART_CRASH_CYCLES", 3));
    for cycle in 0..all {
        let context = format!("{policy}, sealed {sealed}, seed {seed}, cycle {cycle}");
        // A log that is torn in one way or another, and sometimes another form of base.
        let preamble = if cycle % 5 == 3 { "no" } else { "yes" };
        let mut server = start(&[&flags[..], &["--aof-use-rdb-preamble", preamble]].concat());
        let mut client = server.client();
        let before: u64 = counts.iter().map(|count| count.acknowledged.load(Ordering::SeqCst)).sum();
        check(&mut client, &counts, &context);
        let writers: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(n, count)| write(n, server.client(), Arc::clone(count), Random::seeded(seed + 7 * cycle + n as u64)))
            .collect();
        let moments = 1 + random.below(3);
        for _ in 0..moments {
            // The moment is what is being tried out; nothing is expected of it.
            std::thread::sleep(Duration::from_millis(random.below(90) as u64));
            match random.below(4) {
                0 => client.send("BGREWRITEAOF"),
                1 => client.send("BGSAVE"),
                2 => client.send("CONFIG SET aof-timestamp-enabled yes"),
                _ => {}
            }
        }
        kill(&mut server);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer only ends"));
        units += counts.iter().map(|count| count.acknowledged.load(Ordering::SeqCst)).sum::<u64>() - before;
    }
    let server = start(&flags);
    check(&mut server.client(), &counts, "at last");
    println!("{policy}, sealed {sealed}: {all} kills, {units} transactions acknowledged");
}

#[test]
fn nothing_acknowledged_is_lost_under_always() {
    cycles("always", false);
}

#[test]
fn nothing_acknowledged_is_lost_under_everysec() {
    cycles("everysec", false);
}

#[test]
fn nothing_acknowledged_is_lost_under_no() {
    cycles("no", false);
}

#[test]
fn nothing_acknowledged_is_lost_under_always_in_sealed_files() {
    cycles("always", true);
}

#[test]
fn nothing_acknowledged_is_lost_under_everysec_in_sealed_files() {
    cycles("everysec", true);
}

#[test]
fn nothing_acknowledged_is_lost_under_no_in_sealed_files() {
    cycles("no", true);
}
