//! Files written and read: whole, damaged, on failing disks, through power cuts, and while commands go on.

mod large;

use super::rdb::{self, Access, Fault, LoadOptions, Loaded, SaveOptions};
use super::seal::{Key, Keyring};
use super::sim::SimDisk;
use super::snapshot::{DbSizes, Plan, Snapshot};
use super::storage::Storage;
use super::vault::{FileKind, Vault};
use crate::base::clock::Now;
use crate::base::hash::Hasher;
use crate::base::rng::Rng;
use crate::keyspace::cut::Progress;
use crate::keyspace::{DbIndex, Deadline, Event, Keyspace};
use crate::types::{AddOptions, Digest, Encoded, End, Hash, List, Set, ZSet, digest};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const NAME: &str = "dump.rdb";
const NOW_MS: i64 = 1_000_000;

type Image = BTreeMap<(u32, Vec<u8>), Digest>;

fn space() -> Keyspace {
    let mut space = Keyspace::new(4, Hasher::seeded([1, 2, 3, 4]), Rng::seeded(1));
    // Lists of many nodes.
    space.book.limits.list_max = 2;
    space
}

fn image_of(space: &Keyspace) -> Image {
    let mut image = Image::new();
    for (index, db) in space.dbs.iter().enumerate() {
        image.extend(db.table.iter().map(|entry| ((index as u32, entry.key().to_vec()), digest(entry))));
    }
    image
}

fn change(space: &mut Keyspace, rng: &mut Rng, keys: u64) {
    let mut view = space.view(DbIndex(rng.below(3) as u32), Now::at_unix_ms(NOW_MS));
    let name = format!("key number {}", rng.below(keys));
    let key = view.key(name.as_bytes());
    let element = match rng.below(3) {
        0 => rng.below(1_000).to_string(),
        1 => "the same again, ".repeat(rng.below(9) as usize),
        _ => format!("{:x}", rng.next_u64()),
    };
    let text = element.as_bytes();
    match rng.below(8) {
        0..=2 => {
            let deadline = Deadline::At((rng.below(3) == 0).then_some(NOW_MS + 1 + rng.below(1_000) as i64));
            view.put(key, deadline, Event::string("set"), |old, access| {
                Encoded::of(text, None).store(name.as_bytes(), old, access)
            });
        }
        3 => {
            if let Ok(mut edit) = view.edit_or_create::<List>(key) {
                edit.value().push(End::Right, text);
                edit.finish(Event::list("rpush"));
            }
        }
        4 => {
            if let Ok(mut edit) = view.edit_or_create::<Hash>(key) {
                for n in 0..rng.below(200) {
                    edit.value().set(format!("{n}{element}").as_bytes(), text);
                }
                edit.value().set(text, text);
                if rng.below(4) == 0 {
                    edit.value().set_deadline(text, Some(NOW_MS + 500 + rng.below(500) as i64));
                }
                edit.finish(Event::hash("hset"));
            }
        }
        5 => {
            if let Ok(mut edit) = view.edit_or_create::<Set>(key) {
                for n in 0..rng.below(200) {
                    edit.value().add(format!("{n}{element}").as_bytes());
                }
                edit.value().add(text);
                edit.finish(Event::set("sadd"));
            }
        }
        6 => {
            if let Ok(mut edit) = view.edit_or_create::<ZSet>(key) {
                for n in 0..rng.below(200) {
                    edit.value().add(format!("{n}{element}").as_bytes(), n as f64, ADD);
                }
                edit.value().add(text, 0.5, ADD);
                edit.finish(Event::zset("zadd"));
            }
        }
        _ => drop(view.delete(key, false, Event::generic("del"))),
    }
}

const ADD: AddOptions = AddOptions { nx: false, xx: false, gt: false, lt: false, incr: false };

fn filled(seed: u64, changes: u64) -> Keyspace {
    let mut space = space();
    let mut rng = Rng::seeded(seed);
    (0..changes).for_each(|_| change(&mut space, &mut rng, 1 + changes / 3));
    space
}

fn options() -> SaveOptions {
    SaveOptions {
        log_base: false,
        compress: true,
        checksum: true,
        incremental_sync: true,
        access: Access::Idle,
        now: Now::at_unix_ms(NOW_MS),
        used_bytes: 12_345,
        libraries: vec![b"#!lua name=a".as_slice().into()],
    }
}

fn load_options() -> LoadOptions {
    LoadOptions { now: Now::at_unix_ms(NOW_MS), checksum: true, deep: false, merge: false }
}

/// The disk behind its door, clear or sealed.
fn door(disk: &SimDisk, seals: bool) -> Vault {
    Vault::with_keys(Arc::new(disk.clone()), Keyring::new(Key::new([9; 32]), None, b"1234567890"), seals)
}

