//! The bytes of the log: where commands begin and end, and what stands between them. Knows no file and runs nothing.
//!
//! ```text
//! *2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n     a command: an array of bulk strings
//! #TS:1700000000\r\n                    the time, in Unix seconds, of what follows
//! #CRC:0123456789abcdef\r\n             checksum (CRC-64) of all bytes of this file before the line
//! #CRC:0123456789abcdef,4711\r\n        the same, and where the batch begins that it ends
//! #SUMS:each\r\n                        from here on each batch ends with its checksum: what has none does not count
//! #SUMS:some\r\n                        no more so
//! #\n                                  nothing: the file was made longer ahead (see `open`)
//! #...\r\n                              anything else: skipped
//! ```
//!
//! Every reader of the format skips lines that begin with `#`. The checksums are a chain: one covers the lines of those before
//! it too, so that a change anywhere before the last of them is found, and also a batch that is missing.
//! Invariant: what a scan gives out are whole commands; `valid_up_to` is the end of the last one that is not within a
//! transaction whose EXEC has not come.

use crate::base::crc::Crc64;
use crate::base::number;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;

/// Most words of a command.
const MAX_WORDS: u64 = 1024 * 1024;
/// Longest word, bytes: what a request may bear at most.
const MAX_WORD_BYTES: u64 = i64::MAX as u64;
/// Longest line that is no word.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// From here on each batch has its checksum.
pub const EACH_LINE: &[u8] = b"#SUMS:each\r\n";
/// From here on not every batch has one.
pub const SOME_LINE: &[u8] = b"#SUMS:some\r\n";
/// What a file is filled with.
pub const FILL_LINE: &[u8] = b"#\n";
/// How a checksum begins, and how many digits it has.
const SUM_MARK: &[u8] = b"#CRC:";
const SUM_DIGITS: usize = 16;
/// Bytes of a line with a checksum, at most.
const SUM_LINE_BYTES: usize = 64;

/// Bytes looked at once for checksums.
const LOOK_BYTES: u64 = 1 << 20;

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanFault {
    /// Where in the file, bytes.
    pub offset: u64,
    /// What stands there.
    pub what: &'static str,
}

/// What is said of a checksum that does not fit.
const OTHER_SUM: &str = "the checksum of what stands before it is another: the file was changed or damaged";

impl ScanFault {
    /// Whether a checksum does not fit: what is damaged stands somewhere before it.
    pub fn is_checksum(&self) -> bool {
        self.what == OTHER_SUM
    }
}

impl fmt::Display for ScanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "offset {}: {}", self.offset, self.what)
    }
}

/// What a look at some bytes gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// All that is whole was taken.
    More,
    /// The log says that what follows happened later than wanted.
    TooLate,
}

/// A scan from a file's beginning to its end.
pub struct Scanner {
    crc: Crc64,
    /// Offset up to which the checksum goes.
    summed: u64,
    offset: u64,
    valid_up_to: u64,
    verified_up_to: u64,
    in_multi: bool,
    last_secs: Option<u64>,
    /// The last second that is wanted.
    until_secs: Option<u64>,
    /// Ranges of whole commands found by the last look, in the bytes that were looked at.
    pub runs: Vec<Range<usize>>,
    commands: u64,
    /// What has no checksum behind it does not count: where all is good, to go back to.
    each: Option<Box<Good>>,
    /// Where the filling begins at which the scan is, and the checksum of what is before it.
    filling: Option<(u64, Crc64)>,
}

/// A place up to which all counts.
struct Good {
    offset: u64,
    crc: Crc64,
    commands: u64,
    last_secs: Option<u64>,
}

impl Scanner {
    /// At the beginning of a file, or behind a snapshot of this length that it begins with.
    pub fn new(prefix: &Crc64Prefix, until_secs: Option<u64>) -> Scanner {
        Scanner {
            crc: prefix.0.clone(),
            summed: prefix.1,
            offset: prefix.1,
            valid_up_to: prefix.1,
            verified_up_to: prefix.1,
            in_multi: false,
            last_secs: None,
            until_secs,
            runs: Vec::new(),
            commands: 0,
            each: None,
            filling: None,
        }
    }

