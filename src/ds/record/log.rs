//! Copies of records, one behind the other, to be read elsewhere: what a snapshot hands to its writer. Knows no meaning.
//!
//! ```text
//! [record, padded to 8 bytes][record, padded to 8 bytes] ...      each as drawn in entry.rs
//! ```
//! Invariant: no record here owns a box.

use super::RecordRef;
use std::marker::PhantomData;
use std::ptr::NonNull;

const WORD: usize = size_of::<u64>();

/// A run of copies.
pub struct RecordLog<B> {
    words: Vec<u64>,
    /// Where each record begins, in words.
    starts: Vec<u32>,
    kind: PhantomData<fn() -> B>,
}

impl<B> Default for RecordLog<B> {
    fn default() -> Self {
        RecordLog { words: Vec::new(), starts: Vec::new(), kind: PhantomData }
    }
}

impl<B> RecordLog<B> {
    /// Room for so many bytes of records.
    pub fn with_capacity(bytes: usize) -> Self {
        RecordLog { words: Vec::with_capacity(bytes / WORD), ..RecordLog::default() }
    }

    /// Copies a record to the end; false if its value is a box, which has to travel otherwise.
    #[inline]
    pub fn push(&mut self, record: RecordRef<'_, B>) -> bool {
        let (Some(bytes), Ok(start)) = (record.raw(), u32::try_from(self.words.len())) else { return false };
        self.starts.push(start);
        let mut rest = bytes;
        while let Some((word, behind)) = rest.split_first_chunk::<WORD>() {
            self.words.push(u64::from_ne_bytes(*word));
            rest = behind;
        }
        if !rest.is_empty() {
            let mut last = [0; WORD];
            last[..rest.len()].copy_from_slice(rest);
            self.words.push(u64::from_ne_bytes(last));
        }
        true
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Bytes of all copies.
    pub fn bytes(&self) -> usize {
        self.words.len() * WORD
    }

    /// The records, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = RecordRef<'_, B>> {
        self.starts.iter().map(|start| {
            let first = NonNull::from(&self.words[*start as usize..]).cast::<u8>();
            // SAFETY: `push` copied a record's bytes to here, which stay while the log is borrowed.
            unsafe { RecordRef::of_copy(first) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;

    #[test]
    fn copies_read_as_the_records_they_are_of() {
        let mut log = RecordLog::<Vec<u8>>::with_capacity(64);
        let mut records = Vec::new();
        for n in 0..300_usize {
            let key = vec![b'k'; n % 37 + n / 150 * 300];
            let value = vec![n as u8; n];
            records.push(Record::new(&key, (n % 8) as u8, &value, n as u32, (n % 3 == 0).then_some(n as i64)));
        }
        assert!(records.iter().all(|record| log.push(record.view())));
        assert!(!log.push(Record::new_big(b"big", 0x10, Box::new(vec![1_u8]), 0, None).view()));
        assert_eq!((log.len(), log.is_empty()), (300, false));
        assert!(log.bytes() > 300 * 300 / 2);
        for (copy, record) in log.iter().zip(&records) {
            assert_eq!((copy.key(), copy.value(), copy.kind()), (record.key(), record.value(), record.kind()));
            assert_eq!((copy.lru(), copy.deadline()), (record.lru(), record.deadline()));
        }
    }
}
