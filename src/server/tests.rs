//! A whole server without sockets, at times that the test chooses: what commands and the clock leave in the journal.

use super::*;
use crate::command::{Debug, FAMILIES};
use crate::persist::storage::Disk;
use crate::persist::vault::Vault;
use std::sync::Arc;

const CONN: ConnId = ConnId(1);
const START_MS: i64 = 1_700_000_000_000;

/// A server with one client.
pub(super) struct Bench {
    pub(super) server: Server,
    now: Now,
}

/// Somebody on this machine.
pub(super) fn peer() -> Peer {
    Peer { peer: "test".into(), local: "test".into(), unix: false, loopback: true, tls: false, metrics: false, fd: -1 }
}

pub(super) fn facts(now: Now) -> Facts {
    Facts {
        run_id: String::new(),
        replid: String::new(),
        started: now,
        executable: String::new(),
        listening: Vec::new(),
        opened: None,
        tls: None,
        initial_oom_score: None,
        pause: None,
        debug: Debug::default(),
        evicting: false,
        vault: Vault::new(Arc::new(Disk)),
        saves_begun: 0,
        end_signal: None,
        insisted: Arc::default(),
        save_scheduled: false,
        saving: None,
        log: crate::command::LogDesk::default(),
        links: crate::command::Links::default(),
        startup_used_bytes: 0,
    }
}

impl Bench {
    pub(super) fn new() -> Bench {
        let now = Now::at_unix_ms(START_MS);
        let config = Config { protected_mode: false, ..Config::default() };
        let mut server = Server::new(config, facts(now), FAMILIES, Rng::seeded(7), now);
        server.effects.wanted = true;
        server.keyspace.book.propagate = true;
        server.handle_open(CONN, peer(), now).expect("the client is let in");
        Bench { server, now }
    }

    fn pass(&mut self, ms: i64) {
        self.now = Now::at_unix_ms(self.now.unix_ms.0 + ms);
    }

    /// What `act` adds to the journal, SELECT left out.
    fn journal_of(&mut self, act: impl FnOnce(&mut Server, Now)) -> Vec<String> {
        let mark = self.server.journal.offset();
        act(&mut self.server, self.now);
        let text = String::from_utf8_lossy(self.server.journal.read_from(mark).expect("nobody trims")).into_owned();
        let mut lines = text.split("\r\n");
        let mut effects = Vec::new();
        while let Some(count) = lines.next().and_then(|line| line.strip_prefix('*')) {
            let count: usize = count.parse().expect("a count");
            let words: Vec<&str> = (0..count).filter_map(|_| lines.nth(1)).collect();
            effects.push(words.join(" "));
        }
        effects.retain(|effect| !effect.starts_with("SELECT"));
        effects
    }

    fn run(&mut self, request: &str) -> Vec<String> {
        let line = format!("{request}\r\n");
        let input = Input { conn: CONN, shared: Some(0..line.len()), len: line.len() };
        self.journal_of(|server, now| server.handle_turn(&[input], line.as_bytes(), now))
    }

    /// What the clock alone does.
    fn tick(&mut self) -> Vec<String> {
        self.journal_of(|server, now| server.before_wait(now))
    }

    #[track_caller]
    fn expect(&mut self, request: &str, effects: &[&str]) {
        assert_eq!(self.run(request), effects, "{request}");
    }
}

/// A time `ms` after the start.
fn after(ms: i64) -> i64 {
    START_MS + ms
}

