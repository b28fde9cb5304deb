//! Time: read once per turn of the loop, handed on as a value.
//!
//! Two clocks that must not be mixed. [`UnixMs`] is the wall clock: it may jump, and expiry, LASTSAVE and
//! stream ids follow it. [`Mono`] counts nanoseconds since the process began and never goes back: timeouts,
//! idle times and latencies follow it. Here too is the arithmetic of the small clocks that an entry keeps
//! for eviction: 24 bits of seconds (LRU), or 16 bits of minutes and an 8-bit logarithmic counter (LFU).

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01 UTC by the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// Whole seconds, rounded down.
    #[inline]
    pub fn secs(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// This time and `ms` milliseconds; `None` if it cannot be said in 64 bits.
    #[inline]
    pub fn checked_add_ms(self, ms: i64) -> Option<Self> {
        self.0.checked_add(ms).map(Self)
    }
}

/// Nanoseconds since the process's clock was made; never goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// `ms` milliseconds later (the end of time, 584 years on, at the latest).
    #[inline]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }

    /// `us` microseconds later.
    #[inline]
    pub fn plus_us(self, us: u64) -> Self {
        Self(self.0.saturating_add(us.saturating_mul(1_000)))
    }

    /// Nanoseconds from `earlier` to here; 0 if it is not earlier.
    #[inline]
    pub fn ns_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Microseconds from `earlier` to here.
    #[inline]
    pub fn us_since(self, earlier: Self) -> u64 {
        self.ns_since(earlier) / 1_000
    }

    /// Milliseconds from `earlier` to here.
    #[inline]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.ns_since(earlier) / 1_000_000
    }

    /// How long to wait from here until `deadline`; zero if it has passed.
    #[inline]
    pub fn until(self, deadline: Self) -> Duration {
        Duration::from_nanos(deadline.ns_since(self))
    }
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, milliseconds.
    pub unix_ms: UnixMs,
    /// Wall clock, microseconds: the same moment as `unix_ms`.
    pub unix_us: i64,
    /// Monotonic clock.
    pub mono: Mono,
}

impl Now {
    /// A moment made up, for tests and simulations.
    pub fn at(unix_us: i64, mono: Mono) -> Self {
        Self {
            unix_ms: UnixMs(unix_us.div_euclid(1_000)),
            unix_us,
            mono,
        }
    }

    /// Wall clock in whole seconds.
    #[inline]
    pub fn unix_secs(&self) -> i64 {
        self.unix_ms.secs()
    }

    /// This moment as an entry's LRU clock.
    #[inline]
    pub fn lru_clock(&self) -> u32 {
        lru_clock(self.unix_ms)
    }

    /// This moment as an entry's LFU minute clock.
    #[inline]
    pub fn lfu_minutes(&self) -> u16 {
        lfu_minutes(self.unix_ms)
    }
}

/// The system's clocks. Reading is two calls of the vDSO, no system call.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now. One per process, so that its times can be compared.
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// Both clocks.
    #[inline]
    pub fn now(&self) -> Now {
        let unix_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX),
        };
        Now::at(unix_us, self.mono())
    }

    /// The monotonic clock alone, to measure how long a command took.
    #[inline]
    pub fn mono(&self) -> Mono {
        let elapsed = self.origin.elapsed();
        // 64 bits of nanoseconds are 584 years.
        Mono(elapsed.as_secs().wrapping_mul(1_000_000_000) + u64::from(elapsed.subsec_nanos()))
    }
}

/// Largest value of the LRU clock: 24 bits of seconds, 194 days until it wraps.
pub const LRU_CLOCK_MAX: u32 = (1 << 24) - 1;

/// The LRU clock at a moment: seconds modulo 2^24.
#[inline]
pub fn lru_clock(now: UnixMs) -> u32 {
    (now.secs() & i64::from(LRU_CLOCK_MAX)) as u32
}

/// Seconds from the LRU clock `then` to `now`, across one wrap.
#[inline]
pub fn lru_idle_secs(now_clock: u32, then_clock: u32) -> u32 {
    if now_clock >= then_clock {
        now_clock - then_clock
    } else {
        now_clock + (LRU_CLOCK_MAX - then_clock)
    }
}

/// Counter of a new entry: not zero, or it would be evicted before it can earn anything.
pub const LFU_INIT: u8 = 5;

/// The LFU minute clock at a moment: minutes modulo 2^16, 45 days until it wraps.
#[inline]
pub fn lfu_minutes(now: UnixMs) -> u16 {
    (now.secs().div_euclid(60) & 0xffff) as u16
}

