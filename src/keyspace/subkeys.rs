//! Elements of values whose time has come: fields of hashes, members of sets and sorted sets, and what streams know of
//! messages. Knows no command.
//!
//! The database keeps an index like that of its keys: an item says "look at this key about now", and the value itself knows
//! which of its elements is due next. Keys without such elements have no item and cost nothing.
//! A hash hides its fields that are due until somebody changes them. Members go whenever the key is looked for, as a key does
//! whose own time has come, so that nobody who reads sees any that are due (but while writes are paused).
//! Invariant: `count` counts the entries with a dated element, and each has an item in the index at or before its soonest
//! deadline.

use super::db::{Book, DbView, Vanished, set_index};
use super::edit::Edit;
use super::events::Event;
use super::expire::{Deadlines, Found};
use super::key::DbIndex;
use crate::base::clock::Now;
use crate::ds::table::{Occupied, Table};
use crate::types::{self, Entry, EntryRef, Hash, Type, Value};

/// Most elements of one value that a single look removes; the rest comes up again at once.
const MOST_AT_ONCE: usize = 64;

/// The keys of one database whose elements have deadlines.
#[derive(Default)]
pub struct Subkeys {
    /// When to look at which key.
    pub deadlines: Deadlines,
    /// How many such keys there are.
    pub count: usize,
}

impl Subkeys {
    /// The soonest deadline among the elements of the key with this hash is another one now.
    #[inline]
    pub(super) fn changed(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        if old != new {
            set_index(&mut self.deadlines, &mut self.count, hash, old, new);
        }
    }

    /// An entry was taken out of the table: it counts no longer. Its item is stale then.
    #[inline]
    pub(super) fn forget(&mut self, entry: EntryRef<'_>) {
        self.count -= usize::from(types::soonest(entry).is_some());
    }
}

/// Which fields are looked at.
enum Which<'f, I: Iterator<Item = &'f [u8]>> {
    These(I),
    All,
}

impl Edit<'_, Hash> {
    /// Those of the named fields whose time has come go, as if they had gone on time; a hash that has no field left is as good
    /// as new.
    pub fn expire_fields<'f>(&mut self, now: Now, fields: impl Iterator<Item = &'f [u8]>) {
        if self.soonest_is_due(now) {
            self.expire(now, Which::These(fields));
        }
    }

    /// As `expire_fields`, for all fields.
    pub fn expire_all_fields(&mut self, now: Now) {
        if self.soonest_is_due(now) {
            self.expire(now, Which::<std::iter::Empty<_>>::All);
        }
    }

    #[inline]
    fn soonest_is_due(&self, now: Now) -> bool {
        Hash::soonest(self.entry()).is_some_and(|at| at <= now.unix_ms.0)
    }

    #[cold]
    fn expire<'f, I: Iterator<Item = &'f [u8]>>(&mut self, now: Now, which: Which<'f, I>) {
        let (index, now_ms) = (self.index, now.unix_ms.0);
        let key: Box<[u8]> = self.entry().key().into();
        let mut gone: Vec<Box<[u8]>> = Vec::new();
        let mut hash = self.value();
        match which {
            Which::These(fields) => {
                gone.extend(fields.filter(|field| hash.remove_due(field, now_ms)).map(Box::from));
            }
            Which::All => {
                hash.remove_all_due(now_ms, usize::MAX, |field| gone.push(field.into()));
            }
        }
        drop(hash);
        if gone.is_empty() {
            return;
        }
        let count = gone.len();
        if self.book.propagate {
            let element = |field| Some((Type::Hash, field));
            let vanished = gone.into_iter().map(|f| Vanished { db: index, key: key.clone(), element: element(f) });
            self.book.vanished.extend(vanished);
        }
        self.note_soonest();
        let emptied = Hash::is_empty(self.entry());
        elements_expired(self.book, index, &key, Type::Hash, count, emptied);
        if emptied {
            // The key went with its last field; what this edit adds to it makes a new one.
            self.set_deadline(None);
            self.created = true;
        }
    }
}

/// Elements went by themselves: counted and announced. What a stream forgets is no news.
fn elements_expired(book: &mut Book, index: DbIndex, key: &[u8], of: Type, count: usize, emptied: bool) {
    let event = match of {
        Type::Hash => Event::hash("hexpired"),
        Type::Set => Event::set("sexpired"),
        Type::ZSet => Event::zset("zexpired"),
        _ => return,
    };
    book.counters.expired_subkeys += count as u64;
    book.announce(index, key, event);
    if emptied {
        book.announce(index, key, Event::generic("del"));
    }
}

