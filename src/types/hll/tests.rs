//! Against naive registers, and what Redis 7.0.15 has for the same elements.

use super::*;
use crate::base::rng::Rng;
use crate::types::Str;
use crate::types::testing::{Held, limits, steps};

fn bytes_of(held: &Held<Str>) -> Vec<u8> {
    held.view().bytes(&mut Scratch::default()).to_vec()
}

fn held() -> Held<Str> {
    let mut held = Held::<Str>::new(limits(0));
    held.edit(|string| string.set_raw(&EMPTY));
    held
}

#[test]
fn elements_raise_the_registers_that_a_naive_count_raises() {
    for seed in 0..24 {
        println!("seed {seed}");
        let mut rng = Rng::seeded(seed);
        let (mut held, mut model) = (held(), Registers::default());
        let max = [3000, 0, 17, 100, 3000, 20_000][seed as usize % 6];
        let names = [50, 3000, 1 << 40][seed as usize % 3];
        for step in 0..steps(42_000) {
            let element = rng.below(names).to_string();
            let (index, rank) = place(element.as_bytes());
            let rises = rank > model.0[index];
            model.add(element.as_bytes());
            let rose = held.edit(|string| add(string, element.as_bytes(), max));
            assert_eq!(rose, Ok(rises), "step {step}");
            if step % 970 == 0 {
                check(&held, &model, max);
            }
        }
        check(&held, &model, max);
    }
}

fn check(held: &Held<Str>, model: &Registers, max: usize) {
    let bytes = bytes_of(held);
    let hll = Hll::of(&bytes).expect("it is one");
    let mut registers = Registers::default();
    hll.merge_into(&mut registers).expect("its runs fit");
    assert!(registers.0 == model.0);
    assert_eq!(hll.estimate(), Ok(model.estimate()));
    assert!(hll.encoding() == Encoding::Dense || bytes.len() <= max.max(EMPTY.len()));
}

#[test]
fn runs_passed_eight_at_a_time_are_found_as_one_by_one() {
    for seed in 0..200 {
        let mut rng = Rng::seeded(seed);
        // Any bytes are runs of something.
        let body: Vec<u8> =
            (0..rng.below(400)).map(|_| rng.next_u64() as u8 & [0xff, 0xbf, 0x8f][seed as usize % 3]).collect();
        for _ in 0..50 {
            let index = rng.below(REGISTERS as u64) as usize;
            let (rank, max) = (1 + rng.below(32) as u8, 20_000);
            let change = sparse::raise(&body, index, rank, max);
            let mut ranks: Vec<u8> = naive(&body);
            if index >= ranks.len() {
                assert_eq!(change, Err(Corrupt), "seed {seed}");
                continue;
            }
            let raised = ranks[index] < rank;
            ranks[index] = ranks[index].max(rank);
            match change.expect("the register is there") {
                Change::None => assert!(!raised, "seed {seed}"),
                Change::TooLong => unreachable!("there is room"),
                Change::Splice { at, remove_len, insert } => {
                    assert!(raised, "seed {seed}");
                    let mut after = body.clone();
                    after.splice(at..at + remove_len, insert.bytes().iter().copied());
                    assert!(naive(&after) == ranks, "seed {seed}, register {index}");
                }
            }
        }
    }
}

/// The ranks that runs say, written anew from the drawing of their bytes.
fn naive(body: &[u8]) -> Vec<u8> {
    let (mut ranks, mut at) = (Vec::new(), 0);
    while at < body.len() {
        let byte = body[at];
        let (rank, len) = match byte {
            0x00..=0x3f => (0, byte as usize + 1),
            0x40..=0x7f => {
                at += 1;
                (0, ((byte as usize & 0x3f) << 8 | *body.get(at).unwrap_or(&0) as usize) + 1)
            }
            _ => ((byte >> 2 & 31) + 1, (byte as usize & 3) + 1),
        };
        ranks.extend(std::iter::repeat_n(rank, len));
        at += 1;
    }
    ranks
}

