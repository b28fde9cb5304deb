//! Mutated commands over many sockets against the real binary, while a probe demands PONG all the time. Knows no reply.

use super::inputs::corpus;
use super::mutate;
use super::support::client::{Client, encode};
use super::support::random::Random;
use super::support::{Process, our_binary};
use redstart::base::text::split_args;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are open at a time.
const CONNECTIONS: usize = 64;
/// Longest time the probe may wait for PONG. Generous: a debug build on a busy machine must hold it.
const PONG_LIMIT: Duration = Duration::from_secs(5);
/// Most resident memory: data up to `maxmemory`, output up to its limit, and the rest.
const MEMORY_LIMIT_KIB: u64 = 700 * 1024;
/// Payloads that are kept for the report of a failure.
const KEPT_PAYLOADS: usize = 200;
/// Bounds of the server: what a client may make it hold. Some commands are hidden: the one that ends the server, and those
/// that wait by design.
const FLAGS: &[&str] = &[
    "--maxmemory",
    "64mb",
    "--maxmemory-policy",
    "allkeys-random",
    "--maxmemory-clients",
    "128mb",
    "--proto-max-bulk-len",
    "1mb",
    "--client-query-buffer-limit",
    "4mb",
    "--client-output-buffer-limit",
    "normal 16mb 0 0",
    "--rename-command",
    "SHUTDOWN",
    "",
    "--rename-command",
    "DEBUG",
    "",
];

/// Who floods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Clients that may do anything.
    Known,
    /// Clients that have not logged in, and do not know how.
    Stranger,
}

/// What strangers do not know.
const PASSWORD: &str = "nobody-guesses-this";
/// Most resident memory when only strangers talk.
const STRANGERS_MEMORY_LIMIT_KIB: u64 = 120 * 1024;

impl Who {
    fn memory_limit_kib(self) -> u64 {
        if self == Who::Known { MEMORY_LIMIT_KIB } else { STRANGERS_MEMORY_LIMIT_KIB }
    }

    /// A server that asks strangers for the password. How often they may guess is another test's matter.
    fn start(self) -> Process {
        let server = Process::start(&our_binary(), &[FLAGS, &["--auth-failure-limit", "0"]].concat());
        if self == Who::Stranger {
            server.client().ask(&format!("CONFIG SET requirepass {PASSWORD}"));
        }
        server
    }

    /// The probe's own connection.
    fn connect(self, port: u16) -> Option<Client> {
        let mut client = Client::connect(port).ok()?;
        if self == Who::Stranger {
            client.call(&["AUTH", PASSWORD]).ok()?;
        }
        Some(client)
    }
}

/// What one connection is being told.
struct Talker {
    stream: TcpStream,
    /// Bytes not written yet.
    rest: VecDeque<u8>,
    /// Whether it reads what it is told.
    listens: bool,
    /// Whether it has said all it will ever say.
    silent: bool,
}

impl Talker {
    fn connect(port: u16, random: &mut Random) -> Talker {
        let begin = Instant::now();
        let stream = loop {
            match TcpStream::connect(("127.0.0.1", port)) {
                Ok(stream) => break stream,
                // The backlog is short: the server may be a turn behind.
                Err(_) if begin.elapsed() < PONG_LIMIT => thread::sleep(Duration::from_millis(1)),
                Err(e) => panic!("no connection any more: {e}"),
            }
        };
        stream.set_nonblocking(true).expect("a socket can be told not to block");
        Talker { stream, rest: VecDeque::new(), listens: random.chance(90), silent: false }
    }

