//! Bytes that can be spliced, wherever they live: what packed structures are written over.

use crate::sys::alloc::size_class;

/// Owned bytes of any length. A packed structure over it may lie in a vector or right in a record.
pub trait Blob {
    /// All bytes.
    fn bytes(&self) -> &[u8];

    /// All bytes, to be changed in place.
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Replaces the `remove_len` bytes from `at` on by `insert`.
    ///
    /// # Panics
    /// If `at + remove_len` is beyond the end.
    fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]);
}

impl Blob for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    /// Capacity grows to the next size class of the allocator, not to the double, and shrinks when half is unused.
    fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]) {
        let (old_len, tail) = (self.len(), at + remove_len);
        assert!(tail <= old_len, "a splice lies within the bytes");
        let new_len = old_len - remove_len + insert.len();
        if new_len > self.capacity() {
            // Vectors are mostly small; large ones grow by an eighth so that appending stays linear.
            self.reserve_exact(size_class(new_len.max(old_len + old_len / 8)) - old_len);
        }
        if new_len > old_len {
            self.resize(new_len, 0);
        }
        self.copy_within(tail..old_len, at + insert.len());
        self.truncate(new_len);
        self[at..at + insert.len()].copy_from_slice(insert);
        if self.capacity() > 64 && size_class(new_len) < self.capacity() / 2 {
            self.shrink_to(size_class(new_len));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splice_of_a_vector_is_the_std_splice() {
        let mut seed = 7u64;
        let mut next = move |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        let (mut real, mut model) = (Vec::new(), Vec::new());
        for step in 0..2_000 {
            let at = next(model.len() + 1);
            let remove_len =
                next(model.len() - at + 1).min(if step % 200 < 150 { 30 } else { 300 });
            let insert: Vec<u8> = (0..next(40)).map(|i| (step + i) as u8).collect();
            Blob::splice(&mut real, at, remove_len, &insert);
            model.splice(at..at + remove_len, insert);
            assert_eq!(real, model, "step {step}");
            assert!(real.capacity() <= 64.max(2 * size_class(real.len())));
        }
        assert_eq!(real.bytes(), model);
        assert_eq!(real.bytes_mut(), model);
    }
}
