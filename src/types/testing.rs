//! What the model tests of the types share: one value in a table of its own, and a choice of awkward elements.

use super::{Elem, Entry, EntryRef, Kind, Limits, Value, copy_of, digest};
use crate::base::hash::Hasher;
use crate::base::rng::Rng;
pub(super) use crate::base::rng::steps;
use crate::ds::table::Table;
use std::marker::PhantomData;

const KEY: &[u8] = b"key";

/// A value as a database holds it.
pub(super) struct Held<T> {
    table: Table<Entry>,
    pub limits: Limits,
    hash: u64,
    _type: PhantomData<T>,
}

impl<T: Value> Held<T> {
    pub fn new(limits: Limits) -> Self {
        let mut held = Held { table: Table::new(limits.hasher), limits, hash: 0, _type: PhantomData };
        held.hash = limits.hasher.hash(KEY);
        held.table.insert_new(held.hash, T::create(KEY, &limits, 0));
        held
    }

    /// An empty value in place of this one.
    pub fn reset(&mut self) {
        self.table.remove(self.hash, KEY);
        self.table.insert_new(self.hash, T::create(KEY, &self.limits, 0));
    }

    pub fn entry(&self) -> EntryRef<'_> {
        self.table.get(self.hash, KEY).expect("the value is held")
    }

    pub fn view(&self) -> T::Ref<'_> {
        T::view(self.entry())
    }

    pub fn kind(&self) -> Kind {
        Kind::of(self.entry().kind())
    }

    pub fn edit<R>(&mut self, change: impl FnOnce(&mut T::Mut<'_>) -> R) -> R {
        let mut place = self.table.find(self.hash, KEY).expect("the value is held");
        change(&mut T::edit(place.get_mut(), &self.limits))
    }

    /// A copy has the same content.
    pub fn check_copy(&self) {
        let copy = copy_of(self.entry(), b"copy");
        assert_eq!(digest(copy.view()), digest(self.entry()));
    }
}

/// Limits that are crossed often, other ones for each seed.
pub(super) fn limits(seed: u64) -> Limits {
    let entries = [4, 16, 64, 0][seed as usize % 4];
    let value = [8, 64, 20, 64][seed as usize / 2 % 4];
    Limits {
        hash_entries: entries,
        hash_value: value,
        set_ints: [6, 40][seed as usize % 2],
        set_entries: entries,
        set_value: value,
        zset_entries: entries,
        zset_value: value,
        list_max: [-1, 3, 20, -5][seed as usize % 4],
        list_compress_depth: [0, 1][seed as usize / 2 % 2],
        list_packed_threshold: [0, 0, 30][seed as usize % 3],
        ..Limits::new(Hasher::seeded([seed, 2, 3, 4]))
    }
}

/// One of about `names` elements: integers of all sizes, text that nearly is one, bytes, lengths about the limits.
pub(super) fn element(rng: &mut Rng, names: u64) -> Vec<u8> {
    let n = rng.below(names);
    match n % 13 {
        0..=4 => n.to_string().into_bytes(),
        5 => (-(n as i64) * 1_000_003).to_string().into_bytes(),
        6 => (i64::MAX - n as i64).to_string().into_bytes(),
        7 => format!("0{n}").into_bytes(),
        8 => vec![b'v'; (n % 70) as usize],
        9 => [0, 255, b'\r', b'\n', n as u8].to_vec(),
        10 => format!("{n:064}").into_bytes(),
        11 => format!("{n:065}").into_bytes(),
        _ => format!("m{n}").into_bytes(),
    }
}

/// An element's bytes.
pub(super) fn text(elem: Elem<'_>) -> Vec<u8> {
    elem.to_vec()
}
