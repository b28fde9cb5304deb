//! Tests of the whole table, against std's map and against its promises.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::*;
use crate::ds::record::{Member, Record, Scored};

/// Multiplicative noise, good enough for tests.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn roll(&mut self, below: usize) -> usize {
        (self.next() % below as u64) as usize
    }
}

fn hasher() -> Hasher {
    thread_local! {
        static HASHER: Hasher = Hasher::seeded([11, 22, 33, 44]);
    }
    HASHER.with(|h| *h)
}

fn members() -> Table<Member> {
    Table::new(hasher())
}

fn key(n: usize) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

fn add(table: &mut Table<Member>, n: usize) {
    let key = key(n);
    table.insert_new(hasher().hash(&key), Member::new(&key));
}

fn del(table: &mut Table<Member>, n: usize) -> bool {
    let key = key(n);
    table.remove(hasher().hash(&key), &key).is_some()
}

fn has(table: &Table<Member>, n: usize) -> bool {
    let key = key(n);
    table.get(hasher().hash(&key), &key).is_some()
}

type Entry = Record<Vec<u8>>;

/// One random operation on both; most on few keys, so that hits are common.
fn step(dice: &mut Dice, keys: usize, grow: bool, real: &mut Table<Entry>, model: &mut HashMap<Vec<u8>, Vec<u8>>) {
    let key = key(dice.roll(keys));
    let hash = hasher().hash(&key);
    let value = vec![dice.next() as u8; dice.roll(60)];
    match (dice.roll(8), grow) {
        (0..=1, _) => {
            let found = real.get(hash, &key).map(|r| r.value().to_vec());
            assert_eq!(found.as_ref(), model.get(&key));
        }
        (2, _) => {
            let found = real.find_by_hash(hash, |r| r.key() == key);
            assert_eq!(found.map(|o| o.into_ref().value().to_vec()).as_ref(), model.get(&key));
        }
        (3..=6, true) | (3, false) => match real.find(hash, &key) {
            Some(mut occupied) => {
                occupied.get_mut().set_value(1, &value);
                assert_eq!(occupied.get().value(), value);
                assert!(model.insert(key, value).is_some());
            }
            None => {
                let occupied = real.insert_new(hash, Record::new(&key, 1, &value, 0, None));
                assert_eq!((occupied.hash(), occupied.get().value()), (hash, &value[..]));
                assert!(model.insert(key, value).is_none());
            }
        },
        _ => {
            let removed = real.remove(hash, &key).map(|r| r.value().to_vec());
            assert_eq!(removed, model.remove(&key));
        }
    }
}

#[test]
fn random_operations_agree_with_a_map() {
    for seed in 0..3 {
        let mut dice = Dice(seed);
        let keys = [300, 4_000, 12_000][seed as usize];
        let (mut real, mut model) = (Table::new(hasher()), HashMap::new());
        // Up, down, up and down again.
        for phase in 0..4 {
            for n in 0..keys * 3 {
                step(&mut dice, keys, phase % 2 == 0, &mut real, &mut model);
                if n % (keys / 4) == 0 {
                    println!("seed {seed}, phase {phase}, step {n}");
                    real.check();
                    assert_eq!(real.len(), model.len());
                }
            }
            let all: HashMap<_, _> = real.iter().map(|r| (r.key().to_vec(), r.value().to_vec())).collect();
            assert_eq!(all, model);
        }
        for key in model.keys() {
            assert!(real.remove(hasher().hash(key), key).is_some());
        }
        assert_eq!((real.len(), real.table_bytes()), (0, 0), "an emptied table releases its memory");
        real.check();
    }
}

#[test]
fn every_small_size_works_and_sheds_its_memory() {
    let mut table = members();
    assert_eq!(table.table_bytes(), 0);
    for n in 0..700 {
        add(&mut table, n);
        assert!((0..=n).step_by(7).all(|m| has(&table, m)) && !has(&table, n + 1));
        table.check();
    }
    for n in 0..700 {
        assert!(del(&mut table, n) && !del(&mut table, n));
        assert!((n + 1..700).step_by(7).all(|m| has(&table, m)));
        table.check();
    }
    assert_eq!(table.table_bytes(), 0);
}

