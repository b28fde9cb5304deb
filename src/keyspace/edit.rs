//! The one door through which a value changes. An edit that is dropped without `finish` says "untouched"; a value that was
//! made for it and is still empty vanishes, and an emptied collection takes its key with it.

use super::db::{Book, set_index};
use super::events::Event;
use super::expire::Deadlines;
use super::key::DbIndex;
use super::subkeys::Subkeys;
use crate::ds::table::Occupied;
use crate::types::{Entry, EntryRef, Limits, Value};
use std::marker::PhantomData;

/// What to do when the key is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Nothing to edit.
    Skip,
    /// Make an empty value.
    Create,
}

/// What a database knows of when its keys and their elements are due.
pub(super) struct Dates<'a> {
    pub volatile: &'a mut usize,
    pub deadlines: &'a mut Deadlines,
    pub subkeys: &'a mut Subkeys,
}

/// A value being changed.
pub struct Edit<'a, T: Value> {
    pub(super) place: Option<Occupied<'a, Entry>>,
    dates: Dates<'a>,
    pub(super) book: &'a mut Book,
    pub(super) index: DbIndex,
    pub(super) created: bool,
    /// The soonest deadline of an element, as the database knows it.
    soonest: Option<i64>,
    _type: PhantomData<T>,
}

impl<'a, T: Value> Edit<'a, T> {
    #[inline(always)]
    pub(super) fn new(
        place: Occupied<'a, Entry>,
        dates: Dates<'a>,
        book: &'a mut Book,
        index: DbIndex,
        created: bool,
    ) -> Self {
        let soonest = T::soonest(place.get());
        Edit { place: Some(place), dates, book, index, created, soonest, _type: PhantomData }
    }

    /// The value, to change it.
    #[inline]
    pub fn value(&mut self) -> T::Mut<'_> {
        T::edit(self.place.as_mut().expect("an edit has its place until it ends").get_mut(), &self.book.limits)
    }

    /// The value, to look at it.
    #[inline]
    pub fn view(&self) -> T::Ref<'_> {
        T::view(self.entry())
    }

    /// The entry.
    pub fn entry(&self) -> EntryRef<'_> {
        self.place.as_ref().expect("an edit has its place until it ends").get()
    }

    /// The thresholds in force.
    pub fn limits(&self) -> &Limits {
        &self.book.limits
    }

    /// Whether the value was made for this edit.
    pub fn created(&self) -> bool {
        self.created
    }

    /// Sets or takes away the deadline.
    pub fn set_deadline(&mut self, deadline: Option<i64>) {
        let place = self.place.as_mut().expect("an edit has its place until it ends");
        let old = place.get().deadline();
        place.get_mut().set_deadline(deadline);
        set_index(self.dates.deadlines, self.dates.volatile, place.hash(), old, deadline);
    }

    /// Announces a change besides the one that `finish` announces.
    pub fn announce(&mut self, event: Event) {
        let Some(place) = &self.place else { return };
        let key = place.get().key();
        if std::mem::take(&mut self.created) {
            self.book.announce(self.index, key, Event::NEW_KEY);
        }
        self.book.announce(self.index, key, event);
    }

    /// The value changed once: counted and announced. If nothing is left of it the key goes.
    #[inline(always)]
    pub fn finish(self, event: Event) {
        self.finish_with(1, event);
    }

    /// As `finish`, for `changes` changes.
    #[inline(always)]
    pub fn finish_with(mut self, changes: u64, event: Event) {
        self.note_soonest();
        let Some(place) = self.place.take() else { return };
        self.book.dirty += changes;
        let emptied = T::is_empty(place.get());
        if emptied || self.book.interest != 0 {
            self.tell(place, emptied, event);
        }
    }

    /// What few edits need: the change is announced, a value of which nothing is left goes. Takes the edit away with it: one that
    /// is never pointed to stays in registers.
    #[inline(never)]
    fn tell(self, place: Occupied<'a, Entry>, emptied: bool, event: Event) {
        if self.book.interest != 0 {
            let key = place.get().key();
            if self.created && !emptied {
                self.book.announce(self.index, key, Event::NEW_KEY);
            }
            self.book.announce(self.index, key, event);
            if emptied {
                self.book.announce(self.index, key, Event::generic("del"));
            }
        }
        if emptied {
            debug_assert_eq!(self.soonest, None, "the database knows of no element that is due");
            remove(place, self.dates.volatile, self.book);
        }
    }

    /// Tells the database when an element is due next, if that has changed.
    #[inline]
    pub(super) fn note_soonest(&mut self) {
        let Some(place) = &self.place else { return };
        let soonest = T::soonest(place.get());
        if soonest != self.soonest {
            self.dates.subkeys.changed(place.hash(), self.soonest, soonest);
            self.soonest = soonest;
        }
    }
}

/// A value of which nothing is left goes, and its key.
#[inline(never)]
fn remove(place: Occupied<'_, Entry>, volatile: &mut usize, book: &mut Book) {
    let entry = place.remove();
    if entry.deadline().is_some() {
        *volatile -= 1;
    }
    book.free(entry, false);
}

impl<T: Value> Drop for Edit<'_, T> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            // Not finished means untouched: what was made for it must not stay, whatever its type.
            if self.created {
                remove(place, self.dates.volatile, self.book);
            }
        }
    }
}
