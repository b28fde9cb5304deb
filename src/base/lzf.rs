//! LZF, the compression of RDB strings. Knows no string's meaning.
//!
//! There are crates for it, and lists use one: theirs are long texts, and few. An RDB file has millions of short ones; there the
//! crates' price for each call counts, a table of 512 KiB that is cleared to compress, an allocation to decompress.
//!
//! ```text
//!   000lllll data                     l + 1 bytes as they are
//!   lllooooo oooooooo                 l + 2 bytes (l of 1 to 6) once more, from o + 1 bytes back
//!   111ooooo llllllll oooooooo        l + 9 bytes once more
//! ```
//!
//! Invariant: what [`Compressor::compress`] makes, [`decompress`] turns back; which matches are taken is ours to choose, so
//! the bytes need not equal those of another compressor. No input makes [`decompress`] panic, or write beyond what it was
//! told to expect.

/// Places remembered: 32 KiB of them, what a first-level cache holds.
const SLOTS_LOG2: u32 = 13;
/// Farthest that a match may lie back, bytes.
const MAX_DISTANCE: usize = 1 << 13;
/// Longest match, bytes.
const MAX_MATCH: usize = 7 + 2 + 255;
/// Longest run of literals, bytes.
const MAX_RUN: usize = 32;

/// Compresses; keeps its memory from one call to the next.
pub struct Compressor {
    /// Where three bytes of this hash were last seen, counted from the first call on: what lies before `base` is of an
    /// earlier input, so that nothing has to be cleared in between.
    seen: Box<[u32]>,
    base: u32,
    out: Vec<u8>,
}

impl Default for Compressor {
    fn default() -> Self {
        Compressor { seen: vec![0; 1 << SLOTS_LOG2].into_boxed_slice(), base: 1, out: Vec::new() }
    }
}

#[inline]
fn slot(bytes: [u8; 3]) -> usize {
    let word = u32::from_le_bytes([0, bytes[0], bytes[1], bytes[2]]);
    (word.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS_LOG2)) as usize
}

impl Compressor {
    /// The compressed form of `data`, if it has at most `most` bytes.
    pub fn compress(&mut self, data: &[u8], most: usize) -> Option<&[u8]> {
        let len = u32::try_from(data.len()).ok()?;
        match self.base.checked_add(len).filter(|end| *end < u32::MAX) {
            Some(_) => {}
            None => {
                self.seen.fill(0);
                self.base = 1;
                self.base.checked_add(len).filter(|end| *end < u32::MAX)?;
            }
        }
        self.out.clear();
        let fits = self.fill(data, most);
        self.base += len;
        fits.then_some(&self.out[..])
    }

    fn fill(&mut self, data: &[u8], most: usize) -> bool {
        let (mut at, mut literals_from) = (0, 0);
        while let Some(&next) = data.get(at..).and_then(|rest| rest.first_chunk::<3>()) {
            let place = &mut self.seen[slot(next)];
            let before = std::mem::replace(place, self.base + at as u32);
            let distance = (before >= self.base).then(|| at - (before - self.base) as usize);
            let found = distance.filter(|d| *d <= MAX_DISTANCE && data[at - d..at - d + 3] == next);
            let Some(distance) = found else {
                at += 1;
                // Runs are closed as they fill, so that what can't be made smaller is given up early.
                if at - literals_from == MAX_RUN {
                    self.literals(&data[literals_from..at]);
                    literals_from = at;
                    if self.out.len() > most {
                        return false;
                    }
                }
                continue;
            };
            let longest = MAX_MATCH.min(data.len() - at);
            let pairs = data[at..at + longest].iter().zip(&data[at - distance..]);
            let len = pairs.take_while(|(one, other)| one == other).count();
            self.literals(&data[literals_from..at]);
            self.repeat(len, distance);
            at += len;
            literals_from = at;
            // The place just before the next byte is worth knowing: text repeats from there as often.
            if let Some(&last) = data.get(at - 1..).and_then(|rest| rest.first_chunk::<3>()) {
                self.seen[slot(last)] = self.base + (at - 1) as u32;
            }
            if self.out.len() > most {
                return false;
            }
        }
        data[literals_from..].chunks(MAX_RUN).for_each(|run| self.literals(run));
        self.out.len() <= most
    }

    #[inline]
    fn literals(&mut self, run: &[u8]) {
        if !run.is_empty() {
            self.out.push((run.len() - 1) as u8);
            self.out.extend_from_slice(run);
        }
    }

    #[inline]
    fn repeat(&mut self, len: usize, distance: usize) {
        let [low, high, ..] = (distance - 1).to_le_bytes();
        let code = len - 2;
        if code < 7 {
            self.out.extend_from_slice(&[(code as u8) << 5 | high, low]);
        } else {
            self.out.extend_from_slice(&[7 << 5 | high, (code - 7) as u8, low]);
        }
    }
}

