//! What waits to be sent to one client: encoded bytes, and large values shared with the keyspace instead of copied.
//! Knows no socket. Invariant: the chunks, in order, are exactly the bytes of the replies; only the last chunk grows.

use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

/// A value of at least this many bytes is sent from where it lies; below, a copy is cheaper than the bookkeeping.
pub const SHARE_BYTES: usize = 16 * 1024;

/// Bytes that go out to one client.
#[derive(Default, Debug)]
pub struct Outbox {
    /// Chunks before `tail`, oldest first.
    head: VecDeque<Bytes>,
    /// What is being written to now.
    tail: Vec<u8>,
    /// Bytes of the oldest chunk that the kernel has taken already.
    sent: usize,
    /// Bytes in `head`.
    head_bytes: usize,
    /// Bytes from the oldest on that may leave, if not all: what follows them must be on the disk first.
    open_bytes: Option<usize>,
}

impl Outbox {
    /// Bytes that still wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.head_bytes + self.tail.len() - self.sent
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that may leave now.
    #[inline]
    pub fn open_len(&self) -> usize {
        self.open_bytes.map_or(self.len(), |open| open.min(self.len()))
    }

    /// Nothing may leave that does not already.
    pub fn hold(&mut self) {
        self.open_bytes.get_or_insert(0);
    }

    /// So many more bytes may leave; all of them if nothing is said.
    pub fn release(&mut self, bytes: Option<usize>) {
        self.open_bytes = match (self.open_bytes, bytes) {
            (Some(open), Some(bytes)) => Some(open + bytes),
            _ => None,
        };
    }

    /// Number of chunks: what Redis counts as reply list.
    pub fn chunks(&self) -> usize {
        self.head.len()
    }

    /// Heap bytes that this outbox alone holds.
    pub fn alloc_bytes(&self) -> usize {
        self.tail.capacity() + self.head_bytes
    }

    /// Capacity of the part that grows.
    pub fn tail_capacity(&self) -> usize {
        self.tail.capacity()
    }

    /// The growing part. Positions into it stay valid until a chunk is shared or sent.
    #[inline]
    pub fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends plain bytes.
    #[inline]
    pub fn extend(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
    }

