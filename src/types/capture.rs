//! Large collections handed over as they were at one moment, while they change. Knows no file, no key.

use super::stream::StreamPiece;
use super::value::Big;
use crate::ds::array::{SlotTaker, Word};
use crate::ds::hnsw::NodeRef;
use crate::ds::quicklist::{NodeTaker, NodeView};
use crate::ds::record::{Field, Member, Scored};
use crate::ds::table::{Item, SegmentView, Table, Taker};
use std::sync::{Arc, Mutex, PoisonError};

/// An element of a large collection.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    /// Of a set.
    Member(&'a [u8]),
    /// Of a sorted set.
    Scored(&'a [u8], f64),
    /// Of a hash, with its deadline.
    Field(&'a [u8], &'a [u8], Option<i64>),
    /// The deadline of a member of a set or sorted set; it comes apart from the member, before or after.
    DatedMember(&'a [u8], Option<i64>),
    /// Of a set whose members may have deadlines.
    MemberOfDatedSet(&'a [u8]),
    /// Of a sorted set whose members may have deadlines.
    MemberOfDated(&'a [u8], f64),
    /// Of an array: an index and its text.
    Text(u64, &'a Word),
    /// Of a stream.
    Stream(StreamPiece<'a>),
    /// Of a vector set: a node, with the attributes of its element.
    Vector(NodeRef<'a>, &'a [u8]),
    /// Of a list: a node as files have it.
    Node(NodeView<'a>),
}

/// Who receives the elements of one collection, in any order but for streams and vector sets, whose pieces come in order, and
/// lists, whose parts are numbered.
pub trait Pieces: Send {
    /// An element.
    fn piece(&mut self, piece: Piece<'_>);

    /// What came since the last pause is a part: of a list the one of this ordinal (1, 2, ...), of a stream the one of this
    /// ordinal if it is of nodes; otherwise 0. A while may pass until the next.
    fn pause(&mut self, ordinal: u32);

    /// All have come.
    fn end(&mut self);
}

/// Tables hand over segments; this makes pieces of them.
struct OfTable(Box<dyn Pieces>);

impl Taker<Member> for OfTable {
    fn segment(&mut self, items: SegmentView<'_, Member>) {
        items.for_each_fetched(|item| self.0.piece(Piece::Member(item.bytes())));
        self.0.pause(0);
    }

    fn end(&mut self) {
        self.0.end();
    }
}

impl Taker<Scored> for OfTable {
    fn segment(&mut self, items: SegmentView<'_, Scored>) {
        items.for_each_fetched(|item| self.0.piece(Piece::Scored(item.member(), item.score())));
        self.0.pause(0);
    }

    fn end(&mut self) {
        self.0.end();
    }
}

impl Taker<Field> for OfTable {
    fn segment(&mut self, items: SegmentView<'_, Field>) {
        items.for_each_fetched(|item| self.0.piece(Piece::Field(item.field(), item.value(), item.deadline())));
        self.0.pause(0);
    }

    fn end(&mut self) {
        self.0.end();
    }
}

/// A set or sorted set with deadlines is two tables, whose segments come as they may; after the end of both it has come.
#[derive(Clone)]
struct OfDated(Arc<Mutex<Both>>);

struct Both {
    to: Box<dyn Pieces>,
    /// Tables that have not ended.
    left: u32,
}

impl OfDated {
    fn hand_over(&self, pieces: impl FnOnce(&mut dyn Pieces)) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pieces(&mut *both.to);
        both.to.pause(0);
    }

    fn table_ended(&self) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.left -= 1;
        if both.left == 0 {
            both.to.end();
        }
    }

    /// `all`: the members; `dates`: those of them that have a deadline.
    fn begin<T: Item>(all: &Table<T>, dates: &Table<Field>, epoch: u32, to: Box<dyn Pieces>)
    where
        OfDated: Taker<T>,
        OfTable: Taker<T>,
    {
        if dates.is_empty() {
            return all.begin_capture(epoch, Box::new(OfTable(to)));
        }
        let both = OfDated(Arc::new(Mutex::new(Both { to, left: 2 })));
        all.begin_capture(epoch, Box::new(both.clone()));
        dates.begin_capture(epoch, Box::new(both));
    }
}

impl Taker<Member> for OfDated {
    fn segment(&mut self, items: SegmentView<'_, Member>) {
        self.hand_over(|to| items.for_each_fetched(|item| to.piece(Piece::MemberOfDatedSet(item.bytes()))));
    }

    fn end(&mut self) {
        self.table_ended();
    }
}

impl Taker<Scored> for OfDated {
    fn segment(&mut self, items: SegmentView<'_, Scored>) {
        self.hand_over(|to| items.for_each_fetched(|item| to.piece(Piece::MemberOfDated(item.member(), item.score()))));
    }

    fn end(&mut self) {
        self.table_ended();
    }
}

impl Taker<Field> for OfDated {
    fn segment(&mut self, items: SegmentView<'_, Field>) {
        self.hand_over(|to| items.for_each_fetched(|item| to.piece(Piece::DatedMember(item.field(), item.deadline()))));
    }

    fn end(&mut self) {
        self.table_ended();
    }
}

/// Arrays hand over texts.
struct OfArray(Box<dyn Pieces>);

impl SlotTaker for OfArray {
    fn text(&mut self, index: u64, text: &Word) {
        self.0.piece(Piece::Text(index, text));
    }

    fn pause(&mut self) {
        self.0.pause(0);
    }

    fn end(&mut self) {
        self.0.end();
    }
}

/// Lists hand over blocks of nodes.
struct OfList(Box<dyn Pieces>);

impl NodeTaker for OfList {
    fn nodes(&mut self, ordinal: u32, nodes: &mut dyn Iterator<Item = NodeView<'_>>) {
        nodes.for_each(|node| self.0.piece(Piece::Node(node)));
        self.0.pause(ordinal);
    }

    fn end(&mut self) {
        self.0.end();
    }
}

/// Does the same to whatever a collection rests on: `$else` for one that comes whole.
macro_rules! with_captured {
    ($big:expr, $one:ident => $what:expr, ($all:ident, $dates:ident) => $of_dated:expr, $else:expr) => {
        match $big {
            Big::Str(_) => $else,
            Big::List($one) => $what,
            Big::Set($one) => $what,
            Big::Hash($one) => $what,
            Big::DatedHash(hash) => {
                let $one = hash.table();
                $what
            }
            Big::DatedSet(set) => {
                let ($all, $dates) = (set.members(), set.dates());
                $of_dated
            }
            Big::ZSet(sorted) => {
                let $one = sorted.table();
                $what
            }
            Big::DatedZSet(zset) => {
                let ($all, $dates) = (zset.sorted().table(), zset.dates());
                $of_dated
            }
            Big::Stream($one) => $what,
            Big::Array($one) => $what,
            Big::Vector($one) => $what,
        }
    };
}

impl Big {
    /// Whether it can be handed over while it changes: every collection can.
    pub fn can_be_captured(&self) -> bool {
        !matches!(self, Big::Str(_))
    }

    /// Begins to hand its present elements over. The epoch differs from that of every capture before.
    pub fn begin_capture(&self, epoch: u32, to: Box<dyn Pieces>) {
        match self {
            Big::Str(_) => drop(to),
            Big::List(nodes) => nodes.begin_capture(Box::new(OfList(to))),
            Big::Set(table) => table.begin_capture(epoch, Box::new(OfTable(to))),
            Big::Hash(table) => table.begin_capture(epoch, Box::new(OfTable(to))),
            Big::DatedHash(hash) => hash.table().begin_capture(epoch, Box::new(OfTable(to))),
            Big::DatedSet(set) => OfDated::begin(set.members(), set.dates(), epoch, to),
            Big::ZSet(sorted) => sorted.table().begin_capture(epoch, Box::new(OfTable(to))),
            Big::DatedZSet(zset) => OfDated::begin(zset.sorted().table(), zset.dates(), epoch, to),
            Big::Stream(stream) => stream.begin_capture(to),
            Big::Array(slots) => slots.begin_capture(Box::new(OfArray(to))),
            Big::Vector(vectors) => vectors.begin_capture(to),
        }
    }

    /// Whether it is being handed over.
    pub fn is_captured(&self) -> bool {
        with_captured!(self, one => one.is_captured(), (all, dates) => all.is_captured() || dates.is_captured(), false)
    }

    /// Hands the next part over; false once that was the last.
    pub fn capture_step(&self) -> bool {
        with_captured!(
            self,
            one => one.capture_step(),
            (all, dates) => all.capture_step() || dates.capture_step() || dates.is_captured(),
            false
        )
    }

    /// Nobody wants it any more.
    pub fn abandon_capture(&self) {
        with_captured!(
            self,
            one => one.abandon_capture(),
            (all, dates) => {
                all.abandon_capture();
                dates.abandon_capture();
            },
            ()
        );
    }

    /// Hands over all that is left.
    pub fn finish_capture(&self) {
        while self.capture_step() {}
    }
}
