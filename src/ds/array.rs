//! A sparse array: texts under indexes of 64 bits, gaps for nothing. Knows no key, no reply.
//!
//! ```text
//! slices    number of a run of indexes (4,096 by default) -> Slice, in order (a B-tree); only runs with something in them
//! Slice     List     (offset, word) in order                    few texts, or far between
//!           Window   words from an offset on, gaps among them    8 bytes a slot
//! ```
//!
//! A list becomes a window when that takes no more memory, and a window that is mostly gaps a list. Apart from that a slice
//! counts as dense from more than `dense_above` texts on until fewer than `sparse_below` are left: that is what ARINFO shows,
//! as the reference counts it.
//! Invariants: no slice is empty; `count` is the number of texts; a window begins and ends within its run.

mod capture;
mod word;

use super::overlay::Captured;
pub use capture::SlotTaker;
use std::collections::BTreeMap;
pub use word::Word;

/// When slices count as dense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A slice with more texts is dense.
    pub dense_above: usize,
    /// A dense slice with fewer is sparse again.
    pub sparse_below: usize,
}

/// Slots of the smallest window.
const WINDOW_MIN: usize = 8;
/// A list becomes a window of at most so many slots for each text; twice as many are kept.
const SLOTS_PER_TEXT: usize = 2;

/// The greatest index that can be set.
pub const INDEX_MAX: u64 = u64::MAX - 1;

#[derive(Clone)]
enum Body {
    List(Vec<(u16, Word)>),
    Window { first: u16, used: u32, words: Vec<Word> },
}

#[derive(Clone)]
struct Slice {
    dense: bool,
    body: Body,
}

/// What ARINFO shows of the slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Slices.
    pub slices: usize,
    /// Of these the dense ones.
    pub dense: usize,
    /// Slots of the dense ones.
    pub dense_slots: usize,
    /// Texts in the dense ones.
    pub dense_texts: usize,
    /// Slots of the others.
    pub sparse_slots: usize,
}

/// The array.
#[derive(Clone)]
pub struct Array {
    /// Indexes of a slice: 2 to the power of this, at most 16.
    slice_bits: u32,
    /// When slices count as dense, from the next change on.
    pub thresholds: Thresholds,
    slices: BTreeMap<u64, Slice>,
    count: u64,
    /// Bytes of the texts that have allocations of their own.
    text_bytes: usize,
    /// The index that was inserted last, from which the next follows.
    pub last_insert: Option<u64>,
    capture: Captured<capture::Capture>,
}

/// The smallest window over `span` offsets.
fn window_slots(span: usize) -> usize {
    span.next_power_of_two().max(WINDOW_MIN)
}

impl Slice {
    fn count(&self) -> usize {
        match &self.body {
            Body::List(list) => list.len(),
            Body::Window { used, .. } => *used as usize,
        }
    }

    fn slots(&self) -> usize {
        match &self.body {
            Body::List(list) => list.capacity(),
            Body::Window { words, .. } => words.len(),
        }
    }

    fn get(&self, offset: u16) -> Option<&Word> {
        match &self.body {
            Body::List(list) => list.binary_search_by_key(&offset, |(at, _)| *at).ok().map(|at| &list[at].1),
            Body::Window { first, words, .. } => {
                words.get(usize::from(offset.checked_sub(*first)?)).filter(|word| !word.is_empty())
            }
        }
    }

    /// Sets a slot, and gives what was in it.
    fn set(&mut self, offset: u16, word: Word, run: usize, thresholds: Thresholds) -> Word {
        let old = self.put(offset, word, run);
        if old.is_empty() {
            self.dense |= self.count() > thresholds.dense_above;
            self.choose_body(run);
        }
        old
    }

