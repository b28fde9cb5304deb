//! A failing episode made small: commands are dropped while the same difference stays (delta debugging, Zeller 1999).

use super::episode::{Batch, Unit};
use super::pair::{Difference, Pair};

/// Replays at most, so that a failure is told within minutes.
const MAX_REPLAYS: usize = 400;

/// Bytes of a reply that are shown.
const SHOWN_BYTES: usize = 600;

/// A failure as it is shown.
pub struct Minimal {
    pub batches: Vec<Batch>,
    pub difference: Difference,
}

/// The units of all batches, each with its batch's connection and seed.
type Flat = Vec<(usize, u64, Unit)>;

/// Drops what is not needed for a difference of the same signature.
pub fn shrink(pair: &mut Pair, batches: &[Batch], difference: Difference) -> Minimal {
    let signature = difference.signature();
    let mut units: Flat = batches.iter().flat_map(|b| b.units.iter().map(|u| (b.conn, b.seed, u.clone()))).collect();
    let mut best = difference;
    let mut replays = 0;
    let mut chunk = units.len().div_ceil(2);
    while chunk > 0 && replays < MAX_REPLAYS {
        let mut at = 0;
        let mut dropped = false;
        while at < units.len() && replays < MAX_REPLAYS {
            let end = (at + chunk).min(units.len());
            let fewer: Flat = units[..at].iter().chain(&units[end..]).cloned().collect();
            replays += 1;
            match pair.play(&batched(&fewer)) {
                Some(found) if found.signature() == signature => {
                    units = fewer;
                    best = found;
                    dropped = true;
                }
                _ => at = end,
            }
        }
        if !dropped || chunk > units.len() {
            chunk = if chunk == 1 && !dropped { 0 } else { (chunk / 2).max(usize::from(chunk > 1 || dropped)) };
        }
    }
    Minimal { batches: batched(&units), difference: best }
}

/// Units of one seed make one batch again.
fn batched(units: &Flat) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for (conn, seed, unit) in units {
        match batches.last_mut() {
            Some(last) if last.seed == *seed => last.units.push(unit.clone()),
            _ => batches.push(Batch { conn: *conn, units: vec![unit.clone()], seed: *seed }),
        }
    }
    batches
}

impl std::fmt::Display for Minimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |argv: &[Vec<u8>]| argv.iter().map(|w| shown(w)).collect::<Vec<_>>().join(" ");
        for batch in &self.batches {
            for step in batch.units.iter().flat_map(|u| &u.steps) {
                writeln!(f, "  {}> {}", ["RESP2", "RESP3"][batch.conn], line(&step.argv))?;
            }
        }
        let Difference { argv, ours, theirs } = &self.difference;
        let same = ours.bytes().zip(theirs.bytes()).take_while(|(a, b)| a == b).count();
        writeln!(f, "  differs at: {}", line(argv))?;
        writeln!(f, "    theirs: {}", window(theirs, same))?;
        write!(f, "    ours:   {}", window(ours, same))
    }
}

/// The part of a long reply where it begins to differ.
fn window(text: &str, same: usize) -> String {
    let from = if text.len() > SHOWN_BYTES { same.saturating_sub(SHOWN_BYTES / 2) } else { 0 };
    let end = text.len().min(from + SHOWN_BYTES);
    let before = if from > 0 { "... " } else { "" };
    let after = if end < text.len() { " ..." } else { "" };
    format!("{before}{}{after}", String::from_utf8_lossy(&text.as_bytes()[from..end]))
}

/// A word for people; a long run of one byte is told as such.
fn shown(word: &[u8]) -> String {
    match word {
        [first, rest @ ..] if word.len() > 40 && rest.iter().all(|b| b == first) => {
            format!("({} x {:?})", word.len(), *first as char)
        }
        word => format!("\"{}\"", word.escape_ascii()),
    }
}
