//! A loan: something borrowed is put where code that can't carry a borrow finds it (a callback that lives as long as an
//! interpreter), for as long as one function runs. Knows not what is lent.
//!
//! Invariant: a pointer is held only inside `lend`, and only while nobody has it in hand: two borrows never exist at once.

use std::cell::Cell;
use std::ptr::NonNull;

/// The kind of what is lent: a type with a lifetime.
pub trait Lendable {
    /// It, borrowed for so long.
    type Lent<'a>;
}

/// Where it is found.
pub struct Loan<L: Lendable> {
    held: Cell<Option<NonNull<L::Lent<'static>>>>,
}

/// Puts back what was held before, also when a panic goes by.
struct Restore<'a, T>(&'a Cell<Option<NonNull<T>>>, Option<NonNull<T>>);

impl<T> Drop for Restore<'_, T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

impl<L: Lendable> Default for Loan<L> {
    fn default() -> Self {
        Loan { held: Cell::new(None) }
    }
}

impl<L: Lendable> Loan<L> {
    /// Runs `f`, during which `borrow` finds `what`.
    pub fn lend<'a, R>(&self, what: &mut L::Lent<'a>, f: impl FnOnce() -> R) -> R {
        let pointer = NonNull::from(what).cast::<L::Lent<'static>>();
        let _restore = Restore(&self.held, self.held.replace(Some(pointer)));
        f()
    }

    /// Runs `f` with what is lent; `None` if nothing is, or somebody has it in hand.
    pub fn borrow<R>(&self, f: impl for<'a> FnOnce(&mut L::Lent<'a>) -> R) -> Option<R> {
        let pointer = self.held.take()?;
        let _restore = Restore(&self.held, Some(pointer));
        // SAFETY: the pointer was made of a unique borrow in `lend`, which is on the stack below us and does not touch it
        // while it runs; it was taken out of the cell, so no other `borrow` has it. `f` works for every lifetime, so it
        // can neither keep anything of it nor mix it with another; the true lifetime is one of those.
        Some(f(unsafe { &mut *pointer.as_ptr() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Words;

    impl Lendable for Words {
        type Lent<'a> = Vec<&'a str>;
    }

    #[test]
    fn what_is_lent_is_found_once_at_a_time_and_only_while_it_is_lent() {
        let loan = Loan::<Words>::default();
        assert!(loan.borrow(|_| ()).is_none());
        let text = String::from("a b");
        let mut words: Vec<&str> = text.split(' ').collect();
        loan.lend(&mut words, || {
            loan.borrow(|words| {
                words.push("c");
                assert!(loan.borrow(|_| ()).is_none(), "it is in hand");
            });
            let mut other = vec!["x"];
            loan.lend(&mut other, || assert_eq!(loan.borrow(|words| words.len()), Some(1)));
            assert_eq!(loan.borrow(|words| words.len()), Some(3));
        });
        assert!(loan.borrow(|_| ()).is_none());
        assert_eq!(words, ["a", "b", "c"]);
    }
}
