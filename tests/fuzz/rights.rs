//! A user with few rights, and strangers with none, try the whole command table against the real binary, over connections that
//! wait for each reply and others that do not. After every few hundred requests:
//!
//! ```text
//! keys that it may not change   are as they were, and no others have come
//! values that it may not read   have not been in any reply (they hold a word that nobody else says)
//! channels that are not its     brought it nothing, and took nothing from it
//! INFO commandstats             no command has run that a second reading of the rules does not allow
//! ACL DRYRUN                    says the same as the request itself
//! another client                is answered PONG all the time
//! ```

use super::flood::{self, Who};
use super::requests::Requests;
use crate::support::client::{Client, Value, encode};
use crate::support::random::Random;
use crate::support::{Process, our_binary};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// In all values that the user may not read.
const SECRET: &str = "tell-nobody-5c1f";
const PASSWORD: &str = "nobody-guesses-this";
/// Requests between two looks at everything.
const REQUESTS_PER_LOOK: usize = 300;
const TALKERS: usize = 6;
const MEMORY_LIMIT_KIB: u64 = 500 * 1024;
const FLAGS: &[&str] = &[
    "--proto-max-bulk-len",
    "1mb",
    "--client-query-buffer-limit",
    "4mb",
    "--client-output-buffer-limit",
    "normal 16mb 0 0 pubsub 8mb 0 0",
    "--auth-failure-limit",
    "0",
    "--databases",
    "4",
];
/// What the user may do, a round each.
const RULES: &[&str] = &[
    "~mine:* %R~shared:* %W~drop:* &news:* +@all -@admin -@dangerous +keys +sort +sort_ro +restore +info +object",
    "~mine:* &news:* -@all +@read +@write -@dangerous +eval +evalsha +fcall +select +multi +exec",
    "-@all +ping +set %W~drop:* (~mine:* +@hash +@list +@string) (%R~shared:* +get +mget +lrange +copy) &news:1 +publish",
    "~mine:* db=0 &news:* +@all -@admin -@dangerous",
    "~mine:* &news:* +@all -@admin -@dangerous -@scripting -@blocking memory=4mb",
    "-@all +select|1 +get +config|get +client|id +script ~mine:1",
];
/// Names that mean another command.
const ALIASES: &[(&str, &str)] = &[
    ("delete", "del"),
    ("dropdb", "flushdb"),
    ("psub", "psubscribe"),
    ("pub", "publish"),
    ("punsub", "punsubscribe"),
    ("sel", "select"),
    ("sub", "subscribe"),
    ("unsub", "unsubscribe"),
];
/// What this test runs itself beside the users that it watches.
const OWN: &[&str] = &["acl|dryrun", "config|resetstat", "dump", "keys", "select", "publish", "info", "ping"];
/// What may be run before logging in.
const OPEN: &[&str] = &["auth", "hello", "quit", "reset"];
/// Commands that wait, change what later requests mean, or have not one reply.
const NOT_ALONE: &[&str] = &[
    "auth",
    "blmove",
    "blmpop",
    "blpop",
    "brpop",
    "brpoplpush",
    "bzmpop",
    "bzpopmax",
    "bzpopmin",
    "client",
    "discard",
    "exec",
    "hello",
    "monitor",
    "multi",
    "psubscribe",
    "psync",
    "punsubscribe",
    "quit",
    "reset",
    "select",
    "shutdown",
    "ssubscribe",
    "subscribe",
    "sunsubscribe",
    "sync",
    "unsubscribe",
    "wait",
    "waitaof",
    "watch",
    "xread",
    "xreadgroup",
];

/// A second reading of the rules: which commands they allow, and what keys may be changed.
struct Model {
    /// The words of the user's own set of rules and of each selector.
    sets: Vec<Vec<String>>,
    categories: BTreeMap<String, BTreeSet<String>>,
}

