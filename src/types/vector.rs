//! Vector sets: elements with a vector each and, if wanted, attributes. Knows no key.
//!
//! ```text
//! graph        ds::hnsw       names, vectors, links; an id is an index below the number of elements
//! attributes   by the same id, as they were given; no place is taken until the first element has some
//! projection   a matrix, if vectors are given with more components than are kept
//! ```
//! Invariant: the attributes are at most as many as the elements, and the one at an id belongs to the element with that id.

mod attr;
mod capture;
mod filter;
mod projection;

use super::value::{Big, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::ds::hnsw::{Encoded, Filter, Form, Found, Hnsw, Inserted, NodeRef, Quant};
use crate::ds::overlay::Captured;
use std::ops::{Deref, DerefMut};

pub use filter::{BadFilter, Expr, fuzz_filter};
pub use projection::Projection;

/// Links of a node, where nothing else is asked for.
pub const DEFAULT_M: usize = 16;

/// The marker of vector sets.
pub struct VectorSet;

/// A vector set.
#[derive(Clone)]
pub struct Vectors {
    graph: Hnsw,
    projection: Option<Projection>,
    attributes: Vec<Option<Box<[u8]>>>,
    attribute_count: usize,
    uid: u64,
    capture: Captured<capture::Capture>,
}

/// What a search wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// At most so many elements.
    pub count: usize,
    /// How wide the search is.
    pub ef: usize,
    /// No element farther away than this, 0 to 2.
    pub distance_max: f32,
    /// Elements must satisfy this.
    pub filter: Option<Expr>,
    /// With a filter: the search ends after so many elements were looked at.
    pub effort: usize,
    /// Look at all elements.
    pub truth: bool,
}

/// The similarity that clients see: 1 for one direction, 0 for opposite ones.
pub fn score(distance: f32) -> f64 {
    1.0 - f64::from(distance) / 2.0
}

impl Vectors {
    /// An empty set of vectors with `dim` components, stored as `quant` says, with `m` links. `uid`: a number that tells it
    /// from others.
    pub fn new(quant: Quant, dim: usize, m: usize, uid: u64) -> Vectors {
        let graph = Hnsw::new(Form::new(quant, dim), m);
        let capture = Captured::default();
        Vectors { graph, projection: None, attributes: Vec::new(), attribute_count: 0, uid, capture }
    }

    /// The same, of vectors that are given with more components.
    pub fn with_projection(mut self, projection: Projection) -> Vectors {
        self.projection = Some(projection);
        self
    }

    /// Names, vectors and links.
    pub fn graph(&self) -> &Hnsw {
        &self.graph
    }

    /// The same, to fill it from a snapshot.
    pub fn graph_mut(&mut self) -> &mut Hnsw {
        &mut self.graph
    }

    /// The matrix, if there is one.
    pub fn projection(&self) -> Option<&Projection> {
        self.projection.as_ref()
    }

    /// The number that tells it from others.
    pub fn uid(&self) -> u64 {
        self.uid
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.graph.len()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.graph.is_empty()
    }

    /// Components that are kept.
    pub fn dim(&self) -> usize {
        self.graph.form().dim
    }

    /// Elements with attributes.
    pub fn attribute_count(&self) -> usize {
        self.attribute_count
    }

    /// An element's attributes.
    pub fn attributes(&self, id: u32) -> Option<&[u8]> {
        self.attributes.get(id as usize)?.as_deref()
    }

    /// Gives an element other attributes; empty ones take them away.
    pub fn set_attributes(&mut self, id: u32, attributes: &[u8]) {
        let index = id as usize;
        if self.attributes.len() <= index {
            if attributes.is_empty() {
                return;
            }
            self.attributes.resize(index + 1, None);
        }
        self.preserve(id);
        self.attribute_count -= usize::from(self.attributes[index].is_some());
        self.attribute_count += usize::from(!attributes.is_empty());
        self.attributes[index] = (!attributes.is_empty()).then(|| attributes.into());
    }

    /// A vector as it was given, in the form of this set: projected, of length 1, as small numbers.
    pub fn encode(&self, given: &[f32]) -> Encoded {
        let form = self.graph.form();
        match &self.projection {
            Some(projection) => form.encode(&projection.apply(form, given)),
            None => form.encode(given),
        }
    }

    /// Adds an element or gives it another vector; its id, and whether it is new.
    pub fn insert(&mut self, name: &[u8], given: &[f32], ef: usize, random: &mut impl FnMut() -> u64) -> (u32, bool) {
        match self.graph.insert(name, &self.encode(given), ef, random) {
            Inserted::New(id) => (id, true),
            Inserted::Moved(id) => (id, false),
        }
    }

