//! Every type and encoding there and back, the old forms built by hand, and thousands of damaged payloads.

use super::super::{Encoder, Slice, code_of, dump, restore};
use super::*;
use crate::base::clock::Now;
use crate::base::hash::Hasher;
use crate::base::rng::Rng;
use crate::keyspace::{Event, Keyspace};
use crate::types::{End, Group, Hash, List, Memory, Pending, References, Str, Stream, StreamId, digest, encoding};

fn limits() -> Limits {
    Limits::new(Hasher::seeded([1, 2, 3, 4]))
}

fn how(limits: &Limits) -> Decode<'_> {
    Decode { limits, deep: true, access: 0 }
}

fn text(rng: &mut Rng) -> Vec<u8> {
    let n = rng.below(100_000);
    match n % 9 {
        0..=2 => n.to_string().into_bytes(),
        3 => (-(n as i64) << (n % 40)).to_string().into_bytes(),
        4 => vec![b'a' + (n % 26) as u8; (n % 300) as usize],
        5 => (0..n % 80).map(|_| rng.next_u64() as u8).collect(),
        6 => format!("0{n}").into_bytes(),
        _ => format!("element number {n}, {n}, {n}").into_bytes(),
    }
}

/// Keys 0, 1, ... of all types and of sizes about the limits of their encodings.
fn populate(rng: &mut Rng, values: usize) -> Keyspace {
    let mut space = Keyspace::new(1, Hasher::seeded([1, 2, 3, 4]), Rng::seeded(9));
    for nth in 0..values {
        let name = nth.to_string();
        let mut view = space.view(crate::keyspace::DbIndex(0), Now::at_unix_ms(1));
        let key = view.key(name.as_bytes());
        let count = [1, 3, 120, 140, 520, 900][rng.below(6) as usize];
        let ints = rng.below(2) == 0;
        let mut element = || if ints { rng.below(70_000).to_string().into_bytes() } else { text(rng) };
        match nth % 6 {
            5 => {
                let mut edit = view.edit_or_create::<Stream>(key).expect("a new key");
                let words: Vec<Vec<u8>> = (0..6).map(|_| element()).collect();
                let bytes = words.iter().map(Vec::len).sum();
                for at in 0..count as u64 {
                    edit.value().append(StreamId::new(at / 3 + 1, at % 3), 1 + nth % 3, bytes, &|n| &words[n]);
                }
                let mut group = Group::new(StreamId::new(2, 0), (nth % 2 == 0).then_some(4));
                let reader = group.add_consumer(b"reader", 1_000).expect("it is the first");
                group.add_consumer(b"another", -1);
                for at in 0..nth as u64 % 9 {
                    let pending = Pending { delivered_ms: 1_000 + at as i64, deliveries: at, consumer: reader };
                    group.deliver(StreamId::new(1, at), pending);
                }
                if nth % 4 == 1 {
                    group.give_back(StreamId::new(1, 0), |deliveries| deliveries + 7);
                    group.give_back(StreamId::new(3, 2), |deliveries| deliveries);
                }
                if nth % 5 == 2 {
                    edit.value().idmp_mut().set_memory(Memory { duration_s: 9, max_len: 3 });
                }
                for at in 0..nth as u64 % 7 {
                    let (producer, iid) = (text(rng), text(rng));
                    edit.value().idmp_mut().record(&producer, &iid, StreamId::new(at + 1, 0), 1);
                    edit.value().idmp_mut().record(b"many", &iid, StreamId::new(at + 1, 1), 1);
                }
                edit.value().add_group(b"group", group);
                edit.value().delete(StreamId::new(1, 1), References::Keep);
                edit.finish(Event::generic("xadd"));
            }
            0 => {
                let mut edit = view.edit_or_create::<Str>(key).expect("a new key");
                edit.value().set(&element().repeat(count.min(400)));
                edit.finish(Event::string("set"));
            }
            1 => {
                let mut edit = view.edit_or_create::<List>(key).expect("a new key");
                (0..count).for_each(|_| edit.value().push(End::Right, &element()));
                if count == 900 {
                    edit.value().push(End::Left, &vec![b'x'; 9_000]);
                }
                edit.finish(Event::list("rpush"));
            }
            2 => {
                let mut edit = view.edit_or_create::<Set>(key).expect("a new key");
                for _ in 0..count {
                    edit.value().add(&element());
                }
                if nth % 3 == 0 {
                    edit.value().add(b"due");
                    edit.value().add(b"due later");
                    edit.value().set_deadline(b"due", Some(1_000_000 + nth as i64));
                    edit.value().set_deadline(b"due later", Some(1_000_000 << (nth % 20)));
                }
                edit.finish(Event::set("sadd"));
            }
            3 => {
                let mut edit = view.edit_or_create::<Hash>(key).expect("a new key");
                for _ in 0..count {
                    edit.value().set(&element(), &element());
                }
                if nth % 3 == 0 {
                    let (field, deadline) = (b"due", Some(1_000_000 + nth as i64));
                    edit.value().set(field, b"then");
                    edit.value().set(b"due later", b"then");
                    edit.value().set_deadline(field, deadline);
                    edit.value().set_deadline(b"due later", deadline.map(|at| at << (nth % 20)));
                    edit.value().set_deadline(b"due later", deadline.filter(|_| nth % 2 == 0));
                }
                edit.finish(Event::hash("hset"));
            }
            _ => {
                let mut edit = view.edit_or_create::<ZSet>(key).expect("a new key");
                for at in 0..count {
                    let score = if at == 7 { f64::INFINITY } else { (at % 50) as f64 / 4.0 };
                    edit.value().add(&element(), score, AddOptions::default());
                }
                if nth % 3 == 1 {
                    edit.value().add(b"due", 2.0, AddOptions::default());
                    edit.value().add(b"due later", -2.0, AddOptions::default());
                    edit.value().set_deadline(b"due", Some(1_000_000 + nth as i64));
                    edit.value().set_deadline(b"due later", Some(1_000_000 << (nth % 20)));
                }
                edit.finish(Event::zset("zadd"));
            }
        }
    }
    space
}

