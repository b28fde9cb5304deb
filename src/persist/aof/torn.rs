//! Where the end of a log begins that a cut of the power has torn. Knows no command.
//!
//! Pages of a file reach the disk in any order, and the file's length may be there before them. What was never written reads as
//! zeros, and whole commands may follow. All that stands behind the first such place was never synced, so it was never reported
//! as durable, and it is cut off like any torn end.
//!
//! ```text
//! command  command  #CRC  command  00000000000  mand  command      from the last whole command before the zeros on
//! command  #CRC  SET k aaaa 00000000000 aaaa  #CRC                 from SET on: its checksum, written with it, does not fit
//! ```
//!
//! A value may hold a page of zeros of its own: but a batch that long ends in a checksum, which then fits. Where no checksum
//! was ever written (the file is another server's) only zeros in the place of a command count.
//! Invariant: nothing in front of a checksum that fits is taken for torn, nor what is far from the file's end.

use super::log::Place;
use super::manifest::Part;
use super::scan::{Crc64Prefix, Scanner};
use crate::persist::vault::FileKind;
use std::io::{self, Read};

/// Bytes that a file system writes at once.
const PAGE_BYTES: u64 = 4096;
/// Bytes at a file's end that may not have been synced: more than may wait for a sync.
const WINDOW_BYTES: usize = 64 << 20;
/// Bytes read at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Longest line before a word.
const LINE_BYTES: u64 = 64;

/// From where on a part is torn by pages that were never written; `None` if that is not what is wrong with it. `prefix` is the
/// snapshot that it begins with.
///
/// # Errors
/// The system's.
pub fn torn_from(place: &Place, part: &Part, prefix: &Crc64Prefix) -> io::Result<Option<u64>> {
    let path = place.path(&part.name);
    if part.len.is_some() || place.vault.is_sealed(&path)? {
        return Ok(None);
    }
    let Some(mut file) = place.vault.open(&path, FileKind::Log)? else { return Ok(None) };
    io::copy(&mut file.bytes.by_ref().take(prefix.1), &mut io::sink())?;
    search(&mut file.bytes, prefix)
}

/// What a scan to the fault, or to the end, came to.
struct Looked {
    /// All behind the last checksum that fits.
    bytes: Vec<u8>,
    /// Where that begins in the file.
    start: u64,
    /// Where the fault is, and whether it is a checksum.
    fault: Option<(u64, bool)>,
    valid_up_to: u64,
    has_sums: bool,
}

fn search(file: &mut dyn Read, prefix: &Crc64Prefix) -> io::Result<Option<u64>> {
    let Some(looked) = look(file, prefix)? else { return Ok(None) };
    let Looked { bytes, start, fault, .. } = &looked;
    let end = start + bytes.len() as u64;
    // Only what stands before the fault, or right in it, explains it.
    let most = fault.map_or(end, |(at, _)| (at + LINE_BYTES).min(end));
    if looked.has_sums {
        if let Some(zeros) = zero_page(bytes, *start, most) {
            return Ok(Some(whole_before(&bytes[..(zeros - start) as usize], *start)));
        }
    }
    let Some((at, false)) = *fault else { return Ok(None) };
    let line = &bytes[(at - start) as usize..(most - start) as usize];
    let Some(zeros) = line.iter().position(|byte| *byte == 0).map(|n| at + n as u64) else { return Ok(None) };
    let page_end = (zeros / PAGE_BYTES + 1) * PAGE_BYTES;
    let run = &bytes[(zeros - start) as usize..(page_end.min(end) - start) as usize];
    let is_hole = (zeros == at || zeros % PAGE_BYTES == 0) && run.iter().all(|byte| *byte == 0);
    Ok(is_hole.then_some(looked.valid_up_to))
}

