//! The cheapest clock there is for measuring one command: the processor's time-stamp counter where it runs at a constant
//! rate, else the monotonic clock. Invariant: ticks never go back within a thread by more than the hardware lets them.

use std::sync::OnceLock;
use std::time::Instant;

struct Rate {
    /// Nanoseconds per tick, as a 32.32 fixed-point number.
    ns_per_tick: u64,
    #[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "only the fallback counts from it"))]
    origin: Instant,
    hardware: bool,
}

static RATE: OnceLock<Rate> = OnceLock::new();

#[cfg(target_arch = "x86_64")]
fn hardware_ticks() -> u64 {
    // SAFETY: RDTSC exists on every x86-64 processor and touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn hardware_ticks() -> u64 {
    0
}

/// Whether the counter runs at one rate whatever the processor does.
fn is_constant() -> bool {
    cfg!(target_arch = "x86_64")
        && std::fs::read_to_string("/proc/cpuinfo")
            .is_ok_and(|text| text.lines().find(|l| l.starts_with("flags")).is_some_and(|l| l.contains("constant_tsc")))
}

fn rate() -> &'static Rate {
    RATE.get_or_init(|| {
        let origin = Instant::now();
        if !is_constant() {
            return Rate { ns_per_tick: 1 << 32, origin, hardware: false };
        }
        // Two milliseconds against the monotonic clock give the rate to about one part in ten thousand.
        let (t0, c0) = (Instant::now(), hardware_ticks());
        while t0.elapsed().as_micros() < 2000 {
            std::hint::spin_loop();
        }
        let (ns, ticks) = (t0.elapsed().as_nanos() as u64, hardware_ticks().wrapping_sub(c0).max(1));
        Rate { ns_per_tick: ((u128::from(ns) << 32) / u128::from(ticks)) as u64, origin, hardware: true }
    })
}

/// Measures the rate now, so that the first command need not.
pub fn calibrate() {
    rate();
}

/// The clock's reading in ticks.
#[inline]
pub fn now() -> u64 {
    match RATE.get() {
        Some(rate) if rate.hardware => hardware_ticks(),
        _ => rate().origin.elapsed().as_nanos() as u64,
    }
}

/// Ticks as nanoseconds.
pub fn to_ns(ticks: u64) -> u64 {
    ((u128::from(ticks) * u128::from(rate().ns_per_tick)) >> 32) as u64
}

/// Ticks as microseconds.
pub fn to_us(ticks: u64) -> u64 {
    to_ns(ticks) / 1000
}

/// Microseconds as ticks.
pub fn from_us(us: u64) -> u64 {
    (((u128::from(us) * 1000) << 32) / u128::from(rate().ns_per_tick)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_follow_the_monotonic_clock() {
        calibrate();
        let (t0, c0) = (Instant::now(), now());
        while t0.elapsed().as_millis() < 5 {
            std::hint::spin_loop();
        }
        let (real, measured) = (t0.elapsed().as_micros() as u64, to_us(now() - c0));
        assert!(measured >= 4_000 && measured <= real * 2, "{measured} us measured, {real} us gone");
        assert!(to_us(from_us(1_000_000)).abs_diff(1_000_000) < 10);
    }
}
