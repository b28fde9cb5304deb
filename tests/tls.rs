//! TLS against the real binary: who is let in, what is spoken, certificates that are renewed, options that are refused, and
//! data in both directions. The other side is rustls, and the redis-cli of the machine where it has one.

#[path = "tls/hostile.rs"]
mod hostile;
#[path = "tls/pki.rs"]
mod pki;
mod support;

use pki::{Pki, Visitor};
use rustls::crypto::aws_lc_rs;
use rustls::{HandshakeKind, ProtocolVersion};
use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener};
use std::process::{Command, Output};
use std::thread;

use support::client::{Client, encode};
use support::{Folder, Process, free_port, our_binary, program, start, wait_until};

/// A server with TLS beside the clear port.
pub struct Secured {
    pub pki: Pki,
    pub port: u16,
    pub server: Process,
    _folder: Folder,
}

impl Secured {
    pub fn start(flags: &[&str]) -> Secured {
        let folder = Folder::new("tls");
        let pki = Pki::new(folder.path());
        let port = free_port();
        let own = pki.flags(port);
        let all: Vec<&str> = own.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        Secured { server: start(&all), pki, port, _folder: folder }
    }

    /// Asks for no certificate.
    pub fn open(flags: &[&str]) -> Secured {
        Secured::start(&[&["--tls-auth-clients", "no"], flags].concat())
    }

    pub fn visitor(&self) -> Visitor {
        Visitor::new(self.port, Some((&self.pki, "client")))
    }

    pub fn client(&self) -> Client {
        self.visitor().client().expect("a good certificate is let in")
    }
}

fn set(client: &mut Client, name: &str, value: &str) -> String {
    let reply = client.call(&["CONFIG", "SET", name, value]).expect("a reply");
    reply.string()
}

#[test]
fn clients_with_tls_and_without_are_served_side_by_side() {
    let secured = Secured::start(&[]);
    let (mut clear, mut secret) = (secured.server.client(), secured.client());
    assert_eq!(secret.say("SET k v"), "+OK");
    assert_eq!(clear.say("GET k"), "\"v\"");
    assert_eq!(secret.say("SUBSCRIBE c"), "*[\"subscribe\" \"c\" :1]");
    assert_eq!(clear.say("PUBLISH c news"), ":1");
    assert_eq!(secret.hear(), "*[\"message\" \"c\" \"news\"]");
    let info = clear.ask("INFO server").string();
    assert!(info.contains(&format!("listener1:name=tls,bind=127.0.0.1,port={}", secured.port)), "{info}");
    let list = clear.ask("CLIENT LIST").string();
    assert!(list.contains(&format!("laddr=127.0.0.1:{}", secured.port)), "{list}");
    assert!(secured.server.log().contains("Ready to accept connections tls"));
}

#[test]
fn values_of_all_sizes_go_through_in_both_directions() {
    let secured = Secured::open(&[]);
    let mut client = secured.client();
    for size in [0, 1, 16_383, 16_384, 16_385, 32_768, 70_000, 1 << 20, 9_000_001] {
        let value: Vec<u8> = (0..size).map(|i: usize| (i * 31 % 251) as u8).collect();
        assert_eq!(client.call(&[b"SET", &b"k"[..], &value]).expect("a reply").string(), "OK", "{size}");
        assert!(client.call(&["GET", "k"]).expect("a reply").text == value, "{size}");
        let both = client.call(&["MGET", "k", "k"]).expect("a reply");
        assert!(both.children.len() == 2 && both.children.iter().all(|child| child.text == value), "{size}");
    }
}

#[test]
fn a_pipeline_longer_than_any_buffer_is_answered_in_order() {
    let secured = Secured::open(&[]);
    let stream = secured.visitor().stream().expect("let in");
    let mut other = Client::through(stream.sock.try_clone().expect("cloned"), Box::new(stream));
    let mut requests = Vec::new();
    for i in 0..20_000 {
        encode(&["ECHO", &format!("{i}:{}", "x".repeat(i % 90))], &mut requests);
    }
    // Not all at once: nobody would read the answers meanwhile.
    let mut answered = 0;
    for part in requests.chunks(40_000) {
        other.send_raw(part).expect("sent");
        while other.has_more() {
            assert!(other.read().expect("a reply").string().starts_with(&format!("{answered}:")));
            answered += 1;
        }
    }
    for i in answered..20_000 {
        assert!(other.read().expect("a reply").string().starts_with(&format!("{i}:")), "{i}");
    }
}