    fn put(&mut self, offset: u16, word: Word, run: usize) -> Word {
        if let Body::Window { first, used, words } = &mut self.body {
            if let Some(at) = offset.checked_sub(*first).map(usize::from).filter(|at| *at < words.len()) {
                let old = std::mem::replace(&mut words[at], word);
                *used += u32::from(old.is_empty());
                return old;
            }
            let (low, high) =
                (usize::from((*first).min(offset)), (usize::from(*first) + words.len()).max(usize::from(offset) + 1));
            if window_slots(high - low) <= 2 * SLOTS_PER_TEXT * ((*used as usize) + 1) {
                widen(first, words, offset, run);
                words[usize::from(offset - *first)] = word;
                *used += 1;
                return Word::EMPTY;
            }
            self.body = Body::List(self.take_list());
        }
        let Body::List(list) = &mut self.body else { unreachable!("a window was just made a list") };
        match list.binary_search_by_key(&offset, |(at, _)| *at) {
            Ok(at) => std::mem::replace(&mut list[at].1, word),
            Err(at) => {
                if list.len() == list.capacity() {
                    list.reserve_exact(list.len().max(1));
                }
                list.insert(at, (offset, word));
                Word::EMPTY
            }
        }
    }

    /// Takes a text out; an empty word if there is none.
    fn remove(&mut self, offset: u16, run: usize, thresholds: Thresholds) -> Word {
        let old = match &mut self.body {
            Body::List(list) => match list.binary_search_by_key(&offset, |(at, _)| *at) {
                Ok(at) => list.remove(at).1,
                Err(_) => Word::EMPTY,
            },
            Body::Window { first, used, words } => {
                let at = offset.checked_sub(*first).map(usize::from);
                let old = at
                    .and_then(|at| words.get_mut(at))
                    .map_or(Word::EMPTY, |word| std::mem::replace(word, Word::EMPTY));
                *used -= u32::from(!old.is_empty());
                old
            }
        };
        if !old.is_empty() {
            self.shrink(run, thresholds);
        }
        old
    }

    /// After texts went.
    fn shrink(&mut self, run: usize, thresholds: Thresholds) {
        self.dense &= self.count() >= thresholds.sparse_below;
        match &mut self.body {
            Body::List(list) if list.capacity() > 4 * list.len() => list.shrink_to(2 * list.len()),
            Body::Window { used, words, .. } if words.len() > WINDOW_MIN.max(4 * SLOTS_PER_TEXT * (*used as usize)) => {
                self.body = Body::List(self.take_list());
                self.choose_body(run);
            }
            _ => {}
        }
    }

    fn take_list(&mut self) -> Vec<(u16, Word)> {
        match std::mem::replace(&mut self.body, Body::List(Vec::new())) {
            Body::List(list) => list,
            Body::Window { first, used, words } => {
                let mut list = Vec::with_capacity(used as usize + 1);
                list.extend((first..=u16::MAX).zip(words).filter(|(_, word)| !word.is_empty()));
                list
            }
        }
    }

    /// A list becomes a window if that takes no more memory.
    fn choose_body(&mut self, run: usize) {
        let Body::List(list) = &self.body else { return };
        let (Some((low, _)), Some((high, _))) = (list.first(), list.last()) else { return };
        let slots = window_slots(usize::from(high - low) + 1);
        if list.len() < WINDOW_MIN || slots > SLOTS_PER_TEXT * list.len() {
            return;
        }
        // A window stays within the slice.
        let first = usize::from(*low).min(run - slots);
        let list = self.take_list();
        let used = list.len() as u32;
        let mut words = vec![Word::EMPTY; slots];
        for (offset, word) in list {
            words[usize::from(offset) - first] = word;
        }
        self.body = Body::Window { first: first as u16, used, words };
    }

    /// The greatest offset with a text.
    fn last(&self) -> u16 {
        match &self.body {
            Body::List(list) => list.last().map_or(0, |(at, _)| *at),
            Body::Window { first, words, .. } => {
                first + words.iter().rposition(|word| !word.is_empty()).unwrap_or(0) as u16
            }
        }
    }

