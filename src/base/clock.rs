//! Time, read once a turn and handed on as an argument. Expiry follows the wall clock, timeouts the monotonic one.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// A point in Unix time, milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct UnixMs(pub i64);

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, milliseconds: what deadlines are held against. Long ago while a log is replayed.
    pub unix_ms: UnixMs,
    /// Wall clock, microseconds.
    pub unix_us: i64,
    /// Monotonic clock, nanoseconds since the process's clock was made.
    pub mono_ns: u64,
}

impl Now {
    /// Monotonic milliseconds.
    pub fn mono_ms(self) -> u64 {
        self.mono_ns / 1_000_000
    }

    /// Wall clock, milliseconds: what times that are relative count from, also while a log is replayed.
    pub fn wall_ms(self) -> i64 {
        self.unix_us.div_euclid(1000)
    }

    /// This moment as a log is replayed: before all deadlines, for nothing expires till the log says so, and with the same
    /// marks of use (`lru_clock`, `lfu_minutes`).
    pub fn of_replay(self) -> Now {
        let period_ms = (1_i64 << LRU_BITS) * 15 * 1000;
        Now { unix_ms: UnixMs(self.unix_ms.0.rem_euclid(period_ms) - period_ms), ..self }
    }

    /// Wall clock, seconds.
    pub fn unix_secs(self) -> i64 {
        self.unix_ms.0.div_euclid(1000)
    }

    /// This moment and so many microseconds.
    pub fn plus_us(self, us: u64) -> Now {
        let unix_us = self.unix_us.saturating_add_unsigned(us);
        Now {
            unix_ms: UnixMs(unix_us.div_euclid(1000)),
            unix_us,
            mono_ns: self.mono_ns.saturating_add(us.saturating_mul(1000)),
        }
    }

    /// A moment at this Unix millisecond: for tests and replays.
    pub fn at_unix_ms(ms: i64) -> Now {
        Now {
            unix_ms: UnixMs(ms),
            unix_us: ms.saturating_mul(1000),
            mono_ns: (ms.max(0) as u64).saturating_mul(1_000_000),
        }
    }
}

/// Where `Now` comes from.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { origin: Instant::now() }
    }
}

impl Clock {
    /// Reads both clocks.
    pub fn read(&self) -> Now {
        let unix_us = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_micros() as i64,
            Err(before) => -(before.duration().as_micros() as i64),
        };
        Now { unix_ms: UnixMs(unix_us.div_euclid(1000)), unix_us, mono_ns: self.origin.elapsed().as_nanos() as u64 }
    }
}

/// Unix seconds of a time in text: the seconds themselves, or as ISO 8601 has it, in UTC if it names no zone.
pub fn parse_moment(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(secs) = text.parse::<u64>() {
        return Some(secs);
    }
    let zoned = text.parse::<jiff::Timestamp>().ok();
    let plain = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let moment = zoned.or_else(|| plain().map(|zoned| zoned.timestamp()))?;
    u64::try_from(moment.as_second()).ok()
}

/// Bits of the seconds that mark accesses: they wrap after 97 days.
const LRU_BITS: u32 = 23;
/// The counter of a key that was just made.
pub const LFU_INIT: u8 = 5;

/// Seconds, as the bits that an entry keeps of its last access.
#[inline]
pub fn lru_clock(now: Now) -> u32 {
    (now.unix_secs() as u32) & ((1 << LRU_BITS) - 1)
}

/// What an entry keeps of its last access: the seconds, and whether it was used at all since it was made. The seconds alone
/// could not tell a key in use from one that was just made, while a busy server makes a cache full of keys in one.
#[inline]
pub fn lru_pack(now: Now, used: bool) -> u32 {
    lru_clock(now) << 1 | u32::from(used)
}

/// What an entry keeps of a last access so many seconds ago; an idle time beyond the clock's wrap is cut to it.
pub fn lru_pack_idle(idle_secs: i64, now: Now) -> u32 {
    let most = (1 << LRU_BITS) - 1;
    let idle = u32::try_from(idle_secs).unwrap_or(most).min(most);
    (lru_clock(now).wrapping_sub(idle) & most) << 1 | 1
}

