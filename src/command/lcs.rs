//! LCS: the longest common subsequence of two strings.
//!
//! Instead of a table of lengths, one bit a cell is kept: bit `i` of row `j` is 0 where the length grows from the first `i`
//! to the first `i + 1` bytes of `a` (against the first `j` bytes of `b`). A row follows from the one before by a handful of
//! word operations on 64 cells at once (Hyyrö, "Bit-parallel LCS-length computation revisited", 2004):
//!
//! ```text
//! u = row & mask[b[j]]        mask[c]: bit i is set where a[i] = c
//! row' = (row + u) | (row & !u)
//! ```
//!
//! The way back needs to know only whether the length falls when a byte is left out, which the rows' zeros tell.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use crate::keyspace::Key;
use crate::resp::Reply;
use crate::types::{Scratch, Str};

const WORD_BITS: usize = 64;
/// A cell of the table of lengths by which the reference measures what is too much.
const CELL_BYTES: u64 = 4;

/// What is asked for.
#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_len: bool,
    min_len: usize,
}

fn parse(args: &mut Args<'_>) -> Result<Options, CmdError> {
    let mut options = Options::default();
    while args.more() {
        if args.accept("idx") {
            options.idx = true;
        } else if args.accept("len") {
            options.len = true;
        } else if args.accept("withmatchlen") {
            options.with_len = true;
        } else if args.left() >= 2 && args.accept("minmatchlen") {
            options.min_len = usize::try_from(args.int()?).unwrap_or(0);
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    if options.idx && options.len {
        return Err(CmdError::text("ERR If you want both the length and indexes, please just use IDX."));
    }
    Ok(options)
}

/// A string's bytes; none if there is no key.
fn text_of(cx: &mut Ctx<'_>, key: Key<'_>) -> Result<Vec<u8>, CmdError> {
    let wrong = |_| CmdError::text("ERR The specified keys must contain string values");
    let value = cx.db.read::<Str>(key).map_err(wrong)?;
    Ok(value.map_or_else(Vec::new, |value| value.bytes(&mut Scratch::default()).to_vec()))
}

/// LCS.
pub fn lcs(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let keys = (args.key()?, args.key()?);
    // Both are looked up before either is judged: a miss is told of even if the other key is no string.
    let (a, b) = (text_of(cx, keys.0), text_of(cx, keys.1));
    let (a, b) = (a?, b?);
    let options = parse(args)?;
    if a.len() as u64 >= u64::from(u32::MAX) - 1 || b.len() as u64 >= u64::from(u32::MAX) - 1 {
        return Err(CmdError::text("ERR String too long for LCS"));
    }
    let cells = (a.len() as u64 + 1).saturating_mul(b.len() as u64 + 1);
    if cells.saturating_mul(CELL_BYTES) > cx.config.proto_max_bulk_len as u64 {
        return Err(CmdError::text("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"));
    }
    if options.len {
        let len = Rows::last(&a, &b).zeros(a.len());
        cx.reply.len(len);
        return Ok(Flow::Done);
    }
    let rows = Rows::all(&a, &b);
    if options.idx {
        reply_ranges(&mut cx.reply, &rows, &a, &b, &options);
        return Ok(Flow::Done);
    }
    let mut common = Vec::with_capacity(rows.zeros(a.len()));
    rows.walk_back(&a, &b, |i, _| common.push(a[i]));
    common.reverse();
    cx.reply.bulk(&common);
    Ok(Flow::Done)
}

/// A run of equal bytes in both strings: where it begins in each, and its length.
#[derive(Clone, Copy)]
struct Run {
    a: usize,
    b: usize,
    len: usize,
}

fn reply_run(reply: &mut Reply<'_>, run: Run, options: &Options) -> usize {
    if run.len < options.min_len {
        return 0;
    }
    reply.array(if options.with_len { 3 } else { 2 });
    for start in [run.a, run.b] {
        reply.array(2);
        reply.len(start);
        reply.len(start + run.len - 1);
    }
    if options.with_len {
        reply.len(run.len);
    }
    1
}

fn reply_ranges(reply: &mut Reply<'_>, rows: &Rows, a: &[u8], b: &[u8], options: &Options) {
    reply.map(2);
    reply.bulk(b"matches");
    let start = reply.defer();
    let (mut count, mut open) = (0, None::<Run>);
    rows.walk_back(a, b, |i, j| {
        open = Some(match open {
            Some(run) if run.a == i + 1 && run.b == j + 1 => Run { a: i, b: j, len: run.len + 1 },
            ended => {
                count += ended.map_or(0, |run| reply_run(reply, run, options));
                Run { a: i, b: j, len: 1 }
            }
        });
    });
    count += open.map_or(0, |run| reply_run(reply, run, options));
    reply.fill_array(start, count);
    reply.bulk(b"len");
    reply.len(rows.zeros(a.len()));
}

/// The rows of bits, one after the other.
struct Rows {
    /// Words of a row.
    width: usize,
    /// Row 0 (nothing of `b`) is all ones and not kept.
    words: Vec<u64>,
}

impl Rows {
    /// Every row.
    fn all(a: &[u8], b: &[u8]) -> Rows {
        let mut words = Vec::with_capacity(a.len().div_ceil(WORD_BITS) * b.len());
        let last = each_row(a, b, |row| words.extend_from_slice(row));
        if b.is_empty() {
            words = last;
        }
        Rows { width: a.len().div_ceil(WORD_BITS), words }
    }

    /// The last row alone: enough for the length.
    fn last(a: &[u8], b: &[u8]) -> Rows {
        Rows { width: a.len().div_ceil(WORD_BITS), words: each_row(a, b, |_| {}) }
    }

    /// The row for the first `j` bytes of `b`; none for `j` = 0.
    fn row(&self, j: usize) -> &[u64] {
        let end = j * self.width;
        self.words.get(end.saturating_sub(self.width)..end).unwrap_or_default()
    }

    /// Length of the longest common subsequence of the first `n` bytes of `a` and all of `b`.
    fn zeros(&self, n: usize) -> usize {
        let last = self.words.len().saturating_sub(self.width);
        zeros(&self.words[last..], n)
    }

    /// Calls `pair` with the positions of the common bytes, from the last to the first. Where the way is not clear, `b` gives
    /// way first: so the reference chooses.
    fn walk_back(&self, a: &[u8], b: &[u8], mut pair: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (a.len(), b.len());
        // Lengths for the first i bytes of a with the first j, and the first j - 1, of b.
        let mut len = zeros(self.row(j), i);
        let mut above = if j > 0 { zeros(self.row(j - 1), i) } else { 0 };
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                pair(i - 1, j - 1);
                (i, j) = (i - 1, j - 1);
                len -= 1;
                above = zeros(self.row(j.saturating_sub(1)), i);
            } else if above == len || grows(self.row(j), i - 1) {
                j -= 1;
                len = above;
                above = zeros(self.row(j.saturating_sub(1)), i);
            } else {
                above -= usize::from(j > 1 && grows(self.row(j - 1), i - 1));
                i -= 1;
            }
        }
    }
}

