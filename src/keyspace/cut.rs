//! The cut: the state of all databases at one moment, handed to a sink bit by bit while commands go on. Knows no file.
//!
//! ```text
//!   begin      every entry's mark says "not captured"             (what it means flips, no entry is touched)
//!   step       walks the tables in hash order, a segment at a time: captures what is not, marks it
//!   a change   captures the entry first, if it is not; what comes new is marked as if it were captured
//!   end        all entries are marked "captured"
//! ```
//!
//! Invariant: the sink gets each entry that was there at the beginning exactly once, as it was then (but for its access bits),
//! with the number that its database had then. A flush gives the table away to the walk instead of freeing it; a swap of
//! databases swaps their numbers here as well. An abandoned cut goes on without its sink until all marks are alike again.

use super::db::{Book, Keyspace};
use super::key::DbIndex;
use crate::ds::table::Table;
use crate::types::{Entry, EntryRef};
use std::time::{Duration, Instant};

/// Who receives the entries.
pub trait Sink: Send {
    /// An entry of the database that had this number.
    fn entry(&mut self, db: u32, entry: EntryRef<'_>);

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

/// A running cut.
pub struct Cut {
    sink: Option<Box<dyn Sink>>,
    /// By database.
    places: Vec<Place>,
    /// Tables that were flushed before their turn.
    orphans: Vec<(Place, Table<Entry>)>,
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
        if self.sink.is_none() || rest.next.is_none() {
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
            sink.entry(cut.places[db.0 as usize].label, entry);
        }
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
        self.book.cut = Some(Box::new(Cut {
            sink: Some(sink),
            places: self.dbs.iter().enumerate().map(begin).collect(),
            orphans: Vec::new(),
            costs: CutCosts { keys: self.total_keys() as u64, ..CutCosts::default() },
        }));
    }

    /// Nobody wants the running cut any more. What is left of it is only to make the marks alike.
    pub fn abandon_cut(&mut self) {
        if let Some(cut) = &mut self.book.cut {
            cut.sink = None;
            cut.orphans.clear();
        }
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
        let Cut { sink, places, orphans, .. } = self;
        for (place, db) in places.iter_mut().zip(&space.dbs) {
            if place.next.is_some() {
                place.walk(&db.table, sink, mark);
                return true;
            }
        }
        let Some((place, table)) = orphans.last_mut() else { return false };
        place.walk(table, sink, mark);
        if place.next.is_none() {
            if let Some((_, table)) = orphans.pop() {
                space.book.free_table(table);
            }
        }
        true
    }
}

impl Place {
    fn walk(&mut self, table: &Table<Entry>, sink: &mut Option<Box<dyn Sink>>, mark: bool) {
        let Some(at) = self.next else { return };
        let segment = table.segment_at(at);
        let label = self.label;
        match sink {
            Some(sink) => segment.for_each_fetched(|entry| {
                if entry.is_marked() != mark {
                    sink.entry(label, entry);
                    entry.set_mark(mark);
                }
            }),
            None => segment.for_each_fetched(|entry| entry.set_mark(mark)),
        }
        self.next = segment.last().checked_add(1);
    }
}

#[cfg(test)]
#[path = "cut/tests.rs"]
mod tests;
