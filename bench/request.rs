//! What a request costs without a socket: bytes into `Service::handle_turn`, replies out of the outbox, at several pipeline
//! depths; and the decoder alone. Counts allocator bytes too, which do not flicker.
//!
//! `cargo bench --bench request`; instructions: `valgrind --tool=callgrind` over the built bench.

use redstart::base::clock::Clock;
use redstart::base::rng::Rng;
use redstart::command::{Debug, FAMILIES, Facts};
use redstart::config::Config;
use redstart::net::{Input, Peer, Service};
use redstart::resp::{Decoded, Decoder, RequestLimits};
use redstart::server::Server;
use redstart::session::ConnId;
use redstart::sys::alloc;
use std::hint::black_box;
use std::time::Instant;

const KEYS: u64 = 1_000_000;
const REQUESTS: usize = 1_000_000;
const CONN: ConnId = ConnId(0);

fn server(clock: &Clock) -> Server {
    let facts = Facts {
        run_id: String::new(),
        replid: String::new(),
        started: clock.read(),
        executable: String::new(),
        listening: Vec::new(),
        opened: None,
        initial_oom_score: None,
        pause: None,
        debug: Debug::default(),
        startup_used_bytes: 0,
    };
    let mut server = Server::new(Config::default(), facts, FAMILIES, Rng::seeded(1), clock.read());
    let peer = Peer { peer: "bench:0".into(), local: "bench:0".into(), unix: false, loopback: true, fd: -1 };
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
        assert!(len == 0 || outbox.to_vec()[0] != b'-', "{}", String::from_utf8_lossy(&outbox.to_vec()));
        outbox.advance(len);
        server.handle_sent(conn, len, true, now);
    }
}

fn main() {
    let _metered = alloc::register_thread().expect("the allocator has statistics");
    let clock = Clock::default();
    let mut server = server(&clock);
    println!("{:>34} {:>6} {:>12} {:>16}", "request", "P", "ns/request", "bytes kept/request");
    let cases = [
        ("SET key:# xxx", KEYS),
        ("SET key:# xxx", KEYS),
        ("GET key:#", KEYS),
        ("INCR counter:#", KEYS),
        ("LPUSH list xxx", KEYS),
        ("RPOP list", KEYS),
        ("SADD set member:#", KEYS),
        ("HSET hash field:# xxx", KEYS),
        ("ZADD zset # member:#", KEYS),
    ];
    let mut rng = Rng::seeded(7);
    for (template, keys) in cases {
        for pipeline in [1, 16, 64] {
            let mut batches: Vec<Vec<u8>> = Vec::new();
            for _ in 0..REQUESTS / pipeline / 10 {
                let mut bytes = Vec::new();
                (0..pipeline).for_each(|_| request(template, rng.below(keys), &mut bytes));
                batches.push(bytes);
            }
            let before = alloc::used_bytes();
            let started = Instant::now();
            batches.iter().for_each(|bytes| turn(&mut server, &clock, bytes));
            let count = batches.len() * pipeline;
            let ns = started.elapsed().as_nanos() as f64 / count as f64;
            let kept = (alloc::used_bytes() as f64 - before as f64) / count as f64;
            println!("{template:>34} {pipeline:>6} {ns:>12.1} {kept:>16.1}");
        }
    }
    decode_alone();
}

fn decode_alone() {
    let mut bytes = Vec::new();
    (0..64).for_each(|n| request("SET key:# xxx", n, &mut bytes));
    let limits = RequestLimits { bulk_len: 1 << 29, authenticated: true };
    let (mut decoder, mut spans, mut bigs) = (Decoder::default(), Vec::new(), Vec::new());
    let started = Instant::now();
    for _ in 0..20_000 {
        let mut at = 0;
        spans.clear();
        while let Decoded::Request { next, .. } = decoder.decode(&bytes, at, limits, &mut spans, &mut bigs) {
            at = next;
        }
        black_box(&spans);
    }
    let ns = started.elapsed().as_nanos() as f64 / (20_000.0 * 64.0);
    println!("{:>34} {:>6} {ns:>12.1}", "decode SET alone", 64);
}
