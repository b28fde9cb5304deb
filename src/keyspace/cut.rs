//! The cut: the state of all databases at one moment, handed to a sink bit by bit while commands go on. Knows no file.
//!
//! ```text
//!   begin      every entry's mark says "not captured"             (what it means flips, no entry is touched)
//!   step       walks the tables in hash order, a segment at a time: captures what is not, marks it
//!   large      collections that the walk has put aside come last, a part at a time
//!   a change   captures the entry first, if it is not; what comes new is marked as if it were captured. A large collection
//!              is not captured whole: from then on each of its parts is, before it changes, and the walk goes on with it at
//!              once
//!   end        all entries are marked "captured"
//! ```
//!
//! Invariant: the sink gets each entry that was there at the beginning exactly once, as it was then (but for its access bits),
//! with the number that its database had then. A flush gives the table away to the walk instead of freeing it; a swap of
//! databases swaps their numbers here as well. An abandoned cut goes on without its sink until all marks are alike again.

use super::db::{Book, Db, Keyspace};
use super::key::DbIndex;
use crate::ds::table::Table;
use crate::types::{Big, Entry, EntryRef, Pieces};
use std::time::{Duration, Instant};

/// Who receives the entries.
pub trait Sink: Send {
    /// An entry of the database that had this number.
    fn entry(&mut self, db: u32, entry: EntryRef<'_>);

    /// A large entry whose elements will come by and by, while it changes.
    fn begin_large(&mut self, db: u32, entry: EntryRef<'_>) -> Box<dyn Pieces>;

    /// Whether the walk should wait: too much is on its way. Entries that are about to change come nevertheless.
    fn is_full(&self) -> bool;

    /// All have come.
    fn end(self: Box<Self>);
}

/// How a walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is more to do at once.
    More,
    /// The sink is full.
    Waiting,
    /// Nothing is left to do.
    Done,
}

/// What a cut costs, for INFO.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CutCosts {
    /// Entries captured because they were about to change.
    pub pre_images: u64,
    /// Longest step of the walk, microseconds.
    pub longest_step_us: u64,
    /// Entries at the beginning.
    pub keys: u64,
}

/// A table on its way through the cut: where the walk is in hash order, nothing once it is through.
#[derive(Clone, Copy)]
struct Place {
    label: u32,
    next: Option<u64>,
}

/// Cuts are numbered up to here, then from 1 on again: what the tables' segments can keep.
const MAX_EPOCH: u32 = (1 << 26) - 1;
/// Elements from which on a collection is captured in parts.
const LARGE_ELEMENTS: usize = if cfg!(test) { 48 } else { 1024 };
/// Nodes from which on a list is; each may be some KiB.
const LARGE_NODES: usize = if cfg!(test) { 3 } else { 64 };

/// What a step of the walk captures, bytes, about: a segment of many collections comes in several.
const STEP_BYTES: usize = if cfg!(test) { 2 << 10 } else { 256 << 10 };
/// What an entry takes besides its bytes, and an element of a collection with its own: bytes that are copied in that time.
const ENTRY_BYTES: usize = 64;
const ELEMENT_BYTES: usize = 64;
const NODE_BYTES: usize = 4096;

/// What capturing it takes: bytes that are copied in that time.
#[inline]
fn weight(entry: EntryRef<'_>) -> usize {
    ENTRY_BYTES
        + match entry.big() {
            None => entry.value().len(),
            Some(Big::Str(_)) => 0,
            Some(Big::List(nodes)) => nodes.node_count() * NODE_BYTES,
            Some(Big::Stream(stream)) => stream.free_effort() * NODE_BYTES,
            Some(Big::Vector(vectors)) => vectors.len() * NODE_BYTES,
            Some(big) => big.free_effort() * ELEMENT_BYTES,
        }
}

/// Whether capturing it at once would hold up the loop.
fn is_large(entry: EntryRef<'_>) -> bool {
    match entry.big() {
        None | Some(Big::Str(_)) => false,
        Some(Big::List(nodes)) => nodes.node_count() > LARGE_NODES,
        Some(Big::Stream(stream)) => stream.free_effort() > LARGE_NODES,
        Some(Big::Vector(vectors)) => vectors.len() > LARGE_NODES,
        Some(big) => big.free_effort() > LARGE_ELEMENTS,
    }
}

/// A running cut.
pub struct Cut {
    sink: Option<Box<dyn Sink>>,
    /// By database.
    places: Vec<Place>,
    /// Tables that were flushed before their turn.
    orphans: Vec<(Place, Table<Entry>)>,
    /// Large entries that the walk has put aside, by database's number and name.
    large: Vec<(u32, Box<[u8]>)>,
    /// Large entries whose elements are being captured.
    captures: Vec<(u32, Box<[u8]>)>,
    /// This cut's number, for the marks of their segments.
    epoch: u32,
    costs: CutCosts,
}

