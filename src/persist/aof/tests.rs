//! The log on a disk that fails and whose power is cut: what is found afterwards is a state that existed, and holds all that
//! was reported as durable. A state is the numbers from 0 up to some end, each written as one command.

use super::find::read_manifest;
use super::log::{Log, Place, Tail};
use super::manifest::{Manifest, PartKind};
use super::scan::{Crc64Prefix, Scanner};
use super::torn::torn_from;
use crate::base::rng::Rng;
use crate::persist::sim::SimDisk;
use crate::persist::storage::{Storage, WriteFile};
use crate::persist::vault::{FileKind, Vault};
use crate::resp::encode_command;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

const NAME: &str = "log.aof";

fn place(disk: &SimDisk) -> Place {
    Place { vault: Vault::new(Arc::new(disk.clone())), folder: PathBuf::from("/log"), name: NAME.to_owned() }
}

fn commands(from: u64, to: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in from..to {
        encode_command(&mut bytes, 2, [&b"ADD"[..], number.to_string().as_bytes()].into_iter());
    }
    bytes
}

/// The numbers in a run of whole commands.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    text.split("ADD\r\n")
        .skip(1)
        .map(|rest| rest.split("\r\n").nth(1).and_then(|n| n.parse().ok()).expect("a number"))
        .collect()
}

/// What a disk holds: the end of the numbers, the list of parts and the end of the last one.
fn read(disk: &SimDisk) -> Result<(u64, Manifest, Option<Tail>), String> {
    let place = place(disk);
    let mut manifest = read_manifest(&place).map_err(|fault| fault.to_string())?.unwrap_or_default();
    let (mut all, mut tail) = (Vec::new(), None);
    let parts: Vec<_> = manifest.parts().cloned().collect();
    let bytes_of = |name: &str| -> Result<Vec<u8>, String> {
        let file =
            disk.open(&place.path(name)).map_err(|error| error.to_string())?.ok_or(format!("{name} is missing"))?;
        let mut bytes = Vec::new();
        { file.bytes }.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    };
    for (nth, part) in parts.iter().enumerate() {
        let mut bytes = bytes_of(&part.name)?;
        if let Some(len) = part.len {
            if (bytes.len() as u64) < len {
                return Err(format!("{} is shorter than {len}", part.name));
            }
            bytes.truncate(len as usize);
        }
        let mut scanner = Scanner::new(&Crc64Prefix::default(), None);
        let looked = scanner.look(&bytes);
        if looked.is_err() || scanner.valid_up_to() < bytes.len() as u64 {
            // Pages that were never written, as the server finds them.
            let torn = torn_from(&place, part, &Crc64Prefix::default()).map_err(|error| error.to_string())?;
            let torn = torn.or(looked.is_ok().then_some(scanner.valid_up_to()));
            let zeros = bytes.len() - bytes.iter().rev().take_while(|byte| **byte == 0).count();
            let torn = torn.or((zeros as u64 <= scanner.valid_up_to()).then_some(scanner.valid_up_to()));
            let torn = torn.ok_or_else(|| format!("{}: {looked:?}", part.name))?;
            scanner = Scanner::new(&Crc64Prefix::default(), None);
            scanner.look(&bytes[..torn as usize]).map_err(|fault| format!("{}: {fault}", part.name))?;
        }
        for run in &scanner.runs {
            all.extend(numbers(&bytes[run.clone()]));
        }
        let mut rest_is_empty = true;
        for later in &parts[nth + 1..] {
            rest_is_empty &= later.len == Some(0) || bytes_of(&later.name)?.is_empty();
        }
        if scanner.valid_up_to() < bytes.len() as u64 && !rest_is_empty {
            return Err(format!("{} is torn, and others follow", part.name));
        }
        // What stands behind a torn part goes on after what is whole of it.
        if let Some(listed) = manifest.increments.iter_mut().find(|listed| **listed == *part) {
            let is_last = nth + 1 == parts.len();
            if !is_last && scanner.valid_up_to() < bytes.len() as u64 {
                listed.len = Some(scanner.valid_up_to());
            }
        }
        tail = (part.kind == PartKind::Increment).then(|| Tail {
            len: scanner.valid_up_to(),
            crc: scanner.sum(),
            says_each: scanner.sums_each(),
        });
    }
    match all.iter().enumerate().find(|(nth, number)| *nth as u64 != **number) {
        Some((nth, number)) => Err(format!("{number} stands where {nth} should")),
        None => Ok((all.len() as u64, manifest, tail)),
    }
}

/// A log that is used at random.
struct Bench {
    disk: SimDisk,
    log: Log,
    /// The end of the numbers that were handed over.
    end: u64,
}

impl Bench {
    fn reopen(disk: SimDisk, end: u64, manifest: Manifest, tail: Option<Tail>) -> Bench {
        place(&disk).write_manifest(&manifest).expect("nothing fails now");
        let mut log = Log::new(place(&disk), manifest, end);
        log.open_last(tail).expect("nothing fails now");
        Bench { disk, log, end }
    }

    fn base(&self, end: u64) -> io::Result<(super::Part, u64)> {
        let part = self.log.next_base(false);
        let place = place(&self.disk);
        let mut file = place.vault.create(&place.path(&part.name), FileKind::Log)?;
        let bytes = commands(0, end);
        file.append(&bytes)?;
        WriteFile::sync(file.as_mut())?;
        place.vault.storage().sync_folder(&place.folder)?;
        Ok((part, bytes.len() as u64))
    }

