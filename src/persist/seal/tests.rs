use super::*;
use crate::base::rng::Rng;
use crate::persist::sim::SimDisk;
use crate::persist::storage::{Replacement, Storage};
use crate::persist::vault::Vault;
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

const NAME: &str = "file";
const KINDS: [FileKind; 4] = [FileKind::Snapshot, FileKind::Log, FileKind::Manifest, FileKind::Users];

fn ring(key: u8, previous: Option<u8>) -> Keyring {
    Keyring::new(Key::new([key; 32]), previous.map(|key| Key::new([key; 32])), b"1234567890")
}

fn door(disk: &SimDisk, keys: Keyring) -> Vault {
    Vault::with_keys(Arc::new(disk.clone()), keys, true)
}

/// Pieces of up to `most` bytes.
fn pieces(rng: &mut Rng, count: u64, most: u64) -> Vec<Vec<u8>> {
    let mut piece = |_| (0..rng.below(most) + 1).map(|_| rng.next_u64() as u8).collect();
    (0..count).map(&mut piece).collect()
}

fn written(kind: FileKind, pieces: &[Vec<u8>]) -> Vec<u8> {
    let disk = SimDisk::default();
    let mut file = door(&disk, ring(1, None)).create(Path::new(NAME), kind).expect("the disk is well");
    pieces.iter().try_for_each(|piece| file.append(piece)).expect("the disk is well");
    if kind == FileKind::Snapshot {
        file.finish().expect("the disk is well");
    }
    file.sync().expect("the disk is well");
    disk.bytes(Path::new(NAME)).expect("it was made")
}

fn read(bytes: &[u8], keys: Keyring, kind: FileKind) -> (Vec<u8>, io::Result<()>) {
    let disk = SimDisk::default();
    disk.create(Path::new(NAME)).and_then(|mut file| file.append(bytes)).expect("the disk is well");
    let mut content = Vec::new();
    let file = match door(&disk, keys).open(Path::new(NAME), kind) {
        Ok(file) => file,
        Err(error) => return (content, Err(error)),
    };
    let ended = file.expect("it is there").bytes.read_to_end(&mut content);
    (content, ended.map(drop))
}

fn fault(result: &io::Result<()>) -> Option<SealFault> {
    fault_of(result.as_ref().err()?)
}

#[test]
fn what_was_sealed_comes_out_whatever_the_pieces() {
    let mut rng = Rng::seeded(1);
    for kind in KINDS {
        for (count, most) in [(0, 1), (1, 1), (5, 300), (40, 20_000), (1, 65_536), (3, 3_000_000)] {
            let given = pieces(&mut rng, count, most);
            let bytes = written(kind, &given);
            let (content, ended) = read(&bytes, ring(1, None), kind);
            assert!(ended.is_ok() && content == given.concat(), "{kind:?}, {count} pieces: {ended:?}");
        }
        for len in [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES] {
            let given = vec![vec![7; len]];
            assert!(read(&written(kind, &given), ring(1, None), kind).0 == given[0], "{kind:?}, {len} bytes");
        }
    }
}

#[test]
fn every_flip_and_every_cut_is_found() {
    let mut rng = Rng::seeded(2);
    for kind in KINDS {
        let given = pieces(&mut rng, 6, 60);
        let bytes = written(kind, &given);
        let whole = given.concat();
        for at in 0..bytes.len() {
            for flip in [1, 0x80, 0xFF, bytes[at]] {
                let mut bad = bytes.clone();
                bad[at] ^= flip;
                if flip == 0 {
                    continue;
                }
                let (content, ended) = read(&bad, ring(1, None), kind);
                assert!(whole.starts_with(&content), "{kind:?}: a byte that nobody wrote");
                let fault = fault(&ended).unwrap_or_else(|| panic!("{kind:?}: byte {at} changed, {ended:?}"));
                assert!(!matches!(fault, SealFault::Torn { .. }), "{kind:?}: byte {at} changed, taken for a torn end");
            }
            let (content, ended) = read(&bytes[..at], ring(1, None), kind);
            assert!(at < MAGIC.len() || whole.starts_with(&content));
            match fault(&ended) {
                Some(SealFault::Torn { offset }) => {
                    assert!(kind == FileKind::Log && offset as usize <= at);
                    let (mended, ended) = read(&bytes[..offset as usize], ring(1, None), kind);
                    assert!(ended.is_ok() && mended == content, "cut at {at}, mended at {offset}");
                }
                Some(_) => assert!(kind != FileKind::Log),
                // Nothing at all is clear, and so is a log cut between its batches.
                None => assert!(at == 0 || at < MAGIC.len() || kind == FileKind::Log, "{kind:?} cut at {at}"),
            }
        }
    }
}

#[test]
fn a_log_whose_end_is_zeros_is_torn_and_one_damaged_before_it_is_not() {
    let mut rng = Rng::seeded(3);
    let bytes = written(FileKind::Log, &pieces(&mut rng, 5, 5_000));
    for _ in 0..500 {
        let from = HEADER_BYTES + rng.below((bytes.len() - HEADER_BYTES) as u64) as usize;
        let mut zeroed = bytes.clone();
        zeroed[from..].fill(0);
        zeroed.extend(vec![0; 512 + rng.below(9_000) as usize]);
        let (_, ended) = read(&zeroed, ring(1, None), FileKind::Log);
        assert!(matches!(fault(&ended), Some(SealFault::Torn { offset }) if offset as usize <= from), "{ended:?}");
        // A page that was never written, and others behind it that were.
        let mut hole = bytes.clone();
        hole.extend_from_slice(&bytes[HEADER_BYTES..]);
        let page = 4096 * (1 + rng.below(bytes.len() as u64 / 4096) as usize);
        hole[page..page + 4096].fill(0);
        let (_, ended) = read(&hole, ring(1, None), FileKind::Log);
        assert!(matches!(fault(&ended), Some(SealFault::Torn { offset }) if offset as usize <= page), "{ended:?}");
        // Zeros in the middle of a page were not left by a cut of the power.
        let mut damaged = bytes.clone();
        damaged[5_000..5_100].fill(0);
        let (_, ended) = read(&damaged, ring(1, None), FileKind::Log);
        assert!(matches!(fault(&ended), Some(SealFault::Damaged { .. })), "{ended:?}");
    }
}