#[test]
fn deadlines_of_fields_are_told_as_points_in_time_and_only_where_they_changed() {
    let mut bench = Bench::new();
    bench.expect("HSET h a 1 b 2 c 3", &["HSET h a 1 b 2 c 3"]);
    bench.expect("HEXPIRE h 100 NX FIELDS 2 a zz", &[&format!("HPEXPIREAT h {} NX FIELDS 1 a", after(100_000))]);
    bench.expect("HPEXPIRE h 50 NX FIELDS 2 a b", &[&format!("HPEXPIREAT h {} NX FIELDS 1 b", after(50))]);
    bench.expect("HEXPIRE h c 7", &[&format!("HPEXPIREAT h {} FIELDS 1 c", after(7_000))]);
    bench.expect("HEXPIRE h 100 NX FIELDS 1 a", &[]);
    bench.expect("HPERSIST h FIELDS 2 zz c", &["HPERSIST h FIELDS 2 zz c"]);
    bench.expect("HPERSIST h FIELDS 1 c", &[]);
    bench.expect("HGETEX h EX 10 FIELDS 2 a zz", &[&format!("HPEXPIREAT h {} FIELDS 2 a zz", after(10_000))]);
    bench.expect("HGETEX h PERSIST FIELDS 1 a", &["HPERSIST h FIELDS 1 a"]);
    bench.expect("HGETEX h PERSIST FIELDS 1 a", &[]);
    bench.expect("HGETEX h FIELDS 1 a", &[]);
    bench.expect("hsetex h FXX EX 5 FIELDS 1 a 9", &[&format!("hsetex h FXX PXAT {} FIELDS 1 a 9", after(5_000))]);
    bench.expect("HSETEX h FNX FIELDS 1 a 9", &[]);
    bench.expect("HSETEX h KEEPTTL FIELDS 1 a 9", &["HSETEX h KEEPTTL FIELDS 1 a 9"]);
    bench.expect("HINCRBYFLOAT h a 0.5", &["HSETEX h KEEPTTL FIELDS 1 a 9.5"]);
    bench.expect("HINCRBYFLOAT h c 0.5", &["HSET h c 3.5"]);
    bench.expect("HGETDEL h FIELDS 2 c zz", &["HDEL h c zz"]);
    bench.expect("HGETDEL h FIELDS 1 zz", &[]);
}

#[test]
fn deadlines_of_members_are_told_as_points_in_time() {
    let mut bench = Bench::new();
    bench.run("SADD s a b c");
    bench.run("ZADD z 1 a 2 b");
    bench.expect("EXPIREMEMBER s a 100", &[&format!("PEXPIREMEMBERAT s a {}", after(100_000))]);
    bench.expect("EXPIREMEMBER z a 50 ms", &[&format!("PEXPIREMEMBERAT z a {}", after(50))]);
    bench.expect("EXPIREMEMBER s zz 100", &[]);
    bench.expect("PERSIST s b", &[]);
    bench.expect("PERSIST s a", &["PERSIST s a"]);
    bench.expect("EXPIREMEMBER s a 0", &["SREM s a"]);
    bench.expect("EXPIREMEMBERAT z b 1", &["ZREM z b"]);
    bench.server.keyspace.book.active_expire = false;
    bench.run("EXPIREMEMBER s b 10 ms");
    bench.pass(50);
    bench.expect("SCARD s", &["SREM s b"]);
    bench.expect("ZADD z 3 c", &["MULTI", "DEL z", "ZADD z 3 c", "EXEC"]);
}

#[test]
fn a_message_that_is_sent_again_is_told_once() {
    let mut bench = Bench::new();
    let id = format!("{START_MS}-0");
    bench.expect(
        "XADD s IDMP p i * f v",
        &["MULTI", &format!("XADD s {id} f v"), &format!("XIDMPRECORD s p i {id}"), "EXEC"],
    );
    bench.expect("XADD s IDMP p i * f other", &[]);
    bench.expect(&format!("XIDMPRECORD s p i {id}"), &[]);
    bench.expect("XCFGSET s IDMP-DURATION 5", &["XCFGSET s IDMP-DURATION 5"]);
    let next = format!("{START_MS}-1");
    let expected = [
        "MULTI".to_owned(),
        format!("XADD s {next} f v"),
        format!("XIDMPRECORD s p i {next}"),
        "XTRIM s MAXLEN = 0".to_owned(),
        "EXEC".to_owned(),
    ];
    bench.expect("XADD s MAXLEN 0 IDMP p i * f v", &expected.each_ref().map(String::as_str));
    bench.pass(6_000);
    bench.tick();
    let later = format!("{}-0", after(6_000));
    let expected =
        ["MULTI".to_owned(), format!("XADD s {later} f v"), format!("XIDMPRECORD s p i {later}"), "EXEC".to_owned()];
    bench.expect("XADD s IDMP p i * f v", &expected.each_ref().map(String::as_str));
}

