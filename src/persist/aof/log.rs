//! The files of the log and what happens to them: writing, syncing, a new part, a new base, and the way out when the disk
//! fails. Knows no thread, no command and no clock.
//!
//! ```text
//! bytes -> batch  --one write-->  last increment        kept in memory until a sync succeeds
//! a write or sync fails:  the file is never touched again; what is kept goes into a new increment, which is synced and
//!                         put into the manifest together with the length up to which the old one counts
//! ```
//!
//! Invariant: on the disk there is at every moment a manifest whose parts hold, in order and once, all that was reported as
//! durable, and perhaps some of what came right after it.

use super::manifest::{Manifest, Part};
use super::open::{Batch, Open};
use crate::base::crc::Crc64;
use crate::persist::storage::SyncFile;
use crate::persist::vault::{FileKind, Vault};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// Room that is kept for the next bytes may be so many bytes more than four times the largest batch of late.
const SPARE_ROOM_BYTES: usize = 4096;

/// Where a log is, and how it is called.
#[derive(Clone)]
pub struct Place {
    /// Its files.
    pub vault: Vault,
    /// Its folder, whole: the process may change its own.
    pub folder: PathBuf,
    /// First part of its files' names.
    pub name: String,
}

impl Place {
    /// The path of a file of the log.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The name of the list of parts.
    pub fn manifest_name(&self) -> String {
        format!("{}.manifest", self.name)
    }

    /// Puts a list of parts in the place of the one that is there.
    ///
    /// # Errors
    /// The system's; then either list may be there.
    pub fn write_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        let target = self.path(&self.manifest_name());
        let temporary = self.path(&format!("temp-{}", self.manifest_name()));
        let mut file = self.vault.create(&temporary, FileKind::Manifest)?;
        file.append(&manifest.to_text())?;
        file.sync()?;
        // The names of the files that the list tells of are on the disk before the list is.
        self.vault.storage().sync_folder(&self.folder)?;
        self.vault.storage().rename(&temporary, &target)?;
        self.vault.storage().sync_folder(&self.folder)
    }

    /// The name of an increment of this number before the list tells of it.
    pub fn unlisted_name(&self, seq: u64) -> String {
        format!("temp-{}.{seq}.incr", self.name)
    }

    /// Gives the first increment its name, which the list tells of already.
    ///
    /// # Errors
    /// The system's; [`find`](mod@super::find) goes on with it.
    pub fn name_listed(&self, part: &Part) -> io::Result<()> {
        self.vault.storage().rename(&self.path(&self.unlisted_name(part.seq)), &self.path(&part.name))?;
        self.vault.storage().sync_folder(&self.folder)
    }

    /// Puts on the disk what another process wrote to a part, before a list promises it.
    ///
    /// # Errors
    /// The system's.
    pub fn sync_part(&self, name: &str) -> io::Result<()> {
        let path = self.path(name);
        let Some(file) = self.vault.storage().open(&path)? else { return Ok(()) };
        self.vault.storage().reopen(&path, file.len)?.sync()
    }

    /// Whether a file that was closed may be written on, or cut. A sealed one never is.
    pub fn may_reopen(&self, name: &str) -> bool {
        !self.vault.is_sealing() && self.vault.is_sealed(&self.path(name)).is_ok_and(|sealed| !sealed)
    }

    fn remove(&self, name: &str) {
        match self.vault.storage().remove(&self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                log::warn!("The file {name} of the append-only log can't be removed: {error}");
            }
            _ => {}
        }
    }
}

/// A batch that is not on the disk for certain.
struct Kept {
    batch: Batch,
    /// Offset in the stream behind it.
    end: u64,
}

/// A sync that is done beside the writing.
pub struct Sync {
    file: Box<dyn SyncFile>,
    end: u64,
    file_end: u64,
    generation: u64,
}

