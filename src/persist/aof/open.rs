//! The increment that is written: batches, their checksums, and room made ahead. Knows no list of parts and no stream.
//!
//! ```text
//! batch            [#SUMS] [#TS] data [#CRC]
//! file             batch batch batch
//! file made ahead  batch(#SUMS:each ... #CRC) batch(... #CRC) batch(... #CRC) # # # # # # #
//! ```
//!
//! A sync after an append must write twice, and wait for the first before the second: the bytes, and where the file ends now.
//! So while the disk is what is waited for, the file is filled ahead, and batches go over what it is filled with: lines of two
//! bytes, which every reader of the format skips. When the power goes, sectors of the last batch may be missing in its middle,
//! with lines of the filling there: therefore each batch has its checksum then, the file says so (`#SUMS:each`), and a reader
//! takes no batch whose checksum it has not seen; the checksum also tells where its batch begins, so that one of a later batch
//! proves that the damage before it is none of an unfinished write. Invariants: batches that go over the filling have an even length,
//! so that what is left behind them are whole lines; batches without a checksum of their own come only once the filling is gone from
//! the disk as well.

use super::log::Tail;
use super::scan::{EACH_LINE, FILL_LINE, SOME_LINE, checksum_line, time_line};
use crate::base::crc::Crc64;
use crate::persist::storage::WriteFile;
use std::io;
use std::ops::Range;

/// Bytes after which a checksum is written.
const CHECKSUM_EVERY_BYTES: u64 = 4096;
/// A file is filled for so many batches like the last one,
const FILL_BATCHES: u64 = 128;
/// but at least for so many bytes,
const LEAST_FILL_BYTES: u64 = 256 * 1024;
/// and at most for so many.
const MOST_FILL_BYTES: u64 = 4 << 20;

/// Bytes of the stream, and what the file needs around them.
pub(super) struct Batch {
    /// All of it.
    pub bytes: Vec<u8>,
    data: Range<usize>,
}

impl Batch {
    /// These and nothing around.
    pub fn of(bytes: Vec<u8>) -> Batch {
        Batch { data: 0..bytes.len(), bytes }
    }

    /// What also counts in another file.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.data.clone()]
    }
}

/// The increment that is written.
pub(super) struct Open {
    pub file: Box<dyn WriteFile>,
    /// Bytes that are written.
    pub len: u64,
    crc: Crc64,
    /// Bytes without a checksum behind them.
    unsummed: u64,
    /// Its length before what is kept in memory.
    pub clean_len: u64,
    /// Its length up to which it was synced.
    pub synced_len: u64,
    /// Whether a checksum stands in it.
    has_sums: bool,
    last_secs: Option<i64>,
    /// Up to where it is filled, if that is behind `len`.
    filled: u64,
    /// What it was filled with was cut off, which may not be on the disk.
    was_cut: bool,
    /// Filling it has failed.
    is_full: bool,
    says_each: bool,
}

impl Open {
    /// A new file.
    pub fn new(file: Box<dyn WriteFile>) -> Open {
        Open {
            file,
            len: 0,
            crc: Crc64::default(),
            unsummed: 0,
            clean_len: 0,
            synced_len: 0,
            has_sums: false,
            last_secs: None,
            filled: 0,
            was_cut: false,
            is_full: false,
            says_each: false,
        }
    }

    /// It has this in it already.
    pub fn go_on(&mut self, tail: Tail) {
        (self.len, self.clean_len, self.synced_len) = (tail.len, tail.len, tail.len);
        (self.crc, self.says_each) = (tail.crc, tail.says_each);
    }

    /// Whether the file says that each batch has its checksum.
    pub fn says_each(&self) -> bool {
        self.says_each
    }

    /// Whether the file can be made longer ahead.
    pub fn can_fill(&self) -> bool {
        !self.is_full && self.file.can_fill()
    }

    /// Bytes, and a checksum behind them if it is time for one.
    pub fn batch(&mut self, bytes: Vec<u8>, secs: Option<i64>) -> Batch {
        let mut batch = self.unsummed_batch(bytes, secs, false);
        if self.unsummed >= CHECKSUM_EVERY_BYTES {
            self.sum(&mut batch.bytes, None);
        }
        batch
    }

    /// Bytes with their own checksum, after which the file has an even length.
    pub fn even_batch(&mut self, bytes: Vec<u8>, secs: Option<i64>) -> Batch {
        let begin = self.len;
        let mut batch = self.unsummed_batch(bytes, secs, true);
        self.sum(&mut batch.bytes, Some(begin));
        batch
    }

