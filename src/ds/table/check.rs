//! The invariants of a table, spelled out for tests.

use super::segment::Segment;
use super::{Item, Table, directory, near_bits};

impl<T: Item> Table<T> {
    /// Panics if an invariant does not hold. Reads every key.
    pub fn check(&self) {
        if self.segments == 0 {
            assert_eq!((self.len, self.bits, self.bucket_bytes), (0, 0, 0));
            assert_eq!(self.directory, directory::unallocated());
            return;
        }
        let (mut len, mut bytes, mut segments, mut deepest) = (0, 0, 0, 0);
        for (index, segment) in self.owners() {
            self.check_segment(index, segment);
            len += usize::from(segment.count);
            bytes += segment.bytes();
            segments += 1;
            deepest += u32::from(segment.depth() == u32::from(self.bits));
        }
        assert_eq!((self.len, self.bucket_bytes), (len, bytes));
        assert_eq!((self.segments, self.deepest), (segments, deepest));
        assert!(self.bits == 0 || deepest > 0, "a directory that could halve does");
    }

    fn check_segment(&self, index: usize, segment: Segment) {
        let run = self.run(segment);
        assert_eq!(index % run, 0, "a run is aligned");
        for i in index..index + run {
            assert_eq!(self.entry(i).handle(), segment.handle(), "a run has one segment");
        }
        assert!(segment.bucket_count() <= usize::from(self.widest));
        // SAFETY: live while `self` is borrowed.
        unsafe { segment.check() };
        // SAFETY: live while `self` is borrowed.
        for slot in unsafe { segment.slots() } {
            let item = slot.item().expect("only filled slots are listed");
            // SAFETY: in the table.
            let hash = self.hasher.hash(unsafe { T::key(item) });
            assert_eq!(self.owner(hash), index, "an item lies in its segment");
            assert_eq!((slot.tag(), slot.near()), (hash as u16, near_bits(hash, segment.depth())));
            // SAFETY: live, and unchanged by the closure.
            let found = unsafe { segment.search(hash as u16, |p| p == item) };
            assert!(found.is_some(), "an item is found from its home");
        }
    }
}
