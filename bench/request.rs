//! What a request costs without a socket: bytes into `Service::handle_turn`, replies out of the outbox, at several pipeline
//! depths; and the decoder alone. Counts allocator bytes too, which do not flicker.
//!
//! `cargo bench --bench request -- [--only TEXT] [--pipeline N] [--requests N] [--keys N]`: the cases whose text contains
//! TEXT, at one depth, so many measured requests over so many keys. Instructions: `scripts/bench --instructions`, which has callgrind count what happens
//! inside `measured` and `decode_measured` only.

use redstart::base::clock::Clock;
use redstart::base::rng::Rng;
use redstart::command::{Debug, FAMILIES, Facts, Links};
use redstart::config::Config;
use redstart::net::{Input, Peer, Service};
use redstart::persist::storage::Disk;
use redstart::persist::vault::Vault;
use redstart::resp::{Decoded, Decoder, RequestLimits};
use redstart::server::Server;
use redstart::session::ConnId;
use redstart::sys::alloc;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use tikv_jemalloc_ctl::thread;

/// Keys and members that requests name.
const KEYS: u64 = 1_000_000;
/// Requests that are measured.
const REQUESTS: usize = 100_000;
/// Depths at which every case runs.
const PIPELINES: [usize; 3] = [1, 16, 64];
const CONN: ConnId = ConnId(0);

fn server(clock: &Clock) -> Server {
    let facts = Facts {
        run_id: String::new(),
        replid: String::new(),
        started: clock.read(),
        executable: String::new(),
        listening: Vec::new(),
        opened: None,
        tls: None,
        initial_oom_score: None,
        pause: None,
        debug: Debug::default(),
        vault: Vault::new(Arc::new(Disk)),
        saves_begun: 0,
        end_signal: None,
        insisted: Arc::default(),
        save_scheduled: false,
        saving: None,
        log: redstart::command::LogDesk::default(),
        evicting: false,
        links: Links::default(),
        startup_used_bytes: 0,
    };
    let mut server = Server::new(Config::default(), facts, FAMILIES, Rng::seeded(1), clock.read());
    let peer = Peer {
        peer: "bench:0".into(),
        local: "bench:0".into(),
        unix: false,
        loopback: true,
        tls: false,
        metrics: false,
        fd: -1,
    };
    server.handle_open(CONN, peer, clock.read()).expect("the first client is let in");
    server
}

/// `template` with `#` replaced by a number, as a request.
fn request(template: &str, number: u64, out: &mut Vec<u8>) {
    let words: Vec<String> = template.split(' ').map(|word| word.replace('#', &format!("{number:012}"))).collect();
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
}

fn turn(server: &mut Server, clock: &Clock, bytes: &[u8]) {
    let now = clock.read();
    let input = Input { conn: CONN, shared: Some(0..bytes.len()), len: bytes.len() };
    server.handle_turn(&[input], bytes, now);
    server.before_wait(now);
    while let Some(conn) = server.poll_output() {
        let Some(outbox) = server.outbox(conn) else { continue };
        let len = outbox.len();
        assert!(outbox.tail().first() != Some(&b'-'), "{}", outbox.tail().escape_ascii());
        outbox.advance(len);
        server.handle_sent(conn, len, true, now);
    }
}

/// What is to be run.
struct Plan {
    only: String,
    pipelines: Vec<usize>,
    requests: usize,
    keys: usize,
}

fn plan() -> Plan {
    let mut plan = Plan { only: String::new(), pipelines: PIPELINES.to_vec(), requests: REQUESTS, keys: KEYS as usize };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || args.next().and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{arg} takes a number"));
        match arg.as_str() {
            "--only" => plan.only = args.next().expect("--only takes a text"),
            "--pipeline" => plan.pipelines = vec![number()],
            "--requests" => plan.requests = number(),
            "--keys" => plan.keys = number(),
            // What cargo itself says.
            "--bench" => {}
            other => panic!("unknown option {other}"),
        }
    }
    plan
}

