//! Vector sets, there and back. Knows no other type. The form is this server's own: no published version of Redis has one
//! outside of its modules.
//!
//! ```text
//! 201 vector set   quant-byte dim m uid            0 floats, 1 integers of 8 bits, 2 bits
//!                  input-dim                       of the projection, which follows from both numbers; 0 for none
//!                  n node*n
//!                  (n-links id*n-links)*levels     for each node in the same order, the lowest level first
//! node             name attributes level norm-f32 range-f32 vector     names, attributes, vectors are strings
//! ```

use super::encode::{Encoder, Sink};
use super::input::{Fault, Input, Reader};
use crate::ds::hnsw::{Encoded, Quant};
use crate::types::{Projection, Vectors};

/// Most links of a node and most components that a command can ask for.
const M: std::ops::RangeInclusive<u64> = 2..=4096;
const DIM: std::ops::RangeInclusive<u64> = 1..=1 << 20;
/// Most numbers of a projection.
const MATRIX_MAX: u64 = 1 << 26;

const fn quant_code(quant: Quant) -> u8 {
    match quant {
        Quant::F32 => 0,
        Quant::Int8 => 1,
        Quant::Bin => 2,
    }
}

impl<S: Sink> Encoder<S> {
    /// A vector set.
    pub(super) fn vectors(&mut self, vectors: &Vectors) {
        let graph = vectors.graph();
        self.byte(quant_code(graph.form().quant));
        for number in [vectors.dim() as u64, graph.m() as u64, vectors.uid()] {
            self.length(number);
        }
        self.length(vectors.projection().map_or(0, |projection| projection.input_dim() as u64));
        self.length(vectors.len() as u64);
        for (node, attributes) in vectors.iter() {
            self.string(node.name());
            self.string(attributes.unwrap_or_default());
            self.byte(node.level() as u8);
            self.sink.put(&node.norm().to_le_bytes());
            self.sink.put(&node.range().to_le_bytes());
            self.string(&node.bytes());
        }
        for node in graph.iter() {
            for level in 0..=node.level() {
                let links = node.links(level);
                self.length(links.len() as u64);
                links.iter().for_each(|id| self.length(u64::from(*id)));
            }
        }
    }
}

/// Reads a vector set.
///
/// # Errors
/// What is wrong with it; `Empty` for one of nothing.
pub(super) fn decode<I: Input>(reader: &mut Reader<I>) -> Result<Vectors, Fault> {
    let mut vectors = head(reader)?;
    let count = reader.length()?;
    for _ in 0..count {
        node(reader, &mut vectors)?;
    }
    let levels: Vec<usize> = vectors.graph().iter().map(|node| node.level()).collect();
    for (id, level) in levels.into_iter().enumerate() {
        for level in 0..=level {
            for _ in 0..reader.length()? {
                let other = u32::try_from(reader.length()?).map_err(|_| reader.corrupt("a link to no element"))?;
                if !vectors.graph_mut().restore_link(level, id as u32, other) {
                    return Err(reader.corrupt("a link that can't be"));
                }
            }
        }
    }
    if vectors.is_empty() { Err(Fault::Empty) } else { Ok(vectors) }
}

/// What stands before the elements.
fn head<I: Input>(reader: &mut Reader<I>) -> Result<Vectors, Fault> {
    let quant = match reader.byte()? {
        0 => Quant::F32,
        1 => Quant::Int8,
        2 => Quant::Bin,
        _ => return Err(reader.corrupt("an unknown form of vectors")),
    };
    let (dim, m, uid, input_dim) = (reader.length()?, reader.length()?, reader.length()?, reader.length()?);
    if !DIM.contains(&dim) || !M.contains(&m) || (input_dim != 0 && !(dim..=*DIM.end()).contains(&input_dim)) {
        return Err(reader.corrupt("a vector set of impossible size"));
    }
    let vectors = Vectors::new(quant, dim as usize, m as usize, uid);
    if input_dim == 0 {
        return Ok(vectors);
    }
    if input_dim.saturating_mul(dim) > MATRIX_MAX {
        return Err(reader.corrupt("a projection of impossible size"));
    }
    Ok(vectors.with_projection(Projection::new(input_dim as usize, dim as usize)))
}

