//! A disk in memory, for tests: any operation can be made to fail, and the power can be cut after any of them.
//!
//! ```text
//! name -> file          as the process sees it; changes of names since the last sync of their folder may be lost, each alone
//! file -> bytes         all that was written, and what of it is on the disk (after a sync of the file)
//!
//! after a cut of the power a file holds, beyond what was synced:
//!    nothing | its first bytes | all | a length at random, of whose pages (4 KiB) some were never written: zeros there
//! and what was overwritten since is old or new, sector by sector (512 bytes); what was cut off since may be there again. A sync
//! that fails loses the pages that it was to write: later syncs do not bring them back, unless they are written anew.
//! ```
//!
//! A photograph is the disk at one moment, between two of its operations: whoever starts on it sees what a process would that
//! comes after one that was killed, or a machine after its power was cut, right then. A disk without threads keeps what is to be
//! done beside the caller, who says when that is: so whatever happens depends on a seed alone.

use super::storage::{Disk, ReadFile, Storage, SyncFile, Work, WriteFile};
use crate::base::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

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
    /// Numbers of the pages that a failed sync has lost.
    lost: BTreeSet<usize>,
}

/// A page of a file, as far as it is there.
fn page(bytes: &[u8], number: usize) -> &[u8] {
    let start = (number * PAGE_BYTES).min(bytes.len());
    &bytes[start..(start + PAGE_BYTES).min(bytes.len())]
}

impl Inode {
    fn write(&mut self, at: usize, new: &[u8]) {
        if new.is_empty() {
            return;
        }
        let end = at + new.len();
        self.bytes.resize(self.bytes.len().max(end), 0);
        self.bytes[at..end].copy_from_slice(new);
        // A page that is written on is written whole, with what was lost of it.
        self.lost.retain(|number| !(at / PAGE_BYTES..=(end - 1) / PAGE_BYTES).contains(number));
    }

    fn shorten(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.lost.retain(|number| number * PAGE_BYTES < len);
    }

    fn sync(&mut self) {
        let before = std::mem::replace(&mut self.durable, self.bytes.clone());
        self.forget_lost(if self.emptied { &[] } else { &before });
        self.emptied = false;
    }

    /// What was lost before it could be written is as it was before that, or was never written.
    fn forget_lost(&mut self, before: &[u8]) {
        for number in &self.lost {
            let start = (number * PAGE_BYTES).min(self.durable.len());
            let end = (start + PAGE_BYTES).min(self.durable.len());
            let old = page(before, *number);
            let old = &old[..old.len().min(end - start)];
            self.durable[start..end].fill(0);
            self.durable[start..start + old.len()].copy_from_slice(old);
        }
    }

    fn fail_to_sync(&mut self) {
        for number in 0..self.bytes.len().div_ceil(PAGE_BYTES) {
            if page(&self.bytes, number) != page(&self.durable, number) {
                self.lost.insert(number);
            }
        }
    }