    /// Texts of a range of offsets in order, until `each` says false.
    fn walk<'a>(&'a self, low: u16, high: u16, reverse: bool, each: &mut impl FnMut(u16, &'a Word) -> bool) -> bool {
        match &self.body {
            Body::List(list) => {
                let from = list.partition_point(|(at, _)| *at < low);
                let end = list.partition_point(|(at, _)| *at <= high);
                in_order(list[from..end.max(from)].iter(), reverse, |(at, word)| each(*at, word))
            }
            Body::Window { first, words, .. } => {
                let from = usize::from(low.saturating_sub(*first)).min(words.len());
                let end = (usize::from(high) + 1).saturating_sub(usize::from(*first)).min(words.len()).max(from);
                let base = usize::from(*first) + from;
                in_order(words[from..end].iter().enumerate(), reverse, |(nth, word)| {
                    word.is_empty() || each((base + nth) as u16, word)
                })
            }
        }
    }
}

/// Grows a window until it holds an offset, at least to twice its size.
fn widen(first: &mut u16, words: &mut Vec<Word>, offset: u16, run: usize) {
    let (old_first, old_end) = (usize::from(*first), usize::from(*first) + words.len());
    let (low, high) = (old_first.min(usize::from(offset)), old_end.max(usize::from(offset) + 1));
    let slots = window_slots(high - low).min(run);
    // New slots lie on the side where it grows, as far as the slice goes.
    let start = if low < old_first { high.saturating_sub(slots) } else { low.min(run - slots) };
    let mut wider = vec![Word::EMPTY; slots];
    for (nth, word) in words.drain(..).enumerate() {
        wider[old_first + nth - start] = word;
    }
    *words = wider;
    *first = start as u16;
}

fn in_order<I: DoubleEndedIterator>(mut all: I, reverse: bool, mut each: impl FnMut(I::Item) -> bool) -> bool {
    if reverse { all.rev().all(each) } else { all.all(&mut each) }
}

impl Array {
    /// Nothing in it. `slice_len`: indexes of a slice, a power of two up to 65,536.
    pub fn new(slice_len: usize, thresholds: Thresholds) -> Array {
        assert!(slice_len.is_power_of_two() && slice_len <= 1 << 16, "offsets have 16 bits");
        let slice_bits = slice_len.trailing_zeros();
        let slices = BTreeMap::new();
        let capture = Captured::default();
        Array { slice_bits, thresholds, slices, count: 0, text_bytes: 0, last_insert: None, capture }
    }

    /// Indexes of a slice.
    pub fn slice_len(&self) -> usize {
        1 << self.slice_bits
    }

    /// Slice and offset of an index.
    #[inline]
    fn place(&self, index: u64) -> (u64, u16) {
        (index >> self.slice_bits, (index & ((1 << self.slice_bits) - 1)) as u16)
    }

    /// Offsets of a slice's last index.
    fn last_offset(&self) -> u16 {
        (self.slice_len() - 1) as u16
    }