/// Scans to the fault or the end; `None` if what follows the last checksum is longer than what a crash can tear.
fn look(file: &mut dyn Read, prefix: &Crc64Prefix) -> io::Result<Option<Looked>> {
    let mut scanner = Scanner::new(prefix, None);
    let (mut bytes, mut start) = (Vec::new(), prefix.1);
    let mut fault: Option<(u64, bool)> = None;
    loop {
        let read = file.take(PIECE_BYTES.max(bytes.len() as u64)).read_to_end(&mut bytes)?;
        if let Some((at, _)) = fault {
            if start + bytes.len() as u64 - at.min(scanner.valid_up_to()) > WINDOW_BYTES as u64 {
                return Ok(None);
            }
        } else if let Err(found) = scanner.look(&bytes[(scanner.offset() - start) as usize..]) {
            fault = Some((found.offset, found.is_checksum()));
        }
        if read == 0 {
            break;
        }
        let mut known = scanner.verified_up_to();
        if scanner.valid_up_to() - known > WINDOW_BYTES as u64 {
            known = scanner.valid_up_to();
        }
        if known > start {
            bytes.drain(..(known - start) as usize);
            start = known;
        }
    }
    let has_sums = scanner.verified_up_to() > prefix.1;
    let end = start + bytes.len() as u64;
    let is_near = end - scanner.valid_up_to() <= WINDOW_BYTES as u64;
    Ok(is_near.then(|| Looked { bytes, start, fault, valid_up_to: scanner.valid_up_to(), has_sums }))
}

/// Where the first page begins that is nothing but zeros, as far as it is there.
fn zero_page(bytes: &[u8], start: u64, most: u64) -> Option<u64> {
    let end = start + bytes.len() as u64;
    let mut page = start.next_multiple_of(PAGE_BYTES);
    while page < most {
        let page_end = (page + PAGE_BYTES).min(end);
        if bytes[(page - start) as usize..(page_end - start) as usize].iter().all(|byte| *byte == 0) {
            return Some(page);
        }
        page += PAGE_BYTES;
    }
    None
}

/// The end of the last unit that is whole. No checksum stands in these bytes.
fn whole_before(bytes: &[u8], start: u64) -> u64 {
    let mut scanner = Scanner::new(&Crc64Prefix(Default::default(), start), None);
    // A fault ends the look like the end does.
    drop(scanner.look(bytes));
    scanner.valid_up_to()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::crc::Crc64;
    use crate::persist::aof::scan::checksum_line;

    fn set(len: usize, byte: u8) -> Vec<u8> {
        let mut bytes = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${len}\r\n").into_bytes();
        bytes.resize(bytes.len() + len, byte);
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    /// A log of short commands, each batch with a checksum, and one long command.
    fn log(value: u8) -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        let sum = |bytes: &mut Vec<u8>| {
            let mut crc = Crc64::default();
            crc.update(bytes);
            checksum_line(&crc, None, bytes);
        };
        (0..3).for_each(|_| {
            bytes.extend(set(10, b'a'));
            sum(&mut bytes);
        });
        let long = bytes.len();
        bytes.extend(set(20_000, value));
        sum(&mut bytes);
        bytes.extend(set(10, b'b'));
        (bytes, long)
    }

    fn search_in(bytes: &[u8]) -> Option<u64> {
        search(&mut &*bytes, &Crc64Prefix::default()).expect("memory can be read")
    }

    #[test]
    fn a_page_that_was_never_written_tears_the_command_that_it_belongs_to() {
        let (bytes, long) = log(b'v');
        assert_eq!(search_in(&bytes), None);
        for page in [1, 2, 3] {
            let mut torn = bytes.clone();
            torn[page * 4096..(page + 1) * 4096].fill(0);
            assert_eq!(search_in(&torn), Some(long as u64), "page {page}");
            torn.truncate(18_000);
            assert_eq!(search_in(&torn), Some(long as u64), "page {page}, and the end is missing");
        }
        let mut first = bytes.clone();
        first[..4096].fill(0);
        assert_eq!(search_in(&first), Some(0));
        let mut tail = bytes.clone();
        tail[40..4096].fill(0);
        assert_eq!(search_in(&tail), None, "zeros in the middle of a line are no page");
    }

    #[test]
    fn zeros_that_are_meant_stay_and_other_damage_is_none_of_this() {
        let (bytes, _) = log(0);
        assert_eq!(search_in(&bytes), None);
        let mut flipped = bytes.clone();
        flipped[5] ^= 1;
        assert_eq!(search_in(&flipped), None);
        // Another server's file: no checksum tells whether its zeros are meant.
        let foreign = [set(10, b'a'), set(20_000, 0), b"*3\r\n$3\r\nSE".to_vec()].concat();
        assert_eq!(search_in(&foreign), None);
    }
}