    /// Writes a random part of what is due; false if the connection is over.
    fn step(&mut self, random: &mut Random) -> bool {
        if !self.rest.is_empty() {
            let (front, _) = self.rest.as_slices();
            let most = if random.chance(30) { 1 + random.below(20) } else { front.len() };
            match self.stream.write(&front[..most.min(front.len())]) {
                Ok(0) => return false,
                Ok(written) => drop(self.rest.drain(..written)),
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        !self.listens || self.drain()
    }

    fn drain(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        for _ in 0..16 {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
        }
        true
    }
}

/// The commands of the corpus, as words.
fn commands() -> Vec<Vec<Vec<u8>>> {
    let lines = corpus("commands")
        .into_iter()
        .flat_map(|file| file.split(|&b| b == b'\n').map(<[u8]>::to_vec).collect::<Vec<_>>());
    let words = |line: Vec<u8>| split_args(&line).unwrap_or_else(|e| panic!("{}: {e:?}", line.escape_ascii()));
    lines.map(words).filter(|words| !words.is_empty()).collect()
}

/// Some requests, most of them worse than they were.
fn payload(random: &mut Random, commands: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let mut data = Vec::new();
    for _ in 0..1 + random.below(20) {
        let mut words = random.pick(commands).clone();
        if random.chance(70) {
            mutate::words(random, &mut words, commands);
        }
        let begin = data.len();
        encode(&words, &mut data);
        if random.chance(8) {
            let mut tail = data.split_off(begin);
            mutate::bytes(random, &mut tail);
            data.extend(tail);
        } else if random.chance(2) {
            data.truncate(begin);
            data.extend(mutate::nonsense(random));
        }
    }
    data
}

/// Demands PONG every few milliseconds; the longest wait.
pub fn probe(who: Who, port: u16, stop: &AtomicBool) -> Result<Duration, String> {
    let mut slowest = Duration::ZERO;
    let mut client: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        loop {
            if client.is_none() {
                client = who.connect(port);
            }
            let reply = client.as_mut().map(|c| c.call(&[b"PING"]));
            match reply {
                Some(Ok(reply)) if reply.text == b"PONG" => break,
                // Thrown out to make room, or by the server's end: the next connection tells which.
                Some(_) | None => client = None,
            }
            if begin.elapsed() > PONG_LIMIT {
                return Err(format!("no PONG for {:?}", begin.elapsed()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        slowest = slowest.max(begin.elapsed());
        if slowest > PONG_LIMIT {
            return Err(format!("PONG took {slowest:?}"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(slowest)
}

/// Floods a server of its own for so long.
pub fn run(who: Who, limit: Duration, seed: u64) {
    let mut server = who.start();
    let commands = commands();
    let stop = Arc::new(AtomicBool::new(false));
    let probing = thread::spawn({
        let (port, stop) = (server.port, Arc::clone(&stop));
        move || probe(who, port, &stop)
    });
    let mut random = Random::seeded(seed);
    let mut talkers: Vec<Talker> = (0..CONNECTIONS).map(|_| Talker::connect(server.port, &mut random)).collect();
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let (begin, mut payloads, mut most_kib) = (Instant::now(), 0u64, 0);
    let mut failure = None;
    while failure.is_none() && begin.elapsed() < limit {
        let index = random.below(CONNECTIONS);
        let talker = &mut talkers[index];
        if talker.rest.is_empty() && !talker.silent {
            let data = payload(&mut random, &commands);
            kept.push_back(data.clone());
            while kept.len() > KEPT_PAYLOADS {
                kept.pop_front();
            }
            talker.rest.extend(data);
            payloads += 1;
        }
        let alive = talker.step(&mut random);
        if alive && random.chance(1) && random.chance(20) {
            talker.silent = true;
            // It may be closed already: then the next step finds out.
            let _ = talker.stream.shutdown(Shutdown::Write);
        }
        if !alive || random.below(2000) == 0 {
            talkers[index] = match server.ended() {
                None => Talker::connect(server.port, &mut random),
                Some(status) => {
                    failure = Some(format!("the server ended with {status}"));
                    break;
                }
            };
        }
        if payloads % 256 == 0 {
            most_kib = most_kib.max(server.resident_kib());
            failure = failure.or_else(|| verdict(who, &mut server, most_kib, probing.is_finished()));
        }
    }
    stop.store(true, Ordering::Relaxed);
    let probed = probing.join().expect("the probe does not panic");
    failure = failure.or_else(|| probed.as_ref().err().cloned()).or_else(|| verdict(who, &mut server, most_kib, false));
    if let Some(failure) = failure {
        let file = std::env::temp_dir().join(format!("redstart-fuzz-flood-{seed}"));
        let written = std::fs::write(&file, kept.into_iter().flatten().collect::<Vec<u8>>());
        panic!("seed {seed}: {failure}; the last payloads are in {} ({written:?})\n{}", file.display(), server.log());
    }
    println!("{payloads} payloads from seed {seed}: slowest PONG {probed:?}, resident at most {} MiB", most_kib / 1024);
}

/// What is wrong with the server now, if anything is.
fn verdict(who: Who, server: &mut Process, most_kib: u64, probe_gave_up: bool) -> Option<String> {
    if let Some(status) = server.ended() {
        return Some(format!("the server ended with {status}"));
    }
    if most_kib > who.memory_limit_kib() {
        return Some(format!("it holds {} MiB", most_kib / 1024));
    }
    if probe_gave_up {
        return Some("the probe gave up".into());
    }
    server.log().contains("panicked").then(|| "a panic is in its log".into())
}