#[test]
fn every_value_comes_back_as_it_was() {
    for seed in 0..12 {
        println!("seed {seed}");
        let space = populate(&mut Rng::seeded(seed), 60);
        let limits = limits();
        for entry in space.dbs[0].table.iter() {
            for compress in [true, false] {
                let payload = dump(entry, compress);
                let back = restore(&payload, entry.key(), &how(&limits), true).expect("what was dumped is restored");
                assert_eq!(digest(back.view()), digest(entry));
                assert_eq!(encoding(back.view()), encoding(entry), "{:?}", Kind::of(entry.kind()));
                assert_eq!(dump(back.view(), compress).len(), payload.len());
            }
        }
    }
}

/// The newest types of streams, byte for byte as Redis 8.6 and 8.8 write them.
#[test]
fn streams_of_newer_versions_are_read() {
    let space = populate(&mut Rng::seeded(1), 42);
    let entry = space.dbs[0].table.iter().find(|entry| code_of(*entry) == code::STREAM_LISTPACKS_3);
    let mut encoder = Encoder::new(Vec::new(), false);
    encoder.value(entry.expect("one stream is plain"));
    // What stands behind the groups of 26: no producers, the usual bounds.
    let usual = [&encoder.sink[..], &[64, 100, 64, 100, 0, 0, 0]].concat();
    let stream = |code: u8, value: &[u8]| {
        let entry = read(code, value).expect("it is whole");
        let data = Stream::view(entry.view());
        let idmp = data.idmp().map(|idmp| (idmp.memory(), idmp.tracked(), idmp.added, idmp.duplicates));
        (code_of(entry.view()), digest(entry.view()), idmp)
    };
    let (plain, same, none) = stream(code::STREAM_LISTPACKS_4, &usual);
    assert_eq!((plain, none), (code::STREAM_LISTPACKS_3, None));
    assert_eq!(same, digest(entry.expect("it was there")));
    let mut known = encoder.sink.clone();
    known.extend([60, 5, 2]);
    known.extend(*b"\x01p\x02\x01a\x0a\x00\x01b\x0a\x01");
    known.extend(*b"\x01q\x01\xc0\x05\x0a\x02");
    known.extend([9, 4]);
    let (code, _, idmp) = stream(code::STREAM_LISTPACKS_4, &known);
    assert_eq!((code, idmp), (code::STREAM_LISTPACKS_4, Some((Memory { duration_s: 60, max_len: 5 }, 3, 9, 4))));
    // A group with one entry of nobody.
    let mut nacked = strings(&[]);
    nacked.extend([0, 0, 1, 0, 0, 0, 0, 0, 1, 1]);
    nacked.extend([1, b'g', 1, 0, 0, 1]);
    let id = StreamId::new(1, 0).to_be_bytes();
    nacked.extend(id);
    nacked.extend([0; 8]);
    nacked.extend([3, 0, 1]);
    nacked.extend(id);
    nacked.extend([64, 100, 64, 100, 0, 0, 0]);
    let entry = read(code::STREAM_LISTPACKS_5, &nacked).expect("it is whole");
    let group = Stream::view(entry.view()).group(b"g").expect("it is there");
    assert_eq!((group.nacked(), group.pending(StreamId::new(1, 0)).expect("it is pending").deliveries), (1, 3));
    let mut encoder = Encoder::new(Vec::new(), false);
    encoder.value(entry.view());
    assert_eq!((code_of(entry.view()), encoder.sink), (code::STREAM_LISTPACKS_5, nacked.clone()));
    let at = nacked.len() - 7 - 16;
    nacked[at] = 9;
    assert!(read(code::STREAM_LISTPACKS_5, &nacked).is_err(), "it is not pending");
}