    /// Appends a large value without copying it.
    pub fn share(&mut self, bytes: Bytes) {
        self.seal_tail();
        self.head_bytes += bytes.len();
        self.head.push_back(bytes);
    }

    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            let tail = std::mem::take(&mut self.tail);
            self.head_bytes += tail.len();
            self.head.push_back(Bytes::from(tail));
        }
    }

    /// Moves everything that `other` holds to the end of this one.
    pub fn append(&mut self, other: &mut Outbox) {
        debug_assert_eq!(other.sent, 0, "only a partly sent outbox may not move");
        for chunk in other.head.drain(..) {
            self.share(chunk);
        }
        other.head_bytes = 0;
        self.tail.extend_from_slice(&other.tail);
        other.tail.clear();
    }

    /// A mark to which `truncate` returns: bytes written so far, counting from the oldest unsent one.
    pub fn mark(&self) -> usize {
        self.head_bytes + self.tail.len()
    }

    /// Copies the bytes written since `mark` to the end of `to`.
    pub fn copy_since(&self, mark: usize, to: &mut Vec<u8>) {
        if mark < self.head_bytes {
            let mut before = 0;
            for chunk in &self.head {
                to.extend_from_slice(&chunk[mark.saturating_sub(before).min(chunk.len())..]);
                before += chunk.len();
            }
        }
        to.extend_from_slice(&self.tail[mark.saturating_sub(self.head_bytes)..]);
    }

    /// Drops what was written after `mark`. Only bytes that nobody has sent meanwhile.
    pub fn truncate(&mut self, mark: usize) {
        while self.head_bytes > mark {
            self.tail.clear();
            let Some(mut last) = self.head.pop_back() else { break };
            self.head_bytes -= last.len();
            if self.head_bytes < mark {
                last.truncate(mark - self.head_bytes);
                self.head_bytes += last.len();
                self.head.push_back(last);
            }
        }
        self.tail.truncate(mark - self.head_bytes);
    }

    /// Inserts bytes at `mark` (an array's length that is known only after its elements).
    pub fn insert(&mut self, mark: usize, bytes: &[u8]) {
        if mark >= self.head_bytes {
            let at = mark - self.head_bytes;
            let old_len = self.tail.len();
            self.tail.resize(old_len + bytes.len(), 0);
            self.tail.copy_within(at..old_len, at + bytes.len());
            self.tail[at..at + bytes.len()].copy_from_slice(bytes);
            return;
        }
        let mut before = 0;
        for index in 0..self.head.len() {
            let len = self.head[index].len();
            if mark <= before + len {
                let rest = self.head[index].split_off(mark - before);
                self.head.insert(index + 1, Bytes::copy_from_slice(bytes));
                if !rest.is_empty() {
                    self.head.insert(index + 2, rest);
                }
                self.head_bytes += bytes.len();
                return;
            }
            before += len;
        }
    }

    /// Up to `slices.len()` pieces to hand to one writev, in order; returns how many were filled.
    pub fn fill_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut count = 0;
        let mut skip = self.sent;
        let mut open = self.open_bytes.unwrap_or(usize::MAX);
        let chunks = self.head.iter().map(|c| &c[..]).chain(std::iter::once(&self.tail[..]));
        for chunk in chunks {
            if count == slices.len() {
                break;
            }
            let chunk = &chunk[skip.min(chunk.len())..];
            let chunk = &chunk[..open.min(chunk.len())];
            open -= chunk.len();
            skip = 0;
            if !chunk.is_empty() {
                slices[count] = IoSlice::new(chunk);
                count += 1;
            }
        }
        count
    }

    /// The one piece to write when there is only one.
    #[inline]
    pub fn single(&self) -> Option<&[u8]> {
        if !self.head.is_empty() {
            return None;
        }
        let rest = &self.tail[self.sent..];
        Some(&rest[..self.open_bytes.unwrap_or(usize::MAX).min(rest.len())])
    }

    /// The kernel took `n` bytes.
    pub fn advance(&mut self, n: usize) {
        self.sent += n;
        if let Some(open) = &mut self.open_bytes {
            *open -= n;
        }
        while let Some(first) = self.head.front() {
            if self.sent < first.len() {
                return;
            }
            self.sent -= first.len();
            self.head_bytes -= first.len();
            self.head.pop_front();
        }
        if self.sent == self.tail.len() {
            self.tail.clear();
            self.sent = 0;
        }
    }

    /// Gives up the empty growing buffer so that an idle client holds none.
    pub fn take_buffer(&mut self) -> Vec<u8> {
        debug_assert!(self.is_empty());
        std::mem::take(&mut self.tail)
    }

    /// Lends an empty buffer with room to an outbox that has none.
    #[inline]
    pub fn give_buffer(&mut self, buffer: Vec<u8>) {
        debug_assert!(self.tail.is_empty());
        self.tail = buffer;
    }

    /// Whether the growing part has room of its own.
    #[inline]
    pub fn has_buffer(&self) -> bool {
        self.tail.capacity() != 0
    }

    /// All bytes as one vector: for tests and for replies that are looked into.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all: Vec<u8> = self.head.iter().flat_map(|c| c.iter().copied()).collect();
        all.extend_from_slice(&self.tail);
        all.drain(..self.sent);
        all
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.head.clear();
        self.tail.clear();
        self.sent = 0;
        self.head_bytes = 0;
        self.open_bytes = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_shared_chunks_leave_in_order_whatever_the_kernel_takes() {
        for step in 1..20 {
            let mut out = Outbox::default();
            out.extend(b"abc");
            out.share(Bytes::from_static(b"defgh"));
            out.extend(b"ij");
            out.insert(1, b"XX");
            out.insert(out.mark(), b"END");
            assert_eq!(out.to_vec(), b"aXXbcdefghijEND");
            let mut got = Vec::new();
            while !out.is_empty() {
                let mut slices = [IoSlice::new(b""); 4];
                let n = out.fill_slices(&mut slices);
                let flat: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).collect();
                let take = step.min(flat.len());
                got.extend_from_slice(&flat[..take]);
                out.advance(take);
            }
            assert_eq!(got, b"aXXbcdefghijEND");
        }
    }

    #[test]
    fn what_is_held_does_not_leave() {
        let mut out = Outbox::default();
        out.extend(b"abc");
        out.hold();
        assert_eq!((out.open_len(), out.single()), (0, Some(&b""[..])));
        out.share(Bytes::from_static(b"defgh"));
        out.extend(b"ij");
        out.release(Some(5));
        let mut slices = [IoSlice::new(b""); 4];
        let n = out.fill_slices(&mut slices);
        assert_eq!((n, &*slices[0], &*slices[1]), (2, &b"abc"[..], &b"de"[..]));
        out.advance(4);
        assert_eq!((out.open_len(), out.len()), (1, 6));
        out.release(None);
        assert_eq!(out.open_len(), 6);
        assert_eq!(out.to_vec(), b"efghij");
    }

    #[test]
    fn truncate_returns_to_a_mark_inside_any_chunk() {
        for mark in 0..10 {
            let mut out = Outbox::default();
            out.extend(b"abc");
            out.share(Bytes::from_static(b"defgh"));
            out.extend(b"ij");
            out.truncate(mark);
            assert_eq!(out.to_vec(), &b"abcdefghij"[..mark]);
            assert_eq!(out.len(), mark);
        }
    }
}
