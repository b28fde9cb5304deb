//! Streams against naive ones, nodes against rubbish.

use super::super::testing::{Held, element, limits, steps, text};
use super::node;
use super::*;
use crate::base::rng::Rng;
use crate::ds::listpack;
use std::collections::BTreeMap;

type Words = Vec<Vec<u8>>;
type Model = BTreeMap<StreamId, Words>;

fn words_of(entry: &StreamEntry<'_>) -> Words {
    entry.words().map(text).collect()
}

fn all(log: &Log) -> Vec<(StreamId, Words)> {
    log.range(StreamId::MIN, StreamId::MAX).map(|entry| (entry.id, words_of(&entry))).collect()
}

/// The same entries from a file's parts.
fn reread(log: &Log) -> Log {
    let nodes = log.nodes().map(|(id, pack)| {
        let wire = listpack::to_wire(pack);
        (id, listpack::from_wire(&wire).expect("a node is a listpack"))
    });
    let facts = LogFacts {
        len: log.len(),
        last_id: log.last_id(),
        first_id: Some(log.first_id()),
        max_deleted_id: Some(log.max_deleted_id()),
        entries_added: Some(log.entries_added()),
    };
    Log::from_nodes(nodes.collect::<Vec<_>>(), facts).expect("a stream of ours is whole")
}

fn agree(log: &Log, model: &Model, rng: &mut Rng) {
    assert_eq!(log.len(), model.len() as u64);
    assert!(all(log).iter().map(|(id, words)| (id, words)).eq(model.iter()));
    let first = model.first_key_value().map_or(StreamId::MIN, |(id, _)| *id);
    assert_eq!(log.first_id(), first);
    assert_eq!(log.last_entry_id(), model.last_key_value().map_or(StreamId::MIN, |(id, _)| *id));
    let mut edge = || StreamId::new(rng.below(400), rng.below(3));
    let (one, other) = (edge(), edge());
    let (start, end) = (one.min(other), one.max(other));
    let forward: Vec<_> = log.range(start, end).map(|entry| entry.id).collect();
    assert!(forward.iter().eq(model.range(start..=end).map(|(id, _)| id)));
    let mut backward: Vec<_> = log.range_rev(start, end).map(|entry| entry.id).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(log.range(end, start).count(), usize::from(start == end && model.contains_key(&start)));
    let mut live = 0;
    for (master, pack) in log.nodes() {
        live += node::survey(pack, master).expect("a node of ours is whole").live;
    }
    assert_eq!(live, log.len());
    let again = reread(log);
    assert_eq!((all(&again), again.first_id(), again.node_count()), (all(log), log.first_id(), log.node_count()));
}

fn entry(rng: &mut Rng) -> Words {
    // Mostly the same fields, so that they are left out.
    let pairs = if rng.below(4) == 0 { 1 + rng.below(4) } else { 2 };
    let mut words = Words::new();
    for pair in 0..pairs {
        words.push(if rng.below(8) == 0 { element(rng, 50) } else { format!("field{pair}").into_bytes() });
        words.push(element(rng, 3_000));
    }
    words
}

fn change(log: &mut Log, model: &mut Model, rng: &mut Rng, fill: NodeLimits) {
    let any = StreamId::new(rng.below(400), rng.below(3));
    match rng.below(100) {
        0..=69 => {
            let last = log.last_id();
            let id = if rng.below(2) == 0 { last.next() } else { Some(StreamId::new(last.ms() + rng.below(3), 7)) };
            let id = id.filter(|id| *id > last).unwrap_or(StreamId::new(last.ms() + 1, 0));
            let words = entry(rng);
            let bytes = words.iter().map(Vec::len).sum();
            log.append(id, words.len() / 2, bytes, &|index| &words[index], fill);
            model.insert(id, words);
        }
        70..=95 => {
            let id = model.range(any..).next().map_or(any, |(id, _)| *id);
            assert_eq!(log.delete(id), model.remove(&id).is_some());
            assert_eq!(log.get(id).map(|entry| entry.id), None);
        }
        _ => trim(log, model, rng, any),
    }
}