    fn unsummed_batch(&mut self, bytes: Vec<u8>, secs: Option<i64>, each: bool) -> Batch {
        let mut before = Vec::new();
        if self.says_each != each {
            self.says_each = each;
            before.extend_from_slice(if each { EACH_LINE } else { SOME_LINE });
        }
        if !each && !self.has_sums && bytes.len() as u64 >= CHECKSUM_EVERY_BYTES {
            // Pages of this batch may be missing after a cut of the power. That its checksum is missing too says something only
            // in a file that has checksums.
            let mut crc = self.crc.clone();
            crc.update(&before);
            checksum_line(&crc, None, &mut before);
            self.has_sums = true;
        }
        let said = before.len();
        if let Some(secs) = secs.filter(|_| !bytes.is_empty() && self.last_secs != secs) {
            self.last_secs = Some(secs);
            before.extend_from_slice(&time_line(secs));
        }
        let bytes = if before.is_empty() { bytes } else { [before, bytes].concat() };
        self.crc.update(&bytes);
        self.unsummed += bytes.len() as u64;
        Batch { data: said..bytes.len(), bytes }
    }

    /// Adds the line with the checksum. `begin`: where the batch begins in the file, which is told then, and the line makes the
    /// file's length even.
    fn sum(&mut self, bytes: &mut Vec<u8>, begin: Option<u64>) {
        let start = bytes.len();
        checksum_line(&self.crc, begin, bytes);
        if begin.is_some() && (self.len + bytes.len() as u64) % 2 != 0 {
            // The line ends with one byte instead of two.
            bytes.truncate(bytes.len() - 2);
            bytes.push(b'\n');
        }
        self.crc.update(&bytes[start..]);
        self.unsummed = 0;
        self.has_sums = true;
    }

    /// Writes the checksum of what has none behind it yet.
    ///
    /// # Errors
    /// The system's.
    pub fn sum_up(&mut self) -> io::Result<()> {
        if self.unsummed == 0 {
            return Ok(());
        }
        let mut line = Vec::new();
        self.sum(&mut line, None);
        self.append(&line)
    }

    /// Writes at the end.
    ///
    /// # Errors
    /// The system's.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.append(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Makes the file longer, if there is no room left for a batch of this length. A full disk is no failure yet.
    ///
    /// # Errors
    /// The system's, if it does not take back either what it did not do whole.
    pub fn refill(&mut self, batch_bytes: u64) -> io::Result<()> {
        if self.filled >= self.len + batch_bytes {
            return Ok(());
        }
        let wanted = batch_bytes.saturating_mul(FILL_BATCHES).clamp(LEAST_FILL_BYTES, MOST_FILL_BYTES);
        let times = wanted / FILL_LINE.len() as u64;
        if let Err(error) = self.file.fill(self.len, FILL_LINE, times as usize) {
            log::debug!("The AOF file can't be made longer ahead: {error}");
            (self.is_full, self.was_cut, self.filled) = (true, true, 0);
            return self.file.cut_fill(self.len);
        }
        self.filled = self.len + times * FILL_LINE.len() as u64;
        Ok(())
    }

    /// The file ends where what is written ends.
    ///
    /// # Errors
    /// The system's.
    pub fn cut_fill(&mut self) -> io::Result<()> {
        if self.filled > self.len {
            self.was_cut = true;
            self.file.cut_fill(self.len)?;
        }
        self.filled = 0;
        Ok(())
    }

    /// Before batches come that have no checksum of their own: none of them may be mixed with what the file was filled with.
    ///
    /// # Errors
    /// The system's; what was written may be lost then.
    pub fn settle(&mut self) -> io::Result<()> {
        if self.was_cut { self.sync() } else { Ok(()) }
    }

    /// What was written, and where the file ends, is on the disk when this returns.
    ///
    /// # Errors
    /// The system's; what was written may be lost then.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync()?;
        self.was_cut = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::scan::{Crc64Prefix, Found, Scanner, is_one_batch};
    use super::*;
    use crate::base::rng::Rng;
    use crate::persist::storage::SyncFile;
    use crate::resp::encode_command;
    use std::sync::{Arc, Mutex};

    const SECTOR_BYTES: usize = 512;

    /// A file in memory that can be filled.
    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Memory {
        fn bytes(&self) -> Vec<u8> {
            self.0.lock().expect("no test panics with it").0.clone()
        }

        fn put(&self, at: usize, bytes: &[u8]) {
            let file = &mut self.0.lock().expect("no test panics with it").0;
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
        }
    }

    impl WriteFile for Memory {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            let at = self.0.lock().expect("no test panics with it").1;
            self.put(at, bytes);
            self.0.lock().expect("no test panics with it").1 += bytes.len();
            Ok(())
        }

        fn overwrite(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
            self.put(offset as usize, bytes);
            Ok(())
        }

        fn can_fill(&self) -> bool {
            true
        }

        fn fill(&mut self, offset: u64, unit: &[u8], times: usize) -> io::Result<()> {
            self.put(offset as usize, &unit.repeat(times));
            Ok(())
        }

