//! Hashes against a map of fields with values and deadlines.

use super::packed;
use crate::base::rng::Rng;
use crate::types::testing::{Held, element, limits, steps, text};
use crate::types::{Hash, HashBuilder, HashMut, HashRef, Kind, Limits, Value, digest, is_valid_dated_pack, soonest};
use std::collections::BTreeMap;

type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn all(hash: HashRef<'_>) -> Model {
    let mut all = Model::new();
    hash.for_each_dated(|field, value, deadline| {
        assert!(all.insert(text(field), (text(value), deadline)).is_none(), "each field comes once");
    });
    all
}

fn scanned(hash: HashRef<'_>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let (mut seen, mut cursor) = (BTreeMap::new(), 0);
    loop {
        cursor = hash.scan(cursor, 3, |field, value| seen.extend([(text(field), text(value))]));
        if cursor == 0 {
            return seen;
        }
    }
}

fn agree(held: &Held<Hash>, model: &Model, now_ms: i64) {
    let hash = held.view();
    assert_eq!((hash.len(), hash.visible_len()), (model.len(), model.len()));
    assert_eq!(&all(hash), model);
    assert_eq!(soonest(held.entry()), model.values().filter_map(|(_, deadline)| *deadline).min());
    let seen = Hash::view_at(held.entry(), now_ms);
    let visible: Model = model
        .iter()
        .filter(|(_, (_, d))| d.is_none_or(|at| at > now_ms))
        .map(|(f, v)| (f.clone(), v.clone()))
        .collect();
    assert_eq!((seen.len(), seen.visible_len()), (model.len(), visible.len()));
    assert_eq!(seen.is_behind(), visible.len() < model.len());
    assert_eq!(all(seen), visible);
    let mut rng = Rng::seeded(model.len() as u64);
    let drawn = seen.random(&mut || rng.next_u64()).map(|(field, _)| text(field));
    assert!(drawn.map_or(visible.is_empty(), |field| visible.contains_key(&field)));
    assert_eq!(scanned(seen), visible.iter().map(|(f, (v, _))| (f.clone(), v.clone())).collect());
    held.check_copy();
    check_built(held, model);
    let longest = model.iter().map(|(field, (value, _))| field.len().max(value.len())).max().unwrap_or(0);
    match hash {
        HashRef::Packed(_) | HashRef::PackedDated(..) => {
            assert!(hash.len() <= held.limits.hash_entries && longest <= held.limits.hash_value);
        }
        HashRef::Table(table) => table.check(),
        HashRef::TableDated(hash, _) => hash.check(),
    }
    if let HashRef::PackedDated(pack, _) = hash {
        assert!(pack.is_empty() || hash.is_empty() || is_valid_dated_pack(pack));
    }
}

/// The builder makes the same of the same fields.
fn check_built(held: &Held<Hash>, model: &Model) {
    for expected in [0, model.len()] {
        let mut builder = HashBuilder::new(&held.limits, expected);
        for (field, (value, deadline)) in model {
            assert!(builder.add(field, value, *deadline));
            assert!(!builder.add(field, b"again", None));
        }
        assert_eq!(builder.len(), model.len());
        let entry = builder.finish(b"key", 0, None);
        assert_eq!(entry.is_some(), !model.is_empty());
        if let Some(entry) = entry {
            assert_eq!(digest(entry.view()), digest(held.entry()));
            assert_eq!(soonest(entry.view()), soonest(held.entry()));
        }
    }
}

fn set(held: &mut Held<Hash>, model: &mut Model, field: Vec<u8>, value: Vec<u8>, keep: bool) {
    let new = held.edit(|hash| if keep { hash.set_value(&field, &value) } else { hash.set(&field, &value) });
    let old = model.get(&field).cloned();
    assert_eq!(new, old.is_none());
    model.insert(field, (value, old.and_then(|(_, deadline)| deadline).filter(|_| keep)));
}

