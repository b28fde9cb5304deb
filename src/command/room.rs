//! Memory before a command runs: the options as a wish to the keyspace.

use super::ctx::Ctx;
use crate::base::clock::Now;
use crate::config::{Config, MaxmemoryPolicy};
use crate::keyspace::Keyspace;
use crate::keyspace::evict::{self, Policy, Rank, Room, Wish};
use crate::stats::Stats;
use crate::sys::{alloc, ticks};

/// Time for a step of eviction at tenacity 1, microseconds.
const STEP_US: u64 = 50;
/// Time that no step needs, microseconds: it still fits when counted in ticks.
const ENDLESS_US: u64 = 1 << 40;
/// From this tenacity on the time grows faster.
const STEEP_TENACITY: u32 = 10;

/// The policy in the keyspace's words; `None` if nothing may be given up.
fn policy_of(policy: MaxmemoryPolicy, decay_minutes: u32) -> Option<Policy> {
    use MaxmemoryPolicy as P;
    let rank = match policy {
        P::NoEviction => return None,
        P::VolatileLru | P::AllkeysLru => Rank::Idle,
        P::VolatileLfu | P::AllkeysLfu => Rank::Rare { decay_minutes },
        P::VolatileRandom | P::AllkeysRandom => Rank::Random,
        P::VolatileTtl => Rank::Deadline,
    };
    Some(Policy { only_volatile: policy.only_volatile(), rank })
}

/// Longest time that one step may take: 0 to 500 us in even steps, then 15 % more for each, at 100 without end.
fn budget_us(tenacity: u32) -> u64 {
    match tenacity {
        0..=STEEP_TENACITY => STEP_US * u64::from(tenacity),
        100.. => ENDLESS_US,
        steep => ((STEP_US * u64::from(STEEP_TENACITY)) as f64 * 1.15f64.powi((steep - STEEP_TENACITY) as i32)) as u64,
    }
}

/// Evicts keys if memory is over `maxmemory`, as far as the time for one step goes.
pub fn make_room(config: &Config, space: &mut Keyspace, stats: &mut Stats, now: Now) -> Room {
    let wish = Wish {
        policy: policy_of(config.maxmemory_policy, config.lfu_decay_time),
        samples: config.maxmemory_samples as usize,
        limit_bytes: config.maxmemory,
        budget_us: budget_us(config.maxmemory_eviction_tenacity),
        lazy: config.lazyfree_lazy_eviction,
    };
    let started = ticks::now();
    // What waits for the disk goes without any key being given up.
    let log_bytes = stats.persistence.log.held_bytes();
    let room = evict::make_room(space, now, wish, &mut || alloc::used_bytes().saturating_sub(log_bytes));
    let took = ticks::now().wrapping_sub(started);
    if took >= stats.notable_ticks {
        stats.latency.record("eviction-cycle", now.unix_secs(), ticks::to_us(took) / 1000);
    }
    room
}

impl Ctx<'_> {
    /// Evicts keys if memory is over `maxmemory`; false if it stays over and nothing may be given up. What one step does not
    /// achieve is gone on with between commands.
    pub fn make_room(&mut self) -> bool {
        // While writes are paused nothing may change.
        if self.facts.pause.is_some_and(|(until_ms, _)| self.now.unix_ms.0 < until_ms) {
            return true;
        }
        let room = make_room(self.config, self.db.space, self.stats, self.now);
        self.facts.evicting = room == Room::Coming;
        room != Room::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenacity_is_linear_then_geometric_then_endless() {
        assert_eq!([0, 1, 10].map(budget_us), [0, 50, 500]);
        assert!((574..=575).contains(&budget_us(11)) && budget_us(99) > 100_000_000 && budget_us(100) == ENDLESS_US);
    }
}