impl Cut {
    /// What it cost so far.
    pub fn costs(&self) -> CutCosts {
        self.costs
    }

    /// Whether somebody receives.
    pub fn is_wanted(&self) -> bool {
        self.sink.is_some()
    }

    /// Databases change their places.
    pub(super) fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.places.swap(a.0 as usize, b.0 as usize);
    }

    /// A database's table is about to go: what is still needed of it is kept. Gives back what is not.
    pub(super) fn take_table(&mut self, db: DbIndex, table: Table<Entry>) -> Option<Table<Entry>> {
        let place = &mut self.places[db.0 as usize];
        let rest = Place { next: place.next.take(), ..*place };
        let mut put_aside = self.large.iter().chain(&self.captures);
        let needed = rest.next.is_some() || put_aside.any(|(label, _)| *label == rest.label);
        // What came after a first flush is no part of the cut.
        let flushed = self.orphans.iter().any(|(place, _)| place.label == rest.label);
        if self.sink.is_none() || !needed || flushed {
            return Some(table);
        }
        self.orphans.push((rest, table));
        None
    }
}

impl Book {
    /// Before an entry changes or goes: the cut gets it as it is.
    #[inline]
    pub fn before_change(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        if self.cut.is_some() && entry.is_marked() != self.mark {
            self.capture(db, entry);
        }
    }

    #[cold]
    fn capture(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        let Some(cut) = &mut self.cut else { return };
        entry.set_mark(self.mark);
        if let Some(sink) = &mut cut.sink {
            cut.costs.pre_images += 1;
            let label = cut.places[db.0 as usize].label;
            match entry.big().filter(|_| is_large(entry)) {
                Some(big) => {
                    big.begin_capture(cut.epoch, sink.begin_large(label, entry));
                    cut.captures.push((label, entry.key().into()));
                }
                None => sink.entry(label, entry),
            }
        }
    }

    /// An entry comes into a database under this name. If its elements are being captured that goes on under the new name.
    #[inline]
    pub fn follow(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        if self.cut.is_some() {
            self.follow_capture(db, entry);
        }
    }

    #[cold]
    fn follow_capture(&mut self, db: DbIndex, entry: EntryRef<'_>) {
        let (Some(cut), Some(big)) = (&mut self.cut, entry.big()) else { return };
        if !big.is_captured() {
            return;
        }
        let label = cut.places[db.0 as usize].label;
        if cut.orphans.iter().any(|(place, _)| place.label == label) {
            // Under that number the walk finds the database as it was before it was flushed.
            return big.finish_capture();
        }
        cut.captures.push((label, entry.key().into()));
    }

    /// An entry that comes into a database is no part of a running cut.
    #[inline]
    pub fn stamp(&self, entry: &mut Entry) {
        if entry.is_marked() != self.mark {
            entry.set_mark(self.mark);
        }
    }
}

impl Keyspace {
    /// Begins a cut of the present state. An earlier one must have ended; what an abandoned one left to do is done first.
    pub fn begin_cut(&mut self, sink: Box<dyn Sink>) {
        assert!(self.book.cut.as_ref().is_none_or(|cut| !cut.is_wanted()), "one cut at a time");
        self.cut_step(Duration::MAX);
        let begin = |(index, db): (usize, &super::db::Db)| Place {
            label: index as u32,
            next: (!db.table.is_empty()).then_some(0),
        };
        self.book.mark = !self.book.mark;
        self.book.cuts = self.book.cuts % MAX_EPOCH + 1;
        self.book.cut = Some(Box::new(Cut {
            sink: Some(sink),
            places: self.dbs.iter().enumerate().map(begin).collect(),
            orphans: Vec::new(),
            large: Vec::new(),
            captures: Vec::new(),
            epoch: self.book.cuts,
            costs: CutCosts { keys: self.total_keys() as u64, ..CutCosts::default() },
        }));
    }

    /// Nobody wants the running cut any more. What is left of it is only to make the marks alike.
    pub fn abandon_cut(&mut self) {
        let Some(mut cut) = self.book.cut.take() else { return };
        cut.sink = None;
        for (label, key) in std::mem::take(&mut cut.large) {
            if let Some(entry) = cut.find(&self.dbs, label, &key) {
                entry.set_mark(self.book.mark);
            }
        }
        for (label, key) in std::mem::take(&mut cut.captures) {
            if let Some(big) = cut.find(&self.dbs, label, &key).and_then(EntryRef::big) {
                big.abandon_capture();
            }
        }
        cut.orphans.clear();
        self.book.cut = Some(cut);
    }