#[test]
fn a_slow_reader_gets_everything() {
    let secured = Secured::open(&[]);
    let value: Vec<u8> = (0..200_000u32).map(|i| (i % 253) as u8).collect();
    let mut writer = secured.client();
    writer.call(&[b"SET", &b"k"[..], &value]).expect("a reply");
    let mut stream = secured.visitor().stream().expect("let in");
    stream.write_all("GET k\r\n".repeat(100).as_bytes()).expect("sent");
    // The kernel's buffers fill meanwhile.
    wait_until("replies wait for the reader", || {
        let list = secured.server.client().ask("CLIENT LIST").string();
        list.lines().any(|line| line.split(' ').any(|field| field.strip_prefix("omem=").is_some_and(|n| n != "0")))
    });
    let mut expected = format!("${}\r\n", value.len()).into_bytes();
    expected.extend_from_slice(&value);
    expected.extend_from_slice(b"\r\n");
    let mut got = vec![0; expected.len()];
    for _ in 0..100 {
        stream.read_exact(&mut got).expect("all of it comes");
        assert!(got == expected);
    }
}

#[test]
fn clear_text_on_the_tls_port_and_tls_on_the_clear_port_are_refused() {
    let secured = Secured::open(&[]);
    let mut clear = Client::connect(secured.port).expect("the port is open");
    clear.send_raw(b"*1\r\n$4\r\nPING\r\n").expect("sent");
    let mut answer = Vec::new();
    // An alert, then the end.
    clear.stream().read_to_end(&mut answer).ok();
    assert!(!answer.windows(4).any(|part| part == b"PONG"), "{}", answer.escape_ascii());
    wait_until("the log names the failure", || secured.server.log().contains("Error accepting a client connection: "));
    let wrong = Visitor { port: secured.server.port, ..secured.visitor() };
    // Most of the first messages hold an end of line somewhere; none may have to.
    for _ in 0..8 {
        assert!(!wrong.is_let_in());
    }
    assert!(secured.visitor().is_let_in());
}

#[test]
fn a_certificate_is_asked_for_as_tls_auth_clients_says() {
    let secured = Secured::start(&[]);
    let strangers = Folder::new("strangers");
    let others = Pki::new(strangers.path());
    let good = secured.visitor();
    let none = Visitor::new(secured.port, None);
    let stranger = Visitor::new(secured.port, Some((&others, "client")));
    let mut clear = secured.server.client();
    for (value, none_is_in, stranger_is_in) in [("yes", false, false), ("optional", true, false), ("no", true, true)] {
        assert_eq!(set(&mut clear, "tls-auth-clients", value), "OK");
        assert!(good.is_let_in(), "{value}");
        assert_eq!(none.is_let_in(), none_is_in, "{value}");
        assert_eq!(stranger.is_let_in(), stranger_is_in, "{value}");
    }
    // Once it is demanded again, sessions from before are of no use either.
    assert_eq!(set(&mut clear, "tls-auth-clients", "yes"), "OK");
    assert!(!none.is_let_in() && !stranger.is_let_in() && good.is_let_in());
    assert_eq!(set(&mut clear, "tls-ca-cert-file", &others.path("ca.crt")), "OK");
    assert!(!good.is_let_in() && stranger.is_let_in());
    assert_eq!(set(&mut clear, "tls-ca-cert-dir", &secured.pki.path("")), "OK");
    assert!(good.is_let_in() && stranger.is_let_in(), "the file and the folder are both trusted");
}