    /// Number of texts.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// One more than the greatest index that has a text.
    pub fn len(&self) -> u64 {
        self.slices.last_key_value().map_or(0, |(id, slice)| (id << self.slice_bits) + u64::from(slice.last()) + 1)
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The text of an index.
    #[inline]
    pub fn get(&self, index: u64) -> Option<&Word> {
        let (id, offset) = self.place(index);
        self.slices.get(&id)?.get(offset)
    }

    /// Sets the text of an index, at most `INDEX_MAX`; true if it had none.
    pub fn set(&mut self, index: u64, text: &[u8]) -> bool {
        self.set_word(index, Word::new(text))
    }

    fn set_word(&mut self, index: u64, word: Word) -> bool {
        let (id, offset) = self.place(index);
        self.preserve(id);
        self.text_bytes += word.alloc_bytes();
        let slice = self.slices.entry(id).or_insert(Slice { dense: false, body: Body::List(Vec::new()) });
        let old = slice.set(offset, word, 1 << self.slice_bits, self.thresholds);
        self.text_bytes -= old.alloc_bytes();
        self.count += u64::from(old.is_empty());
        old.is_empty()
    }

    /// Removes the text of an index; whether it had one.
    pub fn remove(&mut self, index: u64) -> bool {
        let (id, offset) = self.place(index);
        self.preserve(id);
        let Some(slice) = self.slices.get_mut(&id) else { return false };
        let old = slice.remove(offset, 1 << self.slice_bits, self.thresholds);
        if old.is_empty() {
            return false;
        }
        if slice.count() == 0 {
            self.slices.remove(&id);
        }
        self.text_bytes -= old.alloc_bytes();
        self.count -= 1;
        true
    }

    /// Removes the texts of the indexes from `low` to `high`; how many there were.
    pub fn remove_range(&mut self, low: u64, high: u64) -> u64 {
        let before = self.count;
        let ((low_id, low_offset), (high_id, high_offset)) = (self.place(low), self.place(high));
        if low > high {
            return 0;
        }
        let ids: Vec<u64> = self.slices.range(low_id..=high_id).map(|(id, _)| *id).collect();
        for id in ids {
            let from = if id == low_id { low_offset } else { 0 };
            let to = if id == high_id { high_offset } else { self.last_offset() };
            self.preserve(id);
            let Some(slice) = self.slices.get_mut(&id) else { continue };
            let mut gone: Vec<u16> = Vec::new();
            let mut bytes = 0;
            slice.walk(from, to, false, &mut |at, word| {
                gone.push(at);
                bytes += word.alloc_bytes();
                true
            });
            self.text_bytes -= bytes;
            self.count -= gone.len() as u64;
            if gone.len() == slice.count() {
                self.slices.remove(&id);
                continue;
            }
            // From the end: a list then moves the least.
            for at in gone.into_iter().rev() {
                slice.remove(at, 1 << self.slice_bits, self.thresholds);
            }
        }
        before - self.count
    }

    /// The texts of the indexes from `low` to `high`, upward or downward, until `each` says false.
    pub fn walk<'a>(&'a self, low: u64, high: u64, reverse: bool, mut each: impl FnMut(u64, &'a Word) -> bool) {
        let ((low_id, low_offset), (high_id, high_offset)) = (self.place(low), self.place(high));
        if low > high {
            return;
        }
        in_order(self.slices.range(low_id..=high_id), reverse, |(id, slice)| {
            let from = if *id == low_id { low_offset } else { 0 };
            let to = if *id == high_id { high_offset } else { self.last_offset() };
            slice.walk(from, to, reverse, &mut |offset, word| each((id << self.slice_bits) + u64::from(offset), word))
        });
    }

    /// Before values are inserted into a ring of `size` slots: where its size changes, the newest texts that follow each
    /// other without a gap move to the beginning, as many as the ring holds.
    pub fn fit_ring(&mut self, size: u64) {
        let span = self.len();
        let wrapped = self.last_insert.is_some_and(|last| last + 1 < span);
        if span == 0 || size == span || (size > span && !wrapped) {
            return;
        }
        let keep = size.min(span);
        let mut at = self.last_insert.map_or(span - 1, |last| last % span);
        let mut newest_first = Vec::new();
        while (newest_first.len() as u64) < keep {
            let Some(word) = self.get(at) else { break };
            newest_first.push(word.clone());
            at = at.checked_sub(1).unwrap_or(span - 1);
        }
        let mut fresh = Array::new(self.slice_len(), self.thresholds);
        for (index, word) in newest_first.into_iter().rev().enumerate() {
            fresh.set_word(index as u64, word);
            fresh.last_insert = Some(index as u64);
        }
        *self = fresh;
    }

    /// Puts a value into the next slot of a ring of `size` slots, and says which one that is.
    pub fn insert_into_ring(&mut self, size: u64, text: &[u8]) -> u64 {
        let at = self.last_insert.map_or(0, |last| last + 1) % size;
        self.set(at, text);
        self.last_insert = Some(at);
        at
    }

    /// How the slices are filled: a walk over all of them.
    pub fn shape(&self) -> Shape {
        let mut shape = Shape { slices: self.slices.len(), ..Shape::default() };
        for slice in self.slices.values() {
            if slice.dense {
                shape.dense += 1;
                shape.dense_slots += slice.slots();
                shape.dense_texts += slice.count();
            } else {
                shape.sparse_slots += slice.slots();
            }
        }
        shape
    }

    /// Number of slices.
    pub fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// Heap bytes; `samples` slices are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0, 0);
        for slice in self.slices.values().take(most) {
            seen += 1;
            bytes += match &slice.body {
                Body::List(list) => list.capacity() * size_of::<(u16, Word)>(),
                Body::Window { words, .. } => words.capacity() * size_of::<Word>(),
            };
        }
        // Nodes of a B-tree are two thirds full or more.
        let node_bytes = self.slices.len() * (size_of::<u64>() + size_of::<Slice>()) * 3 / 2;
        size_of::<Array>() + node_bytes + self.text_bytes + bytes * self.slices.len() / seen.max(1)
    }