    /// Goes on with the walk for about so long.
    pub fn cut_step(&mut self, budget: Duration) -> Progress {
        let Some(mut cut) = self.book.cut.take() else { return Progress::Done };
        let begun = Instant::now();
        let mark = self.book.mark;
        let progress = loop {
            if cut.sink.as_ref().is_some_and(|sink| sink.is_full()) {
                break Progress::Waiting;
            }
            if !cut.walk_segment(self, mark) {
                break Progress::Done;
            }
            if begun.elapsed() >= budget {
                break Progress::More;
            }
        };
        cut.costs.longest_step_us = cut.costs.longest_step_us.max(begun.elapsed().as_micros() as u64);
        if progress == Progress::Done {
            if let Some(sink) = cut.sink.take() {
                sink.end();
            }
            self.book.last_cut = cut.costs;
        } else {
            self.book.cut = Some(cut);
        }
        progress
    }
}

impl Cut {
    /// One segment of what is left; false if nothing is.
    fn walk_segment(&mut self, space: &mut Keyspace, mark: bool) -> bool {
        if let Some((label, key)) = self.captures.pop() {
            // One that is not found was given away, and comes whole by itself.
            let big = self.find(&space.dbs, label, &key).and_then(EntryRef::big);
            if big.is_some_and(Big::capture_step) {
                self.captures.push((label, key));
            }
            return true;
        }
        let Cut { sink, places, orphans, large, .. } = self;
        for (place, db) in places.iter_mut().zip(&space.dbs) {
            if place.next.is_some() {
                place.walk(&db.table, sink, large, mark);
                return true;
            }
        }
        for (place, table) in orphans.iter_mut() {
            if place.next.is_some() {
                place.walk(table, sink, large, mark);
                return true;
            }
        }
        if self.begin_large(space, mark) {
            return true;
        }
        match self.orphans.pop() {
            Some((_, table)) => space.book.free_table(table),
            None => return false,
        }
        true
    }

    /// The last of the large entries that were put aside begins; false if there is none.
    fn begin_large(&mut self, space: &Keyspace, mark: bool) -> bool {
        let Some((label, key)) = self.large.pop() else { return false };
        // Without a sink nothing is put aside.
        let Some(mut sink) = self.sink.take() else { return true };
        if let Some(entry) = self.find(&space.dbs, label, &key).filter(|entry| entry.is_marked() != mark) {
            entry.set_mark(mark);
            match entry.big() {
                Some(big) => {
                    big.begin_capture(self.epoch, sink.begin_large(label, entry));
                    self.captures.push((label, key));
                }
                None => sink.entry(label, entry),
            }
        }
        self.sink = Some(sink);
        true
    }

    /// The entry of this name that was in the database of this number.
    fn find<'s>(&'s self, dbs: &'s [Db], label: u32, key: &[u8]) -> Option<EntryRef<'s>> {
        let orphan = self.orphans.iter().find(|(place, _)| place.label == label).map(|(_, table)| table);
        let place = || self.places.iter().position(|place| place.label == label);
        let table = orphan.or_else(|| dbs.get(place()?).map(|db| &db.table))?;
        table.get(table.hasher().hash(key), key)
    }
}

impl Place {
    fn walk(
        &mut self,
        table: &Table<Entry>,
        sink: &mut Option<Box<dyn Sink>>,
        large: &mut Vec<(u32, Box<[u8]>)>,
        mark: bool,
    ) {
        let Some(at) = self.next else { return };
        let segment = table.segment_at(at);
        let label = self.label;
        match sink {
            Some(sink) => {
                let (put_aside, mut bytes) = (large.len(), 0);
                segment.for_each_fetched(|entry| {
                    if bytes >= STEP_BYTES || entry.is_marked() == mark {
                        return;
                    }
                    if is_large(entry) {
                        return large.push((label, entry.key().into()));
                    }
                    bytes += weight(entry);
                    sink.entry(label, entry);
                    entry.set_mark(mark);
                });
                if bytes >= STEP_BYTES {
                    // The next step finds the rest of the segment, what is marked passes quickly.
                    return large.truncate(put_aside);
                }
            }
            None => segment.for_each_fetched(|entry| entry.set_mark(mark)),
        }
        self.next = segment.last().checked_add(1);
    }
}

#[cfg(test)]
#[path = "cut/tests.rs"]
mod tests;
