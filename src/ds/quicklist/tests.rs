//! Quicklists against a deque of strings, under every way to fill and compress.

use super::*;
use crate::base::rng::steps;
use std::collections::VecDeque;

type Model = VecDeque<Vec<u8>>;

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
        match self.below(40) {
            0..=9 => (self.below(20) as i64 - 10).to_string().into_bytes(),
            10..=12 => (i64::MIN >> self.below(64)).to_string().into_bytes(),
            13..=14 => vec![b'm'; self.below(700)],
            15 if self.below(4) == 0 => vec![b'L'; 4000 + self.below(9000)],
            16 => Vec::new(),
            17..=20 => (0..100).map(|_| self.below(256) as u8).collect(),
            _ => format!("element:{:04}", self.below(50)).into_bytes(),
        }
    }
}

fn fill(list_max: i32, compress_depth: u32) -> Fill {
    Fill { list_max, compress_depth, packed_threshold: 0 }
}

fn contents(mut walk: Walk<'_>) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(value) = walk.next_value() {
        out.push(value.to_vec());
    }
    out
}

fn check(list: &QuickList, model: &Model) {
    list.check();
    assert_eq!(list.len(), model.len());
    assert_eq!(*model, contents(list.range(0, usize::MAX)));
    let front = list.front().map(Value::to_vec);
    let back = list.back().map(Value::to_vec);
    assert_eq!((front.as_ref(), back.as_ref()), (model.front(), model.back()));
}

/// All that can be asked and changes nothing.
fn ask(rng: &mut Rng, list: &QuickList, model: &Model) {
    let start = rng.below(model.len() + 2);
    let limit = rng.below(model.len() + 3);
    let expected: Vec<_> = model.iter().skip(start).take(limit).cloned().collect();
    assert_eq!(contents(list.range(start, limit)), expected);
    let expected: Vec<_> = match start < model.len() {
        true => model.iter().take(start + 1).rev().take(limit).cloned().collect(),
        false => Vec::new(),
    };
    assert_eq!(contents(list.range_rev(start, limit)), expected);
    assert_eq!(list.get(start as i64, |v| v.to_vec()), model.get(start).cloned());
    let from_end = model.len().checked_sub(start + 1).map(|index| model[index].clone());
    assert_eq!(list.get(-1 - start as i64, |v| v.to_vec()), from_end);
    let needle = rng.element();
    let hit = |(index, text): (usize, &Vec<u8>)| (*text == needle).then_some(index);
    let all: Vec<_> = model.iter().enumerate().take(limit).filter_map(hit).collect();
    assert_eq!(list.positions(&needle, false, limit).collect::<Vec<_>>(), all);
    let all: Vec<_> = model.iter().enumerate().rev().take(limit).filter_map(hit).collect();
    assert_eq!(list.positions(&needle, true, limit).collect::<Vec<_>>(), all);
}

fn model_remove(model: &mut Model, count: i64, element: &[u8]) -> usize {
    let equal: Vec<_> = (0..model.len()).filter(|index| model[*index] == element).collect();
    let limit = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let removed = equal.len().min(limit);
    let chosen = if count < 0 { &equal[equal.len() - removed..] } else { &equal[..removed] };
    chosen.iter().rev().for_each(|index| drop(model.remove(*index)));
    removed
}

fn model_trim(model: &mut Model, start: i64, stop: i64) -> usize {
    let len = model.len() as i64;
    let start = if start < 0 { (start + len).max(0) } else { start };
    let stop = if stop < 0 { stop + len } else { stop }.min(len - 1);
    let kept: Model = (start..=stop).filter_map(|index| model.get(index as usize).cloned()).collect();
    let removed = model.len() - kept.len();
    *model = kept;
    removed
}