impl Sync {
    /// Does it.
    ///
    /// # Errors
    /// The system's.
    pub fn run(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

/// What the last increment is reopened with.
#[derive(Default)]
pub struct Tail {
    /// Its length, bytes; what is behind is cut off.
    pub len: u64,
    /// The checksum of those.
    pub crc: Crc64,
    /// Whether it says that each of its batches has its checksum.
    pub says_each: bool,
}

/// Whether a file is made longer before there is something to write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    /// It ends where what is written ends.
    Never,
    /// It stays as it is.
    Keep,
    /// It is, if it can be.
    Fill,
}

/// A log that is written.
pub struct Log {
    place: Place,
    manifest: Manifest,
    open: Option<Open>,
    /// How many files were opened so far.
    generation: u64,
    /// Files that no list names, or only one that was not certainly written.
    orphans: Vec<String>,
    /// The increment is not in the list yet: the log is being turned on.
    unlisted: bool,
    /// Where that began in the stream.
    unlisted_from: u64,
    /// Why writing has stopped.
    fault: Option<io::Error>,
    /// A sync has failed of bytes that were not kept: only a new base has them for certain.
    needs_base: bool,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    /// Room of what was kept before, for what comes next: the system would have to make it anew each second.
    rooms: Vec<Vec<u8>>,
    /// Their bytes.
    room_bytes: usize,
    /// About as many bytes as the largest batch of late had.
    large_bytes: usize,
    /// Whether what was written is kept until it is synced.
    pub keeps: bool,
    /// Whether the time is written.
    pub timestamps: bool,
    written: u64,
    durable: u64,
    /// What is added to an offset of the stream for it to be one of replication.
    replication_base: u64,
    /// Bytes of all parts but the open one.
    closed_bytes: u64,
    base_bytes: u64,
}

impl Log {
    /// A log of these parts, from this offset of the stream on; nothing is open yet.
    pub fn new(place: Place, manifest: Manifest, offset: u64) -> Log {
        Log {
            place,
            manifest,
            open: None,
            generation: 0,
            orphans: Vec::new(),
            unlisted: false,
            unlisted_from: offset,
            fault: None,
            needs_base: false,
            kept: VecDeque::new(),
            kept_bytes: 0,
            rooms: Vec::new(),
            room_bytes: 0,
            large_bytes: 0,
            keeps: true,
            timestamps: false,
            written: offset,
            durable: offset,
            replication_base: 0,
            closed_bytes: 0,
            base_bytes: 0,
        }
    }

    /// Offset of the stream up to which all is with the kernel.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Offset up to which all is on the disk.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Why writing has stopped.
    pub fn fault(&self) -> Option<&io::Error> {
        self.fault.as_ref()
    }

    /// Whether writing can only go on with a new base: what a failed sync has lost was not kept.
    pub fn needs_base(&self) -> bool {
        self.needs_base
    }

    /// The parts.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of all parts together.
    pub fn bytes(&self) -> u64 {
        self.closed_bytes + self.open.as_ref().map_or(0, |open| open.len)
    }

    /// Bytes of the base and what came with it.
    pub fn base_bytes(&self) -> u64 {
        self.base_bytes
    }

    /// Bytes in memory that are not on the disk for certain.
    pub fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Bytes of the room for what comes next.
    pub fn room_bytes(&self) -> usize {
        self.room_bytes
    }

    /// Whether its first base is not there yet.
    pub fn is_unlisted(&self) -> bool {
        self.unlisted
    }

    /// Whether the storage has threads.
    pub fn has_threads(&self) -> bool {
        self.place.vault.storage().has_threads()
    }

    /// Says how long the parts are that are not open.
    pub fn set_sizes(&mut self, closed_bytes: u64, base_bytes: u64) {
        (self.closed_bytes, self.base_bytes) = (closed_bytes, base_bytes);
    }

    /// Where the stream of replication is, if the list of parts tells: as it says, or else as long as its last part is.
    pub fn find_offset(&mut self, last_bytes: u64) -> Option<u64> {
        let last = self.manifest.increments.last()?;
        let offset = last.end_offset.or(last.start_offset.map(|start| start.saturating_add(last_bytes)))?;
        self.replication_base = offset.saturating_sub(self.written);
        Some(offset)
    }

    /// Where an offset of the stream is in that of replication, if the list of parts tells such.
    fn told_offset(&self, offset: u64) -> Option<u64> {
        self.manifest.tells_offsets().then(|| self.replication_base.saturating_add(offset))
    }

    /// Up to where the stream of replication is written; 0 if the list of parts does not tell.
    pub fn replication_offset(&self) -> u64 {
        self.told_offset(self.written).unwrap_or(0)
    }

