//! Arrays: texts under indexes of 64 bits, with gaps. There is one encoding. Knows no key.

use super::value::{Big, Elem, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::ds::array::{Array as Slots, Word};

/// The marker of arrays.
pub struct Array;

/// An array to read.
#[derive(Clone, Copy)]
pub struct ArrayRef<'a>(Option<&'a Slots>);

impl<'a> ArrayRef<'a> {
    /// The slots; an array always has them.
    pub fn slots(self) -> Option<&'a Slots> {
        self.0
    }

    /// Number of texts.
    pub fn count(self) -> u64 {
        self.0.map_or(0, Slots::count)
    }

    /// One more than the greatest index that has a text.
    pub fn len(self) -> u64 {
        self.0.map_or(0, Slots::len)
    }

    /// Whether there is no text.
    pub fn is_empty(self) -> bool {
        self.count() == 0
    }

    /// The slot of an index, if it has a text.
    #[inline]
    pub fn get(self, index: u64) -> Option<&'a Word> {
        self.0?.get(index)
    }

    /// The texts of the indexes from `low` to `high`, upward or downward, until `each` says false.
    pub fn walk(self, low: u64, high: u64, reverse: bool, mut each: impl FnMut(u64, Elem<'_>) -> bool) {
        if let Some(slots) = self.0 {
            slots.walk(low, high, reverse, |index, word| word.read(|elem| each(index, elem)));
        }
    }

    /// Heap bytes beyond the entry; `samples` slices are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(self, samples: usize) -> usize {
        self.0.map_or(0, |slots| slots.alloc_bytes(samples))
    }
}

/// An array to change.
pub struct ArrayMut<'a>(EntryMut<'a>);

impl ArrayMut<'_> {
    /// The slots.
    pub fn slots(&mut self) -> &mut Slots {
        match self.0.big_mut() {
            Some(Big::Array(slots)) => slots,
            _ => unreachable!("an entry of this kind has slots from its making on"),
        }
    }
}

impl Value for Array {
    const TYPE: Type = Type::Array;
    type Ref<'a> = ArrayRef<'a>;
    type Mut<'a> = ArrayMut<'a>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> ArrayRef<'_> {
        ArrayRef(match entry.big() {
            Some(Big::Array(slots)) => Some(slots),
            _ => None,
        })
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> ArrayMut<'a> {
        let mut array = ArrayMut(entry);
        array.slots().thresholds = limits.array;
        array
    }

    fn create(key: &[u8], limits: &Limits, lru: u32) -> Entry {
        let slots = Slots::new(limits.array_slice, limits.array);
        Entry::new_big(key, Kind::BigArray as u8, Box::new(Big::Array(Box::new(slots))), lru, None)
    }

    fn is_empty(entry: EntryRef<'_>) -> bool {
        Self::view(entry).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::testing::{Held, limits};

    #[test]
    fn a_copy_has_the_same_texts_and_an_emptied_array_is_empty() {
        let mut held = Held::<Array>::new(limits(0));
        assert!(held.view().is_empty());
        held.edit(|array| {
            assert!(array.slots().set(5, b"a text with an allocation") && array.slots().set(1 << 50, b"7"));
        });
        held.check_copy();
        assert_eq!((held.view().count(), held.view().len(), held.kind()), (2, (1 << 50) + 1, Kind::BigArray));
        held.edit(|array| assert_eq!(array.slots().remove_range(0, u64::MAX), 2));
        assert!(held.view().is_empty());
    }
}
