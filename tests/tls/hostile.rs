//! What nobody means well with: garbage, handshakes that stop or are cut, records that lie about themselves, a stream that is
//! damaged on its way. The server must go on, tell whoever is wrong, and hold bounded memory.

use super::Secured;
use super::pki::Visitor;
use super::support::random::Random;
use super::support::{env_number, wait_until};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long the mutations go on.
const SECONDS: u64 = 3;
/// Most memory that the server may have come to hold, KiB.
const MEMORY_LIMIT_KIB: u64 = 120 * 1024;

fn session(visitor: &Visitor) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::clone(&visitor.config), name).expect("a session")
}

/// What a client says first.
fn hello(visitor: &Visitor) -> Vec<u8> {
    let mut bytes = Vec::new();
    session(visitor).write_tls(&mut bytes).expect("a vector takes it");
    bytes
}

/// Sends, and reads until the server closes; whether it did.
fn is_closed_after(visitor: &Visitor, bytes: &[u8]) -> bool {
    let mut socket = visitor.socket();
    // It may close before all is sent.
    let _ = socket.write_all(bytes);
    let mut rest = Vec::new();
    match socket.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}

#[test]
fn what_is_no_handshake_is_closed_at_once() {
    let secured = Secured::open(&[]);
    let visitor = secured.visitor();
    let hello = hello(&visitor);
    let huge_record = [&[22, 3, 1, 0xFF, 0xFF][..], &[0; 1000]].concat();
    let not_first = [&[23, 3, 3, 0, 5][..], b"hello"].concat();
    let empty_records = [22, 3, 1, 0, 0].repeat(5000);
    let alert = [21, 3, 3, 0, 2, 2, 40];
    let twice = [hello.clone(), hello.clone()].concat();
    // A message of 16 MiB announced, and given in small pieces.
    let mut endless = Vec::new();
    for i in 0..40_000u32 {
        let body: &[u8] = if i == 0 { &[1, 0xFF, 0xFF, 0xFF] } else { &[0; 4] };
        endless.extend_from_slice(&[22, 3, 1, 0, 4]);
        endless.extend_from_slice(body);
    }
    let cases: [(&str, &[u8]); 8] = [
        ("zeros", &[0; 4000]),
        ("http", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("a record too long", &huge_record),
        ("data before the handshake", &not_first),
        ("empty records", &empty_records),
        ("an alert", &alert),
        ("two greetings", &twice),
        ("a message without end", &endless),
    ];
    for (what, bytes) in cases {
        assert!(is_closed_after(&visitor, bytes), "{what}");
        assert!(visitor.is_let_in(), "{what}");
    }
}

#[test]
fn a_handshake_byte_by_byte_succeeds_and_one_that_stops_harms_nobody() {
    let secured = Secured::open(&[]);
    let visitor = secured.visitor();
    let mut socket = visitor.socket();
    let mut session = session(&visitor);
    while session.is_handshaking() {
        let mut out = Vec::new();
        while session.wants_write() {
            session.write_tls(&mut out).expect("a vector takes it");
        }
        out.iter().for_each(|byte| socket.write_all(&[*byte]).expect("sent"));
        if session.is_handshaking() {
            session.read_tls(&mut socket).expect("an answer");
            session.process_new_packets().expect("a sound answer");
        }
    }
    let stopped: Vec<TcpStream> = (0..50)
        .map(|i| {
            let mut socket = visitor.socket();
            let hello = hello(&visitor);
            socket.write_all(&hello[..hello.len() * i / 50]).expect("sent");
            socket
        })
        .collect();
    assert!(visitor.is_let_in());
    let mut clear = secured.server.client();
    assert!(clear.ask("CLIENT LIST").string().lines().count() >= 50, "they are clients as others");
    drop(stopped);
    wait_until("they are gone", || clear.ask("CLIENT LIST").string().lines().count() <= 2);
}

#[test]
fn changes_of_keys_are_answered_and_asking_for_them_without_end_is_not() {
    let secured = Secured::open(&[]);
    let visitor = secured.visitor();
    let mut stream = visitor.stream().expect("let in");
    for _ in 0..5 {
        stream.conn.refresh_traffic_keys().expect("TLS 1.3");
        stream.write_all(b"PING\r\n").expect("sent");
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).expect("answered");
        assert_eq!(&answer, b"+PONG\r\n");
    }
    // Without reading, and with nothing between.
    for _ in 0..10_000 {
        if stream.conn.refresh_traffic_keys().is_err() || stream.flush().is_err() {
            break;
        }
    }
    assert!(visitor.is_let_in());
    assert!(secured.server.resident_kib() < MEMORY_LIMIT_KIB);
}

/// One connection whose bytes are damaged somewhere on their way.
fn damaged(visitor: &Visitor, random: &mut Random) {
    let mut socket = visitor.socket();
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("an option");
    let mut session = session(visitor);
    let damage_at = random.below(6);
    for flight in 0..8 {
        let mut out = Vec::new();
        if !session.is_handshaking() {
            let request = "SET k ".to_owned() + &"x".repeat(random.below(40_000)) + "\r\nGET k\r\n";
            if session.writer().write_all(request.as_bytes()).is_err() {
                return;
            }
        }
        while session.wants_write() {
            session.write_tls(&mut out).expect("a vector takes it");
        }
        if flight == damage_at && !out.is_empty() {
            match random.below(5) {
                0 => out.truncate(random.below(out.len())),
                1 => out.extend((0..random.below(3000)).map(|_| random.below(256) as u8).collect::<Vec<_>>()),
                2 => out = out.repeat(2),
                3 => {
                    let at = random.below(out.len());
                    out.rotate_left(at);
                }
                _ => {
                    for _ in 0..=random.below(4) {
                        let at = random.below(out.len());
                        out[at] ^= 1 << random.below(8);
                    }
                }
            }
        }
        if socket.write_all(&out).is_err() || (flight >= damage_at && random.chance(50)) {
            return;
        }
        if session.is_handshaking()
            && (session.read_tls(&mut socket).is_err() || session.process_new_packets().is_err())
        {
            return;
        }
    }
}

#[test]
fn damaged_streams_harm_nobody() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs());
    let seed = env_number("REDSTART_FUZZ_SEED", now);
    let seconds = env_number("REDSTART_FUZZ_SECONDS", SECONDS);
    println!("REDSTART_FUZZ_SEED={seed}");
    let mut random = Random::seeded(seed);
    let secured = Secured::open(&[]);
    secured.server.client().ask("CONFIG SET requirepass nobody-knows");
    let visitor = secured.visitor();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(seconds) {
        damaged(&visitor, &mut random);
    }
    let mut good = secured.client();
    assert_eq!(good.say("PING"), "-NOAUTH Authentication required.", "seed {seed}");
    assert_eq!(good.say("AUTH nobody-knows"), "+OK");
    assert!(secured.server.resident_kib() < MEMORY_LIMIT_KIB, "seed {seed}: {} KiB", secured.server.resident_kib());
    let log = secured.server.log();
    assert!(!log.contains("panic"), "seed {seed}: {log}");
}