    /// Goes on writing the last increment, if that may be; else begins one.
    ///
    /// # Errors
    /// The system's.
    pub fn open_last(&mut self, tail: Option<Tail>) -> io::Result<()> {
        let last =
            self.manifest.increments.last().filter(|part| part.len.is_none() && self.place.may_reopen(&part.name));
        match (last, tail) {
            (Some(part), Some(tail)) => {
                log::info!("Opening AOF incr file {} on server start", part.name);
                let mut file = self.place.vault.storage().reopen(&self.place.path(&part.name), tail.len)?;
                // Of what another process wrote nobody knows whether it is on the disk.
                file.sync()?;
                let mut open = Open::new(file);
                let ended = self.manifest.increments.last_mut().and_then(|part| part.end_offset.take());
                if ended.is_some() {
                    self.place.write_manifest(&self.manifest)?;
                }
                self.closed_bytes = self.closed_bytes.saturating_sub(tail.len);
                open.go_on(tail);
                self.open_file(open);
                Ok(())
            }
            _ => {
                let name = self.manifest.next_increment(&self.place.name).name;
                log::info!("Creating AOF incr file {name} on server start");
                self.begin_increment()
            }
        }
    }

    /// A new increment, empty, on the disk and in the list.
    fn begin_increment(&mut self) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        let part = manifest.begin_increment(&self.place.name, self.told_offset(self.written));
        let mut file = self.place.vault.create(&self.place.path(&part.name), FileKind::Log)?;
        file.sync()?;
        self.list(manifest, &part)?;
        self.closed_bytes += self.open.as_ref().map_or(0, |open| open.len);
        self.open_file(Open::new(file));
        Ok(())
    }

    fn open_file(&mut self, open: Open) {
        self.generation += 1;
        self.open = Some(open);
    }

    /// Puts a list in its place that names this part, which is new.
    fn list(&mut self, manifest: Manifest, part: &Part) -> io::Result<()> {
        // If writing fails the new list may be there all the same: its file stays, and no other gets the name.
        self.manifest.increment_seq = part.seq;
        if let Err(error) = self.place.write_manifest(&manifest) {
            self.orphans.push(part.name.clone());
            return Err(error);
        }
        self.manifest = manifest;
        std::mem::take(&mut self.orphans).iter().for_each(|name| self.place.remove(name));
        Ok(())
    }

    /// Begins a file that becomes the first increment when the base is there.
    ///
    /// # Errors
    /// The system's.
    pub fn open_unlisted(&mut self) -> io::Result<()> {
        self.place.vault.storage().make_folder(&self.place.folder)?;
        let file = self.place.vault.create(&self.place.path(&self.unlisted_name()), FileKind::Log)?;
        self.open_file(Open::new(file));
        self.unlisted = true;
        self.unlisted_from = self.written;
        Ok(())
    }

    fn unlisted_name(&self) -> String {
        self.place.unlisted_name(self.manifest.increment_seq + 1)
    }

    /// Writes the stream's next bytes, which end at the offset `end`. Only whole units. `secs` is the time, Unix seconds. Their
    /// room comes back, to be used again.
    ///
    /// # Errors
    /// The system's, now or before; the bytes are kept, and go to the disk with `recover`.
    pub fn append(&mut self, bytes: Vec<u8>, end: u64, secs: i64) -> io::Result<Vec<u8>> {
        self.write(bytes, end, secs, Ahead::Never)
    }

    /// The same, and all is on the disk when this returns. `fills`: the disk is what is waited for, and the file is made longer
    /// ahead.
    ///
    /// # Errors
    /// The system's, now or before; the bytes are kept, and go to the disk with `recover`.
    pub fn commit(&mut self, bytes: Vec<u8>, end: u64, secs: i64, fills: bool) -> io::Result<()> {
        self.write(bytes, end, secs, if fills { Ahead::Fill } else { Ahead::Keep })?;
        self.sync()
    }

