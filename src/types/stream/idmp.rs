//! Which messages producers have sent of late, so that one which is sent again is not added again. Knows no entry, only ids.
//!
//! ```text
//! names     producer -> number
//! producer  known: id, idempotent id (ascending by entry)      found: (hash, id), once there are many
//! fronts    (id of the oldest known entry, producer's number), one for each producer
//! ```
//! Entries are remembered for a time that is counted from the milliseconds of their ids, and only so many of a producer, the
//! newest ones. Ids ascend, so that what is due next is the first of the fronts.
//!
//! Invariants: a producer that is known has an entry; `known` is sorted by id; `fronts` holds exactly the first id of each.

use super::id::StreamId;
use crate::base::crc::crc64;
use crate::ds::blob::Corrupt;
use crate::sys::alloc;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How long and how many, unless a stream or the configuration says otherwise.
pub const DEFAULT_DURATION_S: u32 = 100;
/// See `DEFAULT_DURATION_S`.
pub const DEFAULT_MAX_LEN: u32 = 100;
/// The longest time, seconds: a day.
pub const MAX_DURATION_S: u32 = 86_400;
/// Most entries of one producer.
pub const MAX_LEN: u32 = 10_000;

/// A producer with more entries finds them by a tree instead of looking at all.
const FEW: usize = 128;

/// How long producers' entries are remembered, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Memory {
    /// Seconds, 1 to `MAX_DURATION_S`.
    pub duration_s: u32,
    /// Entries of each producer, 1 to `MAX_LEN`.
    pub max_len: u32,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { duration_s: DEFAULT_DURATION_S, max_len: DEFAULT_MAX_LEN }
    }
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recorded {
    /// It is known from now on.
    New,
    /// It was known, under this very id.
    Same,
    /// It is known under another id.
    Other,
}

#[derive(Clone, Debug)]
struct Known {
    id: StreamId,
    /// Of the idempotent id: few others have it.
    hash: u64,
    iid: Box<[u8]>,
}

#[derive(Clone, Debug)]
struct Producer {
    name: Box<[u8]>,
    known: VecDeque<Known>,
    found: Option<BTreeSet<(u64, StreamId)>>,
}

impl Producer {
    fn find(&self, iid: &[u8]) -> Option<usize> {
        let hash = crc64(iid);
        let is_it = |known: &Known| known.hash == hash && *known.iid == *iid;
        let Some(found) = &self.found else { return self.known.iter().rposition(is_it) };
        found.range((hash, StreamId::MIN)..=(hash, StreamId::MAX)).find_map(|(_, id)| {
            let first = self.known.partition_point(|known| known.id < *id);
            let same = self.known.range(first..).take_while(|known| known.id == *id);
            same.enumerate().find(|(_, known)| is_it(known)).map(|(nth, _)| first + nth)
        })
    }

    fn insert(&mut self, id: StreamId, iid: &[u8]) {
        let known = Known { id, hash: crc64(iid), iid: iid.into() };
        if let Some(found) = &mut self.found {
            found.insert((known.hash, id));
        }
        let at = match self.known.back() {
            Some(last) if last.id > id => self.known.partition_point(|known| known.id <= id),
            _ => self.known.len(),
        };
        self.known.insert(at, known);
        if self.found.is_none() && self.known.len() > FEW {
            self.found = Some(self.known.iter().map(|known| (known.hash, known.id)).collect());
        }
    }

    fn remove(&mut self, at: usize) {
        let Some(gone) = self.known.remove(at) else { return };
        let Some(found) = &mut self.found else { return };
        // Two of one id and one hash share an item.
        let first = self.known.partition_point(|known| known.id < gone.id);
        let mut same = self.known.range(first..).take_while(|known| known.id == gone.id);
        if !same.any(|known| known.hash == gone.hash) {
            found.remove(&(gone.hash, gone.id));
        }
    }

    fn front(&self) -> Option<StreamId> {
        self.known.front().map(|known| known.id)
    }
}