fn load(disk: &SimDisk) -> Result<(Keyspace, Loaded), Fault> {
    let mut space = space();
    let file = door(disk, false)
        .open(Path::new(NAME), FileKind::Snapshot)?
        .ok_or(Fault::Io(io::ErrorKind::NotFound.into()))?;
    let loaded = rdb::load(&mut space, file, load_options())?;
    Ok((space, loaded))
}

fn disk_with(bytes: &[u8]) -> SimDisk {
    let disk = SimDisk::default();
    disk.create(Path::new(NAME)).and_then(|mut file| file.append(bytes)).expect("nothing fails yet");
    disk
}

#[test]
fn what_is_saved_is_loaded() {
    for (seed, changes, seals) in
        [(1, 0, false), (2, 30, true), (3, 3_000, false), (4, 20_000, false), (5, 20_000, true)]
    {
        let (before, disk) = (filled(seed, changes), SimDisk::default());
        let len = rdb::save(&before, Path::new(NAME), &door(&disk, seals), &options()).expect("the disk is well");
        let bytes = disk.bytes(Path::new(NAME)).expect("it was written");
        let dated = before.dbs.iter().any(|db| db.subkeys.count > 0);
        let header: &[u8] = if dated { b"REDIS0012" } else { b"REDIS0011" };
        assert_eq!(bytes.starts_with(header) && bytes.len() as u64 == len, !seals);
        let (after, loaded) = load(&disk).expect("it is whole");
        assert!(image_of(&after) == image_of(&before));
        assert_eq!((loaded.keys as usize, loaded.expired), (before.total_keys(), 0));
        assert_eq!(loaded.libraries, options().libraries);
        let volatile = |space: &Keyspace| space.dbs.iter().map(|db| db.volatile).collect::<Vec<_>>();
        assert_eq!(volatile(&after), volatile(&before));
    }
}

#[test]
fn keys_whose_time_has_come_stay_out_and_keys_that_are_there_are_told() {
    let (before, disk, seals) = (filled(5, 500), SimDisk::default(), false);
    rdb::save(&before, Path::new(NAME), &door(&disk, seals), &options()).expect("the disk is well");
    let open = || disk.open(Path::new(NAME)).expect("it opens").expect("it is there");
    let mut after = space();
    let later = LoadOptions { now: Now::at_unix_ms(NOW_MS + 2_000), ..load_options() };
    let loaded = rdb::load(&mut after, open(), later).expect("it is whole");
    assert!(loaded.expired > 0 && loaded.expired == loaded.expires);
    assert_eq!(loaded.keys as usize, after.total_keys());
    assert!(matches!(rdb::load(&mut after, open(), later), Err(Fault::Corrupt { .. })));
    let merged = LoadOptions { merge: true, ..load_options() };
    rdb::load(&mut after, open(), merged).expect("keys are replaced");
    assert!(image_of(&after) == image_of(&before));
}

#[test]
fn every_flip_of_a_byte_is_found() {
    every_flip_is_found(true);
    every_flip_is_found(false);
}

fn every_flip_is_found(seals: bool) {
    let disk = SimDisk::default();
    rdb::save(&filled(6, 20), Path::new(NAME), &door(&disk, seals), &options()).expect("the disk is well");
    let good = disk.bytes(Path::new(NAME)).expect("it was written");
    for at in 0..good.len() {
        assert!(load(&disk_with(&good[..at])).is_err(), "cut off at {at}");
        for flip in [1, 0x80, 0xFF, 0x40] {
            let mut bad = good.clone();
            bad[at] ^= flip;
            assert!(load(&disk_with(&bad)).is_err(), "byte {at} changed by {flip:#x}");
        }
    }
    // Without a checksum all depends on the checks of each value; and nothing may panic or hang.
    let mut rng = Rng::seeded(1);
    for _ in 0..if cfg!(debug_assertions) { 2_000 } else { 10_000 } {
        let mut bad = good.clone();
        for _ in 0..=rng.below(3) {
            let at = 9 + rng.below(bad.len() as u64 - 9) as usize;
            bad[at] = rng.next_u64() as u8;
        }
        let file = disk_with(&bad).open(Path::new(NAME)).expect("it opens").expect("it is there");
        let unchecked = LoadOptions { checksum: false, deep: true, merge: true, ..load_options() };
        drop(rdb::load(&mut space(), file, unchecked));
    }
}

#[test]
fn a_failing_disk_leaves_the_old_file_or_the_new_one() {
    [false, true].into_iter().for_each(a_failing_disk);
}

