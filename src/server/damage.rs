//! A server that starts on files with changed bytes: it loads the same data, a state that the log went through, or refuses.
//! Without sockets, on a disk in memory.
//!
//! ```text
//! REDSTART_FLIPS   every single byte of small files, and so many random ones of each larger file (a small part otherwise)
//!
//! what is changed                    what may come of it
//! snapshot                           refused
//! sealed snapshot, base, list        refused
//! log with checksums, clear, sealed  a state of the log, or refused
//! log without checksums, list        no panic, and an end
//! ```

use super::*;
use crate::base::clock::Now;
use crate::persist::seal::{Key, Keyring};
use crate::persist::sim::SimDisk;
use crate::persist::storage::Storage;
use crate::persist::vault::Vault;
use crate::types::{Digest, digest};
use std::collections::HashSet;
use std::path::Path;

const CONN: ConnId = ConnId(1);
const NOW_MS: i64 = 1_700_000_000_000;
const LOG: &str = "appendonlydir/appendonly.aof";

/// One of everything.
const SMALL: &[&str] = &[
    "SET s text",
    "SET i 12345 EX 1000",
    "SET long aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "RPUSH l a 1 bb 22222",
    "SADD ints 1 2 300",
    "SADD words a bb 3",
    "HSET h f v g 17",
    "HSET dated f v g w",
    "HPEXPIRE dated 100000 FIELDS 1 f",
    "ZADD z 1 a 2.5 b",
    "SELECT 3",
    "XADD x 5-1 f v",
    "XADD x 5-2 f w g y",
    "XGROUP CREATE x group 0",
    "XREADGROUP GROUP group me COUNT 1 STREAMS x >",
    "SADD tagged a b",
    "EXPIREMEMBER tagged a 1000",
    "ARSET array 3 a b",
    "VADD v VALUES 3 1 2 3 element",
    "SELECT 0",
    "MULTI",
    "INCR i",
    "DEL words",
    "EXEC",
    "FUNCTION LOAD \"#!lua name=lib\\nredis.register_function('f', function() return 1 end)\"",
];

struct Bench {
    server: Server,
    states: HashSet<Digest>,
}

fn vault(disk: &SimDisk, seals: bool) -> Vault {
    Vault::with_keys(Arc::new(disk.clone()), Keyring::new(Key::new([5; 32]), None, b"n"), seals)
}

impl Bench {
    fn start(disk: &SimDisk, seals: bool, change: impl FnOnce(&mut Config)) -> Result<Bench, String> {
        let now = Now::at_unix_ms(NOW_MS);
        let mut config = Config { protected_mode: false, ..Config::default() };
        change(&mut config);
        let is_log = config.appendonly;
        let facts = Facts { vault: vault(disk, seals), ..super::tests::facts(now) };
        let mut server = Server::new(config, facts, crate::command::FAMILIES, Rng::seeded(7), now);
        let started =
            if is_log { server.start_log(None, now).map_err(StartError::Log) } else { server.load_data_now(now) };
        started.map_err(|error| error.to_string())?;
        server.handle_open(CONN, super::tests::peer(), now).expect("the client is let in");
        Ok(Bench { server, states: HashSet::new() })
    }

    fn run(&mut self, line: &str) {
        let (now, line) = (Now::at_unix_ms(NOW_MS), format!("{line}\r\n"));
        let input = Input { conn: CONN, shared: Some(0..line.len()), len: line.len() };
        self.server.handle_turn(&[input], line.as_bytes(), now);
        let reply = self.server.outbox(CONN).expect("it is there");
        assert!(!reply.to_vec().starts_with(b"-"), "{line}: {}", reply.to_vec().escape_ascii());
        reply.clear();
        let state = state(&self.server);
        self.states.insert(state);
    }

