//! Each loop, as the processor runs it and in its plain form, against the same thing done bit by bit.

use super::*;
use crate::base::rng::{Rng, steps};

fn bytes(rng: &mut Rng, most: u64) -> Vec<u8> {
    let len = rng.below(most) as usize;
    match rng.below(4) {
        0 => vec![0; len],
        1 => vec![0xff; len],
        // Long runs with an odd bit somewhere.
        2 => {
            let mut bytes = vec![[0, 0xff][rng.below(2) as usize]; len];
            if len > 0 {
                bytes[rng.below(len as u64) as usize] ^= 1 << rng.below(8);
            }
            bytes
        }
        _ => (0..len).map(|_| rng.next_u64() as u8).collect(),
    }
}

fn bit(bytes: &[u8], index: u64) -> bool {
    bytes.get((index / 8) as usize).is_some_and(|byte| byte >> (7 - index % 8) & 1 == 1)
}

#[test]
fn counts_and_finds_as_bit_by_bit() {
    for seed in 0..steps(20_000) as u64 {
        let mut rng = Rng::seeded(seed);
        let bytes = bytes(&mut rng, 300);
        let len = bytes.len() as u64 * 8;
        let all = (0..len).filter(|index| bit(&bytes, *index)).count() as u64;
        assert_eq!((count_ones(&bytes), plain::count_ones(&bytes)), (all, all), "seed {seed}");
        let start = rng.below(len + 1);
        let range = start..start + rng.below(len - start + 1);
        let expected = range.clone().filter(|index| bit(&bytes, *index)).count() as u64;
        assert_eq!(count_ones_in(&bytes, range.clone()), expected, "seed {seed}, {range:?}");
        for wanted in [false, true] {
            let expected = range.clone().find(|index| bit(&bytes, *index) == wanted);
            assert_eq!(find_bit(&bytes, range.clone(), wanted), expected, "seed {seed}, {wanted} in {range:?}");
        }
    }
}

fn expected_bit(op: BitOp, first: bool, others: usize) -> bool {
    let count = usize::from(first) + others;
    match op {
        BitOp::Not => !first,
        BitOp::And => unreachable!("asked of all sources"),
        BitOp::Or => count > 0,
        BitOp::Xor => count % 2 == 1,
        BitOp::Diff => first && others == 0,
        BitOp::Diff1 => !first && others > 0,
        BitOp::AndOr => first && others > 0,
        BitOp::One => count == 1,
    }
}

#[test]
fn combines_as_bit_by_bit() {
    use BitOp::*;
    for seed in 0..steps(4_000) as u64 {
        let mut rng = Rng::seeded(seed);
        let op = [And, Or, Xor, Not, Diff, Diff1, AndOr, One][seed as usize % 8];
        let count = if op == Not { 1 } else { 2 + rng.below(4) as usize };
        let most = if seed < 16 { BLOCK_BYTES as u64 * 5 / 2 } else { 100 };
        let sources: Vec<Vec<u8>> = (0..count).map(|_| bytes(&mut rng, most)).collect();
        let sources: Vec<&[u8]> = sources.iter().map(|source| &source[..]).collect();
        let result = combine(op, &sources);
        let len = sources.iter().map(|source| source.len()).max().expect("there is a source");
        assert_eq!(result.len(), len, "seed {seed}");
        for index in 0..len as u64 * 8 {
            let others = sources[1..].iter().filter(|source| bit(source, index)).count();
            let first = bit(sources[0], index);
            let expected = if op == And { first && others == count - 1 } else { expected_bit(op, first, others) };
            assert_eq!(bit(&result, index), expected, "seed {seed}, {op:?} at {index}");
        }
        let mut plainly = Vec::new();
        plain::combine_into(op, &sources, len, &mut plainly);
        assert!(plainly == result, "seed {seed}, {op:?}");
    }
}

#[test]
fn registers_are_packed_and_unpacked_alike() {
    for seed in 0..300 {
        let mut rng = Rng::seeded(seed);
        let count = [4, 32, 36, 128, 16384][seed as usize % 5];
        let values: Vec<u8> = (0..count).map(|_| rng.below(64) as u8).collect();
        let mut packed = vec![0xaa; count / 4 * 3];
        pack_registers(&values, &mut packed);
        let mut plainly = vec![0x55; packed.len()];
        plain::pack_registers(&values, &mut plainly);
        assert!(packed == plainly, "seed {seed}");
        for (index, value) in values.iter().enumerate() {
            let bit = index * 6;
            let word = u16::from(packed[bit / 8]) | u16::from(*packed.get(bit / 8 + 1).unwrap_or(&0)) << 8;
            assert_eq!((word >> (bit % 8)) as u8 & 0x3f, *value, "seed {seed}, register {index}");
        }
        let floor: Vec<u8> = (0..count).map(|_| rng.below(64) as u8).collect();
        let (mut raised, mut plainly) = (floor.clone(), floor.clone());
        raise_registers(&packed, &mut raised);
        plain::raise_registers(&packed, &mut plainly);
        assert!(raised == plainly, "seed {seed}");
        assert!((0..count).all(|index| raised[index] == floor[index].max(values[index])), "seed {seed}");
    }
}

#[test]
fn registers_are_counted() {
    for seed in 0..100 {
        let mut rng = Rng::seeded(seed);
        let spread = 1 + rng.below(52);
        let values: Vec<u8> = (0..rng.below(20_000)).map(|_| rng.below(spread) as u8).collect();
        let mut expected = [0; 64];
        values.iter().for_each(|value| expected[*value as usize] += 1);
        assert_eq!(count_registers(&values), expected, "seed {seed}");
        assert_eq!(plain::count_registers(&values), expected, "seed {seed}");
    }
}