    fn act(&mut self, rng: &mut Rng) {
        match rng.below(16) {
            0..=8 => {
                let end = self.end + 1 + rng.below(3);
                let bytes = commands(self.end, end);
                self.end = end;
                drop(self.log.append(bytes, end, end as i64));
            }
            9..=10 => drop(self.log.sync()),
            11 => {
                if let Some(mut sync) = self.log.begin_sync() {
                    let run = sync.run();
                    if rng.below(2) == 0 {
                        let end = self.end + 1;
                        drop(self.log.append(commands(self.end, end), end, 0));
                        self.end = end;
                    }
                    self.log.end_sync(&sync, run);
                }
            }
            12 => drop(self.log.sum_up()),
            13 => {
                if self.log.fault().is_none() && self.log.written() == self.end && self.log.next_increment().is_ok() {
                    let (first_kept, end) = (self.log.increment_seq(), self.end);
                    for _ in 0..rng.below(4) {
                        let end = self.end + 1;
                        drop(self.log.append(commands(self.end, end), end, 0));
                        self.end = end;
                    }
                    if let Ok((part, bytes)) = self.base(end) {
                        drop(self.log.install_base(part, bytes, first_kept, rng.below(4) == 0));
                    }
                }
            }
            _ => drop(self.log.recover()),
        }
    }
}

/// One life after another, each ended by a cut of the power, on a disk that fails now and then.
fn live(seed: u64) -> Result<(), String> {
    let mut rng = Rng::seeded(seed);
    let disk = SimDisk::default();
    let mut bench = Bench::reopen(disk, 0, Manifest::default(), None);
    for _ in 0..4 {
        bench.log.timestamps = rng.below(2) == 0;
        for _ in 0..rng.below(40) {
            if rng.below(6) == 0 {
                let first = 1 + rng.below(8);
                bench.disk.fail(first, first + 1 + rng.below(4));
            }
            bench.act(&mut rng);
        }
        let (durable, end) = (bench.log.durable(), bench.end);
        if rng.below(3) == 0 {
            // An orderly end: nothing is missing.
            bench.disk.fail(0, 0);
            bench.log.close().map_err(|error| error.to_string())?;
            let (found, ..) = read(&bench.disk)?;
            if found != end {
                return Err(format!("{found} after an orderly end at {end}"));
            }
        }
        let disk = bench.disk.after_power_cut(&mut rng);
        let (found, manifest, tail) = read(&disk)?;
        if found < durable || found > end {
            return Err(format!("{found} found, {durable} durable, {end} handed over"));
        }
        bench = Bench::reopen(disk, found, manifest, tail);
    }
    Ok(())
}

#[test]
fn after_any_failure_and_cut_the_log_is_a_state_that_existed_and_holds_what_was_durable() {
    for seed in 0..4_000 {
        if let Err(what) = live(seed) {
            panic!("seed {seed}: {what}");
        }
    }
}

#[test]
fn room_is_used_again_while_bytes_come_and_given_up_then() {
    let mut bench = Bench::reopen(SimDisk::default(), 0, Manifest::default(), None);
    let log = &mut bench.log;
    let fresh = log.append(commands(0, 900), 900, 0).expect("it works");
    assert_eq!((fresh.capacity(), log.room_bytes()), (0, 0), "what was written is kept until it is synced");
    let sync = log.begin_sync().expect("there is something to sync");
    log.append(commands(900, 1_800), 1_800, 0).expect("it works");
    log.end_sync(&sync, Ok(()));
    let held = log.room_bytes();
    assert!(held >= 900, "{held}");
    let room = log.append(commands(1_800, 2_700), 2_700, 0).expect("it works");
    assert_eq!((room.len(), room.capacity(), log.room_bytes()), (0, held, 0));
    let sync = log.begin_sync().expect("there is something to sync");
    log.append(commands(2_700, 2_701), 2_701, 0).expect("it works");
    log.end_sync(&sync, Ok(()));
    assert!(log.room_bytes() > 0);
    for n in 2_701..3_001 {
        log.append(commands(n, n + 1), n + 1, 0).expect("it works");
    }
    assert_eq!(log.room_bytes(), 0, "what is much too large is given up");
    let sync = log.begin_sync().expect("there is something to sync");
    log.end_sync(&sync, Ok(()));
    assert_eq!((log.room_bytes(), log.kept_bytes()), (0, 0));
}

#[test]
fn after_a_failed_write_the_log_recovers_in_a_new_increment_and_the_old_file_is_left() {
    let disk = SimDisk::default();
    let mut bench = Bench::reopen(disk.clone(), 0, Manifest::default(), None);
    bench.log.append(commands(0, 5), 5, 0).expect("it works");
    bench.log.sync().expect("it works");
    disk.fail(1, 3);
    bench.log.append(commands(5, 9), 9, 0).expect_err("the disk fails");
    assert_eq!((bench.log.durable(), bench.log.kept_bytes() > 0), (5, true));
    bench.log.append(commands(9, 11), 11, 0).expect_err("it stays failed");
    bench.log.sync().expect_err("it is not synced again");
    bench.log.recover().expect_err("the disk fails still");
    bench.log.recover().expect("it works again");
    assert_eq!((bench.log.durable(), bench.log.kept_bytes(), bench.log.fault().is_none()), (11, 0, true));
    let (end, manifest, _) = read(&disk).expect("it is good");
    assert_eq!(end, 11);
    assert_eq!((manifest.increments.len(), manifest.increments[0].len.is_some()), (2, true));
    bench.log.append(commands(11, 12), 12, 0).expect("it goes on");
    assert_eq!(read(&disk).expect("good").0, 12);
}
