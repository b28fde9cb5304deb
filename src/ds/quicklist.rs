//! The big list: a deque of listpack nodes, cheap at both ends, indexed for the middle.
//!
//! ```text
//!   QuickList -> chain: blocks of up to 128 nodes, with sums      (chain.rs)
//!                   node: run of entries | plain | compressed     (node.rs)
//! ```
//!
//! It knows no key, no reply and no file; elements go in and come out as bytes. How full nodes get and which are
//! compressed says [`Fill`]; it may change at any time and then holds for what is touched from there on.
//!
//! Invariants: no node is empty; the first and the last node are not compressed, so that [`QuickList::front`] can lend;
//! a node is within the limits of a `Fill` it was filled under, or holds one element.

mod capture;
mod chain;
mod edit;
mod node;
mod walk;

pub use walk::{NodeView, Positions, Walk};

use crate::ds::listpack::{self, Encoded, Value, WIRE_OVERHEAD_BYTES};
pub use capture::NodeTaker;
use chain::Chain;
use node::Node;

/// Most bytes of a node whose limit is a number of elements.
const COUNTED_NODE_BYTES: usize = 8192;
/// Elements above this get a node of their own whatever the threshold says: a listpack ends at 4 GiB.
const MAX_PACKED_ELEMENT_BYTES: usize = 1 << 30;

/// How nodes are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// `list-max-listpack-size`: -1 to -5 for 4, 8, 16, 32, 64 KiB a node, else the number of elements a node (and 8 KiB).
    pub list_max: i32,
    /// `list-compress-depth`: so many nodes at each end stay as they are, those between are compressed; 0: none is.
    pub compress_depth: u32,
    /// Elements from so many bytes on get a node of their own (DEBUG QUICKLIST-PACKED-THRESHOLD); 0: those above the
    /// node's byte limit.
    pub packed_threshold: usize,
}

impl Default for Fill {
    fn default() -> Self {
        Self { list_max: -2, compress_depth: 0, packed_threshold: 0 }
    }
}

impl Fill {
    /// Most bytes of a node, in wire form.
    #[inline]
    pub fn max_bytes(self) -> usize {
        if self.list_max >= 0 { COUNTED_NODE_BYTES } else { 4096 << (self.list_max.unsigned_abs().min(5) - 1) }
    }

    /// Most elements of a node.
    #[inline]
    pub fn max_count(self) -> usize {
        if self.list_max >= 0 { self.list_max.unsigned_abs().max(1) as usize } else { usize::MAX }
    }

    /// Whether a listpack of so many bytes in wire form and so many elements is within the limits: also what tells the
    /// small form of a list from this one.
    #[inline]
    pub fn admits_size(self, wire_bytes: usize, count: usize) -> bool {
        wire_bytes <= self.max_bytes() && count <= self.max_count()
    }

    #[inline]
    fn admits_entries(self, entries_bytes: usize, count: usize) -> bool {
        self.admits_size(entries_bytes + WIRE_OVERHEAD_BYTES, count)
    }

    /// Whether an element of so many bytes gets a node of its own.
    #[inline]
    pub fn is_large(self, element_bytes: usize) -> bool {
        let large = match self.packed_threshold {
            0 => element_bytes > self.max_bytes(),
            threshold => element_bytes >= threshold,
        };
        large || element_bytes > MAX_PACKED_ELEMENT_BYTES
    }

    /// Bytes that the entries of a node which begins with this one may come to.
    #[inline]
    fn room_bytes(self, first_entry_bytes: usize) -> usize {
        let by_count = first_entry_bytes.saturating_mul(self.max_count());
        by_count.min(self.max_bytes() - WIRE_OVERHEAD_BYTES)
    }
}

/// What became of an insert beside a pivot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// Done; the list has this many elements now.
    Length(usize),
    /// No element equals the pivot.
    NoPivot,
}

/// Facts about a list's nodes, for OBJECT and DEBUG.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Number of nodes.
    pub nodes: usize,
    /// Elements a node, on average.
    pub average_count: f64,
    /// Nodes that are compressed.
    pub compressed_nodes: usize,
    /// Bytes of all nodes in wire form (large elements: their own) when not compressed.
    pub uncompressed_bytes: usize,
}

/// A list of byte strings; see the module.
#[derive(Clone, Debug, Default)]
pub struct QuickList {
    chain: Chain,
    fill: Fill,
}

impl QuickList {
    /// A list of nothing.
    pub fn new(fill: Fill) -> Self {
        Self { chain: Chain::default(), fill }
    }

