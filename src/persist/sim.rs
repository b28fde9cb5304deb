//! A disk in memory, for tests: any operation can be made to fail, and the power can be cut after any of them.
//!
//! ```text
//! name -> file          as the process sees it; changes of names since the last sync of their folder may be lost, each alone
//! file -> bytes         all that was written, and what of it is on the disk (after a sync of the file)
//!
//! after a cut of the power a file holds, beyond what was synced:
//!    nothing | its first bytes | all | a length at random, of whose pages (4 KiB) some were never written: zeros there
//! and what was overwritten since is old or new, sector by sector (512 bytes). A sync that fails loses what it was to write:
//! later syncs do not bring it back.
//! ```

use super::storage::{ReadFile, Storage, SyncFile, WriteFile};
use crate::base::rng::Rng;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

/// Every file has one name, however it is spelled.
fn whole(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).expect("tests run somewhere")
}

/// Bytes that a file system writes at once.
const PAGE_BYTES: usize = 4096;
/// Bytes that a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

#[derive(Default, Clone)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// It was emptied since the last sync.
    emptied: bool,
    /// What a failed sync has lost.
    lost: Vec<Range<usize>>,
}

impl Inode {
    fn sync(&mut self) {
        self.durable = self.bytes.clone();
        self.emptied = false;
        for range in &self.lost {
            let end = range.end.min(self.durable.len());
            self.durable[range.start.min(end)..end].fill(0);
        }
    }

    fn after_power_cut(&self, rng: &mut Rng) -> Inode {
        if self.emptied && rng.below(2) == 0 {
            return Inode { bytes: self.durable.clone(), durable: self.durable.clone(), ..Inode::default() };
        }
        let none = Vec::new();
        let durable = if self.emptied { &none } else { &self.durable };
        let mut bytes = durable.clone();
        let new = self.bytes.get(bytes.len()..).unwrap_or_default();
        match rng.below(4) {
            0 => {}
            1 => bytes.extend_from_slice(&new[..rng.below(new.len() as u64 + 1) as usize]),
            2 => bytes.extend_from_slice(new),
            _ => Self::some_pages(&self.bytes, &mut bytes, rng),
        }
        let overwritten = durable.len().min(self.bytes.len());
        for start in (0..overwritten).step_by(SECTOR_BYTES) {
            let sector = start..(start + SECTOR_BYTES).min(overwritten);
            if rng.below(2) == 0 {
                bytes[sector.clone()].copy_from_slice(&self.bytes[sector]);
            }
        }
        for range in &self.lost {
            // What was lost before it could be written is no longer known to anybody.
            let end = range.end.min(bytes.len());
            bytes[range.start.min(end)..end].fill(0);
        }
        Inode { durable: bytes.clone(), bytes, ..Inode::default() }
    }

    /// Some pages of `all` behind `bytes` reached the disk, in any order.
    fn some_pages(all: &[u8], bytes: &mut Vec<u8>, rng: &mut Rng) {
        let durable = bytes.len();
        if durable >= all.len() {
            return;
        }
        let last = all.len().div_ceil(PAGE_BYTES) as u64;
        let pages = (durable / PAGE_BYTES) as u64 + 1 + rng.below(last - (durable / PAGE_BYTES) as u64);
        let len = (pages as usize * PAGE_BYTES).min(all.len()).max(durable);
        bytes.resize(len, 0);
        let mut start = durable;
        while start < len {
            let end = ((start / PAGE_BYTES + 1) * PAGE_BYTES).min(len);
            if rng.below(3) > 0 {
                bytes[start..end].copy_from_slice(&all[start..end]);
            }
            start = end;
        }
    }
}

/// A change of names that may not be on the disk.
#[derive(Clone)]
enum NameChange {
    Set(PathBuf, usize),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, usize),
}

impl NameChange {
    /// The folder whose sync puts it on the disk.
    fn folder(&self) -> Option<&Path> {
        let (NameChange::Set(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path, _)) = self;
        path.parent()
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            NameChange::Set(path, inode) => drop(names.insert(path.clone(), *inode)),
            NameChange::Remove(path) => drop(names.remove(path)),
            NameChange::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
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

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }
}

