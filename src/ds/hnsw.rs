//! A graph in which the nearest vectors to a given one are found by walking: hierarchical navigable small worlds, after Malkov
//! and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs",
//! 2016; "Algorithm n" in this folder is theirs. Knows no key, no attribute and no reply; randomness is an argument.
//!
//! ```text
//! level 2   a . . . . . . . g . .     few nodes, long links       the walk begins at the entry node, above
//! level 1   a . . d . . . . g . i     about 1/M as many
//! level 0   a b c d e f g h i j k     all nodes, up to 2M links   and ends here, with a beam of `ef` nodes
//!
//! nodes    Vec<Node>          one allocation a node: vector, links of all its levels, name (node.rs)
//! names    BTreeSet<NameKey>  addresses of nodes in the order of their names: look-up and ranges
//! ```
//!
//! Two things differ from the paper, so that an element can really be removed. Links are mutual: who drops a link is dropped
//! too. So a node knows all that point to it, and removal is the repair of a few lists (link.rs). And ids are dense: the last
//! node takes the place of a removed one, so an id is an index, and a random id a random element.
//!
//! Invariants: links are mutual, without repeats, never to oneself, and on a level that both ends have; the entry is a node of
//! the highest level.

mod kernel;
mod link;
mod node;
mod quant;
mod search;
#[cfg(test)]
mod tests;

use super::overlay::{Captured, Overlay};
use node::{NameKey, Node};
use std::collections::BTreeSet;
use std::ops::Bound;

pub use quant::{Encoded, Form, Quant};
pub use search::{Filter, Found};

/// The highest level that a node can have.
const LEVEL_MAX: usize = 15;

/// The graph.
pub struct Hnsw {
    form: Form,
    m: usize,
    /// First, so that it is dropped before the nodes that its keys lie in.
    names: BTreeSet<NameKey>,
    nodes: Vec<Node>,
    /// The level of each node: what a search for a new entry reads.
    levels: Vec<u8>,
    entry: u32,
    /// How many nodes were ever added.
    added: u64,
    /// Its nodes as they were when their capture began.
    capture: Captured<Overlay<Node>>,
}

/// A node, to look at it.
#[derive(Clone, Copy)]
pub struct NodeRef<'a> {
    node: &'a Node,
    form: Form,
}

impl<'a> NodeRef<'a> {
    /// Its index.
    pub fn id(self) -> u32 {
        self.node.id()
    }

    /// Its element's name.
    pub fn name(self) -> &'a [u8] {
        self.node.name()
    }

    /// Its highest level.
    pub fn level(self) -> usize {
        self.node.level()
    }

    /// The ids linked on one of its levels.
    pub fn links(self, level: usize) -> &'a [u32] {
        self.node.links(level)
    }

    /// Length of the vector before it was brought to 1.
    pub fn norm(self) -> f32 {
        self.node.norm()
    }

    /// What 127 stands for in integers.
    pub fn range(self) -> f32 {
        self.node.range()
    }

    /// The stored vector's bytes.
    pub fn bytes(self) -> Vec<u8> {
        self.form.bytes(self.node.vector())
    }

    /// The vector as it was given, about.
    pub fn components(self) -> Vec<f32> {
        self.form.decode(self.node.vector(), self.node.norm(), self.node.range())
    }

    /// The stored vector.
    pub fn encoded(self) -> Encoded {
        Encoded { words: self.node.vector().to_vec(), norm: self.node.norm(), range: self.node.range() }
    }
}

/// What became of an insertion.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// A new node, with this id.
    New(u32),
    /// The node with this id has another vector.
    Moved(u32),
}

impl Hnsw {
    /// A graph of vectors of a form, whose nodes have `m` links on a level and 2 `m` on the lowest.
    pub fn new(form: Form, m: usize) -> Hnsw {
        let (names, nodes, levels) = (BTreeSet::new(), Vec::new(), Vec::new());
        Hnsw { form, m, names, nodes, levels, entry: 0, added: 0, capture: Captured::default() }
    }

