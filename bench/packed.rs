//! Packed structures, timed: list ends, list middle, range, listpack and intset search; bytes an element.
//!
//! `cargo bench --bench packed [-- ends middle range small]` (add `--profile quick` for a build in seconds). Numbers are the best of several runs: what
//! the code costs when nothing else runs.

use redstart::ds::listpack::Value;
use redstart::ds::quicklist::{Fill, QuickList};
use redstart::ds::{intset, listpack};
use std::hint::black_box;
use std::time::Instant;

const BIG: usize = 10_000_000;

fn main() {
    let sections: [(&str, fn()); 4] = [("ends", ends), ("middle", middle), ("range", range), ("small", small)];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    for (name, section) in sections {
        if wanted.is_empty() || wanted.iter().any(|want| want == name) {
            section();
        }
    }
}

/// Runs `work` of `times` operations and prints the best of `rounds`, in ns an operation.
fn time(what: &str, rounds: usize, times: usize, mut work: impl FnMut()) {
    let round = |_| {
        let begin = Instant::now();
        work();
        begin.elapsed().as_nanos() as f64 / times as f64
    };
    let best = (0..rounds).map(round).fold(f64::INFINITY, f64::min);
    println!("{what:<46} {best:>10.1} ns");
}

fn allocated_bytes() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("statistics are built in");
    tikv_jemalloc_ctl::stats::allocated::read().expect("statistics are built in")
}

fn resident_bytes() -> usize {
    tikv_jemalloc_ctl::epoch::advance().expect("statistics are built in");
    tikv_jemalloc_ctl::stats::resident::read().expect("statistics are built in")
}

fn element(n: usize) -> [u8; 20] {
    let mut text = *b"element:000000000000";
    let mut rest = n;
    for byte in text[8..].iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

fn ends() {
    const COUNT: usize = 500_000;
    let (allocated, resident) = (allocated_bytes(), resident_bytes());
    let mut list = QuickList::new(Fill::default());
    (0..COUNT).for_each(|n| list.push_back(&element(n)));
    let bytes = |now: usize, before: usize| (now - before) as f64 / COUNT as f64;
    println!(
        "500 k of 20 bytes, RPUSH: {:.2} allocated, {:.2} resident bytes an element",
        bytes(allocated_bytes(), allocated),
        bytes(resident_bytes(), resident),
    );
    drop(list);
    time("push_back (new list)", 7, COUNT, || {
        let mut list = QuickList::new(Fill::default());
        (0..COUNT).for_each(|n| list.push_back(&element(n)));
        std::mem::forget(black_box(list));
    });
    time("push_front (new list)", 7, COUNT, || {
        let mut list = QuickList::new(Fill::default());
        (0..COUNT).for_each(|n| list.push_front(&element(n)));
        std::mem::forget(black_box(list));
    });
    time("push_back + drop_back of the same", 7, COUNT, || {
        let mut list = QuickList::new(Fill::default());
        (0..COUNT).for_each(|n| list.push_back(&element(n)));
        while let Some(value) = list.back() {
            black_box(value);
            list.drop_back();
        }
    });
    time("push_front + drop_front of the same", 7, COUNT, || {
        let mut list = QuickList::new(Fill::default());
        (0..COUNT).for_each(|n| list.push_front(&element(n)));
        while let Some(value) = list.front() {
            black_box(value);
            list.drop_front();
        }
    });
    // The same memory again and again: what the code costs without the kernel's fresh pages.
    let mut list = QuickList::new(Fill::default());
    for front in [false, true] {
        let what =
            if front { "front, warm: 10,000 pushes, then drops" } else { "back, warm: 10,000 pushes, then drops" };
        time(what, 7, COUNT, || {
            for _ in 0..COUNT / 10_000 {
                if front {
                    (0..10_000).for_each(|n| list.push_front(&element(n)));
                    (0..10_000).for_each(|_| assert!(list.drop_front()));
                } else {
                    (0..10_000).for_each(|n| list.push_back(&element(n)));
                    (0..10_000).for_each(|_| assert!(list.drop_back()));
                }
            }
        });
    }
    time("making the element alone", 7, COUNT, || {
        (0..COUNT).for_each(|n| {
            black_box(&element(n));
        });
    });
    time("queue of 1000: push_front, drop_back", 7, COUNT, || {
        let mut list = QuickList::new(Fill::default());
        for n in 0..COUNT {
            list.push_front(&element(n));
            if n > 1_000 {
                black_box(list.back());
                list.drop_back();
            }
        }
    });
}

fn middle() {
    let mut list = QuickList::new(Fill::default());
    (0..BIG).for_each(|n| list.push_back(&element(n)));
    let mut random = 1_u64;
    let mut draw = move |limit: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(random) * limit as u128) >> 64) as usize
    };
    time("get(5 M) of 10 M", 5, 100_000, || {
        for _ in 0..100_000 {
            black_box(list.get(black_box(BIG as i64 / 2 + 100), |value| value.to_i64()));
        }
    });
    time("get(random) of 10 M", 3, 100_000, || {
        for _ in 0..100_000 {
            black_box(list.get(draw(BIG) as i64, |value| value.to_i64()));
        }
    });
    time("positions over 10 M, an element", 3, BIG, || {
        black_box(list.positions(b"element:x00000000000", false, usize::MAX).count());
    });
    time("insert(random)", 1, 100_000, || {
        (0..100_000).for_each(|n| assert!(list.insert(draw(BIG), &element(n))));
    });
    time("remove_range(random, 1)", 1, 100_000, || {
        (0..100_000).for_each(|_| assert_eq!(list.remove_range(draw(BIG), 1), 1));
    });
    let element_count = list.len();
    time("trim to nothing, an element", 1, element_count, || {
        assert_eq!(list.trim(1, 0), element_count);
    });
    let mut squeezed = QuickList::new(Fill { compress_depth: 1, ..Fill::default() });
    time("push_back with compress depth 1", 1, 500_000, || {
        (0..500_000).for_each(|n| squeezed.push_back(&element(n)));
    });
    println!("{:?}", squeezed.facts());
}