    fn write(&mut self, bytes: Vec<u8>, end: u64, secs: i64, ahead: Ahead) -> io::Result<Vec<u8>> {
        let secs = self.timestamps.then_some(secs);
        let Some(open) = self.open.as_mut().filter(|_| self.fault.is_none()) else {
            self.keep(Batch::of(bytes), end);
            return Err(self.fault_again());
        };
        let fills = ahead == Ahead::Fill && open.can_fill();
        let is_even = fills || (ahead == Ahead::Keep && open.says_each());
        let batch = if is_even { open.even_batch(bytes, secs) } else { open.batch(bytes, secs) };
        let settled = if is_even { Ok(()) } else { open.cut_fill().and_then(|()| open.settle()) };
        if let Err(error) = settled {
            self.keep(batch, end);
            return Err(self.sync_failed(error));
        }
        let mut result = open.append(&batch.bytes);
        if fills {
            result = result.and_then(|()| open.refill(batch.bytes.len() as u64));
        }
        let file_end = open.len;
        match result {
            Ok(()) => {
                self.written = end;
                // What was kept before must be followed by all that came after.
                if !self.unlisted && (self.keeps || !self.kept.is_empty()) {
                    let len = batch.bytes.len();
                    self.keep(batch, end);
                    return Ok(self.take_room(len));
                }
                if self.kept.is_empty() {
                    open.clean_len = file_end;
                }
                let mut room = batch.bytes;
                room.clear();
                Ok(room)
            }
            Err(error) => {
                self.keep(batch, end);
                Err(self.failed("Error writing to the AOF file", error))
            }
        }
    }

    /// Room for what comes after so many bytes, if there is some. What is much too large for what comes now is given up.
    fn take_room(&mut self, bytes: usize) -> Vec<u8> {
        // Small batches come between large ones.
        self.large_bytes = bytes.max(self.large_bytes - self.large_bytes / 64);
        while let Some(room) = self.rooms.pop() {
            self.room_bytes -= room.capacity();
            if room.capacity() <= SPARE_ROOM_BYTES + 4 * self.large_bytes {
                return room;
            }
        }
        Vec::new()
    }

    fn keep(&mut self, batch: Batch, end: u64) {
        self.kept_bytes += batch.bytes.len();
        self.kept.push_back(Kept { batch, end });
    }

    fn fault_again(&self) -> io::Error {
        self.fault.as_ref().map_or_else(
            || io::Error::other("the log is not open"),
            |fault| {
                fault.raw_os_error().map_or_else(|| io::Error::other(fault.to_string()), io::Error::from_raw_os_error)
            },
        )
    }

    #[cold]
    fn failed(&mut self, what: &str, error: io::Error) -> io::Error {
        log::warn!("{what}: {error}");
        self.fault = Some(error);
        self.fault_again()
    }

    /// Up to `end` all is on the disk.
    fn synced(&mut self, end: u64, file_end: u64) {
        self.durable = self.durable.max(end);
        while self.kept.front().is_some_and(|kept| kept.end <= end) {
            let Some(kept) = self.kept.pop_front() else { break };
            let mut room = kept.batch.bytes;
            self.kept_bytes -= room.len();
            room.clear();
            self.room_bytes += room.capacity();
            self.rooms.push(room);
        }
        if self.written <= end {
            // Nothing has come since.
            (self.rooms, self.room_bytes) = (Vec::new(), 0);
        }
        if let Some(open) = &mut self.open {
            open.clean_len = open.clean_len.max(file_end);
            open.synced_len = open.synced_len.max(file_end);
        }
    }

