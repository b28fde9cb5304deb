//! What each command costs: calls, time, a histogram of its latencies.

use crate::sys::ticks;

/// Sub-buckets per power of two: values are kept to about 6 %.
const SUB_BITS: u32 = 4;
const BUCKETS: usize = ((64 - SUB_BITS as usize) << SUB_BITS) + (1 << SUB_BITS);

/// Latencies in logarithmic buckets of ticks.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Box<[u32; BUCKETS]>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

#[inline]
fn bucket(ticks: u64) -> usize {
    if ticks < 1 << SUB_BITS {
        return ticks as usize;
    }
    let power = 63 - ticks.leading_zeros();
    let sub = (ticks >> (power - SUB_BITS)) & ((1 << SUB_BITS) - 1);
    (((power - SUB_BITS + 1) as usize) << SUB_BITS) + sub as usize
}

/// The largest value that falls into a bucket.
fn bucket_top(index: usize) -> u64 {
    if index < 1 << SUB_BITS {
        return index as u64;
    }
    let power = (index >> SUB_BITS) as u32 + SUB_BITS - 1;
    let sub = (index & ((1 << SUB_BITS) - 1)) as u128;
    let top = (((1u128 << SUB_BITS) + sub + 1) << (power - SUB_BITS)) - 1;
    top.min(u128::from(u64::MAX)) as u64
}

impl Histogram {
    /// Counts one latency.
    #[inline]
    pub fn record(&mut self, ticks: u64) {
        let count = &mut self.counts[bucket(ticks)];
        *count = count.saturating_add(1);
        self.total += 1;
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The latency in nanoseconds below which `percent` of them lie.
    pub fn percentile_ns(&self, percent: f64) -> u64 {
        let wanted = ((percent / 100.0 * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= wanted {
                return ticks::to_ns(bucket_top(index));
            }
        }
        0
    }

    /// How many took up to so many microseconds, for powers of two of 1.024 us; only steps at which the count grows.
    pub fn cumulative_us(&self) -> Vec<(u64, u64)> {
        let mut steps: Vec<(u64, u64)> = Vec::new();
        let (mut limit_ns, mut seen) = (1024u64, 0);
        for (ns, count) in self.buckets() {
            while ns > limit_ns && limit_ns < 1 << 62 {
                limit_ns *= 2;
            }
            seen += count;
            // Redis names a step by the largest value its own buckets put there, some 0.8 % above from 16 us on.
            let us = if limit_ns < 32 * 1024 { limit_ns / 1024 } else { (limit_ns + limit_ns / 128 - 1) / 1000 };
            match steps.last_mut().filter(|(last, _)| *last == us) {
                Some(step) => step.1 = seen,
                None => steps.push((us, seen)),
            }
        }
        steps
    }

    /// (upper bound in nanoseconds, count) of each bucket that is not empty, ascending.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let filled = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        filled.map(|(index, &count)| (ticks::to_ns(bucket_top(index)), u64::from(count)))
    }
}

/// One command's figures.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    /// Times it ran.
    pub calls: u64,
    /// Ticks it took, all together.
    pub ticks: u64,
    /// Times it was refused before it ran.
    pub rejected: u64,
    /// Times it ran and failed.
    pub failed: u64,
    /// Its latencies, while `latency-tracking` is on.
    pub histogram: Option<Histogram>,
}

impl CommandStats {
    /// Counts one run.
    #[inline]
    pub fn record(&mut self, ticks: u64, tracked: bool) {
        self.calls += 1;
        self.ticks += ticks;
        if tracked {
            self.histogram.get_or_insert_default().record(ticks);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_ascend() {
        let mut last = 0;
        for shift in 0..63 {
            for offset in [0u64, 1, 3] {
                let value = (1u64 << shift).saturating_add(offset << shift.max(3) >> 3);
                let index = bucket(value);
                assert!(bucket_top(index) >= value, "{value}");
                assert!(index == 0 || bucket_top(index - 1) < value, "{value}");
                last = last.max(index);
            }
        }
        assert!(last < BUCKETS && bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn percentiles_follow_the_counts() {
        let mut histogram = Histogram::default();
        for value in 1..=1000 {
            histogram.record(value * 100);
        }
        let (p50, p99) = (histogram.percentile_ns(50.0), histogram.percentile_ns(99.0));
        assert!(p50 < p99 && p99 <= ticks::to_ns(107_000));
        assert_eq!(histogram.buckets().map(|(_, n)| n).sum::<u64>(), 1000);
    }
}
