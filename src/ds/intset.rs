//! An intset: a set of numbers as a sorted array in one run of bytes.
//!
//! Sets of nothing but integers are this while they are small. It knows no key and no string.
//!
//! ```text
//!   ours  [width u8: 2, 4 or 8][number LE][number LE] ...                      ascending, no two equal
//!   wire  [width u32 LE][count u32 LE][number LE][number LE] ...               as files and DUMP have it
//! ```
//!
//! A number that needs more bytes widens all of them; they never narrow again (nor do Redis's, whose bytes these are).
//! Invariant: the width is 2, 4 or 8 and the bytes behind it are a whole number of strictly ascending numbers. Blobs that
//! may break this come in through [`from_wire`] alone; on others reading answers nonsense or nothing, but never panics.

use crate::ds::blob::{Blob, Corrupt};

/// Offset of the first number: the size of the width.
const HEADER_BYTES: usize = 1;
const WIRE_HEADER_BYTES: usize = 8;

/// An intset without numbers.
pub const EMPTY: [u8; HEADER_BYTES] = [2];

// ---- Reading ----

/// An intset's bytes, taken apart once.
#[derive(Clone, Copy)]
struct View<'a> {
    width: usize,
    numbers: &'a [u8],
    len: usize,
}

impl<'a> View<'a> {
    #[inline]
    fn of(set: &'a [u8]) -> Self {
        match set {
            [width @ (2 | 4 | 8), numbers @ ..] => {
                let width = usize::from(*width);
                Self { width, numbers, len: numbers.len() >> width.trailing_zeros() }
            }
            _ => Self { width: 2, numbers: &[], len: 0 },
        }
    }

    /// The number at `index`, which is below `len`.
    #[inline]
    fn number(self, index: usize) -> i64 {
        match self.width {
            2 => i64::from(i16::from_le_bytes(self.array(index))),
            4 => i64::from(i32::from_le_bytes(self.array(index))),
            _ => i64::from_le_bytes(self.array(index)),
        }
    }

    #[inline]
    fn array<const WIDTH: usize>(self, index: usize) -> [u8; WIDTH] {
        let at = index * WIDTH;
        *self.numbers[at..].first_chunk().expect("the index is below the length")
    }

    /// `Ok` with the index of `number`, or `Err` with the index where it would stand.
    #[inline]
    fn search(self, number: i64) -> Result<usize, usize> {
        match self.width {
            2 => self.search_by(number, |index| i64::from(i16::from_le_bytes(self.array(index)))),
            4 => self.search_by(number, |index| i64::from(i32::from_le_bytes(self.array(index)))),
            _ => self.search_by(number, |index| i64::from_le_bytes(self.array(index))),
        }
    }

    #[inline]
    fn search_by(self, number: i64, read: impl Fn(usize) -> i64) -> Result<usize, usize> {
        let mut rest = self.len;
        // Builders mostly add in order: beyond the last there is nothing to search.
        if rest == 0 || read(rest - 1) < number {
            return Err(rest);
        }
        // Halving without a branch on the comparison: it is a coin toss that the processor would guess wrong.
        let mut base = 0;
        while rest > 1 {
            let half = rest / 2;
            base = if read(base + half) <= number { base + half } else { base };
            rest -= half;
        }
        match read(base) {
            found if found == number => Ok(base),
            found => Err(base + usize::from(found < number)),
        }
    }
}

/// Number of numbers.
#[inline]
pub fn len(set: &[u8]) -> usize {
    View::of(set).len
}

/// Whether there are none.
#[inline]
pub fn is_empty(set: &[u8]) -> bool {
    len(set) == 0
}

/// Whether `number` is a member. O(log n).
#[inline]
pub fn contains(set: &[u8], number: i64) -> bool {
    View::of(set).search(number).is_ok()
}

/// The number at `index` in ascending order.
#[inline]
pub fn get(set: &[u8], index: usize) -> Option<i64> {
    let view = View::of(set);
    (index < view.len).then(|| view.number(index))
}

/// The least number.
pub fn min(set: &[u8]) -> Option<i64> {
    get(set, 0)
}

/// The greatest number.
pub fn max(set: &[u8]) -> Option<i64> {
    get(set, len(set).checked_sub(1)?)
}

/// A member by lot: `random` is any 64 random bits, each member as likely as another.
pub fn pick(set: &[u8], random: u64) -> Option<i64> {
    let view = View::of(set);
    // The upper half of the product is uniform over the length, without a division.
    let index = ((u128::from(random) * view.len as u128) >> 64) as usize;
    (index < view.len).then(|| view.number(index))
}

/// All numbers, ascending; also from the back, and with `nth` in O(1).
pub fn iter(set: &[u8]) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator + Clone + '_ {
    let view = View::of(set);
    (0..view.len).map(move |index| view.number(index))
}

// ---- Writing ----

