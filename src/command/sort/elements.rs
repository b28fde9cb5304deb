//! Copied elements, their weights and their order. Knows no key.

use crate::base::{float, text};
use crate::types::Elem;
use std::cmp::Ordering;

/// Byte strings and integers, one behind the other.
#[derive(Default)]
pub(super) struct Elements {
    bytes: Vec<u8>,
    /// Where the text begins and its length; of an integer its value and `INTEGER`.
    places: Vec<(u64, usize)>,
}

/// No text is so long.
const INTEGER: usize = usize::MAX;

impl Elements {
    pub(super) fn with_capacity(count: usize) -> Elements {
        Elements { bytes: Vec::new(), places: Vec::with_capacity(count) }
    }

    pub(super) fn push(&mut self, elem: Elem<'_>) {
        match elem {
            Elem::Int(n) => self.places.push((n as u64, INTEGER)),
            Elem::Str(text) => {
                self.places.push((self.bytes.len() as u64, text.len()));
                self.bytes.extend_from_slice(text);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    #[inline]
    pub(super) fn get(&self, nth: usize) -> Elem<'_> {
        match self.places[nth] {
            (n, INTEGER) => Elem::Int(n as i64),
            (at, len) => Elem::Str(&self.bytes[at as usize..at as usize + len]),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Elem<'_>> {
        (0..self.len()).map(|nth| self.get(nth))
    }

    /// Byte order of two elements' texts.
    fn compare(&self, one: usize, other: usize) -> Ordering {
        let (mut a, mut b) = (itoa::Buffer::new(), itoa::Buffer::new());
        self.get(one).text(&mut a).cmp(self.get(other).text(&mut b))
    }
}

/// What decides where the keys are equal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tie {
    /// The elements' texts.
    Elements,
    /// The texts that the elements led to; where they are equal too, the order that was.
    Others,
}

/// The weights of elements, in the elements' order.
pub(super) struct Weights {
    keys: Vec<u64>,
    others: Elements,
    /// Which elements led to a text, if that is asked for.
    has_other: Vec<bool>,
    tie: Tie,
    bad_number: bool,
}

/// A number as bits that order as the numbers do; both zeros are one.
fn number_key(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

/// The first bytes of a text, as bits that order as the texts do unless they are equal.
fn text_key(text: &[u8]) -> u64 {
    match text.first_chunk() {
        Some(first) => u64::from_be_bytes(*first),
        None => {
            let mut first = [0; 8];
            first[..text.len()].copy_from_slice(text);
            u64::from_be_bytes(first)
        }
    }
}

/// A text as C's `strtod` reads it: leading blanks are skipped, a NUL ends it, no text is 0; too large a number is none.
fn number(text: &[u8]) -> Option<f64> {
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|byte| text::is_blank(**byte)).count();
    float::parse_double(&text[blanks..])
}

impl Weights {
    pub(super) fn with_capacity(count: usize) -> Weights {
        Weights {
            keys: Vec::with_capacity(count),
            others: Elements::default(),
            has_other: Vec::new(),
            tie: Tie::Elements,
            bad_number: false,
        }
    }

    /// The next element weighs this number; 0 if there is none.
    pub(super) fn push_number(&mut self, weight: Option<Elem<'_>>) {
        let number = match weight {
            None => Some(0.0),
            Some(Elem::Int(n)) => Some(n as f64),
            Some(Elem::Str(text)) => number(text),
        };
        self.bad_number |= number.is_none();
        self.keys.push(number_key(number.unwrap_or(0.0)));
    }

    /// The next element's own text is its weight.
    pub(super) fn push_text(&mut self, elem: Elem<'_>) {
        self.keys.push(text_key(elem.text(&mut itoa::Buffer::new())));
    }

    /// The next element's weight is another text; those without one come first.
    pub(super) fn push_other_text(&mut self, text: Option<Elem<'_>>) {
        self.tie = Tie::Others;
        self.keys.push(text.map_or(0, |text| text_key(text.text(&mut itoa::Buffer::new()))));
        self.has_other.push(text.is_some());
        self.others.push(text.unwrap_or(Elem::Str(b"")));
    }

    /// Whether a text was no number.
    pub(super) fn has_bad_number(&self) -> bool {
        self.bad_number
    }

    /// Step 3: which elements stand at `count` ranks from `first` on.
    pub(super) fn order(self, elements: &Elements, descending: bool, first: usize, count: usize) -> Vec<usize> {
        if count == 0 {
            return Vec::new();
        }
        // Downward the keys ascend as well: turned over.
        let turn = if descending { u64::MAX } else { 0 };
        let mut all: Vec<(u64, usize)> = self.keys.iter().map(|key| key ^ turn).zip(0..).collect();
        let compare = |one: &(u64, usize), other: &(u64, usize)| {
            let tied = || match self.tie {
                Tie::Elements => elements.compare(one.1, other.1),
                Tie::Others => {
                    let has_other = self.has_other[one.1].cmp(&self.has_other[other.1]);
                    has_other.then_with(|| self.others.compare(one.1, other.1))
                }
            };
            let tied = || if descending { tied().reverse() } else { tied() };
            one.0.cmp(&other.0).then_with(tied).then(one.1.cmp(&other.1))
        };
        let end = first + count;
        if end < all.len() {
            all.select_nth_unstable_by(end, compare);
            all.truncate(end);
        }
        if first > 0 {
            all.select_nth_unstable_by(first, compare);
        }
        // Keys alone are sorted much faster; then those that are equal.
        all[first..].sort_unstable_by_key(|(key, _)| *key);
        all[first..].chunk_by_mut(|one, other| one.0 == other.0).for_each(|run| {
            if run.len() > 1 {
                run.sort_unstable_by(compare);
            }
        });
        all[first..].iter().map(|(_, nth)| *nth).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn texts(rng: &mut Rng, count: u64) -> Vec<Vec<u8>> {
        let one = |rng: &mut Rng| match rng.below(4) {
            0 => (rng.below(40) as i64 - 20).to_string().into_bytes(),
            1 => (rng.below(40) as f64 / 4.0).to_string().into_bytes(),
            2 => format!("{}e0", rng.below(9)).into_bytes(),
            _ => format!(" {}", rng.below(1000)).into_bytes(),
        };
        (0..count).map(|_| one(rng)).collect()
    }

    fn elem_of(text: &[u8]) -> Elem<'_> {
        Elem::from(text)
    }

    #[test]
    fn ranks_are_those_of_a_whole_stable_sort() {
        let mut rng = Rng::seeded(21);
        for round in 0..400 {
            let count = rng.below(60);
            let (own, other) = (texts(&mut rng, count), texts(&mut rng, count));
            let descending = round % 2 == 0;
            let mut elements = Elements::default();
            own.iter().for_each(|text| elements.push(elem_of(text)));
            let mut weights = Weights::with_capacity(own.len());
            for (nth, (own, other)) in own.iter().zip(&other).enumerate() {
                match round % 3 {
                    0 => weights.push_number(Some(elem_of(own))),
                    1 => weights.push_text(elem_of(own)),
                    _ => weights.push_other_text((nth % 3 > 0).then(|| elem_of(other))),
                }
            }
            assert!(!weights.has_bad_number());
            let mut expected: Vec<usize> = (0..own.len()).collect();
            expected.sort_by(|a, b| {
                let order = match round % 3 {
                    0 => {
                        let (x, y) = (number(&own[*a]).unwrap(), number(&own[*b]).unwrap());
                        x.partial_cmp(&y).unwrap().then_with(|| own[*a].cmp(&own[*b]))
                    }
                    1 => own[*a].cmp(&own[*b]),
                    _ => (a % 3 > 0).then(|| &other[*a]).cmp(&(b % 3 > 0).then(|| &other[*b])),
                };
                if descending { order.reverse() } else { order }
            });
            let first = rng.below(count + 1) as usize;
            let some = rng.below(count + 1 - first as u64) as usize;
            let got = weights.order(&elements, descending, first, some);
            let shown = |order: &[usize]| -> Vec<Vec<u8>> { order.iter().map(|nth| own[*nth].clone()).collect() };
            assert_eq!(shown(&got), shown(&expected[first..first + some]));
        }
    }

    #[test]
    fn numbers_are_read_as_strtod_reads_them() {
        for (text, value) in [("", 0.0), (" 5", 5.0), ("5\0x", 5.0), ("0x10", 16.0), ("inf", f64::INFINITY)] {
            assert_eq!(number(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in ["x", " ", "5 ", "1e400", "nan", "5x"] {
            assert_eq!(number(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn keys_order_as_what_they_stand_for() {
        let numbers = [f64::NEG_INFINITY, -1e300, -2.0, -1.0, -1e-300, 0.0, 1e-300, 1.0, 2.0, f64::INFINITY];
        assert!(numbers.windows(2).all(|pair| number_key(pair[0]) < number_key(pair[1])));
        assert_eq!(number_key(-0.0), number_key(0.0));
        let texts: [&[u8]; 5] = [b"", b"a", b"ab", b"abcdefgh", b"b"];
        assert!(texts.windows(2).all(|pair| text_key(pair[0]) < text_key(pair[1])));
    }
}