impl Model {
    fn new(rules: &str, admin: &mut Client) -> Model {
        let (own, selectors) = rules.split_once('(').map_or((rules.to_owned(), String::new()), |(own, rest)| {
            let end = rest.rfind(')').expect("a selector ends");
            (format!("{own} {}", &rest[end + 1..]), rest[..end].to_owned())
        });
        let mut sets = vec![own];
        sets.extend(selectors.split(") (").filter(|set| !set.is_empty()).map(str::to_owned));
        let sets: Vec<Vec<String>> =
            sets.iter().map(|set| set.split_whitespace().map(str::to_owned).collect()).collect();
        let mut categories = BTreeMap::new();
        for category in admin.ask("ACL CAT").children {
            let category = category.string();
            let names = admin.ask(&format!("ACL CAT {category}")).children;
            categories.insert(category, names.iter().map(Value::string).collect());
        }
        Model { sets, categories }
    }

    fn covers(&self, rule: &str, name: &str) -> bool {
        let parent = name.split('|').next().unwrap_or(name);
        let real = ALIASES.iter().find(|(alias, _)| *alias == parent).map_or(parent, |(_, real)| real);
        match rule.strip_prefix('@') {
            Some("all") => true,
            Some(category) => {
                let names = self.categories.get(category).unwrap_or_else(|| panic!("no category {category}"));
                [name, parent, real].iter().any(|name| names.contains(*name))
            }
            // A first argument allows the command with it.
            None => {
                rule == name || rule == parent || rule == real || rule.split('|').next() == Some(real) && name == parent
            }
        }
    }

    fn allows(&self, name: &str) -> bool {
        self.sets.iter().any(|words| {
            words.iter().fold(false, |allowed, word| match word.split_at(1) {
                ("+", rule) if self.covers(rule, name) => true,
                ("-", rule) if self.covers(rule, name) => false,
                _ => allowed,
            })
        })
    }

    fn may_change(&self, key: &str, db: usize) -> bool {
        let words = || self.sets.iter().flatten();
        let fits = |pattern: &str| pattern.strip_suffix('*').map_or(key == pattern, |prefix| key.starts_with(prefix));
        let has_key = words().any(|word| word.strip_prefix('~').or(word.strip_prefix("%W~")).is_some_and(fits));
        has_key && (db == 0 || !words().any(|word| word == "db=0"))
    }
}

/// A connection that does not wait for replies.
struct Talker {
    stream: TcpStream,
    rest: Vec<u8>,
    /// The end of what was heard, for words that come in two parts.
    heard: Vec<u8>,
}

impl Talker {
    fn connect(port: u16, greeting: &[&str]) -> Talker {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
        stream.set_nonblocking(true).expect("a socket can be told not to block");
        let mut rest = Vec::new();
        if !greeting.is_empty() {
            encode(greeting, &mut rest);
        }
        Talker { stream, rest, heard: Vec::new() }
    }