#[test]
fn the_name_in_a_certificate_can_be_the_users() {
    let secured = Secured::start(&["--tls-auth-clients-user", "CN"]);
    let mut clear = secured.server.client();
    clear.ask("ACL SETUSER client on >secret ~* +@all");
    clear.ask("ACL SETUSER default >other");
    let mut known = secured.client();
    assert_eq!(known.say("ACL WHOAMI"), "\"client\"");
    secured.pki.sign("nobody", 5);
    let mut unknown = Visitor::new(secured.port, Some((&secured.pki, "nobody"))).client().expect("let in");
    assert_eq!(unknown.say("ACL WHOAMI"), "-NOAUTH Authentication required.");
    clear.ask("ACL SETUSER client off");
    assert_eq!(secured.client().say("ACL WHOAMI"), "-NOAUTH Authentication required.");
    assert!(clear.ask("INFO stats").string().contains("acl_access_denied_tls_cert:2\r\n"));
    clear.ask("ACL SETUSER client on");
    assert_eq!(set(&mut clear, "tls-auth-clients-user", "off"), "OK");
    assert_eq!(secured.client().say("ACL WHOAMI"), "-NOAUTH Authentication required.");
    clear.ask("ACL SETUSER default nopass");
}

#[test]
fn versions_and_ciphers_are_those_that_the_options_name() {
    let secured = Secured::open(&["--tls-protocols", "TLSv1.2"]);
    let new = Visitor::with(secured.port, None, aws_lc_rs::default_provider(), &[&rustls::version::TLS13]);
    let any = Visitor::new(secured.port, None);
    assert!(!new.is_let_in());
    assert_eq!(any.stream().expect("let in").conn.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let mut clear = secured.server.client();
    assert_eq!(set(&mut clear, "tls-ciphers", "DEFAULT:-CHACHA20"), "OK");
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| format!("{:?}", suite.suite()).contains("CHACHA20"));
    let chacha = Visitor::with(secured.port, None, provider, &[&rustls::version::TLS12]);
    assert!(!chacha.is_let_in() && any.is_let_in());
    assert_eq!(set(&mut clear, "tls-ciphers", ""), "OK");
    assert!(chacha.is_let_in());
    assert_eq!(set(&mut clear, "tls-protocols", "TLSv1.3"), "OK");
    assert!(new.is_let_in() && !chacha.is_let_in());
    for (suites, expected) in [("TLS_AES_128_GCM_SHA256", "TLS13_AES_128_GCM_SHA256"), ("", "TLS13_AES_256_GCM_SHA384")]
    {
        assert_eq!(set(&mut clear, "tls-ciphersuites", suites), "OK");
        let spoken = new.stream().expect("let in").conn.negotiated_cipher_suite().expect("agreed").suite();
        assert_eq!(format!("{spoken:?}"), expected);
    }
    assert_eq!(set(&mut clear, "tls-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"), "OK");
    let mut chosen = |value: &str| {
        assert_eq!(set(&mut clear, "tls-prefer-server-ciphers", value), "OK");
        format!("{:?}", new.stream().expect("let in").conn.negotiated_cipher_suite().expect("agreed").suite())
    };
    assert_eq!(chosen("no"), "TLS13_AES_128_GCM_SHA256");
    assert_eq!(chosen("yes"), "TLS13_CHACHA20_POLY1305_SHA256");
}