fn change_ends(rng: &mut Rng, list: &mut QuickList, model: &mut Model) {
    let times = [1, 1, 3, 40][rng.below(4)];
    let kind = rng.below(7);
    for _ in 0..times {
        match kind {
            0 | 1 => {
                model.push_back(rng.element());
                list.push_back(&model[model.len() - 1]);
            }
            2 | 3 => {
                model.push_front(rng.element());
                list.push_front(&model[0]);
            }
            4 => assert_eq!(list.pop_front(), model.pop_front()),
            5 => assert_eq!(list.pop_back(), model.pop_back()),
            _ if rng.below(2) == 0 => {
                assert_eq!(list.drop_front(), model.pop_front().is_some());
            }
            _ => assert_eq!(list.drop_back(), model.pop_back().is_some()),
        }
    }
}

fn change_middle(rng: &mut Rng, list: &mut QuickList, model: &mut Model) {
    let element = rng.element();
    let index = rng.below(model.len() + 2);
    match rng.below(8) {
        0 | 1 => {
            let signed = if rng.below(2) == 0 { index as i64 } else { -(index as i64) };
            let place = if signed < 0 { model.len().wrapping_sub(index) } else { index };
            assert_eq!(list.set(signed, &element), place < model.len());
            if let Some(old) = model.get_mut(place) {
                *old = element;
            }
        }
        2 | 3 => {
            assert_eq!(list.insert(index, &element), index <= model.len());
            if index <= model.len() {
                model.insert(index, element);
            }
        }
        4 | 5 => {
            let pivot = rng.element();
            let behind = rng.below(2);
            let done = match behind {
                0 => list.insert_before(&pivot, &element),
                _ => list.insert_after(&pivot, &element),
            };
            match model.iter().position(|text| *text == pivot) {
                Some(found) => {
                    model.insert(found + behind, element);
                    assert_eq!(done, Inserted::Length(model.len()));
                }
                None => assert_eq!(done, Inserted::NoPivot),
            }
        }
        6 => {
            let count = rng.below(7) as i64 - 3;
            assert_eq!(list.remove(count, &element), model_remove(model, count, &element));
        }
        _ => {
            let many = [1, 2, 10, 100][rng.below(4)];
            let end = (index + many).min(model.len());
            let removed = model.drain(index.min(end)..end).count();
            assert_eq!(list.remove_range(index, many), removed);
        }
    }
}

fn run(seed: u64, fill: Fill, steps: usize) {
    println!("seed {seed} {fill:?}");
    let mut rng = Rng(seed);
    let (mut list, mut model) = (QuickList::new(fill), Model::new());
    for step in 0..steps {
        match rng.below(5) {
            0 | 1 => change_ends(&mut rng, &mut list, &mut model),
            2 | 3 => change_middle(&mut rng, &mut list, &mut model),
            _ => ask(&mut rng, &list, &model),
        }
        if rng.below(60) == 0 {
            let (start, stop) = (rng.below(30) as i64 - 10, -1 - rng.below(30) as i64);
            assert_eq!(list.trim(start, stop), model_trim(&mut model, start, stop));
        }
        if step % if steps > 500 { 200 } else { 4 } == 0 {
            check(&list, &model);
            check_compression(&list, fill);
        }
    }
    check(&list, &model);
    while list.drop_front() {}
    check(&list, &Model::new());
}

/// The nodes at the ends are open, those between are compressed unless it would not help.
fn check_compression(list: &QuickList, fill: Fill) {
    let depth = fill.compress_depth as usize;
    let nodes = list.node_count();
    for (index, node) in list.nodes().enumerate() {
        let inner = depth > 0 && index >= depth && index + depth < nodes;
        assert!(inner || !node.is_compressed(), "node {index} of {nodes}");
        if inner && !node.is_compressed() {
            let wire = node.wire();
            let raw = if node.is_plain() { &wire[..] } else { &wire[6..wire.len() - 1] };
            let saved = lzf::compress(raw).map_or(0, |bytes| raw.len().saturating_sub(bytes.len()));
            assert!(raw.len() < 48 || saved < 8, "node {index} of {nodes} is not compressed");
        }
    }
}

