//! Where the memory is: the figures behind INFO memory, MEMORY STATS and MEMORY DOCTOR, all taken at one moment.

use crate::keyspace::Keyspace;
use crate::sys::{alloc, host};

/// The figures, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFigures {
    /// Allocated.
    pub used: u64,
    /// Most that was ever allocated.
    pub peak: u64,
    /// Allocated when the server had started.
    pub startup: u64,
    /// In physical memory.
    pub resident: u64,
    /// Of the clients.
    pub clients: u64,
    /// What is not data: start-up, clients, tables.
    pub overhead: u64,
    /// What the allocator says.
    pub allocator: alloc::AllocStats,
    /// Physical memory of the machine.
    pub system: u64,
}

impl MemoryFigures {
    /// Takes the figures. `used`: bytes before the report itself took any; `peak`: the highest seen before; `clients`: what
    /// they use.
    pub fn gather(used: u64, peak: u64, startup: u64, clients: u64, keyspace: &Keyspace) -> MemoryFigures {
        MemoryFigures {
            used,
            peak: peak.max(used),
            startup,
            resident: host::resident_bytes(),
            clients,
            overhead: startup + clients + keyspace.table_bytes() as u64,
            allocator: alloc::alloc_stats().unwrap_or_default(),
            system: host::total_memory_bytes(),
        }
    }

    /// The data themselves.
    pub fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead)
    }

    /// The data's share of what is used beyond the start, percent.
    pub fn dataset_percent(&self) -> f64 {
        percent(self.dataset(), self.used.saturating_sub(self.startup))
    }

    /// Used of the peak, percent.
    pub fn peak_percent(&self) -> f64 {
        percent(self.used, self.peak)
    }

    /// Pages with data against data: what fragmentation inside the allocator costs.
    pub fn allocator_frag(&self) -> Ratio {
        Ratio::of(self.allocator.active as u64, self.allocator.allocated as u64)
    }

    /// Physical pages of the allocator against pages with data: freed pages not yet given back.
    pub fn allocator_rss(&self) -> Ratio {
        Ratio::of(self.allocator.resident as u64, self.allocator.active as u64)
    }

    /// The process against its allocator: code, stacks, what was never allocated.
    pub fn rss_overhead(&self) -> Ratio {
        Ratio::of(self.resident, self.allocator.resident as u64)
    }

    /// The process against what it uses.
    pub fn fragmentation(&self) -> Ratio {
        Ratio::of(self.resident, self.used)
    }
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) }
}

/// Two sizes against each other.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// The one divided by the other; 0 if there is no other.
    pub ratio: f64,
    /// The one less the other, bytes.
    pub bytes: i64,
}

impl Ratio {
    fn of(one: u64, other: u64) -> Ratio {
        let ratio = if other == 0 { 0.0 } else { one as f64 / other as f64 };
        Ratio { ratio, bytes: one as i64 - other as i64 }
    }
}

/// A size in words: `512B`, `1.50K`, `2.00M`.
pub fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit < 5 {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2}{}", ["B", "K", "M", "G", "T", "P"][unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_in_words() {
        let shown: Vec<String> = [0, 1023, 1024, 940_979, 25_276_502_016, u64::MAX].iter().map(|n| human(*n)).collect();
        assert_eq!(shown, ["0B", "1023B", "1.00K", "918.92K", "23.54G", "16384.00P"]);
    }

    #[test]
    fn shares_of_nothing_are_nothing() {
        let none = MemoryFigures::default();
        assert_eq!((none.dataset_percent(), none.peak_percent(), none.fragmentation().ratio), (0.0, 0.0, 0.0));
        let some = MemoryFigures { used: 300, startup: 100, overhead: 150, peak: 600, resident: 450, ..none };
        assert_eq!((some.dataset(), some.dataset_percent(), some.peak_percent()), (150, 75.0, 50.0));
        assert_eq!((some.fragmentation().ratio, some.fragmentation().bytes), (1.5, 150));
    }
}