    /// The form of its vectors.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Links of a node on a level above the lowest.
    pub fn m(&self) -> usize {
        self.m
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many nodes were ever added.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// The highest level.
    pub fn level(&self) -> usize {
        self.nodes.get(self.entry as usize).map_or(0, Node::level)
    }

    /// The id of an element.
    pub fn id(&self, name: &[u8]) -> Option<u32> {
        self.names.get(name).map(|key| key.id())
    }

    /// The node with an id.
    pub fn node(&self, id: u32) -> Option<NodeRef<'_>> {
        self.nodes.get(id as usize).map(|node| NodeRef { node, form: self.form })
    }

    /// The node of an element.
    pub fn find(&self, name: &[u8]) -> Option<NodeRef<'_>> {
        self.node(self.id(name)?)
    }

    /// All nodes, by id.
    pub fn iter(&self) -> impl Iterator<Item = NodeRef<'_>> {
        self.nodes.iter().map(|node| NodeRef { node, form: self.form })
    }

    /// Names in order, between two bounds that are in order.
    pub fn names(&self, low: Bound<&[u8]>, high: Bound<&[u8]>) -> impl Iterator<Item = &[u8]> {
        let (low_name, high_name) = (bound_name(low), bound_name(high));
        // The tree refuses ranges that end before they begin.
        let inverted = match (low_name, high_name) {
            (Some(low_name), Some(high_name)) => {
                let both_open = matches!((low, high), (Bound::Excluded(_), Bound::Excluded(_)));
                low_name > high_name || (low_name == high_name && both_open)
            }
            _ => false,
        };
        let range = (!inverted).then(|| self.names.range::<[u8], _>((low, high)));
        range.into_iter().flatten().map(|key| key.bytes())
    }

    /// How far two nodes are apart, 0 to 2.
    pub fn distance(&self, a: u32, b: u32) -> f32 {
        self.form.distance(self.probe(a), self.probe(b))
    }

    /// Adds an element or gives it another vector. `ef`: how many candidates for its links are looked at.
    pub fn insert(&mut self, name: &[u8], vector: &Encoded, ef: usize, random: &mut impl FnMut() -> u64) -> Inserted {
        if let Some(id) = self.id(name) {
            self.detach(id);
            self.preserve(id);
            self.nodes[id as usize].set_vector(&vector.words, vector.norm, vector.range);
            self.attach(id, ef);
            return Inserted::Moved(id);
        }
        let id = self.push(name, vector, self.draw_level(random()));
        self.attach(id, ef);
        Inserted::New(id)
    }

    /// A new node without links.
    fn push(&mut self, name: &[u8], vector: &Encoded, level: usize) -> u32 {
        let id = u32::try_from(self.nodes.len()).expect("a node takes more than a byte of memory");
        let mut node = Node::new(id, level, self.m, self.form.words(), name);
        node.set_vector(&vector.words, vector.norm, vector.range);
        self.names.insert(node.name_key());
        self.nodes.push(node);
        self.levels.push(level as u8);
        self.added += 1;
        id
    }

    /// Levels fall off exponentially, by a factor of M each (the paper's choice of mL).
    fn draw_level(&self, random: u64) -> usize {
        // 53 bits make a float between 0 and 1, never 0.
        let uniform = ((random >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let level = -uniform.ln() / (self.m as f64).ln();
        (level as usize).min(LEVEL_MAX)
    }

    /// Removes an element; the id that it had, which is now that of the node which was last (if there is one).
    pub fn remove(&mut self, name: &[u8]) -> Option<u32> {
        let id = self.id(name)?;
        self.detach(id);
        self.preserve(id);
        self.preserve(self.nodes.len() as u32 - 1);
        self.names.remove(name);
        self.nodes.swap_remove(id as usize);
        self.levels.swap_remove(id as usize);
        let last = self.nodes.len() as u32;
        if id < last {
            self.rename(last, id);
        }
        Some(id)
    }

    /// The node that was `from` stands at `to` now.
    fn rename(&mut self, from: u32, to: u32) {
        self.nodes[to as usize].set_id(to);
        for level in 0..=self.nodes[to as usize].level() {
            for linked in self.nodes[to as usize].links(level).to_vec() {
                self.preserve(linked);
                self.nodes[linked as usize].rename_link(level, from, to);
            }
        }
        if self.entry == from {
            self.entry = to;
        }
    }

    /// Begins to hand the present nodes over.
    pub fn begin_capture(&self) {
        self.capture.begin(Overlay::new((self.nodes.len() as u128).checked_sub(1)));
    }

    /// Hands the next node over as it was, by id; false once there is none left.
    pub fn capture_step(&self, each: impl FnOnce(NodeRef<'_>)) -> bool {
        let Some(mut capture) = self.capture.take() else { return false };
        let Some((id, kept)) = capture.next_dense() else { return false };
        // What was not kept is still there, for it did not change.
        if let Some(node) = kept.as_ref().or_else(|| self.nodes.get(id as usize)) {
            each(NodeRef { node, form: self.form });
        }
        self.capture.put(capture);
        true
    }

    /// Nobody wants them any more.
    pub fn abandon_capture(&self) {
        drop(self.capture.take());
    }

    /// A node is about to change or to go: how it is now is kept if it is still wanted.
    #[inline]
    fn preserve(&mut self, id: u32) {
        if let Some(capture) = self.capture.get_mut().filter(|capture| capture.wants(id.into())) {
            capture.keep(id.into(), self.nodes.get(id as usize).cloned());
        }
    }

    /// Heap bytes; of the nodes' blocks `samples` are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        // An inner node of the tree has room for 11 keys and is two thirds full on average.
        let names = self.names.len() * size_of::<NameKey>() * 3 / 2;
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0usize, 0usize);
        for node in self.nodes.iter().take(most) {
            seen += 1;
            bytes += node.alloc_bytes();
        }
        let slots = self.nodes.capacity() * size_of::<Node>() + self.levels.capacity();
        names + slots + bytes * self.nodes.len() / seen.max(1)
    }

    /// A node as a snapshot holds it, its links still to come; `None` if its parts do not fit this graph.
    pub fn restore_node(&mut self, name: &[u8], vector: &Encoded, level: usize) -> Option<u32> {
        let fits = vector.words.len() == self.form.words() && level <= LEVEL_MAX && self.id(name).is_none();
        if !fits {
            return None;
        }
        let id = self.push(name, vector, level);
        if level > self.level() || id == 0 {
            self.entry = id;
        }
        Some(id)
    }

    /// A mutual link of two restored nodes, named from both ends or from one; whether it is one that can be.
    pub fn restore_link(&mut self, level: usize, a: u32, b: u32) -> bool {
        let fits = |id: u32| {
            let node = self.nodes.get(id as usize);
            node.is_some_and(|node| level <= node.level())
        };
        if a == b || !fits(a) || !fits(b) {
            return false;
        }
        if self.nodes[a as usize].links(level).contains(&b) {
            return true;
        }
        let room = !self.nodes[a as usize].is_full(level) && !self.nodes[b as usize].is_full(level);
        if room {
            self.link(level, a, b);
        }
        room
    }

    /// Panics if an invariant does not hold.
    #[cfg(test)]
    pub fn check(&self) {
        assert_eq!((self.names.len(), self.levels.len()), (self.nodes.len(), self.nodes.len()));
        let top = self.levels.iter().copied().max().unwrap_or(0);
        assert_eq!(self.level(), usize::from(top));
        for (id, node) in self.nodes.iter().enumerate() {
            assert_eq!((node.id() as usize, node.level()), (id, usize::from(self.levels[id])));
            assert_eq!(self.id(node.name()), Some(node.id()));
            for level in 0..=node.level() {
                let links = node.links(level);
                assert!(links.len() <= node.room(level));
                for (at, &link) in links.iter().enumerate() {
                    assert!(link != node.id() && !links[..at].contains(&link));
                    assert!(self.nodes[link as usize].links(level).contains(&node.id()), "links are mutual");
                }
                let alone = links.is_empty() && self.nodes.len() > 1 && level == 0;
                assert!(!alone, "every node can be reached from another");
            }
        }
    }
}

impl Clone for Hnsw {
    fn clone(&self) -> Hnsw {
        let nodes = self.nodes.clone();
        // In the order of the names, of which a tree is built in one go.
        let names = self.names.iter().map(|key| nodes[key.id() as usize].name_key()).collect();
        Hnsw { names, nodes, levels: self.levels.clone(), capture: Captured::default(), ..*self }
    }
}

fn bound_name(bound: Bound<&[u8]>) -> Option<&[u8]> {
    match bound {
        Bound::Included(name) | Bound::Excluded(name) => Some(name),
        Bound::Unbounded => None,
    }
}