fn change(held: &mut Held<Hash>, model: &mut Model, rng: &mut Rng, names: u64, dates: bool, now_ms: &mut i64) {
    let (field, value) = (element(rng, names), element(rng, 1_000_000));
    match rng.below(if dates { 20 } else { 12 }) {
        0..=4 => set(held, model, field, value, false),
        6 => set(held, model, field, value, true),
        5 if dates => {
            let deadline = *now_ms + 1 + rng.below(100) as i64;
            let new = held.edit(|hash| hash.set_dated(&field, &value, deadline));
            assert_eq!(new, model.insert(field, (value, Some(deadline))).is_none());
        }
        5 => set(held, model, field, value, false),
        7..=9 => assert_eq!(held.edit(|hash| hash.remove(&field)), model.remove(&field).is_some()),
        10 => {
            let found = held.view().random(&mut || rng.next_u64()).map(|(f, v)| (text(f), text(v)));
            assert!(found.map_or(model.is_empty(), |(f, v)| model.get(&f).is_some_and(|(value, _)| *value == v)));
        }
        11 => {
            let found = held.view().get_dated(&field).map(|(value, deadline)| (text(value), deadline));
            assert_eq!(found, model.get(&field).cloned());
        }
        12..=17 => {
            let deadline = (rng.below(4) > 0).then(|| *now_ms + 1 + rng.below(1_000) as i64);
            let there = held.edit(|hash| hash.set_deadline(&field, deadline));
            let known = model.get_mut(&field);
            assert_eq!(there, known.is_some());
            if let Some((_, old)) = known {
                *old = deadline;
            }
        }
        18 => {
            let due = model.get(&field).is_some_and(|(_, d)| d.is_some_and(|at| at <= *now_ms));
            assert_eq!(held.edit(|hash| hash.remove_due(&field, *now_ms)), due);
            if due {
                model.remove(&field);
            }
        }
        _ => {
            *now_ms += rng.below(60) as i64;
            let most = rng.below(40) as usize;
            let mut due: Vec<i64> =
                model.values().filter_map(|(_, deadline)| *deadline).filter(|at| at <= now_ms).collect();
            due.sort_unstable();
            let mut gone = Vec::new();
            let count = held.edit(|hash| hash.remove_all_due(*now_ms, most, |field| gone.push(field.to_vec())));
            let mut times: Vec<i64> = gone.iter().filter_map(|field| model.remove(field)?.1).collect();
            times.sort_unstable();
            assert_eq!((count, gone.len()), (due.len().min(most), count));
            assert_eq!(times, due[..count], "the soonest go first");
        }
    }
}

#[test]
fn behaves_as_a_naive_hash() {
    for seed in 0..24 {
        println!("seed {seed}");
        let (mut rng, mut model, mut now_ms) = (Rng::seeded(seed), Model::new(), 1_000);
        let mut held = Held::<Hash>::new(limits(seed));
        let names = [6, 60, 3_000][seed as usize % 3];
        for step in 0..steps(42_000) {
            change(&mut held, &mut model, &mut rng, names, seed >= 8, &mut now_ms);
            if step % 1_000 == 0 {
                agree(&held, &model, now_ms + 200);
            }
            if rng.below(500) == 0 {
                model.clear();
                held.reset();
            }
        }
        agree(&held, &model, now_ms + 200);
    }
}

#[test]
fn the_encoding_changes_where_the_limits_say() {
    let limits = Limits { hash_entries: 2, hash_value: 4, ..limits(0) };
    let kind_after = |pairs: &[(&str, &str)]| {
        let mut held = Held::<Hash>::new(limits);
        for (field, value) in pairs {
            held.edit(|hash| hash.set(field.as_bytes(), value.as_bytes()));
        }
        held.kind()
    };
    assert_eq!(kind_after(&[("a", "1"), ("b", "2"), ("a", "3")]), Kind::HashPacked);
    assert_eq!(kind_after(&[("a", "1"), ("b", "2"), ("c", "3")]), Kind::BigHash);
    assert_eq!(kind_after(&[("abcd", "1234")]), Kind::HashPacked);
    assert_eq!(kind_after(&[("abcde", "1")]), Kind::BigHash);
    assert_eq!(kind_after(&[("a", "1"), ("a", "12345")]), Kind::BigHash);
    let mut held = Held::<Hash>::new(limits);
    held.edit(|hash| hash.reserve(2, [&b"a"[..], b"1234"].into_iter()));
    assert_eq!(held.kind(), Kind::HashPacked);
    held.edit(|hash| hash.reserve(3, [].into_iter()));
    assert_eq!(held.kind(), Kind::BigHash);
}