fn a_failing_disk(seals: bool) {
    let (old, new) = (filled(7, 50), filled(8, 4_000));
    let mut operation = 1;
    loop {
        let disk = SimDisk::default();
        rdb::save(&old, Path::new(NAME), &door(&disk, seals), &options()).expect("the disk is well");
        disk.fail(operation, operation + 1);
        let saved = rdb::save(&new, Path::new(NAME), &door(&disk, seals), &options());
        if disk.operations() < operation {
            assert!(saved.is_ok());
            break;
        }
        assert!(saved.is_err(), "operation {operation} failed");
        let image = image_of(&load(&disk).expect("a whole file is there").0);
        let at_last = image == image_of(&new);
        assert!(image == image_of(&old) || at_last, "operation {operation}");
        assert_eq!(disk.files(), 1, "the unfinished file is gone after operation {operation} failed");
        operation += 1;
    }
    assert!(operation > 4, "created, written, synced, renamed, synced");
}

#[test]
fn a_power_cut_leaves_the_old_file_or_the_new_one() {
    let (old_space, new_space) = (filled(9, 50), filled(10, 800));
    let (old, new) = (image_of(&old_space), image_of(&new_space));
    for seed in 0..if cfg!(debug_assertions) { 400 } else { 1_000 } {
        let seals = seed % 3 != 0;
        let mut rng = Rng::seeded(seed);
        let disk = SimDisk::default();
        rdb::save(&old_space, Path::new(NAME), &door(&disk, seals), &options()).expect("the disk is well");
        let cut_at = 1 + rng.below(14);
        disk.fail(cut_at, u64::MAX);
        let saved = rdb::save(&new_space, Path::new(NAME), &door(&disk, seals), &options());
        let found = image_of(&load(&disk.after_power_cut(&mut rng)).expect("a whole file is there").0);
        assert!(found == old || found == new, "seed {seed}");
        assert!(saved.is_err() || found == new, "seed {seed}: reported as saved");
    }
}

fn plan(space: &Keyspace, name: &str) -> Plan {
    let sizes = space.dbs.iter().enumerate().map(|(index, db)| DbSizes {
        index: index as u32,
        keys: db.table.len() as u64,
        expires: db.volatile as u64,
    });
    Plan {
        script: None,
        path: NAME.into(),
        temporary_name: name.to_owned(),
        options: options(),
        sizes: sizes.collect(),
        key_delay: Duration::ZERO,
    }
}

fn result_of(snapshot: &Snapshot) -> io::Result<u64> {
    loop {
        match snapshot.poll() {
            Some(result) => return result,
            None => std::thread::yield_now(),
        }
    }
}

#[test]
fn a_snapshot_beside_the_loop_is_the_state_at_its_beginning() {
    let mut space = filled(11, 20_000);
    let mut rng = Rng::seeded(11);
    let disk = SimDisk::default();
    for round in 0..4 {
        let expected = image_of(&space);
        let (snapshot, sink) = Snapshot::begin(plan(&space, "temp"), door(&disk, true)).expect("a thread can be had");
        space.begin_cut(sink);
        while space.book.cut.is_some() {
            (0..20).for_each(|_| change(&mut space, &mut rng, 7_000));
            if round % 2 == 1 && rng.below(40) == 0 {
                space.flush(Some(DbIndex(1)), true);
                space.swap(DbIndex(0), DbIndex(2));
            }
            if space.cut_step(Duration::from_micros(20)) == Progress::Waiting {
                std::thread::yield_now();
            }
        }
        result_of(&snapshot).expect("the disk is well");
        assert_eq!(snapshot.keys() as usize, expected.len());
        assert!(image_of(&load(&disk).expect("it is whole").0) == expected, "round {round}");
    }
    assert!(space.book.last_cut.pre_images > 0);
}

#[test]
fn a_snapshot_that_fails_or_is_given_up_leaves_nothing() {
    let mut space = filled(12, 5_000);
    let disk = SimDisk::default();
    disk.fail(2, 3);
    let begin = |space: &mut Keyspace| {
        let (snapshot, sink) = Snapshot::begin(plan(space, "temp"), door(&disk, true)).expect("a thread");
        space.begin_cut(sink);
        snapshot
    };
    let failing = begin(&mut space);
    space.cut_step(Duration::MAX);
    assert!(result_of(&failing).is_err());
    space.abandon_cut();
    disk.fail(0, 0);
    let unwanted = begin(&mut space);
    unwanted.give_up();
    space.abandon_cut();
    assert!(result_of(&unwanted).is_err());
    assert_eq!(disk.files(), 0);
    let wanted = begin(&mut space);
    while space.cut_step(Duration::MAX) != Progress::Done {
        std::thread::yield_now();
    }
    result_of(&wanted).expect("the disk is well");
    assert!(image_of(&load(&disk).expect("it is whole").0) == image_of(&space));
}