#[test]
fn behaves_as_a_deque_under_each_fill() {
    for (seed, list_max) in (1..).zip([-2, -1, -5, 1, 2, 5, 128, 0, -9]) {
        run(seed, fill(list_max, 0), 500);
        run(seed + 100, fill(list_max, 0), steps(90_000));
    }
}

#[test]
fn behaves_as_a_deque_when_compressed() {
    for depth in 1..=3 {
        run(20 + u64::from(depth), fill(-1, depth), 150);
        run(30 + u64::from(depth), fill(4, depth), steps(20_000));
    }
}

#[test]
fn behaves_as_a_deque_with_plain_nodes_and_a_changing_fill() {
    run(40, Fill { packed_threshold: 5, ..fill(-2, 0) }, 200);
    run(41, Fill { packed_threshold: 11, ..fill(3, 1) }, 150);
    let mut rng = Rng(42);
    let (mut list, mut model) = (QuickList::new(Fill::default()), Model::new());
    for _ in 0..200 {
        let packed_threshold = [0, 0, 1, 60][rng.below(4)];
        let fill = fill([-2, -1, 1, 7][rng.below(4)], [0, 0, 1, 3][rng.below(4)]);
        list.set_fill(Fill { packed_threshold, ..fill });
        assert_eq!(list.fill().list_max, fill.list_max);
        change_ends(&mut rng, &mut list, &mut model);
        change_middle(&mut rng, &mut list, &mut model);
        ask(&mut rng, &list, &model);
        check(&list, &model);
    }
}

#[test]
fn a_long_list_is_found_and_cut_across_blocks() {
    let mut list = QuickList::new(fill(3, 0));
    let number = |n: usize| n.to_string().into_bytes();
    (0..5_000).for_each(|n| list.push_back(&number(n)));
    (1..=1_000).for_each(|n| list.push_front(format!("f{n}").as_bytes()));
    assert_eq!((list.len(), list.node_count()), (6_000, 1_667 + 334));
    list.check();
    for n in (0..5_000).step_by(37) {
        assert_eq!(list.get(1_000 + n, |v| v.to_i64()), Some(Some(n)));
        assert_eq!(list.get(n - 5_000, |v| v.to_i64()), Some(Some(n)));
    }
    // Inner inserts split blocks, a wide cut takes whole ones and those beside it join.
    (0..600).for_each(|n| assert!(list.insert(3_000, format!("i{n}").as_bytes())));
    list.check();
    assert_eq!(list.get(3_000, |v| v.to_vec()), Some(b"i599".to_vec()));
    assert_eq!(list.remove_range(1_500, 4_500), 4_500);
    list.check();
    assert_eq!(list.get(1_499, |v| v.to_i64()), Some(Some(499)));
    assert_eq!(list.get(1_500, |v| v.to_i64()), Some(Some(4_400)));
    assert_eq!(list.trim(5, 4), 2_100);
    assert!(list.is_empty() && list.node_count() == 0 && list.front().is_none());
}

#[test]
fn nodes_are_as_full_as_the_fill_says() {
    let filled = |fill: Fill, len: usize, front: bool| {
        let mut list = QuickList::new(fill);
        for n in 0..2_000 {
            let element = format!("{n:0len$}x");
            if front { list.push_front(element.as_bytes()) } else { list.push_back(element.as_bytes()) }
        }
        list.check();
        list.node_count()
    };
    for front in [false, true] {
        // Entries of 22 bytes: (8192 - 7) / 22 = 372 a node.
        assert_eq!(filled(fill(-2, 0), 19, front), 2_000_usize.div_ceil(372));
        assert_eq!(filled(fill(-5, 0), 19, front), 1);
        assert_eq!(filled(fill(100, 0), 19, front), 20);
        assert_eq!(filled(fill(0, 0), 19, front), 2_000);
        // 1,004 bytes an entry: 8 KiB end before 100 elements do.
        assert_eq!(filled(fill(100, 0), 999, front), 250);
        assert_eq!(filled(fill(-2, 0), 9_999, front), 2_000);
    }
}