    fn fill(&mut self, large: bool) {
        SMALL.iter().for_each(|line| self.run(line));
        if !large {
            return;
        }
        self.run("CONFIG SET list-max-listpack-size 20 stream-node-max-entries 15");
        let mut rng = Rng::seeded(3);
        for n in 0..120 {
            let words: String = (0..40).map(|nth| format!(" {:x}-{nth}", rng.below(1 << 40))).collect();
            let name = n % 8;
            let pairs: String = (0..40).map(|nth| format!(" {nth}.5 m{:x}", rng.below(1 << 30))).collect();
            match rng.below(7) {
                0 => self.run(&format!("RPUSH list{name}{words}")),
                1 => self.run(&format!("SADD set{name}{words}")),
                2 => self.run(&format!("HSET hash{name}{words}")),
                3 => {
                    self.run(&format!("HSET dates{name}{words}"));
                    let field = words.split(' ').nth(1).unwrap_or_default().to_owned();
                    self.run(&format!("HPEXPIRE dates{name} 900000 FIELDS 1 {field}"));
                }
                4 => self.run(&format!("ZADD zset{name}{pairs}")),
                5 => self.run(&format!("XADD stream{name} 7-{} {}", n + 1, words.trim())),
                _ => self.run(&format!("ARSET array{name} {}{words}", n * 50)),
            }
            if n % 10 == 0 {
                self.run(&format!("VADD vector{} VALUES 3 {n} 2 {name} e{n}", n % 2));
            }
        }
    }

    /// All is on the disk.
    fn end(mut self) -> HashSet<Digest> {
        let now = Now::at_unix_ms(NOW_MS);
        self.server.wait_for_log(now);
        self.server.close_log(now);
        self.states.insert(Digest::default());
        self.states
    }
}

/// The digest of all keys and libraries.
fn state(server: &Server) -> Digest {
    let mut all = Digest::default();
    for (index, db) in server.keyspace.dbs.iter().enumerate() {
        for entry in db.table.iter() {
            let deadline = entry.deadline().unwrap_or(0);
            all.mix(Digest::of(&[&[index as u8], entry.key(), &digest(entry).0, &deadline.to_le_bytes()]));
        }
    }
    for (name, code) in &server.stats.persistence.libraries {
        all.mix(Digest::of(&[name, code]));
    }
    all
}

/// A disk with these files.
fn disk_with(files: &[(String, Vec<u8>)]) -> SimDisk {
    let disk = SimDisk::default();
    for (name, bytes) in files {
        disk.create(Path::new(name)).and_then(|mut file| file.append(bytes)).expect("nothing fails");
    }
    disk
}

fn files_of(disk: &SimDisk) -> Vec<(String, Vec<u8>)> {
    let paths = disk.listing().into_iter().map(|(path, _)| path);
    paths.map(|path| (path.display().to_string(), disk.bytes(&path).expect("it is there"))).collect()
}

/// Positions and the bits to change there: all of a small file, some of a large one.
fn flips(len: usize, large: bool, rng: &mut Rng) -> Vec<(usize, u8)> {
    let all = std::env::var("REDSTART_FLIPS").ok().and_then(|text| text.parse::<usize>().ok());
    let bit = |at: usize, rng: &mut Rng| (at, 1 << rng.below(8));
    match (all, large) {
        (Some(_), false) => (0..len).flat_map(|at| [bit(at, rng), (at, 0xFF)]).collect(),
        (None, false) => (rng.below(9) as usize..len).step_by(9).map(|at| bit(at, rng)).collect(),
        (count, true) => (0..count.unwrap_or(60)).map(|_| bit(rng.below(len as u64) as usize, rng)).collect(),
    }
}

/// What may come of a change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    Refuse,
    LoadState,
    LoadAnything,
}

/// Changes one file in all ways, and starts on it.
fn damage(
    files: &[(String, Vec<u8>)],
    part: &str,
    seals: bool,
    may: May,
    states: &HashSet<Digest>,
    large: bool,
    change: impl Fn(&mut Config),
) {
    let nth = files.iter().position(|(name, _)| name.ends_with(part)).unwrap_or_else(|| panic!("no {part}"));
    let mut rng = Rng::seeded(files[nth].1.len() as u64);
    let whole = Bench::start(&disk_with(files), seals, &change).map(|bench| state(&bench.server));
    assert!(whole.is_ok_and(|found| states.contains(&found)), "{part} unchanged");
    let (mut refused, mut loaded) = (0, 0);
    for (at, bits) in flips(files[nth].1.len(), large, &mut rng) {
        let mut bad = files.to_vec();
        bad[nth].1[at] ^= bits;
        match Bench::start(&disk_with(&bad), seals, &change) {
            Err(_) => refused += 1,
            Ok(bench) => {
                loaded += 1;
                let found = state(&bench.server);
                let is_fine = may == May::LoadAnything || may == May::LoadState && states.contains(&found);
                assert!(is_fine, "{part}, seals {seals}: byte {at} changed by {bits:#x} makes another state");
            }
        }
    }
    println!("{part} of {} bytes, seals {seals}: {refused} refused, {loaded} loaded", files[nth].1.len());
}