/// The disk; copies are the same disk.
#[derive(Default, Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

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
        Some(state.inodes[*state.names.get(&whole(path))?].bytes.clone())
    }

    /// How many files there are.
    pub fn files(&self) -> usize {
        self.state().names.len()
    }

    /// Whether a failed sync has lost bytes that can still be read.
    pub fn has_lost(&self) -> bool {
        self.state().inodes.iter().any(|inode| inode.lost.iter().any(|range| !range.is_empty()))
    }

    /// The names of the files with their lengths: for the report of a failure.
    pub fn listing(&self) -> Vec<(PathBuf, usize)> {
        let state = self.state();
        state.names.iter().map(|(path, inode)| (path.clone(), state.inodes[*inode].bytes.len())).collect()
    }

    /// The disk as it is found after the power was cut.
    pub fn after_power_cut(&self, rng: &mut Rng) -> SimDisk {
        let state = self.state();
        let mut names = state.durable_names.clone();
        // Changes that were not synced may have reached the disk all the same: none, all, the first ones, or any.
        let (way, first) = (rng.below(4), rng.below(state.unsynced_names.len() as u64 + 1) as usize);
        for (nth, change) in state.unsynced_names.iter().enumerate() {
            let is_there = match way {
                0 => false,
                1 => true,
                2 => nth < first,
                _ => rng.below(2) == 0,
            };
            if is_there {
                change.apply(&mut names);
            }
        }
        let inodes = state.inodes.iter().map(|inode| inode.after_power_cut(rng)).collect();
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
        let inode = &mut state.inodes[self.inode];
        // The page that is written on is written whole, with what was lost of it.
        let page = inode.bytes.len() / PAGE_BYTES * PAGE_BYTES;
        inode.lost.iter_mut().for_each(|range| range.end = range.end.min(page).max(range.start));
        inode.bytes.extend_from_slice(&bytes[..len]);
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
        let operated = state.operate();
        let inode = &mut state.inodes[self.inode];
        if operated.is_err() {
            let unsynced = inode.durable.len().min(inode.bytes.len())..inode.bytes.len();
            inode.lost.push(unsynced);
            return operated;
        }
        inode.sync();
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
        let path = whole(path);
        let there = state.names.get(&path).copied();
        let inode = there.unwrap_or_else(|| {
            state.inodes.push(Inode::default());
            let inode = state.inodes.len() - 1;
            state.change(NameChange::Set(path, inode));
            inode
        });
        let file = &mut state.inodes[inode];
        file.bytes.clear();
        file.lost.clear();
        file.emptied = true;
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Option<ReadFile>> {
        let Some(bytes) = self.bytes(path) else { return Ok(None) };
        Ok(Some(ReadFile { len: bytes.len() as u64, bytes: Box::new(io::Cursor::new(bytes)) }))
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn WriteFile>> {
        let mut state = self.state();
        state.operate()?;
        let inode = *state.names.get(&whole(path)).ok_or(io::ErrorKind::NotFound)?;
        let file = &mut state.inodes[inode];
        if file.bytes.len() as u64 != len {
            file.bytes.resize(len as usize, 0);
            file.sync();
        }
        Ok(Box::new(SimFile { disk: self.clone(), inode }))
    }

    fn list(&self, folder: &Path) -> io::Result<Option<Vec<OsString>>> {
        let state = self.state();
        let folder = whole(folder);
        let inside = state.names.keys().filter(|path| path.parent() == Some(&folder));
        Ok(Some(inside.filter_map(|path| path.file_name().map(OsString::from)).collect()))
    }

    fn make_folder(&self, _folder: &Path) -> io::Result<()> {
        self.state().operate()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let (from, to) = (whole(from), whole(to));
        let inode = *state.names.get(&from).ok_or(io::ErrorKind::NotFound)?;
        state.change(NameChange::Rename(from, to, inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let path = whole(path);
        if !state.names.contains_key(&path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.change(NameChange::Remove(path));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        let folder = whole(folder);
        let (synced, rest): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.unsynced_names).into_iter().partition(|change| change.folder() == Some(&folder));
        synced.iter().for_each(|change| change.apply(&mut state.durable_names));
        state.unsynced_names = rest;
        Ok(())
    }
}