    /// Removes an element with its attributes; whether it was there.
    pub fn remove(&mut self, name: &[u8]) -> bool {
        let Some(id) = self.graph.remove(name) else { return false };
        let (index, last) = (id as usize, self.graph.len());
        self.preserve(id);
        self.preserve(last as u32);
        self.attribute_count -= usize::from(self.attributes(id).is_some());
        // The last element took its place.
        let moved = if self.attributes.len() > last { self.attributes.pop().flatten() } else { None };
        if let Some(place) = self.attributes.get_mut(index) {
            *place = moved;
        }
        true
    }

    /// The elements nearest to a vector, nearest first.
    pub fn search(&self, query: &Encoded, wanted: &Wanted) -> Vec<Found> {
        let mut accepts = |id| {
            let (expr, attributes) = (wanted.filter.as_ref(), self.attributes(id));
            expr.is_none_or(|expr| attributes.is_some_and(|attributes| expr.accepts(attributes)))
        };
        let filter = wanted.filter.as_ref().map(|_| Filter { accepts: &mut accepts, effort: wanted.effort });
        let mut found = if wanted.truth {
            self.graph.search_all(query, wanted.count, filter)
        } else {
            self.graph.search(query, wanted.ef.max(wanted.count), filter)
        };
        found.truncate(wanted.count);
        found.retain(|one| one.distance <= wanted.distance_max);
        found
    }

    /// Heap bytes, this structure included; `samples` elements are measured (0: all) and the rest estimated.
    pub fn alloc_bytes(&self, samples: usize) -> usize {
        let kept = |attributes: &[u8]| crate::sys::alloc::size_class(attributes.len());
        let most = if samples == 0 { usize::MAX } else { samples };
        let (mut seen, mut bytes) = (0usize, 0usize);
        for attributes in self.attributes.iter().flatten().take(most) {
            seen += 1;
            bytes += kept(attributes);
        }
        let attributes = self.attributes.capacity() * size_of::<Option<Box<[u8]>>>();
        let projection = self.projection.as_ref().map_or(0, Projection::alloc_bytes);
        let estimated = bytes * self.attribute_count / seen.max(1);
        size_of::<Vectors>() + self.graph.alloc_bytes(samples) + attributes + estimated + projection
    }

    /// Every element: its node and its attributes.
    pub fn iter(&self) -> impl Iterator<Item = (NodeRef<'_>, Option<&[u8]>)> {
        self.graph.iter().map(|node| (node, self.attributes(node.id())))
    }
}

/// A vector set to change.
pub struct VectorMut<E> {
    entry: E,
}

impl<E: DerefMut<Target = Entry>> VectorMut<E> {
    /// An empty set in place of this one: what kind of vectors it holds is known when the first is given.
    pub fn replace(&mut self, vectors: Vectors) {
        self.entry.set_big(Kind::BigVector as u8, Box::new(Big::Vector(Box::new(vectors))));
    }
}

impl<E: DerefMut<Target = Entry>> Deref for VectorMut<E> {
    type Target = Vectors;

    fn deref(&self) -> &Vectors {
        let Some(Big::Vector(vectors)) = self.entry.big() else { unreachable!("a vector set has one form") };
        vectors
    }
}

impl<E: DerefMut<Target = Entry>> DerefMut for VectorMut<E> {
    fn deref_mut(&mut self) -> &mut Vectors {
        let Some(Big::Vector(vectors)) = self.entry.big_mut() else { unreachable!("a vector set has one form") };
        vectors
    }
}

impl Value for VectorSet {
    const TYPE: Type = Type::VectorSet;
    type Ref<'a> = &'a Vectors;
    type Mut<'a> = VectorMut<EntryMut<'a>>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> &Vectors {
        let Some(Big::Vector(vectors)) = entry.big() else { unreachable!("a vector set has one form") };
        vectors
    }