    /// Puts on the disk what was written.
    ///
    /// # Errors
    /// The system's, now or before; what is kept goes to the disk with `recover`.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| self.fault.is_none()) else { return Err(self.fault_again()) };
        let (result, file_end) = (open.sync(), open.len);
        match result {
            Ok(()) => {
                self.synced(self.written, file_end);
                Ok(())
            }
            Err(error) => Err(self.sync_failed(error)),
        }
    }

    #[cold]
    fn sync_failed(&mut self, error: io::Error) -> io::Error {
        self.needs_base |= self.open.as_ref().is_some_and(|open| open.clean_len > open.synced_len);
        self.failed("Fail to fsync the AOF file", error)
    }

    /// A sync to be done while writing goes on; `None` if there is nothing to sync.
    pub fn begin_sync(&mut self) -> Option<Sync> {
        let open = self.open.as_ref().filter(|_| self.fault.is_none() && self.durable < self.written)?;
        match open.file.syncer() {
            Ok(file) => Some(Sync { file, end: self.written, file_end: open.len, generation: self.generation }),
            Err(error) => {
                self.failed("Fail to fsync the AOF file", error);
                None
            }
        }
    }

    /// That sync is done. `run`: how it ended.
    pub fn end_sync(&mut self, sync: &Sync, run: io::Result<()>) {
        // Of another file nothing is left to be said: it was synced when the new one began, or given up.
        if sync.generation != self.generation {
            return;
        }
        match run {
            Ok(()) if self.fault.is_some() => {}
            Ok(()) => self.synced(sync.end, sync.file_end),
            Err(error) => drop(self.sync_failed(error)),
        }
    }

    /// Nothing comes for a while: the file is cut to what is written, and what has no checksum behind it yet gets one.
    ///
    /// # Errors
    /// The system's.
    pub fn sum_up(&mut self) -> io::Result<()> {
        let Some(open) = self.open.as_mut().filter(|_| self.fault.is_none()) else { return Ok(()) };
        let result = open.cut_fill().and_then(|()| open.sum_up());
        if result.is_ok() && !self.keeps && self.kept.is_empty() {
            open.clean_len = open.len;
        }
        result.map_err(|error| self.failed("Error writing to the AOF file", error))
    }

    /// What is written from now on goes into a new increment; all before is on the disk then.
    ///
    /// # Errors
    /// The system's; the old increment is the last one still.
    pub fn next_increment(&mut self) -> io::Result<()> {
        self.end_increment()?;
        self.begin_increment()
    }

    /// Nothing more is written to the open increment.
    fn end_increment(&mut self) -> io::Result<()> {
        if self.fault.is_some() {
            return Err(self.fault_again());
        }
        self.sum_up()?;
        let finished = self.open.as_mut().map_or(Ok(()), |open| open.file.finish());
        if let Err(error) = finished {
            return Err(self.failed("Error writing to the AOF file", error));
        }
        self.sync()
    }

    /// New files are made through this door.
    pub fn set_vault(&mut self, vault: Vault) {
        self.place.vault = vault;
    }

    /// After a failure: what is kept goes into a new increment, and writing goes on there.
    ///
    /// # Errors
    /// The system's; nothing has changed, and it can be tried again.
    pub fn recover(&mut self) -> io::Result<()> {
        if self.fault.is_none() {
            return Ok(());
        }
        if self.needs_base {
            return Err(io::Error::other("what was lost was not kept: a new base is needed"));
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.clean_len > open.synced_len) {
            // Without a policy that syncs nothing was kept: the list must not promise more than the disk has.
            if let Err(error) = open.file.syncer().and_then(|mut file| file.sync()) {
                self.needs_base = true;
                return Err(error);
            }
            open.synced_len = open.clean_len;
        }
        let mut manifest = self.manifest.clone();
        let old = manifest.increments.last_mut().map(|part| {
            part.len = Some(self.open.as_ref().map_or(0, |open| open.clean_len));
            part.clone()
        });
        // What is kept begins where the disk ends.
        let part = manifest.begin_increment(&self.place.name, self.told_offset(self.durable));
        let path = self.place.path(&part.name);
        let mut open = Open::new(self.place.vault.create(&path, FileKind::Log)?);
        let mut bytes = Vec::with_capacity(self.kept_bytes + 32);
        self.kept.iter().for_each(|kept| bytes.extend_from_slice(kept.batch.data()));
        let end = self.kept.back().map_or(self.written, |kept| kept.end);
        let batch = open.batch(bytes, None);
        if let Err(error) = open.append(&batch.bytes).and_then(|()| open.sum_up()).and_then(|()| open.file.sync()) {
            self.place.remove(&part.name);
            return Err(error);
        }
        self.list(manifest, &part)?;
        self.closed_bytes += old.as_ref().and_then(|part| part.len).unwrap_or(0);
        self.fault = None;
        let len = open.len;
        self.open_file(open);
        self.kept.clear();
        self.kept_bytes = 0;
        self.written = end;
        self.synced(end, len);
        if let Some(old) = old {
            self.shorten(&old);
        }
        log::warn!("AOF write error looks solved, Redis can write again.");
        Ok(())
    }

    /// Cuts an increment to the length that counts, for readers that do not know of it. The list says it as well.
    fn shorten(&self, part: &Part) {
        let Some(len) = part.len.filter(|_| self.place.may_reopen(&part.name)) else { return };
        if let Err(error) = self.place.vault.storage().reopen(&self.place.path(&part.name), len) {
            log::warn!("The AOF file {} can't be cut to its {len} bytes that count: {error}", part.name);
        }
    }

    /// The name and number that the next base is to have.
    pub fn next_base(&self, rdb: bool) -> Part {
        self.manifest.next_base(&self.place.name, rdb)
    }

    /// The number of the open increment.
    pub fn increment_seq(&self) -> u64 {
        self.manifest.increment_seq
    }

    /// A new base is on the disk, of the state at the beginning of the increment `first_kept`: the list names it, and what it
    /// holds goes. `keep_history`: the old files stay.
    ///
    /// # Errors
    /// The system's; the old base is the base still.
    pub fn install_base(&mut self, base: Part, bytes: u64, first_kept: u64, keep_history: bool) -> io::Result<()> {
        let mut manifest = self.manifest.clone();
        let mut first_kept = first_kept;
        let mut first_part = None;
        if self.unlisted {
            let part = manifest.begin_increment(&self.place.name, self.told_offset(self.unlisted_from));
            self.sync()?;
            first_kept = part.seq;
            first_part = Some(part);
        }
        manifest.replace_base(base, first_kept);
        // If writing fails the new list may be there all the same: what comes next must not take these names.
        self.manifest.base_seq += 1;
        let listed = self.place.write_manifest(&manifest);
        // The list comes first, the increment's name after: whatever interrupts this, the next start goes on with it.
        let named = listed.and_then(|()| first_part.as_ref().map_or(Ok(()), |part| self.place.name_listed(part)));
        if let Err(error) = named {
            self.discard_names();
            return Err(error);
        }
        self.manifest = manifest;
        self.unlisted = false;
        self.closed_bytes = bytes;
        if self.manifest.increments.last().is_none_or(|part| part.seq != first_kept) {
            // Increments that came while the base was written, after failures of the disk.
            let closed = self.manifest.increments.iter().filter_map(|part| part.len);
            self.closed_bytes += closed.sum::<u64>();
        }
        self.base_bytes = self.bytes();
        if !keep_history {
            self.remove_history();
        }
        Ok(())
    }

    /// A first increment whose list was perhaps written keeps its name: the next attempt begins another.
    fn discard_names(&mut self) {
        if self.unlisted {
            self.manifest.increment_seq += 1;
        }
    }

    /// Removes the files that are no part any more, and takes them out of the list.
    pub fn remove_history(&mut self) {
        if self.manifest.history.is_empty() {
            return;
        }
        let history = std::mem::take(&mut self.manifest.history);
        history.iter().for_each(|part| self.place.remove(&part.name));
        if let Err(error) = self.place.write_manifest(&self.manifest) {
            log::warn!("The AOF manifest can't be written: {error}");
            self.manifest.history = history;
        }
    }

    /// The log is turned off: all is on the disk, and no file stays that is not in the list.
    ///
    /// # Errors
    /// The system's.
    pub fn close(&mut self) -> io::Result<()> {
        let closed = match self.fault {
            Some(_) => self.recover(),
            None if self.open.is_none() => Ok(()),
            None => self.end_increment(),
        };
        self.discard_unlisted();
        closed.and_then(|()| self.list_end())
    }

    /// The list says where the last increment was closed, if it tells such, and how long it is if it is sealed.
    fn list_end(&mut self) -> io::Result<()> {
        let (end, offset) = (self.open.as_ref().map(|open| open.len), self.told_offset(self.written));
        let mut manifest = self.manifest.clone();
        let Some((last, len)) = manifest.increments.last_mut().zip(end) else { return Ok(()) };
        if self.place.vault.is_sealing() && !self.place.may_reopen(&last.name) {
            last.len = Some(len);
        }
        last.end_offset = offset;
        if manifest != self.manifest {
            self.place.write_manifest(&manifest)?;
            self.manifest = manifest;
        }
        Ok(())
    }

    /// Gives up a file that is in no list.
    pub fn discard_unlisted(&mut self) {
        if std::mem::take(&mut self.unlisted) {
            let name = self.unlisted_name();
            log::info!("Removing the temp incr aof file {name} in the background");
            self.open = None;
            self.place.remove(&name);
        }
    }
}

/// A folder path made whole.
pub fn whole(folder: &Path) -> PathBuf {
    std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
}