#[test]
fn memory_stays_in_proportion_both_ways() {
    let (mut table, top) = (members(), 40_000);
    let (mut sum, mut points) = (0.0, 0.0);
    for n in 0..top {
        add(&mut table, n);
        if n > top / 2 {
            sum += table.table_bytes() as f64 / table.len() as f64;
            points += 1.0;
        }
    }
    assert!(sum / points < 10.2, "{} bytes an item", sum / points);
    assert!(table.stats().segments > 32 && table.stats().directory_len < 256);
    for n in 0..top {
        assert!(del(&mut table, n));
        let per_item = table.table_bytes() as f64 / table.len().max(1) as f64;
        assert!(table.len() < 100 || per_item < 24.0, "{per_item} bytes an item with {} left", table.len());
    }
    assert_eq!(table.table_bytes(), 0);
}

/// Scans while `between` changes the table; gives how often each member came.
fn scan_all(
    table: &mut Table<Member>,
    budget: usize,
    mut between: impl FnMut(&mut Table<Member>),
) -> HashMap<Vec<u8>, usize> {
    let (mut seen, mut cursor) = (HashMap::new(), 0);
    for _ in 0..100_000 {
        cursor = table.scan(cursor, budget, |m| *seen.entry(m.bytes().to_vec()).or_default() += 1);
        assert!(cursor < 1 << 54);
        if cursor == 0 {
            return seen;
        }
        between(table);
    }
    panic!("a scan ends");
}

#[test]
fn an_undisturbed_scan_shows_everything_once() {
    for n in [0, 1, 7, 8, 9, 100, 900, 5_000] {
        let mut table = members();
        (0..n).for_each(|i| add(&mut table, i));
        for budget in [1, 10, 1_000] {
            let seen = scan_all(&mut table, budget, |_| {});
            assert_eq!(seen.len(), n);
            assert!(seen.values().all(|&count| count == 1));
        }
    }
}

#[test]
fn a_scan_keeps_its_promise_under_growth_and_shrinking() {
    for seed in 0..6 {
        let mut dice = Dice(seed);
        let (stay, visitors) = ([50, 600, 3_000][seed as usize % 3], 20_000);
        let mut table = members();
        let mut inside: Vec<usize> = Vec::new();
        (0..stay).for_each(|n| add(&mut table, n));
        let mut next = stay;
        // Half of the runs begin full and shrink, half begin small and grow; then it goes to and fro.
        let mut growing = seed % 2 == 0;
        if !growing {
            (next..next + visitors).for_each(|n| add(&mut table, n));
            inside.extend(next..next + visitors);
            next += visitors;
        }
        let seen = scan_all(&mut table, 1 + dice.roll(30), |table| {
            for _ in 0..dice.roll(400) {
                if growing {
                    add(table, next);
                    inside.push(next);
                    next += 1;
                } else if !inside.is_empty() {
                    let gone = inside.swap_remove(dice.roll(inside.len()));
                    assert!(del(table, gone));
                }
            }
            growing = match inside.len() {
                0 => true,
                n if n >= visitors => false,
                _ => growing,
            };
        });
        for n in 0..stay {
            assert!(seen.contains_key(&key(n)), "seed {seed}: {n} was there all the time");
        }
        table.check();
    }
}

#[test]
fn any_number_is_a_cursor() {
    let mut table = members();
    (0..3_000).for_each(|n| add(&mut table, n));
    let mut dice = Dice(5);
    for n in 0..2_000 {
        let cursor = match n {
            0..64 => 1 << n,
            64..128 => u64::MAX >> (n - 64),
            _ => dice.next() >> dice.roll(64),
        };
        let mut shown = 0;
        table.scan(cursor, 10, |_| shown += 1);
        assert!(shown <= 10 + 60, "{cursor:x} shows {shown}");
        members().scan(cursor, 10, |_| panic!("an empty table has no items"));
    }
}

