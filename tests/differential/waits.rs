//! Clients that wait, on both servers: the same ones wait for the same, the same commands serve them, and what each was told and
//! what is left are compared. Knows no command but by the forms below.

use super::grammar::Grammar;
use super::known;
use super::support::client::{Client, Value, encode};
use super::support::random::Random;
use super::support::{Process, our_binary, wait_until};
use std::path::Path;

/// Clients that wait at once.
const WAITERS: usize = 4;
/// Commands that may serve them.
const MOST_PUSHES: usize = 5;
/// What is left of each key.
const LEFT: &[&str] =
    &["lrange l0 0 -1", "lrange l1 0 -1", "zrange z0 0 -1 withscores", "zrange z1 0 -1 withscores", "xlen e0"];

/// Waits for one key, which may become another type, and moves.
const ONE: &[&str] = &[
    "(blpop|brpop) (l0|l1|l0 l0|z0) 0",
    "blmove (l0|l1) (l0|l1|z0) (left|right) (left|right) 0",
    "brpoplpush (l0|l1) (l0|l1) 0",
    "blmpop 0 (1 l0|1 l1) (left|right) [count (1|2|3)]",
    "(bzpopmin|bzpopmax) (z0|z1|l0) 0",
    "bzmpop 0 1 z0 (min|max) [count (1|2|3)]",
    "xread [count (1|2)] block 0 streams e0 ($|0|1-1)",
    "(blpop|bzpopmin) (l0|z0) (x|-1)",
];

/// Waits for several keys, without moves: since 7.2 the first of them that has something serves, before the one that was pushed to.
const MANY: &[&str] = &[
    "(blpop|brpop) (l0 l1|l1 l0|l0) 0",
    "blmpop 0 (2 l0 l1|2 l1 l0) (left|right) [count (1|2|3)]",
    "(bzpopmin|bzpopmax) (z0 z1|z1 z0) 0",
    "bzmpop 0 (2 z0 z1|2 z1 z0) (min|max) [count (1|2|3)]",
];

const PUSHES: &[&str] = &[
    "(rpush|lpush) (l0|l1) (a|a b|a b c|a b c d e)",
    "(rpush|lpush) (l0|l1) (a|a b|a b c|a b c d e)",
    "zadd (z0|z1) (1 a|2 b 1 a|3 c 3 b 3 a|1 a 2 b 3 c 4 d 5 e)",
    "xadd e0 (1-1|1-2|2-1|3-1) f v",
    "(del|persist) (l0|z0|e0)",
    "rename (l0|l1|z0) (l1|l0|z1)",
    "copy (l0|z0) (l1|z1) replace",
    "eval <pushing> 1 (l0|l1)",
    "sort l0 alpha store l1",
    "zunionstore z1 1 z0",
    "lmove (l0|l1) (l0|l1) left right",
    "(multi|exec|exec)",
    "swapdb 0 0",
];

/// One server, who waits there and who serves.
struct Room {
    _process: Process,
    waiters: Vec<(Client, String)>,
    server: Client,
}

impl Room {
    fn open(binary: &Path) -> Room {
        let process = Process::start(binary, &[]);
        let waiters = (0..WAITERS).map(|_| {
            let mut client = process.client();
            let id = client.ask("client id").int().unwrap_or_default().to_string();
            (client, id)
        });
        Room { waiters: waiters.collect(), server: process.client(), _process: process }
    }

    /// Everything that was told, and what is left.
    fn play(&mut self, waits: &[Vec<Vec<u8>>], pushes: &[Vec<Vec<u8>>]) -> Vec<Value> {
        let mut told = vec![self.server.ask("flushall")];
        for ((client, id), words) in self.waiters.iter_mut().zip(waits) {
            client.ask("client id");
            let mut bytes = Vec::new();
            encode(words, &mut bytes);
            client.send_raw(&bytes).expect("the server takes a command");
            let server = &mut self.server;
            wait_until("the command is read", || {
                !server.ask(&format!("client list id {id}")).string().contains("cmd=client|id")
            });
        }
        told.extend(pushes.iter().map(|words| self.server.call(words).expect("a command is answered")));
        told.push(self.server.call(&["discard"]).expect("a command is answered"));
        for (_, id) in &self.waiters {
            told.push(self.server.ask(&format!("client unblock {id}")));
        }
        told.extend(self.waiters.iter_mut().map(|(client, _)| client.read().expect("who waited is answered")));
        told.extend(
            LEFT.iter()
                .map(|line| self.server.call(&line.split(' ').collect::<Vec<_>>()).expect("a command is answered")),
        );
        told
    }
}

/// What of a round differs, in words.
pub fn differences(oracle: &Path, rounds: u64, first_seed: u64) -> Vec<String> {
    let (mut ours, mut theirs) = (Room::open(&our_binary()), Room::open(oracle));
    let parse = |texts: &[&str]| texts.iter().map(|text| Grammar::parse(text)).collect::<Vec<_>>();
    let (one, many, pushes) = (parse(ONE), parse(MANY), parse(PUSHES));
    let (change, no_change) = (parse(&["set (l0|z0|e0) v"]), Vec::new());
    let mut found = Vec::new();
    for seed in first_seed..first_seed + rounds {
        let mut random = Random::seeded(seed);
        let draw = |random: &mut Random, forms: &[Grammar], count: usize| -> Vec<Vec<Vec<u8>>> {
            (0..count).map(|_| random.pick(forms).draw(random)).collect()
        };
        let (waits, changes) = if random.chance(60) { (&one, &change) } else { (&many, &no_change) };
        let waits = draw(&mut random, waits, WAITERS);
        let count = 1 + random.below(MOST_PUSHES);
        let pushes = draw(&mut random, &[&pushes[..], changes].concat(), count);
        let (a, b) = (ours.play(&waits, &pushes), theirs.play(&waits, &pushes));
        let script: Vec<Vec<Vec<u8>>> = waits.iter().chain(&pushes).cloned().collect();
        for (at, (a, b)) in a.iter().zip(&b).enumerate().filter(|(_, (a, b))| a != b) {
            if !known::explains(&[b"z".to_vec()], a, b) {
                let lines: Vec<String> = script.iter().map(|w| w.join(&b' ').escape_ascii().to_string()).collect();
                found.push(format!(
                    "seed {seed}, reply {at}: {} for {}\n  {}",
                    a.render(),
                    b.render(),
                    lines.join("\n  ")
                ));
                break;
            }
        }
    }
    found
}
