//! A large collection of each type, changed all through a snapshot: the file is the state of the cut, and no step does much.

use super::*;
use crate::ds::hnsw::Quant;
use crate::keyspace::cut::Sink;
use crate::persist::rdb::Encoder;
use crate::types::{
    Array, EntryRef, Group, Pending, Piece, Pieces, Stream, StreamData, StreamId, StreamMut, Value, VectorSet, Vectors,
};
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY: &[u8] = b"large";
/// Elements of the collections.
const LARGE: u64 = 200_000;
/// Those of vector sets: adding one takes long.
const VECTORS: u64 = 2_500;
/// Most pieces that one step of the walk, or one change, may hand over.
const STEP_PIECES: usize = 9_000;

/// Counts what passes on its way to another sink.
struct Counting {
    to: Box<dyn Sink>,
    pieces: Arc<AtomicUsize>,
}

struct CountingPieces {
    to: Box<dyn Pieces>,
    pieces: Arc<AtomicUsize>,
}

impl Sink for Counting {
    fn entry(&mut self, db: u32, entry: EntryRef<'_>) {
        assert!(entry.key() != KEY, "a large collection comes in pieces");
        self.to.entry(db, entry);
    }

    fn begin_large(&mut self, db: u32, entry: EntryRef<'_>) -> Box<dyn Pieces> {
        Box::new(CountingPieces { to: self.to.begin_large(db, entry), pieces: Arc::clone(&self.pieces) })
    }

    fn is_full(&self) -> bool {
        self.to.is_full()
    }

    fn end(self: Box<Self>) {
        self.to.end();
    }
}

impl Pieces for CountingPieces {
    fn piece(&mut self, piece: Piece<'_>) {
        self.pieces.fetch_add(1, Ordering::Relaxed);
        self.to.piece(piece);
    }

    fn pause(&mut self, ordinal: u32) {
        self.to.pause(ordinal);
    }

    fn end(&mut self) {
        self.to.end();
    }
}