#[test]
fn what_can_not_be_used_is_refused_and_changes_nothing() {
    let secured = Secured::open(&[]);
    let mut clear = secured.server.client();
    let junk = secured.server.folder.path().join("junk");
    std::fs::write(&junk, "no certificate").expect("written");
    let junk = junk.to_str().expect("text").to_owned();
    secured.pki.sign("other", 9);
    for (name, value) in [
        ("tls-cert-file", "/nothing/there"),
        ("tls-cert-file", &junk),
        ("tls-cert-file", ""),
        ("tls-key-file", &secured.pki.path("other.key")),
        ("tls-key-file", &junk),
        ("tls-protocols", "SSLv2"),
        ("tls-protocols", "TLSv1 TLSv1.1"),
        ("tls-ciphers", "nothing-known"),
        ("tls-ciphersuites", "TLS_NOTHING"),
    ] {
        let before = clear.call(&["CONFIG", "GET", name]).expect("a reply");
        let error = set(&mut clear, name, value);
        let start = format!("ERR CONFIG SET failed (possibly related to argument '{name}') - Unable to update TLS");
        assert!(error.starts_with(&start), "{name} {value}: {error}");
        assert_eq!(clear.call(&["CONFIG", "GET", name]).expect("a reply"), before);
        assert!(secured.visitor().is_let_in(), "{name} {value}");
    }
    let (cert, key) = (secured.pki.path("other.crt"), secured.pki.path("other.key"));
    let both = ["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key];
    assert_eq!(clear.call(&both).expect("a reply").string(), "OK", "together they fit");
    assert!(secured.visitor().is_let_in());
}

/// Serial number of the certificate that new clients see.
fn serial(visitor: &Visitor) -> Option<u8> {
    let stream = visitor.stream().ok()?;
    let shown = stream.conn.peer_certificates()?.first()?.to_vec();
    // After the version, [0] 3 bytes of INTEGER: the serial number as INTEGER of one byte.
    let at = shown.windows(5).position(|part| part == [0xA0, 0x03, 0x02, 0x01, 0x02])? + 5;
    (shown[at..at + 2] == [0x02, 0x01]).then(|| shown[at + 2])
}

#[test]
fn renewed_files_are_shown_to_new_clients_while_others_stay() {
    let secured = Secured::open(&[]);
    let visitor = secured.visitor();
    let mut old = secured.client();
    assert_eq!(serial(&visitor), Some(1));
    secured.pki.sign("server", 77);
    wait_until("new clients see the new certificate", || serial(&visitor) == Some(77));
    assert_eq!(old.say("PING"), "+PONG");
    // Half of a pair can't be used: what was there stays.
    std::fs::write(secured.pki.path("server.key"), "half a ke").expect("written");
    wait_until("the log tells", || secured.server.log().contains("the former ones stay"));
    assert_eq!(serial(&visitor), Some(77));
    secured.pki.sign("server", 78);
    wait_until("a whole pair is taken again", || serial(&visitor) == Some(78));
    assert_eq!(old.say("PING"), "+PONG");
}

#[test]
fn sessions_are_resumed_unless_they_are_not_kept() {
    let secured = Secured::open(&[]);
    let mut clear = secured.server.client();
    for versions in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for (value, kind) in [("no", HandshakeKind::Full), ("yes", HandshakeKind::Resumed)] {
            assert_eq!(set(&mut clear, "tls-session-caching", value), "OK");
            let visitor = Visitor::with(secured.port, None, aws_lc_rs::default_provider(), &[versions]);
            for expected in [HandshakeKind::Full, kind, kind] {
                let mut stream = visitor.stream().expect("let in");
                // The ticket comes before the first answer.
                stream.write_all(b"PING\r\n").expect("sent");
                stream.read_exact(&mut [0; 7]).expect("answered");
                assert_eq!(stream.conn.handshake_kind(), Some(expected), "{value} {versions:?}");
            }
        }
    }
    assert_eq!(set(&mut clear, "tls-session-cache-timeout", "0"), "OK");
    let visitor = secured.visitor();
    for _ in 0..2 {
        let mut stream = visitor.stream().expect("let in");
        stream.write_all(b"PING\r\n").expect("sent");
        stream.read_exact(&mut [0; 7]).expect("answered");
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn ports_are_moved_opened_and_closed_at_run_time() {
    let secured = Secured::open(&[]);
    let mut held = secured.client();
    let other = free_port();
    let moved = Visitor { port: other, ..secured.visitor() };
    assert_eq!(set(&mut held, "tls-port", &other.to_string()), "OK");
    assert!(moved.is_let_in());
    wait_until("the old port is closed", || Client::connect(secured.port).is_err());
    assert_eq!(set(&mut held, "port", "0"), "OK");
    wait_until("the clear port is closed", || Client::connect(secured.server.port).is_err());
    assert!(moved.is_let_in());
    assert_eq!(held.say("INFO server").matches(&format!("tcp_port:{other}")).count(), 1);
    assert_eq!(set(&mut held, "port", &secured.server.port.to_string()), "OK");
    assert_eq!(secured.server.client().say("PING"), "+PONG");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("bound").port().to_string();
    let error = set(&mut held, "tls-port", &port);
    assert!(error.ends_with("'tls-port') - Unable to listen on this port. Check server logs."), "{error}");
    assert!(moved.is_let_in());
    assert_eq!(set(&mut held, "tls-port", "0"), "OK");
    wait_until("TLS is closed", || Client::connect(other).is_err());
    assert_eq!(held.say("PING"), "+PONG", "who is there stays");
    assert_eq!(set(&mut held, "tls-port", &other.to_string()), "OK");
    assert!(moved.is_let_in());
}

#[test]
fn clients_come_over_ipv6_as_they_do_over_ipv4() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        println!("this machine has no IPv6");
        return;
    }
    let secured = Secured::start(&["--bind", "127.0.0.1", "::1"]);
    let visitor = Visitor { host: Ipv6Addr::LOCALHOST.into(), ..secured.visitor() };
    let mut client = visitor.client().expect("let in");
    assert_eq!((client.say("SET k v"), secured.client().say("GET k")), ("+OK".into(), "\"v\"".into()));
    let value = "x".repeat(100_000);
    assert_eq!(client.call(&["SET", "big", &value]).expect("a reply").string(), "OK");
    assert!(client.ask("GET big").string() == value);
    let own = client.ask("CLIENT INFO").string();
    assert!(own.contains(" addr=[::1]:") && own.contains(&format!(" laddr=[::1]:{} ", secured.port)), "{own}");
    let stranger = Visitor { host: Ipv6Addr::LOCALHOST.into(), ..Visitor::new(secured.port, None) };
    assert!(!stranger.is_let_in());
    secured.pki.sign("server", 55);
    wait_until("the new certificate is shown there too", || serial(&visitor) == Some(55));
    // The port of the clear text becomes that of TLS, and back.
    let other = Visitor { port: secured.server.port, ..visitor.clone() };
    for (clear, tls) in [("0", secured.server.port.to_string()), (&*secured.server.port.to_string(), "0".to_owned())] {
        let first = if clear == "0" { ["port", "0"] } else { ["tls-port", &tls] };
        let second = if clear == "0" { ["tls-port", &tls] } else { ["port", clear] };
        for [name, value] in [first, second] {
            assert_eq!(set(&mut client, name, value), "OK", "{name} {value}");
        }
        assert_eq!(other.stream().is_ok(), clear == "0");
    }
    assert_eq!((client.say("PING"), secured.server.client().say("PING")), ("+PONG".into(), "+PONG".into()));
}