/// Whether the length grows with byte `i` of `a`.
fn grows(row: &[u64], i: usize) -> bool {
    row.get(i / WORD_BITS).is_some_and(|word| word >> (i % WORD_BITS) & 1 == 0)
}

/// Zeros among the first `n` bits; none in a row that is not kept.
fn zeros(row: &[u64], n: usize) -> usize {
    let (whole, rest) = (n / WORD_BITS, n % WORD_BITS);
    let full: u32 = row.iter().take(whole).map(|word| word.count_zeros()).sum();
    let part = row.get(whole).map_or(0, |word| (!word & ((1 << rest) - 1)).count_ones());
    (full + part) as usize
}

/// Computes row after row and shows each; returns the last.
fn each_row(a: &[u8], b: &[u8], mut show: impl FnMut(&[u64])) -> Vec<u64> {
    let width = a.len().div_ceil(WORD_BITS);
    let mut masks: Vec<Option<Box<[u64]>>> = vec![None; 256];
    for (i, byte) in a.iter().enumerate() {
        let mask = masks[usize::from(*byte)].get_or_insert_with(|| vec![0; width].into());
        mask[i / WORD_BITS] |= 1 << (i % WORD_BITS);
    }
    let mut row = vec![u64::MAX; width];
    for byte in b {
        if let Some(mask) = &masks[usize::from(*byte)] {
            let mut carry = false;
            for (word, mask) in row.iter_mut().zip(mask.iter()) {
                let matching = *word & mask;
                let (sum, over) = word.overflowing_add(matching);
                let (sum, over_again) = sum.overflowing_add(u64::from(carry));
                carry = over || over_again;
                *word = sum | (*word & !matching);
            }
        }
        show(&row);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// The table of lengths, as every textbook has it.
    fn table(a: &[u8], b: &[u8]) -> Vec<Vec<usize>> {
        let mut table = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 1..=a.len() {
            for j in 1..=b.len() {
                table[i][j] =
                    if a[i - 1] == b[j - 1] { table[i - 1][j - 1] + 1 } else { table[i - 1][j].max(table[i][j - 1]) };
            }
        }
        table
    }

    fn naive_pairs(a: &[u8], b: &[u8]) -> Vec<(usize, usize)> {
        let table = table(a, b);
        let (mut i, mut j, mut pairs) = (a.len(), b.len(), Vec::new());
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                pairs.push((i - 1, j - 1));
                (i, j) = (i - 1, j - 1);
            } else if table[i - 1][j] > table[i][j - 1] {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        pairs
    }

    #[test]
    fn bits_and_table_agree() {
        for seed in 1..=300 {
            let mut rng = Rng::seeded(seed);
            let letters = 1 + rng.below(6);
            let longest = if seed % 10 == 0 { 300 } else { 70 };
            let mut text = || -> Vec<u8> { (0..rng.below(longest)).map(|_| b'a' + rng.below(letters) as u8).collect() };
            let (a, b) = (text(), text());
            let rows = Rows::all(&a, &b);
            let mut pairs = Vec::new();
            rows.walk_back(&a, &b, |i, j| pairs.push((i, j)));
            assert_eq!(pairs, naive_pairs(&a, &b), "seed {seed}");
            assert_eq!(rows.zeros(a.len()), table(&a, &b)[a.len()][b.len()], "seed {seed}");
            assert_eq!(Rows::last(&a, &b).zeros(a.len()), pairs.len(), "seed {seed}");
        }
    }
}