        fn cut_fill(&mut self, offset: u64) -> io::Result<()> {
            self.0.lock().expect("no test panics with it").0.truncate(offset as usize);
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn syncer(&self) -> io::Result<Box<dyn SyncFile>> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// A batch of commands, some of them long; the words of all of them join `all`.
    fn commands(rng: &mut Rng, all: &mut Vec<u8>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..=rng.below(4) {
            let most = [20, 3000][rng.below(2) as usize];
            let word: Vec<u8> = (0..rng.below(most)).map(|_| b"#\n\rC"[rng.below(4) as usize]).collect();
            encode_command(&mut bytes, 2, [&b"ADD"[..], &word].into_iter());
        }
        all.extend_from_slice(&bytes);
        bytes
    }

    /// All commands that count in a file, read in pieces, and where they end; `None` if it was damaged.
    fn read(file: &[u8], piece: usize) -> Option<(Vec<u8>, Tail)> {
        let mut scanner = Scanner::new(&Crc64Prefix::default(), None);
        let (mut all, mut end) = (Vec::new(), 0);
        while end < file.len() {
            end = (end + piece).min(file.len());
            let begin = scanner.offset() as usize;
            let looked = scanner.look(&file[begin..end]);
            scanner.runs.iter().for_each(|run| all.extend_from_slice(&file[begin..][run.clone()]));
            match looked {
                Ok((_, found)) => assert_eq!(found, Found::More),
                Err(_) if scanner.sums_each() => {
                    if !is_one_batch(&file[scanner.offset() as usize..], scanner.offset()).expect("memory can be read")
                    {
                        return None;
                    }
                    break;
                }
                Err(_) => return None,
            }
        }
        let (len, crc) = scanner.end();
        Some((all, Tail { len, crc, says_each: scanner.sums_each() }))
    }

    #[test]
    fn whatever_sectors_of_the_last_batch_are_missing_it_counts_whole_or_not_at_all() {
        for seed in 0..60 {
            let mut rng = Rng::seeded(seed);
            let (file, mut all) = (Memory::default(), Vec::new());
            let mut open = Open::new(Box::new(file.clone()));
            for _ in 0..rng.below(3) {
                let batch = open.batch(commands(&mut rng, &mut all), None);
                open.append(&batch.bytes).expect("memory takes it");
            }
            let step = |open: &mut Open, rng: &mut Rng, all: &mut Vec<u8>| {
                let batch = open.even_batch(commands(rng, all), Some(rng.below(3) as i64));
                open.append(&batch.bytes)
                    .and_then(|()| open.refill(batch.bytes.len() as u64))
                    .expect("memory takes it");
            };
            for _ in 0..=rng.below(5) {
                step(&mut open, &mut rng, &mut all);
            }
            let (before, old) = (file.bytes(), all.clone());
            step(&mut open, &mut rng, &mut all);
            let after = file.bytes();
            for _ in 0..20 {
                let mut torn = before.clone();
                for (sector, new) in torn.chunks_mut(SECTOR_BYTES).zip(after.chunks(SECTOR_BYTES)) {
                    if rng.below(2) == 0 {
                        sector.copy_from_slice(&new[..sector.len()]);
                    }
                }
                let piece = 1 + rng.below(9000) as usize;
                let (found, _) = read(&torn, piece).unwrap_or_else(|| panic!("seed {seed}: taken for damage"));
                assert!(found == old || found == all, "seed {seed}: a batch in part");
            }
            let (found, tail) = read(&after, 777).expect("it is good");
            assert!(found == all && tail.len == open.len && tail.says_each, "seed {seed}");
            // What was acknowledged and then changed is no torn end.
            let at = rng.below(before.iter().rposition(|byte| *byte == b'C').expect("a sum") as u64 / 2) as usize;
            let mut changed = after.clone();
            changed[at] ^= 0x55;
            assert!(
                read(&changed, 5000).is_none_or(|(found, _)| found.len() < all.len()),
                "seed {seed}: a change at {at}"
            );
            // It goes on where it ended.
            file.0.lock().expect("no test panics with it").0.truncate(tail.len as usize);
            let mut open = Open::new(Box::new(file.clone()));
            open.go_on(tail);
            if rng.below(2) == 0 {
                step(&mut open, &mut rng, &mut all);
            }
            open.cut_fill().expect("memory takes it");
            let batch = open.batch(commands(&mut rng, &mut all), None);
            open.append(&batch.bytes).and_then(|()| open.sum_up()).expect("memory takes it");
            let (found, tail) = read(&file.bytes(), 4000).expect("it is good");
            assert!(found == all && !tail.says_each && tail.len == file.bytes().len() as u64, "seed {seed}");
        }
    }

    #[test]
    fn a_change_in_what_counted_is_no_torn_end() {
        let mut rng = Rng::seeded(7);
        let (file, mut all) = (Memory::default(), Vec::new());
        let mut open = Open::new(Box::new(file.clone()));
        let mut ends = Vec::new();
        for _ in 0..6 {
            let batch = open.even_batch(commands(&mut rng, &mut all), None);
            open.append(&batch.bytes).and_then(|()| open.refill(batch.bytes.len() as u64)).expect("memory takes it");
            ends.push(open.len as usize);
        }
        let good = file.bytes();
        for at in (EACH_LINE.len()..ends[4]).step_by(7) {
            let mut changed = good.clone();
            changed[at] ^= 0x11;
            assert!(read(&changed, 3000).is_none(), "byte {at}");
        }
    }
}
