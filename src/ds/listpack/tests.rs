//! Listpacks against a vector of strings, against the format, and against rubbish.

use super::*;
use crate::base::rng::steps;

struct Rng(u64);

impl Rng {
    /// xorshift64*: repeatable, and nothing else is asked of it.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }

    fn element(&mut self) -> Vec<u8> {
        const EDGES: [i64; 12] =
            [0, 127, 128, 4095, 4096, 32_767, 32_768, 8_388_607, 8_388_608, 1 << 31, i64::MAX, i64::MIN];
        match self.below(8) {
            0 => (self.below(300) as i64 - 150).to_string().into_bytes(),
            1 | 2 => {
                let edge = EDGES[self.below(EDGES.len())];
                let near = if self.below(2) == 0 { edge } else { edge.wrapping_neg().wrapping_sub(1) };
                near.to_string().into_bytes()
            }
            3 => vec![b'a'; [0, 62, 63, 64, 65, 125, 126, 127, 128][self.below(9)]],
            4 if self.below(20) == 0 => {
                vec![b'L'; [4095, 4096, 16_377, 16_378, 16_379][self.below(5)]]
            }
            _ => (0..self.below(20)).map(|_| b'0' + self.below(40) as u8).collect(),
        }
    }
}

fn check(pack: &[u8], model: &[Vec<u8>]) {
    assert_eq!(validate(pack), Ok(()));
    assert_eq!(count(pack), model.len());
    let texts: Vec<_> = iter(pack).map(|(_, value)| value.to_vec()).collect();
    assert_eq!(texts, model);
    let backward: Vec<_> = iter_rev(pack).map(|(_, value)| value.to_vec()).collect();
    assert!(backward.iter().eq(model.iter().rev()));
    assert_eq!(from_values(model.iter().map(Value::from)), pack);
}

fn step(rng: &mut Rng, pack: &mut Vec<u8>, model: &mut Vec<Vec<u8>>) {
    let element = rng.element();
    let index = rng.below(model.len() + 1);
    let offset = seek(pack, index as i64);
    assert_eq!(offset.is_some(), index < model.len());
    match rng.below(9) {
        0 => (push_back(pack, &element), model.push(element)).1,
        1 => (push_front(pack, &element), model.insert(0, element)).1,
        2 => (insert(pack, offset.unwrap_or(pack.len()), &element), model.insert(index, element)).1,
        3 => {
            let number = rng.below(100_000) as i64 - 50_000;
            push_back_int(pack, number);
            model.push(number.to_string().into_bytes());
        }
        4 => {
            let many: Vec<_> = (0..rng.below(6)).map(|_| rng.element()).collect();
            let values: Vec<_> = many.iter().map(Value::from).collect();
            insert_all(pack, offset.unwrap_or(pack.len()), &values);
            model.splice(index..index, many);
        }
        5 => {
            assert_eq!(offset.is_some_and(|offset| replace(pack, offset, &element)), index < model.len());
            if let Some(old) = model.get_mut(index) {
                *old = element;
            }
        }
        6 => {
            let wanted = rng.below(5);
            let removed = offset.map_or(0, |offset| remove_range(pack, offset, wanted));
            assert_eq!(removed, model.drain(index..(index + wanted).min(model.len())).count());
        }
        7 => assert_eq!(pop_back(pack), model.pop()),
        _ => assert_eq!(pop_front(pack), (!model.is_empty()).then(|| model.remove(0))),
    }
}

#[test]
fn behaves_as_a_vector_of_strings() {
    for seed in 1..=steps(4_000) as u64 {
        println!("seed {seed}");
        let mut rng = Rng(seed);
        let (mut pack, mut model) = (EMPTY.to_vec(), Vec::new());
        for nth in 0..250 {
            step(&mut rng, &mut pack, &mut model);
            if nth % 50 != seed % 50 && seed > 12 {
                continue;
            }
            check(&pack, &model);
            let needle = model.get(rng.below(model.len() + 1)).cloned().unwrap_or_else(|| rng.element());
            let found = find(&pack, &needle, HEADER_BYTES, 1);
            let expected = model.iter().position(|text| *text == needle);
            assert_eq!(found, expected.and_then(|index| seek(&pack, index as i64)));
            assert_eq!(from_wire(&to_wire(&pack)).as_ref(), Ok(&pack));
        }
    }
}