#[test]
fn stricter_limits_unpack_what_is_read() {
    let space = populate(&mut Rng::seeded(3), 200);
    let mut strict = limits();
    (strict.hash_entries, strict.set_entries, strict.set_ints, strict.zset_entries) = (2, 2, 2, 2);
    strict.list_max = 2;
    for entry in space.dbs[0].table.iter() {
        let back = restore(&dump(entry, true), entry.key(), &how(&strict), true).expect("it is whole");
        assert_eq!(digest(back.view()), digest(entry));
    }
}

/// Payload bytes of a type and a value.
fn read(code: u8, value: &[u8]) -> Result<Entry, Fault> {
    let limits = limits();
    decode_value(&mut Reader::new(Slice::of(value)), code, b"key", &how(&limits))
}

fn strings(parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), false);
    parts.iter().for_each(|part| encoder.string(part));
    encoder.sink
}

fn ziplist(elems: &[&[u8]]) -> Vec<u8> {
    let (mut entries, mut before, mut last) = (Vec::new(), 0usize, 10usize);
    for elem in elems {
        last = 10 + entries.len();
        let start = entries.len();
        if before < 254 {
            entries.push(before as u8);
        } else {
            entries.push(254);
            entries.extend_from_slice(&(before as u32).to_le_bytes());
        }
        match std::str::from_utf8(elem).ok().and_then(|text| text.parse::<i64>().ok()) {
            Some(n @ 0..=12) => entries.push(0xF1 + n as u8),
            Some(n) if i8::try_from(n).is_ok() => entries.extend_from_slice(&[0xFE, n as u8]),
            Some(n) if i16::try_from(n).is_ok() => {
                entries.push(0xC0);
                entries.extend_from_slice(&(n as i16).to_le_bytes());
            }
            Some(n) if n.abs() < 1 << 23 => {
                entries.push(0xF0);
                entries.extend_from_slice(&n.to_le_bytes()[..3]);
            }
            Some(n) => {
                entries.push(0xE0);
                entries.extend_from_slice(&n.to_le_bytes());
            }
            None if elem.len() < 64 => entries.push(elem.len() as u8),
            None if elem.len() < 16_384 => {
                entries.extend_from_slice(&[0x40 | (elem.len() >> 8) as u8, elem.len() as u8])
            }
            None => {
                entries.push(0x80);
                entries.extend_from_slice(&(elem.len() as u32).to_be_bytes());
            }
        }
        if std::str::from_utf8(elem).ok().and_then(|text| text.parse::<i64>().ok()).is_none() {
            entries.extend_from_slice(elem);
        }
        before = entries.len() - start;
    }
    let mut list = Vec::new();
    list.extend_from_slice(&(entries.len() as u32 + 11).to_le_bytes());
    list.extend_from_slice(&(last as u32).to_le_bytes());
    list.extend_from_slice(&(elems.len() as u16).to_le_bytes());
    list.extend_from_slice(&entries);
    list.push(0xFF);
    list
}

