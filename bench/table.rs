//! Times the keyspace table against hashbrown's, both full of the same records: 16-byte keys, 10-byte values.
//!
//! `cargo bench --bench table -- [--items N[,N...]] [--only ours|hashbrown]`; each line is nanoseconds per operation.

use std::hint::black_box;
use std::time::Instant;

use hashbrown::HashTable;
use redstart::base::hash::Hasher;
use redstart::ds::record::Record;
use redstart::ds::table::Table;
use redstart::sys::alloc::{purge, register_thread, set_background_purge, used_bytes};

type Entry = Record<Vec<u8>>;

/// Look-ups that are prefetched together.
const BATCH: usize = 16;
/// Look-ups and removals that are timed.
const PROBES: usize = 2_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut sizes, mut only) = (vec![1_000_000, 8_000_000], None);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--items", Some(list)) => {
                sizes = list.split(',').map(|n| n.parse().expect("--items takes numbers")).collect();
            }
            ("--only", Some(name)) => only = Some(name),
            _ => {}
        }
    }
    let _guard = register_thread().expect("jemalloc counts");
    set_background_purge(true).expect("jemalloc's thread can be made");
    let hasher = Hasher::seeded([0x1234, 0x5678, 0x9abc, 0xdef0]);
    println!("{:>12} {:>9}  {}", "", "items", COLUMNS.map(|c| format!("{c:>9}")).join(" "));
    for items in sizes {
        if only.as_deref() != Some("hashbrown") {
            report("ours", items, run(|| Ours(Table::new(hasher)), hasher, items));
        }
        if only.as_deref() != Some("ours") {
            report("hashbrown", items, run(|| Theirs(HashTable::new(), hasher), hasher, items));
        }
    }
    memory_curve(hasher);
}

const COLUMNS: [&str; 9] = ["insert", "hit", "hit x16", "miss", "touch", "set", "remove", "worst us", "B/item"];

fn report(name: &str, items: usize, row: [f64; 9]) {
    println!("{name:>12} {items:>9}  {}", row.map(|x| format!("{x:>9.1}")).join(" "));
}

/// What both tables can do.
trait Map {
    fn insert(&mut self, hash: u64, key: &[u8]);
    fn get(&self, hash: u64, key: &[u8]) -> Option<usize>;
    fn get_batch(&self, batch: &[(u64, [u8; 16])]) -> usize;
    fn touch(&mut self, hash: u64, key: &[u8]);
    fn set(&mut self, hash: u64, key: &[u8]);
    fn remove(&mut self, hash: u64, key: &[u8]) -> bool;
}

struct Ours(Table<Entry>);

impl Map for Ours {
    fn insert(&mut self, hash: u64, key: &[u8]) {
        self.0.insert_new(hash, Record::new(key, 1, b"0123456789", 0, None));
    }

    fn get(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.0.get(hash, key).map(|r| r.value().len())
    }

    fn get_batch(&self, batch: &[(u64, [u8; 16])]) -> usize {
        batch.iter().for_each(|(hash, _)| self.0.prefetch_segment(*hash));
        batch.iter().for_each(|(hash, _)| self.0.prefetch_bucket(*hash));
        for (hash, _) in batch {
            self.0.prefetch_item(*hash);
        }
        batch.iter().filter_map(|(hash, key)| self.get(*hash, key)).sum()
    }

    fn touch(&mut self, hash: u64, key: &[u8]) {
        self.0.get(hash, key).into_iter().for_each(|r| r.touch(7));
    }

    fn set(&mut self, hash: u64, key: &[u8]) {
        if let Some(mut found) = self.0.find(hash, key) {
            found.get_mut().set_value(1, b"9876543210");
        }
    }

    fn remove(&mut self, hash: u64, key: &[u8]) -> bool {
        self.0.remove(hash, key).is_some()
    }
}

struct Theirs(HashTable<Entry>, Hasher);

impl Map for Theirs {
    fn insert(&mut self, hash: u64, key: &[u8]) {
        let hasher = self.1;
        self.0.insert_unique(hash, Record::new(key, 1, b"0123456789", 0, None), |r| hasher.hash(r.key()));
    }

    fn get(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.0.find(hash, |r| r.key() == key).map(|r| r.value().len())
    }

    fn get_batch(&self, batch: &[(u64, [u8; 16])]) -> usize {
        // It offers no way to prefetch.
        batch.iter().filter_map(|(hash, key)| self.get(*hash, key)).sum()
    }

    fn touch(&mut self, hash: u64, key: &[u8]) {
        self.0.find(hash, |r| r.key() == key).into_iter().for_each(|r| r.view().touch(7));
    }

