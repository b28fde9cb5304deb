//! Vectors as they are stored, and how far two of them are apart. Knows no graph.
//!
//! ```text
//! F32    a word is one component, the whole brought to length 1
//! Int8   a word is four components, first one lowest; 127 stands for the largest component of the vector, its range
//! Bin    a word is 32 signs, first one lowest, set for positive components; an even number of words
//! ```
//! Distance is 1 - cosine: 0 for one direction, 2 for opposite ones. Of signs it is twice the share that differ.

use super::kernel::Isa;
use std::slice;

/// How vectors are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quant {
    /// Floats of 32 bits.
    F32,
    /// Integers of 8 bits.
    Int8,
    /// One bit.
    Bin,
}

/// The largest integer of a component.
const MOST: f32 = 127.0;

/// A vector in stored form.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Its words.
    pub words: Vec<u32>,
    /// Length before it was brought to 1.
    pub norm: f32,
    /// What 127 stands for; 0 unless `Int8`.
    pub range: f32,
}

/// What distance is measured between.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a> {
    pub words: &'a [u32],
    pub range: f32,
}

impl Encoded {
    pub(super) fn probe(&self) -> Probe<'_> {
        Probe { words: &self.words, range: self.range }
    }
}

/// The form of all vectors of a graph.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// How they are stored.
    pub quant: Quant,
    /// Components.
    pub dim: usize,
    isa: Isa,
}

impl Form {
    /// The form of vectors of `dim` components.
    pub fn new(quant: Quant, dim: usize) -> Form {
        Form { quant, dim, isa: Isa::detect() }
    }

    /// Words of a stored vector.
    pub fn words(self) -> usize {
        match self.quant {
            Quant::F32 => self.dim,
            Quant::Int8 => self.dim.div_ceil(4),
            Quant::Bin => 2 * self.dim.div_ceil(64),
        }
    }

    /// Brings a vector to length 1 and to its stored form. One of zeros stays what it is: it is as far from all others.
    pub fn encode(self, vector: &[f32]) -> Encoded {
        debug_assert_eq!(vector.len(), self.dim);
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        let unit: Vec<f32> = if norm == 0.0 { vector.to_vec() } else { vector.iter().map(|x| x / norm).collect() };
        let mut words = vec![0u32; self.words()];
        let mut range = 0f32;
        match self.quant {
            Quant::F32 => words.iter_mut().zip(&unit).for_each(|(word, x)| *word = x.to_bits()),
            Quant::Int8 => {
                range = unit.iter().fold(0f32, |most, x| most.max(x.abs()));
                let scale = if range > 0.0 { MOST / range } else { 0.0 };
                for (index, x) in unit.iter().enumerate() {
                    // What is no number becomes 0.
                    let small = (x * scale).round().clamp(-MOST, MOST) as i8;
                    words[index / 4] |= u32::from(small as u8) << (8 * (index % 4));
                }
            }
            Quant::Bin => {
                for (index, _) in unit.iter().enumerate().filter(|(_, x)| **x > 0.0) {
                    words[index / 32] |= 1 << (index % 32);
                }
            }
        }
        Encoded { words, norm, range }
    }

    /// A stored vector as it was given, about: signs are 1 and -1.
    pub fn decode(self, words: &[u32], norm: f32, range: f32) -> Vec<f32> {
        match self.quant {
            Quant::F32 => words.iter().map(|&word| f32::from_bits(word) * norm).collect(),
            Quant::Int8 => as_i8(words)[..self.dim].iter().map(|&x| f32::from(x) * range / MOST * norm).collect(),
            Quant::Bin => (0..self.dim).map(|i| if words[i / 32] >> (i % 32) & 1 == 1 { 1.0 } else { -1.0 }).collect(),
        }
    }

    /// The bytes of a stored vector as clients see them, without what fills the last word of integers.
    pub fn bytes(self, words: &[u32]) -> Vec<u8> {
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        if self.quant == Quant::Int8 {
            bytes.truncate(self.dim);
        }
        bytes
    }