#[test]
fn ziplists_are_read() {
    let long = vec![b'y'; 20_000];
    let elems: [&[u8]; 9] = [b"a", b"0", b"12", b"-100", b"30000", b"-8000000", b"99999999999", &long, b"z"];
    let list = ziplist(&elems);
    let mut seen = Vec::new();
    assert_eq!(old::ziplist(&list, |elem| seen.push(elem.to_vec())), Ok(elems.len()));
    assert!(seen.iter().map(Vec::as_slice).eq(elems));
    for (code, value) in [(code::LIST_ZIPLIST, list.clone()), (code::LIST_QUICKLIST, list)] {
        let prefix: &[u8] = if code == code::LIST_QUICKLIST { &[2] } else { &[] };
        let node = strings(&[&value]);
        let whole = if prefix.is_empty() { node } else { [prefix, &node, &strings(&[&ziplist(&[])])].concat() };
        let entry = read(code, &whole).expect("a whole list");
        assert_eq!(List::view(entry.view()).len(), elems.len());
    }
    let pairs = ziplist(&[b"f", b"1", b"g", b"2"]);
    let hash = read(code::HASH_ZIPLIST, &strings(&[&pairs])).expect("a whole hash");
    assert_eq!(Hash::view(hash.view()).get(b"g"), Some(Elem::Int(2)));
    let zset = read(code::ZSET_ZIPLIST, &strings(&[&pairs])).expect("a whole sorted set");
    assert_eq!(ZSet::view(zset.view()).score(b"f"), Some(1.0));
    for at in 0..pairs.len() {
        for flip in 1..=255 {
            let mut bad = pairs.clone();
            bad[at] ^= flip;
            drop(read(code::HASH_ZIPLIST, &strings(&[&bad])));
        }
    }
}

#[test]
fn zipmaps_are_read() {
    let map = b"\x02\x01a\x02\x00xy\x03bcd\x01\x02zqq\xff";
    let hash = read(code::HASH_ZIPMAP, &strings(&[map])).expect("a whole hash");
    let view = Hash::view(hash.view());
    assert_eq!((view.get(b"a"), view.get(b"bcd")), (Some(Elem::Str(b"xy")), Some(Elem::Str(b"z"))));
    for at in 0..map.len() {
        for flip in 1..=255 {
            let mut bad = map.to_vec();
            bad[at] ^= flip;
            drop(read(code::HASH_ZIPMAP, &strings(&[&bad])));
        }
        assert!(read(code::HASH_ZIPMAP, &strings(&[&map[..at]])).is_err());
    }
}