fn trim(log: &mut Log, model: &mut Model, rng: &mut Rng, any: StreamId) {
    let most = log.len().saturating_sub(rng.below(30));
    let threshold = if rng.below(2) == 0 { Threshold::MaxLen(most) } else { Threshold::MinId(any) };
    let goes = |model: &Model| match threshold {
        Threshold::MaxLen(most) => model.len() as u64 > most,
        Threshold::MinId(min) => model.first_key_value().is_some_and(|(id, _)| *id < min),
    };
    let approximate = rng.below(3) == 0;
    let trim = Trim { threshold, approximate, limit: if approximate { rng.below(40) } else { 0 } };
    let removed = if rng.below(2) == 0 { log.trim(trim) } else { log.trim_each(trim, |_| true) };
    for _ in 0..removed {
        assert!(goes(model), "an entry went that should have stayed");
        model.pop_first();
    }
    assert!(approximate || !goes(model), "an entry stayed that should have gone");
}

#[test]
fn entries_behave_as_a_naive_map() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut rng = Rng::seeded(seed);
        let (mut log, mut model) = (Log::default(), Model::new());
        let fill =
            NodeLimits { bytes: [0, 4096, 200][seed as usize % 3], entries: [100, 3, 0, 200][seed as usize % 4] };
        for step in 0..steps(84_000) {
            change(&mut log, &mut model, &mut rng, fill);
            if step % 1_000 == 0 {
                agree(&log, &model, &mut rng);
            }
            if model.len() > 300 {
                (log, model) = (Log::default(), Model::new());
            }
        }
        agree(&log, &model, &mut rng);
    }
}

/// id -> consumer, deliveries
type Pendings = BTreeMap<StreamId, (Vec<u8>, u64)>;

fn check_group(group: &Group, model: &Pendings, names: &[Vec<u8>]) {
    let seen: Vec<_> = group
        .pending_from(StreamId::MIN)
        .map(|(id, p)| (id, (group.consumer_at(p.consumer).expect("its consumer").name().to_vec(), p.deliveries)))
        .collect();
    assert!(seen.iter().map(|(id, p)| (id, p)).eq(model.iter()));
    assert_eq!(group.pending_len(), model.len());
    assert!(group.consumers().map(|(_, consumer)| consumer.name()).eq(names.iter()));
    for (_, consumer) in group.consumers() {
        let ids: Vec<_> = consumer.pending_from(StreamId::MIN).collect();
        assert!(ids.iter().eq(model.iter().filter(|(_, (name, _))| *name == consumer.name()).map(|(id, _)| id)));
        assert_eq!(consumer.pending_len(), ids.len());
    }
}

/// The same group from a file's parts.
fn rebuild(group: &Group) -> Group {
    let mut builder = GroupBuilder::new(group.last_id, group.entries_read);
    for (id, pending) in group.pending_from(StreamId::MIN) {
        builder.pending(id, pending.delivered_ms, pending.deliveries).expect("ids differ");
    }
    for (_, consumer) in group.consumers() {
        let number = builder.consumer(consumer.name(), consumer.seen_ms, consumer.active_ms).expect("names differ");
        consumer.pending_from(StreamId::MIN).for_each(|id| builder.owned(number, id).expect("it is pending"));
    }
    builder.finish().expect("each has an owner")
}

#[test]
fn groups_behave_as_a_naive_map() {
    for seed in 0..8 {
        println!("seed {seed}");
        let mut rng = Rng::seeded(seed);
        let (mut group, mut model, mut names) = (Group::default(), Pendings::new(), Vec::<Vec<u8>>::new());
        for step in 0..steps(8_000) {
            let name = vec![b'a' + rng.below(6) as u8];
            let id = StreamId::new(rng.below(300), 0);
            match rng.below(20) {
                0 => {
                    assert_eq!(group.add_consumer(&name, 5).is_none(), names.contains(&name));
                    names.push(name);
                    names.sort();
                    names.dedup();
                }
                1 if rng.below(4) == 0 => {
                    let had = model.values().filter(|(owner, _)| *owner == name).count();
                    assert_eq!(group.remove_consumer(&name), names.contains(&name).then_some(had));
                    model.retain(|_, (owner, _)| *owner != name);
                    names.retain(|n| *n != name);
                }
                2..=6 => assert_eq!(group.acknowledge(id), model.remove(&id).is_some()),
                7 => {
                    group.deliver_again(id, 9);
                    model.entry(id).and_modify(|(_, count)| *count += 1);
                }
                _ => {
                    if let Some(consumer) = group.find_consumer(&name) {
                        let deliveries = rng.below(9);
                        group.deliver(id, Pending { delivered_ms: 1, deliveries, consumer });
                        model.insert(id, (name, deliveries));
                    }
                }
            }
            if step % 100 == 0 {
                check_group(&group, &model, &names);
                check_group(&rebuild(&group), &model, &names);
            }
        }
    }
}