#[test]
fn what_is_none_is_told_and_what_is_damaged_is_refused() {
    assert!(Hll::of(&EMPTY).is_some());
    let mut dense = vec![0; DENSE_BYTES];
    dense[..4].copy_from_slice(MAGIC);
    assert!(Hll::of(&dense).is_some());
    dense.push(0);
    for bytes in
        [&dense[..], b"", b"HYLL", b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0\x7f\xff", b"HXLL\x01\0\0\0\0\0\0\0\0\0\0\0\x7f\xff"]
    {
        assert!(Hll::of(bytes).is_none(), "{} bytes", bytes.len());
    }
    for body in [&b""[..], b"\x7f", b"\x7f\xff\x00", b"\x7f\xfe", b"\x7f\xff\x80", b"\xff\x7f\xff"] {
        let bytes = [&EMPTY[..HEADER_BYTES], body].concat();
        let hll = Hll::of(&bytes).expect("the header is right");
        assert_eq!(hll.estimate(), Err(Corrupt), "{body:?}");
        assert_eq!(hll.merge_into(&mut Registers::default()), Err(Corrupt), "{body:?}");
    }
}

#[test]
fn the_hash_is_that_of_the_reference() {
    // Elements whose register and rank PFDEBUG GETREG of Redis 7.0.15 showed.
    let mut held = held();
    for element in ["a", "b", "c", "d", "e", "f", "g"] {
        held.edit(|string| add(string, element.as_bytes(), 3000)).expect("it is whole");
    }
    held.edit(forget_count);
    let bytes = bytes_of(&held);
    assert_eq!(Hll::of(&bytes).expect("it is one").decode().expect("it is sparse"), A_TO_G);
}

/// What PFDEBUG DECODE of Redis 7.0.15 says after PFADD of a to g.
const A_TO_G: &str = "Z:1646 v:1,1 Z:5645 v:1,1 Z:1085 v:2,1 z:57 v:1,1 Z:4274 v:2,1 Z:2445 v:1,1 Z:622 v:1,1 Z:603";

#[test]
fn unions_are_stored_as_if_registers_were_raised_one_by_one() {
    for seed in 0..60 {
        let mut rng = Rng::seeded(seed);
        let (mut held, mut registers) = (held(), Registers::default());
        let max = [3000, 200, 20_000][seed as usize % 3];
        for _ in 0..rng.below(300) {
            held.edit(|string| add(string, &rng.below(2000).to_le_bytes(), max)).expect("it is whole");
        }
        if seed % 5 == 0 {
            held.edit(make_dense).expect("it is whole");
        }
        Hll::of(&bytes_of(&held)).expect("it is one").merge_into(&mut registers).expect("it is whole");
        (0..rng.below(400)).for_each(|_| registers.add(&rng.below(2000).to_le_bytes()));
        let mut expected = bytes_of(&held);
        let one_by_one = |bytes: &mut Vec<u8>| {
            for (index, rank) in registers.0.iter().enumerate().filter(|(_, rank)| **rank > 0) {
                match sparse::raise(&bytes[HEADER_BYTES..], index, *rank, max - HEADER_BYTES) {
                    Ok(Change::None) => {}
                    Ok(Change::Splice { at, remove_len, insert }) => {
                        let at = HEADER_BYTES + at;
                        bytes.splice(at..at + remove_len, insert.bytes().iter().copied());
                    }
                    _ => return false,
                }
            }
            true
        };
        let sparse = Hll::of(&expected).expect("it is one").encoding() == Encoding::Sparse && one_by_one(&mut expected);
        held.edit(|string| store_union(string, &registers, false, max)).expect("it is whole");
        let result = bytes_of(&held);
        check(&held, &registers, max);
        assert!(!sparse || result[HEADER_BYTES..] == expected[HEADER_BYTES..], "seed {seed}");
        assert_eq!(Hll::of(&result).expect("it is one").encoding() == Encoding::Sparse, sparse, "seed {seed}");
        assert_eq!(Hll::of(&result).expect("it is one").known_count(), None);
    }
}