    /// Whether what has no checksum behind it does not count here.
    pub fn sums_each(&self) -> bool {
        self.each.is_some()
    }

    /// The end of what counts and its checksum, without what the file is filled with behind it.
    pub fn end(&self) -> (u64, Crc64) {
        self.filling.clone().unwrap_or_else(|| (self.offset, self.crc.clone()))
    }

    /// Offset of the next byte that was not taken.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Up to where the log is whole.
    pub fn valid_up_to(&self) -> u64 {
        self.valid_up_to
    }

    /// The end of the last line with a checksum.
    pub fn verified_up_to(&self) -> u64 {
        self.verified_up_to
    }

    /// Whether a transaction has begun that has no end yet.
    pub fn in_multi(&self) -> bool {
        self.in_multi
    }

    /// The last time that the log said.
    pub fn last_secs(&self) -> Option<u64> {
        self.last_secs
    }

    /// Commands so far.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// The checksum of all bytes that were taken.
    pub fn sum(&self) -> Crc64 {
        self.crc.clone()
    }

    /// Takes what is whole of `bytes`, the first of which is at `offset`; how many those were, and why no more. What they
    /// hold is in `runs`.
    ///
    /// # Errors
    /// What is no log; the bytes before it are in `runs`.
    pub fn look(&mut self, bytes: &[u8]) -> Result<(usize, Found), ScanFault> {
        self.runs.clear();
        let begin = self.offset;
        let mut at = 0;
        let mut found = Found::More;
        let fault = loop {
            let rest = &bytes[at..];
            let step = match rest.first() {
                None => break None,
                Some(b'#') if rest.starts_with(FILL_LINE) => {
                    at = self.fill(bytes, begin, at);
                    continue;
                }
                Some(b'#') => self.annotation(bytes, begin, at),
                Some(_) => self.command(rest, begin + at as u64),
            };
            match step {
                Ok(Some((0, _))) => {
                    found = Found::TooLate;
                    break None;
                }
                Ok(Some((len, is_command))) => {
                    if is_command {
                        match self.runs.last_mut() {
                            Some(run) if run.end == at => run.end += len,
                            _ => self.runs.push(at..at + len),
                        }
                    }
                    at += len;
                    self.offset = begin + at as u64;
                    self.filling = None;
                    if self.each.is_some() && self.verified_up_to == self.offset {
                        self.good_here(bytes, begin, at);
                    }
                    if !self.in_multi {
                        self.valid_up_to = self.offset;
                    }
                }
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
        };
        match self.each.as_ref().filter(|good| good.offset < self.offset) {
            Some(good) => at = self.go_back(good.offset, begin),
            None => {
                self.crc.update(&bytes[(self.summed - begin) as usize..at]);
                self.summed = self.offset;
            }
        }
        fault.map_or(Ok((at, found)), Err)
    }

    /// What a file was filled with: up to where it goes.
    fn fill(&mut self, bytes: &[u8], begin: u64, at: usize) -> usize {
        if self.filling.is_none() {
            self.sum_to(bytes, begin, at);
            self.filling = Some((self.summed, self.crc.clone()));
        }
        let lines = bytes[at..].chunks_exact(FILL_LINE.len()).take_while(|line| *line == FILL_LINE);
        let end = at + lines.count() * FILL_LINE.len();
        let follows_good = self.each.as_ref().is_some_and(|good| good.offset == self.offset);
        self.offset = begin + end as u64;
        if follows_good {
            self.good_here(bytes, begin, end);
        }
        if !self.in_multi {
            self.valid_up_to = self.offset;
        }
        end
    }

    fn sum_to(&mut self, bytes: &[u8], begin: u64, at: usize) {
        self.crc.update(&bytes[(self.summed - begin) as usize..at]);
        self.summed = begin + at as u64;
    }

    fn good_here(&mut self, bytes: &[u8], begin: u64, at: usize) {
        self.sum_to(bytes, begin, at);
        self.each = Some(Box::new(Good {
            offset: self.summed,
            crc: self.crc.clone(),
            commands: self.commands,
            last_secs: self.last_secs,
        }));
    }

    /// What has come since has no checksum: it is looked at again with more bytes, or does not count. Where that is in the bytes.
    fn go_back(&mut self, offset: u64, begin: u64) -> usize {
        let at = (offset - begin) as usize;
        if let Some(good) = &self.each {
            (self.crc, self.commands, self.last_secs) = (good.crc.clone(), good.commands, good.last_secs);
        }
        (self.summed, self.offset, self.valid_up_to) = (offset, offset, offset);
        (self.in_multi, self.filling) = (false, None);
        self.runs.retain(|run| run.end <= at);
        at
    }

    /// A line that is no command: its length, 0 if what follows it is not wanted; `None` if it is not whole.
    fn annotation(&mut self, bytes: &[u8], begin: u64, at: usize) -> Result<Option<(usize, bool)>, ScanFault> {
        let rest = &bytes[at..];
        let fault = |what| ScanFault { offset: begin + at as u64, what };
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > MAX_LINE_BYTES { Err(fault("a line that does not end")) } else { Ok(None) };
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        if line == EACH_LINE.trim_ascii_end() && self.each.is_none() {
            self.good_here(bytes, begin, at + end + 1);
        } else if line == SOME_LINE.trim_ascii_end() {
            self.each = self.each.take().filter(|good| good.offset != begin + at as u64);
        } else if let Some(secs) = line.strip_prefix(b"#TS:") {
            let secs = number::parse_i64(secs).and_then(|secs| u64::try_from(secs).ok());
            self.last_secs = Some(secs.ok_or(fault("a time that is none"))?);
            if !self.in_multi && self.until_secs.is_some_and(|until| secs > Some(until)) {
                return Ok(Some((0, false)));
            }
        } else if let Some(sum) = line.strip_prefix(SUM_MARK) {
            let digits = sum.get(..SUM_DIGITS).and_then(|digits| std::str::from_utf8(digits).ok());
            let stored = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            self.sum_to(bytes, begin, at);
            if stored != Some(self.crc.value()) {
                return Err(fault(OTHER_SUM));
            }
            // What follows the sum is only covered by the next one: if it is wrong, that one would seem to be.
            if self.each.as_ref().is_some_and(|good| !tells_begin(sum, good.offset)) {
                return Err(fault("the checksum is of another batch: the file was changed or damaged"));
            }
            self.verified_up_to = begin + (at + end + 1) as u64;
        }
        Ok(Some((end + 1, false)))
    }

    /// A command: its length; `None` if it is not whole.
    fn command(&mut self, bytes: &[u8], offset: u64) -> Result<Option<(usize, bool)>, ScanFault> {
        let fault = |at: usize, what| ScanFault { offset: offset + at as u64, what };
        let Some((count, mut at)) = header(bytes, b'*').map_err(|what| fault(0, what))? else { return Ok(None) };
        if count == 0 || count > MAX_WORDS {
            return Err(fault(0, "a command of no words, or of too many"));
        }
        let mut name: &[u8] = b"";
        for nth in 0..count {
            let header = header(&bytes[at..], b'$').map_err(|what| fault(at, what))?;
            let Some((len, skipped)) = header else { return Ok(None) };
            at += skipped;
            if len > MAX_WORD_BYTES {
                return Err(fault(at, "a word that is too long"));
            }
            let len = usize::try_from(len).map_err(|_| fault(at, "a word that is too long"))?;
            let Some(end) = at.checked_add(len) else { return Err(fault(at, "a word that is too long")) };
            match bytes.get(end..) {
                Some([b'\r', b'\n', ..]) => {}
                None | Some([] | [b'\r']) => return Ok(None),
                Some(_) => return Err(fault(end, "a word that is longer than it says")),
            }
            if nth == 0 {
                name = &bytes[at..end];
            }
            at = end + 2;
        }
        if name.len() <= 7 {
            self.transaction(name, count, offset)?;
        }
        self.commands += 1;
        Ok(Some((at, true)))
    }

    #[inline]
    fn transaction(&mut self, name: &[u8], count: u64, offset: u64) -> Result<(), ScanFault> {
        let begins = name.eq_ignore_ascii_case(b"multi");
        let ends = name.eq_ignore_ascii_case(b"exec") || name.eq_ignore_ascii_case(b"discard");
        if count == 1 && (begins || ends) {
            if begins == self.in_multi {
                let what = if begins { "Unexpected MULTI" } else { "Unexpected EXEC" };
                return Err(ScanFault { offset, what });
            }
            self.in_multi = begins;
        }
        Ok(())
    }
}

/// A mark and a number up to the end of the line: the number, and the line's length. `None` if it is not whole.
#[inline]
fn header(bytes: &[u8], mark: u8) -> Result<Option<(u64, usize)>, &'static str> {
    match bytes.first() {
        None => return Ok(None),
        Some(first) if *first != mark => {
            return Err(if mark == b'*' { "no command begins here" } else { "no word begins here" });
        }
        Some(_) => {}
    }
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            b'0'..=b'9' if at <= 19 => value = value.saturating_mul(10).saturating_add(u64::from(byte - b'0')),
            b'\r' if at > 1 => {
                return match bytes.get(at + 1) {
                    Some(b'\n') => Ok(Some((value, at + 2))),
                    Some(_) => Err("a line that does not end"),
                    None => Ok(None),
                };
            }
            _ => return Err("a number that is none"),
        }
    }
    Ok(None)
}