#[test]
fn a_copy_has_the_same_content_and_a_life_of_its_own() {
    let mut held = Held::<Stream>::new(limits(1));
    held.edit(|stream| {
        for id in 1..300 {
            stream.append(StreamId::new(id, 0), 1, 2, &|_| b"x");
        }
        assert!(stream.add_group(b"g", Group::new(StreamId::MIN, None)) && !stream.add_group(b"g", Group::default()));
    });
    held.check_copy();
    let copy = held.view().clone();
    held.edit(|stream| {
        assert_eq!(stream.delete(StreamId::new(5, 0), References::Keep), Deleted::Done);
        assert!(stream.remove_group(b"g"));
    });
    assert_eq!((copy.log().len(), copy.group_count(), held.view().log().len()), (299, 1, 298));
}

#[test]
fn an_entry_that_a_group_needs_is_not_deleted_when_asked_so() {
    let mut data = StreamData::default();
    for id in 1..5 {
        data.log_mut().append(StreamId::new(id, 0), 1, 2, &|_| b"x", NodeLimits { bytes: 0, entries: 2 });
    }
    data.add_group(b"g", Group::new(StreamId::new(3, 0), None));
    let (id, unread) = (StreamId::new(2, 0), StreamId::new(4, 0));
    let group = data.group_mut(b"g").expect("it was made");
    let consumer = group.add_consumer(b"c", 0).expect("it is new");
    group.deliver(id, Pending { delivered_ms: 0, deliveries: 1, consumer });
    assert_eq!(data.delete(id, References::Acked), Deleted::Referenced);
    assert_eq!(data.delete(unread, References::Acked), Deleted::Referenced);
    assert_eq!(data.delete(StreamId::new(9, 0), References::Acked), Deleted::Missing);
    let to_one = Trim { threshold: Threshold::MaxLen(1), approximate: false, limit: 0 };
    assert_eq!(data.trim(to_one, References::Acked), 2);
    assert_eq!(all(data.log()).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id, unread]);
    assert_eq!(data.delete(id, References::Delete), Deleted::Done);
    assert_eq!(data.group(b"g").map(Group::pending_len), Some(0));
}

#[test]
fn the_place_of_an_entry_is_known_unless_deletions_hide_it() {
    let mut data = StreamData::default();
    for id in 1..6 {
        data.log_mut().append(StreamId::new(id, 0), 1, 2, &|_| b"x", NodeLimits { bytes: 0, entries: 0 });
    }
    let id = |ms| StreamId::new(ms, 0);
    let places = |data: &StreamData| [0, 1, 3, 5, 9].map(|ms| data.place_of(id(ms)));
    assert_eq!(places(&data), [Some(0), Some(1), None, Some(5), None]);
    data.delete(id(1), References::Keep);
    assert_eq!(places(&data), [Some(1), Some(1), None, Some(5), None]);
    data.delete(id(3), References::Keep);
    assert_eq!(places(&data), [None, None, None, Some(5), None]);
    let mut group = Group::new(id(2), Some(2));
    assert_eq!(data.lag(&group), None);
    group.last_id = id(4);
    group.entries_read = Some(4);
    assert_eq!(data.lag(&group), Some(1));
}

#[test]
fn rubbish_is_refused_as_a_node_and_survived() {
    let mut log = Log::default();
    for id in 1..8 {
        let words: [&[u8]; 4] = [b"field", b"value", b"n", &[b'0' + id as u8]];
        let pairs = 1 + id as usize % 2;
        log.append(StreamId::new(id, 0), pairs, 30, &|index| words[index], NodeLimits { bytes: 0, entries: 0 });
    }
    log.delete(StreamId::new(3, 0));
    let (master, whole) = log.nodes().next().map(|(id, pack)| (id, pack.to_vec())).expect("there is a node");
    assert!(node::survey(&whole, master).is_ok());
    let mut rng = Rng::seeded(1);
    for _ in 0..steps(60_000) {
        let mut pack = whole.clone();
        for _ in 0..1 + rng.below(3) {
            let at = rng.below(pack.len() as u64) as usize;
            pack[at] = rng.next_u64() as u8;
        }
        if rng.below(8) == 0 {
            pack.truncate(rng.below(pack.len() as u64) as usize);
        }
        // Walks end on anything; what was let through can be walked both ways and deleted from.
        if listpack::validate(&pack).is_ok() {
            fuzz_stream(&[&master.to_be_bytes()[..], &listpack::to_wire(&pack)].concat());
        }
    }
}