/// One element, its links still to come.
fn node<I: Input>(reader: &mut Reader<I>, vectors: &mut Vectors) -> Result<(), Fault> {
    let name = reader.owned_string()?;
    let attributes = reader.owned_string()?;
    let level = usize::from(reader.byte()?);
    let norm = f32::from_le_bytes(reader.array()?);
    let range = f32::from_le_bytes(reader.array()?);
    let form = vectors.graph().form();
    let words = form.words_of(reader.string()?);
    let finite = |words: &[u32]| form.quant != Quant::F32 || words.iter().all(|&word| f32::from_bits(word).is_finite());
    let Some(words) = words.filter(|words| norm.is_finite() && range.is_finite() && finite(words)) else {
        return Err(reader.corrupt("a vector that is none"));
    };
    match vectors.graph_mut().restore_node(&name, &Encoded { words, norm, range }, level) {
        Some(id) => {
            vectors.set_attributes(id, &attributes);
            Ok(())
        }
        None => Err(reader.corrupt("an element that is there twice, or at an impossible level")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::persist::rdb::input::Slice;
    use std::collections::BTreeSet;

    fn sample(quant: Quant, rng: &mut Rng) -> Vectors {
        let mut vectors = Vectors::new(quant, 24, 4, 77);
        for n in 0..300u32 {
            let given: Vec<f32> = (0..24).map(|_| rng.below(2001) as f32 / 100.0 - 10.0).collect();
            let (id, _) = vectors.insert(format!("element {n}").as_bytes(), &given, 50, &mut || rng.next_u64());
            if n % 3 == 0 {
                vectors.set_attributes(id, format!("{{\"n\":{n}}}").as_bytes());
            }
            if n % 7 == 6 {
                vectors.remove(format!("element {}", n - 3).as_bytes());
            }
        }
        vectors
    }

    fn written(vectors: &Vectors) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new(), true);
        encoder.vectors(vectors);
        encoder.sink
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let mut rng = Rng::seeded(5);
        for quant in [Quant::F32, Quant::Int8, Quant::Bin] {
            let vectors = sample(quant, &mut rng);
            let bytes = written(&vectors);
            let read = decode(&mut Reader::new(Slice::of(&bytes))).expect("it is whole");
            read.graph().check();
            assert_eq!((read.len(), read.attribute_count()), (vectors.len(), vectors.attribute_count()));
            for (node, attributes) in vectors.iter() {
                let same = read.graph().node(node.id()).expect("ids are kept");
                assert_eq!((same.name(), same.encoded(), same.level()), (node.name(), node.encoded(), node.level()));
                assert_eq!(read.attributes(same.id()), attributes);
                for level in 0..=node.level() {
                    let sorted = |links: &[u32]| BTreeSet::from_iter(links.iter().copied());
                    assert_eq!(sorted(same.links(level)), sorted(node.links(level)), "in any order");
                }
            }
        }
    }

    #[test]
    fn rubbish_is_refused_and_nothing_else_happens() {
        let mut rng = Rng::seeded(6);
        let bytes = written(&sample(Quant::Int8, &mut rng));
        for cut in (0..bytes.len()).step_by(31) {
            assert!(decode(&mut Reader::new(Slice::of(&bytes[..cut]))).is_err(), "cut at {cut}");
        }
        for _ in 0..2000 {
            let mut bad = bytes.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bad.len() as u64) as usize;
                bad[at] = rng.next_u64() as u8;
            }
            if let Ok(read) = decode(&mut Reader::new(Slice::of(&bad))) {
                read.graph().check();
            }
        }
    }
}
