//! The latency monitor: for each kind of event the slow ones of the last seconds, one sample a second. Knows no command:
//! whoever notices that something took long records it under the event's name.
//!
//! ```text
//! event -> [(second, longest ms in it) ...]  at most 160, oldest first;  and the longest ever
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

/// Samples kept of one event.
const MAX_SAMPLES: usize = 160;
/// Rows of the graph.
const GRAPH_ROWS: u32 = 4;

/// The longest event of one second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Unix seconds.
    pub at_secs: i64,
    /// How long it took, milliseconds.
    pub ms: u64,
}

/// What is kept of one kind of event.
#[derive(Debug, Clone, Default)]
pub struct Series {
    samples: VecDeque<Sample>,
    /// The longest ever, milliseconds.
    pub max_ms: u64,
}

/// Figures over a series' samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Summary {
    /// How many samples.
    pub samples: u64,
    /// Shortest, milliseconds.
    pub min_ms: u64,
    /// Longest of the samples, milliseconds.
    pub max_ms: u64,
    /// Mean, milliseconds.
    pub mean_ms: u64,
    /// Mean distance from the mean, milliseconds.
    pub deviation_ms: u64,
    /// Seconds from the oldest sample to now.
    pub span_secs: i64,
}

impl Series {
    /// Oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &Sample> {
        self.samples.iter()
    }

    /// The newest sample.
    pub fn newest(&self) -> Option<&Sample> {
        self.samples.back()
    }

    fn add(&mut self, at_secs: i64, ms: u64) {
        self.max_ms = self.max_ms.max(ms);
        if let Some(newest) = self.samples.back_mut().filter(|newest| newest.at_secs == at_secs) {
            newest.ms = newest.ms.max(ms);
            return;
        }
        if self.samples.len() == MAX_SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at_secs, ms });
    }

    /// Figures over the samples at this second.
    pub fn summary(&self, now_secs: i64) -> Summary {
        let Some(oldest) = self.samples.front() else { return Summary::default() };
        let samples = self.samples.len() as u64;
        let mean_ms = self.samples.iter().map(|s| s.ms).sum::<u64>() / samples;
        Summary {
            samples,
            min_ms: self.samples.iter().map(|s| s.ms).min().unwrap_or(0),
            max_ms: self.samples.iter().map(|s| s.ms).max().unwrap_or(0),
            mean_ms,
            deviation_ms: self.samples.iter().map(|s| s.ms.abs_diff(mean_ms)).sum::<u64>() / samples,
            span_secs: now_secs.saturating_sub(oldest.at_secs).max(1),
        }
    }

    /// A picture: one column per sample, its height the latency, under it its age (read downward).
    pub fn graph(&self, event: &str, now_secs: i64) -> String {
        let (low, high) = self.samples.iter().fold((u64::MAX, 0), |(low, high), s| (low.min(s.ms), high.max(s.ms)));
        let mut text = format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", self.max_ms);
        text.push_str(&"-".repeat(80));
        text.push('\n');
        let columns: Vec<(u64, String)> =
            self.samples.iter().map(|s| (level(s.ms, low, high), age(now_secs - s.at_secs))).collect();
        for row in (0..u64::from(GRAPH_ROWS)).rev() {
            for (level, _) in &columns {
                text.push(mark(*level, row));
            }
            text.push('\n');
        }
        text.push('\n');
        let tallest = columns.iter().map(|(_, age)| age.len()).max().unwrap_or(0);
        for row in 0..tallest {
            for (_, age) in &columns {
                text.push(age.as_bytes().get(row).map_or(' ', |byte| char::from(*byte)));
            }
            text.push('\n');
        }
        text
    }
}

/// Height of a sample in steps: two per row, so that half rows can be drawn.
fn level(ms: u64, low: u64, high: u64) -> u64 {
    let steps = u64::from(GRAPH_ROWS) * 2 - 1;
    if high == low { 0 } else { (ms - low) * steps / (high - low) }
}

/// What a column of this height shows in a row.
fn mark(level: u64, row: u64) -> char {
    match level.checked_sub(row * 2) {
        None => ' ',
        Some(0) => '_',
        Some(1) => 'o',
        Some(_) => '#',
    }
}

/// Seconds as a short age: `5s`, `3m`, `2h`, `1d`.
fn age(secs: i64) -> String {
    let secs = secs.max(0);
    match secs {
        0..60 => format!("{secs}s"),
        60..3600 => format!("{}m", secs / 60),
        3600..86400 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86400),
    }
}

/// All series by event.
#[derive(Debug, Clone, Default)]
pub struct LatencyMonitor {
    series: BTreeMap<&'static str, Series>,
    /// Events of at least so many milliseconds are kept; 0 keeps none (`latency-monitor-threshold`).
    pub threshold_ms: u64,
}

impl LatencyMonitor {
    /// Keeps an event if it took long enough.
    pub fn record(&mut self, event: &'static str, at_secs: i64, ms: u64) {
        if self.threshold_ms > 0 && ms >= self.threshold_ms {
            self.series.entry(event).or_default().add(at_secs, ms);
        }
    }

