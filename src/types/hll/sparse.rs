//! The runs of a sparse HyperLogLog. Knows nothing of its header.
//!
//! ```text
//! 00nnnnnn             n + 1 registers of rank 0 (1 to 64)
//! 01nnnnnn nnnnnnnn    n + 1 registers of rank 0 (1 to 16,384), high bits first
//! 1rrrrrnn             n + 1 registers (1 to 4) of rank r + 1 (1 to 32)
//! ```
//! Runs come from anybody's bytes: none is trusted to lie within the registers.

use super::{Corrupt, REGISTERS};

/// Highest rank that a run can have.
const MAX_RANK: u8 = 32;
/// Longest run of a rank.
const MAX_RANK_RUN: usize = 4;
/// Longest run of zeros that one byte says.
const MAX_SHORT_ZEROS: usize = 64;
/// How many runs are looked at for neighbours to be joined, from the one before the changed one on.
const JOIN_RUNS: usize = 5;
/// Bytes behind the changed run that joining may read: its runs, each of at most two bytes, and one more.
const JOIN_BYTES: usize = 2 * JOIN_RUNS + 1;

/// One run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Rank of all its registers.
    rank: u8,
    /// How many registers.
    len: usize,
    /// How many bytes say so.
    bytes: usize,
}

impl Run {
    /// The run that begins at a byte. A second byte that is missing is zero: the string ends in one for Redis.
    #[inline]
    fn at(body: &[u8], at: usize) -> Option<Run> {
        let byte = *body.get(at)?;
        Some(match byte >> 6 {
            0 => Run { rank: 0, len: usize::from(byte) + 1, bytes: 1 },
            1 => {
                let low = body.get(at + 1).copied().unwrap_or_default();
                Run { rank: 0, len: (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, bytes: 2 }
            }
            _ => Run { rank: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, bytes: 1 },
        })
    }

    fn is_long_zeros(self) -> bool {
        self.bytes == 2
    }
}

/// All runs, with where each begins.
fn runs(body: &[u8]) -> impl Iterator<Item = Run> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let run = Run::at(body, at)?;
        at += run.bytes;
        Some(run)
    })
}

/// A few bytes, by value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Few {
    bytes: [u8; 32],
    len: usize,
}

impl Few {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn extend(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.push(*byte));
    }

    fn remove(&mut self, at: usize) {
        self.bytes.copy_within(at + 1..self.len, at);
        self.len -= 1;
    }

    fn push_zeros(&mut self, len: usize) {
        if len > MAX_SHORT_ZEROS {
            self.push(0x40 | ((len - 1) >> 8) as u8);
            self.push((len - 1) as u8);
        } else if len > 0 {
            self.push((len - 1) as u8);
        }
    }

    fn push_rank(&mut self, rank: u8, len: usize) {
        if len > 0 {
            self.push(rank_run(rank, len));
        }
    }
}

fn rank_run(rank: u8, len: usize) -> u8 {
    0x80 | (rank - 1) << 2 | (len - 1) as u8
}

/// What raising a register takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it was as high.
    None,
    /// The `remove_len` bytes at `at` become others.
    Splice {
        /// Where.
        at: usize,
        /// How many go.
        remove_len: usize,
        /// What comes.
        insert: Few,
    },
    /// A form that is not sparse.
    TooLong,
}

/// How a register is raised to a rank, in at most `max_len` bytes.
///
/// The run that it lies in is split in up to three, then neighbours of one rank are joined where a byte can say it. Which
/// ones are looked at decides the bytes that come of it, so it is done as Redis does: five runs from the one before on.
pub fn raise(body: &[u8], index: usize, rank: u8, max_len: usize) -> Result<Change, Corrupt> {
    raise_behind(body, &mut Mark::default(), index, rank, max_len)
}

/// As `raise`, for registers in rising order: the walk begins at the mark, which is set for the next.
pub fn raise_behind(body: &[u8], mark: &mut Mark, index: usize, rank: u8, max_len: usize) -> Result<Change, Corrupt> {
    if rank > MAX_RANK {
        return Ok(Change::TooLong);
    }
    let mut found = find(body, *mark, index)?;
    if found.at == mark.at && mark.at > 0 {
        // The run before the marked one is not known, and it matters.
        found = find(body, Mark::default(), index)?;
    }
    let Found { before, at, first, run } = found;
    // Whatever is changed, a run still begins where the one before does.
    let before_len = if before < at { Run::at(body, before).map_or(0, |run| run.len) } else { 0 };
    *mark = Mark { at: before, first: first - before_len };
    if run.rank >= rank {
        return Ok(Change::None);
    }
    let mut insert = Few::default();
    insert.extend(&body[before..at]);
    let (head, tail) = (index - first, first + run.len - 1 - index);
    let kept = insert.len;
    if run.rank == 0 {
        insert.push_zeros(head);
        insert.push_rank(rank, 1);
        insert.push_zeros(tail);
    } else {
        insert.push_rank(run.rank, head);
        insert.push_rank(rank, 1);
        insert.push_rank(run.rank, tail);
    }
    // A run that ends with the string has fewer bytes there than its form says.
    let behind = (at + run.bytes).min(body.len());
    let grown = insert.len - kept;
    // Only what takes more bytes than before can be too long.
    if grown > run.bytes && body.len() + grown - run.bytes > max_len {
        return Ok(Change::TooLong);
    }
    let end = (behind + JOIN_BYTES).min(body.len());
    insert.extend(&body[behind..end]);
    join(&mut insert);
    Ok(Change::Splice { at: before, remove_len: end - before, insert })
}

