//! Large collections handed over as they were at one moment, while they change. Knows no file, no key.

use super::value::Big;
use crate::ds::quicklist::{NodeTaker, NodeView};
use crate::ds::record::{Field, Member, Scored};
use crate::ds::table::{SegmentView, Table, Taker};

/// An element of a large collection.
#[derive(Clone, Copy)]
pub enum Piece<'a> {
    /// Of a set.
    Member(&'a [u8]),
    /// Of a sorted set.
    Scored(&'a [u8], f64),
    /// Of a hash, with its deadline.
    Field(&'a [u8], &'a [u8], Option<i64>),
    /// Of a set whose members may have deadlines, with its own.
    DatedMember(&'a [u8], Option<i64>),
    /// Of a list: a node as files have it.
    Node(NodeView<'a>),
}

/// Who receives the elements of one collection, in any order but for lists, whose parts are numbered.
pub trait Pieces: Send {
    /// An element.
    fn piece(&mut self, piece: Piece<'_>);

    /// What came since the last pause is a part: of a list the one of this ordinal (1, 2, ...), otherwise 0. A while may pass until
    /// the next.
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

/// The same for a set whose members may have deadlines: to the table they are fields without a value.
struct OfDatedSet(Box<dyn Pieces>);

impl Taker<Field> for OfDatedSet {
    fn segment(&mut self, items: SegmentView<'_, Field>) {
        items.for_each_fetched(|item| self.0.piece(Piece::DatedMember(item.field(), item.deadline())));
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

/// Does the same to whichever table a collection has.
macro_rules! with_table {
    ($big:expr, $table:ident => $what:expr, $nodes:ident => $of_list:expr, $otherwise:expr) => {
        match $big {
            Big::List($nodes) => $of_list,
            Big::Set($table) => $what,
            Big::Hash($table) => $what,
            Big::DatedHash(hash) | Big::DatedSet(hash) => {
                let $table: &Table<Field> = hash.table();
                $what
            }
            Big::ZSet(sorted) => {
                let $table = sorted.table();
                $what
            }
            Big::DatedZSet(dated) => {
                let $table = dated.sorted().table();
                $what
            }
            Big::Str(_) | Big::Stream(_) | Big::Array(_) | Big::Vector(_) => $otherwise,
        }
    };
}

impl Big {
    /// Whether it can be handed over while it changes. Not a sorted set with deadlines, which stand in another table than the
    /// members; but one that got its first deadline meanwhile is handed over to its end, without it.
    pub fn can_be_captured(&self) -> bool {
        !matches!(self, Big::DatedZSet(_)) && with_table!(self, _table => true, _nodes => true, false)
    }

    /// Begins to hand its present elements over. The epoch differs from that of every capture before.
    pub fn begin_capture(&self, epoch: u32, to: Box<dyn Pieces>) {
        if let Big::DatedSet(set) = self {
            return set.table().begin_capture(epoch, Box::new(OfDatedSet(to)));
        }
        with_table!(
            self,
            table => table.begin_capture(epoch, Box::new(OfTable(to))),
            nodes => nodes.begin_capture(Box::new(OfList(to))),
            drop(to)
        );
    }

    /// Whether it is being handed over.
    pub fn is_captured(&self) -> bool {
        with_table!(self, table => table.is_captured(), nodes => nodes.is_captured(), false)
    }

    /// Hands the next part over; false once that was the last.
    pub fn capture_step(&self) -> bool {
        with_table!(self, table => table.capture_step(), nodes => nodes.capture_step(), false)
    }

    /// Nobody wants it any more.
    pub fn abandon_capture(&self) {
        with_table!(self, table => table.abandon_capture(), nodes => nodes.abandon_capture(), ());
    }

    /// Hands over all that is left.
    pub fn finish_capture(&self) {
        while self.capture_step() {}
    }
}