#[test]
fn records_cant_be_swapped_repeated_left_out_or_moved() {
    let pieces: Vec<Vec<u8>> = (0..3).map(|n| vec![n; 100]).collect();
    let (log, other) = (written(FileKind::Log, &pieces), written(FileKind::Log, &pieces));
    let record = |file: &[u8], n: usize| file[HEADER_BYTES + n * 128..HEADER_BYTES + (n + 1) * 128].to_vec();
    let with = |order: &[(&[u8], usize)]| {
        let records: Vec<u8> = order.iter().flat_map(|(file, n)| record(file, *n)).collect();
        [&log[..HEADER_BYTES], &records].concat()
    };
    let log_of = |n: usize| (log.as_slice(), n);
    assert!(read(&with(&[log_of(0), log_of(1), log_of(2)]), ring(1, None), FileKind::Log).1.is_ok());
    let bad: [&[(&[u8], usize)]; 4] = [
        &[log_of(1), log_of(0), log_of(2)],
        &[log_of(0), log_of(0), log_of(1)],
        &[log_of(0), log_of(2)],
        &[log_of(0), (&other, 1), log_of(2)],
    ];
    for order in bad {
        let (_, ended) = read(&with(order), ring(1, None), FileKind::Log);
        assert!(matches!(fault(&ended), Some(SealFault::Damaged { .. })), "{ended:?}");
    }
}

#[test]
fn keys_and_kinds_are_told_apart() {
    let bytes = written(FileKind::Snapshot, &[b"secret".to_vec()]);
    assert!(matches!(fault(&read(&bytes, ring(2, None), FileKind::Snapshot).1), Some(SealFault::OtherKey(_))));
    assert_eq!(read(&bytes, ring(2, Some(1)), FileKind::Snapshot).0, b"secret");
    assert_eq!(fault(&read(&bytes, ring(1, None), FileKind::Users).1), Some(SealFault::OtherKind));
    // The directive `nonce` may change.
    let other_nonce = Keyring::new(Key::new([1; 32]), None, b"another");
    assert_eq!(read(&bytes, other_nonce, FileKind::Snapshot).0, b"secret");
    let disk = SimDisk::default();
    disk.create(Path::new(NAME)).and_then(|mut file| file.append(&bytes)).expect("the disk is well");
    let keyless = Vault::new(Arc::new(disk.clone())).open(Path::new(NAME), FileKind::Snapshot);
    assert_eq!(keyless.err().as_ref().and_then(fault_of), Some(SealFault::NoKey));
}

/// Salts are what tells files' keys apart, numbers what tells records' nonces apart.
#[test]
fn no_nonce_comes_twice() {
    let mut rng = Rng::seeded(4);
    let (mut salts, mut blocks) = (HashSet::new(), HashSet::new());
    for restart in 0..60_u8 {
        let keys = ring(1 + restart % 3, Some(3));
        let disk = SimDisk::default();
        let vault = door(&disk, keys);
        for kind in KINDS {
            let mut file = Replacement::begin(&vault, kind, Path::new(NAME), "temp").expect("the disk is well");
            for _ in 0..rng.below(5) + 1 {
                // The same content again and again.
                file.file().append(&[5; 4096]).expect("the disk is well");
            }
            file.file().sync().expect("the disk is well");
            file.commit().expect("the disk is well");
            let bytes = disk.bytes(Path::new(NAME)).expect("it was written");
            assert!(salts.insert(bytes[SALT_AT..SUM_AT].to_vec()), "a salt came twice");
            for block in bytes[HEADER_BYTES..].chunks_exact(16) {
                assert!(blocks.insert(block.to_vec()), "equal content was sealed to equal bytes");
            }
        }
    }
}

#[test]
fn a_failed_write_ends_a_sealed_file_for_good() {
    let disk = SimDisk::default();
    let mut file = door(&disk, ring(1, None)).create(Path::new(NAME), FileKind::Log).expect("the disk is well");
    file.append(b"one").expect("the disk is well");
    disk.fail(1, 2);
    assert!(file.append(b"two").is_err());
    assert!(file.append(b"three").is_err(), "nobody knows where the file ends");
    let (content, ended) = read(&disk.bytes(Path::new(NAME)).expect("it is there"), ring(1, None), FileKind::Log);
    assert_eq!(content, b"one");
    assert!(matches!(fault(&ended), Some(SealFault::Torn { .. })), "{ended:?}");
}

#[test]
fn keys_are_32_bytes_or_64_digits() {
    let digits = "00ff".repeat(16);
    let bytes: Vec<u8> = [0x00, 0xFF].repeat(16);
    let named = Key::parse(&bytes).expect("32 bytes").name();
    assert_eq!(Key::parse(format!(" {digits}\n").as_bytes()).expect("64 digits").name(), named);
    assert_eq!(Key::parse(digits.to_uppercase().as_bytes()).expect("64 digits").name(), named);
    for bad in [b"".to_vec(), vec![1; 31], vec![1; 33], vec![b'g'; 64], vec![b'1'; 63], vec![b'1'; 65]] {
        assert!(Key::parse(&bad).is_none());
    }
}