fn range() {
    const COUNT: usize = 500_000;
    let mut list = QuickList::new(Fill::default());
    (0..COUNT).for_each(|n| list.push_back(&element(n)));
    let mut bytes = Vec::with_capacity(1 << 20);
    for (what, start) in [("range(0, 600), copied", 0), ("range(250 k, 600), copied", COUNT / 2)] {
        time(what, 5, 1_000, || {
            for _ in 0..1_000 {
                bytes.clear();
                let mut walk = list.range(black_box(start), 600);
                while let Some(value) = walk.next_value() {
                    value.write_to(&mut bytes);
                }
            }
        });
    }
    time("range(0, 600), each seen", 5, 1_000, || {
        for _ in 0..1_000 {
            let mut walk = list.range(black_box(0), 600);
            while let Some(value) = walk.next_value() {
                black_box(value);
            }
        }
    });
    time("range(0, 600).for_each, each seen", 5, 1_000, || {
        (0..1_000).for_each(|_| {
            list.range(black_box(0), 600).for_each(|value| {
                black_box(value);
            })
        });
    });
    time("range(0, 600).for_each, copied", 5, 1_000, || {
        for _ in 0..1_000 {
            bytes.clear();
            list.range(black_box(0), 600).for_each(|value| value.write_to(&mut bytes));
        }
    });
}

fn small() {
    let mut pairs = Vec::new();
    for n in 0..128 {
        let field = format!("field:{n}");
        let value = format!("value of {n}");
        listpack::push_back_all(&mut pairs, &[Value::Str(field.as_bytes()), Value::Str(value.as_bytes())]);
    }
    time("listpack: find last of 128 fields", 5, 100_000, || {
        for _ in 0..100_000 {
            black_box(listpack::find(&pairs, black_box(b"field:127"), listpack::HEADER_BYTES, 2));
        }
    });
    time("listpack: replace of equal size", 5, 100_000, || {
        for n in 0..100_000 {
            listpack::replace(&mut pairs, 2, if n % 2 == 0 { b"field:0" } else { b"field:x" });
        }
    });
    time("listpack: push_back of 20 bytes, 128 times", 5, 128_000, || {
        let mut pack = Vec::with_capacity(4096);
        for _ in 0..1_000 {
            pack.clear();
            (0..128).for_each(|n| listpack::push_back(&mut pack, &element(n)));
        }
        black_box(&pack);
    });
    let set = intset::from_numbers(&mut (0..512).map(|n| n * 977).collect::<Vec<_>>());
    time("intset: contains among 512", 5, 512_000, || {
        for n in 0..512_000_i64 {
            black_box(intset::contains(&set, (n * 7919) % 500_224));
        }
    });
    time("intset: add 512 in order", 5, 512_000, || {
        for _ in 0..1_000 {
            let mut set = Vec::with_capacity(4096);
            (0..512).for_each(|n| assert!(intset::add(&mut set, n * 977)));
            black_box(&set);
        }
    });
}
