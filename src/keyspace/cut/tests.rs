//! Cuts taken at random moments of random commands, against a copy of the whole state made at once.

use super::*;
use crate::base::clock::Now;
use crate::base::hash::Hasher;
use crate::base::rng::Rng;
use crate::ds::listpack;
use crate::ds::quicklist::QuickList;
use crate::keyspace::{Deadline, Event, Missing};
use crate::types::{
    AddOptions, Added, Digest, Encoded, End, Hash, HashBuilder, Kind, Limits, List, Piece, Set, SetMut, Type, Value,
    ZSet, ZSetMut, digest,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const DBS: u64 = 3;

type Image = BTreeMap<(u32, Vec<u8>), (Digest, Option<i64>)>;

#[derive(Default)]
struct Seen {
    image: Image,
    ended: bool,
}

struct Recorder {
    seen: Arc<Mutex<Seen>>,
    full_every: u64,
    asked: std::cell::Cell<u64>,
}

impl Sink for Recorder {
    fn entry(&mut self, db: u32, entry: EntryRef<'_>) {
        let mut seen = self.seen.lock().expect("no test panics with the lock");
        let before = seen.image.insert((db, entry.key().to_vec()), (digest(entry), entry.deadline()));
        assert!(before.is_none() && !seen.ended, "each entry comes once, before the end");
    }

    fn begin_large(&mut self, db: u32, entry: EntryRef<'_>) -> Box<dyn Pieces> {
        let key = (db, entry.key().to_vec());
        let limits = Limits::new(Hasher::seeded([1, 2, 3, 4]));
        let copy = match entry.big() {
            Some(Big::Set(_) | Big::DatedSet(_)) => Set::create(entry.key(), &limits, 0),
            Some(Big::ZSet(_) | Big::DatedZSet(_)) => ZSet::create(entry.key(), &limits, 0),
            _ => Hash::create(entry.key(), &limits, 0),
        };
        let (fields, dates) =
            (Vec::new(), matches!(entry.big(), Some(Big::DatedSet(_) | Big::DatedZSet(_))).then(Vec::new));
        let (seen, deadline) = (Arc::clone(&self.seen), entry.deadline());
        Box::new(Rebuilt {
            seen,
            key,
            deadline,
            limits,
            copy,
            fields,
            dates,
            nodes: Vec::new(),
            parts: BTreeMap::new(),
        })
    }

    fn is_full(&self) -> bool {
        self.asked.set(self.asked.get() + 1);
        self.asked.get() % self.full_every == 0
    }

    fn end(self: Box<Self>) {
        self.seen.lock().expect("no test panics with the lock").ended = true;
    }
}

/// A collection put together again from its elements.
struct Rebuilt {
    seen: Arc<Mutex<Seen>>,
    key: (u32, Vec<u8>),
    deadline: Option<i64>,
    limits: Limits,
    copy: Entry,
    fields: Vec<(Vec<u8>, Vec<u8>, Option<i64>)>,
    /// Deadlines of members, which may come before these.
    dates: Option<Vec<(Vec<u8>, Option<i64>)>>,
    nodes: Vec<Vec<u8>>,
    parts: BTreeMap<u32, Vec<Vec<u8>>>,
}

impl Pieces for Rebuilt {
    fn piece(&mut self, piece: Piece<'_>) {
        let is_new = match piece {
            Piece::Member(member) | Piece::MemberOfDatedSet(member) => {
                SetMut::of(&mut self.copy, &self.limits).add(member)
            }
            Piece::DatedMember(member, deadline) => {
                self.dates.iter_mut().for_each(|dates| dates.push((member.to_vec(), deadline)));
                true
            }
            Piece::Text(..) | Piece::Stream(_) | Piece::Vector(..) => unreachable!("there is none in this test"),
            Piece::Scored(member, score) | Piece::MemberOfDated(member, score) => {
                let added = ZSetMut::of(&mut self.copy, &self.limits).add(member, score, AddOptions::default());
                matches!(added, Added::New(_))
            }
            Piece::Node(node) => {
                let pack = listpack::from_wire(&node.wire()).expect("a whole listpack");
                self.nodes.push(pack);
                true
            }
            Piece::Field(field, value, deadline) => {
                self.fields.push((field.to_vec(), value.to_vec(), deadline));
                true
            }
        };
        assert!(is_new, "each element comes once");
    }

    fn pause(&mut self, ordinal: u32) {
        let nodes = std::mem::take(&mut self.nodes);
        assert_eq!(ordinal > 0, !nodes.is_empty(), "lists come in numbered parts");
        assert!(ordinal == 0 || self.parts.insert(ordinal, nodes).is_none(), "each part comes once");
    }

    fn end(&mut self) {
        let mut seen = self.seen.lock().expect("no test panics with the lock");
        for (member, deadline) in self.dates.take().into_iter().flatten() {
            let is_member = match Kind::of(self.copy.kind()).type_of() {
                Type::Set => SetMut::of(&mut self.copy, &self.limits).set_deadline(&member, deadline),
                _ => ZSetMut::of(&mut self.copy, &self.limits).set_deadline(&member, deadline),
            };
            assert!(is_member && deadline.is_some(), "a deadline of a member, once");
        }
        let mut fields = HashBuilder::new(&self.limits, 0);
        for (field, value, deadline) in &self.fields {
            assert!(fields.add(field, value, *deadline), "each field comes once");
        }
        let mut rebuilt = fields.finish(&self.key.1, 0, None);
        if !self.parts.is_empty() {
            assert!(self.parts.keys().copied().eq(1..=self.parts.len() as u32), "no part is missing");
            let mut list = QuickList::new(self.limits.list_fill());
            self.parts.values().flatten().for_each(|pack| list.push_back_node(pack.clone()));
            let list = Box::new(Big::List(Box::new(list)));
            rebuilt = Some(Entry::new_big(&self.key.1, Kind::BigList as u8, list, 0, None));
        }
        let copy = rebuilt.as_ref().unwrap_or(&self.copy);
        let before = seen.image.insert(self.key.clone(), (digest(copy.view()), self.deadline));
        assert!(before.is_none(), "each entry comes once");
    }
}

fn image_of(space: &Keyspace) -> Image {
    let of_db = |(index, db): (usize, &'_ crate::keyspace::Db)| -> Vec<_> {
        db.table.iter().map(|entry| ((index as u32, entry.key().to_vec()), (digest(entry), entry.deadline()))).collect()
    };
    space.dbs.iter().enumerate().flat_map(of_db).collect()
}

/// A time that does not come in the test.
const FAR_MS: i64 = 1 << 40;

fn change(space: &mut Keyspace, rng: &mut Rng, now_ms: i64) {
    let db = DbIndex(rng.below(DBS) as u32);
    let other = DbIndex(rng.below(DBS) as u32);
    let name = format!("key{}", rng.below(600));
    let element = format!("{}", rng.below(50));
    let mut view = space.view(db, Now::at_unix_ms(now_ms));
    let key = view.key(name.as_bytes());
    match rng.below(46) {
        0..=9 => {
            let deadline =
                if rng.below(3) == 0 { Deadline::At(Some(now_ms + rng.below(90) as i64)) } else { Deadline::Keep };
            view.put(key, deadline, Event::string("set"), |old, access| {
                Encoded::of(element.as_bytes(), None).store(name.as_bytes(), old, access)
            });
        }
        10..=15 => {
            if let Ok(mut edit) = view.edit_or_create::<List>(key) {
                edit.value().push(End::Right, element.as_bytes());
                edit.finish(Event::list("rpush"));
            }
        }
        16..=21 => {
            if let Ok(mut edit) = view.edit_or_create::<Hash>(key) {
                edit.value().set(element.as_bytes(), &vec![b'v'; rng.below(90) as usize]);
                edit.finish(Event::hash("hset"));
            }
        }
        22..=25 => {
            if let Ok(Some(mut edit)) = view.edit::<Set>(key, Missing::Create) {
                edit.value().add(element.as_bytes());
                edit.finish(Event::set("sadd"));
            }
        }
        26..=29 => drop(view.delete(key, rng.below(2) == 0, Event::generic("del"))),
        30..=31 => drop(view.set_deadline(key, Some(now_ms + rng.below(60) as i64))),
        32..=33 => {
            // As RENAME and MOVE do.
            if let Some(mut entry) = view.take(key) {
                let to = format!("key{}", rng.below(600));
                let mut target = view.other(other);
                drop(target.take(target.key(to.as_bytes())));
                entry.rename(to.as_bytes());
                target.insert(entry);
            }
        }
        34..=36 => drop(view.exists(key)),
        37 => drop(crate::keyspace::expire::step(space, Now::at_unix_ms(now_ms), 50)),
        38 if rng.below(40) == 0 => drop(space.flush(Some(db), rng.below(2) == 0)),
        39 if rng.below(20) == 0 => space.swap(db, other),
        40..=41 => {
            if let Ok(Some(mut edit)) = view.edit::<Set>(key, Missing::Skip) {
                edit.value().set_deadline(element.as_bytes(), Some(FAR_MS + rng.below(9) as i64));
                edit.finish(Event::set("expire"));
            }
        }
        42..=44 => {
            if let Ok(Some(mut edit)) = view.edit::<ZSet>(key, Missing::Create) {
                let score = rng.below(20) as f64;
                edit.value().add(element.as_bytes(), score, AddOptions::default());
                if rng.below(20) == 0 {
                    edit.value().set_deadline(element.as_bytes(), Some(FAR_MS));
                } else if rng.below(20) == 0 {
                    let other = rng.below(50).to_string();
                    edit.value().set_deadline(other.as_bytes(), None);
                    edit.value().remove(other.as_bytes());
                }
                edit.finish(Event::zset("zadd"));
            }
        }
        _ => {}
    }
}

#[test]
fn a_cut_is_the_state_at_its_beginning() {
    let rounds = if cfg!(debug_assertions) { 10 } else { 60 };
    for seed in 0..6 {
        println!("seed {seed}");
        let mut rng = Rng::seeded(seed);
        let mut space = Keyspace::new(DBS as usize, Hasher::seeded([seed, 1, 2, 3]), Rng::seeded(seed));
        let limits = &mut space.book.limits;
        (limits.hash_entries, limits.set_entries, limits.set_ints, limits.list_max) = (4, 4, 4, 3);
        let mut now_ms = 1_000;
        for _ in 0..rounds {
            for _ in 0..rng.below(1_500) {
                now_ms += rng.below(2) as i64;
                change(&mut space, &mut rng, now_ms);
            }
            let expected = image_of(&space);
            let seen = Arc::new(Mutex::new(Seen::default()));
            let recorder = Recorder { seen: Arc::clone(&seen), full_every: 2 + rng.below(5), asked: 0.into() };
            space.begin_cut(Box::new(recorder));
            if rng.below(6) == 0 {
                // Given up somewhere: the next one must not suffer from it.
                for _ in 0..rng.below(200) {
                    change(&mut space, &mut rng, now_ms);
                    space.cut_step(Duration::ZERO);
                }
                space.abandon_cut();
                continue;
            }
            let patience = rng.below(30) + 1;
            while space.book.cut.is_some() {
                for _ in 0..rng.below(60) {
                    now_ms += rng.below(2) as i64;
                    change(&mut space, &mut rng, now_ms);
                }
                if rng.below(patience) == 0 {
                    space.cut_step(Duration::ZERO);
                }
            }
            let seen = seen.lock().expect("no test panics with the lock");
            assert!(seen.ended);
            assert_eq!(seen.image.len(), expected.len());
            assert!(seen.image == expected);
            assert!(image_of(&space).len() == space.total_keys());
        }
    }
}
