//! The brake on guessing: after some wrong passwords an address gets its tries one after the other, each later than the one
//! before. Other addresses feel nothing. Knows no socket: whoever must wait is told until when.
//!
//! ```text
//! wrong passwords   0 .. free - 1    free ..
//! wait before one   none             1 s, doubled with every 10 more, at most 30 s
//! ```
//!
//! Bounds: so many addresses are remembered; the one whose last wrong password is longest ago goes first. An address is
//! forgiven after five minutes without one; a right password forgives half.

use std::collections::{BTreeSet, HashMap};

/// Addresses that are remembered.
const ADDRESSES: usize = 4096;
/// Time after which an address is forgiven, milliseconds.
const FORGIVEN_MS: u64 = 300_000;
/// First wait, milliseconds.
const FIRST_MS: u64 = 1_000;
/// Longest distance of two tries, milliseconds.
const LONGEST_MS: u64 = 30_000;
/// Whoever would have to wait longer in the line of its address is refused, milliseconds.
const LINE_MS: u64 = 60_000;

/// What a try has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// It may be made at once.
    Now,
    /// It may be made at this time, monotonic milliseconds.
    At(u64),
    /// Too many wait already.
    Refused,
}

struct Address {
    wrong: u32,
    last_ms: u64,
    /// When the next try may be.
    next_ms: u64,
}

/// The memory of wrong passwords.
#[derive(Default)]
pub struct Brake {
    by_name: HashMap<Box<str>, Address>,
    /// The same by time of the last one.
    by_time: BTreeSet<(u64, Box<str>)>,
    /// Tries that had to wait.
    pub delayed: u64,
}

/// The address of a client without its port.
fn host(peer: &str) -> &str {
    peer.rsplit_once(':').map_or(peer, |(host, _)| host)
}

fn distance_ms(wrong: u32, free: u32) -> u64 {
    let steps = wrong.saturating_sub(free) / 10;
    FIRST_MS.checked_shl(steps).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

impl Brake {
    /// A client wants to try a password. `free`: wrong ones that cost nothing; 0 turns the brake off.
    pub fn reserve(&mut self, peer: &str, free: u32, now_ms: u64) -> Reserved {
        let Some(address) = self.by_name.get_mut(host(peer)) else { return Reserved::Now };
        let forgiven = now_ms >= address.last_ms + FORGIVEN_MS;
        if free == 0 || address.wrong < free || forgiven {
            return Reserved::Now;
        }
        let distance_ms = distance_ms(address.wrong, free);
        let at_ms = address.next_ms.max(address.last_ms + distance_ms);
        if at_ms <= now_ms {
            address.next_ms = now_ms + distance_ms;
            return Reserved::Now;
        }
        if at_ms > now_ms + LINE_MS {
            return Reserved::Refused;
        }
        address.next_ms = at_ms + distance_ms;
        self.delayed += 1;
        Reserved::At(at_ms)
    }

    /// A password was wrong.
    pub fn failed(&mut self, peer: &str, now_ms: u64) {
        let host = host(peer);
        if let Some(address) = self.by_name.get_mut(host) {
            self.by_time.remove(&(address.last_ms, host.into()));
            if now_ms >= address.last_ms + FORGIVEN_MS {
                address.wrong = 0;
            }
            address.wrong = address.wrong.saturating_add(1);
            address.last_ms = now_ms;
        } else {
            if self.by_name.len() >= ADDRESSES {
                if let Some((_, oldest)) = self.by_time.pop_first() {
                    self.by_name.remove(&oldest);
                }
            }
            self.by_name.insert(host.into(), Address { wrong: 1, last_ms: now_ms, next_ms: 0 });
        }
        self.by_time.insert((now_ms, host.into()));
    }

    /// A password was right.
    pub fn succeeded(&mut self, peer: &str) {
        let host = host(peer);
        let Some(address) = self.by_name.get_mut(host) else { return };
        address.wrong /= 2;
        if address.wrong == 0 {
            self.by_time.remove(&(address.last_ms, host.into()));
            self.by_name.remove(host);
        }
    }

    /// Addresses that are remembered.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_of_an_address_come_one_after_the_other() {
        let mut brake = Brake::default();
        for n in 0..20 {
            assert_eq!(brake.reserve("10.0.0.1:5", 20, n), Reserved::Now);
            brake.failed("10.0.0.1:5", n);
        }
        assert_eq!(brake.reserve("10.0.0.1:6", 20, 20), Reserved::At(1_019));
        assert_eq!(brake.reserve("10.0.0.1:7", 20, 20), Reserved::At(2_019));
        assert_eq!(
            (brake.reserve("10.0.0.2:7", 20, 20), brake.reserve("10.0.0.1:7", 0, 20)),
            (Reserved::Now, Reserved::Now)
        );
        for _ in 0..58 {
            assert!(matches!(brake.reserve("10.0.0.1:7", 20, 20), Reserved::At(_)));
        }
        assert_eq!(brake.reserve("10.0.0.1:7", 20, 20), Reserved::Refused);
        assert_eq!(brake.reserve("10.0.0.1:7", 20, 300_100), Reserved::Now);
    }

    #[test]
    fn the_distance_grows_and_a_right_password_forgives_half() {
        assert_eq!(
            [20, 29, 30, 40, 60, 70, 999].map(|wrong| distance_ms(wrong, 20)),
            [1000, 1000, 2000, 4000, 16_000, 30_000, 30_000]
        );
        let mut brake = Brake::default();
        (0..21).for_each(|_| brake.failed("a:1", 0));
        brake.succeeded("a:1");
        assert_eq!(brake.reserve("a:1", 20, 0), Reserved::Now);
        (0..5).for_each(|_| brake.succeeded("a:2"));
        assert!(brake.is_empty() && brake.by_time.is_empty());
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes_first() {
        let mut brake = Brake::default();
        for n in 0..ADDRESSES as u64 + 10 {
            brake.failed(&format!("[::{n:x}]:1"), n);
        }
        assert_eq!((brake.len(), brake.by_time.len()), (ADDRESSES, ADDRESSES));
        assert!(!brake.by_name.contains_key("[::9]") && brake.by_name.contains_key("[::a]"));
    }
}
