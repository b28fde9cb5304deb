//! What many requests need of the options, in the form they need it: made when options change, read on each request.

use super::ctx::Ctx;
use super::news::interest;
use crate::acl::Acl;
use crate::base::hash::Hasher;
use crate::config::{AclPubsubDefault, ClientClass, Config, NotifyFlags, OomScoreAdj, Permission};
use crate::ds::array::Thresholds;
use crate::hub::{Hub, Notify};
use crate::keyspace::{Keyspace, Touch, class};
use crate::stats::Stats;
use crate::sys::process;
use crate::types::{Limits, Memory};
use std::io;

/// Thresholds of the packed encodings.
fn limits(config: &Config, hasher: Hasher, list_packed_threshold: usize) -> Limits {
    Limits {
        bulk_len: config.proto_max_bulk_len as u64,
        hash_entries: config.hash_max_listpack_entries,
        hash_value: config.hash_max_listpack_value,
        set_ints: config.set_max_intset_entries,
        set_entries: config.set_max_listpack_entries,
        set_value: config.set_max_listpack_value,
        zset_entries: config.zset_max_listpack_entries,
        zset_value: config.zset_max_listpack_value,
        array_slice: config.array_slice_size,
        array: Thresholds { dense_above: config.array_sparse_kmax, sparse_below: config.array_sparse_kmin },
        list_max: config.list_max_listpack_size,
        list_compress_depth: config.list_compress_depth,
        // Only DEBUG sets this one.
        list_packed_threshold,
        stream_bytes: config.stream_node_max_bytes,
        stream_entries: config.stream_node_max_entries,
        stream_memory: Memory { duration_s: config.stream_idmp_duration, max_len: config.stream_idmp_maxsize },
        hasher,
    }
}

/// The letters of `notify-keyspace-events` and the classes that they stand for.
const CLASSES: [(NotifyFlags, u32); 15] = [
    (NotifyFlags::MODULE, class::MODULE),
    (NotifyFlags::GENERIC, class::GENERIC),
    (NotifyFlags::STRING, class::STRING),
    (NotifyFlags::LIST, class::LIST),
    (NotifyFlags::ARRAY, class::ARRAY),
    (NotifyFlags::SET, class::SET),
    (NotifyFlags::HASH, class::HASH),
    (NotifyFlags::ZSET, class::ZSET),
    (NotifyFlags::EXPIRED, class::EXPIRED),
    (NotifyFlags::EVICTED, class::EVICTED),
    (NotifyFlags::STREAM, class::STREAM),
    (NotifyFlags::KEY_MISS, class::KEYMISS),
    (NotifyFlags::NEW, class::NEW),
    (NotifyFlags::OVERWRITTEN, class::OVERWRITTEN),
    (NotifyFlags::TYPE_CHANGED, class::TYPE_CHANGED),
];

/// Which events are published. Without a place to publish them on there are none.
fn notify(flags: NotifyFlags) -> Notify {
    let (keyspace, keyevent) = (flags.contains(NotifyFlags::KEYSPACE), flags.contains(NotifyFlags::KEYEVENT));
    let chosen = CLASSES.iter().filter(|(flag, _)| (keyspace || keyevent) && flags.contains(*flag));
    Notify { classes: chosen.fold(0, |all, (_, class)| all | class), keyspace, keyevent }
}

/// Most bytes that may wait for a subscriber before it is sent nothing more.
pub fn push_limit_bytes(config: &Config) -> Option<usize> {
    let hard_bytes = config.client_output_buffer_limit[ClientClass::Pubsub as usize].hard_bytes;
    (hard_bytes > 0).then(|| usize::try_from(hard_bytes).unwrap_or(usize::MAX))
}

/// Brings what is derived from the options up to date.
pub fn apply(config: &Config, keyspace: &mut Keyspace, hub: &mut Hub, acl: &mut Acl, stats: &mut Stats) {
    acl.all_channels = config.acl_pubsub_default == AclPubsubDefault::AllChannels;
    let hasher = keyspace.hasher();
    let book = &mut keyspace.book;
    book.limits = limits(config, hasher, book.limits.list_packed_threshold);
    book.touch = if config.maxmemory_policy.uses_lfu() {
        Touch::Lfu { log_factor: config.lfu_log_factor, decay_minutes: config.lfu_decay_time }
    } else {
        Touch::Lru
    };
    hub.notify = notify(config.notify_keyspace_events);
    book.interest = interest(hub);
    let slow_us = u64::try_from(config.slowlog_log_slower_than).ok().filter(|_| config.slowlog_max_len > 0);
    stats.set_thresholds(slow_us, config.latency_monitor_threshold, config.latency_tracking);
}

/// Descriptors that are kept for files and listeners, beside those of clients.
pub const RESERVED_FILES: u64 = 32;

/// Sets the kernel's out-of-memory score as the options say. `initial` keeps what it was before, for the way back.
///
/// # Errors
/// The system's: only the privileged may lower it.
pub fn apply_oom_score(config: &Config, initial: &mut Option<i32>) -> io::Result<()> {
    if config.oom_score_adj == OomScoreAdj::No {
        return initial.take().map_or(Ok(()), process::set_oom_score);
    }
    let before = match *initial {
        Some(before) => before,
        None => *initial.insert(process::oom_score()?),
    };
    let wanted = config.oom_score_adj_values[0];
    let relative = config.oom_score_adj == OomScoreAdj::Relative;
    process::set_oom_score(if relative { before.saturating_add(wanted) } else { wanted })
}

impl Ctx<'_> {
    /// After options were changed by a command: what the next command reads is right at once.
    pub fn apply_config(&mut self) {
        apply(self.config, self.db.space, self.hub, self.acl, self.stats);
        self.sessions.push_limit_bytes = push_limit_bytes(self.config);
        self.check_surplus();
    }
}

/// Whether a permission (`no`, `yes`, `local`) holds for a client.
pub fn permits(permission: Permission, local: bool) -> bool {
    match permission {
        Permission::No => false,
        Permission::Yes => true,
        Permission::Local => local,
    }
}