/// Removes elements that were due, at most `most`, from the value at this place; those who follow hear of each. The place; if the
/// key went with the last of them the table.
fn take_due<'t>(
    mut place: Occupied<'t, Entry>,
    (index, now): (DbIndex, Now),
    (volatile, subkeys): (&mut usize, &mut Subkeys),
    book: &mut Book,
    most: usize,
) -> Result<Occupied<'t, Entry>, &'t mut Table<Entry>> {
    let now_ms = now.unix_ms.0;
    book.before_change(index, place.get());
    let (of, before) = (types::type_of(place.get()), types::soonest(place.get()));
    let key: Box<[u8]> = place.get().key().into();
    let (limits, propagate) = (book.limits, book.propagate);
    // Where nothing stays nobody needs to take out one after the other.
    let whole = most == usize::MAX && types::is_all_due(place.get(), now_ms);
    let count = if whole {
        if propagate {
            book.vanished.push(Vanished { db: index, key: key.clone(), element: None });
        }
        types::count(place.get())
    } else {
        types::remove_due(place.get_mut(), &limits, now_ms, most, |element| {
            if propagate {
                book.vanished.push(Vanished { db: index, key: key.clone(), element: Some((of, element.into())) });
            }
        })
    };
    let emptied = whole || types::is_emptied(place.get());
    elements_expired(book, index, &key, of, count, emptied);
    subkeys.changed(place.hash(), before, types::soonest(place.get()).filter(|_| !whole));
    if !emptied {
        return Ok(place);
    }
    let (entry, table) = place.remove_from();
    *volatile -= usize::from(entry.deadline().is_some());
    book.free(entry, true);
    Err(table)
}

/// Removes all members that were due from the value at this place, if there are any: what looks for a key does first. The place;
/// if the key went with the last of them the table.
#[cold]
pub(super) fn take_due_members<'t>(
    place: Occupied<'t, Entry>,
    at: (DbIndex, Now),
    counts: (&mut usize, &mut Subkeys),
    book: &mut Book,
) -> Result<Occupied<'t, Entry>, &'t mut Table<Entry>> {
    take_due(place, at, counts, book, usize::MAX)
}