#[test]
fn random_is_uniform_over_items() {
    for n in [1usize, 5, 20, 1_500] {
        let mut table = members();
        // Grown to several sizes and shrunk again, so that segments differ.
        (0..n + 2_000).for_each(|i| add(&mut table, i));
        (n..n + 2_000).for_each(|i| assert!(del(&mut table, i)));
        let (mut dice, mut counts) = (Dice(n as u64), HashMap::new());
        let draws = n.max(10) * 40;
        for _ in 0..draws {
            let m = table.random(&mut || dice.next()).expect("there are items");
            *counts.entry(m.bytes()).or_insert(0u32) += 1;
        }
        let expected = draws as f64 / n as f64;
        let seen: f64 = counts.values().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum();
        let chi = seen + (n - counts.len()) as f64 * expected;
        let limit = n as f64 + 5.0 * (2.0 * n as f64).sqrt();
        assert!(chi < limit, "{n} items: {chi} over {limit}");
    }
    assert!(members().random(&mut || 1).is_none());
}

#[test]
fn samples_are_items_of_many_places() {
    let mut table = members();
    (0..5_000).for_each(|n| add(&mut table, n));
    let mut dice = Dice(1);
    let mut seen = HashSet::new();
    for _ in 0..2_000 {
        let mut out = Vec::new();
        table.sample(&mut || dice.next(), 5, &mut out);
        assert_eq!(out.len(), 5);
        seen.extend(out.iter().map(|m| m.bytes()));
    }
    assert!(seen.len() > 3_500, "{}", seen.len());
    let empty = members();
    let mut out = Vec::new();
    empty.sample(&mut || dice.next(), 5, &mut out);
    assert!(out.is_empty());
}

#[test]
fn segments_cover_the_hash_space_once_and_keep_epochs_apart() {
    let mut table = members();
    (0..20_000).for_each(|n| add(&mut table, n));
    let (mut at, mut segments, mut seen) = (0, 0, BTreeSet::new());
    loop {
        let segment = table.segment_at(at);
        assert_eq!((segment.first(), segment.epoch()), (at, 0));
        assert_eq!(segment.iter().count(), segment.len());
        seen.extend(segment.iter().map(|m| m.bytes().to_vec()));
        let last = segment.last();
        table.set_epoch(at, 1 + segments % 2);
        segments += 1;
        if last == u64::MAX {
            break;
        }
        at = last + 1;
    }
    assert_eq!((segments as usize, seen.len()), (table.segment_count(), 20_000));
    // Splits inherit the mark; merges wait for equal marks.
    (20_000..40_000).for_each(|n| add(&mut table, n));
    assert!((0..64).all(|n| table.segment_at(n << 58).epoch() > 0));
    (0..39_000).for_each(|n| assert!(del(&mut table, n)));
    table.check();
    assert!((0..64).all(|n| table.segment_at(n << 58).epoch() > 0));
    assert!((39_000..40_000).all(|n| has(&table, n)));
}

