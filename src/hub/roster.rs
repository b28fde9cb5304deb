//! Names, each with the numbers of those whom it concerns: channels and their subscribers, keys and who has read them. Knows
//! neither clients nor what a name means.
//!
//! ```text
//! table item = one allocation: [head][name][number u32][number u32]...        numbers are little-endian, in no order
//! ```
//! A name of 16 bytes with one number takes 24 bytes and its table slot. Invariant: a name is here exactly as long as it has
//! a number; `items` is the sum of all numbers.

use crate::base::hash::Hasher;
use crate::ds::record::{Field, FieldRef};
use crate::ds::table::{IntoIter, Table};

/// Bytes of one number.
const WIDTH: usize = size_of::<u32>();

/// Names and numbers.
pub struct Roster {
    table: Table<Field>,
    items: usize,
    /// Where a longer list is put together.
    scratch: Vec<u8>,
}

/// The numbers of one name.
#[derive(Clone, Copy, Default, Debug)]
pub struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.0.len() / WIDTH
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.0.chunks_exact(WIDTH).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("a chunk has this length")))
    }

    fn position(self, number: u32) -> Option<usize> {
        self.iter().position(|other| other == number)
    }
}

fn numbers(item: FieldRef<'_>) -> Numbers<'_> {
    Numbers(item.value())
}

impl Roster {
    /// No names yet.
    pub fn new(hasher: Hasher) -> Roster {
        Roster { table: Table::new(hasher), items: 0, scratch: Vec::new() }
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no name.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Numbers of all names together.
    pub fn items(&self) -> usize {
        self.items
    }

    /// The hash that the other calls want beside a name.
    #[inline]
    pub fn hash(&self, name: &[u8]) -> u64 {
        self.table.hasher().hash(name)
    }

    /// The numbers of a name.
    #[inline]
    pub fn get(&self, hash: u64, name: &[u8]) -> Numbers<'_> {
        self.table.get(hash, name).map(numbers).unwrap_or_default()
    }

    /// Adds a number to a name. The caller knows that it is not there.
    pub fn add(&mut self, hash: u64, name: &[u8], number: u32) {
        self.items += 1;
        match self.table.find(hash, name) {
            Some(mut found) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(found.get().value());
                self.scratch.extend_from_slice(&number.to_le_bytes());
                found.get_mut().set_value(&self.scratch);
            }
            None => {
                self.table.insert_new(hash, Field::new(name, &number.to_le_bytes(), None));
            }
        }
    }

    /// Adds a number to a name unless it is there; false if it is.
    pub fn add_once(&mut self, hash: u64, name: &[u8], number: u32) -> bool {
        let is_new = self.get(hash, name).position(number).is_none();
        if is_new {
            self.add(hash, name, number);
        }
        is_new
    }

    /// Takes a number from a name; false if it is not there.
    pub fn remove(&mut self, hash: u64, name: &[u8], number: u32) -> bool {
        let Some(mut found) = self.table.find(hash, name) else { return false };
        let list = numbers(found.get());
        let Some(place) = list.position(number) else { return false };
        self.items -= 1;
        if list.len() == 1 {
            found.remove();
            return true;
        }
        // The last one takes its place.
        self.scratch.clear();
        let (rest, last) = list.0.split_at(list.0.len() - WIDTH);
        self.scratch.extend_from_slice(rest);
        if let Some(freed) = self.scratch.get_mut(place * WIDTH..(place + 1) * WIDTH) {
            freed.copy_from_slice(last);
        }
        found.get_mut().set_value(&self.scratch);
        true
    }

    /// A name with this hash that has this number.
    pub fn name_with(&mut self, hash: u64, number: u32) -> Option<Box<[u8]>> {
        let hasher = self.table.hasher();
        let is_it = |item: FieldRef<'_>| hasher.hash(item.field()) == hash && numbers(item).position(number).is_some();
        Some(self.table.find_by_hash(hash, is_it)?.get().field().into())
    }

    /// Takes a name out with all its numbers, which are read from the answer by `Roster::taken`.
    pub fn take(&mut self, hash: u64, name: &[u8]) -> Option<Field> {
        let item = self.table.remove(hash, name)?;
        self.items -= numbers(item.view()).len();
        Some(item)
    }

    /// The numbers of a name that was taken out.
    pub fn taken(item: &Field) -> Numbers<'_> {
        numbers(item.view())
    }

    /// Any name, each with the same probability.
    pub fn random(&self, rng: &mut impl FnMut() -> u64) -> Option<Box<[u8]>> {
        self.table.random(rng).map(|item| item.field().into())
    }

    /// All names with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Numbers<'_>)> {
        self.table.iter().map(|item| (item.field(), numbers(item)))
    }

    /// Empties it; what was in it is dropped as the answer is walked.
    pub fn drain(&mut self) -> IntoIter<Field> {
        self.items = 0;
        self.table.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::{BTreeMap, BTreeSet};

    fn check(roster: &Roster, model: &BTreeMap<Vec<u8>, BTreeSet<u32>>) {
        assert_eq!(roster.len(), model.len());
        assert_eq!(roster.items(), model.values().map(BTreeSet::len).sum::<usize>());
        let seen: BTreeMap<Vec<u8>, BTreeSet<u32>> =
            roster.iter().map(|(name, numbers)| (name.to_vec(), numbers.iter().collect())).collect();
        assert_eq!(&seen, model);
    }

    #[test]
    fn names_and_numbers_are_those_of_a_map_of_sets() {
        for seed in 0..20 {
            println!("seed {seed}");
            let mut rng = Rng::seeded(seed);
            let mut roster = Roster::new(Hasher::seeded([seed, 2, 3, 4]));
            let mut model: BTreeMap<Vec<u8>, BTreeSet<u32>> = BTreeMap::new();
            for step in 0..3000 {
                let name = format!("{:x$}", rng.next_u64() % 30, x = (rng.next_u64() % 3 * 40) as usize).into_bytes();
                let number = (rng.next_u64() % 90) as u32;
                let hash = roster.hash(&name);
                match rng.next_u64() % 8 {
                    0..=3 => {
                        let is_new = model.entry(name.clone()).or_default().insert(number);
                        assert_eq!(roster.add_once(hash, &name, number), is_new);
                    }
                    4..=6 => {
                        let was = model.get_mut(&name).is_some_and(|numbers| numbers.remove(&number));
                        model.retain(|_, numbers| !numbers.is_empty());
                        let by_hash = roster.name_with(hash, number);
                        assert_eq!(by_hash.as_deref(), was.then_some(&name[..]));
                        assert_eq!(roster.remove(hash, &name, number), was);
                    }
                    _ if rng.next_u64() % 20 == 0 => {
                        let taken: Option<BTreeSet<u32>> =
                            roster.take(hash, &name).map(|item| Roster::taken(&item).iter().collect());
                        assert_eq!(taken, model.remove(&name));
                    }
                    _ => {
                        let numbers: BTreeSet<u32> = roster.get(hash, &name).iter().collect();
                        assert_eq!(numbers, model.get(&name).cloned().unwrap_or_default());
                    }
                }
                if step % 100 == 0 {
                    check(&roster, &model);
                }
            }
            let mut random = || rng.next_u64();
            assert!(roster.random(&mut random).is_none_or(|name| model.contains_key(&*name)));
            assert_eq!(roster.drain().count(), model.len());
            check(&roster, &BTreeMap::new());
        }
    }
}