    /// Says and hears what can be; false if the connection is over.
    fn step(&mut self) -> bool {
        match self.stream.write(&self.rest) {
            Ok(written) => drop(self.rest.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        let mut chunk = [0; 64 * 1024];
        for _ in 0..16 {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(len) => {
                    self.heard.extend_from_slice(&chunk[..len]);
                    assert!(!holds_secret(&self.heard), "a secret was told: {}", self.heard.escape_ascii());
                    self.heard.drain(..self.heard.len().saturating_sub(SECRET.len()));
                }
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

fn holds_secret(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

fn tells_secret(value: &Value) -> bool {
    holds_secret(&value.text) || value.children.iter().any(tells_secret)
}

fn name_of(words: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(words.first().map_or(&b""[..], |word| word)).to_ascii_lowercase()
}

/// The server and those who look at it.
struct Scene {
    server: Process,
    admin: Client,
    /// Listens where the user may not speak.
    ear: Client,
    requests: Requests,
    random: Random,
    model: Model,
    /// The values of all keys that may not change, by database and name.
    frozen: BTreeMap<(usize, String), Vec<u8>>,
    /// The last requests, for the report of a failure.
    last: Vec<String>,
}

fn admin_of(server: &Process) -> Client {
    let mut admin = server.client();
    admin.ask(&format!("AUTH {PASSWORD}"));
    admin
}

impl Scene {
    fn new(seed: u64) -> Scene {
        let server = Process::start(&our_binary(), FLAGS);
        server.client().ask(&format!("CONFIG SET requirepass {PASSWORD}"));
        let (mut admin, mut ear) = (admin_of(&server), admin_of(&server));
        for line in ["SUBSCRIBE private:1 private:2", "PSUBSCRIBE private:*", "SSUBSCRIBE private:1"] {
            ear.send(line);
        }
        (0..4).for_each(|_| drop(ear.read()));
        let library = "#!lua name=admins\nredis.register_function('admins_peek', function() return redis.call('get', 'secret:0') end)";
        admin.call(&["FUNCTION", "LOAD", "REPLACE", library]).expect("it is answered");
        let requests = Requests::new(&mut admin);
        let model = Model::new(RULES[0], &mut admin);
        let random = Random::seeded(seed);
        Scene { server, admin, ear, requests, random, model, frozen: BTreeMap::new(), last: Vec::new() }
    }

    /// New rules, new keys.
    fn begin_round(&mut self, rules: &str) {
        let setting = self.admin.say(&format!("ACL SETUSER guest reset on >p {rules}"));
        assert_eq!(setting, "+OK", "{rules}");
        self.model = Model::new(rules, &mut self.admin);
        self.admin.ask("FLUSHALL");
        for db in 0..2 {
            self.admin.ask(&format!("SELECT {db}"));
            self.plant(&["secret:", "drop:"], SECRET);
            self.plant(&["shared:", "mine:"], "anybody may know");
        }
        self.admin.ask("SELECT 0");
        self.frozen = self.unchangeable();
        assert!(self.frozen.len() >= 16);
        self.admin.ask("CONFIG RESETSTAT");
    }

    /// A key of each type under each of these names.
    fn plant(&mut self, prefixes: &[&str], value: &str) {
        for prefix in prefixes {
            for (nth, words) in [
                &["SET", "k", value][..],
                &["SET", "k", value],
                &["RPUSH", "k", value, value],
                &["HSET", "k", "field", value, value, "1"],
                &["SADD", "k", value, "b"],
                &["ZADD", "k", "1", value, "2", "b"],
                &["XADD", "k", "1-1", "field", value],
                &["RPUSH", "k", value],
            ]
            .into_iter()
            .enumerate()
            {
                let name = format!("{prefix}{nth}");
                let words: Vec<&str> = words.iter().map(|word| if *word == "k" { &*name } else { word }).collect();
                self.admin.call(&["DEL", &name]).expect("it is answered");
                let reply = self.admin.call(&words).expect("it is answered");
                assert!(!reply.is_error(), "{}", reply.render());
            }
        }
    }

    /// All keys that the user may not change, with their values.
    fn unchangeable(&mut self) -> BTreeMap<(usize, String), Vec<u8>> {
        let mut all = BTreeMap::new();
        for db in 0..4 {
            self.admin.ask(&format!("SELECT {db}"));
            for key in self.admin.ask("KEYS *").children {
                let name = String::from_utf8_lossy(&key.text).into_owned();
                if !self.model.may_change(&name, db) {
                    let dump = self.admin.call(&[&b"DUMP"[..], &key.text]).expect("it is answered");
                    all.insert((db, name), dump.text);
                }
            }
        }
        self.admin.ask("SELECT 0");
        all
    }

    fn note(&mut self, who: &str, words: &[Vec<u8>]) {
        if self.last.len() >= 2 * REQUESTS_PER_LOOK {
            self.last.drain(..REQUESTS_PER_LOOK);
        }
        let words: Vec<String> = words.iter().map(|word| word.escape_ascii().to_string()).collect();
        self.last.push(format!("{who}: {}", words.join(" ")));
    }

    /// One request whose reply must be what DRYRUN says.
    fn ask_as_guest(&mut self, guest: &mut Option<Client>) {
        let words = self.requests.one(&mut self.random);
        let name = name_of(&words);
        let real = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(&*name, |(_, real)| real);
        if NOT_ALONE.contains(&real) {
            return;
        }
        self.note("guest", &words);
        let client = guest.get_or_insert_with(|| {
            let mut client = self.server.client();
            client.ask("AUTH guest p");
            client
        });
        let mut dry: Vec<Vec<u8>> = ["ACL", "DRYRUN", "guest"].map(|word| word.as_bytes().to_vec()).to_vec();
        dry.extend(words.iter().cloned());
        let expected = self.admin.call(&dry).expect("it is answered");
        let Ok(reply) = client.call(&words) else {
            *guest = None;
            return;
        };
        assert!(!tells_secret(&reply), "{}", reply.render());
        let denied = reply.is_error() && reply.text.starts_with(b"NOPERM");
        // These are refused also for what they find to do.
        let looks_further = ["eval", "fcall", "evalsha", "eval_ro", "fcall_ro", "evalsha_ro", "passwd"].contains(&real);
        match expected.kind {
            // The debugger's commands are refused for another reason first.
            _ if expected.is_error() => {
                assert!(reply.is_error(), "{}: {}", expected.render(), reply.render());
            }
            b'+' => assert!(!denied || looks_further, "{}", reply.render()),
            _ => assert!(denied || real == "debug", "{}: {}", expected.render(), reply.render()),
        }
    }

    /// Some requests of one who does not wait.
    fn talk(&mut self, talkers: &mut [Talker]) {
        let index = self.random.below(talkers.len());
        // One of them never logs in.
        let (who, greeting): (&str, &[&str]) =
            if index == 0 { ("stranger", &[]) } else { ("talker", &["AUTH", "guest", "p"]) };
        if talkers[index].rest.is_empty() {
            for _ in 0..1 + self.random.below(8) {
                let words = self.requests.one(&mut self.random);
                encode(&words, &mut talkers[index].rest);
                self.note(who, &words);
            }
        }
        if !talkers[index].step() || self.random.below(150) == 0 {
            talkers[index] = Talker::connect(self.server.port, greeting);
        }
    }

    /// Everything is as the rules say.
    fn look(&mut self) {
        let now = self.unchangeable();
        for (key, value) in &self.frozen {
            assert_eq!(now.get(key), Some(value), "{key:?} has changed");
        }
        assert!(now.len() == self.frozen.len(), "keys have come: {:?}", now.keys().collect::<Vec<_>>());
        for channel in ["private:1", "private:2"] {
            self.admin.ask(&format!("PUBLISH {channel} {SECRET}"));
        }
        while self.ear.has_more() {
            let heard = self.ear.read().expect("a message");
            assert!(
                heard.children.last().is_some_and(|message| message.text == SECRET.as_bytes()),
                "{}",
                heard.render()
            );
        }
        for line in self.admin.ask("INFO commandstats").string().lines() {
            let Some((name, rest)) = line.strip_prefix("cmdstat_").and_then(|line| line.split_once(':')) else {
                continue;
            };
            if !rest.starts_with("calls=0,") && !OWN.contains(&name) && !OPEN.contains(&name) {
                assert!(self.model.allows(name), "{name} has run");
            }
        }
        assert!(self.server.resident_kib() < MEMORY_LIMIT_KIB, "it holds {} KiB", self.server.resident_kib());
    }

    fn round(&mut self, rules: &str, limit: Duration) -> usize {
        self.begin_round(rules);
        let greet = |index: usize| if index == 0 { &[][..] } else { &["AUTH", "guest", "p"][..] };
        let mut talkers: Vec<Talker> =
            (0..TALKERS).map(|index| Talker::connect(self.server.port, greet(index))).collect();
        let (mut guest, mut count, begin) = (None, 0, Instant::now());
        while begin.elapsed() < limit || count == 0 {
            for _ in 0..REQUESTS_PER_LOOK {
                self.ask_as_guest(&mut guest);
                self.talk(&mut talkers);
            }
            self.look();
            count += REQUESTS_PER_LOOK;
        }
        count
    }
}

/// Tries for so long what a user without rights can do.
pub fn run(limit: Duration, seed: u64) {
    let mut scene = Scene::new(seed);
    let stop = Arc::new(AtomicBool::new(false));
    let probing = thread::spawn({
        let (port, stop) = (scene.server.port, Arc::clone(&stop));
        move || flood::probe(Who::Stranger, port, &stop)
    });
    let share = limit / RULES.len() as u32;
    let mut count = 0;
    let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        RULES.iter().for_each(|rules| count += scene.round(rules, share));
    }));
    stop.store(true, Ordering::Relaxed);
    let probed = probing.join().expect("the probe does not panic");
    if tried.is_err() || probed.is_err() {
        let last = scene.last.len().saturating_sub(25);
        panic!(
            "seed {seed}: {probed:?}; the last requests:\n{}\n{}",
            scene.last[last..].join("\n"),
            scene.server.log()
        );
    }
    println!("{count} requests and as many groups of seed {seed}: slowest PONG {probed:?}");
}