#[test]
fn items_are_dropped_once_whatever_way_they_go() {
    use std::rc::Rc;
    let token = Rc::new(());
    let fill = || {
        let mut table: Table<Record<Rc<()>>> = Table::new(hasher());
        for n in 0..2_000 {
            let key = key(n);
            table.insert_new(hasher().hash(&key), Record::new_big(&key, 16, Box::new(token.clone()), 0, None));
        }
        table
    };
    let mut table = fill();
    assert_eq!(Rc::strong_count(&token), 2_001);
    table.clear();
    assert_eq!((Rc::strong_count(&token), table.table_bytes()), (1, 0));
    drop(fill());
    assert_eq!(Rc::strong_count(&token), 1);
    let mut table = fill();
    let mut all = table.drain();
    table.check();
    assert_eq!((all.by_ref().take(700).count(), all.len()), (700, 1_300));
    drop(all);
    assert_eq!(Rc::strong_count(&token), 1);
    assert_eq!(fill().into_iter().count(), 2_000);
    assert_eq!(fill().iter().len(), 2_000);
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn an_item_that_moves_is_found_and_one_that_stays_keeps_its_address() {
    let mut table: Table<Scored> = Table::new(hasher());
    let hash = hasher().hash(b"m");
    let address = table.insert_new(hash, Scored::new(1.0, b"m")).into_ref().as_ptr();
    table.find(hash, b"m").expect("present").get_mut().set_score(2.0);
    for n in 0..3_000 {
        let key = key(n);
        table.insert_new(hasher().hash(&key), Scored::new(0.0, &key));
    }
    let found = table.get(hash, b"m").expect("present");
    assert_eq!((found.score(), found.as_ptr()), (2.0, address));
    let mut entries: Table<Entry> = Table::new(hasher());
    entries.insert_new(hash, Record::new(b"m", 1, b"", 0, None));
    entries.find(hash, b"m").expect("present").get_mut().set_value(2, &[7; 1_000]);
    assert_eq!(entries.get(hash, b"m").map(|r| r.value()), Some(&[7; 1_000][..]));
    entries.check();
}

#[test]
fn prefetching_reads_nothing_it_must_not() {
    let mut table = members();
    for n in 0..2_000 {
        for hash in [0, u64::MAX, hasher().hash(&key(n)), hasher().hash(b"absent")] {
            table.prefetch_segment(hash);
            table.prefetch_bucket(hash);
            table.prefetch_item(hash);
        }
        add(&mut table, n);
    }
}

#[test]
fn a_table_may_go_to_another_thread() {
    let mut table = members();
    (0..1_000).for_each(|n| add(&mut table, n));
    let left = std::thread::spawn(move || table.drain().count()).join().expect("no panic");
    assert_eq!(left, 1_000);
}

#[test]
fn hashes_that_share_many_bits_cost_time_but_no_directory() {
    // Ten equal top bits: no seeded hash does that by itself, so only keys that happen to have them are taken.
    let keys: Vec<_> = (0..).map(key).filter(|k| hasher().hash(k) >> 54 == 0).take(2_500).collect();
    let mut table = members();
    for key in &keys {
        table.insert_new(hasher().hash(key), Member::new(key));
    }
    table.check();
    assert!(table.stats().directory_len <= 64 * table.stats().segments);
    assert!(keys.iter().all(|key| table.get(hasher().hash(key), key).is_some()));
    assert_eq!(scan_all(&mut table, 100, |_| {}).len(), keys.len());
    let mut dice = Dice(3);
    assert!(table.random(&mut || dice.next()).is_some());
    for key in &keys {
        assert!(table.remove(hasher().hash(key), key).is_some());
    }
    assert_eq!(table.table_bytes(), 0);
}

#[test]
fn a_table_that_knows_what_comes_is_like_any_other() {
    for (expected, items) in [(0, 900), (700, 700), (40_000, 40_000), (40_000, 9), (40_000, 90_000), (usize::MAX, 50)] {
        let mut table = members();
        table.expect(expected);
        table.check();
        for n in 0..items {
            add(&mut table, n);
            if n % 1_000 == 0 {
                table.check();
            }
        }
        table.check();
        if expected == items {
            let bytes = table.table_bytes() / items;
            assert!(bytes <= 12, "{items} items take {bytes} bytes each");
        }
        table.expect(0);
        assert!(table.len() == items && (0..items).all(|n| has(&table, n)), "{expected} expected");
        (0..items).for_each(|n| assert!(del(&mut table, n)));
        table.check();
        assert_eq!(table.table_bytes(), 0);
    }
    let mut disappointed = members();
    disappointed.expect(10_000);
    assert!(disappointed.table_bytes() > 0 && disappointed.is_empty() && !has(&disappointed, 1));
    disappointed.expect(0);
    disappointed.check();
    assert_eq!(disappointed.table_bytes(), 0);
}