#[test]
fn old_plain_forms_are_read() {
    let list = read(code::LIST, &[&[3][..], &strings(&[b"a", b"2", b"c"])].concat()).expect("a whole list");
    assert_eq!((List::view(list.view()).len(), encoding(list.view())), (3, "listpack"));
    let zset = read(code::ZSET, b"\x03\x01a\x031.5\x01b\xff\x01c\xfe").expect("a whole sorted set");
    let view = ZSet::view(zset.view());
    assert_eq!(
        (view.score(b"a"), view.score(b"b"), view.score(b"c")),
        (Some(1.5), Some(f64::NEG_INFINITY), Some(f64::INFINITY))
    );
    assert!(read(code::ZSET, b"\x01\x01a\xfd").is_err(), "not a number");
}

#[test]
fn what_is_there_twice_is_refused() {
    for code in [code::SET, code::HASH, code::ZSET_2] {
        let pair: &[u8] = match code {
            code::SET => b"\x01a",
            code::HASH => b"\x01a\x01v",
            _ => b"\x01a\x00\x00\x00\x00\x00\x00\xf0\x3f",
        };
        let twice = [&[2][..], pair, pair].concat();
        assert!(matches!(read(code, &twice), Err(Fault::Corrupt { .. } | Fault::Packed { .. })), "type {code}");
        assert!(matches!(read(code, &[0]), Err(Fault::Empty)), "type {code}");
    }
    let pack = |words: &[&'static [u8]]| {
        strings(&[&listpack::to_wire(&listpack::from_values(
            words.iter().map(|word| Elem::Str(word)).collect::<Vec<_>>(),
        ))])
    };
    for code in [code::SET_LISTPACK, code::HASH_LISTPACK, code::ZSET_LISTPACK] {
        assert!(read(code, &pack(&[b"7", b"1", b"7", b"1"])).is_err(), "type {code}");
        assert!(matches!(read(code, &pack(&[])), Err(Fault::Empty)));
    }
    assert!(read(code::HASH_LISTPACK, &pack(&[b"a", b"b", b"c"])).is_err(), "half a pair");
    assert!(read(code::ZSET_LISTPACK, &pack(&[b"a", b"nan"])).is_err(), "not a number");
    let unordered = read(code::ZSET_LISTPACK, &pack(&[b"b", b"2", b"a", b"1"])).expect("put in order");
    assert_eq!(ZSet::view(unordered.view()).rank(b"a"), Some((0, 1.0)));
}

#[test]
fn lies_about_length_cost_nothing() {
    for code in 0..=30 {
        for huge in
            [&b"\x81\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x80\xff\xff\xff\xf0", b"\xc3\x01\x80\xff\xff\x00\x00a"]
        {
            let value = [huge, huge, b"rest"].concat();
            assert!(read(code, &value).is_err(), "type {code}");
        }
    }
}

#[test]
fn damaged_payloads_never_panic() {
    let rounds = if cfg!(debug_assertions) { 3_000 } else { 60_000 };
    let space = populate(&mut Rng::seeded(5), 120);
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for entry in space.dbs[0].table.iter() {
        let mut encoder = Encoder::new(vec![code_of(entry)], true);
        encoder.value(entry);
        samples.push(encoder.sink);
    }
    samples.push([&[code::HASH_ZIPLIST][..], &strings(&[&ziplist(&[b"f", b"1", b"long long long", b"-2"])])].concat());
    samples.sort_by_key(Vec::len);
    let mut rng = Rng::seeded(6);
    for _ in 0..rounds {
        // Small ones more often: their damage goes deeper.
        let most = rng.below(samples.len() as u64) + 1;
        let mut bytes = samples[rng.below(most) as usize].clone();
        for _ in 0..=rng.below(4) {
            let at = rng.below(bytes.len() as u64) as usize;
            match rng.below(4) {
                0 => bytes[at] = rng.next_u64() as u8,
                1 => bytes[at] = [0, 1, 0x7F, 0x80, 0x81, 0xC0, 0xC3, 0xF0, 0xFE, 0xFF][rng.below(10) as usize],
                2 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, rng.next_u64() as u8),
            }
        }
        fuzz_value(&bytes);
    }
}