#[test]
fn memory_is_that_of_the_entries() {
    for (fill, front) in [(fill(-2, 0), false), (fill(-2, 0), true), (fill(128, 0), true), (fill(-1, 0), false)] {
        let mut list = QuickList::new(fill);
        for n in 0..50_000 {
            let element = format!("{n:019}x");
            if front { list.push_front(element.as_bytes()) } else { list.push_back(element.as_bytes()) }
        }
        let bytes = list.alloc_bytes() as f64 / 50_000.0;
        assert!(bytes < 22.6, "{bytes} bytes an element with {fill:?}");
    }
}

#[test]
fn deletions_do_not_leave_crumbs() {
    let mut list = QuickList::new(Fill::default());
    for n in 0..40_000 {
        list.push_back(if n % 100 == 0 { b"keep this one here!!" } else { b"and drop this one..." });
    }
    assert_eq!(list.remove(0, b"and drop this one..."), 39_600);
    assert!(list.node_count() <= 3, "{} nodes for 400 elements", list.node_count());
    list.check();
    // One by one, from all over the place.
    (0..40_000).for_each(|n| list.push_back(format!("{n:020}").as_bytes()));
    let mut rng = Rng(3);
    while list.len() > 400 {
        let index = rng.below(list.len());
        list.remove_range(index, 1);
    }
    assert!(list.node_count() <= 6, "{} nodes for 400 elements", list.node_count());
    list.check();
}

#[test]
fn a_queue_of_few_elements_stays_small() {
    for front in [false, true] {
        let mut list = QuickList::new(Fill::default());
        for n in 0..20_000 {
            let element = format!("job:{n:016}");
            if front {
                list.push_front(element.as_bytes())
            } else {
                list.push_back(element.as_bytes())
            }
            if n >= 10 {
                assert!(if front { list.drop_back() } else { list.drop_front() });
            }
        }
        list.check();
        assert!(list.alloc_bytes() < 12_000, "{}", list.alloc_bytes());
    }
}

#[test]
fn packed_lists_come_in_and_go_out() {
    let model: Model = (0..50).map(|n| format!("element {n}").into_bytes()).collect();
    let pack = listpack::from_values(model.iter().map(Value::from));
    for list_max in [-2, 7, 1] {
        let list = QuickList::from_packed(&pack, fill(list_max, 1));
        check(&list, &model);
        assert_eq!(list.to_packed(8192, 50).as_ref(), Some(&pack));
        assert_eq!(list.to_packed(8192, 49), None);
        assert_eq!(list.to_packed(pack.len() + 5, 50).as_ref(), Some(&pack));
        assert_eq!(list.to_packed(pack.len() + 4, 50), None);
    }
    let mut list = QuickList::new(fill(-2, 0));
    list.push_back_node(pack.clone());
    list.push_back_node(listpack::EMPTY.to_vec());
    list.push_back_plain(b"plain".to_vec());
    list.push_front(b"");
    list.check();
    assert_eq!((list.len(), list.node_count()), (52, 2));
    assert_eq!(list.to_packed(8192, 100), None);
    let nodes: Vec<_> = list.nodes().map(|node| (node.is_plain(), node.count())).collect();
    assert_eq!(nodes, [(false, 51), (true, 1)]);
    let wires: Vec<_> = list.nodes().map(NodeView::wire).collect();
    assert_eq!(listpack::from_wire(&wires[0]).map(|pack| listpack::count(&pack)), Ok(51));
    assert_eq!(*wires[1], *b"plain");
    let facts = list.facts();
    assert_eq!((facts.nodes, facts.average_count, facts.compressed_nodes), (2, 26.0, 0));
    assert_eq!(facts.uncompressed_bytes, wires[0].len() + wires[1].len());
}