    /// Checks the invariants.
    pub fn check(&self) {
        let (mut count, mut text_bytes) = (0, 0);
        for slice in self.slices.values() {
            assert!(slice.count() > 0, "no slice is empty");
            let mut seen = 0;
            slice.walk(0, u16::MAX, false, &mut |_, word| {
                seen += 1;
                text_bytes += word.alloc_bytes();
                true
            });
            assert_eq!(seen, slice.count());
            count += seen as u64;
            match &slice.body {
                Body::List(list) => assert!(list.windows(2).all(|pair| pair[0].0 < pair[1].0), "offsets ascend"),
                Body::Window { first, words, .. } => {
                    assert!(usize::from(*first) + words.len() <= self.slice_len(), "a window stays within its run");
                    let most = WINDOW_MIN.max(4 * SLOTS_PER_TEXT * slice.count());
                    assert!(words.len() <= most, "{} slots for {} texts", words.len(), slice.count());
                }
            }
        }
        assert_eq!((count, text_bytes), (self.count, self.text_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::BTreeMap as Model;

    fn text(rng: &mut Rng) -> Vec<u8> {
        match rng.below(4) {
            0 => rng.below(1 << 40).to_string().into_bytes(),
            1 => vec![b'x'; rng.below(40) as usize],
            2 => (-(rng.below(100) as i64)).to_string().into_bytes(),
            _ => format!("v{}", rng.below(1000)).into_bytes(),
        }
    }

    fn index(rng: &mut Rng, mode: u64) -> u64 {
        match (mode, rng.below(10)) {
            (0, _) => rng.below(200),
            (1, _) => 4000 + rng.below(300),
            (2, _) => rng.below(20) * 900,
            (_, 0) => INDEX_MAX - rng.below(5),
            (_, 1..=3) => rng.below(1 << 40),
            _ => rng.below(9000),
        }
    }

    const DEFAULT: Thresholds = Thresholds { dense_above: 10, sparse_below: 5 };

    fn new(slice_len: usize) -> Array {
        Array::new(slice_len, DEFAULT)
    }

    fn agree(array: &Array, model: &Model<u64, Vec<u8>>) {
        array.check();
        let fits = |slice: &Slice| if slice.dense { slice.count() >= 5 } else { slice.count() <= 10 };
        assert!(array.slices.values().all(fits), "slices are dense or sparse by their number of texts");
        assert_eq!(array.count(), model.len() as u64);
        assert_eq!(array.len(), model.last_key_value().map_or(0, |(index, _)| index + 1));
        for reverse in [false, true] {
            let mut all = Vec::new();
            array.walk(0, u64::MAX, reverse, |index, word| {
                all.push((index, word.read(|value| value.to_vec())));
                true
            });
            if reverse {
                all.reverse();
            }
            assert!(all.iter().map(|(index, text)| (index, text)).eq(model.iter()));
        }
    }

    #[test]
    fn behaves_as_a_naive_map() {
        for seed in 0..24 {
            println!("seed {seed}");
            let (mut rng, mut array, mut model) =
                (Rng::seeded(seed), new([4096, 256, 65_536][seed as usize % 3]), Model::new());
            for step in 0..1_500 {
                let (at, other) = (index(&mut rng, seed % 4), index(&mut rng, seed % 4));
                // Writing and removing in turn.
                match (rng.below(10) + 3 * (step / 300 % 2)).min(9) {
                    0..=5 => {
                        let text = text(&mut rng);
                        assert_eq!(array.set(at, &text), model.insert(at, text).is_none());
                    }
                    6..=7 => assert_eq!(array.remove(at), model.remove(&at).is_some()),
                    8 => {
                        let (low, high) =
                            (at.min(other), at.min(other) + rng.below(300).min(INDEX_MAX - at.min(other)));
                        let gone: Vec<u64> = model.range(low..=high).map(|(index, _)| *index).collect();
                        gone.iter().for_each(|index| drop(model.remove(index)));
                        assert_eq!(array.remove_range(low, high), gone.len() as u64);
                    }
                    _ => {
                        let got = array.get(at).map(|word| word.read(|value| value.to_vec()));
                        assert_eq!(got.as_ref(), model.get(&at));
                        let (low, high) = (at.min(other), at.max(other));
                        let mut seen = Vec::new();
                        array.walk(low, high, true, |index, _| {
                            seen.push(index);
                            seen.len() < 5
                        });
                        assert!(seen.into_iter().eq(model.range(low..=high).rev().take(5).map(|(index, _)| *index)));
                    }
                }
                if step % 100 == 0 {
                    agree(&array, &model);
                }
            }
            agree(&array.clone(), &model);
            assert_eq!(array.remove_range(0, u64::MAX), model.len() as u64);
            agree(&array, &Model::new());
        }
    }

    #[test]
    fn memory_stays_near_the_data() {
        let bytes_each = |step: u64| {
            let mut array = new(4096);
            for nth in 0..10_000 {
                array.set(nth * step, b"text");
            }
            array.check();
            array.alloc_bytes(0) / 10_000
        };
        assert!(bytes_each(1) <= 10, "{}", bytes_each(1));
        assert!(bytes_each(3) <= 34, "{}", bytes_each(3));
        assert!(bytes_each(100) <= 34, "{}", bytes_each(100));
        assert!(bytes_each(5_000) <= 90, "{}", bytes_each(5_000));
    }

    #[test]
    fn a_ring_keeps_the_newest_when_its_size_changes() {
        let ring = |size: u64, from: u64, to: u64, array: &mut Array| {
            array.fit_ring(size);
            (from..to).map(|n| array.insert_into_ring(size, n.to_string().as_bytes())).last()
        };
        let shown = |array: &Array| -> Vec<String> {
            let mut all = Vec::new();
            array.walk(0, u64::MAX, false, |index, word| {
                all.push(format!("{index}={}", String::from_utf8(word.read(|v| v.to_vec())).unwrap()));
                true
            });
            all
        };
        let mut array = new(4096);
        assert_eq!(ring(5, 0, 8, &mut array), Some(2));
        assert_eq!(ring(8, 8, 9, &mut array), Some(5));
        assert_eq!(shown(&array), ["0=3", "1=4", "2=5", "3=6", "4=7", "5=8"]);
        assert_eq!(ring(3, 9, 10, &mut array), Some(0));
        assert_eq!(shown(&array), ["0=9", "1=7", "2=8"]);
        array.remove(2);
        // The end is where the last text is: what was behind the gap is all that is left behind it.
        assert_eq!(ring(10, 10, 11, &mut array), Some(2));
        assert_eq!(shown(&array), ["0=7", "1=9", "2=10"]);
        array.remove(1);
        assert_eq!(ring(2, 11, 12, &mut array), Some(1));
        assert_eq!(shown(&array), ["0=10", "1=11"]);
    }
}