/// Minutes from the LFU clock `last` to `now`, across one wrap.
#[inline]
pub fn lfu_elapsed_minutes(last_minutes: u16, now_minutes: u16) -> u16 {
    if now_minutes >= last_minutes {
        now_minutes - last_minutes
    } else {
        u16::MAX - last_minutes + now_minutes
    }
}

/// The counter after the minutes that passed: one less for every `decay_time` minutes, not below 0. A decay
/// time of 0 keeps it.
#[inline]
pub fn lfu_decay(counter: u8, last_minutes: u16, now_minutes: u16, decay_time: u32) -> u8 {
    let elapsed = u32::from(lfu_elapsed_minutes(last_minutes, now_minutes));
    let periods = elapsed.checked_div(decay_time).unwrap_or(0);
    counter.saturating_sub(u8::try_from(periods).unwrap_or(u8::MAX))
}

/// The counter after one more access: raised with probability 1 / (over * factor + 1), where `over` is what
/// it has above [`LFU_INIT`]; 255 is the end. `random` is 32 random bits.
#[inline]
pub fn lfu_log_incr(counter: u8, log_factor: u32, random: u32) -> u8 {
    let over = u64::from(counter.saturating_sub(LFU_INIT));
    let one_in = over * u64::from(log_factor) + 1; // below 2^40
    // random / 2^32 < 1 / one_in, in integers.
    let raise = u128::from(random) * u128::from(one_in) < 1 << 32;
    if raise {
        counter.saturating_add(1)
    } else {
        counter
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn both_clocks_run_forward() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.mono >= first.mono);
        assert_eq!(first.unix_ms.0, first.unix_us / 1_000);
        assert!(first.unix_secs() > 1_700_000_000);
    }

    #[test]
    fn differences_never_go_below_zero() {
        let (early, late) = (Mono(5_000_000), Mono(9_000_000));
        assert_eq!(late.ms_since(early), 4);
        assert_eq!(early.ms_since(late), 0);
        assert_eq!(early.until(late), Duration::from_millis(4));
        assert_eq!(late.until(early), Duration::ZERO);
        assert_eq!(early.plus_ms(4), late);
        assert_eq!(early.plus_us(4_000), late);
        assert_eq!(Mono(1).plus_ms(u64::MAX), Mono(u64::MAX));
        assert_eq!(Now::at(-1, early).unix_ms, UnixMs(-1));
        assert_eq!(UnixMs(i64::MAX).checked_add_ms(1), None);
    }

    #[test]
    fn lru_idle_time_survives_a_wrap() {
        assert_eq!(lru_clock(UnixMs(1_000 * (1 << 24) + 5_999)), 5);
        assert_eq!(lru_idle_secs(10, 4), 6);
        assert_eq!(lru_idle_secs(4, LRU_CLOCK_MAX - 6), 10);
    }

    #[test]
    fn lfu_counters_decay_by_whole_periods() {
        assert_eq!(lfu_minutes(UnixMs(60_000 * 65_536 + 120_000)), 2);
        assert_eq!(lfu_decay(100, 10, 10, 1), 100);
        assert_eq!(lfu_decay(100, 10, 30, 1), 80);
        assert_eq!(lfu_decay(100, 10, 30, 15), 99);
        assert_eq!(lfu_decay(10, 10, 3_000, 1), 0);
        assert_eq!(lfu_decay(100, 10, 30, 0), 100);
        assert_eq!(lfu_decay(100, u16::MAX - 1, 3, 1), 96);
    }

    #[test]
    fn lfu_counters_rise_logarithmically() {
        assert_eq!(lfu_log_incr(0, 10, u32::MAX), 1);
        assert_eq!(lfu_log_incr(5, 10, u32::MAX), 6);
        assert_eq!(lfu_log_incr(6, 10, u32::MAX), 6);
        assert_eq!(lfu_log_incr(255, 10, 0), 255);
        assert_eq!(lfu_log_incr(200, 0, u32::MAX), 201);
        assert_eq!(lfu_log_incr(254, u32::MAX, 0), 255);
        let mut rng = Rng::from_seed(41);
        let hits = |n: u32, rng: &mut Rng| {
            (0..n).fold(LFU_INIT, |c, _| lfu_log_incr(c, 10, rng.next_u32()))
        };
        let (few, many) = (hits(100, &mut rng), hits(100_000, &mut rng));
        assert!((8..=16).contains(&few), "{few}");
        assert!((120..=170).contains(&many), "{many}");
    }
}