/// What a stream knows of its producers.
#[derive(Clone, Debug, Default)]
pub struct Idempotence {
    memory: Memory,
    /// Messages ever recorded.
    pub added: u64,
    /// Messages that were sent again.
    pub duplicates: u64,
    names: BTreeMap<Box<[u8]>, u32>,
    producers: Slab<Producer>,
    fronts: BTreeSet<(StreamId, u32)>,
    tracked: usize,
}

impl Idempotence {
    /// Nothing is known yet.
    pub fn new(memory: Memory) -> Idempotence {
        Idempotence { memory, ..Idempotence::default() }
    }

    /// How long and how many.
    pub fn memory(&self) -> Memory {
        self.memory
    }

    /// Other bounds: if they differ from those in force all is forgotten but the counts.
    pub fn set_memory(&mut self, memory: Memory) {
        if memory != self.memory {
            let (added, duplicates) = (self.added, self.duplicates);
            *self = Idempotence { memory, added, duplicates, ..Idempotence::default() };
        }
    }

    /// Number of producers.
    pub fn producer_count(&self) -> usize {
        self.names.len()
    }

    /// Number of messages that are known.
    pub fn tracked(&self) -> usize {
        self.tracked
    }

    /// Whether a file need not know of it.
    pub fn is_plain(&self) -> bool {
        self.memory == Memory::default() && self.tracked == 0 && self.added == 0 && self.duplicates == 0
    }

    /// All producers by name: what each has sent, the oldest first.
    pub fn producers(&self) -> impl Iterator<Item = (&[u8], impl ExactSizeIterator<Item = (&[u8], StreamId)>)> {
        self.names.iter().filter_map(|(name, number)| {
            let known = &self.producers.get(*number as usize)?.known;
            Some((&name[..], known.iter().map(|known| (&known.iid[..], known.id))))
        })
    }

    /// When an entry is forgotten, Unix milliseconds.
    fn due_ms(&self, id: StreamId) -> i64 {
        let end_ms = id.ms().saturating_add(u64::from(self.memory.duration_s) * 1000);
        i64::try_from(end_ms).unwrap_or(i64::MAX)
    }

    /// When the next entry is to be forgotten, Unix milliseconds.
    pub fn soonest(&self) -> Option<i64> {
        self.fronts.first().map(|(id, _)| self.due_ms(*id))
    }

    /// The id that a producer's message got, unless that is too long ago.
    pub fn find(&self, producer: &[u8], iid: &[u8], now_ms: i64) -> Option<StreamId> {
        let producer = self.producers.get(*self.names.get(producer)? as usize)?;
        let id = producer.known.get(producer.find(iid)?)?.id;
        (self.due_ms(id) > now_ms).then_some(id)
    }

    /// A producer's message has this id; the oldest is forgotten if there are too many.
    pub fn record(&mut self, producer: &[u8], iid: &[u8], id: StreamId, now_ms: i64) -> Recorded {
        match self.find(producer, iid, now_ms) {
            Some(known) if known == id => return Recorded::Same,
            Some(_) => return Recorded::Other,
            None => {}
        }
        self.added = self.added.saturating_add(1);
        self.insert(producer, iid, id);
        Recorded::New
    }

    /// As `record`, of a message that is not known, or was too long ago.
    fn insert(&mut self, name: &[u8], iid: &[u8], id: StreamId) {
        let number = match self.names.get(name) {
            Some(number) => *number,
            None => {
                let producer = Producer { name: name.into(), known: VecDeque::new(), found: None };
                let number = self.producers.insert(producer) as u32;
                self.names.insert(name.into(), number);
                number
            }
        };
        let Some(producer) = self.producers.get_mut(number as usize) else { return };
        let before = producer.front();
        if let Some(at) = producer.find(iid) {
            producer.remove(at);
            self.tracked -= 1;
        }
        producer.insert(id, iid);
        self.tracked += 1;
        while producer.known.len() > self.memory.max_len as usize {
            producer.remove(0);
            self.tracked -= 1;
        }
        self.set_front(number, before);
    }

    /// A producer's oldest entry may be another one than `before`; without any the producer goes.
    fn set_front(&mut self, number: u32, before: Option<StreamId>) {
        let now = self.producers.get(number as usize).and_then(Producer::front);
        if now == before {
            return;
        }
        if let Some(id) = before {
            self.fronts.remove(&(id, number));
        }
        match now {
            Some(id) => {
                self.fronts.insert((id, number));
            }
            None => {
                if let Some(producer) = self.producers.try_remove(number as usize) {
                    self.names.remove(&producer.name);
                }
            }
        }
    }