fn snapshots(large: bool) {
    for seals in [false, true] {
        let disk = SimDisk::default();
        let mut bench = Bench::start(&disk, seals, |_| {}).expect("nothing is there");
        bench.fill(large);
        bench.run("SAVE");
        let files = files_of(&disk);
        let states = HashSet::from([state(&bench.server)]);
        damage(&files, "dump.rdb", seals, May::Refuse, &states, large, |_| {});
        if !seals {
            damage(&files, "dump.rdb", seals, May::LoadAnything, &states, large, |config| config.rdbchecksum = false);
        }
    }
}

fn log_of(seals: bool, preamble: bool, large: bool) -> (Vec<(String, Vec<u8>)>, HashSet<Digest>) {
    let disk = SimDisk::default();
    let change = |config: &mut Config| {
        config.appendonly = true;
        config.aof_use_rdb_preamble = preamble;
    };
    let mut bench = Bench::start(&disk, seals, change).expect("nothing is there");
    bench.fill(large);
    let now = Now::at_unix_ms(NOW_MS);
    bench.server.log_turn(now);
    bench.run("BGREWRITEAOF");
    while bench.server.append_log.as_ref().is_some_and(|log| log.rewrite.is_some() || log.is_busy())
        || bench.server.stats.persistence.log.rewrites == 0
    {
        bench.server.before_wait(now);
        bench.server.after_writes();
        bench.server.log_cron(now);
        std::thread::yield_now();
    }
    // What stands in the base is one state; what follows are others.
    bench.states = HashSet::from([state(&bench.server)]);
    for line in ["SET after 1", "RPUSH l more and more", "XADD y 9-1 f v", "MULTI", "HSET h f w", "INCR i", "EXEC"] {
        bench.run(line);
    }
    if large {
        (0..200).for_each(|n| bench.run(&format!("RPUSH later{} {}", n % 5, "element-".repeat(n % 40 + 1))));
    }
    let states = bench.end();
    (files_of(&disk), states)
}

fn logs(large: bool) {
    for (seals, preamble) in [(false, true), (false, false), (true, true)] {
        let (files, states) = log_of(seals, preamble, large);
        let options = |config: &mut Config| config.appendonly = true;
        let base = if preamble { ".base.rdb" } else { ".base.aof" };
        let base_name = files.iter().find(|(name, _)| name.ends_with(base)).map(|(name, _)| name.clone());
        let base_name = base_name.expect("there is a base");
        let may = if preamble { May::Refuse } else { May::LoadState };
        damage(&files, &base_name, seals, may, &states, large, options);
        let last = files.iter().filter(|(name, _)| name.ends_with(".incr.aof")).max_by_key(|(_, bytes)| bytes.len());
        let last = last.expect("there is an increment").0.clone();
        damage(&files, &last, seals, May::LoadState, &states, large, options);
        if !large {
            let manifest = format!("{LOG}.manifest");
            let may = if seals { May::Refuse } else { May::LoadAnything };
            damage(&files, &manifest, seals, may, &states, large, options);
        }
        if !seals {
            let without = |(name, bytes): &(String, Vec<u8>)| {
                let is_log = name.ends_with(".aof");
                (name.clone(), if is_log { without_sums(bytes) } else { bytes.clone() })
            };
            let files: Vec<_> = files.iter().map(without).collect();
            damage(&files, &last, seals, May::LoadAnything, &states, large, options);
        }
    }
}

/// A log as other servers write it.
fn without_sums(bytes: &[u8]) -> Vec<u8> {
    const SUM: &[u8] = b"#CRC:";
    let mut out = bytes.to_vec();
    while let Some(at) = memchr::memmem::find(&out, SUM) {
        out.drain(at..at + SUM.len() + 18);
    }
    out
}

#[test]
fn a_changed_byte_of_a_small_snapshot_is_found() {
    snapshots(false);
}

#[test]
fn changed_bytes_of_a_larger_snapshot_are_found() {
    snapshots(true);
}

#[test]
fn a_changed_byte_of_a_small_log_makes_no_state_that_never_was() {
    logs(false);
}

#[test]
fn changed_bytes_of_a_larger_log_make_no_state_that_never_was() {
    logs(true);
}
