//! The one door through which the files of the data folder are made and read. Here it is decided whether a file is sealed;
//! whoever writes or reads one does not know. Knows the disk; no format.

use super::storage::{ReadFile, Storage, WriteFile};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a file is for. A sealed file of one kind can't stand in for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A snapshot, or the base of the log in that form.
    Snapshot,
    /// A part of the append-only log that holds commands: each `append` is one batch, whole or not there.
    Log,
    /// The list of the log's parts.
    Manifest,
    /// Users and their passwords.
    Users,
}

/// Files, sealed or in clear.
#[derive(Clone)]
pub struct Vault {
    storage: Arc<dyn Storage>,
}

impl Vault {
    /// Files on this disk.
    pub fn new(storage: Arc<dyn Storage>) -> Vault {
        Vault { storage }
    }

    /// The disk itself: names, folders.
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// A new file, in place of one of that name.
    ///
    /// # Errors
    /// The system's.
    pub fn create(&self, path: &Path, _kind: FileKind) -> io::Result<Box<dyn WriteFile>> {
        self.storage.create(path)
    }

    /// A file to read, in clear; `None` if there is none of that name.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self, path: &Path, _kind: FileKind) -> io::Result<Option<ReadFile>> {
        self.storage.open(path)
    }
}