#[test]
fn a_server_without_what_tls_needs_does_not_start() {
    let folder = Folder::new("tls");
    let pki = Pki::new(folder.path());
    let port = free_port().to_string();
    let (cert, key, ca) = (pki.path("server.crt"), pki.path("server.key"), pki.path("ca.crt"));
    let dir = folder.path().to_str().expect("text");
    let base = ["--port", "0", "--dir", dir, "--save", "", "--tls-port", &port];
    for (flags, reason) in [
        (&[][..], "No tls-cert-file configured!"),
        (&["--tls-cert-file", &cert], "No tls-key-file configured!"),
        (&["--tls-cert-file", &cert, "--tls-key-file", &key], "Either tls-ca-cert-file or tls-ca-cert-dir must be"),
        (&["--tls-cert-file", &key, "--tls-key-file", &key, "--tls-ca-cert-file", &ca], "holds no certificate"),
        (
            &["--tls-cert-file", "/gone", "--tls-key-file", &key, "--tls-auth-clients", "no"],
            "No such file or directory",
        ),
    ] {
        let ended = Command::new(our_binary()).args(base).args(flags).output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success() && said.contains(reason), "{flags:?}: {said}");
        assert!(said.contains("Failed to configure TLS"), "{said}");
    }
}

fn openssl(args: &[&str]) -> Option<Output> {
    let found = program("openssl");
    if found.is_none() {
        println!("LEFT OUT: keys under a pass phrase: no openssl on this machine");
    }
    Some(Command::new(found?).args(args).output().expect("openssl runs"))
}