impl DbView<'_> {
    /// Removes elements whose time has come from the value of the key with this hash, some at a time: a step of active expiry.
    /// Returns what to do with the index item.
    pub(super) fn expire_elements_by_hash(&mut self, hash: u64) -> Found {
        let (now_ms, index, hasher) = (self.now.unix_ms.0, self.index, self.space.hasher());
        let db = &mut self.space.dbs[index.0 as usize];
        let book = &mut self.space.book;
        let mut later: Option<i64> = None;
        // The table knows only a part of the hash: another key must not be taken for this one.
        let due = db.table.find_by_hash(hash, |entry| match types::soonest(entry) {
            Some(_) if hasher.hash(entry.key()) != hash => false,
            Some(at) if at <= now_ms => true,
            Some(at) => {
                later = Some(later.map_or(at, |l| l.min(at)));
                false
            }
            None => false,
        });
        let Some(place) = due else { return later.map_or(Found::Gone, Found::Later) };
        let counts = (&mut db.volatile, &mut db.subkeys);
        let place = take_due(place, (index, self.now), counts, book, MOST_AT_ONCE);
        place.ok().and_then(|place| types::soonest(place.get())).map_or(Found::Expired, Found::Later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::Hasher;
    use crate::base::rng::Rng;
    use crate::keyspace::expire::{Progress, step};
    use crate::keyspace::{Key, Keyspace, Missing, class};
    use crate::types::{AddOptions, Set, ZSet};
    use std::collections::BTreeMap;

    const DB: DbIndex = DbIndex(0);
    const START_MS: i64 = 1_700_000_000_000;

    fn at(ms: i64) -> Now {
        Now::at_unix_ms(ms)
    }

    fn space() -> Keyspace {
        let mut space = Keyspace::new(2, Hasher::seeded([1, 2, 3, 4]), Rng::seeded(5));
        space.book.limits.hash_entries = 20;
        space
    }

    type Model = BTreeMap<String, BTreeMap<String, Option<i64>>>;

    /// A field is set with a deadline, or without.
    fn set(space: &mut Keyspace, now: Now, key: &str, field: &str, deadline: Option<i64>) {
        let key = Key::new(space.hasher(), key.as_bytes());
        let mut view = space.view(DB, now);
        let mut edit = view.edit_or_create::<Hash>(key).expect("only hashes");
        edit.value().set(field.as_bytes(), b"v");
        edit.value().set_deadline(field.as_bytes(), deadline);
        edit.finish(Event::hash("hset"));
    }

    fn remove(space: &mut Keyspace, now: Now, key: &str, field: &str) {
        let key = Key::new(space.hasher(), key.as_bytes());
        let mut view = space.view(DB, now);
        let Some(mut edit) = view.edit::<Hash>(key, Missing::Skip).expect("only hashes") else { return };
        if edit.value().remove(field.as_bytes()) {
            edit.finish(Event::hash("hdel"));
        }
    }

    fn settle(space: &mut Keyspace, now: Now) {
        while step(space, now, 0) == Progress::More {}
    }

    fn content(space: &Keyspace) -> Model {
        let mut all = Model::new();
        for entry in space.dbs[0].table.iter() {
            let mut fields = BTreeMap::new();
            Hash::view(entry).for_each_dated(|field, _, deadline| {
                fields.insert(String::from_utf8_lossy(&field.to_vec()).into_owned(), deadline);
            });
            all.insert(String::from_utf8_lossy(entry.key()).into_owned(), fields);
        }
        all
    }

    fn check(space: &Keyspace, model: &Model) {
        assert_eq!(&content(space), model);
        let dated = model.values().filter(|fields| fields.values().any(Option::is_some)).count();
        assert_eq!(space.dbs[0].subkeys.count, dated);
        let soonest = model.values().flat_map(BTreeMap::values).flatten().min();
        let wake = space.dbs[0].subkeys.deadlines.next_due_ms();
        assert!(soonest.is_none_or(|at| wake.is_some_and(|wake| wake <= at + 8)), "{wake:?} for {soonest:?}");
    }

    fn random_run(seed: u64) {
        let (mut rng, mut space, mut model) = (Rng::seeded(seed), space(), Model::new());
        let mut now_ms = START_MS;
        for _ in 0..2_000 {
            let (key, field) = (format!("k{}", rng.below(8)), format!("f{}", rng.below(40)));
            match rng.below(10) {
                0..=5 => {
                    let deadline = (rng.below(3) > 0).then(|| now_ms + 1 + rng.below(5_000) as i64);
                    set(&mut space, at(now_ms), &key, &field, deadline);
                    model.entry(key).or_default().insert(field, deadline);
                }
                6 => {
                    remove(&mut space, at(now_ms), &key, &field);
                    model.get_mut(&key).map(|fields| fields.remove(&field));
                }
                7 => {
                    let name = Key::new(space.hasher(), key.as_bytes());
                    space.view(DB, at(now_ms)).delete(name, false, Event::generic("del"));
                    model.remove(&key);
                }
                _ => {
                    now_ms += rng.below(300) as i64;
                    // A tick is dealt with when it is over.
                    let until = (now_ms + 1) / 8 * 8;
                    settle(&mut space, at(now_ms));
                    let due = |deadline: &Option<i64>| deadline.is_some_and(|d| d < until);
                    let maybe = |deadline: &Option<i64>| deadline.is_some_and(|d| d <= now_ms);
                    let have = content(&space);
                    for (key, fields) in &mut model {
                        let left = have.get(key);
                        fields.retain(|field, deadline| {
                            let here = left.is_some_and(|fields| fields.contains_key(field));
                            assert!(here || maybe(deadline), "{key} {field} went early");
                            assert!(!(here && due(deadline)), "{key} {field} is late");
                            here
                        });
                    }
                }
            }
            model.retain(|_, fields| !fields.is_empty());
            check(&space, &model);
        }
    }

    #[test]
    fn fields_go_on_time_and_take_their_key_along() {
        for seed in 0..4 {
            let run = std::panic::catch_unwind(|| random_run(seed));
            assert!(run.is_ok(), "seed {seed}");
        }
    }

    #[test]
    fn many_fields_due_at_once_go_in_bounded_steps() {
        let mut space = space();
        for i in 0..3_000 {
            set(&mut space, at(START_MS), "k", &format!("f{i}"), Some(START_MS + 10));
        }
        let late = at(START_MS + 100);
        let mut steps = 0;
        while step(&mut space, late, 0) == Progress::More {
            steps += 1;
        }
        assert!(steps > 10, "{steps} steps");
        assert_eq!((space.total_keys(), space.dbs[0].subkeys.count), (0, 0));
        assert_eq!(space.book.counters.expired_subkeys, 3_000);
    }

    #[test]
    fn what_an_access_finds_expired_is_propagated_and_announced_once() {
        let mut space = space();
        space.book.propagate = true;
        space.book.interest = class::HASH | class::GENERIC;
        set(&mut space, at(START_MS), "k", "a", Some(START_MS + 10));
        set(&mut space, at(START_MS), "k", "b", Some(START_MS + 10));
        space.book.events.clear();
        let key = Key::new(space.hasher(), b"k");
        let late = at(START_MS + 10);
        let mut view = space.view(DB, late);
        let hash = view.look::<Hash>(key).expect("it is there");
        assert_eq!((hash.len(), hash.visible_len(), hash.get(b"a").is_some()), (2, 0, false));
        let mut edit = view.edit::<Hash>(key, Missing::Skip).expect("a hash").expect("it is there");
        edit.expire_fields(late, [&b"a"[..], b"b", b"c"].into_iter());
        drop(edit);
        assert_eq!(space.total_keys(), 0);
        let gone: Vec<_> = space.book.vanished.iter().map(|v| &*v.element.as_ref().expect("a field").1).collect();
        assert_eq!(gone, [b"a", b"b"]);
        assert_eq!(space.book.events.len(), 2);
        assert_eq!((space.book.counters.expired_subkeys, space.dbs[0].subkeys.count), (2, 0));
    }

    /// Members of a set or a sorted set, set with a deadline or without.
    fn set_member(space: &mut Keyspace, now: Now, name: &str, member: &str, deadline: Option<i64>) {
        let key = Key::new(space.hasher(), name.as_bytes());
        let mut view = space.view(DB, now);
        if name.starts_with('z') {
            let mut edit = view.edit_or_create::<ZSet>(key).expect("only sorted sets");
            edit.value().add(member.as_bytes(), 1.0, AddOptions::default());
            edit.value().set_deadline(member.as_bytes(), deadline);
            edit.finish(Event::zset("zadd"));
        } else {
            let mut edit = view.edit_or_create::<Set>(key).expect("only sets");
            edit.value().add(member.as_bytes());
            edit.value().set_deadline(member.as_bytes(), deadline);
            edit.finish(Event::set("sadd"));
        }
    }

    fn members_run(seed: u64) {
        let (mut rng, mut space, mut model) = (Rng::seeded(seed), space(), Model::new());
        let mut now_ms = START_MS;
        for _ in 0..2_000 {
            let (key, member) = (format!("{}{}", ["s", "z"][rng.below(2) as usize], rng.below(4)), rng.below(30));
            let member = format!("m{member}");
            match rng.below(8) {
                0..=4 => {
                    let deadline = (rng.below(3) > 0).then(|| now_ms + 1 + rng.below(3_000) as i64);
                    set_member(&mut space, at(now_ms), &key, &member, deadline);
                    let due = |deadline: &Option<i64>| deadline.is_some_and(|at| at <= now_ms);
                    let members = model.entry(key).or_default();
                    members.retain(|_, deadline| !due(deadline));
                    members.insert(member, deadline);
                }
                5 => {
                    // Whoever looks sees none that is due.
                    let name = Key::new(space.hasher(), key.as_bytes());
                    let due = |deadline: &Option<i64>| deadline.is_some_and(|at| at <= now_ms);
                    let expected = model.get_mut(&key).map_or(0, |members| {
                        members.retain(|_, deadline| !due(deadline));
                        members.len()
                    });
                    let mut view = space.view(DB, at(now_ms));
                    let len = match key.starts_with('z') {
                        true => view.read::<ZSet>(name).expect("only sorted sets").map_or(0, |zset| zset.len()),
                        false => view.read::<Set>(name).expect("only sets").map_or(0, |set| set.len()),
                    };
                    assert_eq!(len, expected);
                }
                6 => {
                    let name = Key::new(space.hasher(), key.as_bytes());
                    space.view(DB, at(now_ms)).delete(name, false, Event::generic("del"));
                    model.remove(&key);
                }
                _ => {
                    now_ms += rng.below(300) as i64;
                    settle(&mut space, at(now_ms));
                }
            }
            model.retain(|_, members| !members.is_empty());
            let dated = space.dbs[0].table.iter().filter(|entry| types::soonest(*entry).is_some()).count();
            assert_eq!(space.dbs[0].subkeys.count, dated);
        }
        let late = at(now_ms + 10_000);
        settle(&mut space, late);
        let stays = model.values().filter(|members| members.values().any(Option::is_none)).count();
        assert_eq!((space.total_keys(), space.dbs[0].subkeys.count), (stays, 0));
    }

    #[test]
    fn members_go_on_time_and_nobody_sees_them_later() {
        for seed in 0..4 {
            let run = std::panic::catch_unwind(|| members_run(seed));
            assert!(run.is_ok(), "seed {seed}");
        }
    }

    #[test]
    fn a_set_whose_members_are_all_due_goes_as_a_whole() {
        let mut space = space();
        space.book.propagate = true;
        for i in 0..500 {
            set_member(&mut space, at(START_MS), "s", &format!("m{i}"), Some(START_MS + 10));
        }
        let key = Key::new(space.hasher(), b"s");
        let mut view = space.view(DB, at(START_MS + 10));
        assert!(view.read::<Set>(key).expect("a set").is_none());
        assert_eq!(space.book.vanished.iter().map(|gone| gone.element.is_none()).collect::<Vec<_>>(), [true]);
        assert_eq!((space.book.counters.expired_subkeys, space.dbs[0].subkeys.count), (500, 0));
    }
}
