//! Rates per second of counters that only grow: the mean of the last 16 samples, taken a tenth of a second apart.

/// Samples that a mean is taken over.
const SAMPLES: usize = 16;

/// One counter's rate.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    last_value: u64,
    last_base: u64,
    samples: [f64; SAMPLES],
    next: usize,
}

impl Rate {
    /// Takes a sample: the counter's value and what it is divided by, both ever growing (milliseconds, turns).
    pub fn sample(&mut self, value: u64, base: u64) {
        let (more, over) = (value.saturating_sub(self.last_value), base.saturating_sub(self.last_base));
        self.samples[self.next] = if over == 0 { 0.0 } else { more as f64 / over as f64 };
        self.next = (self.next + 1) % SAMPLES;
        (self.last_value, self.last_base) = (value, base);
    }

    /// The mean over the samples, in units of value per unit of base.
    pub fn mean(&self) -> f64 {
        self.samples.iter().sum::<f64>() / SAMPLES as f64
    }

    /// The mean per second, if the base is milliseconds.
    pub fn per_second(&self) -> f64 {
        self.mean() * 1000.0
    }
}

/// The rates that INFO shows.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    /// Commands.
    pub commands: Rate,
    /// Bytes from clients.
    pub input_bytes: Rate,
    /// Bytes to clients.
    pub output_bytes: Rate,
    /// Turns of the loop.
    pub turns: Rate,
    /// Microseconds of work per turn.
    pub turn_us: Rate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_counter_has_its_rate_after_sixteen_samples() {
        let mut rate = Rate::default();
        for tick in 1..=20u64 {
            rate.sample(tick * 50, tick * 100);
        }
        assert_eq!(rate.per_second(), 500.0);
        rate.sample(0, 5000);
        assert_eq!(rate.per_second(), 500.0 * 15.0 / 16.0);
    }
}
