//! What an ordered collection was at one moment, while it changes: the values that were changed since, over those that were not.
//! Knows no file.
//!
//! ```text
//! ids      1   2   3 | 4   5   6   7   8   9          handed over up to here: |, the last at the beginning: 8
//! old                    5'      7'                   kept before they changed; "not there" for what is new
//! result               4   5'  6   7'  8              what is still to come, in order
//! ```
//!
//! Invariant: `old` holds ids only that are still to come, each with its value of the beginning.

use super::idtree::IdTree;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

/// The way of a collection's values, by id, to who wants them as they were at the beginning.
pub struct Overlay<V> {
    /// The next id that may come, and the last one; nothing once all have come.
    todo: Option<(u128, u128)>,
    /// Values of the beginning that were changed since; nothing where there was none.
    old: BTreeMap<u128, Option<V>>,
}

impl<V> Overlay<V> {
    /// Of a collection whose ids are up to this one now; nothing for an empty one.
    pub fn new(last: Option<u128>) -> Overlay<V> {
        Overlay { todo: last.map(|last| (0, last)), old: BTreeMap::new() }
    }

    /// Whether the value of an id must be kept before it changes, comes or goes.
    pub fn wants(&self, id: u128) -> bool {
        self.todo.is_some_and(|(next, last)| (next..=last).contains(&id)) && !self.old.contains_key(&id)
    }

    /// Keeps the value of an id that is wanted; nothing if there is none yet.
    pub fn keep(&mut self, id: u128, value: Option<V>) {
        debug_assert!(self.wants(id), "only what is wanted is kept, and the first value of it");
        self.old.insert(id, value);
    }

    /// Hands over the next value as it was at the beginning; false once there is none left.
    pub fn step(&mut self, now: &IdTree<V>, each: impl FnOnce(u128, &V)) -> bool {
        while let Some((next, last)) = self.todo {
            let present = now.ceiling(next).filter(|(id, _)| *id <= last);
            let kept = self.old.first_key_value().map(|(id, _)| *id);
            match (kept, present) {
                (Some(id), present) if present.is_none_or(|(at, _)| id <= at) => {
                    let value = self.old.remove(&id).flatten();
                    self.pass(id);
                    if let Some(value) = value {
                        each(id, &value);
                        return true;
                    }
                }
                (_, Some((id, value))) => {
                    self.pass(id);
                    each(id, value);
                    return true;
                }
                (_, None) => self.todo = None,
            }
        }
        false
    }

    /// The next id of a collection whose ids are all those from 0 on, with its value if that was kept; nothing once there is none
    /// left.
    pub fn next_dense(&mut self) -> Option<(u128, Option<V>)> {
        let (id, _) = self.todo?;
        let kept = self.old.remove(&id).flatten();
        self.pass(id);
        Some((id, kept))
    }

    /// This id has come.
    fn pass(&mut self, id: u128) {
        self.todo =
            self.todo.and_then(|(_, last)| Some((id.checked_add(1)?, last))).filter(|(next, last)| next <= last);
    }
}

/// What goes on with a collection while it is handed over, if it is. A copy of the collection is not handed over with it.
pub struct Captured<T>(Cell<Option<Box<T>>>);

impl<T> Captured<T> {
    /// It begins.
    pub fn begin(&self, what: T) {
        self.0.set(Some(Box::new(what)));
    }

    /// Whether it goes on.
    pub fn is_some(&self) -> bool {
        let what = self.0.take();
        let is_some = what.is_some();
        self.0.set(what);
        is_some
    }

    /// What goes on, before a change.
    #[inline(always)]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.0.get_mut().as_deref_mut()
    }

    /// Takes it out, to put it back with `put` if it is to go on.
    pub fn take(&self) -> Option<Box<T>> {
        self.0.take()
    }

    /// It goes on.
    pub fn put(&self, what: Box<T>) {
        self.0.set(Some(what));
    }
}

impl<T> Default for Captured<T> {
    fn default() -> Self {
        Captured(Cell::new(None))
    }
}

impl<T> Clone for Captured<T> {
    fn clone(&self) -> Self {
        Captured::default()
    }
}

impl<T> fmt::Debug for Captured<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Captured")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// As who owns both does it.
    fn preserve(overlay: &mut Overlay<u64>, tree: &IdTree<u64>, id: u128) {
        if overlay.wants(id) {
            overlay.keep(id, tree.get(id).copied());
        }
    }

    #[test]
    fn what_was_there_comes_in_order_whatever_changes() {
        for seed in 0..200 {
            let mut rng = Rng::seeded(seed);
            let top = if seed % 2 == 0 { u128::MAX } else { 300 };
            let id = |rng: &mut Rng| top - u128::from(rng.below(300));
            let mut tree = IdTree::default();
            for _ in 0..rng.below(300) {
                tree.insert(id(&mut rng), rng.below(1 << 40));
            }
            let expected: Vec<(u128, u64)> = tree.iter().map(|(id, value)| (id, *value)).collect();
            let mut overlay = Overlay::new(tree.last().map(|(id, _)| id));
            let mut seen = Vec::new();
            loop {
                for _ in 0..rng.below(8) {
                    let id = id(&mut rng);
                    preserve(&mut overlay, &tree, id);
                    match rng.below(3) {
                        0 => drop(tree.remove(id)),
                        _ => drop(tree.insert(id, rng.below(1 << 40))),
                    }
                }
                if !overlay.step(&tree, |id, value| seen.push((id, *value))) {
                    break;
                }
            }
            assert_eq!(seen, expected, "seed {seed}");
            assert!(!overlay.wants(top), "seed {seed}: nothing is left to do");
        }
    }

    #[test]
    fn ids_without_gaps_come_all() {
        let mut overlay = Overlay::new(Some(4));
        assert_eq!(overlay.next_dense(), Some((0, None)));
        overlay.keep(3, Some('c'));
        assert!(!overlay.wants(0) && !overlay.wants(3) && !overlay.wants(5) && overlay.wants(4));
        let rest: Vec<_> = std::iter::from_fn(|| overlay.next_dense()).collect();
        assert_eq!(rest, [(1, None), (2, None), (3, Some('c')), (4, None)]);
        assert_eq!(Overlay::<u8>::new(None).next_dense(), None);
    }
}