/// The cases: requests that prepare the data, then the one that is measured. `#` is a number of a key.
const CASES: [(&str, Option<&str>); 14] = [
    ("PING", None),
    ("SET key:# xxx", Some("SET key:# xxx")),
    ("SET new:# xxx", None),
    ("GET key:#", Some("SET key:# xxx")),
    ("INCR counter:#", Some("INCR counter:#")),
    ("LPUSH list xxx", None),
    ("RPOP list", Some("LPUSH list xxx")),
    ("LRANGE short 0 9", Some("LPUSH short xxx")),
    ("SADD set member:#", Some("SADD set member:#")),
    ("SISMEMBER set member:#", Some("SADD set member:#")),
    ("HSET hash field:# xxx", Some("HSET hash field:# xxx")),
    ("HGET hash field:#", Some("HSET hash field:# xxx")),
    ("ZADD zset # member:#", Some("ZADD zset # member:#")),
    ("MSET a:# 1 b:# 2 c:# 3 d:# 4 e:# 5", None),
];

fn batches(template: &str, count: usize, pipeline: usize, mut number: impl FnMut() -> u64) -> Vec<Vec<u8>> {
    let batch = |_| {
        let mut bytes = Vec::new();
        (0..pipeline).for_each(|_| request(template, number(), &mut bytes));
        bytes
    };
    (0..count.div_ceil(pipeline)).map(batch).collect()
}

fn main() {
    let plan = plan();
    let _metered = alloc::register_thread().expect("the allocator has statistics");
    let clock = Clock::default();
    println!("{:>36} {:>6} {:>12} {:>12} {:>12}", "request", "P", "ns/request", "allocated B", "kept B");
    for (template, before) in CASES.iter().filter(|(template, _)| template.contains(plan.only.as_str())) {
        for &pipeline in &plan.pipelines {
            let mut server = server(&clock);
            let mut next = 0..;
            for bytes in before.map_or(Vec::new(), |before| batches(before, plan.keys, 64, || next.next().unwrap_or(0)))
            {
                turn(&mut server, &clock, &bytes);
            }
            let mut rng = Rng::seeded(7);
            let inputs = batches(template, plan.requests, pipeline, || rng.below(plan.keys as u64));
            let allocated = thread::allocatedp::read().expect("the allocator counts");
            let (kept_before, allocated_before) = (alloc::used_bytes(), allocated.get());
            let started = Instant::now();
            measured(&mut server, &clock, &inputs);
            let count = (inputs.len() * pipeline) as f64;
            let ns = started.elapsed().as_nanos() as f64 / count;
            let churn = (allocated.get() - allocated_before) as f64 / count;
            let kept = (alloc::used_bytes() as f64 - kept_before as f64) / count;
            println!("{template:>36} {pipeline:>6} {ns:>12.1} {churn:>12.1} {kept:>12.1}");
        }
    }
    if "decode alone".contains(plan.only.as_str()) {
        decode_alone(&plan);
    }
}

/// All that the clock, the allocator and callgrind see.
#[inline(never)]
fn measured(server: &mut Server, clock: &Clock, inputs: &[Vec<u8>]) {
    inputs.iter().for_each(|bytes| turn(server, clock, bytes));
}

/// The decoder without a server: requests as they lie in a read buffer.
fn decode_alone(plan: &Plan) {
    for &pipeline in &plan.pipelines {
        let mut bytes = Vec::new();
        (0..pipeline as u64).for_each(|n| request("SET key:# xxx", n, &mut bytes));
        let rounds = (plan.requests / pipeline).max(1);
        let started = Instant::now();
        decode_measured(&bytes, rounds);
        let ns = started.elapsed().as_nanos() as f64 / (rounds * pipeline) as f64;
        println!("{:>36} {pipeline:>6} {ns:>12.1}", "decode alone: SET key:# xxx");
    }
}

#[inline(never)]
fn decode_measured(bytes: &[u8], rounds: usize) {
    let limits = RequestLimits { bulk_len: 1 << 29, authenticated: true };
    let (mut decoder, mut spans, mut bigs) = (Decoder::default(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut at = 0;
        spans.clear();
        while let Decoded::Request { next, .. } = decoder.decode(bytes, at, limits, &mut spans, &mut bigs) {
            at = next;
        }
        black_box(&spans);
    }
}