    /// Forgets what was due by `now_ms`, the oldest first, at most `most` messages; how many.
    pub fn remove_due(&mut self, now_ms: i64, most: usize) -> usize {
        let mut removed = 0;
        while removed < most {
            let Some(&(id, number)) = self.fronts.first() else { break };
            if self.due_ms(id) > now_ms {
                break;
            }
            if let Some(producer) = self.producers.get_mut(number as usize) {
                producer.remove(0);
            }
            self.set_front(number, Some(id));
            // The next one of the same producer may have the same id: then its front stayed.
            self.tracked -= 1;
            removed += 1;
        }
        removed
    }

    /// Takes back what a file says of a producer's message.
    ///
    /// # Errors
    /// `Corrupt` if it comes twice, or if there are more than may be.
    pub fn load(&mut self, producer: &[u8], iid: &[u8], id: StreamId) -> Result<(), Corrupt> {
        let known = self.names.get(producer).and_then(|number| self.producers.get(*number as usize));
        let is_full = known.is_some_and(|known| known.known.len() >= MAX_LEN as usize);
        if is_full || known.is_some_and(|known| known.find(iid).is_some()) {
            return Err(Corrupt { offset: 0, what: "stream producer with a message twice, or with too many" });
        }
        self.insert(producer, iid, id);
        Ok(())
    }

    /// Allocations that freeing it touches, about.
    pub fn free_effort(&self) -> usize {
        self.tracked + 2 * self.names.len()
    }

    /// Heap bytes.
    pub fn alloc_bytes(&self) -> usize {
        let producers = self.producers.iter().map(|(_, producer)| {
            let iids: usize = producer.known.iter().map(|known| alloc::size_class(known.iid.len())).sum();
            let found = producer.found.as_ref().map_or(0, |found| found.len() * size_of::<(u64, StreamId)>());
            2 * producer.name.len() + iids + found + producer.known.capacity() * size_of::<Known>()
        });
        let fixed = size_of::<Producer>() + size_of::<(Box<[u8]>, u32)>() + size_of::<(StreamId, u32)>();
        size_of::<Idempotence>() + self.producers.capacity() * fixed + producers.sum::<usize>()
    }

    /// Checks the invariants.
    pub fn check(&self) {
        assert_eq!((self.names.len(), self.fronts.len()), (self.producers.len(), self.producers.len()));
        let mut tracked = 0;
        for (number, producer) in &self.producers {
            let front = producer.front().expect("a producer that is known has an entry");
            assert!(self.fronts.contains(&(front, number as u32)) && self.names.contains_key(&producer.name));
            assert!(producer.known.iter().is_sorted_by_key(|known| known.id));
            assert!(producer.known.len() <= self.memory.max_len as usize);
            for known in &producer.known {
                assert!(producer.find(&known.iid).is_some_and(|at| producer.known[at].iid == known.iid));
            }
            tracked += producer.known.len();
        }
        assert_eq!(tracked, self.tracked);
    }
}