/// Joins neighbours of one rank, within the first runs.
fn join(few: &mut Few) {
    let mut at = 0;
    for _ in 0..JOIN_RUNS {
        let Some(run) = Run::at(few.bytes(), at) else { return };
        if run.rank > 0 {
            if let Some(next) = Run::at(few.bytes(), at + 1).filter(|next| next.rank == run.rank) {
                let len = run.len + next.len;
                if len <= MAX_RANK_RUN {
                    few.remove(at);
                    few.bytes[at] = rank_run(run.rank, len);
                    // What came of it may be joined with its next neighbour.
                    continue;
                }
            }
        }
        at += run.bytes;
    }
}

/// Where a run begins, and its first register.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    at: usize,
    first: usize,
}

/// The run of a register.
struct Found {
    /// Where the run before it begins; its own beginning if it is the first.
    before: usize,
    /// Where it begins.
    at: usize,
    /// Its first register.
    first: usize,
    run: Run,
}

/// Eight times the same byte.
const fn all(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Walks from a mark, at or before it, to the run of a register. Runs of one byte are passed eight at a time, for the walk is what adding costs.
fn find(body: &[u8], from: Mark, index: usize) -> Result<Found, Corrupt> {
    let (mut before, mut at, mut first) = (from.at, from.at, from.first);
    while let Some(eight) = body.get(at..at + 8) {
        let word = u64::from_le_bytes(eight.try_into().expect("eight bytes"));
        // 0x80 in each byte that begins a run of two, if it begins one: its highest bits are 01. The lowest is one for sure.
        let long = word << 1 & !word & all(0x80);
        let lanes = long.trailing_zeros() / 8;
        // The low bits that say a run's length: two of a rank's, six of zeros.
        let ranks = (word & all(0x80)) >> 7;
        let lens = word & (all(0x3f) & !(ranks * 0x3c));
        let lens = if lanes < 8 { lens & ((1 << (8 * lanes)) - 1) } else { lens };
        // Bytes added in pairs, then in fours, then all: eight of 63 do not fit a byte.
        let pairs = (lens & 0x00ff_00ff_00ff_00ff) + (lens >> 8 & 0x00ff_00ff_00ff_00ff);
        let sum = (pairs.wrapping_mul(0x0001_0001_0001_0001) >> 48) as usize + lanes as usize;
        if lanes > 0 {
            if first + sum > index {
                break;
            }
            before = at + lanes as usize - 1;
            at += lanes as usize;
            first += sum;
        }
        if lanes < 8 {
            let Some(run) = Run::at(body, at) else { return Err(Corrupt) };
            if first + run.len > index {
                return Ok(Found { before, at, first, run });
            }
            before = at;
            at += run.bytes;
            first += run.len;
        }
    }
    while let Some(run) = Run::at(body, at) {
        if first + run.len > index {
            return Ok(Found { before, at, first, run });
        }
        before = at;
        at += run.bytes;
        first += run.len;
    }
    Err(Corrupt)
}

/// How many registers have each rank.
pub fn count_registers(body: &[u8]) -> Result<[u32; 64], Corrupt> {
    let (mut counts, mut total) = ([0; 64], 0);
    for run in runs(body) {
        counts[usize::from(run.rank)] += run.len as u32;
        total += run.len;
        if total > REGISTERS {
            return Err(Corrupt);
        }
    }
    if total == REGISTERS { Ok(counts) } else { Err(Corrupt) }
}

/// Raises registers to those of the runs.
pub fn raise_registers(body: &[u8], registers: &mut [u8; REGISTERS]) -> Result<(), Corrupt> {
    let mut first = 0;
    for run in runs(body) {
        let part = registers.get_mut(first..first + run.len).ok_or(Corrupt)?;
        if run.rank > 0 {
            part.iter_mut().for_each(|register| *register = (*register).max(run.rank));
        }
        first += run.len;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The runs in words: `z:` short zeros, `Z:` long ones, `v:` a rank and how often.
pub fn decode(body: &[u8]) -> String {
    let words: Vec<String> = runs(body)
        .map(|run| match run.rank {
            0 if run.is_long_zeros() => format!("Z:{}", run.len),
            0 => format!("z:{}", run.len),
            rank => format!("v:{rank},{}", run.len),
        })
        .collect();
    words.join(" ")
}