/// Bytes that a number needs.
#[inline]
fn width_of(number: i64) -> usize {
    if i64::from(number as i16) == number {
        2
    } else if i64::from(number as i32) == number {
        4
    } else {
        8
    }
}

/// Adds `number`; false if it is a member already. O(log n) and one splice, or O(n) when it widens the others.
pub fn add(blob: &mut (impl Blob + ?Sized), number: i64) -> bool {
    let view = View::of(blob.bytes());
    if blob.bytes().is_empty() || width_of(number) > view.width {
        return add_all(blob, &mut [number]) == 1;
    }
    let Err(index) = view.search(number) else {
        return false;
    };
    let width = view.width;
    blob.splice(HEADER_BYTES + index * width, 0, &number.to_le_bytes()[..width]);
    true
}

/// Removes `number`; false if it is no member.
pub fn remove(blob: &mut (impl Blob + ?Sized), number: i64) -> bool {
    let view = View::of(blob.bytes());
    let Ok(index) = view.search(number) else {
        return false;
    };
    let width = view.width;
    blob.splice(HEADER_BYTES + index * width, width, &[]);
    true
}

/// Removes and returns the number at `index` (SPOP draws it).
pub fn remove_at(blob: &mut (impl Blob + ?Sized), index: usize) -> Option<i64> {
    let view = View::of(blob.bytes());
    let number = get(blob.bytes(), index)?;
    let width = view.width;
    blob.splice(HEADER_BYTES + index * width, width, &[]);
    Some(number)
}

/// Adds many numbers with one merge and one splice, and sorts `numbers` on the way. Returns how many were new.
pub fn add_all(blob: &mut (impl Blob + ?Sized), numbers: &mut [i64]) -> usize {
    numbers.sort_unstable();
    let old = blob.bytes();
    let (Some(least), Some(greatest)) = (numbers.first(), numbers.last()) else {
        return 0;
    };
    let view = View::of(old);
    let width = view.width.max(width_of(*least)).max(width_of(*greatest));
    let mut merged = Vec::with_capacity(HEADER_BYTES + (view.len + numbers.len()) * width);
    merged.push(width as u8);
    let mut put = |number: i64| merged.extend_from_slice(&number.to_le_bytes()[..width]);
    let mut olds = iter(old).peekable();
    let mut added = 0;
    for (index, number) in numbers.iter().enumerate() {
        while let Some(smaller) = olds.next_if(|old| old < number) {
            put(smaller);
        }
        if olds.peek() != Some(number) && (index == 0 || numbers[index - 1] != *number) {
            put(*number);
            added += 1;
        }
    }
    olds.for_each(put);
    let old_len = blob.bytes().len();
    blob.splice(0, old_len, &merged);
    added
}

/// An intset of these numbers (in any order, repetitions allowed), of exactly their size. Sorts `numbers`.
pub fn from_numbers(numbers: &mut [i64]) -> Vec<u8> {
    let mut set = EMPTY.to_vec();
    add_all(&mut set, numbers);
    set.shrink_to_fit();
    set
}

// ---- Wire ----

/// The wire form of an intset.
///
/// Panics above 4 G numbers: owners convert long before.
pub fn to_wire(set: &[u8]) -> Vec<u8> {
    let view = View::of(set);
    let count = u32::try_from(view.len).expect("an intset stays below 4 G numbers");
    let mut wire = Vec::with_capacity(WIRE_HEADER_BYTES + view.numbers.len());
    wire.extend_from_slice(&(view.width as u32).to_le_bytes());
    wire.extend_from_slice(&count.to_le_bytes());
    wire.extend_from_slice(view.numbers);
    wire
}

/// Our form of a wire intset, checked: width, count, order.
pub fn from_wire(wire: &[u8]) -> Result<Vec<u8>, Corrupt> {
    let corrupt = |offset, what| Err(Corrupt { offset, what });
    let Some((&[w0, w1, w2, w3, c0, c1, c2, c3], numbers)) = wire.split_first_chunk::<WIRE_HEADER_BYTES>() else {
        return corrupt(wire.len(), "intset shorter than its header");
    };
    let (width, count) = (u32::from_le_bytes([w0, w1, w2, w3]), u32::from_le_bytes([c0, c1, c2, c3]));
    if !matches!(width, 2 | 4 | 8) {
        return corrupt(0, "intset width is not 2, 4 or 8");
    }
    if u64::from(width) * u64::from(count) != numbers.len() as u64 {
        return corrupt(4, "intset count differs from its bytes");
    }
    let mut set = Vec::with_capacity(HEADER_BYTES + numbers.len());
    set.push(width as u8);
    set.extend_from_slice(numbers);
    let followers = iter(&set).skip(1);
    if let Some(index) = iter(&set).zip(followers).position(|(number, next)| number >= next) {
        return corrupt(WIRE_HEADER_BYTES + (index + 1) * width as usize, "intset numbers not ascending");
    }
    Ok(set)
}