#[test]
fn a_key_under_a_pass_phrase_is_opened_with_it() {
    let secured = Secured::open(&[]);
    let (plain, locked) = (secured.pki.path("server.key"), secured.pki.path("locked.key"));
    let pass = "pass:open sesame";
    for cipher in ["-aes256", "-aes128"] {
        let Some(made) = openssl(&["pkey", "-in", &plain, cipher, "-passout", pass, "-out", &locked]) else { return };
        assert!(made.status.success(), "{made:?}");
        let mut clear = secured.server.client();
        let error = set(&mut clear, "tls-key-file", &locked);
        assert!(error.contains("needs a pass phrase: set tls-key-file-pass"), "{error}");
        let wrong = clear.call(&["CONFIG", "SET", "tls-key-file", &locked, "tls-key-file-pass", "sesame"]);
        assert!(wrong.expect("a reply").string().contains("the pass phrase does not open the key"));
        let right = clear.call(&["CONFIG", "SET", "tls-key-file", &locked, "tls-key-file-pass", "open sesame"]);
        assert_eq!(right.expect("a reply").string(), "OK");
        assert!(secured.visitor().is_let_in());
        assert!(!secured.server.log().contains("sesame"), "a secret is not logged");
        let back = clear.call(&["CONFIG", "SET", "tls-key-file", &plain, "tls-key-file-pass", ""]);
        assert_eq!(back.expect("a reply").string(), "OK");
    }
}

#[test]
fn who_says_goodbye_after_its_requests_is_answered() {
    let secured = Secured::open(&[]);
    let mut stream = secured.visitor().stream().expect("let in");
    stream.conn.writer().write_all(b"PING\r\nECHO last\r\n").expect("taken");
    stream.conn.send_close_notify();
    stream.flush().expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server says goodbye too");
    assert_eq!(answer, b"+PONG\r\n$4\r\nlast\r\n");
    wait_until("it is gone", || {
        !secured.server.client().ask("CLIENT LIST").string().contains(&format!(":{} ", secured.port))
    });
}

#[test]
fn limits_of_clients_hold_with_tls_too() {
    let secured = Secured::open(&["--maxclients", "4", "--client-output-buffer-limit", "normal 1mb 0 0"]);
    let mut first = secured.client();
    first.call(&["SET", "k", &"x".repeat(300_000)]).expect("a reply");
    let mut greedy = secured.visitor().stream().expect("let in");
    greedy.write_all("GET k\r\n".repeat(200).as_bytes()).expect("sent");
    wait_until("it is cut off", || secured.server.log().contains("closed ASAP for overcoming of output buffer limits"));
    drop(greedy);
    wait_until("it is gone", || first.ask("CLIENT LIST").string().lines().count() == 1);
    let held: Vec<Client> = (0..3).map(|_| secured.client()).collect();
    assert!(!secured.visitor().is_let_in(), "there is no place left");
    drop(held);
    wait_until("places are free again", || secured.visitor().is_let_in());
    assert_eq!(set(&mut first, "timeout", "1"), "OK");
    assert!(first.is_closed(), "who is silent goes");
}

#[test]
fn the_redis_cli_of_the_machine_is_served() {
    let Some(cli) = program("redis-cli") else {
        println!("LEFT OUT: redis-cli: not on this machine");
        return;
    };
    let secured = Secured::start(&[]);
    let run = |flags: &[&str], words: &[&str]| {
        let port = secured.port.to_string();
        let out = Command::new(&cli).args(["-p", &port, "--tls"]).args(flags).args(words).output().expect("it runs");
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    let (ca, cert, key) = (secured.pki.path("ca.crt"), secured.pki.path("client.crt"), secured.pki.path("client.key"));
    let all = ["--cacert", &ca, "--cert", &cert, "--key", &key];
    assert_eq!(run(&all, &["SET", "k", "v"]), "OK\n");
    assert_eq!(run(&all, &["GET", "k"]), "v\n");
    assert_eq!(run(&["--insecure", "--cert", &cert, "--key", &key], &["PING"]), "PONG\n");
    assert!(!run(&["--cacert", &ca], &["PING"]).contains("PONG"), "it shows no certificate");
    assert!(!run(&["--cert", &cert, "--key", &key], &["PING"]).contains("PONG"), "it does not trust ours");
}

#[test]
fn our_own_client_speaks_tls() {
    let secured = Secured::start(&[]);
    let run = |flags: &[&str]| {
        let port = secured.port.to_string();
        let cli = Command::new(env!("CARGO_BIN_EXE_redstart-cli")).args(["-p", &port]).args(flags).arg("PING").output();
        let out = cli.expect("it runs");
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr)
    };
    let (ca, cert, key) = (secured.pki.path("ca.crt"), secured.pki.path("client.crt"), secured.pki.path("client.key"));
    assert_eq!(run(&["--tls", "--cacert", &ca, "--cert", &cert, "--key", &key]), "PONG\n");
    assert_eq!(run(&["--tls", "--cacert", &ca, "--cert", &cert, "--key", &key, "--sni", "localhost"]), "PONG\n");
    assert_eq!(run(&["--tls", "--insecure", "--cert", &cert, "--key", &key]), "PONG\n");
    let wrong = run(&["--tls", "--cacert", &ca, "--cert", &cert, "--key", &key, "--sni", "elsewhere.example"]);
    assert!(wrong.contains("certificate") && !wrong.contains("PONG"), "{wrong}");
    assert!(run(&["--tls", "--cacert", "/nothing/there"]).contains("--cacert '/nothing/there': No such file"));
}