    /// A list of the elements of a listpack, which becomes the first node if it is within the limits.
    pub fn from_packed(pack: &[u8], fill: Fill) -> Self {
        let mut list = Self::new(fill);
        let entries_bytes = pack.len().saturating_sub(listpack::HEADER_BYTES);
        if fill.admits_entries(entries_bytes, listpack::count(pack)) {
            list.push_back_node(pack.to_vec());
        } else {
            let mut text = Vec::new();
            for (_, value) in listpack::iter(pack) {
                text.clear();
                value.write_to(&mut text);
                list.push_back(&text);
            }
        }
        list
    }

    /// All elements as a listpack, if its wire form is within both limits and no element is a large one.
    pub fn to_packed(&self, max_wire_bytes: usize, max_count: usize) -> Option<Vec<u8>> {
        let mut entries_bytes = 0;
        for node in self.chain.nodes() {
            entries_bytes += node.raw_len();
            if node.is_plain() || entries_bytes + WIRE_OVERHEAD_BYTES > max_wire_bytes {
                return None;
            }
        }
        if self.len() > max_count {
            return None;
        }
        let mut pack = Vec::with_capacity(listpack::HEADER_BYTES + entries_bytes);
        for node in self.chain.nodes() {
            listpack::push_back_entries(&mut pack, node.page().bytes(), node.count());
        }
        Some(pack)
    }

    /// Adds the elements of a listpack that is whole (a file's, checked) at the end, as a node of its own.
    pub fn push_back_node(&mut self, pack: Vec<u8>) {
        if listpack::first(&pack).is_some() {
            self.push_back_new(Node::from_pack(pack));
        }
    }

    /// Adds an element at the end as a node of its own, whatever its size (a file's plain node).
    pub fn push_back_plain(&mut self, element: Vec<u8>) {
        self.push_back_new(Node::plain(element.into_boxed_slice()));
    }

    /// What nodes are filled by.
    pub fn fill(&self) -> Fill {
        self.fill
    }

    /// Changes what nodes are filled by from now on. Costs nothing: call it with the configured one before each edit.
    #[inline]
    pub fn set_fill(&mut self, fill: Fill) {
        self.fill = fill;
    }

    // ---- The ends ----

    /// Number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.chain.count()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an element at the front. O(1).
    #[inline]
    pub fn push_front(&mut self, element: &[u8]) {
        let fill = self.fill;
        if fill.is_large(element.len()) {
            return self.push_front_new(Node::plain(element.into()));
        }
        let entry = Encoded::new(element);
        let pushed = self.chain.edit_front(|node| {
            let admitted = fill.admits(node, &entry);
            if admitted {
                node.push_front(&entry, fill.max_bytes() - WIRE_OVERHEAD_BYTES);
            }
            admitted
        });
        if pushed != Some(true) {
            let mut node = Node::empty();
            node.push_front(&entry, fill.room_bytes(entry.total_len()));
            self.push_front_new(node);
        }
    }

    /// Adds an element at the end. O(1).
    #[inline]
    pub fn push_back(&mut self, element: &[u8]) {
        let fill = self.fill;
        if fill.is_large(element.len()) {
            return self.push_back_new(Node::plain(element.into()));
        }
        let entry = Encoded::new(element);
        let pushed = self.chain.edit_back(|node| {
            let admitted = fill.admits(node, &entry);
            if admitted {
                node.push_back(&entry, fill.max_bytes() - WIRE_OVERHEAD_BYTES);
            }
            admitted
        });
        if pushed != Some(true) {
            let mut node = Node::empty();
            node.push_back(&entry, fill.room_bytes(entry.total_len()));
            self.push_back_new(node);
        }
    }

    #[cold]
    fn push_front_new(&mut self, node: Node) {
        // The only node stays open: it is still the end for the other side.
        if self.chain.node_count() > 1 {
            self.chain.edit_front(Node::seal);
        }
        self.chain.push_front(node);
        self.mend_ends();
    }

    #[cold]
    fn push_back_new(&mut self, node: Node) {
        if self.chain.node_count() > 1 {
            self.chain.edit_back(Node::seal);
        }
        self.chain.push_back(node);
        self.mend_ends();
    }

