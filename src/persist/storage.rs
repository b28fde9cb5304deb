//! The disk behind a trait, so that tests can let the n-th write, sync or rename fail, or cut the power in between.
//! Knows no format.
//!
//! Invariant of what is written through [`Replacement`]: under the file's name stands the old file whole or the new one whole,
//! at every moment, power cuts included; a file that could not be finished is removed.

use super::vault::{FileKind, Vault};
use crate::sys::alloc;
use crate::sys::thread::{Way, give_way};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Something to be done.
pub type Work = Box<dyn FnOnce() + Send>;

/// A file being written.
pub trait WriteFile: Send {
    /// Adds bytes at the end.
    ///
    /// # Errors
    /// The system's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Overwrites bytes that were written.
    ///
    /// # Errors
    /// The system's.
    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Whether `fill` does something.
    fn can_fill(&self) -> bool {
        false
    }

    /// Repeats `unit` from `offset`, the file's end, on; what is appended later goes over it. The blocks exist then before they
    /// are needed, so that a sync need not write where they are.
    ///
    /// # Errors
    /// The system's; part of it may be there, which `cut_fill` takes away.
    fn fill(&mut self, offset: u64, unit: &[u8], times: usize) -> io::Result<()> {
        let _ = (offset, unit, times);
        Ok(())
    }

    /// Takes away what `fill` put behind `offset`, the end of what was appended.
    ///
    /// # Errors
    /// The system's.
    fn cut_fill(&mut self, offset: u64) -> io::Result<()> {
        let _ = offset;
        Ok(())
    }

    /// Nothing follows: what belongs at the end, or was held back, is written. Called before the last `sync` of a file that
    /// is to be whole.
    ///
    /// # Errors
    /// The system's.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was written is on the disk when this returns.
    ///
    /// # Errors
    /// The system's; what was written may be lost then.
    fn sync(&mut self) -> io::Result<()>;

    /// A second hand on the file, which can sync it while the first goes on writing.
    ///
    /// # Errors
    /// The system's.
    fn syncer(&self) -> io::Result<Box<dyn SyncFile>>;
}

/// Puts on the disk what was written to a file by then.
pub trait SyncFile: Send {
    /// What was written before the call is on the disk when this returns.
    ///
    /// # Errors
    /// The system's; what was written may be lost then.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read, and how long it is.
pub struct ReadFile {
    /// Its bytes from the first on.
    pub bytes: Box<dyn Read + Send>,
    /// Its length when it was opened, bytes.
    pub len: u64,
}

/// Where files are.
pub trait Storage: Send + Sync {
    /// A new file, in place of one of that name.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// A file to read; `None` if there is none of that name.
    ///
    /// # Errors
    /// The system's.
    fn open(&self, path: &Path) -> io::Result<Option<ReadFile>>;

    /// A file that is there, to write on at its end after its first `len` bytes; what is behind them is cut off.
    ///
    /// # Errors
    /// The system's; there is no such file.
    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn WriteFile>>;

    /// The names of the files in a folder; nothing if there is no such folder.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Option<Vec<OsString>>>;

    /// Makes a folder, if it is not there; its name is on the disk when this returns.
    ///
    /// # Errors
    /// The system's.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Gives a file another name, in place of one that has it.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The names in a folder are on the disk when this returns.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Whether what waits for the disk is done by threads. Without them (in a simulation) whoever owns the storage does it, when
    /// it sees fit.
    fn has_threads(&self) -> bool {
        true
    }

    /// Has something done beside the caller, by a thread of this name that gives way to the loop.
    ///
    /// # Errors
    /// The system's, if no thread can be had.
    fn run_beside(&self, name: &str, work: Work) -> io::Result<()> {
        std::thread::Builder::new().name(name.into()).spawn(move || {
            let _metered = alloc::register_thread();
            // At equal rights on the loop's core it would hold requests up for milliseconds. Where that is refused it still works.
            drop(give_way(Way::Behind));
            work();
        })?;
        Ok(())
    }

    /// The caller waits a moment for what is done beside it.
    fn nap(&self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

struct DiskFile(fs::File);

impl WriteFile for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(offset))?;
        self.0.write_all(bytes)?;
        self.0.seek(SeekFrom::End(0)).map(drop)
    }

    fn can_fill(&self) -> bool {
        true
    }

    fn fill(&mut self, offset: u64, unit: &[u8], times: usize) -> io::Result<()> {
        // The place where appends go stays.
        self.0.write_all_at(&unit.repeat(times), offset)
    }

    fn cut_fill(&mut self, offset: u64) -> io::Result<()> {
        self.0.set_len(offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn syncer(&self) -> io::Result<Box<dyn SyncFile>> {
        Ok(Box::new(DiskFile(self.0.try_clone()?)))
    }
}

impl SyncFile for DiskFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Box::new(DiskFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Option<ReadFile>> {
        match fs::File::open(path) {
            Ok(file) => {
                let len = file.metadata()?.len();
                Ok(Some(ReadFile { bytes: Box::new(file), len }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn reopen(&self, path: &Path, len: u64) -> io::Result<Box<dyn WriteFile>> {
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() != len {
            file.set_len(len)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::End(0))?;
        Ok(Box::new(DiskFile(file)))
    }

    fn list(&self, folder: &Path) -> io::Result<Option<Vec<OsString>>> {
        match fs::read_dir(folder) {
            Ok(entries) => {
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>().map(Some)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        match fs::DirBuilder::new().mode(0o755).create(folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                self.sync_folder(folder.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new(".")))
            }
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        fs::File::open(folder)?.sync_all()
    }
}

/// A new file that takes another's place once it is whole.
pub struct Replacement<'s> {
    storage: &'s dyn Storage,
    temporary: PathBuf,
    target: PathBuf,
    file: Option<Box<dyn WriteFile>>,
}

impl<'s> Replacement<'s> {
    /// Begins a file under a temporary name in the folder of `target`.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(vault: &'s Vault, kind: FileKind, target: &Path, temporary_name: &str) -> io::Result<Replacement<'s>> {
        let temporary = target.with_file_name(temporary_name);
        let file = vault.create(&temporary, kind)?;
        Ok(Replacement { storage: vault.storage(), temporary, target: target.to_owned(), file: Some(file) })
    }

    /// The file, to be written.
    pub fn file(&mut self) -> &mut dyn WriteFile {
        self.file.as_mut().expect("the file is there until it is committed").as_mut()
    }

    /// The file is whole: it is put on the disk, under its name.
    ///
    /// # Errors
    /// The system's; then the old file is still the one of that name, unless the very last step failed.
    pub fn commit(mut self) -> io::Result<()> {
        self.file().finish()?;
        self.file().sync()?;
        self.storage.rename(&self.temporary, &self.target)?;
        self.file = None;
        let folder = self.target.parent().filter(|folder| !folder.as_os_str().is_empty());
        self.storage.sync_folder(folder.unwrap_or(Path::new(".")))
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            if let Err(error) = self.storage.remove(&self.temporary) {
                log::debug!("The unfinished file {} could not be removed: {error}", self.temporary.display());
            }
        }
    }
}