    /// The series of an event.
    pub fn get(&self, event: &[u8]) -> Option<&Series> {
        self.series.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(event)).map(|(_, series)| series)
    }

    /// All series that have samples, by event.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        self.series.iter().map(|(event, series)| (*event, series))
    }

    /// Forgets an event's series, or all; returns how many went.
    pub fn reset(&mut self, event: Option<&[u8]>) -> usize {
        let before = self.series.len();
        match event {
            None => self.series.clear(),
            Some(event) => self.series.retain(|name, _| !name.as_bytes().eq_ignore_ascii_case(event)),
        }
        before - self.series.len()
    }

    /// Says in words what was slow and what to do about it.
    pub fn report(&self, now_secs: i64, slowlog_off: bool) -> String {
        if self.threshold_ms == 0 {
            return "The latency monitor is off. CONFIG SET latency-monitor-threshold <milliseconds> turns it on: events that \
                    take at least so long are then kept for this report.\n"
                .to_owned();
        }
        if self.series.is_empty() {
            return format!(
                "No event has taken {} ms or more since the latency monitor was turned on.\n",
                self.threshold_ms
            );
        }
        let mut text = String::from("Events that took long:\n\n");
        for (nth, (event, series)) in self.series.iter().enumerate() {
            let s = series.summary(now_secs);
            let period = s.span_secs as f64 / s.samples as f64;
            writeln!(
                text,
                "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {period:.2} sec). Worst all time event {}ms.",
                nth + 1,
                s.samples,
                s.mean_ms,
                s.deviation_ms,
                series.max_ms
            )
            .expect("a string takes all text");
        }
        text.push_str("\nAdvice:\n\n");
        let advice = self.series.keys().flat_map(|event| advice_for(event, slowlog_off));
        let mut said: Vec<&str> = Vec::new();
        for line in advice {
            if !said.contains(&line) {
                said.push(line);
                writeln!(text, "- {line}").expect("a string takes all text");
            }
        }
        text
    }
}

/// What usually helps against this kind of event.
fn advice_for(event: &str, slowlog_off: bool) -> Vec<&'static str> {
    const SLOWLOG_ON: &str = "SLOWLOG GET names the commands that took long.";
    const SLOWLOG_OFF: &str =
        "Turn the slow log on to learn which commands take long: CONFIG SET slowlog-log-slower-than 1000.";
    const SPLIT: &str =
        "Split very large collections: commands that read, delete or store them whole take as long as they are large.";
    let slowlog = if slowlog_off { SLOWLOG_OFF } else { SLOWLOG_ON };
    match event {
        "command" => vec![slowlog, SPLIT],
        "fast-command" => vec![
            slowlog,
            "Commands that should be fast were not: the machine is overloaded, or the virtual machine had to wait for a processor. \
             Measure with redis-cli --intrinsic-latency 100 on the server itself.",
        ],
        "expire-cycle" | "expire-del" => {
            vec!["Many keys expire at the same moment: add some random seconds to their time to live.", SPLIT]
        }
        "eviction-cycle" | "eviction-del" => {
            vec!["Eviction has to catch up: raise maxmemory, or set lazyfree-lazy-eviction yes.", SPLIT]
        }
        _ => vec!["Look at the disk and at the load of the machine at those times."],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn monitor(threshold_ms: u64) -> LatencyMonitor {
        LatencyMonitor { threshold_ms, ..LatencyMonitor::default() }
    }

    #[test]
    fn the_longest_event_of_a_second_is_kept_and_old_seconds_go() {
        let mut m = monitor(10);
        m.record("command", 5, 9);
        assert_eq!(m.iter().count(), 0);
        for (at, ms) in [(5, 10), (5, 30), (5, 20), (6, 11)] {
            m.record("command", at, ms);
        }
        let series = m.get(b"COMMAND").expect("recorded");
        assert_eq!(
            series.samples().copied().collect::<Vec<_>>(),
            [Sample { at_secs: 5, ms: 30 }, Sample { at_secs: 6, ms: 11 }]
        );
        assert_eq!((series.max_ms, series.newest().map(|s| s.ms)), (30, Some(11)));
        for at in 0..1000 {
            m.record("command", 100 + at, 10);
        }
        let series = m.get(b"command").expect("recorded");
        assert_eq!((series.samples().len(), series.max_ms), (MAX_SAMPLES, 30));
        assert_eq!((m.reset(Some(b"nothing")), m.reset(Some(b"command")), m.reset(None)), (0, 1, 0));
    }

    #[test]
    fn the_graph_has_a_column_per_sample() {
        let mut m = monitor(1);
        for (at, ms) in [(0, 1), (3590, 8), (3599, 4)] {
            m.record("command", at, ms);
        }
        let graph = m.get(b"command").expect("recorded").graph("command", 3600);
        let lines: Vec<&str> = graph.lines().collect();
        assert_eq!(lines[0], "command - high 8 ms, low 1 ms (all time high 8 ms)");
        assert_eq!(&lines[2..], [" o ", " # ", " #o", "_##", "", "111", "h0s", " s "]);
    }

    #[test]
    fn the_report_names_the_events() {
        assert!(monitor(0).report(1, false).contains("is off"));
        let mut m = monitor(1);
        assert!(m.report(1, false).starts_with("No event"));
        m.record("command", 1, 10);
        m.record("command", 3, 20);
        let report = m.report(5, true);
        assert!(report.contains("1. command: 2 latency spikes (average 15ms, mean deviation 5ms, period 2.00 sec). Worst all time event 20ms."));
        assert!(report.contains("Turn the slow log on"));
    }
}