    fn set(&mut self, hash: u64, key: &[u8]) {
        if let Some(r) = self.0.find_mut(hash, |r| r.key() == key) {
            r.set_value(1, b"9876543210");
        }
    }

    fn remove(&mut self, hash: u64, key: &[u8]) -> bool {
        self.0.find_entry(hash, |r| r.key() == key).is_ok_and(|found| {
            drop(found.remove().0);
            true
        })
    }
}

/// The n-th key: 16 bytes in no order.
fn key(n: usize) -> [u8; 16] {
    let mut key = *b"key:000000000000";
    let mut rest = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 14;
    for byte in key[4..].iter_mut().rev() {
        *byte = b'0' + (rest % 16) as u8;
        rest /= 16;
    }
    key
}

/// Nanoseconds per key that `f` takes, hashing included; keys are made beforehand.
fn time(hasher: Hasher, keys: &[[u8; 16]], mut f: impl FnMut(u64, &[u8])) -> f64 {
    let start = Instant::now();
    for key in keys {
        f(hasher.hash(key), key);
    }
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

fn run<M: Map>(empty: impl Fn() -> M, hasher: Hasher, items: usize) -> [f64; 9] {
    let worst = worst_insert(&mut empty(), hasher, items);
    let before = used_bytes();
    let mut map = empty();
    let insert = fill(&mut map, hasher, items);
    let bytes = (used_bytes() - before) as f64 / items as f64;
    // Probes in an order of their own.
    let at = |i: usize| (i as u64).wrapping_mul(0x2545_f491_4f6c_dd1d) as usize % items;
    let hits: Vec<_> = (0..PROBES).map(|i| key(at(i))).collect();
    let misses: Vec<_> = (0..PROBES).map(|i| key(items + at(i))).collect();
    let hit = time(hasher, &hits, |hash, key| assert!(black_box(map.get(hash, key)).is_some()));
    let miss = time(hasher, &misses, |hash, key| assert!(black_box(map.get(hash, key)).is_none()));
    let start = Instant::now();
    for keys in hits.chunks_exact(BATCH) {
        let batch: [_; BATCH] = std::array::from_fn(|i| (hasher.hash(&keys[i]), keys[i]));
        black_box(map.get_batch(&batch));
    }
    let batched = start.elapsed().as_nanos() as f64 / PROBES as f64;
    let touch = time(hasher, &hits, |hash, key| map.touch(hash, key));
    let set = time(hasher, &hits, |hash, key| map.set(hash, key));
    let remove = time(hasher, &hits[..PROBES / 4], |hash, key| {
        black_box(map.remove(hash, key));
    });
    drop((map, hits, misses));
    assert!(used_bytes() < before + (64 << 10), "everything is freed");
    purge().expect("purge is allowed");
    [insert, hit, batched, miss, touch, set, remove, worst, bytes]
}

/// Inserts; nanoseconds per insert.
fn fill(map: &mut impl Map, hasher: Hasher, items: usize) -> f64 {
    let mut total = 0.0;
    for first in (0..items).step_by(1 << 16) {
        let keys: Vec<_> = (first..items.min(first + (1 << 16))).map(key).collect();
        total += time(hasher, &keys, |hash, key| map.insert(hash, key)) * keys.len() as f64;
    }
    total / items as f64
}

/// Inserts; microseconds of the worst insert, in processor time of this thread, since other processes may interrupt it.
fn worst_insert(map: &mut impl Map, hasher: Hasher, items: usize) -> f64 {
    let mut worst = 0;
    let mut last = cpu_ns();
    for n in 0..items {
        let key = key(n);
        map.insert(hasher.hash(&key), &key);
        let now = cpu_ns();
        worst = worst.max(now - last);
        last = now;
    }
    worst as f64 / 1000.0
}

/// Processor time of this thread.
fn cpu_ns() -> i64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes one `timespec`.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec * 1_000_000_000 + t.tv_nsec
}

/// Bytes per item of the table itself, from 250,000 items to a million.
fn memory_curve(hasher: Hasher) {
    let mut table: Table<Entry> = Table::new(hasher);
    let (mut sum, mut low, mut high) = (0.0, f64::MAX, 0.0f64);
    let (from, to) = (250_000, 1_000_000);
    for n in 0..to {
        let key = key(n);
        table.insert_new(hasher.hash(&key), Record::new(&key, 1, b"", 0, None));
        if n >= from {
            let per_item = table.table_bytes() as f64 / table.len() as f64;
            (sum, low, high) = (sum + per_item, low.min(per_item), high.max(per_item));
        }
    }
    let mean = sum / (to - from) as f64;
    println!("{:?}", table.stats());
    println!("table bytes per item from {from} to {to}: mean {mean:.2}, least {low:.2}, most {high:.2}");
}