    /// A stored vector of its bytes; `None` if they are not as many as they must be.
    pub fn words_of(self, bytes: &[u8]) -> Option<Vec<u32>> {
        let expected = if self.quant == Quant::Int8 { self.dim } else { 4 * self.words() };
        let word = |part: &[u8]| part.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte));
        (bytes.len() == expected).then(|| bytes.chunks(4).map(word).collect())
    }

    /// 1 - cosine, between 0 and 2; what is no number counts as 2.
    #[inline]
    pub(super) fn distance(self, a: Probe<'_>, b: Probe<'_>) -> f32 {
        let distance = match self.quant {
            Quant::F32 => 1.0 - self.isa.dot_f32(as_f32(a.words), as_f32(b.words)),
            Quant::Int8 => {
                let product = self.isa.dot_i8(as_i8(a.words), as_i8(b.words));
                1.0 - product as f32 * (a.range / MOST * (b.range / MOST))
            }
            Quant::Bin => 2.0 * self.isa.differing_bits(a.words, b.words) as f32 / self.dim as f32,
        };
        if distance.is_nan() { 2.0 } else { distance.clamp(0.0, 2.0) }
    }

    /// The product of two runs of floats.
    pub fn dot(self, a: &[f32], b: &[f32]) -> f32 {
        self.isa.dot_f32(a, b)
    }
}

fn as_f32(words: &[u32]) -> &[f32] {
    // SAFETY: same size and alignment, and any bits are a float.
    unsafe { slice::from_raw_parts(words.as_ptr().cast(), words.len()) }
}

fn as_i8(words: &[u32]) -> &[i8] {
    // SAFETY: four bytes a word, of any alignment and any bits. Little-endian machines have the first component first; on
    // others all vectors are turned alike, and `bytes` and `decode` are not used.
    unsafe { slice::from_raw_parts(words.as_ptr().cast(), 4 * words.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    pub fn vector(rng: &mut Rng, dim: usize) -> Vec<f32> {
        (0..dim).map(|_| (rng.below(2_000_001) as f32 - 1e6) / 1e5).collect()
    }

    #[test]
    fn values_of_the_manual_come_back() {
        let shown = |quant| {
            let form = Form::new(quant, 2);
            let stored = form.encode(&[1.262185, 1.958231]);
            form.decode(&stored.words, stored.norm, stored.range).iter().map(|&x| f64::from(x)).collect::<Vec<_>>()
        };
        assert_eq!(shown(Quant::Int8), [1.2643694877624512, 1.958230972290039]);
        assert_eq!(shown(Quant::F32), [1.262184977531433, 1.958230972290039]);
        assert_eq!(shown(Quant::Bin), [1.0, 1.0]);
    }

    #[test]
    fn distances_are_those_of_the_definition() {
        let mut rng = Rng::seeded(1);
        for dim in [1, 2, 3, 16, 31, 33, 100, 300] {
            let (a, b) = (vector(&mut rng, dim), vector(&mut rng, dim));
            let product = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            let exact = 1.0 - product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
            for (quant, error) in [(Quant::F32, 1e-4), (Quant::Int8, 0.02)] {
                let form = Form::new(quant, dim);
                let found = form.distance(form.encode(&a).probe(), form.encode(&b).probe());
                assert!((f64::from(found) - exact).abs() < error, "{quant:?} {dim}: {found} {exact}");
                assert_eq!(form.words_of(&form.bytes(&form.encode(&a).words)), Some(form.encode(&a).words));
            }
            let form = Form::new(Quant::Bin, dim);
            let differ = a.iter().zip(&b).filter(|(x, y)| (**x > 0.0) != (**y > 0.0)).count();
            let found = form.distance(form.encode(&a).probe(), form.encode(&b).probe());
            assert_eq!(found, 2.0 * differ as f32 / dim as f32);
        }
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        for quant in [Quant::F32, Quant::Int8, Quant::Bin] {
            let form = Form::new(quant, 3);
            let (zero, one) = (form.encode(&[0.0; 3]), form.encode(&[1.0, 0.0, 0.0]));
            let odd = form.encode(&[f32::NAN, f32::INFINITY, 1.0]);
            for pair in [(&zero, &one), (&odd, &one), (&odd, &odd), (&zero, &odd)] {
                let distance = form.distance(pair.0.probe(), pair.1.probe());
                assert!((0.0..=2.0).contains(&distance));
            }
            if quant != Quant::Bin {
                assert_eq!(form.distance(zero.probe(), one.probe()), 1.0);
            }
        }
        let form = Form::new(Quant::Int8, 2);
        let (a, b) = (form.encode(&[1.0, 1.0]), form.encode(&[-1.0, -1.0]));
        assert_eq!((form.distance(a.probe(), a.probe()), form.distance(a.probe(), b.probe())), (0.0, 2.0));
    }
}
