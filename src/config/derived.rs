//! Options in the form in which requests need them.

use super::fields::Config;
use super::value::Permission;
use crate::keyspace::Touch;
use crate::types::Limits;

impl Config {
    /// Up to where values stay packed, and how long a string may be.
    pub fn value_limits(&self) -> Limits {
        Limits {
            bulk_len: self.proto_max_bulk_len as u64,
            hash_entries: self.hash_max_listpack_entries,
            hash_value: self.hash_max_listpack_value,
            set_ints: self.set_max_intset_entries,
            set_entries: self.set_max_listpack_entries,
            set_value: self.set_max_listpack_value,
            zset_entries: self.zset_max_listpack_entries,
            zset_value: self.zset_max_listpack_value,
            list_max: self.list_max_listpack_size,
            list_compress_depth: self.list_compress_depth,
            ..Limits::default()
        }
    }

    /// How accesses are marked: what the eviction policy looks at.
    pub fn touch(&self) -> Touch {
        if self.maxmemory_policy.uses_lfu() {
            Touch::Lfu { log_factor: self.lfu_log_factor, decay_minutes: self.lfu_decay_time }
        } else {
            Touch::Lru
        }
    }

    /// Whether a client from elsewhere (`local` false) is turned away: there is no password to keep it out.
    pub fn refuses_as_protected(&self, local: bool) -> bool {
        self.protected_mode && self.requirepass.is_empty() && !local
    }
}

impl Permission {
    /// Whether a client may, `local` telling whether it is on this machine.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Permission::No => false,
            Permission::Yes => true,
            Permission::Local => local,
        }
    }
}