    fn after_power_cut(&self, rng: &mut Rng) -> Inode {
        let found = |bytes: Vec<u8>| Inode { durable: bytes.clone(), bytes, ..Inode::default() };
        if self.emptied && rng.below(2) == 0 {
            return found(self.durable.clone());
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
            if bytes[sector.clone()] != self.bytes[sector.clone()] && rng.below(2) == 0 {
                bytes[sector.clone()].copy_from_slice(&self.bytes[sector]);
            }
        }
        if self.bytes.len() < durable.len() && rng.below(2) == 0 {
            bytes.truncate(self.bytes.len());
        }
        let mut inode = Inode { durable: bytes, lost: self.lost.clone(), ..Inode::default() };
        inode.forget_lost(durable);
        found(inode.durable)
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

#[derive(Default, Clone)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    unsynced_names: Vec<NameChange>,
    operations: u64,
    fail_from: u64,
    fail_until: u64,
    /// Operations up to the photograph.
    photo_in: Option<u64>,
    photo: Option<Box<State>>,
}

impl State {
    /// Counts an operation; an error if it is one that fails.
    fn operate(&mut self) -> io::Result<()> {
        match self.photo_in {
            Some(0) => {
                self.photo_in = None;
                self.photo = Some(Box::new(self.as_found()));
            }
            Some(left) => self.photo_in = Some(left - 1),
            None => {}
        }
        self.operations += 1;
        let fails = (self.fail_from..self.fail_until).contains(&self.operations);
        if fails { Err(io::Error::other("the simulated disk fails")) } else { Ok(()) }
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    /// What another process finds now.
    fn as_found(&self) -> State {
        State {
            inodes: self.inodes.clone(),
            names: self.names.clone(),
            durable_names: self.durable_names.clone(),
            unsynced_names: self.unsynced_names.clone(),
            ..State::default()
        }
    }
}

/// What is to be done beside the caller.
type Works = Arc<Mutex<VecDeque<Work>>>;

/// The disk; clones are the same disk.
#[derive(Default, Clone)]
pub(crate) struct SimDisk {
    state: Arc<Mutex<State>>,
    /// If it has no threads.
    works: Option<Works>,
}

struct SimFile {
    disk: SimDisk,
    inode: usize,
    /// Where the next bytes go.
    end: usize,
}

impl SimDisk {
    /// One without threads.
    pub fn by_hand() -> SimDisk {
        SimDisk { works: Some(Works::default()), ..SimDisk::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with the lock")
    }

    fn with(&self, state: State) -> SimDisk {
        SimDisk { state: Arc::new(Mutex::new(state)), works: self.works.as_ref().map(|_| Works::default()) }
    }

    /// How many works wait for `work`.
    pub fn works(&self) -> usize {
        self.works.as_ref().map_or(0, |works| works.lock().expect("no test panics with the lock").len())
    }

    /// Does the first of what is to be done beside the caller. It may be one that waits for the caller: then that never ends.
    pub fn work(&self) {
        let works = self.works.as_ref();
        let work = works.and_then(|works| works.lock().expect("no test panics with the lock").pop_front());
        if let Some(work) = work {
            work();
        }
    }

    /// The disk is photographed after so many operations from now on, or not at all.
    pub fn photograph_after(&self, operations: Option<u64>) {
        self.state().photo_in = operations;
    }

    /// Whether it was.
    pub fn has_photograph(&self) -> bool {
        self.state().photo.is_some()
    }

    /// Another disk, as this one was when it was photographed, or is now.
    pub fn copy(&self) -> SimDisk {
        let state = self.state();
        self.with(state.photo.as_ref().map_or_else(|| state.as_found(), |photo| photo.as_found()))
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
        self.state().inodes.iter().any(|inode| !inode.lost.is_empty())
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
        self.with(found)
    }
}

impl WriteFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let operated = state.operate();
        // A write that fails may have got some way.
        let len = if operated.is_ok() { bytes.len() } else { bytes.len() / 2 };
        state.inodes[self.inode].write(self.end, &bytes[..len]);
        self.end += len;
        operated
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        state.inodes[self.inode].write(offset as usize, bytes);
        Ok(())
    }

    fn can_fill(&self) -> bool {
        self.disk.works.is_some()
    }

    fn fill(&mut self, offset: u64, unit: &[u8], times: usize) -> io::Result<()> {
        let mut state = self.disk.state();
        let operated = state.operate();
        // A disk that gets full in the middle has written some of it, and not only whole units.
        let mut bytes = unit.repeat(times);
        bytes.truncate(if operated.is_ok() { bytes.len() } else { bytes.len() / 2 + 1 });
        state.inodes[self.inode].write(offset as usize, &bytes);
        operated
    }

    fn cut_fill(&mut self, offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        state.inodes[self.inode].shorten(offset as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        let operated = state.operate();
        let inode = &mut state.inodes[self.inode];
        if operated.is_ok() {
            inode.sync()
        } else {
            inode.fail_to_sync()
        }
        operated
    }

    fn syncer(&self) -> io::Result<Box<dyn SyncFile>> {
        Ok(Box::new(SimFile { disk: self.disk.clone(), inode: self.inode, end: self.end }))
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
        Ok(Box::new(SimFile { disk: self.clone(), inode, end: 0 }))
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
            file.shorten(len as usize);
            file.bytes.resize(len as usize, 0);
            file.sync();
        }
        Ok(Box::new(SimFile { disk: self.clone(), inode, end: len as usize }))
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

    fn has_threads(&self) -> bool {
        self.works.is_none()
    }

    fn run_beside(&self, name: &str, work: Work) -> io::Result<()> {
        match &self.works {
            Some(works) => works.lock().expect("no test panics with the lock").push_back(work),
            None => return Disk.run_beside(name, work),
        }
        Ok(())
    }

    fn nap(&self, time: Duration) {
        if self.works.is_some() { self.work() } else { std::thread::sleep(time) }
    }
}