#[test]
fn a_packed_hash_keeps_the_kind_that_a_deadline_gave_it() {
    let mut held = Held::<Hash>::new(Limits { hash_entries: 3, hash_value: 4, ..limits(0) });
    let set = |hash: &mut HashMut<'_>, field: &str| hash.set(field.as_bytes(), b"v");
    for field in ["a", "b", "c"] {
        held.edit(|hash| set(hash, field));
    }
    held.edit(|hash| hash.set_deadline(b"b", None));
    assert_eq!(held.kind(), Kind::HashPacked);
    held.edit(|hash| hash.set_deadline(b"b", Some(70)));
    held.edit(|hash| hash.set_deadline(b"c", Some(60)));
    assert_eq!(held.kind(), Kind::HashPackedTtl);
    let mut order = Vec::new();
    held.view().for_each(|field, _| order.push(text(field)));
    assert_eq!(order, [b"c", b"b", b"a"]);
    held.edit(|hash| hash.set_deadline(b"b", None) && hash.set_deadline(b"c", None));
    assert_eq!((held.kind(), soonest(held.entry())), (Kind::HashPackedTtl, None));
    held.edit(|hash| set(hash, "d"));
    assert_eq!(held.kind(), Kind::BigHash);
    assert!(matches!(held.view(), HashRef::Table(_)), "without deadlines it is a plain table");
    held.edit(|hash| hash.set_deadline(b"d", Some(5)));
    assert!(matches!(held.view(), HashRef::TableDated(..)));
}

#[test]
fn triples_from_files_are_checked() {
    use crate::ds::listpack::{self, Value as Elem};
    let pack = |elems: &[Elem<'_>]| {
        let mut pack = Vec::new();
        listpack::push_back_all(&mut pack, elems);
        is_valid_dated_pack(&pack)
    };
    let (a, b) = (Elem::Str(b"a"), Elem::Str(b"b"));
    let int = Elem::Int;
    assert!(pack(&[a, a, int(5)]) && pack(&[a, a, int(5), b, a, int(5)]) && pack(&[a, a, int(5), b, a, int(0)]));
    assert!(!pack(&[]) && !pack(&[a, a]) && !pack(&[a, a, int(5), b]), "whole triples");
    assert!(!pack(&[a, a, b]) && !pack(&[a, a, int(-5)]), "deadlines are times");
    assert!(!pack(&[a, a, int(0), b, a, int(5)]) && !pack(&[a, a, int(6), b, a, int(5)]), "in order");
    assert!(!pack(&[a, a, int(5), a, a, int(6)]), "no field twice");
    assert_eq!(packed::soonest(&[1]), None);
}

#[test]
fn no_bytes_in_the_place_of_triples_do_harm() {
    let mut rng = Rng::seeded(11);
    for _ in 0..steps(20_000) {
        let mut pack: Vec<u8> = (0..rng.below(40)).map(|_| rng.next_u64() as u8).collect();
        if rng.below(2) == 0 {
            crate::ds::listpack::push_back_all(&mut pack, &[(&b"f"[..]).into(), (&b"v"[..]).into(), 7.into()]);
        }
        is_valid_dated_pack(&pack);
        let hash = HashRef::PackedDated(&pack, 100);
        let _ = (hash.len(), hash.visible_len(), hash.is_behind(), hash.get_dated(b"f"));
        hash.for_each(|_, _| {});
    }
}
