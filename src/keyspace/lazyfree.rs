//! Frees large values on a thread of its own. It receives owned values; the loop reads only two counters.

use super::expire::Deadlines;
use crate::ds::table::Table;
use crate::sys::alloc;
use crate::types::Entry;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

/// What can be given away to be freed.
enum Garbage {
    Entry(Entry),
    Table(Table<Entry>),
    /// Of a database that was emptied: an index of many keys takes its time, too.
    Indexes([Deadlines; 2]),
}

/// The way to the thread.
pub struct LazyFree {
    to_thread: Sender<Garbage>,
    given: u64,
    freed: Arc<AtomicU64>,
    base: u64,
}

impl LazyFree {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system's, if no thread can be had.
    pub fn start() -> std::io::Result<LazyFree> {
        let (to_thread, garbage) = channel();
        let freed = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&freed);
        std::thread::Builder::new().name("lazy-free".into()).stack_size(256 * 1024).spawn(move || {
            let _registered = alloc::register_thread();
            for item in garbage {
                let objects = match item {
                    Garbage::Entry(entry) => {
                        drop(entry);
                        1
                    }
                    Garbage::Table(table) => {
                        let objects = table.len() as u64;
                        drop(table);
                        objects
                    }
                    Garbage::Indexes(indexes) => {
                        drop(indexes);
                        0
                    }
                };
                count.fetch_add(objects, Ordering::Release);
            }
        })?;
        Ok(LazyFree { to_thread, given: 0, freed, base: 0 })
    }

    /// Gives a value away.
    pub fn entry(&mut self, entry: Entry) {
        self.given += 1;
        self.send(Garbage::Entry(entry));
    }

    /// Gives a whole database's table away.
    pub fn table(&mut self, table: Table<Entry>) {
        self.given += table.len() as u64;
        self.send(Garbage::Table(table));
    }

    /// Gives indexes of deadlines away.
    pub fn indexes(&mut self, indexes: [Deadlines; 2]) {
        self.send(Garbage::Indexes(indexes));
    }

    fn send(&mut self, garbage: Garbage) {
        // The thread ends only when the sender is dropped; were it gone, the value is freed here, by the error.
        drop(self.to_thread.send(garbage));
    }

    /// Values given away so far.
    pub fn given(&self) -> u64 {
        self.given
    }

    /// Whether the first so many values that were given away are freed.
    pub fn has_freed(&self, given: u64) -> bool {
        self.freed.load(Ordering::Acquire) >= given
    }

    /// Values that wait to be freed.
    pub fn pending(&self) -> u64 {
        self.given - self.freed.load(Ordering::Acquire)
    }

    /// Values freed since the statistics were reset.
    pub fn freed(&self) -> u64 {
        self.freed.load(Ordering::Acquire) - self.base
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.base = self.freed.load(Ordering::Acquire);
    }
}