fn edit<T: Value>(space: &mut Keyspace, change: impl FnOnce(&mut T::Mut<'_>)) {
    let mut view = space.view(DbIndex(0), Now::at_unix_ms(NOW_MS));
    let key = view.key(KEY);
    let Ok(mut edit) = view.edit_or_create::<T>(key) else { panic!("it is of this type") };
    change(&mut edit.value());
    edit.finish(Event::generic("change"));
}

/// The value as a file has it, as far as that has one order.
fn bytes_of(space: &Keyspace) -> Vec<u8> {
    let table = &space.dbs[0].table;
    let entry = table.get(table.hasher().hash(KEY), KEY).expect("it is there");
    let mut encoder = Encoder::new(Vec::new(), false);
    encoder.value(entry);
    encoder.sink
}

/// Fills, changes all through a snapshot, and compares. `in_order`: whether equal values have equal bytes.
fn check<T: Value>(
    in_order: bool,
    fill: impl FnOnce(&mut T::Mut<'_>, &mut Rng),
    mut change: impl FnMut(&mut T::Mut<'_>, &mut Rng),
) {
    let mut space = Keyspace::new(4, Hasher::seeded([1, 2, 3, 4]), Rng::seeded(1));
    let mut rng = Rng::seeded(77);
    edit::<T>(&mut space, |value| fill(value, &mut rng));
    let disk = SimDisk::default();
    let (expected, bytes) = (image_of(&space), bytes_of(&space));
    let (snapshot, sink) = Snapshot::begin(plan(&space, "temp"), door(&disk, false)).expect("a thread can be had");
    let pieces = Arc::<AtomicUsize>::default();
    space.begin_cut(Box::new(Counting { to: sink, pieces: Arc::clone(&pieces) }));
    let most = |what: &str| {
        let pieces = pieces.swap(0, Ordering::Relaxed);
        assert!(pieces <= STEP_PIECES, "{what}: {pieces} pieces");
    };
    while space.book.cut.is_some() {
        for _ in 0..rng.below(40) {
            edit::<T>(&mut space, |value| change(value, &mut rng));
            most("a change");
        }
        if space.cut_step(Duration::ZERO) == Progress::Waiting {
            std::thread::yield_now();
        }
        most("a step");
    }
    result_of(&snapshot).expect("the disk is well");
    let loaded = load(&disk).expect("it is whole").0;
    assert!(image_of(&loaded) == expected);
    assert!(image_of(&space) != expected, "it was changed meanwhile");
    if in_order {
        assert!(bytes_of(&loaded) == bytes, "times and counts are the same, too");
    }
}

fn name(rng: &mut Rng) -> Vec<u8> {
    format!("element {}", rng.below(LARGE)).into_bytes()
}

#[test]
fn a_large_sorted_set_with_deadlines() {
    let deadline = |rng: &mut Rng| Some(NOW_MS + 1_000_000 + rng.below(1_000) as i64);
    check::<ZSet>(
        false,
        |zset, rng| {
            for n in 0..LARGE {
                zset.add(format!("element {n}").as_bytes(), n as f64, ADD);
            }
            for _ in 0..LARGE / 4 {
                zset.set_deadline(&name(rng), deadline(rng));
            }
        },
        |zset, rng| match rng.below(5) {
            0 => drop(zset.add(&name(rng), rng.below(1_000) as f64, ADD)),
            1 => drop(zset.remove(&name(rng))),
            2 => drop(zset.set_deadline(&name(rng), None)),
            3 => drop(zset.add(format!("new {}", rng.below(LARGE)).as_bytes(), 0.5, ADD)),
            _ => drop(zset.set_deadline(&name(rng), deadline(rng))),
        },
    );
}

#[test]
fn a_large_sorted_set_that_gets_its_first_deadline_meanwhile() {
    check::<ZSet>(
        false,
        |zset, _| {
            for n in 0..LARGE {
                zset.add(format!("element {n}").as_bytes(), n as f64, ADD);
            }
        },
        |zset, rng| match rng.below(3) {
            0 => drop(zset.add(&name(rng), rng.below(1_000) as f64, ADD)),
            1 => drop(zset.remove(&name(rng))),
            _ => drop(zset.set_deadline(&name(rng), Some(NOW_MS + 1_000_000))),
        },
    );
}

#[test]
fn a_large_array() {
    let index = |rng: &mut Rng| rng.below(LARGE) + if rng.below(9) == 0 { 1 << 40 } else { 0 };
    check::<Array>(
        true,
        |array, rng| {
            for n in 0..LARGE {
                array.slots().set(n, format!("text {n}").as_bytes());
                if n % 100 == 0 {
                    array.slots().set(index(rng) * 5_000, b"far away");
                }
            }
            array.slots().last_insert = Some(LARGE - 1);
        },
        |array, rng| match rng.below(40) {
            0..10 => drop(array.slots().remove(index(rng))),
            10 => {
                let from = index(rng);
                array.slots().remove_range(from, from + 300);
            }
            _ => drop(array.slots().set(index(rng), format!("{:x}", rng.next_u64()).as_bytes())),
        },
    );
}

fn append(stream: &mut StreamMut<'_>, text: &str) {
    let id = StreamId(stream.log().last_id().0 + (1 << 64));
    let words = [b"field", text.as_bytes()];
    stream.append(id, 1, 5 + text.len(), &|nth| words[nth]);
}

/// Any of the ids that were ever given out.
fn any_id(stream: &StreamData, rng: &mut Rng) -> StreamId {
    StreamId::new(1 + rng.below(stream.log().last_id().ms()), 0)
}

fn change_group(stream: &mut StreamMut<'_>, rng: &mut Rng) {
    let (group, id) = ([&b"first"[..], b"second"][rng.below(2) as usize], any_id(stream, rng));
    if rng.below(60) == 0 {
        stream.remove_group(group);
        stream.add_group(group, Group::new(id, None));
        return;
    }
    let Some(group) = stream.group_mut(group) else { return };
    let who = format!("consumer {}", rng.below(20));
    let now_ms = NOW_MS + rng.below(1_000) as i64;
    match rng.below(12) {
        0..4 => drop(group.acknowledge(id)),
        4 if rng.below(30) == 0 => drop(group.remove_consumer(who.as_bytes())),
        5 => group.give_back(id, |deliveries| deliveries),
        6 => group.deliver_again(id, now_ms),
        _ => {
            let added = group.add_consumer(who.as_bytes(), now_ms);
            let Some(consumer) = added.or_else(|| group.find_consumer(who.as_bytes())) else { return };
            group.deliver(id, Pending { delivered_ms: now_ms, deliveries: 1 + rng.below(3), consumer });
        }
    }
}

#[test]
fn a_large_stream() {
    let fill = |stream: &mut StreamMut<'_>, rng: &mut Rng| {
        (0..LARGE).for_each(|n| append(stream, &format!("entry {n}")));
        stream.add_group(b"first", Group::new(StreamId::MIN, Some(0)));
        stream.add_group(b"second", Group::new(StreamId::MIN, None));
        stream.add_group(b"third, of nobody", Group::default());
        (0..LARGE / 4).for_each(|_| change_group(stream, rng));
    };
    check::<Stream>(true, fill, |stream, rng| match rng.below(12) {
        0..4 => append(stream, "one more"),
        4 => {
            let id = any_id(stream, rng);
            stream.log_mut().delete(id);
        }
        5 if rng.below(20) == 0 => {
            let len = stream.log().len();
            let threshold = crate::types::Threshold::MaxLen(len - len / 50);
            stream.log_mut().trim(crate::types::Trim { threshold, approximate: rng.below(2) == 0, limit: 0 });
        }
        _ => change_group(stream, rng),
    });
}

#[test]
fn a_stream_that_goes_while_it_is_captured() {
    let mut space = space();
    edit::<Stream>(&mut space, |stream| (0..LARGE / 10).for_each(|n| append(stream, &format!("entry {n}"))));
    let expected = image_of(&space);
    let disk = SimDisk::default();
    let (snapshot, sink) = Snapshot::begin(plan(&space, "temp"), door(&disk, false)).expect("a thread can be had");
    space.begin_cut(sink);
    for _ in 0..5 {
        space.cut_step(Duration::ZERO);
    }
    let mut view = space.view(DbIndex(0), Now::at_unix_ms(NOW_MS));
    let key = view.key(KEY);
    view.delete(key, false, Event::generic("del"));
    while space.cut_step(Duration::ZERO) != Progress::Done {}
    result_of(&snapshot).expect("the disk is well");
    assert!(image_of(&load(&disk).expect("it is whole").0) == expected && space.total_keys() == 0);
}

#[test]
fn a_large_vector_set() {
    fn name(rng: &mut Rng) -> Vec<u8> {
        format!("element {}", rng.below(2 * VECTORS)).into_bytes()
    }
    let vector = |rng: &mut Rng| [(); 4].map(|()| rng.below(100) as f32 - 50.0);
    let add = |vectors: &mut Vectors, rng: &mut Rng| {
        let (name, vector) = (name(rng), vector(rng));
        let (id, _) = vectors.insert(&name, &vector, 10, &mut || rng.next_u64());
        if rng.below(3) == 0 {
            vectors.set_attributes(id, format!("{{\"n\":{}}}", rng.below(100)).as_bytes());
        }
    };
    check::<VectorSet>(
        false,
        |set, rng| {
            set.replace(Vectors::new(Quant::F32, 4, 6, 1));
            (0..VECTORS).for_each(|_| add(set, rng));
        },
        |set, rng| match rng.below(4) {
            0 => drop(set.remove(&name(rng))),
            1 => {
                if let Some(id) = set.graph().id(&name(rng)) {
                    set.set_attributes(id, [&b""[..], b"{\"other\":1}"][rng.below(2) as usize]);
                }
            }
            _ => add(set, rng),
        },
    );
}
