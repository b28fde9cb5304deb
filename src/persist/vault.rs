//! The one door through which the files of the data folder are made and read. Here it is decided whether a file is sealed;
//! whoever writes or reads one does not know. Knows the disk; no format.

use super::seal::{self, Keyring, Opened, SealedWriter};
use super::storage::{ReadFile, Storage, WriteFile};
use std::io::{self, Read};
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
    keys: Option<Arc<Keyring>>,
    seals: bool,
}

impl Vault {
    /// Files on this disk, in clear.
    pub fn new(storage: Arc<dyn Storage>) -> Vault {
        Vault { storage, keys: None, seals: false }
    }

    /// Files on this disk, which are opened with these keys if they are sealed. `seals`: whether new ones are.
    pub fn with_keys(storage: Arc<dyn Storage>, keys: Keyring, seals: bool) -> Vault {
        Vault { storage, keys: Some(Arc::new(keys)), seals }
    }

    /// The disk itself: names, folders.
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }

    /// Whether new files are sealed. A sealed file is never appended to once it was closed.
    pub fn is_sealing(&self) -> bool {
        self.seals
    }

    /// A new file, in place of one of that name. The caller ends it with `finish` and `sync`.
    ///
    /// # Errors
    /// The system's.
    pub fn create(&self, path: &Path, kind: FileKind) -> io::Result<Box<dyn WriteFile>> {
        let file = self.storage.create(path)?;
        match &self.keys {
            Some(keys) if self.seals => match SealedWriter::begin(file, keys, kind) {
                Ok(sealed) => Ok(Box::new(sealed)),
                Err(error) => {
                    // Nobody else knows of the file.
                    drop(self.storage.remove(path));
                    Err(error)
                }
            },
            _ => Ok(file),
        }
    }

    /// A file to read, its content in clear; `None` if there is none of that name. What is wrong with a sealed file is found here or
    /// while it is read ([`seal::fault_of`]).
    ///
    /// # Errors
    /// The system's, or what is wrong with the seal.
    pub fn open(&self, path: &Path, kind: FileKind) -> io::Result<Option<ReadFile>> {
        let Some(file) = self.storage.open(path)? else { return Ok(None) };
        Ok(Some(match seal::open(file, self.keys.as_deref(), kind)? {
            Opened::Clear(file) => {
                if self.seals {
                    log::warn!("{} is in clear; the next file of its kind will be sealed", path.display());
                }
                file
            }
            Opened::Sealed(file, is_current) => {
                if !self.seals {
                    log::warn!("{} is sealed; the next file of its kind will be in clear", path.display());
                } else if !is_current {
                    log::info!("{} is sealed with the previous key; the next one gets the new key", path.display());
                }
                file
            }
        }))
    }

    /// Whether there is a file of this name that is sealed, with whatever key.
    ///
    /// # Errors
    /// The system's.
    pub fn is_sealed(&self, path: &Path) -> io::Result<bool> {
        let Some(file) = self.storage.open(path)? else { return Ok(false) };
        let mut first = Vec::new();
        file.bytes.take(seal::HEADER_BYTES as u64).read_to_end(&mut first)?;
        Ok(seal::is_sealed(&first))
    }
}