#[test]
fn seeks_from_both_ends_and_refuses_what_is_outside() {
    let model: Vec<_> = (0..100).map(|n| n.to_string().into_bytes()).collect();
    let pack = from_values(model.iter().map(Value::from));
    for index in 0..100_i64 {
        assert_eq!(get(&pack, index), Some(Value::Int(index)));
        assert_eq!(get(&pack, index - 100), Some(Value::Int(index)));
    }
    for index in [100, -101, i64::MAX, i64::MIN] {
        assert_eq!(get(&pack, index), None);
    }
    assert_eq!((get(&EMPTY, 0), get(&EMPTY, -1), first(&EMPTY), last(&EMPTY)), (None, None, None, None));
    assert_eq!((count(&[]), first(&[]), last(&[7])), (0, None, None));
    let second = next(&pack, HEADER_BYTES);
    assert_eq!(second.and_then(|offset| prev(&pack, offset)), first(&pack));
    assert_eq!(last(&pack).and_then(|offset| next(&pack, offset)), None);
}

#[test]
fn find_looks_at_fields_only() {
    let pack = from_values([b"a".into(), b"b".into(), b"b".into(), Value::Int(5), Value::Int(5), b"x".into()]);
    assert_eq!(find(&pack, b"b", HEADER_BYTES, 2), seek(&pack, 2));
    assert_eq!(find(&pack, b"5", HEADER_BYTES, 2), seek(&pack, 4));
    assert_eq!(find(&pack, b"x", HEADER_BYTES, 2), None);
    assert_eq!(find(&pack, b"x", seek(&pack, 1).unwrap(), 2), seek(&pack, 5));
}

#[test]
fn a_count_beyond_the_header_is_walked() {
    let mut pack = from_values((0..65_534).map(Value::Int));
    assert_eq!((&pack[..2], count(&pack)), (&[0xFE, 0xFF][..], 65_534));
    push_back(&mut pack, b"x");
    assert_eq!((&pack[..2], count(&pack)), (&[0xFF, 0xFF][..], 65_535));
    push_back(&mut pack, b"y");
    assert_eq!(count(&pack), 65_536);
    assert_eq!(get(&pack, 65_535), Some(Value::Str(b"y")));
    assert_eq!(get(&pack, -65_536), Some(Value::Int(0)));
    assert_eq!((get(&pack, 65_536), get(&pack, -65_537)), (None, None));
    assert_eq!(remove_range(&mut pack, HEADER_BYTES, 10), 10);
    assert_eq!(count(&pack), 65_526);
    let back = from_wire(&to_wire(&pack)).expect("it is whole");
    assert_eq!((&back[..2], count(&back)), (&65_526_u16.to_le_bytes()[..], 65_526));
}

/// Bytes that Redis 7 writes for RPUSH k 1 -1 abc 4096 "" 123456789012.
#[test]
fn the_wire_form_is_that_of_redis() {
    let mut pack = Vec::new();
    for text in ["1", "-1", "abc", "4096", "", "123456789012"] {
        push_back(&mut pack, text.as_bytes());
    }
    let wire = b"\x21\0\0\0\x06\0\x01\x01\xdf\xff\x02\x83abc\x04\xf1\x00\x10\x03\x80\x01\xf4\x14\x1a\x99\xbe\x1c\0\0\0\x09\xff";
    assert_eq!(to_wire(&pack), wire);
    assert_eq!(from_wire(wire), Ok(pack));
}

#[test]
fn a_foreign_wire_form_becomes_canonical() {
    // The text "12" as a string, and 5 in 16 bits.
    let wire = [17, 0, 0, 0, 0xFF, 0xFF, 0x82, b'1', b'2', 3, 0xF1, 5, 0, 3, 7, 1, 0xFF];
    assert_eq!(from_wire(&wire), Ok(from_values([12, 5, 7].map(Value::Int))));
}

#[test]
fn every_flipped_byte_is_refused_or_still_whole() {
    let texts = ["a", "12", "-70000", "field", "99999999999", "0.5"];
    let mut pack = from_values(texts.iter().map(|text| Value::Str(text.as_bytes())));
    push_back(&mut pack, &vec![b'z'; 200]);
    let wire = to_wire(&pack);
    for at in 0..wire.len() {
        for flip in [1, 2, 3, 4, 7, 8, 16, 32, 64, 0x7F, 128, 0xC0, 0xFE, 0xFF] {
            let mut broken = wire.clone();
            broken[at] ^= flip;
            fuzz_listpack(&broken);
            fuzz_listpack(&broken[4..]);
        }
        assert!(from_wire(&wire[..at]).is_err());
        fuzz_listpack(&wire[at..]);
    }
}

#[test]
fn random_rubbish_never_panics() {
    let mut rng = Rng(99);
    for _ in 0..5_000 {
        let mut data: Vec<u8> = (0..rng.below(60)).map(|_| rng.below(256) as u8).collect();
        fuzz_listpack(&data);
        // With a header that fits, the entries are reached.
        let total = (data.len() + 7) as u32;
        data.splice(0..0, total.to_le_bytes().into_iter().chain([0xFF, 0xFF]));
        data.push(0xFF);
        fuzz_listpack(&data);
    }
}