/// Whether a key was used since it was made.
pub fn lru_is_used(access: u32) -> bool {
    access & 1 == 1
}

/// Seconds since the access, over the wrap of the clock.
pub fn lru_idle_secs(access: u32, now: Now) -> u32 {
    lru_clock(now).wrapping_sub(access >> 1) & ((1 << LRU_BITS) - 1)
}

/// Minutes, as the 16 bits that an entry keeps of its last decay.
#[inline]
pub fn lfu_minutes(now: Now) -> u16 {
    (now.unix_secs() / 60) as u16
}

/// Minutes of the last decay and counter in one.
#[inline]
pub fn lfu_pack(minutes: u16, counter: u8) -> u32 {
    (u32::from(minutes) << 8) | u32::from(counter)
}

/// (counter, minutes of the last decay).
#[inline]
pub fn lfu_unpack(access: u32) -> (u8, u16) {
    (access as u8, (access >> 8) as u16)
}

/// The counter after the time that has passed: one less for every `decay_minutes`; 0 never decays.
pub fn lfu_decay(counter: u8, then: u16, now: u16, decay_minutes: u32) -> u8 {
    if decay_minutes == 0 {
        return counter;
    }
    let periods = u32::from(now.wrapping_sub(then)) / decay_minutes;
    u32::from(counter).saturating_sub(periods) as u8
}

/// The counter after one more access: it rises with probability 1 / (distance from the start value * factor + 1).
pub fn lfu_log_incr(counter: u8, log_factor: u32, random: u32) -> u8 {
    if counter == u8::MAX {
        return counter;
    }
    let above = f64::from(counter.saturating_sub(LFU_INIT));
    let chance = 1.0 / (above * f64::from(log_factor) + 1.0);
    if f64::from(random) / f64::from(u32::MAX) < chance { counter + 1 } else { counter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_seconds_and_as_text() {
        for (text, secs) in [
            ("1700000000", Some(1_700_000_000)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000)),
            ("2023-11-14T23:13:20+01:00", Some(1_700_000_000)),
            ("2023-11-14 22:13:20", Some(1_700_000_000)),
            ("1960-01-01T00:00:00Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse_moment(text.as_bytes()), secs, "{text}");
        }
    }

    #[test]
    fn nothing_has_expired_when_a_log_is_replayed() {
        let now = Now::at_unix_ms(1_795_273_356_515);
        let then = now.of_replay();
        assert!(then.unix_ms.0 < 0 && then.wall_ms() == now.unix_ms.0);
        assert_eq!(lru_clock(then), lru_clock(now));
    }

    #[test]
    fn idle_time_survives_the_wrap_of_the_clock() {
        let wrap = 1i64 << LRU_BITS;
        for used in [false, true] {
            let access = lru_pack(Now::at_unix_ms((wrap - 3) * 1000), used);
            assert_eq!(lru_idle_secs(access, Now::at_unix_ms((wrap + 2) * 1000)), 5);
            assert_eq!((lru_is_used(access), access >> 24), (used, 0));
        }
    }

    #[test]
    fn the_counter_rises_ever_slower_and_decays_with_time() {
        let (mut counter, mut random) = (LFU_INIT, 1u32);
        for _ in 0..100_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            counter = lfu_log_incr(counter, 10, random);
        }
        assert!((100..200).contains(&counter), "{counter}");
        assert_eq!(lfu_decay(counter, u16::MAX, 4, 1), counter - 5);
        assert_eq!(lfu_unpack(lfu_pack(7, 9)), (9, 7));
    }

    #[test]
    fn both_clocks_go_forward() {
        let clock = Clock::default();
        let (a, b) = (clock.read(), clock.read());
        assert!(b.mono_ns >= a.mono_ns && a.unix_ms.0 > 1_600_000_000_000);
    }
}
