//! A disk in memory, for tests: any operation can be made to fail, and the power can be cut after any of them.
//!
//! ```text
//! name -> file          as the process sees it, and as it is on the disk (after a sync of the folder)
//! file -> bytes         all that was written, and how much of it is on the disk (after a sync of the file)
//! ```

use super::storage::{ReadFile, Storage, SyncFile, WriteFile};
use crate::base::rng::Rng;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Default, Clone)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    operations: u64,
    fail_from: u64,
    fail_until: u64,
}

impl State {
    /// Counts an operation; an error if it is one that fails.
    fn operate(&mut self) -> io::Result<()> {
        self.operations += 1;
        let fails = (self.fail_from..self.fail_until).contains(&self.operations);
        if fails { Err(io::Error::other("the simulated disk fails")) } else { Ok(()) }
    }
}

/// The disk; copies are the same disk.
#[derive(Default, Clone)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    disk: SimDisk,
    inode: usize,
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics with the lock")
    }

    /// The operations numbered from `first` up to `end` fail, counted from now on, from 1.
    pub fn fail(&self, first: u64, end: u64) {
        let mut state = self.state();
        state.operations = 0;
        (state.fail_from, state.fail_until) = (first, end);
    }

    /// Operations since `fail`.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// A file's bytes, as the process sees them.
    pub fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        Some(state.inodes[*state.names.get(path)?].bytes.clone())
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.state().names.len()
    }

    /// The disk as it is found after the power was cut: unsynced bytes are there in part, torn or not at all.
    pub fn after_power_cut(&self, rng: &mut Rng) -> SimDisk {
        let state = self.state();
        // A rename that was not synced may have reached the disk all the same.
        let names = if rng.below(2) == 0 { state.names.clone() } else { state.durable_names.clone() };
        let mut survive = |inode: &Inode| {
            let mut bytes = inode.durable.clone();
            let lost = inode.bytes.len().saturating_sub(bytes.len());
            let more = rng.below(lost as u64 + 1) as usize;
            let end = bytes.len() + more;
            bytes.extend_from_slice(inode.bytes.get(bytes.len()..end).unwrap_or_default());
            Inode { durable: bytes.clone(), bytes }
        };
        let inodes = state.inodes.iter().map(&mut survive).collect();
        let found = State { inodes, durable_names: names.clone(), names, ..State::default() };
        SimDisk(Arc::new(Mutex::new(found)))
    }
}

impl WriteFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let operated = state.operate();
        // A write that fails may have got some way.
        let len = if operated.is_ok() { bytes.len() } else { bytes.len() / 2 };
        state.inodes[self.inode].bytes.extend_from_slice(&bytes[..len]);
        operated
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let offset = offset as usize;
        state.inodes[self.inode].bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let inode = &mut state.inodes[self.inode];
        inode.durable = inode.bytes.clone();
        Ok(())
    }

    fn syncer(&self) -> io::Result<Box<dyn SyncFile>> {
        Ok(Box::new(SimFile { disk: self.disk.clone(), inode: self.inode }))
    }
}

impl SyncFile for SimFile {
    fn sync(&mut self) -> io::Result<()> {
        WriteFile::sync(self)
    }
}

impl Storage for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        state.operate()?;
        state.inodes.push(Inode::default());
        let inode = state.inodes.len() - 1;
        state.names.insert(path.to_owned(), inode);
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Option<ReadFile>> {
        let Some(bytes) = self.bytes(path) else { return Ok(None) };
        Ok(Some(ReadFile { len: bytes.len() as u64, bytes: Box::new(io::Cursor::new(bytes)) }))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        state.operate()?;
        let inode = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        let file = &mut state.inodes[inode];
        file.bytes.truncate(len as usize);
        file.durable.truncate(len as usize);
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn list(&self, folder: &Path) -> io::Result<Option<Vec<OsString>>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(Some(inside.filter_map(|path| path.file_name().map(OsString::from)).collect()))
    }

    fn make_folder(&self, _folder: &Path) -> io::Result<()> {
        self.state().operate()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let inode = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), inode);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.durable_names = state.names.clone();
        Ok(())
    }
}