/// Appends the `len` bytes that `data` is the compressed form of; `None` if it is not, and then `out` holds rubbish behind
/// what it held. The caller has seen to it that `len` is a size it can bear.
pub fn decompress(data: &[u8], len: usize, out: &mut Vec<u8>) -> Option<()> {
    let (start, end) = (out.len(), out.len().checked_add(len)?);
    // No byte of input stands for more than this many of output.
    if len > data.len().checked_mul(MAX_MATCH)? {
        return None;
    }
    out.try_reserve(len).ok()?;
    let mut rest = data;
    while let Some((&control, behind)) = rest.split_first() {
        rest = behind;
        let (code, high) = (usize::from(control >> 5), usize::from(control & 31));
        if code == 0 {
            let run = rest.get(..high + 1).filter(|run| run.len() <= end - out.len())?;
            out.extend_from_slice(run);
            rest = &rest[run.len()..];
            continue;
        }
        let mut copy = code + 2;
        if code == 7 {
            let (&more, behind) = rest.split_first()?;
            copy += usize::from(more);
            rest = behind;
        }
        let (&low, behind) = rest.split_first()?;
        rest = behind;
        let distance = (high << 8 | usize::from(low)) + 1;
        if distance > out.len() - start || copy > end - out.len() {
            return None;
        }
        let from = out.len() - distance;
        // It may repeat what it just wrote: each round has twice as much to copy.
        while copy > 0 {
            let part = copy.min(out.len() - from);
            out.extend_from_within(from..from + part);
            copy -= part;
        }
    }
    (out.len() == end).then_some(())
}

/// Reads arbitrary bytes as compressed ones, and compresses them: no input may panic, and what was compressed comes back.
pub fn fuzz_lzf(data: &[u8]) {
    for len in [0, 1, data.len(), data.len() * 4, usize::MAX] {
        let mut out = b"before".to_vec();
        if decompress(data, len, &mut out).is_some() {
            assert_eq!(out.len(), len + 6, "exactly what was expected comes out");
        }
    }
    let mut compressor = Compressor::default();
    for _ in 0..2 {
        if let Some(small) = compressor.compress(data, data.len()) {
            let mut out = Vec::new();
            assert_eq!(decompress(small, data.len(), &mut out), Some(()));
            assert_eq!(out, data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn there_and_back(compressor: &mut Compressor, data: &[u8]) -> Option<usize> {
        let small = compressor.compress(data, data.len().saturating_sub(4))?;
        let mut out = Vec::new();
        assert_eq!(decompress(small, data.len(), &mut out), Some(()));
        assert!(out == data);
        // The crate that the lists use is an independent reader.
        assert_eq!(lzf::decompress(small, data.len()).as_deref(), Ok(data));
        Some(small.len())
    }

    #[test]
    fn what_repeats_gets_small_and_comes_back() {
        let mut compressor = Compressor::default();
        assert!(there_and_back(&mut compressor, &[b'x'; 10_000]).is_some_and(|len| len < 200));
        assert!(there_and_back(&mut compressor, "hello world, ".repeat(30).as_bytes()).is_some_and(|len| len < 40));
        assert_eq!(compressor.compress(b"", 0), Some(&[][..]));
        assert_eq!(compressor.compress(b"abcdefghijklmnopqrstuvwxyz", 22), None);
        for seed in 0..200 {
            println!("seed {seed}");
            let mut rng = Rng::seeded(seed);
            let (len, names) = (rng.below(20_000), 1 + rng.below(40));
            let data: Vec<u8> = (0..len).map(|at| (at % 7 * rng.below(names)) as u8).collect();
            there_and_back(&mut compressor, &data);
        }
    }

    #[test]
    fn what_the_reference_compressed_is_read() {
        // DUMP of 32 times "x", of redis-server 7.0.15.
        let mut out = Vec::new();
        assert_eq!(decompress(b"\x01xx\xe0\x13\x00\x01xx", 32, &mut out), Some(()));
        assert_eq!(out, [b'x'; 32]);
    }

    #[test]
    fn broken_input_is_refused() {
        let mut rng = Rng::seeded(7);
        let mut compressor = Compressor::default();
        let good = compressor.compress(&b"the same again, ".repeat(9), 100).expect("it repeats").to_vec();
        for _ in 0..20_000 {
            let mut bad = good.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.below(bad.len() as u64) as usize;
                bad[at] = rng.next_u64() as u8;
            }
            bad.truncate(rng.below(bad.len() as u64 + 1) as usize);
            fuzz_lzf(&bad);
        }
        assert_eq!(decompress(b"\x20\x05", 3, &mut Vec::new()), None, "from before the beginning");
        assert_eq!(decompress(b"\x00a", usize::MAX, &mut Vec::new()), None);
    }
}