#[test]
fn a_deadline_in_the_past_is_told_as_a_deletion() {
    let mut bench = Bench::new();
    bench.run("HSET h a 1 b 2 c 3 d 4");
    bench.expect("HPEXPIRE h 0 FIELDS 3 a zz b", &["MULTI", "HDEL h a", "HDEL h b", "EXEC"]);
    bench.expect("HGETEX h EXAT 1 FIELDS 1 c", &["HDEL h c"]);
    bench.expect("HEXPIRE h d 0", &["HDEL h d"]);
    bench.expect("HSETEX h PX 0 FIELDS 2 a 1 n 2", &["MULTI", "HDEL h a", "HDEL h n", "EXEC"]);
    bench.expect("EXISTS h", &[]);
}

#[test]
fn fields_that_an_access_finds_expired_are_deleted_before_its_own_effects() {
    let mut bench = Bench::new();
    bench.server.keyspace.book.active_expire = false;
    bench.run("HSETEX h PX 5 FIELDS 6 a 1 b 2 c 3 d 4 e 5 f 6");
    bench.run("HSET h stays 1");
    bench.pass(5);
    assert_eq!(bench.tick(), [""; 0]);
    bench.expect("HGETALL h", &[]);
    bench.expect("HGET h a", &["HDEL h a"]);
    bench.expect("HMGET h b stays c", &["MULTI", "HDEL h b", "HDEL h c", "EXEC"]);
    bench.expect("HINCRBY h d 1", &["MULTI", "HDEL h d", "HINCRBY h d 1", "EXEC"]);
    bench.expect("HGETDEL h FIELDS 2 e stays", &["MULTI", "HDEL h e", "HDEL h e stays", "EXEC"]);
    bench.run("HSET h stays 1");
    bench.expect("HRANDFIELD h 0", &["HDEL h f"]);
}

#[test]
fn expired_fields_go_within_a_tick_each_as_a_unit_of_its_own() {
    let mut bench = Bench::new();
    bench.run("HSETEX h PX 100 FIELDS 2 a 1 b 2");
    bench.run("HSET h stays 1");
    bench.run("HSETEX gone PX 200 FIELDS 1 a 1");
    bench.pass(99);
    assert_eq!(bench.tick(), [""; 0]);
    bench.pass(9);
    let mut told = bench.tick();
    told.sort();
    assert_eq!(told, ["HDEL h a", "HDEL h b"]);
    let due = bench.server.next_timer(bench.now).expect("there is a timer");
    assert!(due.as_millis() <= 100, "it wakes for the next field: {due:?}");
    bench.pass(100);
    assert_eq!(bench.tick(), ["HDEL gone a"]);
    assert_eq!(bench.server.keyspace.total_keys(), 1);
    assert_eq!(bench.server.keyspace.book.counters.expired_subkeys, 3);
}

#[test]
fn while_writes_are_paused_expired_fields_are_hidden_and_stay() {
    let mut bench = Bench::new();
    bench.run("HSETEX h PX 5 FIELDS 1 a 1");
    bench.run("CLIENT PAUSE 1000 WRITE");
    bench.pass(10);
    assert_eq!(bench.tick(), [""; 0]);
    for request in ["HGET h a", "HMGET h a", "HEXISTS h a", "HSTRLEN h a", "HRANDFIELD h", "HGETALL h"] {
        bench.expect(request, &[]);
    }
    assert_eq!(bench.server.keyspace.total_keys(), 1);
    bench.pass(1_000);
    assert_eq!(bench.tick(), ["HDEL h a"]);
}

#[test]
fn imported_hashes_are_told_as_ordinary_ones() {
    let mut bench = Bench::new();
    bench.expect("HIMPORT PREPARE u name age", &[]);
    bench.expect("HIMPORT SET k u alice 30", &["HSET k name alice age 30"]);
    bench.expect("HIMPORT SET k u bob 25", &["MULTI", "DEL k", "HSET k name bob age 25", "EXEC"]);
}

#[test]
fn a_transaction_is_told_as_its_commands_alone() {
    let mut bench = Bench::new();
    bench.run("MULTI");
    bench.run("SET a 1");
    bench.run("INCR a");
    bench.expect("EXEC", &["MULTI", "SET a 1", "INCR a", "EXEC"]);
    bench.run("MULTI");
    bench.run("SET b 1");
    bench.expect("EXEC", &["SET b 1"]);
    bench.run("MULTI");
    bench.run("GET b");
    bench.expect("EXEC", &[]);
}