/// The idempotent id of a message that has none of its own: the same for the same fields with the same values, in whatever
/// order. 128 bits, a sum over the pairs.
pub fn content_id<'w>(pairs: usize, word: &impl Fn(usize) -> &'w [u8]) -> [u8; 16] {
    let mut sum = 0u128;
    let mut pair = Vec::new();
    for nth in 0..pairs {
        let (field, value) = (word(2 * nth), word(2 * nth + 1));
        pair.clear();
        pair.extend_from_slice(&(field.len() as u64).to_le_bytes());
        pair.extend_from_slice(field);
        pair.extend_from_slice(value);
        sum = sum.wrapping_add(xxhash_rust::xxh3::xxh3_128(&pair));
    }
    sum.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// A naive memory: producer, idempotent id, id, in the order of the ids of each producer.
    type Model = Vec<(u64, u64, StreamId)>;

    fn random_run(seed: u64) {
        let mut rng = Rng::seeded(seed);
        let memory = Memory { duration_s: 2, max_len: [3, 20, 300][seed as usize % 3] };
        let (mut idmp, mut model) = (Idempotence::new(memory), Model::new());
        let (mut now_ms, mut seq, mut added) = (1_000u64, 0, 0);
        let end = |id: &StreamId| (id.ms() + 2_000) as i64;
        for step in 0..3_000 {
            now_ms += rng.below(4) * rng.below(20);
            let (producer, iid) = (rng.below(4), rng.below(400));
            let (name, text) = (format!("p{producer}"), format!("i{iid}"));
            let alive = |(p, i, id): &&(u64, u64, StreamId)| (*p, *i) == (producer, iid) && end(id) > now_ms as i64;
            let known = model.iter().find(alive).map(|(_, _, id)| *id);
            assert_eq!(idmp.find(name.as_bytes(), text.as_bytes(), now_ms as i64), known);
            match rng.below(8) {
                0..=5 => {
                    seq += 1;
                    // Some as a log tells of them: of an older entry, or of the same one again.
                    let id = match rng.below(6) {
                        0 => known.unwrap_or(StreamId::new(now_ms - 5, seq)),
                        _ => StreamId::new(now_ms, seq),
                    };
                    let recorded = idmp.record(name.as_bytes(), text.as_bytes(), id, now_ms as i64);
                    let expected = match known {
                        None => Recorded::New,
                        Some(known) if known == id => Recorded::Same,
                        Some(_) => Recorded::Other,
                    };
                    assert_eq!(recorded, expected);
                    if recorded == Recorded::New {
                        added += 1;
                        model.retain(|(p, i, _)| (*p, *i) != (producer, iid));
                        model.push((producer, iid, id));
                        model.sort_by_key(|(_, _, id)| *id);
                        while model.iter().filter(|(p, _, _)| *p == producer).count() > memory.max_len as usize {
                            let oldest = model.iter().position(|(p, _, _)| *p == producer).expect("there are some");
                            model.remove(oldest);
                        }
                    }
                }
                6 => {
                    let due = model.iter().filter(|(_, _, id)| end(id) <= now_ms as i64).count();
                    assert_eq!(idmp.remove_due(now_ms as i64, usize::MAX), due);
                    model.retain(|(_, _, id)| end(id) > now_ms as i64);
                }
                _ => now_ms += rng.below(300),
            }
            assert_eq!((idmp.tracked(), idmp.added), (model.len(), added), "step {step}");
            assert_eq!(idmp.soonest(), model.iter().map(|(_, _, id)| end(id)).min());
            if step % 50 == 0 {
                idmp.check();
            }
        }
    }

    #[test]
    fn it_remembers_as_a_list_of_all_messages_would() {
        for seed in 0..6 {
            let run = std::panic::catch_unwind(|| random_run(seed));
            assert!(run.is_ok(), "seed {seed}");
        }
    }

    #[test]
    fn what_a_message_says_has_an_id_whatever_its_order() {
        let id = |words: &[&'static str]| content_id(words.len() / 2, &|at| words[at].as_bytes());
        assert_eq!(id(&["a", "1", "b", "2"]), id(&["b", "2", "a", "1"]));
        assert_ne!(id(&["a", "1", "b", "2"]), id(&["a", "2", "b", "1"]));
        assert_ne!(id(&["ab", "c"]), id(&["a", "bc"]));
        assert_ne!(id(&["a", "1"]), id(&["a", "1", "a", "1"]));
    }

    #[test]
    fn other_bounds_forget_all_but_the_counts() {
        let mut idmp = Idempotence::new(Memory::default());
        assert!(idmp.is_plain());
        idmp.record(b"p", b"i", StreamId::new(5, 0), 5);
        idmp.duplicates += 1;
        idmp.set_memory(Memory::default());
        assert_eq!((idmp.tracked(), idmp.producer_count()), (1, 1));
        idmp.set_memory(Memory { duration_s: 7, max_len: 8 });
        assert_eq!((idmp.tracked(), idmp.producer_count(), idmp.added, idmp.duplicates), (0, 0, 1, 1));
        assert!(!idmp.is_plain() && idmp.soonest().is_none());
    }
}
