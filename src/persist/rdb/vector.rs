//! Vector sets, there and back, in a form of this server's own: in Redis they are values of a module, whose bytes change with it.
//! Knows no other type.
//!
//! ```text
//! quant(0 f32, 1 int8, 2 bin) dim m uid
//! input-dim [row f32 ...]                              0: no projection
//! n ( name vector norm-f32 range-f32 attributes level (k id*k)*(level+1) )*n      links to those before it, by level
//! ```

use super::encode::{Encoder, Sink};
use super::input::{Fault, Input, Reader};
use crate::ds::hnsw::{Encoded, Hnsw, NodeRef, Quant};
use crate::types::{Projection, Vectors};

const QUANTS: [Quant; 3] = [Quant::F32, Quant::Int8, Quant::Bin];
/// Most components, and most links of a node.
const MOST_COMPONENTS: u64 = 1 << 20;
const MOST_LINKS: u64 = 4096;
/// Highest level of a node.
const MOST_LEVELS: u64 = 64;
/// Room for links may be so many times what was read: nodes have it before they have links.
const ROOM_PER_BYTE: u64 = 1024;
const FREE_ROOM_BYTES: u64 = 1 << 20;

impl<S: Sink> Encoder<S> {
    /// A vector set.
    pub(super) fn vectors(&mut self, vectors: &Vectors) {
        self.vectors_head(vectors);
        for (node, attributes) in vectors.iter() {
            self.node_of(node, attributes.unwrap_or_default());
        }
    }

    /// What stands before the nodes.
    pub(super) fn vectors_head(&mut self, vectors: &Vectors) {
        let graph = vectors.graph();
        let quant = QUANTS.iter().position(|quant| *quant == graph.form().quant).unwrap_or(0);
        for number in [quant as u64, vectors.dim() as u64, graph.m() as u64, vectors.uid()] {
            self.length(number);
        }
        self.length(vectors.projection().map_or(0, |projection| projection.input_dim() as u64));
        for row in vectors.projection().into_iter().flat_map(Projection::rows) {
            self.sink.put(&row.to_le_bytes());
        }
        self.length(vectors.len() as u64);
    }

    /// A node; they come by id.
    pub(super) fn node_of(&mut self, node: NodeRef<'_>, attributes: &[u8]) {
        self.string(node.name());
        self.string(&node.bytes());
        self.sink.put(&node.norm().to_le_bytes());
        self.sink.put(&node.range().to_le_bytes());
        self.string(attributes);
        self.length(node.level() as u64);
        for level in 0..=node.level() {
            let before = || node.links(level).iter().filter(|id| **id < node.id());
            self.length(before().count() as u64);
            before().for_each(|id| self.length(u64::from(*id)));
        }
    }
}

fn float<I: Input>(reader: &mut Reader<I>) -> Result<f32, Fault> {
    let value = f32::from_le_bytes(reader.array()?);
    if value.is_finite() { Ok(value) } else { Err(reader.corrupt("a component that is not a number")) }
}

fn at_most<I: Input>(reader: &mut Reader<I>, most: u64) -> Result<usize, Fault> {
    let number = reader.length()?;
    if number > most { Err(reader.corrupt("a vector set of impossible measures")) } else { Ok(number as usize) }
}

/// Reads a vector set.
///
/// # Errors
/// What is wrong with it.
pub(super) fn decode<I: Input>(reader: &mut Reader<I>) -> Result<Vectors, Fault> {
    let quant = QUANTS[at_most(reader, QUANTS.len() as u64 - 1)?];
    let (dim, m) = (at_most(reader, MOST_COMPONENTS)?, at_most(reader, MOST_LINKS)?);
    let mut vectors = Vectors::new(quant, dim, m, reader.length()?);
    let input_dim = at_most(reader, MOST_COMPONENTS)?;
    if input_dim > 0 {
        let rows = (0..input_dim * dim).map(|_| float(reader)).collect::<Result<Vec<f32>, Fault>>()?;
        let projection = Projection::from_rows(input_dim, dim, rows);
        vectors = vectors.with_projection(projection.ok_or_else(|| reader.corrupt("a projection of no size"))?);
    }
    let mut room = 0;
    for _ in 0..reader.length()? {
        let attributes = node(reader, vectors.graph_mut(), &mut room)?;
        let id = vectors.len().saturating_sub(1) as u32;
        vectors.set_attributes(id, &attributes);
    }
    if vectors.is_empty() { Err(Fault::Empty) } else { Ok(vectors) }
}

/// A node with its links to those before it; its attributes.
fn node<I: Input>(reader: &mut Reader<I>, graph: &mut Hnsw, room: &mut u64) -> Result<Vec<u8>, Fault> {
    let name = reader.owned_string()?;
    let words = graph.form().words_of(reader.string()?);
    let words = words.ok_or_else(|| reader.corrupt("a vector of another length"))?;
    if graph.form().quant == Quant::F32 && words.iter().any(|word| !f32::from_bits(*word).is_finite()) {
        return Err(reader.corrupt("a component that is not a number"));
    }
    let vector = Encoded { words, norm: float(reader)?, range: float(reader)? };
    let attributes = reader.owned_string()?;
    let level = at_most(reader, MOST_LEVELS)?;
    *room += (level as u64 + 2) * graph.m() as u64 * size_of::<u32>() as u64;
    if *room > FREE_ROOM_BYTES + reader.input.offset().saturating_mul(ROOM_PER_BYTE) {
        return Err(reader.corrupt("a vector set with room for far more links than it has"));
    }
    let unfit = "an element that does not fit into its vector set";
    let id = graph.restore_node(&name, &vector, level).ok_or_else(|| reader.corrupt(unfit))?;
    for level in 0..=level {
        for _ in 0..reader.length()? {
            let other = u32::try_from(reader.length()?).ok().filter(|other| *other < id);
            if !other.is_some_and(|other| graph.restore_link(level, id, other)) {
                return Err(reader.corrupt("a link that can't be"));
            }
        }
    }
    Ok(attributes)
}