    /// The first element.
    #[inline]
    pub fn front(&self) -> Option<Value<'_>> {
        self.chain.front()?.front()
    }

    /// The last element.
    #[inline]
    pub fn back(&self) -> Option<Value<'_>> {
        self.chain.back()?.back()
    }

    /// Removes the first element; false if there is none. O(1).
    #[inline]
    pub fn drop_front(&mut self) -> bool {
        let left = self.chain.edit_front(|node| {
            node.drop_front();
            node.count()
        });
        if left == Some(0) {
            self.chain.first().map(|pos| self.chain.remove(pos));
            self.mend_ends();
        }
        left.is_some()
    }

    /// Removes the last element; false if there is none. O(1).
    #[inline]
    pub fn drop_back(&mut self) -> bool {
        let left = self.chain.edit_back(|node| {
            node.drop_back();
            node.count()
        });
        if left == Some(0) {
            self.chain.last().map(|pos| self.chain.remove(pos));
            self.mend_ends();
        }
        left.is_some()
    }

    /// Removes the first element and returns its bytes.
    pub fn pop_front(&mut self) -> Option<Vec<u8>> {
        let element = self.front()?.to_vec();
        self.drop_front();
        Some(element)
    }

    /// Removes the last element and returns its bytes.
    pub fn pop_back(&mut self) -> Option<Vec<u8>> {
        let element = self.back()?.to_vec();
        self.drop_back();
        Some(element)
    }

    // ---- Reading ----

    /// Index from the front for one that may count from the end (-1 is the last); nothing if it is outside.
    #[inline]
    pub fn resolve(&self, index: i64) -> Option<usize> {
        let resolved = match usize::try_from(index) {
            Ok(index) => index,
            Err(_) => self.len().checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        (resolved < self.len()).then_some(resolved)
    }

    /// Lends the element with this index (-1 is the last) to `read`. About O(sqrt n).
    pub fn get<R>(&self, index: i64, read: impl FnOnce(Value<'_>) -> R) -> Option<R> {
        self.range(self.resolve(index)?, 1).next_value().map(read)
    }

    /// Up to `limit` elements from index `start` on, forward.
    pub fn range(&self, start: usize, limit: usize) -> Walk<'_> {
        Walk::new(&self.chain, start, limit, false)
    }

    /// Up to `limit` elements from index `start` on, backward.
    pub fn range_rev(&self, start: usize, limit: usize) -> Walk<'_> {
        Walk::new(&self.chain, start, limit, true)
    }

    /// Indices of the elements equal to `element`, from the front or the back, among the first `max_compared` seen.
    pub fn positions<'a, 'n>(&'a self, element: &'n [u8], from_back: bool, max_compared: usize) -> Positions<'a, 'n> {
        let start = if from_back { self.len().saturating_sub(1) } else { 0 };
        Positions::new(Walk::new(&self.chain, start, max_compared, from_back), element)
    }

    /// All nodes as files have them, first to last.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = NodeView<'_>> {
        self.chain.nodes().map(NodeView)
    }

    /// Begins to hand the present nodes over.
    pub fn begin_capture(&self, taker: Box<dyn NodeTaker>) {
        self.chain.begin_capture(taker);
    }

    /// Whether nodes are being handed over.
    pub fn is_captured(&self) -> bool {
        self.chain.is_captured()
    }

    /// Hands some more over; false once there are none left.
    pub fn capture_step(&self) -> bool {
        self.chain.capture_step()
    }

    /// Nobody wants them any more.
    pub fn abandon_capture(&self) {
        self.chain.abandon_capture();
    }

    // ---- Facts ----

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.chain.node_count()
    }

    /// What OBJECT and DEBUG say about the nodes. O(nodes).
    pub fn facts(&self) -> Facts {
        let uncompressed = |node: &Node| node.raw_len() + if node.is_plain() { 0 } else { WIRE_OVERHEAD_BYTES };
        let nodes = self.node_count();
        Facts {
            nodes,
            average_count: if nodes == 0 { 0.0 } else { self.len() as f64 / nodes as f64 },
            compressed_nodes: self.chain.nodes().filter(|node| node.is_compressed()).count(),
            uncompressed_bytes: self.chain.nodes().map(uncompressed).sum(),
        }
    }

    /// Bytes asked of the allocator, without the list's own head. O(nodes).
    pub fn alloc_bytes(&self) -> usize {
        self.chain.alloc_bytes() + self.chain.nodes().map(Node::alloc_bytes).sum::<usize>()
    }

    /// Asserts the invariants. O(bytes), for tests and DEBUG.
    pub fn check(&self) {
        self.chain.check();
        for end in [self.chain.front(), self.chain.back()].into_iter().flatten() {
            assert!(!end.is_compressed(), "the ends are open");
        }
    }
}

#[cfg(test)]
#[path = "quicklist/tests.rs"]
mod tests;