/// Reads arbitrary bytes as a wire intset and as one of ours: no input may panic, what is accepted must be whole.
pub fn fuzz_intset(data: &[u8]) {
    if let Ok(set) = from_wire(data) {
        assert_eq!(to_wire(&set), data);
        assert!(iter(&set).all(|number| contains(&set, number)));
    }
    let mut blob = data.to_vec();
    std::hint::black_box((min(data), max(data), pick(data, u64::MAX), contains(data, 0)));
    if let Some(number) = get(data, data.len() / 4) {
        add(&mut blob, number);
        remove(&mut blob, number.wrapping_add(1));
    }
    add_all(&mut blob, &mut [i64::MAX, 3]);
    remove_at(&mut blob, 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::steps;
    use std::collections::BTreeSet;

    fn next_random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    fn check(set: &[u8], model: &BTreeSet<i64>) {
        assert_eq!(len(set), model.len());
        assert!(iter(set).eq(model.iter().copied()));
        assert!(iter(set).rev().eq(model.iter().rev().copied()));
        assert_eq!((min(set), max(set)), (model.first().copied(), model.last().copied()));
        assert_eq!(from_wire(&to_wire(set)).as_deref(), Ok(set));
    }

    #[test]
    fn behaves_as_an_ordered_set_while_it_widens() {
        for seed in 1..=steps(2_500) as u64 {
            println!("seed {seed}");
            let mut state = seed;
            let (mut set, mut model) = (EMPTY.to_vec(), BTreeSet::new());
            for step in 0..400_u32 {
                let random = next_random(&mut state);
                // The first are small, then wider ones come in between.
                let number = (random >> 8) as i64 >> (64 - 8 - (step / 8).min(55));
                match random % 6 {
                    0..=2 => assert_eq!(add(&mut set, number), model.insert(number)),
                    3 => assert_eq!(remove(&mut set, number), model.remove(&number)),
                    4 => {
                        let mut many = [number, number ^ 1, number, -number, number / 3];
                        let expected = many.iter().filter(|number| model.insert(**number)).count();
                        assert_eq!(add_all(&mut set, &mut many), expected);
                    }
                    _ => {
                        let number = pick(&set, random);
                        assert_eq!(number.is_some(), !model.is_empty());
                        assert!(number.is_none_or(|number| model.contains(&number)));
                        let index = (random >> 40) as usize % (model.len() + 1);
                        let removed = remove_at(&mut set, index);
                        assert_eq!(removed, model.iter().nth(index).copied());
                        removed.map(|number| model.remove(&number));
                    }
                }
                assert_eq!(contains(&set, number), model.contains(&number));
                if seed <= 20 || u64::from(step) % 50 == seed % 50 {
                    check(&set, &model);
                }
            }
            let mut all: Vec<_> = model.iter().rev().copied().collect();
            check(&from_numbers(&mut all), &model);
        }
    }

    #[test]
    fn widens_at_the_edges_of_each_width() {
        for (number, width) in [
            (32_767, 2),
            (-32_768, 2),
            (32_768, 4),
            (-32_769, 4),
            (2_147_483_647, 4),
            (-2_147_483_648, 4),
            (2_147_483_648, 8),
            (i64::MIN, 8),
            (i64::MAX, 8),
        ] {
            let mut set = Vec::new();
            assert!(add(&mut set, 1) && add(&mut set, number) && !add(&mut set, number));
            assert_eq!((set[0], len(&set)), (width, 2));
            assert!(remove(&mut set, number) && !remove(&mut set, number));
            assert_eq!((set[0], len(&set)), (width, 1), "it never narrows");
            assert!(contains(&set, 1) && !contains(&set, number));
        }
    }

    #[test]
    fn the_wire_form_is_that_of_redis() {
        let mut set = EMPTY.to_vec();
        assert_eq!(to_wire(&set), [2, 0, 0, 0, 0, 0, 0, 0]);
        add_all(&mut set, &mut [70_000, -1, 5]);
        let wire = [4, 0, 0, 0, 3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 5, 0, 0, 0, 0x70, 0x11, 1, 0];
        assert_eq!(to_wire(&set), wire);
        assert_eq!(from_wire(&wire), Ok(set));
    }

    #[test]
    fn what_is_broken_is_refused_and_never_panics() {
        let wire = to_wire(&from_numbers(&mut [1, 2, 300, -9]));
        for at in 0..wire.len() {
            assert!(from_wire(&wire[..at]).is_err());
            for flip in 1..=255 {
                let mut broken = wire.clone();
                broken[at] ^= flip;
                fuzz_intset(&broken);
                fuzz_intset(&broken[at..]);
            }
        }
        let unsorted = [2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 1, 0];
        assert_eq!(from_wire(&unsorted), Err(Corrupt { offset: 10, what: "intset numbers not ascending" }));
        fuzz_intset(&[]);
    }
}