/// A checksum of what stands before a file's commands, and how much that is.
#[derive(Clone, Default)]
pub struct Crc64Prefix(pub Crc64, pub u64);

/// Whether these bytes, which begin at `offset` behind all that counts, hold no more than one batch: one that was being written
/// when the power went. The next batch is only begun when the last one is on the disk, so a checksum of a batch that begins later
/// means that one that counted was changed.
///
/// # Errors
/// The system's.
pub fn is_one_batch(mut rest: impl Read, offset: u64) -> io::Result<bool> {
    let mut bytes = Vec::new();
    loop {
        let read = rest.by_ref().take(LOOK_BYTES).read_to_end(&mut bytes)?;
        if memchr::memmem::find_iter(&bytes, SUM_MARK).any(|at| batch_begin(&bytes[at..]).is_some_and(|at| at > offset))
        {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        // One that goes over the end is found with the next piece.
        bytes.drain(..bytes.len().saturating_sub(SUM_LINE_BYTES));
    }
}

/// Whether what follows the mark of a checksum says that its batch begins at `offset`, or with the line before that which says that
/// each batch has one.
fn tells_begin(sum: &[u8], offset: u64) -> bool {
    let begin = sum.get(SUM_DIGITS..).and_then(|rest| rest.strip_prefix(b",")).and_then(number::parse_i64);
    begin
        .and_then(|begin| u64::try_from(begin).ok())
        .is_some_and(|begin| begin == offset || begin.checked_add(EACH_LINE.len() as u64) == Some(offset))
}

/// Where the batch begins that this line with a checksum ends; `None` if it is no such line, or does not tell.
fn batch_begin(line: &[u8]) -> Option<u64> {
    let (digits, rest) = line.strip_prefix(SUM_MARK)?.split_at_checked(SUM_DIGITS)?;
    let rest = rest.strip_prefix(b",").filter(|_| digits.iter().all(u8::is_ascii_hexdigit))?;
    let end = rest.iter().position(|byte| !byte.is_ascii_digit())?;
    let begin = number::parse_i64(&rest[..end]).filter(|_| matches!(rest[end], b'\r' | b'\n'))?;
    u64::try_from(begin).ok()
}

/// The line with the checksum of all before it. `begin`: where in the file the batch begins that it ends.
pub fn checksum_line(crc: &Crc64, begin: Option<u64>, out: &mut Vec<u8>) {
    let begin = begin.map(|begin| format!(",{begin}")).unwrap_or_default();
    out.extend_from_slice(format!("#CRC:{:016x}{begin}\r\n", crc.value()).as_bytes());
}

/// The line that says the time of what follows.
pub fn time_line(secs: i64) -> Vec<u8> {
    format!("#TS:{secs}\r\n").into_bytes()
}

/// Any bytes: a scan must end, and take no more than there is, whatever the pieces.
pub fn fuzz_log(data: &[u8]) {
    let whole = scan_pieces(data, data.len().max(1));
    let step = usize::from(data.first().copied().unwrap_or(1)).max(1);
    assert_eq!(whole, scan_pieces(data, step), "pieces of {step}");
}

fn scan_pieces(data: &[u8], step: usize) -> (u64, bool) {
    let mut scanner = Scanner::new(&Crc64Prefix::default(), None);
    let mut end = 0;
    while end < data.len() {
        end = (end + step).min(data.len());
        let start = scanner.offset() as usize;
        match scanner.look(&data[start..end]) {
            Ok((taken, _)) => assert!(start + taken <= end),
            Err(fault) => {
                assert!(fault.offset <= data.len() as u64);
                return (scanner.valid_up_to(), true);
            }
        }
    }
    (scanner.valid_up_to(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n";

    fn scan(bytes: &[u8]) -> Result<(usize, u64, usize), ScanFault> {
        let mut scanner = Scanner::new(&Crc64Prefix::default(), None);
        let (taken, _) = scanner.look(bytes)?;
        Ok((taken, scanner.valid_up_to(), scanner.runs.len()))
    }

    #[test]
    fn whole_commands_are_taken_and_a_transaction_counts_with_its_end() {
        assert_eq!(scan(SET), Ok((27, 27, 1)));
        for cut in 1..27 {
            assert_eq!(scan(&[SET, &SET[..cut]].concat()), Ok((27, 27, 1)), "{cut}");
        }
        let multi = [SET, b"*1\r\n$5\r\nMULTI\r\n", SET].concat();
        assert_eq!(scan(&multi), Ok((multi.len(), 27, 1)));
        let whole = [&multi[..], b"*1\r\n$4\r\nEXEC\r\n"].concat();
        assert_eq!(scan(&whole), Ok((whole.len(), whole.len() as u64, 1)));
        assert_eq!(scan(&[&multi[..], b"*1\r\n$5\r\nmulti\r\n"].concat()).map_err(|f| f.what), Err("Unexpected MULTI"));
        assert_eq!(scan(b"*1\r\n$4\r\nEXEC\r\n").map_err(|f| f.what), Err("Unexpected EXEC"));
    }

    #[test]
    fn checksums_find_any_change_before_them() {
        let mut log = SET.to_vec();
        for _ in 0..3 {
            let mut crc = Crc64::default();
            crc.update(&log);
            checksum_line(&crc, None, &mut log);
            log.extend_from_slice(SET);
        }
        let last = log.len() - SET.len();
        assert_eq!(scan(&log), Ok((log.len(), log.len() as u64, 4)));
        // The last line itself is only covered by a later one.
        for at in 0..last - 23 {
            let mut changed = log.clone();
            changed[at] ^= 0x04;
            let found = scan(&changed);
            let is_fault = found.is_err() || found.as_ref().is_ok_and(|(taken, ..)| *taken < last);
            assert!(is_fault, "a change at {at} is not found: {found:?}");
        }
        let line = 27 + 23;
        assert!(scan(&[&log[..line], &log[line + SET.len() + 23..]].concat()).is_err(), "a missing batch");
    }

    #[test]
    fn what_is_no_log_is_refused_with_its_place() {
        for (bytes, offset) in [
            (&b"!!!"[..], 0),
            (b"*0\r\n", 0),
            (b"*-1\r\n", 0),
            (b"*1\r\n+OK\r\n", 4),
            (b"*1\r\n$1\r\nabc", 9),
            (b"*2000000\r\n", 0),
            (b"*1\r\n$99999999999999999999\r\n", 4),
            (b"#TS:x\r\n", 0),
            (b"#CRC:0123\r\n", 0),
        ] {
            let fault = scan(bytes).expect_err("it is wrong");
            assert_eq!(fault.offset, offset, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn what_is_later_than_wanted_is_left() {
        let log = [b"#TS:10\r\n", SET, b"#TS:20\r\n", SET].concat();
        for (until, taken) in [(9, 0), (10, 35), (19, 35), (20, log.len())] {
            let mut scanner = Scanner::new(&Crc64Prefix::default(), Some(until));
            assert_eq!(scanner.look(&log).expect("good").0, taken, "{until}");
        }
    }
}