#[test]
fn keys_migrate_over_tls_where_the_cluster_speaks_it() {
    let to = Secured::start(&[]);
    let (cert, key) = (to.pki.path("server.crt"), to.pki.path("server.key"));
    let ca = to.pki.path("ca.crt");
    let from =
        start(&["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca, "--tls-cluster", "yes"]);
    let mut source = from.client();
    source.ask("SET k v");
    assert_eq!(source.say(&format!("MIGRATE 127.0.0.1 {} k 0 5000", to.port)), "+OK");
    assert_eq!(to.client().say("GET k"), "\"v\"");
    source.ask("SET l w");
    assert_eq!(source.say(&format!("MIGRATE 127.0.0.1 {} l 0 5000", to.port)), "+OK", "over the kept connection");
    source.ask("SET m x");
    assert!(source.say(&format!("MIGRATE 127.0.0.1 {} m 0 5000", to.server.port)).starts_with("-IOERR"));
    assert_eq!(source.say("GET m"), "\"x\"");
}

#[test]
fn an_idle_client_costs_little_memory() {
    const COUNT: u64 = 300;
    let secured = Secured::open(&["--maxclients", "1000"]);
    let visitor = secured.visitor();
    let enter = |count: u64| -> Vec<Client> {
        let visit = |_| {
            let mut client = visitor.client().expect("let in");
            client.call(&["PING"]).expect("a reply");
            client
        };
        (0..count).map(visit).collect()
    };
    let _warm = enter(20);
    let before = secured.server.resident_kib();
    let _held = enter(COUNT);
    let each_kib = secured.server.resident_kib().saturating_sub(before) as f64 / COUNT as f64;
    println!("{each_kib:.1} KiB for each idle client with TLS");
    assert!(each_kib < 32.0, "{each_kib} KiB for each idle client");
}

#[test]
fn a_burst_of_clients_is_taken_and_others_are_served_meanwhile() {
    let secured = Secured::open(&[]);
    let visitor = secured.visitor();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let visitor = visitor.clone();
            thread::spawn(move || (0..25).filter(|_| visitor.is_let_in()).count())
        })
        .collect();
    let mut clear = secured.server.client();
    while !threads.iter().all(|thread| thread.is_finished()) {
        assert_eq!(clear.say("PING"), "+PONG");
    }
    let served: usize = threads.into_iter().map(|thread| thread.join().expect("no panic")).sum();
    assert_eq!(served, 200);
}

#[test]
fn a_script_that_runs_for_long_lets_clients_with_tls_be_told() {
    let secured = Secured::open(&["--busy-reply-threshold", "50"]);
    let (mut runner, mut other) = (secured.client(), secured.client());
    let mut endless = Vec::new();
    encode(&["EVAL", "while true do end", "0"], &mut endless);
    runner.send_raw(&endless).expect("sent");
    wait_until("others are told that it is busy", || other.say("PING").starts_with("-BUSY"));
    assert_eq!(other.say("SCRIPT KILL"), "+OK");
    assert!(runner.hear().contains("killed by user"));
    wait_until("it is served again", || other.say("PING") == "+PONG");
    assert!(secured.visitor().is_let_in());
}