    fn edit<'a>(entry: EntryMut<'a>, _limits: &Limits) -> VectorMut<EntryMut<'a>> {
        VectorMut { entry }
    }

    fn create(key: &[u8], _limits: &Limits, lru: u32) -> Entry {
        let vectors = Vectors::new(Quant::Int8, 0, DEFAULT_M, 0);
        Entry::new_big(key, Kind::BigVector as u8, Box::new(Big::Vector(Box::new(vectors))), lru, None)
    }

    fn is_empty(entry: EntryRef<'_>) -> bool {
        Self::view(entry).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::types::testing::{Held, limits, steps};
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, (Encoded, Vec<u8>)>;

    fn agree(held: &Held<VectorSet>, model: &Model) {
        let vectors = held.view();
        vectors.graph().check();
        assert_eq!(vectors.len(), model.len());
        let with_attributes = model.values().filter(|(_, attributes)| !attributes.is_empty()).count();
        assert_eq!(vectors.attribute_count(), with_attributes);
        for (node, attributes) in vectors.iter() {
            let (encoded, expected) = &model[node.name()];
            assert_eq!((&node.encoded(), attributes.unwrap_or_default()), (encoded, expected.as_slice()));
        }
        held.check_copy();
    }

    #[test]
    fn behaves_as_a_map_of_vectors_with_attributes() {
        for seed in 0..4 {
            println!("seed {seed}");
            let (mut rng, mut model) = (Rng::seeded(seed), Model::new());
            let mut held = Held::<VectorSet>::new(limits(seed));
            held.edit(|set| set.replace(Vectors::new([Quant::Int8, Quant::Bin][seed as usize % 2], 5, 4, 1)));
            for step in 0..steps(4_000) {
                let name = format!("e{}", rng.below(60)).into_bytes();
                match rng.below(6) {
                    0..=2 => {
                        let given: Vec<f32> = (0..5).map(|_| rng.below(100) as f32 - 50.0).collect();
                        let encoded = held.view().encode(&given);
                        let (id, new) = held.edit(|set| set.insert(&name, &given, 20, &mut || rng.next_u64()));
                        let attributes = match rng.below(3) {
                            0 => b"{\"a\":1}".to_vec(),
                            1 => Vec::new(),
                            _ => model.get(&name).map(|(_, old)| old.clone()).unwrap_or_default(),
                        };
                        held.edit(|set| set.set_attributes(id, &attributes));
                        assert_eq!(model.insert(name, (encoded, attributes)).is_none(), new);
                    }
                    3 | 4 => assert_eq!(held.edit(|set| set.remove(&name)), model.remove(&name).is_some()),
                    _ => {
                        let id = held.view().graph().id(&name);
                        assert_eq!(id.is_some(), model.contains_key(&name));
                        if let Some(id) = id {
                            held.edit(|set| set.set_attributes(id, b"other"));
                            model.get_mut(&name).expect("it is there").1 = b"other".to_vec();
                        }
                    }
                }
                if step % 100 == 0 {
                    agree(&held, &model);
                }
            }
            agree(&held, &model);
        }
    }

    #[test]
    fn a_search_takes_what_is_wanted() {
        let mut vectors = Vectors::new(Quant::Int8, 2, 16, 1);
        let mut random = || 1 << 63;
        for (name, given, attributes) in [
            ("a", [1.0, 1.0], "{\"n\":1}"),
            ("b", [0.0, 1.0], "{\"n\":2}"),
            ("c", [0.0, 0.0], ""),
            ("d", [0.0, -1.0], "{\"n\":1}"),
            ("e", [-1.0, -1.0], "no json"),
        ] {
            let (id, _) = vectors.insert(name.as_bytes(), &given, 200, &mut random);
            vectors.set_attributes(id, attributes.as_bytes());
        }
        let all = Wanted { count: 10, ef: 100, distance_max: 2.0, filter: None, effort: 1_000, truth: false };
        let names = |wanted: &Wanted| {
            let found = vectors.search(&vectors.encode(&[1.0, 1.0]), wanted);
            let name = |one: &Found| vectors.graph().node(one.id).map(|node| node.name()).unwrap_or_default();
            String::from_utf8(found.iter().flat_map(name).copied().collect()).expect("names are letters")
        };
        assert_eq!(names(&all), "abcde");
        assert_eq!(names(&Wanted { count: 2, ..all.clone() }), "ab");
        assert_eq!(names(&Wanted { distance_max: 1.0, ..all.clone() }), "abc");
        assert_eq!(names(&Wanted { truth: true, count: 4, ..all.clone() }), "abcd");
        let filter = |text: &str| Some(Expr::parse(text.as_bytes()).expect("it is one"));
        assert_eq!(names(&Wanted { filter: filter(".n == 1"), ..all.clone() }), "ad");
        assert_eq!(names(&Wanted { filter: filter(".n"), truth: true, ..all.clone() }), "abd");
        assert_eq!((score(0.0), score(2.0)), (1.0, 0.0));
        assert!(vectors.alloc_bytes(0) > 5 * 24);
    }
}
